"""The counter lab: one walk through the tree after the other, with a limit at one level."""

import pandas as pd

from .. import figures
from .. import words as text
from ..mechanism.policy import V4_13
from ..mechanism.records import CANCEL_CHARGE, CHARGE_SKMEM, SOFTIRQ, TASK, TRY_CHARGE
from ..mechanism.steps import COUNTER_ATOMIC
from .staged import Machine, StageLab, Traffic, Whole

OPERATIONS = 32
LIMIT_MAX = 1000  # pages; 32 charges of 40 pages are more, so every limit is met


def _one(code, nr_pages, *, cpu=0, ctx=SOFTIRQ, limits=0):
    """One operation on the leaf, of so many pages and so many limits."""
    return [int(code), cpu, 0, nr_pages, int(ctx), limits]


# More than 32 pages, so that no stock comes between, except where the name says so.
STREAMS = {
    "charges of 40 pages, until somebody refuses": [_one(TRY_CHARGE, 40)] * OPERATIONS,
    "one page above the limit, then exactly the limit": [
        _one(TRY_CHARGE, 1, limits=1),
        _one(TRY_CHARGE, 0, limits=1),
        _one(TRY_CHARGE, 1),
        _one(CANCEL_CHARGE, 0, limits=1),
    ]
    * (OPERATIONS // 4),
    "calls of 20 pages, through the stock": [_one(TRY_CHARGE, 20)] * OPERATIONS,
    "socket charges of 40 pages, which are never turned away": [_one(CHARGE_SKMEM, 40)] * OPERATIONS,
    # CPU 1 charges a socket page and keeps the rest of a batch; a task on CPU 0 wants 40 pages.
    "a task that may wait, beside the stock of another CPU": [
        _one(CHARGE_SKMEM, 1, cpu=1),
        _one(TRY_CHARGE, 40, ctx=TASK),
    ]
    * (OPERATIONS // 2),
}


class CounterLab(StageLab):
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
    fork, own : int, str
        Operations of the traffic before the reader's own, and those; see ``PatchLab``.
    position : int
        Operations executed, 0 to 32.
    at_ns : int, optional
        Let all CPUs run at once; see ``PatchLab``.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Examples
    --------
    >>> print(CounterLab(depth=2, limit=100, limit_level=1, position=1).message)
    1 of 32: CPU 0 charges 101 pages, not socket memory, to A. Refused by level 1, it does not fit, 4 atomics. \
So far 4 atomics.
    """

    machines = (Machine("Counters", "A chain of counters", "Linux 4.13", V4_13),)
    sides = ((0,),)
    numbers = (
        Whole("depth", "d", "Levels below the root", 1, 5),
        Whole("limit", "m", "Limit in pages", 1, LIMIT_MAX),
        Whole("limit_level", "v", "Level with the limit, 0 is the root", 0, 5),
    )
    fixed = {"cgroups": 1, "cpus": 2}
    traffic = {name: Traffic(1, rows) for name, rows in STREAMS.items()}
    traffics = tuple(traffic)
    chart = {
        "value": "leaf",
        "label": "pages counted by A",
        "short": "pages counted",
        "bound": {"setting": "limit", "name": "limit"},
    }
    hand = "try_charge", "cancel_charge", int(TASK)
    lines = False
    jump = "refusal"
    users = "in use", "in use"
    title = "A chain of counters with a limit"
    quests = (
        {
            "name": "exact",
            "ask": "Fill the counter with the limit to exactly its limit.",
            "found": "{cgroup} counts {pages}: one more would be refused.",
        },
        {
            "name": "mark",
            "ask": "Raise a watermark with a charge that nobody got.",
            "found": "{cgroup} saw {pages} for a moment: the watermark stays.",
        },
        {
            "name": "forgiven",
            "ask": "Have a charge refused that fits in the end.",
            "found": "Refused {times} by {cgroup}, and yet it fits: {why}.",
        },
    )

    def __init__(
        self,
        *,
        depth=2,
        limit=100,
        limit_level=1,
        traffic="one page above the limit, then exactly the limit",
        fork=0,
        own="",
        position=1,
        at_ns=None,
    ):
        super().__init__(
            depth=depth,
            limit=limit,
            limit_level=limit_level,
            traffic=traffic,
            fork=fork,
            own=own,
            position=position,
            at_ns=at_ns,
        )

    def table(self, result=None):
        """Every level at the cursor, the leaf first."""
        result = result or self.result
        if result.once:
            return super().table(result)
        (past,), k = result.pasts, result.settings["position"]
        state = past.state(k)
        levels = range(len(result.names) - 1, -1, -1)
        taken = past.steps(k - 1) if k else []
        return pd.DataFrame(
            {
                "count": [state.usage[m] for m in levels],
                "limit": [
                    text.number(result.settings["limit"]) if m == result.settings["limit_level"] else "none"
                    for m in levels
                ],
                "watermark": [state.watermark[m] for m in levels],
                "failcnt": [state.failcnt[m] for m in levels],
                "atomics in this operation": [
                    sum(step.where == m and bool(COUNTER_ATOMIC[step.step]) for step in taken) for m in levels
                ],
            },
            index=pd.Index([result.names[m] for m in levels], name="after the operation at the cursor"),
        )

    def figure(self, result=None):
        """Count and watermark of the leaf, operation by operation, with the limit and the cursor."""
        result = result or self.result
        if result.once:
            return super().figure(result)
        (past,), leaf = result.pasts, len(result.names) - 1
        return figures.pages_over_ops(
            {"watermark of the leaf": past.watermark[:, leaf], "count of the leaf": past.usage[:, leaf]},
            "counted",
            bound=result.settings["limit"],
            bound_name="limit",
            cursor=result.settings["position"],
        )
