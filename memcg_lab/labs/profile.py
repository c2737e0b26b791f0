"""The profile lab: mark rows of a listing, and see what could be gained at most if their work vanished."""

import functools
from collections import namedtuple

import pandas as pd

from .. import figures
from ..figures.profile import BARS_SHOWN, marked_rows, profile_rows
from ..files import data_path
from ..perf import read_perf
from ..words import count, number, printable
from .base import Lab

Result = namedtuple("Result", "marked share factor")  # rows from 0; share of all samples, percent; None: no bound

ALL = 99.995  # percent; from there on nothing is left that could be compared

# The sentences; the front end has no others.
WORDS = {
    "none": "You marked none of {rows}. Together they have {listed} % of all samples.",
    "marked": "You marked {marked} of {rows}: {share} % of all samples.",
    "all": "If their work vanished, nothing would be left; this says nothing about the host.",
    "bound": (
        "If {whose} work vanished, the host would get faster by a factor of {factor} at most; every other row would "
        "grow by that factor. That is a bound, no prediction; nothing is fitted."
    ),
    "gone": "gone",
}


# How each is recognised is in stage/charts.js under its name.
QUESTS = (
    {
        "name": "one",
        "ask": "Mark the one row that allows for most, and no other.",
        "found": "{symbol} alone: a factor of {factor} at most.",
    },
    {
        "name": "locks",
        "ask": "Mark the spin locks, and nothing else.",
        "found": "{share} %. The listing does not say whose locks they are.",
    },
    {
        "name": "bound",
        "ask": "Mark so much that the factor reaches 1.1.",
        "found": "With {rows}: a factor of {factor} at most.",
    },
)


@functools.cache
def _before():
    return read_perf(data_path("perf/before.txt"))


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
1.041 at most; every other row would grow by that factor. That is a bound, no prediction; nothing is fitted.
    """

    def __init__(self, profile=None, marked=()):
        self._own = profile is not None
        self.profile = _before() if profile is None else profile
        self.symbols, self.percents = profile_rows(self.profile)
        super().__init__(marked=marked)

    def check(self, settings):
        """See the base."""
        rows, shown = marked_rows(self.symbols, settings["marked"]), min(len(self.symbols), BARS_SHOWN)
        if rows and rows[-1] >= shown:
            raise ValueError(f"row {rows[-1] + 1} is marked; this lab shows the first {shown} rows.")
        return {"marked": rows}

    def code_line(self):
        """The line of Python that makes this lab, with names where they are unique."""
        marked = self.settings()["marked"]
        names = [self.symbols[k] if self.symbols.count(self.symbols[k]) == 1 else k for k in marked]
        profile = "profile=profile, " if self._own else ""
        return f"ProfileLab({profile}marked={names!r})"

    def compute(self, settings):
        """See the base."""
        marked = settings["marked"]
        share = sum(self.percents[k] for k in marked)
        return Result(marked, share, 100 / (100 - share) if share < ALL else None)

    def data(self):
        """See the base."""
        return {
            "rows": [[printable(symbol), percent] for symbol, percent in zip(self.symbols, self.percents, strict=True)],
            "shown": min(len(self.symbols), BARS_SHOWN),
            "own": self._own,
            "all": ALL,
            "quests": () if self._own else QUESTS,
            "words": WORDS,
        }

    def to_html(self):
        """See the base; a page has the rows of the commit alone, so there a reader's own profile stays a picture."""
        still = super().to_html()
        return still.replace(f'data-memcg-lab="{type(self).__name__}" ', "", 1) if self._own else still

    def sentence(self, result=None):
        """What is marked, and what that allows for."""
        result = result or self.result
        rows = count(len(self.symbols), "row")
        if not result.marked:
            return WORDS["none"].format(rows=rows, listed=f"{sum(self.percents):.2f}")
        told = WORDS["marked"].format(marked=number(len(result.marked)), rows=rows, share=f"{result.share:.2f}")
        if result.factor is None:
            return f"{told} {WORDS['all']}"
        whose = "its" if len(result.marked) == 1 else "their"
        return f"{told} {WORDS['bound'].format(whose=whose, factor=f'{result.factor:.3f}')}"

    def table(self, result=None):
        """The rows: what each has now, and what it would have if the marked ones vanished."""
        result = result or self.result
        grown = [
            WORDS["gone"] if k in result.marked else "-" if result.factor is None else f"{percent * result.factor:.2f}"
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
