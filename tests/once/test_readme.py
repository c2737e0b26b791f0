"""What the README shows runs, and the numbers it names are those of the run."""

import pathlib
import re

import pandas as pd
from PIL import Image

from memcg_lab.golden import check_scenario, read_golden
from memcg_lab.machine import predict_rows
from memcg_lab.mechanism.policy import POLICIES
from memcg_lab.perf import simulate_top
from tools.pictures import BYTES_MAX

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_run_and_keep_the_rules(capsys):
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("v4")] == ["v4.13", "v4.14"]
    assert lines.count("True") == 2


def test_the_last_line_of_conformance_is_what_the_readme_says():
    scenarios = read_golden(ROOT / "data" / "golden" / "random_post.jsonl.gz")
    checked = [check_scenario(scenario, POLICIES["v4.14"]) for scenario in scenarios]
    ops, fields = sum(len(s.ops) for s in scenarios), sum(n for n, _ in checked)
    wrong = sum(len(found) for _, found in checked)
    assert f"`scenarios {len(scenarios)} ops {ops} fields {fields} mismatches {wrong}`" in README


def test_the_golden_files_hold_as_many_operations_and_runs_as_the_readme_says():
    files = sorted((ROOT / "data" / "golden").glob("*.gz"))
    of_6_1 = [s for path in files if path.name.startswith("v6_1") for s in read_golden(path)]
    older = [s for path in files if not path.name.startswith("v6_1") for s in read_golden(path)]
    assert f"each of {sum(len(s.ops) for s in older):,} operations in {len(older)} runs" in README
    assert f"for {sum(len(s.ops) for s in of_6_1):,} operations in {len(of_6_1)} runs" in README


def test_the_machine_s_lines_run(capsys):
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1]
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("Run(56 CPUs, ") == 2


def test_the_predicted_shares_are_those_of_the_default_host():
    top = simulate_top()
    for function, when, published in (
        ("tcp_delack_timer_handler", "before", "0.68 %"),
        ("__sk_mem_reduce_allocated", "before", "1.14 %"),
        ("__sk_mem_reduce_allocated", "after", "below 0.57 %"),
    ):
        share = getattr(top, when).share(function)
        assert f"`{function}` {when} | {published} | {share:.2f} % |" in README


def test_the_predicted_throughput_is_that_of_the_closed_loop():
    table = pd.read_csv(ROOT / "data" / "published" / "netperf_2022.csv").set_index("case")["mbps"]
    rows = {
        "root memcg": (table["root memcg"], None),
        "6.0-rc1": (table["6.0-rc1"], {"batch": 32}),
        "C: batch 64": (table["C: batch 64"], {"batch": 64}),
    }
    errors = {}
    for method in ("additive", "mva"):
        predicted = predict_rows(
            rows, baseline="root memcg", fitted="6.0-rc1", clients=36, levels=4, think_ns=3776, method=method
        )
        errors[method] = float(predicted["error_percent"][2])
    assert f"mean-value analysis | {table['C: batch 64']} Mbps | {-errors['mva']:.1f} % too low |" in README
    assert f"without any waiting | | {-errors['additive']:.0f} % too low |" in README


def test_the_first_screen_shows_the_stage_and_who_wants_no_motion_gets_the_still():
    first = README.partition("\n## ")[0]
    still, moving = re.findall(r'(?:srcset|src)="(docs/pictures/[^"]+)"', first)
    assert re.search(r'<source media="\(prefers-reduced-motion: reduce\)" srcset="' + re.escape(still), first)
    assert len(re.search(r'alt="([^"]+)"', first)[1]) > 200
    with Image.open(ROOT / still) as one, Image.open(ROOT / moving) as many:
        assert getattr(one, "n_frames", 1) == 1
        assert many.n_frames > 50
        assert one.size == many.size
    assert sum((ROOT / name).stat().st_size for name in (still, moving)) < BYTES_MAX
