"""Topology: how many CPUs a machine has, how far apart they are, and what a cache line's way between them costs."""

import csv
import math
import os
import pathlib
import platform
from collections import namedtuple
from dataclasses import dataclass, replace

import numpy as np

from ..checks import nanoseconds, one_of, text, whole_number
from ..files import reason
from ..words import count, printable
from .measurement import FORMAT, read_measurement

CPUS_MAX = 1024
SMT_NS = 15  # one way within a core: 6 to 13 ns in data/hardware/published.csv; between cores 20 or more
CELL_MAX = 32  # characters of a number in a file
NEAR_SHARE = 0.7  # of the way within the socket, at most: then cores that are nearer share a cache

# How far a line travels; columns of Run.by_line.
DISTANCES = ("clean copy in the cache", "SMT sibling", "near core", "same socket", "other socket", "two hops")


@dataclass(frozen=True)
class Topology:
    """A machine: its CPUs, and what a line's way and a step cost, in nanoseconds.

    Parameters
    ----------
    name : str
    sockets, cores, threads : int
        Packages (which the tools of Linux call sockets), cores of each, threads a core.
    smt_ns, same_ns, cross_ns : float
        One way of a modified cache line from the CPU that has it: to its SMT sibling, within the socket, to another
        socket. Half the round trip of a ping-pong.
    local_ns : float
        A locked read-modify-write on a line this CPU owns already.
    clean_ns : float
        A load of a line that another CPU has unmodified, in the last-level cache both share: that of the socket, or
        of its ``near_cores``.
    own_ns : float
        A step on a line that only this CPU ever touches, such as its stock.
    source : str
        Where the figures come from.
    near_cores, near_ns : int, float, optional
        Cores of a socket that share a last-level cache, such as the four of a Zen 2 core complex, and a line's way
        among them. By default all cores of the socket, and ``same_ns``.
    near_sockets, far_ns : int, float, optional
        Sockets one hop apart, and a line's way to those that are two hops away. By default all sockets, and
        ``cross_ns``.

    Raises
    ------
    ValueError
        If the name is empty, a count is below 1 or does not divide what it is part of, a cost is not between 0 and
        1,000,000 ns, or one of a pair is given without the other.

    Notes
    -----
    No order of the costs is asked for: in a virtual machine a near CPU is at times measured to be the farther one.

    Examples
    --------
    >>> Topology.named("2x E5-2680 v4")
    Topology(2x E5-2680 v4: 56 CPUs = 2 packages x 14 cores x 2 threads; 8.3 / 45.2 / 127.5 ns, local 8.0 ns)
    """

    name: str
    sockets: int
    cores: int
    threads: int
    smt_ns: float
    same_ns: float
    cross_ns: float
    local_ns: float
    clean_ns: float = 20.0  # a hit in the last-level cache, about
    own_ns: float = 1.5  # plain increment, Xeon Platinum 8176: perfbook, count_nonatomic
    source: str = ""
    near_cores: int | None = None
    near_ns: float | None = None
    near_sockets: int | None = None
    far_ns: float | None = None

    def __post_init__(self):
        text("name", self.name)
        for what in ("sockets", "cores", "threads"):
            whole_number(what, getattr(self, what), 1, CPUS_MAX)
        for what in ("smt_ns", "same_ns", "cross_ns", "local_ns", "clean_ns", "own_ns"):
            nanoseconds(what, getattr(self, what))
        for part, ns, whole in (("near_cores", "near_ns", "cores"), ("near_sockets", "far_ns", "sockets")):
            given = [getattr(self, what) is not None for what in (part, ns)]
            if given[0] != given[1]:
                raise ValueError(f"{part} is {getattr(self, part)} and {ns} is {getattr(self, ns)}; give both or none.")
            if given[0]:
                most = getattr(self, whole)
                if most % whole_number(part, getattr(self, part), 1, most):
                    raise ValueError(f"{part} is {getattr(self, part)}; it must divide the {most} {whole}.")
                nanoseconds(ns, getattr(self, ns))

    @property
    def cpus(self):
        """CPUs the machine really has."""
        return self.sockets * self.cores * self.threads

    def __repr__(self):
        shape = [count(self.sockets, "package"), count(self.cores, "core"), count(self.threads, "thread")]
        return (
            f"Topology({self.name}: {count(self.cpus, 'CPU')} = {' x '.join(shape)}; "
            f"{self.smt_ns} / {self.same_ns} / {self.cross_ns} ns, local {self.local_ns} ns)"
        )

    @classmethod
    def named(cls, name):
        """One of the machines in ``TOPOLOGIES``.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        return TOPOLOGIES[one_of("topology", name, TOPOLOGIES)]

    @classmethod
    def uniform(cls, cpus, *, transfer_ns, local_ns=0.0, clean_ns=0.0, own_ns=0.0):
        """One socket without SMT in which every line takes equally long; for closed forms and for teaching.

        Examples
        --------
        >>> Topology.uniform(4, transfer_ns=100).cpus
        4
        """
        return cls("uniform", 1, cpus, 1, 0.0, transfer_ns, transfer_ns, local_ns, clean_ns, own_ns)

    @classmethod
    def this_machine(cls):
        """The CPUs of the machine this runs on, as the operating system tells; its costs are not known from that.

        The costs are those of the default machine, and ``source`` says so. ``python -m memcg_lab measure`` measures
        yours, and :meth:`from_measurement` reads what it wrote. A virtual machine may hide who shares a core.
        """
        sockets, cores, threads = _shape_of_this_machine()
        return replace(
            DEFAULT,
            name="this machine",
            sockets=sockets,
            cores=cores,
            threads=threads,
            source="counts: the operating system; costs: not measured, those of " + DEFAULT.name,
        )

    @classmethod
    def from_measurement(cls, measured):
        """The machine of a file that ``python -m memcg_lab measure`` wrote.

        Parameters
        ----------
        measured : path or mapping
            The file, or its content.

        Returns
        -------
        Topology
            Minima of the measured figures. A distance that could not be measured is not known; it gets the next
            nearer one that was, and ``source`` says so.

        Raises
        ------
        ValueError
            If a field is missing or is not what the schema says.

        Examples
        --------
        >>> stat = {"min": 20.0, "median": 22.0, "spread": 1.0, "runs": 9, "discarded": 0}
        >>> measured = {
        ...     "schema": "memcg-lab measurement 1",
        ...     "machine": {"model": "example", "cpus": 2, "sockets": 1, "cores_per_socket": 2, "threads_per_core": 1},
        ...     "local": {"plain_add": stat, "atomic": stat},
        ...     "transfer": {"smt": None, "same": stat, "cross": None},
        ... }
        >>> Topology.from_measurement(measured).same_ns
        20.0
        """
        if not isinstance(measured, dict):
            measured = read_measurement(measured)
        return _from_measurement(cls, measured)

    @classmethod
    def from_core_to_core(cls, path, *, name=None, sockets=1, local_ns=None):
        r"""The machine of a CSV that ``core-to-core-latency --csv`` wrote.

        The file says what a line's way costs between each two CPUs, and nothing else. Pairs below 15 ns are taken for
        the threads of one core. Cores that share a cache are found where their ways are much shorter than the others of
        the socket; sockets cannot be told from those, so you say how many there are.

        Parameters
        ----------
        path : str or Path
            A row and a column for each CPU, one way in nanoseconds; numbers below the diagonal, empty or 0 on and above
            it, or the same above it.
        name : str, optional
            By default the file's.
        sockets : int
            Each with as many cores as the others.
        local_ns : float, optional
            An atomic on a line this CPU has. The file does not know it; by default that of the default machine.

        Returns
        -------
        Topology
            Medians. CPUs are numbered as :meth:`place` says, whatever the file's order is.

        Raises
        ------
        ValueError
            If the file cannot be read or holds anything else; the message names the line. If threads, cores or sockets
            do not divide evenly.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "four.csv"
        ...     _ = path.write_text(",,,\n7,,,\n40,41,,\n42,40,7,\n")
        ...     Topology.from_core_to_core(path, local_ns=8)
        Topology(four: 4 CPUs = 1 package x 2 cores x 2 threads; 7.0 / 40.5 / 40.5 ns, local 8.0 ns)
        """
        ways = _read_ways(path)
        whole_number("sockets", sockets, 1, len(ways))
        local = DEFAULT.local_ns if local_ns is None else nanoseconds("local_ns", local_ns)
        told = "" if local_ns is not None else f"; local: not measured, that of {DEFAULT.name}"
        found = _shape_of_ways(path, ways, sockets)
        return cls(
            name or pathlib.Path(path).stem, sockets, **found, local_ns=local, source=f"core-to-core-latency{told}"
        )

    def place(self, cpus):
        """Where the first ``cpus`` CPUs sit: core and socket of each, two int64 arrays of that length.

        CPUs are numbered as Linux does on such machines: one thread of every core, socket by socket, then the second
        threads. More CPUs than the machine has means more sockets of the same kind.
        """
        cpus = whole_number("cpus", cpus, 1, CPUS_MAX)
        sockets = max(self.sockets, math.ceil(cpus / (self.cores * self.threads)))
        core = np.arange(cpus, dtype=np.int64) % (sockets * self.cores)
        return Place(core, core // self.cores)

    def near(self, cpus):
        """Which cache each of the first ``cpus`` CPUs shares with its near cores; int64.

        Examples
        --------
        >>> Topology.named("2x EPYC 7742, core complexes").near(9).tolist()
        [0, 0, 0, 0, 1, 1, 1, 1, 2]
        """
        return self.place(cpus).core // (self.near_cores or self.cores)

    def hops(self, cpus):
        """Which group of sockets, one hop apart, each of the first ``cpus`` CPUs belongs to; int64.

        Examples
        --------
        >>> Topology.named("8x Platinum 8176").hops(224)[[0, 27, 28, 111, 112, 223]].tolist()
        [0, 0, 0, 0, 1, 1]
        """
        place = self.place(cpus)
        return place.socket // (self.near_sockets or max(self.sockets, int(place.socket.max()) + 1))

    def ways_ns(self, cpus):
        """One way of a line between each two of the first ``cpus`` CPUs; float64, 0 on the diagonal.

        Examples
        --------
        >>> Topology.named("2x EPYC 7742, core complexes").ways_ns(65)[0, [0, 1, 4, 64]].tolist()
        [0.0, 25.3, 141.0, 267.0]
        """
        core, socket = self.place(cpus)
        near, hops = self.near(cpus), self.hops(cpus)
        near_ns = self.same_ns if self.near_ns is None else self.near_ns
        far_ns = self.cross_ns if self.far_ns is None else self.far_ns
        ways = np.where(hops[:, None] == hops, self.cross_ns, far_ns)
        ways = np.where(socket[:, None] == socket, self.same_ns, ways)
        ways = np.where(near[:, None] == near, near_ns, ways)
        ways = np.where(core[:, None] == core, self.smt_ns, ways)
        ways[np.arange(cpus), np.arange(cpus)] = 0.0
        return ways

    def stretched(self, times):
        """Each way of a line and each atomic takes so many times as long; steps on lines of one CPU do not.

        Examples
        --------
        >>> Topology.named("i7-6700K").stretched(2)
        Topology(i7-6700K: 8 CPUs = 1 package x 4 cores x 2 threads; 13.8 / 40.0 / 40.0 ns, local 10.0 ns)
        """
        ways = ("smt_ns", "same_ns", "cross_ns", "local_ns", "clean_ns", "near_ns", "far_ns")
        given = {name: getattr(self, name) for name in ways if getattr(self, name) is not None}
        return replace(self, **{name: ns * times for name, ns in given.items()})

    def mean_transfer_ns(self, cpus):
        """Mean one-way cost between two different CPUs of the first ``cpus``; 0 for one CPU.

        Examples
        --------
        >>> round(Topology.named("2x E5-2680 v4").mean_transfer_ns(56), 1)
        86.4
        """
        ways = self.ways_ns(cpus)
        return float(ways[~np.eye(len(ways), dtype=bool)].mean()) if cpus > 1 else 0.0


Place = namedtuple("Place", "core socket")
Place.__doc__ = """Core and socket of each CPU, counted over the whole machine; int64 arrays."""


def _shape_of_this_machine():
    """Sockets, cores a socket, threads a core; where the system does not tell, one socket without SMT."""
    cores, sockets = set(), set()
    cpus = os.cpu_count() or 1
    if platform.system() == "Linux":
        for folder in pathlib.Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology"):
            try:
                socket = int((folder / "physical_package_id").read_text())
                cores.add((socket, int((folder / "core_id").read_text())))
                sockets.add(socket)
            except (OSError, ValueError):
                pass
    cores_each = max(len(cores) // max(len(sockets), 1), 1)
    if not cores or cpus % len(cores) or len(cores) % len(sockets):
        return 1, min(cpus, CPUS_MAX), 1
    return len(sockets), cores_each, cpus // len(cores)


def _field(measured, *path):
    """What stands under these names, or a ValueError that says it is missing."""
    value = measured
    for key in path:
        if not isinstance(value, dict) or key not in value:
            raise ValueError(f"measurement: {'.'.join(path)} is missing.")
        value = value[key]
    return value


def _least(measured, *path):
    """The minimum of a figure, or None if it was not measured."""
    if _field(measured, *path) is None:
        return None
    return nanoseconds(f"measurement: {'.'.join(path)}.min", _field(measured, *path, "min"))


def _shape(measured):
    """Sockets, cores a socket, threads a core; where they do not make up the CPUs, one socket without SMT."""
    cpus = whole_number("measurement: machine.cpus", _field(measured, "machine", "cpus"), 1, CPUS_MAX)
    shape = []
    for key in ("sockets", "cores_per_socket", "threads_per_core"):
        told = _field(measured, "machine").get(key)
        shape.append(1 if told is None else whole_number(f"measurement: machine.{key}", told, 1, CPUS_MAX))
    return shape if math.prod(shape) == cpus else [1, cpus, 1]


def _from_measurement(cls, measured):
    if _field(measured, "schema") != FORMAT:
        raise ValueError(f'measurement: schema is {_field(measured, "schema")!r}; this reads "{FORMAT}".')
    shape = _shape(measured)
    local = _least(measured, "local", "atomic")
    known = {distance: _least(measured, "transfer", distance) for distance in ("smt", "same", "cross")}
    unknown = [distance for distance, ns in known.items() if ns is None]
    if len(unknown) == 3 and math.prod(shape) > 1:
        raise ValueError(
            "measurement: transfer has no figure at all, so nobody knows what a line's way costs; measure again while "
            "the machine is idle."
        )
    smt = next((known[d] for d in ("smt", "same", "cross") if known[d] is not None), local)
    same = known["same"] if known["same"] is not None else smt
    cross = known["cross"] if known["cross"] is not None else same
    source = "measured" + (f"; not measured: {', '.join(unknown)}" if unknown else "")
    model, own = str(_field(measured, "machine", "model")), _least(measured, "local", "plain_add")
    return cls(model, *shape, smt, same, cross, local, own_ns=own, source=source)


# --- core-to-core-latency --------------------------------------------------------------------------------------------
def _read_ways(path):
    """The ways of a CSV as a symmetric matrix, 0 on the diagonal; ValueError names the line of what is none."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [(reader.line_num, row) for reader in [csv.reader(file)] for row in reader if row]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file.") from None
    except (OSError, ValueError, csv.Error, TypeError) as error:
        raise ValueError(f"{path}: cannot be read ({reason(error)}).") from None
    if not 2 <= len(rows) <= CPUS_MAX:
        raise ValueError(f"{path}: {len(rows):,} rows; a row for each CPU is needed, 2 to {CPUS_MAX:,}.")
    ways = np.zeros((len(rows), len(rows)))
    for one, (line, row) in enumerate(rows):
        if len(row) != len(rows):
            raise ValueError(
                f"{path}, line {line}: {len(row):,} fields; there are {len(rows):,} CPUs, a field for each."
            )
        for other, cell in enumerate(row):
            what = f'{path}, line {line}: "{printable(cell[:CELL_MAX])}"'
            try:
                ns = float(cell) if cell.strip() and len(cell) <= CELL_MAX else 0.0 if not cell.strip() else math.nan
            except ValueError:
                ns = math.nan
            if not math.isfinite(ns) or (other < one and ns <= 0):
                raise ValueError(f"{what} is no number of nanoseconds for CPU {one} and CPU {other}.")
            if other >= one and ns and (other == one or not cell.strip()):
                raise ValueError(f"{what} stands where a CPU meets itself; it must be empty or 0.")
            ways[one, other] = nanoseconds(what, ns)
    upper = np.triu(ways, 1)
    if upper.any() and not np.allclose(upper, np.tril(ways, -1).T):
        raise ValueError(f"{path}: what stands above the diagonal is not what stands below it.")
    return np.tril(ways, -1) + np.tril(ways, -1).T


