"""Page counters and stocks that real threads share: the rules of the mechanism, on real atomics.

One cgroup lies ``depth`` levels below the root; each thread stands for a CPU and has a stock of its own. No level has a
limit, so no charge is refused. References and statistics, which a CPU keeps for itself, are left out.

Kernel: ``mm/page_counter.c`` and ``mm/memcontrol.c``, v4.13 and 475d048.
"""

import functools
import math
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from .. import _jit
from ..checks import flag, one_of, real_number, whole_number
from ..mechanism.memcontrol import reclaim_nothing
from ..mechanism.policy import PATH_V4_13, Policy
from ..mechanism.stock_v4_13 import consume_stock, drain_stock, refill_stock, uncharge_to_counter
from ..mechanism.stock_v4_14 import refill_stock_capped, uncharge_to_stock
from .atomics import fetch_add, load, serialize, store
from .host import ordered_cpus
from .race import BLOCK, FOREVER, LINE, STOP, WORDS, aligned, need_hardware, race, timed_loop

DEPTH_MAX = 64
THINK_NS_MAX = 1_000_000  # so that a thread comes to its stop flag, once in 64 pairs, within a tenth of a second
WORKLOADS = ("pingpong", "producer_consumer")

counter_dtype = np.dtype(
    {"names": ["count", "parent", "watermark"], "formats": [np.int64] * 3, "offsets": [0, 8, 16], "itemsize": LINE}
)
Shared = namedtuple(
    "Shared",
    [
        "counter",  # counter_dtype [levels]: the leaf last, the root first
        "stock",  # int64: pages of thread t at t * stride
        "stride",  # words between two stocks: 1 = side by side on a line, 16 = each on its own
        "leaf",  # row of the leaf's counter
        "batch",  # pages
        "nr_pages",  # pages of one charge or uncharge
        "think",  # rounds of the local loop after each charge and each uncharge
    ],
)


# --- compiled --------------------------------------------------------------------------------------------------------
@_jit.inline
def add_atomic(counter, nr_pages):
    """One fully ordered atomic on the counter: the new count."""
    return fetch_add(counter, "count", nr_pages, "seq_cst") + nr_pages


@_jit.inline
def add_torn(counter, nr_pages):
    """What must not be done: read, add, write. What another CPU added in between is lost."""
    new = load(counter, "count", "relaxed") + nr_pages
    store(counter, "count", new, "relaxed")
    return new


@_jit.inline
def think(rounds, value):
    """A chain of shifts and multiplications that nobody shares and no compiler can shorten.

    It starts from ``value``, so the CPU cannot begin it while it still waits for the atomic that gives the value. Nor
    does it begin the next atomic before the chain ends. Without both, work and waiting overlap by some hundred steps.
    """
    if rounds:
        for _ in range(rounds):
            value = (value ^ (value >> 7)) * 6364136223846793005
        serialize()
    return value


def bind_counter(add):
    """Charging and giving back on a chain of one kind of counter: ``(try_charge, uncharge)``."""

    @_jit.inline
    def page_counter_try_charge(st, nr_pages):
        c, new = st.leaf, np.int64(0)
        while c >= 0:
            counter = st.counter[c]
            new = add(counter, nr_pages)
            if new > load(counter, "watermark", "relaxed"):
                store(counter, "watermark", new, "relaxed")  # races, as in the kernel
            c = counter.parent
        return new

    @_jit.inline
    def page_counter_uncharge(st, nr_pages):
        c, new = st.leaf, np.int64(0)
        while c >= 0:
            counter = st.counter[c]
            new = add(counter, -nr_pages)
            c = counter.parent
        return new

    return page_counter_try_charge, page_counter_uncharge


