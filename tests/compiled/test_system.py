"""System: making trees, looking at them, copying, comparing, and the invariants that must be able to fail."""

import numpy as np
import pytest

from lab_helpers import MODE, arrays_of, both_policies, broken
from memcg_lab import V4_13, V4_14, Stock, System, Work, mixed, op, pingpong, producer_consumer
from memcg_lab.mechanism import records
from memcg_lab.mechanism.records import PAGE_COUNTER_MAX
from two_slots import TWO_SLOTS


# --- trees -----------------------------------------------------------------------------------------------------------
def test_a_chain_is_a_root_with_one_cgroup_a_level():
    system = System.chain(depth=3, cpus=2)
    assert (system.parents, system.root, system.cpus) == ([-1, 0, 1, 2], 0, 2)


def test_siblings_share_one_root():
    assert System.siblings(3, cpus=1).parents == [-1, 0, 0, 0]


def test_a_tree_may_have_several_tops_and_no_root():
    system = System([-1, -1, 1], cpus=1, root=None)
    system.charge_skmem(cpu=0, memcg=0, nr_pages=1)
    system.charge_skmem(cpu=0, memcg=2, nr_pages=1)
    assert system.usage.tolist() == [1, 32, 32]


def test_a_new_system_is_empty():
    system = System([-1, 0], cpus=2, limits=[-1, 7], highs=[None, 3])
    assert system.snapshot() == {
        "usage": [0, 0],
        "max": [0, 0],
        "failcnt": [0, 0],
        "limit": [PAGE_COUNTER_MAX, 7],
        "css": [0, 0],
        "sock": [0, 0],
        "stock": [[-1, 0], [-1, 0]],
        "sock_cpu": [[0, 0], [0, 0]],
        "rmw": {"add": 0, "sub": 0, "xchg": 0},
        "rmw_by": [0, 0],
        "ev_max": [0, 0],
        "ev_oom": [0, 0],
        "reclaim": 0,
        "oom": 0,
        "remote_works": 0,
        "over_high": 0,
        "high_work": 0,
    }
    assert system._arrays["memcg"]["high"].tolist() == [PAGE_COUNTER_MAX, 3]
    assert system.work() == Work()
    assert broken(system) == []


def test_v1_and_memsw_add_their_fields():
    v1 = System([-1, 0], cpus=1, legacy=True)
    assert set(v1.snapshot()) - set(System([-1, 0], cpus=1).snapshot()) == {
        "tcpmem",
        "tcpmem_failcnt",
        "tcpmem_pressure",
    }
    memsw = System([-1, 0], cpus=1, legacy=True, memsw=True)
    assert set(memsw.snapshot()) - set(v1.snapshot()) == {"memsw", "memsw_failcnt"}


@pytest.mark.own_rule
def test_with_several_slots_a_cpus_stock_is_a_list():
    system = System.siblings(2, cpus=2, policy=TWO_SLOTS)
    assert system.stock == [[Stock(-1, 0)] * 2] * 2
    for memcg in (1, 2):
        system.charge_skmem(cpu=1, memcg=memcg, nr_pages=memcg)
    assert system.stock == [[Stock(-1, 0)] * 2, [Stock(1, 31), Stock(2, 30)]]
    assert system.snapshot()["stock"] == [[[-1, 0], [-1, 0]], [[1, 31], [2, 30]]]
    assert all(rule.holds for rule in system.invariants())


