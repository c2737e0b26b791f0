"""Quizzes and papers: the same everywhere, right by an independent count, no answer until it is asked for."""

import copy
import hashlib
import inspect
import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memcg_lab
from lab_helpers import said
from memcg_lab.__main__ import main
from memcg_lab.course import papers, quiz, quiz_draw, quiz_kinds, quizzes
from memcg_lab.course.papers import digest_of, make_paper, mark_papers, print_marks, save_paper
from memcg_lab.course.quiz_draw import TOPICS, Draw
from memcg_lab.course.quiz_kinds import KINDS
from memcg_lab.course.quizzes import Question, choices_of, judge, solve, told

EACH = [(topic, which) for topic, kinds in KINDS.items() for which in kinds]
DEEP = ("tree", "stock", "patch", "drift", "lines", "contention")


def drawn(topic, which, seed):
    text, choices, answer = KINDS[topic][which](Draw("a test", seed))
    return Question(topic, which, text, choices, answer)


# --- the integers
def test_integers_are_the_same_on_every_machine():
    draw = Draw("stock", 7, "Zoë")
    assert [draw.between(0, 999) for _ in range(60)][::10] == PINNED_INTEGERS
    assert Draw("stock", 7).shuffled("abcdef") == PINNED_ORDER


PINNED_INTEGERS = [635, 990, 733, 495, 614, 601]
PINNED_ORDER = ["b", "a", "d", "c", "f", "e"]


def test_integers_reach_both_ends_and_all_between():
    draw = Draw("ends")
    assert {draw.between(-1, 3) for _ in range(300)} == {-1, 0, 1, 2, 3}
    assert {tuple(draw.shuffled(range(3))) for _ in range(300)} == {(0, 1, 2), (0, 2, 1), *PERMUTED}


