"""System: a cgroup tree, CPUs and a policy; it validates, holds the state and calls the mechanism."""

from collections import namedtuple
from dataclasses import dataclass, fields

import numpy as np

from . import _jit, words
from .checks import as_whole, flag, one_of, several, shown, whole_number
from .history import StepLog
from .mechanism import records, steps
from .mechanism.policy import V4_14, Policy, bind
from .mechanism.records import (
    BAD_CPU,
    BAD_FORWARD,
    BAD_KERNEL,
    BAD_MEMCG,
    BAD_NR,
    BAD_OP,
    BAD_ROOT,
    BAD_SOCKET,
    BAD_UNDERFLOW,
    CONTEXT_MAX,
    CONTEXTS,
    OPS,
    PAGE_COUNTER_MAX,
)
from .workload import check_stream

CPUS_MAX = 65_536
MEMCGS_MAX = 65_536
STATE_MAX = 1 << 26  # CPUs times cgroups; MEMCG_SOCK takes 8 bytes for each, so 512 MiB
LOG_ROWS = 1 << 12
LOG_OPS_MAX = 100_000
SLICE = 1 << 20  # operations; compiled code hears an interrupt only between two slices

Stock = namedtuple("Stock", "memcg nr_pages")
Invariant = namedtuple("Invariant", "name holds detail")


class Refusal(ValueError):
    """An operation is not allowed: ``number`` says which, ``reason`` why, as a code, and ``allowed`` what would be."""

    def __init__(self, sentence, number, reason, allowed):
        super().__init__(sentence)
        self.number, self.reason, self.allowed = number, reason, allowed


@dataclass(frozen=True)
class Work:
    """Work done: atomics by kind, what the stocks did, what was refused. Subtract two to get what lies between.

    Attributes
    ----------
    add, sub, xchg : int
        Atomic read-modify-writes on counters shared by all CPUs.
    stock_hits, stock_misses : int
        Charges that the stock served, and attempts at the counters: one charge may attempt several, and one above the
        batch never looks into the stock.
    drains_by_other_memcg, drains_by_cap, drains_local, drains_all, drains_cpu_dead : int
        Drains that moved pages, by what caused them.
    pages_drained : int
        Pages those drains gave back.
    refused : int
        Socket charges answered with "does not fit" (the pages are charged all the same).
    forced, nomem : int
        Charges above the limit that were forced, and those that failed.
    css_calls : int
        Calls that took or put references, each for many pages at once.
    reclaim, oom, remote_works : int
        Calls for reclaim and for the OOM killer; drains sent to another CPU.
    protocol : int
        Atomics on the protocol's global ``memory_allocated``.
    objects, protection : int
        Atomics on ``nr_charged_bytes``, and those that tell parents what ``memory.min`` and ``memory.low`` protect
        (``V6_1`` only).
    """

    add: int = 0
    sub: int = 0
    xchg: int = 0
    stock_hits: int = 0
    stock_misses: int = 0
    drains_by_other_memcg: int = 0
    drains_by_cap: int = 0
    drains_local: int = 0
    drains_all: int = 0
    drains_cpu_dead: int = 0
    pages_drained: int = 0
    refused: int = 0
    forced: int = 0
    nomem: int = 0
    css_calls: int = 0
    reclaim: int = 0
    oom: int = 0
    remote_works: int = 0
    protocol: int = 0
    objects: int = 0
    protection: int = 0

    @property
    def atomics(self):
        """Atomics on the cgroup's counters, all kinds together."""
        return self.add + self.sub + self.xchg

    @property
    def drains(self):
        """Drains that moved pages, whatever caused them."""
        return sum(getattr(self, cause) for cause in records.DRAIN_CAUSES)

    def __sub__(self, earlier):
        return Work(*(getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)))

    def __repr__(self):
        return (
            f"Work({self.atomics:,} atomics, {self.stock_hits:,} stock hits, {self.stock_misses:,} misses, "
            f"{self.drains:,} drains of {self.pages_drained:,} pages, {self.refused:,} refused)"
        )


def op(name, *, cpu, memcg=-1, nr=0, ctx="softirq"):
    """One operation as an array of length 1.

    Parameters
    ----------
    name : str
        One of ``memcg_lab.OPS``.
    cpu : int
    memcg : int
        The cgroup; for ``sk_`` operations the socket.
    nr : int
        Pages; for ``sk_`` operations bytes.
    ctx : str or int
        ``"softirq"`` or ``"task"``, or the flags of ``mechanism/records.py`` added up.

    Returns
    -------
    ndarray of ``op_dtype``, shape (1,)

    Raises
    ------
    ValueError
        If the name or the context is unknown, or a number does not fit its field.

    Examples
    --------
    >>> op("charge_skmem", cpu=0, memcg=1, nr=1)["nr"]
    array([1])
    """
    if not isinstance(name, str) or name not in OPS:
        raise ValueError(f"operation {shown(name)} does not exist; there are {', '.join(OPS)}.")
    out = np.zeros(1, records.op_dtype)
    values = {"op": OPS.index(name), "ctx": _context(ctx), "cpu": cpu, "memcg": memcg, "nr": nr}
    for field, value in values.items():
        info = np.iinfo(records.op_dtype[field])
        out[field] = whole_number(f"{name}: {field}", value, int(info.min), int(info.max))
    return out


