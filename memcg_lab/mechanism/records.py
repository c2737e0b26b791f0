"""Record dtypes and constants: what the state of the mechanism looks like in memory, and what an operation is."""

from collections import namedtuple

import numpy as np


def codes(names):
    """One code a name. As numpy integers, because numba compiles a function anew for every plain integer constant."""
    return [np.int64(code) for code in range(len(names))]


# --- constants of the kernel -----------------------------------------------------------------------------------------
PAGE_SIZE = 4096  # bytes; x86-64
PAGE_COUNTER_MAX = (2**63 - 1) // PAGE_SIZE  # pages; v4.13 include/linux/page_counter.h, 64-bit
CHARGE_BATCH = 32  # pages; v4.13 mm/memcontrol.c
MEM_CGROUP_RECLAIM_RETRIES = 5  # v4.13 mm/memcontrol.c
COSTLY_PAGES = 8  # pages; 1 << PAGE_ALLOC_COSTLY_ORDER, v4.13 include/linux/mmzone.h
SK_MEM_QUANTUM = 4096  # bytes; v4.13 include/net/sock.h
SK_RECLAIM_THRESHOLD = 1 << 21  # bytes; sk_mem_uncharge, v4.13 include/net/sock.h
SK_RECLAIM_CHUNK = np.int64(1 << 20)  # bytes; the same function
SOCK_MIN_SNDBUF = 2 * (2048 + 256)  # bytes; v4.13 include/net/sock.h with sk_buff rounded up to 256 bytes, x86-64
ENOMEM = -12
EBUSY = -16

NR_PAGES_MAX = 2**31 - 1  # pages in one call; the kernel passes them as unsigned int
NR_BYTES_MAX = 2**31 - 1  # bytes in one call of the socket layer; the kernel passes them as int

# --- state -----------------------------------------------------------------------------------------------------------
# One cache line each. `counter` holds the kernel's five words and the atomics executed on them.
counter_dtype = np.dtype(
    [(name, np.int64) for name in ("count", "limit", "parent", "watermark", "failcnt", "add", "sub", "xchg")]
)
# sock_held, held: pages that sockets and that other users of the cgroup have and did not give back. The kernel does not
# keep these sums; we need them to refuse an uncharge of what was never charged.
memcg_dtype = np.dtype(
    [
        (name, np.int64)
        for name in (
            "css",
            "sock_held",
            "held",
            "high",
            "ev_max",
            "ev_oom",
            "tcpmem_pressure",
            "socket_pressure",
        )
    ]
)
stock_dtype = np.dtype([("memcg", np.int64), ("nr_pages", np.int64)])
# From v5.9 on: kernel objects, charged by the byte. The last two fields are ours: what is charged and not given back.
NODES = 2  # NUMA nodes of the slab statistics
obj_stock_dtype = np.dtype([(name, np.int64) for name in ("objcg", "nr_bytes", "node", "reclaimable", "unreclaimable")])
objcg_dtype = np.dtype([(name, np.int64) for name in ("nr_charged_bytes", "ref", "kmem_held", "obj_held")])
# What a cgroup tells upwards: its events with those below it, and how much of its usage is protected.
upward_dtype = np.dtype(
    [(name, np.int64) for name in ("ev_max", "ev_oom", "memory_min", "memory_low", "min_told", "low_told")]
)
socket_dtype = np.dtype(
    [
        (name, np.int64)
        for name in (
            "memcg",
            "forward_alloc",
            "rmem_alloc",
            "wmem_queued",
            "wmem_alloc",
            "sndbuf",
            "stream",
            "spare",
        )
    ]
)
# One protocol (TCP): the global counter every socket shares, and the sysctl limits, in pages but for *_min (bytes).
proto_dtype = np.dtype(
    [
        (name, np.int64)
        for name in (
            "memory_allocated",
            "atomics",
            "low",
            "pressure_at",
            "high",
            "under_pressure",
            "nr_sockets",
            "suppressed",
            "rmem_min",
            "wmem_min",
            "entered_pressure",
            "left_pressure",
        )
    ]
)

State = namedtuple(
    "State",
    [
        "counter",  # counter_dtype [3 * memcgs]: memory, then memsw, then tcpmem
        "memcg",  # memcg_dtype [memcgs]
        "stock",  # stock_dtype [cpu, slot]; memcg -1 = nothing cached
        "sock",  # int64 [cpu, memcg]: MEMCG_SOCK, signed
        "work",  # int64 [cpu, kind of work]
        "total",  # int64 [kind of total]
        "socket",  # socket_dtype [sockets]
        "proto",  # proto_dtype [1]
        "kmem",  # int64 [cpu, memcg]: MEMCG_KMEM, signed; this and the next four are empty where kernel_pages are not
        "obj_stock",  # obj_stock_dtype [cpu]; objcg -1 = nothing cached
        "objcg",  # objcg_dtype [memcgs]
        "slab",  # int64 [memcg, node, 2]: slab bytes told to the statistics, reclaimable and not
        "upward",  # upward_dtype [memcgs]
        "log",  # step_dtype [rows] or None; row 0 is its header
        "root",  # number of the root memcg or -1
        "legacy",  # 1 = cgroup v1
        "memsw",  # 1 = memory+swap is accounted (v1 only)
    ],
)

