"""The course talks to its reader in fixed sentences, never raises on an answer, and is right for the right reason."""

import os
import subprocess
import sys

import numpy as np
import pytest

import memcg_lab
from lab_helpers import said
from memcg_lab import (
    V4_13,
    V4_14,
    check,
    check_environment,
    course,
    files,
    predict,
    reveal,
    setup,
    show_patch,
    show_rule,
)
from memcg_lab.course import answers, environment, exercises, numbers, quotes, rules
from memcg_lab.course.guesses import GUESSES
from memcg_lab.files import data_path, golden_path
from memcg_lab.machine import V4_13_LAYOUT, V6_1_LAYOUT
from memcg_lab.words import listing

# --- set up


def test_setup_says_one_line(capsys):
    assert said(capsys, setup, notebook="04") == f"memcg-lab {memcg_lab.__version__} is ready."


@pytest.mark.parametrize("notebook", ["4", 4, "004", "ab", None])
def test_setup_knows_what_a_notebook_is(notebook):
    with pytest.raises(ValueError, match="two digits"):
        setup(notebook=notebook)


def test_a_healthy_environment_has_nothing_to_mend(capsys, monkeypatch):
    monkeypatch.setattr(environment, "not_ready", list)
    lines = said(capsys, check_environment).splitlines()
    assert lines == [f"ok    {claim}" for claim in environment.CHECKS] + ["All is in place."]


def test_kernels_that_are_not_compiled_yet_are_counted_and_nothing_to_mend(capsys, monkeypatch):
    monkeypatch.setattr(environment, "not_ready", lambda: [None] * 3)
    *lines, last = said(capsys, check_environment).splitlines()
    total = len(environment.kernels())
    waits = [line for line in lines if not line.startswith("ok    ")]
    claim = "wait  kernels of the notebooks are compiled: "
    assert waits == [f"{claim}{total - 3} of {total}; a cell that needs another one waits for it."]
    assert last == "All is in place."


def test_each_check_can_fail(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "PYTHON", (99, 0))
    monkeypatch.setattr(environment, "DATA", tmp_path)
    monkeypatch.setattr(environment._jit, "JIT", False)
    monkeypatch.setattr(environment._jit, "is_kept", lambda kernel: False)
    monkeypatch.setattr(environment, "kernels", None)
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    lines = said(capsys, check_environment).splitlines()
    mended = [line for line in lines if line.startswith("mend  ")]
    assert len(mended) == len(environment.CHECKS) - 1  # the run itself still agrees
    assert lines[-1] == f"{len(mended)} things to mend."
    assert all(line.endswith(".") and ": " in line for line in mended)


def test_a_check_that_breaks_is_something_to_mend(capsys, monkeypatch):
    monkeypatch.setattr(environment, "System", None)
    assert "mend  a first run keeps every page counted: " in said(capsys, check_environment)


def test_without_jit_the_environment_says_so():
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    code = "import memcg_lab; memcg_lab.check_environment()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert "mend  numba compiles: NUMBA_DISABLE_JIT is set" in done.stdout
    assert done.stderr == ""


# --- predict and reveal


pytestmark = pytest.mark.usefixtures("nothing_said", "whole_lines")


@pytest.mark.parametrize("nothing", [None, ...])
def test_no_prediction_is_no_error(capsys, nothing):
    told = said(capsys, predict, "t.none", before=nothing, after=nothing)
    assert told == "No prediction yet. Replace None by your numbers and run this cell again."
    assert said(capsys, reveal, "t.none", before=621, after=39) == (
        "You said nothing yet.\nThe run says before 621, after 39."
    )


def test_a_prediction_is_noted_and_compared(capsys):
    assert said(capsys, predict, "t.a", before=1200, after=40) == "Noted: before 1,200, after 40."
    assert said(capsys, reveal, "t.a", before=np.int64(621), after=39).splitlines() == [
        "before: you said 1,200, the run says 621; you were 1.9 times too high.",
        "after: you said 40, the run says 39; within a tenth.",
    ]


