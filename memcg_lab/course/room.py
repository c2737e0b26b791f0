"""Codes for the room: a prediction as a few letters, and what a whole room has said, by misconception."""

import functools
import hashlib
import json
import pathlib
import re
import secrets
import statistics
from collections import Counter, namedtuple
from decimal import Decimal

from ..checks import shown, whole_number
from ..files import path_of, reason
from ..words import count, listing, number, printable
from . import predictions
from .guesses import GUESSES
from .questions import QUESTIONS

# 31 letters, a prime: none that looks like another (0 and O, 1 and I and L). So every wrong letter and every swap shows.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
BASE = len(ALPHABET)
SIGNS = "0123456789.-,"  # what a prediction is written in before it becomes letters
FORMAT = "memcg-lab room 1"
TAG, MARK, CHECK = 3, 3, 2  # letters for the question, for who says it, and for the check
BODY_MAX = 30 - TAG - MARK - CHECK  # 3 has the powers of 30 places modulo 31: with more, two places weigh the same
DIGITS = 9  # significant digits of a number that is not whole
MARKS = BASE**MARK
SURE = 75  # percent: from here on somebody counts as sure
CODES_MAX = 200_000  # letters of a text with codes
FILES_MAX = 5_000
FILE_MAX = 1 << 24  # bytes

_FOUND = re.compile(r"[0-9A-Za-z]{3,5}(?:[-\u2010-\u2015\u2212][0-9A-Za-z]{1,5}){2,}")

# question: str. values: name -> number or str, what was said. sure: int or None, in percent. mark: int, whose it is.
Said = namedtuple("Said", "question values sure mark")
# codes: list of str, each once. said: list of Said, in that order. again: codes that came again. refused: list of
# (line, what is wrong).
Reading = namedtuple("Reading", "codes said again refused")
# kind: "right", "guess" or "other". said: Counter of what was said. sure: list of int. sentence: str.
Group = namedtuple("Group", "kind said sure sentence")


@functools.cache
def truths():
    """What came out: question -> name -> value, as the committed notebooks print it."""
    return json.loads(pathlib.Path(__file__).with_name("truths.json").read_text(encoding="utf-8"))


@functools.cache
def tags():
    """The first letters of a code -> its question."""
    return {_tag(question, names): question for question, names in QUESTIONS.items()}


def _tag(question, names):
    """Letters for a question: others as soon as it asks for something else."""
    asked = json.dumps([FORMAT, question, [[name, kind] for name, kind in names.items()]])
    return _letters(int.from_bytes(hashlib.sha256(asked.encode("ascii")).digest()[:8], "big") % BASE**TAG, TAG)


# --- a code ----------------------------------------------------------------------------------------------------------
def code(question, *, sure=None, mark=0, **values):
    """A prediction as a code to read aloud, to type or to paste.

    Parameters
    ----------
    question : str
        One of the notebooks', such as "03.trips".
    sure : int or float, optional
        Percent, 0 to 100; the code has it to the percent.
    mark : int
        Tells two readers apart who say the same, 0 to 29,790.
    **values : number or str
        What is said, as for :func:`memcg_lab.predict`. Numbers that are not whole are kept to nine digits.

    Returns
    -------
    str
        At most 37 letters of 31, in groups of four: no 0, O, 1, I or L. The last two are the check.

    Raises
    ------
    ValueError
        If there is no such question, a value is none, or the numbers have too many digits for a code.

    Notes
    -----
    The values *v* of all letters, counted from the right as *i* = 0, 1, ..., have the sum 0 modulo 31, and so has the
    sum of 3^i v. A wrong letter changes the first sum. Two neighbours that changed places change the second, as
    3^i and 3^(i+1) differ. Together the two say which letter is wrong.

    Examples
    --------
    >>> code("03.trips", trips=3, sure=90)
    'N26C-2222-72E8-5'
    >>> decode("n26c-2222-72e8-5")
    Said(question='03.trips', values={'trips': 3}, sure=90, mark=0)
    """
    names = _names(question)
    if not values:
        raise ValueError(f"nothing is said; {question} asks for {listing(names)}.")
    said = {}
    for name, value in values.items():
        try:
            said[name] = predictions._asked(question, name, predictions._plain(value, question, name))
        except ValueError as error:
            raise ValueError(f"{name} {error}.") from None
    try:
        sure = predictions._percentage(sure)
    except ValueError as error:
        raise ValueError(f"sure {error}.") from None
    mark = whole_number("mark", mark, 0, MARKS - 1)
    words = [_written(said[name], asked) if name in said else "" for name, asked in names.items()]
    words.append("" if sure is None else str(round(sure)))
    body = _body(",".join(words))
    if len(body) > BODY_MAX:
        raise ValueError("these numbers have too many digits for a code; round them.")
    return _grouped(_checked(_tag(question, names) + _letters(mark, MARK) + body))


