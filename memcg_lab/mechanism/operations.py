"""Operations on pages, and the one ledger of who holds how many; replay, the machine and the sockets all come here."""

from collections import namedtuple

import numpy as np

from .._jit import inline
from .records import BAD_UNDERFLOW, CHARGE_SKMEM, TRY_CHARGE, UNCHARGE_SKMEM, UNDERFLOW

Operations = namedtuple("Operations", "charge_sockets uncharge_sockets page_op")


def bind_operations(memcontrol):
    """Bind the operations on pages to one policy's functions."""
    try_charge, cancel_charge = memcontrol.try_charge, memcontrol.cancel_charge
    charge_skmem, uncharge_skmem = memcontrol.charge_skmem, memcontrol.uncharge_skmem

    @inline
    def charge_sockets(st, cpu, memcg, ctx, nr_pages):
        """Charge pages that sockets hold from now on, whatever the answer."""
        st.memcg[memcg].sock_held += nr_pages
        return charge_skmem(st, cpu, memcg, ctx, nr_pages)

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
            if nr_pages > group.sock_held:
                if refuse:
                    return ret, BAD_UNDERFLOW, group.sock_held
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
