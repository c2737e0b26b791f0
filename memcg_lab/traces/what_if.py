"""What if: the charges and give-backs of a recorded trace, replayed under other policies."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from ..checks import several, whole_number
from ..mechanism.records import CANCEL_CHARGE, CHARGE_SKMEM, SOFTIRQ, TASK, TRY_CHARGE, UNCHARGE_SKMEM, op_dtype
from ..system import CPUS_MAX, MEMCGS_MAX, System
from ..words import count, listing, number, printable
from .check import checked_policy, trace_policy
from .gaps import Gaps, Phantoms, without_try
from .predict import CELLS_MAX
from .rows import BLOCK_ROWS, CODES, EVENTS, Spool, Trace
from .text import notes_printed, open_trace

POINTS, FEW_POINTS = 20_000, 2_000  # up to so many operations each is looked at for the drift; of more, so many
LEVELS, LEVELS_MAX = 3, 64  # counters from the cgroup to the root: /a/b, as in the bundled recordings
# Users, what they do, the event that shows it, and causes with which other rows of the trace name it already. Kernel
# memory comes back by the policy's rule, as from v5.11 on.
KINDS = (
    ("sockets charge", CHARGE_SKMEM, "chg", ()),
    ("sockets give back", UNCHARGE_SKMEM, "unc", ()),
    ("others charge", TRY_CHARGE, "try", ("skmem",)),
    ("others give back", UNCHARGE_SKMEM, "refill", ("surplus", "skmem")),
    ("others give back", CANCEL_CHARGE, "pcunc", ("stock", "mem_cgroup_uncharge_skmem")),
)
COLUMNS = ("policy", "batch", "stock_hits", "charges", "drains", "atomics", "atomics_per_op", "drift_mean", "drift_max")
stream_dtype = np.dtype([("op", op_dtype), ("t_us", np.int64)])

WhatIf = namedtuple("WhatIf", "table drift")
WhatIf.__doc__ = "What :func:`what_if` found: a table with one row a policy, and pages in stocks over time."


@dataclass(frozen=True)
class Users:
    """Who charges and gives back in a trace.

    Attributes
    ----------
    ops : ndarray of ``op_dtype``
        The operations, in the order of the trace.
    t_us : ndarray of int64
        When each began.
    counts : dict of str to int
        Operations by kind of user.
    """

    ops: np.ndarray
    t_us: np.ndarray
    counts: dict


def trace_ops(rows):
    """The charges and give-backs of a trace as an op stream.

    Parameters
    ----------
    rows : list of Row or Trace

    Returns
    -------
    Users

    Raises
    ------
    ValueError
        If there are none, or a charge or a give-back cannot be what the kernel did; see Notes.

    Notes
    -----
    Sockets come from their own entries. Other users are taken from the entry of ``try_charge``, from give-backs into
    the stock (kernel memory), and from direct give-backs to the counters (page uncharges). A charge of a cgroup that
    the trace shows as refused is replayed as if it fitted. CPUs and cgroups are numbered anew: from 0, and from 1.

    A charge of a socket without its entry into ``try_charge`` is refused, because a line is missing. So is a give-back
    of an unknown user that is the rest of a batch: older scripts took it for one if an interrupt charged in between.
    """
    with Spool(stream_dtype) as spool:
        stream = _stream(rows, spool)
        ops = spool.read(0, spool.size)
    return Users(ops["op"].copy(), ops["t_us"].copy(), stream.counts)


class _Stream:
    """What the op stream of a trace needs to be known of it."""

    def __init__(self):
        self.counts = dict.fromkeys((who for who, *_ in KINDS), 0)
        self.cpus, self.memcgs, self.levels = {}, {}, {}

    def append(self, block, causes, spool):
        """Add the operations of a block."""
        for row in block[block["ev"] == CODES["cgroup"]]:
            if not 0 <= row["nr"] < LEVELS_MAX:
                raise ValueError(f"line {row['line']}: level {row['nr']:,}; it must be 0 to {LEVELS_MAX - 1}.")
            self.levels[int(row["memcg"])] = int(row["nr"])
        ev, cause = block["ev"], block["cause"]
        kind = np.full(block.size, -1)
        for k, (_, _, event, skipped) in enumerate(KINDS):
            no = [place for place, name in enumerate(causes) if name in skipped]
            kind[(ev == CODES[event]) & ~np.isin(cause, no)] = k
        chosen = np.flatnonzero(kind >= 0)
        block, kind = block[chosen], kind[chosen]
        for row in block[(block["nr"] < 1) | (block["memcg"] < 1)][:1]:
            what = f"{list(EVENTS)[row['ev']]}): {row['nr']} pages of memcg {row['memcg']}"
            raise ValueError(f"line {row['line']} ({what}; both must be 1 or more.")
        ops = np.zeros(block.size, stream_dtype)
        for k, (who, code, *_) in enumerate(KINDS):
            ops["op"]["op"][kind == k] = code
            self.counts[who] += int((kind == k).sum())
        ops["t_us"], ops["op"]["nr"] = block["t_us"], block["nr"]
        ops["op"]["ctx"] = np.where(block["softirq"] > 0, SOFTIRQ, TASK)
        ops["op"]["cpu"] = self._dense(self.cpus, block, "cpu", CPUS_MAX, 0)
        ops["op"]["memcg"] = self._dense(self.memcgs, block, "memcg", MEMCGS_MAX - 1, 1)
        if len(self.cpus) * len(self.memcgs) > CELLS_MAX:
            told = f"{len(self.cpus):,} CPUs and {len(self.memcgs):,} cgroups until here"
            raise ValueError(f"line {block['line'][-1]}: {told}; their product may be {CELLS_MAX:,}.")
        spool.append(ops)

    @staticmethod
    def _dense(numbers, block, name, most, first):
        """Numbers in the order of their values within a block, and of the blocks."""
        values, place, which = np.unique(block[name], return_index=True, return_inverse=True)
        for value, k in zip(values.tolist(), place.tolist()):
            if value not in numbers:
                if len(numbers) >= most:
                    raise ValueError(
                        f"line {block['line'][k]}: {name} {value:,} is one too many; there may be {most:,}."
                    )
                numbers[value] = first + len(numbers)
        return np.array([numbers[value] for value in values.tolist()], np.int64)[which]


def _stream(rows, spool):
    """The operations of a trace into a spool."""
    trace, stream, gaps, phantoms = Trace.of(rows), _Stream(), Gaps(), Phantoms()
    for block in trace.blocks:
        gaps.see(block)
        phantoms.see(block, trace.causes)
        stream.append(block, trace.causes, spool)
    if not spool.size:
        raise ValueError("this trace has no charges and no give-backs (chg, unc, try, refill).")
    for charge in gaps.found()[:1]:
        raise ValueError(
            f"line {charge[0]}: {without_try(charge)} is not in the trace: a line was lost, or a probe was missed; a "
            "trace with a gap says nothing."
        )
    return stream


def what_if(rows, policies, *, levels=None):
    """Replay a trace's charges and give-backs under several policies.

    Parameters
    ----------
    rows : list of Row or Trace
    policies : sequence of Policy
    levels : int, optional
        Counters from the cgroup to the root, both included, of every cgroup; each costs one atomic. Without it what
        the trace says of each cgroup (``cgroup`` rows), and 3 where it says nothing.

    Returns
    -------
    WhatIf
        table : DataFrame
            One row a policy: batch; stock_hits (percent of the charges); charges and drains at the counters (calls of
            ``page_counter_try_charge`` and of ``page_counter_uncharge``); atomics (calls times levels);
            atomics_per_op; drift_mean and drift_max (pages in stocks, all slots of all CPUs, over the operations; of
            a trace with more than 20,000 of them 2,000 are looked at, evenly spread).
        drift : DataFrame
            Pages in stocks over time: index ``t_ms``, a column a policy.

    Raises
    ------
    ValueError
        As :func:`trace_ops`, or if a number is out of range, no policy is given, or two have one name.

    Notes
    -----
    The order of the trace is kept, so what a policy would change about time is not seen. No limit is set.

    Examples
    --------
    >>> from memcg_lab import V4_13, V6_1, data_path
    >>> from memcg_lab.traces.text import read_rows
    >>> table, drift = what_if(read_rows(data_path("kernel_traces/t61b.csv.xz")), [V4_13, V6_1])
    >>> table[["policy", "charges", "drains"]].to_string(index=False).splitlines()[2].split()
    ['v6.1', '623', '522']
    """
    if levels is not None:
        levels = whole_number("levels", levels, 1, LEVELS_MAX)
    with Spool(stream_dtype) as spool:
        return _frames(*_replayed(spool, _stream(rows, spool), policies, levels)[:2])


def _frames(table, drift):
    """The `WhatIf` of a table's rows and of pages by time."""
    import pandas as pd

    times, pages = drift
    return WhatIf(pd.DataFrame(table, columns=COLUMNS), pd.DataFrame(pages, index=pd.Index(times, name="t_ms")))


