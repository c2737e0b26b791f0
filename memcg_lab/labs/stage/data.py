"""What the stage says and knows, as plain data: words, names, changed lines of the patch, the form of a step log.

``stage.js`` draws and moves. It reads the steps and the state from the compiled kernels, and everything else from here;
the sentence is made of the same templates on both sides.
"""

import functools
import re

import numpy as np

from ... import forms, history
from ...checks import shown
from ...mechanism import records, steps
from ...mechanism.policy import V4_14
from ...system import Refusal, System
from ...words import capital, count, listing, number

LETTERS = "ABCDEFGH"  # leaves
PAGES_MAX = 99  # of the reader's own calls
HUNKS = (1, 1, 2, 2, 2)  # of 475d048, for each of history.PATCH_LINES
EMPTY = "nothing yet: make your own"  # the traffic that the reader makes from the start
LONGEST, LONGEST_ASKED = 100_000, 5_000  # operations of a walk, in a page and where Python answers

# What System.invariants checks and a state shows, for a page to check again: a field is the sum of the books, with the
# pages in stocks, over the subtree; or every number of some fields has a bound. "bound" is the machine's. What the
# library adds (the books of single sockets, faults that were recorded) the stage does not have.
USED = ["memcg.held", "memcg.sock_held"]
INVARIANTS = [
    {
        "name": "usage = pages in use + pages in stocks, over the subtree",
        "short": "usage",
        "fields": ["counter.count"],
        "sum": USED,
        "stocks": True,
        "subtree": True,
    },
    {
        "name": "references = pages in use + pages in stocks",
        "short": "references",
        "fields": ["memcg.css"],
        "sum": USED,
        "stocks": True,
    },
    {
        "name": "sock = pages the sockets hold",
        "short": "sockets",
        "fields": ["sock"],
        "sum": ["memcg.sock_held"],
    },
    {"name": "no stock exceeds its bound", "short": "bound", "fields": ["stock.nr_pages"], "bound": True},
    {
        "name": "an empty owner holds no pages",
        "short": "owner",
        "fields": ["stock.nr_pages"],
        "least": 0,
        "owned": True,
    },
    {"name": "nobody holds less than nothing", "short": "books", "fields": USED, "least": 0},
]

# What the caller of an operation got, for the books of the state: the field, +1 or -1 for each page, and the answer
# with which it counts (None: any). mechanism/operations.py writes the same books.
LEDGER = {
    "charge_skmem": {"field": "memcg.sock_held", "sign": 1, "answer": None},
    "uncharge_skmem": {"field": "memcg.sock_held", "sign": -1, "answer": None},
    "try_charge": {"field": "memcg.held", "sign": 1, "answer": 0},
    "cancel_charge": {"field": "memcg.held", "sign": -1, "answer": None},
}

