"""The simulation of cache lines: closed forms, invariants, what it counts, and what it refuses."""

import hashlib
import itertools

import numpy as np
import pytest

from lab_helpers import without_compiler
from memcg_lab import V4_13, V4_14, System, mixed, op, pingpong
from memcg_lab.machine import (
    FUNCTIONS,
    LAYOUTS,
    TOPOLOGIES,
    V4_13_LAYOUT,
    V6_1_LAYOUT,
    Layout,
    Topology,
    closed_loop,
    coherence,
    fit,
    mva,
    predict_rows,
    simulate,
)
from memcg_lab.machine.cache_lines import (
    FUNCTION_BITS,
    KIND_BITS,
    LOAD,
    RMW,
    STORE,
    TOUCHES_MAX,
    read_visit,
    step_table,
    visit,
)
from memcg_lab.machine.run import PENDING_MAX, TICKET_WAITERS_MAX, spread
from memcg_lab.mechanism.steps import STEPS
from memcg_lab.workload import skmem
from two_slots import TWO_SLOTS, three_take_turns

ONE_LINE = Layout("one line", memory_allocated=False, pressure_walks=0)
UNCHARGE = 1


def one_counter(cpus, policy=V4_13):
    """A single counter that is its own top: before the patch each page given back is one atomic on one line."""
    return System([-1], cpus=cpus, policy=policy, root=None)


def give_back(cpus, n=64, memcg=0):
    """Every CPU gives single pages back."""
    cpu = np.repeat(np.arange(cpus), n)
    return skmem(UNCHARGE, cpus * n, cpu=cpu, memcg=memcg, nr_pages=1)


# --- closed forms ----------------------------------------------------------------------------------------------------
def test_one_cpu_pays_only_local_costs():
    run = simulate(
        one_counter(1), give_back(1), think_ns=100, think="fixed", layout=ONE_LINE, duration_ns=100_000, warm_up=0
    )
    assert run.booked_ns[:, 1:].sum() == 0
    own = run.booked_ns[:, 0].sum() - run.booked_ns[FUNCTIONS.index("everything else"), 0]
    per_op = own / run.finished.sum()
    # css_put_many and the per-CPU statistic are steps on own lines.
    assert per_op == pytest.approx(8.0 + 2 * 1.5)
    assert run.throughput == pytest.approx(1000 / (100 + per_op), rel=2e-3)


@pytest.mark.parametrize("cpus", [2, 3, 16, pytest.param(100, marks=pytest.mark.once)])
def test_one_line_saturates_at_one_over_transfer_plus_local(cpus):
    topology = Topology.uniform(cpus, transfer_ns=50, local_ns=10, own_ns=0.001)
    run = simulate(
        one_counter(cpus), give_back(cpus), think_ns=0, topology=topology, layout=ONE_LINE, duration_ns=600_000
    )
    assert run.throughput == pytest.approx(1000 / 60, rel=1e-3)
    assert run.utilisation.max() == pytest.approx(1.0, rel=1e-3)
    assert run.queue_lengths.sum() == pytest.approx(cpus, rel=2e-2)
    assert run.regime == "tight loop"


def test_two_cpus_alternate_on_a_saturated_line():
    topology = Topology.uniform(2, transfer_ns=50, local_ns=10, own_ns=0.001)
    run = simulate(
        one_counter(2),
        give_back(2),
        think_ns=0,
        topology=topology,
        layout=ONE_LINE,
        duration_ns=30_000,
        warm_up=0,
    )
    line = dict(zip(coherence.TRAFFIC, run.traffic[1], strict=True))
    assert line["same"] == line["atomics"] - 1  # all but the first came from the other CPU
    assert abs(run.finished[0] - run.finished[1]) <= 1
    # Taken all the time, 60 ns each but the first, which came from nobody; the last ones are promised beyond the end.
    assert line["occupied"] == 30_000_000
    assert 0 <= 60_000 * line["atomics"] - 50_000 - line["occupied"] <= 2 * 60_000


