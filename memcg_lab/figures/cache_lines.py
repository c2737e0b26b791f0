"""The picture of a cache line: who owns it, who has a valid copy, and which touches are free."""

import numpy as np
import pandas as pd

from ..checks import whole_number
from ..machine.cache_lines import V4_13_LAYOUT, V5_12_LAYOUT, WORDS, Layout
from ..words import kind
from .base import AFTER, Figure, canvas, styled

KINDS = ("atomic", "load")
CPUS_MAX, TOUCHES_MAX, COLUMNS_MAX = 4, 10, 9
OWNS, COPY, NOTHING, ASKS, FREE = "owns", "copy", "–", "asks", "free"
LOOKS = {OWNS: (AFTER, "white"), COPY: ("#cfe3f2", "#222222"), NOTHING: ("white", "#888888")}
LAYOUTS = {"one line": V4_13_LAYOUT, "parent apart": V5_12_LAYOUT}


@styled
def cache_lines(touches, layouts=None):
    """Step by step: which CPU owns a line or has a copy of it, and which touches have to ask other CPUs.

    The rules are those of every machine whose caches agree. An atomic needs the line alone: all other copies become
    invalid. A load needs a valid copy; an owner then shares the line. A touch that has what it needs is free.

    Parameters
    ----------
    touches : list of (int, str, str)
        CPU (0 to 3), ``"atomic"`` or ``"load"``, and the word of the page counter; 1 to 10.
    layouts : dict of str to Layout, optional
        Side by side. By default v4.13, with all words on one line, and v5.12, where ``parent`` has left it.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a touch or a layout does not exist, or there are too many.

    Examples
    --------
    >>> turns = [(0, "atomic", "count"), (1, "load", "parent")] * 2
    >>> cache_lines(turns).caption
    'Of 4 touches 4 have to ask other CPUs with one line, and 2 with parent apart.'
    """
    touches, layouts = _touches(touches), _layouts(LAYOUTS if layouts is None else layouts)
    names = [f"CPU {cpu}: {what} {word}" for cpu, what, word in touches]
    walks = {name: _walk(touches, layout) for name, layout in layouts.items()}
    columns = sum(walk.shape[1] for walk in walks.values())
    if columns > COLUMNS_MAX:
        raise ValueError(f"that makes {columns} columns, more than {COLUMNS_MAX}; take fewer CPUs, words or layouts.")

    figure, panels = canvas(len(walks), width_ratios=[walk.shape[1] for walk in walks.values()])
    panels = np.atleast_1d(panels)
    for axes, (name, walk) in zip(panels, walks.items(), strict=True):
        _draw(axes, walk, name)
        axes.set_yticks(range(len(names)), names if axes is panels[0] else [])
    panels[0].set_ylabel("touches, in order")

    asked = {name: int((walk["asks?"] == ASKS).sum()) for name, walk in walks.items()}
    told = [f"{n} have to ask other CPUs with {name}" for name, n in asked.items()]
    brief = [told[0], *(f"{n} with {name}" for name, n in list(asked.items())[1:])]
    caption = f"Of {len(touches)} touches {', and '.join(brief)}."
    sentence = f"Step chart, who has a cache line after each of {len(touches)} touches: {'; '.join(told)}."
    table = pd.concat({name: walk.reset_index(drop=True) for name, walk in walks.items()}, axis=1)
    table.columns = [f"{name}, {column}".replace("\n", " ") for name, column in table.columns]
    table.index = pd.Index(names, name="touch")
    return Figure(figure, caption, sentence, table)


def _walk(touches, layout):
    """Who has each line after each touch: a column for each line and CPU, and whether the touch had to ask."""
    lines = {}
    for _, _, word in touches:
        lines.setdefault(getattr(layout, word), []).append(word)
    cpus = sorted({cpu for cpu, _, _ in touches})
    has = {(line, cpu): NOTHING for line in lines for cpu in cpus}
    rows = []
    for cpu, what, word in touches:
        line = getattr(layout, word)
        asks = has[line, cpu] != OWNS if what == "atomic" else has[line, cpu] == NOTHING
        for other in cpus if asks else ():
            if what == "atomic":
                has[line, other] = OWNS if other == cpu else NOTHING
            elif other == cpu or has[line, other] == OWNS:
                has[line, other] = COPY
        rows.append([*has.values(), ASKS if asks else FREE])
    words = {line: "\n".join(dict.fromkeys(found)) for line, found in lines.items()}
    return pd.DataFrame(rows, columns=[*(f"{words[line]}\nCPU {cpu}" for line, cpu in has), "asks?"])


def _draw(axes, walk, name):
    for y, row in enumerate(walk.itertuples(index=False)):
        for x, text in enumerate(row):
            face, ink = LOOKS.get(text, ("white", "#222222"))
            if text in LOOKS:
                axes.barh(y, 0.9, 0.84, left=x - 0.45, facecolor=face, edgecolor="#888888", linewidth=0.8)
            weight = "bold" if text in (OWNS, ASKS) else "normal"
            axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=10, fontweight=weight)
    axes.set_xticks(range(walk.shape[1]), walk.columns)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xlabel(name)
    axes.set_xlim(-0.6, walk.shape[1] - 0.4)
    axes.set_ylim(len(walk) - 0.4, -0.6)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _touches(touches):
    try:
        touches = [(cpu, what, word) for cpu, what, word in touches]
    except (TypeError, ValueError):
        raise ValueError(f'touches is {kind(touches)}; give a list such as [(0, "atomic", "count")].') from None
    if not 1 <= len(touches) <= TOUCHES_MAX:
        raise ValueError(f"{len(touches)} touches; the picture takes 1 to {TOUCHES_MAX}.")
    for k, (cpu, what, word) in enumerate(touches):
        whole_number(f"CPU of touch {k}", cpu, 0, CPUS_MAX - 1)
        if what not in KINDS:
            raise ValueError(f'touch {k} is {what!r}; it must be "atomic" or "load".')
        if word not in WORDS:
            raise ValueError(f"word of touch {k} is {word!r}; there are {', '.join(WORDS)}.")
    return touches


def _layouts(layouts):
    if not isinstance(layouts, dict) or not layouts or not all(isinstance(one, Layout) for one in layouts.values()):
        raise ValueError('layouts must be a dict of names and layouts, such as {"one line": V4_13_LAYOUT}.')
    return layouts
