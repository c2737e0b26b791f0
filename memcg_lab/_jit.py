"""The one place that knows numba: how kernels are compiled, kept on disk and found again."""

import contextlib
import contextvars
import dis
import functools
import hashlib
import inspect
import os
import pathlib
import pickle
import re
import sys
import threading
import time
import types
import uuid
import warnings

import llvmlite.ir
import numba
import numpy as np
from numba import config, njit
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import CompileResultCacheImpl, NullCache
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError, NumbaWarning
from numba.core.serialize import dumps

try:
    from fcntl import LOCK_EX, LOCK_NB, flock

    def _lock(file):
        flock(file, LOCK_EX | LOCK_NB)

except ImportError:  # Windows
    from msvcrt import LK_NBLCK, locking

    def _lock(file):
        locking(file.fileno(), LK_NBLCK, 1)


JIT = not config.DISABLE_JIT

# `_nrt=False` switches reference counting off: each call otherwise counts on its array arguments, which costs
# 2 to 6 times (numba 0.66 and later no longer remove it). The price is that a kernel may not allocate or return an
# array; numba refuses to compile one that allocates. The option is private, so a test notices its end.
_OPTIONS = {"nogil": True, "_nrt": False}

# What only compiled code calls. A way in from Python unpacks about ninety numbers, and all those of the inner functions
# took a third of the compiler's time.
_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

# numba numbers the functions it compiles from 1 in each process, and the linker takes the first of two equal names.
# Two kernels that were compiled in different processes and loaded into one would share their helpers, whatever those
# do. With numbers that never come twice they cannot.
FunctionIdentity._unique_ids = iter(lambda: uuid.uuid4().int >> 64, None)

PACKAGE = pathlib.Path(__file__).resolve().parent
PATIENCE = 120  # seconds to wait for another process that compiles the same
KEEP = 128  # files in one folder; those not used for the longest time go first


def inline(rule):
    """Compile a short rule so that it disappears into its caller; a compiled rule is returned as it is."""
    return rule if isinstance(rule, Dispatcher) else _compiled(rule, forceinline=True, **_INNER)


def function(rule):
    """Compile a longer function that is shared by several callers."""
    return _compiled(rule, **_INNER)


def _compiled(python, **options):
    dispatcher = njit(**{**_OPTIONS, **options})(python)
    if JIT and "no_cpython_wrapper" in options:  # to numba it would be a function at address 0

        def keep(result):
            dispatcher.overloads[tuple(result.signature.args)] = result

        def refuse(*arguments, **named):
            raise TypeError(f"{python.__qualname__} is for compiled code; from Python call {python.__name__}.py_func")

        dispatcher.add_overload, dispatcher._compile_for_args = keep, refuse
    return dispatcher


def kernel(name):
    """Compile an entry point called from Python; ``name`` is what a reader who waits for the compiler is told.

    Its machine code is kept on disk if this package wrote all of it. A reader's own rule in it, even one, and the code
    lives as long as the process.
    """

    def compiled(python):
        dispatcher = _compiled(python)
        if JIT:
            try:
                content(dispatcher)
            except Foreign:
                dispatcher = checked(dispatcher, {})
            dispatcher._cache = _Cache(name, dispatcher)
            dispatcher.compile = functools.partial(_compile, dispatcher)
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
        options = {name: value for name, value in dispatcher.targetoptions.items() if name != "nopython"}
        twins[dispatcher] = _compiled(twin, **{**options, "boundscheck": True})
    return twins[dispatcher]


