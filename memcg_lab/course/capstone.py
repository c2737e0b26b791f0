"""The capstone: a reader's own stock policy, held to invariants, scored beside every generation, and handed in.

A policy is made by one function without parameters that imports what it needs inside, so that its source can be taken
along and run again elsewhere.
"""

import ast
import functools
import hashlib
import inspect
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
from typing import NamedTuple

import numpy as np

from .. import _jit, figures
from ..checks import shown, text
from ..files import data_path, golden_path, path_of, writing
from ..golden import read_golden
from ..mechanism.policy import POLICIES, V4_13, V4_14, Policy
from ..mechanism.records import OPS
from ..system import System
from ..traces.text import read_rows
from ..traces.what_if import trace_ops
from ..words import capital, count, kind, listing, number, operation, printable
from ..workload import alternating, bulk, mixed, producer_consumer
from .environment import version
from . import trial as trials
from .trial import Patience, Trial, patiently, stopped

FORMAT, VERSION = "memcg-lab design", 1
FIELDS = ("format", "version", "library", "name", "policy", "source", "scores", "digest")
LIMIT = 200_000  # bytes of a file that is handed in

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
def traffic():
    """The streams that are scored, by name: (tree, operations)."""
    recorded = trace_ops(read_rows(data_path("kernel_traces/ab_post.csv.xz"))).ops[:TRACE_OPS]
    two = (-1, 0, 0)
    return {
        "frames": (two, producer_consumer(300, memcg=1)),
        "web": (two, mixed(600, cpus=CPUS, memcgs=(1, 2), mix="web", in_flight=30, seed=13)),
        "lumps": (two, bulk(60, memcg=1, seed=13)),
        "turns": (two, alternating(150, memcgs=(1, 2))),
        "recorded": ((-1, *[0] * int(recorded["memcg"].max())), recorded),
        "unfairness": ((-1, 0, 0, 0), _three()),
    }


