"""Published rows: one or two costs are fitted to as many rows of a closed loop, and the others are predicted."""

from collections import namedtuple

import numpy as np

from ..checks import NS_MAX, flag, nanoseconds
from .calibration import fit
from .closed import Loop, closed_loop


def predict_rows(rows, *, baseline, fitted, per_client=True, **common):
    r"""Fit one or two numbers to as many published rows, and predict the others.

    The first number is ``visit_ns``, the cost of a visit to a line. The second is ``path_ns``, the cost of the charged
    path on no shared line, one number for all rows that charge. The unit of the measurement is fixed by the baseline.

    Parameters
    ----------
    rows : mapping
        ``name: (measured, arguments)``. The arguments of :func:`closed_loop` in which the row differs from ``common``,
        clients and think time among them; with ``"charged": False`` for a row without any counter. None is short for
        such a row without other differences, such as the root memcg.
    baseline : str
        The row that gives the unit; it is never predicted.
    fitted : str or sequence of two str
        The row that ``visit_ns`` is fitted to, and if there is a second one, the row that ``path_ns`` is fitted to.
        A ``path_ns`` that was measured is given among ``common`` instead.
    per_client : bool
        False if the rows measure all clients together.
    **common
        Arguments of :func:`closed_loop` for all rows; ``clients`` and ``think_ns`` are needed here or in each row.

    Returns
    -------
    DataFrame
        row, role (unit, fitted, predicted), measured, model (both in the unit of the measurement), error in percent,
        ``visit_ns``, ``path_ns``, and the standard error of the model over the ``seeds``, in the unit.

    Raises
    ------
    ValueError
        If a row is missing or not of that form, or no cost gives the fitted rows.

    Notes
    -----
    Kernel: ``try_charge``, v4.13 to v6.1, from many CPUs at once.

    Examples
    --------
    >>> rows = {"none": (100.0, None), "batch 32": (50.0, {"batch": 32}), "batch 64": (75.0, {"batch": 64})}
    >>> table = predict_rows(rows, baseline="none", fitted="batch 32", clients=8, think_ns=1000)
    >>> table[["row", "role", "measured"]].to_string(index=False, header=False).split("\n")[2].strip()
    'batch 64 predicted  75.0'
    >>> print(f"model {table.model[2]:.1f}, error {table.error_percent[2]:+.1f} %")
    model 77.6, error +3.4 %
    """
    import pandas as pd

    per_client = flag("per_client", per_client)
    published = _published(rows, common)
    names = [fitted] if isinstance(fitted, str) else list(fitted) if isinstance(fitted, (list, tuple)) else [fitted]
    if not 1 <= len(names) <= 2:
        raise ValueError(f"fitted is {fitted!r}; it must be one row, or two.")
    for what, name in (("baseline", baseline), *(("fitted", name) for name in names)):
        if not isinstance(name, str) or name not in published:
            raise ValueError(f'{what} is "{name}"; the rows are {", ".join(published)}.')
        if (what == "baseline") == published[name].charged:
            raise ValueError(f'{what} is "{name}", a row {"with" if what == "baseline" else "without"} counters.')
    model = _Rows(published, baseline, per_client)
    costs = model.fitted(names)
    answers = [model.relative(name, **costs) for name in published]
    unit = published[baseline].measured
    roles = {baseline: "unit"} | dict.fromkeys(names, "fitted")
    table = pd.DataFrame(
        {
            "row": list(published),
            "role": [roles.get(name, "predicted") for name in published],
            "measured": [row.measured for row in published.values()],
            "model": [unit * answer.throughput for answer in answers],
        }
    )
    table["error_percent"] = 100 * (table["model"] / table["measured"] - 1)
    table["visit_ns"] = costs["visit_ns"]
    table["path_ns"] = [costs.get("path_ns", row.arguments.get("path_ns", 0.0)) for row in published.values()]
    table["standard_error"] = [unit * answer.standard_error for answer in answers]
    return table


