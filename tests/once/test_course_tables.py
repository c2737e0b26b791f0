"""A table of a notebook has one form, in which text stands to the left and numbers to the right."""

import pandas as pd
import pytest

from memcg_lab import System, op, show_table


def test_plain_text_has_text_to_the_left_and_numbers_to_the_right():
    shown = repr(show_table({"who": ["a", "long name"], "pages": [5, 12345], "held": [True, False]}))
    assert shown.splitlines() == [
        "who         pages  held",
        "a               5  yes",
        "long name  12,345  no",
    ]


def test_numbers_of_a_column_have_as_many_digits_after_the_point():
    shown = repr(show_table({"who": ["a", "b", "c"], "percent": [0.6, 1.0, 2.13], "wide": [0.0909, 1.0, 2.0]}))
    assert [line.split()[1:] for line in shown.splitlines()[1:]] == [["0.60", "0.0909"], ["1.00", "1"], ["2.13", "2"]]


def test_a_page_has_headers_that_say_what_they_head_and_the_same_sides():
    made = show_table({"who": ["<a>"], "pages": [5], "held": [True]})._repr_mimebundle_()["text/html"]
    assert '<th scope="row" style="text-align:left">&lt;a&gt;</th>' in made
    assert '<td style="text-align:right">5</td>' in made
    assert '<td style="text-align:left">yes</td>' in made
    assert made.count('<th scope="col"') == 3


def test_a_step_log_is_shown_with_the_columns_asked_for():
    log = System.chain(depth=1, cpus=1).step_through(op("charge_skmem", cpu=0, memcg=1, nr=1))
    lines = repr(show_table(log, ["function", "atomic"])).splitlines()
    assert lines[0].split() == ["function", "atomic"]
    assert len(lines) == len(log) + 1


def test_an_index_with_a_name_names_the_rows():
    frame = pd.DataFrame({"x": [1.5]}, index=pd.Index(["a"], name="who"))
    assert repr(show_table(frame)) == "who    x\na    1.5"
    assert repr(show_table(frame["x"])) == repr(show_table(frame))


@pytest.mark.parametrize(
    ("rows", "columns", "why"),
    [
        (3, None, "that is an int"),
        ({"a": [1], "b": [1, 2]}, None, "that is a dict"),
        ({"a": [1]}, ["b"], "there is no column 'b'; there are a"),
        ([], None, "no column"),
    ],
)
def test_what_is_no_table_is_told(rows, columns, why):
    with pytest.raises(ValueError, match=why):
        show_table(rows, columns)