def decode(text):
    """What a code says.

    Parameters
    ----------
    text : str
        Small letters, blanks and missing hyphens do not matter.

    Returns
    -------
    Said

    Raises
    ------
    ValueError
        If it is no code. The message says which letter is wrong, or which two have changed places, where only one
        such change makes a code of it.

    Examples
    --------
    >>> decode("N26C-2222-72F8-5")
    Traceback (most recent call last):
    ...
    ValueError: letter 11 is F; with E it would be a code.
    """
    letters = re.sub(r"[\s\u2010-\u2015\u2212-]", "", text.upper()) if isinstance(text, str) else ""
    if not letters:
        raise ValueError(f"{shown(text)} is no code.")
    for place, letter in enumerate(letters, start=1):
        if letter not in ALPHABET:
            raise ValueError(f"letter {place} is {printable(letter)}, which no code has.")
    low, high = TAG + MARK + 1 + CHECK, TAG + MARK + BODY_MAX + CHECK
    if not low <= len(letters) <= high:
        raise ValueError(f"it has {count(len(letters), 'letter')}; a code has {low} to {high}.")
    if any(_sums(letters)):
        raise ValueError(_mended(letters))
    return _read(letters)


def _read(letters):
    """What letters with the right check say."""
    question = tags().get(letters[:TAG])
    if question is None:
        raise ValueError("its first three letters name no question of this version.")
    body = letters[TAG + MARK : -CHECK]
    *words, sure = _unbody(body).split(",")
    names = QUESTIONS[question]
    try:
        values = {
            name: _meant(word, asked) for word, (name, asked) in zip(words, names.items(), strict=True) if word != ""
        }
        said = Said(question, values, int(sure) if sure else None, _value(letters[TAG : TAG + MARK]))
        again = code(question, sure=said.sure, mark=said.mark, **values)
    except (ValueError, IndexError, ArithmeticError):
        again = None
    if again != _grouped(letters):
        raise ValueError(f"it names {question}, but says nothing that can be said there.")
    return said


def _mended(letters):
    """What is wrong, where one change alone makes a code of it."""
    one = [(k, letter) for k in range(len(letters)) for letter in ALPHABET if _good(_with(letters, k, letter))]
    swaps = [(k,) for k in range(len(letters) - 1) if _good(_swapped(letters, k))]
    if len(one) + len(swaps) == 1:
        if one:
            ((k, letter),) = one
            return f"letter {k + 1} is {letters[k]}; with {letter} it would be a code."
        ((k,),) = swaps
        return f"letters {k + 1} and {k + 2}, {letters[k : k + 2]}, have changed places."
    return "the last two letters do not fit the others: something is wrong, missing or too much."


def _good(letters):
    if any(_sums(letters)):
        return False
    try:
        _read(letters)
    except ValueError:
        return False
    return True


def _with(letters, k, letter):
    return letters[:k] + letter + letters[k + 1 :]


def _swapped(letters, k):
    return letters[:k] + letters[k + 1] + letters[k] + letters[k + 2 :]


def _sums(letters):
    values = [ALPHABET.index(letter) for letter in reversed(letters)]
    return sum(values) % BASE, sum(pow(3, i, BASE) * v for i, v in enumerate(values)) % BASE


def _checked(letters):
    """The letters with their check behind them."""
    plain, weighed = _sums(letters + 2 * ALPHABET[0])
    one = (plain - weighed) * pow(2, -1, BASE) % BASE
    return letters + ALPHABET[one] + ALPHABET[(-plain - one) % BASE]


def _grouped(letters):
    return "-".join(letters[k : k + 4] for k in range(0, len(letters), 4))


def _letters(value, n):
    made = ""
    for _ in range(n):
        value, digit = divmod(value, BASE)
        made = ALPHABET[digit] + made
    return made


def _value(letters):
    return functools.reduce(lambda value, letter: value * BASE + ALPHABET.index(letter), letters, 0)


def _body(text):
    """A text of SIGNS as letters: its signs are the digits of a number, behind a 1 that keeps zeros in front."""
    value = functools.reduce(lambda value, sign: value * len(SIGNS) + SIGNS.index(sign), text, 1)
    made = ""
    while value:
        value, digit = divmod(value, BASE)
        made = ALPHABET[digit] + made
    return made


def _unbody(letters):
    value, text = _value(letters), ""
    while value >= len(SIGNS):
        value, sign = divmod(value, len(SIGNS))
        text = SIGNS[sign] + text
    return text


