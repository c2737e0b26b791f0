"""All CPUs at once on the stage, the side of Python: times, states and words are the machine's own."""

import json
import re

import numpy as np
import pytest

from memcg_lab import CounterLab, DriftLab, PatchLab, StockLab, System, figures
from memcg_lab.history import History
from memcg_lab.labs import Lab, at_once
from memcg_lab.labs.stage import data as stage
from memcg_lab.machine.cache_lines import BEGIN, LOAD, RMW
from memcg_lab.machine.run import DURATION_MAX, begun, simulate
from memcg_lab.mechanism.records import SET_MAX

LABS = [
    PatchLab(traffic="a mixture", at_ns=620, pictures=4),
    PatchLab(at_ns=4000),
    StockLab(at_ns=300),
    CounterLab(at_ns=100),
    CounterLab(traffic="calls of 20 pages, through the stock", limit=1000, at_ns=900),
    CounterLab(traffic="a task that may wait, beside the stock of another CPU", at_ns=900),
    DriftLab(cpus=8, at_ns=700),
    DriftLab(cpus=64, at_ns=700),
]


def machines():
    for lab in LABS:
        for i, one in zip(lab.shown(lab.settings()), lab.result.once, strict=True):
            yield lab, i, one


def simulated(lab, i):
    """The system of a lab, its operations, and the machine's run of them, asked for here once more."""
    settings = lab.settings()
    depth, cgroups, cpus = lab._sizes(settings)
    limits = lab._limits(settings, depth + cgroups)
    system = System(stage.parents(depth, cgroups), cpus=cpus, policy=lab.machines[i].policy, limits=limits)
    ops = lab.stream(settings)
    run = simulate(
        system, ops, think_ns=100, think="fixed", duration_ns=DURATION_MAX, warm_up=0, repeat=False, record=1 << 20
    )
    return system, ops, run


def test_the_states_end_where_the_machine_ends():
    for _, _, one in machines():
        assert one.history.state(0).usage == tuple(one.start["counter.count"])
        assert one.history.state(len(one.history)).usage == tuple(one.end["counter.count"])
        assert one.history.state(len(one.history)).stock == tuple(
            zip(one.end["stock.memcg"], one.end["stock.nr_pages"], strict=True)
        )
        assert int(one.history.total[-1]) == one.end["atomics"]


def test_each_cpu_keeps_its_order_and_no_operation_is_lost():
    mixed = 0
    for lab, _, one in machines():
        ops = lab.stream(lab.settings())
        assert len(one.history) == len(ops)
        for cpu in range(one.ends.size):
            assert (one.history.ops[one.history.ops["cpu"] == cpu] == ops[ops["cpu"] == cpu]).all()
        mixed += (one.history.ops != ops).any()
    assert mixed >= 4  # and yet the order is another one


def test_the_order_of_the_walk_would_lead_elsewhere():
    """What happens at once is not what happens one after the other: other states on the way."""
    lab = DriftLab(cpus=8, at_ns=0)
    (before, _), settings = lab.result.once, lab.settings()
    system = System(stage.parents(2, 1), cpus=8, policy=lab.machines[0].policy)
    ops = lab.stream(settings)
    one_by_one = History(begun(system, ops), ops)
    assert (one_by_one.stock_pages != before.history.stock_pages).any()


def test_all_time_is_accounted_for_as_the_machine_books_it():
    for lab, i, one in machines():
        _, _, run = simulated(lab, i)
        total, queues, travel = at_once.spent(one)
        local, transfer, wait = run.booked_ns.sum(axis=0)
        assert total == pytest.approx(1000 * run.booked_ns.sum())
        assert (sum(queues), travel) == (round(1000 * wait), round(1000 * transfer))
        assert int(one.ends.max()) == round(1000 * run.duration_ns)


def test_a_cpu_begins_as_soon_as_it_has_thought():
    for _, _, one in machines():
        for cpu in range(one.ends.size):
            mine = one.begins["cpu"] == cpu
            begins, over = one.begins["time"][mine], one.over[mine]
            assert (begins[:1] == 100_000).all()
            assert (begins[1:] == over[:-1] + 100_000).all()


