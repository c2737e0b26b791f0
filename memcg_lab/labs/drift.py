"""The drift lab: how far the counter is ahead of what is in use, and what bounds that."""

import functools

import numpy as np
import pandas as pd

from .. import figures
from .. import words as text
from ..mechanism.policy import UNCHARGE_ONLY, V4_13, V4_14
from ..mechanism.records import CHARGE_SKMEM, PAGE_SIZE, UNCHARGE_SKMEM
from ..workload import bulk, draws, mixed, pairs, skmem
from .stage.data import listed
from .staged import Machine, StageLab, Traffic, Whole

CPUS_MAX, CPUS_SHOWN = 64, 8  # the stage has room for so many
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


STREAMS = {
    "small calls on every CPU": lambda cpus, leaf: mixed(OPERATIONS, cpus=cpus, memcgs=[leaf], in_flight=96, seed=5),
    "one CPU charges, any CPU gives back": _spread,
    "bulk, given back by the last CPU in large lumps": (
        lambda cpus, leaf: bulk(OPERATIONS // 9, memcg=leaf, timer_cpu=cpus - 1, seed=5)
    ),
    "every CPU in turn fills its stock": _fill,
}


@functools.cache
def rows(traffic, cpus):
    """The operations of a traffic on so many CPUs, as the stage takes them."""
    return listed(STREAMS[traffic](cpus, 1))


class DriftLab(StageLab):
    """Usage minus what is in use, operation by operation, with and without the cap of the patch.

    Parameters
    ----------
    cpus : int
        1 to 64; the stage shows up to 8, the picture all.
    depth : int
        Levels below the root, 1 to 5.
    cap : bool
        Whether the first hunk of the patch is there.
    traffic : str
        One of ``DriftLab.traffics``.
    fork, own : int, str
        Operations of the traffic before the reader's own, and those; see ``PatchLab``.
    at_ns : int, optional
        Let all CPUs run at once; see ``PatchLab``.

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

    machines = (
        Machine("Before", "Before the patch", "Linux 4.13", V4_13, when="before the patch"),
        Machine("After", "After the patch", "Linux 4.14", V4_14, when="after it"),
        Machine(
            "After, without the cap",
            "After, without the cap",
            "4.13 + uncharge",
            UNCHARGE_ONLY,
            "no cap",
            "after it, without the cap",
        ),
    )
    sides = (0,), (1, 2)
    choice = "cap", (True, False)
    numbers = (
        Whole("cpus", "c", "CPUs", 1, CPUS_MAX),
        Whole("depth", "d", "Levels below the root", 1, 5),
    )
    fixed = {"cgroups": 1}
    traffic = {name: Traffic(1, None) for name in STREAMS}
    traffics = tuple(traffic)
    chart = {
        "value": "ahead",
        "label": "pages ahead of what is in use",
        "short": "pages ahead",
        "bound": {"pages": V4_14.batch, "per": "cpus", "name": "bound"},
    }
    title = "How far the counter is ahead, on two machines"
    quests = (
        {
            "name": "bound",
            "ask": "Bring the counter ahead by CPUs \u00d7 32 pages.",
            "found": "{pages} ahead after the patch: every stock is full.",
        },
        {
            "name": "beyond",
            "ask": "Without the cap, go beyond that bound.",
            "found": "{pages} ahead, and nothing stops it.",
        },
        {
            "name": "settled",
            "ask": "Give everything back, so that the counter is exact again.",
            "found": "After {operations} the counter says what is in use, on the right machine.",
        },
    )

    def __init__(
        self, *, cpus=4, depth=2, cap=True, traffic="one CPU charges, any CPU gives back", fork=0, own="", at_ns=None
    ):
        super().__init__(cpus=cpus, depth=depth, cap=cap, traffic=traffic, fork=fork, own=own, at_ns=at_ns)

    def given(self, settings):
        """See the base."""
        return rows(settings["traffic"], settings["cpus"])

    def data(self):
        """See the base."""
        shown = range(1, CPUS_SHOWN + 1)
        told = super().data()
        told["numbers"] = [number | {"high": min(number["high"], CPUS_SHOWN)} for number in told["numbers"]]
        told["traffic"] = {name: {"cgroups": 1, "ops": {cpus: rows(name, cpus) for cpus in shown}} for name in STREAMS}
        return told

    def drift(self, result):
        """For each machine what each level is ahead of what is in use, after each operation."""
        return [past.usage - past.sock[:, result.first, None] for past in result.pasts]

    def _labels(self, result):
        return ["before", "after" if result.settings["cap"] else "after, without the cap"]

    def sentence(self, result=None):
        """The largest drift and its bound."""
        result = result or self.result
        if result.once:
            return super().sentence(result)
        before, now = self.drift(result)
        peak, earlier = int(now[:, -1].max()), int(before[:, -1].max())
        cpus, depth, cap = (result.settings[name] for name in ("cpus", "depth", "cap"))
        bound = cpus * V4_14.batch
        rules = "after the patch" if cap else "after the patch without its cap"
        if peak > bound:
            verdict = f"and is exceeded by a factor of {text.number(peak / bound, 2)}"
        else:
            verdict = "and is reached" if peak == bound else "and is not reached"
        same = ", at every level the same" if len(set(now.max(axis=0).tolist())) == 1 else ""
        return (
            f"{text.count(cpus, 'CPU')}, depth {depth}, {rules}: the counter is up to {_amount(peak)} "
            f"ahead of what is in use{same}. The bound, CPUs × {V4_14.batch}, is "
            f"{_amount(bound)} {verdict}. Before the patch it was up to {_amount(earlier)}."
        )

    def table(self, result=None):
        """The largest drift at each level, at the end, and what it cost, under both rules."""
        result = result or self.result
        if result.once:
            return super().table(result)
        columns = {}
        for label, past, ahead in zip(self._labels(result), result.pasts, self.drift(result), strict=True):
            leaf = ahead[:, -1]
            column = {"largest drift, pages": int(leaf.max())}
            column["largest drift, KiB"] = column["largest drift, pages"] * PAGE_SIZE // 1024
            column["drift at the end, pages"] = int(leaf[-1])
            for level in range(len(result.names) - 1, -1, -1):
                column[f"largest drift of {result.names[level]}, pages"] = int(ahead[:, level].max())
            column["bound, pages"] = result.settings["cpus"] * V4_14.batch
            column["fullest stock at the peak, pages"] = int(past.stock_pages[int(leaf.argmax())].max())
            column["atomics"] = int(past.total[-1])
            columns[label] = column
        return pd.DataFrame(columns).rename_axis("over the whole traffic")

    def figure(self, result=None):
        """The drift under both rules, operation by operation, with the bound."""
        result = result or self.result
        if result.once:
            return super().figure(result)
        series = {label: ahead[:, -1] for label, ahead in zip(self._labels(result), self.drift(result), strict=True)}
        return figures.pages_over_ops(series, "ahead", bound=result.settings["cpus"] * V4_14.batch)


def _amount(pages):
    return f"{text.count(pages, 'page')} ({text.number(pages * PAGE_SIZE // 1024)} KiB)"
