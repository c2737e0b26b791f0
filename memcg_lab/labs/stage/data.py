"""What the stage knows of the patch, as plain data: machines, changed lines, traffic, words and quests.

``stage.js`` draws and moves. It reads the steps and the state from the compiled kernels, and everything else from here;
the sentence is made of the same templates on both sides.
"""

import numpy as np

from ... import history
from ...mechanism import records, steps
from ...mechanism.policy import CAP_ONLY, UNCHARGE_ONLY, V4_13, V4_14
from ...system import op
from ...words import capital, count, number
from ...workload import mixed, producer_consumer
from ..patch import TRAFFIC

DEPTH_MAX, LEAVES_MAX, CPUS_MIN, CPUS_MAX, PAGES_MAX = 5, 2, 2, 8, 99
LETTERS = "AB"  # leaves

# The first is what the others are compared with.
MACHINES = (
    ("Before", "Before the patch", "Linux 4.13", V4_13),
    ("After", "After the patch", "Linux 4.14", V4_14),
    ("Hunk 1 alone", "Hunk 1 alone: the cap", "4.13 + cap", CAP_ONLY),
    ("Hunk 2 alone", "Hunk 2 alone: the way back", "4.13 + uncharge", UNCHARGE_ONLY),
)
HUNKS = (1, 1, 2, 2, 2)  # of 475d048, for each of history.PATCH_LINES

WORDS = {
    "nothing": "Nothing has run yet. Press Play, or make traffic of your own.",
    "place": "{k} of {n}: {operation}. {deeds}",
    "charge_skmem": "CPU {cpu} charges {pages} to {cgroup}",
    "uncharge_skmem": "CPU {cpu} gives back {pages} of {cgroup}",
    "set_max": "CPU {cpu} sets the limit of {cgroup} to {pages}",
    "both": "Both machines: {deed}.",
    "each": "{left}: {deed}. {right}: {other}.",
    # what one machine did, by what stands in its log
    "forced": "over the limit, so it is forced in",
    "hit": "served from the stock",
    "miss": "a miss",
    "large": "too large for the stock",
    "straight": "straight to the counters",
    "kept": "into the stock",
    "other": "{cgroup}'s {pages} are drained first",
    "cap": "the stock passes {batch} and is emptied",
    "asked": "CPU {cpu} gives up {pages} of {cgroup}",
    "no bill": "no atomic",
    # how often a line of the patch ran
    "ran": "{machine}: {line} ran in {times} of {operations}.",
    # what the kernel refuses
    "BAD_UNDERFLOW": "Refused: the sockets of {cgroup} hold {pages}.",
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
    "no drain": "No stock of this machine is drained any more in this traffic.",
    "no difference": "The two machines do the same from here on.",
}

# How each is recognised from the log is in stage.js under the same name.
QUESTS = (
    {
        "name": "part",
        "ask": "Make the first operation in which the two machines part.",
        "found": "Here they part: {operation}, for {before} before and {after} after.",
    },
    {
        "name": "empty",
        "ask": "Bring a stock to exactly 0 while it still knows its owner.",
        "found": "The last page left the stock of CPU {cpu}; {cgroup} stays its owner until something is drained.",
    },
    {
        "name": "dearer",
        "ask": "Find traffic for which the patch costs more than before.",
        "found": "After {operations}: {before} before, {after} after.",
    },
)


def names(depth, leaves):
    """What each cgroup of a tree is called, the leaves last.

    Examples
    --------
    >>> names(2, 2)
    ['root', 'level 1', 'A', 'B']
    """
    return ["root", *(f"level {level}" for level in range(1, depth)), *LETTERS[:leaves]]


def parents(depth, leaves):
    """The tree itself: levels in a chain, the leaves below the last one.

    Examples
    --------
    >>> parents(2, 2)
    [-1, 0, 1, 1]
    """
    return [*range(-1, depth - 1), *[depth - 1] * leaves]


def traffic():
    """Streams by name, for leaves 0 and 1: those of the patch lab, and three that show what those do not.

    Examples
    --------
    >>> {name: told["leaves"] for name, told in traffic().items()}["a mixture"]
    2
    """
    streams = {
        "ten pages are on their way": (1, _on_their_way(producer_consumer(90, memcg=1), 10)),
        **{name: (leaves, made(*range(1, leaves + 1))) for name, (leaves, made) in TRAFFIC.items()},
        "a mixture": (2, mixed(200, cpus=2, memcgs=[1, 2], in_flight=12, seed=7)),
        "a limit is met": (1, _limited(memcg=1)),
    }
    return {name: {"leaves": leaves, "ops": _listed(ops)} for name, (leaves, ops) in streams.items()}


