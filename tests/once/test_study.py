"""The reader's own copies: nothing that a reader wrote is lost, and what is new comes."""

import errno
import json
import os

import pytest

from tools import study
from tools.notebooks import ROOT, WIDGET_VIEW


def notebook(*sources, outputs=(), **metadata):
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": metadata, "source": source.splitlines(keepends=True)}
        | {"outputs": list(outputs), "execution_count": 1}
        for n, source in enumerate(sources)
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


PRINTED = {"output_type": "stream", "name": "stdout", "text": ["621\n"]}


@pytest.fixture
def course(tmp_path):
    """A collection with two notebooks."""
    (tmp_path / "notebooks").mkdir()
    for name in ("00_start_here", "01_a_hot_profile"):
        put(tmp_path / "notebooks" / f"{name}.ipynb", notebook("predict()\nrun()", f"'{name}'", outputs=[PRINTED]))
    return tmp_path


def put(path, told):
    path.write_text(json.dumps(told), encoding="utf-8")


def sources(path):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"]]


def names(root):
    return sorted(path.name for path in (root / "study").iterdir() if path.name != study.STATE)


FIRST, OLD, NEW = "study/00_start_here.ipynb", "notebooks/00_start_here.ipynb", "study/00_start_here.new.ipynb"


def test_copies_say_what_the_originals_say_without_an_answer(course):
    put(course / OLD, notebook("a", outputs=[PRINTED], tags=["predict"], jupyter={"outputs_hidden": True}))
    assert study.update(course) == []
    assert names(course) == ["00_start_here.ipynb", "01_a_hot_profile.ipynb"]
    (cell,) = json.loads((course / FIRST).read_text("utf-8"))["cells"]
    assert cell["outputs"] == []
    assert cell["execution_count"] is None
    assert cell["metadata"] == {"tags": ["predict"]}
    assert json.loads((course / OLD).read_text("utf-8"))["cells"][0]["outputs"] == [PRINTED]


def test_a_link_to_a_solution_leads_to_the_original(course):
    told = notebook()
    told["cells"] = [{"cell_type": "markdown", "metadata": {}, "source": ["[a](solutions/00.ipynb) [b](01.ipynb)"]}]
    put(course / OLD, told)
    study.update(course)
    assert sources(course / FIRST) == ["[a](../notebooks/solutions/00.ipynb) [b](01.ipynb)"]
    assert study.update(course) == []


def test_a_second_start_changes_no_byte(course):
    study.update(course)
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in (course / "study").glob("*.ipynb")}
    assert study.update(course) == []
    after = {path.name: (path.read_bytes(), path.stat().st_ino) for path in (course / "study").glob("*.ipynb")}
    assert after == before


def test_a_copy_that_was_only_run_is_replaced_by_a_newer_original(course):
    study.update(course)
    put(course / FIRST, notebook("predict()\nrun()", "'00_start_here'", outputs=[PRINTED], trusted=True))
    put(course / OLD, notebook("predict()\nrun()", "something new"))
    assert study.update(course) == []
    assert sources(course / FIRST) == ["predict()\nrun()", "something new"]


def test_a_run_copy_keeps_its_outputs_while_the_original_stays(course):
    study.update(course)
    ran = notebook("predict()\nrun()", "'00_start_here'", outputs=[PRINTED])
    put(course / FIRST, ran)
    study.update(course)
    assert json.loads((course / FIRST).read_text("utf-8")) == ran


def test_beside_a_changed_copy_the_newer_original_is_put_and_told_once(course):
    study.update(course)
    mine = notebook("predict(1200)\nrun()", "'00_start_here'")
    put(course / FIRST, mine)
    assert study.update(course) == []  # changed, and nothing is newer
    for text in ("something new", "newer yet"):
        put(course / OLD, notebook("predict()\nrun()", text))
        assert study.update(course) == [
            f"{FIRST} is changed by you, and stays. There is a newer original; beside yours it is {NEW}."
        ]
        assert study.update(course) == []
        assert json.loads((course / FIRST).read_text("utf-8")) == mine
        assert sources(course / NEW)[1] == text
    (course / NEW).unlink()
    assert study.update(course) == []
    assert not (course / NEW).exists()  # a reader who removed it has seen it


