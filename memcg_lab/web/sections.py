"""Sections: the labs that live in a page, in their order, each with the words around it and the kernels it needs."""

from collections import namedtuple

from ..labs.stage import data as stage

Section = namedtuple("Section", "lab title short says tries kernels")

_MACHINES = tuple(f"steps {machine[3].name}" for machine in stage.MACHINES)
_PAIR = tuple(f"{kind} {policy}" for policy in ("v4.13", "v4.14") for kind in ("replay", "machine"))

SECTIONS = (
    Section(
        "PatchLab",
        "The patch on stage",
        "Two kernels, one traffic, in lockstep.",
        "Two machines run the same traffic, one with Linux 4.13 and one with 4.14. A small square is a page, a box is "
        "a counter, and the tag on a counter names the CPU whose cache has its line. Before you press Play: how many "
        "atomics does it take to give one page back, two levels below the root? Write a number down for each kernel.",
        (
            "Make the first operation in which the two machines do not do the same. `Q` charges, `A` gives back.",
            "Bring a stock to exactly 0 pages while it still knows whose pages it held.",
            "Find traffic for which the patch costs more than before.",
        ),
        _MACHINES,
    ),
    Section(
        "ProfileLab",
        "A profile whose rows you mark",
        "How much could be gained at most?",
        "A profile says where the CPUs stood when they were asked. If the work of some rows vanished, how much faster "
        "would the host get? These are the rows that the commit shows for the kernel before the patch.",
        (
            "Mark what has to do with giving pages back. Write the factor down before you look.",
            "Mark everything that could have to do with it, the spin locks too. How wide is the gap?",
            "How many rows does it take to reach a factor of 1.1?",
        ),
        (),
    ),
    Section(
        "ContentionLab",
        "From 1 CPU to 256",
        "Where does a host meet a wall?",
        "Many CPUs want the same cache lines. The curve is what a simulated host of up to 256 CPUs gets done, before "
        "the patch and after it; drag the upright line, and the bars show where the time goes. At how many CPUs will "
        "the curve before the patch stop rising?",
        (
            "Find the setting for which the patch gains most.",
            "Let all words of a counter share one line, as in v4.13. Which line is the busiest, and what is left of "
            "the gain?",
            "Find the traffic for which the patch gains nothing.",
        ),
        _PAIR,
    ),
    Section(
        "CostLab",
        "Which machine was it?",
        "Can the published listing come from yours?",
        "The commit names no machine. Choose one: how long a cache line travels, how deep the cgroup sits, who reads "
        "what. One number, the rate of giving back, is fitted to one row of the listing; the others are predicted. "
        "This page has the answers for some values of each setting; a notebook fits anew for any.",
        (
            "Find a machine that explains all rows.",
            "Find one that explains `page_counter_cancel` and nothing else.",
            "Let nobody read `parent`. Which row can no machine explain then?",
        ),
        (),
    ),
    Section(
        "MeasureLab",
        "A measured CPU",
        "Real atomics, before and after.",
        "No model here: two real threads charged and gave back through both rules, on the machine that is named. To "
        "measure yours takes Python.",
        (
            "With one thread, by how much does each level below the root make a pair longer before the patch?",
            "With two threads, why do the bars after the patch hardly grow?",
            "Which of these numbers would you not trust on a virtual machine, and why?",
        ),
        (),
    ),
)
