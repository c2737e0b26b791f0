"""Perf: profiles as text in, tables and comparisons out; and the simulated profile of a host that is not known.

The simulation is loaded when it is first used: who only reads profiles needs no compiled machine.
"""

from .compare import Comparison, compare, compare_table, print_comparison
from .read import read_perf

_SIMULATE = ("Host", "SimulatedTop", "explain", "one_package", "sensitivity", "simulate_top")

__all__ = ["Comparison", "compare", "compare_table", "print_comparison", "read_perf", *_SIMULATE]


def __getattr__(name):
    if name in _SIMULATE:
        from . import simulate

        return getattr(simulate, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
