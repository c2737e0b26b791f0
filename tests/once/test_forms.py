"""Forms: what a notebook asks can be answered in it; a page without Python judges to the letter as Python does."""

import functools
import html
import json
import math
import random
import re
import shutil
import subprocess
import sys

import pytest

from lab_helpers import node, said
from memcg_lab.course import asking, check, notes, predict, predictions, quiz, quiz_ask, reveal
from memcg_lab.course.form import HERE, Form
from memcg_lab.course.guesses import GUESSES
from memcg_lab.course.questions import QUESTIONS
from memcg_lab.course.quiz_draw import NEEDS, TOPICS
from memcg_lab.course.quiz_kinds import KINDS
from memcg_lab.course.quizzes import solve
from memcg_lab.words import number
from tools import book, notebooks

pytestmark = pytest.mark.usefixtures("nothing_said")


@pytest.fixture
def shown(monkeypatch):
    """The forms that a notebook would show, as they come."""
    forms = []
    monkeypatch.setattr(asking, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", forms.append)
    return forms


def heard(form, **values):
    """What a form's page gets back for some values."""
    return answered(form, **values)["told"]


def answered(form, **values):
    sent = []
    form.send = lambda content, buffers=None: sent.append(content)
    form._heard(form, {"id": "a 1", "values": values}, [])
    assert [answer["id"] for answer in sent] == ["a 1"]
    return sent[0]


# --- predictions
def test_a_prediction_in_a_form_is_kept_and_judged(shown, capsys):
    predict("04.stock", uncharge_hunk_alone=None, both=None)
    (form,) = shown
    assert capsys.readouterr().out == ""
    assert repr(form) == "No prediction yet. Replace None by your numbers and run this cell again."
    assert [(one["name"], one["label"], one["kind"]) for one in form.form["controls"]] == [
        ("uncharge_hunk_alone", "uncharge hunk alone", "number"),
        ("both", "both", "number"),
        ("sure", "How sure are you?", "sure"),
    ]
    told = heard(form, uncharge_hunk_alone=" 1,200 ", both="2.5", sure="70")
    assert told.splitlines() == [
        "Noted: uncharge_hunk_alone 1,200; 70 % sure.",
        "Not noted: both is 2.5; here things are counted one by one, so give a whole number.",
    ]
    assert heard(form, uncharge_hunk_alone="50", both="2", sure="70") == (
        "Noted: uncharge_hunk_alone 50, both 2; 70 % sure."
    )
    assert heard(form, uncharge_hunk_alone="", both=" ", sure="70") == "Nothing is said yet."
    assert said(capsys, reveal, "04.stock", uncharge_hunk_alone=200, both=2).splitlines()[-1].startswith("Score 0.29 ")
    predict("04.stock", uncharge_hunk_alone=None, both=None)  # the cell is run again
    assert repr(shown[1]) == "Noted: uncharge_hunk_alone 50, both 2; 70 % sure."
    assert shown[1].form["values"] == {"uncharge_hunk_alone": "50", "both": "2", "sure": "70"}


def test_a_prediction_changed_after_the_run_was_shown_counts_no_more(capsys):
    predict("04.stock", uncharge_hunk_alone=40, both=2, sure=70)
    predict("04.stock", uncharge_hunk_alone=50, both=2, sure=70)
    first = said(capsys, reveal, "04.stock", uncharge_hunk_alone=200, both=2)
    first = first[first.rindex("uncharge_hunk_alone: ") :]
    assert said(capsys, predict, "04.stock", uncharge_hunk_alone=50, both=2, sure=70).count("\n") == 0
    assert said(capsys, predict, "04.stock", uncharge_hunk_alone=200, both=2, sure=100).splitlines() == [
        "Noted: uncharge_hunk_alone 200, both 2; 100 % sure.",
        "The run has been shown already: what you said before it counts.",
    ]
    assert notes.recall("predictions", "04.stock") == {
        "said": {"uncharge_hunk_alone": 50, "both": 2},
        "sure": 70,
        "shown": True,
        "afterwards": {"said": {"uncharge_hunk_alone": 200, "both": 2}, "sure": 100},
    }
    again = said(capsys, reveal, "04.stock", uncharge_hunk_alone=200, both=2)
    assert again == f"{first}\nYou changed this after the run was shown; that counts no more."


def test_what_is_said_first_after_the_run_was_shown_gets_no_score(shown, capsys):
    assert said(capsys, reveal, "04.stock", uncharge_hunk_alone=200, both=2).startswith("You said nothing yet.")
    predict("04.stock", uncharge_hunk_alone=None, both=None)
    assert heard(shown[0], uncharge_hunk_alone="50", both="2", sure="70").splitlines() == [
        "Noted: uncharge_hunk_alone 50, both 2; 70 % sure.",
        "The run was shown before you said this: it gets no score.",
    ]
    assert said(capsys, reveal, "04.stock", uncharge_hunk_alone=200, both=2).splitlines() == [
        "uncharge_hunk_alone: you said 50, the run says 200; you were 4 times too low.",
        "both: you said 2, the run says 2; exactly right.",
        "The run was shown before you said this: it gets no score.",
    ]
    after = {"said": {"uncharge_hunk_alone": 50, "both": 2}, "sure": 70}
    assert notes.recall("predictions", "04.stock") == {"shown": True, "afterwards": after}
    assert predictions.noted("04.stock") == ({}, None)  # what a room's code and a teacher's folder take
    predict("04.stock", uncharge_hunk_alone=None, both=None)  # the cell is run again
    assert repr(shown[1]).splitlines()[1] == predictions.SEEN
    assert said(capsys, predict, "04.stock", both=2, sure=100).splitlines()[1] == predictions.SEEN
    notes.remember("predictions", "04.stock", "what a reader wrote")
    assert said(capsys, predict, "04.stock", both=2, sure=100) == "Noted: both 2; 100 % sure."


def test_a_choice_is_offered_and_nothing_of_the_answer_is_in_a_form(shown):
    predict("05.early", softirq=None, task=None)
    assert [one.get("choices") for one in shown[0].form["controls"]] == [["yes", "no"], ["yes", "no"], None]
    assert "run says" not in shown[0].to_html()
    assert heard(shown[0], softirq="no", task="", sure="") == 'Noted: softirq "no".\nStill open: task.'


def test_what_is_said_in_code_is_printed_as_it_was(shown, capsys):
    assert said(capsys, predict, "04.stock", both=2) == "Noted: both 2."
    assert shown == []


def test_an_answer_that_cannot_be_taken_is_told_in_the_form():
    def fails(values):
        raise RuntimeError("no room")

    assert heard(Form("text", {}, fails)) == "That did not work: no room"


def test_a_saved_form_is_its_text_and_only_a_jupyter_server_gets_the_mark(monkeypatch):
    form = Form("Say < 3.", {"kind": "predict"}, print)
    plain = form._repr_mimebundle_()
    assert plain["text/plain"] == "Say < 3."
    assert "Say &lt; 3." in plain["text/html"]
    assert "data-memcg-live" not in plain["text/html"]
    assert notebooks.WIDGET_VIEW in plain
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    mounted = form._repr_mimebundle_()
    assert f'data-memcg-live="{form.live}"' in mounted["text/html"]
    assert set(mounted) == {"text/plain", "text/html"}


def test_a_program_that_is_no_notebook_loads_no_widgets():
    code = "import sys; from memcg_lab import predict; predict('t.a', a=None); print('anywidget' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "No prediction yet. Replace None by your numbers and run this cell again.",
        "False",
    ]


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_number_asked_has_two_expected_wrong_answers_and_every_choice_one_each(question):
    for name, asked in QUESTIONS[question].items():
        met = GUESSES[question][name]
        if isinstance(asked, tuple):
            assert set(met) == set(asked) - {truths()[question][name]}
        else:
            wrong = [guess for guess in met if guess != truths()[question][name]]
            assert len(wrong) >= 2, name
        assert len(set(met.values())) == len(met)


