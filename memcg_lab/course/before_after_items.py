"""The 20 items of the test before and after: each draws a case, runs it, and runs what each wrong thought would do."""

import csv
import functools
import math
from collections import namedtuple

import numpy as np

from ..files import data_path
from ..mechanism import stock_v4_13
from ..mechanism.policy import CAP_ONLY, UNCHARGE_ONLY, V4_13, V4_14
from ..mechanism.records import CHARGE_BATCH, UNCHARGE_SKMEM
from ..system import System, op
from ..words import count, listing, number
from ..workload import pingpong, producer_consumer, skmem
from .trial import Trial

# kind: str. notebook, goal: what that notebook says you will be able to do. belief: what is thought wrongly, as the
# table of misconceptions in docs/teaching.md words it. draw: a Draw -> (text, what is right, three pairs of a wrong
# answer and the sentence on the thought that leads there); the first of these comes from the belief.
Item = namedtuple("Item", "kind notebook goal belief draw")

ITEMS = []


def item(notebook, goal, belief):
    """Enter an item."""

    def enter(function):
        ITEMS.append(Item(function.__name__, notebook, goal, belief, function))
        return function

    return enter


def _pages(n):
    return count(n, "page")


def _told(sizes):
    return f"{listing(sizes)} pages"


def _tried(system, ops):
    """Run operations by rules that nobody compiles; give the largest stock and the most that left a counter at once."""
    trial, fullest, burst = Trial(system), 0, 0
    for k in range(len(ops)):
        before = int(system.usage[0])
        trial.replay(ops[k : k + 1])
        burst = max(burst, before - int(system.usage[0]))
        fullest = max(fullest, *(stock.nr_pages for stock in system.stock))
    return fullest, burst


