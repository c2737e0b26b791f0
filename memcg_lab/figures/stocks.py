"""Charts of pages over operations: in the stocks, on a counter, and the counter above its statistic."""

import numpy as np
import pandas as pd

from ..checks import shown
from ..words import capital, count, listing, number
from .base import LOOKS, Figure, canvas, styled, whole
from .over_ops import draw_lines, last_operation, rows_of, series_of


@styled
def stocks_over_ops(runs, bound=None):
    """Lines: pages in the CPUs' stocks, operation by operation, for several runs of one stream.

    Parameters
    ----------
    runs : dict of str to DataFrame or sequence of int
        What :func:`record` gave (its ``in_stocks``), or the pages after each operation with the start in front.
    bound : int, optional
        Pages the stocks of all CPUs should never exceed, such as CPUs × slots × 32; drawn as a line.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no run, the runs differ in length, or the bound is not a whole number.

    Examples
    --------
    >>> from memcg_lab import System, UNCHARGE_ONLY, V4_14, producer_consumer
    >>> from memcg_lab.figures import record
    >>> ops = producer_consumer(200)
    >>> policies = {"uncharge hunk alone": UNCHARGE_ONLY, "after": V4_14}
    >>> runs = {label: record(System.chain(depth=1, cpus=2, policy=p), ops) for label, p in policies.items()}
    >>> print(stocks_over_ops(runs, bound=64).caption)
    Uncharge hunk alone: up to 224 pages in the stocks; after up to 63. The bound is 64 pages; above it: uncharge hunk \
alone.
    """
    return _pages(series_of(runs, "in_stocks"), "in the stocks", bound)


@styled
def pages_over_ops(runs, where, bound=None, bound_name="bound", cursor=None):
    """Lines: pages of any kind, operation by operation, with a bound or a limit that they may meet.

    Parameters
    ----------
    runs : dict of str to sequence of int
        Pages after each operation, with the start in front.
    where : str
        What the pages have in common, after the word "pages": "in the stock of CPU 0".
    bound : int, optional
        Drawn as a line.
    bound_name : str
        What that line is called.
    cursor : int, optional
        An operation to mark with an upright line.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no run, the runs differ in length, or the bound or the cursor is not a whole number in its range.

    Examples
    --------
    >>> print(pages_over_ops({"leaf": [0, 40, 80, 80]}, "counted", bound=100, bound_name="limit").caption)
    Leaf: up to 80 pages counted. The limit is 100 pages; none is above it.
    """
    return _pages(series_of(runs, "pages"), where, bound, bound_name, cursor)


def _pages(series, where, bound, bound_name="bound", cursor=None):
    """The figures of pages over operations."""
    if bound is not None and (
        isinstance(bound, bool) or not isinstance(bound, (int, np.integer)) or not 0 <= bound < 2**63
    ):
        raise ValueError(f"{bound_name} is {shown(bound)}; it must be a whole number of pages, 0 or more.")
    peaks = {label: int(values.max()) for label, values in series.items()}
    figure = draw_lines(series, f"pages {where}", cursor, bound, bound_name, peaks=True)
    words = pages_words(peaks, last_operation(series), bound, where, bound_name)
    return Figure(figure, *words, rows_of(series, peak=True))


def pages_words(peaks, operations, bound=None, where="in the stocks", bound_name="bound"):
    """Caption and sentence of pages over operations; ``peaks`` maps labels to the most pages."""
    most = max(peaks, key=peaks.get)
    caption = f"{capital(most)}: up to {count(peaks[most], 'page')} {where}"
    told = [f"{label} up to {number(peak)}" for label, peak in peaks.items()]
    sentence = f"Line chart, pages {where} over {count(operations, 'operation')}: {listing(told)}."
    others = [words for label, words in zip(peaks, told, strict=True) if label != most]
    caption += f"; {listing(others)}." if others else "."
    if bound is not None:
        over = [label for label, peak in peaks.items() if peak > bound]
        caption += f" The {bound_name} is {count(bound, 'page')}; "
        caption += f"above it: {listing(over)}." if over else "none is above it."
    return caption, sentence


