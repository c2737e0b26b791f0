"""The trace lab: walk along a recording of a real kernel, event by event, with the prediction beside it."""

import functools
import html
from collections import namedtuple

import ipywidgets as W
import numpy as np
import pandas as pd

from .. import figures
from .. import words as text
from ..figures.traces import trace_window_words
from ..files import data_path
from ..traces.check import trace_policy, walk_trace
from ..traces.text import read_rows
from . import sketch
from .boxes import choice
from .stepping import SteppedLab

EVENTS = 2000  # of each recording, from its beginning
WINDOW = 100  # events that the picture shows
LINES = 7  # events that are listed

# Name in the list -> (file, whether the rule has the cap).
RECORDINGS = {
    "6.1: bulk, one CPU sends, another receives": ("ab_post", True),
    "6.1 without the patch: bulk, one CPU sends, another receives": ("ab_pre", False),
    "6.1: sender and receiver on one CPU": ("t61e", True),
    "6.1: a tight limit, and the OOM killer": ("oom", True),
}
MEANING = {
    "chg": "a socket charges",
    "unc": "a socket gives back",
    "try": "try_charge begins",
    "cons": "consume_stock looks",
    "refill": "refill_stock",
    "drain": "the stock is drained by work",
    "pctry": "page_counter_try_charge",
    "pctryfail": "the counter refuses",
    "pcunc": "page_counter_uncharge",
}

Walk = namedtuple("Walk", "rows stock counter predicted")
Result = namedtuple("Result", "recording position walk")


@functools.lru_cache(maxsize=len(RECORDINGS))
def walk(recording):
    """The first events of a recording with what the rules say."""
    name, cap = RECORDINGS[recording]
    rows = read_rows(data_path(f"kernel_traces/{name}.csv.xz"))[:EVENTS]
    stock, counter, predicted = walk_trace(rows, trace_policy("v6.1", cap=cap))
    return Walk(rows, stock, counter, predicted)


