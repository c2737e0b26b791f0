"""The counter, stock and drift labs say what the mechanism does, at every extreme of every control."""

import re
import time

import numpy as np
import pytest

from memcg_lab import UNCHARGE_ONLY, V4_13, V4_14, CounterLab, DriftLab, StockLab, System, figures
from memcg_lab.labs import counter, drift, sketch, stock
from memcg_lab.mechanism.steps import STEP_CONSUME_MISS

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
    run = stock.run(traffic, policy)
    system = System.siblings(2, cpus=1, policy=stock.POLICIES[policy])
    assert len(run.history) == stock.OPERATIONS
    for k in range(stock.OPERATIONS + 1):
        work = system.work()
        assert run.level[k] == system.stock[0].nr_pages
        assert run.sums["hit"][k] == work.stock_hits
        assert run.sums["drain"][k] == work.drains
        assert run.sums["trip"][k] * stock.LEVELS == work.atomics
        if k < stock.OPERATIONS:
            system.replay(run.history.ops[k : k + 1])
    looked = int((run.history.log.rows["step"] == STEP_CONSUME_MISS).sum())
    assert run.sums["miss"][-1] == looked  # a call above the batch does not look, so it is no miss here


def test_the_stock_lab_tells_an_operation():
    assert StockLab(traffic="single pages", position=33).message == (
        "Operation 33 of 100, CPU 0 charges 1 page to memcg 1. Miss: 0 in the stock, 1 asked for. Trip: 32 pages "
        "charged at every level. Refill: 31 pages into the stock, now 31. The stock holds 31 pages of memcg 1; so far "
        "2 trips, 31 hits and 2 misses."
    )


@pytest.mark.parametrize(
    ("traffic", "policy", "position", "told"),
    [
        ("single pages", "v4.13", 32, "The stock holds 0 pages of memcg 1"),
        ("single pages", "v4.13", 1, "Miss: the stock belongs to nobody."),
        ("calls of 33 pages", "v4.13", 1, "33 pages are more than a batch, so the stock is not asked"),
        ("calls of 20 pages", "v4.13", 2, "Miss: 12 in the stock, 20 asked for."),
        ("two cgroups take turns", "v4.13", 2, "Miss: the stock belongs to memcg 1."),
        ("two cgroups take turns", "v4.13", 2, "Drain: 31 pages of memcg 1 leave the stock. Trip: 31 pages of memcg 1"),
        ("charge and give back", "v4.13", 2, "Trip: 1 page of memcg 1 taken off every level. The stock holds 31"),
        ("charge and give back", "v4.14", 2, "back. Refill: 1 page into the stock, now 32. The stock holds 32"),
    ],
)
def test_each_rule_is_told_in_words(traffic, policy, position, told):
    lab = StockLab(traffic=traffic, policy=policy, position=position)
    assert told in lab.message
    assert "no stock" not in lab.screen.value


def test_the_stock_is_drained_by_the_cap_only_after_the_patch():
    told = {
        policy: " ".join(
            event.told for events in stock.run("mixed sizes, given back later", policy).events for event in events
        )
        for policy in ("v4.13", "v4.14")
    }
    assert "leave the stock" not in told["v4.13"]
    assert "leave the stock" in told["v4.14"]


def test_the_owner_changes_with_every_operation_when_cgroups_take_turns():
    owners = stock.run("two cgroups take turns", "v4.13").history.stock_memcg[:, 0, 0].tolist()
    assert all(a != b for a, b in zip(owners, owners[1:], strict=False))


@pytest.mark.parametrize("traffic", StockLab.traffics)
@pytest.mark.parametrize("policy", ["v4.13", "v4.14"])
def test_the_extremes_of_the_stock_lab_work(traffic, policy):
    lab = StockLab()
    for position in (0, 1, stock.OPERATIONS):
        lab.set(traffic=traffic, policy=policy, position=position)
        assert "That did not work" not in lab.message
        assert lab.settings() == {"traffic": traffic, "policy": policy, "position": position}
        table = lab.table()
        assert table.loc["pages in the stock", "value"] == lab.result.run.level[position]
        assert f"The stock holds {table.loc['pages in the stock', 'value']} " in lab.message or position == 0
    assert lab.figure().table[policy].iloc[-2] == lab.result.run.level[-1]


