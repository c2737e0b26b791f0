"""A reader's own function is tried: in Python, so that it answers at once, and with an end to its patience."""

import re
import sys
import warnings

import numpy as np

from .. import _jit
from ..mechanism.policy import bind
from ..mechanism.records import State
from ..system import System
from ..words import capital

STEPS = (
    1_000_000  # of the interpreter in the reader's own code, for one call; an honest rule takes some fifty an operation
)


class TooLong(Exception):
    """A function of the reader's does not come to an end."""


def patiently(call, steps=STEPS):
    """What ``call()`` gives; TooLong once it has executed so many steps that are not of this library.

    One operation inside C, such as the sum of an endless row, cannot be counted and is not stopped.
    """
    left = steps

    def count(frame, event, arg):
        nonlocal left
        left -= 1
        if left < 0:
            raise TooLong
        return count

    def enter(frame, event, arg):
        if frame.f_globals.get("__name__", "").partition(".")[0] in (_jit.PACKAGE.name, "numpy"):
            return None
        frame.f_trace_opcodes = True  # Python 3.11 tells of no new line in `while True: pass`
        return count

    old = sys.gettrace()
    sys.settrace(enter)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    finally:
        sys.settrace(old)


class Trial:
    """A system whose rules Python runs, uncompiled; what a reader wrote may be among them.

    Parameters
    ----------
    system : System
        It is changed by :meth:`replay`, as by its own.
    """

    def __init__(self, system):
        self.system = system
        self._run = _jit.as_python(bind(system.policy))

    def replay(self, ops):
        """Execute operations; whatever the reader's rule raises comes out of here, and TooLong."""
        state = State(*(_recarray(part) for part in self.system.mechanism_state(None)))
        patiently(lambda: self._run(state, ops.view(np.recarray), self.system.underflow == "refuse"))

    def snapshot(self):
        """The state, as :meth:`System.snapshot` gives it."""
        return self.system.snapshot()


def siblings(policy):
    """Two cgroups below the root on two CPUs; what cannot be is counted, as in the kernel."""
    return Trial(System.siblings(2, cpus=2, policy=policy, underflow="record"))


def _recarray(part):
    return part.view(np.recarray) if isinstance(part, np.ndarray) and part.dtype.names else part


def stopped(error):
    """What went wrong in a reader's function, in one sentence without paths and addresses."""
    if isinstance(error, TooLong):
        return "Your function does not come to an end. Look at what ends its loop."
    if isinstance(error, SystemExit):
        return "Your function leaves Python altogether; it should come back with an answer."
    line = re.sub(r"0x[0-9a-f]+", "", " ".join(str(error).split()))[:120].rstrip(".: ")
    missing = re.search(r"name '(\w+)' is not defined", line)
    if missing:
        return f"The name {missing[1]} is not known where the function stands; import it first."
    return f"Your function stopped with {capital(type(error).__name__)}{': ' if line else ''}{line}."