@functools.cache
def truths():
    """What the committed notebooks reveal, by question."""
    found = {}
    for path in notebooks.roster(notebooks.ROOT):
        for cell in notebooks.parse(notebooks.read_raw(path), path).cells:
            if cell.cell_type != "code":
                continue
            asked = [question for function, question in book.folding.calls(cell.source) if function == "reveal"]
            for output in cell.outputs:
                for piece in book.with_truth(output, asked):
                    shown = piece.get("data", {}).get("text/html", "")
                    for match in re.finditer(r'data-memcg-reveal="([^"]*)" data-truth="([^"]*)"', shown):
                        found[match[1]] = json.loads(html.unescape(match[2]))
    assert set(found) == set(QUESTIONS)
    return found


# --- at the ends of a notebook
def test_for_who_reads_all_of_them_notebooks_come_back_three_times_two_apart():
    for n, topic in list(enumerate(TOPICS))[2:]:  # the first two come back wherever there is nothing so early
        back = [m for m in range(1, len(TOPICS)) if topic in quiz_ask.topics_at(f"before {m:02}", read=NEEDS)]
        assert back == [m for m in (n + 1, n + 3, n + 5) if m < len(TOPICS)]
    # 12 has no topic, and is passed over
    assert quiz_ask.topics_at("before 13", read=NEEDS) == ["traces", "published", "after"]


