"""Real threads: what the simulation says of a run on this CPU, and what the run then says."""

import itertools
from collections import namedtuple

import numpy as np

from ..checks import nanoseconds, real_number, whole_number
from ..machine.cache_lines import Layout
from ..machine.run import simulate
from ..machine.topology import CPUS_MAX, Topology
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_SKMEM, SOFTIRQ, UNCHARGE_SKMEM
from ..system import System
from ..workload import pairs, skmem
from .counters import DEPTH_MAX, THINK_NS_MAX, rules_of, run_threads
from .host import usable_cpus
from .measure import OVERLAP
from .race import need_hardware

CPU_PAIRS = 64
PAIRS_WANTED = 20_000  # that a simulation finishes

# The threads of memcg_lab.hardware touch the counters and their stocks, nothing else.
COUNTERS_ALONE = Layout("real threads", memory_allocated=False, pressure_walks=0)


def predict_threads(topology, policy, *, depth, threads, think_ns):
    """Nanoseconds a pair of charge and uncharge should take on each of some threads.

    Parameters
    ----------
    topology : Topology
        From :meth:`Topology.from_measurement`: an atomic alone, a line's way, a plain step. Nothing else is used.
    policy : Policy
    depth : int
        Levels below the root.
    threads : int
        Each charges a page and gives it back, as ``run_threads`` does.
    think_ns : float
        After each charge and after each uncharge.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    Kernel: ``mem_cgroup_charge_skmem`` and ``mem_cgroup_uncharge_skmem``, v4.13 and 475d048, from many CPUs at once.

    Examples
    --------
    >>> topology = Topology.uniform(2, transfer_ns=30, local_ns=5, own_ns=0.25)
    >>> print(f"{predict_threads(topology, V4_13, depth=1, threads=1, think_ns=100):.1f}")
    211.3
    """
    threads = whole_number("threads", threads, 1, CPUS_MAX)
    think_ns = nanoseconds("think_ns", think_ns)
    system = System.chain(depth=depth, cpus=threads, policy=policy)
    cpu = np.repeat(np.arange(threads), CPU_PAIRS)
    both = (
        skmem(code, len(cpu), cpu=cpu, memcg=depth, nr_pages=1, ctx=SOFTIRQ) for code in (CHARGE_SKMEM, UNCHARGE_SKMEM)
    )
    # Every touch of a line could cost its way; that bounds how long so many pairs may take.
    slowest = 2 * think_ns + threads * (depth + 1) * (topology.cross_ns + topology.local_ns) + 8
    run = simulate(
        system,
        pairs(*both),
        think_ns=think_ns,
        think="fixed",
        topology=topology,
        layout=COUNTERS_ALONE,
        duration_ns=min(1e9, PAIRS_WANTED / threads * slowest),
    )
    return 2 * threads / run.throughput * 1000


def run_grid(
    topology,
    *,
    policies=(V4_13, V4_14),
    depths=(1, 3),
    thinks_ns=(0, 50, 200, 1000),
    threads=(1, 2),
    seconds=0.05,
    repeats=3,
    progress=None,
    stop=None,
):
    """Predict a grid of runs that were not used to calibrate, then run each, and say how far the two lie apart.

    Parameters
    ----------
    topology : Topology
        From a measurement of this machine.
    policies, depths, thinks_ns, threads : sequences
        The grid; think times as asked for, the measured ones are compared.
    seconds : float
        Of each run.
    repeats : int
        Runs of each point; the fastest one whose threads overlapped is compared.
    progress : callable, optional
        Called with the points done and all of them.
    stop : threading.Event, optional
        Ends the grid early; what was run by then is returned.

    Returns
    -------
    DataFrame
        policy, depth, threads, think_ns (measured), measured_ns and predicted_ns of a pair, error_percent (NaN where
        no run was kept), kept and discarded runs.

    Raises
    ------
    ValueError
        If an argument is out of range, or nothing is compiled.

    Notes
    -----
    Kernel: ``mem_cgroup_charge_skmem`` and ``mem_cgroup_uncharge_skmem``, v4.13 and 475d048, from many CPUs at once.

    Examples
    --------
    >>> topology = Topology.uniform(2, transfer_ns=30, local_ns=5, own_ns=0.25)
    >>> grid = run_grid(topology, policies=(V4_14,), depths=(1,), thinks_ns=(300,), threads=(1,), seconds=0.005)
    >>> list(grid.columns[:4]), len(grid)
    (['policy', 'depth', 'threads', 'think_ns'], 1)
    """
    import pandas as pd

    _check(topology, seconds, repeats)
    points = _points(policies, depths, threads, thinks_ns)
    rows = []
    for done, point in enumerate(points):
        if stop is not None and stop.is_set():
            break
        runs = [
            run_threads(
                point.policy,
                depth=point.depth,
                threads=point.threads,
                think_ns=point.think_ns,
                seconds=seconds,
                stop=stop,
            )
            for _ in range(repeats)
        ]
        rows.append(_row(topology, point, runs))
        if progress is not None:
            progress(done + 1, len(points))
    return pd.DataFrame(rows, columns=COLUMNS)


Point = namedtuple("Point", "policy depth threads think_ns")  # of a grid
COLUMNS = [
    "policy",
    "depth",
    "threads",
    "think_ns",
    "measured_ns",
    "predicted_ns",
    "error_percent",
    "kept",
    "discarded",
]


def _check(topology, seconds, repeats):
    """ValueError if the arguments that all points share are not what a run needs."""
    if not isinstance(topology, Topology):
        raise ValueError(f"topology is {topology!r}; it must be a Topology, from a measurement.")
    real_number("seconds", seconds, 0.001, 3600)
    whole_number("repeats", repeats, 1, 1000)
    need_hardware()


def _points(policies, depths, threads, thinks_ns):
    """The points of a grid, each checked before the first one runs."""
    given = {"policies": policies, "depths": depths, "threads": threads, "thinks_ns": thinks_ns}
    for what, values in given.items():
        if not isinstance(values, (list, tuple, range, np.ndarray)):
            raise ValueError(f"{what} is {values!r}; it must be a list of values.")
    for policy in policies:
        rules_of(policy)
    for depth in depths:
        whole_number("depth", depth, 1, DEPTH_MAX)
    for number in threads:
        whole_number("threads", number, 1, len(usable_cpus()))
    for think_ns in thinks_ns:
        real_number("think_ns", think_ns, 0, THINK_NS_MAX)
    return [Point(*point) for point in itertools.product(policies, depths, threads, thinks_ns)]


def _row(topology, point, runs):
    """One row of the table: the fastest run whose threads overlapped, and what was predicted for it."""
    kept = [run for run in runs if run.overlap >= OVERLAP and run.pairs_per_us > 0]
    best = min(kept, key=lambda run: run.ns_per_pair, default=None)
    think_ns, measured = (best.think_ns, best.ns_per_pair) if best else (np.nan, np.nan)
    predicted = predict_threads(
        topology,
        point.policy,
        depth=point.depth,
        threads=point.threads,
        think_ns=think_ns if best else point.think_ns,
    )
    error = 100 * (predicted / measured - 1)
    place = (point.policy.name, point.depth, point.threads)
    return (*place, think_ns, measured, predicted, error, len(kept), len(runs) - len(kept))
