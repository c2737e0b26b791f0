"""Figures: one function a figure, one look for all; each returns picture, caption, sentence and data table."""

from ..history import record
from .answers import answers_by_guess
from .atomics import atomics_by_depth, atomics_by_level, atomics_over_ops, atomics_per_page
from .base import Figure
from .cache_lines import cache_lines
from .contention import measured_beside_models, throughput_over, time_by_function
from .drift import drift_bound
from .lanes import lanes
from .measured import measured_rules, predicted_runs
from .profile import profile_bars
from .profile_model import host_map, listing_beside
from .scores import score_sheet
from .series import giving_back
from .stocks import counter_and_stat, pages_over_ops, stocks_over_ops
from .traces import trace_window, what_if

__all__ = [
    "Figure",
    "answers_by_guess",
    "atomics_by_depth",
    "atomics_by_level",
    "atomics_over_ops",
    "atomics_per_page",
    "cache_lines",
    "counter_and_stat",
    "drift_bound",
    "giving_back",
    "host_map",
    "lanes",
    "listing_beside",
    "measured_beside_models",
    "measured_rules",
    "pages_over_ops",
    "predicted_runs",
    "profile_bars",
    "record",
    "score_sheet",
    "stocks_over_ops",
    "throughput_over",
    "time_by_function",
    "trace_window",
    "what_if",
]
