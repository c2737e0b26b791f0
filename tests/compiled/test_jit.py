"""Compiled and interpreted are one: the modes are really on, logs are bit-equal, and no stale machine code is used."""

import json
import os
import shutil
import subprocess
import sys

import numba
import numpy as np
import pytest

from lab_helpers import MODE, OWN, ROOT, digests, python, state_of
from memcg_lab import V4_13, V4_14, System, _jit, pingpong
from memcg_lab.mechanism.policy import bind
from memcg_lab.mechanism.stock_v4_13 import drain_stock

compiled_only = pytest.mark.skipif(MODE == "nojit", reason="nothing is compiled in this mode")


# --- the three modes -------------------------------------------------------------------------------------------------
def test_the_mode_is_the_one_that_is_really_on():
    assert bool(numba.config.DISABLE_JIT) == (MODE == "nojit") == (not _jit.JIT)
    assert bool(numba.config.BOUNDSCHECK) == (MODE == "boundscheck")
    System.chain(depth=1, cpus=1).replay(pingpong(1))
    assert hasattr(bind(V4_14, False), "signatures") == (MODE != "nojit")


@_jit.kernel("canary")
def _read(values, index):
    return values[index]


@pytest.mark.skipif(MODE == "jit", reason="reads whatever stands there")
def test_an_index_out_of_range_is_noticed():
    assert _read(np.arange(3), 2) == 2
    with pytest.raises(IndexError):
        _read(np.arange(3), 3)
    with pytest.raises(IndexError):
        _read(np.arange(3), 1 << 40)


@pytest.mark.skipif(MODE == "jit", reason="writes who knows where")
def test_an_index_out_of_range_in_the_mechanism_is_noticed():
    system = System.chain(depth=1, cpus=1)
    system._arrays["counter"]["parent"][1] = 1 << 40
    with pytest.raises(ValueError, match="index that does not exist"):
        system.replay(pingpong(1))


# --- the private option ----------------------------------------------------------------------------------------------
@compiled_only
def test_numba_still_knows_the_option_that_switches_reference_counting_off():
    kernel = _jit.kernel("option")(lambda values: values[0])
    assert kernel(np.arange(3)) == 0
    assert kernel.targetoptions["_nrt"] is False
    with pytest.raises(KeyError, match="_no_such_option"):
        numba.njit(_no_such_option=False)(lambda values: values[0])(np.arange(3))


@compiled_only
def test_a_kernel_that_allocates_is_refused():
    def allocate(n):
        return np.zeros(n).sum()

    assert numba.njit(allocate)(3) == 0
    with pytest.raises(numba.core.errors.NumbaError):
        _jit.kernel("allocates")(allocate)(3)


@compiled_only
def test_a_readers_rule_is_compiled_with_bounds_checks_and_ours_without():
    def rule(values, index):
        return values[index]

    mine = _jit.inline(rule)
    assert mine.targetoptions["boundscheck"] is True
    assert not drain_stock.targetoptions.get("boundscheck")
    with pytest.raises(IndexError):
        mine(np.arange(3), 3)


def test_a_compiled_rule_is_taken_as_it_is():
    assert _jit.inline(drain_stock) is drain_stock or MODE == "nojit"
    assert _jit.is_packaged(drain_stock)
    assert not _jit.is_packaged(OWN.refill)


def test_the_source_of_a_rule_can_be_shown():
    assert "def drain_stock(st, cpu, slot, cause):" in _jit.source(drain_stock)
    assert "Free one page a call" in _jit.source(OWN.reclaim)


# --- cached or not ---------------------------------------------------------------------------------------------------
@compiled_only
def test_built_in_policies_are_kept_on_disk_and_a_readers_rule_is_not():
    for policy in (V4_13, V4_14):
        system = System.chain(depth=1, cpus=1, policy=policy)
        system.replay(pingpong(1))
        assert isinstance(bind(policy)._cache, _jit._PackageCache)
        assert all(bind(policy)._cache.holds(types) for types in bind(policy).signatures)
        assert _jit.is_cached(bind(policy), (state_of(system), pingpong(1), True))
        assert not _jit.is_cached(bind(policy), (state_of(system), pingpong(1), 1.0))
    assert not isinstance(bind(OWN, False)._cache, _jit._PackageCache)


