"""What others found when they tried to break it, each kind a test."""

import errno
import os
import signal
import threading

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from lab_helpers import MODE, arrays_of, both_policies, broken
from memcg_lab import (
    V4_13,
    V4_14,
    V6_1,
    CounterLab,
    Policy,
    System,
    alternating,
    bulk,
    bursts,
    check,
    data_path,
    figures,
    load_ops,
    mixed,
    op,
    pingpong,
    predict,
    producer_consumer,
    read_golden,
    reveal,
    rpc,
    save_ops,
    show_patch,
    show_rule,
    sizes,
)
from memcg_lab import system as system_module
from memcg_lab.__main__ import main
from memcg_lab.files import try_place, writing
from memcg_lab.host.cgroupfs import Samples
from memcg_lab.machine.measurement import read_measurement
from memcg_lab.mechanism import records
from memcg_lab.mechanism.page_counter import page_counter_uncharge
from memcg_lab.mechanism.policy import RULES
from memcg_lab.mechanism.stock_v4_13 import css_put_many
from memcg_lab.traces.rows import Row, write_rows

# Python stops its own code by itself; and an interrupt within coverage can leave its lock taken for ever.
interruptible = pytest.mark.skipif(
    MODE == "nojit" or not hasattr(signal, "pthread_kill"), reason="no signal can be sent here, or nothing is compiled"
)


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


# --- what merely looks like the right kind ---------------------------------------------------------------------------
MASKED = np.ma.array([-1, 0, 0], mask=[False, False, True])
NO_LISTS = [{0: -1, 1: 0}, {-1, 0}, b"\x00\x00", "00", iter([-1, 0]), np.zeros((2, 1), int), 5, None]


@pytest.mark.parametrize("values", NO_LISTS, ids=[type(v).__name__ for v in NO_LISTS])
@pytest.mark.parametrize("what", ["parents", "limits", "highs", "sockets", "tcp_mem", "memcgs", "turns"])
def test_only_a_list_is_a_list(what, values):
    calls = {
        "parents": lambda: System(values, cpus=1),
        "memcgs": lambda: mixed(10, cpus=1, memcgs=values),
        "turns": lambda: alternating(10, memcgs=values),
    }
    call = calls.get(what, lambda: System([-1, 0], cpus=1, **{what: values}))
    if values is None and what in ("limits", "highs"):
        return
    with pytest.raises(ValueError, match="it must be a list, a tuple, a range or a 1-d array"):
        call()


def test_a_list_a_tuple_a_range_and_an_array_are_lists():
    for values in ([-1, 0], (-1, 0), range(-1, 1), np.array([-1, 0]), np.ma.array([-1, 0])):
        assert System(values, cpus=1, limits=values).parents == [-1, 0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: System(MASKED, cpus=1),
        lambda: System([-1, 0, 0], cpus=1, limits=MASKED),
        lambda: pingpong(3, memcg=np.ma.array([1, 2, 3], mask=[1, 0, 0])),
        lambda: System([-1, 0], cpus=1).replay(np.ma.array(pingpong(1), mask=[True, False])),
    ],
)
def test_masked_values_are_refused(call):
    with pytest.raises(ValueError, match="1 masked value"):
        call()


@pytest.mark.parametrize("value", ["no", "", 0, 1, None, [], np.array([True, False])])
def test_only_true_and_false_are_flags(value):
    for name in ("legacy", "memsw"):
        with pytest.raises(ValueError, match=f"{name} is .*; it must be True or False"):
            System([-1, 0], cpus=1, **{name: value})
    with pytest.raises(ValueError, match="on is .*; it must be True or False"):
        System([-1, 0], cpus=1).set_socket_pressure(1, value)


def test_an_operation_is_called_by_its_own_kind():
    s = System([-1, 0], cpus=1, sockets=[1])
    for name in ("charge_skmem", "set_max", "kmem_charge", "sk_", None, ["sk_rmem_schedule"]):
        with pytest.raises(ValueError, match="is no operation on a socket; those are sk_wmem_schedule, "):
            s.socket_op(name, cpu=0, sk=1, nr_bytes=4096)
    for name in ("charge_skmem", "cancel_charge", "sk_mem_reclaim", 19):
        with pytest.raises(ValueError, match="is no operation on kernel pages; those are kmem_charge, "):
            s.kernel_op(name, cpu=0, memcg=1, nr=1)


