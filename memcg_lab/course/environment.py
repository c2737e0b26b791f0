"""Is everything in place? Lines that are the same on every machine where it is."""

import importlib.util
import re
import sys

from .. import _jit
from ..checks import shown
from ..files import DATA
from ..mechanism.policy import V4_13, V4_14, bind
from ..system import System
from ..warmup import kernels, not_ready
from ..words import count
from ..workload import pingpong

PYTHON = (3, 11)


def setup(notebook="00"):
    """Make a notebook ready: load the rule before and after the patch, compiling it at the very first time.

    Parameters
    ----------
    notebook : str
        Its two digits.

    Raises
    ------
    ValueError
        If it is not two digits.

    Examples
    --------
    >>> setup(notebook="04")  # doctest: +ELLIPSIS
    memcg-lab ... is ready.
    """
    if not isinstance(notebook, str) or not re.fullmatch(r"\d\d", notebook):
        raise ValueError(f'notebook is {shown(notebook)}; it must be two digits, such as "04".')
    for policy in (V4_13, V4_14):
        System.chain(depth=1, cpus=1, policy=policy).replay(pingpong(1))
    print(f"memcg-lab {version()} is ready.")


def version():
    """The library's version, such as "0.1.0"."""
    # Asked at run time: a room does not import the vocabulary it is part of.
    return sys.modules[__name__.partition(".")[0]].__version__


def check_environment():
    """Say what is in place and what to mend, one line each.

    Examples
    --------
    >>> check_environment()  # doctest: +SKIP
    ok    Python is 3.11 or newer
    ok    numba compiles
    """
    lines, mends = [], 0
    for claim, look in CHECKS.items():
        try:
            mend = look()
        except _Later as error:
            lines.append(f"wait  {claim}: {error}.")
            continue
        except Exception as error:
            mend = f"{type(error).__name__} came up; set the environment up anew with lab.py setup"
        mends += bool(mend)
        lines.append(f"mend  {claim}: {mend}." if mend else f"ok    {claim}")
    lines.append(f"{count(mends, 'thing')} to mend." if mends else "All is in place.")
    print("\n".join(lines))  # at the end, because a cell that has an output cannot say that it waits


class _Later(Exception):
    """Nothing to mend, but not in place yet."""


def _python():
    if sys.version_info < PYTHON:
        return f"this is {sys.version_info[0]}.{sys.version_info[1]}; make the environment with a newer Python"
    return ""


def _compiles():
    if not _jit.JIT:
        return "NUMBA_DISABLE_JIT is set; unset it and restart the kernel, or runs take some hundred times longer"
    System.chain(depth=1, cpus=1).replay(pingpong(1))
    return ""


def _agrees():
    system = System.chain(depth=2, cpus=1)
    system.replay(pingpong(100, memcg=2))
    broken = [held.name for held in system.invariants() if not held.holds]
    return f"{broken[0]} does not hold; get the files anew, one of them was changed" if broken else ""


def _on_disk():
    if _jit.is_kept(bind(V4_14)):
        return ""
    return "no folder can be written; set NUMBA_CACHE_DIR to one that can, or wait 10 seconds at each start"


def _compiled():
    missing, total = len(not_ready()) if _jit.JIT else 0, len(kernels())
    if missing:
        raise _Later(f"{total - missing} of {total}; a cell that needs another one waits for it")
    return ""


def _installed(package):
    def look():
        if importlib.util.find_spec(package) is None:
            return f"it is missing; run lab.py setup, or pip install {package}"
        return ""

    return look


def _data():
    return "" if (DATA / "patch").is_dir() else "it is not beside the library; open the notebooks in a full copy"


CHECKS = {
    "Python is 3.11 or newer": _python,
    "numba compiles": _compiles,
    "a first run keeps every page counted": _agrees,
    "kernels can be kept on disk": _on_disk,
    "kernels of the notebooks are compiled": _compiled,
    "pandas is installed": _installed("pandas"),
    "matplotlib is installed": _installed("matplotlib"),
    "ipywidgets is installed": _installed("ipywidgets"),
    "JupyterLab is installed": _installed("jupyterlab"),
    "data/ is found": _data,
}
