"""Closed loops: N clients that think and then charge; three answers beside each other, and published rows predicted."""

from collections import namedtuple

import numpy as np

from ..checks import nanoseconds, whole_number
from ..mechanism.policy import V4_14
from ..mechanism.records import CHARGE_SKMEM, SOFTIRQ, UNCHARGE_SKMEM
from ..system import System
from ..workload import skmem
from .cache_lines import Layout
from .calibration import fit, mva
from .coherence import LOCKS
from .run import simulate
from .topology import CPUS_MAX, Topology

METHODS = ("additive", "mva", "simulation")
TRAFFIC = ("charge", "uncharge", "pairs")
LEVELS_MAX = 64
CPU_OPS = 2048  # operations of a CPU before its stream begins again; more than the period of any batch up to 1024
VISITS_WANTED = 20_000  # visits to lines that a simulation should see

ATOMICS_ALONE = Layout("the counter alone", memory_allocated=False, pressure_walks=0)

Loop = namedtuple("Loop", "throughput visits busiest method")
Loop.__doc__ = """Answer of :func:`closed_loop`.

throughput: rounds of one client in a microsecond. visits: to each level's line in a round, from the mechanism. busiest:
share of the time the busiest line is taken. method: how it was computed.
"""


def closed_loop(
    *,
    clients,
    think_ns,
    visit_ns,
    levels=1,
    lines=None,
    batch=32,
    pages=1,
    policy=V4_14,
    traffic="charge",
    layout=ATOMICS_ALONE,
    lock="atomic",
    method="mva",
    seed=1,
):
    """Throughput of clients that think, then charge or give back pages.

    Parameters
    ----------
    clients : int
        Loops that run at the same time, each on a CPU of its own; with ``"pairs"`` each has two CPUs.
    think_ns : float
        A round without any shared line.
    visit_ns : float
        One visit to a line: the way of the line and the atomic.
    levels : int
        Counters from the cgroup to the root, both included.
    lines : int, optional
        Lines they lie on; by default one for each level. With fewer, each serves the visits of several.
    batch : int
        Pages charged at once.
    pages : int
        Pages of one round.
    policy : Policy
        ``V4_14`` gives back in batches, ``V4_13`` page by page; ``batch`` replaces the policy's own.
    traffic : {"charge", "uncharge", "pairs"}
        What a round does; in pairs one CPU charges and another gives back.
    layout : Layout
        By default nothing but the counters is touched.
    lock : {"atomic", "queue lock", "ticket lock"}
    method : {"additive", "mva", "simulation"}
        No queue at all; mean-value analysis, one queue for each line; or discrete events with the real mechanism.
    seed : int
        For the simulation.

    Returns
    -------
    Loop

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    The three part where lines queue. The additive answer knows no waiting. Mean-value analysis waits a little too long,
    because it takes service times for exponential. The simulation also does what the two leave out: after a batch was
    charged it reads ``count`` at every level once more, for memory.high, and often finds the line taken.

    Examples
    --------
    >>> for method in ("additive", "mva", "simulation"):
    ...     loop = closed_loop(clients=36, think_ns=1000, visit_ns=500, levels=3, batch=32, method=method)
    ...     print(f"{method:10} {loop.throughput:.3f} rounds/us of a client, busiest line {loop.busiest:.0%}")
    additive   0.955 rounds/us of a client, busiest line 54%
    mva        0.916 rounds/us of a client, busiest line 52%
    simulation 0.879 rounds/us of a client, busiest line 82%
    """
    most = CPUS_MAX // 2 if traffic == "pairs" else CPUS_MAX
    clients = whole_number("clients", clients, 1, most)
    think_ns, visit_ns = nanoseconds("think_ns", think_ns), nanoseconds("visit_ns", visit_ns)
    levels = whole_number("levels", levels, 1, LEVELS_MAX)
    lines = levels if lines is None else whole_number("lines", lines, 1, levels)
    pages = whole_number("pages", pages, 1, 2**16)
    for what, value, known in (("traffic", traffic, TRAFFIC), ("method", method, METHODS), ("lock", lock, LOCKS)):
        if value not in known:
            raise ValueError(f'{what} is "{value}"; it must be one of {", ".join(known)}.')
    if not isinstance(layout, Layout):
        raise ValueError(f"layout is {layout!r}; it must be a Layout.")
    if policy.batch != batch:
        policy = policy.with_rules(f"{policy.name}, batch {batch}", batch=batch)
    kinds = {"charge": [CHARGE_SKMEM], "uncharge": [UNCHARGE_SKMEM], "pairs": [CHARGE_SKMEM, UNCHARGE_SKMEM]}[traffic]
    visits = float(np.mean([_visits(policy, kind, pages) for kind in kinds]))
    rounds = clients * len(kinds)
    each_ns = visit_ns * levels / lines
    if method == "simulation":
        return _simulated(rounds, kinds, think_ns, each_ns, lines, pages, policy, layout, lock, visits, seed)
    reads = 0.0
    if layout.shares("count", "parent"):  # each reading of a line that others write is a way
        reads = layout.pressure_walks * kinds.count(UNCHARGE_SKMEM) / len(kinds)
    demands = [(visits + reads) * each_ns] * lines + [float(layout.memory_allocated) * visit_ns]
    if lock != "atomic":
        demands = [demand * (2 if lock == "queue lock" else 1) for demand in demands]
    if method == "additive":
        throughput = 1 / (think_ns + sum(demands)) if think_ns + sum(demands) else np.inf
        return Loop(throughput * 1000, visits, throughput * rounds * max(demands), method)
    extra = [0.5 if lock == "ticket lock" else 0.0] * len(demands)
    total, _ = mva(rounds, think_ns, demands, extra)
    return Loop(total / rounds * 1000, visits, total * max(demands), method)