@pytest.mark.parametrize(
    ("said_pages", "verdict"),
    [
        (33, "exactly right."),
        (32, "you were 1 too low, and this is counted: near is not enough."),
        (36, "you were 3 too high, and this is counted: near is not enough."),
        (66, "you were 2 times too high."),
        (0, "you were 33 too low."),
    ],
)
def test_what_is_counted_is_never_praised_for_being_near(capsys, said_pages, verdict):
    predict("04.lump", pages_per_call=said_pages)
    told = said(capsys, reveal, "04.lump", pages_per_call=np.int64(33)).splitlines()[0]
    assert told == f"pages_per_call: you said {said_pages}, the run says 33; {verdict}"


def test_what_is_not_counted_may_be_near(capsys):
    predict("01.listed", percent=13)
    assert said(capsys, reveal, "01.listed", percent=13.47).endswith("; within a tenth.")
    predict("t.percent", percent=0)
    assert said(capsys, reveal, "t.percent", percent=-0.3).endswith("; right to within 0.3.")


@pytest.mark.parametrize(
    ("question", "values", "told"),
    [
        ("00.atomics", {"befor": 5}, "Not noted: befor was not asked; asked are before and after."),
        ("02.charge", {"atomic": 5}, "Not noted: atomic was not asked; asked is atomics."),
        ("00.atomics", {"before": "many"}, 'Not noted: before is "many", a text; give a number.'),
        ("00.atomics", {"before": "621"}, 'Not noted: before is "621", a text; give a number.'),
        (
            "00.atomics",
            {"before": 2.5},
            "Not noted: before is 2.5; here things are counted one by one, so give a whole number.",
        ),
        ("05.early", {"softirq": 1}, 'Not noted: softirq is 1; answer "yes" or "no".'),
        ("05.early", {"softirq": "perhaps"}, 'Not noted: softirq is "perhaps"; answer "yes" or "no".'),
        (
            "03.traffic",
            {"most": "bulk"},
            'Not noted: most is "bulk"; answer "frames", "large", "turns" or "mixed".',
        ),
        ("05.early", {"softirq": " No. ", "task": True}, 'Noted: softirq "no", task "yes".'),
        ("00.atomics", {"before": True}, "Not noted: before is a bool; give a number or a short text."),
    ],
)
def test_a_prediction_that_does_not_fit_the_question_is_told_so(capsys, question, values, told):
    assert said(capsys, predict, question, **values) == told


def test_a_word_is_right_or_not(capsys):
    predict("05.early", softirq="no", task="no")
    assert said(capsys, reveal, "05.early", softirq="no", task="yes").splitlines() == [
        'softirq: you said "no", the run says "no"; right.',
        'task: you said "no", the run says "yes"; not so.',
        GUESSES["05.early"]["task"]["no"],
    ]


def test_a_new_prediction_replaces_the_old_one_and_none_does_not(capsys):
    predict("t.b", pages=3, sure=70)
    predict("t.b", pages=4)
    assert said(capsys, predict, "t.b", pages=None) == "Noted: pages 4."
    assert said(capsys, reveal, "t.b", pages=3) == "pages: you said 4, the run says 3; you were 1.3 times too high."


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (7, "You said nothing yet.\nThe run says before 621."),
        ({"said": [7]}, "You said nothing yet.\nThe run says before 621."),
        ({"said": {"before": "many", "befor": 7}}, "You said nothing yet.\nThe run says before 621."),
        ({"said": {"before": 621}, "sure": "very"}, "before: you said 621, the run says 621; exactly right."),
    ],
)
def test_what_a_reader_wrote_into_the_notes_is_judged_only_if_it_can_be(capsys, kept, told):
    course.notes.remember("predictions", "00.atomics", kept)
    assert said(capsys, reveal, "00.atomics", before=621) == told


def test_half_a_prediction_counts(capsys):
    assert said(capsys, predict, "t.c", before=5, after=None) == "Noted: before 5.\nStill open: after."
    assert said(capsys, reveal, "t.c", before=5, after=9).splitlines() == [
        "before: you said 5, the run says 5; exactly right.",
        "after: you said nothing, the run says 9.",
    ]


