"""How fast replay and the machine are: against C on the same arrays and plain Python. ``README.md`` says more.

python benchmarks/bench.py            the whole table, about 5 minutes
python benchmarks/bench.py --quick    1 M operations, depths 1, 3 and 5, without the start-up table
"""

import argparse
import ctypes
import hashlib
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

import atomics_bench  # noqa: E402
import compilers  # noqa: E402
import machine_bench  # noqa: E402
import numpy as np  # noqa: E402
import web_bench  # noqa: E402

from memcg_lab import V4_13, V4_14, System, _jit, mixed, op, workload  # noqa: E402
from memcg_lab.mechanism import policy, records  # noqa: E402
from tests.reference import plain_python  # noqa: E402

CPUS, LEAVES, FANOUT = 64, 64, 4
ROUNDS = 15
PYTHON_ROUNDS = 5
PYTHON_OPS = 500_000
AIM_C, AIM_PYTHON, AIM_IMPORT, AIM_WARM, AIM_COLD = 1.05, 80, 1.0, 1.0, 10.0
COMPARED = ("counter", "memcg", "stock", "sock", "work", "total", "socket", "proto")
LAYOUTS = {"records": 0, "columns": 1}
LIMITS = {"leaf": 40, "above": 4}  # tight: pages of a leaf, and pages a leaf of the levels between leaves and root


