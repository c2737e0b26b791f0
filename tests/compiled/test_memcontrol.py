"""try_charge and what calls it: retries, reclaim, force, memory.high, references, cgroup v1."""

import pytest

from lab_helpers import (
    OWN,
    SOFTIRQ,
    TASK,
    both_policies,
    broken,
    cost,
    field,
    total,
    without_compiler,
)
from memcg_lab import V4_13, V4_14, V6_1, System, pingpong
from memcg_lab.mechanism.records import ATOMIC, DYING, IN_OOM, NOFAIL, NORETRY, NOWAIT, RETRY_MAYFAIL
from memcg_lab.mechanism.stock_v4_14 import refill_stock_capped

ENOMEM = -12
NOBODY = (-1, 0)


def full(policy=V4_14, *, limit=10, in_use=10, cpus=1, **options):
    """Memcg 1 with all its pages in use."""
    system = System.chain(depth=1, cpus=cpus, policy=policy, limits=[-1, limit], **options)
    assert system.try_charge(cpu=0, memcg=1, nr_pages=in_use, ctx=SOFTIRQ) == 0
    return system


def attempt(system, nr_pages, ctx):
    """(answer, failures counted, reclaim calls, OOM calls) of one try_charge to memcg 1."""
    failures, before = field(system, "failcnt")[1], system.work()
    answer = system.try_charge(cpu=0, memcg=1, nr_pages=nr_pages, ctx=ctx)
    work = system.work() - before
    return answer, field(system, "failcnt")[1] - failures, work.reclaim, work.oom


# --- the way to a page -----------------------------------------------------------------------------------------------
@both_policies
def test_when_a_batch_does_not_fit_the_stock_gets_a_second_look_and_the_exact_size_is_tried(policy):
    system = System.chain(depth=1, cpus=1, policy=policy, limits=[-1, 10])
    work = cost(system, lambda: system.try_charge(cpu=0, memcg=1, nr_pages=5, ctx=SOFTIRQ))
    assert (work.stock_misses, work.add, work.sub) == (2, 3, 1)
    assert system.usage.tolist() == [5, 5]
    assert system.stock == [NOBODY]


@both_policies
@pytest.mark.parametrize(
    ("nr_pages", "ctx", "attempts", "reclaims"),
    [
        (1, TASK, 8, 7),
        (31, TASK, 8, 7),
        (32, TASK, 7, 7),
        (33, TASK, 7, 7),
        (1, SOFTIRQ, 2, 0),
        (31, SOFTIRQ, 2, 0),
        (32, SOFTIRQ, 1, 0),
        (33, SOFTIRQ, 1, 0),
    ],
)
def test_a_charge_that_does_not_fit_fails_after_so_many_attempts(policy, nr_pages, ctx, attempts, reclaims):
    system = full(policy)
    assert attempt(system, nr_pages, ctx) == (ENOMEM, attempts, reclaims, 1 if ctx == TASK else 0)
    assert system.usage.tolist() == [10, 10]
    assert system.work().nomem == 1
    assert broken(system) == []


@both_policies
def test_in_task_context_the_refusing_cgroup_gets_the_events(policy):
    system = System([-1, 0, 1], cpus=1, policy=policy, limits=[-1, 10, -1])
    system.try_charge(cpu=0, memcg=2, nr_pages=11)
    state = system.snapshot()
    assert (state["ev_max"], state["ev_oom"]) == ([0, 7, 0], [0, 1, 0])
    assert state["failcnt"] == [0, 8, 0]


@both_policies
def test_in_softirq_nobody_is_told(policy):
    system = full(policy)
    system.try_charge(cpu=0, memcg=1, nr_pages=1, ctx=SOFTIRQ)
    state = system.snapshot()
    assert (state["ev_max"], state["ev_oom"], state["reclaim"]) == ([0, 0], [0, 0], 0)


