"""How fast the machine is: against C on the same arrays, against ``heapq`` in plain Python, and against SimPy.

python benchmarks/machine_bench.py              this table alone
python benchmarks/machine_bench.py --cpus 2 64  some rows of it
python benchmarks/bench.py                      as a section of the whole
"""

import argparse
import ctypes
import hashlib
import math
import pathlib
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import compilers  # noqa: E402
import numpy as np  # noqa: E402

from memcg_lab import V4_13, V4_14, System, mixed  # noqa: E402
from memcg_lab.machine import FUNCTIONS, LAYOUTS, TOPOLOGIES, Layout, run  # noqa: E402
from memcg_lab.machine.coherence import bind_machine  # noqa: E402
from memcg_lab.mechanism import steps  # noqa: E402
from tests.reference import plain_machine  # noqa: E402

try:
    import simpy_machine
except ImportError:
    simpy_machine = None

CPUS = (2, 64, 512, 1024)
DEPTH, THINK_NS, OPS_PER_CPU = 3, 3000.0, 200
EVENTS, PYTHON_EVENTS, SIMPY_EVENTS = 3_000_000, 100_000, 40_000  # about so many in one run
ROUNDS, PYTHON_ROUNDS = 11, 3
AIM_C, AIM_SIMPY = 1.1, 100
BOOKED_TO = (  # functions that machine.c books to, in the order of its struct
    "mem_cgroup_charge_skmem",
    "mem_cgroup_uncharge_skmem",
    "consume_stock",
    "refill_stock",
    "drain_stock",
    "css_get_many",
    "css_put_many",
    "__sk_mem_raise_allocated",
    "__sk_mem_reduce_allocated",
    "tcp_delack_timer_handler",
    "try_charge",
    "everything else",
)


# --- what is simulated -----------------------------------------------------------------------------------------------
class Case:
    """One run: a chain of cgroups whose leaf all CPUs use, so that every line is shared by all of them."""

    def __init__(
        self, policy, cpus, layout=LAYOUTS["v4.13"], lock="atomic", think_ns=THINK_NS, topology="2x E5-2680 v4"
    ):
        self.policy, self.cpus, self.layout, self.lock = policy, cpus, layout, lock
        self.topology = TOPOLOGIES[topology]
        self.system = System.chain(depth=DEPTH, cpus=cpus, policy=policy)
        self.ops = mixed(OPS_PER_CPU * cpus, cpus=cpus, memcgs=[DEPTH], seed=1)
        self.gaps = np.full(len(self.ops), round(think_ns * 1000), np.int64)

    def arrays(self):
        """A fresh machine, as ``simulate`` makes it."""
        return run.lay_out(
            self.system.copy(),
            self.ops,
            self.gaps,
            spread=run.spread("exponential"),
            topology=self.topology,
            layout=self.layout,
            lock=self.lock,
            repeat=True,
            seed=1,
            record=0,
        )

    def python(self, made):
        """A fresh machine in plain Python or SimPy."""
        patched = self.policy is V4_14
        return made(
            self.system.parents,
            self.system.root,
            self.cpus,
            self.ops,
            self.gaps,
            patched=(patched, patched),
            topology=self.topology,
            layout=self.layout,
            lock=self.lock,
        )


# --- the sides -------------------------------------------------------------------------------------------------------
class Compiled:
    """memcg_lab's compiled simulation, called with everything prepared."""

    name = "memcg_lab"

    def prepare(self, case):
        self.kernel, self.machine = bind_machine(case.policy), case.arrays()

    def go(self, until):
        reason, _ = self.kernel(self.machine, until)
        return reason

    def result(self):
        return run.counted(self.machine)


class C:
    """machine.c, on arrays of the same kind."""

    def __init__(self, name, libraries):
        self.name, self.libraries = name, libraries

    def prepare(self, case):
        self.machine = case.arrays()
        self.given = self._pointers(case, self.machine)
        self.run = self.libraries[case.policy.name].run
        self.run.restype, self.run.argtypes = ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int64]

    def _pointers(self, case, m):
        state = m.state
        rows = (steps.STEP_TRY_ADD, steps.STEP_TRY_WATERMARK, steps.STEP_CANCEL)
        arrays = [state.counter, state.memcg, state.stock, state.sock, state.work, state.total]
        arrays += [m.cpu, m.pending, m.line, m.copies, m.groups, m.booked, m.ops, m.gaps, m.spread]
        arrays += [m.cost, m.tree, *(m.steps[code : code + 1] for code in rows)]
        numbers = [case.cpus, len(state.memcg), m.pending.shape[1], m.copies.shape[1], state.root]
        numbers += [m.lines, m.count, m.parent, m.allocated, m.walks, m.lock, m.repeat]
        numbers += [FUNCTIONS.index(name) for name in BOOKED_TO]
        assert all(array.flags.c_contiguous for array in arrays)
        return np.array([array.ctypes.data for array in arrays] + numbers, np.int64)

    def go(self, until):
        return self.run(self.given.ctypes.data, until)

    def result(self):
        return run.counted(self.machine)


