"""Notebooks are executed, kept, refreshed and found stale: the whole way with a kernel, as few times as will do."""

import re
import subprocess
import sys

import nbformat
import pytest

import notebook_samples as sample
from notebook_samples import notebook
from tools import check, comparison, execution, notebooks

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


def run_module(*arguments, **more):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", timeout=180, check=False,
        cwd=notebooks.ROOT, env=execution.environment() | more,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def run_tool(root, name, *arguments):
    return run_module(f"tools.{name}", "--root", root, *arguments)


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


@pytest.fixture
def tampered(refreshed, tmp_path):
    """The two notebooks, with another bar in a picture and another number."""
    root = tmp_path / "course"
    (root / "notebooks").mkdir(parents=True)
    for name, data in contents(refreshed).items():
        (root / "notebooks" / name).write_bytes(data)
    figures = root / "notebooks" / "00_figures.ipynb"
    raw = notebooks.read_raw(figures)
    text = comparison.PNG.sub(sample.png(26), raw).replace("42 notebooks", "43 notebooks")
    assert text != raw
    figures.write_text(text, encoding="utf-8", newline="\n")
    return root


@pytest.mark.parametrize("executor", ["check itself", "nbval"])
def test_check_finds_what_was_tampered_with(tampered, tmp_path, executor):
    before, kept = contents(tampered), []
    if executor == "nbval":
        kept = ["--executed", tmp_path / "executed"]
        nbval = ("pytest", "-q", "-p", "no:cacheprovider", "-p", "tools.keep_executed", "--nbval")
        status, report = run_module(*nbval, "--keep-executed", kept[1], tampered / "notebooks")
        assert status == 1, report
        assert re.search(r"1 failed, 8 passed", report)  # the number; nbval looks at no picture
    status, report = run_tool(tampered, "check", *kept)
    assert status == 1
    assert "00_figures.ipynb: stale: cell 2: picture 1 differs" in report
    assert re.search(r"00_figures.ipynb: stale: cell 3:.*\n.*43 notebooks.*\n.*42 notebooks", report)
    assert "2 complaints" in report  # and the timings notebook is as it was
    assert contents(tampered) == before  # check writes nothing


def test_a_notebook_that_compiles_what_the_warm_up_left_out_fails_the_run(tmp_path):
    cells = (
        sample.code("import os, pathlib", count=1),
        sample.code("pathlib.Path(os.environ['NUMBA_CACHE_DIR'], name).touch()", count=2),
    )
    (tmp_path / "cache").mkdir()
    for name, code in (("old.nbc", 0), ("new.nbc", 1)):
        (tmp_path / "cache" / "old.nbc").touch()
        setting = sample.code(f"name = {name!r}", count=3)
        path = tmp_path / "00_compiles.ipynb"
        path.write_text(nbformat.writes(notebook(sample.markdown("# Compiles"), setting, *cells)), encoding="utf-8")
        nbval = ("pytest", "-q", "-p", "no:cacheprovider", "-p", "tools.keep_executed", "--nbval")
        status, report = run_module(
            *nbval, "--keep-executed", tmp_path / name, path, NUMBA_CACHE_DIR=str(tmp_path / "cache")
        )
        assert status == code, report
        assert "3 passed" in report
        assert ("but not by the warm-up (memcg_lab/warmup.py): new.nbc" in report) == bool(code)


def test_what_nbval_did_not_execute_is_not_taken_for_compared(refreshed, tmp_path, capsys):
    assert check.check(refreshed, executed=tmp_path) == 1
    report = capsys.readouterr().out
    assert "00_figures.ipynb: stopped: cell 1 was not executed" in report
    assert "01_timings.ipynb: stopped: cell 1 was not executed" in report


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
            execution.execute(tmp_path, [path])
    else:
        (run,), _ = execution.execute(tmp_path, [path])
        assert not run.error
        assert run.notebook.cells[1].outputs[0].text == "1\n"
    assert "seconds; once more" in capsys.readouterr().out
