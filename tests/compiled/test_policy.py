"""Policies: the generations, each hunk alone, mutants and a reader's own rule through one factory."""

import functools

import numpy as np
import pytest

from lab_helpers import FAULTY, MODE, OWN, arrays_of, broken, cost, drain_at_the_batch, without_compiler
from memcg_lab import (
    CAP_ONLY,
    POLICIES,
    UNCHARGE_ONLY,
    V4_13,
    V4_14,
    V6_1,
    System,
    mixed,
    pingpong,
    producer_consumer,
)
from memcg_lab.mechanism import records
from memcg_lab.mechanism.policy import bind
from memcg_lab.mechanism.stock_v4_13 import refill_stock, uncharge_to_counter
from memcg_lab.mechanism.stock_v4_14 import refill_stock_capped, uncharge_to_stock
from two_slots import TWO_SLOTS, consume


# --- a policy is data ------------------------------------------------------------------------------------------------
def test_the_patch_is_two_rules():
    assert (V4_13.refill, V4_13.uncharge) == (refill_stock, uncharge_to_counter)
    assert (V4_14.refill, V4_14.uncharge) == (refill_stock_capped, uncharge_to_stock)
    assert (V4_13.consume, V4_13.drain, V4_13.batch) == (V4_14.consume, V4_14.drain, V4_14.batch)
    assert V4_14.batch == 32


def test_each_hunk_alone_is_one_rule():
    assert CAP_ONLY.with_rules("x", refill=V4_13.refill) == V4_13.with_rules("x", bound=None)
    assert UNCHARGE_ONLY.with_rules("x", uncharge=V4_13.uncharge) == V4_13.with_rules("x", bound=None)


def test_policies_are_found_by_their_names():
    assert list(POLICIES) == ["v4.13", "v4.14", "v4.13 + cap hunk", "v4.13 + uncharge hunk", "v6.1"]


def test_with_rules_leaves_the_policy_itself_alone():
    changed = V4_14.with_rules("batch 64", batch=64)
    assert (changed.name, changed.batch, changed.refill) == ("batch 64", 64, V4_14.refill)
    assert (V4_14.name, V4_14.batch) == ("v4.14", 32)


@pytest.mark.parametrize(
    ("policy", "bound"), [(V4_13, 31), (V4_14, 32), (CAP_ONLY, 32), (UNCHARGE_ONLY, None), (OWN, None)], ids=str
)
def test_a_policy_knows_its_stocks_bound(policy, bound):
    assert policy.stock_bound == bound


@pytest.mark.parametrize("batch", [0, -1, 2**16 + 1, 32.0, float("nan"), "32", None])
def test_a_batch_out_of_range_is_refused(batch):
    with pytest.raises(ValueError, match=r"batch is .*; it must be a whole number from 1 to 65,536"):
        V4_14.with_rules("x", batch=batch)


@pytest.mark.parametrize("slots", [0, 65, 1.0, None])
def test_slots_out_of_range_are_refused(slots):
    with pytest.raises(ValueError, match=r"slots is .*; it must be a whole number from 1 to 64"):
        V4_14.with_rules("x", slots=slots)


@pytest.mark.parametrize("rule", ["consume", "refill", "drain", "uncharge", "reclaim"])
def test_a_rule_that_is_no_function_is_refused(rule):
    with pytest.raises(ValueError, match=f"{rule} is 5; it must be a function"):
        V4_14.with_rules("x", **{rule: 5})


def test_a_policys_repr_names_the_rules_that_differ():
    assert repr(OWN) == 'Policy("a reader\'s own", batch 32, 1 slot, drain_at_the_batch, uncharge_to_stock)'
    assert "2 slots" in repr(TWO_SLOTS)


def test_a_policy_is_bound_once():
    assert bind(V4_14, False) is bind(V4_14) is bind(V4_14, sockets=0)
    assert bind(V4_14, False) is not bind(V4_13, False)


# --- each hunk alone -------------------------------------------------------------------------------------------------
def test_the_uncharge_hunk_alone_lets_the_stock_grow_without_bound():
    system = System.chain(depth=1, cpus=2, policy=UNCHARGE_ONLY)
    system.replay(producer_consumer(1000))
    assert system.stock[1] == (1, 1000)
    assert system.usage.tolist() == [1024, 1024]
    assert system.sock.tolist() == [0, 0]
    assert system.work().sub == 0
    assert broken(system) == []


@without_compiler
def test_the_cap_hunk_alone_changes_nothing():
    ops = mixed(400, cpus=3, memcgs=[1, 2], mix="web", in_flight=20)
    before, capped = (System.siblings(2, cpus=3, policy=policy) for policy in (V4_13, CAP_ONLY))
    before.replay(ops)
    capped.replay(ops)
    assert before.compare(capped) == []
    assert capped.work().drains_by_cap == 0
    assert before.work().drains > 0


