"""What must hold whatever happens: one random history under both rules, checked after every step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lab_helpers import arrays_of, broken, rough_stream
from memcg_lab import V4_13, V4_14, System, mixed
from memcg_lab.mechanism.records import PAGE_COUNTER_MAX

PARENTS = [-1, 0, 1, 1, 0]
CPUS = 3
ENOMEM = -12

a_cpu = st.integers(0, CPUS - 1)
a_memcg = st.integers(1, len(PARENTS) - 1)
pages = st.one_of(st.integers(1, 4), st.integers(28, 36), st.integers(1, 200))
contexts = st.sampled_from(["softirq", "task"])


def held(system, name, memcg):
    return int(system._arrays["memcg"][name][memcg])


class BothRules(RuleBasedStateMachine):
    """The same operations before and after the patch."""

    def __init__(self):
        super().__init__()
        self.before = System(PARENTS, cpus=CPUS, policy=V4_13)
        self.after = System(PARENTS, cpus=CPUS, policy=V4_14)
        self.both = (self.before, self.after)

    # --- what happens
    @rule(cpu=a_cpu, memcg=a_memcg, nr_pages=pages, ctx=contexts)
    def charge_skmem(self, cpu, memcg, nr_pages, ctx):
        for system in self.both:
            system.charge_skmem(cpu=cpu, memcg=memcg, nr_pages=nr_pages, ctx=ctx)

    @rule(cpu=a_cpu, memcg=a_memcg, share=st.integers(1, 3))
    def uncharge_skmem(self, cpu, memcg, share):
        nr_pages = held(self.before, "sock_held", memcg) // share
        for system in self.both if nr_pages else ():
            system.uncharge_skmem(cpu=cpu, memcg=memcg, nr_pages=nr_pages)

    @rule(cpu=a_cpu, memcg=a_memcg, nr_pages=pages, ctx=contexts)
    def try_charge(self, cpu, memcg, nr_pages, ctx):
        for system in self.both:
            earlier = system.copy()
            answer = system.try_charge(cpu=cpu, memcg=memcg, nr_pages=nr_pages, ctx=ctx)
            assert answer in (0, ENOMEM)
            if answer == 0:
                assert held(system, "held", memcg) == held(earlier, "held", memcg) + nr_pages
                continue
            # A task may have drained stocks on its way; nothing else may have changed.
            drained = system.work().pages_drained - earlier.work().pages_drained
            assert ctx == "task" or drained == 0
            tops = [m for m, parent in enumerate(PARENTS) if parent == -1]
            assert system.usage[tops].sum() == earlier.usage[tops].sum() - drained
            assert sum(system.snapshot()["css"]) == sum(earlier.snapshot()["css"]) - drained
            assert system._arrays["memcg"]["held"].tolist() == earlier._arrays["memcg"]["held"].tolist()
            if drained == 0:
                assert system.usage.tolist() == earlier.usage.tolist()
                assert [s.nr_pages for s in system.stock] == [s.nr_pages for s in earlier.stock]

    @rule(cpu=a_cpu, memcg=a_memcg, share=st.integers(1, 3))
    def cancel_charge(self, cpu, memcg, share):
        nr_pages = min(held(system, "held", memcg) for system in self.both) // share
        for system in self.both if nr_pages else ():
            system.cancel_charge(cpu=cpu, memcg=memcg, nr_pages=nr_pages)

    @rule(cpu=a_cpu)
    def drain_local_stock(self, cpu):
        for system in self.both:
            system.drain_local_stock(cpu=cpu)
            assert system.stock[cpu] == (-1, 0)

    @rule(cpu=a_cpu, memcg=st.integers(0, len(PARENTS) - 1))
    def drain_all_stock(self, cpu, memcg):
        for system in self.both:
            system.drain_all_stock(cpu=cpu, memcg=memcg)

    @rule(cpu=a_cpu)
    def cpu_dead(self, cpu):
        for system in self.both:
            system.cpu_dead(cpu=cpu)

    @rule(cpu=a_cpu, memcg=a_memcg, limit=st.one_of(st.just(-1), st.integers(0, 300)), how=st.sampled_from("lm"))
    def write_a_limit(self, cpu, memcg, limit, how):
        for system in self.both:
            usage = system.usage[memcg]
            if how == "l":
                refused = system.set_limit(cpu=cpu, memcg=memcg, nr_pages=limit) != 0
                assert refused == (limit != -1 and usage > limit)
            else:
                system.set_max(cpu=cpu, memcg=memcg, nr_pages=limit)
                assert system.snapshot()["limit"][memcg] == (PAGE_COUNTER_MAX if limit == -1 else limit)

    @precondition(lambda self: self.before.work().add)
    @rule(cpu=a_cpu)
    def a_copy_goes_its_own_way(self, cpu):
        for system in self.both:
            twin = system.copy()
            assert system.compare(twin) == []
            before = arrays_of(system)
            twin.charge_skmem(cpu=cpu, memcg=1, nr_pages=1)
            assert arrays_of(system) == before
            assert system.compare(twin) != []

    # --- what holds
    @invariant()
    def pages_and_references_are_conserved(self):
        for system in self.both:
            assert broken(system) == []

    @invariant()
    def a_stock_stays_within_its_bound(self):
        for system, bound in ((self.before, 31), (self.after, 32)):
            assert all(0 <= stock.nr_pages <= bound for stock in system.stock)
            assert all(stock.memcg != 0 for stock in system.stock)

    @invariant()
    def sock_is_the_same_before_and_after(self):
        assert self.before.sock.tolist() == self.after.sock.tolist()
        assert self.before.snapshot()["sock_cpu"] == self.after.snapshot()["sock_cpu"]

    @invariant()
    def the_counter_is_never_above_use_by_more_than_all_stocks(self):
        for system, bound in ((self.before, 31), (self.after, 32)):
            in_use = system._arrays["memcg"]["held"].sum() + system._arrays["memcg"]["sock_held"].sum()
            assert 0 <= system.usage[0] - in_use <= bound * CPUS

    @invariant()
    def a_watermark_is_at_least_usage(self):
        for system in self.both:
            state = system.snapshot()
            assert all(high >= usage for high, usage in zip(state["max"], state["usage"], strict=True))

    def teardown(self):
        """Everything given back and drained: nothing is left."""
        for system in self.both:
            for memcg in range(1, len(PARENTS)):
                for name, give_back in (("sock_held", system.uncharge_skmem), ("held", system.cancel_charge)):
                    if held(system, name, memcg):
                        give_back(cpu=memcg % CPUS, memcg=memcg, nr_pages=held(system, name, memcg))
            system.drain_all_stock(cpu=0, memcg=0)
            state = system.snapshot()
            assert state["usage"] == state["css"] == state["sock"] == [0] * len(PARENTS)
            assert [stock.nr_pages for stock in system.stock] == [0] * CPUS


TestBothRules = BothRules.TestCase


seeds = st.integers(0, 2**63)


@given(seeds)
def test_after_any_traffic_only_the_stocks_are_left(seed):
    for policy in (V4_13, V4_14):
        system = System(PARENTS, cpus=CPUS, policy=policy)
        system.replay(mixed(80, cpus=CPUS, memcgs=[1, 2, 3, 4], in_flight=15, seed=seed))
        assert system.usage[0] == sum(stock.nr_pages for stock in system.stock)
        for cpu in range(CPUS):
            system.drain_local_stock(cpu=cpu)
        assert system.usage.tolist() == system.snapshot()["css"] == [0] * len(PARENTS)


@given(seeds)
def test_each_level_pays_as_many_atomics_as_the_levels_below_it_together(seed):
    for policy in (V4_13, V4_14):
        system = System(PARENTS, cpus=CPUS, policy=policy)
        system.replay(mixed(80, cpus=CPUS, memcgs=[2, 3, 4], in_flight=15, seed=seed))
        rmw = system.atomics_by_memcg()
        assert rmw[0] == rmw[1] + rmw[4]
        assert rmw[1] == rmw[2] + rmw[3]


@given(seeds, st.integers(0, 60))
def test_a_stream_can_be_cut_anywhere(seed, cut):
    ops = rough_stream(seed, 60, cpus=CPUS, memcgs=5)
    whole, parts = (System(PARENTS, cpus=CPUS, underflow="record") for _ in range(2))
    whole.replay(ops)
    parts.replay(ops[:cut])
    parts.replay(ops[cut:])
    assert arrays_of(whole) == arrays_of(parts)


@given(seeds)
def test_writing_a_log_changes_nothing(seed):
    ops = rough_stream(seed, 60, cpus=CPUS, memcgs=5)
    for policy in (V4_13, V4_14):
        plain, logged = (System(PARENTS, cpus=CPUS, policy=policy, underflow="record") for _ in range(2))
        work = plain.replay(ops)
        log = logged.step_through(ops)
        assert arrays_of(plain) == arrays_of(logged)
        assert log.atomics() == work.atomics


@given(seeds, st.integers(0, 59))
def test_a_refused_stream_leaves_no_trace(seed, place):
    system = System(PARENTS, cpus=CPUS, underflow="record")
    system.replay(rough_stream(seed, 20, cpus=CPUS, memcgs=5))
    before = arrays_of(system)
    ops = rough_stream(seed + 1, 60, cpus=CPUS, memcgs=5)
    ops["cpu"][place] = CPUS
    with pytest.raises(ValueError, match=f"^op {place} of 60 "):
        system.replay(ops)
    assert arrays_of(system) == before
    assert np.array_equal(ops["cpu"] == CPUS, np.arange(60) == place)
