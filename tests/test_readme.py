"""What the README shows runs, and the numbers it names are those of the run."""

import pathlib
import re

import pytest

from memcg_lab.conformance import check_scenario
from memcg_lab.mechanism.policy import POLICIES
from memcg_lab.workload import read_golden

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_run_and_keep_the_rules(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("v4")] == ["v4.13", "v4.14"]
    assert lines.count("True") == 2


def test_the_last_line_of_conformance_is_what_the_readme_says():
    scenarios = read_golden(ROOT / "tests" / "golden" / "random_post.jsonl.gz")
    checked = [check_scenario(scenario, POLICIES["v4.14"]) for scenario in scenarios]
    ops, fields = sum(len(s.ops) for s in scenarios), sum(n for n, _ in checked)
    wrong = sum(len(found) for _, found in checked)
    assert f"`scenarios {len(scenarios)} ops {ops} fields {fields} mismatches {wrong}`" in README


def test_the_golden_files_hold_as_many_operations_and_runs_as_the_readme_says():
    scenarios = [s for path in (ROOT / "tests" / "golden").glob("*.gz") for s in read_golden(path)]
    assert f"each of {sum(len(s.ops) for s in scenarios):,} operations in {len(scenarios)} runs" in README
