"""lab.py does what it says, also when something is missing; all of it without a network."""

import errno
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tools import arguments, notebooks, wheelhouse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = "Scripts" if os.name == "nt" else "bin"

# A project that needs nothing from an index: it brings its own build backend.
OFFLINE_PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
OFFLINE_BACKEND = """
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("tiny_dummy.py", "")
        info = "tiny-1.0.dist-info/"
        wheel.writestr(
            info + "METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\nProvides-Extra: test\\n"
        )
        wheel.writestr(
            info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        )
        wheel.writestr(info + "RECORD", "")
    return name

build_editable = build_wheel
"""
COMMANDS = ("lab", "test", "setup", "book", "refresh", "bench", "teach", "wheelhouse")
DEAD_INDEX = "http://127.0.0.1:9/index"  # the discard port: nobody listens there


def lab(folder, *args, **env):
    """Run lab.py of a folder; return its exit status and everything it wrote."""
    done = subprocess.run(
        [sys.executable, str(folder / "lab.py"), *args],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def load(folder):
    """Return a folder's lab.py as a module."""
    spec = importlib.util.spec_from_file_location("lab_of_a_copy", folder / "lab.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path):
    """Return a copy of what the set-up reads, with a library that has nothing to warm up."""
    folder = tmp_path / "a copy"
    (folder / "memcg_lab").mkdir(parents=True)
    for name in ("lab.py", "pyproject.toml", "constraints.txt", "tools/__init__.py", "tools/arguments.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "memcg_lab" / "__init__.py").touch()
    (folder / "memcg_lab" / "__main__.py").write_text("import sys\nprint('asked:', *sys.argv[1:])\n")
    return folder


def fake_finished_venv(folder):
    """Put a .venv there that looks finished."""
    module = load(folder)
    (folder / ".venv" / BIN).mkdir(parents=True)
    pathlib.Path(module.PY).symlink_to(sys.executable)
    pathlib.Path(module.STAMP).write_text(module.fingerprint())


@pytest.mark.parametrize("old", [(2, 7, 18), (3, 6, 15), (3, 10, 13)])
def test_an_old_python_is_told_which_one_is_needed(old):
    code = (
        f"import runpy, sys; sys.version_info = {old + ('final', 0)!r}; sys.argv = ['lab.py', 'test'];"
        f"runpy.run_path({str(ROOT / 'lab.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    needed = f"memcg-lab needs Python 3.11 or newer; this is {old[0]}.{old[1]} "
    assert done.stderr.startswith(needed)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["python2.7", "python3.6", "python3.8", "python3.10"])
def test_a_real_old_python_can_read_the_file(name):
    python = shutil.which(name)
    # A version manager's stand-in may exist without the Python behind it.
    if not python or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"no {name} here")
    done = subprocess.run([python, str(ROOT / "lab.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("memcg-lab needs Python 3.11 or newer; this is ")


def test_the_file_is_plain_enough_for_an_old_python():
    source = (ROOT / "lab.py").read_text(encoding="utf-8")
    assert source.isascii()
    assert not re.search(r"\b[fF][\"']|:=|\bnonlocal\b|->|\byield from\b|\*\*\w+,\n", source)


@pytest.mark.parametrize("args", [["-h"], ["--help"], ["help"], ["test", "-h"], ["wheelhouse", "--help"]])
def test_help_names_every_command(copy, args):
    status, output = lab(copy, *args)
    assert status == 0
    for command in ("setup", "test", "book", "refresh", "bench", "teach", "wheelhouse", "lab --port"):
        assert f"lab.py {command}" in output
    assert not (copy / ".venv").exists()


def test_an_unknown_command_is_named(copy):
    status, output = lab(copy, "tset")
    assert status == 2
    assert output.startswith("lab.py: there is no command 'tset'. Commands: lab, test,")
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--nonsense", "lab: there is no option '--nonsense'. What only JupyterLab knows goes behind a bare --."),
        ("lab --port x", "lab: argument --port: invalid int value: 'x'."),
        ("lab nowhere.ipynb", "lab: there is no file or folder 'nowhere.ipynb'."),
        ("lab study/07_none.ipynb", "lab: there is no file or folder 'study/07_none.ipynb'."),
        ("lab lab.py lab.py", "lab: it opens one file or folder; 2 are named."),
        ("test --nonsense", "test: there is no option '--nonsense'. What only pytest knows goes behind a bare --."),
        ("test -k", "test: argument -k: expected one argument."),
        ("test tests/none.py::test_it", "test: there is no file or folder 'tests/none.py::test_it'."),
        ("test --all -k x", "test: --all and --timings are for the whole run; nothing else goes with them."),
        ("setup now", "setup: it takes no 'now'."),
        ("setup --fast", "setup: there is no option '--fast'."),
        ("book 04", "book: it takes no '04'."),
        ("book -- 04", "book: nothing goes behind -- here."),
        ("refresh 99_none", "refresh: there is no notebook '99_none'; there are 00_start_here."),
        ("refresh --timing", "refresh: there is no option '--timing'."),
        ("bench --rounds 2", "bench: --rounds must be 3 or more."),
        ("bench --rounds", "bench: argument --rounds: expected one argument."),
        ("teach --commited", "teach: there is no option '--commited'."),
        ("teach 99_none", "teach: there is no notebook '99_none'; there are 00_start_here."),
        ("wheelhouse here", "wheelhouse: it takes no 'here'."),
        ("wheelhouse --out", "wheelhouse: argument --out: expected one argument."),
        ("book --wheelhouse .", "--wheelhouse FOLDER stands before the command."),
    ],
)
def test_a_wrong_argument_is_told_before_anything_is_installed(copy, words, says):
    (copy / "notebooks").mkdir()
    (copy / "notebooks" / "00_start_here.ipynb").touch()
    status, output = lab(copy, *words.split())
    assert (status, output) == (2, f"lab.py: {says} Help: python3 lab.py -h\n")
    assert not (copy / ".venv").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["lab.py", "-h"], "lab.py: No space left on device.\n"),
        (["-m", "tools.solutions", "--check"], "the output or a file: No space left on device.\n"),
        (["-m", "tools.wheelhouse", "--out", "lab.py"], f"{ROOT / 'lab.py'}: File exists.\n"),
        (["-m", "tools.wheelhouse", "--out", "/dev/full/x"], "/dev/full/x: Not a directory.\n"),
    ],
)
def test_a_full_output_and_a_file_in_the_way_are_told_in_one_line(command, says):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (2, says)


