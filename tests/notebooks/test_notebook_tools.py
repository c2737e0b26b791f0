"""The notebook tools do what they promise, and notice what they are there to notice."""

import base64
import copy
import io
import json
import pathlib
import re
import subprocess
import sys

import nbformat
import pytest

import book
import notebook_samples as sample
import notebooks as tools

pytestmark = pytest.mark.once

TOOL = sample.ROOT / "tools" / "notebooks.py"
PATH = pathlib.Path("01_a_start.ipynb")


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def execution(committed, executed):
    """What execute() returns of one notebook, without a kernel."""
    return tools.Execution(PATH, tools.text_of(committed), committed, executed)


@pytest.fixture
def checked(monkeypatch, capsys, tmp_path):
    """Run ``check`` on a pair of notebooks as if the second came out of the kernel; (status, report)."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / PATH.name).write_text("{}", encoding="utf-8")

    def run(committed, executed, seconds=1.0, error=""):
        done = execution(committed, executed)
        done.error = error
        monkeypatch.setattr(tools, "execute", lambda root, paths: ([done], seconds))
        status = tools.check(tmp_path, [])
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
            nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[f"{sample.ROOT}/x.py in f"]),
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
    once = tools.text_of(tools.normalise(untidy()))
    assert tools.text_of(tools.normalise(tools.parse(once, PATH))) == once


def test_the_normal_form_holds_nothing_of_one_run_or_one_machine():
    nb = tools.normalise(untidy())
    text = tools.text_of(nb)
    assert nb.metadata == {"kernelspec": tools.KERNELSPEC, "language_info": tools.LANGUAGE_INFO}
    assert [cell.execution_count for cell in nb.cells[1:]] == [1, 2, 3]
    assert nb.cells[1].metadata == {"tags": ["a", "b"]}
    assert [output.text for output in nb.cells[1].outputs] == ["one\ntwo\n"]
    assert set(nb.cells[2].outputs[0].data) == {"text/plain", "image/png"}
    assert nb.cells[2].outputs[0].execution_count == 2
    assert str(sample.ROOT) not in text
    assert "\r" not in text
    assert text.endswith("}\n")


def test_a_widget_view_stays_where_it_is_the_only_form():
    view = sample.result({sample.WIDGET_VIEW: {"model_id": "x"}})
    nb = tools.normalise(notebook(sample.code("w", view)))
    assert set(nb.cells[0].outputs[0].data) == {sample.WIDGET_VIEW}


def test_missing_and_doubled_ids_become_the_same_ids_each_time():
    raw = json.loads(tools.text_of(sample.good_notebook()))
    kept = raw["cells"][0]["id"]
    del raw["cells"][1]["id"]
    raw["cells"][2]["id"] = kept
    one, other = (tools.parse(json.dumps(raw), PATH) for _ in range(2))
    ids = [cell.id for cell in one.cells]
    assert ids == [cell.id for cell in other.cells]
    assert ids[0] == kept
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("raw", ["", "[]", "{}", '{"nbformat": 3, "worksheets": []}', '{"nbformat": 4, "cells": [{}]}'])
def test_a_file_that_is_no_notebook_is_refused_by_name(raw):
    with pytest.raises(tools.NotebookFault, match=r"01_a_start\.ipynb: not a notebook"):
        tools.parse(raw, PATH)


# --- navigation


def three(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name, head in (
        ("00_start_here", "# Start here\n\nWelcome."),
        ("03_the_stock", "# 07 · The stock\n\n[← 02 · Gone](02_gone.ipynb) | [Contents](x.ipynb)\n\nText."),
        ("04_the_patch", "# The patch"),
    ):
        nb = tools.normalise(notebook(sample.markdown(head)))
        (folder / f"{name}.ipynb").write_text(tools.text_of(nb), encoding="utf-8", newline="\n")
    return folder


def test_navigation_follows_the_order_of_the_files(tmp_path):
    folder = three(tmp_path)
    assert tools.main(["--root", str(tmp_path), "nav"]) == 0
    heads = [tools.parse(tools.read_raw(path), path).cells[0].source for path in tools.roster(tmp_path)]
    assert heads == [
        "# 00 · Start here\n\n[Contents](00_start_here.ipynb) | [03 · The stock →](03_the_stock.ipynb)\n\nWelcome.",
        "# 03 · The stock\n\n[← 00 · Start here](00_start_here.ipynb) | [Contents](00_start_here.ipynb) | "
        "[04 · The patch →](04_the_patch.ipynb)\n\nText.",
        "# 04 · The patch\n\n[← 03 · The stock](03_the_stock.ipynb) | [Contents](00_start_here.ipynb)",
    ]
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert tools.main(["--root", str(tmp_path), "nav"]) == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_notebook_without_a_title_is_named(tmp_path, capsys):
    folder = three(tmp_path)
    nb = tools.normalise(notebook(sample.code("1")))
    (folder / "05_bare.ipynb").write_text(tools.text_of(nb), encoding="utf-8")
    assert tools.main(["--root", str(tmp_path), "nav"]) == 1
    assert "05_bare.ipynb: the first cell must be Markdown" in capsys.readouterr().err


def test_an_unknown_notebook_is_refused(tmp_path, capsys):
    three(tmp_path)
    assert tools.main(["--root", str(tmp_path), "check", "09_none"]) == 1
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

    assert tools.picture_distance(sample.png(20), sample.png(20)) == 0
    assert 0 < tools.picture_distance(sample.png(20), sample.png(21)) < float("inf")
    small = io.BytesIO()
    Image.new("RGB", (10, 10)).save(small, format="png")
    assert tools.picture_distance(sample.png(), base64.b64encode(small.getvalue()).decode()) == float("inf")


def test_a_picture_that_is_gone_is_caught(checked, good):
    fresh = copy.deepcopy(good)
    del fresh.cells[7].outputs[0].data["image/png"]
    assert checked(good, fresh)[0] == 1


def test_a_file_in_another_form_is_caught_though_its_cells_agree(good):
    run = execution(good, copy.deepcopy(good))
    run.committed_raw = json.dumps(json.loads(run.committed_raw), indent=2)
    assert tools.stale(run)[0].startswith("not as refresh writes it")
    run.committed_raw = tools.text_of(good).replace("\n", "\r\n")
    assert tools.stale(run) != []


def test_a_navigation_line_out_of_date_is_caught(checked, good):
    fresh = copy.deepcopy(good)
    fresh.cells[0].source += " | [02 · More →](02_more.ipynb)"
    status, report = checked(good, fresh)
    assert status == 1
    assert "cell 0" in report


def test_only_a_timing_may_differ(checked, good):
    fresh = copy.deepcopy(good)
    fresh.cells[8].outputs[0].text = "0.34 s\n"
    tools.keep_committed_timings(fresh, good)
    assert fresh.cells[8].outputs[0].text == "0.12 s\n"
    fresh.cells[8].outputs[0].text = "0.34 s\n"
    assert checked(good, fresh)[0] == 0
    good.cells[8].metadata.tags = ["nbval-ignore-output"]
    assert checked(good, copy.deepcopy(good))[0] == 1


def test_a_notebook_that_stops_fails_the_check(checked, good):
    status, report = checked(good, copy.deepcopy(good), error="ValueError: no")
    assert status == 1
    assert "stopped: ValueError: no" in report


def test_all_notebooks_together_have_a_time_limit(checked, good):
    assert checked(good, copy.deepcopy(good), seconds=tools.TOTAL_SECONDS)[0] == 0
    status, report = checked(good, copy.deepcopy(good), seconds=tools.TOTAL_SECONDS + 1)
    assert status == 1
    assert "more than 180 s" in report


# --- what is really compared


def test_a_hollow_notebook_is_not_counted_as_compared(checked, good):
    for cell in good.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    kinds = tools.coverage(good, tools.sanitizer_patterns()).kinds
    assert kinds == {"compared": 0, "ignored": 1, "unrun": 5, "silent": 0, "pure": 1}
    status, report = checked(good, copy.deepcopy(good))
    assert status == 1
    assert "only 0 of 6 cells are compared" in report


def test_the_floor_is_eighty_percent(checked, good):
    good.cells.append(sample.code("quiet()", count=7))  # 5 of 7 compared: 71 %
    tools.normalise(good)
    status, report = checked(good, copy.deepcopy(good))
    assert status == 1
    assert "only 5 of 7 cells are compared; at least 80% must be" in report
    for _ in range(3):  # 8 of 10
        good.cells.append(sample.code("f()", sample.printed("1\n")))
    tools.normalise(good)
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
    assert tools.classify(cell, tools.sanitizer_patterns()) == kind


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
    for pattern in tools.sanitizer_patterns():
        assert pattern.sub("", result) == result


# --- with a kernel: the whole way, as few times as will do

DRAW = """\
import base64, io
from PIL import Image

