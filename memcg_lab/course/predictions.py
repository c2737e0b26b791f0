"""What the reader expects, before the run shows it; kept in the reader's own file."""

import math
import numbers

from ..checks import shown
from ..words import kind, listing, number, printable, wrapped
from . import asking, notes
from .guesses import met
from .questions import COUNT, FACTOR, QUESTIONS, YES_NO

TEXT_MAX = 200  # letters of a prediction in words
DIGITS_MAX = 300  # what a float still holds
NUMBER_MAX = 10**DIGITS_MAX

LATE = "The run has been shown already: what you said before it counts."
CHANGED = "You changed this after the run was shown; that counts no more."
SEEN = "The run was shown before you said this: it gets no score."
NOTHING_YET = "No prediction yet. Replace None by your numbers and run this cell again."


def predict(question, *, sure=None, **values):
    """Write down what you expect. None or ... means that you have not decided yet.

    In a notebook where nothing is decided a small form stands there to say it. What you say last before
    :func:`reveal` shows the run is kept and counts; what you say later stands beside it in the notes, and if it is the
    first you say, it gets no score.

    Parameters
    ----------
    question : str
        The notebook's name for it, such as "04.atomics".
    sure : int or float, optional
        How sure you are, in percent, 0 to 100, that each of these is right, or near enough where near is enough. Then
        :func:`reveal` says a score as well.
    **values : number or str
        One for each thing asked. A name that the question does not have, or a text where a number is asked, is not
        noted, and told so.

    Raises
    ------
    ValueError
        If the question has no name or nothing is asked.

    Examples
    --------
    >>> predict("04.atomics", before=None, after=None)
    No prediction yet. Replace None by your numbers and run this cell again.
    >>> predict("04.atomics", before=1200, after=40)
    Noted: before 1,200, after 40.
    >>> predict("04.atomics", before=1200, after=40, sure=70)
    Noted: before 1,200, after 40; 70 % sure.
    >>> predict("00.atomics", befor=1200, after="few", sure=170)
    Not noted: befor was not asked; asked are before and after.
    Not noted: after is "few", a text; give a number.
    Not noted: sure is 170; give a percentage from 0 to 100.
    """
    _named(question, values)
    if all(value is None or value is ... for value in [sure, *values.values()]):
        _ask(question, values)
    else:
        _note(question, sure, values)


def _ask(question, names):
    """A form for all the names, with what was said before in it."""
    said, sure = noted(question)
    late = SEEN if not said else ""
    if not said:
        said, sure = _afterwards(question)
    asked = QUESTIONS.get(question, {})
    controls = [asking.control(name, name.replace("_", " "), asked.get(name)) for name in names]
    values = {name: str(value) for name, value in said.items()} | ({} if sure is None else {"sure": str(sure)})
    text = "\n".join(filter(None, [_noting(said, sure), late])) if said else NOTHING_YET
    form = {
        "kind": "predict",
        "name": question,
        "controls": [*controls, asking.control("sure", "How sure are you?", "sure")],
        "button": "Write it down",
        "values": values,
        "status": text if said else "",
    }

    def answer(texts):
        typed = {name: asking.typed(texts.get(name, "")) for name in names}
        if all(value is None for value in typed.values()):
            print("Nothing is said yet.")
        else:
            _note(question, asking.typed(texts.get("sure", "")), typed)

    asking.show(text, form, answer)


def _note(question, sure, values):
    """Keep what is said, and say what is not."""
    said, missing, refused = {}, [], []
    for name, value in values.items():
        if value is None or value is ...:
            missing.append(name)
            continue
        try:
            said[name] = as_asked(question, name, plain(value, question, name))
        except ValueError as error:
            refused.append(f"{printable(name)} {error}")
    try:
        sure = percentage(sure)
    except ValueError as error:
        sure = None
        refused.append(f"sure {error}")
    if said:
        late = _keep(question, {"said": said, "sure": sure})
        print(_noting(said, sure))
        if late:
            print(late)
    for complaint in refused:
        print(f"Not noted: {complaint}.")
    if missing:
        print(f"Still open: {listing([printable(name) for name in missing])}.")


def _keep(question, told):
    """Write down what is said; what to say if it comes too late. What was said before the run was shown stays."""
    said, sure = noted(question)
    kept = notes.recall("predictions", question)
    if not isinstance(kept, dict) or "shown" not in kept:
        notes.remember("predictions", question, told)
        return None
    if told == {"said": said, "sure": sure}:
        return None
    notes.remember("predictions", question, kept | {"afterwards": told})
    return LATE if said else SEEN