@pytest.mark.parametrize("integer", [np.uint8, np.int16, np.uint64])
def test_a_seed_is_a_number_whatever_it_is_kept_in(integer):
    seed = integer(255)
    for made in (
        lambda s: mixed(100, cpus=4, memcgs=[1, 2], seed=s),
        lambda s: bulk(5, seed=s),
        lambda s: bursts(5, seed=s),
    ):
        assert made(seed).tobytes() == made(int(seed)).tobytes()


# --- two systems -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{"policy": V4_13, "sockets": [1]}, {"policy": V6_1}], ids=["v4.13", "v6.1"])
def test_compare_sees_every_number_of_the_state(options):
    system = System.chain(depth=1, cpus=2, **options)
    assert system.compare(system.copy()) == []
    for name, array in system._arrays.items():
        for field in array.dtype.names or [...]:
            if (name, field) in (("counter", "parent"), ("socket", "spare")):  # the tree itself, and nothing
                continue
            for place in np.ndindex(array[field].shape):
                other = system.copy()
                other._arrays[name][field][place] += 1
                assert system.compare(other) != [], (name, field, place)


def test_compare_names_what_the_snapshot_leaves_out():
    one = System.chain(depth=1, cpus=1, sockets=[1])
    two = one.copy()
    two.set_high(cpu=0, memcg=1, nr_pages=5)
    two.set_socket_pressure(1, True)
    assert [name for name, _, _ in one.compare(two)] == ["high", "socket_pressure"]
    two = one.copy()
    two.socket_op("sk_rmem_schedule", cpu=0, sk=0, nr_bytes=1)
    assert {"sockets", "protocol", "sock_held"} <= {name for name, _, _ in one.compare(two)}
    assert [name for name, _, _ in one.compare(System.chain(depth=1, cpus=1, sockets=[1], underflow="record"))] == [
        "underflow"
    ]


@pytest.mark.parametrize("other", [None, 5, {}, "System"])
def test_compare_refuses_what_is_no_system(other):
    with pytest.raises(ValueError, match="compared with another one, not with an? "):
        System.chain(depth=1, cpus=1).compare(other)


def test_a_copy_goes_on_under_rules_that_its_state_can_have_come_from():
    by_stock = V4_14.with_rules("one reference a stock", css_by_page=False)
    small = V4_14.with_rules("batch 8", batch=8)
    empty = System.chain(depth=1, cpus=2, policy=V4_14)
    for policy in (by_stock, small, V4_13, V6_1):
        assert broken(empty.copy(policy=policy)) == []
    used = empty.copy()
    used.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    with pytest.raises(ValueError, match="counts references otherwise than v4.14, and some are held or lie in stocks"):
        used.copy(policy=by_stock)
    with pytest.raises(ValueError, match="a stock holds 31 pages; with batch 8 none can hold more than 8. Drain it"):
        used.copy(policy=small)
    with pytest.raises(ValueError, match="v6.1 counts charges otherwise than v4.14, and some are held"):
        used.copy(policy=V6_1)
    with pytest.raises(ValueError, match="this system has sockets; for v6.1 that is not modelled"):
        System.chain(depth=1, cpus=1, sockets=[1]).copy(policy=V6_1)
    newer = empty.copy(policy=V6_1)
    assert newer.kernel_op("obj_charge", cpu=0, memcg=1, nr=100) == 0
    assert broken(newer) == []
    assert broken(System.chain(depth=1, cpus=1, policy=V6_1).copy(policy=V4_14)) == []
    used.drain_local_stock(cpu=0)
    assert broken(used.copy(policy=small)) == []
    after = used.copy(policy=V4_13)
    after.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    assert broken(after) == []
    used.uncharge_skmem(cpu=0, memcg=1, nr_pages=1)
    with pytest.raises(ValueError, match="some are held"):  # a stock still caches the cgroup
        used.copy(policy=by_stock)
    used.drain_local_stock(cpu=0)
    assert broken(used.copy(policy=by_stock)) == []


