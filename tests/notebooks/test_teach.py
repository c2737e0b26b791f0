"""What a teacher gets of the notebooks: every cell on a slide, minutes that add up, two editions."""

import html
import re

import pytest

from memcg_lab.course.guesses import GUESSES
from memcg_lab.course.questions import QUESTIONS
from memcg_lab.course.worked import WORKED
from tools import book, notebooks, teach
from tools.execution import Execution
from tools.notebooks import ROOT

SHORT = [exercise for exercise, worked in WORKED.items() if len(worked.answer) < 20]  # "4 + 1" may stand anywhere
TWO = ["00_start_here", "03_the_stock"]
EVERY = [path.stem for path in notebooks.roster(ROOT)]


def read(stem):
    path = ROOT / "notebooks" / f"{stem}.ipynb"
    return notebooks.parse(notebooks.read_raw(path), path)


def parts_of(stem):
    nb = read(stem)
    seconds = {k: 30.0 for k, cell in enumerate(nb.cells) if cell.cell_type == "code"}
    return teach.sections(Execution(ROOT / "notebooks" / f"{stem}.ipynb", "", nb, nb, cell_seconds=seconds))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two notebooks, as committed."""
    out = tmp_path_factory.mktemp("root") / "build" / "teach"
    assert teach.teach(ROOT, TWO, committed=True, out=out) == 0
    return out


def text_of(page):
    """What a page says, without its tags, with blanks alike."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())


# --- what stands in the notebooks
@pytest.mark.parametrize("stem", EVERY)
def test_a_notebook_has_minutes_a_question_for_the_class_and_no_empty_section(stem):
    parts = parts_of(stem)
    unset = [part["title"] for part in parts if not part["set"]]
    assert len(unset) <= 3, f"sections without metadata.memcg_lab.talk: {unset}"
    assert sum(len(part["ask"]) for part in parts) >= 1
    for part in parts:
        assert isinstance(part["talk"], int)
        assert 1 <= part["talk"] <= 15
        assert all(question.endswith(("?", ".")) for question in part["ask"])
        assert all(max(map(len, board.split("\n"))) <= 90 for board in part["board"])  # it is to be drawn