class Python:
    """plain_machine.py or simpy_machine.py."""

    def __init__(self, name, made):
        self.name, self.made = name, made

    def prepare(self, case):
        self.machine = case.python(self.made)

    def go(self, until):
        self.machine.run(until)
        return 0

    def result(self):
        m = self.machine
        columns = [cpu.finished for cpu in m.cpus], m.booked, [line.counted(math.inf) for line in m.lines]
        return tuple(np.array(column, np.int64) for column in columns)


def build(folder):
    """machine.c: {compiler: {policy: library}}."""
    variants = {policy.name: [f"-DPATCHED={patched}"] for patched, policy in enumerate((V4_13, V4_14))}
    return compilers.built(folder, "machine.c", variants)


def digest(side):
    """sha256 over operations finished, time booked and traffic."""
    sha = hashlib.sha256()
    for array in side.result():
        sha.update(np.ascontiguousarray(array).astype(np.int64).tobytes())
    return sha.hexdigest()


def timed(side, case, until):
    """CPU nanoseconds of this thread for the simulation alone; making the arrays is not in them."""
    side.prepare(case)
    start = time.thread_time_ns()
    reason = side.go(until)
    spent = time.thread_time_ns() - start
    if reason:
        raise SystemExit(f"{side.name} stopped: {reason}")
    return spent


def events(result):
    """Micro-events: visits to lines that are not free, and operations finished."""
    finished, _, traffic = result
    return int(finished.sum() + traffic[:, :3].sum())


# --- measuring -------------------------------------------------------------------------------------------------------
def sides_of(built):
    """memcg_lab and C; then those that are given fewer events."""
    slow = [Python("heapq", plain_machine.Machine)]
    if simpy_machine is not None:
        slow.append(Python("SimPy", simpy_machine.Machine))
    return [Compiled(), *(C(compiler, libraries) for compiler, libraries in built.items())], slow


def horizon(case, wanted):
    """Simulated ps that take about so many micro-events."""
    side = Compiled()
    until = round(THINK_NS * 1000) * 20
    timed(side, case, until)
    return until * wanted // max(events(side.result()), 1)


def agree(built):
    """True if all sides answer the same with every layout and lock, stores, clean copies and all."""
    odd = Layout("odd", watermark=1, limit=2, failcnt=1, pressure_walks=1, memory_allocated=False)
    cases = [
        Case(policy, cpus, layout, lock, think_ns)
        for policy in (V4_13, V4_14)
        for cpus, think_ns in ((1, 500.0), (9, 100.0), (60, 2000.0))
        for layout, lock in [(layout, "atomic") for layout in (*LAYOUTS.values(), odd)]
        + [(LAYOUTS["v5.12"], "queue lock"), (odd, "ticket lock")]
    ]
    near_and_far = (("2x EPYC 7742, core complexes", 300), ("8x Platinum 8176", 448))
    cases += [Case(V4_14, cpus, LAYOUTS["v5.12"], topology=name) for name, cpus in near_and_far]
    equal = True
    fast, slow = sides_of(built)
    for case in cases:
        until = horizon(case, 3000)
        ends = {}
        for side in [*fast, *slow]:
            timed(side, case, until)
            ends[side.name] = digest(side)
        if len(set(ends.values())) != 1:
            equal = False
            print(f"{case.policy.name}, {case.cpus} CPUs, {case.layout.name}, {case.lock}: the sides differ: {ends}")
    print(f"layouts and locks, {len(cases)} cases: " + ("same arrays on all sides" if equal else "DIFFERENT"))
    return equal