def test_a_tool_that_is_interrupted_says_so(capsys):
    def work(root):
        raise KeyboardInterrupt

    assert notebooks.run(work, notebooks.parser("").parse_args([])) == 130
    assert capsys.readouterr() == ("", "interrupted.\n")


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("test", []),
        ("test --all --timings", ["--all", "--timings"]),
        (
            "test lab.py::test_it -k a -xvv -rs --tb=short -n 2",
            ["lab.py::test_it", "-k", "a", "-xvv", "-rs", "--tb=short", "-n", "2"],
        ),
        ("test -x -- --only-pytest -knows", ["-x", "--only-pytest", "-knows"]),
        ("lab --port 9999 --no-browser --ServerApp.token=x", ["--port", "9999", "--no-browser", "--ServerApp.token=x"]),
        ("--originals study/00_start_here.ipynb", ["--originals", "study/00_start_here.ipynb"]),
        ("lab -- --LabApp.any x", ["--LabApp.any", "x"]),
        ("refresh notebooks/00_start_here.ipynb --timings", ["notebooks/00_start_here.ipynb", "--timings"]),
        ("teach 00_start_here --committed", ["00_start_here", "--committed"]),
        ("wheelhouse --out there", ["--out", "there"]),
        ("bench --quick --rounds=3", ["--quick", "--rounds=3"]),
    ],
)
def test_what_may_be_asked_arrives_as_it_was_said(copy, monkeypatch, words, asked):
    module, arrived = load(copy), []
    (copy / "notebooks").mkdir()
    (copy / "notebooks" / "00_start_here.ipynb").touch()
    for name in ("set_up", "add_browser", "warm_up"):
        monkeypatch.setattr(module, name, lambda: None)
    monkeypatch.setattr(module, "lab", lambda rest: arrived.extend(rest) or 0)
    monkeypatch.setattr(module, "run", lambda command, env: arrived.extend(command) or 0)
    assert module.main(words.split()) == 0
    assert arrived[len(arrived) - len(asked) :] == asked
    assert "--" not in arrived


