"""The simulation of cache lines, event by event the same as plain Python that was written from the rules alone."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from lab_helpers import MODE, python
from memcg_lab import V4_13, V4_14, System
from memcg_lab.machine import Layout, Topology, simulate
from memcg_lab.mechanism.policy import CAP_ONLY, UNCHARGE_ONLY
from memcg_lab.mechanism.records import OPS, op_dtype
from tests.reference import plain_machine

RECORD = 1 << 15
BATCH_7 = V4_14.with_rules("v4.14, batch 7", batch=7)
PATCHED = {V4_13: (False, False), V4_14: (True, True), CAP_ONLY: (True, False), UNCHARGE_ONLY: (False, True)}
PATCHED[BATCH_7] = (True, True)
CASES = {"jit": 1500, "boundscheck": 200, "nojit": 40}[MODE]


def random_case(seed, policy):
    """Arguments of one small run: (what the system is made of, operations, mean think times in ns, the rest)."""
    r = random.Random(seed)
    cpus = r.randint(1, 8)
    depth = r.randint(0, 4)
    root = 0 if depth else None  # a single counter is its own top, so that sockets may charge it
    parents = [-1]
    for _ in range(depth):  # a chain, and brothers and sisters somewhere beside it
        parents.append(len(parents) - 1 if r.random() < 0.7 else r.randrange(len(parents)))
        if r.random() < 0.3:
            parents.append(r.randrange(len(parents)))
    n = r.randint(0, 60)
    ops = np.zeros(n, op_dtype)
    mean = r.choice((0.0, 0.0, 3.0, 20.0, 100.0, 1000.0))
    # A charge to the root takes no step at all. Without thinking either, time would stand still.
    first = 1 if root is not None and mean == 0 else 0
    users = r.choices(range(first, len(parents)), k=r.randint(1, 3))
    pages = r.choice([[1], [1, 1, 2, 15], [1, 7, 31, 32, 33, 40], [policy.batch, policy.batch + 1, 1]])
    socket = r.random()  # share of operations by sockets
    for k in range(n):
        memcg = r.choice(users)
        code = r.choice((0, 0, 1, 1, 1) if r.random() < socket else (2, 2, 3))
        if memcg == root and code <= 1:
            code += 2
        ops[k] = (code, r.randint(0, 1), r.randrange(cpus), memcg, r.choice(pages))
    words = {word: r.choice((0, 0, 1, 2, 3)) for word in ("count", "limit", "parent", "watermark", "failcnt")}
    layout = Layout("random", **words, memory_allocated=r.random() < 0.7, pressure_walks=r.randint(0, 2))
    ways = sorted(r.choice((0.0, 1.0, 8.3, 45.2, 50.0, 127.5)) for _ in range(3))
    sockets, cores, threads = (r.randint(1, 3) for _ in range(3))
    topology = Topology(
        "random",
        sockets,
        cores,
        threads,
        *ways,
        local_ns=r.choice((0.0, 8.0, 6.9, 10.0)),
        clean_ns=r.choice((0.0, 20.0, 3.0)),
        own_ns=r.choice((1.0, 1.5, 2.0)),
    )
    if seed % 2:
        topology = with_near_and_far(topology, random.Random(seed))
    think_ns = mean
    if r.random() < 0.3:
        think_ns = [33.3 if memcg == root else r.choice((0.0, mean, 2 * mean, 33.3)) for memcg in ops["memcg"].tolist()]
    rest = {
        "think": r.choice(("exponential", "uniform", "fixed")),
        "topology": topology,
        "layout": layout,
        "repeat": r.random() < 0.6,
        "lock": r.choice(("atomic", "atomic", "queue lock", "ticket lock")),
        "seed": r.randrange(1 << 40),
    }
    duration_ns = r.choice((300.0, 1000.0, 3000.0)) if mean else 200.0
    warm_up = r.choice((0.0, 0.0, 0.3))
    return (parents, root, cpus, policy), ops, think_ns, duration_ns, warm_up, rest


def with_near_and_far(topology, r):
    """More cores and sockets, of which some are near and some two hops away, or one of the two."""
    both = r.randrange(3)
    near = {"cores": 4, "near_cores": r.choice((1, 2, 4)), "near_ns": r.choice((0.0, 9.1, 25.3, 60.0))}
    far = {"sockets": 4, "near_sockets": r.choice((1, 2, 4)), "far_ns": r.choice((0.0, 110.0, 336.6))}
    more = {"threads": r.choice((1, 2))} | (near if both != 1 else {}) | (far if both != 0 else {})
    if both == 2:
        more |= {"cores": 2, "near_cores": 1 + (near["near_cores"] > 1)}  # so that eight CPUs fill the sockets
    return replace(topology, **more)


def reference(case, machine_class=plain_machine.Machine):
    """(events and begins, finished, booked, traffic) of the reference."""
    (parents, root, cpus, policy), ops, think_ns, duration_ns, warm_up, rest = case
    gaps = [round(1000 * ns) for ns in (think_ns if isinstance(think_ns, list) else [think_ns] * len(ops))]
    machine = machine_class(
        parents, root, cpus, ops, gaps, patched=PATCHED[policy], batch=policy.batch, record=True, **rest
    )

    def counted(until):
        machine.run(until)
        traffic = [line.counted(until) for line in machine.lines]
        return [np.array(rows, np.int64) for rows in ([c.finished for c in machine.cpus], machine.booked, traffic)]

    before = [np.zeros_like(rows) for rows in counted(0)]
    if begin := round(duration_ns * warm_up * 1000):
        before = counted(begin)
    both = zip(counted(round(duration_ns * 1000)), before, strict=True)
    return machine.events + machine.begins, *(now - then for now, then in both)


def simulated(case):
    """The same of the simulation."""
    (parents, root, cpus, policy), ops, think_ns, duration_ns, warm_up, rest = case
    system = System(parents, cpus=cpus, policy=policy, root=root)
    run = simulate(system, ops, think_ns=think_ns, duration_ns=duration_ns, warm_up=warm_up, record=RECORD, **rest)
    return run.events.tolist() + run.begins.tolist(), run.finished, run.booked_ns, run.traffic


def differs(case, machine_class=plain_machine.Machine):
    """What the simulation and the reference first differ in, or None."""
    events, finished, booked, traffic = simulated(case)
    expected = reference(case, machine_class)
    for number, (one, other) in enumerate(zip(events, expected[0], strict=False)):
        if tuple(one) != other:
            return f"event {number}: {tuple(one)}, the reference has {other}"
    if len(events) != len(expected[0]):
        return f"{len(events)} events, the reference has {len(expected[0])}"
    for name, one, other in (
        ("finished", finished, expected[1]),
        ("booked", booked, expected[2] / 1000),
        ("traffic", traffic, expected[3]),
    ):
        if not np.array_equal(one, other):
            return f"{name}: {one.tolist()}, the reference has {other.tolist()}"
    return None


# --- the same --------------------------------------------------------------------------------------------------------
# Three more policies to compile are slow; uncompiled they cost nothing.
MORE = [] if MODE == "nojit" else [pytest.mark.slow]
POLICIES = [V4_13, V4_14, *(pytest.param(policy, marks=MORE) for policy in (CAP_ONLY, UNCHARGE_ONLY, BATCH_7))]


@pytest.mark.parametrize("policy", POLICIES, ids=["v4.13", "v4.14", "cap", "uncharge", "batch 7"])
def test_every_event_is_that_of_the_reference(policy):
    for seed in range(CASES):
        case = random_case(seed, policy)
        assert differs(case) is None, f"seed {seed}: {case}"


def test_the_cases_reach_what_they_are_meant_to_reach():
    seen = Counter()
    for seed in range(100):
        case = random_case(seed, V4_14)
        events, finished, booked, traffic = reference(case)
        (parents, _, cpus, _), ops, think_ns, _, _, rest = case
        columns = plain_machine.TRAFFIC
        seen.update(name for name, amount in zip(columns, traffic.sum(axis=0), strict=True) if amount)
        seen.update(OPS[code] for code in set(ops["op"].tolist()))
        seen.update({rest["lock"], rest["think"], f"{cpus} CPUs", f"repeat {rest['repeat']}"})
        seen.update(["think 0"] if think_ns == 0 else [])
        seen.update(["events"] if len(events) > 200 else [])
        seen.update(["waiting on another CPU"] if any(e[6] > e[0] for e in events) else [])
    rare = [name for name, count in seen.items() if count < 3]
    assert rare == []
    assert {*plain_machine.TRAFFIC, *OPS[:4], "atomic", "queue lock", "ticket lock", "exponential", "uniform"} <= {
        *seen
    }
    assert {"fixed", "1 CPUs", "8 CPUs", "repeat True", "repeat False", "think 0", "events"} <= {*seen}
    assert "waiting on another CPU" in seen


# --- one rule changed ------------------------------------------------------------------------------------------------
class LoadsKeepTheirCopies(plain_machine.Line):
    """A write does not take the copies of others away."""

    def write(self, cpu, t, atomic):
        copies = self.copies
        answer = super().write(cpu, t, atomic)
        self.copies = copies | {cpu}
        return answer


class NoQueue(plain_machine.Line):
    """A line is never on its way."""

    def write(self, cpu, t, atomic):
        self.free_at = 0
        return super().write(cpu, t, atomic)


class CleanCopiesAreNotFound(plain_machine.Line):
    """A load always goes to the owner."""

    def load(self, cpu, t):
        if cpu not in self.copies and self.owner is not None:
            others, self.copies = self.copies, {self.owner}
            answer = super().load(cpu, t)
            self.copies |= others
            return answer
        return super().load(cpu, t)


class CopiesAbroadAreForgotten(plain_machine.Line):
    """A write asks only the CPU that gives the line, not who else has a copy farther away."""

    def giver(self, cpu):
        return super().giver(cpu)[0], []


class OwnerGivesUpNothing(plain_machine.Line):
    """A write by the owner is free, though others have copies."""

    def giver(self, cpu):
        giver, abroad = super().giver(cpu)
        return (cpu, abroad) if self.owner == cpu else (giver, abroad)


class DistanceIsIgnored(plain_machine.Machine):
    """Everybody is in the same socket."""

    def distance(self, one, other):
        return plain_machine.SAME


class NoCoreIsNear(plain_machine.Machine):
    """All cores of a socket are equally far."""

    def distance(self, one, other):
        distance = super().distance(one, other)
        return plain_machine.SAME if distance == plain_machine.NEAR else distance


class NoSocketIsFar(plain_machine.Machine):
    """All sockets are one hop apart."""

    def distance(self, one, other):
        return min(super().distance(one, other), plain_machine.CROSS)


class OneCacheForASocket(plain_machine.Machine):
    """A clean copy anywhere in the socket is at hand."""

    def share_a_cache(self, one, other):
        return self.socket[one] == self.socket[other]


class TheLaterCpuGoesFirst(plain_machine.Machine):
    """Of two CPUs at the same time, the one with the greater number."""

    def run(self, until):
        while self.heap and self.heap[0][0] < until:
            t = self.heap[0][0]
            number = max(n for at, n in self.heap if at == t)
            self.heap.remove((t, number))
            t = self.turn(self.cpus[number], t)
            if self.cpus[number].at < len(self.cpus[number].ops):
                self.heap.append((t, number))
            self.heap.sort()


class TheStockKeepsItsCgroup(plain_machine.Machine):
    """A stock that is drained does not forget whose it was."""

    def drain(self, cpu):
        stock = cpu.stock
        super().drain(cpu)
        cpu.stock = stock


class OwnLinesAreFree(plain_machine.Machine):
    """Steps on own lines are booked but take no time."""

    def on_own_line(self, cpu, function):
        super().on_own_line(cpu, function)
        cpu.own = 0


class AnotherGenerator(plain_machine.Machine):
    """The same think time again and again."""

    def draw(self, cpu):
        pass


LINES = (LoadsKeepTheirCopies, NoQueue, CleanCopiesAreNotFound, CopiesAbroadAreForgotten, OwnerGivesUpNothing)
MACHINES = (
    DistanceIsIgnored,
    NoCoreIsNear,
    NoSocketIsFar,
    OneCacheForASocket,
    TheLaterCpuGoesFirst,
    TheStockKeepsItsCgroup,
    OwnLinesAreFree,
    AnotherGenerator,
)


@pytest.mark.parametrize("change", [*LINES, *MACHINES])
def test_a_reference_with_one_rule_changed_differs(change):
    if issubclass(change, plain_machine.Line):
        change = type(change.__name__, (plain_machine.Machine,), {"line_class": change})
    assert any(differs(random_case(seed, V4_14), change) for seed in range(100))


# --- with and without the compiler -----------------------------------------------------------------------------------
DIGEST = """
import hashlib
import test_machine_reference as here
sha = hashlib.sha256()
for policy in (here.V4_13, here.V4_14):
    for seed in range(40):
        events, *counted = here.simulated(here.random_case(seed, policy))
        sha.update(repr((events, [array.tolist() for array in counted])).encode())
print(sha.hexdigest())
"""


@pytest.mark.once
def test_compiled_and_uncompiled_runs_are_the_same_to_the_last_picosecond():
    compiled, uncompiled = (python(DIGEST, NUMBA_DISABLE_JIT=disabled).strip() for disabled in "01")
    assert len(compiled) == 64
    assert compiled == uncompiled