def test_a_line_that_is_seldom_wanted_costs_the_mean_transfer():
    topology = TOPOLOGIES["2x E5-2680 v4"]
    run = simulate(
        one_counter(56), give_back(56), think_ns=1_000_000, topology=topology, layout=ONE_LINE, duration_ns=1e8
    )
    cost = run.booked_ns[FUNCTIONS.index("page_counter_cancel")] / run.finished.sum()
    # One in 56 finds the line with itself; the mean is over the other 55.
    assert cost[1] == pytest.approx(topology.mean_transfer_ns(56) * 55 / 56, rel=0.03)
    assert cost[0] == pytest.approx(8.0)
    assert cost[2] < 1.0


@pytest.mark.parametrize(
    ("name", "cpus", "expected"),
    [
        ("2x EPYC 7742, core complexes", 128, {"near", "same", "cross"}),
        ("8x Platinum 8176", 224, {"same", "cross", "far"}),
    ],
)
def test_a_line_pays_the_way_that_the_topology_says_and_each_distance_is_counted(name, cpus, expected):
    topology = TOPOLOGIES[name]
    run = simulate(
        one_counter(cpus), give_back(cpus), think_ns=1_000_000, topology=topology, layout=ONE_LINE, duration_ns=6e7
    )
    line = dict(zip(coherence.TRAFFIC, run.traffic[1], strict=True))
    assert {column for column in ("clean", "smt", "near", "same", "cross", "far") if line[column]} == expected
    assert sum(line[column] for column in expected) == pytest.approx(line["atomics"] * (1 - 1 / cpus), rel=0.01)
    # Whoever had the line last is any CPU: each distance comes as often as it does between CPUs.
    ways, counts = np.unique(topology.ways_ns(cpus)[0], return_counts=True)
    costs = {column: getattr(topology, f"{column}_ns") for column in expected}
    for column, cost in costs.items():
        share = counts[ways == cost].sum() / cpus
        assert line[column] / line["atomics"] == pytest.approx(share, abs=4 * np.sqrt(share / line["atomics"]))
    cancel = run.booked_ns[FUNCTIONS.index("page_counter_cancel"), 1]
    assert cancel == pytest.approx(sum(line[column] * cost for column, cost in costs.items()), rel=1e-9)
    assert cancel / line["atomics"] == pytest.approx(topology.mean_transfer_ns(cpus) * (1 - 1 / cpus), rel=0.03)


def test_each_distance_has_a_column_and_a_topology_without_near_and_far_counts_none():
    run = simulate(System.chain(depth=1, cpus=60), mixed(600, cpus=60, memcgs=[1], seed=1), duration_ns=50_000)
    columns = ["SMT sibling", "near core", "same socket", "other socket", "two hops"]
    assert run.by_line().columns.tolist()[5:10] == columns
    counted = run.by_line()[columns].sum()
    assert (counted == 0).tolist() == [False, True, False, False, True]


def test_mean_transfer_of_the_default_machine_is_that_of_its_table():
    assert TOPOLOGIES["2x E5-2680 v4"].mean_transfer_ns(56) == pytest.approx((1 * 8.3 + 26 * 45.2 + 28 * 127.5) / 55)


@pytest.mark.once
@pytest.mark.parametrize(("clients", "think"), [(2, 5000.0), (8, 1000.0), (40, 2000.0), (40, 200.0)])
def test_the_simulation_agrees_with_mean_value_analysis(clients, think):
    """Nearly constant service waits less than the exponential one of the theory: at most 12 % apart, never slower
    than 2 % below it."""
    arguments = dict(clients=clients, think_ns=think, visit_ns=100.0, levels=1, batch=32, policy=V4_13)
    exact = closed_loop(**arguments, traffic="uncharge", method="mva").throughput
    seen = closed_loop(**arguments, traffic="uncharge", method="simulation").throughput
    assert 0.98 <= seen / exact <= 1.12


