"""memcg-lab: one Linux patch, exact enough to believe and small enough to play with.

The names here are the vocabulary of the notebooks. Figures, labs and course functions are loaded when they are first
used, so that ``import memcg_lab`` stays quick.
"""

import importlib

from .golden import read_golden
from .mechanism.policy import CAP_ONLY, POLICIES, UNCHARGE_ONLY, V4_13, V4_14, V6_1, Policy
from .mechanism.records import OPS, op_dtype
from .mechanism.steps import STEPS
from .system import Invariant, StepLog, Stock, System, Work, op
from .workload import alternating, bulk, bursts, load_ops, mixed, pingpong, producer_consumer, rpc, save_ops, sizes

__version__ = "0.1.0"

_LATER = {
    "predict": "course",
    "reveal": "course",
    "check": "course",
    "check_environment": "course",
    "setup": "course",
    "data_path": "course",
    "golden_path": "course",
    "show_patch": "course",
    "show_rule": "course",
    "show_table": "course",
    "CostLab": "labs",
    "ContentionLab": "labs",
    "CounterLab": "labs",
    "DriftLab": "labs",
    "MeasureLab": "labs",
    "PatchLab": "labs",
    "ProfileLab": "labs",
    "StockLab": "labs",
    "TraceLab": "labs",
    "figures": "figures",
}

__all__ = [
    "CAP_ONLY",
    "OPS",
    "POLICIES",
    "STEPS",
    "UNCHARGE_ONLY",
    "V4_13",
    "V4_14",
    "V6_1",
    "Invariant",
    "Policy",
    "StepLog",
    "Stock",
    "System",
    "Work",
    "alternating",
    "bulk",
    "bursts",
    "load_ops",
    "mixed",
    "op",
    "op_dtype",
    "pingpong",
    "producer_consumer",
    "read_golden",
    "rpc",
    "save_ops",
    "sizes",
    "warm_up",
    *_LATER,
]


def warm_up():
    """Compile what the notebooks run, with a message, unless it is compiled already."""
    for policy in POLICIES.values():
        system = System.chain(depth=1, cpus=1, policy=policy)
        system.replay(pingpong(1))
        system.step_through(pingpong(1))
    from .machine import simulate

    for policy in (V4_13, V4_14):
        simulate(System.chain(depth=1, cpus=1, policy=policy), pingpong(1), duration_ns=1000)


def __getattr__(name):
    if name in _LATER:
        module = importlib.import_module(f"{__name__}.{_LATER[name]}")
        return module if name == _LATER[name] else getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LATER})
