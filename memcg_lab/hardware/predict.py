"""Real threads: what the simulation says of a run on this CPU, and what the run then says."""

import numpy as np

from ..checks import nanoseconds, whole_number
from ..machine.cache_lines import Layout
from ..machine.run import simulate
from ..machine.topology import CPUS_MAX, Topology
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_SKMEM, SOFTIRQ, UNCHARGE_SKMEM
from ..system import System
from ..workload import pairs, skmem
from . import run_threads
from .measure import OVERLAP

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
    """
    import pandas as pd

    if not isinstance(topology, Topology):
        raise ValueError(f"topology is {topology!r}; it must be a Topology, from a measurement.")
    repeats = whole_number("repeats", repeats, 1, 1000)
    points = [(p, d, n, z) for p in policies for d in depths for n in threads for z in thinks_ns]
    rows = []
    for done, (policy, depth, number, think_ns) in enumerate(points):
        if stop is not None and stop.is_set():
            break
        runs = [
            run_threads(policy, depth=depth, threads=number, think_ns=think_ns, seconds=seconds, stop=stop)
            for _ in range(repeats)
        ]
        kept = [run for run in runs if run.overlap >= OVERLAP and run.pairs_per_us > 0]
        best = min(kept, key=lambda run: run.ns_per_pair, default=None)
        predicted = predict_threads(
            topology, policy, depth=depth, threads=number, think_ns=best.think_ns if best else think_ns
        )
        measured = best.ns_per_pair if best else np.nan
        rows.append(
            (
                policy.name,
                depth,
                number,
                best.think_ns if best else np.nan,
                measured,
                predicted,
                100 * (predicted / measured - 1),
                len(kept),
                repeats - len(kept),
            )
        )
        if progress is not None:
            progress(done + 1, len(points))
    columns = ["policy", "depth", "threads", "think_ns", "measured_ns", "predicted_ns", "error_percent"]
    return pd.DataFrame(rows, columns=[*columns, "kept", "discarded"])
