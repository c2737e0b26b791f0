"""page_counter: one rule a test, each on the rule function alone."""

import pytest

from lab_helpers import alone, field, state_of, total
from memcg_lab import System
from memcg_lab.mechanism import page_counter
from memcg_lab.mechanism.records import EBUSY, PAGE_COUNTER_MAX

page_counter_cancel = alone(page_counter.page_counter_cancel)
page_counter_charge = alone(page_counter.page_counter_charge)
page_counter_limit = alone(page_counter.page_counter_limit)
page_counter_try_charge = alone(page_counter.page_counter_try_charge)
page_counter_uncharge = alone(page_counter.page_counter_uncharge)

TOP, MIDDLE, LEAF = 0, 1, 2


@pytest.fixture
def chain():
    return System.chain(depth=2, cpus=1)


def limit(system, level, pages):
    system._arrays["counter"]["limit"][level] = pages


def test_a_charge_adds_to_every_level(chain):
    assert page_counter_try_charge(state_of(chain), 0, LEAF, 5) == -1
    assert field(chain, "count") == [5, 5, 5]
    assert field(chain, "watermark") == [5, 5, 5]


def test_a_charge_to_the_middle_leaves_the_leaf_alone(chain):
    page_counter_try_charge(state_of(chain), 0, MIDDLE, 5)
    assert field(chain, "count") == [5, 5, 0]


def test_a_charge_exactly_at_the_limit_fits(chain):
    limit(chain, LEAF, 10)
    assert page_counter_try_charge(state_of(chain), 0, LEAF, 10) == -1
    assert field(chain, "failcnt") == [0, 0, 0]


@pytest.mark.parametrize("level", [LEAF, MIDDLE, TOP])
def test_one_page_above_the_limit_is_refused_by_that_level(chain, level):
    limit(chain, level, 10)
    assert page_counter_try_charge(state_of(chain), 0, LEAF, 11) == level


def test_the_lowest_full_level_refuses(chain):
    for level in (LEAF, MIDDLE, TOP):
        limit(chain, level, 10)
    assert page_counter_try_charge(state_of(chain), 0, LEAF, 11) == LEAF


@pytest.mark.parametrize("level", [LEAF, MIDDLE, TOP])
def test_a_refused_charge_leaves_usage_as_it_was(chain, level):
    limit(chain, level, 10)
    page_counter_try_charge(state_of(chain), 0, LEAF, 4)
    page_counter_try_charge(state_of(chain), 0, LEAF, 7)
    assert field(chain, "count") == [4, 4, 4]


def test_a_refused_charge_leaves_the_watermarks_below_raised(chain):
    limit(chain, TOP, 10)
    page_counter_try_charge(state_of(chain), 0, LEAF, 11)
    assert field(chain, "watermark") == [0, 11, 11]


def test_a_refused_charge_leaves_the_watermarks_above_alone(chain):
    limit(chain, MIDDLE, 10)
    page_counter_try_charge(state_of(chain), 0, LEAF, 11)
    assert field(chain, "watermark") == [0, 0, 11]


@pytest.mark.parametrize("level", [LEAF, MIDDLE, TOP])
def test_only_the_refusing_level_counts_the_failure(chain, level):
    limit(chain, level, 10)
    for _ in range(3):
        page_counter_try_charge(state_of(chain), 0, LEAF, 11)
    assert field(chain, "failcnt") == [3 if m == level else 0 for m in (TOP, MIDDLE, LEAF)]


@pytest.mark.parametrize(("level", "k"), [(LEAF, 1), (MIDDLE, 2), (TOP, 3)])
def test_a_refusal_at_level_k_costs_2k_atomics(chain, level, k):
    limit(chain, level, 10)
    page_counter_try_charge(state_of(chain), 0, LEAF, 11)
    assert (chain.work().add, chain.work().sub) == (k, k)
    assert chain.atomics_by_memcg().tolist() == [2 if m >= level else 0 for m in (TOP, MIDDLE, LEAF)]


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_charge_costs_one_atomic_a_level(depth):
    system = System.chain(depth=depth, cpus=1)
    page_counter_try_charge(state_of(system), 0, depth, 1)
    assert (system.work().add, system.work().sub) == (depth + 1, 0)