WORDS = {
    "nothing": "Nothing has run yet. Press Play, or make traffic of your own.",
    "place": "{k} of {n}: {operation}. {deeds} {sums}",
    "charge_skmem": "CPU {cpu} charges {pages} to {cgroup}",
    "uncharge_skmem": "CPU {cpu} gives back {pages} of {cgroup}",
    "try_charge": "CPU {cpu} charges {pages}, not socket memory, to {cgroup}",
    "cancel_charge": "CPU {cpu} gives back {pages} of {cgroup}, past the stock",
    "set_max": "CPU {cpu} sets the limit of {cgroup} to {pages}",
    "one": "{deed}.",
    "both": "Both machines: {deed}.",
    "all": "All machines: {deed}.",
    "each": "{machines}: {deed}.",
    "sum": "So far {atomics}.",
    "sums": "So far {atomics} atomics.",
    # what one machine did, by what stands in its log
    "hit": "served from the stock",
    "miss": "a miss",
    "large": "too large for the stock",
    "straight": "straight to the counters",
    "kept": "into the stock",
    "other": "{cgroup}'s {pages} are drained first",
    "cap": "the stock passes {batch} and is emptied",
    "asked": "CPU {cpu} gives up {pages} of {cgroup}",
    "refused by": "refused by {cgroup}",
    "refused often": "refused {times} times by {cgroup}",
    "forced": "over the limit, so it is forced in",
    "oom": "out of memory in the end",
    "no fit": "it does not fit",
    "fit": "then it fits",
    "no bill": "no atomic",
    # how often a line of the patch ran
    "ran": "{machine}: {line} ran in {times} of {operations}.",
    # what the kernel refuses
    "BAD_UNDERFLOW": "Refused: {cgroup} has {pages} in use.",
    "refused": "Refused: {reason}, allowed {allowed}.",
    # the self-check, with the first that is wrong
    "checking": "Checking: {operations} so far, {mismatches} mismatches.",
    "checked": (
        "{operations} of the golden files, {fields} fields: {mismatches} mismatches. "
        "Step log against the kernel's memory: {states} states, {differences} differences."
    ),
    "first mismatch": "The first: {scenario}, operation {op}, {field}.",
    # a long walk is run
    "coming": "Running: {done} of {all} operations.",
    # what is taken along
    "long link": "Too long for a link; copy it as Python.",
    "saved": "Saved with your browser's downloads.",
    "loaded": "Loaded. Undo brings back what was here.",
    "bad link": "Nothing was run beyond {operations}: {why}",
    "bent link": "{what} {given} is not possible: {low} to {high}; it is {kept} now.",
    "link unknown": "{name} is no name in a link of this lab; there are {names}.",
    # a walk from outside, read here and in Python
    "own where": "own, operation {place}: {text}",
    "own form": (
        "{where} is no operation; one reads 0a.1 (CPU 0 charges 1 page to A), 1b-2 (CPU 1 gives back 2 of B) or 0=2:48 "
        "(CPU 0 sets the limit of cgroup 2 to 48), and x3 behind it is three times."
    ),
    "own often": "{where} repeats too often; x{most} is the most, and the operation may stand there again.",
    "own there": "{where} names {what} {value}; this tree has {low} to {high}.",
    "own long": "own has more operations than a walk may have here, {most}.",
    # another tree
    "not there": (
        "Operation {k} of {branch}, \u201c{operation}\u201d, is not possible in this tree: it ends there. "
        "Undo brings the old tree back."
    ),
    "tree back": "The old tree is back, with all that was done in it.",
    # all CPUs at once
    "once": "all CPUs at once",
    "once coming": "The CPUs run at once. The first time, their kernel is compiled; that takes some ten seconds.",
    "once nothing": "There is no operation to run. Make traffic of your own.",
    "once not": "one after the other",
    "once at": "At {at} of {end} ns.",
    "once here": "{over} of {n} operations are over, {wait}",
    "once none": "nobody waits",
    "once wait": "1 CPU waits for {lines}",
    "once waits": "{cpus} CPUs wait for {lines}",
    "once whole": "Together the CPUs need {needs}. They wait for lines {shares}.",
    "once need": "{ns} ns{when}",
    "once share": "{percent} %{of}{when} (most for {line})",
    "once no share": "{percent} %{of}{when}",
    "once of": " of their time",  # behind the first
    "once protocol": "memory_allocated",
    "once short": "all",  # the same in a lane
    "once unit": "simulated ns",
    "once slider": "Simulated time, ns",
    "once waits line": "waits for {line}",
    "once fetches line": "fetches {line}",
    "once works line": "works on {line}",
    "once works": "works on its own",
    "once thinks": "thinks",
    "once done": "is done",
    "once key waits": "waits for a line",
    "once key fetches": "the line is on its way",
    "once key works": "works",
    "once key thinks": "thinks",
    "once key name": (
        "all: {line}, the counter that all sockets share; 1, 2, \u2026: level 1, level 2, \u2026; a bar without a name "
        "is too short for it"
    ),
    "once undo": "Undo goes through operations one after the other; choose that under Time.",
    "once note": (
        "A model: {machine}, the cache lines of Linux {lines}, {think} ns between two operations of a CPU. An "
        "operation changes the numbers when it begins; then its CPU fetches line after line. Not the walk's order: a "
        "CPU may come to give back what another charges later. {start}"
    ),
    "once free": (
        "Without a limit each cgroup begins with 2\u00b3\u2070 pages in use, so that nobody gives back what is not "
        "there; the numbers leave them out. A number below 0 was given back before it was charged here."
    ),
    "once limited": "With a limit the cgroups begin with nothing in use, and traffic in which that happens is not run.",
    "once only": (
        "All CPUs at once: operation {k}, \u201c{operation}\u201d, cannot run. A simulated CPU can only charge and "
        "give back ({allowed}); set limits beforehand."
    ),
    "once long": "All CPUs at once: {n} operations are too many; up to {most} are run.",
    "once underflow": (
        "All CPUs at once: operation {k} of CPU {cpu}, \u201c{operation}\u201d, comes before so much is in use. With a "
        "limit the machine begins with nothing in use."
    ),
    "once steps": "All CPUs at once: operation {k} of CPU {cpu}, \u201c{operation}\u201d, takes too many steps.",
    "once began": "operations begun",
    "once over": "operations over",
    "once end": "all is over at, ns",
    "once waiting": "waiting for lines, % of all CPU time",
    "once of line": "of it for the line of {line}",
    "once travel": "lines on their way, % of all CPU time",
    "once cursor": "at the cursor, {at} ns",
    # two branches
    "compare none": "nothing",
    "compare same": "\u201c{one}\u201d and \u201c{other}\u201d are the same in all their {operations}.",
    "compare part": (
        "\u201c{one}\u201d and \u201c{other}\u201d part in operation {k}: "
        "\u201c{left}\u201d against \u201c{right}\u201d."
    ),
    "compare over": "nothing more",
    "compare end": "{machine}: {a} against {b} atomics, {c} against {d} pages in stocks.",
    "compare head": "at the end",
    "compare atomics": "{machine}: atomics",
    "compare stocks": "{machine}: pages in stocks",
    # what must hold
    "light true": "holds",
    "light false": "does not hold",
    "light wrong": "{where}: {here}, not {there}",
    "light out": "{machine}: this does not hold: {name}.",
    "shortest": "{operations} are the shortest way there. {machine}: this does not hold: {name}.",
    # what is not there
    "not whole": "{what}: {value} is not possible; a whole number from {low} to {high} is.",
    "no limit": "A limit is a whole number from 0 to 99,999 pages, or nothing: {value} is not. It is as it was.",
    "no number": "what stands in the box",
    "no drain": "No stock of this machine is drained any more in this traffic.",
    "no refusal": "Nobody refuses any more in this traffic.",
    "no trip": "No operation goes to the counters any more in this traffic.",
    "no difference": "The machines do the same from here on.",
    "found": "Found. {found}",
    "why drained": "stocks were drained for it",
    "why smaller": "it asked for a whole batch first",
    # the table
    "after": "after {operations}",
    "atomics": "atomics so far",
    "counter.count": "pages in the counter of {cgroup}",
    "counter.limit": "limit of {cgroup}",
    "memcg.css": "references of {cgroup}",
    "counter.watermark": "highest so far in {cgroup}",
    "counter.failcnt": "refused by {cgroup}",
    "stock.nr_pages": "pages in the stock of CPU {cpu}",
    "stock.memcg": "owner of the stock of CPU {cpu}",
    "sock": "pages in sockets of {cgroup}",
    "none": "none",
}