def bind_rules(add, capped, to_stock):
    """The rules of one generation on one kind of counter: ``(charge, uncharge)``, both ``(state, me) -> a count``."""
    page_counter_try_charge, page_counter_uncharge = bind_counter(add)

    @_jit.inline
    def refill_stock(st, at, nr_pages):
        pages = load(st.stock, at, "relaxed") + nr_pages
        if capped and pages > st.batch:
            store(st.stock, at, 0, "relaxed")
            return page_counter_uncharge(st, pages)
        store(st.stock, at, pages, "relaxed")
        return pages

    @_jit.inline
    def charge(st, me):
        at = me * st.stride
        pages = load(st.stock, at, "relaxed")
        if st.nr_pages <= pages and st.nr_pages <= st.batch:
            store(st.stock, at, pages - st.nr_pages, "relaxed")
            return pages
        batch = max(st.batch, st.nr_pages)
        new = page_counter_try_charge(st, batch)
        if batch > st.nr_pages:
            refill_stock(st, at, batch - st.nr_pages)
        return new

    @_jit.inline
    def uncharge(st, me):
        if to_stock:
            return refill_stock(st, me * st.stride, st.nr_pages)
        return page_counter_uncharge(st, st.nr_pages)

    return charge, uncharge


@_jit.inline
def in_step(gate, report, me, done):
    """Even threads charge, at most two blocks ahead of their neighbour, which gives back what was charged before."""
    even = me % 2 == 0
    other = report[me + 1] if even else report[me - 1]
    while load(gate, STOP, "relaxed") == 0:
        theirs = load(other, "done", "acquire")
        if (even and theirs + BLOCK >= done) or (not even and theirs > done):
            return True
    return False


@functools.cache
def bind(capped, to_stock, atomic, workload):
    """The compiled loop of one generation of the rule, one kind of counter and one workload."""
    charge, uncharge = bind_rules(add_atomic if atomic else add_torn, capped, to_stock)

    @_jit.inline
    def pair(st, gate, me, i, value):
        value = think(st.think, value ^ charge(st, me))
        return think(st.think, value ^ uncharge(st, me))

    @_jit.inline
    def half(st, gate, me, i, value):
        value ^= charge(st, me) if me % 2 == 0 else uncharge(st, me)
        return think(st.think, value)

    name = f"{workload}_{'capped' if capped else 'uncapped'}_{'to_stock' if to_stock else 'to_counter'}"
    name += "_atomic" if atomic else "_torn"
    if workload == "pingpong":
        return timed_loop(name, pair)
    return timed_loop(name, half, in_step)


@_jit.inline
def _think_once(st, gate, me, i, value):
    return think(st.think, value)


think_loop = timed_loop("think", _think_once)


# --- called from Python ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Run:
    """One run of real threads on shared page counters.

    Attributes
    ----------
    policy : str
        Name of the policy.
    depth, threads : int
        Levels below the root; threads, one on each CPU.
    workload : str
        "pingpong" or "producer_consumer".
    padded, atomic : bool
        Whether each stock has cache lines of its own; whether counters are changed by atomics.
    think_ns : float
        Nanoseconds of local work after each charge and each uncharge, as measured on the same CPUs just before.
    pairs : tuple of int
        What each thread did: charges and uncharges of a "pingpong", else either the ones or the others.
    pairs_per_us : float
        Pairs a microsecond of one thread, mean over the threads.
    overlap : float
        Share of the run during which all threads ran, 0 to 1. Below 0.9 the times mean little.
    pinned : bool
        Whether each thread was kept on its CPU.
    usage : tuple of int
        Pages that each level's counter says, root first.
    in_use : int
        Pages charged and not given back.
    stock : tuple of int
        Pages in each thread's stock.
    """

    policy: str
    depth: int
    threads: int
    workload: str
    padded: bool
    atomic: bool
    think_ns: float
    pairs: tuple
    pairs_per_us: float
    overlap: float
    pinned: bool
    usage: tuple
    in_use: int
    stock: tuple

    @property
    def ns_per_pair(self):
        """Nanoseconds a thread takes for a pair: a charge, an uncharge, and the work after each."""
        return 1000 / self.pairs_per_us if self.pairs_per_us else math.inf

    @property
    def lost(self):
        """Pages by which each level's counter is off, root first; above 0 means subtractions were lost."""
        return tuple(count - self.in_use - sum(self.stock) for count in self.usage)

    @property
    def conserved(self):
        """True if at every level usage = pages in use + pages in stocks."""
        return not any(self.lost)


