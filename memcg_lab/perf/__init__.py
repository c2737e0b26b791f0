"""Perf: profiles as text in, tables and comparisons out; and the simulated profile of a host that is not known."""

from .compare import Comparison, compare, print_comparison
from .read import read_perf
from .simulate import Host, SimulatedTop, explain, one_socket, sensitivity, simulate_top

__all__ = [
    "Comparison",
    "Host",
    "SimulatedTop",
    "compare",
    "explain",
    "one_socket",
    "print_comparison",
    "read_perf",
    "sensitivity",
    "simulate_top",
]
