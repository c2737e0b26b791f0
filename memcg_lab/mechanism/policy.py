"""Policies: which rules a kernel generation follows, and the factory that binds them into one compiled replay."""

import dis
import functools
import inspect
from collections import namedtuple
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from .. import _jit
from ..checks import flag, shown, text, whole_number
from ..words import listing
from .memcontrol import bind_memcontrol, reclaim_nothing
from .memcontrol_v6_1 import bind_memcontrol_v6_1
from .operations import bind_operations
from .records import (
    CHARGE_BATCH,
    DRAIN_LOCAL_CALL,
    NODES,
    NR_PAGES_MAX,
    PAGE_COUNTER_MAX,
    TOTAL,
    WORK,
    State,
    counter_dtype,
    memcg_dtype,
    obj_stock_dtype,
    objcg_dtype,
    proto_dtype,
    socket_dtype,
    stock_dtype,
    upward_dtype,
)
from .replay import bind_replay
from .sock import bind_sock
from .stock_v4_13 import consume_stock, drain_stock, refill_stock, uncharge_to_counter
from .stock_v4_14 import refill_stock_capped, uncharge_to_stock
from .stock_v6_1 import drain_stock_v6_1, refill_stock_v6_1, refill_stock_v6_1_capped

SLOTS_MAX = 64
RULES = ("consume", "refill", "drain", "uncharge", "reclaim")
BATCH_MAX = 2**16  # pages; far above any batch the kernel has had (32 and 64)


# How a generation charges, and what of the kernel around it is modelled.
ChargePath = namedtuple("ChargePath", "name bind kernel_pages legacy sockets")
ChargePath.__doc__ = """Everything of memcontrol but the stock's own rules.

name: str, the kernel version. bind: makes the functions (``mechanism/memcontrol*.py``). kernel_pages: kernel pages and
objects go through the stock. legacy: cgroup v1 is modelled. sockets: the socket layer above is modelled.
"""
PATH_V4_13 = ChargePath("v4.13", bind_memcontrol, kernel_pages=False, legacy=True, sockets=True)
PATH_V6_1 = ChargePath("v6.1", bind_memcontrol_v6_1, kernel_pages=True, legacy=False, sockets=False)


@dataclass(frozen=True)
class Policy:
    """One generation of the rule: constants, traits and the rule functions.

    Parameters
    ----------
    name : str
        What figures and tables call it.
    batch : int
        ``CHARGE_BATCH``, in pages; 1 to 65,536.
    slots : int
        Cgroups a CPU's stock can hold: 1 until Linux 6.15, 7 since 6.16. Rules for several slots are a reader's own.
    consume, refill, drain, uncharge : callable
        The rules, as plain Python functions or compiled ones; the signatures are those of ``mechanism/stock_v4_13.py``.
        A stock is ``st.stock[cpu, slot]``.
    reclaim : callable
        ``reclaim(st, cpu, over, nr_pages) -> pages freed``; by default nothing can be freed. It must answer 0 when
        nothing was freed: as in the kernel, a charge tries again for as long as reclaim makes progress.
    css_by_page : bool
        One reference of the cgroup for each page charged (until v5.8); else one for each slot that caches it.
    path : ChargePath
        How charges proceed when the stock does not help: ``PATH_V4_13`` (the patch did not change it) or ``PATH_V6_1``.
    bound : int, callable or None
        The most pages a slot of a stock can hold between operations, or a function that says it for a batch; None if
        the rules do not bound it. It is a claim: :meth:`System.invariants` holds the stocks against it.
    uncapped : callable or None
        ``refill`` without its cap; None if it has none.

    Raises
    ------
    ValueError
        If a constant is out of range, a rule is not callable, or the rules use fewer slots than ``slots`` says.

    Examples
    --------
    >>> V4_13.with_rules("v4.13, batch 64", batch=64).stock_bound
    63
    >>> V4_14
    Policy('v4.14', batch 32, 1 slot, refill_stock_capped, uncharge_to_stock)
    """

    name: str
    batch: int = CHARGE_BATCH
    slots: int = 1
    consume: Any = field(default=consume_stock, repr=False)
    refill: Any = field(default=refill_stock, repr=False)
    drain: Any = field(default=drain_stock, repr=False)
    uncharge: Any = field(default=uncharge_to_counter, repr=False)
    reclaim: Any = field(default=reclaim_nothing, repr=False)
    css_by_page: bool = True
    path: ChargePath = field(default=PATH_V4_13, repr=False)
    bound: Any = field(default=None, repr=False)
    uncapped: Any = field(default=None, repr=False)

    def __post_init__(self):
        text("name", self.name)
        flag("css_by_page", self.css_by_page)
        whole_number("batch", self.batch, 1, BATCH_MAX)
        whole_number("slots", self.slots, 1, SLOTS_MAX)
        for rule in RULES:
            _check_rule(rule, getattr(self, rule))
        if not isinstance(self.path, ChargePath):
            raise ValueError(f"path is {shown(self.path)}; it must be PATH_V4_13 or PATH_V6_1.")
        if self.css_by_page and self.path.kernel_pages:
            raise ValueError("css_by_page is True; the charge path of v6.1 keeps no references of pages.")
        if self.uncapped is not None and not callable(self.uncapped):
            raise ValueError(f"uncapped is {shown(self.uncapped)}; it must be a function or None.")
        if self.stock_bound is not None:
            whole_number("bound", self.stock_bound, 0, NR_PAGES_MAX)
        if self.slots > 1:
            _check_slots(self)

    def __repr__(self):
        slots = "1 slot" if self.slots == 1 else f"{self.slots} slots"
        refill, uncharge = (getattr(r, "__name__", "a rule of yours") for r in (self.refill, self.uncharge))
        return f"Policy({self.name!r}, batch {self.batch}, {slots}, {refill}, {uncharge})"

    def with_rules(self, name, **changes):
        """A copy of this policy under another name, with some constants or rules exchanged.

        What was said of the old rules, ``bound`` and ``uncapped``, is not known of new ones: say it again with them.
        In a rule an index below 0 counts from the end, as in Python; any other that does not exist is refused.

        Raises
        ------
        ValueError
            If the name is that of a policy of this library, or a part is unknown or not allowed.
        """
        unknown = changes.keys() - {each.name for each in fields(self)}
        if unknown:
            known = listing([each.name for each in fields(self)][1:])
            raise ValueError(f"{shown(min(unknown))} is no part of a policy; there are {known}.")
        if changes.keys() & {"consume", "refill", "drain", "uncharge"}:
            changes = {"bound": None, "uncapped": None, **changes}
        if isinstance(name, str) and name in POLICIES:
            raise ValueError(f"{shown(name)} is a policy of this library; give yours another name.")
        return replace(self, name=name, **changes)

    @property
    def stock_bound(self):
        """Most pages a slot of a CPU's stock can hold between operations, or None if nothing bounds it.

        Here one operation follows the other. Where only charging bounds a stock, as in v4.13, the number is nominal:
        ``try_charge`` can be preempted between its look and its trip, and each of N tasks may bring a batch. A cap
        looks after each refill, with interrupts off: that bound is hard.
        """
        return self.bound(self.batch) if callable(self.bound) else self.bound

    @property
    def capped(self):
        """True if a refill beyond the batch empties the stock."""
        return self.uncapped is not None

    @property
    def packaged(self):
        """True if all rules are part of this package: they never use a wrong index, and their machine code is kept."""
        return all(_jit.is_packaged(getattr(self, rule)) for rule in RULES)


