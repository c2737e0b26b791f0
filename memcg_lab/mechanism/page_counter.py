"""page_counter: a tree of counters where each charge is one atomic per level, from the leaf to the top.

A counter is a row of ``State.counter``. Row ``m`` is memcg ``m``'s *memory* counter, row ``n + m`` its *memsw*, row
``2 n + m`` its *tcpmem* (``n`` cgroups). ``parent`` is a row of the same kind, -1 above the top.

Kernel: ``mm/page_counter.c`` of v4.13, unchanged in v4.14.
"""

from .._jit import CHECKED, inline
from .records import EBUSY, HALT, WARN
from .steps import (
    STEP_CANCEL,
    STEP_CHARGE_ADD,
    STEP_CHARGE_WATERMARK,
    STEP_FAILCNT,
    STEP_LIMIT,
    STEP_TRY_ADD,
    STEP_TRY_UNDO,
    STEP_TRY_WATERMARK,
    step,
)


@inline
def above(st, c):
    """The level above a counter, -1 above the top.

    Parents stand before their children, so a walk up ends. A reader's rule could write another parent; where one runs,
    that is an error, and a walk ends too when the reader interrupts it.
    """
    parent = st.counter[c].parent
    if CHECKED:
        if parent >= c:
            raise IndexError("a cgroup stands above its own parent")
        if st.total[HALT]:
            raise IndexError("interrupted")
    return parent


@inline
def page_counter_cancel(st, cpu, c, nr_pages):
    """Subtract from this level alone; below zero is a fault that the kernel warns of once."""
    counter = st.counter[c]
    before = counter.count
    counter.count = before - nr_pages
    counter.sub += 1
    if before < nr_pages:
        st.total[WARN] += 1
    step(st.log, cpu, STEP_CANCEL, c, before, before - nr_pages)


@inline
def page_counter_uncharge(st, cpu, c, nr_pages):
    """Subtract from every level, leaf first."""
    while c >= 0:
        page_counter_cancel(st, cpu, c, nr_pages)
        c = above(st, c)


@inline
def page_counter_charge(st, cpu, c, nr_pages):
    """Add to every level without looking at limits."""
    while c >= 0:
        counter = st.counter[c]
        new = counter.count + nr_pages
        counter.count = new
        counter.add += 1
        step(st.log, cpu, STEP_CHARGE_ADD, c, new - nr_pages, new)
        if new > counter.watermark:
            step(st.log, cpu, STEP_CHARGE_WATERMARK, c, counter.watermark, new)
            counter.watermark = new
        c = above(st, c)


@inline
def page_counter_try_charge(st, cpu, leaf, nr_pages):
    """Add to every level, or to none: the row of the level that refused, or -1 if all took it.

    A level adds first and looks at its limit afterwards; exactly at the limit fits. When a level refuses, the levels
    below it are cancelled again, but their watermarks stay raised.
    """
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
                page_counter_cancel(st, cpu, undo, nr_pages)
                undo = above(st, undo)
            return c
        if new > counter.watermark:
            step(st.log, cpu, STEP_TRY_WATERMARK, c, counter.watermark, new)
            counter.watermark = new
        c = above(st, c)
    return -1


@inline
def page_counter_limit(st, cpu, c, limit):
    """Set the limit as cgroup v1 does: 0, or -EBUSY when more than that is in use."""
    counter = st.counter[c]
    if counter.count > limit:
        return EBUSY
    exchange_limit(st, cpu, c, limit)
    return 0


@inline
def exchange_limit(st, cpu, c, limit):
    """The atomic exchange that both ways of setting a limit execute."""
    counter = st.counter[c]
    step(st.log, cpu, STEP_LIMIT, c, counter.limit, limit)
    counter.limit = limit
    counter.xchg += 1
