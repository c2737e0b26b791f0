"""Traces of real kernels, followed event by event by the mechanism's own rules.

A trace says when a charge begins and whether a counter took it. The rules say the rest: what the stock holds whenever
it is looked at, each charge to a counter with its size, and each drain with its size. The rules carry their own state
from the first event to the last; they are set right only after they were wrong.
"""

import hashlib
import pathlib
from collections import deque, namedtuple
from dataclasses import dataclass, field

import numpy as np

from .. import _jit
from ..checks import whole_number
from ..mechanism.policy import BATCH_MAX, POLICIES, Policy
from ..mechanism.records import DRAIN_LOCAL_CALL
from ..mechanism.steps import STEP_DRAIN, STEP_DRAIN_OWNER, step_dtype
from ..mechanism.stock_v4_13 import refill_stock
from ..mechanism.stock_v4_14 import refill_stock_capped
from ..mechanism.stock_v6_1 import refill_stock_v6_1, refill_stock_v6_1_capped
from ..system import System
from .text import read_rows

CONSUME, REFILL, DRAIN = range(3)
SEEN = {"cons": CONSUME, "refill": REFILL, "drain": DRAIN}  # events that show the stock of a CPU
DRAINS = 2  # most drains of one refill: another cgroup's pages, then the new ones by the cap
IN_USE = 1 << 40  # pages each counter holds when the trace begins, so that nothing goes below zero
PROGRESS = 200_000  # rows from which a progress bar is shown

# Bundled recordings that a right model gets wrong somewhere, by the first digits of the file's sha256.
KNOWN = {
    "03995405a83ee785": (  # t61e
        "a probe that an interrupt met again was missed, so a refill is not in the trace. Every recording with such a "
        "mismatch had missed probe hits (kprobe_profile), none without them had one"
    ),
}

Finding = namedtuple("Finding", "line kind text")

uncapped = {
    refill_stock_capped: refill_stock,
    refill_stock_v6_1_capped: refill_stock_v6_1,
}


@dataclass
class Verdict:
    """How far a policy predicts a trace.

    Attributes
    ----------
    events : int
        What could be predicted: each look at a stock but the first of a CPU, each charge to a counter, each drain.
    predicted : int
        How many of them were.
    findings : list of Finding
        The others, by line of the trace: ``wrong``, ``missing`` (predicted, but not in the trace), ``extra``.
    """

    policy: Policy
    events: int = 0
    predicted: int = 0
    findings: list = field(default_factory=list)

    def count(self, kind):
        """How many findings are of one kind."""
        return sum(finding.kind == kind for finding in self.findings)

    @property
    def exact(self):
        """True if everything was predicted and nothing else."""
        return not self.findings

    def __str__(self):
        counts = (f"{kind} {self.count(kind)}" for kind in ("wrong", "missing", "extra"))
        return f"events {self.events} predicted {self.predicted} {' '.join(counts)}"


def trace_policy(name, batch=None, cap=True):
    """A policy by name, with another batch or without the cap.

    Parameters
    ----------
    name : str
        One of ``memcg_lab.POLICIES``.
    batch : int, optional
        Pages.
    cap : bool
        False takes the first hunk of 475d048 away.

    Returns
    -------
    Policy

    Raises
    ------
    ValueError
        If there is no such policy, or the batch is out of range.

    Examples
    --------
    >>> trace_policy("v6.1", cap=False)
    Policy('v6.1, no cap', batch 64, 1 slot, refill_stock_v6_1, uncharge_to_stock)
    """
    if name not in POLICIES:
        raise ValueError(f'policy "{name}" does not exist; there are {", ".join(POLICIES)}.')
    policy = POLICIES[name]
    if batch is not None and whole_number("batch", batch, 1, BATCH_MAX) != policy.batch:
        policy = policy.with_rules(f"{policy.name}, batch {batch}", batch=batch)
    if not cap and policy.refill in uncapped:
        policy = policy.with_rules(f"{policy.name}, no cap", refill=uncapped[policy.refill])
    return policy


