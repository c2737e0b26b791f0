"""Answers that are more than one number: a factor, a set of names, a tree, a size that never hits."""

import csv
import functools
import math
import numbers

import numpy as np

from ..files import data_path
from ..machine import V4_13_LAYOUT, Layout, Topology, simulate
from ..machine.coherence import LOADS
from ..mechanism.policy import V4_13
from ..mechanism.records import CHARGE_BATCH, SOFTIRQ, UNCHARGE_SKMEM
from ..mechanism.steps import STEP_CONSUME_HIT
from ..system import System, op
from ..words import capital, count, kind, listing, number
from ..workload import pingpong, skmem

TREE_MAX = 1000  # cgroups of an answer
MORE_THAN_A_BATCH = CHARGE_BATCH + 8  # pages; so that no stock takes part


# --- 01.1: Amdahl's law ----------------------------------------------------------------------------------------------
SHARE, FASTER = 0.05, 4

# Factor -> (how near to it, what to say).
_WRONG_FACTORS = {
    1.25: (
        0.005,
        "1.25 is 5 divided by 4: the percent of the old samples that the function still takes. Asked is a factor.",
    ),
    4.0: (0.005, "4 holds for the function alone. The other 95 % of the samples stay as they are."),
    1.0375: (
        0.0005,
        "1.0375 adds the time saved to 1. The factor is old time over new time, 1 / (1 - 0.0375); compute on.",
    ),
    1.05: (0.005, "1.05 would be right if the function vanished wholly, 1 / (1 - 0.05). A quarter of its work stays."),
    0.96: (0.005, "0.96 is the time that is left. The factor is its inverse, old time over new time."),
    0.04: (0.005, "0.04 is the share of the time that is saved. The factor is old time over new time."),
    3.75: (0.005, "3.75 is how many percent of the time are saved. The factor is old time over new time."),
    1.2: (0.005, "1.2 is 1 + 4 times 5 %. What is four times faster still takes a quarter of its time."),
    1.01: (0.005, "Three quarters of the 5 % are saved, not one quarter: a quarter stays."),
    1.0: (0.005, "Something is saved: three quarters of 5 %."),
}


def amdahl(share, faster):
    """How many times faster the whole gets if a share of it gets ``faster`` times as fast.

    Examples
    --------
    >>> round(amdahl(0.05, 4), 2), round(amdahl(0.5, 1e9), 2)
    (1.04, 2.0)
    """
    return 1 / (1 - share + share / faster)


def judge_factor(answer):
    """(is it right, what to say) for 01.1; anything that rounds to the right two digits is right."""
    right = amdahl(SHARE, FASTER)
    if hasattr(answer, "item") and getattr(answer, "size", 0) == 1:
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, numbers.Real):
        return False, f"Your answer is {kind(answer)}; give a number with two digits after the point, such as 1.50."
    if not math.isfinite(answer):
        return False, "Your answer is not finite; give a number with two digits after the point, such as 1.50."
    near = [why for wrong, (within, why) in _WRONG_FACTORS.items() if abs(answer - wrong) < within]
    if near:
        return False, near[0]
    if abs(answer - right) < 0.005:
        return True, (
            f"1 / (1 - 0.05 + 0.05 / 4) is {right:.3f}: three quarters of 5 % are saved, 3.75 % of the time. "
            "If the function vanished wholly, the factor would be 1.05."
        )
    if answer <= 1:
        return False, f"{_plain(answer)} is too low. A factor below 1 would say that the host gets slower."
    if answer < right:
        return (
            False,
            f"{_plain(answer)} is too low. Three quarters of the 5 % are saved: divide 1 by what is left.",
        )
    return False, f"{_plain(answer)} is too high. 95 % of the samples stay as they are."


def _plain(answer):
    return number(int(answer) if answer == int(answer) else float(answer))


# --- 01.2: the rows of giving back -----------------------------------------------------------------------------------
@functools.cache
def _symbols():
    """What ``data/perf/symbols.csv`` says: symbol -> (on the path, what it does)."""
    with open(data_path("perf/symbols.csv"), encoding="utf-8", newline="") as lines:
        return {row["symbol"]: (row["on_the_path"], row["what_it_does"]) for row in csv.DictReader(lines)}