def test_words_may_be_predicted(capsys):
    assert said(capsys, predict, "t.d", why="  the   root ") == 'Noted: why "the root".'
    assert said(capsys, reveal, "t.d", why="the leaf") == 'why: you said "the root", the run says "the leaf".'


def test_a_prediction_of_nothing_has_no_factor(capsys):
    predict("t.e", a=0, b=-2)
    assert said(capsys, reveal, "t.e", a=7, b=1).splitlines() == [
        "a: you said 0, the run says 7; you were 7 too low.",
        "b: you said -2, the run says 1; you were 3 too low.",
    ]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        ([1], "a list"),
        (True, "a bool"),
        ("", "letters"),
        ("x" * 201, "201 letters"),
        (1j, "a complex"),
        (np.array([1, 2]), "an? ndarray"),
    ],
)
def test_what_is_no_prediction_is_told_so(capsys, value, why):
    import re

    told = said(capsys, predict, "t.f", x=value)
    assert re.match(f"Not noted: x .*{why}", told)
    with pytest.raises(ValueError, match="x "):
        reveal("t.f", x=value)


@pytest.mark.parametrize("function", [predict, reveal])
def test_a_question_needs_a_name_and_something_asked(function):
    with pytest.raises(ValueError, match="must have a name"):
        function("", a=1)
    with pytest.raises(ValueError, match="nothing is asked"):
        function("t.g")


# --- exercises with a number

RIGHT = {
    "00.1": 10,
    "00.2": 320,
    "00.3": 9,
    "02.1": 5,
    "02.2": 10,
    "03.1": 12,
    "03.2": 24,
    "04.1": 5,
    "04.2": 60,
    "04.3": 201,
    "05.1": 72 * 32,
    "05.2": 72 * 31,
    "05.3": 32,
    "06.2": 21,
    "08.1": 661,
    "08.2": 128,
    "08.3": 49,
    "10.3": 0,
}
ODD = [
    "33",
    [33],
    {},
    float("nan"),
    float("inf"),
    -1,
    -2,
    10**40,
    2.5,
    1j,
    True,
    object(),
    np.array([1, 2]),
    np.float64("nan"),
    b"3",
    print,
    10**400,
    "page_counter_cancel",
    [[-1]],
    [None],
    {1: 2}.keys(),
    np.zeros((2, 2)),
]


@pytest.mark.parametrize(("exercise", "right"), RIGHT.items())
def test_the_run_gives_the_right_answer(exercise, right):
    assert numbers.NUMBERS[exercise].right() == right


@pytest.mark.parametrize(("exercise", "right"), RIGHT.items())
def test_the_right_answer_is_accepted_in_every_number_type(capsys, exercise, right):
    assert len(numbers.NUMBERS[exercise].wrong) > 1
    for answer in (right, float(right), np.int64(right), np.array(right), np.array([right])):
        assert said(capsys, check, exercise, answer).startswith(f"{exercise}: right. ")


@pytest.mark.parametrize("exercise", exercises.EXERCISES)
def test_a_stub_is_not_answered_yet(capsys, exercise):
    for nothing in (None, ...):
        assert said(capsys, check, exercise, nothing).startswith(f"{exercise}: not answered yet.")
    assert said(capsys, check, exercise).startswith(f"{exercise}: not answered yet.")


@pytest.mark.parametrize("exercise", exercises.EXERCISES)
@pytest.mark.parametrize("answer", ODD, ids=lambda odd: "object()" if type(odd) is object else repr(odd))
def test_no_answer_raises(capsys, exercise, answer):
    told = said(capsys, check, exercise, answer)
    assert told.lstrip("\n").startswith(f"{exercise}: not yet. ")  # an answer that is called may print
    assert told.endswith(".")


