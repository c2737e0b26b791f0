"""memcontrol: charging and giving back, as the page allocator and the sockets call it, bound to one policy's rules.

Kernel: ``try_charge``, ``cancel_charge``, ``drain_all_stock``, ``mem_cgroup_charge_skmem``,
``mem_cgroup_uncharge_skmem`` and the limit writes in ``mm/memcontrol.c``, v4.13 and v4.14. One thread: an operation is
atomic, work sent to another CPU runs at once, and reclaim is the policy's ``reclaim`` rule.
"""

from collections import namedtuple

from .._jit import CHECKED, function, inline
from .page_counter import above, exchange_limit, page_counter_charge, page_counter_try_charge, page_counter_uncharge
from .records import (
    ATOMIC,
    COSTLY_PAGES,
    DRAIN_ALL_CALL,
    DRAIN_CPU_DEAD,
    DYING,
    ENOMEM,
    FORCED,
    HALT,
    HIGH_WORK,
    HIT,
    IN_OOM,
    MEM_CGROUP_RECLAIM_RETRIES,
    MISS,
    NOFAIL,
    NOMEM,
    NORETRY,
    NOWAIT,
    OOM,
    OVER_HIGH,
    PAGE_COUNTER_MAX,
    RECLAIM,
    REFUSED,
    REMOTE_WORKS,
    SOFTIRQ,
)
from .steps import STEP_FORCE, STEP_HIGH, STEP_OOM, STEP_RECLAIM, STEP_REMOTE_DRAIN, STEP_SOCK_ADD, STEP_SOCK_SUB, step
from .stock_v4_13 import css_get_many, css_put_many, uncharge_counters

# The last two are no functions: whether a socket charge that does not fit is charged all the same, and the functions of
# kernel pages where they go through the stock, else None.
Memcontrol = namedtuple(
    "Memcontrol",
    "try_charge cancel_charge charge_skmem uncharge_skmem drain_local drain_all cpu_dead set_max set_high "
    "charges_refused kernel_pages",
)


@inline
def reclaim_nothing(st, cpu, over, nr_pages):
    """The default reclaim rule: nothing can be freed. A rule of your own returns how many pages it uncharged."""
    return 0


@inline
def mem_cgroup_margin(st, memcg):
    """Pages that still fit below the limit of memory, and of memsw where it is accounted."""
    counter = st.counter[memcg]
    margin = max(counter.limit - counter.count, 0)
    if st.memsw:
        memsw = st.counter[memcg + st.memcg.size]
        margin = min(margin, max(memsw.limit - memsw.count, 0))
    return margin


@inline
def is_descendant(st, memcg, root):
    """True if ``memcg`` is ``root`` or below it."""
    while memcg >= 0 and memcg != root:
        memcg = above(st, memcg)
    return memcg >= 0


@inline
def check_high(st, cpu, memcg, ctx, batch):
    """The first level above its memory.high is told: by work in interrupt context, else through the task."""
    level = memcg
    while level >= 0:
        if st.counter[level].count > st.memcg[level].high:
            total = HIGH_WORK if ctx & SOFTIRQ else OVER_HIGH
            amount = 1 if ctx & SOFTIRQ else batch
            step(st.log, cpu, STEP_HIGH, level, st.total[total], st.total[total] + amount)
            st.total[total] += amount
            return
        level = above(st, level)


@inline
def cancel_charge(st, cpu, memcg, nr_pages):
    """Give pages back past the stock, as page and kernel-memory uncharging do in v4.13 and v4.14."""
    if memcg == st.root:
        return
    uncharge_counters(st, cpu, memcg, nr_pages)
    css_put_many(st, cpu, memcg, nr_pages)


@inline
def cancel_charge_counters(st, cpu, memcg, nr_pages):
    """Give pages back past the stock, where they hold no references of their own."""
    if memcg != st.root:
        uncharge_counters(st, cpu, memcg, nr_pages)


@inline
def no_references(st, cpu, memcg, nr_pages):
    """Stands in for css_get_many where pages hold no references of their own."""


