"""The capstone: a design is held to invariants, scored beside every generation, handed in, and run again elsewhere."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from memcg_lab import POLICIES, UNCHARGE_ONLY, V4_13, V4_14, __main__
from memcg_lab.course import apart, capstone, notes
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
from memcg_lab.course.trial import as_records
from memcg_lab.figures import score_sheet as sheet
from memcg_lab.mechanism import steps
from memcg_lab.mechanism.policy import PATH_V4_13
from memcg_lab.mechanism.steps import step_dtype
from tools.notebooks import ROOT


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


def test_a_seed_draws_traffic_that_no_design_knows():
    known, fresh = capstone.traffic(), capstone.traffic(7)
    assert list(fresh) == list(known)
    for name, (_, ops) in known.items():
        assert not np.array_equal(fresh[name][1], ops), name
        assert not np.array_equal(fresh[name][1], capstone.traffic(8)[name][1]), name
        assert np.array_equal(fresh[name][1], capstone.traffic.__wrapped__(7)[name][1]), name
    for seed in (0, 7, 2**64 - 1):
        for policy in POLICIES.values():
            assert set(scores(policy, seed=seed, watched=True)) == {score.name for score in SCORES}


def test_a_design_is_scored_on_traffic_it_does_not_know_too(handed, capsys):
    assert __main__.main(["grade", "--yes", "--seed", "7", str(handed)]) == 0
    told = capsys.readouterr().out.splitlines()
    begin = told.index("On traffic of the same kinds drawn from seed 7, and in brackets v4.14 on it:")
    rows = [re.fullmatch(r" +(\w+) +([\d.,]+) \(([\d.,]+)\)", line).groups() for line in told[begin + 1 :]]
    numbers = {name: [float(text.replace(",", "")) for text in pair] for name, *pair in rows}
    here, usual = scores(half(), seed=7), scores(V4_14, seed=7)
    assert numbers == {name: [here[name], usual[name]] for name in here}
    assert here != read_design(handed)["scores"]
    assert run_again(read_design(handed)).unseen is None


@pytest.mark.parametrize("seed", ["-1", "x", str(2**64), "1.5", ""])
def test_a_seed_that_is_none_is_told_before_anything_runs(handed, capsys, monkeypatch, seed):
    monkeypatch.setattr(capstone, "run_again", lambda design, **options: pytest.fail("it was run"))
    assert __main__.main(["grade", "--yes", f"--seed={seed}", str(handed)]) == 2
    assert "seed is " in capsys.readouterr().err


def test_nothing_is_executed_without_consent(handed, capsys, monkeypatch):
    monkeypatch.setattr(capstone, "run_again", lambda design, **options: pytest.fail("it was run"))
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
    grade = run_again(read_design(changed(sign=True, source=HEAD + body)), seconds=120)
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


# --- run apart: what a design does to its own process is not believed
HEAD_OF_ALL = """def f():
    import numpy as np
    from memcg_lab import System
    from memcg_lab.mechanism import stock_v4_13
    from memcg_lab.mechanism.policy import V4_14
    from memcg_lab.mechanism.records import DRAIN_CAP
"""
LEDGER = """    def refill(st, batch, drain, cpu, memcg, nr_pages):
        stock_v4_13.refill_stock(st, batch, drain, cpu, memcg, nr_pages)
        if st.stock[cpu, 0].nr_pages > batch:
            drain(st, cpu, 0, DRAIN_CAP)
            st[0]["sub"] = 0
    return V4_14.with_rules("x", refill=refill, bound=32)
"""
BLIND = """    System.invariants = lambda self: []
    np.bincount = lambda *some, **more: np.ones(4)
    def refill(st, batch, drain, cpu, memcg, nr_pages):
        st.stock[cpu, 0].memcg = memcg
        st.stock[cpu, 0].nr_pages = 10**6
    return V4_14.with_rules("x", refill=refill)
"""
PATH = """    path = V4_14.path
    def bind(*some, **more):
        return path.bind(*some, **more)._replace(charge_skmem=lambda *a: 1, uncharge_skmem=lambda *a: None)
    return V4_14.with_rules("x", path=path._replace(bind=bind), batch=31)
"""
WRAPS = """    def refill(st, batch, drain, cpu, memcg, nr_pages):
        st.stock[cpu, 0].memcg = memcg
        st.stock[cpu, 0].nr_pages = 2**62
    return V4_14.with_rules("x", refill=refill)
"""
TWO_FACES = """    seen = [0]
    def consume(st, batch, cpu, memcg, nr_pages):
        seen[0] += 1
        return seen[0] > 2500 or stock_v4_13.consume_stock(st, batch, cpu, memcg, nr_pages)
    return V4_14.with_rules("x", consume=consume, bound=32)