@pytest.mark.parametrize("exercise", RIGHT)
def test_every_typical_wrong_answer_is_told_why(capsys, exercise):
    for answer, why in numbers.NUMBERS[exercise].wrong.items():
        assert answer != RIGHT[exercise]
        assert said(capsys, check, exercise, answer) == f"{exercise}: not yet. {why}"


def test_wrong_answers_named_in_advance_have_their_own_sentence():
    assert "root" in numbers.NUMBERS["00.1"].wrong[8]
    assert "`28 > 32` is false" in numbers.NUMBERS["04.1"].wrong[4]
    assert "waits for a whole call" in numbers.NUMBERS["04.2"].wrong[63]


def test_other_answers_are_told_too_low_or_too_high(capsys):
    assert "3 is too low" in said(capsys, check, "04.1", 3)
    assert "50 is too high" in said(capsys, check, "04.1", 50)


def test_an_unknown_exercise_is_an_authors_error():
    with pytest.raises(ValueError, match=r"there are 00\.1, 00\.2, 00\.3, 01\.1"):
        check("99.1", 3)


def test_an_answer_that_breaks_is_told_so(capsys):
    class Trap:
        def __getattr__(self, name):
            raise RuntimeError("no")

    for exercise in exercises.EXERCISES:
        assert said(capsys, check, exercise, Trap()).startswith(f"{exercise}: not yet. ")


def test_the_drift_asked_for_is_what_policies_bound():
    assert numbers._drift(V4_14, 72, 3) == 72 * V4_14.stock_bound == numbers._drift(V4_14, 72, 1)
    assert numbers._drift(V4_13, 72, 3) == 72 * V4_13.stock_bound


# --- exercise 01.1: a factor


@pytest.mark.parametrize("answer", [1.04, 1.039, 1.03896, 1 / 0.9625, np.float64(1.04), np.array([1.04])])
def test_the_right_factor_is_accepted_with_more_digits_too(capsys, answer):
    assert said(capsys, check, "01.1", answer).startswith("01.1: right. ")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (1.25, "the percent of the old samples that the function still takes"),
        (4, "4 holds for the function alone"),
        (1.0375, "adds the time saved to 1"),
        (1.05, "if the function vanished wholly"),
        (1.0526, "if the function vanished wholly"),
        (0.96, "its inverse"),
        (3.75, "how many percent"),
        (1.2, "still takes a quarter"),
        (1, "Something is saved"),
        (1.02, "1.02 is too low"),
        (0.5, "the host gets slower"),
        (1.5, "1.5 is too high"),
        ("1.04", "a str; give a number"),
    ],
)
def test_a_wrong_factor_is_told_why(capsys, answer, why):
    told = said(capsys, check, "01.1", answer)
    assert told.startswith("01.1: not yet. ")
    assert why in told


def test_amdahl():
    assert answers.amdahl(0.05, 4) == pytest.approx(1.03896, abs=1e-5)
    assert answers.amdahl(0, 9) == 1


# --- exercise 02.3: a tree


@pytest.mark.parametrize(
    "tree", [[-1, 0, 0, 1], [-1, 0, 0, 2], (-1, 0, 0, 0, 3), [-1, -1, 1, 1, 2], np.array([-1, 0, 0, 1])]
)
def test_every_valid_tree_is_right(capsys, tree):
    assert said(capsys, check, "02.3", tree).startswith("02.3: right. ")


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ([-1, 0, 1], "Each of your cgroups lies above or below every other"),
        (range(-1, 2), "Each of your cgroups"),
        ([-1, 0, 1, 1], "memcg 2 and memcg 3 lie side by side, but share 2 counters"),
        ([-1, 0, 0], "costs 2 atomics, one for each counter on its way up: memcg 2 then memcg 0. Asked are 3."),
        ([-1, 0, 1, 2, 0], "costs 2 atomics"),
        ([-1, 0, 0, 1, 3], "costs 4 atomics"),
        ([-1, -1, 1, 2], "share no counter"),
        ([-1], "a root alone"),
        ([], "0 entries"),
        ([-1] * 1001, "1,001 entries"),
        ([0], "no tree"),
        ([-1, 5], "no tree: parent of memcg 1 is 5"),
        (["a"], "no tree"),
        ({-1, 0}, "a set; give a list of parents"),
        ("[-1, 0, 0, 1]", "a str; give a list of parents"),
    ],
)
def test_a_wrong_tree_is_told_why(capsys, tree, why):
    told = said(capsys, check, "02.3", tree)
    assert told.startswith("02.3: not yet. ")
    assert why.lower() in told.lower()