PERMUTED = {(1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}


def test_no_kind_uses_chance_or_a_clock():
    source = "".join(map(inspect.getsource, (quiz_draw, *quiz_kinds.TOPICAL, quizzes, papers)))
    assert not re.search(r"import (random|time|secrets|uuid|datetime)|np\.random|hash\(", source)


def test_the_questions_and_answers_of_a_seed_are_pinned():
    asked = [q for topic in TOPICS for q in quizzes.draw_questions([topic] * 6, seed=7, name="Ada", scope="quiz")]
    told_all = [[q.kind, q.text, told(solve(q).right)] for q in asked]
    assert hashlib.sha256(json.dumps(told_all).encode()).hexdigest()[:16] == PINNED_QUIZ


PINNED_QUIZ = "fc08926b9f043c40"


# --- the kinds
def test_every_topic_has_kinds_enough():
    assert list(KINDS) == list(TOPICS)
    assert list(TOPICS.values()) == [*(f"{k:02}" for k in range(12)), "13"]
    assert all(len(KINDS[topic]) >= (4 if topic in DEEP else 2) for topic in TOPICS)


@pytest.mark.parametrize(("topic", "which"), EACH)
def test_a_kind_has_one_right_answer_and_wrong_ones_with_their_thought(topic, which):
    texts = set()
    for seed in range(8):
        question = drawn(topic, which, seed)
        right, wrong = solve(question)
        texts.add(question.text)
        assert question.text.endswith(("?", quiz_kinds.SHORT))
        assert "%  " in question.text or "  " not in question.text
        assert judge(question, right) == (True, None)
        assert judge(question, told(right)) == (True, None)
        assert len(wrong) >= (1 if question.choices else 2)
        if not question.choices:
            assert type(right) in (int, float)
            assert right >= 0
        for guess, why in wrong.items():
            assert judge(question, guess) == (False, why)
            assert re.fullmatch(r"[a-z0-9`M_][^\n]{9,160}[.?]", why)
        choices = choices_of(question)
        assert right in choices
        assert len(set(choices)) == len(choices) <= 4
        assert not question.choices or set(choices) == set(question.choices)
        assert drawn(topic, which, seed).text == question.text
    assert solve(drawn(topic, which, seed)) == solve(question)
    assert len(texts) >= 6


def test_the_right_answer_stands_in_every_place_of_the_choices():
    places = [0] * 4
    for topic, which in EACH:
        for seed in range(4):
            question = drawn(topic, which, seed)
            if not question.choices:
                places[choices_of(question).index(solve(question).right)] += 1
    assert min(places) > 8


def ints(text):
    return [int(found.replace(",", "")) for found in re.findall(r"\d[\d,]*", text)]


def plain_charges(sizes):
    """(pages in the stock, misses, pages charged), counted by hand."""
    stock, misses, charged = 0, 0, 0
    for size in sizes:
        if stock >= size:
            stock -= size
        else:
            misses, charged, stock = misses + 1, charged + 32, stock + 32 - size
    return stock, misses, charged


def plain_back(sizes, stock=0):
    """(pages in the stock, drains) after the patch, counted by hand."""
    drains = 0
    for size in sizes:
        stock += size
        if stock > 32:
            stock, drains = 0, drains + 1
    return stock, drains


def charges_of(text):
    return ints(re.search(r"charges ([\d, and]+) pages? to", text)[1].replace(", ", " "))


def back_of(text):
    return ints(re.search(r"patch ([\d, and]+) pages of", text)[1].replace(", ", " "))


def after_first(text, *patterns):
    return [int(re.search(pattern, text)[1].replace(",", "")) for pattern in patterns]


def journeys_of(text):
    order = ints(re.search(r"CPUs ([\d, and]+) execute", text)[1].replace(", ", " "))
    return order, sum(one != other for one, other in zip(order, order[1:], strict=False))


def cost(text):
    pages, calls, depth = after_first(text, r"(\d+) in each call", r"(\d+) calls", r"cgroup (\d+) level")
    return pages, calls, depth + 1


def refusal(text):
    depth, at = after_first(text, r"lies (\d+) levels", r"at depth (\d+)")
    return 2 * (depth - at + 1)


def time_of(text):
    order, trips = journeys_of(text)
    way, local = after_first(text, r"takes (\d+) ns", r"itself (\d+) ns")
    return trips * way + len(order) * local


def way(text):
    cores, smt, same, cross = after_first(
        text, r"(\d+) cores", r"(\d+) ns within a core", r"(\d+) ns within a package", r"(\d+) ns between"
    )
    one, other = map(int, re.search(r"CPU (\d+) to CPU (\d+)", text).groups())
    place = [cpu % (2 * cores) for cpu in (one, other)]
    return smt if place[0] == place[1] else same if place[0] // cores == place[1] // cores else cross


def full(text, every):
    think, visit = after_first(text, r"works for ([\d,]+) ns", r"line for (\d+) ns")
    return math.ceil((every * think + visit) / visit)


def turns(text):
    return after_first(text, r"(\d+) calls in all")[0] - 1


def bound(text):
    cpus = after_first(text, r"(\d+) CPUs")[0]
    return cpus * (32 if "after the patch" in text else 31)


def common(text):
    parents = {int(child): int(parent) for child, parent in re.findall(r"memcg (\d+) is below memcg (\d+)", text)}
    asked, total = after_first(text, r"counter of memcg (\d+)")[0], 0
    for pages, memcg in re.findall(r"(\d+) pages to memcg (\d+)", text):
        at = int(memcg)
        while at != asked and at:
            at = parents[at]
        total += int(pages) * (at == asked)
    return total


def first_drain(text):
    pages, found = after_first(text, r"(\d+) in each call", r"; (\d+) of this cgroup")
    return next(n for n in range(1, 99) if found + n * pages > 32)


def drained(text):
    first, back = after_first(text, r"charges (\d+) page", r"then (\d+) of that")
    return 64 - first + back if 64 - first + back > 64 else 0


def shrinking(text):
    root, small, large = after_first(text, r"takes ([\d,]+) ns", r"counted, ([\d,]+) ns", r"and ([\d,]+) ns with")
    return "yes" if 2 * large < root + small else "no"


def role(text):
    fitted, asked = re.search(r"the row of (batch \d+) comes out", text)[1], re.search(r"row of ([\w ]+)\?$", text)[1]
    return "unit" if asked == "the root" else "fitted" if asked == fitted else "predicted"


def one_by_one(text, charged, back):
    """After single pages: what lies in the stock of CPU 0 and of CPU 1, and the most in both at one moment."""
    first = -charged % 32
    second = back if "uncharge hunk alone" in text else back % 33 if "after the patch" in text else 0
    top = back if "uncharge hunk alone" in text else min(back, 32) if "after the patch" in text else 0
    return first, second, max(31, first + top)


def references(text):
    charged, back = after_first(text, r"stock\. (\d+) page", r"then (\d+) of them")
    return charged - back + sum(one_by_one(text, charged, back)[:2])


def met(text):
    pages = after_first(text, r"^(\d+) single")[0]
    return one_by_one(text, pages, pages)[2]


def burst(text):
    stock, most = 0, 0
    for pages in ints(re.search(r"in use\. ([\d, and]+) of them", text)[1]):
        stock += pages
        leaves = pages if "before" in text else stock if stock > 32 else 0
        stock -= leaves
        most = max(most, leaves)
    return most


BY_HAND = {
    ("published", "role_of_a_row"): role,
    ("published", "was_there_a_queue"): shrinking,
    ("design", "references_held"): references,
    ("design", "largest_burst"): burst,
    ("design", "drift_that_was_met"): met,
    ("start", "drains_of_full_stocks"): lambda text: after_first(text, r"patch (\d+) pages")[0] // 33,
    ("start", "left_in_the_stock"): lambda text: after_first(text, r"patch (\d+) pages")[0] % 33,
    ("start", "walks_to_the_counters"): lambda text: (
        math.ceil(ints(text)[0] / 32) + ints(text)[0] // (1 if "before the patch" in text else 33)
    ),
    ("start", "the_root_at_the_end"): lambda text: (
        -ints(text)[0] % 32 + (0 if "before the patch" in text else ints(text)[0] % 33)
    ),
    ("tree", "atomics_of_a_refusal"): refusal,
    ("tree", "a_common_counter"): common,
    ("patch", "first_call_that_drains"): first_drain,
    ("traces", "drained_in_v6_1"): drained,
    ("stock", "left_after_charges"): lambda text: plain_charges(charges_of(text))[0],
    ("stock", "trips_of_charges"): lambda text: plain_charges(charges_of(text))[1],
    ("stock", "counter_after_charges"): lambda text: plain_charges(charges_of(text))[2],
    ("stock", "drains_in_turns"): turns,
    ("patch", "stock_after_giving_back"): lambda text: plain_back(back_of(text))[0],
    ("patch", "cost_of_giving_back"): lambda text: plain_back([cost(text)[0]] * cost(text)[1])[1] * cost(text)[2],
    ("patch", "lumps_saved"): lambda text: (
        (cost(text)[1] - plain_back([cost(text)[0]] * cost(text)[1])[1]) * cost(text)[2]
    ),
    ("drift", "the_bound"): bound,
    ("lines", "journeys"): lambda text: journeys_of(text)[1],
    ("lines", "copies_of_a_line"): lambda text: len(set(ints(re.search(r"CPUs ([\d, and]+) each", text)[1]))),
    ("lines", "time_of_visits"): time_of,
    ("lines", "way_between_two_cpus"): way,
    ("lines", "full_line"): lambda text: full(text, 1),
    ("contention", "full_after_the_patch"): lambda text: full(text, 33),
    ("contention", "most_in_a_microsecond"): lambda text: 1000 // after_first(text, r"line for (\d+) ns")[0],
}


@pytest.mark.parametrize(("topic", "which"), BY_HAND)
def test_the_mechanism_s_answer_is_the_one_counted_by_hand(topic, which):
    for seed in range(25):
        question = drawn(topic, which, seed)
        assert solve(question).right == BY_HAND[topic, which](question.text), question.text


# --- the quiz
def test_answers_are_hidden_until_they_are_asked_for(capsys):
    hidden = said(capsys, quiz, "stock", seed=7, questions=4)
    shown = said(capsys, quiz, "stock", seed=7, questions=4, answers=True)
    assert "Answer" not in hidden
    assert shown.count("Answer: ") == 4
    left = "\n".join(line for line in shown.splitlines() if not line.startswith(("   Answer: ", "   Not ")))
    assert left == hidden


def test_a_shorter_quiz_is_the_beginning_of_a_longer_one(capsys):
    short, long = (said(capsys, quiz, "tree", seed=7, questions=n).split("\n", 1)[1] for n in (3, 9))
    assert long.startswith(short)


def test_each_seed_and_each_name_has_its_own_questions(capsys):
    asked = [dict(seed=7), dict(seed=8), dict(seed=7, name="Ada"), dict(seed=7, name="Bob")]
    assert len({said(capsys, quiz, "patch", **one).split("\n", 1)[1] for one in asked}) == 4


def test_a_name_has_one_form(capsys):
    composed, spread = (said(capsys, quiz, "patch", seed=7, name=name) for name in ("Zo\u00eb  B", " Zoe\u0308 B "))
    assert composed == spread


def test_no_kind_comes_again_before_all_have_come():
    kinds = [question.kind for question in quizzes.draw_questions(["tree"] * 12, seed=3, name="", scope="quiz")]
    assert set(kinds[:6]) == set(kinds[6:]) == set(KINDS["tree"])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"topic": "stok", "seed": 7}, r"topic 'stok' does not exist; there are start \(00\).* and design \(13\)\."),
        ({"topic": None, "seed": 7}, "topic None does not exist"),
        ({"topic": "stock", "seed": -1}, "seed is -1; it must be a whole number from 0 to 18,446,744,073,709,551,615"),
        ({"topic": "stock", "seed": 2**64}, "seed is 18446744073709551616"),
        ({"topic": "stock", "seed": "7"}, "seed is '7'"),
        ({"topic": "stock", "seed": 7, "questions": 0}, "questions is 0; it must be a whole number from 1 to 1,000"),
        ({"topic": "stock", "seed": 7, "name": 7}, "the name is 7; give a text"),
        ({"topic": "stock", "seed": 7, "name": "a\x1bb"}, "letters that can be printed"),
        ({"topic": "stock", "seed": 7, "name": "x" * 101}, "at most 100 letters"),
        ({"topic": "stock", "seed": 7, "answers": 1}, "answers is 1; it must be True or False"),
    ],
)
def test_what_is_no_quiz_is_refused_in_words(arguments, why):
    with pytest.raises(ValueError, match=why):
        quiz(**arguments)


