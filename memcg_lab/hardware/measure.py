"""Measure what atomics, cache lines and the two rules cost on the machine you sit at."""

import datetime
import threading
from collections import namedtuple

import numpy as np

from .. import _jit
from ..checks import real_number
from ..machine.measurement import FORMAT, Measurement
from ..machine.topology import SMT_NS
from ..mechanism.policy import V4_13, V4_14
from .atomics import compare_exchange, fetch_add, load, store
from .counters import bind, make_state, rules_of, run_threads
from .host import describe, load_average, ordered_cpus, pairs_by_distance, places
from .race import STOP, WORDS, aligned, compile_loop, fresh_page, need_hardware, race, timed_loop

ROUNDS, ROUNDS_MIN = 9, 3
RUN_SECONDS_MIN = 0.005
OVERLAP = 0.9  # a run whose threads overlapped less is discarded
DEPTHS = (1, 2, 3, 4)
BUSY_LOAD = 0.5
DISCARDED_SHARE = 0.2

Words = namedtuple("Words", "word stride")  # thread t works on word[t * stride]
Task = namedtuple("Task", "key run")  # run(number of the round, seconds, stop) -> (ns, overlap, pinned)


# --- compiled --------------------------------------------------------------------------------------------------------
@_jit.inline
def _plain_add(st, gate, me, i, value):
    at = me * st.stride
    store(st.word, at, load(st.word, at, "relaxed") + 1, "relaxed")
    return value


@_jit.inline
def _atomic_add(st, gate, me, i, value):
    return fetch_add(st.word, me * st.stride, 1, "seq_cst")


@_jit.inline
def _hand_over(st, gate, me, i, value):
    """One round trip of the line: wait for the other thread's number, put the next one there."""
    turn = 2 * i + me
    while compare_exchange(st.word, 0, turn, turn + 1, "acq_rel") != turn and load(gate, STOP, "relaxed") == 0:
        pass
    return value


plain_add = timed_loop("plain_add", _plain_add)
atomic_add = timed_loop("atomic_add", _atomic_add)
hand_over = timed_loop("hand_over", _hand_over)


# --- called from Python ----------------------------------------------------------------------------------------------
def measure(*, seconds=10, progress=None, stop=None):
    """Measure this machine.

    Every loop runs once in each of up to nine rounds, so that whatever disturbs the machine meets all alike. A run
    whose threads overlapped by less than 90 % is discarded and counted.

    Parameters
    ----------
    seconds : float
        Time for all runs together, 0.5 to 600; compiling and starting threads come on top, a few seconds at most.
    progress : callable, optional
        ``progress(done, total)`` after each run.
    stop : threading.Event, optional
        Ends it early, from another thread. What the full rounds measured is kept.

    Returns
    -------
    Measurement

    Raises
    ------
    ValueError
        If nothing is compiled, if it was stopped within the first round, or if the machine was so busy that not even
        one thread was left alone.

    Notes
    -----
    Two CPUs hand over a line of a page that one of the two touched first, a fresh page each time.

    For the rules, each thread charges a page and gives it back at once. That is the best case for the patch: the stock
    serves both, and no counter is touched. :func:`run_threads` runs other cases.

    Examples
    --------
    >>> stop = threading.Event()
    >>> stop.set()  # a button pressed too early
    >>> measure(seconds=5, stop=stop)
    Traceback (most recent call last):
    ...
    ValueError: stopped within the first round; there is nothing to report.
    """
    need_hardware()
    seconds = real_number("seconds", seconds, 0.5, 600)
    stop = stop or threading.Event()
    machine = {**describe(), "load_before": load_average()}
    cpus = ordered_cpus()
    where = places(cpus)
    tasks = _plan(cpus, pairs_by_distance(sorted(cpus), where))
    rounds = max(ROUNDS_MIN, min(ROUNDS, int(seconds / len(tasks) / RUN_SECONDS_MIN)))
    runs = {task.key: [] for task in tasks}
    _compile()
    complete = 0
    for number in range(rounds):
        for order, task in enumerate(tasks):
            if stop.is_set():
                break
            runs[task.key].append(task.run(number, seconds / rounds / len(tasks), stop))
            if progress:
                progress(number * len(tasks) + order + 1, rounds * len(tasks))
        else:
            complete += 1
    if not complete:
        raise ValueError("stopped within the first round; there is nothing to report.")
    runs = {key: done[:complete] for key, done in runs.items()}
    machine["load_after"] = load_average()
    machine["pinned"] = all(pinned for done in runs.values() for _, _, pinned in done)
    return _collect(machine, where, runs, complete, rounds)


