"""Charts of the machine: throughput, time by function, and what was measured beside what models say."""

import textwrap

import numpy as np
import pandas as pd

from .. import words as text
from ..machine.cache_lines import FUNCTIONS, OTHER
from ..machine.run import Run
from .base import LOOKS, Figure, canvas, label_ends, looks, styled, thousands
from .charts import _numbers

OPS_PER_US = "operations in a microsecond"
LINES_MAX = 6
ROWS_SHOWN = 8  # functions; more could not be read
LEAST_SHOWN = 0.05  # percent; a smaller share would be no bar
LETTER = 0.012  # of the axis: room for a letter below it
WIDE = 64  # places that span more than this factor lie on a logarithmic axis


@styled
def throughput_over(what, places, lines, unit=OPS_PER_US):
    """Lines: throughput against CPUs, depth, think time, batch or anything else that a run was repeated for.

    Parameters
    ----------
    what : str
        What the places are, with their unit: "CPUs", "think time, ns".
    places : sequence of float
        Rising, above 0; a wide range is drawn on a logarithmic axis.
    lines : dict of str to sequence of Run or float
        One to six lines, with one run or one throughput for each place. The labels "before" and "after" get the fixed
        pair of looks. A run in a tight loop gets a hollow mark.
    unit : str
        Of the throughput.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no line, the lengths differ, the places do not rise, or a throughput is not a finite number from 0.

    Examples
    --------
    >>> figure = throughput_over("CPUs", [1, 2, 4], {"before": [0.5, 0.9, 0.8], "after": [0.5, 1, 2]})
    >>> print(figure.caption)
    At 4 CPUs: before 0.8, after 2 operations in a microsecond. Before is highest at 2, with 0.9.
    """
    places = _numbers(what, list(places))
    if places.size < 2 or (np.diff(places) <= 0).any() or places[0] <= 0:
        raise ValueError(f"{what}: the places must be two or more numbers that rise, above 0.")
    if not isinstance(lines, dict) or not 1 <= len(lines) <= LINES_MAX:
        raise ValueError('lines must be a dict of one to six lines, such as {"before": runs}.')
    series, tight = {}, {}
    for label, runs in lines.items():
        runs = list(runs)
        if len(runs) != places.size:
            raise ValueError(f'line "{label}" has {len(runs):,} points; there are {places.size:,} places.')
        values = [run.throughput if isinstance(run, Run) else run for run in runs]
        series[str(label)] = _numbers(f'line "{label}"', values)
        if (series[str(label)] < 0).any():
            raise ValueError(f'line "{label}" has a throughput below 0.')
        tight[str(label)] = np.array([isinstance(run, Run) and run.regime == "tight loop" for run in runs])
    places = [int(place) if place == int(place) else float(place) for place in places]

    figure, axes = canvas()
    chosen = looks(series)
    ends = []
    for rank, (label, values) in enumerate(series.items()):
        look = chosen[label]
        axes.plot(
            places, values, color=look.color, linestyle=look.linestyle, linewidth=look.width, zorder=2 + rank / 10
        )
        for hollow in (False, True):
            at = np.flatnonzero(tight[label] == hollow)
            if not at.size:
                continue  # the layout would make room for an empty line
            axes.plot(
                [places[k] for k in at],
                values[at],
                linestyle="none",
                marker=look.marker,
                color=look.color,
                markerfacecolor="white" if hollow else look.color,
                markeredgewidth=1.6,
                zorder=3 + rank / 10,
                clip_on=False,
            )
        ends.append((places[-1], values[-1], f"{label}: {text.number(values[-1])}", look.color))
    logarithmic = places[-1] / places[0] > WIDE
    if logarithmic:
        axes.set_xscale("log", base=2 if what == "CPUs" else 10)
        axes.minorticks_off()
    # Where numbers lie close together, their labels would cover each other.
    apart = [
        here
        for here, there in zip(places, places[1:])
        if _share(here, there, places, logarithmic) > LETTER * (1 + len(text.number(there)))
    ]
    if len(places) <= 12:
        axes.set_xticks([*apart, places[-1]])
    thousands(axes.xaxis)
    thousands(axes.yaxis)
    axes.set_xlim(places[0], places[-1])
    axes.set_ylim(0, max(values.max() for values in series.values()) * 1.15 or 1)
    axes.set_xlabel(f"{what} (logarithmic)" if logarithmic else what)
    axes.set_ylabel(unit.replace(" in a ", "\nin a "))
    _label_peaks(axes, places, series, chosen)
    label_ends(axes, ends)
    tights = int(sum(marks.sum() for marks in tight.values()))
    caption, sentence = text.throughput(what, places, series, unit, logarithmic, tights)
    table = pd.DataFrame(series, index=pd.Index(places, name=what, dtype=object))
    for label, marks in tight.items():
        if marks.any():
            table[f"{label}: tight loop"] = marks
    return Figure(figure, caption, sentence, table)


