"""Replay: a stream of operations in, the state after them out, or the first operation that is not allowed."""

import numpy as np

from .._jit import CHECKED, function, kernel
from .operations import bind_kernel_op
from .page_counter import page_counter_limit
from .records import (
    BAD_CPU,
    BAD_FORWARD,
    BAD_KERNEL,
    BAD_MEMCG,
    BAD_NR,
    BAD_OP,
    BAD_ROOT,
    BAD_SOCKET,
    BAD_UNDERFLOW,
    CANCEL_CHARGE,
    CPU_DEAD,
    DRAIN_ALL,
    DRAIN_LOCAL,
    DRAIN_LOCAL_CALL,
    HALT,
    NR_BYTES_MAX,
    NR_PAGES_MAX,
    PAGE_COUNTER_MAX,
    RECEIVE,
    RET,
    SEND,
    SET_HIGH,
    SET_LIMIT,
    SET_MAX,
    SK_FORCED_MEM_SCHEDULE,
    SK_FREE_RECEIVE,
    SK_FREE_SEND,
    SK_MEM_RECLAIM,
    SK_MEM_RECLAIM_PARTIAL,
    SK_QUEUE_RECEIVE,
    SK_QUEUE_SEND,
    SK_RMEM_SCHEDULE,
    SK_WMEM_SCHEDULE,
    SLAB_FREE,
    UNCHARGE_SKMEM,
    UNDERFLOW,
)
from .steps import STEP_RETURN, begin, step


@function
def no_kernel_pages(st, code, cpu, memcg, ctx, nr, refuse):
    """Stands in where kernel pages do not go through the stock."""
    return np.int64(0), BAD_KERNEL, 0


@function
def no_sockets(st, code, cpu, sk, ctx, nr, refuse):
    """Stands in for the socket layer where no socket exists."""
    return np.int64(0), BAD_SOCKET, 0


def bind_socket_op(sock):
    """Compile the operations on sockets."""
    sk_mem_schedule, sk_forced_mem_schedule = sock.sk_mem_schedule, sock.sk_forced_mem_schedule
    sk_mem_charge, sk_mem_uncharge = sock.sk_mem_charge, sock.sk_mem_uncharge
    sk_mem_reclaim, sk_mem_reclaim_partial = sock.sk_mem_reclaim, sock.sk_mem_reclaim_partial

    @function
    def socket_op(st, code, cpu, sk, ctx, nr, refuse):
        """Operations on sockets: (what the caller gets, reason, allowed)."""
        if sk < 0 or sk >= st.socket.size:
            return 0, BAD_SOCKET, st.socket.size
        socket = st.socket[sk]
        if code == SK_MEM_RECLAIM:
            sk_mem_reclaim(st, cpu, sk)
            return 0, 0, 0
        if code == SK_MEM_RECLAIM_PARTIAL:
            sk_mem_reclaim_partial(st, cpu, sk)
            return 0, 0, 0
        if nr < 1 or nr > NR_BYTES_MAX:
            return 0, BAD_NR, NR_BYTES_MAX
        if code == SK_WMEM_SCHEDULE:
            return sk_mem_schedule(st, cpu, sk, ctx, nr, SEND), 0, 0
        if code == SK_RMEM_SCHEDULE:
            return sk_mem_schedule(st, cpu, sk, ctx, nr, RECEIVE), 0, 0
        if code == SK_FORCED_MEM_SCHEDULE:
            sk_forced_mem_schedule(st, cpu, sk, ctx, nr)
            return 0, 0, 0
        if code == SK_QUEUE_SEND or code == SK_QUEUE_RECEIVE:
            if nr > socket.forward_alloc:
                return 0, BAD_FORWARD, socket.forward_alloc
            sk_mem_charge(st, cpu, sk, nr)
            if code == SK_QUEUE_RECEIVE:
                socket.rmem_alloc += nr
            elif socket.stream:
                socket.wmem_queued += nr
            else:
                socket.wmem_alloc += nr
            return 0, 0, 0
        held = socket.rmem_alloc
        if code == SK_FREE_SEND:
            held = socket.wmem_queued if socket.stream else socket.wmem_alloc
        if nr > held:
            if refuse:
                return 0, BAD_UNDERFLOW, held
            st.total[UNDERFLOW] += 1
        if code == SK_FREE_RECEIVE:
            socket.rmem_alloc -= nr
        elif socket.stream:
            socket.wmem_queued -= nr
        else:
            socket.wmem_alloc -= nr
        sk_mem_uncharge(st, cpu, sk, nr)
        return 0, 0, 0

    return socket_op


