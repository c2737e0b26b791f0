"""All CPUs at once: the operations of a walk as a program for each CPU, run by the machine's kernel in simulated time.

The machine says when each operation begins and when each line is asked for, comes, and is let go. An operation changes
the state when it begins, so the states are those of the same operations one after the other, in that order.
"""

import functools
from collections import namedtuple

import numpy as np
import pandas as pd

from ..forms import record_forms
from ..history import History
from ..machine.cache_lines import BEGIN, LOAD, RMW, STORE, V4_13_LAYOUT
from ..machine.coherence import GAVE_BACK_TOO_MUCH, NO_LINE
from ..machine.run import DURATION_MAX, PS, begun, simulate
from ..machine.topology import DEFAULT
from ..mechanism.records import CANCEL_CHARGE, OPS, op_dtype
from ..system import System
from ..words import listing, number
from .stage import data as stage

MACHINE, LAYOUT = DEFAULT, V4_13_LAYOUT
THINK_NS = 100  # of a CPU between two operations; less than a line's way would be a regime of its own
LONGEST = 1000  # operations
WINDOW_NS = 1500  # what a picture shows around the cursor
EVENTS_MAX = 1 << 20

AtOnce = namedtuple("AtOnce", "history begins over touches ends start end")
AtOnce.__doc__ = """One machine: a History of the operations in the order in which they began, the events of that,
when each was over, the touches of lines, when each CPU was done; the state at first, and the machine's own at
last. In ps."""


@functools.lru_cache(maxsize=64)
def run(policy, tree, limits, ops):
    """Let every CPU begin an operation as soon as its last one is over and it has thought for ``THINK_NS``.

    Parameters
    ----------
    policy : Policy
    tree : (tuple of int, int)
        The parents and the number of CPUs.
    limits : tuple of int or None
    ops : bytes
        Of an array of ``op_dtype``.

    Returns
    -------
    AtOnce

    Raises
    ------
    Stopped
        If a limit is set and a CPU gives back what is not in use yet, or takes too many steps.
    """
    parents, cpus = tree
    ops = np.frombuffer(ops, op_dtype).copy()
    system = System(parents, cpus=cpus, policy=policy, limits=limits)
    found = simulate(
        system,
        ops,
        think_ns=THINK_NS,
        think="fixed",
        topology=MACHINE,
        layout=LAYOUT,
        duration_ns=DURATION_MAX,
        warm_up=0,
        repeat=False,
        record=EVENTS_MAX,
    )
    begins, touches = found.begins, found.events
    programs = np.argsort(ops["cpu"], kind="stable")  # each CPU's operations, one CPU after the other
    first = np.searchsorted(ops["cpu"][programs], np.arange(cpus))
    rows = first[begins["cpu"]] + begins["op"]
    place = np.zeros(len(ops), np.int64)  # of each row, in the order in which operations began
    place[rows] = np.arange(len(rows))
    over = begins["time"].copy()
    np.maximum.at(over, place[first[touches["cpu"]] + touches["op"]], touches["end"])
    over += begins["end"] - begins["start"]
    ends = np.zeros(cpus, np.int64)
    np.maximum.at(ends, begins["cpu"], over)
    at_first = begun(system, ops)
    start = stage.memory(at_first)
    history = History(at_first, ops[programs[rows]])
    return AtOnce(history, begins, over, touches, ends, start, stage.memory(found.system))


def refusal(rows, called):
    """Why operations cannot run at once, before they are tried; "" if they can."""
    if len(rows) > LONGEST:
        return stage.WORDS["once long"].format(n=number(len(rows)), most=number(LONGEST))
    at = next((k for k, row in enumerate(rows) if row["op"] > CANCEL_CHARGE), None)
    if at is None:
        return ""
    allowed = ", ".join(OPS[: CANCEL_CHARGE + 1])
    return stage.WORDS["once only"].format(
        k=number(at + 1), operation=stage.operation(rows[at], called), allowed=allowed
    )


def stopped(error, ops, called):
    """Why a machine stopped, in words."""
    row = ops[ops["cpu"] == error.cpu][error.at]
    word = "once underflow" if error.reason == GAVE_BACK_TOO_MUCH else "once steps"
    return stage.WORDS[word].format(cpu=error.cpu, k=number(error.at + 1), operation=stage.operation(row, called))


def end_ns(runs):
    """When the last CPU of all machines is done, in whole ns."""
    return _ns(max(int(one.ends.max()) for one in runs))


# --- a moment --------------------------------------------------------------------------------------------------------
def began(one, at_ns):
    """Operations that have begun by then: the state is that after so many."""
    return int(np.searchsorted(one.begins["time"], at_ns * PS, side="right"))


def over(one, at_ns):
    """Operations that are over by then."""
    return int((one.over <= at_ns * PS).sum())


def waiting(one, at_ns):
    """The lines that CPUs wait for at that moment, one entry a CPU."""
    t = one.touches
    return t["line"][(t["time"] <= at_ns * PS) & (at_ns * PS < t["start"]) & (t["kind"] != STORE)].tolist()


def spent(one):
    """Time of all CPUs in ps: all of it until each is done, waiting in each line's queue, lines on their way."""
    t = one.touches[one.touches["kind"] != STORE]
    queues = np.zeros(1 + len(one.history.parents), np.int64)
    np.add.at(queues, t["line"], t["start"] - t["time"])
    travel = (t["end"] - t["start"]).sum() - round(MACHINE.local_ns * PS) * (t["kind"] == RMW).sum()
    return int(one.ends.sum()), queues.tolist(), int(travel)