@both_policies
def test_a_task_gets_the_pages_of_another_cpus_stock_by_draining_it(policy):
    system = System.chain(depth=1, cpus=2, policy=policy, limits=[-1, 40])
    system.charge_skmem(cpu=1, memcg=1, nr_pages=1)
    answer, failures, reclaims, _ = attempt(system, 20, TASK)
    assert (answer, failures, reclaims) == (0, 2, 1)
    assert system.stock == [NOBODY, NOBODY]
    assert system.work().remote_works == 1


@both_policies
def test_in_softirq_another_cpus_stock_is_out_of_reach(policy):
    system = System.chain(depth=1, cpus=2, policy=policy, limits=[-1, 40])
    system.charge_skmem(cpu=1, memcg=1, nr_pages=1)
    assert attempt(system, 20, SOFTIRQ)[0] == ENOMEM
    assert system.stock[1] == (1, 31)


def test_the_stocks_are_drained_once_a_charge():
    system = full(limit=50, in_use=10, cpus=2)
    system.charge_skmem(cpu=1, memcg=1, nr_pages=1)
    work = cost(system, lambda: system.try_charge(cpu=0, memcg=1, nr_pages=100))
    assert work.drains_all == 1


@both_policies
def test_a_failed_charge_leaves_usage_as_it_was(policy):
    system = System([-1, 0, 1], cpus=1, policy=policy, limits=[20, -1, -1])
    system.try_charge(cpu=0, memcg=2, nr_pages=15, ctx=SOFTIRQ)
    before = (system.usage.tolist(), system.snapshot()["css"], system.stock)
    for ctx in (SOFTIRQ, TASK):
        assert system.try_charge(cpu=0, memcg=2, nr_pages=6, ctx=ctx) == ENOMEM
        assert (system.usage.tolist(), system.snapshot()["css"], system.stock) == before


def test_the_root_is_never_charged():
    system = System.chain(depth=1, cpus=1)
    assert system.try_charge(cpu=0, memcg=0, nr_pages=5) == 0
    assert broken(system) == []
    system.cancel_charge(cpu=0, memcg=0, nr_pages=5)
    assert system.usage.tolist() == [0, 0]
    assert system.work().atomics == 0


def test_without_a_root_the_top_is_charged_like_any_other():
    system = System([-1, 0], cpus=1, root=None)
    assert system.try_charge(cpu=0, memcg=0, nr_pages=5) == 0
    assert system.usage.tolist() == [32, 0]


# --- flags -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ctx", "answer", "attempts", "reclaims", "ooms"),
    [
        (NORETRY, ENOMEM, 3, 2, 0),
        (IN_OOM, ENOMEM, 2, 0, 0),
        (DYING, 0, 2, 0, 0),
        (DYING | SOFTIRQ, 0, 2, 0, 0),
        (NOFAIL, 0, 8, 7, 0),
        (NOFAIL | SOFTIRQ, 0, 2, 0, 0),
        (NOFAIL | NORETRY, 0, 3, 2, 0),
        (NOFAIL | IN_OOM, 0, 2, 0, 0),
    ],
    ids=lambda value: str(value),
)
def test_a_flag_decides_how_long_to_try_and_whether_to_force(ctx, answer, attempts, reclaims, ooms):
    system = full()
    assert attempt(system, 3, ctx) == (answer, attempts, reclaims, ooms)
    forced = answer == 0
    assert system.usage.tolist() == ([13, 13] if forced else [10, 10])
    assert (system.work().forced, system.work().nomem) == (int(forced), int(not forced))


def test_a_forced_charge_is_exact_and_by_passes_the_stock_and_memory_high():
    system = full(highs=[-1, 5])
    over_high = total(system, "over_high"), total(system, "high_work")
    system.try_charge(cpu=0, memcg=1, nr_pages=3, ctx=NOFAIL)
    assert system.usage.tolist() == [13, 13]
    assert system.snapshot()["css"] == [0, 13]
    assert system.stock == [NOBODY]
    assert (total(system, "over_high"), total(system, "high_work")) == over_high


