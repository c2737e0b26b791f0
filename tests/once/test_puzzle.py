"""The patch from its lines: every arrangement is judged by running it, in Python as in a page."""

import itertools
import json
import random
import shutil
import subprocess

import numpy as np
import pytest

from memcg_lab import V4_14, System, mixed, show_patch
from memcg_lab.course import notes
from memcg_lab.labs import PuzzleLab, base, lines, puzzle
from memcg_lab.labs.lines import GOLDEN, LINES, RIGHT, SHAPES, Machine, first_golden, golden, judge, shortest
from memcg_lab.mechanism.records import OPS

REFILL, UNCHARGE = ([name for name, line in LINES.items() if line.where == where] for where in ("refill", "uncharge"))


def arrangements():
    """Each function in every order of its lines, up to three in refill_stock; the other one is as it should be."""
    for n in range(4):
        for chosen in itertools.permutations(REFILL, n):
            yield {"refill": chosen, "uncharge": RIGHT["uncharge"]}
    for n in range(len(UNCHARGE) + 1):
        for chosen in itertools.permutations(UNCHARGE, n):
            yield {"refill": RIGHT["refill"], "uncharge": chosen}


def at_random(n, seed=1):
    chance = random.Random(seed)
    for _ in range(n):
        yield {
            "refill": tuple(chance.sample(REFILL, chance.randrange(len(REFILL) + 1))),
            "uncharge": tuple(chance.sample(UNCHARGE, chance.randrange(len(UNCHARGE) + 1))),
        }


# --- the machine


@pytest.mark.parametrize("seed", range(5))
def test_the_right_lines_do_what_the_mechanism_does(seed):
    ops = mixed(800, cpus=2, memcgs=(1, 2), mix={1: 4, 7: 2, 20: 2, 33: 1, 64: 1}, in_flight=30, seed=seed)
    system, machine = System.siblings(2, cpus=2, policy=V4_14), Machine(RIGHT)
    for k, row in enumerate(ops):
        system.replay(ops[k : k + 1])
        machine.run(OPS[row["op"]] == "uncharge_skmem", int(row["cpu"]), int(row["memcg"]), int(row["nr"]))
        told = system.snapshot()
        assert machine.state()[:5] == (
            [pages for _, pages in told["stock"]],
            [memcg for memcg, _ in told["stock"]],
            told["usage"],
            told["css"],
            told["sock"],
        )
    assert not machine.crashed


def test_the_golden_runs_are_answered_by_the_right_lines_alone():
    assert first_golden(RIGHT) is None
    assert [run["name"] for run in golden()] == list(GOLDEN)
    wrong = {"refill": ("add", "full", "drain"), "uncharge": ("sub", "refill")}
    assert first_golden(wrong) is not None


def test_the_kernel_s_lines_are_those_of_the_patch():
    quoted = [line[1:].strip() for _, line in show_patch().lines]
    for name, line in LINES.items():
        assert (line.text in quoted) == line.kernels, name
    assert all(LINES[name].kernels for lines_ in RIGHT.values() for name in lines_)


# --- verdicts


def test_few_arrangements_are_right_and_those_are_the_patch_with_lines_that_do_nothing():
    rights = [a for a in arrangements() if judge(a).right]
    assert rights == [
        {"refill": ("add", "over", "drain"), "uncharge": ("sub", "refill")},
        {"refill": ("add", "over", "drain"), "uncharge": ("sub", "refill")},
        {"refill": ("add", "over", "drain"), "uncharge": ("refill", "sub")},
    ]


def test_the_traffic_that_betrays_is_the_shortest_there_is():
    for arrangement in [*itertools.islice(arrangements(), 0, None, 7), *at_random(100)]:
        verdict = judge(arrangement)
        if verdict.right or not verdict.calls:
            continue
        mine, kernel = Machine(arrangement), Machine(RIGHT)
        for k, call in enumerate(verdict.calls):
            mine.run(*call)
            kernel.run(*call)
            assert (mine.state() == kernel.state()) == (k + 1 < len(verdict.calls))
        assert shortest(arrangement, len(verdict.calls) - 1) is None


def test_three_calls_are_enough_for_every_wrong_arrangement():
    for arrangement in itertools.chain(arrangements(), at_random(2000)):
        verdict = judge(arrangement)
        assert verdict.right or len(verdict.calls) <= lines.DEPTH