def bars(one, called):
    """What each CPU does: a DataFrame of CPU, what, line, and from when to when in ns; a CPU in no row thinks.

    ``what`` is ``"waits"`` in a line's queue, ``"fetches"`` a line on its way, or ``"works"`` on it or on its own.
    """
    t, b = one.touches[one.touches["kind"] != STORE], one.begins
    comes = np.where(t["kind"] == RMW, t["end"] - round(MACHINE.local_ns * PS), t["end"])
    parts = [
        ("waits", t["cpu"], t["line"], t["time"], t["start"]),
        ("fetches", t["cpu"], t["line"], t["start"], comes),
        ("works", t["cpu"], t["line"], comes, t["end"]),
        ("works", b["cpu"], np.full(len(b), NO_LINE), one.over - (b["end"] - b["start"]), one.over),
    ]
    names = np.array(["own", *(line_name(line, called) for line in range(1 + len(called)))])
    frames = [
        pd.DataFrame({"cpu": cpu, "what": what, "line": names[1 + line], "from_ns": begin / PS, "to_ns": end / PS})
        for what, cpu, line, begin, end in parts
    ]
    found = pd.concat(frames)
    found = found[found["to_ns"] > found["from_ns"]]
    return found.sort_values(["cpu", "from_ns"], kind="stable").reset_index(drop=True)


# --- words -----------------------------------------------------------------------------------------------------------
def line_name(line, called):
    """Whose line that is."""
    return stage.WORDS["once protocol"] if line == 0 else called[line - 1]


def sentence(runs, at_ns, called, machines):
    """The moment at the cursor, and what the whole run came to.

    Parameters
    ----------
    runs : sequence of AtOnce
    at_ns : int
    called : sequence of str
        A name for each cgroup.
    machines : sequence of dict
        As ``stage.machine`` gives them, one for each run.
    """
    words, n = stage.WORDS, len(runs[0].history)
    if not n:
        return words["once nothing"]
    parts = [words["once at"].format(at=number(at_ns), end=number(end_ns(runs)))]
    if len(runs) < 3:  # the pictures of more have it
        for one, machine in zip(runs, machines, strict=True):
            here = words["once here"].format(
                over=number(over(one, at_ns)), n=number(n), wait=_waits(one, at_ns, called)
            )
            parts.append(here if len(runs) == 1 else words["each"].format(machines=machine["name"], deed=here))
            parts[-1] = parts[-1].rstrip(".") + "."
    needs, shares = [], []
    for one, machine in zip(runs, machines, strict=True):
        when = "" if len(runs) == 1 else f" {machine['when']}"
        total, queues, _ = spent(one)
        most = max(range(len(queues)), key=lambda line: queues[line])
        needs.append(words["once need"].format(ns=number(_ns(max(one.ends.tolist()))), when=when))
        percent = _percent(sum(queues), total)
        word = "once share" if percent and len(runs) < 3 else "once no share"
        of = "" if shares else words["once of"]
        shares.append(words[word].format(percent=percent, of=of, when=when, line=line_name(most, called)))
    parts.append(words["once whole"].format(needs=listing(needs), shares=listing(shares)))
    return " ".join(parts)


def _waits(one, at_ns, called):
    lines = waiting(one, at_ns)
    if not lines:
        return stage.WORDS["once none"]
    names = listing([line_name(line, called) for line in sorted(set(lines))])
    return stage.WORDS["once wait" if len(lines) == 1 else "once waits"].format(cpus=len(lines), lines=names)


def table(runs, at_ns, called, first):
    """The state at the cursor and what the run came to, a dict of rows for each machine."""
    words = stage.WORDS
    columns = stage.table([one.history for one in runs], [began(one, at_ns) for one in runs], called, first)
    for one, column in zip(runs, columns, strict=True):
        total, queues, travel = spent(one)
        column[words["once began"]] = began(one, at_ns)
        column[words["once over"]] = over(one, at_ns)
        column[words["once end"]] = _ns(max(one.ends.tolist()))
        column[words["once waiting"]] = _percent(sum(queues), total)
        for line, time in enumerate(queues):
            column[words["once of line"].format(line=line_name(line, called))] = _percent(time, total)
        column[words["once travel"]] = _percent(travel, total)
        column |= {name: value if isinstance(value, str) else number(value) for name, value in column.items()}
    return columns


def _ns(ps):
    """Whole ns; what has begun counts."""
    return -(-ps // PS)


def _percent(part, total):
    """A whole number, half a percent upwards."""
    return (200 * part + total) // (2 * total) if total else 0


# --- for the front end -----------------------------------------------------------------------------------------------
def data(limited):
    """How the machine is set up, with a limit or without, and what a front end must know to read its events."""
    start = stage.WORDS["once limited" if limited else "once free"]
    return {
        "topology": MACHINE.name,
        "layout": LAYOUT.name,
        "think_ns": THINK_NS,
        "duration_ns": DURATION_MAX,
        "local_ps": round(MACHINE.local_ns * PS),
        "longest": LONGEST,
        "window_ns": WINDOW_NS,
        "last_op": int(CANCEL_CHARGE),
        "ops": list(OPS[: CANCEL_CHARGE + 1]),
        "kinds": {"RMW": RMW, "LOAD": LOAD, "STORE": STORE, "BEGIN": BEGIN},
        "underflow": GAVE_BACK_TOO_MUCH,
        "event": record_forms()["event"],
        "note": stage.WORDS["once note"].format(machine=MACHINE.name, think=THINK_NS, lines=LAYOUT.name, start=start),
    }
