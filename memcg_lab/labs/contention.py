"""The contention lab: throughput over CPUs and the profile at one of them, before and after the patch."""

import base64
import functools
from collections import namedtuple

import numpy as np
import pandas as pd

from .. import figures
from ..checks import one_of, whole_number
from ..machine.cache_lines import FUNCTIONS, LAYOUTS, OTHER, V6_1_LAYOUT
from ..machine.run import simulate
from ..machine.topology import Topology
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_SKMEM, UNCHARGE_SKMEM
from ..system import System
from ..words import count, number
from ..workload import draws, skmem
from .base import Lab

CPUS_MAX = 256
CURVE = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # CPUs that the curve is simulated at
DEPTH_MAX = 8
THINK_MIN, THINK_MAX = 500, 100_000  # ns; far below lies the tight loop, a regime of its own
ROUNDS = 16  # operations of a CPU in one simulation if every line on its way is crowded; free lines allow more
OPS_WANTED = 2000  # of all CPUs together; few CPUs get more rounds
WARM_UP = 0.25
AGE, AGE_SEED = 256, 11  # operations a CPU may have behind it when the simulation begins
LOTS, LOTS_SEED = 256, 7  # operations of a CPU in random order before its stream begins again
HELD = 1 << 20  # pages in use when the simulation begins, so that there is something to give back
FUNCTIONS_SHOWN = 6

MACHINE = Topology.named("2x EPYC 7742")  # a real machine of 256 CPUs
POLICIES = {"before": V4_13, "after": V4_14}

Traffic = namedtuple("Traffic", "leaves rows alone", defaults=(None, None))
Traffic.__doc__ = "Leaves of the tree, and what the CPUs do."


# Name in the list -> leaves below the last level, and what each CPU does again and again: operation and leaf a turn.
# The CPUs take the rows in turn; `alone` is for a CPU that has no other. Without rows each turn is drawn by lot.
_CHARGE, _BACK = (CHARGE_SKMEM, 0), (UNCHARGE_SKMEM, 0)
TRAFFIC = {
    "every CPU charges and gives back in turn": Traffic(1, [[_CHARGE, _BACK]]),
    "every CPU charges and gives back in random order": Traffic(1),
    "every second CPU charges, the others give back": Traffic(1, [[_CHARGE], [_BACK]], alone=[[_CHARGE, _BACK]]),
    "two cgroups take turns on every CPU": Traffic(2, [[_CHARGE, (CHARGE_SKMEM, 1), _BACK, (UNCHARGE_SKMEM, 1)]]),
}
LAYOUT = {
    "v4.13: all words of a counter on one line": LAYOUTS["v4.13"],
    "v5.12: parent on a second line": LAYOUTS["v5.12"],
    "v6.1: the count alone on its line": V6_1_LAYOUT,
    "v6.1, and no counter that all sockets share": V6_1_LAYOUT.with_words(
        "v6.1, protocol counter per CPU", memory_allocated=False
    ),
}

# How each is recognised is in stage/charts.js under its name.
FITTED, PUBLISHED = "page_counter_cancel", 2.13  # percent of samples before the patch, as the commit lists it
QUESTS = (
    {
        "name": "gain",
        "ask": "Find a setting in which the patch gets more than 10 times as much done.",
        "found": "{gain} with {cpus}.",
    },
    {
        "name": "wall",
        "ask": "Find the wall behind the wall: more than 100 CPUs at memory_allocated after the patch.",
        "found": "{there} CPUs at memory_allocated: the patch took away one wall of two.",
    },
    {
        "name": "commit",
        "ask": f"Bring {FITTED} to {PUBLISHED} % before the patch, as the commit has it.",
        "found": "{share} % with {cpus} and {think} ns between two operations. Other settings do it too.",
    },
)

Point = namedtuple("Point", "throughput stalled shares busiest")
Point.__doc__ = "One simulation: operations in a microsecond, percent of waiting, percent by function, busiest line."
Result = namedtuple("Result", "cpus depth traffic counter_layout think_ns curve before after")

