"""Compiled and interpreted are one: the modes are really on, logs are bit-equal, and no stale machine code is used."""

import errno
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import threading
import time

import jupyter_client
import numba
import numpy as np
import pytest

from lab_helpers import MODE, OWN, ROOT, digests, python
from memcg_lab import POLICIES, V4_14, System, _jit, pingpong
from memcg_lab.hardware import counters
from memcg_lab.machine.coherence import bind_machine
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
def test_what_a_readers_rule_is_bound_into_is_compiled_with_bounds_checks_and_ours_without():
    def rule(values, index):
        return values[index]

    mine = _jit.inline(rule)
    bound = _jit.kernel("bound")(lambda values, index: mine(values, index))
    assert bound.targetoptions["boundscheck"] is True
    assert not bind(V4_14, False).targetoptions.get("boundscheck")
    assert not drain_stock.targetoptions.get("boundscheck")
    with pytest.raises(IndexError):
        bound(np.arange(3), 3)


@compiled_only
def test_a_rule_called_from_python_says_what_to_call():
    System.chain(depth=1, cpus=1).replay(pingpong(1))  # compiled or not, it is the same
    with pytest.raises(TypeError, match=r"drain_stock is for compiled code; from Python call drain_stock\.py_func"):
        drain_stock(1, 2, 3, 4)


def test_a_compiled_rule_is_taken_as_it_is():
    assert _jit.inline(drain_stock) is drain_stock or MODE == "nojit"
    assert _jit.is_packaged(drain_stock)
    assert not _jit.is_packaged(OWN.refill)


def test_the_source_of_a_rule_can_be_shown():
    assert "def drain_stock(st, cpu, slot, cause):" in _jit.source(drain_stock)
    assert "Free one page a call" in _jit.source(OWN.reclaim)


