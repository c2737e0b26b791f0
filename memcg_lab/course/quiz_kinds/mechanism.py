"""The tree of counters, the stock, the patch: notebooks 00 and 02 to 04."""

import math

import numpy as np

from ...mechanism.policy import UNCHARGE_ONLY, V4_13, V4_14
from ...mechanism.records import CHARGE_BATCH
from ...system import System, op
from ...words import count, listing
from ...workload import alternating, producer_consumer
from .base import OTHER, WHEN, back_and_forth, kind, levels


# --- 00 ---------------------------------------------------------------------------------------------------------------
@kind("start")
def there_and_back(draw):
    """Atomics of single pages that are charged here and come back there."""
    pages, depth, when = draw.between(40, 160), draw.between(1, 5), draw.pick([*WHEN])
    text = (
        f"{pages} pages of {levels(depth)} arrive on CPU 0, and each is given back on CPU 1, one at a time. The "
        f"stocks are empty at first. How many atomics {when}?"
    )

    def answer():
        work = back_and_forth(WHEN[when], pages, depth)
        return work.atomics, [
            (2 * pages * (depth + 1), "one for each page, each way, each level: the stock is forgotten."),
            (back_and_forth(OTHER[when], pages, depth).atomics, f"that is not {when}."),
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
        f"{pages} pages of {levels(depth)} arrive on CPU 0, and each is given back on CPU 1, one at a time. The "
        "stocks are empty at first. How many atomics does the patch save?"
    )

    def answer():
        before, after = (back_and_forth(policy, pages, depth) for policy in WHEN.values())
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
    pages = draw.between(40, 900)
    text = (
        f"After the patch {pages} pages come back on CPU 1, one at a time; its stock is empty at first, and it charges "
        "nothing. How often is the stock drained?"
    )

    def answer():
        return back_and_forth(V4_14, pages, 1).drains, [
            (pages // CHARGE_BATCH, "32 pages may stay; the 33rd drains."),
            (math.ceil(pages / (CHARGE_BATCH + 1)), "the last pages stay in the stock, as long as they are not more."),
            (math.ceil(pages / CHARGE_BATCH), "32 pages may stay, and the last few stay too."),
            (0, "a stock that holds more than 32 pages is drained."),
            (pages, "that is how often the counters were visited before the patch."),
        ]

    return text, None, answer


@kind("start")
def left_in_the_stock(draw):
    """What stays with the CPU that gives back."""
    pages = draw.between(40, 400)
    text = (
        f"After the patch {pages} pages come back on CPU 1, one at a time; its stock is empty at first, and it charges "
        "nothing. How many pages are in its stock at the end?"
    )

    def answer():
        system = System.chain(1, cpus=2, policy=V4_14)
        system.replay(producer_consumer(pages, memcg=1))
        return system.stock[1].nr_pages, [
            (pages % CHARGE_BATCH, "32 pages may stay; the 33rd drains, and all 33 go."),
            (CHARGE_BATCH, "that is the most that may stay; after a drain the stock is empty."),
            (0, "what came after the last drain is still there."),
            (pages, "above 32 pages the stock is drained."),
        ]

    return text, None, answer


@kind("start")
def walks_to_the_counters(draw):
    """Trips, not atomics."""
    pages, when = draw.between(40, 400), draw.pick([*WHEN])
    text = (
        f"{pages} pages of a cgroup arrive on CPU 0, and each is given back on CPU 1, one at a time. The stocks are "
        f"empty at first. How often does a CPU go to the counters {when}, both ways together?"
    )

    def answer():
        work = back_and_forth(WHEN[when], pages, 1)  # two levels: two atomics a trip
        return work.atomics // 2, [
            (2 * pages, "that is once for each page, each way: the stock is forgotten."),
            (back_and_forth(OTHER[when], pages, 1).atomics // 2, f"that is not {when}."),
            (work.add // 2, "that is charging alone; what comes back goes there as well."),
            (work.sub // 2, "that is giving back alone; charging goes there as well."),
        ]

    return text, None, answer


@kind("start")
def the_root_at_the_end(draw):
    """What is still counted when nobody has a page."""
    pages, depth, when = draw.between(40, 300), draw.between(1, 5), draw.pick([*WHEN])
    text = (
        f"{pages} pages of {levels(depth)} arrive on CPU 0, and each is given back on CPU 1, one at a time. The stocks "
        f"are empty at first. What does the root's counter say at the end {when}?"
    )

    def answer():
        def root(policy):
            system = System.chain(depth, cpus=2, policy=policy)
            system.replay(producer_consumer(pages, memcg=depth))
            return int(system.usage[0]), system.stock[1].nr_pages

        (right, back), (other, _) = root(WHEN[when]), root(OTHER[when])
        return right, [
            (0, "nobody has a page, but what lies in the stocks is still charged."),
            (other, f"that is not {when}."),
            (back, "that is what lies with CPU 1; CPU 0 has what is left of its last batch."),
            (right - back, "that is what CPU 0 has left of its last batch; CPU 1 has some, too."),
            (pages, "what came back and was drained is charged no more."),
            (right * (depth + 1), "each level sees the same pages once."),
        ]

    return text, None, answer


# --- 02 ---------------------------------------------------------------------------------------------------------------
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


# --- 03 ---------------------------------------------------------------------------------------------------------------
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


# --- 04 ---------------------------------------------------------------------------------------------------------------
def given_back(policy, sizes, depth=1):
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
        return given_back(V4_14, sizes)[0].stock[1].nr_pages, [
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
        calls = next(n for n in range(1, 40) if given_back(V4_14, sizes + [pages] * n)[1].drains)
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
        f"After the patch pages of {levels(depth)} come back on a CPU with an empty stock, {pages} in each call, "
        f"{calls} calls. How many atomics do these calls execute?"
    )

    def answer():
        atomics = given_back(V4_14, [pages] * calls, depth)[1].atomics
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
        return given_back(UNCHARGE_ONLY, sizes)[0].stock[1].nr_pages, [
            (CHARGE_BATCH, "that is what the cap lets stay; the cap is taken away."),
            (given_back(V4_14, sizes)[0].stock[1].nr_pages, "that is with the cap."),
            (given_back(V4_13, sizes)[0].stock[1].nr_pages, "that is before the patch."),
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
        f"Pages of {levels(depth)} come back on a CPU with an empty stock, {pages} in each call, {calls} calls. How "
        "many atomics does the patch save?"
    )

    def answer():
        before, after = (given_back(policy, [pages] * calls, depth)[1].atomics for policy in WHEN.values())
        return before - after, [
            (before, "that is all of them; full stocks are drained."),
            (after, "that is what is left."),
            (0, "a call that may stay in the stock costs nothing."),
            ((before - after) // (depth + 1) * depth, "the root has a counter too."),
            (calls, "a call that drains saves nothing, and one that does not saves an atomic at every level."),
        ]

    return text, None, answer
