"""The test of 20 items: tied to goals and misconceptions, two forms of one difficulty, no answer in a handout."""

import re
from collections import Counter

import pytest

from lab_helpers import ROOT, python
from memcg_lab.__main__ import main
from memcg_lab.course.before_after import FORMS, ITEMS, LETTERS, form, form_text, gain, key, mark_form
from memcg_lab.course.quiz_draw import Draw
from memcg_lab.course.quiz_kinds import KINDS
from tools import notebooks
from tools.book import aims_of

BOTH = pytest.mark.parametrize("which", FORMS)


def goals():
    """What each notebook says you will be able to do."""
    found = {}
    for path in notebooks.roster(ROOT):
        cells = notebooks.parse(notebooks.read_raw(path), path).cells
        prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        found[path.name[:2]] = [aim.rstrip(";.") for aim in aims_of(prose)]
    return found


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.kind)
def test_every_item_has_a_goal_that_its_notebook_states(item):
    assert item.goal in goals()[item.notebook]


def test_there_are_twenty_items_on_most_of_the_course():
    assert len(ITEMS) == len({item.kind for item in ITEMS}) == 20
    assert len({item.goal for item in ITEMS}) >= 17
    assert {"00", "01", "02", "03", "04", "05", "06", "07", "08", "11"} == {item.notebook for item in ITEMS}


@BOTH
def test_what_is_right_comes_out_of_a_run_and_the_others_are_known_wrong_thoughts(which):
    for asked in form(which):
        item = asked.item
        drawn = [KINDS[item.topic][item.kind](Draw("before and after", item.kind, turn)) for turn in range(400)]
        question = next(one for one in drawn if one[0] == asked.text)
        right, wrong = question[2]()
        plain = {letter: round(value, 2) for letter, value in asked.choices.items()}
        assert plain[asked.right] == round(right, 2)
        assert len(set(plain.values())) == len(plain) == 4
        assert tuple(asked.says) == tuple(letter for letter in LETTERS if letter != asked.right)
        for letter, says in asked.says.items():
            assert says in item.thoughts
            assert plain[letter] in [round(value, 2) for value, why in wrong if why == says]


def test_the_forms_ask_the_same_with_other_numbers():
    for a, b in zip(*map(form, FORMS), strict=True):
        assert a.item is b.item
        assert sorted(a.says.values()) == sorted(b.says.values()) == sorted(a.item.thoughts)
        assert a.text != b.text
        assert set(a.choices.values()) != set(b.choices.values())
        worded = [re.sub(r"\d[\d,.]*", "#", one.text) for one in (a, b)]
        if not re.search("memcg|perf top|lists|Before:|calls|CPUs|stocks", a.text):  # those list what is drawn
            assert re.sub("levels", "level", worded[0]) == re.sub("levels", "level", worded[1])


def test_neither_form_is_passed_with_one_letter_or_with_the_letters_of_the_other():
    for which in FORMS:
        assert set(Counter(key(which))) == set(LETTERS)
        assert max(Counter(key(which)).values()) <= 9
    assert sum(a == b for a, b in zip(key("A"), key("B"), strict=True)) <= 10


@BOTH
def test_a_students_form_has_the_questions_and_no_answer(which):
    student, teacher = form_text(which), form_text(which, answers=True)
    for place, asked in enumerate(form(which), start=1):
        assert f"\n{place}. {asked.text}" in student
    for asked in form(which):
        for says in asked.says.values():
            assert says not in student
            assert says in teacher
        assert asked.item.goal not in student
    assert key(which) in teacher
    assert key(which) not in student
    assert "Right" not in student
    assert set(student.splitlines()) <= set(teacher.splitlines())


# --- marking
def test_a_class_is_marked_and_told_what_it_believed(tmp_path, capsys):
    path = tmp_path / "before.txt"
    first = form("A")[0]
    wrong = next(letter for letter in LETTERS if letter != first.right)
    path.write_text(f"# before the course\n\nAda: {key('A')}\nBen B.: {wrong}{key('A')[1:10].lower()} {'-' * 10}\n")
    assert main(["test-form", "A", "--mark", str(path)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"Ada +20 of 20", out)
    assert re.search(r"Ben B\. +9 of 20", out)
    assert f"1 time item 1, {wrong}: {first.says[wrong]}" in out
    assert out.endswith("2 readers, 14.5 of 20 right on average.\n")
    assert [mark.wrong for mark in mark_form("A", path)] == [[], [1, *range(11, 21)]]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Ada ABCD", "line 2: Ada ABCD is no answer"),
        (f"Ada: {'A' * 19}", "line 2: Ada: A"),
        (f"Ada: {'A' * 19}E", "or - for none"),
        (f": {'A' * 20}", "give a name"),
    ],
)
def test_a_line_that_is_no_answer_is_refused_with_its_number(tmp_path, line, why):
    path = tmp_path / "before.txt"
    path.write_text(f"# class\n{line}\n")
    with pytest.raises(ValueError, match=re.escape(why)):
        mark_form("A", path)


def test_what_is_no_form_and_no_file_is_refused(tmp_path, capsys):
    assert main(["test-form", "C"]) == 2
    assert "form is 'C'; it must be one of: A; B." in capsys.readouterr().err
    assert main(["test-form", "A", "--mark", str(tmp_path / "none.txt")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main(["test-form", "A", "--mark", "x", "--answers"]) == 2


def test_the_command_line_prints_the_form_without_compiling():
    assert "Form B: 20 items" in python(
        "import sys; from memcg_lab.__main__ import main; main(['test-form', 'B']); "
        "assert 'numba' not in sys.modules or __import__('numba').config.DISABLE_JIT"
    )


def test_the_gain_is_what_was_learned_of_what_could_be():
    assert gain(0, 20) == gain(10, 20) == 1
    assert gain(5, 5) == 0
    assert gain(8, 14) == 0.5
    assert gain(10, 5) == -0.5
    with pytest.raises(ValueError, match="before is 20: all was known"):
        gain(20, 20)
    with pytest.raises(ValueError, match="after is 21"):
        gain(3, 21)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"Ada: {'A' * 20}\nAda : {'B' * 20}\n", "line 2: Ada is there twice, first in line 1"),
        ("# nobody\n\n", "has no reader's line"),
        ("\n" * (1 << 20) + f"Ada: {'A' * 20}\n", "it has 1,048,602 bytes, and more than 1,048,576 bytes are not read"),
    ],
)
def test_nobody_is_marked_twice_and_nothing_is_dropped(tmp_path, text, why):
    path = tmp_path / "before.txt"
    path.write_bytes(text.encode())
    with pytest.raises(ValueError, match=re.escape(why)):
        mark_form("A", path)
