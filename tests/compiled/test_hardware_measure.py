"""Measuring: what counts, what is warned of, what the file must hold, and the command."""

import copy
import csv
import importlib
import json
import pathlib
import re
import sys
import threading

import jsonschema
import pytest

from lab_helpers import MODE, ROOT, python
from memcg_lab.__main__ import main
from memcg_lab.hardware import host, measure
from memcg_lab.machine import Measurement, read_measurement
from memcg_lab.machine import measurement as measurement_room
from memcg_lab.machine.measurement import schema

room = importlib.import_module("memcg_lab.hardware.measure")
compiled_only = pytest.mark.skipif(MODE == "nojit", reason="Python has no atomics of the CPU")
DATA = ROOT / "data" / "hardware"
(BUNDLED,) = DATA.glob("*.json")


@pytest.fixture
def data():
    """A measurement as plain data, to be spoilt."""
    return json.loads(BUNDLED.read_text(encoding="utf-8"))


@pytest.fixture
def every_run_counts(monkeypatch):
    """However busy the machine that runs this test is, so that what is measured has its form; three rounds."""
    monkeypatch.setattr(room, "OVERLAP", 0.0)
    monkeypatch.setattr(room, "ROUNDS", 3)


# --- measuring -------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(MODE != "nojit", reason="everything is compiled in this mode")
def test_without_a_compiler_it_says_so(capsys, tmp_path):
    with pytest.raises(ValueError, match="real atomics need compiled code"):
        measure(seconds=1)
    assert main(["measure", "--out", str(tmp_path / "m.json")]) == 2
    assert "memcg_lab measure: real atomics need compiled code" in capsys.readouterr().err


@compiled_only
def test_a_measurement_holds_everything_and_survives_a_file(every_run_counts, tmp_path):
    steps = []
    found = measure(seconds=0.5, progress=lambda done, total: steps.append((done, total)))
    total = steps[0][1]
    assert steps == [(done, total) for done in range(1, total + 1)]
    cpus = found["machine"]["cpus"]
    assert {entry["threads"] for entry in found["contended"]} >= {1, cpus}
    assert found["local"]["atomic"] == found["contended"][0]["ns"]
    keys = {(row["policy"], row["depth"], row["threads"], row["padded"]) for row in found["rules"]}
    assert keys >= {(rule, d, n, True) for rule in ("v4.13", "v4.14") for d in (1, 2, 3, 4) for n in (1, cpus)}
    assert ((("v4.14", 1, cpus, False) in keys) and any(found["transfer"].values())) == (cpus > 1)
    for stat in [entry["ns"] for entry in found["contended"] + found["rules"]]:
        assert 0 < stat["min"] <= stat["median"]
        assert stat["runs"] + stat["discarded"] == 3
    assert found.speedup(depth=2, threads=1) > 0
    assert found.speedup(depth=9, threads=1) is None
    found.save(tmp_path / "m.json")
    again = read_measurement(tmp_path / "m.json")
    assert again == found
    assert str(again) == str(found)


@compiled_only
def test_stopped_in_the_second_round_it_keeps_the_first(every_run_counts):
    stop = threading.Event()
    found = measure(seconds=0.5, stop=stop, progress=lambda done, total: stop.set() if done > total / 3 else None)
    assert found["warnings"][0] == "Stopped after 1 of 3 rounds."
    assert {row["ns"]["runs"] for row in found["rules"]} == {1}


@compiled_only
def test_stopped_in_the_first_round_there_is_nothing_to_report(every_run_counts):
    stop = threading.Event()
    stop.set()
    with pytest.raises(ValueError, match="stopped within the first round"):
        measure(seconds=0.5, stop=stop)


@compiled_only
@pytest.mark.parametrize("seconds", [0, 0.4, 601, "long", None, float("nan")])
def test_seconds_out_of_range_are_named(seconds):
    with pytest.raises(ValueError, match=r"seconds is .*; it must be a number from 0.5 to 600"):
        measure(seconds=seconds)