# --- reclaim ---------------------------------------------------------------------------------------------------------
@pytest.mark.own_rule
def test_a_reclaim_rule_of_ones_own_makes_room():
    system = full(OWN)
    answer, _, reclaims, ooms = attempt(system, 4, TASK)
    assert (answer, reclaims, ooms) == (0, 4, 0)
    assert system.usage.tolist() == [10, 10]
    assert broken(system) == []


@pytest.mark.own_rule
def test_progress_lets_a_small_charge_go_on_without_spending_a_retry():
    # 8 pages need 8 calls, more than one call for the drain and five retries.
    assert attempt(full(OWN), 8, TASK)[:3] == (0, 9, 8)


@pytest.mark.own_rule
def test_progress_does_not_help_a_charge_of_more_than_8_pages():
    system = full(OWN)
    assert attempt(system, 9, TASK) == (ENOMEM, 8, 7, 1)
    assert system.usage.tolist() == [3, 3]


@pytest.mark.own_rule
def test_noretry_gives_up_though_reclaim_gets_on():
    assert attempt(full(OWN), 4, NORETRY)[:3] == (ENOMEM, 3, 2)


@pytest.mark.own_rule
def test_room_enough_after_reclaim_saves_the_drain():
    system = System.chain(depth=1, cpus=2, policy=OWN, limits=[-1, 64])
    system.charge_skmem(cpu=1, memcg=1, nr_pages=1)
    system.try_charge(cpu=0, memcg=1, nr_pages=32)
    assert attempt(system, 1, TASK) == (0, 2, 1, 0)
    assert system.stock[1] == (1, 31)


@pytest.mark.own_rule
def test_a_write_of_memory_max_reclaims_until_usage_fits():
    system = full(OWN, limit=100)
    system.set_max(cpu=0, memcg=1, nr_pages=3)
    assert system.usage.tolist() == [3, 3]
    assert (system.work().reclaim, system.snapshot()["ev_oom"]) == (7, [0, 0])


@pytest.mark.own_rule
def test_a_write_of_memory_high_reclaims_once():
    system = full(OWN)
    system.set_high(cpu=0, memcg=1, nr_pages=3)
    assert system.usage.tolist() == [9, 9]
    assert system.work().reclaim == 1


@without_compiler
def test_pages_that_reclaim_puts_into_the_stock_are_found_at_the_next_look():
    def shrink_a_socket(st, cpu, over, nr_pages):
        st.memcg[over].sock_held -= 4
        st.sock[cpu, over] -= 4
        refill_stock_capped(st, 32, V4_14.drain, cpu, over, 4)
        return 0

    policy = V4_14.with_rules("sockets shrink", reclaim=shrink_a_socket)
    system = System.chain(depth=1, cpus=1, policy=policy, limits=[-1, 12])
    system.charge_skmem(cpu=0, memcg=1, nr_pages=12)
    # The first 4 pages are drained, which is not enough; the next 8 stay in the stock.
    assert attempt(system, 6, TASK) == (0, 4, 3, 0)
    assert (system.usage[1], system.stock, system.work().stock_hits) == (8, [(1, 2)], 1)
    assert broken(system) == []


# --- memory.high and memory.max --------------------------------------------------------------------------------------
def test_above_memory_high_a_task_is_told_by_the_whole_batch():
    system = System.chain(depth=1, cpus=1, highs=[-1, 31])
    system.try_charge(cpu=0, memcg=1, nr_pages=1, ctx=TASK)
    assert (total(system, "over_high"), total(system, "high_work")) == (32, 0)


def test_above_memory_high_softirq_queues_one_work():
    system = System.chain(depth=1, cpus=1, highs=[-1, 31])
    system.try_charge(cpu=0, memcg=1, nr_pages=1, ctx=SOFTIRQ)
    assert (total(system, "over_high"), total(system, "high_work")) == (0, 1)


def test_exactly_memory_high_is_not_above_it():
    system = System.chain(depth=1, cpus=1, highs=[-1, 32])
    system.try_charge(cpu=0, memcg=1, nr_pages=1)
    assert total(system, "over_high") == 0