def test_the_buttons_of_the_stock_lab_go_from_trip_to_trip():
    lab = StockLab(position=0)
    stops = []
    for _ in range(4):
        lab.next_landmark.click()
        stops.append(lab.position.value)
    assert stops == [1, 33, 65, 97]
    lab.next_landmark.click()
    assert lab.message == "After operation 97 no operation goes to the counters."
    lab.last.click()
    lab.next.click()
    assert lab.position.value == 100
    lab.back.click()
    assert lab.position.value == 99
    lab.first.click()
    assert lab.position.value == 0
    assert lab.message == "Nothing has run yet: 100 operations wait. The stock is empty."


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
    assert lab.settings() == {
        "depth": depth,
        "limit": limit,
        "limit_level": limit_level,
        "traffic": traffic,
        "position": 0,
    }
    limits = [limit if level == limit_level else -1 for level in range(depth + 1)]
    system = System.chain(depth, cpus=2, policy=V4_13, limits=limits)
    ops = lab.result.run.history.ops
    for k in range(1, counter.OPERATIONS + 1):
        done = system.replay(ops[k - 1 : k])
        lab.position.value = k
        assert "That did not work" not in lab.message
        table, state = lab.table(), system.snapshot()
        for column, field in (("count", "usage"), ("watermark", "max"), ("failcnt", "failcnt")):
            assert table[column].tolist() == state[field][::-1]
        assert table["atomics in this operation"].sum() == done.atomics
        assert f"{done.atomics} atomic" in lab.message
        assert f"so far {system.work().atomics:,} atomic" in lab.message
        refused = sum(state["failcnt"])
        assert f"and {refused:,} failure" in lab.message


@pytest.mark.parametrize("depth", [1, 5])
def test_somebody_refuses_whatever_the_limit(depth):
    for limit in (1, counter.LIMIT_MAX):
        lab = CounterLab(depth=depth, limit=limit, limit_level=depth, traffic=FORTY, position=0)
        lab.next_landmark.click()
        assert "refused by the leaf" in lab.message
        lab.last.click()
        lab.next_landmark.click()
        assert lab.message == "After operation 32 nobody refuses."


@pytest.mark.parametrize("level", range(5))
def test_a_refusal_costs_an_addition_and_a_subtraction_up_to_the_level(level):
    lab = CounterLab(depth=4, limit=100, limit_level=level, traffic=AROUND, position=1)
    assert f"at the cost of {2 * (4 - level + 1)} atomics" in lab.message
    raised = lab.table()["watermark"].tolist()
    assert raised == [101] * (4 - level) + [0] * (level + 1)


@pytest.mark.parametrize(
    ("traffic", "position", "told"),
    [
        (FORTY, 2, "it fits, with 3 atomics."),
        (FORTY, 3, "refused by memcg 1, at the cost of 4 atomics."),
        (AROUND, 2, "it fits, with 3 atomics. The leaf counts 100 pages, the limit is 100;"),
        (AROUND, 3, "refused by memcg 1, twice, at the cost of 8 atomics."),
        (AROUND, 4, "given back at every level, with 3 atomics."),
        (THROUGH, 3, "served from the stock, with 0 atomics."),
        (FORCED, 3, "refused by memcg 1, twice, and charged all the same; that costs 11 atomics."),
        (WAITS, 4, "refused by memcg 1, but it fits after the stocks were drained; that costs 10 atomics."),
        (WAITS, 5, "refused by memcg 1, but without a whole batch it fits; that costs 7 atomics."),
        (WAITS, 6, "refused by memcg 1, 7 times, and out of memory in the end, at the cost of 28 atomics."),
    ],
)
def test_each_outcome_is_told_in_words(traffic, position, told):
    lab = CounterLab(traffic=traffic, position=position)
    assert told in lab.message
    assert lab.screen.value.count(">ATOMIC<") == lab.result.run.history.atomics[position - 1]


def test_the_level_of_the_limit_follows_the_depth():
    lab = CounterLab(depth=5, limit_level=5)
    lab.depth.value = 2
    assert lab.limit_level.value == 2
    assert "That did not work" not in lab.message
    lab.set(limit_level=4, depth=4)  # whatever the order they are written in
    assert lab.limit_level.value == 4
    lab.reset.click()
    assert (lab.depth.value, lab.limit_level.value) == (5, 5)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"depth": 0}, "1 to 5"),
        ({"depth": 6}, "1 to 5"),
        ({"depth": 2, "limit_level": 3}, "limit_level is 3; it must be a whole number from 0 to 2"),
        ({"limit_level": -1}, "0 to 2"),
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
    moves = [a != b for a, b in zip(lab.result.run.count, lab.result.run.count[1:], strict=False)]
    assert sum(moves) >= 10
    assert "refused by memcg 1" in lab.message  # a refusal that leaves only a watermark
    assert lab.table()["count"].tolist() == [0, 0, 0]
    assert lab.table()["watermark"].iloc[0] == 101


def test_the_start_of_the_counter_lab_says_where_the_limit_is():
    lab = CounterLab(depth=2, limit=7, limit_level=0, position=0)
    assert lab.message == "Nothing has run yet: 32 operations wait. The limit of root is 7 pages."
    assert lab.table()["count"].tolist() == [0, 0, 0]


# --- the drift lab


