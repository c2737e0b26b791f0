"""What was measured and recorded: notebooks 09 to 11."""

import csv
import functools

from ...files import data_path
from ...mechanism.policy import V4_14, V6_1
from ...mechanism.records import CHARGE_BATCH
from ...system import System
from ...words import count, number
from ...workload import pingpong
from .base import OTHER, SHORT, WHEN, YES_NO, kind, levels


# --- 09 ---------------------------------------------------------------------------------------------------------------
@functools.cache
def _netperf():
    with open(data_path("published/netperf_2022.csv"), encoding="utf-8", newline="") as file:
        return {row["case"]: float(row["mbps"]) for row in csv.DictReader(file)}


def _scaled(draw, *cases):
    """Published figures as a host would have them that is so many percent as fast: no two papers are alike."""
    percent = draw.between(40, 160)
    return [round(_netperf()[case] * percent / 100) for case in cases]


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


@functools.cache
def _roles(fitted):
    """What each row is if the cost of a visit is fitted to one of them."""
    from ...machine import predict_rows

    rows = {"the root": (100.0, None), "batch 32": (50.0, {"batch": 32}), "batch 64": (75.0, {"batch": 64})}
    table = predict_rows(rows, baseline="the root", fitted=fitted, clients=8, think_ns=1000)
    return dict(zip(table["row"], table["role"]))


@kind("published")
def role_of_a_row(draw):
    """Measured, fitted or predicted."""
    fitted, clients = draw.pick(["batch 32", "batch 64"]), draw.between(8, 72)
    asked = draw.pick(["the root", "batch 32", "batch 64"])
    roles = "unit", "fitted", "predicted"
    text = (
        f"{clients} streams are measured in the root, where nothing is counted, and in a cgroup with batch 32 and with "
        "batch 64. A model takes its think time from the root. What a visit costs is chosen so that the row of "
        f"{fitted} comes out right. What is the model's number in the row of {asked}?"
    )

    def answer():
        why = {
            "unit": "the unit is the row of the root: it gives the think time.",
            "fitted": f"fitted is the row of {fitted} alone: the cost was chosen for it.",
            "predicted": "predicted is what comes out without having been chosen or fitted.",
        }
        right = _roles(fitted)[asked]
        return right, [(role, why[role]) for role in roles if role != right]

    return text, roles, answer


@kind("published")
def was_there_a_queue(draw):
    """What an additive model misses."""
    root, more, percent = draw.between(300, 500) * 10, draw.between(150, 450) * 20, draw.pick([-25, -20, -15, 0, 0, 4])
    measured = (root + more // 2) * (100 + percent) // 100
    text = (
        f"To send 10 KiB takes {number(root)} ns in the root, where nothing is counted, {number(root + more)} ns in a "
        f"cgroup with a batch of 32, and {number(measured)} ns with a batch of 64. Did the larger batch win more than "
        f"a model without any queue can explain? {SHORT}"
    )

    def answer():
        from ...machine import closed_loop

        def without_a_queue(batch, visit_ns):
            one = closed_loop(
                clients=1, think_ns=root, visit_ns=visit_ns, levels=1, batch=batch, traffic="charge", method="additive"
            )
            return 1000 / one.throughput

        alone = without_a_queue(64, more * 32)  # one visit in 32 rounds costs what the cgroup costs
        won = measured < alone - 1
        why = {
            True: f"without a queue half the visits take half the time, {number(round(alone))} ns; it was faster.",
            False: f"half the visits take half the time without any queue: {number(round(alone))} ns.",
        }[won]
        return YES_NO[not won], [(YES_NO[won], why)]

    return text, YES_NO, answer


# --- 10 ---------------------------------------------------------------------------------------------------------------
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
        f"{threads} threads, each on a CPU of its own with an empty stock, charge a page to {levels(depth)} and give "
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


# --- 11 ---------------------------------------------------------------------------------------------------------------
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
