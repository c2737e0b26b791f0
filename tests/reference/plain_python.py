"""memcg_lab's replay in plain Python: objects with slots, lists and functions; no numpy and no numba in the loop.

The same rules under the same names as ``memcg_lab/mechanism``, without its log, its socket layer, memsw and cgroup v1,
and with one slot a CPU. ``Machine.arrays`` gives the state back as memcg_lab's arrays, to be compared bit by bit.
"""

from memcg_lab.mechanism import records
from memcg_lab.mechanism.records import (
    BAD_CPU,
    BAD_MEMCG,
    BAD_NR,
    BAD_OP,
    BAD_ROOT,
    BAD_SOCKET,
    BAD_UNDERFLOW,
    CANCEL_CHARGE,
    CHARGE_SKMEM,
    CPU_DEAD,
    DRAIN_ALL,
    DRAIN_LOCAL,
    DYING,
    EBUSY,
    ENOMEM,
    IN_OOM,
    MEM_CGROUP_RECLAIM_RETRIES,
    NOFAIL,
    NORETRY,
    NR_PAGES_MAX,
    PAGE_COUNTER_MAX,
    SET_HIGH,
    SET_LIMIT,
    SET_MAX,
    SK_MEM_RECLAIM_PARTIAL,
    SOFTIRQ,
    TRY_CHARGE,
    UNCHARGE_SKMEM,
)

COUNTER_FIELDS, MEMCG_FIELDS = records.counter_dtype.names, records.memcg_dtype.names
# Plain integers: the codes that numba knows are numpy scalars, which plain Python would pay for.
(
    HIT,
    MISS,
    DRAIN_OTHER_MEMCG,
    DRAIN_CAP,
    DRAIN_LOCAL_CALL,
    DRAIN_ALL_CALL,
    DRAIN_CPU_DEAD,
    PAGES_DRAINED,
    REFUSED,
    FORCED,
    NOMEM,
    CSS_CALLS,
) = range(len(records.WORK))
RET, RECLAIM, OOM, REMOTE_WORKS, OVER_HIGH, HIGH_WORK, WARN, UNDERFLOW = range(8)


class Counter:
    __slots__ = (*COUNTER_FIELDS, "number", "up")  # up: the parent's object, or None


class Memcg:
    __slots__ = (*MEMCG_FIELDS, "number", "up", "counter")


class Cpu:
    __slots__ = ("memcg", "nr_pages", "sock", "work")  # memcg: a Memcg, or None for an empty stock


class Machine:
    """The state as objects, copied from a System's arrays."""

    __slots__ = ("batch", "cap", "cpus", "memcgs", "root", "to_stock", "total")

    def __init__(self, arrays, root, batch, patched):
        n = len(arrays["memcg"])
        counters = [_from_row(Counter, row, COUNTER_FIELDS) for row in arrays["counter"][:n]]
        self.memcgs = [_from_row(Memcg, row, MEMCG_FIELDS) for row in arrays["memcg"]]
        for number, (memcg, counter) in enumerate(zip(self.memcgs, counters, strict=True)):
            parent = counter.parent
            memcg.number, memcg.counter, counter.number = number, counter, number
            memcg.up = self.memcgs[parent] if parent >= 0 else None
            counter.up = counters[parent] if parent >= 0 else None
        self.cpus = []
        for stock, sock, work in zip(arrays["stock"], arrays["sock"], arrays["work"], strict=True):
            cpu = Cpu()
            owner, cpu.nr_pages = stock[0].item()
            cpu.memcg = self.memcgs[owner] if owner >= 0 else None
            cpu.sock, cpu.work = sock.tolist(), work.tolist()
            self.cpus.append(cpu)
        self.total = arrays["total"].tolist()
        self.root = None if root is None else self.memcgs[root]
        self.batch, self.cap, self.to_stock = batch, patched, patched

    def arrays(self, like):
        """The state as arrays; what plain Python does not have (memsw, tcpmem, sockets) is taken from ``like``."""
        out = {name: array.copy() for name, array in like.items()}
        for number, memcg in enumerate(self.memcgs):
            out["memcg"][number] = tuple(getattr(memcg, name) for name in MEMCG_FIELDS)
            out["counter"][number] = tuple(getattr(memcg.counter, name) for name in COUNTER_FIELDS)
        for number, cpu in enumerate(self.cpus):
            out["stock"][number, 0] = (-1 if cpu.memcg is None else cpu.memcg.number, cpu.nr_pages)
            out["sock"][number], out["work"][number] = cpu.sock, cpu.work
        out["total"][:] = self.total
        return out


def _from_row(kind, row, fields):
    made = kind()
    for name in fields:
        setattr(made, name, int(row[name]))
    return made


