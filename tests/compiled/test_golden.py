"""The golden files: every field of every operation as the kernel's own code answered, and proof that they bite."""

import functools

import pytest

from lab_helpers import GOLDEN, drain_at_the_batch, without_compiler
from memcg_lab import POLICIES, V4_13, V4_14, V6_1, read_golden
from memcg_lab.golden import check_scenario, system_of
from memcg_lab.mechanism import records
from memcg_lab.mechanism.page_counter_v6_1 import uncharge_v6_1
from memcg_lab.mechanism.stock_v4_13 import (
    consume_stock,
    css_put_many,
    drain_stock,
    refill_stock,
    uncharge_counters,
    uncharge_to_counter,
)
from memcg_lab.mechanism.stock_v6_1 import drain_stock_v6_1, refill_stock_v6_1

BEFORE = ["random_pre", "stories_pre"]
AFTER = ["random_post", "stories_post"]
LATER = ["v6_1_random", "v6_1_stories"]
POLICY = {**dict.fromkeys(BEFORE, V4_13), **dict.fromkeys(AFTER, V4_14), **dict.fromkeys(LATER, V6_1)}


@functools.cache
def golden(name):
    return read_golden(GOLDEN / f"{name}.jsonl.gz")


def story(name, file):
    return next(s for s in golden(file) if s.config["name"] == name)


def opening(scenario, n=150):
    """The first operations of a scenario: enough for most mutants."""
    return scenario._replace(ops=scenario.ops[:n], expected=scenario.expected[:n])


def caught(name, policy):
    """How many scenarios of a file notice that the rule is another."""
    return sum(bool(check_scenario(opening(scenario), policy)[1]) for scenario in golden(name))


@pytest.mark.parametrize("name", POLICY)
def test_every_field_of_every_operation_is_reproduced(name):
    fields = 0
    for scenario in golden(name):
        compared, mismatches = check_scenario(scenario, POLICY[name])
        assert mismatches == []
        fields += compared
    assert fields > 20_000


def test_the_files_hold_what_their_description_says():
    scenarios = {name: len(golden(name)) for name in POLICY}
    assert scenarios == {
        **{"random_pre": 14, "stories_pre": 22, "random_post": 14, "stories_post": 22},
        **{"v6_1_random": 12, "v6_1_stories": 37},
    }
    assert {len(s.ops) for name in ("random_pre", "random_post", "v6_1_random") for s in golden(name)} == {500}

    def used(names):
        return {records.OPS[code] for name in names for s in golden(name) for code in s.ops["op"]}

    assert used(BEFORE) == used(AFTER) == set(records.OPS[: records.SET_HIGH])
    later = {*records.OPS[: records.SET_HIGH + 1], *records.OPS[records.KMEM_CHARGE :]} - {"set_limit"}
    assert used(LATER) == later


def test_before_and_after_ran_the_same_operations():
    for before, after in zip(BEFORE, AFTER, strict=True):
        for one, other in zip(golden(before), golden(after), strict=True):
            assert one.ops.tobytes() == other.ops.tobytes()


# --- the files bite --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "policy"), [("random_post", V4_13), ("random_pre", V4_14)])
def test_the_rules_of_the_other_side_of_the_patch_are_caught_in_every_random_scenario(name, policy):
    assert caught(name, policy) == 14


@pytest.mark.parametrize(("name", "policy"), [("stories_post", V4_13), ("stories_pre", V4_14)])
def test_the_stories_tell_the_two_sides_apart(name, policy):
    wrong = [s.config["name"] for s in golden(name) if check_scenario(s, policy)[1]]
    assert "refused_then_admitted" in wrong
    assert "v1_tcpmem_no_stock" not in wrong


def drain_the_surplus(st, batch, drain, cpu, memcg, nr_pages):
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    surplus = st.stock[cpu, 0].nr_pages - batch
    if surplus > 0:
        uncharge_counters(st, cpu, memcg, surplus)
        css_put_many(st, cpu, memcg, surplus)
        st.stock[cpu, 0].nr_pages = batch


