"""A test of 20 items before the course and after it: two forms that ask the same with other numbers."""

import functools
import itertools
import math
import re
import textwrap
from collections import Counter, namedtuple

from ..checks import one_of, real_number, whole_number
from ..files import contents, path_of, reason
from ..words import count, printable
from .before_after_items import ITEMS
from .quiz_draw import Draw
from .quizzes import told

FORMS = ("A", "B")
LETTERS = "ABCD"
TRIES = 2000  # draws that are looked at for a pair of questions
BYTES_MAX = 1 << 20
SHORT = 60  # letters; choices that are no longer, all together, stand in one line
HEAD = (
    "Before the patch is Linux 4.13, after it is Linux 4.14. A cgroup at depth 2 lies two levels below the root. Only "
    "sockets use memory, calls come one after the other, and each charge or give-back is one call. Unless an item says "
    "otherwise every stock is empty at first, nothing meets a limit, and atomics are those on page counters."
)

# item: Item. text: str. choices: answers by letter. right: a letter. says: letter -> the sentence of a wrong thought.
Asked = namedtuple("Asked", "item text choices right says")
# name, letters: str. right: int. wrong: numbers of items from 1, left open ones too.
Marked = namedtuple("Marked", "name letters right wrong")


# --- the forms -------------------------------------------------------------------------------------------------------
@functools.cache
def form(which):
    """The 20 items of a form, each with its choices and the right one.

    Parameters
    ----------
    which : str
        "A" or "B".

    Returns
    -------
    tuple of Asked

    Raises
    ------
    ValueError
        If there is no such form.

    Notes
    -----
    The forms are of one difficulty by construction. Item by item they have the same goal, the same belief to get over
    and the same kind of case; only what is drawn differs, and the order of the choices. Both are drawn from integers
    that never change. What is right comes out of a run, and so does what a wrong thought would give.

    Examples
    --------
    >>> first = form("A")[0]
    >>> first.item.kind, len(first.choices), first.right in "ABCD"
    ('saved', 4, True)
    """
    one_of("form", which, FORMS)
    places = Draw("before and after", which).shuffled(LETTERS * (len(ITEMS) // len(LETTERS)))
    asked = []
    for item, place in zip(ITEMS, places, strict=True):
        text, right, wrong = _pair(item)[FORMS.index(which)]
        others = Draw("before and after", which, item.kind).shuffled(LETTERS.replace(place, ""))
        choices = {place: right} | {letter: answer for letter, (answer, _) in zip(others, wrong, strict=True)}
        says = {letter: why for letter, (_, why) in zip(others, wrong, strict=True)}
        asked.append(Asked(item, text, dict(sorted(choices.items())), place, dict(sorted(says.items()))))
    return tuple(asked)


@functools.cache
def _pair(item):
    """The first two cases of an item with four answers each, none of them the same in both."""
    found = []
    for turn in range(TRIES):
        drawn = item.draw(Draw("before and after", item.kind, turn))
        if drawn is None:
            continue
        text, right, wrong = drawn
        answers = {told(answer) for answer in (right, *(answer for answer, _ in wrong))}
        if len(answers) < len(LETTERS) or right in from_the_text(text):
            continue
        if any(told(right) == told(other) for _, other, _ in found):
            continue
        found.append(drawn)
        if len(found) == len(FORMS):
            return tuple(found)
    raise AssertionError(f"{item.kind}: no two draws of {TRIES} have four answers.")


def from_the_text(text):
    """What can be made of a text's numbers without knowing what they mean.

    Parameters
    ----------
    text : str

    Returns
    -------
    set of int
        The numbers above ten among its own, their sum, and what comes out of two of them: added, subtracted,
        multiplied, divided and rounded up or down.

    Examples
    --------
    >>> sorted(from_the_text("8 CPUs, 40 pages"))
    [32, 40, 48, 320]
    """
    there = [float(value) for value in re.findall(r"\d+(?:\.\d+)?", text.replace(",", ""))]
    found = {*there, sum(there)}
    for one, other in itertools.permutations(there, 2):
        found |= {one + other, one - other, one * other}
        found |= {math.floor(one / other), math.ceil(one / other)} if other else set()
    return {int(value) for value in found if value > 10 and value == int(value)}


def form_text(which, *, answers=False):
    """A form as text to print, for a class, or with the answers for whoever marks it.

    Parameters
    ----------
    which : str
        "A" or "B".
    answers : bool
        Also the right letter of each item, its goal and notebook, and what leads to the wrong ones.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no such form.
    """
    lines = [
        f"Form {which}: {len(ITEMS)} items, one right answer each. About 40 minutes, with paper and pencil.",
        *textwrap.wrap(HEAD, 100),
        "",
        "Name: ______________________________    Letters: " + " ".join(["____"] * 5),
    ]
    for place, asked in enumerate(form(which), start=1):
        lines += ["", f"{place}. {asked.text}"]
        listed = [f"{letter}) {told(value)}" for letter, value in asked.choices.items()]
        short = sum(map(len, listed)) < SHORT
        lines += [f"   {line}" for line in (["    ".join(listed)] if short else listed)]
        if answers:
            lines.append(f"   Right: {asked.right}. Notebook {asked.item.notebook}: {asked.item.goal}.")
            lines.append(f"   For who believes: {asked.item.belief}")
            lines += [f"   Not {letter}: {says}" for letter, says in asked.says.items()]
    if answers:
        lines += ["", f"Letters: {key(which)}"]
    return "\n".join(lines)


def key(which):
    """The right letters of a form, in order."""
    return "".join(asked.right for asked in form(which))


# --- marking ---------------------------------------------------------------------------------------------------------
def mark_form(which, path):
    """Mark what a class has answered.

    Parameters
    ----------
    which : str
        The form.
    path : str or Path
        A text: a line for each reader, the name, a colon, and 20 letters, A to D or - for none; blanks between the
        letters do not matter. Lines that are empty or begin with # are passed over.

    Returns
    -------
    list of Marked
        In the order of the file.

    Raises
    ------
    ValueError
        If the file cannot be read or has no reader, a line is none of these, or a name is there twice; the message
        names it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "before.txt")
    ...     _ = path.write_text(f"Ada: {key('A')[:19]}-")
    ...     [ada] = mark_form("A", path)
    >>> ada.name, ada.right, ada.wrong
    ('Ada', 19, [20])
    """
    right, path = key(which), path_of(path)
    try:
        text = contents(path, BYTES_MAX).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{printable(path)} cannot be read: {reason(error)}.") from None
    marks, lines = [], {}
    for place, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, letters = line.rpartition(":")
        letters = re.sub(r"\s", "", letters).upper()
        if not colon or not name.strip() or not re.fullmatch(f"[{LETTERS}-]{{{len(right)}}}", letters):
            raise ValueError(
                f"{printable(path)}, line {place}: {printable(line[:60])} is no answer; "
                f"give a name, a colon, and {len(right)} letters A to D, or - for none."
            )
        wrong = [k for k, (said, good) in enumerate(zip(letters, right, strict=True), start=1) if said != good]
        name = name.strip()
        if name in lines:
            raise ValueError(
                f"{printable(path)}, line {place}: {printable(name[:60])} is there twice, first in line {lines[name]}; "
                "a reader answers once."
            )
        lines[name] = place
        marks.append(Marked(name, letters, len(right) - len(wrong), wrong))
    if not marks:
        raise ValueError(f"{printable(path)} has no reader's line; give a name, a colon, and {len(right)} letters.")
    return marks


def print_form_marks(which, marks):
    """Print who has how many right, and which wrong thoughts were met, the most frequent first.

    Parameters
    ----------
    which : str
    marks : list of Marked
    """
    from .tables import show_table

    print(show_table({"name": [printable(m.name) for m in marks], "right": [f"{m.right} of 20" for m in marks]}))
    met = Counter()
    for mark in marks:
        met.update((k, mark.letters[k - 1]) for k in mark.wrong if mark.letters[k - 1] != "-")
    asked = form(which)
    for (k, letter), n in met.most_common():
        print(f"{count(n, 'time')} item {k}, {letter}: {asked[k - 1].says[letter]}")
    if marks:
        mean = sum(mark.right for mark in marks) / len(marks)
        print(f"{count(len(marks), 'reader')}, {mean:.1f} of {len(ITEMS)} right on average.")


def gain(before, after, *, of=20):
    """Normalised gain: what was learned, of what could be learned.

    Parameters
    ----------
    before, after : float
        Right answers, of one reader or on average, in one form and then in the other.
    of : int
        How many there are.

    Returns
    -------
    float
        (after - before) / (of - before): 1 if nothing is left to learn, 0 if nothing was learned, negative if less is
        known.

    Raises
    ------
    ValueError
        If a number is not between 0 and ``of``, or all was known before.

    Notes
    -----
    Hake, *Interactive-engagement versus traditional methods*, American Journal of Physics 66, 64 (1998).

    Examples
    --------
    >>> gain(8, 14)
    0.5
    """
    of = whole_number("of", of, 1, 1000)
    before, after = real_number("before", before, 0, of), real_number("after", after, 0, of)
    if before == of:
        raise ValueError(f"before is {of}: all was known, so nothing is left to gain.")
    return (after - before) / (of - before)
