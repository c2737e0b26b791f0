"""Cache lines: which words of a page counter share one, which of them a step touches, and how a visit is written."""

from collections import namedtuple
from dataclasses import dataclass, replace

import numpy as np

from ..checks import flag, whole_number
from ..mechanism import steps
from ..mechanism.steps import STEPS

LINES_MAX = 4  # cache lines one counter may spread over
WORDS = ("count", "limit", "parent", "watermark", "failcnt")
COUNT, LIMIT, PARENT, WATERMARK, FAILCNT = range(len(WORDS))

# How a CPU touches a line.
RMW, LOAD, STORE = range(3)


@dataclass(frozen=True)
class Layout:
    """Where the words of a page counter lie, and what a socket's charge and uncharge touch besides.

    Two words with the same number share a cache line. That is all there is to false sharing: a CPU that wants to read
    ``parent`` has to fetch the line that another CPU just took for ``count``.

    Parameters
    ----------
    name : str
    count, limit, parent, watermark, failcnt : int
        Line of the word within its counter, 0 to 3.
    memory_allocated : bool
        Each charge and uncharge executes one atomic on the counter all sockets of the protocol share (until v6.0).
    pressure_walks : int
        How often an uncharge reads ``parent`` at every level: once in ``__sk_mem_reduce_allocated`` and once more in
        ``tcp_delack_timer_handler`` (v4.13); 0 to 2.

    Raises
    ------
    ValueError
        If a number is out of range, or a flag is neither True nor False.

    Examples
    --------
    >>> LAYOUTS["v4.13"].lines, LAYOUTS["v6.1"].lines
    (1, 3)
    """

    name: str
    count: int = 0
    limit: int = 0
    parent: int = 0
    watermark: int = 0
    failcnt: int = 0
    memory_allocated: bool = True
    pressure_walks: int = 2

    def __post_init__(self):
        for word in WORDS:
            whole_number(f"line of {word}", getattr(self, word), 0, LINES_MAX - 1)
        whole_number("pressure_walks", self.pressure_walks, 0, 2)
        flag("memory_allocated", self.memory_allocated)

    @property
    def lines(self):
        """Cache lines of one counter."""
        return 1 + max(getattr(self, word) for word in WORDS)

    def shares(self, one, other):
        """True if two words lie on one line."""
        return getattr(self, one) == getattr(self, other)

    def with_words(self, name, **changes):
        """A layout under another name that differs in some words or calls."""
        return replace(self, name=name, **changes)


# v4.13 and v4.14: five words in a row; count lies at a multiple of 64 bytes, so all of them share its line.
V4_13_LAYOUT = Layout("v4.13")
# 802f1d522d5f (v5.12): parent moved to the end, behind watermark and failcnt. Here only the words move, the calls stay.
V5_12_LAYOUT = Layout("v5.12", parent=1, watermark=1, failcnt=1)
# 408587baee39 (v6.1): the count alone on its line, what is written now and then on another, what is read on a third.
V6_1_LAYOUT = Layout("v6.1", watermark=1, failcnt=1, limit=2, parent=2)
LAYOUTS = {layout.name: layout for layout in (V4_13_LAYOUT, V5_12_LAYOUT, V6_1_LAYOUT)}

# What each step of the mechanism's log touches. A walk up the tree reads parent once it is done with a level.
_TOUCHES = {
    steps.STEP_TRY_ADD: ((RMW, COUNT), (LOAD, LIMIT), (LOAD, WATERMARK), (LOAD, PARENT)),
    steps.STEP_TRY_UNDO: ((RMW, COUNT),),
    steps.STEP_FAILCNT: ((STORE, FAILCNT),),
    steps.STEP_TRY_WATERMARK: ((STORE, WATERMARK),),
    steps.STEP_CHARGE_ADD: ((RMW, COUNT), (LOAD, WATERMARK), (LOAD, PARENT)),
    steps.STEP_CHARGE_WATERMARK: ((STORE, WATERMARK),),
    steps.STEP_CANCEL: ((RMW, COUNT), (LOAD, PARENT)),
    steps.STEP_LIMIT: ((RMW, LIMIT),),
}