def test_each_option_that_is_let_through_is_one_of_the_program_behind_it(capsys):
    from jupyterlab.labapp import LabApp

    known = {
        name: {*arguments.TAKES_VALUE.get(name, "").split(), *arguments.FLAGS.get(name, "").split()}
        for name in COMMANDS
    }
    jupyter = {f"--{name}" for name in [*LabApp.aliases, *LabApp.flags]} | {"-y", "--version", "--originals"}
    assert known["lab"] <= jupyter
    plugins = ["-p", "xdist", "-p", "pytest_cov", "-p", "nbval"]
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "--help", "-p", "tools.keep_executed", *plugins],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", said, re.IGNORECASE))
    assert known["test"] - words == {"--all", "--timings"}
    for name in ("book", "refresh", "teach", "wheelhouse"):
        with pytest.raises(SystemExit):
            importlib.import_module(f"tools.{name}").main(["-h"])
        usage = capsys.readouterr().out
        there = set(re.findall(r"\[(--[\w-]+)", usage))
        assert known[name] == there - {"--root"}
        assert ("NOTEBOOK" in usage) == (name in ("refresh", "teach"))
    bench = (ROOT / "benchmarks" / "bench.py").read_text(encoding="utf-8")
    assert known["bench"] == set(re.findall(r'add_argument\("(--\w+)"', bench))


def test_nothing_is_done_when_nothing_changed_but_to_ask_the_library(copy, monkeypatch, capfd):
    fake_finished_venv(copy)
    assert lab(copy, "setup") == (0, "asked: warmup\n")
    module = load(copy)
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: started.append("an installer"))
    monkeypatch.setattr(subprocess, "call", lambda command, **options: started.append(command) or 0)
    assert module.main(["setup"]) == 0
    assert started == [[module.PY, "-m", "memcg_lab", "warmup"]]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("args", [["--wheelhouse"], ["--wheelhouse", "nowhere", "test"]])
def test_a_wheelhouse_that_is_not_there_is_told(copy, args):
    status, output = lab(copy, *args)
    assert status == 2
    assert "--wheelhouse needs the folder that `lab.py wheelhouse` made" in output
    assert not (copy / ".venv").exists()


def test_from_a_wheelhouse_neither_uv_nor_pip_asks_an_index(copy, monkeypatch):
    module, ran = load(copy), []
    (copy / "wheels").mkdir()
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(name, "")  # and put back what was there
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(module, "ensure_pip", lambda: None)
    monkeypatch.setattr(module, "quiet", lambda command: ran.append((command, dict(os.environ))) or (1, "no"))
    assert module.without_network([str(copy / "wheels"), "test", "-k", "x"]) == ["test", "-k", "x"]
    assert module.install(".[test]")
    (uv, uv_env), (pip, pip_env) = ran
    assert uv[:3] == ["uv", "pip", "install"]
    assert "--no-index" in uv
    assert pip[1:4] == ["-m", "pip", "install"]
    assert uv_env["UV_FIND_LINKS"] == pip_env["PIP_FIND_LINKS"] == str(copy / "wheels")
    assert pip_env["PIP_NO_INDEX"] == "1"


def test_a_wheelhouse_has_what_a_set_up_installs_and_what_it_installs_with():
    wanted = [re.match(r"[\w-]+", line)[0] for line in wheelhouse.wanted(ROOT)]
    assert {"numba", "jupyterlab", "sphinx", "pytest", "setuptools", "pip", "uv"} <= set(wanted)


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_change_is_noticed(copy, changed):
    fake_finished_venv(copy)
    module = load(copy)
    before = module.fingerprint()
    with (copy / changed).open("a") as file:
        file.write("\n# changed\n")
    assert module.fingerprint() != before


def test_a_warm_up_that_fails_stops_nothing(copy):
    fake_finished_venv(copy)
    (copy / "memcg_lab" / "__main__.py").write_text("raise SystemExit('no room')\n")
    status, output = lab(copy, "setup")
    assert status == 0
    assert output.splitlines()[0] == "no room"
    assert "The warm-up failed, see above. Going on" in output


