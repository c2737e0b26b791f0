"""Closed loops with lines visited more than once, two batches, several cgroups and a topology; rows with their own."""

import numpy as np
import pandas as pd
import pytest

from memcg_lab import V4_13, V4_14, _jit
from memcg_lab.files import data_path
from memcg_lab.machine import LAYOUTS, Topology, closed_loop, mva, predict_rows
from memcg_lab.machine.calibration import mva_of_groups
from tools.published_predictions import FITTED, SETS, variant

GIVE_BACK = dict(policy=V4_13, traffic="uncharge")
EXACT = ("additive", "mva", "queues")


def throughput(method="mva", **arguments):
    return closed_loop(**{"clients": 8, "think_ns": 1000.0, "visit_ns": 50.0, "method": method, **arguments}).throughput


# --- what a visit is -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", EXACT)
def test_alone_a_client_pays_each_visit_of_its_round_and_its_path(method):
    arguments = dict(clients=1, levels=3, visits=(1, 2, 4), path_ns=300.0, seeds=5, **GIVE_BACK)
    assert throughput(method, **arguments) == pytest.approx(1000 / (1000 + 300 + 7 * 50), rel=0.02)


def test_a_line_of_several_levels_is_visited_once_for_each():
    for method in ("additive", "mva"):
        assert throughput(method, levels=4, lines=2) == pytest.approx(
            throughput(method, levels=4, lines=2, visits=(2, 2)), rel=1e-12
        )


@pytest.mark.parametrize("clients", [2, 10, 40])
def test_the_queues_wait_no_more_than_mean_value_analysis_and_saturate_where_it_does(clients):
    exact, seen = (throughput(method, clients=clients, seeds=3, **GIVE_BACK) for method in ("mva", "queues"))
    assert 0.985 <= seen / exact <= 1.06


def test_a_saturated_line_serves_one_visit_after_the_other():
    for lock, times in (("atomic", 1), ("queue lock", 2)):
        found = closed_loop(clients=64, think_ns=100, visit_ns=50, method="queues", lock=lock, **GIVE_BACK)
        assert 64 * found.throughput == pytest.approx(1000 / 50 / times, rel=0.01)
        assert found.busiest == pytest.approx(1, rel=0.01)


def test_the_ticket_lock_serves_longer_the_more_wait():
    few, many = (n * throughput("queues", clients=n, lock="ticket lock", think_ns=100, **GIVE_BACK) for n in (8, 64))
    assert many < few


def test_what_all_sockets_share_and_what_is_only_read_is_visited_too():
    layout = LAYOUTS["v4.13"]  # one call's atomic on memory_allocated, two walks that read parent on the line of count
    for method, rel in (("additive", 1e-9), ("queues", 0.02)):
        found = throughput(method, clients=1, levels=2, layout=layout, seeds=5, **GIVE_BACK)
        assert found == pytest.approx(1000 / (1000 + 50 + (1 + 2) * 2 * 50), rel=rel)


# --- two batches -----------------------------------------------------------------------------------------------------
def test_giving_back_has_a_batch_of_its_own():
    def walks(**arguments):
        return closed_loop(clients=1, think_ns=100, visit_ns=10, policy=V4_14, **arguments).visits

    # Given back beyond the batch, the stock is emptied: one walk for batch + 1 pages.
    assert walks(traffic="uncharge", batch=64, back_batch=32) == pytest.approx(1 / 33, rel=0.01)
    assert walks(traffic="charge", batch=64, back_batch=32) == 1 / 64
    assert walks(traffic="pairs", batch=64, back_batch=32) == pytest.approx((1 / 64 + 1 / 33) / 2, rel=0.01)
    assert walks(traffic="both", batch=64, back_batch=32) == pytest.approx(1 / 64 + 1 / 33, rel=0.01)


def test_on_one_cpu_one_stock_serves_both():
    after, before = (
        closed_loop(clients=1, think_ns=100, visit_ns=10, traffic="both", policy=policy) for policy in (V4_14, V4_13)
    )
    assert after.visits == pytest.approx(0, abs=1e-3)  # the first charge only
    assert before.visits == pytest.approx(1 + 1 / 32, rel=0.01)


