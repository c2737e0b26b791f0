"""Coherence: discrete events over cache lines. One event is one CPU that wants one line.

The mechanism says which steps an operation takes; its step log is priced here. An operation changes the state of the
mechanism at the moment it begins, then its CPU goes through the lines it touches, one after the other, and waits for
each. All times are whole picoseconds, so that the same run gives the same numbers everywhere.

Three rules. An atomic waits for the line's first-in-first-out queue, pays the way from the CPU that had the line last,
and takes it for itself. A load is free if this CPU has a copy, cheap if a clean copy is in the cache its cores share,
else it queues and pays the way as well. A store does both without making its CPU wait.
"""

import functools
from collections import namedtuple

import numpy as np

from .._jit import inline, kernel
from ..mechanism.operations import bind_operations
from ..mechanism.policy import bind_rules
from ..mechanism.records import CHARGE_SKMEM, UNCHARGE_SKMEM
from ..mechanism.steps import step_dtype
from . import cache_lines
from .cache_lines import (
    BEGIN,
    FN_OTHER,
    FN_RAISE,
    FN_REDUCE,
    FN_TIMER,
    FN_TRY_CHARGE,
    FUNCTION_BITS,
    LOAD,
    RMW,
    TOUCHES_MAX,
)

CPU_BITS = 10  # a key of the queue is time << 10 | cpu
NO_LINE = -1  # of an event that touches none
NEVER = 1 << 51  # ps; the clock of a CPU with nothing left to do
SPREAD_BITS = 16  # a think time is mean * spread >> 16
SPREAD_ROWS = 1024
LOG_ROWS = 4096
WORD_BITS = 6  # CPU c is bit c & 63 of word c >> 6
# Tell the compiler that a number is not negative, so that it need not look whether an index wraps around.
PENDING_MASK = (1 << 13) - 1  # PENDING_MAX rows and room for one step more
STEP_MASK = (1 << 6) - 1
FUNCTION_MASK = (1 << FUNCTION_BITS) - 1
OP_MASK = (1 << 32) - 1

# The step log, read for nothing but the step and where it was. Its header also needs "before" and "after"; the rest
# lies on top of "before", so that the compiler leaves it out.
_PLACES = dict.fromkeys(step_dtype.names, 0) | {"after": 8, "where": 16, "step": 24}
log_dtype = np.dtype(
    {
        "names": list(_PLACES),
        "formats": [step_dtype[name] for name in _PLACES],
        "offsets": list(_PLACES.values()),
        "itemsize": 32,
    }
)

# Columns of a line's traffic, and what a function's time is booked as.
TRAFFIC = ("atomics", "loads", "stores", "clean", "smt", "near", "same", "cross", "far", "waited", "occupied")
ATOMICS, LOADS, STORES, BY_CLEAN, BY_SMT, BY_NEAR, BY_SAME, BY_CROSS, BY_FAR, WAITED, OCCUPIED = range(len(TRAFFIC))
BOOKED = ("local", "transfer", "wait")

COSTS = ("local", "clean", "own", "smt", "near", "same", "cross", "far")
COST_LOCAL, COST_CLEAN, COST_OWN, COST_SMT, COST_NEAR, COST_SAME, COST_CROSS, COST_FAR = range(len(COSTS))
LOCKS = ("atomic", "queue lock", "ticket lock")
ATOMIC, QUEUE_LOCK, TICKET_LOCK = range(len(LOCKS))

# Why a run stopped early.
TOO_MANY_STEPS, GAVE_BACK_TOO_MUCH = 1, 2

