"""What others found when they tried to break it, each kind a test."""

import signal
import threading

import pytest
from numpy.lib.stride_tricks import as_strided

from lab_helpers import MODE, arrays_of, both_policies
from memcg_lab import V4_14, System, mixed, op
from memcg_lab import system as system_module
from memcg_lab.mechanism import records
from memcg_lab.mechanism.page_counter import page_counter_uncharge
from memcg_lab.mechanism.stock_v4_13 import css_put_many

interruptible = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signal can be sent here")


def broken(system):
    """The invariants that do not hold."""
    return [(rule.name, rule.detail) for rule in system.invariants() if not rule.holds]


# --- two owners of one sum -------------------------------------------------------------------------------------------
@both_policies
@pytest.mark.parametrize("legacy", [False, True])
def test_pages_that_a_socket_owns_go_back_through_the_socket_alone(policy, legacy):
    s = System.chain(depth=1, cpus=1, policy=policy, sockets=[1], legacy=legacy)
    assert s.socket_op("sk_rmem_schedule", cpu=0, sk=0, nr_bytes=4096) == 1
    before = arrays_of(s)
    with pytest.raises(ValueError, match="memcg 1 holds 0 pages beside the 1 that its sockets own"):
        s.uncharge_skmem(cpu=0, memcg=1, nr_pages=1)
    assert arrays_of(s) == before
    s.charge_skmem(cpu=0, memcg=1, nr_pages=2)
    s.socket_op("sk_queue_receive", cpu=0, sk=0, nr_bytes=4000)
    with pytest.raises(ValueError, match="gives back 3, but memcg 1 holds 2 pages beside"):
        s.uncharge_skmem(cpu=0, memcg=1, nr_pages=3)
    s.uncharge_skmem(cpu=0, memcg=1, nr_pages=2)
    s.socket_op("sk_free_receive", cpu=0, sk=0, nr_bytes=4000)
    s.socket_op("sk_mem_reclaim", cpu=0, sk=0)
    s.drain_local_stock(cpu=0)
    assert s.usage.tolist() == [0, 0]
    assert s.sock.tolist() == [0, 0]
    assert broken(s) == []


def test_a_sum_below_zero_breaks_an_invariant():
    s = System.chain(depth=1, cpus=1, sockets=[1], underflow="record")
    s.socket_op("sk_rmem_schedule", cpu=0, sk=0, nr_bytes=4096)
    s.uncharge_skmem(cpu=0, memcg=1, nr_pages=1)
    assert dict(broken(s))["nobody holds less than nothing"] == "memcg 1: 0 socket pages, of which its sockets own 1"
    assert s.faults["underflow"] == 1
    s.socket_op("sk_mem_reclaim", cpu=0, sk=0)
    assert dict(broken(s))["nobody holds less than nothing"].startswith("memcg 1: -1 socket pages")


# --- long streams ----------------------------------------------------------------------------------------------------
def test_a_long_stream_runs_in_slices_and_names_the_operation_by_its_own_number(monkeypatch):
    ops = mixed(1000, cpus=3, memcgs=[1, 2])
    whole, sliced = (System.siblings(2, cpus=3) for _ in range(2))
    whole.replay(ops)
    monkeypatch.setattr(system_module, "SLICE", 64)
    sliced.replay(ops)
    assert arrays_of(whole) == arrays_of(sliced)
    ops["cpu"][777] = 9
    before = arrays_of(sliced)
    with pytest.raises(ValueError, match="op 777 of 1,000 "):
        sliced.replay(ops)
    assert arrays_of(sliced) == before


def in_a_moment(seconds=0.3):
    """Ctrl-C, soon."""
    timer = threading.Timer(seconds, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    return timer


@interruptible
def test_a_long_stream_of_our_own_rules_can_be_interrupted():
    endless = as_strided(op("charge_skmem", cpu=0, memcg=1, nr=1), shape=(1 << 40,), strides=(0,))
    s = System.chain(depth=1, cpus=1)
    s.replay(endless[:2])
    before = arrays_of(s)
    in_a_moment()
    with pytest.raises(KeyboardInterrupt):
        s.replay(endless)
    assert arrays_of(s) == before


# --- a reader's rule -------------------------------------------------------------------------------------------------
def misled(st, batch, refill, drain, cpu, memcg, nr_pages):
    """An ``uncharge`` that goes wrong in as many ways as there are numbers of pages."""
    if nr_pages == 2:
        page_counter_uncharge(st, cpu, memcg + 7, nr_pages)
    elif nr_pages == 3:
        css_put_many(st, cpu, memcg + 7_000_000, nr_pages)
    elif nr_pages == 4:
        st.stock[cpu, 0].memcg = 1_000_000
        drain(st, cpu, 0, records.DRAIN_CAP)
    elif nr_pages == 5:
        st.counter[memcg].parent = memcg
        page_counter_uncharge(st, cpu, memcg, nr_pages)
    elif nr_pages == 6:
        for _ in range(1 << 60):
            page_counter_uncharge(st, cpu, memcg, 0)


MISLED = V4_14.with_rules("misled", uncharge=misled)


@pytest.mark.parametrize(
    ("nr_pages", "says"),
    [
        (2, "used an index that does not exist"),
        (3, "used an index that does not exist"),
        (4, "used an index that does not exist"),
        pytest.param(
            *(5, "put a cgroup above its own parent"),
            marks=pytest.mark.skipif(MODE == "nojit", reason="Python hears Ctrl-C, and goes round until then"),
        ),
    ],
)
def test_a_reader_s_rule_with_a_wrong_number_for_a_function_of_ours_is_refused_in_words(nr_pages, says):
    s = System.chain(depth=1, cpus=1, policy=MISLED)
    s.charge_skmem(cpu=0, memcg=1, nr_pages=nr_pages)
    before = arrays_of(s)
    with pytest.raises(ValueError, match=f"a rule of misled {says}"):
        s.uncharge_skmem(cpu=0, memcg=1, nr_pages=nr_pages)
    assert arrays_of(s) == before


@interruptible
def test_a_reader_s_rule_without_end_can_be_interrupted():
    s = System.chain(depth=1, cpus=1, policy=MISLED)
    s.charge_skmem(cpu=0, memcg=1, nr_pages=6)
    before = arrays_of(s)
    in_a_moment()
    with pytest.raises(KeyboardInterrupt):
        s.uncharge_skmem(cpu=0, memcg=1, nr_pages=6)
    assert arrays_of(s) == before
