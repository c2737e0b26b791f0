"""The kinds of quiz questions: each draws a small case and words it; its answer comes from running the case."""

import csv
import functools
import math

import numpy as np

from ..files import data_path
from ..mechanism.policy import UNCHARGE_ONLY, V4_13, V4_14, V6_1
from ..mechanism.records import CHARGE_BATCH, UNCHARGE_SKMEM
from ..system import System, op
from ..words import count, listing, number
from ..workload import alternating, pingpong, producer_consumer, skmem, tcp_data_queue, udp_enqueue
from .answers import amdahl
from .quiz_draw import TOPICS

KINDS = {topic: {} for topic in TOPICS}  # topic -> name -> function

YES_NO = ("yes", "no")
WHEN = {"before the patch": V4_13, "after the patch": V4_14}
OTHER = {"before the patch": V4_14, "after the patch": V4_13}
SHORT = 'Answer "yes" or "no".'
_CONTEXT = {"softirq": "in softirq, where the kernel may not wait", "task": "as a task, which may wait"}
PAGE_KIB = 4


def kind(topic):
    """Enter a kind of question: a function that takes a ``Draw`` and returns text, choices or None, and an answer.

    The answer is a function, so that nobody computes it before it is asked for: () -> (what is right, list of (what is
    wrong, which thought leads there and what it overlooks)).
    """

    def enter(function):
        KINDS[topic][function.__name__] = function
        return function

    return enter


def _levels(depth):
    return f"a cgroup {count(depth, 'level')} below the root"


def _back_and_forth(policy, pages, depth):
    """Pages come one at a time on CPU 0 and go back on CPU 1."""
    return System.chain(depth, cpus=2, policy=policy).replay(producer_consumer(pages, memcg=depth))


