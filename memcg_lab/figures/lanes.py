"""The chart of what CPUs do at the same time: a lane for each."""

import pandas as pd

from ..checks import whole_number
from ..words import count, listing, number
from .base import Figure, canvas, looks, plain, styled, thousands

WHAT = ("waits", "fetches", "works")
NAMED = 12  # lanes that still have a name each


@styled
def lanes(bars, cpus, *, at_ns, window_ns):
    """Lanes: what each CPU of each machine does over simulated time, around a moment.

    Waiting in a line's queue is hatched, a line on its way is a frame, work is filled; between them the CPU thinks.

    Parameters
    ----------
    bars : dict of str to DataFrame
        For each machine its rows of ``cpu``, ``what`` (``"waits"``, ``"fetches"`` or ``"works"``), ``line``,
        ``from_ns`` and ``to_ns``.
    cpus : int
        Of each machine.
    at_ns : int
        Where the cursor stands.
    window_ns : int
        How much of the time is shown.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no machine, or a number is out of range.

    Examples
    --------
    >>> from memcg_lab import figures
    >>> figures.lanes({}, 1, at_ns=0, window_ns=100)
    Traceback (most recent call last):
    ValueError: bars must name at least one machine.
    """
    if not isinstance(bars, dict) or not bars:
        raise ValueError("bars must name at least one machine.")
    whole_number("cpus", cpus, 1, 1024)
    whole_number("at_ns", at_ns, 0, 10**9)
    whole_number("window_ns", window_ns, 1, 10**9)
    first = max(0, at_ns - window_ns // 2)
    chosen, lane, ticks, rows = looks(bars), 0, [], []
    figure, axes = canvas()
    for label, frame in bars.items():
        seen = frame[(frame["to_ns"] > first) & (frame["from_ns"] < first + window_ns)]
        for what, group in seen.groupby("what"):
            spans = group[["from_ns", "to_ns"]].clip(first, first + window_ns)
            axes.barh(
                lane + group["cpu"],
                spans["to_ns"] - spans["from_ns"],
                left=spans["from_ns"],
                height=0.72,
                edgecolor=chosen[label].color if what == "fetches" else "#222222",
                facecolor=chosen[label].color if what == "works" else "white",
                hatch="////" if what == "waits" else "",
                linewidth=1.0,
            )
        if cpus * len(bars) <= NAMED:
            ticks += [(lane + cpu, f"{plain(label)}, CPU {cpu}") for cpu in range(cpus)]
        else:
            ticks.append((lane + (cpus - 1) / 2, f"{plain(label)}, CPU 0 to {cpus - 1}"))
        rows.append({"machine": label, **{what: _sum(seen, what, first, window_ns) for what in WHAT}})
        lane += cpus + 0.5
    axes.axvline(at_ns, color="#111111", linewidth=1.8)
    axes.set_xlim(first, first + window_ns)
    axes.set_ylim(lane - 0.7, -0.7)
    axes.set_yticks(*zip(*ticks, strict=True))
    axes.grid(visible=False, axis="y")
    thousands(axes.xaxis)
    axes.set_xlabel("simulated ns; hatched: waits for a line, frame: a line on its way, filled: works")
    table = pd.DataFrame(rows).set_index("machine").rename(columns=lambda what: f"{what}, ns")
    waits = listing(f"{row['machine']} {number(row['waits'])}" for row in rows)
    caption = f"Waiting for lines around {number(at_ns)} ns, in ns of all CPUs: {waits}."
    sentence = (
        f"Lanes, one for each of {count(cpus, 'CPU')} of {listing(map(plain, bars))}, over {number(first)} to "
        f"{number(first + window_ns)} simulated ns: {caption}"
    )
    return Figure(figure, caption, sentence, table)


def _sum(frame, what, first, window):
    """Time of one kind in the window, whole ns."""
    spans = frame[frame["what"] == what][["from_ns", "to_ns"]].clip(first, first + window)
    return round(float((spans["to_ns"] - spans["from_ns"]).sum()))