def test_mean_value_analysis_of_one_line_is_the_machine_repairman():
    """Chance of j broken machines: N! / (N - j)! (D / Z)^j, the closed form."""
    for n, (think, demand) in itertools.product((1, 2, 5, 20), ((100.0, 10.0), (10.0, 10.0), (1.0, 30.0))):
        weights = [1.0]
        for j in range(1, n + 1):
            weights.append(weights[-1] * (n - j + 1) * demand / think)
        busy = 1 - weights[0] / sum(weights)
        assert mva(n, think, [demand])[0] == pytest.approx(busy / demand, rel=1e-9)


def test_load_dependent_mean_value_analysis_is_its_birth_and_death_chain():
    for n, think, demand, more in itertools.product((1, 2, 5, 12), (100.0, 20.0), (10.0,), (0.5, 0.1)):
        weights = [1.0]
        for j in range(1, n + 1):
            weights.append(weights[-1] * (n - j + 1) * demand * (1 + more * (j - 1)) / think)
        chances = np.array(weights) / sum(weights)
        rates = [0.0] + [1 / (demand * (1 + more * (j - 1))) for j in range(1, n + 1)]
        assert mva(n, think, [demand], [more])[0] == pytest.approx(float(chances @ rates), rel=1e-6)


# --- what the machine takes from the mechanism -----------------------------------------------------------------------
@pytest.mark.parametrize("policy", [V4_13, V4_14])
def test_the_mechanism_on_the_machine_is_the_mechanism(policy):
    """One CPU has one order only, so the machine must leave exactly the state a replay leaves, atomics included."""
    traffic = mixed(500, cpus=1, memcgs=[1, 2], seed=3)
    parents = [-1, 0, 0]
    limits = [-1, -1, 10**6]  # a limit that never bites switches the pages in flight off
    plain = System(parents, cpus=1, policy=policy, limits=limits)
    work = plain.replay(traffic)
    run = simulate(
        System(parents, cpus=1, policy=policy, limits=limits),
        traffic,
        repeat=False,
        duration_ns=1e9,
        layout=V4_13_LAYOUT.with_words("counters", memory_allocated=False, pressure_walks=0),
        warm_up=0,
    )
    assert run.system.compare(plain) == []
    assert run.traffic[:, 0].sum() == work.atomics
    assert run.finished.sum() == len(traffic)


def test_the_system_that_is_given_stays_as_it_was():
    system = System.chain(depth=2, cpus=4)
    before = system.snapshot()
    simulate(system, mixed(500, cpus=4, memcgs=[2], seed=1), duration_ns=100_000)
    assert system.snapshot() == before


@pytest.mark.parametrize("policy", [V4_13, V4_14])
def test_invariants_hold_after_a_run(policy):
    run = simulate(
        System.siblings(3, cpus=8, policy=policy),
        mixed(2000, cpus=8, memcgs=[1, 2, 3], seed=5),
        think_ns=300,
        duration_ns=200_000,
    )
    assert [i for i in run.system.invariants() if not i.holds] == []


@pytest.mark.once
@pytest.mark.parametrize("cpus", [64, 1024])
@pytest.mark.parametrize("duration_ns", [1e5, 3e5])
def test_no_line_is_taken_for_more_than_the_time_there_is(cpus, duration_ns):
    ops = mixed(9000, cpus=cpus, memcgs=[3], seed=1)
    topology = Topology.named("8x Platinum 8176")
    run = simulate(System.chain(depth=3, cpus=cpus), ops, topology=topology, duration_ns=duration_ns)
    assert 0.9 < run.utilisation.max() <= 1


def test_a_run_in_which_nothing_was_finished_says_so():
    far = Topology("far", 2, 1, 1, 5, 40, 1e6, 5)
    ops = mixed(900, cpus=2, memcgs=[3], seed=1)
    runs = [
        simulate(System.chain(depth=3, cpus=2), ops, topology=far, duration_ns=ns, think_ns=2000) for ns in (3e5, 3e7)
    ]
    assert [run.regime for run in runs] == ["too short", "think"]
    assert repr(runs[0]).endswith("; TOO SHORT: no operation was finished)")