def _replayed(spool, stream, policies, levels):
    """Rows of the table, times and pages in stocks, and pages given back beyond what was charged in the trace."""
    names = [checked_policy(policy).name for policy in several("policies", policies)]
    if not names:
        raise ValueError("policies is empty; give at least one.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two policies are called {printable(twice[0])}; give each once.")
    deep = [0] + [levels or stream.levels.get(memcg, LEVELS - 1) + 1 for memcg in stream.memcgs]
    points = POINTS if spool.size <= POINTS else FEW_POINTS
    cuts = np.unique(np.linspace(0, spool.size, min(points, spool.size) + 1).astype(int))
    asked = sum(count for who, count in stream.counts.items() if who.endswith("charge"))
    table, drift, t_us, before = [], {}, [0], 0
    for policy in policies:
        # One counter below the root, so that calls can be counted; what was charged before the trace may come back.
        system = System.siblings(len(stream.memcgs), cpus=len(stream.cpus), policy=policy, underflow="record")
        pages, times, kept, begins = [0], [0], None, 0
        for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist()):
            if kept is None or end > begins + kept.size:
                begins, kept = begin, spool.read(begin, max(end, min(begin + BLOCK_ROWS, spool.size)))
            part = kept[begin - begins : end - begins]
            system.replay(np.ascontiguousarray(part["op"]))
            pages.append(int(system.mechanism_state().stock["nr_pages"].sum()))
            times.append(int(part["t_us"][-1]))
        work, by_memcg = system.work(), system.atomics_by_memcg()
        charges, drains = work.add // 2, work.sub // 2
        hits = 100 * work.stock_hits / asked if asked else 0.0
        atomics = int((by_memcg * deep).sum())
        table.append(
            (
                policy.name,
                policy.batch,
                hits,
                charges,
                drains,
                atomics,
                atomics / spool.size,
                float(np.mean(pages)),
                max(pages),
            )
        )
        drift[policy.name], t_us = pages, times
        held = system.mechanism_state().memcg
        before = max(before, -int(np.minimum(held["sock_held"] + held["held"], 0).sum()))
    return table, ([0.0, *(t / 1000 for t in t_us[1:])], drift), before


