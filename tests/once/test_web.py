"""The kernels as WebAssembly: they answer the golden files, and leave every array as the host's code does.

``wasmtime`` runs them here; node runs them through ``kernel.js``, and Chromium too where a browser is asked for.
"""

import base64
import contextlib
import hashlib
import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from lab_helpers import GOLDEN, node
from memcg_lab import POLICIES, V4_13, V4_14, V6_1, System, forms, mixed, op, read_golden
from memcg_lab import system as system_module
from memcg_lab.__main__ import main
from memcg_lab.golden import check_scenario
from memcg_lab.history import History
from memcg_lab.labs.stage import data as stage_data
from memcg_lab.machine import LAYOUTS, TOPOLOGIES, run
from memcg_lab.machine.coherence import bind_machine
from memcg_lab.mechanism import records
from memcg_lab.web import answers, build, kernels
from memcg_lab.workload import draws
from stage_helpers import assert_states_are_those_of, random_traffic
from tests.reference.wasm import Engine

HERE = pathlib.Path(__file__).parent
KERNEL_JS = pathlib.Path(build.__file__).with_name("kernel.js")
KERNELS = HERE.parents[1] / "build" / "web"
STAGE_JS = KERNEL_JS.parents[1] / "labs" / "stage" / "stage.js"
FIRST = [(kind, "v4.14") for kind in kernels.KINDS]  # what is compiled without --all
OTHERS = [name for name in kernels.names() if name not in FIRST]
FILES = {path.name: path for path in sorted(GOLDEN.glob("*.jsonl.gz"))}
GOLDEN_POLICY = {name: answers.policy_of(name) for name in FILES}

every_policy = pytest.mark.parametrize(
    "policy", [pytest.param(p, id=p.name, marks=[] if p is V4_14 else pytest.mark.slow) for p in POLICIES.values()]
)


def need_linker():
    with contextlib.suppress(ValueError):
        return build.linker()
    pytest.skip("no linker for WebAssembly here: pip install ziglang, or Debian's lld")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    """A build; all kernels only if a slow test is to run."""
    need_linker()
    here = [item for item in request.session.items if item.path == pathlib.Path(__file__)]
    everything = any(item.get_closest_marker("slow") for item in here)
    # All of them take minutes, so they go where the tests in a browser look for them; what has changed is built anew.
    out = KERNELS if everything else tmp_path_factory.mktemp("web")
    build.build(out, chosen=kernels.names() if everything else FIRST)
    return out


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(folder)


@pytest.fixture
def on_wasm(engine, monkeypatch):
    """Systems whose every operation is answered by the WebAssembly kernels."""

    def bound(policy, sockets=False):
        def replay(state, ops, refuse):
            return engine.kernel("replay" if state.log is None else "steps", policy.name)(state, ops, refuse)

        assert not sockets
        return replay

    monkeypatch.setattr(system_module, "bind", bound)


def same_arrays(one, other):
    """Names of the arrays that differ between two states, or two machines."""
    found = []
    for name, here, there in zip(one._fields, one, other, strict=True):
        if isinstance(here, tuple):
            found += same_arrays(here, there)
        elif isinstance(here, np.ndarray) and sha(here) != sha(there):
            found.append(name)
    return found


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def traffic(n, cpus, memcgs, seed=475, kernel_pages=False):
    """Every operation that exists without sockets and without cgroup v1's limits, right ones and wrong ones."""
    ops = np.zeros(n, records.op_dtype)
    codes = [*range(records.SET_HIGH + 1), *(range(records.KMEM_CHARGE, len(records.OPS)) if kernel_pages else ())]
    codes.remove(records.SET_LIMIT)
    weights = [codes[k] for k in (draws(seed, n, len(codes)) % len(codes)).tolist()]
    ops["op"] = np.where(draws(seed + 1, n, 4) > 0, draws(seed + 2, n, 4), weights)
    ops["ctx"] = draws(seed + 3, n, 256)
    ops["cpu"] = draws(seed + 4, n, cpus)
    ops["memcg"] = 1 + draws(seed + 5, n, memcgs - 1)
    ops["nr"] = 1 + draws(seed + 6, n, 70)
    return ops