def as_python(value, twins=None):
    """The same function, and all that it calls of ours and of the reader's, as Python runs it: nothing is compiled.

    Such a twin takes ``recarray`` views of the arrays. It answers at once, the steps of a reader's rule can be counted,
    and what goes wrong in it is Python's own error. ``twins`` has those made so far.
    """
    twins = {} if twins is None else twins
    python = getattr(value, "py_func", value)
    if isinstance(value, types.ModuleType) and is_packaged(value):
        module = types.ModuleType(value.__name__)
        module.__dict__.update({name: as_python(member, twins) for name, member in vars(value).items()})
        return module
    if not isinstance(python, types.FunctionType) or (python.__module__ or "").split(".")[0] in _LIBRARIES:
        return value
    if python not in twins:
        cells = tuple(types.CellType() for _ in python.__closure__ or ())
        known = {**python.__globals__, "CHECKED": True}
        twin = types.FunctionType(python.__code__, known, python.__name__, python.__defaults__, cells)
        twin.__kwdefaults__, twin.__module__ = python.__kwdefaults__, python.__module__
        twins[python] = twin
        for name in _names(python.__code__):
            if name in known:
                known[name] = as_python(known[name], twins)
        for cell, old in zip(cells, python.__closure__ or (), strict=True):
            cell.cell_contents = as_python(old.cell_contents, twins)
    return twins[python]


def run_checked(dispatcher, arguments, halt):
    """Call what a reader's rule is bound into, in a thread of its own, so that the reader can interrupt it.

    Compiled code hears no signal. On an interrupt ``halt()`` asks it to stop, which all functions of ours do; a loop in
    the rule itself cannot be stopped. Then the thread is left behind, and the caller must not use its arrays again.

    Raises
    ------
    KeyboardInterrupt
        With True as its argument if the thread is still running.
    ValueError
        If a rule cannot be compiled.
    """
    if not JIT:
        return dispatcher(*arguments)
    _compile_rules(dispatcher, arguments)
    if threading.current_thread() is not threading.main_thread():
        return dispatcher(*arguments)
    outcome, ended = [], threading.Event()  # Python 3.11 calls a thread dead whose `join` was interrupted

    def work():
        try:
            outcome.append(dispatcher(*arguments))
        except BaseException as error:
            outcome.append(error)
        ended.set()

    try:
        threading.Thread(target=work, daemon=True).start()
        while not ended.wait(0.05):
            pass
    except KeyboardInterrupt:
        halt()
        raise KeyboardInterrupt(*[True] * (not ended.wait(1))) from None
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def records(array):
    """The array in the form kernels read: plain for numba, with attribute access when Python runs the same code."""
    return array if JIT or array is None else array.view(np.recarray)


def is_packaged(rule):
    """True for a rule that is part of this package, so that its machine code may be kept on disk."""
    return (getattr(rule, "__module__", None) or getattr(rule, "__name__", "")).split(".")[0] == __package__


def is_kept(kernel):
    """True if the machine code of a kernel is kept on disk, or nothing is compiled at all."""
    return not JIT or kernel._cache.path((), kernel.targetctx.codegen()) is not None


def source(rule):
    """The Python source of a rule, compiled or not."""
    return inspect.getsource(getattr(rule, "py_func", rule))


# --- what a kernel is made of ----------------------------------------------------------------------------------------
class Foreign(Exception):
    """Something in a kernel is not of this package, or of a kind that cannot be compared."""


_LIBRARIES = {"numba", "llvmlite", "numpy", *sys.stdlib_module_names}  # their versions are part of each key
_VERSIONS = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)


def content(rule):
    """All that the machine code of a function is made of, down to the last function and constant it reaches.

    Bytecode and values, no names and no docstrings: what is not compiled does not count.

    Raises
    ------
    Foreign
        If part of it is a reader's own, or something that is not known to stay the same.
    """
    return hashlib.sha256(repr(_made_of(rule, {})).encode()).hexdigest()


