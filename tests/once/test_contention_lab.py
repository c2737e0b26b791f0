"""The contention lab follows every control, answers in time, and its short runs agree with long ones."""

import base64
import json
import re

import numpy as np
import pytest

from memcg_lab import V4_13, V4_14, ContentionLab
from memcg_lab.labs import contention
from memcg_lab.machine import LAYOUTS
from memcg_lab.mechanism.records import CHARGE_SKMEM, UNCHARGE_SKMEM

TURNS = "every CPU charges and gives back in turn"
RANDOM = "every CPU charges and gives back in random order"
HALVES = "every second CPU charges, the others give back"
TWO = "two cgroups take turns on every CPU"
LINE = "v4.13: all words of a counter on one line"
APART = "v6.1, and no counter that all sockets share"


@pytest.fixture
def lab():
    return ContentionLab()


def share(point, function):
    return dict(point.shares).get(function, 0.0)


# --- what it shows


def test_sentence_table_and_simulation_agree(lab):
    for name, policy in (("before", V4_13), ("after", V4_14)):
        here = contention.point(policy, 128, 3, HALVES, APART, 2_000)
        assert getattr(lab.result, name) == here
        table = lab.table()[name]
        assert table["operations in a microsecond"] == here.throughput
        assert table["page_counter_cancel, percent"] == share(here, "page_counter_cancel")
        assert lab.result.curve[name][7] == here  # the curve has a point at 128 CPUs
    assert lab.message.startswith("128 CPUs, depth 3: ")
    assert lab.message in lab.to_html()


def test_the_picture_shows_the_curve(lab):
    table = lab.figure().table
    assert table.index.tolist() == list(contention.CURVE)
    for name in ("before", "after"):
        assert table[name].tolist() == [here.throughput for here in lab.result.curve[name]]


def test_the_front_end_gets_the_chosen_point_and_the_curve(lab):
    asked = lab.settings() | {"cpus": 16}
    point = lab.answer({"part": "point", **asked})
    curve = lab.answer({"part": "curve", **asked})
    assert json.loads(json.dumps([point, curve])) == [point, curve]
    lab.set(cpus=16)
    for name in ("before", "after"):
        here = getattr(lab.result, name)
        assert point[name]["throughput"] == here.throughput
        assert [tuple(share) for share in point[name]["shares"]] == list(here.shares)
        assert tuple(point[name]["busiest"]) == here.busiest
        assert [one["throughput"] for one in curve[name]] == [one.throughput for one in lab.result.curve[name]]
    with pytest.raises(ValueError, match="part is 'all'"):
        lab.answer({"part": "all", **asked})


def test_the_set_up_is_that_of_the_simulations(lab):
    told = json.loads(json.dumps(lab.data()))
    assert list(told["traffics"]) == list(lab.traffics)
    lots = np.unpackbits(np.frombuffer(base64.b64decode(told["lots"]), np.uint8), bitorder="little")
    for cpus in (1, 5, 64):
        _, ops = contention._aged(V4_14, cpus, 2, RANDOM)
        assert ops["op"].tolist() == [CHARGE_SKMEM if lot else UNCHARGE_SKMEM for lot in lots[: len(ops)]]
    assert told["ages"][:5] == contention._ages(5).tolist()
    assert told["transfer_ns"][64] == contention.MACHINE.mean_transfer_ns(64)
    for label, layout in contention.LAYOUT.items():
        base, allocated = told["layouts"][label].values()
        assert LAYOUTS[base].with_words(layout.name, memory_allocated=bool(allocated)) == layout


def test_it_opens_where_the_patch_matters(lab):
    assert lab.result.after.throughput > 2 * lab.result.before.throughput
    assert lab.message.startswith("128 CPUs, depth 3: ")


def test_a_line_that_nobody_meets_is_said_to_be_none():
    lab = ContentionLab(cpus=1, traffic=TURNS, counter_layout=APART)
    assert lab.message.endswith("; after: none. All of it is predicted, nothing fitted.")


def test_a_line_with_hardly_a_cpu_at_it_has_no_zero_cpus_and_one_is_no_plural():
    told = contention.contention_words(4, 2, 0.505, 0.507, [("a", 0.004), ("b", 1.0)])
    assert "0.505 operations in a microsecond before the patch, 0.507 after it, the same within half a" in told
    assert "before: a, with a CPU at it hardly ever; after: b, with 1 CPU at it." in told


# --- what it claims


