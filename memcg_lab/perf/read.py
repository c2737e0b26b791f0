"""Perf reading: what perf and its helpers print, as one table. Detected by its form, refused by line number."""

import re

import pandas as pd

from .listing import RULER, is_listing, listing
from .robot import SIDES, is_robot, robot
from .script import is_script, script
from .source import opened, quote
from .stacks import MAP, folded, is_folded, is_unnamed, stack_map

__all__ = ["COLUMNS", "is_unnamed", "read_perf", "read_sides"]

COLUMNS = ["percent", "children", "comm", "dso", "symbol", "kind", "keys", "line"]

# Output of perf that is no profile, and what it is.
OTHERS = [
    (
        re.compile(r"\s*Percent\s*[|│]"),
        "perf annotate: shares within one function, no profile; use perf report --stdio.",
    ),
    (
        re.compile(r"={20,}\s*$|\s*(Trace Event Information|Shared Data Cache Line Table)"),
        "perf c2c: cache lines, no profile of functions; use perf report --stdio.",
    ),
    (
        re.compile(r"\s*Performance counter stats for"),
        "perf stat: counts, no profile; use perf record and perf report.",
    ),
    (re.compile(r"\s*Task\s*\|\s*Runtime ms"), "perf sched: times of tasks, no profile; use perf report --stdio."),
    (re.compile(r"\s*(contended +total wait|Name +acquired +contended)"), "perf lock: waiting by lock, no profile."),
    (re.compile(r"#\s*Event '"), "perf diff; give the two profiles it was made of."),
    (re.compile(r"(Error:|Selected --mem-mode)"), "a message of perf, no profile."),
]


def read_perf(source, *, event=None, side=None, progress=None):
    r"""Read a profile: ``perf top``, ``perf report --stdio``, ``perf script``, folded stacks, and what is alike.

    Parameters
    ----------
    source : str or Path
        A path (plain, ``.gz``, ``.xz`` or ``.bz2``), or the text itself. A string with a line break, or with a percent
        sign and no file of that name, is text; any other string is a path.
    event : str, optional
        Which event, if the source has several, such as ``"cycles"``; modifiers (``:P``) may be left out.
    side : {"before", "after"}, optional
        Which side of a comparison table of the kernel test robot.
    progress : callable, optional
        Called with the bytes read and the bytes in all, once a block of the file.

    Returns
    -------
    DataFrame
        One row a listed row, in its order; for stacks one row a function, the largest first.

        percent : self time, percent of samples (of the period where ``perf script`` prints it).
        children : with everything called, percent of samples; NaN if not printed.
        comm, dso, symbol : empty if not printed. An address without a name stays a symbol, ``0x…``.
        kind : ``"kernel"``, ``"user"``, or ``"other"`` where the file does not say. In ``perf script`` the address
        decides; in a listing the mark, ``[k]`` or ``[.]``.
        keys : every other sort key of ``perf report``, as ``CPU 001; Cgroup /a``; empty if there is none.
        line : line of the source, from 1; for stacks the first that names the function.

        ``attrs`` has ``format``, ``lowest`` (the lowest listed percent: what is not listed has less; of the children
        column if there is one, since perf sorts by it), ``total`` (the sum of ``percent``), and, if there is something
        to be told, ``notes`` (a list of sentences, such as of lost samples).

    Raises
    ------
    ValueError
        If the source is empty, binary, of another tool, or a line makes no sense; the message has its number.

    Notes
    -----
    Columns of a listing are cut by the dotted ruler under the header; without one, by the header and the gaps. Headers
    may be cut short, as ``perf top`` does. A column that is not known is refused, and so is a second listing, a row
    that is there twice in a copy of a screen, and a line that is not perf's. Comments, blank lines, call graphs and
    perf's own warnings are passed over, and so is the ``>`` of a mail quote if it is in front of every line.
    ``perf top --stdio`` prints its screen again and again; the last one counts.

    ``perf script`` needs a line for each sample with at least its comm, or nothing but stacks (``-F ip,sym``). Of
    folded stacks, a frame without a name is left out. A file is read block by block: memory goes with the number of
    different functions, not with the length of the file.

    Examples
    --------
    >>> table = read_perf('''
    ...   2.13%  [kernel]   [k] page_counter_cancel
    ...   0.83%  < workload >
    ...   0.54%             [.] __memcpy_avx_unaligned
    ... ''')
    >>> print(table[["percent", "symbol", "kind", "line"]].to_string(index=False))
     percent                 symbol   kind  line
        2.13    page_counter_cancel kernel     2
        0.83           < workload >  other     3
        0.54 __memcpy_avx_unaligned   user     4
    >>> table.attrs
    {'format': 'perf top', 'lowest': 0.54, 'total': 3.5}

    Folded stacks and ``perf script`` are counted up:

    >>> print(read_perf("sh;read;copy 3\nsh;read 1\n")[["percent", "children", "symbol"]].to_string(index=False))
     percent  children symbol
        75.0      75.0   copy
        25.0     100.0   read
         0.0     100.0     sh
    """
    if side not in (None, *SIDES):
        raise ValueError(f"side is {side!r}; it must be before or after.")
    tables = _tables(source, event, progress)
    if len(tables) == 1:
        if side is not None:
            raise ValueError(f"side is {side!r}, but only a table of the kernel test robot has two sides.")
        return tables[0]
    if side is None:
        raise ValueError(
            "a comparison table of the kernel test robot is two profiles: give side='before' or side='after', or let "
            "python -m memcg_lab profile FILE compare the two."
        )
    return tables[SIDES.index(side)]


