"""The exercises solved are those of the notebooks, executed, and every one of them is right."""

import shutil

import nbformat
import pytest

from memcg_lab.course.exercises import EXERCISES
from tools import notebooks, solutions

ROSTER = notebooks.roster(notebooks.ROOT)


def test_solutions_are_what_notebooks_and_answers_say():
    assert solutions.stale(notebooks.ROOT) == []


@pytest.mark.parametrize("path", ROSTER, ids=lambda path: path.stem)
def test_every_exercise_of_a_notebook_is_solved_and_right(path):
    nb = nbformat.v4.reads_json(notebooks.read_raw(solutions.place(path)))
    solved = [cell for cell in nb.cells if cell.cell_type == "code" and "check(" in cell.source and cell.outputs]
    said = ["".join(output.get("text", "") for output in cell.outputs) for cell in solved]
    assert [text.split(":")[0] for text in said] == [
        number for number, _ in solutions.texts(notebooks.parse(notebooks.read_raw(path), path))
    ]
    assert all(text.split(": ", 1)[1].startswith("right. ") for text in said)
    assert "not yet" not in "".join(said)


def test_all_exercises_are_solved():
    numbers = [
        number for path in ROSTER for number, _ in solutions.texts(notebooks.parse(notebooks.read_raw(path), path))
    ]
    assert sorted(numbers) == list(EXERCISES)


def test_a_solution_that_is_out_of_date_is_found(tmp_path):
    shutil.copytree(notebooks.ROOT / "notebooks", tmp_path / "notebooks")
    path = tmp_path / "notebooks" / ROSTER[0].name
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("66 single pages", "99 single pages"), encoding="utf-8")
    (tmp_path / "notebooks" / "solutions" / ROSTER[1].name).unlink()
    assert solutions.stale(tmp_path) == [
        f"solutions/{ROSTER[0].name} says something else than the notebook and the answers; make it anew",
        f"solutions/{ROSTER[1].name} is missing",
    ]
