"""What the figures over operations share: the check of the runs, the words, the drawing and the table."""

import numpy as np
import pandas as pd

from ..checks import shown
from ..words import count, listing, number
from .base import canvas, label_ends, looks, numbers, plain, whole

ROWS_SHOWN = 20  # of a long series in its data table, plus the start


def series_of(runs, column):
    """Runs as integer arrays of one length, or a ValueError that says which run is wrong."""
    if not isinstance(runs, dict) or not runs:
        raise ValueError('runs must be a dict with at least one run, such as {"before": record(system, ops)}.')
    if len(runs) > 6:
        raise ValueError(f"there are {len(runs)} runs; a reader tells at most 6 lines apart.")
    series = {}
    for label, run in runs.items():
        if isinstance(run, pd.DataFrame):
            if column not in run:
                raise ValueError(f'run "{label}" has no column "{column}"; record() gives one.')
            run = run[column]
        values = numbers(f'run "{label}"', run)
        if values.size < 2:
            raise ValueError(f'run "{label}" holds no operation; record a stream with at least one.')
        series[str(label)] = values.astype(np.int64)
    lengths = {label: values.size for label, values in series.items()}
    if len(set(lengths.values())) > 1:
        told = listing(f"{label} {number(size - 1)}" for label, size in lengths.items())
        raise ValueError(f"the runs are not of one stream; their operations are {told}.")
    return series


def over_ops_words(what, finals, operations):
    """Caption and sentence of lines over operations; ``finals`` maps labels to last values."""
    told = listing(f"{label} {number(value)}" for label, value in finals.items())
    caption = f"After {count(operations, 'operation')}: {told} {what}."
    high, low = max(finals.values()), min(finals.values())
    highest, lowest = ([label for label, value in finals.items() if value == end] for end in (high, low))
    if len(finals) == 1:
        trend = f"{highest[0]} ends at {number(high)}"
    elif high == low:
        trend = f"all end at {number(high)}"
    else:
        trend = (
            f"{listing(highest)} {'ends' if len(highest) == 1 else 'end'} highest at {number(high)}, "
            f"{listing(lowest)} lowest at {number(low)}"
        )
    sentence = f"Line chart, {what} over {count(operations, 'operation')}: {trend}."
    return caption, sentence


def end_labels(series, peaks):
    """The label of each line: its last value, or its highest where the words speak of that."""
    return [
        f"{plain(label)}: {f'up to {number(int(max(values)))}' if peaks else number(int(values[-1]))}"
        for label, values in series.items()
    ]


def draw_lines(
    series, ylabel, cursor=None, bound=None, bound_name="bound", *, peaks=False, first=0, xlabel="operation"
):
    """Steps with their labels, a bound and an upright line at the cursor; ``first`` is the number of the first one."""
    n = last_operation(series)
    if cursor is not None and (isinstance(cursor, bool) or cursor not in range(n + 1)):
        raise ValueError(f"cursor is {shown(cursor)}; it must be an operation from 0 to {n:,}.")
    figure, axes = canvas()
    ends = _steps(axes, series, peaks, first)
    top = max([1, *(int(values.max()) for values in series.values())])
    if bound is not None:
        top = max(top, bound)
        axes.axhline(bound, color="#333333", linewidth=1.2, linestyle=(0, (2, 2)))
        ends.append((first + n, bound, f"{bound_name}: {number(bound)}", "#333333"))
    axes.set_xlim(first, first + max(1, n))
    axes.set_ylim(0, top * 1.08)
    whole(axes.xaxis, 8)
    whole(axes.yaxis)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if cursor is not None:
        axes.axvline(first + cursor, color="#111111", linewidth=1.6)
    label_ends(axes, ends)
    return figure


def _steps(axes, series, peaks, first):
    """Draw each series; returns the ends that are to be labelled.

    Lines whose peaks count go up and down all the time, and dashes would shred them: they are solid, and marks tell
    them apart.
    """
    n = last_operation(series)
    every = max(1, n // 6)
    chosen = looks(series)
    drawn, ends = [], []
    for rank, (label, values) in enumerate(series.items()):
        look = chosen[label]
        covers = any((values == other).all() for other in drawn)  # thinner, so that the line below stays visible
        drawn.append(values)
        axes.plot(
            first + np.arange(n + 1),
            values,
            drawstyle="steps-post" if n <= 500 else "default",
            color=look.color,
            linestyle="-" if peaks else look.linestyle,
            marker=look.marker,
            markevery=((rank * every) // max(2, len(series)) + every // 3, every),
            linewidth=look.width - 1.0 if covers else look.width,
            zorder=2 + rank / 10,
        )
        ends.append((first + n, values[-1], look.color))
    return [(x, y, text, color) for (x, y, color), text in zip(ends, end_labels(series, peaks), strict=True)]


def rows_of(series, peak=False):
    """Every so many operations of each series and the last one, as the data table of a figure; the peak on demand."""
    n = last_operation(series)
    every = max(1, -(-n // ROWS_SHOWN))
    at = sorted({*range(0, n + 1, every), n})
    table = pd.DataFrame(
        {label: values[at] for label, values in series.items()}, index=pd.Index(at, name="operation", dtype=object)
    )
    if peak:
        table.loc["peak"] = [int(values.max()) for values in series.values()]
    return table


def last_operation(series):
    """The number of the last operation; 0 is the start."""
    return len(next(iter(series.values()))) - 1
