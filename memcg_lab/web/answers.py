"""The golden files in short, for a page that checks its own kernels: what each operation changed, not all it left."""

from ..files import GOLDEN
from ..golden import read_golden
from ..mechanism.records import op_dtype

# Whose answers a file has, by the beginning or the end of its name.
POLICY = {"v6_1_": "v6.1", "_pre": "v4.13", "_post": "v4.14"}


def golden_answers():
    """All golden files: a list of ``{"file", "policy", "scenarios"}``.

    A scenario has its ``config``, the ``start`` state, the ``first`` answer whole, the ``ops`` as lists of their fields
    in the order of the record, and ``changes``: for each operation after the first a flat list ``[place, more, …]`` of
    the numbers that differ from the answer before and by how much, places counted through all lists of an answer in its
    own order.
    """
    found = []
    for path in sorted(GOLDEN.glob("*.jsonl.gz")):
        scenarios = [_short(scenario) for scenario in read_golden(path)]
        found.append({"file": path.name, "policy": policy_of(path.name), "scenarios": scenarios})
    return found


def policy_of(file):
    """Whose answers a golden file has.

    Examples
    --------
    >>> policy_of("stories_post.jsonl.gz")
    'v4.14'
    """
    name = file.removesuffix(".jsonl.gz")
    return next(rule for part, rule in POLICY.items() if name.startswith(part) or name.endswith(part))


def _short(scenario):
    first, *rest = scenario.expected
    order = first.keys()
    before, changes = numbers(first, order), []
    for row in rest:
        if row.keys() != order:
            raise AssertionError(f"{scenario.config['name']}: not all answers have the same fields.")
        now = numbers(row, order)
        if len(now) != len(before):
            raise AssertionError(f"{scenario.config['name']}: not all answers are of the same size.")
        changes.append([x for place, (a, b) in enumerate(zip(before, now)) if a != b for x in (place, b - a)])
        before = now
    ops = [[int(row[name]) for name in op_dtype.names] for row in scenario.ops]
    return {"config": scenario.config, "start": scenario.state, "first": first, "ops": ops, "changes": changes}


def numbers(value, order=None):
    """All whole numbers of an answer, in order.

    Examples
    --------
    >>> numbers({"ret": 1, "stock": [[-1, 0], [2, 31]]})
    [1, -1, 0, 2, 31]
    """
    if isinstance(value, dict):
        return [number for name in (order or value) for number in numbers(value[name])]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    if type(value) is not int:
        raise AssertionError(f"{value!r} in an answer is no whole number.")
    return [value]