def _noting(said, sure):
    return f"Noted: {told_of(said)}{'' if sure is None else f'; {number(sure)} % sure'}."


def noted(question):
    """(what was said, how sure) as it is kept; what a reader wrote into the file and nobody can judge is left out."""
    return _read(question, notes.recall("predictions", question))


def _afterwards(question):
    """The same of what was said after the run was shown."""
    kept = notes.recall("predictions", question)
    return _read(question, kept.get("afterwards") if isinstance(kept, dict) else None)


def _read(question, kept):
    said = {}
    if not isinstance(kept, dict) or not isinstance(kept.get("said"), dict):
        return {}, None
    for name, value in kept["said"].items():
        try:
            said[name] = as_asked(question, name, plain(value, question, name))
        except ValueError:
            pass
    try:
        return said, percentage(kept.get("sure"))
    except ValueError:
        return said, None


def reveal(question, **values):
    """Put what the run says beside what you said.

    Parameters
    ----------
    question : str
        The name given to :func:`predict`.
    **values : number or str
        What came out.

    Raises
    ------
    ValueError
        If nothing is revealed, or a value is neither a finite number nor a short text.

    Notes
    -----
    Once the run was shown, what was said before it stays; a change counts no more, and what is said first then is told
    what it overlooks, but gets no score. To begin anew, take the question out of ``notes.json``.

    What is counted is right or not: ``questions.py`` says of each question whether near is enough. A wrong answer that
    others have given too gets a sentence: which thought leads there, and what it overlooks.

    With ``sure`` there is a score, the mean over all that was said and can be judged. Say *p* is how sure you were, 0
    to 1. The score of one answer is Brier's: (1 - p)² if you were right, p² if not. 0 is best and 1 worst; who always
    says 50 % gets 0.25; and whatever you believe, you do best on average by saying just that. Right means: a choice is
    the one that came out, and what is counted is the very number. Where near is enough you bet on an interval, from
    your number / 1.1 to your number × 1.1 (1 to each side of what the run says if that is not above 0; 0.01 to each
    side for a factor near 1): right means that it holds what the run says.

    Examples
    --------
    >>> predict("04.stock", uncharge_hunk_alone=50, both=2, sure=70)
    Noted: uncharge_hunk_alone 50, both 2; 70 % sure.
    >>> reveal("04.stock", uncharge_hunk_alone=200, both=2)
    uncharge_hunk_alone: you said 50, the run says 200; you were 4 times too low.
    both: you said 2, the run says 2; exactly right.
    Score 0.29 (0 is best, 1 worst; 50 % sure gets 0.25): you were 70 % sure, and 1 of 2 is right.
    >>> predict("04.lump", pages_per_call=32)
    Noted: pages_per_call 32.
    >>> reveal("04.lump", pages_per_call=33)
    pages_per_call: you said 32, the run says 33; you were 1 too low, and this is counted: near is not
    enough.
    32 is the batch. 32 pages may stay, so every second call is free; `>` is not `>=`.
    >>> reveal("04.nothing", before=621, after=39)
    You said nothing yet.
    The run says before 621, after 39.
    """
    _named(question, values)
    truth = {}
    for name, value in values.items():
        try:
            truth[name] = plain(value)
        except ValueError as error:
            raise ValueError(f"{name} {error}.") from None
    said, sure = noted(question)
    kept = notes.recall("predictions", question)
    kept = kept if isinstance(kept, dict) else {}
    if "shown" not in kept:
        notes.remember("predictions", question, kept | {"shown": True})
    unseen = bool(said)
    if not unseen:
        said, _ = _afterwards(question)
    if not said.keys() & truth.keys():
        # Two lines: JupyterLab shows the first one of what is folded.
        print(f"You said nothing yet.\nThe run says {told_of(truth)}.")
        return
    judged = []
    for name, value in truth.items():
        called = printable(name)
        if name not in said:
            print(f"{called}: you said nothing, the run says {worded(value)}.")
            continue
        asked = QUESTIONS.get(question, {}).get(name)
        verdict = _verdict(said[name], value, asked)
        print(wrapped(f"{called}: you said {worded(said[name])}, the run says {worded(value)}{verdict}."))
        right = is_right(said[name], value, asked)
        judged += [] if right is None else [right]
        sentence = None if right is not False else met(question, name, said[name], near=nearness(asked))
        if sentence:
            print(wrapped(sentence))
    if judged and sure is not None and unseen:
        print(wrapped(_scored(sure, judged)))
    if "afterwards" in kept:
        print(CHANGED if unseen else SEEN)


