"""Traces of real kernels, followed event by event by the mechanism's own rules.

A trace says when a charge begins and whether a counter took it. The rules say the rest: what the stock holds whenever
it is looked at, each charge to a counter with its size, and each drain with its size. The rules carry their own state
from the first event to the last; they are set right only after they were wrong.
"""

import hashlib
from collections import Counter, deque, namedtuple
from dataclasses import dataclass, field

import numpy as np

from ..checks import flag, shown, whole_number
from ..mechanism.policy import BATCH_MAX, POLICIES, Policy
from ..words import printable
from .gaps import Gaps, without_try
from .predict import CELLS_MAX, RULES, Follower, Numbers, predictions
from .rows import CODES, Spool, Trace, row_dtype
from .text import notes_printed, open_trace

# Bundled recordings that a right model gets wrong somewhere, by the first digits of the file's sha256.
KNOWN = {
    "03995405a83ee785": (  # t61e
        "a probe that an interrupt met again was missed, so a refill is not in the trace. Every recording with such a "
        "mismatch had missed probe hits (kprobe_profile), none without them had one"
    ),
}

KEPT = 20_000  # findings

Finding = namedtuple("Finding", "line kind text")

Walk = namedtuple("Walk", "stock counter predicted")
Walk.__doc__ = "What :func:`walk_trace` found; each field has one entry a row of the trace."


@dataclass
class Verdict:
    """How far a policy predicts a trace.

    Attributes
    ----------
    policy : Policy
    events : int
        What could be predicted: each look at a slot but the first, each charge to a counter, each drain.
    predicted : int
        How many of them were.
    findings : list of Finding
        The others, by line of the trace: ``wrong``, ``missing`` (predicted, but not in the trace), ``extra``. Of more
        than 20,000 the first that were found are kept, all are counted.
    """

    policy: Policy
    events: int = 0
    predicted: int = 0
    findings: list = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)

    def add(self, line, kind, text):
        """One more finding."""
        self.counts[kind] += 1
        if len(self.findings) < KEPT:
            self.findings.append(Finding(line, kind, text))

    def count(self, kind):
        """How many findings are of one kind."""
        return self.counts[kind]

    @property
    def exact(self):
        """True if everything was predicted and nothing else."""
        return not self.counts

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
        If there is no such policy, it has no cap to be taken away, or the batch is out of range.

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
    if not flag("cap", cap):
        if policy.uncapped is None:
            raise ValueError(f"{name} has no cap that could be taken away (--no-cap).")
        policy = policy.with_rules(f"{policy.name}, no cap", refill=policy.uncapped, uncapped=None)
    return policy


def checked_policy(policy):
    """The policy, or a ValueError if it is something else, such as its name."""
    if not isinstance(policy, Policy):
        raise ValueError(f"the policy is {shown(policy)}; it must be a Policy, such as POLICIES['v6.1'].")
    return policy


def check_trace(rows, policy):
    """Follow a trace with a policy's rules.

    Parameters
    ----------
    rows : list of Row or Trace
        From :func:`memcg_lab.traces.text.read_rows`, or :func:`memcg_lab.traces.text.open_trace` for a large file.
    policy : Policy
        With several slots, a row shows the slot it names, or else that of its CPU which holds ``cached``.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        If the trace shows no stock, so that nothing can be predicted, or a rule of the policy fails.

    Notes
    -----
    Kernel: ``consume_stock``, ``refill_stock``, ``drain_stock`` and ``try_charge_memcg``. Input are the entries of
    ``try_charge``, give-backs that other users put into the stock, drain work, and which charges a counter refused.

    Examples
    --------
    >>> from memcg_lab import V6_1, data_path
    >>> from memcg_lab.traces.text import read_rows
    >>> print(check_trace(read_rows(data_path("kernel_traces/ab_post.csv.xz")), V6_1))
    events 3878 predicted 3878 wrong 0 missing 0 extra 0
    """
    trace, numbers, gaps, shown = Trace.of(rows), Numbers(), Gaps(), 0
    verdict = Verdict(checked_policy(policy))
    with Spool(row_dtype) as spool:
        for block in trace.blocks:
            numbers.see(block)
            gaps.see(block)
            shown += int((np.isin(block["ev"], list(RULES)) & (block["avail"] >= 0)).sum())
            spool.append(block)
        if not shown:
            raise ValueError(
                "this trace shows no stock (no cons, refill or drain with avail); trace what-if can use it."
            )
        follower, matcher = Follower(policy, numbers), _Matcher(policy.batch, verdict)
        for block in with_progress(spool):
            matcher.see(trace, block, follower.follow(block))
    matcher.end()
    for charge in gaps.found():
        verdict.add(charge[0], "missing", without_try(charge))
    verdict.findings.sort(key=lambda finding: finding.line)
    return verdict


