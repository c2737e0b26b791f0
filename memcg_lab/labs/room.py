"""The room lab: what a whole room has predicted, by misconception, from codes that anybody can paste."""

import re
from collections import Counter, namedtuple

import pandas as pd

from .. import figures
from ..checks import flag, one_of, shown
from ..course import notes, predictions, room
from ..course.guesses import GUESSES
from ..course.questions import COUNT, FACTOR, NUMBER, QUESTIONS
from ..words import count, listing, number
from .base import Lab

ASKED = tuple(f"{question} {name}" for question, names in QUESTIONS.items() for name in names)
REFUSED_SHOWN = MOST_SHOWN = 3

# The sentences; the front end has no others.
WORDS = {
    "none": "No codes for {asked} yet. Paste them, one a line; whatever stands around them does not matter.",
    "said": "{asked}: {answers}. Said most often: {most}.",
    "right": "{asked}: {answers}, {right} right; the run says {truth}.",
    "met": "Of the wrong answers that are known, met most often: {most}.",
    "each once": "{most}, each once",
    "sure": "{sure} at least {from} % sure, and wrong: what is believed so firmly is mended best, so begin there.",
    "again": "{codes} came more than once; each code counts once.",
    "elsewhere": "{answers} to other questions.",
    "refused": "{codes} could not be read: {told}.",
    "line": "line {line}, {what}",
    "more": "and {more} more",
    "others": "others",
    "truth": "right: {truth}",
    "heads": ["answer", "answers", "sure", "sure on average, %", "what leads there"],
}

Result = namedtuple("Result", "settings reading rows")
# label, says: str. answers, sure: int. mean: int or None. kind: "right", "guess", "other" or "said".
Row = namedtuple("Row", "label answers sure mean kind says")


class RoomLab(Lab):
    """The room's answers on the wall: a bar for each answer, and once the run has been shown, which thought led there.

    Parameters
    ----------
    asked : str
        One of ``RoomLab.asked``: a question and one of the things it asks, such as "00.atomics before".
    codes : str
        What ``room_code`` printed for each reader, one or more a line, with anything around them.
    told : bool
        Say what came out, and sort the answers by misconception. Leave it until the run has been shown.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Notes
    -----
    A code has no name in it. The same code counts once. It all happens here: nothing is sent anywhere.

    Examples
    --------
    >>> lab = RoomLab(asked="03.trips trips", codes="KC42-2239-U62W")
    >>> print(lab.message)
    03.trips trips: 1 answer. Said most often: 3.
    >>> lab.set(told=True)
    >>> print(lab.message)
    03.trips trips: 1 answer, 0 right; the run says 4. Of the wrong answers that are known, met most often: 3. \
1 at least 75 % sure, and wrong: what is believed so firmly is mended best, so begin there.
    """

    asked = ASKED

    def __init__(self, *, asked="00.atomics before", codes="", told=False):
        super().__init__(asked=asked, codes=codes, told=told)

    def check(self, settings):
        """See the base."""
        if not isinstance(settings["codes"], str) or len(settings["codes"]) > room.CODES_MAX:
            raise ValueError(f"codes is {shown(settings['codes'])}; give at most {room.CODES_MAX:,} letters of text.")
        return {
            "asked": one_of("asked", settings["asked"], ASKED),
            "codes": settings["codes"],
            "told": flag("told", settings["told"]),
        }

    def compute(self, settings):
        """See the base."""
        reading = room.read_codes(settings["codes"])
        question, name = settings["asked"].split(" ")
        make = _rows_told if settings["told"] else _rows_said
        return Result(settings, reading, make(question, name, reading.said))

    def sentence(self, result=None):
        """How many, how many of them right, what was met most often, who was sure and wrong, what could not be read."""
        settings, reading, rows = result or self.result
        question, name = asked = settings["asked"].split(" ")
        answers = sum(row.answers for row in rows)
        parts = []
        if not answers:
            parts.append(WORDS["none"].format(asked=" ".join(asked)))
        elif not settings["told"]:
            said = WORDS["said"]
            parts.append(said.format(asked=" ".join(asked), answers=count(answers, "answer"), most=_most(rows)))
        else:
            right, wrong = rows[0], rows[1:]
            truth = predictions.worded(room.truths()[question][name])
            right_words = {"answers": count(answers, "answer"), "right": number(right.answers), "truth": truth}
            parts.append(WORDS["right"].format(asked=" ".join(asked), **right_words))
            met = [row for row in wrong if row.kind == "guess" and row.answers]
            if met:
                parts.append(WORDS["met"].format(most=_most(met)))
            sure = sum(row.sure for row in wrong)
            if sure:
                parts.append(WORDS["sure"].format_map({"sure": number(sure), "from": room.SURE}))
        if reading.again:
            parts.append(WORDS["again"].format(codes=count(reading.again, "code")))
        elsewhere = sum(one.question != question or name not in one.values for one in reading.said)
        if elsewhere:
            parts.append(WORDS["elsewhere"].format(answers=count(elsewhere, "answer")))
        if reading.refused:
            parts.append(_refused(reading.refused))
        return " ".join(parts)

    def table(self, result=None):
        """Every answer: how many gave it, how many of them were sure, and what leads there."""
        rows = (result or self.result).rows
        answer, *heads = WORDS["heads"]
        columns = zip(heads, zip(*([r.answers, r.sure, r.mean, r.says] for r in rows)) if rows else ((),) * 4)
        index = pd.Index([row.label for row in rows], name=answer, dtype=object)
        return pd.DataFrame({head: pd.Series(list(values), index, dtype=object) for head, values in columns})

    def figure(self, result=None):
        """A bar for each answer."""
        result = result or self.result
        table = pd.DataFrame(
            [[row.answers, row.sure, row.mean, row.kind == "right", row.says] for row in result.rows],
            index=pd.Index([row.label for row in result.rows], name="answer", dtype=object),
            columns=figures.answers.COLUMNS,
        )
        return figures.answers_by_guess(table, self.sentence(result), room.SURE)

    def data(self):
        """See the base."""
        return {
            "words": WORDS,
            "asked": ASKED,
            "alphabet": room.ALPHABET,
            "signs": room.SIGNS,
            "lengths": [room.TAG, room.MARK, room.CHECK, room.BODY_MAX],
            "digits": room.DIGITS,
            "sure": room.SURE,
            "most": room.CODES_MAX,
            "refused_shown": REFUSED_SHOWN,
            "most_shown": MOST_SHOWN,
            "notes": [notes.FORMAT, notes.VERSION],
            "kinds": {"count": COUNT, "number": NUMBER, "factor": FACTOR},
            "questions": {
                question: {
                    "tag": tag,
                    "names": {
                        name: {
                            "asked": asked,
                            "truth": room.truths()[question][name],
                            "guesses": list(GUESSES.get(question, {}).get(name, {}).items()),
                        }
                        for name, asked in QUESTIONS[question].items()
                    },
                }
                for tag, question in room.tags().items()
            },
        }


