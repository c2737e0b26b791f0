"""Hardware: real atomics and real threads on the machine you sit at."""

from ..machine.measurement import Measurement, read_measurement
from .counters import Run, run_threads
from .measure import measure
from .predict import predict_threads, run_grid

__all__ = ["Measurement", "Run", "measure", "predict_threads", "read_measurement", "run_grid", "run_threads"]