def test_only_the_first_level_above_memory_high_is_told():
    system = System.chain(depth=2, cpus=1, highs=[0, 0, 0])
    system.try_charge(cpu=0, memcg=2, nr_pages=40)
    assert total(system, "over_high") == 40


def test_a_parents_memory_high_counts_too():
    system = System.chain(depth=2, cpus=1, highs=[-1, 0, -1])
    system.try_charge(cpu=0, memcg=2, nr_pages=1)
    assert total(system, "over_high") == 32


def test_a_charge_from_the_stock_looks_at_no_memory_high():
    system = System.chain(depth=1, cpus=1, highs=[-1, 0])
    system.try_charge(cpu=0, memcg=1, nr_pages=1)
    system.try_charge(cpu=0, memcg=1, nr_pages=1)
    assert total(system, "over_high") == 32


def test_a_write_of_memory_high_above_usage_reclaims_nothing():
    system = full()
    system.set_high(cpu=0, memcg=1, nr_pages=10)
    system.set_high(cpu=0, memcg=1, nr_pages=-1)
    assert system.work().reclaim == 0


def test_a_write_of_memory_max_drains_once_then_reclaims_five_times_then_gives_up():
    system = System.chain(depth=1, cpus=2)
    system.charge_skmem(cpu=1, memcg=1, nr_pages=1)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=40)
    system.set_max(cpu=0, memcg=1, nr_pages=8)
    state = system.snapshot()
    assert (state["limit"][1], state["usage"], state["reclaim"], state["ev_oom"]) == (8, [41, 41], 5, [0, 1])
    assert (system.work().drains_all, state["remote_works"], state["oom"]) == (1, 1, 0)


def test_a_write_of_memory_max_that_the_drain_satisfies_reclaims_nothing():
    system = System.chain(depth=1, cpus=2)
    system.charge_skmem(cpu=1, memcg=1, nr_pages=1)
    system.set_max(cpu=0, memcg=1, nr_pages=1)
    assert (system.usage.tolist(), system.work().reclaim) == ([1, 1], 0)


def test_a_write_of_memory_max_at_usage_drains_nothing():
    system = System.chain(depth=1, cpus=2)
    system.charge_skmem(cpu=1, memcg=1, nr_pages=1)
    system.set_max(cpu=0, memcg=1, nr_pages=32)
    assert system.stock[1] == (1, 31)


# --- giving back past the stock --------------------------------------------------------------------------------------
@both_policies
def test_cancel_charge_goes_past_the_stock(policy):
    system = System.chain(depth=1, cpus=1, policy=policy)
    system.try_charge(cpu=0, memcg=1, nr_pages=3)
    work = cost(system, lambda: system.cancel_charge(cpu=0, memcg=1, nr_pages=2))
    assert (work.sub, work.css_calls) == (2, 1)
    assert (system.usage.tolist(), system.snapshot()["css"], system.stock) == ([30, 30], [0, 30], [(1, 29)])


# --- sockets ---------------------------------------------------------------------------------------------------------
@both_policies
@pytest.mark.parametrize(("ctx", "failures", "reclaims"), [("softirq", 4, 0), ("task", 16, 14)])
def test_a_refused_socket_charge_is_forced_after_the_whole_way_was_gone_twice(policy, ctx, failures, reclaims):
    system = full(policy)
    before = field(system, "failcnt")[1]
    assert system.charge_skmem(cpu=0, memcg=1, nr_pages=3, ctx=ctx) is False
    assert (field(system, "failcnt")[1] - before, system.work().reclaim) == (failures, reclaims)
    assert system.usage.tolist() == [13, 13]
    assert (system.sock.tolist(), system.snapshot()["css"]) == ([0, 3], [0, 13])
    assert (system.work().refused, system.work().forced) == (1, 1)


