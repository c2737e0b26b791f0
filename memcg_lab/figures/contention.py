"""Charts of the machine: throughput, time by function, and what was measured beside what models say."""

import textwrap

import numpy as np
import pandas as pd

from ..machine.cache_lines import FUNCTIONS, OTHER
from ..machine.run import Run
from ..words import capital, count, kind, listing, number
from .base import LOOKS, Figure, canvas, fill, in_legend, label_ends, looks, numbers, plain, styled, thousands

OPS_PER_US = "operations in a microsecond"
LINES_MAX = 6
ROWS_SHOWN = 8  # functions; more could not be read
LEAST_SHOWN = 0.05  # percent; a smaller share would be no bar
LETTER = 0.012  # of the axis: room for a letter below it
WIDE = 64  # places that span more than this factor lie on a logarithmic axis


# --- throughput ------------------------------------------------------------------------------------------------------
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
    places, series, tight = _check_throughput(what, places, lines)
    logarithmic = places[-1] / places[0] > WIDE
    table = pd.DataFrame(series, index=pd.Index(places, name=what, dtype=object))
    for label, marks in tight.items():
        if marks.any():
            table[f"{label}: tight loop"] = marks
    tights = int(sum(marks.sum() for marks in tight.values()))
    words = throughput_over_words(what, places, series, unit, logarithmic, tights)
    return Figure(_draw_throughput(what, places, series, tight, unit, logarithmic), *words, table)


def throughput_over_words(what, places, series, unit, logarithmic, tight):
    """Caption and sentence of throughput over something.

    Parameters
    ----------
    what : str
        What the places are: "CPUs", or with a unit "think time, ns".
    places : list of float
    series : dict of str to sequence of float
    unit : str
    logarithmic : bool
    tight : int
        Points in a tight loop, which have hollow marks.

    Examples
    --------
    >>> throughput_over_words("CPUs", [1, 2], {"before": [1.0, 1.5]}, "operations in a microsecond", False, 0)[1]
    'Line chart, operations in a microsecond over 1 to 2 CPUs: before goes from 1 to 1.5.'
    """
    finals = ", ".join(f"{label} {number(float(values[-1]))}" for label, values in series.items())
    caption = f"At {at_place(what, places[-1])}: {finals} {unit}."
    turns, told, highest = [], [], _peaks(series)
    for label, values in series.items():
        line = f"{label} goes from {number(float(values[0]))} to {number(float(values[-1]))}"
        if label in highest:
            high = highest[label]
            turns.append(f"{label} is highest at {number(places[high])}, with {number(float(values[high]))}")
            line += f", with {number(float(values[high]))} at {number(places[high])} the highest"
        told.append(line)
    caption += f" {capital('; '.join(turns))}." if turns else ""
    if tight:
        caption += f" {count(tight, 'hollow mark')}: tight loops, where the model is not to be believed."
    axis = " on a logarithmic axis" if logarithmic else ""
    name, _, of = what.partition(", ")
    span = f"{number(places[0])} to {number(places[-1])} {of or name}"
    over = f"{name} from {span}" if of else span
    return caption, f"Line chart, {unit} over {over}{axis}: {'; '.join(told)}."


def _peaks(series):
    """Where each line is highest, if that is neither its beginning nor its end and clearly above the end."""
    highest = {label: max(range(len(values)), key=lambda k: values[k]) for label, values in series.items()}
    return {
        label: high
        for label, high in highest.items()
        if 0 < high < len(series[label]) - 1 and series[label][high] > 1.02 * series[label][-1]
    }


def at_place(what, place):
    """A place of a chart in words.

    Examples
    --------
    >>> at_place("CPUs", 4), at_place("CPUs", 1), at_place("think time, ns", 500)
    ('4 CPUs', '1 CPU', 'think time 500 ns')
    """
    name, _, unit = what.partition(", ")
    if unit:
        return f"{name} {number(place)} {unit}"
    return f"{number(place)} {what[:-1] if place == 1 and what.endswith('s') else what}"


def _check_throughput(what, places, lines):
    """The places, the throughput of each line, and which of its points are tight loops; ValueError if it is none."""
    places = numbers(what, list(places))
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
        series[str(label)] = numbers(f'line "{label}"', values)
        if (series[str(label)] < 0).any():
            raise ValueError(f'line "{label}" has a throughput below 0.')
        tight[str(label)] = np.array([isinstance(run, Run) and run.regime == "tight loop" for run in runs])
    return [int(place) if place == int(place) else float(place) for place in places], series, tight


