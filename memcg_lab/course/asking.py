"""What a notebook asks: a text for everybody, and a small form in its place where a reader can answer it at once.

A form is plain data: its controls by name, each with a label and what may be said. What is said comes back as texts.
"""

import re
import sys

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def control(name, label, asked, group=""):
    """One thing asked.

    Parameters
    ----------
    name, label : str
    asked : tuple of str, "sure" or anything else
        The choices; a percentage; else a number.
    group : str
        The question that it stands under; controls of one group follow each other.

    Examples
    --------
    >>> control("task", "task", ("yes", "no"))["choices"]
    ['yes', 'no']
    """
    made = {"name": name, "label": label, "group": group}
    if isinstance(asked, tuple):
        return made | {"kind": "choice", "choices": list(asked)}
    return made | {"kind": "sure" if asked == "sure" else "number"}


def show(text, form, answer):
    """Print a text that asks; in a notebook show the form in its place.

    Parameters
    ----------
    text : str
        What is asked and how to answer it in code; it is what a saved notebook shows.
    form : dict
        "controls", "button", "values" (what was said before, texts by name) and "status"; a page needs "kind" and
        "name" too.
    answer : callable
        ``answer(values)`` with the texts by name; what it prints is shown. It may give the name of a control, where
        the reader has to go on.
    """
    if not in_notebook():
        print(text)
        return
    from IPython.display import display

    from .form import Form  # ipywidgets takes its time, and elsewhere nobody needs it

    display(Form(text, form, answer))


def in_notebook():
    """True where Python runs for a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def typed(text):
    """What a reader typed: None, a number, or the text.

    Examples
    --------
    >>> typed("1,200"), typed(" 12 % "), typed(".5"), typed("few"), typed("")
    (1200, 12, 0.5, 'few', None)
    """
    bare = text.strip().removesuffix("%").replace(",", "").strip()
    if NUMBER.fullmatch(bare):
        return int(bare) if bare.lstrip("+-").isdecimal() else float(bare)
    return text.strip() or None
