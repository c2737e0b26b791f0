"""How far the counter is ahead, and what fits under a limit: notebook 05."""

from ...mechanism.policy import UNCHARGE_ONLY, V4_13, V4_14
from ...mechanism.records import CHARGE_BATCH
from ...system import System
from ...words import count, listing
from ...workload import tcp_data_queue, udp_enqueue
from .base import CONTEXT, OTHER, PAGE_KIB, SHORT, WHEN, YES_NO, kind, levels


# --- 05 ---------------------------------------------------------------------------------------------------------------
def _drift(system, memcg=1):
    return int(system.usage[memcg] - system.sock[memcg])


def _filled(policy, cpus, depth):
    system = System.chain(depth, cpus=cpus, policy=policy)
    for cpu in range(cpus):
        system.charge_skmem(cpu=cpu, memcg=depth, nr_pages=1)
        if policy is V4_14:
            system.uncharge_skmem(cpu=cpu, memcg=depth, nr_pages=1)
    return _drift(system, depth)


@kind("drift")
def the_bound(draw):
    """How far a counter can be ahead."""
    cpus, depth, when = draw.between(2, 128), draw.between(1, 6), draw.pick([*WHEN])
    text = (
        f"{cpus} CPUs, and {levels(depth)}. Operations come one after the other. By how many pages can its counter be "
        f"ahead of what is in use, {when}, if sockets alone use memory?"
    )

    def answer():
        right = _filled(WHEN[when], cpus, depth)
        return right, [
            (_filled(OTHER[when], cpus, depth), f"that is not {when}: only giving back into a stock makes it 32."),
            (right * (depth + 1), "depth does not multiply: each level sees the same pages once."),
            (right * depth, "depth does not multiply: each level sees the same pages once."),
            (cpus * (CHARGE_BATCH + 1), "with 33 pages a stock is drained."),
            (CHARGE_BATCH, "that is one CPU's stock."),
            (0, "the counter counts what is in the stocks, too."),
        ]

    return text, None, answer


@kind("drift")
def drift_of_a_story(draw):
    """Drift after a few calls on several CPUs."""
    cpus = draw.between(2, 4)
    charges = [draw.between(1, 40) for _ in range(cpus)]
    back = draw.between(1, sum(charges) - 1)
    on = draw.between(0, cpus - 1)
    told = listing([f"CPU {cpu} charges {pages}" for cpu, pages in enumerate(charges)])
    text = (
        f"After the patch, all stocks empty: {told} pages to one cgroup, each in one call. Then {count(back, 'page')} "
        f"of them come back on CPU {on}, in one call. By how many pages is the counter ahead of what is in use?"
    )

    def answer():
        def story(policy):
            system = System.chain(1, cpus=cpus, policy=policy)
            for cpu, pages in enumerate(charges):
                system.charge_skmem(cpu=cpu, memcg=1, nr_pages=pages)
            system.uncharge_skmem(cpu=on, memcg=1, nr_pages=back)
            return system

        system = story(V4_14)
        return _drift(system), [
            (_drift(story(V4_13)), "that is before the patch: what came back went to the counters."),
            (_drift(story(UNCHARGE_ONLY)), "that is without the cap: a stock with more than 32 pages is drained."),
            (int(system.usage[1]), "that is the counter. What is in use is to be taken off."),
            (cpus * CHARGE_BATCH, "that is the bound; the stocks are not all full."),
            (0, "the counter counts what is in the stocks, too."),
        ]

    return text, None, answer


@kind("drift")
def does_it_fit(draw):
    """A limit bites too early."""
    cpus = draw.between(1, 4)
    limit = cpus * CHARGE_BATCH + draw.between(20, 100)
    pages = max(CHARGE_BATCH + 1, limit - cpus * CHARGE_BATCH + draw.between(-30, 40 * cpus))
    ctx = draw.pick(["softirq", "task"])
    text = (
        f"A cgroup may have {limit} pages. {count(cpus, 'CPU')} with empty stocks charged one page each. Another CPU "
        f"needs {pages} pages at once, {CONTEXT[ctx]}; nothing can be reclaimed. Do they fit? {SHORT}"
    )

    def answer():
        system = System.chain(1, cpus=cpus + 1, policy=V4_14, limits=[-1, limit])
        for cpu in range(cpus):
            system.charge_skmem(cpu=cpu, memcg=1, nr_pages=1)
        fits = system.try_charge(cpu=cpus, memcg=1, nr_pages=pages, ctx=ctx) == 0
        why = {
            True: "the counter has room for them, or a task has the stocks drained and then it has.",
            False: (
                "the stocks hold pages that are counted, and in softirq nobody drains them; or it is too much anyway."
            ),
        }[fits]
        return YES_NO[not fits], [(YES_NO[fits], why)]

    return text, YES_NO, answer


