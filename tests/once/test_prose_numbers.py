"""Numbers that stand in the prose of a notebook and in no output beside it are those of the library."""

import nbformat
import numpy as np
import pandas as pd
import pytest

from memcg_lab import V4_13, V4_14, V6_1, System, data_path, mixed, op, producer_consumer
from memcg_lab.machine import Topology, predict_rows, read_measurement
from memcg_lab.traces.text import read_rows
from tools.notebooks import ROOT, read_raw, roster


def calls_and_drains():
    traffic = mixed(100_000, cpus=8, memcgs=[2], seed=475)
    back = int((traffic["op"] == op("uncharge_skmem", cpu=0, memcg=2, nr=1)["op"]).sum())
    drains = System.chain(depth=2, cpus=8, policy=V4_14).replay(traffic).drains
    assert round(back / drains) == 10
    return back, drains


def frames(bits, depth):
    a_second = bits / 8 / 1500
    return a_second / 1e6, a_second * (depth + 1) / 1e6


def left_at_the_end():
    wave = np.concatenate([np.repeat(op(f"{call}_skmem", cpu=cpu, memcg=2, nr=1), 64) for call, cpu in WAVE])
    ends = [System.chain(depth=2, cpus=2, policy=policy) for policy in (V4_13, V4_14)]
    for system in ends:
        system.replay(wave)
    return [int(system.usage[2]) for system in ends]


WAVE = ("charge", 0), ("uncharge", 1)


def one_way():
    rome, groups = (Topology.named(name) for name in ("2x EPYC 7742", "2x EPYC 7742, core complexes"))
    return rome.mean_transfer_ns(4), groups.mean_transfer_ns(4)


def trips_saved():
    misses = {}
    for batch in (32, 64):
        policy = V4_13.with_rules(f"v4.13, batch {batch}", batch=batch)
        misses[batch] = System.chain(1, cpus=2, policy=policy).replay(producer_consumer(10_000, memcg=1)).stock_misses
    return 10_000 - misses[32], misses[32] - misses[64]


def one_visit_more():
    """Errors of mean-value analysis in the predicted row: four visits of a walk, and five, the top counted twice."""
    mbps = pd.read_csv(data_path("published/netperf_2022.csv")).set_index("case")["mbps"]
    for top in (1, 2):
        walk = {"visits": [1, 1, top, 1]}
        table = predict_rows(
            {
                "root memcg": (mbps["root memcg"], None),
                "6.0-rc1": (mbps["6.0-rc1"], {"batch": 32, **walk}),
                "C: batch 64": (mbps["C: batch 64"], {"batch": 64, **walk}),
            },
            baseline="root memcg",
            fitted="6.0-rc1",
            think_ns=10 * 1024 * 8 / mbps["root memcg"] * 1000,
            levels=4,
            clients=36,
            method="mva",
        )
        yield table["error_percent"].iloc[2]


def charged_before_they_came_back():
    signs, held, most = {"chg": 1, "unc": -1}, {}, 0
    for row in read_rows(data_path("kernel_traces/t61e.csv.xz")):
        held[row.cpu] = held.get(row.cpu, 0) + signs.get(row.ev, 0) * row.nr
        most = max(most, held[row.cpu])
    return most, V6_1.stock_bound


def calibrated_with():
    topology = Topology.from_measurement(read_measurement(data_path("hardware/2026-11-23-amd-epyc.json")))
    return topology.same_ns, topology.local_ns


CLAIMS = [
    ("00", "Of {:,} calls that give back, {:,} drain: one in ten.", calls_and_drains),
    ("02", "{:.2f} million, and four counters for each: {:.1f} million.", lambda: frames(40e9, 3)),
    ("03", "32 saves {:,} of 10,000 trips already, and 64 only {} more.", trips_saved),
    ("04", "it ends at {} before the patch, and at {} after it.", left_at_the_end),
    ("05", "CPUs × 32: {:.0f} MiB on 64 CPUs.", lambda: [64 * V4_14.stock_bound * 4096 / 2**20]),
    ("06", "it takes {:.0f} ns for the way, and within the group of four it is about {:.0f} ns.", one_way),
    ("09", "takes `mva` with 36 clients from {:.1f} to {:.1f}.", one_visit_more),
    ("10", "the minima of the table above, {:.1f} and {:.2f} ns", calibrated_with),
    ("11", "a CPU had up to {} pages charged before they came back. The bound is {}.", charged_before_they_came_back),
]


@pytest.mark.parametrize(("notebook", "sentence", "computed"), CLAIMS, ids=[number for number, _, _ in CLAIMS])
def test_a_number_in_the_prose_is_computed(notebook, sentence, computed):
    path = next(path for path in roster(ROOT) if path.name.startswith(notebook))
    cells = nbformat.v4.reads_json(read_raw(path)).cells
    assert any(sentence.format(*computed()) in cell.source for cell in cells if cell.cell_type == "markdown")