def _three():
    """Three cgroups on the same CPUs; the first calls eight times as often as the last."""
    ops = mixed(600, cpus=CPUS, memcgs=(1,), mix="web", in_flight=20, seed=5)
    for memcg, share in ((2, 3), (3, 8)):
        more = mixed(600 // share, cpus=CPUS, memcgs=(memcg,), mix="web", in_flight=10, seed=5 + memcg)
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
            broken = next((invariant for invariant in system.invariants() if not invariant.holds), None)
            if broken:
                row = ops[k]
                told = operation(OPS[row["op"]], int(row["cpu"]), int(row["memcg"]), int(row["nr"]))
                return Held(
                    False, done, f"{where}, where {told}: it does not hold that {broken.name} ({broken.detail})."
                )
    told = f"{count(len(traffic()), 'stream')} of traffic, {count(len(GOLDEN), 'golden run')}"
    return Held(True, done, f"All invariants hold after each of {count(done, 'operation')}: {told}.")


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


def scores(policy):
    """What a policy costs, by the names of ``SCORES``.

    Parameters
    ----------
    policy : Policy

    Returns
    -------
    dict of str to float
        Rounded to four digits after the point.

    Raises
    ------
    ValueError
        If a rule of the policy stops with an error, or never stops.

    Examples
    --------
    >>> from memcg_lab import V4_14
    >>> scores(V4_14)["drift"], scores(V4_14)["frames"]
    (64.0, 0.0633)
    """
    found, most, burst, patience = {}, 0, 0, Patience()
    for name, (tree, ops) in traffic().items():
        system = System(tree, cpus=CPUS, policy=policy, underflow="record")
        trial = Trial(system, patience)
        root = 0
        for k in range(len(ops)):
            try:
                trial.replay(ops[k : k + 1])
            except Exception as error:
                raise ValueError(f"{policy.name}, traffic {name}, operation {k + 1:,}: {stopped(error)}") from None
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
    rows = {policy.name: _scores_of_library(policy) for policy in POLICIES.values()}
    if make is not None:
        policy = made(make)
        if policy.name in rows:
            raise ValueError(f"{shown(policy.name)} is a policy of this library; give yours another name.")
        rows[policy.name] = scores(policy)
    return figures.score_sheet(
        rows, {score.name: score.unit for score in SCORES}, own=None if make is None else policy.name
    )


# --- exercises 13.2 and 13.3 -----------------------------------------------------------------------------------------
def judge_design(limits, answer):
    """(is it right, what to say) for a design whose scores must not be above ``limits``, by score."""
    try:
        policy, held = made(answer), hold(answer)
        if not held.holds:
            return False, str(held)
        found = scores(policy)
    except ValueError as error:
        return False, capital(str(error))
    told = [f"{name} {number(found[name], 3)} (asked: {number(limit, 3)} at most)" for name, limit in limits.items()]
    over = [name for name, limit in limits.items() if found[name] > limit]
    return not over, f"{printable(policy.name)}: {listing(told)}." + (
        f" Still too much: {listing(over)}." if over else ""
    )


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
        If the invariants do not hold, the source cannot be read, or the file cannot be written.
    """
    text("name", name)
    policy = made(make)
    held = hold(make)
    if not held.holds:
        raise ValueError(f"not handed in. {held}")
    try:
        source = textwrap.dedent(inspect.getsource(make))
    except (OSError, TypeError):
        raise ValueError("the source of the function cannot be read; define it with def in a cell or a file.") from None
    allowed_source(source)
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
FORBIDDEN = ("open", "exec", "eval", "compile", "input", "globals", "vars", "getattr", "setattr", "breakpoint")


ACCOUNTS = ("counter", "work", "total")  # what is scored is written there


def allowed_source(source):
    """The name of the one function that a source defines; ValueError if it holds what a policy has no use for.

    Imports of anything but ``memcg_lab``, ``numpy`` and ``math``, names with two underscores, functions such as
    ``open`` and ``eval``, and the library's own accounts (``counter``, ``work``, ``total``) are refused. This keeps
    mistakes out and makes reading easy. It is no sandbox: who wants to get around it can.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"its source is no Python: {printable(error)}.") from None
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef) or tree.body[0].decorator_list:
        raise ValueError("its source must be one function, and nothing else.")
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.split(".")[0] not in IMPORTS or getattr(node, "level", 0):
                raise ValueError(
                    f"line {node.lineno} imports {printable(name)}; a policy needs only {', '.join(IMPORTS)}."
                )
        if isinstance(node, ast.Attribute) and node.attr in ACCOUNTS:
            raise ValueError(f"line {node.lineno} uses {node.attr}; give pages back with uncharge_counters instead.")
        word = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if word.startswith("__") or isinstance(node, ast.Name) and word in FORBIDDEN:
            raise ValueError(f"line {node.lineno} uses {word}; a policy has no use for it.")
    return tree.body[0].name


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
        if path.stat().st_size > LIMIT:
            raise ValueError(f"{where}: more than {LIMIT:,} bytes; a design is shorter.")
        design = json.loads(path.read_bytes().decode("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{where}: not JSON.") from None
    except OSError as error:
        raise ValueError(f"{where}: cannot be read ({error.strerror}).") from None
    if not isinstance(design, dict) or set(design) != set(FIELDS):
        raise ValueError(f"{where}: it must have the fields {', '.join(FIELDS)}, and no others.")
    if (design["format"], design["version"]) != (FORMAT, VERSION) or isinstance(design["version"], bool):
        raise ValueError(
            f"{where}: format {shown(design['format'])} {shown(design['version'])}, not {FORMAT} {VERSION}."
        )
    if design["library"] != version():
        raise ValueError(f"{where}: made with memcg-lab {shown(design['library'])}; this is {version()}.")
    for field in ("name", "policy", "source", "digest"):
        if not isinstance(design[field], str) or not design[field].strip():
            raise ValueError(f"{where}: {field} is {shown(design[field])}; it must be a text.")
    told = design["scores"]
    names = {score.name for score in SCORES}
    numbers = isinstance(told, dict) and all(type(value) in (int, float) for value in told.values())
    if not numbers or set(told) != names:
        raise ValueError(f"{where}: scores must have a number for each of {', '.join(sorted(names))}.")
    if design["digest"] != digest_of(design):
        raise ValueError(f"{where}: the digest is not that of the file; it was changed after it was handed in.")
    try:
        allowed_source(design["source"])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return design


class Grade(NamedTuple):
    """What running a design again says: whether it is what it claims, the scores found, and a sentence."""

    good: bool
    scores: dict
    says: str


SECONDS, CPU_SECONDS, MEMORY = 180, 120, 4 << 30


def run_again(design, *, seconds=SECONDS):
    """Run a design in a process of its own, with limits of time and memory, and compare the scores.

    Parameters
    ----------
    design : dict
        What :func:`read_design` gave.
    seconds : float
        How long it may take.

    Returns
    -------
    Grade

    Notes
    -----
    The process has an empty folder, no environment but what Python needs, and where the system offers it limits of
    memory and of processor time. It is not kept from files and from the network: what runs there is somebody's code.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "scores.json")
        command = [sys.executable, "-c", f"from {__name__} import _child; _child({os.fspath(out)!r})"]
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
        kept |= {"PYTHONPATH": os.fspath(_jit.PACKAGE.parent), "NUMBA_DISABLE_JIT": "1", "PYTHONUTF8": "1"}
        kept |= {"MPLCONFIGDIR": folder, "HOME": folder, "OPENBLAS_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                command,
                input=design["source"],
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=seconds,
                cwd=folder,
                env=kept,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Grade(False, {}, f"it did not end within {number(seconds)} seconds.")
        try:
            told = json.loads(out.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            told = None
    if told is None:
        if "MemoryError" in done.stderr:
            return Grade(False, {}, f"it wanted more than {MEMORY >> 30} GiB of memory.")
        how = f"killed by signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        return Grade(False, {}, f"its process ended without an answer ({how}).")
    if "error" in told:
        return Grade(False, {}, printable(told["error"]))
    if told["policy"] != design["policy"]:
        return Grade(
            False, told["scores"], f"its policy is called {shown(told['policy'])}, not {shown(design['policy'])}."
        )
    for score in SCORES:
        mine, here = design["scores"][score.name], told["scores"][score.name]
        if mine != here:
            return Grade(
                False, told["scores"], f"{score.name} is said to be {number(mine)}; run again it is {number(here)}."
            )
    return Grade(True, told["scores"], f"run again, all {len(SCORES)} scores are the same. {told['held']}")


def _child(out):
    """In the process of its own: limits first, then the design from standard input."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    except ImportError:  # Windows: only the time is limited
        pass
    source = sys.stdin.read()
    try:
        name, space = allowed_source(source), {"__name__": "design"}
        exec(compile(source, "design", "exec"), space)
        make = space[name]
        policy, held = made(make), hold(make)
        told = (
            {"policy": policy.name, "scores": scores(policy), "held": str(held.says)}
            if held.holds
            else {"error": held.says}
        )
    except ValueError as error:
        told = {"error": str(error)}
    except MemoryError:
        told = {"error": f"it wanted more than {MEMORY >> 30} GiB of memory."}
    pathlib.Path(out).write_text(json.dumps(told), encoding="utf-8")


WARNING = (
    "Grading executes the code in this file, in a process of its own with limits of time and memory. It is not kept "
    "from your files or from the network. Look at the source first if you do not trust who wrote it."
)


def grade_file(path, *, consent):
    """Run a design that was handed in again, print what that says; 0 if it is what it claims, else 1.

    Parameters
    ----------
    path : str or Path
    consent : callable
        ``consent(source) -> bool``: asked before anything of the file is executed.

    Raises
    ------
    ValueError
        If the file is no design, or there is no consent.
    """
    design = read_design(path)
    if not consent(design["source"]):
        raise ValueError("nothing was executed: say --yes, or answer yes, if it may run.")
    grade = run_again(design)
    verdict = "good" if grade.good else "not good"
    print(f"{printable(design['policy'])} by {printable(design['name'])}: {verdict}. {grade.says}")
    for score in SCORES if grade.good else ():
        print(f"    {score.name:<11} {number(grade.scores[score.name], 4):>8} {score.unit}, {score.says}")
    return 0 if grade.good else 1
