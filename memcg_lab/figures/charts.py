"""The charts, one function each."""

import numpy as np
import pandas as pd

from .. import words as text
from ..checks import whole_number
from ..history import path as path_up
from ..system import System
from .base import FURTHER, LOOKS, Figure, canvas, label_ends, looks, styled, thousands, whole

ROWS_SHOWN = 20  # of a long series in its data table, plus the start
BARS_SHOWN = 30  # of a long profile; more could not be read
NAME_SHOWN = 44  # letters of a symbol beside its bar


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
    for name, system in (("before", before), ("after", after)):
        if not isinstance(system, System):
            raise ValueError(f"{name} is {text.kind(system)}; it must be a System.")
    if before.parents != after.parents:
        raise ValueError("before and after have different trees; make both with the same parents.")
    apart = np.flatnonzero(before.sock != after.sock)
    if apart.size:
        m = int(apart[0])
        raise ValueError(
            f"before and after did not run the same traffic: memcg {m} has {before.sock[m]:,} socket pages before "
            f"and {after.sock[m]:,} after."
        )
    taken = {"before": before.atomics_by_memcg(), "after": after.atomics_by_memcg()}
    if leaf is None:
        inner = set(before.parents)
        leaves = [m for m in range(len(before.parents)) if m not in inner]
        leaf = max(leaves, key=lambda m: (taken["before"][m], -m))
    elif isinstance(leaf, bool) or leaf not in range(len(before.parents)):
        raise ValueError(f"leaf is {leaf!r}; this tree has memcgs 0 to {len(before.parents) - 1}.")
    path = path_up(before.parents, leaf)
    names = ["leaf", *(f"level {k}" for k in range(len(path) - 2, 0, -1)), "root"][-len(path) :]
    table = pd.DataFrame(
        {"memcg": path, **{name: values[path] for name, values in taken.items()}},
        index=pd.Index(names, name="level"),
    )

    figure, axes = canvas()
    place = np.arange(len(path))
    for name, shift in (("before", -0.2), ("after", 0.2)):
        look = LOOKS[name]
        bars = axes.bar(
            place + shift,
            table[name],
            width=0.36,
            facecolor="white" if look.hatch else look.color,
            edgecolor=look.color,
            hatch=look.hatch,
            linewidth=1.6,
            label=name,
        )
        axes.bar_label(bars, [text.number(v) for v in table[name]], padding=2, color=look.color, fontweight="bold")
    axes.set_xticks(place, [f"{name}\nmemcg {m}" for name, m in zip(names, path, strict=True)])
    axes.tick_params(axis="x", length=0)
    axes.grid(False, axis="x")
    axes.set_ylabel("atomics on the counter")
    top = max(1, int(table[["before", "after"]].to_numpy().max()))
    axes.set_ylim(0, top * 1.16)
    axes.set_xlim(-0.6, len(path) - 0.4)
    whole(axes.yaxis)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, handlelength=2.2, handleheight=1.2)
    sums = table[["before", "after"]].sum()
    caption, sentence = text.atomics_by_level(
        int(sums["before"]),
        int(sums["after"]),
        int(table["before"].iloc[-1]),
        int(table["after"].iloc[-1]),
        len(path),
    )
    return Figure(figure, caption, sentence, table)


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
    series = _series(runs, "atomics")
    for label, values in series.items():
        if (np.diff(values) < 0).any():
            at = int(np.flatnonzero(np.diff(values) < 0)[0]) + 1
            raise ValueError(f'run "{label}": the count falls at operation {at:,}; atomics so far can only grow.')
    n = len(next(iter(series.values()))) - 1
    figure, axes = _lines(series, "atomics so far", cursor)
    finals = {label: int(values[-1]) for label, values in series.items()}
    caption, sentence = text.over_operations("atomics", finals, n)
    return Figure(figure, caption, sentence, _rows(series))


