"""Real threads on shared page counters: not a page is lost, and the end is the one that the mechanism predicts."""

import dataclasses
import importlib
import json
import mmap
import threading

import numpy as np
import pytest

from lab_helpers import MODE, OWN, python, without_compiler
from memcg_lab import CAP_ONLY, UNCHARGE_ONLY, V4_13, V4_14, V6_1, System, _jit, pingpong, producer_consumer
from memcg_lab.hardware import Run, run_threads
from memcg_lab.hardware.counters import bind, make_state, rules_of
from memcg_lab.hardware.host import usable_cpus
from memcg_lab.hardware.race import LINE, aligned, fresh_page, race
from tests.reference import plain_python
from two_slots import TWO_SLOTS

compiled_only = pytest.mark.skipif(MODE == "nojit", reason="Python has no atomics of the CPU")
two_cpus = pytest.mark.skipif(len(usable_cpus()) < 2, reason="there is one CPU only")
POLICIES = [V4_13, V4_14, CAP_ONLY, UNCHARGE_ONLY]
four_policies = pytest.mark.parametrize("policy", POLICIES, ids=[policy.name for policy in POLICIES])


@pytest.mark.skipif(MODE != "nojit", reason="everything is compiled in this mode")
def test_without_a_compiler_it_says_so():
    with pytest.raises(ValueError, match="real atomics need compiled code, but NUMBA_DISABLE_JIT is set"):
        run_threads(V4_14)


# --- the mechanism predicts the end ----------------------------------------------------------------------------------
def predicted(policy, depth, threads, ops):
    """Usage and stocks after the mechanism did the same."""
    system = System.chain(depth=depth, cpus=threads, policy=policy)
    system.replay(ops)
    return tuple(system.usage), tuple(stock.nr_pages for stock in system.stock)


def predicted_by_a_twin(policy, depth, threads, ops):
    """The same of the mechanism in plain Python."""
    system = System.chain(depth=depth, cpus=threads, policy=policy)
    twin = plain_python.Machine(system._arrays, system.root, policy.batch, False)
    twin.cap, twin.to_stock = policy.capped, policy in (V4_14, UNCHARGE_ONLY)
    assert plain_python.replay(twin, ops.tolist(), False)[:2] == (len(ops), 0)
    found = twin.arrays(system._arrays)
    return tuple(found["counter"]["count"][: depth + 1].tolist()), tuple(found["stock"]["nr_pages"].ravel().tolist())


# Each hunk alone would be compiled for these tests only; the twin is the same, as the test below says.
foreseen = {V4_13: predicted, V4_14: predicted, CAP_ONLY: predicted_by_a_twin, UNCHARGE_ONLY: predicted_by_a_twin}


@without_compiler
@four_policies
def test_the_twin_ends_where_the_mechanism_ends(policy):
    streams = [pingpong(700, memcg=2, cpu=cpu, nr_pages=nr_pages) for nr_pages in (1, 7, 33) for cpu in (0, 1)]
    for ops in (*streams, producer_consumer(700, memcg=2)):
        assert predicted_by_a_twin(policy, 2, 2, ops) == predicted(policy, 2, 2, ops)


@compiled_only
@four_policies
@pytest.mark.parametrize("nr_pages", [1, 7, 31, 32, 33])
def test_one_thread_ends_where_the_mechanism_ends(policy, nr_pages):
    for depth, pairs in ((1, 1), (1, 777), (3, 1000)):
        run = run_threads(policy, depth=depth, threads=1, pairs=pairs, nr_pages=nr_pages)
        ops = pingpong(pairs, memcg=depth, nr_pages=nr_pages)
        assert (run.usage, run.stock) == foreseen[policy](policy, depth, 1, ops)
        assert (run.pairs, run.in_use, run.conserved) == ((pairs,), 0, True)


@compiled_only
@two_cpus
@four_policies
def test_two_threads_end_where_the_mechanism_ends_in_whatever_order_they_ran(policy):
    pairs = 20_000
    for nr_pages, padded in ((1, True), (7, False), (33, True)):
        run = run_threads(policy, depth=2, threads=2, pairs=pairs, nr_pages=nr_pages, padded=padded)
        ops = np.concatenate([pingpong(pairs, memcg=2, cpu=cpu, nr_pages=nr_pages) for cpu in (0, 1)])
        assert (run.usage, run.stock) == foreseen[policy](policy, 2, 2, ops)


@compiled_only
@two_cpus
@four_policies
def test_a_producer_and_a_consumer_end_where_the_mechanism_ends(policy):
    for pairs in (1, 64, 65, 5_001):
        run = run_threads(policy, depth=2, threads=2, pairs=pairs, workload="producer_consumer")
        ops = producer_consumer(pairs, memcg=2)
        assert (run.usage, run.stock) == foreseen[policy](policy, 2, 2, ops)
        assert (run.pairs, run.in_use) == ((pairs, pairs), 0)


