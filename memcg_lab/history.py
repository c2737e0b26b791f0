"""The one reader of the step log: its steps in words, and every state that a stream passes through.

A row of the log says which value a step changed, from what to what (``mechanism/steps.py``). So the state after any
operation is the state at the start plus the changes of all rows until then; nothing is executed again.
"""

from collections import namedtuple
from functools import cached_property

import numpy as np

from .checks import shown, whole_number
from .mechanism.records import CANCEL_CHARGE, UNCHARGE_SKMEM
from .mechanism.steps import (
    COUNTER_ATOMIC,
    STEP_CANCEL,
    STEP_CSS_PUT,
    STEP_DRAIN,
    STEP_DRAIN_OWNER,
    STEP_REFILL,
    STEP_RETURN,
    STEP_SOCK_SUB,
    STEPS,
    step_dtype,
)
from .words import kind

OPS_MAX = 200_000  # operations whose steps still fit easily into memory

# The changed lines of 475d048, as data/patch has them (without the indentation), and the hunk each stands in.
PATCH_LINES = (
    "+if (stock->nr_pages > CHARGE_BATCH)",
    "+drain_stock(stock);",
    "-page_counter_uncharge(&memcg->memory, nr_pages);",
    "-css_put_many(&memcg->css, nr_pages);",
    "+refill_stock(memcg, nr_pages);",
)
CAP_TEST, CAP_DRAIN, OLD_UNCHARGE, OLD_PUT, NEW_REFILL = range(len(PATCH_LINES))

# Which step belongs to which changed line, the first rule that fits; a page that draws the log reads the same rules.
# gives_back: in an uncharge_skmem or in another operation. refills: the operation puts pages into a stock. filled: it
# has already done so. capped: the policy's trait. None: either way.
LineRule = namedtuple("LineRule", "line gives_back refills filled capped steps")
LINE_RULES = (
    LineRule(OLD_UNCHARGE, True, False, None, None, (STEP_CANCEL,)),
    LineRule(OLD_PUT, True, False, None, None, (STEP_CSS_PUT,)),
    LineRule(CAP_DRAIN, None, True, True, True, (STEP_CANCEL, STEP_CSS_PUT, STEP_DRAIN, STEP_DRAIN_OWNER)),
    LineRule(
        NEW_REFILL, True, True, None, None, tuple(set(range(len(STEPS))) - {int(STEP_SOCK_SUB), int(STEP_RETURN)})
    ),
)

Row = namedtuple("Row", step_dtype.names)
Row.__doc__ = "One step as plain integers: the fields of ``step_dtype``."

# By cgroup: usage, references, MEMCG_SOCK, watermark (pages) and failures. stock: for each CPU (memcg, pages); with
# several slots, for each CPU such a pair for each slot.
State = namedtuple("State", "usage css sock stock watermark failcnt")

# Which steps change a field of the state, by code.
_CHANGES = {field: np.array([step.field == field for step in STEPS]) for field in {step.field for step in STEPS}}
_ATOMIC = np.array([step.atomic for step in STEPS])


class StepLog:
    """The executed steps of a stream: a structured array with its reading.

    Attributes
    ----------
    rows : ndarray of ``step_dtype``
        One row a step: operation, CPU, step code, slot (-1: no stock), where, value before and after.

    Examples
    --------
    >>> from memcg_lab import System, op
    >>> log = System.chain(depth=1, cpus=1).step_through(op("charge_skmem", cpu=0, memcg=1, nr=1))
    >>> len(log), log.atomics()
    (10, 2)
    >>> print(log.sentence(2))
    page_counter_try_charge: add to this level, speculatively (count of memory of memcg 1: 0 -> 32)
    """

    def __init__(self, rows, memcgs, slots=1):
        self.rows, self.memcgs, self.slots = rows, memcgs, slots

    def __len__(self):
        return self.rows.size

    def __repr__(self):
        ops = np.unique(self.rows["op"]).size
        return f"StepLog({len(self):,} steps of {ops:,} operations, {self.atomics():,} atomics)"

    def of_op(self, number):
        """The steps of one operation."""
        return StepLog(self.rows[self.rows["op"] == number], self.memcgs, self.slots)

    def atomics(self):
        """How many of the steps are atomics on a line shared by all CPUs."""
        return int(_ATOMIC[self.rows["step"]].sum())

    def touched(self, number):
        """What one step touched, in words: ``stock of CPU 1``, ``count of memory of memcg 2``."""
        row = self.rows[number]
        what, where, slot = STEPS[row["step"]].what, int(row["where"]), int(row["slot"])
        if row["step"] == STEP_RETURN:
            return what
        if what.endswith(" of"):
            counter, where = divmod(where, self.memcgs)
            what = f"{what} {('memory', 'memsw', 'tcpmem')[counter]} of memcg"
        return f"{what} {where}" + (f", slot {slot}" if slot >= 0 and self.slots > 1 else "")

    def sentence(self, number):
        """One step in words."""
        row = self.rows[number]
        step = STEPS[row["step"]]
        return f"{step.function}: {step.rule} ({self.touched(number)}: {int(row['before'])} -> {int(row['after'])})"

    def frame(self):
        """The log as a pandas DataFrame, one row a step; ``slot`` only where a stock has several."""
        import pandas as pd

        steps = [STEPS[code] for code in self.rows["step"]]
        columns = {
            "op": self.rows["op"],
            "cpu": self.rows["cpu"],
            "slot": self.rows["slot"],
            "function": [s.function for s in steps],
            "rule": [s.rule for s in steps],
            "touched": [self.touched(number) for number in range(len(self))],
            "line": [s.line for s in steps],
            "before": self.rows["before"],
            "after": self.rows["after"],
            "atomic": [s.atomic for s in steps],
        }
        if self.slots == 1:
            del columns["slot"]
        return pd.DataFrame(columns)


