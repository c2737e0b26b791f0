"""What a policy's rules say of each row of a recording that shows a stock."""

from collections import namedtuple

import numpy as np

from .. import _jit
from ..mechanism import follow
from ..mechanism.records import stock_dtype
from ..mechanism.steps import step_dtype
from ..system import MEMCGS_MAX, Stock, System
from ..words import count
from .rows import CODES, EVENTS, Trace

RULES = {  # events that show a stock
    CODES["cons"]: follow.CONSUME,
    CODES["refill"]: follow.REFILL,
    CODES["drain"]: follow.DRAIN,
}
EVENT_NAMES = list(EVENTS)
CELLS_MAX = 1 << 25  # CPUs times cgroups: 8 bytes each, several times
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
    trace = Trace.of(rows)
    blocks = list(trace.blocks)
    numbers = Numbers()
    for block in blocks:
        numbers.see(block)
    follower, found, first = Follower(policy, numbers), {}, 0
    for block in blocks:
        told = follower.follow(block)
        for k, place in enumerate(told.places.tolist()):
            found[first + place] = told.prediction(k)
        first += block.size
    return found


class Numbers:
    """The CPUs and cgroups that a trace names, each once: arrays are as long as there are such, not as their numbers.

    Attributes
    ----------
    cpus, memcgs : ndarray of int64
        Ascending; of the cgroups the first is 0, none.
    """

    def __init__(self):
        self.cpus, self.memcgs = np.zeros(0, np.int64), np.zeros(1, np.int64)

    def see(self, block):
        """Look at the next block; ValueError with the line of the cgroup that is one too many."""
        self.cpus = np.union1d(self.cpus, block["cpu"])
        named = np.concatenate((block["memcg"], block["cached"]))
        memcgs = np.union1d(self.memcgs, named[named > 0])
        if memcgs.size + 2 > MEMCGS_MAX:
            room = MEMCGS_MAX - 2 - self.memcgs.size
            lines = np.concatenate((block["line"], block["line"]))
            new, first = np.unique(np.where(np.isin(named, self.memcgs), 0, named), return_index=True)
            line = np.sort(lines[first[new > 0]])[max(room, 0)]
            raise ValueError(f"line {line}: one cgroup too many; a trace may name {MEMCGS_MAX - 3:,}.")
        self.memcgs = memcgs
        if self.cpus.size * memcgs.size > CELLS_MAX:
            raise ValueError(
                f"line {block['line'][-1]}: {self.cpus.size:,} CPUs and {memcgs.size - 1:,} cgroups until here; their "
                f"product may be {CELLS_MAX:,}."
            )


class Told(namedtuple("Told", "places memcg nr_pages hit left drained unseen")):
    """What the rules say of the rows of a block that show a stock, one entry each: ``places`` are those in the block.

    memcg : the slot holds this before; ``unseen`` if it was never seen. drained : pairs of memcg and pages.
    """

    def prediction(self, k):
        """One of them."""
        stock = None if self.unseen[k] else Stock(int(self.memcg[k]), int(self.nr_pages[k]))
        drained = [Stock(*pair) for pair in self.drained[k].tolist() if pair[1]]
        return Prediction(stock, bool(self.hit[k]), drained, int(self.left[k]))


class Follower:
    """The rules of a policy, run along a trace block by block.

    Parameters
    ----------
    policy : Policy
    numbers : Numbers
        Of the whole trace.
    """

    def __init__(self, policy, numbers):
        self.policy, self.numbers = policy, numbers
        self._unseen = numbers.memcgs.size  # one cgroup more than there are
        cpus = max(numbers.cpus.size, 1)
        system = System([-1] * (self._unseen + 1), cpus=cpus, policy=policy, root=0)
        self._state = system.mechanism_state(np.zeros(LOG_ROWS * (1 + policy.slots), step_dtype))
        self._state.counter["count"][:] = IN_USE
        self._state.stock["memcg"][:] = self._unseen

    def follow(self, block):
        """What the rules say of the next block.

        Returns
        -------
        Told

        Raises
        ------
        ValueError
            As :func:`predictions`.
        """
        places = np.flatnonzero(np.isin(block["ev"], list(RULES)) & (block["avail"] >= 0))
        shown = block[places]
        looks = np.zeros(shown.size, follow.look_dtype)
        for name, column in (("nr_pages", "nr"), ("avail", "avail"), ("slot", "slot"), ("cpu", "cpu")):
            looks[name] = shown[column]
        looks["memcg"] = shown["memcg"]
        for code, rule in RULES.items():
            looks["rule"][shown["ev"] == code] = rule
        _check(looks, shown, self.policy)
        looks["cpu"] = np.searchsorted(self.numbers.cpus, shown["cpu"])
        known = shown["memcg"] >= 0
        looks["memcg"][known] = np.searchsorted(self.numbers.memcgs, shown["memcg"][known])
        holds = shown["cached"] > 0
        looks["cached"] = np.where(holds, np.searchsorted(self.numbers.memcgs, shown["cached"]), -1)
        predicted = np.zeros(looks.size, follow.prediction_dtype)
        drained = np.zeros((looks.size, self.policy.slots + 2), stock_dtype)  # every slot, and the new pages by the cap
        if looks.size:
            self._run(looks, predicted, drained)
        names = np.append(self.numbers.memcgs, 0)  # the unseen one has no name
        for array in (predicted, drained):
            array["memcg"][array["memcg"] < 0] = 0
        unseen = predicted["memcg"] == self._unseen
        drained["memcg"] = names[drained["memcg"]]
        columns = (predicted["nr_pages"], predicted["hit"], predicted["left"])
        return Told(places, names[predicted["memcg"]], *columns, drained, unseen)

    def _run(self, looks, predicted, drained):
        policy = self.policy
        arguments = (self._state, policy.batch, *map(_jit.records, (looks, predicted, drained)))
        run = follow.bind_follow(policy)
        try:
            done = int(run(*arguments))
        except IndexError as error:
            raise ValueError(f"a rule of {policy.name} used an index that does not exist.") from error
        if done < looks.size:
            raise ValueError(f"{policy.name} takes more steps for one event than a policy with so many slots needs.")


def _check(looks, shown, policy):
    """Refuse what the compiled loop must not see."""
    asks = (looks["rule"] != follow.DRAIN) & ((looks["memcg"] < 0) | (looks["nr_pages"] < 1))
    for row in shown[asks | (looks["cpu"] < 0)][:1]:
        what = f"{EVENT_NAMES[row['ev']]} on CPU {row['cpu']} of {row['nr']} pages of memcg {row['memcg']}"
        raise ValueError(f"line {row['line']}: {what}; say each.")
    for row in shown[(looks["slot"] < -1) | (looks["slot"] >= policy.slots)][:1]:
        slots = count(policy.slots, "slot")
        raise ValueError(f"line {row['line']}: slot {row['slot']}; {policy.name} has {slots}, the first is 0.")
