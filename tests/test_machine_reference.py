"""The simulation answers, event by event, what a plain one with heapq and sets answers that shares no code with it."""

import pathlib
import sys

import numpy as np
import pytest

from lab_helpers import MODE
from memcg_lab import CAP_ONLY, UNCHARGE_ONLY, V4_13, V4_14, System
from memcg_lab.machine import FUNCTIONS, Layout, Topology, simulate
from memcg_lab.machine.coherence import LOCKS, TRAFFIC
from memcg_lab.machine.run import IN_FLIGHT, THINK, spread
from memcg_lab.mechanism.layout import op_dtype
from memcg_lab.workload import draws, splitmix

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "benchmarks"))
from plain_machine import PlainMachine

CASES = {"jit": 3000, "nojit": 120, "boundscheck": 300}[MODE]
POLICIES = (V4_13, V4_14) if MODE == "boundscheck" else (V4_13, V4_14, CAP_ONLY, UNCHARGE_ONLY)
KINDS = ("rmw", "load", "store")
PS = 1000


class Draw:
    """Random choices that are the same everywhere."""

    def __init__(self, seed):
        self.numbers = iter(draws(seed, 4000, 1 << 40).tolist())

    def below(self, bound):
        return next(self.numbers) % bound

    def one_of(self, values):
        return values[self.below(len(values))]


def random_case(seed):
    """A small system, its operations and a machine, as arguments for both simulations."""
    draw = Draw(seed)
    cpus = 1 + draw.below(8)
    parents = [-1]
    for memcg in range(1, 1 + draw.below(5)):
        parents.append(memcg - 1 if draw.below(2) else draw.below(memcg))
    root = 0 if len(parents) > 1 else None
    leaves = [m for m in range(len(parents)) if m != root]
    # Several operations of one cgroup in a row, so that stocks fill and drain.
    ops = np.zeros(1 + draw.below(70), op_dtype)
    memcg, code = draw.one_of(leaves), 0
    for row in ops:
        if draw.below(4) == 0:
            memcg, code = draw.one_of(leaves), draw.below(4)
        row["op"], row["memcg"] = code, memcg
        row["cpu"] = draw.below(cpus)
        row["nr"] = draw.one_of((1, 1, 1, 2, 5, 9, 31, 32, 33, 40))
    policy = draw.one_of(POLICIES)
    repeat = bool(draw.below(2))  # for ever without thinking would be too many events
    layout = Layout(
        "random",
        **{word: draw.below(3) for word in ("count", "limit", "parent", "watermark", "failcnt")},
        memory_allocated=bool(draw.below(2)),
        pressure_walks=draw.below(3),
    )
    topology = Topology(
        "random",
        1 + draw.below(2),
        1 + draw.below(3),
        1 + draw.below(2),
        *(draw.one_of((0.0, 3.5, 8.3, 45.2, 127.5)) for _ in range(4)),
        clean_ns=draw.one_of((0.0, 20.0)),
        own_ns=draw.one_of((0.001, 1.5)),
    )
    return {
        "system": (parents, cpus, policy, root),
        "ops": ops,
        "think_ns": [draw.one_of((20.0 if repeat else 0.0, 20.0, 100.0, 333.3)) for _ in ops],
        "think": draw.one_of(THINK),
        "topology": topology,
        "layout": layout,
        "lock": draw.one_of(LOCKS),
        "repeat": repeat,
        "seed": draw.below(1 << 30),
        "duration_ns": 1500.0 + draw.below(6000),
    }


def plainly(case, change=None):
    """The same case on the plain machine."""
    parents, cpus, policy, root = case["system"]
    topology = case["topology"]
    core, socket = topology.place(cpus)
    names = ("local", "clean", "own", "smt", "same", "cross")
    machine = PlainMachine(
        parents,
        cpus,
        [
            (int(row["op"]), int(row["cpu"]), int(row["memcg"]), int(row["nr"]), round(ns * PS))
            for row, ns in zip(case["ops"], case["think_ns"])
        ],
        cap=policy in (V4_14, CAP_ONLY),
        to_stock=policy in (V4_14, UNCHARGE_ONLY),
        place=list(zip(core.tolist(), socket.tolist())),
        cost={name: round(getattr(topology, f"{name}_ns") * PS) for name in names},
        layout=case["layout"],
        spread=spread(case["think"]).tolist(),
        random=(splitmix(case["seed"], cpus).astype(np.int64) | 1).tolist(),
        lock=case["lock"],
        repeat=case["repeat"],
        root=root,
    )
    machine.put_in_flight(IN_FLIGHT)
    if change:
        change(machine)
    return machine.run(round(case["duration_ns"] * PS))


