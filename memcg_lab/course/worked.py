"""The exercises worked: hints in steps, and an answer as a reader would write it, shown after a right one."""

import textwrap
from typing import NamedTuple


class Worked(NamedTuple):
    """Hints, each saying more than the one before, and an answer: an expression, and what stands before it."""

    hints: tuple
    answer: str
    before: str = ""

    def shown(self):
        """The answer, for who has found one."""
        if not self.before:
            return f"One way: {self.answer}"
        said = "" if self.answer.isidentifier() else f"\n\n{self.answer}"  # a function's bare name says nothing more
        return "One way:\n" + textwrap.indent(self.before + said, "    ")

    def cell(self, exercise):
        """The code of a notebook's cell that answers the exercise."""
        space = "\n\n\n" if "def " in self.before else "\n\n"
        return (self.before + space if self.before else "") + f'check("{exercise}", {self.answer})'

    def value(self):
        """What the code gives when it is run: a number, a function, ..."""
        space = {"__name__": __name__}
        exec(self.before, space)
        return eval(self.answer, space)


def _worked(answer, *hints, before=""):
    return Worked(hints, answer, textwrap.dedent(before).strip())


WORKED = {
    "00.1": _worked(
        "(66 // 33) * 5",
        "After how many pages is the stock emptied for the first time? And for the second time?",
        "Each time it is emptied, one trip goes to every counter: four levels below the root, and the root.",
    ),
    "00.2": _worked(
        "66 * 5 - (66 // 33) * 5",
        "What did one page cost that came back before the patch?",
        "Before the patch each of the 66 pages made a trip to five counters. Take off what 00.1 gave.",
    ),
    "00.3": _worked(
        "next(n for n in range(1, 100) if 10 * 3 * (-(-n // 32) + n // 33) <= 3 * (-(-n // 32) + n))",
        "As long as no more than 32 pages come, after the patch only the first batch costs something. How much?",
        "Before the patch n pages cost 3 for the batch and 3 n to give back. When is 3 at most a tenth of that?",
    ),
    "01.1": _worked(
        "1 / (1 - 0.05 + 0.05 / 4)",
        "Let the whole take 1. How much of it does the function take afterwards?",
        "95 % stay, and a quarter of 5 %. The factor is old time over new time.",
    ),
    "01.2": _worked(
        "2.13 * -(-1000 // 32) / (1000 // 8)",
        "Take 1,000 pages. How many trips does charging make, and how many giving back?",
        "32 trips come, 125 go. Both meet the same counters, so the shares are as the trips.",
    ),
    "01.3": _worked(
        "1 / (1 - (3.95 + 2.85) / 100)",
        "In ProfileLab, mark the rows on the path and those of which one cannot tell. How many percent have they?",
        "It is 6.80 %. If they vanish, 1 - 0.0680 of the old time is left.",
    ),
    "02.1": _worked(
        "4 + 1",
        "How many counters know of a page of this cgroup?",
        "One atomic adds any number of pages to a counter. Depth 4 has four counters below the root, and the root.",
    ),
    "02.2": _worked(
        "2 * (4 + 1)",
        "Who adds before the root looks at its limit?",
        "Each of the five levels adds once, and each addition is taken back.",
    ),
    "02.3": _worked(
        "[-1, 0, 0, 1]",
        "Three atomics: the last cgroup has two above it. Which other cgroup shares only the top one with it?",
        "Two cgroups right below the root share the root alone. Hang the last one below one of them.",
    ),
    "02.4": _worked(
        "undo",
        "Begin at the leaf. Which is the next one up, and when do you stop?",
        "A loop: as long as the level is not the one that refused, subtract, then go to its parent.",
        before="""
            def undo(counts, parents, leaf, refused, nr_pages):
                level = leaf
                while level != refused:
                    counts[level] -= nr_pages
                    level = parents[level]
        """,
    ),
    "02.5": _worked(
        "try_charge",
        "Each level adds first and looks at its limit afterwards. Write that loop, up to the root, whose parent is -1.",
        "If the level is above its limit, give back from the leaf up to and with this level, and return it.",
        before="""
            def try_charge(counts, limits, parents, leaf, nr_pages):
                level = leaf
                while level != -1:
                    counts[level] += nr_pages
                    if counts[level] > limits[level]:
                        counts[level] -= nr_pages
                        while leaf != level:
                            counts[leaf] -= nr_pages
                            leaf = parents[leaf]
                        return level
                    level = parents[level]
                return -1
        """,
    ),
    "03.1": _worked(
        "32 - 20",
        "How many pages does the kernel charge when 20 are asked for?",
        "It charges a batch of 32 and hands 20 out.",
    ),
    "03.2": _worked(
        "12 + 32 - 20",
        "Can the 12 pages serve a charge of 20?",
        "They cannot, and they stay. What is left of a second batch comes on top.",
    ),
    "03.3": _worked(
        "32",
        "Try some sizes in StockLab, or on paper: what does each charge leave in the stock?",
        "A charge of n pages leaves 32 - n. For which n is that nothing at all?",
    ),
    "03.4": _worked(
        "forget",
        "Let consume_stock do its work first. When is there something left to do?",
        "If it answered true and the stock has 0 pages, set the stock's memcg to -1. Then answer true.",
        before="""
            from memcg_lab.mechanism.stock_v4_13 import consume_stock


            def forget(st, batch, cpu, memcg, nr_pages):
                if not consume_stock(st, batch, cpu, memcg, nr_pages):
                    return False
                if st.stock[cpu, 0].nr_pages == 0:
                    st.stock[cpu, 0].memcg = -1
                return True
        """,
    ),
    "03.5": _worked(
        "consume",
        "Three things must hold: the charge is not above the batch, the cgroup is the right one, the pages are enough.",
        "If all three hold, subtract nr_pages from stock.nr_pages and return True. Leave stock.memcg alone.",
        before="""
            def consume(st, batch, cpu, memcg, nr_pages):
                stock = st.stock[cpu, 0]
                if nr_pages > batch or stock.memcg != memcg or stock.nr_pages < nr_pages:
                    return False
                stock.nr_pages -= nr_pages
                return True
        """,
    ),
    "04.1": _worked(
        "32 // 7 + 1",
        "How many calls of 7 pages fit into 32?",
        "Four make 28, which may stay. Then one more call comes.",
    ),
    "04.2": _worked(
        "100 // 5 * 3",
        "How many of the 100 calls drain, if the fifth is the first to do so and then everything begins anew?",
        "Every fifth call drains, and each drain subtracts once at every counter up to the root.",
    ),
    "04.3": _worked(
        "100 * 3 - 100 // 3 * 3",
        "With 12 pages a call, which call drains?",
        "The third: 36 pages. 100 calls have 33 drains. Before the patch each call went to three counters.",
    ),
    "04.4": _worked(
        "surplus",
        "Let refill_stock fill the stock first. How many pages lie above the batch then?",
        "Those above the batch leave every counter (uncharge_counters), put their references (css_put_many), and the "
        "stock keeps batch pages.",
        before="""
            from memcg_lab.mechanism.stock_v4_13 import css_put_many, refill_stock, uncharge_counters


            def surplus(st, batch, drain, cpu, memcg, nr_pages):
                refill_stock(st, batch, drain, cpu, memcg, nr_pages)
                stock = st.stock[cpu, 0]
                over = stock.nr_pages - batch
                if over > 0:
                    uncharge_counters(st, cpu, memcg, over)
                    css_put_many(st, cpu, memcg, over)
                    stock.nr_pages = batch
        """,
    ),
    "05.1": _worked(
        "72 * 32",
        "How many pages may lie in one CPU's stock?",
        "32 on each of the 72 CPUs. Does a page count more than once at the same level?",
    ),
    "05.2": _worked(
        "72 * (32 - 1)",
        "Before the patch, what puts pages into a stock?",
        "Only a charge, with what is left of its batch. It asked for one page at least.",
    ),
    "05.3": _worked(
        "32",
        "The refused packet's pages come back. What must the stock do with them, so that the next packet finds them?",
        "They have to stay in the stock. How many pages may stay at most?",
    ),
    "05.4": _worked(
        "far",
        "After a charge of one page a stock holds 31. Which call makes it 32?",
        "Charge one page on each CPU, and give one back on each CPU.",
        before="""
            from memcg_lab import op

            far = [
                op("charge_skmem", cpu=0, memcg=1, nr=1),
                op("charge_skmem", cpu=1, memcg=1, nr=1),
                op("uncharge_skmem", cpu=0, memcg=1, nr=1),
                op("uncharge_skmem", cpu=1, memcg=1, nr=1),
            ]
        """,
    ),
    "06.1": _worked(
        '"parent"',
        "Which word does the walk up the tree read, and which word does everybody write?",
        "It is enough that these two do not share a line. Either may go.",
    ),
    "06.2": _worked(
        "(1000 + 50) // 50",
        "How long is one round of a CPU, from one visit to the next?",
        "1,050 ns. How many visits of 50 ns fit into that?",
    ),
    "06.3": _worked(
        "101 * 50 - 50",
        "In exercise 06.2 the round was 1,050 ns for 21 CPUs. How long must it be for 101?",
        "101 visits of 50 ns make 5,050 ns. The visit itself is part of the round.",
    ),
    "07.1": _worked(
        "100 * (1 - 1 / 1.25)",
        "Let the common rows do the same work. What is the new whole, as a part of the old one?",
        "Each row is the same amount of 1 / 1.25 of the old whole. What went away is the rest.",
    ),
    "07.2": _worked(
        "0.0213 * 56 / (4 * (86.4 + 8) * 1e-9) / 1e6",
        "How many seconds do all CPUs together spend there in one second?",
        "0.0213 x 56 seconds. One uncharge takes 4 atomics of 86.4 + 8 ns.",
    ),
    "07.3": _worked(
        'V4_13_LAYOUT.with_words("mine", parent=1)',
        "An uncharge reads one word at each level. Which, and who takes its line away?",
        "Move parent to line 1, or move count there. One of the two is enough.",
        before="from memcg_lab.machine import V4_13_LAYOUT",
    ),
    "08.1": _worked(
        "(33 * 1000 + 50) // 50",
        "How many pages does a CPU give back from one visit to the next?",
        "33 rounds of 1,000 ns and one visit of 50 ns. How many visits fit into that?",
    ),
    "08.2": _worked(
        "64 + 64",
        "Which are the first 64 CPUs, which the next 64? Look at the table of places.",
        "CPUs 0 to 63 sit in package 0, 64 to 127 in package 1, and 128 to 191 are second threads of package 0.",
    ),
    "08.3": _worked(
        "next(b for b in range(1, 1000) if ((b + 1) * 1000 + 50) // 50 > 1000)",
        "With a batch of b a CPU visits the line once in b + 1 pages. How long is that?",
        "(b + 1) x 1,000 + 50 ns, over 50, is the number of CPUs that fill the line. It must be above 1,000.",
    ),
    "09.1": _worked(
        "1 / (1 / 21694.8 + (1 / 10482.7 - 1 / 21694.8) / 2)",
        "Times add up, rates do not. What is the time of one round, from a rate?",
        "Take 1 / Mbps as a time. Halve what lies above the root cgroup's, and turn it back into a rate.",
    ),
    "09.2": _worked(
        "100 * (1 - (1 / 17063.7 - 1 / 21694.8) / (1 / 10482.7 - 1 / 21694.8))",
        "As in 09.1, take 1 / Mbps as the time of a round, and take the root cgroup's time off.",
        "Divide what is left with batch 64 by what is left with batch 32. How much went?",
    ),
    "09.3": _worked(
        "1 / (1 / 15722 + (1 / 11341 - 1 / 15722) / 2)",
        "It is 09.1 with other rates. Which row charges nothing, and which has a batch of 32?",
        "The first row, 15,722, and usage aligned, 11,341.",
    ),
    "10.1": _worked(
        'rules["v4.13"] / rules["v4.14"]',
        "In the table above, look for depth 3 and 1 thread, before and after.",
        "Divide the median before by the median after.",
        before="""
            from memcg_lab import data_path
            from memcg_lab.machine import read_measurement

            bundled = read_measurement(data_path("hardware/2026-11-23-amd-epyc.json"))
            alone = [row for row in bundled["rules"] if row["depth"] == 3 and row["threads"] == 1 and row["padded"]]
            rules = {row["policy"]: row["ns"]["median"] for row in alone}
        """,
    ),
    "10.2": _worked(
        "2 * (-20_010 % 32)",
        "Before the patch what comes back goes to the counters at once. What fills the stock then?",
        "Each CPU charged 626 batches of 32 and used 20,010 pages of them. The rest lies in its stock.",
    ),
    "10.3": _worked(
        "0",
        "How many pages are charged when 40 are asked for?",
        "Exactly 40, because that is more than a batch. And when 40 come back, may they stay?",
    ),
    "11.1": _worked(
        "61 + 16",
        "The pages come in before the test. What does the stock hold then?",
        "77 is more than 64. How much of a stock leaves when it is drained?",
    ),
    "11.2": _worked(
        'atomics["v6.1, batch 32"] / atomics["v6.1, batch 128"]',
        'what_if(rows, policies) takes a list: trace_policy("v6.1", batch=32) and the same with 128.',
        "The first thing that what_if gives is a table. Divide its column atomics.",
        before="""
            from memcg_lab import data_path
            from memcg_lab.traces.check import trace_policy
            from memcg_lab.traces.text import read_rows
            from memcg_lab.traces.what_if import what_if

            bulk_rows = read_rows(data_path("kernel_traces/t61b.csv.xz"))
            answers, drift = what_if(bulk_rows, [trace_policy("v6.1", batch=batch) for batch in (32, 128)])
            atomics = answers.set_index("policy")["atomics"]
        """,
    ),
    "11.3": _worked(
        'check_trace(rows, trace_policy("v6.1", cap=False)).count("extra")',
        "The cell with ab_pre above uses trace_policy with cap=False. Use it on t612.",
        "An extra event came, and nobody had predicted it. The verdict counts them.",
        before="""
            from memcg_lab import data_path
            from memcg_lab.traces.check import check_trace, trace_policy
            from memcg_lab.traces.text import read_rows

            rows = read_rows(data_path("kernel_traces/t612.csv.xz"))
        """,
    ),
    "13.1": _worked(
        "72 * 4 * 32",
        "How many slots are there on the whole machine?",
        "72 x 4 slots, and each may hold 32 pages. The root's counter sees all of them.",
    ),
    "13.2": _worked(
        "busy",
        "Which number of a policy halves the trips? Look at the row of v6.1.",
        "A batch of 64, and a bound that says so: V4_14.with_rules(name, batch=64, bound=64).",
        before="""
            def busy():
                from memcg_lab.mechanism.policy import V4_14

                return V4_14.with_rules("twice the batch", batch=64, bound=64)
        """,
    ),
    "13.3": _worked(
        "small",
        "Half the drift is half a stock on each CPU. What does that do to the trips of single pages?",
        "A batch of 16: with 17 pages it drains. That is 0.12 atomics a call, and v4.13 takes 1.03.",
        before="""
            def small():
                from memcg_lab.mechanism.policy import V4_14

                return V4_14.with_rules("half a batch", batch=16, bound=16)
        """,
    ),
}
