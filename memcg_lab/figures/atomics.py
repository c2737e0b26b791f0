"""Charts of atomics: by counter level, over operations, by pages of a call, by depth."""

import numpy as np
import pandas as pd

from ..checks import shown
from ..history import path as path_up
from ..system import System
from ..words import count, factor, kind, number
from .base import LOOKS, Figure, canvas, counts, fill, label_ends, numbers, rising, styled, thousands, whole
from .over_ops import draw_lines, last_operation, over_ops_words, rows_of, series_of

PAIR = ("before", "after")


# --- by counter level ------------------------------------------------------------------------------------------------
@styled
def atomics_by_level(before, after, leaf=None):
    """Bars: atomics on each counter from a leaf to the root, before and after the patch.

    Parameters
    ----------
    before, after : System
        The same tree after the same traffic under two policies.
    leaf : int, optional
        The cgroup whose path is drawn; by default the deepest one that saw most atomics before.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the trees or the traffic differ, or the leaf does not exist.

    Examples
    --------
    >>> from memcg_lab import System, V4_13, V4_14, pingpong
    >>> before, after = (System.chain(depth=2, cpus=1, policy=p) for p in (V4_13, V4_14))
    >>> _ = before.replay(pingpong(50, memcg=2)), after.replay(pingpong(50, memcg=2))
    >>> print(atomics_by_level(before, after).table.to_string(index_names=False))
             memcg  before  after
    leaf         2      52      1
    level 1      1      52      1
    root         0      52      1
    """
    _check_same_traffic(before, after)
    table = _levels(before, after, leaf)
    sums, root = table.sum(), table.loc["root"]
    words = atomics_by_level_words(*(int(of[name]) for of in (sums, root) for name in PAIR), len(table))
    return Figure(_draw_levels(table), *words, table)


def atomics_by_level_words(before, after, root_before, root_after, levels):
    """Caption and sentence of the bars by counter level; the first two are totals over all levels."""
    caption = (
        f"Giving back through the stocks takes {number(after)} atomics instead of {number(before)} "
        f"for the same traffic, {factor(before, after)}."
    )
    if before <= after:
        caption = f"The same traffic takes {number(before)} atomics before the patch and {number(after)} after it."
    sentence = (
        f"Bar chart, atomics by counter level, {count(levels, 'level')} from the leaf to the root: before the patch "
        f"the root takes {number(root_before)}, after it {number(root_after)}."
    )
    return caption, sentence


def _check_same_traffic(before, after):
    """Two systems of one tree after the same traffic, or a ValueError."""
    for name, system in (("before", before), ("after", after)):
        if not isinstance(system, System):
            raise ValueError(f"{name} is {kind(system)}; it must be a System.")
    if before.parents != after.parents:
        raise ValueError("before and after have different trees; make both with the same parents.")
    apart = np.flatnonzero(before.sock != after.sock)
    if apart.size:
        m = int(apart[0])
        raise ValueError(
            f"before and after did not run the same traffic: memcg {m} has {before.sock[m]:,} socket pages before "
            f"and {after.sock[m]:,} after."
        )


def _levels(before, after, leaf):
    """Atomics on each counter from the leaf to the root."""
    parents = before.parents
    taken = {"before": before.atomics_by_memcg(), "after": after.atomics_by_memcg()}
    if leaf is None:
        inner = set(parents)
        leaves = [m for m in range(len(parents)) if m not in inner]
        leaf = max(leaves, key=lambda m: (taken["before"][m], -m))
    elif isinstance(leaf, bool) or leaf not in range(len(parents)):
        raise ValueError(f"leaf is {shown(leaf)}; this tree has memcgs 0 to {len(parents) - 1}.")
    path = path_up(parents, leaf)
    names = ["leaf", *(f"level {k}" for k in range(len(path) - 2, 0, -1)), "root"][-len(path) :]
    return pd.DataFrame(
        {"memcg": path, **{name: values[path] for name, values in taken.items()}},
        index=pd.Index(names, name="level"),
    )


def _draw_levels(table):
    figure, axes = canvas()
    place = np.arange(len(table))
    for name, shift in (("before", -0.2), ("after", 0.2)):
        look = LOOKS[name]
        bars = axes.bar(place + shift, table[name], width=0.36, linewidth=1.6, label=name, **fill(look))
        axes.bar_label(bars, [number(v) for v in table[name]], padding=2, color=look.color, fontweight="bold")
    axes.set_xticks(place, [f"{name}\nmemcg {m}" for name, m in zip(table.index, table["memcg"], strict=True)])
    axes.tick_params(axis="x", length=0)
    axes.grid(False)  # a line would run through the numbers
    axes.set_ylabel("atomics on the counter")
    top = max(1, int(table[list(PAIR)].to_numpy().max()))
    axes.set_ylim(0, top * 1.16)
    axes.set_xlim(-0.6, len(table) - 0.4)
    whole(axes.yaxis)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, handlelength=2.2, handleheight=1.2)
    return figure