# --- papers
@pytest.fixture
def no_answers(monkeypatch):
    """Every way to an answer is broken: the mechanism, and what each kind would do with it."""

    def broken(*_, **__):
        raise AssertionError("an answer was computed")

    for module in quiz_kinds.TOPICAL:
        monkeypatch.setattr(module, "System", broken, raising=False)
    monkeypatch.setattr(quizzes, "solve", broken)
    monkeypatch.setattr(papers, "judge", broken)

    def without(function):
        return lambda draw: (*function(draw)[:2], broken)

    monkeypatch.setattr(quizzes, "KINDS", {t: {k: without(f) for k, f in kinds.items()} for t, kinds in KINDS.items()})


def test_a_paper_is_the_same_when_no_answer_can_be_computed(no_answers, tmp_path):
    with pytest.raises(AssertionError, match="an answer was computed"):
        quizzes.draw_questions(["stock"], seed=1, name="", scope="quiz")[0].solve()
    save_paper(tmp_path / "a.json", make_paper(40, seed=7, name="Ada"))
    assert hashlib.sha256((tmp_path / "a.json").read_bytes()).hexdigest()[:16] == PINNED_PAPER


PINNED_PAPER = "96c32c0550ffdd1e"


def test_a_student_s_file_has_questions_and_empty_places_alone(tmp_path):
    save_paper(tmp_path / "a", make_paper(40, seed=7, name="Ada"))
    paper = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert hashlib.sha256((tmp_path / "a.json").read_bytes()).hexdigest()[:16] == PINNED_PAPER
    assert tuple(paper) == papers.FIELDS
    assert paper["version"] == memcg_lab.__version__
    assert all(tuple(asked) == papers.QUESTION and asked["answer"] is None for asked in paper["questions"])
    assert {asked["topic"] for asked in paper["questions"]} == set(TOPICS)
    other = copy.deepcopy(paper)
    for asked in other["questions"]:
        asked["answer"] = 1
    assert digest_of(other) == paper["digest"]  # made of what is asked, not of any answer


