"""A measurement as data: what it must hold, how it is read and written, how it is shown."""

import datetime
import functools
import json
import pathlib
import re

from ..files import writing

SCHEMA = pathlib.Path(__file__).with_name("measurement_schema.json")
FORMAT = "memcg-lab measurement 1"
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


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
        validate(data, schema())
        try:
            datetime.date.fromisoformat(data["date"])
        except ValueError:
            raise ValueError(f"date is {_shown(data['date'])}; there is no such day.") from None
        super().__init__(data)

    def save(self, path, *, replace=False):
        """Write it as JSON; ValueError if the file is there, unless ``replace``, or cannot be written."""
        text = json.dumps(self, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        with writing(path, replace=replace) as scratch:
            scratch.write_text(text, encoding="utf-8")

    def speedup(self, *, depth, threads, padded=True):
        """How many times as long a pair takes before the patch as after it, by the medians; None if not measured."""
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
        raise ValueError(f"{path}: cannot be read ({error}).") from None
    try:
        return Measurement(json.loads(text, parse_constant=_no_constant))
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


def validate(value, rule, where=""):
    """Hold a value against the words of JSON Schema that ours uses; ValueError naming the field if it does not fit.

    Those are ``$ref``, ``const``, ``enum``, ``type``, ``minimum``, ``pattern``, ``required``, ``properties`` and
    ``items``.
    """
    if "$ref" in rule:
        rule = schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    what = where or "the measurement"
    if "const" in rule and value != rule["const"]:
        raise ValueError(f"{what} is {_shown(value)}; it must be {_shown(rule['const'])}.")
    if "enum" in rule and value not in rule["enum"]:
        raise ValueError(f"{what} is {_shown(value)}; it must be one of {', '.join(map(_shown, rule['enum']))}.")
    if "type" in rule:
        names = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
        if not any(_is(value, name) for name in names):
            raise ValueError(f"{what} is {_shown(value)}; it must be of type {' or '.join(names)}.")
    if "minimum" in rule and value is not None and value < rule["minimum"]:
        raise ValueError(f"{what} is {_shown(value)}; it must be {rule['minimum']} or more.")
    if "pattern" in rule and not re.search(rule["pattern"], value):
        raise ValueError(f"{what} is {_shown(value)}; it must look like {rule['pattern']}.")
    if isinstance(value, dict):
        for name in rule.get("required", ()):
            if name not in value:
                raise ValueError(f"{where + '.' if where else ''}{name} is missing.")
        for name, inner in rule.get("properties", {}).items():
            if name in value:
                validate(value[name], inner, f"{where}.{name}" if where else name)
    if isinstance(value, list) and "items" in rule:
        for number, item in enumerate(value):
            validate(item, rule["items"], f"{where}[{number}]")


def _is(value, name):
    if isinstance(value, bool):  # Python would take True for 1
        return name == "boolean"
    return isinstance(value, TYPES[name])


def _shown(value):
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _no_constant(name):
    raise ValueError(f"{name} is no number that JSON knows.")


def _lines(data):
    machine = data["machine"]
    kinds = {True: ", a virtual machine", False: "", None: ""}
    yield f"{machine['model']}, {machine['cpus']} CPUs, {machine['os']}{kinds[machine['virtual']]}; {data['date']}"
    yield f"{'':44}{'median':>9}{'min':>9}{'spread':>9}  ns; runs kept (discarded)"

    def row(label, stat):
        numbers = "".join(f"{stat[name]:9.2f}" for name in ("median", "min", "spread"))
        return f"{label:44}{numbers}  {stat['runs']} ({stat['discarded']})"

    yield row("add, one thread, not atomic", data["local"]["plain_add"])
    yield row("add, one thread, atomic", data["local"]["atomic"])
    for entry in data["contended"]:
        if entry["threads"] > 1:
            yield row(f"add, {entry['threads']} threads, one word, atomic", entry["ns"])
    names = {"smt": "two threads of a core", "same": "two cores of a socket", "cross": "two sockets"}
    for kind, name in names.items():
        if data["transfer"][kind]:
            yield row(f"a line, one way, {name}", data["transfer"][kind])
    for entry in data["rules"]:
        when = "before" if entry["policy"] == "v4.13" else "after"
        threads = "1 thread" if entry["threads"] == 1 else f"{entry['threads']} threads"
        label = f"a pair {when}, depth {entry['depth']}, {threads}"
        yield row(label + ("" if entry["padded"] else ", unpadded"), entry["ns"])
    yield from (f"Note: {warning}" for warning in data["warnings"])