cpu_dtype = np.dtype(
    [
        (name, np.int64)
        for name in (
            "clock",  # ps
            "rng",
            "first",  # where its operations begin in Machine.ops
            "ops",  # how many they are
            "at",  # which of them runs
            "own",  # time the running operation takes on lines of this CPU alone, ps
            "todo",  # visits of the running operation
            "done",  # how many of them are made
            "finished",  # operations
            "place",  # socket, near cores and core, CPU_BITS each: what two CPUs share is 0 in the exclusive or
            "cache",  # rows of Machine.groups: who shares its last-level cache, which are near cores or the socket;
            "socket",  # who sits in its socket;
            "hops",  # who is at most one hop away, or -1 if all are
            "queue",  # ticket locks: the line in whose queue it is, or -1
            "until",  # when it will be done there, ps
            "next",  # the CPU behind it
        )
    ]
)
line_dtype = np.dtype(
    [
        ("free_at", np.int64),  # ps
        ("owner", np.int32),  # who wrote it last, or -1
        ("reader", np.int32),  # who read it last since then
        ("dirty", np.int32),  # 1 if only the owner has it
        ("queued", np.int32),  # how many are in the queue of a ticket lock, and the first and the last of them
        ("head", np.int32),
        ("tail", np.int32),
        ("spare", np.int64),
        ("traffic", np.int64, len(TRAFFIC)),  # times in ps
    ]
)
booked_dtype = np.dtype([(name, np.int64) for name in BOOKED])
event_dtype = np.dtype([(name, np.int64) for name in ("time", "cpu", "op", "line", "kind", "function", "start", "end")])

