"""A toy policy whose stocks have two slots, so that what says ``[cpu, slot]`` is held to it."""

import numpy as np

from memcg_lab import V4_14
from memcg_lab.mechanism.records import DRAIN_CAP, DRAIN_OTHER_MEMCG
from memcg_lab.mechanism.steps import (
    STEP_CONSUME_HIT,
    STEP_CONSUME_MISS,
    STEP_REFILL,
    STEP_REFILL_OWNER,
    step,
)
from memcg_lab.workload import draws, pairs, skmem


def consume_two(st, batch, cpu, memcg, nr_pages):
    """Look into both slots."""
    if nr_pages > batch:
        return False
    for slot in range(2):
        stock = st.stock[cpu, slot]
        if stock.memcg == memcg and stock.nr_pages >= nr_pages:
            stock.nr_pages -= nr_pages
            step(st.log, cpu, STEP_CONSUME_HIT, cpu, stock.nr_pages + nr_pages, stock.nr_pages, slot)
            return True
    step(st.log, cpu, STEP_CONSUME_MISS, cpu, 0, 0)
    return False


def refill_two(st, batch, drain, cpu, memcg, nr_pages):
    """The slot of this cgroup, else an empty one, else the first, which is drained. Above the batch: drained."""
    slot = 0
    if st.stock[cpu, 0].memcg != memcg and (st.stock[cpu, 1].memcg == memcg or st.stock[cpu, 0].memcg >= 0):
        slot = 1 if st.stock[cpu, 1].memcg == memcg or st.stock[cpu, 1].memcg < 0 else 0
    stock = st.stock[cpu, slot]
    if stock.memcg != memcg:
        drain(st, cpu, slot, DRAIN_OTHER_MEMCG)
        step(st.log, cpu, STEP_REFILL_OWNER, cpu, stock.memcg, memcg, slot)
        stock.memcg = memcg
    stock.nr_pages += nr_pages
    step(st.log, cpu, STEP_REFILL, cpu, stock.nr_pages - nr_pages, stock.nr_pages, slot)
    if stock.nr_pages > batch:
        drain(st, cpu, slot, DRAIN_CAP)


def one_batch(batch):
    """The bound of each slot."""
    return batch


TWO_SLOTS = V4_14.with_rules("two slots", slots=2, consume=consume_two, refill=refill_two, bound=one_batch)


def three_take_turns(n, cpus=2, seed=1):
    """Charges of three cgroups on some CPUs, each given back four charges later; nothing is left in the end."""
    memcg, cpu = 1 + draws(seed, n, 3), draws(seed + 1, n, cpus)
    charge = skmem(0, n, cpu=cpu, memcg=memcg, nr_pages=1 + draws(seed + 2, n, 9))
    uncharge = charge.copy()
    uncharge["op"], uncharge["cpu"] = 1, (cpu + draws(seed + 3, n, 2)) % cpus
    return np.concatenate([charge[:4], pairs(charge[4:], uncharge[:-4]), uncharge[-4:]])
