"""What the notebooks use, in one line: ``from memcg_lab.notebook import *``.

numpy and pandas come with it, as ``np`` and ``pd``: the library has loaded both by then, so they cost nothing, and most
notebooks use one of them. A lab is loaded when it is first opened: its widgets take time, and not every notebook opens
one. Scripts take single names from :mod:`memcg_lab`.
"""

import inspect

import numpy as np
import pandas as pd

from . import figures, labs
from .course import (
    check,
    check_environment,
    data_path,
    golden_path,
    predict,
    quiz,
    reveal,
    setup,
    show_patch,
    show_rule,
    show_table,
)
from .course.capstone import hand_in, hold, score_sheet, what_it_scores
from .golden import check_scenario, read_golden
from .hardware import predict_threads, read_measurement, run_grid, run_threads
from .hardware.host import ordered_cpus
from .host.cgroupfs import RECORDED, observe, read_samples
from .machine import (
    FUNCTIONS,
    LAYOUTS,
    TOPOLOGIES,
    V4_13_LAYOUT,
    V6_1_LAYOUT,
    Topology,
    closed_loop,
    mva,
    predict_rows,
    simulate,
)
from .mechanism.policy import CAP_ONLY, UNCHARGE_ONLY, V4_13, V4_14, V6_1
from .perf import Host, compare, explain, one_package, read_perf, sensitivity, simulate_top
from .system import System, op
from .traces.check import check_trace, trace_policy
from .traces.text import read_rows
from .traces.what_if import what_if
from .workload import alternating, bulk, mixed, pingpong, producer_consumer, tcp_data_queue, udp_enqueue


class _Lab:
    # Stands for a class of labs/ until somebody calls it or asks what it takes.

    def __init__(self, name):
        self._name = name

    @property
    def _class(self):
        return getattr(labs, self._name)

    __doc__ = property(lambda self: self._class.__doc__)
    __signature__ = property(lambda self: inspect.signature(self._class))

    def __call__(self, *args, **settings):
        return self._class(*args, **settings)


globals().update({name: _Lab(name) for name in labs.NAMES})

__all__ = [
    "CAP_ONLY",
    "FUNCTIONS",
    "Host",
    "LAYOUTS",
    "RECORDED",
    "System",
    "TOPOLOGIES",
    "Topology",
    "UNCHARGE_ONLY",
    "V4_13",
    "V4_13_LAYOUT",
    "V4_14",
    "V6_1",
    "V6_1_LAYOUT",
    "alternating",
    "bulk",
    "check",
    "check_environment",
    "check_scenario",
    "check_trace",
    "closed_loop",
    "compare",
    "data_path",
    "explain",
    "figures",
    "golden_path",
    "hand_in",
    "hold",
    "mixed",
    "mva",
    "np",
    "observe",
    "one_package",
    "op",
    "ordered_cpus",
    "pd",
    "pingpong",
    "predict",
    "predict_rows",
    "predict_threads",
    "producer_consumer",
    "quiz",
    "read_golden",
    "read_measurement",
    "read_perf",
    "read_rows",
    "read_samples",
    "reveal",
    "run_grid",
    "run_threads",
    "score_sheet",
    "sensitivity",
    "setup",
    "show_patch",
    "show_rule",
    "show_table",
    "simulate",
    "simulate_top",
    "tcp_data_queue",
    "trace_policy",
    "udp_enqueue",
    "what_if",
    "what_it_scores",
    *labs.NAMES,
]