@styled
def stocks_over_ops(runs, bound=None):
    """Lines: pages parked in the CPUs' stocks, operation by operation, for several runs of one stream.

    Parameters
    ----------
    runs : dict of str to DataFrame or sequence of int
        What :func:`record` gave (its ``in_stocks``), or the pages after each operation with the start in front.
    bound : int, optional
        Pages the stocks should never exceed, such as CPUs × 32; drawn as a line.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no run, the runs differ in length, or the bound is not a whole number.

    Examples
    --------
    >>> from memcg_lab import System, UNCHARGE_ONLY, V4_14, producer_consumer
    >>> from memcg_lab.figures import record
    >>> ops = producer_consumer(200)
    >>> policies = {"uncharge hunk alone": UNCHARGE_ONLY, "after": V4_14}
    >>> runs = {label: record(System.chain(depth=1, cpus=2, policy=p), ops) for label, p in policies.items()}
    >>> print(stocks_over_ops(runs, bound=64).caption)
    Uncharge hunk alone: up to 224 pages in the stocks; after up to 63. The bound is 64 pages; above it: uncharge hunk \
alone.
    """
    return _pages(_series(runs, "in_stocks"), "in the stocks", bound, "bound", None)


@styled
def pages_over_ops(runs, where, bound=None, bound_name="bound", cursor=None):
    """Lines: pages of any kind, operation by operation, with a bound or a limit that they may meet.

    Parameters
    ----------
    runs : dict of str to sequence of int
        Pages after each operation, with the start in front.
    where : str
        What the pages have in common, after the word "pages": "in the stock of CPU 0".
    bound : int, optional
        Drawn as a line.
    bound_name : str
        What that line is called.
    cursor : int, optional
        An operation to mark with an upright line.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no run, the runs differ in length, or the bound or the cursor is not a whole number in its range.

    Examples
    --------
    >>> print(pages_over_ops({"leaf": [0, 40, 80, 80]}, "counted", bound=100, bound_name="limit").caption)
    Leaf: up to 80 pages counted. The limit is 100 pages; none is above it.
    """
    return _pages(_series(runs, "pages"), where, bound, bound_name, cursor)


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
    depths = _rising("depths", depths, 1)
    costs = {name: _counts(name, values, depths, "depth") for name, values in (("before", before), ("after", after))}
    figure, axes = canvas()
    ends = []
    for name, cost in costs.items():
        look = LOOKS[name]
        axes.plot(depths, cost, color=look.color, linestyle=look.linestyle, marker=look.marker, clip_on=False)
        ends.append((depths[-1], cost[-1], f"{name}: {text.number(cost[-1])}", look.color))
    axes.set_xlim(depths[0], depths[-1] + 0.02 * (depths[-1] - depths[0]))  # room for the last marker
    axes.set_ylim(0, max(1, *(max(cost) for cost in costs.values())) * 1.08)
    axes.set_xticks(depths)
    whole(axes.yaxis)
    axes.set_xlabel("depth: levels below the root")
    axes.set_ylabel("atomics")
    label_ends(axes, ends)
    caption, sentence = text.atomics_by_depth(depths, costs["before"], costs["after"])
    return Figure(figure, caption, sentence, pd.DataFrame(costs, index=pd.Index(depths, name="depth", dtype=object)))


