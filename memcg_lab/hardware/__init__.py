"""Hardware: real atomics and real threads on the machine you sit at."""

from .counters import Run, run_threads
from .measure import measure
from .measurement import Measurement, read_measurement

__all__ = ["Measurement", "Run", "measure", "read_measurement", "run_threads"]
