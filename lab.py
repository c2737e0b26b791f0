#!/usr/bin/env python3
"""memcg-lab in two commands. Nothing has to be installed first but Python 3.11 or newer.

    python3 lab.py              set up .venv once, then open JupyterLab on your own copies of the notebooks, in study/
    python3 lab.py test         set up .venv once, then run every test, notebooks included

More commands:

    python3 lab.py setup        only set up
    python3 lab.py book         execute every notebook and write the HTML book into build/book/
    python3 lab.py refresh      execute and normalise the committed notebooks (--timings: timings too)
    python3 lab.py bench        compare the speed with C and with plain Python
    python3 lab.py teach        slides, run-sheets and two editions of each notebook, into build/teach/
    python3 lab.py wheelhouse   fetch all packages into build/wheelhouse/, for a room without network

More ways to say it:

    python3 lab.py --originals                      open notebooks/ itself, to write the course
    python3 lab.py lab --port 9999 --no-browser     options for JupyterLab, or another notebook
    python3 lab.py --wheelhouse FOLDER              set up from such a folder; it may stand before any command
    python3 lab.py test --all                       the slow tests too, and those in a browser
    python3 lab.py test --timings                   also list the slowest tests
    python3 lab.py test tests/once -k name          usual arguments of pytest: one plain pytest run with them
    python3 lab.py test -- --any-other              behind -- stands what only pytest knows, or, with lab, JupyterLab

MEMCG_LAB_INSTALLER=pip keeps uv out. Delete .venv to start anew.
"""

# Standard library only. This file must parse on every Python, down to 2.7, so that an old one
# can say which one is needed: no f-strings, no annotations, no keyword-only arguments, plain ASCII.
from __future__ import print_function

import errno
import os
import sys

NEEDED = (3, 11)

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
OLD = os.path.join(ROOT, ".venv.old")
if os.name == "nt":
    PY = os.path.join(VENV, "Scripts", "python.exe")
else:
    PY = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "lab.stamp")  # written last: a .venv without it is not finished
BROWSER_STAMP = os.path.join(VENV, "browser.stamp")  # the extra is there too
WARM_UP = [PY, "-m", "memcg_lab", "warmup"]
FIRST = "00_start_here.ipynb"

# What installers write when the trouble is the way to the package index.
NETWORK_WORDS = (
    "NewConnectionError",
    "NameResolutionError",
    "name resolution",
    "Connection refused",
    "Connection broken",
    "ConnectTimeout",
    "ReadTimeout",
    "timed out",
    "Network is unreachable",
    "ProxyError",
    "dns error",
    "error sending request",
    "Connection reset",
    "Could not connect",
)


def main(argv):
    """Run one command and return its exit status."""
    if sys.version_info[:2] < NEEDED:
        print(
            "memcg-lab needs Python %d.%d or newer; this is %d.%d (%s)."
            % (NEEDED + tuple(sys.version_info[:2]) + (sys.executable,)),
            file=sys.stderr,
        )
        return 1
    if argv[:1] == ["--wheelhouse"]:
        argv = without_network(argv[1:])
    command, rest = "lab", argv
    if argv and not argv[0].startswith("-"):
        command, rest = argv[0], argv[1:]
    commands = {
        "lab": lab,
        "test": lambda rest: run([PY, "-m", "tools.suite"] + rest, child_env()),
        "setup": lambda rest: 0,
        "book": lambda rest: run([PY, "-m", "tools.book"] + rest, child_env()),
        "refresh": lambda rest: run([PY, "-m", "tools.refresh"] + rest, child_env()),
        "bench": lambda rest: run([PY, "benchmarks/bench.py"] + rest, clean_env()),
        "teach": lambda rest: run([PY, "-m", "tools.teach"] + rest, child_env()),
        "wheelhouse": lambda rest: run([PY, "-m", "tools.wheelhouse"] + rest, child_env()),
    }
    if command == "help" or any(word in ("-h", "--help") for word in until_bare(argv)):
        print(__doc__.strip())
        return 0
    if command not in commands:
        wrong("there is no command %r. Commands: %s." % (command, ", ".join(commands)))
    if "--wheelhouse" in until_bare(rest):
        wrong("--wheelhouse FOLDER stands before the command.")
    sys.path.insert(0, ROOT)
    from tools import arguments

    try:
        arguments.check(command, rest)
    except ValueError as error:
        wrong(error)
    rest = until_bare(rest) + rest[len(until_bare(rest)) + 1 :]
    set_up()
    if command == "test" and "--all" in rest:
        add_browser()
    # Two see to the kernels themselves: beside JupyterLab, and step by step. One needs none.
    if command not in ("lab", "test", "wheelhouse"):
        warm_up()
    return commands[command](rest)