class TraceLab(SteppedLab):
    """A recording of a real kernel: what happened, what the stocks held, and what the rules had predicted.

    Parameters
    ----------
    recording : str
        One of ``TraceLab.recordings``.
    position : int
        Events walked, 0 to 2,000.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Examples
    --------
    >>> print(TraceLab(position=5).message.split(":")[0])
    Event 5 of 2,000, CPU 1
    """

    recordings = tuple(RECORDINGS)
    operations = EVENTS
    unit, walked = "event", "Events walked"
    landmark = "Next drain", "Go to the next drain", "no stock is drained any more"

    def __init__(self, *, recording="6.1: bulk, one CPU sends, another receives", position=1000):
        super().__init__(recording=recording, position=position)

    def make_controls(self, recording, position):
        """See the class."""
        return {
            "recording": choice("recording", recording, self.recordings, "Recording:", "32em"),
            "position": self.position_box(position),
        }

    def rows(self):
        """See the base."""
        wrap = W.Layout(flex_flow="row wrap")
        return [self.controls["recording"], W.HBox([self.controls["position"], self.step_buttons()], layout=wrap)]

    def compute(self, settings):
        """See the base."""
        return Result(**settings, walk=walk(settings["recording"]))

    def sentence(self, result=None):
        """What the event at the cursor is, what the stock held and what was predicted."""
        result = result or self.result
        k, shown = result.position, result.walk
        if not k:
            return f"Start of the recording: {text.number(len(shown.rows))} events follow."
        row, predicted = shown.rows[k - 1], shown.predicted[k - 1]
        parts = [f"Event {text.number(k)} of {text.number(len(shown.rows))}, CPU {row.cpu}: {_told(row)}."]
        if row.avail >= 0:
            held = f"The stock holds {text.count(row.avail, 'page')} of {_memcg(row.cached)}"
            if predicted is None:
                parts.append(f"{held}; it is seen for the first time.")
            elif predicted == (max(row.cached, 0), row.avail):
                parts.append(f"{held}, as predicted.")
            else:
                parts.append(
                    f"{held}; predicted were {text.count(predicted.nr_pages, 'page')} of {_memcg(predicted.memcg)}."
                )
        first, last = _window(result)
        above = int(shown.counter[k - 1] - shown.counter[first:last].min())
        parts.append(
            f"{text.count(_drift(shown.stock[k - 1]), 'page')} in stocks; the counter is {text.count(above, 'page')} "
            f"above its lowest of events {text.number(first + 1)} to {text.number(last)}."
        )
        return " ".join(parts)

    def table(self, result=None):
        """The events around the cursor."""
        result = result or self.result
        first = max(0, result.position - LINES)
        lines = []
        for k in range(first, max(result.position, 1)):
            row, predicted = result.walk.rows[k], result.walk.predicted[k]
            held = f"{row.avail} of {_memcg(row.cached)}" if row.avail >= 0 else ""
            lines.append(
                (
                    k + 1,
                    row.cpu,
                    "softirq" if row.softirq > 0 else "task",
                    MEANING.get(row.ev, row.ev) + (f" ({row.cause})" if row.cause else ""),
                    row.nr if row.nr >= 0 else "",
                    held,
                    "" if predicted is None or row.avail < 0 else f"{predicted.nr_pages} of {_memcg(predicted.memcg)}",
                )
            )
        columns = ["event", "cpu", "context", "what", "pages", "stock before, recorded", "stock before, predicted"]
        return pd.DataFrame(lines, columns=columns).set_index("event")

    def view(self, result=None):
        """The last events as a table, the one at the cursor marked."""
        frame = self.table(result).reset_index()
        head = "".join(f'<th style="text-align:left;padding:2px 8px">{html.escape(name)}</th>' for name in frame)
        lines = []
        for number, row in enumerate(frame.itertuples(index=False)):
            mark = "font-weight:700;background:#fff3b8" if number == len(frame) - 1 else ""
            cells = "".join(f'<td style="padding:2px 8px">{html.escape(str(value))}</td>' for value in row)
            lines.append(f'<tr style="{mark}">{cells}</tr>')
        return (
            '<table style="background:#fff;color:#222;font-size:13px;border-collapse:collapse;min-height:190px">'
            f"<tr>{head}</tr>{''.join(lines)}</table>"
        )

    def figure(self, result=None):
        """Pages in the stocks and on the counter, over the events around the cursor."""
        series, cursor, first = self._lines(result or self.result)
        return figures.trace_window(series, first, cursor)

    def picture_html(self, result):
        """Stocks and counter around the cursor as a sketch."""
        series, cursor, first = self._lines(result)
        peaks = {name: int(max(values)) for name, values in series.items()}
        sentence = trace_window_words(peaks, first + 1, first + len(next(iter(series.values()))))[1]
        return sketch.lines(series, "pages", sentence, cursor=cursor, first=first + 1, xlabel="event of the recording")

    def _lines(self, result):
        """What the picture shows, the cursor within it, and its first event, from 0."""
        first, last = _window(result)
        stock = np.maximum(result.walk.stock[first:last], 0)
        series = {f"stock of CPU {cpu}": stock[:, cpu] for cpu in range(min(stock.shape[1], 4))}
        series["drift, all stocks"] = stock.sum(axis=1)
        counter = result.walk.counter[first:last]
        series["counter, above its lowest"] = counter - counter.min()
        return series, max(0, result.position - 1 - first), first

    def landmarks(self, result):
        """See the base."""
        return [k + 1 for k, row in enumerate(result.walk.rows) if row.ev == "pcunc" and row.cause == "stock"]


def _told(row):
    pages = f" {text.count(row.nr, 'page')} of {_memcg(row.memcg)}" if row.nr >= 0 else ""
    cause = f", {row.cause}" if row.cause else ""
    return f"{MEANING.get(row.ev, row.ev)}{pages}{cause}"


def _memcg(number):
    return f"cgroup {number}" if number > 0 else "no cgroup"


def _window(result):
    """The events that the picture shows: the first, from 0, and the one after the last."""
    n = len(result.walk.rows)
    first = min(max(0, result.position - WINDOW // 2), max(0, n - WINDOW))
    return first, min(n, first + WINDOW)


def _drift(stock):
    return int(np.maximum(stock, 0).sum())
