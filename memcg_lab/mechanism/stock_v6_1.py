"""The stock from v5.9 to v6.15: it holds one reference for its cgroup, not one for each page (1a3e1f40962c).

Kernel: ``refill_stock``, ``drain_stock`` in ``mm/memcontrol.c``, v6.1.
"""

from .._jit import inline
from .page_counter_v6_1 import uncharge_v6_1
from .records import DRAIN_CAP, DRAIN_OTHER_MEMCG, PAGES_DRAINED
from .steps import STEP_DRAIN, STEP_DRAIN_OWNER, STEP_REFILL, STEP_REFILL_OWNER, step
from .stock_v4_13 import css_get_many, css_put_many


@inline
def drain_stock_v6_1(st, cpu, slot, cause):
    """From v5.9 on a stock holds one reference for its cgroup, not one a page (1a3e1f40962c)."""
    stock = st.stock[cpu, slot]
    memcg = stock.memcg
    nr_pages = stock.nr_pages
    if nr_pages != 0:
        uncharge_v6_1(st, cpu, memcg, nr_pages)
        stock.nr_pages = 0
        step(st.log, cpu, STEP_DRAIN, cpu, nr_pages, stock.nr_pages, slot=slot)
        st.work[cpu, cause] += 1
        st.work[cpu, PAGES_DRAINED] += nr_pages
    stock.memcg = -1
    if memcg >= 0:
        css_put_many(st, cpu, memcg, 1)
        step(st.log, cpu, STEP_DRAIN_OWNER, cpu, memcg, stock.memcg, slot=slot)


@inline
def refill_stock_v6_1(st, batch, drain, cpu, memcg, nr_pages):
    """Put charged pages in; a stock holds one reference of its cgroup. The cap of 475d048 is left out here."""
    stock = st.stock[cpu, 0]
    if stock.memcg != memcg:
        drain(st, cpu, 0, DRAIN_OTHER_MEMCG)
        css_get_many(st, cpu, memcg, 1)
        step(st.log, cpu, STEP_REFILL_OWNER, cpu, stock.memcg, memcg, slot=0)
        stock.memcg = memcg
    stock.nr_pages += nr_pages
    step(st.log, cpu, STEP_REFILL, cpu, stock.nr_pages - nr_pages, stock.nr_pages, slot=0)


@inline
def refill_stock_v6_1_capped(st, batch, drain, cpu, memcg, nr_pages):
    """v6.1: with the cap of 475d048."""
    refill_stock_v6_1(st, batch, drain, cpu, memcg, nr_pages)
    if st.stock[cpu, 0].nr_pages > batch:
        drain(st, cpu, 0, DRAIN_CAP)