def switch_without_drain(st, batch, drain, cpu, memcg, nr_pages):
    entry = st.stock[cpu, 0]
    if entry.memcg != memcg:
        entry.memcg = memcg
        entry.nr_pages = 0
    entry.nr_pages += nr_pages
    if entry.nr_pages > batch:
        drain(st, cpu, 0, records.DRAIN_CAP)


def drain_but_remember(st, cpu, slot, cause):
    owner = st.stock[cpu, slot].memcg
    drain_stock(st, cpu, slot, cause)
    st.stock[cpu, slot].memcg = owner


def consume_below(st, batch, cpu, memcg, nr_pages):
    return st.stock[cpu, 0].nr_pages > nr_pages and consume_stock(st, batch, cpu, memcg, nr_pages)


def put_the_references_too(st, batch, refill, drain, cpu, memcg, nr_pages):
    refill(st, batch, drain, cpu, memcg, nr_pages)
    css_put_many(st, cpu, memcg, nr_pages)


MUTANTS = {
    "cap at the batch": {"refill": drain_at_the_batch},
    "drain the surplus only": {"refill": drain_the_surplus},
    "no drain on a switch of cgroup": {"refill": switch_without_drain},
    "remember the cgroup after a drain": {"drain": drain_but_remember},
    "consume needs more than n": {"consume": consume_below},
    "keep css_put_many in uncharge": {"uncharge": put_the_references_too},
    "no cap": {"refill": refill_stock},
    "no uncharge to the stock": {"uncharge": uncharge_to_counter},
}


@without_compiler
@pytest.mark.parametrize("changes", MUTANTS.values(), ids=MUTANTS)
def test_a_mutant_is_caught(changes):
    assert caught("random_post", V4_14.with_rules("mutant", **changes)) >= 7


@without_compiler
@pytest.mark.parametrize("batch", [31, 64])
def test_another_batch_is_caught(batch):
    scenarios = [opening(s._replace(config={**s.config, "batch": batch})) for s in golden("random_post")]
    assert sum(bool(check_scenario(s, V4_14)[1]) for s in scenarios) == 14


@without_compiler
def test_a_mutant_that_is_no_other_rule_is_not_caught():
    def consume_without_guard(st, batch, cpu, memcg, nr_pages):
        entry = st.stock[cpu, 0]
        if entry.memcg == memcg and entry.nr_pages >= nr_pages:
            entry.nr_pages -= nr_pages
            return True
        return False

    assert caught("random_post", V4_14.with_rules("no guard", consume=consume_without_guard)) == 0


# --- one field wrong -------------------------------------------------------------------------------------------------
FIELDS = [
    *("ret", "usage", "max", "failcnt", "limit", "css", "sock", "sock_cpu", "stock", "rmw", "rmw_by"),
    *("ev_max", "ev_oom", "reclaim", "oom", "remote_works", "over_high", "high_work"),
]


@pytest.mark.parametrize("field", FIELDS)
def test_one_wrong_value_is_one_mismatch_that_names_scenario_operation_and_field(field):
    scenario = story("boundary_32_33", "stories_post")
    expected = [dict(row) for row in scenario.expected]
    right, expected[3][field] = expected[3][field], "wrong"
    fields, mismatches = check_scenario(scenario._replace(expected=expected), V4_14)
    assert mismatches == [("boundary_32_33", 3, field, "wrong", right)]
    assert fields == check_scenario(scenario, V4_14)[0]


def test_a_wrong_start_is_a_mismatch():
    scenario = story("boundary_32_33", "stories_post")
    state = {**scenario.state, "css": [0, 1]}
    assert check_scenario(scenario._replace(state=state), V4_14)[1] == [
        ("boundary_32_33", "start", "css", [0, 1], [0, 0])
    ]


