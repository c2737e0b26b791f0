"""The socket layer: bytes in buffers become pages, and pages become charges.

A socket charges in advance: ``forward_alloc`` counts bytes that are charged, to the protocol's global counter and to
the cgroup, but not used yet. Pages come in through *raise* and go back through *reduce*; each executes one atomic on
the counter that all sockets of the protocol share, before the patch and after it.

Kernel: ``include/net/sock.h`` and ``net/core/sock.c``, v4.13. A quantum and a page are both 4096 bytes here.
"""

from collections import namedtuple

from .._jit import function, inline
from .page_counter import above
from .records import RECEIVE, SEND, SK_MEM_QUANTUM, SK_RECLAIM_CHUNK, SK_RECLAIM_THRESHOLD, SOCK_MIN_SNDBUF
from .steps import STEP_FORWARD, STEP_PROTO_ADD, STEP_PROTO_SUB, STEP_PROTO_UNDO, step

Sock = namedtuple(
    "Sock",
    "sk_mem_schedule sk_forced_mem_schedule sk_mem_charge sk_mem_uncharge sk_mem_reclaim sk_mem_reclaim_partial",
)


@inline
def sk_mem_pages(nr_bytes):
    """Bytes rounded up to quanta."""
    return (nr_bytes + SK_MEM_QUANTUM - 1) // SK_MEM_QUANTUM


@inline
def add_forward(st, cpu, sk, nr_bytes):
    """Change what the socket has charged in advance."""
    socket = st.socket[sk]
    step(st.log, cpu, STEP_FORWARD, sk, socket.forward_alloc, socket.forward_alloc + nr_bytes)
    socket.forward_alloc += nr_bytes


@inline
def add_allocated(st, cpu, code, nr_pages):
    """The one atomic on the protocol's counter; its new value."""
    proto = st.proto[0]
    before = proto.memory_allocated
    proto.memory_allocated = before + nr_pages
    proto.atomics += 1
    step(st.log, cpu, code, 0, before, before + nr_pages)
    return before + nr_pages


@inline
def enter_memory_pressure(st):
    """Remember that the protocol is short of memory."""
    proto = st.proto[0]
    if not proto.under_pressure:
        proto.under_pressure = 1
        proto.entered_pressure += 1


@inline
def leave_memory_pressure(st):
    """The protocol has memory again."""
    proto = st.proto[0]
    if proto.under_pressure:
        proto.under_pressure = 0
        proto.left_pressure += 1


@function
def sk_under_memory_pressure(st, sk):
    """True if the protocol is, or a level of the socket's cgroup. Reads ``parent`` at every level."""
    memcg = st.socket[sk].memcg
    if memcg >= 0 and st.legacy and st.memcg[memcg].tcpmem_pressure:
        return True
    while memcg >= 0:
        if st.memcg[memcg].socket_pressure:
            return True
        memcg = above(st, memcg)
    return st.proto[0].under_pressure != 0


