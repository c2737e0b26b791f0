"""The recorder: kprobes around one run of a workload, and what it left, as a trace without an address."""

import collections
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

from ..checks import one_of, whole_number
from ..traces.ftrace import PROBES
from ..traces.rows import write_rows
from ..traces.symbols import Symbols
from ..traces.text import open_trace
from .probes import Probes, disassembler, find_probes
from .vmlinux import text_address, unpack

LAB = pathlib.Path(__file__).resolve().parent / "image"
MODES = ("cross", "same", "rr")
CPUS_MAX, PAIRS_MAX, MIB_MAX = 16, 64, 512
CHUNK_MAX = 1 << 20  # bytes
BUFFER_KB = 16_384  # a CPU; 16 MiB hold about 130,000 events
TIME_LIMIT = 240  # seconds for one recording; the workload gives up after 120

Missing = namedtuple("Missing", "program package")
Missing.__doc__ = "A program that is not installed, and the Debian package that has it."
Ended = namedtuple("Ended", "status said")
Ended.__doc__ = "How a script ended: its exit status, and what it wrote, on one line."


@dataclass(frozen=True)
class Traffic:
    """What the workload sends over loopback.

    Attributes
    ----------
    mode : str
        ``cross`` (pair i sends from CPU i to CPU i + 1), ``same`` (within CPU i) or ``rr`` (each chunk is answered).
    pairs : int
        Connections, each with a sending and a receiving thread.
    mib : int
        MiB that each pair moves one way.
    chunk : int
        Bytes of one write.

    Raises
    ------
    ValueError
        If there is no such mode, or a number is out of range.

    Examples
    --------
    >>> Traffic(mib=4).command("workload")
    'workload cross 2 4 65536 0'
    """

    mode: str = "cross"
    pairs: int = 2
    mib: int = 8
    chunk: int = 65_536

    def __post_init__(self):
        one_of("traffic", self.mode, MODES)
        for name, highest in (("pairs", PAIRS_MAX), ("mib", MIB_MAX), ("chunk", CHUNK_MAX)):
            whole_number(name, getattr(self, name), 1, highest)

    def command(self, program, pause_us=0):
        """The words of `kernel_lab/image/workload.c`; the receiver sleeps ``pause_us`` microseconds after each read."""
        return f"{program} {self.mode} {self.pairs} {self.mib} {self.chunk} {pause_us}"


@dataclass(frozen=True)
class Recording:
    """One recording, and what it was made with.

    Attributes
    ----------
    trace : pathlib.Path
        The file with the rows.
    events : collections.Counter
        What it holds, by name.
    probes : Probes
    kernel : Kernel or None
        The one that was booted; None for the one that runs here.
    samples : pathlib.Path or None
        The cgroup's files beside a second run without probes, if a kernel was booted.
    seconds : float or None
        Wall-clock seconds of the boot that recorded.
    """

    trace: pathlib.Path
    events: collections.Counter
    probes: Probes
    kernel: Any = None
    samples: pathlib.Path | None = None
    seconds: float | None = None


# --- what a recording left -------------------------------------------------------------------------------------------
def losses(folder):
    """Events that a recording lost, in words; a probe that an interrupt meets again is missed.

    Parameters
    ----------
    folder : path
        With ``buffers.txt`` (ring buffers) and ``probes.txt`` (``kprobe_profile``), as ``record.sh`` leaves them.

    Returns
    -------
    list of str
    """
    folder, found = pathlib.Path(folder), []
    for line in (folder / "buffers.txt").read_text().splitlines():
        cpu, _, counts = line.partition(" ")
        name, _, value = counts.partition(":")
        if name != "entries" and value.strip() != "0":
            found.append(f"{cpu}: {name} {value.strip()}")
    for line in (folder / "probes.txt").read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[0] in PROBES and words[2] != "0":
            found.append(f"probe {words[0]}: {words[1]} hits, {words[2]} missed")
    return found


def convert(folder, out):
    """Convert what ``record.sh`` left in a folder into a file of rows; memory does not grow with it.

    Parameters
    ----------
    folder : path
        With ``kallsyms.txt``, ``trace.txt``, and what :func:`losses` reads.
    out : path
        ``.csv`` or ``.csv.xz``; that of an earlier recording is replaced.

    Returns
    -------
    collections.Counter
        Events by name.

    Raises
    ------
    ValueError
        If the recording lost events, holds none of the probes, or a line of theirs makes no sense. Nothing is written.
    """
    folder, counts = pathlib.Path(folder), collections.Counter()
    if lost := losses(folder):
        raise ValueError(
            f"the recording lost events ({'; '.join(lost)}): a trace with a gap says nothing. Record again."
        )
    trace = open_trace(folder / "trace.txt", folder / "kallsyms.txt")

    def rows():
        for block in trace.blocks:
            for row in trace.rows(block):
                counts[row.ev] += 1
                yield row

    write_rows(out, rows(), replace=True)
    return counts