def test_every_shape_has_a_sentence_of_its_own_and_an_arrangement_that_is_told_it():
    met = {SHAPES[judge(a).shape].name for a in arrangements() if not judge(a).right}
    surplus = {"refill": ("add", "over", "surplus", "full", "cut"), "uncharge": RIGHT["uncharge"]}
    met.add(SHAPES[judge(surplus).shape].name)
    assert met == {shape.name for shape in SHAPES}
    assert len({shape.says for shape in SHAPES}) >= 12
    assert all(shape.says.endswith(".") for shape in SHAPES)


@pytest.mark.parametrize(
    ("refill", "uncharge", "shape", "calls"),
    [
        ("add full drain", "sub refill", "at the batch", 2),
        ("over drain add", "sub refill", "test first", 2),
        ("add large drain", "sub refill", "what comes", 3),
        ("add over other", "sub refill", "wrong CPU", 2),
        ("add drain", "sub refill", "always", 1),
        ("add over surplus", "sub refill", "counted out", 2),
        ("add over cut", "sub refill", "cut", 2),
        ("add", "sub refill", "no cap", 2),
        ("over drain", "sub refill", "nowhere", 1),
        ("add over drain", "sub uncharge put", "before the patch", 2),
        ("add over drain", "sub uncharge refill", "back twice", 2),
        ("add over drain", "sub put refill", "put too early", 2),
        ("add over drain", "sub batch", "a batch", 2),
        ("add over drain", "refill", "statistic", 2),
        ("add over drain", "sub", "lost", 2),
        ("add drain over", "sub refill", "hanging", 0),
    ],
)
def test_a_typical_mistake_is_known_and_told_with_its_traffic(refill, uncharge, shape, calls):
    lab = PuzzleLab(refill=refill.split(), uncharge=uncharge.split(), ran=True)
    verdict = lab.result.verdict
    assert (SHAPES[verdict.shape].name, len(verdict.calls)) == (shape, calls)
    assert lab.message.startswith(f"Not yet. {SHAPES[verdict.shape].says}")
    assert ("in the kernel" in lab.message) == bool(calls)
    assert len(lab.table()) == calls or not calls


def test_a_surplus_that_is_not_there_wraps_round_as_unsigned_pages_do():
    machine = Machine({"refill": ("add", "surplus"), "uncharge": RIGHT["uncharge"]})
    machine.run(lines.CHARGE, 0, 1, 1)  # 31 pages in the stock, one fewer than a batch
    assert machine.usage == [32 - (2**32 - 1), 32 - (2**32 - 1), 0]


# --- the lab


def test_before_it_runs_nothing_is_judged():
    lab = PuzzleLab(refill=["add"])
    assert lab.message == "1 of 13 lines have a place. Not every line needs one. When you are done, run it."
    assert lab.result.verdict is None
    lab.set(ran=True)
    assert "Nothing caps the stock" in lab.message
    assert eval(lab.code_line(), {"PuzzleLab": PuzzleLab}).settings() == lab.settings()


def test_the_patch_itself_is_right_in_any_order_that_does_the_same():
    right = PuzzleLab(refill=["add", "over", "drain"], uncharge=["sub", "refill"], ran=True).message
    assert right.startswith("Right: it does all that the kernel did in 212 golden operations and in all traffic")
    other = PuzzleLab(refill=["add", "over", "drain"], uncharge=["refill", "sub"], ran=True).message
    assert other == f"{right} The patch has fewer lines, or another order; what they do is the same."


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"refill": ["sub"]}, "'sub' is no line of refill; there are drain, full"),
        ({"uncharge": ["sub", "sub"]}, "uncharge has a line twice"),
        ({"uncharge": "sub"}, "it must be a list of names"),
        ({"uncharge": [7]}, "7 is no line of uncharge"),
        ({"ran": 1}, "ran is 1"),
        ({"lines": []}, "its settings are refill, uncharge, ran"),
    ],
)
def test_what_is_no_arrangement_is_told(settings, why):
    with pytest.raises(ValueError, match=why):
        PuzzleLab(**settings)


# --- what is to be found


