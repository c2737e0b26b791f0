"""What the labs share that stand on the stage: machines, a tree, traffic, and a cursor in it."""

import functools
import inspect
from collections import namedtuple

import numpy as np
import pandas as pd

from .. import figures
from ..checks import flag, one_of, whole_number
from ..history import History
from ..machine.run import Stopped
from ..mechanism.records import op_dtype
from ..system import Refusal, System
from ..words import number
from . import at_once
from .base import Lab
from .stage import data as stage

# short: beside a line; when: in a sentence, "1,240 ns before"
Machine = namedtuple("Machine", "name title version policy short when", defaults=("", ""))
Whole = namedtuple("Whole", "name key label low high")  # a setting that shapes the tree; key: its name in a link
Traffic = namedtuple("Traffic", "cgroups ops")  # ops: as stage.listed has them; or for each number of CPUs such a list
# A History of each machine shown; the first leaf; an AtOnce of each, if all CPUs run at once.
Result = namedtuple("Result", "settings pasts names first once", defaults=(None,))


@functools.lru_cache(maxsize=64)
def run(policy, tree, limits, ops):
    """The history of a stream, given by its bytes, on one machine."""
    parents, cpus = tree
    return History(System(parents, cpus=cpus, policy=policy, limits=limits), stage.np.frombuffer(ops, op_dtype).copy())