def _check_rule(name, rule):
    """Refuse what cannot be compiled into the place of a rule."""
    if not callable(rule):
        raise ValueError(f"{name} is {shown(rule)}; it must be a function.")
    python = getattr(rule, "py_func", rule)
    if not inspect.isfunction(python):
        raise ValueError(f"{name} is {shown(rule)}; it must be a function written in Python, not a class or a builtin.")
    default = next(each.default for each in fields(Policy) if each.name == name)
    needed = inspect.signature(getattr(default, "py_func", default))
    try:
        inspect.signature(python).bind(*needed.parameters)
    except TypeError:
        raise ValueError(
            f"{name} is {python.__name__}{inspect.signature(python)}; such a rule takes {needed}."
        ) from None
    if name == "consume" and _returns_nothing(python):
        raise ValueError(f"{name} is {python.__name__}, which returns nothing; such a rule returns True or False.")


def _returns_nothing(python):
    """True if a function only ever returns None."""
    steps = list(dis.get_instructions(python))
    return all(
        before.opname == "LOAD_CONST" and before.argval is None if now.opname == "RETURN_VALUE" else now.argval is None
        for before, now in zip(steps, steps[1:])
        if now.opname in ("RETURN_VALUE", "RETURN_CONST")
    )


def one_batch(batch):
    """The bound where a stock above the batch is drained."""
    return batch


def less_than_a_batch(batch):
    """The bound where nothing but the rest of a batch goes into a stock.

    It holds for one thread. In the kernel ``try_charge`` can be preempted between its look into the stock and its
    refill, so several tasks on one CPU may each leave a rest there.
    """
    return batch - 1


POLICIES = {}  # by name; filled below

V4_13 = Policy("v4.13", bound=less_than_a_batch)  # before the patch
V4_14 = V4_13.with_rules(  # after it
    "v4.14", refill=refill_stock_capped, uncharge=uncharge_to_stock, bound=one_batch, uncapped=refill_stock
)
CAP_ONLY = V4_13.with_rules("v4.13 + cap hunk", refill=refill_stock_capped, bound=one_batch, uncapped=refill_stock)
UNCHARGE_ONLY = V4_13.with_rules("v4.13 + uncharge hunk", uncharge=uncharge_to_stock)