@pytest.mark.parametrize(
    ("policy", "answers", "usage", "failures"),
    [(V4_13, [False] * 6, 10, 24), (V4_14, [False] + [True] * 5, 13, 4)],
    ids=["v4.13", "v4.14"],
)
def test_after_the_patch_one_refused_charge_pays_for_the_next(policy, answers, usage, failures):
    system = full(policy)
    before = field(system, "failcnt")[1]
    got = []
    for _ in range(6):
        got.append(system.charge_skmem(cpu=0, memcg=1, nr_pages=3))
        system.uncharge_skmem(cpu=0, memcg=1, nr_pages=3)
        assert system.usage[1] == usage
    assert got == answers
    assert field(system, "failcnt")[1] - before == failures


@both_policies
def test_one_reference_is_held_for_each_page_in_use_or_in_a_stock(policy):
    system = System.chain(depth=2, cpus=2, policy=policy)
    for call, pages in (
        (lambda: system.charge_skmem(cpu=0, memcg=2, nr_pages=3), 32),
        (lambda: system.try_charge(cpu=0, memcg=2, nr_pages=4), 32),
        (lambda: system.try_charge(cpu=0, memcg=1, nr_pages=40), 32),
        (lambda: system.cancel_charge(cpu=0, memcg=2, nr_pages=4), 28),
        (lambda: system.drain_local_stock(cpu=0), 3),
        (lambda: system.uncharge_skmem(cpu=1, memcg=2, nr_pages=3), 0 if policy is V4_13 else 3),
        (lambda: system.drain_all_stock(cpu=0, memcg=2), 0),
    ):
        call()
        assert system.snapshot()["css"][2] == pages
        assert broken(system) == []
    assert system.snapshot()["css"] == [0, 40, 0]


@both_policies
def test_memcg_sock_is_signed_a_cpu_and_exact_in_sum(policy):
    system = System.chain(depth=1, cpus=2, policy=policy)
    for _ in range(5):
        system.charge_skmem(cpu=0, memcg=1, nr_pages=2)
        system.uncharge_skmem(cpu=1, memcg=1, nr_pages=1)
    assert system.snapshot()["sock_cpu"] == [[0, 0], [10, -5]]
    assert system.sock.tolist() == [0, 5]


@both_policies
def test_memcg_sock_counts_a_charge_once_though_it_is_tried_twice(policy):
    system = full(policy)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=7)
    assert system.sock.tolist() == [0, 7]


def test_pages_that_are_not_socket_memory_are_not_in_memcg_sock():
    system = System.chain(depth=1, cpus=1)
    system.try_charge(cpu=0, memcg=1, nr_pages=3)
    assert system.sock.tolist() == [0, 0]


# --- cgroup v1 -------------------------------------------------------------------------------------------------------
def v1(policy, **options):
    return System.chain(depth=1, cpus=2, policy=policy, legacy=True, **options)


@both_policies
def test_in_v1_sockets_have_a_counter_of_their_own_and_no_stock(policy):
    system = v1(policy)
    work = system.replay(pingpong(100))
    assert (work.add, work.sub) == (200, 200)
    assert (work.stock_hits, work.stock_misses, work.css_calls) == (0, 0, 0)
    assert (system.stock, system.usage.tolist(), system.sock.tolist()) == ([NOBODY] * 2, [0, 0], [0, 0])


@both_policies
def test_in_v1_a_refused_socket_charge_is_forced_and_raises_pressure_until_one_fits(policy):
    system = v1(policy)
    system._arrays["counter"]["limit"][2 * 2 + 1] = 4  # tcpmem of memcg 1
    answers, pressure = [], []
    for nr_pages in (4, 1):
        answers.append(system.charge_skmem(cpu=0, memcg=1, nr_pages=nr_pages))
        pressure.append(system.snapshot()["tcpmem_pressure"])
    system.uncharge_skmem(cpu=1, memcg=1, nr_pages=2)
    answers.append(system.charge_skmem(cpu=0, memcg=1, nr_pages=1))
    pressure.append(system.snapshot()["tcpmem_pressure"])
    assert answers == [True, False, True]
    assert pressure == [[0, 0], [0, 1], [0, 0]]
    state = system.snapshot()
    assert (state["tcpmem"], state["tcpmem_failcnt"], state["usage"]) == ([4, 4], [0, 1], [0, 0])
    assert system.work().refused == 1


