"""The step log: every row explains a change of the state, and writing it changes nothing."""

import numpy as np
import pytest

from lab_helpers import GOLDEN, both_policies, rough_stream, rough_system, without_compiler
from memcg_lab import STEPS, V4_13, V4_14, V6_1, System, mixed, op, pingpong, read_golden, system
from memcg_lab.golden import system_of
from memcg_lab.history import History, record
from memcg_lab.mechanism import records, steps
from two_slots import TWO_SLOTS, three_take_turns


def place(row):
    """Where in the state a step's value stands, or None for what is no state."""
    field, where, cpu, slot = STEPS[row["step"]].field, int(row["where"]), int(row["cpu"]), int(row["slot"])
    if not field:
        return None
    array, _, name = field.partition(".")
    return array, name or None, {"stock": (where, slot), "sock": (cpu, where), "kmem": (cpu, where)}.get(array, where)


def retold(start, log):
    """The arrays after applying the log's rows alone; each row must find the value it says it found."""
    arrays = {name: array.copy() for name, array in start._arrays.items()}
    for number, row in enumerate(log.rows):
        spot = place(row)
        if spot is None:
            continue
        array, name, index = spot
        column = arrays[array] if name is None else arrays[array][name]
        assert column[index] == row["before"], (number, log.sentence(number))
        column[index] = row["after"]
    return arrays


def logged_fields(arrays):
    return {
        **{name: arrays["counter"][name].tolist() for name in ("count", "limit", "watermark", "failcnt")},
        "css": arrays["memcg"]["css"].tolist(),
        "stock": arrays["stock"].tolist(),
        "sock": arrays["sock"].tolist(),
        "memory_allocated": arrays["proto"]["memory_allocated"].tolist(),
        "forward_alloc": arrays["socket"]["forward_alloc"].tolist(),
        "kmem": arrays["kmem"].tolist(),
        "obj_stock": arrays["obj_stock"][["objcg", "nr_bytes"]].tolist(),
        "nr_charged_bytes": arrays["objcg"]["nr_charged_bytes"].tolist(),
        "told": arrays["upward"][["min_told", "low_told"]].tolist(),
    }


@both_policies
@pytest.mark.parametrize("seed", [1, 2])
def test_the_rows_alone_reproduce_the_state(policy, seed):
    before, after = rough_system(policy), rough_system(policy)
    log = after.step_through(rough_stream(seed, 250, cpus=3, memcgs=5))
    assert logged_fields(retold(before, log)) == logged_fields(after._arrays)
    assert len({int(step) for step in log.rows["step"]}) > 20