class Figure:
    def __init__(self, bar):
        picture = Image.new("RGB", (120, 60), "white")
        picture.paste("black", (30, 60 - bar, 90, 60))
        self.file = io.BytesIO()
        picture.save(self.file, format="png")

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": "A bar.", "image/png": base64.b64encode(self.file.getvalue()).decode()}
"""


def run_tool(root, *arguments):
    done = subprocess.run(
        [sys.executable, str(TOOL), "--root", str(root), *arguments],
        capture_output=True, text=True, encoding="utf-8", timeout=180, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    """Two notebooks after one refresh."""
    root = tmp_path_factory.mktemp("course")
    (root / "notebooks").mkdir()
    figures = notebook(
        sample.markdown("# Figures"),
        sample.code(DRAW, count=None),
        sample.code("Figure(20)", count=None),
        sample.code("import os\nprint(6 * 7, os.path.basename(os.getcwd()))", count=None),
    )
    timings = notebook(
        sample.markdown("# Timings"),
        sample.code("import time", count=None),
        sample.code("print(time.time_ns())", tags=sample.TIMING, reason="a clock", count=None),
        *(sample.code(f"print({n})", count=None) for n in range(4)),
    )
    for name, nb in (("00_figures", figures), ("01_timings", timings)):
        (root / "notebooks" / f"{name}.ipynb").write_text(nbformat.writes(nb), encoding="utf-8")
    status, report = run_tool(root, "refresh")
    assert status == 0, report
    return root


def contents(root):
    return {path.name: path.read_bytes() for path in (root / "notebooks").iterdir()}


def test_a_second_refresh_changes_no_byte(refreshed):
    before = contents(refreshed)
    status, report = run_tool(refreshed, "refresh")
    assert status == 0, report
    assert contents(refreshed) == before
    assert b"42 notebooks" in before["00_figures.ipynb"]  # executed in notebooks/
    assert b"TCP without encryption" not in report.encode()


def test_check_finds_what_was_tampered_with(refreshed, tmp_path):
    root = tmp_path / "course"
    (root / "notebooks").mkdir(parents=True)
    for name, data in contents(refreshed).items():
        (root / "notebooks" / name).write_bytes(data)
    figures = root / "notebooks" / "00_figures.ipynb"
    raw = tools.read_raw(figures)
    tampered = tools.PNG.sub(sample.png(26), raw).replace("42 notebooks", "43 notebooks")
    assert tampered != raw
    figures.write_text(tampered, encoding="utf-8", newline="\n")
    before = contents(root)
    status, report = run_tool(root, "check")
    assert status == 1
    assert "00_figures.ipynb: stale: cell 2: picture 1 differs" in report
    assert re.search(r"00_figures.ipynb: stale: cell 3:.*\n.*43 notebooks.*\n.*42 notebooks", report)
    assert "01_timings.ipynb: stale" not in report
    assert contents(root) == before  # check writes nothing


def test_refresh_does_not_write_a_notebook_that_fails(tmp_path):
    (tmp_path / "notebooks").mkdir()
    bad = tmp_path / "notebooks" / "00_bad.ipynb"
    cells = [sample.markdown("# Bad"), sample.code("print(1)", count=None), sample.code("1 / 0", count=None)]
    bad.write_text(nbformat.writes(notebook(*cells)), encoding="utf-8")
    status, report = run_tool(tmp_path, "refresh")
    assert status == 1
    assert "ZeroDivisionError: division by zero (cell 2: 1 / 0)" in report
    assert "ZeroDivisionError" not in bad.read_text(encoding="utf-8")


@pytest.mark.parametrize(("failures", "error"), [(1, None), (2, "Kernel didn't respond")])
def test_a_kernel_that_does_not_come_up_is_started_once_more(monkeypatch, tmp_path, capsys, failures, error):
    from nbclient import NotebookClient

    path = tmp_path / "notebooks" / "00_start.ipynb"
    path.parent.mkdir()
    path.write_text(nbformat.writes(notebook(sample.markdown("# Start"), sample.code("print(1)", count=None))))
    start, left = NotebookClient.async_start_new_kernel_client, [True] * failures

    async def flaky(client):
        if left:
            left.pop()
            raise RuntimeError("Kernel didn't respond in 60 seconds")
        return await start(client)

    monkeypatch.setattr(NotebookClient, "async_start_new_kernel_client", flaky)
    if error:
        with pytest.raises(RuntimeError, match=error):
            tools.execute(tmp_path, [path])
    else:
        (run,), _ = tools.execute(tmp_path, [path])
        assert not run.error
        assert run.notebook.cells[1].outputs[0].text == "1\n"
    assert "seconds; once more" in capsys.readouterr().out


# --- the book


def bound(root, *cells):
    """Build a book of one notebook, already executed, in ``root``."""
    path = root / "notebooks" / "01_a_start.ipynb"
    nb = sample.good_notebook()
    nb.cells += cells
    return book.build(root, {path: tools.with_html_pictures(nb)}, sample.ROOT / "docs")


@pytest.fixture
def shelf(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("# Data\n\n## Where it is from\n\nHere.\n", encoding="utf-8")
    (tmp_path / "README.md").write_text(
        "# lab\n\nA lead.\n\n## More\n\n[data](data/README.md) [folder](data/) [gone](gone.md)\n", encoding="utf-8"
    )
    return tmp_path


def test_the_book_is_readable_and_stands_alone(shelf):
    more = sample.markdown("See [data](../data/README.md#Where-it-is-from) and $$\\frac{n}{32}$$")
    assert bound(shelf, more) == 0
    built = shelf / "build" / "book"
    page = (built / "notebooks" / "01_a_start.html").read_text(encoding="utf-8")
    assert 'alt="Bar chart: the root takes 621."' in page
    assert 'alt="A lab: 12 pages in a batch."' in page  # the lab shows its static picture
    assert "<summary>Answer</summary>" in page
    assert "<mfrac>" in page  # formulas without a script
    assert "data/README.html#where-it-is-from" in page
    index = (built / "index.html").read_text(encoding="utf-8")
    for words in ("A lead.", "count atomics; say why", "25"):
        assert words in index


def test_a_foreign_request_in_the_book_is_caught(shelf, capfd):
    planted = sample.result({"text/plain": "x", "text/html": '<script src="https://cdn.example.org/a.js"></script>'})
    assert bound(shelf, sample.code("f()", planted)) == 1
    assert "01_a_start.html: loads https://cdn.example.org/a.js" in capfd.readouterr().err


def test_a_warning_stops_the_book(shelf, capfd):
    assert bound(shelf, sample.markdown("```{no-such-directive}\n```")) != 0
    assert "no-such-directive" in capfd.readouterr().err


FOREIGN = [
    '<script src="https://cdn.example.org/a.js"></script>',
    '<link rel="stylesheet" href="//fonts.example.org/f.css">',
    '<link rel="preconnect" href="https://fonts.example.org">',
    '<img alt="x" src="http://example.org/a.png">',
    '<img alt="x" src="data:," srcset="https://example.org/a.png 2x">',
    '<iframe src="https://example.org"></iframe>',
    '<p style="background: url(https://example.org/a.png)">x</p>',
    '<style>@import "https://example.org/a.css";</style>',
]
HARMLESS = [
    '<a href="https://example.org">a link is followed by a reader only</a>',
    '<link rel="canonical" href="https://example.org/page">',
    '<img alt="" src="data:image/png;base64,AAAA">',
    '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
]


@pytest.mark.parametrize(("markup", "clean"), [(m, False) for m in FOREIGN] + [(m, True) for m in HARMLESS])
def test_what_a_page_loads_is_seen(tmp_path, markup, clean):
    (tmp_path / "page.html").write_text(markup, encoding="utf-8")
    assert (book.page_faults(tmp_path) == []) is clean


@pytest.mark.parametrize(
    "markup",
    ['<a href="gone.html">x</a>', '<img alt="x" src="gone.png">', '<img src="data:,">', '<a href="../x">x</a>'],
)
def test_a_dead_link_or_a_picture_without_alt_is_seen(tmp_path, markup):
    (tmp_path / "page.html").write_text(markup, encoding="utf-8")
    assert len(book.page_faults(tmp_path)) == 1


def test_a_foreign_font_in_a_style_sheet_is_seen(tmp_path):
    (tmp_path / "a.css").write_text("@font-face { src: url('https://example.org/f.woff2') }", encoding="utf-8")
    assert book.page_faults(tmp_path) == ["a.css: loads https://example.org/f.woff2"]
