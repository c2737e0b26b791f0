"""The trace lab: walk along a recording of a real kernel, event by event, with the prediction beside it."""

import functools
from collections import namedtuple

import numpy as np
import pandas as pd

from .. import figures
from .. import words as text
from ..checks import one_of, whole_number
from ..files import data_path
from ..traces.check import trace_policy, walk_trace
from ..traces.text import read_rows
from .base import Lab

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
REFUSES = "pctryfail"
MEANING = {
    "chg": "a socket charges",
    "unc": "a socket gives back",
    "try": "try_charge begins",
    "cons": "consume_stock looks",
    "refill": "refill_stock",
    "drain": "the stock is drained by work",
    "pctry": "page_counter_try_charge",
    REFUSES: "the counter refuses",
    "pcunc": "page_counter_uncharge",
}

# What the lab says; its front end (stage/trace.js) fills the same templates.
WORDS = {
    "start": "Start of the recording: {n} events follow.",
    "event": "Event {k} of {n}, CPU {cpu}: {told}.",
    "seen first": "Before it the stock held {held}; it is seen for the first time.",
    "as predicted": "Before it the stock held {held}, as predicted.",
    "otherwise": "Before it the stock held {held}; predicted were {predicted}.",
    "sums": "After it: {drift} in stocks; the counter is {above} above its lowest of events {first} to {last}.",
    "pages": "{pages} of {cgroup}",
    "cgroup": "cgroup {number}",
    "no cgroup": "no cgroup",
    "window": (
        "Step chart, pages in stocks and on the counter over the events of a recording. "
        "Events {first} to {last}: the most pages were {told}."
    ),
    "no drain": "After event {k} no stock is drained any more.",
    "stock": "stock of CPU {cpu}",
    "drift": "drift, all stocks",
    "counter": "counter, above its lowest",
}
# How each is recognised is in stage/trace.js under its name.
QUESTS = (
    {
        "name": "kept",
        "ask": "Find a stock that holds 0 pages and still has an owner.",
        "found": "Event {k}: the stock of CPU {cpu} holds nothing, and is still that of {cgroup}.",
    },
    {
        "name": "refused",
        "ask": "Find an event at which a counter refuses.",
        "found": "Event {k}, CPU {cpu}: the limit is reached, and the counter refuses.",
    },
    {
        "name": "wrong",
        "ask": "Of 8,000 events the rules predict one wrongly. Find it.",
        "found": "Event {k}: there were {recorded}; predicted were {predicted}.",
    },
)
COLUMNS = ["event", "cpu", "context", "what", "pages", "stock before, recorded", "stock before, predicted"]
CPUS_SHOWN = 4
UNKNOWN = -2  # nothing was predicted

Walk = namedtuple("Walk", "rows stock counter predicted")
Result = namedtuple("Result", "recording position walk")


@functools.lru_cache(maxsize=len(RECORDINGS))
def walk(recording):
    """The first events of a recording with what the rules say."""
    name, cap = RECORDINGS[recording]
    rows = read_rows(data_path(f"kernel_traces/{name}.csv.xz"))[:EVENTS]
    stock, counter, predicted = walk_trace(rows, trace_policy("v6.1", cap=cap))
    return Walk(rows, np.maximum(stock, 0), counter, predicted)


@functools.cache
def columns(recording):
    """A recording as lists of whole numbers, for the front end; ``what`` counts in the list ``told``."""
    shown = walk(recording)
    told = list(dict.fromkeys((row.ev, row.cause) for row in shown.rows))
    predicted = [(UNKNOWN, 0) if one is None else (int(one.memcg), int(one.nr_pages)) for one in shown.predicted]
    return {
        "told": [
            {"what": MEANING.get(ev, ev), "cause": cause, "drain": _drains(ev, cause), "refuses": ev == REFUSES}
            for ev, cause in told
        ],
        "what": [told.index((row.ev, row.cause)) for row in shown.rows],
        **{
            name: [getattr(row, name) for row in shown.rows]
            for name in ("cpu", "softirq", "nr", "memcg", "avail", "cached")
        },
        "owner": [owner for owner, _ in predicted],
        "predicted": [pages for _, pages in predicted],
        "counter": shown.counter.tolist(),
        "stocks": shown.stock[:, :CPUS_SHOWN].T.tolist(),
        "drift": shown.stock.sum(axis=1).tolist(),
    }


