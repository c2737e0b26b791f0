"""The stock of v4.14: the two hunks of 475d048. All else is that of v4.13.

Kernel: ``refill_stock``, ``mem_cgroup_uncharge_skmem`` in ``mm/memcontrol.c``.
"""

from .._jit import inline
from .records import DRAIN_CAP
from .stock_v4_13 import refill_stock


@inline
def refill_stock_capped(st, batch, drain, cpu, memcg, nr_pages):
    """The first hunk of 475d048: above the batch the stock is drained wholly, not by its surplus."""
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    if st.stock[cpu, 0].nr_pages > batch:
        drain(st, cpu, 0, DRAIN_CAP)


@inline
def uncharge_to_stock(st, batch, refill, drain, cpu, memcg, nr_pages):
    """The second hunk of 475d048: give socket pages back into the stock; their references go with them."""
    refill(st, batch, drain, cpu, memcg, nr_pages)