ONE_CPU = """
import importlib, json, os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from memcg_lab.hardware import measure, run_threads
from memcg_lab import V4_14
importlib.import_module("memcg_lab.hardware.measure").OVERLAP = 0.0
m = measure(seconds=0.5)
print(json.dumps([m["machine"]["cpus"], m["transfer"], [c["threads"] for c in m["contended"]],
    sorted({r["threads"] for r in m["rules"]}), m["warnings"], run_threads(V4_14, threads=1).conserved]))
"""


@pytest.mark.once
@pytest.mark.skipif(not hasattr(host.os, "sched_setaffinity"), reason="this system pins no threads")
def test_one_cpu_alone_measures_what_one_cpu_can():
    cpus, transfer, contended, rules, warnings, conserved = json.loads(python(ONE_CPU))
    assert (cpus, contended, rules, conserved) == (1, [1], [1], True)
    assert transfer == {"smt": None, "same": None, "cross": None}
    assert warnings[0].startswith("There is one CPU only")


# --- what counts -----------------------------------------------------------------------------------------------------
def test_a_figure_is_made_of_the_runs_that_overlapped():
    runs = [(5.0, 1.0, True), (1.0, 0.89, True), (7.0, 0.9, True), (6.0, 0.95, True), (float("inf"), 1.0, True)]
    assert room._stat(runs) == {"min": 5.0, "median": 6.0, "spread": 1.0, "runs": 3, "discarded": 2}
    assert room._stat(runs[1:2]) is None


def collected(monkeypatch, runs, **machine):
    told = {**host.describe(), "load_before": 0.0, "load_after": 0.0, "pinned": True, "virtual": False, **machine}
    where = machine.pop("where", {0: (0, "0"), 1: (0, "1")})
    told.pop("where", None)
    base = {("local", "plain_add"): [(1.0, 1.0, True)] * 3, ("contended", 1): [(2.0, 1.0, True)] * 3}
    return room._collect({**told, "cpus": len(where or (0, 1))}, where, {**base, **runs}, 3, 3)


@pytest.mark.parametrize(
    ("runs", "machine", "says"),
    [
        ({}, {}, None),
        ({("transfer", "same"): [(26.0, 1.0, True)]}, {}, None),
        ({("transfer", "same"): [(10.0, 1.0, True)]}, {}, "10.0 ns. Two threads of one core are that near"),
        ({}, {"where": {0: (0, "0-1"), 1: (0, "0-1")}}, "All CPUs are threads of one core"),
        ({}, {"where": {0: (0, "0")}}, "There is one CPU only"),
        ({}, {"where": None}, "does not tell which CPUs share a core"),
        ({}, {"virtual": True}, "This is a virtual machine"),
        ({}, {"pinned": False}, "could not be kept on their CPUs"),
        ({}, {"load_before": 1.5}, "the load was 1.5 before"),
        ({("contended", 2): [(9.0, 0.5, True)] * 3}, {}, "3 of 9 runs were discarded"),
        ({("rules", "v4.14", 1, 2, True): [(9.0, 0.5, True)]}, {}, "No run is left of: v4.14, depth 1, threads 2."),
        ({("rules", "v4.13", 3, 2, False): [(9.0, 0.5, True)]}, {}, "of: v4.13, depth 3, threads 2, unpadded."),
        ({("transfer", "same"): [], ("contended", 2): []}, {}, "of: a line's way, same; atomic add, threads 2."),
    ],
)
def test_it_warns_where_figures_do_not_mean_what_they_seem(monkeypatch, runs, machine, says):
    warnings = collected(monkeypatch, runs, **machine)["warnings"]
    assert bool(warnings) == bool(says)
    if says:
        assert says in " ".join(warnings)


def test_a_machine_too_busy_for_one_thread_is_an_error(monkeypatch):
    with pytest.raises(ValueError, match="too busy: in none of 3 runs of plain_add"):
        collected(monkeypatch, {("local", "plain_add"): [(1.0, 0.5, True)] * 3})


# --- the machine -----------------------------------------------------------------------------------------------------
def topology(folder, cpus):
    """A folder as /sys has it; ``cpus`` is {cpu: (socket, siblings)}."""
    for cpu, (socket, siblings) in cpus.items():
        path = folder / f"cpu{cpu}" / "topology"
        path.mkdir(parents=True)
        (path / "physical_package_id").write_text(f"{socket}\n")
        (path / "thread_siblings_list").write_text(f"{siblings}\n")
    return folder