@styled
def drift_bound(cpus, worst, batch):
    """Lines: the largest drift against the number of CPUs, with the line CPUs × batch.

    Parameters
    ----------
    cpus : sequence of int
        Numbers of CPUs, rising.
    worst : dict of str to sequence of int
        Pages the counter was ahead at most, one for each number of CPUs; one to four lines.
    batch : int
        Pages a stock may hold.

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
    cpus = _rising("cpus", cpus, 1)
    batch = whole_number("batch", batch, 1, 2**31 - 1)
    if not isinstance(worst, dict) or not 1 <= len(worst) <= 4:
        raise ValueError('worst must be a dict of one to four lines, such as {"depth 1": [32, 64]}.')
    worst = {str(label): _counts(f'worst["{label}"]', pages, cpus, "number of CPUs") for label, pages in worst.items()}
    bound = [n * batch for n in cpus]
    figure, axes = canvas()
    chosen = looks(worst)
    ends = []
    for rank, (label, pages) in enumerate(worst.items()):
        look = chosen[label]
        below = len(worst) - 1 - rank  # lines still to come: the earlier a line, the wider it is
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
        ends.append((cpus[-1], pages[-1], f"{label}: {text.number(pages[-1])}", look.color))
    axes.plot(cpus, bound, color="#222222", linewidth=1.3, linestyle=(0, (2, 2)), zorder=4)
    ends.append((cpus[-1], bound[-1], f"CPUs × {batch}: {text.number(bound[-1])}", "#222222"))
    axes.set_xlim(0, cpus[-1] * 1.02)
    axes.set_ylim(0, max(1, *bound, *(max(pages) for pages in worst.values())) * 1.08)
    # Where numbers double, the first ones would cover each other.
    apart = [n for k, n in enumerate(cpus) if k == len(cpus) - 1 or n >= cpus[-1] / 10]
    axes.set_xticks([0, *apart] if len(apart) <= 10 else [0, cpus[-1]])
    whole(axes.yaxis)
    axes.set_xlabel("CPUs")
    axes.set_ylabel("largest drift, pages")
    label_ends(axes, ends)
    caption, sentence = text.drift_bound(cpus, worst, batch)
    table = pd.DataFrame(worst | {f"CPUs × {batch}": bound}, index=pd.Index(cpus, name="CPUs", dtype=object))
    return Figure(figure, caption, sentence, table)


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
    figure, axes = canvas()
    figure.set_size_inches(8, 1.0 + 0.285 * max(shown, 4))
    look = FURTHER[0]
    widest = max(percents)
    for k in range(shown):
        filled = k in marked
        axes.barh(
            k,
            percents[k],
            height=0.74,
            facecolor=look.color if filled else "#e3e3e3",
            edgecolor="#003d2c" if filled else "#8a8a8a",
            hatch="///" if filled else "",
            linewidth=1.2,
        )
        axes.annotate(
            f"{percents[k]:.2f}" + ("  marked" if filled else ""),
            (percents[k], k),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold" if filled else "normal",
            color="#005f45" if filled else "#222222",
        )
    axes.set_yticks(range(shown), [_short(row) for row in rows[:shown]])
    for k, label in enumerate(axes.get_yticklabels()):
        label.set_fontweight("bold" if k in marked else "normal")
    axes.set_ylim(shown - 0.4, -0.6)
    axes.set_xlim(0, max(widest, 0.01) * 1.25)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.set_xlabel("percent of all samples")
    caption, sentence = text.profile(rows, percents, marked, shown)
    table = pd.DataFrame(
        {"symbol": rows, "percent": percents, "marked": [k in marked for k in range(len(rows))]},
        index=pd.Index(range(1, len(rows) + 1), name="row", dtype=object),
    )
    return Figure(figure, caption, sentence, table)


@styled
def counter_and_stat(before, after):
    """Two panels: ``memory.current`` over MEMCG_SOCK, operation by operation; the gap is what the stocks hold.

    Parameters
    ----------
    before, after : DataFrame
        What :func:`record` gave for the same stream under two policies.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If one is not such a table, or the statistic differs (it never may).

    Examples
    --------
    >>> from memcg_lab import System, V4_13, V4_14, producer_consumer
    >>> from memcg_lab.figures import record
    >>> runs = [record(System.chain(depth=1, cpus=2, policy=p), producer_consumer(50)) for p in (V4_13, V4_14)]
    >>> print(counter_and_stat(*runs).sentence)
    Two line charts side by side, pages over 100 operations, memory.current above MEMCG_SOCK: before the patch the \