def with_progress(spool):
    """The blocks of a spool, with a progress bar if there are many."""
    if spool.size <= PROGRESS:
        yield from spool.blocks()
        return
    from tqdm import tqdm

    with tqdm(total=spool.size, unit=" events", unit_scale=True, desc="following", leave=False, disable=None) as bar:
        for block in spool.blocks():
            yield block
            bar.update(block.size)


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
        name = printable(path)
        try:
            with notes_printed():
                verdict = check_trace(open_trace(path, kallsyms), chosen)
        except ValueError as error:
            raise error if str(error).startswith(name) else ValueError(f"{name}, {error}") from None
        for finding in verdict.findings:
            print(f"{name}, line {finding.line}: {finding.kind}: {finding.text}")
        if sum(verdict.counts.values()) > len(verdict.findings):
            print(f"{name}: and {sum(verdict.counts.values()) - len(verdict.findings):,} more")
        if not verdict.exact:
            status = 1
            if digest(path) in KNOWN:
                print(f"{name}: a known exception; likely cause: {KNOWN[digest(path)]}.")
        print(f"{name}: {verdict}" if len(paths) > 1 else verdict)
    return status


def digest(path):
    """The first digits of a file's sha256."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return ""


def walk_trace(rows, policy):
    """What a policy says after each row of a trace, for those who want to look.

    Parameters
    ----------
    rows : list of Row
        At least one.
    policy : Policy

    Returns
    -------
    Walk
        stock : ndarray of int64, shape (rows, cpus)
            Pages in all slots of each CPU after the row; -1 until it was seen. Pages on their way from a stock to the
            counter are still in it until the row that gives them back.
        counter : ndarray of int64, shape (rows,)
            Pages charged to the counters minus pages given back, since the recording began.
        predicted : list of Stock or None
            What the slot that the row shows was predicted to hold, memcg 0 if nothing; None for rows that show none
            and for a slot never seen before.

    Raises
    ------
    ValueError
        If there is no row, or a rule of the policy fails.

    Examples
    --------
    >>> from memcg_lab import V6_1, data_path
    >>> from memcg_lab.traces.text import read_rows
    >>> walk = walk_trace(read_rows(data_path("kernel_traces/t61b.csv.xz")), V6_1)
    >>> walk.stock[-1], walk.predicted[1]
    (array([59, 54]), None)
    """
    if not rows:
        raise ValueError("this trace has no rows.")
    cpus = 1 + max(row.cpu for row in rows)
    if len(rows) * cpus > CELLS_MAX:
        row = next(row for row in rows if row.cpu == cpus - 1)
        told = f"{len(rows):,} rows of {cpus:,} CPUs are too many to be walked"
        raise ValueError(f"line {row.line}: CPU {row.cpu:,}; {told}; rows times CPUs may be {CELLS_MAX:,}.")
    predicted = predictions(rows, policy)
    stock = np.full((len(rows), cpus), -1, np.int64)
    counter = np.zeros(len(rows), np.int64)
    pages, leaving, charged, last = stock[0].copy(), [0] * stock.shape[1], 0, {}
    for k, row in enumerate(rows):
        if k in predicted:
            leaving[row.cpu] = sum(drained.nr_pages for drained in predicted[k].drained)
            pages[row.cpu] = predicted[k].pages + leaving[row.cpu]
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
    return Walk(stock, counter, [predicted[k].stock if k in predicted else None for k in range(len(rows))])


# --- who waits for what ----------------------------------------------------------------------------------------------
LOOK, COUNT, TRIED = range(3)
PROGRESS = 200_000  # rows from which a progress bar is shown
NESTED = 8  # charges of one task that may be under way at once: interrupts nest a few deep


_Drain = namedtuple("_Drain", "line memcg pages")


@dataclass
class _Charge:
    """A charge under way: what it asks for, and what must come next."""

    line: int
    memcg: int
    nr: int
    batch: int
    stage: int = LOOK
    refused: bool = False  # then another attempt may come or not: that is for reclaim to decide


class _Matcher:
    """Matches what the rules say with what the trace shows, charge by charge.

    Charges of one task nest, because an interrupt may charge in the middle of another charge; so each task has a stack
    of them. A task may go on on another CPU; the idle task is another one on each CPU.
    """

    def __init__(self, batch, verdict):
        self.batch, self.verdict = batch, verdict
        self.charges = {}  # task -> stack of charges
        self.drains = {}  # cpu -> drains that must come next

    def see(self, trace, block, told):
        """Match the next block."""
        self.compare(block, told)
        place_of = np.full(block.size, -1)
        place_of[told.places] = np.arange(told.places.size)
        rest = np.flatnonzero(self.worth_a_look(trace, block, told, place_of))
        for k, row in zip(place_of[rest].tolist(), trace.rows(block[rest])):
            _HANDLERS[row.ev](self, row, told.prediction(k) if k >= 0 else None)

    def worth_a_look(self, trace, block, told, place_of):
        """Where something begins, goes on or ends that is not over in the next row; the rest would change nothing."""
        ev, shown = block["ev"], place_of >= 0
        worth = np.isin(ev, [CODES[name] for name in _HANDLERS])
        stock = trace.causes.index("stock") if "stock" in trace.causes else -1
        worth &= (ev != CODES["pcunc"]) | (block["cause"] == stock)
        worth &= (ev != CODES["cons"]) | shown
        # A try that the stock serves in the very next row.
        hit = np.zeros(block.size, bool)
        hit[told.places] = told.hit != 0
        over = (ev[:-1] == CODES["try"]) & (ev[1:] == CODES["cons"]) & hit[1:] & (block["nr"][:-1] <= self.batch)
        for name in ("cpu", "pid", "memcg", "nr"):
            over &= block[name][:-1] == block[name][1:]
        worth[:-1] &= ~over
        worth[1:] &= ~over
        # A refill that is not the rest of a batch, drains nothing, and comes when no drain is waited for on its CPU.
        touches = np.flatnonzero(shown & (ev != CODES["cons"]))
        touches = touches[np.argsort(block["cpu"][touches], kind="stable")]
        drains = (told.drained["nr_pages"] > 0).any(axis=1)[place_of[touches]]
        quiet = ~drains
        quiet[1:] &= ~drains[:-1] & (np.diff(block["cpu"][touches]) == 0)
        quiet[:1] = False
        surplus = trace.causes.index("surplus") if "surplus" in trace.causes else -1
        quiet &= (ev[touches] != CODES["refill"]) | (block["cause"][touches] != surplus)
        worth[touches[quiet]] = False
        return worth

    def compare(self, block, told):
        """What each row shows of the stock against what was predicted."""
        shown = block[told.places]
        right = (told.memcg == np.maximum(shown["cached"], 0)) & (told.nr_pages == shown["avail"])
        self.verdict.events += int((~told.unseen).sum())
        self.verdict.predicted += int((right & ~told.unseen).sum())
        for k in np.flatnonzero(~right & ~told.unseen).tolist():
            row = shown[k]
            holds = f"{row['avail']} pages of memcg {row['cached']}"
            text = f"the stock of CPU {row['cpu']} holds {holds}, not {told.nr_pages[k]} of memcg {told.memcg[k]}"
            self.verdict.add(int(row["line"]), "wrong", text)

    # --- one event ----------------------------------------------------------------------------------------------------
    def try_charge(self, row, told):
        stack = self.stack(row)
        self.settle(stack)
        charge = _Charge(row.line, row.memcg, row.nr, max(self.batch, row.nr))
        if row.nr > self.batch:  # such a charge does not look into the stock
            charge.stage = COUNT
        stack.append(charge)

    def consume(self, row, told):
        charge = self.find(row, LOOK)
        if told.hit:
            if charge is not None:
                self.stack(row).remove(charge)
        elif charge is not None:
            charge.stage = COUNT
        else:
            self.stack(row).append(_Charge(row.line, row.memcg, row.nr, max(self.batch, row.nr), COUNT))

    def refill(self, row, told):
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
        if told is not None:
            self.expect_no_drain(row.cpu)
            self.expect_drains(row, told)

    def drain(self, row, told):
        if told is not None:
            self.expect_no_drain(row.cpu)
            self.expect_drains(row, told)

    def page_counter_try_charge(self, row, told):
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

    def refused(self, row, told):
        """The counter took nothing: the exact size is tried next, after another look into the stock."""
        charge = next((c for c in reversed(self.stack(row)) if c.stage == TRIED), None)
        if charge is None:
            self.find_extra(row, "a counter refuses a charge that nobody tried")
            return
        charge.batch, charge.refused = charge.nr, True
        charge.stage = COUNT if charge.nr > self.batch else LOOK

    def page_counter_uncharge(self, row, told):
        waiting = self.drains.get(row.cpu)
        if not waiting:
            self.find_extra(row, f"{row.nr} pages of memcg {row.memcg} are drained")
            return
        drain = waiting.popleft()
        self.verdict.events += 1
        if (drain.memcg, drain.pages) == (row.memcg, row.nr):
            self.verdict.predicted += 1
        else:
            shown = f"{row.nr} pages of memcg {row.memcg}"
            self.wrong(row, f"{shown} are drained, not {drain.pages} of memcg {drain.memcg}")

    # --- helpers ------------------------------------------------------------------------------------------------------
    def stack(self, row):
        return self.charges.setdefault((row.pid, row.cpu if row.pid == 0 else -1), [])

    def find(self, row, stage):
        """The innermost charge of this task that waits in a stage with these pages."""
        same = (c for c in reversed(self.stack(row)) if c.stage == stage and (c.memcg, c.nr) == (row.memcg, row.nr))
        return next(same, None)

    def expect_drains(self, row, told):
        waiting = self.drains.setdefault(row.cpu, deque())
        for drained in told.drained:
            waiting.append(_Drain(row.line, drained.memcg, drained.nr_pages))

    def expect_no_drain(self, cpu):
        """A drain follows at once; what did not come before the stock is touched again is missing."""
        waiting = self.drains.get(cpu)
        while waiting:
            drain = waiting.popleft()
            self.missing(drain.line, f"a drain of {drain.pages} pages of memcg {drain.memcg} on CPU {cpu}")

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
        self.verdict.add(row.line, "wrong", text)

    def missing(self, line, text):
        self.verdict.add(line, "missing", text)

    def find_extra(self, row, text):
        self.verdict.add(row.line, "extra", text)

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
    "try": _Matcher.try_charge,
    "cons": _Matcher.consume,
    "refill": _Matcher.refill,
    "drain": _Matcher.drain,
    "pctry": _Matcher.page_counter_try_charge,
    "pctryfail": _Matcher.refused,
    "pcunc": _Matcher.page_counter_uncharge,
}
