"""Operations on pages, and the one ledger of who holds how many: replay, the machine and the sockets come here."""

from collections import namedtuple

import numpy as np

from .._jit import function, inline
from .records import (
    BAD_MEMCG,
    BAD_NR,
    BAD_ROOT,
    BAD_UNDERFLOW,
    CHARGE_SKMEM,
    KMEM_CHARGE,
    KMEM_UNCHARGE,
    NR_BYTES_MAX,
    NR_PAGES_MAX,
    OBJ_CHARGE,
    OBJ_UNCHARGE,
    SK_MEM_QUANTUM,
    SLAB_ALLOC,
    SLAB_FREE,
    TRY_CHARGE,
    UNCHARGE_SKMEM,
    UNDERFLOW,
)

Operations = namedtuple("Operations", "charge_sockets uncharge_sockets page_op")


@function
def pages_of_sockets(st, memcg):
    """Pages charged for this cgroup's sockets: what they have in advance and in their buffers, in whole quanta."""
    nr_bytes = np.int64(0)
    for sk in range(st.socket.size):
        socket = st.socket[sk]
        if socket.memcg == memcg:
            nr_bytes += socket.forward_alloc + socket.rmem_alloc + socket.wmem_queued + socket.wmem_alloc
    return nr_bytes // SK_MEM_QUANTUM


def bind_operations(memcontrol, sockets=True):
    """Bind the operations on pages to one policy's functions.

    ``sockets=False`` leaves out, for a state without sockets, to look for what those own.
    """
    try_charge, cancel_charge = memcontrol.try_charge, memcontrol.cancel_charge
    charge_skmem, uncharge_skmem = memcontrol.charge_skmem, memcontrol.uncharge_skmem
    charges_refused = memcontrol.charges_refused

    @inline
    def charge_sockets(st, cpu, memcg, ctx, nr_pages):
        """Charge pages that sockets hold from now on; refused ones too, where those are charged all the same."""
        ret = charge_skmem(st, cpu, memcg, ctx, nr_pages)
        if charges_refused or ret:
            st.memcg[memcg].sock_held += nr_pages
        return ret

    @inline
    def uncharge_sockets(st, cpu, memcg, nr_pages):
        """Give back pages that sockets held."""
        st.memcg[memcg].sock_held -= nr_pages
        uncharge_skmem(st, cpu, memcg, nr_pages)

    @inline
    def page_op(st, code, cpu, memcg, ctx, nr_pages, refuse):
        """One operation on pages: (what the caller gets, reason, allowed).

        The reason is 0, or with ``refuse`` that more would be given back than is held; then nothing has changed.
        Without ``refuse`` such a fault is counted, and the counters go below zero as in the kernel.
        """
        group = st.memcg[memcg]
        ret = np.int64(0)
        if code == CHARGE_SKMEM:
            ret = charge_sockets(st, cpu, memcg, ctx, nr_pages)
        elif code == UNCHARGE_SKMEM:
            held = group.sock_held
            if sockets:  # the sum has two owners; what a socket has charged goes back through the socket alone
                held -= pages_of_sockets(st, memcg)
            if nr_pages > held:
                if refuse:
                    return ret, BAD_UNDERFLOW, held
                st.total[UNDERFLOW] += 1
            uncharge_sockets(st, cpu, memcg, nr_pages)
        elif code == TRY_CHARGE:
            ret = try_charge(st, cpu, memcg, ctx, nr_pages)
            if ret == 0 and memcg != st.root:
                group.held += nr_pages
        elif memcg != st.root:
            if nr_pages > group.held:
                if refuse:
                    return ret, BAD_UNDERFLOW, group.held
                st.total[UNDERFLOW] += 1
            group.held -= nr_pages
            cancel_charge(st, cpu, memcg, nr_pages)
        return ret, 0, np.int64(0)

    return Operations(charge_sockets, uncharge_sockets, page_op)


def bind_kernel_op(kernel_pages):
    """Bind the operations on kernel pages and objects, with their ledger."""
    kmem_charge, kmem_uncharge = kernel_pages.kmem_charge, kernel_pages.kmem_uncharge
    obj_charge, obj_uncharge = kernel_pages.obj_charge, kernel_pages.obj_uncharge
    slab_alloc, slab_free = kernel_pages.slab_alloc, kernel_pages.slab_free

    @function
    def kernel_op(st, code, cpu, memcg, ctx, nr, refuse):
        """One operation on kernel pages or objects: (what the caller gets, reason, allowed)."""
        ret = np.int64(0)
        if memcg < 0 or memcg >= st.memcg.size:
            return ret, BAD_MEMCG, st.memcg.size
        if memcg == st.root:
            return ret, BAD_ROOT, st.root
        group = st.objcg[memcg]
        slab = code == SLAB_ALLOC or code == SLAB_FREE
        amount = nr & 0xFFFFFFFF if slab else nr
        node, index = (nr >> 32) & 1, (nr >> 33) & 1
        most = NR_PAGES_MAX if code <= KMEM_UNCHARGE else NR_BYTES_MAX
        if amount < 1 or amount > most or nr < 1 or slab and nr >> 34:
            return ret, BAD_NR, most
        if code == KMEM_UNCHARGE or code == OBJ_UNCHARGE or code == SLAB_FREE:
            held = group.kmem_held if code == KMEM_UNCHARGE else group.obj_held
            if amount > held:
                if refuse:
                    return ret, BAD_UNDERFLOW, held
                st.total[UNDERFLOW] += 1
        if code == KMEM_CHARGE:
            ret = kmem_charge(st, cpu, memcg, ctx, amount)
            if ret == 0:
                group.kmem_held += amount
        elif code == KMEM_UNCHARGE:
            group.kmem_held -= amount
            kmem_uncharge(st, cpu, memcg, amount)
        elif code == OBJ_CHARGE or code == SLAB_ALLOC:
            if slab:
                ret = slab_alloc(st, cpu, memcg, ctx, node, index, amount)
            else:
                ret = obj_charge(st, cpu, memcg, ctx, amount)
            if ret == 0:
                group.obj_held += amount
        else:
            group.obj_held -= amount
            if slab:
                slab_free(st, cpu, memcg, node, index, amount)
            else:
                obj_uncharge(st, cpu, memcg, amount)
        return ret, 0, np.int64(0)

    return kernel_op