# --- over operations -------------------------------------------------------------------------------------------------
@styled
def atomics_over_ops(runs, cursor=None):
    """Lines: atomics so far, operation by operation, for several runs of one stream.

    Parameters
    ----------
    runs : dict of str to DataFrame or sequence of int
        What :func:`record` gave, or the running count after each operation with a 0 in front. The labels "before" and
        "after" (or "v4.13" and "v4.14") get the fixed pair of looks.
    cursor : int, optional
        An operation to mark with an upright line.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no run, the runs differ in length, or a count falls.

    Examples
    --------
    >>> from memcg_lab import System, V4_13, V4_14, pingpong
    >>> from memcg_lab.figures import record
    >>> ops = pingpong(20)
    >>> runs = {p.name: record(System.chain(depth=1, cpus=1, policy=p), ops) for p in (V4_13, V4_14)}
    >>> print(atomics_over_ops(runs).caption)
    After 40 operations: v4.13 42 and v4.14 2 atomics.
    """
    series = series_of(runs, "atomics")
    for label, values in series.items():
        if (np.diff(values) < 0).any():
            at = int(np.flatnonzero(np.diff(values) < 0)[0]) + 1
            raise ValueError(f'run "{label}": the count falls at operation {at:,}; atomics so far can only grow.')
    finals = {label: int(values[-1]) for label, values in series.items()}
    words = over_ops_words("atomics", finals, last_operation(series))
    return Figure(draw_lines(series, "atomics so far", cursor), *words, rows_of(series))


# --- by pages of a call ----------------------------------------------------------------------------------------------
@styled
def atomics_per_page(sizes, before, after):
    """Lines: atomics for each page given back, against the pages of one call; the break-even is said in words.

    Parameters
    ----------
    sizes : sequence of int
        Pages of one call, rising.
    before, after : sequence of float
        Atomics per page given back, one for each size; :func:`giving_back` computes them.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the lengths differ, the sizes do not rise, or a cost is not above 0.

    Examples
    --------
    >>> from memcg_lab import V4_13, V4_14
    >>> from memcg_lab.figures import giving_back
    >>> sizes = range(1, 65)
    >>> print(atomics_per_page(sizes, giving_back(V4_13, sizes), giving_back(V4_14, sizes)).caption)
    With 1 page a call the patch takes 0.0909 atomics a page instead of 3; from 33 pages a call on it saves nothing.
    """
    sizes, costs = _check_costs(sizes, before, after)
    table = pd.DataFrame(
        costs | {"saved": costs["after"] < costs["before"] * (1 - 1e-12)},
        index=pd.Index(sizes.astype(int), name="pages in one call"),
    )
    break_even = _break_even(table)
    ends = int(sizes[0]), *(float(costs[name][0]) for name in PAIR), break_even, int(sizes[-1])
    return Figure(_draw_costs(sizes, costs, break_even), *atomics_per_page_words(*ends), table)


def atomics_per_page_words(first, first_before, first_after, break_even, last):
    """Caption and sentence of the cost of a page against the size of a call; ``break_even`` may be None."""
    caption = (
        f"With {count(first, 'page')} a call the patch takes {number(first_after)} atomics a page instead of "
        f"{number(first_before)}; "
    )
    caption += (
        f"from {count(break_even, 'page')} a call on it saves nothing."
        if break_even is not None
        else f"it still saves something at {count(last, 'page')} a call."
    )
    sentence = (
        f"Line chart, atomics per page given back on a logarithmic axis, over {number(first)} to "
        f"{count(last, 'page')} a call: before the patch it falls from {number(first_before)}, after it it starts at "
        f"{number(first_after)}; "
    )
    sentence += (
        f"the lines meet at {count(break_even, 'page')} a call." if break_even is not None else "the lines never meet."
    )
    return caption, sentence


def _check_costs(sizes, before, after):
    """Rising sizes, and the costs of each; a ValueError says what is wrong."""
    sizes = numbers("sizes", sizes)
    costs = {name: numbers(name, values) for name, values in (("before", before), ("after", after))}
    if sizes.size < 2 or (np.diff(sizes) <= 0).any() or sizes[0] < 1 or (sizes != np.floor(sizes)).any():
        raise ValueError("sizes must be two or more whole numbers of pages that rise, from 1 on.")
    for name, cost in costs.items():
        if cost.size != sizes.size:
            raise ValueError(f"{name} has {cost.size:,} costs; there are {sizes.size:,} sizes.")
        if (cost <= 0).any():
            raise ValueError(f"{name} has a cost of 0 or less; on a logarithmic axis each must be above 0.")
    return sizes, costs


def _break_even(table):
    """The first size from which on nothing is saved, or None."""
    gains = np.flatnonzero(table["saved"])
    first_equal = gains[-1] + 1 if gains.size else 0
    return int(table.index[first_equal]) if first_equal < len(table) else None


