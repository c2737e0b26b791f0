"""The exercises: the right answer comes out of a run, and a wrong one is told why it is wrong."""

import functools
import inspect
import textwrap

from ..checks import shown, whole_number
from ..words import count, kind, wrapped
from . import notes
from .answers import judge_factor, judge_layout, judge_never_hit, judge_think, judge_tree
from .capstone import judge_busy, judge_small
from .machine_answers import NEAR, WORDS, judge_near
from .numbers import NUMBERS, judge_number
from .rules import RULES
from .worked import WORKED

KEPT = 2000  # letters of an answer that the reader's own file keeps


def check(exercise, answer=None, *, hint=None):
    """Say whether an answer is right and, if not, why. Nothing is raised, whatever the answer is.

    After a right answer it shows a way to find it. What was answered is written down in the reader's own file.

    Parameters
    ----------
    exercise : str
        The notebook and the number, such as "04.1".
    answer : object
        None or ... means not answered yet.
    hint : int, optional
        Show this hint instead, counted from 1. Each says more than the one before.

    Raises
    ------
    ValueError
        If there is no such exercise. A hint that there is not is told in a sentence.

    Notes
    -----
    A function is run as Python, nothing of it is compiled. One that does not come to an end is stopped; it is not kept
    from doing what any code of a notebook may do.

    Examples
    --------
    >>> check("00.1", None)
    00.1: not answered yet. Replace None by your answer and run this cell again.
    >>> check("00.1", hint=1)
    00.1, hint 1 of 2: After how many pages is the stock emptied for the first time? And for the second
    time?
    >>> check("00.1", 8)
    00.1: not yet. 8 is 2 trips to four counters. The root has a counter too.
    >>> check("00.1", 10)
    00.1: right. The 33rd and the 66th page empty the stock, and each time five counters are changed.
    One way: (66 // 33) * 5
    """
    if not isinstance(exercise, str) or exercise not in EXERCISES:
        raise ValueError(f"exercise {shown(exercise)} does not exist; there are {', '.join(EXERCISES)}.")
    worked = WORKED[exercise]
    if hint is not None:
        try:
            hint = whole_number("hint", hint, 1, len(worked.hints))
        except ValueError as error:
            print(wrapped(f"{exercise}: {error}"))
            return
        print(wrapped(f"{exercise}, hint {hint} of {len(worked.hints)}: {worked.hints[hint - 1]}"))
        return
    if answer is None or answer is ...:
        print(f"{exercise}: not answered yet. Replace None by your answer and run this cell again.")
        return
    try:
        right, told = EXERCISES[exercise](answer)
    except Exception:  # an answer of the reader's own making; whatever it does, the cell goes on
        right, told = False, f"Your answer is {kind(answer)} that cannot be read here; give what the text asks for."
    print(wrapped(f"{exercise}: {'right' if right else 'not yet'}. {told}"))
    if right:
        print(worked.shown())
    _remember(exercise, answer, right)


def _remember(exercise, answer, right):
    """The answer, whether it is right, and how often it was tried; the first right one stays."""
    before = notes.recall("answers", exercise)
    before = before if isinstance(before, dict) else {}
    if not before.get("right"):
        tries = before.get("tries")
        tries = tries if type(tries) is int and tries >= 0 else 0
        notes.remember("answers", exercise, {"answer": _written(answer), "right": bool(right), "tries": tries + 1})


def _written(answer):
    """An answer as a text that can be kept; a function as its source, where that can be read."""
    name = getattr(answer, "__name__", None) if callable(answer) else None
    try:
        text = _source(answer, name) if isinstance(name, str) else repr(answer)
    except Exception:  # of the reader's own making
        text = kind(answer)
    return text if len(text) <= KEPT else f"{text[:KEPT]} and {count(len(text) - KEPT, 'letter')} more"


def _source(function, name):
    try:
        return textwrap.dedent(inspect.getsource(getattr(function, "py_func", function))).strip()
    except (OSError, TypeError):  # made by exec, or built in
        return f"def {name}"


EXERCISES = dict(
    sorted(
        {
            **{key: functools.partial(judge_number, exercise) for key, exercise in NUMBERS.items()},
            **{key: functools.partial(judge_near, exercise) for key, exercise in NEAR.items()},
            **WORDS,
            **RULES,
            "01.1": judge_factor,
            "02.3": judge_tree,
            "03.3": judge_never_hit,
            "06.3": judge_think,
            "07.3": judge_layout,
            "13.2": judge_busy,
            "13.3": judge_small,
        }.items()
    )
)