def test_ten_thousand_seeds_give_distinct_papers():
    made = [make_paper(20, seed=seed, name="Ada") for seed in range(10_000)]
    texts = {tuple(asked["question"] for asked in paper["questions"]) for paper in made}
    assert len(texts) >= 9_990


def test_a_hundred_names_share_few_questions_of_a_paper():
    made = [make_paper(20, seed=7, name=f"reader {k}")["questions"] for k in range(100)]
    shared = [
        sum(one[k]["question"] == other[k]["question"] for k in range(20))
        for i, one in enumerate(made)
        for other in made[:i]
    ]
    assert max(shared) <= 3


def answered(n=20, seed=7, name="Ada", spoil=()):
    """A paper with all answers right, but those whose place is in ``spoil``; and its questions."""
    paper, questions = make_paper(n, seed=seed, name=name), papers._questions(n, seed, name)
    for place, (asked, question) in enumerate(zip(paper["questions"], questions, strict=True)):
        right, wrong = solve(question)
        asked["answer"] = next(iter(wrong)) if place in spoil else right
    return paper, questions


def marked(tmp_path, paper, **options):
    path = tmp_path / "paper.json"
    path.write_text(json.dumps(paper), encoding="utf-8")
    [mark] = mark_papers(path, **options)
    return mark


