"""Rows: one event of a recording each, and the csv they are kept in."""

import csv
import lzma
from collections import namedtuple

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
}
PROGRESS = 200_000  # rows from which a progress bar is shown


def write_rows(path, rows):
    """Write rows as csv; :func:`memcg_lab.traces.text.read_rows` reads them back.

    Parameters
    ----------
    path : str or Path
        Packed if it ends in ``.xz``.
    rows : list of Row or list of SlotRow
        Their ``line`` is not written; unknown numbers become empty.
    """
    opened = lzma.open if str(path).endswith(".xz") else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0]._fields[1:] if rows else COLUMNS)
        writer.writerows(map(csv_words, rows))


def csv_words(row):
    """The columns of a row as the csv has them.

    Examples
    --------
    >>> csv_words(Row(2, 1, 0, 1, 1, "unc", 1, 2, -1, -1, ""))
    (1, 0, 1, 1, 'unc', 1, 2, '', '', '')
    """
    return tuple("" if value == -1 else value for value in row[1:])


def with_progress(sequence, total, unit):
    """The sequence, with a progress bar around it if it is long."""
    if total <= PROGRESS:
        return sequence
    from tqdm import tqdm

    return tqdm(sequence, total=total, unit=unit, disable=None)
