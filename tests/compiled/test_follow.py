"""Recordings are followed slot by slot: a policy with two slots is predicted, and its drift is that of both."""

import functools
import itertools

import numpy as np
import pytest

from lab_helpers import without_compiler
from memcg_lab import V6_1, System, mixed, op
from memcg_lab.files import data_path
from memcg_lab.mechanism.records import CANCEL_CHARGE, UNCHARGE_SKMEM
from memcg_lab.mechanism.steps import STEP_DRAIN, STEP_DRAIN_OWNER, STEP_REFILL, STEP_TRY_ADD
from memcg_lab.system import Stock
from memcg_lab.traces.check import check_trace, walk_trace
from memcg_lab.traces.predict import predictions
from memcg_lab.traces.rows import Row, SlotRow, write_rows
from memcg_lab.traces.text import read_rows
from memcg_lab.traces.what_if import trace_ops, what_if
from two_slots import TWO_SLOTS, place, put, refill

CPUS, MEMCGS = 2, (1, 2, 3)
own_rule = pytest.mark.own_rule
two_slots_and_v6_1 = [pytest.param(TWO_SLOTS, id="two slots", marks=own_rule), pytest.param(V6_1, id="v6.1")]


def slots(system, cpu):
    """What each slot holds, as a trace says it: (cgroup or 0, pages)."""
    return [(max(int(slot["memcg"]), 0), int(slot["nr_pages"])) for slot in system.mechanism_state().stock[cpu]]


def shown(held, memcg):
    """The slot that a row shows: that of this cgroup, else an empty one, else slot 0, which a refill would drain."""
    owners = [owner for owner, _ in held]
    return next((owners.index(owner) for owner in (memcg, 0) if owner in owners), 0)


@functools.lru_cache
def recorded(policy, ops=800, seed=1):
    """Rows that a kernel with this policy would record, each with its slot, and the pages in all stocks after each."""
    system = System.siblings(len(MEMCGS), cpus=CPUS, policy=policy)
    rows, pages, t = [], [], itertools.count()
    for one in mixed(ops, cpus=CPUS, memcgs=list(MEMCGS), mix={1: 5, 8: 2, 16: 2, 80: 1}, in_flight=120, seed=seed):
        cpu, memcg, nr = int(one["cpu"]), int(one["memcg"]), int(one["nr"])
        gives_back = one["op"] == UNCHARGE_SKMEM
        held = slots(system, cpu)
        slot = shown(held, memcg)
        look = {"cached": held[slot][0], "avail": held[slot][1], "slot": slot}
        name = "uncharge_skmem" if gives_back else "charge_skmem"
        steps = system.step_through(op(name, cpu=cpu, memcg=memcg, nr=nr)).rows

        def add(ev, memcg=memcg, nr=nr, cached=-1, avail=-1, slot=-1, cause="", cpu=cpu):
            rows.append(SlotRow(len(rows) + 2, cpu, next(t), 100 + cpu, 0, ev, memcg, nr, cached, avail, cause, slot))

        add("unc" if gives_back else "chg")
        if not gives_back:
            add("try", cause="skmem")
        if not gives_back and nr <= policy.batch:
            add("cons", **look)
        for kind, before, after in zip(steps["step"], steps["before"], steps["after"]):
            if kind == STEP_TRY_ADD and rows[-1].ev != "pctry":
                add("pctry", nr=int(after - before))
            elif kind == STEP_REFILL:
                add("refill", nr=int(after - before), cause="skmem" if gives_back else "surplus", **look)
        drained = [int(row["before"]) for row in steps if row["step"] in (STEP_DRAIN, STEP_DRAIN_OWNER)]
        for nr_pages, owner in zip(drained[::2], drained[1::2]):
            add("pcunc", memcg=owner, nr=nr_pages, cause="stock")
        pages += [[sum(nr for _, nr in slots(system, c)) for c in range(CPUS)]] * (len(rows) - len(pages))
    return rows, np.array(pages)


def unnamed(rows):
    """The rows without their slots."""
    return [Row(*row[:-1]) for row in rows]


@pytest.mark.parametrize("named", [False, True], ids=["slots unnamed", "slots named"])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("policy", two_slots_and_v6_1)
def test_a_trace_with_every_slot_used_is_followed_from_its_first_event(policy, seed, named):
    rows, _ = recorded(policy, seed=seed)
    verdict = check_trace(rows if named else unnamed(rows), policy)
    assert verdict.findings == []
    assert verdict.predicted > 1000


