"""The notebook tools do what they promise, and notice what they are there to notice."""

import base64
import copy
import io
import json
import pathlib
import re

import nbformat
import pytest

import notebook_samples as sample
from notebook_samples import notebook
from tools import check, comparison, coverage, execution, minutes, navigation, notebooks

PATH = pathlib.Path("01_a_start.ipynb")


def pair(committed, executed):
    """What execute() returns of one notebook, without a kernel."""
    return execution.Execution(PATH, notebooks.text_of(committed), committed, executed)


@pytest.fixture
def checked(monkeypatch, capsys, tmp_path):
    """Run ``check`` on a pair of notebooks as if the second came out of the kernel; (status, report)."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / PATH.name).write_text("{}", encoding="utf-8")

    def run(committed, executed, seconds=1.0, error=""):
        done = pair(committed, executed)
        done.error = error
        monkeypatch.setattr(execution, "execute", lambda root, paths: ([done], seconds))
        status = check.check(tmp_path, [])
        return status, capsys.readouterr().out

    return run


# --- normal form


def untidy():
    """A notebook as JupyterLab leaves it."""
    nb = notebook(
        sample.markdown("# 01 · A start"),
        sample.code("a()", sample.printed("one\n"), sample.printed("two\n"), count=7),
        sample.code("b()", sample.result(sample.lab(), count=9), count=9),
        sample.code(
            "c()",
            nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[f"{notebooks.ROOT}/x.py in f"]),
            count=10,
        ),
    )
    nb.cells[1].metadata.update(
        {"tags": ["b", "a", "b"], "execution": {"iopub.execute_input": "12:00"}, "collapsed": False}
    )
    nb.cells[2].outputs[0].data["image/png"] += "\n"
    nb.metadata.update({"widgets": {"state": {}}, "kernelspec": {"name": "mine", "display_name": "Mine"}})
    return nb


def test_normalising_twice_is_normalising_once():
    once = notebooks.text_of(notebooks.normalise(untidy()))
    assert notebooks.text_of(notebooks.normalise(notebooks.parse(once, PATH))) == once


def test_the_normal_form_holds_nothing_of_one_run_or_one_machine():
    nb = notebooks.normalise(untidy())
    text = notebooks.text_of(nb)
    assert nb.metadata == {"kernelspec": notebooks.KERNELSPEC, "language_info": notebooks.LANGUAGE_INFO}
    assert [cell.execution_count for cell in nb.cells[1:]] == [1, 2, 3]
    assert nb.cells[1].metadata == {"tags": ["a", "b"]}
    assert [output.text for output in nb.cells[1].outputs] == ["one\ntwo\n"]
    assert set(nb.cells[2].outputs[0].data) == {"text/plain", "image/png"}
    assert nb.cells[2].outputs[0].execution_count == 2
    assert str(notebooks.ROOT) not in text
    assert "\r" not in text
    assert text.endswith("}\n")


def test_a_widget_view_stays_where_it_is_the_only_form():
    view = sample.result({sample.WIDGET_VIEW: {"model_id": "x"}})
    nb = notebooks.normalise(notebook(sample.code("w", view)))
    assert set(nb.cells[0].outputs[0].data) == {sample.WIDGET_VIEW}


def test_missing_and_doubled_ids_become_the_same_ids_each_time():
    raw = json.loads(notebooks.text_of(sample.good_notebook()))
    kept = raw["cells"][0]["id"]
    del raw["cells"][1]["id"]
    raw["cells"][2]["id"] = kept
    one, other = (notebooks.parse(json.dumps(raw), PATH) for _ in range(2))
    ids = [cell.id for cell in one.cells]
    assert ids == [cell.id for cell in other.cells]
    assert ids[0] == kept
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("raw", ["", "[]", "{}", '{"nbformat": 3, "worksheets": []}', '{"nbformat": 4, "cells": [{}]}'])
def test_a_file_that_is_no_notebook_is_refused_by_name(raw):
    with pytest.raises(notebooks.NotebookFault, match=r"01_a_start\.ipynb: not a notebook"):
        notebooks.parse(raw, PATH)


# --- outputs that tell


def flagged(nb):
    return [i for i, cell in enumerate(nb.cells) if cell.metadata.get("jupyter") == {"outputs_hidden": True}]


def test_what_answers_a_prediction_is_folded_up_to_the_next_text():
    run = sample.printed("You said nothing yet.\nThe run says before 1,621, after 39.\n")
    nb = notebook(
        sample.code("show(1621)", sample.printed("1,621.\n")),  # before anybody asks
        sample.code("predict('00.atomics', before=None)", sample.printed("No prediction yet.\n")),
        sample.code("run()", sample.printed("39\n")),
        sample.code("reveal('00.atomics', before=1621)", run),
        sample.code("figure()", sample.printed("a bar\n")),
        sample.markdown("## Look"),
        sample.code("other()", sample.printed("39 and 21,621 and 1,6210\n")),  # 39 may stand anywhere
        sample.code("table()", sample.printed("atomics\n1,621\n")),
        sample.code("measure()", sample.printed("1,621 s\n"), tags=sample.TIMING, reason="a time"),
        sample.code("exercise()", sample.printed("x\n"), tags=["tells"]),
    )
    nb.cells[6].metadata["jupyter"] = {"outputs_hidden": True}  # an editor's
    assert flagged(notebooks.normalise(nb)) == [0, 2, 3, 4, 7, 9]


def test_a_prediction_that_follows_at_once_stays_open():
    nb = notebook(
        sample.code("predict('00.a', a=None)"),
        sample.code("reveal('00.a', a=1)"),
        sample.code("predict('00.b', b=None)"),
        sample.code("show()"),
        sample.code("reveal('00.b', b=1)"),
    )
    assert flagged(notebooks.normalise(nb)) == [1, 3, 4]


# --- navigation


def three(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name, head in (
        ("00_start_here", "# Start here\n\nWelcome."),
        ("03_the_stock", "# 07 · The stock\n\n[← 02 · Gone](02_gone.ipynb) | [Contents](x.ipynb)\n\nText."),
        ("04_the_patch", "# The patch"),
    ):
        nb = notebooks.normalise(notebook(sample.markdown(head)))
        (folder / f"{name}.ipynb").write_text(notebooks.text_of(nb), encoding="utf-8", newline="\n")
    return folder


def test_navigation_follows_the_order_of_the_files(tmp_path):
    folder = three(tmp_path)
    assert navigation.main(["--root", str(tmp_path)]) == 0
    heads = [notebooks.parse(notebooks.read_raw(path), path).cells[0].source for path in notebooks.roster(tmp_path)]
    assert heads == [
        "# 00 · Start here\n\n[Contents](00_start_here.ipynb) | [03 · The stock →](03_the_stock.ipynb)\n\nWelcome.",
        "# 03 · The stock\n\n[← 00 · Start here](00_start_here.ipynb) | [Contents](00_start_here.ipynb) | "
        "[04 · The patch →](04_the_patch.ipynb)\n\nText.",
        "# 04 · The patch\n\n[← 03 · The stock](03_the_stock.ipynb) | [Contents](00_start_here.ipynb)",
    ]
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert navigation.main(["--root", str(tmp_path)]) == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def with_both_ends():
    return notebook(
        sample.markdown("# Any"),
        sample.code("from memcg_lab.notebook import *\n\nsetup()"),
        sample.markdown("## Then"),
        sample.markdown("## Three things to remember"),
    )


def ends_of(nb):
    return [(i, cell.id, cell.source) for i, cell in enumerate(nb.cells) if cell.id.startswith("ends_")]


@pytest.mark.parametrize(
    ("number", "first", "places", "ends"),
    [("00", True, [3, 4], "after"), ("04", False, [2, 3, 5, 6], "before after"), ("12", False, [2, 3], "before")],
)
def test_the_questions_at_both_ends_stand_after_the_set_up_and_before_what_to_remember(number, first, places, ends):
    nb = with_both_ends()
    navigation.with_ends(nb, number, first)
    assert [i for i, *_ in ends_of(nb)] == places
    asked = [source for _, name, source in ends_of(nb) if name.endswith("_ask")]
    assert asked == [f'quiz("{end} {number}")' for end in ends.split()]
    nb.cells[places[1]].outputs = [sample.printed("kept\n")]
    nb.cells.insert(places[0], nb.cells.pop(places[1]))  # moved by hand
    again = copy.deepcopy(nb)
    navigation.with_ends(again, number, first)
    assert [i for i, *_ in ends_of(again)] == places
    assert again.cells[places[1]].outputs == [sample.printed("kept\n")]


def test_a_notebook_that_lacks_its_questions_is_stale_and_not_a_crash(good):
    fresh = copy.deepcopy(good)
    fresh.cells.insert(1, sample.markdown("## Three questions first"))
    assert comparison.stale(pair(good, fresh))[0].startswith("refresh would put in or take away cells")


def test_a_notebook_without_a_title_is_named(tmp_path, capsys):
    folder = three(tmp_path)
    nb = notebooks.normalise(notebook(sample.code("1")))
    (folder / "05_bare.ipynb").write_text(notebooks.text_of(nb), encoding="utf-8")
    assert navigation.main(["--root", str(tmp_path)]) == 1
    assert "05_bare.ipynb: the first cell must be Markdown" in capsys.readouterr().err


# --- minutes


def test_minutes_out_of_date_are_written_where_they_are_stated_and_nothing_else_changes(tmp_path, good):
    (tmp_path / "notebooks").mkdir()
    path, readme = tmp_path / "notebooks" / PATH.name, tmp_path / "README.md"
    row = "| [01 · A start](notebooks/01_a_start.ipynb) | count | 25 + 10 |\n"
    right = notebooks.text_of(good)
    wrong = right.replace("25 minutes, and 10", "5 minutes, and 40")
    assert wrong != right
    path.write_text(wrong, encoding="utf-8", newline="\n")
    readme.write_text(row.replace("25 + 10", "0 + 0"), encoding="utf-8")
    assert minutes.main(["--root", str(tmp_path)]) == 0
    assert path.read_text(encoding="utf-8") == right
    assert readme.read_text(encoding="utf-8") == row


def test_practice_is_what_a_lab_an_exercise_and_their_sections_take(good):
    story, practice = minutes.minutes(good)
    good.cells.append(sample.code("DriftLab(cpus=2)\ncheck('01.2', None)", sample.printed("8 pages\n")))
    good.cells.insert(-2, sample.markdown("## The lab\n\n" + "word " * 158))
    assert minutes.minutes(good) == pytest.approx((story, practice + 5 + 3 + 0.2 + 0.05 + 2))


# --- the command line


def test_an_unknown_notebook_is_refused(tmp_path, capsys):
    three(tmp_path)
    assert check.main(["--root", str(tmp_path), "09_none"]) == 1
    assert "09_none: no such notebook; there are 00_start_here" in capsys.readouterr().err


# --- stale or not


def test_an_untouched_notebook_passes(checked, good):
    status, report = checked(good, copy.deepcopy(good))
    assert status == 0
    assert re.search(r"01_a_start +7 +5 +1 +0 +0 +1 ", report)
    assert "ignored: a measured time" in report


def test_a_changed_number_is_caught(checked, good):
    fresh = copy.deepcopy(good)
    fresh.cells[11].outputs[0].data["text/plain"] = "10,314 atomics"
    status, report = checked(good, fresh)
    assert status == 1
    assert "cell 11" in report
    assert "10,314 atomics" in report


@pytest.mark.parametrize("cell", [6, 7], ids=["in HTML", "by itself"])
def test_a_stale_picture_is_caught_though_every_word_agrees(checked, good, cell):
    fresh = copy.deepcopy(good)
    data = (sample.figure if cell == 6 else sample.lab)(bar=28)
    data.pop(sample.WIDGET_VIEW, None)
    fresh.cells[cell].outputs[0].data = nbformat.from_dict(data)
    status, report = checked(good, fresh)
    assert status == 1
    assert f"cell {cell}: picture 1 differs: RMS" in report


def test_another_compression_of_the_same_pixels_passes(checked, good):
    from PIL import Image

    old = good.cells[7].outputs[0].data["image/png"]
    file = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(old))).save(file, format="png", compress_level=1)
    fresh = copy.deepcopy(good)
    fresh.cells[7].outputs[0].data["image/png"] = new = base64.b64encode(file.getvalue()).decode()
    assert new != old
    assert checked(good, fresh)[0] == 0


def test_a_picture_of_another_size_is_no_match():
    from PIL import Image

    assert comparison.picture_distance(sample.png(20), sample.png(20)) == 0
    assert 0 < comparison.picture_distance(sample.png(20), sample.png(21)) < float("inf")
    small = io.BytesIO()
    Image.new("RGB", (10, 10)).save(small, format="png")
    assert comparison.picture_distance(sample.png(), base64.b64encode(small.getvalue()).decode()) == float("inf")


def test_a_picture_that_is_gone_is_caught(checked, good):
    fresh = copy.deepcopy(good)
    del fresh.cells[7].outputs[0].data["image/png"]
    assert checked(good, fresh)[0] == 1


def test_a_file_in_another_form_is_caught_though_its_cells_agree(good):
    run = pair(good, copy.deepcopy(good))
    run.committed_raw = json.dumps(json.loads(run.committed_raw), indent=2)
    assert comparison.stale(run)[0].startswith("not as refresh writes it")
    run.committed_raw = notebooks.text_of(good).replace("\n", "\r\n")
    assert comparison.stale(run) != []


def test_a_navigation_line_out_of_date_is_caught(checked, good):
    fresh = copy.deepcopy(good)
    fresh.cells[0].source += " | [02 · More →](02_more.ipynb)"
    status, report = checked(good, fresh)
    assert status == 1
    assert "cell 0" in report


def test_only_a_timing_may_differ(checked, good):
    fresh = copy.deepcopy(good)
    fresh.cells[8].outputs[0].text = "0.34 s\n"
    comparison.keep_committed_timings(fresh, good)
    assert fresh.cells[8].outputs[0].text == "0.12 s\n"
    fresh.cells[8].outputs[0].text = "0.34 s\n"
    assert checked(good, fresh)[0] == 0
    good.cells[8].metadata.tags = ["nbval-ignore-output"]
    assert checked(good, copy.deepcopy(good))[0] == 1


def test_a_notebook_that_stops_fails_the_check(checked, good):
    status, report = checked(good, copy.deepcopy(good), error="ValueError: no")
    assert status == 1
    assert "stopped: ValueError: no" in report


def test_how_long_all_took_is_told_and_fails_nothing(checked, good):
    status, report = checked(good, copy.deepcopy(good), seconds=100_000)
    assert status == 0
    assert "all notebooks: 100000.0 s" in report


# --- what is really compared


def test_a_hollow_notebook_is_not_counted_as_compared(checked, good):
    for cell in good.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    kinds = coverage.coverage(good, coverage.sanitizer_patterns()).kinds
    assert kinds == {"compared": 0, "ignored": 1, "unrun": 5, "silent": 0, "pure": 1}
    status, report = checked(good, copy.deepcopy(good))
    assert status == 1
    assert "only 0 of 6 cells are compared" in report


def test_the_floor_is_eighty_percent(checked, good):
    good.cells.append(sample.code("quiet()", count=7))  # 5 of 7 compared: 71 %
    notebooks.normalise(good)
    status, report = checked(good, copy.deepcopy(good))
    assert status == 1
    assert "only 5 of 7 cells are compared; at least 80% must be" in report
    for _ in range(3):  # 8 of 10
        good.cells.append(sample.code("f()", sample.printed("1\n")))
    notebooks.normalise(good)
    assert checked(good, copy.deepcopy(good))[0] == 0


def test_an_exempt_cell_without_a_reason_fails(checked, good):
    del good.cells[8].metadata["memcg_lab"]
    status, report = checked(good, copy.deepcopy(good))
    assert status == 1
    assert "nbval-ignore-output, timing without a reason" in report


ADDRESS = "0x7f12a4b5c6d8"
KINDS = [
    ("f()", {"text/plain": "621 atomics"}, "compared"),
    ("f()", {"text/html": "<table><tr><td>621</td></tr></table>"}, "compared"),
    ("f()", {"text/html": f'<img src="data:image/png;base64,{sample.png()}">'}, "silent"),
    ("f()", {"text/html": "<br><hr>"}, "silent"),
    ("f()", {"image/png": sample.png()}, "silent"),
    ("f()", {"text/latex": "$x$"}, "silent"),
    ("f()", {sample.WIDGET_VIEW: {"model_id": "x"}}, "silent"),
    ("f()", {"text/plain": "0" * 32}, "silent"),
    ("f()", {"text/plain": "0" * 31}, "compared"),
    ("f()", {"text/plain": f"at {ADDRESS}"}, "silent"),
    ("f()", {"text/plain": f"limit {ADDRESS}"}, "compared"),
    ("import math", {}, "pure"),
    ("x = 1", {}, "pure"),
    ("x: int = -1\ny = (1, 2)", {}, "pure"),
    ("def f():\n    return 1\n\nclass A:\n    pass", {}, "pure"),
    ("x = f()", {}, "silent"),
    ("x.y = 1", {}, "silent"),
    ("import math\nprint()", {}, "silent"),
    ("'a string'", {"text/plain": "'a string'"}, "compared"),
    ("%magic", {}, "silent"),
]


@pytest.mark.parametrize(("source", "data", "kind"), KINDS)
def test_a_cell_counts_as(source, data, kind):
    cell = sample.code(source, *([sample.result(data)] if data else []))
    assert coverage.classify(cell, coverage.sanitizer_patterns()) == kind


RESULTS = [
    *(f"{number} {unit}" for number in ("0", "621", "10,313", "0.25", "1e-09", "12345678901234567890")
      for unit in ("ns", "ns per op", "µs", "μs", "ms", "s", "pages", "bytes", "KiB", "atomics", "%", "ops/s")),
    "limit 0x100000 bytes",
    "cpu0 0xffffffff81234567 t",
    f"{ADDRESS} bytes",
    "sha256 " + "ab" * 32,
]  # fmt: skip


@pytest.mark.parametrize("result", RESULTS)
def test_no_sanitizer_rule_touches_a_result(result):
    for pattern in coverage.sanitizer_patterns():
        assert pattern.sub("", result) == result