def predict_rows(rows, *, baseline, fitted, per_client=True, **common):
    r"""Fit one number to one published row, and predict the others.

    The number is ``visit_ns``, the cost of a visit to a line. The unit of the measurement is fixed by the baseline.

    Parameters
    ----------
    rows : mapping
        ``name: (measured, arguments)``. The arguments of :func:`closed_loop` in which the row differs from ``common``;
        None for a row without any counter, such as the root memcg.
    baseline : str
        The row that gives the unit; it is never predicted.
    fitted : str
        The row that ``visit_ns`` is fitted to.
    per_client : bool
        False if the rows measure all clients together.
    **common
        Arguments of :func:`closed_loop` for all rows.

    Returns
    -------
    DataFrame
        row, role (unit, fitted, predicted), measured, model (both in the unit of the measurement), error in percent,
        and ``visit_ns``.

    Raises
    ------
    ValueError
        If a row is missing, or no cost of a visit gives the fitted row.

    Examples
    --------
    >>> rows = {"none": (100.0, None), "batch 32": (50.0, {"batch": 32}), "batch 64": (75.0, {"batch": 64})}
    >>> table = predict_rows(rows, baseline="none", fitted="batch 32", clients=8, think_ns=1000)
    >>> table[["row", "role", "measured"]].to_string(index=False, header=False).split("\n")[2].strip()
    'batch 64 predicted  75.0'
    >>> print(f"model {table.model[2]:.1f}, error {table.error_percent[2]:+.1f} %")
    model 77.6, error +3.4 %
    """
    import pandas as pd

    for what, name in (("baseline", baseline), ("fitted", fitted)):
        if name not in rows:
            raise ValueError(f'{what} is "{name}"; the rows are {", ".join(map(str, rows))}.')
    for name, (measured, _) in rows.items():
        if not np.isfinite(measured) or measured <= 0:
            raise ValueError(f'row "{name}": {measured!r} was measured; it must be above 0.')

    def answer(name, visit_ns):
        changes = rows[name][1]
        arguments = {**common, **(changes or {})}
        if changes is None:
            each = 1000 / arguments["think_ns"]
        else:
            each = closed_loop(visit_ns=visit_ns, **arguments).throughput
        return each if per_client else each * arguments["clients"]

    def relative(visit_ns):
        return answer(fitted, visit_ns) / answer(baseline, visit_ns)

    low, high = 1e-2, 1e5
    visit_ns = fit(relative, rows[fitted][0] / rows[baseline][0], low, high, "visit_ns")
    unit = rows[baseline][0] / answer(baseline, visit_ns)
    role = {baseline: "unit", fitted: "fitted"}
    table = pd.DataFrame(
        [
            (name, role.get(name, "predicted"), measured, unit * answer(name, visit_ns))
            for name, (measured, _) in rows.items()
        ],
        columns=["row", "role", "measured", "model"],
    )
    table["error_percent"] = 100 * (table["model"] / table["measured"] - 1)
    table["visit_ns"] = visit_ns
    return table


def _visits(policy, kind, pages):
    """Atomics on one level in a round, from the mechanism itself."""
    system = System.chain(depth=1, cpus=2, policy=policy)
    if kind == UNCHARGE_SKMEM:
        system.replay(skmem(CHARGE_SKMEM, CPU_OPS, cpu=1, memcg=1, nr_pages=pages, ctx=SOFTIRQ))
    before = system.work().atomics
    system.replay(skmem(kind, CPU_OPS, cpu=0, memcg=1, nr_pages=pages, ctx=SOFTIRQ))
    return (system.work().atomics - before) / 2 / CPU_OPS


def _simulated(rounds, kinds, think_ns, each_ns, lines, pages, policy, layout, lock, visits, seed):
    system = System([-1, *range(lines - 1)], cpus=rounds, policy=policy, root=None)
    ops = np.concatenate(
        [
            skmem(kinds[cpu * len(kinds) // rounds], CPU_OPS, cpu=cpu, memcg=lines - 1, nr_pages=pages, ctx=SOFTIRQ)
            for cpu in range(rounds)
        ]
    )
    # Long enough for the visits wanted if a round took no longer than thinking and one full queue.
    round_ns = think_ns + visits * lines * each_ns * max(1.0, rounds * visits * each_ns / max(think_ns, 1.0))
    duration = min(1e9, VISITS_WANTED * max(round_ns, 1.0) / (rounds * max(visits * lines, 1e-3)))
    run = simulate(
        system,
        ops,
        think_ns=think_ns,
        topology=Topology.uniform(rounds, transfer_ns=each_ns, own_ns=0.001),  # so that time never stands still
        layout=layout,
        lock=lock,
        duration_ns=duration,
        seed=seed,
    )
    busiest = float(run.utilisation.max())
    return Loop(run.throughput / rounds, visits, busiest, "simulation")