# The sentences; the front end has no others.
WORDS = {
    "told": (
        "{cpus}, depth {depth}: {before} operations in a microsecond before the patch, {after} after it, {gain}. "
        "Busiest line before: {busiest_before}; after: {busiest_after}. All of it is predicted, nothing fitted."
    ),
    "line": "the line of {owner} with its {word}",
    "crowd": "{line}, with {there} at it",
    "idle": "{line}, with a CPU at it hardly ever",
    "nothing": "none",
    "as many": "the same within half a percent",
    "from none": "from none",
    "times": "{ratio} times as many",
    "failed": "That did not work: {why}",
    "picture": "Line chart, operations in a microsecond over 1 to 256 CPUs on a logarithmic axis: {lines}.",
    "curve": "{label} goes from {first} to {last}",
    "peak": "{curve}, with {high} at {place} the highest",
}


def _turns(cpus, traffic):
    """What each CPU does in each of its turns: operation and leaf, int64 [cpu, turn, 2]."""
    _, rows, alone = TRAFFIC[traffic]
    if not rows:
        lots = draws(LOTS_SEED, cpus * LOTS, 2).reshape(cpus, LOTS)
        return np.stack([np.where(lots, CHARGE_SKMEM, UNCHARGE_SKMEM), np.zeros_like(lots)], axis=2)
    rows = alone if cpus == 1 and alone else rows
    return np.array(rows)[np.arange(cpus) % len(rows)]


def _ages(cpus):
    """Operations that each CPU has behind it."""
    return draws(AGE_SEED, cpus, AGE + 1)


@functools.lru_cache(maxsize=256)
def _aged(policy, cpus, depth, traffic):
    """A system whose CPUs have each done another number of operations already, and the stream they go on with.

    Without this all stocks would be empty at the same time, and so short a simulation would see nothing else.
    """
    leaves, turns = TRAFFIC[traffic].leaves, _turns(cpus, traffic)
    system = System([*range(-1, depth - 1), *[depth - 1] * leaves], cpus=cpus, policy=policy)
    every = turns.shape[1]
    kinds, leaf = turns.reshape(-1, 2).T
    ops = skmem(kinds, kinds.size, cpu=np.repeat(np.arange(cpus), every), memcg=depth + leaf, nr_pages=1)
    for memcg in range(depth, depth + leaves):
        system.charge_skmem(cpu=0, memcg=memcg, nr_pages=HELD)
    behind = np.arange(AGE) < _ages(cpus)[:, None]  # [cpu, operation]
    system.replay(ops[(np.arange(cpus)[:, None] * every + np.arange(AGE) % every)[behind]])
    return system, ops


@functools.lru_cache(maxsize=4096)
def point(policy, cpus, depth, traffic, layout, think_ns):
    """Simulate one number of CPUs under one policy.

    Parameters
    ----------
    policy : Policy
    cpus, depth : int
    traffic, layout : str
        A key of ``TRAFFIC`` and of ``LAYOUT``.
    think_ns : int

    Returns
    -------
    Point
    """
    system, ops = _aged(policy, cpus, depth, traffic)
    crowded_ns = cpus * MACHINE.mean_transfer_ns(min(cpus, MACHINE.cpus)) * (1 + LAYOUT[layout].memory_allocated) / 2
    run = simulate(
        system,
        ops,
        think_ns=think_ns,
        topology=MACHINE,
        layout=LAYOUT[layout],
        duration_ns=max(ROUNDS, OPS_WANTED / cpus) * (think_ns + crowded_ns),
        warm_up=WARM_UP,
    )
    shares = tuple((name, run.share(name)) for name, booked in zip(FUNCTIONS, run.booked_ns) if booked.any())
    queues = run.queue_lengths
    line = int(queues.argmax())
    return Point(
        run.throughput,
        100 * run.stalled,
        shares,
        (_line(run.lines[line]) if queues[line] else WORDS["nothing"], float(queues[line])),
    )


def curve(depth, traffic, layout, think_ns):
    """Before and after at every number of CPUs of the curve: a list of :class:`Point` for each."""
    return {
        name: [point(policy, cpus, depth, traffic, layout, think_ns) for cpus in CURVE]
        for name, policy in POLICIES.items()
    }