def _made_of(value, seen):
    if isinstance(value, Dispatcher):
        return "compiled", sorted(value.targetoptions.items()), _made_of(value.py_func, seen)
    if hasattr(value, "_defn"):  # numba's intrinsic
        return "intrinsic", value._prefer_literal, _made_of(value._defn, seen)
    if isinstance(value, (tuple, list)):
        fields = getattr(value, "_fields", None)
        return type(value).__name__, fields, [_made_of(item, seen) for item in value]
    if isinstance(value, dict):
        return "dict", [(_made_of(key, seen), _made_of(item, seen)) for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return "set", sorted(repr(_made_of(item, seen)) for item in value)
    if value is None or value is ... or isinstance(value, (bool, int, float, complex, str, bytes)):
        return type(value).__name__, repr(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return "numpy", str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, types.CodeType):
        return _code(value, None, seen)
    if isinstance(value, types.FunctionType) and is_packaged(value):
        if value in seen:
            return seen[value]
        seen[value] = len(seen)
        cells = [_made_of(cell.cell_contents, seen) for cell in value.__closure__ or ()]
        named = {name: value.__globals__[name] for name in _names(value.__code__) if name in value.__globals__}
        return (
            _code(value.__code__, value.__doc__, seen),
            _made_of((value.__defaults__, value.__kwdefaults__, named), seen),
            cells,
        )
    if isinstance(value, type) and is_packaged(value) and issubclass(value, tuple):
        return value.__name__, value._fields
    if isinstance(value, (np.dtype, numba.types.Type, llvmlite.ir.Type)):
        return type(value).__name__, str(value)
    home = getattr(value, "__module__", None) or getattr(value, "__name__", "")
    if hasattr(value, "__name__") and home.split(".")[0] in _LIBRARIES:
        return home, getattr(value, "__qualname__", value.__name__)
    raise Foreign(f"{value!r} in a kernel")


def _code(code, docstring, seen):
    constants = [None if constant is docstring else constant for constant in code.co_consts]
    names = code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    return code.co_code, code.co_exceptiontable, names, counts, _made_of(constants, seen)


@functools.cache
def _names(code):
    """Names that a function looks up in its module."""
    found = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return sorted(found.union(*(_names(inner) for inner in code.co_consts if isinstance(inner, types.CodeType))))


# --- kept on disk ----------------------------------------------------------------------------------------------------
# What a call may do when its machine code is not there: compile it, wait for another process that does, and say so.
_may = contextvars.ContextVar("may", default=frozenset({"compile", "wait", "tell"}))


class NotCompiled(Exception):
    """A call would have to compile, or to wait, and may not."""


def attempt(call, *may):
    """Call something that may ``"compile"`` and ``"wait"`` for another process, or neither; false if it would have to.

    Nothing is said of it.
    """
    token = _may.set(frozenset(may))
    try:
        call()
    except NotCompiled:
        return False
    finally:
        _may.reset(token)
    return True


class _Cache(NullCache):
    """Machine code on disk: one file for each kernel, signature and CPU, named by all that it was made of.

    There is no index that could disagree with the files, and a file is never changed. Any failure to look, load or keep
    means: compile, and do not keep.
    """

    def __init__(self, name, dispatcher):
        self.name, self._dispatcher = name, dispatcher
        self.turn = contextlib.ExitStack()  # what is held while numba compiles: a lock, a line on the screen

    def path(self, signature, codegen):
        """The file for a signature, or None if it cannot be kept."""
        try:
            made_of = self._content, str(signature), codegen.magic_tuple(), _VERSIONS, bool(config.BOUNDSCHECK)
            digest = hashlib.sha256(repr(made_of).encode()).hexdigest()
            name = self._dispatcher.__name__.strip("<>")  # of a lambda
            return pathlib.Path(self._impl.locator.get_cache_path(), f"{name}-{digest[:32]}.nbc")
        except Exception:  # a reader's own rule, no folder that can be written to, or what nobody thought of
            return None

    @functools.cached_property
    def _content(self):
        return content(self._dispatcher)

    @functools.cached_property
    def _impl(self):
        return CompileResultCacheImpl(self._dispatcher.py_func)

    def load_overload(self, signature, context):
        """Load machine code; None, which makes numba compile, if there is none."""
        path = self.path(signature, context.codegen())
        found = self._read(path, context)
        if found is None and "compile" not in _may.get():
            raise NotCompiled(self.name)
        if found is None and path is not None:
            self._take_turn(path.with_suffix(".lock"))
            found = self._read(path, context)
        if found is None and "tell" in _may.get():
            later = "; later runs load it" if path else ""
            self.turn.enter_context(told(f"compiling {self.name}, about 10 seconds{later}"))
        return found

    def save_overload(self, signature, result):
        """Keep machine code."""
        path = self.path(signature, result.codegen)
        with contextlib.suppress(Exception):
            if path is not None and self._impl.check_cachable(result):
                code = dumps(self._impl.reduce(result))
                new = path.with_suffix(f".{uuid.uuid4().hex}.nbc")
                try:
                    new.write_bytes(hashlib.sha256(code).digest() + code)
                    new.replace(path)
                finally:
                    new.unlink(missing_ok=True)
                for old in sorted(path.parent.glob("*.nbc"), key=os.path.getmtime)[:-KEEP]:
                    old.unlink()

    def _read(self, path, context):
        with contextlib.suppress(Exception):
            data = path.read_bytes()
            if hashlib.sha256(data[32:]).digest() == data[:32]:
                context.refresh()
                found = self._impl.rebuild(context, pickle.loads(data[32:]))
                with contextlib.suppress(OSError):
                    os.utime(path)
                return found
        return None

    def _take_turn(self, path):
        """Return when no other process compiles the same; also after a while, or where nobody can know."""
        give_up, said = time.monotonic() + PATIENCE, False
        with contextlib.ExitStack() as waiting, contextlib.suppress(OSError):
            file = self.turn.enter_context(path.open("w"))
            while time.monotonic() < give_up:
                try:
                    _lock(file)  # the system gives it back when this process ends, however it ends
                    return self.turn.callback(_remove, path)
                except (BlockingIOError, PermissionError):
                    if "wait" not in _may.get():
                        raise NotCompiled(self.name) from None
                if "tell" in _may.get() and not said:
                    waiting.enter_context(told(f"waiting for {self.name}, which another process compiles"))
                    said = True
                time.sleep(0.1)


def _compile(dispatcher, signature):
    with dispatcher._cache.turn:
        return type(dispatcher).compile(dispatcher, signature)


def _compile_rules(dispatcher, arguments):
    """Compile what a reader's rule is bound into; what is wrong in it is said in a sentence."""
    signature = tuple(dispatcher.typeof_pyval(argument) for argument in arguments)
    if signature in dispatcher.overloads:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        try:
            dispatcher.compile(signature)
        except (NumbaError, KeyError) as error:
            raise ValueError(f"a rule of {dispatcher._cache.name} cannot be compiled: {_reason(error)}.") from error


def _reason(error):
    """Of numba's many lines the one that says what is wrong."""
    if isinstance(error, KeyError):
        return f"there is no field {error}"
    around = ("Failed in nopython", "During:", "- ", "There are", "Enable logging", "This error", "File ", "<", "^")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.startswith(around)), "numba does not say why").rstrip(".:")


