"""A lab is driven without a browser: its sentence, picture and table follow every setting, and no error escapes."""

import html
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from memcg_lab import (
    CAP_ONLY,
    UNCHARGE_ONLY,
    V4_13,
    V4_14,
    ContentionLab,
    CounterLab,
    DriftLab,
    PatchLab,
    ProfileLab,
    StockLab,
    System,
    figures,
    history,
    mixed,
    op,
)
from memcg_lab.checks import whole_number
from memcg_lab.course import quotes
from memcg_lab.history import History
from memcg_lab.labs import Lab, TraceLab, base, trace
from memcg_lab.labs.stage import data as stage_data
from memcg_lab.mechanism import records

BACK_AND_FORTH = "one CPU charges, another gives back"


@pytest.fixture
def lab():
    return PatchLab()


def run(traffic, depth=2):
    return PatchLab(traffic=traffic, depth=depth).result.pasts


# --- the machines behind the lab


@pytest.mark.parametrize("policy", [V4_13, V4_14], ids=lambda p: p.name)
def test_every_state_is_what_single_operations_give(policy):
    parents = [-1, 0, 1, 1]
    ops = mixed(300, cpus=2, memcgs=(2, 3), in_flight=25, seed=5)
    past, system = History(System(parents, cpus=2, policy=policy), ops), System(parents, cpus=2, policy=policy)
    for k in range(len(ops) + 1):
        state = past.state(k)
        assert state.usage == tuple(system.usage)
        assert state.sock == tuple(system.sock)
        assert state.css == tuple(system.snapshot()["css"])
        assert state.stock == tuple(tuple(stock) for stock in system.stock)
        assert state.watermark == tuple(system.snapshot()["max"])
        assert state.failcnt == tuple(system.snapshot()["failcnt"])
        assert past.total[k] == system.work().atomics
        if k < len(ops):
            system.replay(ops[k : k + 1])


def test_watermarks_failures_and_limits_of_refused_charges_are_kept():
    ops = np.concatenate(
        [op("try_charge", cpu=0, memcg=2, nr=n, ctx=c) for n in (40, 90, 1) for c in ("softirq", "task")]
        + [op("set_max", cpu=0, memcg=2, nr=7, ctx="task"), op("set_max", cpu=0, memcg=1, nr=-1, ctx="task")]
    )
    limits = [-1, 100, -1]
    past = History(System.chain(2, cpus=1, limits=limits), ops)
    system = System.chain(2, cpus=1, limits=limits)
    for k in range(len(ops)):
        system.replay(ops[k : k + 1])
        assert past.state(k + 1).watermark == tuple(system.snapshot()["max"])
        assert past.state(k + 1).failcnt == tuple(system.snapshot()["failcnt"])
        assert past.limit[k + 1].tolist() == system.snapshot()["limit"]
    assert past.state(len(ops)).failcnt[1] > 0
    assert past.limit[-1].tolist()[2] == 7


@pytest.mark.parametrize("traffic", PatchLab.traffics)
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_every_traffic_gives_all_back(traffic, depth):
    pasts = run(traffic, depth)
    for past in pasts:
        assert len(past) == len(PatchLab.traffic[traffic].ops)
        assert not past.sock[-1].any()
    assert pasts[0].sock.tolist() == pasts[1].sock.tolist()  # the statistic never differs


def test_the_lines_of_the_patch_are_those_of_the_diff():
    changed = [line for _, line in quotes.show_patch().lines if re.match(r"[+-](?![+-])", line)]
    assert [line[0] + line[1:].strip() for line in changed] == list(history.PATCH_LINES)


def test_every_changed_line_is_reached_by_some_step():
    reached = set()
    for traffic in PatchLab.traffics:
        for past in run(traffic):
            for k in range(len(past)):
                reached.update(past.lines(k))
                tested = past.cap_test(k)
                if tested is not None:
                    reached.add(history.CAP_TEST)
                    assert (tested > 32) == (history.CAP_DRAIN in past.lines(k))
    assert reached == {None, *range(len(history.PATCH_LINES))}


