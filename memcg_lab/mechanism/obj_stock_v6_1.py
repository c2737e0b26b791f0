"""The object stock of v6.1: kernel objects are charged by the byte, out of pages that each CPU keeps for one cgroup.

A cgroup's objects are counted by its ``objcg``. Each CPU keeps some charged bytes of one objcg beside its page stock.
Bytes that lose their place there go to the objcg's ``nr_charged_bytes``, a word that all CPUs share, and are picked up
by the next CPU that takes the objcg. Whole pages go back into the page stock.

Kernel: ``obj_cgroup_charge``, ``obj_cgroup_uncharge``, ``drain_obj_stock``, ``mod_objcg_state`` in ``mm/memcontrol.c``,
v6.1. There one objcg for each cgroup, so an objcg has the number of its memcg.
"""

from collections import namedtuple

from .._jit import function, inline
from .records import OBJ_ADD, OBJ_XCHG, PAGE_SIZE
from .steps import (
    STEP_CHARGED_BYTES_ADD,
    STEP_CHARGED_BYTES_TAKE,
    STEP_KMEM_ADD,
    STEP_KMEM_SUB,
    STEP_OBJ_BYTES,
    STEP_OBJ_OWNER,
    step,
)

ObjStock = namedtuple("ObjStock", "kmem_uncharge refill_obj_stock drain_obj_stock count_slab")
KernelPages = namedtuple("KernelPages", "kmem_charge kmem_uncharge obj_charge obj_uncharge slab_alloc slab_free")


@inline
def set_bytes(st, cpu, nr_bytes):
    """Change the bytes in a CPU's object stock."""
    stock = st.obj_stock[cpu]
    step(st.log, cpu, STEP_OBJ_BYTES, cpu, stock.nr_bytes, nr_bytes)
    stock.nr_bytes = nr_bytes


@inline
def set_objcg(st, cpu, objcg):
    """Change whose bytes a CPU's object stock holds; the stock has a reference of its objcg."""
    stock = st.obj_stock[cpu]
    step(st.log, cpu, STEP_OBJ_OWNER, cpu, stock.objcg, objcg)
    if stock.objcg >= 0:
        st.objcg[stock.objcg].ref -= 1
    if objcg >= 0:
        st.objcg[objcg].ref += 1
    stock.objcg = objcg


@inline
def flush_slab(st, cpu):
    """Tell the shared statistics the slab bytes that this CPU remembered for them; true if there were any."""
    stock = st.obj_stock[cpu]
    if stock.reclaimable == 0 and stock.unreclaimable == 0:
        return False
    st.slab[stock.objcg, stock.node, 0] += stock.reclaimable
    st.slab[stock.objcg, stock.node, 1] += stock.unreclaimable
    stock.reclaimable = 0
    stock.unreclaimable = 0
    return True


@inline
def take_charged_bytes(st, cpu, objcg):
    """Let the stock hold this objcg and pick up what other CPUs left for it. An exchange, unless there is nothing."""
    set_objcg(st, cpu, objcg)
    group = st.objcg[objcg]
    left = group.nr_charged_bytes
    if left != 0:
        step(st.log, cpu, STEP_CHARGED_BYTES_TAKE, objcg, left, 0)
        group.nr_charged_bytes = 0
        st.total[OBJ_XCHG] += 1
    set_bytes(st, cpu, left)


@inline
def count_kmem(st, cpu, memcg, code, nr_pages):
    """Count kernel pages of a cgroup on this CPU."""
    before = st.kmem[cpu, memcg]
    st.kmem[cpu, memcg] = before + nr_pages
    step(st.log, cpu, code, memcg, before, before + nr_pages)


