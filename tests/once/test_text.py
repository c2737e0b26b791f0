"""The sentences are right for every number, also 0, 1 and numbers that are not whole."""

import re

import pytest

from memcg_lab import words as text
from memcg_lab.figures.atomics import atomics_by_level_words, atomics_per_page_words
from memcg_lab.figures.drift import drift_bound_words
from memcg_lab.figures.over_ops import over_ops_words
from memcg_lab.figures.profile import profile_bars_words
from memcg_lab.figures.stocks import pages_words
from memcg_lab.labs.base import failed
from tools.notebooks import ROOT


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (1, "1"),
        (-3, "-3"),
        (10313, "10,313"),
        (2.0, "2"),
        (0.5, "0.5"),
        (3 / 33, "0.0909"),
        (1234.5678, "1,235"),
        (-0.25, "-0.25"),
        (0.999999, "1"),
        (10**30, "1" + ",000" * 10),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_is_written_as_a_reader_writes_it(value, told):
    assert text.number(value) == told


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0 pages"), (1, "1 page"), (2, "2 pages"), (1000, "1,000 pages"), (0.5, "0.5 pages")]
)
def test_only_one_is_singular(value, told):
    assert text.count(value, "page") == told


@pytest.mark.parametrize(
    ("words", "told"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), ([1, 2], "1 and 2")]
)
def test_a_listing_reads_as_a_sentence(words, told):
    assert text.listing(words) == told


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (621, 39, "15.9 times fewer"),
        (4, 4, "as many"),
        (0, 0, "as many"),
        (4, 0, "none left"),
        (0, 4, "from none"),
        (10, 30, "3 times more"),
    ],
)
def test_a_factor_says_which_way(before, after, told):
    assert text.factor(before, after) == told


def test_an_operation_is_told_in_words():
    assert text.operation("charge_skmem", 0, 2, 33) == "CPU 0 charges 33 pages to memcg 2"
    assert text.operation("set_max", 0, 2, -1) == "CPU 0 writes memory.max of memcg 2: max"
    assert text.operation("sk_free_send", 1, 0, 1) == "CPU 1: sk_free_send of 1 byte, socket 0"


def test_every_operation_has_words():
    from memcg_lab import OPS

    for name in OPS:
        told = text.operation(name, 0, 1, 2)
        assert told.startswith("CPU 0")
        assert "{" not in told


def test_lines_that_end_alike_are_all_named():
    _, sentence = over_ops_words("atomics", {"before": 6, "cap": 6, "after": 1}, 10)
    assert sentence == "Line chart, atomics over 10 operations: before and cap end highest at 6, after lowest at 1."
    _, sentence = over_ops_words("atomics", {"before": 6, "after": 6}, 10)
    assert sentence.endswith("all end at 6.")
    _, sentence = over_ops_words("atomics", {"before": 6}, 1)
    assert sentence == "Line chart, atomics over 1 operation: before ends at 6."


def test_no_gain_is_not_told_as_a_gain():
    caption, _ = atomics_by_level_words(10, 10, 5, 5, 2)
    assert "fewer" not in caption
    caption, _ = atomics_per_page_words(1, 3.0, 2.0, None, 8)
    assert "still saves" in caption


def test_the_bound_of_the_stocks_is_judged():
    caption, _ = pages_words({"after": 64, "cap": 90}, 10, bound=64)
    assert caption.endswith("The bound is 64 pages; above it: cap.")
    caption, _ = pages_words({"after": 64}, 10, bound=64)
    assert caption.endswith("none is above it.")


def test_a_failure_is_one_sentence_that_keeps_the_view():
    assert failed("depth is 9.") == "That did not work: depth is 9. The lab still shows the last settings that did."
    assert "an unknown error" in failed("")


def test_bounds_and_places_have_their_names():
    caption, sentence = pages_words({"leaf": 120}, 10, 100, "counted", "limit")
    assert caption == "Leaf: up to 120 pages counted. The limit is 100 pages; above it: leaf."
    assert sentence == "Line chart, pages counted over 10 operations: leaf up to 120."


def test_a_drift_below_the_bound_is_not_told_as_reached():
    caption, sentence = drift_bound_words([1, 2], {"a": [31, 62]}, 32)
    assert caption == "On 2 CPUs the counter is up to 62 pages ahead. A ends at 62, never above the line CPUs × 32."
    assert sentence.endswith("never above the line CPUs × 32, which ends at 64.")


def test_the_line_of_several_slots_says_so():
    caption, sentence = drift_bound_words([1, 2], {"a": [96, 192]}, 32, 3)
    assert caption == "On 2 CPUs the counter is up to 192 pages ahead. A lies on the line CPUs × 3 slots × 32."
    assert sentence.endswith("which ends at 192.")


def test_many_marked_rows_are_counted_not_listed():
    rows = [f"f{k}" for k in range(9)]
    _, sentence = profile_bars_words(rows, [1.0] * 9, list(range(7)), 9)
    assert sentence.endswith("marked are f0 1.00, f1 1.00, f2 1.00, f3 1.00 and 3 more.")
    caption, sentence = profile_bars_words(["f"], [1.0], [0], 1)
    assert caption == "1 of 1 row is marked: 1.00 % of all samples."
    assert sentence.endswith("marked is f 1.00.")


def test_plurals_of_words_that_do_not_just_take_an_s():
    assert text.count(2, "miss") == "2 misses"
    assert text.count(0, "entry") == "0 entries"


def test_text_from_elsewhere_is_printed_without_what_a_terminal_obeys():
    assert text.printable("plain, naïve, 中文 …") == "plain, naïve, 中文 …"
    for evil, shown in {
        "\x1b]0;owned\x07": r"\x1b]0;owned\x07",  # OSC: the title of the window
        "\x1bc": r"\x1bc",  # reset
        "\x9b2J": r"\x9b2J",  # C1: the screen is cleared
        "a\nb\r\tc\x00\x7f": r"a\nb\r\tc\x00\x7f",
        "\u202egnp.exe": r"\u202egnp.exe",  # written from right to left
        "\ud800": r"\ud800",  # half a letter
        "\u2028": r"\u2028",
    }.items():
        assert text.printable(evil) == shown
    assert text.printable(5) == "5"


def test_what_the_glossary_calls_drift_has_no_other_name():
    """Notebooks have a rule of their own; CSS and screen readers have things that are hidden."""
    told = [ROOT / "README.md", *(ROOT / "data").rglob("*.md"), *(ROOT / "memcg_lab").rglob("*.py")]
    other = re.compile(r"slack|\bparked\b|\blag(s|ging)?\b", re.IGNORECASE)
    assert [str(path) for path in told if other.search(path.read_text("utf-8"))] == []
    assert len(told) > 80
