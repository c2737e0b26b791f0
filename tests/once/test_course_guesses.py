"""Guesses: the usual wrong answers are wrong, differ, and are met by a sentence; sureness gets a score."""

import functools
import pathlib
import re

import numpy as np
import pandas as pd
import pytest

from lab_helpers import said
from memcg_lab import (
    UNCHARGE_ONLY,
    V4_13,
    V4_14,
    V6_1,
    System,
    data_path,
    mixed,
    op,
    pingpong,
    predict,
    producer_consumer,
    reveal,
)
from memcg_lab.course import notes, predictions, room
from memcg_lab.course.guesses import GUESSES, met
from memcg_lab.course.questions import COUNT, FACTOR, QUESTIONS
from memcg_lab.history import record
from memcg_lab.machine import LAYOUTS, Topology, closed_loop, mva, read_measurement, simulate
from memcg_lab.mechanism.records import DRAIN_CAP
from memcg_lab.mechanism.stock_v4_13 import refill_stock
from memcg_lab.perf import compare, read_perf
from memcg_lab.traces.check import check_trace
from memcg_lab.traces.text import read_rows
from memcg_lab.traces.what_if import what_if
from memcg_lab.workload import tcp_data_queue, udp_enqueue

ROOT = pathlib.Path(__file__).resolve().parents[2]
ASKED = [(question, name) for question, names in QUESTIONS.items() for name in names]
EACH = [(question, name, guess) for question, name in ASKED for guess in GUESSES.get(question, {}).get(name, {})]


TRUTHS = room.truths()
pytestmark = pytest.mark.usefixtures("nothing_said", "whole_lines")


def right(question, name, value):
    return predictions.is_right(value, TRUTHS[question][name], QUESTIONS[question][name])


# --- the list
def test_every_reveal_of_the_notebooks_says_what_came_out():
    assert {question: list(values) for question, values in TRUTHS.items()} == {q: list(n) for q, n in QUESTIONS.items()}


def test_only_what_is_asked_has_guesses():
    assert {(question, name) for question, names in GUESSES.items() for name in names} == set(ASKED)


@pytest.mark.parametrize(("question", "name"), ASKED)
def test_every_prediction_has_two_wrong_answers_that_are_wrong_and_differ(question, name):
    asked, guesses = QUESTIONS[question][name], list(GUESSES[question][name])
    choices = len(asked) - 1 if isinstance(asked, tuple) else 2
    assert len(guesses) >= min(2, choices)  # yes or no has one wrong answer
    for k, guess in enumerate(guesses):
        assert right(question, name, guess) is False
        assert predictions.as_asked(question, name, guess) == guess  # it may be said at all
        for other in guesses[:k]:
            assert guess != other
            if not isinstance(guess, str):
                assert f"{guess:.2g}" != f"{other:.2g}" or abs(guess / other - 1) > 0.02


def test_each_sentence_is_said_once_in_a_question_and_is_a_sentence():
    for names in GUESSES.values():
        for guesses in names.values():
            assert len(set(guesses.values())) == len(guesses)
            assert all(re.fullmatch(r"[^\n]{30,200}[.?]", sentence) for sentence in guesses.values())


@pytest.mark.parametrize(("question", "name", "guess"), EACH)
def test_a_sentence_that_opens_with_a_number_opens_with_the_guess(question, name, guess):
    opening = re.match(r"(-?[\d,]+(?:\.\d+)?)(?= |\.)", GUESSES[question][name][guess])
    if opening and not isinstance(guess, str):
        assert float(opening[1].replace(",", "")) == guess


@pytest.mark.parametrize(("question", "name", "guess"), EACH)
def test_a_listed_guess_is_met_with_its_own_sentence(capsys, question, name, guess):
    predict(question, **{name: guess})
    lines = said(capsys, reveal, question, **TRUTHS[question]).splitlines()
    assert GUESSES[question][name][guess] in lines


@pytest.mark.parametrize(("question", "name"), ASKED)
def test_the_right_answer_meets_no_sentence(capsys, question, name):
    truth = TRUTHS[question][name]
    predict(question, **{name: truth})
    sentences = set(GUESSES[question][name].values())
    assert not sentences & set(said(capsys, reveal, question, **TRUTHS[question]).splitlines())


def test_a_guess_near_a_listed_one_is_met_where_near_is_enough_and_only_there(capsys):
    assert met("06.queue", "cpus_40", 37.5, near=predictions.nearness("number")).startswith("38 is 40 CPUs")
    assert met("00.atomics", "before", 1201, near=predictions.nearness(COUNT)) is None
    assert met("07.rest", "factor", 1.005, near=predictions.nearness(FACTOR)).startswith("1 says")


def test_of_two_listed_guesses_the_nearer_one_is_met():
    near = predictions.nearness("number")
    assert met("09.netperf", "batch_64", 21600, near).startswith("21,695 is the root")
    assert met("09.netperf", "batch_64", 21000, near).startswith("20,965 is twice")


