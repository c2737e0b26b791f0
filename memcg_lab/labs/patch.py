"""The patch lab: one traffic, before and after the patch, in lockstep, one operation at a time."""

import functools
import html
from collections import namedtuple

import ipywidgets as W
import pandas as pd

from .. import figures
from .. import words as text
from ..history import History
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import OPS
from ..mechanism.steps import STEP_CONSUME_HIT, STEP_DRAIN, STEP_REFILL
from ..system import System
from ..workload import alternating, bursts, pingpong, producer_consumer
from . import views
from .boxes import choice, whole_number_box
from .stepping import SteppedLab

OPERATIONS = 400
DEPTH_MAX = 5

# Name in the list -> (leaves below the last level, stream for these leaves).
TRAFFIC = {
    "one CPU charges and gives back": (1, lambda leaf: pingpong(OPERATIONS // 2, memcg=leaf)),
    "one CPU charges, another gives back": (1, lambda leaf: producer_consumer(OPERATIONS // 2, memcg=leaf)),
    "two cgroups take turns on one CPU": (2, lambda *leaves: alternating(OPERATIONS // 2, memcgs=leaves)),
    "33 pages at a time": (1, lambda leaf: producer_consumer(OPERATIONS // 2, memcg=leaf, nr_pages=33)),
    "a burst, then everything comes back": (1, lambda leaf: bursts(1, burst=OPERATIONS // 2, memcg=leaf)),
}

Run = namedtuple("Run", "before after names rows")  # two histories; names of the cgroups; lines kept for the steps
Result = namedtuple("Result", "traffic depth position run")


@functools.lru_cache(maxsize=32)
def run(traffic, depth):
    """Both machines after one traffic, every state kept."""
    leaves, stream = TRAFFIC[traffic]
    parents = [*range(-1, depth - 1), *[depth - 1] * leaves]
    ops = stream(*range(depth, depth + leaves))
    both = [History(System(parents, cpus=2, policy=policy), ops) for policy in (V4_13, V4_14)]
    names = [f"memcg {m}" for m in range(len(parents))]
    names[0] = "root"
    for m in range(depth, depth + leaves):
        names[m] = f"memcg {m}, leaf"
    rows = max(views.step_lines(history, k) for history in both for k in range(1, len(ops) + 1))
    return Run(*both, names, rows)


class PatchLab(SteppedLab):
    """One traffic on two machines, before and after the patch: step through it, forwards and back.

    Parameters
    ----------
    traffic : str
        One of ``PatchLab.traffics``.
    depth : int
        Levels below the root, 1 to 5.
    position : int
        Operations executed, 0 to 400.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Examples
    --------
    >>> lab = PatchLab(traffic="one CPU charges, another gives back", depth=2, position=66)
    >>> print(lab.message)
    Operation 66 of 400, uncharge_skmem of 1 page on CPU 1: before 3 atomics, after 3 (the stock passed 32 pages and \
was drained). So far 105 before, 9 after.
    """

    traffics = tuple(TRAFFIC)
    operations = OPERATIONS
    landmark = "Next drain", "Go to the next drain after the patch", "no stock is drained any more"

    def __init__(self, *, traffic="one CPU charges, another gives back", depth=2, position=0):
        super().__init__(traffic=traffic, depth=depth, position=position)

    def make_controls(self, traffic, depth, position):
        """See the class."""
        return {
            "traffic": choice("traffic", traffic, self.traffics, "Traffic that both machines see:"),
            "depth": whole_number_box("depth", depth, 1, DEPTH_MAX, "Levels below the root, 1 to 5:"),
            "position": self.position_box(position),
        }

    def rows(self):
        """See the base."""
        steps = self.step_buttons()
        wrap = W.Layout(flex_flow="row wrap")
        return [
            W.HBox([self.controls["traffic"], self.controls["depth"]], layout=wrap),
            W.HBox([self.controls["position"], steps], layout=wrap),
        ]

    def compute(self, settings):
        """See the base."""
        return Result(**settings, run=run(settings["traffic"], settings["depth"]))

    def sentence(self, result=None):
        """What the operation at the cursor cost on both machines, and the sums so far."""
        result = result or self.result
        k, before, after = result.position, result.run.before, result.run.after
        if not k:
            return f"Nothing has run yet: {text.count(len(before), 'operation')} wait."
        row = after.ops[k - 1]
        what = f"{OPS[row['op']]} of {text.count(int(row['nr']), 'page')} on CPU {int(row['cpu'])}"
        here = [int(history.atomics[k - 1]) for history in (before, after)]
        so_far = [int(history.total[k]) for history in (before, after)]
        return (
            f"Operation {text.number(k)} of {text.number(len(before))}, {what}: "
            f"before {text.count(here[0], 'atomic')}, after {text.number(here[1])} ({_reason(after, k)}). "
            f"So far {text.number(so_far[0])} before, {text.number(so_far[1])} after."
        )

    def table(self, result=None):
        """The two machines at the cursor, one number a row."""
        result = result or self.result
        k, names = result.position, result.run.names
        columns = {}
        for name in ("before", "after"):
            history = getattr(result.run, name)
            state = history.state(k)
            column = {
                "atomics in this operation": int(history.atomics[k - 1]) if k else 0,
                "atomics so far": int(history.total[k]),
            }
            for m in reversed(range(len(names))):
                column[f"memory.current of {names[m]}"] = state.usage[m]
                column[f"references of {names[m]}"] = state.css[m]
                column[f"MEMCG_SOCK of {names[m]}"] = state.sock[m]
            for cpu, (_, pages) in enumerate(state.stock):
                column[f"pages in the stock of CPU {cpu}"] = pages
            columns[name] = column
        return pd.DataFrame(columns).rename_axis("after the operation at the cursor")

    def figure(self, result=None):
        """Atomics so far on both machines, with the cursor."""
        result = result or self.result
        return self._lines(result, result.position)

    def drawing(self, result):
        """Atomics so far on both machines; the live lab lays the cursor over them."""
        return self._lines(result, None)

    def _lines(self, result, cursor):
        return figures.atomics_over_ops(
            {"before": result.run.before.total, "after": result.run.after.total}, cursor=cursor
        )

    def picture_of(self, settings):
        """The picture stays when only the cursor moves."""
        return settings["traffic"], settings["depth"]

    def view(self, result=None):
        """Both machines side by side: where the pages are, and the steps of the operation at the cursor."""
        result = result or self.result
        k, shown = result.position, result.run
        if k:
            row = shown.after.ops[k - 1]
            told = text.operation(OPS[row["op"]], int(row["cpu"]), int(row["memcg"]), int(row["nr"]))
            head = f"Operation {text.number(k)} of {text.number(len(shown.after))}: {told}"
        else:
            head = f"Start: {text.count(len(shown.after), 'operation')} wait"
        both = "".join(
            views.machine(name, title, getattr(shown, name), k, shown.names, shown.rows)
            for name, title in (("before", "Before the patch (v4.13)"), ("after", "After the patch (v4.14)"))
        )
        return f'{views.STYLE}<div class="ml"><p class="op">{html.escape(head)}</p><div class="two">{both}</div></div>'

    def overlay(self, result=None):
        """The cursor: an upright line over the picture."""
        result = result or self.result
        box = self._axes(result)
        left = 720 * (box[0] + box[2] * result.position / OPERATIONS)
        return (
            '<div aria-hidden="true" style="position:relative;width:720px;height:288px;pointer-events:none">'
            f'<div style="position:absolute;left:{left:.1f}px;top:{288 * (1 - box[1] - box[3]):.1f}px;'
            f'height:{288 * box[3]:.1f}px;border-left:2px solid #111;margin-left:-1px"></div></div>'
        )

    def _axes(self, result):
        key = (result.traffic, result.depth)
        if getattr(self, "_place", (None,))[0] != key:
            self._place = key, self._lines(result, None).figure.axes[0].get_position().bounds
        return self._place[1]

    def landmarks(self, result):
        """See the base."""
        return [k + 1 for k in result.run.after.drains]


def _reason(history, k):
    """Why the operation cost what it cost after the patch, in a few words."""
    steps = history.steps(k - 1)
    codes = [step.step for step in steps]
    if STEP_DRAIN in codes:
        if STEP_REFILL in codes and codes.index(STEP_REFILL) < codes.index(STEP_DRAIN):
            return f"the stock passed {history.policy.batch} pages and was drained"
        return "the stock held another cgroup's pages and was drained"
    if STEP_CONSUME_HIT in codes:
        return "served from the stock"
    if OPS[history.ops["op"][k - 1]] == "uncharge_skmem":
        return "kept in the stock"
    if STEP_REFILL in codes:
        return f"the stock could not serve it, so {history.policy.batch} pages were charged"
    return "more than a batch, so the stock is not asked"
