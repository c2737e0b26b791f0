"""The chart of a room's answers: one bar for each, those who were sure filled."""

import matplotlib.patches
import pandas as pd

from ..words import number
from .base import AFTER, GREY, THIRD, Figure, canvas, plain, styled, whole

COLUMNS = ["answers", "sure", "mean_sure", "right", "says"]


@styled
def answers_by_guess(table, sentence, sure_from):
    """Bars: how many gave each answer; the part that was sure of it is filled.

    Parameters
    ----------
    table : DataFrame
        One row for each answer, the index in words; ``answers`` and ``sure`` are counts, ``mean_sure`` percent or
        None, ``right`` True for what came out, ``says`` the sentence of a usual wrong answer, or "".
    sentence : str
        What the bars say, with the number.
    sure_from : int
        From which percentage on somebody counts as sure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the table has not these columns.

    Examples
    --------
    >>> told = pd.DataFrame([[3, 1, 60, True, ""]], index=["621"], columns=COLUMNS)
    >>> answers_by_guess(told, "3 answers, all right.", 75).caption
    '3 answers, all right.'
    """
    if not isinstance(table, pd.DataFrame) or list(table.columns) != COLUMNS:
        raise ValueError(f"the table has not the columns {', '.join(COLUMNS)}.")
    alt = f"Bar chart, readers by answer, those at least {sure_from} % sure filled. {sentence}"
    return Figure(_draw(table, sure_from), sentence, alt, table)


def _draw(table, sure_from):
    figure, axes = canvas()
    figure.set_size_inches(8, 1.2 + 0.34 * max(len(table), 3))
    for k, row in enumerate(table.itertuples(index=False)):
        color = THIRD if row.right else AFTER
        axes.barh(k, row.answers, 0.6, facecolor="white", edgecolor=color, lw=1.6)
        axes.barh(k, row.sure, 0.6, facecolor=color, edgecolor=color, lw=1.6)
        mean = "" if row.mean_sure is None or pd.isna(row.mean_sure) else f", {number(int(row.mean_sure))} % sure"
        axes.annotate(f"{row.answers}{mean}", (row.answers, k), (5, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(table)), [plain(name) for name in table.index])
    axes.set_ylim(max(len(table), 1) - 0.4, -0.6)
    axes.set_xlim(0, max([*table["answers"], 4]) * 1.25)
    axes.set_xlabel("answers")
    axes.grid(False, axis="y")
    whole(axes.xaxis)
    parts = [("white", f"less than {sure_from} % sure, or did not say"), (GREY, f"at least {sure_from} % sure")]
    axes.legend(
        handles=[matplotlib.patches.Patch(facecolor=face, edgecolor=GREY, label=label) for face, label in parts],
        loc="lower right",
    )
    if not len(table):
        axes.annotate("no answers yet", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center")
    return figure