class StageLab(Lab):
    """A lab on the stage. A subclass says its machines, its settings, its traffic, its chart and its quests.

    Attributes
    ----------
    machines : tuple of Machine
        Each runs every operation.
    sides : tuple of tuple of int
        What may stand on each side: numbers of machines. One side or two.
    choice : tuple, optional
        The setting that chooses the machine of the last side, and its values in the order of that side.
    numbers : tuple of Whole
        The settings that shape the tree.
    fixed : dict
        Of ``depth``, ``cgroups``, ``cpus`` what is no setting.
    traffic : dict of str to Traffic
    chart : dict
        ``value``: what of a state the chart shows; ``label`` and ``short``; ``bound``.
    hand : tuple of (str, str, int)
        What the reader's own charges and returns are, and their context.
    quests : tuple of dict
        How each is recognised from the log is in ``stage.js`` under its name.
    lines : bool
        Whether the changed lines of the patch stand below the machines.
    jump : str
        Where the button next to "Step" goes: ``"drain"``, ``"refusal"`` or ``"trip"``.
    users : (str, str)
        What has the pages that a leaf has in use, one leaf's and several.
    title : str
        What the stage is, for whoever does not see it.
    """

    choice = None
    fixed = {}
    hand = "charge_skmem", "uncharge_skmem", 1
    lines = True
    jump = "drain"
    users = "socket", "sockets"
    title = "One traffic on two machines"

    # --- what a subclass may say otherwise --------------------------------------------------------------------------
    def check(self, settings):
        """See the base."""
        checked = {}
        for name, value in settings.items():
            number = next((number for number in self.numbers if number.name == name), None)
            if number:
                checked[name] = whole_number(name, value, number.low, number.high)
            elif name == "traffic":
                checked[name] = one_of(name, value, (*self.traffic, stage.EMPTY))
            elif self.choice and name == self.choice[0]:
                flags = self.choice[1] == (True, False)
                checked[name] = flag(name, value) if flags else one_of(name, value, self.choice[1])
            else:
                checked[name] = value
        depth, cgroups, _ = self._sizes(checked)
        if "limit_level" in checked:
            whole_number("limit_level", checked["limit_level"], 0, depth)
        needed = 1 if checked["traffic"] == stage.EMPTY else self.traffic[checked["traffic"]].cgroups
        if cgroups < needed:
            raise ValueError(f"cgroups is {cgroups}; the traffic {checked['traffic']!r} needs {needed}.")
        checked["fork"] = whole_number("fork", checked["fork"], 0, len(self._given(checked)))
        stage.unpack(checked["own"], self.hand, self._sizes(checked))
        if "position" in checked:
            checked["position"] = whole_number("position", settings["position"], 0, len(self.rows(checked)))
        if checked["at_ns"] is not None:
            end = at_once.end_ns(self.compute(checked).once)
            checked["at_ns"] = whole_number("at_ns", checked["at_ns"], 0, end)
        return checked

    def compute(self, settings):
        """See the base."""
        depth, cgroups, cpus = self._sizes(settings)
        parents, names = tuple(stage.parents(depth, cgroups)), stage.names(depth, cgroups)
        ops, limits = self.stream(settings), self._limits(settings, depth + cgroups)
        policies = [self.machines[i].policy for i in self.shown(settings)]
        if settings["at_ns"] is not None:
            once = _at_once(policies, (parents, cpus), limits, ops, names)
            return Result(settings, [one.history for one in once], names, depth, once)
        pasts = [run(policy, (parents, cpus), limits, ops.tobytes()) for policy in policies]
        return Result(settings, pasts, names, depth)

    def beside(self):
        """See the base: where the reader is, if that is no setting."""
        settings = self.settings()
        return {} if "position" in settings else {"position": len(self.rows(settings))}

    # --- settings ---------------------------------------------------------------------------------------------------
    def shown(self, settings):
        """The numbers of the machines that stand on the sides."""
        last = self.sides[-1][self.choice[1].index(settings[self.choice[0]]) if self.choice else 0]
        rest = [i for i in self.sides[-1] if i != last]
        return [*(side[0] for side in self.sides[:-1]), last, *rest][: settings.get("pictures", len(self.sides))]

    def rows(self, settings):
        """The operations, as lists: the traffic's, or ``fork`` of them and then the reader's own."""
        if not settings["own"]:
            return self._given(settings)
        return [
            *self._given(settings)[: settings["fork"]],
            *stage.unpack(settings["own"], self.hand, self._sizes(settings)),
        ]

    def given(self, settings):
        """The operations of the traffic, as lists."""
        ops = self.traffic[settings["traffic"]].ops
        return ops[self._sizes(settings)[2]] if isinstance(ops, dict) else ops

    def _given(self, settings):
        return [] if settings["traffic"] == stage.EMPTY else self.given(settings)

    def stream(self, settings):
        """The operations of the traffic in the tree of these settings."""
        limit = settings.get("limit", 0)
        rows = [
            [code, cpu, leaf, nr + limit * sum(more), ctx] for code, cpu, leaf, nr, ctx, *more in self.rows(settings)
        ]
        return stage.stream(rows, self._sizes(settings)[0])

    def _sizes(self, settings):
        return [settings.get(name, self.fixed.get(name)) for name in ("depth", "cgroups", "cpus")]

    def _limits(self, settings, memcgs):
        if "limit_level" not in settings:
            return None
        return tuple(settings["limit"] if m == settings["limit_level"] else -1 for m in range(memcgs))

    # --- what a reader sees -----------------------------------------------------------------------------------------
    def sentence(self, result=None):
        """What the operation at the cursor did on each machine, and the sums so far; or the moment at the cursor."""
        result = result or self.result
        if result.once:
            machines = [stage.machine(*self.machines[i]) for i in self.shown(result.settings)]
            return at_once.sentence(result.once, result.settings["at_ns"], result.names, machines)
        labels = [self.machines[i].name for i in self.shown(result.settings)]
        return stage.sentence(result.pasts, result.settings["position"], result.names, labels)

    def table(self, result=None):
        """The machines at the cursor, one number a row."""
        result = result or self.result
        labels, at = [self.machines[i].name for i in self.shown(result.settings)], result.settings["at_ns"]
        if result.once:
            columns = at_once.table(result.once, at, result.names, result.first)
            called = stage.WORDS["once cursor"].format(at=number(at))
        else:
            places = [result.settings["position"]] * len(labels)
            columns = stage.table(result.pasts, places, result.names, result.first)
            called = "after the operation at the cursor"
        return pd.DataFrame(dict(zip(labels, columns, strict=True))).rename_axis(called)

    def figure(self, result=None):
        """What each CPU does around the cursor, all at once; a subclass draws operations one after the other."""
        result = result or self.result
        labels, at = [self.machines[i].name.lower() for i in self.shown(result.settings)], result.settings["at_ns"]
        bars = {label: at_once.bars(one, result.names) for label, one in zip(labels, result.once, strict=True)}
        return figures.lanes(bars, self._sizes(result.settings)[2], at_ns=at, window_ns=at_once.WINDOW_NS)

    def told(self):
        """See the base: what is as it was given need not be told."""
        return {name: value for name, value in self.settings().items() if self._plain().get(name) != value}

    def _first(self):
        signature = inspect.signature(type(self).__init__).parameters.values()
        return {one.name: one.default for one in signature if one.name != "self"}

    def _plain(self):
        plain = {"fork": 0, "own": "", "pictures": len(self.sides), "at_ns": None}
        return {name: value for name, value in plain.items() if name in self.settings()}

    # --- the front end ----------------------------------------------------------------------------------------------
    def data(self):
        """See the base."""
        first, last, context = self.hand
        return {
            **stage.common(),
            **(stage.patch_lines() if self.lines else {"lines": [], "line_rules": [], "cap_lines": [-1, -1]}),
            "machines": [stage.machine(*machine) for machine in self.machines],
            "settings": self._first(),
            "plain": self._plain(),
            "lab": type(self).__name__,
            "sides": self.sides,
            "choice": self.choice and {"name": self.choice[0], "values": self.choice[1]},
            "numbers": [number._asdict() for number in self.numbers],
            "fixed": self.fixed,
            "traffic": {name: traffic._asdict() for name, traffic in self.traffic.items()},
            "chart": self.chart,
            "hand": {"charge": first, "back": last, "ctx": context},
            "quests": self.quests,
            "jump": self.jump,
            "users": self.users,
            "title": self.title,
            "once": at_once.data(limited="limit_level" in self.settings()),
        }

    def answer(self, question):
        """The step logs of more operations after some, on every machine, and the state behind them.

        The question: ``{"ask": "steps", "tree": {"parents", "cpus", "limits"}, "past": [[code, CPU, cgroup, pages,
        context], …], "ops": […]}``. The answer: ``blobs``, for each machine the rows of the new operations as records
        of ``step_dtype`` (``forms.record_forms()["step"]``), operations counted from the first of the past; ``states``,
        for each machine; ``refused``, if one operation is not allowed: its ``at``, ``reason`` and ``allowed``. Those
        before it have been executed.

        Or all CPUs at once: ``{"ask": "at once", "tree": {...}, "ops": [...], "machines": [number, …],
        "names": [...]}``. The answer: ``blobs``, for each of these machines the begins, then the touches, as records of
        ``event_dtype``, and the step log of the operations in the order in which they began; ``starts`` and ``ends``,
        the state before all and the machine's own after it.
        """
        if question.get("ask") == "at once":
            return self._once(question)
        if question.get("ask") != "steps":
            return super().answer(question)
        tree, past, more = question["tree"], question["past"], question["ops"]
        refused = None
        while True:
            try:
                runs = [
                    _steps(machine.policy, tree, stage.stream([*past, *more]), len(past)) for machine in self.machines
                ]
                break
            except Refusal as no:
                more = more[: no.number - len(past)]
                refused = {"at": len(more), "reason": no.reason, "allowed": no.allowed}
        return {"blobs": [rows for rows, _ in runs], "states": [state for _, state in runs], "refused": refused}

    def _once(self, question):
        tree, ops = question["tree"], stage.stream(question["ops"])
        limits, shape = tree["limits"], (tuple(tree["parents"]), tree["cpus"])
        limits = None if limits is None else tuple(limits)
        policies = [self.machines[i].policy for i in question["machines"]]
        runs = _at_once(policies, shape, limits, ops, question["names"])
        return {
            "blobs": [
                rows.tobytes()
                for one in runs
                for rows in (np.concatenate([one.begins, one.touches]), one.history.log.rows)
            ],
            "starts": [one.start for one in runs],
            "ends": [one.end for one in runs],
        }


def _at_once(policies, tree, limits, ops, names):
    """An AtOnce of each machine, or a ValueError that says in a sentence why there is none."""
    why = at_once.refusal(ops, names)
    if why:
        raise ValueError(why)
    try:
        return [at_once.run(policy, tree, limits, ops.tobytes()) for policy in policies]
    except Stopped as error:
        raise ValueError(at_once.stopped(error, ops, names)) from None


def _steps(policy, tree, ops, begin):
    """The step log of a stream from one of its operations on, and the state after it."""
    system = System(tree["parents"], cpus=tree["cpus"], policy=policy, limits=tree["limits"])
    rows = system.step_through(ops).rows
    return rows[rows["op"] >= begin].tobytes(), stage.memory(system)