# --- what is replayed ------------------------------------------------------------------------------------------------
def tree(depth, tight):
    """Parents and limits: a root, and ``LEAVES`` cgroups that lie ``depth`` levels below it and come last."""
    widths = [max(1, LEAVES // FANOUT ** (depth - level)) for level in range(1, depth + 1)]
    parents, limits, first = [-1], [-1], 0
    for width in widths:
        above, first = len(parents) - first, len(parents)
        parents += [first - above + child * above // width for child in range(width)]
        limits += [LIMITS["leaf"] if width == LEAVES else LEAVES // width * LIMITS["above"] * 8] * width
    return parents, limits if tight else None


def system(rule, depth, tight):
    parents, limits = tree(depth, tight)
    return System(parents, cpus=CPUS, policy=rule, limits=limits)


def make_ops(n, tight):
    """Mixed operations on leaves 0 to ``LEAVES - 1``; ``shift`` them to where a tree has its leaves."""
    ops = mixed(n, cpus=CPUS, memcgs=range(LEAVES), in_flight=512 if tight else 64, seed=1)
    if tight:  # one of 16 comes from a task, so that it may ask for reclaim, drain all CPUs and try again
        ops["ctx"][workload.draws(9, ops.size, 16) == 0] = records.TASK
    return ops


# --- the sides -------------------------------------------------------------------------------------------------------
class Compiled:
    """memcg_lab's compiled replay, called with everything prepared."""

    name = "memcg_lab"

    def __init__(self, rule):
        self.run = policy.bind(rule, False)

    def prepare(self, system, ops, arrays):
        self.arrays = arrays
        compared = {name: _jit.records(array) if array.dtype.names else array for name, array in arrays.items()}
        self.state = system.mechanism_state()._replace(**compared)
        self.ops = ops

    def reset(self, system):
        for name in COMPARED:
            self.arrays[name][...] = system._arrays[name]

    def replay(self):
        return self.run(self.state, self.ops, True)

    def result(self):
        return self.arrays


class AsCalled:
    """``System.replay``, as everyone calls it: it also copies the state away first and adds the work up."""

    name = "System.replay"

    def __init__(self, rule):
        pass

    def prepare(self, system, ops, arrays):
        self.ops = ops

    def reset(self, system):
        self.system = system.copy()

    def replay(self):
        self.system.replay(self.ops)
        return self.ops.size, 0, 0

    def result(self):
        return self.system._arrays


class C:
    """core.c of one compiler and one layout; with records it works on the very arrays that ``Compiled`` works on."""

    def __init__(self, name, libraries, columns, rule):
        self.name, self.columns = name, columns
        self.run = libraries[columns, rule.name].replay
        self.run.restype = ctypes.c_int64
        self.run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
        self.answer = np.zeros(3, np.int64)

    def prepare(self, system, ops, arrays):
        self.arrays = arrays
        if self.columns:
            self.arrays = {name: array.copy() for name, array in arrays.items()}
            self.state_columns = self._columns(self.arrays)
            self.op_columns = [ops[name].copy() for name in records.op_dtype.names]
            state, stream = list(self.state_columns.values()), self.op_columns
        else:
            state, stream = [self.arrays[name] for name in ("counter", "memcg", "stock")], [ops]
        state = state + [self.arrays[name] for name in ("sock", "work", "total")]
        n, cpus = len(self.arrays["memcg"]), len(self.arrays["stock"])
        self.state = np.array([a.ctypes.data for a in state] + [n, cpus, system.root], np.int64)
        self.stream = np.array([a.ctypes.data for a in stream], np.int64)
        self.keep, self.size = (state, stream), ops.size

    def reset(self, system):
        for name in COMPARED:
            self.arrays[name][...] = system._arrays[name]
        if self.columns:
            for name, column in self._columns(self.arrays).items():
                self.state_columns[name][...] = column

    @staticmethod
    def _columns(arrays):
        return {
            (name, field): arrays[name][field].ravel().copy()
            for name in ("counter", "memcg", "stock")
            for field in arrays[name].dtype.names
        }

    def replay(self):
        self.answer[0] = self.run(
            self.state.ctypes.data, self.stream.ctypes.data, self.size, 1, self.answer.ctypes.data
        )
        return tuple(self.answer.tolist())

    def result(self):
        if self.columns:
            for (name, field), column in self.state_columns.items():
                self.arrays[name][field] = column.reshape(self.arrays[name].shape)
        return self.arrays


class PlainPython:
    """plain_python.py on the first operations of the stream."""

    name = "plain Python"

    def __init__(self, rule):
        self.rule = rule

    def prepare(self, system, ops, arrays):
        self.like, self.ops = system._arrays, ops.tolist()

    def reset(self, system):
        patched = self.rule is V4_14
        self.machine = plain_python.Machine(system._arrays, system.root, self.rule.batch, patched)

    def replay(self):
        return plain_python.replay(self.machine, self.ops, True)

    def result(self):
        return self.machine.arrays(self.like)


def build_c(folder):
    """core.c: {compiler: {(columns, policy): library}}."""
    variants = {
        (columns, rule.name): [f"-DSOA={columns}", f"-DPATCHED={patched}"]
        for columns in LAYOUTS.values()
        for patched, rule in enumerate((V4_13, V4_14))
    }
    return compilers.built(folder, "core.c", variants)


def c_sides(built, rule):
    return [
        C(f"{compiler}, {name}", libraries, columns, rule)
        for compiler, libraries in built.items()
        for name, columns in LAYOUTS.items()
    ]


def digest(arrays):
    """sha256 over every byte of the state."""
    sha = hashlib.sha256()
    for name in COMPARED:
        sha.update(np.ascontiguousarray(arrays[name]).tobytes())
    return sha.hexdigest()


# --- measuring -------------------------------------------------------------------------------------------------------
def timed(side, system):
    """CPU nanoseconds of this thread for one replay from the fresh state; setting the state back is not in them."""
    side.reset(system)
    start = time.thread_time_ns()
    answer = side.replay()
    spent = time.thread_time_ns() - start
    if answer[1]:
        raise SystemExit(f"{side.name} stopped: {answer}")
    return spent


def measure(rule, depth, ops, tight, built, rounds):
    """One row of the table: nanoseconds an operation in each round and side, and the digests of the end states."""
    fresh = system(rule, depth, tight)
    ops = ops.copy()
    ops["memcg"] += len(fresh.parents) - LEAVES
    sides = [Compiled(rule), AsCalled(rule), *c_sides(built, rule)]
    short = [PlainPython(rule), Compiled(rule)]
    arrays = system_arrays(fresh)
    for side in sides:
        side.prepare(fresh, ops, arrays)
    for side in short:
        side.prepare(fresh, ops[:PYTHON_OPS], arrays)
    for side in sides:
        timed(side, fresh)  # loads the code and touches the memory once
    cost = {side.name: [] for side in [*sides, short[0]]}
    python_ratio, ends = [], {}
    for turn in range(rounds):
        at = turn % len(sides)  # each side is the first one as often as any other
        for side in sides[at:] + sides[:at]:
            cost[side.name].append(timed(side, fresh) / ops.size)
            if turn == rounds - 1:
                ends[side.name] = digest(side.result())
        if turn * PYTHON_ROUNDS % rounds < PYTHON_ROUNDS:  # PYTHON_ROUNDS of them, evenly spread
            cost[short[0].name].append(timed(short[0], fresh) / len(short[0].ops))
            python_ratio.append(cost[short[0].name][-1] / cost["memcg_lab"][-1])
    timed(short[1], fresh)
    short_ends = {side.name: digest(side.result()) for side in short}
    work = sides[1].result()["work"]
    charges = int((ops["op"] == records.CHARGE_SKMEM).sum())
    refused = int(work[:, records.REFUSED].sum()) / charges
    return cost, python_ratio, ends, short_ends, refused


def system_arrays(fresh):
    return {name: fresh._arrays[name].copy() for name in COMPARED}


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def spread(values, digits):
    middle, low, high = quartiles(values)
    return f"{middle:.{digits}f} [{low:.{digits}f} {high:.{digits}f}]"


def ratios(over, under):
    return [a / b for a, b in zip(over, under, strict=True)]


def speed_table(built, rows, rounds):
    """Print the rows as they are measured; true if all sides of each row ended in the same state."""
    print(
        f"median [quartiles] of {rounds} interleaved rounds, plain Python of {min(rounds, PYTHON_ROUNDS)}; "
        f"CPU time of the thread; {CPUS} CPUs, {LEAVES} leaf cgroups\n"
        f"÷ C: against the faster C of the row, aim ≤ {AIM_C}; × Python: cost of an operation there over ours, "
        f"aim ≥ {AIM_PYTHON}\n"
        "rows with refusals have tight limits; they show that the slow path is the same too, without an aim for Python"
    )
    head = ("ops", "rule", "depth", "refused", "faster C", "other C", "replay ÷ C", "System ÷ C", "× Python", "state")
    widths = (4, 5, 5, 7, 12, 7, 18, 18, 15, 12)
    print("  ".join(f"{word:>{width}}" for word, width in zip(head, widths, strict=True)))
    equal, missed = True, []
    streams = {}
    for n, rule, depth, tight in rows:
        if (n, tight) not in streams:
            streams = {(n, tight): make_ops(n, tight)}  # one at a time: ten million are 160 MB
        cost, python_ratio, ends, short_ends, refused = measure(rule, depth, streams[n, tight], tight, built, rounds)
        to = {name: ratios(cost["memcg_lab"], cost[name]) for name in cost if "," in name}
        by_c = sorted(to, key=lambda name: -statistics.median(to[name]))  # the hardest to reach comes first
        same = len(set(ends.values())) == 1 and len(set(short_ends.values())) == 1
        equal = equal and same
        label = f"{n // 1_000_000} M"
        cells = [label, rule.name, str(depth), f"{refused:.1%}" if tight else "-"]
        if by_c:
            c = cost[by_c[0]]
            others = [statistics.median(ratios(cost[name], c)) for name in by_c[1:]]
            to_c, system_to_c = to[by_c[0]], ratios(cost["System.replay"], c)
            cells += [by_c[0], " ".join(f"{r:.2f}" for r in others), spread(to_c, 3), spread(system_to_c, 3)]
            if statistics.median(to_c) > AIM_C:
                missed.append(f"{label} {rule.name} depth {depth}: {statistics.median(to_c):.3f} × C")
        else:
            cells += ["no compiler", "-", "-", "-"]
        cells += [spread(python_ratio, 0), ends["memcg_lab"][:12] if same else "DIFFERS"]
        if statistics.median(python_ratio) < AIM_PYTHON and not tight:
            missed.append(f"{label} {rule.name} depth {depth}: {statistics.median(python_ratio):.0f} × Python")
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)), flush=True)
        if not same:
            for name, value in {**ends, **{f"{k} (first ops)": v for k, v in short_ends.items()}}.items():
                print(f"    {value}  {name}")
    print("end states: " + ("bit-equal on all sides in every row" if equal else "DIFFERENT"))
    met = "all met" if built else "met against plain Python; not compared with C"
    print("aims: " + (met if not missed else "missed in " + "; ".join(missed)))
    return equal


def refusals(built):
    """True if every side stops at the same bad operation, for the same reason, in the same state."""
    equal = True
    good = make_ops(2000, True)
    bad = {
        "op": op("sk_mem_reclaim", cpu=0, memcg=0),
        "cpu": op("charge_skmem", cpu=CPUS, memcg=1, nr=1),
        "memcg": op("charge_skmem", cpu=0, memcg=10_000, nr=1),
        "pages": op("charge_skmem", cpu=0, memcg=1, nr=0),
        "root": op("charge_skmem", cpu=0, memcg=0, nr=1),
        "underflow": op("uncharge_skmem", cpu=0, memcg=1, nr=10**6),
        "code": op("charge_skmem", cpu=0, memcg=1, nr=1),
    }
    bad["code"]["op"] = len(records.OPS)
    rare = [
        op("try_charge", cpu=1, memcg=5, nr=3, ctx="task"),
        op("cancel_charge", cpu=2, memcg=5, nr=2, ctx="task"),
        op("set_high", cpu=1, memcg=1, nr=2),
        op("set_max", cpu=1, memcg=1, nr=8),
        op("set_limit", cpu=1, memcg=1, nr=1),
        op("drain_all", cpu=1, memcg=1),
        op("cpu_dead", cpu=3),
        op("drain_local", cpu=4),
    ]
    for rule in (V4_13, V4_14):
        fresh = system(rule, 2, True)
        leaves = good.copy()
        leaves["memcg"] += len(fresh.parents) - LEAVES
        for name, last in bad.items():
            stream = np.concatenate([leaves[:900], *rare, leaves[900:1500], last, leaves[1500:]])
            ends, arrays = {}, system_arrays(fresh)
            for side in [Compiled(rule), *c_sides(built, rule), PlainPython(rule)]:
                side.prepare(fresh, stream, arrays)
                side.reset(fresh)
                answer = tuple(int(part) for part in side.replay())
                ends[side.name] = (answer, digest(side.result()))
            if len(set(ends.values())) != 1:
                equal = False
                print(f"bad {name}, {rule.name}: the sides differ: {ends}")
            elif answer[0] != 1508:
                equal = False
                print(f"bad {name}, {rule.name}: stopped at {answer}, not at operation 1508")
    print("refused operations: " + ("same stop, reason and state on all sides" if equal else "DIFFERENT"))
    return equal


# --- starting up -----------------------------------------------------------------------------------------------------
CHILD = """
import time
import {first}
wall, cpu = time.perf_counter(), time.process_time()
import memcg_lab
if {replay}:
    s = memcg_lab.System.chain(depth=1, cpus=2, sockets={sockets})
    wall, cpu = time.perf_counter(), time.process_time()
    s.replay(memcg_lab.pingpong(1))
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(wall, cpu, len(compiled) if {count} else -1)
"""
COUNT = """
import numba.core.event
class Listener(numba.core.event.Listener):
    def on_start(self, event): compiled.append(event)
    def on_end(self, event): pass
compiled = []
numba.core.event.register("numba:compile", Listener())
"""


def child(cache, *, replay=False, sockets=(), count=False):
    """Wall seconds, CPU seconds, number of compilations of one fresh process, and whether it said that it compiles."""
    code = CHILD.format(first="sys", replay=replay, sockets=list(sockets), count=count)
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", (COUNT if count else "") + code], env=env, capture_output=True, text=True, check=True
    )
    wall, cpu, compiled = ran.stdout.split()
    return float(wall), float(cpu), int(compiled), "compiling" in ran.stderr