def names(depth, cgroups):
    """What each cgroup of a tree is called, the leaves last.

    Examples
    --------
    >>> names(2, 2)
    ['root', 'level 1', 'A', 'B']
    """
    return ["root", *(f"level {level}" for level in range(1, depth)), *LETTERS[:cgroups]]


def parents(depth, cgroups):
    """The tree itself: levels in a chain, the leaves below the last one.

    Examples
    --------
    >>> parents(2, 2)
    [-1, 0, 1, 1]
    """
    return [*range(-1, depth - 1), *[depth - 1] * cgroups]


def listed(ops, first=1):
    """A stream as plain lists: code, CPU, leaf (the first is 0), pages and context of each operation.

    Examples
    --------
    >>> from memcg_lab import pingpong
    >>> listed(pingpong(1))
    [[0, 0, 0, 1, 1], [1, 0, 0, 1, 1]]
    """
    return [
        [int(row["op"]), int(row["cpu"]), int(row["memcg"]) - first, int(row["nr"]), int(row["ctx"])] for row in ops
    ]


def stream(rows, first=0):
    """The stream of such lists again; the first leaf is cgroup ``first``.

    Examples
    --------
    >>> stream([[0, 1, 0, 7, 1]], first=2)[["op", "cpu", "memcg", "nr"]].tolist()
    [(0, 1, 2, 7)]
    """
    ops = np.zeros(len(rows), records.op_dtype)
    for name, column in zip(("op", "cpu", "memcg", "nr", "ctx"), zip(*rows), strict=bool(rows)):
        ops[name] = column
    ops["memcg"] += first
    return ops


