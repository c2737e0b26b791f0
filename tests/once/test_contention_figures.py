"""Figures of the machine say in words and numbers what they show, and refuse what they cannot draw."""

import re

import numpy as np
import pandas as pd
import pytest

from figure_checks import check_picture, check_words
from memcg_lab import V4_13, V4_14, System, figures, mixed
from memcg_lab import words as text
from memcg_lab.figures import base
from memcg_lab.figures import contention as charts
from memcg_lab.labs.contention import gain
from memcg_lab.machine import predict_rows, simulate
from memcg_lab.machine.cache_lines import OTHER

CPUS = [1, 2, 4, 8]
ROWS = {"none": (100.0, None), "batch 32": (50.0, {"batch": 32}), "batch 64": (75.0, {"batch": 64})}


def run(cpus, policy, think_ns=500):
    ops = mixed(200 * cpus, cpus=cpus, memcgs=[2], seed=3)
    system = System.chain(depth=2, cpus=cpus, policy=policy)
    return simulate(system, ops, think_ns=think_ns, duration_ns=100_000)


@pytest.fixture(scope="module")
def pair():
    return run(4, V4_13), run(4, V4_14)


@pytest.fixture(scope="module")
def models():
    options = {"baseline": "none", "fitted": "batch 32", "clients": 8, "think_ns": 1000}
    return {method: predict_rows(ROWS, method=method, **options) for method in ("additive", "mva")}


@pytest.fixture(scope="module")
def every(pair, models):
    lines = {"before": [run(n, V4_13, 20) for n in CPUS], "after": [0.5, 1.0, 2.0, 4.0]}
    return {
        "throughput_over": figures.throughput_over("CPUs", CPUS, lines),
        "time_by_function": figures.time_by_function(*pair),
        "measured_beside_models": figures.measured_beside_models(models, {"A: fewer": 60.0}),
    }


NAMES = ["throughput_over", "time_by_function", "measured_beside_models"]


# --- every figure


@pytest.mark.parametrize("name", NAMES)
def test_words_and_picture_have_their_form(every, name):
    check_words(every[name])
    check_picture(every[name], "microsecond|percent|Mbps")


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_used_to_its_lower_edge(every, name):
    figure = every[name].figure
    box = figure.axes[0].get_tightbbox(base.FigureCanvasAgg(figure).get_renderer())
    assert box.y0 < 0.06 * figure.bbox.height


def test_names_below_an_axis_do_not_touch():
    names = [f"row {k} with a long name" for k in range(3)]
    table = pd.DataFrame(
        {"row": names, "role": ["unit", "fitted", "predicted"], "measured": [3.0, 1.0, 2.0], "model": [3.0, 1.0, 2.1]}
    )
    table["error_percent"] = 0.0
    figure = figures.measured_beside_models({"mva": table}, {f"another {k} of them": 1.0 for k in range(3)}).figure
    renderer = base.FigureCanvasAgg(figure).get_renderer()
    boxes = [label.get_window_extent(renderer) for label in figure.axes[0].get_xticklabels()]
    assert all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:]))


# --- throughput


def test_the_lines_are_the_runs_throughputs(every):
    table = every["throughput_over"].table
    assert table["before"].tolist() == [run(n, V4_13, 20).throughput for n in CPUS]
    assert table["after"].tolist() == [0.5, 1.0, 2.0, 4.0]
    assert f"before {text.number(table['before'].iloc[-1])}, after 4" in every["throughput_over"].caption


def test_before_and_after_have_their_fixed_looks(every):
    before, after = [line for line in every["throughput_over"].figure.axes[0].lines if line.get_linestyle() != "None"]
    assert before.get_color() == base.LOOKS["before"].color
    assert after.get_color() == base.LOOKS["after"].color
    assert before.get_linestyle() != after.get_linestyle()