# --- 00 ---------------------------------------------------------------------------------------------------------------
@item(
    "00",
    "run the same traffic before and after it, and count what it saves",
    "Each page costs an atomic, each way, at each level.",
)
def saved(draw):
    """Atomics that the patch saves."""
    pages, depth = draw.between(40, 160), draw.between(2, 5)
    before, after = (
        System.chain(depth, cpus=2, policy=policy).replay(producer_consumer(pages, memcg=depth))
        for policy in (V4_13, V4_14)
    )
    text = (
        f"{pages} pages are charged on CPU 0 to a cgroup {depth} levels below the root, one at a time, and each comes "
        "back on CPU 1, one at a time. How many atomics does the patch save?"
    )
    right = before.atomics - after.atomics
    return (
        text,
        right,
        (
            (2 * pages * (depth + 1) - after.atomics, "charging was done in batches before the patch as well."),
            (before.sub, "full stocks are still drained."),
            (right // (depth + 1) * depth, "the root has a counter too."),
        ),
    )


# --- 01 ---------------------------------------------------------------------------------------------------------------
NAMES = ("tcp_ack", "__fget", "__schedule", "menu_select", "enqueue_entity", "__switch_to", "ixgbe_poll")


def _rows(names, percents):
    return "\n".join(f"     {percent:5.2f}%  {name}" for name, percent in zip(names, percents, strict=True))


@item("01", "name four things that a profile does not say", "The listing shows all that was sampled.")
def listed(draw):
    """What follows from a listing, and what cannot be known from it."""
    from ..perf import read_perf

    names = ["page_counter_cancel", *draw.shuffled(NAMES)[:4]]
    percents = sorted({draw.between(50, 400) for _ in range(5)}, reverse=True)
    if len(percents) < 5:
        return None
    rows = _rows(names, [percent / 100 for percent in percents])
    found = read_perf("\n".join(f" {line.split()[0]}  [kernel]  [k] {line.split()[1]}" for line in rows.splitlines()))
    shown, first, lowest = found["percent"].sum(), found["percent"].iloc[0], found["percent"].iloc[-1]
    text = (
        f"perf top shows these rows of a host, its five highest, in percent of all samples:\n{rows}\n   What follows?"
    )
    return (
        text,
        f"At least {math.floor(round((100 - shown) / lowest, 6)) + 1} more functions got samples.",
        (
            (
                f"The CPUs were idle for the other {100 - shown:.2f} %.",
                "a listing stops somewhere; what is below the last row is not shown, and idle CPUs are not sampled.",
            ),
            (
                f"{names[4]} is called less often than {names[1]}.",
                "a share is time: few long calls or many short ones.",
            ),
            (
                f"Without {names[0]} the host serves at most {100 / (1 - first / 100) - 100:.2f} % more packets.",
                "other rows may get smaller too, when nobody fights for its cache line any more.",
            ),
        ),
    )


@functools.cache
def _symbols():
    with open(data_path("perf/symbols.csv"), encoding="utf-8", newline="") as file:
        return {row["symbol"]: row["on_the_path"] for row in csv.DictReader(file) if row["symbol"].isidentifier()}


@item(
    "01",
    "tell the rows that belong to giving memory back from those that do not, and from those you cannot tell",
    "A spin lock in the listing belongs to the memory that is counted.",
)
def on_the_path(draw):
    """Which functions give socket memory back."""
    known = _symbols()
    names = draw.shuffled(known)[:8]
    if "tcp_delack_timer_handler" not in names:
        return None
    text = (
        f"A profile of Linux 4.13 lists {listing(names)}. How many of these functions do nothing but give socket "
        "memory back, or begin by doing so?"
    )
    said = [known[name] for name in names]
    return (
        text,
        said.count("yes"),
        (
            (
                said.count("yes") + said.count("cannot tell"),
                "locks and tcp_ack are used for much else; nobody can tell.",
            ),
            (said.count("yes") - 1, "the timer of the delayed acknowledgement begins by giving memory back."),
            (
                sum(name.strip("_").startswith(("tcp", "sk_", "inet", "page_counter")) for name in names),
                "a name from the network does not say what a function does.",
            ),
        ),
    )


# --- 02 ---------------------------------------------------------------------------------------------------------------
@item(
    "02",
    "say what happens, level by level, when a charge meets a limit, and why it leaves a trace in the watermark",
    "A refused charge leaves nothing behind.",
)
def watermark(draw):
    """The trace of a refusal."""
    used, pages = draw.between(50, 120), draw.between(12, 28)
    limit = used + draw.between(2, pages - 1)
    system = System.chain(2, cpus=1, policy=V4_13, limits=[-1, limit, -1])
    system.try_charge(cpu=0, memcg=2, nr_pages=used, ctx="softirq")
    fits = system.try_charge(cpu=0, memcg=2, nr_pages=pages, ctx="softirq") == 0
    text = (
        f"Before the patch: {used} pages are charged to a cgroup in one call, all stocks are empty. It has no limit; "
        f"its parent has one of {limit} pages and no other child. try_charge asks for {pages} more in softirq and is "
        "refused. What is the watermark of the cgroup (not of its parent) then?"
    )
    return (
        None
        if fits
        else (
            text,
            int(system.snapshot()["max"][2]),
            (
                (used, "the cgroup's own level let the charge pass before the parent refused."),
                (used + pages, "a batch of 32 is tried first, and leaves its trace."),
                (limit, "the limit is the parent's; a watermark is what the counter once said."),
            ),
        )
    )


@item("02", "name what the kernel tries before it refuses, and what a refusal costs", "A refusal is one try.")
def tries(draw):
    """Tries of a small charge that does not fit."""
    depth, pages = draw.between(3, 7), draw.between(3, 30)
    at = draw.between(1, depth - 1)
    limits = [-1] * (depth + 1)
    limits[at] = pages - 1

    def atomics(nr, ctx):
        system = System.chain(depth, cpus=1, policy=V4_13, limits=limits)
        return system.replay(op("try_charge", cpu=0, memcg=depth, nr=nr, ctx=ctx)).atomics

    text = (
        f"Before the patch: try_charge asks for {pages} pages of a cgroup {depth} levels below the root. Nothing is "
        f"charged yet. The level at depth {at} (the root is at depth 0) has a limit of {pages - 1} pages, no other has "
        "one. A task asks. Reclaim frees nothing, and MEM_CGROUP_RECLAIM_RETRIES is 5, as in 4.13. How many atomics "
        "until the answer is no?"
    )
    return (
        text,
        atomics(pages, "task"),
        (
            (atomics(CHARGE_BATCH + 1, "softirq"), "a batch of 32 is tried first, then the exact size, then again."),
            (atomics(CHARGE_BATCH + 1, "task"), "the try of the whole batch is missing."),
            (atomics(pages, "softirq"), "that is in softirq; a task goes on after each attempt to reclaim."),
        ),
    )


# --- 03 ---------------------------------------------------------------------------------------------------------------
def _left_if_in_part(sizes):
    """What would lie in a stock that gives what it has, if the rest were fetched."""
    stock = 0
    for pages in sizes:
        rest, stock = max(0, pages - stock), max(0, stock - pages)
        if rest:
            stock = max(0, CHARGE_BATCH - rest)
    return stock


@item(
    "03",
    "say what consume, refill and drain do to a stock",
    "A stock gives what it has, and the rest is fetched.",
)
def all_or_nothing(draw):
    """What charges take from the counters, among them one above a batch."""
    sizes = [draw.between(2, 24) for _ in range(6)]
    sizes[draw.between(1, 4)] = draw.between(34, 60)
    system = System.chain(1, cpus=1, policy=V4_13)
    for pages in sizes:
        system.charge_skmem(cpu=0, memcg=1, nr_pages=pages)
    text = (
        f"Before the patch: one CPU charges {_told(sizes)} to one cgroup, in six calls. What does the counter of this "
        "cgroup say then?"
    )
    return (
        text,
        int(system.usage[1]),
        (
            (
                sum(sizes) + _left_if_in_part(sizes),
                "a stock serves all of a call or nothing, and a call above 32 pages does not look.",
            ),
            (
                sum(CHARGE_BATCH * math.ceil(pages / CHARGE_BATCH) for pages in sizes),
                "a call that finds enough in the stock charges nothing, and above 32 pages the exact size is charged.",
            ),
            (sum(sizes), "what a batch brings too much is counted at once."),
        ),
    )


def _careless(stock, change):
    """Pages that the stock says too many, if a packet changes it between a task's look and its write."""
    seen = stock
    stock += change
    should = stock - 1
    stock = seen - 1
    return stock - should


@item(
    "03",
    "explain why a stock held at most 31 pages before the patch, and why interrupts are off while it changes",
    "The stock of one CPU needs no protection.",
)
def interrupts(draw):
    """A stock that is changed with interrupts on."""
    stock, pages, brings = draw.between(12, 24), draw.between(2, 6), draw.pick([True, False])
    what = "gives {} back into" if brings else "takes {} out of"
    text = (
        f"Suppose the stock were changed with interrupts on. A task wants one page and reads that the stock of its CPU "
        f"holds {stock}. Now a packet arrives on this CPU, and softirq {what.format(_pages(pages))} this stock. Then "
        f"the task writes {stock - 1}. What has become of the {pages} pages?"
    )
    lost = "They stay charged for ever; no stock has them and nobody uses them."
    twice = "They will be handed out a second time; the counter is below what is in use."
    right, other = (lost, twice) if _careless(stock, pages if brings else -pages) < 0 else (twice, lost)
    return (
        text,
        right,
        (
            (
                "They are as they should be: no other CPU changes this stock.",
                "softirq runs on the same CPU, in between.",
            ),
            (other, "look at what the stock says: too much of it is handed out, too little is lost."),
            (
                "They are missing until the next drain, which sets the stock by the counter.",
                "a drain gives back what the stock says it holds; nobody counts it again.",
            ),
        ),
    )


# --- 04 ---------------------------------------------------------------------------------------------------------------
def cut_down(st, batch, drain, cpu, memcg, nr_pages):
    """A cap that gives back only the surplus."""
    stock_v4_13.refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    over = st.stock[cpu, 0].nr_pages - batch
    if over > 0:
        stock_v4_13.uncharge_counters(st, cpu, memcg, over)
        stock_v4_13.css_put_many(st, cpu, memcg, over)
        st.stock[cpu, 0].nr_pages -= over


def at_the_batch(st, batch, drain, cpu, memcg, nr_pages):
    """A cap that says `>=`."""
    stock_v4_13.refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    if st.stock[cpu, 0].nr_pages >= batch:
        drain(st, cpu, 0, 0)


def _given_back(policy, sizes):
    """What is in a stock once pages came back in these calls."""
    system = System.chain(1, cpus=2, policy=policy)
    calls = [op("uncharge_skmem", cpu=1, memcg=1, nr=pages) for pages in sizes]
    _tried(system, np.concatenate([op("charge_skmem", cpu=0, memcg=1, nr=CHARGE_BATCH * len(sizes)), *calls]))
    return system.stock[1].nr_pages


@item(
    "04",
    "say what each changed line does, and why it stands where it stands",
    "A full stock is cut down to 32 pages.",
)
def capped(draw):
    """What the cap leaves."""
    first = draw.between(8, 24)
    sizes = [first, CHARGE_BATCH - first, *(draw.between(3, 28) for _ in range(3))]
    text = (
        f"After the patch {_told(sizes)} of one cgroup come back on one CPU, in five calls. How many pages are in its "
        "stock then?"
    )
    return (
        text,
        _given_back(V4_14, sizes),
        (
            (_given_back(V4_14.with_rules("cut down", refill=cut_down), sizes), "the stock is emptied, not cut down."),
            (
                _given_back(V4_14.with_rules("at the batch", refill=at_the_batch), sizes),
                "exactly 32 pages may stay: the line says `>`.",
            ),
            (sum(sizes) % CHARGE_BATCH, "a drain takes all there is, not whole batches."),
        ),
    )


@item(
    "04",
    "say what each changed line does, and why it stands where it stands",
    "Both hunks save atomics.",
)
def each_alone(draw):
    """What each hunk does alone."""
    pages, depth = draw.between(70, 250), draw.between(2, 4)
    before, cap, back, both = (
        System.chain(depth, cpus=2, policy=policy).replay(producer_consumer(pages, memcg=depth)).atomics
        for policy in (V4_13, CAP_ONLY, UNCHARGE_ONLY, V4_14)
    )

    def told(one, two):
        return f"{number(one)} with the first alone, {number(two)} with the second alone"

    text = (
        f"{pages} pages are charged on CPU 0 to a cgroup {depth} levels below the root and come back on CPU 1, all one "
        f"at a time. The first hunk changes refill_stock, the second mem_cgroup_uncharge_skmem. This takes "
        f"{number(before)} atomics before the patch and {both} after it. How many with one hunk?"
    )
    return (
        text,
        told(cap, back),
        (
            (told(both, back), "before the patch no stock was ever above 32: the cap alone finds nothing to do."),
            (told(before, before), "the second hunk gives back into the stock, with a cap or without."),
            (told(both, before), "it is the second hunk that spares the trips; the cap costs some."),
        ),
    )


@item(
    "04",
    "name the traffic for which the patch gains nothing, and the traffic for which it costs more",
    "The patch always gains.",
)
def two_cgroups(draw):
    """When the owner of a stock changes."""
    pages, rounds, depth = draw.between(4, 9), draw.between(5, 30), draw.between(2, 3)
    parents = [-1] + [0, 0] + [node - 2 for node in range(3, 2 * depth + 1)]
    one, two = len(parents) - 2, len(parents) - 1

    def work(policy, size, repeat, cpu=0):
        system = System(parents, cpus=3, policy=policy)
        system.charge_skmem(cpu=1, memcg=two, nr_pages=CHARGE_BATCH + pages * rounds)
        charge, back = op("charge_skmem", cpu=0, memcg=one, nr=1), op("uncharge_skmem", cpu=cpu, memcg=two, nr=1)
        return system.replay(np.tile(np.concatenate([np.repeat(charge, size), np.repeat(back, size)]), repeat))

    before = work(V4_13, pages, rounds).atomics

    def told(after):
        return f"{number(abs(after - before))} {'more' if after > before else 'fewer'}"

    text = (
        f"Two cgroups, each {count(depth, 'level')} below the root in a branch of its own, share CPU 0. {pages} pages "
        f"of the first are charged there, then {pages} pages of the second come back there, all one at a time; and so "
        f"on, {rounds} times. How many atomics more or fewer does that take after the patch than before it?"
    )
    after = work(V4_14, pages, rounds)
    return (
        text,
        told(after.atomics),
        (
            (
                told(work(V4_14, pages, rounds, cpu=2).atomics),
                "both share one stock, and it holds pages of one cgroup.",
            ),
            (told(work(V4_14, 1, pages * rounds).atomics), "the owner changes with each turn, not with each page."),
            (told(after.add), "what is thrown out of the stock goes back to the counters, and that costs as well."),
        ),
    )


@item(
    "04",
    "explain why `memory.stat` stays exact while `memory.current` does not",
    "`memory.stat` and `memory.current` are off by the same.",
)
def from_outside(draw):
    """What can be seen, and what keeps the cgroup alive."""
    pages = draw.between(70, 150)
    back = draw.between(40, pages - 5)
    system = System.chain(1, cpus=2, policy=V4_14)
    for _ in range(pages):
        system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    for _ in range(back):
        system.uncharge_skmem(cpu=1, memcg=1, nr_pages=1)
    sock, current, held = int(system.sock[1]), int(system.usage[1]), int(system.snapshot()["css"][1])

    def told(*three):
        return "sock {}, current {}, references {}".format(*three)

    text = (
        f"After the patch {pages} pages are charged to a cgroup on CPU 0, one at a time; {back} of them come back on "
        "CPU 1, one at a time. What do `sock` of its memory.stat and its memory.current say then, in pages, and how "
        "many references do its pages hold?"
    )
    return (
        text,
        told(sock, current, held),
        (
            (told(current, current, held), "`sock` is counted at the moment of the call, the stock has no part in it."),
            (told(sock, current, sock), "a page in a stock is charged, and keeps its reference."),
            (told(current, sock, sock), "it is the counter that has the pages in the stocks, not `sock`."),
        ),
    )


# --- 05 ---------------------------------------------------------------------------------------------------------------
@item(
    "05",
    "state how far `memory.current` can be from what is in use, and for how long",
    "Depth multiplies the drift.",
)
def bound_of_a_parent(draw):
    """How far the counter above two busy cgroups can be ahead."""
    cpus = draw.between(6, 96)

    def ahead(policy, pages):
        system = System([-1, 0, 1, 1], cpus=cpus, policy=policy)
        for cpu in range(cpus):
            for memcg in (2, 3):
                system.charge_skmem(cpu=cpu, memcg=memcg, nr_pages=pages)
                if policy is V4_14:
                    system.uncharge_skmem(cpu=cpu, memcg=memcg, nr_pages=pages)
        return int(system.usage[1] - system.sock[2] - system.sock[3])

    right = ahead(V4_14, CHARGE_BATCH)
    text = (
        f"A cgroup has two children, and both use sockets on all of {cpus} CPUs. By how many pages at most can the "
        "parent's counter be ahead of what the children use, after the patch?"
    )
    return (
        text,
        right,
        (
            (2 * right, "a stock holds pages of one cgroup at a time, and each level sees the same pages once."),
            (ahead(V4_13, 1), "that is before the patch."),
            (CHARGE_BATCH, "that is one CPU's stock."),
        ),
    )


def _left(event, pages):
    """What an event leaves of cgroup 1 in the stock of CPU 1."""
    system = System.siblings(2, cpus=2, policy=V4_14, limits=[-1, 200, 200])
    system.charge_skmem(cpu=1, memcg=1, nr_pages=CHARGE_BATCH - pages)
    event(system)
    return sum(stock.nr_pages for stock in system.stock[1:] if stock.memcg == 1)


EVENTS = {
    "A page of another cgroup is charged on CPU 1.": lambda s: s.charge_skmem(cpu=1, memcg=2, nr_pages=1),
    "A task on CPU 0 charges to the cgroup and meets its limit.": lambda s: s.try_charge(cpu=0, memcg=1, nr_pages=180),
    "A packet on CPU 0 is charged to the cgroup and meets its limit.": lambda s: s.charge_skmem(
        cpu=0, memcg=1, nr_pages=180
    ),
    "A task on CPU 0 charges to another cgroup and meets the limit of that one.": lambda s: s.try_charge(
        cpu=0, memcg=2, nr_pages=220
    ),
    "CPU 1 stays idle until the timer of its stock fires.": lambda s: None,
}


@item("05", "say what bounds it, and show what happens without that", "Without the cap memory pressure would do it.")
def what_drains(draw):
    """What takes pages out of the stock of an idle CPU."""
    pages, which = draw.between(8, 30), draw.between(0, 1)
    left = {event: _left(run, pages) for event, run in EVENTS.items()}
    drains = [event for event in left if left[event] == 0]
    text = (
        f"After the patch {pages} pages of a cgroup lie in the stock of CPU 1, and CPU 1 is idle. Which of "
        "these takes them out?"
    )
    softirq, other, timer = (event for event in left if left[event] == pages)
    return (
        text,
        drains[which],
        (
            (softirq, "in softirq no stock of another CPU is drained; a packet is charged above the limit instead."),
            (other, "only stocks of the cgroup that is at its limit, and of those below it, are drained."),
            (timer, "a stock has no timer."),
        ),
    )


@item(
    "05",
    "explain how one refused try pays for the next, for UDP and for TCP",
    "A refused packet changes nothing for the next.",
)
def packets(draw):
    """Which packets a refused one pays for."""
    limit, sizes = draw.between(34, 60), [draw.between(1, 9) for _ in range(6)]

    def refused(policy, read=False):
        system = System.chain(1, cpus=1, policy=policy, limits=[-1, limit])
        system.charge_skmem(cpu=0, memcg=1, nr_pages=limit)
        refused = 0
        for pages in sizes:
            fits = system.charge_skmem(cpu=0, memcg=1, nr_pages=pages)
            refused += not fits
            if read or not fits:
                system.uncharge_skmem(cpu=0, memcg=1, nr_pages=pages)
        return refused

    text = (
        f"After the patch: a cgroup has a limit of {limit} pages, and sockets use all of them. UDP packets of "
        f"{_told(sizes)} arrive on one CPU in softirq, one after the other. A refused one is dropped, one that fits "
        "stays in the queue; nobody reads. How many of the six are dropped?"
    )
    return (
        text,
        refused(V4_14),
        (
            (
                refused(V4_13),
                "what a refused packet gives back goes into the stock, and serves the next that is small.",
            ),
            (refused(V4_14, read=True), "a packet that fits keeps its pages, so they do not come back to the stock."),
            (0, "UDP asks once: the first finds nothing in the stock and is dropped."),
        ),
    )


# --- 06 ---------------------------------------------------------------------------------------------------------------
def _visits(calls, topology, layout, policy=V4_14, cpus=None):
    """A run in which CPUs give pages back, one call after the other; then each reads the word parent once."""
    from ..machine import simulate

    apart, last, gaps = 10_000, {}, []  # ns; no two meet
    for k, (cpu, _) in enumerate(calls, start=1):
        gaps.append((k - last.get(cpu, 0)) * apart)
        last[cpu] = k
    return simulate(
        System([-1], cpus=topology.cpus if cpus is None else cpus, policy=policy, root=None),
        skmem(
            UNCHARGE_SKMEM,
            len(calls),
            cpu=[cpu for cpu, _ in calls],
            memcg=0,
            nr_pages=[pages for _, pages in calls],
        ),
        think_ns=gaps,
        think="fixed",
        topology=topology,
        layout=layout.with_words("the counter alone", memory_allocated=False, pressure_walks=1),
        duration_ns=(len(calls) + 2) * apart,
        warm_up=0,
        repeat=False,
        record=1000,
    )


def _fetched(calls, layout):
    """How many reads of parent have to fetch its line."""
    from ..machine import Topology
    from ..machine.coherence import LOADS

    return int(_visits(calls, Topology.uniform(4, transfer_ns=100), layout).traffic[:, LOADS].sum())


@item(
    "06",
    "say why a function that writes nothing can cost as much as an atomic",
    "What nobody writes is free to read.",
)
def reads_of_parent(draw):
    """Copies of a line that others write now and then."""
    from ..machine.cache_lines import V4_13_LAYOUT, V6_1_LAYOUT

    calls = [(draw.between(0, 2), draw.pick([1, 2, 40, 50])) for _ in range(8)]
    calls[0] = (calls[0][0], 40)
    told = listing([f"CPU {cpu} gives back {pages}" for cpu, pages in calls])
    text = (
        f"After the patch, with a page counter as it lies in memory in 4.13. Pages of one cgroup: {told}. At its "
        "end each of the eight calls reads `parent` in the counter of that cgroup. How many of these reads have to "
        "wait for a cache line?"
    )
    right = _fetched(calls, V4_13_LAYOUT)
    return (
        text,
        right,
        (
            (0, "`parent` lies beside `count`: a call that drains takes the line away from all others."),
            (_fetched(calls, V6_1_LAYOUT), "that is if `parent` had a line of its own: each CPU fetches it once."),
            (
                sum(one != other for (one, _), (other, _) in zip(calls, calls[1:], strict=False)),
                "a copy stays valid until somebody writes; a call that stays in the stock writes nothing there.",
            ),
        ),
    )


def _takes(run, cpu, kind):
    """What a CPU's last touch of that kind took, in ps."""
    rows = [row for row in run.events if row["cpu"] == cpu and row["kind"] == kind]
    return int(rows[-1]["end"] - rows[-1]["time"])


def _waits_for_a_load():
    from ..machine import Topology
    from ..machine.cache_lines import LOAD, V4_13_LAYOUT

    return _takes(_visits([(0, 40), (1, 1)], Topology.uniform(2, transfer_ns=100), V4_13_LAYOUT), 1, LOAD) > 0


def _waits_longer_from_far():
    from ..machine import Topology
    from ..machine.cache_lines import LOAD, V4_13_LAYOUT

    machine = Topology("two packages", 2, 2, 1, 10, 40, 120, 5)
    near, far = (_visits([(0, 40), (cpu, 1)], machine, V4_13_LAYOUT) for cpu in (1, 2))
    return _takes(far, 2, LOAD) > _takes(near, 1, LOAD)


def _waits_less_for_its_own():
    from ..machine import Topology
    from ..machine.cache_lines import RMW, V4_13_LAYOUT

    machine = Topology.uniform(2, transfer_ns=100)
    again, other = (_visits([(cpu, 40), (1, 40)], machine, V4_13_LAYOUT) for cpu in (1, 0))
    return _takes(again, 1, RMW) < _takes(other, 1, RMW)


def _waits_longer_for_many_copies(copies):
    from ..machine import Topology
    from ..machine.cache_lines import RMW, V4_13_LAYOUT

    machine = Topology.uniform(copies + 1, transfer_ns=100)
    few, many = (
        _visits([(0, 40), *((cpu, 1) for cpu in range(1, 1 + n)), (0, 40)], machine, V4_13_LAYOUT) for n in (1, copies)
    )
    return _takes(many, 0, RMW) > _takes(few, 0, RMW)


def _disturbs_the_next_line():
    from ..machine.cache_lines import V4_13_LAYOUT

    calls = [(0, 40), (1, 1), (0, 40), (1, 1)]
    far, beside = (_fetched(calls, V4_13_LAYOUT.with_words("apart", parent=line)) for line in (3, 1))
    return beside > far


@item("06", "say what this model leaves out", "An atomic takes so many nanoseconds.")
def left_out(draw):
    """What the simulation of cache lines has, and what not."""
    copies, which = draw.between(6, 40), draw.between(0, 1)
    said = [
        ("An atomic waits longer for a line from another package than for one from its own.", _waits_longer_from_far()),
        ("A CPU that only reads a word can wait as long as one that changes it.", _waits_for_a_load()),
        ("Two atomics of one CPU in a row: the second is the cheaper one.", _waits_less_for_its_own()),
        (
            f"An atomic waits longer if {copies} CPUs of the package have copies of its line, not one.",
            _waits_longer_for_many_copies(copies),
        ),
        ("Two words that lie on neighbouring lines slow each other down.", _disturbs_the_next_line()),
    ]
    inside = [sentence for sentence, true in said if true]
    outside = [sentence for sentence, true in said if not true]
    text = (
        "The notebooks simulate CPUs that wait for cache lines. Each of these is said of real machines. Which one does "
        "the simulation leave out?"
    )
    return (
        text,
        outside[which],
        (
            (inside[0], "it has a way within a core, within a package and to another package."),
            (inside[1], "a load waits for its line as an atomic does; the simulation has that."),
            (inside[2], "the simulation knows who has the line, and asks no way of its owner."),
        ),
    )


# --- 07 ---------------------------------------------------------------------------------------------------------------
@item(
    "07",
    "say how much of the samples went away, and why two ways of counting it disagree",
    "A row that is gone from a listing took no time any more.",
)
def two_reckonings(draw):
    """What went away, by its own row and by the others."""
    from ..perf import compare

    grown = draw.pick([4, 5, 8, 10])
    others = sorted((draw.between(1, 6) for _ in range(6)), reverse=True)
    lowest = others[-1] * (1 + grown / 100)
    row = round(lowest + grown * (1 - draw.between(10, 90) / 100 * grown / (100 + grown)), 2)
    names = draw.shuffled(NAMES)[:6]
    listings = []
    for extra, factor in ((row, 1), (None, 1 + grown / 100)):
        rows = [(round(value * factor, 4), name) for value, name in zip(others, names, strict=True)]
        rows += [(extra, "page_counter_cancel")] if extra else []
        listings.append("\n".join(f" {value:.4f}%  [kernel]  [k] {name}" for value, name in rows))
    change = compare(*listings)
    by_rest, least = change.removed, change.gone_at_least
    if not by_rest + 0.02 < least < grown - 0.02:
        return None
    text = (
        f"Before a change page_counter_cancel had {row:.2f} % of all samples. After it it is not listed, and the "
        f"lowest row of the listing has {lowest:.2f} %. Each other row has become {grown} % larger, 1.00 % for example "
        f"{1 + grown / 100:.2f} %. What share of the samples went away?"
    )
    return (
        text,
        f"{by_rest:.2f} % by the other rows, {least:.2f} % or more by this one: the two do not agree.",
        (
            (
                f"{row:.2f} % went away: page_counter_cancel is gone, and the other rows share what is free.",
                "a row that is not listed may still have a little less than the lowest.",
            ),
            (
                f"{grown:.2f} % went away: by as much the others grew, which lies between {least:.2f} and {row:.2f}.",
                "the others are a share of a smaller whole: it shrank by less than they grew.",
            ),
            (
                f"{grown:.2f} % by the other rows, {row:.2f} % by this one: the two do not agree.",
                "growth is to be divided by the new whole, and not listed is not zero.",
            ),
        ),
    )


@functools.cache
def _predicted():
    with open(data_path("published/netperf_2022_predicted.csv"), encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["error_percent"] and row["fitted"] == "a visit"]
    found = {}
    for row in rows:
        found.setdefault((row["method"], row["clients"]), {})[row["row"]] = (row["role"], float(row["error_percent"]))
    return [rows for (method, _), rows in found.items() if method != "additive"]


@item(
    "07",
    "fit one number of a model to one figure, and predict the others with it",
    "What fits is proved.",
)
def fitted(draw):
    """Which of several errors tests a model."""
    rows = draw.pick(_predicted())
    error = {name: rows[name][1] for name in ("6.0-rc1", "A: fewer atomics", "C: batch 64")}
    seen, tested = "A: fewer atomics", [name for name in error if rows[name][0] == "predicted"]
    tested.remove(seen)
    told = {name: f"{value:+.1f} %" if abs(value) > 0.05 else "0.0 %" for name, value in error.items()}
    text = (
        "A model of a host has one number that nobody measured: what a visit to a counter costs. It is set so that the "
        "throughput with batches of 32 comes out. Then it says the throughput with fewer atomics; when that was seen, "
        "one of the four counters was given two visits instead of one. Last it says the throughput with batches of 64. "
        f"Its errors are {listing(list(told.values()))}. Which of them test the model?"
    )
    return (
        text,
        f"{listing([told[name] for name in tested])} alone.",
        (
            (f"All three: {listing(list(told.values()))}.", "the first row was fitted: it had to come out."),
            (
                f"{listing([told[seen], *(told[name] for name in tested)])}.",
                "the visits were chosen after that row had been seen.",
            ),
            (
                "None: a model with a fitted number can be made to give any throughput.",
                "one number was used up by one row; it cannot be turned again for the last.",
            ),
        ),
    )


# --- 08 ---------------------------------------------------------------------------------------------------------------
@item(
    "08",
    "predict where a curve over CPUs bends, before the patch and after it",
    "When a wall is gone there is none.",
)
def common_lines(draw):
    """What all CPUs still want after the patch."""
    from ..machine import Topology, simulate
    from ..machine.coherence import ATOMICS

    cpus, depth, pairs = draw.between(3, 6), draw.between(2, 4), draw.between(5, 12)
    parents = [-1, *([0] * cpus), *range(1, cpus * (depth - 1) + 1)]
    first = 1 + cpus * (depth - 1)
    run = simulate(
        System(parents, cpus=cpus, policy=V4_14),
        np.concatenate([pingpong(pairs, memcg=first + cpu, cpu=cpu) for cpu in range(cpus)]),
        think="fixed",
        topology=Topology.uniform(cpus, transfer_ns=50),
        warm_up=0,
        repeat=False,
    )
    atomics = run.traffic[:, ATOMICS]
    sockets, counters = int(atomics[0]), int(atomics[1:].sum())
    root = counters // (depth + 1)
    text = (
        f"A host of 4.14 with {cpus} CPUs. On each runs a cgroup of its own, {depth} levels below the root in a branch "
        f"of its own. A TCP socket of each charges a page and gives it back on the same CPU, {pairs} times. How many "
        "atomics are executed on counters that more than one CPU changes, those of page counters and all others?"
    )
    return (
        text,
        root + sockets,
        (
            (root, "each call also changes the counter of all TCP sockets, which has no stock before it."),
            (counters + sockets, "the counters of a branch are changed by one CPU alone."),
            (sockets, "each CPU comes to the root once, for its first batch."),
        ),
    )


# --- 13 ---------------------------------------------------------------------------------------------------------------
@item(
    "13",
    "say what it costs and whom, in eight numbers, and which of them it traded for which",
    "What a drain leaves in the stock saves a trip.",
)
def half_kept(draw):
    """A cap that leaves something."""
    keep, pages = draw.between(10, 24), draw.between(150, 300)

    def refill(st, batch, drain, cpu, memcg, nr_pages):
        stock_v4_13.refill_stock(st, batch, drain, cpu, memcg, nr_pages)
        if st.stock[cpu, 0].nr_pages > batch:
            over = st.stock[cpu, 0].nr_pages - keep
            stock_v4_13.uncharge_counters(st, cpu, memcg, over)
            stock_v4_13.css_put_many(st, cpu, memcg, over)
            st.stock[cpu, 0].nr_pages = keep

    def of(policy):
        system = System.chain(1, cpus=2, policy=policy)
        fullest, burst = _tried(system, producer_consumer(pages, memcg=1))
        return system.work().atomics, fullest, burst

    new, old = of(V4_14.with_rules("some are kept", refill=refill, bound=CHARGE_BATCH)), of(V4_14)
    more, less = "More atomics", "Fewer atomics"
    right, other = (more, less) if new[0] > old[0] else (less, more)

    def told(atomics, fullest, burst):
        bound = "as many pages in a stock at most" if fullest == old[1] else f"at most {fullest} pages in a stock"
        return f"{atomics}, {bound}, and up to {burst} pages in a drain."

    text = (
        f"Somebody changes the patch: a stock with more than 32 pages gives back all but {keep} of them. {pages} pages "
        "are charged on CPU 0 and come back on CPU 1, all one at a time. What does the change cost or save, beside "
        "Linux 4.14?"
    )
    return (
        text,
        told(right, *new[1:]),
        (
            (told(other, *new[1:]), "what stays leaves less room: the stock is full again sooner."),
            (told(right, keep, new[2]), "until it is drained again a stock still takes up to 32 pages."),
            (told(other, old[1], old[2]), "a drain takes away fewer pages than before, so there are more drains."),
        ),
    )
