"""The recorder: kprobes around one run of a workload, and the kernel's trace as rows without an address."""

import collections
import csv
import lzma
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

from .probes import Symbols, disassembler, find_probes
from .vmlinux import text_address, unpack

LAB = pathlib.Path(__file__).resolve().parent / "image"
COLUMNS = ("cpu", "t_us", "pid", "softirq", "ev", "memcg", "nr", "cached", "avail", "cause")
MODES = ("cross", "same", "rr")
CPUS_MAX, PAIRS_MAX, MIB_MAX = 16, 64, 512
BUFFER_KB = 16_384  # a CPU; 16 MiB hold about 130,000 events
TIME_LIMIT = 240  # seconds for one recording; the workload gives up after 120

_LINE = re.compile(r"-(\d+) +\[(\d+)\] +(\S+) +(\d+)\.(\d{6}): (\w+): \(.*?\) ?(.*)$")


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
        If a number is out of range.

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
        if self.mode not in MODES:
            raise ValueError(f"traffic is {self.mode!r}; it is one of {', '.join(MODES)}.")
        for name, highest in (("pairs", PAIRS_MAX), ("mib", MIB_MAX), ("chunk", 1 << 20)):
            value = getattr(self, name)
            if not 1 <= value <= highest:
                raise ValueError(f"{name} is {value:,}; allowed are 1 to {highest:,}.")

    def command(self, program, pause_us=0):
        """The words of `kernel_lab/image/workload.c`; the receiver sleeps ``pause_us`` microseconds after each read."""
        return f"{program} {self.mode} {self.pairs} {self.mib} {self.chunk} {pause_us}"


# --- the kernel's trace as rows --------------------------------------------------------------------------------------
def rows_of(trace, symbols):
    """Turn the text of ``trace`` into rows: no address, no process name and no process id is left in them.

    Cgroups and processes become small integers in the order in which they appear; 0 is none.

    Parameters
    ----------
    trace : iterable of str
        Lines of tracefs ``trace``; those of other events are passed over.
    symbols : Symbols
        Of the kernel that ran, to name callers.

    Returns
    -------
    list of tuple
        One tuple of `COLUMNS` an event. Unknown fields are "": with probes at entries only, a ``refill`` has no state.

    Raises
    ------
    ValueError
        If a line of ours has a field that is no number, or lacks one.

    Notes
    -----
    ``softirq`` is taken from the latency flags, which a probe inside an interrupts-off section may mask.

    Examples
    --------
    >>> symbols = Symbols("ffffffff81000000 T mem_cgroup_uncharge_skmem")
    >>> line = " sender-42 [001] d.s1. 7.000100: unc: (mem_cgroup_uncharge_skmem+0x0/0x90) memcg=0xffff888 nr=2"
    >>> rows_of([line], symbols)
    [(1, 0, 1, 1, 'unc', 1, 2, '', '', '')]
    """
    return rows_of_events(list(parsed_events(trace)), symbols)


def rows_of_events(events, symbols):
    """The same from parsed events."""
    if not events:
        return []
    owner = _owner(events)
    first, inside = events[0].us, any(event.name == "refin" for event in events)
    cgroups, processes = _Numbers(), _Numbers()
    socket_call = {}  # by (cpu, pid): the socket call last entered, with its arguments
    causes = collections.defaultdict(list)  # by (cpu, pid): refills entered and not yet seen inside; interrupts nest

    rows = []
    for event in events:
        name, d, who = event.name, event.fields, (event.cpu, event.pid)

        def row(ev, memcg="", nr="", cached="", avail="", cause="", event=event):
            times = event.us - first, processes[event.pid], event.softirq
            rows.append((event.cpu, *times, ev, memcg, nr, cached, avail, cause))

        try:
            if name in ("chg", "unc"):
                row(name, cgroups[d["memcg"]], d["nr"])
                socket_call[who, name] = d["memcg"], d["nr"]
            elif name == "tryc":
                from_socket = socket_call.pop((who, "chg"), None) == (d["memcg"], d["nr"])
                row("try", cgroups[d["memcg"]], d["nr"], cause="skmem" if from_socket else "other")
            elif name == "cons":
                row("cons", cgroups[d["memcg"]], d["nr"], cgroups[d["cached"]], d["avail"])
            elif name == "refill":
                caller, asked = symbols.name(d["caller"]), (d["memcg"], d["nr"])
                if caller == "try_charge_memcg":
                    caller = "surplus"
                elif socket_call.pop((who, "unc"), None) == asked:
                    caller = "skmem"
                if inside:
                    causes[who].append((asked, caller))
                else:
                    row("refill", cgroups[d["memcg"]], d["nr"], cause=caller)
            elif name == "refe":
                caller = symbols.name(d["caller"])
                if caller != "refill_stock":
                    causes[who].append(((d["memcg"], d["nr"]), caller))
            elif name == "refin":
                cause = _matching(causes[who], (d["memcg"], d["nr"]))
                row("refill", cgroups[d["memcg"]], d["nr"], cgroups[d["cached"]], d["avail"], cause)
            elif name == "drain":
                caller = symbols.name(d["caller"])
                if caller not in ("__refill_stock", "refill_stock"):  # those follow from the refill itself
                    row("drain", "", "", cgroups[d["cached"]], d["avail"], caller)
            elif name == "pctry":
                if (memcg := owner(d["c"])) is not None:
                    row("pctry", cgroups[memcg], d["nr"])
            elif name == "pctryr":
                if d["ret"] == 0:
                    row("pctryfail")
            elif name == "pcunc":
                caller = symbols.name(d["caller"])
                if caller == "mem_cgroup_uncharge_skmem":
                    socket_call.pop((who, "unc"), None)
                if (memcg := owner(d["c"])) is not None:
                    row("pcunc", cgroups[memcg], d["nr"], cause="stock" if caller == "drain_stock" else caller)
        except KeyError as error:
            raise ValueError(f"trace, line {event.line}: the probe {name} has no field {error}.") from None
    return rows