@compiled_only
def test_another_batch_is_another_batch():
    policy = V4_14.with_rules("batch 64", batch=64)
    run = run_threads(policy, depth=1, threads=1, pairs=10)
    assert (run.policy, run.usage, run.stock) == ("batch 64", (64, 64), (64,))


# --- nothing is lost -------------------------------------------------------------------------------------------------
@compiled_only
@two_cpus
def test_in_many_runs_no_page_is_lost():
    for number in range(20):
        for policy in (V4_13, V4_14):
            for workload in ("pingpong", "producer_consumer"):
                run = run_threads(policy, depth=1 + number % 3, seconds=0.002, workload=workload, nr_pages=1 + number)
                assert run.conserved, run
                assert run.in_use >= 0


@compiled_only
def test_a_counter_without_atomics_is_right_when_one_thread_is_alone():
    run = run_threads(V4_13, threads=1, pairs=10_000, atomic=False)
    assert (run.conserved, run.lost) == (True, (0, 0, 0))


@compiled_only
@two_cpus
def test_a_counter_without_atomics_tells_what_it_lost():
    run = run_threads(V4_13, threads=2, seconds=0.02, atomic=False)  # it may lose nothing; then it says 0
    assert run.lost == tuple(count - sum(run.stock) for count in run.usage)
    assert run.conserved == (run.lost == (0, 0, 0))


@compiled_only
def test_a_lost_page_is_found_at_its_level():
    run = run_threads(V4_14, depth=1, threads=1, pairs=1)
    wrong = dataclasses.replace(run, usage=(run.usage[0], run.usage[1] - 3))
    assert (wrong.lost, wrong.conserved) == ((0, -3), False)


# --- how it is run ---------------------------------------------------------------------------------------------------
@compiled_only
def test_a_run_says_what_was_run():
    run = run_threads(V4_13, depth=3, threads=1, think_ns=200, seconds=0.02, nr_pages=2, padded=False)
    assert isinstance(run, Run)
    assert (run.policy, run.depth, run.threads, run.workload) == ("v4.13", 3, 1, "pingpong")
    assert (run.padded, run.atomic) == (False, True)
    assert len(run.usage) == 4
    assert run.think_ns > 0
    assert run.pairs[0] > 0
    assert 0 <= run.overlap <= 1
    assert run.ns_per_pair == pytest.approx(1000 / run.pairs_per_us)


@compiled_only
def test_a_run_of_no_pairs_leaves_everything_at_zero():
    run = run_threads(V4_14, threads=1, pairs=0)
    assert (run.usage, run.stock, run.pairs, run.ns_per_pair) == ((0, 0, 0), (0,), (0,), float("inf"))


@compiled_only
def test_on_a_cpu_without_a_known_clock_it_says_so(monkeypatch):
    room = importlib.import_module("memcg_lab.hardware.race")
    monkeypatch.setattr(room, "X86_64", False)
    monkeypatch.setattr(room, "ARM64", False)
    with pytest.raises(ValueError, match="no time-stamp counter is known for"):
        run_threads(V4_14, threads=1)


@compiled_only
@two_cpus
@pytest.mark.parametrize("workload", ["pingpong", "producer_consumer"])
def test_a_run_can_be_stopped_from_another_thread(workload):
    stop = threading.Event()
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    run = run_threads(V4_13, threads=2, seconds=3000, workload=workload, stop=stop)
    assert run.conserved
    run = run_threads(V4_13, threads=2, pairs=2**30, workload=workload, stop=stop)
    assert run.conserved
    assert sum(run.pairs) < 2**31
    timer.join()


def test_padded_stocks_never_share_a_line_and_unpadded_ones_do():
    for padded, apart in ((True, LINE), (False, 8)):
        state = make_state(2, 4, batch=32, padded=padded)
        assert state.stride * state.stock.itemsize == apart
        assert state.stock.ctypes.data % LINE == 0
        assert state.counter.ctypes.data % LINE == 0
        assert state.counter.strides == (LINE,)
        assert state.stock.size >= 4 * state.stride


def test_an_aligned_array_begins_at_a_line_and_is_zero():
    for count in (1, 3, 1000):
        array = aligned(count, np.int64)
        assert (array.size, array.ctypes.data % LINE, array.any()) == (count, 0, False)


def test_an_error_in_a_thread_is_raised_and_the_others_are_stopped():
    def loop(state, gate, report, me, steps):
        if report.size == 2 and me == 1:
            raise KeyError("broken")
        while report.size == 2 and not gate[16]:
            pass

    with pytest.raises(KeyError, match="broken"):
        race(loop, None, [usable_cpus()[0]] * 2, steps=1)


