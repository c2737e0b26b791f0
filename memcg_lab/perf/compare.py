"""Perf comparison: two profiles row by row, and what can be said about the part that went away."""

import math
import pathlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .read import COLUMNS, is_unnamed, read_perf

FLOOR = 0.1  # percent; a row of 10 samples in 10,000, known to a third of itself
SMALLEST = 0.01  # percent; what perf prints as 0.00% is less
LOAD_MATCHED = 0.02  # log-sd of the ratios that counting alone leaves if each row has 5,000 samples


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Two profiles compared. Amounts are percent of the samples of their own file.

    Attributes
    ----------
    matched : DataFrame
        ``symbol``, ``before``, ``after``, ``ratio`` (after / before); ``comm`` in front if both files have it.
    gone, new : DataFrame
        Rows of one file only: ``symbol``, ``before``, ``after``, ``at_least``, ``at_most``, ``unnamed``. The side
        that does not list the row says ``"< 0.57"``, its lowest listed row. What vanished (or appeared) lies between
        ``at_least`` and ``at_most``. ``unnamed`` rows are addresses.
    rows : int
        Common rows that the rescaling is taken from.
    scale, median : float
        Geometric mean and median of their ratios; NaN without a common row.
    log_sd, se : float
        Standard deviation of the logarithms, and of their mean; NaN with fewer than two rows.
    removed, removed_se : float
        Share of the work that went away if the common rows do the same work as before: ``1 - 1 / scale``, percent.
    gone_at_least, gone_at_most, new_at_least, new_at_most : float
        Sums over the named rows.
    before, after : Side
        ``name``, ``rows``, ``total``, ``lowest`` (percent) and ``left_out`` (rows below the floor) of each file.
    floor : float
    """

    matched: pd.DataFrame
    gone: pd.DataFrame
    new: pd.DataFrame
    rows: int
    scale: float
    median: float
    log_sd: float
    se: float
    removed: float
    removed_se: float
    gone_at_least: float
    gone_at_most: float
    new_at_least: float
    new_at_most: float
    before: "Side"
    after: "Side"
    floor: float

    @property
    def load_matched(self):
        """Whether two common rows or more rescale alike, as they do if the removed work was the only change."""
        return self.log_sd <= LOAD_MATCHED

    def __repr__(self):
        return (
            f"Comparison({len(self.matched)} matched, {len(self.gone)} gone, {len(self.new)} new, "
            f"scale {self.scale:.3f}, log-sd {self.log_sd:.3f}, removed {self.removed:.1f} +- {self.removed_se:.1f} %)"
        )

    def text(self):
        """The comparison as a table of fixed width and a few sentences."""
        return "\n".join([*self._sides(), "", *self._table(), "", *self._sentences()])

    def _sides(self):
        yield "Percent of samples, self time."
        for label, side in (("before", self.before), ("after", self.after)):
            cut = f", {side.left_out} more below {self.floor:g} left out" if side.left_out else ""
            about = f"{_rows(side.rows)}, {side.total:.2f} in all, lowest {_amount(side.lowest)}{cut}"
            yield f"{label + ':':<8}{about} ({side.name})"

    def _table(self):
        rows = [
            (_label(row), _amount(row.before), _amount(row.after), f"{row.ratio:.3f}") for row in _each(self.matched)
        ]
        for frame, word in ((self.gone, "gone"), (self.new, "new")):
            for row in _each(frame):
                rows.append((_label(row), _amount(row.before), _amount(row.after), "no name" if row.unnamed else word))
        width = max([len("symbol"), *(len(row[0]) for row in rows)])
        for symbol, before, after, ratio in [("symbol", "before", "after", "ratio"), *rows]:
            yield f"{symbol:<{width}}  {before:>8}  {after:>8}  {ratio:>7}"

    def _sentences(self):
        if not self.rows:
            yield "No row is in both files, so nothing can be said about the rest of the work."
        elif self.rows == 1:
            yield f"Rescaling: 1 row in both; after / before is {self.scale:.3f}."
            yield "Caution: one row shows no spread, so nothing says whether the two loads are the same."
        else:
            yield (
                f"Rescaling: {_rows(self.rows)} in both; after / before has geometric mean {self.scale:.3f}, "
                f"median {self.median:.3f}, log-sd {self.log_sd:.3f}, standard error {self.se:.3f}."
            )
            verb = "went away" if self.removed >= 0 else "came on top"
            unsure = abs(self.removed) < 2 * self.removed_se
            yield (
                f"If these rows do the same work as before, {abs(self.removed):.1f} % of all samples {verb} (standard "
                f"error {self.removed_se:.1f}{', so it may be none' if unsure else ''})."
            )
        for word, verb, frame, least, most in (
            ("Gone", "vanished", self.gone, self.gone_at_least, self.gone_at_most),
            ("New", "appeared", self.new, self.new_at_least, self.new_at_most),
        ):
            named = int((~frame["unnamed"]).sum())
            addresses = len(frame) - named
            yield (
                f"{word}: "
                + (f"{_rows(named)}; at least {least:.2f} and at most {most:.2f} {verb}." if named else "no named row.")
                + (f" {_rows(addresses)} without a name cannot be matched." if addresses else "")
            )
        if self.rows > 1 and not self.load_matched:
            yield (
                f"Caution: the common rows do not rescale alike ({self.matched['ratio'].min():.3f} to "
                f"{self.matched['ratio'].max():.3f}), so the two loads are not the same to better than about "
                f"{100 * math.expm1(self.log_sd):.0f} %; do not read a single row more closely than that."
            )


@dataclass(frozen=True)
class Side:
    """One file of a comparison: what it is called, and how much of it was used."""

    name: str
    rows: int
    total: float
    lowest: float
    left_out: int


def compare(before, after, *, floor=FLOOR):
    r"""Compare two profiles.

    Parameters
    ----------
    before, after : DataFrame, str or Path
        What :func:`read_perf` returns, or what it reads.
    floor : float
        Rows with less self time, in percent, count as not listed.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If one of them is not a profile, or the floor is not a percentage.

    Notes
    -----
    Rows match by symbol and shared object (for kernel rows by symbol alone), and by command if both files have one;
    if only one has, its rows are first added up over the commands. Equal rows match in their order. A place without
    a name never matches: equal addresses of two runs are a coincidence unless the program lies where it lay, and the
    file does not say so.

    A row that is not listed has less than the lowest listed row, not nothing. So a gone row lost at most its share
    before, and at least that share minus the lowest one after. This takes a percent of one file for a percent of the
    other; the ``scale`` says how wrong that is.

    Examples
    --------
    >>> before = read_perf("4.0% [kernel] [k] hot\n 2.0% [kernel] [k] poll\n 1.0% [.] copy")
    >>> after = read_perf("2.1% [kernel] [k] poll\n 1.05% [.] copy")
    >>> change = compare(before, after)
    >>> change
    Comparison(2 matched, 1 gone, 0 new, scale 1.050, log-sd 0.000, removed 4.8 +- 0.0 %)
    >>> print(change.gone.to_string(index=False))
    symbol  before  after  at_least  at_most  unnamed
       hot     4.0 < 1.05      2.95      4.0    False
    """
    if isinstance(floor, bool) or not isinstance(floor, (int, float)) or not 0 <= floor <= 100:
        raise ValueError(f"floor is {floor!r}; it must be a percentage from 0 to 100.")
    (before, side_b), (after, side_a) = (_side(source, floor) for source in (before, after))
    by_comm = all((table["comm"] != "").any() for table in (before, after))
    if not by_comm:
        before, after = _over_commands(before), _over_commands(after)
    labels = ["comm", "symbol"] if by_comm else ["symbol"]

    keys = _keys(before, by_comm)
    place = {key: row for row, key in enumerate(_keys(after, by_comm))}
    pairs = [(row, place[key]) for row, key in enumerate(keys) if key in place and not is_unnamed(key[2])]
    rows_b, rows_a = [row for row, _ in pairs], [row for _, row in pairs]
    matched = before[labels].iloc[rows_b].reset_index(drop=True)
    matched["before"] = before["percent"].to_numpy()[rows_b]
    matched["after"] = after["percent"].to_numpy()[rows_a]
    matched["ratio"] = matched["after"] / matched["before"]
    gone = _one_sided(before.drop(before.index[rows_b]), labels, "before", side_a.lowest)
    new = _one_sided(after.drop(after.index[rows_a]), labels, "after", side_b.lowest)

    logs, n = np.log(matched["ratio"].to_numpy(float)), len(matched)
    scale = math.exp(logs.mean()) if n else math.nan
    log_sd = float(logs.std(ddof=1)) if n > 1 else math.nan
    se = log_sd / math.sqrt(n) if n > 1 else math.nan
    named_gone, named_new = gone[~gone["unnamed"]], new[~new["unnamed"]]
    return Comparison(
        matched=matched,
        gone=gone,
        new=new,
        rows=n,
        scale=scale,
        median=float(matched["ratio"].median()),
        log_sd=log_sd,
        se=se,
        removed=100 * (1 - 1 / scale),
        removed_se=100 * se / scale,
        gone_at_least=float(named_gone["at_least"].sum()),
        gone_at_most=float(named_gone["at_most"].sum()),
        new_at_least=float(named_new["at_least"].sum()),
        new_at_most=float(named_new["at_most"].sum()),
        before=side_b,
        after=side_a,
        floor=float(floor),
    )


def print_comparison(before, after):
    """Print the comparison of two files; 0 is the exit status of the command.

    Parameters
    ----------
    before, after : str or Path

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a file cannot be read; the message has its name and line.
    """
    print(compare(pathlib.Path(before), pathlib.Path(after)).text())
    return 0


def _side(source, floor):
    """The rows at or above the floor, and what is to be said of the file."""
    is_table = isinstance(source, pd.DataFrame)
    table = source if is_table else read_perf(source)
    if list(table.columns) != COLUMNS or "lowest" not in table.attrs:
        raise ValueError("a table to compare must be what read_perf returned.")
    kept = table[(table["percent"] >= floor) & (table["percent"] > 0)]
    left_out = int((table["percent"] > 0).sum()) - len(kept)
    lowest = max(table.attrs["lowest"] or SMALLEST, floor if left_out else 0)
    name = str(source) if isinstance(source, pathlib.Path) else table.attrs["format"]
    return kept, Side(name, len(kept), float(table["percent"].sum()), float(lowest), left_out)


def _over_commands(table):
    """Rows added up over the commands; a table without commands stays as it is."""
    if not (table["comm"] != "").any():
        return table
    return table.groupby(["kind", "dso", "symbol"], sort=False, as_index=False).agg({"percent": "sum"}).assign(comm="")


def _keys(table, by_comm):
    """What each row is matched by: command, place, symbol, and how many equal rows stood above it."""
    seen, keys = {}, []
    for row in _each(table):
        place = "kernel" if row.kind == "kernel" else row.dso.rpartition("/")[2]
        key = (row.comm if by_comm else "", place, row.symbol)
        seen[key] = seen.get(key, 0) + 1
        keys.append((*key, seen[key]))
    return keys


def _one_sided(table, labels, side, lowest):
    """Rows of one side only; the other side is a bound."""
    unlisted = f"< {_amount(lowest)}"
    percent = table["percent"]
    columns = {"before": percent, "after": unlisted} if side == "before" else {"before": unlisted, "after": percent}
    out = table[labels].assign(**columns, at_least=(percent - lowest).clip(lower=0).round(9), at_most=percent)
    return out.assign(unnamed=np.array([is_unnamed(symbol) for symbol in table["symbol"]], bool)).reset_index(drop=True)


def _each(frame):
    return frame.itertuples(index=False)


def _label(row):
    text = f"{row.comm}: {row.symbol}" if hasattr(row, "comm") else row.symbol
    return text if len(text) <= 60 else text[:59] + "…"


def _amount(value):
    return value if isinstance(value, str) else f"{value:.2f}" if value >= 0.01 else f"{value:.2g}"


def _rows(number):
    return f"{number} row" if number == 1 else f"{number} rows"