def _rows_said(question, name, said):
    """What was said, the most frequent first, without a word on it."""
    ours = [one for one in said if one.question == question and name in one.values]
    values = Counter(one.values[name] for one in ours)
    order = sorted(values, key=lambda value: (-values[value], value))
    return [
        _row(predictions.worded(value), "said", "", [one.sure for one in ours if one.values[name] == value])
        for value in order
    ]


def _rows_told(question, name, said):
    """What came out, then what was met, the most frequent first, then what was not, then the rest."""
    right, *guesses, other = room.groups(question, name, said)
    truth = room.truths()[question][name]
    rows = [_row(WORDS["truth"].format(truth=predictions.worded(truth)), "right", _unless(right, truth), right.sure)]
    for group in sorted(guesses, key=lambda group: -len(group.sure)):
        rows.append(_row(predictions.worded(group.guess), "guess", group.sentence, group.sure))
    return [*rows, _row(WORDS["others"], "other", room.told(other.said), other.sure)]


def _unless(group, truth):
    """What was said, unless all said the very truth."""
    return room.told(group.said) if set(group.said) - {truth} else ""


def _row(label, kind, says, sure):
    known = [percent for percent in sure if percent is not None]
    mean = int(sum(known) / len(known) + 0.5) if known else None
    return Row(label, len(sure), sum(percent >= room.SURE for percent in known), mean, kind, says)


def _most(rows):
    """The answers that came most often; of many the first, and how many more there are."""
    most = rows[0].answers
    labels = [row.label for row in rows if row.answers == most]
    more = len(labels) - MOST_SHOWN
    told = listing(labels if more <= 0 else [*labels[:MOST_SHOWN], f"{number(more)} more"])
    return WORDS["each once"].format(most=told) if most == 1 and len(labels) > 1 else told


def _refused(refused):
    lines = [WORDS["line"].format(line=line, what=re.sub(r"\.$", "", what)) for line, what in refused[:REFUSED_SHOWN]]
    more = len(refused) - len(lines)
    told = "; ".join([*lines, *([WORDS["more"].format(more=number(more))] if more else [])])
    return WORDS["refused"].format(codes=count(len(refused), "code"), told=told)
