"""The puzzle lab: both hunks of the patch, put together from shuffled lines and judged by running traffic."""

from collections import namedtuple

import pandas as pd

from .. import figures
from ..checks import flag, shown
from ..words import count, listing
from .base import Lab
from .lines import (
    CHARGE,
    CHARGES,
    CPUS,
    DEPTH,
    LINES,
    PARENTS,
    RETURNS,
    RIGHT,
    SHAPES,
    TESTS,
    Machine,
    golden,
    judge,
)

# What the lab says; its front end (stage/puzzle.js) fills the same templates.
WORDS = {
    "open": "{placed} of {all} have a place. Not every line needs one. When you are done, run it.",
    "right": "Right: it does all that the kernel did in {calls} and in all traffic of up to {depth} of {sizes} pages.",
    "other": "The patch has fewer lines, or another order; what they do is the same.",
    "hanging": "Not yet. {says}",
    "wrong": "Not yet. {says} {traffic}: {difference}.",
    "unnamed": "It does something else than the kernel.",
    "charge": "CPU {cpu} charges {pages} to cgroup {memcg}",
    "back": "CPU {cpu} gives back {pages} of cgroup {memcg}",
    "shortest": "The shortest traffic that shows it: {calls}",
    "stock": "then the stock of CPU {cpu} holds {mine}, in the kernel {right}",
    "held": "{pages} of {owner}",
    "owner": "cgroup {memcg}",
    "nobody": "no cgroup",
    "usage": "then memory.current of cgroup {memcg} is {mine}, in the kernel {right}",
    "css": "then cgroup {memcg} has {mine} references, in the kernel {right}",
    "sock": "then sock of cgroup {memcg} is {mine}, in the kernel {right}",
    "crashed": "then it follows a null pointer: a stock without an owner is drained",
    "refill": "refill_stock(memcg, nr_pages), with interrupts off",
    "refill before": "Another cgroup's pages have been drained, and stock->cached is memcg.",
    "uncharge": "mem_cgroup_uncharge_skmem(memcg, nr_pages)",
    "uncharge before": "The cgroup is one of v2, and not the root.",
    "pool": "Lines without a place",
    "taken": "Taken: {line}. Arrow keys move it, Enter puts it down, Escape puts it back.",
    "at": "{line}: {where}, place {place} of {of}",
    "in pool": "{line}: without a place",
    "put": "Put down. {at}.",
    "nowhere": "Nothing to go to: {way}. {at}.",
    "licence": "The lines of the patch are quotes from Linux, GPL-2.0, commit 475d048; the other lines are ours.",
    "how": "Drag a line, or take it with Enter and move it with the arrow keys. Two clicks do it too: on a line, "
    "then on its new place.",
}
# How each is recognised is in stage/puzzle.js under its name: in what the reader runs, not in what a link brings.
QUESTS = (
    {
        "name": "five",
        "ask": "Run five mistakes of five kinds.",
        "found": "Five kinds of mistakes, each with traffic that betrays it. The fifth: {says}",
    },
    {
        "name": "late",
        "ask": "Run a mistake that no two calls can show.",
        "found": "It shows after {calls}, the last of them: {last}.",
    },
    {
        "name": "other",
        "ask": "Do what the kernel does, but not with the patch's lines in their order.",
        "found": "Nothing that is tried tells these lines from the patch's. refill_stock: {refill} "
        "mem_cgroup_uncharge_skmem: {uncharge}",
    },
)
FIELDS = ("usage", "css", "sock")
COLUMNS = [
    "call",
    "stocks of CPU 0 and 1",
    "memory.current of root, 1, 2",
    "references of root, 1, 2",
    "sock of root, 1, 2",
]

Result = namedtuple("Result", "arrangement ran verdict")