# --- numbers that the library can compute
def replayed(policy, n, depth=2, cpus=2, **more):
    system = System.chain(depth, cpus=cpus, policy=policy)
    return system.replay(producer_consumer(n, memcg=depth, **more))


def cap_at_least(st, batch, drain, cpu, memcg, nr_pages):
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    if st.stock[cpu, 0].nr_pages >= batch:
        drain(st, cpu, 0, DRAIN_CAP)


AT_LEAST = V4_14.with_rules("v4.14 with >=", refill=cap_at_least)


def there_and_back(policy, n=1000):
    return System.chain(1, cpus=1, policy=policy).replay(pingpong(n, memcg=1))


BATCH_1 = V4_13.with_rules("v4.13, batch 1", batch=1)  # as if there were no stock


def charged(nr, ctx, limits, depth=3, calls=("try_charge",)):
    system = System.chain(depth, cpus=1, policy=V4_13, limits=limits)
    return [system.step_through(op(call, cpu=0, memcg=depth, nr=nr, ctx=ctx)) for call in calls][-1]


def refused(kind):
    """Steps of one kind in the refused charge of 101 pages."""
    frame = charged(101, "softirq", [-1, 100, -1, -1]).frame()
    return int((frame["atomic"] & frame["rule"].str.contains(kind)).sum())


def ones(policy, n=100, nr=1, depth=2):
    system = System.chain(depth, cpus=1, policy=policy)
    return system.replay(np.repeat(op("charge_skmem", cpu=0, memcg=depth, nr=nr), n))


def came_back(policy, n=200):
    system = System.chain(2, cpus=2, policy=policy)
    system.replay(producer_consumer(n, memcg=2))
    return system


@functools.cache
def wave():
    system = System.chain(2, cpus=2, policy=V4_14)
    system.replay(np.repeat(op("charge_skmem", cpu=0, memcg=2, nr=1), 64))
    system.replay(np.repeat(op("uncharge_skmem", cpu=1, memcg=2, nr=1), 64))
    return system


def pairs_of_two(policy):
    system = System.siblings(2, cpus=2, policy=policy)
    system.charge_skmem(cpu=1, memcg=2, nr_pages=100)
    pair = [op("charge_skmem", cpu=0, memcg=1, nr=1), op("uncharge_skmem", cpu=0, memcg=2, nr=1)]
    return system.replay(np.tile(np.concatenate(pair), 100))


def filled(policy, cpus=16, depth=1, back=True):
    system = System.chain(depth, cpus=cpus, policy=policy)
    for cpu in range(cpus):
        system.charge_skmem(cpu=cpu, memcg=depth, nr_pages=1)
        if back:
            system.uncharge_skmem(cpu=cpu, memcg=depth, nr_pages=1)
    return int(system.usage[depth] - system.sock[depth])


def packets(policy, receive=None, each=40):
    """(dropped, usage) of packets of 3 pages on a limit of 10 that is used up."""
    system = System.chain(1, cpus=1, policy=policy, limits=[-1, 10], sockets=[1])
    if receive is None:
        system.charge_skmem(cpu=0, memcg=1, nr_pages=10)
        dropped = 0
        for _ in range(each):
            dropped += not system.charge_skmem(cpu=0, memcg=1, nr_pages=3)
            system.uncharge_skmem(cpu=0, memcg=1, nr_pages=3)
        return dropped, int(system.usage[1])
    receive(system, cpu=0, sk=0, nr_bytes=10 * 4096)
    kept = [receive(system, cpu=0, sk=0, nr_bytes=3 * 4096) for _ in range(each)]
    return kept.count(False), int(system.usage[1])


def drift(policy, n=10_000):
    system = System.chain(1, cpus=2, policy=policy)
    system.replay(producer_consumer(n, memcg=1))
    return system


def every_second_call_drains():
    for size in range(1, 64):
        system = System.chain(1, cpus=2, policy=V4_14)
        system.charge_skmem(cpu=0, memcg=1, nr_pages=4 * size)
        work = system.replay(np.repeat(op("uncharge_skmem", cpu=1, memcg=1, nr=size), 4))
        if work.drains == 2:
            return size


def lumps_of_two():
    """Calls of 2 pages until the stock is drained."""
    system, calls = System.chain(1, cpus=2, policy=V4_14), 0
    system.charge_skmem(cpu=0, memcg=1, nr_pages=100)
    while not system.work().drains:
        system.uncharge_skmem(cpu=1, memcg=1, nr_pages=2)
        calls += 1
    return calls


def small_calls():
    system = System.chain(1, cpus=8)
    return max(
        (system.replay(one), int(system.usage[1] - system.sock[1]))[1]
        for one in mixed(1800, cpus=8, memcgs=[1], mix="web", seed=5).reshape(-1, 1)
    )


@functools.cache
def profile(name):
    return read_perf(data_path(f"perf/{name}.txt"))


@functools.cache
def gone():
    return compare(profile("before"), profile("after")).gone["before"].sum()


