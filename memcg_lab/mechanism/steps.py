"""Steps: what a kernel writes down while it works, each step with its code and its words."""

from collections import namedtuple

import numpy as np

from .._jit import inline
from .records import codes

# One step: 40 bytes, little-endian as every machine we run on, no padding. A page that draws the log reads these bytes.
step_dtype = np.dtype(
    [
        ("op", np.int64),  # byte 0: number of the operation in its stream
        ("cpu", np.int32),  # byte 8: who executed it
        ("step", np.int16),  # byte 12: one of STEPS
        ("slot", np.int16),  # byte 14: which slot of a stock; -1 where no stock was touched
        ("where", np.int64),  # byte 16: which counter, cgroup, CPU or socket was touched
        ("before", np.int64),  # byte 24: its value before the step
        ("after", np.int64),  # byte 32: and after it
    ]
)
NO_SLOT = np.int64(-1)

Step = namedtuple("Step", "function rule what line atomic field")
# function: the kernel's. rule: what the line does, in our words. what: the thing whose value changes, to be followed by
# its number. line: whose cache line that is: "shared" by every CPU, this CPU's "own", the "socket"'s, or "none"
# (registers). atomic: a read-modify-write on a shared line. field: what of the state changes from `before` to `after`,
# "array.field" of records.State ("sock" is the array itself); "" if nothing of it does.
STEPS = (
    Step(
        "mem_cgroup_charge_skmem",
        "count the pages as socket memory on this CPU",
        "MEMCG_SOCK of memcg",
        "own",
        False,
        "sock",
    ),
    Step(
        "mem_cgroup_uncharge_skmem",
        "take the pages off this CPU's socket memory",
        "MEMCG_SOCK of memcg",
        "own",
        False,
        "sock",
    ),
    Step("consume_stock", "hit: take the pages from this CPU's stock", "stock of CPU", "own", False, "stock.nr_pages"),
    Step("consume_stock", "miss: too few pages of this cgroup in the stock", "stock of CPU", "own", False, ""),
    Step("refill_stock", "remember the cgroup", "owner of the stock of CPU", "own", False, "stock.memcg"),
    Step("refill_stock", "put the pages into this CPU's stock", "stock of CPU", "own", False, "stock.nr_pages"),
    Step("drain_stock", "empty the stock", "stock of CPU", "own", False, "stock.nr_pages"),
    Step("drain_stock", "forget the cgroup", "owner of the stock of CPU", "own", False, "stock.memcg"),
    Step("page_counter_try_charge", "add to this level, speculatively", "count of", "shared", True, "counter.count"),
    Step("page_counter_try_charge", "over the limit: take it back", "count of", "shared", True, "counter.count"),
    Step("page_counter_try_charge", "count the failure", "failcnt of", "shared", False, "counter.failcnt"),
    Step("page_counter_try_charge", "raise the watermark", "watermark of", "shared", False, "counter.watermark"),
    Step("page_counter_charge", "add to this level, whatever the limit", "count of", "shared", True, "counter.count"),
    Step("page_counter_charge", "raise the watermark", "watermark of", "shared", False, "counter.watermark"),
    Step("page_counter_cancel", "subtract from this level", "count of", "shared", True, "counter.count"),
    Step("page_counter_limit", "exchange the limit", "limit of", "shared", True, "counter.limit"),
    Step("css_get_many", "take one reference for each page", "references of memcg", "own", False, "memcg.css"),
    Step("css_put_many", "put one reference for each page", "references of memcg", "own", False, "memcg.css"),
    Step("try_charge", "ask for reclaim", "reclaim calls, for memcg", "shared", False, ""),
    Step("try_charge", "give up: out of memory", "OOM calls, for memcg", "shared", False, ""),
    Step("try_charge", "force the charge", "pages forced into memcg", "none", False, ""),
    Step("try_charge", "over memory.high", "notice of memory.high of memcg", "shared", False, ""),
    Step("drain_all_stock", "send work to another CPU", "drain work on CPU", "own", False, ""),
    Step(
        "__sk_mem_raise_allocated",
        "add to the protocol's counter",
        "memory_allocated of protocol",
        "shared",
        True,
        "proto.memory_allocated",
    ),
    Step(
        "__sk_mem_raise_allocated",
        "suppress: take it back",
        "memory_allocated of protocol",
        "shared",
        True,
        "proto.memory_allocated",
    ),
    Step(
        "__sk_mem_reduce_allocated",
        "subtract from the protocol's counter",
        "memory_allocated of protocol",
        "shared",
        True,
        "proto.memory_allocated",
    ),
    Step(
        "sk_forward_alloc",
        "bytes charged in advance",
        "forward_alloc of socket",
        "socket",
        False,
        "socket.forward_alloc",
    ),
    Step(
        "obj_cgroup_charge_pages",
        "count the pages as kernel memory on this CPU",
        "MEMCG_KMEM of memcg",
        "own",
        False,
        "kmem",
    ),
    Step(
        "obj_cgroup_uncharge_pages",
        "take the pages off this CPU's kernel memory",
        "MEMCG_KMEM of memcg",
        "own",
        False,
        "kmem",
    ),
    Step(
        "obj_stock", "bytes charged in advance for objects", "object stock of CPU", "own", False, "obj_stock.nr_bytes"
    ),
    Step("obj_stock", "whose bytes they are", "owner of the object stock of CPU", "own", False, "obj_stock.objcg"),
    Step(
        "drain_obj_stock",
        "leave the rest of a page for other CPUs",
        "nr_charged_bytes of objcg",
        "shared",
        True,
        "objcg.nr_charged_bytes",
    ),
    Step(
        "refill_obj_stock",
        "pick up what other CPUs left",
        "nr_charged_bytes of objcg",
        "shared",
        True,
        "objcg.nr_charged_bytes",
    ),
    Step(
        "propagate_protected_usage",
        "tell the parent what memory.min protects",
        "protected by min, of memcg",
        "shared",
        True,
        "upward.min_told",
    ),
    Step(
        "propagate_protected_usage",
        "tell the parent what memory.low protects",
        "protected by low, of memcg",
        "shared",
        True,
        "upward.low_told",
    ),
    Step("return", "what the caller gets", "the caller", "none", False, ""),
)
(
    STEP_SOCK_ADD,
    STEP_SOCK_SUB,
    STEP_CONSUME_HIT,
    STEP_CONSUME_MISS,
    STEP_REFILL_OWNER,
    STEP_REFILL,
    STEP_DRAIN,
    STEP_DRAIN_OWNER,
    STEP_TRY_ADD,
    STEP_TRY_UNDO,
    STEP_FAILCNT,
    STEP_TRY_WATERMARK,
    STEP_CHARGE_ADD,
    STEP_CHARGE_WATERMARK,
    STEP_CANCEL,
    STEP_LIMIT,
    STEP_CSS_GET,
    STEP_CSS_PUT,
    STEP_RECLAIM,
    STEP_OOM,
    STEP_FORCE,
    STEP_HIGH,
    STEP_REMOTE_DRAIN,
    STEP_PROTO_ADD,
    STEP_PROTO_UNDO,
    STEP_PROTO_SUB,
    STEP_FORWARD,
    STEP_KMEM_ADD,
    STEP_KMEM_SUB,
    STEP_OBJ_BYTES,
    STEP_OBJ_OWNER,
    STEP_CHARGED_BYTES_ADD,
    STEP_CHARGED_BYTES_TAKE,
    STEP_MIN_TOLD,
    STEP_LOW_TOLD,
    STEP_RETURN,
) = codes(STEPS)

# Atomics on the counters of the tree, by step code; those on the protocol's counter are not among them.
COUNTER_ATOMIC = np.array([step.atomic and step.what in ("count of", "limit of") for step in STEPS])


@inline
def step(log, cpu, code, where, before, after, slot=NO_SLOT):
    """Append one row. With ``log=None`` numba prunes the whole body, so a replay without a log pays nothing."""
    if log is None:
        return
    head = log[0]  # op: the running operation's number; before: rows used; after: rows that found no place
    row = head.before + 1
    if row >= log.size:
        head.after += 1
        return
    head.before = row
    entry = log[row]
    entry.op = head.op
    entry.cpu = cpu
    entry.step = code
    entry.slot = slot
    entry.where = where
    entry.before = before
    entry.after = after


@inline
def begin(log, op):
    """Say which operation the following rows belong to."""
    if log is None:
        return
    log[0].op = op