def test_the_new_one_goes_as_soon_as_the_reader_takes_it_over(course):
    study.update(course)
    put(course / FIRST, notebook("mine"))
    put(course / OLD, notebook("new"))
    study.update(course)
    os.replace(course / NEW, course / FIRST)
    assert study.update(course) == []
    put(course / OLD, notebook("newer"))
    assert study.update(course) == []
    assert sources(course / FIRST) == ["newer"]
    # The other way: the text of the new one put into one's own.
    put(course / FIRST, notebook("mine"))
    put(course / OLD, notebook("newest"))
    study.update(course)
    put(course / FIRST, notebook("newest"))
    assert study.update(course) == []
    assert not (course / NEW).exists()


def test_two_changed_files_of_one_name_both_stay(course):
    study.update(course)
    put(course / FIRST, notebook("mine"))
    put(course / OLD, notebook("new"))
    study.update(course)
    put(course / NEW, notebook("mine too"))
    put(course / OLD, notebook("newer"))
    (told,) = study.update(course)
    assert told == f"{FIRST} and {NEW} are changed by you, and stay. There is a newer {OLD}."
    assert (sources(course / FIRST), sources(course / NEW)) == (["mine"], ["mine too"])


def test_a_copy_that_the_reader_deletes_is_made_anew(course):
    study.update(course)
    put(course / FIRST, notebook("mine"))
    study.update(course)
    (course / FIRST).unlink()
    assert study.update(course) == []
    assert sources(course / FIRST) == ["predict()\nrun()", "'00_start_here'"]


def test_a_renamed_original_takes_its_unchanged_copy_along(course):
    study.update(course)
    os.replace(course / "notebooks/01_a_hot_profile.ipynb", course / "notebooks/02_a_hot_profile.ipynb")
    assert study.update(course) == []
    assert names(course) == ["00_start_here.ipynb", "02_a_hot_profile.ipynb"]


def test_a_changed_copy_whose_original_is_gone_stays_and_is_told_once(course):
    study.update(course)
    put(course / "study/01_a_hot_profile.ipynb", notebook("mine"))
    os.remove(course / "notebooks/01_a_hot_profile.ipynb")
    assert study.update(course) == [
        "study/01_a_hot_profile.ipynb is changed by you, and stays. The course has no such notebook any more."
    ]
    assert study.update(course) == []
    assert sources(course / "study/01_a_hot_profile.ipynb") == ["mine"]


def test_files_of_the_readers_own_are_left_alone(course):
    (course / "study").mkdir()
    put(course / "study/notes.json", {"mine": 1})
    put(course / "study/my_try.ipynb", notebook("mine"))
    put(course / FIRST, notebook("written before there were copies"))
    (told,) = study.update(course)
    assert told.startswith(f"{FIRST} is changed by you, and stays.")
    assert sources(course / FIRST) == ["written before there were copies"]
    assert json.loads((course / "study/notes.json").read_text("utf-8")) == {"mine": 1}
    assert sources(course / "study/my_try.ipynb") == ["mine"]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "is no JSON"),
        (b'{"cells": [{"cell_ty', "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "is no notebook"),
        (b'{"cells": [{}]}', "is no notebook"),
        (b'{"cells": [{"cell_type": "code", "source": 7}]}', "is no notebook"),
        (b'{"cells": 7}', "is no notebook"),
        (b'{"cells": [{"cell_type": "code", "source": "", "metadata": null}]}', "is no notebook"),
        (b'{"cells": [{"cell_type": "code", "source": "", "metadata": []}]}', "is no notebook"),
    ],
)
def test_what_is_no_notebook_is_told_and_harms_no_copy(course, raw, why):
    study.update(course)
    before = (course / FIRST).read_bytes()
    (course / OLD).write_bytes(raw)
    assert study.update(course) == [f"{OLD} {why}; it is left out."]
    assert (course / FIRST).read_bytes() == before
    # A copy of the reader's that is none (half written by an editor) is the reader's, too.
    put(course / OLD, notebook("new"))
    (course / FIRST).write_bytes(raw)
    (told,) = study.update(course)
    assert told.startswith(f"{FIRST} is changed by you, and stays.")
    assert (course / FIRST).read_bytes() == raw