def symbols(*answers):
    table = pd.read_csv(data_path("perf/symbols.csv"))
    return int(table["on_the_path"].isin(answers).sum())


@functools.cache
def server():
    return Topology.named("2x E5-2680 v4")


def queue(clients, method="additive", think_ns=1000):
    one = closed_loop(clients=clients, think_ns=think_ns, visit_ns=50, policy=V4_13, traffic="uncharge", method=method)
    return clients * one.throughput


@functools.cache
def published(case):
    return pd.read_csv(data_path("published/netperf_2022.csv")).set_index("case").loc[case, "mbps"]


def given_back(workload):
    counts = pd.read_csv(data_path("kernel_traces/ab_counts.csv"))
    one = counts[(counts["workload"] == workload) & (counts["function"] == "mem_cgroup_uncharge_skmem")]
    return one["calls"].median()


@functools.cache
def recorded(policy):
    """Atomics that a recording of bulk traffic takes under other rules."""
    answers, _ = what_if(read_rows(data_path("kernel_traces/t61b.csv.xz")), [policy], levels=3)
    return int(answers["atomics"].iloc[0])


def ratio_of_atomics():
    return replayed(V4_13, 200).atomics / replayed(V4_14, 200).atomics


@functools.cache
def measurement():
    return read_measurement(data_path("hardware/2026-11-23-amd-epyc.json"))


def alone():
    """An atomic alone, ns."""
    return measurement()["local"]["atomic"]["median"]


def way():
    """A line, one way, ns."""
    return measurement()["transfer"]["same"]["median"]


@functools.cache
def events():
    return check_trace(read_rows(data_path("kernel_traces/ab_post.csv.xz")), V6_1).events


def one_try():
    return charged(101, "softirq", [-1, 2, -1, -1])  # above the batch there is one


def misses(policy):
    return replayed(policy, 10_000, depth=1).stock_misses


def conserved(policy, pairs=100):
    system = System.chain(2, cpus=2, policy=policy)
    for cpu in range(2):
        system.replay(pingpong(pairs, memcg=2, cpu=cpu))
    return system