def bind_memcontrol(batch_pages, consume, refill, drain, uncharge, reclaim, css_by_page=True):
    """Bind the functions that call a policy's rules; everything here is compiled for that policy."""
    get_references = css_get_many if css_by_page else no_references
    give_back = cancel_charge if css_by_page else cancel_charge_counters

    @inline
    def drain_local(st, cpu, cause):
        for slot in range(st.stock.shape[1]):
            drain(st, cpu, slot, cause)

    @inline
    def cpu_dead(st, cpu):
        drain_local(st, cpu, DRAIN_CPU_DEAD)

    @function
    def drain_all(st, cpu, root):
        """Drain every CPU whose stock holds pages of ``root``'s subtree; the others by work sent to them."""
        for other in range(st.stock.shape[0]):
            for slot in range(st.stock.shape[1]):
                stock = st.stock[other, slot]
                if stock.memcg < 0 or stock.nr_pages == 0 or not is_descendant(st, stock.memcg, root):
                    continue
                if other != cpu:
                    st.total[REMOTE_WORKS] += 1
                    step(st.log, cpu, STEP_REMOTE_DRAIN, other, 0, 1)
                drain_local(st, other, DRAIN_ALL_CALL)
                break

    @inline
    def ask_for_reclaim(st, cpu, memcg, nr_pages):
        step(st.log, cpu, STEP_RECLAIM, memcg, st.total[RECLAIM], st.total[RECLAIM] + 1)
        st.total[RECLAIM] += 1
        return reclaim(st, cpu, memcg, nr_pages)

    @function
    def charge_slow(st, cpu, memcg, ctx, nr_pages):
        """What try_charge does when the stock did not help at the first look."""
        nr_memcg = st.memcg.size
        batch = max(batch_pages, nr_pages)
        retries = MEM_CGROUP_RECLAIM_RETRIES
        drained = False
        force = False
        while True:
            st.work[cpu, MISS] += 1
            if CHECKED and st.total[HALT]:
                raise IndexError("interrupted")
            over = -1
            if st.memsw:
                over = page_counter_try_charge(st, cpu, memcg + nr_memcg, batch)
                if over >= 0:
                    over -= nr_memcg
            if over < 0:
                over = page_counter_try_charge(st, cpu, memcg, batch)
                if over < 0:
                    get_references(st, cpu, memcg, batch)
                    if batch > nr_pages:
                        refill(st, batch_pages, drain, cpu, memcg, batch - nr_pages)
                    check_high(st, cpu, memcg, ctx, batch)
                    return 0
                if st.memsw:
                    page_counter_uncharge(st, cpu, memcg + nr_memcg, batch)
            if batch > nr_pages:
                batch = nr_pages
            elif ctx & DYING:
                force = True
                break
            elif ctx & (IN_OOM | SOFTIRQ | NOWAIT | ATOMIC):
                break
            else:
                st.memcg[over].ev_max += 1
                reclaimed = ask_for_reclaim(st, cpu, over, nr_pages)
                if mem_cgroup_margin(st, over) >= nr_pages:
                    pass
                elif not drained:
                    drain_all(st, cpu, over)
                    drained = True
                elif ctx & NORETRY:
                    break
                elif reclaimed > 0 and nr_pages <= COSTLY_PAGES:
                    pass
                elif retries > 0:
                    retries -= 1
                elif ctx & NOFAIL:
                    break
                else:
                    st.memcg[over].ev_oom += 1
                    step(st.log, cpu, STEP_OOM, over, st.total[OOM], st.total[OOM] + 1)
                    st.total[OOM] += 1
                    break
            if consume(st, batch_pages, cpu, memcg, nr_pages):
                st.work[cpu, HIT] += 1
                return 0
        if not force and not ctx & NOFAIL:
            st.work[cpu, NOMEM] += 1
            return ENOMEM
        st.work[cpu, FORCED] += 1
        step(st.log, cpu, STEP_FORCE, memcg, 0, nr_pages)
        page_counter_charge(st, cpu, memcg, nr_pages)
        if st.memsw:
            page_counter_charge(st, cpu, memcg + nr_memcg, nr_pages)
        get_references(st, cpu, memcg, nr_pages)
        return 0

    @inline
    def try_charge(st, cpu, memcg, ctx, nr_pages):
        """0, or -ENOMEM. The stock first; else a batch, the exact size, reclaim, a drain, five more tries."""
        if memcg == st.root:
            return 0
        if consume(st, batch_pages, cpu, memcg, nr_pages):
            st.work[cpu, HIT] += 1
            return 0
        return charge_slow(st, cpu, memcg, ctx, nr_pages)

    @inline
    def count_sock(st, cpu, memcg, code, nr_pages):
        before = st.sock[cpu, memcg]
        st.sock[cpu, memcg] = before + nr_pages
        step(st.log, cpu, code, memcg, before, before + nr_pages)

    @function
    def charge_tcpmem(st, cpu, memcg, nr_pages):
        """The v1 way: a counter of its own and no stock at all."""
        counter = memcg + 2 * st.memcg.size
        if page_counter_try_charge(st, cpu, counter, nr_pages) < 0:
            st.memcg[memcg].tcpmem_pressure = 0
            return 1
        page_counter_charge(st, cpu, counter, nr_pages)
        st.memcg[memcg].tcpmem_pressure = 1
        st.work[cpu, REFUSED] += 1
        return 0

    @function
    def charge_nofail(st, cpu, memcg, ctx, nr_pages):
        """The second attempt of a refused socket charge: the pages are charged all the same."""
        st.work[cpu, REFUSED] += 1
        try_charge(st, cpu, memcg, ctx | NOFAIL, nr_pages)
        return 0

    @inline
    def charge_skmem(st, cpu, memcg, ctx, nr_pages):
        """1 if the pages fit, 0 if they had to be forced. They are charged either way."""
        if st.legacy:
            return charge_tcpmem(st, cpu, memcg, nr_pages)
        count_sock(st, cpu, memcg, STEP_SOCK_ADD, nr_pages)
        if try_charge(st, cpu, memcg, ctx, nr_pages) == 0:
            return 1
        return charge_nofail(st, cpu, memcg, ctx, nr_pages)

    @inline
    def uncharge_skmem(st, cpu, memcg, nr_pages):
        """Give socket pages back, by the policy's ``uncharge`` rule."""
        if st.legacy:
            page_counter_uncharge(st, cpu, memcg + 2 * st.memcg.size, nr_pages)
            return
        count_sock(st, cpu, memcg, STEP_SOCK_SUB, -nr_pages)
        uncharge(st, batch_pages, refill, drain, cpu, memcg, nr_pages)

    @function
    def set_max(st, cpu, memcg, limit):
        """Write memory.max (v2): the limit holds at once, then usage is pushed below it if that can be done."""
        exchange_limit(st, cpu, memcg, limit)
        reclaims = MEM_CGROUP_RECLAIM_RETRIES
        drained = False
        while st.counter[memcg].count > limit:
            if not drained:
                drain_all(st, cpu, memcg)
                drained = True
            elif reclaims > 0:
                if ask_for_reclaim(st, cpu, memcg, st.counter[memcg].count - limit) == 0:
                    reclaims -= 1
            else:
                st.memcg[memcg].ev_oom += 1
                break

    @function
    def set_high(st, cpu, memcg, high):
        """Write memory.high (v2): the excess is reclaimed once."""
        st.memcg[memcg].high = high
        if st.counter[memcg].count > high and high < PAGE_COUNTER_MAX:
            ask_for_reclaim(st, cpu, memcg, st.counter[memcg].count - high)

    return Memcontrol(
        try_charge,
        give_back,
        charge_skmem,
        uncharge_skmem,
        drain_local,
        drain_all,
        cpu_dead,
        set_max,
        set_high,
        charges_refused=True,
        kernel_pages=None,
    )