class TraceLab(Lab):
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

    def __init__(self, *, recording="6.1: bulk, one CPU sends, another receives", position=1000):
        super().__init__(recording=recording, position=position)

    def check(self, settings):
        """See the base."""
        return {
            "recording": one_of("recording", settings["recording"], self.recordings),
            "position": whole_number("position", settings["position"], 0, EVENTS),
        }

    def compute(self, settings):
        """See the base."""
        return Result(**settings, walk=walk(settings["recording"]))

    def data(self):
        """See the base."""
        return {
            "words": WORDS,
            "columns": COLUMNS,
            "events": EVENTS,
            "window": WINDOW,
            "lines": LINES,
            "quests": QUESTS,
            "recordings": {name: columns(name) for name in self.recordings},
        }

    def sentence(self, result=None):
        """What the event at the cursor is, what the stock held and what was predicted."""
        result = result or self.result
        k, shown = result.position, result.walk
        n = text.number(len(shown.rows))
        if not k:
            return WORDS["start"].format(n=n)
        row, predicted = shown.rows[k - 1], shown.predicted[k - 1]
        parts = [WORDS["event"].format(k=text.number(k), n=n, cpu=row.cpu, told=_told(row))]
        if row.avail >= 0:
            held = (max(row.cached, 0), row.avail)
            word = "seen first" if predicted is None else "as predicted" if predicted == held else "otherwise"
            other = _pages(predicted.nr_pages, predicted.memcg) if predicted else ""
            parts.append(WORDS[word].format(held=_pages(row.avail, row.cached), predicted=other))
        first, last = _window(result)
        parts.append(
            WORDS["sums"].format(
                drift=text.count(int(shown.stock[k - 1].sum()), "page"),
                above=text.count(int(shown.counter[k - 1] - shown.counter[first:last].min()), "page"),
                first=text.number(first + 1),
                last=text.number(last),
            )
        )
        return " ".join(parts)

    def table(self, result=None):
        """The events around the cursor."""
        result = result or self.result
        lines = []
        for k in range(max(0, result.position - LINES), max(result.position, 1)):
            row, predicted = result.walk.rows[k], result.walk.predicted[k]
            lines.append(
                (
                    k + 1,
                    row.cpu,
                    "softirq" if row.softirq > 0 else "task",
                    MEANING.get(row.ev, row.ev) + (f" ({row.cause})" if row.cause else ""),
                    row.nr if row.nr >= 0 else "",
                    f"{row.avail} of {_memcg(row.cached)}" if row.avail >= 0 else "",
                    "" if predicted is None or row.avail < 0 else f"{predicted.nr_pages} of {_memcg(predicted.memcg)}",
                )
            )
        return pd.DataFrame(lines, columns=COLUMNS).set_index("event")

    def figure(self, result=None):
        """Pages in the stocks and on the counter, over the events around the cursor."""
        series, cursor, first = self.lines(result or self.result)
        return figures.trace_window(series, first, cursor)

    def lines(self, result):
        """What the picture shows, the cursor within it, and its first event, from 0."""
        first, last = _window(result)
        stock = result.walk.stock[first:last]
        shown = range(min(stock.shape[1], CPUS_SHOWN))
        series = {WORDS["stock"].format(cpu=cpu): stock[:, cpu] for cpu in shown}
        series[WORDS["drift"]] = stock.sum(axis=1)
        counter = result.walk.counter[first:last]
        series[WORDS["counter"]] = counter - counter.min()
        return series, max(0, result.position - 1 - first), first


def _drains(ev, cause):
    return ev == "pcunc" and cause == "stock"


def _told(row):
    pages = f" {_pages(row.nr, row.memcg)}" if row.nr >= 0 else ""
    cause = f", {row.cause}" if row.cause else ""
    return f"{MEANING.get(row.ev, row.ev)}{pages}{cause}"


def _pages(pages, memcg):
    return WORDS["pages"].format(pages=text.count(int(pages), "page"), cgroup=_memcg(memcg))


def _memcg(number):
    return WORDS["cgroup"].format(number=number) if number > 0 else WORDS["no cgroup"]


def _window(result):
    """The events that the picture shows: the first, from 0, and the one after the last."""
    n = len(result.walk.rows)
    first = min(max(0, result.position - WINDOW // 2), max(0, n - WINDOW))
    return first, min(n, first + WINDOW)