def start_table(folder, times):
    """Print how long a fresh process takes to import and to answer; seconds, so the load stands beside them."""
    print("\nstarting: seconds in a fresh process, median (fastest) of runs; they depend on machine and load")
    print(f"{'':44}{'wall':>14}{'CPU':>14}  {'aim':>6}  {'load':>5}  compiled")

    def row(label, aim, cache, times, counted, **what):
        runs = [child(cache() if callable(cache) else cache, **what) for _ in range(times)]
        cells = [f"{statistics.median(r[i] for r in runs):.2f} ({min(r[i] for r in runs):.2f})" for i in range(2)]
        said = "announced" if all(r[3] for r in runs) else "NOT ANNOUNCED"
        number = f"{child(cache, count=True, **what)[2]} functions" if counted else said
        load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "-"
        late = "  aim missed" if statistics.median(r[0] for r in runs) >= aim else ""
        print(f"{label:44}{cells[0]:>14}{cells[1]:>14}  < {aim:<4.0f}  {load:>5}  {number}{late}", flush=True)

    numbers = iter(range(1000))

    def empty():
        return folder / f"cache{next(numbers)}"

    warm = folder / "warm"
    row("first replay after import, nothing cached", AIM_COLD, empty, 2, False, replay=True)
    row("  the same with the socket layer", AIM_COLD, empty, 2, False, replay=True, sockets=[1])
    child(warm, replay=True)
    child(warm, replay=True, sockets=[1])
    row("import memcg_lab", AIM_IMPORT, warm, times, True)
    row("first replay after import, cached", AIM_WARM, warm, times, True, replay=True)
    row("  the same with the socket layer", AIM_WARM, warm, times, True, replay=True, sockets=[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 M operations, depths 1, 3, 5, no start-up table")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"paired rounds a row (default {ROUNDS})")
    options = parser.parse_args()
    for name in ("NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"):
        if os.environ.get(name, "0") not in ("", "0"):
            parser.error(f"{name} is set; this would measure something else.")
    if options.rounds < 3:
        parser.error("--rounds must be 3 or more.")

    whole = [(1, 3, 5)] if options.quick else [(1, 2, 3, 4, 5), (1, 3, 5)]
    rows = [
        (n, rule, depth, False)
        for n, depths in zip((1_000_000, 10_000_000), whole, strict=False)
        for depth in depths
        for rule in (V4_13, V4_14)
    ]
    rows += [(1_000_000, rule, 3, True) for rule in (V4_13, V4_14)]
    start = time.perf_counter()
    versions = f"Python {platform.python_version()}, numba {_version('numba')}, numpy {np.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} CPUs; {versions}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder)
        built = build_c(folder)
        names = ", ".join(_banner(name) for name in built)
        print(f"C: {names}, {' '.join(compilers.FLAGS[:2])}" if built else "C: no compiler found")
        everywhere = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        if everywhere:
            os.sched_setaffinity(0, {max(everywhere)})
        equal = refusals(built)
        equal = speed_table(built, rows, options.rounds) and equal
        equal = machine_bench.table(folder, options.quick) and equal
        if everywhere:
            os.sched_setaffinity(0, everywhere)
        equal = atomics_bench.table(folder, options.rounds) and equal
        equal = web_bench.table(options.quick) and equal
        if not options.quick:
            start_table(folder, 5)
    print(f"\n{time.perf_counter() - start:.0f} s in all")
    return 0 if equal else 1


def _version(package):
    return sys.modules[package].__version__


def _banner(compiler):
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
