"""Perf simulation: the ``perf top`` of a simulated host, in the commit's own format, and what it explains.

One number is fitted, how often pages are given back, to one published figure, the share of ``page_counter_cancel``
before the patch. Machine, depth, layout and call path are taken from tables and from code, and said. All other shares
are predictions.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np

from ..checks import one_of, whole_number
from ..machine.cache_lines import FUNCTIONS, OTHER, V4_13_LAYOUT, Layout
from ..machine.calibration import fit
from ..machine.run import Run, simulate
from ..machine.topology import CPUS_MAX, DEFAULT, Topology
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_SKMEM, SOFTIRQ, UNCHARGE_SKMEM
from ..system import System
from ..workload import draws, skmem

FITTED = "page_counter_cancel"
MEETING = ("in turn", "mixed", "apart")
CPU_OPS = 1024  # operations of a CPU before its stream begins again
OPS_WANTED = 40_000  # operations a run should finish
THINK_LOW, THINK_HIGH = 200.0, 1e6  # ns before each operation
SHORTEST = 100_000.0  # ns; where all wait for one line, fewer operations finish than think times suggest
FACTOR = 2.0  # a predicted share is called explained if it is within this factor; chosen before the first run
EDGE = 0.05  # of a limit; nearer than that a short run may fall on either side
SHARES = ("reduce_before", "reduce_after", "timer_before", "timer_after")  # columns of sensitivity()
READINGS = ("explained", "on the edge", "not explained")  # from the best to the worst
LISTED = 16  # rows of the commit's listing before the patch


@dataclass(frozen=True)
class Host:
    """The host behind a listing: all that has to be assumed, because the commit does not say it.

    Parameters
    ----------
    topology : Topology
    cpus : int or None
        Busy CPUs; None: all the machine has.
    depth : int
        Levels below the root; an uncharge meets ``depth + 1`` counters.
    layout : Layout
        Which words share a line, and whether an uncharge reads ``parent``.
    meeting : {"in turn", "mixed", "apart"}
        How charging and giving back meet on a CPU: in turn, so that the stock evens out; in random order; or never,
        because a CPU does only one of the two.
    charge_pages : int
        Pages of one charge; 1 to 32. Pages are given back one at a time.
    seed : int

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> Host(depth=3).levels
    4
    """

    topology: Topology = DEFAULT
    cpus: int | None = None
    depth: int = 3
    layout: Layout = V4_13_LAYOUT
    meeting: str = "in turn"
    charge_pages: int = 1
    seed: int = 1

    def __post_init__(self):
        object.__setattr__(self, "cpus", whole_number("cpus", self.cpus or self.topology.cpus, 2, CPUS_MAX))
        whole_number("depth", self.depth, 1, 32)
        whole_number("charge_pages", self.charge_pages, 1, 32)
        one_of("meeting", self.meeting, MEETING)

    @property
    def levels(self):
        """Counters an uncharge meets, the root's included."""
        return self.depth + 1

    def traffic(self):
        """What all CPUs do, as an op stream: as many pages are charged as are given back."""
        n, each = self.cpus * CPU_OPS, 1 + self.charge_pages  # one charge, then so many pages given back
        cpu = np.repeat(np.arange(self.cpus), CPU_OPS)
        ops = skmem(UNCHARGE_SKMEM, n, cpu=cpu, memcg=self.depth, nr_pages=1, ctx=SOFTIRQ)
        if self.meeting == "apart":
            charges = cpu % each == 0
        else:
            turn = np.arange(CPU_OPS) % each == 0
            charges = np.tile(turn, self.cpus)
            if self.meeting == "mixed":
                lots = draws(self.seed, n, 1 << 40).reshape(self.cpus, CPU_OPS)
                charges = turn[np.argsort(lots, axis=1, kind="stable")].ravel()
        ops["op"][charges] = CHARGE_SKMEM
        ops["nr"][charges] = self.charge_pages
        return ops

    def run(self, policy, think_ns, ops_wanted=OPS_WANTED):
        """Simulate this host under one policy; a :class:`~memcg_lab.machine.Run`."""
        return simulate(
            System.chain(depth=self.depth, cpus=self.cpus, policy=policy),
            self.traffic(),
            think_ns=think_ns,
            topology=self.topology,
            layout=self.layout,
            duration_ns=min(1e9, max(ops_wanted * think_ns / self.cpus, 4 * think_ns, SHORTEST)),
            seed=self.seed,
        )