# --- page_counter ----------------------------------------------------------------------------------------------------
def page_counter_cancel(m, counter, nr_pages):
    if counter.count < nr_pages:
        m.total[WARN] += 1
    counter.count -= nr_pages
    counter.sub += 1


def page_counter_uncharge(m, counter, nr_pages):
    while counter is not None:
        page_counter_cancel(m, counter, nr_pages)
        counter = counter.up


def page_counter_charge(counter, nr_pages):
    while counter is not None:
        new = counter.count = counter.count + nr_pages
        counter.add += 1
        if new > counter.watermark:
            counter.watermark = new
        counter = counter.up


def page_counter_try_charge(m, leaf, nr_pages):
    """The counter that refused, or None."""
    counter = leaf
    while counter is not None:
        new = counter.count = counter.count + nr_pages
        counter.add += 1
        if new > counter.limit:
            counter.count = new - nr_pages
            counter.sub += 1
            counter.failcnt += 1
            while leaf is not counter:
                page_counter_cancel(m, leaf, nr_pages)
                leaf = leaf.up
            return counter
        if new > counter.watermark:
            counter.watermark = new
        counter = counter.up
    return None


# --- stock -----------------------------------------------------------------------------------------------------------
def css_change(cpu, memcg, nr_pages):
    memcg.css += nr_pages
    cpu.work[CSS_CALLS] += 1


def consume_stock(m, cpu, memcg, nr_pages):
    if nr_pages <= m.batch and cpu.memcg is memcg and cpu.nr_pages >= nr_pages:
        cpu.nr_pages -= nr_pages
        return True
    return False


def drain_stock(m, cpu, cause):
    nr_pages = cpu.nr_pages
    if nr_pages:
        page_counter_uncharge(m, cpu.memcg.counter, nr_pages)
        css_change(cpu, cpu.memcg, -nr_pages)
        cpu.nr_pages = 0
        cpu.work[cause] += 1
        cpu.work[PAGES_DRAINED] += nr_pages
    cpu.memcg = None


def refill_stock(m, cpu, memcg, nr_pages):
    if cpu.memcg is not memcg:
        drain_stock(m, cpu, DRAIN_OTHER_MEMCG)
        cpu.memcg = memcg
    cpu.nr_pages += nr_pages
    if m.cap and cpu.nr_pages > m.batch:
        drain_stock(m, cpu, DRAIN_CAP)


def drain_all(m, cpu, root):
    for other in m.cpus:
        if other.memcg is None or not other.nr_pages:
            continue
        counter = other.memcg.counter
        while counter is not None and counter is not root:
            counter = counter.up
        if counter is None:
            continue
        if other is not cpu:
            m.total[REMOTE_WORKS] += 1
        drain_stock(m, other, DRAIN_ALL_CALL)


# --- memcontrol ------------------------------------------------------------------------------------------------------
def check_high(m, memcg, ctx, batch):
    while memcg is not None:
        if memcg.counter.count > memcg.high:
            m.total[HIGH_WORK if ctx & SOFTIRQ else OVER_HIGH] += 1 if ctx & SOFTIRQ else batch
            return
        memcg = memcg.up


def cancel_charge(m, cpu, memcg, nr_pages):
    if memcg is not m.root:
        page_counter_uncharge(m, memcg.counter, nr_pages)
        css_change(cpu, memcg, -nr_pages)


def try_charge(m, cpu, memcg, ctx, nr_pages):
    if memcg is m.root:
        return 0
    if consume_stock(m, cpu, memcg, nr_pages):
        cpu.work[HIT] += 1
        return 0
    batch = max(m.batch, nr_pages)
    retries = MEM_CGROUP_RECLAIM_RETRIES
    drained = force = False
    while True:
        cpu.work[MISS] += 1
        over = page_counter_try_charge(m, memcg.counter, batch)
        if over is None:
            css_change(cpu, memcg, batch)
            if batch > nr_pages:
                refill_stock(m, cpu, memcg, batch - nr_pages)
            check_high(m, memcg, ctx, batch)
            return 0
        if batch > nr_pages:
            batch = nr_pages
        elif ctx & DYING:
            force = True
            break
        elif ctx & (IN_OOM | SOFTIRQ):
            break
        else:
            m.memcgs[over.number].ev_max += 1
            m.total[RECLAIM] += 1
            if max(over.limit - over.count, 0) >= nr_pages:
                pass
            elif not drained:
                drain_all(m, cpu, over)
                drained = True
            elif ctx & NORETRY:
                break
            elif retries > 0:
                retries -= 1
            elif ctx & NOFAIL:
                break
            else:
                m.memcgs[over.number].ev_oom += 1
                m.total[OOM] += 1
                break
        if consume_stock(m, cpu, memcg, nr_pages):
            cpu.work[HIT] += 1
            return 0
    if not force and not ctx & NOFAIL:
        cpu.work[NOMEM] += 1
        return ENOMEM
    cpu.work[FORCED] += 1
    page_counter_charge(memcg.counter, nr_pages)
    css_change(cpu, memcg, nr_pages)
    return 0