def chosen_policies(names, batches=()):
    """The policies of a command line: each name with each batch.

    Parameters
    ----------
    names : str
        Names of ``memcg_lab.POLICIES``, separated by commas.
    batches : sequence of int, optional
        Pages.

    Returns
    -------
    list of Policy

    Raises
    ------
    ValueError
        If no policy is named, one does not exist, or a batch is out of range.

    Examples
    --------
    >>> [policy.name for policy in chosen_policies("v4.13,v6.1", [32])]
    ['v4.13', 'v6.1, batch 32']
    """
    policies = []
    for name in filter(None, (name.strip() for name in names.split(","))):
        policies += [trace_policy(name, batch) for batch in batches] if batches else [trace_policy(name)]
    if not policies:
        raise ValueError("no policy is named; give some, such as v4.13,v4.14,v6.1.")
    return policies


def print_what_if(path, names, batches=(), levels=None, kallsyms=None):
    """Read a trace, replay it under several policies and print the table.

    Parameters
    ----------
    path : path
    names, batches
        For :func:`chosen_policies`.
    levels : int, optional
        As for :func:`what_if`.
    kallsyms : path, optional
        Names of callers, for raw text.

    Returns
    -------
    callable
        Makes the `WhatIf` that was printed; printing needs no pandas, which takes longer to load than most traces.

    Raises
    ------
    ValueError
        If the file is no trace, or an argument is out of range.
    """
    policies, name = chosen_policies(names, batches), printable(path)
    if levels is not None:
        levels = whole_number("levels", levels, 1, LEVELS_MAX)
    with Spool(stream_dtype) as spool:
        try:
            with notes_printed():
                stream = _stream(open_trace(path, kallsyms), spool)
        except ValueError as error:
            raise error if str(error).startswith(name) else ValueError(f"{name}, {error}") from None
        table, drift, before = _replayed(spool, stream, policies, levels)
        size = spool.size
    told = ", ".join(f"{who} {count:,}" for who, count in stream.counts.items())
    seconds = number(drift[0][-1] / 1000)
    print(f"{count(size, 'operation')} on {count(len(stream.cpus), 'CPU')} in {seconds} s ({told})")
    decimals = {"stock_hits": 1, "atomics_per_op": 3, "drift_mean": 1}
    shown = [["hits_%" if name == "stock_hits" else name for name in COLUMNS]]
    for row in table:
        cells = zip(COLUMNS, row, strict=True)
        shown.append([f"{value:.{decimals[name]}f}" if name in decimals else str(value) for name, value in cells])
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
    if before:
        print(f"{before:,} pages more were given back than the trace shows charged: they were charged before it began.")
    print(f"Atomics: {_depth(stream, levels)}. Drift: pages in stocks.")
    print("Not in atomics: protection, memory_allocated, refused attempts.")
    print("Kernel memory comes back by each policy's rule.")
    print("What a trace cannot tell: how policies change the timing.")
    return lambda: _frames(table, drift)


def _depth(stream, levels):
    """How many counters each charge meets, in words."""
    if levels is not None:
        return count(levels, "level")
    known = sorted({stream.levels[memcg] + 1 for memcg in stream.memcgs if memcg in stream.levels})
    words = f"{listing(known)} levels, as the trace says" if known else ""
    if unknown := sum(memcg not in stream.levels for memcg in stream.memcgs):
        other = f"{LEVELS} levels (--levels says others)"
        return f"{words}; {other} for {count(unknown, 'cgroup')} it says nothing of" if words else other
    return words
