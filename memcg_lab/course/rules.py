"""The exercises that ask for code: it is run beside what is right, and the first operation that goes wrong is named."""

import functools

import numpy as np

from ..checks import shown
from ..files import golden_path
from ..golden import read_golden, system_of
from ..mechanism.policy import UNCHARGE_ONLY, V4_13, V4_14
from ..mechanism.records import CHARGE_BATCH, OPS
from ..mechanism.stock_v4_14 import uncharge_to_stock
from ..system import System, op
from ..words import count, kind, number, operation
from ..workload import mixed
from .answers import judge_undo, takes_others
from .trial import Trial, patiently, siblings, stopped
from .worked import WORKED

REFILL = ("st", "batch", "drain", "cpu", "memcg", "nr_pages")  # what the rules take
CONSUME = ("st", "batch", "cpu", "memcg", "nr_pages")


# --- exercises 03.4 and 04.4: a rule of the reader's -----------------------------------------------------------------
# The worked answers are the specification: they stand once, in worked.py.
FORGETS = V4_13.with_rules("forgets", consume=WORKED["03.4"].value())
SURPLUS = V4_14.with_rules("surplus", refill=WORKED["04.4"].value(), uncharge=uncharge_to_stock)


def judge_forget(rule):
    """(is it right, what to say) for 03.4, a consume rule that forgets the cgroup with the last page."""
    ops = np.concatenate([[op("charge_skmem", cpu=1, memcg=1, nr=1)[0]] * (CHARGE_BATCH + 4), _many_sizes()])
    right, told, _ = _judge_rule(rule, "consume", CONSUME, FORGETS, V4_13, ops, _hint_forget)
    return right, told


def judge_cap(rule):
    """(is it right, what to say) for 04.4, a cap hunk that drains only the surplus."""
    ops = np.concatenate([_single_pages(), _many_sizes()])
    right, told, policy = _judge_rule(rule, "refill", REFILL, SURPLUS, V4_14, ops, _hint_cap)
    if right:
        mine, kernel, none = (number(_thousand_back(p)) for p in (policy, V4_14, V4_13))
        told += f" 1,000 single pages at depth 2 cost {mine} atomics with your cap, {kernel} with the kernel's, and "
        told += f"{none} without the patch."
    return right, told


def _thousand_back(policy):
    """Atomics of 1,000 single pages that come back to a CPU whose stock is empty, at depth 2."""
    trial = Trial(System.chain(2, cpus=2, policy=policy))
    trial.replay(op("charge_skmem", cpu=0, memcg=2, nr=1000))
    before = trial.system.work()
    trial.replay(np.repeat(op("uncharge_skmem", cpu=1, memcg=2, nr=1), 1000))
    return (trial.system.work() - before).atomics


def _judge_rule(rule, which, parameters, asked, kernel, ops, hint):
    """(is it right, what to say, the policy with the reader's rule) by running it beside the specification."""
    complaint = takes_others(rule, f"a {which} rule", parameters)
    if complaint:
        return False, complaint, None
    yours = _with_rule(kernel, which, rule)
    right, told = _replay_rule((yours, asked, kernel), ops, hint)
    return right, told, yours


class _NoRule(ValueError):
    """What cannot stand in the place of a rule, in a sentence."""


def _with_rule(kernel, which, rule):
    try:
        return kernel.with_rules("your rule", **{which: rule})
    except ValueError as error:
        raise _NoRule(f"That is no such rule: {error}") from None


def _replay_rule(policies, ops, hint):
    yours, asked, kernel = (siblings(policy) for policy in policies)
    earlier = asked.snapshot()
    for k in range(len(ops)):
        for trial in (yours, asked, kernel):
            trial.replay(ops[k : k + 1])
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


def _hint_forget(mine, right, earlier, as_the_kernel):
    if as_the_kernel:
        return "The kernel remembers the cgroup of an empty stock; asked is to forget it: memcg becomes -1."
    if mine[1] == right[1]:
        return "Only a stock whose last page was just taken is forgotten."
    if mine[1] == earlier[1]:
        return "A charge that the stock serves takes its pages out."
    return "All or nothing: only enough pages of this cgroup serve a charge, and then exactly those it asked for."


def _hint_cap(mine, right, earlier, as_the_kernel):
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


# --- 03.5: consume_stock, before it is read --------------------------------------------------------------------------
# Golden runs in which it decides: the edge of a batch, cgroups that take turns, an owner that stays, a refusal, drains.
RUNS = (
    "boundary_consume",
    "boundary_32_33",
    "stale_cached_pointer",
    "refused_then_admitted",
    "drain_frees_remote_stock",
)
RANDOM_RUN, RANDOM_OPS = "random_switch_4768", 200


