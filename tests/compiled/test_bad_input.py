"""Bad input: a ValueError that says which operation, which value and what is allowed; the state stays as it was."""

import re
from decimal import Decimal

import numpy as np
import pytest

from lab_helpers import arrays_of, both_policies
from memcg_lab import OPS, System, mixed, op, op_dtype, pingpong
from memcg_lab.mechanism import records
from memcg_lab.mechanism.policy import bind

NAN = float("nan")
HUGE = 10**30
OUT_OF_RANGE = ("it must be a whole number", "does not exist; this", "; allowed are")
NO_NUMBERS = [NAN, 1.0, "1", None, True, np.float64(1), np.bool_(True), Decimal(1), [1], np.array([1]), 1j]


@pytest.fixture
def system():
    """Six cgroups, three CPUs, one socket, something charged."""
    system = System([-1, 0, 0, 1, 1, 2], cpus=3, sockets=[1])
    system.charge_skmem(cpu=0, memcg=3, nr_pages=5)
    system.try_charge(cpu=1, memcg=4, nr_pages=2)
    system.socket_op("sk_rmem_schedule", cpu=2, sk=0, nr_bytes=5000)
    return system


def refused(system, call, *messages):
    """The call raises a ValueError that says one of these, and leaves no trace."""
    before = arrays_of(system)
    with pytest.raises(ValueError, match="|".join(map(re.escape, messages))) as raised:
        call()
    assert arrays_of(system) == before
    return str(raised.value)