def bind_sock(operations):
    """Bind the socket layer to the operations on pages of one policy."""
    charge_sockets, uncharge_sockets = operations.charge_sockets, operations.uncharge_sockets

    @function
    def charge(st, cpu, memcg, ctx, nr_pages):
        return charge_sockets(st, cpu, memcg, ctx, nr_pages)

    @function
    def uncharge(st, cpu, memcg, nr_pages):
        uncharge_sockets(st, cpu, memcg, nr_pages)

    @inline
    def may_keep(st, sk, allocated, kind):
        """The rules of __sk_mem_raise_allocated that let a socket keep what its cgroup took."""
        proto, socket = st.proto[0], st.socket[sk]
        if allocated <= proto.low:
            leave_memory_pressure(st)
            return True
        if allocated > proto.pressure_at:
            enter_memory_pressure(st)
        if allocated > proto.high:
            return False
        if kind == RECEIVE:
            if socket.rmem_alloc < proto.rmem_min:
                return True
        elif socket.stream:
            if socket.wmem_queued < proto.wmem_min:
                return True
        elif socket.wmem_alloc < proto.wmem_min:
            return True
        if not sk_under_memory_pressure(st, sk):
            return True
        pages = sk_mem_pages(socket.wmem_queued + socket.rmem_alloc + socket.forward_alloc)
        return proto.high > proto.nr_sockets * pages

    @inline
    def sk_mem_raise_allocated(st, cpu, sk, ctx, nr_bytes, nr_pages, kind):
        proto, socket = st.proto[0], st.socket[sk]
        allocated = add_allocated(st, cpu, STEP_PROTO_ADD, nr_pages)
        fits = socket.memcg < 0 or charge(st, cpu, socket.memcg, ctx, nr_pages) == 1
        if fits and may_keep(st, sk, allocated, kind):
            return 1
        proto.suppressed += 1
        if kind == SEND and socket.stream:
            socket.sndbuf = max(min(socket.sndbuf, socket.wmem_queued >> 1), SOCK_MIN_SNDBUF)
            if socket.wmem_queued + nr_bytes >= socket.sndbuf:
                return 1  # the charge is kept: the writer will wait
        add_allocated(st, cpu, STEP_PROTO_UNDO, -nr_pages)
        if socket.memcg >= 0:
            uncharge(st, cpu, socket.memcg, nr_pages)
        return 0

    @inline
    def sk_mem_reduce_allocated(st, cpu, sk, nr_pages):
        socket = st.socket[sk]
        add_allocated(st, cpu, STEP_PROTO_SUB, -nr_pages)
        if socket.memcg >= 0:
            uncharge(st, cpu, socket.memcg, nr_pages)
        if sk_under_memory_pressure(st, sk) and st.proto[0].memory_allocated < st.proto[0].low:
            leave_memory_pressure(st)

    @function
    def reclaim_quanta(st, cpu, sk, nr_bytes):
        """__sk_mem_reclaim: give back the whole quanta among these bytes."""
        nr_pages = nr_bytes // SK_MEM_QUANTUM
        add_forward(st, cpu, sk, -nr_pages * SK_MEM_QUANTUM)
        sk_mem_reduce_allocated(st, cpu, sk, nr_pages)

    @function
    def sk_mem_schedule(st, cpu, sk, ctx, nr_bytes, kind):
        """1 if the bytes are charged in advance already or can be; 0 if not, and then nothing has changed."""
        if nr_bytes <= st.socket[sk].forward_alloc:
            return 1
        nr_pages = sk_mem_pages(nr_bytes)
        add_forward(st, cpu, sk, nr_pages * SK_MEM_QUANTUM)
        if sk_mem_raise_allocated(st, cpu, sk, ctx, nr_bytes, nr_pages, kind):
            return 1
        add_forward(st, cpu, sk, -nr_pages * SK_MEM_QUANTUM)
        return 0

    @function
    def sk_forced_mem_schedule(st, cpu, sk, ctx, nr_bytes):
        """Charge whatever the answer, as a FIN must get out."""
        if nr_bytes <= st.socket[sk].forward_alloc:
            return
        nr_pages = sk_mem_pages(nr_bytes)
        add_forward(st, cpu, sk, nr_pages * SK_MEM_QUANTUM)
        add_allocated(st, cpu, STEP_PROTO_ADD, nr_pages)
        if st.socket[sk].memcg >= 0:
            charge(st, cpu, st.socket[sk].memcg, ctx, nr_pages)

    @inline
    def sk_mem_charge(st, cpu, sk, nr_bytes):
        """Bytes go into a buffer."""
        add_forward(st, cpu, sk, -nr_bytes)

    @inline
    def sk_mem_uncharge(st, cpu, sk, nr_bytes):
        """Bytes leave a buffer; only when 2 MiB have piled up does 1 MiB go back."""
        add_forward(st, cpu, sk, nr_bytes)
        if st.socket[sk].forward_alloc >= SK_RECLAIM_THRESHOLD:
            reclaim_quanta(st, cpu, sk, SK_RECLAIM_CHUNK)

    @inline
    def sk_mem_reclaim(st, cpu, sk):
        """Give back all whole quanta."""
        if st.socket[sk].forward_alloc >= SK_MEM_QUANTUM:
            reclaim_quanta(st, cpu, sk, st.socket[sk].forward_alloc)

    @inline
    def sk_mem_reclaim_partial(st, cpu, sk):
        """Give back whole quanta but keep at least one byte, as the delayed-ack timer does."""
        if st.socket[sk].forward_alloc > SK_MEM_QUANTUM:
            reclaim_quanta(st, cpu, sk, st.socket[sk].forward_alloc - 1)

    return Sock(
        sk_mem_schedule,
        sk_forced_mem_schedule,
        sk_mem_charge,
        sk_mem_uncharge,
        sk_mem_reclaim,
        sk_mem_reclaim_partial,
    )
