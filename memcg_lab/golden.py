"""The answers of the kernel's own code: read, and compared with ours, every field of every operation."""

import gzip
import json
import zlib
from collections import namedtuple

import numpy as np

from .checks import shown, whole_number
from .files import path_of
from .mechanism.policy import POLICIES
from .mechanism.records import ATOMIC, CONTEXTS, NOFAIL, NORETRY, NOWAIT, OPS, RETRY_MAYFAIL, op_dtype, slab_nr
from .system import System
from .words import printable
from .workload import stream

Scenario = namedtuple("Scenario", "config state ops expected")
Mismatch = namedtuple("Mismatch", "scenario op field expected got")
Tally = namedtuple("Tally", "scenarios ops fields mismatches")


def system_of(config, policy):
    """The system a golden scenario starts with."""
    kernel = config.get("kernel")
    if (kernel is not None) != policy.path.kernel_pages:
        raise ValueError(
            f"its answers are those of v{kernel}; choose the policy v{kernel}."
            if kernel
            else f"its answers are those of v4.13 or v4.14; {policy.name} has another charge path."
        )
    if config["batch"] != policy.batch:
        policy = policy.with_rules(f"{policy.name}, batch {config['batch']}", batch=config["batch"])
    return System(
        config["parent"],
        cpus=config["ncpu"],
        policy=policy,
        limits=config["limit"],
        highs=config["high"],
        mins=config.get("min"),
        lows=config.get("low"),
        root=config["root"],
        legacy=not config["dfl"],
        memsw=bool(config["memsw"]),
        underflow="record",
    )


def check_scenario(scenario, policy):
    """Replay one scenario; the number of fields compared and the mismatches, first to last.

    Returns
    -------
    (int, list of Mismatch)
    """
    system = system_of(scenario.config, policy)
    name = scenario.config["name"]
    mismatches = _differences(name, "start", scenario.state, _answers(system, scenario.config))
    fields = len(scenario.state)
    for number, expected in enumerate(scenario.expected):
        try:
            system.replay(scenario.ops[number : number + 1])
        except ValueError as error:
            mismatches.append(Mismatch(name, number, "op", "allowed", str(error)))
        got = {"ret": system.last_return, **_answers(system, scenario.config)}
        mismatches += _differences(name, number, expected, got)
        fields += len(expected)
    return fields, mismatches


def check_files(paths, policy_name):
    """Check files, print each mismatch and last ``scenarios N ops M fields K mismatches X``; 0 if X is 0, else 1."""
    scenarios = [(path, scenario) for path in paths for scenario in read_golden(path)]
    tally = Tally(0, 0, 0, 0)
    for path, scenario in scenarios:
        try:
            fields, mismatches = check_scenario(scenario, POLICIES[policy_name])
        except ValueError as error:
            raise ValueError(f"{path}, scenario {scenario.config['name']}: {error}") from None
        for m in mismatches:
            print(printable(f"{m.scenario}, op {m.op}, {m.field}: expected {m.expected}, got {m.got}"))
        tally = Tally(
            tally.scenarios + 1,
            tally.ops + len(scenario.ops),
            tally.fields + fields,
            tally.mismatches + len(mismatches),
        )
    print(f"scenarios {tally.scenarios} ops {tally.ops} fields {tally.fields} mismatches {tally.mismatches}")
    return 1 if tally.mismatches else 0


def _answers(system, config):
    """The snapshot with the fields that files of this kernel have."""
    state = system.snapshot()
    if system.policy.path.kernel_pages:
        if system.policy.slots == 1:
            state["stock"] = [[slot] for slot in state["stock"]]
        if not config.get("slab"):
            del state["obj_vm"], state["slab"]
    return state


def _differences(scenario, op, expected, got):
    """Fields that differ, and fields that only one side has."""
    return [
        Mismatch(scenario, op, field, expected.get(field, "no such field"), got.get(field, "no such field"))
        for field in {**expected, **got}
        if field not in expected or field not in got or expected[field] != got[field]
        if not (op == "start" and field == "ret")
    ]


