"""The machine in plain Python: the same model as ``memcg_lab.machine``, written from its rules and not from its code.

``heapq`` holds (time, CPU). A cache line is an object that knows who wrote it last and who has a copy. The mechanism
is a small one of its own: a tree of counters without limits and one stock a CPU. Nothing here is compiled, and nothing
is taken from ``memcg_lab`` but the tables it is fed with: the costs, the placing of CPUs, the think times, the names.

The rules:

1. The earliest CPU goes first; of two at one time, the one with the smaller number. An operation changes the counters
   at the moment it begins. Then its CPU visits the lines the operation touches, one after the other.
2. An atomic queues for the line, pays the way from who has it, and owns it alone.
3. A load is free where the CPU has a copy. It costs a hit in the shared cache where the line is clean and somebody who
   shares that cache has it. Else it queues and pays the way from the owner; owner and reader then share a clean line.
4. A store takes the line like an atomic, but its CPU goes on at once and no time is booked.
5. A line that nobody has written yet costs nothing to fetch.
6. Ways are those of the topology: to the other thread of a core, to a near core, within the socket, to a socket one hop
   away, to one two hops away. A cache is shared by near cores; without such, by the socket. A write waits until the
   farthest copy is gone; a copy in the cache is as far as the CPU that gives the line.
"""

import heapq
from collections import deque

from memcg_lab.machine.cache_lines import BEGIN, FUNCTIONS, OTHER
from memcg_lab.machine.coherence import BOOKED, NO_LINE, SPREAD_ROWS, TRAFFIC
from memcg_lab.machine.run import spread
from memcg_lab.mechanism.records import CANCEL_CHARGE, CHARGE_SKMEM, TRY_CHARGE, UNCHARGE_SKMEM
from memcg_lab.workload import splitmix

RMW, LOAD, STORE = range(3)
FUNCTION = {name: number for number, name in enumerate(FUNCTIONS)}
RAISE, REDUCE = FUNCTION["__sk_mem_raise_allocated"], FUNCTION["__sk_mem_reduce_allocated"]
TIMER, TRY = FUNCTION["tcp_delack_timer_handler"], FUNCTION["try_charge"]
TRY_COUNTER, CANCEL = FUNCTION["page_counter_try_charge"], FUNCTION["page_counter_cancel"]
CHARGE, UNCHARGE = FUNCTION["mem_cgroup_charge_skmem"], FUNCTION["mem_cgroup_uncharge_skmem"]
CONSUME, REFILL, DRAIN = FUNCTION["consume_stock"], FUNCTION["refill_stock"], FUNCTION["drain_stock"]
CSS_GET, CSS_PUT, ELSE = FUNCTION["css_get_many"], FUNCTION["css_put_many"], FUNCTION[OTHER]

LOCAL, TRANSFER, WAIT = range(len(BOOKED))
ATOMICS, LOADS, STORES, CLEAN, SMT, NEAR, SAME, CROSS, FAR, WAITED, OCCUPIED = range(len(TRAFFIC))