# --- several cgroups -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["mva", "queues"])
def test_cgroups_that_share_nothing_are_systems_of_their_own(method):
    alone = throughput(method, clients=4, levels=2, seeds=3, **GIVE_BACK)
    together = throughput(method, clients=12, levels=2, cgroups=3, shared=0, seeds=3, **GIVE_BACK)
    assert together == pytest.approx(alone, rel=0.02)


def test_a_line_of_ones_own_is_a_part_of_the_think_time():
    both = throughput(clients=12, levels=2, cgroups=12, **GIVE_BACK)
    assert both == pytest.approx(throughput(clients=12, think_ns=1050.0, **GIVE_BACK), rel=1e-12)


def test_the_approximation_for_groups_is_within_7_percent_of_the_exact_answer_where_there_is_one():
    for clients, think, demands in ((4, 100.0, [50.0, 10.0]), (36, 1000.0, [30.0, 30.0]), (8, 500.0, [100.0])):
        exact, _ = mva(clients, think, demands)
        assert mva_of_groups(clients, 1, think, demands, [True] * len(demands)) == pytest.approx(exact, rel=0.07)
    assert mva_of_groups(3, 1, 0, [0.0], [True]) == float("inf")


def test_the_simulation_takes_a_tree_of_several_cgroups_and_a_topology():
    arguments = dict(visit_ns=None, topology=Topology.named("2x E5-2680 v4"), levels=3, clients=28, think_ns=2000.0)
    for cgroups in (1, 4, 28):
        found = [throughput(method, cgroups=cgroups, **arguments, **GIVE_BACK) for method in ("queues", "simulation")]
        assert found[0] == pytest.approx(found[1], rel=0.03)


# --- a topology ------------------------------------------------------------------------------------------------------
def test_on_a_topology_a_visit_is_the_mean_way_and_the_atomic():
    topology = Topology.named("2x EPYC 7742, core complexes")
    found = throughput("additive", clients=64, visit_ns=None, topology=topology, **GIVE_BACK)
    visit = (3 * 25.3 + 60 * 141.0) / 64 + topology.local_ns  # one in 64 finds the line with itself
    assert found == pytest.approx(1000 / (1000 + visit), rel=1e-9)
    assert throughput("additive", clients=64, visit_ns=visit, **GIVE_BACK) == pytest.approx(found, rel=1e-9)


def test_visits_are_stretched_until_their_mean_is_what_is_given():
    topology = Topology.named("2x E5-2680 v4")
    seen = throughput("queues", clients=28, visit_ns=200.0, topology=topology, seeds=5, think_ns=1e5, **GIVE_BACK)
    assert 1000 / seen - 1e5 == pytest.approx(200, abs=0.01 * 1e5)


def test_cgroups_near_each_other_pay_shorter_ways():
    topology = Topology.named("2x EPYC 7742, core complexes")
    near, mixed = (
        throughput("mva", clients=64, cgroups=cgroups, shared=0, visit_ns=None, topology=topology, **GIVE_BACK)
        for cgroups in (16, 8)
    )
    assert near > mixed  # four neighbours share a cache, eight do not


# --- seeds -----------------------------------------------------------------------------------------------------------
slow_without_a_compiler = pytest.mark.skipif(not _jit.JIT, reason="many simulations")


@pytest.mark.parametrize("method", ["queues", pytest.param("simulation", marks=slow_without_a_compiler)])
def test_the_standard_error_is_that_of_the_seeds(method):
    each = [throughput(method, clients=4, seed=seed, **GIVE_BACK) for seed in (5, 6, 7)]
    found = closed_loop(clients=4, think_ns=1000.0, visit_ns=50.0, method=method, seed=5, seeds=3, **GIVE_BACK)
    assert found.throughput == pytest.approx(np.mean(each), rel=1e-12)
    assert found.standard_error == pytest.approx(np.std(each, ddof=1) / np.sqrt(3), rel=1e-9)
    assert found.standard_error > 0


