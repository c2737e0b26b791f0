"""The reader's own file: whole, readable, never written over, and only where the reader's copies are."""

import json
import os
import subprocess
import sys

import pytest

from lab_helpers import said
from memcg_lab import predict, reveal
from memcg_lab.course import exercises, notes
from memcg_lab.course.notes import recall, remember


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder of a reader's own copies, in which Python works; nothing has been said yet."""
    (tmp_path / notes.MARK).write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notes, "_memory", {kind: {} for kind in notes.KINDS})
    monkeypatch.setattr(notes, "_told", set())
    return tmp_path


def test_what_is_written_down_stands_in_one_file_that_a_reader_can_read(study):
    remember("predictions", "04.stock", {"said": {"both": 2}, "sure": 70})
    remember("reader", "name", "Zoë")
    remember("predictions", "04.stock", {"said": {"both": 3}, "sure": None})
    assert json.loads((study / "notes.json").read_text("utf-8")) == {
        "format": "memcg-lab notes",
        "version": 1,
        "reader": {"name": "Zoë"},
        "predictions": {"04.stock": {"said": {"both": 3}, "sure": None}},
        "answers": {},
        "quizzes": {},
        "quests": {},
    }
    assert "Zoë" in (study / "notes.json").read_text("utf-8")
    assert recall("reader", "name") == "Zoë"
    assert recall("predictions") == {"04.stock": {"said": {"both": 3}, "sure": None}}
    assert recall("quests", "none") is None
    assert sorted(path.name for path in study.iterdir()) == [".notes.lock", ".state.json", "notes.json"]


def test_another_session_finds_it_again(study):
    remember("answers", "04.1", {"answer": 7, "right": True})
    code = "from memcg_lab.course.notes import recall; print(recall('answers', '04.1'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=in_study(study), cwd=study
    )
    assert done.stdout == "{'answer': 7, 'right': True}\n"


def in_study(study):
    from lab_helpers import ROOT

    return os.environ | {"PYTHONPATH": str(ROOT)}


def test_outside_a_readers_folder_nothing_is_written(study):
    (study / notes.MARK).unlink()
    remember("quests", "StockLab.empty", True)
    assert notes.place() is None
    assert recall("quests", "StockLab.empty") is True
    assert list(study.iterdir()) == []


def test_several_notebooks_at_once_lose_nothing(study):
    code = (
        "import sys; from memcg_lab.course.notes import remember\n"
        "for n in range(40): remember('answers', f'{sys.argv[1]}.{n}', n)"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(worker)], env=in_study(study), cwd=study)
        for worker in range(3)
    ]
    assert [worker.wait() for worker in workers] == [0] * 3
    assert recall("answers") == {f"{worker}.{n}": n for worker in range(3) for n in range(40)}


GOOD = {"format": "memcg-lab notes", "version": 1}
FOREIGN = {
    "": "line 1 is no JSON",
    '{"format": "memcg-lab notes",\n "version": 1,\n "answ': "line 3 is no JSON",
    "[1]": 'it has no "format": "memcg-lab notes"',
    '{"cells": []}': 'it has no "format": "memcg-lab notes"',
    json.dumps(GOOD | {"version": 2}): "its version is 2, and this library reads version 1",
    json.dumps(GOOD | {"version": True}): "its version is True, and this library reads version 1",
    json.dumps(GOOD | {"diary": {}}): "'diary' is no kind of note",
    json.dumps(GOOD | {"answers": [7]}): '"answers" holds no notes by name',
    "[" * 100_000: "it is no JSON that can be read",
    "9" * 5_000: "it is no JSON that can be read",
    "\udcff": "byte 0 is no text in UTF-8",
    " " * (notes.LIMIT + 1): "it has 20,000,001 bytes, and more than 20,000,000 bytes are not read",
    json.dumps(GOOD)[:-1] + ', "answers": {"a": 1}, "answers": {}}': "a field is there twice",
}


@pytest.mark.parametrize(("text", "why"), FOREIGN.items(), ids=FOREIGN.values())
def test_a_file_that_cannot_be_understood_is_kept_aside_and_told(study, capsys, text, why):
    raw = text.encode("utf-8", "surrogateescape")
    (study / "notes.json").write_bytes(raw)
    (study / "notes.kept1.json").write_text("an earlier one")
    told = said(capsys, recall, "answers", "04.1")
    assert told.startswith(f"notes.json cannot be read: {why}")
    assert (study / "notes.json").read_bytes() == raw  # looking changes nothing
    told = said(capsys, remember, "answers", "04.1", 7)
    assert told.startswith(f"notes.json cannot be understood: {why}")
    assert told.endswith(". It is kept as notes.kept2.json, and a new one is begun.")
    assert (study / "notes.kept2.json").read_bytes() == raw
    assert (study / "notes.kept1.json").read_text() == "an earlier one"
    assert recall("answers") == {"04.1": 7}


def test_a_file_with_less_in_it_is_good(study, capsys):
    (study / "notes.json").write_text(json.dumps(GOOD | {"answers": {"04.1": 7}}))
    remember("quests", "StockLab.empty", True)
    assert capsys.readouterr().out == ""
    assert recall("answers") == {"04.1": 7}


