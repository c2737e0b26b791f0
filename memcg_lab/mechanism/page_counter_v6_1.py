"""page_counter of v6.1: as that of v4.13, and each change of usage is compared with what the parent knows of it.

``memory.min`` and ``memory.low`` protect a cgroup as far as it is used. How far that is, is told upwards whenever it
changes, by two atomics: an exchange of what was told before, and an add of the difference to the parent's sum. Without
protection nothing is told.

Kernel: ``mm/page_counter.c`` of v6.1, ``propagate_protected_usage`` included. cgroup v2 alone, so a row is a memcg.
"""

from .._jit import inline
from .page_counter import above
from .records import PROTECTION_ADD, PROTECTION_XCHG, WARN
from .steps import (
    STEP_CANCEL,
    STEP_CHARGE_ADD,
    STEP_CHARGE_WATERMARK,
    STEP_FAILCNT,
    STEP_LOW_TOLD,
    STEP_MIN_TOLD,
    STEP_TRY_ADD,
    STEP_TRY_UNDO,
    STEP_TRY_WATERMARK,
    step,
)


@inline
def propagate_protected_usage(st, cpu, c, usage):
    """Tell the parent how much of the usage is protected, if that changed."""
    if st.counter[c].parent < 0:
        return
    upward = st.upward[c]
    protected = min(usage, upward.memory_min)
    if protected != upward.min_told:
        step(st.log, cpu, STEP_MIN_TOLD, c, upward.min_told, protected)
        upward.min_told = protected
        st.total[PROTECTION_XCHG] += 1
        st.total[PROTECTION_ADD] += 1
    protected = min(usage, upward.memory_low)
    if protected != upward.low_told:
        step(st.log, cpu, STEP_LOW_TOLD, c, upward.low_told, protected)
        upward.low_told = protected
        st.total[PROTECTION_XCHG] += 1
        st.total[PROTECTION_ADD] += 1


@inline
def cancel_v6_1(st, cpu, c, nr_pages):
    """``page_counter_cancel``: subtract from this level alone."""
    counter = st.counter[c]
    before = counter.count
    counter.count = before - nr_pages
    counter.sub += 1
    if before < nr_pages:
        st.total[WARN] += 1
    step(st.log, cpu, STEP_CANCEL, c, before, before - nr_pages)
    propagate_protected_usage(st, cpu, c, before - nr_pages)


@inline
def uncharge_v6_1(st, cpu, c, nr_pages):
    """``page_counter_uncharge``: subtract from every level, leaf first."""
    while c >= 0:
        cancel_v6_1(st, cpu, c, nr_pages)
        c = above(st, c)


@inline
def charge_v6_1(st, cpu, c, nr_pages):
    """``page_counter_charge``: add to every level without looking at limits."""
    while c >= 0:
        counter = st.counter[c]
        new = counter.count + nr_pages
        counter.count = new
        counter.add += 1
        step(st.log, cpu, STEP_CHARGE_ADD, c, new - nr_pages, new)
        propagate_protected_usage(st, cpu, c, new)
        if new > counter.watermark:
            step(st.log, cpu, STEP_CHARGE_WATERMARK, c, counter.watermark, new)
            counter.watermark = new
        c = above(st, c)


@inline
def try_charge_v6_1(st, cpu, leaf, nr_pages):
    """``page_counter_try_charge``: add to every level, or to none; the row of the level that refused, or -1."""
    c = leaf
    while c >= 0:
        counter = st.counter[c]
        new = counter.count + nr_pages
        counter.count = new
        counter.add += 1
        step(st.log, cpu, STEP_TRY_ADD, c, new - nr_pages, new)
        if new > counter.limit:
            counter.count = new - nr_pages
            counter.sub += 1
            step(st.log, cpu, STEP_TRY_UNDO, c, new, new - nr_pages)
            counter.failcnt += 1
            step(st.log, cpu, STEP_FAILCNT, c, counter.failcnt - 1, counter.failcnt)
            undo = leaf
            while undo != c:
                cancel_v6_1(st, cpu, undo, nr_pages)
                undo = above(st, undo)
            return c
        propagate_protected_usage(st, cpu, c, new)
        if new > counter.watermark:
            step(st.log, cpu, STEP_TRY_WATERMARK, c, counter.watermark, new)
            counter.watermark = new
        c = above(st, c)
    return -1
