"""Papers: individual exam papers without a server; the teacher's copy draws them again, and runs for each answer."""

import collections
import hashlib
import json

from ..checks import flag, shown, whole_number
from ..files import contents, once, path_of, reason, writing
from ..words import count, listing, printable
from .environment import version
from .quiz_draw import TOPICS
from .quizzes import SEED_MAX, draw_questions, judge, name_of, told

FORMAT = "memcg-lab paper 1"
QUESTIONS_MAX = 100
BYTES_MAX = 1 << 20
FIELDS = ("format", "version", "seed", "name", "questions", "digest")
QUESTION = ("number", "topic", "question", "answer")

# file, name: str. seed: int. right, open, of: int. wrong: list of (number, answer, sentence or None). caught: what is
# wrong with the paper, or None; then nothing is marked.
Mark = collections.namedtuple("Mark", "file name seed right open of wrong caught")


def make_paper(questions, *, seed, name):
    """One reader's paper: the questions, and an empty place for each answer.

    Parameters
    ----------
    questions : int
        1 to 100, over all topics in turn.
    seed : int
        The course's, 0 to 2**64 - 1.
    name : str
        The reader's; each name has a paper of its own.

    Returns
    -------
    dict
        What :func:`save_paper` writes: ``format``, ``version`` of the library, ``seed``, ``name``, ``questions`` (each
        with ``number``, ``topic``, ``question`` and ``answer``, which is None) and ``digest``, the SHA-256 of all that
        but the answers.

    Raises
    ------
    ValueError
        If an argument is not what it has to be, or the name is empty.

    Notes
    -----
    No answer is computed to make a paper, so none can be in it. The digest has no secret: it finds what was damaged
    by accident. What was changed on purpose is found because :func:`mark_papers` draws the paper again. As all of this
    is in every copy of the library, so is the way to the answers: a paper is for learning, or for a room with somebody
    in it.

    Examples
    --------
    >>> paper = make_paper(20, seed=7, name="Ada")
    >>> paper["questions"][3]["topic"], paper["questions"][3]["answer"]
    ('stock', None)
    """
    n, seed = whole_number("questions", questions, 1, QUESTIONS_MAX), whole_number("seed", seed, 0, SEED_MAX)
    name = name_of(name)
    if not name:
        raise ValueError("the name is empty; a paper is somebody's.")
    return _paper(_questions(n, seed, name), seed, name)


def _questions(n, seed, name):
    topics = list(TOPICS)
    return draw_questions([topics[k % len(topics)] for k in range(n)], seed=seed, name=name, scope=f"paper of {n}")


def _paper(questions, seed, name):
    asked = [
        dict(zip(QUESTION, (place, question.topic, question.text, None), strict=True))
        for place, question in enumerate(questions, start=1)
    ]
    paper = {"format": FORMAT, "version": version(), "seed": seed, "name": name, "questions": asked}
    return paper | {"digest": digest_of(paper)}


def digest_of(paper):
    """The SHA-256 of a paper without its answers and its digest."""
    bare = {field: paper[field] for field in FIELDS if field != "digest"}
    bare["questions"] = [
        {field: asked[field] for field in QUESTION if field != "answer"} for asked in paper["questions"]
    ]
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode("ascii")).hexdigest()


