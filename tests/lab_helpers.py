"""Small things the tests of the mechanism share."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from numba import config, njit

from memcg_lab import V4_13, V4_14, System, _jit, mixed
from memcg_lab.mechanism import records
from memcg_lab.mechanism.memcontrol import cancel_charge
from memcg_lab.mechanism.stock_v4_13 import refill_stock
from memcg_lab.workload import draws, sizes

ROOT = pathlib.Path(__file__).resolve().parents[1]
GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "data" / "golden"

# lab.py names the mode; without it the flags tell.
MODE = os.environ.get("MEMCG_LAB_TEST_MODE") or (
    "nojit" if config.DISABLE_JIT else "boundscheck" if config.BOUNDSCHECK else "jit"
)
# Each policy compiles for seconds. What needs one more of its own runs where nothing is compiled.
without_compiler = pytest.mark.skipif(MODE != "nojit", reason="one more policy to compile; runs without JIT")

both_policies = pytest.mark.parametrize("policy", [V4_13, V4_14], ids=["v4.13", "v4.14"])

TASK, SOFTIRQ = records.TASK, records.SOFTIRQ


# --- a reader's own rules, plain functions ---------------------------------------------------------------------------
FAULTY = 13  # pages; a charge of so many meets the faulty line below


def drain_at_the_batch(st, batch, drain, cpu, memcg, nr_pages):
    """Drain one page too early: ``>=`` where the kernel has ``>``."""
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    if st.stock[cpu, 0].nr_pages >= batch:
        drain(st, cpu, 0, records.DRAIN_CAP)


def reclaim_one_page(st, cpu, over, nr_pages):
    """Free one page a call, as long as the cgroup's users hold one."""
    if nr_pages == FAULTY:
        return st.memcg[st.memcg.size].held
    if st.memcg[over].held == 0:
        return 0
    st.memcg[over].held -= 1
    cancel_charge(st, cpu, over, 1)
    return 1


OWN = V4_14.with_rules("a reader's own", refill=drain_at_the_batch, reclaim=reclaim_one_page)


def node():
    """A node: the system's, or the one that playwright brings."""
    found = shutil.which("node")
    with contextlib.suppress(ImportError):
        import playwright

        driver = pathlib.Path(playwright.__file__).parent / "driver" / "node"
        found = found or (str(driver) if driver.exists() else None)
    return found or pytest.skip("no node here: install it, or the extra browser, which brings one")


# --- looking ---------------------------------------------------------------------------------------------------------
def state_of(system, log=None):
    """The state as the rules see it, to call one of them alone."""
    return records.State(
        **{name: _jit.records(a) if a.dtype.names else a for name, a in system._arrays.items()},
        log=_jit.records(log),
        root=-1 if system.root is None else system.root,
        legacy=int(system.legacy),
        memsw=int(system.memsw),
    )


def alone(rule):
    """A rule as Python can call it: the rule itself is for compiled code only."""
    return njit(_nrt=False)(lambda *arguments: rule(*arguments))


def arrays_of(system):
    """Every array of the state, as bytes."""
    return {name: array.tobytes() for name, array in system._arrays.items()}


def field(system, name):
    """One column of the memory counters, as a list."""
    return system._arrays["counter"][name][: len(system.parents)].tolist()


def total(system, name):
    """One of the totals."""
    return int(system._arrays["total"][records.TOTAL.index(name)])


def broken(system):
    """Names of the invariants that do not hold."""
    return [(invariant.name, invariant.detail) for invariant in system.invariants() if not invariant.holds]


def cost(system, call):
    """What one call costs."""
    before = system.work()
    call()
    return system.work() - before


def said(capsys, function, *arguments, **options):
    """What a call prints; it returns nothing, so that a cell shows the sentence alone."""
    capsys.readouterr()
    assert function(*arguments, **options) is None
    printed = capsys.readouterr()
    assert "0x" not in printed.out
    return printed.out.rstrip("\n")


# --- streams ---------------------------------------------------------------------------------------------------------
def rough_stream(seed, n, *, cpus, memcgs):
    """Every operation on cgroups in any order, charges more often; more may be given back than was charged."""
    codes = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9])
    ops = np.zeros(n, records.op_dtype)
    ops["op"] = codes[draws(seed, n, codes.size)]
    ops["ctx"] = draws(seed + 1, n, 2)
    ops["cpu"] = draws(seed + 2, n, cpus)
    ops["memcg"] = 1 + draws(seed + 3, n, memcgs - 1)
    ops["nr"] = sizes(seed + 4, n, {1: 40, 2: 10, 7: 10, 15: 5, 31: 5, 32: 5, 33: 5, 60: 5})
    is_limit = ops["op"] >= records.SET_LIMIT
    ops["nr"][is_limit] = 50 * draws(seed + 5, n, 10)[is_limit] - 1
    ops["nr"][is_limit & (ops["nr"] > 400)] = -1
    return ops


def rough_system(policy):
    """A tree of two branches with limits that bite."""
    return System(
        [-1, 0, 1, 1, 0],
        cpus=3,
        policy=policy,
        limits=[-1, 300, 150, 90, 200],
        highs=[-1, 200, 100, -1, 60],
        underflow="record",
    )


def digests():
    """A digest of everything that seeded streams leave behind, step logs included, a policy."""
    found = {}
    for policy in (V4_13, V4_14):
        sha = hashlib.sha256()
        for seed in (1, 2, 3):
            for ops in (
                rough_stream(seed, 250, cpus=3, memcgs=5),
                mixed(300, cpus=3, memcgs=[2, 3, 4], in_flight=20, seed=seed),
            ):
                system = rough_system(policy)
                sha.update(system.step_through(ops).rows.tobytes())
                sha.update(json.dumps(system.snapshot(), sort_keys=True).encode())
                for name, content in sorted(arrays_of(system).items()):
                    sha.update(name.encode() + content)
        found[policy.name] = sha.hexdigest()
    return found


def python(code, **environment):
    """Run code in a fresh process and return what it printed; standard error is part of a failure's message."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "compiled")))
    env = dict(os.environ, PYTHONPATH=path, PYTHONUTF8="1")
    env.pop("MEMCG_LAB_TEST_MODE", None)
    env.update(environment)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stream_of(rows, first=0):
    """A stream from lists of code, CPU, cgroup, pages and context; cgroup 0 of them is ``first``."""
    ops = np.zeros(len(rows), records.op_dtype)
    for row, (code, cpu, memcg, nr, ctx) in zip(ops, rows, strict=True):
        row["op"], row["cpu"], row["memcg"], row["nr"], row["ctx"] = code, cpu, memcg + first, nr, ctx
    return ops