def measure(case, built, rounds):
    """Nanoseconds a micro-event of each side in each round, and whether all ended the same."""
    fast, slow = sides_of(built)
    untils = {side.name: horizon(case, EVENTS) for side in fast}
    untils |= {"heapq": horizon(case, PYTHON_EVENTS), "SimPy": horizon(case, SIMPY_EVENTS)}
    for side in fast:
        timed(side, case, untils[side.name])  # loads the code
    cost = {side.name: [] for side in [*fast, *slow]}
    over = {side.name: [] for side in slow}
    ends, number = {}, 0
    for turn in range(rounds):
        at = turn % len(fast)  # each side is the first one as often as any other
        for side in fast[at:] + fast[:at]:
            spent = timed(side, case, untils[side.name])
            number = events(side.result())
            cost[side.name].append(spent / number)
            ends[side.name] = digest(side)
        if turn * PYTHON_ROUNDS % rounds < PYTHON_ROUNDS:  # PYTHON_ROUNDS of them, evenly spread
            for side in slow:
                spent = timed(side, case, untils[side.name])
                cost[side.name].append(spent / events(side.result()))
                over[side.name].append(cost[side.name][-1] / cost["memcg_lab"][-1])
    same = len(set(ends.values())) == 1
    for side in slow:  # the same shorter run, compiled
        ours = Compiled()
        timed(ours, case, untils[side.name])
        if digest(ours) != digest(side):
            same = False
            print(f"    {side.name} answers something else than memcg_lab")
    return cost, over, same


def spread_of(values, digits):
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} [{low:.{digits}f} {high:.{digits}f}]"


def table(folder, quick=False, chosen=CPUS):
    """Print the table, or quickly 64 CPUs of it; true if all sides ended the same in every row."""
    rounds, chosen = (PYTHON_ROUNDS, (64,)) if quick else (ROUNDS, chosen)
    built = build(folder)
    print(
        f"\nthe machine: {DEPTH} levels below the root, one leaf for all CPUs, think {THINK_NS / 1000:.0f} µs\n"
        f"micro-events: visits to lines that are not free, and operations finished; about {EVENTS / 1e6:.0f} M a run, "
        f"heapq {PYTHON_EVENTS // 1000} k, SimPy {SIMPY_EVENTS // 1000} k\n"
        f"median [quartiles] of {rounds} interleaved rounds, plain Python of {min(rounds, PYTHON_ROUNDS)}; CPU time of "
        f"the thread; only the simulation, not its set-up\n"
        f"÷ C: against the faster C, aim ≤ {AIM_C}; × heapq, × SimPy: cost of an event there over ours, "
        f"aim ≥ {AIM_SIMPY} × SimPy, at all but {CPUS[-1]} CPUs"
    )
    if simpy_machine is None:
        print("SimPy is left out: pip install simpy")
    equal, missed, ours = agree(built), [], {}
    head = ("CPUs", "rule", "M events/s", "faster C", "÷ C", "× heapq", "× SimPy", "arrays")
    widths = (4, 5, 10, 8, 18, 15, 15, 7)
    print("  ".join(f"{word:>{width}}" for word, width in zip(head, widths, strict=True)))
    for cpus in chosen:
        for policy in (V4_13, V4_14):
            case = Case(policy, cpus)
            cost, over, same = measure(case, built, rounds)
            equal = equal and same
            mine = ours[cpus, policy.name] = cost["memcg_lab"]
            cells = [str(cpus), policy.name, f"{1000 / statistics.median(mine):.1f}"]
            to_c = {name: [a / b for a, b in zip(mine, cost[name], strict=True)] for name in built}
            if to_c:
                name = max(to_c, key=lambda name: statistics.median(to_c[name]))
                cells += [name, spread_of(to_c[name], 3)]
                if cpus != CPUS[-1] and statistics.median(to_c[name]) > AIM_C:
                    missed.append(f"{cpus} CPUs {policy.name}: {statistics.median(to_c[name]):.3f} × C")
            else:
                cells += ["none", "-"]
            cells += [spread_of(over[name], 0) if name in over else "-" for name in ("heapq", "SimPy")]
            if cpus != CPUS[-1] and "SimPy" in over and statistics.median(over["SimPy"]) < AIM_SIMPY:
                missed.append(f"{cpus} CPUs {policy.name}: {statistics.median(over['SimPy']):.0f} × SimPy")
            cells.append("equal" if same else "DIFFER")
            print("  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)), flush=True)
    for policy in (V4_13, V4_14) if {64, 1024} <= set(chosen) else ():
        growth = statistics.median(ours[1024, policy.name]) / statistics.median(ours[64, policy.name])
        print(f"cost of an event at 1024 CPUs over that at 64, {policy.name}: {growth:.2f}")
    print("aims of the machine: " + ("all met" if not missed else "missed in " + "; ".join(missed)))
    return equal


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cpus", type=int, nargs="+", choices=CPUS, default=CPUS, help="rows of the table; all of them"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        sys.exit(0 if table(pathlib.Path(scratch), chosen=asked.cpus) else 1)
