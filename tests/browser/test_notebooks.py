"""Each notebook in a real JupyterLab, started as ``lab.py`` does: opened, saved by itself, run, closed, opened again.

python -m pytest tests/browser/test_notebooks.py -m browser

The notebooks are copies. What JupyterLab writes into them is held against the committed files by the tools that
``lab.py refresh`` uses at commit.
"""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

from browser_helpers import PATIENCE, comes_to, drawn, expect, sentences_by_keyboard
from tools import execution, notebooks, study
from tools.comparison import keep_committed_timings, stale
from tools.notebooks import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]
COMMITTED = notebooks.roster(ROOT)
SECONDS = 900  # for one notebook to run; the slowest takes a tenth of that on two busy cores
AUTOSAVE = 2  # seconds; JupyterLab's own is 120


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def lab_command(root, *options):
    """What ``lab.py lab`` starts, with this Python, in another folder."""
    spec = importlib.util.spec_from_file_location("lab_of_the_collection", ROOT / "lab.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PY, module.ROOT = sys.executable, str(root)
    return module.jupyterlab(list(options))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A JupyterLab on copies of the notebooks; gives the address it prints, and their folder."""
    home = tmp_path_factory.mktemp("jupyter")
    root = home / "collection"
    (root / "notebooks").mkdir(parents=True)
    for path in COMMITTED:
        shutil.copy(path, root / "notebooks")
    assert study.update(root) == []
    settings = {
        # Where a file is written slowly JupyterLab takes its own writing for somebody else's, and asks whom to believe.
        "docmanager-extension/plugin": {"autosaveInterval": AUTOSAVE, "lastModifiedCheckMargin": PATIENCE * 1000},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},  # as the set-up does
    }
    for name, values in settings.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    environment = execution.environment() | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    subprocess.run([sys.executable, "-m", "memcg_lab", "warmup"], cwd=ROOT, env=environment, check=True)
    port = free_port()
    # The last option lets a test ask JupyterLab's own model what a page that shows a part of it cannot tell.
    options = "--no-browser", f"--port={port}", "--ServerApp.port_retries=0", "--LabApp.expose_app_in_browser=True"
    log = home / "log"
    with (
        open(log, "w") as out,
        subprocess.Popen(lab_command(root, *options), cwd=root, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            end = time.monotonic() + 5 * PATIENCE
            while not (printed := re.findall(r"^ +(http://127\.0\.0\.1:\S+token=\w+)", log.read_text(), re.MULTILINE)):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield printed[0], root / "notebooks"
        finally:
            process.terminate()  # it ends its kernels itself
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def text_of(path):
    """The text of a notebook. JupyterLab empties the file before it writes it, so one may come upon a part of it."""
    end = time.monotonic() + PATIENCE
    while True:
        raw = notebooks.read_raw(path)
        try:
            json.loads(raw)
            return raw
        except ValueError:
            assert time.monotonic() < end, raw
            time.sleep(0.05)


PANEL = "const panel = jupyterapp.shell.currentWidget, { context, sessionContext, content } = panel;"


def inside(page, code):
    """Evaluate in the page, with the notebook that is shown."""
    return page.evaluate(f"async () => {{ {PANEL} {code} }}")


def ready(page):
    """Wait until the notebook is there and its kernel is at rest."""
    page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()
    inside(page, "await context.ready; await sessionContext.ready; await sessionContext.session?.kernel?.info;")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.locator(".jp-Spinner").first.wait_for(state="detached")


def saved_by_itself(page):
    """Wait until JupyterLab has nothing left to save."""
    page.wait_for_timeout(500)  # it may have changed nothing in what it has opened; then nothing is to happen
    page.wait_for_function(f"() => {{ {PANEL} return !context.model.dirty; }}")


def close(page):
    """Close the notebook and end its kernel; it is saved right before, else JupyterLab might ask what to do."""
    inside(page, "await sessionContext.shutdown(); while (context.model.dirty) await context.save(); panel.close();")
    page.locator(".jp-NotebookPanel").wait_for(state="detached")


def looked_through(page):
    """Show every cell once, as a reader does who scrolls; JupyterLab makes what it shows only then."""
    for position in range(inside(page, "return content.widgets.length;")):
        inside(page, f"await content.scrollToItem({position}, 'start'); await content.widgets[{position}].ready;")
        drawn(page)


ALL_RAN = """return content.model.sharedModel.cells.every(
  (cell) => cell.cell_type !== "code" || !cell.source.trim() || cell.execution_count);"""


def test_the_address_that_is_printed_opens_the_first_notebook(server, watched, shots):
    address, _ = server
    page = watched(address, allowed=address.split("lab/tree")[0])
    ready(page)
    assert inside(page, "return context.path;") == "study/00_start_here.ipynb"
    page.screenshot(path=shots / "jupyterlab_first_contact.png")
    close(page)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem[:2])
def test_a_notebook_opens_runs_and_leaves_what_is_normalised_away(server, watched, shots, path):
    address, folder = server
    origin, token = address.split("lab/tree")[0], address.split("?")[1]
    url = f"{origin}lab/tree/notebooks/{path.name}?reset&{token}"
    raw, copy = notebooks.read_raw(path), folder / path.name

    def as_committed():
        return notebooks.text_of(notebooks.normalise(notebooks.parse(text_of(copy), copy)))

    page = watched(url, allowed=origin)
    ready(page)
    saved_by_itself(page)
    assert as_committed() == raw

    inside(page, "await jupyterapp.commands.execute('notebook:clear-all-cell-outputs');")
    start = time.perf_counter()
    inside(page, "await jupyterapp.commands.execute('notebook:run-all-cells');")
    page.wait_for_function(f"() => {{ {PANEL} {ALL_RAN} }}", timeout=SECONDS * 1000)
    print(f"{path.stem}: {time.perf_counter() - start:.1f} s")
    looked_through(page)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    for number in range(page.locator(".jp-OutputArea-output figure[data-memcg-lab]").count()):
        figure = page.locator(".jp-OutputArea-output figure[data-memcg-lab]").nth(number)
        figure.scroll_into_view_if_needed()
        figure.locator(".status").first.wait_for()  # it lives, and Python answers
        page.screenshot(path=shots / f"jupyterlab_{path.stem}_{number}.png")
        assert len(set(sentences_by_keyboard(page, figure))) > 1
        figure.screenshot(path=shots / f"jupyterlab_{path.stem}_{number}_moved.png")
    inside(page, "await context.save();")  # JupyterLab takes what changes during an autosave for saved
    close(page)
    written = text_of(copy)

    again = watched(url, allowed=origin)  # what a student sees next morning
    ready(again)
    looked_through(again)
    assert again.get_by_text("Error displaying widget").count() == 0
    close(again)

    fresh = notebooks.parse(written, copy)
    run = execution.Execution(path, raw, notebooks.parse(raw, path), notebooks.normalise(fresh))
    assert execution.stopped(run.notebook) == ""
    keep_committed_timings(run.notebook, run.committed)
    assert stale(run) == []


def run_cell(page, position):
    """Run one cell, by the keyboard as a reader does, and wait until it has run."""
    inside(page, f"content.activeCellIndex = {position}; await content.scrollToItem({position}, 'start');")
    inside(page, "await jupyterapp.commands.execute('notebook:run-cell');")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=2 * PATIENCE * 1000)


def position_of(path, source):
    nb = notebooks.parse(text_of(path), path)
    return next(i for i, cell in enumerate(nb.cells) if cell.cell_type == "code" and source in cell.source)


def test_a_reader_predicts_in_a_form_and_finds_it_again_in_the_notes(server, watched, shots):
    address, folder = server
    origin, token = address.split("lab/tree")[0], address.split("?")[1]
    copy = folder.parent / "study" / "03_the_stock.ipynb"
    page = watched(f"{origin}lab/tree/study/{copy.name}?reset&{token}", allowed=origin)
    ready(page)
    predict, reveal = position_of(copy, 'predict("03.trips"'), position_of(copy, 'reveal("03.trips"')
    for position in (position_of(copy, "setup()"), position_of(copy, 'quiz("before 03"'), predict):
        run_cell(page, position)
    quiz = page.locator("[data-memcg-form*='before 03']")
    quiz.get_by_label("Your answer").first.fill("7")
    quiz.get_by_role("button", name="Return").click()
    quiz.get_by_role("status").get_by_text("2 and 3 are still open.").wait_for(timeout=2 * PATIENCE * 1000)
    for n in (1, 2):
        field = quiz.get_by_label("Your answer").nth(n)
        if field.evaluate("el => el.localName") == "select":
            field.select_option("?")
        else:
            field.fill("?")
    quiz.get_by_role("button", name="Return").click()
    quiz.get_by_role("status").get_by_text("1. You said 7").wait_for(timeout=2 * PATIENCE * 1000)
    quiz.screenshot(path=shots / "jupyterlab_quiz.png")
    form = page.locator("[data-memcg-form*='03.trips']")
    form.get_by_label("trips").focus()
    page.keyboard.type("3")  # a notebook has keys of its own, and none of them may take these
    page.keyboard.press("Tab")
    page.keyboard.type("8")  # 80 %
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    form.get_by_role("status").get_by_text("Noted: trips 3; 80 % sure.").wait_for()
    page.screenshot(path=shots / "jupyterlab_form.png")
    run_cell(page, reveal)
    page.get_by_text("3 is 100 / 32, rounded down.").wait_for()
    page.get_by_text("Score 0.64").wait_for()
    inside(page, "await context.save();")
    close(page)
    assert "widget-view" not in copy.read_text(encoding="utf-8")
    kept = json.loads((copy.parent / "notes.json").read_text(encoding="utf-8"))
    assert kept["predictions"] == {"03.trips": {"said": {"trips": 3}, "sure": 80, "shown": True}}
    assert kept["quizzes"]["before 03"][0]["said"] == 7
    assert study.update(folder.parent) == []  # it was run, not changed

    again = watched(f"{origin}lab/tree/study/{copy.name}?reset&{token}", allowed=origin)
    ready(again)
    run_cell(again, position_of(copy, "setup()"))
    run_cell(again, predict)
    form = again.locator("[data-memcg-form*='03.trips']")
    form.get_by_role("status").get_by_text("Noted: trips 3; 80 % sure.").wait_for()
    expect(form.get_by_label("trips")).to_have_value("3")
    close(again)


def test_an_answer_is_folded_until_its_cell_is_run(server, watched, shots):
    address, folder = server
    origin, token = address.split("lab/tree")[0], address.split("?")[1]
    copy = folder / "03_the_stock.ipynb"
    shutil.copy(ROOT / "notebooks" / copy.name, copy)
    page = watched(f"{origin}lab/tree/notebooks/{copy.name}?reset&{token}", allowed=origin)
    ready(page)
    looked_through(page)
    told = page.get_by_text("The run says trips 4.")
    position = position_of(copy, 'reveal("03.trips"')
    inside(page, f"await content.scrollToItem({position}, 'start');")
    page.screenshot(path=shots / "jupyterlab_folded.png")
    assert told.count() == 0 or not told.is_visible()
    folded = page.locator(".jp-OutputPlaceholder .jp-PlaceholderText")  # its first line is all that JupyterLab shows
    comes_to(page, lambda: {"You said nothing yet.", "<figure>"} - set(folded.all_inner_texts()), set())
    run_cell(page, position_of(copy, "setup()"))
    run_cell(page, position)
    told.wait_for()
    close(page)