@without_compiler
def test_both_slots_are_used_and_another_rule_predicts_clearly_less():
    rows = recorded(TWO_SLOTS)[0]
    held = {(row.cpu, row.cached) for row in rows if row.cached > 0}
    assert held == {(cpu, memcg) for cpu in range(CPUS) for memcg in MEMCGS}
    for other in (
        TWO_SLOTS.with_rules("batch 31", batch=31),
        TWO_SLOTS.with_rules("no cap", refill=put, uncapped=None),
        TWO_SLOTS.with_rules("one slot", slots=1),
    ):
        verdict = check_trace(unnamed(rows), other)
        assert verdict.predicted < 0.97 * verdict.events, other


@own_rule
@pytest.mark.parametrize(
    ("ev", "field"),
    [("cons", "avail"), ("refill", "avail"), ("refill", "cached"), ("refill", "slot"), ("pcunc", "nr")],
)
def test_one_wrong_thing_in_either_slot_is_found(ev, field):
    rows, _ = recorded(TWO_SLOTS)
    places = [k for k, row in enumerate(rows) if row.ev == ev and row.cached != 0]
    for place_ in places[len(places) // 4 :: max(1, len(places) // 6)]:
        spoilt = list(rows)
        value = getattr(rows[place_], field)
        wrong = {"cached": 9, "slot": 1 - value}.get(field, value + 1)
        spoilt[place_] = rows[place_]._replace(**{field: wrong})
        assert not check_trace(spoilt, TWO_SLOTS).exact, place_


@own_rule
@pytest.mark.parametrize("begin", range(100, 1300, 100))
def test_a_recording_that_begins_in_the_middle_is_followed_if_its_rows_name_their_slots(begin):
    rows, _ = recorded(TWO_SLOTS, seed=3)
    begin = next(k for k in range(begin, len(rows)) if rows[k].ev in ("chg", "unc"))
    verdict = check_trace(rows[begin:], TWO_SLOTS)
    assert verdict.findings == []
    assert verdict.events > 400


@own_rule
def test_rows_with_slots_are_written_and_read(tmp_path):
    rows, _ = recorded(TWO_SLOTS, ops=50)
    write_rows(tmp_path / "t.csv", rows)
    assert read_rows(tmp_path / "t.csv") == rows
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "bad.csv").write_text(text.replace(",1\n", ",64\n", 1))
    with pytest.raises(ValueError, match=r'slot is "64"; it must be a whole number from 0 to 63'):
        read_rows(tmp_path / "bad.csv")
    with pytest.raises(ValueError, match=r"slot 1; v6.1 has 1 slot, the first is 0"):
        check_trace(rows, V6_1)


@own_rule
def test_a_walk_has_the_pages_of_all_slots():
    rows, pages = recorded(TWO_SLOTS)
    walk = walk_trace(rows, TWO_SLOTS)
    assert set(walk.predicted) <= {None, *(Stock(m, n) for m in (0, *MEMCGS) for n in range(33))}
    last = [k for k in range(len(rows) - 1) if rows[k + 1].ev in ("chg", "unc")]  # the last row of each operation
    for k in last:
        for cpu in range(CPUS):
            assert walk.stock[k, cpu] in (-1, pages[k, cpu])
    assert walk.stock[last[-1]].tolist() == pages[last[-1]].tolist()
    assert pages.max() > 32


# --- which slot a row shows ------------------------------------------------------------------------------------------
def look(ev, cached, avail, memcg=1, nr=1):
    return Row(1, 0, 0, 1, 0, ev, memcg, nr, cached, avail, "")


@own_rule
def test_a_row_shows_the_slot_that_holds_its_cgroup_or_one_that_nobody_saw():
    rows = [
        look("cons", 1, 9),  # never seen: taken as it is, 8 are left
        look("cons", 2, 20, memcg=2, nr=3),  # cgroup 1 holds the only slot seen; so this is the other one
        look("cons", 1, 8),
        look("cons", 2, 17, memcg=2),
        look("drain", 1, 7, memcg=-1, nr=-1),
        look("cons", 0, 0, memcg=3),  # an empty slot, as predicted
        look("refill", 2, 16, memcg=2, nr=16),
        look("refill", 2, 32, memcg=2, nr=1),  # above the cap
        look("cons", 3, 4, memcg=3),  # nobody put that there
        look("cons", 3, 3, memcg=3),
    ]
    found = list(predictions(rows, TWO_SLOTS).values())
    nothing = Stock(0, 0)
    stocks = [None, None, Stock(1, 8), Stock(2, 17), Stock(1, 7), nothing, Stock(2, 16), Stock(2, 32), nothing]
    assert [told.stock for told in found] == [*stocks, Stock(3, 3)]
    assert [told.hit for told in found] == [True, True, True, True, False, False, False, False, True, True]
    assert [told.drained for told in found if told.drained] == [[Stock(1, 7)], [Stock(2, 33)]]
    assert [told.pages for told in found] == [8, 25, 24, 23, 16, 16, 32, 0, 3, 2]


