"""The cost lab: choose a machine and a call path, and see whether the published listing can come from it."""

import functools
import html
from collections import namedtuple

import ipywidgets as W

from .. import figures
from ..checks import whole_number
from ..figures.profile_model import MODELLED
from ..files import data_path
from ..machine.cache_lines import V4_13_LAYOUT
from ..machine.topology import DEFAULT, Topology
from ..perf import Host, explain, read_perf, simulate_top
from ..perf.simulate import MEETING
from ..words import count
from .boxes import WIDE, Lab, choice

OPERATIONS = 2500  # a run finishes so many; a share is then known to about 3 % of itself
TOLERANCE = 0.02

PACKAGES = {"one package": 1, "two packages": 2}
WALKS = {
    "nobody reads parent": 0,
    "__sk_mem_reduce_allocated reads parent": 1,
    "the timer handler reads it too (v4.13)": 2,
}

Result = namedtuple("Result", "settings top explained")


@functools.cache
def _published():
    return tuple(read_perf(data_path(f"perf/{when}.txt")) for when in ("before", "after"))


@functools.lru_cache(maxsize=256)
def answer(packages, same_ns, cross_ns, local_ns, levels, meeting, walks):
    """Fit one host and explain the listing with it."""
    topology = Topology("your machine", packages, 14, 2, DEFAULT.smt_ns, same_ns, max(cross_ns, same_ns), local_ns)
    host = Host(
        topology=topology,
        depth=levels - 1,
        layout=V4_13_LAYOUT.with_words("v4.13", pressure_walks=walks),
        meeting=meeting,
    )
    top = simulate_top(host, ops_wanted=OPERATIONS, tolerance=TOLERANCE)
    return top, explain(top, *_published())


class CostLab(Lab):
    """The published listing beside the one of a machine you choose; one number is fitted anew with every move.

    Parameters
    ----------
    packages : {"one package", "two packages"}
        Of 14 cores with two threads each.
    same_ns, cross_ns, local_ns : int
        One way of a cache line within a package and to the other one, 5 to 400 ns; an atomic on a line the CPU has,
        1 to 40 ns. The other package is never nearer than the own one.
    levels : int
        Counters from the cgroup to the root, 2 to 9.
    meeting : str
        One of ``CostLab.meetings``.
    walks : str
        One of ``CostLab.paths``: who reads ``parent`` after giving back.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Notes
    -----
    A move fits and simulates anew. So that it answers in under 50 ms, a run is short: 2,500 operations, and the shares
    are known to a few percent of themselves.

    Examples
    --------
    >>> print(CostLab(levels=5).message.split(";")[0])
    5 counters on 56 CPUs, in turn: fitted to page_counter_cancel 2.13 %
    """

    picture_height = 230
    meetings = MEETING
    paths = tuple(WALKS)

    def __init__(
        self,
        *,
        packages="two packages",
        same_ns=45,
        cross_ns=128,
        local_ns=8,
        levels=4,
        meeting="in turn",
        walks="the timer handler reads it too (v4.13)",
    ):
        super().__init__(
            packages=packages,
            same_ns=same_ns,
            cross_ns=cross_ns,
            local_ns=local_ns,
            levels=levels,
            meeting=meeting,
            walks=walks,
        )

    def make_controls(self, packages, same_ns, cross_ns, local_ns, levels, meeting, walks):
        """See the class."""
        return {
            "packages": choice("packages", packages, PACKAGES, "Machine:", "18em"),
            "same_ns": slider("same_ns", same_ns, 5, 400, "A line's way in the package, ns:"),
            "cross_ns": slider("cross_ns", cross_ns, 5, 400, "To the other package, ns:"),
            "local_ns": slider("local_ns", local_ns, 1, 40, "An atomic on one's own line, ns:"),
            "levels": slider("levels", levels, 2, 9, "Counters up to the root:"),
            "meeting": choice("meeting", meeting, self.meetings, "A CPU charges and gives back:", "24em"),
            "walks": choice("walks", walks, self.paths, "After giving back:", "34em"),
        }

    def rows(self):
        """See the base."""
        wrap = W.Layout(flex_flow="row wrap")
        return [
            W.HBox([self.controls[name] for name in ("packages", "meeting", "walks")], layout=wrap),
            W.HBox([self.controls[name] for name in ("same_ns", "cross_ns")], layout=wrap),
            W.HBox([self.controls[name] for name in ("local_ns", "levels")], layout=wrap),
        ]

    def compute(self, settings):
        """See the base."""
        values = {**settings, "packages": PACKAGES[settings["packages"]], "walks": WALKS[settings["walks"]]}
        return Result(settings, *answer(**values))

    def sentence(self, result=None):
        """What was fitted, and what the listing says to the rest."""
        result = result or self.result
        return cost_words(result.top, result.explained)

    def table(self, result=None):
        """Published and simulated shares of the modelled functions."""
        explained = (result or self.result).explained
        return explained[explained["reading"] != "not known"].set_index("symbol").round(2)

    def figure(self, result=None):
        """The two listings beside each other."""
        return figures.listing_beside((result or self.result).explained)

    def picture_html(self, result):
        """The two listings as plain bars, drawn in a millisecond."""
        return bars(result.explained)


