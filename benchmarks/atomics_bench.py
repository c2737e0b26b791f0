"""How fast real threads charge and give back: memcg_lab's loops against atomics.c, paired in one run."""

import ctypes
import statistics

import compilers
import numpy as np

from memcg_lab import V4_13, V4_14
from memcg_lab.hardware.counters import bind, make_state, rules_of
from memcg_lab.hardware.host import ordered_cpus
from memcg_lab.hardware.measure import OVERLAP
from memcg_lab.hardware.race import race

AIMS = {"gcc": 1.10, "clang": 1.15}  # with two threads
DEPTHS = (1, 3)
SECONDS = 0.02  # of one run
PAIRS = 100_003
WIDTHS = (5, 7, 9, 10, 9, 9, 22, 8)


class C:
    """atomics.c of one compiler, called as a compiled loop is; ctypes lets other threads run meanwhile."""

    def __init__(self, library):
        self.pairs = library.pairs
        self.pairs.restype = None
        self.pairs.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 3

    def __call__(self, state, gate, report, me, steps):
        words = [state.counter.ctypes.data, state.stock.ctypes.data, *state[2:]]
        words = np.array(words, np.int64)
        self.pairs(words.ctypes.data, gate.ctypes.data, report.ctypes.data, report.size, me, steps)


def build(folder):
    """atomics.c: {rule's name: {compiler: C}}."""
    names = [V4_13.name, V4_14.name]
    libraries = compilers.built(folder, "atomics.c", {name: [f"-DPATCHED={k}"] for k, name in enumerate(names)})
    return {name: {compiler: C(found[name]) for compiler, found in libraries.items()} for name in names}


def end_state(loop, rule, depth, cpus):
    """Counts and stocks after so many pairs of each thread; the watermark races and is left out."""
    state = make_state(depth, len(cpus), batch=rule.batch)
    race(loop, state, cpus, steps=PAIRS)
    return state.counter["count"].tolist(), state.stock.tolist()


def table(folder, rounds):
    """Print a row for each rule, depth and number of threads; true if all sides ended in the same state."""
    built = build(folder)
    cpus = ordered_cpus()
    aims = ", ".join(f"{aim:.2f} × {name}" for name, aim in AIMS.items())
    print(f"\nreal threads: ns a pair (charge, uncharge) of one thread; median [quartiles] of {rounds} paired rounds")
    print(
        f"aim with two threads: at most {aims}; rounds whose threads overlapped by less than {OVERLAP:.0%} are left out"
    )
    if not any(built.values()):
        print("no C compiler found: nothing to compare with")
        return True
    head = zip(("rule", "depth", "threads", "compiler", "C ns", "ours ns", "ours ÷ C", "rounds"), WIDTHS, strict=True)
    print("".join(f"{word:>{width}}" for word, width in head), " state")
    equal = True
    for rule in (V4_13, V4_14):
        for depth in DEPTHS:
            for threads in range(1, min(2, len(cpus)) + 1):
                loops = {"ours": bind(*rules_of(rule), True, "pingpong"), **built[rule.name]}
                equal = _row(loops, rule, depth, cpus[:threads], rounds) and equal
    return equal


def _row(loops, rule, depth, cpus, rounds):
    ends = [end_state(loop, rule, depth, cpus) for loop in loops.values()]
    same = all(end == ends[0] for end in ends)
    times = {name: [] for name in loops}
    names = list(loops)
    for turn in range(rounds):
        at = turn % len(names)
        runs = {}
        for name in names[at:] + names[:at]:
            state = make_state(depth, len(cpus), batch=rule.batch)
            runs[name] = race(loops[name], state, cpus, seconds=SECONDS)
            in_stocks = int(state.stock.sum())
            same = same and all(count == in_stocks for count in state.counter["count"].tolist())
        if all(run.overlap >= OVERLAP for run in runs.values()):
            for name, run in runs.items():
                times[name].append(run.ns_per_step)
    for compiler in names[1:]:
        head = f"{rule.name:>5}{depth:>7}{len(cpus):>9}{compiler:>10}"
        kept = len(times[compiler])
        if kept < 3:
            print(f"{head}   only {kept} rounds are left: the machine is busy")
            continue
        ratios = [ours / c for ours, c in zip(times["ours"], times[compiler], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        missed = "  aim missed" if len(cpus) == 2 and middle > AIMS[compiler] else ""
        print(
            f"{head}{statistics.median(times[compiler]):9.2f}{statistics.median(times['ours']):9.2f}"
            f"{f'{middle:.3f} [{low:.3f} {high:.3f}]':>22}{kept:>8}  {'equal' if same else 'DIFFERS'}{missed}",
            flush=True,
        )
    return same
