"""Topologies: near and far, counted by hand; and the CSV of core-to-core-latency."""

import numpy as np
import pytest

from memcg_lab.machine import TOPOLOGIES, Topology

EPYC = TOPOLOGIES["2x EPYC 7742, core complexes"]
QUADS = TOPOLOGIES["8x Platinum 8176"]


# --- distances -------------------------------------------------------------------------------------------------------
def test_64_cpus_of_an_epyc_are_not_one_ring():
    ways = EPYC.ways_ns(256)
    assert (ways == ways.T).all()
    # From CPU 0: itself, three cores of its complex, the others of the socket, the other socket; all with two threads.
    found = dict(zip(*np.unique(ways[0], return_counts=True)))
    assert found == {0.0: 1, 8.0: 1, 25.3: 6, 141.0: 120, 267.0: 128}
    assert EPYC.mean_transfer_ns(64) == pytest.approx((3 * 25.3 + 60 * 141.0) / 63)
    assert TOPOLOGIES["2x EPYC 7742"].mean_transfer_ns(64) == 141.0


def test_a_machine_of_eight_sockets_has_two_hops():
    found = dict(zip(*np.unique(QUADS.ways_ns(448)[0], return_counts=True)))
    assert found == {0.0: 1, 7.2: 1, 47.5: 54, 148.8: 168, 336.6: 224}


@pytest.mark.parametrize("name", [name for name, topology in TOPOLOGIES.items() if topology.near_ns is None])
def test_without_a_nearer_distance_all_cores_of_a_socket_are_alike(name):
    topology = TOPOLOGIES[name]
    core, socket = topology.place(min(topology.cpus + 5, 1024))
    assert (topology.near(len(core)) == socket).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"near_cores": 4}, "near_cores is 4 and near_ns is None; give both or none"),
        ({"near_ns": 4.0}, "near_cores is None and near_ns is 4.0; give both or none"),
        ({"near_cores": 3, "near_ns": 9}, "near_cores is 3; it must divide the 8 cores"),
        ({"near_cores": 9, "near_ns": 9}, "near_cores is 9; it must be a whole number from 1 to 8"),
        ({"near_cores": 4, "near_ns": -1}, "near_ns is -1; it must be 0 to"),
        ({"near_sockets": 3, "far_ns": 9}, "near_sockets is 3; it must divide the 4 sockets"),
        ({"near_sockets": 2}, "near_sockets is 2 and far_ns is None"),
    ],
)
def test_a_part_that_does_not_divide_the_whole_is_named(change, says):
    with pytest.raises(ValueError, match=says):
        Topology("x", 4, 8, 2, 7.0, 50.0, 150.0, 5.0, **change)


@pytest.mark.parametrize("name", ["big", [], None, 3, {}])
def test_a_topology_of_no_name_is_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=r"topology is .*; it must be one of: 2x E5-2680 v4; 2x E5-2690; "):
        Topology.named(name)


# --- a measurement ---------------------------------------------------------------------------------------------------
STAT = {"min": 20.0, "median": 22.0, "spread": 1.0, "runs": 9, "discarded": 0}


def measured(**machine):
    return {
        "schema": "memcg-lab measurement 1",
        "machine": {"model": "x", "cpus": 2, "sockets": 1, "cores_per_socket": 2, "threads_per_core": 1, **machine},
        "local": {"plain_add": STAT, "atomic": STAT},
        "transfer": {"smt": None, "same": STAT, "cross": None},
    }


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        ({"cpus": 0}, "measurement: machine.cpus is 0; it must be a whole number"),
        ({"cpus": 10**400}, "measurement: machine.cpus is 1000"),
        ({"sockets": "one"}, "measurement: machine.sockets is 'one'; it must be a whole number"),
        ({"threads_per_core": 0}, "measurement: machine.threads_per_core is 0"),
    ],
)
def test_a_shape_that_is_none_is_named(machine, says):
    with pytest.raises(ValueError, match=says):
        Topology.from_measurement(measured(**machine))


def test_a_shape_that_is_not_told_or_does_not_fit_is_one_socket():
    for machine in ({"sockets": None}, {"cores_per_socket": 7}):
        topology = Topology.from_measurement(measured(**machine))
        assert (topology.sockets, topology.cores, topology.threads) == (1, 2, 1)