def cost_words(top, explained):
    """What one fitted host says of the listing."""
    rows = {row.symbol: row for row in explained.itertuples()}
    parts = [
        f"{count(top.host.levels, 'counter')} on {top.host.cpus} CPUs, {top.host.meeting}: fitted to "
        f"page_counter_cancel {top.measured} %; that makes {top.uncharges_per_second / 1e6:.2f} million uncharges a "
        "second"
    ]
    for symbol in ("__sk_mem_reduce_allocated", "tcp_delack_timer_handler"):
        row = rows.get(symbol)
        if row is not None:
            parts.append(
                f"{symbol} would be {row.model_before:.2f} % before and {row.model_after:.2f} % after: {row.reading}"
            )
    return "; ".join(parts) + "."


def slider(name, value, low, high, description):
    """A slider for whole numbers; ValueError if the value is not in the range."""
    return W.IntSlider(
        value=whole_number(name, value, low, high),
        min=low,
        max=high,
        description=description,
        style=WIDE,
        layout=W.Layout(width="32em"),
        continuous_update=False,
    )


def bars(explained):
    """Published and simulated shares as HTML bars."""
    cells = ["<th>function</th><th>before, percent of samples</th><th>after, percent of samples</th><th>reading</th>"]
    for row in explained[explained["symbol"].isin(MODELLED)].itertuples():
        pairs = []
        for when, published, model, floor in (
            ("before", row.published_before, row.model_before, 0.54),
            ("after", row.published_after, row.model_after, 0.57),
        ):
            listed = published == published  # not NaN
            told = f"{published:.2f} published" if listed else f"not listed, &lt; {floor}"
            pairs.append(
                _bar(published if listed else 0, "#bbbbbb", told) + _bar(model, _COLOR[when], f"{model:.2f} model")
            )
        cells.append(
            f'<th scope="row" style="text-align:left">{html.escape(row.symbol)}</th>'
            f"<td>{pairs[0]}</td><td>{pairs[1]}</td><td>{row.reading}</td>"
        )
    rows = "".join(f"<tr>{cell}</tr>" for cell in cells)
    return f'<table style="width:720px;font-size:13px;text-align:left;background:#fff;color:#222">{rows}</table>'


_COLOR = {"before": "#D55E00", "after": "#0072B2"}
_PIXELS = 45  # of one percent
_WIDEST = 4.5  # percent; longer bars are cut and say so


def _bar(percent, color, told):
    cut = min(percent, _WIDEST)
    return (
        f'<div style="white-space:nowrap;line-height:17px"><span style="display:inline-block;height:11px;'
        f'width:{cut * _PIXELS:.0f}px;background:{color};border:1px solid #333"></span> {told}'
        f"{' (bar cut)' if percent > cut else ''}</div>"
    )
