"""A reader's own function is tried: in Python, so that it answers at once, and with an end to its patience."""

import contextlib
import ctypes
import os
import re
import sys
import sysconfig
import threading
import time
import warnings

import numpy as np

from .. import _jit
from ..mechanism.policy import bind
from ..mechanism.records import State
from ..system import System
from ..words import capital

# Of the interpreter in the reader's own code: for one call, and for all calls of one trial. An honest rule takes some
# fifty an operation.
STEPS, STEPS_IN_ALL = 1_000_000, 10_000_000
# Python's own modules and what is installed: numpy, and numba where a policy with several slots is tried.
INSTALLED = (
    "<frozen ",
    *{sysconfig.get_paths()[kind] + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib")},
)
MEMORY = "there is"  # or, in a process with a limit, that limit
AGAIN = 0.02  # seconds; then a function that caught its end gets it again


class TooLong(Exception):
    """A function of the reader's does not come to an end."""


class Told(ValueError):
    """What went wrong in another process, as a sentence."""


class Left(Exception):
    """A function of the reader's raised what ends Python, or its loop, instead of an error."""


class _Stop(BaseException):
    """Raised inside the reader's function; `except Exception` there does not catch it."""


class Patience:
    """How many steps a reader's functions may still take, all calls together."""

    def __init__(self, steps=STEPS_IN_ALL):
        self.left = steps


def patiently(call, steps=STEPS, patience=None):
    """What ``call()`` gives; TooLong once it has executed so many steps that are not of this library.

    What ends Python, such as SystemExit, comes out as Left, which is an ordinary error; Ctrl-C stays what it is. One
    operation inside C, such as the sum of an endless row, cannot be counted and is not stopped.
    """
    most = steps if patience is None else min(steps, patience.left)
    left, chase = most, None

    def count(frame, event, arg):
        nonlocal left, chase
        left -= 1
        if left < 0:
            if chase is None:
                # Known before it begins: on a busy machine its first _Stop comes while its thread starts.
                chase = _Chase()
                chase.begin()
            raise _Stop  # Python takes the tracer away with it: if the reader catches this, the chase goes on
        return count

    def enter(frame, event, arg):
        library = frame.f_globals.get("__name__", "").partition(".")[0] == _jit.PACKAGE.name
        if library or frame.f_code.co_filename.startswith(INSTALLED):
            return None
        frame.f_trace_opcodes = True  # Python 3.11 tells of no new line in `while True: pass`
        return count

    old = sys.gettrace()
    sys.settrace(enter)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = call()
    except (Exception, KeyboardInterrupt):
        if chase is None:
            raise
    except _Stop:
        pass
    except BaseException as error:
        if chase is None:
            raise Left(type(error).__name__) from None
    finally:
        sys.settrace(old)
        if chase is not None:
            chase.end()
        if patience is not None:
            patience.left -= most - max(left, 0)
    if chase is not None:
        raise TooLong
    return answer


class _Chase:
    """Raises _Stop in the thread that made it, again and again, as long as the reader's code goes on there."""

    def __init__(self):
        self.thread, self.over, self.lock = threading.get_ident(), False, threading.Lock()

    def begin(self):
        with contextlib.suppress(RuntimeError):  # a Python without threads
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self.over:
            time.sleep(AGAIN)
            with self.lock:
                frame = sys._current_frames().get(self.thread)
                if not self.over and frame is not None and frame.f_code.co_filename != __file__:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), ctypes.py_object(_Stop))

    def end(self):
        while True:
            try:
                with self.lock:
                    self.over = True
                for _ in range(100):  # one that is on its way arrives here; taking it back stalls Python 3.11
                    pass
                return
            except _Stop:
                pass


class Trial:
    """A system whose rules Python runs, uncompiled; what a reader wrote may be among them.

    Parameters
    ----------
    system : System
        It is changed by :meth:`replay`, as by its own.
    patience : Patience, optional
        Of several trials together; by default one of its own.
    """

    def __init__(self, system, patience=None):
        self.system = system
        self.patience = Patience() if patience is None else patience
        self._run = _jit.as_python(bind(system.policy))

    def replay(self, ops):
        """Execute operations; whatever the reader's rule raises comes out of here, TooLong and Left too."""
        state = State(*(as_records(part) for part in self.system.mechanism_state(None)))
        strict = self.system.underflow == "refuse"
        patiently(lambda: self._run(state, ops.view(np.recarray), strict), patience=self.patience)

    def snapshot(self):
        """The state, as :meth:`System.snapshot` gives it."""
        return self.system.snapshot()


def siblings(policy):
    """Two cgroups below the root on two CPUs; what cannot be is counted, as in the kernel."""
    return Trial(System.siblings(2, cpus=2, policy=policy, underflow="record"))


def as_records(part):
    """An array of records as the library's functions take it where nothing is compiled; anything else as it is."""
    return part.view(np.recarray) if isinstance(part, np.ndarray) and part.dtype.names else part


def stopped(error):
    """What went wrong in a reader's function, in one sentence without paths and addresses."""
    if isinstance(error, Told):
        return str(error)
    if isinstance(error, TooLong):
        return "Your function does not come to an end. Look at what ends its loop."
    if isinstance(error, (Left, SystemExit)):
        return "Your function leaves Python altogether; it should come back with an answer."
    if isinstance(error, MemoryError):
        return f"Your function wants more memory than {MEMORY}."
    line = re.sub(r"0x[0-9a-f]+", "", " ".join(str(error).split()))[:120].rstrip(".: ")
    missing = re.search(r"name '(\w+)' is not defined", line)
    if missing:
        return f"The name {missing[1]} is not known where the function stands; import it first."
    return f"Your function stopped with {capital(type(error).__name__)}{': ' if line else ''}{line}."