# --- recording the kernel that runs here -----------------------------------------------------------------------------
def missing_here(tracefs="/sys/kernel/tracing", cgroup="/sys/fs/cgroup", root=None):
    """What this machine lacks to record its own kernel, as sentences; empty if all is there.

    Only looks; changes nothing.

    Parameters
    ----------
    tracefs, cgroup : path, optional
        Where tracefs and cgroup v2 are mounted.
    root : bool, optional
        Whether we are root; found out if not given.
    """
    if platform.system() != "Linux":
        return [f"this is {platform.system()}, not Linux"]
    found = []
    if root is None:
        root = os.geteuid() == 0
    if not root:
        found.append("you are not root; probes need it")
    if platform.machine() != "x86_64":
        found.append(f"this is {platform.machine()}; the probes are written for x86_64")
    tracefs, cgroup = pathlib.Path(tracefs), pathlib.Path(cgroup)
    if not (tracefs / "kprobe_events").exists():
        why = "not readable, or not mounted, or a kernel without kprobes" if root else "perhaps only for want of root"
        found.append(f"no kprobe_events in {tracefs} ({why})")
    if not (cgroup / "cgroup.controllers").exists():
        found.append(f"{cgroup} is not cgroup v2")
    elif "memory" not in (cgroup / "cgroup.subtree_control").read_text().split():
        found.append(f"{cgroup} does not give the memory controller to its children (cgroup.subtree_control)")
    lacking = missing_programs("gcc objdump")
    return found + [f"the program {one.program} is missing (package {one.package})" for one in lacking]


PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "gcc": "gcc, libc6-dev",
    "objdump": "binutils",
    "cpio": "cpio",
    "lz4": "lz4",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
    "timeout": "coreutils",
}


def missing_programs(names):
    """Programs that are not installed.

    Parameters
    ----------
    names : str
        Separated by blanks.

    Returns
    -------
    list of Missing
    """
    return [Missing(name, PACKAGES[name]) for name in names.split() if not shutil.which(name)]


def compile_workload(out, static):
    """Compile ``kernel_lab/image/workload.c``.

    Parameters
    ----------
    out : path
        The program to write.
    static : bool
        True for a machine without a C library.

    Raises
    ------
    ValueError
        If the compiler complains; usually the static C library is missing.
    """
    command = ["gcc", "-O2", "-pthread", *(["-static"] if static else []), "-o", str(out), str(LAB / "workload.c")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise ValueError(f"the workload cannot be compiled (packages gcc, libc6-dev): {done.stderr.strip()[:300]}")


def record_here(out, traffic, tracefs="/sys/kernel/tracing", cgroup="/sys/fs/cgroup"):
    """Record the kernel that runs here, while our workload runs in a cgroup of its own.

    Every charge on the machine is seen while it runs, not only ours. What leaves the kernel is deleted again but for
    the rows, which hold no address, process name or process id.

    Parameters
    ----------
    out : path
        File to write, ``.csv`` or ``.csv.xz``.
    traffic : Traffic
    tracefs, cgroup : path, optional
        Where tracefs and cgroup v2 are mounted.

    Returns
    -------
    Recording

    Raises
    ------
    ValueError
        If something is missing, or the recording failed. No probe, trace instance or cgroup stays behind, nor does
        any after Ctrl-C; if one cannot be removed, the message names it.
    """
    if lacking := missing_here(tracefs, cgroup):
        raise ValueError("this kernel cannot be recorded: " + "; ".join(lacking) + ".")
    out = pathlib.Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    symbols = Symbols(pathlib.Path("/proc/kallsyms").read_text())
    with tempfile.TemporaryDirectory(prefix="memcg-lab-") as name:
        folder = pathlib.Path(name)
        probes = find_probes(symbols, _running_kernel(symbols, folder / "vmlinux"))
        (folder / "kprobes").write_text("\n".join(probes.lines) + "\n")
        compile_workload(folder / "workload", static=False)
        settings = {
            "TRACEFS": str(tracefs),
            "CGROUP": str(cgroup),
            "TOP": "memcg_lab",
            "PROBES": str(folder / "kprobes"),
            "BUFFER_KB": str(BUFFER_KB),
            "RUN": traffic.command(shlex.quote(str(folder / "workload"))),
            "OUT": name,
        }
        ended = run_script(["sh", str(LAB / "record.sh"), "record"], settings)
        if ended.status:
            raise ValueError(f"the recording failed (status {ended.status}): {ended.said}")
        return Recording(out, convert(folder, out), probes)


def run_script(command, settings, seconds=TIME_LIMIT):
    """Run a recording; on Ctrl-C, or when its time is over, let it clean up before it ends.

    Parameters
    ----------
    command : list of str
    settings : dict of str to str
        Added to the environment.
    seconds : float, optional

    Returns
    -------
    Ended

    Raises
    ------
    ValueError
        If its time is over.
    """
    process = subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    except BaseException as error:
        process.terminate()
        said, _ = process.communicate()  # its clean-up is bounded: two folders, five seconds each
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise ValueError(f"the recording took more than {seconds} s and was stopped. {_one_line(said)}") from None
    return Ended(process.returncode, _one_line(said))


def _one_line(text):
    return " ".join(text.split())


def _running_kernel(symbols, scratch):
    """Instructions of the running kernel, from its image in /boot; a reader that finds nothing if that is not there."""
    image = pathlib.Path("/boot") / f"vmlinuz-{platform.release()}"
    try:
        elf = unpack(image.read_bytes(), image.name)
        shift = symbols.functions["_text"] - text_address(elf)
    except (OSError, ValueError, KeyError) as error:
        why = str(error)

        def instructions(function):
            raise LookupError(f"the machine code of this kernel cannot be read ({why})")

        return instructions
    scratch.write_bytes(elf)
    return disassembler(scratch, symbols, shift)
