"""A score sheet: policies beside each other in several scores, a small dot plot for each."""

import pandas as pd

from ..checks import shown
from ..words import count, listing, number
from .base import Canvas, Figure, looks, styled

ACROSS = 4  # panels beside each other


@styled
def score_sheet(rows, units, own=None):
    """Dots: one small panel a score, one row a policy; further left is better.

    Parameters
    ----------
    rows : dict of str to dict of str to float
        The scores of each policy, by the score's name.
    units : dict of str to str
        The unit of each score; the panels stand in this order.
    own : str, optional
        The policy that the others are compared with; its row is marked.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no policy, a policy lacks a score, or ``own`` is none of them.

    Examples
    --------
    >>> rows = {"v4.13": {"web": 2.1, "drift": 62}, "v4.14": {"web": 0.4, "drift": 64}}
    >>> rows["mine"] = {"web": 0.3, "drift": 128}
    >>> score_sheet(rows, {"web": "atomics a call", "drift": "pages"}, own="mine")
    Figure: mine is best of 3 policies in web, and worst in drift.
    In words: Dot plot, 2 scores of 3 policies, less is better. mine, and the best of the others: web 0.3 atomics \
a call, v4.14 0.4; drift 128 pages, v4.13 62.
    """
    if not rows:
        raise ValueError("there is no policy to show.")
    for name, scores in rows.items():
        if set(scores) != set(units):
            raise ValueError(f"{shown(name)} must have the scores {listing(units)}, and no others.")
    if own is not None and own not in rows:
        raise ValueError(f"own is {shown(own)}; the policies are {listing(rows)}.")
    names = list(rows)
    look = looks(names)
    lines = -(-len(units) // ACROSS)
    figure = Canvas(figsize=(8, lines * (0.65 + 0.27 * len(names))))
    panels = figure.subplots(lines, min(ACROSS, len(units)), squeeze=False)
    for axis in panels.ravel()[len(units) :]:
        axis.remove()
    for axis, (score, unit) in zip(panels.ravel(), units.items(), strict=False):
        for place, name in enumerate(names):
            value = rows[name][score]
            axis.plot([0, value], [place, place], color=look[name].color, linewidth=1)
            axis.plot(value, place, look[name].marker, color=look[name].color, markersize=8 if name == own else 6)
            axis.annotate(
                number(value, 3), (value, place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=9
            )
        axis.set_xlabel(f"{score}, {unit}", fontsize=9)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_xlim(0, 1.5 * max(row[score] for row in rows.values()) or 1)
        axis.set_xticks([0])
        axis.set_yticks(range(len(names)), names if axis in panels[:, 0] else [], fontsize=9)
        for label in axis.get_yticklabels():
            label.set_fontweight("bold" if label.get_text() == own else "normal")
    return Figure(figure, *_words(rows, units, own), pd.DataFrame.from_dict(rows, orient="index")[list(units)])


def _words(rows, units, own):
    """Caption and sentence."""
    policies = count(len(rows), "policy")
    start = f"Dot plot, {count(len(units), 'score')} of {policies}, less is better."
    if own is None:
        best = [f"{score} {min(row[score] for row in rows.values()):g}" for score in units]
        first = [f"{score} {min(rows, key=lambda name: rows[name][score])}" for score in units]
        return f"The best of {policies}: {listing(first)}.", f"{start} The best: {listing(best)}."
    others = {name: row for name, row in rows.items() if name != own}
    best = [score for score in units if all(rows[own][score] < row[score] for row in others.values())]
    worst = [score for score in units if others and all(rows[own][score] > row[score] for row in others.values())]
    parts = [f"best of {policies} in {listing(best)}"] if best else [f"best of {policies} in no score"]
    parts += [f"worst in {listing(worst)}"] if worst else []
    told = []
    for score, unit in units.items():
        least = min(others or rows, key=lambda name: rows[name][score])
        told.append(f"{score} {number(rows[own][score], 3)} {unit}, {least} {number(rows[least][score], 3)}")
    return f"{own} is {', and '.join(parts)}.", f"{start} {own}, and the best of the others: {'; '.join(told)}."