@both_policies
def test_with_memsw_every_charge_and_drain_goes_to_two_counters(policy):
    system = v1(policy, memsw=True)
    system.try_charge(cpu=0, memcg=1, nr_pages=1)
    assert system.snapshot()["memsw"] == system.snapshot()["usage"] == [32, 32]
    system.drain_local_stock(cpu=0)
    assert system.snapshot()["memsw"] == system.snapshot()["usage"] == [1, 1]
    system.cancel_charge(cpu=0, memcg=1, nr_pages=1)
    assert system.snapshot()["memsw"] == system.snapshot()["usage"] == [0, 0]
    assert (system.work().add, system.work().sub) == (4, 8)


def test_with_memsw_a_memory_limit_takes_the_memsw_charge_back():
    system = v1(V4_14, memsw=True, limits=[-1, 10])
    assert system.try_charge(cpu=0, memcg=1, nr_pages=11, ctx=SOFTIRQ) == ENOMEM
    state = system.snapshot()
    assert (state["usage"], state["memsw"]) == ([0, 0], [0, 0])
    assert (state["failcnt"], state["memsw_failcnt"]) == ([0, 2], [0, 0])


def test_with_memsw_its_own_limit_refuses_before_memory_is_asked():
    system = v1(V4_14, memsw=True)
    system._arrays["counter"]["limit"][2 + 1] = 10  # memsw of memcg 1
    assert system.try_charge(cpu=0, memcg=1, nr_pages=11) == ENOMEM
    state = system.snapshot()
    assert (state["failcnt"], state["memsw_failcnt"]) == ([0, 0], [0, 8])
    assert (state["ev_max"], state["ev_oom"]) == ([0, 7], [0, 1])
    assert state["rmw_by"] == [0, 0]


def test_with_memsw_a_forced_charge_goes_to_both_counters():
    system = v1(V4_14, memsw=True, limits=[-1, 10])
    system.try_charge(cpu=0, memcg=1, nr_pages=11, ctx=NOFAIL)
    assert system.snapshot()["memsw"] == system.snapshot()["usage"] == [11, 11]
    system.cancel_charge(cpu=0, memcg=1, nr_pages=11)
    assert system.snapshot()["memsw"] == system.snapshot()["usage"] == [0, 0]


@pytest.mark.own_rule
def test_with_memsw_the_margin_is_the_smaller_of_the_two():
    # Reclaim frees one page of both a call; 4 pages are missing below the limit of memsw, none below that of memory.
    system = v1(OWN, memsw=True)
    system._arrays["counter"]["limit"][2 + 1] = 10
    system.try_charge(cpu=0, memcg=1, nr_pages=10, ctx=SOFTIRQ)
    assert attempt(system, 4, TASK)[0] == 0
    assert (system.snapshot()["memsw"], system.work().reclaim) == ([10, 10], 4)


# --- v6.1 ------------------------------------------------------------------------------------------------------------
def full_v6_1():
    """Memcg 2 is at its limit of 10 pages and its stock is empty."""
    system = System.chain(depth=2, cpus=2, policy=V6_1, limits=[-1, -1, 10])
    system.charge_skmem(cpu=0, memcg=2, nr_pages=10)
    assert (system.usage[2], system.stock[0].nr_pages) == (10, 0)
    return system


def test_in_v6_1_softirq_is_never_refused_and_what_it_forced_serves_the_next_charge_above_the_limit():
    system = full_v6_1()
    assert system.charge_skmem(cpu=0, memcg=2, nr_pages=3)
    assert (system.usage[2], system.work().forced, system.snapshot()["ev_max"][2]) == (13, 1, 1)
    system.uncharge_skmem(cpu=0, memcg=2, nr_pages=3)
    assert (system.usage[2], system.stock[0]) == (13, (2, 3))
    work = system.work()
    assert system.charge_skmem(cpu=0, memcg=2, nr_pages=3)
    assert (system.usage[2], (system.work() - work).atomics, (system.work() - work).stock_hits) == (13, 0, 1)