def test_a_field_that_only_one_side_has_is_a_mismatch():
    scenario = story("boundary_32_33", "stories_post")
    expected = [dict(row) for row in scenario.expected]
    del expected[0]["css"]
    expected[1]["warn"] = 1
    assert check_scenario(scenario._replace(expected=expected), V4_14)[1] == [
        ("boundary_32_33", 0, "css", "no such field", scenario.expected[0]["css"]),
        ("boundary_32_33", 1, "warn", 1, "no such field"),
    ]


def test_an_operation_that_is_not_allowed_is_a_mismatch():
    scenario = opening(story("boundary_32_33", "stories_post"), 3)
    ops = scenario.ops.copy()
    ops["memcg"][1] = 9
    first = check_scenario(scenario._replace(ops=ops), V4_14)[1][0]
    assert first[:4] == ("boundary_32_33", 1, "op", "allowed")
    assert "memcg 9 does not exist" in first.got


@without_compiler
def test_a_scenario_brings_its_own_batch():
    config = {**story("boundary_32_33", "stories_post").config, "batch": 64}
    system = system_of(config, POLICIES["v4.14"])
    assert (system.policy.batch, system.policy.name) == (64, "v4.14, batch 64")
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    assert system.usage[1] == 64


# --- the stories, told by their numbers ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("file", "name", "atomics"),
    [
        ("stories_pre", "pingpong_same_cpu_depth1", 414),
        ("stories_post", "pingpong_same_cpu_depth1", 2),
        ("stories_pre", "producer_consumer_depth1", 414),
        ("stories_post", "producer_consumer_depth1", 26),
    ],
)
def test_200_pairs_cost_what_the_facts_say(file, name, atomics):
    rmw = story(name, file).expected[399]["rmw"]
    assert rmw["add"] + rmw["sub"] == atomics


def uncharge_to_the_counters_v6_1(st, batch, refill, drain, cpu, memcg, nr_pages):
    uncharge_v6_1(st, cpu, memcg, nr_pages)


# --- v6.1 ------------------------------------------------------------------------------------------------------------
def refill_whatever(st, batch, drain, cpu, memcg, nr_pages):
    """v6.1's refill with the cap one page early."""
    refill_stock_v6_1(st, batch, drain, cpu, memcg, nr_pages)
    if st.stock[cpu, 0].nr_pages >= batch:
        drain(st, cpu, 0, records.DRAIN_CAP)


def drain_but_remember_v6_1(st, cpu, slot, cause):
    owner = st.stock[cpu, slot].memcg
    drain_stock_v6_1(st, cpu, slot, cause)
    st.stock[cpu, slot].memcg = owner


MUTANTS_V6_1 = {
    "no cap": {"refill": refill_stock_v6_1},
    "cap at the batch": {"refill": refill_whatever},
    "remember the cgroup after a drain": {"drain": drain_but_remember_v6_1},
    "sockets past the stock": {"uncharge": uncharge_to_the_counters_v6_1},
    "batch 32": {"batch": 32},
}


@without_compiler
@pytest.mark.parametrize("changes", MUTANTS_V6_1.values(), ids=MUTANTS_V6_1)
def test_a_mutant_of_v6_1_is_caught(changes):
    mutant = V6_1.with_rules("mutant", **changes)
    scenarios = [opening(s._replace(config={**s.config, "batch": mutant.batch})) for s in golden("v6_1_random")]
    assert sum(bool(check_scenario(s, mutant)[1]) for s in scenarios) >= 10


@pytest.mark.parametrize(("name", "policy"), [("v6_1_stories", V4_14), ("stories_post", V6_1)])
def test_answers_of_another_charge_path_are_refused(name, policy):
    with pytest.raises(ValueError, match="its answers are those of v"):
        check_scenario(golden(name)[0], policy)


@without_compiler
@pytest.mark.parametrize("scenario", golden("v6_1_random"), ids=lambda scenario: scenario.config["name"])
def test_the_invariants_of_v6_1_hold_after_every_operation(scenario):
    system = system_of(scenario.config, V6_1)
    for k in range(len(scenario.ops)):
        system.replay(scenario.ops[k : k + 1])
        assert [rule for rule in system.invariants() if not rule.holds] == [], k