class ContentionLab(Lab):
    """How much a host gets done with 1 to 256 CPUs, before and after the patch, and where its time goes.

    The curve is simulated at nine numbers of CPUs, the profile at the chosen one. What was simulated once is kept.

    Parameters
    ----------
    cpus : int
        1 to 256.
    depth : int
        Levels below the root, 1 to 8.
    traffic : str
        One of ``ContentionLab.traffics``.
    counter_layout : str
        One of ``ContentionLab.layouts``: which words of a page counter share a cache line.
    think_ns : int
        Mean time of a CPU between two operations; 500 to 100,000.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Notes
    -----
    The machine is ``2x EPYC 7742``: 2 sockets with 64 cores of 2 threads. Its line transfers were measured by others;
    see ``memcg_lab.machine.TOPOLOGIES``.

    So that a move takes less than 50 ms of CPU time, each simulation is short: 16 rounds of every CPU where lines are
    crowded, 2,000 operations at least, with stocks that are in use already. Of 896 settings tried, the throughput of 95
    in 100 was within 4 % of a run 4.5 to 10 times as long; the worst was off by 24 %, with 128 CPUs and 500 ns of think
    time. In crowded runs the split between functions settles later than the throughput.

    The lab opens where the patch matters: 128 CPUs, 2 us between two operations, and nothing else that all CPUs want.
    That layout is younger than the patch. With the one of v4.13, ``memory_allocated`` is the wall before and after, and
    the patch gains 1.0 to 1.3, whatever the number of CPUs.

    Examples
    --------
    >>> ContentionLab(cpus=1000)
    Traceback (most recent call last):
    ValueError: cpus is 1000; it must be a whole number from 1 to 256.
    """

    traffics = tuple(TRAFFIC)
    layouts = tuple(LAYOUT)

    def __init__(
        self,
        *,
        cpus=128,
        depth=3,
        traffic="every second CPU charges, the others give back",
        counter_layout="v6.1, and no counter that all sockets share",
        think_ns=2_000,
    ):
        super().__init__(cpus=cpus, depth=depth, traffic=traffic, counter_layout=counter_layout, think_ns=think_ns)

    def check(self, settings):
        """See the base."""
        return {
            "cpus": whole_number("cpus", settings["cpus"], 1, CPUS_MAX),
            "depth": whole_number("depth", settings["depth"], 1, DEPTH_MAX),
            "traffic": one_of("traffic", settings["traffic"], self.traffics),
            "counter_layout": one_of("counter_layout", settings["counter_layout"], self.layouts),
            "think_ns": whole_number("think_ns", settings["think_ns"], THINK_MIN, THINK_MAX),
        }

    def compute(self, settings):
        """See the base."""
        shape = [settings[name] for name in ("depth", "traffic", "counter_layout", "think_ns")]
        here = {name: point(policy, settings["cpus"], *shape) for name, policy in POLICIES.items()}
        return Result(**settings, curve=curve(*shape), **here)

    def data(self):
        """See the base: how the simulations are set up, for a front end that has the machine's kernel."""
        return set_up()

    def answer(self, question):
        """What the front end asks where it has no kernel: the chosen point, or the curve, of some settings."""
        settings = self.check({name: question[name] for name in self.settings()})
        part, shape = question["part"], [settings[name] for name in ("depth", "traffic", "counter_layout", "think_ns")]
        if one_of("part", part, ("point", "curve")) == "point":
            return {name: _told(point(policy, settings["cpus"], *shape)) for name, policy in POLICIES.items()}
        return {name: [_told(here) for here in points] for name, points in curve(*shape).items()}

    def sentence(self, result=None):
        """Throughput before and after, and the busiest line of each."""
        result = result or self.result
        before, after = result.before, result.after
        lines = [before.busiest, after.busiest]
        return contention_words(result.cpus, result.depth, before.throughput, after.throughput, lines)

    def table(self, result=None):
        """Throughput, waiting, and percent of all CPU time by function at the chosen number of CPUs."""
        result = result or self.result
        columns = {}
        for name in POLICIES:
            here = getattr(result, name)
            columns[name] = {
                "operations in a microsecond": here.throughput,
                "waiting for lines, percent of all CPU time": here.stalled,
                "CPUs at the busiest line": here.busiest[1],
                **{f"{function}, percent": share for function, share in here.shares},
            }
        table = pd.DataFrame(columns).fillna(0.0)
        return table.rename_axis(f"with {count(result.cpus, 'CPU')}")

    def figure(self, result=None):
        """Throughput over CPUs under both rules."""
        result = result or self.result
        series = {name: [here.throughput for here in points] for name, points in result.curve.items()}
        return figures.throughput_over("CPUs", CURVE, series)


