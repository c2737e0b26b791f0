"""A design run apart: its rules in a process of their own, the machine and all that is scored in this one.

For each call of a rule the other process gets the state, runs the rule on its copy, and answers with the result, the
stocks, and the steps that were taken on counters and references. Here those steps are taken again, on our own counters:
an atomic that was executed is counted here, and a page that was lost is missed here. So it does not matter what a
design does to its own Python. What it can still do is answer as a rule that knows the traffic beforehand.
"""

import contextlib
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import tempfile
import threading

import numpy as np

try:
    import resource
except ImportError:  # Windows
    resource = None

from .. import _jit
from ..mechanism.policy import PATH_V4_13, PATH_V6_1, RULES, Policy
from ..mechanism.records import CSS_CALLS, NR_PAGES_MAX, PROTECTION_ADD, PROTECTION_XCHG, WARN, State, stock_dtype
from ..mechanism.steps import (
    STEP_CANCEL,
    STEP_CHARGE_ADD,
    STEP_CHARGE_WATERMARK,
    STEP_CONSUME_HIT,
    STEP_CONSUME_MISS,
    STEP_CSS_GET,
    STEP_CSS_PUT,
    STEP_DRAIN,
    STEP_DRAIN_OWNER,
    STEP_FAILCNT,
    STEP_LOW_TOLD,
    STEP_MIN_TOLD,
    STEP_REFILL,
    STEP_REFILL_OWNER,
    STEP_TRY_ADD,
    STEP_TRY_UNDO,
    STEP_TRY_WATERMARK,
    step_dtype,
)
from ..words import number, printable
from . import trial as trials
from .trial import Patience, Told, patiently, stopped

NOBODY = 65534  # as Linux numbers nobody and nogroup
CPU_SECONDS, MEMORY, FILES = 120, 4 << 30, 64
STEPS_MAX = 1000  # of one call of a rule
ANSWER_MAX = 1 << 20  # bytes
PATHS = {path.name: path for path in (PATH_V4_13, PATH_V6_1)}
STRANGE = "what its process answered is no answer of this library's."

ADDS, SUBS = (STEP_TRY_ADD, STEP_CHARGE_ADD), (STEP_TRY_UNDO, STEP_CANCEL)
WATERMARKS = (STEP_TRY_WATERMARK, STEP_CHARGE_WATERMARK)
TOLD = {STEP_MIN_TOLD: "min_told", STEP_LOW_TOLD: "low_told"}
OF_THE_STOCK = (  # the stocks come back whole
    *(STEP_CONSUME_HIT, STEP_CONSUME_MISS, STEP_REFILL_OWNER, STEP_REFILL),
    *(STEP_DRAIN, STEP_DRAIN_OWNER),
)