def bind_obj_stock(batch_pages, refill, drain):
    """Bind the object stock to one policy's page stock: what fills and empties it, and charges nothing."""

    @function
    def kmem_uncharge(st, cpu, memcg, nr_pages):
        """Give whole kernel pages back into this CPU's page stock."""
        count_kmem(st, cpu, memcg, STEP_KMEM_SUB, -nr_pages)
        refill(st, batch_pages, drain, cpu, memcg, nr_pages)

    @function
    def drain_obj_stock(st, cpu):
        """Empty the object stock: whole pages go into the page stock, the rest to what all CPUs share."""
        stock = st.obj_stock[cpu]
        objcg = stock.objcg
        if objcg < 0:
            return
        nr_bytes = stock.nr_bytes
        if nr_bytes > 0:
            if nr_bytes >= PAGE_SIZE:
                kmem_uncharge(st, cpu, objcg, nr_bytes // PAGE_SIZE)
            group = st.objcg[objcg]
            rest = nr_bytes % PAGE_SIZE
            step(st.log, cpu, STEP_CHARGED_BYTES_ADD, objcg, group.nr_charged_bytes, group.nr_charged_bytes + rest)
            group.nr_charged_bytes += rest
            st.total[OBJ_ADD] += 1
            set_bytes(st, cpu, 0)
        if flush_slab(st, cpu):
            stock.node = -1
        set_objcg(st, cpu, -1)

    @function
    def refill_obj_stock(st, cpu, objcg, nr_bytes, may_uncharge):
        """Put charged bytes into the stock; more than a page goes on as whole pages, unless it was just charged."""
        if st.obj_stock[cpu].objcg != objcg:
            drain_obj_stock(st, cpu)
            take_charged_bytes(st, cpu, objcg)
            may_uncharge = True
        held = st.obj_stock[cpu].nr_bytes + nr_bytes
        set_bytes(st, cpu, held)
        if may_uncharge and held > PAGE_SIZE:
            set_bytes(st, cpu, held % PAGE_SIZE)
            kmem_uncharge(st, cpu, objcg, held // PAGE_SIZE)

    @function
    def count_slab(st, cpu, objcg, node, index, nr_bytes):
        """Remember bytes of slab objects for the statistics of a node; beyond a page they are told at once."""
        stock = st.obj_stock[cpu]
        if stock.objcg != objcg:
            drain_obj_stock(st, cpu)
            take_charged_bytes(st, cpu, objcg)
            stock.node = node
        elif stock.node != node:
            flush_slab(st, cpu)
            stock.node = node
        before = stock.unreclaimable if index else stock.reclaimable
        after = before + nr_bytes
        if before != 0 and abs(after) > PAGE_SIZE:
            st.slab[objcg, node, index] += after
            after = 0
        if index:
            stock.unreclaimable = after
        else:
            stock.reclaimable = after

    return ObjStock(kmem_uncharge, refill_obj_stock, drain_obj_stock, count_slab)


def bind_kernel_pages(try_charge, objects):
    """Bind the charging of kernel pages and objects, which empties stocks where it must."""
    kmem_uncharge, refill_obj_stock, count_slab = objects.kmem_uncharge, objects.refill_obj_stock, objects.count_slab

    @function
    def kmem_charge(st, cpu, memcg, ctx, nr_pages):
        """Charge whole kernel pages: 0, or -ENOMEM."""
        ret = try_charge(st, cpu, memcg, ctx, nr_pages)
        if ret == 0:
            count_kmem(st, cpu, memcg, STEP_KMEM_ADD, nr_pages)
        return ret

    @function
    def obj_charge(st, cpu, objcg, ctx, nr_bytes):
        """Charge an object: out of this CPU's stock, else whole new pages whose rest is kept. 0, or -ENOMEM."""
        stock = st.obj_stock[cpu]
        if stock.objcg == objcg and stock.nr_bytes >= nr_bytes:
            set_bytes(st, cpu, stock.nr_bytes - nr_bytes)
            return 0
        ret = kmem_charge(st, cpu, objcg, ctx, (nr_bytes + PAGE_SIZE - 1) // PAGE_SIZE)
        if ret == 0 and nr_bytes % PAGE_SIZE:
            refill_obj_stock(st, cpu, objcg, PAGE_SIZE - nr_bytes % PAGE_SIZE, False)
        return ret

    @inline
    def obj_uncharge(st, cpu, objcg, nr_bytes):
        """Give an object's bytes back."""
        refill_obj_stock(st, cpu, objcg, nr_bytes, True)

    @function
    def slab_alloc(st, cpu, objcg, ctx, node, index, nr_bytes):
        """A slab object is allocated: charged, then counted for its node. 0, or -ENOMEM."""
        ret = obj_charge(st, cpu, objcg, ctx, nr_bytes)
        if ret == 0:
            count_slab(st, cpu, objcg, node, index, nr_bytes)
        return ret

    @function
    def slab_free(st, cpu, objcg, node, index, nr_bytes):
        """A slab object is freed."""
        obj_uncharge(st, cpu, objcg, nr_bytes)
        count_slab(st, cpu, objcg, node, index, -nr_bytes)

    return KernelPages(kmem_charge, kmem_uncharge, obj_charge, obj_uncharge, slab_alloc, slab_free)
