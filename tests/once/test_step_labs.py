"""The counter, stock and drift labs say what the mechanism does, at every extreme of every setting."""

import re
import time

import numpy as np
import pytest

from memcg_lab import UNCHARGE_ONLY, V4_13, V4_14, CounterLab, DriftLab, StockLab, System, figures
from memcg_lab.labs import counter, stock
from memcg_lab.mechanism.steps import STEP_FAILCNT

FORTY = "charges of 40 pages, until somebody refuses"
AROUND = "one page above the limit, then exactly the limit"
THROUGH = "calls of 20 pages, through the stock"
FORCED = "socket charges of 40 pages, which are never turned away"
WAITS = "a task that may wait, beside the stock of another CPU"
FILL = "every CPU in turn fills its stock"


def median_cpu(moves):
    """Median CPU time of some moves, in seconds."""
    taken = []
    for move in moves:
        start = time.process_time()
        move()
        taken.append(time.process_time() - start)
    return np.median(taken)


# --- the stock lab


@pytest.mark.parametrize("traffic", StockLab.traffics)
@pytest.mark.parametrize("policy", ["v4.13", "v4.14"])
def test_the_sums_of_the_stock_lab_are_the_systems(traffic, policy):
    lab = StockLab(traffic=traffic, policy=policy)
    past = lab.result.pasts[0]
    system = System.siblings(2, cpus=1, policy=past.policy)
    assert len(past) == stock.OPERATIONS
    for k in range(stock.OPERATIONS + 1):
        work, sums = system.work(), lab.counted(lab.result, k)
        assert past.stock_pages[k, 0, 0] == system.stock[0].nr_pages
        assert sums["hits"] == work.stock_hits
        assert sums["drains"] == work.drains
        assert sums["trips to the counters"] * 2 == work.atomics  # the root and the cgroup
        if k < stock.OPERATIONS:
            system.replay(past.ops[k : k + 1])
    small = past.ops["nr"][past.ops["op"] == 0] <= 32
    assert sums["misses"] + sums["hits"] == small.sum()  # a call above the batch does not look


def test_the_stock_lab_tells_an_operation():
    lab = StockLab(traffic="single pages", position=33)
    assert lab.message == "33 of 100: CPU 0 charges 1 page to A. A miss, 2 atomics. So far 4 atomics."
    sums = lab.table()["v4.13"]
    assert sums[["trips to the counters so far", "hits so far", "misses so far"]].tolist() == [2, 31, 2]
    assert sums[["pages in the stock of CPU 0", "owner of the stock of CPU 0"]].tolist() == [31, "A"]


@pytest.mark.parametrize(
    ("traffic", "policy", "position", "told"),
    [
        ("single pages", "v4.13", 1, "A miss, 2 atomics."),
        ("single pages", "v4.13", 32, "Served from the stock, no atomic."),
        ("calls of 33 pages", "v4.13", 1, "Too large for the stock, 2 atomics."),
        ("calls of 20 pages", "v4.13", 2, "A miss"),
        ("two cgroups take turns", "v4.13", 2, "A miss, A's 31 pages are drained first, 4 atomics."),
        ("charge and give back", "v4.13", 2, "Straight to the counters, 2 atomics."),
        ("charge and give back", "v4.14", 2, "Into the stock, no atomic."),
    ],
)
def test_each_rule_is_told_in_words(traffic, policy, position, told):
    assert told in StockLab(traffic=traffic, policy=policy, position=position).message


def test_the_stock_is_drained_by_the_cap_only_after_the_patch():
    told = {
        policy: " ".join(
            StockLab(traffic="mixed sizes, given back later", policy=policy, position=k).message
            for k in range(stock.OPERATIONS + 1)
        )
        for policy in ("v4.13", "v4.14")
    }
    assert "he stock passes 32 and is emptied" not in told["v4.13"]
    assert "he stock passes 32 and is emptied" in told["v4.14"]


def test_the_owner_changes_with_every_operation_when_cgroups_take_turns():
    owners = StockLab(traffic="two cgroups take turns").result.pasts[0].stock_memcg[:, 0, 0].tolist()
    assert all(a != b for a, b in zip(owners, owners[1:], strict=False))