def test_all_time_is_booked():
    """What is booked adds up to the clocks of the CPUs; nothing is lost and nothing is counted twice."""
    run = simulate(
        System.chain(depth=2, cpus=7, policy=V4_13),
        mixed(700, cpus=7, memcgs=[2], seed=1),
        warm_up=0,
        think_ns=200,
        duration_ns=2e5,
    )
    # CPUs go on to the end of what they began, so they may be a little beyond the end, never before it.
    assert run.booked_ns.sum() >= 7 * run.duration_ns
    assert run.booked_ns.sum() == pytest.approx(7 * run.duration_ns, rel=0.01)


def test_before_the_patch_every_uncharge_touches_every_level_and_after_it_few_do():
    ops = pingpong(200, memcg=3)
    runs = {}
    for policy in (V4_13, V4_14):
        runs[policy] = simulate(System.chain(depth=3, cpus=1, policy=policy), ops, repeat=False, warm_up=0)
    atomics = {policy: run.traffic[1:, 0] for policy, run in runs.items()}
    assert atomics[V4_13].tolist() == [207] * 4  # 200 given back, 7 batches
    assert atomics[V4_14].tolist() == [1] * 4


def test_the_patch_leaves_the_global_counter_alone():
    ops = pingpong(200, memcg=3)
    for policy in (V4_13, V4_14):
        run = simulate(System.chain(depth=3, cpus=1, policy=policy), ops, repeat=False, warm_up=0)
        assert run.lines[0] == "memory_allocated"
        assert run.traffic[0, 0] == 400


# --- false sharing ---------------------------------------------------------------------------------------------------
@pytest.mark.once
def test_parent_is_fetched_again_only_where_it_shares_the_line_of_the_count():
    """The pressure check reads ``parent``; where nobody writes its line, every CPU keeps its copy."""
    stalls = {}
    for name, layout in LAYOUTS.items():
        run = simulate(
            System.chain(depth=3, cpus=28, policy=V4_13), give_back(28, memcg=3), think_ns=5000, layout=layout
        )
        stalls[name] = run.share("tcp_delack_timer_handler")
    assert stalls["v4.13"] > 0.5
    assert stalls["v5.12"] == stalls["v6.1"] == 0


def test_a_layout_decides_which_words_are_one_visit():
    for layout in LAYOUTS.values():
        table = step_table(layout)
        add = table[[step.rule for step in STEPS].index("add to this level, speculatively")]
        assert add["lines"] == len({getattr(layout, word) for word in ("count", "limit", "watermark", "parent")})
        assert add["function"] == FUNCTIONS.index("page_counter_try_charge")
        assert read_visit(int(add["visits"][0])) == (layout.count, add["function"], RMW)
        assert table["own"].sum() > 0


def test_a_visit_is_read_as_it_was_written():
    for line, function, kind in ((0, 0, RMW), (1, 2, LOAD), ((1 << 24) - 1, len(FUNCTIONS) - 1, STORE)):
        assert read_visit(visit(line, function, kind)) == (line, function, kind)
        assert read_visit(visit(0, function, kind) + visit(line, 0, 0)) == (line, function, kind)


def test_every_number_fits_where_the_simulation_packs_it():
    assert len(STEPS) <= coherence.STEP_MASK + 1
    assert len(FUNCTIONS) <= 1 << FUNCTION_BITS
    assert max(LOAD, RMW, STORE) < 1 << KIND_BITS
    assert PENDING_MAX + TOUCHES_MAX <= coherence.PENDING_MASK + 1


# --- determinism -----------------------------------------------------------------------------------------------------
def test_a_run_is_the_same_again_and_another_seed_is_not():
    ops = mixed(2000, cpus=8, memcgs=[2], seed=1)
    runs = [simulate(System.chain(depth=2, cpus=8), ops, seed=seed, duration_ns=200_000) for seed in (1, 1, 2)]
    assert (runs[0].traffic == runs[1].traffic).all()
    assert (runs[0].booked_ns == runs[1].booked_ns).all()
    assert (runs[0].traffic != runs[2].traffic).any()


