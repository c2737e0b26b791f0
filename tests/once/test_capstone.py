"""The capstone: a design is held to invariants, scored beside every generation, handed in, and run again elsewhere."""

import io
import json
import os
import re

import pytest

from memcg_lab import POLICIES, UNCHARGE_ONLY, V4_13, V4_14, __main__
from memcg_lab.course import capstone, notes
from memcg_lab.course.before_after import mark_form
from memcg_lab.course.capstone import (
    FIELDS,
    SCORES,
    allowed_source,
    digest_of,
    hand_in,
    hold,
    read_design,
    run_again,
    score_sheet,
    scores,
)
from memcg_lab.course.papers import mark_papers
from memcg_lab.figures import score_sheet as sheet


def half():
    from memcg_lab.mechanism.policy import V4_14
    from memcg_lab.mechanism.stock_v4_13 import css_put_many, refill_stock, uncharge_counters

    def refill(st, batch, drain, cpu, memcg, nr_pages):
        refill_stock(st, batch, drain, cpu, memcg, nr_pages)
        stock, over = st.stock[cpu, 0], st.stock[cpu, 0].nr_pages - batch // 2
        if over > batch // 2:
            uncharge_counters(st, cpu, memcg, over)
            css_put_many(st, cpu, memcg, over)
            stock.nr_pages -= over

    return V4_14.with_rules("half is kept", refill=refill, bound=32)


def leaks():
    from memcg_lab.mechanism.policy import V4_14
    from memcg_lab.mechanism.stock_v4_13 import refill_stock

    def refill(st, batch, drain, cpu, memcg, nr_pages):
        refill_stock(st, batch, drain, cpu, memcg, nr_pages)
        st.stock[cpu, 0].nr_pages = min(st.stock[cpu, 0].nr_pages, batch)

    return V4_14.with_rules("leaks", refill=refill)


def claims_too_much():
    from memcg_lab.mechanism.policy import UNCHARGE_ONLY

    return UNCHARGE_ONLY.with_rules("bold", bound=32)


def endless_rule():
    from memcg_lab.mechanism.policy import V4_14

    def consume(st, batch, cpu, memcg, nr_pages):
        while nr_pages > 0:
            pass
        return False

    return V4_14.with_rules("endless", consume=consume)


# --- invariants and scores


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_invariants_hold_for_every_generation(policy):
    assert hold(lambda: policy).holds


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (leaks, r"operation [\d,]+ of [\d,]+, where CPU .*: it does not hold that usage = pages in use"),
        (claims_too_much, "it does not hold that no stock exceeds its bound"),
        (endless_rule, "traffic frames, operation 1 of 600: Your function does not come to an end"),
    ],
)
def test_what_breaks_an_invariant_is_told_with_its_operation(make, why):
    held = hold(make)
    assert not held.holds
    assert re.search(why, str(held))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (7, "it|give the function"),
        (lambda: 7, "must return a Policy"),
        (lambda: 1 / 0, "stopped with ZeroDivisionError"),
        (lambda a: a, "stopped with TypeError"),
    ],
)
def test_what_makes_no_policy_is_told(make, why):
    with pytest.raises(ValueError, match=why):
        hold(make)


def test_scores_are_what_the_mechanism_says():
    tree, ops = capstone.traffic()["frames"]
    for policy in (V4_13, V4_14):
        system = capstone.System(tree, cpus=2, policy=policy)
        assert scores(policy)["frames"] == round(system.replay(ops).atomics / len(ops), 4)
    assert scores(V4_13)["drift"] == 2 * 31
    assert scores(V4_14)["drift"] == 2 * 32
    assert scores(UNCHARGE_ONLY)["drift"] > 1000
    assert scores(V4_14) == scores(V4_14)