def stated():
    """What each notebook asks to have been read before it, in the sentence that says so."""
    found = {}
    for path in notebooks.roster(notebooks.ROOT):
        first = notebooks.parse(notebooks.read_raw(path), path).cells[0].source
        (sentence,) = re.findall(r"^\*\*Before you start:\*\* (.*?)\.(?: |$)(?![^(]*\.ipynb\))", first, re.MULTILINE)
        found[path.name[:2]] = tuple(re.findall(r"\]\((\d\d)_\w+\.ipynb\)", sentence + "."))
    return found


def test_what_a_notebook_rests_on_is_what_its_first_cell_asks_for():
    assert stated() == NEEDS


@pytest.mark.parametrize("notebook", list(NEEDS)[1:])
def test_nobody_is_asked_of_a_notebook_that_the_stated_path_does_not_lead_through(notebook):
    read, more = set(), {notebook}
    while more:  # along the sentences of the notebooks themselves
        more = {before for one in more for before in stated()[one]} - read
        read |= more
    asked = quiz_ask.topics_at(f"before {notebook}")
    assert {TOPICS[topic] for topic in asked} <= read
    assert len(set(asked)) == min(len(asked), len(read))  # none twice while there is another
    questions = quiz_ask.questions_at(f"before {notebook}", seed=quiz_ask.COURSE_SEED, name="")
    assert [question.topic for question in questions] == asked


def test_who_has_read_more_is_asked_of_more_and_what_was_answered_stays(shown, monkeypatch):
    draw, asked = quiz_ask.draw_questions, []
    monkeypatch.setattr(quiz_ask, "draw_questions", lambda topics, **rest: asked.append(topics) or draw(topics, **rest))

    def topics():
        quiz("before 05")
        return tuple(asked[-1])

    assert topics() == ("patch", "start", "start")
    predict("02.charge", atomics=5)
    assert topics() == ("patch", "start", "tree")
    check("03.1", 12)
    assert topics() == ("patch", "tree", "start")
    quiz("before 05", said=["?"] * 3)
    notes.remember("quizzes", "after 01", [])
    assert topics() == ("patch", "tree", "start")  # with 01 read too the last would be another
    assert shown[-1].form["status"].startswith("1. You do not know.")
    notes.remember("quizzes", "before 05", [{"topic": "nothing"}] * 3)  # what a reader wrote into the file
    assert topics() == ("patch", "tree", "start")