def test_each_machine_runs_only_its_own_lines():
    before, after = run("two cgroups take turns on one CPU")
    old = {history.OLD_UNCHARGE, history.OLD_PUT}
    new = {history.CAP_DRAIN, history.NEW_REFILL}
    assert {line for k in range(400) for line in before.lines(k)} == old | {None}
    assert {line for k in range(400) for line in after.lines(k)} <= new | {None}
    assert all(before.cap_test(k) is None for k in range(400))


# --- the patch lab


def test_the_sentence_says_operation_cost_and_sums(lab):
    lab.set(position=66)
    assert lab.message == (
        "66 of 400: CPU 1 gives back 1 page of A. Before: straight to the counters, 3 atomics. After: the stock passes "
        "32 and is emptied, 3 atomics. So far 105 and 9 atomics."
    )
    assert lab.sentence() == lab.message
    assert html.escape(lab.message) in lab.to_html()


def test_the_table_agrees_with_the_sentence_and_the_state(lab):
    lab.set(position=130)
    table = lab.table()
    so_far = table.loc["atomics so far"]
    assert f"So far {so_far['Before']} and {so_far['After']} atomics." in lab.message
    state = lab.result.pasts[0].state(130)
    assert table.loc["pages in the counter of root", "Before"] == state.usage[0]
    assert table.loc["pages in sockets of A", "Before"] == state.sock[2]
    assert table.loc["references of A", "Before"] == state.css[2]
    assert table.loc["pages in the stock of CPU 1", "After"] == 32
    assert table.loc["owner of the stock of CPU 1"].tolist() == ["none", "A"]
    limited = PatchLab(traffic="a limit is met", position=3).table()
    assert limited.loc["limit of A"].tolist() == ["48", "48"]
    assert limited.loc["limit of B"].tolist() == ["none", "none"]


@pytest.mark.parametrize(
    ("machine", "policy"), [("After", V4_14), ("Hunk 1 alone", CAP_ONLY), ("Hunk 2 alone", UNCHARGE_ONLY)]
)
def test_the_table_agrees_with_a_run(machine, policy):
    lab = PatchLab(machine=machine, position=400)
    ops = lab.result.pasts[0].ops
    for name, rules in (("Before", V4_13), (machine, policy)):
        system = System([-1, 0, 1, 1], cpus=2, policy=rules)
        assert lab.table().loc["atomics so far", name] == system.replay(ops).atomics
    assert f"{machine.lower()} " in lab.figure().caption


DEEDS = {
    (BACK_AND_FORTH, 1): "Both machines: a miss, 3 atomics.",
    (BACK_AND_FORTH, 2): "After: into the stock, no atomic.",
    (BACK_AND_FORTH, 3): "Both machines: served from the stock, no atomic.",
    (BACK_AND_FORTH, 66): "After: the stock passes 32 and is emptied, 3 atomics.",
    ("33 pages at a time", 1): "Both machines: too large for the stock, 3 atomics.",
    ("33 pages at a time", 2): "After: the stock passes 32 and is emptied, 3 atomics.",
    ("two cgroups take turns on one CPU", 2): "A's 31 pages are drained first",
    ("a limit is met", 1): "CPU 0 sets the limit of A to 48 pages.",
    ("ten pages are on their way", 12): "After: into the stock",
}


@pytest.mark.parametrize(("where", "told"), DEEDS.items(), ids=str)
def test_each_deed_is_told_by_its_steps(where, told):
    traffic, position = where
    assert told in PatchLab(traffic=traffic, position=position).message


