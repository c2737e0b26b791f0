"""The cgroup files of this host: what memory.current and memory.stat sock say while our own traffic runs."""

import csv
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import dataclass, field

from ..checks import real_number, shown, whole_number
from ..files import DATA, path_of, writing
from ..words import printable

RECORDED = DATA / "observed" / "cgroup-6.1.csv"
LOOPBACK = pathlib.Path(__file__).resolve().parent / "loopback.py"
COLUMNS = ("t_ms", "current", "sock", "low", "high", "max", "oom", "oom_kill")
BYTES_MAX, SECONDS_MAX = 1 << 30, 60
GRACE = 5  # seconds that the workload gets to end by itself
OWN = "memcg_lab_observed"

Sample = namedtuple("Sample", COLUMNS)
Sample.__doc__ = """One look at a cgroup's files.

t_ms: milliseconds since the first look. current: ``memory.current``, sock: ``sock`` of ``memory.stat``, in bytes. The
others: counts of ``memory.events``. None is what the host does not offer.
"""
Counts = namedtuple("Counts", COLUMNS[1:])
Counts.__doc__ = "What a `Sample` holds, without its time."


@dataclass(frozen=True)
class Host:
    """What this host offers of the memory cgroup that this process is in.

    Attributes
    ----------
    version : int
        2 or 1; 0 if there is none to be read.
    folder : pathlib.Path or None
        The cgroup's files.
    lacks : tuple of str
        What cannot be seen or done here, as sentences.
    """

    version: int
    folder: pathlib.Path | None = field(repr=False)  # not in a notebook's outputs
    lacks: tuple = ()


@dataclass(frozen=True)
class Samples:
    """The files of one cgroup, read again and again.

    Attributes
    ----------
    rows : list of Sample
    source : str
        Where they were read.
    notes : tuple of str
        What to know before reading them.
    """

    rows: list
    source: str
    notes: tuple = field(default=())

    def __len__(self):
        return len(self.rows)

    def __repr__(self):
        return f"Samples({len(self):,} of {self.source})"

    def column(self, name):
        """The values of one column.

        Raises
        ------
        ValueError
            If there is no such column.

        Examples
        --------
        >>> max(read_samples(RECORDED).column("sock")) > 0
        True
        """
        if name not in COLUMNS:
            raise ValueError(f"{shown(name)} is no column; there are {', '.join(COLUMNS)}.")
        return [row[COLUMNS.index(name)] for row in self.rows]

    def save(self, path, *, replace=False):
        """Write them as CSV, the source in a first line that starts with ``#``; a file that is there is refused."""
        with writing(path, replace=replace) as scratch, open(scratch, "w", encoding="utf-8", newline="") as file:
            file.write(f"# {self.source}\n")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(self.rows)