@pytest.mark.parametrize("call", ["os.replace", "notes._locked"])
def test_where_nothing_can_be_written_it_is_said_once_and_kept_in_memory(study, capsys, monkeypatch, call):
    remember("answers", "04.1", 6)
    before = (study / "notes.json").read_bytes()

    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os if call.startswith("os") else notes, call.split(".")[1], refuse)
    assert "cannot be written" in said(capsys, remember, "answers", "04.1", 7)
    assert said(capsys, remember, "answers", "04.2", 42) == ""
    assert recall("answers") == {"04.1": 7, "04.2": 42}
    assert (study / "notes.json").read_bytes() == before
    assert [path.name for path in study.iterdir() if path.suffix == ".tmp"] == []


def test_a_file_that_cannot_be_moved_away_is_not_written_over(study, capsys, monkeypatch):
    (study / "notes.json").write_text("mine")
    monkeypatch.setattr(notes.os, "rename", lambda *paths: (_ for _ in ()).throw(PermissionError(13, "no")))
    assert "cannot be written (no)" in said(capsys, remember, "answers", "04.1", 7)
    assert (study / "notes.json").read_text() == "mine"
    assert recall("answers", "04.1") == 7


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("diary", "a", 1), "'diary' is no kind of note; there are reader, predictions"),
        ((["answers"], "a", 1), "is no kind of note"),
        (("answers", " ", 1), "the name is ' '; give a text"),
        (("answers", 4, 1), "the name is 4; give a text"),
        (("answers", "a", float("nan")), "a: nan cannot be written as JSON"),
        (("answers", "a", print), "cannot be written as JSON"),
        (("answers", "a", {1, 2}), "cannot be written as JSON"),
    ],
)
def test_what_is_no_note_is_an_authors_error(study, arguments, why):
    with pytest.raises(ValueError, match=why):
        remember(*arguments)
    assert not (study / "notes.json").exists()


def test_odd_letters_of_a_name_come_back_whole(study):
    for name in ("\udcff", "a\nb", "𝄞", "\x1b"):
        remember("answers", name, name)
        assert recall("answers", name) == name


def test_a_working_directory_that_is_gone_is_no_place(study, monkeypatch):
    def gone():
        raise FileNotFoundError

    monkeypatch.setattr(notes.pathlib.Path, "cwd", gone)
    assert notes.place() is None


def test_what_is_found_in_a_lab_is_written_down(study):
    from memcg_lab.labs import StockLab

    lab, sent = StockLab(), []
    lab.send = lambda content, buffers=None: sent.append(content)
    lab._heard(lab, {"id": 1, "question": {"ask": "found", "name": "empty", "told": "Operation 5 left 0 pages."}}, [])
    assert sent == [{"id": 1, "answer": {}}]
    assert recall("quests") == {"StockLab.empty": "Operation 5 left 0 pages."}
    again = StockLab()
    again.send = lambda content, buffers=None: sent.append(content)
    again._heard(again, {"id": 2, "question": {"ask": "data"}}, [])
    assert {quest["name"]: quest.get("told") for quest in sent[1]["answer"]["quests"]} == {
        quest["name"]: "Operation 5 left 0 pages." if quest["name"] == "empty" else None for quest in StockLab.quests
    }


def test_what_was_found_stands_as_found_in_a_lab_made_again():
    """The list of the front end, without a page: what Python told is found, and is not sent once more."""
    from lab_helpers import ROOT, node

    script = (ROOT / "memcg_lab/labs/stage/parts.js").read_text(encoding="utf-8")
    begin, end = script.index("function questList("), script.index("/** What a setting may be")
    code = f"""
        class CustomEvent {{ constructor(type, {{ detail }}) {{ this.detail = detail; }} }}
        const sent = [];
        const make = (tag, given, ...inside) => ({{ inside, dispatchEvent: (event) => sent.push(event.detail.name) }});
        {script[begin:end]}
        const list = questList([{{ name: "a", ask: "A?", told: "It was a." }}, {{ name: "b", ask: "B?" }}], "label");
        const before = [...list.found, list.root.inside[0].className];
        list.find(1, "It is b.");
        console.log(JSON.stringify([before, list.found, sent]));
    """
    done = subprocess.run([node(), "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [["It was a.", "", "found"], ["It was a.", "It is b."], ["b"]]


@pytest.mark.parametrize("odd", [7, [], "x", {"tries": "many"}, {"tries": None, "right": False}, {"tries": -3}])
def test_an_answer_that_is_none_counts_as_absent(study, odd):
    (study / "notes.json").write_text(json.dumps(GOOD | {"answers": {"04.1": odd}}))
    exercises._remember("04.1", 7, False)
    assert recall("answers", "04.1") == {"answer": "7", "right": False, "tries": 1}


def test_a_name_of_the_readers_is_shown_as_a_text(study, capsys):
    assert said(capsys, predict, "x.own", **{"a\x1b[2J": 3}).isprintable()
    assert said(capsys, reveal, "x.own", **{"a\x1b[2J": 3}).isprintable()
    assert all(line.isprintable() for line in said(capsys, reveal, "x.own", **{"a\x1b[2J": 3, "b\x1b": 1}).splitlines())
