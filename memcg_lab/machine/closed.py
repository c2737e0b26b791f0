"""Closed loops: N clients that think and then charge; four answers beside each other."""

import functools
import heapq
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from ..checks import nanoseconds, one_of, whole_number
from ..mechanism.policy import BATCH_MAX, V4_14, Policy
from ..mechanism.records import CHARGE_SKMEM, SOFTIRQ, UNCHARGE_SKMEM
from ..system import System
from ..workload import pairs, skmem, splitmix
from .cache_lines import Layout
from .calibration import mva, mva_of_groups
from .coherence import LOCKS, SPREAD_BITS, SPREAD_ROWS
from .run import simulate, spread
from .topology import CPUS_MAX, Topology

METHODS = ("additive", "mva", "queues", "simulation")
TRAFFIC = ("charge", "uncharge", "pairs", "both")
KINDS = {"charge": (CHARGE_SKMEM,), "uncharge": (UNCHARGE_SKMEM,)}  # what one CPU does; in the others both
LEVELS_MAX = 64
SEEDS_MAX = 1000
VISITS_MAX = 64  # of a line in one walk
CPU_OPS = 2048  # operations of a CPU before its stream begins again; more than the period of any batch up to 1024
VISITS_WANTED = 20_000  # visits to lines that a simulation should see
WARM_UP = 0.2  # share of a simulation that is not counted

ATOMICS_ALONE = Layout("the counter alone", memory_allocated=False, pressure_walks=0)

Loop = namedtuple("Loop", "throughput visits busiest method standard_error", defaults=(0.0,))
Loop.__doc__ = """Answer of :func:`closed_loop`.

throughput: rounds of one client in a microsecond. visits: to each level's line in a round, from the mechanism. busiest:
share of the time the busiest line is taken. method: how it was computed. standard_error: of the throughput, over the
seeds; 0 where nothing is drawn, or from one seed.
"""


def closed_loop(
    *,
    clients,
    think_ns,
    visit_ns=None,
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
    seeds=1,
    path_ns=0.0,
    visits=None,
    back_batch=None,
    cgroups=1,
    shared=None,
    topology=None,
):
    """Throughput of clients that think, then charge or give back pages.

    Parameters
    ----------
    clients : int
        Loops that run at the same time, each on a CPU of its own; with ``"pairs"`` each has two CPUs.
    think_ns : float
        A round without any shared line.
    visit_ns : float, optional
        One visit to a line: the way of the line and the atomic. May be left out with a ``topology``.
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
    traffic : {"charge", "uncharge", "pairs", "both"}
        What a round does. In pairs one CPU charges and another gives back; in both, one CPU charges, then gives back.
    layout : Layout
        By default nothing but the counters is touched.
    lock : {"atomic", "queue lock", "ticket lock"}
    method : {"additive", "mva", "queues", "simulation"}
        No waiting at all; mean-value analysis, one queue for each line; discrete events of the same queues; or discrete
        events of the real mechanism on the machine.
    seed : int
        Of the first simulation.
    seeds : int
        Simulations, with one seed after the other; the answer is their mean, with its standard error.
    path_ns : float
        What a round that charges costs besides, on no shared line: the code itself.
    visits : sequence of float, optional
        For each line, leaf first and root last, how often one walk up the tree visits it; by default once for each
        level it serves. Not for ``"simulation"``, where the mechanism says it.
    back_batch : int, optional
        Pages given back at once, where that is another batch than the one charged; then a CPU that does both keeps them
        apart. By default one batch, and one stock. Not for ``"simulation"``.
    cgroups : int
        Cgroups among which the clients are evenly divided, side by side below the lines they share.
    shared : int, optional
        Lines, from the root down, that all cgroups share; by default all but the first if there are several cgroups.
    topology : Topology, optional
        Where the CPUs are: a visit then costs the way from the CPU that had the line last, and ``local_ns``. With
        ``visit_ns`` all these are stretched until the mean visit of a line that all CPUs share costs that.

    Returns
    -------
    Loop

    Raises
    ------
    ValueError
        If an argument is out of range, or the method cannot answer.

    Notes
    -----
    The first three mean the same by a visit: each costs ``visit_ns``. They part where lines queue. The additive answer
    knows no waiting. Mean-value analysis takes service times for exponential, the queues take them as they are, so they
    wait a little less. Where several cgroups hold several clients each, mean-value analysis is Schweitzer's, an
    approximation.

    The simulation means what the machine does: a line that its CPU had last costs no way, so few clients pay less than
    ``visit_ns``; after a batch was charged it reads ``count`` at every level once more, for memory.high, and often
    finds the line taken.

    Kernel: ``try_charge``, ``refill_stock`` and ``page_counter_uncharge``, v4.13 and 475d048, from many CPUs at once.

    Examples
    --------
    >>> for method in ("additive", "mva", "queues", "simulation"):
    ...     loop = closed_loop(clients=36, think_ns=1000, visit_ns=500, levels=3, batch=32, method=method)
    ...     print(f"{method:10} {loop.throughput:.3f} rounds/us of a client, busiest line {loop.busiest:.0%}")
    additive   0.955 rounds/us of a client, busiest line 54%
    mva        0.916 rounds/us of a client, busiest line 52%
    queues     0.946 rounds/us of a client, busiest line 53%
    simulation 0.879 rounds/us of a client, busiest line 82%
    """
    given = dict(locals())
    asked = _check(**given)
    if method == "simulation":
        return _over_seeds(asked, seed, seeds, _simulated)
    if method == "queues":
        return _over_seeds(asked, seed, seeds, _queued)
    return _additive(asked) if method == "additive" else _analysed(asked)