TIMES_MAX = 999
_OPERATION = re.compile(r"(\d)(?:([a-h])([-.])([1-9]\d?)|=(\d{1,2}):(-1|\d{1,6}))(?:x([1-9]\d*))?")


def unpack(text, hand, tree):
    """A walk of the reader's own, from the short text of a link or a file.

    Parameters
    ----------
    text : str
        Operations between commas: ``0a.1x3`` (CPU 0 charges 1 page to A, three times), ``1b-2`` (CPU 1 gives back 2
        pages of B), ``0=2:48`` (CPU 0 sets the limit of cgroup 2 to 48 pages; -1 is none).
    hand : (str, str, int)
        What charging and giving back are, and their context.
    tree : (int, int, int)
        Levels below the root, leaves, CPUs.

    Returns
    -------
    list of list
        As :func:`listed` has them.

    Raises
    ------
    ValueError
        If something is no operation, or not there in the tree; the message says which one and what is allowed.

    Examples
    --------
    >>> unpack("0a.1x2,1a-2", ("charge_skmem", "uncharge_skmem", 1), (1, 1, 2))
    [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [1, 1, 0, 2, 1]]
    """
    if not isinstance(text, str):
        raise ValueError(f"own is {shown(text)}; it must be a text such as '0a.1x3,1a-2'.")
    depth, cgroups, cpus = tree
    rows = []
    for one in text.split(",") if text else []:
        where = WORDS["own where"].format(place=number(len(rows) + 1), text=one)
        found = _OPERATION.fullmatch(one)
        if not found:
            raise ValueError(WORDS["own form"].format(where=where))
        cpu, leaf, sign, nr, memcg, limit, times = found.groups()
        if times and len(times) > len(str(TIMES_MAX)):
            raise ValueError(WORDS["own often"].format(where=where, most=TIMES_MAX))
        if leaf:
            row = [int(records.OPS.index(hand[sign == "-"])), int(cpu), LETTERS.lower().index(leaf), int(nr), hand[2]]
        else:
            row = [int(records.SET_MAX), int(cpu), int(memcg) - depth, int(limit), int(records.TASK)]
        for what, value, low, high in (
            ("CPU", row[1], 0, cpus - 1),
            (
                "leaf" if leaf else "cgroup",
                row[2] + (1 if leaf else depth),
                1,
                cgroups if leaf else depth + cgroups - 1,
            ),
        ):
            if not low <= value <= high:
                raise ValueError(WORDS["own there"].format(where=where, what=what, value=value, low=low, high=high))
        rows += [row] * int(times or 1)
        if len(rows) > LONGEST:
            raise ValueError(WORDS["own long"].format(most=number(LONGEST)))
    return rows


