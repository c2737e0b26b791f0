"""Follow: a policy's rules run along what a recording shows of the stocks, and say each time what it ought to show."""

import functools

import numpy as np

from .. import _jit
from .records import DRAIN_LOCAL_CALL, codes
from .steps import STEP_DRAIN, STEP_DRAIN_OWNER

CONSUME, REFILL, DRAIN = codes(("consume", "refill", "drain"))  # the rules that look at a stock

# One look: a rule begins on a CPU, for a cgroup and so many pages, and a slot of the CPU (-1 = not named) holds `avail`
# pages of `cached` (-1 = none). A drain names no cgroup and no pages of its own.
look_dtype = np.dtype([(name, np.int64) for name in ("rule", "cpu", "slot", "memcg", "nr_pages", "cached", "avail")])

# What the rules say of a look. memcg, nr_pages: what the slot holds before it. hit: 1 = the stock serves the charge.
# left: pages in all slots of the CPU after it.
prediction_dtype = np.dtype([(name, np.int64) for name in ("memcg", "nr_pages", "hit", "left")])


def bind_follow(policy):
    """The compiled loop that follows a recording by a policy's ``consume``, ``refill`` and ``drain``.

    Policies that differ in their batch alone share it.

    Parameters
    ----------
    policy : Policy
        With one slot or several.

    Returns
    -------
    callable
        ``follow(st, batch, looks, predicted, drained) -> looks that were followed``, fewer than there are if the
        next one's steps found no room in the log or its drains none in ``drained``.

        st : State
            With a step log. Its last cgroup stands for whatever a slot holds that was not seen yet: no look names it,
            and a recording that begins in the middle of things has it in every slot.
        batch : int
            Pages.
        looks : ndarray of ``look_dtype``, shape (n,)
            CPUs, slots, cgroups and rules that exist.
        predicted : ndarray of ``prediction_dtype``, shape (n,)
            Written. ``memcg`` is the last cgroup where nothing could be predicted.
        drained : ndarray of ``stock_dtype``, shape (n, most drains of a look)
            Written, in the order of the drains; zeros where there is none.

    Notes
    -----
    Kernel: ``consume_stock``, ``refill_stock`` and ``drain_stock`` of ``mm/memcontrol.c``. The rules carry their own
    state along. A slot nobody has seen is taken as a look shows it, and one that is not as predicted is set right.

    A charge and a refill show the slot of their cgroup; if there is none, the one that a refill would take. A drain
    shows the slot it empties. Where a look does not name its slot, it is the one of this CPU that holds the cgroup
    shown; else one that was never seen; else the rules are wrong, about an empty slot if there is one, about slot 0 if
    not. With one slot it is always that one. With several that were not seen from the beginning, only looks that name
    their slot tell in which one a cgroup lies.
    """
    return _bind(policy.consume, policy.refill, policy.drain)


@functools.lru_cache(maxsize=64)
def _bind(*rules):
    consume, refill, drain = map(_jit.inline, rules)

    @_jit.kernel("the rules that follow a trace")
    def follow(st, batch, looks, predicted, drained):
        for k in range(looks.size):
            look = looks[k]
            told = predicted[k]
            cpu = look.cpu
            slot = look.slot if look.slot >= 0 else shown_slot(st, cpu, look.cached)
            stock = st.stock[cpu, slot]
            told.memcg = stock.memcg
            told.nr_pages = stock.nr_pages
            stock.memcg = look.cached
            stock.nr_pages = look.avail
            st.log[0].before = 0
            if look.rule == CONSUME:
                told.hit = 1 if consume(st, batch, cpu, look.memcg, look.nr_pages) else 0
            elif look.rule == REFILL:
                refill(st, batch, drain, cpu, look.memcg, look.nr_pages)
            else:
                drain(st, cpu, slot, DRAIN_LOCAL_CALL)
            for other in range(st.stock.shape[1]):
                told.left += st.stock[cpu, other].nr_pages
            if st.log[0].after > 0 or not note_drains(st.log, drained, k):
                return k
        return looks.size

    return follow


@_jit.inline
def shown_slot(st, cpu, cached):
    """The slot that a look at this cgroup must be meant for."""
    found, best = 0, 0
    for slot in range(st.stock.shape[1]):
        memcg = st.stock[cpu, slot].memcg
        fit = 0
        if memcg == cached:
            fit = 3
        elif memcg == st.memcg.size - 1:  # not seen yet
            fit = 2
        elif memcg < 0:
            fit = 1
        if fit > best:
            found, best = slot, fit
    return found


@_jit.inline
def note_drains(log, drained, k):
    """Copy the drains out of the log that moved pages; false if there were more than find room."""
    found = 0
    pages = 0
    for row in range(1, log[0].before + 1):
        step = log[row]
        if step.step == STEP_DRAIN:
            pages = step.before
        elif step.step == STEP_DRAIN_OWNER and pages > 0:
            if found == drained.shape[1]:
                return False
            drained[k, found].memcg = step.before
            drained[k, found].nr_pages = pages
            pages = 0
            found += 1
    return True