def check_trace(rows, policy):
    """Follow a trace with a policy's rules.

    Parameters
    ----------
    rows : list of Row
        From :func:`memcg_lab.traces.text.read_rows`.
    policy : Policy
        With one slot.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        If the trace shows no stock, so that nothing can be predicted, or the policy has more than one slot.

    Notes
    -----
    Kernel: ``consume_stock``, ``refill_stock``, ``drain_stock`` and ``try_charge_memcg``. Input are the entries of
    ``try_charge``, give-backs that other users put into the stock, drain work, and which charges a counter refused.

    Examples
    --------
    >>> from memcg_lab import V6_1, data_path
    >>> print(check_trace(read_rows(data_path("kernel_traces/ab_post.csv.xz")), V6_1))
    events 3878 predicted 3878 wrong 0 missing 0 extra 0
    """
    if policy.slots != 1:
        raise ValueError(f"{policy.name} has {policy.slots} slots; a trace shows one.")
    shown = [k for k, row in enumerate(rows) if row.ev in SEEN and row.avail >= 0]
    if not shown:
        raise ValueError("this trace shows no stock (no cons, refill or drain with avail); trace what-if can use it.")
    verdict = Verdict(policy)
    follower = _Follower(rows, policy, verdict, _follow(rows, shown, policy))
    sequence = enumerate(rows)
    if len(rows) > PROGRESS:
        from tqdm import tqdm

        sequence = tqdm(sequence, total=len(rows), unit=" events", disable=None)
    for k, row in sequence:
        follower.see(k, row)
    follower.end()
    verdict.findings.sort(key=lambda finding: finding.line)
    return verdict


def check_files(paths, policy, batch=None, cap=True, kallsyms=None):
    """Check trace files against a policy and print each finding; the last line counts them.

    Parameters
    ----------
    paths : sequence of path
    policy : str
        Name of one of ``memcg_lab.POLICIES``.
    batch : int, optional
    cap : bool
    kallsyms : path, optional
        Names of callers, for raw text.

    Returns
    -------
    int
        Exit status: 0 if every event of every file was predicted and nothing else.

    Raises
    ------
    ValueError
        If a file is no trace, or the policy does not exist.
    """
    chosen = trace_policy(policy, batch, cap)
    status = 0
    for path in paths:
        rows = read_rows(path, kallsyms)
        verdict = check_trace(rows, chosen)
        for finding in verdict.findings:
            print(f"{path}, line {finding.line}: {finding.kind}: {finding.text}")
        if not verdict.exact:
            status = 1
            if digest(path) in KNOWN:
                print(f"{path}: a known exception; likely cause: {KNOWN[digest(path)]}.")
        print(f"{path}: {verdict}" if len(paths) > 1 else verdict)
    return status


def digest(path):
    """The first digits of a file's sha256."""
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def walk_trace(rows, policy):
    """What a policy says after each row of a trace, for those who want to look.

    Returns
    -------
    stock : ndarray of int64, shape (rows, cpus)
        Pages in each CPU's stock after the row; -1 until it was seen. Pages on their way from a stock to the counter
        are still in it until the row that gives them back.
    counter : ndarray of int64, shape (rows,)
        Pages charged to the counters minus pages given back, since the recording began.
    said : list of (memcg, pages) or None
        What the stock of the row's CPU was predicted to hold, for rows that show it.
    """
    shown = [k for k, row in enumerate(rows) if row.ev in SEEN and row.avail >= 0]
    followed = _follow(rows, shown, policy) if shown else {}
    stock = np.full((len(rows), max(row.cpu for row in rows) + 1), -1, np.int64)
    counter, said = np.zeros(len(rows), np.int64), []
    pages, leaving, charged, last = stock[0].copy(), [0] * stock.shape[1], 0, {}
    for k, row in enumerate(rows):
        answer = followed.get(k)
        said.append(None if answer is None or answer[0][0] == -2 else (max(int(answer[0][0]), 0), int(answer[0][1])))
        if answer is not None:
            leaving[row.cpu] = sum(int(drained) for _, drained in answer[2] if drained > 0)
            pages[row.cpu] = answer[3][1] + leaving[row.cpu]
        if row.ev == "pctry":
            charged, last[row.pid] = charged + row.nr, row.nr
        elif row.ev == "pctryfail":
            charged -= last.pop(row.pid, 0)
        elif row.ev == "pcunc":
            charged -= row.nr
            if row.cause == "stock":
                pages[row.cpu] -= leaving[row.cpu]
                leaving[row.cpu] = 0
        elif row.ev == "pcchg":
            charged += row.nr
        stock[k], counter[k] = pages, charged
    return stock, counter, said