def judge_rows(answer):
    """(is it right, what to say) for 01.2, a set of names of functions."""
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    if isinstance(answer, str) or not isinstance(answer, (set, frozenset, list, tuple)):
        return False, f'Your answer is {kind(answer)}; give a set of names, such as {{"tcp_ack"}}.'
    odd = [name for name in answer if not isinstance(name, str)]
    if odd:
        return False, f'Your set holds {kind(odd[0])}; give names of functions, such as {{"tcp_ack"}}.'
    try:
        symbols = _symbols()
    except ValueError as error:
        return False, capital(str(error))
    named = {name.strip().removesuffix("()") for name in answer}
    right = {name for name, (on_the_path, _) in symbols.items() if on_the_path == "yes"}
    if named == right:
        return (
            True,
            "These belong: the atomic, the network function that leads to it, and the timer that leads to that.",
        )
    told = []
    for name in sorted(named - right):
        if name not in symbols:
            told.append(f"`{_shortened(name)}` is not in the listing")
        elif symbols[name][0] == "no":
            told.append(f"`{name}` cannot belong ({symbols[name][1]})")
        else:
            told.append(f"of `{name}` you cannot tell ({symbols[name][1]})")
    for name in (name for name in symbols if name in right - named):
        told.append(f"`{name}` is missing ({symbols[name][1]})")
    return False, f"{capital('; '.join(told))}."


def _shortened(name):
    name = " ".join(name.split())
    return name if len(name) <= 40 else name[:39] + "…"


# --- 02.3: a tree ----------------------------------------------------------------------------------------------------
ATOMICS_ASKED, SHARED_ASKED = 3, 1


def judge_tree(answer):
    """(is it right, what to say) for 02.3, a list of parents."""
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    if not isinstance(answer, (list, tuple, range)):
        return False, f"Your answer is {kind(answer)}; give a list of parents, such as [-1, 0, 1]."
    if not 1 <= len(answer) <= TREE_MAX:
        return False, f"Your list has {count(len(answer), 'entry')}; a handful of cgroups is enough."
    try:
        system = System(answer, cpus=1, policy=V4_13)
    except ValueError as error:
        return False, f"That is no tree: {str(error).rstrip('.')}."
    last = len(answer) - 1
    atomics = system.step_through(op("try_charge", cpu=0, memcg=last, nr=MORE_THAN_A_BATCH)).atomics()
    if last == 0:
        return False, "Your tree is a root alone; the root itself is not charged. Put cgroups below it."
    path = _path(system.parents, last)
    if atomics != ATOMICS_ASKED:
        way = listing([f"memcg {m}" for m in path], last="then")
        return False, (
            f"A charge to the last cgroup costs {count(atomics, 'atomic')}, one for each counter on its way up: {way}. "
            f"Asked are {ATOMICS_ASKED}."
        )
    first, second = _side_by_side(system.parents)
    if first is None:
        return False, "Each of your cgroups lies above or below every other. Put two side by side."
    shared = _shared(system.parents, first, second)
    if shared == 0:
        return False, f"Memcg {first} and memcg {second} share no counter: nothing lies above both."
    if shared > SHARED_ASKED:
        return False, (
            f"Memcg {first} and memcg {second} lie side by side, but share {count(shared, 'counter')}. "
            "Let them part right below the top."
        )
    return True, (
        f"A charge to memcg {last} costs {count(atomics, 'atomic')}, and memcg {first} and memcg {second} share one "
        "counter only, the top one."
    )


def _path(parents, memcg):
    path = []
    while memcg >= 0:
        path.append(memcg)
        memcg = parents[memcg]
    return path


def _side_by_side(parents):
    """Two cgroups of which none lies above the other, as high in the tree as can be; (None, None) if there are none."""
    best = None
    brother = {}
    for memcg, parent in enumerate(parents):
        if parent in brother:
            depth = len(_path(parents, parent)) if parent >= 0 else TREE_MAX + 1  # two tops share nothing: last choice
            if best is None or depth < best[0]:
                best = depth, brother[parent], memcg
        else:
            brother[parent] = memcg
    return best[1:] if best else (None, None)


def _shared(parents, first, second):
    """How many counters a charge to either of two cgroups changes, counted by charging both."""
    system = System(parents, cpus=1, policy=V4_13)
    met = []
    for memcg in (first, second):
        before = system.atomics_by_memcg()
        if memcg != system.root:
            system.try_charge(cpu=0, memcg=memcg, nr_pages=MORE_THAN_A_BATCH)
        met.append(system.atomics_by_memcg() > before)
    return int((met[0] & met[1]).sum())