class System:
    """A cgroup tree with its counters, the stocks of the CPUs, and the policy that moves pages between them.

    Parameters
    ----------
    parents : sequence of int
        Parent of each cgroup, -1 for a top; a parent stands before its children.
    cpus : int
        1 to 65,536.
    policy : Policy
        The generation of the rule; ``V4_13`` is before the patch, ``V4_14`` after.
    limits, highs : sequence of int, optional
        ``memory.max`` and ``memory.high`` of each cgroup in pages; -1 or None = max.
    mins, lows : sequence of int, optional
        ``memory.min`` and ``memory.low`` of each cgroup in pages; -1 = max, None = 0. What is protected costs atomics,
        which only the policy ``V6_1`` counts; others refuse it.
    root : int or None
        The root memcg: its sockets are not accounted. None: no cgroup of this tree is the root.
    legacy : bool
        cgroup v1: sockets are charged to ``tcpmem``, without a stock.
    memsw : bool
        v1 with memory+swap accounted: each charge goes to two counters.
    sockets : sequence of int or None, optional
        The cgroup of each socket; None for a socket of the root.
    tcp_mem : (int, int, int)
        ``net.ipv4.tcp_mem`` in pages: below low no pressure, above the second pressure, above the third refused.
    underflow : {"refuse", "record"}
        What an uncharge of more than is held does: raise, or go on below zero as the kernel does and count a fault.

    Raises
    ------
    ValueError
        If the tree has a cycle or a forward reference, or a number is out of range.

    Examples
    --------
    >>> s = System.chain(depth=2, cpus=2)
    >>> s.charge_skmem(cpu=0, memcg=2, nr_pages=1)
    True
    >>> s.uncharge_skmem(cpu=1, memcg=2, nr_pages=1)
    >>> s.stock
    [Stock(memcg=2, nr_pages=31), Stock(memcg=2, nr_pages=1)]
    >>> s
    System(v4.14, 2 cpus, 3 memcgs, usage [32 32 32])
    """

    def __init__(
        self,
        parents,
        *,
        cpus,
        policy=V4_14,
        limits=None,
        highs=None,
        mins=None,
        lows=None,
        root=0,
        legacy=False,
        memsw=False,
        sockets=(),
        tcp_mem=(PAGE_COUNTER_MAX, PAGE_COUNTER_MAX, PAGE_COUNTER_MAX),
        underflow="refuse",
    ):
        parents, sockets = _parents(parents), several("sockets", sockets)
        cpus = whole_number("cpus", cpus, 1, CPUS_MAX)
        _check_policy(policy)
        one_of("underflow", underflow, ("refuse", "record"))
        legacy, memsw = flag("legacy", legacy), flag("memsw", memsw)
        if memsw and not legacy:
            raise ValueError("memsw is accounted in cgroup v1 only; set legacy=True with it.")
        if legacy and not policy.path.legacy:
            raise ValueError(f"cgroup v1 is modelled for v4.13 and v4.14, not for the charge path of {policy.name}.")
        if sockets and not policy.path.sockets:
            raise ValueError(
                f"the socket layer here is that of v4.13; {policy.name} has another. Charge pages with charge_skmem."
            )
        if not policy.path.kernel_pages and not (mins is None and lows is None):
            raise ValueError(f"mins and lows are modelled for V6_1, not for {policy.name}.")
        n = len(parents)
        if cpus * n > STATE_MAX:
            raise ValueError(f"{cpus:,} CPUs times {n:,} cgroups is more than {STATE_MAX:,}; take fewer of either.")
        if root is not None:
            root = whole_number("root", root, 0, n - 1)
            if parents[root] != -1:
                raise ValueError(f"root is memcg {root}, which has the parent {parents[root]}; the root has none.")
        self.parents, self.policy, self.underflow = parents, policy, underflow
        self.root, self.legacy, self.memsw = root, legacy, memsw

        counter = np.zeros(3 * n, records.counter_dtype)
        for kind in range(3):
            counter["parent"][kind * n : (kind + 1) * n] = [p + kind * n if p >= 0 else -1 for p in parents]
        counter["limit"] = PAGE_COUNTER_MAX
        counter["limit"][:n] = _limits("limits", limits, n)
        memcg = np.zeros(n, records.memcg_dtype)
        memcg["high"] = _limits("highs", highs, n)
        stock = np.zeros((cpus, policy.slots), records.stock_dtype)
        stock["memcg"] = -1
        self._arrays = {
            "counter": counter,
            "memcg": memcg,
            "stock": stock,
            "sock": np.zeros((cpus, n), np.int64),
            "work": np.zeros((cpus, len(records.WORK)), np.int64),
            "total": np.zeros(len(records.TOTAL), np.int64),
            "socket": self._sockets(sockets, n),
            "proto": _protocol(tcp_mem, len(sockets)),
            **self._kernel_pages(cpus, mins, lows),
        }

    @classmethod
    def chain(cls, depth, *, cpus, **options):
        """A root with ``depth`` levels below it; a charge to the last one meets depth + 1 counters."""
        depth = whole_number("depth", depth, 1, MEMCGS_MAX - 1)
        return cls(range(-1, depth), cpus=cpus, **options)

    @classmethod
    def siblings(cls, number, *, cpus, **options):
        """A root with ``number`` cgroups side by side below it."""
        number = whole_number("number", number, 1, MEMCGS_MAX - 1)
        return cls([-1] + [0] * number, cpus=cpus, **options)

    # --- one operation at a time ------------------------------------------------------------------------------------
    def charge_skmem(self, *, cpu, memcg, nr_pages, ctx="softirq"):
        """Charge socket pages; they are charged whatever the answer.

        Parameters
        ----------
        cpu, memcg : int
            ``memcg`` is never the root.
        nr_pages : int
            1 to 2,147,483,647.
        ctx : {"softirq", "task"}
            In softirq nothing may sleep, so there is no reclaim and no drain.

        Returns
        -------
        bool
            False if the pages did not fit and were forced.

        Raises
        ------
        ValueError
            If an argument is out of range. The state is unchanged.

        Notes
        -----
        Kernel: ``mem_cgroup_charge_skmem`` in ``mm/memcontrol.c``, v4.13; the patch did not change it.

        Examples
        --------
        >>> System.chain(depth=1, cpus=1, limits=[-1, 4]).charge_skmem(cpu=0, memcg=1, nr_pages=5)
        False
        """
        return self._one("charge_skmem", cpu, memcg, nr_pages, ctx) == 1

    def uncharge_skmem(self, *, cpu, memcg, nr_pages, ctx="softirq"):
        """Give socket pages back: to the counters before the patch, into this CPU's stock after it.

        Parameters
        ----------
        cpu, memcg : int
        nr_pages : int
            At most what the cgroup's sockets hold.

        Raises
        ------
        ValueError
            If an argument is out of range, or more is given back than is held (with ``underflow="refuse"``). The
            state is unchanged.

        Notes
        -----
        Kernel: ``mem_cgroup_uncharge_skmem`` in ``mm/memcontrol.c``, v4.13 and 475d048.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=1)
        >>> s.uncharge_skmem(cpu=0, memcg=1, nr_pages=1)
        Traceback (most recent call last):
        memcg_lab.system.Refusal: uncharge_skmem: gives back 1, but memcg 1 holds 0 pages; charge first, or use \
underflow="record".
        """
        self._one("uncharge_skmem", cpu, memcg, nr_pages, ctx)

    def try_charge(self, *, cpu, memcg, nr_pages, ctx="task"):
        """Charge pages that are not socket memory: 0, or -12 (ENOMEM).

        Parameters
        ----------
        cpu, memcg, nr_pages : int
            The root is not charged and always answers 0.
        ctx : {"task", "softirq"} or int
            Or flags of ``mechanism/records.py`` added up (``NORETRY``, ``NOFAIL``, ``DYING``, ``IN_OOM``).

        Raises
        ------
        ValueError
            If an argument is out of range. The state is unchanged.

        Notes
        -----
        Kernel: ``try_charge`` in ``mm/memcontrol.c``, v4.13.

        Examples
        --------
        >>> System.chain(depth=1, cpus=1, limits=[-1, 4]).try_charge(cpu=0, memcg=1, nr_pages=5)
        -12
        """
        return self._one("try_charge", cpu, memcg, nr_pages, ctx)

    def cancel_charge(self, *, cpu, memcg, nr_pages):
        """Give back pages of :meth:`try_charge`, past the stock.

        Parameters
        ----------
        cpu, memcg : int
        nr_pages : int
            At most what :meth:`try_charge` charged and nobody gave back. The root ignores it.

        Raises
        ------
        ValueError
            If an argument is out of range, or more is given back than is held. The state is unchanged.

        Notes
        -----
        Kernel: ``cancel_charge`` in ``mm/memcontrol.c``, v4.13; ``uncharge_batch`` does the same to the counters. The
        patch changed neither.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=1)
        >>> _ = s.try_charge(cpu=0, memcg=1, nr_pages=40)
        >>> s.cancel_charge(cpu=0, memcg=1, nr_pages=40)
        >>> s.usage
        array([0, 0])
        """
        self._one("cancel_charge", cpu, memcg, nr_pages, "task")

    def drain_local_stock(self, *, cpu):
        """Drain one CPU's stock: its pages and references go back, and the cgroup is forgotten.

        Parameters
        ----------
        cpu : int

        Raises
        ------
        ValueError
            If an argument is out of range. The state is unchanged.

        Notes
        -----
        Kernel: ``drain_local_stock`` in ``mm/memcontrol.c``, v4.13.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=1)
        >>> _ = s.charge_skmem(cpu=0, memcg=1, nr_pages=1)
        >>> s.drain_local_stock(cpu=0)
        >>> s.usage, s.stock
        (array([1, 1]), [Stock(memcg=-1, nr_pages=0)])
        """
        self._one("drain_local", cpu, -1, 0, "task")

    def drain_all_stock(self, *, cpu, memcg):
        """Drain every stock that holds pages of this cgroup or of one below it.

        Parameters
        ----------
        cpu : int
            The CPU that asks; the others get work sent, which runs at once here.
        memcg : int
            The top of the subtree; the root means every stock.

        Raises
        ------
        ValueError
            If an argument is out of range. The state is unchanged.

        Notes
        -----
        Kernel: ``drain_all_stock`` in ``mm/memcontrol.c``, v4.13. There the work is asynchronous.

        Examples
        --------
        >>> s = System.siblings(2, cpus=2)
        >>> _ = s.charge_skmem(cpu=0, memcg=1, nr_pages=1), s.charge_skmem(cpu=1, memcg=2, nr_pages=1)
        >>> s.drain_all_stock(cpu=0, memcg=2)
        >>> s.stock
        [Stock(memcg=1, nr_pages=31), Stock(memcg=-1, nr_pages=0)]
        """
        self._one("drain_all", cpu, memcg, 0, "task")

    def cpu_dead(self, *, cpu):
        """A CPU goes away and its stock is drained; a later operation on it brings it back.

        Parameters
        ----------
        cpu : int

        Raises
        ------
        ValueError
            If an argument is out of range. The state is unchanged.

        Notes
        -----
        Kernel: ``memcg_hotplug_cpu_dead`` in ``mm/memcontrol.c``, v4.13.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=2)
        >>> _ = s.charge_skmem(cpu=1, memcg=1, nr_pages=1)
        >>> s.cpu_dead(cpu=1)
        >>> s.work().drains_cpu_dead
        1
        """
        self._one("cpu_dead", cpu, -1, 0, "task")

    def set_limit(self, *, cpu, memcg, nr_pages):
        """Set the limit as cgroup v1 does: refused while more is in use.

        Parameters
        ----------
        cpu, memcg : int
        nr_pages : int
            0 to 2,251,799,813,685,247; -1 = max.

        Returns
        -------
        int
            0, or -16 (EBUSY).

        Raises
        ------
        ValueError
            If an argument is out of range. The state is unchanged.

        Notes
        -----
        Kernel: ``page_counter_limit`` in ``mm/page_counter.c``, v4.13.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=1)
        >>> _ = s.try_charge(cpu=0, memcg=1, nr_pages=40)
        >>> s.set_limit(cpu=0, memcg=1, nr_pages=39), s.set_limit(cpu=0, memcg=1, nr_pages=40)
        (-16, 0)
        """
        return self._one("set_limit", cpu, memcg, nr_pages, "task")

    def set_max(self, *, cpu, memcg, nr_pages):
        """Write ``memory.max``: it holds at once; then a drain and reclaim push usage down as far as they can.

        Parameters
        ----------
        cpu, memcg : int
        nr_pages : int
            0 to 2,251,799,813,685,247; -1 = max.

        Raises
        ------
        ValueError
            If an argument is out of range. The state is unchanged.

        Notes
        -----
        Kernel: ``memory_max_write`` in ``mm/memcontrol.c``, v4.13. Where the kernel would kill a task, we stop.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=1)
        >>> _ = s.charge_skmem(cpu=0, memcg=1, nr_pages=20)
        >>> s.set_max(cpu=0, memcg=1, nr_pages=20)
        >>> s.usage, s.work().drains_all
        (array([20, 20]), 1)
        """
        self._one("set_max", cpu, memcg, nr_pages, "task")

    def set_high(self, *, cpu, memcg, nr_pages):
        """Write ``memory.high``: what is above it is reclaimed once.

        Parameters
        ----------
        cpu, memcg : int
        nr_pages : int
            0 to 2,251,799,813,685,247; -1 = max.

        Raises
        ------
        ValueError
            If an argument is out of range. The state is unchanged.

        Notes
        -----
        Kernel: ``memory_high_write`` in ``mm/memcontrol.c``, v4.13.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=1)
        >>> _ = s.charge_skmem(cpu=0, memcg=1, nr_pages=20)
        >>> s.set_high(cpu=0, memcg=1, nr_pages=20)
        >>> s.work().reclaim
        1
        """
        self._one("set_high", cpu, memcg, nr_pages, "task")

    def socket_op(self, name, *, cpu, sk, nr_bytes=0, ctx="softirq"):
        """One operation of the socket layer.

        Parameters
        ----------
        name : str
            ``sk_wmem_schedule``, ``sk_rmem_schedule``, ``sk_forced_mem_schedule`` charge in advance;
            ``sk_queue_send``, ``sk_queue_receive`` use what is charged; ``sk_free_send``, ``sk_free_receive`` free it;
            ``sk_mem_reclaim``, ``sk_mem_reclaim_partial`` give whole pages back.
        cpu, sk : int
            The CPU and the socket.
        nr_bytes : int
            1 to 2,147,483,647; not used by the reclaim operations.

        Returns
        -------
        int
            1 or 0 for the schedule operations, else 0.

        Raises
        ------
        ValueError
            If an argument is out of range, more is queued than was scheduled, or more is freed than is queued.

        Notes
        -----
        Kernel: ``include/net/sock.h``, ``net/core/sock.c``, v4.13.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=2, sockets=[1])
        >>> s.socket_op("sk_rmem_schedule", cpu=0, sk=0, nr_bytes=5000)
        1
        >>> s.socket(0)["forward_alloc"], s.work().protocol
        (8192, 1)
        """
        _among(name, "sk_wmem_schedule", "sk_mem_reclaim_partial", "a socket")
        return self._one(name, cpu, sk, nr_bytes, ctx, "nr_bytes")

    def kernel_op(self, name, *, cpu, memcg, nr, ctx="task"):
        """One operation on kernel pages or objects, by the rules of v6.1: both go through the stock.

        Parameters
        ----------
        name : str
            ``kmem_charge`` and ``kmem_uncharge`` take whole pages; ``obj_charge`` and ``obj_uncharge`` bytes;
            ``slab_alloc`` and ``slab_free`` what ``mechanism.records.slab_nr`` says.
        cpu, memcg : int
            ``memcg`` is never the root.
        nr : int
            Pages or bytes, 1 to 2,147,483,647.
        ctx : {"task", "softirq"} or int
            Or flags of ``mechanism/records.py`` added up.

        Returns
        -------
        int
            0, or -12 (ENOMEM) for what charges; then nothing is charged.

        Raises
        ------
        ValueError
            If an argument is out of range, more is given back than is held, or the policy's path is not that of v6.1.

        Notes
        -----
        Kernel: ``obj_cgroup_charge_pages``, ``obj_cgroup_charge`` and their counterparts in ``mm/memcontrol.c``, v6.1.

        Examples
        --------
        >>> from memcg_lab import V6_1
        >>> s = System.chain(depth=1, cpus=1, policy=V6_1)
        >>> s.kernel_op("obj_charge", cpu=0, memcg=1, nr=100)
        0
        >>> s.kmem, s.stock, s.snapshot()["obj_stock"]
        (array([0, 1]), [Stock(memcg=1, nr_pages=63)], [[1, 3996]])
        """
        _among(name, "kmem_charge", "slab_free", "kernel pages")
        return self._one(name, cpu, memcg, nr, ctx, "nr")

    def set_socket_pressure(self, memcg, on):
        """Say that reclaim found the cgroup short of memory; its sockets and those below see it.

        Parameters
        ----------
        memcg : int
        on : bool

        Raises
        ------
        ValueError
            If the cgroup does not exist.

        Notes
        -----
        Kernel: ``memcg->socket_pressure``, v4.13, which holds for a second there.

        Examples
        --------
        >>> System.chain(depth=1, cpus=1).set_socket_pressure(1, True)
        """
        self._arrays["memcg"]["socket_pressure"][whole_number("memcg", memcg, 0, len(self.parents) - 1)] = flag(
            "on", on
        )

    # --- streams ----------------------------------------------------------------------------------------------------
    def replay(self, ops):
        """Execute a stream of operations.

        Parameters
        ----------
        ops : ndarray of ``op_dtype``, shape (n,)
            See ``memcg_lab.workload`` for generators.

        Returns
        -------
        Work
            What this stream cost.

        Raises
        ------
        ValueError
            If the array has another dtype or an operation is not allowed. The state is as before the stream.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=1)
        >>> s.replay(op("charge_skmem", cpu=0, memcg=1, nr=1))
        Work(2 atomics, 0 stock hits, 1 misses, 0 drains of 0 pages, 0 refused)
        """
        before = self.work()
        self._run(ops, None)
        return self.work() - before

    def step_through(self, ops):
        """Execute a stream and write down every step.

        Parameters
        ----------
        ops : ndarray of ``op_dtype``, shape (n,)
            At most 100,000 operations: a log is for looking at.

        Returns
        -------
        StepLog

        Raises
        ------
        ValueError
            As :meth:`replay`; also if the stream is too long.

        Examples
        --------
        >>> System.chain(depth=1, cpus=1).step_through(op("charge_skmem", cpu=0, memcg=1, nr=1))
        StepLog(10 steps of 1 operations, 2 atomics)
        """
        check_stream(ops)
        if len(ops) > LOG_OPS_MAX:
            raise ValueError(f"{len(ops):,} operations; a step log takes at most {LOG_OPS_MAX:,}. Use replay for more.")
        rows = LOG_ROWS + 16 * len(ops)
        backup = self._backup()
        while True:
            log = np.zeros(rows, steps.step_dtype)
            self._run(ops, log)
            missing = int(log[0]["after"])
            if not missing:
                return StepLog(log[1 : int(log[0]["before"]) + 1].copy(), len(self.parents), self.policy.slots)
            self._restore(backup)
            rows += missing + 1

    # --- looking ----------------------------------------------------------------------------------------------------
    @property
    def cpus(self):
        """Number of CPUs."""
        return self._arrays["work"].shape[0]

    @property
    def usage(self):
        """``memory.current`` of each cgroup in pages; int64, shape (memcgs,)."""
        return self._arrays["counter"]["count"][: len(self.parents)].copy()

    @property
    def stock(self):
        """Each CPU's ``Stock(memcg, nr_pages)``; memcg -1 = nothing cached. With several slots, lists of them."""
        rows = [[Stock(int(s["memcg"]), int(s["nr_pages"])) for s in cpu] for cpu in self._arrays["stock"]]
        return [row[0] for row in rows] if self.policy.slots == 1 else rows

    @property
    def sock(self):
        """MEMCG_SOCK of each cgroup in pages, summed over the CPUs; int64, shape (memcgs,)."""
        return self._arrays["sock"].sum(axis=0)

    @property
    def kmem(self):
        """MEMCG_KMEM of each cgroup in pages, summed over the CPUs; int64, shape (memcgs,). Empty before v6.1."""
        return self._arrays["kmem"].sum(axis=0)

    @property
    def faults(self):
        """How often a counter went below zero (the kernel's WARN), and how many uncharges were more than was held."""
        total = self._arrays["total"]
        return {"negative_counter": int(total[records.WARN]), "underflow": int(total[records.UNDERFLOW])}

    @property
    def last_return(self):
        """What the last operation returned to its caller in the kernel."""
        return int(self._arrays["total"][records.RET])

    def socket(self, sk):
        """The fields of one socket, in bytes."""
        if not len(self._arrays["socket"]):
            raise ValueError("this system was made without sockets.")
        row = self._arrays["socket"][whole_number("socket", sk, 0, len(self._arrays["socket"]) - 1)]
        return {name: int(row[name]) for name in records.socket_dtype.names if name != "spare"}

    def protocol(self):
        """The fields all sockets of the protocol share: pages, but ``rmem_min`` and ``wmem_min`` in bytes."""
        return {name: int(self._arrays["proto"][0][name]) for name in records.proto_dtype.names}

    def work(self):
        """All work since the system was made."""
        counter, total = self._arrays["counter"], self._arrays["total"]
        per_cpu = dict(zip(records.WORK, self._arrays["work"].sum(axis=0).tolist(), strict=True))
        return Work(
            **{kind: int(counter[kind].sum()) for kind in ("add", "sub", "xchg")},
            **per_cpu,
            reclaim=int(total[records.RECLAIM]),
            oom=int(total[records.OOM]),
            remote_works=int(total[records.REMOTE_WORKS]),
            protocol=int(self._arrays["proto"][0]["atomics"]),
            objects=int(total[records.OBJ_ADD] + total[records.OBJ_XCHG]),
            protection=int(total[records.PROTECTION_ADD] + total[records.PROTECTION_XCHG]),
        )

    def atomics_by_memcg(self):
        """Atomic adds and subtracts on each cgroup's memory counter; int64, shape (memcgs,)."""
        counter = self._arrays["counter"][: len(self.parents)]
        return counter["add"] + counter["sub"]

    def snapshot(self):
        """The visible state as plain Python values, under the names of the golden files (``data/golden``).

        ``stock`` has [memcg, pages] for each CPU; with several slots, a list of such pairs for each CPU.
        """
        n = len(self.parents)
        counter, memcg, total = (self._arrays[name] for name in ("counter", "memcg", "total"))
        memory, stock = counter[:n], self._arrays["stock"].tolist()
        state = {
            "usage": memory["count"].tolist(),
            "max": memory["watermark"].tolist(),
            "failcnt": memory["failcnt"].tolist(),
            "limit": memory["limit"].tolist(),
            "css": memcg["css"].tolist(),
            "sock": self.sock.tolist(),
            "stock": [list(cpu[0]) if self.policy.slots == 1 else [list(slot) for slot in cpu] for cpu in stock],
            "sock_cpu": self._arrays["sock"].T.tolist(),
            "rmw": {kind: int(counter[kind].sum()) for kind in ("add", "sub", "xchg")},
            "rmw_by": self.atomics_by_memcg().tolist(),
            "ev_max": memcg["ev_max"].tolist(),
            "ev_oom": memcg["ev_oom"].tolist(),
            "reclaim": int(total[records.RECLAIM]),
            "oom": int(total[records.OOM]),
            "remote_works": int(total[records.REMOTE_WORKS]),
            "over_high": int(total[records.OVER_HIGH]),
            "high_work": int(total[records.HIGH_WORK]),
        }
        if self.policy.path.kernel_pages:
            state |= self._kernel_snapshot()
        if self.legacy:
            tcpmem = counter[2 * n :]
            state["tcpmem"] = tcpmem["count"].tolist()
            state["tcpmem_failcnt"] = tcpmem["failcnt"].tolist()
            state["tcpmem_pressure"] = memcg["tcpmem_pressure"].tolist()
        if self.memsw:
            memsw = counter[n : 2 * n]
            state["memsw"] = memsw["count"].tolist()
            state["memsw_failcnt"] = memsw["failcnt"].tolist()
        if total[records.WARN]:
            state["warn"] = 1
        return state

    def _beyond(self):
        """What two systems can differ in beyond their snapshots, but the policy."""
        n = len(self.parents)
        arrays, memcg = self._arrays, self._arrays["memcg"]
        counter = arrays["counter"]
        state = {name: getattr(self, name) for name in ("parents", "root", "legacy", "memsw", "underflow")}
        state |= {name: memcg[name].tolist() for name in ("high", "socket_pressure", "held", "sock_held")}
        state |= {f"{name}_by": counter[name].tolist() for name in ("add", "sub", "xchg")}
        state |= {f"{name}_v1": counter[name][n:].tolist() for name in ("count", "limit", "watermark", "failcnt")}
        state["tcpmem_pressure"] = memcg["tcpmem_pressure"].tolist()
        state["sockets"] = [self.socket(sk) for sk in range(len(arrays["socket"]))]
        state["protocol"] = self.protocol()
        state["work"] = arrays["work"].tolist()
        state["total"] = dict(zip(records.TOTAL, arrays["total"].tolist(), strict=True))
        beyond = {"objcg": ("kmem_held", "obj_held"), "upward": ("memory_min", "memory_low", "min_told", "low_told")}
        for array, fields_ in beyond.items():
            state |= {name: arrays[array][name].tolist() for name in fields_}
        return state

    def _kernel_snapshot(self):
        """What the snapshot of a generation holds whose kernel pages go through the stock."""
        obj_stock, objcg, upward = (self._arrays[name] for name in ("obj_stock", "objcg", "upward"))
        total = self._arrays["total"]
        rmw = {kind: int(self._arrays["counter"][kind].sum()) for kind in ("add", "sub", "xchg")}
        names = {"oadd": "obj_add", "oxchg": "obj_xchg", "padd": "protection_add", "pxchg": "protection_xchg"}
        return {
            "high": self._arrays["memcg"]["high"].tolist(),
            "kmem": self.kmem.tolist(),
            "kmem_cpu": self._arrays["kmem"].T.tolist(),
            "obj_stock": [[row["objcg"].item(), row["nr_bytes"].item()] for row in obj_stock],
            "obj_vm": [[row[name].item() for name in ("node", "reclaimable", "unreclaimable")] for row in obj_stock],
            "slab": self._arrays["slab"].tolist(),
            "nr_charged_bytes": objcg["nr_charged_bytes"].tolist(),
            "obj_ref": objcg["ref"].tolist(),
            "rmw": rmw | {short: int(total[records.TOTAL.index(name)]) for short, name in names.items()},
            "ev_max_h": upward["ev_max"].tolist(),
            "ev_oom_h": upward["ev_oom"].tolist(),
            "handle_high": int(total[records.HANDLE_HIGH]),
        }

    def invariants(self):
        """What must hold between operations, checked now: a list of ``Invariant(name, holds, detail)``.

        Examples
        --------
        >>> [i.name for i in System.chain(depth=1, cpus=1).invariants() if not i.holds]
        []
        """
        n = len(self.parents)
        memcg, stock = self._arrays["memcg"], self._arrays["stock"].ravel()
        in_stock = np.zeros(n, np.int64)
        filled, strange = stock[(stock["memcg"] >= 0) & (stock["memcg"] < n)], stock["memcg"][stock["memcg"] >= n]
        np.add.at(in_stock, filled["memcg"], filled["nr_pages"])
        in_use = memcg["held"] + (0 if self.legacy else memcg["sock_held"])
        if self.policy.path.kernel_pages:
            in_use = in_use + self.kmem
        subtree = in_use + in_stock
        for child in range(n - 1, -1, -1):  # parents stand before their children
            if self.parents[child] >= 0:
                subtree[self.parents[child]] += subtree[child]
        held = 0 if self.legacy else memcg["sock_held"]
        bound = self.policy.stock_bound
        fullest = int(stock["nr_pages"].max())
        return [
            _same("usage = pages in use + pages in stocks, over the subtree", self.usage, subtree),
            self._references(in_use + in_stock, filled["memcg"]),
            _same("sock = pages the sockets hold", self.sock, held),
            Invariant(
                "no stock exceeds its bound",
                bound is None or fullest <= bound,
                f"fullest {fullest} pages, bound {'none' if bound is None else bound}",
            ),
            Invariant(
                "an empty owner holds no pages",
                not stock["nr_pages"][stock["memcg"] < 0].any() and fullest >= 0 and int(stock["nr_pages"].min()) >= 0,
                "stock without a cgroup, or below zero",
            ),
            self._ledger(),
            Invariant("no counter is below zero", not any(self.faults.values()), str(self.faults)),
            *([self._objects()] if self.policy.path.kernel_pages else []),
            *[Invariant("a stock's owner is a cgroup of the tree", False, f"memcg {m}") for m in strange[:1].tolist()],
        ]

    def mechanism_state(self, log=None):
        """The arrays themselves, in the form that compiled rules take; ``log`` is a step log or None."""
        arrays = {name: _jit.records(a) if a.dtype.names else a for name, a in self._arrays.items()}
        return records.State(
            **arrays,
            log=_jit.records(log),
            root=-1 if self.root is None else self.root,
            legacy=int(self.legacy),
            memsw=int(self.memsw),
        )

    def _ledger(self):
        """What is held is our own book: never below zero, and never less than the sockets own."""
        memcg, objcg, socket = (self._arrays[name] for name in ("memcg", "objcg", "socket"))
        sums = {
            "other pages": memcg["held"],
            "socket pages": memcg["sock_held"],
            "kernel pages": objcg["kmem_held"],
            "bytes of objects": objcg["obj_held"],
        }
        low = [f"memcg {int(s.argmin())}: {int(s.min())} {what}" for what, s in sums.items() if s.size and s.min() < 0]
        owned = np.zeros(len(memcg), np.int64)
        charged = sum(socket[name] for name in ("forward_alloc", "rmem_alloc", "wmem_queued", "wmem_alloc"))
        mine = socket["memcg"] >= 0
        np.add.at(owned, socket["memcg"][mine], charged[mine] // records.SK_MEM_QUANTUM)
        for m in np.flatnonzero(owned > memcg["sock_held"]).tolist():
            low.append(f"memcg {m}: {memcg['sock_held'][m]} socket pages, of which its sockets own {owned[m]}")
        return Invariant("nobody holds less than nothing", not low, "; ".join(low))

    def _objects(self):
        """Bytes of kernel pages: in whole pages, in objects, in object stocks, and left for other CPUs."""
        objcg, stock = self._arrays["objcg"], self._arrays["obj_stock"]
        bytes_ = objcg["obj_held"] + objcg["nr_charged_bytes"] + records.PAGE_SIZE * objcg["kmem_held"]
        filled = stock[stock["objcg"] >= 0]
        np.add.at(bytes_, filled["objcg"], filled["nr_bytes"])
        return _same(
            "kernel pages = pages and objects in use + bytes kept for objects", records.PAGE_SIZE * self.kmem, bytes_
        )

    def _references(self, pages, cached):
        css = self._arrays["memcg"]["css"]
        if self.policy.css_by_page:
            return _same("references = pages in use + pages in stocks", css, pages)
        return _same("references = stocks that cache the cgroup", css, np.bincount(cached, minlength=len(css)))

    def copy(self, policy=None):
        """An independent copy; with a policy, one that goes on under other rules.

        Parameters
        ----------
        policy : Policy, optional

        Returns
        -------
        System

        Raises
        ------
        ValueError
            If the state could not have come about under that policy: another number of slots, a stock above its bound,
            another charge path or another kind of references while pages are held or lie in stocks. An empty
            system takes any policy that models what it has (cgroup v1, sockets, protection).

        Examples
        --------
        >>> from memcg_lab import V6_1
        >>> System.chain(depth=1, cpus=1).copy(policy=V6_1)
        System(v6.1, 1 cpu, 2 memcgs, usage [0 0])
        """
        twin = object.__new__(System)
        twin.__dict__.update(self.__dict__)
        twin._arrays = self._backup()
        if policy is not None:
            _check_policy(policy)
            self._check_change(policy)
            twin.policy = policy
            if policy.path != self.policy.path:
                twin._arrays |= twin._kernel_pages(self.cpus, None, None)
        return twin

    def _check_change(self, policy):
        """Refuse a policy under which the present state could not have come about."""
        old, stock = self.policy, self._arrays["stock"]
        if policy.slots != old.slots:
            raise ValueError(f"{policy.name} has {policy.slots} slots, this system {old.slots}.")
        if policy.path != old.path:
            upward = self._arrays["upward"]
            protected = upward["memory_min"].any() or upward["memory_low"].any()
            for what, here, modelled in (
                ("cgroup v1", self.legacy, policy.path.legacy),
                ("sockets", len(self._arrays["socket"]), policy.path.sockets),
                ("memory.min or memory.low", protected, policy.path.kernel_pages),
            ):
                if here and not modelled:
                    raise ValueError(f"this system has {what}; for {policy.name} that is not modelled.")
        held = self.usage.any() or self._arrays["memcg"]["css"].any() or (stock["memcg"] >= 0).any()
        held = held or (self._arrays["obj_stock"]["objcg"] >= 0).any()
        if held and (policy.path, policy.css_by_page) != (old.path, old.css_by_page):
            what = "references" if policy.path == old.path else "charges"
            raise ValueError(
                f"{policy.name} counts {what} otherwise than {old.name}, and some are held or lie in stocks; give "
                "everything back and drain the stocks first."
            )
        fullest = int(stock["nr_pages"].max())
        if policy.stock_bound is not None and fullest > policy.stock_bound:
            raise ValueError(
                f"a stock holds {words.count(fullest, 'page')}; with {policy.name} none can hold more than "
                f"{policy.stock_bound}. Drain it first."
            )

    def compare(self, other):
        """What two systems differ in: a list of (name, here, there), empty if nothing.

        Everything but the policy is compared: first what :meth:`snapshot` has, then what it leaves out.

        Raises
        ------
        ValueError
            If the other is no System.

        Examples
        --------
        >>> s = System.chain(depth=1, cpus=1)
        >>> other = s.copy()
        >>> other.set_high(cpu=0, memcg=1, nr_pages=5)
        >>> s.compare(other)
        [('high', [2251799813685247, 2251799813685247], [2251799813685247, 5])]
        """
        if not isinstance(other, System):
            raise ValueError(f"a System is compared with another one, not with {words.kind(other)}.")
        here, there = self.snapshot(), other.snapshot()
        names = {**here, **there}
        here, there = self._beyond() | here, other._beyond() | there
        names |= {**here, **there}
        return [(name, here.get(name), there.get(name)) for name in names if here.get(name) != there.get(name)]

    def __repr__(self):
        usage = " ".join(str(pages) for pages in self.usage[:8])
        more = " ..." if len(self.parents) > 8 else ""
        cpus = "1 cpu" if self.cpus == 1 else f"{self.cpus} cpus"
        return f"System({self.policy.name}, {cpus}, {len(self.parents)} memcgs, usage [{usage}{more}])"

    # --- inside -----------------------------------------------------------------------------------------------------
    def _sockets(self, memcgs, n):
        socket = np.zeros(len(memcgs), records.socket_dtype)
        socket["stream"] = 1
        socket["sndbuf"] = 1 << 20
        for number, memcg in enumerate(memcgs):
            memcg = -1 if memcg is None else whole_number(f"memcg of socket {number}", memcg, 0, n - 1)
            socket[number]["memcg"] = -1 if memcg == self.root else memcg
        return socket

    def _kernel_pages(self, cpus, mins, lows):
        """The arrays of kernel pages and objects; empty where they do not go through the stock."""
        n = len(self.parents) if self.policy.path.kernel_pages else 0
        cpus = cpus if n else 0
        obj_stock = np.zeros(cpus, records.obj_stock_dtype)
        obj_stock["objcg"] = obj_stock["node"] = -1
        upward = np.zeros(n, records.upward_dtype)
        for name, values in (("memory_min", mins), ("memory_low", lows)):
            if values is not None:
                upward[name] = _limits(name, values, n, 0)
        return {
            "kmem": np.zeros((cpus, n), np.int64),
            "obj_stock": obj_stock,
            "objcg": np.zeros(n, records.objcg_dtype),
            "slab": np.zeros((n, records.NODES, 2), np.int64),
            "upward": upward,
        }

    def _halt(self):
        self._arrays["total"][records.HALT] = 1

    def _backup(self):
        return {name: _copied(array) for name, array in self._arrays.items()}

    def _restore(self, backup):
        if backup is None:
            return
        for name, array in backup.items():
            self._arrays[name][...] = array

    def _one(self, name, cpu, memcg, nr, ctx, nr_name="nr_pages"):
        number = as_whole(nr)
        if number is None or number.bit_length() > 63:  # what is allowed of those that fit, the mechanism says
            raise ValueError(f"{name}: {nr_name} is {shown(nr)}; it must be a whole number of at most 63 bits.")
        one = op(name, cpu=cpu, memcg=memcg, nr=nr, ctx=ctx)
        self._run(one, None)
        return self.last_return

    def _run(self, ops, log):
        check_stream(ops)
        run = bind(self.policy, bool(len(self._arrays["socket"])))
        # A single operation is refused before it changes anything. So the state is put by only for a stream, and where
        # an operation may stop half way: in a reader's rule, or interrupted where nothing is compiled.
        backup = None if len(ops) == 1 and self.policy.packaged and _jit.JIT else self._backup()
        state = self.mechanism_state(log)
        refuse = self.underflow == "refuse"
        arguments = (state, _jit.records(_plain(ops[:SLICE])), refuse)
        start = 0
        try:
            while True:
                if self.policy.packaged:
                    done, reason, allowed = run(*arguments)
                else:
                    done, reason, allowed = _jit.run_checked(run, arguments, self._halt)
                start += int(done)
                if reason or start >= len(ops):
                    break
                arguments = (state, _jit.records(_plain(ops[start : start + SLICE])), refuse)
        except BaseException as error:  # a reader's rule, or an interrupt, may stop a stream anywhere
            if isinstance(error, KeyboardInterrupt) and error.args == (True,):
                self._arrays = backup  # the rule is running still, on the arrays that were
            self._restore(backup)
            if isinstance(error, IndexError):
                fault = (
                    "put a cgroup above its own parent"
                    if "parent" in str(error)
                    else "used an index that does not exist"
                )
                raise ValueError(f"a rule of {self.policy.name} {fault}.") from error
            raise
        if reason:
            row = ops[start]
            pages = reason == BAD_UNDERFLOW and row["op"] == records.UNCHARGE_SKMEM
            owned = self._arrays["memcg"]["sock_held"][row["memcg"]] - allowed if pages else 0
            self._restore(backup)
            raise Refusal(
                complaint(ops, start, int(reason), int(allowed), int(owned)), start, int(reason), int(allowed)
            )


def _plain(ops):
    """A slice of a stream as kernels take it; one that is read-only would be compiled for once more."""
    return np.require(ops, requirements=["C_CONTIGUOUS", "WRITEABLE", "ENSUREARRAY"])


def complaint(ops, number, reason, allowed, owned=0):
    """The sentence for an operation that is not allowed."""
    row = {name: int(ops[number][name]) for name in records.op_dtype.names}
    code, cpu, memcg, nr = row["op"], row["cpu"], row["memcg"], row["nr"]
    name = OPS[code] if code < len(OPS) else f"code {code}"
    place = name if len(ops) == 1 else f"op {number:,} of {len(ops):,} ({name})"
    unit = "bytes" if name.startswith(("sk_", "obj_", "slab_")) else "pages"
    is_limit = name in ("set_limit", "set_max", "set_high")
    holder = f"socket {memcg}" if name.startswith("sk_") else f"memcg {memcg}"
    beside = f" beside the {owned:,} that its sockets own" if owned > 0 else ""
    sentences = {
        BAD_OP: f"this operation does not exist; there are 0 to {len(OPS) - 1}.",
        BAD_CPU: f"CPU {cpu} does not exist; this system has 0 to {allowed - 1}.",
        BAD_MEMCG: f"memcg {memcg} does not exist; this tree has 0 to {allowed - 1}.",
        BAD_ROOT: f"memcg {memcg} is the root; sockets of the root are not accounted.",
        BAD_NR: f"{nr:,} {unit}; allowed are {'-1 (max), 0' if is_limit else '1'} to {allowed:,}.",
        BAD_KERNEL: "kernel pages do not go through the stock in this policy; V6_1 has them.",
        BAD_UNDERFLOW: f"gives back {nr:,}, but {holder} holds {allowed:,} {unit}{beside}; "
        'charge first, or use underflow="record".',
        BAD_SOCKET: f"socket {memcg} does not exist; "
        + (f"this system has 0 to {allowed - 1}." if allowed else "this system was made without sockets."),
        BAD_FORWARD: f"{nr:,} bytes are queued, but socket {memcg} has {allowed:,} charged in advance; schedule first.",
    }
    return f"{place}: {sentences[reason]}"


def _context(ctx):
    if isinstance(ctx, str):
        if ctx not in CONTEXTS:
            raise ValueError(f'ctx is {shown(ctx)}; it must be "task", "softirq" or flags.')
        return CONTEXTS[ctx]
    return whole_number("ctx", ctx, 0, CONTEXT_MAX)


def _among(name, first, last, what):
    """Refuse an operation that is not one of those from the first to the last."""
    names = OPS[OPS.index(first) : OPS.index(last) + 1]
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"{shown(name)} is no operation on {what}; those are {', '.join(names)}.")