# --- exercise 02.4: what undoes a refused charge


def undo(counts, parents, leaf, refused, nr_pages):
    while leaf != refused:
        counts[leaf] -= nr_pages
        leaf = parents[leaf]


def undo_all(counts, parents, leaf, refused, nr_pages):
    while leaf != -1:
        counts[leaf] -= nr_pages
        leaf = parents[leaf]


def undo_refused_too(counts, parents, leaf, refused, nr_pages):
    undo(counts, parents, leaf, refused, nr_pages)
    counts[refused] -= nr_pages


def undo_by_number(counts, parents, leaf, refused, nr_pages):
    for memcg in range(leaf, refused, -1):
        counts[memcg] -= nr_pages


def undo_leaf(counts, parents, leaf, refused, nr_pages):
    counts[leaf] -= nr_pages


def test_undoing_the_levels_below_is_right(capsys):
    assert said(capsys, check, "02.4", undo).startswith("02.4: right. All 5 refusals")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (undo_all, "memcg 0 has 5 pages, not 10. The charge never got there"),
        (undo_refused_too, "memcg 1 has 5 pages, not 10. Who refuses takes its own addition back"),
        (undo_by_number, "memcg 2 has 5 pages, not 10. It does not lie on the way up"),
        (undo_leaf, "memcg 3 has 15 pages, not 10. It took the pages"),
        (lambda counts, parents, leaf, refused, nr_pages: 1 / 0, "stopped with ZeroDivisionError"),
        (lambda a: a, "takes (a); it takes (counts, parents, leaf, refused, nr_pages)"),
        (3, "an int; give the function itself"),
    ],
)
def test_a_wrong_undo_is_told_why(capsys, function, why):
    told = said(capsys, check, "02.4", function)
    assert told.startswith("02.4: not yet. ")
    assert why in told


# --- exercise 03.3: a size that never hits


def test_only_the_batch_itself_never_hits(capsys):
    for pages in range(1, 33):
        told = said(capsys, check, "03.3", pages)
        assert told.startswith("03.3: right. ") == (pages == 32)
        assert pages == 32 or "is a hit" in told


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (20, "With 20 pages a call, call 3 is a hit: by then the stock holds 24 pages."),
        (31, "call 32 is a hit"),
        (33, "33 is too high. Such a call is above the batch"),
        (0, "0 is too low"),
        (1.5, "not whole"),
        ("32", "a str"),
        (float("nan"), "not finite"),
    ],
)
def test_a_size_that_hits_is_told_when(capsys, answer, why):
    told = said(capsys, check, "03.3", answer)
    assert told.startswith("03.3: not yet. ")
    assert why in told


# --- exercise 07.3: a layout


@pytest.mark.parametrize("words", [{"parent": 1}, {"count": 1}, {"parent": 1, "limit": 1}, {"count": 1, "failcnt": 1}])
def test_a_layout_with_parent_apart_is_right(capsys, words):
    told = said(capsys, check, "07.3", V4_13_LAYOUT.with_words("mine", **words))
    assert told.startswith("07.3: right. An uncharge misses 0.0")


@pytest.mark.parametrize(
    ("layout", "why"),
    [
        (V4_13_LAYOUT, "An uncharge misses 1.7 loads with your layout, 1.7 with that of v4.13. Which word"),
        (V4_13_LAYOUT.with_words("mine", limit=1), "Which word does an uncharge read"),
        (V4_13_LAYOUT.with_words("mine", parent=1, count=1), "Which word does an uncharge read"),
        (V6_1_LAYOUT, "it takes 3 lines; two are enough"),
        (V4_13_LAYOUT.with_words("mine", parent=1, pressure_walks=0), "touches less than the kernel does"),
        (V4_13_LAYOUT.with_words("mine", memory_allocated=False), "touches less than the kernel does"),
        ({"parent": 1}, "a dict; give a Layout"),
    ],
)
def test_a_layout_that_shares_is_told_why(capsys, layout, why):
    told = said(capsys, check, "07.3", layout)
    assert told.startswith("07.3: not yet. ")
    assert why in told