@compiled_only
def test_overlap_is_the_share_of_the_race_that_all_threads_ran():
    def loop(state, gate, report, me, steps):
        report["begin"][me], report["end"][me], report["done"][me] = 100 * me, 1000 + 100 * me, 5

    found = race(loop, None, [usable_cpus()[0]] * 2, steps=5)
    assert found.overlap <= 900 / 1100
    assert found.done.tolist() == [5, 5]
    assert found.ns[0] == found.ns[1] > 0
    assert found.ns_per_step == pytest.approx(found.ns[0] / 5)


@pytest.mark.parametrize("cpu", usable_cpus()[:2])
def test_a_fresh_page_is_a_page_of_zeros_of_its_own(cpu):
    one, other = fresh_page(cpu), fresh_page(cpu)
    assert one.size * 8 == mmap.PAGESIZE
    assert one.ctypes.data % mmap.PAGESIZE == 0
    assert not np.shares_memory(one, other)
    assert not one.any()
    one[0] = 7  # it can be written to
    assert (one[0], other[0]) == (7, 0)


def test_a_fresh_page_is_first_touched_on_the_cpu_that_is_said(monkeypatch):
    room, pinned = importlib.import_module("memcg_lab.hardware.race"), []
    monkeypatch.setattr(room, "pin", lambda cpu: pinned.append((cpu, threading.current_thread().name)))
    fresh_page(usable_cpus()[-1])
    assert pinned[0][0] == usable_cpus()[-1]
    assert pinned[0][1] != threading.current_thread().name  # so that the caller stays where it was


# --- errors ----------------------------------------------------------------------------------------------------------
@compiled_only
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"policy": "v4.14"}, "policy is 'v4.14'; it must be a Policy, such as V4_13 or V4_14"),
        ({"policy": OWN}, "refill of a reader's own is drain_at_the_batch, which has no twin with real atomics"),
        ({"policy": OWN}, "there are: refill_stock, refill_stock_capped."),
        ({"policy": V4_14.with_rules("r", reclaim=OWN.reclaim)}, "reclaim of r is reclaim_one_page, which has no twin"),
        ({"policy": V4_14.with_rules("d", drain=lambda *a: 0)}, "drain of d is <lambda>, which has no twin"),
        ({"policy": V6_1}, "v6.1 charges as v6.1 does; real threads charge as v4.13 does"),
        (
            {"policy": TWO_SLOTS},
            "two slots has 2 slots; the stock of a real thread holds pages of one cgroup, in 1 slot",
        ),
        ({"depth": 0}, "depth is 0; it must be a whole number from 1 to 64"),
        ({"depth": 65}, "depth is 65"),
        ({"depth": 1.5}, "depth is 1.5"),
        ({"threads": 0}, "threads is 0; it must be a whole number from 1 to"),
        ({"threads": 100_000}, "threads is 100000; it must be a whole number from 1 to"),
        ({"think_ns": -1}, "think_ns is -1; it must be a number from 0 to 1,000,000"),
        ({"think_ns": float("nan")}, "think_ns is nan"),
        ({"think_ns": "long"}, "think_ns is 'long'"),
        ({"seconds": 0}, "seconds is 0; it must be a number from 0.001 to 3,600"),
        ({"seconds": True}, "seconds is True"),
        ({"pairs": -1}, "pairs is -1; it must be a whole number"),
        ({"pairs": 2.0}, "pairs is 2.0"),
        ({"nr_pages": 0}, "nr_pages is 0; it must be a whole number from 1 to 1,048,576"),
        ({"workload": "rpc"}, "workload is 'rpc'; it must be one of: pingpong; producer_consumer"),
        ({"workload": "producer_consumer", "threads": 1}, "threads is 1; a producer_consumer needs an even number"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_argument_is_named(wrong, says):
    arguments = {"policy": V4_14, "threads": 1, "seconds": 0.001, **wrong}
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        run_threads(arguments.pop("policy"), **arguments)


# --- kept on disk ----------------------------------------------------------------------------------------------------
LOADED = """
import json
from memcg_lab import V4_13, V4_14
from memcg_lab.hardware.counters import bind, rules_of, run_threads
for policy in (V4_13, V4_14):
    run_threads(policy, threads=1, pairs=1)
stats = [bind(*rules_of(policy), True, "pingpong").stats for policy in (V4_13, V4_14)]
print(json.dumps([sum(sum(getattr(s, k).values()) for s in stats) for k in ("cache_hits", "cache_misses")]))
"""


@pytest.mark.once
def test_a_second_process_loads_the_loops_without_compiling(tmp_path):
    assert json.loads(python(LOADED, NUMBA_CACHE_DIR=str(tmp_path))) == [0, 2]
    assert json.loads(python(LOADED, NUMBA_CACHE_DIR=str(tmp_path))) == [2, 0]


@compiled_only
def test_each_form_is_a_loop_of_its_own():
    forms = [(*rules_of(policy), atomic, "pingpong") for policy in POLICIES for atomic in (True, False)]
    assert len({id(bind(*form)) for form in forms}) == len({_jit.content(bind(*form)) for form in forms}) == 8
