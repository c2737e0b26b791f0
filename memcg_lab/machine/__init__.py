"""The machine: what the mechanism's answers cost on many CPUs. A model; what is measured and what is fitted is said."""

from .calibration import fit, mva
from .closed import closed_loop, predict_rows
from .layouts import FUNCTIONS, LAYOUTS, V4_13_LAYOUT, V5_12_LAYOUT, V6_1_LAYOUT, Layout
from .real import predict_threads, run_grid
from .run import Run, simulate
from .topology import TOPOLOGIES, Topology

__all__ = [
    "FUNCTIONS",
    "LAYOUTS",
    "TOPOLOGIES",
    "V4_13_LAYOUT",
    "V5_12_LAYOUT",
    "V6_1_LAYOUT",
    "Layout",
    "Run",
    "Topology",
    "closed_loop",
    "fit",
    "mva",
    "predict_rows",
    "predict_threads",
    "run_grid",
    "simulate",
]
