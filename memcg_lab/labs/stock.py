"""The stock lab: the drawer of one CPU, one operation at a time."""

import numpy as np

from .. import figures
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_BATCH, CHARGE_SKMEM, SOFTIRQ
from ..mechanism.steps import (
    STEP_CANCEL,
    STEP_CONSUME_HIT,
    STEP_CONSUME_MISS,
    STEP_DRAIN,
    STEP_REFILL,
    STEP_TRY_ADD,
)
from ..workload import alternating, mixed, pingpong
from .stage.data import listed
from .staged import Machine, StageLab, Traffic

OPERATIONS = 100


def _charges(nr_pages):
    return [[int(CHARGE_SKMEM), 0, 0, nr_pages, int(SOFTIRQ)]] * OPERATIONS


STREAMS = {
    "single pages": _charges(1),
    "calls of 20 pages": _charges(20),
    "calls of 33 pages": _charges(33),
    "two cgroups take turns": listed(alternating(OPERATIONS)[:OPERATIONS]),
    "mixed sizes, given back later": listed(mixed(OPERATIONS, cpus=1, memcgs=[1], in_flight=12, seed=3)),
    "charge and give back": listed(pingpong(OPERATIONS // 2)),
}

# What is counted so far, and the steps that say so; a trip is counted at the leaf.
COUNTED = {
    "trips to the counters": (STEP_TRY_ADD, STEP_CANCEL),
    "hits": (STEP_CONSUME_HIT,),
    "misses": (STEP_CONSUME_MISS,),
    "refills": (STEP_REFILL,),
    "drains": (STEP_DRAIN,),
}


class StockLab(StageLab):
    """The stock of one CPU, operation by operation: who owns it, what is found in it, when a trip is made.

    Parameters
    ----------
    traffic : str
        One of ``StockLab.traffics``.
    policy : {"v4.13", "v4.14"}
        Before the patch, or after it.
    fork, own : int, str
        Operations of the traffic before the reader's own, and those; see ``PatchLab``.
    position : int
        Operations executed, 0 to 100.
    at_ns : int, optional
        Let all CPUs run at once; see ``PatchLab``.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Examples
    --------
    >>> lab = StockLab(traffic="single pages", position=33)
    >>> print(lab.message)
    33 of 100: CPU 0 charges 1 page to A. A miss, 2 atomics. So far 4 atomics.
    >>> print(lab.table().loc["hits so far"].item())
    31
    """

    machines = (
        Machine("v4.13", "Before the patch", "Linux 4.13", V4_13),
        Machine("v4.14", "After the patch", "Linux 4.14", V4_14),
    )
    sides = ((0, 1),)
    choice = "policy", ("v4.13", "v4.14")
    numbers = ()
    fixed = {"depth": 1, "cgroups": 2, "cpus": 1}
    traffic = {name: Traffic(2, rows) for name, rows in STREAMS.items()}
    traffics = tuple(traffic)
    chart = {
        "value": "stock",
        "label": "pages in the stock",
        "short": "pages in the stock",
        "bound": {"pages": CHARGE_BATCH, "name": "batch"},
    }
    jump = "trip"
    title = "The stock of one CPU"
    quests = (
        {
            "name": "empty",
            "ask": "Bring the stock to exactly 0 while it still knows its owner.",
            "found": "The last page left; {cgroup} stays the owner until something is drained.",
        },
        {
            "name": "thrown",
            "ask": "Throw pages of one cgroup out of the stock by a call of the other.",
            "found": "{pages} of {cgroup} went back to the counters.",
        },
        {
            "name": "unasked",
            "ask": "Charge so much that the stock is not even looked at.",
            "found": "{pages} are more than a batch: straight to the counters.",
        },
    )

    def __init__(self, *, traffic="single pages", policy="v4.13", fork=0, own="", position=1, at_ns=None):
        super().__init__(traffic=traffic, policy=policy, fork=fork, own=own, position=position, at_ns=at_ns)

    def counted(self, result, k):
        """Trips, hits, misses, refills and drains in the first ``k`` operations."""
        rows = result.pasts[0].log.rows
        rows = rows[rows["op"] < k]
        above = (rows["where"] == 0) & np.isin(rows["step"], COUNTED["trips to the counters"])  # the root's part of it
        return {name: int((np.isin(rows["step"], codes) & ~above).sum()) for name, codes in COUNTED.items()}

    def table(self, result=None):
        """The stock, the counters and the sums at the cursor, one number a row."""
        result = result or self.result
        table = super().table(result)
        if result.once:
            return table
        for name, times in self.counted(result, result.settings["position"]).items():
            table.loc[f"{name} so far"] = times
        return table

    def figure(self, result=None):
        """Pages in the stock, operation by operation, with the cursor."""
        result = result or self.result
        if result.once:
            return super().figure(result)
        return figures.pages_over_ops(
            {result.settings["policy"]: result.pasts[0].stock_pages[:, 0, 0]},
            "in the stock",
            bound=CHARGE_BATCH,
            bound_name="batch",
            cursor=result.settings["position"],
        )
