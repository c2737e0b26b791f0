"""Every exercise: a stub is no answer, the worked answer is right, hints come in steps, and what was said is kept."""

import re

import nbformat
import pytest

from lab_helpers import said
from memcg_lab import check
from memcg_lab.course import exercises, notes
from memcg_lab.course.exercises import EXERCISES
from memcg_lab.course.worked import WORKED
from memcg_lab.words import COLUMNS, wrapped
from tools import notebooks

CALL = re.compile(r'check\("([\d.]+)", None\)')
IN_NOTEBOOKS = {
    path.name[:2]: [
        match[1]
        for cell in nbformat.v4.reads_json(notebooks.read_raw(path)).cells
        if "exercise" in notebooks.tags_of(cell) and (match := CALL.fullmatch(cell.source))
    ]
    for path in notebooks.roster(notebooks.ROOT)
}


@pytest.mark.parametrize("notebook", IN_NOTEBOOKS)
def test_a_notebook_has_three_to_six_exercises_of_its_own(notebook):
    asked = IN_NOTEBOOKS[notebook]
    assert 3 <= len(asked) <= 6
    assert sorted(asked) == [exercise for exercise in EXERCISES if exercise.startswith(notebook)]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_worked_answer_is_right_and_is_shown(capsys, exercise):
    told = said(capsys, exec, WORKED[exercise].cell(exercise), {"check": check, "__name__": "__main__"})
    assert told.startswith(f"{exercise}: right. ")
    assert not told.splitlines()[-1].strip().isidentifier()  # such as a function's bare name
    assert told.endswith(f"\n{WORKED[exercise].shown()}")


@pytest.mark.parametrize("exercise", EXERCISES)
def test_hints_come_in_steps(capsys, exercise):
    hints = WORKED[exercise].hints
    assert len(hints) > 1
    for number, hint in enumerate(hints, start=1):
        assert said(capsys, check, exercise, hint=number) == wrapped(
            f"{exercise}, hint {number} of {len(hints)}: {hint}"
        )
        assert hint[-1] in ".?"
    for none in (0, len(hints) + 1, True, "1"):
        assert re.fullmatch(f"{exercise}: hint .*from 1 to {len(hints)}\\.?", said(capsys, check, exercise, hint=none))


def test_there_is_a_worked_answer_for_each_exercise_and_for_nothing_else():
    assert list(WORKED) == list(EXERCISES)


@pytest.fixture
def no_answers(monkeypatch):
    monkeypatch.setitem(notes._memory, "answers", {})


def test_answers_are_kept_until_the_right_one(no_answers):
    check("04.1", 4)
    check("04.1", 6)
    assert notes.recall("answers", "04.1") == {"answer": "6", "right": False, "tries": 2}
    check("04.1", 5)
    check("04.1", 6)
    assert notes.recall("answers", "04.1") == {"answer": "5", "right": True, "tries": 3}  # the first right one
    check("04.1", None)
    check("04.1", hint=1)
    assert notes.recall("answers", "04.1")["tries"] == 3


def test_a_function_is_kept_as_its_source_and_a_long_answer_in_part(no_answers):
    def mine(a):
        return a

    class Silent:
        def __repr__(self):
            raise RuntimeError

    check("02.4", mine)
    assert notes.recall("answers", "02.4")["answer"] == "def mine(a):\n    return a"
    made = {}
    exec("def unread(a): return a", made)
    check("02.4", made["unread"])
    assert notes.recall("answers", "02.4")["answer"] == "def unread"
    check("02.3", [0] * 5000)
    assert len(notes.recall("answers", "02.3")["answer"]) < exercises.KEPT + 50
    check("02.3", Silent())
    assert notes.recall("answers", "02.3")["answer"] == "a Silent"


def test_what_a_check_says_is_broken_between_words_where_a_notebook_would_break_a_line(capsys, no_answers):
    told = said(capsys, check, "03.3", 1)
    assert max(map(len, told.splitlines())) <= COLUMNS
    right, whole = EXERCISES["03.3"](1)
    assert " ".join(told.split()) == f"03.3: not yet. {whole}"
    assert not right


def test_a_consume_rule_must_not_look_for_more_than_a_batch(capsys, no_answers):
    def looks(st, batch, cpu, memcg, nr_pages):
        stock = st.stock[cpu, 0]
        if stock.memcg != memcg or stock.nr_pages < nr_pages:
            return False
        stock.nr_pages -= nr_pages
        return True

    told = " ".join(said(capsys, check, "03.5", looks).split())
    assert told.startswith("03.5: not yet. All golden operations end as in the kernel")
    assert "let it hold 40 pages, as with the uncharge hunk and no cap, and charge 33. Your rule leaves 7 pages" in told
