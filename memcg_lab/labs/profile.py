"""The profile lab: mark rows of a listing, and see what could be gained at most if their work vanished."""

import functools
import html
from collections import namedtuple

import ipywidgets as W
import pandas as pd
import traitlets

from .. import figures
from ..figures.profile import BARS_SHOWN, marked_rows, profile_rows
from ..files import data_path
from ..perf import read_perf
from ..words import count, number, printable
from .boxes import Lab

Result = namedtuple("Result", "marked share factor")  # rows from 0; share of all samples, percent; None: no bound


@functools.cache
def _before():
    return read_perf(data_path("perf/before.txt"))


class Ticks(W.GridBox):
    """One checkbox a row; the value is a tuple of the numbers of the rows that are ticked."""

    value = traitlets.Tuple()

    def __init__(self, labels, value):
        self.boxes = [
            W.Checkbox(description=label, indent=False, value=k in value, layout=W.Layout(width="auto"))
            for k, label in enumerate(labels)
        ]
        rows = -(-len(labels) // 2)
        layout = W.Layout(
            grid_template_columns="minmax(0,1fr) minmax(0,1fr)",
            grid_template_rows=f"repeat({rows}, auto)",
            grid_auto_flow="column",
            max_width="720px",
        )
        super().__init__(self.boxes, layout=layout, value=tuple(value))
        self._following = False
        for box in self.boxes:
            box.observe(self._ticked, names="value")
        self.observe(self._told, names="value")

    def _ticked(self, change):
        if not self._following:
            self.value = tuple(k for k, box in enumerate(self.boxes) if box.value)

    def _told(self, change):
        self._following = True
        try:
            for k, box in enumerate(self.boxes):
                box.value = k in self.value
        finally:
            self._following = False


class ProfileLab(Lab):
    """A profile whose rows the reader marks: how many percent they are, and what that allows for at most.

    Parameters
    ----------
    profile : DataFrame, optional
        What ``read_perf`` gave; by default the listing from before the patch. At most 30 rows can be marked.
    marked : sequence of str or int
        Symbols (every row of that name) or numbers of rows from 0.

    Raises
    ------
    ValueError
        If the profile is no such table, or what is marked is not in it.

    Examples
    --------
    >>> names = ["page_counter_cancel", "__sk_mem_reduce_allocated", "tcp_delack_timer_handler"]
    >>> print(ProfileLab(marked=names).message)
    You marked 3 of 16 rows: 3.95 % of all samples. If their work vanished, the host would get faster by a factor of \
1.041 at most; every other row would grow by that factor.
    """

    def __init__(self, profile=None, marked=()):
        self._own = profile is not None
        self.profile = _before() if profile is None else profile
        self.symbols, self.percents = profile_rows(self.profile)
        shown = min(len(self.symbols), BARS_SHOWN)
        self.picture_height = _height(shown)
        super().__init__(marked=marked)

    def make_controls(self, marked):
        """See the class."""
        rows = marked_rows(self.symbols, marked)
        shown = min(len(self.symbols), BARS_SHOWN)
        if rows and rows[-1] >= shown:
            raise ValueError(f"row {rows[-1] + 1} is marked; this lab shows the first {shown} rows.")
        labels = [
            f"{percent:.2f} %  {printable(symbol)}"
            for percent, symbol in zip(self.percents[:shown], self.symbols[:shown], strict=True)
        ]
        return {"marked": Ticks(labels, rows)}

    def rows(self):
        """See the base."""
        self.none = self.button("Mark none", lambda: self.set(marked=()), "Take every mark away")
        intro = W.HTML("<b>Mark rows.</b> The Tab key goes to the next one, the space bar marks it.")
        return [intro, self.controls["marked"], W.HBox([self.none])]

    def set(self, **values):
        """Change the marks; symbols are allowed here too. See the base."""
        if "marked" in values:
            values["marked"] = tuple(marked_rows(self.symbols, values["marked"]))
        super().set(**values)

    def code_line(self):
        """The line of Python that makes this lab, with names where they are unique."""
        names = [self.symbols[k] if self.symbols.count(self.symbols[k]) == 1 else k for k in self.marked.value]
        profile = "profile=profile, " if self._own else ""
        return f"ProfileLab({profile}marked={names!r})"

    def compute(self, settings):
        """See the base."""
        marked = list(settings["marked"])
        share = sum(self.percents[k] for k in marked)
        return Result(marked, share, 100 / (100 - share) if share < 99.995 else None)

    def sentence(self, result=None):
        """What is marked, and what that allows for."""
        result = result or self.result
        rows = count(len(self.symbols), "row")
        if not result.marked:
            return f"You marked none of {rows}. Together they have {sum(self.percents):.2f} % of all samples."
        told = f"You marked {number(len(result.marked))} of {rows}: {result.share:.2f} % of all samples. "
        if result.factor is None:
            return told + "If their work vanished, nothing would be left; this says nothing about the host."
        whose = "its" if len(result.marked) == 1 else "their"
        return told + (
            f"If {whose} work vanished, the host would get faster by a factor of {result.factor:.3f} at most; every "
            "other row would grow by that factor."
        )

    def table(self, result=None):
        """The rows: what each has now, and what it would have if the marked ones vanished."""
        result = result or self.result
        grown = [
            "gone" if k in result.marked else "-" if result.factor is None else f"{percent * result.factor:.2f}"
            for k, percent in enumerate(self.percents)
        ]
        return pd.DataFrame(
            {
                "symbol": self.symbols,
                "percent": [f"{percent:.2f}" for percent in self.percents],
                "marked": [k in result.marked for k in range(len(self.symbols))],
                "percent without the marked": grown,
            },
            index=pd.Index(range(1, len(self.symbols) + 1), name="row", dtype=object),
        )

    def figure(self, result=None):
        """The bars of the listing, the marked ones filled."""
        result = result or self.result
        return figures.profile_bars(self.profile, marked=result.marked)

    def picture_of(self, settings):
        """The live picture has no marks; they lie over it."""
        return ()

    def drawing(self, result):
        """The bars without marks."""
        figure = figures.profile_bars(self.profile)
        axes = figure.figure.axes[0]
        height = figure.figure.bbox.height
        boxes = [patch.get_window_extent() for patch in axes.patches]
        self._bars = [(box.x0, height - box.y1, box.width, box.height) for box in boxes]
        return figure

    def overlay(self, result=None):
        """The marks: hatched boxes with a word, over the bars."""
        result = result or self.result
        if not hasattr(self, "_bars"):
            self.drawing(result)
        marks = "".join(
            f'<div style="position:absolute;left:{x:.1f}px;top:{y:.1f}px;width:{w:.1f}px;height:{h:.1f}px;'
            "box-sizing:border-box;border:2px solid #003d2c;"
            'background:repeating-linear-gradient(135deg,#009E73 0 6px,#004d38 6px 8px)"></div>'
            f'<div style="position:absolute;left:{x + w + 44:.1f}px;top:{y:.1f}px;height:{h:.1f}px;color:#005f45;'
            f'font:700 14px/{h:.0f}px system-ui,sans-serif">marked</div>'
            for x, y, w, h in (self._bars[k] for k in result.marked)
        )
        return (
            f'<div aria-hidden="true" style="position:relative;width:720px;height:{self.picture_height}px;'
            f'pointer-events:none">{marks}</div>'
        )

    def view(self, result=None):
        """The share that is marked, of all samples and of the listed ones."""
        result = result or self.result
        listed = sum(self.percents)
        parts = (
            ("marked", result.share, "#009E73"),
            ("listed, not marked", max(0.0, listed - result.share), "#8a8a8a"),
            ("not listed", max(0.0, 100 - listed), "#ffffff"),
        )
        bar = "".join(
            f'<i style="width:{share:.3f}%;background-color:{color}"{_hatched(name)}></i>'
            for name, share, color in parts
        )
        told = "; ".join(f"{html.escape(name)} {share:.2f} %" for name, share, _ in parts)
        return (
            f'{_STYLE}<div class="pl"><div class="all" aria-hidden="true">{bar}</div><p>All samples: {told}.</p></div>'
        )


_STYLE = """<style>
.pl{max-width:720px;color:#222;font:15px/1.35 system-ui,sans-serif}
.pl .all{display:flex;height:24px;border:2px solid #333;background:#fff}
.pl .all i{display:block;height:100%;box-sizing:border-box;border-right:1px solid #333}
.pl .all i.h{background-image:repeating-linear-gradient(135deg,#009E73 0 6px,#004d38 6px 8px)}
.pl p{margin:3px 0 6px}
</style>"""


def _hatched(name):
    return ' class="h"' if name == "marked" else ""


def _height(shown):
    """Pixels of the picture of so many bars, as ``profile_bars`` draws it."""
    return round(90 * (1.0 + 0.285 * max(shown, 4)))