def test_a_line_is_full_where_rounds_and_visits_say():
    for policy, every in ((V4_13, 1), (V4_14, 33)):
        assert answers.full_at(policy) == (every * answers.THINK_NS + answers.VISIT_NS) / answers.VISIT_NS


# --- files


def test_bundled_files_are_found():
    assert data_path("perf/before.txt").read_text(encoding="utf-8").startswith("  2.13%")
    for name in ("stories_pre", "stories_post", "random_pre", "random_post"):
        assert golden_path(name).name == f"{name}.jsonl.gz"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("perf/none.txt", "data/perf/none.txt is missing"),
        ("perf", "data/perf is missing"),
        (".", "is missing"),
        ("../data/golden/FORMAT.md", "is not below data"),
        ("/etc/passwd", "is not below data"),
        ("perf\\before.txt", "with forward slashes"),
        ("a\0b", "is not below data"),
        ("", "the name is empty"),
        (None, "the name is a NoneType"),
        (3, "the name is an int"),
    ],
)
def test_a_file_that_is_not_there_is_told(name, why):
    with pytest.raises(ValueError, match=why.replace(".", r"\.")):
        data_path(name)


@pytest.mark.parametrize("name", ["stories", "stories_post.jsonl.gz", "../data/README", "x"])
def test_an_unknown_golden_file_is_told(name):
    known = sorted(path.name.removesuffix(".jsonl.gz") for path in files.GOLDEN.glob("*.jsonl.gz"))
    with pytest.raises(ValueError, match=f"there are {listing(known)}"):
        golden_path(name)


def test_without_golden_files_the_place_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "GOLDEN", tmp_path)
    with pytest.raises(ValueError, match=r"data/golden/stories_pre\.jsonl\.gz is missing"):
        golden_path("stories_pre")
    with pytest.raises(ValueError, match="a NoneType"):
        golden_path(None)


# --- exercises that ask for a rule


@pytest.mark.parametrize(
    ("rule", "why"),
    [(7, "an int; give the function itself"), (lambda a: a, "takes (a); a refill rule takes (st, batch,"), (int, ".")],
)
def test_what_is_no_rule_is_told_so(capsys, rule, why):
    assert why in said(capsys, check, "04.4", rule)


def test_the_specifications_differ_from_the_kernel_only_by_what_is_asked():
    assert rules.FORGETS.batch == V4_13.batch
    assert rules.FORGETS.uncharge is V4_13.uncharge
    assert rules.FORGETS.refill is V4_13.refill
    assert rules.SURPLUS.batch == V4_14.batch
    assert rules.SURPLUS.uncharge is V4_14.uncharge
    assert rules.SURPLUS.drain is V4_14.drain


# --- quotes


def test_the_patch_is_the_file():
    shown = [line.split("  ", 1)[1] if "  " in line else "" for line in repr(show_patch()).splitlines()[1:]]
    kept = quotes.PATCH.read_text(encoding="utf-8").replace("\t", "    ").splitlines()
    assert shown == kept
    assert show_patch().caption == "Linux, GPL-2.0, mm/memcontrol.c, 475d048"


def test_hunks_together_are_the_patch():
    both = show_patch(hunk=1).lines + show_patch(hunk=2).lines
    assert both == show_patch().lines[-len(both) :]
    assert show_patch(hunk=1).lines[0][1].startswith("@@ -1792")