def until_bare(words):
    """Return the words in front of a bare --."""
    return words[: words.index("--")] if "--" in words else words


def wrong(text):
    """Stop because it was called wrongly, with exit status 2."""
    sys.stdout.flush()
    print("lab.py: %s Help: python3 lab.py -h" % text, file=sys.stderr)
    sys.exit(2)


# --- setting up -----------------------------------------------------------------------------------


def fingerprint():
    """Say in one string what .venv was made from."""
    import hashlib

    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update(read(os.path.join(ROOT, name)))
    # The folder counts because scripts and the editable install hold its path.
    digest.update(repr((sys.version, sys.base_prefix, ROOT)).encode("utf-8"))
    return digest.hexdigest()


def set_up():
    """Make .venv unless a finished one of the same making is there."""
    key = fingerprint()
    if os.path.exists(PY) and read(STAMP) == key.encode("ascii"):
        return
    say("Setting up .venv once, with Python %d.%d. This takes a minute or so." % sys.version_info[:2])
    try:
        if read(STAMP):  # a finished one is kept until the new one works
            remove(OLD)
            os.rename(VENV, OLD)
        else:
            remove(VENV)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EPERM) or os.name != "nt" and error.errno == errno.EACCES:
            advice = "This folder may not be written to; copy the collection to one that may."
        else:
            advice = "Close every program that uses it, and start lab.py with a Python outside it."
        fail("The present .venv cannot be replaced (%s). %s" % (error, advice))
    try:
        make_venv()
        trouble = install(".[test]")
        if trouble:
            fail(trouble + " No half-made .venv was left.")
        no_calls_home()
        write(STAMP, key)
    except BaseException as error:
        remove(VENV, force=True)
        if read(os.path.join(OLD, "lab.stamp")):
            os.rename(OLD, VENV)
            say("The earlier .venv was put back.")
        if isinstance(error, OSError):
            fail("The set-up stopped: %s. No half-made .venv was left." % error)
        raise
    remove(OLD, force=True)
    say("Set up.")


def without_network(rest):
    """Let pip and uv take every package from a folder, and ask no index. Return what follows its name."""
    if not rest or not os.path.isdir(rest[0]):
        wrong("--wheelhouse needs the folder that `lab.py wheelhouse` made; %s." % named(rest))
    folder = os.path.abspath(rest[0])
    os.environ["PIP_NO_INDEX"] = "1"  # uv has no such variable
    os.environ["PIP_FIND_LINKS"] = os.environ["UV_FIND_LINKS"] = folder
    return rest[1:]


def named(rest):
    """Say which folder was named."""
    return "%r is none" % rest[0] if rest else "none is named"


def add_browser():
    """Install what drives a browser; where that cannot be, the tests that need it are skipped and say so."""
    key = fingerprint()
    if read(BROWSER_STAMP) == key.encode("ascii"):
        return
    say("Adding what the tests in a browser need.")
    trouble = install(".[test,browser]")
    if trouble:
        say(trouble + " The tests in a browser will be skipped.")
    else:
        write(BROWSER_STAMP, key)


def make_venv():
    """Make an empty .venv; pip comes later, and only if it is needed."""
    try:
        import venv
    except ImportError:
        fail(without("venv"))
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(VENV)


