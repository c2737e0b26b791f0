"""What if: the charges and give-backs of a recorded trace, replayed under other policies."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from ..checks import whole_number
from ..mechanism.records import CANCEL_CHARGE, CHARGE_SKMEM, SOFTIRQ, TASK, TRY_CHARGE, UNCHARGE_SKMEM, op_dtype
from ..system import CPUS_MAX, System
from .check import trace_policy
from .text import read_rows

POINTS = 20_000  # looks at the slack; a shorter trace is looked at after every operation
LEVELS = 3  # counters from the cgroup to the root: /a/b, as in the bundled recordings
OURS = ("stock", "mem_cgroup_uncharge_skmem")  # give-backs that other rows of the trace name already

WhatIf = namedtuple("WhatIf", "table slack")
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
    rows : list of Row

    Returns
    -------
    Users

    Raises
    ------
    ValueError
        If there are none.

    Notes
    -----
    Sockets come from their own entries. Other users are taken from the entry of ``try_charge``, from give-backs into
    the stock (kernel memory), and from direct give-backs to the counters (page uncharges). A charge of a cgroup that
    the trace shows as refused is replayed as if it fitted.
    """
    found, t_us = [], []
    counts = dict.fromkeys(("sockets charge", "sockets give back", "others charge", "others give back"), 0)
    for row in rows:
        if row.ev == "chg":
            code, who = CHARGE_SKMEM, "sockets charge"
        elif row.ev == "unc":
            code, who = UNCHARGE_SKMEM, "sockets give back"
        elif row.ev == "try" and row.cause != "skmem":
            code, who = TRY_CHARGE, "others charge"
        elif row.ev == "refill" and row.cause not in ("surplus", "skmem"):
            code, who = UNCHARGE_SKMEM, "others give back"  # kernel memory: by the policy's rule, as from v5.11 on
        elif row.ev == "pcunc" and row.cause not in OURS:
            code, who = CANCEL_CHARGE, "others give back"
        else:
            continue
        if row.nr < 1 or row.memcg < 1:
            raise ValueError(
                f"line {row.line} ({row.ev}): {row.nr} pages of memcg {row.memcg}; both must be 1 or more."
            )
        found.append((code, SOFTIRQ if row.softirq > 0 else TASK, row.cpu, row.memcg, row.nr))
        t_us.append(row.t_us)
        counts[who] += 1
    if not found:
        raise ValueError("this trace has no charges and no give-backs (chg, unc, try, refill).")
    return Users(np.array(found, op_dtype), np.array(t_us, np.int64), counts)


def what_if(rows, policies, *, levels=LEVELS):
    """Replay a trace's charges and give-backs under several policies.

    Parameters
    ----------
    rows : list of Row
    policies : sequence of Policy
    levels : int
        Counters from the cgroup to the root, both included; a trace does not tell. Each costs one atomic.

    Returns
    -------
    WhatIf
        table : DataFrame
            One row a policy: batch; stock_hits (percent of the charges); charges and drains at the counters (calls of
            ``page_counter_try_charge`` and of ``page_counter_uncharge``); atomics (calls times levels);
            atomics_per_op; slack_mean and slack_max (pages in stocks, all slots of all CPUs, over the operations; of
            a trace with more than 20,000 of them that many are looked at, evenly spread).
        slack : DataFrame
            Pages in stocks over time: index ``t_ms``, a column a policy.

    Raises
    ------
    ValueError
        If the trace has no operations, or a number is out of range.

    Notes
    -----
    The order of the trace is kept, so what a policy would change about time is not seen. No limit is set.

    Examples
    --------
    >>> from memcg_lab import V4_13, V6_1, data_path
    >>> table, slack = what_if(read_rows(data_path("kernel_traces/t61b.csv.xz")), [V4_13, V6_1])
    >>> table[["policy", "charges", "drains"]].to_string(index=False).splitlines()[2].split()
    ['v6.1', '623', '522']
    """
    import pandas as pd

    levels = whole_number("levels", levels, 1, 64)
    users = trace_ops(rows)
    ops = users.ops.copy()
    cpus = whole_number("CPUs of the trace", int(ops["cpu"].max()) + 1, 1, CPUS_MAX)
    numbers = np.unique(ops["memcg"])
    ops["memcg"] = 1 + np.searchsorted(numbers, ops["memcg"])
    cuts = np.unique(np.linspace(0, len(ops), min(POINTS, len(ops)) + 1).astype(int))
    table, slack = [], {}
    for policy in policies:
        # One counter below the root, so that calls can be counted; what was charged before the trace may come back.
        system = System.siblings(len(numbers), cpus=cpus, policy=policy, underflow="record")
        pages = [0]
        for begin, end in zip(cuts[:-1], cuts[1:]):
            system.replay(ops[begin:end])
            pages.append(int(system.mechanism_state().stock["nr_pages"].sum()))
        work = system.work()
        charges, drains = work.add // 2, work.sub // 2
        asked = int((ops["op"] == CHARGE_SKMEM).sum() + (ops["op"] == TRY_CHARGE).sum())
        hits = 100 * work.stock_hits / asked if asked else 0.0
        atomics = (charges + drains) * levels
        table.append(
            (policy.name, policy.batch, hits, charges, drains, atomics, atomics / len(ops), np.mean(pages), max(pages))
        )
        slack[policy.name] = pages
    columns = ["policy", "batch", "stock_hits", "charges", "drains", "atomics", "atomics_per_op"]
    table = pd.DataFrame(table, columns=[*columns, "slack_mean", "slack_max"])
    index = pd.Index([0.0, *users.t_us[cuts[1:] - 1] / 1000], name="t_ms")
    return WhatIf(table, pd.DataFrame(slack, index=index))


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


def print_what_if(path, names, batches=(), levels=LEVELS, kallsyms=None):
    """Read a trace, replay it under several policies and print the table.

    Parameters
    ----------
    path : path
    names, batches
        For :func:`chosen_policies`.
    levels : int
    kallsyms : path, optional
        Names of callers, for raw text.

    Returns
    -------
    WhatIf

    Raises
    ------
    ValueError
        If the file is no trace, or an argument is out of range.
    """
    rows = read_rows(path, kallsyms)
    users = trace_ops(rows)
    found = what_if(rows, chosen_policies(names, batches), levels=levels)
    told = ", ".join(f"{who} {count:,}" for who, count in users.counts.items())
    print(f"{len(users.ops):,} operations on {int(users.ops['cpu'].max()) + 1} CPUs ({told})")
    shown = found.table.rename(columns={"stock_hits": "hits_%"})
    print(shown.round({"hits_%": 1, "atomics_per_op": 3, "slack_mean": 1}).to_string(index=False))
    print(
        f"Atomics: {levels} levels. Slack: pages in stocks. What a trace cannot tell: how policies change the timing."
    )
    return found
