"""The exercises: the right answer comes out of a run, and a wrong one is told why it is wrong."""

import functools
import inspect
import math
import numbers
import re
from collections import namedtuple

import numpy as np

from ..checks import shown
from ..figures.series import giving_back
from ..mechanism.policy import V4_13, V4_14
from ..mechanism.records import CHARGE_BATCH, OPS
from ..mechanism.steps import STEP_TRY_ADD
from ..mechanism.stock_v4_13 import css_put_many, refill_stock, uncharge_counters
from ..mechanism.stock_v4_14 import uncharge_to_stock
from ..system import System, op
from ..words import capital, count, kind, number, operation
from ..workload import mixed
from .answers import full_at, judge_factor, judge_layout, judge_never_hit, judge_rows, judge_tree
from .machine_answers import NEAR, WORDS, judge_near

# right: () -> int. why: what to add when it is right. wrong: answer -> why it is wrong. low, high: any other answer.
Number = namedtuple("Number", "right why wrong low high")

PARAMETERS = ("st", "batch", "drain", "cpu", "memcg", "nr_pages")


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
    >>> check("00.1", 2)
    00.1: not yet. 2 is the number of levels below the root. The root has a counter too, and is charged like the rest.
    >>> check("00.1", 3)
    00.1: right. Leaf, middle, root: a charge adds to each of them, one atomic a level.
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
def _levels_met():
    log = System.chain(depth=2, cpus=1).step_through(op("charge_skmem", cpu=0, memcg=2, nr=1))
    return int((log.rows["step"] == STEP_TRY_ADD).sum())


@functools.cache
def _first_drain():
    """(uncharges of one page until the first drain, atomics in that drain), from an empty stock at depth 2."""
    system = System.chain(depth=2, cpus=2, policy=V4_14)
    system.charge_skmem(cpu=0, memcg=2, nr_pages=4 * CHARGE_BATCH)
    calls = 0
    while True:
        calls += 1
        work = system.replay(op("uncharge_skmem", cpu=1, memcg=2, nr=1))
        if work.drains:
            return calls, work.atomics


