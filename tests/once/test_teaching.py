"""docs/teaching.md: minutes and marks add up, each misconception leads to a cell that is there, each command runs."""

import json
import re
import shlex

import pytest

from lab_helpers import ROOT
from memcg_lab import UNCHARGE_ONLY, V4_13, V4_14, System, producer_consumer
from memcg_lab.__main__ import main
from memcg_lab.course.before_after import gain
from tools import minutes, notebooks

TEXT = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")


def section(title):
    """What stands under a heading, up to the next one of its level or above."""
    mark, rest = re.search(rf"^(#+) {re.escape(title)}\n(.*)", TEXT, re.MULTILINE | re.DOTALL).groups()
    return re.split(rf"^#{{1,{len(mark)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(title):
    """The rows of the first table of a section, as lists of texts."""
    table = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in table[2:]]


def numbers(title, column):
    """The numbers of a column: (all but the last, the last, which is in bold)."""
    texts = [row[column] for row in rows(title)]
    assert re.fullmatch(r"\*\*\d+\*\*", texts[-1])
    return [int(text) for text in texts[:-1]], int(texts[-1].strip("*"))


@pytest.mark.parametrize(
    ("title", "column", "whole"),
    [
        ("One lecture of 90 minutes", 0, 90),
        ("A lab of four weeks", 1, 4 * 90),
        ("A lab of four weeks", 2, None),
        ("The review exercise", 0, 10),
        ("Marking", 0, 100),
    ],
)
def test_minutes_and_marks_add_up(title, column, whole):
    parts, together = numbers(title, column)
    assert sum(parts) == together
    assert whole in (None, together)


def test_a_plan_alone_has_every_notebook_with_the_minutes_that_it_states():
    *parts, (_, _, together) = rows("Alone")
    stated = []
    for path in notebooks.roster(ROOT):
        cells = notebooks.parse(notebooks.read_raw(path), path).cells
        found = next(filter(None, (minutes.STATED.search(cell.source) for cell in cells)), None)
        if found:
            stated.append((path.name, *map(int, found.groups())))
    told = [(re.search(r"notebooks/(\w+\.ipynb)", name)[1], *map(int, both.split(" + "))) for name, _, both in parts]
    assert told == stated
    assert together == f"**{sum(story for _, story, _ in told)} + {sum(practice for *_, practice in told)}**"


def cells_of(name):
    return {cell["id"]: cell for cell in json.loads((ROOT / "notebooks" / name).read_text(encoding="utf-8"))["cells"]}


def test_every_misconception_leads_to_a_cell_that_runs_and_shows_something():
    told = rows("What they get wrong, and where it is mended")
    assert len({thought for thought, _ in told}) == len(told) >= 25
    assert len({re.search(r"\[(\d\d)\]", where)[1] for _, where in told}) == len(notebooks.roster(ROOT))
    for thought, where in told:
        assert re.fullmatch(r"\S.*\.", thought)
        name, ids = re.search(r"notebooks/(\w+\.ipynb)", where)[1], re.findall(r"`(\w+)`", where)
        assert ids
        for cell in ids:
            assert cells_of(name)[cell].get("outputs"), (thought, name, cell)


def test_sections_that_a_lecture_names_are_there():
    for minutes_, _, where in rows("One lecture of 90 minutes")[:-1]:
        match = re.search(r"notebooks/(\w+\.ipynb)\)(.*)", where)
        for title in re.findall(r"\*([^*]+)\*", match[2]) if match else []:
            assert any(re.match(rf"## {re.escape(title)}", "".join(c["source"])) for c in cells_of(match[1]).values())
        assert int(minutes_) > 0


def test_every_command_of_the_page_is_one(capsys, tmp_path):
    found = re.findall(r"python -m memcg_lab ([^`\n>]+)", TEXT)
    assert len(found) >= 6
    for line in found:
        words = shlex.split(line.split("#")[0])
        with pytest.raises(SystemExit) as ended:
            main([words[0], "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert all(word in text for word in words if word.startswith("-")), line


def test_the_numbers_of_the_review_exercise_come_out_of_a_run():
    def drift(policy, depth=1):
        system = System.chain(depth, cpus=2, policy=policy)
        system.replay(producer_consumer(10_000, memcg=depth))
        return system.stock[1].nr_pages

    assert drift(UNCHARGE_ONLY) == 10_000
    assert drift(V4_13) == 0
    assert V4_14.stock_bound == 32
    assert V4_14.stock_bound * 4 == 128
    assert "10,000 pages stay" in TEXT
    assert "32 pages, 128 KiB" in TEXT


def test_the_gain_of_the_example_is_what_the_library_says():
    assert gain(8, 14) == 0.5
    assert "(14 - 8) / (20 - 8) = 0.5" in TEXT