counter peaks at 32 and the gap at 31, after it at 64 and 63.
    """
    runs = {"before": before, "after": after}
    for name, run in runs.items():
        if not isinstance(run, pd.DataFrame) or not {"usage", "sock"} <= set(run.columns):
            raise ValueError(f"{name} is not a table of record(); it needs the columns usage and sock.")
        if len(run) < 2:
            raise ValueError(f"{name} holds no operation; record a stream with at least one.")
    if len(before) != len(after) or (before["sock"].to_numpy() != after["sock"].to_numpy()).any():
        raise ValueError("before and after are not of the same stream: MEMCG_SOCK differs, and the patch keeps it.")
    n = len(before) - 1
    figure, panels = canvas(2, sharey=True)
    top = max(int(run["usage"].max()) for run in runs.values())
    for axes, (name, run) in zip(panels, runs.items(), strict=True):
        look = LOOKS[name]
        x = np.arange(n + 1)
        usage, sock = run["usage"].to_numpy(), run["sock"].to_numpy()
        axes.fill_between(x, sock, usage, step="post", color=look.color, alpha=0.16, linewidth=0)
        axes.step(x, usage, where="post", color=look.color, linestyle=look.linestyle, linewidth=2.2)
        axes.step(x, sock, where="post", color="#333333", linewidth=1.6)
        axes.set_xlim(0, n)
        axes.set_ylim(0, max(1, top) * 1.3)
        axes.set_xlabel("operation")
        whole(axes.xaxis, 5)
        whole(axes.yaxis)
        gap = int((usage - sock).max())
        axes.text(
            0.02,
            0.985,
            f"{name}: memory.current,\nup to {text.count(gap, 'page')} above MEMCG_SOCK",
            transform=axes.transAxes,
            color=look.color,
            fontweight="bold",
            fontsize=10.5,
            va="top",
        )
        axes.annotate(
            "MEMCG_SOCK",
            (n * 0.98, sock.max()),
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            color="#333333",
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
        )
    panels[0].set_ylabel("pages")
    gaps = {name: int((run["usage"] - run["sock"]).max()) for name, run in runs.items()}
    peaks = {name: int(run["usage"].max()) for name, run in runs.items()}
    caption, sentence = text.counter_and_stat(gaps["before"], gaps["after"], peaks["before"], peaks["after"], n)
    series = {
        "memory.current, before": before["usage"].to_numpy(),
        "memory.current, after": after["usage"].to_numpy(),
        "MEMCG_SOCK, both": before["sock"].to_numpy(),
        "gap, before": (before["usage"] - before["sock"]).to_numpy(),
        "gap, after": (after["usage"] - after["sock"]).to_numpy(),
    }
    table = _rows(series)
    table.loc["peak"] = [int(values.max()) for values in series.values()]
    return Figure(figure, caption, sentence, table)


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
    sizes = _numbers("sizes", list(sizes))
    costs = {name: _numbers(name, list(values)) for name, values in (("before", before), ("after", after))}
    if sizes.size < 2 or (np.diff(sizes) <= 0).any() or sizes[0] < 1 or (sizes != np.floor(sizes)).any():
        raise ValueError("sizes must be two or more whole numbers of pages that rise, from 1 on.")
    for name, cost in costs.items():
        if cost.size != sizes.size:
            raise ValueError(f"{name} has {cost.size:,} costs; there are {sizes.size:,} sizes.")
        if (cost <= 0).any():
            raise ValueError(f"{name} has a cost of 0 or less; on a logarithmic axis each must be above 0.")
    gains = np.flatnonzero(costs["after"] < costs["before"] * (1 - 1e-12))
    first_equal = 0 if not gains.size else gains[-1] + 1
    break_even = int(sizes[first_equal]) if first_equal < sizes.size else None

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
    axes.set_yscale("log")
    axes.grid(True, which="major")
    thousands(axes.yaxis)
    axes.minorticks_off()
    low, high = min(c.min() for c in costs.values()), max(c.max() for c in costs.values())
    ticks = [t for t in (0.01, 0.03, 0.1, 0.3, 1, 3, 10) if low * 0.7 <= t <= high * 1.4]
    if len(ticks) > 1:
        axes.set_yticks(ticks)
    axes.set_ylim(low * 0.75, high * 1.6)
    axes.set_xlim(sizes[0], sizes[-1])
    axes.set_xticks([s for s in (1, 8, 16, 24, 32, 40, 48, 56, 64) if sizes[0] <= s <= sizes[-1]] or [sizes[0]])
    axes.set_xlabel("pages given back in one call")
    axes.set_ylabel("atomics per page\n(logarithmic)")
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
    caption, sentence = text.atomics_per_page(
        int(sizes[0]), float(costs["before"][0]), float(costs["after"][0]), break_even, int(sizes[-1])
    )
    table = pd.DataFrame(
        {name: cost for name, cost in costs.items()} | {"saved": costs["after"] < costs["before"] * (1 - 1e-12)},
        index=pd.Index(sizes.astype(int), name="pages in one call"),
    )
    return Figure(figure, caption, sentence, table)


# --- helpers ---------------------------------------------------------------------------------------------------------
def profile_rows(profile):
    """Symbols and percents of a profile, row by row, or a ValueError that says what is missing."""
    if not isinstance(profile, pd.DataFrame) or not {"percent", "symbol"} <= set(profile.columns):
        raise ValueError("profile is not a table of read_perf(); it needs the columns percent and symbol.")
    if not len(profile):
        raise ValueError("profile has no rows.")
    percents = _numbers("percent", list(profile["percent"])).tolist()
    wrong = [k for k, percent in enumerate(percents) if not 0 <= percent <= 100]
    if wrong:
        raise ValueError(f"row {wrong[0] + 1} of the profile has {percents[wrong[0]]} percent; allowed are 0 to 100.")
    return [str(symbol) for symbol in profile["symbol"]], percents


def marked_rows(rows, marked):
    """Numbers of the rows that are named, from 0, in order; each entry is a symbol or such a number."""
    if isinstance(marked, str) or not hasattr(marked, "__iter__"):
        raise ValueError(f"marked is {marked!r}; it must be a list of symbols, such as [{rows[0]!r}].")
    found = set()
    for entry in marked:
        if isinstance(entry, str):
            named = [k for k, row in enumerate(rows) if row == entry]
            if not named:
                raise ValueError(f"{entry!r} is marked, but no row of the profile has this symbol.")
            found.update(named)
        else:
            found.add(whole_number("a marked row", entry, 0, len(rows) - 1))
    return sorted(found)


def _short(symbol):
    return symbol if len(symbol) <= NAME_SHOWN else symbol[: NAME_SHOWN - 1] + "…"


def _rising(name, values, low):
    """Two or more whole numbers that rise, as a list."""
    values = [whole_number(name, value, low, 2**31 - 1) for value in values]
    if len(values) < 2 or any(a >= b for a, b in zip(values, values[1:], strict=False)):
        raise ValueError(f"{name} must be two or more whole numbers that rise, from {low} on.")
    return values


def _counts(name, values, places, place):
    """Whole numbers from 0 on, one for each place, as a list."""
    values = [whole_number(name, value, 0, 2**62) for value in values]
    if len(values) != len(places):
        raise ValueError(f"{name} has {len(values):,} values; it needs one for each {place}, {len(places):,}.")
    return values


def _numbers(name, values):
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers.") from None
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be one row of finite numbers.")
    return numbers


def _series(runs, column):
    """Runs as integer arrays of one length, or a ValueError that says which run is wrong."""
    if not isinstance(runs, dict) or not runs:
        raise ValueError('runs must be a dict with at least one run, such as {"before": record(system, ops)}.')
    if len(runs) > 6:
        raise ValueError(f"there are {len(runs)} runs; a reader tells at most 6 lines apart.")
    series = {}
    for label, run in runs.items():
        if isinstance(run, pd.DataFrame):
            if column not in run:
                raise ValueError(f'run "{label}" has no column "{column}"; record() gives one.')
            run = run[column]
        values = _numbers(f'run "{label}"', list(run))
        if values.size < 2:
            raise ValueError(f'run "{label}" holds no operation; record a stream with at least one.')
        series[str(label)] = values.astype(np.int64)
    lengths = {label: values.size for label, values in series.items()}
    if len(set(lengths.values())) > 1:
        told = text.listing(f"{label} {text.number(size - 1)}" for label, size in lengths.items())
        raise ValueError(f"the runs are not of one stream; their operations are {told}.")
    return series


def _pages(series, where, bound, bound_name, cursor):
    """The figures of pages over operations."""
    if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, np.integer)) or bound < 0):
        raise ValueError(f"{bound_name} is {bound!r}; it must be a whole number of pages, 0 or more.")
    n = len(next(iter(series.values()))) - 1
    figure, axes = _lines(series, f"pages {where}", cursor, bound, bound_name)
    finals = {label: int(values[-1]) for label, values in series.items()}
    peaks = {label: int(values.max()) for label, values in series.items()}
    caption, sentence = text.stocks(finals, peaks, n, bound, where, bound_name)
    table = _rows(series)
    table.loc["peak"] = list(peaks.values())
    return Figure(figure, caption, sentence, table)


def _lines(series, ylabel, cursor=None, bound=None, bound_name="bound"):
    """The drawing that the figures over operations share."""
    n = len(next(iter(series.values()))) - 1
    if cursor is not None and (isinstance(cursor, bool) or cursor not in range(n + 1)):
        raise ValueError(f"cursor is {cursor!r}; it must be an operation from 0 to {n:,}.")
    figure, axes = canvas()
    x = np.arange(n + 1)
    every = max(1, n // 6)
    chosen = looks(series)
    drawn = []
    ends = []
    for rank, (label, values) in enumerate(series.items()):
        look = chosen[label]
        covers = any((values == other).all() for other in drawn)  # thinner, so that the line below stays visible
        drawn.append(values)
        axes.plot(
            x,
            values,
            drawstyle="steps-post" if n <= 500 else "default",
            color=look.color,
            linestyle=look.linestyle,
            marker=look.marker,
            markevery=((rank * every) // max(2, len(series)) + every // 3, every),
            linewidth=look.width - 1.0 if covers else look.width,
            zorder=2 + rank / 10,
        )
        ends.append((n, values[-1], f"{label}: {text.number(int(values[-1]))}", look.color))
    top = max([1, *(int(values.max()) for values in series.values())])
    if bound is not None:
        top = max(top, bound)
        axes.axhline(bound, color="#333333", linewidth=1.2, linestyle=(0, (2, 2)))
        ends.append((n, bound, f"{bound_name}: {text.number(bound)}", "#333333"))
    axes.set_xlim(0, n)
    axes.set_ylim(0, top * 1.08)
    whole(axes.xaxis, 8)
    whole(axes.yaxis)
    axes.set_xlabel("operation")
    axes.set_ylabel(ylabel)
    if cursor is not None:
        axes.axvline(cursor, color="#111111", linewidth=1.6)
    label_ends(axes, ends)
    return figure, axes


def _rows(series):
    """Every so many operations of each series and the last one, as the data table of a figure."""
    n = len(next(iter(series.values()))) - 1
    every = max(1, -(-n // ROWS_SHOWN))
    at = sorted({*range(0, n + 1, every), n})
    return pd.DataFrame(
        {label: values[at] for label, values in series.items()}, index=pd.Index(at, name="operation", dtype=object)
    )
