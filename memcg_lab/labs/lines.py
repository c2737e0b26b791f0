"""The patch as lines that can be put in any order: executed line by line, judged by running traffic.

The lines marked as the kernel's are quotes from 475d048, GPL-2.0; the others are ours, and wrong in their place. A
small machine executes an arrangement, as ``stage/puzzle.js`` does in a page; nothing is compiled.
"""

import functools
from typing import NamedTuple

from ..files import golden_path
from ..golden import read_golden
from ..mechanism.records import CHARGE_BATCH, OPS


class Line(NamedTuple):
    """A line of C: where it may stand, its text, whether the kernel has it there before or after the patch."""

    where: str
    text: str
    kernels: bool


# In the order in which they lie there at first.
LINES = {
    "drain": Line("refill", "drain_stock(stock);", True),
    "full": Line("refill", "if (stock->nr_pages >= CHARGE_BATCH)", False),
    "cut": Line("refill", "stock->nr_pages = CHARGE_BATCH;", False),
    "over": Line("refill", "if (stock->nr_pages > CHARGE_BATCH)", True),
    "other": Line("refill", "drain_stock(per_cpu_ptr(&memcg_stock, 0));", False),
    "add": Line("refill", "stock->nr_pages += nr_pages;", True),
    "surplus": Line("refill", "page_counter_uncharge(&memcg->memory, stock->nr_pages - CHARGE_BATCH);", False),
    "large": Line("refill", "if (nr_pages > CHARGE_BATCH)", False),
    "put": Line("uncharge", "css_put_many(&memcg->css, nr_pages);", True),
    "batch": Line("uncharge", "refill_stock(memcg, CHARGE_BATCH);", False),
    "sub": Line("uncharge", "this_cpu_sub(memcg->stat->count[MEMCG_SOCK], nr_pages);", True),
    "uncharge": Line("uncharge", "page_counter_uncharge(&memcg->memory, nr_pages);", True),
    "refill": Line("uncharge", "refill_stock(memcg, nr_pages);", True),
}
TESTS = ("full", "over", "large")
RIGHT = {"refill": ("add", "over", "drain"), "uncharge": ("sub", "refill")}
PARENTS = (-1, 0, 0)
CPUS = 2

# Traffic that is tried: every order of at most DEPTH calls of these, on both CPUs, of both cgroups.
CHARGES, RETURNS, DEPTH = (1, 32, 33), (1, 32, 33), 3
CHARGE, BACK = 0, 1
UNSIGNED = 2**32  # stock->nr_pages and CHARGE_BATCH are unsigned int: a difference below zero wraps round