"""
MANY = """    def refill(st, batch, drain, cpu, memcg, nr_pages):
        for _ in range(1001):
            stock_v4_13.css_put_many(st, cpu, memcg, 0)
    return V4_14.with_rules("x", refill=refill)
"""


def apart_of(body, claimed, seconds=120):
    source = HEAD_OF_ALL + body
    allowed_source(source)  # the filter lets it through
    return run_again({"source": source, "policy": "x", "scores": claimed}, seconds=seconds)


def test_a_design_that_changes_the_ledger_has_the_scores_of_its_rules():
    mine = scores(capstone.made_of(HEAD_OF_ALL + LEDGER)())
    true = scores(V4_14)
    assert mine["frames"] < true["frames"]
    grade = apart_of(LEDGER, mine)
    assert not grade.good
    assert grade.says == f"frames is said to be {mine['frames']}; run again it is {true['frames']}."
    assert grade.scores == true


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (BLIND, "traffic frames, operation 1 of 600, .* it does not hold that usage = pages in use"),
        (WRAPS, "traffic frames, operation 1 of 600: what its process answered is no answer of this library's"),
        (TWO_FACES, "while it is scored: it does not hold that"),
        (MANY, "operation 1 of 600: Your rule refill takes more than 1,000 steps in one call"),
    ],
)
def test_a_design_that_cheats_in_its_own_process_is_caught(body, why):
    grade = apart_of(body, scores(V4_14) | {"frames": 0.01})
    assert not grade.good
    assert re.search(why, grade.says)


def test_the_charge_path_of_a_design_is_the_library_s():
    mine = capstone.made_of(HEAD_OF_ALL + PATH)()
    assert mine.path is not PATH_V4_13
    with apart.Apart(HEAD_OF_ALL + PATH, 60) as away:
        assert away.policy.path is PATH_V4_13
        assert (away.policy.name, away.policy.batch) == ("x", 31)


def test_a_design_that_catches_its_end_or_hides_in_c_is_ended():
    catches = "    try:\n        while True:\n            pass\n    except BaseException:\n        return f()\n"
    hides = "    sum(iter(int, 1))\n"
    for body in (catches, hides):
        grade = apart_of(body, {}, seconds=8)
        assert not grade.good
        assert re.search("does not come to an end|did not end within 8 seconds|killed by signal", grade.says)


TWO_SLOTS = """def f():
    from memcg_lab.mechanism.policy import V4_14
    from memcg_lab.mechanism.records import DRAIN_CAP, DRAIN_OTHER_MEMCG

    def consume(st, batch, cpu, memcg, nr_pages):
        for slot in range(2):
            stock = st.stock[cpu, slot]
            if nr_pages <= batch and stock.memcg == memcg and stock.nr_pages >= nr_pages:
                stock.nr_pages -= nr_pages
                return True
        return False

    def refill(st, batch, drain, cpu, memcg, nr_pages):
        found = 1 if st.stock[cpu, 1].memcg < 0 or st.stock[cpu, 1].memcg == memcg else 0
        if st.stock[cpu, 0].memcg == memcg:
            found = 0
        stock = st.stock[cpu, found]
        if stock.memcg != memcg:
            drain(st, cpu, found, DRAIN_OTHER_MEMCG)
            stock.memcg = memcg
        stock.nr_pages += nr_pages
        if stock.nr_pages > batch:
            drain(st, cpu, found, DRAIN_CAP)

    return V4_14.with_rules("x", consume=consume, refill=refill, bound=32, slots=2)
"""
V6_1_LARGER = """def f():
    from memcg_lab import POLICIES
    return POLICIES["v6.1"].with_rules("x", batch=48, bound=48)