TWO_SOCKETS = {0: (0, "0,4"), 1: (0, "1,5"), 2: (1, "2,6"), 4: (0, "0,4"), 5: (0, "1,5"), 6: (1, "2,6")}


def test_places_are_read_as_the_system_tells_them(tmp_path):
    assert host.places(TWO_SOCKETS, topology(tmp_path, TWO_SOCKETS)) == TWO_SOCKETS
    assert host.places([0, 1], tmp_path / "none") is None
    (tmp_path / "cpu5" / "topology" / "physical_package_id").write_text("unknown\n")
    assert host.places(TWO_SOCKETS, tmp_path) is None


def test_threads_take_one_cpu_of_each_core_before_the_siblings():
    assert host.spread_out([0, 1, 2, 4, 5, 6], TWO_SOCKETS) == [0, 1, 2, 4, 5, 6]
    assert host.spread_out([0, 4, 1], TWO_SOCKETS) == [0, 1, 4]
    assert host.spread_out([3, 1], None) == [3, 1]


def test_pairs_are_sorted_by_what_lies_between():
    pairs = host.pairs_by_distance(list(TWO_SOCKETS), TWO_SOCKETS, most=100)
    assert pairs["smt"] == [(0, 4), (1, 5), (2, 6)]
    assert pairs["same"] == [(0, 1), (0, 5), (1, 4), (4, 5)]
    assert len(pairs["cross"]) == 8
    assert host.pairs_by_distance([0, 1], None) == {"smt": [], "same": [(0, 1)], "cross": []}
    many = host.pairs_by_distance(list(range(40)), None)["same"]
    assert 1 < len(many) <= 8
    assert many[0] == (0, 1)


def test_the_machine_is_described_without_its_name(monkeypatch):
    told = host.describe()
    assert 1 <= told["cpus"] <= told["cpus_online"]
    assert host.platform.node() not in json.dumps(told) or not host.platform.node()
    monkeypatch.setattr(host, "CPUINFO", pathlib.Path("no such file"))
    monkeypatch.setattr(host.platform, "system", lambda: "Linux")
    assert (host.describe()["model"], host.describe()["virtual"]) == ("not told", None)


def test_a_thread_that_cannot_be_pinned_is_told():
    if sys.platform == "linux":
        assert host.pin(10**6) is False
    else:
        assert host.pin(host.usable_cpus()[0]) in (True, False)


# --- the file --------------------------------------------------------------------------------------------------------
def test_the_bundled_measurement_is_one():
    found = read_measurement(BUNDLED)
    assert found["date"] in BUNDLED.name
    assert found.speedup(depth=1, threads=2) > 1