def test_every_generation_of_the_registry_joins_by_itself(monkeypatch):
    monkeypatch.setitem(POLICIES, "a later one", V4_14)
    renamed = V4_14.with_rules("v9.9", batch=48, bound=48)
    monkeypatch.setitem(POLICIES, "v9.9", renamed)
    table = score_sheet(half).table
    assert {policy.name for policy in POLICIES.values()} | {"half is kept"} == set(table.index)
    assert list(table.columns) == [score.name for score in SCORES]
    with pytest.raises(ValueError, match="is a policy of this library"):
        score_sheet(lambda: V4_14)


def test_the_sheet_says_where_a_design_is_best_and_worst():
    rows = {"v4.13": {"a": 2, "b": 1}, "v4.14": {"a": 1, "b": 2}, "mine": {"a": 0.5, "b": 3}}
    told = sheet(rows, {"a": "pages", "b": "pages"}, own="mine")
    assert told.caption == "mine is best of 3 policies in a, and worst in b."
    assert "mine, and the best of the others: a 0.5 pages, v4.14 1; b 3 pages, v4.13 1" in told.sentence
    assert told.table.loc["mine", "a"] == 0.5
    assert "The best of 3 policies: a mine and b v4.13." == sheet(rows, {"a": "pages", "b": "pages"}).caption
    for wrong in ({}, {"x": {"a": 1}}):
        with pytest.raises(ValueError, match="no policy|must have the scores"):
            sheet(wrong, {"a": "pages", "b": "pages"})
    with pytest.raises(ValueError, match="own is"):
        sheet(rows, {"a": "pages", "b": "pages"}, own="theirs")


# --- handed in


@pytest.fixture(scope="module")
def handed(tmp_path_factory):
    path = tmp_path_factory.mktemp("designs") / "ada.json"
    hand_in(half, path, name="Ada")
    return path


@pytest.fixture
def changed(handed, tmp_path):
    """Writes the design with a change; ``sign`` computes its digest anew."""

    def written(sign=False, **changes):
        design = json.loads(handed.read_text(encoding="utf-8")) | changes
        design = {field: value for field, value in design.items() if value is not ...}
        if sign:
            design["digest"] = digest_of(design)
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(design), encoding="utf-8")
        return path

    return written


def test_a_design_is_run_again_and_is_what_it_claims(handed, capsys):
    design = read_design(handed)
    assert list(design) == list(FIELDS)
    assert design["scores"] == scores(half())
    assert __main__.main(["grade", "--yes", str(handed)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("half is kept by Ada: good. run again, all 8 scores are the same. All invariants hold")
    assert told.count("\n") == 1 + len(SCORES)


def test_nothing_is_executed_without_consent(handed, capsys, monkeypatch):
    monkeypatch.setattr(capstone, "run_again", lambda design: pytest.fail("it was run"))
    assert __main__.main(["grade", str(handed)]) == 2
    told = capsys.readouterr()
    assert "def half():" in told.out
    assert "executes the code in this file" in told.out
    assert "nothing was executed" in told.err


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "Bob"}, "the digest is not that of the file"),
        ({"digest": "0" * 64}, "the digest is not that of the file"),
        ({"version": 2}, "format 'memcg-lab design' 2|format \"memcg-lab design\" 2"),
        ({"version": True}, "not memcg-lab design 1"),
        ({"format": "other"}, "not memcg-lab design 1"),
        ({"library": "9.9"}, "made with memcg-lab"),
        ({"source": ...}, "it must have the fields"),
        ({"more": 1}, "it must have the fields"),
        ({"source": 7}, "source is 7; it must be a text"),
        ({"scores": {"frames": 1}}, "scores must have a number for each"),
        ({"scores": None}, "scores must have a number for each"),
    ],
)
def test_a_file_that_was_changed_is_refused(changed, changes, why):
    with pytest.raises(ValueError, match=why):
        read_design(changed(**changes))


