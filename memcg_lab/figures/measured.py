"""Charts of what this CPU measured: the rules with real threads, and predictions beside runs."""

import numpy as np
import pandas as pd

from ..words import count, number
from .base import LOOKS, Figure, canvas, logarithmic, styled

POLICIES = {"v4.13": "before", "v4.14": "after"}


# --- the rules -------------------------------------------------------------------------------------------------------
@styled
def measured_rules(measurement):
    """Bars: nanoseconds of a pair of charge and uncharge by depth, before and after, one thread and several.

    Parameters
    ----------
    measurement : mapping
        What :func:`memcg_lab.hardware.measure` or ``read_measurement`` returned.

    Returns
    -------
    Figure
        Medians, on a logarithmic axis.

    Raises
    ------
    ValueError
        If no rule was measured.
    """
    table = medians(measurement)
    return Figure(_draw_rules(table), *measured_rules_words(table), table.round(3))


def measured_rules_words(table):
    """Caption and sentence of the measured rules: threads and depth are the index, before and after the columns."""
    threads, depth = table.index[-1]
    last = table.iloc[-1]
    if {"before", "after"} <= set(table.columns) and last.notna().all():
        told = (
            f"With {count(int(threads), 'thread')} and {count(int(depth), 'level')} below the root a pair takes "
            f"{number(float(last['before']))} ns before the patch and {number(float(last['after']))} ns after it."
        )
    else:
        told = "Some runs were discarded, so before and after cannot be compared everywhere."
    return told, f"Bar chart, nanoseconds for a pair of charge and uncharge by depth and number of threads. {told}"


def medians(measurement):
    """Nanoseconds by threads and depth, before and after; ValueError if nothing was kept."""
    rows = [
        (row["depth"], row["threads"], POLICIES[row["policy"]], row["ns"]["median"])
        for row in measurement["rules"]
        if row["padded"] and row["ns"] is not None
    ]
    if not rows:
        raise ValueError("this measurement has no figure for the rules; all runs were discarded.")
    table = pd.DataFrame(rows, columns=["depth", "threads", "policy", "ns"])
    return table.pivot_table(index=["threads", "depth"], columns="policy", values="ns")


def _draw_rules(table):
    threads = sorted(set(table.index.get_level_values("threads")))
    figure, panels = canvas(len(threads), sharey=True)
    panels = np.atleast_1d(panels)
    for axes, n in zip(panels, threads):
        _panel(axes, table.loc[n])
        axes.set_xlabel(f"levels below the root, {count(n, 'thread')}")
    panels[0].set_ylabel("ns for a pair (logarithmic)")
    panels[0].set_ylim(0.3, float(np.nanmax(table.to_numpy())) * 4)
    for name in ("before", "after"):
        panels[0].bar(0, np.nan, label=name, facecolor="white", edgecolor=LOOKS[name].color, hatch=LOOKS[name].hatch)
    panels[0].legend(loc="upper left", ncols=2)  # with the fewest threads the bars are low
    return figure


def _panel(axes, part):
    """The bars of one number of threads."""
    place = np.arange(len(part))
    for name, shift in (("before", -0.2), ("after", 0.2)):
        if name not in part:
            continue
        look = LOOKS[name]
        axes.bar(place + shift, part[name], 0.38, facecolor="white", edgecolor=look.color, hatch=look.hatch, lw=2)
        for k, value in enumerate(part[name]):
            axes.annotate(
                f"{value:.2f}" if value < 10 else f"{value:.0f}",
                (k + shift, value),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
    logarithmic(axes.yaxis)
    axes.set_xticks(place, [str(depth) for depth in part.index])
    axes.grid(False)  # a line would run through the numbers


# --- predictions -----------------------------------------------------------------------------------------------------
@styled
def predicted_runs(grid):
    """Points: predicted over measured time of a pair, one point a run of the grid; on the line they agree.

    Parameters
    ----------
    grid : DataFrame
        What :func:`memcg_lab.machine.run_grid` returned.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If no run was kept.
    """
    kept = grid.dropna(subset=["measured_ns"])
    if not len(kept):
        raise ValueError("no run of the grid was kept: the threads never ran at the same time.")
    return Figure(_draw_runs(kept), *predicted_runs_words(kept), kept.reset_index(drop=True).round(1))


def predicted_runs_words(kept):
    """Caption and sentence of the grid of predicted runs."""
    errors = kept["error_percent"].abs()
    worst = kept.loc[errors.idxmax()]
    caption = (
        f"{count(len(kept), 'run')}: the prediction is off by {errors.median():.1f} % in the median and by "
        f"{errors.max():.0f} % at most ({worst['policy']}, depth {int(worst['depth'])}, "
        f"{count(int(worst['threads']), 'thread')}, {worst['think_ns']:.0f} ns of thinking)."
    )
    return (
        caption,
        f"Scatter plot, predicted over measured time of a pair, both logarithmic, and a diagonal. {caption}",
    )


def _draw_runs(kept):
    figure, axes = canvas()
    figure.set_size_inches(8, 4)
    low, high = kept["measured_ns"].min() / 1.5, kept["measured_ns"].max() * 1.5
    axes.plot([low, high], [low, high], color="#666666", linewidth=1.2, linestyle=(0, (3, 2)))
    for policy, name in POLICIES.items():
        for threads in sorted(set(kept["threads"])):
            some = kept[(kept["policy"] == policy) & (kept["threads"] == threads)]
            look = LOOKS[name]
            axes.plot(
                some["measured_ns"],
                some["predicted_ns"],
                linestyle="none",
                marker=look.marker,
                markersize=8,
                markeredgecolor=look.color,
                markerfacecolor=look.color if threads > 1 else "white",
                markeredgewidth=2,
                label=f"{name}, {count(threads, 'thread')}",
            )
    logarithmic(axes.xaxis)
    logarithmic(axes.yaxis)
    axes.set_xlabel("measured, ns for a pair (logarithmic)")
    axes.set_ylabel("predicted, ns (logarithmic)")
    axes.legend(loc="upper left")
    return figure