@compiled_only
def test_without_a_folder_to_write_to_a_kernel_is_compiled_all_the_same(monkeypatch):
    def nowhere(python, key):
        raise RuntimeError("no locator available")

    monkeypatch.setattr(_jit, "_PackageCache", nowhere)
    kernel = _jit.kernel("homeless", key="homeless")(lambda values: values[0])
    assert kernel(np.arange(3)) == 0


@compiled_only
def test_a_cache_that_cannot_be_read_counts_as_empty(monkeypatch):
    def fail():
        raise OSError

    cache = bind(V4_14, False)._cache
    monkeypatch.setattr(cache._cache_file, "_load_index", fail)
    assert not cache.holds(bind(V4_14).signatures[0])


@pytest.mark.once
def test_a_compilation_is_announced_on_standard_error(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # nbval's plugin brings it
    fresh = _jit.kernel("announced", key=None)(lambda values: values[0])
    _jit.announce(fresh, "a rule", (np.arange(3),))
    captured = capsys.readouterr()
    assert "compiling a rule for the first time" in captured.err
    assert captured.out == ""
    fresh(np.arange(3))
    _jit.announce(fresh, "a rule", (np.arange(3),))
    assert capsys.readouterr().err == ""
    _jit.announce(fresh, "a rule", (np.arange(3.0),))  # compiled for whole numbers only
    assert "compiling a rule" in capsys.readouterr().err


@pytest.mark.once
def test_the_logging_form_is_announced_by_itself_and_once(tmp_path):
    code = """
import sys
from memcg_lab import System, pingpong
for call in ("replay", "replay", "step_through", "step_through"):
    print(call, file=sys.stderr)
    getattr(System.chain(depth=1, cpus=1), call)(pingpong(1))
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        for _ in range(2)
    ]
    told = [[line.split()[0] for line in run.stderr.splitlines()] for run in runs]
    assert told[0] == ["replay", "memcg-lab:", "replay", "step_through", "memcg-lab:", "step_through"]
    assert told[1] == ["replay", "replay", "step_through", "step_through"]


@pytest.mark.once
def test_in_a_notebook_no_message_is_left(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    _jit.say("compiling")
    captured = capsys.readouterr()
    assert captured.err + captured.out == ""


def test_symbols_of_different_policies_differ():
    names = {_jit.symbol(*pair) for pair in [("v4.13", "a"), ("v4.13", "b"), ("v4.14", "a"), ("v4 14", "a")]}
    assert len(names) == 4
    assert all(name.isidentifier() for name in names)
    assert _jit.symbol("v4.13", "a") == _jit.symbol("v4.13", "a")


# --- the package stamp -----------------------------------------------------------------------------------------------
@pytest.fixture
def package(tmp_path):
    """A copy of the package of our own."""
    shutil.copytree(ROOT / "memcg_lab", tmp_path / "memcg_lab", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "memcg_lab"


@pytest.mark.once
def test_a_change_in_any_file_changes_the_stamp(package, monkeypatch):
    stamp = _jit.package_stamp.__wrapped__
    original = stamp()
    monkeypatch.setattr(_jit, "PACKAGE", package)
    assert stamp() == original
    seen = {original}
    for path in sorted(package.rglob("*.py")):
        text = path.read_bytes()
        path.write_bytes(text + b"\n# changed\n")
        seen.add(stamp())
        path.write_bytes(text)
    (package / "new.py").write_text("")
    seen.add(stamp())
    assert len(seen) == len(list(package.rglob("*.py"))) + 1


# A kernel as ours are: its own file, a rule and a constant from two others.
SMALL_KERNEL = '''"""A small kernel."""

from ._jit import kernel
from .mechanism.layout import MEM_CGROUP_RECLAIM_RETRIES
from .mechanism.sock import sk_mem_pages


@kernel("small", key="small")
def small(nr_bytes):
    return sk_mem_pages(nr_bytes) * 100 + MEM_CGROUP_RECLAIM_RETRIES
'''
RUN_SMALL = """
from memcg_lab.small import small
print(small(4097), sum(small.stats.cache_hits.values()), sum(small.stats.cache_misses.values()))
"""


@pytest.mark.once
def test_a_change_in_one_file_invalidates_the_kernels_of_another(package, tmp_path):
    (package / "small.py").write_text(SMALL_KERNEL)
    environment = dict(os.environ, PYTHONPATH=str(tmp_path), NUMBA_CACHE_DIR=str(tmp_path / "cache"))

    def run():
        done = subprocess.run(
            [sys.executable, "-c", RUN_SMALL],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return tuple(map(int, done.stdout.split()))

    def change(name, old, new):
        text = (package / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (package / name).write_text(text.replace(old, new), encoding="utf-8")

    assert run() == (205, 0, 1)  # compiled
    assert run() == (205, 1, 0)  # loaded
    change("mechanism/records.py", "MEM_CGROUP_RECLAIM_RETRIES = 5", "MEM_CGROUP_RECLAIM_RETRIES = 7")
    assert run() == (207, 0, 1)  # a constant changed: compiled anew
    change("mechanism/sock.py", "SK_MEM_QUANTUM - 1) // SK_MEM_QUANTUM", "SK_MEM_QUANTUM) // SK_MEM_QUANTUM")
    assert run()[1:] == (0, 1)  # a rule changed: compiled anew
    change("conformance.py", '"""Conformance: ', '"""Conformance, changed: ')
    assert run()[1:] == (0, 1)  # anything changed: compiled anew
    assert run()[1:] == (1, 0)


# --- other processes -------------------------------------------------------------------------------------------------
DIGESTS = """
import json
from lab_helpers import digests
from memcg_lab import V4_13, V4_14, _jit
from memcg_lab.mechanism.policy import bind
found = digests()
stats = [getattr(bind(policy, False), "stats", None) for policy in (V4_13, V4_14)]
hits, misses = (sum(sum(getattr(s, k).values()) for s in stats if s) for k in ("cache_hits", "cache_misses"))
print(json.dumps([_jit.JIT, found, hits, misses]))
"""


@pytest.mark.once
def test_jit_and_no_jit_give_bit_equal_states_and_step_logs():
    is_jit, found, _, _ = json.loads(python(DIGESTS, NUMBA_DISABLE_JIT="1"))
    assert not is_jit
    assert found == digests()
    assert found["v4.13"] != found["v4.14"]


@pytest.mark.once
def test_a_second_process_loads_both_policies_without_compiling_and_does_not_mix_them_up():
    expected = digests()
    is_jit, found, hits, misses = json.loads(python(DIGESTS))
    assert is_jit
    assert (hits, misses) == (2, 0)  # each policy, with a step log
    assert found == expected


IMPORT = """
import sys
import numba
compiled = []
numba.core.dispatcher.Dispatcher.compile = lambda *a, **k: compiled.append(a)
numba.core.dispatcher._FunctionCompiler.compile = lambda *a, **k: compiled.append(a)
import memcg_lab
print([name for name in ("pandas", "matplotlib", "ipywidgets", "IPython") if name in sys.modules], compiled)
from memcg_lab import V4_14
from memcg_lab.mechanism.policy import bind
bind(V4_14, False)
print(compiled)
"""


@pytest.mark.once
def test_importing_and_binding_compile_nothing_and_leave_the_heavy_packages_out():
    assert python(IMPORT).splitlines() == ["[] []", "[]"]
