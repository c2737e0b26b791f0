"""What a rule promises, and what it costs whom: notebook 13."""

from ...mechanism.policy import UNCHARGE_ONLY
from ...mechanism.records import CHARGE_BATCH
from ...system import System
from ...words import count
from .base import OTHER, WHEN, kind

RULES = {**WHEN, "with the uncharge hunk alone": UNCHARGE_ONLY}


def _story(policy, charged, back):
    """Pages come one at a time on CPU 0; some of them go back on CPU 1, one at a time."""
    system = System.chain(1, cpus=2, policy=policy)
    for _ in range(charged):
        system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    for _ in range(back):
        system.uncharge_skmem(cpu=1, memcg=1, nr_pages=1)
    return system


@kind("design")
def references_held(draw):
    """The promise that a careless rule breaks."""
    charged, rules = draw.between(10, 120), draw.pick([*RULES])
    back = draw.between(5, charged)
    text = (
        "A rule that loses no references keeps one for each page that is in use or in a stock. "
        f"{count(charged, 'page')} of a cgroup are charged on CPU 0, one at a time, and then {back} of them come back "
        f"on CPU 1, one at a time, {rules}. How many references does the cgroup have?"
    )

    def answer():
        system = _story(RULES[rules], charged, back)
        return system.snapshot()["css"][1], [
            (charged - back, "that is what is in use; what lies in the stocks has its references too."),
            (charged, "what came back counts as long as it lies in a stock."),
            *(
                (_story(policy, charged, back).snapshot()["css"][1], f"that is {when}.")
                for when, policy in RULES.items()
                if when != rules
            ),
            (0, "pages in use and pages in stocks keep their references."),
        ]

    return text, None, answer


@kind("design")
def largest_burst(draw):
    """The most that one call takes off the root's counter."""
    lumps, when = [draw.between(1, 45) for _ in range(3)], draw.pick([*WHEN])
    text = (
        f"200 pages of a cgroup are in use. {lumps[0]}, {lumps[1]} and {lumps[2]} of them come back on another CPU, "
        f"whose stock is empty, in three calls, {when}. The score *burst* is the most pages that one call takes off "
        "the root's counter. What is it here?"
    )

    def answer():
        def burst(policy):
            system = System.chain(1, cpus=2, policy=policy)
            system.charge_skmem(cpu=0, memcg=1, nr_pages=200)
            root = [int(system.usage[0])]
            for pages in lumps:
                system.uncharge_skmem(cpu=1, memcg=1, nr_pages=pages)
                root.append(int(system.usage[0]))
            return max(one - other for one, other in zip(root, root[1:]))

        return burst(WHEN[when]), [
            (burst(OTHER[when]), f"that is not {when}."),
            (sum(lumps), "that is all that comes back; a score looks at one call."),
            (CHARGE_BATCH, "that is the batch; the cap drains all of a stock, not a batch of it."),
            (max(lumps), "that is the largest call; what lay in the stock goes with it, or all of it stays."),
            (0, "what no stock keeps leaves the root's counter."),
        ]

    return text, None, answer


@kind("design")
def drift_that_was_met(draw):
    """The score *drift*: the most that lay in the stocks, not the bound."""
    charged, rules = draw.between(20, 150), draw.pick([*RULES])
    text = (
        f"{charged} single pages of a cgroup are charged on CPU 0, and then all of them come back on CPU 1, {rules}. "
        "The score *drift* is the most pages that lie in both stocks at one moment. What is it here?"
    )

    def answer():
        def met(policy):
            system, most = System.chain(1, cpus=2, policy=policy), 0
            for call, cpu in ((system.charge_skmem, 0), (system.uncharge_skmem, 1)):
                for _ in range(charged):
                    call(cpu=cpu, memcg=1, nr_pages=1)
                    most = max(most, sum(stock.nr_pages for stock in system.stock))
            return most

        return met(RULES[rules]), [
            *((met(policy), f"that is {when}.") for when, policy in RULES.items() if when != rules),
            (2 * CHARGE_BATCH, "that is the bound of two stocks after the patch; asked is what was met."),
            (CHARGE_BATCH, "that is what may stay in one stock after the patch; there are two."),
            (charged, "not all of them lie in stocks at one moment."),
            (0, "a charge takes a batch, and what is left of it lies in the stock."),
        ]

    return text, None, answer