def test_right_answers_are_right_and_wrong_ones_meet_their_thought(tmp_path):
    paper, questions = answered(24, spoil=(0, 5, 11))
    paper["questions"][7]["answer"] = None
    mark = marked(tmp_path, paper, seed=7, questions=24)
    assert (mark.caught, mark.right, mark.open, mark.of) == (None, 20, 1, 24)
    assert [(place, why) for place, _, why in mark.wrong] == [
        (place + 1, next(iter(solve(questions[place]).wrong.values()))) for place in (0, 5, 11)
    ]


def test_an_answer_may_be_written_as_people_do(tmp_path):
    paper, questions = answered(24)
    for asked, question in zip(paper["questions"], questions, strict=True):
        right = asked["answer"]
        asked["answer"] = f" {told(right)}. " if isinstance(right, str) else f" {told(right)} "
        assert judge(question, asked["answer"])[0]
    assert marked(tmp_path, paper).right == 24


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.lists(JSON, min_size=12, max_size=12))
def test_whatever_is_answered_nothing_is_caught_and_nothing_raises(tmp_path_factory, answers):
    paper = make_paper(12, seed=7, name="Ada")
    for asked, answer in zip(paper["questions"], answers, strict=True):
        asked["answer"] = answer
    mark = marked(tmp_path_factory.mktemp("any"), json.loads(json.dumps(paper)), seed=7)
    assert mark.caught is None
    assert mark.right + mark.open + len(mark.wrong) == 12
    print_marks([mark], answers=True)