@pytest.mark.parametrize("traffic", PatchLab.traffics)
@pytest.mark.parametrize("depth", [1, 5])
def test_the_extremes_of_every_setting_work(traffic, depth):
    lab = PatchLab()
    for position in (0, 1, len(PatchLab.traffic[traffic].ops)):
        lab.set(traffic=traffic, depth=depth, position=position, cpus=8, machine="Hunk 1 alone")
        assert "That did not work" not in lab.message
        assert lab.settings()["traffic"] == traffic
        assert lab.settings()["position"] == position
        assert len(lab.table()) == 1 + 5 * (depth + 2) + 2 * 8 + 2
        assert lab.figure().sentence.startswith("Line chart")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"depth": 0}, "depth is 0; it must be a whole number from 1 to 5"),
        ({"depth": 6}, "1 to 5"),
        ({"depth": 2.0}, "whole number"),
        ({"depth": True}, "whole number"),
        ({"position": -1}, "0 to 400"),
        ({"position": 401}, "0 to 400"),
        ({"position": 89, "traffic": "a limit is met"}, "0 to 46"),
        ({"traffic": "none"}, "one CPU charges and gives back;"),
        ({"traffic": ["a"]}, "it must be one of"),
        ({"cgroups": 9}, "1 to 8"),
        ({"pictures": 1}, "2 to 4"),
        ({"pictures": 5}, "2 to 4"),
        ({"fork": 401}, "0 to 400"),
        ({"own": 7}, "own is 7; it must be a text such as '0a.1x3,1a-2'."),
        ({"own": "0a.1,9"}, "own, operation 2: 9 is no operation; one reads 0a.1"),
        ({"own": "0a.1x2,2a.1"}, "own, operation 3: 2a.1 names CPU 2; this tree has 0 to 1."),
        ({"own": "0c.1"}, "own, operation 1: 0c.1 names leaf 3; this tree has 1 to 2."),
        ({"own": "0=4:1"}, "own, operation 1: 0=4:1 names cgroup 4; this tree has 1 to 3."),
        ({"own": ",".join(["0a.1x999"] * 101)}, "more operations than a walk may have here, 100,000"),
        ({"own": "0a.1", "fork": 3, "position": 5}, "0 to 4"),
        ({"cgroups": 1, "traffic": "a mixture"}, "cgroups is 1; the traffic 'a mixture' needs 2."),
        ({"cpus": 1}, "2 to 8"),
        ({"machine": "v4.14"}, "it must be one of: After; Hunk 1 alone; Hunk 2 alone"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(settings, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        PatchLab(**settings)
    lab = PatchLab(position=5)
    with pytest.raises(ValueError, match=re.escape(why)):
        lab.set(**settings)
    assert lab.settings() == PatchLab(position=5).settings()  # nothing has changed


def test_an_unknown_setting_is_refused(lab):
    with pytest.raises(
        ValueError, match="there are traffic, depth, cgroups, cpus, machine, pictures, fork, own, position"
    ):
        lab.set(speed=1)
    with pytest.raises(
        ValueError, match="its settings are traffic, depth, cgroups, cpus, machine, pictures, fork, own, position"
    ):
        PatchLab(speed=1)


# --- what Python answers the stage


STEP = np.dtype(
    {
        "names": list(stage_data.common()["forms"]["records"]["step"]["fields"]),
        "formats": [f["kind"] for f in stage_data.common()["forms"]["records"]["step"]["fields"].values()],
        "offsets": [f["offset"] for f in stage_data.common()["forms"]["records"]["step"]["fields"].values()],
        "itemsize": stage_data.common()["forms"]["records"]["step"]["size"],
    }
)


def steps_question(lab, past, ops, limits=None):
    depth, cgroups, cpus = lab._sizes(lab.settings())
    tree = {"parents": stage_data.parents(depth, cgroups), "cpus": cpus, "limits": limits}
    return {"ask": "steps", "tree": tree, "past": past, "ops": ops}


def test_python_answers_with_the_rows_of_the_new_operations_alone():
    lab = PatchLab(traffic="a mixture")
    rows = [[code, cpu, leaf + 2, nr, ctx] for code, cpu, leaf, nr, ctx in lab.rows(lab.settings())]
    for split in (0, 1, 77, len(rows)):
        answer = lab.answer(json.loads(json.dumps(steps_question(lab, rows[:split], rows[split:]))))
        assert answer["refused"] is None
        for machine, blob, state in zip(lab.machines, answer["blobs"], answer["states"], strict=True):
            past = History(System([-1, 0, 1, 1], cpus=2, policy=machine.policy), stage_data.stream(rows))
            expected = past.log.rows[past.log.rows["op"] >= split]
            found = np.frombuffer(blob, STEP)
            assert [tuple(map(int, row)) for row in found] == [tuple(map(int, row)) for row in expected]
            assert state["counter.count"] == past.usage[-1].tolist()
            assert state["atomics"] == past.total[-1]
            json.dumps(state)


def test_python_says_what_is_refused_and_runs_what_comes_before(lab):
    charge, too_much = [0, 0, 2, 3, 1], [1, 1, 2, 7, 1]
    answer = lab.answer(steps_question(lab, [charge], [charge, too_much, charge]))
    assert answer["refused"] == {"at": 1, "reason": int(records.BAD_UNDERFLOW), "allowed": 6}
    assert answer["states"][0]["sock"] == [0, 0, 6, 0]
    with pytest.raises(ValueError, match="answers no question such as 'time'"):
        lab.answer({"ask": "time"})


@pytest.mark.parametrize("make", [PatchLab, CounterLab, StockLab, DriftLab, TraceLab], ids=lambda lab: lab.__name__)
def test_what_the_front_end_is_told_is_plain(make):
    told = make().data()
    assert json.loads(json.dumps(told)) == json.loads(json.dumps(told, sort_keys=True))
    assert len(json.dumps(told)) < 400_000
    if make is not TraceLab:
        assert len(told["quests"]) == 3
        assert set(told["traffic"]) == set(make.traffics)


# --- every lab


class Doubler(Lab):
    """The smallest lab."""

    def __init__(self, *, number=1):
        super().__init__(number=number)

    def check(self, settings):
        return {"number": whole_number("number", settings["number"], 0, 9)}

    def compute(self, settings):
        if settings["number"] == 7:
            raise RuntimeError("seven <b>is</b> out of order")
        return 2 * settings["number"]

    def figure(self, result=None):
        return figures.atomics_over_ops({"after": [0, self.result if result is None else result]})

    def sentence(self, result=None):
        return f"The double is {self.result if result is None else result}."

    def table(self, result=None):
        return pd.DataFrame({"double": [self.result if result is None else result]})

    def answer(self, question):
        if question.get("ask") == "bytes":
            return {"seen": True, "blobs": [b"\x01\x02"]}
        return {"tenth": question["number"] / question["by"]}


LABS = {
    "PatchLab": lambda: PatchLab(position=66),
    "ProfileLab": lambda: ProfileLab(marked=["page_counter_cancel"]),
    "CounterLab": lambda: CounterLab(),
    "StockLab": lambda: StockLab(position=33),
    "DriftLab": lambda: DriftLab(),
    "ContentionLab": lambda: ContentionLab(),
    "TraceLab": lambda: TraceLab(),
    "Doubler": lambda: Doubler(number=2),
}


@pytest.fixture(params=LABS.values(), ids=LABS)
def any_lab(request):
    return request.param()


class Page:
    """What a page hears from a lab, and says to it."""

    def __init__(self, lab, monkeypatch):
        self.lab, self.heard = lab, []
        monkeypatch.setattr(lab, "send", lambda content, buffers=None: self.heard.append((content, buffers)))

    def ask(self, **question):
        self.lab._handle_custom_msg({"id": "a 1", "question": question}, [])
        content, blobs = self.heard.pop()
        assert content["id"] == "a 1"
        return content["answer"], blobs

    def choose(self, **settings):
        self.lab.set_state({"chosen": settings})


@pytest.fixture
def doubler(monkeypatch):
    return Page(Doubler(number=2), monkeypatch)


def test_the_page_chooses_and_python_follows(doubler):
    doubler.choose(number=8)
    assert doubler.lab.message == "The double is 16."
    assert doubler.lab.settings() == {"number": 8}
    assert doubler.heard == []


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"number": 7}, "seven <b>is</b> out of order"),
        ({"number": 10}, "number is 10; it must be a whole number from 0 to 9"),
        ({"speed": 1}, "'speed' is no setting of this lab; there are number"),
    ],
)
def test_what_the_page_may_not_choose_becomes_a_sentence_and_the_last_good_settings_stay(doubler, settings, why):
    picture = doubler.lab.figure().png()
    doubler.choose(**settings)
    said = f"That did not work: {why}. The lab still shows the last settings that did."
    assert doubler.heard == [({"say": said}, None)]
    assert doubler.lab.message == said
    assert "<b>" not in doubler.lab.to_html()
    assert doubler.lab.chosen == {"number": 2} == doubler.lab.settings()
    assert doubler.lab.figure().png() == picture
    doubler.choose(number=8)
    assert doubler.lab.message == "The double is 16."