class Machine:
    """A tree of counters and the stocks of some CPUs, with an arrangement in the place of the patch.

    Parameters
    ----------
    arrangement : dict of str to sequence of str
        "refill" and "uncharge": names of lines, in their order.
    parents : sequence of int
    cpus : int

    Notes
    -----
    Kernel: ``mem_cgroup_charge_skmem``, ``try_charge`` without limits, ``refill_stock``, ``drain_stock`` and
    ``mem_cgroup_uncharge_skmem`` in ``mm/memcontrol.c``, v4.14. ``crashed`` is true from where a null pointer would be
    followed: there ``drain_stock`` takes a stock that has pages to have an owner. In v6.1 it looks first.
    """

    def __init__(self, arrangement, parents=PARENTS, cpus=CPUS):
        self.lines, self.parents = arrangement, parents
        self.usage, self.css, self.sock = ([0] * len(parents) for _ in range(3))
        self.owner, self.pages = [-1] * cpus, [0] * cpus
        self.crashed = False

    def state(self):
        """All that is compared."""
        return self.pages, self.owner, self.usage, self.css, self.sock, self.crashed

    def copy(self):
        """Another one in the same state."""
        twin = Machine.__new__(Machine)
        twin.lines, twin.parents, twin.crashed = self.lines, self.parents, self.crashed
        twin.usage, twin.css, twin.sock = self.usage[:], self.css[:], self.sock[:]
        twin.owner, twin.pages = self.owner[:], self.pages[:]
        return twin

    def run(self, kind, cpu, memcg, nr_pages):
        """One call: a charge or a return."""
        if self.crashed:
            return
        if kind == CHARGE:
            self._charge(cpu, memcg, nr_pages)
        else:
            self._execute("uncharge", cpu, memcg, nr_pages)

    def _charge(self, cpu, memcg, nr_pages):
        self.sock[memcg] += nr_pages
        if nr_pages <= CHARGE_BATCH and self.owner[cpu] == memcg and self.pages[cpu] >= nr_pages:
            self.pages[cpu] -= nr_pages
            return
        batch = max(CHARGE_BATCH, nr_pages)
        self._counters(memcg, batch)
        self.css[memcg] += batch
        if batch > nr_pages:
            self._refill(cpu, memcg, batch - nr_pages)

    def _refill(self, cpu, memcg, nr_pages):
        if self.owner[cpu] != memcg:
            self._drain(cpu)
            self.owner[cpu] = memcg
        self._execute("refill", cpu, memcg, nr_pages)

    def _drain(self, cpu):
        pages, owner = self.pages[cpu], self.owner[cpu]
        if pages:
            if owner < 0:
                self.crashed = True
                return
            self._counters(owner, -pages)
            self.css[owner] -= pages
            self.pages[cpu] = 0
        self.owner[cpu] = -1

    def _counters(self, memcg, nr_pages):
        while memcg >= 0:
            self.usage[memcg] += nr_pages
            memcg = self.parents[memcg]

    def _execute(self, where, cpu, memcg, nr_pages):
        holds = True
        for line in self.lines[where]:
            if line in TESTS:  # a test holds for the next line that is none
                left = nr_pages if line == "large" else self.pages[cpu]
                holds = holds and (left >= CHARGE_BATCH if line == "full" else left > CHARGE_BATCH)
                continue
            if holds and not self.crashed:
                self._do(line, cpu, memcg, nr_pages)
            holds = True

    def _do(self, line, cpu, memcg, nr_pages):
        if line == "add":
            self.pages[cpu] += nr_pages
        elif line == "drain":
            self._drain(cpu)
        elif line == "other":
            self._drain(0)
        elif line == "cut":
            self.pages[cpu] = CHARGE_BATCH
        elif line == "surplus":
            self._counters(memcg, -((self.pages[cpu] - CHARGE_BATCH) % UNSIGNED))
        elif line == "sub":
            self.sock[memcg] -= nr_pages
        elif line == "uncharge":
            self._counters(memcg, -nr_pages)
        elif line == "put":
            self.css[memcg] -= nr_pages
        else:
            self._refill(cpu, memcg, CHARGE_BATCH if line == "batch" else nr_pages)


def shortest(arrangement, depth=DEPTH):
    """The fewest calls after which an arrangement and the kernel differ: a list of (kind, cpu, memcg, pages)."""
    for calls in range(1, depth + 1):
        found = _deeper(Machine(arrangement), Machine(RIGHT), [0] * len(PARENTS), calls)
        if found:
            return found
    return None


def _deeper(mine, kernel, held, left):
    for call in _calls(held):
        kind, cpu, memcg, nr_pages = call
        a, b = mine.copy(), kernel.copy()
        a.run(*call)
        b.run(*call)
        if a.state() != b.state():
            return [call]
        if left > 1:
            now = held[:]
            now[memcg] += nr_pages if kind == CHARGE else -nr_pages
            found = _deeper(a, b, now, left - 1)
            if found:
                return [call, *found]
    return None


def _calls(held):
    """The calls that are possible now; the first one is for cgroup 1, since the two cgroups are alike."""
    memcgs = (1, 2) if any(held) else (1,)
    for cpu in range(CPUS):
        for memcg in memcgs:
            for nr_pages in CHARGES:
                yield CHARGE, cpu, memcg, nr_pages
            for nr_pages in RETURNS:
                if nr_pages <= held[memcg]:
                    yield BACK, cpu, memcg, nr_pages


# --- what the kernel's own code answered -----------------------------------------------------------------------------
GOLDEN = ("boundary_32_33", "producer_consumer_depth2", "two_memcgs_alternate")
GOLDEN_CALLS = 100  # of each run, from its beginning


