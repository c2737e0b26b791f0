"""The chart of drift: how far the counter is ahead at most, against the number of CPUs."""

import pandas as pd

from ..checks import whole_number
from ..words import capital, count, listing, number
from .base import Figure, canvas, counts, label_ends, looks, plain, rising, styled, whole


@styled
def drift_bound(cpus, worst, batch, slots=1):
    """Lines: the largest drift against the number of CPUs, with the line of what all stocks may hold.

    Parameters
    ----------
    cpus : sequence of int
        Numbers of CPUs, rising.
    worst : dict of str to sequence of int
        Pages the counter was ahead at most, one for each number of CPUs; one to four lines.
    batch : int
        Pages that one slot of a stock may hold.
    slots : int
        Slots of each CPU's stock; the line is CPUs × slots × batch.

    Returns
    -------
    Figure
        Lines that coincide lie upon each other as a wide one and a narrow one, and the sentence says so.

    Raises
    ------
    ValueError
        If there is no line, the lengths differ, or a number is out of range.

    Examples
    --------
    >>> figure = drift_bound([1, 2, 4], {"depth 1": [32, 64, 128], "depth 4": [32, 64, 128]}, batch=32)
    >>> print(figure.caption)
    On 4 CPUs the counter is up to 128 pages ahead. Depth 1 and depth 4 coincide, and lie on the line CPUs × 32.
    """
    cpus = rising("cpus", cpus, 1)
    batch = whole_number("batch", batch, 1, 2**31 - 1)
    if not isinstance(worst, dict) or not 1 <= len(worst) <= 4:
        raise ValueError('worst must be a dict of one to four lines, such as {"depth 1": [32, 64]}.')
    worst = {str(label): counts(f'worst["{label}"]', pages, cpus, "number of CPUs") for label, pages in worst.items()}
    line, bound = _bound(cpus, batch, whole_number("slots", slots, 1, 2**31 - 1))
    table = pd.DataFrame(worst | {line: bound}, index=pd.Index(cpus, name="CPUs", dtype=object))
    return Figure(_draw(cpus, worst, line, bound), *drift_bound_words(cpus, worst, batch, slots), table)


def _bound(cpus, batch, slots):
    """What the line of the bound is called, and its pages."""
    each = "" if slots == 1 else f"{number(slots)} slots × "
    return f"CPUs × {each}{number(batch)}", [n * slots * batch for n in cpus]


def drift_bound_words(cpus, worst, batch, slots=1):
    """Caption and sentence of the largest drift; ``worst`` maps labels to pages, one for each number of CPUs."""
    most, (name, bound) = cpus[-1], _bound(cpus, batch, slots)
    groups = {}
    for label, pages in worst.items():
        groups.setdefault(tuple(pages), []).append(label)
    told = [_group(labels, pages, bound, f"the line {name}") for pages, labels in groups.items()]
    caption = f"On {count(most, 'CPU')} the counter is up to {count(max(p[-1] for p in groups), 'page')} ahead. "
    caption += f"{capital('; '.join(told))}."
    sentence = (
        f"Line chart, largest drift in pages over {number(cpus[0])} to {count(most, 'CPU')}: {'; '.join(told)}, "
        f"which ends at {number(bound[-1])}."
    )
    return caption, sentence


def _group(labels, pages, bound, line):
    many = len(labels) > 1
    told = f"{listing(labels)} coincide, and " if many else f"{labels[0]} "
    if list(pages) == bound:
        return f"{told}{'lie' if many else 'lies'} on {line}"
    if all(p <= b for p, b in zip(pages, bound, strict=True)):
        return f"{told}{'end' if many else 'ends'} at {number(pages[-1])}, never above {line}"
    return f"{told}{'end' if many else 'ends'} at {number(pages[-1])}, above {line}"


def _draw(cpus, worst, line, bound):
    figure, axes = canvas()
    chosen = looks(worst)
    ends = []
    for rank, (label, pages) in enumerate(worst.items()):
        below = len(worst) - 1 - rank  # lines still to come: the earlier a line, the wider it is
        _line(axes, cpus, pages, chosen[label], rank, below)
        ends.append((cpus[-1], pages[-1], f"{plain(label)}: {number(pages[-1])}", chosen[label].color))
    axes.plot(cpus, bound, color="#222222", linewidth=1.3, linestyle=(0, (2, 2)), zorder=4)
    ends.append((cpus[-1], bound[-1], f"{line}: {number(bound[-1])}", "#222222"))
    axes.set_xlim(0, cpus[-1] * 1.02)
    axes.set_ylim(0, max(1, *bound, *(max(pages) for pages in worst.values())) * 1.08)
    # Where numbers double, the first ones would cover each other.
    apart = [n for k, n in enumerate(cpus) if k == len(cpus) - 1 or n >= cpus[-1] / 10]
    axes.set_xticks([0, *apart] if len(apart) <= 10 else [0, cpus[-1]])
    whole(axes.yaxis)
    axes.set_xlabel("CPUs")
    axes.set_ylabel("largest drift, pages")
    label_ends(axes, ends)
    return figure


def _line(axes, cpus, pages, look, rank, below):
    """One line and its marks; a line with others still to come is wide and pale, so that it stays visible."""
    axes.plot(
        cpus,
        pages,
        color=look.color,
        linestyle="-" if below else look.linestyle,
        linewidth=2.2 + 4.5 * below,
        alpha=0.45 if below else 1.0,
        zorder=2 + rank / 10,
        clip_on=False,
    )
    axes.plot(
        cpus,
        pages,
        linestyle="none",
        marker=look.marker,
        markersize=6 + 6 * below,
        markerfacecolor="white" if below else look.color,
        markeredgecolor=look.color,
        markeredgewidth=2,
        zorder=3 + rank / 10,
        clip_on=False,
    )