@pytest.mark.parametrize("kind", ["exponential", "uniform", "fixed"])
def test_think_times_keep_their_mean(kind):
    assert spread(kind).mean() == pytest.approx(65536, rel=1e-4)
    assert spread(kind).min() >= 0


def test_a_trace_runs_once_and_ends_when_all_are_done():
    ops = pingpong(10, memcg=1)
    gaps = np.linspace(100, 2000, len(ops))
    run = simulate(
        System.chain(depth=1, cpus=1), ops, think_ns=gaps, think="fixed", repeat=False, warm_up=0, duration_ns=1e9
    )
    assert run.finished.tolist() == [20]
    assert gaps.sum() <= run.duration_ns <= gaps.sum() + 20 * 100


def test_cpus_beyond_the_machine_stand_in_further_sockets():
    topology = TOPOLOGIES["2x E5-2680 v4"]
    core, socket = topology.place(1024)
    assert np.unique(socket, return_counts=True)[1].max() <= 28 * 2
    assert len(np.unique(socket)) == 37
    pairs = np.unique(core[:56], return_counts=True)[1]
    assert topology.place(56)[1].tolist() == [0] * 14 + [1] * 14 + [0] * 14 + [1] * 14
    assert pairs.max() >= 1


def test_no_cpu_has_anything_to_do():
    run = simulate(System.chain(depth=1, cpus=2), pingpong(0), duration_ns=1000)
    assert run.throughput == 0
    assert run.share("page_counter_cancel") == 0
    assert run.stalled == 0


@pytest.mark.parametrize("lock", ["queue lock", "ticket lock"])
@pytest.mark.once
def test_a_spin_lock_is_slower_than_an_atomic_and_a_ticket_lock_collapses(lock):
    def throughput(cpus, how):
        return simulate(
            one_counter(cpus),
            give_back(cpus),
            think_ns=1000,
            topology=Topology.uniform(cpus, transfer_ns=100),
            layout=ONE_LINE,
            lock=how,
        ).throughput

    assert throughput(32, lock) < throughput(32, "atomic")
    if lock == "ticket lock":
        assert throughput(64, lock) < throughput(16, lock)
    else:
        assert throughput(64, lock) == pytest.approx(1000 / 200, rel=0.02)


@pytest.mark.parametrize(
    ("lock", "cpus", "think_ns", "regime"),
    [
        ("ticket lock", 3, 1000, "think"),
        ("ticket lock", 4, 200, "think"),  # at most three wait
        ("ticket lock", 32, 1000, "qualitative"),
        ("ticket lock", 32, 50, "tight loop"),  # worse than qualitative
        ("queue lock", 32, 1000, "think"),
        ("atomic", 32, 1000, "think"),
    ],
)
def test_a_ticket_lock_with_more_than_a_few_waiters_is_called_qualitative(lock, cpus, think_ns, regime):
    topology = Topology.uniform(cpus, transfer_ns=100, own_ns=0.001)
    run = simulate(
        one_counter(cpus),
        give_back(cpus),
        think_ns=think_ns,
        topology=topology,
        layout=ONE_LINE,
        lock=lock,
        duration_ns=100_000,
    )
    waiting = run.traffic[:, coherence.WAITED].max() / 1000 / run.duration_ns
    assert (waiting > TICKET_WAITERS_MAX) == (cpus == 32)
    assert run.regime == regime
    assert ("QUALITATIVE" in repr(run)) == (regime == "qualitative")
    assert ("TIGHT LOOP" in repr(run)) == (regime == "tight loop")


# --- closed loops --------------------------------------------------------------------------------------------------
@pytest.mark.once
def test_the_three_answers_agree_where_nothing_queues():
    answers = [
        closed_loop(clients=8, think_ns=1e5, visit_ns=100, levels=3, batch=32, method=method).throughput
        for method in ("additive", "mva", "simulation")
    ]
    assert max(answers) / min(answers) < 1.02