class PuzzleLab(Lab):
    """The patch from its lines: put them into both functions, and run what you built beside the kernel.

    Parameters
    ----------
    refill, uncharge : sequence of str
        Names of lines in their order, of ``PuzzleLab.lines``.
    ran : bool
        Whether what is there has been run.

    Raises
    ------
    ValueError
        If a line does not exist, does not belong there, or stands there twice.

    Examples
    --------
    >>> lab = PuzzleLab(refill=["add", "full", "drain"], uncharge=["sub", "refill"], ran=True)
    >>> print(lab.message)
    Not yet. >= drains a page too early: exactly a batch may stay. The shortest traffic that shows it: CPU 0 charges \
1 page to cgroup 1, CPU 0 gives back 1 page of cgroup 1: then the stock of CPU 0 holds 0 pages of no cgroup, in the \
kernel 32 pages of cgroup 1.
    """

    lines = tuple(LINES)

    def __init__(self, *, refill=(), uncharge=(), ran=False):
        super().__init__(refill=refill, uncharge=uncharge, ran=ran)

    def check(self, settings):
        """See the base."""
        checked = {"ran": flag("ran", settings["ran"])}
        for where in ("refill", "uncharge"):
            names = settings[where]
            if isinstance(names, str) or not isinstance(names, (list, tuple)):
                raise ValueError(f"{where} is {shown(names)}; it must be a list of names of lines.")
            allowed = [name for name, line in LINES.items() if line.where == where]
            for name in names:
                if not isinstance(name, str) or name not in allowed:
                    raise ValueError(f"{shown(name)} is no line of {where}; there are {', '.join(allowed)}.")
            if len(set(names)) < len(names):
                raise ValueError(f"{where} has a line twice; there is one of each.")
            checked[where] = list(names)
        return {name: checked[name] for name in ("refill", "uncharge", "ran")}

    def compute(self, settings):
        """See the base."""
        arrangement = {where: tuple(settings[where]) for where in ("refill", "uncharge")}
        return Result(arrangement, settings["ran"], judge(arrangement) if settings["ran"] else None)

    def data(self):
        """See the base."""
        return {
            "words": WORDS,
            "quests": QUESTS,
            "lines": {name: line._asdict() for name, line in LINES.items()},
            "tests": TESTS,
            "right": RIGHT,
            "parents": PARENTS,
            "cpus": CPUS,
            "charges": CHARGES,
            "returns": RETURNS,
            "depth": DEPTH,
            "shapes": [shape._asdict() for shape in SHAPES],
            "golden": golden(),
            "columns": COLUMNS,
        }

    def sentence(self, result=None):
        """What the run says; before it, how many lines have a place."""
        result = result or self.result
        if not result.ran:
            placed = sum(len(lines) for lines in result.arrangement.values())
            return WORDS["open"].format(placed=placed, all=count(len(LINES), "line"))
        right, shape, calls = result.verdict
        if right:
            told = WORDS["right"].format(
                calls=count(sum(len(run["calls"]) for run in golden()), "golden operation"),
                depth=count(DEPTH, "call"),
                sizes=listing(CHARGES, last="or"),
            )
            return told if result.arrangement == RIGHT else f"{told} {WORDS['other']}"
        says = SHAPES[shape].says if shape >= 0 else WORDS["unnamed"]
        if not calls:
            return WORDS["hanging"].format(says=says)
        traffic = WORDS["shortest"].format(calls=", ".join(_call(call) for call in calls))
        return WORDS["wrong"].format(says=says, traffic=traffic, difference=_difference(*_both(result, calls)))

    def table(self, result=None):
        """The calls that show a difference, or the first golden ones; after each, the state here and in the kernel."""
        result = result or self.result
        rows = []
        mine, kernel = Machine(result.arrangement), Machine(RIGHT)
        for call in _shown(result):
            mine.run(*call)
            kernel.run(*call)
            cells = [_call(call)]
            for field in ("stocks", *FIELDS):
                here, there = (_cell(machine, field) for machine in (mine, kernel))
                cells.append(here if here == there else f"{here} (kernel: {there})")
            rows.append(cells)
        return pd.DataFrame(rows, columns=COLUMNS).set_index("call")

    def figure(self, result=None):
        """Pages in the stocks over the same calls, here and in the kernel."""
        result = result or self.result
        calls = _shown(result)
        series = {}
        for label, arrangement in (("yours", result.arrangement), ("kernel", RIGHT)):
            machine, pages = Machine(arrangement), [0]
            for call in calls:
                machine.run(*call)
                pages.append(sum(machine.pages))
            series[label] = pages
        return figures.pages_over_ops(series, "in the stocks")


def _shown(result):
    """The calls whose states are shown."""
    calls = result.verdict.calls if result.ran else ()
    return calls or tuple(tuple(call) for call in golden()[0]["calls"])


def _call(call):
    kind, cpu, memcg, nr_pages = call
    return WORDS["charge" if kind == CHARGE else "back"].format(cpu=cpu, pages=count(nr_pages, "page"), memcg=memcg)


def _both(result, calls):
    """Both machines after some calls. Those of a golden run may need more CPUs and another tree."""
    run = next((run for run in golden() if [list(call) for call in calls] == run["calls"][: len(calls)]), None)
    parents, cpus = (run["parents"], run["cpus"]) if run and len(calls) > DEPTH else (PARENTS, CPUS)
    machines = [Machine(arrangement, parents, cpus) for arrangement in (result.arrangement, RIGHT)]
    for call in calls:
        for machine in machines:
            machine.run(*call)
    return machines


def _difference(mine, kernel):
    if mine.crashed:
        return WORDS["crashed"]
    for cpu in range(len(mine.pages)):
        here, there = (_held(machine, cpu) for machine in (mine, kernel))
        if here != there:
            return WORDS["stock"].format(cpu=cpu, mine=here, right=there)
    for field in FIELDS:
        for memcg in reversed(range(len(mine.usage))):
            here, there = (getattr(machine, field)[memcg] for machine in (mine, kernel))
            if here != there:
                return WORDS[field].format(memcg=memcg, mine=f"{here:,}", right=f"{there:,}")
    raise AssertionError("both are in the same state")


def _held(machine, cpu):
    owner = machine.owner[cpu]
    told = WORDS["owner"].format(memcg=owner) if owner >= 0 else WORDS["nobody"]
    return WORDS["held"].format(pages=count(machine.pages[cpu], "page"), owner=told)


def _cell(machine, field):
    if machine.crashed:
        return "crashed"
    if field == "stocks":
        return ", ".join(_held(machine, cpu) for cpu in range(len(machine.pages)))
    return ", ".join(f"{n:,}" for n in getattr(machine, field))