# --- the rules, compiled ---------------------------------------------------------------------------------------------
def _bind_follow(policy):
    consume, refill, drain = (_jit.inline(rule) for rule in (policy.consume, policy.refill, policy.drain))

    def follow(st, batch, kind, cpu, memcg, nr, cached, avail, known, said, hit, drained, left):
        """Replay what touches the stocks; the state before each event, whether it hit, and what it drained.

        A stock that was never seen is taken as it is shown; one that is not as predicted is set right.
        """
        for k in range(kind.size):
            c = cpu[k]
            stock = st.stock[c, 0]
            if not known[c]:
                known[c] = True
                said[k, 0] = -2  # nothing was predicted
            else:
                said[k, 0] = stock.memcg
                said[k, 1] = stock.nr_pages
            stock.memcg = cached[k]
            stock.nr_pages = avail[k]
            st.log[0].before = 0
            if kind[k] == CONSUME:
                hit[k] = consume(st, batch, c, memcg[k], nr[k])
            elif kind[k] == REFILL:
                refill(st, batch, drain, c, memcg[k], nr[k])
            else:
                drain(st, c, 0, DRAIN_LOCAL_CALL)
            left[k, 0] = stock.memcg
            left[k, 1] = stock.nr_pages
            found = 0
            pages = 0
            for row in range(1, st.log[0].before + 1):
                step = st.log[row]
                if step.step == STEP_DRAIN:
                    pages = step.before
                elif step.step == STEP_DRAIN_OWNER and pages > 0:
                    drained[k, found, 0] = step.before
                    drained[k, found, 1] = pages
                    pages = 0
                    found += 1

    return _jit.kernel("the rules to follow a trace")(follow)


def _follow(rows, shown, policy):
    """(state said before, hit, drained, state after) of each row that shows a stock, by its number in the trace."""
    column = {name: np.array([getattr(rows[k], name) for k in shown], np.int64) for name in _COLUMNS}
    memcgs = max(max(row.memcg, row.cached) for row in rows)
    cpus = max(row.cpu for row in rows) + 1
    system = System([-1] * (max(memcgs, 0) + 1), cpus=cpus, policy=policy, root=0)
    state = system.mechanism_state(np.zeros(64, step_dtype))
    state.counter["count"][:] = IN_USE
    n = len(shown)
    said, hit = np.zeros((n, 2), np.int64), np.zeros(n, np.bool_)
    drained = np.zeros((n, DRAINS + 1, 2), np.int64)
    kind = np.array([SEEN[rows[k].ev] for k in shown], np.int64)
    cached = np.where(column["cached"] <= 0, -1, column["cached"])
    arguments = (state, policy.batch, kind, column["cpu"], column["memcg"], column["nr"], cached, column["avail"])
    left = np.zeros((n, 2), np.int64)
    arguments += (np.zeros(cpus, np.bool_), said, hit, drained, left)
    kernel = _bound(policy.consume, policy.refill, policy.drain)
    kernel(*arguments)
    return {k: (said[i], bool(hit[i]), drained[i], left[i]) for i, k in enumerate(shown)}


_COLUMNS = ("cpu", "memcg", "nr", "cached", "avail")
_kernels = {}


