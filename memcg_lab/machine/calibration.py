"""Calibration: one number is fitted to one measured figure, then it is frozen. Everything else is a prediction."""

import math

from ..checks import nanoseconds, real_number, several, whole_number

STEPS = 60
CLIENTS_MAX = 100_000
ROUNDS_MAX = 10_000  # until a fixed point stands still


def fit(answer, measured, low, high, what, tolerance=1e-3):
    """The one argument at which a model answers what was measured.

    Parameters
    ----------
    answer : callable
        ``answer(x)``, rising or falling over the whole range. A simulation's small noise does no harm.
    measured : float
    low, high : float
        Where to look, above 0.
    what : str
        Name of the number, for the error.
    tolerance : float
        Relative difference between answer and measurement that is near enough; the number itself is then no finer
        known either.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the measured figure lies outside what the model can answer in that range.

    Examples
    --------
    >>> round(fit(lambda x: x * x, 2.0, 0.1, 10.0, "a root"), 2)
    1.41
    """
    at_low, at_high = answer(low), answer(high)
    if not min(at_low, at_high) <= measured <= max(at_low, at_high):
        raise ValueError(
            f"{what}: from {low:,.4g} to {high:,.4g} the model answers {at_low:.4g} to {at_high:.4g}; "
            f"no value gives the measured {measured:.4g}."
        )
    rises = at_high > at_low
    for step in range(STEPS):
        part = 0.5  # of the way from low to high, on logarithmic scales; every third step halves, so that none creeps
        if step % 3 != 2 and min(at_low, at_high) > 0 and at_low != at_high:
            part = math.log(measured / at_low) / math.log(at_high / at_low)
        middle = low * (high / low) ** min(max(part, 0.001), 0.999)
        value = answer(middle)
        if abs(value - measured) <= tolerance * abs(measured) or high < low * (1 + tolerance / 2):
            break
        if (value < measured) == rises:
            low, at_low = middle, value
        else:
            high, at_high = middle, value
    return middle


def mva(clients, think_ns, demands_ns, waiters_cost=None):
    """Exact mean-value analysis of a closed queueing network: clients think, then visit every line once.

    Parameters
    ----------
    clients : int
        0 to 100,000.
    think_ns : float
    demands_ns : sequence of float
        Service time of one round at each line: visits times the cost of a visit.
    waiters_cost : sequence of float, optional
        How much longer a line serves for each client in its queue, as a share of its demand: 0 for an atomic, 0.5 for
        a ticket lock, whose waiters all read the line again. With it the lines are load dependent.

    Returns
    -------
    throughput : float
        Rounds of all clients together in a nanosecond.
    queues : list of float
        Mean clients at each line.

    Raises
    ------
    ValueError
        If a number is out of range, or ``waiters_cost`` is not as long as ``demands_ns``.

    Notes
    -----
    Service times are exponential in this theory and nearly constant in a cache, so a simulation waits a little less.

    Examples
    --------
    >>> throughput, queues = mva(clients=2, think_ns=100, demands_ns=[100])
    >>> round(throughput * 1000, 3), [round(q, 3) for q in queues]
    (8.0, [1.2])
    """
    clients = whole_number("clients", clients, 0, CLIENTS_MAX)
    think = nanoseconds("think_ns", think_ns)
    demands = [nanoseconds(f"demands_ns[{k}]", d) for k, d in enumerate(several("demands_ns", demands_ns))]
    costs = [0.0] * len(demands) if waiters_cost is None else several("waiters_cost", waiters_cost)
    extra = [real_number(f"waiters_cost[{k}]", cost, 0, 1000) for k, cost in enumerate(costs)]
    if len(extra) != len(demands):
        raise ValueError(f"waiters_cost has {len(extra):,} values; there are {len(demands):,} in demands_ns.")
    if any(extra):
        return _mva_load_dependent(clients, think, demands, extra)
    queues = [0.0] * len(demands)
    throughput = 0.0
    for n in range(1, clients + 1):
        waits = [d * (1 + q) for d, q in zip(demands, queues)]
        total = think + sum(waits)
        throughput = n / total if total else math.inf
        queues = [throughput * w if w else 0.0 for w in waits]
    return throughput, queues


def mva_of_groups(clients, groups, think_ns, demands_ns, common):
    """Mean-value analysis of equal groups of clients, with lines of each group's own and lines that all share.

    Schweitzer's approximation: whoever comes to a line finds the queue of all the others, which is a little shorter
    than the mean queue, by his own share in it. With one group it lies up to 6 % below
    the exact answer.

    Parameters
    ----------
    clients, groups : int
        All clients; groups among which they are evenly divided.
    think_ns : float
    demands_ns : sequence of float
        Service time of one round at each kind of line.
    common : sequence of bool
        Whether all groups share that line, or each group has one like it.

    Returns
    -------
    float
        Rounds of all clients together in a nanosecond.

    Raises
    ------
    ValueError
        If a time is negative or not finite.

    Examples
    --------
    >>> round(mva_of_groups(4, 2, 100, [50, 10], [False, True]) * 1000, 2)
    22.09
    """
    think = nanoseconds("think_ns", think_ns)
    demands = [nanoseconds(f"demands_ns[{k}]", d) for k, d in enumerate(demands_ns)]
    here = [clients if of_all else clients / groups for of_all in common]  # who may be at such a line
    queues = [0.0] * len(demands)
    throughput = 0.0
    for _ in range(ROUNDS_MAX):
        waits = [d * (1 + q * (n - 1) / n) for d, q, n in zip(demands, queues, here)]
        total = think + sum(waits)
        if not total:
            return math.inf
        before, throughput = throughput, clients / total
        queues = [throughput * w * n / clients for w, n in zip(waits, here)]
        if abs(throughput - before) <= 1e-12 * throughput:
            break
    return throughput


def _mva_load_dependent(clients, think, demands, extra):
    """Mean-value analysis of lines whose service grows with the queue; ``at[k][j]``: the chance of j clients at k."""
    at = [[1.0] for _ in demands]
    throughput = 0.0
    for n in range(1, clients + 1):
        waits = []
        for demand, more, chance in zip(demands, extra, at):
            waits.append(sum((j + 1) * demand * (1 + more * j) * p for j, p in enumerate(chance)))
        total = think + sum(waits)
        throughput = n / total if total else math.inf
        for k, (demand, more) in enumerate(zip(demands, extra)):
            full = [throughput * demand * (1 + more * j) * p for j, p in enumerate(at[k])]
            at[k] = [max(0.0, 1.0 - sum(full)), *full]
    return throughput, [sum(j * p for j, p in enumerate(chance)) for chance in at]
