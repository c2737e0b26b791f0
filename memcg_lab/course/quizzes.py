"""Quizzes: endless questions from a seed; each answer comes out of a run, and nobody computes it before it is asked."""

import functools
import numbers
import unicodedata
from collections import Counter, namedtuple

from ..checks import shown
from ..words import listing, number
from .quiz_draw import TOPICS, Draw
from .quiz_kinds import KINDS

SEED_MAX = 2**64 - 1
NAME_MAX = 100  # letters
ANSWER_MAX = 10**15
CHOICES = 4  # the right answer and three others

# topic: str. kind: str. text: str. choices: tuple of str, or None for a number. solve: () -> (right, list of (wrong,
# which thought leads there and what it overlooks)).
Question = namedtuple("Question", "topic kind text choices solve")
Solution = namedtuple("Solution", "right wrong")


def topic_of(topic):
    """A topic's name, or a ValueError that lists them."""
    if not isinstance(topic, str) or topic not in TOPICS:
        known = [f"{name} ({notebook})" for name, notebook in TOPICS.items()]
        raise ValueError(f"topic {shown(topic)} does not exist; there are {listing(known)}.")
    return topic


def name_of(name):
    """A reader's name in its one form, or a ValueError: letters composed, one blank between two words."""
    if not isinstance(name, str):
        raise ValueError(f"the name is {shown(name)}; give a text.")
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if len(name) > NAME_MAX or not name.isprintable():
        raise ValueError(f"the name is {shown(name)}; give at most {NAME_MAX} letters that can be printed.")
    return name


def draw_questions(topics, *, seed, name, scope, since=None):
    """The questions of a quiz or a paper: one for each topic given, in that order.

    Parameters
    ----------
    topics : sequence of str
    seed : int
    name : str
        In the form of :func:`name_of`.
    scope : str
        What they are for; another scope has other questions.
    since : dict of str to int, optional
        For each topic how many questions on it this reader has had in other scopes. Their kinds then go on from scope
        to scope; without it each scope begins anew.

    Returns
    -------
    list of Question
        No kind comes again before all of its topic have come.
    """
    order, questions, turn = {}, [], Counter(since)
    for place, topic in enumerate(topics):
        if since is not None:
            kinds = Draw("course", seed, name, topic).shuffled(KINDS[topic])
            which = kinds[turn[topic] % len(kinds)]
            turn[topic] += 1
        else:
            if not order.get(topic):
                order[topic] = Draw(scope, seed, name, topic, place).shuffled(KINDS[topic])
            which = order[topic].pop()
        text, choices, solve = KINDS[topic][which](Draw(scope, seed, name, topic, place, which))
        questions.append(Question(topic, which, text, choices, functools.cache(solve)))
    return questions


def solve(question):
    """Run the mechanism for the right answer and for the usual wrong ones.

    Returns
    -------
    Solution
        ``right``: int, float or str. ``wrong``: answer -> sentence, without what is right after all.
    """
    right, wrong = question.solve()
    right = _plain(right)
    known = {}
    for answer, why in wrong:
        answer = _plain(answer)
        if not _same(answer, right):
            known.setdefault(answer, why)
    return Solution(right, known)


def judge(question, answer):
    """(True, False or None if nothing was answered; the sentence for a usual wrong answer, or None).

    Raises
    ------
    ValueError
        If it is no answer at all, such as a list.
    """
    answer = read_answer(answer, question.choices)
    if answer is None:
        return None, None
    right, wrong = solve(question)
    if _same(answer, right):
        return True, None
    return False, next((why for guess, why in wrong.items() if _same(answer, guess)), None)


def read_answer(answer, choices):
    """A number, one of the choices, or None; as JSON or a reader has it. ValueError if it is no answer at all."""
    if isinstance(answer, bool) and choices == ("yes", "no"):
        answer = "yes" if answer else "no"
    if isinstance(answer, str):
        answer = answer.strip().strip(".").lower()
        if not answer:
            return None
        if choices:
            if answer in choices:
                return answer
        else:
            try:
                answer = float(answer.replace(",", ""))
            except ValueError:
                pass
    if answer is None:
        return None
    if choices or isinstance(answer, (bool, str)) or not isinstance(answer, numbers.Real):
        wanted = listing([f'"{choice}"' for choice in choices], last="or") if choices else "a number"
        raise ValueError(f"is {shown(answer)}; give {wanted}")
    if abs(answer) > ANSWER_MAX:
        raise ValueError(f"is {shown(answer)}; give a smaller number")
    return answer


def _same(one, other):
    """Words are equal, whole numbers too; a number with digits after the point is right to two of them."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return abs(one - other) <= (0 if isinstance(other, int) else 0.0051)


def _plain(value):
    value = value.item() if hasattr(value, "item") else value
    return round(value, 2) if isinstance(value, float) else value


def told(answer):
    """An answer as it is printed."""
    return answer if isinstance(answer, str) else f"{answer:,.2f}" if isinstance(answer, float) else number(answer)


def choices_of(question):
    """What a quiz offers: the right answer among usual wrong ones, in order."""
    if question.choices:
        return list(question.choices)
    right, wrong = solve(question)
    return sorted([right, *list(wrong)[: CHOICES - 1]])