def data():
    """Everything of this module, as a page takes it.

    Returns
    -------
    dict
        Lists, dicts, text and whole numbers alone.

    Examples
    --------
    >>> [machine["hunks"] for machine in data()["machines"]]
    [[], [1, 2], [1], [2]]
    """
    return {
        "machines": [
            {
                "name": name,
                "title": title,
                "version": version,
                "policy": policy.name,
                "batch": policy.batch,
                "capped": policy.capped,
                "hunks": _hunks(policy),
            }
            for name, title, version, policy in MACHINES
        ],
        "lines": [
            {"sign": line[0], "text": line[1:], "hunk": hunk}
            for line, hunk in zip(history.PATCH_LINES, HUNKS, strict=True)
        ],
        "line_rules": [{**rule._asdict(), "steps": [int(code) for code in rule.steps]} for rule in history.LINE_RULES],
        "cap_lines": [history.CAP_TEST, history.CAP_DRAIN],
        "words": WORDS,
        "quests": list(QUESTS),
        "traffic": traffic(),
        "letters": LETTERS,
        "most": {"depth": DEPTH_MAX, "leaves": LEAVES_MAX, "cpus": CPUS_MAX, "pages": PAGES_MAX},
        "least": {"cpus": CPUS_MIN},
    }


def sentence(left, right, k, called, labels=("Before", "After")):
    """What the operation at the cursor did on two machines.

    Parameters
    ----------
    left, right : History
        The same stream on both.
    k : int
        Operations executed, 0 to all.
    called : sequence of str
        A name for each cgroup, such as :func:`names` gives.
    labels : (str, str)
        What the machines are called.

    Examples
    --------
    >>> from memcg_lab import System, V4_13, V4_14, producer_consumer
    >>> from memcg_lab.history import History
    >>> both = [History(System.chain(depth=1, cpus=2, policy=p), producer_consumer(1)) for p in (V4_13, V4_14)]
    >>> print(sentence(*both, 2, names(1, 1)))
    2 of 2: CPU 1 gives back 1 page of A. Before: straight to the counters, 2 atomics. After: into the stock, no atomic.
    """
    if k == 0:
        return WORDS["nothing"]
    row = left.ops[k - 1]
    operation = WORDS[records.OPS[row["op"]]].format(
        cpu=int(row["cpu"]), pages=count(int(row["nr"]), "page"), cgroup=called[row["memcg"]]
    )
    one, other = _deed(left, k, called), _deed(right, k, called)
    if one == other:
        deeds = WORDS["both"].format(deed=one)
    else:
        deeds = WORDS["each"].format(left=labels[0], deed=one, right=labels[1], other=other)
    return capital(WORDS["place"].format(k=number(k), n=number(len(left)), operation=operation, deeds=deeds))


# --- one machine, one operation --------------------------------------------------------------------------------------
def _deed(past, k, called):
    """What one machine did, in a few words from its log."""
    row, taken = past.ops[k - 1], past.steps(k - 1)
    name, cpu = records.OPS[row["op"]], int(row["cpu"])
    codes = [step.step for step in taken]
    parts = []
    if name == "charge_skmem":
        how = {"forced": steps.STEP_FORCE, "hit": steps.STEP_CONSUME_HIT, "miss": steps.STEP_CONSUME_MISS}
        parts.append(WORDS[next((word for word, code in how.items() if code in codes), "large")])
    fill = codes.index(steps.STEP_REFILL) if steps.STEP_REFILL in codes else None
    if name == "uncharge_skmem" and fill is None:
        parts.append(WORDS["straight"])
    drained = [i for i, code in enumerate(codes) if code == steps.STEP_DRAIN]
    for i in drained:
        here = taken[i]
        asked = name == "set_max" or here.where != cpu
        word = "asked" if asked else "cap" if fill is not None and i > fill else "other"
        told = {"cpu": here.where, "pages": count(here.before, "page"), "cgroup": called[taken[i + 1].before]}
        parts.append(WORDS[word].format(**told, batch=past.policy.batch))
    if name == "uncharge_skmem" and fill is not None and not drained:
        parts.append(WORDS["kept"])
    bill = int(past.atomics[k - 1])
    return ", ".join([*parts, count(bill, "atomic") if bill else WORDS["no bill"]])


def _hunks(policy):
    return [1] * policy.capped + [2] * (policy.uncharge is V4_14.uncharge)


# --- traffic ---------------------------------------------------------------------------------------------------------
def _on_their_way(pairs, pages):
    """The same charges and give-backs, each give-back so many charges later: a socket holds something meanwhile."""
    up, down = pairs[0::2], pairs[1::2]
    middle = np.stack([up[pages:], down[:-pages]], axis=1).ravel()
    return np.concatenate([up[:pages], middle, down[-pages:]])


def _limited(memcg):
    """A limit of 48 pages: two CPUs fill their stocks, charges are forced in, and a lower limit drains the stocks."""

    def some(name, cpu, times):
        return np.tile(op(name, cpu=cpu, memcg=memcg, nr=4), times)

    return np.concatenate(
        [
            op("set_max", cpu=0, memcg=memcg, nr=48, ctx="task"),
            *(some("charge_skmem", cpu, 1) for _ in range(8) for cpu in (0, 1)),
            *(some("uncharge_skmem", cpu, 1) for _ in range(6) for cpu in (0, 1)),
            op("set_max", cpu=1, memcg=memcg, nr=24, ctx="task"),
            *(some("charge_skmem", cpu, 1) for _ in range(3) for cpu in (0, 1)),
            *(some("uncharge_skmem", cpu, 1) for _ in range(5) for cpu in (0, 1)),
        ]
    )


def _listed(ops):
    """Code, CPU, leaf, pages and context of each operation."""
    return [[int(row["op"]), int(row["cpu"]), int(row["memcg"]) - 1, int(row["nr"]), int(row["ctx"])] for row in ops]