# --- the counter above the statistic ---------------------------------------------------------------------------------
@styled
def counter_and_stat(before, after):
    """Two panels: ``memory.current`` over MEMCG_SOCK, operation by operation; the gap is what the stocks hold.

    Parameters
    ----------
    before, after : DataFrame
        What :func:`record` gave for the same stream under two policies.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If one is not such a table, or the statistic differs (it never may).

    Examples
    --------
    >>> from memcg_lab import System, V4_13, V4_14, producer_consumer
    >>> from memcg_lab.figures import record
    >>> runs = [record(System.chain(depth=1, cpus=2, policy=p), producer_consumer(50)) for p in (V4_13, V4_14)]
    >>> print(counter_and_stat(*runs).sentence)
    Two line charts side by side, pages over 100 operations, memory.current above MEMCG_SOCK: before the patch the \
counter peaks at 32 and the gap at 31, after it at 64 and 63.
    """
    runs = {"before": before, "after": after}
    _check_records(runs)
    table = rows_of(_counter_and_gap(runs), peak=True)
    peak = table.loc["peak"]
    words = counter_and_stat_words(
        *(int(peak[f"{what}, {name}"]) for what in ("gap", "memory.current") for name in runs), len(before) - 1
    )
    return Figure(_draw_panels(runs), *words, table)


def counter_and_stat_words(gap_before, gap_after, peak_before, peak_after, operations):
    """Caption and sentence of counter against statistic; gaps and peaks are the largest values, in pages."""
    caption = (
        f"memory.current holds up to {count(gap_after, 'page')} more than the sockets do after the patch, "
        f"up to {number(gap_before)} before it: the pages in the stocks."
    )
    sentence = (
        f"Two line charts side by side, pages over {count(operations, 'operation')}, memory.current above MEMCG_SOCK: "
        f"before the patch the counter peaks at {number(peak_before)} and the gap at {number(gap_before)}, "
        f"after it at {number(peak_after)} and {number(gap_after)}."
    )
    return caption, sentence


def _check_records(runs):
    """Two tables of ``record`` of one stream, or a ValueError."""
    for name, run in runs.items():
        if not isinstance(run, pd.DataFrame) or not {"usage", "sock"} <= set(run.columns):
            raise ValueError(f"{name} is not a table of record(); it needs the columns usage and sock.")
        if len(run) < 2:
            raise ValueError(f"{name} holds no operation; record a stream with at least one.")
    before, after = (run["sock"].to_numpy() for run in runs.values())
    if len(before) != len(after) or (before != after).any():
        raise ValueError("before and after are not of the same stream: MEMCG_SOCK differs, and the patch keeps it.")


def _counter_and_gap(runs):
    """What the two panels show, as series by their names."""
    usage = {name: run["usage"].to_numpy() for name, run in runs.items()}
    sock = runs["before"]["sock"].to_numpy()
    return {
        **{f"memory.current, {name}": pages for name, pages in usage.items()},
        "MEMCG_SOCK, both": sock,
        **{f"gap, {name}": pages - sock for name, pages in usage.items()},
    }


def _draw_panels(runs):
    figure, panels = canvas(2, sharey=True)
    top = max(int(run["usage"].max()) for run in runs.values())
    for axes, (name, run) in zip(panels, runs.items(), strict=True):
        _panel(axes, name, run["usage"].to_numpy(), run["sock"].to_numpy(), top)
    panels[0].set_ylabel("pages")
    return figure


def _panel(axes, name, usage, sock, top):
    """One panel: the counter as a line above the statistic, what lies between them filled."""
    look, n = LOOKS[name], len(usage) - 1
    x = np.arange(n + 1)
    axes.fill_between(x, sock, usage, step="post", color=look.color, alpha=0.16, linewidth=0)
    axes.step(x, usage, where="post", color=look.color, linewidth=2.2)  # a saw: dashes would shred it
    axes.step(x, sock, where="post", color="#333333", linewidth=1.6)
    axes.set_xlim(0, n)
    axes.set_ylim(0, max(1, top) * 1.45)
    axes.set_xlabel("operation")
    whole(axes.xaxis, 5)
    whole(axes.yaxis)
    axes.text(
        0.02,
        0.985,
        f"{name}: memory.current,\nup to {count(int((usage - sock).max()), 'page')} above MEMCG_SOCK,\nthe thin line",
        transform=axes.transAxes,
        color=look.color,
        fontweight="bold",
        fontsize=10.5,
        va="top",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )
