"""The capstone: a reader's own stock policy, held to invariants, scored beside every generation, and handed in.

A policy is made by one function without parameters that imports what it needs inside, so that its source can be taken
along and run again elsewhere.
"""

import ast
import dataclasses
import functools
import hashlib
import inspect
import json
import sys
import textwrap
from typing import NamedTuple

import numpy as np

from .. import figures
from ..checks import shown, text
from ..files import TWICE, contents, data_path, golden_path, once, path_of, reason, writing
from ..golden import read_golden
from ..mechanism.policy import POLICIES, V4_13, V4_14, Policy
from ..mechanism.records import OPS
from ..system import System
from ..traces.text import read_rows
from ..traces.what_if import trace_ops
from ..words import capital, count, kind, listing, operation, printable
from ..workload import alternating, bulk, mixed, producer_consumer, splitmix
from .apart import Apart
from .environment import version
from .trial import Patience, Trial, patiently, stopped

FORMAT, VERSION = "memcg-lab design", 1
FIELDS = ("format", "version", "library", "name", "policy", "source", "scores", "digest")
LIMIT = 200_000  # bytes of a file that is handed in
SCORE_MAX = 1e9  # no traffic here has so many pages

CPUS, TRACE_OPS = 2, 600
GOLDEN = ("random_switch_4768", "random_cross_4762", "two_memcgs_alternate", "boundary_32_33")
GOLDEN_OPS = 200  # of each golden run; what the kernel did there is traffic here


class Score(NamedTuple):
    """One column of the score sheet; less is better in each."""

    name: str
    unit: str
    says: str


SCORES = (
    Score("frames", "atomics a call", "single pages, charged on one CPU and given back on another"),
    Score("web", "atomics a call", "small calls of two cgroups on two CPUs"),
    Score("lumps", "atomics a call", "a receiver whose timer gives back in lumps"),
    Score("turns", "atomics a call", "two cgroups that take turns on one CPU"),
    Score("recorded", "atomics a call", "the beginning of a recording of Linux 6.1"),
    Score("drift", "pages", "the most pages in the stocks of both CPUs together, in any of these"),
    Score("burst", "pages", "the most pages that one call takes off the root's counter, in any of these"),
    Score("unfairness", "times", "what a call costs the worst served of three cgroups, over the best served"),
)
TRAFFIC = tuple(score.name for score in SCORES[:5])


@functools.cache
def traffic(seed=None):
    """The streams that are scored, by name: (tree, operations).

    With a seed they are others of the same kinds, which no design can have been made for: longer, drawn anew, another
    part of the recording.
    """
    recorded = trace_ops(read_rows(data_path("kernel_traces/ab_post.csv.xz"))).ops
    longer, first, anew = 0, 0, 0
    if seed is not None:
        bounds = 100, len(recorded) - TRACE_OPS, 2**32
        longer, first, anew = (1 + int(draw) % bound for draw, bound in zip(splitmix(seed, 3), bounds, strict=True))
    recorded = recorded[first : first + TRACE_OPS]
    two = (-1, 0, 0)
    return {
        "frames": (two, producer_consumer(300 + longer, memcg=1)),
        "web": (two, mixed(600, cpus=CPUS, memcgs=(1, 2), mix="web", in_flight=30, seed=13 + anew)),
        "lumps": (two, bulk(60, memcg=1, seed=13 + anew)),
        "turns": (two, alternating(150 + longer, memcgs=(1, 2))),
        "recorded": ((-1, *[0] * int(recorded["memcg"].max())), recorded),
        "unfairness": ((-1, 0, 0, 0), _three(5 + anew)),
    }


