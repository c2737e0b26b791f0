"""Quizzes as they are asked: on one topic, or at both ends of a notebook: three on earlier ones, three on itself.

The rule of the ends, once: before a notebook one question each on the last, the third last and the fifth last of those
that the reader has read, so that each comes back three times, two notebooks apart; where there is none so early, it is
the first that is not asked yet. Read are those that this notebook rests on, and those of which the reader's notes have
something. The kinds of questions on a notebook go on from end to end, so that one comes again only after the others.
How sure the reader is is asked before each answer, and what the run says is told after all of them are returned.
"""

import re

from ..checks import flag, shown, whole_number
from ..words import capital, count, listing, number, printable
from . import asking, notes
from .predictions import percentage
from .quiz_draw import NEEDS, TOPICS, rests_on
from .quizzes import SEED_MAX, choices_of, draw_questions, judge, name_of, read_answer, solve, told, topic_of

END = re.compile(r"(before|after) (\d\d)")
BACK = (1, 3, 5)  # notebooks
HOW_MANY = len(BACK)
SURE = "How sure are you?"
UNKNOWN = "?"  # the answer of who does not know
AGAIN = "The answers had been told already: what you said first stays in your notes and counts."
CONFIDENT = 80  # percent
MEND = "An error made with such confidence is the one best mended: say now why it is not so."
COURSE_SEED = 0x475D048
QUESTIONS_MAX = 1000


def quiz(topic, *, seed=COURSE_SEED, questions=5, name=None, answers=False, said=None, sure=None):
    """Ask about one topic, or what stands at one end of a notebook. Seed and name make the questions.

    Parameters
    ----------
    topic : str
        ``start``, ``profile``, ``tree``, ``stock``, ``patch``, ``drift``, ``lines``, ``after``, ``contention``,
        ``published``, ``threads``, ``traces`` or ``design``: the notebooks 00 to 11, and 13. Or "before 04": three
        questions on earlier notebooks, those that 04 rests on and those of which the reader's notes have something; or
        "after 04": three on this one. In a notebook those are a form.
    seed : int
        The course's, 0 to 2**64 - 1.
    questions : int
        1 to 1,000, about one topic; the first few of a longer quiz are those of a shorter one.
    name : str, optional
        The reader's; each name has questions of its own. One given at an end of a notebook is kept in the reader's
        notes, and is then taken where none is given.
    answers : bool
        About one topic: print the answers too, and for each other choice which thought leads there and what it
        overlooks.
    said, sure : list, optional
        At an end of a notebook: an answer for each question, "?" where you do not know, and how sure you are of it,
        in percent, or None. What the run says is told as soon as each question has an answer, and what was said then
        is kept; what is said later stands beside it in the notes.

    Raises
    ------
    ValueError
        If there is no such topic or notebook, or an argument is not what it has to be.

    Notes
    -----
    Answers are computed by the mechanism when they are asked for. Where none of a few choices is asked for, a number
    is; with digits after the point it is right to two of them.

    Examples
    --------
    >>> quiz("stock", seed=7, questions=1)  # doctest: +ELLIPSIS
    Quiz stock (notebook 03), seed 7: 1 question.
    <BLANKLINE>
    1. ...
    >>> quiz("before 01", seed=7)  # doctest: +ELLIPSIS
    3 questions before 01. Say how sure you are before you look anything up.
    <BLANKLINE>
    1. ...
    """
    seed = whole_number("seed", seed, 0, SEED_MAX)
    if isinstance(topic, str) and END.fullmatch(topic):
        if name is None:
            name = notes.recall("reader", "name")
            name = name if isinstance(name, str) else ""
        elif name_of(name):
            notes.remember("reader", "name", name_of(name))
        ask(topic, seed=seed, name=name_of(name), said=said, sure=sure)
        return
    topic = topic_of(topic)
    name = name_of("" if name is None else name)
    n, answers = whole_number("questions", questions, 1, QUESTIONS_MAX), flag("answers", answers)
    whom = f", for {printable(name)}" if name else ""
    print(f"Quiz {topic} (notebook {TOPICS[topic]}), seed {seed}{whom}: {count(n, 'question')}.")
    for place, question in enumerate(draw_questions([topic] * n, seed=seed, name=name, scope="quiz"), start=1):
        print(f"\n{place}. {question.text}")
        print(f"   {listing([told(choice) for choice in choices_of(question)], last='or')}?")
        if answers:
            right, wrong = solve(question)
            print(f"   Answer: {told(right)}.")
            for guess, why in wrong.items():
                print(f"   Not {told(guess)}: {why}")