@functools.cache
def common():
    """What every lab on the stage is told: words, letters, codes, and the form of the records of a step log."""
    codes, words = forms.constants()["mechanism"], forms.words()
    return {
        "words": WORDS,
        "letters": LETTERS,
        "pages": PAGES_MAX,
        "empty": EMPTY,
        "invariants": INVARIANTS,
        "ledger": [LEDGER.get(name) for name in records.OPS],
        "longest": LONGEST,
        "longest_asked": LONGEST_ASKED,
        "times": TIMES_MAX,
        "forms": {
            "codes": codes,
            "records": {"step": forms.record_forms()["step"]},
            **{name: words[name] for name in ("ops", "steps", "counter_atomic")},
        },
    }


def patch_lines():
    """The changed lines of the patch, and which step belongs to which."""
    return {
        "lines": [
            {"sign": line[0], "text": line[1:], "hunk": hunk}
            for line, hunk in zip(history.PATCH_LINES, HUNKS, strict=True)
        ],
        "line_rules": [{**rule._asdict(), "steps": [int(code) for code in rule.steps]} for rule in history.LINE_RULES],
        "cap_lines": [history.CAP_TEST, history.CAP_DRAIN],
    }


def machine(name, title, version, policy, short="", when=""):
    """One machine of a lab, as the stage takes it."""
    hunks = [1] * policy.capped + [2] * (policy.uncharge is V4_14.uncharge)
    return {
        "name": name,
        "short": short or name.lower(),
        "when": when or name.lower(),
        "title": title,
        "version": version,
        "policy": policy.name,
        "batch": policy.batch,
        "capped": policy.capped,
        "hunks": hunks,
        # Where the rules set no bound, the light says whether that of the patch is kept.
        "bound": policy.batch if policy.stock_bound is None else policy.stock_bound,
        "breaks": [rule.get("bound") and policy.stock_bound is None and _shortest(policy) for rule in INVARIANTS],
    }


@functools.cache
def _shortest(policy):
    """The shortest walk after which a stock of these rules holds more than a batch, as text; it is there on every tree.

    Every walk of one operation is tried, then of two, and so on: one cgroup, one CPU, sizes around a batch.
    """
    sizes = (1, policy.batch - 1, policy.batch, policy.batch + 1)
    moves = [(code, nr) for code in (records.CHARGE_SKMEM, records.UNCHARGE_SKMEM) for nr in sizes]
    walks = [()]
    for _ in range(4):
        walks = [(*walk, move) for walk in walks for move in moves]
        for walk in walks:
            system = System.chain(depth=1, cpus=1, policy=policy)
            try:
                system.replay(stream([[code, 0, 1, nr, int(records.SOFTIRQ)] for code, nr in walk]))
            except Refusal:
                continue
            if system.stock[0].nr_pages > policy.batch:
                return ",".join(f"0a{'.' if code == records.CHARGE_SKMEM else '-'}{nr}" for code, nr in walk)
    raise AssertionError(f"no short walk of {policy.name} brings a stock above its batch.")