def tampered(k):
    """(a paper changed in one way but its answers, what the way is called)."""
    draw = Draw("tampering", k)
    paper = make_paper(20, seed=7, name="Ada")
    for asked in paper["questions"]:
        asked["answer"] = draw.pick([None, 3, "yes", 12.5])
    asked, way = draw.pick(paper["questions"]), WAYS[k % len(WAYS)]
    if way == "digit":
        places = [m.start() for m in re.finditer(r"\d", asked["question"])] or [0]
        at, digit = draw.pick(places), asked["question"][0]
        digit = str((int(asked["question"][at]) + draw.between(1, 9)) % 10) if asked["question"][at].isdigit() else "x"
        asked["question"] = asked["question"][:at] + digit + asked["question"][at + 1 :]
    elif way == "letter":
        at = draw.between(0, len(asked["question"]) - 1)
        letter = draw.pick([letter for letter in "xyz\u200b " if letter != asked["question"][at]])
        asked["question"] = asked["question"][:at] + letter + asked["question"][at + draw.between(0, 1) :]
    elif way == "another's question":
        other = make_paper(20, seed=draw.between(8, 10**6), name="Ada")["questions"][asked["number"] - 1]
        asked |= {"question": other["question"] + ("" if other["question"] != asked["question"] else " ")}
    elif way == "order":
        one, other = draw.shuffled(range(20))[:2]
        paper["questions"][one], paper["questions"][other] = paper["questions"][other], paper["questions"][one]
    elif way == "number":
        asked["number"] = draw.pick(
            [asked["number"] + draw.between(1, 5), float(asked["number"]), str(asked["number"])]
        )
    elif way == "topic":
        asked["topic"] = draw.pick([topic for topic in TOPICS if topic != asked["topic"]])
    elif way == "dropped":
        paper["questions"].remove(asked)
    elif way == "twice":
        paper["questions"].append(copy.deepcopy(asked))
    elif way == "field":
        if draw.between(0, 1):
            asked["hint"] = "12"
        else:
            del asked[draw.pick(papers.QUESTION)]
    elif way == "seed":
        paper["seed"] = draw.pick([draw.between(8, 10**9), draw.between(0, 6), -7, 7.0, "7", None, True])
    elif way == "name":
        paper["name"] = draw.pick(["ada", "Ada ", "Bob", "", "Ad\u0430", None, 7, "Ada\u202e"])
    elif way == "another seed's paper":
        paper = make_paper(20, seed=draw.between(8, 10**9), name="Ada")
    elif way == "a shorter paper":
        paper = make_paper(draw.between(1, 19), seed=7, name="Ada")
    elif way == "version":
        paper["version"] = draw.pick(["0.0.9", "0.1", "1.0.0", None, 1])
    elif way == "format":
        paper["format"] = draw.pick(["memcg-lab paper 2", "", None])
    elif way == "top field":
        if draw.between(0, 1):
            paper["marks"] = 20
        else:
            del paper[draw.pick(papers.FIELDS)]
    else:
        at = draw.between(0, 63)
        paper["digest"] = draw.pick(
            ["", None, paper["digest"].upper() + "0", paper["digest"][:at] + "x" + paper["digest"][at + 1 :]]
        )
        return paper, way
    if draw.between(0, 1):  # who changes a paper may make a new digest, too: there is no secret in it
        try:
            paper["digest"] = digest_of(paper)
        except (KeyError, TypeError):
            pass
    return paper, way


WAYS = (
    *("digit", "letter", "another's question", "order", "number", "topic", "dropped", "twice", "field", "seed", "name"),
    *("another seed's paper", "a shorter paper", "version", "format", "top field", "digest"),
)
SAID = {
    "digit": r"question \d+ was changed: its question is not",
    "letter": r"question \d+ was changed: its question is not",
    "another's question": r"question \d+ was changed: its question is not",
    "order": r"question \d+ was changed: its number",
    "number": r"question \d+ was changed: its number",
    "topic": r"question \d+ was changed: its topic",
    "dropped": r"it has 19 questions, not 20",
    "twice": r"it has 21 questions, not 20",
    "field": r"question \d+ was changed: it has other fields than number, topic, question and answer",
    "seed": r"it is of seed \d+, not 7|seed is .*; it must be a whole number|its name or its seed",
    "name": r"question \d+ was changed|its name or its seed|the name is ",
    "another seed's paper": r"it is of seed \d+, not 7",
    "a shorter paper": r"it has \d+ questions?, not 20",
    "version": r"it is of library version .*; this is ",
    "format": r"it is no paper: its format is not",
    "top field": r"the field '\w+' (is missing|does not belong there)|it is of library version None|it is no paper",
    "digest": r"the digest does not fit",
}