@dataclass(frozen=True, repr=False)
class SimulatedTop:
    """A host fitted to the listing before the patch, and its two simulated listings.

    Attributes
    ----------
    host : Host
    think_ns : float
        The one fitted number: mean time of a CPU between two operations.
    measured : float
        What it was fitted to: percent of ``page_counter_cancel`` before the patch.
    before, after : Run
    """

    host: Host
    think_ns: float
    measured: float
    before: Run
    after: Run

    @property
    def uncharges_per_second(self):
        """Calls that give pages back, on all CPUs; in a second."""
        part = float((self.host.traffic()["op"] == UNCHARGE_SKMEM).mean())
        return self.before.throughput * 1e6 * part

    def shares(self):
        """Percent of each modelled function before and after, as a DataFrame."""
        import pandas as pd

        rows = [(name, self.before.share(name), self.after.share(name)) for name in FUNCTIONS if name != OTHER]
        frame = pd.DataFrame(rows, columns=["symbol", "before", "after"])
        frame = frame[(frame["before"] > 0) | (frame["after"] > 0)]
        return frame.sort_values("before", ascending=False, kind="stable").reset_index(drop=True)

    def listing(self, background, when="before", *, samples=None, seed=1, rows=LISTED):
        """``perf top`` of this host, in the very form of the commit message.

        Parameters
        ----------
        background : DataFrame
            The published profile before the patch, from :func:`~memcg_lab.perf.read_perf`. Its rows that the model
            does not have are put in: they share what the model calls everything else, in their published proportion.
        when : {"before", "after"}
        samples : int, optional
            Draw that many samples, as perf does; without it the exact shares.
        seed : int
        rows : int
            The highest so many.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If an argument is out of range.
        """
        if when not in ("before", "after"):
            raise ValueError(f'when is "{when}"; it must be "before" or "after".')
        rows = whole_number("rows", rows, 1, 1000)
        texts, percents = self._rows(background, getattr(self, when))
        if samples is not None:
            samples = whole_number("samples", samples, 1, 10**8)
            edges = np.cumsum(np.append(percents, max(0.0, 100 - sum(percents)))) / 100
            drawn = np.searchsorted(edges, draws(seed, samples, 1 << 53) / (1 << 53), side="right")
            percents = 100 * np.bincount(drawn, minlength=len(edges) + 1)[: len(percents)] / samples
        order = np.argsort(-np.asarray(percents), kind="stable")[:rows]
        return "\n".join(f"{percents[k]:6.2f}%{texts[k]}" for k in order if percents[k] >= 0.005) + "\n"

    def _rows(self, background, run):
        """Text after the percent sign and percent, for each row."""
        texts = [f"  {'[kernel]':<24}[k] {name}" for name in FUNCTIONS if name != OTHER]
        percents = [run.share(name) for name in FUNCTIONS if name != OTHER]
        scale = run.share(OTHER) / self.before.share(OTHER)
        for row in background.itertuples():
            if row.symbol in FUNCTIONS:
                continue
            if row.kind == "kernel":
                texts.append(f"  {row.dso or '[kernel]':<24}[k] {row.symbol}")
            else:
                texts.append(f"  {row.symbol}" if row.kind == "other" else f"            [.] {row.symbol}")
            percents.append(row.percent * scale)
        return texts, percents

    def __repr__(self):
        return (
            f"SimulatedTop({self.host.topology.name}, {self.host.cpus} CPUs, {self.host.levels} levels, "
            f"{self.host.meeting}: fitted {self.uncharges_per_second / 1e6:.2f} M uncharges/s; "
            f"{FITTED} {self.before.share(FITTED):.2f} -> {self.after.share(FITTED):.2f} %)"
        )


def simulate_top(host=None, *, measured=2.13, before=V4_13, after=V4_14, ops_wanted=OPS_WANTED, tolerance=2e-3):
    """Fit one host to one published share, then simulate it before and after the patch.

    Parameters
    ----------
    host : Host
        All that is assumed.
    measured : float
        Percent of ``page_counter_cancel`` before the patch; the only figure that is fitted.
    before, after : Policy
    ops_wanted : int
        Operations a run should finish; more of them are slower and less noisy.
    tolerance : float
        How near the fitted share must come, as a part of it.

    Returns
    -------
    SimulatedTop

    Raises
    ------
    ValueError
        If no rate gives that share on this host.

    Examples
    --------
    >>> top = simulate_top(Host(depth=3), ops_wanted=5000)  # a short run; by default it is longer and less noisy
    >>> [round(run.share("page_counter_cancel"), 2) for run in (top.before, top.after)]
    [2.13, 0.0]
    """
    host = Host() if host is None else host
    if isinstance(measured, bool) or not 0 < measured < 100:
        raise ValueError(f"measured is {measured!r}; it must be a share between 0 and 100 percent.")

    @functools.cache
    def share(think_ns):
        return host.run(before, think_ns, ops_wanted).share(FITTED)

    # The additive model says where to look first.
    once = host.topology.mean_transfer_ns(host.cpus) + host.topology.local_ns
    near = 100 / measured * host.levels * once * float((host.traffic()["op"] == UNCHARGE_SKMEM).mean())
    what = "time between two operations in ns"
    try:
        think_ns = fit(share, measured, near / 2, near * 2, what, tolerance)
    except ValueError:
        try:
            think_ns = fit(share, measured, THINK_LOW, THINK_HIGH, what, tolerance)
        except ValueError:
            raise ValueError(
                f"{host.topology.name}, {host.levels} levels: no rate of giving back makes {FITTED} {measured} %; "
                f"it is at most about {share(THINK_LOW):.2g} % there, because other lines fill up first."
            ) from None
    return SimulatedTop(
        host, think_ns, measured, host.run(before, think_ns, ops_wanted), host.run(after, think_ns, ops_wanted)
    )