def _shape_of_ways(path, ways, sockets):
    """Cores, threads and the medians of each distance."""
    cpus = len(ways)
    siblings = (ways < SMT_NS) | np.eye(cpus, dtype=bool)
    threads = int(siblings[0].sum())
    if (siblings.sum(axis=1) != threads).any() or (siblings.astype(int) @ siblings != threads * siblings).any():
        raise ValueError(f"{path}: the pairs below {SMT_NS} ns are not the threads of equal cores.")
    first, core = np.unique(siblings.argmax(axis=1), return_inverse=True)  # cores, in the order of their first threads
    if len(first) % sockets:
        raise ValueError(f"{path}: {len(first)} cores are not {sockets} equal sockets.")
    smt = float(np.median(ways[siblings & ~np.eye(cpus, dtype=bool)])) if threads > 1 else 0.0
    apart = core[:, None] != core
    part = _sockets_of_ways(path, ways, apart, core, sockets)
    found = {"cores": len(first) // sockets, "threads": threads, "smt_ns": smt, "same_ns": part.same_ns}
    return {**found, "cross_ns": part.cross_ns, **_near_of_ways(ways, apart, core, part.socket)}


Part = namedtuple("Part", "socket same_ns cross_ns")  # the socket of each CPU; medians within and across


def _sockets_of_ways(path, ways, apart, core, sockets):
    """The sockets, in that order of cores that parts near from far best."""
    parts = []
    for socket in (core // ((core.max() + 1) // sockets), core % sockets):  # socket by socket, or in turn
        inside = socket[:, None] == socket
        same, cross = (float(np.median(ways[w])) if w.any() else None for w in (inside & apart, ~inside))
        known = [ns for ns in (same, cross) if ns is not None] or [0.0]
        parts.append(Part(socket, known[0] if same is None else same, known[-1] if cross is None else cross))
    best = min(parts, key=lambda part: part.same_ns)
    if sockets > 1 and best.cross_ns <= best.same_ns and (apart & (best.socket[:, None] == best.socket)).any():
        raise ValueError(f"{path}: ways between {sockets} sockets are no longer than within them; is it fewer sockets?")
    return best


def _near_of_ways(ways, apart, core, socket):
    """Cores that share a cache, if the file shows any: near_cores, near_ns, and same_ns of the others."""
    rank = np.zeros(len(ways), np.int64)  # of a core within its socket
    for one in np.unique(socket):
        rank[socket == one] = np.unique(core[socket == one], return_inverse=True)[1]
    inside = (socket[:, None] == socket) & apart
    cores = int(rank.max()) + 1
    for size in range(cores // 2, 1, -1):
        near = inside & (rank[:, None] // size == rank // size)
        if cores % size == 0 and np.quantile(ways[near], 0.9) < NEAR_SHARE * np.quantile(ways[inside & ~near], 0.1):
            same = float(np.median(ways[inside & ~near]))
            return {"near_cores": size, "near_ns": float(np.median(ways[near])), "same_ns": same}
    return {}


# --- published machines ----------------------------------------------------------------------------------------------
# One-way line transfers: medians of groups of CPU pairs, github.com/nviennot/core-to-core-latency (CSV files and
# README). Local: about 20 cycles on Intel from Nehalem to Skylake and 8 on Zen, at the base clock (see data/published).
# Cores and base clocks: the makers' product pages.
_TABLE = (
    # name, sockets, cores, threads, SMT, same, cross, base clock in GHz, cycles
    ("2x E5-2680 v4", 2, 14, 2, 8.3, 45.2, 127.5, 2.4, 20),
    ("2x E5-2690", 2, 8, 2, 8.9, 32.4, 114.3, 2.9, 20),
    ("2x E5-2630 v4", 2, 10, 2, 8.2, 39.2, 117.9, 2.2, 20),
    ("2x E5-2695 v4", 2, 18, 2, 7.6, 43.5, 118.1, 2.1, 20),
    ("2x Gold 6242", 2, 16, 2, 7.4, 48.0, 141.4, 2.8, 20),
    ("2x Platinum 8275CL", 2, 24, 2, 7.6, 46.6, 134.1, 3.0, 20),
    ("2x Platinum 8375C", 2, 32, 2, 8.0, 51.3, 107.8, 2.9, 20),
    ("2x EPYC 7742", 2, 64, 2, 8.0, 141.0, 267.0, 2.25, 8),
    ("i7-6700K", 1, 4, 2, 6.9, 20.0, 20.0, 4.0, 20),
)
TOPOLOGIES = {
    name: Topology(
        name, sockets, cores, threads, smt, same, cross, round(cycles / clock, 1), source="core-to-core-latency"
    )
    for name, sockets, cores, threads, smt, same, cross, clock, cycles in _TABLE
}
# A core complex of Zen 2 has four cores (AMD's manual). The 25.3 was once read off that CSV; of which pairs it is the
# median is not known any more. The 45 pairs within a complex that are among its first 31 CPUs take 24.6 to 27.9 ns, in
# the median 25.4 (commit 91c2404 there); the other complexes were not looked at again.
TOPOLOGIES["2x EPYC 7742, core complexes"] = replace(
    TOPOLOGIES["2x EPYC 7742"], name="2x EPYC 7742, core complexes", near_cores=4, near_ns=25.3
)
# Eight sockets in two quads: perfbook's table of the same machine; an atomic alone: its count_atomic, one thread.
TOPOLOGIES["8x Platinum 8176"] = Topology(
    "8x Platinum 8176", 8, 28, 2, 7.2, 47.5, 148.8, 4.83, source="perfbook", near_sockets=4, far_ns=336.6
)
TOPOLOGIES["2x E5-2680 v4"] = DEFAULT = replace(TOPOLOGIES["2x E5-2680 v4"], local_ns=8.0)
