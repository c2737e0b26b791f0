"""Labs: one class a lab, on one base class; a lab reads without a kernel too, as sentence, picture and table.

Here their names stand, for the vocabulary and the notebooks too. The class ``PatchLab`` is that of ``patch.py``; it is
loaded when it is first used.
"""

import importlib

NAMES = (
    "ContentionLab",
    "CostLab",
    "CounterLab",
    "DriftLab",
    "MeasureLab",
    "PatchLab",
    "ProfileLab",
    "PuzzleLab",
    "RoomLab",
    "StockLab",
    "TraceLab",
)

__all__ = ["Lab", *NAMES]


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "base" if name == "Lab" else name.removesuffix("Lab").lower()
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