# --- what is asked ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Asked:
    """A checked question: ``cpus`` streams of rounds, and what one round of each kind of stream visits."""

    cpus: int
    think_ns: float
    path_ns: float
    visit_ns: float  # mean, on a line that all share
    weights: tuple  # visits of each line in one walk, leaf first
    each_ns: float  # one walk's stay at a line, if all weights are alike
    kinds: tuple  # the streams' kinds, each a tuple of operations; the first CPUs have the first kind
    walks: tuple  # walks up the tree in a round, by kind of stream
    layout: Layout
    lock: str
    cgroups: int
    shared: int
    topology: Topology | None
    policy: Policy
    pages: int

    @property
    def lines(self):
        """Lines of one cgroup's walk."""
        return len(self.weights)

    @property
    def round_ns(self):
        """A round without any shared line."""
        return self.think_ns + self.path_ns

    def cgroup(self, cpu):
        """The cgroup of a CPU: neighbours belong together, and both CPUs of a pair."""
        each = self.cpus // len(self.kinds)
        return cpu % each * self.cgroups // each

    def kind(self, cpu):
        """Which kind of stream a CPU runs."""
        return cpu * len(self.kinds) // self.cpus

    def reads(self, kind):
        """Walks of a round that only read: ``parent``, if those who write count take its line."""
        gives_back = UNCHARGE_SKMEM in self.kinds[kind]
        return self.layout.pressure_walks * gives_back if self.layout.shares("count", "parent") else 0

    def calls(self, kind):
        """Visits of a round to the counter that all sockets share."""
        return len(self.kinds[kind]) * int(self.layout.memory_allocated)