def explain(top, before, after):
    """The simulated pair beside the published one: what is explained, what is not, what is not known.

    Parameters
    ----------
    top : SimulatedTop
    before, after : DataFrame
        The published profiles, from :func:`~memcg_lab.perf.read_perf`.

    Returns
    -------
    DataFrame
        symbol; published_before, model_before, published_after, model_after in percent, NaN where nothing is listed;
        reading: ``explained`` (both sides within a factor of 2, or below the list where the list does not have it),
        ``on the edge`` (nearer than 5 % to one of these limits), ``not explained``, or ``not known`` (the model has no
        such function: its row is an input). Of the fitted function, ``fitted, then`` the reading after the patch.
    """
    import pandas as pd

    floor = {"before": before.attrs["lowest"], "after": after.attrs["lowest"]}
    published = {
        when: table.groupby("symbol")["percent"].first() for when, table in (("before", before), ("after", after))
    }
    scale = top.after.share(OTHER) / top.before.share(OTHER)
    rows = []
    for symbol in dict.fromkeys([*before["symbol"], *after["symbol"], *top.shares()["symbol"]]):
        says = {when: published[when].get(symbol, np.nan) for when in floor}
        if symbol in FUNCTIONS:
            model = {when: getattr(top, when).share(symbol) for when in floor}
            if np.isnan(says["before"]) and np.isnan(says["after"]) and max(model.values()) < 0.005:
                continue
            each = {when: _reading(model[when], says[when], floor[when]) for when in floor}
            reading = max(each.values(), key=READINGS.index)
            if symbol == FITTED:
                reading = f"fitted, then {each['after']}"
        else:
            model = {"before": says["before"], "after": says["before"] * scale}
            reading = "not known"
        rows.append((symbol, says["before"], model["before"], says["after"], model["after"], reading))
    columns = ["symbol", "published_before", "model_before", "published_after", "model_after", "reading"]
    return pd.DataFrame(rows, columns=columns)


def sensitivity(hosts, *, measured=2.13, ops_wanted=10_000, progress=None):
    """Fit each of many hosts in the same way, and say which of them the listing does not contradict.

    Parameters
    ----------
    hosts : sequence of Host
    measured : float
    ops_wanted : int
        Operations a run should finish.
    progress : callable, optional
        Wraps the sequence, as ``tqdm`` does.

    Returns
    -------
    DataFrame
        One row a host: machine, cpus, levels, meeting, charge_pages, layout, walks, the fitted million uncharges a
        second, the predicted shares of ``__sk_mem_reduce_allocated`` and ``tcp_delack_timer_handler`` before and after,
        ``agrees``: both within a factor of 2 before, and all below the list after; and ``misses``: which shares do not
        come out right, by the names of their columns.
    """
    import pandas as pd

    rows = []
    for host in hosts if progress is None else progress(hosts):
        top = simulate_top(host, measured=measured, ops_wanted=ops_wanted, tolerance=0.01)
        reduce, timer = "__sk_mem_reduce_allocated", "tcp_delack_timer_handler"
        shares = [getattr(top, when).share(name) for name in (reduce, timer) for when in ("before", "after")]
        listed = [(1.14, 0.54), (np.nan, 0.57), (0.68, 0.54), (np.nan, 0.57)]
        fits = [_fits(share, *says) for share, says in zip(shares, listed, strict=True)]
        missed = [name for name, fit in zip(SHARES, fits, strict=True) if not fit]
        missed += [] if _fits(top.after.share(FITTED), np.nan, 0.57) else [f"{FITTED} after"]
        rows.append(
            (
                host.topology.name,
                host.cpus,
                host.levels,
                host.meeting,
                host.charge_pages,
                host.layout.name,
                host.layout.pressure_walks,
                top.uncharges_per_second / 1e6,
                *shares,
                not missed,
                ", ".join(missed),
            )
        )
    columns = ["machine", "cpus", "levels", "meeting", "charge_pages", "layout", "walks", "M_uncharges_per_s"]
    columns += [*SHARES, "agrees", "misses"]
    return pd.DataFrame(rows, columns=columns)


def one_package(topology):
    """One package of a machine; a listing may come from it or from the whole machine."""
    return replace(topology, name=f"one package of {topology.name}", sockets=1)


def _limits(published, floor):
    """Between what a share counts as explained: the factor around what is listed, or 0 and the lowest listed row."""
    return (0.0, floor) if np.isnan(published) else (published / FACTOR, published * FACTOR)


def _fits(model, published, floor):
    """Within the limits; at the floor itself it would be listed."""
    low, high = _limits(published, floor)
    return low <= model < high


def _reading(model, published, floor):
    if any(abs(model - limit) < EDGE * limit for limit in _limits(published, floor)):
        return "on the edge"
    return "explained" if _fits(model, published, floor) else "not explained"
