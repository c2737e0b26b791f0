"""Perf: profiles as text in, tables and comparisons out."""

from .compare import Comparison, compare, print_comparison
from .read import read_perf

__all__ = ["Comparison", "compare", "print_comparison", "read_perf"]