class _Numbers(dict):
    """Small integers in order of first appearance; 0 stays 0."""

    def __init__(self):
        super().__init__({0: 0})

    def __missing__(self, key):
        self[key] = len(self)
        return self[key]


_Event = collections.namedtuple("_Event", "line cpu pid softirq us name fields")
_OURS = {"chg", "unc", "tryc", "cons", "refill", "refe", "refin", "drain", "pctry", "pctryr", "pcunc"}


def parsed_events(trace):
    """Our events among the lines of a trace: line, cpu, pid, softirq, us, name and fields of each."""
    for number, text in enumerate(trace, 1):
        match = _LINE.search(text)
        if not match or match[6] not in _OURS:
            continue
        pid, cpu, flags, seconds, micros, name, arguments = match.groups()
        try:
            fields = {key: int(value, 0) for key, value in (word.split("=") for word in arguments.split())}
        except ValueError:
            raise ValueError(f"trace, line {number}: {arguments!r} is not a list of name=number.") from None
        # Flags: irqs-off, need-resched, hardirq/softirq, depth. "s" softirq, "H" hardirq within one.
        softirq = int(len(flags) > 2 and flags[2] in "sH")
        yield _Event(number, int(cpu), int(pid), softirq, int(seconds) * 1_000_000 + int(micros), name, fields)


def _owner(events):
    """From the address of a counter to that of its cgroup; None for counters that are not ``memcg->memory``.

    Where the counter lies within the cgroup differs from build to build. A charge enters with the cgroup and goes on
    with its counter, so the trace itself tells: it is the most frequent distance between the two.
    """
    asked, distances, known = {}, collections.Counter(), set()
    for event in events:
        known.update(value for key, value in event.fields.items() if key in ("memcg", "cached"))
        if event.name == "tryc":
            asked[event.pid] = event.fields.get("memcg")
        elif event.name == "pctry" and (memcg := asked.pop(event.pid, None)) and "c" in event.fields:
            distances[event.fields["c"] - memcg] += 1
    offset = distances.most_common(1)[0][0] if distances else None

    def owner(counter):
        memcg = counter - offset if offset is not None else None
        return memcg if memcg in known else None

    return owner


def _matching(causes, asked):
    """Take the last refill entered with these arguments off the pile; what lies above was never seen inside."""
    for place in range(len(causes) - 1, -1, -1):
        if causes[place][0] == asked:
            cause = causes[place][1]
            del causes[place:]
            return cause
    return "unknown"


def write_rows(path, rows):
    """Write rows as ``.csv`` or ``.csv.xz``."""
    opened = lzma.open if str(path).endswith(".xz") else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


# --- what a recording left -------------------------------------------------------------------------------------------
def losses(folder):
    """Events that a recording lost, as sentences: a trace with losses cannot be predicted wholly.

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
        if len(words) == 3 and words[0] in _OURS and words[2] != "0":
            found.append(f"probe {words[0]}: {words[1]} hits, {words[2]} missed")
    return found


def convert(folder, out):
    """Convert what ``record.sh`` left in a folder into a file of rows.

    Returns
    -------
    rows : list of tuple
        What was written.
    lost : list of str
        As from `losses`.
    """
    folder = pathlib.Path(folder)
    symbols = Symbols((folder / "kallsyms.txt").read_text())
    with open(folder / "trace.txt", encoding="utf-8", errors="replace") as trace:
        rows = rows_of(trace, symbols)
    if not rows:
        raise ValueError("the trace holds no event of the probes: nothing was charged while the workload ran.")
    write_rows(out, rows)
    return rows, losses(folder)


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
    found += [f"the program {name} is missing (package {package})" for name, package in missing_programs("gcc objdump")]
    return found


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
    """(program, Debian package) of each program that is not installed."""
    return [(name, PACKAGES[name]) for name in names.split() if not shutil.which(name)]


def compile_workload(out, static):
    """Compile ``kernel_lab/image/workload.c``.

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
    rows : list of tuple
    lost : list of str
    probes : Probes

    Raises
    ------
    ValueError
        If something is missing, or the recording failed. No probe, trace instance or cgroup stays behind, nor does
        any after Ctrl-C; if one cannot be removed, the message names it.
    """
    if lacking := missing_here(tracefs, cgroup):
        raise ValueError("this kernel cannot be recorded: " + "; ".join(lacking) + ".")
    pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
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
        status, said = run_script(["sh", str(LAB / "record.sh"), "record"], settings)
        if status:
            raise ValueError(f"the recording failed (status {status}): {said}")
        rows, lost = convert(folder, out)
    return rows, lost, probes


def run_script(command, settings, seconds=TIME_LIMIT):
    """Run a recording; on Ctrl-C, or when its time is over, let it clean up before it ends.

    Returns
    -------
    status : int
    said : str
        What it wrote, on one line.
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
    return process.returncode, _one_line(said)


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