# --- core-to-core-latency --------------------------------------------------------------------------------------------
def write(path, ways, order=None, full=False):
    """A CSV as the tool writes it, with the CPUs in another order."""
    ways = ways if order is None else ways[np.ix_(order, order)]
    n = len(ways)
    rows = [",".join(str(ways[i, j]) if j < i or (full and j > i) else "" for j in range(n)) for i in range(n)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def scattered(topology, seed=1):
    """The ways of a machine, each up to 10 % longer or shorter."""
    ways = topology.ways_ns(topology.cpus)
    noise = np.random.default_rng(seed).uniform(0.9, 1.1, ways.shape)
    return np.tril(ways * noise) + np.tril(ways * noise).T


@pytest.mark.once
@pytest.mark.parametrize("name", ["2x E5-2680 v4", "2x EPYC 7742", "2x EPYC 7742, core complexes", "i7-6700K"])
@pytest.mark.parametrize("numbering", ["linux", "siblings side by side"])
def test_a_machine_that_was_written_down_is_read_again(tmp_path, name, numbering):
    truth = TOPOLOGIES[name]
    order = np.arange(truth.cpus)
    if numbering != "linux":
        order = order.reshape(truth.threads, -1).T.ravel()
    path = write(tmp_path / "m.csv", scattered(truth), order)
    found = Topology.from_core_to_core(path, sockets=truth.sockets, name=name, local_ns=truth.local_ns)
    for what in ("sockets", "cores", "threads", "near_cores"):
        assert getattr(found, what) == getattr(truth, what), what
    assert found.ways_ns(found.cpus) == pytest.approx(
        truth.ways_ns(truth.cpus), rel=0.06
    )  # four pairs of threads at least
    assert found.source == "core-to-core-latency"


def test_sockets_that_take_turns_are_found(tmp_path):
    truth = Topology("x", 2, 4, 1, 7.0, 40.0, 120.0, 8.0)
    path = write(tmp_path / "m.csv", scattered(truth), [0, 4, 1, 5, 2, 6, 3, 7], full=True)
    found = Topology.from_core_to_core(path, sockets=2)
    assert (found.same_ns, found.cross_ns) == (pytest.approx(40, rel=0.06), pytest.approx(120, rel=0.06))
    assert found.source == "core-to-core-latency; local: not measured, that of 2x E5-2680 v4"


@pytest.mark.parametrize(
    ("text", "sockets", "says"),
    [
        (None, 1, "no such file"),
        ("", 1, "0 rows; a row for each CPU is needed, 2 to 1,024"),
        (",\n40\n", 1, "line 2: 1 fields; there are 2 CPUs, a field for each"),
        (",\nfast,\n", 1, 'line 2: "fast" is no number of nanoseconds for CPU 1 and CPU 0'),
        (",\n,\n", 1, 'line 2: "" is no number of nanoseconds for CPU 1 and CPU 0'),
        (",\n-4,\n", 1, 'line 2: "-4" is no number'),
        (",\ninf,\n", 1, 'line 2: "inf" is no number'),
        (",\n1e400,\n", 1, 'line 2: "1e400" is no number'),
        (",\n1e9,\n", 1, 'line 2: "1e9" is 1000000000.0; it must be 0 to 1,000,000 nanoseconds'),
        (f",\n{'7' * 500},\n", 1, "is no number of nanoseconds"),
        ("5,\n40,\n", 1, 'line 1: "5" stands where a CPU meets itself'),
        (",41\n40,\n", 1, "what stands above the diagonal is not what stands below it"),
        (",,\n7,,\n40,40,\n", 1, "the pairs below 15 ns are not the threads of equal cores"),
        (",,\n40,,\n40,40,\n", 2, "3 cores are not 2 equal sockets"),
        (",,,\n120,,,\n40,120,,\n40,40,120,\n", 5, "sockets is 5; it must be a whole number from 1 to 4"),
        (",,,\n40,,,\n40,40,,\n40,40,40,\n", 2, "are no longer than within them"),
        ("\x1b]0;x\x07,\n40,\n", 1, 'line 1: "\\x1b]0;x\\x07" is no number'),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_line(tmp_path, text, sockets, says):
    path = tmp_path / "m.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is compared below
        Topology.from_core_to_core(path, sockets=sockets)
    assert says in str(raised.value)


@pytest.mark.parametrize("read", [Topology.from_core_to_core, Topology.from_measurement])
def test_what_is_no_text_is_refused_in_words(tmp_path, read):
    with pytest.raises(ValueError, match=r"cannot be read \(Is a directory\)\."):
        read(tmp_path)
    path = tmp_path / "m.json"
    path.write_bytes(b"{\n\x80}")
    with pytest.raises(ValueError, match=r"m\.json: cannot be read \(byte 2 is no text in UTF-8\)\."):
        read(path)


@pytest.mark.parametrize("name", [3, None, "", " "])
def test_a_machine_has_a_name(name):
    with pytest.raises(ValueError, match="it must be a text that is not empty"):
        Topology(name, 2, 4, 1, 5, 40, 100, 5)


@pytest.mark.parametrize("path", [None, 3.5, [], b"\x00"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="cannot be read"):
        Topology.from_core_to_core(path)