def test_a_line_is_nobodys_twice_at_a_time():
    for _, _, one in machines():
        writes = one.touches[one.touches["kind"] == RMW]
        for line in np.unique(writes["line"]):
            mine = writes[writes["line"] == line]
            assert (mine["start"][1:] >= mine["end"][:-1]).all()


def test_begins_are_no_touches():
    run = simulated(*next((lab, i) for lab, i, _ in machines()))[2]
    assert set(run.events["kind"].tolist()) == {RMW, LOAD}
    assert set(run.begins["kind"].tolist()) == {BEGIN}
    assert (np.diff(run.begins["time"]) >= 0).all()
    with pytest.raises(ValueError, match="events; record allows 10"):
        simulate(System.chain(depth=1, cpus=1), stage.stream([[0, 0, 1, 1, 1]] * 9), duration_ns=10_000, record=10)


def test_what_is_said_of_a_moment():
    said = DriftLab(cpus=8, at_ns=700).message
    assert said == (
        "At 700 of 52,477 ns. Before: 4 of 576 operations are over, 2 CPUs wait for root and A. After: 12 of 576 "
        "operations are over, 5 CPUs wait for memory_allocated. Together the CPUs need 52,477 ns before the patch "
        "and 47,339 ns after it. They wait for lines 27 % of their time before the patch (most for A) and 45 % after "
        "it (most for memory_allocated)."
    )
    assert StockLab(at_ns=300).message == (
        "At 300 of 11,178 ns. 2 of 100 operations are over, nobody waits. Together the CPUs need 11,178 ns. They wait "
        "for lines 0 % of their time."
    )
    four = PatchLab(traffic="a mixture", pictures=4, at_ns=620).message
    assert four.startswith("At 620 of 29,094 ns. Together the CPUs need ")
    assert "with hunk 2 alone" in four
    assert PatchLab(traffic=stage.EMPTY, at_ns=0).message == ("There is no operation to run. Make traffic of your own.")


def test_the_note_says_what_is_in_use_from_the_start():
    free, limited = (lab.data()["once"]["note"] for lab in (PatchLab(), CounterLab()))
    assert free.endswith(
        "Without a limit each cgroup begins with 2\u00b3\u2070 pages in use, so that nobody gives back what is not "
        "there; the numbers leave them out. A number below 0 was given back before it was charged here."
    )
    assert "2\u00b3\u2070" not in limited
    assert limited.endswith(
        "With a limit the cgroups begin with nothing in use, and traffic in which that happens is not run."
    )


def test_one_cpu_that_waits_for_a_line_and_what_it_waits_for():
    lab = PatchLab(traffic="a mixture", at_ns=6120)
    before = lab.result.once[0]
    found = at_once.bars(before, lab.result.names)
    (wait,) = found[(found["what"] == "waits") & (found["from_ns"] <= 6120) & (found["to_ns"] > 6120)].to_dict(
        "records"
    )
    assert at_once.waiting(before, 6120) == [1 + lab.result.names.index(wait["line"])]
    assert f"1 CPU waits for {wait['line']}." in lab.message


def test_the_table_leaves_out_what_was_in_flight():
    lab = PatchLab(traffic="ten pages are on their way", at_ns=900)
    table, before = lab.table()["Before"], lab.result.once[0]
    k = at_once.began(before, 900)
    state, start = before.history.state(k), before.history.state(0)
    assert start.usage[0] == 1 << 30
    assert table["pages in the counter of root"] == str(state.usage[0] - start.usage[0])
    assert table["pages in sockets of A"] == str(state.sock[2] - start.sock[2])
    assert table["operations begun"] == str(k)
    early = DriftLab(cpus=8, at_ns=700).table()["After"]
    assert early["pages in sockets of A"].startswith("-")  # given back before it was charged
    lab = DriftLab(cpus=8, traffic="bulk, given back by the last CPU in large lumps", at_ns=22252)
    after = lab.result.once[1].history
    k = at_once.began(lab.result.once[1], 22252)
    held = after.state(k).sock[-1] - after.state(0).sock[-1]
    assert held < -999
    assert lab.table()["After"]["pages in sockets of A"] == f"{held:,}"


def test_with_a_limit_nothing_is_in_flight():
    lab = CounterLab(at_ns=100)
    assert lab.result.once[0].start["counter.count"] == [0, 0, 0]