# --- what a kernel is made of ----------------------------------------------------------------------------------------
# A change of one file, and whose machine code it changes. The last two columns say which of the kernels below.
CHANGES = [
    ("labs/stock.py", '"""', '"""Changed. ', ""),
    ("words.py", "def number", "# changed\ndef number", ""),
    ("mechanism/stock_v4_13.py", "Put charged pages into the stock;", "Changed;", ""),
    (
        "mechanism/replay.py",
        "    def replay(st, ops, refuse):\n",
        "    def replay(st, ops, refuse):\n        # changed\n",
        "",
    ),
    ("mechanism/records.py", "CHARGE_BATCH = 32", "CHARGE_BATCH = 33", "replay sockets machine"),
    (
        "mechanism/records.py",
        "MEM_CGROUP_RECLAIM_RETRIES = 5",
        "MEM_CGROUP_RECLAIM_RETRIES = 7",
        "replay sockets machine",
    ),
    ("mechanism/records.py", "SK_RECLAIM_THRESHOLD = 1 << 21", "SK_RECLAIM_THRESHOLD = 1 << 22", "sockets"),
    (
        "mechanism/stock_v4_13.py",
        "    stock.nr_pages += nr_pages\n",
        "    stock.nr_pages += 2 * nr_pages\n",
        "replay sockets machine",
    ),
    ("machine/coherence.py", "SPREAD_BITS = 16", "SPREAD_BITS = 17", "machine"),
    ("hardware/counters.py", "6364136223846793005", "6364136223846793007", "threads"),
    ("hardware/atomics.py", "@intrinsic(prefer_literal=True)\ndef load", "@intrinsic\ndef load", "threads"),
    ("_jit.py", '"nogil": True', '"nogil": False', "replay sockets machine threads"),
    ("hardware/atomics.py", '"relaxed": "monotonic"', '"relaxed": "seq_cst"', "threads"),
    (
        "hardware/atomics.py",
        "    return cgutils.get_item_pointer(",
        "    key = key\n    return cgutils.get_item_pointer(",
        "threads",
    ),
]
CONTENTS = """
import json, pathlib, sys
from memcg_lab import _jit
sys.dont_write_bytecode = True

def contents():
    for name in [name for name in sys.modules if name.split(".")[0] == "memcg_lab"]:
        del sys.modules[name]
    from memcg_lab import V4_14, _jit
    from memcg_lab.hardware.counters import bind as threads
    from memcg_lab.machine.coherence import bind_machine
    from memcg_lab.mechanism.policy import bind
    kernels = {"replay": bind(V4_14), "sockets": bind(V4_14, True), "machine": bind_machine(V4_14)}
    kernels["threads"] = threads(True, True, True, "pingpong")
    return {name: _jit.content(kernel.py_func) for name, kernel in kernels.items()}

original = contents()
print(json.dumps(original))
for name, old, new, _ in json.loads(sys.argv[1]):
    path = pathlib.Path(_jit.PACKAGE / name)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    print(json.dumps([old in text, [kernel for kernel, content in contents().items() if content != original[kernel]]]))
    path.write_text(text, encoding="utf-8")
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package of our own."""
    shutil.copytree(ROOT / "memcg_lab", tmp_path / "memcg_lab", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "memcg_lab"


def start(package, *arguments, **options):
    """Start Python with that copy and a cache of its own."""
    environment = dict(os.environ, PYTHONPATH=str(package.parent), NUMBA_CACHE_DIR=str(package.parent / "cache"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, *arguments], cwd=package.parent, env=environment, **pipes)


def run(package, *arguments):
    """Run it to its end and return what it printed."""
    process = start(package, *arguments)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


@pytest.mark.once
def test_a_changed_rule_or_constant_changes_its_kernels_and_a_changed_sentence_none(package):
    original, *changed = map(json.loads, run(package, "-c", CONTENTS, json.dumps(CHANGES)).splitlines())
    assert len(set(original.values())) == 4
    assert changed == [[True, kernels.split()] for _, _, _, kernels in CHANGES]


@compiled_only
def test_what_a_kernel_is_made_of_is_the_same_in_every_process():
    code = """
from memcg_lab import V6_1, _jit
from memcg_lab.mechanism.policy import bind
print(_jit.content(bind(V6_1, True).py_func))
"""
    assert len({python(code, PYTHONHASHSEED=seed) for seed in ("1", "2")}) == 1


@compiled_only
def test_every_kernel_of_ours_is_kept_and_one_with_a_readers_rule_is_not():
    ours = [bind(policy, sockets) for policy in POLICIES.values() for sockets in (False, True)]
    ours += [bind_machine(policy) for policy in POLICIES.values()]
    ours += [counters.bind(*hunks, True, "producer_consumer") for hunks in ((False, False), (True, True))]
    assert all(map(_jit.is_kept, ours))
    assert not _jit.is_kept(bind(OWN))
    with pytest.raises(_jit.Foreign):
        _jit.content(bind(OWN).py_func)


def packaged(function):
    """Let a function of this file pass for one of the package's."""
    function.__module__ = "memcg_lab.words"
    return function


@compiled_only
@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 2), (1, 1.0), (1, True), (0.0, -0.0), ("a", "b"), ((1, 2), (2, 1)), (np.int64(1), np.int32(1)), (None, 0)]
    + [(np.arange(3), np.arange(4)), (len, max), ({1: 2}, {1: 3}), (frozenset("ab"), frozenset("ac"))],
)
def test_what_a_rule_closes_over_is_part_of_it(one, other):
    def made(value):
        return packaged(lambda: value)

    assert _jit.content(made(one)) == _jit.content(made(one))
    assert _jit.content(made(one)) != _jit.content(made(other))


@compiled_only
@pytest.mark.parametrize(
    "value", [object(), ROOT, OWN, python, lambda: 0, _jit], ids=lambda value: type(value).__name__
)
def test_what_nobody_can_compare_is_not_kept(value):
    with pytest.raises(_jit.Foreign):
        _jit.content(packaged(lambda: value))


@compiled_only
def test_a_rule_that_names_itself_has_an_end():
    def rule(n):
        return n and rule(n - 1)

    assert _jit.content(packaged(rule))


def test_atomics_reach_the_compiler_by_no_way_that_is_not_followed():
    # What numba's @overload adds is found by no name in the code that calls it.
    sources = [path.read_text(encoding="utf-8") for path in _jit.PACKAGE.rglob("*.py")]
    assert not [text for text in sources if re.search(r"^ *@(overload|lower_builtin|register_jitable)", text, re.M)]


