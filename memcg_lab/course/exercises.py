"""The exercises: the right answer comes out of a run, and a wrong one is told why it is wrong."""

import functools
import math
import numbers
import re
from collections import namedtuple

import numpy as np

from ..checks import shown
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_BATCH, OPS
from ..mechanism.stock_v4_13 import consume_stock, css_put_many, refill_stock, uncharge_counters
from ..mechanism.stock_v4_14 import uncharge_to_stock
from ..system import System, op
from ..words import capital, count, kind, number, operation
from ..workload import mixed, producer_consumer
from .answers import full_at, judge_factor, judge_layout, judge_never_hit, judge_tree, judge_undo, takes_others
from .machine_answers import NEAR, WORDS, Near, judge_near

# right: () -> int. why: what to add when it is right. wrong: answer -> why it is wrong. low, high: any other answer.
Number = namedtuple("Number", "right why wrong low high")

REFILL = ("st", "batch", "drain", "cpu", "memcg", "nr_pages")  # what the rules take
CONSUME = ("st", "batch", "cpu", "memcg", "nr_pages")


def check(exercise, answer=None):
    """Say whether an answer is right and, if not, why. Nothing is raised, whatever the answer is.

    Parameters
    ----------
    exercise : str
        The notebook and the number, such as "04.1".
    answer : object
        None or ... means not answered yet.

    Raises
    ------
    ValueError
        If there is no such exercise.

    Examples
    --------
    >>> check("00.1", None)
    00.1: not answered yet. Replace None by your answer and run this cell again.
    >>> check("00.1", 8)
    00.1: not yet. 8 is 2 trips to four counters. The root has a counter too.
    >>> check("00.1", 10)
    00.1: right. The 33rd and the 66th page empty the stock, and each time five counters are changed.
    """
    if not isinstance(exercise, str) or exercise not in EXERCISES:
        raise ValueError(f"exercise {shown(exercise)} does not exist; there are {', '.join(EXERCISES)}.")
    if answer is None or answer is ...:
        print(f"{exercise}: not answered yet. Replace None by your answer and run this cell again.")
        return
    try:
        right, told = EXERCISES[exercise](answer)
    except Exception:  # an answer of the reader's own making; whatever it does, the cell goes on
        right, told = False, f"Your answer is {kind(answer)} that cannot be read here; give what the text asks for."
    print(f"{exercise}: {'right' if right else 'not yet'}. {told}")


# --- exercises with a number -----------------------------------------------------------------------------------------
def _judge(exercise, answer):
    """(is it right, what to say) for an exercise whose answer is a whole number."""
    right = exercise.right()
    if hasattr(answer, "item") and getattr(answer, "size", 0) == 1:
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, numbers.Real) or not math.isfinite(answer):
        what = "is not finite" if isinstance(answer, float) else f"is {kind(answer)}"
        return False, f"Your answer {what}; give a whole number, such as 5."
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


