"""Predictions of real thread runs, the measuring lab, and the figures of both."""

import threading

import pandas as pd
import pytest

from figure_checks import check_picture, check_words
from memcg_lab import V4_13, V4_14, _jit, figures
from memcg_lab.files import data_path
from memcg_lab.hardware import predict_threads, run_grid
from memcg_lab.labs import MeasureLab
from memcg_lab.labs import measure as lab_module
from memcg_lab.machine import Topology, read_measurement
from two_slots import TWO_SLOTS

FILE = "hardware/2026-11-23-amd-epyc.json"
TOPOLOGY = Topology.uniform(2, transfer_ns=30, local_ns=5, own_ns=0.25)


@pytest.fixture
def measurement():
    return read_measurement(data_path(FILE))


# --- the topology of a measurement -----------------------------------------------------------------------------------
def test_a_topology_takes_minima_and_says_what_was_not_measured(measurement):
    topology = Topology.from_measurement(data_path(FILE))
    assert topology == Topology.from_measurement(measurement)
    assert topology.local_ns == measurement["local"]["atomic"]["min"]
    assert topology.same_ns == measurement["transfer"]["same"]["min"]
    assert (topology.sockets, topology.cores, topology.threads) == (1, 2, 1)
    assert topology.source == "measured; not measured: smt, cross"


def test_without_any_transfer_nothing_is_invented(measurement):
    measurement["transfer"] = {"smt": None, "same": None, "cross": None}
    with pytest.raises(ValueError, match="transfer has no figure at all"):
        Topology.from_measurement(measurement)
    measurement["machine"] |= {"cpus": 1, "cores_per_socket": 1}
    assert Topology.from_measurement(measurement).cpus == 1


def test_a_field_that_is_missing_is_named(measurement):
    del measurement["local"]["atomic"]["min"]
    with pytest.raises(ValueError, match=r"local\.atomic\.min is missing"):
        Topology.from_measurement(measurement)


# --- predictions -----------------------------------------------------------------------------------------------------
@pytest.mark.once
def test_one_thread_pays_its_thinking_and_its_atomics():
    for depth in (1, 3):
        before, after = (
            predict_threads(TOPOLOGY, policy, depth=depth, threads=1, think_ns=500) for policy in (V4_13, V4_14)
        )
        assert after == pytest.approx(1000 + 4 * 0.25, rel=1e-3)
        # One atomic a level to give back, and one in 32 charges takes a batch.
        assert before == pytest.approx(1000 + 4 * 0.25 + (1 + 1 / 32) * (depth + 1) * 5, rel=1e-3)


@pytest.mark.once
def test_two_threads_pay_the_way_of_each_line_before_the_patch_and_none_after_it():
    before, after = (predict_threads(TOPOLOGY, policy, depth=1, threads=2, think_ns=2000) for policy in (V4_13, V4_14))
    assert after == pytest.approx(4000 + 4 * 0.25, rel=1e-3)
    # Both give back at the same moment: one waits for the other's line once.
    assert 2 * 35 <= before - 4000 <= 3 * 35 + 15


def test_a_grid_needs_a_topology():
    with pytest.raises(ValueError, match="topology is None; it must be a Topology, from a measurement"):
        run_grid(None)
    with pytest.raises(ValueError, match="threads is 0"):
        predict_threads(TOPOLOGY, V4_13, depth=1, threads=0, think_ns=1)


@pytest.mark.skipif(not _jit.JIT, reason="threads need compiled code")
def test_a_grid_has_a_row_for_each_point_and_predicts_at_the_measured_think_time():
    done = []
    grid = run_grid(
        TOPOLOGY,
        policies=(V4_14,),
        depths=(1,),
        thinks_ns=(0, 300),
        threads=(1,),
        seconds=0.005,
        repeats=2,
        progress=lambda *counts: done.append(counts),
    )
    assert done == [(1, 2), (2, 2)]
    assert grid[["policy", "depth", "threads"]].to_numpy().tolist() == [["v4.14", 1, 1]] * 2
    for row in grid.dropna().itertuples():
        again = predict_threads(TOPOLOGY, V4_14, depth=1, threads=1, think_ns=row.think_ns)
        assert row.predicted_ns == pytest.approx(again)
        assert row.error_percent == pytest.approx(100 * (row.predicted_ns / row.measured_ns - 1))
    assert (grid["kept"] + grid["discarded"] == 2).all()
    stop = threading.Event()
    stop.set()
    assert len(run_grid(TOPOLOGY, stop=stop)) == 0


@pytest.mark.skipif(not _jit.JIT, reason="threads need compiled code")
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"policies": (V4_13, TWO_SLOTS)},
            "two slots has 2 slots; the stock of a real thread holds pages of one cgroup",
        ),
        ({"policies": V4_13}, "policies is Policy.*; it must be a list of values"),
        ({"depths": (1, 0)}, "depth is 0; it must be a whole number from 1 to 64"),
        ({"depths": 1}, "depths is 1; it must be a list of values"),
        ({"threads": (1, 10**6)}, "threads is 1000000; it must be a whole number from 1 to"),
        ({"thinks_ns": (0, -1)}, "think_ns is -1; it must be a number from 0 to 1,000,000"),
        ({"seconds": 0}, "seconds is 0; it must be a number from 0.001 to 3,600"),
        ({"repeats": 0}, "repeats is 0; it must be a whole number from 1 to 1,000"),
    ],
)
def test_a_grid_with_a_wrong_value_is_refused_before_anything_runs(wrong, says):
    with pytest.raises(ValueError, match=says):
        run_grid(TOPOLOGY, **wrong, progress=lambda *counts: pytest.fail("a point was run"))