def install(project):
    """Install the project and its dependencies: with uv if it can be had, else with pip. Return what went wrong."""
    import shutil

    wanted = ["-c", "constraints.txt", "-e", project]
    pip = [PY, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "1"]
    uv = None
    if os.environ.get("MEMCG_LAB_INSTALLER", "uv") != "pip":
        found = shutil.which("uv")
        if found:
            uv = [found]
        else:
            ensure_pip()
            status, output = quiet(pip + ["uv"])
            if status == 0:
                uv = [PY, "-m", "uv"]
            elif is_network(output):  # pip would ask the same index again
                return network_trouble("uv, which fetches the other packages", output)
    if uv:
        say("Installing the packages with uv.")
        alone = ["--no-index"] if os.environ.get("PIP_NO_INDEX") else []
        command = ["pip", "install", "-q", "--python", PY, "--compile-bytecode", "pip"]
        status, output = quiet(uv + command + alone + wanted)
        if status == 0:
            return ""
        say("uv could not do it (%s). Trying pip." % last_line(output))
    ensure_pip()
    say("Installing the packages with pip.")
    status, output = quiet(pip + wanted)
    if status == 0:
        return ""
    if is_network(output):
        return network_trouble("the packages that pyproject.toml names", output)
    print(output, file=sys.stderr)
    return (
        "The packages could not be installed: pip's own words are above. Often a package has no wheel "
        "yet for a new Python; this is %d.%d, try 3.12." % sys.version_info[:2]
    )


def ensure_pip():
    """Put pip into .venv; Debian and Ubuntu keep it in a package of its own."""
    if quiet([PY, "-m", "pip", "--version"])[0] == 0:
        return
    status, output = quiet([PY, "-m", "ensurepip", "--default-pip"])
    if status != 0:
        print(output, file=sys.stderr)
        fail(without("ensurepip"))


def without(module):
    """Say what to do when this Python lacks ``module``."""
    return (
        "This Python (%s) has no working %s module, so no .venv can be made. On Debian and Ubuntu: "
        "sudo apt install python%d.%d-venv. Elsewhere: install Python from python.org, or install uv."
        % ((sys.executable, module) + tuple(sys.version_info[:2]))
    )


def is_network(output):
    """Tell trouble with the network from other trouble."""
    return any(word.lower() in output.lower() for word in NETWORK_WORDS)


def network_trouble(what, output):
    """Return the one message that helps when the index is out of reach."""
    import re

    reason = re.search(r"\[Errno -?\d+\] [A-Za-z ]+|dns error[^\n]*|timed out", output)
    return (
        "The network is down, or the package index cannot be reached: could not fetch %s (%s). "
        "Run the same command again when the network is back."
        % (what, reason.group().strip() if reason else last_line(output))
    )


def no_calls_home():
    """Tell the JupyterLab of .venv to ask nobody for news or updates."""
    folder = os.path.join(VENV, "share", "jupyter", "lab", "settings")
    if not os.path.isdir(folder):
        os.makedirs(folder)
    write(
        os.path.join(folder, "overrides.json"),
        '{"@jupyterlab/apputils-extension:notification":'
        ' {"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": false}}\n',
    )


def warm_up():
    """Compile the kernels that are not compiled yet; the library knows which."""
    if run(WARM_UP, clean_env()) != 0:
        say("The warm-up failed, see above. Going on: the first run compiles instead.")


def warm_up_beside():
    """Start the same for as long as something else runs, behind it; return what ends it."""
    import signal
    import subprocess

    if os.name == "nt":
        options = {"creationflags": 0x4000}  # BELOW_NORMAL_PRIORITY_CLASS
    else:
        options = {"start_new_session": True}  # Ctrl-C is meant for the other
    process = subprocess.Popen(WARM_UP + ["--background"], cwd=ROOT, env=clean_env(), **options)

    def end():
        try:
            if os.name == "nt":
                process.terminate()
            else:
                os.killpg(process.pid, signal.SIGTERM)
        except OSError:  # it has ended
            pass
        process.wait()

    return end


# --- JupyterLab -----------------------------------------------------------------------------------


