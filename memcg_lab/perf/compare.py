"""Perf comparison: two profiles row by row, and what can be said about the part that went away."""

import fnmatch
import functools
import math
import pathlib
import re
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..words import count, printable
from ..words import listing as in_words
from .names import normalise, without_numbers
from .read import COLUMNS, ROBOT, is_unnamed, read_perf, read_sides

FLOOR = 0.1  # percent; a row of 10 samples in 10,000, known to a third of itself
SMALLEST = 0.01  # percent; what perf prints as 0.00% is less
LOAD_MATCHED = 0.02  # log-sd of the ratios that counting alone leaves if each row has 5,000 samples
FEW = 5  # common rows; with fewer, one row that is not like the others decides
LISTED = 50  # percent of the samples; with less in the list, the list does not speak for all samples
LABELS = ("comm", "dso", "symbol", "keys")  # columns that a row may be known by


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Two profiles compared. Amounts are percent of the samples of their own file.

    Attributes
    ----------
    matched : DataFrame
        ``symbol``, ``before``, ``after``, ``ratio`` (after / before); ``comm`` in front if both files have it, ``dso``
        and ``keys`` where they tell two rows apart. Names are those of the file before.
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
        Share of the work that went away if the common rows do the same work as before, and if what is not listed
        rescales as they do: ``1 - 1 / scale``, percent. See ``unfit``.
    gone_at_least, gone_at_most, new_at_least, new_at_most : float
        Sums over the named rows.
    groups : DataFrame
        One row a pattern that was asked for: ``group``, ``before``, ``after``, and the rows listed on each side.
    before, after : Side
        ``name``, ``rows``, ``total``, ``lowest`` (percent) and ``left_out`` (rows below the floor) of each file.
    floor : float
    notes : tuple of str
        What was done to names and rows, and what the files say of lost samples.
    unfit : tuple of str
        Why these rows do not speak for all samples; empty if they do.
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
    groups: pd.DataFrame
    before: "Side"
    after: "Side"
    floor: float
    notes: tuple
    unfit: tuple

    @property
    def load_matched(self):
        """Whether two common rows or more rescale alike, as they do if the removed work was the only change."""
        return self.log_sd <= LOAD_MATCHED

    def __repr__(self):
        removed = "" if self.unfit else f", removed {self.removed:.1f} +- {self.removed_se:.1f} %"
        return (
            f"Comparison({len(self.matched)} matched, {len(self.gone)} gone, {len(self.new)} new, "
            f"scale {self.scale:.3f}, log-sd {self.log_sd:.3f}{removed})"
        )

    def text(self):
        """The comparison as a table of fixed width and a few sentences; nothing in it moves a terminal."""
        return "\n".join([*self._sides(), "", *self._table(), *self._groups(), "", *self._sentences()])

    def _sides(self):
        hidden = [f"{max(0.0, 100 - side.total):.0f} %" for side in (self.before, self.after)]
        yield (
            f"Percent of samples, self time: {self.before.total:.2f} listed before and {self.after.total:.2f} after; "
            f"{hidden[0]} and {hidden[1]} of the samples are not listed."
        )
        for label, side in (("before", self.before), ("after", self.after)):
            cut = f", {side.left_out} more below {self.floor:g} left out" if side.left_out else ""
            about = f"{count(side.rows, 'row')}, {side.total:.2f} in all, lowest {_amount(side.lowest)}{cut}"
            yield f"{label + ':':<8}{about} ({printable(side.name)})"

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

    def _groups(self):
        for row in _each(self.groups):
            sides = [
                f"{row.before:.2f} in {count(row.rows_before, 'row')}",
                f"{row.after:.2f} in {count(row.rows_after, 'row')}",
            ]
            lowest = [f"{_amount(side.lowest)}" for side in (self.before, self.after)]
            yield (
                f"Group {printable(row.group)}: {sides[0]} before, {sides[1]} after; a row that is not listed has less "
                f"than {lowest[0]} and {lowest[1]}."
            )

    def _sentences(self):
        if not self.rows:
            yield "No row is in both files, so nothing can be said about the rest of the work."
        elif self.rows >= FEW or not self.unfit:
            yield (
                f"Rescaling: {count(self.rows, 'row')} in both; after / before has geometric mean {self.scale:.3f}, "
                f"median {self.median:.3f}, log-sd {self.log_sd:.3f}, standard error {self.se:.3f}."
            )
        if self.rows and self.unfit:
            yield f"Nothing is said about all samples: {in_words(self.unfit)}."
        elif self.rows:
            verb = "went away" if self.removed >= 0 else "came on top"
            unsure = abs(self.removed) < 2 * self.removed_se or not self.removed
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
                + (
                    f"{count(named, 'row')}; at least {least:.2f} and at most {most:.2f} {verb}."
                    if named
                    else "no named row."
                )
                + (f" {count(addresses, 'row')} without a name cannot be matched." if addresses else "")
            )
        if self.rows >= FEW and not self.load_matched:
            yield (
                f"Caution: the common rows do not rescale alike ({self.matched['ratio'].min():.3f} to "
                f"{self.matched['ratio'].max():.3f}), so the two loads are not the same to better than about "
                f"{100 * math.expm1(self.log_sd):.0f} %; do not read a single row more closely than that."
            )
        yield from map(printable, self.notes)


