"""Coherence: discrete events over cache lines. One event is one CPU that wants one line.

The mechanism says which steps an operation takes; its step log is priced here. An operation changes the state of the
mechanism at the moment it begins, then its CPU goes through the lines it touches, one after the other, and waits for
each. All times are whole picoseconds, so that the same run gives the same numbers everywhere.

Three rules. An atomic waits for the line's first-in-first-out queue, pays the way from the CPU that had the line last,
and takes it for itself. A load is free if this CPU has a copy, cheap if a clean copy is in its socket, else it queues
and pays the way as well. A store does both without making its CPU wait.
"""

import functools
from collections import namedtuple

import numpy as np

from .._jit import inline, kernel
from ..mechanism.operations import bind_operations
from ..mechanism.policy import bind_rules
from ..mechanism.records import CHARGE_SKMEM, UNCHARGE_SKMEM
from ..mechanism.steps import STEP_FORCE, STEP_TRY_ADD, STEP_TRY_UNDO, step_dtype
from .cache_lines import FN_OTHER, FN_RAISE, FN_REDUCE, FN_TIMER, FN_TRY_CHARGE, LOAD, RMW

CPU_BITS = 10  # a key of the queue is time << 10 | cpu
NEVER = 1 << 51  # ps; the clock of a CPU with nothing left to do
SPREAD_BITS = 16  # a think time is mean * spread >> 16
SPREAD_ROWS = 1024
LOG_ROWS = 4096
# Tell the compiler that a number is not negative, so that it need not look whether an index wraps around.
LINE_MASK = (1 << 24) - 1
PENDING_MASK = (1 << 12) - 1  # PENDING_MAX rows
STEP_MASK = (1 << 6) - 1
OP_MASK = (1 << 32) - 1

cpu_dtype = np.dtype(
    [(name, np.int64) for name in ("clock", "rng", "first", "ops", "at", "done", "todo", "finished")], align=True
)
line_dtype = np.dtype(
    [(name, np.int64) for name in ("owner", "reader", "free_at", "dirty", "sockets", "version", "head", "tail")]
)
event_dtype = np.dtype([(name, np.int64) for name in ("time", "cpu", "op", "line", "kind", "function", "start", "end")])

# The step log, read for nothing but the step and where it was. Its header also needs "before" and "after"; the other
# two lie on top of them, so that the compiler leaves them out.
_PLACES = {"op": 0, "before": 0, "cpu": 8, "after": 8, "where": 16, "step": 24, "slot": 26}
log_dtype = np.dtype(
    {
        "names": list(_PLACES),
        "formats": [step_dtype[name] for name in _PLACES],
        "offsets": list(_PLACES.values()),
        "itemsize": 32,
    }
)

# Columns of Machine.traffic and Machine.booked.
TRAFFIC = ("atomics", "loads", "stores", "clean", "smt", "same", "cross", "waited", "occupied")
ATOMICS, LOADS, STORES, BY_CLEAN, BY_SMT, BY_SAME, BY_CROSS, WAITED, OCCUPIED = range(len(TRAFFIC))
BOOKED = ("local", "transfer", "wait")
AT_LOCAL, AT_TRANSFER, AT_WAIT = range(len(BOOKED))

COSTS = ("local", "clean", "own", "smt", "same", "cross")
COST_LOCAL, COST_CLEAN, COST_OWN, COST_SMT, COST_SAME, COST_CROSS = range(len(COSTS))
LOCKS = ("atomic", "queue lock", "ticket lock")
ATOMIC, QUEUE_LOCK, TICKET_LOCK = range(len(LOCKS))

# Why a run stopped early.
TOO_MANY_STEPS, GAVE_BACK_TOO_MUCH = 1, 2

Machine = namedtuple(
    "Machine",
    [
        "state",  # the mechanism's State, with a step log
        "cpu",  # cpu_dtype [cpus]
        "pending",  # int64 [cpu, rows]: the running operation: time on its own lines, ps; then each layouts.visit
        "line",  # line_dtype [lines]; 0 is the protocol's memory_allocated, then the lines of each counter
        "copies",  # int64 [line, cpu]: the version of the line this CPU has a copy of
        "ring",  # int64 [line, cpus]: when those in the queue will be done; ticket locks only
        "traffic",  # int64 [line, TRAFFIC], times in ps
        "booked",  # int64 [function, BOOKED], ps
        "ops",  # op_dtype [ops], sorted by CPU
        "gaps",  # int64 [ops]: mean time before the operation, ps
        "spread",  # int64 [SPREAD_ROWS]: how think times lie around their mean, 65536 = the mean
        "core",  # int64 [cpu]
        "socket",  # int64 [cpu]
        "function",  # int64 [step]: whom a step is booked to
        "own",  # int64 [step]: 1 for a step on this CPU's own lines
        "touches",  # int64 [step, 5]: what a step touches of a counter
        "cost",  # int64 [COSTS], ps
        "tree",  # int64 [4 * power of two]: loser tree of keys
        "events",  # event_dtype [rows] or None; row 0 holds the count
        "lines",  # cache lines of one counter
        "count",  # which of them has the count, and which parent
        "parent",
        "allocated",  # 1 = each call touches memory_allocated
        "walks",  # how often an uncharge reads parent at every level
        "lock",  # one of LOCKS
        "repeat",  # 1 = begin again after the last operation
    ],
)


