"""The replay ends where the same rules in plain Python end, bit by bit: the twin that the benchmark times is a twin."""

import numpy as np
import pytest

from lab_helpers import both_policies, rough_stream, rough_system
from memcg_lab import V4_14
from tests.reference import plain_python


def plain(system, ops, machine_class=plain_python.Machine):
    """(what plain Python answers, the arrays it ends in), from the state that the system has now."""
    machine = machine_class(system._arrays, system.root, system.policy.batch, system.policy.capped)
    return plain_python.replay(machine, ops.tolist(), False), machine.arrays(system._arrays)


def differing(system, found):
    return [name for name, array in system._arrays.items() if not np.array_equal(array, found[name])]


@both_policies
@pytest.mark.parametrize("seed", range(8))
def test_every_array_is_that_of_plain_python(policy, seed):
    system, ops = rough_system(policy), rough_stream(seed, 400, cpus=3, memcgs=5)
    (done, reason, _), found = plain(system, ops)
    assert (done, reason) == (400, 0)
    system.replay(ops)
    assert differing(system, found) == []


def test_a_twin_without_the_cap_differs():
    class Uncapped(plain_python.Machine):
        def __init__(self, *state):
            super().__init__(*state)
            self.cap = False

    system, ops = rough_system(V4_14), rough_stream(1, 400, cpus=3, memcgs=5)
    _, found = plain(system, ops, Uncapped)
    system.replay(ops)
    assert {"counter", "work"} <= {*differing(system, found)}
