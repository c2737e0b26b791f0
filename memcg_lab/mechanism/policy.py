"""Policies: which rules a kernel generation follows, and the factory that binds them into one compiled replay."""

import functools
from dataclasses import dataclass, field, replace
from typing import Any

from .. import _jit
from ..checks import whole_number
from .memcontrol import bind_memcontrol, reclaim_nothing
from .records import CHARGE_BATCH
from .replay import bind_replay
from .sock import bind_sock
from .stock_v4_13 import consume_stock, drain_stock, refill_stock, uncharge_to_counter
from .stock_v4_14 import refill_stock_capped, uncharge_to_stock
from .stock_v6_1 import drain_stock_v6_1, refill_stock_v6_1_capped

SLOTS_MAX = 64
BATCH_MAX = 2**16  # pages; far above any batch the kernel has had (32 and 64)


@dataclass(frozen=True)
class Policy:
    """One generation of the rule: constants and four rule functions.

    Parameters
    ----------
    name : str
        What figures and tables call it.
    batch : int
        ``CHARGE_BATCH``, in pages; 1 to 65,536.
    slots : int
        Cgroups a CPU's stock can hold; 1 until v6.16.
    consume, refill, drain, uncharge : callable
        The rules, as plain Python functions or compiled ones; the signatures are those of ``mechanism/stock_v4_13.py``.
    css_by_page : bool
        One reference of the cgroup for each page charged (until v5.8); else one for each stock that caches it.
    reclaim : callable
        ``reclaim(st, cpu, over, nr_pages) -> pages freed``; by default nothing can be freed. It must answer 0 when
        nothing was freed: as in the kernel, a charge tries again for as long as reclaim makes progress.
    stock_bound : int or None
        The most pages one CPU's stock can hold between operations; None if the rules do not bound it.

    Raises
    ------
    ValueError
        If a constant is out of range or a rule is not callable.

    Examples
    --------
    >>> V4_13.with_rules("v4.13, batch 64", batch=64).batch
    64
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

    def __post_init__(self):
        whole_number("batch", self.batch, 1, BATCH_MAX)
        whole_number("slots", self.slots, 1, SLOTS_MAX)
        for rule in ("consume", "refill", "drain", "uncharge", "reclaim"):
            if not callable(getattr(self, rule)):
                raise ValueError(f"{rule} is {getattr(self, rule)!r}; it must be a function.")

    def __repr__(self):
        slots = "1 slot" if self.slots == 1 else f"{self.slots} slots"
        refill, uncharge = (getattr(r, "__name__", "a rule of yours") for r in (self.refill, self.uncharge))
        return f"Policy({self.name!r}, batch {self.batch}, {slots}, {refill}, {uncharge})"

    def with_rules(self, name, **changes):
        """The same policy under another name with some constants or rules exchanged."""
        return replace(self, name=name, **changes)

    @property
    def stock_bound(self):
        """Most pages a CPU's stock can hold between operations, or None if nothing bounds it."""
        if self.refill in (refill_stock_capped, refill_stock_v6_1_capped):
            return self.batch
        if self.refill is refill_stock and self.uncharge is uncharge_to_counter:
            return self.batch - 1
        return None


V4_13 = Policy("v4.13")  # before the patch
V4_14 = V4_13.with_rules("v4.14", refill=refill_stock_capped, uncharge=uncharge_to_stock)  # after it
CAP_ONLY = V4_13.with_rules("v4.13 + cap hunk", refill=refill_stock_capped)
UNCHARGE_ONLY = V4_13.with_rules("v4.13 + uncharge hunk", uncharge=uncharge_to_stock)

V6_1 = V4_14.with_rules(  # 1813e51eece0: batch 64; 1a3e1f40962c: one reference a stock
    "v6.1", batch=64, refill=refill_stock_v6_1_capped, drain=drain_stock_v6_1, css_by_page=False
)

POLICIES = {policy.name: policy for policy in (V4_13, V4_14, CAP_ONLY, UNCHARGE_ONLY, V6_1)}


def bind(policy, sockets=False):
    """The compiled replay of a policy; the one factory for built-in rules, mutants and a reader's own.

    ``sockets`` adds the socket layer, which a stream of page operations does not need and need not wait for.

    Rules of this package are kept on disk as machine code; any other rule is compiled once a process.
    """
    return _bind(policy, bool(sockets))


@functools.lru_cache(maxsize=64)
def _bind(policy, sockets):
    memcontrol = bind_rules(policy)
    sock = bind_sock(memcontrol.charge_skmem, memcontrol.uncharge_skmem) if sockets else None
    return bind_replay(policy.name, memcontrol, sock)


def bind_rules(policy):
    """The cgroup functions of a policy, to be compiled into a kernel."""
    rules = {name: _jit.inline(getattr(policy, name)) for name in ("consume", "refill", "drain", "uncharge", "reclaim")}
    return bind_memcontrol(policy.batch, **rules, css_by_page=policy.css_by_page)