@dataclass(frozen=True)
class Side:
    """One file of a comparison: what it is called, and how much of it was used."""

    name: str
    rows: int
    total: float
    lowest: float
    left_out: int


def compare(before, after, *, floor=FLOOR, by=None, groups=(), event=None, normalised=True):
    r"""Compare two profiles.

    Parameters
    ----------
    before, after : DataFrame, str or Path
        What :func:`read_perf` returns, or what it reads.
    floor : float
        Rows with less self time, in percent, count as not listed.
    by : sequence of str, optional
        What a row is known by: some of ``"comm"``, ``"dso"``, ``"symbol"`` and ``"keys"``; rows that are alike in them
        are added up. By default everything that both files print.
    groups : sequence of str
        Patterns such as ``"page_counter_*"``: what all listed rows with such a symbol have together.
    event : str, optional
        Which event, if a file has several; see :func:`read_perf`.
    normalised : bool
        Whether names that change from run to run are taken as one: the number in ``perf-PID.map`` and ``kworker/N``,
        the hash at the end of a Rust name, the version of a library, the number of a ``.constprop`` clone. What was
        done is in ``notes``.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If one of them is not a profile, or an argument is not of its kind.

    Notes
    -----
    Rows match by symbol and shared object (for kernel rows by symbol alone), by command and by every other sort key,
    each if both files have it; rows that differ only in what is left are added up first. Rows that nothing tells
    apart are added up too, never matched by their order, and ``notes`` says so. A place without a name never matches:
    equal addresses of two runs are a coincidence unless the program lies where it lay, and the file does not say so.

    A row that is not listed has less than the lowest listed row, not nothing. So a gone row lost at most its share
    before, and at least that share minus the lowest one after. This takes a percent of one file for a percent of the
    other; the ``scale`` says how wrong that is.

    The text says what share of all samples went away only if at least 5 rows are in both files and each file lists at
    least half of its samples; a table of the kernel test robot lists what changed, so it never does.

    Examples
    --------
    >>> before = read_perf("9.0% [kernel] [k] hot\n 2.0% [kernel] [k] poll\n 1.0% [.] copy")
    >>> after = read_perf("2.1% [kernel] [k] poll\n 1.05% [.] copy")
    >>> change = compare(before, after)
    >>> change
    Comparison(2 matched, 1 gone, 0 new, scale 1.050, log-sd 0.000)
    >>> change.unfit
    ('only 2 rows are in both files', '88 % and 97 % of the samples are not listed')
    >>> print(change.gone.to_string(index=False))
    symbol  before  after  at_least  at_most  unnamed
       hot     9.0 < 1.05      7.95      9.0    False
    """
    by, groups = _checked(floor, by, groups, normalised)
    before, after = (_profile(source, event) for source in (before, after))
    return _compared(before, after, float(floor), by, groups, normalised)


def compare_table(source, *, floor=FLOOR, by=None, groups=(), event=None, normalised=True):
    r"""Compare the two profiles of a comparison table of the kernel test robot.

    Parameters
    ----------
    source : str or Path
    floor, by, groups, event, normalised
        As for :func:`compare`.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If it is not such a table.

    Examples
    --------
    >>> table = "0.20 ± 4%  +9.0  9.20 ± 3%  perf-profile.self.cycles-pp.charge_memcg\n"
    >>> compare_table(table).matched["after"].tolist()
    [9.2]
    """
    by, groups = _checked(floor, by, groups, normalised)
    sides = read_sides(source, event=event)
    return _compared(*_two(source, sides), float(floor), by, groups, normalised)