def sentence(pasts, k, called, labels):
    """What the operation at the cursor did on each machine; those that did the same are named together.

    Parameters
    ----------
    pasts : sequence of History
        The same stream on each.
    k : int
        Operations executed, 0 to all.
    called : sequence of str
        A name for each cgroup, such as :func:`names` gives.
    labels : sequence of str
        What the machines are called.

    Examples
    --------
    >>> from memcg_lab import System, V4_13, V4_14, producer_consumer
    >>> from memcg_lab.history import History
    >>> both = [History(System.chain(depth=1, cpus=2, policy=p), producer_consumer(1)) for p in (V4_13, V4_14)]
    >>> print(sentence(both, 2, names(1, 1), ["Before", "After"]))
    2 of 2: CPU 1 gives back 1 page of A. Before: straight to the counters, 2 atomics. After: into the stock, \
no atomic. So far 4 and 2 atomics.
    """
    if k == 0:
        return WORDS["nothing"]
    operation = _operation(pasts[0], k - 1, called)
    totals, done = [int(past.total[k]) for past in pasts], {}
    for label, past in zip(labels, pasts, strict=True):
        done.setdefault(_deed(past, k, called), []).append(label)
    if len(pasts) == 1:
        told = WORDS["one"].format(deed=capital(next(iter(done))))
        sums = WORDS["sum"].format(atomics=count(totals[0], "atomic"))
    else:
        if len(done) == 1:
            told = WORDS["both" if len(pasts) == 2 else "all"].format(deed=next(iter(done)))
        else:
            told = " ".join(WORDS["each"].format(machines=listing(who), deed=deed) for deed, who in done.items())
        sums = WORDS["sums"].format(atomics=listing(map(number, totals)))
    return capital(
        WORDS["place"].format(k=number(k), n=number(len(pasts[0])), operation=operation, deeds=told, sums=sums)
    )


def compared(walks, called, labels, pasts):
    """Two walks in a sentence: where they part, and what each machine has at their ends.

    Parameters
    ----------
    walks : (str, str)
        What they are called.
    called : sequence of str
        A name for each cgroup.
    labels : sequence of str
        What the machines are called.
    pasts : (sequence of History, sequence of History)
        Of each walk, one a machine.

    Examples
    --------
    >>> from memcg_lab import System, V4_14, pingpong
    >>> from memcg_lab.history import History
    >>> ends = [[History(System.chain(depth=1, cpus=1, policy=V4_14), pingpong(pairs))] for pairs in (1, 2)]
    >>> print(compared(("yours 1", "yours 2"), names(1, 1), ["After"], ends))
    “yours 1” and “yours 2” part in operation 3: “nothing more” against “CPU 0 charges 1 page to A”. \
After: 2 against 2 atomics, 32 against 32 pages in stocks.
    """
    one, other = ([tuple(row)[:5] for row in side[0].ops.tolist()] for side in pasts)
    k = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    named = {"one": walks[0], "other": walks[1]}
    if k == len(one) == len(other):
        how = WORDS["compare same"].format(**named, operations=count(len(one), "operation"))
    else:
        left, right = (_operation(side[0], k, called) for side in pasts)
        how = WORDS["compare part"].format(**named, k=number(k + 1), left=left, right=right)
    ends = [
        WORDS["compare end"].format(
            machine=label,
            a=number(int(first.total[-1])),
            b=number(int(second.total[-1])),
            c=number(int(first.stock_pages[-1].sum())),
            d=number(int(second.stock_pages[-1].sum())),
        )
        for label, first, second in zip(labels, *pasts, strict=True)
    ]
    return " ".join([how, *ends])


def table(pasts, places, called, first):
    """The state of each machine after so many operations, a dict of rows for each: the table below the stage.

    What was in use and counted from the start is left out.
    """
    columns = []
    for past, k in zip(pasts, places, strict=True):
        state, start = past.state(k), past.state(0)
        column = {WORDS["atomics"]: int(past.total[k])}
        limits = past.limit[k].tolist()
        for m, name in enumerate(called):
            values = {
                "counter.count": state.usage[m] - start.usage[m],
                "counter.limit": number(limits[m]) if limits[m] < records.PAGE_COUNTER_MAX else WORDS["none"],
                "memcg.css": state.css[m] - start.css[m],
                "counter.watermark": state.watermark[m] - start.watermark[m],
                "counter.failcnt": state.failcnt[m],
            }
            column |= {WORDS[field].format(cgroup=name): value for field, value in values.items()}
        for cpu, (owner, pages) in enumerate(state.stock):
            column[WORDS["stock.nr_pages"].format(cpu=cpu)] = pages
            column[WORDS["stock.memcg"].format(cpu=cpu)] = called[owner] if owner >= 0 else WORDS["none"]
        column |= {
            WORDS["sock"].format(cgroup=called[m]): state.sock[m] - start.sock[m] for m in range(first, len(called))
        }
        columns.append(column)
    return columns