def _check(*, clients, levels, lines, batch, pages, policy, traffic, layout, lock, method, seed, seeds, **rest):
    """What is asked for, in range, or a ValueError that names what is not."""
    for what, value, allowed in (("traffic", traffic, TRAFFIC), ("method", method, METHODS), ("lock", lock, LOCKS)):
        one_of(what, value, allowed)
    clients = whole_number("clients", clients, 1, CPUS_MAX // 2 if traffic == "pairs" else CPUS_MAX)
    levels = whole_number("levels", levels, 1, LEVELS_MAX)
    lines = levels if lines is None else whole_number("lines", lines, 1, levels)
    pages = whole_number("pages", pages, 1, 2**16)
    whole_number("seed", seed, 0, 2**63 - 1 - SEEDS_MAX)
    whole_number("seeds", seeds, 1, SEEDS_MAX)
    if not isinstance(policy, Policy):
        raise ValueError(f"policy is {policy!r}; it must be a Policy, such as V4_13 or V4_14.")
    if not isinstance(layout, Layout):
        raise ValueError(f"layout is {layout!r}; it must be a Layout.")
    times = {what: nanoseconds(what, rest[what]) for what in ("think_ns", "path_ns")}
    kinds = ((CHARGE_SKMEM,), (UNCHARGE_SKMEM,)) if traffic == "pairs" else (KINDS.get(traffic, (0, 1)),)
    cpus = clients * len(kinds)
    visit_ns = _check_visit(rest["visit_ns"], rest["topology"], cpus)
    policies = _batches(policy, batch, rest["back_batch"], method)
    cgroups, shared = _check_cgroups(rest["cgroups"], rest["shared"], clients, lines)
    if method == "mva" and lock == "ticket lock" and 1 < cgroups < cpus:
        raise ValueError(f'lock is "ticket lock" with {cgroups} cgroups; method "mva" cannot answer that.')
    return Asked(
        cpus=cpus,
        visit_ns=visit_ns,
        weights=_check_visits(rest["visits"], levels, lines, method),
        each_ns=visit_ns * levels / lines,
        kinds=kinds,
        walks=tuple(_walks(policies, kind, pages) for kind in kinds),
        layout=layout,
        lock=lock,
        cgroups=cgroups,
        shared=shared,
        topology=rest["topology"],
        policy=policies[0],
        pages=pages,
        **times,
    )


def _check_visit(visit_ns, topology, cpus):
    """The mean cost of a visit to a line that all CPUs share."""
    if topology is not None and not isinstance(topology, Topology):
        raise ValueError(f"topology is {topology!r}; it must be a Topology or None.")
    if visit_ns is None and topology is None:
        raise ValueError("visit_ns is None; without a topology it must be given.")
    return _mean_visit(topology, range(cpus)) if visit_ns is None else nanoseconds("visit_ns", visit_ns)


def _mean_visit(topology, cpus):
    """A visit to a line that these CPUs share: one in so many finds it with itself."""
    ways = topology.ways_ns(max(cpus) + 1)[np.ix_(cpus, cpus)]
    return float(ways.mean()) + topology.local_ns


def _check_visits(visits, levels, lines, method):
    """Visits of each line in a walk."""
    if visits is None:
        return (levels / lines,) * lines
    if method == "simulation":
        raise ValueError(
            'visits is given, but method "simulation" takes them from the mechanism; "queues" takes yours.'
        )
    if not isinstance(visits, (list, tuple, np.ndarray)) or len(visits) != lines:
        raise ValueError(f"visits is {visits!r}; it must be a list of {lines}, one number for each line.")
    return tuple(_weight(f"visits[{k}]", value) for k, value in enumerate(visits))


def _weight(what, value):
    try:
        number = nanoseconds(what, value)
    except ValueError:
        number = -1
    if not 0 <= number <= VISITS_MAX:
        raise ValueError(f"{what} is {value!r}; it must be 0 to {VISITS_MAX} visits.")
    return number


def _batches(policy, batch, back_batch, method):
    """The policy that charges and the one that gives back; one and the same if the batch is one."""
    whole_number("batch", batch, 1, BATCH_MAX)
    charging = policy if policy.batch == batch else policy.with_rules(f"{policy.name}, batch {batch}", batch=batch)
    if back_batch is None:
        return charging, None
    if method == "simulation":
        raise ValueError('back_batch is given, but method "simulation" runs one policy; "queues" takes two batches.')
    whole_number("back_batch", back_batch, 1, BATCH_MAX)
    return charging, policy.with_rules(f"{policy.name}, batch {back_batch}", batch=back_batch)


def _check_cgroups(cgroups, shared, clients, lines):
    """How many cgroups, and how many lines they share."""
    cgroups = whole_number("cgroups", cgroups, 1, clients)
    if clients % cgroups:
        raise ValueError(f"cgroups is {cgroups}; it must divide the {clients} clients evenly.")
    if shared is None:
        shared = lines if cgroups == 1 else lines - 1
    return cgroups, whole_number("shared", shared, 0, lines)


def _walks(policies, kind, pages):
    """Walks up the tree in a round of one kind of stream, from the mechanism itself."""
    charging, giving = policies
    if len(kind) == 1:
        return _visits(charging if kind == (CHARGE_SKMEM,) or giving is None else giving, kind, pages)
    if giving is None:
        return _visits(charging, kind, pages)
    return _visits(charging, (CHARGE_SKMEM,), pages) + _visits(giving, (UNCHARGE_SKMEM,), pages)


@functools.lru_cache(maxsize=256)
def _visits(policy, kind, pages):
    """Atomics on one level in a round."""
    system = System.chain(depth=1, cpus=2, policy=policy)
    if kind == (UNCHARGE_SKMEM,):
        system.replay(skmem(CHARGE_SKMEM, CPU_OPS, cpu=1, memcg=1, nr_pages=pages, ctx=SOFTIRQ))
    before = system.work().atomics
    system.replay(_stream(kind, cpu=0, memcg=1, pages=pages))
    return (system.work().atomics - before) / 2 / CPU_OPS


def _stream(kind, cpu, memcg, pages):
    """The operations of one CPU."""
    one = [skmem(code, CPU_OPS, cpu=cpu, memcg=memcg, nr_pages=pages, ctx=SOFTIRQ) for code in kind]
    return one[0] if len(one) == 1 else pairs(*one)


# --- the answers -----------------------------------------------------------------------------------------------------
def _demands(asked):
    """Service of a mean round at each line in ns, leaf first and memory_allocated last; and whether all share it."""
    number = range(len(asked.kinds))
    walks = float(np.mean([asked.walks[kind] + asked.reads(kind) for kind in number]))
    calls = float(np.mean([asked.calls(kind) for kind in number]))
    common = [line >= asked.lines - asked.shared for line in range(asked.lines)]
    private_ns = _private_visit(asked)
    demands = [
        walks * weight * (asked.visit_ns if of_all else private_ns) for weight, of_all in zip(asked.weights, common)
    ]
    double = 2 if asked.lock == "queue lock" else 1
    return [demand * double for demand in [*demands, calls * asked.visit_ns]], [*common, True]


def _private_visit(asked):
    """The mean cost of a visit to a line of one cgroup; on a topology its CPUs are nearer to each other."""
    if asked.topology is None or asked.cgroups == 1:
        return asked.visit_ns
    groups = [[cpu for cpu in range(asked.cpus) if asked.cgroup(cpu) == group] for group in range(asked.cgroups)]
    return _stretch(asked) * float(np.mean([_mean_visit(asked.topology, group) for group in groups]))


def _stretch(asked):
    """What the topology's costs are multiplied by."""
    mean = _mean_visit(asked.topology, range(asked.cpus))
    return asked.visit_ns / mean if mean else 1.0


def _additive(asked):
    demands, common = _demands(asked)
    total = asked.round_ns + sum(demands)
    throughput = 1 / total if total else np.inf
    return Loop(
        throughput * 1000, _mean_walks(asked), throughput * asked.cpus * _load(asked, demands, common), "additive"
    )


def _analysed(asked):
    demands, common = _demands(asked)
    extra = [0.5 if asked.lock == "ticket lock" else 0.0] * len(demands)
    if asked.cgroups == asked.cpus:  # nobody meets anybody on a line of his own
        delay = sum(demand for demand, of_all in zip(demands, common) if not of_all)
        own = [demand for demand, of_all in zip(demands, common) if of_all]
        total, _ = mva(asked.cpus, asked.round_ns + delay, own, extra[: len(own)])
    elif asked.cgroups == 1:
        total, _ = mva(asked.cpus, asked.round_ns, demands, extra)
    else:
        total = mva_of_groups(asked.cpus, asked.cgroups, asked.round_ns, demands, common)
    return Loop(total / asked.cpus * 1000, _mean_walks(asked), total * _load(asked, demands, common), "mva")


def _load(asked, demands, common):
    """What a mean round asks of the busiest line; a line of one cgroup serves its own rounds only."""
    return max(demand / (1 if of_all else asked.cgroups) for demand, of_all in zip(demands, common))


def _mean_walks(asked):
    return float(np.mean(asked.walks))


def _over_seeds(asked, seed, seeds, simulation):
    """The mean of some simulations, and its standard error."""
    loops = [simulation(asked, seed + number) for number in range(seeds)]
    found = np.array([loop.throughput for loop in loops])
    error = float(found.std(ddof=1) / np.sqrt(seeds)) if seeds > 1 else 0.0
    busiest = float(np.mean([loop.busiest for loop in loops]))
    mean = loops[0].throughput if seeds == 1 else float(found.mean())
    return loops[0]._replace(throughput=mean, busiest=busiest, standard_error=error)


# --- discrete events of the queues -----------------------------------------------------------------------------------
Visit = namedtuple("Visit", "line times")  # a stay at a line, as long as so many visits
Turn = namedtuple(
    "Turn", "wait_ns rounds walk"
)  # one CPU's way from one walk to the next: time of its own, then visits


def _queued(asked, seed):
    """First come, first served, at each line; a stay is as long as the way from the CPU before."""
    programs = [_turns(asked, cpu, seed) for cpu in range(asked.cpus)]
    cost = _costs(asked)
    lines = asked.cgroups * (asked.lines - asked.shared) + asked.shared + 1
    owner, free, busy = [-1] * lines, [0.0] * lines, [0.0] * lines
    waiting = [[] for _ in range(lines)]  # when those in the line's queue will be done; ticket locks only
    finished, at = 0, [0] * asked.cpus
    until = _duration(asked, programs)
    begin = WARM_UP * until
    events = [(program[0].wait_ns, cpu, 0) for cpu, program in enumerate(programs)]
    heapq.heapify(events)
    while events[0][0] < until:
        now, cpu, done = events[0]
        turn = programs[cpu][at[cpu]]
        if done == len(turn.walk):
            finished += turn.rounds * (now >= begin)
            at[cpu] = (at[cpu] + 1) % len(programs[cpu])
            heapq.heapreplace(events, (now + programs[cpu][at[cpu]].wait_ns, cpu, 0))
            continue
        visit = turn.walk[done]
        stay = visit.times * cost[owner[visit.line] if owner[visit.line] >= 0 else cpu][cpu]
        if asked.lock == "queue lock":
            stay *= 2
        elif asked.lock == "ticket lock":
            ahead = waiting[visit.line] = [end for end in waiting[visit.line] if end > now]
            stay *= 1 + 0.5 * len(ahead)
        end = max(now, free[visit.line]) + stay
        if asked.lock == "ticket lock":
            waiting[visit.line].append(end)
        free[visit.line], owner[visit.line] = end, cpu
        busy[visit.line] += stay * (now >= begin)
        heapq.heapreplace(events, (end, cpu, done + 1))
    counted = until - begin
    throughput = finished / counted * 1000 / asked.cpus
    return Loop(throughput, _mean_walks(asked), max(busy) / counted, "queues")


def _costs(asked):
    """What a visit costs from one CPU to another, in ns; without a topology, the same to all and to oneself."""
    if asked.topology is None:
        return np.full((asked.cpus, asked.cpus), asked.visit_ns).tolist()
    return (_stretch(asked) * (asked.topology.ways_ns(asked.cpus) + asked.topology.local_ns)).tolist()


def _turns(asked, cpu, seed):
    """A stream of rounds, some hundred walks long; rounds that visit nothing are thought through in one go."""
    kind = asked.kind(cpu)
    up = [Visit(_line(asked, cpu, line), weight) for line, weight in enumerate(asked.weights) if weight]
    every = [Visit(_line(asked, cpu, asked.lines), 1.0)] * asked.calls(kind) + up * asked.reads(kind)
    walks = asked.walks[kind]
    rounds = CPU_OPS
    due = np.floor(np.arange(1, rounds + 1) * min(walks, 1.0) + 1e-9)  # walks until after each round
    due = np.diff(due, prepend=0.0) > 0
    whole = [Visit(visit.line, visit.times * max(walks, 1.0)) for visit in up]
    drawn = splitmix((seed + (cpu << 20)) % 2**63, rounds) >> 20 & (SPREAD_ROWS - 1)
    think = asked.path_ns + asked.think_ns * spread("exponential")[drawn.astype(np.int64)] / (1 << SPREAD_BITS)
    ends = np.arange(rounds) if every else np.unique(np.append(np.flatnonzero(due), rounds - 1))
    begins = np.append(0, ends[:-1] + 1)
    waits = np.add.reduceat(think, begins)
    return [
        Turn(float(wait), int(end - begin + 1), every + whole * bool(due[end]))
        for wait, begin, end in zip(waits, begins, ends)
    ]


def _line(asked, cpu, line):
    """The number of a line: those of each cgroup first, then those all share, memory_allocated last."""
    private = asked.lines - asked.shared
    if line < private:
        return asked.cgroup(cpu) * private + line
    return asked.cgroups * private + line - private


def _duration(asked, programs):
    """Long enough for the visits wanted, at the pace that mean-value analysis expects, and for some turns of each."""
    paces = asked if asked.lock != "ticket lock" or not 1 < asked.cgroups < asked.cpus else None
    pace = (_analysed(paces) if paces else _additive(asked)).throughput / 1000  # rounds of one CPU in a ns
    if not np.isfinite(pace):
        raise ValueError("think_ns and visit_ns are 0; time would stand still.")
    visits = sum(len(turn.walk) for program in programs for turn in program)
    rounds = sum(turn.rounds for program in programs for turn in program)
    each = max(VISITS_WANTED * rounds / max(visits, 1) / asked.cpus, 20 * rounds / len(programs[0]) / asked.cpus)
    return min(each, 4 * CPU_OPS * VISITS_WANTED) / pace / (1 - WARM_UP)


# --- discrete events of the mechanism --------------------------------------------------------------------------------
def _simulated(asked, seed):
    if asked.lines == asked.shared:  # one chain for all
        parents, leaves = [-1, *range(asked.lines - 1)], [asked.lines - 1]
    else:
        parents, leaves = _branches(asked)
    system = System(parents, cpus=asked.cpus, policy=asked.policy, root=None)
    streams = [
        _stream(asked.kinds[asked.kind(cpu)], cpu, leaves[asked.cgroup(cpu) % len(leaves)], asked.pages)
        for cpu in range(asked.cpus)
    ]
    think_ns, each_ns, visits = asked.round_ns, asked.each_ns, _mean_walks(asked)
    # Long enough for the visits wanted if a round took no longer than thinking and one full queue.
    round_ns = think_ns + visits * asked.lines * each_ns * max(1.0, asked.cpus * visits * each_ns / max(think_ns, 1.0))
    duration = min(1e9, VISITS_WANTED * max(round_ns, 1.0) / (asked.cpus * max(visits * asked.lines, 1e-3)))
    both = len(asked.kinds[0]) > 1  # it thinks before it charges, and gives back at once
    run = simulate(
        system,
        np.concatenate(streams),
        think_ns=np.tile([think_ns, 0.0], CPU_OPS * asked.cpus) if both else think_ns,
        topology=_machine_of(asked),
        layout=asked.layout,
        lock=asked.lock,
        duration_ns=duration,
        seed=seed,
    )
    busiest = float(run.utilisation.max())
    return Loop(run.throughput / asked.cpus / (2 if both else 1), visits, busiest, "simulation")


def _branches(asked):
    """Parents of a tree with a chain for each cgroup below a chain that all share; and the cgroups' leaves."""
    private, shared = asked.lines - asked.shared, asked.shared
    parents = [-1, *range(shared - 1)][:shared]
    leaves = []
    for _ in range(asked.cgroups):
        for level in range(private):
            parents.append(len(parents) - 1 if level else shared - 1)
        leaves.append(len(parents) - 1)
    return parents, leaves


def _machine_of(asked):
    """A topology whose mean visit costs what is asked."""
    if asked.topology is None:
        return Topology.uniform(asked.cpus, transfer_ns=asked.each_ns, own_ns=0.001)  # so that time never stands still
    more = _stretch(asked) * asked.each_ns / asked.visit_ns if asked.visit_ns else 1.0
    return asked.topology.stretched(more)