@styled
def time_by_function(before, after):
    """Bars: the share of all CPU time that each function takes, before and after, as ``perf top`` would say.

    Parameters
    ----------
    before, after : Run
        The same traffic on the same machine under two policies.

    Returns
    -------
    Figure
        The functions that the mechanism knows, the highest eight; the table has all of them and "everything else".

    Raises
    ------
    ValueError
        If one is not a Run.

    Examples
    --------
    >>> from memcg_lab import V4_13, V4_14, System, pingpong
    >>> from memcg_lab.machine import simulate
    >>> runs = [simulate(System.chain(depth=2, cpus=1, policy=p), pingpong(9, memcg=2)) for p in (V4_13, V4_14)]
    >>> time_by_function(*runs).sentence[:60]
    'Bar chart, percent of all CPU time by function, before and a'
    """
    runs = {"before": before, "after": after}
    for name, run in runs.items():
        if not isinstance(run, Run):
            raise ValueError(f"{name} is {text.kind(run)}; it must be a Run.")
    table = pd.DataFrame(
        {name: [run.share(function) for function in FUNCTIONS] for name, run in runs.items()},
        index=pd.Index(FUNCTIONS, name="function"),
    )
    table = table[(table > 0).any(axis=1)]
    table = table.iloc[np.argsort(-table.max(axis=1).to_numpy(), kind="stable")]
    shown = table[(table.index != OTHER) & (table.max(axis=1) >= LEAST_SHOWN)].iloc[:ROWS_SHOWN]

    figure, axes = canvas()
    figure.set_size_inches(8, 1.0 + 0.42 * max(len(shown), 3))
    place = np.arange(len(shown))
    for name, shift in (("before", -0.2), ("after", 0.2)):
        look = LOOKS[name]
        bars = axes.barh(
            place + shift,
            shown[name],
            height=0.36,
            facecolor="white" if look.hatch else look.color,
            edgecolor=look.color,
            hatch=look.hatch,
            linewidth=1.4,
            label=name,
        )
        axes.bar_label(bars, [f"{share:.2f}" for share in shown[name]], padding=3, color=look.color, fontweight="bold")
    axes.set_yticks(place, list(shown.index))
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.set_ylim(max(len(shown), 3) - 0.4, -0.6)
    axes.set_xlim(0, max(0.1, shown.to_numpy().max(initial=0)) * 1.15)
    axes.set_xlabel("percent of all CPU time")
    axes.legend(loc="lower right", frameon=False, handlelength=2.2, handleheight=1.2)
    caption, sentence = text.time_by_function(table, OTHER, {name: 100 * run.stalled for name, run in runs.items()})
    return Figure(figure, caption, sentence, table)