def test_what_the_machine_does_not_run_is_refused_in_a_sentence():
    said = (
        "All CPUs at once: operation 1, “CPU 0 sets the limit of A to 48 pages”, cannot run. A simulated CPU "
        "can only charge and give back (charge_skmem, uncharge_skmem, try_charge, cancel_charge); set limits "
        "beforehand."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        PatchLab(traffic="a limit is met", at_ns=0)
    with pytest.raises(ValueError, match="1,001 operations are too many; up to 1,000 are run"):
        PatchLab(own="0a.1x999,0a.1x2", fork=0, at_ns=0)
    with pytest.raises(
        ValueError, match="operation 1 of CPU 1, .CPU 1 gives back 60 pages of A, past the stock., comes"
    ):
        CounterLab(own="0a.40,0a.40,1a-60", fork=0, limit=1000, at_ns=0, limit_level=2)


@pytest.mark.parametrize("at_ns", [-1, 10**6, 1.5, "4", True])
def test_a_time_that_is_not_there_is_refused(at_ns):
    with pytest.raises(ValueError, match="at_ns is .* must be a whole number"):
        PatchLab(at_ns=at_ns)


def test_the_setting_goes_along_and_only_if_it_is_chosen():
    lab = PatchLab(at_ns=620)
    assert json.loads(lab.to_json())["settings"]["at_ns"] == 620
    assert Lab.from_json(lab.to_json()).message == lab.message
    assert "at_ns=620" in lab.code_line()
    assert "at_ns" not in PatchLab().code_line()
    lab.set(at_ns=None)
    assert lab.message == PatchLab().message


def test_the_picture_has_a_lane_for_each_cpu():
    for lab in LABS:
        figure = lab.figure()
        assert figure.sentence.startswith("Lanes, one for each of ")
        assert lab.sentence() in lab.to_html().replace("&#x27;", "'")
    bars = at_once.bars(LABS[6].result.once[0], LABS[6].result.names)
    drawn = figures.lanes({"before": bars}, 8, at_ns=700, window_ns=1500)
    seen = bars[(bars["to_ns"] > 0) & (bars["from_ns"] < 1500)]
    patches = drawn.figure.axes[0].patches
    assert len(patches) == len(seen)
    hatched = [bar for bar in patches if bar.get_hatch()]
    assert len(hatched) == (seen["what"] == "waits").sum() > 5
    waits = seen[seen["what"] == "waits"]
    assert drawn.table["waits, ns"].item() == round((waits["to_ns"].clip(upper=1500) - waits["from_ns"]).sum())


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"bars": {}}, "at least one machine"),
        ({"cpus": 0}, "cpus is 0"),
        ({"at_ns": -1}, "at_ns is -1"),
        ({"window_ns": 0}, "window_ns is 0"),
    ],
)
def test_lanes_of_nothing_are_refused(given, why):
    bars = at_once.bars(LABS[2].result.once[0], LABS[2].result.names)
    with pytest.raises(ValueError, match=why):
        figures.lanes(**{"bars": {"one": bars}, "cpus": 1, "at_ns": 0, "window_ns": 100, **given})


def test_the_front_end_gets_the_machines_events_and_the_step_log():
    lab = PatchLab(traffic="a mixture", at_ns=0)
    rows = lab.stream(lab.settings())
    tree, limit = {"parents": stage.parents(2, 2), "cpus": 2, "limits": None}, [[int(SET_MAX), 0, 2, 9, 0]]
    ops = [[int(row[name]) for name in ("op", "cpu", "memcg", "nr", "ctx")] for row in rows]
    told = lab.answer({"ask": "at once", "tree": tree, "ops": ops, "machines": [1, 0], "names": lab.result.names})
    before = lab.result.once[0]
    events = before.begins.tobytes() + before.touches.tobytes()
    assert told["blobs"][2:] == [events, before.history.log.rows.tobytes()]
    assert (told["starts"][1], told["ends"][1]) == (before.start, before.end)
    with pytest.raises(ValueError, match="A simulated CPU can only charge and give back"):
        lab.answer({"ask": "at once", "tree": tree, "ops": limit, "machines": [0], "names": "rxA"})