def jupyterlab(rest, folder="study"):
    """Return the command that opens JupyterLab on a notebook, the first of a folder if none is named."""
    try:
        from urllib.parse import quote
    except ImportError:
        from urllib import quote

    named = [word for word in rest if word.endswith(".ipynb") and not word.startswith("-")]
    command = [
        PY,
        "-m",
        "jupyterlab",
        # Without it JupyterLab would see notebooks/ only, and no link to data/ would open.
        "--ServerApp.root_dir=" + ROOT,
        # The address that JupyterLab prints: whoever has no browser here copies it.
        "--LabApp.default_url=/lab/tree/" + quote((named or [folder + "/" + FIRST])[0].replace(os.sep, "/")),
        # No news, no update check, no list of extensions from an index.
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container root is the usual user
    return command + rest


def lab(rest):
    """Open JupyterLab on the reader's copies, or on the originals; return when it ends."""
    import subprocess

    folder = "study"
    if "--originals" in rest or run([PY, "-m", "tools.study"], child_env()) != 0:
        folder = "notebooks"
    rest = [word for word in rest if word != "--originals"]
    say("Opening JupyterLab on %s/. Ctrl-C twice ends it." % folder)
    process = subprocess.Popen(jupyterlab(rest, folder), cwd=ROOT, env=child_env())
    end_warm_up = warm_up_beside()
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                pass  # JupyterLab got it too, and asks its own question
    finally:
        end_warm_up()


# --- helpers --------------------------------------------------------------------------------------


def child_env():
    """Return the environment of whatever runs in .venv."""
    return dict(os.environ, PYTHONUTF8="1")


def clean_env(**more):
    """Return an environment without the settings that would change a test's result."""
    env = child_env()
    for name in ("NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK", "MEMCG_LAB_TEST_MODE", "PYTEST_ADDOPTS"):
        env.pop(name, None)
    env.update(more)
    return env


def run(command, env):
    """Run a command at the root of the collection and return its exit status."""
    import subprocess

    sys.stdout.flush()
    return subprocess.call(command, cwd=ROOT, env=env)


def quiet(command):
    """Run an installer; return its exit status and what it wrote."""
    import subprocess

    env = dict(child_env(), VIRTUAL_ENV=VENV)
    if "PIP_INDEX_URL" in env:  # uv does not read pip's settings
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_us()
    )
    try:
        output = process.communicate()[0].decode("utf-8", "replace").strip()
    except BaseException:  # it must not go on writing into a .venv that is being removed
        process.kill()
        process.wait()
        raise
    return process.returncode, output


def die_with_us():
    """Return what a child does first so that it ends when we are killed; None where no system call does that."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes
    import signal

    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    return lambda: prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG, linux/prctl.h


def end_in_order():
    """Turn a request to end into an exit, so that children are ended and what was begun is undone."""
    import signal

    def leave(number, frame):
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:  # nohup says otherwise
            signal.signal(getattr(signal, name), leave)


def last_line(output):
    """Return the last line of an installer's output that says something."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "failed" in line.lower()]
    return (errors or lines or ["no message"])[-1][:300]


def read(path):
    """Return a file's bytes; nothing if it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (IOError, OSError):
        return b""


def write(path, text):
    """Write a short text."""
    with open(path, "w") as file:
        file.write(text)


def remove(path, force=False):
    """Remove a file, a link or a folder, if it is there."""
    import shutil

    if os.path.islink(path) or os.path.isfile(path):
        os.remove(path)
    elif os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=force)


def say(text):
    """Print one line at once."""
    print("lab.py: " + text)
    sys.stdout.flush()


def fail(text):
    """Stop with a message and exit status 1."""
    sys.stdout.flush()
    sys.exit("lab.py: " + text)


if __name__ == "__main__":
    end_in_order()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except (IOError, OSError) as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try a full output once more at its end
        if error.errno == errno.EPIPE:
            sys.exit(141)
        print("lab.py: %s." % (error.strerror or error), file=sys.stderr)
        sys.exit(2)