def read_sides(source, *, event=None, progress=None):
    r"""The profiles of a source: one, or the two of a comparison table of the kernel test robot.

    Parameters
    ----------
    source, event, progress
        As for :func:`read_perf`.

    Returns
    -------
    list of DataFrame

    Raises
    ------
    ValueError
        As :func:`read_perf`.

    Examples
    --------
    >>> table = "0.20 ± 4%  +9.0  9.20 ± 3%  perf-profile.self.cycles-pp.charge_memcg\n"
    >>> [side["percent"].tolist() for side in read_sides(table)]
    [[0.2], [9.2]]
    """
    return _tables(source, event, progress)


def _tables(source, event, progress):
    if event is not None and (not isinstance(event, str) or not event):
        raise ValueError(f"event is {event!r}; it must be a name such as 'cycles'.")
    found = opened(source, progress)
    read = _reader(found)
    if read is robot:
        sides = robot(found, event)
        return [_table(found, rows, ROBOT) for rows in sides.values()]
    if read is listing:
        return [_table(found, *listing(found, event))]
    return [_table(found, read(found, event), NAMES[read])]


ROBOT = "kernel test robot"
NAMES = {script: "perf script", folded: "folded", stack_map: "bpftrace"}


def _reader(source):
    """The reader of the first line that one of them knows."""
    head = source.peek()
    said = [k for k, (_, line) in enumerate(head) if line.strip()]
    if not said:
        raise source.error(0, "no rows in it.")
    if head[said[0]][1].startswith(">"):
        source.unquote()
        head = source.peek()
        said = [k for k in said if head[k][1].strip()]
    if any(is_robot(line) for _, line in head):
        return robot
    for k in said:
        line = head[k][1]
        if line.startswith("#") and RULER.fullmatch(line):
            return listing
        if not line.startswith("#") or is_listing(line):
            read = _reader_of(head, k)
            if read:
                return read
        for other, what in OTHERS:
            if other.match(line):
                raise source.error(head[k][0], what)
    first = next((head[k] for k in said if not head[k][1].lstrip().startswith("#")), None)
    if source.foreign:
        raise source.error(0, "not a text file (UTF-8).")
    if first is None:
        raise source.error(0, "no rows in it.")
    raise source.error(
        first[0],
        f"{quote(first[1])} is not of perf top, perf report --stdio, perf script, folded stacks, a map of bpftrace or "
        "a table of the kernel test robot.",
    )


def _reader_of(head, k):
    line = head[k][1]
    if is_listing(line):
        return listing
    if MAP.match(line) and line.startswith("@"):
        return stack_map
    if is_folded(line):
        return folded
    return script if is_script(head, k) else None


def _table(source, rows, form):
    table = pd.DataFrame(rows, columns=COLUMNS)
    listed = table["percent"].where(table["children"].isna(), table["children"])
    # The robot lists what changed, however small.
    lowest = 0.0 if form == ROBOT else max(float(listed.min()), source.lowest)
    table.attrs = {"format": form, "lowest": lowest, "total": round(float(table["percent"].sum()), 9)}
    if table.attrs["total"] > 100.5 + 0.005 * len(table):  # each row may be rounded up by 0.005
        raise source.error(
            0, f"the rows add up to {table.attrs['total']:.2f} percent; are these two listings in one file?"
        )
    if source.notes:
        table.attrs["notes"] = list(source.notes)
    return table