def test_visits_come_from_the_mechanism():
    loop = closed_loop(clients=1, think_ns=100, visit_ns=10, batch=32)
    assert loop.visits == 1 / 32
    assert closed_loop(clients=1, think_ns=100, visit_ns=10, batch=32, pages=3).visits == 3 / 32  # leftovers add up
    assert closed_loop(clients=1, think_ns=100, visit_ns=10, batch=32, pages=40).visits == 1
    assert closed_loop(clients=1, think_ns=100, visit_ns=10, policy=V4_13, traffic="uncharge").visits == 1


@without_compiler
def test_a_row_made_by_the_model_is_predicted_by_it():
    truth = dict(clients=12, think_ns=1000.0, levels=2, visit_ns=700.0)
    rows = {"none": (1000.0, None)}
    for batch in (16, 32):
        rows[f"batch {batch}"] = (1000 * closed_loop(batch=batch, **truth).throughput, {"batch": batch})
    table = predict_rows(rows, baseline="none", fitted="batch 16", clients=12, think_ns=1000.0, levels=2)
    assert table.visit_ns[0] == pytest.approx(700, rel=0.02)
    assert abs(table.error_percent[2]) < 0.5
    assert table.role.tolist() == ["unit", "fitted", "predicted"]


def test_the_netperf_rows_of_2022_are_predicted_within_15_percent_by_mean_value_analysis():
    """Fixed from the source before: 36 clients, three levels and the root, 10 KiB at the root's rate."""
    rows = {"root": (21694.8, None), "32": (10482.7, {"batch": 32}), "64": (17063.7, {"batch": 64})}
    common = dict(baseline="root", fitted="32", clients=36, levels=4, think_ns=3776.0)
    table = predict_rows(rows, **common, method="mva")
    assert table.error_percent[2] == pytest.approx(-0.9, abs=0.2)
    additive = predict_rows(rows, **common, method="additive")
    assert additive.error_percent[2] == pytest.approx(-17.2, abs=0.2)


def test_fit_finds_the_number_and_says_when_there_is_none():
    assert fit(lambda x: 1 / x, 0.25, 0.1, 100, "x") == pytest.approx(4, rel=1e-3)
    assert fit(lambda x: x**3, 8.0, 0.1, 100, "x") == pytest.approx(2, rel=1e-3)
    with pytest.raises(ValueError, match=r"x: from 0\.1 to 100 the model answers 10 to 0\.01; no value gives"):
        fit(lambda x: 1 / x, 11.0, 0.1, 100, "x")


def test_a_simulation_can_be_interrupted(monkeypatch):
    """Compiled code hears a signal only between two calls, so no call may simulate more than a small part."""
    untils = []

    def bind(policy):
        kernel = coherence.bind_machine(policy)

        def part(machine, until):
            untils.append(until)
            return kernel(machine, until)

        return part

    monkeypatch.setattr("memcg_lab.machine.run.bind_machine", bind)
    simulate(System.chain(depth=1, cpus=2), pingpong(50, memcg=1), duration_ns=1_000_000, warm_up=0)
    assert untils[-1] == 1_000_000_000
    assert max(np.diff([0, *untils])) <= 0.04 * untils[-1]


