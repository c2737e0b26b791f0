"""The one place that knows numba: how kernels are compiled, cached and warmed up."""

import functools
import hashlib
import inspect
import pathlib
import sys
import threading
import types

import numpy as np
from numba import config, njit
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

JIT = not config.DISABLE_JIT

# `_nrt=False` switches reference counting off: each call otherwise counts on its array arguments, which costs
# 2 to 6 times (numba 0.66 and later no longer remove it). The price is that a kernel may not allocate or return an
# array; numba refuses to compile one that allocates. The option is private, so tests/test_jit.py notices its end.
_OPTIONS = {"nogil": True, "_nrt": False}

PACKAGE = pathlib.Path(__file__).resolve().parent


def inline(rule):
    """Compile a short rule so that it disappears into its caller; a compiled rule is returned as it is."""
    if isinstance(rule, Dispatcher):
        return rule
    return njit(forceinline=True, **_OPTIONS)(rule)


def function(rule):
    """Compile a longer function that is shared by several callers."""
    return njit(**_OPTIONS)(rule)


def kernel(name, key=None):
    """Compile an entry point called from Python.

    Parameters
    ----------
    name : str
        Unique name of what was bound in; it becomes part of the symbol, so two kernels made by one factory never clash.
    key : str, optional
        What the kernel depends on beside the package's own files. With a key the machine code is kept on disk; without
        one (a reader's own rule) it lives as long as the process.
    """

    def compiled(python):
        python.__qualname__ = python.__name__ = f"{python.__name__}_{name}"
        if key is None and JIT:
            return checked(njit(**_OPTIONS)(python), {})
        dispatcher = njit(**_OPTIONS)(python)
        if key is not None and JIT:
            try:
                dispatcher._cache = _PackageCache(python, key)
            except RuntimeError:  # numba found no writable folder: compile anew in each process
                pass
        return dispatcher

    return compiled


# True in the twins that `checked` makes, and nowhere else.
CHECKED = False


def checked(dispatcher, twins):
    """A twin of a compiled function in which every index is checked, in all functions that it calls too.

    What a reader's rule is bound into is compiled like this: the rule may hand a wrong number to a function of ours, or
    leave one in the state. numba keeps one machine code a function, so the functions are made anew.

    ``twins`` has those made so far, by the function they come from.
    """

    def twin_of(value, names):
        if isinstance(value, Dispatcher):
            return checked(value, twins)
        if isinstance(value, types.ModuleType) and is_packaged(
            value
        ):  # a rule may say `page_counter.page_counter_charge`
            module = types.ModuleType(value.__name__)
            module.__dict__.update(
                {name: twin_of(getattr(value, name), names) for name in names if hasattr(value, name)}
            )
            return module
        return value

    if dispatcher not in twins:
        twins[dispatcher] = dispatcher  # until there is one: a field may be called like the function that writes it
        python = dispatcher.py_func
        names = python.__code__.co_names
        known = {name: value for name, value in python.__globals__.items() if name in names}
        twin = types.FunctionType(
            python.__code__,
            {**python.__globals__, **{name: twin_of(value, names) for name, value in known.items()}, "CHECKED": True},
            python.__name__,
            python.__defaults__,
            tuple(types.CellType(twin_of(cell.cell_contents, names)) for cell in python.__closure__ or ()),
        )
        twin.__qualname__, twin.__module__ = python.__qualname__, python.__module__
        inlined = dispatcher.targetoptions.get("forceinline", False)
        twins[dispatcher] = njit(forceinline=inlined, **{**_OPTIONS, "boundscheck": True})(twin)
    return twins[dispatcher]


def run_checked(dispatcher, arguments, halt):
    """Call what a reader's rule is bound into, in a thread of its own, so that the reader can interrupt it.

    Compiled code hears no signal. On an interrupt ``halt()`` asks it to stop, which all functions of ours do; a loop in
    the rule itself cannot be stopped. Then the thread is left behind, and the caller must not use its arrays again.

    Raises
    ------
    KeyboardInterrupt
        With True as its argument if the thread is still running.
    """
    if not JIT or threading.current_thread() is not threading.main_thread():
        return dispatcher(*arguments)
    dispatcher.compile(tuple(dispatcher.typeof_pyval(argument) for argument in arguments))
    outcome = []

    def work():
        try:
            outcome.append(dispatcher(*arguments))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.05)
    except KeyboardInterrupt:
        halt()
        thread.join(1)
        raise KeyboardInterrupt(thread.is_alive()) from None
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def records(array):
    """The array in the form kernels read: plain for numba, with attribute access when Python runs the same code."""
    return array if JIT or array is None else array.view(np.recarray)


def is_packaged(rule):
    """True for a rule that is part of this package, so that its machine code may be kept on disk."""
    return (getattr(rule, "__module__", None) or getattr(rule, "__name__", "")).split(".")[0] == __package__


def is_cached(dispatcher, arguments):
    """True if a call with such arguments loads or has already loaded machine code instead of compiling it."""
    if not JIT:
        return True
    types = tuple(dispatcher.typeof_pyval(argument) for argument in arguments)
    cache = dispatcher._cache
    return types in dispatcher.signatures or (isinstance(cache, _PackageCache) and cache.holds(types))


def say(message):
    """Tell about a compilation; on standard error, so that no notebook output and no pipe holds it."""
    if "ipykernel" not in sys.modules:
        print(message, file=sys.stderr, flush=True)


@functools.cache
def package_stamp():
    """Hash of every source file of the package.

    numba looks only at the file a cached function stands in, so a change in a helper of another file would go
    unnoticed. With this stamp any change of the package invalidates every cached kernel.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _PackageCache(FunctionCache):
    """numba's cache, keyed by the whole package, the bound policy and the bounds check flag."""

    def __init__(self, python, key):
        super().__init__(python)
        self._key = (key, bool(config.BOUNDSCHECK))
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=package_stamp(),
        )

    def _index_key(self, sig, codegen):
        # numba hashes the pickled closure here. Ours holds compiled rules, whose pickles differ in every process.
        return (sig, codegen.magic_tuple(), self._key)

    def holds(self, types):
        try:
            return any(key[0] == types and key[-1] == self._key for key in self._cache_file._load_index())
        except OSError:
            return False


def source(rule):
    """The Python source of a rule, compiled or not."""
    return inspect.getsource(getattr(rule, "py_func", rule))


def symbol(name, key):
    """A short name that two different policies never share, fit for a symbol and a file name."""
    digest = hashlib.sha256(repr((name, key, None if key else object())).encode()).hexdigest()[:12]
    letters = "".join(c if c.isalnum() else "_" for c in name)
    return f"{letters}_{digest}"


def announce(dispatcher, name, arguments):
    """Say so before a call that has to compile; the message is gone from a notebook's output, the pause is not."""
    if not is_cached(dispatcher, arguments):
        say(f"memcg-lab: compiling {name} for the first time, about 10 seconds; later runs load it")