def test_a_question_gets_its_answer_with_bytes_beside_it_and_an_error_becomes_a_sentence(doubler):
    assert doubler.ask(ask="data") == ({}, [])
    assert doubler.ask(ask="tenth", number=5, by=10) == ({"tenth": 0.5}, [])
    assert doubler.ask(ask="bytes") == ({"seen": True}, [b"\x01\x02"])
    answer, _ = doubler.ask(ask="tenth", number=1, by=0)
    assert answer["error"].startswith("That did not work: division by zero.")
    assert "Traceback" not in answer["error"]
    doubler.lab._handle_custom_msg({"id": "odd"}, [])
    assert doubler.heard.pop()[0]["answer"]["error"].startswith("That did not work: 'question'")


def test_python_chooses_and_the_page_is_told(doubler):
    doubler.lab.set(number=3)
    assert doubler.lab.chosen == {"number": 3}
    with pytest.raises(RuntimeError, match="out of order"):
        doubler.lab.set(number=7)
    assert doubler.lab.message == "The double is 6."
    assert doubler.lab.chosen == {"number": 3}


def test_a_lab_reads_without_a_kernel(any_lab):
    data = any_lab._repr_mimebundle_()
    assert {"text/plain", "text/html", "image/png", "application/vnd.jupyter.widget-view+json"} == set(data)
    name = type(any_lab).__name__
    assert data["text/plain"] == f"{name}: {any_lab.sentence(any_lab.result)}"
    assert data["image/png"].startswith("iVBOR")
    assert "Run this cell to make it live." in data["text/html"]
    assert re.search(r'<img alt="[^"]{20,}"', data["text/html"])
    assert "<details><summary>The numbers</summary>" in data["text/html"]
    told = re.match(r'<figure data-memcg-lab="(\w+)" data-settings="([^"]*)" style="[^"]*">', data["text/html"])
    assert told[1] == name
    assert json.loads(html.unescape(told[2])) == json.loads(json.dumps(any_lab.told()))
    assert not re.search(r"<style|<script|onclick|data-memcg-live", data["text/html"])