# --- what is refused -------------------------------------------------------------------------------------------------
OPS = pingpong(4, memcg=1)
SYSTEM = System.chain(depth=1, cpus=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"think_ns": -1}, "think_ns is -1; it must be 0 to 1,000,000 nanoseconds"),
        ({"think_ns": float("nan")}, "think_ns is nan"),
        ({"think_ns": [1.0, 2.0]}, "think_ns has 2 values; there are 8 operations"),
        ({"think_ns": [1.0] * 7 + ["x"]}, r"think_ns\[7\] is 'x'"),
        ({"think": "normal"}, "think is 'normal'; it must be one of: exponential"),
        ({"topology": "big"}, "topology is 'big'; it must be a Topology"),
        ({"layout": None}, "layout is None; it must be a Layout"),
        ({"lock": "mutex"}, "lock is 'mutex'; it must be one of: atomic"),
        ({"duration_ns": 0.5e10}, "duration_ns is 5000000000.0; it must be a number from 0 to 1,000,000,000"),
        ({"warm_up": 1}, "warm_up is 1; it must be a number from 0 to 0.9"),
        ({"seed": -1}, "seed is -1"),
        pytest.param({"record": 1}, "events; record allows 1", marks=without_compiler),
        ({"repeat": "no"}, "repeat is 'no'; it must be True or False"),
        ({"repeat": 1}, "repeat is 1; it must be True or False"),
        (
            {"think_ns": 0, "topology": Topology.uniform(2, transfer_ns=9)},
            "CPU 0 does not think, and own_ns is 0.0; its",
        ),
        ({"think_ns": 0, "ops": op("try_charge", cpu=1, memcg=0, nr=1)}, "CPU 1 does not think"),
        ({"ops": "x"}, "operations must be a 1-d array"),
        ({"ops": op("drain_all", cpu=0, memcg=1)}, r"op 0 of 1 \(drain_all\): a machine executes charge_skmem"),
        ({"ops": op("charge_skmem", cpu=2, memcg=1, nr=1)}, "CPU 2 does not exist; this system has 0 to 1"),
        ({"ops": op("charge_skmem", cpu=0, memcg=2, nr=1)}, "memcg 2 does not exist; this tree has 0 to 1"),
        ({"ops": op("charge_skmem", cpu=0, memcg=0, nr=1)}, "memcg 0 is the root"),
        ({"ops": op("charge_skmem", cpu=0, memcg=1, nr=0)}, "0 pages; allowed are 1 to"),
        ({"system": None}, "system is None; it must be a System"),
        ({"system": System.chain(depth=1, cpus=1025)}, "CPUs of the system is 1025; it must be"),
        ({"system": System.chain(depth=1, cpus=1, legacy=True)}, "cgroup v2 systems without sockets"),
        (
            {
                "system": System.chain(depth=1, cpus=2, limits=[-1, 5]),
                "ops": op("uncharge_skmem", cpu=1, memcg=1, nr=3),
            },
            r"CPU 1, its op 0 \(uncharge_skmem\): gives back 3 pages, more than memcg 1 holds by then",
        ),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"system": SYSTEM, "ops": OPS, "duration_ns": 10_000.0} | change
    with pytest.raises(ValueError, match=message):
        simulate(**arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Topology.named("big"), "topology is 'big'; it must be one of: 2x E5-2680 v4"),
        (lambda: Topology.uniform(0, transfer_ns=1), "cores is 0"),
        (lambda: Topology.uniform(1, transfer_ns=-1), "same_ns is -1"),
        (lambda: Layout("x", parent=4), "line of parent is 4; it must be a whole number from 0 to 3"),
        (lambda: Layout("x", pressure_walks=3), "pressure_walks is 3"),
        (lambda: Layout("x", memory_allocated="no"), "memory_allocated is 'no'; it must be True or False"),
        (
            lambda: predict_rows({"a": (1.0, None)}, baseline="a", fitted="a", per_client=2, clients=1, think_ns=1),
            "per_client is 2; it must be True or False",
        ),
        (
            lambda: predict_rows({"a": (1.0, {"charged": 0})}, baseline="a", fitted="a", clients=1, think_ns=1),
            'row "a": charged is 0; it must be True or False',
        ),
        (lambda: closed_loop(clients=0, think_ns=1, visit_ns=1), "clients is 0"),
        (lambda: closed_loop(clients=600, think_ns=1, visit_ns=1, traffic="pairs"), "clients is 600"),
        (lambda: closed_loop(clients=1, think_ns=1, visit_ns=1, levels=2, lines=3), "lines is 3"),
        (lambda: closed_loop(clients=1, think_ns=1, visit_ns=1, method="guess"), "method is 'guess'"),
        (lambda: mva(2, -1, [1]), "think_ns is -1"),
        (lambda: mva("x", 1, [1]), "clients is 'x'; it must be a whole number from 0 to 100,000"),
        (lambda: mva(2, 1, {1: 2}), "demands_ns is {1: 2}; it must be a list"),
        (lambda: mva(2, 1, [1, 2], [0.5]), "waiters_cost has 1 values; there are 2 in demands_ns"),
        (lambda: mva(2, 1, [1], [-0.5]), r"waiters_cost\[0\] is -0.5; it must be a number from 0 to 1,000"),
        (
            lambda: predict_rows({"a": (1.0, None)}, baseline="b", fitted="a", clients=1, think_ns=1),
            'baseline is "b"; the rows are a',
        ),
        (
            lambda: predict_rows({"a": (0.0, None)}, baseline="a", fitted="a", clients=1, think_ns=1),
            'row "a": 0.0 was measured; it must be above 0',
        ),
        (
            lambda: predict_rows(
                {"a": (1.0, None), "b": (2.0, {"batch": 32})}, baseline="a", fitted="b", clients=1, think_ns=100
            ),
            "no value gives the measured 2",
        ),
    ],
)
def test_bad_machines_and_loops_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_function_without_a_row_is_named():
    with pytest.raises(ValueError, match='function "tcp_ack" does not exist'):
        simulate(SYSTEM, OPS, duration_ns=1000).share("tcp_ack")