_NUMBERS = {
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
        right=lambda: _first_drain(5),
        why="Six calls leave 30 pages, which may stay. The seventh makes 35, and all 35 leave.",
        wrong={
            6: "After 6 calls 30 pages are in stock, and `30 > 32` is false.",
            8: "The seventh call makes 35, and `35 > 32` is true already.",
            33: "33 is a number of pages. Asked is the number of the call.",
            35: "35 is how many pages leave. Asked is the number of the call.",
            32: "32 is a number of pages, and the most that may stay. Asked is the number of the call.",
            5: "5 is how many pages a call brings. After 5 calls 25 pages are in stock.",
            1: "That was before the patch, when each call went straight to the counters.",
        },
        low="A drain needs more than 32 pages in the stock, and each call brings 5.",
        high="The stock is drained as soon as it holds more than 32 pages.",
    ),
    "04.2": Number(
        right=lambda: _given_back(V4_14, 100, 5),
        why="Every seventh call drains: 14 of 100. One subtraction at each of three counters, whatever the pages.",
        wrong={
            45: "45 is 500 pages in lots of 33. But a drain waits for a whole call: it takes 35 pages here.",
            48: "48 is 500 pages in lots of 32. 32 may stay, and then a whole call comes on top: 35.",
            14: "14 is how often the stock is drained. Each drain subtracts at every level.",
            28: "28 is two levels. The root's counter is subtracted from as well.",
            300: "300 is 100 calls at 3 counters: that was before the patch.",
            1500: "1500 is 500 pages at 3 counters. One atomic subtracts any number of pages, even before the patch.",
            1470: "The pages of a drain leave together: one atomic subtracts all 35 of them from a level.",
            3: "3 is one drain. Count how often the stock is drained in 100 calls.",
            0: "The stock itself needs none, but draining it gives the pages back to the shared counters.",
        },
        low="Every seventh call drains, and each drain subtracts at every level up to the root.",
        high="One atomic subtracts any number of pages, and only every seventh call drains.",
    ),
    "04.3": Number(
        right=lambda: _given_back(V4_13, 100, 20) - _given_back(V4_14, 100, 20),
        why="300 before. After, every second call makes 40 pages and drains: 50 times at three counters. That is half.",
        wrong={
            0: "20 pages fit into the stock, so every second call costs nothing. From 33 pages on nothing is saved.",
            300: "300 is what the calls cost before the patch. Not all of it is saved.",
            50: "50 is how many calls drain. Each of the others saves an atomic at every level.",
            100: "100 counts two levels. The root has a counter too.",
            120: "That would be right if a drain took 33 pages. A whole call of 20 comes on top of 20: it takes 40.",
            117: "That would be right if a drain took 33 pages. A whole call of 20 comes on top of 20: it takes 40.",
            5820: "One atomic subtracts all 20 pages of a call from a level, before the patch already.",
            2: "Asked is how many atomics less, not how many times fewer.",
        },
        low="Count the calls that drain nothing, and what each of them cost before the patch.",
        high="Every second call drains, and a drain costs as much as a call before the patch.",
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


# --- exercise 01.2: a share that follows from another -----------------------------------------------------------------
CANCEL_PERCENT, OTHER_BATCH = 2.13, 16


@functools.cache
def _charging_percent(batch):
    """What page_counter_try_charge should get if page_counter_cancel gets 2.13 %, single pages and v4.13."""
    policy = V4_13.with_rules(f"v4.13, batch {batch}", batch=batch)
    work = System.chain(depth=2, cpus=2, policy=policy).replay(producer_consumer(1000, memcg=2))
    return CANCEL_PERCENT * work.add / work.sub


NEAR["01.2"] = Near(
    right=lambda: _charging_percent(OTHER_BATCH),
    within=0.06,
    why="One trip for 16 pages that come, one for each page that goes: 2.13 % divided by nearly 16. Still not listed.",
    wrong=(
        (0.068, "0.07 % is what a batch of 32 gives. With 16 the kernel charges twice as often."),
        (0.034, "Half the batch means twice as many trips, not half as many."),
        (2.13, "2.13 % would be right if charging were not batched at all."),
        (34.1, "You multiplied. Charging makes fewer trips than giving back, so it gets less."),
        (15.9, "That is how many atomics of giving back there are for one of charging. Asked is a percentage."),
        (0.00133, "That is right as a part of all samples; give it in percent."),
        (0.13 / 3, "Charging and giving back meet the same three counters; the depth cancels."),
        (0.13 * 3, "Charging and giving back meet the same three counters; the depth cancels."),
    ),
    low="Divide 2.13 % by the number of pages that one trip of charging brings.",
    high="Divide 2.13 % by the number of pages that one trip of charging brings.",
)


# --- exercises 03.4 and 04.4: a rule of the reader's -----------------------------------------------------------------
def consume_and_forget(st, batch, cpu, memcg, nr_pages):
    """Serve a charge from the stock, and forget the cgroup when its last page goes."""
    if not consume_stock(st, batch, cpu, memcg, nr_pages):
        return False
    if st.stock[cpu, 0].nr_pages == 0:
        st.stock[cpu, 0].memcg = -1
    return True


def refill_stock_surplus(st, batch, drain, cpu, memcg, nr_pages):
    """Put charged pages into the stock; of what exceeds the batch only the surplus goes back to the counters."""
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    stock = st.stock[cpu, 0]
    surplus = stock.nr_pages - batch
    if surplus > 0:
        uncharge_counters(st, cpu, memcg, surplus)
        css_put_many(st, cpu, memcg, surplus)
        stock.nr_pages = batch


FORGETS = V4_13.with_rules("forgets", consume=consume_and_forget)
SURPLUS = V4_14.with_rules("surplus", refill=refill_stock_surplus, uncharge=uncharge_to_stock)


def _judge_consume(rule):
    """(is it right, what to say) for 03.4, a consume rule that forgets the cgroup with the last page."""
    ops = np.concatenate([[op("charge_skmem", cpu=1, memcg=1, nr=1)[0]] * (CHARGE_BATCH + 4), _many_sizes()])
    right, told, policy = _judge_rule(rule, "consume", CONSUME, FORGETS, V4_13, ops, _hint_consume)
    return right, told


def _judge_refill(rule):
    """(is it right, what to say) for 04.4, a cap hunk that drains only the surplus."""
    ops = np.concatenate([_single_pages(), _many_sizes()])
    right, told, policy = _judge_rule(rule, "refill", REFILL, SURPLUS, V4_14, ops, _hint_refill)
    if right:
        mine, kernel, none = (number(_given_back(p, 1000, 1)) for p in (policy, V4_14, V4_13))
        told += f" 1,000 single pages at depth 2 cost {mine} atomics with your cap, {kernel} with the kernel's, and "
        told += f"{none} without the patch."
    return right, told


def _judge_rule(rule, which, parameters, asked, kernel, ops, hint):
    """(is it right, what to say, the policy with the reader's rule) by running it beside the specification."""
    complaint = takes_others(rule, f"a {which} rule", parameters)
    if complaint:
        return False, complaint, None
    try:
        yours = kernel.with_rules("your rule", **{which: rule})
        right, told = _replay_rule((yours, asked, kernel), ops, hint)
    except Exception as error:
        return False, f"Your function did not run. {_short(error)}", None
    return right, told, yours


def _replay_rule(policies, ops, hint):
    yours, asked, kernel = (System.siblings(2, cpus=2, policy=policy, underflow="record") for policy in policies)
    earlier = asked.snapshot()
    for k in range(len(ops)):
        for system in (yours, asked, kernel):
            system.replay(ops[k : k + 1])
        mine, right = yours.snapshot(), asked.snapshot()
        if any(mine[field] != right[field] for field in ("stock", "usage", "css")):
            return False, _difference(k, ops, mine, right, earlier, kernel.snapshot(), hint)
        earlier = right
    return True, f"{count(len(ops), 'operation')} leave the same stocks, counters and references as the specification."


def _single_pages():
    """Single pages, so that the first difference is easy to follow by hand."""
    charge = [op("charge_skmem", cpu=0, memcg=1, nr=4 * CHARGE_BATCH)]
    return np.concatenate(charge + [op("uncharge_skmem", cpu=1, memcg=1, nr=1)] * (CHARGE_BATCH + 4))


def _many_sizes():
    return mixed(600, cpus=2, memcgs=(1, 2), mix={1: 4, 9: 2, 16: 1, 40: 1}, in_flight=20, seed=4)


def _difference(k, ops, yours, asked, earlier, kernel, hint):
    """The first operation after which the reader's rule and the specification differ, and what that hints at."""
    row = ops[k]
    done = operation(OPS[row["op"]], int(row["cpu"]), int(row["memcg"]), int(row["nr"]))
    start = f"They part at operation {k + 1} of {len(ops):,}, where {done}: "
    for cpu, (mine, right) in enumerate(zip(yours["stock"], asked["stock"], strict=True)):
        if mine != right:
            told = f"your rule leaves {_held(mine)} in the stock of CPU {cpu}, the specification {_held(right)}."
            return f"{start}{told} {hint(mine, right, earlier['stock'][cpu], yours['stock'] == kernel['stock'])}"
    for field, name, mend in (
        ("usage", "memory.current is", "What leaves the stock must leave every counter: uncharge_counters."),
        ("css", "the references are", "What leaves the stock puts its references: css_put_many."),
    ):
        for m, (mine, right) in enumerate(zip(yours[field], asked[field], strict=True)):
            if mine != right:
                told = f"the stock is right, but {name} {mine:,} for memcg {m}, not {right:,}."
                return f"{start}{told} {mend}"
    return start


def _hint_consume(mine, right, earlier, as_the_kernel):
    if as_the_kernel:
        return "The kernel remembers the cgroup of an empty stock; asked is to forget it: memcg becomes -1."
    if mine[1] == right[1]:
        return "Only a stock whose last page was just taken is forgotten."
    if mine[1] == earlier[1]:
        return "A charge that the stock serves takes its pages out."
    return "All or nothing: only enough pages of this cgroup serve a charge, and then exactly those it asked for."


def _hint_refill(mine, right, earlier, as_the_kernel):
    if earlier[0] not in (-1, right[0]) and mine[0] == right[0]:
        return "It held another cgroup's pages; they are drained first, before the new ones come in."
    if as_the_kernel and mine[1] == 0:
        return "You empty the stock, as the kernel does; asked is to give back the surplus only."
    if mine[0] != right[0] and mine[1] > 0:
        return "A stock remembers whose pages it holds; refill_stock does that first."
    if mine[1] > right[1]:
        return f"More than {CHARGE_BATCH} pages may not stay."
    return f"Up to {CHARGE_BATCH} pages may stay; `>` is not `>=`."


def _held(stock):
    memcg, pages = stock
    return f"{count(pages, 'page')} of memcg {memcg}" if memcg >= 0 else f"{count(pages, 'page')} of no cgroup"


def _short(error):
    """What went wrong, in one line without colours, paths and addresses."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not re.search(r"0x[0-9a-f]+|File \"|pipeline|During:", line)]
    if any("NRT required" in line for line in lines):
        return "A rule may not make lists, arrays, texts or errors; the kernel cannot allocate there either."
    for line in lines:
        missing = re.search(r"(?:name '(\w+)' is not defined|global name '(\w+)')", line)
        if missing:
            name = missing[1] or missing[2]
            return f"The name {name} is not known where the function stands; import it first."
    known = [line for line in lines if re.match(r"(?:Unknown attribute|Cannot|Invalid|Use of|No )", line)]
    line = (known or lines or [""])[0]
    return capital(f"{type(error).__name__}: {line[:160]}".rstrip(": .")) + "."


_JUDGES = {
    "01.1": judge_factor,
    "02.3": judge_tree,
    "02.4": judge_undo,
    "03.3": judge_never_hit,
    "03.4": _judge_consume,
    "04.4": _judge_refill,
    **{key: functools.partial(judge_near, exercise) for key, exercise in NEAR.items()},
    **WORDS,
}


# --- 06 to 08 --------------------------------------------------------------------------------------------------------
_NUMBERS |= {
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
}
_JUDGES |= {"07.3": judge_layout}

EXERCISES = dict(
    sorted({**{key: functools.partial(_judge, exercise) for key, exercise in _NUMBERS.items()}, **_JUDGES}.items())
)