def run_threads(
    policy,
    *,
    depth=2,
    threads=2,
    think_ns=0,
    seconds=0.1,
    pairs=None,
    nr_pages=1,
    workload="pingpong",
    padded=True,
    atomic=True,
    stop=None,
):
    """Charge and give back pages with real threads, and look whether every page is accounted for.

    Parameters
    ----------
    policy : Policy
        ``V4_13``, ``V4_14``, ``CAP_ONLY``, ``UNCHARGE_ONLY``, or one of them with another batch; one slot.
    depth : int
        Levels below the root, 1 to 64; a charge that the stock cannot serve meets ``depth + 1`` counters.
    threads : int
        1 to the number of CPUs this process may use; each is kept on a CPU of its own where the system allows.
    think_ns : float
        Nanoseconds of local work after each charge and each uncharge; rounded to the grain of the local loop.
    seconds : float
        How long to run, unless ``pairs`` is given.
    pairs : int, optional
        Pairs each thread does; the run then lasts as long as it takes.
    nr_pages : int
        Pages of one charge and of one uncharge.
    workload : str
        "pingpong": each thread charges and gives back. "producer_consumer": thread 0 charges, thread 1 gives back, and
        so on in twos; they hand over 64 pairs at a time, which costs time of its own.
    padded : bool
        False puts the stocks of all threads side by side on the same cache lines.
    atomic : bool
        False reads, adds and writes instead: updates get lost.
    stop : threading.Event, optional
        Ends the run early.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If an argument is out of range, a rule of the policy has no twin with real atomics, or nothing is compiled
        (``NUMBA_DISABLE_JIT``).

    Notes
    -----
    Kernel: ``mem_cgroup_charge_skmem`` and ``mem_cgroup_uncharge_skmem``, v4.13 and 475d048, from many CPUs at once.

    Examples
    --------
    >>> from memcg_lab import V4_13, V4_14
    >>> run = run_threads(V4_14, depth=2, threads=1, pairs=1000)
    >>> run.usage, run.in_use, run.stock, run.conserved
    ((32, 32, 32), 0, (32,), True)
    """
    need_hardware()
    switches = rules_of(policy)
    padded, atomic = flag("padded", padded), flag("atomic", atomic)
    asked = _check(depth, threads, think_ns, seconds, pairs, nr_pages, workload)
    loop = bind(*switches, atomic, asked.workload)
    state = make_state(asked.depth, asked.threads, batch=policy.batch, nr_pages=asked.nr_pages, padded=padded)
    if asked.think_ns:
        state = state._replace(think=max(1, round(asked.think_ns * 1000 / measure_think(state, asked.cpus, 1000))))
        asked = asked._replace(think_ns=measure_think(state, asked.cpus, state.think))
    result = race(loop, state, asked.cpus, steps=asked.pairs, seconds=asked.seconds, stop=stop)
    return _told(policy, asked, padded, atomic, state, result)


Asked = namedtuple("Asked", "depth threads cpus think_ns seconds pairs nr_pages workload")
Asked.__doc__ = """The checked arguments of :func:`run_threads`; ``cpus`` are those the threads take."""