# --- files -----------------------------------------------------------------------------------------------------------
def test_a_stream_is_found_under_the_name_it_was_saved_by(tmp_path):
    ops = pingpong(3)
    save_ops(tmp_path / "x", ops)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]
    assert load_ops(tmp_path / "x").tobytes() == load_ops(str(tmp_path / "x.npz")).tobytes() == ops.tobytes()


@pytest.mark.parametrize("path", [3, True, None, b"x", "a\0b", 1.5])
def test_a_path_is_a_text(path):
    for call in (lambda: load_ops(path), lambda: save_ops(path, pingpong(1)), lambda: try_place(path)):
        with pytest.raises(ValueError, match="give a text or a pathlib.Path"):
            call()


def savers():
    """Everything that writes a reader's file."""
    rows = [Row(2, 1, 0, 1, 1, "unc", 1, 2, -1, -1, "")]
    picture = figures.atomics_by_level(*(System.chain(depth=1, cpus=1, policy=p) for p in (V4_13, V4_14)))
    return {
        "m.json": read_measurement(data_path("hardware/2026-11-23-amd-epyc.json")).save,
        "o.npz": lambda path, **named: save_ops(path, pingpong(1), **named),
        "p.png": picture.save,
        "p.svg": picture.save,
        "t.csv": lambda path, **named: write_rows(path, rows, **named),
        "t.csv.xz": lambda path, **named: write_rows(path, rows, **named),
        "s.csv": Samples([], "a source").save,
    }


@pytest.mark.parametrize("name", ["m.json", "o.npz", "p.png", "p.svg", "t.csv", "t.csv.xz", "s.csv"])
def test_a_file_is_written_whole_and_none_is_replaced_without_a_word(name, tmp_path, monkeypatch):
    save, path = savers()[name], tmp_path / name
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match=f"{name}: this file exists"):
        save(path)
    with pytest.raises(ValueError, match="replace is 'yes'"):
        save(path, replace="yes")
    assert path.read_bytes() == b"mine"
    save(path, replace=True)
    good = path.read_bytes()
    assert good != b"mine"
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(ValueError, match=rf"{name}: cannot be written \(No space left on device\)"):
        save(path, replace=True)
    assert path.read_bytes() == good
    assert [other.name for other in tmp_path.iterdir()] == [name]
    with pytest.raises(ValueError, match="there is no such folder"):
        save(tmp_path / "none" / name)
    with pytest.raises(ValueError, match="File name too long"):
        save(tmp_path / ("x" * 300 + name))
    (tmp_path / ("f" + name)).mkdir()
    with pytest.raises(ValueError, match="this is a folder"):
        save(tmp_path / ("f" + name))


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_link_stays_a_link_and_what_it_names_is_replaced(tmp_path):
    (tmp_path / "there").write_text("old")
    (tmp_path / "here").symlink_to(tmp_path / "there")
    with writing(tmp_path / "here", replace=True) as scratch:
        scratch.write_text("new")
    assert (tmp_path / "here").is_symlink()
    assert (tmp_path / "there").read_text() == "new"


def test_measure_tries_its_place_first_and_prints_before_it_writes(tmp_path, monkeypatch, capsys):
    made = []

    def measured(**_):
        made.append(1)
        return read_measurement(data_path("hardware/2026-11-23-amd-epyc.json"))

    monkeypatch.setattr("memcg_lab.hardware.measure", measured)
    (tmp_path / "old.json").write_text("mine")
    for place, says in (("old.json", "this file exists"), ("none/m.json", "no such folder"), ("x" * 300, "too long")):
        assert main(["measure", "--out", str(tmp_path / place)]) == 2
        assert says in capsys.readouterr().err
    assert made == []
    monkeypatch.setattr(os, "replace", full_disk)
    assert main(["measure", "--out", str(tmp_path / "m.json")]) == 2
    told = capsys.readouterr()
    assert "add, one thread, atomic" in told.out
    assert "No space left" in told.err
    monkeypatch.undo()
    monkeypatch.setattr("memcg_lab.hardware.measure", measured)
    assert main(["measure", "--out", str(tmp_path / "old.json"), "--replace"]) == 0
    assert read_measurement(tmp_path / "old.json") == measured()


