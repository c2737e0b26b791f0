"""Op streams: seeded, the same everywhere, giving back what they charge; saved, loaded, and refused when foreign."""

import hashlib
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memcg_lab import (
    V4_13,
    V4_14,
    System,
    alternating,
    bulk,
    bursts,
    load_ops,
    mixed,
    op_dtype,
    pingpong,
    producer_consumer,
    rpc,
    save_ops,
    sizes,
)
from memcg_lab.checks import whole_number
from memcg_lab.mechanism.records import CHARGE_SKMEM, SOFTIRQ, TASK, UNCHARGE_SKMEM
from memcg_lab.workload import (
    SIZE_MIXES,
    draws,
    pairs,
    skmem,
    splitmix,
    stream,
    tcp_data_queue,
    udp_enqueue,
)

NAN = float("nan")


def digest(array):
    """Of the values, whatever the byte order of the machine."""
    columns = [array] if array.dtype.names is None else [array[name] for name in array.dtype.names]
    sha = hashlib.sha256()
    for column in columns:
        sha.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return sha.hexdigest()[:16]


# --- random numbers --------------------------------------------------------------------------------------------------
def test_splitmix_is_the_published_generator():
    assert splitmix(1234567, 5).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(st.integers(0, 2**64 - 1))
def test_splitmix_agrees_with_arithmetic_on_plain_integers(seed):
    mask = 2**64 - 1
    expected = []
    for k in range(1, 4):
        z = (seed + k * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        expected.append(z ^ (z >> 31))
    assert splitmix(seed, 3).tolist() == expected


def test_a_longer_draw_begins_like_a_shorter_one():
    assert splitmix(9, 100)[:10].tolist() == splitmix(9, 10).tolist()


def test_draws_stay_below_their_bound_and_reach_every_number():
    assert set(draws(1, 1000, 7).tolist()) == set(range(7))


@pytest.mark.parametrize(("seed", "n"), [(-1, 1), (2**64, 1), (1.0, 1), (NAN, 1), (True, 1), (1, -1), (1, 2.5)])
def test_a_seed_or_a_number_out_of_range_is_refused(seed, n):
    with pytest.raises(ValueError, match="it must be a whole number from"):
        splitmix(seed, n)


@pytest.mark.parametrize("value", [1.0, NAN, "1", None, True, np.bool_(True), 11, -1, 10**40])
def test_whole_number_says_what_is_allowed(value):
    with pytest.raises(ValueError, match=r"^pages is .*; it must be a whole number from 0 to 10\.$"):
        whole_number("pages", value, 0, 10)


@pytest.mark.parametrize("value", [0, 10, np.uint8(3), np.int64(3)])
def test_whole_number_takes_whole_numbers(value):
    assert whole_number("pages", value, 0, 10) == value


# --- sizes -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mix", SIZE_MIXES)
def test_a_size_mix_holds_its_sizes_about_as_often_as_it_says(mix):
    drawn = sizes(5, 20_000, mix)
    share = {int(pages): float((drawn == pages).mean()) for pages in np.unique(drawn)}
    assert share.keys() == SIZE_MIXES[mix].keys()
    for pages, weight in SIZE_MIXES[mix].items():
        assert abs(share[pages] - weight / 100) < 0.015


def test_the_weights_of_a_mix_need_not_sum_to_100():
    drawn = sizes(1, 10_000, {3: 1, 5: 3})
    assert abs(float((drawn == 5).mean()) - 0.75) < 0.02


@pytest.mark.parametrize(
    "mix", ["videos", {}, {0: 1}, {1: 0}, {1: -1}, {1.5: 1}, {1: 0.5}, {NAN: 1}, {2**31: 1}, {"1": 1}, {True: 1}]
)
def test_a_wrong_size_mix_is_refused(mix):
    with pytest.raises(ValueError, match="size mix"):
        sizes(1, 3, mix)


@pytest.mark.parametrize("mix", [None, 5, [1, 2]])
def test_what_is_no_size_mix_is_refused(mix):
    with pytest.raises(ValueError, match="size mix"):
        sizes(1, 3, mix)


# --- generators ------------------------------------------------------------------------------------------------------
STREAMS = {
    "pingpong": lambda: pingpong(50, memcg=2, cpu=1, nr_pages=3),
    "producer_consumer": lambda: producer_consumer(50, memcg=2, charge_cpu=1, uncharge_cpu=2, nr_pages=3),
    "alternating": lambda: alternating(50, memcgs=(1, 2, 3), cpu=2),
    "bursts": lambda: bursts(5, burst=20, mix="writes", seed=7),
    "rpc": lambda: rpc(50, client_cpu=2, server_cpu=0, nr_pages=2),
    "bulk": lambda: bulk(20, per_reclaim=8, mix="gro", seed=7),
    "mixed": lambda: mixed(300, cpus=3, memcgs=[1, 2, 3], mix="web", in_flight=40, seed=7),
}
DIGESTS = {
    "pingpong": "5712199bb33952ef",
    "producer_consumer": "23424fc6aa03a2fc",
    "alternating": "f994995909c55df6",
    "bursts": "eeaa155ad2782c25",
    "rpc": "5c57ea3aba6fbbde",
    "bulk": "706edaaa748a901b",
    "mixed": "e184ad85727bd9d7",
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_generator_gives_the_same_stream_everywhere(name):
    assert digest(STREAMS[name]()) == DIGESTS[name]


@pytest.mark.parametrize("name", STREAMS)
def test_a_generator_gives_back_what_it_charged(name):
    system = System.siblings(3, cpus=3)
    ops = STREAMS[name]()
    assert ops.dtype == op_dtype
    system.replay(ops)
    assert system.sock.tolist() == [0, 0, 0, 0]
    assert system._arrays["memcg"]["sock_held"].tolist() == [0, 0, 0, 0]
    assert system.faults == {"negative_counter": 0, "underflow": 0}
    charged = ops["nr"][ops["op"] == CHARGE_SKMEM].sum()
    assert charged == ops["nr"][ops["op"] == UNCHARGE_SKMEM].sum() > 0


@pytest.mark.parametrize(
    "generate",
    [
        lambda seed: bursts(5, mix="web", seed=seed),
        lambda seed: bulk(5, seed=seed),
        lambda seed: mixed(100, cpus=2, memcgs=[1, 2], seed=seed),
    ],
    ids=["bursts", "bulk", "mixed"],
)
def test_another_seed_gives_another_stream(generate):
    assert digest(generate(1)) == digest(generate(1))
    assert digest(generate(1)) != digest(generate(2))


@pytest.mark.parametrize("name", STREAMS)
def test_an_empty_stream_can_be_had(name):
    empty = {
        "alternating": lambda: alternating(0),
        "mixed": lambda: mixed(0, cpus=1, memcgs=[1]),
        **{f.__name__: lambda f=f: f(0) for f in (pingpong, producer_consumer, bursts, rpc, bulk)},
    }[name]()
    assert (empty.size, empty.dtype) == (0, op_dtype)


def test_pingpong_stays_on_one_cpu():
    ops = pingpong(3, cpu=2)
    assert ops["op"].tolist() == [CHARGE_SKMEM, UNCHARGE_SKMEM] * 3
    assert set(ops["cpu"].tolist()) == {2}


def test_producer_and_consumer_are_on_two_cpus_and_in_two_contexts():
    ops = producer_consumer(3)
    assert ops["cpu"].tolist() == [0, 1] * 3
    assert ops["ctx"].tolist() == [TASK, SOFTIRQ] * 3


def test_alternating_takes_the_cgroups_in_turn():
    ops = alternating(5, memcgs=(1, 2))
    assert ops["memcg"].tolist() == [1, 2, 1, 2, 1] * 2
    assert ops["op"].tolist() == [CHARGE_SKMEM] * 5 + [UNCHARGE_SKMEM] * 5


def test_a_burst_is_charged_before_it_is_given_back():
    ops = bursts(2, burst=3)
    assert ops["op"].tolist() == ([CHARGE_SKMEM] * 3 + [UNCHARGE_SKMEM] * 3) * 2
    assert ops["cpu"].tolist() == ([0] * 3 + [1] * 3) * 2


def test_in_rpc_each_side_charges_and_gives_back():
    ops = rpc(1, client_cpu=3, server_cpu=4)
    assert list(zip(ops["op"].tolist(), ops["cpu"].tolist(), strict=True)) == [(0, 3), (1, 4), (0, 4), (1, 3)]


def test_in_bulk_one_uncharge_carries_all_pages_since_the_last():
    ops = bulk(2, per_reclaim=3, mix={5: 1})
    assert ops["op"].tolist() == [0, 0, 0, 1] * 2
    assert ops["nr"].tolist() == [5, 5, 5, 15] * 2


def test_mixed_keeps_so_many_charges_open():
    ops = mixed(100, cpus=2, memcgs=[1], in_flight=10, mix="frames")
    held = np.cumsum(np.where(ops["op"] == CHARGE_SKMEM, 1, -1))
    assert (held.max(), held[-1], held.min()) == (11, 0, 0)


def test_mixed_uncharges_on_the_charging_cpu_in_so_many_cases_of_100():
    for percent, low, high in ((100, 1.0, 1.0), (0, 0.2, 0.3), (50, 0.57, 0.68)):
        ops = mixed(8000, cpus=4, memcgs=[1], in_flight=0, same_cpu_percent=percent)
        same = float((ops["cpu"][0::2] == ops["cpu"][1::2]).mean())
        assert low <= same <= high


def test_mixed_lets_each_cpu_work_mostly_for_one_cgroup():
    ops = mixed(8000, cpus=2, memcgs=[5, 6], in_flight=0)
    charge = ops[ops["op"] == CHARGE_SKMEM]
    share = float((charge["memcg"] == 5 + charge["cpu"]).mean())
    assert abs(share - (7 / 8 + 1 / 16)) < 0.02


def test_mixed_of_an_odd_number_is_one_shorter():
    assert mixed(101, cpus=1, memcgs=[1]).size == 100


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pingpong(-1), "n is -1"),
        (lambda: pingpong(1.5), "n is 1.5"),
        (lambda: pingpong(1, cpu=-1), "cpu is -1; it must be a whole number from 0 to 65,535"),
        (lambda: pingpong(1, cpu=65_536), "cpu is 65536"),
        (lambda: pingpong(1, cpu=NAN), "cpu is nan"),
        (lambda: pingpong(1, memcg=2**31), "memcg is 2147483648"),
        (lambda: pingpong(1, memcg="1"), "memcg is '1'"),
        (lambda: pingpong(1, nr_pages=2**31), "nr is 2147483648"),
        (lambda: pingpong(1, nr_pages=True), "nr is True"),
        (lambda: alternating(3, memcgs=()), "memcgs is empty"),
        (lambda: alternating(3, memcgs=(1, -2)), r"memcgs\[1\] is -2"),
        (lambda: mixed(10, cpus=0, memcgs=[1]), "cpus is 0"),
        (lambda: mixed(10, cpus=1, memcgs=[]), "memcgs is empty"),
        (lambda: mixed(10, cpus=1, memcgs=[NAN]), r"memcgs\[0\] is nan"),
        (lambda: mixed(10, cpus=1, memcgs=[1], same_cpu_percent=101), "same_cpu_percent is 101"),
        (lambda: mixed(10, cpus=1, memcgs=[1], in_flight=-1), "in_flight is -1"),
        (lambda: mixed(NAN, cpus=1, memcgs=[1]), "n is nan"),
        (lambda: bulk(1, mix={2**31 - 1: 1}), r"nr\[0\] is"),
        (lambda: stream(-1), "n is -1"),
    ],
)
def test_a_generator_refuses_what_is_out_of_range(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_pairs_interleave():
    charges = skmem(CHARGE_SKMEM, 2, cpu=0, memcg=[1, 2], nr_pages=1)
    frees = skmem(UNCHARGE_SKMEM, 2, cpu=1, memcg=[3, 4], nr_pages=1)
    assert pairs(charges, frees)["memcg"].tolist() == [1, 3, 2, 4]


# --- files -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ops", [mixed(500, cpus=4, memcgs=[1, 2]), pingpong(0)], ids=["500 operations", "none"])
def test_a_saved_stream_is_loaded_bit_by_bit(tmp_path, ops):
    path = tmp_path / "ops.npz"
    save_ops(path, ops)
    loaded = load_ops(path)
    assert loaded.dtype == op_dtype
    assert loaded.tobytes() == ops.tobytes()


def columns(**changes):
    ops = pingpong(3)
    return {**{name: ops[name] for name in op_dtype.names}, "format": np.array("memcg-lab ops 1"), **changes}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nr": np.ones(6)}, r'column "nr" is float64 \(6,\); it must be int64 \(6,\)'),
        ({"nr": np.full(6, NAN)}, 'column "nr" is float64'),
        ({"cpu": np.zeros(6, np.int64)}, 'column "cpu" is int64'),
        ({"memcg": np.zeros(5, np.int32)}, r'column "memcg" is int32 \(5,\)'),
        ({"op": np.zeros((6, 1), np.uint8)}, 'column "op"'),
        ({"op": np.uint8(0)}, 'column "op"'),
        ({"nr": np.array([object()] * 6, dtype=object)}, "not a stream written by save_ops"),
        ({"format": np.array("memcg-lab ops 2")}, 'format is "memcg-lab ops 2"'),
        ({"format": np.array([1, 2])}, "not a stream written by save_ops"),
    ],
)
def test_a_column_of_another_kind_is_refused(tmp_path, changes, says):
    path = tmp_path / "ops.npz"
    np.savez_compressed(path, **columns(**changes))
    with pytest.raises(ValueError, match=says) as raised:
        load_ops(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("missing", [*op_dtype.names, "format"])
def test_a_missing_column_is_refused(tmp_path, missing):
    path = tmp_path / "ops.npz"
    np.savez(path, **{name: column for name, column in columns().items() if name != missing})
    with pytest.raises(ValueError, match=f"not a stream written by save_ops .*{missing}"):
        load_ops(path)


def foreign(kind, path):
    save_ops(path, mixed(3000, cpus=4, memcgs=[1, 2]))
    whole = path.read_bytes()
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("charge_skmem 1\n")
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "damaged":
            with zipfile.ZipFile(path) as archive:
                start = archive.getinfo("nr.npy").header_offset + 100
            path.write_bytes(whole[:start] + b"\xff" * 200 + whole[start + 200 :])
        case "another zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("hello.txt", "hello")
        case "a plain array":
            with path.open("wb") as file:
                np.save(file, np.arange(3))
        case "a pickle":
            with path.open("wb") as file:
                np.save(file, np.array([{}], dtype=object), allow_pickle=True)
        case "a folder":
            path.unlink()
            path.mkdir()
        case "missing":
            path.unlink()


@pytest.mark.parametrize(
    "kind", ["empty", "text", "truncated", "damaged", "another zip", "a plain array", "a pickle", "a folder", "missing"]
)
def test_a_foreign_file_is_refused_by_its_name(tmp_path, kind):
    path = tmp_path / "ops.npz"
    foreign(kind, path)
    with pytest.raises(ValueError, match="no such file|not a stream written by save_ops") as raised:
        load_ops(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_file_of_another_ending_is_not_called_missing(tmp_path):
    path = tmp_path / "ops.csv"
    path.write_text("op,cpu\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"ops\.csv: not written by save_ops, whose files end in \.npz"):
        load_ops(path)


def test_any_damaged_byte_is_refused_or_does_no_harm(tmp_path):
    path = tmp_path / "ops.npz"
    ops = mixed(500, cpus=4, memcgs=[1, 2])
    save_ops(path, ops)
    whole = path.read_bytes()
    refused = 0
    for place, value in zip(draws(1, 300, len(whole)), draws(2, 300, 256), strict=True):
        path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
        try:
            assert load_ops(path).tobytes() == ops.tobytes()
        except ValueError:
            refused += 1
    assert refused > 100


# --- callers of the socket layer


def forty_packets(receive, policy, in_use=10, limit=10):
    """(packets dropped, pages counted) of 40 packets of 3 pages that nobody reads, at a limit that is reached."""
    system = System.chain(depth=1, cpus=1, policy=policy, limits=[-1, limit], sockets=[1])
    receive(system, cpu=0, sk=0, nr_bytes=in_use * 4096)
    kept = [receive(system, cpu=0, sk=0, nr_bytes=3 * 4096) for _ in range(40)]
    assert system.sock[1] == system.usage[1] == in_use + 3 * sum(kept)
    return kept.count(False), int(system.usage[1])


@pytest.mark.parametrize(
    ("receive", "policy", "expected"),
    [
        (udp_enqueue, V4_13, (40, 10)),
        (udp_enqueue, V4_14, (20, 70)),
        (tcp_data_queue, V4_13, (40, 10)),
        (tcp_data_queue, V4_14, (0, 130)),
    ],
)
def test_a_second_try_in_the_same_call_finds_the_pages_of_the_first(receive, policy, expected):
    assert forty_packets(receive, policy) == expected


def test_tcp_tries_twice_only_where_the_first_try_was_refused():
    system = System.chain(depth=1, cpus=1, policy=V4_13, limits=[-1, 20], sockets=[1])
    tcp_data_queue(system, cpu=0, sk=0, nr_bytes=4096)
    assert tcp_data_queue(system, cpu=0, sk=0, nr_bytes=4096)
    assert system.work().refused == 0
    assert not tcp_data_queue(system, cpu=0, sk=0, nr_bytes=40 * 4096)
    assert system.work().refused == 2


def test_an_empty_tcp_queue_takes_what_does_not_fit():
    system = System.chain(depth=1, cpus=1, policy=V4_13, limits=[-1, 2], sockets=[1])
    assert not udp_enqueue(system, cpu=0, sk=0, nr_bytes=3 * 4096)
    assert tcp_data_queue(system, cpu=0, sk=0, nr_bytes=3 * 4096)
    assert system.usage[1] == 3
