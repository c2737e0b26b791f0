"""Numbers that stand in the prose of a notebook and in no output beside it are those of the library."""

import nbformat
import numpy as np
import pandas as pd
import pytest

from memcg_lab import V4_13, V4_14, V6_1, System, bursts, data_path, mixed, op, producer_consumer
from memcg_lab.machine import Topology, predict_rows, read_measurement
from memcg_lab.perf import read_perf
from memcg_lab.traces.text import read_rows
from memcg_lab.workload import tcp_data_queue, udp_enqueue
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


def fewer(**more):
    """Atomics of the headline's traffic before and after the patch."""
    traffic = mixed(100_000, **{"cpus": 8, "memcgs": [2], "seed": 475} | more)
    return [System.chain(depth=2, cpus=8, policy=policy).replay(traffic).atomics for policy in (V4_13, V4_14)]


def times_fewer(**more):
    before, after = fewer(**more)
    return [before / after]


def both_at_once():
    before, after = fewer(cpus=1, mix="frames")
    return before / after, before, after


def largest_lump_below_the_listing():
    """Pages come back ``lump`` to a call and are charged 32 to a trip: one row is lump / 32 of the other."""
    listed = read_perf(data_path("perf/before.txt"))["percent"]
    return [max(lump for lump in range(1, 33) if listed.max() * lump / 32 < listed.min())]


def watermark_of_the_batch():
    system = System.chain(depth=2, cpus=1, policy=V4_13, limits=[-1, 100, -1])
    answers = [system.try_charge(cpu=0, memcg=2, nr_pages=pages, ctx="softirq") for pages in (90, 20)]
    assert answers == [0, -12]
    return system.snapshot()["max"][2], 90 + 20


def taken_before_a_refusal():
    system = System([-1, 0, 0, 1], cpus=2, limits=[-1, 50, -1, 20])
    taken = []
    for memcg in (3, 1):
        pages = 0
        while system.try_charge(cpu=0, memcg=memcg, nr_pages=1) == 0:
            pages += 1
        taken.append(pages)
    return taken


def batch_of_4096():
    policy = V4_13.with_rules("v4.13, batch 4096", batch=4096)
    work = System.chain(1, cpus=2, policy=policy).replay(producer_consumer(10_000, memcg=1))
    return work.stock_misses, policy.stock_bound


def with_the_counter_of_all_sockets():
    traffic = producer_consumer(200, memcg=2)
    done = [System.chain(2, cpus=2, policy=policy).replay(traffic).atomics for policy in (V4_13, V4_14)]
    return [atomics + len(traffic) for atomics in done] + done


def owners_change():
    """Two cgroups on a CPU, each with ten pages there and back at a time: what the patch gains, and the drains."""
    stays = np.tile(np.concatenate([bursts(1, burst=10, memcg=memcg, uncharge_cpu=0) for memcg in (1, 2)]), 20)
    before, after = (System.siblings(2, cpus=1, policy=policy).replay(stays) for policy in (V4_13, V4_14))
    assert round(before.atomics / after.atomics) == 6
    return [after.drains]


def failures():
    """Tries that failed: UDP before and after the patch, TCP before it; each beside how it comes about."""
    counted = []
    for receive, policy in ((udp_enqueue, V4_13), (udp_enqueue, V4_14), (tcp_data_queue, V4_13)):
        system = System.chain(1, cpus=1, policy=policy, limits=[-1, 10], sockets=[1])
        receive(system, cpu=0, sk=0, nr_bytes=10 * 4096)
        for _ in range(40):
            receive(system, cpu=0, sk=0, nr_bytes=3 * 4096)
        counted.append(system.snapshot()["failcnt"][1])
    return counted


CLAIMS = [
    ("00", "Single pages save most: {:.0f} times fewer atomics.", lambda: times_fewer(mix="frames")),
    ("00", "One CPU saves **less**, {:.1f} times:", lambda: times_fewer(cpus=1)),
    ("00", "With both at once it is {:,.0f} times, {:,} atomics and {}:", both_at_once),
    ("01", "1 / (1 − 0.0395), which is {:.2f}", lambda: [1 / (1 - 0.0395)]),
    ("01", "So that host gave back {} pages or fewer in a call", largest_lump_below_the_listing),
    ("02", "{}, not {}. The batch was tried first", watermark_of_the_batch),
    ("02", "cgroup 3 takes {} and refuses the next one itself. Then cgroup 1 takes {}", taken_before_a_refusal),
    ("03", "With 4096 only {} of the 10,000 charges miss, and up to {:,} pages", batch_of_4096),
    ("04", "{:,} before the patch and {} after it, not {} and {}.", with_the_counter_of_all_sockets),
    ("04", "the stock changes hands {} times", owners_change),
    (
        "05",
        "40 × 4 + 1 is {}, and 20 × 4 + 1 is {}. TCP before the patch charges twice for each packet: 40 × 8 + 1 is {}.",
        failures,
    ),
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
