"""The patch lab: one traffic, before and after the patch, in lockstep, one operation at a time."""

import numpy as np

from .. import figures
from ..mechanism.policy import CAP_ONLY, UNCHARGE_ONLY, V4_13, V4_14
from ..system import op
from ..workload import alternating, bursts, mixed, pingpong, producer_consumer
from .stage.data import LETTERS, listed
from .staged import Machine, StageLab, Traffic, Whole

PAIRS = 200  # a charge and a return each


def _on_their_way(pairs, pages):
    """The same charges and give-backs, each give-back so many charges later: a socket holds something meanwhile."""
    up, down = pairs[0::2], pairs[1::2]
    middle = np.stack([up[pages:], down[:-pages]], axis=1).ravel()
    return np.concatenate([up[:pages], middle, down[-pages:]])


def _limited(memcg):
    """A limit of 48 pages: two CPUs fill their stocks, charges are forced in, and a lower limit drains the stocks."""

    def some(name, cpu, times):
        return np.tile(op(name, cpu=cpu, memcg=memcg, nr=4), times)

    return np.concatenate(
        [
            op("set_max", cpu=0, memcg=memcg, nr=48, ctx="task"),
            *(some("charge_skmem", cpu, 1) for _ in range(8) for cpu in (0, 1)),
            *(some("uncharge_skmem", cpu, 1) for _ in range(6) for cpu in (0, 1)),
            op("set_max", cpu=1, memcg=memcg, nr=24, ctx="task"),
            *(some("charge_skmem", cpu, 1) for _ in range(3) for cpu in (0, 1)),
            *(some("uncharge_skmem", cpu, 1) for _ in range(5) for cpu in (0, 1)),
        ]
    )


STREAMS = {
    "ten pages are on their way": (1, _on_their_way(producer_consumer(90, memcg=1), 10)),
    "one CPU charges and gives back": (1, pingpong(PAIRS, memcg=1)),
    "one CPU charges, another gives back": (1, producer_consumer(PAIRS, memcg=1)),
    "two cgroups take turns on one CPU": (2, alternating(PAIRS, memcgs=(1, 2))),
    "33 pages at a time": (1, producer_consumer(PAIRS, memcg=1, nr_pages=33)),
    "a burst, then everything comes back": (1, bursts(1, burst=PAIRS, memcg=1)),
    "a mixture": (2, mixed(200, cpus=2, memcgs=[1, 2], in_flight=12, seed=7)),
    "a limit is met": (1, _limited(memcg=1)),
}


class PatchLab(StageLab):
    """One traffic on two machines, before and after the patch: step through it, forwards and back, or make your own.

    Parameters
    ----------
    traffic : str
        One of ``PatchLab.traffics``.
    depth : int
        Levels below the root, 1 to 5.
    cgroups : int
        Leaves below the last level, 1 to 8; the traffic uses one or two.
    cpus : int
        2 to 8; the traffic uses the first two.
    machine : {"After", "Hunk 1 alone", "Hunk 2 alone"}
        What stands beside the machine before the patch.
    pictures : int
        2 to 4 machines at once; the third and the fourth are those that ``machine`` does not name.
    fork : int
        Operations of the traffic before the reader's own; without ``own`` it counts for nothing.
    own : str
        The reader's own operations, as :func:`memcg_lab.labs.stage.data.unpack` reads them.
    position : int
        Operations executed, from 0 to all of the traffic.
    at_ns : int, optional
        Let all CPUs run at once, each its own operations, on the machine's kernel; the cursor stands at so many
        simulated nanoseconds. By default one operation comes after the other. Up to 1,000 operations, and no change of
        a limit among them.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Examples
    --------
    >>> lab = PatchLab(traffic="one CPU charges, another gives back", depth=2, position=66)
    >>> print(lab.message)
    66 of 400: CPU 1 gives back 1 page of A. Before: straight to the counters, 3 atomics. After: the stock passes 32 \
and is emptied, 3 atomics. So far 105 and 9 atomics.
    """

    machines = (
        Machine("Before", "Before the patch", "Linux 4.13", V4_13, when="before the patch"),
        Machine("After", "After the patch", "Linux 4.14", V4_14, when="after it"),
        Machine("Hunk 1 alone", "Hunk 1 alone: the cap", "4.13 + cap", CAP_ONLY, "", "with hunk 1 alone"),
        Machine(
            "Hunk 2 alone", "Hunk 2 alone: the way back", "4.13 + uncharge", UNCHARGE_ONLY, when="with hunk 2 alone"
        ),
    )
    sides = (0,), (1, 2, 3)
    choice = "machine", ("After", "Hunk 1 alone", "Hunk 2 alone")
    numbers = (
        Whole("depth", "d", "Levels below the root", 1, 5),
        Whole("cgroups", "l", "Cgroups", 1, len(LETTERS)),
        Whole("cpus", "c", "CPUs", 2, 8),
        Whole("pictures", "n", "Machines", 2, 4),
    )
    traffic = {name: Traffic(cgroups, listed(ops)) for name, (cgroups, ops) in STREAMS.items()}
    traffics = tuple(traffic)
    chart = {"value": "atomics", "label": "atomics so far", "short": "atomics so far", "bound": None}
    title = "The patch on stage"
    quests = (
        {
            "name": "part",
            "ask": "Make the first operation in which Before and After part.",
            "found": "Here they part: {operation}, for {before} before and {after} after.",
        },
        {
            "name": "empty",
            "ask": "Bring a stock to exactly 0 while it still knows its owner.",
            "found": "The last page left the stock of CPU {cpu}; {cgroup} stays its owner until something is drained.",
        },
        {
            "name": "dearer",
            "ask": "Find traffic for which the patch costs more than before.",
            "found": "After {operations}: {before} before, {after} after.",
        },
    )

    def __init__(
        self,
        *,
        traffic="one CPU charges, another gives back",
        depth=2,
        cgroups=2,
        cpus=2,
        machine="After",
        pictures=2,
        fork=0,
        own="",
        position=0,
        at_ns=None,
    ):
        super().__init__(
            traffic=traffic,
            depth=depth,
            cgroups=cgroups,
            cpus=cpus,
            machine=machine,
            pictures=pictures,
            fork=fork,
            own=own,
            position=position,
            at_ns=at_ns,
        )

    def figure(self, result=None):
        """Atomics so far on each machine shown, with the cursor."""
        result = result or self.result
        if result.once:
            return super().figure(result)
        labels = [self.machines[i].name.lower() for i in self.shown(result.settings)]
        totals = {label: past.total for label, past in zip(labels, result.pasts, strict=True)}
        return figures.atomics_over_ops(totals, cursor=result.settings["position"])
