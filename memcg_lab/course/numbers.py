"""The exercises with a whole number: what is right comes out of a run, what is wrong is told why."""

import functools
from collections import namedtuple

import numpy as np

from ..machine import Topology
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_BATCH
from ..system import System, op
from ..words import number
from ..workload import pingpong, producer_consumer
from .answers import THINK_NS, VISIT_NS, as_number, full_at

# right: () -> int. why: what to add when it is right. wrong: answer -> why it is wrong. low, high: any other answer.
Number = namedtuple("Number", "right why wrong low high")


def judge_number(exercise, answer):
    """(is it right, what to say) for an exercise whose answer is a whole number."""
    right = exercise.right()
    answer, complaint = as_number(answer, "a whole number, such as 5")
    if complaint:
        return False, complaint
    if answer != int(answer):
        return False, f"{number(float(answer))} is not whole; here things are counted one by one."
    answer = int(answer)
    if answer == right:
        return True, exercise.why
    if answer in exercise.wrong:
        return False, exercise.wrong[answer]
    return False, f"{number(answer)} is too {'low' if answer < right else 'high'}. " + (
        exercise.low if answer < right else exercise.high
    )


@functools.cache
def _given_back(policy, calls, nr_pages, depth=2):
    """Atomics of ``calls`` uncharges of ``nr_pages`` each, on a CPU whose stock is empty."""
    system = System.chain(depth, cpus=2, policy=policy)
    system.charge_skmem(cpu=0, memcg=depth, nr_pages=calls * nr_pages)
    return system.replay(np.repeat(op("uncharge_skmem", cpu=1, memcg=depth, nr=nr_pages), calls)).atomics


@functools.cache
def _first_drain(nr_pages):
    """Which call of ``nr_pages`` pages drains an empty stock for the first time."""
    calls = 1
    while not _given_back(V4_14, calls, nr_pages):
        calls += 1
    return calls


@functools.cache
def _nine_of_ten():
    """How many single pages have to come and go at depth 2 until the patch saves nine of ten atomics."""
    for pages in range(1, 100):
        ops = producer_consumer(pages, memcg=2)
        before, after = (System.chain(2, cpus=2, policy=policy).replay(ops).atomics for policy in (V4_13, V4_14))
        if 10 * after <= before:
            return pages
    raise AssertionError("no such number")


@functools.cache
def _fits(depth, nr_pages):
    log = System.chain(depth, cpus=1, policy=V4_13).step_through(op("try_charge", cpu=0, memcg=depth, nr=nr_pages))
    return log.atomics()


@functools.cache
def _root_refuses(depth, nr_pages):
    limits = [nr_pages - 1] + [-1] * depth
    system = System.chain(depth, cpus=1, policy=V4_13, limits=limits)
    return system.step_through(op("try_charge", cpu=0, memcg=depth, nr=nr_pages, ctx="softirq")).atomics()


@functools.cache
def _stock_after(*charges):
    """Pages in an empty stock of v4.13 after some charges."""
    system = System.chain(depth=1, cpus=1, policy=V4_13)
    for nr_pages in charges:
        system.charge_skmem(cpu=0, memcg=1, nr_pages=nr_pages)
    return system.stock[0].nr_pages


@functools.cache
def _drift(policy, cpus, depth):
    """The most pages the counter is ahead when each CPU fills its stock as far as the policy lets it."""
    system = System.chain(depth, cpus=cpus, policy=policy)
    for cpu in range(cpus):
        system.charge_skmem(cpu=cpu, memcg=depth, nr_pages=1)
        if policy is V4_14:  # one page back on top of the 31 that charging left
            system.uncharge_skmem(cpu=cpu, memcg=depth, nr_pages=1)
    return int(system.usage[depth] - system.sock[depth])


def full_with(batch):
    """CPUs that fill one line after the patch, with another batch: rounds and one visit, over the visit."""
    return ((batch + 1) * THINK_NS + VISIT_NS) // VISIT_NS


@functools.cache
def _left_by_large(nr_pages):
    """Usage of the root after each of two CPUs charged so many pages and gave them back, ten times."""
    system = System.chain(depth=1, cpus=2, policy=V4_14)
    for cpu in range(2):
        system.replay(pingpong(10, cpu=cpu, nr_pages=nr_pages))
    return int(system.usage[0])