def _told(here):
    """A point as the front end reads it."""
    return {**here._asdict(), "shares": [list(share) for share in here.shares], "busiest": list(here.busiest)}


@functools.cache
def set_up():
    """Everything a front end needs to simulate a :func:`point` with the machine's kernel, as plain data."""
    bases = {
        label: next(name for name, known in LAYOUTS.items() if known == layout.with_words(name, memory_allocated=True))
        for label, layout in LAYOUT.items()
    }
    lots = draws(LOTS_SEED, CPUS_MAX * LOTS, 2).astype(np.uint8)
    return {
        "low": {"cpus": 1, "depth": 1, "think_ns": THINK_MIN},
        "most": {"cpus": CPUS_MAX, "depth": DEPTH_MAX, "think_ns": THINK_MAX},
        "policies": {name: policy.name for name, policy in POLICIES.items()},
        "traffics": {name: traffic._asdict() for name, traffic in TRAFFIC.items()},
        "layouts": {
            label: {"like": bases[label], "allocated": int(layout.memory_allocated)} for label, layout in LAYOUT.items()
        },
        "curve": list(CURVE),
        "machine": MACHINE.name,
        "transfer_ns": [0.0, *(MACHINE.mean_transfer_ns(cpus) for cpus in range(1, CPUS_MAX + 1))],
        "rounds": ROUNDS,
        "ops_wanted": OPS_WANTED,
        "warm_up": WARM_UP,
        "held": HELD,
        "ages": _ages(CPUS_MAX).tolist(),
        "lots_each": LOTS,
        "lots": base64.b64encode(np.packbits(lots, bitorder="little").tobytes()).decode(),
        "functions_shown": FUNCTIONS_SHOWN,
        "other": OTHER,
        "fitted": FITTED,
        "published": PUBLISHED,
        "quests": QUESTS,
        "words": WORDS,
    }


def contention_words(cpus, depth, before, after, lines):
    """The status line of the contention lab.

    Parameters
    ----------
    cpus, depth : int
    before, after : float
        Operations in a microsecond.
    lines : list of (str, float)
        The busiest line before and after, and the mean number of CPUs at it, waiting or being served.

    Examples
    --------
    >>> contention_words(1, 2, 0.5, 0.5, [("memory_allocated", 0.25)] * 2)
    '1 CPU, depth 2: 0.5 operations in a microsecond before the patch, 0.5 after it, the same within half a percent. \
Busiest line before: memory_allocated, with 0.25 CPUs at it; after: memory_allocated, with 0.25 CPUs at it. All of \
it is predicted, nothing fitted.'
    """
    crowds = [_crowd(line, there) for line, there in lines]
    return WORDS["told"].format(
        cpus=count(cpus, "CPU"),
        depth=depth,
        before=number(before),
        after=number(after),
        gain=gain(before, after),
        busiest_before=crowds[0],
        busiest_after=crowds[1],
    )


def gain(before, after):
    """How many times as many, in words; less than half a percent is no difference.

    Examples
    --------
    >>> gain(2.0, 3.0), gain(2.0, 2.005), gain(0.0, 1.0)
    ('1.5 times as many', 'the same within half a percent', 'from none')
    """
    if not before:
        return WORDS["from none" if after else "as many"]
    ratio = after / before
    if abs(ratio - 1) < 0.005:
        return WORDS["as many"]
    return WORDS["times"].format(ratio=f"{ratio:.2f}".rstrip("0").rstrip("."))


def _crowd(line, there):
    """A line with the mean number of CPUs at it, which is 0 where there is no busiest line."""
    if not there:
        return line
    there = round(there, 2)
    return WORDS["crowd" if there else "idle"].format(line=line, there=count(there, "CPU"))


def _line(name):
    """A line's name short enough for a sentence: whose it is, and of its words the count alone."""
    owner, _, words = name.partition(": ")
    return WORDS["line"].format(owner=owner, word=words.split()[0]) if words else owner