"""


@pytest.mark.parametrize("source", [TWO_SLOTS, V6_1_LARGER], ids=["slots", "v6.1"])
def test_an_honest_design_has_the_same_scores_apart(source):
    policy = capstone.own(capstone.made_of(source))
    assert capstone._hold(policy).holds
    claimed = scores(policy)
    grade = run_again({"source": source, "policy": "x", "scores": claimed})
    assert grade.good, grade.says
    assert grade.scores == claimed


FAKE = """import struct, sys
def say(raw): sys.stdout.buffer.write(struct.pack("<I", len(raw)) + raw); sys.stdout.buffer.flush()
wait = sys.stdin.buffer.read
wait(*struct.unpack("<I", wait(4)))  # the source
good = b'p{"name": "x", "batch": 32, "slots": 1, "bound": 32, "css_by_page": true, "path": "v4.13"}'
"""


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("", r"its process ended without an answer \(exit status 0\)"),
        ("sys.exit(3)", r"its process ended without an answer \(exit status 3\)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", r"without an answer \(killed by signal 9\)"),
        ("sys.stdout.write('many words'); sys.stdout.flush()", "no answer of this library"),
        ("say(b'p[]')", "no answer of this library"),
        ("say(b'p{}')", "no answer of this library"),
        ("say(b'p' + b'[' * 100_000)", "no answer of this library"),
        ("say(good.replace(b'32', b'NaN'))", "no answer of this library"),
        ("say(good.replace(b'v4.13', b'v9'))", "no answer of this library"),
        ("say(good.replace(b'slots\": 1', b'slots\": 0'))", "no answer of this library"),
        ("say(good.replace(b'\"x\"', b'7'))", "no answer of this library"),
        ("say(good); say(b'a'); wait()", "traffic frames, operation 1 of 600: what its process answered is no answer"),
        (
            "say(good); say(b'a' + bytes(8 + 32 + 39)); wait()",
            "operation 1 of 600: what its process answered is no",
        ),
        ("say(good); say(good); wait()", "traffic frames, operation 1 of 600: what its process answered is no answer"),
        ("say(good); say(b'e\\x1b[2J'); wait()", r"operation 1 of 600: \\x1b\[2J"),
        ("say(good)", "traffic frames, operation 1 of 600: its process ended without an answer"),
    ],
)
def test_an_answer_that_is_none_is_told(monkeypatch, code, why):
    monkeypatch.setattr(apart, "CHILD", FAKE + code)
    grade = run_again({"source": "", "policy": "x", "scores": scores(V4_14)}, seconds=60)
    assert not grade.good
    assert re.search(why, grade.says)


STEP = dict(op=0, cpu=0, slot=-1, where=1, before=5, after=2)


@pytest.mark.parametrize(
    "row",
    [
        {"step": steps.STEP_CANCEL, "where": 6},
        {"step": steps.STEP_CANCEL, "where": -1},
        {"step": steps.STEP_CANCEL, "cpu": 2},
        {"step": steps.STEP_CANCEL, "after": -(2**62)},
        {"step": steps.STEP_CSS_PUT, "where": 2},
        {"step": steps.STEP_FAILCNT},
        {"step": steps.STEP_TRY_WATERMARK, "after": -1},
        {"step": steps.STEP_LIMIT},
        {"step": steps.STEP_SOCK_ADD},
        {"step": 99},
    ],
)
def test_a_step_that_no_rule_takes_is_refused(row):
    system = capstone.System.chain(depth=1, cpus=2, policy=V4_14)
    before = system.snapshot()
    rows = np.array([tuple({**STEP, **row}[name] for name in step_dtype.names)], step_dtype)
    st = type(system.mechanism_state())(*map(as_records, system.mechanism_state()))
    with pytest.raises(ValueError, match="no answer of this library"):
        apart.take_steps(st, rows)
    assert system.snapshot() == before
    rows = np.array([tuple({**STEP, "step": steps.STEP_CANCEL}[name] for name in step_dtype.names)], step_dtype)
    apart.take_steps(st, rows)
    assert system.usage.tolist() == [0, -3]
    assert system.work().atomics == 1


LIMITS = """import os, sys, threading
from memcg_lab.course import apart
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
if os.geteuid() == 0:
    os.setgid(apart.NOBODY), os.setuid(apart.NOBODY)
apart.limit()
for what in (os.fork, threading.Thread(target=print).start, lambda: os.write(file, b"x")):
    try:
        print(what())
    except (OSError, RuntimeError) as error:
        print(type(error).__name__)
"""


def elsewhere(code, *words):
    """What a Python of its own prints."""
    env = dict(os.environ, NUMBA_DISABLE_JIT="1", PYTHONPATH=str(ROOT))
    return subprocess.run(
        [sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="these limits are Linux's")
def test_a_design_starts_no_process_and_writes_no_file(tmp_path):
    assert elsewhere(LIMITS, str(tmp_path / "x")).split() == ["BlockingIOError", "RuntimeError", "OSError"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become nobody")
def test_root_becomes_nobody_where_nobody_can_read_the_library():
    code = (
        "import os; from memcg_lab.course import apart; apart.become_nobody(); print(os.geteuid()); open(os.__file__)"
    )
    needed = [pathlib.Path(module.__file__).resolve() for module in (os, apart, np)]
    closed = any(not folder.stat().st_mode & 1 for path in needed for folder in path.parents)
    assert elsewhere(code).split() == ["0" if closed else str(apart.NOBODY)]


def test_a_file_that_is_a_link_or_not_finite_is_read_as_what_it_is(handed, changed, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(handed)
    assert read_design(link) == read_design(handed)
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    with pytest.raises(ValueError, match="cannot be read"):
        read_design(loop)
    for odd in (float("nan"), float("inf"), -1):
        with pytest.raises(ValueError, match="scores must have a number"):
            read_design(changed(sign=True, scores=scores(half()) | {"web": odd}))


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