@inline
def build(tree, cpu):
    """A loser tree over the CPUs' clocks: ``tree[0]`` is the smallest key, each inner node the loser of its match."""
    n = 1
    while n < cpu.size:
        n *= 2
    for i in range(n):
        done = i >= cpu.size or cpu[i].at == cpu[i].ops
        tree[3 * n + i] = ((NEVER if done else cpu[i].clock) << CPU_BITS) | (i & ((1 << CPU_BITS) - 1))
    m = n
    while m > 1:
        m //= 2
        for i in range(m):
            one, other = tree[3 * n + 2 * i], tree[3 * n + 2 * i + 1]
            tree[3 * n + i] = min(one, other)
            tree[m + i] = max(one, other)
    tree[0] = tree[3 * n]
    return n


@inline
def replace_top(tree, n, me, key):
    """The winner comes back with another key: one match on each level decides who is first now."""
    i = (n + me) >> 1
    while i > 0:
        other = tree[i]
        tree[i] = max(other, key)
        key = min(other, key)
        i >>= 1
    tree[0] = key


@inline
def next_gap(m, c, k):
    """The time before operation ``k``, drawn around its mean."""
    x = c.rng
    x ^= x << 13
    x ^= (x >> 7) & 0x01FFFFFFFFFFFFFF
    x ^= x << 17
    c.rng = x
    return (m.gaps[k] * m.spread[(x >> 20) & (SPREAD_ROWS - 1)]) >> SPREAD_BITS


@inline
def distance(m, one, other):
    """Which cost a line pays from one CPU to another."""
    if m.socket[one] != m.socket[other]:
        return COST_CROSS
    if m.core[one] != m.core[other]:
        return COST_SAME
    return COST_SMT


@inline
def waiting(m, number, line, t):
    """How many are in a line's queue; those who are done by now leave it."""
    room = m.ring.shape[1]
    while line.head < line.tail and m.ring[number, line.head % room] <= t:
        line.head += 1
    return line.tail - line.head


@inline
def touch(m, me, entry, t):
    """One CPU wants one line at time ``t``: when it goes on."""
    kind, function, number = entry & 3, (entry >> 2) & 31, (entry >> 7) & LINE_MASK
    line = m.line[number]
    traffic = m.traffic[number]
    booked = m.booked[function]
    start = t
    way = 0
    local = 0
    if kind == LOAD:
        if m.copies[number, me] == line.version:
            return t
        traffic[LOADS] += 1
        if line.owner >= 0:
            if line.dirty == 0 and (line.sockets >> m.socket[me]) & 1:
                way = m.cost[COST_CLEAN]
                traffic[BY_CLEAN] += 1
            else:
                start = max(t, line.free_at)
                how = distance(m, line.owner, me)
                way = m.cost[how]
                traffic[how + 1] += 1
                line.free_at = start + way
                traffic[OCCUPIED] += way
                line.dirty = 0
                line.sockets |= 1 << m.socket[me]
            line.reader = me
        m.copies[number, me] = line.version
        end = start + way
    else:
        start = max(t, line.free_at)
        other = line.owner
        if other == me and line.dirty == 0:
            other = line.reader  # mine, but others have copies: they must give them up
        if other >= 0 and other != me:
            how = distance(m, other, me)
            if line.dirty == 0 and line.sockets & ~(1 << m.socket[me]):
                how = COST_CROSS  # a copy in another socket is the farthest that must go
            way = m.cost[how]
            traffic[how + 1] += 1
        if kind == RMW:
            traffic[ATOMICS] += 1
            local = m.cost[COST_LOCAL]
            if m.lock == QUEUE_LOCK:
                local *= 2
                if start > t:
                    way *= 2  # the waiter's own line is handed over as well
            elif m.lock == TICKET_LOCK:
                local *= 2
                ahead = waiting(m, number, line, t)
                way += way * ahead // 2  # all who wait read the line again; half of them before the next in turn
        else:
            traffic[STORES] += 1
        done = start + way + local
        line.free_at = done
        traffic[OCCUPIED] += way + local
        if m.lock == TICKET_LOCK and kind == RMW:
            m.ring[number, line.tail % m.ring.shape[1]] = done
            line.tail += 1
        line.owner = me
        line.dirty = 1
        line.sockets = 1 << m.socket[me]
        line.version += 1
        m.copies[number, me] = line.version
        end = done if kind == RMW else t
    if end > t:
        booked[AT_LOCAL] += local
        booked[AT_TRANSFER] += way
        booked[AT_WAIT] += start - t
        traffic[WAITED] += start - t
    record(m.events, me, m.cpu[me].at, t, number, kind, function, start, end)
    return end