COMPUTED = {
    ("00.atomics", "before"): {
        1200: lambda: replayed(BATCH_1, 200).atomics,
        800: lambda: replayed(BATCH_1, 200, depth=1).atomics,
        600: lambda: replayed(V4_13, 200).sub,
        400: lambda: len(producer_consumer(200, memcg=2)),
        200: lambda: len(producer_consumer(200, memcg=2)) // 2,
        414: lambda: replayed(V4_13, 200, depth=1).atomics,
        39: lambda: replayed(V4_14, 200).atomics,
    },
    ("00.atomics", "after"): {
        21: lambda: replayed(V4_14, 200).add,
        18: lambda: replayed(V4_14, 200).sub,
        42: lambda: 2 * replayed(V4_14, 200).add,
        26: lambda: replayed(V4_14, 200, depth=1).atomics,
        621: lambda: replayed(V4_13, 200).atomics,
    },
    ("01.listed", "percent"): {
        3.95: lambda: gone(),
        2.13: lambda: profile("before")["percent"].max(),
    },
    ("01.rows", "rows"): {
        1: lambda: int(profile("before")["symbol"].str.contains("page_counter").sum()),
        6: lambda: symbols("yes", "cannot tell"),
        16: lambda: len(profile("before")),
    },
    ("01.ratio", "giving_back_per_charging"): {
        1: lambda: replayed(BATCH_1, 50).sub / replayed(BATCH_1, 50).add,
        3: lambda: replayed(V4_13, 1).sub,
        1000: lambda: replayed(V4_13, 1000).sub // 3,
        64: lambda: 2 * V4_13.batch,
    },
    ("02.charge", "atomics"): {
        3: lambda: charged(40, "task", None, depth=2).atomics(),
        1: lambda: (
            System([-1], cpus=1, policy=V4_13, root=None)
            .step_through(op("try_charge", cpu=0, memcg=0, nr=40))
            .atomics()
        ),
        8: lambda: ones(V4_13, n=2, nr=33, depth=3).atomics,  # two trips
        160: lambda: ones(BATCH_1, n=40, depth=3).atomics,
        40: lambda: ones(BATCH_1, n=40, depth=3).atomics // 4,
    },
    ("02.depth", "atomics"): {
        828: lambda: replayed(V4_13, 200, depth=3).atomics,
        414: lambda: replayed(V4_13, 200, depth=1).atomics,
        1656: lambda: 4 * replayed(V4_13, 200, depth=1).atomics,
        2000: lambda: replayed(BATCH_1, 200, depth=4).atomics,
    },
    ("02.refused", "atomics"): {
        3: lambda: refused("add to this level"),
        4: lambda: charged(101, "softirq", None).atomics(),
        5: lambda: refused("add to this level") + refused("subtract from this level"),
        8: lambda: charged(101, "softirq", [100, -1, -1, -1]).atomics(),
    },
    ("02.tries", "softirq"): {
        6: lambda: one_try().atomics(),
        3: lambda: int(one_try().frame()["rule"].str.contains("add to this level").sum()),
        48: lambda: charged(3, "task", [-1, 2, -1, -1]).atomics(),
    },
    ("02.tries", "task"): {
        12: lambda: charged(3, "softirq", [-1, 2, -1, -1]).atomics(),
        42: lambda: charged(101, "task", [-1, 2, -1, -1]).atomics(),  # without the try of the batch
        6: lambda: one_try().atomics(),
        36: lambda: 6 * one_try().atomics(),
        30: lambda: 5 * one_try().atomics(),
    },
    ("03.trips", "trips"): {
        100: lambda: ones(BATCH_1).stock_misses,
        3: lambda: 100 // V4_13.batch,
        1: lambda: ones(V4_13, n=32).stock_misses,
        32: lambda: V4_13.batch,
        96: lambda: ones(V4_13).stock_hits,
        12: lambda: ones(V4_13).atomics,
    },
    ("03.batch", "misses_become"): {
        313: lambda: misses(V4_13),
        625: lambda: misses(V4_13.with_rules("v4.13, batch 16", batch=16)),
        78: lambda: misses(V4_13) / 4,
        10000: lambda: 100 * replayed(BATCH_1, 100, depth=1).stock_misses,
    },
    ("03.batch", "most_in_stock"): {
        64: lambda: V4_14.with_rules("v4.14, batch 64", batch=64).stock_bound,
        31: lambda: V4_13.stock_bound,
        32: lambda: V4_14.stock_bound,
        128: lambda: 2 * 64,
    },
    ("04.one_page", "before"): {
        2: lambda: replayed(V4_13, 1, depth=1).sub,
        6: lambda: replayed(V4_13, 1).atomics,
        0: lambda: replayed(V4_14, 1).sub,
    },
    ("04.one_page", "after"): {3: lambda: replayed(V4_13, 1).sub, 6: lambda: replayed(V4_13, 1).atomics},
    ("04.stock", "uncharge_hunk_alone"): {
        2: lambda: came_back(V4_14).stock[1].nr_pages,
        0: lambda: came_back(V4_13).stock[1].nr_pages,
        224: lambda: sum(stock.nr_pages for stock in came_back(UNCHARGE_ONLY).stock),
        31: lambda: V4_13.stock_bound,
    },
    ("04.stock", "both"): {
        32: lambda: V4_14.stock_bound,
        8: lambda: 200 % V4_14.batch,
        0: lambda: came_back(V4_14, n=198).stock[1].nr_pages,
        200: lambda: came_back(UNCHARGE_ONLY).stock[1].nr_pages,
    },
    ("04.edge", "more_than"): {
        64: lambda: there_and_back(V4_13).add,
        2064: lambda: there_and_back(V4_13).atomics,
        4: lambda: there_and_back(AT_LEAST, n=1).atomics,
    },
    ("04.edge", "at_least"): {
        4: lambda: there_and_back(AT_LEAST, n=1).atomics,
        2000: lambda: there_and_back(AT_LEAST).add,
        2064: lambda: there_and_back(V4_13).atomics,
        126: lambda: System.chain(1, cpus=2, policy=AT_LEAST).replay(producer_consumer(1000, memcg=1)).atomics,
    },
    ("04.outside", "sock"): {
        64: lambda: wave().snapshot()["sock_cpu"][2][0],
        -64: lambda: wave().snapshot()["sock_cpu"][2][1],
        31: lambda: int(wave().usage[2]),
    },
    ("04.outside", "current"): {
        0: lambda: int(wave().sock[2]),
        32: lambda: V4_14.stock_bound,
        64: lambda: int(wave().snapshot()["max"][2]),  # before anything went back
        63: lambda: V4_14.stock_bound + int(wave().usage[2]),
    },
    ("04.lump", "pages_per_call"): {
        17: every_second_call_drains,
        32: lambda: V4_14.batch,
        64: lambda: 2 * V4_14.batch,
    },
    ("04.two_cgroups", "before"): {
        400: lambda: pairs_of_two(BATCH_1).atomics,
        200: lambda: pairs_of_two(V4_13).sub,
        100: lambda: pairs_of_two(V4_13).sub // 2,
        8: lambda: pairs_of_two(V4_13).add,
    },
    ("04.two_cgroups", "after"): {
        208: lambda: pairs_of_two(V4_13).atomics,
        8: lambda: pairs_of_two(V4_13).add,
        200: lambda: pairs_of_two(V4_14).add,
        600: lambda: pairs_of_two(V4_14).atomics + 2,  # if the first call drained too
    },
    ("05.bound", "depth_1"): {
        496: lambda: filled(V4_13),
        32: lambda: filled(V4_14, cpus=1),
        528: lambda: 16 * (V4_14.batch + 1),
        1024: lambda: filled(V4_14) * 2,
    },
    ("05.bound", "depth_4"): {
        496: lambda: filled(V4_13, depth=4),
        2560: lambda: filled(V4_14, depth=4) * 5,
        2048: lambda: filled(V4_14, depth=4) * 4,
        128: lambda: filled(V4_14, cpus=4),
    },
    ("05.ordinary", "small"): {
        256: lambda: filled(V4_14, cpus=8),
        32: lambda: V4_14.stock_bound,
        128: lambda: filled(V4_14, cpus=8) / 2,
    },
    ("05.ordinary", "bulk"): {256: lambda: filled(V4_14, cpus=8), 217: small_calls, 32: lambda: V4_14.stock_bound},
    ("05.no_cap", "drift"): {
        32: lambda: V4_14.stock_bound,
        64: lambda: filled(V4_14, cpus=2),
        16: lambda: drift(UNCHARGE_ONLY).stock[0].nr_pages,
    },
    ("05.refused", "before"): {1: lambda: packets(V4_14, each=6)[0]},
    ("05.refused", "after"): {
        6: lambda: packets(V4_13, each=6)[0],
        3: lambda: packets(V4_14, udp_enqueue, each=6)[0],
    },
    ("05.kept", "udp_dropped"): {
        40: lambda: packets(V4_13, udp_enqueue)[0],
        1: lambda: packets(V4_14)[0],
        0: lambda: packets(V4_14, tcp_data_queue)[0],
    },
    ("05.kept", "tcp_dropped"): {
        40: lambda: packets(V4_13, tcp_data_queue)[0],
        20: lambda: packets(V4_14, udp_enqueue)[0],
    },
    ("05.kept", "tcp_usage"): {
        10: lambda: packets(V4_13, tcp_data_queue)[1],
        70: lambda: packets(V4_14, udp_enqueue)[1],
        120: lambda: packets(V4_14, tcp_data_queue)[1] - 10,
        250: lambda: packets(V4_14, tcp_data_queue, each=80)[1],
    },
    ("06.way", "already_here"): {1.5: lambda: server().own_ns, 45: lambda: server().same_ns},
    ("06.way", "other_package"): {
        8: lambda: server().local_ns,
        45: lambda: server().same_ns,
        255: lambda: 2 * server().cross_ns,
    },
    ("06.queue", "cpus_10"): {
        20: lambda: queue(400, "mva"),
        0.952: lambda: queue(1),
        200: lambda: queue(10, think_ns=0),
    },
    ("06.queue", "cpus_40"): {
        38: lambda: queue(40),
        0.952: lambda: queue(1),
        9.33: lambda: queue(10, "simulation"),
        800: lambda: queue(40, think_ns=0),
    },
    ("07.rest", "factor"): {
        0.96: lambda: 1 - gone() / 100,
        3.95: lambda: gone(),
        1.41: lambda: 1 + 10 * (1 / (1 - gone() / 100) - 1),
    },
    ("07.reduce", "before"): {
        1.14: lambda: profile("before").set_index("symbol").loc["__sk_mem_reduce_allocated", "percent"],
        2.13: lambda: profile("before")["percent"].max(),
    },
    ("08.gain", "cpus_16"): {15.9: ratio_of_atomics},
    ("08.gain", "cpus_256"): {15.9: ratio_of_atomics},
    ("08.behind", "cpus_256"): {16: ratio_of_atomics},
    ("08.depth", "before"): {78: lambda: 100 * (1 - 2 / 9), 88: lambda: 100 * (1 - 1 / 8)},
    ("08.depth", "after"): {78: lambda: 100 * (1 - 2 / 9)},
    ("08.batch", "from_1_to_32"): {16: lambda: 32 / 2},
    ("09.netperf", "batch_64"): {
        10483: lambda: published("6.0-rc1"),
        20965: lambda: 2 * published("6.0-rc1"),
        21695: lambda: published("root memcg"),
        12414: lambda: published("B: struct layout"),
        14543: lambda: published("A: fewer atomics"),
    },
    ("10.conserved", "each_stock"): {
        0: lambda: int(conserved(V4_14).sock[2]),
        31: lambda: conserved(V4_13, pairs=1).stock[0].nr_pages,
    },
    ("10.conserved", "off_by"): {
        64: lambda: int(conserved(V4_14).usage[2]),
        32: lambda: conserved(V4_14).stock[0].nr_pages,
    },
    ("10.two", "ns"): {
        5.4: alone,
        10.8: lambda: 2 * alone(),
        30.5: way,
        36: lambda: way() + alone(),
        61: lambda: 2 * way(),
    },
    ("10.pair", "ns"): {
        200: lambda: 2 * 100,
        222: lambda: 200 + 4 * alone(),
        444: lambda: 200 + 8 * way(),
        672: lambda: 2 * TRUTHS["10.pair"]["ns"],
    },
    ("11.left", "request_response"): {
        8202: lambda: given_back("rr 4K"),
        249: lambda: given_back("rr 4K") / 33,
        4101: lambda: given_back("rr 4K") / 2,
    },
    ("11.wrong", "batch_64"): {
        39: lambda: round(events() / 100),
        388: lambda: round(events() / 10),
        61: lambda: round(events() / 64),
    },
    ("11.wrong", "batch_63"): {3878: events, 61: lambda: events() / 64},
    ("11.what_if", "after"): {
        10620: lambda: recorded(V4_13),
        3400: lambda: recorded(V6_1),
        1700: lambda: recorded(V6_1) / 2,
    },
    ("11.what_if", "before"): {
        3400: lambda: recorded(V6_1),
        6800: lambda: 2 * recorded(V6_1),
        218000: lambda: 64 * recorded(V6_1),
    },
    ("11.left", "bulk"): {2200: lambda: given_back("one 64K"), 67: lambda: given_back("one 64K") / 33},
}


