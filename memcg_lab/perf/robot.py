"""Perf tables of the kernel test robot: one table, two profiles, the parent commit and the commit."""

import math
import re

from ..words import printable
from .source import quote

VALUE = r"([0-9]+(?:\.[0-9]+)?)(?:\s*+(?:Â?±|[^\s\w.%+-]{1,4}|\+-|\\xb1)\s*+[0-9]++%)?"
ROW = re.compile(
    rf"(?:> ?)*+\s*+{VALUE}\s++([-+][0-9.]+)\s++{VALUE}\s++perf-profile\.(self|children)\.([^.\s]+)\.(\S+)\s*"
)
NAMED = re.compile(r"\bperf-profile\.(?:self|children|calltrace|func)\.[^.\s]+\.")
CHANGE = re.compile(r"\s[-+][0-9.]+%?(?=\s)")
RUNS = re.compile(r"(?:> ?)*+\s*+[0-9]*:[0-9]+\s++[-+]?[0-9]+%\s++[0-9]*:[0-9]+\s")  # fail:runs, no share
OURS = re.compile(r"\bperf-profile\.(?:self|children)\.")
SIDES = ("before", "after")


def is_robot(line):
    """Whether a line is a row of such a table."""
    return NAMED.search(line) is not None and CHANGE.search(line) is not None


def robot(source, event):
    """Rows of both sides.

    Returns
    -------
    dict of str to list of dict
        By side; only functions whose own share the table has.
    """
    found, events = {}, {}
    for number, line in source.lines:
        if not OURS.search(line) or RUNS.match(line):
            continue  # calltrace, other metrics, and the letter around the table
        row = ROW.fullmatch(line)
        if not row:
            several = len(CHANGE.findall(line)) > 1
            what = "more than two kernels in a row; keep two" if several else "not a value, a change and a value"
            raise source.error(number, f"{quote(line)}: {what}.")
        before, change, after = (float(row[k]) for k in (1, 2, 3))
        if max(before, after) > 100 or abs(after - before - change) > 0.11:
            raise source.error(number, f"{quote(line)}: {before:g} and {change:+g} are not {after:g} percent.")
        measure, name, symbol = row[4], row[5], row[6]
        events.setdefault(name)
        if event is not None and name != event:
            continue
        place = found.setdefault((name, symbol), {})
        if measure in place:
            raise source.error(number, "a second table begins here; give each a file of its own.")
        place[measure] = before, after, number
    names = sorted({name for name, _ in found})
    if event is not None and not names:
        raise source.error(0, f"no row is of the event {printable(event)}; the events are: {_names(events) or 'none'}.")
    if len(names) > 1:
        raise source.error(0, f"two events in one table; choose one of {_names(names)} (event=, --event).")
    own = {symbol: place for (_, symbol), place in found.items() if "self" in place}
    if not own:
        raise source.error(0, "no row perf-profile.self: the table has no shares of functions by themselves.")
    return {side: [_row(symbol, place, k) for symbol, place in own.items()] for k, side in enumerate(SIDES)}


def _names(events):
    return printable(", ".join([*events][:20]))


def _row(symbol, place, k):
    children = place.get("children", (math.nan, math.nan))[k]
    share, number = place["self"][k], place["self"][2]
    row = {"percent": share, "children": children, "comm": "", "dso": "", "symbol": symbol, "kind": "other"}
    return {**row, "keys": "", "line": number}