class Apart:
    r"""A design in a process of its own, for as long as the ``with`` block lasts.

    Parameters
    ----------
    source : str
        Of the function that makes the policy.
    seconds : float
        How long all of it may take.

    Attributes
    ----------
    policy : Policy
        The design's constants, with rules that ask the other process.

    Raises
    ------
    ValueError
        If the source makes no policy, or the process ends or answers strangely. While rules run that comes as ``Told``.

    Notes
    -----
    The process has an empty folder, no environment but what Python needs, and where the system offers it limits of
    memory and processor time; it writes no file and starts no process. Started by root it becomes nobody, unless nobody
    may read this library; then root's processes have no limit. It is not kept from reading what everybody may read, or
    from the network: what runs there is somebody's code.

    Examples
    --------
    >>> source = "def f():\n from memcg_lab import V4_14\n return V4_14.with_rules('mine', batch=16, bound=16)\n"
    >>> with Apart(source, 60) as away:
    ...     print(away.policy.name, away.policy.stock_bound)
    mine 16
    """

    def __init__(self, source, seconds):
        self._seconds, self._late = seconds, False
        self._folder = tempfile.TemporaryDirectory()
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
        kept |= {"PYTHONPATH": os.fspath(_jit.PACKAGE.parent), "NUMBA_DISABLE_JIT": "1", "PYTHONUTF8": "1"}
        kept |= {"PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
        kept |= {"MPLCONFIGDIR": self._folder.name, "HOME": self._folder.name}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-c", CHILD]
        self._process = subprocess.Popen(command, cwd=self._folder.name, env=kept, start_new_session=True, **pipes)
        self._timer = threading.Timer(seconds, self._too_late)
        self._timer.daemon = True
        self._timer.start()
        try:
            self._send(source)
            self.policy = self._made(self._answer(b"p"))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._timer.cancel()
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        with contextlib.suppress(OSError):
            self._folder.cleanup()

    def anew(self):
        """From here on the rules may take as many steps as at the beginning."""
        self._send(None)

    def _made(self, told):
        """A policy with the design's constants; its rules ask."""
        try:
            told = json.loads(told)
            constants = {name: told[name] for name in ("name", "batch", "bound", "css_by_page")}
            slots, path = told["slots"], PATHS[told["path"]]
            policy = Policy(**constants, **self._rules(), path=path)
            if type(slots) is not int or not 1 <= slots <= 64:
                raise ValueError
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Told(STRANGE) from None
        object.__setattr__(policy, "slots", slots)  # that the rules use them was tried where they are
        return policy

    def _rules(self):
        ask = self._ask

        def consume(st, batch, cpu, memcg, nr_pages):
            return bool(ask("consume", st, cpu, batch, memcg, nr_pages))

        def refill(st, batch, drain, cpu, memcg, nr_pages):
            ask("refill", st, cpu, batch, memcg, nr_pages)

        def drain(st, cpu, slot, cause):
            ask("drain", st, cpu, slot, cause)

        def uncharge(st, batch, refill, drain, cpu, memcg, nr_pages):
            ask("uncharge", st, cpu, batch, memcg, nr_pages)

        def reclaim(st, cpu, over, nr_pages):
            return ask("reclaim", st, cpu, over, nr_pages)

        return {"consume": consume, "refill": refill, "drain": drain, "uncharge": uncharge, "reclaim": reclaim}

    def _ask(self, rule, st, cpu, *numbers):
        """Let the other process run a rule, and take its steps here."""
        arrays = [np.asarray(part) if isinstance(part, np.ndarray) else part for part in st]
        self._send((rule, arrays, int(cpu), [int(n) for n in numbers]))
        told = self._answer(b"a")
        size = st.stock.nbytes
        if len(told) < 8 + size or (len(told) - 8 - size) % step_dtype.itemsize:
            raise Told(STRANGE)
        take_steps(st, np.frombuffer(told[8 + size :], step_dtype))
        stock = np.frombuffer(told[8 : 8 + size], stock_dtype)
        if (abs(stock["nr_pages"]) > NR_PAGES_MAX).any() or (stock["nr_pages"] == np.iinfo(np.int64).min).any():
            raise Told(STRANGE)
        np.asarray(st.stock)[...] = stock.reshape(st.stock.shape)
        return struct.unpack("<q", told[:8])[0]

    # --- messages: their length, then their bytes; nothing that comes back is unpickled
    def _send(self, what):
        raw = pickle.dumps(what)
        try:
            self._process.stdin.write(struct.pack("<I", len(raw)) + raw)
            self._process.stdin.flush()
        except OSError:
            raise Told(self._ended()) from None

    def _answer(self, kind):
        head = self._process.stdout.read(4)
        size = struct.unpack("<I", head)[0] if len(head) == 4 else 0
        if size > ANSWER_MAX:
            raise Told(STRANGE)
        told = self._process.stdout.read(size)
        if not told or len(told) < size:
            raise Told(self._ended())
        if told[:1] == b"e":
            raise Told(printable(told[1:2000].decode("utf-8", "replace")))
        if told[:1] != kind:
            raise Told(STRANGE)
        return told[1:]

    def _ended(self):
        if self._late:
            self._kill()
        status = self._process.wait()
        if self._late:
            return f"it did not end within {number(self._seconds)} seconds."
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        return f"its process ended without an answer ({how})."

    def _too_late(self):
        self._late = True
        self._kill()

    def _kill(self):
        """End it, with all that it started."""
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()


def take_steps(st, rows):
    """Do to a state what some steps did to another: counters with their atomics, references. Told if no rule does such.

    Parameters
    ----------
    st : State
        With ``recarray`` views.
    rows : ndarray of step_dtype
    """
    for _, cpu, code, _, where, before, after in rows.tolist():
        more = after - before
        if code in OF_THE_STOCK:
            continue
        if abs(more) > NR_PAGES_MAX or not 0 <= cpu < len(st.work) or where < 0:
            raise Told(STRANGE)
        if code in (STEP_CSS_GET, STEP_CSS_PUT):
            if where >= st.memcg.size:
                raise Told(STRANGE)
            st.memcg[where].css += more
            st.work[cpu, CSS_CALLS] += 1
            continue
        if where >= st.counter.size:
            raise Told(STRANGE)
        counter = st.counter[where]
        if code in ADDS:
            counter.count += more
            counter.add += 1
        elif code in SUBS:
            st.total[WARN] += code == STEP_CANCEL and counter.count < -more
            counter.count += more
            counter.sub += 1
        elif code in WATERMARKS and 0 <= after <= NR_PAGES_MAX:
            counter.watermark = after
        elif code == STEP_FAILCNT and more == 1:
            counter.failcnt += 1
        elif code in TOLD and where < st.upward.size:
            st.upward[where][TOLD[code]] = after
            st.total[PROTECTION_XCHG] += 1
            st.total[PROTECTION_ADD] += 1
        else:
            raise Told(STRANGE)
    for c in range(st.upward.size):  # v6.1 tells the parent what is protected; whoever does not saves two atomics
        for limit, told in (("memory_min", "min_told"), ("memory_low", "low_told")):
            if st.counter[c].parent >= 0 and st.upward[c][told] != min(st.counter[c].count, st.upward[c][limit]):
                raise Told(STRANGE)


# --- in the other process --------------------------------------------------------------------------------------------
CHILD = f"from {__name__} import child; child()"


def child():
    """In the process of its own: limits first, then the source, then rule after rule."""
    from .capstone import made_of, own

    with os.fdopen(os.dup(0), "rb") as asked, os.fdopen(os.dup(1), "wb") as answers:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        become_nobody()
        limit()

        def answer(raw):
            answers.write(struct.pack("<I", len(raw)) + raw)
            answers.flush()

        try:
            policy = own(made_of(_next(asked)))
            twins = {}
            rules = {name: _jit.as_python(getattr(policy, name), twins) for name in RULES}
            constants = {"name": policy.name, "batch": policy.batch, "slots": policy.slots}
            constants |= {"bound": policy.stock_bound, "css_by_page": policy.css_by_page, "path": policy.path.name}
            answer(b"p" + json.dumps(constants).encode("ascii"))
        except Exception as error:
            answer(b"e" + str(error).encode("utf-8", "replace"))
            return
        patience = Patience()
        while True:
            question = _next(asked)
            if question is None:
                patience = Patience()
                continue
            try:
                raw = b"a" + run_rule(rules, question, patience)
            except Exception as error:
                raw = b"e" + stopped(error).encode("utf-8", "replace")
            answer(raw)


def _next(asked):
    head = asked.read(4)
    if len(head) < 4:
        sys.exit()
    return pickle.loads(asked.read(*struct.unpack("<I", head)))


def become_nobody():
    """Give up being root, where the library can be read without."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):
        os.seteuid(NOBODY)
        try:  # modules may be loaded later: ours, Python's, numpy's
            for module in (sys.modules[__name__], os, np):
                open(module.__file__, "rb").close()
        finally:
            os.seteuid(0)
        with contextlib.suppress(OSError):
            os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def limit():
    """No more memory and time than a design needs, no file written, no process started; where the system has that."""
    if resource is None:  # Windows: only the time is limited
        return
    for what, most in (
        ("RLIMIT_AS", MEMORY),
        ("RLIMIT_CPU", CPU_SECONDS),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NOFILE", FILES),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_CORE", 0),
    ):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # not here, or less is allowed already
            resource.setrlimit(getattr(resource, what), (most, most))
    trials.MEMORY = f"the {MEMORY >> 30} GiB that it may have"


def run_rule(rules, question, patience):
    """The answer to one question: the result, the stocks, the steps, as bytes."""
    rule, arrays, cpu, numbers = question
    log = np.zeros(STEPS_MAX + 1, step_dtype)
    st = State(*map(trials.as_records, arrays))._replace(log=trials.as_records(log))
    first, between = numbers[:-2], numbers[-2:]
    arguments = {
        "consume": lambda: (st, *first, cpu, *between),
        "refill": lambda: (st, *first, rules["drain"], cpu, *between),
        "drain": lambda: (st, cpu, *between),
        "uncharge": lambda: (st, *first, rules["refill"], rules["drain"], cpu, *between),
        "reclaim": lambda: (st, cpu, *between),
    }[rule]()
    result = patiently(lambda: rules[rule](*arguments), patience=patience)
    if log[0]["after"]:
        raise Told(f"Your rule {rule} takes more than {STEPS_MAX:,} steps in one call.")
    result = int(bool(result)) if rule == "consume" else int(result) if rule == "reclaim" else 0
    stock = np.ascontiguousarray(np.asarray(st.stock), dtype=stock_dtype)
    return struct.pack("<q", result) + stock.tobytes() + log[1 : 1 + log[0]["before"]].tobytes()
