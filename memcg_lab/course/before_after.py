"""A test of 20 items before the course and after it: two forms that ask the same with other numbers."""

import functools
import re
from collections import Counter, namedtuple

from ..checks import one_of, real_number, whole_number
from ..files import contents, path_of, reason
from ..words import count, printable
from .quiz_draw import Draw
from .quiz_kinds import KINDS
from .quizzes import Question, solve, told

FORMS = ("A", "B")
LETTERS = "ABCD"
TRIES = 2000  # draws that are looked at for a pair of questions which offer the same three wrong thoughts
BYTES_MAX = 1 << 20

# topic, kind: str, as in quiz_kinds. notebook, goal: what that notebook says you will be able to do. thoughts: the
# three wrong thoughts that are offered, as quiz_kinds words them; the first is the one that the item is there for.
Item = namedtuple("Item", "notebook topic kind goal thoughts")
# item: Item. text: str. choices: answers by letter. right: a letter. says: letter -> the sentence of a wrong thought.
Asked = namedtuple("Asked", "item text choices right says")
# name, letters: str. right: int. wrong: numbers of items from 1, left open ones too.
Marked = namedtuple("Marked", "name letters right wrong")

ITEMS = (
    Item(
        "00",
        "start",
        "there_and_back",
        "run the same traffic before and after it, and count what it saves",
        (
            "one for each page, each way, each level: the stock is forgotten.",
            "the root has a counter too.",
            "that is giving back alone; charging goes to the counters too.",
        ),
    ),
    Item(
        "01",
        "profile",
        "not_listed",
        "name four things that a profile does not say",
        (
            "a listing stops somewhere: what is below the last row is not shown.",
            "that is what the rows show together.",
            "each of the rows is shown, not only the first.",
        ),
    ),
    Item(
        "01",
        "profile",
        "rows_on_the_path",
        "tell the rows that belong to giving memory back from those that do not, and from those you cannot tell",
        (
            "spin locks and tcp_ack are used all over; one cannot tell.",
            "callers of the page counter give memory back as well.",
            "the scheduler, the network card and the files have nothing to do with it.",
        ),
    ),
    Item(
        "02",
        "tree",
        "atomics_of_a_charge",
        "draw the tree of counters and say how many atomics a charge costs",
        (
            "the root has a counter too.",
            "one atomic adds any number of pages; count the levels.",
            "only the cgroup and those above it are charged, not the whole tree.",
        ),
    ),
    Item(
        "02",
        "tree",
        "atomics_of_a_refusal",
        "say what happens, level by level, when a charge meets a limit, and why it leaves a trace in the watermark",
        (
            "the walk ends at the level that refuses; those above it are never touched.",
            "those are the additions. What was added has to be taken back.",
            "the level that refuses had added too, and takes its own addition back.",
        ),
    ),
    Item(
        "02",
        "tree",
        "batch_then_exact_size",
        "name what the kernel tries before it refuses, and what a refusal costs",
        (
            "that is one try; the batch of 32 is tried first, then the exact size.",
            "those are the additions; each is taken back.",
            "the try of the whole batch is missing.",
        ),
    ),
    Item(
        "03",
        "stock",
        "all_or_nothing",
        "say what consume, refill and drain do to a stock",
        (
            "a stock with too few pages serves nothing: all or nothing.",
            "there are fewer pages in the stock than that.",
            "that is what a trip to the counters brings.",
        ),
    ),
    Item(
        "03",
        "stock",
        "trips_of_charges",
        "predict hits and misses for simple traffic",
        (
            "a call that finds enough pages in the stock goes nowhere.",
            "those are the calls that the stock serves.",
            "one trip brings 32 pages, not pages for ever.",
        ),
    ),
    Item(
        "04",
        "patch",
        "stock_after_giving_back",
        "say what each changed line does, and why it stands where it stands",
        (
            "the stock is emptied wholly, not down to 32.",
            "above 32 pages the stock is drained; that is what the cap does.",
            "a drain takes all there is, a whole call on top.",
        ),
    ),
    Item(
        "04",
        "patch",
        "lumps_saved",
        "name the traffic for which the patch gains nothing, and the traffic for which it costs more",
        (
            "that is all of them; full stocks are drained.",
            "that is what is left.",
            "a call that drains saves nothing, and one that does not saves an atomic at every level.",
        ),
    ),
    Item(
        "04",
        "patch",
        "two_cgroups_on_a_cpu",
        "name the traffic for which the patch gains nothing, and the traffic for which it costs more",
        (
            "that is not after the patch.",
            "that is one for each page and level; drains and batches are forgotten.",
            "that is charging alone.",
        ),
    ),
    Item(
        "05",
        "drift",
        "the_bound",
        "state how far `memory.current` can be from what is in use, and for how long",
        (
            "depth does not multiply: each level sees the same pages once.",
            "that is not after the patch: only giving back into a stock makes it 32.",
            "that is one CPU's stock.",
        ),
    ),
    Item(
        "05",
        "drift",
        "drift_of_a_story",
        "state how far `memory.current` can be from what is in use, and for how long",
        (
            "that is the bound; the stocks are not all full.",
            "that is before the patch: what came back went to the counters.",
            "that is without the cap: a stock with more than 32 pages is drained.",
        ),
    ),
    Item(
        "05",
        "patch",
        "without_the_cap",
        "say what bounds it, and show what happens without that",
        (
            "that is what the cap lets stay; the cap is taken away.",
            "that is with the cap.",
            "each call brings more than one page.",
        ),
    ),
    Item(
        "05",
        "drift",
        "refused_packets",
        "explain how one refused try pays for the next, for UDP and for TCP",
        (
            "that is not after the patch, or not with packets of this size.",
            "each packet gives back what it took, so the next finds the same.",
            "the first finds no stock to pay from.",
        ),
    ),
    Item(
        "06",
        "lines",
        "time_of_visits",
        "say what a cache line costs, and when a CPU has to wait for it",
        (
            "an atomic on a line that its CPU owns needs no journey.",
            "a CPU that comes back has to fetch the line again.",
            "the line has to travel where another CPU had it.",
        ),
    ),
    Item(
        "06",
        "lines",
        "full_line",
        "say at how many CPUs one line is full",
        (
            "the visit is part of a CPU's round.",
            "one CPU fewer does it already.",
            "most of the time each of two CPUs works, and the line is free.",
        ),
    ),
    Item(
        "07",
        "after",
        "gone_at_least",
        "say how much of the samples went away, and why two ways of counting it disagree",
        (
            "that is at most: each may still have a little less than the lowest row.",
            "both were above the lowest row that is listed now.",
            "each of the two may have that much left.",
        ),
    ),
    Item(
        "08",
        "contention",
        "fewer_levels",
        "put the three remedies beside each other: fewer levels, a larger batch, giving back through the stock",
        (
            "charging is batched: it is not one for each page.",
            "charging goes to the counters as well, once for a batch.",
            "the root has a counter too: a cgroup meets one more than its depth.",
        ),
    ),
    Item(
        "11",
        "traces",
        "drained_in_v6_1",
        "replay a trace, yours too, under other rules",
        (
            "that is the batch of 32; here it is 64.",
            "a stock that holds more than a batch is emptied wholly, not by its surplus.",
            "what was in the stock goes too, or all of it may stay.",
        ),
    ),
)


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
    The forms are of one difficulty by construction. Item by item they have the same goal and the same kind of question,
    and offer the same three wrong thoughts; only the numbers differ, and the order of the choices. Both are drawn from
    integers that never change, and what is right comes out of a run.

    Examples
    --------
    >>> first = form("A")[0]
    >>> first.item.kind, len(first.choices), first.right in "ABCD"
    ('there_and_back', 4, True)
    """
    one_of("form", which, FORMS)
    return tuple(_pair(item)[FORMS.index(which)] for item in ITEMS)


@functools.cache
def _pair(item):
    """The first two draws of an item's kind that offer its three thoughts, with other numbers."""
    found = []
    for turn in range(TRIES):
        text, choices, answer = KINDS[item.topic][item.kind](Draw("before and after", item.kind, turn))
        right, wrong = solve(Question(item.topic, item.kind, text, choices, answer))
        offered = {}
        for answer, why in wrong.items():
            offered.setdefault(why, answer)
        if not set(item.thoughts) <= offered.keys() or any(text == one.text for one in found):
            continue
        values = [right, *(offered[thought] for thought in item.thoughts)]
        if any(set(values) == set(one.choices.values()) for one in found):
            continue
        order = Draw("before and after", item.kind, turn, "order").shuffled(range(4))
        says = {LETTERS[at]: item.thoughts[k - 1] for at, k in enumerate(order) if k}
        by_letter = {LETTERS[at]: values[k] for at, k in enumerate(order)}
        found.append(Asked(item, text, by_letter, LETTERS[order.index(0)], says))
        if len(found) == len(FORMS):
            return tuple(found)
    raise AssertionError(f"{item.kind}: no two draws of {TRIES} offer these three thoughts.")


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
        "Unless an item says otherwise: Linux 4.13, a batch of 32 pages, and a counter at the root too.",
        "",
        "Name: ______________________________    Letters: " + " ".join(["____"] * 5),
    ]
    for place, asked in enumerate(form(which), start=1):
        lines += ["", f"{place}. {asked.text}"]
        lines.append("   " + "    ".join(f"{letter}) {told(value)}" for letter, value in asked.choices.items()))
        if answers:
            lines.append(f"   Right: {asked.right}. Notebook {asked.item.notebook}: {asked.item.goal}.")
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