def _remove(path):
    with contextlib.suppress(OSError):
        path.unlink()


# --- said to who waits -----------------------------------------------------------------------------------------------
@contextlib.contextmanager
def told(message):
    """Say that a call waits, for as long as it waits.

    On standard error the line stays. In a notebook it is taken away again, and it is said only if somebody looks on
    and the cell has no other output that would go with it. So no notebook ever keeps it.
    """
    message = f"memcg-lab: {message}"
    shell = _notebook()
    if shell is None:
        print(message, file=sys.stderr, flush=True)
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    if not _somebody_looks_on(shell) or shell.kernel.session.message_count != _begun:
        yield
        return
    from IPython.display import clear_output, display

    display({"text/plain": message}, raw=True)
    try:
        yield
    finally:
        clear_output()
        _begin_cell()


def _notebook():
    """The IPython of a notebook, or None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None


def _somebody_looks_on(shell):
    """Programs that execute notebooks say that they could not answer a question."""
    return shell.kernel.get_parent().get("content", {}).get("allow_stdin", False)


def _begin_cell(*_):
    """Note how many messages the kernel had sent when the cell began; one more is an output."""
    global _begun
    _begun = _notebook().kernel.session.message_count


if _notebook():
    _begin_cell()
    _notebook().events.register("pre_run_cell", _begin_cell)