@styled
def measured_beside_models(models, not_modelled=None, unit="Mbps"):
    """Bars: published rows beside what several models say, with the one fitted row named.

    Parameters
    ----------
    models : dict of str to DataFrame
        One to three tables of :func:`~memcg_lab.machine.predict_rows`, by the name of the method; the same rows.
    not_modelled : dict of str to float, optional
        Further published rows that no model has; drawn as measured, and said.
    unit : str
        Of what was measured.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no model, or the tables have different rows.

    Examples
    --------
    >>> from memcg_lab.machine import predict_rows
    >>> rows = {"none": (100.0, None), "batch 32": (50.0, {"batch": 32}), "batch 64": (75.0, {"batch": 64})}
    >>> table = predict_rows(rows, baseline="none", fitted="batch 32", clients=8, think_ns=1000)
    >>> print(measured_beside_models({"MVA": table}).caption)
    Batch 64: measured 75, predicted by MVA 77.572 (+3.4 %) Mbps.
    """
    if not isinstance(models, dict) or not 1 <= len(models) <= 3:
        raise ValueError('models must be a dict of one to three tables of predict_rows(), such as {"mva": table}.')
    for name, table in models.items():
        if not isinstance(table, pd.DataFrame) or not {"row", "role", "measured", "model"} <= set(table.columns):
            raise ValueError(f'model "{name}" is not a table of predict_rows().')
    first = next(iter(models.values()))
    for name, table in models.items():
        if list(table["row"]) != list(first["row"]) or list(table["measured"]) != list(first["measured"]):
            raise ValueError(f'model "{name}" has other rows than the first one; predict the same rows with each.')
    further = dict(not_modelled or {})
    rows = [str(row) for row in first["row"]] + [str(row) for row in further]
    roles = [str(role) for role in first["role"]] + ["not modelled"] * len(further)
    table = pd.DataFrame(
        {"role": roles, "measured": [*first["measured"], *_numbers("not_modelled", list(further.values()))]},
        index=pd.Index(rows, name="row"),
    )
    empty = [np.nan] * len(further)
    for name, model in models.items():
        table[name] = [*model["model"], *empty]
        table[f"{name}, error in percent"] = [*model["error_percent"], *empty]

    figure, axes = canvas()
    place = np.arange(len(rows))
    names = ["measured", *models]
    width = 0.8 / len(names)
    for k, (name, look) in enumerate(zip(names, [None, *looks(models).values()], strict=True)):
        axes.bar(
            place + (k - (len(names) - 1) / 2) * width,
            table[name],
            width=width * 0.9,
            facecolor="#333333" if look is None else "white",
            edgecolor="#333333" if look is None else look.color,
            hatch="" if look is None else look.hatch,
            linewidth=1.4,
            label=name,
        )
    names_below = [textwrap.fill(row, 12) + f"\n({role})" for row, role in zip(rows, roles, strict=True)]
    axes.set_xticks(place, names_below)
    axes.tick_params(axis="x", length=0, labelsize=8.5)
    axes.grid(False, axis="x")
    axes.set_ylim(0, float(table[names].max().max()) * 1.08)
    thousands(axes.yaxis)
    axes.set_ylabel(unit)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, handlelength=2.0, handleheight=1.2)
    caption, sentence = text.measured_beside_models(table, list(models), unit)
    return Figure(figure, caption, sentence, table)


def _label_peaks(axes, places, series, chosen):
    """Write the highest value at its mark where the line falls after it, as the caption says."""
    for label, at in text.peaks(series).items():
        value = series[label][at]
        above = all(value >= other[at] for other in series.values())  # else a higher line would run through it
        axes.annotate(
            text.number(float(value)),
            (places[at], value),
            (0, 8 if above else -9),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=9.5,
            color=chosen[label].color,
            fontweight="bold",
        )


def _share(here, there, places, logarithmic):
    """How far two places lie apart, as a share of the axis."""
    at = np.log if logarithmic else float
    return (at(there) - at(here)) / (at(places[-1]) - at(places[0]))
