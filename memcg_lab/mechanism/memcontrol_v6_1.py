"""memcontrol of v6.1: what a charge tries before it gives up or is forced, and who else charges through the stock.

What differs from v4.13 and v4.14: sixteen more tries, not five; in softirq a charge may be forced at once, and then it
fits; a refused socket charge leaves nothing charged; sockets, kernel pages and kernel objects share the page stock.

Kernel: ``try_charge_memcg``, ``drain_all_stock``, ``mem_cgroup_charge_skmem``, ``memcg_hotplug_cpu_dead`` and the limit
writes in ``mm/memcontrol.c``, v6.1. One thread: an operation is atomic, work sent to another CPU runs at once, and
reclaim is the policy's ``reclaim`` rule. cgroup v2 alone.
"""

from .._jit import CHECKED, function, inline
from .memcontrol import Memcontrol, is_descendant
from .obj_stock_v6_1 import bind_kernel_pages, bind_obj_stock
from .page_counter import above, exchange_limit
from .page_counter_v6_1 import charge_v6_1, try_charge_v6_1, uncharge_v6_1
from .records import (
    ATOMIC,
    COSTLY_PAGES,
    DRAIN_ALL_CALL,
    DRAIN_CPU_DEAD,
    ENOMEM,
    FORCED,
    HALT,
    HANDLE_HIGH,
    HIGH_WORK,
    HIT,
    IN_OOM,
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
    RETRY_MAYFAIL,
    SOFTIRQ,
)
from .steps import (
    STEP_FORCE,
    STEP_HIGH,
    STEP_OOM,
    STEP_RECLAIM,
    STEP_REMOTE_DRAIN,
    STEP_SOCK_ADD,
    STEP_SOCK_SUB,
    step,
)

MAX_RECLAIM_RETRIES = 16  # v6.1 mm/internal.h; MEM_CGROUP_RECLAIM_RETRIES was 5 until v5.8


@inline
def may_block(ctx):
    """True if the caller may sleep: a task that did not say otherwise."""
    return ctx & (SOFTIRQ | NOWAIT | ATOMIC) == 0


@inline
def may_force(ctx):
    """True if the charge must not fail; GFP_ATOMIC too (1461e8c2b6af, v5.18): sockets pass it in softirq since v6.1."""
    return ctx & (NOFAIL | ATOMIC) != 0 or ctx & (SOFTIRQ | NOWAIT) == SOFTIRQ


@inline
def max_event(st, memcg):
    """Count a MAX event: for the cgroup itself, and for it and what is above it, the root excluded."""
    st.memcg[memcg].ev_max += 1
    st.upward[memcg].ev_max += 1
    level = above(st, memcg)
    while level >= 0 and level != st.root:
        st.upward[level].ev_max += 1
        level = above(st, level)


@inline
def oom(st, cpu, memcg):
    """Count an OOM event and call the OOM killer, which finds nobody here."""
    st.memcg[memcg].ev_oom += 1
    st.upward[memcg].ev_oom += 1
    level = above(st, memcg)
    while level >= 0 and level != st.root:
        st.upward[level].ev_oom += 1
        level = above(st, level)
    step(st.log, cpu, STEP_OOM, memcg, st.total[OOM], st.total[OOM] + 1)
    st.total[OOM] += 1


@inline
def check_high(st, cpu, memcg, ctx, batch, batch_pages):
    """The first level above its memory.high is told; a task that may sleep pays at once when enough has piled up."""
    level = memcg
    while level >= 0:
        if st.counter[level].count > st.memcg[level].high:
            total = HIGH_WORK if ctx & SOFTIRQ else OVER_HIGH
            amount = 1 if ctx & SOFTIRQ else batch
            step(st.log, cpu, STEP_HIGH, level, st.total[total], st.total[total] + amount)
            st.total[total] += amount
            break
        level = above(st, level)
    if st.total[OVER_HIGH] > batch_pages and may_block(ctx):
        st.total[OVER_HIGH] = 0
        st.total[HANDLE_HIGH] += 1


@inline
def cancel_charge(st, cpu, memcg, nr_pages):
    """Give pages back past the stock, as page uncharging does."""
    if memcg != st.root:
        uncharge_v6_1(st, cpu, memcg, nr_pages)