def _check(depth, threads, think_ns, seconds, pairs, nr_pages, workload):
    """What is asked for, in range, or a ValueError that names what is not."""
    one_of("workload", workload, WORKLOADS)
    depth = whole_number("depth", depth, 1, DEPTH_MAX)
    cpus = ordered_cpus()
    threads = whole_number("threads", threads, 1, len(cpus))
    if workload == "producer_consumer" and threads % 2:
        raise ValueError(f"threads is {threads}; a producer_consumer needs an even number.")
    nr_pages = whole_number("nr_pages", nr_pages, 1, 2**20)
    think_ns = real_number("think_ns", think_ns, 0, THINK_NS_MAX)
    if pairs is None:
        seconds = real_number("seconds", seconds, 0.001, 3600)
    else:
        pairs = whole_number("pairs", pairs, 0, FOREVER // 2**30)
    return Asked(depth, threads, cpus[:threads], think_ns, seconds, pairs, nr_pages, workload)


def _told(policy, asked, padded, atomic, state, result):
    """The run that the threads report."""
    done = result.done
    both = asked.workload == "pingpong"
    charged = int((done if both else done[0::2]).sum())
    given_back = int((done if both else done[1::2]).sum())
    return Run(
        policy=policy.name,
        depth=asked.depth,
        threads=asked.threads,
        workload=asked.workload,
        padded=padded,
        atomic=atomic,
        think_ns=float(asked.think_ns),
        pairs=tuple(done.tolist()),
        pairs_per_us=float(np.mean(1000 * done / result.ns)),
        overlap=result.overlap,
        pinned=result.pinned,
        usage=tuple(state.counter["count"].tolist()),
        in_use=(charged - given_back) * asked.nr_pages,
        stock=tuple(state.stock[: asked.threads * state.stride : state.stride].tolist()),
    )


def make_state(depth, threads, *, batch, nr_pages=1, padded=True):
    """Counters of a chain, all 0, and an empty stock for each thread."""
    counter = aligned(depth + 1, counter_dtype)
    counter["parent"] = np.arange(-1, depth)
    stride = WORDS if padded else 1
    stock = aligned(max(WORDS, threads * stride), np.int64)
    return Shared(counter, stock, stride, depth, batch, nr_pages, 0)


def measure_think(state, cpus, rounds):
    """Nanoseconds of so many rounds of the local loop while all these CPUs are busy with it; least of five runs."""
    state = state._replace(think=rounds)
    return min(race(think_loop, state, cpus, seconds=0.002).ns_per_step for _ in range(5))


Switches = namedtuple("Switches", "capped to_stock")
Switches.__doc__ = """Which twins of a policy's rules run: a refill with the cap; giving back into the stock."""

# Each rule that has a twin with real atomics, and the switch that chooses it. Rules that have one twin only have none.
TWINS = {
    "consume": {consume_stock: None},
    "refill": {refill_stock: False, refill_stock_capped: True},
    "drain": {drain_stock: None},
    "uncharge": {uncharge_to_counter: False, uncharge_to_stock: True},
    "reclaim": {reclaim_nothing: None},
}


def rules_of(policy):
    """Which hunks of the patch a policy has, as switches of the twins of its rules.

    Parameters
    ----------
    policy : Policy

    Returns
    -------
    Switches

    Raises
    ------
    ValueError
        If it is no policy, a stock has more than one slot, or a rule has no twin with real atomics.

    Examples
    --------
    >>> from memcg_lab import CAP_ONLY
    >>> rules_of(CAP_ONLY)
    Switches(capped=True, to_stock=False)
    """
    if not isinstance(policy, Policy):
        raise ValueError(f"policy is {policy!r}; it must be a Policy, such as V4_13 or V4_14.")
    if policy.slots != 1:
        raise ValueError(
            f"{policy.name} has {policy.slots} slots; the stock of a real thread holds pages of one cgroup, in 1 slot."
        )
    if policy.path is not PATH_V4_13:
        raise ValueError(f"{policy.name} charges as {policy.path.name} does; real threads charge as v4.13 does.")
    for kind, twins in TWINS.items():
        rule = getattr(policy, kind)
        if not any(rule is twin for twin in twins):
            allowed = ", ".join(twin.__name__ for twin in twins)
            raise ValueError(
                f"{kind} of {policy.name} is {getattr(rule, '__name__', repr(rule))}, which has no twin with real "
                f"atomics; there are: {allowed}."
            )
    return Switches(TWINS["refill"][policy.refill], TWINS["uncharge"][policy.uncharge])