# Kernels from one factory, long enough that their helper stays a function of its own.
FACTORY = '''"""A factory."""

import functools

from ._jit import function, kernel


def made(factor):
    @function
    def helper(x):
        s = 0
        for i in range(x):
            for j in range(x):
                if i % 3 == 0:
                    s += i * factor
                elif j % 5 == 1:
                    s -= factor
                elif j % 7 == 1:
                    s ^= factor * j
                else:
                    s ^= factor + i
            for j in range(x):
                if i % 13 == 0:
                    s += i * factor
                elif i % 15 == 1:
                    s -= factor
                elif j % 17 == 1:
                    s ^= factor * j
                else:
                    s ^= factor + i
        return s * 100 + factor

    def top(x):
        if x < 0:
            return helper(-x) + helper(x + 1)
        if x > 100:
            return helper(x) + helper(x // 2) + helper(x // 3) + helper(x // 7)
        return helper(x)

    return kernel(f"factor {factor}")(top), helper.py_func


def kernels():
    return [functools.partial(made(factor)[0], 5) for factor in (1, 2, 3, 4)]
'''
RUN_FACTORY = """
import sys
from memcg_lab.factory import made
for factor in map(int, sys.argv[1:]):
    top, helper = made(factor)
    right = top(5) == helper(5) and top(200) == sum(helper(200 // k) for k in (1, 2, 3, 7))
    print(factor, right, sum(top.stats.cache_hits.values()), sum(top.stats.cache_misses.values()))
"""


@pytest.fixture
def factory(package):
    """A copy of the package with a factory of small kernels in it, which are all that the notebooks run."""
    (package / "factory.py").write_text(FACTORY)
    with (package / "warmup.py").open("a") as file:
        file.write("\n\nfrom .factory import kernels\n")
    return package


def files(package):
    """Every file of the cache."""
    return [path for path in (package.parent / "cache").rglob("*") if path.is_file()]


@pytest.mark.once
def test_kernels_of_one_factory_compiled_apart_share_no_machine_code_when_loaded_together(factory):
    for factor in "123":
        assert run(factory, "-c", RUN_FACTORY, factor) == f"{factor} True 0 1\n"
    assert run(factory, "-c", RUN_FACTORY, *"1234") == "1 True 1 0\n2 True 1 0\n3 True 1 0\n4 True 0 1\n"
    assert run(factory, "-c", RUN_FACTORY, *"4321") == "4 True 1 0\n3 True 1 0\n2 True 1 0\n1 True 1 0\n"
    assert len(files(factory)) == 4


