"""Profiles, before the patch and after it: notebooks 01 and 07."""

import csv
import functools

from ...files import data_path
from ...mechanism.policy import V4_13
from ...mechanism.records import CHARGE_BATCH
from ...words import listing
from ..answers import amdahl
from .base import back_and_forth, kind, levels

# --- 01 ---------------------------------------------------------------------------------------------------------------
SYMBOLS = ("tcp_ack", "__fget", "__schedule", "menu_select", "enqueue_entity", "__switch_to", "page_counter_cancel")


def _percents(draw, n, top=400):
    """Percent of samples, falling, as (text, text, ...)."""
    hundredths = sorted({draw.between(20, top) for _ in range(n)}, reverse=True)
    return [f"{value // 100}.{value % 100:02d}" for value in hundredths]


def _listing(percents, names):
    return "\n".join(f"  {percent}%  [kernel]  [k] {name}" for percent, name in zip(percents, names, strict=False))


@kind("profile")
def not_listed(draw):
    """What a listing does not show."""
    shown = _listing(_percents(draw, 5), draw.shuffled(SYMBOLS))
    text = f"perf top shows these rows, in percent of all samples:\n{shown}\n   How many percent are in no row of it?"

    def answer():
        from ...perf import read_perf

        percents = read_perf(shown)["percent"]
        total = float(percents.sum())
        return 100 - total, [
            (0.0, "a listing stops somewhere: what is below the last row is not shown."),
            (total, "that is what the rows show together."),
            (float(100 - percents.max()), "each of the rows is shown, not only the first."),
        ]

    return text, None, answer


@kind("profile")
def time_saved(draw):
    """Amdahl's law."""
    share, faster = draw.between(2, 40), draw.pick([2, 4, 5, 8, 10])
    text = (
        f"A function takes {share} % of all samples. It is made {faster} times as fast, and nothing else changes. How "
        "many percent of the time are saved?"
    )

    def answer():
        return 100 * (1 - 1 / amdahl(share / 100, faster)), [
            (float(share), "it does not vanish: a part of its work stays."),
            (share / faster, "that is what stays of it, not what is saved."),
            (100 * (1 - 1 / faster), "that holds for the function alone. The rest stays as it is."),
            (100 * (amdahl(share / 100, faster) - 1), "that is how much faster it gets, in percent of the new time."),
        ]

    return text, None, answer


@kind("profile")
def booked_to(draw):
    """Atomics by function."""
    trips, depth = draw.between(1, 5), draw.between(1, 5)
    pages, where = trips * CHARGE_BATCH, draw.pick(["page_counter_try_charge", "page_counter_cancel"])
    text = (
        f"Before the patch {pages} pages of {levels(depth)} arrive on CPU 0 and are given back on CPU 1, one at a "
        f"time. How many atomics are executed in {where}?"
    )

    def answer():
        work = back_and_forth(V4_13, pages, depth)
        right, other = (work.add, work.sub) if where == "page_counter_try_charge" else (work.sub, work.add)
        return right, [
            (other, "that is the other function: pages are charged 32 at a time, and come back one at a time."),
            (right // (depth + 1) * depth, "the root has a counter too."),
            (right // (depth + 1), "each level up to the root is changed."),
            (work.atomics, "that is both functions together."),
        ]

    return text, None, answer


@functools.cache
def _symbols():
    with open(data_path("perf/symbols.csv"), encoding="utf-8", newline="") as file:
        return {row["symbol"]: row for row in csv.DictReader(file)}


@kind("profile")
def rows_on_the_path(draw):
    """Which functions give socket memory back."""
    known = _symbols()
    names = draw.shuffled(name for name in known if name.isidentifier())[: draw.between(5, 8)]
    text = (
        f"A profile of Linux 4.13 lists {listing(names)}. How many of these are known to give socket memory back "
        "whenever they are on that path?"
    )

    def answer():
        kinds = [known[name]["on_the_path"] for name in names]
        return kinds.count("yes"), [
            (
                kinds.count("yes") + kinds.count("cannot tell"),
                "spin locks and tcp_ack are used all over; one cannot tell.",
            ),
            (sum("page_counter" in name for name in names), "callers of the page counter give memory back as well."),
            (len(names), "the scheduler, the network card and the files have nothing to do with it."),
            (0, "page_counter_cancel and two callers above it are on the path, and one of them is here."),
        ]

    return text, None, answer


# --- 07 ---------------------------------------------------------------------------------------------------------------
@kind("after")
def rescaled(draw):
    """The rest of a smaller whole."""
    vanished, share = draw.between(200, 3000), draw.between(50, 1500)
    text = (
        f"A function with {vanished / 100:.2f} % of all samples vanishes, and nothing else changes. Another one had "
        f"{share / 100:.2f} %. How many percent has it now?"
    )

    def answer():
        gone, had = vanished / 10_000, share / 100
        return had * amdahl(gone, 1e18), [
            (had, "shares add up to 100: what is gone makes the rest a larger part."),
            (had * (1 - gone), "the whole gets smaller, so its share grows; divide."),
            (had + vanished / 100, "what is gone is not given to one function."),
            (had * (1 + gone), "that is near for a small share; divide by what is left."),
        ]

    return text, None, answer


@kind("after")
def gone_at_least(draw):
    """What is no longer listed may still be there."""
    names = draw.shuffled(SYMBOLS)
    before = _percents(draw, 5)
    before = [*before, "0.19", "0.18"][: max(5, len(before))]
    old = _listing(before, names)
    stay = [k for k in range(len(before)) if k not in (0, 2)]
    new = _listing([before[k] for k in stay], [names[k] for k in stay])
    text = (
        f"Before:\n{old}\n   After:\n{new}\n   What is below the lowest row is not listed. How many percent did "
        f"{names[0]} and {names[2]} lose together at least, of all samples?"
    )

    def answer():
        from ...perf import compare

        change = compare(old, new)
        return change.gone_at_least, [
            (change.gone_at_most, "that is at most: each may still have a little less than the lowest row."),
            (0.0, "both were above the lowest row that is listed now."),
            (float(before[0]), "that is one of them, wholly."),
            (float(before[0]) + float(before[2]) - float(before[-1]), "each of the two may have that much left."),
        ]

    return text, None, answer
