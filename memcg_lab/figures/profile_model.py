"""Charts of the simulated profile: beside the published one, and over many hosts."""

import numpy as np

from .. import words as text
from .base import GREY, LOOKS, Figure, canvas, styled

MODELLED = ("page_counter_cancel", "__sk_mem_reduce_allocated", "tcp_delack_timer_handler", "__sk_mem_raise_allocated")


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
    figure, both = canvas(2, sharey=True)
    place = np.arange(len(rows))
    top = float(np.nanmax(rows[["published_before", "model_before", "published_after", "model_after"]])) * 1.3
    for axes, when, floor in zip(both, ("before", "after"), floors):
        published, model = rows[f"published_{when}"], rows[f"model_{when}"]
        look = LOOKS[when]
        axes.barh(place - 0.2, published.fillna(0), 0.36, facecolor="#e3e3e3", edgecolor=GREY, hatch="...")
        axes.barh(
            place + 0.2, model, 0.36, facecolor="white", edgecolor=look.color, hatch=look.hatch or "", linewidth=2
        )
        for k, (says, answers) in enumerate(zip(published, model)):
            told = f"< {floor}" if np.isnan(says) else f"{says:.2f}"
            beside = max(floor, 0 if np.isnan(says) else says)  # a label left of the floor would lie on its line
            axes.annotate(f"{told} published", (beside, k - 0.2), (4, 0), **_BESIDE)
            axes.annotate(f"{answers:.2f} model", (max(floor, answers), k + 0.2), (4, 0), color=look.color, **_BESIDE)
        axes.axvline(floor, color="#444444", linewidth=1, linestyle=(0, (2, 2)))
        axes.set_xlim(0, top * 1.25)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(f"{when} the patch, percent of samples", fontsize=10)
        axes.grid(False, axis="y")
    both[0].set_yticks(place, list(rows.index), fontsize=10)
    figure.set_size_inches(8, 0.9 + 0.75 * len(rows))
    caption, sentence = text.listing_beside(rows.reset_index())
    return Figure(figure, caption, sentence, rows)


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
    axes.set_yticks(range(len(names)), names, fontsize=10)
    axes.set_ylim(len(names) - 0.4, -0.6)
    levels = sorted(set(hosts["levels"]))
    axes.set_xticks(levels)
    axes.set_xlim(levels[0] - 0.4, levels[-1] + 0.9)
    axes.set_xlabel("counters from the cgroup to the root", loc="right")
    axes.grid(False)  # a line would run through the numbers
    caption, sentence = text.host_map(hosts)
    return Figure(figure, caption, sentence, hosts)


_BESIDE = {"textcoords": "offset points", "va": "center", "fontsize": 9}