def read_samples(path):
    """Read samples that `Samples.save` wrote.

    Raises
    ------
    ValueError
        If the file cannot be read, or a line is not what it should be.
    """
    path = path_of(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = "not text in UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ValueError(f"{printable(path)}: cannot be read ({why}).") from None
    name = printable(path)
    if len(lines) < 3 or not lines[0].startswith("# ") or lines[1] != ",".join(COLUMNS):
        raise ValueError(f"{name}: a line '# source' and a line '{','.join(COLUMNS)}' must stand before the samples.")
    rows = []
    for number, line in enumerate(lines[2:], 3):
        try:
            t_ms, *counts = line.split(",")
            values = float(t_ms), *(int(word) if word else None for word in counts)
        except ValueError:
            raise ValueError(f"{name}, line {number}: {shown(line[:80])} is not a sample.") from None
        if len(values) != len(COLUMNS):
            raise ValueError(f"{name}, line {number}: {len(values)} values; a sample has {len(COLUMNS)}.")
        rows.append(Sample(*values))
    return Samples(rows, lines[0][2:])


def find_host(proc="/proc/self", system=None):
    """Find the memory cgroup of this process. Only reads.

    Parameters
    ----------
    proc : path, optional
        Folder with ``cgroup`` and ``mountinfo``.
    system : str, optional
        As ``platform.system()`` says it.

    Returns
    -------
    Host
    """
    system = system or platform.system()
    if system != "Linux":
        return Host(0, None, (f"this is {system}; cgroups exist on Linux only",))
    proc = pathlib.Path(proc)
    try:
        memberships = [line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines()]
        mounts = [_mount(line) for line in (proc / "mountinfo").read_text().splitlines()]
    except OSError as error:
        return Host(0, None, (f"{error.filename} cannot be read",))

    for _, controllers, path in memberships:
        if "memory" in controllers.split(","):
            return _host(1, path, [m for m in mounts if m[2] == "cgroup" and "memory" in m[3].split(",")])
    for _, controllers, path in memberships:
        if controllers == "":
            return _host(2, path, [m for m in mounts if m[2] == "cgroup2"])
    return Host(0, None, ("this process is in no cgroup with a memory controller",))


def _mount(line):
    """(root within the file system, mount point, type, super options) of a line of mountinfo."""
    before, _, after = line.partition(" - ")
    words, rest = before.split(), after.split()
    return words[3], words[4].replace("\\040", " "), rest[0], rest[-1]


def _host(version, path, mounts):
    used = "memory.current" if version == 2 else "memory.usage_in_bytes"
    for root, point, _, _ in mounts:
        # In a container the mount may show only a part of the tree, and the path may lie outside it.
        inner = path.removeprefix(root) if root != "/" and path.startswith(root) else path
        folder = pathlib.Path(point) / inner.lstrip("/")
        if (folder / used).is_file():
            return Host(version, folder, _V1 if version == 1 else ())
    if not mounts:
        return Host(0, None, (f"cgroup v{version} is not mounted where this process could see it",))
    if version == 2 and path == "/":
        why = "this process is in the root cgroup, which has no memory.current"
    else:
        why = f"the cgroup {path} of this process has no {used}: no memory controller there, or not visible from here"
    return Host(0, None, (why,))


_V1 = (
    "this host has cgroup v1 for memory: socket pages go to a counter of their own (memory.kmem.tcp), which has no "
    "stock and which is kept only from the first limit that is set on it; the patch shows on v2 only",
)


# --- one sample ------------------------------------------------------------------------------------------------------
def sample_fields(text):
    r"""What one sample holds, from lines of ``name value``.

    Parameters
    ----------
    text : str
        Bytes and counts; names that are not in `COLUMNS` are passed over.

    Returns
    -------
    Counts or None
        None if ``current`` is missing.

    Examples
    --------
    >>> sample_fields("current 8192\nsock 4096\nmax 3")
    Counts(current=8192, sock=4096, low=None, high=None, max=3, oom=None, oom_kill=None)
    """
    values = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdigit():
            values[name] = int(value)
    if "current" not in values:
        return None
    return Counts(*map(values.get, COLUMNS[1:]))


def read_once(host):
    """Read one cgroup's files once.

    Parameters
    ----------
    host : Host

    Returns
    -------
    Counts or None
        None if its usage cannot be read.
    """
    if host.version == 2:
        files = ("memory.stat", "memory.events")
        text = "\n".join([f"current {_text(host.folder / 'memory.current')}", *(_text(host.folder / f) for f in files)])
        return sample_fields(text)
    names = {"current": "usage_in_bytes", "sock": "kmem.tcp.usage_in_bytes", "max": "failcnt"}
    return sample_fields("\n".join(f"{name} {_text(host.folder / f'memory.{file}')}" for name, file in names.items()))


def _text(path):
    try:
        return path.read_text().strip()
    except OSError:
        return ""


# --- watching --------------------------------------------------------------------------------------------------------
def observe(nbytes=64 << 20, seconds=2.0, interval=0.02, own=False, host=None):
    """Read this host's cgroup files while loopback TCP of ours runs; recorded samples where that cannot be.

    The traffic stays on 127.0.0.1. Its receiver reads slowly, so that the sockets hold pages to be seen. It ends by
    itself when its bytes or its seconds are over. Nothing is written, unless you ask for a cgroup of its own.

    Parameters
    ----------
    nbytes : int, optional
        Bytes to send at most; 1 MiB to 1 GiB.
    seconds : float, optional
        How long at most; up to 60.
    interval : float, optional
        Seconds between two samples; 0.001 to 1.
    own : bool, optional
        Make a cgroup beside the one this process is in, run the traffic in it, and remove it. Needs cgroup v2 and the
        right to do so. Without it the files show all of the present cgroup, this process included.
    host : Host, optional
        What `find_host` found.

    Returns
    -------
    Samples
        ``source`` says whether they were read here or recorded earlier, ``notes`` why.

    Raises
    ------
    ValueError
        If a number is out of range, the traffic fails, or the cgroup goes away meanwhile.
    """
    nbytes = whole_number("nbytes", nbytes, 1 << 20, BYTES_MAX)
    seconds = real_number("seconds", seconds, 0.1, SECONDS_MAX)
    interval = real_number("interval", interval, 0.001, 1)
    host = host or find_host()
    if not host.version:
        return _recorded(host.lacks)
    if not own:
        note = "everything in this cgroup is counted, this Python too"
        return Samples(_watch(host, nbytes, seconds, interval), _name(host), (*host.lacks, note))
    if host.version == 1:
        return _recorded((*host.lacks, "a cgroup of its own is made on v2 only"))

    # Beside, not below: v2 gives no controller to the children of a cgroup that holds processes.
    inside = Host(2, host.folder.parent / OWN)
    try:
        inside.folder.mkdir()
    except OSError as error:
        return _recorded((f"a cgroup of its own cannot be made: {error.strerror} ({inside.folder})",))
    try:
        if not (inside.folder / "memory.current").exists():
            return _recorded((f"{host.folder.parent} does not give its children the memory controller",))
        try:
            rows = _watch(inside, nbytes, seconds, interval, move=True)
        except OSError as error:
            return _recorded((f"the traffic cannot be moved into its own cgroup: {error.strerror}",))
        return Samples(rows, _name(inside), ("only the traffic is in this cgroup",))
    finally:
        _remove(inside.folder)


def _recorded(why):
    samples = read_samples(RECORDED)
    return Samples(samples.rows, samples.source, (*why, "so these are recorded samples, not this host's"))


def _name(host):
    return f"this host, cgroup v{host.version}, Linux {platform.release()}"


def _watch(host, nbytes, seconds, interval, move=False):
    """Rows read while the traffic runs, and half a second more."""
    traffic = subprocess.Popen(
        [sys.executable, "-I", str(LOOPBACK), str(nbytes), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    rows = []
    try:
        if move:
            (host.folder / "cgroup.procs").write_text(str(traffic.pid))
        start = time.monotonic()
        deadline, ended = start + seconds + GRACE, None
        traffic.stdin.write("go\n")
        traffic.stdin.flush()
        while ended is None or time.monotonic() < ended + 0.5:
            now = time.monotonic()
            counts = read_once(host)
            if counts is None:
                raise ValueError(f"{host.folder}: what it uses can no longer be read.")
            rows.append(Sample(round(1000 * (now - start), 1), *counts))
            if ended is None and traffic.poll() is not None:
                ended = now
            if now > deadline:
                break
            time.sleep(interval)
        if ended is None:
            raise ValueError(f"the traffic did not end {GRACE} s after its time was over; it was stopped.")
        if traffic.returncode:
            raise ValueError(f"the traffic failed: {traffic.stderr.read().strip()[-300:]}")
        return rows
    finally:
        traffic.kill()
        traffic.wait()
        traffic.stdin.close()
        traffic.stderr.close()


def _remove(folder):
    for _ in range(50):
        try:
            os.rmdir(folder)
            return
        except OSError as error:
            problem = error
            time.sleep(0.1)
    raise ValueError(f"{folder} could not be removed: {problem.strerror}.")
