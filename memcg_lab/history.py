"""Every state a stream passes through, made ready so that a lab can go to any operation at once."""

from collections import namedtuple

import numpy as np

from .mechanism.records import OPS
from .mechanism.steps import (
    COUNTER_ATOMIC,
    STEP_CANCEL,
    STEP_CONSUME_HIT,
    STEP_CSS_GET,
    STEP_CSS_PUT,
    STEP_DRAIN,
    STEP_DRAIN_OWNER,
    STEP_FAILCNT,
    STEP_REFILL,
    STEP_REFILL_OWNER,
    STEP_SOCK_ADD,
    STEP_SOCK_SUB,
    STEPS,
)

# The changed lines of 475d048, as data/patch has them (without the indentation), and the hunk each stands in.
PATCH_LINES = (
    "+if (stock->nr_pages > CHARGE_BATCH)",
    "+drain_stock(stock);",
    "-page_counter_uncharge(&memcg->memory, nr_pages);",
    "-css_put_many(&memcg->css, nr_pages);",
    "+refill_stock(memcg, nr_pages);",
)
CAP_TEST, CAP_DRAIN, OLD_UNCHARGE, OLD_PUT, NEW_REFILL = range(len(PATCH_LINES))

# By cgroup: usage, references, MEMCG_SOCK, watermark (pages) and failures; by CPU: (memcg, pages) in the stock.
State = namedtuple("State", "usage css sock stock watermark failcnt")

_STOCK = {STEP_CONSUME_HIT, STEP_REFILL, STEP_DRAIN}
_OWNER = {STEP_REFILL_OWNER, STEP_DRAIN_OWNER}
_CSS = {STEP_CSS_GET, STEP_CSS_PUT}
_SOCK = {STEP_SOCK_ADD, STEP_SOCK_SUB}
_WATERMARK = {code for code, step in enumerate(STEPS) if step.what == "watermark of"}
_COUNT = {code for code, step in enumerate(STEPS) if step.what == "count of"}


class History:
    """What a stream does to a new system: the steps of each operation and the state after it.

    Parameters
    ----------
    system : System
        It is run to the end of the stream.
    ops : ndarray of ``op_dtype``

    Attributes
    ----------
    states : list of State
        The first is before any operation.
    atomics : ndarray
        Atomics on counters of each operation.
    total : ndarray
        The same, summed up, with a 0 in front.

    Examples
    --------
    >>> from memcg_lab import System, pingpong
    >>> history = History(System.chain(depth=1, cpus=1), pingpong(1))
    >>> history.states[1].usage, history.states[2].stock, history.atomics
    ((32, 32), ((1, 32),), array([2, 0]))
    """

    def __init__(self, system, ops):
        memcgs = len(system.parents)
        self.policy, self.parents, self.ops = system.policy, system.parents, ops
        start = system.snapshot()
        log = system.step_through(ops)
        rows = log.rows
        self.rows = list(zip(*(rows[name].tolist() for name in rows.dtype.names), strict=True))
        edges = np.searchsorted(rows["op"], np.arange(len(ops) + 1)).tolist()
        self._edges = edges
        usage, css, sock = list(start["usage"]), list(start["css"]), list(start["sock"])
        stock, watermark, failcnt = [list(s) for s in start["stock"]], list(start["max"]), list(start["failcnt"])
        self.states = [_state(usage, css, sock, stock, watermark, failcnt)]
        for k in range(len(ops)):
            for _, _, code, where, before, after in self.rows[edges[k] : edges[k + 1]]:
                if code in _COUNT:
                    if where < memcgs:
                        usage[where] = after
                elif code in _STOCK:
                    stock[where][1] = after
                elif code in _OWNER:
                    stock[where][0] = after
                elif code in _CSS:
                    css[where] = after
                elif code in _SOCK:
                    sock[where] += after - before
                elif code in _WATERMARK and where < memcgs:
                    watermark[where] = after
                elif code == STEP_FAILCNT and where < memcgs:
                    failcnt[where] = after
            self.states.append(_state(usage, css, sock, stock, watermark, failcnt))
        atomic = rows["op"][COUNTER_ATOMIC[rows["step"]]]
        self.atomics = np.bincount(atomic, minlength=len(ops)) if len(ops) else np.zeros(0, np.int64)
        self.total = np.concatenate([[0], np.cumsum(self.atomics)])
        self.drains = [k for k in range(len(ops)) if any(row[2] == STEP_DRAIN for row in self.steps(k))]

    def __len__(self):
        return len(self.ops)

    def steps(self, k):
        """The steps of operation ``k`` (from 0): tuples (op, cpu, step, where, before, after)."""
        return self.rows[self._edges[k] : self._edges[k + 1]]

    def lines(self, k):
        """For each step of operation ``k`` the changed line of the patch it belongs to, or None.

        The test of the cap has no step of its own; see :meth:`cap_test`.
        """
        gives_back = OPS[self.ops["op"][k]] == "uncharge_skmem"
        old = gives_back and self.policy.uncharge.__name__ == "uncharge_to_counter"
        capped = self.policy.refill.__name__ == "refill_stock_capped"
        lines, filled = [], False
        for _, _, code, _, _, _ in self.steps(k):
            line = None
            if old:
                line = {STEP_CANCEL: OLD_UNCHARGE, STEP_CSS_PUT: OLD_PUT}.get(code)
            elif code in (STEP_CANCEL, STEP_CSS_PUT, STEP_DRAIN, STEP_DRAIN_OWNER) and filled and capped:
                line = CAP_DRAIN
            elif gives_back and code not in _SOCK and STEPS[code].function != "return":
                line = NEW_REFILL
            filled = filled or code == STEP_REFILL
            lines.append(line)
        return lines

    def cap_test(self, k):
        """The pages the cap of hunk 1 looked at in operation ``k``, or None if it was not executed."""
        if self.policy.refill.__name__ != "refill_stock_capped":
            return None
        filled = [after for _, _, code, _, _, after in self.steps(k) if code == STEP_REFILL]
        return filled[-1] if filled else None


def _state(usage, css, sock, stock, watermark, failcnt):
    return State(
        tuple(usage), tuple(css), tuple(sock), tuple(tuple(s) for s in stock), tuple(watermark), tuple(failcnt)
    )