def tree(policy, underflow="record"):
    parents = [-1, 0, 1, 1, 0, 4]
    limits, highs = [-1, 500, 200, -1, 300, 90], [-1, 400, -1, 120, -1, -1]
    protected = {"mins": [0, 60, 30, 0, 0, 9], "lows": [0, 0, 50, 0, 80, 0]} if policy is V6_1 else {}
    return System(parents, cpus=3, policy=policy, limits=limits, highs=highs, underflow=underflow, **protected)


# --- the files -------------------------------------------------------------------------------------------------------
def test_a_kernel_needs_nothing_from_its_host(engine):
    for kind, policy in [tuple(name.split(" ", 1)) for name in engine.description["kernels"]]:
        assert engine.kernel(kind, policy).imports == []


def test_an_import_is_seen():
    import wasmtime

    needy = wasmtime.wat2wasm('(module (import "env" "memcpy" (func)) (memory 1) (func))')
    assert build.imports_of(bytes(needy)) == 1
    assert build.imports_of(bytes(wasmtime.wat2wasm("(module (type (func)) (memory 1) (func))"))) == 0


def test_no_file_has_debug_names_or_python_in_it(folder):
    for path in folder.glob("*.wasm"):
        assert b"memcg_lab" not in path.read_bytes(), path.name


def test_the_description_says_what_the_files_are(folder):
    description = json.loads((folder / "kernels.json").read_text(encoding="utf-8"))
    assert {path.name for path in folder.glob("*.wasm")} == {k["file"] for k in description["kernels"].values()}
    for told in description["kernels"].values():
        code = (folder / told["file"]).read_bytes()
        assert (told["bytes"], told["sha256"]) == (len(code), hashlib.sha256(code).hexdigest())


def test_a_second_build_keeps_what_has_not_changed_and_mends_what_has(folder, tmp_path, monkeypatch):
    out = tmp_path / "copy"
    shutil.copytree(folder, out)
    name = "replay-v4.14.wasm"
    right = (out / name).read_bytes()
    (out / name).write_bytes(right[:-1] + b"?")
    compiled = []

    def only_told(scratch, told, link):
        compiled.append(told["file"])
        return right

    monkeypatch.setattr(build, "_built", only_told)
    build.build(out, chosen=FIRST)
    assert compiled == [name]
    assert (out / name).read_bytes() == right


@pytest.mark.slow
def test_the_same_kernel_becomes_the_same_bytes(folder, tmp_path):
    build.build(tmp_path / "again", chosen=[("steps", "v4.14")])
    assert (tmp_path / "again" / "steps-v4.14.wasm").read_bytes() == (folder / "steps-v4.14.wasm").read_bytes()


