"""What the stage says and knows, as plain data: words, names, changed lines of the patch, the form of a step log.

``stage.js`` draws and moves. It reads the steps and the state from the compiled kernels, and everything else from here;
the sentence is made of the same templates on both sides.
"""

import functools

import numpy as np

from ... import forms, history
from ...mechanism import records, steps
from ...mechanism.policy import V4_14
from ...words import capital, count, number

LETTERS = "AB"  # leaves
PAGES_MAX = 99  # of the reader's own calls
HUNKS = (1, 1, 2, 2, 2)  # of 475d048, for each of history.PATCH_LINES

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
    "each": "{left}: {deed}. {right}: {other}.",
    "sum": "So far {atomics}.",
    "sums": "So far {left} and {right} atomics.",
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
    # what is taken along
    "copied": "Copied.",
    "to copy": "The text is below, selected: copy it from there.",
    "long link": "Too long for a link; copy it as Python.",
    "bad link": "The link is not one of this page beyond {operations}.",
    # what is not there
    "no number": "What stands in the box is no number; the limit is as it was.",
    "no drain": "No stock of this machine is drained any more in this traffic.",
    "no refusal": "Nobody refuses any more in this traffic.",
    "no trip": "No operation goes to the counters any more in this traffic.",
    "no difference": "The two machines do the same from here on.",
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


@functools.cache
def common():
    """What every lab on the stage is told: words, letters, codes, and the form of the records of a step log."""
    codes, words = forms.constants()["mechanism"], forms.words()
    return {
        "words": WORDS,
        "letters": LETTERS,
        "pages": PAGES_MAX,
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


def machine(name, title, version, policy):
    """One machine of a lab, as the stage takes it."""
    hunks = [1] * policy.capped + [2] * (policy.uncharge is V4_14.uncharge)
    return {
        "name": name,
        "title": title,
        "version": version,
        "policy": policy.name,
        "batch": policy.batch,
        "capped": policy.capped,
        "hunks": hunks,
    }


def sentence(pasts, k, called, labels):
    """What the operation at the cursor did on one machine or on two.

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
    row = pasts[0].ops[k - 1]
    operation = WORDS[records.OPS[row["op"]]].format(
        cpu=int(row["cpu"]), pages=_pages(int(row["nr"])), cgroup=called[row["memcg"]]
    )
    deeds, totals = [_deed(past, k, called) for past in pasts], [int(past.total[k]) for past in pasts]
    if len(pasts) == 1:
        told = WORDS["one"].format(deed=capital(deeds[0]))
        sums = WORDS["sum"].format(atomics=count(totals[0], "atomic"))
    else:
        left, right = labels
        same = deeds[0] == deeds[1]
        told = WORDS["both" if same else "each"].format(left=left, deed=deeds[0], right=right, other=deeds[1])
        sums = WORDS["sums"].format(left=number(totals[0]), right=number(totals[1]))
    return capital(
        WORDS["place"].format(k=number(k), n=number(len(pasts[0])), operation=operation, deeds=told, sums=sums)
    )


def table(pasts, k, called, first):
    """The state after ``k`` operations, a dict of rows for each machine: the table below the stage."""
    columns = []
    for past in pasts:
        state = past.state(k)
        column = {WORDS["atomics"]: int(past.total[k])}
        limits = past.limit[k].tolist()
        for m, name in enumerate(called):
            values = {
                "counter.count": state.usage[m],
                "counter.limit": number(limits[m]) if limits[m] < records.PAGE_COUNTER_MAX else WORDS["none"],
                "memcg.css": state.css[m],
                "counter.watermark": state.watermark[m],
                "counter.failcnt": state.failcnt[m],
            }
            column |= {WORDS[field].format(cgroup=name): value for field, value in values.items()}
        for cpu, (owner, pages) in enumerate(state.stock):
            column[WORDS["stock.nr_pages"].format(cpu=cpu)] = pages
            column[WORDS["stock.memcg"].format(cpu=cpu)] = called[owner] if owner >= 0 else WORDS["none"]
        column |= {WORDS["sock"].format(cgroup=called[m]): state.sock[m] for m in range(first, len(called))}
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
    found |= {"memcg.css": state.memcg["css"], "sock": state.sock.sum(axis=0)}
    found |= {f"stock.{name}": state.stock[name].ravel() for name in ("memcg", "nr_pages")}
    plain = {name: values.tolist() for name, values in found.items()}
    return plain | {"atomics": int(sum(state.counter[kind].sum() for kind in ("add", "sub", "xchg")))}


# --- one machine, one operation --------------------------------------------------------------------------------------
CHARGES, RETURNS = ("charge_skmem", "try_charge"), ("uncharge_skmem", "cancel_charge")


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