@pytest.mark.parametrize("traffic", StockLab.traffics)
@pytest.mark.parametrize("policy", ["v4.13", "v4.14"])
def test_the_extremes_of_the_stock_lab_work(traffic, policy):
    lab = StockLab()
    for position in (0, 1, stock.OPERATIONS):
        lab.set(traffic=traffic, policy=policy, position=position)
        assert lab.told() == {"traffic": traffic, "policy": policy, "position": position}
        held = lab.table().loc["pages in the stock of CPU 0", policy]
        assert held == lab.result.pasts[0].stock_pages[position, 0, 0]
    assert lab.figure().table[policy].iloc[-2] == held


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"traffic": "none"}, "it must be one of: single pages;"),
        ({"policy": "v6.1"}, "it must be one of: v4.13; v4.14"),
        ({"policy": V4_13}, "it must be one of"),
        ({"position": 101}, "0 to 100"),
        ({"position": -1}, "0 to 100"),
        ({"position": True}, "whole number"),
    ],
)
def test_wrong_settings_of_the_stock_lab_are_refused(settings, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        StockLab(**settings)


# --- the counter lab


@pytest.mark.parametrize("traffic", CounterLab.traffics)
@pytest.mark.parametrize(
    ("depth", "limit", "limit_level"), [(1, 1, 0), (2, 100, 1), (5, 1000, 5), (5, 100, 0), (3, 31, 3)]
)
def test_the_extremes_of_the_counter_lab_agree_with_the_system(traffic, depth, limit, limit_level):
    lab = CounterLab(position=0)
    lab.set(depth=depth, limit=limit, limit_level=limit_level, traffic=traffic)
    limits = [limit if level == limit_level else -1 for level in range(depth + 1)]
    system = System.chain(depth, cpus=2, policy=V4_13, limits=limits)
    ops = lab.result.pasts[0].ops
    for k in range(1, counter.OPERATIONS + 1):
        done = system.replay(ops[k - 1 : k])
        lab.set(position=k)
        table, state = lab.table(), system.snapshot()
        for column, field in (("count", "usage"), ("watermark", "max"), ("failcnt", "failcnt")):
            assert table[column].tolist() == state[field][::-1]
        assert table["atomics in this operation"].sum() == done.atomics
        assert (f"{done.atomics} atomic" if done.atomics else "no atomic") in lab.message
        assert f"So far {system.work().atomics:,} atomic" in lab.message


@pytest.mark.parametrize("depth", [1, 5])
def test_somebody_refuses_whatever_the_limit(depth):
    for limit in (1, counter.LIMIT_MAX):
        lab = CounterLab(depth=depth, limit=limit, limit_level=depth, traffic=FORTY, position=0)
        refused = [
            k
            for k in range(counter.OPERATIONS)
            if any(step.step == STEP_FAILCNT for step in lab.result.pasts[0].steps(k))
        ]
        lab.set(position=refused[0] + 1)
        assert "Refused by A, it does not fit" in lab.message


@pytest.mark.parametrize("level", range(5))
def test_a_refusal_costs_an_addition_and_a_subtraction_up_to_the_level(level):
    lab = CounterLab(depth=4, limit=100, limit_level=level, traffic=AROUND, position=1)
    assert f"it does not fit, {2 * (4 - level + 1)} atomics." in lab.message
    raised = lab.table()["watermark"].tolist()
    assert raised == [101] * (4 - level) + [0] * (level + 1)


@pytest.mark.parametrize(
    ("traffic", "position", "told"),
    [
        (FORTY, 2, "Too large for the stock, 3 atomics."),
        (FORTY, 3, "Refused by level 1, it does not fit, 4 atomics."),
        (AROUND, 2, "charges 100 pages, not socket memory, to A. Too large for the stock, 3 atomics."),
        (AROUND, 3, "Refused 2 times by level 1, it does not fit, 8 atomics."),
        (AROUND, 4, "gives back 100 pages of A, past the stock. Straight to the counters, 3 atomics."),
        (THROUGH, 3, "Served from the stock, no atomic."),
        (FORCED, 3, "Refused 2 times by level 1, over the limit, so it is forced in, 11 atomics."),
        (WAITS, 4, "Refused by level 1, CPU 1 gives up 30 pages of A, then it fits, 10 atomics."),
        (WAITS, 5, "Refused by level 1, then it fits, 7 atomics."),
        (WAITS, 6, "Refused 7 times by level 1, out of memory in the end, 28 atomics."),
    ],
)
def test_each_outcome_is_told_in_words(traffic, position, told):
    assert told in CounterLab(traffic=traffic, position=position).message


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"depth": 0}, "1 to 5"),
        ({"depth": 6}, "1 to 5"),
        ({"depth": 2, "limit_level": 3}, "limit_level is 3; it must be a whole number from 0 to 2"),
        ({"limit_level": -1}, "0 to"),
        ({"limit": 0}, "1 to 1,000"),
        ({"limit": 1001}, "1 to 1,000"),
        ({"limit": 10.0}, "whole number"),
        ({"traffic": 7}, "it must be one of"),
        ({"position": 33}, "0 to 32"),
    ],
)
def test_wrong_settings_of_the_counter_lab_are_refused(settings, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        CounterLab(**settings)


def test_the_counter_lab_begins_where_something_moves():
    lab = CounterLab()
    count = lab.result.pasts[0].usage[:, 2]
    assert (np.diff(count) != 0).sum() >= 10
    assert "Refused by level 1" in lab.message  # a refusal that leaves only a watermark
    assert lab.table()["count"].tolist() == [0, 0, 0]
    assert lab.table()["watermark"].iloc[0] == 101


def test_the_table_of_the_counter_lab_says_where_the_limit_is():
    lab = CounterLab(depth=2, limit=7, limit_level=0, position=0)
    assert lab.table()["limit"].to_dict() == {"A": "none", "level 1": "none", "root": "7"}
    assert lab.table()["count"].tolist() == [0, 0, 0]


# --- the drift lab


@pytest.mark.parametrize("traffic", DriftLab.traffics)
@pytest.mark.parametrize(("cpus", "depth"), [(1, 1), (4, 2), (64, 5)])
def test_the_extremes_of_the_drift_lab_agree_with_a_record(traffic, cpus, depth):
    lab = DriftLab()
    for cap, policy in ((True, V4_14), (False, UNCHARGE_ONLY)):
        lab.set(cpus=cpus, depth=depth, cap=cap, traffic=traffic)
        assert lab.told() == {"cpus": cpus, "depth": depth, "cap": cap, "traffic": traffic}
        assert "That did not work" not in lab.message
        for label, rules in (("before", V4_13), (lab.table().columns[1], policy)):
            run = figures.record(System.chain(depth, cpus=cpus, policy=rules), lab.stream(lab.settings()))
            ahead = run["usage"] - run["sock"]
            assert (ahead == run["in_stocks"]).all()
            column = lab.table()[label]
            assert column["largest drift, pages"] == ahead.max()
            assert column["drift at the end, pages"] == ahead.iloc[-1]
            assert column["atomics"] == run["atomics"].iloc[-1]
            assert lab.figure().table.loc["peak", label] == ahead.max()
        peak = lab.table().iloc[:, 1]["largest drift, pages"]
        assert f"up to {peak:,} page" in lab.message
        assert f"({4 * peak:,} KiB)" in lab.message


@pytest.mark.parametrize("traffic", DriftLab.traffics)
@pytest.mark.parametrize("cpus", [1, 3, 8, 64])
def test_with_the_cap_no_drift_exceeds_its_bound(traffic, cpus):
    lab = DriftLab(cpus=cpus, depth=1, traffic=traffic)
    before, after = (ahead[:, -1].max() for ahead in lab.drift(lab.result))
    assert after <= 32 * cpus
    assert before <= 31 * cpus


def test_depth_does_not_multiply_the_drift():
    for depth in (1, 5):
        lab = DriftLab(cpus=8, depth=depth, traffic=FILL)
        assert set(lab.drift(lab.result)[1].max(axis=0).tolist()) == {8 * 32}


def test_the_verdict_on_the_bound_is_told():
    assert "(1,024 KiB) and is reached." in DriftLab(cpus=8, traffic=FILL).message
    assert "and is not reached." in DriftLab().message
    lab = DriftLab(cap=False, traffic="bulk, given back by the last CPU in large lumps")
    assert "after the patch without its cap" in lab.message
    assert re.search(r"is exceeded by a factor of \d+\.", lab.message)
    assert lab.table().loc["fullest stock at the peak, pages"].iloc[1] > 32


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"cpus": 0}, "1 to 64"),
        ({"cpus": 65}, "1 to 64"),
        ({"depth": 6}, "1 to 5"),
        ({"cap": 1}, "cap is 1; it must be True or False"),
        ({"cap": None}, "True or False"),
        ({"traffic": ""}, "it must be one of"),
    ],
)
def test_wrong_settings_of_the_drift_lab_are_refused(settings, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        DriftLab(**settings)


# --- speed, and what the pictures show


def moves_of(name):
    if name == "stock":
        lab = StockLab(traffic="mixed sizes, given back later")
        return [lambda k=k: lab.set(position=k) for k in range(2, 22)]
    if name == "counter":
        lab = CounterLab(depth=5, limit_level=4, traffic=WAITS)
        return [lambda k=k: lab.set(limit=k) for k in range(40, 60)]
    lab = DriftLab(cpus=64)
    return [lambda k=k: lab.set(cpus=k) for k in range(63, 43, -1)]


@pytest.mark.parametrize("name", ["stock", "counter", "drift"])
def test_a_move_answers_in_50_ms_of_cpu(name):
    assert median_cpu(moves_of(name)) < 0.05


@pytest.mark.parametrize("lab", [StockLab(position=40), CounterLab(), DriftLab()], ids=lambda lab: type(lab).__name__)
def test_lines_that_go_up_and_down_are_solid_and_labelled_with_their_peak(lab):
    axes = lab.figure().figure.axes[0]
    labels = [label.get_text() for label in axes.texts]
    assert sum(": up to " in label for label in labels) == len(labels) - 1  # all but the bound
    assert all(line.get_linestyle() == "-" for line in axes.lines[: len(labels) - 1])