def test_without_a_linker_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    assert main(["web", "build", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "pip install ziglang" in said
    assert "apt install lld" in said
    assert not (tmp_path / "out").exists()


def test_the_linker_of_the_system_is_taken_where_there_is_no_ziglang(monkeypatch):
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(build.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert build.linker() == ["/usr/bin/wasm-ld"]


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    need_linker()
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="holds something else"):
        build.build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


# --- the description -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", forms.DTYPES)
def test_a_record_read_by_its_form_is_what_numpy_reads(name):
    dtype, form = forms.DTYPES[name], forms.record_forms()[name]
    raw = draws(1, dtype.itemsize, 256).astype(np.uint8).tobytes()
    row = np.frombuffer(raw, dtype)[0]
    for field, told in form["fields"].items():
        kind = np.dtype(told["kind"])
        assert kind.itemsize == told["size"]
        values = np.frombuffer(raw, kind, told["count"], told["offset"])
        assert values.tolist() == np.atleast_1d(row[field]).tolist()
    assert list(form["fields"]) == list(dtype.names)
    assert form["size"] == dtype.itemsize


def test_codes_and_names_come_in_the_same_order():
    constants, words = forms.constants(), forms.words()
    assert [constants["mechanism"][name.upper()] for name in words["ops"]] == list(range(len(words["ops"])))
    assert words["steps"][constants["mechanism"]["STEP_DRAIN"]]["function"] == "drain_stock"
    assert constants["mechanism"]["BAD_UNDERFLOW"] == records.BAD_UNDERFLOW
    assert constants["machine"]["TOO_MANY_STEPS"] == 1
    assert (constants["mechanism"]["ATOMIC"], constants["machine"]["ATOMIC"]) == (128, 0)  # a flag, and a lock


def test_the_golden_files_in_short_are_the_golden_files():
    for entry in answers.golden_answers():
        for short, scenario in zip(entry["scenarios"], read_golden(FILES[entry["file"]]), strict=True):
            row = answers.numbers(short["first"])
            assert row == answers.numbers(scenario.expected[0])
            for changes, expected in zip(short["changes"], scenario.expected[1:], strict=True):
                for place, more in zip(changes[::2], changes[1::2], strict=True):
                    row[place] += more
                assert row == answers.numbers(expected, short["first"])


# --- wasmtime: the golden files --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if p == "v4.14" else pytest.mark.slow) for n, p in GOLDEN_POLICY.items()]
)
def test_every_field_of_every_golden_operation_is_reproduced(name, on_wasm):
    fields = 0
    for scenario in read_golden(FILES[name]):
        compared, mismatches = check_scenario(scenario, POLICIES[GOLDEN_POLICY[name]])
        assert mismatches == []
        fields += compared
    assert fields > 20_000


def test_answers_of_the_other_side_of_the_patch_are_caught(on_wasm):
    caught = [bool(check_scenario(s, V4_14)[1]) for s in read_golden(FILES["random_pre.jsonl.gz"])[:3]]
    assert caught == [True] * 3


# --- wasmtime: the same arrays as the host's code --------------------------------------------------------------------
@every_policy
def test_the_step_log_and_the_state_of_mixed_traffic_are_those_of_the_host(policy, engine):
    here, there = tree(policy), tree(policy)
    ops = traffic(3000, 3, 6, kernel_pages=policy is V6_1)
    log = here.step_through(ops)
    state = there.mechanism_state(np.zeros(len(log) + 1, log.rows.dtype))
    assert engine.kernel("steps", policy.name)(state, ops, False) == (len(ops), 0, 0)
    assert state.log[0]["before"] == len(log) > 10_000
    assert np.asarray(state.log)[1:].tobytes() == log.rows.tobytes()
    assert same_arrays(here.mechanism_state(), there.mechanism_state()) == []
    assert len(set(log.rows["step"].tolist())) >= 20


@every_policy
def test_a_longer_replay_ends_in_the_same_arrays(policy, engine):
    here, there = (System.chain(depth=3, cpus=8, policy=policy) for _ in range(2))
    ops = mixed(100_000, cpus=8, memcgs=[2, 3], seed=475)
    here.replay(ops)
    assert engine.kernel("replay", policy.name)(there.mechanism_state(), ops, True) == (len(ops), 0, 0)
    assert same_arrays(here.mechanism_state(), there.mechanism_state()) == []
    assert here.work().atomics > 10_000


def test_what_is_refused_is_refused_at_the_same_place(engine):
    ops = np.concatenate([op("charge_skmem", cpu=0, memcg=1, nr=1), op("uncharge_skmem", cpu=0, memcg=1, nr=2)])
    state = tree(V4_14).mechanism_state()
    assert engine.kernel("replay", "v4.14")(state, ops, True) == (1, records.BAD_UNDERFLOW, 1)
    ops["cpu"] = 3
    assert engine.kernel("replay", "v4.14")(state, ops, True) == (0, records.BAD_CPU, 3)


def machine_of(policy, cpus, *, layout="v4.13", lock="atomic", record=0, think_ns=700.0, topology="2x EPYC 7742"):
    system = System.chain(depth=3, cpus=cpus, policy=policy)
    ops = mixed(40 * cpus, cpus=cpus, memcgs=[2, 3], seed=1)
    gaps = np.full(len(ops), round(think_ns * run.PS), np.int64)
    return system, run.lay_out(
        system,
        ops,
        gaps,
        spread=run.spread("exponential"),
        topology=TOPOLOGIES[topology],
        layout=LAYOUTS[layout],
        lock=lock,
        repeat=True,
        seed=1,
        record=record,
    )


@every_policy
@pytest.mark.parametrize("cpus", [2, 64, 256])
def test_every_array_of_the_machine_is_that_of_the_host(policy, cpus, engine):
    (_, here), (_, there) = machine_of(policy, cpus), machine_of(policy, cpus)
    until = 2_000_000 * run.PS
    assert engine.kernel("machine", policy.name)(there, until) == tuple(bind_machine(policy)(here, until)) == (0, 0)
    assert same_arrays(here, there) == []
    assert here.cpu["finished"].sum() > 20 * cpus


@pytest.mark.parametrize(("layout", "lock"), [("v5.12", "queue lock"), ("v6.1", "ticket lock")])
def test_layouts_and_locks_and_the_record_of_events_are_those_of_the_host(layout, lock, engine):
    (_, here), (_, there) = (machine_of(V4_14, 9, layout=layout, lock=lock, record=60_000) for _ in range(2))
    until = 400_000 * run.PS
    assert engine.kernel("events", "v4.14")(there, until) == tuple(bind_machine(V4_14)(here, until))
    assert same_arrays(here, there) == []
    assert 1000 < here.events["op"][0] < 60_000


# --- node: kernel.js -------------------------------------------------------------------------------------------------
@pytest.fixture
def in_node(folder, tmp_path):
    """What kernel.js answers, job by job."""

    def asked(*jobs):
        kernel, stage = tmp_path / "kernel.mjs", tmp_path / "stage.mjs"
        shutil.copy(KERNEL_JS, kernel)
        shutil.copy(STAGE_JS, stage)
        question = json.dumps({"kernel": kernel.as_uri(), "stage": stage.as_uri(), "folder": str(folder), "jobs": jobs})
        command = [node(), str(HERE / "web_node.mjs")]
        done = subprocess.run(command, input=question, capture_output=True, text=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return asked


def b64(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def tables(state):
    return {name: b64(array) for name, array in state._asdict().items() if isinstance(array, np.ndarray)}


def test_a_system_of_the_page_begins_like_one_of_the_library(in_node):
    asked, expected = [], []
    for policy in POLICIES.values():
        for depth in (1, 2, 3, 4, 5):
            cpus = 1 + depth * 3 // 2
            limits = [-1, 100 * depth, *[None] * (depth - 1)]
            highs = [None, 7, *[-1] * (depth - 1)]
            options = {"parents": list(range(-1, depth)), "cpus": cpus, "policy": policy.name}
            asked.append({"do": "system", "options": options | {"limits": limits, "highs": highs}})
            expected.append(System.chain(depth, cpus=cpus, policy=policy, limits=limits, highs=highs))
    star = {"parents": [-1, 0, 0, 0, 1, 1, 2, 3], "cpus": 8}
    mins, lows = [None, 1, 2, -1, 0, 0, 0, 5], [0, 0, 0, 4, 4, 4, 4, -1]
    asked.append({"do": "system", "options": star | {"policy": "v6.1", "mins": mins, "lows": lows}})
    expected.append(System(star["parents"], cpus=8, policy=V6_1, mins=mins, lows=lows))
    asked.append({"do": "system", "options": star | {"policy": "v4.13", "root": None, "legacy": True, "memsw": True}})
    expected.append(System(star["parents"], cpus=8, policy=V4_13, root=None, legacy=True, memsw=True))
    for got, system in zip(in_node(*asked), expected, strict=True):
        assert got == tables(system.mechanism_state())


def test_the_log_the_state_and_the_snapshot_of_the_page_are_those_of_the_library(in_node):
    system, ops = tree(V4_14), traffic(2000, 3, 6)
    highs = {"limits": [-1, 500, 200, -1, 300, 90], "highs": [-1, 400, -1, 120, -1, -1]}
    options = {"parents": system.parents, "cpus": 3, "policy": "v4.14", "underflow": "record", **highs}
    (got,) = in_node({"do": "steps", "options": options, "ops": b64(ops)})
    log = system.step_through(ops)
    assert got["answer"] == {"done": len(ops), "reason": 0, "allowed": 0}
    assert got["log"] == b64(log.rows)
    assert got["columns"] == {name: log.rows[name].tolist() for name in log.rows.dtype.names}
    assert got["tables"] == tables(system.mechanism_state())
    assert got["snapshot"] == system.snapshot()


def test_operations_are_written_as_the_library_writes_them(in_node):
    listed = [
        {"op": "charge_skmem", "cpu": 1, "memcg": 2, "nr": 33},
        {"op": "set_max", "cpu": 0, "memcg": 1, "nr": -1, "ctx": "task"},
        {"op": "drain_local", "cpu": 3, "ctx": 65},
    ]
    expected = np.concatenate([op(row.pop("op"), **row) for row in (dict(row) for row in listed)])
    assert in_node({"do": "ops", "list": listed}) == [b64(expected)]


@pytest.mark.parametrize(
    ("cpus", "topology"),
    [(1, "2x EPYC 7742"), (5, "2x EPYC 7742"), (64, "2x EPYC 7742, core complexes"), (130, "8x Platinum 8176")],
)
def test_a_machine_of_the_page_begins_and_ends_like_one_of_the_library(cpus, topology, in_node):
    given = {"layout": "v6.1", "lock": "queue lock", "record": 50_000, "topology": topology}
    system, machine = machine_of(V4_14, cpus, **given)
    ops = mixed(40 * cpus, cpus=cpus, memcgs=[2, 3], seed=1)
    settings = {"thinkNs": 700, **given}
    options = {"parents": system.parents, "cpus": cpus, "policy": "v4.14"}
    (got,) = in_node({"do": "machine", "options": options, "ops": b64(ops), "machine": settings, "until": 20_000})
    assert got["before"] == tables(machine.state) | tables(machine)
    assert got["numbers"] == {name: getattr(machine, name) for name in got["numbers"]}
    assert list(got["numbers"]) == [name for name in machine._fields if isinstance(getattr(machine, name), int)]
    assert tuple(bind_machine(V4_14)(machine, 20_000 * run.PS)) == tuple(got["answer"].values())
    assert got["after"] == tables(machine.state) | tables(machine)
    counted = run.counted(machine)
    assert got["counted"] == {name: values.ravel().tolist() for name, values in counted._asdict().items()}
    assert got["lines"] == list(run._names(system, LAYOUTS["v6.1"]))
    assert got["events"] == b64(np.asarray(machine.events)[1 : machine.events["op"][0] + 1])


def test_a_machine_that_stays_in_its_kernel_ends_like_one_that_does_not(in_node):
    system, machine = machine_of(V4_14, 9, layout="v6.1")
    ops = mixed(40 * 9, cpus=9, memcgs=[2, 3], seed=1)
    options = {"parents": system.parents, "cpus": 9, "policy": "v4.14"}
    layout, settings = forms.machines()["layouts"]["v6.1"], {"thinkNs": 700, "topology": "2x EPYC 7742"}
    job = {"do": "machine", "options": options, "ops": b64(ops), "until": 20_000}
    whole, parts = in_node(
        {**job, "machine": {**settings, "layout": "v6.1"}},
        {**job, "machine": {**settings, "layout": layout}, "parts": 8},
    )
    assert parts["counted"] == whole["counted"]
    for part in range(1, 9):  # the tree of clocks is made anew by each call, so both are called as often
        assert bind_machine(V4_14)(machine, 2_500 * part * run.PS) == (0, 0)
    assert parts["after"] == tables(machine.state) | tables(machine)


def test_limits_and_other_charges_begin_a_machine_alike(in_node):
    limits = [-1, -1, 400, 300]
    system = System.chain(3, cpus=4, policy=V4_14, limits=limits)
    unlimited = System.chain(3, cpus=4, policy=V4_14)
    ops = np.concatenate([op(name, cpu=c, memcg=3, nr=2) for c in (2, 0, 3) for name in records.OPS[:4]])
    made = [
        run.lay_out(
            each,
            ops,
            np.arange(len(ops)) * 1000,
            spread=run.spread("uniform"),
            topology=TOPOLOGIES["i7-6700K"],
            layout=LAYOUTS["v5.12"],
            lock="atomic",
            repeat=False,
            seed=7,
            record=0,
        )
        for each in (system, unlimited)
    ]
    settings = {"thinkNs": list(range(len(ops))), "think": "uniform", "topology": "i7-6700K", "layout": "v5.12"}
    settings |= {"repeat": False, "seed": 7}
    options = {"parents": system.parents, "cpus": 4, "policy": "v4.14"}
    jobs = [options | {"limits": limits}, options]
    got = in_node(
        *({"do": "machine", "options": o, "ops": b64(ops), "machine": settings, "until": 5_000} for o in jobs)
    )
    for answer, machine in zip(got, made, strict=True):
        assert answer["before"] == tables(machine.state) | tables(machine)
        bind_machine(V4_14)(machine, 5_000 * run.PS)
        assert answer["after"] == tables(machine.state) | tables(machine)


def test_the_page_checks_the_golden_files_itself(in_node):
    files = [name for name, policy in GOLDEN_POLICY.items() if policy == "v4.14"]
    right, wrong = in_node({"do": "golden", "files": files}, {"do": "golden", "files": files[:1], "change": True})
    scenarios = [s for name in files for s in read_golden(FILES[name])]
    assert right["mismatches"] == []
    assert (right["scenarios"], right["ops"]) == (len(scenarios), sum(len(s.ops) for s in scenarios))
    assert right["fields"] == sum(len(s.state) + sum(map(len, s.expected)) for s in scenarios)
    assert len(wrong["mismatches"]) > 0
    assert {(m["scenario"], m["op"]) for m in wrong["mismatches"][:1]} == {(scenarios[0].config["name"], 4)}


@pytest.mark.slow
def test_the_page_checks_all_golden_files(in_node):
    (found,) = in_node({"do": "golden", "files": list(FILES)})
    assert found["mismatches"] == []
    assert found["scenarios"] == sum(len(read_golden(path)) for path in FILES.values())


WRONG = {
    "lab.system({parents: [0], cpus: 1})": "RangeError: the parent of memcg 0 is 0; it must be a whole number from -1",
    "lab.system({parents: [-1], cpus: 0})": "RangeError: cpus is 0; it must be a whole number from 1 to 65536.",
    "lab.system({parents: [-1, 0], cpus: 1, root: 1})": "RangeError: root is memcg 1, which has a parent.",
    "lab.chain(1, {cpus: 1, limits: [1]})": "RangeError: limits has 1 values; the tree has 2 cgroups.",
    'lab.chain(1, {cpus: 1, policy: "v5"})': 'RangeError: policy "v5" does not exist; there are v4.13, v4.14, ',
    'lab.ops([{op: "charge", cpu: 0}])': 'RangeError: op 0: operation "charge" does not exist; there are charge_skmem',
    'lab.ops([{op: "charge_skmem", cpu: 0, memcg: 1, nr: 1.5}])': "RangeError: op 0: nr is 1.5; it must be a whole ",
    "lab.chain(1, {cpus: 1}).run(lab.ops([]))": 'Error: kernel "replay v4.14" is not ready; await lab.need(',
    'await lab.need("replay", "v5")': 'RangeError: kernel "replay v5" does not exist; there are ',
    'lab.machine(lab.chain(1, {cpus: 1}), lab.ops([{op: "drain_all", cpu: 0, memcg: 1}]))': "RangeError: op 0: op",
    (
        "lab.machine(lab.chain(1, {cpus: 1}), lab.ops([1, 0, 0].map((memcg) => ({op: 0, cpu: 0, memcg, nr: 1}))))"
    ): "RangeError: op 1: memcg 0 is the root.",
    (
        "lab.machine(lab.chain(1, {cpus: 1}), lab.ops([1, 2, 0].map((nr) => ({op: 0, cpu: 0, memcg: 1, nr}))))"
    ): "RangeError: op 2: nr is 0; it must be a whole number from 1 to ",
    'lab.chain(1, {cpus: 1}).tables.counter.get(0, "pages")': 'RangeError: field "pages" does not exist; there are ',
}


def test_wrong_calls_of_the_page_are_told_what_is_allowed(in_node):
    got = in_node(*({"do": "fails", "code": code} for code in WRONG))
    for said, expected in zip(got, WRONG.values(), strict=True):
        assert said.startswith(expected)


@pytest.mark.parametrize(("depth", "leaves", "cpus"), [(1, 1, 2), (2, 2, 2), (5, 2, 8)])
def test_the_stage_follows_the_log_to_the_states_of_history(in_node, depth, leaves, cpus):
    ops = random_traffic(depth, depth, leaves, cpus)
    past = History(System(stage_data.parents(depth, leaves), cpus=cpus, policy=V4_14), ops)
    assert past.failcnt[-1].any()
    options = {"parents": stage_data.parents(depth, leaves), "cpus": cpus, "policy": "v4.14"}
    (states,) = in_node({"do": "follow", "options": options, "ops": b64(ops)})
    assert_states_are_those_of(past, states)


# --- Chromium --------------------------------------------------------------------------------------------------------
PAGE = """<!doctype html><meta charset="utf-8"><title>self-check</title><p id="result"></p><script type="module">
{kernel}
const packed = {files};
const lab = await open({description}, (file) => Uint8Array.from(atob(packed[file]), (letter) => letter.charCodeAt(0)));
const start = performance.now();
const found = await check(lab, {golden});
document.querySelector("#result").textContent = JSON.stringify({{...found, ms: Math.round(performance.now() - start)}});
</script>"""


@pytest.mark.browser
@pytest.mark.slow
def test_a_page_opened_from_a_file_answers_all_golden_files_in_chromium(folder, tmp_path):
    from playwright.sync_api import sync_playwright

    packed = {path.name: base64.b64encode(path.read_bytes()).decode() for path in folder.glob("replay-*.wasm")}
    description, golden = ((folder / name).read_text(encoding="utf-8") for name in ("kernels.json", "golden.json"))
    page_file = tmp_path / "page.html"
    kernel = KERNEL_JS.read_text(encoding="utf-8")
    text = PAGE.format(kernel=kernel, files=json.dumps(packed), description=description, golden=golden)
    page_file.write_text(text, encoding="utf-8")
    requests = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_file.as_uri())
        page.wait_for_function("document.querySelector('#result').textContent !== ''", timeout=300_000)
        found = json.loads(page.inner_text("#result"))
        browser.close()
    print(found["scenarios"], found["ops"], found["fields"], len(found["mismatches"]), found["ms"], "ms")
    assert errors == []
    assert requests == [page_file.as_uri()]
    assert found["mismatches"] == []
    assert found["scenarios"] == sum(len(read_golden(path)) for path in FILES.values())
