"""Answers that are more than one number: a factor, a set of names, a tree, a size that never hits."""

import functools
import inspect
import math
import numbers

import numpy as np

from ..machine import V4_13_LAYOUT, Layout, Topology, simulate
from ..machine.coherence import LOADS
from ..mechanism.policy import V4_13
from ..mechanism.records import CHARGE_BATCH, SOFTIRQ, UNCHARGE_SKMEM
from ..mechanism.steps import STEP_CONSUME_HIT
from ..system import System, op
from ..words import count, kind, listing, number
from ..workload import pingpong, skmem
from .trial import patiently

TREE_MAX = 1000  # cgroups of an answer
MORE_THAN_A_BATCH = CHARGE_BATCH + 8  # pages; so that no stock takes part


def as_number(answer, wanted):
    """(the answer as a finite number, what to say if it is none, or None)."""
    if hasattr(answer, "item") and getattr(answer, "size", 0) == 1:
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, numbers.Real):
        return None, f"Your answer is {kind(answer)}; give {wanted}."
    return (answer, None) if math.isfinite(answer) else (None, f"Your answer is not finite; give {wanted}.")


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
    answer, complaint = as_number(answer, "a number with two digits after the point, such as 1.50")
    if complaint:
        return False, complaint
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


# --- 02.4: what undoes a refused charge ------------------------------------------------------------------------------
UNDO = ("counts", "parents", "leaf", "refused", "nr_pages")
_TREE = (-1, 0, 0, 1, 3, 2)  # 4 lies below 3, 1 and 0; 5 below 2 and 0
_REFUSALS = ((4, 1), (4, 0), (4, 3), (5, 0), (4, 4))  # (leaf, who refused)


def takes_others(function, what, parameters):
    """What is wrong with a function of the reader's that should take these parameters, or None."""
    if not callable(function):
        return f"Your answer is {kind(function)}; give the function itself, without calling it."
    try:
        signature = inspect.signature(getattr(function, "py_func", function))
    except (TypeError, ValueError):
        return "That function cannot be read; define it with def in a cell."
    in_order = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = [parameter.name for parameter in signature.parameters.values() if parameter.kind in in_order]
    if len(taken) == len(parameters):
        return None
    return f"Your function takes ({', '.join(taken) or 'nothing'}); {what} takes ({', '.join(parameters)})."


def judge_undo(answer):
    """(is it right, what to say) for 02.4, a function that takes a refused charge back from the levels below."""
    complaint = takes_others(answer, "it", UNDO)
    if complaint:
        return False, complaint
    for leaf, refused in _REFUSALS:
        path = _path(_TREE, leaf)
        below = path[: path.index(refused)]
        counts = [10 + (5 if memcg in below else 0) for memcg in range(len(_TREE))]
        got = list(counts)
        patiently(functools.partial(answer, got, list(_TREE), leaf, refused, 5))
        wrong = [memcg for memcg in range(len(_TREE)) if got[memcg] != 10]
        if wrong:
            return False, _undone(leaf, refused, path, below, got, wrong[0])
    return True, (
        f"All {len(_REFUSALS)} refusals leave every count as it was. `show_rule" + '("page_counter_try_charge")` shows '
        "how the library does it, and the kernel in its file."
    )


def _undone(leaf, refused, path, below, got, memcg):
    way = listing([f"memcg {m}" for m in path], last="then")
    start = f"The way up is {way}, and memcg {refused} refuses: "
    told = f"after your function memcg {memcg} has {number(got[memcg])} pages, not 10. "
    if memcg in below:
        return start + told + "It took the pages, so they have to be taken off again."
    if memcg == refused:
        return start + told + "Who refuses takes its own addition back at once; leave it alone."
    if memcg in path:
        return start + told + "The charge never got there: stop at the level that refused."
    return start + told + "It does not lie on the way up: go from each to its parent."


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
    answer, complaint = as_number(answer, f"a whole number from 1 to {CHARGE_BATCH}")
    if complaint:
        return False, complaint
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


# --- 06.3: how long to think -----------------------------------------------------------------------------------------
CROWD = 101


def judge_think(answer):
    """(is it right, what to say) for 06.3, a think time with which 101 CPUs are the fewest that fill the line."""
    answer, complaint = as_number(answer, "a number of nanoseconds")
    if complaint:
        return False, complaint
    if answer <= 0:
        return False, f"{_plain(answer)} ns is no time to work. Asked is how long a CPU works between two visits."
    needed = math.ceil((answer + VISIT_NS) / VISIT_NS)
    if needed == CROWD:
        return True, (
            f"A round takes {_plain(answer + VISIT_NS)} ns, and {CROWD} visits of {VISIT_NS} ns fill it. The more a "
            "CPU does in between, the more CPUs a line bears."
        )
    if answer == CROWD * VISIT_NS:
        return False, f"The visit belongs to the round as well: {CROWD * VISIT_NS} and {VISIT_NS} ns, {needed} visits."
    side = "fewer would do" if needed < CROWD else f"{CROWD} do not fill it"
    return False, f"A round takes {_plain(answer + VISIT_NS)} ns then, and {needed:,} CPUs fill it: {side}."


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