class History:
    """What a stream does to a system: the steps of each operation and the state after it.

    Parameters
    ----------
    system : System
        It is run to the end of the stream.
    ops : ndarray of ``op_dtype``, shape (n,)

    Attributes
    ----------
    atomics : ndarray of int64, shape (n,)
        Atomics on counters of each operation.
    total : ndarray of int64, shape (n + 1,)
        Atomics summed up, with a 0 in front.
    usage, watermark, limit, failcnt, css, sock : ndarray of int64, shape (n + 1, memcgs)
        The state before any operation, then after each, by cgroup.
    stock_memcg, stock_pages : ndarray of int64, shape (n + 1, cpus, slots)
        What each slot of each CPU's stock holds.

    Raises
    ------
    ValueError
        If there is no system, or an operation is not allowed; the message names it.

    Examples
    --------
    >>> from memcg_lab import System, pingpong
    >>> history = History(System.chain(depth=1, cpus=1), pingpong(1))
    >>> history.state(1).usage, history.state(2).stock, history.atomics
    ((32, 32), ((1, 32),), array([2, 0]))
    """

    def __init__(self, system, ops):
        if not hasattr(system, "mechanism_state"):
            raise ValueError(f"system is {shown(system)}; it must be a System.")
        self.policy, self.parents, self.ops = system.policy, system.parents, ops
        start = system.mechanism_state()
        self._start = {name: np.array(getattr(start, name)) for name in ("counter", "memcg", "stock")}
        self._start["sock"] = start.sock.sum(axis=0)
        self.log = system.step_through(ops)
        rows = self.log.rows
        self._edges = np.searchsorted(rows["op"], np.arange(len(ops) + 1))
        self.atomics = np.bincount(rows["op"][COUNTER_ATOMIC[rows["step"]]], minlength=len(ops))[: len(ops)]
        self.total = np.concatenate([[0], np.cumsum(self.atomics)])
        self.drains = np.unique(rows["op"][rows["step"] == STEP_DRAIN]).tolist()

    def __len__(self):
        return len(self.ops)

    @cached_property
    def usage(self):
        """``memory.current`` of each cgroup in pages."""
        return self._memory("count")

    @cached_property
    def watermark(self):
        """The highest ``memory.current`` of each cgroup so far, in pages."""
        return self._memory("watermark")

    @cached_property
    def limit(self):
        """``memory.max`` of each cgroup in pages; ``PAGE_COUNTER_MAX`` = max."""
        return self._memory("limit")

    @cached_property
    def failcnt(self):
        """How often the counter of each cgroup refused."""
        return self._memory("failcnt")

    @cached_property
    def css(self):
        """References of each cgroup."""
        return self._follow("memcg.css", self._start["memcg"]["css"], lambda rows: (rows["where"],))

    @cached_property
    def sock(self):
        """MEMCG_SOCK of each cgroup in pages, over all CPUs."""
        return self._follow("sock", self._start["sock"], lambda rows: (rows["where"],))

    @cached_property
    def stock_pages(self):
        """Pages in each slot of each CPU's stock."""
        return self._stock("nr_pages")

    @cached_property
    def stock_memcg(self):
        """Whose pages they are; -1 = nobody's."""
        return self._stock("memcg")

    def state(self, k):
        """The state after ``k`` operations, as plain numbers: a ``State``."""
        k = whole_number("k", k, 0, len(self.ops))
        stock = tuple(
            tuple(zip(*slots, strict=True))
            for slots in zip(self.stock_memcg[k].tolist(), self.stock_pages[k].tolist(), strict=True)
        )
        return State(
            tuple(self.usage[k].tolist()),
            tuple(self.css[k].tolist()),
            tuple(self.sock[k].tolist()),
            tuple(slots[0] for slots in stock) if self.policy.slots == 1 else stock,
            tuple(self.watermark[k].tolist()),
            tuple(self.failcnt[k].tolist()),
        )

    def steps(self, k):
        """The steps of operation ``k`` (from 0): a list of ``Row``."""
        k = whole_number("k", k, 0, len(self.ops) - 1)
        return [Row(*row) for row in self.log.rows[self._edges[k] : self._edges[k + 1]].tolist()]

    def lines(self, k):
        """For each step of operation ``k`` the changed line of the patch it belongs to, or None.

        The test of the cap has no step of its own; see :meth:`cap_test`.
        """
        steps = self.steps(k)
        gives_back = bool(self.ops["op"][k] == UNCHARGE_SKMEM)
        refills = any(row.step == STEP_REFILL for row in steps)
        lines, filled = [], False
        for row in steps:
            here = gives_back, refills, filled, self.policy.capped
            fits = (rule.line for rule in LINE_RULES if row.step in rule.steps and _agree(rule[1:5], here))
            lines.append(next(fits, None))
            filled = filled or row.step == STEP_REFILL
        return lines

    def cap_test(self, k):
        """The pages the cap of hunk 1 looked at in operation ``k``, or None if it was not executed."""
        filled = [row.after for row in self.steps(k) if row.step == STEP_REFILL]
        return filled[-1] if filled and self.policy.capped else None

    def _memory(self, field):
        """A field of the memory counters; those of memsw and tcpmem lie behind them."""
        memcgs = len(self.parents)
        return self._follow(
            f"counter.{field}", self._start["counter"][field][:memcgs], lambda rows: (rows["where"],), memcgs
        )

    def _stock(self, field):
        return self._follow(
            f"stock.{field}", self._start["stock"][field], lambda rows: (rows["where"], rows["slot"].astype(np.int64))
        )

    def _follow(self, field, start, index, where_below=None):
        """A field of the state before any operation and after each: int64."""
        rows = self.log.rows[_CHANGES[field][self.log.rows["step"]]]
        if where_below is not None:
            rows = rows[rows["where"] < where_below]
        states = np.zeros((len(self.ops) + 1, *start.shape), np.int64)
        states[0] = start
        np.add.at(states, (rows["op"] + 1, *index(rows)), rows["after"] - rows["before"])
        return np.cumsum(states, axis=0, out=states)