def paths(value, where=""):
    """Every field of nested data, as (container, key, its name)."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        name = f"{where}[{key}]" if isinstance(value, list) else f"{where}.{key}" if where else key
        yield value, key, name
        yield from paths(inner, name)


OPTIONAL = {"cpus_online", "load_after", "pinned"}


def test_each_missing_field_is_named(data):
    count = 0
    for container, key, name in list(paths(data)):
        if isinstance(container, dict) and key not in OPTIONAL:
            value = container.pop(key)
            with pytest.raises(ValueError, match=f"^{re.escape(name)} is missing"):
                Measurement(data)
            container[key] = value
            count += 1
    Measurement(data)
    assert count > 100


def test_each_field_of_a_wrong_type_is_named(data):
    for container, key, name in list(paths(data)):
        value, container[key] = container[key], {"no": "such"} if isinstance(container[key], list) else [1]
        with pytest.raises(ValueError, match=f"^{re.escape(name)} is "):
            Measurement(data)
        container[key] = value


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: d.update(schema="memcg-lab measurement 2"), 'schema is "memcg-lab measurement 2"; it must be'),
        (lambda d: d.update(date="today"), 'date is "today"; it must look like'),
        (lambda d: d.update(date="2026-13-40"), 'date is "2026-13-40"; there is no such day'),
        (lambda d: d["machine"].update(cpus=0), "machine.cpus is 0; it must be 1 or more"),
        (lambda d: d["machine"].update(cpus=True), "machine.cpus is true; it must be of type integer"),
        (lambda d: d["machine"].update(sockets="one"), 'machine.sockets is "one"; it must be of type integer or null'),
        (lambda d: d["local"]["atomic"].update(median=-1), "local.atomic.median is -1; it must be 0 or more"),
        (lambda d: d["local"]["atomic"].update(runs=0), "local.atomic.runs is 0; it must be 1 or more"),
        (lambda d: d["transfer"].update(same=5), "transfer.same is 5; it must be of type object or null"),
        (lambda d: d["contended"].append(7), "] is 7; it must be of type object"),
        (lambda d: d["rules"][3].update(policy="v6"), 'rules[3].policy is "v6"; it must be one of: "v4.13"; "v4.14"'),
        (lambda d: d["machine"].update(cpus=2.0), "machine.cpus is 2.0; it must be of type integer"),
        (lambda d: d["machine"].update(model="a\ud800b"), 'machine.model is "a\\ud800b"; it holds half a character'),
        (lambda d: d.update({"\udfff": 1}), 'a name in the measurement is "\\udfff"; it holds half a character'),
        (lambda d: d.update(mine={"deep": ["\ud800"]}), 'mine.deep[0] is "\\ud800"; it holds half a character'),
        (lambda d: d["warnings"].append(None), "] is null; it must be of type string"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(data, tmp_path, spoil, says):
    spoil(data)
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is compared below
        read_measurement(tmp_path / "m.json")
    assert says in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path / 'm.json'}: ")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "line 1: not JSON"),
        (b'{"schema": 1,\n "date"', "line 2: not JSON"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "the measurement is []; it must be of type object"),
        (b"5", "the measurement is 5"),
        (b"{}", "schema is missing"),
        (b'{"schema": NaN}', "NaN is no number"),
        (b'{"date": 1e400}', "1e400 is beyond every number that can be saved again"),
        (b'{"date": -1e400}', "-1e400 is beyond every number that can be saved again"),
        (b'{"date": %s}' % (b"7" * 401), "is a number of 401 digits; at most 30 are read"),
        (b'{"date": -%s}' % (b"7" * 5000), "is a number of 5,000 digits"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_a_file_that_is_no_measurement_is_named(tmp_path, content, says):
    path = tmp_path / "m.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is compared below
        read_measurement(path)
    assert says in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_folder_is_no_measurement(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_measurement(tmp_path)
    with pytest.raises(ValueError, match="cannot be written"):
        read_measurement(BUNDLED).save(tmp_path)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("inf"), "local.atomic.min is inf; it must be a finite number"),
        (float("nan"), "local.atomic.min is nan; it must be a finite number"),
        (10**400, "local.atomic.min is a number of more than 30 digits"),
        ({1: 2}, "local.atomic.min has a field named 1; names are texts"),
        (1 + 2j, "local.atomic.min is (1+2j); JSON has no such type"),
        (b"7", "local.atomic.min is b'7'; JSON has no such type"),
    ],
    ids=["inf", "nan", "401 digits", "name", "complex", "bytes"],
)
def test_what_json_cannot_hold_is_refused_before_it_is_kept_and_before_it_is_saved(data, tmp_path, value, says):
    found = Measurement(copy.deepcopy(data))
    data["local"]["atomic"]["min"] = found["local"]["atomic"]["min"] = value
    for action in (lambda: Measurement(data), lambda: found.save(tmp_path / "m.json")):
        with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is compared below
            action()
        assert says in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_measurement_within_itself_is_refused(data):
    data["mine"] = data
    with pytest.raises(ValueError, match=r"mine\.mine\.mine\.\.\. is nested too deep"):
        Measurement(data)


@pytest.mark.once
def test_whatever_is_read_can_be_saved_and_whatever_is_refused_is_named(data, tmp_path):
    refused, wrong = 0, (None, True, -1, 0, 2.5, "text", [], {}, [None], "v4.14", "2026-01-01", float("inf"), 10**40)
    for container, key, name in list(paths(data))[::9]:
        original = container[key]
        for value in wrong:
            container[key] = copy.copy(value)
            message = ""
            (tmp_path / "m.json").unlink(missing_ok=True)
            try:
                Measurement(data).save(tmp_path / "m.json")
            except ValueError as error:
                message = str(error)
            refused += bool(message)
            assert message.startswith(re.split(r"[.[]", name)[0]) if message else read_measurement(tmp_path / "m.json")
        container[key] = original
    assert refused > 200


def test_the_schema_is_one_and_each_of_its_words_has_words():
    jsonschema.Draft202012Validator.check_schema(schema())
    held = set(jsonschema.Draft202012Validator.VALIDATORS)
    silent = {"$ref", "properties", "items", "required"}  # they lead to others, or are told as missing

    def words(rule):
        if isinstance(rule, dict):
            for key, value in rule.items():
                yield key
                inner = value.values() if key in ("properties", "$defs") else [value]
                for one in inner:
                    yield from words(one)

    assert (set(words(schema())) & held) - silent == set(measurement_room._ALLOWED)


def test_what_a_terminal_would_obey_is_printed_as_text(data):
    data["machine"]["model"], data["warnings"] = "\x1b]0;owned\x07", ["\x1bc"]
    shown = str(Measurement(data))
    assert "\x1b" not in shown
    assert "\\x1b" in shown


def test_the_table_has_a_row_for_each_figure(data):
    lines = str(Measurement(data)).splitlines()
    contended = sum(entry["threads"] > 1 for entry in data["contended"])
    transfers = sum(stat is not None for stat in data["transfer"].values())
    assert len(lines) == 2 + 2 + contended + transfers + len(data["rules"]) + len(data["warnings"])
    assert lines[0].startswith(data["machine"]["model"])


# --- the command -----------------------------------------------------------------------------------------------------
@compiled_only
def test_the_command_writes_the_file_and_prints_the_table(every_run_counts, capsys, tmp_path):
    path = tmp_path / "m.json"
    assert main(["measure", "--out", str(path), "--seconds", "0.5"]) == 0
    assert capsys.readouterr().out == f"{read_measurement(path)}\n"


@pytest.mark.parametrize("kind", ["a folder", "no folder", "no seconds"])
def test_the_command_refuses_what_it_cannot_do_before_it_measures(capsys, tmp_path, kind):
    out, seconds, says = {
        "a folder": (tmp_path, "1", "this is a folder"),
        "no folder": (tmp_path / "none" / "m.json", "1", "there is no such folder"),
        "no seconds": (tmp_path / "m.json", "0", "seconds is 0.0" if MODE != "nojit" else "NUMBA_DISABLE_JIT"),
    }[kind]
    assert main(["measure", "--out", str(out), "--seconds", seconds]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("memcg_lab measure: ")
    assert says in captured.err
    assert list(tmp_path.iterdir()) == []


def test_interrupted_the_command_writes_nothing_and_says_so(monkeypatch, capsys, tmp_path):
    def interrupt(**arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("memcg_lab.hardware.measure", interrupt)
    assert main(["measure", "--out", str(tmp_path / "m.json")]) == 130
    assert "memcg_lab measure: interrupted." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- published tables ------------------------------------------------------------------------------------------------
def test_published_tables_have_a_source_in_every_row():
    with open(DATA / "published.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 90
    keys = set()
    for row in rows:
        assert row["source"]
        assert float(row["value"]) > 0
        assert int(row["threads"]) >= 1
        assert row["unit"] in ("ns", "cycles")
        assert row["kind"] in ("local", "transfer", "contended")
        assert (row["distance"] in ("smt", "same", "cross")) == (row["kind"] == "transfer")
        keys.add(tuple(row[name] for name in ("kind", "cpu", "operation", "distance", "threads")))
    assert len(keys) == len(rows)


def test_no_published_distance_within_a_core_is_as_far_as_the_limit_and_none_between_cores_is_nearer():
    with open(DATA / "published.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["operation"] == "compare-and-exchange" and row["distance"]]
    for row in rows:
        assert (float(row["value"]) < room.SMT_NS) == (row["distance"] == "smt"), row
    assert len(rows) > 30