@functools.cache
def golden_runs():
    """The runs and what the kernel's own code answered."""
    stories = {scenario.config["name"]: scenario for scenario in read_golden(golden_path("stories_pre"))}
    mixture = next(s for s in read_golden(golden_path("random_pre")) if s.config["name"] == RANDOM_RUN)
    cut = mixture._replace(ops=mixture.ops[:RANDOM_OPS], expected=mixture.expected[:RANDOM_OPS])
    return [stories[name] for name in RUNS] + [cut]


def judge_consume(rule):
    """(is it right, what to say) for 03.5, the rule of v4.13, by running golden operations."""
    complaint = takes_others(rule, "a consume rule", CONSUME)
    if complaint:
        return False, complaint
    policy = _with_rule(V4_13, "consume", rule)
    done = 0
    for scenario in golden_runs():
        trial = Trial(system_of(scenario.config, policy))
        earlier = scenario.state
        for k, expected in enumerate(scenario.expected):
            trial.replay(scenario.ops[k : k + 1])
            got = {"ret": trial.system.last_return, **trial.snapshot()}
            wrong = [field for field in expected if field in got and got[field] != expected[field]]
            if wrong:
                return False, _golden_difference(scenario, k, wrong[0], got, expected, earlier)
            earlier = expected
        done += len(scenario.ops)
    told = _above_the_batch(rule)
    if told:
        return False, told
    return True, f"{count(done, 'golden operation')} end as in the kernel: every stock, counter, answer and reference."


def _above_the_batch(rule):
    """What is wrong with a rule that looks into the stock for more than a batch, or None.

    With the rules of v4.13 no stock has enough for that; with pages that come back to it, and no cap, one has.
    """
    held, more = CHARGE_BATCH + 8, CHARGE_BATCH + 1
    trial = Trial(System.chain(depth=1, cpus=1, policy=_with_rule(UNCHARGE_ONLY, "consume", rule)))
    for name, nr in (("charge_skmem", held), ("uncharge_skmem", held), ("charge_skmem", more)):
        trial.replay(op(name, cpu=0, memcg=1, nr=nr))
    left = trial.system.stock[0].nr_pages
    if left == held:
        return None
    return (
        f"All golden operations end as in the kernel, but a stock is never that full there: let it hold {held} pages, "
        f"as with the uncharge hunk and no cap, and charge {more}. Your rule leaves {count(left, 'page')} in it. "
        "A charge above the batch does not even look; it goes to the counters."
    )


def _golden_difference(scenario, k, field, got, expected, earlier):
    row = scenario.ops[k]
    cpu, memcg, nr = (int(row[name]) for name in ("cpu", "memcg", "nr"))
    done = operation(OPS[row["op"]], cpu, memcg, nr)
    start = f"Golden run {scenario.config['name']}, operation {k + 1} of {len(scenario.ops)}, where {done}: "
    mine, kernel, was = got["stock"][cpu], expected["stock"][cpu], earlier["stock"][cpu]
    if mine == kernel:
        return f"{start}{field} is {shown(got[field])}, in the kernel {shown(expected[field])}."
    told = f"the stock of CPU {cpu} held {_held(was)}. Your rule leaves {_held(mine)}, the kernel {_held(kernel)}. "
    if was[0] != memcg:
        mend = "Pages of another cgroup do not serve this one."
    elif mine[0] != kernel[0]:
        mend = "A stock whose last page is taken still remembers its cgroup."
    elif nr > CHARGE_BATCH:
        mend = "A charge above the batch does not even look."
    elif was[1] < nr:
        mend = "All or nothing: fewer pages than asked for stay where they are."
    elif mine == was:
        mend = "It served the charge: the pages have to leave the stock."
    else:
        mend = "So many pages of this cgroup serve the charge, also when they are just enough."
    return start + told + mend


# --- 02.5: a charge, whole or not at all -----------------------------------------------------------------------------
TRY = ("counts", "limits", "parents", "leaf", "nr_pages")
_TREE = (-1, 0, 0, 1, 3, 2)  # 4 lies below 3, 1 and 0; 5 below 2 and 0
_LIMITS = (300, 220, 150, 120, 80, 100)
# (leaf, pages): each more than a batch, so that no stock takes part. Some just fit, and each level refuses once.
_CHARGES = ((4, 80), (4, 33), (5, 100), (5, 33), (3, 40), (3, 33), (1, 60), (1, 50), (2, 60), (1, 40), (0, 40), (5, 33))