@functools.cache
def _largest_let_through():
    """The largest packet that fits after one of its size was refused, on a cgroup that is full."""
    largest = 0
    for nr_pages in range(1, 2 * CHARGE_BATCH):
        system = System.chain(depth=1, cpus=1, policy=V4_14, limits=[-1, 40])
        system.charge_skmem(cpu=0, memcg=1, nr_pages=40)
        refused = not system.charge_skmem(cpu=0, memcg=1, nr_pages=nr_pages)
        system.uncharge_skmem(cpu=0, memcg=1, nr_pages=nr_pages)
        if refused and system.charge_skmem(cpu=0, memcg=1, nr_pages=nr_pages):
            largest = nr_pages
    return largest


NUMBERS = {
    "00.1": Number(
        right=lambda: _given_back(V4_14, 66, 1, depth=4),
        why="The 33rd and the 66th page empty the stock, and each time five counters are changed.",
        wrong={
            8: "8 is 2 trips to four counters. The root has a counter too.",
            2: "2 is how often the stock is emptied. Each time every counter up to the root is changed.",
            5: "5 is one trip. The stock is emptied by the 33rd page, and once more by the 66th.",
            330: "330 is 66 pages at 5 counters: that was before the patch.",
            264: "264 is 66 pages at 4 counters. That was before the patch, and the root has a counter too.",
            15: "15 is 3 trips. A trip takes 33 pages that come back, so 66 pages make 2.",
            12: "12 is 3 trips to four counters. A trip takes 33 pages, and the root has a counter too.",
            6: "6 is 2 trips to 3 counters, as in the example. Here the cgroup sits four levels below the root.",
            66: "That would be one atomic for each page. After the patch most pages cost none.",
            0: "The stock takes 32 pages without an atomic. Here 66 come back.",
        },
        low="Count how often the stock is emptied, and what one trip to the counters costs.",
        high="Only a stock that holds more than 32 pages is emptied, and then all pages go in one trip.",
    ),
    "00.2": Number(
        right=lambda: _given_back(V4_13, 66, 1, depth=4) - _given_back(V4_14, 66, 1, depth=4),
        why="66 pages at five counters make 330 before the patch, and two trips make 10 after it.",
        wrong={
            330: "330 is what they cost before the patch. Two trips are left after it.",
            10: "10 is what they cost after the patch. Asked is the difference.",
            256: "256 counts four levels. The root has a counter too, before the patch and after it.",
            64: "64 pages make no trip after the patch. Each of them saves an atomic at every counter.",
            33: "Asked is how many atomics less, not how many times fewer.",
        },
        low="Before the patch each page made a trip of its own, and each trip changes every counter up to the root.",
        high="Before the patch 66 pages made 66 trips, and each of them changed five counters.",
    ),
    "00.3": Number(
        right=lambda: _nine_of_ten(),
        why="9 pages: 3 atomics for one batch and 27 to give back; after it the batch alone. 27 of 30 are saved.",
        wrong={
            10: "10 pages do it: 33 and 3. But so do fewer.",
            8: "8 pages: 27 before, 3 after. That saves 24 of 27, a little less than nine of ten.",
            33: "With 33 pages the stock is drained for the first time: 105 before, 9 after. Fewer pages do it.",
            32: "32 pages save 96 of 99. Nine of ten are saved much sooner.",
            200: "200 pages save 582 of 621, more than nine of ten. Which is the smallest number that does?",
            1: "1 page: 6 before, 3 after. Charging still takes its batch, so half is saved.",
        },
        low="Charging a batch costs 3, before and after. Giving back must have cost nine times as much.",
        high="As long as nothing is drained, after the patch only the batch is paid. Fewer pages do it.",
    ),
    "02.1": Number(
        right=lambda: _fits(4, 50),
        why="Four levels below the root and the root itself, one atomic each. 50 pages cost what one page costs.",
        wrong={
            4: "4 is the number of levels below the root. The root has a counter too.",
            250: "250 is 50 pages times 5 levels. But one atomic adds all 50 pages to a level.",
            200: "200 is 50 pages times 4 levels. One atomic adds all 50 pages to a level, and the root counts.",
            50: "One atomic adds all 50 pages to a level. Count the levels.",
            100: "100 is 50 pages, there and back. One atomic adds all 50 to a level, and nothing has to come back.",
            2: "2 is how many batches of 32 would hold 50 pages. All 50 are charged at once; count the levels.",
            3: "The leaf and the root are levels too, and depth does not count the root.",
            8: "50 is more than a batch, so exactly 50 pages are charged, in one walk; and the root has a counter too.",
            10: "50 is more than a batch, so exactly 50 pages are charged, in one walk from the leaf to the root.",
            1: "One atomic is right for one level. Count the levels.",
        },
        low="Count every counter from the leaf up, the root included.",
        high="One atomic a level adds any number of pages.",
    ),
    "02.2": Number(
        right=lambda: _root_refuses(4, 50),
        why="Five levels add, the root included; the root takes its own back, and then the four below are undone.",
        wrong={
            5: "5 is right for the additions. All five have to be taken back.",
            9: "The root added too, before it looked at its limit. It takes its own addition back.",
            8: "8 would be right if the level below the root refused. The root is the fifth counter.",
            4: "Each level adds before it looks at its limit, and what was added has to be taken back.",
            6: "The root alone takes its addition back at once. The four levels below it are undone as well.",
            500: "One atomic adds or takes back all 50 pages of a level.",
            0: "Nobody looks before adding. All the levels add, and all of that is undone.",
        },
        low="Count the additions from the leaf to the root, and then what undoes each of them.",
        high="One addition and one subtraction a level; the number of pages does not matter.",
    ),
    "03.1": Number(
        right=lambda: _stock_after(20),
        why="32 pages are charged, 20 are handed out, 12 are left.",
        wrong={
            32: "32 pages are charged, but 20 of them go to whoever asked.",
            20: "20 pages are handed out. Asked is what is left of the batch.",
            0: "The kernel charges a whole batch of 32, not just the 20 pages.",
            31: "31 are left when one page is asked for. Here it is 20.",
            52: "The 20 pages come out of the batch; they do not go into the stock on top of it.",
        },
        low="A whole batch is charged, and what nobody asked for stays.",
        high="The pages that were asked for do not stay in the stock.",
    ),
    "03.2": Number(
        right=lambda: _stock_after(20, 20),
        why="12 are fewer than 20, so this is a miss: a new batch of 32, of which 12 are left, on top of the 12.",
        wrong={
            12: "12 is what the second batch leaves. The 12 of the first are still there.",
            44: "Of the new batch 20 pages are handed out; only the rest goes into the stock.",
            4: "A charge that the stock cannot serve leaves it alone, and then a whole batch of 32 comes, not 24.",
            0: "All or nothing: 12 pages cannot serve 20, so they stay where they are.",
            32: "Nothing fills the stock up to 32. What is left of each batch goes on top.",
            31: "31 is the most that a stock of 4.13 can hold. Count what is left of both batches.",
        },
        low="Count what is left of both batches.",
        high="40 of the 64 pages that were charged are in use.",
    ),
    "04.1": Number(
        right=lambda: _first_drain(7),
        why="Four calls leave 28 pages, which may stay. The fifth makes 35, and all 35 leave.",
        wrong={
            4: "After 4 calls 28 pages are in stock, and `28 > 32` is false.",
            6: "The fifth call makes 35, and `35 > 32` is true already.",
            33: "33 is a number of pages. Asked is the number of the call.",
            35: "35 is how many pages leave. Asked is the number of the call.",
            32: "32 is a number of pages, and the most that may stay. Asked is the number of the call.",
            7: "7 is how many pages a call brings. After 7 calls it would be 49 pages, and 33 are too many already.",
            1: "That was before the patch, when each call went straight to the counters.",
        },
        low="A drain needs more than 32 pages in the stock, and each call brings 7.",
        high="The stock is drained as soon as it holds more than 32 pages.",
    ),
    "04.2": Number(
        right=lambda: _given_back(V4_14, 100, 7),
        why="Every fifth call drains: 20 of 100. One subtraction at each of three counters, whatever the pages.",
        wrong={
            63: "63 is 700 pages in lots of 33. But a drain waits for a whole call: it takes 35 pages here.",
            66: "66 is 700 pages in lots of 32, rounded up. 32 may stay, and then a whole call comes on top: 35.",
            20: "20 is how often the stock is drained. Each drain subtracts at every level.",
            40: "40 is two levels. The root's counter is subtracted from as well.",
            300: "300 is 100 calls at 3 counters: that was before the patch.",
            2100: "2100 is 700 pages at 3 counters. One atomic subtracts any number of pages, even before the patch.",
            3: "3 is one drain. Count how often the stock is drained in 100 calls.",
            0: "The stock itself needs none, but draining it gives the pages back to the shared counters.",
        },
        low="Every fifth call drains, and each drain subtracts at every level up to the root.",
        high="One atomic subtracts any number of pages, and only every fifth call drains.",
    ),
    "04.3": Number(
        right=lambda: _given_back(V4_13, 100, 12) - _given_back(V4_14, 100, 12),
        why="300 before. After, every third call makes 36 pages and drains: 33 times at three counters, 99. That is "
        "two thirds saved.",
        wrong={
            0: "12 pages fit into the stock, so two calls of three cost nothing. From 33 pages on nothing is saved.",
            300: "300 is what the calls cost before the patch. Not all of it is saved.",
            99: "99 is what the calls cost after the patch. Asked is what is saved.",
            150: "Half is saved if every second call drains. 24 pages may stay; the third call makes 36.",
            67: "67 is how many calls drain nothing. Each of them saves an atomic at every level.",
            134: "134 counts two levels. The root has a counter too.",
            192: "That would be right if a drain took 33 pages. A whole call of 12 comes on top of 24: it takes 36.",
            200: "Count the drains: 100 calls have 33 whole threes, and the last call drains nothing.",
            3501: "One atomic subtracts all 12 pages of a call from a level, before the patch already.",
            3: "Asked is how many atomics less, not how many times fewer.",
        },
        low="Count the calls that drain nothing, and what each of them cost before the patch.",
        high="Every third call drains, and a drain costs as much as a call before the patch.",
    ),
    "05.1": Number(
        right=lambda: _drift(V4_14, 72, 3),
        why="72 stocks of 32 pages. Each page is counted once at each level, so the depth does not matter.",
        wrong={
            72 * 31: "31 is what charging alone leaves in a stock. Giving back can make it 32.",
            72 * 32 * 3: "Depth does not multiply: each level sees the same pages once.",
            72 * 32 * 4: "Depth does not multiply: each level sees the same pages once.",
            72 * 33: "With 33 pages a stock is drained at once. 32 may stay.",
            32: "That is one CPU's stock. There are 72.",
            96: "Depth does not multiply, the CPUs do.",
            128: "Depth does not multiply, the CPUs do.",
            72: "Each CPU may hold 32 pages, not one.",
        },
        low="Count what every CPU's stock may hold.",
        high="A stock holds 32 pages at most, and each page is counted once at each level.",
    ),
    "05.2": Number(
        right=lambda: _drift(V4_13, 72, 3),
        why="Nominally. Only charging fills a stock then: a batch of 32, less the page or more that was asked for.",
        wrong={
            72 * 32: "That is after the patch. Before it a stock is filled only by a charge, which uses a page itself.",
            0: "Charging used the stocks before the patch already.",
            31: "That is one CPU's stock. There are 72.",
            72: "Each CPU may hold more than one page: what is left of a batch.",
            72 * 31 * 3: "Depth does not multiply: each level sees the same pages once.",
            72 * 31 * 4: "Depth does not multiply: each level sees the same pages once.",
        },
        low="Count what is left of a batch on every CPU.",
        high="A charge of one page leaves 31 of its batch, and each page is counted once at each level.",
    ),
    "05.3": Number(
        right=_largest_let_through,
        why="32 pages may stay when they come back. With 33 the stock is drained, and the next packet finds nothing.",
        wrong={
            31: "31 was the most before the patch. When the refused packet's pages come back, 32 may stay.",
            33: "With 33 pages the stock is drained at once, so nothing is left for the next packet.",
            3: "3 was the size in the example. Larger packets do it too.",
            10: "10 was the limit in the example; it has nothing to do with the stock.",
            64: "More than 32 pages do not stay in a stock.",
        },
        low="Larger packets pass too, as long as their pages may stay in the stock.",
        high="As soon as the pages come back they would overflow the stock, and it is drained.",
    ),
}


