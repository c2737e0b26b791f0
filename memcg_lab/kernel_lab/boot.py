"""A real kernel of the distribution, booted in QEMU without KVM, recorded and brought back as a trace."""

import contextlib
import gzip
import lzma
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass

from ..checks import whole_number
from ..host.cgroupfs import Sample, Samples, sample_fields
from ..traces.check import check_files
from ..traces.symbols import Symbols
from .probes import disassembler, find_probes
from .recorder import (
    BUFFER_KB,
    CPUS_MAX,
    LAB,
    Recording,
    Traffic,
    compile_workload,
    convert,
    missing_programs,
    record_here,
)
from .vmlinux import text_address, unpack

KERNEL = "linux-image-cloud-amd64"  # Debian's kernel for virtual machines: small, and with kprobes
PROGRAMS = "qemu-system-x86_64 busybox gcc objdump cpio lz4 dpkg-deb timeout"  # Debian packs its 6.1 with lz4
MODULES = "virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk"
BOOT_LIMIT, TASK_LIMIT = 60, 240  # seconds until the kernel is up, and then until its task is done
ATTEMPTS = 3  # about one boot in 60 hung or crashed under load
MEMORY_MIB, DISK_MIB = 1024, 512


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package.

    Attributes
    ----------
    package : str
        Name of the ``.deb`` without its ending: package, version and architecture.
    release : str
        What ``uname -r`` says in it.
    folder : pathlib.Path
        Where it is unpacked, within the build folder.
    """

    package: str
    release: str
    folder: pathlib.Path

    @property
    def image(self):
        """The bootable image."""
        return self.folder / "boot" / f"vmlinuz-{self.release}"


def missing_packages():
    """What is not installed and is needed to boot a kernel: a list of `Missing`.

    ``apt-get`` is needed too, unless the kernel is given as a file.
    """
    return missing_programs(PROGRAMS)


def record(build, kernel=KERNEL, traffic=None, cpus=2, say=print):
    """Boot a kernel, run the workload in the cgroup ``/a/b``, and bring its trace back.

    Everything is written into the build folder. The machine has no network device, and nothing of the host.

    Parameters
    ----------
    build : path
        A folder; made if it is not there. What it holds is used again: packages, unpacked kernels, their symbols.
    kernel : str, optional
        A Debian package that ``apt-get download`` finds, or a ``.deb`` file of a kernel.
    traffic : Traffic, optional
    cpus : int, optional
        1 to 16.
    say : callable, optional
        Gets a line of progress at a time.

    Returns
    -------
    Recording

    Raises
    ------
    ValueError
        If something is missing, a download fails, the kernel does not come up, or the recording fails.
    """
    traffic = traffic or Traffic()
    cpus = whole_number("cpus", cpus, 1, CPUS_MAX)
    if missing := missing_packages():
        packages = " ".join(dict.fromkeys(one.package for one in missing)).replace(",", "")
        raise ValueError(
            f"these programs are missing: {', '.join(one.program for one in missing)}. "
            f"On Debian: apt-get install --no-install-recommends {packages}"
        )
    build = pathlib.Path(build).resolve()
    build.mkdir(parents=True, exist_ok=True)
    with _alone(build):
        return _record_in(build, kernel, traffic, cpus, say)


@contextlib.contextmanager
def _alone(build):
    """Nobody else works in this folder meanwhile; ValueError if somebody does."""
    import fcntl  # not on Windows, where the programs that boot a kernel are missing too

    with open(build / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{build}: another recording works in this folder; wait for it, or use another.") from None
        yield


def _record_in(build, kernel, traffic, cpus, say):
    system = unpacked(fetched(build, kernel, say), build)
    say(f"kernel {system.release} ({system.package})")
    compile_workload(build / "workload", static=True)

    vmlinux = system.folder / "vmlinux"
    if not vmlinux.exists():
        _write(vmlinux, unpack(system.image.read_bytes(), system.image.name))
    listing = system.folder / "kallsyms.txt"
    if not listing.exists():
        seconds = boot(build, system, {"TASK": "symbols"}, cpus, say)
        _write(listing, (build / "out" / "kallsyms.txt").read_bytes())
        say(f"booted for its symbols in {seconds:.0f} s; they are kept")
    symbols = Symbols(listing.read_text())
    shift = symbols.functions.get("_text", 0) - text_address(vmlinux.read_bytes())
    probes = find_probes(symbols, disassembler(vmlinux, symbols, shift))
    if not probes.complete:
        say(f"the stock cannot be read: {probes.why}. Recording with probes at entries only")

    settings = {
        "TASK": "record",
        "BUFFER_KB": BUFFER_KB,
        "RUN": traffic.command("workload"),
        "RUN_SLOWLY": traffic.command("workload", pause_us=4000),
    }
    seconds = boot(build, system, settings, cpus, say, probes.lines)
    out = build / "out"
    said = " ".join((out / "record.log").read_text().split())
    if (out / "status").read_text().strip() != "0":
        raise ValueError(f"the recording in the booted kernel failed: {said}")
    left = ((out / "left.txt").read_text() + (out / "probes_left.txt").read_text()).split()
    if left != ["0"]:
        raise ValueError(f"the recording left something behind in the booted kernel: {left}")
    say(f"booted and recorded in {seconds:.0f} s: {said}")

    trace = build / f"{system.release}-{traffic.mode}.csv.xz"
    if trace.exists():
        say(f"{trace.name} of an earlier recording is replaced")
    events = convert(out, trace)
    samples = build / f"{system.release}-{traffic.mode}-cgroup.csv"
    source = f"recorded {time.strftime('%Y-%m-%d')}: cgroup /a/b of {system.package}, booted in QEMU"
    samples_of((out / "samples.txt").read_text(), source).save(samples, replace=True)
    return Recording(trace, events, probes, system, samples, seconds)


# --- the kernel package ----------------------------------------------------------------------------------------------
def fetched(build, kernel, say=print):
    """The ``.deb`` of a kernel: a file as it is, a package's name by ``apt-get download`` into the build folder.

    Raises
    ------
    ValueError
        If there is no such package, or it cannot be downloaded.
    """
    if kernel.endswith(".deb"):
        if not pathlib.Path(kernel).is_file():
            raise ValueError(f"{kernel}: no such file.")
        return pathlib.Path(kernel).resolve()
    if missing_programs("apt-get"):
        raise ValueError("apt-get is missing; give a kernel's .deb file instead (--kernel FILE.deb).")
    packages = pathlib.Path(build) / "packages"
    packages.mkdir(exist_ok=True)
    name = _real_package(kernel)
    for attempt in (1, 2):
        if found := sorted(packages.glob(f"{name}_*.deb")):
            return found[-1]
        if attempt == 1:
            say(f"downloading {name}")
        done = _run(["apt-get", "download", "-q", name], 600, cwd=packages)
        if done.returncode == 0:
            continue
        if attempt == 1:
            time.sleep(2)
    raise ValueError(
        f"{name} cannot be downloaded. Does `apt-get update` work, and does the package exist here? apt-get said: "
        f"{_last(done.stderr)}"
    )


def _real_package(name):
    """The package with the kernel in it; linux-image-cloud-amd64 and the like only depend on the newest one."""
    done = _run(["apt-cache", "depends", name], 60)
    if done.returncode or not done.stdout.strip():
        raise ValueError(f"apt knows no package {name!r}. On Debian, `apt-get update` first.")
    for line in done.stdout.splitlines():
        word, _, other = line.strip().partition(": ")
        if word == "Depends" and other.startswith("linux-image-"):
            return other
    return name


def unpacked(deb, build):
    """Unpack a kernel's ``.deb`` into the build folder, once.

    Raises
    ------
    ValueError
        If the file is no Debian package, or there is no kernel image in it.
    """
    kernels = pathlib.Path(build) / "kernels"
    kernels.mkdir(exist_ok=True)
    folder = kernels / deb.stem
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=kernels) as scratch:
            done = _run(["dpkg-deb", "-x", str(deb), scratch + "/whole"], 300)
            if done.returncode:
                raise ValueError(f"{deb}: cannot be unpacked: {_last(done.stderr)}")
            (pathlib.Path(scratch) / "whole").rename(folder)
    images = sorted((folder / "boot").glob("vmlinuz-*"))
    if not images:
        raise ValueError(f"{deb}: no boot/vmlinuz in it. Kernels that come in several packages cannot be used here.")
    return Kernel(deb.stem, images[0].name.removeprefix("vmlinuz-"), folder)


# --- booting ---------------------------------------------------------------------------------------------------------
def boot(build, kernel, settings, cpus=2, say=print, probes=()):
    """Boot once, let the init script do its task, and unpack what it wrote into ``build/out``.

    A kernel that does not come up within 60 s, or whose task does not end, is stopped and booted anew, twice at most.

    Parameters
    ----------
    build : pathlib.Path
    kernel : Kernel
    settings : dict
        Read by ``image/init``: TASK and what belongs to it.
    cpus : int, optional
    say : callable, optional
    probes : iterable of str, optional

    Returns
    -------
    float
        Seconds that the successful boot took, from start to power-off.

    Raises
    ------
    ValueError
        If it failed each time; with the last lines of its console. A failed boot's whole console is kept in
        ``console-of-a-failed-boot.txt``.
    """
    _pack(build / "initrd.gz", kernel, build / "workload", settings, probes)
    for attempt in range(1, ATTEMPTS + 1):
        start = time.monotonic()
        trouble = _boot_once(build, kernel, cpus)
        if not trouble:
            return time.monotonic() - start
        shutil.copy(build / "console.txt", build / "console-of-a-failed-boot.txt")
        say(f"boot {attempt} of {ATTEMPTS}: {trouble}")
    console = (build / "console.txt").read_text(errors="replace").split("\n")
    raise ValueError(
        f"the kernel could not be used in {ATTEMPTS} boots; the last one: {trouble}. Its console ends with: "
        + " / ".join(line.strip() for line in console[-6:] if line.strip())
    )


def _boot_once(build, kernel, cpus):
    """Boot; what went wrong, or an empty string."""
    console, disk, out = build / "console.txt", build / "disk.raw", build / "out"
    shutil.rmtree(out, ignore_errors=True)
    console.write_bytes(b"")
    try:
        with open(disk, "wb") as file:
            file.truncate(DISK_MIB << 20)
        trouble = _watch(_qemu(build, kernel, cpus, console, disk), console)
        if trouble:
            return trouble
        out.mkdir()
        try:
            with tarfile.open(disk, "r:") as tar:
                for member in filter(tarfile.TarInfo.isfile, tar):
                    (out / pathlib.PurePath(member.name).name).write_bytes(tar.extractfile(member).read())
        except tarfile.TarError as error:
            return f"what it wrote cannot be read ({error})"
        return ""
    finally:
        disk.unlink(missing_ok=True)


def _qemu(build, kernel, cpus, console, disk):
    """Command line of the machine: no network device, no display, one disk that is thrown away."""
    return [
        # `timeout` ends the machine even if this process is killed.
        *("timeout", "--kill-after=5", str(BOOT_LIMIT + TASK_LIMIT + 10)),
        # 6.12 crashed under QEMU 7.2 in 4 boots of 5, right after a cmpxchg16b and with a broken flags register;
        # without that instruction in none of 6.
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "pc", "-cpu", "max,cx16=off"),
        *("-smp", str(cpus), "-m", str(MEMORY_MIB)),
        *("-nodefaults", "-no-user-config", "-nic", "none", "-display", "none", "-no-reboot"),
        *("-kernel", str(kernel.image), "-initrd", str(build / "initrd.gz")),
        # Without kaslr its addresses are the same in each boot, so the symbols of the first one hold.
        *("-append", "console=ttyS0 quiet nokaslr panic=-1 mitigations=off"),
        *("-serial", f"file:{console}".replace(",", ",,")),
        *("-drive", f"file={str(disk).replace(',', ',,')},format=raw,if=virtio,cache=unsafe"),
    ]


def _watch(command, console, boot_limit=None, task_limit=None):
    """Run the machine until it stops by itself or its time is over; what went wrong, or an empty string."""
    boot_limit, task_limit = boot_limit or BOOT_LIMIT, task_limit or TASK_LIMIT
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        start, booted = time.monotonic(), None
        while process.poll() is None:
            now = time.monotonic()
            if booted is None and b"MEMCG_LAB BOOTED" in console.read_bytes():
                booted = now
            if booted is None and now - start > boot_limit:
                return f"not up after {boot_limit} s"
            if booted is not None and now - booted > task_limit:
                return f"up, but not done {task_limit} s later"
            time.sleep(0.1)
        if b"MEMCG_LAB DONE" in console.read_bytes():
            return ""
        said = _last(process.stderr.read().decode(errors="replace"))
        return f"the machine stopped before it was done (status {process.returncode}: {said})"
    finally:
        process.terminate()  # `timeout` hands this on
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()


def _pack(initrd, kernel, workload, settings, probes):
    """Write the initial RAM disk: busybox, the workload, the scripts, the modules of the disk."""
    with tempfile.TemporaryDirectory(dir=initrd.parent) as scratch:
        root = pathlib.Path(scratch)
        for folder in ("bin", "lab", "modules"):
            (root / folder).mkdir()
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        shutil.copy(workload, root / "bin" / "workload")
        shutil.copy(LAB / "init", root / "init")
        (root / "init").chmod(0o755)
        shutil.copy(LAB / "record.sh", root / "lab" / "record.sh")
        (root / "lab" / "probes.txt").write_text("".join(line + "\n" for line in probes))
        lines = [f"export {name}='{value}'\n" for name, value in settings.items()]
        (root / "lab" / "settings").write_text("".join(lines))
        for name in MODULES.split():
            for path in kernel.folder.rglob(f"{name}.ko*"):
                content = path.read_bytes()
                content = lzma.decompress(content) if path.suffix == ".xz" else content
                (root / "modules" / f"{name}.ko").write_bytes(content)
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        packed = subprocess.run(
            ["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(), cwd=root, capture_output=True, check=True
        )
        _write(initrd, gzip.compress(packed.stdout, 1))


def samples_of(text, source):
    r"""The cgroup's files as the init script wrote them down, one block a moment.

    Parameters
    ----------
    text : str
    source : str
        For the samples.

    Returns
    -------
    Samples

    Examples
    --------
    >>> block = "at 3.50\ncurrent 8192\nsock 4096\nlow 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"
    >>> samples_of(block, "an example").rows
    [Sample(t_ms=0.0, current=8192, sock=4096, low=0, high=0, max=0, oom=0, oom_kill=0)]
    """
    rows, first = [], None
    for block in re.split(r"^at ", text, flags=re.MULTILINE)[1:]:
        uptime, _, files = block.partition("\n")
        first = float(uptime) if first is None else first
        counts = sample_fields(files)
        if counts is not None:
            rows.append(Sample(round(1000 * (float(uptime) - first), 1), *counts))
    return Samples(rows, source)


# --- small things ----------------------------------------------------------------------------------------------------
def _run(command, seconds, cwd=None):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=cwd, check=False)
    except FileNotFoundError:
        raise ValueError(f"the program {command[0]} is missing.") from None
    except subprocess.TimeoutExpired:
        raise ValueError(f"{' '.join(command[:2])} took more than {seconds} s and was stopped.") from None


def _last(text):
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing"


def _write(path, content):
    """Write a file whole or not at all: it is used again later."""
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(content)
    scratch.rename(path)


# --- the command -----------------------------------------------------------------------------------------------------
def kernel_lab(build, kernel=KERNEL, traffic=None, cpus=2, native=False):
    """Record a kernel, print what was recorded, and check the trace.

    Returns
    -------
    int
        0 if the trace was recorded and, where the stock was read, wholly predicted; else 1.
    """
    with _ending_in_order():
        try:
            made = _record(build, kernel, traffic or Traffic(), cpus, native)
        except OSError as error:
            raise ValueError(f"{error.filename or build}: {error.strerror or error}.") from None
    inside = [line.split()[1] for line in made.probes.lines if "+" in line.split()[1]]
    print("probes inside:", ", ".join(inside) if made.probes.complete else f"none ({made.probes.why})")
    print("events:", ", ".join(f"{name} {count:,}" for name, count in sorted(made.events.items())))
    print("trace:", made.trace)
    if made.samples:
        print("cgroup files:", made.samples)
    if not made.probes.complete:
        print("check: not done, the trace does not hold the stock")
        return 0
    return check_files([str(made.trace)], "v6.1")


def _record(build, kernel, traffic, cpus, native):
    """The recording of the booted kernel, or of this one."""
    if native:
        out = pathlib.Path(build) / f"native-{traffic.mode}.csv.xz"
        if out.exists():
            print(f"{out.name} of an earlier recording is replaced", flush=True)
        return record_here(out, traffic)
    return record(build, kernel, traffic, cpus, say=lambda line: print(line, flush=True))


@contextlib.contextmanager
def _ending_in_order():
    """Whatever ends this process, let it clean up first, and end without a traceback."""
    numbers = [signal.SIGINT, signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])
    before = {number: signal.signal(number, lambda number, frame: sys.exit(128 + number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