def judge_try(function):
    """(is it right, what to say) for 02.5, which charges every level up to the root, or none."""
    complaint = takes_others(function, "it", TRY)
    if complaint:
        return False, complaint
    system = System(_TREE, cpus=1, policy=V4_13, limits=list(_LIMITS), root=None)
    counts = [0] * len(_TREE)
    for k, (leaf, nr_pages) in enumerate(_CHARGES):
        before, failures = list(counts), np.array(system.snapshot()["failcnt"])
        fits = system.try_charge(cpu=0, memcg=leaf, nr_pages=nr_pages, ctx="softirq") == 0
        refused = -1 if fits else int((np.array(system.snapshot()["failcnt"]) - failures).argmax())
        args = counts, list(_LIMITS), list(_TREE), leaf, nr_pages
        answer = patiently(functools.partial(function, *args))
        told = f"Charge {k + 1} of {len(_CHARGES)}, {nr_pages} pages to memcg {leaf} with counts {before}: "
        should = [int(pages) for pages in system.usage]
        wrong = next((m for m in range(len(_TREE)) if counts[m] != should[m]), None)
        if wrong is not None:
            return False, told + _tried(wrong, counts[wrong], should[wrong], before[wrong], leaf, refused)
        if answer is None or isinstance(answer, bool) or answer != refused:
            right = "fits, so the answer is -1" if fits else f"is refused by memcg {refused}, and that is the answer"
            return False, f"{told}the counts are right. It {right}; yours is {shown(answer)}."
    return True, f"{count(len(_CHARGES), 'charge')} leave the same counts and answers as the mechanism's own."


def _tried(memcg, mine, should, before, leaf, refused):
    told = f"memcg {memcg} has {shown(mine)} pages after your function, not {should:,}. "
    if refused < 0:
        return told + (
            "It fits everywhere; exactly at the limit fits too, and every level up to the root takes the pages."
            if mine == before
            else "Each level on the way up takes the pages once, and no other."
        )
    return told + (
        f"Memcg {refused} refused, so every level that had taken the pages gives them back."
        if mine > before
        else f"Memcg {refused} refused. Only who took the pages gives them back, and only those."
    )


# --- 05.4: traffic that drifts as far as it can ----------------------------------------------------------------------
FAR_OPS, FAR_CPUS = 4, 2


def judge_far(answer):
    """(is it right, what to say) for 05.4, a stream of at most four operations."""
    if isinstance(answer, (list, tuple)) and answer and all(isinstance(part, np.ndarray) for part in answer):
        answer = np.concatenate(answer)
    if not isinstance(answer, np.ndarray) or answer.dtype != op("drain_local", cpu=0, memcg=0, nr=0).dtype:
        return False, f"Your answer is {kind(answer)}; give a list of operations, such as [op(...), op(...)]."
    if not 1 <= answer.size <= FAR_OPS:
        return False, f"Your answer has {count(answer.size, 'operation')}; allowed are up to {FAR_OPS}."
    system = System.chain(depth=1, cpus=FAR_CPUS, policy=V4_14)
    try:
        system.replay(answer.ravel())
    except ValueError as error:
        return False, f"That cannot be: {str(error).rstrip('.')}."
    held, ahead, most = int(system.sock[1]), int(system.usage[1] - system.sock[1]), FAR_CPUS * CHARGE_BATCH
    if held:
        return False, f"{count(held, 'page')} are still in use. At the end nothing may be."
    if ahead < most:
        full = [stock.nr_pages for stock in system.stock]
        return False, (
            f"memory.current is {count(ahead, 'page')} ahead; it can be more. The stocks hold {full[0]} and {full[1]}. "
            "Think what the last page of each stock has to be."
        )
    return True, (
        f"memory.current says {ahead}, and nothing is in use: each CPU's charge left 31 pages of a batch, and the page "
        "that came back made 32."
        if answer[0]["nr"] == 1
        else f"memory.current says {ahead}, and nothing is in use. Both stocks are full."
    )


def in_a_sentence(judge):
    """The judge, for whom a reader's function that stops, or never stops, is an answer too."""

    @functools.wraps(judge)
    def told(answer):
        try:
            return judge(answer)
        except _NoRule as error:
            return False, str(error)
        except Exception as error:
            return False, stopped(error)

    return told


RULES = {
    "02.4": in_a_sentence(judge_undo),
    "02.5": in_a_sentence(judge_try),
    "03.4": in_a_sentence(judge_forget),
    "03.5": in_a_sentence(judge_consume),
    "04.4": in_a_sentence(judge_cap),
    "05.4": in_a_sentence(judge_far),
}