def test_in_a_notebook_of_a_jupyter_server_the_output_names_no_widget(any_lab, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "a notebook")
    data = any_lab._repr_mimebundle_()
    assert {"text/plain", "text/html", "image/png"} == set(data)
    assert f'data-memcg-live="{any_lab.live}"' in data["text/html"]


def test_a_lab_looks_the_same_twice(any_lab):
    first, again = any_lab._repr_mimebundle_(), any_lab._repr_mimebundle_()
    for mime in ("text/plain", "text/html", "image/png"):
        assert first[mime] == again[mime]
        assert not re.search(r"0x[0-9a-f]{6}|\b[0-9a-f]{32}\b", first[mime] if mime != "image/png" else "")
    assert "0x" not in repr(any_lab)


def test_the_front_end_is_one_script_without_an_export_of_its_parts():
    script = Doubler()._esm
    assert re.findall(r"^export .*", script, re.M) == ["export default { initialize, render };"]
    assert not re.search(r"^import |https?://(?!www\.w3\.org/2000/svg)", script, re.M)
    assert base.front_end() in script


def test_the_line_of_code_makes_any_lab_again(any_lab):
    twin = eval(any_lab.code_line(), {type(any_lab).__name__: type(any_lab)})
    assert twin.settings() == any_lab.settings()
    assert repr(twin) == repr(any_lab)


