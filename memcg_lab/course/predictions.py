"""What the reader expects, before the run shows it. Kept in memory as long as the kernel runs."""

import math
import numbers

from ..checks import shown
from ..words import kind, listing, number, printable

TEXT_MAX = 200  # letters of a prediction in words
DIGITS_MAX = 300  # what a float still holds
NUMBER_MAX = 10**DIGITS_MAX

_said = {}


def predict(question, **values):
    """Write down what you expect. None or ... means that you have not decided yet.

    Parameters
    ----------
    question : str
        The notebook's name for it, such as "04.atomics".
    **values : number or str
        One for each thing asked.

    Raises
    ------
    ValueError
        If the question has no name or nothing is asked.

    Examples
    --------
    >>> predict("04.atomics", before=None, after=None)
    No prediction yet. Replace None by your numbers and run this cell again.
    >>> predict("04.atomics", before=1200, after=40)
    Noted: before 1,200, after 40.
    """
    _named(question, values)
    said, missing, refused = {}, [], []
    for name, value in values.items():
        if value is None or value is ...:
            missing.append(name)
            continue
        try:
            said[name] = _plain(value)
        except ValueError as error:
            refused.append(f"{name} {error}")
    _said[question] = said
    if not said and not refused:
        print("No prediction yet. Replace None by your numbers and run this cell again.")
        return
    if said:
        print(f"Noted: {_told(said)}.")
    for complaint in refused:
        print(f"Not noted: {complaint}.")
    if missing:
        print(f"Still open: {listing(missing)}.")


def reveal(question, **values):
    """Put what the run says beside what you said.

    Parameters
    ----------
    question : str
        The name given to :func:`predict`.
    **values : number or str
        What came out.

    Raises
    ------
    ValueError
        If nothing is revealed, or a value is neither a finite number nor a short text.

    Examples
    --------
    >>> predict("04.pages", before=50, after=39)
    Noted: before 50, after 39.
    >>> reveal("04.pages", before=100, after=39)
    before: you said 50, the run says 100; you were 2 times too low.
    after: you said 39, the run says 39; exactly right.
    >>> reveal("04.nothing", before=621, after=39)
    You said nothing yet; the run says before 621, after 39.
    """
    _named(question, values)
    truth = {}
    for name, value in values.items():
        try:
            truth[name] = _plain(value)
        except ValueError as error:
            raise ValueError(f"{name} {error}.") from None
    said = _said.get(question) or {}
    if not said.keys() & truth.keys():
        print(f"You said nothing yet; the run says {_told(truth)}.")
        return
    for name, value in truth.items():
        if name not in said:
            print(f"{name}: you said nothing, the run says {_word(value)}.")
        else:
            print(f"{name}: you said {_word(said[name])}, the run says {_word(value)}{_verdict(said[name], value)}.")


def _verdict(said, truth):
    if isinstance(said, str) or isinstance(truth, str):
        return ""
    if said == truth:
        return "; exactly right"
    high = "high" if said > truth else "low"
    if said <= 0 or truth <= 0:
        return f"; you were {number(abs(said - truth))} too {high}"
    off = max(said / truth, truth / said)
    if off < 1.1:
        return "; within a tenth"
    return f"; you were {number(off, 2)} times too {high}"


def _named(question, values):
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f'the question is {shown(question)}; it must have a name, such as "04.atomics".')
    if not values:
        raise ValueError('nothing is asked; give at least one value, such as predict("04.atomics", before=None).')


def _plain(value):
    """A finite number or a short text, or a ValueError that says why not."""
    if isinstance(value, str):
        value = printable(" ".join(value.split()))
        if not 1 <= len(value) <= TEXT_MAX:
            raise ValueError(f"has {len(value):,} letters; allowed are 1 to {TEXT_MAX}")
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"is {kind(value)}; give a number or a short text")
    if isinstance(value, numbers.Integral):
        if abs(int(value)) > NUMBER_MAX:
            raise ValueError(f"has more than {DIGITS_MAX} digits; give a smaller number")
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"is {float(value)}; give a finite number")
    return float(value)


def _word(value):
    return f'"{value}"' if isinstance(value, str) else number(value)


def _told(values):
    return ", ".join(f"{name} {_word(value)}" for name, value in values.items())
