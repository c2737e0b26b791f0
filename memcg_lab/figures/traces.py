"""Charts of recorded traces."""

import numpy as np
import pandas as pd

from ..words import count, listing, number
from .base import Figure, canvas, label_ends, looks, plain, styled, thousands
from .over_ops import draw_lines

WINDOWS = 60  # of a trace


# --- what if ---------------------------------------------------------------------------------------------------------
@styled
def what_if(table, drift):
    """Lines: pages in stocks over the time of a trace, mean of short windows, one line a policy.

    Parameters
    ----------
    table, drift : DataFrame
        What :func:`memcg_lab.traces.what_if.what_if` returned.

    Returns
    -------
    Figure
        Its table is the one of the policies.

    Raises
    ------
    ValueError
        If there is no policy.
    """
    if not len(table):
        raise ValueError("the table has no policies.")
    return Figure(_draw_policies(table, drift), *what_if_words(table), table.set_index("policy").round(3))


def what_if_words(table):
    """Caption and sentence of a trace replayed under several policies."""
    rows = [
        f"{row.policy} takes {number(int(row.atomics))} atomics and keeps {number(int(row.drift_max))} pages at most"
        for row in table.itertuples()
    ]
    told = f"The same trace under {count(len(rows), 'policy')}: {'; '.join(rows)}."
    return (
        told,
        f"Line chart, pages in stocks over the time of the trace, means of short windows, one line a policy. {told}",
    )


def _draw_policies(table, drift):
    figure, axes = canvas()
    last = max(float(drift.index[-1]), 0.001)
    window = last / WINDOWS
    # Stocks fill and empty within fractions of a millisecond; every single state would make one dark surface.
    means = drift.groupby(np.minimum(drift.index // window, WINDOWS - 1)).mean()
    times = (means.index + 0.5) * window
    ends = []
    for rank, (name, look) in enumerate(looks(drift.columns).items()):
        # Up and down all the time: dashes would shred it, so marks tell the lines apart.
        axes.plot(times, means[name], color=look.color, linewidth=1.8, marker=look.marker, markevery=(3 * rank + 2, 12))
        row = table[table["policy"] == name].iloc[0]
        ends.append((last, means[name].iloc[-1], f"{plain(name)}: {number(int(row['atomics']))} atomics", look.color))
    axes.set_xlim(0, last)
    axes.set_ylim(0, max(1, float(means.to_numpy().max())) * 1.15)
    thousands(axes.xaxis)
    axes.set_xlabel("time of the trace, ms")
    axes.set_ylabel(f"pages in stocks, mean of {number(window)} ms")
    label_ends(axes, ends)
    return figure


# --- a window of a recording -----------------------------------------------------------------------------------------
@styled
def trace_window(series, first, cursor):
    """Steps: pages in stocks and on the counter over some events of a recording, with an upright line at one event.

    Parameters
    ----------
    series : dict of str to sequence of int
        Pages after each event.
    first : int
        Number of the first event, from 0.
    cursor : int
        Event to mark, from 0 within the window.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no series or no event.
    """
    if not series or not len(next(iter(series.values()))):
        raise ValueError("there is nothing to draw; give at least one series with one event.")
    series = {name: np.asarray(values) for name, values in series.items()}
    events = np.arange(len(next(iter(series.values())))) + first + 1
    table = pd.DataFrame(series, index=pd.Index(events, name="event"))
    words = trace_window_words({name: int(max(values)) for name, values in series.items()}, events[0], events[-1])
    figure = draw_lines(series, "pages", cursor, peaks=True, first=int(events[0]), xlabel="event of the recording")
    return Figure(figure, *words, table.iloc[:: max(1, len(table) // 20)])


def trace_window_words(peaks, first, last):
    """Caption and sentence of a stretch of a recording; ``peaks`` maps labels to the most pages."""
    told = listing(f"{name} {number(peak)}" for name, peak in peaks.items())
    caption = f"Events {number(int(first))} to {number(int(last))}: the most pages were {told}."
    return caption, f"Step chart, pages in stocks and on the counter over the events of a recording. {caption}"