def test_charge_ignores_limits_and_counts_no_failure(chain):
    limit(chain, LEAF, 1)
    page_counter_charge(state_of(chain), 0, LEAF, 9)
    assert field(chain, "count") == field(chain, "watermark") == [9, 9, 9]
    assert field(chain, "failcnt") == [0, 0, 0]
    assert chain.work().add == 3


def test_a_watermark_never_falls(chain):
    st = state_of(chain)
    page_counter_charge(st, 0, LEAF, 9)
    page_counter_uncharge(st, 0, LEAF, 9)
    page_counter_charge(st, 0, LEAF, 4)
    page_counter_try_charge(st, 0, LEAF, 4)
    assert field(chain, "watermark") == [9, 9, 9]


def test_uncharge_costs_one_atomic_a_level(chain):
    st = state_of(chain)
    page_counter_charge(st, 0, LEAF, 9)
    page_counter_uncharge(st, 0, LEAF, 2)
    assert field(chain, "count") == [7, 7, 7]
    assert chain.work().sub == 3


def test_cancel_stays_at_its_level(chain):
    st = state_of(chain)
    page_counter_charge(st, 0, LEAF, 9)
    page_counter_cancel(st, 0, MIDDLE, 2)
    assert field(chain, "count") == [9, 7, 9]
    assert chain.work().sub == 1


def test_down_to_zero_is_no_fault(chain):
    st = state_of(chain)
    page_counter_charge(st, 0, LEAF, 2)
    page_counter_uncharge(st, 0, LEAF, 2)
    assert chain.faults["negative_counter"] == 0
    assert "warn" not in chain.snapshot()


def test_below_zero_is_recorded_as_a_fault_and_goes_on(chain):
    page_counter_cancel(state_of(chain), 0, LEAF, 1)
    assert field(chain, "count") == [0, 0, -1]
    assert total(chain, "warn") == chain.faults["negative_counter"] == 1
    assert chain.snapshot()["warn"] == 1


def test_a_limit_below_usage_is_refused_by_v1(chain):
    st = state_of(chain)
    page_counter_charge(st, 0, LEAF, 9)
    assert page_counter_limit(st, 0, LEAF, 8) == EBUSY == -16
    assert field(chain, "limit") == [PAGE_COUNTER_MAX] * 3
    assert chain.work().xchg == 0


def test_a_limit_equal_to_usage_is_accepted_by_v1(chain):
    st = state_of(chain)
    page_counter_charge(st, 0, LEAF, 9)
    assert page_counter_limit(st, 0, LEAF, 9) == 0
    assert field(chain, "limit") == [PAGE_COUNTER_MAX, PAGE_COUNTER_MAX, 9]
    assert chain.work().xchg == 1


def test_a_limit_below_usage_holds_at_once_in_v2(chain):
    chain.charge_skmem(cpu=0, memcg=LEAF, nr_pages=40)
    chain.set_max(cpu=0, memcg=LEAF, nr_pages=8)
    assert field(chain, "limit")[LEAF] == 8
    assert chain.usage.tolist() == [40, 40, 40]
    assert chain.work().xchg == 1


@pytest.mark.parametrize("kind", [1, 2], ids=["memsw", "tcpmem"])
def test_memsw_and_tcpmem_are_trees_of_their_own(chain, kind):
    assert page_counter_try_charge(state_of(chain), 0, LEAF + kind * 3, 5) == -1
    counts = chain._arrays["counter"]["count"].reshape(3, 3).tolist()
    assert counts == [[5, 5, 5] if k == kind else [0, 0, 0] for k in range(3)]