def _draw_costs(sizes, costs, break_even):
    figure, axes = canvas()
    ends = []
    for name, cost in costs.items():
        look = LOOKS[name]
        every = max(1, sizes.size // 8)
        axes.plot(
            sizes,
            cost,
            color=look.color,
            linestyle=look.linestyle,
            marker=look.marker,
            markevery=(0 if name == "before" else every // 2, every),
        )
        ends.append((sizes[-1], cost[-1], name, look.color))
    low, high = min(c.min() for c in costs.values()), max(c.max() for c in costs.values())
    _cost_axes(axes, sizes, low, high)
    if break_even is not None:
        axes.axvspan(break_even, sizes[-1], color="#000000", alpha=0.06, linewidth=0)
        axes.annotate(
            f"{break_even} pages and more:\nnothing saved",
            (break_even, high * 1.35),
            xytext=(6, 0),
            textcoords="offset points",
            va="top",
            color="#333333",
        )
    label_ends(axes, ends)
    return figure


def _cost_axes(axes, sizes, low, high):
    """Pages of a call to the right, costs upwards on a logarithmic axis."""
    axes.set_yscale("log")
    axes.grid(True, which="major")
    thousands(axes.yaxis)
    axes.minorticks_off()
    ticks = [t for t in (0.01, 0.03, 0.1, 0.3, 1, 3, 10) if low * 0.7 <= t <= high * 1.4]
    if len(ticks) > 1:
        axes.set_yticks(ticks)
    axes.set_ylim(low * 0.75, high * 1.6)
    axes.set_xlim(sizes[0], sizes[-1])
    axes.set_xticks([s for s in (1, 8, 16, 24, 32, 40, 48, 56, 64) if sizes[0] <= s <= sizes[-1]] or [sizes[0]])
    axes.set_xlabel("pages given back in one call")
    axes.set_ylabel("atomics per page\n(logarithmic)")


# --- by depth --------------------------------------------------------------------------------------------------------
@styled
def atomics_by_depth(depths, before, after):
    """Lines: what the same traffic costs, against the depth of the cgroup, before and after the patch.

    Parameters
    ----------
    depths : sequence of int
        Levels below the root, rising.
    before, after : sequence of int
        Atomics, one for each depth.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the lengths differ, the depths do not rise, or a count is below 0.

    Examples
    --------
    >>> print(atomics_by_depth([1, 2, 4], [414, 621, 1035], [26, 39, 65]).caption)
    From depth 1 to depth 4 the same traffic goes from 414 to 1,035 atomics before the patch, and from 26 to 65 after \
it: each level adds 207 before, 13 after.
    """
    depths = rising("depths", depths, 1)
    costs = {name: counts(name, values, depths, "depth") for name, values in (("before", before), ("after", after))}
    words = atomics_by_depth_words(depths, costs["before"], costs["after"])
    table = pd.DataFrame(costs, index=pd.Index(depths, name="depth", dtype=object))
    return Figure(_draw_depths(depths, costs), *words, table)


def atomics_by_depth_words(depths, before, after):
    """Caption and sentence of the cost against depth; ``before`` and ``after`` hold atomics, one for each depth."""
    first, last = depths[0], depths[-1]
    caption = (
        f"From depth {number(first)} to depth {number(last)} the same traffic goes from {number(before[0])} to "
        f"{count(before[-1], 'atomic')} before the patch, and from {number(after[0])} to {number(after[-1])} after it"
    )
    slopes = [_slope(depths, costs) for costs in (before, after)]
    caption += "." if None in slopes else f": each level adds {number(slopes[0])} before, {number(slopes[1])} after."
    sentence = (
        f"Line chart, atomics for the same traffic over depth {number(first)} to {number(last)}: before the patch they "
        f"go from {number(before[0])} to {number(before[-1])}, after it from {number(after[0])} to {number(after[-1])}."
    )
    return caption, sentence


def _slope(x, y):
    """What one step of x adds to y if the points lie on a straight line, else None."""
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    straight = all(abs(y[0] + slope * (here - x[0]) - value) < 1e-9 for here, value in zip(x, y, strict=True))
    return slope if straight else None


def _draw_depths(depths, costs):
    figure, axes = canvas()
    ends = []
    for name, cost in costs.items():
        look = LOOKS[name]
        axes.plot(depths, cost, color=look.color, linestyle=look.linestyle, marker=look.marker, clip_on=False)
        ends.append((depths[-1], cost[-1], f"{name}: {number(cost[-1])}", look.color))
    axes.set_xlim(depths[0], depths[-1] + 0.02 * (depths[-1] - depths[0]))  # room for the last marker
    axes.set_ylim(0, max(1, *(max(cost) for cost in costs.values())) * 1.08)
    axes.set_xticks(depths)
    whole(axes.yaxis)
    axes.set_xlabel("depth: levels below the root")
    axes.set_ylabel("atomics")
    label_ends(axes, ends)
    return figure