# --- one operation ---------------------------------------------------------------------------------------------------
def test_each_method_runs_the_operation_of_its_name():
    calls = {
        "charge_skmem": lambda s: s.charge_skmem(cpu=1, memcg=1, nr_pages=40),
        "uncharge_skmem": lambda s: s.uncharge_skmem(cpu=0, memcg=1, nr_pages=40),
        "try_charge": lambda s: s.try_charge(cpu=0, memcg=1, nr_pages=3),
        "cancel_charge": lambda s: s.cancel_charge(cpu=0, memcg=1, nr_pages=3),
        "drain_local": lambda s: s.drain_local_stock(cpu=0),
        "drain_all": lambda s: s.drain_all_stock(cpu=1, memcg=0),
        "cpu_dead": lambda s: s.cpu_dead(cpu=0),
        "set_limit": lambda s: s.set_limit(cpu=0, memcg=1, nr_pages=99),
        "set_max": lambda s: s.set_max(cpu=0, memcg=1, nr_pages=98),
        "set_high": lambda s: s.set_high(cpu=0, memcg=1, nr_pages=97),
    }
    operations = {
        "charge_skmem": op("charge_skmem", cpu=1, memcg=1, nr=40),
        "uncharge_skmem": op("uncharge_skmem", cpu=0, memcg=1, nr=40),
        "try_charge": op("try_charge", cpu=0, memcg=1, nr=3, ctx="task"),
        "cancel_charge": op("cancel_charge", cpu=0, memcg=1, nr=3),
        "drain_local": op("drain_local", cpu=0),
        "drain_all": op("drain_all", cpu=1, memcg=0),
        "cpu_dead": op("cpu_dead", cpu=0),
        "set_limit": op("set_limit", cpu=0, memcg=1, nr=99),
        "set_max": op("set_max", cpu=0, memcg=1, nr=98),
        "set_high": op("set_high", cpu=0, memcg=1, nr=97),
    }
    called, replayed = System.chain(depth=1, cpus=2), System.chain(depth=1, cpus=2)
    for name, call in calls.items():
        for system in (called, replayed):
            system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
        before = called.snapshot()
        call(called)
        replayed.replay(operations[name])
        assert arrays_of(called) == arrays_of(replayed), name
        if name != "set_high":
            assert called.snapshot() != before, name
    assert called._arrays["memcg"]["high"][1] == 97


def test_the_answer_of_the_last_operation_is_kept():
    system = System.chain(depth=1, cpus=1, limits=[-1, 4])
    answers = []
    for call in (
        lambda: system.charge_skmem(cpu=0, memcg=1, nr_pages=4),
        lambda: system.charge_skmem(cpu=0, memcg=1, nr_pages=1),
        lambda: system.try_charge(cpu=0, memcg=1, nr_pages=1),
        lambda: system.set_limit(cpu=0, memcg=1, nr_pages=1),
        lambda: system.drain_local_stock(cpu=0),
    ):
        call()
        answers.append(system.last_return)
    assert answers == [1, 0, -12, -16, 0]


def test_a_limit_of_minus_1_is_the_maximum():
    system = System.chain(depth=1, cpus=1, limits=[-1, 4])
    system.set_limit(cpu=0, memcg=1, nr_pages=-1)
    assert system.snapshot()["limit"] == [PAGE_COUNTER_MAX] * 2


# --- streams ---------------------------------------------------------------------------------------------------------
@both_policies
def test_a_stream_is_its_operations_one_at_a_time(policy):
    ops = mixed(120, cpus=2, memcgs=[1, 2], in_flight=10)
    at_once, one_by_one = System.siblings(2, cpus=2, policy=policy), System.siblings(2, cpus=2, policy=policy)
    at_once.replay(ops)
    for number in range(len(ops)):
        one_by_one.replay(ops[number : number + 1])
    assert arrays_of(at_once) == arrays_of(one_by_one)


def test_replay_answers_with_the_work_of_this_stream_alone():
    system = System.chain(depth=1, cpus=1)
    system.replay(pingpong(40))
    first = system.work()
    second = system.replay(pingpong(40))
    assert second == system.work() - first
    assert second.stock_hits == 40


def test_the_headline_one_page_a_call_charged_here_and_given_back_there():
    atomics = {}
    for policy in (V4_13, V4_14):
        system = System.chain(depth=1, cpus=2, policy=policy)
        atomics[policy.name] = system.replay(producer_consumer(200)).atomics
    assert atomics == {"v4.13": 414, "v4.14": 26}