@pytest.mark.parametrize("seed", [quiz_ask.COURSE_SEED, 1, 2**64 - 1])
def test_over_the_whole_course_no_kind_comes_again_before_all_of_its_topic_have_come(seed):
    had = {}
    for notebook in NEEDS:
        for end in [f"before {notebook}", f"after {notebook}"][notebook == "00" :]:
            for question in quiz_ask.questions_at(end, seed=seed, name="Ada"):
                had.setdefault(question.topic, []).append(question.kind)
    for topic, kinds in had.items():
        for k in range(len(kinds)):
            round_ = kinds[k : k + len(KINDS[topic])]
            assert len(set(round_)) == len(round_), (topic, kinds)
    assert len(had["start"]) >= 12
    assert max(had["start"].count(which) for which in KINDS["start"]) <= math.ceil(len(had["start"]) / 6)
    assert quiz_ask.questions_at("before 03", seed=seed, name="Ada")[0].kind == had["tree"][3]  # asked alone as well


@pytest.mark.parametrize("end", ["before 00", "after 12", "after 99"])
def test_where_there_is_nothing_to_ask_it_is_said(end):
    with pytest.raises(ValueError, match=f"there is nothing to ask {end}; there are notebooks 00 to 13"):
        quiz(end)


def test_the_questions_of_an_end_are_the_same_everywhere_and_others_for_each_name(capsys):
    first, second = said(capsys, quiz, "before 05"), said(capsys, quiz, "before 05")
    assert first == second
    assert "sure" in first.splitlines()[0]
    assert said(capsys, quiz, "after 04") not in (first, said(capsys, quiz, "before 05", seed=7))
    ada = said(capsys, quiz, "before 05", name=" Ada ")
    assert ada != first
    assert said(capsys, quiz, "before 05") == ada  # the name is kept
    assert notes.recall("reader", "name") == "Ada"


def test_nothing_is_computed_and_nothing_told_before_it_is_returned(shown, monkeypatch):
    monkeypatch.setattr(quiz_ask, "solve", None)
    quiz("before 05")
    (form,) = shown
    assert heard(form, sure0="70", said0="") == "Nothing is answered yet. A guess is worth more than none."
    kinds = [one["kind"] for one in form.form["controls"]]
    assert kinds == ["sure", "number", "sure", "number", "sure", "number"]  # confidence first
    assert answered(form, said0="7", said1="many") == {
        "id": "a 1",
        "told": "2. Your answer is 'many'; give a number.",
        "field": "said1",
    }
    assert answered(form, said0="7", sure0="170")["field"] == "sure0"
    assert heard(form, said0="7", sure0="170") == "1. How sure you are is 170; give a percentage from 0 to 100."
    assert answered(form, said1="7") == {
        "id": "a 1",
        "told": "1 and 3 are still open. Nothing is told before each has an answer; give ? where you do not know.",
        "field": "said0",
    }
    assert heard(form, said0="7", said1="?").startswith("3 is still open. ")
    assert notes.recall("quizzes", "before 05") is None


def test_what_is_returned_is_judged_and_kept(shown, capsys):
    questions = quiz_ask.questions_at("after 03", seed=quiz_ask.COURSE_SEED, name="")
    right = [solve(question).right for question in questions]
    wrong = next(iter(solve(questions[1]).wrong.items()))
    quiz("after 03")
    told = heard(shown[0], said0=str(right[0]), sure0="100", said1=str(wrong[0]), sure1="90", said2="?").splitlines()
    assert told[0] == f"1. You said {right[0]}, 100 % sure: right."
    assert told[1].startswith(f"2. You said {wrong[0]}, 90 % sure; it is {right[1]}. ")
    assert wrong[1][1:] in told[1]
    assert told[1].endswith(" An error made with such confidence is the one best mended: say now why it is not so.")
    assert told[2:] == [
        f"3. You do not know. It is {right[2]}.",
        "Score 0.41 (0 is best, 1 worst; 50 % sure gets 0.25).",
    ]
    assert notes.recall("quizzes", "after 03")[1] == {
        "topic": "stock",
        "question": questions[1].text,
        "said": wrong[0],
        "sure": 90,
        "right": False,
    }
    in_code = said(capsys, quiz, "after 03", said=[right[0], wrong[0], "?"], sure=[100, 90, None])
    assert in_code.splitlines() == told

    quiz("after 03")  # run again: it was answered, and how
    assert repr(shown[1]).endswith("\n\nYou have answered:\n" + "\n".join(told))
    assert shown[1].form["status"].splitlines() == told
    first, second = {"said0": str(right[0]), "sure0": "100"}, {"said1": str(wrong[0]), "sure1": "90"}
    assert shown[1].form["values"] == first | second | {"said2": "?", "sure2": ""}
    quiz("after 03", seed=7)  # other questions
    assert shown[2].form["status"] == ""

    late = heard(shown[1], said0=str(right[0]), said1=str(right[1]), said2=str(right[2]), sure1="100").splitlines()
    assert late[1] == f"2. You said {number(right[1])}, 100 % sure: right."
    assert late[3:] == ["The answers had been told already: what you said first stays in your notes and counts."]
    assert notes.recall("quizzes", "after 03")[1] == {
        "topic": "stock",
        "question": questions[1].text,
        "said": wrong[0],
        "sure": 90,
        "right": False,
        "afterwards": {"said": right[1], "sure": 100},
    }
    assert said(capsys, quiz, "after 03", said=[right[0], wrong[0], "?"], sure=[100, 90, None]).splitlines() == told