def test_a_thousand_tampered_papers_are_caught_and_named(tmp_path):
    met = set()
    for k in range(1000):
        paper, way = tampered(k)
        mark = marked(tmp_path, paper, seed=7, questions=20)
        assert mark.caught, (k, way)
        assert re.search(SAID[way], mark.caught), (k, way, mark.caught)
        assert (mark.right, mark.of) == (0, 0)
        met.add(way)
    assert met == set(WAYS)


def test_without_the_course_s_seed_a_changed_one_is_still_caught(tmp_path):
    for k in range(60):
        paper, way = tampered(k)
        if way in ("seed", "name", "digit", "letter", "dropped", "twice"):
            assert marked(tmp_path, paper).caught


def test_the_untampered_paper_is_not_caught(tmp_path):
    for k in range(20):
        assert marked(tmp_path, make_paper(20, seed=7, name=f"reader {k}"), seed=7, questions=20).caught is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is no JSON"),
        (b"[", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"\xff", "it cannot be read .byte 0 is no text in UTF-8"),
        (b"[]", "it is no paper"),
        (b"{}", "it is no paper"),
        (b'{"a": 1, "a": 2}', "a field is there twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b" " * (1 << 20) + b"1", "it has 1,048,577 bytes, and more than 1,048,576 bytes are not read"),
        (b"9" * 5000, "it is no JSON"),
    ],
)
def test_what_is_no_paper_is_caught_and_named(tmp_path, content, why):
    (tmp_path / "a.json").write_bytes(content)
    [mark] = mark_papers(tmp_path)
    assert re.search(why, mark.caught)


def test_a_folder_is_marked_by_name_and_a_copy_is_caught(tmp_path):
    for name in ("Ada", "Bob", "Cy"):
        save_paper(tmp_path / name, answered(4, name=name)[0])
    save_paper(tmp_path / "Dan", make_paper(4, seed=7, name="Ada"))
    marks = mark_papers(tmp_path, seed=7)
    assert [(mark.file, mark.right, mark.caught) for mark in marks] == [
        ("Ada.json", 0, "2 papers have the name 'Ada'"),
        ("Bob.json", 4, None),
        ("Cy.json", 4, None),
        ("Dan.json", 0, "2 papers have the name 'Ada'"),
    ]


def test_papers_of_several_seeds_need_the_course_s(tmp_path):
    for seed in (7, 8):
        save_paper(tmp_path / f"{seed}", make_paper(3, seed=seed, name=f"reader {seed}"))
    with pytest.raises(ValueError, match=r"several seeds \(7 and 8\); say which"):
        mark_papers(tmp_path)
    assert [mark.caught for mark in mark_papers(tmp_path, seed=8)] == ["it is of seed 7, not 8", None]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"questions": 0, "seed": 7, "name": "A"}, "questions is 0; it must be a whole number from 1 to 100"),
        ({"questions": 5, "seed": -1, "name": "A"}, "seed is -1"),
        ({"questions": 5, "seed": 7, "name": "  "}, "the name is empty; a paper is somebody's"),
    ],
)
def test_what_is_no_paper_is_not_made(arguments, why):
    with pytest.raises(ValueError, match=why):
        make_paper(**arguments)


