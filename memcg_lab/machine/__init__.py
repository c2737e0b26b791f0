"""The machine: what the mechanism's answers cost on many CPUs. A model; what is measured and what is fitted is said."""

from .layouts import FUNCTIONS, LAYOUTS, V4_13_LAYOUT, V5_12_LAYOUT, V6_1_LAYOUT, Layout
from .run import Run, simulate
from .topology import TOPOLOGIES, Topology