# JupyterLab stands for a reader who leaves as soon as the warm-up has begun; the warm-up has a child, and would go on.
FAKE_JUPYTERLAB = """
import pathlib, sys, time
print("JupyterLab:", *[word for word in sys.argv if word.endswith(".ipynb")])
while not pathlib.Path("begun").exists():
    time.sleep(0.01)
raise SystemExit(7)
"""
FAKE_WARM_UP = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1); open('survived', 'w')"])
pathlib.Path("begun.new").write_text(" ".join(sys.argv[1:]))
pathlib.Path("begun.new").rename("begun")
child.wait()
"""


@pytest.mark.skipif(os.name == "nt", reason="there the child of the warm-up ends by itself")
def test_jupyterlab_opens_at_once_and_the_warm_up_beside_it_ends_with_it(copy):
    fake_finished_venv(copy)
    (copy / "jupyterlab").mkdir()
    (copy / "jupyterlab" / "__main__.py").write_text(FAKE_JUPYTERLAB)
    (copy / "memcg_lab" / "__main__.py").write_text(FAKE_WARM_UP)
    stand_in(copy, "tools", "study", "print('copies are made')")
    status, output = lab(copy)
    assert status == 7
    assert output.splitlines() == [
        "copies are made",
        "lab.py: Opening JupyterLab on study/. Ctrl-C twice ends it.",
        "JupyterLab: --LabApp.default_url=/lab/tree/study/00_start_here.ipynb",
    ]
    assert (copy / "begun").read_text() == "warmup --background"
    time.sleep(1.5)
    assert not (copy / "survived").exists()


@pytest.mark.parametrize("words", [["--originals"], ["lab", "--originals"], []])
def test_who_writes_the_course_and_who_can_have_no_copies_gets_the_originals(copy, words):
    fake_finished_venv(copy)
    stand_in(copy, "jupyterlab", "__main__", "print(*[a for a in sys.argv if 'original' in a or 'url' in a])")
    stand_in(copy, "tools", "study", "sys.exit('No copies of your own.')")
    (copy / "memcg_lab" / "__main__.py").write_text("")
    status, output = lab(copy, *words)
    assert status == 0
    assert output.splitlines()[-2:] == [
        "lab.py: Opening JupyterLab on notebooks/. Ctrl-C twice ends it.",
        "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb --LabApp.news_url=None",
    ]
    assert ("No copies of your own." in output) == (not words)


@pytest.mark.parametrize("present", ["half-made", "finished"])
def test_a_dead_network_is_named_and_leaves_nothing_half_made(copy, present):
    fake_finished_venv(copy)
    with (copy / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    stamp = copy / ".venv" / "lab.stamp"
    old = stamp.read_text()
    if present == "half-made":
        stamp.unlink()
    status, output = lab(
        copy,
        "setup",
        PIP_INDEX_URL=DEAD_INDEX,
        PIP_EXTRA_INDEX_URL="",
        PIP_NO_CACHE_DIR="1",
        UV_INDEX_URL=DEAD_INDEX,
        UV_HTTP_RETRIES="0",
        UV_NO_CACHE="1",
        PATH=str(pathlib.Path(sys.executable).parent) if os.name == "nt" else "/usr/bin:/bin",
    )
    assert status == 1
    *_, last = output.splitlines()
    assert last.startswith("lab.py: The network is down, or the package index cannot be reached: could not fetch ")
    if present == "half-made":
        assert not (copy / ".venv").exists()
    else:  # put back as it was, and its stamp still says that it is out of date
        assert stamp.read_text() == old
        assert "The earlier .venv was put back." in output
    assert not (copy / ".venv.old").exists()


def stand_in(folder, package, module, code):
    """Put a package into a folder that Python takes before the real one."""
    (folder / package).mkdir(exist_ok=True)
    (folder / package / "__init__.py").touch()
    (folder / package / f"{module}.py").write_text(f"import sys\n{code}\n")


def test_what_a_browser_needs_is_added_once_where_it_is_asked_for(copy, tmp_path):
    fake_finished_venv(copy)
    stand_in(copy, "tools", "suite", "print('tests:', *sys.argv[1:])")
    path = fake_uv(tmp_path / "bin", "import sys; print(*sys.argv[1:], file=open('asked', 'a'))")
    assert lab(copy, "test", PATH=path) == (0, "tests:\n")
    assert not (copy / "asked").exists()
    adds = "lab.py: Adding what the tests in a browser need.\nlab.py: Installing the packages with uv.\n"
    assert lab(copy, "test", "--all", PATH=path) == (0, f"{adds}tests: --all\n")
    assert lab(copy, "test", "--all", PATH=path) == (0, "tests: --all\n")
    (asked,) = (copy / "asked").read_text().splitlines()
    assert asked.endswith(" -e .[test,browser]")


def test_where_it_cannot_be_had_the_tests_run_without_it(copy):
    fake_finished_venv(copy)
    stand_in(copy, "tools", "suite", "print('tests:', *sys.argv[1:])")
    stand_in(copy, "pip", "__main__", "sys.exit('Connection refused' if 'install' in sys.argv else 0)")
    status, output = lab(copy, "test", "--all", MEMCG_LAB_INSTALLER="pip")
    assert status == 0
    *_, trouble, tests = output.splitlines()
    assert trouble.startswith("lab.py: The network is down, or the package index cannot be reached: could not fetch ")
    assert trouble.endswith(" The tests in a browser will be skipped.")
    assert tests == "tests: --all"


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_the_package(copy, tmp_path, module):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / f"{module}.py").write_text("raise ModuleNotFoundError(__name__)\n")
    status, output = lab(copy, "setup", PYTHONPATH=str(broken), MEMCG_LAB_INSTALLER="pip")
    assert status == 1
    *_, last = output.splitlines()
    assert f"no working {module} module" in last
    version = ".".join(map(str, sys.version_info[:2]))
    assert f"sudo apt install python{version}-venv" in last
    assert not (copy / ".venv").exists()


def test_a_half_made_venv_is_made_anew(copy):
    (copy / "pyproject.toml").write_text(OFFLINE_PYPROJECT)
    (copy / "backend.py").write_text(OFFLINE_BACKEND)
    junk = copy / ".venv" / BIN / "junk"
    junk.parent.mkdir(parents=True)
    junk.touch()
    status, output = lab(copy, "setup", MEMCG_LAB_INSTALLER="pip", PIP_INDEX_URL=DEAD_INDEX)
    assert status == 0, output
    assert "Setting up .venv once" in output
    assert output.endswith("asked: warmup\n")
    assert not junk.exists()
    # Finished: the second start does nothing.
    assert lab(copy, "setup") == (0, "asked: warmup\n")


# --- killed ----------------------------------------------------------------------------------------------------------
def fake_uv(folder, script):
    """Put a program named uv into a folder; return a PATH that has it first."""
    folder.mkdir(exist_ok=True)
    program = folder / "uv"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def runs(pid):
    """True while a process is there and no zombie."""
    try:
        return "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere no system call ends a child with its parent"
)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_killed_alone_it_leaves_no_installer_running_and_the_next_set_up_works(copy, tmp_path, how):
    said = tmp_path / "pid"
    slow = f"import os, time; open({str(said)!r} + '_', 'w').write(str(os.getpid())); " + (
        f"os.rename({str(said)!r} + '_', {str(said)!r}); time.sleep(50)"
    )
    env = {**os.environ, "PATH": fake_uv(tmp_path / "bin", slow)}
    with subprocess.Popen(
        [sys.executable, str(copy / "lab.py"), "setup"], env=env, stdout=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 30
        while not said.exists() and time.monotonic() < end:
            time.sleep(0.02)
        installer = int(said.read_text())
        assert runs(installer)
        process.send_signal(how)
        process.wait(10)
    end = time.monotonic() + 10
    while runs(installer) and time.monotonic() < end:
        time.sleep(0.02)
    assert not runs(installer)
    if how != signal.SIGKILL:
        assert process.returncode == 128 + how
        assert not (copy / ".venv").exists()
    status, said = lab(copy, "setup", PATH=fake_uv(tmp_path / "bin", ""))
    assert (status, said.splitlines()[-1]) == (0, "asked: warmup")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EROFS, "This folder may not be written to; copy the collection to one that may."),
        (errno.ENOTEMPTY, "Close every program that uses it"),
    ],
)
def test_a_venv_that_cannot_be_replaced_is_told_with_what_helps(copy, monkeypatch, number, says):
    module = load(copy)

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "remove", refuse)
    with pytest.raises(SystemExit, match=says):
        module.set_up()
