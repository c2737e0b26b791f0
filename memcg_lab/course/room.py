"""Codes for the room: a prediction as a few letters, and what a whole room has said, by misconception."""

import functools
import hashlib
import json
import pathlib
import re
import secrets
from collections import Counter, namedtuple
from decimal import Decimal

from ..checks import shown, whole_number
from ..files import path_of
from ..words import count, listing, printable
from . import notes, predictions
from .guesses import GUESSES
from .questions import COUNT, QUESTIONS

# None that looks like another (0 and O, 1 and I and L). 31 is a prime: so every wrong letter and every swap shows.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
BASE = len(ALPHABET)
SIGNS = "0123456789.-,"  # what a prediction is written in before it becomes letters
FORMAT = "memcg-lab room 1"
TAG, MARK, CHECK = 3, 3, 2  # letters for the question, for who says it, and for the check
BODY_MAX = 30 - TAG - MARK - CHECK  # 3 has the powers of 30 places modulo 31: with more, two places weigh the same
DIGITS = 5  # significant digits of a number that is not whole
MARKS = BASE**MARK
_RIGHT, _OTHER = ("right",), ("other",)  # no guess is a tuple
SURE = 75  # percent: from here on somebody counts as sure
CODES_MAX = 200_000  # letters of a text with codes
FILES_MAX = 5_000

# How a value is written; the front end has the same two.
_WHOLE = re.compile("0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9]")
_FOUND = re.compile(r"[0-9A-Za-z]{3,5}(?:[-\u2010-\u2015\u2212][0-9A-Za-z]{1,5}){2,}")

# question: str. values: name -> number or str, what was said. sure: int or None, in percent. mark: int, whose it is.
Said = namedtuple("Said", "question values sure mark")
# codes: list of str, each once. said: list of Said, in that order. again: codes that came again. refused: list of
# (line, what is wrong).
Reading = namedtuple("Reading", "codes said again refused")
# guess: the listed one, else None. said: Counter of what was said. sure: list of int or None, one for each reader.
# sentence: str.
Group = namedtuple("Group", "guess said sure sentence")


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
        What is said, as for :func:`memcg_lab.predict`. Numbers that are not whole are kept to five digits.

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
    'KC42-2239-U62W'
    >>> decode("kc42-2239-u62w")
    Said(question='03.trips', values={'trips': 3}, sure=90, mark=0)
    """
    names = _names(question)
    if not values:
        raise ValueError(f"nothing is said; {question} asks for {listing(names)}.")
    said = {}
    for name, value in values.items():
        try:
            said[name] = predictions.as_asked(question, name, predictions.plain(value, question, name))
        except ValueError as error:
            raise ValueError(f"{name} {error}.") from None
    try:
        sure = predictions.percentage(sure)
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
    >>> decode("KC42-2239-U62X")
    Traceback (most recent call last):
    ...
    ValueError: letter 12 is X; with W it would be a code.
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
    said = None
    words = (_unbody(letters[TAG + MARK : -CHECK]) or "").split(",")
    names = QUESTIONS[question]
    if len(words) == len(names) + 1:
        *words, sure = words
        values = {name: _meant(word, asked) for word, (name, asked) in zip(words, names.items(), strict=True) if word}
        sure = _percent(sure)
        if values and None not in values.values() and sure is not False:
            said = Said(question, values, sure, _value(letters[TAG : TAG + MARK]))
    if said is None:
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
    """The text of SIGNS, or None if these letters are none that :func:`_body` makes."""
    value, text = _value(letters), ""
    while value >= len(SIGNS):
        value, sign = divmod(value, len(SIGNS))
        text = SIGNS[sign] + text
    return text if value == 1 and letters[0] != ALPHABET[0] else None


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
    """A value from its signs, or None if they are not how one is written."""
    if isinstance(asked, tuple):
        return asked[int(word)] if _WHOLE.fullmatch(word) and 0 <= int(word) < len(asked) else None
    if _WHOLE.fullmatch(word):
        return int(word)
    return float(word) if asked != COUNT and _NUMBER.fullmatch(word) else None


def _percent(word):
    """A percentage, None if none was said, False if it is none."""
    if not word:
        return None
    return int(word) if _WHOLE.fullmatch(word) and 0 <= int(word) <= 100 else False


def _names(question):
    if not isinstance(question, str) or question not in QUESTIONS:
        raise ValueError(f"there is no question {shown(question)}; there are {listing(QUESTIONS)}.")
    return QUESTIONS[question]


@functools.cache
def _mark():
    """Whose codes these are: a number that lasts as long as Python runs, and says nothing else."""
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
    The code has the question, what you said, how sure you are, and three letters drawn anew with each Python, so
    that two readers who say the same are counted as two. It has no name.

    Examples
    --------
    >>> room_code("03.partly")
    No prediction yet, so there is no code. Say predict("03.partly", ...) first.
    """
    _names(question)
    said, sure = predictions.noted(question)
    if not said:
        print(f'No prediction yet, so there is no code. Say predict("{question}", ...) first.')
        return
    print(f"Code for the room: {code(question, sure=sure, mark=_mark(), **said)}")