# --- values of every wrong kind --------------------------------------------------------------------------------------
HUGE = 10**5000  # Python refuses to print more than 4,300 digits
EVIL = [
    *(None, [], {}, np.array([1, 2]), np.array("x"), object(), HUGE, 10**400, -1, 1.5, float("nan"), "x\x1b", "", b"x"),
    *(True, (1,), [[1], [2, 3]], str, ["a"], [HUGE], set(), "\ud800"),
]
CALLS = {
    "pingpong": (pingpong, {"n": 3, "memcg": 1, "cpu": 0, "nr_pages": 1}),
    "producer_consumer": (producer_consumer, {"n": 3, "memcg": 1, "charge_cpu": 0, "uncharge_cpu": 1}),
    "alternating": (alternating, {"n": 3, "memcgs": [1, 2], "cpu": 0, "nr_pages": 1}),
    "bursts": (bursts, {"n": 3, "burst": 2, "memcg": 1, "charge_cpu": 0, "mix": "frames", "seed": 1}),
    "rpc": (rpc, {"n": 3, "memcg": 1, "client_cpu": 0, "server_cpu": 1, "nr_pages": 1}),
    "bulk": (bulk, {"n": 3, "memcg": 1, "receive_cpu": 0, "timer_cpu": 1, "per_reclaim": 2, "mix": "gro", "seed": 1}),
    "mixed": (
        mixed,
        {"n": 8, "cpus": 2, "memcgs": [1], "mix": "web", "same_cpu_percent": 25, "in_flight": 2, "seed": 1},
    ),
    "sizes": (sizes, {"seed": 1, "n": 2, "mix": "web"}),
    "op": (op, {"name": "charge_skmem", "cpu": 0, "memcg": 1, "nr": 1, "ctx": "task"}),
    "System": (
        System,
        {"parents": [-1, 0], "cpus": 1, "policy": V4_14, "limits": None, "highs": None, "mins": None, "root": 0}
        | {"legacy": False, "memsw": False, "sockets": (), "tcp_mem": (1, 2, 3), "underflow": "refuse"},
    ),
    "Policy": (Policy, {"name": "x", "batch": 32, "slots": 1, "css_by_page": True, "path": V4_14.path}),
    "rules": (Policy, {rule: getattr(V4_14, rule) for rule in RULES} | {"name": "x", "uncapped": None}),
    "copy": (System.chain(depth=1, cpus=1).copy, {"policy": V4_14}),
    "replay": (System.chain(depth=1, cpus=1).replay, {"ops": pingpong(1)}),
    "read_golden": (read_golden, {"path": "none"}),
    "data_path": (data_path, {"name": "none"}),
    "predict": (predict, {"question": "x", "a": 1}),
    "reveal": (reveal, {"question": "x", "a": 1}),
    "check": (check, {"exercise": "00.1", "answer": 1}),
    "show_rule": (show_rule, {"function": "refill_stock"}),
    "show_patch": (show_patch, {"hunk": 1}),
    "CounterLab": (CounterLab, {"depth": 2}),
    "giving_back": (figures.giving_back, {"policy": V4_14, "sizes": [1, 2], "depth": 2}),
    "atomics_per_page": (figures.atomics_per_page, {"sizes": [1, 2], "before": [2, 2], "after": [1, 1]}),
}


@pytest.mark.parametrize("name", CALLS)
def test_whatever_is_given_is_taken_or_refused_in_words_that_may_be_printed(name, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # a file may be written under an odd name
    call, good = CALLS[name]
    for argument in good:
        for value in EVIL:
            try:
                call(**{**good, argument: value})
            except ValueError as error:
                said = str(error)
                assert said.isprintable(), (argument, said)
                assert len(said) < 700, (argument, said)
                for words_of_others in ("Exceeds the limit", "broadcast", "ambiguous", "codec", "operands"):
                    assert words_of_others not in said, (argument, said)


def test_a_lab_names_its_settings():
    with pytest.raises(
        ValueError, match="CounterLab: got an unexpected keyword argument 'dept'; its settings are depth,"
    ):
        CounterLab(dept=2)


def test_a_number_of_five_thousand_digits_in_a_file_is_told_with_its_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"config": {"name": ' + "9" * 5000 + "}}\n")
    with pytest.raises(ValueError, match=r"a\.jsonl, line 1: "):
        read_golden(path)