def save_paper(path, paper, *, replace=False):
    """Write a paper as JSON, whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.json`` is added to a name without it.
    paper : dict
        What :func:`make_paper` returns.
    replace : bool
        Replace a file that is there; else it is refused.

    Raises
    ------
    ValueError
        If the file is there, or cannot be written; the message names it.
    """
    with writing(path_of(path, ".json"), replace=flag("replace", replace)) as scratch:
        scratch.write_text(json.dumps(paper, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def mark_papers(path, *, seed=None, questions=None):
    """Mark papers: each is drawn again, compared, and its answers are held against a run.

    Parameters
    ----------
    path : str or Path
        A paper, or a folder with papers (``*.json``).
    seed : int, optional
        The course's; a paper of another one is caught. By default the one that all papers have.
    questions : int, optional
        How many a paper has; one with more or fewer is caught. By default any number.

    Returns
    -------
    list of Mark
        By file name. A paper that is not as it was made is ``caught``, with what is wrong in words, and not marked.

    Raises
    ------
    ValueError
        If the path does not exist or has no paper, or no seed is given and the papers have several.

    Notes
    -----
    A paper is caught if it cannot be read, a field is missing or new, it is of another library version or seed, its
    digest does not fit, or a question is not the one that its seed and name draw. Answers are the reader's and may be
    anything: numbers, texts such as "1,200", "yes", true, or null for none; what is no answer counts as wrong. Two
    papers of one name are both caught.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_paper(f"{folder}/ada.json", make_paper(3, seed=7, name="Ada"))
    ...     [mark] = mark_papers(folder, seed=7)
    >>> mark.name, mark.right, mark.open, mark.of, mark.caught
    ('Ada', 0, 3, 3, None)
    """
    seed = None if seed is None else whole_number("seed", seed, 0, SEED_MAX)
    questions = None if questions is None else whole_number("questions", questions, 1, QUESTIONS_MAX)
    path = path_of(path)
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        if not files:
            raise ValueError(f"{printable(path)}: no paper (*.json) in this folder.")
    elif path.exists():
        files = [path]
    else:
        raise ValueError(f"{printable(path)}: no such file or folder.")
    papers = [(file, *_read(file)) for file in files]
    seeds = {paper["seed"] for _, paper, caught in papers if not caught}
    if seed is None and len(seeds) > 1:
        raise ValueError(f"the papers are of several seeds ({listing(sorted(seeds))}); say which is the course's.")
    names = collections.Counter(paper["name"] for _, paper, caught in papers if not caught)
    marks = []
    for file, paper, caught in papers:
        if not caught and names[paper["name"]] > 1:
            caught = f"{names[paper['name']]} papers have the name {shown(paper['name'])}"
        marks.append(_mark(file.name, paper, caught, seed, questions))
    return marks


def _mark(file, paper, caught, seed, of):
    """Hold one paper against what its seed and name draw."""
    name, own_seed = (paper["name"], paper["seed"]) if paper else ("", None)
    if not caught and seed is not None and own_seed != seed:
        caught = f"it is of seed {own_seed}, not {seed}"
    if not caught and of is not None and len(paper["questions"]) != of:
        caught = f"it has {count(len(paper['questions']), 'question')}, not {of}"
    questions = [] if caught else _questions(len(paper["questions"]), own_seed, name)
    caught = caught or _changed(paper, _paper(questions, own_seed, name))
    if caught:
        return Mark(file, name, own_seed, 0, 0, 0, [], caught)
    right, left_open, wrong = 0, 0, []
    for asked, question in zip(paper["questions"], questions, strict=True):
        try:
            hit, why = judge(question, asked["answer"])
        except ValueError as error:
            hit, why = False, f"the answer {error}."
        right, left_open = right + (hit is True), left_open + (hit is None)
        if hit is False:
            wrong.append((asked["number"], asked["answer"], why))
    return Mark(file, name, own_seed, right, left_open, len(questions), wrong, None)


def _changed(paper, drawn):
    """What is not as it was drawn, in words, or None."""
    for asked, made in zip(paper["questions"], drawn["questions"], strict=True):
        for field in QUESTION[:-1]:
            if (asked[field], type(asked[field])) != (made[field], type(made[field])):
                return f"question {made['number']} was changed: its {field} is not what seed and name draw"
    if paper["digest"] != drawn["digest"]:
        return "the digest does not fit"
    return None


def _read(file):
    """(paper, None), or (None, what is wrong with it in words)."""
    try:
        raw = contents(file, BYTES_MAX)
        paper = json.loads(raw.decode("utf-8"), object_pairs_hook=once, parse_constant=_no_constant)
    except (OSError, UnicodeDecodeError) as error:
        return None, f"it cannot be read ({reason(error)})"
    except (ValueError, RecursionError) as error:
        return None, f"it is no JSON that can be read ({printable(error)})"
    return _well_formed(paper)


def _well_formed(paper):
    if not isinstance(paper, dict) or paper.get("format") != FORMAT:
        return None, f'it is no paper: its format is not "{FORMAT}"'
    if paper.get("version") != version():
        return None, f"it is of library version {shown(paper.get('version'))}; this is {version()}"
    wrong = sorted(paper.keys() ^ set(FIELDS))
    if wrong:
        return None, f"the field {shown(wrong[0])} {'is missing' if wrong[0] in FIELDS else 'does not belong there'}"
    try:
        if isinstance(paper["seed"], float) or name_of(paper["name"]) != paper["name"] or not paper["name"]:
            raise ValueError("its name or its seed is not as it was written.")
        whole_number("seed", paper["seed"], 0, SEED_MAX)
    except ValueError as error:
        return None, str(error).rstrip(".")
    questions = paper["questions"]
    if not isinstance(questions, list) or not 1 <= len(questions) <= QUESTIONS_MAX:
        return None, "it has no list of questions, or too many"
    for place, asked in enumerate(questions, start=1):
        if not isinstance(asked, dict) or asked.keys() != set(QUESTION):
            return None, f"question {place} was changed: it has other fields than {listing(QUESTION)}"
    return paper, None


def _no_constant(text):
    raise ValueError(f"{text} is no number in JSON")


def print_marks(marks, *, answers=False):
    """Print marks as a table, and below it what was caught; 0 if nothing was, else 1.

    Parameters
    ----------
    marks : list of Mark
    answers : bool
        Also print each wrong answer, with the thought that leads there where it is a usual one.

    Returns
    -------
    int
    """
    from .tables import show_table

    rows = {
        "paper": [printable(mark.file) for mark in marks],
        "name": [printable(mark.name) for mark in marks],
        "seed": ["" if mark.seed is None else str(mark.seed) for mark in marks],
        "right": ["caught" if mark.caught else f"{mark.right} of {mark.of}" for mark in marks],
        "not answered": ["" if mark.caught else str(mark.open) for mark in marks],
    }
    print(show_table(rows))
    for mark in marks:
        if mark.caught:
            print(f"{printable(mark.file)}: {printable(mark.caught)}.")
        for place, answer, why in mark.wrong if answers else []:
            given = printable(
                answer if isinstance(answer, str) else told(answer) if _is_number(answer) else shown(answer)
            )
            print(f"{printable(mark.file)}, question {place}, not {given}: {why or 'no usual answer.'}")
    good = sum(not mark.caught for mark in marks)
    print(f"{count(good, 'paper')} marked, {len(marks) - good} caught.")
    return int(good < len(marks))


def _is_number(answer):
    return isinstance(answer, (int, float)) and not isinstance(answer, bool)