def test_in_v6_1_a_refused_task_costs_19_tries_and_leaves_nothing_charged():
    system = full_v6_1()
    other = system.stock[1]
    system.try_charge(cpu=1, memcg=1, nr_pages=1)
    work, before = system.work(), system.usage.tolist()
    assert not system.charge_skmem(cpu=0, memcg=2, nr_pages=3, ctx="task")
    spent = system.work() - work
    # A batch once, then 18 times the exact size: each adds at the level that refuses and takes it back.
    assert (spent.stock_misses, spent.add, spent.sub, spent.reclaim) == (19, 19, 19, 18)
    assert (system.usage.tolist(), system.sock[2], other) == (before, 10, (-1, 0))
    assert system.snapshot()["ev_max"][2] == 18


@pytest.mark.parametrize(
    ("ctx", "tries", "reclaims", "forced"),
    [
        (TASK, 19, 18, 0),
        (NORETRY, 3, 2, 0),
        (NOWAIT, 2, 0, 0),
        (ATOMIC, 2, 0, 1),
        (SOFTIRQ | NOWAIT, 2, 0, 0),
        (SOFTIRQ, 2, 0, 1),
        (RETRY_MAYFAIL, 19, 18, 0),
        (NOFAIL, 19, 18, 1),
        (IN_OOM, 2, 0, 0),
    ],
)
def test_in_v6_1_the_context_says_how_hard_a_charge_tries(ctx, tries, reclaims, forced):
    system = full_v6_1()
    work = system.work()
    ret = system.try_charge(cpu=0, memcg=2, nr_pages=1, ctx=ctx)
    spent = system.work() - work
    assert (spent.stock_misses, spent.reclaim, spent.forced, ret) == (tries, reclaims, forced, 0 if forced else -12)


def test_what_v6_1_does_not_have_here_is_refused_in_words():
    with pytest.raises(ValueError, match="cgroup v1 is modelled for v4.13 and v4.14, not for the charge path of v6.1"):
        System.chain(depth=1, cpus=1, policy=V6_1, legacy=True)
    with pytest.raises(ValueError, match="the socket layer here is that of v4.13; v6.1 has another"):
        System.chain(depth=1, cpus=1, policy=V6_1, sockets=[1])
    with pytest.raises(ValueError, match="mins and lows are modelled for V6_1, not for v4.14"):
        System.chain(depth=1, cpus=1, mins=[0, 1])
    with pytest.raises(ValueError, match=r"kmem_charge: kernel pages do not go through the stock .*; V6_1 has them"):
        System.chain(depth=1, cpus=1).kernel_op("kmem_charge", cpu=0, memcg=1, nr=1)
    with pytest.raises(ValueError, match="css_by_page is True; the charge path of v6.1 keeps no references of pages"):
        V6_1.with_rules("x", css_by_page=True)
    with pytest.raises(ValueError, match="path is 3; it must be"):
        V6_1.with_rules("x", path=3)
    with pytest.raises(ValueError, match="obj_uncharge: gives back 2, but memcg 1 holds 0 bytes"):
        System.chain(depth=1, cpus=1, policy=V6_1).kernel_op("obj_uncharge", cpu=0, memcg=1, nr=2)
    with pytest.raises(ValueError, match="memcg 0 is the root"):
        System.chain(depth=1, cpus=1, policy=V6_1).kernel_op("obj_charge", cpu=0, memcg=0, nr=2)
    with pytest.raises(ValueError, match=r"slab_alloc: .* bytes; allowed are 1 to 2,147,483,647"):
        System.chain(depth=1, cpus=1, policy=V6_1).kernel_op("slab_alloc", cpu=0, memcg=1, nr=(1 << 34) + 1)