def _elsewhere(step):
    """True for a step on what no machine has: kernel pages, objects and protection."""
    return step.field.split(".")[0] in ("kmem", "obj_stock", "objcg", "upward")


# Who is booked: the functions of the step log, and those around them.
OTHER = "everything else"
FUNCTIONS = tuple(
    dict.fromkeys(
        [
            step.function
            for step in STEPS
            if step.function not in ("return", "sk_forward_alloc") and not _elsewhere(step)
        ]
        + ["tcp_delack_timer_handler", OTHER]
    )
)
FN_OTHER = np.int64(FUNCTIONS.index(OTHER))
FN_RAISE = np.int64(FUNCTIONS.index("__sk_mem_raise_allocated"))
FN_REDUCE = np.int64(FUNCTIONS.index("__sk_mem_reduce_allocated"))
FN_TIMER = np.int64(FUNCTIONS.index("tcp_delack_timer_handler"))
FN_TRY_CHARGE = np.int64(FUNCTIONS.index("try_charge"))


# --- a visit: one touch of one line, as one number -------------------------------------------------------------------
KIND_BITS, FUNCTION_BITS, LINE_BITS = 2, 5, 24

Visit = namedtuple("Visit", "line function kind")


def visit(line, function, kind):
    """One touch of one line as one number; ``visit(n, 0, 0)`` added to it moves it ``n`` lines on."""
    return (line << FUNCTION_BITS | function) << KIND_BITS | kind


def read_visit(number):
    """What :func:`visit` wrote. The masks tell the compiler that no index is negative."""
    return Visit(
        (number >> (FUNCTION_BITS + KIND_BITS)) & ((1 << LINE_BITS) - 1),
        (number >> KIND_BITS) & ((1 << FUNCTION_BITS) - 1),
        number & ((1 << KIND_BITS) - 1),
    )


# --- what the kernel looks up for each step --------------------------------------------------------------------------
TOUCHES_MAX = 4  # lines that one step touches of a counter
UNCHARGED, NO_CHARGE, CHARGED = 0, 1, 3  # a step takes a charge back, leaves things as they are, or charges

touched_dtype = np.dtype(
    [
        ("function", np.int64),  # whom the step is booked to
        ("own", np.int64),  # 1 for a step on a line that only this CPU touches
        ("charged", np.int64),  # UNCHARGED, NO_CHARGE or CHARGED
        ("lines", np.int64),  # how many lines the step touches
        ("visits", np.int64, TOUCHES_MAX),  # each as visit() writes it, counted from the counter's first line
    ]
)


def step_table(layout):
    """What each step touches: an array of ``touched_dtype``, indexed by the step's code.

    A second word on a line that the same step has just taken costs nothing and is left out.
    """
    table = np.zeros(len(STEPS), touched_dtype)
    table["charged"] = NO_CHARGE
    table["charged"][steps.STEP_TRY_ADD] = CHARGED
    table["charged"][[steps.STEP_TRY_UNDO, steps.STEP_FORCE]] = UNCHARGED
    for code, (row, step) in enumerate(zip(table, STEPS, strict=True)):
        row["function"] = FUNCTIONS.index(step.function) if step.function in FUNCTIONS else FN_OTHER
        row["own"] = step.line == "own"
        seen = set()
        if code in (steps.STEP_FAILCNT, steps.STEP_TRY_WATERMARK, steps.STEP_CHARGE_WATERMARK):
            seen.add(layout.count)  # the add before it took that line
        for kind, word in _TOUCHES.get(code, ()):
            line = getattr(layout, WORDS[word])
            if line not in seen:
                seen.add(line)
                row["visits"][row["lines"]] = visit(line, row["function"], kind)
                row["lines"] += 1
    return table