def test_a_measurement_says_what_it_lacks():
    with pytest.raises(ValueError, match="measurement: schema is missing"):
        Topology.from_measurement({})
    with pytest.raises(ValueError, match="measurement: schema is 'x'"):
        Topology.from_measurement({"schema": "x"})


def test_this_machine_has_the_cpus_the_system_tells():
    topology = Topology.this_machine()
    assert topology.cpus >= 1
    assert "not measured" in topology.source


def test_what_a_run_shows_in_one_line():
    run = simulate(System.chain(depth=1, cpus=2), pingpong(50, memcg=1), duration_ns=10_000)
    assert repr(run).startswith("Run(2 CPUs, 8 us, ")
    assert run.by_function().columns.tolist() == ["function", "local_ns", "transfer_ns", "wait_ns", "percent"]
    assert run.by_line().line.tolist() == list(run.lines)
    assert V6_1_LAYOUT.lines == 3


def test_times_and_counts_are_those_of_every_other_mode_and_machine():
    """Whole picoseconds and our own generator: compiled, not compiled and bounds checked agree to the last digit."""
    digest = hashlib.sha256()
    for policy, layout, lock in (
        (V4_13, LAYOUTS["v4.13"], "atomic"),
        (V4_14, LAYOUTS["v5.12"], "ticket lock"),
        (V4_14, LAYOUTS["v6.1"], "queue lock"),
    ):
        run = simulate(
            System.siblings(2, cpus=5, policy=policy),
            mixed(300, cpus=5, memcgs=[1, 2], seed=9),
            think_ns=150,
            layout=layout,
            lock=lock,
            duration_ns=40_000,
        )
        known = [k for k, column in enumerate(coherence.TRAFFIC) if column not in ("near", "far")]
        for array in (run.finished, np.round(run.booked_ns * 1000).astype(np.int64), run.traffic[:, known]):
            digest.update(np.ascontiguousarray(array).astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == "058ea945c15bfaec"


# --- several slots ---------------------------------------------------------------------------------------------------
@without_compiler
def test_with_two_slots_one_cpu_ends_where_replay_ends():
    ops = three_take_turns(120, cpus=1)
    plain = System.siblings(3, cpus=1, policy=TWO_SLOTS)
    plain.replay(ops)
    run = simulate(
        System.siblings(3, cpus=1, policy=TWO_SLOTS), ops, think_ns=100, think="fixed", repeat=False, warm_up=0
    )
    assert run.system.stock == plain.stock
    assert len([stock for stock in run.system.stock[0] if stock.memcg > 0]) == 2
    assert run.finished.sum() == len(ops)
