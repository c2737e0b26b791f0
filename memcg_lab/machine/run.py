"""Running a system on a machine: validates, lays the arrays out, calls the simulation, and reads its result."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from .. import _jit
from ..checks import flag, nanoseconds, one_of, real_number, whole_number
from ..mechanism import records
from ..mechanism.records import (
    BAD_CPU,
    BAD_MEMCG,
    BAD_NR,
    BAD_ROOT,
    CANCEL_CHARGE,
    CHARGE_SKMEM,
    NR_PAGES_MAX,
    OPS,
    PAGE_COUNTER_MAX,
    UNCHARGE_SKMEM,
)
from ..system import System, complaint
from ..workload import check_stream, splitmix
from . import coherence
from .cache_lines import BEGIN, FN_OTHER, FUNCTIONS, TOUCHES_MAX, V4_13_LAYOUT, Layout, step_table
from .coherence import (
    BOOKED,
    LOCKS,
    LOG_ROWS,
    OCCUPIED,
    SPREAD_BITS,
    SPREAD_ROWS,
    TOO_MANY_STEPS,
    TRAFFIC,
    WAITED,
    bind_machine,
)
from .topology import CPUS_MAX, DEFAULT, DISTANCES, Topology

PS = 1000  # picoseconds in a nanosecond
IN_FLIGHT = 1 << 30  # pages each cgroup holds before the first event, so that nobody gives back what is not there yet
DURATION_MAX = 10**9  # ns; one simulated second
PENDING_ROWS = 64  # touches of one operation, and 64 more for each counter it may meet
PENDING_MAX = 4096

# With more mean waiters than this, a ticket lock is qualitative. The measured times at hand end at four threads: one
# holds the lock, three wait (9.7, 215, 346 and 489 ns with 1 to 4 on a Skylake of four cores; Travis Downs,
# concurrency-hierarchy-bench). How a handover grows beyond that was held against no measurement.
TICKET_WAITERS_MAX = 3

THINK = ("exponential", "uniform", "fixed")
SLICES = 32  # of a simulation, each a call

Counted = namedtuple("Counted", "finished booked traffic")  # int64 [cpus], [function, BOOKED] and [line, TRAFFIC], ps


class Stopped(ValueError):
    """A machine that cannot go on: why (a code of ``coherence``), which CPU, and which of its operations, from 0."""

    def __init__(self, message, reason, cpu, at):
        super().__init__(message)
        self.reason, self.cpu, self.at = reason, cpu, at


def spread(kind):
    """How think times lie around their mean: ``SPREAD_ROWS`` integers whose mean is 65,536.

    ``"exponential"``, ``"uniform"`` from 0 to twice the mean, or ``"fixed"``.
    """
    one_of("think", kind, THINK)
    middle = (np.arange(SPREAD_ROWS) + 0.5) / SPREAD_ROWS
    shape = {"exponential": -np.log(1 - middle), "uniform": 2 * middle, "fixed": np.ones(SPREAD_ROWS)}[kind]
    return np.round(shape / shape.mean() * (1 << SPREAD_BITS)).astype(np.int64)


@dataclass(frozen=True, repr=False)
class Run:
    """What one simulation measured, without its warm-up.

    Attributes
    ----------
    cpus : int
    duration_ns : float
        Simulated time in which the following was counted.
    finished : ndarray of int64, shape (cpus,)
        Operations finished by each CPU.
    booked_ns : ndarray of float64, shape (functions, 3)
        Time of all CPUs together, by function (``FUNCTIONS``) and kind: local work, a line on its way, waiting in a
        line's queue.
    lines : tuple of str
        Names of the cache lines.
    traffic : ndarray of int64, shape (lines, 11)
        By line: atomics, loads that missed, stores; lines fetched as a clean copy, from the SMT sibling, from a near
        core (0 without ``near_cores``), from the socket, from another socket, from two hops away (0 without
        ``near_sockets``); time waited for it and time it was occupied, both in ps.
    system : System
        The mechanism's state at the end.
    regime : str
        ``"think"``, or ``"tight loop"`` where a CPU comes back sooner than a line travels: there real transfers cost
        0.2 to 1 of the ping-pong figure, and this model is not to be believed. ``"qualitative"`` where in the mean more
        than ``TICKET_WAITERS_MAX`` CPUs wait for a ticket lock: believe that it collapses, not how much.
        ``"too short"`` where no operation was finished: time is booked when it begins, so the shares say nothing.
    events : ndarray of ``event_dtype`` or None
        Each touch that was recorded; times in ps.
    begins : ndarray of ``event_dtype`` or None
        When each operation began, in the order in which they changed the state; from ``start`` to ``end`` it is as long
        as its steps on lines of its CPU alone, which come after its last touch.
    """

    cpus: int
    duration_ns: float
    finished: np.ndarray
    booked_ns: np.ndarray
    lines: tuple
    traffic: np.ndarray
    system: System
    regime: str
    events: np.ndarray | None = None
    begins: np.ndarray | None = None

    @property
    def throughput(self):
        """Operations finished in a microsecond, all CPUs together."""
        return float(self.finished.sum() / self.duration_ns * 1000) if self.duration_ns else 0.0

    @property
    def stalled(self):
        """Share of all CPU time that went into waiting for lines, 0 to 1."""
        total = self.booked_ns.sum()
        return float(self.booked_ns[:, 1:].sum() / total) if total else 0.0

    def share(self, function):
        """Percent of all CPU time booked to one function, as ``perf top`` would say.

        Raises
        ------
        ValueError
            If nothing is ever booked to a function of that name.
        """
        if function not in FUNCTIONS:
            raise ValueError(f'function "{function}" does not exist; there are {", ".join(FUNCTIONS)}.')
        total = self.booked_ns.sum()
        return float(100 * self.booked_ns[FUNCTIONS.index(function)].sum() / total) if total else 0.0

    @property
    def queue_lengths(self):
        """Mean number of CPUs at each line, waiting or being served; float64, shape (lines,)."""
        times = self.traffic[:, WAITED] + self.traffic[:, OCCUPIED]
        return times / (self.duration_ns * PS) if self.duration_ns else times * 0.0

    @property
    def utilisation(self):
        """Share of the time each line was on its way or being written; float64, shape (lines,).

        It is at most 1: what a line is promised beyond the end is cut off.
        """
        return self.traffic[:, OCCUPIED] / (self.duration_ns * PS) if self.duration_ns else self.traffic[:, 0] * 0.0

    def by_function(self):
        """Time by function as a DataFrame: ns of local work, transfer and waiting, and percent of all."""
        import pandas as pd

        frame = pd.DataFrame(self.booked_ns, columns=[f"{kind}_ns" for kind in BOOKED])
        frame.insert(0, "function", FUNCTIONS)
        total = self.booked_ns.sum()
        frame["percent"] = 100 * self.booked_ns.sum(axis=1) / total if total else 0.0
        frame = frame[self.booked_ns.any(axis=1)]
        return frame.sort_values("percent", ascending=False, kind="stable").reset_index(drop=True)

    def by_line(self):
        """Traffic by cache line as a DataFrame: accesses, where the line came from, utilisation, mean queue."""
        import pandas as pd

        frame = pd.DataFrame(self.traffic[:, :WAITED], columns=[*TRAFFIC[:3], *DISTANCES])
        frame.insert(0, "line", self.lines)
        frame["utilisation"], frame["queue"] = self.utilisation, self.queue_lengths
        return frame

    def __repr__(self):
        told = {
            "tight loop": "; TIGHT LOOP: a regime of its own",
            "qualitative": "; QUALITATIVE: many wait for a lock",
            "too short": "; TOO SHORT: no operation was finished",
        }
        busiest = f"busiest line {100 * self.utilisation.max():.0f} %"
        return (
            f"Run({self.cpus} CPUs, {self.duration_ns / 1000:,.0f} us, {self.throughput:,.2f} ops/us, "
            f"{100 * self.stalled:.1f} % stalled, {busiest}{told.get(self.regime, '')})"
        )


def simulate(
    system,
    ops,
    *,
    think_ns=1000.0,
    think="exponential",
    topology=DEFAULT,
    layout=V4_13_LAYOUT,
    duration_ns=1_000_000.0,
    warm_up=0.2,
    repeat=True,
    lock="atomic",
    seed=1,
    record=0,
):
    """Let the CPUs of a system execute their operations at the same time, and say where the time goes.

    Each CPU goes through its own operations in order: it thinks, then it executes the next one. What an operation does
    is the mechanism's answer; what it costs are the cache lines that answer touches. The system itself is not changed.

    Parameters
    ----------
    system : System
        The tree, the CPUs and the policy; cgroup v2, without sockets. At most 1024 CPUs.
    ops : ndarray of ``op_dtype``
        ``charge_skmem``, ``uncharge_skmem``, ``try_charge`` and ``cancel_charge``. Socket operations go through the
        protocol's global counter and the pressure check, as ``layout`` says.
    think_ns : float or sequence of float
        Mean time before each operation: one for all, or one for each operation (a recorded trace).
    think : {"exponential", "uniform", "fixed"}
        How think times lie around their mean.
    topology : Topology
    layout : Layout
    duration_ns : float
        Simulated time, warm-up included; at most 1e9.
    warm_up : float
        Share of the duration that is not counted, 0 to 0.9.
    repeat : bool
        Begin again after a CPU's last operation. Without it the run also ends when all are done.
    lock : {"atomic", "queue lock", "ticket lock"}
        How a counter is protected: one atomic, or a spin lock around it. A queue lock hands its waiter's line over
        too; with a ticket lock all waiters read the line again each time. With more than a few waiters a ticket lock is
        qualitative, and ``regime`` says so.
    seed : int
    record : int
        Keep up to that many events; that an operation begins is one too. More raise.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If an argument is out of range, an operation is none of the four, time would stand still, a cgroup
        gives back more than it holds, or an operation takes too many steps (a refused charge that drains many CPUs).

    Notes
    -----
    Unless limits are set, each cgroup holds 2**30 pages when the run begins, so that no CPU gives back what another
    has not charged yet.

    A model: no line of real hardware is served first come, first served; near CPUs often get it sooner. A write to a
    line with many copies waits for the farthest only. The prefetch of the neighbouring line is left out.

    Examples
    --------
    >>> from memcg_lab import V4_13, V4_14, System, mixed
    >>> traffic = mixed(4000, cpus=8, memcgs=[2], seed=1)
    >>> for policy in (V4_13, V4_14):
    ...     print(simulate(System.chain(depth=2, cpus=8, policy=policy), traffic, think_ns=500))
    Run(8 CPUs, 800 us, 10.73 ops/us, 29.3 % stalled, busiest line 55 %)
    Run(8 CPUs, 800 us, 12.66 ops/us, 18.3 % stalled, busiest line 65 %)
    """
    _check(system, ops, topology, layout, lock)
    repeat = flag("repeat", repeat)
    gaps = _gaps(ops, think_ns)
    # An operation on the root takes no step at all.
    steps = (ops["memcg"] != (-1 if system.root is None else system.root)) & (topology.own_ns >= 1 / PS)
    stuck = (np.bincount(ops["cpu"]) > 0) & (np.bincount(ops["cpu"], weights=gaps + steps) == 0)
    if repeat and stuck.any():
        raise ValueError(
            f"CPU {int(np.argmax(stuck))} does not think, and own_ns is "
            f"{topology.own_ns}; its time would stand still. Let it think, or take an own_ns of 0.001 or more."
        )
    duration = real_number("duration_ns", duration_ns, 0, DURATION_MAX)
    warm_up = real_number("warm_up", warm_up, 0, 0.9)
    record = whole_number("record", record, 0, 1 << 24)
    seed = whole_number("seed", seed, 0, 2**63 - 1)
    twin = system.copy()
    machine = lay_out(
        twin,
        ops,
        gaps,
        spread=spread(think),
        topology=topology,
        layout=layout,
        lock=lock,
        repeat=repeat,
        seed=seed,
        record=record,
    )
    kernel = bind_machine(system.policy)
    end = round(duration * PS)
    begin = round(duration * warm_up * PS)
    before = Counted(0, 0, 0)
    if begin:
        _go_on(kernel, machine, begin, twin, record)
        before = _cut_at(begin, machine)
    _go_on(kernel, machine, end, twin, record)
    finished, booked, traffic = (now - then for now, then in zip(_cut_at(end, machine), before))
    if (machine.cpu["at"] == machine.cpu["ops"]).all():  # all are done
        end = min(end, max(begin, int(machine.cpu["clock"].max())))
    told = np.asarray(machine.events)[1 : int(machine.events["op"][0]) + 1] if record else None
    return Run(
        cpus=system.cpus,
        duration_ns=(end - begin) / PS,
        finished=finished,
        booked_ns=booked / PS,
        lines=_names(system, layout),
        traffic=traffic,
        system=twin,
        regime=_regime(system, gaps, topology, lock, traffic[:, WAITED] / max(end - begin, 1), finished),
        events=told[told["kind"] != BEGIN] if record else None,
        begins=told[told["kind"] == BEGIN] if record else None,
    )


def _check(system, ops, topology, layout, lock):
    if not isinstance(system, System):
        raise ValueError(f"system is {system!r}; it must be a System.")
    if system.legacy or len(system.mechanism_state().socket):
        raise ValueError("the machine runs cgroup v2 systems without sockets; pages are charged directly.")
    whole_number("CPUs of the system", system.cpus, 1, CPUS_MAX)
    if not isinstance(topology, Topology):
        raise ValueError(f"topology is {topology!r}; it must be a Topology.")
    if not isinstance(layout, Layout):
        raise ValueError(f"layout is {layout!r}; it must be a Layout.")
    one_of("lock", lock, LOCKS)
    check_stream(ops)
    wrong = np.flatnonzero(ops["op"] > CANCEL_CHARGE)
    if wrong.size:
        k = int(wrong[0])
        name = OPS[ops["op"][k]] if ops["op"][k] < len(OPS) else f"code {ops['op'][k]}"
        allowed = ", ".join(OPS[: CANCEL_CHARGE + 1])
        raise ValueError(f"op {k:,} of {len(ops):,} ({name}): a machine executes {allowed}.")
    memcg, n = ops["memcg"], len(system.parents)
    for reason, allowed, bad in (
        (BAD_CPU, system.cpus, ops["cpu"] >= system.cpus),
        (BAD_MEMCG, n, (memcg < 0) | (memcg >= n)),
        (BAD_NR, NR_PAGES_MAX, (ops["nr"] < 1) | (ops["nr"] > NR_PAGES_MAX)),
        (BAD_ROOT, -1, (memcg == (-1 if system.root is None else system.root)) & (ops["op"] <= UNCHARGE_SKMEM)),
    ):
        if bad.any():
            raise ValueError(complaint(ops, int(np.argmax(bad)), reason, allowed))


def _regime(system, gaps, topology, lock, waiting, finished):
    """In which regime a run was, from the mean number of CPUs that wait for each line and what they finished."""
    if len(gaps) > 0 and not finished.any():
        return "too short"
    if system.cpus > 1 and len(gaps) > 0 and gaps.mean() < topology.same_ns * PS:
        return "tight loop"
    return "qualitative" if lock == "ticket lock" and waiting.max() > TICKET_WAITERS_MAX else "think"


def _gaps(ops, think_ns):
    """Mean time before each operation in whole ps."""
    if np.ndim(think_ns) == 0:
        return np.full(len(ops), round(nanoseconds("think_ns", think_ns) * PS), np.int64)
    gaps = [round(nanoseconds(f"think_ns[{k:,}]", ns) * PS) for k, ns in enumerate(think_ns)]
    if len(gaps) != len(ops):
        raise ValueError(f"think_ns has {len(gaps):,} values; there are {len(ops):,} operations.")
    return np.array(gaps, np.int64)


def _names(system, layout):
    """Names of the cache lines, in the order the kernel numbers them."""
    words = [[] for _ in range(layout.lines)]
    for word in ("count", "limit", "parent", "watermark", "failcnt"):
        words[getattr(layout, word)].append(word)
    names = ["memory_allocated"]
    for memcg in range(len(system.parents)):
        names += [f"memcg {memcg}: {' '.join(own)}" for own in words]
    return tuple(names)


def lay_out(system, ops, gaps, *, spread, topology, layout, lock, repeat, seed, record):
    """A machine at the beginning of a run; its state is that of the system, which the run changes."""
    cpus = system.cpus
    state = system.mechanism_state(np.zeros(LOG_ROWS, coherence.log_dtype))
    unlimited = (state.counter["limit"] == PAGE_COUNTER_MAX).all()
    if unlimited:
        _put_in_flight(state, system, ops)
    # Only where a limit refuses is more than one CPU's stock drained.
    counters = _levels(system.parents) * system.policy.slots if unlimited else len(system.parents)
    order = np.argsort(ops["cpu"], kind="stable")
    cpu = np.zeros(cpus, coherence.cpu_dtype)
    cpu["ops"] = np.bincount(ops["cpu"], minlength=cpus)
    cpu["first"] = np.cumsum(cpu["ops"]) - cpu["ops"]
    cpu["rng"] = splitmix(seed, cpus).astype(np.int64) | 1
    groups = _put_in_place(cpu, topology)
    cpu["queue"] = -1
    lines = 1 + len(system.parents) * layout.lines
    line = np.zeros(lines, coherence.line_dtype)
    line["owner"] = -1
    costs = (
        topology.local_ns,
        topology.clean_ns,
        topology.own_ns,
        topology.smt_ns,
        topology.same_ns if topology.near_ns is None else topology.near_ns,
        topology.same_ns,
        topology.cross_ns,
        topology.cross_ns if topology.far_ns is None else topology.far_ns,
    )
    power = 1 << max(cpus - 1, 0).bit_length()
    machine = coherence.Machine(
        state=state,
        cpu=_jit.records(cpu),
        pending=np.zeros((cpus, min(PENDING_ROWS * (counters + 1), PENDING_MAX) + TOUCHES_MAX), np.int64),
        line=_jit.records(line),
        copies=np.zeros((lines, groups.shape[1]), np.int64),
        groups=groups,
        booked=_jit.records(np.zeros(len(FUNCTIONS), coherence.booked_dtype)),
        ops=_jit.records(np.ascontiguousarray(ops[order])),
        gaps=gaps[order],
        spread=spread,
        steps=_jit.records(step_table(layout)),
        cost=np.array([round(ns * PS) for ns in costs], np.int64),
        tree=np.zeros(4 * power, np.int64),
        events=_jit.records(np.zeros(record + 1, coherence.event_dtype)) if record else None,
        lines=layout.lines,
        count=layout.count,
        parent=layout.parent,
        allocated=int(layout.memory_allocated),
        walks=layout.pressure_walks,
        lock=LOCKS.index(lock),
        repeat=int(repeat),
    )
    busy = cpu["ops"] > 0  # their first think time
    first = machine.gaps[cpu["first"][busy]] * spread[cpu["rng"][busy] >> 20 & (SPREAD_ROWS - 1)] >> SPREAD_BITS
    cpu["clock"][busy] = first
    machine.booked["local"][FN_OTHER] = first.sum()
    return machine


def _put_in_place(cpu, topology):
    """Say where each CPU sits; the groups they belong to, with a bit for each member, int64 [group, word]."""
    cpus, number = len(cpu), np.arange(len(cpu))
    core, socket = topology.place(cpus)
    near, hops = topology.near(cpus), topology.hops(cpus)
    # Without near cores a line is near to nobody but the other threads of its core.
    for group in (socket, core if topology.near_cores is None else near, core):
        cpu["place"] = cpu["place"] << coherence.CPU_BITS | group
    cpu["socket"] = socket
    cpu["cache"] = socket if topology.near_cores is None else near + socket.max() + 1
    cpu["hops"] = -1 if topology.near_sockets is None else hops + max(socket.max(), cpu["cache"].max()) + 1
    rows = [cpu[name] for name in ("socket", "cache", "hops")]
    groups = np.zeros((1 + max(row.max() for row in rows), 1 + (cpus - 1) // 64), np.int64)
    for row in rows:
        known = row >= 0
        np.bitwise_or.at(groups, (row[known], number[known] // 64), 1 << number[known] % 64)
    return groups


def begun(system, ops):
    """A copy of a system as a run of these operations begins: unless limits are set, with pages in flight.

    Examples
    --------
    >>> from memcg_lab import pingpong
    >>> begun(System.chain(depth=1, cpus=1), pingpong(1)).usage.tolist()
    [1073741824, 1073741824]
    """
    twin = system.copy()
    state = twin.mechanism_state()
    if (state.counter["limit"] == PAGE_COUNTER_MAX).all():
        _put_in_flight(state, twin, ops)
    return twin


def _levels(parents):
    """Counters that a charge to the deepest cgroup meets."""
    levels = []
    for parent in parents:  # parents stand before their children
        levels.append(1 + (levels[parent] if parent >= 0 else 0))
    return max(levels)


def _put_in_flight(state, system, ops):
    """Let each cgroup that is given back to hold pages already."""
    parents, n = system.parents, len(system.parents)
    used, by_sockets, by_others = (
        np.bincount(ops["memcg"][chosen], minlength=n) > 0
        for chosen in (ops["op"] != CHARGE_SKMEM, ops["op"] <= UNCHARGE_SKMEM, ops["op"] > UNCHARGE_SKMEM)
    )
    if state.root >= 0:
        used[state.root] = False
    sock_held, held = IN_FLIGHT * (used & by_sockets), IN_FLIGHT * (used & by_others)
    state.memcg["sock_held"] += sock_held
    state.memcg["held"] += held
    state.memcg["css"] += (sock_held + held) * system.policy.css_by_page
    state.sock[0] += sock_held
    below = sock_held + held
    for memcg in range(n - 1, -1, -1):  # parents stand before their children
        if parents[memcg] >= 0:
            below[parents[memcg]] += below[memcg]
    counter = state.counter[:n]
    counter["count"] += below
    counter["watermark"] = np.where(below > 0, np.maximum(counter["watermark"], counter["count"]), counter["watermark"])


def counted(machine):
    """A copy of what a machine has counted so far."""
    booked = np.asarray(machine.booked).view(np.int64).reshape(-1, len(BOOKED))
    return Counted(*(np.array(array) for array in (machine.cpu["finished"], booked, machine.line["traffic"])))


def _cut_at(at, machine):
    """What a machine has counted until a time: its lines are promised, without a gap, until they are free."""
    found = counted(machine)
    found.traffic[:, OCCUPIED] -= np.maximum(machine.line["free_at"] - at, 0)
    return found


def _go_on(kernel, machine, until, twin, record):
    """Simulate until a time, or raise what stopped it."""
    start = int(machine.cpu["clock"].min())
    for part in range(1, SLICES + 1):  # compiled code hears an interrupt only between two calls
        reason, cpu = kernel(machine, start + (until - start) * part // SLICES if until > start else until)
        if reason:
            break
    if reason:
        row = machine.cpu[int(cpu)]
        k = int(row["first"] + row["at"])
        op = {name: int(machine.ops[k][name]) for name in records.op_dtype.names}
        place = f"CPU {int(cpu)}, its op {int(row['at']):,} ({OPS[op['op']]})"
        if reason == TOO_MANY_STEPS:
            why = f"{place}: it takes more steps than a machine can hold; set fewer CPUs or no limit."
        else:
            why = f"{place}: gives back {op['nr']:,} pages, more than memcg {op['memcg']} holds by then."
        raise Stopped(why, int(reason), int(cpu), int(row["at"]))
    if record and int(machine.events["op"][0]) > record:
        raise ValueError(f"{int(machine.events['op'][0]):,} events; record allows {record:,}.")