# --- rules of one's own ----------------------------------------------------------------------------------------------
@pytest.mark.own_rule
def test_a_readers_plain_function_takes_effect():
    system = System.chain(depth=1, cpus=2, policy=OWN)
    system.replay(producer_consumer(32))
    assert system.stock[1] == (-1, 0)
    system.replay(producer_consumer(31))
    assert system.stock[1] == (1, 31)
    kernel = System.chain(depth=1, cpus=2, policy=V4_14)
    kernel.replay(producer_consumer(32))
    assert kernel.stock[1] == (1, 32)


@pytest.mark.own_rule
def test_a_readers_rule_that_indexes_out_of_range_is_stopped_and_leaves_no_trace():
    system = System.chain(depth=1, cpus=1, policy=OWN, limits=[-1, FAULTY])
    system.replay(pingpong(3))
    before = arrays_of(system)
    with pytest.raises(ValueError, match="a rule of a reader's own used an index that does not exist"):
        system.try_charge(cpu=0, memcg=1, nr_pages=FAULTY)
    assert arrays_of(system) == before
    assert system.try_charge(cpu=0, memcg=1, nr_pages=1) == 0


@without_compiler
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, KeyboardInterrupt])
def test_a_readers_rule_that_fails_otherwise_leaves_no_trace(error):
    def reclaim_and_fail(st, cpu, over, nr_pages):
        raise error

    system = System.chain(depth=1, cpus=1, policy=V4_14.with_rules("fails", reclaim=reclaim_and_fail), limits=[-1, 10])
    before = arrays_of(system)
    with pytest.raises((ValueError, error)):
        system.try_charge(cpu=0, memcg=1, nr_pages=11)
    assert arrays_of(system) == before


@without_compiler
def test_every_rule_can_be_exchanged():
    called = set()

    def noting(rule):
        def noted(*args):
            called.add(rule.__name__)
            return rule(*args)

        return noted

    names = ("consume", "refill", "drain", "uncharge", "reclaim")
    policy = V4_14.with_rules("noting", **{name: noting(getattr(V4_14, name)) for name in names})
    ops = np.concatenate([producer_consumer(40), pingpong(1, nr_pages=200)])
    noted, plain = (System.chain(depth=1, cpus=2, policy=p, limits=[-1, 100]) for p in (policy, V4_14))
    for system in (noted, plain):
        system.replay(ops)
        system.try_charge(cpu=0, memcg=1, nr_pages=200)
    assert called == {getattr(V4_14, name).__name__ for name in names}
    assert noted.compare(plain) == []


@without_compiler
@pytest.mark.parametrize("batch", [1, 31, 64])
def test_another_batch_moves_both_bounds(batch):
    policy = V4_14.with_rules("batch", batch=batch)
    system = System.chain(depth=1, cpus=2, policy=policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=batch)
    assert system.usage[1] == batch
    system.uncharge_skmem(cpu=1, memcg=1, nr_pages=batch)
    assert system.stock[1] == (1, batch)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    system.uncharge_skmem(cpu=1, memcg=1, nr_pages=1)
    assert system.stock[1] == (-1, 0)


@without_compiler
def test_a_plain_function_and_the_compiled_rule_are_the_same_rule():
    def capped(st, batch, drain, cpu, memcg, nr_pages):
        refill_stock(st, batch, drain, cpu, memcg, nr_pages)
        if st.stock[cpu, 0].nr_pages > batch:
            drain(st, cpu, 0, records.DRAIN_CAP)

    ops = mixed(300, cpus=2, memcgs=[1, 2], in_flight=30)
    own, built_in = (System.siblings(2, cpus=2, policy=p) for p in (V4_14.with_rules("mine", refill=capped), V4_14))
    own.replay(ops)
    built_in.replay(ops)
    assert own.compare(built_in) == []
    assert own.work() == built_in.work()


@pytest.mark.own_rule
def test_a_mutant_differs_from_the_kernel_where_it_should():
    mutant, kernel = (System.chain(depth=1, cpus=2, policy=p) for p in (OWN, V4_14))
    assert OWN.refill is drain_at_the_batch
    for system in (mutant, kernel):
        system.charge_skmem(cpu=0, memcg=1, nr_pages=32)
    work = [cost(s, lambda s=s: s.uncharge_skmem(cpu=1, memcg=1, nr_pages=32)).drains_by_cap for s in (mutant, kernel)]
    assert work == [1, 0]


# --- traits ----------------------------------------------------------------------------------------------------------
def test_a_policy_says_what_bounds_its_stocks():
    assert [(p.stock_bound, p.capped) for p in (V4_13, V4_14, CAP_ONLY, UNCHARGE_ONLY, V6_1)] == [
        (31, False),
        (32, True),
        (32, True),
        (None, False),
        (64, True),
    ]
    assert V4_13.with_rules("x", batch=64).stock_bound == 63


def test_what_was_said_of_a_rule_is_not_said_of_another():
    mine = V4_14.with_rules("mine", refill=drain_at_the_batch)
    assert (mine.stock_bound, mine.capped) == (None, False)
    assert V4_14.with_rules("mine", refill=drain_at_the_batch, bound=31).stock_bound == 31