@pytest.mark.parametrize("given", [{"said": [1, 2]}, {"said": 7}, {"said": [1, 2, 3], "sure": [50]}])
def test_an_end_takes_an_answer_for_each_question(given):
    with pytest.raises(ValueError, match="give a list of 3, one for each question, or None"):
        quiz("after 03", **given)


# --- without Python
JOB = """
import fs from "node:fs";
const { number, note, judged, returned } = await import(process.argv[1]);
const does = { number, note, judged, returned };
const jobs = JSON.parse(fs.readFileSync(0));
console.log(JSON.stringify(jobs.map(([name, ...given]) => does[name](...given))));
"""


@pytest.fixture(scope="module")
def in_node(tmp_path_factory):
    """What judge.js answers, job by job."""
    copy = tmp_path_factory.mktemp("judge") / "judge.mjs"
    shutil.copy(HERE / "judge.js", copy)

    def asked(jobs):
        done = subprocess.run(
            [node(), "--input-type=module", "-e", JOB, copy.as_uri()],
            input=json.dumps(jobs),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return asked


def test_numbers_read_alike(in_node):
    draw = random.Random(1)
    values = [0, 1, -3, 10313, 10**12, -1234567, 2.0, 0.5, 1.25, 0.125, 0.15, 1.35, -0.25, 1234.5678, 3 / 33, 0.999999]
    values += [k / 64 for k in range(-300, 300)]
    values += [draw.choice((1, -1)) * 10 ** draw.uniform(-4, 7) for _ in range(500)]
    for digits in (2, 3):
        assert in_node([["number", value, digits] for value in values]) == [number(value, digits) for value in values]


def sayings(question):
    """What readers may say: each guess, the truth, near it on both sides, far away, nothing."""
    draw = random.Random(question)
    for name, asked in QUESTIONS[question].items():
        truth = truths()[question][name]
        if isinstance(asked, tuple):
            yield from ({name: choice} for choice in asked)
            continue
        near = [truth + 1, truth - 1, truth * 2, 0, -1, round(truth)]
        if asked != "count":
            near += [truth * 1.05, truth * 0.95, truth + 0.005, truth * 1.2, truth * 1.25]
        for value in [truth, *near, *GUESSES[question][name]]:
            yield {name: round(value, 6)}
    everything = {name: draw.choice(list(GUESSES[question][name])) for name in QUESTIONS[question]}
    yield everything


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_page_without_python_judges_a_prediction_as_python_does(in_node, capsys, whole_lines, question):
    jobs, told = [], []
    asked = {name: list(kind) if isinstance(kind, tuple) else kind for name, kind in QUESTIONS[question].items()}
    guesses = book.judge_of({"kind": "predict", "name": question})["guesses"]
    for n, say in enumerate(sayings(question)):
        sure = (None, 0, 50, 70, 100)[n % 5]
        texts = {name: str(value) for name, value in say.items()} | ({} if sure is None else {"sure": str(sure)})
        jobs += [["note", asked, texts], ["judged", asked, guesses, say, sure, truths()[question]]]
        open_ = {name: None for name in asked} | say
        notes._memory["predictions"].clear()
        told.append(said(capsys, predict, question, sure=sure, **open_))
        told.append(said(capsys, reveal, question, **truths()[question]))
    answers = in_node(jobs)
    assert [answer["told"] if isinstance(answer, dict) else answer for answer in answers] == told


def test_a_page_notes_what_python_notes(in_node, capsys):
    asked = {"before": "count", "after": "count"}
    cases = [
        {"before": "1,200", "after": "40"},
        {"before": "many", "after": "2.5", "sure": "30"},
        {"before": "", "after": ".5e1"},
        {"before": " 12 % ", "after": "1e3"},
    ]
    told = []
    for texts in cases:
        sure, values = asking.typed(texts.get("sure", "")), {name: asking.typed(texts[name]) for name in asked}
        told.append(said(capsys, predict, "00.atomics", sure=sure, **values))
    answers = in_node([["note", asked, texts] for texts in [*cases, {"before": " ", "sure": "70"}]])
    assert [answer["told"] for answer in answers] == [*told, "Nothing is said yet."]
    assert [answer["said"] for answer in answers] == [
        {"before": 1200, "after": 40},
        None,
        {"after": 5},
        {"before": 12, "after": 1000},
        None,
    ]


ENDS = [f"{end} {n}" for n in TOPICS.values() for end in ("before", "after") if (end, n) != ("before", "00")]


def test_a_page_without_python_judges_a_quiz_as_python_does(in_node, capsys):
    jobs, told = [], []
    for place, end in enumerate(ENDS):
        solutions = json.loads(json.dumps(quiz_ask.solutions_at(end)))
        for n in range(4):
            answers = [
                [one["right"], one["wrong"][0][0] if one["wrong"] else 1, "?", 987654][(n + k) % 4]
                for k, one in enumerate(solutions)
            ]
            answers = [
                a if a == "?" or isinstance(a, str) == isinstance(one["right"], str) else None
                for a, one in zip(answers, solutions)
            ]
            sure = [(None, 100, 80, 70)[(n + k + place) % 4] for k in range(3)]
            texts = {f"said{k}": "" if a is None else str(a) for k, a in enumerate(answers)}
            texts |= {f"sure{k}": "" if p is None else str(p) for k, p in enumerate(sure)}
            jobs.append(["returned", solutions, texts])
            notes._memory["quizzes"].clear()
            told.append(said(capsys, quiz, end, said=answers, sure=sure))
    assert [one["told"] for one in in_node(jobs)] == told
    assert any("do not know" in one for one in told)


def test_a_page_without_python_tells_nothing_early_and_keeps_what_was_said_first(in_node, capsys):
    end = "after 03"
    solutions = json.loads(json.dumps(quiz_ask.solutions_at(end)))
    right = [one["right"] for one in solutions]
    texts = [
        {"said0": "7", "sure0": "70"},
        {"said0": "7", "said1": "many"},
        {"said0": "7", "said1": "?", "said2": "?", "sure0": "70"},
        {f"said{n}": str(answer) for n, answer in enumerate(right)} | {"sure0": "100"},
    ]
    early, word, first = in_node([["returned", solutions, one] for one in texts[:3]])
    assert early == {
        "told": "2 and 3 are still open. Nothing is told before each has an answer; give ? where you do not know.",
        "field": "said1",
    }
    assert word == {"told": "2. Your answer is 'many'; give a number.", "field": "said1"}
    assert first["given"] == {"said": [7, "?", "?"], "sure": [70, None, None]}
    (later,) = in_node([["returned", solutions, texts[3], first["given"]]])
    assert later["given"] == first["given"]
    told = [
        said(capsys, quiz, end, said=[7, "?", "?"], sure=[70, None, None]),
        said(capsys, quiz, end, said=right, sure=[100, None, None]),
    ]
    assert [first["told"], later["told"]] == told


def test_a_page_says_of_a_late_change_what_python_says():
    script = (HERE / "judge.js").read_text(encoding="utf-8")
    for sentence in (predictions.LATE, predictions.CHANGED, predictions.SEEN, quiz_ask.AGAIN):
        assert f'"{sentence}"' in script