def _agree(asked, here):
    return all(want is None or want == there for want, there in zip(asked, here, strict=True))


def record(system, ops, memcg=None):
    """What a stream does to a system, operation by operation. The system itself is not changed.

    Parameters
    ----------
    system : System
        Where the stream starts; a copy of it runs.
    ops : ndarray of ``op_dtype``, shape (n,)
        At most 100,000 operations.
    memcg : int, optional
        The cgroup to watch; by default the one the first charge names.

    Returns
    -------
    pandas.DataFrame
        n + 1 rows, the first before any operation. In pages: ``usage`` (``memory.current`` of the cgroup), ``sock``
        (MEMCG_SOCK of it and the cgroups below it), ``in_stocks`` (in all CPUs' stocks), ``fullest`` (in the fullest
        slot of a stock). ``atomics``: on counters, from the start of the stream. The index is the operation's number.

    Raises
    ------
    ValueError
        If the stream is not allowed, or the cgroup does not exist.

    Examples
    --------
    >>> from memcg_lab import System, pingpong
    >>> run = record(System.chain(depth=2, cpus=1), pingpong(2, memcg=2))
    >>> print(run.to_string(index_names=False))
       usage  sock  in_stocks  fullest  atomics
    0      0     0          0        0        0
    1     32     1         31       31        3
    2     32     0         32       32        3
    3     32     1         31       31        3
    4     32     0         32       32        3
    """
    import pandas as pd

    if not hasattr(system, "step_through"):
        raise ValueError(f"system is {kind(system)}; it must be a System.")
    history = History(system.copy(), ops)
    tree = len(system.parents)
    if memcg is None:
        named = ops["memcg"][ops["op"] <= CANCEL_CHARGE]
        memcg = int(named[0]) if named.size else tree - 1
    memcg = whole_number("memcg", memcg, 0, tree - 1)
    subtree = [m for m in range(tree) if memcg in path(system.parents, m)]
    table = pd.DataFrame(
        {
            "usage": history.usage[:, memcg],
            "sock": history.sock[:, subtree].sum(axis=1),
            "in_stocks": history.stock_pages.sum(axis=(1, 2)),
            "fullest": history.stock_pages.max(axis=(1, 2)),
            "atomics": history.total,
        },
        index=pd.RangeIndex(len(ops) + 1, name="operation"),
    )
    table.attrs = {"memcg": memcg, "cpus": system.cpus, "policy": system.policy.name, "batch": system.policy.batch}
    return table


def path(parents, memcg):
    """The cgroup and all above it, up to the top."""
    levels = []
    while memcg >= 0:
        levels.append(memcg)
        memcg = parents[memcg]
    return levels
