"""Rows: one event of a recording each; the csv they are kept in, and blocks of them as arrays."""

import csv
import itertools
import lzma
import tempfile
from collections import namedtuple

import numpy as np

from ..checks import several, shown
from ..files import writing

COLUMNS = ("cpu", "t_us", "pid", "softirq", "ev", "memcg", "nr", "cached", "avail", "cause")

Row = namedtuple("Row", ("line", *COLUMNS))
Row.__doc__ = """One event: ``line`` of its file, then the columns of the csv. Unknown numbers are -1.

cpu, t_us, pid, softirq: int. ev: str. memcg, cached: small integers, 0 = none. nr, avail: pages. cause: str.
"""

SlotRow = namedtuple("SlotRow", (*Row._fields, "slot"))
SlotRow.__doc__ = """A `Row` of a kernel whose stocks have several slots, with the number of the ``slot`` it shows.

A charge and a refill show the slot of their cgroup; if there is none, the one that a refill would take. A drain shows
the slot it empties.
"""

# What each event must say.
EVENTS = {
    "chg": "memcg nr",
    "unc": "memcg nr",
    "try": "memcg nr",
    "cons": "memcg nr cached avail",
    "refill": "memcg nr",
    "drain": "cached avail",
    "pctry": "memcg nr",
    "pctryfail": "",
    "pcunc": "memcg nr",
    "pcchg": "memcg nr",
    "dall": "",
    "dloc": "",
    "cgroup": "memcg nr",  # nr is the level below the root, cached the parent's number: said once of each cgroup
}
NOT_PAGES = ("cgroup",)  # events whose nr may be 0
CODES = {name: code for code, name in enumerate(EVENTS)}

# A row of a block: as `Row`, with the event's place in `EVENTS` and the cause's place in the trace's list of causes.
row_dtype = np.dtype(
    [(name, np.int64) for name in ("line", "t_us", "pid", "memcg", "nr", "cached", "avail")]
    + [("cpu", np.int32), ("cause", np.int32), ("softirq", np.int8), ("slot", np.int8), ("ev", np.uint8)]
)
BLOCK_ROWS = 16_384


class Trace:
    """A trace that is read block by block, once.

    Attributes
    ----------
    kind : type
        ``Row`` or ``SlotRow``.
    causes : list of str
        By number; grows while blocks are read.
    blocks : iterator of ndarray of ``row_dtype``
    """

    def __init__(self, kind, blocks, causes):
        self.kind, self.blocks, self.causes = kind, blocks, causes

    @classmethod
    def of(cls, rows):
        """A list of rows as a trace; a trace as it is."""
        if isinstance(rows, Trace):
            return rows
        rows = several("rows", rows)
        for row in rows[:1]:
            if not isinstance(row, (Row, SlotRow)):
                raise ValueError(f"rows[0] is {shown(row)}; it must be a Row, as read_rows makes them.")
        causes = Causes()
        kind = type(rows[0]) if len(rows) else Row
        return cls(kind, blocks_of(rows, causes), causes)

    def rows(self, block):
        """The rows of a block, one by one."""
        names = list(EVENTS)
        for row in zip(*(block[name].tolist() for name in self.kind._fields)):
            yield self.kind._make((*row[:5], names[row[5]], *row[6:10], self.causes[row[10]], *row[11:]))


class Causes(list):
    """The causes of a trace, each once; the first is none."""

    def __init__(self):
        super().__init__([""])
        self._places = {"": 0}

    def place(self, name):
        """The number of a cause."""
        if name not in self._places:
            self._places[name] = len(self)
            self.append(name)
        return self._places[name]


def blocks_of(rows, causes):
    """Rows, however many, as blocks."""
    rows = iter(rows)
    while some := list(itertools.islice(rows, BLOCK_ROWS)):
        block = np.empty(len(some), row_dtype)
        for name in row_dtype.names:
            if name == "ev":
                block[name] = [CODES[row.ev] for row in some]
            elif name == "cause":
                block[name] = [causes.place(row.cause) for row in some]
            elif name == "slot":
                block[name] = [getattr(row, "slot", -1) for row in some]
            else:
                block[name] = [getattr(row, name) for row in some]
        yield block


class Spool:
    """Arrays of one dtype, kept in a temporary file instead of in memory."""

    def __init__(self, dtype):
        self.dtype, self.size = np.dtype(dtype), 0
        self._file = tempfile.TemporaryFile()

    def append(self, array):
        """Add an array at the end."""
        self._file.write(np.ascontiguousarray(array, self.dtype).data)
        self.size += array.size

    def read(self, begin, end):
        """The entries from ``begin`` up to ``end``."""
        self._file.seek(begin * self.dtype.itemsize)
        return np.frombuffer(self._file.read((end - begin) * self.dtype.itemsize), self.dtype)

    def blocks(self):
        """All of it, a block at a time."""
        for begin in range(0, self.size, BLOCK_ROWS):
            yield self.read(begin, min(begin + BLOCK_ROWS, self.size))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


def write_rows(path, rows, *, replace=False):
    """Write rows as csv; :func:`memcg_lab.traces.text.read_rows` reads them back.

    Parameters
    ----------
    path : str or Path
        Packed if it ends in ``.xz``.
    rows : iterable of Row or of SlotRow
        Their ``line`` is not written; unknown numbers become empty.
    replace : bool
        Replace a file that is there; else it is refused.
    """
    opened = lzma.open if str(path).endswith(".xz") else open
    with writing(path, replace=replace) as scratch, opened(scratch, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        rows = iter(rows)
        first = next(rows, None)
        writer.writerow(COLUMNS if first is None else first._fields[1:])
        writer.writerows(map(csv_words, itertools.chain([] if first is None else [first], rows)))


def csv_words(row):
    """The columns of a row as the csv has them.

    Examples
    --------
    >>> csv_words(Row(2, 1, 0, 1, 1, "unc", 1, 2, -1, -1, ""))
    (1, 0, 1, 1, 'unc', 1, 2, '', '', '')
    """
    return tuple("" if value == -1 else value for value in row[1:])
