"""The cache-line simulation once more in plain Python, with heapq and sets, written from its rules.

It shares no code with ``memcg_lab``: the stock and the counters are its own too. Slow and easy to check by eye; the
tests compare it with the compiled one event by event, and the benchmark times it.
"""

import heapq
import types

CHARGE, UNCHARGE, TRY, CANCEL = range(4)
BATCH = 32


class Line:
    """A cache line: who wrote it last, who has a copy, and when its queue is empty."""

    def __init__(self):
        self.writer = None
        self.copies = set()
        self.clean = False  # somebody else read it since it was written
        self.last_reader = None
        self.free_at = 0
        self.done_at = []  # of those in the queue, for ticket locks
        self.counts = dict.fromkeys(
            ("atomics", "loads", "stores", "clean", "smt", "same", "cross", "waited", "occupied"), 0
        )


class Cpu:
    """A CPU: its operations, its stock, and what it does next."""

    def __init__(self, number, ops, random):
        self.number, self.ops, self.random = number, ops, random
        self.at = 0
        self.finished = 0
        self.stock_of, self.stock_pages = None, 0
        self.touches = []
        self.own = 0


class PlainMachine:
    """One run.

    Parameters
    ----------
    parents : list of int
    cpus : int
    ops : list of (op, cpu, memcg, pages, gap in ps)
    cap, to_stock : bool
        The two hunks of the patch.
    place : list of (core, socket)
    cost : dict of local, clean, own, smt, same, cross, in ps
    layout : object with count, limit, parent, watermark, failcnt, lines, memory_allocated, pressure_walks
    spread : sequence of 1024 int
    random : list of int
        First state of each CPU's generator.
    lock : str
    repeat : bool
    root : int or None
    """

    def __init__(self, parents, cpus, ops, *, cap, to_stock, place, cost, layout, spread, random, lock, repeat, root):
        self.parents, self.place, self.cost, self.layout = parents, place, cost, layout
        self.cap, self.to_stock, self.spread, self.lock, self.repeat = cap, to_stock, spread, lock, repeat
        self.root = root
        self.count = [0] * len(parents)
        self.peak = [0] * len(parents)
        self.lines = {}
        self.booked = {}
        self.events = []
        self.cpus = [Cpu(n, [op for op in ops if op[1] == n], random[n]) for n in range(cpus)]

    def put_in_flight(self, pages):
        """Let every cgroup that gives back hold pages: sockets' and others' apart."""
        for memcg in {op[2] for cpu in self.cpus for op in cpu.ops if op[0] != CHARGE}:
            if memcg == self.root:
                continue
            kinds = {op[0] in (CHARGE, UNCHARGE) for cpu in self.cpus for op in cpu.ops if op[2] == memcg}
            for level in self.path(memcg):
                self.count[level] += pages * len(kinds)
                self.peak[level] = max(self.peak[level], self.count[level])

    # --- the mechanism ------------------------------------------------------------------------------------------------
    def path(self, memcg):
        while memcg >= 0:
            yield memcg
            memcg = self.parents[memcg]

    def add(self, memcg, pages, function, touches):
        """Charge every level, leaf first."""
        for level in self.path(memcg):
            self.count[level] += pages
            raised = self.count[level] > self.peak[level]
            touches += self.words(level, function, "add")
            if raised:
                self.peak[level] = self.count[level]
                if self.layout.watermark != self.layout.count:
                    touches.append((self.line(level, "watermark"), "store", function))

    def cancel(self, memcg, pages, touches):
        for level in self.path(memcg):
            self.count[level] -= pages
            touches += self.words(level, "page_counter_cancel", "cancel")

    def drain(self, cpu, touches, own):
        if cpu.stock_pages:
            self.cancel(cpu.stock_of, cpu.stock_pages, touches)
            own += ["css_put_many", "drain_stock"]
            cpu.stock_pages = 0
        if cpu.stock_of is not None:
            own.append("drain_stock")
        cpu.stock_of = None

    def refill(self, cpu, memcg, pages, touches, own):
        if cpu.stock_of != memcg:
            self.drain(cpu, touches, own)
            own.append("refill_stock")
            cpu.stock_of = memcg
        cpu.stock_pages += pages
        own.append("refill_stock")
        if self.cap and cpu.stock_pages > BATCH:
            self.drain(cpu, touches, own)

    def charge(self, cpu, memcg, pages, touches, own):
        if memcg == self.root:
            return
        if pages <= BATCH:
            own.append("consume_stock")
            if cpu.stock_of == memcg and cpu.stock_pages >= pages:
                cpu.stock_pages -= pages
                return
        batch = max(BATCH, pages)
        self.add(memcg, batch, "page_counter_try_charge", touches)
        own.append("css_get_many")
        if batch > pages:
            self.refill(cpu, memcg, batch - pages, touches, own)
        # Is a level over its memory.high?
        touches += [(self.line(level, "count"), "load", "try_charge") for level in self.path(memcg)]

    def operation(self, cpu, op, memcg, pages):
        """What an operation touches, in order, and whose steps on own lines it takes."""
        touches, own = [], []
        whole = self.layout.memory_allocated
        if op == CHARGE:
            if whole:
                touches.append(("allocated", "rmw", "__sk_mem_raise_allocated"))
            own.append("mem_cgroup_charge_skmem")
            self.charge(cpu, memcg, pages, touches, own)
        elif op == UNCHARGE:
            if whole:
                touches.append(("allocated", "rmw", "__sk_mem_reduce_allocated"))
            own.append("mem_cgroup_uncharge_skmem")
            if self.to_stock:
                self.refill(cpu, memcg, pages, touches, own)
            else:
                self.cancel(memcg, pages, touches)
                own.append("css_put_many")
            walkers = ("__sk_mem_reduce_allocated", "tcp_delack_timer_handler")[: self.layout.pressure_walks]
            for walker in walkers:
                touches += [(self.line(level, "parent"), "load", walker) for level in self.path(memcg)]
        elif op == TRY:
            self.charge(cpu, memcg, pages, touches, own)
        elif memcg != self.root:
            self.cancel(memcg, pages, touches)
            own.append("css_put_many")
        return touches, own

    def line(self, level, word):
        return level, getattr(self.layout, word)

    def words(self, level, function, what):
        """The lines of one level that an addition or a cancel touches: the count, then others on lines of their own."""
        found = [(self.line(level, "count"), "rmw", function)]
        for word in ("limit", "watermark", "parent") if what == "add" else ("parent",):
            line = self.line(level, word)
            if line not in [touched for touched, _, _ in found]:
                found.append((line, "load", function))
        return found

    # --- the machine --------------------------------------------------------------------------------------------------
    def gap(self, cpu):
        """The next think time of a CPU: xorshift, then a row of the spread."""
        x = cpu.random
        x = signed(x ^ (x << 13))
        x ^= (x >> 7) & 0x01FFFFFFFFFFFFFF
        x = signed(x ^ (x << 17))
        cpu.random = x
        return (cpu.ops[cpu.at][4] * self.spread[(x >> 20) & 1023]) >> 16

    def distance(self, one, other):
        (core, socket), (core2, socket2) = self.place[one], self.place[other]
        return "cross" if socket != socket2 else "same" if core != core2 else "smt"

    def book(self, function, kind, ps):
        if ps:
            self.booked[function, kind] = self.booked.get((function, kind), 0) + ps

    def touch(self, cpu, name, kind, function, t):
        """One CPU wants one line: when it goes on."""
        me = cpu.number
        line = self.lines.setdefault(name, Line())
        start, way, local = t, 0, 0
        if kind == "load":
            if me in line.copies:
                return t
            line.counts["loads"] += 1
            if line.writer is not None:
                sockets = {self.place[other][1] for other in line.copies}
                if line.clean and self.place[me][1] in sockets:
                    way = self.cost["clean"]
                    line.counts["clean"] += 1
                else:
                    how = self.distance(line.writer, me)
                    start, way = max(t, line.free_at), self.cost[how]
                    line.counts[how] += 1
                    line.free_at = start + way
                    line.counts["occupied"] += way
                    line.clean = True
                line.last_reader = me
            line.copies.add(me)
            end = start + way
        else:
            start = max(t, line.free_at)
            source = line.writer
            if source == me and line.clean:
                source = line.last_reader
            if source is not None and source != me:
                how = self.distance(source, me)
                others = {self.place[other][1] for other in line.copies} - {self.place[me][1]}
                if line.clean and others:
                    how = "cross"
                way = self.cost[how]
                line.counts[how] += 1
            if kind == "rmw":
                line.counts["atomics"] += 1
                local = self.cost["local"]
                if self.lock == "queue lock":
                    local, way = 2 * local, way * (2 if start > t else 1)
                elif self.lock == "ticket lock":
                    line.done_at = [done for done in line.done_at if done > t]
                    local, way = 2 * local, way + way * len(line.done_at) // 2
                    line.done_at.append(start + way + local)
            else:
                line.counts["stores"] += 1
            line.free_at = start + way + local
            line.counts["occupied"] += way + local
            line.writer, line.copies, line.clean = me, {me}, False
            end = line.free_at if kind == "rmw" else t
        if end > t:
            self.book(function, "local", local)
            self.book(function, "transfer", way)
            self.book(function, "wait", start - t)
            line.counts["waited"] += start - t
        self.events.append((t, me, cpu.at, name, kind, function, start, end))
        return end

    def run(self, until):
        """Simulate until a time in ps."""
        queue = []
        for cpu in self.cpus:
            if cpu.ops:
                first = (cpu.ops[0][4] * self.spread[(cpu.random >> 20) & 1023]) >> 16
                self.book("everything else", "local", first)
                heapq.heappush(queue, (first, cpu.number))
        while queue and queue[0][0] < until:
            t, number = heapq.heappop(queue)
            cpu = self.cpus[number]
            if not cpu.touches:
                op, _, memcg, pages, _ = cpu.ops[cpu.at]
                cpu.touches, own = self.operation(cpu, op, memcg, pages)
                cpu.own = self.cost["own"] * len(own)
                for function in own:
                    self.book(function, "local", self.cost["own"])
            now = t
            while cpu.touches and t == now:
                t = self.touch(cpu, *cpu.touches.pop(0), t)
            if not cpu.touches:
                cpu.finished += 1
                cpu.at += 1
                if cpu.at == len(cpu.ops) and self.repeat:
                    cpu.at = 0
                if cpu.at < len(cpu.ops):
                    gap = self.gap(cpu)
                    self.book("everything else", "local", gap)
                    t += gap
                t += cpu.own
            if cpu.at < len(cpu.ops):
                heapq.heappush(queue, (t, number))
        return types.SimpleNamespace(
            events=self.events, booked=self.booked, lines=self.lines, cpus=self.cpus, count=self.count
        )


def signed(x):
    """The lowest 64 bits as a signed number."""
    x &= (1 << 64) - 1
    return x - (1 << 64) if x >> 63 else x
