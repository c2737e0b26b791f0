"""A toy policy with two slots: a CPU's stock holds pages of two cgroups. Nothing the kernel ever had."""

import numpy as np

from memcg_lab._jit import inline
from memcg_lab.mechanism.policy import Policy
from memcg_lab.mechanism.records import DRAIN_CAP, DRAIN_OTHER_MEMCG
from memcg_lab.mechanism.steps import STEP_CONSUME_HIT, STEP_CONSUME_MISS, STEP_REFILL, STEP_REFILL_OWNER, step
from memcg_lab.mechanism.stock_v4_13 import drain_stock
from memcg_lab.mechanism.stock_v4_14 import uncharge_to_stock
from memcg_lab.workload import draws, pairs, skmem


@inline
def place(st, cpu, memcg):
    """The slot of the cgroup, else the first empty one, else slot 0."""
    found = 0
    for slot in range(st.stock.shape[1] - 1, -1, -1):
        if st.stock[cpu, slot].memcg < 0:
            found = slot
    for slot in range(st.stock.shape[1]):
        if st.stock[cpu, slot].memcg == memcg:
            found = slot
    return found


@inline
def consume(st, batch, cpu, memcg, nr_pages):
    """Look at every slot; only that of the cgroup can serve."""
    if nr_pages > batch:
        return False
    slot = place(st, cpu, memcg)
    stock = st.stock[cpu, slot]
    if stock.memcg == memcg and stock.nr_pages >= nr_pages:
        stock.nr_pages -= nr_pages
        step(st.log, cpu, STEP_CONSUME_HIT, cpu, stock.nr_pages + nr_pages, stock.nr_pages, slot=slot)
        return True
    step(st.log, cpu, STEP_CONSUME_MISS, cpu, stock.nr_pages, stock.nr_pages, slot=slot)
    return False


@inline
def put(st, batch, drain, cpu, memcg, nr_pages):
    """Refill without a cap; what lies in slot 0 is drained if both slots belong to others."""
    slot = place(st, cpu, memcg)
    stock = st.stock[cpu, slot]
    if stock.memcg != memcg:
        drain(st, cpu, slot, DRAIN_OTHER_MEMCG)
        step(st.log, cpu, STEP_REFILL_OWNER, cpu, stock.memcg, memcg, slot=slot)
        stock.memcg = memcg
    stock.nr_pages += nr_pages
    step(st.log, cpu, STEP_REFILL, cpu, stock.nr_pages - nr_pages, stock.nr_pages, slot=slot)


@inline
def refill(st, batch, drain, cpu, memcg, nr_pages):
    """Refill with the cap of 475d048, for each slot."""
    put(st, batch, drain, cpu, memcg, nr_pages)
    slot = place(st, cpu, memcg)
    if st.stock[cpu, slot].nr_pages > batch:
        drain(st, cpu, slot, DRAIN_CAP)


def one_batch(batch):
    """The bound of each slot."""
    return batch


TWO_SLOTS = Policy(
    "two slots",
    slots=2,
    consume=consume,
    refill=refill,
    drain=drain_stock,
    uncharge=uncharge_to_stock,
    bound=one_batch,
    uncapped=put,
)


def three_take_turns(n, cpus=2, seed=1):
    """Charges of three cgroups on some CPUs, each given back four charges later; nothing is left in the end."""
    memcg, cpu = 1 + draws(seed, n, 3), draws(seed + 1, n, cpus)
    charge = skmem(0, n, cpu=cpu, memcg=memcg, nr_pages=1 + draws(seed + 2, n, 9))
    uncharge = charge.copy()
    uncharge["op"], uncharge["cpu"] = 1, (cpu + draws(seed + 3, n, 2)) % cpus
    return np.concatenate([charge[:4], pairs(charge[4:], uncharge[:-4]), uncharge[-4:]])