def print_comparison(before, after=None, *, by=None, groups=(), event=None, normalised=True, progress=None):
    """Print the comparison of two files; 0 is the exit status of the command.

    Parameters
    ----------
    before : str or Path
    after : str or Path, optional
        Not needed if ``before`` is a comparison table of the kernel test robot.
    by, groups, event, normalised
        As for :func:`compare`.
    progress : callable, optional
        Called with a file's path, the bytes read and the bytes in all.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a file cannot be read; the message has its name and line.
    """
    by, groups = _checked(FLOOR, by, groups, normalised)
    paths = [pathlib.Path(path) for path in (before, after) if path is not None]
    read = {path: read_sides(path, event=event, progress=_told_of(path, progress)) for path in dict.fromkeys(paths)}
    change = _compared(*_pair(paths, read), FLOOR, by, groups, normalised)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(change.text().encode(encoding, "backslashreplace").decode(encoding), flush=True)
    return 0


# --- checking --------------------------------------------------------------------------------------------------------
def _checked(floor, by, groups, normalised):
    """What a row is known by, or None, and the patterns; a ValueError for what is not of its kind."""
    if isinstance(floor, bool) or not isinstance(floor, (int, float)) or not 0 <= floor <= 100:
        raise ValueError(f"floor is {floor!r}; it must be a percentage from 0 to 100.")
    if not isinstance(normalised, bool):
        raise ValueError(f"normalised is {normalised!r}; it must be True or False.")
    if by is not None:
        by = tuple(by) if isinstance(by, (list, tuple)) else (by,)
        if not by or not all(isinstance(name, str) and name in LABELS for name in by) or len({*by}) < len(by):
            raise ValueError(f"by is {by!r}; it must be some of {', '.join(LABELS)}, each once.")
    groups = tuple(groups) if isinstance(groups, (list, tuple)) else (groups,)
    if not all(isinstance(pattern, str) and pattern for pattern in groups):
        raise ValueError(f"groups is {groups!r}; it must be patterns such as 'page_counter_*'.")
    return by, groups


def _profile(source, event):
    """The table of a source with its name."""
    if isinstance(source, pd.DataFrame):
        if list(source.columns) != COLUMNS or "lowest" not in source.attrs:
            raise ValueError("a table to compare must be what read_perf returned.")
        return source, source.attrs["format"]
    return _named(read_perf(source, event=event), source)


def _named(table, source):
    is_path = isinstance(source, pathlib.Path) or isinstance(source, str) and "\n" not in source and "%" not in source
    return table, str(source) if is_path else table.attrs["format"]


def _two(source, sides):
    """Both profiles of one source."""
    if len(sides) != 2:
        raise ValueError(f"{printable(str(source)[:200])}: one profile; give a second one to compare it with.")
    names = ("the first kernel", "the second kernel")
    return [(table, f"{_named(table, source)[1]}, {name}") for table, name in zip(sides, names, strict=True)]


def _pair(paths, read):
    """The two profiles of one or two files."""
    if len(read) == 1 and (len(paths) == 1 or len(read[paths[0]]) == 2):
        return _two(paths[0], read[paths[0]])
    for path in paths:
        if len(read[path]) == 2:
            raise ValueError(f"{printable(path)}: holds two profiles; give this file alone.")
    return [_named(read[path][0], path) for path in paths]


def _told_of(path, progress):
    return progress and (lambda done, total: progress(path, done, total))


# --- doing -----------------------------------------------------------------------------------------------------------
def _compared(before, after, floor, by, groups, normalised):
    tables = before[0], after[0]
    sides = [_side(table, name, floor) for table, name in (before, after)]
    kept = [table[(table["percent"] >= floor) & (table["percent"] > 0)] for table in tables]
    keyed_by = _identity(kept, by)
    added = [_added_up(table, keyed_by, normalised) for table in kept]
    labels = _labels(added, keyed_by)
    common = [key for key in added[0] if key in added[1] and not _is_nameless(key)]
    matched = _matched(added, common, labels)
    gone = _one_sided([row for key, row in added[0].items() if key not in {*common}], labels, "before", sides[1].lowest)
    new = _one_sided([row for key, row in added[1].items() if key not in {*common}], labels, "after", sides[0].lowest)
    named_gone, named_new = gone[~gone["unnamed"]], new[~new["unnamed"]]
    rescaling = _rescaling(matched["ratio"].to_numpy(float))
    return Comparison(
        matched=matched,
        gone=gone,
        new=new,
        **rescaling,
        gone_at_least=float(named_gone["at_least"].sum()),
        gone_at_most=float(named_gone["at_most"].sum()),
        new_at_least=float(named_new["at_least"].sum()),
        new_at_most=float(named_new["at_most"].sum()),
        groups=_groups(tables, groups),
        before=sides[0],
        after=sides[1],
        floor=floor,
        notes=tuple(_notes(tables, added, common, gone, new)),
        unfit=tuple(_unfit(tables, sides, len(matched))),
    )