def charge_skmem(m, cpu, memcg, ctx, nr_pages):
    cpu.sock[memcg.number] += nr_pages
    if try_charge(m, cpu, memcg, ctx, nr_pages) == 0:
        return 1
    cpu.work[REFUSED] += 1
    try_charge(m, cpu, memcg, ctx | NOFAIL, nr_pages)
    return 0


def uncharge_skmem(m, cpu, memcg, nr_pages):
    cpu.sock[memcg.number] -= nr_pages
    if m.to_stock:
        refill_stock(m, cpu, memcg, nr_pages)
    else:
        page_counter_uncharge(m, memcg.counter, nr_pages)
        css_change(cpu, memcg, -nr_pages)


def set_max(m, cpu, memcg, limit):
    memcg.counter.limit = limit
    memcg.counter.xchg += 1
    reclaims = MEM_CGROUP_RECLAIM_RETRIES
    drained = False
    while memcg.counter.count > limit:
        if not drained:
            drain_all(m, cpu, memcg.counter)
            drained = True
        elif reclaims > 0:
            m.total[RECLAIM] += 1
            reclaims -= 1
        else:
            memcg.ev_oom += 1
            break


def memcg_op(m, code, cpu, number, nr):
    """The rarer operations: (what the caller gets, reason, allowed)."""
    if code in (DRAIN_LOCAL, CPU_DEAD):
        drain_stock(m, cpu, DRAIN_LOCAL_CALL if code == DRAIN_LOCAL else DRAIN_CPU_DEAD)
        return 0, 0, 0
    if not 0 <= number < len(m.memcgs):
        return 0, BAD_MEMCG, len(m.memcgs)
    memcg = m.memcgs[number]
    if code == DRAIN_ALL:
        drain_all(m, cpu, memcg.counter)
        return 0, 0, 0
    if nr < -1 or nr > PAGE_COUNTER_MAX:
        return 0, BAD_NR, PAGE_COUNTER_MAX
    pages = PAGE_COUNTER_MAX if nr == -1 else nr
    if code == SET_MAX:
        set_max(m, cpu, memcg, pages)
    elif code == SET_LIMIT:
        if memcg.counter.count > pages:
            return EBUSY, 0, 0
        memcg.counter.limit = pages
        memcg.counter.xchg += 1
    else:
        memcg.high = pages
        if memcg.counter.count > pages and pages < PAGE_COUNTER_MAX:
            m.total[RECLAIM] += 1
    return 0, 0, 0


def replay(m, ops, refuse):
    """Execute operations, tuples (op, ctx, cpu, memcg, nr); (operations done, reason, allowed)."""
    cpus, memcgs, total = m.cpus, m.memcgs, m.total
    for k, (code, ctx, cpu, number, nr) in enumerate(ops):
        if cpu >= len(cpus):
            return k, BAD_CPU, len(cpus)
        cpu = cpus[cpu]
        ret = 0
        if code <= CANCEL_CHARGE:
            if not 0 <= number < len(memcgs):
                return k, BAD_MEMCG, len(memcgs)
            if not 1 <= nr <= NR_PAGES_MAX:
                return k, BAD_NR, NR_PAGES_MAX
            memcg = memcgs[number]
            if code <= UNCHARGE_SKMEM and memcg is m.root:
                return k, BAD_ROOT, number
            if code == CHARGE_SKMEM:
                memcg.sock_held += nr
                ret = charge_skmem(m, cpu, memcg, ctx, nr)
            elif code == UNCHARGE_SKMEM:
                if nr > memcg.sock_held:
                    if refuse:
                        return k, BAD_UNDERFLOW, memcg.sock_held
                    total[UNDERFLOW] += 1
                memcg.sock_held -= nr
                uncharge_skmem(m, cpu, memcg, nr)
            elif code == TRY_CHARGE:
                ret = try_charge(m, cpu, memcg, ctx, nr)
                if ret == 0 and memcg is not m.root:
                    memcg.held += nr
            else:
                if memcg is not m.root:
                    if nr > memcg.held:
                        if refuse:
                            return k, BAD_UNDERFLOW, memcg.held
                        total[UNDERFLOW] += 1
                    memcg.held -= nr
                cancel_charge(m, cpu, memcg, nr)
        elif code <= SET_HIGH:
            ret, reason, allowed = memcg_op(m, code, cpu, number, nr)
            if reason:
                return k, reason, allowed
        elif code <= SK_MEM_RECLAIM_PARTIAL:
            return k, BAD_SOCKET, 0
        else:
            return k, BAD_OP, code
        total[RET] = ret
    return len(ops), 0, 0
