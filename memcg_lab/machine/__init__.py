"""The machine: what the mechanism's answers cost on many CPUs. A model; what is measured and what is fitted is said."""

from .cache_lines import FUNCTIONS, LAYOUTS, V4_13_LAYOUT, V5_12_LAYOUT, V6_1_LAYOUT, Layout
from .calibration import fit, mva
from .closed import closed_loop
from .measurement import Measurement, read_measurement
from .rows import predict_rows
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
    "Measurement",
    "Run",
    "Topology",
    "closed_loop",
    "fit",
    "mva",
    "predict_rows",
    "read_measurement",
    "simulate",
]
