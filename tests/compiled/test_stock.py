"""The stock: consume, refill, drain, and who causes a drain."""

import pytest

from lab_helpers import both_policies, broken, cost, field, total
from memcg_lab import V4_13, V4_14, System, op, pingpong
from memcg_lab.mechanism import steps

NOBODY = (-1, 0)


def one_cpu(policy, **options):
    return System.chain(depth=1, cpus=1, policy=policy, **options)


# --- consume ---------------------------------------------------------------------------------------------------------
@both_policies
def test_the_first_charge_takes_a_batch_and_keeps_the_rest(policy):
    system = one_cpu(policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    assert system.stock == [(1, 31)]
    assert system.usage.tolist() == [32, 32]


@both_policies
def test_a_hit_touches_no_counter_and_no_reference(policy):
    system = one_cpu(policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    work = cost(system, lambda: system.charge_skmem(cpu=0, memcg=1, nr_pages=5))
    assert (work.stock_hits, work.stock_misses, work.atomics, work.css_calls) == (1, 0, 0, 0)
    assert system.stock == [(1, 26)]


@both_policies
def test_an_empty_stock_keeps_its_owner(policy):
    system = one_cpu(policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=31)
    assert system.stock == [(1, 0)]


@both_policies
def test_too_few_pages_are_a_miss_and_stay(policy):
    system = one_cpu(policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=26)
    work = cost(system, lambda: system.charge_skmem(cpu=0, memcg=1, nr_pages=6))
    assert (work.stock_hits, work.stock_misses) == (0, 1)
    assert system.stock == [(1, 5 + 26)]


@both_policies
def test_another_cgroups_pages_are_a_miss(policy):
    system = System.siblings(2, cpus=1, policy=policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    assert cost(system, lambda: system.charge_skmem(cpu=0, memcg=2, nr_pages=1)).stock_misses == 1


@both_policies
def test_another_cpus_stock_is_a_miss(policy):
    system = System.chain(depth=1, cpus=2, policy=policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    assert cost(system, lambda: system.charge_skmem(cpu=1, memcg=1, nr_pages=1)).stock_misses == 1
    assert system.stock == [(1, 31), (1, 31)]


@both_policies
def test_a_charge_above_the_batch_does_not_look(policy):
    system = one_cpu(policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    log = system.step_through(op("charge_skmem", cpu=0, memcg=1, nr=33))
    assert not set(log.rows["step"]) & {steps.STEP_CONSUME_HIT, steps.STEP_CONSUME_MISS}
    assert system.stock == [(1, 31)]
    assert system.usage.tolist() == [65, 65]


@both_policies
def test_a_charge_of_a_whole_batch_leaves_nothing_over(policy):
    system = one_cpu(policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=32)
    assert system.stock == [NOBODY]
    assert system.usage.tolist() == [32, 32]


def test_a_whole_batch_can_come_out_of_the_stock():
    system = System.chain(depth=1, cpus=2, policy=V4_14)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=32)
    system.uncharge_skmem(cpu=1, memcg=1, nr_pages=32)
    assert cost(system, lambda: system.charge_skmem(cpu=1, memcg=1, nr_pages=32)).stock_hits == 1
    assert system.stock[1] == (1, 0)


# --- refill ----------------------------------------------------------------------------------------------------------
@both_policies
def test_another_cgroup_drains_the_stock_first(policy):
    system = System.siblings(2, cpus=1, policy=policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    work = cost(system, lambda: system.charge_skmem(cpu=0, memcg=2, nr_pages=1))
    assert (work.drains_by_other_memcg, work.drains, work.pages_drained) == (1, 1, 31)
    assert system.stock == [(2, 31)]
    assert system.usage.tolist() == [33, 1, 32]


def test_an_uncharge_of_another_cgroup_drains_the_stock_first():
    system = System.siblings(2, cpus=2, policy=V4_14)
    system.charge_skmem(cpu=1, memcg=2, nr_pages=32)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    system.uncharge_skmem(cpu=0, memcg=2, nr_pages=1)
    assert system.stock[0] == (2, 1)
    assert system.work().drains_by_other_memcg == 1


@both_policies
def test_changing_the_owner_of_an_empty_stock_is_no_drain(policy):
    system = System.siblings(2, cpus=1, policy=policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=31)
    work = cost(system, lambda: system.charge_skmem(cpu=0, memcg=2, nr_pages=1))
    assert (work.drains, work.sub) == (0, 0)
    assert system.stock == [(2, 31)]


def test_a_stock_of_exactly_the_batch_stays():
    system = System.chain(depth=1, cpus=2, policy=V4_14)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=33)
    system.uncharge_skmem(cpu=1, memcg=1, nr_pages=32)
    assert system.stock[1] == (1, 32)
    assert system.work().drains == 0


def test_a_stock_above_the_batch_is_drained_wholly_and_forgets_its_owner():
    system = System.chain(depth=1, cpus=2, policy=V4_14)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=33)
    system.uncharge_skmem(cpu=1, memcg=1, nr_pages=32)
    system.uncharge_skmem(cpu=1, memcg=1, nr_pages=1)
    assert system.stock[1] == NOBODY
    assert system.usage.tolist() == [0, 0]
    assert (system.work().drains_by_cap, system.work().pages_drained) == (1, 33)


@pytest.mark.parametrize("nr_pages", [1, 2, 8, 16, 17, 32, 33, 100])
def test_uncharges_drain_once_in_every_so_many_calls(nr_pages):
    calls = 3 * (32 // nr_pages + 1)
    system = System.chain(depth=1, cpus=2, policy=V4_14)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=nr_pages * calls)
    system.replay(pingpong(calls, cpu=1, nr_pages=nr_pages)[1::2])
    assert system.work().drains_by_cap == 3
    assert system.stock[1] == NOBODY


def test_uncharges_of_33_pages_gain_nothing():
    per_call = []
    for policy in (V4_13, V4_14):
        system = System.chain(depth=1, cpus=2, policy=policy)
        system.charge_skmem(cpu=0, memcg=1, nr_pages=330)
        per_call.append(system.replay(pingpong(10, cpu=1, nr_pages=33)[1::2]).atomics)
    assert per_call == [20, 20]


def test_before_the_patch_an_uncharge_leaves_the_stock_alone():
    system = one_cpu(V4_13)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=3)
    work = cost(system, lambda: system.uncharge_skmem(cpu=0, memcg=1, nr_pages=3))
    assert system.stock == [(1, 29)]
    assert (work.sub, work.css_calls) == (2, 1)
    assert system.usage.tolist() == [29, 29]


def test_after_the_patch_an_uncharge_leaves_the_counters_alone():
    system = one_cpu(V4_14)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=3)
    work = cost(system, lambda: system.uncharge_skmem(cpu=0, memcg=1, nr_pages=3))
    assert system.stock == [(1, 32)]
    assert (work.atomics, work.css_calls) == (0, 0)
    assert system.usage.tolist() == [32, 32]


# --- drain -----------------------------------------------------------------------------------------------------------
@both_policies
def test_drain_local_gives_back_one_cpus_stock_with_its_references(policy):
    system = System.chain(depth=1, cpus=2, policy=policy)
    for cpu in (0, 1):
        system.charge_skmem(cpu=cpu, memcg=1, nr_pages=1)
    system.drain_local_stock(cpu=1)
    assert system.stock == [(1, 31), NOBODY]
    assert system.usage.tolist() == [33, 33]
    assert system.snapshot()["css"] == [0, 33]
    assert (system.work().drains_local, system.work().remote_works) == (1, 0)


@both_policies
def test_draining_an_empty_stock_forgets_its_owner_and_costs_nothing(policy):
    system = one_cpu(policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=31)
    work = cost(system, lambda: system.drain_local_stock(cpu=0))
    assert system.stock == [NOBODY]
    assert (work.drains, work.atomics) == (0, 0)


@pytest.fixture
def tree():
    """Memcg 1 with the child 2, beside memcg 3; CPUs 0 to 3 hold stocks of 2, 1, 3 and 2."""
    system = System([-1, 0, 1, 0], cpus=5)
    for cpu, memcg in enumerate((2, 1, 3, 2)):
        system.charge_skmem(cpu=cpu, memcg=memcg, nr_pages=1)
    return system


def owners(system):
    return [stock.memcg for stock in system.stock]


def test_drain_all_reaches_the_whole_subtree_and_nothing_else(tree):
    tree.drain_all_stock(cpu=4, memcg=1)
    assert owners(tree) == [-1, -1, 3, -1, -1]
    assert tree.usage.tolist() == [35, 3, 2, 32]


def test_drain_all_of_a_child_leaves_its_parents_stock(tree):
    tree.drain_all_stock(cpu=4, memcg=2)
    assert owners(tree) == [-1, 1, 3, -1, -1]


def test_drain_all_of_the_root_is_everything(tree):
    tree.drain_all_stock(cpu=4, memcg=0)
    assert owners(tree) == [-1] * 5
    assert tree.usage.tolist() == [4, 3, 2, 1]


def test_drain_all_sends_work_to_the_other_cpus_only(tree):
    tree.drain_all_stock(cpu=0, memcg=2)
    assert (tree.work().drains_all, tree.work().remote_works) == (2, 1)


def test_drain_all_passes_by_an_empty_stock_which_keeps_its_owner(tree):
    tree.charge_skmem(cpu=0, memcg=2, nr_pages=31)
    tree.drain_all_stock(cpu=4, memcg=2)
    assert tree.stock[0] == (2, 0)
    assert tree.work().remote_works == 1


def test_a_dead_cpus_stock_goes_back_and_its_sock_count_stays(tree):
    tree.cpu_dead(cpu=2)
    assert owners(tree) == [2, 1, -1, 2, -1]
    assert tree.work().drains_cpu_dead == 1
    assert tree.snapshot()["sock_cpu"][3] == [0, 0, 1, 0, 0]
    assert broken(tree) == []


def test_a_drain_uncharges_every_level_once():
    system = System.chain(depth=3, cpus=1)
    system.charge_skmem(cpu=0, memcg=3, nr_pages=1)
    work = cost(system, lambda: system.drain_local_stock(cpu=0))
    assert (work.sub, work.css_calls) == (4, 1)
    assert field(system, "count") == [1, 1, 1, 1]
    assert total(system, "warn") == 0
