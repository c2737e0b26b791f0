"""The drift lab: how far the counter is ahead of what is in use, and what bounds that."""

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
from ..mechanism.policy import UNCHARGE_ONLY, V4_13, V4_14
from ..mechanism.records import CHARGE_SKMEM, PAGE_SIZE, UNCHARGE_SKMEM
from ..system import System
from ..workload import bulk, draws, mixed, pairs, skmem
from . import sketch, views
from .boxes import Lab, choice, whole_number_box

CPUS_MAX = 64
DEPTH_MAX = 5
OPERATIONS = 576  # three for each of 64 CPUs, and 64 rounds of 9 for bulk


def _spread(cpus, leaf):
    """Single pages arrive on CPU 0 and are given back on any CPU."""
    n = OPERATIONS // 2
    charge = skmem(CHARGE_SKMEM, n, cpu=0, memcg=leaf, nr_pages=1)
    return pairs(charge, skmem(UNCHARGE_SKMEM, n, cpu=draws(7, n, cpus), memcg=leaf, nr_pages=1))


def _fill(cpus, leaf):
    """Every CPU in turn takes one page and gives it back; what is left of its batch fills the stock."""
    n = OPERATIONS // 2
    cpu = np.arange(n) % cpus
    charge = skmem(CHARGE_SKMEM, n, cpu=cpu, memcg=leaf, nr_pages=1)
    return pairs(charge, skmem(UNCHARGE_SKMEM, n, cpu=cpu, memcg=leaf, nr_pages=1))


