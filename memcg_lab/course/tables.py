"""Tables as a notebook shows them: text to the left, numbers to the right, the same in a page and in plain text."""

import pandas as pd

from ..figures.base import cells, is_number, table_html
from ..words import kind


class Table:
    """A DataFrame with one fixed form: plain text, and HTML whose headers say what they head.

    Parameters
    ----------
    frame : pandas.DataFrame
        Its first column names the rows; or its index, if that has a name.
    """

    def __init__(self, frame):
        self.frame = frame

    def __repr__(self):
        frame = self.frame.reset_index()
        columns = []
        for name, values in frame.items():
            texts = [str(name), *cells(values)]
            width = max(map(len, texts))
            right = len(values) and all(map(is_number, values))
            columns.append([text.rjust(width) if right else text.ljust(width) for text in texts])
        return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))

    def _repr_mimebundle_(self, include=None, exclude=None, **options):
        return {"text/plain": repr(self), "text/html": table_html(self.frame)}


def show_table(rows, columns=None):
    """A table to look at.

    Parameters
    ----------
    rows : pandas.DataFrame, pandas.Series, StepLog, dict of str to sequence, or list of dict
        A step log becomes its frame. An index without a name is left out, and the first column names the rows.
    columns : list of str, optional
        Which columns, in which order; by default all.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If that is no table, it has no column, or a column does not exist.

    Examples
    --------
    >>> show_table({"rule": ["v4.13", "v4.14"], "atomics": [10313, 616]})
    rule   atomics
    v4.13   10,313
    v4.14      616
    """
    if hasattr(rows, "frame") and callable(rows.frame):
        rows = rows.frame()
    if isinstance(rows, pd.Series):
        rows = rows.to_frame()
    if not isinstance(rows, pd.DataFrame):
        try:
            rows = pd.DataFrame(rows)
        except (TypeError, ValueError):
            raise ValueError(f"that is {kind(rows)}; give a DataFrame, a StepLog or a dict of columns.") from None
    if columns is not None:
        missing = [name for name in columns if name not in rows.columns]
        if missing:
            raise ValueError(f"there is no column {missing[0]!r}; there are {', '.join(map(str, rows.columns))}.")
        rows = rows[list(columns)]
    if rows.index.name is None:
        if not len(rows.columns):
            raise ValueError("the table has no column.")
        rows = rows.set_index(rows.columns[0])
    return Table(rows)