@functools.cache
def _nothing_saved():
    sizes = np.arange(1, 3 * CHARGE_BATCH)
    saved = giving_back(V4_14, sizes) < giving_back(V4_13, sizes) * (1 - 1e-12)
    return int(sizes[np.flatnonzero(saved)[-1] + 1])


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
        right=_levels_met,
        why="Leaf, middle, root: a charge adds to each of them, one atomic a level.",
        wrong={
            2: "2 is the number of levels below the root. The root has a counter too, and is charged like the rest.",
            1: "The leaf is only the first: each counter passes the charge on to its parent, up to the root.",
            4: "There are two levels below the root, and the root itself. That is all.",
            CHARGE_BATCH: "That is how many pages one charge takes in advance; asked is how many levels it meets.",
        },
        low="Count every counter from the leaf up, the root included.",
        high="Each level has one counter, and a charge meets it once.",
    ),
    "02.1": Number(
        right=lambda: _fits(4, 50),
        why="Four levels below the root and the root itself, one atomic each. 50 pages cost what one page costs.",
        wrong={
            4: "4 is the number of levels below the root. The root has a counter too.",
            250: "250 is 50 pages times 5 levels. But one atomic adds all 50 pages to a level.",
            200: "200 is 50 pages times 4 levels. One atomic adds all 50 pages to a level, and the root counts.",
            50: "One atomic adds all 50 pages to a level. Count the levels.",
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
        right=lambda: _first_drain()[0],
        why="32 pages may stay: the test is `>`, and it comes after the addition. Page 33 tips the stock over.",
        wrong={
            32: "After 32 uncharges 32 pages are in stock, and `32 > 32` is false. The test comes after the addition.",
            31: "31 is what a charge leaves in a stock: 32 taken, 1 used. Here the stock starts empty and only takes.",
            34: "With page 33 the stock holds 33, and `33 > 32` is true already.",
            64: "Two batches never gather: the cap is one batch.",
            1: "That was before the patch, when each page went straight to the counters.",
        },
        low="A drain needs more than 32 pages in the stock.",
        high="The stock is drained as soon as it holds more than 32 pages.",
    ),
    "04.2": Number(
        right=lambda: _first_drain()[1],
        why="One subtraction of 33 pages on each of three counters. The number of pages does not matter.",
        wrong={
            99: "99 is 33 pages times 3 levels. But each level subtracts all 33 pages in one atomic.",
            33: "The pages leave together: one atomic subtracts all 33 of them from a level.",
            1: "One atomic is right for one level. Count the levels.",
            2: "Two levels lie below the root. The root's counter is subtracted from as well.",
            66: "The pages leave together, one atomic a level; and the root is a level too.",
            0: "The stock itself needs none, but draining it gives the pages back to the shared counters.",
        },
        low="Every level from the leaf to the root gives the pages back.",
        high="One atomic subtracts any number of pages.",
    ),
    "04.3": Number(
        right=_nothing_saved,
        why="33 pages overflow the stock in every call, so every call drains: one atomic a level, as before the patch.",
        wrong={
            32: "32 pages just fit: `32 > 32` is false. The next call drains 64 at once: half the atomics are saved.",
            31: "31 pages fit, and the next call drains 62 at once. Something is saved.",
            34: "34 saves nothing, but it is not the smallest such number.",
            64: "64 saves nothing, but it is not the smallest such number.",
            1: "With single pages the patch saves most: one drain for 33 of them.",
        },
        low="As long as one call fits into the stock, a later call drains the pages of both.",
        high="A smaller call overflows the stock every time already.",
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
        why="Before the patch only charging fills a stock: a batch of 32 less the page or more that was asked for.",
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


# --- exercise 04.4: a rule of the reader's ---------------------------------------------------------------------------
def refill_stock_surplus(st, batch, drain, cpu, memcg, nr_pages):
    """Put charged pages into the stock; of what exceeds the batch only the surplus goes back to the counters."""
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    stock = st.stock[cpu, 0]
    surplus = stock.nr_pages - batch
    if surplus > 0:
        uncharge_counters(st, cpu, memcg, surplus)
        css_put_many(st, cpu, memcg, surplus)
        stock.nr_pages = batch


SURPLUS = V4_14.with_rules("surplus", refill=refill_stock_surplus, uncharge=uncharge_to_stock)


def _judge_refill(rule):
    """(is it right, what to say) for a cap hunk that drains only the surplus."""
    if not callable(rule):
        return False, f"Your answer is {kind(rule)}; give the function itself, without calling it."
    try:
        parameters = tuple(inspect.signature(getattr(rule, "py_func", rule)).parameters)
    except (TypeError, ValueError):
        return False, "That function cannot be read; define it with def in a cell."
    if len(parameters) != len(PARAMETERS):
        taken = ", ".join(parameters) or "nothing"
        return False, f"Your function takes ({taken}); a refill rule takes ({', '.join(PARAMETERS)})."
    try:
        return _replay_refill(rule)
    except Exception as error:
        return False, f"Your function did not run. {_short(error)}"


def _replay_refill(rule):
    yours, asked, kernel = (
        System.siblings(2, cpus=2, policy=policy, underflow="record")
        for policy in (V4_14.with_rules("your rule", refill=rule), SURPLUS, V4_14)
    )
    ops = np.concatenate([_single_pages(), _many_sizes()])
    earlier = asked.snapshot()
    for k in range(len(ops)):
        for system in (yours, asked, kernel):
            system.replay(ops[k : k + 1])
        mine, right = yours.snapshot(), asked.snapshot()
        if any(mine[field] != right[field] for field in ("stock", "usage", "css")):
            return False, _difference(k, ops, mine, right, earlier, kernel.snapshot())
        earlier = right
    return True, f"{count(len(ops), 'operation')} leave the same stocks, counters and references as the specification."


def _single_pages():
    """Single pages, so that the first difference is easy to follow by hand."""
    charge = [op("charge_skmem", cpu=0, memcg=1, nr=4 * CHARGE_BATCH)]
    return np.concatenate(charge + [op("uncharge_skmem", cpu=1, memcg=1, nr=1)] * (CHARGE_BATCH + 4))


def _many_sizes():
    return mixed(600, cpus=2, memcgs=(1, 2), mix={1: 4, 9: 2, 16: 1, 40: 1}, in_flight=20, seed=4)


def _difference(k, ops, yours, asked, earlier, kernel):
    """The first operation after which the reader's rule and the specification differ, and what that hints at."""
    row = ops[k]
    done = operation(OPS[row["op"]], int(row["cpu"]), int(row["memcg"]), int(row["nr"]))
    start = f"They part at operation {k + 1} of {len(ops):,}, where {done}: "
    for cpu, (mine, right) in enumerate(zip(yours["stock"], asked["stock"], strict=True)):
        if mine == right:
            continue
        told = start + f"your rule leaves {_held(mine)} in the stock of CPU {cpu}, the specification {_held(right)}."
        if earlier["stock"][cpu][0] not in (-1, right[0]) and mine[0] == right[0]:
            return told + " It held another cgroup's pages; they are drained first, before the new ones come in."
        if yours["stock"] == kernel["stock"] and mine[1] == 0:
            return told + " You empty the stock, as the kernel does; asked is to give back the surplus only."
        if mine[0] != right[0] and mine[1] > 0:
            return told + " A stock remembers whose pages it holds; refill_stock does that first."
        if mine[1] > right[1]:
            return told + f" More than {CHARGE_BATCH} pages may not stay."
        return told + f" Up to {CHARGE_BATCH} pages may stay; `>` is not `>=`."
    for field, name, mend in (
        ("usage", "memory.current is", "What leaves the stock must leave every counter: uncharge_counters."),
        ("css", "the references are", "What leaves the stock puts its references: css_put_many."),
    ):
        for m, (mine, right) in enumerate(zip(yours[field], asked[field], strict=True)):
            if mine != right:
                told = f"the stock is right, but {name} {mine:,} for memcg {m}, not {right:,}."
                return f"{start}{told} {mend}"
    return start


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
    "01.2": judge_rows,
    "02.3": judge_tree,
    "03.3": judge_never_hit,
    "04.4": _judge_refill,
    **{key: functools.partial(judge_near, exercise) for key, exercise in NEAR.items()},
    **WORDS,
}


# --- 07 --------------------------------------------------------------------------------------------------------------
_NUMBERS |= {
    "07.1": Number(
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
    "07.2": Number(
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