def test_giving_back_in_turn_costs_no_counter_after_the_patch():
    after = contention.point(V4_14, 32, 3, TURNS, LINE, 10_000)
    before = contention.point(V4_13, 32, 3, TURNS, LINE, 10_000)
    assert share(after, "page_counter_cancel") == 0
    assert share(before, "page_counter_cancel") > 1


def test_two_cgroups_in_turn_drain_the_stock_each_time():
    after = contention.point(V4_14, 32, 3, TWO, LINE, 10_000)
    assert share(after, "page_counter_cancel") > 1
    assert share(after, "drain_stock") > 0


def test_halves_visit_the_counters_once_in_33_uncharges():
    run = contention.point(V4_14, 64, 3, HALVES, APART, 100_000)
    old = contention.point(V4_13, 64, 3, HALVES, APART, 100_000)
    ratio = share(old, "page_counter_cancel") / share(run, "page_counter_cancel")
    assert 33 * 0.6 < ratio < 33 * 2  # before the patch each visit also waits longer


@pytest.mark.parametrize("traffic", contention.TRAFFIC)
@pytest.mark.parametrize("policy", [V4_13, V4_14], ids=["before", "after"])
@pytest.mark.parametrize("cpus", [2, 64, 256])
def test_a_short_run_agrees_with_one_six_times_as_long(monkeypatch, traffic, policy, cpus):
    short = contention.point(policy, cpus, 3, traffic, LINE, 10_000)
    monkeypatch.setattr(contention, "ROUNDS", 6 * contention.ROUNDS)
    monkeypatch.setattr(contention, "OPS_WANTED", 6 * contention.OPS_WANTED)
    long = contention.point.__wrapped__(policy, cpus, 3, traffic, LINE, 10_000)
    assert short.throughput == pytest.approx(long.throughput, rel=0.1)


def test_stocks_are_not_all_empty_when_a_run_begins():
    system, _ = contention._aged(V4_14, 64, 3, HALVES)
    held = [stock.nr_pages for stock in system.stock]
    assert len(set(held[0::2])) > 5  # those that charge
    assert len(set(held[1::2])) > 5  # those that give back
    assert all(rule.holds for rule in system.invariants())


# --- controls


@pytest.mark.parametrize("traffic", ContentionLab.traffics)
@pytest.mark.parametrize("layout", ContentionLab.layouts)
def test_the_extremes_of_every_control_work(traffic, layout):
    lab = ContentionLab(traffic=traffic, counter_layout=layout)
    for cpus, depth, think_ns in ((1, 1, 500), (256, 8, 500), (1, 8, 100_000), (256, 1, 100_000)):
        lab.set(cpus=cpus, depth=depth, think_ns=think_ns)
        assert "That did not work" not in lab.message
        assert lab.settings() == {
            "cpus": cpus,
            "depth": depth,
            "think_ns": think_ns,
            "traffic": traffic,
            "counter_layout": layout,
        }
        assert lab.result.before.throughput > 0
        assert lab.figure().sentence.startswith("Line chart")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"cpus": 0}, "1 to 256"),
        ({"cpus": 257}, "1 to 256"),
        ({"cpus": True}, "whole number"),
        ({"depth": 9}, "1 to 8"),
        ({"think_ns": 499}, "500 to 100,000"),
        ({"think_ns": 1000.0}, "whole number"),
        ({"traffic": "none"}, "it must be one of: every CPU charges"),
        ({"counter_layout": "none"}, "it must be one of: v4.13"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(settings, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        ContentionLab(**settings)


def test_what_was_simulated_once_is_kept(lab):
    lab.set(depth=4)
    before = contention.point.cache_info().misses
    lab.set(depth=3)
    lab.set(depth=4)
    assert contention.point.cache_info().misses == before


def test_a_move_simulates_no_more_than_the_curve_and_the_chosen_point(lab):
    """Each simulation is short, so that a move answers in less than 50 ms of CPU time."""
    moves = [{"think_ns": think_ns} for think_ns in (9_991, 9_992)] + [{"depth": depth} for depth in (6, 7, 8)]
    for move in moves:
        before = contention.point.cache_info().misses
        lab.set(**move)
        assert 0 < contention.point.cache_info().misses - before <= 2 * (len(contention.CURVE) + 1)


def test_random_order_is_the_same_each_time():
    first = contention.point.__wrapped__(V4_14, 8, 2, RANDOM, LINE, 5_000)
    assert first == contention.point.__wrapped__(V4_14, 8, 2, RANDOM, LINE, 5_000)