def topics_at(end, *, read=()):
    """The topics of the questions at one end of a notebook, such as "before 04" or "after 04".

    Parameters
    ----------
    end : str
    read : collection of str
        Notebooks that have been read besides those that this one rests on.

    Raises
    ------
    ValueError
        If there is nothing to ask: no such notebook, or none before it.

    Examples
    --------
    >>> topics_at("before 08"), topics_at("before 08", read=["02", "03", "05"]), topics_at("after 03")
    (['after', 'patch', 'start'], ['after', 'drift', 'stock'], ['stock', 'stock', 'stock'])
    """
    where, notebook = END.fullmatch(end).groups()
    if where == "after":
        found = [topic for topic, number_ in TOPICS.items() if number_ == notebook] * HOW_MANY
    else:
        known = rests_on(notebook).union(read)
        earlier = [topic for topic, number_ in TOPICS.items() if number_ < notebook and number_ in known][::-1]
        found = []
        for back in BACK if earlier else ():
            first = next((topic for topic in earlier[::-1] if topic not in found), earlier[-1])
            found.append(earlier[back - 1] if back <= len(earlier) else first)
    if not found:
        raise ValueError(f"there is nothing to ask {printable(end)}; there are notebooks 00 to {max(TOPICS.values())}.")
    return found


def _topics_now(end):
    """The topics that this reader is asked: those that were answered here once, or by what has been read since."""
    topics_at(end)  # there is something to ask
    kept = notes.recall("quizzes", end)
    if isinstance(kept, list) and len(kept) == HOW_MANY:
        topics = [one.get("topic") if isinstance(one, dict) else None for one in kept]
        if all(isinstance(topic, str) and topic in TOPICS for topic in topics):
            return topics
    told = [*notes.recall("predictions"), *notes.recall("answers")]  # such as "04.stock" and "04.1"
    return topics_at(
        end, read={name[:2] for name in told} | {name.removeprefix("after ") for name in notes.recall("quizzes")}
    )


def questions_at(end, *, seed, name, topics=None):
    """The questions at one end of a notebook; without topics, those for whoever has read what it rests on."""
    where, notebook = END.fullmatch(end).groups()
    topics = topics or topics_at(end)
    since = {topic: 0 if where == "after" else _asked_before(topic, notebook) for topic in topics}
    return draw_questions(topics, seed=seed, name=name, scope=end, since=since)


def _asked_before(topic, notebook):
    """How many questions on a topic came before this notebook: at its own end, and before each of those between."""
    between = [other for other in NEEDS if TOPICS[topic] < other < notebook]
    return HOW_MANY + sum(topics_at(f"before {other}").count(topic) for other in between)


def ask(end, *, seed, name, said=None, sure=None):
    """Ask what stands at one end of a notebook, or judge what was said.

    Parameters
    ----------
    end : str
    seed : int
    name : str
    said : list, optional
        An answer for each question, "?" where the reader does not know.
    sure : list, optional
        How sure the reader is of each, in percent, or None.

    Raises
    ------
    ValueError
        If there is no such notebook, or what is said is no list of as many answers.
    """
    questions = questions_at(end, seed=seed, name=name, topics=_topics_now(end))

    def answer(texts):
        return _judge(
            end,
            questions,
            [asking.typed(texts.get(f"said{n}", "")) for n in range(HOW_MANY)],
            [asking.typed(texts.get(f"sure{n}", "")) for n in range(HOW_MANY)],
        )

    if said is None and sure is None:
        text, form, kept = _text(end, questions), form_of(end, questions), _kept(end, questions)
        if kept:
            told = "\n".join(_told(questions, kept))
            text += f"\n\nYou have answered:\n{told}"
            form |= {"status": told, "values": _values(kept)}
        asking.show(text, form, answer)
        return
    nothing = [None] * HOW_MANY
    said, sure = nothing if said is None else said, nothing if sure is None else sure
    for what, given in (("said", said), ("sure", sure)):
        if not isinstance(given, (list, tuple)) or len(given) != HOW_MANY:
            raise ValueError(f"{what} is {shown(given)}; give a list of {HOW_MANY}, one for each question, or None.")
    _judge(end, questions, said, sure)


def form_of(end, questions):
    """The form: for each question how sure the reader is, and the answer."""
    controls = []
    for place, question in enumerate(questions):
        group = f"{place + 1}. {question.text}"
        controls.append(asking.control(f"sure{place}", SURE, "sure", group))
        controls.append(asking.control(f"said{place}", "Your answer", question.choices, group))
    return {"kind": "quiz", "name": end, "controls": controls, "button": "Return", "values": {}, "status": ""}


def _text(end, questions):
    lines = [f"{count(HOW_MANY, 'question')} {end}. Say how sure you are before you look anything up."]
    for place, question in enumerate(questions, start=1):
        choices = f" Is it {listing(question.choices, last='or')}?" if question.choices else ""
        lines += ["", f"{place}. {question.text}{choices}"]
    nothing = ", ".join(["None"] * HOW_MANY)
    return "\n".join([*lines, "", f'In code: quiz("{end}", said=[{nothing}], sure=[{nothing}])'])


