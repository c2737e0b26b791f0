"""What is allowed: whole numbers, numbers, times and choices, each said once, with the words of its refusal."""

import math
import operator

import numpy as np

NS_MAX = 1e6


def whole_number(what, value, low, high):
    """A whole number in a range, or a ValueError that says so."""
    number = None
    if not isinstance(value, (bool, np.bool_)):  # Python would take True for 1
        try:
            number = operator.index(value)
        except TypeError:
            pass
    if number is None or not low <= number <= high:
        raise ValueError(f"{what} is {value!r}; it must be a whole number from {low:,} to {high:,}.")
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
        raise ValueError(f"{what} is {value!r}; it must be a number from {low:,} to {high:,}.")
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
        raise ValueError(f"{what} is {value!r}; it must be 0 to {NS_MAX:,.0f} nanoseconds.")
    return number


def one_of(what, value, allowed):
    """One of a few names, or a ValueError that lists them."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{what} is {value!r}; it must be one of: {'; '.join(allowed)}.")
    return value