@pytest.mark.parametrize(
    ("question", "name", "guess"), [(*key, guess) for key, computed in COMPUTED.items() for guess in computed]
)
def test_a_guess_that_the_library_can_compute_is_computed(question, name, guess):
    assert guess in GUESSES[question][name]
    got = COMPUTED[question, name][guess]()
    counted = QUESTIONS[question][name] == COUNT
    assert got == guess if counted else got == pytest.approx(guess, rel=0.02)


# Guesses that are right, but for another question: their sentence says for which.
ANOTHER_S = {
    ("00.atomics", "before", 39): ("00.atomics", "after"),
    ("00.atomics", "after", 621): ("00.atomics", "before"),
    ("02.tries", "softirq", 48): ("02.tries", "task"),
    ("02.tries", "task", 12): ("02.tries", "softirq"),
    ("04.one_page", "before", 0): ("04.one_page", "after"),
    ("04.one_page", "after", 3): ("04.one_page", "before"),
    ("04.stock", "uncharge_hunk_alone", 2): ("04.stock", "both"),
    ("04.stock", "both", 200): ("04.stock", "uncharge_hunk_alone"),
    ("04.edge", "at_least", 2): ("04.edge", "more_than"),
    ("04.outside", "sock", 31): ("04.outside", "current"),
    ("04.outside", "current", 0): ("04.outside", "sock"),
    ("04.two_cgroups", "after", 208): ("04.two_cgroups", "before"),
    ("05.ordinary", "bulk", 217): ("05.ordinary", "small"),
    ("05.refused", "before", 1): ("05.refused", "after"),
    ("05.refused", "after", 6): ("05.refused", "before"),
    ("05.kept", "udp_dropped", 0): ("05.kept", "tcp_dropped"),
    ("05.kept", "tcp_dropped", 20): ("05.kept", "udp_dropped"),
    ("06.way", "other_package", 8): ("06.way", "already_here"),
    ("06.queue", "cpus_10", 20): ("06.queue", "cpus_40"),
    ("06.queue", "cpus_40", 9.33): ("06.queue", "cpus_10"),
    ("07.reduce", "after", 1.67): ("07.reduce", "before"),
    ("08.gain", "cpus_256", 7.13): ("08.behind", "cpus_256"),
    ("08.behind", "cpus_256", 1.28): ("08.gain", "cpus_256"),
    ("08.remedies", "larger_batch", 24): ("08.remedies", "through_the_stock"),
    ("08.remedies", "through_the_stock", 3): ("08.remedies", "larger_batch"),
    ("08.remedies", "through_the_stock", 0): ("08.remedies", "fewer_levels"),
    ("08.depth", "after", 15): ("08.depth", "before"),
    ("08.batch", "from_32_to_64", 2.43): ("08.batch", "from_1_to_32"),
    ("11.left", "bulk", 9): ("11.left", "request_response"),
    ("11.what_if", "after", 10620): ("11.what_if", "before"),
}


