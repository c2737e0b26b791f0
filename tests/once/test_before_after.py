"""The test of 20 items: tied to goals and misconceptions, two forms of one difficulty, no answer in a handout."""

import itertools
import math
import numbers
import re
from collections import Counter

import pytest

from lab_helpers import ROOT, python
from memcg_lab.__main__ import main
from memcg_lab.course.before_after import (
    FORMS,
    ITEMS,
    LETTERS,
    form,
    form_text,
    from_the_text,
    gain,
    key,
    mark_form,
)
from memcg_lab.course.before_after_items import EVENTS
from memcg_lab.course.quiz_draw import Draw
from memcg_lab.course.quizzes import told
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


def beliefs():
    """The misconceptions that docs/teaching.md lists, each with its notebooks."""
    text = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| ([^|]+?\.) \| \[(\d\d)\]\(\.\./notebooks/", text, re.MULTILINE))


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.kind)
def test_every_item_has_a_goal_that_its_notebook_states_and_a_belief_that_the_teacher_reads_of(item):
    assert item.goal in goals()[item.notebook]
    assert item.belief in beliefs()


def test_there_are_twenty_items_and_no_two_for_the_same_belief():
    assert len(ITEMS) == len({item.kind for item in ITEMS}) == len({item.belief for item in ITEMS}) == 20
    assert len({item.goal for item in ITEMS}) >= 18
    # those that the four weeks of docs/teaching.md lead everybody through
    assert {item.notebook for item in ITEMS} == {"00", "01", "02", "03", "04", "05", "06", "07", "08", "13"}


def sentences(asked):
    return all(isinstance(choice, str) and choice.endswith(".") for choice in asked.choices.values())


def test_items_with_sentences_ask_for_what_no_number_shows():
    said = {a.item.kind for a in form("A") if sentences(a)}
    assert said == {b.item.kind for b in form("B") if sentences(b)}
    assert said == {"listed", "interrupts", "what_drains", "left_out", "two_reckonings", "fitted", "half_kept"}


@BOTH
def test_an_item_has_four_answers_and_each_wrong_one_its_thought(which):
    for asked in form(which):
        assert tuple(asked.choices) == tuple(LETTERS)
        assert len(set(map(told, asked.choices.values()))) == 4
        assert set(asked.says) == set(LETTERS) - {asked.right}
        for says in asked.says.values():
            assert re.fullmatch(r"[a-z0-9`A-Z][^\n]{9,160}\.", says)
            assert says not in asked.text
        assert asked.text.endswith("?")
        assert not re.search(r"\b1 (levels|pages|times)|  +\S+ {2}\S", asked.text.split("\n")[0])


# Where a form names another thing, not only other numbers: what is masked there.
NAMED = {
    "listed": r"#%  \w+",
    "on_the_path": r"lists .* How",
    "interrupts": r"softirq .* this stock",
    "reads_of_parent": r"cgroup: .* At",
}


def masked(text, kind):
    return re.sub(NAMED.get(kind, r"\Z"), "", re.sub(r"-?\d[\d,.]*\d|\d", "#", text))


def test_the_forms_ask_the_same_with_other_numbers():
    for a, b in zip(*map(form, FORMS), strict=True):
        kind = a.item.kind
        assert a.item is b.item
        assert re.sub(r" *\n *", " ", masked(a.text, kind)) == re.sub(r" *\n *", " ", masked(b.text, kind))
        assert (a.text == b.text) == (kind == "left_out")  # there only the answers differ
        assert told(a.choices[a.right]) != told(b.choices[b.right])
        if kind not in ("interrupts", "what_drains"):
            assert set(a.choices.values()) != set(b.choices.values())
        assert Counter(a.says.values()) == Counter(b.says.values())


def test_neither_form_is_passed_with_one_letter_or_with_the_letters_of_the_other():
    for which in FORMS:
        assert Counter(key(which)) == dict.fromkeys(LETTERS, 5)
    assert sum(a == b for a, b in zip(key("A"), key("B"), strict=True)) <= 8


