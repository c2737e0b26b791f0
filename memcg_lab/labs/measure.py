"""The measuring lab: measure this machine with a start button, a progress bar and a stop button."""

import functools
import threading
from collections import namedtuple

import ipywidgets as W
import pandas as pd

from .. import figures
from ..files import data_path
from ..hardware import measure
from ..machine import read_measurement
from ..words import count, number, printable
from .boxes import Lab, failed, whole_number_box

BUNDLED = "hardware/2026-11-23-amd-epyc.json"

Result = namedtuple("Result", "measurement mine")


@functools.cache
def bundled():
    """The measurement that comes with the collection."""
    return read_measurement(data_path(BUNDLED))


class MeasureLab(Lab):
    """Measure the CPU this runs on. Until you press start it shows a measurement that comes with the collection.

    Parameters
    ----------
    seconds : int
        How long to measure, 2 to 60; compiling comes on top, once.

    Attributes
    ----------
    measurement : Measurement or None
        Yours, once it is done.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Examples
    --------
    >>> print(MeasureLab().message.split(".")[0])
    This is the bundled measurement of 2026-11-23, AMD EPYC, 2 CPUs
    """

    def __init__(self, *, seconds=10):
        self.measurement = None
        self._stop = threading.Event()
        self._thread = None
        self.bar = W.IntProgress(min=0, max=1, description="", layout=W.Layout(width="16em"))
        self.start = self.button("Start", self._begin, "Measure this machine")
        self.stop = self.button("Stop", self._end, "Stop and keep what was measured")
        self.stop.disabled = True
        super().__init__(seconds=seconds)

    def make_controls(self, seconds):
        """See the class."""
        return {"seconds": whole_number_box("seconds", seconds, 2, 60, "Seconds, 2 to 60:", "16em")}

    def rows(self):
        """See the base."""
        return [
            W.HBox([self.controls["seconds"], self.start, self.stop, self.bar], layout=W.Layout(flex_flow="row wrap"))
        ]

    def compute(self, settings):
        """See the base."""
        mine = getattr(self, "measurement", None)
        return Result(mine or bundled(), mine is not None)

    def picture_of(self, settings):
        """The picture changes only with the measurement."""
        return id(self.measurement)

    def sentence(self, result=None):
        """Whose measurement it is, and how far before and after lie apart."""
        result = result or self.result
        return measured_words(result.measurement, result.mine)

    def table(self, result=None):
        """The figures, one a row, in nanoseconds."""
        measurement = (result or self.result).measurement
        rows = [("plain add", measurement["local"]["plain_add"]), ("atomic add", measurement["local"]["atomic"])]
        rows += [(f"a line, one way, {name}", stat) for name, stat in measurement["transfer"].items()]
        rows += [
            (f"atomic add, {count(row['threads'], 'thread')} on one word", row["ns"])
            for row in measurement["contended"]
        ]
        rows += [
            (
                f"a pair, {figures.measured.POLICIES[row['policy']]}, depth {row['depth']}, "
                + count(row["threads"], "thread")
                + ("" if row["padded"] else ", unpadded"),
                row["ns"],
            )
            for row in measurement["rules"]
        ]
        known = [(name, stat) for name, stat in rows if stat is not None]
        return pd.DataFrame([stat for _, stat in known], index=pd.Index([name for name, _ in known], name="ns"))

    def figure(self, result=None):
        """The rules by depth."""
        return figures.measured_rules((result or self.result).measurement)

    # --- measuring --------------------------------------------------------------------------------------------------
    def _begin(self):
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        self.start.disabled, self.stop.disabled = True, False
        self.bar.value = 0
        self.say("Measuring. Close what else is running; the first time the loops are compiled, a few seconds more.")
        self._thread = threading.Thread(target=self._measure, daemon=True)
        self._thread.start()

    def _end(self):
        self._stop.set()

    def _measure(self):
        try:
            self.measurement = measure(seconds=self.seconds.value, progress=self._progress, stop=self._stop)
            self._update()
        except Exception as error:
            self.say(failed(error))
        finally:
            self.start.disabled, self.stop.disabled = False, True

    def _progress(self, done, total):
        self.bar.max, self.bar.value = total, done


def measured_words(measurement, mine):
    """Whose measurement it is, what it says in one sentence, and what it warns of."""
    machine = measurement["machine"]
    whose = "Your measurement" if mine else f"This is the bundled measurement of {measurement['date']}"
    parts = [f"{whose}, {printable(machine['model'])}, {count(machine['cpus'], 'CPU')}."]
    for threads in (2, 1):
        speedup = measurement.speedup(depth=3, threads=threads)
        if speedup is not None:
            parts.append(
                f"A pair at depth 3 with {count(threads, 'thread')} takes {number(speedup, 2)} times as long before "
                "the patch as after it."
            )
            break
    parts += map(printable, measurement["warnings"])
    return " ".join(parts)