def _three(seed):
    """Three cgroups on the same CPUs; the first calls eight times as often as the last."""
    ops = mixed(600, cpus=CPUS, memcgs=(1,), mix="web", in_flight=20, seed=seed)
    for memcg, share in ((2, 3), (3, 8)):
        more = mixed(600 // share, cpus=CPUS, memcgs=(memcg,), mix="web", in_flight=10, seed=seed + memcg)
        ops = np.insert(ops, np.linspace(0, len(ops), len(more)).astype(int), more)
    return ops


# --- one policy ------------------------------------------------------------------------------------------------------
def made(make):
    """The policy that a reader's function makes.

    Parameters
    ----------
    make : callable
        A function without parameters that returns a ``Policy``; what it needs it imports inside.

    Raises
    ------
    ValueError
        If it is no such function, stops with an error, or never stops.
    """
    if not inspect.isfunction(make):
        raise ValueError(f"the design is {kind(make)}; give the function that makes your policy, without calling it.")
    try:
        policy = patiently(make)
    except Exception as error:
        raise ValueError(f"the function that makes the policy: {stopped(error)}") from None
    if not isinstance(policy, Policy):
        raise ValueError(
            f"the function returns {kind(policy)}; it must return a Policy, such as V4_14.with_rules(...)."
        )
    return policy


def own(make):
    """The policy of :func:`made`; ValueError if it is one of the library's, by its name or by all but its name."""
    policy = made(make)
    for known in POLICIES.values():
        if policy.name == known.name:
            raise ValueError(f"{shown(policy.name)} is a policy of this library; give yours another name.")
        if dataclasses.replace(policy, name=known.name) == known:
            raise ValueError(f"{shown(policy.name)} is {known.name} of this library, unchanged; change a rule.")
    return policy


class Held(NamedTuple):
    """What :func:`hold` found: whether all held, over how many operations, and a sentence."""

    holds: bool
    operations: int
    says: str

    def __repr__(self):
        return self.says


def hold(make):
    """Run a policy through random and golden traffic, and look at its invariants after each operation.

    The invariants are those of :meth:`System.invariants`: every page counted once, every reference, no counter below
    zero, and no stock above the policy's own ``bound``, if it claims one.

    Parameters
    ----------
    make : callable
        As in :func:`made`.

    Returns
    -------
    Held

    Raises
    ------
    ValueError
        If the function makes no policy.

    Examples
    --------
    >>> from memcg_lab import V4_14
    >>> hold(lambda: V4_14)
    All invariants hold after each of 3,926 operations: 6 streams of traffic, 4 golden runs.
    """
    return _hold(made(make))


def _hold(policy):
    done, patience = 0, Patience()
    streams = [
        (f"traffic {name}", System(tree, cpus=CPUS, policy=policy), ops) for name, (tree, ops) in traffic().items()
    ]
    for name, tree, cpus, limits, ops in _golden():
        streams.append(
            (f"golden run {name}", System(tree, cpus=cpus, policy=policy, limits=limits, underflow="record"), ops)
        )
    for name, system, ops in streams:
        trial = Trial(system, patience)
        for k in range(len(ops)):
            where = f"{name}, operation {k + 1:,} of {len(ops):,}"
            try:
                trial.replay(ops[k : k + 1])
            except Exception as error:
                return Held(False, done, f"{where}: {stopped(error)}")
            done += 1
            broken = next(_broken(system), None)
            if broken:
                row = ops[k]
                told = operation(OPS[row["op"]], int(row["cpu"]), int(row["memcg"]), int(row["nr"]))
                return Held(
                    False, done, f"{where}, where {told}: it does not hold that {broken.name} ({broken.detail})."
                )
    told = f"{count(len(traffic()), 'stream')} of traffic, {count(len(GOLDEN), 'golden run')}"
    return Held(True, done, f"All invariants hold after each of {count(done, 'operation')}: {told}.")


# A recording begins in the midst of things and gives back what it did not charge: no fault of a policy's.
OF_THE_TRAFFIC = ("nobody holds less than nothing", "no counter is below zero")


def _broken(system, but=()):
    """The invariants that do not hold."""
    return (one for one in system.invariants() if not one.holds and one.name not in but)


@functools.cache
def _golden():
    """Golden runs as traffic: (name, tree, CPUs, limits, operations)."""
    found = []
    for file in ("stories_post", "random_post"):
        for scenario in read_golden(golden_path(file)):
            config = scenario.config
            if config["name"] in GOLDEN:
                ops = scenario.ops[:GOLDEN_OPS]
                found.append((config["name"], config["parent"], config["ncpu"], config["limit"], ops))
    return [one for one in found if one[1][0] == -1 and one[1].count(-1) == 1]


def scores(policy, *, watched=False, seed=None):
    """What a policy costs, by the names of ``SCORES``.

    Parameters
    ----------
    policy : Policy
    watched : bool
        Look at the invariants after each operation here too.
    seed : int, optional
        0 to 2**64 - 1. Score traffic that is drawn from it, in place of the course's.

    Returns
    -------
    dict of str to float
        Rounded to four digits after the point.

    Raises
    ------
    ValueError
        If a rule of the policy stops with an error, or never stops, or a watched invariant does not hold.

    Examples
    --------
    >>> from memcg_lab import V4_14
    >>> scores(V4_14)["drift"], scores(V4_14)["frames"]
    (64.0, 0.0633)
    """
    found, most, burst, patience = {}, 0, 0, Patience()
    for name, (tree, ops) in traffic(seed).items():
        system = System(tree, cpus=CPUS, policy=policy, underflow="record")
        trial = Trial(system, patience)
        root = 0
        for k in range(len(ops)):
            try:
                trial.replay(ops[k : k + 1])
            except Exception as error:
                raise ValueError(f"{policy.name}, traffic {name}, operation {k + 1:,}: {stopped(error)}") from None
            broken = next(_broken(system, but=OF_THE_TRAFFIC), None) if watched else None
            if broken:
                told = f"it does not hold that {broken.name} ({broken.detail})."
                raise ValueError(f"{policy.name}, traffic {name}, operation {k + 1:,}, while it is scored: {told}")
            usage = int(system.usage[0])
            burst, root = max(burst, root - usage), usage
            most = max(most, int(np.asarray(system.mechanism_state(None).stock["nr_pages"]).sum()))
        if name == "unfairness":
            calls = np.bincount(ops["memcg"], minlength=len(tree))[1:]
            costs = system.atomics_by_memcg()[1:] / calls
            found[name] = costs.max() / costs.min() if costs.min() > 0 else float(costs.max() > 0)
        else:
            found[name] = system.work().atomics / len(ops)
    found |= {"drift": most, "burst": burst}
    return {score.name: round(float(found[score.name]), 4) for score in SCORES}


def what_it_scores(make):
    """The scores of the policy that a reader's function makes; see :func:`made` and :func:`scores`.

    Examples
    --------
    >>> from memcg_lab import V4_14
    >>> round(what_it_scores(lambda: V4_14)["frames"] * 600)
    38
    """
    return scores(made(make))


@functools.cache
def _scores_of_library(policy):
    return scores(policy)


def score_sheet(make=None):
    """A policy beside every generation of this library, score by score.

    Parameters
    ----------
    make : callable, optional
        As in :func:`made`; without it the library's own policies are shown alone.

    Returns
    -------
    Figure
        A dot plot; its table has the numbers.

    Raises
    ------
    ValueError
        If the function makes no policy, its name is taken, or a rule of it stops.

    Examples
    --------
    >>> sheet = score_sheet()
    >>> sheet.table.loc[["v4.13", "v4.14"], "drift"].tolist()
    [62.0, 64.0]
    """
    policy = None if make is None else own(make)
    rows = {generation.name: _scores_of_library(generation) for generation in POLICIES.values()}
    if policy is not None:
        rows[policy.name] = scores(policy)
    return figures.score_sheet(
        rows, {score.name: score.unit for score in SCORES}, own=None if policy is None else policy.name
    )


# --- exercises 13.2 and 13.3 -----------------------------------------------------------------------------------------
def judge_design(limits, answer):
    """(is it right, what to say) for a design whose scores must not be above ``limits``, by score."""
    try:
        policy = own(answer)
        held = _hold(policy)
        if not held.holds:
            return False, str(held)
        found = scores(policy)
    except ValueError as error:
        return False, capital(str(error))
    told = [f"{name} {_exact(found[name])} (asked: {_exact(limit)} at most)" for name, limit in limits.items()]
    over = [name for name, limit in limits.items() if found[name] > limit]
    return not over, f"{printable(policy.name)}: {listing(told)}." + (
        f" Still too much: {listing(over)}." if over else ""
    )


def _exact(score):
    """A score with all its digits, so that two that differ look different."""
    return f"{score:,.15g}"


def judge_busy(answer):
    """13.2: a third fewer atomics than v4.14 on recorded traffic, and a drift of no more than twice that of v4.14."""
    return judge_design({"recorded": round(_scores_of_library(V4_14)["recorded"] * 2 / 3, 4), "drift": 128}, answer)


def judge_small(answer):
    """13.3: half the drift of v4.14, and on single pages a fifth of what v4.13 takes."""
    return judge_design({"frames": round(_scores_of_library(V4_13)["frames"] / 5, 4), "drift": 32}, answer)


# --- handed in -------------------------------------------------------------------------------------------------------
def hand_in(make, path, *, name, replace=False):
    """Write a design into a file that can be run again: its source, its scores, a digest.

    Parameters
    ----------
    make : callable
        As in :func:`made`; its source is taken along, so it must be defined in a cell or a file.
    path : str or Path
        A ``.json`` file.
    name : str
        Whose design it is.
    replace : bool
        Replace the file if it is there.

    Raises
    ------
    ValueError
        If the invariants do not hold, the source cannot be read or does not do alone, the policy is one of the
        library's, or the file cannot be written.
    """
    text("name", name)
    made(make)
    try:
        source = textwrap.dedent(inspect.getsource(make))
    except (OSError, TypeError):
        raise ValueError("the source of the function cannot be read; define it with def in a cell or a file.") from None
    try:
        policy = own(made_of(source))
    except ValueError as error:
        raise ValueError(f"not handed in; run again from its source alone: {error}") from None
    held = _hold(policy)
    if not held.holds:
        raise ValueError(f"not handed in. {held}")
    design = {
        "format": FORMAT,
        "version": VERSION,
        "library": version(),
        "name": name,
        "policy": policy.name,
        "source": source,
        "scores": scores(policy),
    }
    design["digest"] = digest_of(design)
    path = path_of(path, ".json")
    with writing(path, replace=replace) as scratch:
        scratch.write_text(json.dumps(design, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")
    print(f"{path.name}: {policy.name} by {printable(name)}, digest {design['digest'][:12]}.")


def digest_of(design):
    """The SHA-256 of a design without its digest."""
    bare = {field: design[field] for field in FIELDS if field != "digest"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode("ascii")).hexdigest()


IMPORTS = ("memcg_lab", "numpy", "math")
RULES_OF = "memcg_lab.mechanism"
FORBIDDEN = (
    *("open", "exec", "eval", "compile", "input", "globals", "locals", "vars", "getattr", "setattr", "delattr"),
    *("breakpoint", "exit", "quit"),
)
ACCOUNTS = ("counter", "work", "total")  # what is scored is written there
# modules that others bring along, and what numpy reads and writes files with
ELSEWHERE = (
    *("os", "sys", "io", "pathlib", "subprocess", "shutil", "socket", "ctypes", "ctypeslib", "importlib", "builtins"),
    *("inspect", "json", "pickle", "tempfile", "threading", "multiprocessing", "signal", "course", "files", "f2py"),
    *("memmap", "fromfile", "tofile", "load", "loadtxt", "genfromtxt", "save", "savez", "savez_compressed", "savetxt"),
)


def allowed_source(source):
    """The name of the one function that a source defines; ValueError if it holds what a policy has no use for.

    Allowed are imports of ``numpy`` and ``math``, of the public names of ``memcg_lab``, and of what is no module in
    ``memcg_lab.mechanism``. Names with two underscores, functions such as ``open`` and ``eval``, modules and functions
    that reach files, control characters, and the library's own accounts (``counter``, ``work``, ``total``) are refused.
    This keeps mistakes out and makes reading easy. It is no sandbox: who wants to get around it can.
    """
    odd = next((letter for letter in source if not (letter.isprintable() or letter in "\n\t")), None)
    if odd is not None:
        raise ValueError(f"its source has the control character {ascii(odd)}, which cannot be seen in print.")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"its source is no Python: {printable(error)}.") from None
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef) or tree.body[0].decorator_list:
        raise ValueError("its source must be one function, and nothing else.")
    for node in ast.walk(tree):
        for name in _imported(node):
            raise ValueError(
                f"line {node.lineno} imports {printable(name)}; a policy needs only numpy, math, public names of "
                f"memcg_lab, and rules of {RULES_OF}."
            )
        word = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if isinstance(node, ast.Attribute) and word in ACCOUNTS:
            raise ValueError(f"line {node.lineno} uses {word}; give pages back with uncharge_counters instead.")
        if word.startswith("__") or word in (FORBIDDEN if isinstance(node, ast.Name) else ELSEWHERE):
            raise ValueError(f"line {node.lineno} uses {word}; a policy has no use for it.")
    return tree.body[0].name


def _imported(node):
    """What a node imports and is not allowed."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name not in ("numpy", "math")]
    if not isinstance(node, ast.ImportFrom):
        return []
    module, names = node.module or ".", [alias.name for alias in node.names]
    if node.level or module.split(".")[0] not in IMPORTS or "*" in names:
        return [module]
    if module == "memcg_lab":
        return [f"{module}.{name}" for name in names if name not in sys.modules[module].__all__ or name == "figures"]
    if module.split(".")[0] != "memcg_lab":
        return [f"{module}.{name}" for name in names if name in ELSEWHERE or module not in ("numpy", "math")]
    if module == RULES_OF:
        return []
    held = sys.modules.get(module) if module.startswith(f"{RULES_OF}.") else None
    if held is None:
        return [module]
    return [f"{module}.{name}" for name in names if inspect.ismodule(getattr(held, name, None))]


def made_of(source):
    """The function that a source defines, which knows nothing but what it imports itself."""
    name, space = allowed_source(source), {"__name__": "design"}
    exec(compile(source, "design", "exec"), space)
    return space[name]


def _are_scores(told):
    """Whether these are scores that a policy can have: one number for each, and not all nothing."""
    return (
        isinstance(told, dict)
        and set(told) == {score.name for score in SCORES}
        and all(type(value) in (int, float) and 0 <= value <= SCORE_MAX for value in told.values())
        and any(told[name] for name in TRAFFIC)
    )


def read_design(path):
    """Read a design that was handed in; nothing of it is executed.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If it is no such file, a field is missing, strange or not of this version, or the digest is another one.
    """
    path = path_of(path)
    where = printable(path)
    try:
        design = json.loads(contents(path, LIMIT).decode("utf-8"), object_pairs_hook=once)
    except OSError as error:
        raise ValueError(f"{where}: cannot be read ({reason(error)}).") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: {TWICE if str(error) == TWICE else 'not JSON'}.") from None
    if not isinstance(design, dict) or set(design) != set(FIELDS):
        raise ValueError(f"{where}: it must have the fields {', '.join(FIELDS)}, and no others.")
    if (design["format"], design["version"]) != (FORMAT, VERSION) or type(design["version"]) is not int:
        raise ValueError(
            f"{where}: format {shown(design['format'])} {shown(design['version'])}, not {FORMAT} {VERSION}."
        )
    if design["library"] != version():
        raise ValueError(f"{where}: made with memcg-lab {shown(design['library'])}; this is {version()}.")
    for field in ("name", "policy", "source", "digest"):
        if not isinstance(design[field], str) or not design[field].strip():
            raise ValueError(f"{where}: {field} is {shown(design[field])}; it must be a text.")
    if not _are_scores(design["scores"]):
        names = ", ".join(score.name for score in SCORES)
        raise ValueError(f"{where}: scores must have a number for each of {names}, 0 to {SCORE_MAX:,.0f}, not all 0.")
    if design["digest"] != digest_of(design):
        raise ValueError(f"{where}: the digest is not that of the file; it was changed after it was handed in.")
    try:
        allowed_source(design["source"])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return design


class Grade(NamedTuple):
    """What running a design again says: whether it is what it claims, the scores found, and a sentence.

    With a seed, ``unseen`` has the scores on traffic drawn from it.
    """

    good: bool
    scores: dict
    says: str
    unseen: dict | None = None


SECONDS = 180


def run_again(design, *, seed=None, seconds=SECONDS):
    """Run a design again, with its rules in a process of their own, and compare the scores.

    Parameters
    ----------
    design : dict
        What :func:`read_design` gave.
    seed : int, optional
        As in :func:`scores`; the invariants must hold on that traffic too.
    seconds : float
        How long it may take.

    Returns
    -------
    Grade

    Notes
    -----
    The machine, its counters and the scores are this process's, see :mod:`memcg_lab.course.apart`; the invariants are
    looked at after each operation, also while it is scored.
    """
    try:
        with Apart(design["source"], seconds) as away:
            policy = away.policy
            if policy.name != design["policy"]:
                says = f"its policy is called {shown(policy.name)}, not {shown(design['policy'])}."
                return Grade(False, {}, says)
            held = _hold(policy)
            if not held.holds:
                return Grade(False, {}, printable(str(held)))
            away.anew()
            found, unseen = scores(policy, watched=True), None
            if seed is not None:
                away.anew()
                unseen = scores(policy, watched=True, seed=seed)
    except ValueError as error:
        return Grade(False, {}, printable(str(error)))
    for score in SCORES:
        mine, here = design["scores"][score.name], found[score.name]
        if mine != here:
            return Grade(False, found, f"{score.name} is said to be {_exact(mine)}; run again it is {_exact(here)}.")
    return Grade(True, found, f"run again, all {len(SCORES)} scores are the same. {printable(str(held))}", unseen)


WARNING = (
    "Grading executes the code in this file, in a process of its own with limits of time and memory. It is not kept "
    "from your files or from the network. Look at the source first if you do not trust who wrote it."
)


def grade_file(path, *, consent, seed=None):
    """Run a design that was handed in again, print what that says; 0 if it is what it claims, else 1.

    Parameters
    ----------
    path : str or Path
    consent : callable
        ``consent(source) -> bool``: asked before anything of the file is executed.
    seed : int, optional
        As in :func:`scores`: print what the design and v4.14 score on that traffic too.

    Raises
    ------
    ValueError
        If the file is no design, or there is no consent.
    """
    design = read_design(path)
    if not consent(design["source"]):
        raise ValueError("nothing was executed: say --yes, or answer yes, if it may run.")
    if seed is not None:
        traffic(seed)  # a wrong seed is told before anything runs
    grade = run_again(design, seed=seed)
    verdict = "good" if grade.good else "not good"
    print(f"{printable(design['policy'])} by {printable(design['name'])}: {verdict}. {grade.says}")
    for score in SCORES if grade.good else ():
        print(f"    {score.name:<11} {_exact(grade.scores[score.name]):>8} {score.unit}, {score.says}")
    if grade.unseen:
        usual = scores(V4_14, seed=seed)
        print(f"On traffic of the same kinds drawn from seed {seed}, and in brackets v4.14 on it:")
        for score in SCORES:
            print(f"    {score.name:<11} {_exact(grade.unseen[score.name]):>8} ({_exact(usual[score.name])})")
    return 0 if grade.good else 1