def test_scores_that_were_made_up_are_found_by_running(changed):
    made_up = scores(half()) | {"web": 0.01}
    grade = run_again(read_design(changed(sign=True, scores=made_up)))
    assert not grade.good
    assert grade.says == "web is said to be 0.01; run again it is 1.0967."
    grade = run_again(read_design(changed(sign=True, policy="another")))
    assert not grade.good
    assert "its policy is called" in grade.says


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import os", "must be one function"),
        ("def f():\n    import os", "line 2 imports os"),
        ("def f():\n    from os import path", "line 2 imports os"),
        ("def f():\n    from . import x", "imports"),
        ("def f():\n    open('x')", "line 2 uses open"),
        ("def f():\n    return ().__class__", "line 2 uses __class__"),
        ("def f():\n    st.counter[0].count = 0", "line 2 uses counter; give pages back"),
        ("def f(:", "no Python"),
        ("@x\ndef f():\n    pass", "must be one function"),
    ],
)
def test_a_source_with_what_no_policy_needs_is_refused(changed, source, why):
    with pytest.raises(ValueError, match=why):
        allowed_source(source)
    with pytest.raises(ValueError, match=why):
        read_design(changed(sign=True, source=source))


HEAD = "def f():\n    from memcg_lab.mechanism.policy import V4_14\n"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("    while True:\n        pass\n", "does not come to an end"),
        ("    x = [0] * 10**11\n", "more memory than the 4 GiB that it may have"),
        ("    return 7\n", "must return a Policy"),
        ("    raise SystemExit\n", "leaves Python altogether"),
        ("    return V4_14.with_rules('half is kept', bound=3)\n", "no stock exceeds its bound"),
    ],
)
def test_a_design_that_stops_or_never_stops_is_caught(changed, body, why):
    grade = run_again(read_design(changed(sign=True, source=HEAD + body)), seconds=6)
    assert not grade.good
    assert re.search(why, grade.says)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nothing", '{"a": 1', "\udcff"])
def test_what_is_no_design_is_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="not JSON|must have the fields"):
        read_design(path)
    path.write_text(" " * (capstone.LIMIT + 1))
    with pytest.raises(ValueError, match="200,001 bytes, and more than 200,000"):
        read_design(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_design(tmp_path / "none.json")


def test_a_design_that_does_not_hold_is_not_handed_in(tmp_path):
    with pytest.raises(ValueError, match="not handed in"):
        hand_in(leaks, tmp_path / "x.json", name="Ada")
    assert not list(tmp_path.iterdir())


def endless_make():
    while True:
        try:
            pass
        except BaseException:
            pass


def slow():
    from memcg_lab.mechanism.policy import V4_14
    from memcg_lab.mechanism.stock_v4_13 import consume_stock

    def consume(st, batch, cpu, memcg, nr_pages):
        for _ in range(20_000):
            pass
        return consume_stock(st, batch, cpu, memcg, nr_pages)

    return V4_14.with_rules("slow", consume=consume)


def leaves():
    raise SystemExit


@pytest.mark.parametrize("call", [capstone.what_it_scores, score_sheet, hold])
def test_what_never_ends_or_ends_python_is_told(call):
    with pytest.raises(ValueError, match="does not come to an end"):
        call(endless_make)
    with pytest.raises(ValueError, match="leaves Python altogether"):
        call(leaves)
    assert capstone.judge_busy(endless_make) == (
        False,
        "The function that makes the policy: Your function does not come to an end. Look at what ends its loop.",
    )


def test_all_operations_together_have_an_end_too():
    assert "does not come to an end" in str(hold(slow))


def unknown_elsewhere():
    from memcg_lab.mechanism.policy import Policy

    return Policy("elsewhere", batch=BATCH_OF_THE_READER)


BATCH_OF_THE_READER = 16


def renamed():
    from memcg_lab.mechanism.policy import V4_14

    return V4_14.with_rules("mine")


def taken():
    from memcg_lab.mechanism.policy import V4_14

    return V4_14


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (unknown_elsewhere, "BATCH_OF_THE_READER is not known where the function stands"),
        (renamed, "is v4.14 of this library, unchanged"),
        (taken, "is a policy of this library"),
    ],
)
def test_what_the_grader_would_refuse_is_told_when_it_is_handed_in(tmp_path, make, why):
    with pytest.raises(ValueError, match=why):
        hand_in(make, tmp_path / "x.json", name="Ada")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("import memcg_lab", "imports memcg_lab;"),
        ("from memcg_lab import files", "imports memcg_lab.files"),
        ("from memcg_lab.files import pathlib", "imports memcg_lab.files"),
        ("from memcg_lab.course.capstone import scores", "imports memcg_lab.course.capstone"),
        ("from memcg_lab.mechanism.policy import np", "imports memcg_lab.mechanism.policy.np"),
        ("from numpy import load", "imports numpy.load"),
        ("from numpy.lib import npyio", "imports numpy.lib.npyio"),
        ("from math import *", "imports math"),
        ("import numpy.ctypeslib", "imports numpy.ctypeslib"),
        ("x.os.remove('y')", "uses os"),
        ("x = 1  # \x1b[2J", "control character '\\\\x1b'"),
        ("x = 1\r    y = 2", "control character '\\\\r'"),
        ("x = 1  # \u202e", "control character '\\\\u202e'"),
    ],
)
def test_a_source_that_reaches_elsewhere_or_cannot_be_seen_is_refused(line, why):
    with pytest.raises(ValueError, match=why):
        allowed_source(f"def f():\n    {line}\n")
    allowed_source("def f():\n    import numpy as np\n    from memcg_lab import V4_14\n    return np.int64(1)\n")