@pytest.mark.parametrize(("guess", "other"), ANOTHER_S.items(), ids=[f"{q} {n} {g}" for q, n, g in ANOTHER_S])
def test_a_guess_that_is_the_answer_to_another_question_is_that_answer(guess, other):
    question, name, said = guess
    assert said in GUESSES[question][name]
    assert TRUTHS[other[0]][other[1]] == pytest.approx(said, rel=0.005)


# --- numbers within a sentence
def test_two_cgroups_drain_in_every_call_but_the_first():
    assert pairs_of_two(V4_14).drains == 2 * 100 - 1
    assert "all calls except the first drain" in GUESSES["04.two_cgroups"]["after"][200]


def test_the_mean_of_small_calls_is_as_the_sentence_says():
    run = record(System.chain(1, cpus=8), mixed(1800, cpus=8, memcgs=[1], mix="web", seed=5))
    assert f"the mean, {run['in_stocks'].mean():.0f} pages" in GUESSES["05.ordinary"]["small"][128]


def test_with_16_cpus_a_sixth_of_the_time_is_waiting_and_not_all_of_it_goes():
    ops = np.concatenate([pingpong(1, memcg=3, cpu=cpu) for cpu in range(16)])
    waiting = [
        simulate(
            System.chain(3, cpus=16, policy=policy), ops, think_ns=4000, topology=Topology.named("2x EPYC 7742")
        ).stalled
        for policy in (V4_13, V4_14)
    ]
    assert waiting[0] == pytest.approx(1 / 6, rel=0.1)
    assert 0.02 < waiting[1] < waiting[0]
    assert "With 16 CPUs it was a sixth" in GUESSES["08.gain"]["cpus_16"][2]


