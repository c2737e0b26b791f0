"""Conformance: our mechanism against the answers of the kernel's own code, every field of every operation."""

from collections import namedtuple

from .mechanism.policy import POLICIES
from .system import System
from .workload import read_golden

Mismatch = namedtuple("Mismatch", "scenario op field expected got")
Tally = namedtuple("Tally", "scenarios ops fields mismatches")


def system_of(config, policy):
    """The system a golden scenario starts with."""
    if config["batch"] != policy.batch:
        policy = policy.with_rules(f"{policy.name}, batch {config['batch']}", batch=config["batch"])
    return System(
        config["parent"],
        cpus=config["ncpu"],
        policy=policy,
        limits=config["limit"],
        highs=config["high"],
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
    mismatches = _differences(name, "start", scenario.state, system.snapshot())
    fields = len(scenario.state)
    for number, expected in enumerate(scenario.expected):
        try:
            system.replay(scenario.ops[number : number + 1])
        except ValueError as error:
            mismatches.append(Mismatch(name, number, "op", "allowed", str(error)))
        got = {"ret": system.last_return, **system.snapshot()}
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
            print(f"{m.scenario}, op {m.op}, {m.field}: expected {m.expected}, got {m.got}")
        tally = Tally(
            tally.scenarios + 1,
            tally.ops + len(scenario.ops),
            tally.fields + fields,
            tally.mismatches + len(mismatches),
        )
    print(f"scenarios {tally.scenarios} ops {tally.ops} fields {tally.fields} mismatches {tally.mismatches}")
    return 1 if tally.mismatches else 0


def _differences(scenario, op, expected, got):
    """Fields that differ, and fields that only one side has."""
    return [
        Mismatch(scenario, op, field, expected.get(field, "no such field"), got.get(field, "no such field"))
        for field in {**expected, **got}
        if field not in expected or field not in got or expected[field] != got[field]
        if not (op == "start" and field == "ret")
    ]