def test_a_tight_loop_has_a_hollow_mark_and_is_said(every):
    figure = every["throughput_over"]
    assert figure.table["before: tight loop"].tolist() == [run(n, V4_13, 20).regime == "tight loop" for n in CPUS]
    tights = int(figure.table["before: tight loop"].sum())
    hollow = [line for line in figure.figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert sum(len(line.get_xdata()) for line in hollow) == tights > 0
    assert f"{tights} hollow marks: tight loops" in figure.caption
    calm = figures.throughput_over("CPUs", CPUS, {"before": [run(n, V4_13, 50_000) for n in CPUS]})
    assert "hollow" not in calm.caption
    assert list(calm.table) == ["before"]


def test_a_wide_range_is_logarithmic_and_says_so():
    for last, scale in ((64, "linear"), (128, "log")):
        figure = figures.throughput_over("CPUs", [1, last], {"after": [1, 2]})
        assert figure.figure.axes[0].get_xscale() == scale
        assert ("logarithmic" in figure.figure.axes[0].get_xlabel()) == (scale == "log")
        assert ("logarithmic" in figure.sentence) == (scale == "log")


def test_the_highest_point_is_said_where_the_line_falls_again():
    told = figures.throughput_over("CPUs", [1, 2, 4], {"before": [1, 5, 3], "after": [1, 2, 3]})
    assert told.caption.endswith("Before is highest at 2, with 5.")
    assert "with 5 at 2 the highest" in told.sentence


def test_ticks_that_would_touch_are_left_out():
    figure = figures.throughput_over("CPUs", [1, 2, 3, 64], {"after": [1, 2, 3, 4]})
    assert figure.figure.axes[0].get_xticks().tolist() == [3, 64]


@pytest.mark.parametrize(
    ("places", "lines", "why"),
    [
        ([1], {"a": [1]}, "two or more numbers that rise"),
        ([2, 1], {"a": [1, 1]}, "that rise"),
        ([0, 1], {"a": [1, 1]}, "above 0"),
        ([1, 2], {}, "one to six lines"),
        ([1, 2], [1, 2], "one to six lines"),
        ([1, 2], {str(k): [1, 2] for k in range(7)}, "one to six lines"),
        ([1, 2], {"a": [1]}, 'line "a" has 1 points; there are 2 places'),
        ([1, 2], {"a": [1, -1]}, "below 0"),
        ([1, 2], {"a": [1, np.nan]}, "finite"),
        ([1, 2], {"a": [1, "x"]}, "must be numbers"),
    ],
)
def test_what_is_no_throughput_is_told(places, lines, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        figures.throughput_over("CPUs", places, lines)


# --- time by function


def test_the_bars_are_the_runs_shares(every, pair):
    table = every["time_by_function"].table
    for name, one in zip(("before", "after"), pair):
        assert table[name].to_dict() == {function: one.share(function) for function in table.index}
        assert table[name].sum() == pytest.approx(100)
        assert f"{100 * one.stalled:.1f} %" in every["time_by_function"].caption
    assert OTHER in table.index


def test_bars_are_hatched_before_and_plain_after_without_everything_else(every):
    axes = every["time_by_function"].figure.axes[0]
    before, after = axes.containers[:2]
    assert {bar.get_hatch() for bar in before} == {"///"}
    assert not any(bar.get_hatch() for bar in after)
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert OTHER not in shown
    assert len(shown) <= charts.ROWS_SHOWN
    known = len(every["time_by_function"].table) - 1  # without everything else
    counted = f"{known} functions" if len(shown) == known else f"the highest {len(shown)} of {known} functions"
    assert f"before and after, {counted}:" in every["time_by_function"].sentence


def test_time_needs_two_runs(pair):
    with pytest.raises(ValueError, match="after is an int; it must be a Run"):
        figures.time_by_function(pair[0], 3)


# --- measured beside models


def test_roles_and_errors_are_the_models(every, models):
    table = every["measured_beside_models"].table
    assert table["role"].tolist() == ["unit", "fitted", "predicted", "not modelled"]
    for name, model in models.items():
        assert table[name].iloc[:3].tolist() == model["model"].tolist()
        assert f"{model['error_percent'].iloc[2]:+.1f} %" in every["measured_beside_models"].caption
        assert np.isnan(table[name].iloc[3])
    assert "not modelled A: fewer" in every["measured_beside_models"].sentence


def test_what_is_no_prediction_is_told(models):
    other = models["mva"].iloc[:2]
    for wrong, why in (
        ({}, "one to three tables"),
        ({"a": 1}, 'model "a" is not a table'),
        ({"a": models["mva"], "b": other}, 'model "b" has other rows'),
    ):
        with pytest.raises(ValueError, match=re.escape(why)):
            figures.measured_beside_models(wrong)
    with pytest.raises(ValueError, match="not_modelled"):
        figures.measured_beside_models(models, {"A": float("nan")})


# --- the words


def test_a_gain_is_said_in_words():
    assert gain(0, 0) == "the same within half a percent"
    assert gain(4, 2) == "0.5 times as many"