@pytest.mark.skipif(_jit.JIT, reason="says what happens without compiled code")
def test_a_grid_without_compiled_code_says_so():
    with pytest.raises(ValueError, match="NUMBA_DISABLE_JIT"):
        run_grid(TOPOLOGY, thinks_ns=(0,), depths=(1,))


# --- figures ---------------------------------------------------------------------------------------------------------
def test_the_bundled_grid_is_what_the_readers_are_told():
    grid = pd.read_csv(data_path("hardware/2026-11-23-amd-epyc-grid.csv"))
    assert len(grid) == 48
    assert (grid["error_percent"].abs().median()) < 25
    recomputed = 100 * (grid["predicted_ns"] / grid["measured_ns"] - 1)
    assert recomputed.to_numpy() == pytest.approx(grid["error_percent"].to_numpy(), abs=0.2)
    figure = figures.predicted_runs(grid)
    check_words(figure)
    check_picture(figure, "ns")
    assert figure.caption.startswith(f"48 runs: the prediction is off by {grid['error_percent'].abs().median():.1f} %")


@pytest.mark.once
def test_the_bundled_predictions_come_out_of_the_bundled_measurement():
    topology = Topology.from_measurement(data_path(FILE))
    grid = pd.read_csv(data_path("hardware/2026-11-23-amd-epyc-grid.csv"))
    for row in grid.iloc[::7].itertuples():
        policy = {"v4.13": V4_13, "v4.14": V4_14}[row.policy]
        said = predict_threads(topology, policy, depth=row.depth, threads=row.threads, think_ns=row.think_ns)
        assert said == pytest.approx(row.predicted_ns, rel=1e-3)


def test_figures_of_a_measurement_without_figures_are_refused(measurement):
    figure = figures.measured_rules(measurement)
    assert "2 threads and 4 levels" in figure.caption
    check_words(figure)
    check_picture(figure, "ns")
    for row in measurement["rules"]:
        row["ns"] = None
    with pytest.raises(ValueError, match="no figure for the rules"):
        figures.measured_rules(measurement)
    empty = pd.DataFrame({"measured_ns": [float("nan")]})
    with pytest.raises(ValueError, match="no run of the grid was kept"):
        figures.predicted_runs(empty)


# --- the lab ---------------------------------------------------------------------------------------------------------
def test_the_lab_measures_in_the_background_and_shows_it(monkeypatch, measurement):
    began, go_on = threading.Event(), threading.Event()

    def fake(*, seconds, progress, stop):
        progress(1, 2)
        began.set()
        assert go_on.wait(10)
        measurement["machine"]["model"] = f"fake, {seconds} s, stopped {stop.is_set()}"
        return measurement

    monkeypatch.setattr(lab_module, "measure", fake)
    lab = MeasureLab(seconds=3)
    assert "bundled measurement" in lab.message
    told = lab.answer({"ask": "start", "seconds": 3})
    assert told["running"]
    assert told["sentence"].startswith("Measuring.")
    assert began.wait(10)
    told = lab.answer({"ask": "progress"})
    assert (told["done"], told["total"]) == (1, 2)
    first = lab._thread
    lab.answer({"ask": "start", "seconds": 3})  # a second start does nothing
    assert lab._thread is first
    lab.answer({"ask": "stop"})
    go_on.set()
    lab._thread.join(10)
    told = lab.answer({"ask": "progress"})
    assert not told["running"]
    assert "Your measurement, fake, 3 s, stopped True" in told["sentence"]
    assert told["sentence"] == lab.message
    assert "atomic add" in lab.table().index
    assert [row[0] for row in told["rows"]] == lab.table().index.tolist()


def test_stopping_early_is_no_failure(monkeypatch):
    def fake(*, seconds, progress, stop):
        assert stop.wait(10)
        raise ValueError("stopped within the first round; there is nothing to report.")

    monkeypatch.setattr(lab_module, "measure", fake)
    lab = MeasureLab()
    before = lab.message
    lab.start()
    lab.stop()
    lab._thread.join(10)
    assert lab.message == (f"Stopped before the first round was over, so there is nothing of yours to show. {before}")
    assert "did not work" not in lab.message
    assert lab.measurement is None


def test_a_measurement_that_fails_is_told_and_the_view_stays(monkeypatch):
    def fake(**options):
        raise ValueError("this machine has one CPU; there is nobody to share a line with.")

    monkeypatch.setattr(lab_module, "measure", fake)
    lab = MeasureLab()
    lab.start()
    lab._thread.join(10)
    assert lab.message.startswith("That did not work: this machine has one CPU")
    assert lab.measurement is None
    assert not lab.running


def test_the_lab_s_seconds_are_bounded():
    with pytest.raises(ValueError, match="seconds is 61"):
        MeasureLab(seconds=61)