@functools.cache
def golden():
    """Golden runs of v4.14: parents, CPUs, calls, and the state after each call."""
    runs = []
    scenarios = {scenario.config["name"]: scenario for scenario in read_golden(golden_path("stories_post"))}
    for name in GOLDEN:
        scenario = scenarios[name]
        kinds = {"charge_skmem": CHARGE, "uncharge_skmem": BACK}
        ops = scenario.ops[:GOLDEN_CALLS]
        runs.append(
            {
                "name": name,
                "parents": scenario.config["parent"],
                "cpus": scenario.config["ncpu"],
                "calls": [[kinds[OPS[o["op"]]], int(o["cpu"]), int(o["memcg"]), int(o["nr"])] for o in ops],
                "states": [
                    [[n for _, n in e["stock"]], [m for m, _ in e["stock"]], e["usage"], e["css"], e["sock"]]
                    for e in scenario.expected[:GOLDEN_CALLS]
                ],
            }
        )
    return runs


def first_golden(arrangement):
    """The first call of a golden run after which an arrangement is not where the kernel was: (run, call), or None."""
    for number, run in enumerate(golden()):
        machine = Machine(arrangement, run["parents"], run["cpus"])
        for k, (call, state) in enumerate(zip(run["calls"], run["states"], strict=True)):
            machine.run(*call)
            if machine.crashed or list(machine.state()[:5]) != state:
                return number, k
    return None


# --- shapes that go wrong --------------------------------------------------------------------------------------------
class Shape(NamedTuple):
    """An arrangement that goes wrong in a way of its own; the first that fits is told.

    has, lacks: lines that stand there, and that do not. under: (test, line): the line depends on the test. free: lines
    that depend on no test. order: (line, line): the first stands before the second. ends: the last line is a test.
    """

    name: str
    where: str
    says: str
    has: tuple = ()
    lacks: tuple = ()
    under: tuple = ()
    free: tuple = ()
    order: tuple = ()
    ends: bool = False


SHAPES = (
    Shape(
        "hanging",
        "refill",
        "The last line is a test. In C the next line of the function depends on it then: interrupts may stay off.",
        ends=True,
    ),
    Shape(
        "nowhere",
        "refill",
        "The pages that come in are added to nothing: they stay charged, in nobody's stock.",
        lacks=("add",),
    ),
    Shape(
        "add if full",
        "refill",
        "The addition depends on a test: while the stock is small, what comes in is lost.",
        under=(("over", "add"),),
    ),
    Shape(
        "add at the batch",
        "refill",
        "The addition depends on a test: while the stock is small, what comes in is lost.",
        under=(("full", "add"),),
    ),
    Shape(
        "add if large",
        "refill",
        "The addition depends on a test: small calls add nothing, and their pages are lost.",
        under=(("large", "add"),),
    ),
    Shape(
        "test first",
        "refill",
        "The test stands before the addition. It looks at what was there, so more than a batch can stay.",
        under=(("over", "drain"),),
        order=(("drain", "add"),),
    ),
    Shape(
        "drain first",
        "refill",
        "The drain comes before the addition. A drained stock has no owner, and then pages without one lie in it.",
        has=("drain",),
        order=(("drain", "add"),),
    ),
    Shape(
        "at the batch", "refill", ">= drains a page too early: exactly a batch may stay.", under=(("full", "drain"),)
    ),
    Shape(
        "what comes",
        "refill",
        "The test asks how many pages come in, not how many are there. Many small calls pass it for ever.",
        under=(("large", "drain"),),
    ),
    Shape(
        "wrong CPU",
        "refill",
        "It drains the stock of CPU 0, whoever runs here. Only its own stock is a CPU's to touch.",
        has=("other",),
    ),
    Shape(
        "always",
        "refill",
        "Nothing guards the drain: each refill empties the stock, and no charge is ever served from it.",
        free=("drain",),
        order=(("add", "drain"),),
    ),
    Shape(
        "surplus and cut",
        "refill",
        "Only the surplus leaves, and without its references. The patch drains the stock wholly.",
        has=("surplus",),
        under=(("over", "surplus"),),
        order=(("surplus", "cut"),),
    ),
    Shape(
        "counted out",
        "refill",
        "The surplus leaves the counters, but it still lies in the stock: it will be handed out without being charged.",
        under=(("over", "surplus"),),
    ),
    Shape(
        "surplus always",
        "refill",
        "It gives back a surplus that is not there: below a batch the difference wraps round, to four billion pages.",
        has=("surplus",),
    ),
    Shape(
        "cut",
        "refill",
        "The stock is cut to a batch, but what was above it leaves no counter: it stays charged for ever.",
        under=(("over", "cut"),),
    ),
    Shape(
        "filled up", "refill", "It sets the stock to a batch, whatever was there: pages out of nothing.", has=("cut",)
    ),
    Shape(
        "no cap",
        "refill",
        "Nothing caps the stock: what comes back stays, and the counter drifts without end.",
        lacks=("drain", "other", "cut", "surplus"),
    ),
    Shape(
        "before the patch",
        "uncharge",
        "That is the function before the patch: what comes back goes to every counter, and nothing into the stock.",
        has=("uncharge", "put"),
        lacks=("refill", "batch"),
    ),
    Shape(
        "back twice",
        "uncharge",
        "The pages are given back twice: they go into the stock, and the counters forget them as well.",
        has=("refill", "uncharge"),
    ),
    Shape(
        "put too early",
        "uncharge",
        "The pages stay charged in the stock, but their references are put, and put again when the stock drains.",
        has=("refill", "put"),
    ),
    Shape(
        "both refills",
        "uncharge",
        "A whole batch comes in on top of the pages that came back: out of nothing.",
        has=("refill", "batch"),
    ),
    Shape("a batch", "uncharge", "It puts a batch into the stock, however many pages came back.", has=("batch",)),
    Shape(
        "references stay",
        "uncharge",
        "The counters forget the pages, but their references stay: the cgroup can never be freed.",
        has=("uncharge",),
        lacks=("put",),
    ),
    Shape(
        "counters stay",
        "uncharge",
        "The references are put, but the pages stay charged, in nobody's stock.",
        has=("put",),
        lacks=("uncharge",),
    ),
    Shape(
        "lost",
        "uncharge",
        "Nobody takes the pages: they are in no socket and in no stock, and stay charged for ever.",
        lacks=("refill", "uncharge"),
    ),
    Shape(
        "statistic",
        "uncharge",
        "The line that counts socket memory is missing: sock in memory.stat never falls.",
        lacks=("sub",),
    ),
)