V6_1 = V4_14.with_rules(  # 1813e51eece0: batch 64; 1a3e1f40962c: one reference a stock
    "v6.1",
    path=PATH_V6_1,
    batch=64,
    refill=refill_stock_v6_1_capped,
    drain=drain_stock_v6_1,
    css_by_page=False,
    bound=one_batch,
    uncapped=refill_stock_v6_1,
)

POLICIES.update({policy.name: policy for policy in (V4_13, V4_14, CAP_ONLY, UNCHARGE_ONLY, V6_1)})


def bind(policy, sockets=False):
    """The compiled replay of a policy; the one factory for built-in rules, mutants and a reader's own.

    ``sockets`` adds the socket layer, which a stream of page operations does not need and need not wait for.

    Rules of this package are kept on disk as machine code; any other rule is compiled once a process.
    """
    return _bind(policy, bool(sockets))


@functools.lru_cache(maxsize=64)
def _bind(policy, sockets):
    memcontrol = bind_rules(policy)
    operations = bind_operations(memcontrol, sockets)
    return bind_replay(policy.name, memcontrol, operations, bind_sock(operations) if sockets else None)


def bind_rules(policy):
    """The cgroup functions of a policy, to be compiled into a kernel."""
    rules = {name: _jit.inline(getattr(policy, name)) for name in RULES}
    return policy.path.bind(policy.batch, **rules, css_by_page=policy.css_by_page)


# --- several slots ---------------------------------------------------------------------------------------------------
ONE_SLOT = (consume_stock, refill_stock, refill_stock_capped, refill_stock_v6_1, refill_stock_v6_1_capped)


def _check_slots(policy):
    """Refuse rules that leave slots unused; those of this package are known, a reader's are tried."""
    for name in ("consume", "refill"):
        rule = getattr(policy, name)
        if rule in ONE_SLOT:
            raise ValueError(
                f"{policy.name}: {rule.__name__} knows one slot, not {policy.slots}; give it another {name}."
            )
    if policy.packaged:
        return
    consume, refill, drain = (_jit.inline(getattr(policy, name)) for name in ("consume", "refill", "drain"))

    def try_slots(st, batch, memcgs):
        """Fill the stock of CPU 0 by one cgroup after another; drain each slot, fill again, look for each."""
        filled, found, drained = 0, 0, 0
        for memcg in range(1, memcgs):
            refill(st, batch, drain, 0, memcg, 1)
        for slot in range(st.stock.shape[1]):
            filled += st.stock[0, slot].nr_pages > 0
        for slot in range(st.stock.shape[1]):
            drain(st, 0, slot, DRAIN_LOCAL_CALL)
            drained += st.stock[0, slot].nr_pages == 0
        for memcg in range(1, memcgs):
            refill(st, batch, drain, 0, memcg, 1)
        for slot in range(st.stock.shape[1]):
            stock = st.stock[0, slot]
            memcg, nr_pages = stock.memcg, stock.nr_pages
            if memcg >= 1 and memcg < memcgs and nr_pages >= 1 and consume(st, batch, 0, memcg, 1):
                found += stock.nr_pages < nr_pages
        return filled, drained, found

    memcgs = 4 * policy.slots + 1
    run = _jit.kernel(f"the slots of {policy.name}")(try_slots)
    try:
        used = run(_one_cpu(memcgs, policy.slots), policy.batch, memcgs)
    except IndexError as error:
        raise ValueError(f"a rule of {policy.name} used an index that does not exist.") from error
    for what, number in zip(("refill fills", "drain empties", "consume finds pages in"), used):
        if number < policy.slots:
            raise ValueError(f"{policy.name} has {policy.slots} slots, but its rule {what} {int(number)} of them.")


def _one_cpu(memcgs, slots):
    """The state of one CPU and a root with cgroups side by side below it, with pages to give back."""
    counter = np.zeros(3 * memcgs, counter_dtype)
    counter["limit"], counter["count"], counter["parent"] = PAGE_COUNTER_MAX, 1 << 40, -1
    stock = np.full((1, slots), -1, stock_dtype)
    stock["nr_pages"] = 0
    return State(
        counter=_jit.records(counter),
        memcg=_jit.records(np.zeros(memcgs, memcg_dtype)),
        stock=_jit.records(stock),
        sock=np.zeros((1, memcgs), np.int64),
        work=np.zeros((1, len(WORK)), np.int64),
        total=np.zeros(len(TOTAL), np.int64),
        socket=_jit.records(np.zeros(0, socket_dtype)),
        proto=_jit.records(np.zeros(1, proto_dtype)),
        kmem=np.zeros((1, memcgs), np.int64),
        obj_stock=_jit.records(np.full(1, -1, obj_stock_dtype)),
        objcg=_jit.records(np.zeros(memcgs, objcg_dtype)),
        slab=np.zeros((memcgs, NODES, 2), np.int64),
        upward=_jit.records(np.zeros(memcgs, upward_dtype)),
        log=None,
        root=0,
        legacy=0,
        memsw=0,
    )