def test_read_only_streams_and_slices_with_steps_are_replayed():
    ops = np.repeat(mixed(60, cpus=1, memcgs=[1], in_flight=0), 2)
    ops.flags.writeable = False
    plain, sliced = System.chain(depth=1, cpus=1), System.chain(depth=1, cpus=1)
    plain.replay(mixed(60, cpus=1, memcgs=[1], in_flight=0))
    sliced.replay(ops[::2])
    assert arrays_of(sliced) == arrays_of(plain)
    assert not ops[::2].flags.c_contiguous
    backwards = System.chain(depth=1, cpus=1, underflow="record")
    backwards.replay(ops[::-1])


def test_a_stream_is_not_changed_by_its_replay():
    ops = mixed(60, cpus=2, memcgs=[1])
    before = ops.tobytes()
    System.chain(depth=1, cpus=2).replay(ops)
    assert ops.tobytes() == before


def test_an_empty_stream_costs_nothing():
    system = System.chain(depth=1, cpus=1)
    assert system.replay(pingpong(0)) == Work()
    assert system.last_return == 0


# --- more given back than was charged --------------------------------------------------------------------------------
def test_with_record_a_stream_may_start_in_the_middle():
    system = System.chain(depth=1, cpus=1, policy=V4_13, underflow="record")
    system.uncharge_skmem(cpu=0, memcg=1, nr_pages=2)
    system.cancel_charge(cpu=0, memcg=1, nr_pages=1)
    assert system.usage.tolist() == [-3, -3]
    assert system.faults == {"negative_counter": 4, "underflow": 2}
    assert [name for name, _ in broken(system)] == ["nobody holds less than nothing", "no counter is below zero"]


def test_after_the_patch_an_unknown_uncharge_hides_in_the_stock():
    system = System.chain(depth=1, cpus=1, underflow="record")
    system.uncharge_skmem(cpu=0, memcg=1, nr_pages=32)
    assert (system.usage.tolist(), system.faults["negative_counter"]) == ([0, 0], 0)
    system.uncharge_skmem(cpu=0, memcg=1, nr_pages=1)
    assert (system.usage.tolist(), system.faults["negative_counter"]) == ([-33, -33], 2)


def test_with_record_a_socket_may_free_more_than_it_queued():
    system = System.chain(depth=1, cpus=1, sockets=[1], underflow="record")
    system.socket_op("sk_free_receive", cpu=0, sk=0, nr_bytes=10)
    assert (system.socket(0)["rmem_alloc"], system.faults["underflow"]) == (-10, 1)


# --- looking ---------------------------------------------------------------------------------------------------------
def test_work_names_what_was_done():
    work = Work(add=3, sub=2, xchg=1, drains_by_cap=2, drains_all=1, pages_drained=70, stock_hits=1000)
    assert (work.atomics, work.drains) == (6, 3)
    assert work - Work(add=1) == Work(
        add=2, sub=2, xchg=1, drains_by_cap=2, drains_all=1, pages_drained=70, stock_hits=1000
    )
    assert repr(work) == "Work(6 atomics, 1,000 stock hits, 0 misses, 3 drains of 70 pages, 0 refused)"


def test_looking_hands_out_copies():
    system = System.chain(depth=1, cpus=1)
    before = arrays_of(system)
    for array in (system.usage, system.sock, system.atomics_by_memcg()):
        array[:] = 99
    system.snapshot()["usage"][0] = 99
    assert arrays_of(system) == before


def test_a_socket_is_shown_with_its_fields():
    system = System.chain(depth=1, cpus=1, sockets=[1, None, 0])
    assert system.socket(0) == {
        "memcg": 1,
        "forward_alloc": 0,
        "rmem_alloc": 0,
        "wmem_queued": 0,
        "wmem_alloc": 0,
        "sndbuf": 1 << 20,
        "stream": 1,
    }
    assert [system.socket(sk)["memcg"] for sk in (1, 2)] == [-1, -1]
    assert system.protocol()["nr_sockets"] == 3
    assert set(system.protocol()) == set(records.proto_dtype.names)


def test_a_systems_repr_is_short():
    assert repr(System.chain(depth=1, cpus=1)) == "System(v4.14, 1 cpu, 2 memcgs, usage [0 0])"
    assert repr(System.chain(depth=9, cpus=2)).endswith("10 memcgs, usage [0 0 0 0 0 0 0 0 ...])")