def _draw_throughput(what, places, series, tight, unit, logarithmic):
    figure, axes = canvas()
    chosen = looks(series)
    ends = []
    for rank, (label, values) in enumerate(series.items()):
        _marked_line(axes, places, values, tight[label], chosen[label], rank)
        ends.append((places[-1], values[-1], f"{plain(label)}: {number(values[-1])}", chosen[label].color))
    if logarithmic:
        axes.set_xscale("log", base=2 if what == "CPUs" else 10)
        axes.minorticks_off()
    if len(places) <= 12:
        axes.set_xticks(_ticks(places, logarithmic))
    thousands(axes.xaxis)
    thousands(axes.yaxis)
    axes.set_xlim(places[0], places[-1])
    axes.set_ylim(0, max(values.max() for values in series.values()) * 1.15 or 1)
    axes.set_xlabel(f"{plain(what)} (logarithmic)" if logarithmic else plain(what))
    axes.set_ylabel(plain(unit).replace(" in a ", "\nin a "))
    for label, at in _peaks(series).items():
        above = all(series[label][at] >= values[at] for values in series.values())  # else a line would run through it
        _label_peak(axes, places[at], series[label][at], chosen[label].color, above)
    label_ends(axes, ends)
    return figure


def _label_peak(axes, place, value, color, above):
    """The highest value at its mark, where the line falls after it: the caption speaks of it."""
    axes.annotate(
        number(float(value)),
        (place, value),
        (0, 8 if above else -9),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        fontsize=9.5,
        color=color,
        fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},  # steep lines pass below a peak
        zorder=5,
    )


def _marked_line(axes, places, values, tight, look, rank):
    """One line and its marks, hollow in tight loops."""
    axes.plot(places, values, color=look.color, linestyle=look.linestyle, linewidth=look.width, zorder=2 + rank / 10)
    for hollow in (False, True):
        at = np.flatnonzero(tight == hollow)
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


def _ticks(places, logarithmic):
    """The places that are labelled; where numbers lie close together, their labels would cover each other."""
    apart = [
        here
        for here, there in zip(places, places[1:])
        if _share(here, there, places, logarithmic) > LETTER * (1 + len(number(there)))
    ]
    return [*apart, places[-1]]


def _share(here, there, places, logarithmic):
    """How far two places lie apart, as a share of the axis."""
    at = np.log if logarithmic else float
    return (at(there) - at(here)) / (at(places[-1]) - at(places[0]))


# --- time by function ------------------------------------------------------------------------------------------------
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
            raise ValueError(f"{name} is {kind(run)}; it must be a Run.")
    table = pd.DataFrame(
        {name: [run.share(function) for function in FUNCTIONS] for name, run in runs.items()},
        index=pd.Index(FUNCTIONS, name="function"),
    )
    table = table[(table > 0).any(axis=1)]
    table = table.iloc[np.argsort(-table.max(axis=1).to_numpy(), kind="stable")]
    shown = table[(table.index != OTHER) & (table.max(axis=1) >= LEAST_SHOWN)].iloc[:ROWS_SHOWN]
    words = time_by_function_words(table, {name: 100 * run.stalled for name, run in runs.items()}, len(shown))
    return Figure(_draw_times(shown), *words, table)


def time_by_function_words(table, stalled, shown):
    """Caption and sentence of the time by function; ``stalled`` in percent of all CPU time, ``shown`` bars."""
    known = table.drop(index=OTHER, errors="ignore")
    caption = (
        f"Waiting for lines takes {stalled['before']:.1f} % of all CPU time before and {stalled['after']:.1f} % after"
    )
    which = count(len(known), "function") if shown == len(known) else f"the highest {shown} of {len(known)} functions"
    sentence = f"Bar chart, percent of all CPU time by function, before and after, {which}"
    if len(known):
        most = (known["after"] - known["before"]).abs().idxmax()
        change = f"{most} goes from {known['before'][most]:.2f} to {known['after'][most]:.2f} %"
        caption += f"; {change}"
        sentence += f": {change}, the largest change"
    return f"{caption}.", f"{sentence}."


