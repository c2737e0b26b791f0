"""Numbers that stand in the prose of a notebook and in no output beside it are those of the library."""

import nbformat
import numpy as np
import pytest

from memcg_lab import V4_13, V4_14, System, mixed, op, producer_consumer
from memcg_lab.machine import Topology
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


CLAIMS = [
    ("00", "Of {:,} calls that give back, {:,} drain: one in ten.", calls_and_drains),
    ("02", "{:.2f} million, and four counters for each: {:.1f} million.", lambda: frames(40e9, 3)),
    ("03", "32 saves {:,} of 10,000 trips already, and 64 only {} more.", trips_saved),
    ("04", "it ends at {} before the patch, and at {} after it.", left_at_the_end),
    ("05", "CPUs × 32: {:.0f} MiB on 64 CPUs.", lambda: [64 * V4_14.stock_bound * 4096 / 2**20]),
    ("06", "it takes {:.0f} ns for the way, and within the group of four it is about {:.0f} ns.", one_way),
]


@pytest.mark.parametrize(("notebook", "sentence", "computed"), CLAIMS, ids=[number for number, _, _ in CLAIMS])
def test_a_number_in_the_prose_is_computed(notebook, sentence, computed):
    path = next(path for path in roster(ROOT) if path.name.startswith(notebook))
    cells = nbformat.v4.reads_json(read_raw(path)).cells
    assert any(sentence.format(*computed()) in cell.source for cell in cells if cell.cell_type == "markdown")