LONGEST = 1 << 20  # characters; a longer line is not of a golden file
GOLDEN_OPS = {"uncharge_batch": "cancel_charge"}  # the golden files' name for the same thing
OP_FIELDS = ("i", "cpu", "op", "memcg", "nr", "ctx", "gfp", "dead", "node", "idx")
# Allocation flags as the files name them. NOLOCK carries no flag at all: it may neither block nor be forced.
GFP = {
    "KERNEL": 0,
    "ATOMIC": ATOMIC,
    "NOWAIT": NOWAIT,
    "NOLOCK": NOWAIT,
    "NOFAIL": NOFAIL,
    "NORETRY": NORETRY,
    "RETRY_MAYFAIL": RETRY_MAYFAIL,
}


def read_golden(path):
    """Read a golden file: what the kernel's own code answered, op by op.

    Parameters
    ----------
    path : str or Path
        JSON lines, plain or gzip; the format is described in ``data/golden/FORMAT.md``.

    Returns
    -------
    list of Scenario
        ``config`` and first ``state`` as dicts, ``ops`` as a stream, ``expected`` one dict of fields an operation.

    Raises
    ------
    ValueError
        If a line is not what the format says; the message has the line number.
    """
    path = path_of(path)
    shown_path = printable(path)
    scenarios = []
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            while line := lines.readline(LONGEST + 1):
                number += 1
                if len(line) > LONGEST:
                    raise ValueError(f"is longer than {LONGEST:,} characters.")
                if line.strip():
                    _read_golden_line(scenarios, json.loads(line))
    except FileNotFoundError:
        raise ValueError(f"{shown_path}: no such file.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{shown_path}, line {number}: not JSON ({error.msg}); is the file cut off?") from None
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(
            f"{shown_path}, line {number}: not a golden line ({type(error).__name__}: {printable(error)})."
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{_after(shown_path, number)}: not text (UTF-8).") from None
    except ValueError as error:
        raise ValueError(f"{shown_path}, line {number}: {printable(error)}") from None
    except (OSError, EOFError, zlib.error) as error:
        why = printable(getattr(error, "strerror", None) or error)
        raise ValueError(f"{_after(shown_path, number)}: cannot be read ({why}).") from None
    if not scenarios:
        raise ValueError(f"{shown_path}: no scenario in it.")
    return [s._replace(ops=np.concatenate([stream(0), *s.ops])) for s in scenarios]


def _after(path, number):
    return f"{path}, after line {number}" if number else path


def _read_golden_line(scenarios, row):
    if "config" in row:
        config = row["config"]
        for name in ("name", "ncpu", "parent", "limit", "high", "root", "dfl", "memsw", "batch"):
            config[name]
        scenarios.append(Scenario(config, dict(row["state"]), [], []))
        return
    if not scenarios:
        raise ValueError("an operation stands before the first scenario.")
    name = GOLDEN_OPS.get(row["op"], row["op"])
    if name not in OPS:
        raise ValueError(f'operation "{name}" does not exist; there are {", ".join(OPS)}.')
    if row["ctx"] not in CONTEXTS:
        raise ValueError(f'ctx is "{row["ctx"]}"; it must be "task" or "softirq".')
    one = np.zeros(1, op_dtype)
    ctx, nr = CONTEXTS[row["ctx"]], row["nr"]
    for flag in filter(None, row.get("gfp", "").split("|")):
        if flag not in GFP:
            raise ValueError(f'gfp has the flag "{flag}"; known are {", ".join(GFP)}.')
        ctx |= GFP[flag]
    if name in ("slab_alloc", "slab_free"):
        if row["node"] not in (0, 1) or row["idx"] not in ("R", "U"):
            raise ValueError(f'node {shown(row["node"])}, idx {shown(row["idx"])}; node is 0 or 1, idx "R" or "U".')
        nr = slab_nr(nr, node=row["node"], reclaimable=row["idx"] == "R")
    # A dead CPU's stock is drained by another one; in these generations it does not matter by which.
    values = {"op": OPS.index(name), "ctx": ctx, "cpu": row.get("dead", row["cpu"]), "memcg": row["memcg"], "nr": nr}
    for field, value in values.items():
        info = np.iinfo(op_dtype[field])
        one[field] = whole_number(field, value, int(info.min), int(info.max))
    scenarios[-1].ops.append(one)
    scenarios[-1].expected.append({k: v for k, v in row.items() if k not in OP_FIELDS})