@own_rule
@pytest.mark.parametrize(
    ("row", "message"),
    [
        (look("cons", 1, 9, memcg=-1), "line 1: cons on CPU 0 of 1 pages of memcg -1"),
        (look("refill", 1, 9, nr=-1), "line 1: refill on CPU 0 of -1 pages of memcg 1"),
        (look("drain", 1, 9)._replace(cpu=-1), "line 1: drain on CPU -1"),
    ],
)
def test_a_row_that_names_nothing_is_refused(row, message):
    with pytest.raises(ValueError, match=message):
        predictions([row], TWO_SLOTS)


def restless(st, batch, drain, cpu, memcg, nr_pages):
    """Drains more often than there are slots, when it gets 5 pages."""
    for _ in range(9 if nr_pages == 5 else 0):
        put(st, batch, drain, cpu, memcg, nr_pages)
        drain(st, cpu, place(st, cpu, memcg), 2)
    put(st, batch, drain, cpu, memcg, nr_pages)


def astray(st, batch, drain, cpu, memcg, nr_pages):
    """Looks at a slot that is not there, when it gets 5 pages."""
    if nr_pages == 5:
        st.stock[cpu, 2].nr_pages += nr_pages
    put(st, batch, drain, cpu, memcg, nr_pages)


@own_rule
@pytest.mark.parametrize(("rule", "says"), [(restless, "takes more steps"), (astray, "an index that does not exist")])
def test_a_rule_that_goes_too_far_is_refused(rule, says):
    with pytest.raises(ValueError, match=says):
        predictions([look("refill", 1, 9, nr=5)], TWO_SLOTS.with_rules("mine", refill=rule))


# --- what if ---------------------------------------------------------------------------------------------------------
def plain(ops, batch, nr_slots):
    """The toy policy once more, in plain Python: pages in stocks after each operation, charges and give-backs."""
    stocks, pages, charges, drains = {}, [0], 0, 0
    for one in ops:
        cpu, memcg, nr = int(one["cpu"]), int(one["memcg"]), int(one["nr"])
        held = stocks.setdefault(cpu, {})  # cgroup -> (slot, pages)
        put_back = 0
        if one["op"] == UNCHARGE_SKMEM:
            put_back = nr
        elif one["op"] == CANCEL_CHARGE:
            drains += 1
        elif nr <= batch and held.get(memcg, (0, 0))[1] >= nr:
            held[memcg] = held[memcg][0], held[memcg][1] - nr
        else:
            charges += 1
            put_back = max(batch - nr, 0)
        if put_back:
            if memcg not in held and len(held) == nr_slots:
                first = next(other for other, (slot, _) in held.items() if slot == 0)
                drains += held.pop(first)[1] > 0
            free = next(k for k in range(nr_slots + 1) if k not in {slot for slot, _ in held.values()})
            slot, had = held.get(memcg, (free, 0))
            held[memcg] = slot, had + put_back
            if held[memcg][1] > batch:
                drains += 1
                del held[memcg]
        pages.append(sum(nr for cpu in stocks.values() for _, nr in cpu.values()))
    return pages, charges, drains


@own_rule
@pytest.mark.parametrize("name", ["made", "t612"])
def test_the_drift_of_a_what_if_is_that_of_all_slots(name):
    rows = recorded(TWO_SLOTS)[0] if name == "made" else read_rows(data_path("kernel_traces/t612.csv.xz"))
    found = what_if(rows, [TWO_SLOTS])
    pages, charges, drains = plain(trace_ops(rows).ops, 32, 2)
    assert found.drift["two slots"].tolist() == pages
    row = found.table.iloc[0]
    assert (row["charges"], row["drains"], row["drift_max"]) == (charges, drains, max(pages))
    assert row["drift_max"] > 32 * (CPUS if name == "made" else 1)


def test_the_rule_without_a_cap_is_the_policy_s_own():
    assert TWO_SLOTS.refill is refill
    assert TWO_SLOTS.uncapped is put