# --- 06 to 08 --------------------------------------------------------------------------------------------------------
NUMBERS |= {
    "06.2": Number(
        right=lambda: full_at(V4_13),
        why="A round takes 1,050 ns, and each CPU takes the line for 50 of them: 21 CPUs fill it.",
        wrong={
            20: "20 CPUs use the line for 1,000 ns. But their round takes 1,050: they think, and then they are served.",
            22: "The line is taken all the time already when one CPU fewer is there.",
            19: "Divide the whole round, 1,050 ns, by the 50 ns that the line is taken.",
            50: "50 is the time of one visit in ns. How many of them fit into the round of one CPU?",
            1050: "1,050 ns is the round of one CPU. How many visits of 50 ns fit into it?",
            1000: "1,000 ns is the think time. How many visits of 50 ns fit into a round?",
            2: "Two CPUs may wait for each other now and then, but most of the time the line is free.",
        },
        low="With so few CPUs the line is free at times.",
        high="With fewer CPUs than that the line is taken all the time already.",
    ),
    "08.1": Number(
        right=lambda: full_at(V4_14),
        why="33 rounds and one visit take 33,050 ns, of which the line is taken for 50. Batching moved the wall, "
        "from 21 CPUs to 661. It did not remove it.",
        wrong={
            693: "33 times 21 is near. But a CPU pays the 50 ns only once in 33 rounds: 33 × 1,000 + 50, over 50.",
            672: "With 32 pages the stock is not drained yet; and a CPU pays the 50 ns only once in all these rounds.",
            641: "That would be right if every 32nd page drained the stock. 32 pages may stay; the 33rd drains.",
            640: "The stock is drained by the 33rd page, not by the 32nd; and a CPU's own visit belongs to its round.",
            660: "660 is 33,000 over 50. The CPU is served once as well: its 33 rounds take 33,050 ns.",
            21: "That was before the patch. Now only one operation in 33 visits the line.",
            33: "33 is how many pages come back between two visits. Asked is a number of CPUs.",
            33050: "33,050 ns is what 33 rounds and one visit take. How many visits of 50 ns fit into that?",
        },
        low="With so few CPUs the line is free at times.",
        high="With fewer CPUs than that the line is taken all the time already.",
    ),
    "08.2": Number(
        right=lambda: int((Topology.named("2x EPYC 7742").place(192)[1] == 0).sum()),
        why="The first threads of its 64 cores are CPUs 0 to 63, the second ones are CPUs 128 to 191.",
        wrong={
            96: "They would be shared out evenly only with 128 or 256 CPUs. Package 0 comes first in each round.",
            64: "64 would be package 0 without its second threads. CPU 128 is such a second thread.",
            192: "A package has 128 CPUs, and CPU 64 sits in the other one already.",
        },
        low="Linux counts one thread of each core first, package by package, and then the second threads.",
        high="A package has 64 cores of two threads each.",
    ),
    "08.3": Number(
        right=lambda: next(batch for batch in range(1, 1000) if full_with(batch) > 1000),
        why="A stock of 49 drains with the 50th page: 50 rounds and one visit take 50,050 ns, over 50 that is 1,001.",
        wrong={
            50: "50 is enough, but one page less is too: 32 may stay, it is the page above the batch that drains.",
            48: "With 48 every 49th page drains: 49 rounds and a visit, 49,050 ns, over 50. 981 CPUs fill that.",
            32: "With 32 it is full at 661 CPUs.",
            64: "64 is enough for 1,300 CPUs. Which is the smallest?",
            1000: "The batch is a number of pages. With 1,000 the line is full at more than 20,000 CPUs.",
        },
        low="With so small a batch 1,000 CPUs fill the line.",
        high="That is enough, but fewer pages are too.",
    ),
    "10.3": Number(
        right=lambda: _left_by_large(40),
        why="40 pages are more than a batch: exactly 40 are charged, and when they come back the stock is drained at "
        "once. So no stock holds anything.",
        wrong={
            64: "64 is what single pages leave, a full stock on each CPU. 40 pages at once cannot stay in a stock.",
            80: "40 pages on each CPU would be in use. They have come back, and 40 are too many for a stock.",
            16: "40 is not charged as two batches of 32. Above a batch the exact number is charged.",
            48: "40 is not charged as two batches of 32. Above a batch the exact number is charged.",
            32: "That is one full stock. 40 pages at once cannot stay in a stock.",
        },
        low="Every page that was charged came back: the counter is not below 0.",
        high="Nothing is in use. Think of what may stay in a stock when 40 pages come back at once.",
    ),
    "13.1": Number(
        right=lambda: 72 * 4 * V4_14.stock_bound,
        why="72 CPUs, 4 slots, 32 pages in each. Slots multiply the bound, as CPUs do and as depth does not.",
        wrong={
            72 * 32: "That is one slot on each CPU. There are four.",
            4 * 32: "That is one CPU. There are 72.",
            72 * 4: "Each slot holds up to 32 pages, not one.",
            72 * 4 * 33: "With 33 pages a slot is drained at once. 32 may stay.",
            72 * 4 * 31: "31 is what charging alone leaves. Giving back can make it 32.",
        },
        low="Count the slots of all CPUs, and what each may hold.",
        high="72 CPUs, 4 slots, 32 pages in each; nothing else multiplies.",
    ),
}
