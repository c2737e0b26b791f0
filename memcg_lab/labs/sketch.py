"""Lines as SVG: what the figure shows, drawn fast enough to follow every move of a lab."""

import html

from matplotlib.ticker import MaxNLocator

from ..figures.base import looks
from ..figures.over_ops import end_labels
from ..words import number

WIDTH, HEIGHT = 720, 288  # pixels, as the figures have them
LEFT, TOP, BOTTOM = 66, 14, 46
LETTER = 8.3  # pixels of a letter of a label
DARK = "#222222"

_MARKERS = {
    "s": "M-5-5H5V5H-5Z",
    "o": "M-5.5 0A5.5 5.5 0 1 0 5.5 0A5.5 5.5 0 1 0-5.5 0Z",
    "^": "M0-6L6 5H-6Z",
    "D": "M0-6.5L6.5 0L0 6.5L-6.5 0Z",
}


def lines(series, ylabel, sentence, bound=None, bound_name="bound", cursor=None, *, first=0, xlabel="operation"):
    """Steps over operations, each line labelled with its highest value.

    Parameters
    ----------
    series : dict of str to sequence of int
        Values after each operation, with the start in front; all of one length.
    ylabel : str
    sentence : str
        The alternative text.
    bound : int, optional
        A level drawn across.
    bound_name : str
    cursor : int, optional
        An operation to mark with an upright line, from 0.
    first : int
        Number of the first operation.
    xlabel : str

    Returns
    -------
    str
        An ``<svg>`` of 720 by 288 pixels.

    Examples
    --------
    >>> lines({"after": [0, 1]}, "pages", "One line.")[:44]
    '<svg role="img" aria-label="One line." width'
    """
    n = len(next(iter(series.values()))) - 1
    top = max([1, bound or 0, *(max(values) for values in series.values())]) * 1.08
    labels = end_labels(series, peaks=True)
    labels += [f"{bound_name}: {number(bound)}"] if bound is not None else []
    right = WIDTH - 14 - LETTER * max(map(len, labels))

    def x(k):
        return LEFT + (right - LEFT) * k / max(1, n)

    def y(value):
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top

    parts = [_axes(n, top, x, y, right, ylabel, first, xlabel)]
    chosen = looks(series)
    ends = []
    drawn = []
    every = max(1, n // 6)
    for rank, (label, values) in enumerate(series.items()):
        look = chosen[label]
        values = [int(value) for value in values]
        width = look.width - 1.0 if values in drawn else look.width  # thinner, so that the line below stays visible
        drawn.append(values)
        parts.append(f'<path d="{_steps(values, x, y)}" fill="none" stroke="{look.color}" stroke-width="{width}"/>')
        start = (rank * every) // max(2, len(series)) + every // 3
        shape = _MARKERS.get(look.marker, _MARKERS["o"])
        parts.extend(
            f'<path d="{shape}" fill="{look.color}" transform="translate({x(k):.1f} {y(values[k]):.1f})"/>'
            for k in range(start, n + 1, every)
        )
        ends.append((y(values[-1]), labels[rank], look.color))
    if bound is not None:
        parts.append(
            f'<line x1="{LEFT}" x2="{right:.1f}" y1="{y(bound):.1f}" y2="{y(bound):.1f}" stroke="{DARK}" '
            'stroke-width="1.4" stroke-dasharray="4,4"/>'
        )
        ends.append((y(bound), labels[-1], DARK))
    if cursor is not None:
        parts.append(
            f'<line class="cursor" x1="{x(cursor):.1f}" x2="{x(cursor):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" '
            'stroke="#111111" stroke-width="2"/>'
        )
    parts.append(_labels(ends, right + 8))
    return (
        f'<svg role="img" aria-label="{html.escape(sentence)}" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" style="background:#ffffff;font:14px \'DejaVu Sans\',system-ui,sans-serif">'
        f"{''.join(parts)}</svg>"
    )


def _axes(n, top, x, y, right, ylabel, first, xlabel):
    """Grid, ticks on whole numbers, and what the axes are."""
    parts = []
    for tick in MaxNLocator(nbins=6, integer=True).tick_values(0, top):
        if 0 <= tick <= top:
            at = y(tick)
            parts.append(
                f'<line x1="{LEFT}" x2="{right:.1f}" y1="{at:.1f}" y2="{at:.1f}" stroke="#dddddd"/>'
                f'<text x="{LEFT - 6}" y="{at + 5:.1f}" text-anchor="end" fill="{DARK}">{number(int(tick))}</text>'
            )
    for tick in MaxNLocator(nbins=8, integer=True).tick_values(first, first + n):
        if first <= tick <= first + n:
            parts.append(
                f'<text x="{x(tick - first):.1f}" y="{HEIGHT - BOTTOM + 19}" text-anchor="middle" fill="{DARK}">'
                f"{number(int(tick))}</text>"
            )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{right:.1f}" fill="none" stroke="#666666"/>'
        f'<text x="{(LEFT + right) / 2:.1f}" y="{HEIGHT - 6}" text-anchor="middle" fill="{DARK}">'
        f"{html.escape(xlabel)}</text>"
        f'<text transform="translate(15 {middle}) rotate(-90)" text-anchor="middle" fill="{DARK}">'
        f"{html.escape(ylabel)}</text>"
    )
    return "".join(parts)


def _steps(values, x, y):
    path = [f"M{x(0):.1f} {y(values[0]):.1f}"]
    for k in range(1, len(values)):
        path.append(f"H{x(k):.1f}")
        if values[k] != values[k - 1]:
            path.append(f"V{y(values[k]):.1f}")
    return "".join(path)


def _labels(ends, left):
    """Each line's label at its end; labels that would cover each other are moved apart."""
    order = sorted(range(len(ends)), key=lambda i: ends[i][0])
    placed = []
    for i in order:
        placed.append(max(ends[i][0] + 5, placed[-1] + 18) if placed else max(ends[i][0] + 5, 14))
    limit = HEIGHT - BOTTOM + 5
    for k in range(len(placed) - 1, -1, -1):
        placed[k] = min(placed[k], limit)
        limit = placed[k] - 18
    return "".join(
        f'<text x="{left:.1f}" y="{at:.1f}" fill="{ends[i][2]}" font-weight="bold">{html.escape(ends[i][1])}</text>'
        for at, i in zip(placed, order, strict=True)
    )
