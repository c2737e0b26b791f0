"""The measuring lab: measure this machine with a button and a progress bar."""

import functools
import threading
from collections import namedtuple

import pandas as pd

from .. import figures
from ..checks import one_of, whole_number
from ..figures.measured import medians
from ..files import data_path
from ..hardware import measure
from ..machine import read_measurement
from ..words import count, number, printable
from .base import Lab, failed

BUNDLED = "hardware/2026-11-23-amd-epyc.json"
SECONDS_MIN, SECONDS_MAX = 2, 60
DEPTH, THREADS = 3, (2, 1)  # which pair the sentence tells; of the numbers of threads the first that was measured

WORDS = {
    "measuring": ("Measuring. Close what else is running; the first time the loops are compiled, a few seconds more."),
    "stopped": "Stopped before the first round was over, so there is nothing of yours to show. {shown}",
    "no python": "To measure your own CPU takes Python: open notebook 10, or run python -m memcg_lab measure.",
}

# How each is recognised is in stage/charts.js under its name. All of them take Python.
QUESTS = (
    {
        "name": "own",
        "ask": "Measure your own CPU.",
        "found": "On this CPU a pair takes {gain} times as long before the patch as after it.",
    },
    {
        "name": "levels",
        "ask": "Measure so well that, with 1 thread, each level costs more than the one above it.",
        "found": "Before the patch, level by level: {medians} ns.",
    },
    {
        "name": "again",
        "ask": "Measure twice, and get the same gain to a tenth.",
        "found": "{first} and {second} times as long: what you measure can be measured again.",
    },
)

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
        self._done = self._total = self._measured = 0
        self._news = ""  # what to say in the place of the sentence
        super().__init__(seconds=seconds)

    def check(self, settings):
        """See the base."""
        return {"seconds": whole_number("seconds", settings["seconds"], SECONDS_MIN, SECONDS_MAX)}

    def compute(self, settings):
        """See the base."""
        return Result(self.measurement or bundled(), self.measurement is not None)

    @property
    def message(self):
        """What the status line says."""
        return self._news or super().message

    def data(self):
        """See the base."""
        return {"low": SECONDS_MIN, "most": SECONDS_MAX, "quests": QUESTS, "words": WORDS, "now": self._now()}

    def answer(self, question):
        """What the front end asks: to start, to stop, or how far it is."""
        ask = one_of("ask", question["ask"], ("start", "stop", "progress"))
        if ask == "start":
            self.set(seconds=question["seconds"])
            self.start()
        elif ask == "stop":
            self.stop()
        return self._now()

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
    @property
    def running(self):
        """True while it measures."""
        return self._thread is not None and self._thread.is_alive()

    def start(self):
        """Begin to measure, in the background; while it runs a second start does nothing."""
        if self.running:
            return
        self._stop.clear()
        self._done = self._total = 0
        self._news = WORDS["measuring"]
        self._thread = threading.Thread(target=self._measure, daemon=True)
        self._thread.start()

    def stop(self):
        """Stop, and keep what was measured."""
        self._stop.set()

    def _measure(self):
        try:
            self.measurement = measure(seconds=self.settings()["seconds"], progress=self._progress, stop=self._stop)
            self.result = self.compute(self.settings())
            self._measured += 1
            self._news = ""
        except Exception as error:
            stopped = self._stop.is_set() and isinstance(error, ValueError)
            self._news = WORDS["stopped"].format(shown=self.sentence()) if stopped else failed(error)

    def _progress(self, done, total):
        self._done, self._total = done, total

    def _now(self):
        """What the front end shows: how far it is, the sentence, the medians and the table."""
        table = medians(self.result.measurement)
        bars = [
            [
                int(threads),
                int(depth),
                *(None if row.get(name) != row.get(name) else row.get(name) for name in ("before", "after")),
            ]
            for (threads, depth), row in table.iterrows()
        ]
        numbers = self.table()
        return {
            "running": self.running,
            "mine": self._measured,  # how often it has measured
            "gain": gain(self.result.measurement),
            "done": self._done,
            "total": self._total,
            "sentence": self.message,
            "alt": figures.measured_rules(self.result.measurement).sentence if not self.running else "",
            "bars": bars,
            "head": ["ns", *numbers.columns],
            "rows": [[name, *map(str, row)] for name, row in zip(numbers.index, numbers.to_numpy().tolist())],
        }


def gain(measurement):
    """How many times as long a pair takes before the patch, as the sentence has it; None if that was not measured."""
    told = (measurement.speedup(depth=DEPTH, threads=threads) for threads in THREADS)
    return next((speedup for speedup in told if speedup is not None), None)


def measured_words(measurement, mine):
    """Whose measurement it is, what it says in one sentence, and what it warns of."""
    machine = measurement["machine"]
    whose = "Your measurement" if mine else f"This is the bundled measurement of {measurement['date']}"
    parts = [f"{whose}, {printable(machine['model'])}, {count(machine['cpus'], 'CPU')}."]
    for threads in THREADS:
        speedup = measurement.speedup(depth=DEPTH, threads=threads)
        if speedup is not None:
            parts.append(
                f"A pair at depth {DEPTH} with {count(threads, 'thread')} takes {number(speedup, 2)} times as long "
                "before the patch as after it."
            )
            break
    parts += map(printable, measurement["warnings"])
    return " ".join(parts)
