"""Topology: how many CPUs a machine has, how far apart they are, and what a cache line's way between them costs."""

import math
import os
import pathlib
import platform
from dataclasses import dataclass, replace

import numpy as np

from ..checks import nanoseconds, whole_number
from ..words import count

CPUS_MAX = 1024

# How far a line travels; columns of Run.transfers.
DISTANCES = ("clean copy in the socket", "SMT sibling", "same socket", "other socket")
CLEAN, SMT, SAME, CROSS = range(4)


@dataclass(frozen=True)
class Topology:
    """A machine: its CPUs, and five costs in nanoseconds.

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
        A load of a line that another CPU of this socket has unmodified.
    own_ns : float
        A step on a line that only this CPU ever touches, such as its stock.
    source : str
        Where the figures come from.

    Raises
    ------
    ValueError
        If a count is below 1 or a cost is not between 0 and 1,000,000 ns.

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

    def __post_init__(self):
        for what in ("sockets", "cores", "threads"):
            whole_number(what, getattr(self, what), 1, CPUS_MAX)
        for what in ("smt_ns", "same_ns", "cross_ns", "local_ns", "clean_ns", "own_ns"):
            nanoseconds(what, getattr(self, what))

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
        if name not in TOPOLOGIES:
            raise ValueError(f'topology "{name}" does not exist; there are {", ".join(TOPOLOGIES)}.')
        return TOPOLOGIES[name]

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
        return _from_measurement(cls, measured)

    def place(self, cpus):
        """Where the first ``cpus`` CPUs sit: core and socket of each, two int64 arrays of that length.

        CPUs are numbered as Linux does on such machines: one thread of every core, socket by socket, then the second
        threads. More CPUs than the machine has means more sockets of the same kind.
        """
        cpus = whole_number("cpus", cpus, 1, CPUS_MAX)
        sockets = max(self.sockets, math.ceil(cpus / (self.cores * self.threads)))
        core = np.arange(cpus, dtype=np.int64) % (sockets * self.cores)
        return core, core // self.cores

    def mean_transfer_ns(self, cpus):
        """Mean one-way cost between two different CPUs of the first ``cpus``; 0 for one CPU.

        Examples
        --------
        >>> round(Topology.named("2x E5-2680 v4").mean_transfer_ns(56), 1)
        86.4
        """
        core, socket = self.place(cpus)
        if cpus == 1:
            return 0.0
        ways = np.where(socket[:, None] != socket, self.cross_ns, self.same_ns)
        ways = np.where(core[:, None] == core, self.smt_ns, ways)
        return float(ways[~np.eye(cpus, dtype=bool)].mean())


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


def _from_measurement(cls, measured):
    if not isinstance(measured, dict):
        from . import read_measurement

        measured = read_measurement(measured)

    def field(*path):
        value = measured
        for key in path:
            if not isinstance(value, dict) or key not in value:
                raise ValueError(f"measurement: {'.'.join(path)} is missing.")
            value = value[key]
        return value

    def least(*path):
        stat = field(*path)
        return None if stat is None else nanoseconds(".".join((*path, "min")), field(*path, "min"))

    if field("schema") != "memcg-lab measurement 1":
        raise ValueError(f'measurement: schema is {field("schema")!r}; this reads "memcg-lab measurement 1".')
    machine = field("machine")
    cpus = whole_number("measurement: machine.cpus", field("machine", "cpus"), 1, CPUS_MAX)
    shape = [machine.get(key) or 1 for key in ("sockets", "cores_per_socket", "threads_per_core")]
    if math.prod(shape) != cpus:
        shape = [1, cpus, 1]
    local = least("local", "atomic")
    known = {distance: least("transfer", distance) for distance in ("smt", "same", "cross")}
    unknown = [distance for distance, ns in known.items() if ns is None]
    if len(unknown) == 3 and cpus > 1:
        raise ValueError(
            "measurement: transfer has no figure at all, so nobody knows what a line's way costs; measure again while "
            "the machine is idle."
        )
    smt = next((known[d] for d in ("smt", "same", "cross") if known[d] is not None), local)
    same = known["same"] if known["same"] is not None else smt
    cross = known["cross"] if known["cross"] is not None else same
    source = "measured" + (f"; not measured: {', '.join(unknown)}" if unknown else "")
    return cls(
        str(field("machine", "model")),
        *shape,
        smt,
        same,
        cross,
        local,
        own_ns=least("local", "plain_add"),
        source=source,
    )


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
TOPOLOGIES["2x E5-2680 v4"] = DEFAULT = replace(TOPOLOGIES["2x E5-2680 v4"], local_ns=8.0)
