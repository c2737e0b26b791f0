"""The kernels that go to the web: how each is made, with arguments that show their types."""

from collections import namedtuple

import numpy as np

from ..machine import run
from ..machine.cache_lines import V4_13_LAYOUT
from ..machine.coherence import Stop, bind_machine
from ..machine.topology import DEFAULT
from ..mechanism import steps
from ..mechanism.policy import POLICIES, bind
from ..system import System
from ..workload import pingpong

# returns: names of what a kernel answers, each an int64.
Kernel = namedtuple("Kernel", "dispatcher parameters example returns")

KINDS = {
    "replay": "a stream of operations",
    "steps": "the same, with a step log",
    "machine": "the CPUs of a machine at the same time",
    "events": "the same, with a record of each touch of a cache line and of when each operation begins",
}


def names():
    """Every kernel of the web, by kind and policy."""
    return [(kind, policy) for policy in POLICIES for kind in KINDS]


def file_stem(kind, policy):
    """What the files of a kernel are called: ``steps-v4.13-cap-hunk``."""
    return "-".join([kind, *policy.replace("+", " ").split()])


def kernel(kind, policy):
    """One kernel: the compiled function, not compiled yet, and an example of its arguments.

    Parameters
    ----------
    kind : str
        One of ``KINDS``.
    policy : str
        A name in ``POLICIES``.

    Returns
    -------
    Kernel

    Examples
    --------
    >>> kernel("replay", "v4.14").returns
    ('done', 'reason', 'allowed')
    """
    rule = POLICIES[policy]
    system, ops = System.chain(depth=1, cpus=1, policy=rule), pingpong(1)
    if kind in ("replay", "steps"):
        log = np.zeros(1, steps.step_dtype) if kind == "steps" else None
        example = system.mechanism_state(log), ops, True
        return Kernel(bind(rule), ("state", "ops", "refuse"), example, ("done", "reason", "allowed"))
    machine = run.lay_out(
        system,
        ops,
        np.zeros(len(ops), np.int64),
        spread=run.spread("fixed"),
        topology=DEFAULT,
        layout=V4_13_LAYOUT,
        lock="atomic",
        repeat=True,
        seed=1,
        record=int(kind == "events"),
    )
    return Kernel(bind_machine(rule), ("machine", "until"), (machine, 1), Stop._fields)