def compiled(case):
    parents, cpus, policy, root = case["system"]
    options = {key: value for key, value in case.items() if key not in ("system", "ops")}
    return simulate(
        System(parents, cpus=cpus, policy=policy, root=root), case["ops"], warm_up=0, record=1 << 15, **options
    )


def events_of(run, case):
    lines = case["layout"].lines
    for event in run.events.tolist():
        time, cpu, op, line, kind, function, start, end = event
        name = "allocated" if line == 0 else ((line - 1) // lines, (line - 1) % lines)
        yield time, cpu, op, name, KINDS[kind], FUNCTIONS[function], start, end


def differences(case, change=None):
    """What the two simulations answer differently; empty if nothing."""
    run, plain = compiled(case), plainly(case, change)
    mine = list(events_of(run, case))
    for number, (here, there) in enumerate(zip(mine, plain.events)):
        if here != there:
            return [f"event {number}: {here}, not {there}"]
    if len(mine) != len(plain.events):
        return [f"{len(mine)} events, not {len(plain.events)}"]
    wrong = []
    if run.finished.tolist() != [cpu.finished for cpu in plain.cpus]:
        wrong.append("finished")
    for name, line in plain.lines.items():
        row = 0 if name == "allocated" else 1 + name[0] * case["layout"].lines + name[1]
        if run.traffic[row].tolist() != [line.counts[column] for column in TRAFFIC]:
            wrong.append(f"traffic of {name}")
    booked = np.round(run.booked_ns * PS).astype(int)
    for function, row in zip(FUNCTIONS, booked.tolist()):
        if row != [plain.booked.get((function, kind), 0) for kind in ("local", "transfer", "wait")]:
            wrong.append(f"booked to {function}")
    if run.system.usage.tolist() != plain.count:
        wrong.append("usage")
    return wrong


def test_every_event_is_that_of_the_plain_machine():
    seen = {"policies": set(), "locks": set()}
    for seed in range(CASES):
        case = random_case(seed)
        assert differences(case) == [], f"case {seed}"
        seen["policies"].add(case["system"][2].name)
        seen["locks"].add(case["lock"])
    assert seen["policies"] == {policy.name for policy in POLICIES}
    assert seen["locks"] == set(LOCKS)


def forget_invalidation(machine):
    """A wrong rule: whoever had a copy keeps it when somebody writes."""
    touch = machine.touch

    def wrong(cpu, name, kind, function, t):
        line = machine.lines.get(name)
        kept = set(line.copies) if line else set()
        end = touch(cpu, name, kind, function, t)
        machine.lines[name].copies |= kept
        return end

    machine.touch = wrong


def ignore_distance(machine):
    """A wrong rule: every line comes from the same socket."""
    machine.distance = lambda one, other: "same"


def no_queue(machine):
    """A wrong rule: nobody waits for a line."""
    touch = machine.touch

    def wrong(cpu, name, kind, function, t):
        if name in machine.lines:
            machine.lines[name].free_at = 0
        return touch(cpu, name, kind, function, t)

    machine.touch = wrong


def drain_the_surplus_late(machine):
    """A wrong rule: the stock may hold one page more."""
    refill = machine.refill

    def wrong(cpu, memcg, pages, touches, own):
        cap, machine.cap = machine.cap, machine.cap and cpu.stock_pages + pages > 33
        refill(cpu, memcg, pages, touches, own)
        machine.cap = cap

    machine.refill = wrong


@pytest.mark.parametrize("change", [forget_invalidation, ignore_distance, no_queue, drain_the_surplus_late])
def test_a_plain_machine_with_one_wrong_rule_is_found_out(change):
    """So that the comparison above could have failed."""
    assert any(differences(random_case(seed), change) for seed in range(60))


def test_a_machine_is_more_than_one_socket_in_the_cases():
    sockets = {len(set(random_case(seed)["topology"].place(8)[1].tolist())) for seed in range(50)}
    assert len(sockets) > 1