# --- 00 --------------------------------------------------------------------------------------------------------------
@kind("start")
def there_and_back(draw):
    """Atomics of single pages that are charged here and come back there."""
    pages, depth, when = draw.between(40, 160), draw.between(1, 5), draw.pick([*WHEN])
    text = (
        f"{pages} pages of {_levels(depth)} arrive on CPU 0, and each is given back on CPU 1, one at a time. The "
        f"stocks are empty at first. How many atomics {when}?"
    )

    def answer():
        work = _back_and_forth(WHEN[when], pages, depth)
        return work.atomics, [
            (2 * pages * (depth + 1), "one for each page, each way, each level: the stock is forgotten."),
            (_back_and_forth(OTHER[when], pages, depth).atomics, f"that is not {when}."),
            (work.atomics // (depth + 1) * depth, "the root has a counter too."),
            (work.sub, "that is giving back alone; charging goes to the counters too."),
            (work.add, "that is charging alone; what comes back goes to the counters too."),
        ]

    return text, None, answer


@kind("start")
def atomics_saved(draw):
    """How many atomics the patch saves."""
    pages, depth = draw.between(40, 160), draw.between(1, 5)
    text = (
        f"{pages} pages of {_levels(depth)} arrive on CPU 0, and each is given back on CPU 1, one at a time. The "
        "stocks are empty at first. How many atomics does the patch save?"
    )

    def answer():
        before, after = (_back_and_forth(policy, pages, depth) for policy in WHEN.values())
        return before.atomics - after.atomics, [
            (before.atomics, "that is all there were before. Charging, and draining full stocks, still takes some."),
            (before.sub, "that is giving back before the patch. After it, full stocks are still drained."),
            (pages * depth - after.sub, "the root has a counter too."),
            (after.atomics, "that is what is left after the patch."),
        ]

    return text, None, answer


@kind("start")
def drains_of_full_stocks(draw):
    """How often a stock is full when pages come back one at a time."""
    pages = draw.between(40, 250)
    text = (
        f"After the patch {pages} pages come back on CPU 1, one at a time; its stock is empty at first, and it charges "
        "nothing. How often is the stock drained?"
    )

    def answer():
        return _back_and_forth(V4_14, pages, 1).drains, [
            (pages // CHARGE_BATCH, "32 pages may stay; the 33rd drains."),
            (math.ceil(pages / (CHARGE_BATCH + 1)), "the last pages stay in the stock, as long as they are not more."),
            (math.ceil(pages / CHARGE_BATCH), "32 pages may stay, and the last few stay too."),
            (0, "a stock that holds more than 32 pages is drained."),
            (pages, "that is how often the counters were visited before the patch."),
        ]

    return text, None, answer


# --- 01 --------------------------------------------------------------------------------------------------------------
SYMBOLS = ("tcp_ack", "__fget", "__schedule", "menu_select", "enqueue_entity", "__switch_to", "page_counter_cancel")


def _percents(draw, n, top=400):
    """Percent of samples, falling, as (text, text, ...)."""
    hundredths = sorted({draw.between(20, top) for _ in range(n)}, reverse=True)
    return [f"{value // 100}.{value % 100:02d}" for value in hundredths]


def _listing(percents, names):
    return "\n".join(f"  {percent}%  [kernel]  [k] {name}" for percent, name in zip(percents, names, strict=False))


@kind("profile")
def not_listed(draw):
    """What a listing does not show."""
    shown = _listing(_percents(draw, 5), draw.shuffled(SYMBOLS))
    text = f"perf top shows these rows, in percent of all samples:\n{shown}\n   How many percent are in no row of it?"

    def answer():
        from ..perf import read_perf

        percents = read_perf(shown)["percent"]
        total = float(percents.sum())
        return 100 - total, [
            (0.0, "a listing stops somewhere: what is below the last row is not shown."),
            (total, "that is what the rows show together."),
            (float(100 - percents.max()), "each of the rows is shown, not only the first."),
        ]

    return text, None, answer


@kind("profile")
def time_saved(draw):
    """Amdahl's law."""
    share, faster = draw.between(2, 40), draw.pick([2, 4, 5, 8, 10])
    text = (
        f"A function takes {share} % of all samples. It is made {faster} times as fast, and nothing else changes. How "
        "many percent of the time are saved?"
    )

    def answer():
        return 100 * (1 - 1 / amdahl(share / 100, faster)), [
            (float(share), "it does not vanish: a part of its work stays."),
            (share / faster, "that is what stays of it, not what is saved."),
            (100 * (1 - 1 / faster), "that holds for the function alone. The rest stays as it is."),
            (100 * (amdahl(share / 100, faster) - 1), "that is how much faster it gets, in percent of the new time."),
        ]

    return text, None, answer


@kind("profile")
def booked_to(draw):
    """Atomics by function."""
    trips, depth = draw.between(1, 5), draw.between(1, 5)
    pages, where = trips * CHARGE_BATCH, draw.pick(["page_counter_try_charge", "page_counter_cancel"])
    text = (
        f"Before the patch {pages} pages of {_levels(depth)} arrive on CPU 0 and are given back on CPU 1, one at a "
        f"time. How many atomics are executed in {where}?"
    )

    def answer():
        work = _back_and_forth(V4_13, pages, depth)
        right, other = (work.add, work.sub) if where == "page_counter_try_charge" else (work.sub, work.add)
        return right, [
            (other, "that is the other function: pages are charged 32 at a time, and come back one at a time."),
            (right // (depth + 1) * depth, "the root has a counter too."),
            (right // (depth + 1), "each level up to the root is changed."),
            (work.atomics, "that is both functions together."),
        ]

    return text, None, answer


@functools.cache
def _symbols():
    with open(data_path("perf/symbols.csv"), encoding="utf-8", newline="") as file:
        return {row["symbol"]: row for row in csv.DictReader(file)}


@kind("profile")
def rows_on_the_path(draw):
    """Which functions give socket memory back."""
    known = _symbols()
    names = draw.shuffled(name for name in known if name.isidentifier())[: draw.between(5, 8)]
    text = (
        f"A profile of Linux 4.13 lists {listing(names)}. How many of these are known to give socket memory back "
        "whenever they are on that path?"
    )

    def answer():
        kinds = [known[name]["on_the_path"] for name in names]
        return kinds.count("yes"), [
            (
                kinds.count("yes") + kinds.count("cannot tell"),
                "spin locks and tcp_ack are used all over; one cannot tell.",
            ),
            (sum("page_counter" in name for name in names), "callers of the page counter give memory back as well."),
            (len(names), "the scheduler, the network card and the files have nothing to do with it."),
            (0, "page_counter_cancel and two callers above it are on the path, and one of them is here."),
        ]

    return text, None, answer


# --- 02 --------------------------------------------------------------------------------------------------------------
def _tree(draw, low=5, high=8):
    """Parents of a tree whose memcg 0 is the root."""
    return [-1] + [draw.between(max(0, node - 3), node - 1) for node in range(1, draw.between(low, high))]


def _told_tree(parents):
    return listing([f"memcg {child} is below memcg {parent}" for child, parent in enumerate(parents) if child])


def _way_up(parents, memcg):
    way = [memcg]
    while parents[way[-1]] >= 0:
        way.append(parents[way[-1]])
    return way


@kind("tree")
def atomics_of_a_charge(draw):
    """A walk up a tree."""
    parents, pages = _tree(draw), draw.between(33, 90)
    memcg = draw.between(len(parents) - 3, len(parents) - 1)
    text = (
        f"memcg 0 is the root, and {_told_tree(parents)}. {pages} pages are charged to memcg {memcg} in one call; they "
        "fit, and more than a batch is charged with its exact size. How many atomics?"
    )

    def answer():
        system = System(parents, cpus=1, policy=V4_13)
        work = system.replay(op("try_charge", cpu=0, memcg=memcg, nr=pages, ctx="task"))
        return work.atomics, [
            (work.atomics - 1, "the root has a counter too."),
            (work.atomics * pages, "one atomic adds all pages to a level."),
            (pages, "one atomic adds any number of pages; count the levels."),
            (len(parents), "only the cgroup and those above it are charged, not the whole tree."),
            (memcg, "a memcg's number is not its depth."),
        ]

    return text, None, answer


@kind("tree")
def atomics_of_a_refusal(draw):
    """A walk up that is undone."""
    depth, pages = draw.between(3, 7), draw.between(33, 90)
    at = draw.between(0, depth - 1)
    text = (
        f"A cgroup lies {depth} levels below the root. The limit at depth {at}{' (the root)' if not at else ''} is "
        f"{pages - 1} pages; no other level has one. {pages} pages are charged to it in softirq, where more than a "
        "batch is tried once, with its exact size. How many atomics until the answer is no?"
    )

    def answer():
        limits = [-1] * (depth + 1)
        limits[at] = pages - 1
        system = System.chain(depth, cpus=1, policy=V4_13, limits=limits)
        work = system.replay(op("try_charge", cpu=0, memcg=depth, nr=pages, ctx="softirq"))
        return work.atomics, [
            (work.add, "those are the additions. What was added has to be taken back."),
            (work.atomics - 1, "the level that refuses had added too, and takes its own addition back."),
            (2 * (depth + 1), "the walk ends at the level that refuses; those above it are never touched."),
            (work.atomics - 2, "the level that refuses adds before it looks at its limit."),
            (0, "a level adds first and looks afterwards."),
        ]

    return text, None, answer


@kind("tree")
def a_common_counter(draw):
    """What a counter says of all below it."""
    parents = _tree(draw, 6, 8)
    charged = {memcg: draw.between(33, 90) for memcg in sorted(draw.shuffled(range(1, len(parents)))[:3])}
    asked = draw.between(0, 2)
    told = listing([f"{pages} pages to memcg {memcg}" for memcg, pages in charged.items()])
    text = (
        f"memcg 0 is the root, and {_told_tree(parents)}. One call each charges {told}; each is more than a batch, so "
        f"exactly that is charged. What does the counter of memcg {asked} say then?"
    )

    def answer():
        system = System(parents, cpus=1, policy=V4_13)
        for memcg, pages in charged.items():
            system.try_charge(cpu=0, memcg=memcg, nr_pages=pages)
        own = charged.get(asked, 0)
        return system.usage[asked], [
            (own, "a counter knows of the pages of all cgroups below it, too."),
            (int(system.usage[asked]) - own, "a cgroup's own pages are counted as well."),
            (sum(charged.values()), "only what lies at or below this cgroup is counted."),
            (
                sum(pages for memcg, pages in charged.items() if parents[memcg] == asked),
                "not only children: what lies further below is counted as well.",
            ),
            (sum(system.usage), "each level sees the same pages once; counters are not added up."),
        ]

    return text, None, answer


@kind("tree")
def batch_then_exact_size(draw):
    """Tries of a small charge that does not fit."""
    depth, pages = draw.between(2, 7), draw.between(3, 30)
    at, ctx = draw.between(0, depth - 1), draw.pick(["softirq", "task"])
    text = (
        f"A cgroup lies {depth} levels below the root, and the limit at depth {at}{' (the root)' if not at else ''} is "
        f"{pages - 1} pages. {pages} pages are charged to it {'in softirq' if ctx == 'softirq' else 'by a task'}; "
        "nothing is charged yet, and nothing can be reclaimed. How many atomics does try_charge execute until it says "
        "no (before the patch)?"
    )

    def answer():
        limits = [-1] * (depth + 1)
        limits[at] = pages - 1

        def atomics(nr, ctx):
            system = System.chain(depth, cpus=1, policy=V4_13, limits=limits)
            return system.replay(op("try_charge", cpu=0, memcg=depth, nr=nr, ctx=ctx)).atomics

        one = atomics(CHARGE_BATCH + 1, "softirq")  # above the batch there is one try
        other = "task" if ctx == "softirq" else "softirq"
        return atomics(pages, ctx), [
            (one, "that is one try; the batch of 32 is tried first, then the exact size."),
            (atomics(pages, other), f"that is {'a task, which may wait' if other == 'task' else 'in softirq'}."),
            (atomics(pages, ctx) // 2, "those are the additions; each is taken back."),
            (atomics(CHARGE_BATCH + 1, ctx), "the try of the whole batch is missing."),
        ]

    return text, None, answer


@kind("tree")
def the_limit_that_holds(draw):
    """Setting a limit the old and the new way."""
    used, old = draw.between(40, 90), draw.between(100, 200)
    new, way = draw.between(10, 99), draw.pick(["old", "new"])
    how = "the old way (cgroup v1)" if way == "old" else "the new way (memory.max)"
    text = (
        f"{used} pages are charged to a cgroup, none of them in a stock, and its limit is {old} pages. Nothing can be "
        f"reclaimed. The limit is set to {new}, {how}. Which limit holds afterwards?"
    )

    def answer():
        def limit(way):
            system = System.chain(1, cpus=1, policy=V4_13, limits=[-1, old])
            system.try_charge(cpu=0, memcg=1, nr_pages=used)
            (system.set_limit if way == "old" else system.set_max)(cpu=0, memcg=1, nr_pages=new)
            return int(system.snapshot()["limit"][1])

        return limit(way), [
            (limit("new" if way == "old" else "old"), f"that is not {how}."),
            (used, "a limit is not moved to what is charged."),
            (new, "the old way looks first, and refuses a limit below what is charged."),
            (old, "the new way sets the limit at once."),
            (CHARGE_BATCH * math.ceil(new / CHARGE_BATCH), "limits are not rounded to batches."),
        ]

    return text, None, answer


@kind("tree")
def forced(draw):
    """What a socket's charge leaves behind that did not fit."""
    limit, pages = draw.between(5, 40), draw.between(1, 30)
    text = (
        f"A cgroup may have {limit} pages, and sockets use all of them; the stock is empty. Another {pages} pages are "
        f"charged with mem_cgroup_charge_skmem in softirq. What does the counter say afterwards?"
    )

    def answer():
        system = System.chain(1, cpus=1, policy=V4_13, limits=[-1, limit])
        system.charge_skmem(cpu=0, memcg=1, nr_pages=limit)
        system.drain_local_stock(cpu=0)
        system.charge_skmem(cpu=0, memcg=1, nr_pages=pages)
        return system.usage[1], [
            (limit, "socket pages are forced in the end: the answer is no, and they are charged all the same."),
            (limit + CHARGE_BATCH, "a forced charge takes the exact size, not a batch."),
            (pages, "what was charged before is still charged."),
            (limit + 2 * pages, "what the refused try added has been taken back."),
        ]

    return text, None, answer


# --- 03 --------------------------------------------------------------------------------------------------------------
def _charges(draw, n, high=30):
    return [draw.between(1, high) for _ in range(n)]


def _charged(sizes, policy=V4_13, memcg=1):
    system = System.chain(1, cpus=1, policy=policy)
    for pages in sizes:
        system.charge_skmem(cpu=0, memcg=memcg, nr_pages=pages)
    return system


def _told_sizes(sizes):
    return f"{listing(sizes)} pages" if len(sizes) > 1 else count(sizes[0], "page")


@kind("stock")
def left_after_charges(draw):
    """What a stock holds after some charges."""
    sizes = _charges(draw, draw.between(2, 4))
    text = (
        f"A CPU with an empty stock charges {_told_sizes(sizes)} to one cgroup, in {len(sizes)} calls. How many pages "
        "are in its stock then?"
    )

    def answer():
        system = _charged(sizes)
        total = sum(sizes)
        return system.stock[0].nr_pages, [
            (
                -total % CHARGE_BATCH,
                "a stock is not filled up: a charge it cannot serve leaves it alone and takes a batch.",
            ),
            (CHARGE_BATCH - sizes[-1], "what earlier batches left is still there."),
            (total, "the pages asked for are handed out; what is left of the batches stays."),
            (CHARGE_BATCH - 1, "that is what a charge of one page leaves."),
            (0, "a trip takes a whole batch, and what nobody asked for stays."),
            (CHARGE_BATCH, "who asks takes pages out at once."),
        ]

    return text, None, answer


@kind("stock")
def trips_of_charges(draw):
    """Trips to the counters."""
    sizes = _charges(draw, draw.between(4, 7), 20)
    text = (
        f"A CPU with an empty stock charges {_told_sizes(sizes)} to one cgroup, in {len(sizes)} calls. How many of the "
        "calls go to the counters?"
    )

    def answer():
        return _charged(sizes).work().stock_misses, [
            (len(sizes), "a call that finds enough pages in the stock goes nowhere."),
            (
                math.ceil(sum(sizes) / CHARGE_BATCH),
                "a stock serves all or nothing; what it holds is not used up first.",
            ),
            (_charged(sizes).work().stock_hits, "those are the calls that the stock serves."),
            (1, "one trip brings 32 pages, not pages for ever."),
            (0, "the stock is empty at first."),
        ]

    return text, None, answer


@kind("stock")
def counter_after_charges(draw):
    """What the counter says, stock and all."""
    sizes = _charges(draw, draw.between(3, 5))
    text = (
        f"A CPU with an empty stock charges {_told_sizes(sizes)} to one cgroup that had none, in {len(sizes)} calls. "
        "What does the cgroup's counter say then?"
    )

    def answer():
        system = _charged(sizes)
        total = sum(sizes)
        return system.usage[1], [
            (total, "the counter also counts what lies in the stock."),
            (CHARGE_BATCH * len(sizes), "a call that the stock serves charges nothing."),
            (
                CHARGE_BATCH * math.ceil(total / CHARGE_BATCH),
                "a stock serves all or nothing, so it takes more batches.",
            ),
            (system.stock[0].nr_pages, "that is what is in the stock; what is in use is charged as well."),
        ]

    return text, None, answer


@kind("stock")
def whose_stock(draw):
    """Who owns the stock, and how much of it, when cgroups meet on a CPU."""
    calls = [(draw.between(1, 3), draw.between(1, 25)) for _ in range(draw.between(3, 5))]
    told = listing([f"{count(pages, 'page')} to memcg {memcg}" for memcg, pages in calls])
    text = (
        f"memcg 1, 2 and 3 lie side by side. A CPU with an empty stock charges {told}. How many pages are in its stock "
        "then?"
    )

    def answer():
        system = System.siblings(3, cpus=1, policy=V4_13)
        for memcg, pages in calls:
            system.charge_skmem(cpu=0, memcg=memcg, nr_pages=pages)
        last = calls[-1][0]
        alone = _charged([pages for memcg, pages in calls if memcg == last])
        everybody = _charged([pages for _, pages in calls])
        return system.stock[0].nr_pages, [
            (alone.stock[0].nr_pages, "another cgroup's charge in between drained what was there."),
            (everybody.stock[0].nr_pages, "a stock holds pages of one cgroup; they serve no other."),
            (CHARGE_BATCH - calls[-1][1], "pages of the same cgroup stay when it charges again."),
            (
                sum(CHARGE_BATCH - pages for _, pages in calls),
                "what belongs to another cgroup is drained before a batch comes in.",
            ),
            (0, "what is left of the last batch stays."),
        ]

    return text, None, answer


@kind("stock")
def drains_in_turns(draw):
    """Two cgroups take turns."""
    cgroups, calls = draw.between(2, 4), draw.between(5, 60)
    text = (
        f"{cgroups} cgroups take turns on one CPU and charge one page each time, {calls} calls in all. The stock is "
        "empty at first. How often is it drained?"
    )

    def answer():
        ops = alternating(calls, memcgs=range(1, cgroups + 1))[:calls]
        work = System.siblings(cgroups, cpus=1, policy=V4_13).replay(ops)
        return work.drains, [
            (calls, "the first call finds an empty stock."),
            (calls // cgroups, "each change of the cgroup drains, not each round."),
            (0, "a stock holds pages of one cgroup only."),
            (work.stock_misses + 1, "no more often than another cgroup comes."),
        ]

    return text, None, answer


@kind("stock")
def all_or_nothing(draw):
    """May a charge take what is there?"""
    first, second = draw.between(5, 31), draw.between(2, 31)
    text = (
        f"A CPU with an empty stock charges {count(first, 'page')} to a cgroup, then {second} more. How many pages "
        "does the second call take out of the stock?"
    )

    def answer():
        there = _charged([first]).stock[0].nr_pages
        system = _charged([first])
        before = int(system.usage[1])
        system.charge_skmem(cpu=0, memcg=1, nr_pages=second)
        served = second if int(system.usage[1]) == before else 0
        return served, [
            (min(there, second), "a stock with too few pages serves nothing: all or nothing."),
            (second, "there are fewer pages in the stock than that."),
            (0, "the stock holds enough, so it serves all of them."),
            (there, "it takes what it asks for, no more, and only if all of it is there."),
            (CHARGE_BATCH, "that is what a trip to the counters brings."),
        ]

    return text, None, answer


# --- 04 --------------------------------------------------------------------------------------------------------------
def _given_back(policy, sizes, depth=1):
    """Pages of one cgroup come back on CPU 1, whose stock is empty."""
    system = System.chain(depth, cpus=2, policy=policy)
    system.charge_skmem(cpu=0, memcg=depth, nr_pages=sum(sizes) + CHARGE_BATCH)
    before = system.work()
    for pages in sizes:
        system.uncharge_skmem(cpu=1, memcg=depth, nr_pages=pages)
    return system, system.work() - before


@kind("patch")
def stock_after_giving_back(draw):
    """What is in the stock after pages came back."""
    sizes = [draw.between(1, 25) for _ in range(draw.between(3, 6))]
    text = (
        f"After the patch {_told_sizes(sizes)} of one cgroup come back on a CPU with an empty stock, in {len(sizes)} "
        "calls. How many pages are in its stock then?"
    )

    def answer():
        total = sum(sizes)
        return _given_back(V4_14, sizes)[0].stock[1].nr_pages, [
            (min(total, CHARGE_BATCH), "the stock is emptied wholly, not down to 32."),
            (total, "above 32 pages the stock is drained; that is what the cap does."),
            (total % CHARGE_BATCH, "a drain takes all there is, a whole call on top."),
            (total % (CHARGE_BATCH + 1), "a drain waits for a whole call, so it takes more than 33 pages."),
            (0, "before the patch none would be; after it up to 32 may stay."),
            (sizes[-1], "what earlier calls brought is still there, as long as all of it may stay."),
            (CHARGE_BATCH, "that is the most that may stay; nothing fills a stock up to it."),
        ]

    return text, None, answer


@kind("patch")
def first_call_that_drains(draw):
    """Which call drains first."""
    pages, found = draw.between(2, 32), draw.between(0, 20)
    text = (
        f"After the patch pages of one cgroup come back on a CPU, {pages} in each call; {found} of this cgroup are in "
        "its stock. Which call is the first to drain it?"
    )

    def answer():
        sizes = [found] if found else []
        calls = next(n for n in range(1, 40) if _given_back(V4_14, sizes + [pages] * n)[1].drains)
        return calls, [
            (math.ceil((CHARGE_BATCH - found) / pages), "32 pages may stay; `>` is not `>=`."),
            (math.ceil((CHARGE_BATCH + 1) / pages), "the pages that are there already count too."),
            (calls - 1, "after that call no more than 32 pages are there."),
            (calls + 1, "the stock is drained as soon as it holds more than 32."),
            (1, "before the patch each call went to the counters; after it a stock may hold 32 pages."),
        ]

    return text, None, answer


@kind("patch")
def cost_of_giving_back(draw):
    """Atomics of many calls of one size."""
    pages, calls, depth = draw.between(2, 40), draw.between(20, 90), draw.between(1, 5)
    text = (
        f"After the patch pages of {_levels(depth)} come back on a CPU with an empty stock, {pages} in each call, "
        f"{calls} calls. How many atomics do these calls execute?"
    )

    def answer():
        atomics = _given_back(V4_14, [pages] * calls, depth)[1].atomics
        return atomics, [
            (calls * (depth + 1), "that is before the patch, or with more than 32 pages in a call."),
            (
                calls * pages // (CHARGE_BATCH + 1) * (depth + 1),
                "a drain waits for a whole call, it is not at 33 pages.",
            ),
            (calls * pages // CHARGE_BATCH * (depth + 1), "32 pages may stay, and then a whole call comes on top."),
            (atomics // (depth + 1) * depth, "the root has a counter too."),
            (atomics // (depth + 1), "each drain subtracts at every level."),
            (0, "the stock itself needs none, but draining it does."),
        ]

    return text, None, answer


@kind("patch")
def without_the_cap(draw):
    """The second hunk alone."""
    pages, calls = draw.between(2, 12), draw.between(10, 60)
    text = (
        f"Take the second hunk alone, without the cap. {calls} calls bring {count(pages, 'page')} each of one cgroup "
        "back on a CPU with an empty stock; it charges nothing. How many pages are in its stock then?"
    )

    def answer():
        sizes = [pages] * calls
        return _given_back(UNCHARGE_ONLY, sizes)[0].stock[1].nr_pages, [
            (CHARGE_BATCH, "that is what the cap lets stay; the cap is taken away."),
            (_given_back(V4_14, sizes)[0].stock[1].nr_pages, "that is with the cap."),
            (_given_back(V4_13, sizes)[0].stock[1].nr_pages, "that is before the patch."),
            (calls, "each call brings more than one page."),
        ]

    return text, None, answer


@kind("patch")
def two_cgroups_on_a_cpu(draw):
    """When the patch costs more."""
    pairs, depth, when = draw.between(5, 60), draw.between(1, 3), draw.pick([*WHEN])
    text = (
        f"Two cgroups, each {count(depth, 'level')} below the root in a branch of its own, meet on CPU 0, whose stock "
        f"is empty: the first charges a page, a page of the second comes back, and so on, {pairs} times. How many "
        f"atomics {when}?"
    )

    def answer():
        parents = [-1] + [0, 0] + [node - 2 for node in range(3, 2 * depth + 1)]

        def work(policy):
            system = System(parents, cpus=2, policy=policy)
            one, two = len(parents) - 2, len(parents) - 1
            system.charge_skmem(cpu=1, memcg=two, nr_pages=CHARGE_BATCH + pairs)
            charge, back = op("charge_skmem", cpu=0, memcg=one, nr=1), op("uncharge_skmem", cpu=0, memcg=two, nr=1)
            return system.replay(np.tile(np.concatenate([charge, back]), pairs))

        right = work(WHEN[when])
        return right.atomics, [
            (work(OTHER[when]).atomics, f"that is not {when}."),
            (right.add, "that is charging alone."),
            (right.sub, "that is what is subtracted; charging costs as well."),
            (3 * pairs * (depth + 1), "the first charge finds an empty stock, so there is nothing to drain yet."),
            (2 * pairs * (depth + 1), "that is one for each page and level; drains and batches are forgotten."),
        ]

    return text, None, answer


@kind("patch")
def lumps_saved(draw):
    """What the patch saves with lumps."""
    pages, calls, depth = draw.between(2, 40), draw.between(20, 60), draw.between(1, 4)
    text = (
        f"Pages of {_levels(depth)} come back on a CPU with an empty stock, {pages} in each call, {calls} calls. How "
        "many atomics does the patch save?"
    )

    def answer():
        before, after = (_given_back(policy, [pages] * calls, depth)[1].atomics for policy in WHEN.values())
        return before - after, [
            (before, "that is all of them; full stocks are drained."),
            (after, "that is what is left."),
            (0, "a call that may stay in the stock costs nothing."),
            ((before - after) // (depth + 1) * depth, "the root has a counter too."),
            (calls, "a call that drains saves nothing, and one that does not saves an atomic at every level."),
        ]

    return text, None, answer


# --- 05 --------------------------------------------------------------------------------------------------------------
def _drift(system, memcg=1):
    return int(system.usage[memcg] - system.sock[memcg])


def _filled(policy, cpus, depth):
    system = System.chain(depth, cpus=cpus, policy=policy)
    for cpu in range(cpus):
        system.charge_skmem(cpu=cpu, memcg=depth, nr_pages=1)
        if policy is V4_14:
            system.uncharge_skmem(cpu=cpu, memcg=depth, nr_pages=1)
    return _drift(system, depth)


@kind("drift")
def the_bound(draw):
    """How far a counter can be ahead."""
    cpus, depth, when = draw.between(2, 128), draw.between(1, 6), draw.pick([*WHEN])
    text = (
        f"{cpus} CPUs, and {_levels(depth)}. Operations come one after the other. By how many pages can its counter be "
        f"ahead of what is in use, {when}, if sockets alone use memory?"
    )

    def answer():
        right = _filled(WHEN[when], cpus, depth)
        return right, [
            (_filled(OTHER[when], cpus, depth), f"that is not {when}: only giving back into a stock makes it 32."),
            (right * (depth + 1), "depth does not multiply: each level sees the same pages once."),
            (right * depth, "depth does not multiply: each level sees the same pages once."),
            (cpus * (CHARGE_BATCH + 1), "with 33 pages a stock is drained."),
            (CHARGE_BATCH, "that is one CPU's stock."),
            (0, "the counter counts what is in the stocks, too."),
        ]

    return text, None, answer


@kind("drift")
def drift_of_a_story(draw):
    """Drift after a few calls on several CPUs."""
    cpus = draw.between(2, 4)
    charges = [draw.between(1, 40) for _ in range(cpus)]
    back = draw.between(1, sum(charges) - 1)
    on = draw.between(0, cpus - 1)
    told = listing([f"CPU {cpu} charges {pages}" for cpu, pages in enumerate(charges)])
    text = (
        f"After the patch, all stocks empty: {told} pages to one cgroup, each in one call. Then {count(back, 'page')} "
        f"of them come back on CPU {on}, in one call. By how many pages is the counter ahead of what is in use?"
    )

    def answer():
        def story(policy):
            system = System.chain(1, cpus=cpus, policy=policy)
            for cpu, pages in enumerate(charges):
                system.charge_skmem(cpu=cpu, memcg=1, nr_pages=pages)
            system.uncharge_skmem(cpu=on, memcg=1, nr_pages=back)
            return system

        system = story(V4_14)
        return _drift(system), [
            (_drift(story(V4_13)), "that is before the patch: what came back went to the counters."),
            (_drift(story(UNCHARGE_ONLY)), "that is without the cap: a stock with more than 32 pages is drained."),
            (int(system.usage[1]), "that is the counter. What is in use is to be taken off."),
            (cpus * CHARGE_BATCH, "that is the bound; the stocks are not all full."),
            (0, "the counter counts what is in the stocks, too."),
        ]

    return text, None, answer


@kind("drift")
def does_it_fit(draw):
    """A limit bites too early."""
    cpus = draw.between(1, 4)
    limit = cpus * CHARGE_BATCH + draw.between(20, 100)
    pages = max(CHARGE_BATCH + 1, limit - cpus * CHARGE_BATCH + draw.between(-30, 40 * cpus))
    ctx = draw.pick(["softirq", "task"])
    text = (
        f"A cgroup may have {limit} pages. {count(cpus, 'CPU')} with empty stocks charged one page each. Another CPU "
        f"needs {pages} pages at once, {_CONTEXT[ctx]}; nothing can be reclaimed. Do they fit? {SHORT}"
    )

    def answer():
        system = System.chain(1, cpus=cpus + 1, policy=V4_14, limits=[-1, limit])
        for cpu in range(cpus):
            system.charge_skmem(cpu=cpu, memcg=1, nr_pages=1)
        fits = system.try_charge(cpu=cpus, memcg=1, nr_pages=pages, ctx=ctx) == 0
        why = {
            True: "the counter has room for them, or a task has the stocks drained and then it has.",
            False: (
                "the stocks hold pages that are counted, and in softirq nobody drains them; or it is too much anyway."
            ),
        }[fits]
        return YES_NO[not fits], [(YES_NO[fits], why)]

    return text, YES_NO, answer


@kind("drift")
def refused_packets(draw):
    """One refused try pays for the next."""
    packets, pages, when = draw.between(3, 20), draw.between(1, 40), draw.pick([*WHEN])
    limit = draw.between(33, 60)
    text = (
        f"The limit is {limit} pages, all are in use, and the stock is empty. {packets} UDP packets of "
        f"{count(pages, 'page')} arrive one after the other on one CPU, in softirq. A refused one is dropped, the "
        f"others are read at once; either way the pages are given back. How many are refused {when}?"
    )

    def answer():
        def refused(policy):
            system = System.chain(1, cpus=1, policy=policy, limits=[-1, limit])
            system.charge_skmem(cpu=0, memcg=1, nr_pages=limit)
            refused = 0
            for _ in range(packets):
                refused += not system.charge_skmem(cpu=0, memcg=1, nr_pages=pages)
                system.uncharge_skmem(cpu=0, memcg=1, nr_pages=pages)
            return refused

        return refused(WHEN[when]), [
            (refused(OTHER[when]), f"that is not {when}, or not with packets of this size."),
            (0, "the first finds no stock to pay from."),
            (1, "what is given back pays for the next packet only if it may stay in the stock."),
            (packets, "what a refused packet gives back may stay in the stock, and the next takes it."),
            (packets // 2, "each packet gives back what it took, so the next finds the same."),
        ]

    return text, None, answer


@kind("drift")
def dropped_packets(draw):
    """UDP asks once, TCP twice."""
    packets, pages = draw.between(3, 30), draw.between(2, 12)
    limit, protocol, when = draw.between(pages, 30), draw.pick(["UDP", "TCP"]), draw.pick([*WHEN])
    text = (
        f"The limit is {limit} pages, and all are in the receive queue of a {protocol} socket. {packets} packets of "
        f"{pages} pages arrive in softirq on one CPU; nobody reads, and pruning frees nothing. How many are dropped "
        f"{when}?"
    )

    def answer():
        def dropped(protocol, policy):
            receive = {"UDP": udp_enqueue, "TCP": tcp_data_queue}[protocol]
            system = System.chain(1, cpus=1, policy=policy, limits=[-1, limit], sockets=[1])
            receive(system, cpu=0, sk=0, nr_bytes=limit * 4096)
            return [receive(system, cpu=0, sk=0, nr_bytes=pages * 4096) for _ in range(packets)].count(False)

        other = "TCP" if protocol == "UDP" else "UDP"
        return dropped(protocol, WHEN[when]), [
            (dropped(other, WHEN[when]), f"that is {other}: UDP asks once, TCP asks again in the same call."),
            (dropped(protocol, OTHER[when]), f"that is not {when}."),
            (packets, "what a refused try leaves in the stock pays for the next."),
            (0, "before the patch nothing stays in the stock, and UDP asks only once."),
            (1, "a packet that fits stays here, so the stock is empty for the next."),
        ]

    return text, None, answer


@kind("drift")
def drift_in_kib(draw):
    """Pages as memory."""
    cpus, cgroups = draw.between(2, 64), draw.between(1, 3)
    text = (
        f"{cpus} CPUs, and {count(cgroups, 'cgroup')} of sockets. A page is 4 KiB. How many KiB lie in the stocks at "
        "most after the patch, of all cgroups together?"
    )

    def answer():
        pages = _filled(V4_14, cpus, 1)
        return pages * PAGE_KIB, [
            (pages, "that is pages; a page is 4 KiB."),
            (pages * PAGE_KIB * cgroups, "a stock holds pages of one cgroup: cgroups do not multiply, CPUs do."),
            (_filled(V4_13, cpus, 1) * PAGE_KIB, "that is before the patch: 31 pages a CPU."),
            (CHARGE_BATCH * PAGE_KIB, "that is one CPU's stock."),
            (cpus * 33 * PAGE_KIB, "with 33 pages a stock is drained."),
        ]

    return text, None, answer


# --- 06 --------------------------------------------------------------------------------------------------------------
def _visits(order, topology, version="v4.13"):
    """A run in which CPUs execute one atomic each on one counter, one after the other; then they read its parent."""
    from ..machine import LAYOUTS, simulate

    apart, last, gaps = 100_000, {}, []  # ns; no two meet
    for k, cpu in enumerate(order, start=1):
        gaps.append((k - last.get(cpu, 0)) * apart)
        last[cpu] = k
    return simulate(
        System([-1], cpus=max(order) + 1, policy=V4_13, root=None),
        skmem(UNCHARGE_SKMEM, len(order), cpu=order, memcg=0, nr_pages=1),
        think_ns=gaps,
        think="fixed",
        topology=topology,
        layout=LAYOUTS[version].with_words("the counter alone", memory_allocated=False, pressure_walks=0),
        duration_ns=(len(order) + 2) * apart,
        warm_up=0,
        repeat=False,
    )


def _order(draw, cpus, n):
    return [draw.between(0, cpus - 1) for _ in range(n)]


@kind("lines")
def one_line(draw):
    """False sharing."""
    name, one = draw.pick(["v4.13", "v5.12", "v6.1"]), draw.pick(["count", "limit", "parent", "watermark", "failcnt"])
    other = draw.pick([word for word in ("count", "limit", "parent", "watermark", "failcnt") if word != one])
    counts = draw.pick(["a page counter", "the page counter of a cgroup", "a cgroup's counter"])
    text = (
        f"As {counts} was laid out in {name}, one CPU changes `{one}` and another reads `{other}`. Does the reader "
        f"have to fetch the line again? {SHORT}"
    )

    def answer():
        from ..machine import LAYOUTS

        same = LAYOUTS[name].shares(one, other)
        why = "the two words lie on one line." if same else "the two words lie on different lines."
        return YES_NO[not same], [(YES_NO[same], why)]

    return text, YES_NO, answer


@kind("lines")
def journeys(draw):
    """How often a line travels."""
    order = _order(draw, draw.between(2, 4), draw.between(5, 9))
    text = (
        f"CPUs {listing(order)} execute an atomic on one counter, one after the other in this order. The line is in "
        "memory at first. How often does it travel from one CPU to another?"
    )

    def answer():
        from ..machine import Topology
        from ..machine.coherence import ATOMICS, BY_FAR, BY_SMT

        run = _visits(order, Topology.uniform(max(order) + 1, transfer_ns=100))
        line = run.traffic[-1]
        return int(line[BY_SMT : BY_FAR + 1].sum()), [
            (int(line[ATOMICS]), "an atomic on a line that its CPU owns needs no journey."),
            (int(line[ATOMICS]) - 1, "who comes twice in a row owns the line already."),
            (len(set(order)) - 1, "a CPU that comes back has to fetch the line again."),
            (len(set(order)), "the line comes from memory at first, and a CPU that comes back fetches it again."),
            (0, "an atomic needs the line, and only one CPU owns it."),
        ]

    return text, None, answer


@kind("lines")
def copies_of_a_line(draw):
    """Who reads keeps a copy, until somebody writes."""
    order = _order(draw, draw.between(3, 5), draw.between(5, 9))
    text = (
        f"As the page counter was laid out in v6.1, `parent` lies on a line that nobody writes. CPUs {listing(order)} "
        "each give a page back before the patch, one after the other in this order, and read `parent` once. How often "
        "does a CPU have to fetch that line?"
    )

    def answer():
        from ..machine import Topology
        from ..machine.coherence import ATOMICS, BY_FAR, BY_SMT, LOADS

        run = _visits(order, Topology.uniform(max(order) + 1, transfer_ns=100), "v6.1")
        of_count = next(line for line in run.traffic if line[ATOMICS])
        return int(run.traffic[:, LOADS].sum()), [
            (len(order), "who has read it has a copy, and that stays valid as long as nobody writes."),
            (int(of_count[BY_SMT : BY_FAR + 1].sum()), "that is the line of `count`, which each of them writes."),
            (max(order) + 1, "only CPUs that read it fetch it."),
            (len(set(order)) - 1, "the first has to fetch it too, from memory."),
            (1, "a copy is for the CPU that fetched it; each needs its own."),
            (0, "a load is free only where there is a valid copy."),
        ]

    return text, None, answer


@kind("lines")
def time_of_visits(draw):
    """What a row of atomics takes."""
    order = _order(draw, draw.between(2, 4), draw.between(5, 8))
    way, local = draw.between(4, 25) * 10, draw.between(4, 12)
    text = (
        f"CPUs {listing(order)} execute an atomic on one counter, one after the other in this order. The line's way "
        f"from one CPU to another takes {way} ns, the atomic itself {local} ns; at first the line is at CPU "
        f"{order[0]}. How many ns do all of them take together?"
    )

    def answer():
        from ..machine import Topology
        from ..machine.coherence import OCCUPIED

        run = _visits(order, Topology.uniform(max(order) + 1, transfer_ns=way, local_ns=local))
        right, n = int(run.traffic[-1, OCCUPIED]) // 1000, len(order)  # the run counts picoseconds
        changes = sum(one != other for one, other in zip(order, order[1:], strict=False))
        return right, [
            (n * (way + local), "an atomic on a line that its CPU owns needs no journey."),
            (changes * way, "the atomics themselves take time as well."),
            (n * local, "the line has to travel where another CPU had it."),
            (right + way, "at first the line is there already."),
            ((len(set(order)) - 1) * way + n * local, "a CPU that comes back has to fetch the line again."),
        ]

    return text, None, answer


@kind("lines")
def way_between_two_cpus(draw):
    """Where CPUs sit."""
    cores = draw.pick([4, 6, 8, 10, 12, 14, 16])
    smt, same, cross = draw.between(6, 13), draw.between(25, 70), draw.between(90, 180)
    one = draw.between(0, 4 * cores - 1)
    other = draw.pick([(one + 2 * cores) % (4 * cores), draw.between(0, 4 * cores - 1), (one + cores) % (4 * cores)])
    other = (one + 1) % (4 * cores) if other == one else other
    text = (
        f"Two packages, {cores} cores each, two threads a core. CPUs are numbered as Linux does: one thread of every "
        f"core, package by package, then the second threads in the same order. A line's way takes {smt} ns within a "
        f"core, {same} ns within a package, {cross} ns between packages. How many ns from CPU {one} to CPU {other}?"
    )

    def answer():
        from ..machine import Topology

        machine = Topology("a quiz", 2, cores, 2, smt, same, cross, 5)
        return int(machine.ways_ns(4 * cores)[one, other]), [
            (smt, "only the second thread of the same core is so near; that is 2 × the cores of a package further on."),
            (same, "they are not two cores of one package: count from 0, and the second threads begin again."),
            (cross, "they sit in one package: after the second package the threads of the first begin again."),
            (0, "they are two CPUs."),
        ]

    return text, None, answer


@kind("lines")
def full_line(draw):
    """When a line is never free."""
    think, visit = draw.between(4, 60) * 50, draw.pick([20, 25, 40, 50, 100])
    text = (
        f"Each CPU works for {number(think)} ns, then visits one line for {visit} ns, again and again. From how many "
        "CPUs on is the line never free, if the visits are spread evenly?"
    )

    def answer():
        right = _full(think, visit, V4_13)
        return right, [
            (math.ceil(think / visit), "the visit is part of a CPU's round."),
            (right + 1, "one CPU fewer does it already."),
            (right - 1, "then the line is free for a moment in each round."),
            (think + visit, "that is a round in ns; how many visits fit into it?"),
            (2, "most of the time each of two CPUs works, and the line is free."),
        ]

    return text, None, answer


def _full(think, visit, policy):
    """The smallest number of CPUs whose visits fill their round; before each page a CPU works ``think`` ns."""
    return math.ceil((_pages_to_a_visit(policy) * think + visit) / visit)


@functools.cache
def _pages_to_a_visit(policy):
    """How many single pages come back from one visit of the counters to the next."""
    return next(n for n in range(1, 99) if _given_back(policy, [1] * n)[1].atomics)


# --- 07 --------------------------------------------------------------------------------------------------------------
@kind("after")
def rescaled(draw):
    """The rest of a smaller whole."""
    vanished, share = draw.between(200, 3000), draw.between(50, 1500)
    text = (
        f"A function with {vanished / 100:.2f} % of all samples vanishes, and nothing else changes. Another one had "
        f"{share / 100:.2f} %. How many percent has it now?"
    )

    def answer():
        gone, had = vanished / 10_000, share / 100
        return had * amdahl(gone, 1e18), [
            (had, "shares add up to 100: what is gone makes the rest a larger part."),
            (had * (1 - gone), "the whole gets smaller, so its share grows; divide."),
            (had + vanished / 100, "what is gone is not given to one function."),
            (had * (1 + gone), "that is near for a small share; divide by what is left."),
        ]

    return text, None, answer


@kind("after")
def gone_at_least(draw):
    """What is no longer listed may still be there."""
    names = draw.shuffled(SYMBOLS)
    before = _percents(draw, 5)
    before = [*before, "0.19", "0.18"][: max(5, len(before))]
    old = _listing(before, names)
    stay = [k for k in range(len(before)) if k not in (0, 2)]
    new = _listing([before[k] for k in stay], [names[k] for k in stay])
    text = (
        f"Before:\n{old}\n   After:\n{new}\n   What is below the lowest row is not listed. How many percent did "
        f"{names[0]} and {names[2]} lose together at least, of all samples?"
    )

    def answer():
        from ..perf import compare

        change = compare(old, new)
        return change.gone_at_least, [
            (change.gone_at_most, "that is at most: each may still have a little less than the lowest row."),
            (0.0, "both were above the lowest row that is listed now."),
            (float(before[0]), "that is one of them, wholly."),
            (float(before[0]) + float(before[2]) - float(before[-1]), "each of the two may have that much left."),
        ]

    return text, None, answer


# --- 08 --------------------------------------------------------------------------------------------------------------
@kind("contention")
def full_after_the_patch(draw):
    """Batching moves the wall."""
    think, visit = draw.between(2, 30) * 100, draw.pick([20, 25, 40, 50, 100])
    text = (
        f"After the patch CPUs give single pages back, at one level: each works for {number(think)} ns before every "
        f"page, and visits the line for {visit} ns once in 33 pages. From how many CPUs on is the line never free, if "
        "the visits are spread evenly?"
    )

    def answer():
        right = _full(think, visit, V4_14)
        return right, [
            (_full(think, visit, V4_13), "that is before the patch, with a visit for every page."),
            (33 * _full(think, visit, V4_13), "a CPU pays for its visit once in 33 pages, not each time."),
            (math.ceil(33 * think / visit), "its own visit belongs to a CPU's round."),
            (math.ceil((32 * think + visit) / visit), "32 pages may stay; the 33rd drains."),
            (33, "that is how many pages come back between two visits."),
        ]

    return text, None, answer


@kind("contention")
def most_in_a_microsecond(draw):
    """What a line can serve."""
    think, visit = draw.between(5, 20) * 100, draw.pick([20, 25, 40, 50, 100])
    cpus = draw.between(2, 5) * (think // visit + 1)
    text = (
        f"{cpus} CPUs: each works for {number(think)} ns, then visits one line for {visit} ns. How many operations can "
        "they finish in a microsecond at most, all together?"
    )

    def answer():
        from ..machine import closed_loop

        def total(method, clients):
            one = closed_loop(
                clients=clients, think_ns=think, visit_ns=visit, policy=V4_13, traffic="uncharge", method=method
            )
            return round(clients * one.throughput)

        return total("mva", 1024), [  # so many that the line is never free
            (total("additive", cpus), "that is if nobody waited; the line serves one at a time."),
            (round(1000 * cpus / visit), "the line serves one at a time."),
            (round(1000 / visit * cpus / (cpus + 1)), "with so many CPUs the line is never free."),
            (1, "the line serves one visit after the other, and many fit into a microsecond."),
        ]

    return text, None, answer


@kind("contention")
def visits_to_the_root(draw):
    """All CPUs meet at the root."""
    cpus, depth, pairs = draw.between(2, 8), draw.between(1, 5), draw.between(3, 20)
    when = draw.pick([*WHEN])
    text = (
        f"{cpus} CPUs with empty stocks, each with a cgroup of its own, {depth} levels below the root. Each charges a "
        f"page and gives it back, {pairs} times. How many atomics on the counter of the root {when}?"
    )

    def answer():
        def work(policy):
            parents = [-1, *([0] * cpus), *range(1, cpus * (depth - 1) + 1)]
            system = System(parents, cpus=cpus, policy=policy)
            first = 1 + cpus * (depth - 1)
            return sum(system.replay(pingpong(pairs, memcg=first + cpu, cpu=cpu)).atomics for cpu in range(cpus))

        total, other = work(WHEN[when]), work(OTHER[when])
        return total // (depth + 1), [
            (total, "that is on all levels; each walk changes the root once."),
            (other // (depth + 1), f"that is not {when}."),
            (2 * cpus * pairs, "that is each page both ways: charging is batched."),
            (cpus * pairs, "that is giving back alone, page by page."),
            (total // (depth + 1) // cpus, "each CPU comes to the root; it is one line for all."),
        ]

    return text, None, answer


@kind("contention")
def the_wall_behind(draw):
    """The counter of all sockets."""
    cpus, pairs = draw.between(1, 4), draw.between(2, 8)
    when = draw.pick([*WHEN])
    text = (
        f"With the lines of 4.13, {count(cpus, 'CPU')} with empty stocks charge a page of a cgroup one level below the "
        f"root and give it back, {pairs} times each. How many atomics on `memory_allocated`, the counter of all "
        f"sockets, {when}?"
    )

    def answer():
        from ..machine import Topology, simulate
        from ..machine.coherence import ATOMICS

        def run(policy):
            return simulate(
                System.chain(1, cpus=cpus, policy=policy),
                np.concatenate([pingpong(pairs, memcg=1, cpu=cpu) for cpu in range(cpus)]),
                think="fixed",
                topology=Topology.uniform(cpus, transfer_ns=50),
                warm_up=0,
                repeat=False,
            )

        this = run(WHEN[when])
        return int(this.traffic[0, ATOMICS]), [
            (int(this.traffic[1:, ATOMICS].sum()), "those are the atomics on the cgroup's counters."),
            (cpus * pairs, "charging executes one there as well as giving back."),
            (cpus, "no stock stands before this counter; the patch does not touch it."),
            (0, "each charge and each uncharge executes one there, before the patch and after it."),
        ]

    return text, None, answer


@kind("contention")
def fewer_levels(draw):
    """A remedy: atomics by depth."""
    deep, pages = draw.between(3, 9), draw.between(40, 120)
    shallow = draw.between(1, deep - 1)
    text = (
        f"Before the patch {pages} pages come and go, one at a time, charged on CPU 0 and given back on CPU 1. The "
        f"cgroup moves from {deep} levels below the root to {shallow}. How many atomics fewer?"
    )

    def answer():
        before, after = (_back_and_forth(V4_13, pages, depth).atomics for depth in (deep, shallow))
        return before - after, [
            (2 * pages * (deep - shallow), "charging is batched: it is not one for each page."),
            (pages * (deep - shallow), "charging goes to the counters as well, once for a batch."),
            (after, "that is what is left."),
            (before, "the levels that stay, and the root, still cost."),
            (before - before * shallow // deep, "the root has a counter too: a cgroup meets one more than its depth."),
        ]

    return text, None, answer


# --- 09 --------------------------------------------------------------------------------------------------------------
@functools.cache
def _netperf():
    with open(data_path("published/netperf_2022.csv"), encoding="utf-8", newline="") as file:
        return {row["case"]: float(row["mbps"]) for row in csv.DictReader(file)}


def _scaled(draw, *cases):
    """Published figures as a host would have them that is so many percent as fast: no two papers are alike."""
    percent = draw.between(40, 160)
    return [round(_netperf()[case] * percent / 100) for case in cases]


@kind("published")
def percent_gained(draw):
    """More, in percent."""
    cases = draw.shuffled(_netperf())[:2]
    base, mbps = sorted(_scaled(draw, *cases))
    text = (
        f"A stream in a cgroup reaches {number(base)} Mbps, and {number(mbps)} after a change. How many percent more?"
    )

    def answer():
        faster = mbps / base
        return 100 * (faster - 1), [
            (100 * faster, "that is the new value in percent of the old one."),
            (100 * (1 - 1 / faster), "that is in percent of the new value."),
            (float(mbps - base), "those are Mbps."),
        ]

    return text, None, answer


@kind("published")
def percent_won_back(draw):
    """Of what is lost, how much comes back."""
    case = draw.pick(["A: fewer atomics", "B: struct layout", "C: batch 64", "A+B+C"])
    base, mbps, root = _scaled(draw, "6.0-rc1", case, "root memcg")
    text = (
        f"A stream reaches {number(root)} Mbps in the root, where nothing is counted, {number(base)} in a cgroup, and "
        f'{number(mbps)} there with the change "{case}". How many percent of what was lost does it win back?'
    )

    def answer():
        return 100 * (mbps - base) / (root - base), [
            (100 * (mbps / base - 1), "that is in percent of the old value, not of what was lost."),
            (100 * mbps / root, "that is the new value in percent of the root's."),
            (100 * (root - mbps) / (root - base), "that is what is still lost."),
        ]

    return text, None, answer


# --- 10 --------------------------------------------------------------------------------------------------------------
def _threads(policy, threads, pairs, depth=1):
    system = System.chain(depth, cpus=threads, policy=policy)
    work = [system.replay(pingpong(pairs, memcg=depth, cpu=cpu)) for cpu in range(threads)]
    return system, sum(each.atomics for each in work)


@kind("threads")
def counter_at_the_end(draw):
    """Is every page accounted for?"""
    threads, pairs, when = draw.between(2, 16), draw.between(1, 60), draw.pick([*WHEN])
    text = (
        f"{threads} threads, each on a CPU of its own with an empty stock, charge a page to one cgroup and give it "
        f"back, {pairs} times each. Nobody holds a page at the end. What does its counter say {when}?"
    )

    def answer():
        system, _ = _threads(WHEN[when], threads, pairs)
        return system.usage[1], [
            (0, "the counter counts what is in the stocks, too."),
            (_threads(OTHER[when], threads, pairs)[0].usage[1], f"that is not {when}."),
            (
                threads * CHARGE_BATCH,
                "before the patch each page comes out of the stock, and goes past it when it leaves.",
            ),
            (int(system.usage[1]) // threads, "that is one CPU's stock."),
            (threads * (CHARGE_BATCH - 1), "that is what one charge leaves on each CPU."),
        ]

    return text, None, answer


@kind("threads")
def atomics_of_threads(draw):
    """What threads execute."""
    threads, pairs, depth = draw.between(2, 8), draw.between(5, 60), draw.between(1, 4)
    when = draw.pick([*WHEN])
    text = (
        f"{threads} threads, each on a CPU of its own with an empty stock, charge a page to {_levels(depth)} and give "
        f"it back, {pairs} times each. How many atomics do all of them execute {when}?"
    )

    def answer():
        _, atomics = _threads(WHEN[when], threads, pairs, depth)
        return atomics, [
            (_threads(OTHER[when], threads, pairs, depth)[1], f"that is not {when}."),
            (2 * threads * pairs * (depth + 1), "the stock is forgotten: charging takes a batch at a time."),
            (atomics // threads, "that is one thread."),
            (atomics // (depth + 1) * depth, "the root has a counter too."),
        ]

    return text, None, answer


# --- 11 --------------------------------------------------------------------------------------------------------------
@kind("traces")
def counter_in_v6_1(draw):
    """What a charge asks of the counter by the rules of v6.1."""
    first, second = draw.between(1, 63), draw.between(1, 90)
    text = (
        f"A trace of Linux 6.1, whose batch is 64: a CPU with an empty stock charges {count(first, 'page')} to a "
        f"cgroup, then {second}. How many pages does the second charge ask of the counter?"
    )

    def answer():
        def asked(policy):
            system = System.chain(1, cpus=1, policy=policy)
            system.charge_skmem(cpu=0, memcg=1, nr_pages=first)
            before = int(system.usage[1])
            system.charge_skmem(cpu=0, memcg=1, nr_pages=second)
            return int(system.usage[1]) - before

        return asked(V6_1), [
            (asked(V4_14), "that is the batch of 32; in 6.1 it is 64."),
            (max(0, second + first - 64), "a stock serves all or nothing; it is not used up first."),
            (second, "up to 64 pages are asked for as a batch, unless the stock serves them."),
            (64, "the stock serves a charge it has enough for, and more than a batch is asked for exactly."),
            (0, "the stock has fewer pages than that."),
        ]

    return text, None, answer


@kind("traces")
def drained_in_v6_1(draw):
    """What a give-back drains by the rules of v6.1."""
    first, back = draw.between(1, 63), draw.between(1, 90)
    text = (
        f"A trace of Linux 6.1, whose batch is 64: a CPU with an empty stock charges {count(first, 'page')} to a "
        f"cgroup; then {back} of that cgroup come back on this CPU, in one call. How many pages does that drain?"
    )

    def answer():
        def drained(policy):
            system = System.chain(1, cpus=2, policy=policy)
            system.charge_skmem(cpu=1, memcg=1, nr_pages=100)
            system.charge_skmem(cpu=0, memcg=1, nr_pages=first)
            before = system.work()
            system.uncharge_skmem(cpu=0, memcg=1, nr_pages=back)
            return (system.work() - before).pages_drained

        return drained(V6_1), [
            (drained(V4_14), "that is the batch of 32; here it is 64."),
            (max(0, back - first), "a stock that holds more than a batch is emptied wholly, not by its surplus."),
            (back, "what was in the stock goes too, or all of it may stay."),
            (0, "more than 64 pages may not stay."),
            (64 - first, "that is what the charge had left in the stock."),
        ]

    return text, None, answer