def memory(system):
    """The state of a system under the names that steps give to the fields they change, as ``readState`` in stage.js.

    Examples
    --------
    >>> from memcg_lab import System
    >>> memory(System.chain(depth=1, cpus=1))["stock.memcg"]
    [-1]
    """
    state, memcgs = system.mechanism_state(), len(system.parents)
    found = {f"counter.{name}": state.counter[name][:memcgs] for name in ("count", "watermark", "failcnt", "limit")}
    found |= {f"memcg.{name}": state.memcg[name] for name in ("css", "held", "sock_held")} | {
        "sock": state.sock.sum(axis=0)
    }
    found |= {f"stock.{name}": state.stock[name].ravel() for name in ("memcg", "nr_pages")}
    plain = {name: values.tolist() for name, values in found.items()}
    return plain | {"atomics": int(sum(state.counter[kind].sum() for kind in ("add", "sub", "xchg")))}


# --- one machine, one operation --------------------------------------------------------------------------------------
CHARGES, RETURNS = ("charge_skmem", "try_charge"), ("uncharge_skmem", "cancel_charge")


def _operation(past, k, called):
    """An operation in words."""
    if k >= len(past.ops):
        return WORDS["compare over"]
    return operation(past.ops[k], called)


def operation(row, called):
    """A record of ``op_dtype`` in words."""
    return WORDS[records.OPS[row["op"]]].format(
        cpu=int(row["cpu"]), pages=_pages(int(row["nr"])), cgroup=called[row["memcg"]]
    )


def _pages(nr):
    return "max" if nr < 0 else count(nr, "page")


def _deed(past, k, called):
    """What one machine did, in a few words from its log."""
    row, taken = past.ops[k - 1], past.steps(k - 1)
    name, cpu = records.OPS[row["op"]], int(row["cpu"])
    codes = [step.step for step in taken]
    refusals = [step.where for step in taken if step.step == steps.STEP_FAILCNT]
    parts = []
    if name in CHARGES and refusals:
        word = "refused by" if len(refusals) == 1 else "refused often"
        parts.append(WORDS[word].format(cgroup=called[refusals[0]], times=len(refusals)))
    elif name in CHARGES:
        how = {"hit": steps.STEP_CONSUME_HIT, "miss": steps.STEP_CONSUME_MISS}
        parts.append(WORDS[next((word for word, code in how.items() if code in codes), "large")])
    fill = codes.index(steps.STEP_REFILL) if steps.STEP_REFILL in codes else None
    if name in RETURNS and fill is None:
        parts.append(WORDS["straight"])
    drained = [i for i, code in enumerate(codes) if code == steps.STEP_DRAIN]
    for i in drained:
        here = taken[i]
        asked = name == "set_max" or here.where != cpu or bool(refusals)
        word = "asked" if asked else "cap" if fill is not None and i > fill else "other"
        told = {"cpu": here.where, "pages": count(here.before, "page"), "cgroup": called[taken[i + 1].before]}
        parts.append(WORDS[word].format(**told, batch=past.policy.batch))
    if name in RETURNS and fill is not None and not drained:
        parts.append(WORDS["kept"])
    if name in CHARGES and refusals:
        answer = next(step.after for step in reversed(taken) if step.step == steps.STEP_RETURN)
        fits = answer == (1 if name == "charge_skmem" else 0)
        parts.append(
            WORDS[
                "forced"
                if steps.STEP_FORCE in codes
                else "fit"
                if fits
                else "oom"
                if steps.STEP_OOM in codes
                else "no fit"
            ]
        )
    bill = int(past.atomics[k - 1])
    return ", ".join([*parts, count(bill, "atomic") if bill else WORDS["no bill"]])
