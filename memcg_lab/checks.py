"""What is allowed: whole numbers, numbers, times and choices, each said once, with the words of its refusal."""

import math
import operator

import numpy as np

from .words import count, kind, printable

NS_MAX = 1e6
SHOWN_MAX = 200  # letters of a refused value in a message


def shown(value):
    """A refused value as a message quotes it: short, and printable whatever it is."""
    try:
        text = repr(value)
    except Exception:  # an integer of more than 4,300 digits, or an object of the reader's own
        if isinstance(value, int):
            return f"an integer of {value.bit_length():,} bits"
        return f"{kind(value)} that cannot be printed"
    text = printable(text)
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 3]}..."


def as_whole(value):
    """A value as an int, or None if it is no whole number."""
    if isinstance(value, (bool, np.bool_)):  # Python would take True for 1
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def whole_number(what, value, low, high):
    """A whole number in a range, or a ValueError that says so."""
    number = as_whole(value)
    if number is None or not low <= number <= high:
        raise ValueError(f"{what} is {shown(value)}; it must be a whole number from {low:,} to {high:,}.")
    return number


def real_number(what, value, low, high):
    """A number in a range, or a ValueError that says so."""
    number = math.nan
    if not isinstance(value, (bool, np.bool_)):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    if not low <= number <= high:
        raise ValueError(f"{what} is {shown(value)}; it must be a number from {low:,} to {high:,}.")
    return number


def nanoseconds(what, value):
    """A finite number of nanoseconds, at least 0."""
    number = math.nan
    if not isinstance(value, (bool, np.bool_)):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    if not 0 <= number <= NS_MAX:
        raise ValueError(f"{what} is {shown(value)}; it must be 0 to {NS_MAX:,.0f} nanoseconds.")
    return number


def one_of(what, value, allowed):
    """One of a few names, or a ValueError that lists them."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{what} is {shown(value)}; it must be one of: {'; '.join(allowed)}.")
    return value


def flag(what, value):
    """True or False, and nothing that merely counts as one."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{what} is {shown(value)}; it must be True or False.")
    return bool(value)


def text(what, value):
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is {shown(value)}; it must be a text that is not empty.")
    return value


def several(what, values):
    """A list of values in an order that was meant: a dict or a set has none, and bytes are no numbers.

    Returns
    -------
    list

    Raises
    ------
    ValueError
        If it is not a list, a tuple, a range or a 1-d array, or if values of it are masked.
    """
    if not isinstance(values, (list, tuple, range)) and not (isinstance(values, np.ndarray) and values.ndim == 1):
        raise ValueError(f"{what} is {shown(values)}; it must be a list, a tuple, a range or a 1-d array.")
    unmasked(what, values)
    return list(values)


def unmasked(what, values):
    """Refuse an array with masked values: what they stand for is not known here."""
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else np.zeros(0, bool)
    if hidden := int((mask != np.zeros((), mask.dtype)).sum()):  # a mask may have fields
        raise ValueError(f"{what} has {count(hidden, 'masked value')}; fill them or leave them out.")


def whole_numbers(what, values, high):
    """Whole numbers from 0 on, as a list or an array: an array of int64."""
    values = several(what, values) if not isinstance(values, np.ndarray) or values.ndim != 1 else values
    unmasked(what, values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":  # a million of them are looked at together
        outside = (values < 0) | (values > high)
        if not outside.any():
            return np.array(values, dtype=np.int64)
        values = {int(outside.argmax()): values[outside.argmax()]}
    else:
        values = dict(enumerate(values))
    return np.array([whole_number(f"{what}[{i}]", value, 0, high) for i, value in values.items()], dtype=np.int64)
