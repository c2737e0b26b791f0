"""Build: every kernel as a WebAssembly file, one description of them all, and the golden files for a self-check."""

import concurrent.futures
import contextlib
import gzip
import hashlib
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from .. import _jit, forms
from ..checks import shown, whole_number
from ..files import DATA, path_of
from ..words import printable
from . import answers, compile, kernels

FORMAT = "memcg-lab web kernels 1"
DESCRIPTION = "kernels.json"
ANSWERS = "golden.json"
STACK = 1 << 16  # bytes; it lies below everything else, so that an overflow is a fault
LINKING = [
    *("--no-entry", f"--export={compile.ENTRY}", "--export=__heap_base", "--strip-all", "-O3"),
    *("--stack-first", "-z", f"stack-size={STACK}"),
]
JOBS_MAX = 4


def build(out, *, jobs=None, chosen=None, tell=lambda line: None):
    """Make the web's files in a folder: ``kernels.json``, ``golden.json`` and a ``.wasm`` for each kernel.

    A kernel of an earlier build in the same folder is kept if nothing it is made of has changed.

    Parameters
    ----------
    out : str or Path
        The folder. It is made if it is not there, and refused if it holds something else.
    jobs : int, optional
        Processes that compile at once; by default one a CPU, at most 4.
    chosen : sequence of (str, str), optional
        Kind and policy of the kernels to build; by default all.
    tell : callable
        Is called with a line for each kernel that is ready.

    Returns
    -------
    dict
        What ``kernels.json`` holds.

    Raises
    ------
    ValueError
        If there is no linker, the folder holds something else, or a kernel does not compile.
    """
    out = path_of(out)
    jobs = whole_number("jobs", min(os.cpu_count() or 1, JOBS_MAX) if jobs is None else jobs, 1, 64)
    link = linker()
    old = _earlier(out)
    chosen = kernels.names() if chosen is None else list(chosen)
    with tempfile.TemporaryDirectory(prefix="memcg-lab-") as scratch, concurrent.futures.ThreadPoolExecutor(jobs) as at:
        scratch = pathlib.Path(scratch)
        described = {}
        for kind, policy in chosen:
            made = kernels.kernel(kind, policy)
            arguments = forms.arguments_of(made.parameters, made.example)
            described[f"{kind} {policy}"] = {
                "kind": kind,
                "policy": policy,
                "file": f"{kernels.file_stem(kind, policy)}.wasm",
                "arguments": arguments,
                "returns": list(made.returns),
                "made_of": _made_of(made, arguments),
            }

        def one(name):
            told = described[name]
            code = _kept(out, old.get(name), told) or _built(scratch, told, link)
            told |= {"bytes": len(code), "gzip": len(gzip.compress(code, 9, mtime=0))}
            told["sha256"] = hashlib.sha256(code).hexdigest()
            (scratch / told["file"]).write_bytes(code)
            tell(f"{name}: {told['bytes']:,} bytes, {told['gzip']:,} with gzip")

        waiting = [at.submit(one, name) for name in described]
        try:
            for each in waiting:
                each.result()
        finally:
            at.shutdown(cancel_futures=True)
        description = {"format": FORMAT, **forms.description(), "kernels": described}
        files = {DESCRIPTION: description}
        if DATA.is_dir():
            files[ANSWERS] = answers.golden_answers()
        _write(out, scratch, [told["file"] for told in described.values()], files)
    return description


def linker():
    """The command of a linker for WebAssembly: that of the package ``ziglang``, or the system's ``wasm-ld``.

    Raises
    ------
    ValueError
        If there is none.
    """
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "wasm-ld"]
    found = shutil.which("wasm-ld")
    if not found:
        raise ValueError(
            "there is no linker for WebAssembly here; install one: pip install ziglang (this project's extra web), or "
            "LLVM's wasm-ld (Debian: apt install lld)."
        )
    return [found]


def imports_of(code):
    """What a WebAssembly file asks its host for: how many things; a kernel asks for none.

    Examples
    --------
    >>> imports_of(bytes.fromhex("0061736d01000000"))
    0
    """

    def number(at):
        value, shift = 0, 0
        while True:
            value |= (code[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if code[at - 1] < 0x80:
                return value, at

    at = 8  # magic number and version
    while at < len(code):
        section = code[at]
        size, at = number(at + 1)
        if section == 2:
            return number(at)[0]
        at += size
    return 0


# --- one kernel ------------------------------------------------------------------------------------------------------
def _made_of(made, arguments):
    """A digest of everything the file of a kernel is made of; None if that cannot be known."""
    with contextlib.suppress(_jit.Foreign):
        records = {name: forms.record_forms()[name] for name in (a.get("record") for a in arguments) if name}
        how = pathlib.Path(compile.__file__).read_text(encoding="utf-8"), LINKING, linker()[1:], _jit._VERSIONS
        all_of_it = _jit.content(made.dispatcher), arguments, records, how
        return hashlib.sha256(repr(all_of_it).encode()).hexdigest()


def _kept(out, old, told):
    """The file of an earlier build, if it would become the same."""
    if old is None or told["made_of"] is None or old.get("made_of") != told["made_of"]:
        return None
    with contextlib.suppress(OSError):
        code = (out / told["file"]).read_bytes()
        return code if hashlib.sha256(code).hexdigest() == old.get("sha256") else None


def _built(scratch, told, link):
    """Compile and link one kernel, in processes of their own."""
    wasm = scratch / told["file"]
    object_file = wasm.with_suffix(".o")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    # Nothing of the CPU here may be used, nor anything of a cache. Nothing is cached, and if it were, not for long.
    # Vectors would only be taken apart again: WebAssembly's need a feature that not every browser has.
    environment |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(scratch / "cache")}
    environment |= {"NUMBA_LOOP_VECTORIZE": "0", "NUMBA_SLP_VECTORIZE": "0", "PYTHONUTF8": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    compiling = [sys.executable, "-m", compile.__name__, str(object_file), told["kind"], told["policy"]]
    for command in (compiling, [*link, str(object_file), "-o", str(wasm), *LINKING]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["nothing was said"]
            what = "compiled" if command is compiling else f"linked by {' '.join(link)}"
            raise ValueError(f"{told['kind']} {told['policy']} cannot be {what}: {printable(said[-1])}")
    code = wasm.read_bytes()
    if imports_of(code):
        raise AssertionError(f"{wasm.name} has imports.")
    return code


# --- the folder ------------------------------------------------------------------------------------------------------
def _earlier(out):
    """The kernels of an earlier build in a folder; a folder that holds something else is refused."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return {}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        description = json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))
        if description["format"] == FORMAT:
            return description["kernels"]
    raise ValueError(f"{shown(str(out))} is there and holds something else; choose another folder, or an empty one.")


def _write(out, scratch, wasm, files):
    """Put everything into the folder; the description comes last, so that no half of a build has one."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        (scratch / name).write_text(text, encoding="utf-8")
    (out / DESCRIPTION).unlink(missing_ok=True)
    for old in out.glob("*.wasm"):
        old.unlink()
    for name in [*wasm, *(name for name in files if name != DESCRIPTION), DESCRIPTION]:
        shutil.move(scratch / name, out / name)