@pytest.mark.parametrize("traffic", DriftLab.traffics)
@pytest.mark.parametrize(("cpus", "depth"), [(1, 1), (4, 2), (64, 5)])
def test_the_extremes_of_the_drift_lab_agree_with_a_record(traffic, cpus, depth):
    lab = DriftLab()
    for cap, policy in ((True, V4_14), (False, UNCHARGE_ONLY)):
        lab.set(cpus=cpus, depth=depth, cap=cap, traffic=traffic)
        assert lab.settings() == {"cpus": cpus, "depth": depth, "cap": cap, "traffic": traffic}
        assert "That did not work" not in lab.message
        for label, rules in (("before", V4_13), (lab.result.label, policy)):
            run = figures.record(System.chain(depth, cpus=cpus, policy=rules), drift.TRAFFIC[traffic](cpus, depth))
            ahead = run["usage"] - run["sock"]
            assert (ahead == run["in_stocks"]).all()
            column = lab.table()[label]
            assert column["largest drift, pages"] == ahead.max()
            assert column["drift at the end, pages"] == ahead.iloc[-1]
            assert column["atomics"] == run["atomics"].iloc[-1]
            assert lab.figure().table.loc["peak", label] == ahead.max()
        peak = lab.table()[lab.result.label]["largest drift, pages"]
        assert f"up to {peak:,} page" in lab.message
        assert f"({4 * peak:,} KiB)" in lab.message


@pytest.mark.parametrize("traffic", DriftLab.traffics)
@pytest.mark.parametrize("cpus", [1, 3, 8, 64])
def test_with_the_cap_no_drift_exceeds_its_bound(traffic, cpus):
    assert drift.drift(V4_14, cpus, 1, traffic).pages.max() <= 32 * cpus
    assert drift.drift(V4_13, cpus, 1, traffic).pages.max() <= 31 * cpus


def test_depth_does_not_multiply_the_drift():
    shallow, deep = (drift.drift(V4_14, 8, depth, FILL) for depth in (1, 5))
    assert shallow.pages.max() == deep.pages.max() == 8 * 32
    assert set(deep.levels) == {256}


def test_the_verdict_on_the_bound_is_told():
    assert "(1,024 KiB) and is reached." in DriftLab(cpus=8, traffic=FILL).message
    assert "and is not reached." in DriftLab().message
    lab = DriftLab(cap=False, traffic="bulk, given back by the last CPU in large lumps")
    assert "after the patch without its cap" in lab.message
    assert re.search(r"is exceeded by a factor of \d+\.", lab.message)
    assert 'class="over"' in lab.screen.value
    assert 'class="over"' not in DriftLab().screen.value


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


# --- speed, and what the sketch shows


def moves_of(name):
    if name == "stock":
        lab = StockLab(traffic="mixed sizes, given back later")
        return [lambda k=k: lab.position.__setattr__("value", k) for k in range(2, 22)]
    if name == "counter":
        lab = CounterLab(depth=5, limit_level=4, traffic=WAITS)
        return [lambda k=k: lab.limit.__setattr__("value", k) for k in range(40, 60)]
    lab = DriftLab(cpus=64)
    return [lambda k=k: lab.cpus.__setattr__("value", k) for k in range(63, 43, -1)]


@pytest.mark.parametrize("name", ["stock", "counter", "drift"])
def test_a_move_answers_in_50_ms_of_cpu(name):
    assert median_cpu(moves_of(name)) < 0.05


@pytest.mark.parametrize("lab", [StockLab(position=40), CounterLab(), DriftLab()], ids=lambda lab: type(lab).__name__)
def test_the_sketch_shows_the_lines_of_the_figure(lab):
    shown = re.findall(r">([^<>]+: (?:up to )?[\d,]+)</text>", lab.picture.value)
    drawn = [label.get_text() for label in lab.figure().figure.axes[0].texts]
    assert sorted(shown) == sorted(drawn)
    assert sum(": up to " in label for label in drawn) == len(drawn) - 1  # all but the bound: the words say peaks
    assert all(line.get_linestyle() == "-" for line in lab.figure().figure.axes[0].lines[: len(drawn) - 1])
    assert not any("dasharray" in path for path in re.findall(r"<path [^>]*>", lab.picture.value))
    assert ('class="cursor"' in lab.picture.value) == hasattr(lab.result, "position")


def test_a_sketch_escapes_what_it_is_told():
    drawn = sketch.lines({"<b>": [0, 1]}, "pages & more", 'a "quoted" <i>', bound=0)
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert "pages &amp; more" in drawn


def test_the_labels_of_a_sketch_stay_inside_and_apart():
    drawn = sketch.lines({"a": [0, 9], "b": [0, 9], "c": [0, 0], "d": [0, 0]}, "pages", "Four lines.", bound=9)
    at = sorted(float(y) for y in re.findall(r'y="([\d.]+)" fill="[^"]+" font-weight="bold"', drawn))
    assert len(at) == 5
    assert min(b - a for a, b in zip(at, at[1:], strict=False)) >= 17.9
    assert at[0] >= 12
    assert at[-1] <= sketch.HEIGHT