# --- published rows --------------------------------------------------------------------------------------------------
TRUTH = dict(levels=3, visit_ns=700.0, path_ns=150.0)


def made(**rows):
    """Rows as the model makes them, with clients, think time and pages of their own.

    Four pages of a batch of 32 are one page of a batch of 8, and no other batch is compiled for it.
    """
    found = {"none": (1000.0, {"charged": False, "clients": 4, "think_ns": 1000.0})}
    for name, changes in rows.items():
        found[name] = (1000.0 * closed_loop(**TRUTH, **changes).throughput, changes)
    return found


def test_two_fitted_rows_give_the_visit_and_the_path_and_the_others_follow():
    rows = made(
        few=dict(clients=4, think_ns=1000.0, pages=4),
        many=dict(clients=24, think_ns=1000.0, batch=32),
        longer=dict(clients=24, think_ns=2000.0, pages=2),
    )
    table = predict_rows(rows, baseline="none", fitted=("many", "few"), levels=3)
    assert table["role"].tolist() == ["unit", "fitted", "fitted", "predicted"]
    assert table["visit_ns"][1] == pytest.approx(700, rel=0.05)
    assert table["path_ns"][1] == pytest.approx(150, rel=0.1)
    assert abs(table["error_percent"][3]) < 0.5


def test_a_path_that_was_measured_is_taken_as_it_is():
    rows = made(few=dict(clients=4, think_ns=1000.0, pages=4), many=dict(clients=24, think_ns=1000.0, batch=32))
    table = predict_rows(rows, baseline="none", fitted="many", levels=3, path_ns=150.0)
    assert table["visit_ns"][0] == pytest.approx(700, rel=0.02)
    assert (table["path_ns"] == 150).all()
    assert abs(table["error_percent"][1]) < 0.5


@slow_without_a_compiler
def test_a_standard_error_is_told_in_the_unit_of_the_rows():
    rows = made(many=dict(clients=6, think_ns=1000.0, pages=4))
    table = predict_rows(rows, baseline="none", fitted="many", levels=3, method="queues", seeds=3)
    assert 0 < table["standard_error"][1] < 0.05 * table["model"][1]
    assert table["standard_error"][0] == 0


@pytest.mark.parametrize("method", ["additive", "mva"])
@pytest.mark.parametrize("clients", [36, 72])
@pytest.mark.parametrize("fitted", FITTED)
@pytest.mark.parametrize(("name", "levels"), [(name, levels) for name, one in SETS.items() for levels in one.levels])
def test_the_variants_told_in_the_data_are_what_the_model_says(name, levels, method, clients, fitted):
    told = pd.read_csv(data_path(f"published/{name}_predicted.csv"))
    told = told[(told["method"] == method) & (told["clients"] == clients) & (told["fitted"] == fitted)]
    if "levels" in told:
        told = told[told["levels"] == levels]
    again = variant(name, method, clients, fitted, levels)
    assert told["row"].tolist() == again["row"].tolist()
    for what in ("model", "error_percent", "visit_ns", "path_ns"):
        if what in again:
            assert again[what].to_numpy() == pytest.approx(told[what].to_numpy(), rel=1e-3, abs=0.02, nan_ok=True)


def test_with_the_path_fitted_the_largest_batch_is_nearer_than_without_it():
    told = pd.read_csv(data_path("published/sctp_2022_predicted.csv"))
    told = told[(told["row"] == "usage aligned, batch 128") & (told["method"] != "additive")]
    error = told.pivot(index=["method", "clients", "levels"], columns="fitted", values="error_percent").abs()
    assert len(error) == 12
    assert (error["a visit and the path"] < error["a visit"]).all()