@kind("drift")
def refused_packets(draw):
    """One refused try pays for the next."""
    packets, pages, when = draw.between(3, 20), draw.between(1, 40), draw.pick([*WHEN])
    limit = draw.between(33, 60)
    text = (
        f"The limit is {limit} pages, all are in use, and the stock is empty. {packets} UDP packets of "
        f"{count(pages, 'page')} arrive one after the other on one CPU, in softirq. A refused one is dropped, the "
        f"others are read at once; either way the pages are given back. How many are refused {when}?"
    )

    def answer():
        def refused(policy):
            system = System.chain(1, cpus=1, policy=policy, limits=[-1, limit])
            system.charge_skmem(cpu=0, memcg=1, nr_pages=limit)
            refused = 0
            for _ in range(packets):
                refused += not system.charge_skmem(cpu=0, memcg=1, nr_pages=pages)
                system.uncharge_skmem(cpu=0, memcg=1, nr_pages=pages)
            return refused

        return refused(WHEN[when]), [
            (refused(OTHER[when]), f"that is not {when}, or not with packets of this size."),
            (0, "the first finds no stock to pay from."),
            (1, "what is given back pays for the next packet only if it may stay in the stock."),
            (packets, "what a refused packet gives back may stay in the stock, and the next takes it."),
            (packets // 2, "each packet gives back what it took, so the next finds the same."),
        ]

    return text, None, answer


@kind("drift")
def dropped_packets(draw):
    """UDP asks once, TCP twice."""
    packets, pages = draw.between(3, 30), draw.between(2, 12)
    limit, protocol, when = draw.between(pages, 30), draw.pick(["UDP", "TCP"]), draw.pick([*WHEN])
    text = (
        f"The limit is {limit} pages, and all are in the receive queue of a {protocol} socket. {packets} packets of "
        f"{pages} pages arrive in softirq on one CPU; nobody reads, and pruning frees nothing. How many are dropped "
        f"{when}?"
    )

    def answer():
        def dropped(protocol, policy):
            receive = {"UDP": udp_enqueue, "TCP": tcp_data_queue}[protocol]
            system = System.chain(1, cpus=1, policy=policy, limits=[-1, limit], sockets=[1])
            receive(system, cpu=0, sk=0, nr_bytes=limit * 4096)
            return [receive(system, cpu=0, sk=0, nr_bytes=pages * 4096) for _ in range(packets)].count(False)

        other = "TCP" if protocol == "UDP" else "UDP"
        return dropped(protocol, WHEN[when]), [
            (dropped(other, WHEN[when]), f"that is {other}: UDP asks once, TCP asks again in the same call."),
            (dropped(protocol, OTHER[when]), f"that is not {when}."),
            (packets, "what a refused try leaves in the stock pays for the next."),
            (0, "before the patch nothing stays in the stock, and UDP asks only once."),
            (1, "a packet that fits stays here, so the stock is empty for the next."),
        ]

    return text, None, answer


@kind("drift")
def drift_in_kib(draw):
    """Pages as memory."""
    cpus, cgroups = draw.between(2, 64), draw.between(1, 3)
    text = (
        f"{cpus} CPUs, and {count(cgroups, 'cgroup')} of sockets. A page is 4 KiB. How many KiB lie in the stocks at "
        "most after the patch, of all cgroups together?"
    )

    def answer():
        pages = _filled(V4_14, cpus, 1)
        return pages * PAGE_KIB, [
            (pages, "that is pages; a page is 4 KiB."),
            (pages * PAGE_KIB * cgroups, "a stock holds pages of one cgroup: cgroups do not multiply, CPUs do."),
            (_filled(V4_13, cpus, 1) * PAGE_KIB, "that is before the patch: 31 pages a CPU."),
            (CHARGE_BATCH * PAGE_KIB, "that is one CPU's stock."),
            (cpus * 33 * PAGE_KIB, "with 33 pages a stock is drained."),
        ]

    return text, None, answer