# --- the command
def run(capsys, *arguments):
    status = main(["quiz", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_the_command_asks_makes_and_marks(capsys, tmp_path):
    status, out, _ = run(capsys, "stock", "--seed", 7, "--questions", 2, "--name", "Ada")
    assert (status, out.count("?\n")) == (0, 4)
    assert run(capsys, "stock", "--seed", 7, "--answers")[1].count("Answer: ") == 5
    paper = tmp_path / "ada.json"
    assert run(capsys, "--paper", 20, "--seed", 7, "--name", "Ada", "-o", paper)[0] == 0
    status, _, err = run(capsys, "--paper", 20, "--seed", 7, "--name", "Ada", "-o", paper)
    assert status == 2
    assert "this file exists" in err
    status, out, _ = run(capsys, "--mark", tmp_path, "--seed", 7, "--paper", 20)
    assert status == 0
    assert out.splitlines() == [
        "paper     name  seed  right    not answered",
        "ada.json  Ada   7     0 of 20  20",
        "1 paper marked, 0 caught.",
    ]
    paper.write_text(paper.read_text(encoding="utf-8").replace("How many", "How few", 1), encoding="utf-8")
    status, out, _ = run(capsys, "--mark", paper)
    assert status == 1
    assert re.search(r"^ada\.json: question \d+ was changed: its question is not what", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["stok", "--seed", "7"], "topic 'stok' does not exist; there are start"),
        (["stock"], "say which questions: --seed 7"),
        (["stock", "--seed", "seven"], "the seed is 'seven'; it must be a whole number."),
        (["stock", "--seed", "-1"], "seed is -1"),
        (["stock", "--seed", "7", "--questions", "many"], "--questions is 'many'"),
        (["stock", "--seed", "7", "--questions", "0"], "questions is 0"),
        (["stock", "--seed", "7", "--out", "x"], "out does not go with a topic"),
        (["--paper", "5", "--seed", "7"], "a paper is somebody's and goes into a file"),
        (["stock", "--paper", "5", "--seed", "7", "--name", "A", "-o", "x"], "topic does not go with --paper"),
        (["--paper", "0", "--seed", "7", "--name", "A", "-o", "x"], "questions is 0"),
        (["--mark", "nowhere"], "nowhere: no such file or folder"),
        (["--mark", "nowhere", "--name", "A"], "name does not go with --mark"),
    ],
)
def test_a_wrong_call_is_refused_in_words(capsys, tmp_path, monkeypatch, arguments, why):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert why in err
    assert not list(tmp_path.iterdir())


def test_what_a_terminal_would_obey_is_escaped(capsys, tmp_path):
    paper = make_paper(3, seed=7, name="Ada")
    paper["questions"][0]["answer"] = "\x1b]0;owned\x07"
    (tmp_path / "a\x1bb.json").write_text(json.dumps(paper), encoding="utf-8")
    _, out, _ = run(capsys, "--mark", tmp_path, "--answers")
    assert not {"\x1b", "\x07"} & set(out)
    assert "owned" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["quiz", "--paper", "3", "--seed", "7", "--name", "A", "-o", ""],
            "the path is empty; name a file or a folder.",
        ),
        (["quiz", "--paper", "3", "--seed", "7", "--name", "A", "-o", "."], "the path is '.', a folder; name a file."),
        (
            ["quiz", "--paper", "3", "--seed", "7", "--name", "A", "-o", ".."],
            "the path is '..', a folder; name a file.",
        ),
        (["quiz", "--mark", "", "--seed", "7"], "the path is empty; name a file or a folder."),
        (["test-form", "A", "--mark", ""], "the path is empty; name a file or a folder."),
        (["grade", "", "--yes"], "the path is empty; name a file or a folder."),
    ],
)
def test_a_path_that_names_no_file_is_told(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"memcg_lab {arguments[0]}: {says}\n")
    assert not list(tmp_path.iterdir())


def test_a_paper_says_the_name_of_its_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["quiz", "--paper", "3", "--seed", "7", "--name", "A", "-o", "ada"]) == 0
    assert capsys.readouterr().out == "ada.json: 3 questions; write your answers in place of null.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["ada.json"]