@pytest.mark.parametrize("copied", [{"notes.json": ""}, {"notes.json": "0" * 64}, {"my_try.ipynb": ""}])
def test_no_file_is_removed_because_the_state_names_it(course, copied):
    study.update(course)
    put(course / "study/notes.json", {"mine": 1})
    (course / "study/my_try.ipynb").write_text("half written")
    state = json.loads((course / "study" / study.STATE).read_text("utf-8"))
    put(course / "study" / study.STATE, state | {"copied": state["copied"] | copied})
    (complaint,) = study.update(course)
    assert "cannot be understood" in complaint
    assert {"notes.json", "my_try.ipynb"} <= set(names(course))


@pytest.mark.parametrize("state", ["", "[]", '{"copied": {"../x.ipynb": "1"}}', '{"format": "memcg-lab study"}'])
def test_without_what_was_copied_no_copy_is_replaced_or_removed(course, state):
    study.update(course)
    put(course / OLD, notebook("new"))
    os.remove(course / "notebooks/01_a_hot_profile.ipynb")
    (course / "study" / study.STATE).write_text(state)
    complaint, told = study.update(course)
    assert complaint.startswith("study/.state.json cannot be understood; every copy")
    assert told.startswith(f"{FIRST} is changed by you, and stays.")
    assert names(course) == ["00_start_here.ipynb", "00_start_here.new.ipynb", "01_a_hot_profile.ipynb"]


def test_a_copy_is_written_whole_or_not_at_all(course, monkeypatch):
    study.update(course)
    before = (course / FIRST).read_bytes()
    put(course / OLD, notebook("new"))

    def full(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(study.os, "replace", full)
    with pytest.raises(study.StudyFault, match=r"study/ cannot be written \(No space left on device\)"):
        study.update(course)
    assert (course / FIRST).read_bytes() == before
    assert names(course) == ["00_start_here.ipynb", "01_a_hot_profile.ipynb"]


def test_where_there_can_be_no_copies_it_is_said(course, capsys, monkeypatch):
    (course / "study").write_text("a file")
    assert study.main(["--root", str(course)]) == 1
    assert capsys.readouterr().err == "No copies of your own: study/ cannot be written (File exists).\n"
    (course / "study").unlink()
    monkeypatch.setattr(study.pathlib.Path, "mkdir", lambda *a, **b: (_ for _ in ()).throw(PermissionError(13, "no")))
    assert study.main(["--root", str(course)]) == 1
    assert study.main(["--root", str(course / "notebooks")]) == 1
    assert capsys.readouterr().err.endswith("No copies of your own: notebooks/ holds no notebook.\n")


def test_the_course_itself_can_be_copied_and_no_answer_is_in_it(tmp_path):
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    assert study.update(tmp_path) == []
    for original in (ROOT / "notebooks").glob("*.ipynb"):
        text = (tmp_path / "study" / original.name).read_text("utf-8")
        links = [text.replace("](solutions/", "](../notebooks/solutions/") for text in sources(original)]
        assert links == sources(tmp_path / "study" / original.name)
        assert '"image/png"' not in text
        assert WIDGET_VIEW not in text
        assert '"output_type"' not in text


def test_what_is_said_of_a_run_is_folded_down_to_its_heading(course):
    told = notebook("predict()")
    told["cells"] += [
        {"cell_type": "markdown", "id": name, "metadata": {}, "source": [source]}
        for name, source in (("look", "### Look\n\nFour trips."), ("text", "A trip costs the same."))
    ]
    put(course / OLD, told)
    study.update(course)
    _, look, text = json.loads((course / FIRST).read_text("utf-8"))["cells"]
    assert look["metadata"] == {"jupyter": {"source_hidden": True}}
    assert text["metadata"] == {}
    assert study.update(course) == []


@pytest.mark.parametrize("broken", [b"{broken", b"", b"[]"])
def test_a_copy_that_is_no_notebook_stays_and_is_told_each_time(course, broken):
    study.update(course)
    (course / FIRST).write_bytes(broken)
    for _ in range(2):
        (told,) = study.update(course)
        assert (
            told == "study/00_start_here.ipynb is no notebook, and stays. Delete it, and the next start makes it anew."
        )
    assert (course / FIRST).read_bytes() == broken
    (course / FIRST).unlink()
    assert study.update(course) == []
    assert sources(course / FIRST) == sources(course / OLD)