@pytest.mark.skipif(MODE == "nojit", reason="what is not compiled can be interrupted half way, so the state is put by")
def test_one_operation_copies_no_state(monkeypatch):
    system = System.chain(depth=1, cpus=2)
    monkeypatch.setattr(System, "_backup", lambda self: pytest.fail("the state was copied"))
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    before = arrays_of(system)
    for refused in (
        {"cpu": 2, "memcg": 1, "nr_pages": 1},
        {"cpu": 0, "memcg": 2, "nr_pages": 1},
        {"cpu": 0, "memcg": 0, "nr_pages": 1},
        {"cpu": 0, "memcg": 1, "nr_pages": 2},
    ):
        with pytest.raises(ValueError, match="uncharge_skmem: "):
            system.uncharge_skmem(**refused)
        assert arrays_of(system) == before


# --- copy, compare ---------------------------------------------------------------------------------------------------
@both_policies
def test_a_copy_goes_its_own_way(policy):
    system = System.chain(depth=1, cpus=1, policy=policy)
    system.replay(pingpong(10))
    twin = system.copy()
    assert system.compare(twin) == []
    before = arrays_of(system)
    twin.charge_skmem(cpu=0, memcg=1, nr_pages=33)
    assert arrays_of(system) == before
    assert {name for name, _, _ in system.compare(twin)} >= {"usage", "sock", "css", "rmw"}


def test_a_copy_may_go_on_under_other_rules():
    system = System.chain(depth=1, cpus=2, policy=V4_13)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=40)
    after = system.copy(policy=V4_14)
    for one in (system, after):
        one.uncharge_skmem(cpu=1, memcg=1, nr_pages=20)
    assert (system.usage[1], after.usage[1]) == (20, 40)
    assert system.compare(after)[0] == ("usage", [20, 20], [40, 40])
    assert (system.policy, after.policy) == (V4_13, V4_14)


@pytest.mark.own_rule
def test_a_copy_cannot_change_its_slots():
    with pytest.raises(ValueError, match="two slots has 2 slots, this system 1"):
        System.chain(depth=1, cpus=1).copy(policy=TWO_SLOTS)


def test_compare_names_fields_that_only_one_side_has():
    v2, v1 = System.chain(depth=1, cpus=1), System.chain(depth=1, cpus=1, legacy=True)
    assert v2.compare(v1)[0] == ("tcpmem", None, [0, 0])
    assert v1.compare(v2)[0] == ("tcpmem", [0, 0], None)


# --- invariants ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("array", "name", "index", "value", "says"),
    [
        ("counter", "count", 1, 41, "usage = pages in use"),
        ("counter", "count", 0, 39, "usage = pages in use"),
        ("memcg", "css", 1, 39, "references = pages in use"),
        ("sock", None, (0, 1), 9, "sock = pages the sockets hold"),
        ("stock", "nr_pages", (0, 0), 33, "no stock exceeds its bound"),
        ("stock", "memcg", (0, 0), -1, "an empty owner holds no pages"),
        ("stock", "nr_pages", (1, 0), -1, "an empty owner holds no pages"),
        ("total", None, records.WARN, 1, "no counter is below zero"),
    ],
)
def test_each_invariant_can_fail(array, name, index, value, says):
    system = System.chain(depth=1, cpus=2)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=8)
    assert broken(system) == []
    column = system._arrays[array] if name is None else system._arrays[array][name]
    column[index] = value
    names = [invariant for invariant, _ in broken(system)]
    assert any(invariant.startswith(says) for invariant in names), names


def test_a_broken_invariant_says_where():
    system = System.chain(depth=2, cpus=1)
    system.charge_skmem(cpu=0, memcg=2, nr_pages=8)
    system._arrays["memcg"]["css"][2] = 7
    assert broken(system) == [("references = pages in use + pages in stocks", "memcg 2: 7, not 32")]


def test_a_stock_that_names_no_cgroup_of_the_tree_is_told():
    system = System.siblings(2, cpus=2)
    system._arrays["stock"]["memcg"][1, 0] = 77
    assert ("a stock's owner is a cgroup of the tree", "memcg 77") in broken(system)