@inline
def record(events, me, at, t, number, kind, function, start, end):
    """Append one event. With ``events=None`` numba prunes this, so a run without a record pays nothing."""
    if events is None:
        return
    row = events[0].op + 1
    events[0].op = row
    if row < events.size:
        event = events[row]
        event.time = t
        event.cpu = me
        event.op = at
        event.line = number
        event.kind = kind
        event.function = function
        event.start = start
        event.end = end


@inline
def walk(m, me, todo, memcg, word, function):
    """Read one word of every level from ``memcg`` up."""
    while memcg >= 0:
        if todo < m.pending.shape[1]:
            m.pending[me, todo] = ((1 + memcg * m.lines + word) << 7) | (function << 2) | LOAD
        todo += 1
        memcg = m.state.counter[memcg].parent
    return todo


@inline
def price(m, me, todo, memcg):
    """Turn the step log of one operation into lines to touch, and the time of its steps on lines of its own."""
    log = m.state.log
    own = 0
    charged = False
    for row in range(1, log[0].before + 1):
        code = log[row].step & STEP_MASK
        function = m.function[code]
        if m.own[code]:
            own += m.cost[COST_OWN]
            m.booked[function, AT_LOCAL] += m.cost[COST_OWN]
        charged = (charged or code == STEP_TRY_ADD) and code != STEP_TRY_UNDO and code != STEP_FORCE
        first = (1 + log[row].where * m.lines) << 7
        for i in range(1, m.touches[code, 0] + 1):
            if todo < m.pending.shape[1]:
                m.pending[me, todo] = m.touches[code, i] + first
            todo += 1
    if charged:
        todo = walk(m, me, todo, memcg, m.count, FN_TRY_CHARGE)  # is a level over its memory.high?
    m.pending[me, 0] = own
    return todo


@functools.lru_cache(maxsize=64)
def bind_machine(policy):
    """Compile the simulation for one policy: ``run(machine, until)`` goes on until a time in ps."""
    page_op = bind_operations(bind_rules(policy), sockets=False).page_op

    @inline
    def begin(m, me, c):
        """Let the mechanism execute the next operation; what it touches is then pending."""
        st = m.state
        k = (c.first + c.at) & OP_MASK
        op = m.ops[k]
        code, ctx = np.int64(op.op), np.int64(op.ctx)
        memcg, nr = np.int64(op.memcg), np.int64(op.nr)
        st.log[0].before = 0
        todo = 1  # the first entry is the time on this CPU's own lines
        if code <= UNCHARGE_SKMEM and m.allocated:
            m.pending[me, 1] = ((FN_RAISE if code == CHARGE_SKMEM else FN_REDUCE) << 2) | RMW
            todo = 2
        _, reason, _ = page_op(st, code, me, memcg, ctx, nr, True)
        todo = price(m, me, todo, memcg)
        if code == UNCHARGE_SKMEM:
            if m.walks > 0:
                todo = walk(m, me, todo, memcg, m.parent, FN_REDUCE)
            if m.walks > 1:
                todo = walk(m, me, todo, memcg, m.parent, FN_TIMER)
        c.done = 1
        c.todo = todo
        return reason

    def run(m, until):
        n = build(m.tree, m.cpu)
        while True:
            key = m.tree[0]
            me = key & ((1 << CPU_BITS) - 1)
            t = key >> CPU_BITS
            if t >= until:
                return 0, 0
            c = m.cpu[me]
            if c.done == c.todo:
                if begin(m, me, c):
                    return GAVE_BACK_TOO_MUCH, me
                if c.todo > m.pending.shape[1] or m.state.log[0].after:
                    return TOO_MANY_STEPS, me
            now = t
            while t == now and c.done < c.todo:  # a copy at hand costs no time: the CPU goes on in the same event
                t = touch(m, me, m.pending[me, c.done & PENDING_MASK], t)
                c.done += 1
            if c.done == c.todo:
                c.finished += 1
                c.at += 1
                if c.at == c.ops and m.repeat:
                    c.at = 0
                if c.at < c.ops:
                    gap = next_gap(m, c, (c.first + c.at) & OP_MASK)
                    m.booked[FN_OTHER, AT_LOCAL] += gap
                    t += gap
                t += m.pending[me, 0]
            c.clock = t
            if c.at == c.ops:
                t = NEVER
            replace_top(m.tree, n, me, (t << CPU_BITS) | me)

    return kernel(f"the machine for {policy.name}")(run)
