"""The stock lab: the drawer of one CPU, one operation at a time."""

import functools
import html
from collections import namedtuple

import ipywidgets as W
import numpy as np
import pandas as pd

from .. import figures
from .. import words as text
from ..figures.stocks import pages_words
from ..history import History
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_BATCH, OPS
from ..mechanism.steps import STEP_CANCEL, STEP_CONSUME_HIT, STEP_CONSUME_MISS, STEP_DRAIN, STEP_REFILL, STEP_TRY_ADD
from ..system import System, op
from ..workload import alternating, mixed, pingpong
from . import sketch, views
from .boxes import choice
from .stepping import SteppedLab

OPERATIONS = 100
LEVELS = 2  # the root, and the cgroups below it
POLICIES = {"v4.13": V4_13, "v4.14": V4_14}


def _charges(nr_pages):
    return np.repeat(op("charge_skmem", cpu=0, memcg=1, nr=nr_pages), OPERATIONS)


TRAFFIC = {
    "single pages": lambda: _charges(1),
    "calls of 20 pages": lambda: _charges(20),
    "calls of 33 pages": lambda: _charges(33),
    "two cgroups take turns": lambda: alternating(OPERATIONS)[:OPERATIONS],
    "mixed sizes, given back later": lambda: mixed(OPERATIONS, cpus=1, memcgs=[1], in_flight=12, seed=3),
    "charge and give back": lambda: pingpong(OPERATIONS // 2),
}

KINDS = ("hit", "miss", "trip", "refill", "drain")
Event = namedtuple("Event", "kind told")  # kind: one of KINDS, or "past" for what never looks into the stock
Run = namedtuple("Run", "history events sums level")  # events of each operation; running counts by kind; pages
Result = namedtuple("Result", "traffic policy position run")


@functools.lru_cache(maxsize=32)
def run(traffic, policy):
    """One traffic under one policy, every state and event kept."""
    ops = TRAFFIC[traffic]()
    history = History(System.siblings(2, cpus=1, policy=POLICIES[policy]), ops)
    events = [_events(history, k) for k in range(1, len(ops) + 1)]
    sums = {kind: np.cumsum([0, *(sum(e.kind == kind for e in one) for one in events)]) for kind in KINDS}
    return Run(history, events, sums, history.stock_pages[:, 0, 0].tolist())


def _events(history, k):
    """What operation ``k`` (1 …) did to the stock and to the counters, in words, in its order."""
    row, (owner, held) = history.ops[k - 1], history.state(k - 1).stock[0]
    memcg, nr_pages, batch = int(row["memcg"]), int(row["nr"]), history.policy.batch
    asked = text.count(nr_pages, "page")
    events = []
    if OPS[row["op"]] == "charge_skmem" and nr_pages > batch:
        events.append(Event("past", f"{asked} are more than a batch, so the stock is not asked"))
    steps = history.steps(k - 1)
    drained = any(step.step == STEP_DRAIN for step in steps)
    for _, _, code, _, where, before, after in steps:
        if code == STEP_CONSUME_HIT:
            events.append(Event("hit", f"{asked} out of the stock, {text.number(after)} left"))
        elif code == STEP_CONSUME_MISS:
            if owner == memcg:
                told = f"{text.number(held)} in the stock, {text.number(nr_pages)} asked for"
            else:
                told = f"the stock belongs to memcg {owner}" if owner >= 0 else "the stock belongs to nobody"
            events.append(Event("miss", told))
        elif code == STEP_TRY_ADD and where == memcg:
            events.append(Event("trip", f"{text.count(after - before, 'page')} charged at every level"))
        elif code == STEP_CANCEL and where != 0:
            whose = f"{text.count(before - after, 'page')} of memcg {where}"
            if drained:
                events.append(Event("drain", f"{whose} leave the stock"))
            events.append(Event("trip", f"{whose} taken off every level"))
        elif code == STEP_REFILL:
            events.append(Event("refill", f"{text.count(after - before, 'page')} into the stock, now {after}"))
    return events


class StockLab(SteppedLab):
    """The stock of one CPU, operation by operation: who owns it, what is found in it, when a trip is made.

    Parameters
    ----------
    traffic : str
        One of ``StockLab.traffics``.
    policy : {"v4.13", "v4.14"}
        Before the patch, or after it.
    position : int
        Operations executed, 0 to 100.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Examples
    --------
    >>> lab = StockLab(traffic="single pages", position=33)
    >>> print(lab.message)
    Operation 33 of 100, CPU 0 charges 1 page to memcg 1. Miss: 0 in the stock, 1 asked for. Trip: 32 pages charged at \
every level. Refill: 31 pages into the stock, now 31. The stock holds 31 pages of memcg 1; so far 2 trips, 31 hits and \
2 misses.
    """

    traffics = tuple(TRAFFIC)
    operations = OPERATIONS
    landmark = "Next trip", "Go to the next operation that goes to the counters", "no operation goes to the counters"

    def __init__(self, *, traffic="single pages", policy="v4.13", position=1):
        super().__init__(traffic=traffic, policy=policy, position=position)

    def make_controls(self, traffic, policy, position):
        """See the class."""
        return {
            "traffic": choice("traffic", traffic, self.traffics, "Traffic of the CPU:", "28em"),
            "policy": choice("policy", policy, POLICIES, "Rules of Linux; 4.14 has the patch:", "24em"),
            "position": self.position_box(position),
        }

    def rows(self):
        """See the base."""
        steps = self.step_buttons()
        wrap = W.Layout(flex_flow="row wrap")
        return [
            W.HBox([self.controls["traffic"], self.controls["policy"]], layout=wrap),
            W.HBox([self.controls["position"], steps], layout=wrap),
        ]

    def compute(self, settings):
        """See the base."""
        return Result(**settings, run=run(settings["traffic"], settings["policy"]))

    def landmarks(self, result):
        """See the base."""
        return [int(k) for k in np.flatnonzero(np.diff(result.run.sums["trip"])) + 1]

    def sentence(self, result=None):
        """What the operation at the cursor found and did, and the sums so far."""
        result = result or self.result
        k, here = result.position, result.run
        if not k:
            return f"Nothing has run yet: {text.count(len(here.history), 'operation')} wait. The stock is empty."
        told = " ".join(f"{_title(event)} {event.told}." for event in here.events[k - 1])
        sums = [text.count(int(here.sums[kind][k]), kind) for kind in ("trip", "hit", "miss")]
        return (
            f"Operation {text.number(k)} of {text.number(len(here.history))}, {_operation(here.history, k)}. "
            f"{told} The stock holds {_held(here.history.state(k).stock[0])}; so far {text.listing(sums)}."
        )

    def table(self, result=None):
        """The stock and the sums at the cursor, one number a row."""
        result = result or self.result
        k, here = result.position, result.run
        state = here.history.state(k)
        owner, pages = state.stock[0]
        column = {
            "pages in the stock": pages,
            "owner of the stock": f"memcg {owner}" if owner >= 0 else "none",
            **{f"{_PLURALS[kind]} so far": int(here.sums[kind][k]) for kind in KINDS},
            "atomics so far": int(here.history.total[k]),
        }
        for memcg in (1, 2):
            column[f"memory.current of memcg {memcg}"] = state.usage[memcg]
            column[f"in use by memcg {memcg}"] = state.sock[memcg]
        return pd.DataFrame({"value": column}).rename_axis("after the operation at the cursor")

    def figure(self, result=None):
        """Pages in the stock, operation by operation, with the cursor."""
        result = result or self.result
        return figures.pages_over_ops(
            {result.policy: result.run.level},
            "in the stock",
            bound=CHARGE_BATCH,
            bound_name="batch",
            cursor=result.position,
        )

    def picture_html(self, result):
        """Pages in the stock as a sketch, with the cursor."""
        here = result.run
        sentence = pages_words({result.policy: max(here.level)}, len(here.history), where="in the stock")[1]
        series = {result.policy: here.level}
        return sketch.lines(series, "pages in the stock", sentence, CHARGE_BATCH, "batch", result.position)

    def view(self, result=None):
        """The drawer, what the operation did, and the sums."""
        result = result or self.result
        k, here = result.position, result.run
        state, past = here.history.state(k), here.history.state(max(0, k - 1))
        head = f"Operation {k} of {len(here.history)}: {_operation(here.history, k)}" if k else "Start: nothing has run"
        events = here.events[k - 1] if k else [Event("past", "The stock is empty and belongs to nobody.")]
        told = "".join(
            f'<li><span class="tag">{event.kind.upper() if event.kind in KINDS else "&nbsp;"}</span>'
            f'<span class="w">{html.escape(event.told)}</span></li>'
            for event in events
        )
        sums = "".join(
            f'<td><span class="big">{text.number(int(here.sums[kind][k]))}</span><br>'
            f"{_PLURALS[kind] if here.sums[kind][k] != 1 else kind}</td>"
            for kind in KINDS
        )
        rows = "".join(
            f'<tr><th scope="row">memcg {memcg}</th><td>{text.number(state.usage[memcg])}</td>'
            f"<td>{text.number(state.sock[memcg])}</td></tr>"
            for memcg in (1, 2)
        )
        name = "before" if result.policy == "v4.13" else "after"
        return (
            f'{views.STYLE}{_STYLE}<div class="ml sl"><p class="op">{html.escape(head)}</p><div class="two">'
            f'<section class="machine {name}" aria-label="The stock of CPU 0"><p class="t">The stock of CPU 0, '
            f"{result.policy}</p>{_drawer(state.stock[0], past.stock[0])}"
            f'<table><thead><tr><th scope="col" class="l">counter</th><th scope="col">memory.current</th>'
            f'<th scope="col">in use</th></tr></thead><tbody>{rows}</tbody></table></section>'
            f'<section class="did" aria-label="What the operation did"><ul>{told}</ul>'
            f'<table class="sums" aria-label="So far"><tbody><tr>{sums}</tr></tbody></table></section></div></div>'
        )


_PLURALS = {kind: text.count(2, kind)[2:] for kind in KINDS}

_STYLE = """<style>
.sl .drawer{position:relative;height:58px;border:2px solid #333;background:#fff;margin:8px 0 26px}
.sl .drawer i{position:absolute;left:0;top:0;bottom:0;background:#555}
.sl .drawer i.o2{background:repeating-linear-gradient(45deg,#555 0 5px,#c9c9c9 5px 10px)}
.sl .drawer b{position:absolute;top:-5px;bottom:-5px;border-left:3px solid #000}
.sl .drawer em{position:absolute;top:62px;transform:translateX(-50%);font-style:normal;
font-size:13px;white-space:nowrap}
.sl .held{font-size:22px;font-weight:700;margin:2px 0}.sl .held .was{font-size:14px}
.sl .did{flex:1 1 330px;min-width:0}
.sl ul{list-style:none;margin:0!important;padding:0!important;min-height:152px}
.sl .did li{font-size:16px;line-height:24px;margin:0 0 6px;align-items:flex-start}
.sl .tag{flex:0 0 4.6em;text-align:center;border:1.5px solid #222;border-radius:3px;font-weight:700;font-size:12.5px;
line-height:20px;margin-top:2px}
.sl .sums td{text-align:center;border:1px solid #ccc;padding:4px 2px;line-height:1.25;width:20%}
</style>"""

_SHOWN = 40  # pages the drawer is wide, so that more than a batch would be seen


def _drawer(stock, past):
    """The stock as a bar with its number and a mark at the batch."""
    memcg, pages = stock
    width = min(100.0, 100 * pages / _SHOWN)
    mark = 100 * CHARGE_BATCH / _SHOWN
    earlier = text.number(past[1]) if past[0] == memcg else _held(past)
    was = f' <span class="was">was {earlier}</span>' if stock != past else ""
    return (
        f'<p class="held">{_held(stock)}{was}</p><div class="drawer" aria-hidden="true">'
        f'<i class="o{memcg}" style="width:{width:g}%"></i><b style="left:{mark:g}%"></b>'
        f'<em style="left:{mark:g}%">{CHARGE_BATCH} pages</em></div>'
    )


def _held(stock):
    memcg, pages = stock
    return (
        f"{text.count(pages, 'page')} of memcg {memcg}" if memcg >= 0 else f"{text.count(pages, 'page')} of no cgroup"
    )


def _operation(history, k):
    row = history.ops[k - 1]
    return text.operation(OPS[row["op"]], int(row["cpu"]), int(row["memcg"]), int(row["nr"]))


def _title(event):
    return f"{text.capital(event.kind)}:" if event.kind in KINDS else "No look:"
