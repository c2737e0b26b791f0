"""The picture of a cache line follows the three rules, and says what it cannot draw."""

import pytest

from figure_checks import check_picture, check_words
from memcg_lab import figures
from memcg_lab.machine import V4_13_LAYOUT, V6_1_LAYOUT

TURNS = [
    (0, "atomic", "count"),
    (1, "load", "parent"),
    (1, "load", "parent"),
    (0, "atomic", "count"),
    (1, "load", "parent"),
    (0, "atomic", "count"),
]


def column(figure, name):
    return figure.table[name].tolist()


def test_on_one_line_every_atomic_makes_the_other_copy_invalid():
    figure = figures.cache_lines(TURNS)
    assert column(figure, "one line, count parent CPU 0") == ["owns", "copy", "copy", "owns", "copy", "owns"]
    assert column(figure, "one line, count parent CPU 1") == ["–", "copy", "copy", "–", "copy", "–"]
    assert column(figure, "one line, asks?") == ["asks", "asks", "free", "asks", "asks", "asks"]


def test_apart_each_cpu_keeps_what_it_has():
    figure = figures.cache_lines(TURNS)
    assert column(figure, "parent apart, count CPU 0") == ["owns"] * 6
    assert column(figure, "parent apart, parent CPU 1") == ["–", *["copy"] * 5]
    assert column(figure, "parent apart, asks?") == ["asks", "asks", "free", "free", "free", "free"]
    assert figure.caption.startswith("Of 6 touches 5 have to ask other CPUs with one line, and 2 with parent apart.")


def test_two_writers_pass_the_line_back_and_forth_and_readers_share_it():
    atomics = figures.cache_lines([(k % 2, "atomic", "count") for k in range(4)], {"v4.13": V4_13_LAYOUT})
    assert column(atomics, "v4.13, asks?") == ["asks"] * 4
    loads = figures.cache_lines([(k % 2, "load", "count") for k in range(4)], {"v4.13": V4_13_LAYOUT})
    assert column(loads, "v4.13, asks?") == ["asks", "asks", "free", "free"]


def test_it_meets_the_checks_of_every_figure():
    figure = figures.cache_lines(TURNS)
    check_words(figure)
    check_picture(figure, "touches")


@pytest.mark.parametrize(
    ("touches", "layouts", "why"),
    [
        (3, None, "touches is an int"),
        ([], None, "0 touches; the picture takes 1 to 10"),
        (TURNS * 2, None, "12 touches"),
        ([(4, "load", "count")], None, "CPU of touch 0"),
        ([(0, "store", "count")], None, "touch 0 is 'store'"),
        ([(0, "load", "usage")], None, "word of touch 0 is 'usage'"),
        ([(0, "load", "count")], {"a": 1}, "layouts must be a dict"),
        (
            [(k, "load", w) for k in range(4) for w in ("count", "parent")],
            {"v6.1": V6_1_LAYOUT, "v4.13": V4_13_LAYOUT},
            "14 columns",
        ),
    ],
)
def test_what_it_cannot_draw_is_told(touches, layouts, why):
    with pytest.raises(ValueError, match=why):
        figures.cache_lines(touches, layouts)