def _side(table, name, floor):
    """What is to be said of a file."""
    kept = table[(table["percent"] >= floor) & (table["percent"] > 0)]
    left_out = int((table["percent"] > 0).sum()) - len(kept)
    lowest = max(table.attrs["lowest"] or SMALLEST, floor if left_out else 0)
    return Side(name, len(kept), float(table["percent"].sum()), float(lowest), left_out)


def _identity(tables, by):
    """The columns that a row is known by: those that both files have."""
    has = {name: [bool((table[name] != "").any()) for table in tables] for name in LABELS}
    has["kind"] = [bool((table["kind"] != "other").any()) for table in tables]
    if by is None:
        return tuple(name for name in (*LABELS, "kind") if all(has[name]) or name == "symbol")
    for name in by:
        missing = [side for side, there in zip(("before", "after"), has[name], strict=True) if not there]
        if missing and all(len(table) for table in tables):
            raise ValueError(f"by {name}: the file {missing[0]} does not print it.")
    return tuple(by) + (("kind",) if "dso" in by else ())


def _added_up(table, keyed_by, normalised):
    """Rows by what they are known by; what nothing tells apart is added up.

    Each has the names of its first row, ``percent``, the number of ``rows``, ``full`` (those that are not the same in
    everything) and ``written`` (the rules that were used, by the names as they are written).
    """
    found = {}
    for row in _each(table):
        names = {name: getattr(row, name) for name in LABELS}
        kernel = "kind" in keyed_by and row.kind == "kernel"
        told = [name for name in keyed_by if name != "kind" and not (kernel and name == "dso")]
        short = {name: _short(name, names[name], normalised) for name in told}
        key = [(name, short[name][0] if name in short else "kernel") for name in keyed_by if name != "kind"]
        if "kind" in keyed_by and "dso" not in keyed_by:
            key.append(("kind", "kernel" if kernel else ""))
        entry = found.setdefault(tuple(key), {**names, "percent": 0.0, "rows": 0, "full": set(), "written": {}})
        entry["percent"] += row.percent
        entry["rows"] += 1
        entry["full"].add((*names.values(), row.kind))
        entry["written"][tuple(names[name] for name in told)] = {rule for _, rules in short.values() for rule in rules}
    return found


@functools.lru_cache(10_000)
def _short(column, name, normalised):
    """A name without what changes from run to run, and the rules that took it away."""
    if normalised:
        return normalise(column, name)
    return name.rpartition("/")[2] if column == "dso" else name, ()


def _is_nameless(key):
    return any(name == "symbol" and is_unnamed(place) for name, place in key)


def _labels(added, keyed_by):
    """The columns to show: the symbol, and what else tells rows apart."""
    labels = [name for name in ("comm", "keys") if name in keyed_by]
    rest = [name for name in LABELS if name in keyed_by and name != "dso"]
    for rows in added:
        seen = [tuple(place for name, place in key if name in rest) for key in rows]
        if "dso" in keyed_by and ("symbol" not in keyed_by or len({*seen}) < len(seen)):
            labels.append("dso")
            break
    return [*labels, *(["symbol"] if "symbol" in keyed_by else [])]


def _matched(added, common, labels):
    before, after = ([rows[key] for key in common] for rows in added)
    matched = pd.DataFrame({name: [row[name] for row in before] for name in labels}, dtype=object)
    matched["before"] = np.array([row["percent"] for row in before], float)
    matched["after"] = np.array([row["percent"] for row in after], float)
    matched["ratio"] = matched["after"] / matched["before"]
    return matched


def _one_sided(rows, labels, side, lowest):
    """Rows of one side only; the other side is a bound."""
    unlisted = f"< {_amount(lowest)}"
    percent = pd.Series([row["percent"] for row in rows], dtype=float)
    columns = {"before": percent, "after": unlisted} if side == "before" else {"before": unlisted, "after": percent}
    out = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in labels})
    out = out.assign(**columns, at_least=(percent - lowest).clip(lower=0).round(9), at_most=percent)
    named = [is_unnamed(row["symbol"]) and "symbol" in labels for row in rows]
    return out.assign(unnamed=np.array(named, bool))