# --- one operation of a stream ---------------------------------------------------------------------------------------
def spoiled(number, length, **fields):
    """A stream of charges and uncharges of memcg 3 with one row changed."""
    ops = pingpong(length // 2, memcg=3)
    for name, value in fields.items():
        ops[name][number] = value
    return ops


BAD_OPS = [
    ({"op": 25}, "code 25", "this operation does not exist; there are 0 to 24."),
    ({"op": 255}, "code 255", "this operation does not exist; there are 0 to 24."),
    ({"cpu": 3}, "charge_skmem", "CPU 3 does not exist; this system has 0 to 2."),
    ({"cpu": 65_535}, "charge_skmem", "CPU 65535 does not exist; this system has 0 to 2."),
    ({"op": 4, "cpu": 3}, "drain_local", "CPU 3 does not exist; this system has 0 to 2."),
    ({"memcg": 6}, "charge_skmem", "memcg 6 does not exist; this tree has 0 to 5."),
    ({"memcg": -1}, "charge_skmem", "memcg -1 does not exist; this tree has 0 to 5."),
    ({"memcg": 2**31 - 1}, "charge_skmem", "memcg 2147483647 does not exist; this tree has 0 to 5."),
    ({"op": 5, "memcg": 6}, "drain_all", "memcg 6 does not exist; this tree has 0 to 5."),
    ({"op": 5, "memcg": -1}, "drain_all", "memcg -1 does not exist; this tree has 0 to 5."),
    ({"op": 7, "memcg": 6}, "set_limit", "memcg 6 does not exist; this tree has 0 to 5."),
    ({"memcg": 0}, "charge_skmem", "memcg 0 is the root; sockets of the root are not accounted."),
    ({"op": 1, "memcg": 0}, "uncharge_skmem", "memcg 0 is the root; sockets of the root are not accounted."),
    ({"nr": 0}, "charge_skmem", "0 pages; allowed are 1 to 2,147,483,647."),
    ({"nr": -1}, "charge_skmem", "-1 pages; allowed are 1 to 2,147,483,647."),
    ({"nr": 2**31}, "charge_skmem", "2,147,483,648 pages; allowed are 1 to 2,147,483,647."),
    ({"nr": 2**63 - 1}, "charge_skmem", "9,223,372,036,854,775,807 pages; allowed are 1 to 2,147,483,647."),
    ({"nr": -(2**63)}, "charge_skmem", "-9,223,372,036,854,775,808 pages; allowed are 1 to 2,147,483,647."),
    ({"op": 2, "nr": 0}, "try_charge", "0 pages; allowed are 1 to 2,147,483,647."),
    ({"op": 3, "nr": -5}, "cancel_charge", "-5 pages; allowed are 1 to 2,147,483,647."),
    ({"op": 7, "nr": -2}, "set_limit", "-2 pages; allowed are -1 (max), 0 to 2,251,799,813,685,247."),
    ({"op": 8, "nr": 2**62}, "set_max", "4,611,686,018,427,387,904 pages; allowed are -1 (max), 0 to"),
    ({"op": 9, "nr": -9}, "set_high", "-9 pages; allowed are -1 (max), 0 to 2,251,799,813,685,247."),
    ({"op": 1, "nr": 6}, "uncharge_skmem", "gives back 6, but memcg 3 holds 5 pages; charge first, or use"),
    ({"op": 1, "memcg": 5}, "uncharge_skmem", "gives back 1, but memcg 5 holds 0 pages; charge first, or use"),
    ({"op": 3, "memcg": 4, "nr": 3}, "cancel_charge", "gives back 3, but memcg 4 holds 2 pages; charge first, or"),
    ({"op": 3}, "cancel_charge", "gives back 1, but memcg 3 holds 0 pages; charge first, or use"),
    ({"op": 10, "memcg": 1}, "sk_wmem_schedule", "socket 1 does not exist; this system has 0 to 0."),
    ({"op": 17, "memcg": -1}, "sk_mem_reclaim", "socket -1 does not exist; this system has 0 to 0."),
    ({"op": 11, "memcg": 0, "nr": 0}, "sk_rmem_schedule", "0 bytes; allowed are 1 to 2,147,483,647."),
    ({"op": 12, "memcg": 0, "nr": 2**31}, "sk_forced_mem_schedule", "2,147,483,648 bytes; allowed are 1 to"),
    (
        {"op": 13, "memcg": 0, "nr": 9000},
        "sk_queue_send",
        "9,000 bytes are queued, but socket 0 has 8,192 charged in advance; schedule first.",
    ),
    (
        {"op": 16, "memcg": 0, "nr": 1},
        "sk_free_receive",
        "gives back 1, but socket 0 holds 0 bytes; charge first, or use",
    ),
    ({"op": 14, "memcg": 0, "nr": 1}, "sk_free_send", "gives back 1, but socket 0 holds 0 bytes; charge first, or use"),
]


@pytest.mark.parametrize(("fields", "name", "message"), BAD_OPS)
def test_an_operation_that_is_not_allowed_is_named_and_the_whole_stream_undone(system, fields, name, message):
    ops = spoiled(6, 20, **fields)
    refused(system, lambda: system.replay(ops), f"op 6 of 20 ({name}): {message}")
    system.replay(ops[:6])


@pytest.mark.parametrize(("fields", "name", "message"), BAD_OPS[::5])
def test_a_single_operation_is_named_without_a_number(system, fields, name, message):
    said = refused(system, lambda: system.replay(spoiled(0, 2, **fields)[:1]), f"{name}: {message}")
    assert said.startswith(name)


def test_big_numbers_are_grouped(system):
    ops = spoiled(1234, 2000, memcg=7)
    refused(system, lambda: system.replay(ops), "op 1,234 of 2,000 (charge_skmem): memcg 7 does not exist")


def test_the_first_and_the_last_operation_are_found(system):
    for number in (0, 19):
        ops = spoiled(number, 20, cpu=9)
        refused(system, lambda ops=ops, n=number: system.replay(ops), f"op {number} of 20")


def test_a_slice_counts_its_own_operations(system):
    ops = spoiled(6, 20, cpu=9)
    refused(system, lambda: system.replay(ops[::2]), "op 3 of 10")


def test_a_stream_that_is_read_only_or_has_gaps_needs_no_kernel_of_its_own(system):
    ops = pingpong(4, memcg=3)
    system.replay(ops)
    known = len(getattr(bind(system.policy, sockets=True), "signatures", ()))
    system.replay(np.frombuffer(ops.tobytes(), op_dtype))
    system.replay(np.repeat(ops, 2)[::2])
    assert len(getattr(bind(system.policy, sockets=True), "signatures", ())) == known
    assert system.sock[3] == 5


def test_a_step_log_refuses_the_same(system):
    plain = System([-1, 0, 0, 1, 1, 2], cpus=3)
    refused(plain, lambda: plain.step_through(spoiled(6, 20, cpu=9)), "op 6 of 20 (charge_skmem): CPU 9 does not exist")


def test_a_system_without_sockets_says_so():
    plain = System.chain(depth=1, cpus=1)
    message = "sk_mem_reclaim: socket 0 does not exist; this system was made without sockets."
    refused(plain, lambda: plain.socket_op("sk_mem_reclaim", cpu=0, sk=0), message)


@both_policies
def test_more_than_was_charged_cannot_be_given_back_though_a_stock_holds_more(policy):
    plain = System.chain(depth=1, cpus=1, policy=policy)
    plain.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    message = "gives back 2, but memcg 1 holds 1 pages"
    refused(plain, lambda: plain.uncharge_skmem(cpu=0, memcg=1, nr_pages=2), message)


def test_socket_pages_and_other_pages_are_not_mixed_up():
    plain = System.chain(depth=1, cpus=1)
    plain.charge_skmem(cpu=0, memcg=1, nr_pages=5)
    refused(plain, lambda: plain.cancel_charge(cpu=0, memcg=1, nr_pages=1), "memcg 1 holds 0 pages")


# --- what is no stream -----------------------------------------------------------------------------------------------
NO_STREAMS = {
    "a number": 5,
    "None": None,
    "a list": [1, 2],
    "a list of operations": [op("drain_local", cpu=0)],
    "floats": np.array([NAN, 1.0]),
    "another record": np.zeros(3, records.stock_dtype),
    "fields in another order": np.zeros(3, np.dtype([(n, op_dtype[n]) for n in reversed(op_dtype.names)])),
    "fields of another size": np.zeros(3, np.dtype([(n, np.int64) for n in op_dtype.names])),
    "the other byte order": np.zeros(3, op_dtype.newbyteorder("S")),
    "two dimensions": np.zeros((2, 2), op_dtype),
    "no dimension": np.zeros((), op_dtype),
    "one record": np.zeros(1, op_dtype)[0],
    "text": "charge_skmem",
}


@pytest.mark.parametrize("stream", NO_STREAMS.values(), ids=NO_STREAMS)
@pytest.mark.parametrize("method", ["replay", "step_through"])
def test_what_is_no_stream_is_refused(method, stream):
    plain = System.chain(depth=1, cpus=1)
    refused(
        plain, lambda: getattr(plain, method)(stream), "operations must be a 1-d array of memcg_lab.op_dtype; this is"
    )


# --- arguments -------------------------------------------------------------------------------------------------------
CALLS = {
    "charge_skmem": {"cpu": 0, "memcg": 3, "nr_pages": 1},
    "uncharge_skmem": {"cpu": 0, "memcg": 3, "nr_pages": 1},
    "try_charge": {"cpu": 0, "memcg": 3, "nr_pages": 1},
    "cancel_charge": {"cpu": 0, "memcg": 4, "nr_pages": 1},
    "drain_local_stock": {"cpu": 0},
    "drain_all_stock": {"cpu": 0, "memcg": 3},
    "cpu_dead": {"cpu": 0},
    "set_limit": {"cpu": 0, "memcg": 3, "nr_pages": 99},
    "set_max": {"cpu": 0, "memcg": 3, "nr_pages": 99},
    "set_high": {"cpu": 0, "memcg": 3, "nr_pages": 99},
}


@pytest.mark.parametrize(("method", "argument"), [(m, a) for m, arguments in CALLS.items() for a in arguments])
def test_an_argument_that_is_no_whole_number_is_refused(system, method, argument):
    for value in NO_NUMBERS:
        call = {**CALLS[method], argument: value}
        said = refused(system, lambda call=call: getattr(system, method)(**call), "it must be a whole number")
        assert f"{argument} is " in said
    for value in (HUGE, -HUGE, 2**64, -2):
        call = {**CALLS[method], argument: value}
        refused(system, lambda call=call: getattr(system, method)(**call), *OUT_OF_RANGE)
    getattr(system, method)(**CALLS[method])


@pytest.mark.parametrize("ctx", ["irq", "", NAN, None, True, 256, -1, 1.0])
def test_an_unknown_context_is_refused(system, ctx):
    refused(system, lambda: system.charge_skmem(cpu=0, memcg=3, nr_pages=1, ctx=ctx), "ctx is")


@pytest.mark.parametrize("name", ["charge", "", None, 5, "CHARGE_SKMEM"])
def test_an_unknown_operation_is_refused_with_the_list_of_known_ones(name):
    with pytest.raises(ValueError, match=f"operation {name!r} does not exist; there are {', '.join(OPS)}"):
        op(name, cpu=0)


@pytest.mark.parametrize("sk", [1, -1, NAN, "0", None, True])
def test_an_unknown_socket_is_refused(system, sk):
    refused(system, lambda: system.socket(sk), "it must be a whole number from 0 to 0")
    refused(system, lambda: system.socket_op("sk_mem_reclaim", cpu=0, sk=sk), *OUT_OF_RANGE)


@pytest.mark.parametrize("memcg", [6, -1, NAN, "1", None])
def test_pressure_needs_a_cgroup_that_exists(system, memcg):
    refused(system, lambda: system.set_socket_pressure(memcg, True), "it must be a whole number from 0 to 5")


def test_a_number_of_numpy_is_a_number(system):
    system.charge_skmem(cpu=np.uint8(0), memcg=np.int32(3), nr_pages=np.int64(1))
    assert system.sock[3] == 6


# --- making a system -------------------------------------------------------------------------------------------------
BAD_TREES = [
    ([], "the tree has 0 cgroups; it must have 1 to 65,536."),
    ([0], "memcg 0 names memcg 0 as its parent; a parent stands before its children"),
    ([-1, 1], "memcg 1 names memcg 1 as its parent"),
    ([-1, 2, 1], "memcg 1 names memcg 2 as its parent; a parent stands before its children, so 1 may name -1 to 0."),
    ([1, -1], "memcg 0 names memcg 1 as its parent"),
    ([-1, 0, 3], "parent of memcg 2 is 3; it must be a whole number from -1 to 2."),
    ([-2], "parent of memcg 0 is -2"),
    ([-1, NAN], "parent of memcg 1 is nan; it must be a whole number from -1 to 1."),
    ([-1, 0.0], "parent of memcg 1 is 0.0"),
    ([-1, False], "parent of memcg 1 is False"),
    ([-1, "0"], "parent of memcg 1 is '0'"),
    ([None], "parent of memcg 0 is None"),
    ([-1, HUGE], "parent of memcg 1 is 1000000000000000000000000000000"),
]


@pytest.mark.parametrize(("parents", "message"), BAD_TREES)
def test_a_tree_with_a_cycle_or_a_forward_reference_is_refused(parents, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        System(parents, cpus=1)


BAD_SYSTEMS = [
    ({"cpus": 0}, "cpus is 0; it must be a whole number from 1 to 65,536."),
    ({"cpus": 65_537}, "cpus is 65537"),
    ({"cpus": NAN}, "cpus is nan"),
    ({"cpus": 2.0}, "cpus is 2.0"),
    ({"cpus": True}, "cpus is True"),
    ({"policy": "v4.13"}, "policy is 'v4.13'; it must be a Policy such as V4_13 or V4_14."),
    ({"policy": None}, "policy is None"),
    ({"limits": [1]}, "limits has 1 values; the tree has 2 cgroups."),
    ({"limits": [-1, -2]}, "limits[1] is -2; it must be a whole number from -1 to 2,251,799,813,685,247."),
    ({"limits": [NAN, 1]}, "limits[0] is nan"),
    ({"limits": [-1, 2**52]}, "limits[1] is 4503599627370496"),
    ({"limits": [-1, 1.0]}, "limits[1] is 1.0"),
    ({"highs": [-1, "5"]}, "highs[1] is '5'"),
    ({"highs": [1, 2, 3]}, "highs has 3 values; the tree has 2 cgroups."),
    ({"root": 2}, "root is 2; it must be a whole number from 0 to 1."),
    ({"root": -1}, "root is -1"),
    ({"root": 1}, "root is memcg 1, which has the parent 0; the root has none."),
    ({"root": False}, "root is False"),
    ({"memsw": True}, "memsw is accounted in cgroup v1 only; set legacy=True with it."),
    ({"underflow": "ignore"}, "underflow is 'ignore'; it must be one of: refuse; record."),
    ({"sockets": [2]}, "memcg of socket 0 is 2; it must be a whole number from 0 to 1."),
    ({"sockets": [1, NAN]}, "memcg of socket 1 is nan"),
    ({"tcp_mem": (1, 2)}, "tcp_mem is [1, 2]; it must be three numbers of pages, none below the one before."),
    ({"tcp_mem": (3, 2, 4)}, "tcp_mem is [3, 2, 4]"),
    ({"tcp_mem": (-1, 2, 3)}, "tcp_mem[0] is -1"),
    ({"tcp_mem": (1, 2, NAN)}, "tcp_mem[2] is nan"),
]


@pytest.mark.parametrize(("options", "message"), BAD_SYSTEMS)
def test_a_system_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        System([-1, 0], **{"cpus": 1, **options})


@pytest.mark.parametrize("argument", ["parents", "limits", "highs", "tcp_mem", "sockets"])
def test_a_number_where_several_belong_is_refused(argument):
    with pytest.raises(ValueError, match=argument.removesuffix("s")):
        System(**{"parents": [-1, 0], "cpus": 1, argument: 5})


def test_a_system_that_would_not_fit_into_memory_is_refused():
    with pytest.raises(ValueError, match=r"65,536 CPUs times 65,536 cgroups is more than 67,108,864"):
        System.chain(depth=65_535, cpus=65_536)


@pytest.mark.parametrize("number", [0, -1, 65_536, 1.5, NAN, True])
def test_a_chain_or_siblings_out_of_range_are_refused(number):
    with pytest.raises(ValueError, match="it must be a whole number from 1 to 65,535"):
        System.chain(depth=number, cpus=1)
    with pytest.raises(ValueError, match="it must be a whole number from 1 to 65,535"):
        System.siblings(number, cpus=1)


@pytest.mark.parametrize("policy", ["v4.13", 3])
def test_a_copy_needs_a_policy(policy):
    with pytest.raises(ValueError, match="it must be a Policy"):
        System.chain(depth=1, cpus=1).copy(policy=policy)


def test_a_stream_for_more_cpus_than_there_are_is_refused():
    plain = System.chain(depth=1, cpus=2)
    refused(plain, lambda: plain.replay(mixed(100, cpus=4, memcgs=[1])), "does not exist; this system has 0 to 1.")