def guards(lines):
    """The tests that each line depends on, by line."""
    found, open_tests = {}, ()
    for line in lines:
        if line in TESTS:
            open_tests += (line,)
        else:
            found[line], open_tests = open_tests, ()
    return found


def fits(shape, arrangement):
    """True if an arrangement is of a shape."""
    lines = list(arrangement[shape.where])
    depends = guards(lines)
    return (
        all(line in lines for line in shape.has)
        and not any(line in lines for line in shape.lacks)
        and all(test in depends.get(line, ()) for test, line in shape.under)
        and all(line in depends and not depends[line] for line in shape.free)
        and all(a in lines and b in lines and lines.index(a) < lines.index(b) for a, b in shape.order)
        and (not shape.ends or bool(lines) and lines[-1] in TESTS)
    )


class Verdict(NamedTuple):
    """What running an arrangement says.

    right: it did all that the kernel did. shape: number in ``SHAPES`` of what it is, -1 if it has no name. calls: the
    shortest traffic that betrays it; empty if it is right, or a test stands last.
    """

    right: bool
    shape: int
    calls: tuple


def judge(arrangement):
    """Judge an arrangement by running traffic through it and through the kernel's own.

    Parameters
    ----------
    arrangement : dict of str to sequence of str

    Returns
    -------
    Verdict

    Examples
    --------
    >>> judge(RIGHT).right
    True
    >>> verdict = judge({"refill": ("add", "full", "drain"), "uncharge": ("sub", "refill")})
    >>> SHAPES[verdict.shape].name, verdict.calls
    ('at the batch', ((0, 0, 1, 1), (1, 0, 1, 1)))
    """
    shape = next((k for k, shape in enumerate(SHAPES) if fits(shape, arrangement)), -1)
    if shape >= 0 and SHAPES[shape].ends:
        return Verdict(False, shape, ())
    calls = shortest(arrangement)
    if calls is None:
        there = first_golden(arrangement)
        if there is None:
            return Verdict(True, -1, ())
        run = golden()[there[0]]
        calls = [tuple(call) for call in run["calls"][: there[1] + 1]]
    return Verdict(False, shape, tuple(calls))
