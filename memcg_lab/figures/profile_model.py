"""Charts of the simulated profile: beside the published one, and over many hosts."""

import numpy as np

from ..words import count, listing
from .base import GREY, LOOKS, Figure, canvas, plain, styled

MODELLED = ("page_counter_cancel", "__sk_mem_reduce_allocated", "tcp_delack_timer_handler", "__sk_mem_raise_allocated")

_BESIDE = {"textcoords": "offset points", "va": "center", "fontsize": 9}


# --- beside the published listing ------------------------------------------------------------------------------------
@styled
def listing_beside(explained, floors=(0.54, 0.57)):
    """Two panels, before and after: the published share of each modelled function beside the simulated one.

    Parameters
    ----------
    explained : DataFrame
        What :func:`memcg_lab.perf.explain` returned.
    floors : (float, float)
        Lowest listed row of the published listings, percent; what is not listed has less.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the table has none of the modelled functions.
    """
    rows = explained[explained["symbol"].isin(MODELLED)].set_index("symbol").reindex(MODELLED).dropna(how="all")
    if not len(rows):
        raise ValueError(f"the table has none of {', '.join(MODELLED)}.")
    return Figure(_draw_listings(rows, floors), *listing_beside_words(rows.reset_index()), rows)


def listing_beside_words(rows):
    """Caption and sentence of the published listing beside the simulated one."""
    fitted = [row for row in rows.itertuples() if row.reading.startswith("fitted")]
    readings = [row.reading for row in rows.itertuples()]
    each = [f"{readings.count(word)} {word}" for word in ("explained", "on the edge", "not explained")]
    caption = (
        f"Of {count(len(rows), 'modelled function')}, {len(fitted)} was fitted, "
        + ", ".join(part for part in each if not part.startswith("0 on"))
        + "."
    )
    told = "; ".join(
        f"{row.symbol} {row.model_before:.2f} before and {row.model_after:.2f} after" for row in rows.itertuples()
    )
    sentence = (
        "Two panels of paired bars, published and simulated percent of samples, before and after the patch. "
        f"The simulation says: {told}."
    )
    return caption, sentence


def _draw_listings(rows, floors):
    figure, both = canvas(2, sharey=True)
    top = float(np.nanmax(rows[["published_before", "model_before", "published_after", "model_after"]])) * 1.3
    for axes, when, floor in zip(both, ("before", "after"), floors):
        _panel(axes, when, floor, rows[f"published_{when}"], rows[f"model_{when}"])
        axes.set_xlim(0, top * 1.25)
    both[0].set_yticks(np.arange(len(rows)), list(rows.index), fontsize=10)
    figure.set_size_inches(8, 0.9 + 0.75 * len(rows))
    return figure


def _panel(axes, when, floor, published, model):
    """Published and simulated shares before or after the patch, with a line at the lowest listed row."""
    look, place = LOOKS[when], np.arange(len(model))
    axes.barh(place - 0.2, published.fillna(0), 0.36, facecolor="#e3e3e3", edgecolor=GREY, hatch="...")
    axes.barh(place + 0.2, model, 0.36, facecolor="white", edgecolor=look.color, hatch=look.hatch or "", linewidth=2)
    for k, (says, answers) in enumerate(zip(published, model)):
        told = f"< {floor}" if np.isnan(says) else f"{says:.2f}"
        beside = max(floor, 0 if np.isnan(says) else says)  # a label left of the floor would lie on its line
        axes.annotate(f"{told} published", (beside, k - 0.2), (4, 0), **_BESIDE)
        axes.annotate(f"{answers:.2f} model", (max(floor, answers), k + 0.2), (4, 0), color=look.color, **_BESIDE)
    axes.axvline(floor, color="#444444", linewidth=1, linestyle=(0, (2, 2)))
    axes.set_ylim(len(model) - 0.4, -0.6)
    axes.set_xlabel(f"{when} the patch, percent of samples", fontsize=10)
    axes.grid(False)  # a line would run through the numbers


# --- the map of hosts ------------------------------------------------------------------------------------------------
@styled
def host_map(hosts):
    """Marks: which hosts the published listing does not contradict, by counters a charge meets and by machine.

    Parameters
    ----------
    hosts : DataFrame
        What :func:`memcg_lab.perf.sensitivity` returned.

    Returns
    -------
    Figure
        A filled circle agrees, a cross does not; the number is the predicted share of ``__sk_mem_reduce_allocated``
        after the patch, percent.

    Raises
    ------
    ValueError
        If there are no hosts.
    """
    if not len(hosts):
        raise ValueError("the table has no hosts.")
    return Figure(_draw_map(hosts), *host_map_words(hosts), hosts)


def host_map_words(hosts):
    """Caption and sentence of the map of hosts."""
    agree = hosts[hosts["agrees"]]
    caption = f"The listing does not contradict {len(agree)} of {count(len(hosts), 'host')} (filled circles)."
    where = "; ".join(
        f"{machine}, {meeting}, {listing(levels)} counters"
        for (machine, meeting), levels in agree.groupby(["machine", "meeting"], sort=False)["levels"]
    )
    beside = "Beside each mark: percent of __sk_mem_reduce_allocated after the patch."
    return (
        f"{caption} {beside}",
        "Map of marks, machines and traffic by number of counters from the cgroup to the root; circles agree, crosses "
        f"do not. {caption} {f'They are: {where}.' if where else 'None of them agrees.'} {beside}",
    )


def _draw_map(hosts):
    kind = hosts["machine"] + ", " + hosts["meeting"]
    names = list(dict.fromkeys(kind))
    figure, axes = canvas()
    figure.set_size_inches(8, 1.2 + 0.42 * len(names))
    for agrees, marker, color in ((True, "o", LOOKS["after"].color), (False, "x", "#777777")):
        some = hosts["agrees"] == agrees
        axes.plot(
            hosts["levels"][some],
            [names.index(name) for name in kind[some]],
            linestyle="none",
            marker=marker,
            color=color,
            markersize=11,
            markeredgewidth=2.4,
        )
    for level, name, share in zip(hosts["levels"], kind, hosts["reduce_after"]):
        axes.annotate(f"{share:.2f}", (level, names.index(name)), (9, 0), **_BESIDE)
    axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize=10)
    axes.set_ylim(len(names) - 0.4, -0.6)
    levels = sorted(set(hosts["levels"]))
    axes.set_xticks(levels)
    axes.set_xlim(levels[0] - 0.4, levels[-1] + 0.9)
    axes.set_xlabel("counters from the cgroup to the root", loc="right")
    axes.grid(False)  # a line would run through the numbers
    return figure