def ways_to_guess(asked):
    """What somebody gives who knows nothing of it: how a choice looks -> a letter."""
    letters = list(asked.choices)
    long = sorted(letters, key=lambda letter: len(told(asked.choices[letter])))
    size = sorted(letters, key=asked.choices.get) if isinstance(asked.choices["A"], numbers.Real) else long
    words = Counter(word for choice in asked.choices.values() for word in set(told(choice).split()))
    common = max(letters, key=lambda letter: sum(words[word] - 1 for word in told(asked.choices[letter]).split()))
    return {"first": size[0], "second": size[1], "third": size[2], "last": size[3], "most like the others": common}


@BOTH
def test_no_look_at_the_choices_alone_passes(which):
    right = Counter()
    for asked in form(which):
        right.update(way for way, letter in ways_to_guess(asked).items() if letter == asked.right)
    assert max(right.values()) <= 9, right


@BOTH
def test_no_number_above_ten_follows_from_the_numbers_of_the_text(which):
    for asked in form(which):
        assert asked.choices[asked.right] not in from_the_text(asked.text)


def test_what_follows_from_a_text_is_found():
    assert {45, 90, 88, 3960} <= from_the_text("45 pages a cgroup 2 levels below, 88 %")
    assert 23 in from_the_text("3,000 ns; 133 ns.")