def _written(value, asked):
    """A value in SIGNS: a choice by its place, a number with its digits."""
    if isinstance(asked, tuple):
        return str(asked.index(value))
    if isinstance(value, int):
        return str(value)
    text = format(Decimal(f"{value:.{DIGITS}g}"), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _meant(word, asked):
    if isinstance(asked, tuple):
        return asked[int(word)]
    return float(word) if "." in word else int(word)


def _names(question):
    if question not in QUESTIONS:
        raise ValueError(f"there is no question {shown(question)}; there are {listing(QUESTIONS)}.")
    return QUESTIONS[question]


@functools.cache
def _mark():
    """Whose codes these are: a number of this session, and of nothing else."""
    return secrets.randbelow(MARKS)


def room_code(question):
    """Print what you have predicted as a code for the room.

    Parameters
    ----------
    question : str
        The name given to :func:`memcg_lab.predict`.

    Raises
    ------
    ValueError
        If there is no such question, or the numbers have too many digits for a code.

    Notes
    -----
    The code has the question, what you said, how sure you are, and three letters that are drawn once a session, so
    that two readers who say the same are counted as two. It has no name.

    Examples
    --------
    >>> room_code("03.partly")
    No prediction yet, so there is no code. Say predict("03.partly", ...) first.
    """
    _names(question)
    said = predictions._said.get(question)
    if not said:
        print(f'No prediction yet, so there is no code. Say predict("{question}", ...) first.')
        return
    print(f"Code for the room: {code(question, sure=predictions._sure.get(question), mark=_mark(), **said)}")


# --- many codes ------------------------------------------------------------------------------------------------------
def read_codes(text):
    """Find the codes in a text, whatever stands around them.

    Parameters
    ----------
    text : str
        One or more a line, at most 200,000 letters.

    Returns
    -------
    Reading

    Raises
    ------
    ValueError
        If it is no text, or too long.

    Notes
    -----
    A code that comes again is counted once, and told. What looks like a code and is none is refused with its line.
    A line in which nothing looks like one is passed over.

    Examples
    --------
    >>> reading = read_codes("Ada: N26C-2222-72E8-5, sure!\\n\\nN26C-2222-72E8-5\\nN26C-2222-7E28-5")
    >>> len(reading.said), reading.again, reading.refused
    (1, 1, [(4, 'letters 10 and 11, E2, have changed places.')])
    """
    if not isinstance(text, str) or len(text) > CODES_MAX:
        what = f"{len(text):,} letters" if isinstance(text, str) else shown(text)
        raise ValueError(f"codes is {what}; it must be a text of at most {CODES_MAX:,} letters.")
    found, again, refused = {}, 0, []
    for line, words in enumerate(text.split("\n"), start=1):
        for match in _FOUND.finditer(words):
            letters = re.sub("[^0-9A-Z]", "", match[0].upper())
            if len(letters) < TAG + MARK + 1 + CHECK:
                continue  # a date, a telephone number
            try:
                said = decode(letters)
            except ValueError as error:
                refused.append((line, str(error)))
                continue
            again += _grouped(letters) in found
            found[_grouped(letters)] = said
    return Reading(list(found), list(found.values()), again, refused)


def groups(question, name, said):
    """What a room said to one thing asked, by misconception.

    Parameters
    ----------
    question, name : str
    said : list of Said
        Answers to other questions are passed over.

    Returns
    -------
    list of Group
        What is right; each known wrong guess, those that nobody made too; all else.
    """
    asked, truth = _names(question)[name], truths()[question][name]
    guesses = GUESSES.get(question, {}).get(name, {})
    near = predictions._nearness(asked)
    made = {
        key: Group(kind, Counter(), [], sentence)
        for key, kind, sentence in [
            ("right", "right", ""),
            *((guess, "guess", sentence) for guess, sentence in guesses.items()),
            ("other", "other", ""),
        ]
    }
    for one in said:
        if one.question != question or name not in one.values:
            continue
        value = one.values[name]
        if predictions._right(value, truth, asked):
            key = "right"
        elif isinstance(value, str):
            key = value if value in guesses else "other"
        else:
            same = [guess for guess in guesses if not isinstance(guess, str) and near(value, guess)]
            key = min(same, key=lambda guess: abs(guess - value)) if same else "other"
        made[key].said[value] += 1
        made[key].sure.extend([] if one.sure is None else [one.sure])
    return list(made.values())


def told(said):
    """Values with how often each was said, the most frequent first: ``1,200 (3), 1,201``."""
    order = sorted(said.items(), key=lambda item: (-item[1], str(item[0]) if isinstance(item[0], str) else "", item[0]))
    return ", ".join(f"{predictions._word(value)}" + (f" ({n})" if n > 1 else "") for value, n in order)


def mean_sure(group):
    """How sure they were on average, in whole percent, or None where nobody said."""
    return round(statistics.fmean(group.sure)) if group.sure else None
