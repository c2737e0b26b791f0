"""The stock of v4.13: pages charged in advance, kept by each CPU for one cgroup; socket pages are not given back to it.

Each rule is a function of the state, a CPU and what it needs; a policy names four of them (``policy.py``).

Kernel: ``consume_stock``, ``refill_stock``, ``drain_stock``, ``mem_cgroup_uncharge_skmem`` in ``mm/memcontrol.c``.
"""

from .._jit import inline
from .page_counter import page_counter_uncharge
from .records import CSS_CALLS, DRAIN_OTHER_MEMCG, PAGES_DRAINED
from .steps import (
    STEP_CONSUME_HIT,
    STEP_CONSUME_MISS,
    STEP_CSS_GET,
    STEP_CSS_PUT,
    STEP_DRAIN,
    STEP_DRAIN_OWNER,
    STEP_REFILL,
    STEP_REFILL_OWNER,
    step,
)


@inline
def css_get_many(st, cpu, memcg, nr_pages):
    """Take one reference for each page charged."""
    group = st.memcg[memcg]
    step(st.log, cpu, STEP_CSS_GET, memcg, group.css, group.css + nr_pages)
    group.css += nr_pages
    st.work[cpu, CSS_CALLS] += 1


@inline
def css_put_many(st, cpu, memcg, nr_pages):
    """Put the references of pages that leave the cgroup."""
    group = st.memcg[memcg]
    step(st.log, cpu, STEP_CSS_PUT, memcg, group.css, group.css - nr_pages)
    group.css -= nr_pages
    st.work[cpu, CSS_CALLS] += 1


@inline
def uncharge_counters(st, cpu, memcg, nr_pages):
    """Give pages back to the memory counter, and to memsw where it is accounted."""
    page_counter_uncharge(st, cpu, memcg, nr_pages)
    if st.memsw:
        page_counter_uncharge(st, cpu, memcg + st.memcg.size, nr_pages)


@inline
def consume_stock(st, batch, cpu, memcg, nr_pages):
    """Serve a charge from the stock: true if this CPU holds enough pages of this cgroup.

    An empty stock stays with its cgroup. A charge above the batch does not even look.
    """
    if nr_pages > batch:
        return False
    stock = st.stock[cpu, 0]
    if stock.memcg == memcg and stock.nr_pages >= nr_pages:
        stock.nr_pages -= nr_pages
        step(st.log, cpu, STEP_CONSUME_HIT, cpu, stock.nr_pages + nr_pages, stock.nr_pages, slot=0)
        return True
    step(st.log, cpu, STEP_CONSUME_MISS, cpu, stock.nr_pages, stock.nr_pages, slot=0)
    return False


@inline
def drain_stock(st, cpu, slot, cause):
    """Give the whole stock back to the counters, with its references, and forget the cgroup.

    ``cause`` is a column of ``State.work``; only a drain that moves pages is counted.
    """
    stock = st.stock[cpu, slot]
    nr_pages = stock.nr_pages
    if nr_pages != 0:
        uncharge_counters(st, cpu, stock.memcg, nr_pages)
        css_put_many(st, cpu, stock.memcg, nr_pages)
        stock.nr_pages = 0
        step(st.log, cpu, STEP_DRAIN, cpu, nr_pages, stock.nr_pages, slot=slot)
        st.work[cpu, cause] += 1
        st.work[cpu, PAGES_DRAINED] += nr_pages
    memcg = stock.memcg
    stock.memcg = -1
    if memcg != stock.memcg:
        step(st.log, cpu, STEP_DRAIN_OWNER, cpu, memcg, stock.memcg, slot=slot)


@inline
def refill_stock(st, batch, drain, cpu, memcg, nr_pages):
    """Put charged pages into the stock; another cgroup's pages are drained first. v4.13: no upper bound here."""
    stock = st.stock[cpu, 0]
    if stock.memcg != memcg:
        drain(st, cpu, 0, DRAIN_OTHER_MEMCG)
        step(st.log, cpu, STEP_REFILL_OWNER, cpu, stock.memcg, memcg, slot=0)
        stock.memcg = memcg
    stock.nr_pages += nr_pages
    step(st.log, cpu, STEP_REFILL, cpu, stock.nr_pages - nr_pages, stock.nr_pages, slot=0)


@inline
def uncharge_to_counter(st, batch, refill, drain, cpu, memcg, nr_pages):
    """v4.13: give socket pages back to every level of the counter, one atomic each, and put the references."""
    page_counter_uncharge(st, cpu, memcg, nr_pages)
    css_put_many(st, cpu, memcg, nr_pages)