def test_a_lab_goes_through_json(any_lab):
    text = any_lab.to_json()
    for reader in (Lab, type(any_lab)):
        twin = reader.from_json(text)
        assert type(twin).__name__ == type(any_lab).__name__
        assert repr(twin) == repr(any_lab)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is no JSON; it must be what to_json() gave."),
        (7, "7 is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"lab": "MeasureLab", "settings": {"seconds": 5, "seconds": 6}}', "a field is there twice; it must be"),
        ("[]", 'it must be {"lab": name, "settings": {...}}.'),
        ('{"lab": "MeasureLab", "settings": 5}', "this is no lab"),
        ('{"lab": "Lab", "settings": {}}', "lab is 'Lab'; it must be one of: "),
        ('{"lab": ["TraceLab"], "settings": {}}', "it must be one of: "),
        (
            '{"lab": "MeasureLab", "settings": {"seconds": 99}}',
            "seconds is 99; it must be a whole number from 2 to 60.",
        ),
        ('{"lab": "MeasureLab", "settings": {"speed": 1}}', "its settings are seconds"),
        (
            '{"lab": "MeasureLab", "settings": {}, "wheels": 4}',
            "'wheels' is no field of a lab's JSON; there are lab, settings.",
        ),
        (
            '{"lab": "PatchLab", "settings": {}, "position": 1}',
            "'position' is no field of a lab's JSON; there are lab, settings.",
        ),
        (
            '{"lab": "DriftLab", "settings": {}, "place": 1}',
            "'place' is no field of a lab's JSON; there are lab, settings, position.",
        ),
        ('{"lab": "DriftLab", "settings": {}, "position": -1}', "position is -1; it must be a whole number from 0 to "),
    ],
)
def test_what_is_no_lab_is_refused_in_a_sentence(text, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        Lab.from_json(text)


def test_where_the_reader_is_may_stand_beside_the_settings_of_a_lab_that_has_no_place_in_them():
    lab = Lab.from_json('{"lab": "DriftLab", "settings": {"own": "0a.2", "fork": 0}, "position": 1}')
    assert lab.settings()["own"] == "0a.2"
    with pytest.raises(ValueError, match=re.escape("position is 2; it must be a whole number from 0 to 1.")):
        Lab.from_json('{"lab": "DriftLab", "settings": {"own": "0a.2", "fork": 0}, "position": 2}')


def test_a_lab_reads_no_other_lab():
    with pytest.raises(ValueError, match=re.escape("lab is 'PatchLab'; it must be one of: TraceLab.")):
        TraceLab.from_json('{"lab": "PatchLab", "settings": {}}')


def test_every_lab_has_three_things_to_find(any_lab):
    if isinstance(any_lab, Doubler):
        return
    quests = any_lab.data()["quests"]
    assert len({quest["name"] for quest in quests}) == 3
    for quest in quests:
        assert quest["ask"].endswith(".")
        assert quest["found"].endswith((".", "}"))


def test_the_rules_predict_one_event_wrongly_in_all_recordings():
    wrong = [
        (name, k + 1)
        for name in TraceLab.recordings
        for k, (row, predicted) in enumerate(zip(trace.walk(name).rows, trace.walk(name).predicted, strict=True))
        if row.avail >= 0 and predicted is not None and predicted != (max(row.cached, 0), row.avail)
    ]
    assert wrong == [("6.1: sender and receiver on one CPU", 67)]
    assert sum(len(trace.walk(name).rows) for name in TraceLab.recordings) == 8000


def test_an_unknown_setting_of_any_lab_is_refused(any_lab):
    with pytest.raises(ValueError, match="is no setting of this lab; there are "):
        any_lab.set(speed=1)


def test_a_base_lab_says_what_is_missing():
    with pytest.raises(NotImplementedError):
        Lab()


# --- more machines, own traffic, and a lab taken along


def test_three_and_four_machines_are_told_in_one_sentence_and_in_columns():
    lab = PatchLab(traffic="33 pages at a time", pictures=4, position=2)
    assert lab.message == (
        "2 of 400: CPU 1 gives back 33 pages of A. Before and Hunk 1 alone: straight to the counters, 3 atomics. "
        "After: the stock passes 32 and is emptied, 3 atomics. Hunk 2 alone: into the stock, no atomic. "
        "So far 6, 6, 6 and 3 atomics."
    )
    assert lab.table().columns.tolist() == ["Before", "After", "Hunk 1 alone", "Hunk 2 alone"]
    lab.set(pictures=3, machine="Hunk 2 alone", position=1)
    assert lab.table().columns.tolist() == ["Before", "Hunk 2 alone", "After"]
    assert "All machines: too large for the stock, 3 atomics." in lab.message
    assert list(lab.figure().table.columns) == ["before", "hunk 2 alone", "after"]


def test_a_tree_of_eight_cgroups_has_traffic_of_ones_own_on_each():
    own = ",".join(f"{n % 2}{leaf}.{n + 1}" for n, leaf in enumerate("abcdefgh"))
    lab = PatchLab(traffic=stage_data.EMPTY, cgroups=8, depth=1, own=own, position=8)
    assert lab.table()["After"][[f"pages in sockets of {leaf}" for leaf in "ABCDEFGH"]].tolist() == list(range(1, 9))
    lab.set(own=f"{own},0=5:3,0e-1", position=10)
    assert lab.table()["After"]["limit of E"] == "3"


def test_own_traffic_begins_after_some_of_the_given():
    lab = PatchLab(fork=7, own="0a.1x3,1a-2", position=11)
    given = PatchLab()
    assert lab.stream(lab.settings())[:7].tobytes() == given.stream(given.settings())[:7].tobytes()
    assert lab.rows(lab.settings())[7:] == [[0, 0, 0, 1, 1]] * 3 + [[1, 1, 0, 2, 1]]
    assert lab.code_line().endswith('machine="After", fork=7, own="0a.1x3,1a-2", position=11)')
    with pytest.raises(ValueError, match="op 1 of 2"):
        PatchLab(traffic=stage_data.EMPTY, own="0a.1,0a-2")


def test_an_operation_that_repeats_too_often_is_told_what_is_the_most():
    assert len(stage_data.unpack("0a.1x999", ("charge_skmem", "uncharge_skmem", 1), (1, 1, 1))) == 999
    for times in ("1000", "6250", "9" * 5000):
        with pytest.raises(ValueError, match=f"own, operation 1: 0a.1x{times} repeats too often; x999 is the most"):
            PatchLab(traffic=stage_data.EMPTY, own=f"0a.1x{times}")


def test_json_finds_a_lab_that_was_not_loaded_yet():
    code = """from memcg_lab.labs import Lab; print(Lab.from_json('{"lab": "CostLab", "settings": {}}').code_line())"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("CostLab(")


@pytest.mark.parametrize("make", [PatchLab, CounterLab, StockLab, DriftLab], ids=lambda lab: lab.__name__)
def test_a_lab_with_own_traffic_is_the_same_after_json(make):
    lab = make(own="0a.3,0a.9x4,0a-2", fork=2, **({} if make is DriftLab else {"position": 5}))
    again = make.from_json(lab.to_json())
    assert (again.settings(), again.message) == (lab.settings(), lab.message)


def test_the_shortest_way_past_the_bound_is_found_by_search_and_no_shorter_one_is_there():
    breaks = [machine["breaks"] for machine in PatchLab().data()["machines"]]
    bound = [rule["short"] for rule in stage_data.INVARIANTS].index("bound")
    assert [told[bound] for told in breaks] == [False, False, False, "0a.33,0a-33"]
    assert all(not any(told[:bound] + told[bound + 1 :]) for told in breaks)
    rows = stage_data.unpack(breaks[3][bound], PatchLab.hand, (1, 1, 1))
    system = System.chain(depth=1, cpus=1, policy=UNCHARGE_ONLY)
    system.replay(stage_data.stream(rows, first=1))
    assert system.stock[0].nr_pages == 33
    for nr in range(1, 100):  # one operation is not enough
        one = System.chain(depth=1, cpus=1, policy=UNCHARGE_ONLY)
        one.replay(op("charge_skmem", cpu=0, memcg=1, nr=nr))
        assert one.stock[0].nr_pages <= 32


def test_every_light_but_that_of_recorded_faults_is_an_invariant_of_the_library():
    names = [one.name for one in System.chain(depth=1, cpus=1, policy=V4_14).invariants()]
    assert [rule["name"] for rule in stage_data.INVARIANTS] == [n for n in names if n != "no counter is below zero"]