def _judge(end, questions, said, sure):
    """Print what the run says once each question has an answer; keep it. Gives the control to go on in, if any."""
    given = []
    for place, (question, answer, p) in enumerate(zip(questions, said, sure)):
        field, what = f"said{place}", "Your answer"
        try:
            answered = _answered(question, answer)
            field, what = f"sure{place}", "How sure you are"
            p = percentage(p)
        except ValueError as error:
            print(f"{place + 1}. {what} {error}.")
            return field
        answer = answer.item() if hasattr(answer, "item") else answer
        given.append((answer.strip() if isinstance(answer, str) else answer, p) if answered else None)
    still = [place for place, one in enumerate(given) if one is None]
    if len(still) == len(given):
        print("Nothing is answered yet. A guess is worth more than none.")
    elif still:
        open_ = f"{listing([str(place + 1) for place in still])} {'is' if len(still) == 1 else 'are'} still open."
        print(f"{open_} Nothing is told before each has an answer; give {UNKNOWN} where you do not know.")
    if still:
        return f"said{still[0]}"
    before = _kept(end, questions)
    if before and given != before:
        print("\n".join([*_told(questions, given, score=False), AGAIN]))
        kept = notes.recall("quizzes", end)
        later = [{"said": answer, "sure": p} for answer, p in given]
        notes.remember("quizzes", end, [one | {"afterwards": other} for one, other in zip(kept, later, strict=True)])
        return None
    print("\n".join(_told(questions, given)))
    if not before:
        kept = [
            {
                "topic": question.topic,
                "question": question.text,
                "said": answer,
                "sure": p,
                "right": _right(question, answer)[0],
            }
            for question, (answer, p) in zip(questions, given, strict=True)
        ]
        notes.remember("quizzes", end, kept)
    return None


def _unknown(answer):
    return isinstance(answer, str) and answer.strip() == UNKNOWN


def _answered(question, answer):
    """Whether it is an answer, without looking at the right one; a ValueError if it is none at all."""
    return _unknown(answer) or read_answer(answer, question.choices) is not None


def _right(question, answer):
    """(True, False or None where the reader does not know; the sentence for a usual wrong answer, or None)."""
    return (None, None) if _unknown(answer) else judge(question, answer)


def _told(questions, given, score=True):
    """What the run says of each answer, in lines, and the score."""
    lines, losses = [], []
    for place, (question, (answer, p)) in enumerate(zip(questions, given, strict=True), start=1):
        right, why = _right(question, answer)
        lines.append(f"{place}. {said_of(answer, p, right, told(solve(question).right), why)}")
        if p is not None and right is not None:
            losses.append((p / 100 - right) ** 2)
    return [*lines, score_of(losses)] if losses and score else lines


def _kept(end, questions):
    """(answer, how sure) of each question as it was said first; None if these were not answered yet."""
    kept = notes.recall("quizzes", end)
    try:
        if [one["question"] for one in kept] != [question.text for question in questions]:
            return None
        given = [(one["said"], percentage(one["sure"])) for one in kept]
        if not all(_answered(question, answer) for question, (answer, _) in zip(questions, given, strict=True)):
            return None
    except (KeyError, TypeError, ValueError):  # what a reader wrote into the file
        return None
    return given


def _values(given):
    """What was said, as the form has it."""
    values = {}
    for place, (answer, p) in enumerate(given):
        answer = ("no", "yes")[answer] if isinstance(answer, bool) else answer
        values |= {f"said{place}": str(answer), f"sure{place}": "" if p is None else str(p)}
    return values


def said_of(answer, p, right, truth, why):
    """One answer judged, as a sentence or three."""
    if right is None:
        return f"You do not know. It is {truth}."
    answer = ("no", "yes")[answer] if isinstance(answer, bool) else answer
    words = f"You said {answer if isinstance(answer, str) else number(answer)}"
    words += "" if p is None else f", {number(p)} % sure"
    if right:
        return f"{words}: right."
    more = [capital(why)] if why else []
    return " ".join([f"{words}; it is {truth}.", *more, *([MEND] if p is not None and p >= CONFIDENT else [])])


def score_of(losses):
    """Brier's score over several answers, in words."""
    return f"Score {sum(losses) / len(losses):.2f} (0 is best, 1 worst; 50 % sure gets 0.25)."


def solutions_at(end, *, seed=COURSE_SEED, name=""):
    """What a page without Python needs to judge: of each question the right answer and the usual wrong ones.

    Returns
    -------
    list of dict
        "right"; "exact" if it is a whole number; "wrong": a list of (answer, sentence, whether it is a whole number).
    """
    made = []
    for question in questions_at(end, seed=seed, name=name):
        right, wrong = solve(question)
        listed = [(guess, capital(why), isinstance(guess, int)) for guess, why in wrong.items()]
        made.append({"right": right, "exact": isinstance(right, int), "wrong": listed})
    return made