def _scored(sure, judged):
    """The score of what was said with this much confidence, in percent."""
    p, right = sure / 100, sum(judged)
    score = sum((p - hit) ** 2 for hit in judged) / len(judged)
    if len(judged) == 1:
        told = "that is right" if right else "that is not so"
    else:
        told = f"{right} of {len(judged)} {'is' if right == 1 else 'are'} right"
    return f"Score {score:.2f} (0 is best, 1 worst; 50 % sure gets 0.25): you were {number(sure)} % sure, and {told}."


def is_right(said, truth, asked):
    """True or False; None for a text of the reader's own, which nobody can judge."""
    if isinstance(said, str) or isinstance(truth, str):
        return said == truth if isinstance(asked, tuple) else None
    return nearness(asked)(said, truth)


def nearness(asked):
    """(said, truth) -> whether two numbers count as the same."""
    if asked == COUNT:
        return lambda said, truth: said == truth
    if asked == FACTOR:
        return lambda said, truth: abs(said - truth) <= 0.01
    return lambda said, truth: (
        max(said / truth, truth / said) < 1.1 if said > 0 and truth > 0 else truth <= 0 and abs(said - truth) < 1
    )


def _verdict(said, truth, asked):
    if isinstance(said, str) or isinstance(truth, str):
        return ("; right" if said == truth else "; not so") if isinstance(asked, tuple) else ""
    if said == truth:
        return "; exactly right"
    apart, high = number(abs(said - truth)), "high" if said > truth else "low"
    if asked == FACTOR:
        return "; within a hundredth" if is_right(said, truth, asked) else f"; you were {apart} too {high}"
    above = said > 0 and truth > 0
    off = max(said / truth, truth / said) if above else math.inf
    if asked == COUNT and off < 1.1:
        return f"; you were {apart} too {high}, and this is counted: near is not enough"
    if off < 1.1:
        return "; within a tenth"
    if above:
        return f"; you were {number(off, 2)} times too {high}"
    return f"; right to within {apart}" if is_right(said, truth, asked) else f"; you were {apart} too {high}"


def as_asked(question, name, value):
    """The value as the question wants it, or a ValueError that says what it wants."""
    names = QUESTIONS.get(question)
    if names is None:
        return value
    if name not in names:
        raise ValueError(f"was not asked; asked {'is' if len(names) == 1 else 'are'} {listing(names)}")
    asked = names[name]
    if isinstance(asked, tuple):
        word = value.lower().strip(". ") if isinstance(value, str) else value
        if word not in asked:
            raise ValueError(f"is {worded(value)}; answer {listing([worded(choice) for choice in asked], last='or')}")
        return word
    if isinstance(value, str):
        raise ValueError(f"is {worded(value)}, a text; give a number")
    if asked == COUNT and value != int(value):
        raise ValueError(f"is {worded(value)}; here things are counted one by one, so give a whole number")
    return value


def _named(question, values):
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f'the question is {shown(question)}; it must have a name, such as "04.atomics".')
    if not values:
        raise ValueError('nothing is asked; give at least one value, such as predict("04.atomics", before=None).')


def plain(value, question=None, name=None):
    """A finite number or a short text, or a ValueError that says why not."""
    if isinstance(value, bool) and QUESTIONS.get(question, {}).get(name) == YES_NO:
        return "yes" if value else "no"
    if isinstance(value, str):
        value = printable(" ".join(value.split()))
        if not 1 <= len(value) <= TEXT_MAX:
            raise ValueError(f"has {len(value):,} letters; allowed are 1 to {TEXT_MAX}")
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"is {kind(value)}; give a number or a short text")
    if isinstance(value, numbers.Integral):
        if abs(int(value)) > NUMBER_MAX:
            raise ValueError(f"has more than {DIGITS_MAX} digits; give a smaller number")
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"is {float(value)}; give a finite number")
    return float(value)


def percentage(sure):
    """A percentage, or None where none was given; a ValueError that says what is wrong."""
    if sure is None or sure is ...:
        return None
    sure = plain(sure)
    if isinstance(sure, str) or not 0 <= sure <= 100:
        raise ValueError(f"is {sure if isinstance(sure, float) else worded(sure)}; give a percentage from 0 to 100")
    return sure


def worded(value):
    """A number or a text as a reader sees it."""
    return f'"{value}"' if isinstance(value, str) else number(value)


def told_of(values):
    """Values by name, in one line; ``reveal`` prints them so."""
    return ", ".join(f"{printable(name)} {worded(value)}" for name, value in values.items())
