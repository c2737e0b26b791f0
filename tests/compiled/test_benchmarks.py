"""The benchmarks still run, and all their sides still answer the same; how fast they are is not asked here."""

import sys

import pytest

from memcg_lab import _jit
from tools.notebooks import ROOT

pytestmark = pytest.mark.skipif(not _jit.JIT, reason="the benchmarks compare compiled code")


@pytest.fixture(autouse=True)
def beside_the_benchmarks(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])


def test_replay_and_plain_python_stop_at_the_same_operation_in_the_same_state(capsys):
    import bench

    assert bench.refusals({}), capsys.readouterr().out


def test_the_machine_and_plain_python_count_the_same(capsys):
    import machine_bench

    assert machine_bench.agree({}), capsys.readouterr().out


def test_a_row_of_the_table_is_measured_and_ends_the_same_on_all_sides():
    import bench

    ops = bench.make_ops(2000, tight=True)
    cost, _, ends, short_ends, refused = bench.measure(bench.V4_14, 1, ops, True, {}, 2)
    assert len(set(ends.values())) == len(set(short_ends.values())) == 1
    assert 0 < refused < 1
    assert all(cost.values())