# --- many codes ------------------------------------------------------------------------------------------------------
def read_codes(text):
    r"""Find the codes in a text, whatever stands around them.

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
    A code that comes again is counted once, and told. What looks like a code and is none is refused with its line:
    three groups or more with dashes between them, in which there are both letters and digits, or which begin as the
    codes of a question do. All else on a line is passed over: words such as foo-bar-baz, dates, telephone numbers.

    Examples
    --------
    >>> reading = read_codes("Ada: KC42-2239-U62W, sure!\n\nKC42-2239-U62W\nKC42-2239-6U2W")
    >>> len(reading.said), reading.again, reading.refused
    (1, 1, [(4, 'letters 9 and 10, 6U, have changed places.')])
    """
    if not isinstance(text, str) or len(text) > CODES_MAX:
        what = f"{len(text):,} letters" if isinstance(text, str) else shown(text)
        raise ValueError(f"codes is {what}; it must be a text of at most {CODES_MAX:,} letters.")
    found, again, refused = {}, 0, []
    for line, words in enumerate(text.split("\n"), start=1):
        for match in _FOUND.finditer(words):
            letters = re.sub("[^0-9A-Z]", "", match[0].upper())
            if len(letters) < TAG + MARK + 1 + CHECK:
                continue  # such as a date
            try:
                said = decode(letters)
            except ValueError as error:
                if _meant_as_code(letters):
                    refused.append((line, str(error)))
                continue
            again += _grouped(letters) in found
            found[_grouped(letters)] = said
    return Reading(list(found), list(found.values()), again, refused)


def _meant_as_code(letters):
    """Letters and digits, or the first three are those of a question: no words, and no telephone number."""
    return letters[:TAG] in tags() or not (letters.isdigit() or letters.isalpha())


def codes_of(path):
    """The predictions in readers' own files as codes, one a line.

    Parameters
    ----------
    path : str or Path
        A file ``notes.json`` of a reader, or a folder with such files (``*.json``, whatever their names).

    Returns
    -------
    str
        What :func:`read_codes` and ``RoomLab(codes=...)`` take: file name and code. A file that is none of a reader's,
        or a prediction that no code can hold, has a line that says so.

    Raises
    ------
    ValueError
        If there is no such file, no JSON file in the folder, or more than 5,000.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = {"format": "memcg-lab notes", "version": 1}
    ...     kept["predictions"] = {"03.trips": {"said": {"trips": 3}, "sure": 90}}
    ...     _ = pathlib.Path(folder, "ada.json").write_text(json.dumps(kept))
    ...     print(codes_of(folder))
    ada.json: KC42-2239-U62W
    """
    path = path_of(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise ValueError(
            f"{printable(path)}: no {'*.json in this folder' if path.is_dir() else 'such file or folder'}."
        )
    if len(files) > FILES_MAX:
        raise ValueError(f"{printable(path)} has {len(files):,} JSON files; at most {FILES_MAX:,} are read.")
    lines = []
    for mark, file in enumerate(files):
        name = printable(file.name)
        try:
            noted = notes.read(file)["predictions"]
        except ValueError as error:
            lines.append(f"{name} is not read: {error}")
            continue
        for question, said in noted.items():
            if isinstance(said, dict) and "said" not in said and "shown" in said:
                continue  # nothing was said before the run was shown
            try:
                lines.append(f"{name}: {code(question, sure=said['sure'], mark=mark, **said['said'])}")
            except (ValueError, TypeError, KeyError):
                lines.append(f"{name}: what it says to {printable(question)} is nothing that a code can hold.")
    return "\n".join(lines)


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
        What is right first; each known wrong guess, those that nobody made too; all else last.
    """
    asked, truth = _names(question)[name], truths()[question][name]
    guesses = GUESSES.get(question, {}).get(name, {})
    near = predictions.nearness(asked)
    made = {key: Group(None, Counter(), [], "") for key in (_RIGHT, *guesses, _OTHER)}
    made |= {guess: Group(guess, Counter(), [], sentence) for guess, sentence in guesses.items()}
    for one in said:
        if one.question != question or name not in one.values:
            continue
        value = one.values[name]
        if predictions.is_right(value, truth, asked):
            key = _RIGHT
        elif isinstance(value, str):
            key = value if value in guesses else _OTHER
        else:
            same = [guess for guess in guesses if not isinstance(guess, str) and near(value, guess)]
            key = min(same, key=lambda guess: abs(guess - value)) if same else _OTHER
        made[key].said[value] += 1
        made[key].sure.append(one.sure)
    return list(made.values())


def told(said):
    """Values with how often each was said, the most frequent first: ``1,200 (3), 1,201``."""
    order = sorted(said.items(), key=lambda item: (-item[1], str(item[0]) if isinstance(item[0], str) else "", item[0]))
    return ", ".join(f"{predictions.worded(value)}" + (f" ({n})" if n > 1 else "") for value, n in order)