@pytest.mark.once
def test_a_changed_rule_is_compiled_anew_and_a_changed_docstring_is_not(factory):
    def change(name, old, new):
        text = (factory / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (factory / name).write_text(text.replace(old, new), encoding="utf-8")

    assert run(factory, "-c", RUN_FACTORY, "1") == "1 True 0 1\n"
    change("factory.py", "A factory.", "A factory, said in other words, on a\n\nline more.")
    assert run(factory, "-c", RUN_FACTORY, "1") == "1 True 1 0\n"
    change("factory.py", "s * 100", "s * 101")
    assert run(factory, "-c", RUN_FACTORY, "1") == "1 True 0 1\n"
    change("factory.py", "s * 101", "s * 100")
    assert run(factory, "-c", RUN_FACTORY, "1") == "1 True 1 0\n"  # it did not forget


# --- kept on disk ----------------------------------------------------------------------------------------------------
@pytest.fixture
def small(tmp_path, monkeypatch):
    """A maker of one small kernel, as each process would make it, and a folder of its own to keep it in."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def small():
        return _jit.kernel("a small one")(packaged(lambda values: values[0] + 1))

    return small


def call(kernel):
    """Call it; return how often it was loaded and compiled."""
    assert kernel(np.arange(3)) == 1
    return sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values())


LOADED, COMPILED = (1, 0), (0, 1)


def kept(folder):
    """The one file of the cache."""
    (path,) = folder.rglob("*.nbc")
    return path


@compiled_only
def test_what_was_compiled_once_is_loaded_and_loaded_twice_does_no_harm(small, tmp_path):
    assert call(small()) == COMPILED
    before = kept(tmp_path).read_bytes()
    kernels = [small(), small()]
    assert [call(kernel) for kernel in kernels] == [LOADED, LOADED]
    assert [kernel(np.arange(5, 8)) for kernel in kernels] == [6, 6]
    assert kept(tmp_path).read_bytes() == before
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".nbc"]  # no lock is left


@compiled_only
def test_another_signature_cpu_mode_or_version_has_another_file(small, monkeypatch):
    class Other:
        def magic_tuple(self):
            return "another CPU"

    kernel = small()
    here = kernel.targetctx.codegen()
    paths = [kernel._cache.path(*form) for form in (((), here), ((), here), (("int64",), here), ((), Other()))]
    monkeypatch.setattr(_jit, "_VERSIONS", ("another version",))
    paths.append(kernel._cache.path((), here))
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", not numba.config.BOUNDSCHECK)
    paths.append(kernel._cache.path((), here))
    assert paths[0] == paths[1]
    assert len(set(paths)) == 5
    assert None not in paths


DAMAGES = {
    "empty": lambda code: b"",
    "cut": lambda code: code[:-1],
    "cut in the head": lambda code: code[:20],
    "one bit": lambda code: code[:100] + bytes([code[100] ^ 1]) + code[101:],
    "garbage": lambda code: b"garbage",
    "garbage that looks right": lambda code: _jit.hashlib.sha256(b"garbage").digest() + b"garbage",
}


@compiled_only
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_compiled_anew_and_so_mended(small, tmp_path, damage):
    assert call(small()) == COMPILED
    path = kept(tmp_path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert not _jit.attempt(lambda: call(small()))
    assert call(small()) == COMPILED
    assert call(small()) == LOADED


@compiled_only
def test_a_folder_in_the_place_of_a_file_breaks_no_run(small, tmp_path):
    call(small())
    path = kept(tmp_path)
    path.unlink()
    path.mkdir()
    assert call(small()) == COMPILED


@compiled_only
@pytest.mark.parametrize("name", ["write_bytes", "read_bytes", "replace", "open", "glob", "unlink"])
@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_full_or_broken_disk_breaks_no_run(small, tmp_path, monkeypatch, name, reason):
    whole = getattr(pathlib.Path, name)

    def broken(self, *arguments, **options):
        if self.suffix in (".nbc", ".lock") or name == "glob":
            if name == "write_bytes":
                whole(self, arguments[0][:1000])  # what the disk had room for
            raise OSError(reason, os.strerror(reason))
        return whole(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, name, broken)
        assert call(small()) == COMPILED
        call(small())
    call(small())
    assert call(small()) == LOADED
    assert len(list(tmp_path.rglob("*.nbc"))) == 1 or name == "unlink"  # nothing half-written is left


@compiled_only
def test_without_a_folder_to_write_to_a_kernel_is_compiled_all_the_same(small, monkeypatch):
    monkeypatch.setattr(_jit.CompileResultCacheImpl, "_locator_classes", [])
    homeless = small()
    assert not _jit.is_kept(homeless)
    assert call(homeless) == call(small()) == COMPILED


@compiled_only
def test_files_that_nobody_used_for_long_go_first(small, tmp_path, monkeypatch):
    monkeypatch.setattr(_jit, "KEEP", 3)
    call(small())
    path = kept(tmp_path)
    for k in range(3):
        (path.parent / f"old-{k}.nbc").touch()
        os.utime(path.parent / f"old-{k}.nbc", (k, k))
    os.utime(path, (0, 0))
    assert call(small()) == LOADED  # used now
    assert small()(np.arange(3.0)) == 1  # one more
    assert sorted(file.name for file in tmp_path.rglob("old-*")) == ["old-2.nbc"]
    assert call(small()) == LOADED


# --- several processes -----------------------------------------------------------------------------------------------
@pytest.fixture
def busy(small, tmp_path):
    """Somebody else compiles the small kernel: (the file it will be, the file it is until then, the lock)."""
    call(small())
    path = kept(tmp_path)
    apart = path.rename(path.with_suffix(".apart"))
    with path.with_suffix(".lock").open("w") as lock:
        _jit._lock(lock)
        yield path, apart, lock


@compiled_only
def test_who_needs_what_another_process_compiles_says_so_waits_and_loads_it(small, busy, capsys, monkeypatch):
    path, apart, lock = busy
    found = []
    thread = threading.Thread(target=lambda: found.append(call(small())))
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    apart.rename(path)
    lock.close()
    thread.join()
    assert found == [LOADED]
    assert capsys.readouterr().err == "memcg-lab: waiting for a small one, which another process compiles\n"


@compiled_only
def test_waiting_has_an_end(small, busy, monkeypatch, capsys):
    monkeypatch.setattr(_jit, "PATIENCE", 0.3)
    assert call(small()) == COMPILED
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["waiting", "compiling"]


@compiled_only
def test_who_may_not_wait_or_compile_is_told_at_once(small, busy, capsys):
    path, apart, lock = busy
    assert not _jit.attempt(small_call := lambda: call(small()))
    assert not _jit.attempt(small_call, "compile")
    lock.close()  # whoever held it is gone; the file it locked is still there
    assert path.with_suffix(".lock").exists()
    assert not _jit.attempt(small_call)
    assert _jit.attempt(small_call, "compile")
    assert _jit.attempt(small_call)
    assert capsys.readouterr().err == ""


@pytest.mark.once
def test_a_compilation_that_was_interrupted_holds_nobody_up(small, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    kernel = small()
    with monkeypatch.context() as patch:
        patch.setattr(type(kernel._compiler), "compile", interrupt)
        with pytest.raises(KeyboardInterrupt):
            kernel(np.arange(3))
    assert _jit.attempt(lambda: call(small()), "compile")


@pytest.mark.once
def test_a_warm_up_says_two_lines_and_mends_what_is_damaged_and_the_next_has_nothing_to_do(factory):
    lines = run(factory, "-m", "memcg_lab", "warmup", "--jobs", "2", "--background").splitlines()
    assert [line.split()[1:4] for line in lines] == [["compiling", "4", "kernels,"], ["all", "kernels", "are"]]
    assert len(files(factory)) == 4
    files(factory)[0].write_bytes(b"")
    assert "compiling 1 kernel, once" in run(factory, "-m", "memcg_lab", "warmup")
    assert run(factory, "-m", "memcg_lab", "warmup") == ""
    assert run(factory, "-c", RUN_FACTORY, *"1234") == "".join(f"{factor} True 1 0\n" for factor in "1234")


@pytest.mark.slow
@pytest.mark.once
def test_two_at_once_killed_at_random_and_the_next_run_works(factory):
    chance = random.Random(475)
    for _ in range(6):
        shutil.rmtree(factory.parent / "cache", ignore_errors=True)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        both = [start(factory, "-m", "memcg_lab", "warmup", "--jobs", "1", **quiet) for _ in range(2)]
        until = time.monotonic() + 60
        while not files(factory) and time.monotonic() < until:  # the first lock, or file
            time.sleep(0.01)
        for process in both[: chance.choice((1, 2))]:
            time.sleep(chance.uniform(0, 1.5))
            process.kill()
        right = [f"{factor} True" for factor in "1234"]
        assert [line[:6] for line in run(factory, "-c", RUN_FACTORY, *"1234").splitlines()] == right
        for process in both:
            process.wait()
        assert run(factory, "-m", "memcg_lab", "warmup") == ""
        assert run(factory, "-c", RUN_FACTORY, *"1234") == "".join(f"{line} 1 0\n" for line in right)


# --- said to who waits -----------------------------------------------------------------------------------------------
@pytest.mark.once
def test_a_compilation_is_announced_on_standard_error_once_a_form(small, capsys):
    kernel = small()
    kernel(np.arange(3))
    assert capsys.readouterr() == ("", "memcg-lab: compiling a small one, about 10 seconds; later runs load it\n")
    kernel(np.arange(3))
    small()(np.arange(3))
    assert capsys.readouterr() == ("", "")
    kernel(np.arange(3.0))  # compiled for whole numbers only
    assert "compiling a small one" in capsys.readouterr().err
    _jit.kernel("a rule of mine")(lambda values: values[0])(np.arange(3))
    assert capsys.readouterr().err == "memcg-lab: compiling a rule of mine, about 10 seconds\n"


NOTEBOOK = """
import numpy as np
from memcg_lab import _jit
def compile_one():
    print(_jit.kernel("mine")(lambda values: values[0])(np.arange(3)))
"""


@pytest.mark.once
def test_in_a_notebook_who_waits_sees_it_and_no_output_is_left_or_lost():
    manager = jupyter_client.KernelManager(kernel_name="python3")
    manager.start_kernel(env=dict(os.environ, PYTHONPATH=str(ROOT), MPLBACKEND="agg"))
    talk = manager.client()
    talk.start_channels()
    talk.wait_for_ready(timeout=60)

    def outputs(code, looks_on):
        found = []
        reply = talk.execute_interactive(code, allow_stdin=looks_on, output_hook=found.append, timeout=60)
        assert reply["content"]["status"] == "ok"
        said = [(message["msg_type"], message["content"]) for message in found]
        texts = [
            content.get("text") or content.get("data", {}).get("text/plain") or f"[{kind}]"
            for kind, content in said
            if kind not in ("execute_input", "status")
        ]
        return "".join(texts)  # a printed line may come in two pieces

    wait = "memcg-lab: compiling mine, about 10 seconds[clear_output]"
    try:
        assert outputs(NOTEBOOK + "compile_one()", True) == wait + "0\n"
        assert outputs("compile_one()", True) == wait + "0\n"
        assert outputs("print('before')\ncompile_one()", True) == "before\n0\n"
        assert outputs("compile_one()\ncompile_one()", True) == wait + "0\n0\n"
        assert outputs("compile_one()", False) == "0\n"
        assert outputs("compile_one()", True) == wait + "0\n"
    finally:
        talk.stop_channels()
        manager.shutdown_kernel(now=True)


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