class Line:
    """A cache line: who wrote it last, who has a copy since, and until when it is on its way."""

    __slots__ = ("copies", "free_at", "machine", "number", "owner", "queue", "reader", "taken", "traffic")

    def __init__(self, machine, number):
        self.machine, self.number = machine, number
        self.owner = self.reader = None
        self.copies = set()  # CPUs
        self.free_at = 0
        self.queue = deque()  # when each lock holder before us is done; ticket locks
        self.traffic = [0] * len(TRAFFIC)
        self.taken = []  # from when to when

    def counted(self, until):
        """The traffic, with the time the line was taken before a time."""
        occupied = sum(min(end, until) - min(start, until) for start, end in self.taken)
        return [*self.traffic[:OCCUPIED], occupied]

    def load(self, cpu, t):
        """(start, way) of a load, or None where the CPU has a copy."""
        if cpu in self.copies:
            return None
        self.traffic[LOADS] += 1
        start, way = t, 0
        if self.owner is not None:
            if len(self.copies) > 1 and any(self.machine.share_a_cache(c, cpu) for c in self.copies):
                self.traffic[CLEAN] += 1
                way = self.machine.way_cost[CLEAN]
            else:
                start = max(t, self.free_at)
                distance = self.machine.distance(self.owner, cpu)
                self.traffic[distance] += 1
                way = self.machine.way_cost[distance]
                self.free_at = start + way
                self.taken.append((start, self.free_at))
            self.reader = cpu
        self.copies.add(cpu)
        return start, way

    def giver(self, cpu):
        """(CPU the line comes from or None, CPUs outside of the cache whose copies have to go) for a write."""
        if len(self.copies) == 1 or self.owner is None:
            return self.owner, []
        abroad = [c for c in self.copies if not self.machine.share_a_cache(c, cpu)]
        return self.reader if self.owner == cpu else self.owner, abroad

    def write(self, cpu, t, atomic):
        """(start, way, local) of an atomic or a store."""
        machine = self.machine
        start = max(t, self.free_at)
        giver, abroad = self.giver(cpu)
        way = local = 0
        if giver is not None and giver != cpu:
            distance = max(machine.distance(other, cpu) for other in [giver, *abroad])
            self.traffic[distance] += 1
            way = machine.way_cost[distance]
        self.traffic[ATOMICS if atomic else STORES] += 1
        if atomic:
            local = machine.local
            if machine.lock != "atomic":
                local += machine.local  # taking the lock and leaving it
            if machine.lock == "queue lock" and start > t:
                way += way
            if machine.lock == "ticket lock":
                while self.queue and self.queue[0] <= t:
                    self.queue.popleft()
                way += way * len(self.queue) // 2
                self.queue.append(start + way + local)
        self.free_at = start + way + local
        self.taken.append((start, self.free_at))
        self.owner = cpu
        self.copies = {cpu}
        return start, way, local


class Counter:
    """A page counter without a limit."""

    __slots__ = ("count", "line", "up", "watermark")

    def __init__(self, up, line):
        self.count = self.watermark = 0
        self.up, self.line = up, line  # line: word -> Line

    def levels(self):
        counter = self
        while counter is not None:
            yield counter
            counter = counter.up


class Cpu:
    """A CPU: its stock, its operations, and what it is doing."""

    __slots__ = ("at", "finished", "gaps", "number", "ops", "own", "pages", "rng", "stock", "visit", "visits")

    def __init__(self, number, rng):
        self.number, self.rng = number, rng
        self.stock, self.pages = None, 0  # a Counter, and how many of its pages
        self.ops, self.gaps = [], []
        self.at = self.own = self.finished = self.visit = 0
        self.visits = []


