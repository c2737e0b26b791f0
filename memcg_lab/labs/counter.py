"""The counter lab: one walk through the tree after the other, with a limit at one level."""

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
from ..mechanism.policy import V4_13
from ..mechanism.records import OPS
from ..mechanism.steps import STEP_CONSUME_HIT, STEP_DRAIN, STEP_FAILCNT, STEP_FORCE, STEP_OOM, STEP_RETURN
from ..system import System, op
from . import sketch, views
from .boxes import choice, whole_number_box
from .stepping import SteppedLab

OPERATIONS = 32
DEPTH_MAX = 5
LIMIT_MAX = 1000  # pages; 32 charges of 40 pages are more, so every limit is met


def _one(name, leaf, nr_pages, *, cpu=0, ctx="softirq"):
    return op(name, cpu=cpu, memcg=leaf, nr=nr_pages, ctx=ctx)


def _around_the_limit(leaf, limit):
    """One page too many; exactly the limit; one page more; and back to nothing."""
    return [
        _one("try_charge", leaf, limit + 1),
        _one("try_charge", leaf, limit),
        _one("try_charge", leaf, 1),
        _one("cancel_charge", leaf, limit),
    ] * (OPERATIONS // 4)


def _beside_a_stock(leaf, limit):
    """CPU 1 charges a socket page and keeps the rest of a batch; a task on CPU 0 wants 40 pages."""
    return [_one("charge_skmem", leaf, 1, cpu=1), _one("try_charge", leaf, 40, ctx="task")] * (OPERATIONS // 2)


# More than 32 pages, so that no stock comes between, except where the name says so.
TRAFFIC = {
    "charges of 40 pages, until somebody refuses": lambda leaf, limit: [_one("try_charge", leaf, 40)] * OPERATIONS,
    "one page above the limit, then exactly the limit": _around_the_limit,
    "calls of 20 pages, through the stock": lambda leaf, limit: [_one("try_charge", leaf, 20)] * OPERATIONS,
    "socket charges of 40 pages, which are never turned away": (
        lambda leaf, limit: [_one("charge_skmem", leaf, 40)] * OPERATIONS
    ),
    "a task that may wait, beside the stock of another CPU": _beside_a_stock,
}

Run = namedtuple("Run", "history names count watermark")  # the last two: of the leaf, operation by operation
Result = namedtuple("Result", "depth limit limit_level traffic position run")


@functools.lru_cache(maxsize=64)
def run(depth, limit, limit_level, traffic):
    """One traffic up one chain, every state kept."""
    limits = [limit if level == limit_level else -1 for level in range(depth + 1)]
    system = System.chain(depth, cpus=2, policy=V4_13, limits=limits)
    history = History(system, np.concatenate(TRAFFIC[traffic](depth, limit)))
    names = [views.level(level if level < depth else -1, level) for level in range(depth + 1)]
    return Run(
        history,
        names,
        history.usage[:, depth].tolist(),
        history.watermark[:, depth].tolist(),
    )


class CounterLab(SteppedLab):
    """A chain of counters with a limit at one level: who refuses a charge, and what that costs.

    Parameters
    ----------
    depth : int
        Levels below the root, 1 to 5.
    limit : int
        Pages, 1 to 1,000.
    limit_level : int
        The level that has the limit: 0 is the root, ``depth`` the leaf.
    traffic : str
        One of ``CounterLab.traffics``.
    position : int
        Operations executed, 0 to 32.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Examples
    --------
    >>> print(CounterLab(depth=2, limit=100, limit_level=1, position=1).message)
    Operation 1 of 32, CPU 0 charges 101 pages, not socket memory, to memcg 2: refused by memcg 1, at the cost of 4 \
atomics. The leaf counts 0 pages, the limit is 100; so far 4 atomics and 1 failure.
    """

    traffics = tuple(TRAFFIC)
    operations = OPERATIONS
    landmark = "Next refusal", "Go to the next operation that some level refuses", "nobody refuses"

    def __init__(
        self,
        *,
        depth=2,
        limit=100,
        limit_level=1,
        traffic="one page above the limit, then exactly the limit",
        position=1,
    ):
        super().__init__(depth=depth, limit=limit, limit_level=limit_level, traffic=traffic, position=position)

    def make_controls(self, depth, limit, limit_level, traffic, position):
        """See the class."""
        levels = whole_number_box("depth", depth, 1, DEPTH_MAX, "Levels below the root, 1 to 5:")
        place = whole_number_box("limit_level", limit_level, 0, depth, "Level with the limit, 0 is the root:")
        levels.observe(lambda change: setattr(place, "max", change["new"]), names="value")
        return {
            "depth": levels,
            "limit": whole_number_box("limit", limit, 1, LIMIT_MAX, "Limit in pages, 1 to 1,000:"),
            "limit_level": place,
            "traffic": choice("traffic", traffic, self.traffics, "Traffic:", "36em"),
            "position": self.position_box(position),
        }

    def rows(self):
        """See the base."""
        steps = self.step_buttons()
        wrap = W.Layout(flex_flow="row wrap")
        return [
            W.HBox([self.controls[name] for name in ("depth", "limit", "limit_level")], layout=wrap),
            W.HBox([self.controls["traffic"]], layout=wrap),
            W.HBox([self.controls["position"], steps], layout=wrap),
        ]

    def compute(self, settings):
        """See the base."""
        return Result(**settings, run=run(*(settings[name] for name in ("depth", "limit", "limit_level", "traffic"))))

    def landmarks(self, result):
        """See the base."""
        history = result.run.history
        return [k for k in range(1, OPERATIONS + 1) if any(step.step == STEP_FAILCNT for step in history.steps(k - 1))]

    def sentence(self, result=None):
        """Who refused the operation at the cursor, what it cost, and the state after it."""
        result = result or self.result
        k, here = result.position, result.run
        if not k:
            return (
                f"Nothing has run yet: {text.count(OPERATIONS, 'operation')} wait. The limit of "
                f"{here.names[result.limit_level]} is {text.count(result.limit, 'page')}."
            )
        failures = sum(here.history.state(k).failcnt)
        return (
            f"Operation {k} of {OPERATIONS}, {_operation(here.history, k)}: {_outcome(result)}. The leaf counts "
            f"{text.count(here.count[k], 'page')}, the limit is {text.number(result.limit)}; so far "
            f"{text.count(int(here.history.total[k]), 'atomic')} and {text.count(failures, 'failure')}."
        )

    def table(self, result=None):
        """Every level at the cursor, the leaf first."""
        result = result or self.result
        k, here = result.position, result.run
        state = here.history.state(k)
        levels = range(result.depth, -1, -1)
        return pd.DataFrame(
            {
                "count": [state.usage[m] for m in levels],
                "limit": [text.number(result.limit) if m == result.limit_level else "none" for m in levels],
                "watermark": [state.watermark[m] for m in levels],
                "failcnt": [state.failcnt[m] for m in levels],
                "atomics in this operation": [self._atomics(result, k, m) for m in levels],
            },
            index=pd.Index([here.names[m] for m in levels], name="after the operation at the cursor"),
        )

    def _atomics(self, result, k, memcg):
        steps = result.run.history.steps(k - 1) if k else []
        return sum(step.where == memcg and views.is_counter_atomic(step.step) for step in steps)

    def _series(self, result):
        return {"watermark of the leaf": result.run.watermark, "count of the leaf": result.run.count}

    def figure(self, result=None):
        """Count and watermark of the leaf, operation by operation, with the limit and the cursor."""
        result = result or self.result
        return figures.pages_over_ops(
            self._series(result), "counted", bound=result.limit, bound_name="limit", cursor=result.position
        )

    def picture_html(self, result):
        """Count and watermark of the leaf as a sketch, with the limit and the cursor."""
        series = self._series(result)
        peaks = {label: max(values) for label, values in series.items()}
        sentence = pages_words(peaks, OPERATIONS, where="counted")[1]
        return sketch.lines(series, "pages counted", sentence, result.limit, "limit", result.position)

    def view(self, result=None):
        """The levels, and the steps of the operation at the cursor."""
        result = result or self.result
        k, here = result.position, result.run
        history = here.history
        head = f"Operation {k} of {OPERATIONS}: {_operation(history, k)}" if k else "Start: nothing has run"
        outcome = text.capital(_outcome(result)) if k else "Nothing is charged"
        state, past = history.state(k), history.state(max(0, k - 1))
        columns = ("counter", "count", "limit", "watermark", "failcnt", "atomics")
        titles = "".join(f'<th scope="col"{" class=l" if i == 0 else ""}>{name}</th>' for i, name in enumerate(columns))
        rows = []
        for m in range(result.depth, -1, -1):
            limited = m == result.limit_level
            cells = "".join(
                views.value(getattr(state, field)[m], getattr(past, field)[m]) for field in ("watermark", "failcnt")
            )
            limit = f"<td>{f'<b>{text.number(result.limit)}</b>' if limited else 'none'}</td>"
            rows.append(
                f'<tr><th scope="row">{html.escape(here.names[m])}</th>{views.value(state.usage[m], past.usage[m])}'
                f"{limit}{cells}<td>{self._atomics(result, k, m)}</td></tr>"
            )
        cost = int(history.atomics[k - 1]) if k else 0
        return (
            f'{views.STYLE}{_STYLE}<div class="ml cl"><p class="op">{html.escape(head)}</p>'
            f'<p class="outcome">{html.escape(outcome)}.</p><div class="two">'
            f'<section class="levels" aria-label="The counters from the leaf to the root"><div><span class="big">{cost}'
            f'</span> {"atomic" if cost == 1 else "atomics"} in this operation, <span class="big">'
            f"{text.number(int(history.total[k]))}</span> so far</div><table><thead><tr>{titles}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table></section>"
            '<section class="walk" tabindex="0" aria-label="The steps, in a box that scrolls">'
            f"{views.steps(history, k, here.names, 14)}</section></div></div>"
        )


_STYLE = """<style>
.cl .outcome{font-size:17px;margin:0 0 8px;min-height:1.4em}
.cl .levels{flex:0 0 auto;max-width:100%;overflow-x:auto}
.cl .levels table{font-size:14px;margin-top:8px;width:auto}.cl .levels td,.cl .levels th{padding:3px 5px}
.cl .walk{flex:1 1 300px;min-width:0;max-height:310px;overflow-y:auto;border:1px solid #bbb;padding:2px 8px}
</style>"""


def _operation(history, k):
    row = history.ops[k - 1]
    return text.operation(OPS[row["op"]], int(row["cpu"]), int(row["memcg"]), int(row["nr"]))


def _outcome(result):
    """What became of the operation at the cursor, and what it cost, in words."""
    k, here = result.position, result.run
    steps = here.history.steps(k - 1)
    codes = [step.step for step in steps]
    cost = text.count(int(here.history.atomics[k - 1]), "atomic")
    called = OPS[here.history.ops["op"][k - 1]]
    if called == "cancel_charge":
        return f"given back at every level, with {cost}"
    refusals = [step.where for step in steps if step.step == STEP_FAILCNT]
    answer = next(step.after for step in reversed(steps) if step.step == STEP_RETURN)
    if not refusals:
        return f"served from the stock, with {cost}" if STEP_CONSUME_HIT in codes else f"it fits, with {cost}"
    who = "the root" if refusals[0] == 0 else "the leaf" if refusals[0] == result.depth else f"memcg {refusals[0]}"
    times = {1: "", 2: ", twice"}.get(len(refusals), f", {len(refusals)} times")
    if STEP_FORCE in codes:
        return f"refused by {who}{times}, and charged all the same; that costs {cost}"
    fits = answer == 1 if called == "charge_skmem" else answer == 0
    if fits:
        after = "it fits after the stocks were drained" if STEP_DRAIN in codes else "without a whole batch it fits"
        return f"refused by {who}{times}, but {after}; that costs {cost}"
    end = ", and out of memory in the end" if STEP_OOM in codes else ""
    return f"refused by {who}{times}{end}, at the cost of {cost}"