def test_added_and_removed_lines_are_marked_by_sign_element_and_colour():
    shown = show_patch().to_html()
    assert shown.count("<ins ") == 3
    assert shown.count("<del ") == 2
    assert "page_counter_uncharge(&amp;memcg-&gt;memory, nr_pages);</del>" in shown
    assert ">+    refill_stock(memcg, nr_pages);</ins>" in shown


@pytest.mark.parametrize("hunk", [0, 3, -1, "1", True, 1.5])
def test_there_are_two_hunks(hunk):
    with pytest.raises(ValueError, match="it must be a whole number from 1 to 2"):
        show_patch(hunk=hunk)


def test_a_missing_patch_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(quotes, "PATCH", tmp_path / "none.diff")
    with pytest.raises(ValueError, match=r"475d048\.diff is missing"):
        show_patch()


def test_a_rule_is_shown_as_it_runs():
    quote = show_rule("refill_stock_capped")
    assert quote.caption == "memcg_lab/mechanism/stock_v4_14.py"
    assert quote.lines[0] == (1, "def refill_stock_capped(st, batch, drain, cpu, memcg, nr_pages):")
    assert "if st.stock[cpu, 0].nr_pages > batch:" in quote.text
    assert repr(show_rule(V4_14.refill)) == repr(quote)
    assert "<ins" not in quote.to_html()


@pytest.mark.parametrize("name", ["try_charge", "uncharge_skmem", "page_counter_cancel", "sk_mem_schedule"])
def test_rules_are_found_in_every_module_also_inside_a_factory(name):
    assert show_rule(name).lines[0][1].startswith(f"def {name}(")


@pytest.mark.parametrize("name", ["refill", "", None, 3, "_judge", "System"])
def test_an_unknown_rule_is_told(name):
    with pytest.raises(ValueError, match="no rule is called"):
        show_rule(name)


def test_a_quote_gives_text_and_html():
    for quote in (show_patch(hunk=1), show_rule("drain_stock")):
        data = quote._repr_mimebundle_()
        assert set(data) == {"text/plain", "text/html"}
        assert data["text/plain"] == repr(quote)
        assert data["text/html"].count("<pre") == data["text/html"].count("</pre>") == 1
        assert data["text/html"].count("white-space:pre;word-break:normal") == 2  # of the <pre> and of its <code>


def test_the_vocabulary_has_every_name_of_the_course():
    for name in course.__all__:
        assert name in ("Quote", "Table") or getattr(memcg_lab, name) is getattr(course, name)


# --- exercises of the machine's notebooks: a number that need not be exact, and a word

NEAR_RIGHT = {
    "01.2": 0.54528,
    "01.3": 1.07296,
    "07.1": 20.0,
    "07.2": 3.16,
    "09.1": 14_135.5,
    "09.2": 74.6255,
    "09.3": 13_176.9,
    "10.1": 22.466,
    "10.2": 44,
    "11.1": 77,
    "11.2": 3.87937,
    "11.3": 224,
}


@pytest.mark.parametrize(("exercise", "right"), NEAR_RIGHT.items())
def test_a_number_near_enough_is_right_and_typical_wrong_ones_are_told_why(capsys, exercise, right):
    near = exercises.NEAR[exercise]
    assert len(near.wrong) > 1
    assert near.right() == pytest.approx(right, rel=1e-3)
    for answer in (right, np.float64(right), np.array([right]), right * (1 + near.within / 2)):
        assert said(capsys, check, exercise, answer).startswith(f"{exercise}: right. ")
    for answer, why in near.wrong:
        assert said(capsys, check, exercise, answer) == f"{exercise}: not yet. {why}"
    assert "too low" in said(capsys, check, exercise, -5)
    assert "too high" in said(capsys, check, exercise, 1e9)


def test_the_word_asked_for_is_found_in_any_case(capsys):
    assert said(capsys, check, "06.1", " Parent ").startswith("06.1: right. ")
    assert said(capsys, check, "06.1", "count").startswith("06.1: right. ")  # one of the two is enough
    assert "is not read when pages are given back" in said(capsys, check, "06.1", "failcnt")
    assert '"stock" is not it' in said(capsys, check, "06.1", "stock")
