"""A race: threads, one on each CPU, that start together and run one compiled loop until it is over.

Loops are made by ``timed_loop``. Each thread takes the time itself, from the CPU's time-stamp counter.
"""

import functools
import mmap
import os
import platform
import threading
import time
from dataclasses import dataclass

import numpy as np

from .. import _jit
from .atomics import ARM64, X86_64, fetch_add, load, pause, serialize, store, ticks
from .host import pin

LINE = 128  # bytes; a line is 64 on x86-64, which fetches them in pairs, and 128 on Apple's arm64
WORDS = LINE // 8  # int64 of a line
BLOCK = 64  # steps between two looks at the stop flag
FOREVER = 2**62  # steps

ARRIVED, STOP = 0, WORDS  # the gate: threads that stand at the start; not 0 when the race is over
report_dtype = np.dtype(
    {"names": ["begin", "end", "done", "value"], "formats": [np.int64] * 4, "offsets": [0, 8, 16, 24], "itemsize": LINE}
)


# --- compiled --------------------------------------------------------------------------------------------------------
@_jit.inline
def enter(gate, threads):
    """Wait until every thread is here."""
    fetch_add(gate, ARRIVED, 1, "seq_cst")
    while load(gate, ARRIVED, "acquire") < threads and load(gate, STOP, "relaxed") == 0:
        pause()


@_jit.inline
def at_once(gate, report, me, done):
    """Whether a thread may do its next block: until the race is stopped; the first always, so that it has a time."""
    return done == 0 or load(gate, STOP, "relaxed") == 0


def timed_loop(name, step, ready=at_once):
    """Compile a loop that one thread of a race runs.

    Parameters
    ----------
    name : str
        What a reader is told who waits for the compiler.
    step : compiled function
        ``step(state, gate, me, i, value) -> value``: what is repeated. ``value`` goes from step to step, so that one
        can depend on the one before.
    ready : compiled function
        ``ready(gate, report, me, done) -> bool``, before each block of steps: waits if need be, false to end.

    Returns
    -------
    compiled function
        ``loop(state, gate, report, me, steps)``; fills ``report[me]``. ``done`` there is up to date after each block.
    """

    @_jit.kernel(f"the loop {name}")
    def loop(state, gate, report, me, steps):
        enter(gate, report.size)
        mine = report[me]
        value = np.int64(me)
        done = np.int64(0)
        serialize()
        mine.begin = ticks()
        while done < steps and ready(gate, report, me, done):
            until = min(done + BLOCK, steps)
            for i in range(done, until):
                value = step(state, gate, me, i, value)
            done = until
            store(mine, "done", done, "release")
        serialize()
        mine.end = ticks()
        mine.value = value

    return loop


@_jit.kernel("ticks")
def _read_ticks():
    return ticks()


# --- called from Python ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Race:
    """What the threads of a race report.

    Attributes
    ----------
    ns : ndarray of float64, shape (threads,)
        From a thread's first step to its last, in nanoseconds.
    done : ndarray of int64, shape (threads,)
        Steps of each thread.
    overlap : float
        Share of the race during which all threads were on their way and had a CPU, 0 to 1.
    pinned : bool
        Whether every thread was kept on its CPU.
    """

    ns: np.ndarray
    done: np.ndarray
    overlap: float
    pinned: bool

    @property
    def ns_per_step(self):
        """Nanoseconds a step of one thread took, mean over the threads; infinite if a thread took none."""
        with np.errstate(divide="ignore"):
            return float((self.ns / self.done).mean())


def aligned(count, dtype):
    """A zeroed array of ``count`` that starts at a cache line of its own and shares its last one with nobody."""
    dtype = np.dtype(dtype)
    raw = np.zeros(count * dtype.itemsize + 2 * LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + count * dtype.itemsize].view(dtype)


def fresh_page(cpu):
    """A page of zeroed int64 that nobody has touched but a thread on this CPU, so that it lies in that CPU's memory.

    Where a page lies is settled when it is first written to. A line whose home is another socket costs a way more, and
    two CPUs that hand over such a line would show it as their own distance.
    """
    words = np.frombuffer(mmap.mmap(-1, mmap.PAGESIZE), np.int64)  # nothing is written yet

    def touch():
        pin(cpu)
        words[:] = 0

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    thread.join()
    return words


def need_hardware():
    """Raise ValueError where no race can be run: nothing is compiled, or the CPU has no clock that we know."""
    if not _jit.JIT:
        raise ValueError("real atomics need compiled code, but NUMBA_DISABLE_JIT is set.")
    if not (X86_64 or ARM64):
        raise ValueError(f"no time-stamp counter is known for {platform.machine()}; there are x86-64 and arm64.")


def race(loop, state, cpus, *, steps=None, seconds=None, stop=None):
    """Run a loop on several CPUs at once.

    Parameters
    ----------
    loop : callable
        Made by :func:`timed_loop`, or anything else with its arguments that lets other threads run meanwhile.
    state : namedtuple
        What the loop works on.
    cpus : sequence of int
        One for each thread.
    steps : int, optional
        Steps of each thread; without it they run for ``seconds``.
    seconds : float, optional
    stop : threading.Event, optional
        Ends the race early.

    Returns
    -------
    Race
    """
    compile_loop(loop, state)
    gate, report = aligned(2 * WORDS, np.int64), aligned(len(cpus), report_dtype)
    ran, pinned, errors = [1.0] * len(cpus), [False] * len(cpus), []

    def work(me):
        try:
            pinned[me] = pin(cpus[me])
            wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
            loop(state, gate, report, me, FOREVER if steps is None else steps)
            wall, cpu = time.perf_counter_ns() - wall, time.thread_time_ns() - cpu
            if os.name == "posix":  # elsewhere the clock of a thread is too coarse
                ran[me] = min(1.0, cpu / wall)
        except BaseException as error:
            errors.append(error)
            gate[STOP] = 1

    threads = [threading.Thread(target=work, args=(me,), daemon=True) for me in range(len(cpus))]
    stop = stop or threading.Event()
    try:
        for thread in threads:
            thread.start()
        if steps is None:
            while gate[ARRIVED] < len(cpus) and not errors and not stop.is_set():
                time.sleep(0.0001)  # the time counts from when all are there
            stop.wait(0 if errors else seconds)
        else:
            while any(thread.is_alive() for thread in threads) and not stop.is_set():
                for thread in threads:
                    thread.join(0.05)
    finally:
        gate[STOP] = 1
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
    begin, end = report["begin"], report["end"]
    whole = int(end.max() - begin.min())
    common = max(0, int(end.min() - begin.max())) / whole if whole else 0.0
    return Race((end - begin) * tick_ns(), report["done"].copy(), min(common, *ran, 1.0), all(pinned))


def compile_loop(loop, state):
    """Compile a loop for a state of this form, or load it; a race must not start with one thread still compiling."""
    loop(state, aligned(2 * WORDS, np.int64), aligned(1, report_dtype), 0, 0)


@functools.cache
def tick_ns():
    """Nanoseconds of one tick of the time-stamp counter, measured against the system's clock for 20 ms."""
    _read_ticks()
    wall, tick = time.perf_counter_ns(), _read_ticks()
    time.sleep(0.02)
    return (time.perf_counter_ns() - wall) / (_read_ticks() - tick)