def queues(cpus, cgroups, depth=3, think_ns=4000, layout=None):
    """Before the patch: operations in a microsecond, and CPUs that wait, by memcg of the line. Leaves are last."""
    parents = [-1, *[0] * cgroups, *range(1, cgroups * (depth - 1) + 1)]
    run = simulate(
        System(parents, cpus=cpus, policy=V4_13),
        np.concatenate([pingpong(1, memcg=len(parents) - 1 - cpu % cgroups, cpu=cpu) for cpu in range(cpus)]),
        think_ns=think_ns,
        topology=Topology.named("2x EPYC 7742"),
        layout=layout or LAYOUTS["v6.1"].with_words("a reserve for each CPU", memory_allocated=False),
        duration_ns=2e6,
    )
    waits = pd.Series(run.queue_lengths, [line.partition(":")[0] for line in run.lines])
    return run.throughput, waits.groupby(level=0).sum()


def test_with_one_cgroup_the_queue_stands_at_the_leaf_with_one_for_each_cpu_at_the_root_and_the_pace_is_one():
    paces = []
    for cgroups, first, others in ((1, "memcg 3", 0.4), (64, "memcg 0", 0.01)):
        pace, waits = queues(64, cgroups)
        assert waits.idxmax() == first
        assert waits.drop(first).max() < others * waits[first]  # few wait elsewhere
        paces += [pace, queues(64, cgroups, depth=1)[0]]
    assert paces == pytest.approx([paces[0]] * 4, rel=0.02)
    assert TRUTHS["08.queue"] == {"one_cgroup": "leaf", "one_each": "root"}


def test_with_32_cpus_and_depth_8_no_line_is_full_and_the_cpus_wait_at_memory_allocated_as_well():
    pace, waits = queues(32, 1, depth=8, layout=LAYOUTS["v4.13"])
    assert waits.max() < 8  # of 32 CPUs, so that most of the time is other work
    assert waits["memory_allocated"] > 1
    assert "none is full yet" in GUESSES["08.depth"]["before"][0]
    assert "at `memory_allocated` as well" in GUESSES["08.depth"]["before"][78]


def test_one_charge_and_one_uncharge_in_turn_climb_the_tree_once_on_each_cpu():
    system = System.chain(8, cpus=2, policy=V4_14)
    work = [system.replay(pingpong(100, memcg=8, cpu=cpu)) for cpu in range(2)]
    assert [(done.stock_misses, done.drains) for done in work] == [(1, 0), (1, 0)]
    assert "only the first charge of a CPU" in GUESSES["08.depth"]["after"][15]


def test_a_line_of_the_server_takes_little_more_than_a_tenth_of_a_microsecond():
    assert 100 < server().cross_ns < 150
    assert server().same_ns < 100
    assert "little more than a tenth" in GUESSES["06.way"]["other_package"][1000]


def test_with_64_cpus_and_a_batch_of_1_a_line_is_nearly_full_and_with_32_nearly_free():
    way_ns = Topology.named("2x EPYC 7742").same_ns
    taken = {batch: mva(64, 4000, [way_ns / batch] * 4)[0] * way_ns / batch for batch in (1, 32)}
    assert 0.9 < taken[1] < 1
    assert taken[32] < 0.1
    assert "nearly full" in GUESSES["08.batch"]["from_1_to_32"][1]
    assert "nearly free" in GUESSES["08.batch"]["from_32_to_64"][2]


def test_the_share_of_its_own_atomic_is_that_of_the_run_without_reading():
    text = (ROOT / "notebooks" / "07_the_profile_after.ipynb").read_text(encoding="utf-8")
    before = {float(share) for share in re.findall(r"__sk_mem_reduce_allocated +(\d\.\d\d) +\d\.\d\d\b", text)}
    assert 0.72 in before & set(GUESSES["07.reduce"]["before"])


def test_most_calls_of_the_recording_give_many_pages_back():
    pages = [row.nr for row in read_rows(data_path("kernel_traces/t61b.csv.xz")) if row.ev == "unc"]
    assert np.median(pages) == 16
    assert "many pages at once" in GUESSES["11.what_if"]["before"][218000]


def test_each_uncharge_reads_parent_twice_at_each_level():
    assert LAYOUTS["v4.13"].pressure_walks == 2
    assert "reads `parent` twice" in GUESSES["06.sharing"]["percent"][20]