def _copied(array):
    """A copy; of a large table by CPU, memory is taken for the rows that hold something alone."""
    if array.ndim < 2 or array.dtype.names or array.nbytes < 1 << 20:
        return array.copy()
    twin, used = np.zeros(array.shape, array.dtype), array.any(axis=1)
    twin[used] = array[used]
    return twin


def _check_policy(policy):
    if not isinstance(policy, Policy):
        raise ValueError(f"policy is {shown(policy)}; it must be a Policy such as V4_13 or V4_14.")


def _parents(parents):
    parents = several("parents", parents)
    if not 1 <= len(parents) <= MEMCGS_MAX:
        raise ValueError(f"the tree has {len(parents)} cgroups; it must have 1 to {MEMCGS_MAX:,}.")
    for memcg, parent in enumerate(parents):
        parents[memcg] = parent = whole_number(f"parent of memcg {memcg}", parent, -1, len(parents) - 1)
        if parent >= memcg:
            raise ValueError(
                f"memcg {memcg} names memcg {parent} as its parent; "
                f"a parent stands before its children, so {memcg} may name -1 to {memcg - 1}."
            )
    return parents


def _limits(what, values, n, unset=-1):
    if values is None:
        return PAGE_COUNTER_MAX
    values = several(what, values)
    if len(values) != n:
        raise ValueError(f"{what} has {len(values)} values; the tree has {n} cgroups.")
    pages = [
        unset if v is None else whole_number(f"{what}[{m}]", v, -1, PAGE_COUNTER_MAX) for m, v in enumerate(values)
    ]
    return [PAGE_COUNTER_MAX if p == -1 else p for p in pages]


def _protocol(tcp_mem, nr_sockets):
    tcp_mem = several("tcp_mem", tcp_mem)
    tcp_mem = [whole_number(f"tcp_mem[{i}]", pages, 0, PAGE_COUNTER_MAX) for i, pages in enumerate(tcp_mem)]
    if len(tcp_mem) != 3 or tcp_mem != sorted(tcp_mem):
        raise ValueError(f"tcp_mem is {tcp_mem}; it must be three numbers of pages, none below the one before.")
    proto = np.zeros(1, records.proto_dtype)
    proto["low"], proto["pressure_at"], proto["high"] = tcp_mem
    proto["nr_sockets"] = nr_sockets
    proto["rmem_min"] = proto["wmem_min"] = records.SK_MEM_QUANTUM  # bytes; tcp_rmem[0] and tcp_wmem[0] of v4.13
    return proto


def _same(name, here, there):
    wrong = np.flatnonzero(np.asarray(here) != there)
    if not wrong.size:
        return Invariant(name, True, "")
    m = int(wrong[0])
    there = np.broadcast_to(there, np.shape(here))
    return Invariant(name, False, f"memcg {m}: {int(here[m])}, not {int(there[m])}")
