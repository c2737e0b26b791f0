"""Labs: one class a lab, on one base class; a lab reads without a kernel too, as sentence, picture and table."""

from .base import Lab
from .contention import ContentionLab
from .cost import CostLab
from .counter import CounterLab
from .drift import DriftLab
from .measure import MeasureLab
from .patch import PatchLab
from .profile import ProfileLab
from .puzzle import PuzzleLab
from .stock import StockLab
from .trace import TraceLab

__all__ = [
    "ContentionLab",
    "CostLab",
    "CounterLab",
    "DriftLab",
    "Lab",
    "MeasureLab",
    "PatchLab",
    "ProfileLab",
    "PuzzleLab",
    "StockLab",
    "TraceLab",
]