def _draw_times(shown):
    figure, axes = canvas()
    figure.set_size_inches(8, 1.0 + 0.42 * max(len(shown), 3))
    place = np.arange(len(shown))
    for name, shift in (("before", -0.2), ("after", 0.2)):
        look = LOOKS[name]
        bars = axes.barh(place + shift, shown[name], height=0.36, linewidth=1.4, label=name, **fill(look))
        axes.bar_label(bars, [f"{share:.2f}" for share in shown[name]], padding=3, color=look.color, fontweight="bold")
    axes.set_yticks(place, list(shown.index))
    axes.tick_params(axis="y", length=0)
    axes.grid(False)  # a line would run through the numbers
    axes.set_ylim(max(len(shown), 3) - 0.4, -0.6)
    axes.set_xlim(0, max(0.1, shown.to_numpy().max(initial=0)) * 1.15)
    axes.set_xlabel("percent of all CPU time")
    axes.legend(loc="lower right", frameon=False, handlelength=2.2, handleheight=1.2)
    return figure


# --- measured beside models ------------------------------------------------------------------------------------------
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
    further = dict(not_modelled or {})
    _check_models(models)
    table = _rows_and_models(models, further)
    words = measured_beside_models_words(table, list(models), unit)
    return Figure(_draw_models(table, models, unit), *words, table)


def measured_beside_models_words(table, models, unit):
    """Caption and sentence of measured rows beside models; ``table`` is the figure's own."""
    predicted = table[table["role"] == "predicted"]
    told = []
    for name, row in predicted.iterrows():
        says = [f"{model} {number(row[model], 5)} ({row[f'{model}, error in percent']:+.1f} %)" for model in models]
        told.append(f"{name}: measured {number(float(row['measured']), 6)}, predicted by {', '.join(says)} {unit}")
    roles = [f"{role} {listing(table.index[table['role'] == role])}" for role in ("fitted", "not modelled")]
    roles = [said for said, role in zip(roles, ("fitted", "not modelled")) if (table["role"] == role).any()]
    caption = f"{capital('; '.join(told))}." if told else f"{count(len(table), 'row')}; none is predicted."
    sentence = f"Bar chart, {unit} by row, measured and by {count(len(models), 'method')}: {'; '.join(roles)}"
    return caption, f"{sentence}; {'; '.join(told)}."


def _check_models(models):
    """One to three tables of the same rows, or a ValueError."""
    if not isinstance(models, dict) or not 1 <= len(models) <= 3:
        raise ValueError('models must be a dict of one to three tables of predict_rows(), such as {"mva": table}.')
    for name, table in models.items():
        if not isinstance(table, pd.DataFrame) or not {"row", "role", "measured", "model"} <= set(table.columns):
            raise ValueError(f'model "{name}" is not a table of predict_rows().')
    first = next(iter(models.values()))
    for name, table in models.items():
        if list(table["row"]) != list(first["row"]) or list(table["measured"]) != list(first["measured"]):
            raise ValueError(f'model "{name}" has other rows than the first one; predict the same rows with each.')


def _rows_and_models(models, further):
    """Rows, their roles, what was measured, and what each model says with its error."""
    first = next(iter(models.values()))
    table = pd.DataFrame(
        {
            "role": [str(role) for role in first["role"]] + ["not modelled"] * len(further),
            "measured": [*first["measured"], *numbers("not_modelled", list(further.values()))],
        },
        index=pd.Index([str(row) for row in (*first["row"], *further)], name="row"),
    )
    empty = [np.nan] * len(further)
    for name, model in models.items():
        table[name] = [*model["model"], *empty]
        table[f"{name}, error in percent"] = [*model["error_percent"], *empty]
    return table


def _draw_models(table, models, unit):
    figure, axes = canvas()
    place = np.arange(len(table))
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
            label=in_legend(name),
        )
    names_below = [textwrap.fill(plain(row), 12) + f"\n({role})" for row, role in table["role"].items()]
    axes.set_xticks(place, names_below)
    axes.tick_params(axis="x", length=0, labelsize=8.5)
    axes.grid(False, axis="x")
    axes.set_ylim(0, float(table[names].max().max()) * 1.08)
    thousands(axes.yaxis)
    axes.set_ylabel(plain(unit))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, handlelength=2.0, handleheight=1.2)
    return figure
