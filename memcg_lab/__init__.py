"""memcg-lab: one Linux patch, exact enough to believe and small enough to play with.

The names here are the vocabulary. Each is loaded when it is first used, so that ``import memcg_lab`` stays quick, and a
command that compiles nothing (``profile``) does without numba and its memory. The notebooks take theirs, and those of
the rooms they visit, in one line from :mod:`memcg_lab.notebook`.
"""

import importlib

from .labs import NAMES as _LABS

__version__ = "0.1.0"

_POLICIES = ("CAP_ONLY", "POLICIES", "UNCHARGE_ONLY", "V4_13", "V4_14", "V6_1", "Policy")
_SYSTEM = ("Invariant", "Stock", "System", "Work", "op")
_WORKLOAD = (
    *("alternating", "bulk", "bursts", "load_ops", "mixed", "pingpong", "producer_consumer", "rpc", "save_ops"),
    "sizes",
)

_LATER = {
    **dict.fromkeys(_POLICIES, "mechanism.policy"),
    **dict.fromkeys(("OPS", "op_dtype"), "mechanism.records"),
    "STEPS": "mechanism.steps",
    **dict.fromkeys(_SYSTEM, "system"),
    **dict.fromkeys(_WORKLOAD, "workload"),
    "StepLog": "history",
    "read_golden": "golden",
    "predict": "course",
    "quiz": "course",
    "reveal": "course",
    "room_code": "course",
    "check": "course",
    "check_environment": "course",
    "setup": "course",
    "warm_up": "warmup",
    "data_path": "files",
    "golden_path": "files",
    "show_patch": "course",
    "show_rule": "course",
    "show_table": "course",
    **dict.fromkeys(_LABS, "labs"),
    "figures": "figures",
}

__all__ = [*_LATER]


def __getattr__(name):
    if name in _LATER:
        module = importlib.import_module(f"{__name__}.{_LATER[name]}")
        return module if name == _LATER[name] else getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LATER})
