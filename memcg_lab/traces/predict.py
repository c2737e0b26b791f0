"""What a policy's rules say of each row of a recording that shows a stock."""

from collections import namedtuple

import numpy as np

from .. import _jit
from ..mechanism import follow
from ..mechanism.records import stock_dtype
from ..mechanism.steps import step_dtype
from ..system import Stock, System
from ..words import count

RULES = {"cons": follow.CONSUME, "refill": follow.REFILL, "drain": follow.DRAIN}  # events that show a stock
IN_USE = 1 << 40  # pages each counter holds when the trace begins, so that nothing goes below zero
LOG_ROWS = 32  # room in the step log for each slot, and as much again; a drain takes four steps

Prediction = namedtuple("Prediction", "stock hit drained pages")
Prediction.__doc__ = """What the rules say of one row.

stock: Stock or None: what the slot it shows holds before (memcg 0 = nothing); None if it was never seen before.
hit: bool: whether the stock serves this charge. drained: list of Stock: drains that must follow, in their order.
pages: int: what all slots of the CPU hold after it.
"""


def predictions(rows, policy):
    """Follow the rows that show a stock.

    Parameters
    ----------
    rows : list of Row
    policy : Policy
        With several slots, a row shows the slot it names, or else that of its CPU which holds ``cached``.

    Returns
    -------
    dict of int to Prediction
        By number in ``rows``; empty if no row shows a stock.

    Raises
    ------
    ValueError
        If a row names no CPU, cgroup or pages where it must, or a slot that the policy does not have; or if a rule of
        the policy uses an index that does not exist, or takes more steps than its slots account for.

    Examples
    --------
    >>> from memcg_lab import V6_1, data_path
    >>> from memcg_lab.traces.text import read_rows
    >>> rows = read_rows(data_path("kernel_traces/t61b.csv.xz"))
    >>> first, *_, last = predictions(rows, V6_1).values()
    >>> first.stock, last.stock
    (None, Stock(memcg=1, nr_pages=58))
    """
    shown = [k for k, row in enumerate(rows) if row.ev in RULES and row.avail >= 0]
    if not shown:
        return {}
    looks = np.zeros(len(shown), follow.look_dtype)
    looks["rule"] = [RULES[rows[k].ev] for k in shown]
    for name, column in (("cpu", "cpu"), ("memcg", "memcg"), ("nr_pages", "nr"), ("avail", "avail")):
        looks[name] = [getattr(rows[k], column) for k in shown]
    looks["cached"] = [rows[k].cached if rows[k].cached > 0 else -1 for k in shown]
    looks["slot"] = [getattr(rows[k], "slot", -1) for k in shown]
    _check(looks, rows, shown, policy)
    unseen, predicted, drained = _followed(looks, policy)
    found = {}
    for k, told, pairs in zip(shown, predicted.tolist(), drained.tolist()):
        memcg, nr_pages, hit, left = told
        stock = None if memcg == unseen else Stock(max(memcg, 0), nr_pages)
        found[k] = Prediction(stock, bool(hit), [Stock(*pair) for pair in pairs if pair[1]], left)
    return found


def _check(looks, rows, shown, policy):
    """Refuse what the compiled loop must not see."""
    asks = (looks["rule"] != follow.DRAIN) & ((looks["memcg"] < 0) | (looks["nr_pages"] < 1))
    for bad in np.flatnonzero(asks | (looks["cpu"] < 0))[:1]:
        row = rows[shown[bad]]
        raise ValueError(
            f"line {row.line}: {row.ev} on CPU {row.cpu} of {row.nr} pages of memcg {row.memcg}; say each."
        )
    for bad in np.flatnonzero((looks["slot"] < -1) | (looks["slot"] >= policy.slots))[:1]:
        row = rows[shown[bad]]
        raise ValueError(
            f"line {row.line}: slot {row.slot}; {policy.name} has {count(policy.slots, 'slot')}, the first is 0."
        )


def _followed(looks, policy):
    """The cgroup that stands for what was not seen, and the arrays that the compiled loop fills."""
    cpus, memcgs = (int(looks[name].max()) + 1 for name in ("cpu", "memcg"))
    unseen = max(memcgs, int(looks["cached"].max()) + 1)  # one cgroup more than there are
    system = System([-1] * (unseen + 1), cpus=cpus, policy=policy, root=0)
    state = system.mechanism_state(np.zeros(LOG_ROWS * (1 + policy.slots), step_dtype))
    state.counter["count"][:] = IN_USE
    state.stock["memcg"][:] = unseen
    predicted = np.zeros(looks.size, follow.prediction_dtype)
    drained = np.zeros((looks.size, policy.slots + 2), stock_dtype)  # every slot, and the new pages by the cap
    arguments = (state, policy.batch, _jit.records(looks), _jit.records(predicted), _jit.records(drained))
    run = follow.bind_follow(policy)
    try:
        done = int(run(*arguments))
    except IndexError as error:
        raise ValueError(f"a rule of {policy.name} used an index that does not exist.") from error
    if done < looks.size:
        raise ValueError(f"{policy.name} takes more steps for one event than a policy with so many slots needs.")
    return unseen, predicted, drained