TRAFFIC = {
    "small calls on every CPU": lambda cpus, leaf: mixed(OPERATIONS, cpus=cpus, memcgs=[leaf], in_flight=96, seed=5),
    "one CPU charges, any CPU gives back": _spread,
    "bulk, given back by the last CPU in large lumps": (
        lambda cpus, leaf: bulk(OPERATIONS // 9, memcg=leaf, timer_cpu=cpus - 1, seed=5)
    ),
    "every CPU in turn fills its stock": _fill,
}

Drift = namedtuple("Drift", "pages levels stocks atomics")  # each operation; the most of each level; at the peak
Result = namedtuple("Result", "cpus depth cap traffic label before now bound")


@functools.lru_cache(maxsize=64)
def drift(policy, cpus, depth, traffic):
    """What the counter is ahead after each operation of one traffic under one policy."""
    history = History(System.chain(depth, cpus=cpus, policy=policy), TRAFFIC[traffic](cpus, depth))
    usage = history.usage
    ahead = usage - history.sock[:, depth, None]
    pages = ahead[:, depth]
    stocks = history.state(int(pages.argmax())).stock
    return Drift(pages, ahead.max(axis=0).tolist(), [held for _, held in stocks], int(history.total[-1]))


class DriftLab(Lab):
    """Usage minus what is in use, operation by operation, with and without the cap of the patch.

    Parameters
    ----------
    cpus : int
        1 to 64.
    depth : int
        Levels below the root, 1 to 5.
    cap : bool
        Whether the first hunk of the patch is there.
    traffic : str
        One of ``DriftLab.traffics``.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Examples
    --------
    >>> print(DriftLab(cpus=4, depth=2, traffic="every CPU in turn fills its stock").message)
    4 CPUs, depth 2, after the patch: the counter is up to 128 pages (512 KiB) ahead of what is in use, at every \
level the same. The bound, CPUs × 32, is 128 pages (512 KiB) and is reached. Before the patch it was up to 124 pages \
(496 KiB).
    """

    traffics = tuple(TRAFFIC)

    def __init__(self, *, cpus=4, depth=2, cap=True, traffic="one CPU charges, any CPU gives back"):
        super().__init__(cpus=cpus, depth=depth, cap=cap, traffic=traffic)

    def make_controls(self, cpus, depth, cap, traffic):
        """See the class."""
        if not isinstance(cap, bool):
            raise ValueError(f"cap is {cap!r}; it must be True or False.")
        return {
            "cpus": whole_number_box("cpus", cpus, 1, CPUS_MAX, "CPUs, 1 to 64:", "15em"),
            "depth": whole_number_box("depth", depth, 1, DEPTH_MAX, "Levels below the root, 1 to 5:"),
            "cap": W.Checkbox(
                value=cap, description="With the cap, hunk 1 of the patch", indent=False, layout=W.Layout(width="auto")
            ),
            "traffic": choice("traffic", traffic, self.traffics, "Traffic:", "36em"),
        }

    def rows(self):
        """See the base."""
        wrap = W.Layout(flex_flow="row wrap")
        return [
            W.HBox([self.controls[name] for name in ("cpus", "depth", "cap")], layout=wrap),
            self.controls["traffic"],
        ]

    def compute(self, settings):
        """See the base."""
        shape = settings["cpus"], settings["depth"], settings["traffic"]
        policy = V4_14 if settings["cap"] else UNCHARGE_ONLY
        return Result(
            **settings,
            label="after" if settings["cap"] else "after, without the cap",
            before=drift(V4_13, *shape),
            now=drift(policy, *shape),
            bound=settings["cpus"] * V4_14.batch,
        )

    def sentence(self, result=None):
        """The largest drift and its bound."""
        result = result or self.result
        peak, earlier = int(result.now.pages.max()), int(result.before.pages.max())
        rules = "after the patch" if result.cap else "after the patch without its cap"
        if peak > result.bound:
            verdict = f"and is exceeded by a factor of {text.number(peak / result.bound, 2)}"
        else:
            verdict = "and is reached" if peak == result.bound else "and is not reached"
        return (
            f"{text.count(result.cpus, 'CPU')}, depth {result.depth}, {rules}: the counter is up to {_amount(peak)} "
            f"ahead of what is in use{_levels(result.now.levels)}. The bound, CPUs × {V4_14.batch}, is "
            f"{_amount(result.bound)} {verdict}. Before the patch it was up to {_amount(earlier)}."
        )

    def table(self, result=None):
        """The largest drift at each level, at the end, and what it cost, under both rules."""
        result = result or self.result
        columns = {}
        for label, run in (("before", result.before), (result.label, result.now)):
            column = {"largest drift, pages": int(run.pages.max())}
            column["largest drift, KiB"] = column["largest drift, pages"] * PAGE_SIZE // 1024
            column["drift at the end, pages"] = int(run.pages[-1])
            for level in range(result.depth, -1, -1):
                name = views.level(level if level < result.depth else -1, level)
                column[f"largest drift of {name}, pages"] = run.levels[level]
            column["bound, pages"] = result.bound
            column["fullest stock at the peak, pages"] = max(run.stocks)
            column["atomics"] = run.atomics
            columns[label] = column
        return pd.DataFrame(columns).rename_axis("over the whole traffic")

    def _series(self, result):
        return {"before": result.before.pages, result.label: result.now.pages}

    def figure(self, result=None):
        """The drift under both rules, operation by operation, with the bound."""
        result = result or self.result
        return figures.pages_over_ops(self._series(result), "ahead", bound=result.bound)

    def picture_html(self, result):
        """The drift under both rules as a sketch, with the bound."""
        series = self._series(result)
        peaks = {label: int(values.max()) for label, values in series.items()}
        sentence = pages_words(peaks, len(result.now.pages) - 1, where="ahead")[1]
        return sketch.lines(series, "pages ahead", sentence, result.bound)

    def view(self, result=None):
        """What lies in each CPU's stock when the drift is largest."""
        result = result or self.result
        peak, stocks = int(result.now.pages.max()), result.now.stocks
        tall = max(V4_14.batch, *stocks)
        bars = "".join(
            f'<div class="cpu"><span class="n">{text.number(held)}</span><span class="b" aria-hidden="true">'
            f'<i style="height:{100 * held / tall:.0f}%"{_over(held)}></i></span><span class="n">{cpu}</span></div>'
            for cpu, held in enumerate(stocks)
        )
        head = f"When the drift is largest, {text.count(peak, 'page')} lie in the stocks of {_cpus(len(stocks))}"
        note = f"A stock of more than {V4_14.batch} pages is hatched. Below each bar is the number of its CPU."
        return (
            f'{views.STYLE}{_STYLE}<div class="ml dl"><p class="op">{html.escape(head)}</p>'
            f'<div class="cpus">{bars}</div><p class="note">{note}</p></div>'
        )


_STYLE = """<style>
.dl .cpus{display:flex;flex-wrap:wrap;gap:3px 4px;min-height:112px}
.dl .cpu{display:flex;flex-direction:column;align-items:center;min-width:34px}
.dl .b{position:relative;width:24px;height:64px;border:1.5px solid #333;background:#fff}
.dl .b i{position:absolute;left:0;right:0;bottom:0;background:#555}
.dl .b i.over{background:repeating-linear-gradient(45deg,#111 0 4px,#ddd 4px 8px)}
.dl .n{font-size:13px;line-height:17px;font-variant-numeric:tabular-nums}
.dl .note{margin:4px 0 0;font-size:13px;color:#444}
</style>"""


def _over(held):
    return ' class="over"' if held > V4_14.batch else ""


def _cpus(n):
    return "one CPU" if n == 1 else text.count(n, "CPU")


def _amount(pages):
    return f"{text.count(pages, 'page')} ({text.number(pages * PAGE_SIZE // 1024)} KiB)"


def _levels(levels):
    return ", at every level the same" if len(set(levels)) == 1 else ""