Row = namedtuple("Row", "measured charged arguments")  # a published row, checked
VISIT_LOW, VISIT_HIGH = 1e-2, 1e5  # where visit_ns is looked for


def _published(rows, common):
    """The rows, checked: what was measured, whether it charges, and all its arguments."""
    if not isinstance(rows, dict) or not all(isinstance(name, str) for name in rows):
        raise ValueError(f"rows is {rows!r}; it must be a dict of rows by name.")
    found = {}
    for name, row in rows.items():
        if not isinstance(row, (tuple, list)) or len(row) != 2 or not isinstance(row[1], (dict, type(None))):
            raise ValueError(f'row "{name}": {row!r}; it must be (what was measured, a dict of arguments or None).')
        measured, changes = row
        if not isinstance(measured, (int, float, np.number)) or not np.isfinite(measured) or measured <= 0:
            raise ValueError(f'row "{name}": {measured!r} was measured; it must be above 0.')
        arguments = {**common, **(changes or {"charged": False})}
        charged = flag(f'row "{name}": charged', arguments.pop("charged", True))
        for what in ("clients", "think_ns"):
            if what not in arguments:
                raise ValueError(f'row "{name}": {what} is missing; give it for all rows or for this one.')
        allowed = set(closed_loop.__kwdefaults__) | {"clients", "think_ns"}
        for what in arguments.keys() - (allowed - {"visit_ns"}):
            raise ValueError(f'row "{name}": {what} is no argument of a row; there are: {", ".join(sorted(allowed))}.')
        if not charged and nanoseconds(f'row "{name}": think_ns', arguments["think_ns"]) == 0:
            raise ValueError(f'row "{name}": think_ns is 0; a row without counters is nothing but its think time.')
        found[name] = Row(float(measured), charged, arguments)
    return found


class _Rows:
    """What a model says of published rows, as shares of the baseline."""

    def __init__(self, rows, baseline, per_client):
        self.rows, self.baseline, self.per_client = rows, baseline, per_client

    def answer(self, name, **costs):
        """Throughput of a row, and its standard error."""
        row = self.rows[name]
        loop = Loop(1000 / row.arguments["think_ns"], 0, 0, "") if not row.charged else None
        loop = loop or closed_loop(**{**row.arguments, **costs})
        times = 1 if self.per_client else row.arguments["clients"]
        return loop._replace(throughput=loop.throughput * times, standard_error=loop.standard_error * times)

    def relative(self, name, **costs):
        """Throughput and error as shares of the baseline's throughput."""
        one, unit = self.answer(name, **costs), self.answer(self.baseline).throughput
        return one._replace(throughput=one.throughput / unit, standard_error=one.standard_error / unit)

    def share(self, name):
        """What was measured, as a share of the baseline."""
        return self.rows[name].measured / self.rows[self.baseline].measured

    def visit(self, name, **costs):
        """The cost of a visit at which a row comes out as measured."""

        def answer(visit_ns):
            return self.relative(name, visit_ns=visit_ns, **costs).throughput

        return fit(answer, self.share(name), VISIT_LOW, VISIT_HIGH, "visit_ns")

    def fitted(self, names):
        """The costs at which the fitted rows come out as measured."""
        if len(names) == 1:
            return {"visit_ns": self.visit(names[0])}
        first, second = names

        def most(path_ns):
            return self.relative(first, visit_ns=VISIT_LOW, path_ns=path_ns).throughput

        # With a longer path than this, no visit could be cheap enough for the first row.
        longest = NS_MAX - max(row.arguments["think_ns"] for row in self.rows.values())
        high = fit(most, self.share(first), 1e-3, longest, "path_ns") * (1 - 2e-3)

        def answer(path_ns):
            visit_ns = self.visit(first, path_ns=path_ns)
            return self.relative(second, visit_ns=visit_ns, path_ns=path_ns).throughput

        path_ns = fit(answer, self.share(second), 1e-3, high, "path_ns")
        return {"visit_ns": self.visit(first, path_ns=path_ns), "path_ns": path_ns}