def bind_replay(name, memcontrol, operations, sock=None):
    """Compile the replay loop for one policy, with the socket layer or, compiled sooner, without it.

    Returns ``replay(st, ops, refuse)``, which executes operations until the end or until one is not allowed, and
    answers ``(operations done, reason, allowed)``; the reason is 0 at the end. With ``refuse`` an uncharge of more than
    is held stops it; else the fault is counted and the counters go below zero, as in the kernel.
    """
    page_op = operations.page_op
    drain_local, drain_all = memcontrol.drain_local, memcontrol.drain_all
    cpu_dead, set_max, set_high = memcontrol.cpu_dead, memcontrol.set_max, memcontrol.set_high
    kernel_op = no_kernel_pages if memcontrol.kernel_pages is None else bind_kernel_op(memcontrol.kernel_pages)
    socket_op = no_sockets if sock is None else bind_socket_op(sock)

    @function
    def memcg_op(st, code, cpu, memcg, ctx, nr):
        """The rarer operations on cgroups: (what the caller gets, reason, allowed)."""
        if code == DRAIN_LOCAL:
            drain_local(st, cpu, DRAIN_LOCAL_CALL)
            return 0, 0, 0
        if code == CPU_DEAD:
            cpu_dead(st, cpu)
            return 0, 0, 0
        if memcg < 0 or memcg >= st.memcg.size:
            return 0, BAD_MEMCG, st.memcg.size
        if code == DRAIN_ALL:
            drain_all(st, cpu, memcg)
            return 0, 0, 0
        if nr < -1 or nr > PAGE_COUNTER_MAX:
            return 0, BAD_NR, PAGE_COUNTER_MAX
        pages = PAGE_COUNTER_MAX if nr == -1 else nr
        ret = 0
        if code == SET_LIMIT:
            ret = page_counter_limit(st, cpu, memcg, pages)
        elif code == SET_MAX:
            set_max(st, cpu, memcg, pages)
        else:
            set_high(st, cpu, memcg, pages)
        return ret, 0, 0

    def replay(st, ops, refuse):
        ret = st.total[RET]
        for k in range(ops.size):
            op = ops[k]
            code, ctx, cpu = np.int64(op.op), np.int64(op.ctx), np.int64(op.cpu)
            memcg, nr = np.int64(op.memcg), np.int64(op.nr)
            begin(st.log, k)
            if CHECKED and st.total[HALT]:
                raise IndexError("interrupted")
            if cpu >= st.work.shape[0]:
                return k, BAD_CPU, st.work.shape[0]
            if code <= CANCEL_CHARGE:
                if memcg < 0 or memcg >= st.memcg.size:
                    return k, BAD_MEMCG, st.memcg.size
                if nr < 1 or nr > NR_PAGES_MAX:
                    return k, BAD_NR, NR_PAGES_MAX
                if code <= UNCHARGE_SKMEM and memcg == st.root:
                    return k, BAD_ROOT, st.root
                ret, reason, allowed = page_op(st, code, cpu, memcg, ctx, nr, refuse)
            elif code <= SET_HIGH:
                ret, reason, allowed = memcg_op(st, code, cpu, memcg, ctx, nr)
            elif code <= SK_MEM_RECLAIM_PARTIAL:
                ret, reason, allowed = socket_op(st, code, cpu, memcg, ctx, nr, refuse)
            elif code <= SLAB_FREE:
                ret, reason, allowed = kernel_op(st, code, cpu, memcg, ctx, nr, refuse)
            else:
                return k, BAD_OP, code
            if reason:
                return k, reason, allowed
            step(st.log, cpu, STEP_RETURN, memcg, 0, ret)
            st.total[RET] = ret
        return ops.size, 0, 0

    return kernel(name)(replay)
