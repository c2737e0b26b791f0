"""The kernels as WebAssembly: their time beside the host's code, both on the same arrays, and the size of each file.

python benchmarks/web_bench.py            this table alone
python benchmarks/bench.py                as a section of the whole

The files are those of ``python -m memcg_lab web build``; what is missing of them is built first, which takes minutes.
"""

import importlib.metadata
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402

from memcg_lab import POLICIES, System, mixed  # noqa: E402
from memcg_lab.machine import LAYOUTS, TOPOLOGIES, run  # noqa: E402
from memcg_lab.machine.coherence import bind_machine  # noqa: E402
from memcg_lab.mechanism import steps  # noqa: E402
from memcg_lab.mechanism.policy import bind  # noqa: E402
from memcg_lab.web.build import build  # noqa: E402

try:
    import wasmtime

    from tests.reference.wasm import Engine
except ImportError:
    wasmtime = None

FOLDER = HERE.parent / "build" / "web"
POLICY_NAMES = ("v4.13", "v4.14", "v6.1")
OPS, LOGGED, CPUS = 2_000_000, 200_000, 64
PS = {"machine": 20_000_000_000, "events": 10_000_000_000}  # simulated; long enough that the call itself does not count
ROUNDS = 11


def arguments_of(kind, policy):
    """What a kernel is called with, fresh, and how many operations that is about."""
    if kind in ("replay", "steps"):
        n = OPS if kind == "replay" else LOGGED
        log = None if kind == "replay" else np.zeros(10 * n, steps.step_dtype)
        state = System.chain(depth=2, cpus=8, policy=policy).mechanism_state(log)
        return (state, mixed(n, cpus=8, memcgs=[2], seed=475), True), lambda: n
    system = System.chain(depth=3, cpus=CPUS, policy=policy)
    ops = mixed(200 * CPUS, cpus=CPUS, memcgs=[3], seed=1)
    machine = run.lay_out(
        system,
        ops,
        np.full(len(ops), 3000 * run.PS, np.int64),
        spread=run.spread("exponential"),
        topology=TOPOLOGIES["2x E5-2680 v4"],
        layout=LAYOUTS["v4.13"],
        lock="atomic",
        repeat=True,
        seed=1,
        record=1_000_000 if kind == "events" else 0,
    )
    return (machine, PS[kind]), lambda: int(machine.cpu["finished"].sum())


def arrays(values):
    """Every array among the arguments."""
    for value in values:
        if isinstance(value, tuple):
            yield from arrays(value)
        elif isinstance(value, np.ndarray):
            yield value


def timed(call):
    start = time.thread_time_ns()
    call()
    return time.thread_time_ns() - start


def measure(engine, kind, policy, rounds):
    """Host's nanoseconds an operation, the ratio in each round, and whether all arrays are equal."""
    host = bind(policy) if kind in ("replay", "steps") else bind_machine(policy)
    web = engine.kernel(kind, policy.name)
    host(*arguments_of(kind, policy)[0])  # loads the code
    cost, ratio, equal = [], [], True
    for turn in range(rounds):
        (here, number), (there, _) = arguments_of(kind, policy), arguments_of(kind, policy)
        placed = web.place(there)
        for array in arrays(here):
            array[...] = array.copy()  # written once, so that it is in memory, as on the other side
        sides = [lambda here=here: host(*here), web.go]
        spent = {}
        for side in (0, 1) if turn % 2 else (1, 0):
            spent[side] = timed(sides[side])
        web.fetch(placed)
        pairs = zip(arrays(here), arrays(there), strict=True)
        equal = equal and all(one.tobytes() == other.tobytes() for one, other in pairs)
        cost.append(spent[0] / number())
        ratio.append(spent[1] / spent[0])
    return cost, ratio, equal


def table(quick=False):
    """Print the whole table, or quickly v4.14 of it; true if all arrays were equal."""
    print("\nthe kernels as WebAssembly")
    if wasmtime is None:
        print("left out: pip install wasmtime")
        return True
    names = POLICY_NAMES[1:2] if quick else POLICY_NAMES
    try:
        description = build(FOLDER)
    except ValueError as error:
        print(f"left out: {error}")
        return True
    rounds, version = 3 if quick else ROUNDS, importlib.metadata.version("wasmtime")
    print(
        f"replay: {OPS:,} operations, 8 CPUs; steps: {LOGGED:,} with their log; "
        f"machine, events: {CPUS} CPUs, 20 and 10 simulated ms\n"
        f"wasmtime {version}; ÷ host: its time over that of the host's code on the same arrays, median "
        f"[quartiles] of {rounds} interleaved rounds; CPU time of the thread; copying the arrays is not in it"
    )
    engine, all_equal = Engine(FOLDER), True
    head, widths = ("kernel", "host, ns an op", "÷ host", "arrays"), (14, 14, 18, 7)
    print("  ".join(f"{word:>{width}}" for word, width in zip(head, widths, strict=True)))
    for kind in ("replay", "steps", "machine", "events"):
        for name in names:
            cost, ratio, equal = measure(engine, kind, POLICIES[name], rounds)
            all_equal = all_equal and equal
            low, middle, high = statistics.quantiles(ratio, n=4, method="inclusive")
            spread = f"{middle:.2f} [{low:.2f} {high:.2f}]"
            cells = (f"{kind} {name}", f"{statistics.median(cost):.1f}", spread, "equal" if equal else "DIFFER")
            print("  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)), flush=True)
    head, widths = ("file", "bytes", "gzip"), (36, 9, 7)
    print("  ".join(f"{word:>{width}}" for word, width in zip(head, widths, strict=True)))
    for told in description["kernels"].values():
        cells = told["file"], f"{told['bytes']:,}", f"{told['gzip']:,}"
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    return all_equal


if __name__ == "__main__":
    sys.exit(0 if table("--quick" in sys.argv[1:]) else 1)