@pytest.mark.parametrize(
    "told", ["[]", "{}", "3", "[" * 100_000, '{"policy": "half is kept", "held": "", "scores": {}}']
)
def test_an_answer_that_is_none_is_told(changed, monkeypatch, told):
    code = f"import pathlib, sys; pathlib.Path('scores.json').write_text({told[:200]!r} or '')"
    monkeypatch.setattr(capstone, "__name__", f"sys import path; {code}; sys.exit(); from x")
    grade = run_again(read_design(changed()))
    assert not grade.good
    assert re.search("no answer of this library|without an answer", grade.says)


def test_scores_of_nothing_and_other_odd_designs_are_refused(changed, handed, tmp_path):
    for odd in (dict.fromkeys(scores(half()), 0), scores(half()) | {"web": 10**400}, scores(half()) | {"web": True}):
        with pytest.raises(ValueError, match="scores must have a number"):
            read_design(changed(scores=odd))
    with pytest.raises(ValueError, match="not memcg-lab design 1"):
        read_design(changed(version=1.0))
    path = tmp_path / "odd.json"
    path.write_text(handed.read_text(encoding="utf-8").replace('"name"', '"name": "Eve", "name"', 1), encoding="utf-8")
    with pytest.raises(ValueError, match="a field is there twice"):
        read_design(path)
    path.write_text("9" * 5_000)
    with pytest.raises(ValueError, match=r"odd\.json: not JSON"):
        read_design(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_is_no_file_to_read(tmp_path):
    path = tmp_path / "pipe.json"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="it is no regular file"):
        read_design(path)
    with pytest.raises(ValueError, match="it is no regular file"):
        notes.read(path)
    with pytest.raises(ValueError, match="it is no regular file"):
        mark_form("A", path)
    [mark] = mark_papers(tmp_path)
    assert "it is no regular file" in mark.caught


def test_what_a_design_prints_fills_nothing(changed):
    body = "    for _ in range(10**3):\n        print('x' * 10**5)\n    return 7\n"
    grade = run_again(read_design(changed(sign=True, source=HEAD + body)), seconds=60)
    assert re.search("must return a Policy", grade.says)


def test_the_end_of_the_input_is_no_consent(handed, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(capstone, "run_again", lambda design: pytest.fail("it was run"))
    assert __main__.main(["grade", str(handed)]) == 2
    assert "nothing was executed" in capsys.readouterr().err