def test_a_bound_that_a_reader_declares_is_held_against_the_stocks():
    system = System.chain(depth=1, cpus=1, policy=UNCHARGE_ONLY.with_rules("mine", bound=40))
    system.charge_skmem(cpu=0, memcg=1, nr_pages=50)
    system.uncharge_skmem(cpu=0, memcg=1, nr_pages=40)
    assert next(i for i in system.invariants() if "bound" in i.name).holds
    system.uncharge_skmem(cpu=0, memcg=1, nr_pages=1)
    assert next(i for i in system.invariants() if "bound" in i.name) == (
        "no stock exceeds its bound",
        False,
        "fullest 41 pages, bound 40",
    )


@pytest.mark.parametrize("bound", [-1, 1.5, "much", True, lambda batch: -batch])
def test_a_bound_that_is_no_number_of_pages_is_refused(bound):
    with pytest.raises(ValueError, match=r"bound is .*; it must be a whole number"):
        V4_14.with_rules("x", bound=bound)


def test_an_uncapped_rule_that_is_none_is_refused():
    with pytest.raises(ValueError, match="uncapped is 3; it must be a function or None"):
        V4_14.with_rules("x", uncapped=3)


# --- slots -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("policy", [V4_13, V4_14, V6_1], ids=lambda policy: policy.name)
def test_rules_for_one_slot_are_not_given_several(policy):
    with pytest.raises(ValueError, match=r"x: consume_stock knows one slot, not 7"):
        policy.with_rules("x", slots=7)
    with pytest.raises(ValueError, match=rf"x: {policy.refill.__name__} knows one slot, not 2"):
        policy.with_rules("x", slots=2, consume=consume)


def consume_first(st, batch, cpu, memcg, nr_pages):
    stock = st.stock[cpu, 0]
    hit = stock.memcg == memcg and stock.nr_pages >= nr_pages
    if hit:
        stock.nr_pages -= nr_pages
    return hit


def refill_two(st, batch, drain, cpu, memcg, nr_pages):
    slot = memcg % 2
    if st.stock[cpu, slot].memcg != memcg:
        drain(st, cpu, slot, records.DRAIN_OTHER_MEMCG)
        st.stock[cpu, slot].memcg = memcg
    st.stock[cpu, slot].nr_pages += nr_pages


def wrong_slot(st, batch, drain, cpu, memcg, nr_pages):
    st.stock[cpu, 2].nr_pages += nr_pages


def drain_first(st, cpu, slot, cause):
    st.stock[cpu, 0].memcg = -1
    st.stock[cpu, 0].nr_pages = 0


one_more = functools.partial(pytest.param, marks=without_compiler)


@pytest.mark.own_rule
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        one_more({"slots": 3, "refill": refill_two}, "x has 3 slots, but its rule refill fills 2 of them"),
        ({"refill": wrong_slot}, "a rule of x used an index that does not exist"),
        one_more({"consume": consume_first}, "x has 2 slots, but its rule consume finds pages in 1 of them"),
        one_more({"drain": drain_first}, "x has 2 slots, but its rule drain empties 1 of them"),
    ],
)
def test_a_readers_rules_that_leave_a_slot_unused_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        TWO_SLOTS.with_rules("x", **changes)


# --- rules that cannot be compiled -----------------------------------------------------------------------------------
def two_arguments(a, b):
    return True


def forgetful(st, batch, cpu, memcg, nr_pages):
    if st.stock[cpu, 0].memcg != memcg:
        return
    st.stock[cpu, 0].nr_pages >= nr_pages  # noqa: B015


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"consume": two_arguments}, r"two_arguments\(a, b\); such a rule takes \(st, batch, cpu, memcg, nr_pages\)"),
        ({"consume": len}, "a function written in Python, not a class or a builtin"),
        ({"drain": int}, "a function written in Python, not a class or a builtin"),
        ({"consume": forgetful}, "forgetful, which returns nothing; such a rule returns True or False"),
        ({"refil": refill_stock}, "'refil' is no part of a policy; there are batch, slots, consume, "),
    ],
)
def test_what_cannot_be_a_rule_is_refused_with_the_policy(changes, says):
    with pytest.raises(ValueError, match=says):
        V4_14.with_rules("x", **changes)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_the_name_of_a_policy_of_ours_is_taken(name):
    with pytest.raises(ValueError, match="is a policy of this library; give yours another name"):
        TWO_SLOTS.with_rules(name)


def unknown_name(st, batch, cpu, memcg, nr_pages):
    return missing(st)  # noqa: F821


def unknown_field(st, batch, cpu, memcg, nr_pages):
    return st.stock[cpu, 0].pages >= nr_pages


@pytest.mark.own_rule
@pytest.mark.skipif(MODE == "nojit", reason="nothing is compiled in this mode")
@pytest.mark.parametrize(
    ("rule", "says"), [(unknown_name, "name 'missing' is not defined"), (unknown_field, "there is no field 'pages'")]
)
def test_what_the_compiler_refuses_is_told_in_a_sentence(rule, says):
    system = System.chain(depth=1, cpus=1, policy=V4_14.with_rules("x", consume=rule))
    with pytest.raises(ValueError, match=f"^a rule of x cannot be compiled: .*{says}"):
        system.replay(pingpong(1))