def test_minutes_in_class_are_talk_and_computing():
    parts = parts_of("03_the_stock")
    cells = sum(cell.cell_type == "code" for cell in read("03_the_stock").cells)
    talk = sum(part["talk"] for part in parts)
    assert teach.minutes(parts) == talk + -(-cells * 30 // 60)
    assert sum(part["seconds"] for part in parts) == cells * 30


# --- slides
@pytest.mark.parametrize("stem", TWO)
def test_every_cell_is_on_a_slide_once_and_in_order(made, stem):
    page = (made / "slides" / f"{stem}.html").read_text(encoding="utf-8")
    sections = text_of(page[page.index("<section>") : page.rindex("</section>")])
    place = 0
    for cell in read(stem).cells:
        first = cell.source if cell.cell_type == "code" else re.sub(r"^#+ ", "", cell.source.split("\n")[0])
        said = (
            " ".join(text_of(teach.in_html(first)).split()) if cell.cell_type == "markdown" else " ".join(first.split())
        )
        place = sections.index(said, place) + len(said)


@pytest.mark.parametrize("stem", TWO)
def test_a_prediction_stands_alone_until_the_class_has_bet(stem):
    groups = teach.cut(read(stem).cells)
    asked = [group for group in groups if teach.asked_in(group, "predict")]
    assert asked
    for group in asked:
        assert teach.asked_in(group[-1:], "predict")  # nothing after it on this slide
        assert not teach.shown(group[-1])  # nor that nobody has said anything yet


def test_a_slide_has_one_output_at_most_and_it_waits_for_a_key(made):
    for stem in EVERY:
        for group in teach.cut(read(stem).cells):
            assert sum(bool(teach.shown(cell)) for cell in group) <= 1
    page = (made / "slides" / "03_the_stock.html").read_text(encoding="utf-8")
    shown = sum(bool(teach.shown(cell)) for cell in read("03_the_stock").cells)
    assert page.count("data-step>") == shown > 5


@pytest.mark.parametrize("kind", ["slides", "run-sheets"])
def test_the_pages_ask_nobody_for_anything(made, kind):
    assert not [fault for fault in book.page_faults(made / kind)]


# --- run-sheets
@pytest.mark.parametrize("stem", TWO)
def test_a_run_sheet_names_every_bet_with_its_answer_and_every_usual_wrong_one(made, stem):
    sheet = text_of((made / "run-sheets" / f"{stem}.html").read_text(encoding="utf-8"))
    asked = teach.asked_in(read(stem).cells, "predict")
    assert {name for name, _ in asked} == {question for question in QUESTIONS if question.startswith(stem[:2])}
    for question, cell in asked:
        assert f"{question}, cell {cell}" in sheet
        for guesses in GUESSES[question].values():
            assert all(" ".join(says.split()) in sheet for says in guesses.values())
    for cell in read(stem).cells:
        said = cell.metadata.get("memcg_lab", {})
        assert " ".join(said.get("board", "").split()) in sheet
        assert said.get("ask", "") in sheet


# --- editions
@pytest.mark.parametrize("stem", EVERY)
def test_a_students_edition_has_no_output_and_folds_what_is_said_after_a_run(stem):
    nb = teach.student(read(stem))
    assert not [cell.id for cell in nb.cells if cell.get("outputs")]
    assert not re.search(r"[Tt]he run says .*\d", notebooks.text_of(nb))
    checkpoints = [cell.source for cell in nb.cells if "**Checkpoint.**" in cell.source]
    assert checkpoints
    assert not [source for source in checkpoints if "<details" in source.partition("**Checkpoint.**")[2]]
    looks = [cell.source for cell in nb.cells if re.search(r"^### Look\s+\S", cell.source, re.MULTILINE)]
    assert looks or stem == "00_start_here"  # which only shows where things are
    folded = re.compile(r"### Look\n+<details[^>]*><summary>.*</details>(\s*\*\*Checkpoint\.\*\*.*)?", re.DOTALL)
    assert not [source for source in looks if not folded.fullmatch(source)]
    assert not [cell.id for cell in nb.cells if {"ask", "board", "talk"} & set(cell.metadata.get("memcg_lab", {}))]
    sources = [cell.source for cell in read(stem).cells if cell.cell_type == "code"]
    assert [cell.source for cell in nb.cells if cell.cell_type == "code"] == sources


@pytest.mark.parametrize("stem", EVERY)
def test_a_teachers_edition_says_below_each_prediction_what_answers_mean(stem):
    nb = teach.teacher(read(stem))
    for at, cell in enumerate(nb.cells):
        for question, _ in teach.asked_in([cell], "predict"):
            note = nb.cells[at + 1]
            assert note.id == f"teacher-{cell.id}"
            for guesses in GUESSES[question].values():
                assert all(says in note.source for says in guesses.values())
        for exercise, _ in teach.asked_in([cell], "check"):
            assert WORKED[exercise].answer in nb.cells[at + 1].source
            assert WORKED[exercise].answer not in notebooks.text_of(teach.student(read(stem))) or exercise in SHORT
    assert [cell.id for cell in nb.cells if not cell.id.startswith("teacher-")] == [
        cell.id for cell in read(stem).cells
    ]


@pytest.mark.parametrize("edition", ["student", "teacher"])
def test_links_of_an_edition_lead_somewhere(edition):
    path = ROOT / "notebooks" / "03_the_stock.ipynb"
    target = ROOT / "build" / "teach" / edition / path.name
    nb = teach.relinked(read("03_the_stock"), path, target, {path.name, "04_the_patch.ipynb"})
    found = []
    for cell in nb.cells:
        for match in book.LINK_OR_CODE.finditer(cell.source if cell.cell_type == "markdown" else ""):
            link = (match["link"] or "#").partition("#")[0]
            if link and ":" not in link:
                found.append(link)
                assert link == "04_the_patch.ipynb" or (target.parent / link).resolve().is_file(), link
    assert any(link.endswith("docs/glossary.md") for link in found)
    assert "04_the_patch.ipynb" in found


# --- the whole
def test_the_list_at_the_end_names_everything(capsys, tmp_path):
    assert teach.teach(ROOT, ["00_start_here"], committed=True, out=tmp_path / "teach") == 0
    out = capsys.readouterr().out
    for name in re.findall(r"\S+/00_start_here\.\w+", out):
        assert (tmp_path / "teach" / name).is_file()
    assert len(re.findall(r"\S+/00_start_here\.\w+", out)) == 4
    page = (tmp_path / "teach" / "index.html").read_text(encoding="utf-8")
    assert all((tmp_path / "teach" / link).is_file() for link in re.findall(r'href="([^"]+\.(?:html|ipynb))"', page))


@pytest.mark.slow
def test_what_is_executed_is_measured(tmp_path, capsys):
    assert teach.teach(ROOT, ["00_start_here"], out=tmp_path / "teach") == 0
    sheet = (tmp_path / "teach" / "run-sheets" / "00_start_here.html").read_text(encoding="utf-8")
    assert "not measured" not in sheet
    assert re.search(r"computing \d+ s\.", sheet)
    assert not read("00_start_here").cells[0].metadata.get("execution")