class Machine:
    """A run that can be continued.

    ``patched`` is (cap the stock, give back into it): ``(False, False)`` is v4.13, ``(True, True)`` v4.14. ``gaps`` are
    mean think times in ps, one for each operation. ``events`` is a list of tuples if ``record``, else None.
    """

    line_class = Line

    def __init__(
        self,
        parents,
        root,
        cpus,
        ops,
        gaps,
        *,
        patched,
        batch=32,
        think="exponential",
        topology,
        layout,
        repeat=True,
        lock="atomic",
        seed=1,
        record=False,
    ):
        self.batch, (self.cap, self.to_stock) = batch, patched
        self.layout, self.lock, self.repeat, self.root = layout, lock, repeat, root
        self.core, self.socket = (places.tolist() for places in topology.place(cpus))
        self.near_cores, self.near_sockets = topology.near_cores, topology.near_sockets
        ways = {
            CLEAN: topology.clean_ns,
            SMT: topology.smt_ns,
            NEAR: topology.near_ns,
            SAME: topology.same_ns,
            CROSS: topology.cross_ns,
            FAR: topology.far_ns,
        }
        self.way_cost = {distance: round(ns * 1000) for distance, ns in ways.items() if ns is not None}
        self.local, self.own = round(topology.local_ns * 1000), round(topology.own_ns * 1000)
        self.lines = [self.line_class(self, number) for number in range(1 + len(parents) * layout.lines)]
        self.counters = []
        for number, parent in enumerate(parents):
            mine = self.lines[1 + number * layout.lines :]
            words = {w: mine[getattr(layout, w)] for w in ("count", "limit", "parent", "watermark", "failcnt")}
            self.counters.append(Counter(self.counters[parent] if parent >= 0 else None, words))
        self.booked = [[0] * len(BOOKED) for _ in FUNCTIONS]
        self.events, self.begins = ([], []) if record else (None, None)
        self.spread = spread(think).tolist()
        self.cpus = [Cpu(number, int(state) | 1) for number, state in enumerate(splitmix(seed, cpus))]
        for op, gap in zip(ops.tolist(), gaps, strict=True):
            self.cpus[op[2]].ops.append(op)
            self.cpus[op[2]].gaps.append(int(gap))
        self.touches = self.begun = 0
        self.clock = [0] * cpus
        self.heap = []
        for cpu in self.cpus:
            if cpu.ops:
                self.clock[cpu.number] = self.think(cpu)
                self.heap.append((self.clock[cpu.number], cpu.number))
        heapq.heapify(self.heap)

    # --- time --------------------------------------------------------------------------------------------------------
    def distance(self, one, other):
        if self.core[one] == self.core[other]:
            return SMT
        if self.socket[one] == self.socket[other]:
            return NEAR if self.near_cores and self.share_a_cache(one, other) else SAME
        if self.near_sockets and self.socket[one] // self.near_sockets != self.socket[other] // self.near_sockets:
            return FAR
        return CROSS

    def share_a_cache(self, one, other):
        if self.near_cores is None:
            return self.socket[one] == self.socket[other]
        return self.core[one] // self.near_cores == self.core[other] // self.near_cores

    def think(self, cpu):
        """Time before the CPU's next operation: the mean, scaled by where the generator stands."""
        gap = cpu.gaps[cpu.at] * self.spread[(cpu.rng >> 20) % SPREAD_ROWS] >> 16
        self.booked[ELSE][LOCAL] += gap
        return gap

    def draw(self, cpu):
        """Marsaglia's xorshift with 13, 7, 17, on 64 bits."""
        x = cpu.rng
        x = (x ^ x << 13) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 7
        cpu.rng = (x ^ x << 17) & 0xFFFFFFFFFFFFFFFF

    def run(self, until):
        """Go on until a time in ps."""
        heap = self.heap
        while heap and heap[0][0] < until:
            t, number = heap[0]
            t = self.turn(self.cpus[number], t)
            self.clock[number] = t
            if self.cpus[number].at < len(self.cpus[number].ops):
                heapq.heapreplace(heap, (t, number))
            else:
                heapq.heappop(heap)

    def turn(self, cpu, now):
        """One CPU goes on until it has to wait for a line or to think: when it comes back."""
        if cpu.visit == len(cpu.visits):
            cpu.visits, cpu.visit, cpu.own = [], 0, 0
            self.begin(cpu, *cpu.ops[cpu.at])
            if self.begins is not None:  # it lasts as long as the steps on its own lines
                self.begins.append((now, cpu.number, cpu.at, NO_LINE, BEGIN, ELSE, now, now + cpu.own))
            self.begun += 1
        t = now
        while t == now and cpu.visit < len(cpu.visits):
            t = self.touch(cpu, t, *cpu.visits[cpu.visit])
            cpu.visit += 1
        if cpu.visit < len(cpu.visits):
            return t
        cpu.finished += 1
        cpu.at += 1
        if self.repeat:
            cpu.at %= len(cpu.ops)
        if cpu.at < len(cpu.ops):
            self.draw(cpu)
            t += self.think(cpu)
        return t + cpu.own

    def touch(self, cpu, t, line, kind, function):
        self.touches += 1
        local = 0
        if kind == LOAD:
            fetched = line.load(cpu.number, t)
            if fetched is None:
                return t
            start, way = fetched
        else:
            start, way, local = line.write(cpu.number, t, kind == RMW)
        end = t if kind == STORE else start + way + local
        if end > t:
            booked = self.booked[function]
            booked[LOCAL] += local
            booked[TRANSFER] += way
            booked[WAIT] += start - t
            line.traffic[WAITED] += start - t
        if self.events is not None:
            self.events.append((t, cpu.number, cpu.at, line.number, kind, function, start, end))
        return end

    # --- the mechanism -----------------------------------------------------------------------------------------------
    def begin(self, cpu, code, ctx, _, memcg, pages):
        """Execute an operation and list what it visits."""
        visits = cpu.visits
        if self.layout.memory_allocated and code in (CHARGE_SKMEM, UNCHARGE_SKMEM):
            visits.append((self.lines[0], RMW, RAISE if code == CHARGE_SKMEM else REDUCE))
        counter = self.counters[memcg]
        if code == CHARGE_SKMEM:
            self.on_own_line(cpu, CHARGE)
            self.try_charge(cpu, counter, pages)
        elif code == UNCHARGE_SKMEM:
            self.on_own_line(cpu, UNCHARGE)
            if self.to_stock:
                self.refill(cpu, counter, pages)
            else:
                self.uncharge(cpu, counter, pages)
            for function in (REDUCE, TIMER)[: self.layout.pressure_walks]:
                visits += [(level.line["parent"], LOAD, function) for level in counter.levels()]
        elif memcg != self.root:
            if code == TRY_CHARGE:
                self.try_charge(cpu, counter, pages)
            else:
                assert code == CANCEL_CHARGE
                self.uncharge(cpu, counter, pages)

    def on_own_line(self, cpu, function):
        """A step on a line that no other CPU touches; the operation takes that much longer."""
        cpu.own += self.own
        self.booked[function][LOCAL] += self.own

    def visit_once(self, cpu, function, *words):
        """Visit lines, given as (line, kind); one line of a step is visited once."""
        seen = set()
        for line, kind in words:
            if line not in seen:
                seen.add(line)
                cpu.visits.append((line, kind, function))

    def try_charge(self, cpu, counter, pages):
        if pages <= self.batch:
            self.on_own_line(cpu, CONSUME)
            if cpu.stock is counter and cpu.pages >= pages:
                cpu.pages -= pages
                return
        taken = max(self.batch, pages)
        for level in counter.levels():
            line = level.line
            words = [(line["count"], RMW), (line["limit"], LOAD), (line["watermark"], LOAD), (line["parent"], LOAD)]
            self.visit_once(cpu, TRY_COUNTER, *words)
            level.count += taken
            if level.count > level.watermark:
                level.watermark = level.count
                if line["watermark"] is not line["count"]:  # else the add just took that line
                    cpu.visits.append((line["watermark"], STORE, TRY_COUNTER))
        self.on_own_line(cpu, CSS_GET)
        if taken > pages:
            self.refill(cpu, counter, taken - pages)
        cpu.visits += [(level.line["count"], LOAD, TRY) for level in counter.levels()]  # over its memory.high?

    def uncharge(self, cpu, counter, pages):
        """Give pages back to every level."""
        for level in counter.levels():
            level.count -= pages
            self.visit_once(cpu, CANCEL, (level.line["count"], RMW), (level.line["parent"], LOAD))
        self.on_own_line(cpu, CSS_PUT)

    def drain(self, cpu):
        if cpu.pages:
            self.uncharge(cpu, cpu.stock, cpu.pages)
            cpu.pages = 0
            self.on_own_line(cpu, DRAIN)
        if cpu.stock is not None:
            cpu.stock = None
            self.on_own_line(cpu, DRAIN)

    def refill(self, cpu, counter, pages):
        if cpu.stock is not counter:
            self.drain(cpu)
            cpu.stock = counter
            self.on_own_line(cpu, REFILL)
        cpu.pages += pages
        self.on_own_line(cpu, REFILL)
        if self.cap and cpu.pages > self.batch:
            self.drain(cpu)
