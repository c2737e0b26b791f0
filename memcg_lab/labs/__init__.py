"""Labs: one class a lab, on one base class; a lab reads without a kernel too, as sentence, picture and table."""

from .base import Lab
from .cost import CostLab
from .counter import CounterLab
from .drift import DriftLab
from .measure import MeasureLab
from .patch import PatchLab
from .profile import ProfileLab
from .stock import StockLab

__all__ = ["CostLab", "CounterLab", "DriftLab", "Lab", "MeasureLab", "PatchLab", "ProfileLab", "StockLab"]