# --- work counted per CPU: columns of State.work ---------------------------------------------------------------------
WORK = (
    "stock_hits",
    "stock_misses",
    "drains_by_other_memcg",
    "drains_by_cap",
    "drains_local",
    "drains_all",
    "drains_cpu_dead",
    "pages_drained",
    "refused",
    "forced",
    "nomem",
    "css_calls",
)
(
    HIT,
    MISS,
    DRAIN_OTHER_MEMCG,
    DRAIN_CAP,
    DRAIN_LOCAL_CALL,
    DRAIN_ALL_CALL,
    DRAIN_CPU_DEAD,
    PAGES_DRAINED,
    REFUSED,
    FORCED,
    NOMEM,
    CSS_CALLS,
) = codes(WORK)
DRAIN_CAUSES = WORK[DRAIN_OTHER_MEMCG : DRAIN_CPU_DEAD + 1]

# --- totals: State.total ---------------------------------------------------------------------------------------------
TOTAL = (
    *("ret", "reclaim", "oom", "remote_works", "over_high", "high_work", "warn", "underflow"),
    *("handle_high", "obj_add", "obj_xchg", "protection_add", "protection_xchg", "halt"),
)
RET, RECLAIM, OOM, REMOTE_WORKS, OVER_HIGH, HIGH_WORK, WARN, UNDERFLOW = range(8)
HANDLE_HIGH, OBJ_ADD, OBJ_XCHG, PROTECTION_ADD, PROTECTION_XCHG, HALT = range(8, len(TOTAL))  # HALT: stop, please

# --- operations ------------------------------------------------------------------------------------------------------
OPS = (
    "charge_skmem",
    "uncharge_skmem",
    "try_charge",
    "cancel_charge",
    "drain_local",
    "drain_all",
    "cpu_dead",
    "set_limit",
    "set_max",
    "set_high",
    "sk_wmem_schedule",
    "sk_rmem_schedule",
    "sk_forced_mem_schedule",
    "sk_queue_send",
    "sk_free_send",
    "sk_queue_receive",
    "sk_free_receive",
    "sk_mem_reclaim",
    "sk_mem_reclaim_partial",
    "kmem_charge",
    "kmem_uncharge",
    "obj_charge",
    "obj_uncharge",
    "slab_alloc",
    "slab_free",
)
(
    CHARGE_SKMEM,
    UNCHARGE_SKMEM,
    TRY_CHARGE,
    CANCEL_CHARGE,
    DRAIN_LOCAL,
    DRAIN_ALL,
    CPU_DEAD,
    SET_LIMIT,
    SET_MAX,
    SET_HIGH,
    SK_WMEM_SCHEDULE,
    SK_RMEM_SCHEDULE,
    SK_FORCED_MEM_SCHEDULE,
    SK_QUEUE_SEND,
    SK_FREE_SEND,
    SK_QUEUE_RECEIVE,
    SK_FREE_RECEIVE,
    SK_MEM_RECLAIM,
    SK_MEM_RECLAIM_PARTIAL,
    KMEM_CHARGE,
    KMEM_UNCHARGE,
    OBJ_CHARGE,
    OBJ_UNCHARGE,
    SLAB_ALLOC,
    SLAB_FREE,
) = range(len(OPS))
op_dtype = np.dtype(
    [
        ("op", np.uint8),  # one of OPS
        ("ctx", np.uint8),  # TASK, or SOFTIRQ and flags
        ("cpu", np.uint16),
        ("memcg", np.int32),  # for sk_ operations: the socket
        ("nr", np.int64),  # pages; for sk_ and obj_ operations bytes, for slab_ see slab_nr; -1 = max for the limits
    ]
)

# Context of an operation: flags to be added up. A task may sleep unless it says NOWAIT or ATOMIC; softirq may not, and
# without either flag it passes what sockets pass there: NOWAIT in v4.13, ATOMIC in v6.1. v4.13 knows no difference.
TASK, SOFTIRQ, NORETRY, NOFAIL, DYING, IN_OOM, RETRY_MAYFAIL, NOWAIT, ATOMIC = 0, 1, 2, 4, 8, 16, 32, 64, 128
CONTEXTS = {"task": TASK, "softirq": SOFTIRQ}
CONTEXT_MAX = 255


def slab_nr(nr_bytes, *, node=0, reclaimable=False):
    """The ``nr`` of ``slab_alloc`` and ``slab_free``: bytes, NUMA node (0 or 1) and kind of slab in one number."""
    return nr_bytes | node << 32 | (not reclaimable) << 33


SEND, RECEIVE = codes(("send", "receive"))  # what a socket schedules memory for

# Why a replay stopped.
BAD_OP, BAD_CPU, BAD_MEMCG, BAD_NR, BAD_ROOT, BAD_UNDERFLOW, BAD_SOCKET, BAD_FORWARD, BAD_KERNEL = range(1, 10)