# --- what is refused -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"policy": None}, "policy is None; it must be a Policy"),
        ({"policy": "v4.14"}, "policy is 'v4.14'; it must be a Policy"),
        ({"visit_ns": None}, "visit_ns is None; without a topology it must be given"),
        ({"topology": "big"}, "topology is 'big'; it must be a Topology or None"),
        ({"think_ns": 10**400}, "think_ns is 1000"),
        ({"path_ns": -1}, "path_ns is -1; it must be 0 to 1,000,000 nanoseconds"),
        ({"batch": 0}, "batch is 0; it must be a whole number from 1 to 65,536"),
        ({"back_batch": 0}, "back_batch is 0; it must be a whole number from 1 to 65,536"),
        ({"cgroups": 3}, "cgroups is 3; it must divide the 8 clients evenly"),
        ({"cgroups": 9}, "cgroups is 9; it must be a whole number from 1 to 8"),
        ({"cgroups": 2, "shared": 4}, "shared is 4; it must be a whole number from 0 to 3"),
        ({"visits": (1, 2)}, r"visits is \(1, 2\); it must be a list of 3, one number for each line"),
        ({"visits": 2}, "visits is 2; it must be a list of 3"),
        ({"visits": (1, 2, -1)}, r"visits\[2\] is -1; it must be 0 to 64 visits"),
        ({"visits": (1, 2, 65)}, r"visits\[2\] is 65; it must be 0 to 64 visits"),
        ({"visits": (1, 1, 2), "method": "simulation"}, 'visits is given, but method "simulation" takes them from'),
        ({"back_batch": 7, "method": "simulation"}, 'back_batch is given, but method "simulation" runs one policy'),
        ({"cgroups": 2, "lock": "ticket lock"}, 'lock is "ticket lock" with 2 cgroups; method "mva" cannot answer'),
        ({"seeds": 0}, "seeds is 0; it must be a whole number from 1 to 1,000"),
        ({"seed": -1}, "seed is -1"),
        ({"method": "guess"}, "method is 'guess'; it must be one of: additive; mva; queues; simulation"),
        ({"traffic": []}, r"traffic is \[\]; it must be one of: charge; uncharge; pairs; both"),
        ({"lock": None}, "lock is None; it must be one of: atomic; queue lock; ticket lock"),
        ({"think_ns": 0, "visit_ns": 0, "method": "queues"}, "think_ns and visit_ns are 0; time would stand still"),
    ],
)
def test_a_wrong_argument_is_named(change, says):
    with pytest.raises(ValueError, match=says):
        closed_loop(**{"clients": 8, "think_ns": 1000.0, "visit_ns": 50.0, "levels": 3, **change})


GOOD = {"a": (2.0, None), "b": (1.0, {"batch": 8})}


@pytest.mark.parametrize(
    ("rows", "change", "says"),
    [
        (GOOD, {"think_ns": 0}, 'row "a": think_ns is 0; a row without counters is nothing but its think time'),
        (GOOD, {"think_ns": None}, 'row "a": think_ns is None; it must be 0 to'),
        (GOOD, {"fitted": ("b", "a")}, 'fitted is "a", a row without counters'),
        (GOOD, {"baseline": "b"}, 'baseline is "b", a row with counters'),
        (GOOD, {"fitted": 3}, 'fitted is "3"; the rows are a, b'),
        (GOOD, {"fitted": ("b", "b", "b")}, "it must be one row, or two"),
        (GOOD, {"pages_": 3}, 'row "a": pages_ is no argument of a row; there are: back_batch, batch, '),
        (GOOD, {"visit_ns": 3}, 'row "a": visit_ns is no argument of a row'),
        ([], {}, r"rows is \[\]; it must be a dict of rows by name"),
        ({"a": 2.0, "b": 3.0}, {}, r'row "a": 2.0; it must be \(what was measured, a dict'),
        ({"a": ("x", None)}, {}, "row \"a\": 'x' was measured; it must be above 0"),
        ({"a": (float("inf"), None)}, {}, 'row "a": inf was measured; it must be above 0'),
    ],
)
def test_a_wrong_row_is_named(rows, change, says):
    with pytest.raises(ValueError, match=says):
        predict_rows(rows, **{"baseline": "a", "fitted": "b", "clients": 8, "think_ns": 100.0, **change})


def test_rows_without_clients_are_named():
    with pytest.raises(ValueError, match='row "a": clients is missing; give it for all rows or for this one'):
        predict_rows(GOOD, baseline="a", fitted="b", think_ns=100.0)
