"""The stage's data and the page they go into; what the page shows is tested in tests/browser."""

import hashlib
import json
import re

import pytest

from lab_helpers import stream_of
from memcg_lab import System, forms
from memcg_lab.files import data_path
from memcg_lab.history import LINE_RULES, PATCH_LINES, History
from memcg_lab.labs import PatchLab
from memcg_lab.labs.stage import data
from memcg_lab.mechanism.steps import STEPS, step_dtype
from memcg_lab.web import build, kernels, page
from memcg_lab.web.sections import SECTIONS

POLICIES = [machine.policy for machine in PatchLab.machines]


def test_each_changed_line_is_said_to_stand_in_its_hunk_of_the_diff():
    diff = data_path("patch/475d048.diff").read_text(encoding="utf-8")
    found, hunk = {}, 0
    for line in diff.splitlines():
        hunk += line.startswith("@@")
        if re.match(r"[+-](?![+-])", line):
            found[line[0] + line[1:].strip()] = hunk
    assert [found[line] for line in PATCH_LINES] == list(data.HUNKS)


def test_the_data_is_plain_and_the_rules_name_steps_that_exist():
    told = json.loads(json.dumps(PatchLab().data()))
    assert [rule["line"] for rule in told["line_rules"]] == [rule.line for rule in LINE_RULES]
    assert all(0 <= code < len(STEPS) for rule in told["line_rules"] for code in rule["steps"])
    assert [machine["capped"] for machine in told["machines"]] == [False, True, True, False]
    assert [machine["hunks"] for machine in told["machines"]] == [[], [1, 2], [1], [2]]
    assert told["forms"]["records"]["step"]["size"] == step_dtype.itemsize


@pytest.mark.parametrize("name", PatchLab.traffics)
def test_given_traffic_is_allowed_on_every_machine_and_told_in_words(name):
    told = PatchLab.traffic[name]
    ops = stream_of(told.ops, first=3)
    pasts = [History(System(data.parents(3, told.cgroups), cpus=2, policy=policy), ops) for policy in POLICIES]
    names = data.names(3, told.cgroups)
    for shown, labels in [*(((pasts[0], right), "LR") for right in pasts[1:]), ((pasts[2],), "O")]:
        assert data.sentence(shown, 0, names, labels) == data.WORDS["nothing"]
        sentences = [data.sentence(shown, k, names, labels) for k in range(1, len(ops) + 1)]
        assert all(re.fullmatch(r"\d+ of \d+: CPU \d [^{}]+ So far [^{}]+\.", sentence) for sentence in sentences)


def test_a_limit_is_met_refused_and_asks_the_stocks_in_the_traffic_about_it():
    ops = stream_of(PatchLab.traffic["a limit is met"].ops, first=2)
    pasts = [History(System(data.parents(2, 1), cpus=2, policy=policy), ops) for policy in POLICIES[:2]]
    said = [data.sentence(pasts, k, data.names(2, 1), ("Before", "After")) for k in range(len(ops) + 1)]
    assert any("refused 4 times by A, over the limit, so it is forced in" in sentence for sentence in said)
    assert any("CPU 0 gives up 24 pages of A, CPU 1 gives up 24 pages of A" in sentence for sentence in said)
    assert not pasts[0].sock[-1].any()


# --- the page --------------------------------------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path):
    """A folder as a build leaves it, with something else in place of each kernel."""
    described = {}
    for kind, policy in kernels.names():
        name = f"{kernels.file_stem(kind, policy)}.wasm"
        (tmp_path / name).write_bytes(b"kernel")
        described[f"{kind} {policy}"] = {"file": name, "sha256": "of something else"}
    _write(tmp_path, {"format": build.FORMAT, **forms.description(), "kernels": described})
    (tmp_path / build.ANSWERS).write_text("[]", encoding="utf-8")
    return tmp_path


@pytest.fixture(autouse=True)
def no_grid(monkeypatch):
    """The answers of the cost lab take minutes; they have a test of their own."""
    monkeypatch.setattr(page.cost, "grid", lambda: {"values": {}, "answers": []})


def _inside(text):
    return json.loads(re.search(r"^const INSIDE = (.*);$", text, re.M)[1])


