"""The cost lab: choose a machine and a call path, and see whether the published listing can come from it."""

import functools
from collections import namedtuple
from itertools import product

from .. import figures
from ..checks import one_of, whole_number
from ..figures.profile_model import MODELLED
from ..files import data_path
from ..machine.cache_lines import V4_13_LAYOUT
from ..machine.topology import DEFAULT, Topology
from ..perf import Host, explain, read_perf, simulate_top
from ..perf.simulate import MEETING
from ..words import count
from .base import Lab

OPERATIONS = 2500  # a run finishes so many; a share is then known to about 3 % of itself
TOLERANCE = 0.02

PACKAGES = {"one package": 1, "two packages": 2}
WALKS = {
    "nobody reads parent": 0,
    "__sk_mem_reduce_allocated reads parent": 1,
    "the timer handler reads it too (v4.13)": 2,
}
RANGES = {"same_ns": (5, 400), "cross_ns": (5, 400), "local_ns": (1, 40), "levels": (2, 9)}
FLOORS = {"before": 0.54, "after": 0.57}  # lowest listed row, percent

# What a page without Python can answer: every combination of these.
GRID = {"same_ns": (20, 45, 90), "cross_ns": (60, 128, 260), "local_ns": (4, 8, 16), "levels": (2, 3, 4, 5, 6, 8)}

FITTED, *PREDICTED = MODELLED  # the sentence tells the rows of all

# The sentences; the front end has no others.
WORDS = {
    "told": (
        "{counters} on the {cpus} CPUs of the chosen machine, {meeting}. Fitted: {fitted} before the patch, measured "
        "{measured} %, the model {model} %, by {uncharges} million uncharges a second. Predicted: {rows}."
    ),
    "row": "{symbol} {before} % before and {after} % after, {reading}",
    "one package": "there is no other package",
}

# How each is recognised is in stage/charts.js under its name.
QUESTS = (
    {
        "name": "all",
        "ask": "Find a machine for which every row is explained.",
        "found": "{counters} on {cpus} CPUs, {meeting}: every row is explained. It is not the only such machine.",
    },
    {
        "name": "only",
        "ask": "Find one that explains page_counter_cancel and nothing else.",
        "found": "{counters} on {cpus} CPUs, {meeting}: the fitted row alone proves nothing.",
    },
    {"name": "refused", "ask": "Find a machine that cannot have 2.13 % at all.", "found": "None: {why}"},
)

Result = namedtuple("Result", "settings top explained")


@functools.cache
def _published():
    return tuple(read_perf(data_path(f"perf/{when}.txt")) for when in ("before", "after"))


@functools.lru_cache(maxsize=256)
def answer(packages, same_ns, cross_ns, local_ns, levels, meeting, walks):
    """Fit one host and explain the listing with it."""
    topology = Topology(
        "The chosen machine", packages, 14, 2, DEFAULT.smt_ns, same_ns, max(cross_ns, same_ns), local_ns
    )
    host = Host(
        topology=topology,
        depth=levels - 1,
        layout=V4_13_LAYOUT.with_words("v4.13", pressure_walks=walks),
        meeting=meeting,
    )
    top = simulate_top(host, ops_wanted=OPERATIONS, tolerance=TOLERANCE)
    return top, explain(top, *_published())


def fitted(settings):
    """What :func:`answer` says of the settings of a lab."""
    return answer(**{**settings, "packages": PACKAGES[settings["packages"]], "walks": WALKS[settings["walks"]]})


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
    are known to a few percent of themselves. A page without Python cannot fit: it has the answers for some values of
    each setting, computed when it was built.

    Examples
    --------
    >>> print(CostLab(levels=5).message.split(".")[0])
    5 counters on the 56 CPUs of the chosen machine, in turn
    """

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

    def check(self, settings):
        """See the base."""
        return {
            "packages": one_of("packages", settings["packages"], PACKAGES),
            **{name: whole_number(name, settings[name], *ends) for name, ends in RANGES.items()},
            "meeting": one_of("meeting", settings["meeting"], self.meetings),
            "walks": one_of("walks", settings["walks"], self.paths),
        }

    def compute(self, settings):
        """See the base."""
        return Result(settings, *fitted(settings))

    def data(self):
        """See the base."""
        rows = self.table().reindex(MODELLED)
        return {
            "low": {name: low for name, (low, _) in RANGES.items()},
            "most": {name: high for name, (_, high) in RANGES.items()},
            "lists": {"packages": list(PACKAGES), "meeting": list(self.meetings), "walks": list(self.paths)},
            "published": {
                symbol: [_listed(rows.loc[symbol, f"published_{when}"]) for when in FLOORS] for symbol in MODELLED
            },
            "floors": FLOORS,
            "fitted": FITTED,
            "predicted": PREDICTED,
            "quests": QUESTS,
            "words": WORDS,
            "grid": None,
        }

    def answer(self, question):
        """What the front end asks: the fit for some settings."""
        settings = self.check({name: question[name] for name in self.settings()})
        return told(*fitted(settings))

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


def _listed(share):
    return None if share != share else float(share)  # NaN: not listed


def told(top, explained):
    """One fit as the front end reads it: what was fitted, and of each modelled function its shares and the reading.

    The numbers are texts: rounded once, here, as the sentence has them.
    """
    rows = {row.symbol: row for row in explained.itertuples()}
    return {
        "cpus": top.host.cpus,
        "measured": str(top.measured),
        "uncharges": f"{top.uncharges_per_second / 1e6:.2f}",
        "rows": [
            [symbol, f"{rows[symbol].model_before:.2f}", f"{rows[symbol].model_after:.2f}", rows[symbol].reading]
            for symbol in MODELLED
            if symbol in rows
        ],
    }


def grid(progress=None):
    """The answers that a page without Python has: for each combination of ``GRID`` and of the lists, in their order.

    Returns
    -------
    dict
        ``values``: what each setting may be; ``answers``: :func:`told` for each combination, the last setting fastest.
        Where no rate gives the fitted share there is ``{"refused": sentence}``.
    """
    values = {"packages": list(PACKAGES), **GRID, "meeting": list(MEETING), "walks": list(WALKS)}
    answers = []
    combinations = list(product(*values.values()))
    for chosen in combinations if progress is None else progress(combinations):
        settings = dict(zip(values, chosen))
        if settings["packages"] == "one package":
            settings["cross_ns"] = settings["same_ns"]  # there is no other package: one answer for all
        try:
            answers.append(told(*fitted(settings)))
        except ValueError as error:
            answers.append({"refused": str(error)})
    return {"values": values, "answers": answers}


def cost_words(top, explained):
    """What one fitted host says of the listing."""
    here = told(top, explained)
    counters = count(top.host.levels, "counter")
    rows = [
        WORDS["row"].format(symbol=symbol, before=before, after=after, reading=reading)
        for symbol, before, after, reading in here["rows"]
        if symbol in PREDICTED
    ]
    filled = {**here, "rows": "; ".join(rows), "fitted": FITTED, "model": dict(row[:2] for row in here["rows"])[FITTED]}
    return WORDS["told"].format(**filled, counters=counters, meeting=top.host.meeting)
