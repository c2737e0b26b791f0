"""What the figures draw: time series of a run and the cost of a call, taken from the mechanism."""

import numpy as np
import pandas as pd

from ..checks import whole_number
from ..mechanism.policy import Policy
from ..mechanism.records import CHARGE_SKMEM, NR_PAGES_MAX, OPS, UNCHARGE_SKMEM
from ..mechanism.steps import (
    COUNTER_ATOMIC,
    STEP_CONSUME_HIT,
    STEP_DRAIN,
    STEP_REFILL,
    STEP_SOCK_ADD,
    STEP_SOCK_SUB,
    STEPS,
)
from ..system import System
from ..words import kind
from ..workload import skmem

OPS_MAX = 200_000  # operations whose steps still fit easily into memory

MOVES_COUNT = np.array([step.what == "count of" for step in STEPS])
MOVES_STOCK = np.isin(np.arange(len(STEPS)), [STEP_CONSUME_HIT, STEP_REFILL, STEP_DRAIN])
MOVES_SOCK = np.isin(np.arange(len(STEPS)), [STEP_SOCK_ADD, STEP_SOCK_SUB])


def record(system, ops, memcg=None):
    """What a stream does to a system, operation by operation. The system itself is not changed.

    Parameters
    ----------
    system : System
        Where the stream starts; a copy of it runs.
    ops : ndarray of ``op_dtype``, shape (n,)
        At most 200,000 operations.
    memcg : int, optional
        The cgroup to watch; by default the one the first charge names.

    Returns
    -------
    pandas.DataFrame
        n + 1 rows, the first before any operation. In pages: ``usage`` (``memory.current`` of the cgroup), ``sock``
        (MEMCG_SOCK of it and the cgroups below it), ``in_stocks`` (in all CPUs' stocks), ``fullest`` (in the fullest
        stock). ``atomics``: on counters, from the start of the stream. The index is the operation's number.

    Raises
    ------
    ValueError
        If the stream is not allowed, or the cgroup does not exist.

    Examples
    --------
    >>> from memcg_lab import System, pingpong
    >>> run = record(System.chain(depth=2, cpus=1), pingpong(2, memcg=2))
    >>> print(run.to_string(index_names=False))
       usage  sock  in_stocks  fullest  atomics
    0      0     0          0        0        0
    1     32     1         31       31        3
    2     32     0         32       32        3
    3     32     1         31       31        3
    4     32     0         32       32        3
    """
    if not isinstance(system, System):
        raise ValueError(f"system is {kind(system)}; it must be a System.")
    if isinstance(ops, np.ndarray) and ops.size > OPS_MAX:
        raise ValueError(f"there are {ops.size:,} operations; a figure shows at most {OPS_MAX:,}.")
    twin = system.copy()
    start, start_stock = twin.snapshot(), _stock_pages(twin)
    log = twin.step_through(ops).rows
    n, tree = len(ops), len(system.parents)
    if memcg is None:
        named = ops["memcg"][ops["op"] <= OPS.index("cancel_charge")]
        memcg = int(named[0]) if named.size else tree - 1
    memcg = whole_number("memcg", memcg, 0, tree - 1)
    subtree = [m for m in range(tree) if memcg in _path(system.parents, m)]

    code, change = log["step"], log["after"] - log["before"]
    table = pd.DataFrame(index=pd.RangeIndex(n + 1, name="operation"))
    counted = MOVES_COUNT[code] & (log["where"] == memcg)
    table["usage"] = start["usage"][memcg] + _running(log["op"][counted], change[counted], n)
    shown = MOVES_SOCK[code] & np.isin(log["where"], subtree)
    table["sock"] = sum(start["sock"][m] for m in subtree) + _running(log["op"][shown], change[shown], n)
    by_cpu = []
    for cpu, pages in enumerate(start_stock):
        own = MOVES_STOCK[code] & (log["where"] == cpu)
        by_cpu.append(pages + _running(log["op"][own], change[own], n))
    table["in_stocks"] = np.sum(by_cpu, axis=0)
    table["fullest"] = np.max(by_cpu, axis=0)
    atomic = COUNTER_ATOMIC[code]
    table["atomics"] = _running(log["op"][atomic], np.ones(int(atomic.sum()), np.int64), n)
    table.attrs = {"memcg": memcg, "cpus": system.cpus, "policy": system.policy.name, "batch": system.policy.batch}
    return table


def giving_back(policy, sizes, depth=2):
    """Atomics per page given back, for calls of different sizes, averaged over whole rounds of fill and drain.

    Parameters
    ----------
    policy : Policy
    sizes : sequence of int
        Pages of one call.
    depth : int
        Levels below the root.

    Returns
    -------
    ndarray of float, shape (len(sizes),)

    Raises
    ------
    ValueError
        If a size or the depth is out of range.

    Examples
    --------
    >>> from memcg_lab import V4_13, V4_14
    >>> giving_back(V4_13, [1, 33]).round(3), giving_back(V4_14, [1, 33]).round(3)
    (array([3.   , 0.091]), array([0.091, 0.091]))
    """
    if not isinstance(policy, Policy):
        raise ValueError(f"policy is {kind(policy)}; it must be a Policy such as V4_14.")
    sizes = [whole_number("pages in one call", size, 1, NR_PAGES_MAX // 1024) for size in sizes]
    costs = []
    for size in sizes:
        calls = 4 * (policy.batch // size + 1)
        system = System.chain(depth, cpus=2, policy=policy)
        charge = skmem(CHARGE_SKMEM, calls, cpu=0, memcg=depth, nr_pages=max(size, policy.batch))
        system.replay(charge)
        work = system.replay(skmem(UNCHARGE_SKMEM, calls, cpu=1, memcg=depth, nr_pages=size))
        costs.append(work.atomics / (calls * size))
    return np.array(costs)


def _running(op, change, n):
    """The running sum of changes by operation, with a 0 in front; int64, shape (n + 1,)."""
    total = np.zeros(n + 1, np.int64)
    np.add.at(total, op + 1, change)
    return np.cumsum(total)


def _path(parents, memcg):
    path = []
    while memcg >= 0:
        path.append(memcg)
        memcg = parents[memcg]
    return path


def _stock_pages(system):
    """Pages in each CPU's stock, all slots together."""
    return [row.nr_pages if system.policy.slots == 1 else sum(slot.nr_pages for slot in row) for row in system.stock]