def bind_memcontrol_v6_1(batch_pages, consume, refill, drain, uncharge, reclaim, css_by_page=False):
    """Bind the functions that call a policy's rules; ``css_by_page`` is never true here, as ``Policy`` sees to."""

    @inline
    def ask_for_reclaim(st, cpu, memcg, nr_pages):
        step(st.log, cpu, STEP_RECLAIM, memcg, st.total[RECLAIM], st.total[RECLAIM] + 1)
        st.total[RECLAIM] += 1
        return reclaim(st, cpu, memcg, nr_pages)

    @inline
    def drain_slots(st, cpu, cause):
        for slot in range(st.stock.shape[1]):
            drain(st, cpu, slot, cause)

    # A charge may drain the object stock, and an object is charged in pages. Emptying charges nothing: it comes first.
    objects = bind_obj_stock(batch_pages, refill, drain)
    drain_obj_stock = objects.drain_obj_stock

    @function
    def drain_local(st, cpu, cause):
        """Both stocks of a CPU: the objects' first, because its whole pages go into the page stock."""
        drain_obj_stock(st, cpu)
        drain_slots(st, cpu, cause)

    @inline
    def cpu_dead(st, cpu):
        """A CPU that goes away leaves its object stock behind, until v6.13 (9f01b4954490)."""
        drain_slots(st, cpu, DRAIN_CPU_DEAD)

    @function
    def drain_all(st, cpu, root):
        """Drain every CPU with pages or an objcg of ``root``'s subtree, wholly; the others by work sent to them."""
        for other in range(st.stock.shape[0]):
            objcg = st.obj_stock[other].objcg
            ours = objcg >= 0 and is_descendant(st, objcg, root)
            for slot in range(st.stock.shape[1]):
                stock = st.stock[other, slot]
                if stock.memcg >= 0 and stock.nr_pages != 0 and is_descendant(st, stock.memcg, root):
                    ours = True
            if not ours:
                continue
            if other != cpu:
                st.total[REMOTE_WORKS] += 1
                step(st.log, cpu, STEP_REMOTE_DRAIN, other, 0, 1)
            drain_local(st, other, DRAIN_ALL_CALL)

    @function
    def charge_slow(st, cpu, memcg, ctx, nr_pages):
        """What try_charge does when the stock did not help at the first look."""
        batch = max(batch_pages, nr_pages)
        retries = MAX_RECLAIM_RETRIES
        drained = False
        raised = False
        while True:
            st.work[cpu, MISS] += 1
            if CHECKED and st.total[HALT]:
                raise IndexError("interrupted")
            over = try_charge_v6_1(st, cpu, memcg, batch)
            if over < 0:
                if batch > nr_pages:
                    refill(st, batch_pages, drain, cpu, memcg, batch - nr_pages)
                check_high(st, cpu, memcg, ctx, batch, batch_pages)
                return 0
            if batch > nr_pages:
                batch = nr_pages
            elif not may_block(ctx) or ctx & IN_OOM:
                break
            else:
                max_event(st, over)
                raised = True
                reclaimed = ask_for_reclaim(st, cpu, over, nr_pages)
                if max(st.counter[over].limit - st.counter[over].count, 0) >= nr_pages:
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
                elif ctx & RETRY_MAYFAIL:
                    break
                else:
                    if nr_pages <= COSTLY_PAGES:  # what is larger is not worth a kill
                        oom(st, cpu, over)
                    break
            if consume(st, batch_pages, cpu, memcg, nr_pages):
                st.work[cpu, HIT] += 1
                return 0
        if not may_force(ctx):
            st.work[cpu, NOMEM] += 1
            return ENOMEM
        if not raised:
            max_event(st, over)
        st.work[cpu, FORCED] += 1
        step(st.log, cpu, STEP_FORCE, memcg, 0, nr_pages)
        charge_v6_1(st, cpu, memcg, nr_pages)
        return 0

    @inline
    def try_charge(st, cpu, memcg, ctx, nr_pages):
        """0, or -ENOMEM. The stock first; else a batch, the exact size, reclaim, a drain, sixteen more tries."""
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

    @inline
    def charge_skmem(st, cpu, memcg, ctx, nr_pages):
        """1 if the pages are charged, forced or not; 0 if they are not, and then nothing is."""
        if try_charge(st, cpu, memcg, ctx, nr_pages) == 0:
            count_sock(st, cpu, memcg, STEP_SOCK_ADD, nr_pages)
            return 1
        st.work[cpu, REFUSED] += 1
        return 0

    @inline
    def uncharge_skmem(st, cpu, memcg, nr_pages):
        """Give socket pages back, by the policy's ``uncharge`` rule."""
        count_sock(st, cpu, memcg, STEP_SOCK_SUB, -nr_pages)
        uncharge(st, batch_pages, refill, drain, cpu, memcg, nr_pages)

    @function
    def set_max(st, cpu, memcg, limit):
        """Write memory.max: the limit holds at once, then usage is pushed below it if that can be done."""
        exchange_limit(st, cpu, memcg, limit)
        reclaims = MAX_RECLAIM_RETRIES
        drained = False
        while st.counter[memcg].count > limit:
            if not drained:
                drain_all(st, cpu, memcg)
                drained = True
            elif reclaims > 0:
                if ask_for_reclaim(st, cpu, memcg, st.counter[memcg].count - limit) == 0:
                    reclaims -= 1
            else:
                oom(st, cpu, memcg)
                break

    @function
    def set_high(st, cpu, memcg, high):
        """Write memory.high: drain once, then reclaim for as long as it is exceeded and that helps."""
        st.memcg[memcg].high = high
        reclaims = MAX_RECLAIM_RETRIES
        drained = False
        while high < PAGE_COUNTER_MAX and st.counter[memcg].count > high:
            if not drained:
                drain_all(st, cpu, memcg)
                drained = True
            elif ask_for_reclaim(st, cpu, memcg, st.counter[memcg].count - high) == 0:
                if reclaims == 0:
                    break
                reclaims -= 1

    return Memcontrol(
        try_charge,
        cancel_charge,
        charge_skmem,
        uncharge_skmem,
        drain_local,
        drain_all,
        cpu_dead,
        set_max,
        set_high,
        charges_refused=False,
        kernel_pages=bind_kernel_pages(try_charge, objects),
    )