# --- what is right, counted by hand
def ints(text):
    return [int(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?!\.\d)", text)]


def first(text, *patterns):
    return [int(re.search(pattern, text)[1].replace(",", "")) for pattern in patterns]


def sizes_of(text, after):
    return ints(re.search(rf"{after} ([\d, and]+) pages", text)[1].replace(", ", " "))


def stock_by_hand(sizes, stock=0):
    for pages in sizes:
        stock += pages
        stock = 0 if stock > 32 else stock
    return stock


def hand_saved(text):
    pages, depth = first(text, r"(\d+) pages", r"cgroup (\d+) levels")
    return (pages - pages // 33) * (depth + 1)


def hand_watermark(text):
    return first(text, r"patch: (\d+) pages")[0] + 32


def hand_tries(text):
    depth, at = first(text, r"cgroup (\d+) levels", r"at depth (\d+) \(the")
    return 8 * 2 * (depth - at + 1)


def hand_all_or_nothing(text):
    stock, counted = 0, 0
    for pages in sizes_of(text, "charges"):
        if pages > 32:
            counted += pages
        elif stock >= pages:
            stock -= pages
        else:
            stock, counted = stock + 32 - pages, counted + 32
    return counted


def hand_capped(text):
    return stock_by_hand(sizes_of(text, "patch"))


def hand_each_alone(text):
    pages, depth = first(text, r"(\d+) pages", r"cgroup (\d+) levels")
    charging = math.ceil(pages / 32) * (depth + 1)
    return f"{charging + pages * (depth + 1):,} with the first alone, {charging:,} with the second alone"


def hand_two_cgroups(text):
    depth, pages, rounds = first(text, r"each (\d+) level", r"CPU 0\. (\d+) pages", r"on, (\d+) times")
    before = math.ceil(pages * rounds / 32) + pages * rounds
    after = rounds + rounds + (rounds - 1)  # a batch and what is left of it each time; the other's pages but the last
    change = (after - before) * (depth + 1)
    return f"{abs(change):,} {'more' if change > 0 else 'fewer'}"


def hand_from_outside(text):
    pages, back = first(text, r"patch (\d+) pages", r"time; (\d+) of them")
    held = pages - back + -pages % 32 + stock_by_hand([1] * back)
    return f"sock {pages - back}, current {held}, references {held}"


def hand_bound(text):
    return 32 * first(text, r"all of (\d+) CPUs")[0]


def hand_packets(text):
    stock, dropped = 0, 0
    for pages in sizes_of(text, "packets of"):
        if stock >= pages:
            stock -= pages
        else:
            stock, dropped = stock + pages, dropped + 1
    return dropped


def hand_reads(text):
    calls = [tuple(map(int, found)) for found in re.findall(r"CPU (\d) gives back (\d+)", text)]
    assert len(calls) == 8
    stocks, copies, waited = Counter(), set(), 0
    for cpu, pages in calls:
        stocks[cpu] += pages
        if stocks[cpu] > 32:
            stocks[cpu], copies = 0, {cpu}
        waited += cpu not in copies
        copies.add(cpu)
    return waited


def hand_common_lines(text):
    cpus, pairs = first(text, r"with (\d+) CPUs", r"CPU, (\d+) times")
    return cpus + 2 * cpus * pairs


def hand_listed(text):
    percents = [float(value) for value in re.findall(r"([\d.]+)%", text)]
    assert percents == sorted(percents, reverse=True)
    return f"At least {math.floor((100 - sum(percents)) / percents[-1] + 1)} more functions got samples."


def hand_interrupts(text):
    twice = "takes" in text
    return next(
        choice
        for choice in (
            "They will be handed out a second time; the counter is below what is in use.",
            "They stay charged for ever; no stock has them and nobody uses them.",
        )
        if choice.startswith("They will") == twice
    )


def hand_two_reckonings(text):
    row, lowest, grown = (
        float(re.search(pattern, text)[1])
        for pattern in (r"had ([\d.]+) %", r"listing has ([\d.]+)", r"become (\d+) %")
    )
    rest = 100 * (1 - 1 / (1 + grown / 100))
    assert rest < row - lowest < grown < row  # the growth itself would lie in between
    return f"{rest:.2f} % by the other rows, {row - lowest:.2f} % or more by this one: the two do not agree."


def hand_fitted(text):
    return re.search(r"and (\+[\d.]+ %)\. Which", text)[1] + " alone."


def hand_half_kept(text):
    keep, pages = first(text, r"all but (\d+) of", r"them\. (\d+) pages")
    assert (pages - keep) // (33 - keep) > pages // 33
    return f"More atomics, as many pages in a stock at most, and up to {33 - keep} pages in a drain."


BY_HAND = {
    "saved": hand_saved,
    "listed": hand_listed,
    "watermark": hand_watermark,
    "tries": hand_tries,
    "all_or_nothing": hand_all_or_nothing,
    "interrupts": hand_interrupts,
    "capped": hand_capped,
    "each_alone": hand_each_alone,
    "two_cgroups": hand_two_cgroups,
    "from_outside": hand_from_outside,
    "bound_of_a_parent": hand_bound,
    "packets": hand_packets,
    "reads_of_parent": hand_reads,
    "two_reckonings": hand_two_reckonings,
    "fitted": hand_fitted,
    "common_lines": hand_common_lines,
    "half_kept": hand_half_kept,
}


@pytest.mark.parametrize("item", [item for item in ITEMS if item.kind in BY_HAND], ids=lambda item: item.kind)
def test_what_is_right_is_what_a_count_by_hand_gives(item):
    tried = 0
    for turn in itertools.count():
        drawn = item.draw(Draw("a test", item.kind, turn))
        if drawn:
            tried += 1
            assert BY_HAND[item.kind](drawn[0]) == drawn[1], drawn
        if tried == 5:
            return
        assert turn < 400


def test_what_is_right_without_a_count_is_what_the_notebooks_say():
    asked = {item.kind: [one for a_form in map(form, FORMS) for one in a_form if one.item is item] for item in ITEMS}
    for one in asked["on_the_path"]:
        path = ("page_counter_cancel", "__sk_mem_reduce_allocated", "tcp_delack_timer_handler")  # 01, cell c15
        assert one.choices[one.right] == sum(name in one.text for name in path)
    assert [one.choices[one.right] for one in asked["what_drains"]] == list(EVENTS)[:2]  # 05, cell drains_run
    copies, neighbours = (one.choices[one.right] for one in asked["left_out"])  # 06, cell c07
    assert re.fullmatch(r"An atomic waits longer if \d+ CPUs of the package have copies of its line, not one\.", copies)
    assert neighbours == "Two words that lie on neighbouring lines slow each other down."


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
    assert "believes" not in student
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