FOUND = """
const finds = asked.map((one) => ({ data, arrangement: one, met, ...puzzleWords(data, one, true) }))
  .map((shown) => data.quests.map(({ name, found }) => {
    const find = FINDS[name](shown);
    return find && fill(found, find);
  }));
console.log(JSON.stringify(finds));
"""


def test_each_quest_is_found_by_what_it_asks_for_and_by_nothing_else(tmp_path):
    uncharge = list(RIGHT["uncharge"])
    asked = [
        RIGHT,
        {"refill": ["full"], "uncharge": uncharge},  # no C: nothing can betray it
        {"refill": [], "uncharge": uncharge},
        {"refill": ["over", "add"], "uncharge": uncharge},
        {"refill": ["full", "add"], "uncharge": uncharge},  # the same sentence
        {"refill": ["add", "full", "drain"], "uncharge": uncharge},
        {"refill": ["add"], "uncharge": uncharge},
        {"refill": ["add", "large", "drain"], "uncharge": uncharge},
        {"refill": ["add", "over", "drain"], "uncharge": uncharge[::-1]},
    ]
    met = "const met = new Set();"
    found = in_node(tmp_path, asked, met + FOUND)
    names = [quest["name"] for quest in PuzzleLab().data()["quests"]]
    assert names == ["five", "late", "other"]
    assert [[name for name, text in zip(names, told, strict=True) if text] for told in found] == [
        *[[]] * 7,
        ["five", "late"],
        ["five", "other"],
    ]
    shape = next(shape for shape in SHAPES if shape.name == "what comes")
    last = PuzzleLab(**asked[7], ran=True).result.verdict.calls[-1]
    assert found[7][0] == f"Five kinds of mistakes, each with traffic that betrays it. The fifth: {shape.says}"
    assert found[7][1] == f"It shows after 3 calls, the last of them: {puzzle._call(last)}."
    assert found[8][2] == (
        "Nothing that is tried tells these lines from the patch's. refill_stock: stock->nr_pages += nr_pages; "
        "if (stock->nr_pages > CHARGE_BATCH) drain_stock(stock); mem_cgroup_uncharge_skmem: "
        "refill_stock(memcg, nr_pages); this_cpu_sub(memcg->stat->count[MEMCG_SOCK], nr_pages);"
    )


def test_what_was_found_is_kept_and_told_again(nothing_said):
    lab, sent = PuzzleLab(), []
    lab.send = lambda content, buffers=None: sent.append(content)
    lab._heard(lab, {"id": 1, "question": {"ask": "found", "name": "late", "told": "It shows after 3 calls."}}, [])
    assert notes.recall("quests") == {"PuzzleLab.late": "It shows after 3 calls."}
    told = {quest["name"]: quest.get("told") for quest in PuzzleLab()._data()["quests"]}
    assert told == {"five": None, "late": "It shows after 3 calls.", "other": None}


# --- the same in a page

STAGE_HELPERS = """
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const fill = (template, values) => template.replace(/\\{(\\w+)\\}/g, (_, name) => values[name]);
"""


def in_node(folder, asked, script):
    """What a script says that follows the puzzle's own, with its data and some arrangements."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: the browser's tests hold a few arrangements against Python")
    stage = (base.STAGE / "stage.js").read_text(encoding="utf-8")
    for line in STAGE_HELPERS.strip().splitlines():
        assert line in stage  # what the script leans on is the stage's own
    file = folder / "judge.js"
    data = f"\nconst data = {json.dumps(PuzzleLab().data())}, asked = {json.dumps(asked)};\n"
    file.write_text(
        STAGE_HELPERS + (base.STAGE / "puzzle.js").read_text(encoding="utf-8") + data + script, encoding="utf-8"
    )
    return json.loads(subprocess.run([node, file], capture_output=True, text=True, check=True).stdout)


def test_a_page_says_what_python_says(tmp_path):
    asked = [*arrangements(), *at_random(400)]
    script = "console.log(JSON.stringify(asked.map((one) => puzzleWords(data, one, true).sentence)));"
    said = in_node(tmp_path, asked, script)
    expected = [PuzzleLab(**{k: list(v) for k, v in one.items()}, ran=True).message for one in asked]
    assert len(said) == len(expected) > 1000
    assert np.array_equal(said, expected), next((a, b) for a, b in zip(said, expected, strict=True) if a != b)
