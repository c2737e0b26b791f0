"""Cache lines and who waits for them: notebooks 06 and 08."""

import functools
import math

import numpy as np

from ...mechanism.policy import V4_13, V4_14
from ...mechanism.records import UNCHARGE_SKMEM
from ...system import System
from ...words import count, listing, number
from ...workload import pingpong, skmem
from .base import OTHER, SHORT, WHEN, YES_NO, back_and_forth, kind
from .mechanism import given_back


# --- 06 ---------------------------------------------------------------------------------------------------------------
def _visits(order, topology, version="v4.13"):
    """A run in which CPUs execute one atomic each on one counter, one after the other; then they read its parent."""
    from ...machine import LAYOUTS, simulate

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
        from ...machine import LAYOUTS

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
        from ...machine import Topology
        from ...machine.coherence import ATOMICS, BY_FAR, BY_SMT

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
        from ...machine import Topology
        from ...machine.coherence import ATOMICS, BY_FAR, BY_SMT, LOADS

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
        from ...machine import Topology
        from ...machine.coherence import OCCUPIED

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
        from ...machine import Topology

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
    return next(n for n in range(1, 99) if given_back(policy, [1] * n)[1].atomics)


# --- 08 ---------------------------------------------------------------------------------------------------------------
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
        from ...machine import closed_loop

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
    """CPUs with a cgroup each meet at the root."""
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
        from ...machine import Topology, simulate
        from ...machine.coherence import ATOMICS

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
        before, after = (back_and_forth(V4_13, pages, depth).atomics for depth in (deep, shallow))
        return before - after, [
            (2 * pages * (deep - shallow), "charging is batched: it is not one for each page."),
            (pages * (deep - shallow), "charging goes to the counters as well, once for a batch."),
            (after, "that is what is left."),
            (before, "the levels that stay, and the root, still cost."),
            (before - before * shallow // deep, "the root has a counter too: a cgroup meets one more than its depth."),
        ]

    return text, None, answer
