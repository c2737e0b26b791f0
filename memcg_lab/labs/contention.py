"""The contention lab: throughput over CPUs and the profile at one of them, before and after the patch."""

import functools
import html
import math
from collections import namedtuple

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from .. import figures
from ..figures.base import looks
from ..figures.contention import OPS_PER_US, throughput_over_words
from ..machine.cache_lines import FUNCTIONS, LAYOUTS, OTHER, V6_1_LAYOUT
from ..machine.run import simulate
from ..machine.topology import Topology
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_SKMEM, UNCHARGE_SKMEM
from ..system import System
from ..words import count, number
from ..workload import draws, skmem
from . import sketch, views
from .boxes import Lab, choice, whole_number_box

CPUS_MAX = 256
CURVE = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # CPUs that the curve is simulated at
DEPTH_MAX = 8
THINK_MIN, THINK_MAX = 500, 100_000  # ns; far below lies the tight loop, a regime of its own
ROUNDS = 16  # operations of a CPU in one simulation if every line on its way is crowded; free lines allow more
OPS_WANTED = 2000  # of all CPUs together; few CPUs get more rounds
WARM_UP = 0.25
AGE = 256  # operations a CPU may have behind it when the simulation begins
LOTS = 256  # operations of a CPU in random order before its stream begins again
HELD = 1 << 20  # pages in use when the simulation begins, so that there is something to give back
FUNCTIONS_SHOWN = 6

MACHINE = Topology.named("2x EPYC 7742")  # a real machine of 256 CPUs


def _turns(cpus, leaf):
    """Each CPU in turn charges a page and gives one back."""
    return np.tile([CHARGE_SKMEM, UNCHARGE_SKMEM], (cpus, 1)), leaf


def _random(cpus, leaf):
    """Each operation charges or gives back by lot."""
    lots = draws(7, cpus * LOTS, 2).reshape(cpus, LOTS)
    return np.where(lots, CHARGE_SKMEM, UNCHARGE_SKMEM), leaf


def _halves(cpus, leaf):
    """Every second CPU only charges, the others only give back; a CPU alone does both."""
    if cpus == 1:
        return _turns(cpus, leaf)
    return np.where(np.arange(cpus) % 2, UNCHARGE_SKMEM, CHARGE_SKMEM)[:, None], leaf


def _two_cgroups(cpus, leaf):
    """Each CPU charges a page of one cgroup, then of another, and gives both back in that order."""
    kinds = [CHARGE_SKMEM, CHARGE_SKMEM, UNCHARGE_SKMEM, UNCHARGE_SKMEM]
    return np.tile(kinds, (cpus, 1)), leaf + np.tile([0, 1, 0, 1], cpus)


# Name in the list -> (leaves below the last level, kinds of operation [cpu, turn] and the cgroup they are for).
TRAFFIC = {
    "every CPU charges and gives back in turn": (1, _turns),
    "every CPU charges and gives back in random order": (1, _random),
    "every second CPU charges, the others give back": (1, _halves),
    "two cgroups take turns on every CPU": (2, _two_cgroups),
}
LAYOUT = {
    "v4.13: all words of a counter on one line": LAYOUTS["v4.13"],
    "v5.12: parent on a second line": LAYOUTS["v5.12"],
    "v6.1: the count alone on its line": V6_1_LAYOUT,
    "v6.1, and no counter that all sockets share": V6_1_LAYOUT.with_words(
        "v6.1, protocol counter per CPU", memory_allocated=False
    ),
}

Point = namedtuple("Point", "throughput stalled shares busiest")
Point.__doc__ = "One simulation: operations in a microsecond, percent of waiting, percent by function, busiest line."
Result = namedtuple("Result", "cpus depth traffic counter_layout think_ns curve before after")


@functools.lru_cache(maxsize=256)
def _aged(policy, cpus, depth, traffic):
    """A system whose CPUs have each done another number of operations already, and the stream they go on with.

    Without this all stocks would be empty at the same time, and so short a simulation would see nothing else.
    """
    leaves, kinds_of = TRAFFIC[traffic]
    system = System([*range(-1, depth - 1), *[depth - 1] * leaves], cpus=cpus, policy=policy)
    kinds, memcg = kinds_of(cpus, depth)
    turns = kinds.shape[1]
    cpu = np.repeat(np.arange(cpus), turns)
    ops = skmem(kinds.ravel(), kinds.size, cpu=cpu, memcg=memcg, nr_pages=1)
    for leaf in range(depth, depth + leaves):
        system.charge_skmem(cpu=0, memcg=leaf, nr_pages=HELD)
    behind = np.arange(AGE) < draws(11, cpus, AGE + 1)[:, None]  # [cpu, operation]
    rows = (np.arange(cpus)[:, None] * turns + np.arange(AGE) % turns)[behind]
    system.replay(ops[rows])
    return system, ops


