"""The machine you sit at: which CPUs there are, how they lie to each other, and what the system says about itself."""

import functools
import os
import pathlib
import platform
import subprocess

CPU_FOLDER = pathlib.Path("/sys/devices/system/cpu")
CPUINFO = pathlib.Path("/proc/cpuinfo")


def usable_cpus():
    """Numbers of the CPUs that this process may run on, ascending."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(cpu):
    """Keep the calling thread on one CPU; False where the system cannot or will not."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:
        return False
    return True


def places(cpus, folder=CPU_FOLDER):
    """Where each CPU is, as the system tells: ``{cpu: (socket, core)}``, or None if it does not tell.

    A virtual machine tells what its hypervisor invents.
    """
    found = {}
    for cpu in cpus:
        topology = folder / f"cpu{cpu}" / "topology"
        try:
            socket = int((topology / "physical_package_id").read_text())
            siblings = (topology / "thread_siblings_list").read_text().strip()
        except (OSError, ValueError):
            return None
        found[cpu] = (socket, siblings)
    return found


def spread_out(cpus, where):
    """The CPUs in the order in which threads should take them: first one of each core, then the siblings."""
    if where is None:
        return list(cpus)
    rank, taken = {}, {}
    for cpu in cpus:
        rank[cpu] = taken.get(where[cpu], 0)
        taken[where[cpu]] = rank[cpu] + 1
    return sorted(cpus, key=lambda cpu: (rank[cpu], cpu))


def ordered_cpus():
    """CPUs of this process in the order in which threads take them: distinct cores first, where the system tells."""
    return list(_ordered(tuple(usable_cpus())))


@functools.lru_cache(maxsize=8)
def _ordered(cpus):
    return spread_out(cpus, places(cpus))


def pairs_by_distance(cpus, where, most=8):
    """Pairs of CPUs between which a line travels: ``{"smt": [...], "same": [...], "cross": [...]}``.

    smt: two threads of one core. same: two cores of one socket. cross: two sockets. At most ``most`` of each, evenly
    taken. If the system does not tell, every pair counts as "same".
    """
    found = {"smt": [], "same": [], "cross": []}
    for one in cpus:
        for other in cpus:
            if one < other:
                a, b = (where[one], where[other]) if where else ((0, one), (0, other))
                found["smt" if a == b else "same" if a[0] == b[0] else "cross"].append((one, other))
    return {kind: pairs[:: max(1, -(-len(pairs) // most))] for kind, pairs in found.items()}


def load_average():
    """Processes that ran or waited to run, mean of the last minute; None where the system does not count them."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def describe():
    """The machine as a dict: what the system tells about it, and None for what it does not tell."""
    cpus = usable_cpus()
    where = places(cpus)
    sockets = {socket for socket, _ in where.values()} if where else None
    cores = set(where.values()) if where else None
    return {
        "model": _model(),
        "cpus": len(cpus),
        "cpus_online": os.cpu_count(),
        "threads_per_core": max(list(where.values()).count(core) for core in cores) if where else None,
        "cores_per_socket": max(sum(core[0] == s for core in cores) for s in sockets) if where else None,
        "sockets": len(sockets) if where else None,
        "virtual": _virtual(),
        "os": platform.system(),
        "arch": platform.machine(),
    }


def _cpuinfo(field):
    """Value of the first line of /proc/cpuinfo with this name, or None."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field)
    return next(found, None)


def _sysctl(name):
    """What macOS answers about itself, or None."""
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _model():
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string") or "not told"
    if platform.system() == "Linux":
        part = _cpuinfo("CPU part")  # arm64 names no model, only numbers
        return (
            _cpuinfo("model name")
            or (f"implementer {_cpuinfo('CPU implementer')}, part {part}" if part else None)
            or "not told"
        )
    return platform.processor() or "not told"


def _virtual():
    """True in a virtual machine, False outside one, None if the system does not tell."""
    if platform.system() == "Darwin":
        answer = _sysctl("kern.hv_vmm_present")
        return bool(int(answer)) if answer in ("0", "1") else None
    flags = _cpuinfo("flags")  # x86-64 only
    return "hypervisor" in flags.split() if flags else None