@without_compiler
@both_policies
def test_the_rows_alone_reproduce_the_sockets(policy):
    def fresh():
        return System.chain(depth=1, cpus=2, policy=policy, sockets=[1, 1, None], tcp_mem=(4, 8, 40), limits=[-1, 60])

    ops = []
    for sk in (0, 1, 2):
        for nr in (1, 5000, 90_000, 200_000):
            ops += [
                op("sk_rmem_schedule", cpu=sk % 2, memcg=sk, nr=nr),
                op("sk_wmem_schedule", cpu=sk % 2, memcg=sk, nr=nr),
                op("sk_forced_mem_schedule", cpu=0, memcg=sk, nr=nr),
                op("sk_queue_send", cpu=0, memcg=sk, nr=nr // 2 + 1),
                op("sk_free_send", cpu=1, memcg=sk, nr=nr // 2 + 1),
                op("sk_mem_reclaim_partial", cpu=1, memcg=sk),
            ]
        ops.append(op("sk_mem_reclaim", cpu=1, memcg=sk))
    after = fresh()
    log = after.step_through(np.concatenate(ops))
    assert logged_fields(retold(fresh(), log)) == logged_fields(after._arrays)
    assert {steps.STEP_PROTO_ADD, steps.STEP_PROTO_SUB, steps.STEP_PROTO_UNDO, steps.STEP_FORWARD} <= set(
        log.rows["step"]
    )
    assert log.atomics() == after.work().atomics + after.work().protocol


@both_policies
def test_the_logs_atomics_are_the_atomics_counted(policy):
    logged = rough_system(policy)
    log = logged.step_through(rough_stream(3, 250, cpus=3, memcgs=5))
    assert log.atomics() == logged.work().atomics
    kinds = {
        "add": (steps.STEP_TRY_ADD, steps.STEP_CHARGE_ADD),
        "sub": (steps.STEP_TRY_UNDO, steps.STEP_CANCEL),
        "xchg": (steps.STEP_LIMIT,),
    }
    assert {kind: int(np.isin(log.rows["step"], codes).sum()) for kind, codes in kinds.items()} == {
        kind: getattr(logged.work(), kind) for kind in kinds
    }


@both_policies
def test_the_log_tells_of_every_hit_drain_call_and_answer(policy):
    logged = rough_system(policy)
    ops = rough_stream(4, 250, cpus=3, memcgs=5)
    log, work = logged.step_through(ops), logged.work()

    def rows(*codes):
        return int(np.isin(log.rows["step"], codes).sum())

    assert rows(steps.STEP_CONSUME_HIT) == work.stock_hits > 0
    assert rows(steps.STEP_DRAIN) == work.drains > 0
    assert rows(steps.STEP_CSS_GET, steps.STEP_CSS_PUT) == work.css_calls
    assert rows(steps.STEP_FORCE) == work.forced > 0
    assert rows(steps.STEP_REMOTE_DRAIN) == work.remote_works > 0
    assert rows(steps.STEP_RETURN) == len(ops)


@both_policies
def test_the_log_tells_of_every_call_for_reclaim_and_oom(policy):
    logged = System.chain(depth=1, cpus=1, policy=policy, limits=[-1, 10])
    log = logged.step_through(np.concatenate([op("try_charge", cpu=0, memcg=1, nr=11, ctx="task")] * 2))
    assert np.isin(log.rows["step"], [steps.STEP_RECLAIM]).sum() == logged.work().reclaim == 14
    assert np.isin(log.rows["step"], [steps.STEP_OOM]).sum() == logged.work().oom == 2


@pytest.mark.parametrize(("name", "reclaims"), [("set_max", 5), ("set_high", 1)])
def test_the_log_tells_of_reclaim_by_a_write_of_a_limit(name, reclaims):
    logged = System.chain(depth=1, cpus=1)
    logged.charge_skmem(cpu=0, memcg=1, nr_pages=40)
    log = logged.step_through(op(name, cpu=0, memcg=1, nr=3))
    assert np.isin(log.rows["step"], [steps.STEP_RECLAIM]).sum() == logged.work().reclaim == reclaims


@both_policies
def test_logging_changes_no_bit_of_the_state(policy):
    ops = rough_stream(5, 250, cpus=3, memcgs=5)
    logged, plain = rough_system(policy), rough_system(policy)
    logged.step_through(ops)
    plain.replay(ops)
    for name, array in plain._arrays.items():
        np.testing.assert_array_equal(array, logged._arrays[name], err_msg=name)


def test_a_log_that_overflows_is_written_again_longer(monkeypatch):
    ops = rough_stream(6, 60, cpus=3, memcgs=5)
    whole = rough_system(V4_14)
    expected = whole.step_through(ops)
    monkeypatch.setattr(system, "LOG_ROWS", 1 - 16 * len(ops) + 5)
    short = rough_system(V4_14)
    got = short.step_through(ops)
    assert len(expected) > 5
    np.testing.assert_array_equal(got.rows, expected.rows)
    assert short.compare(whole) == []


# --- kernel pages ----------------------------------------------------------------------------------------------------
@without_compiler
@pytest.mark.parametrize("name", ["random_tobj_610070", "random_switch_610007", "memory_low_and_min_cost_atomics"])
def test_the_log_retells_kernel_pages_and_protection(name):
    files = (read_golden(GOLDEN / f"v6_1_{kind}.jsonl.gz") for kind in ("random", "stories"))
    scenario = next(s for scenarios in files for s in scenarios if s.config["name"] == name)
    before, after = (system_of(scenario.config, V6_1) for _ in range(2))
    log = after.step_through(scenario.ops)
    assert logged_fields(retold(before, log)) == logged_fields(after._arrays)
    work = after.work()
    assert log.atomics() == work.atomics + work.objects + work.protection // 2  # exchange and add are one step
    assert all(log.sentence(number) for number in range(len(log)))


# --- several slots ---------------------------------------------------------------------------------------------------
@pytest.mark.own_rule
def test_the_log_retells_stocks_of_two_slots():
    before, after = (System.siblings(3, cpus=2, policy=TWO_SLOTS) for _ in range(2))
    log = after.step_through(three_take_turns(300))
    assert logged_fields(retold(before, log)) == logged_fields(after._arrays)
    assert {0, 1} <= set(log.rows["slot"][log.rows["step"] == steps.STEP_DRAIN].tolist())
    assert all(rule.holds for rule in after.invariants())


@pytest.mark.own_rule
def test_only_a_step_on_a_stock_names_a_slot():
    log = System.siblings(3, cpus=2, policy=TWO_SLOTS).step_through(three_take_turns(300))
    of_a_stock = np.array(["stock of CPU" in step.what for step in STEPS])[log.rows["step"]]
    assert ((log.rows["slot"] >= 0) == of_a_stock).all()


@pytest.mark.own_rule
def test_with_several_slots_the_words_and_the_table_name_them():
    log = System.siblings(3, cpus=2, policy=TWO_SLOTS).step_through(three_take_turns(300))
    number = int(np.flatnonzero(log.rows["slot"] == 1)[0])
    assert log.touched(number).endswith(f"of CPU {log.rows['cpu'][number]}, slot 1")
    assert list(log.frame().columns)[:3] == ["op", "cpu", "slot"]
    assert log.frame()["slot"].tolist() == log.rows["slot"].tolist()


@pytest.mark.own_rule
def test_history_and_record_see_all_slots():
    system = System.siblings(3, cpus=2, policy=TWO_SLOTS)
    ops = three_take_turns(100)
    history, here = History(system.copy(), ops), system.copy()
    table = record(system, ops, memcg=0)
    for k in range(len(ops)):
        here.replay(ops[k : k + 1])
        assert history.state(k + 1).stock == tuple(tuple(cpu) for cpu in here.stock)
        pages = [slot.nr_pages for cpu in here.stock for slot in cpu]
        assert (table["in_stocks"][k + 1], table["fullest"][k + 1]) == (sum(pages), max(pages))
        assert history.state(k + 1).usage == tuple(here.usage.tolist())
    assert table["fullest"].max() <= TWO_SLOTS.stock_bound < table["in_stocks"].max()


def test_an_empty_stream_leaves_an_empty_log():
    log = System.chain(depth=1, cpus=1).step_through(pingpong(0))
    assert (len(log), log.atomics()) == (0, 0)


def test_rows_carry_the_number_of_their_operation_and_its_cpu():
    log = System.chain(depth=1, cpus=2).step_through(mixed(40, cpus=2, memcgs=[1], in_flight=5))
    assert np.unique(log.rows["op"]).tolist() == list(range(40))
    assert (np.diff(log.rows["op"]) >= 0).all()
    cpus = mixed(40, cpus=2, memcgs=[1], in_flight=5)["cpu"]
    assert (log.rows["cpu"] == cpus[log.rows["op"]]).all()
    assert len(log.of_op(7)) == int((log.rows["op"] == 7).sum()) > 0


def test_a_step_reads_as_a_sentence():
    one = System.chain(depth=2, cpus=2, limits=[-1, 3, -1])
    log = one.step_through(op("charge_skmem", cpu=1, memcg=2, nr=5))
    sentences = [log.sentence(number) for number in range(len(log))]
    assert sentences[0] == (
        "mem_cgroup_charge_skmem: count the pages as socket memory on this CPU (MEMCG_SOCK of memcg 2: 0 -> 5)"
    )
    assert "page_counter_try_charge: count the failure (failcnt of memory of memcg 1: 0 -> 1)" in sentences
    assert "consume_stock: miss: too few pages of this cgroup in the stock (stock of CPU 1: 0 -> 0)" in sentences
    v1 = System.chain(depth=2, cpus=1, legacy=True, policy=V4_13)
    log = v1.step_through(op("charge_skmem", cpu=0, memcg=2, nr=5))
    assert log.touched(0) == "count of tcpmem of memcg 2"


def test_a_log_is_a_table_with_one_row_a_step():
    one = System.chain(depth=1, cpus=1)
    log = one.step_through(op("charge_skmem", cpu=0, memcg=1, nr=1))
    frame = log.frame()
    assert list(frame.columns) == ["op", "cpu", "function", "rule", "touched", "line", "before", "after", "atomic"]
    assert len(frame) == len(log) == 10
    assert frame["atomic"].sum() == log.atomics() == 2
    assert repr(log) == "StepLog(10 steps of 1 operations, 2 atomics)"


def test_every_step_names_a_line_and_only_shared_lines_are_atomic():
    assert {step.line for step in STEPS} == {"own", "shared", "socket", "none"}
    assert all(step.line == "shared" for step in STEPS if step.atomic)
    assert len(STEPS) == steps.STEP_RETURN + 1


def test_a_step_log_takes_no_stream_that_nobody_can_read():
    with pytest.raises(
        ValueError, match=r"100,001 operations; a step log takes at most 100,000\. Use replay for more\."
    ):
        System.chain(depth=1, cpus=1).step_through(np.zeros(100_001, records.op_dtype))


@pytest.mark.parametrize("system", [None, 3, "a system"])
def test_a_history_is_one_of_a_system(system):
    with pytest.raises(ValueError, match="it must be a System"):
        History(system, pingpong(1))


@pytest.mark.parametrize("k", [-1, None, True, 1.5, 21])
def test_a_history_says_which_states_it_has(k):
    history = History(System.chain(depth=1, cpus=1), pingpong(10))
    assert history.state(20).usage == tuple(history.usage[-1].tolist())
    with pytest.raises(ValueError, match="k is .*; it must be a whole number from 0 to 20"):
        history.state(k)
    with pytest.raises(ValueError, match="k is .*; it must be a whole number from 0 to 19"):
        history.steps(k)
