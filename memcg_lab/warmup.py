"""Warm-up: the compiled kernels that the notebooks run, which of them are ready, and making the others so."""

import contextlib
import functools
import os
import subprocess
import sys

from . import _jit
from .files import DATA
from .hardware.counters import run_threads
from .hardware.race import need_hardware
from .machine.run import simulate
from .mechanism.policy import CAP_ONLY, UNCHARGE_ONLY, V4_13, V4_14, V6_1
from .system import System
from .traces.check import check_trace, trace_policy
from .traces.text import read_rows
from .workload import pingpong

MEMORY = 1 << 30  # bytes for each process that compiles; it takes up to two thirds of that


def _replay(policy):
    System.chain(depth=1, cpus=1, policy=policy).replay(pingpong(1))


def _sockets(policy):
    System.chain(depth=1, cpus=1, policy=policy, sockets=[1]).replay(pingpong(1))


def _step_through(policy):
    System.chain(depth=1, cpus=1, policy=policy).step_through(pingpong(1))


def _simulate(policy, record=0):
    simulate(System.chain(depth=1, cpus=1, policy=policy), pingpong(1), duration_ns=1000, record=record)


def _race(policy, **options):
    run_threads(policy, depth=1, threads=1, pairs=1, **options)


def _follow(policy):
    check_trace(read_rows(DATA / "kernel_traces" / "ab_post.csv.xz")[:8], policy)


def kernels():
    """Every kernel that a notebook runs as it is committed, as a call that needs it.

    Notebook 00 needs the first two; then come those that take longest to compile.
    """
    before_16, before_64 = (V4_13.with_rules(f"v4.13, batch {batch}", batch=batch) for batch in (16, 64))
    after_64 = V4_14.with_rules("v4.14, batch 64", batch=64)
    calls = [functools.partial(_replay, policy) for policy in (V4_13, V4_14)]
    calls += [functools.partial(_simulate, policy) for policy in (V4_13, V4_14, before_64, after_64)]
    calls += [functools.partial(_simulate, policy, record=100) for policy in (V4_13, V4_14)]  # the stage's lanes too
    calls += [functools.partial(_step_through, policy) for policy in (V4_13, V4_14, CAP_ONLY, UNCHARGE_ONLY)]
    others = CAP_ONLY, UNCHARGE_ONLY, V6_1, before_16, before_64, after_64
    calls += [functools.partial(_replay, policy) for policy in others]
    calls += [functools.partial(_sockets, policy) for policy in (V4_13, V4_14)]
    if DATA.is_dir():
        calls += [functools.partial(_follow, policy) for policy in (V6_1, trace_policy("v6.1", cap=False))]
    with contextlib.suppress(ValueError):  # no clock that real threads could use
        need_hardware()
        calls += [functools.partial(_race, V4_13, atomic=atomic) for atomic in (True, False)]
        calls += [functools.partial(_race, V4_14, think_ns=1)]
    return calls


def not_ready():
    """Those of them that would have to be compiled."""
    return [call for call in kernels() if not _jit.attempt(call)]


def warm_up(jobs=None):
    """Compile what the notebooks run, unless it is compiled already, with as many processes as there are CPUs.

    What another process compiles meanwhile is left to it, so several of them do no harm.

    Parameters
    ----------
    jobs : int, optional
        Processes; by default one a CPU, if there is memory for them.

    Examples
    --------
    >>> warm_up()  # doctest: +SKIP
    """
    missing = not_ready()
    jobs = min(len(missing), jobs or _processes())
    command = [sys.executable, "-c", "import memcg_lab; memcg_lab.warm_up(jobs=1)"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    others = [subprocess.Popen(command, **quiet) for _ in range(jobs - 1)]
    try:
        for may in (("compile",), ("compile", "wait")):  # the second time for what another process did not finish
            missing = [call for call in missing if not _jit.attempt(call, *may)]
    finally:
        for other in others:
            other.terminate()
            other.wait()


def _processes():
    """How many processes may compile at once."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return min(cpus, 4)
    return max(1, min(cpus, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEMORY))
