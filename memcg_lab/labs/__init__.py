"""Labs: one class a lab, on one base class; a lab reads without a kernel too, as sentence, picture and table."""

from .base import Lab
from .patch import PatchLab

__all__ = ["Lab", "PatchLab"]
