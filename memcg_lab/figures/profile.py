"""The chart of a profile: its rows as bars, some of them marked."""

import pandas as pd

from ..checks import shown, whole_number
from ..words import count, listing, number
from .base import FURTHER, Figure, canvas, numbers, plain, styled

BARS_SHOWN = 30  # of a long profile; more could not be read


@styled
def profile_bars(profile, marked=()):
    r"""Bars: the rows of a profile, those that are marked filled and named so, the others grey.

    Parameters
    ----------
    profile : DataFrame
        What ``read_perf`` gave, or any table with the columns ``percent`` and ``symbol``.
    marked : sequence of str or int
        Symbols (every row of that name) or numbers of rows from 0.

    Returns
    -------
    Figure
        At most 30 rows are drawn; sums and sentence know all of them.

    Raises
    ------
    ValueError
        If the table has no rows or not these columns, or what is marked is not in it.

    Examples
    --------
    >>> from memcg_lab.perf import read_perf
    >>> listing = read_perf("2.13% [kernel] [k] page_counter_cancel\n0.84% [kernel] [k] tcp_ack\n")
    >>> print(profile_bars(listing, marked=["tcp_ack"]).caption)
    1 of 2 rows is marked: 0.84 % of all samples.
    """
    rows, percents = profile_rows(profile)
    marked = marked_rows(rows, marked)
    shown = min(len(rows), BARS_SHOWN)
    table = pd.DataFrame(
        {"symbol": rows, "percent": percents, "marked": [k in marked for k in range(len(rows))]},
        index=pd.Index(range(1, len(rows) + 1), name="row", dtype=object),
    )
    return Figure(_draw(rows, percents, marked, shown), *profile_bars_words(rows, percents, marked, shown), table)


def profile_bars_words(rows, percents, marked, shown):
    """Caption and sentence of the bars of a profile.

    Parameters
    ----------
    rows : list of str
        The symbols, in the order of the listing.
    percents : list of float
    marked : list of int
        Rows that are marked, from 0.
    shown : int
        Bars that are drawn.

    Examples
    --------
    >>> profile_bars_words(["a", "b"], [2.13, 1.0], [0], 2)[0]
    '1 of 2 rows is marked: 2.13 % of all samples.'
    """
    n = len(rows)
    listed = f"{sum(percents):.2f} %"
    if not marked:
        caption = f"{count(n, 'row')} with {listed} of all samples; none is marked."
    else:
        caption = (
            f"{number(len(marked))} of {count(n, 'row')} {'is' if len(marked) == 1 else 'are'} marked: "
            f"{sum(percents[k] for k in marked):.2f} % of all samples."
        )
    caption += f" The first {number(shown)} are drawn." if shown < n else ""
    sentence = (
        f"Bar chart, percent of samples by symbol, {count(n, 'row')} from {percents[0]:.2f} to {percents[-1]:.2f} %: "
    )
    told = [f"{rows[k]} {percents[k]:.2f}" for k in marked[:4]]
    if len(marked) > 4:
        told.append(f"{number(len(marked) - 4)} more")
    sentence += f"marked {'is' if len(marked) == 1 else 'are'} {listing(told)}." if marked else "none is marked."
    return caption, sentence


def profile_rows(profile):
    """Symbols and percents of a profile, row by row, or a ValueError that says what is missing."""
    if not isinstance(profile, pd.DataFrame) or not {"percent", "symbol"} <= set(profile.columns):
        raise ValueError("profile is not a table of read_perf(); it needs the columns percent and symbol.")
    if not len(profile):
        raise ValueError("profile has no rows.")
    percents = numbers("percent", list(profile["percent"])).tolist()
    wrong = [k for k, percent in enumerate(percents) if not 0 <= percent <= 100]
    if wrong:
        raise ValueError(f"row {wrong[0] + 1} of the profile has {percents[wrong[0]]} percent; allowed are 0 to 100.")
    return [str(symbol) for symbol in profile["symbol"]], percents


def marked_rows(rows, marked):
    """Numbers of the rows that are named, from 0, in order; each entry is a symbol or such a number."""
    if isinstance(marked, str) or not hasattr(marked, "__iter__"):
        raise ValueError(f"marked is {shown(marked)}; it must be a list of symbols, such as [{rows[0]!r}].")
    found = set()
    for entry in marked:
        if isinstance(entry, str):
            named = [k for k, row in enumerate(rows) if row == entry]
            if not named:
                raise ValueError(f"{shown(entry)} is marked, but no row of the profile has this symbol.")
            found.update(named)
        else:
            found.add(whole_number("a marked row", entry, 0, len(rows) - 1))
    return sorted(found)


def _draw(rows, percents, marked, shown):
    figure, axes = canvas()
    figure.set_size_inches(8, 1.0 + 0.285 * max(shown, 4))
    for k in range(shown):
        _bar(axes, k, percents[k], k in marked)
    axes.set_yticks(range(shown), [plain(row) for row in rows[:shown]])
    for k, label in enumerate(axes.get_yticklabels()):
        label.set_fontweight("bold" if k in marked else "normal")
    axes.set_ylim(shown - 0.4, -0.6)
    axes.set_xlim(0, max(*percents, 0.01) * 1.25)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)  # a line would run through the numbers
    axes.set_xlabel("percent of all samples")
    return figure


def _bar(axes, k, percent, filled):
    axes.barh(
        k,
        percent,
        height=0.74,
        facecolor=FURTHER[0].color if filled else "#e3e3e3",
        edgecolor="#003d2c" if filled else "#8a8a8a",
        hatch="///" if filled else "",
        linewidth=1.2,
    )
    axes.annotate(
        f"{percent:.2f}" + ("  marked" if filled else ""),
        (percent, k),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold" if filled else "normal",
        color="#005f45" if filled else "#222222",
    )