@functools.lru_cache(maxsize=4096)
def point(policy, cpus, depth, traffic, layout, think_ns):
    """Simulate one number of CPUs under one policy.

    Parameters
    ----------
    policy : Policy
    cpus, depth : int
    traffic, layout : str
        A key of ``TRAFFIC`` and of ``LAYOUT``.
    think_ns : int

    Returns
    -------
    Point
    """
    system, ops = _aged(policy, cpus, depth, traffic)
    crowded_ns = cpus * MACHINE.mean_transfer_ns(min(cpus, MACHINE.cpus)) * (1 + LAYOUT[layout].memory_allocated) / 2
    run = simulate(
        system,
        ops,
        think_ns=think_ns,
        topology=MACHINE,
        layout=LAYOUT[layout],
        duration_ns=max(ROUNDS, OPS_WANTED / cpus) * (think_ns + crowded_ns),
        warm_up=WARM_UP,
    )
    shares = tuple((name, run.share(name)) for name, booked in zip(FUNCTIONS, run.booked_ns) if booked.any())
    queues = run.queue_lengths
    line = int(queues.argmax())
    return Point(
        run.throughput,
        100 * run.stalled,
        shares,
        (_line(run.lines[line]) if queues[line] else "none", float(queues[line])),
    )


class ContentionLab(Lab):
    """How much a host gets done with 1 to 256 CPUs, before and after the patch, and where its time goes.

    The curve is simulated at nine numbers of CPUs, the profile at the chosen one. What was simulated once is kept.

    Parameters
    ----------
    cpus : int
        1 to 256.
    depth : int
        Levels below the root, 1 to 8.
    traffic : str
        One of ``ContentionLab.traffics``.
    counter_layout : str
        One of ``ContentionLab.layouts``: which words of a page counter share a cache line.
    think_ns : int
        Mean time of a CPU between two operations; 500 to 100,000.

    Raises
    ------
    ValueError
        If a setting is not allowed.

    Notes
    -----
    The machine is ``2x EPYC 7742``: 2 sockets with 64 cores of 2 threads. Its line transfers were measured by others;
    see ``memcg_lab.machine.TOPOLOGIES``.

    So that a move takes less than 50 ms of CPU time, each simulation is short: 16 rounds of every CPU where lines are
    crowded, 2,000 operations at least, with stocks that are in use already. Of 896 settings tried, the throughput of 95
    in 100 was within 4 % of a run 4.5 to 10 times as long; the worst was off by 24 %, with 128 CPUs and 500 ns of think
    time. In crowded runs the split between functions settles later than the throughput.

    Examples
    --------
    >>> ContentionLab(cpus=1000)
    Traceback (most recent call last):
    ValueError: cpus is 1000; it must be a whole number from 1 to 256.
    """

    traffics = tuple(TRAFFIC)
    layouts = tuple(LAYOUT)

    def __init__(
        self,
        *,
        cpus=64,
        depth=3,
        traffic="every second CPU charges, the others give back",
        counter_layout="v4.13: all words of a counter on one line",
        think_ns=10_000,
    ):
        super().__init__(cpus=cpus, depth=depth, traffic=traffic, counter_layout=counter_layout, think_ns=think_ns)

    def make_controls(self, cpus, depth, traffic, counter_layout, think_ns):
        """See the class."""
        return {
            "cpus": whole_number_box("cpus", cpus, 1, CPUS_MAX, "CPUs, 1 to 256:", "15em"),
            "depth": whole_number_box("depth", depth, 1, DEPTH_MAX, "Levels below the root, 1 to 8:"),
            "think_ns": whole_number_box(
                "think_ns", think_ns, THINK_MIN, THINK_MAX, "Think time in ns, 500 to 100,000:", "24em"
            ),
            "traffic": choice("traffic", traffic, self.traffics, "Traffic:", "38em"),
            "counter_layout": choice("counter_layout", counter_layout, self.layouts, "Layout:", "38em"),
        }

    def rows(self):
        """See the base."""
        wrap = W.Layout(flex_flow="row wrap")
        return [
            W.HBox([self.controls[name] for name in ("cpus", "depth", "think_ns")], layout=wrap),
            W.HBox([self.controls[name] for name in ("traffic", "counter_layout")], layout=wrap),
        ]

    def compute(self, settings):
        """See the base."""
        shape = [settings[name] for name in ("depth", "traffic", "counter_layout", "think_ns")]
        pair = {"before": V4_13, "after": V4_14}
        return Result(
            **settings,
            curve={name: [point(policy, n, *shape) for n in CURVE] for name, policy in pair.items()},
            **{name: point(policy, settings["cpus"], *shape) for name, policy in pair.items()},
        )

    def sentence(self, result=None):
        """Throughput before and after, and the busiest line of each."""
        result = result or self.result
        before, after = result.before, result.after
        lines = [before.busiest, after.busiest]
        return contention_words(result.cpus, result.depth, before.throughput, after.throughput, lines)

    def table(self, result=None):
        """Throughput, waiting, and percent of all CPU time by function at the chosen number of CPUs."""
        result = result or self.result
        columns = {}
        for name in ("before", "after"):
            here = getattr(result, name)
            columns[name] = {
                "operations in a microsecond": here.throughput,
                "waiting for lines, percent of all CPU time": here.stalled,
                "CPUs at the busiest line": here.busiest[1],
                **{f"{function}, percent": share for function, share in here.shares},
            }
        table = pd.DataFrame(columns).fillna(0.0)
        return table.rename_axis(f"with {count(result.cpus, 'CPU')}")

    def _series(self, result):
        return {name: [here.throughput for here in points] for name, points in result.curve.items()}

    def figure(self, result=None):
        """Throughput over CPUs under both rules."""
        result = result or self.result
        return figures.throughput_over("CPUs", CURVE, self._series(result))

    def picture_html(self, result):
        """Throughput over CPUs as a sketch, with the chosen number of CPUs marked."""
        series = self._series(result)
        sentence = throughput_over_words("CPUs", list(CURVE), series, OPS_PER_US, True, 0)[1]
        marks = {name: getattr(result, name).throughput for name in series}
        return _sketch(series, marks, result.cpus, sentence)

    def view(self, result=None):
        """The profile at the chosen number of CPUs, before and after side by side."""
        result = result or self.result
        shares = {name: dict(getattr(result, name).shares) for name in ("before", "after")}
        names = dict.fromkeys([*shares["before"], *shares["after"]])
        order = sorted(names, key=lambda f: -max(column.get(f, 0.0) for column in shares.values()))
        shown = [name for name in order if name != OTHER][:FUNCTIONS_SHOWN]
        scale = max([1.0, *(column.get(name, 0.0) for column in shares.values() for name in shown)])
        rows = [_row(name, shares, scale) for name in [*shown, OTHER]]
        rows += ["<tr><th>&nbsp;</th><td></td><td></td></tr>"] * (FUNCTIONS_SHOWN - len(shown))  # nothing jumps
        head = f"Percent of all CPU time with {count(result.cpus, 'CPU')}"
        return (
            f'{views.STYLE}{_STYLE}<div class="ml tl"><p class="op">{html.escape(head)}</p><table><thead><tr>'
            '<th scope="col">function</th><th scope="col">before</th><th scope="col">after</th></tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )


def contention_words(cpus, depth, before, after, lines):
    """The status line of the contention lab.

    Parameters
    ----------
    cpus, depth : int
    before, after : float
        Operations in a microsecond.
    lines : list of (str, float)
        The busiest line before and after, and the mean number of CPUs at it, waiting or being served.

    Examples
    --------
    >>> contention_words(1, 2, 0.5, 0.5, [("memory_allocated", 0.25)] * 2)
    '1 CPU, depth 2: 0.5 operations in a microsecond before the patch, 0.5 after it, as many. Busiest line before: \
memory_allocated, with 0.25 CPUs at it; after: memory_allocated, with 0.25 CPUs at it.'
    """
    crowds = [f"{name}, with {number(round(there, 2))} CPUs at it" if there else name for name, there in lines]
    return (
        f"{count(cpus, 'CPU')}, depth {depth}: {number(before)} operations in a microsecond before the patch, "
        f"{number(after)} after it, {gain(before, after)}. Busiest line before: {crowds[0]}; after: {crowds[1]}."
    )


def gain(before, after):
    """How many times as many, in words; less than half a percent is no difference.

    Examples
    --------
    >>> gain(2.0, 3.0), gain(2.0, 2.005), gain(0.0, 1.0)
    ('1.5 times as many', 'as many', 'from none')
    """
    if not before:
        return "from none" if after else "as many"
    ratio = after / before
    return "as many" if abs(ratio - 1) < 0.005 else f"{ratio:.2f}".rstrip("0").rstrip(".") + " times as many"


_STYLE = """<style>
.tl table{font-size:14px;border-collapse:collapse}
.tl th{text-align:left!important;font-weight:normal;padding:1px 12px 1px 0}
.tl td{text-align:left!important;width:230px;padding:1px 10px 1px 0;font-variant-numeric:tabular-nums}
.tl .b{display:inline-block;height:11px;margin-right:6px;vertical-align:-1px;min-width:1px}
.tl .before .b{border:1px solid #D55E00;background:repeating-linear-gradient(45deg,#D55E00 0 2px,#fff 2px 6px)}
.tl .after .b{border:1px solid #0072B2;background:#0072B2}
</style>"""


def _row(function, shares, scale):
    cells = []
    for name, column in shares.items():
        share = column.get(function, 0.0)
        wide = 0 if function == OTHER else 150 * share / scale
        bar = f'<span class="b" aria-hidden="true" style="width:{wide:.0f}px"></span>' if wide >= 0.5 else ""
        cells.append(f'<td class="{name}">{bar}{share:.2f}</td>')
    return f'<tr><th scope="row">{html.escape(function)}</th>{"".join(cells)}</tr>'


def _line(name):
    """A line's name short enough for a sentence: whose it is, and of its words the count alone."""
    owner, _, words = name.partition(": ")
    return f"the line of {owner} with its {words.split()[0]}" if words else owner


def _sketch(series, marks, cpus, sentence):
    """Throughput over CPUs as SVG, CPUs on a logarithmic axis, with an upright line at the chosen number."""
    top = max([0.01, *marks.values(), *(max(values) for values in series.values())]) * 1.08
    labels = [f"{name}: {number(values[-1])}" for name, values in series.items()]
    right = sketch.WIDTH - 14 - sketch.LETTER * max(map(len, labels))
    bottom, left = sketch.HEIGHT - sketch.BOTTOM, sketch.LEFT

    def x(n):
        return left + (right - left) * math.log2(n) / math.log2(CURVE[-1])

    def y(value):
        return bottom - (bottom - sketch.TOP) * value / top

    parts = []
    for tick in MaxNLocator(nbins=6).tick_values(0, top):
        if 0 <= tick <= top:
            parts.append(
                f'<line x1="{left}" x2="{right:.1f}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#dddddd"/>'
                f'<text x="{left - 6}" y="{y(tick) + 5:.1f}" text-anchor="end" fill="{sketch.DARK}">'
                f"{number(float(tick))}</text>"
            )
    parts += [
        f'<text x="{x(n):.1f}" y="{bottom + 19}" text-anchor="middle" fill="{sketch.DARK}">{n}</text>' for n in CURVE
    ]
    middle = (sketch.TOP + bottom) / 2
    parts.append(
        f'<path d="M{left} {sketch.TOP}V{bottom}H{right:.1f}" fill="none" stroke="#666666"/>'
        f'<text x="{(left + right) / 2:.1f}" y="{sketch.HEIGHT - 6}" text-anchor="middle" fill="{sketch.DARK}">'
        "CPUs (logarithmic)</text>"
        f'<text transform="translate(15 {middle}) rotate(-90)" text-anchor="middle" fill="{sketch.DARK}">'
        "operations in a microsecond</text>"
        f'<line x1="{x(cpus):.1f}" x2="{x(cpus):.1f}" y1="{sketch.TOP}" y2="{bottom}" stroke="#111111" '
        'stroke-width="1.5"/>'
    )
    ends = []
    for label, (name, values) in zip(labels, series.items(), strict=True):
        look = looks(series)[name]
        dash = "" if look.linestyle == "-" else ",".join(f"{step * look.width:.1f}" for step in look.linestyle[1])
        path = "L".join(f"{x(n):.1f} {y(value):.1f}" for n, value in zip(CURVE, values, strict=True))
        parts.append(
            f'<path d="M{path}" fill="none" stroke="{look.color}" stroke-width="{look.width}" '
            f'stroke-dasharray="{dash}"/>'
        )
        shape = sketch._MARKERS[look.marker]
        parts += [
            f'<path d="{shape}" fill="{look.color}" transform="translate({x(n):.1f} {y(value):.1f})"/>'
            for n, value in zip(CURVE, values, strict=True)
        ]
        parts.append(
            f'<path d="{shape}" fill="white" stroke="{look.color}" stroke-width="2.5" '
            f'transform="translate({x(cpus):.1f} {y(marks[name]):.1f}) scale(1.3)"/>'
        )
        ends.append((y(values[-1]), label, look.color))
    parts.append(sketch._labels(ends, right + 8))
    return (
        f'<svg role="img" aria-label="{html.escape(sentence)}" width="{sketch.WIDTH}" height="{sketch.HEIGHT}" '
        f'viewBox="0 0 {sketch.WIDTH} {sketch.HEIGHT}" '
        f"style=\"background:#ffffff;font:14px 'DejaVu Sans',system-ui,sans-serif\">{''.join(parts)}</svg>"
    )