def _rescaling(ratios):
    logs, n = np.log(ratios), len(ratios)
    scale = math.exp(logs.mean()) if n else math.nan
    log_sd = float(logs.std(ddof=1)) if n > 1 else math.nan
    se = log_sd / math.sqrt(n) if n > 1 else math.nan
    return {
        "rows": n,
        "scale": scale,
        "median": float(np.median(ratios)) if n else math.nan,
        "log_sd": log_sd,
        "se": se,
        "removed": 100 * (1 - 1 / scale),
        "removed_se": 100 * se / scale,
    }


def _unfit(tables, sides, common):
    """Why the common rows do not speak for all samples."""
    if any(table.attrs["format"] == ROBOT for table in tables):
        yield "the table lists what changed, not what is largest"
    if common < FEW:
        yield f"only {count(common, 'row')} {'is' if common == 1 else 'are'} in both files"
    if any(side.total < LISTED for side in sides):
        hidden = [f"{100 - side.total:.0f} %" for side in sides]
        yield f"{hidden[0]} and {hidden[1]} of the samples are not listed"


def _groups(tables, patterns):
    """What the rows of each pattern have together; every listed row counts, whatever the floor."""
    out = []
    for pattern in patterns:
        wanted = re.compile(fnmatch.translate(pattern))
        rows = [
            [row.percent for row in _each(table) if row.percent > 0 and wanted.match(row.symbol)] for table in tables
        ]
        out.append((pattern, sum(rows[0]), sum(rows[1]), len(rows[0]), len(rows[1])))
    return pd.DataFrame(out, columns=["group", "before", "after", "rows_before", "rows_after"])


def _notes(tables, added, common, gone, new):
    """What was done to rows and names, what looks alike, and what the files say."""
    alike = [row for rows in added for row in rows.values() if row["rows"] > len(row["full"])]
    if alike:
        names = list(dict.fromkeys(row["symbol"] for row in alike))
        rows = sum(row["rows"] for row in alike)
        yield f"Added up: {rows:,} rows that nothing tells apart became {len(alike)} ({_some(names)})."
    rules = {}
    keys = [*common, *(key for rows in added for key, row in rows.items() if len(row["written"]) > 1)]
    for key in dict.fromkeys(keys):
        written = {}
        for rows in added:
            written.update(rows[key]["written"] if key in rows else {})
        if len(written) > 1:
            for rule in {rule for used in written.values() for rule in used}:
                rules.setdefault(rule, []).append(" = ".join(" ".join(filter(None, names)) for names in written))
    if rules:
        told = "; ".join(f"{rule} ({_some(names)})" for rule, names in sorted(rules.items()))
        yield f"Names that change from run to run were taken as one: {told}."
    yield from _alike(gone, new)
    for side, table in zip(("before", "after"), tables, strict=True):
        for note in table.attrs.get("notes", ()):
            yield f"Note, {side}: {note}"


def _alike(gone, new):
    """Rows that are gone and new under names that differ in numbers only: perhaps the same."""
    if "symbol" not in gone or "symbol" not in new:
        return
    sides = []
    for frame in (gone, new):
        frame = frame[~frame["unnamed"]]
        sides.append({without_numbers(_full(row)): _full(row) for row in _each(frame)})
    both = [name for name in sides[0] if name in sides[1]]
    if both:
        names = [f"{sides[0][name]} and {sides[1][name]}" for name in both]
        yield f"{len(both)} gone and new differ only in numbers: {_some(names)}. Are they the same?"


def _some(names):
    return f"{', '.join(names[:2])} and {len(names) - 2} more" if len(names) > 2 else ", ".join(names)


def _each(frame):
    return frame.itertuples(index=False)


def _full(row):
    """What a row of a comparison is called."""
    where = [getattr(row, name) for name in ("comm", "keys") if getattr(row, name, "")]
    dso, symbol = getattr(row, "dso", ""), getattr(row, "symbol", "")
    what = f"{symbol} ({dso.rpartition('/')[2]})" if symbol and dso else symbol or dso
    return ": ".join([*where, *([what] if what else [])])


def _label(row):
    text = printable(_full(row))
    return text if len(text) <= 60 else text[:59] + "…"


def _amount(value):
    return value if isinstance(value, str) else f"{value:.2f}" if value >= 0.01 else f"{value:.2g}"