def test_lumps_of_two_drain_at_every_17th_call():
    assert lumps_of_two() == 17
    assert "every 17th call" in GUESSES["04.lump"]["pages_per_call"][2]


# --- how sure
@pytest.mark.parametrize("sure", [0, 50, 70, 100, 99.5])
def test_sureness_is_noted(capsys, sure):
    assert said(capsys, predict, "03.trips", trips=4, sure=sure).endswith(f"; {sure} % sure.")


@pytest.mark.parametrize("nothing", [None, ...])
def test_without_sureness_all_is_said_as_before(capsys, nothing):
    assert said(capsys, predict, "03.trips", trips=3, sure=nothing) == "Noted: trips 3."
    told = said(capsys, reveal, "03.trips", trips=4).splitlines()
    assert told == [
        "trips: you said 3, the run says 4; you were 1.3 times too low.",
        GUESSES["03.trips"]["trips"][3],
    ]
    assert said(capsys, predict, "03.trips", trips=None, sure=70) == "Still open: trips."
    assert said(capsys, reveal, "03.trips", trips=4).splitlines() == told  # what was said before stays


@pytest.mark.parametrize(
    ("sure", "why"),
    [
        (-1, "is -1; give a percentage from 0 to 100"),
        (100.5, "is 100.5; give a percentage from 0 to 100"),
        ("70", 'is "70"; give a percentage from 0 to 100'),
        (True, "is a bool; give a number or a short text"),
        (float("nan"), "is nan; give a finite number"),
        ([70], "is a list; give a number or a short text"),
    ],
)
def test_what_is_no_sureness_is_told_so_and_the_rest_is_noted(capsys, sure, why):
    assert said(capsys, predict, "03.trips", trips=4, sure=sure) == f"Noted: trips 4.\nNot noted: sure {why}."
    assert "Score" not in said(capsys, reveal, "03.trips", trips=4)


def test_sureness_alone_asks_nothing():
    with pytest.raises(ValueError, match="nothing is asked"):
        predict("03.trips", sure=70)


def test_no_question_is_called_sure():
    assert all("sure" not in names for names in QUESTIONS.values())


def another_reader():
    """Who has not predicted yet: what is changed after a run counts no more."""
    notes._memory["predictions"].clear()


def score_of(capsys, question, truth, sure, **values):
    another_reader()
    predict(question, sure=sure, **values)
    line = said(capsys, reveal, question, **truth).splitlines()[-1]
    return float(re.match(r"Score (\d\.\d\d) ", line)[1]), line


def test_the_score_is_brier_s(capsys):
    for sure in (0, 30, 70, 100):
        p = sure / 100
        assert score_of(capsys, "03.trips", {"trips": 4}, sure, trips=4)[0] == pytest.approx((1 - p) ** 2, abs=0.006)
        assert score_of(capsys, "03.trips", {"trips": 4}, sure, trips=3)[0] == pytest.approx(p**2, abs=0.006)
        partly = {"takes_the_five": "no"}
        assert score_of(capsys, "03.partly", partly, sure, takes_the_five="no")[0] == pytest.approx(
            (1 - p) ** 2, abs=0.006
        )


def test_where_near_is_enough_the_bet_is_on_an_interval(capsys):
    truth = {"misses_become": 157, "most_in_stock": 63}
    assert "and that is right" in score_of(capsys, "03.batch", truth, 80, misses_become=145)[1]
    assert "and that is not so" in score_of(capsys, "03.batch", truth, 80, misses_become=140)[1]
    assert "and that is not so" in score_of(capsys, "03.batch", truth, 80, most_in_stock=64)[1]
    line = score_of(capsys, "03.batch", truth, 80, misses_become=145, most_in_stock=64)[1]
    assert line == "Score 0.34 (0 is best, 1 worst; 50 % sure gets 0.25): you were 80 % sure, and 1 of 2 is right."


def test_saying_what_one_believes_is_best_on_average(capsys):
    for belief in (20, 60, 90):
        expected = {
            sure: belief * score_of(capsys, "03.trips", {"trips": 4}, sure, trips=4)[0]
            + (100 - belief) * score_of(capsys, "03.trips", {"trips": 4}, sure, trips=3)[0]
            for sure in range(0, 101, 10)
        }
        assert min(expected, key=expected.get) == belief


def test_a_text_of_ones_own_has_no_score(capsys):
    predict("t.words", why="the root", sure=70)
    assert said(capsys, reveal, "t.words", why="the leaf") == 'why: you said "the root", the run says "the leaf".'


def test_a_factor_near_one_is_judged_to_a_hundredth(capsys):
    predict("07.rest", factor=1.05)
    assert said(capsys, reveal, "07.rest", factor=1.041).endswith("; within a hundredth.")
    another_reader()
    predict("07.rest", factor=1.0)
    told = said(capsys, reveal, "07.rest", factor=1.041).splitlines()
    assert told == ["factor: you said 1, the run says 1.04; you were 0.041 too low.", GUESSES["07.rest"]["factor"][1]]