def _plan(cpus, pairs):
    """Everything to run in one round."""
    threads = sorted({1, *(2**k for k in range(1, 17) if 2**k < len(cpus)), len(cpus)})

    def words(loop, stride, chosen):
        def run(number, seconds, stop):
            state = Words(aligned(WORDS * len(chosen), np.int64), stride)
            done = race(loop, state, chosen, seconds=seconds, stop=stop)
            return done.ns_per_step, done.overlap, done.pinned

        return run

    def transfer(choices):
        def run(number, seconds, stop):
            chosen = choices[number % len(choices)]
            first = chosen[number // len(choices) % 2]  # one of the two, in turn
            done = race(hand_over, Words(fresh_page(first), 0), chosen, seconds=seconds, stop=stop)
            return done.ns_per_step / 2, done.overlap, done.pinned  # a step is a round trip

        return run

    def rules(policy, depth, count, padded):
        def run(number, seconds, stop):
            done = run_threads(policy, depth=depth, threads=count, seconds=seconds, padded=padded, stop=stop)
            if not done.conserved:  # nothing but a fault of this library or of the CPU can do that
                raise RuntimeError(f"pages were lost: {done}")
            return done.ns_per_pair, done.overlap, done.pinned

        return run

    tasks = [Task(("local", "plain_add"), words(plain_add, WORDS, cpus[:1]))]
    tasks += [Task(("contended", n), words(atomic_add, 0, cpus[:n])) for n in threads]
    tasks += [Task(("transfer", kind), transfer(found)) for kind, found in pairs.items() if found]
    combinations = [(depth, n, True) for depth in DEPTHS for n in sorted({1, min(2, len(cpus)), len(cpus)})]
    combinations += [(1, n, False) for n in sorted({min(2, len(cpus)), len(cpus)} - {1})]
    for depth, n, padded in combinations:
        for policy in (V4_13, V4_14):
            tasks.append(Task(("rules", policy.name, depth, n, padded), rules(policy, depth, n, padded)))
    return tasks


def _compile():
    """Compile or load every loop, so that no run waits for it."""
    word = Words(aligned(WORDS, np.int64), 0)
    loops = [(loop, word) for loop in (plain_add, atomic_add, hand_over)]
    loops += [
        (bind(*rules_of(policy), True, "pingpong"), make_state(1, 1, batch=policy.batch)) for policy in (V4_13, V4_14)
    ]
    for loop, state in loops:
        compile_loop(loop, state)


def _stat(runs):
    """Minimum, median and spread of the runs that count; None if none does."""
    kept = [ns for ns, overlap, _ in runs if overlap >= OVERLAP and np.isfinite(ns)]
    if not kept:
        return None
    low, middle, high = np.percentile(kept, [25, 50, 75])
    numbers = {"min": min(kept), "median": middle, "spread": high - low}
    rounded = {name: round(float(value), 3) for name, value in numbers.items()}
    return {**rounded, "runs": len(kept), "discarded": len(runs) - len(kept)}


def _collect(machine, where, runs, complete, rounds):
    stats = {key: _stat(done) for key, done in runs.items()}
    local = {"plain_add": stats["local", "plain_add"], "atomic": stats["contended", 1]}
    for name, stat in local.items():
        if stat is None:
            raise ValueError(
                f"the machine is too busy: in none of {complete} runs of {name} did one thread have a CPU."
            )
    transfer = {kind: stats.get(("transfer", kind)) for kind in ("smt", "same", "cross")}
    contended = [{"threads": key[1], "ns": stat} for key, stat in stats.items() if key[0] == "contended" and stat]
    rules = [
        {**dict(zip(("policy", "depth", "threads", "padded"), key[1:])), "ns": stat}
        for key, stat in stats.items()
        if key[0] == "rules" and stat
    ]
    warnings = list(_warnings(machine, where, runs, stats, transfer))
    if complete < rounds:
        warnings.insert(0, f"Stopped after {complete} of {rounds} rounds.")
    return Measurement(
        {
            "schema": FORMAT,
            "date": datetime.date.today().isoformat(),
            "machine": machine,
            "warnings": warnings,
            "local": local,
            "transfer": transfer,
            "contended": contended,
            "rules": rules,
        }
    )


def _warnings(machine, where, runs, stats, transfer):
    """Where the figures do not mean what they seem to."""
    if machine["cpus"] == 1:
        yield "There is one CPU only: nothing can be contended here, and no line travels."
    if not machine["pinned"]:
        yield "The threads could not be kept on their CPUs; the system may have moved them, and distances are guesses."
    if machine["cpus"] > 1 and where is None:
        yield 'The system does not tell which CPUs share a core or a socket; every pair counts as "same".'
    elif machine["cpus"] > 1 and len(set(where.values())) == 1:
        yield "All CPUs are threads of one core. What they contend for never leaves it, so contention looks cheap."
    if machine["virtual"]:
        yield "This is a virtual machine: the hypervisor may hide which CPUs share a core, and may take them away."
    same = transfer["same"]
    if same and same["median"] < SMT_NS:
        yield (
            f"A line travels between two CPUs in {same['median']:.1f} ns. Two threads of one core are that near, "
            "whatever the system tells; do not read it as a distance between cores."
        )
    if (machine["load_before"] or 0) > BUSY_LOAD:
        yield f"Other programs may run: the load was {machine['load_before']} before. Trust minima more than medians."
    total = sum(len(done) for done in runs.values())
    discarded = total - sum(stat["runs"] for stat in stats.values() if stat)
    if discarded > DISCARDED_SHARE * total:
        yield f"{discarded} of {total} runs were discarded: the threads did not run at the same time."
    missing = [_told(*key) for key, stat in stats.items() if stat is None]
    if missing:
        yield f"No run is left of: {'; '.join(missing)}."


def _told(kind, what, depth=None, threads=None, padded=True):
    """What was measured under a key, in words."""
    if kind == "rules":
        return f"{what}, depth {depth}, threads {threads}" + ("" if padded else ", unpadded")
    if kind == "contended":
        return f"atomic add, threads {what}"
    return f"a line's way, {what}" if kind == "transfer" else what.replace("_", " ")