Machine = namedtuple(
    "Machine",
    [
        "state",  # the mechanism's State, with a step log
        "cpu",  # cpu_dtype [cpus]
        "pending",  # int64 [cpu, rows]: each visit of the running operation
        "line",  # line_dtype [lines]; 0 is the protocol's memory_allocated, then the lines of each counter
        "copies",  # int64 [line, word]: a bit for each CPU that has a copy of the line, while the line is not dirty
        "groups",  # int64 [group, word]: a bit for each CPU of a cache, a socket, or sockets one hop apart
        "booked",  # booked_dtype [function], ps
        "ops",  # op_dtype [ops], sorted by CPU
        "gaps",  # int64 [ops]: mean time before the operation, ps
        "spread",  # int64 [SPREAD_ROWS]: how think times lie around their mean, 65536 = the mean
        "steps",  # touched_dtype [step]
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
Stop = namedtuple("Stop", "reason cpu")  # why a run ended, 0 = its time is over; which CPU was at fault


visit, read_visit = inline(cache_lines.visit), inline(cache_lines.read_visit)


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
    one, other = m.cpu[one], m.cpu[other]
    apart = one.place ^ other.place
    if apart >> 2 * CPU_BITS != 0:
        # The first look spares the second, which waits for the record of another CPU where there are hundreds of them.
        return COST_FAR if other.hops >= 0 and one.hops != other.hops else COST_CROSS
    return COST_SMT + np.int64(apart != 0) + np.int64(apart >> CPU_BITS != 0)


# --- the queue of a ticket lock. Who is done leaves it late: when another CPU looks, or when it joins the next queue.
@inline
def leave_first(m, line):
    """The first CPU of a queue leaves it."""
    first = m.cpu[line.head]
    first.queue = -1
    line.head = first.next
    line.queued -= 1


@inline
def waiting(m, line, t):
    """How many are in a line's queue; those who are done by now leave it."""
    while line.queued > 0 and m.cpu[line.head].until <= t:
        leave_first(m, line)
    return line.queued


@inline
def join(m, me, number, line, until):
    """A CPU joins a line's queue. Where it was before, it is done, and so are all before it."""
    c = m.cpu[me]
    while c.queue >= 0:
        leave_first(m, m.line[c.queue])
    if line.queued > 0:
        m.cpu[line.tail].next = me
    else:
        line.head = me
    line.tail = me
    line.queued += 1
    c.queue = number
    c.until = until


@inline
def copied(m, number, line, cpu):
    """Not 0 if this CPU has a copy of the line."""
    if line.dirty:
        return line.owner == cpu
    return (m.copies[number, cpu >> WORD_BITS] >> (cpu & 63)) & 1 != 0


@inline
def copied_in(m, number, group):
    """True if a CPU of one of these groups has a copy of a line that is not dirty."""
    inside = np.int64(0)
    for word in range(m.copies.shape[1]):
        inside |= m.copies[number, word] & m.groups[group, word]
    return inside != 0


@inline
def copied_outside(m, number, group):
    """True if a CPU outside of one of these groups has a copy of a line that is not dirty."""
    outside = np.int64(0)
    for word in range(m.copies.shape[1]):
        outside |= m.copies[number, word] & ~m.groups[group, word]
    return outside != 0


@inline
def farthest_copy(m, number, c):
    """Which cost the farthest copy of a line that is not dirty pays to a CPU; 0 if all are in its cache."""
    if copied_outside(m, number, c.socket):
        return COST_FAR if c.hops >= 0 and copied_outside(m, number, c.hops) else COST_CROSS
    return COST_SAME if c.cache != c.socket and copied_outside(m, number, c.cache) else 0


@inline
def add_copy(m, number, cpu):
    """Note that a CPU has a copy from now on."""
    m.copies[number, cpu >> WORD_BITS] |= np.int64(1) << (cpu & 63)


@inline
def read(m, me, number, line, t):
    """A load of a line this CPU has no copy of: (when its way begins, how long that is)."""
    traffic = line.traffic
    start = t
    way = np.int64(0)
    traffic[LOADS] += 1
    if line.owner >= 0:
        if line.dirty == 0 and copied_in(m, number, m.cpu[me].cache):
            way = m.cost[COST_CLEAN]
            traffic[BY_CLEAN] += 1
        else:
            start = max(t, line.free_at)
            how = distance(m, line.owner, me)
            way = m.cost[how]
            traffic[how + 1] += 1
            line.free_at = start + way
            traffic[OCCUPIED] += way
            if line.dirty:
                line.dirty = 0
                add_copy(m, number, line.owner)
        line.reader = me
    add_copy(m, number, me)
    return start, way


@inline
def take(m, me, number, line, t, atomic):
    """An atomic or a store takes the line for this CPU alone: (when its way begins, how long that is, work on it)."""
    traffic = line.traffic
    start = max(t, line.free_at)
    way = np.int64(0)
    local = np.int64(0)
    other = line.owner
    if other == me and line.dirty == 0:
        other = line.reader  # mine, but others have copies: they must give them up
    if other >= 0 and other != me:
        how = distance(m, other, me)
        if line.dirty == 0:
            how = max(how, farthest_copy(m, number, m.cpu[me]))  # each copy must go, the farthest last
        way = m.cost[how]
        traffic[how + 1] += 1
    if atomic:
        traffic[ATOMICS] += 1
        local = m.cost[COST_LOCAL]
        if m.lock == QUEUE_LOCK:
            local *= 2
            if start > t:
                way *= 2  # the waiter's own line is handed over as well
        elif m.lock == TICKET_LOCK:
            local *= 2
            way += way * waiting(m, line, t) // 2  # all who wait read it again, half of them before the next in turn
            join(m, me, number, line, start + way + local)
    else:
        traffic[STORES] += 1
    line.free_at = start + way + local
    traffic[OCCUPIED] += way + local
    line.owner = me
    if line.dirty == 0:
        line.dirty = 1
        for word in range(m.copies.shape[1]):
            m.copies[number, word] = 0
    return start, way, local


@inline
def touch(m, me, entry, t):
    """One CPU wants one line at time ``t``: when it goes on."""
    number, function, kind = read_visit(entry)
    line = m.line[number]
    if kind == LOAD:
        if copied(m, number, line, me):
            return t
        start, way = read(m, me, number, line, t)
        local = np.int64(0)
        end = start + way
    else:
        start, way, local = take(m, me, number, line, t, kind == RMW)
        end = start + way + local if kind == RMW else t
    if end > t:
        booked = m.booked[function]
        booked.local += local
        booked.transfer += way
        booked.wait += start - t
        line.traffic[WAITED] += start - t
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
    room = m.pending.shape[1] - TOUCHES_MAX
    while memcg >= 0:
        m.pending[me, min(todo, room) & PENDING_MASK] = visit(1 + memcg * m.lines + word, function, LOAD)
        todo += 1
        memcg = m.state.counter[memcg].parent
    return todo


@inline
def price(m, me, todo, memcg):
    """Turn the step log of one operation into lines to touch, and the time of its steps on lines of its own."""
    log = m.state.log
    room = m.pending.shape[1] - TOUCHES_MAX  # what finds no place is counted, and written over
    own = np.int64(0)
    charged = np.int64(0)
    for row in range(1, log[0].before + 1):
        touched = m.steps[log[row].step & STEP_MASK]
        if touched.own:  # such a step touches no line of a counter
            own += m.cost[COST_OWN]
            m.booked[touched.function & FUNCTION_MASK].local += m.cost[COST_OWN]
            continue
        charged = charged & touched.charged | touched.charged >> 1
        first = visit(1 + log[row].where * m.lines, 0, 0)
        at = min(todo, room) & PENDING_MASK
        for i in range(TOUCHES_MAX):  # all of them, though seldom so many count: cheaper than to look
            m.pending[me, at + i] = touched.visits[i] + first
        todo += touched.lines
    if charged:
        todo = walk(m, me, todo, memcg, m.count, FN_TRY_CHARGE)  # is a level over its memory.high?
    m.cpu[me].own = own
    return todo


@functools.lru_cache(maxsize=64)
def bind_machine(policy):
    """Compile the simulation for one policy: ``run(machine, until)`` goes on until a time in ps."""
    page_op = bind_operations(bind_rules(policy), sockets=False).page_op

    @inline
    def begin(m, me, c, t):
        """Let the mechanism execute the next operation; what it touches is then pending.

        The event that says so lasts as long as the steps on lines of this CPU alone, which come after all others.
        """
        st = m.state
        k = (c.first + c.at) & OP_MASK
        op = m.ops[k]
        code, ctx = np.int64(op.op), np.int64(op.ctx)
        memcg, nr = np.int64(op.memcg), np.int64(op.nr)
        st.log[0].before = 0
        todo = 0
        if code <= UNCHARGE_SKMEM and m.allocated:
            m.pending[me, 0] = visit(0, FN_RAISE if code == CHARGE_SKMEM else FN_REDUCE, RMW)
            todo = 1
        _, reason, _ = page_op(st, code, me, memcg, ctx, nr, True)
        if reason:
            return reason
        todo = price(m, me, todo, memcg)
        if code == UNCHARGE_SKMEM:
            if m.walks > 0:
                todo = walk(m, me, todo, memcg, m.parent, FN_REDUCE)
            if m.walks > 1:
                todo = walk(m, me, todo, memcg, m.parent, FN_TIMER)
        c.done = 0
        c.todo = todo
        record(m.events, me, c.at, t, NO_LINE, BEGIN, FN_OTHER, t, t + c.own)
        return 0

    def run(m, until):
        n = build(m.tree, m.cpu)
        while True:
            key = m.tree[0]
            me = key & ((1 << CPU_BITS) - 1)
            t = key >> CPU_BITS
            if t >= until:
                return Stop(0, 0)
            c = m.cpu[me]
            if c.done == c.todo:
                if begin(m, me, c, t):
                    return Stop(GAVE_BACK_TOO_MUCH, me)
                if c.todo > m.pending.shape[1] - TOUCHES_MAX or m.state.log[0].after:
                    return Stop(TOO_MANY_STEPS, me)
            now = t
            done, todo = c.done, c.todo
            while t == now and done < todo:  # a copy at hand costs no time: the CPU goes on in the same event
                t = touch(m, me, m.pending[me, done & PENDING_MASK], t)
                done += 1
            c.done = done
            if done == todo:
                c.finished += 1
                c.at += 1
                if c.at == c.ops and m.repeat:
                    c.at = 0
                if c.at < c.ops:
                    gap = next_gap(m, c, (c.first + c.at) & OP_MASK)
                    m.booked[FN_OTHER].local += gap
                    t += gap
                t += c.own
            c.clock = t
            if c.at == c.ops:
                t = NEVER
            replace_top(m.tree, n, me, (t << CPU_BITS) | me)

    return kernel(f"the machine for {policy.name}")(run)
