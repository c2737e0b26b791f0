"""A measurement as data: what it must hold, how it is read and written, how it is shown."""

import datetime
import functools
import json
import math
import pathlib

from ..checks import flag
from ..files import reason, writing
from ..words import printable

SCHEMA = pathlib.Path(__file__).with_name("measurement_schema.json")
FORMAT = "memcg-lab measurement 1"
NESTED_MAX = 50
HALF = "it holds half a character (a lone surrogate)."
DIGITS_MAX = 30  # of a whole number in a file; more is no count and no time


class Measurement(dict):
    """What one machine measured: a dict of exactly what the JSON file holds (``measurement_schema.json``).

    Keys are ``schema``, ``date``, ``machine``, ``warnings``, ``local``, ``transfer``, ``contended`` and ``rules``. Each
    figure is a dict of ``min``, ``median``, ``spread`` (nanoseconds), ``runs`` kept and ``discarded``. Printed, it is a
    table.

    Parameters
    ----------
    data : dict

    Raises
    ------
    ValueError
        If a field is missing or not what the schema says; the message names it.

    Examples
    --------
    >>> Measurement({"schema": "memcg-lab measurement 1", "date": "today"})
    Traceback (most recent call last):
    ...
    ValueError: machine is missing.
    """

    def __init__(self, data):
        validate(data)
        try:
            datetime.date.fromisoformat(data["date"])
        except ValueError:
            raise ValueError(f"date is {_shown(data['date'])}; there is no such day.") from None
        super().__init__(data)

    def save(self, path, *, replace=False):
        """Write it as JSON; ValueError if it was spoilt, or the file is there (unless ``replace``) or cannot be."""
        validate(dict(self))
        flag("replace", replace)
        text = json.dumps(self, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        with writing(path, replace=replace) as scratch:
            scratch.write_text(text, encoding="utf-8")

    def speedup(self, *, depth, threads, padded=True):
        """How many times as long a pair takes before the patch as after it, by the medians; None if not measured."""
        flag("padded", padded)
        found = {
            row["policy"]: row["ns"]["median"]
            for row in self["rules"]
            if (row["depth"], row["threads"], row["padded"]) == (depth, threads, padded)
        }
        return found["v4.13"] / found["v4.14"] if len(found) == 2 and found["v4.14"] else None

    def __str__(self):
        return "\n".join(_lines(self))


def read_measurement(path):
    """Read a measurement written by ``measure``.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Measurement

    Raises
    ------
    ValueError
        If there is no such file, or it is no measurement; the message names file and field.

    Examples
    --------
    >>> read_measurement("none.json")
    Traceback (most recent call last):
    ...
    ValueError: none.json: no such file.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({reason(error)}).") from None
    try:
        return Measurement(json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_whole))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: not JSON ({error.msg}).") from None
    except RecursionError:
        raise ValueError(f"{path}: not a measurement; it is nested too deep.") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@functools.cache
def schema():
    """The JSON Schema of a measurement, as a dict."""
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


def validate(data):
    """Hold plain data against the schema.

    Parameters
    ----------
    data : object
        What ``json.loads`` gives; any other object is refused.

    Raises
    ------
    ValueError
        Naming the field and what is allowed there, if it does not fit or JSON cannot hold it.

    Examples
    --------
    >>> validate({"schema": "memcg-lab measurement 2"})
    Traceback (most recent call last):
    ...
    ValueError: date is missing.
    """
    _check_json(data)
    for error in _validator().iter_errors(data):
        if error.validator == "required":
            missing = next(name for name in error.validator_value if name not in error.instance)
            raise ValueError(f"{_path((*error.absolute_path, missing))} is missing.")
        allowed = _ALLOWED[error.validator](error.validator_value)
        raise ValueError(f"{_path(error.absolute_path)} is {_shown(error.instance)}; it must {allowed}.")


# What a word of the schema allows, in words.
_ALLOWED = {
    "const": lambda value: f"be {_shown(value)}",
    "enum": lambda values: f"be one of: {'; '.join(map(_shown, values))}",
    "type": lambda names: f"be of type {names if isinstance(names, str) else ' or '.join(names)}",
    "minimum": lambda low: f"be {low} or more",
    "pattern": lambda pattern: f"look like {pattern}",
}


@functools.cache
def _validator():
    """The schema, compiled. A whole number is one that is written as such: 2.0 is none."""
    import jsonschema

    draft = jsonschema.Draft202012Validator
    types = draft.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(draft, type_checker=types)(schema())


def _check_json(data, path=()):
    """ValueError if JSON cannot hold it: another type, a number that is not finite, half a character."""
    if len(path) > NESTED_MAX:
        raise ValueError(f"{_path(path[:3])}... is nested too deep.")
    if isinstance(data, dict):
        for key, value in data.items():
            if not isinstance(key, str):
                raise ValueError(f"{_path(path)} has a field named {key!r}; names are texts.")
            if _is_torn(key):
                raise ValueError(f'a name in {_path(path)} is "{printable(key)[:60]}"; {HALF}')
            _check_json(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            _check_json(value, (*path, number))
    elif isinstance(data, str):
        if _is_torn(data):
            raise ValueError(f'{_path(path)} is "{printable(data)[:60]}"; {HALF}')
    elif isinstance(data, float):
        if not math.isfinite(data):
            raise ValueError(f"{_path(path)} is {data!r}; it must be a finite number.")
    elif isinstance(data, int):
        if abs(data) >= 10**DIGITS_MAX:
            raise ValueError(f"{_path(path)} is a number of more than {DIGITS_MAX} digits.")
    elif data is not None:
        raise ValueError(f"{_path(path)} is {printable(repr(data))[:60]}; JSON has no such type.")


def _is_torn(text):
    """True if a text holds a lone surrogate."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _path(parts):
    """Names and numbers that lead to a field, as one name: ``rules[3].policy``."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{printable(part)}" for part in parts).lstrip(".")
    return name or "the measurement"


def _shown(value):
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _no_number(text):
    raise ValueError(f"{text} is no number that JSON knows.")


def _finite(text):
    if not math.isfinite(float(text)):
        raise ValueError(f"{text[:40]} is beyond every number that can be saved again.")
    return float(text)


def _whole(text):
    if len(text) > DIGITS_MAX:
        raise ValueError(
            f"{text[:20]}... is a number of {len(text.lstrip('-')):,} digits; at most {DIGITS_MAX} are read."
        )
    return int(text)


def _lines(data):
    machine = data["machine"]
    kinds = {True: ", a virtual machine", False: "", None: ""}
    model, system = printable(machine["model"]), printable(machine["os"])
    yield f"{model}, {machine['cpus']} CPUs, {system}{kinds[machine['virtual']]}; {data['date']}"
    yield f"{'':44}{'median':>9}{'min':>9}{'spread':>9}  ns; runs kept (discarded)"

    def row(label, stat):
        numbers = "".join(f"{stat[name]:9.2f}" for name in ("median", "min", "spread"))
        return f"{label:44}{numbers}  {stat['runs']} ({stat['discarded']})"

    yield row("add, one thread, not atomic", data["local"]["plain_add"])
    yield row("add, one thread, atomic", data["local"]["atomic"])
    for entry in data["contended"]:
        if entry["threads"] > 1:
            yield row(f"add, {entry['threads']} threads, one word, atomic", entry["ns"])
    names = {"smt": "two threads of a core", "same": "two cores of a package", "cross": "two packages"}
    for kind, name in names.items():
        if data["transfer"][kind]:
            yield row(f"a line, one way, {name}", data["transfer"][kind])
    for entry in data["rules"]:
        when = "before" if entry["policy"] == "v4.13" else "after"
        threads = "1 thread" if entry["threads"] == 1 else f"{entry['threads']} threads"
        label = f"a pair {when}, depth {entry['depth']}, {threads}"
        yield row(label + ("" if entry["padded"] else ", unpadded"), entry["ns"])
    yield from (f"Note: {printable(warning)}" for warning in data["warnings"])