def _bound(consume, refill, drain):
    key = consume, refill, drain
    if key not in _kernels:
        _kernels[key] = _bind_follow(Policy("follow", consume=consume, refill=refill, drain=drain))
    return _kernels[key]


# --- who waits for what ----------------------------------------------------------------------------------------------
LOOK, COUNT, TRIED = range(3)
NESTED = 8  # charges of one task that may be under way at once: interrupts nest a few deep


@dataclass
class _Charge:
    """A charge under way: what it asks for, and what must come next."""

    line: int
    memcg: int
    nr: int
    batch: int
    stage: int = LOOK
    refused: bool = False  # then another attempt may come or not: that is for reclaim to decide


class _Follower:
    """Matches what the rules say with what the trace shows, charge by charge.

    Charges of one task nest, because an interrupt may charge in the middle of another charge; so each task has a stack
    of them. A task may go on on another CPU; the idle task is another one on each CPU.
    """

    def __init__(self, rows, policy, verdict, followed):
        self.rows, self.batch, self.verdict, self.followed = rows, policy.batch, verdict, followed
        self.charges = {}  # task -> stack of charges
        self.drains = {}  # cpu -> drains that must come next: (memcg, pages, line)

    def see(self, k, row):
        handler = _HANDLERS.get(row.ev)
        if handler is not None:
            handler(self, k, row)

    # --- one event ----------------------------------------------------------------------------------------------------
    def try_charge(self, k, row):
        stack = self.stack(row)
        self.settle(stack)
        charge = _Charge(row.line, row.memcg, row.nr, max(self.batch, row.nr))
        if row.nr > self.batch:  # such a charge does not look into the stock
            charge.stage = COUNT
        stack.append(charge)

    def consume(self, k, row):
        if k not in self.followed:
            return
        self.compare(k, row)
        charge = self.find(row, LOOK)
        if self.followed[k][1]:
            if charge is not None:
                self.stack(row).remove(charge)
        elif charge is not None:
            charge.stage = COUNT
        else:
            self.stack(row).append(_Charge(row.line, row.memcg, row.nr, max(self.batch, row.nr), COUNT))

    def refill(self, k, row):
        if row.cause == "surplus":
            charge = next(
                (c for c in reversed(self.stack(row)) if c.stage == TRIED and c.memcg == row.memcg and c.batch > c.nr),
                None,
            )
            if charge is None:
                self.find_extra(row, f"the rest of a batch, {row.nr} pages of memcg {row.memcg}, goes into the stock")
            else:
                self.stack(row).remove(charge)
                if charge.batch - charge.nr != row.nr:
                    self.wrong(row, f"{row.nr} pages are left of a batch, not {charge.batch - charge.nr}")
        if k in self.followed:
            self.expect_no_drain(row.cpu)
            self.compare(k, row)
            self.expect_drains(k, row)

    def drain(self, k, row):
        if k in self.followed:
            self.expect_no_drain(row.cpu)
            self.compare(k, row)
            self.expect_drains(k, row)

    def page_counter_try_charge(self, k, row):
        self.verdict.events += 1
        stack = self.stack(row)
        charge = next((c for c in reversed(stack) if c.stage == COUNT and c.memcg == row.memcg), None)
        if charge is None:  # a task whose charge went on after a refusal without another look
            charge = next((c for c in reversed(stack) if c.stage == LOOK and c.memcg == row.memcg), None)
            if charge is None or charge.nr <= self.batch:
                self.verdict.events -= 1
                self.find_extra(row, f"{row.nr} pages are charged to the counter of memcg {row.memcg}")
                return
        if charge.batch == row.nr:
            self.verdict.predicted += 1
        else:
            self.wrong(row, f"{row.nr} pages are charged to the counter of memcg {row.memcg}, not {charge.batch}")
            charge.batch = row.nr
        charge.stage = TRIED

    def refused(self, k, row):
        """The counter took nothing: the exact size is tried next, after another look into the stock."""
        charge = next((c for c in reversed(self.stack(row)) if c.stage == TRIED), None)
        if charge is None:
            self.find_extra(row, "a counter refuses a charge that nobody tried")
            return
        charge.batch, charge.refused = charge.nr, True
        charge.stage = COUNT if charge.nr > self.batch else LOOK

    def page_counter_uncharge(self, k, row):
        if row.cause != "stock":
            return
        waiting = self.drains.get(row.cpu)
        if not waiting:
            self.find_extra(row, f"{row.nr} pages of memcg {row.memcg} are drained")
            return
        memcg, pages, _ = waiting.popleft()
        self.verdict.events += 1
        if (memcg, pages) == (row.memcg, row.nr):
            self.verdict.predicted += 1
        else:
            self.wrong(row, f"{row.nr} pages of memcg {row.memcg} are drained, not {pages} of memcg {memcg}")

    # --- helpers ------------------------------------------------------------------------------------------------------
    def stack(self, row):
        return self.charges.setdefault((row.pid, row.cpu if row.pid == 0 else -1), [])

    def find(self, row, stage):
        """The innermost charge of this task that waits in a stage with these pages."""
        same = (c for c in reversed(self.stack(row)) if c.stage == stage and (c.memcg, c.nr) == (row.memcg, row.nr))
        return next(same, None)

    def compare(self, k, row):
        memcg, pages = (int(value) for value in self.followed[k][0])
        if memcg == -2:
            return
        self.verdict.events += 1
        said = (max(memcg, 0), pages)
        if said == (max(row.cached, 0), row.avail):
            self.verdict.predicted += 1
        else:
            shown = f"{row.avail} pages of memcg {row.cached}"
            self.wrong(row, f"the stock of CPU {row.cpu} holds {shown}, not {said[1]} of memcg {said[0]}")

    def expect_drains(self, k, row):
        waiting = self.drains.setdefault(row.cpu, deque())
        for memcg, pages in self.followed[k][2]:
            if pages:
                waiting.append((int(memcg), int(pages), row.line))

    def expect_no_drain(self, cpu):
        """A drain follows at once; what did not come before the stock is touched again is missing."""
        waiting = self.drains.get(cpu)
        while waiting:
            memcg, pages, line = waiting.popleft()
            self.missing(line, f"a drain of {pages} pages of memcg {memcg} on CPU {cpu}")

    def settle(self, stack):
        """Charges that must not go on, because they were served or gave up, leave the stack in the end."""
        over = [c for c in stack if not self.must_go_on(c)]
        for charge in over[:-NESTED]:
            stack.remove(charge)

    @staticmethod
    def must_go_on(charge):
        if charge.stage == COUNT:
            return not charge.refused
        return charge.stage == TRIED and charge.batch > charge.nr

    def wrong(self, row, text):
        self.verdict.findings.append(Finding(row.line, "wrong", text))

    def missing(self, line, text):
        self.verdict.findings.append(Finding(line, "missing", text))

    def find_extra(self, row, text):
        self.verdict.findings.append(Finding(row.line, "extra", text))

    def end(self):
        """What was predicted and never came, unless the recording ended first."""
        for cpu in self.drains:
            self.expect_no_drain(cpu)
        for stack in self.charges.values():
            for charge in filter(self.must_go_on, stack):
                if charge.stage == COUNT:
                    self.missing(
                        charge.line, f"a charge of {charge.batch} pages to the counter of memcg {charge.memcg}"
                    )
                else:
                    rest = charge.batch - charge.nr
                    self.missing(charge.line, f"the rest of a batch, {rest} pages of memcg {charge.memcg}")


_HANDLERS = {
    "try": _Follower.try_charge,
    "cons": _Follower.consume,
    "refill": _Follower.refill,
    "drain": _Follower.drain,
    "pctry": _Follower.page_counter_try_charge,
    "pctryfail": _Follower.refused,
    "pcunc": _Follower.page_counter_uncharge,
}