# --- 03.3: a size that never hits ------------------------------------------------------------------------------------
@functools.cache
def first_hit(nr_pages):
    """(number of the first charge that is a hit, pages in the stock before it), or None, for charges of one size."""
    system = System.chain(depth=1, cpus=1, policy=V4_13)
    for call in range(1, 4 * CHARGE_BATCH):
        held = system.stock[0].nr_pages
        log = system.step_through(op("charge_skmem", cpu=0, memcg=1, nr=nr_pages))
        if (log.rows["step"] == STEP_CONSUME_HIT).any():
            return call, held
    return None


def judge_never_hit(answer):
    """(is it right, what to say) for 03.3, pages per call."""
    if hasattr(answer, "item") and getattr(answer, "size", 0) == 1:
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, numbers.Real) or not math.isfinite(answer):
        what = "is not finite" if isinstance(answer, float) else f"is {kind(answer)}"
        return False, f"Your answer {what}; give a whole number from 1 to {CHARGE_BATCH}."
    if answer != int(answer):
        return False, f"{number(float(answer))} is not whole; pages are counted one by one."
    answer = int(answer)
    if answer < 1:
        return False, f"{number(answer)} is too low. A call asks for at least one page."
    if answer > CHARGE_BATCH:
        return False, (
            f"{number(answer)} is too high. Such a call is above the batch and does not even look into the stock; "
            f"asked is a number from 1 to {CHARGE_BATCH}."
        )
    hit = first_hit(answer)
    if hit is None:
        return True, "The batch is handed out whole, so nothing is left for the stock. Every call misses."
    call, held = hit
    return False, (
        f"With {count(answer, 'page')} a call, call {number(call)} is a hit: by then the stock holds "
        f"{count(held, 'page')}."
    )


# --- 06.2 and 08.1: where one line is full -------------------------------------------------------------------------
THINK_NS, VISIT_NS = 1000, 50


@functools.cache
def full_at(policy):
    """The smallest number of CPUs that keep one line taken all the time by giving back single pages, at one level."""
    every = 1 if policy is V4_13 else CHARGE_BATCH + 1  # operations of a CPU from one visit to the next
    low, high = 1, every * (THINK_NS + VISIT_NS) // VISIT_NS + 2  # free with the one, full with the other
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _full(middle, policy, every) else (middle, high)
    return high


def _full(cpus, policy, every):
    ops = skmem(UNCHARGE_SKMEM, cpus, cpu=list(range(cpus)), memcg=0, nr_pages=1, ctx=SOFTIRQ)
    run = simulate(
        System([-1], cpus=cpus, policy=policy, root=None),
        ops,
        think_ns=THINK_NS,
        think="fixed",
        topology=Topology.uniform(cpus, transfer_ns=VISIT_NS),
        layout=V4_13_LAYOUT.with_words("the counter alone", memory_allocated=False, pressure_walks=0),
        duration_ns=8 * every * (THINK_NS + VISIT_NS),
        warm_up=0.5,
    )
    return bool(run.utilisation.max() > 1 - 1e-4)


# --- 07.3: a layout ------------------------------------------------------------------------------------------------
LAYOUT_CPUS = 8
MISSED_MAX = 0.05  # a new peak of the count writes watermark now and then


def missed_loads(layout):
    """Loads of a counter's lines that miss, in one uncharge of v4.13, on 8 CPUs that charge and give back in turn."""
    system = System.chain(depth=2, cpus=LAYOUT_CPUS, policy=V4_13)
    ops = [pingpong(2, memcg=2, cpu=cpu) for cpu in range(LAYOUT_CPUS)]
    run = simulate(system, np.concatenate(ops), layout=layout, duration_ns=400_000, warm_up=0.5)
    return 2 * run.traffic[1:, LOADS].sum() / run.finished.sum()


def judge_layout(answer):
    """(is it right, what to say) for 07.3, a Layout on two lines with which giving back misses no load."""
    if not isinstance(answer, Layout):
        return False, f'Your answer is {kind(answer)}; give a Layout, such as V4_13_LAYOUT.with_words("mine", limit=1).'
    if not (answer.memory_allocated and answer.pressure_walks == V4_13_LAYOUT.pressure_walks):
        return False, "Your layout touches less than the kernel does; move words only, and leave the calls as they are."
    missed, start = (float(missed_loads(layout)) for layout in (answer, V4_13_LAYOUT))
    told = f"An uncharge misses {number(missed, 2)} loads with your layout, {number(start, 2)} with that of v4.13."
    if missed > MISSED_MAX:
        return False, f"{told} Which word does an uncharge read, and who keeps taking its line away?"
    if answer.lines > 2:
        return False, f"{told} But it takes {count(answer.lines, 'line')}; two are enough."
    return True, f"{told} What is only read lies apart from what is written, so every CPU keeps its copy."