def _write(folder, description):
    (folder / build.DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")


def _sign(folder):
    description = json.loads((folder / build.DESCRIPTION).read_text(encoding="utf-8"))
    for told in description["kernels"].values():
        told["sha256"] = hashlib.sha256(b"kernel").hexdigest()
    _write(folder, description)
    return description


def test_the_page_is_one_file_with_everything_in_it(folder):
    _sign(folder)
    size = page.make_page(folder / "out.html", folder)
    text = (folder / "out.html").read_text(encoding="utf-8")
    assert size == len(text.encode())
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert not re.search(r"<!--[A-Z]+-->|/\*SCRIPT\*/", text)
    inside = _inside(text)
    labs = [section.lab for section in SECTIONS]
    kernels_inside = {f"{kernel}.wasm" for kernel in ("steps-v4.14", "events-v4.14", "machine-v4.14", "replay-v6.1")}
    assert {"kernels.json", "golden.json", *kernels_inside, *(f"{lab}.json" for lab in labs)} <= set(inside)
    assert "events-v6.1.wasm" not in inside  # no lab on the stage has that machine
    assert re.findall(r'data-memcg-lab="(\w+)"', text) == labs
    assert re.findall(r'<a href="#(\w+)"><img', text) == labs
    for lab in labs:
        assert f'<section id="{lab}">' in text


def test_a_page_may_have_one_lab_alone(folder):
    _sign(folder)
    page.make_page(folder / "out.html", folder, "ContentionLab")
    text = (folder / "out.html").read_text(encoding="utf-8")
    assert re.findall(r'data-memcg-lab="(\w+)"', text) == ["ContentionLab"]
    assert "<section" not in text
    assert "steps-v4.13.wasm" not in _inside(text)
    with pytest.raises(ValueError, match="chosen is 'Lab'; it must be one of: PatchLab"):
        page.make_page(folder / "out.html", folder, "Lab")


def test_the_script_of_a_site_is_one_classic_script(folder):
    _sign(folder)
    script = page.bundle(folder)
    assert script.startswith('(() => {\n"use strict";')
    assert not re.search(r"^(import|export) ", script, re.M)
    assert "golden.json" not in _inside(script)
    assert _inside(script)["kernels.json"]


def test_the_grid_of_the_cost_lab_is_kept_beside_the_kernels(folder, monkeypatch):
    _sign(folder)
    page.bundle(folder, ["CostLab"])
    monkeypatch.setattr(page.cost, "grid", lambda: pytest.fail("it is there"))
    page.bundle(folder, ["CostLab"])
    kept = json.loads((folder / page.GRID).read_text(encoding="utf-8"))
    (folder / page.GRID).write_text(json.dumps(kept | {"made_of": "something else"}), encoding="utf-8")
    monkeypatch.setattr(page.cost, "grid", lambda: {"values": {}, "answers": [1]})
    page.bundle(folder, ["CostLab"])
    assert json.loads((folder / page.GRID).read_text(encoding="utf-8"))["grid"]["answers"] == [1]


def test_the_page_refuses_kernels_that_are_not_there_or_not_of_this_library(folder):
    with pytest.raises(ValueError, match="is not the kernel that was built; run: python -m memcg_lab web build"):
        page.make_page(folder / "out.html", folder)
    description = _sign(folder)
    (folder / "steps-v4.13.wasm").unlink()
    with pytest.raises(ValueError, match="steps-v4.13.wasm.* cannot be read"):
        page.make_page(folder / "out.html", folder)
    del description["kernels"]["steps v4.13"]
    _write(folder, description)
    with pytest.raises(ValueError, match="has no kernel steps v4.13"):
        page.make_page(folder / "out.html", folder)
    description["constants"]["mechanism"]["CHARGE_BATCH"] = 31
    _write(folder, description)
    with pytest.raises(ValueError, match="are of another version of the library"):
        page.make_page(folder / "out.html", folder)
    with pytest.raises(ValueError, match="holds no kernels for the web"):
        page.make_page(folder / "out.html", folder / "nowhere")
    assert not (folder / "out.html").exists()


def test_a_page_takes_the_place_of_a_page_and_of_nothing_else(folder):
    _sign(folder)
    out = folder / "out.html"
    assert page.make_page(out, folder) == page.make_page(out, folder) == out.stat().st_size
    for content in (b"", b"my notes", b"\xff\xfe"):
        out.write_bytes(content)
        with pytest.raises(ValueError, match="out.html.* is no page of this library"):
            page.make_page(out, folder)
        assert out.read_bytes() == content
