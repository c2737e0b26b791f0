"""Charts of recorded traces."""

import numpy as np
import pandas as pd

from ..words import count, listing, number
from .base import Figure, canvas, label_ends, looks, styled, whole

WINDOWS = 60  # of a trace


# --- what if ---------------------------------------------------------------------------------------------------------
@styled
def what_if(table, slack):
    """Lines: pages in stocks over the time of a trace, mean of short windows, one line a policy.

    Parameters
    ----------
    table, slack : DataFrame
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
    return Figure(_draw_policies(table, slack), *what_if_words(table), table.set_index("policy").round(3))


def what_if_words(table):
    """Caption and sentence of a trace replayed under several policies."""
    rows = [
        f"{row.policy} takes {number(int(row.atomics))} atomics and keeps {number(int(row.slack_max))} pages at most"
        for row in table.itertuples()
    ]
    told = f"The same trace under {count(len(rows), 'policy')}: {'; '.join(rows)}."
    return (
        told,
        f"Line chart, pages in stocks over the time of the trace, means of short windows, one line a policy. {told}",
    )


def _draw_policies(table, slack):
    figure, axes = canvas()
    last = max(float(slack.index[-1]), 0.001)
    window = last / WINDOWS
    # Stocks fill and empty within fractions of a millisecond; every single state would make one dark surface.
    means = slack.groupby(np.minimum(slack.index // window, WINDOWS - 1)).mean()
    times = (means.index + 0.5) * window
    ends = []
    for name, look in looks(slack.columns).items():
        axes.plot(times, means[name], color=look.color, linestyle=look.linestyle, linewidth=1.8)
        row = table[table["policy"] == name].iloc[0]
        ends.append((last, means[name].iloc[-1], f"{name}: {number(int(row['atomics']))} atomics", look.color))
    axes.set_xlim(0, last)
    axes.set_ylim(0, max(1, float(means.to_numpy().max())) * 1.15)
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
    events = np.arange(len(next(iter(series.values())))) + first + 1
    table = pd.DataFrame(series, index=pd.Index(events, name="event"))
    words = trace_window_words(series, int(events[0]), int(events[-1]))
    return Figure(_draw_window(series, events, cursor), *words, table.iloc[:: max(1, len(table) // 20)])


def trace_window_words(series, first, last):
    """Caption and sentence of a stretch of a recording."""
    peaks = listing([f"{name} {int(max(values))}" for name, values in series.items()])
    caption = f"Events {number(first)} to {number(last)}: the most pages were {peaks}."
    return caption, f"Step chart, pages in stocks and on the counter over the events of a recording. {caption}"


def _draw_window(series, events, cursor):
    figure, axes = canvas()
    ends = []
    for name, look in looks(series).items():
        axes.step(events, series[name], where="post", color=look.color, linestyle=look.linestyle, linewidth=1.8)
        ends.append((events[-1], series[name][-1], f"{name}: {int(series[name][-1])}", look.color))
    axes.axvline(events[min(cursor, len(events) - 1)], color="#111111", linewidth=1.6)
    axes.set_xlim(events[0], max(events[-1], events[0] + 1))
    axes.set_ylim(0, max(1, *(max(values) for values in series.values())) * 1.1)
    whole(axes.xaxis)
    whole(axes.yaxis)
    axes.set_xlabel("event of the recording")
    axes.set_ylabel("pages")
    label_ends(axes, ends)
    return figure
