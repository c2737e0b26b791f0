"""The whole test run: every step, also after a failure; at the end it says which failed.

python -m tools.suite [--all] [--timings]     what ``python3 lab.py test`` runs
python -m tools.suite ARGUMENTS               one plain pytest run with them
"""

import concurrent.futures
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from tools.execution import AT_ONCE, environment
from tools.notebooks import ROOT

# What is compiled, and the rooms whose doctests show it: run three ways. The rest runs in jit mode only.
COMPILED = (
    "tests/compiled",
    "memcg_lab/mechanism",
    "memcg_lab/workload.py",
    "memcg_lab/system.py",
    "memcg_lab/hardware",
)
WARM_UP = ("-m", "memcg_lab", "warmup")  # a notebook says whether its kernels are ready
LANES = 2  # steps at a time; the collection is meant for two cores
WORKERS = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]


@dataclasses.dataclass
class Step:
    """One line of the summary."""

    title: str
    commands: list
    environment: dict


def main(arguments):
    """Run all steps, or pytest where it is told more than the two options. Returns an exit status."""
    everything, timings = "--all" in arguments, "--timings" in arguments
    if set(arguments) - {"--all", "--timings"}:
        subprocess.call([sys.executable, *WARM_UP], cwd=ROOT, env=environment())
        plain = dict(os.environ, PYTHONUTF8="1", PYTHONHASHSEED="0")
        return subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=plain)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="memcg-lab-", ignore_cleanup_errors=True) as scratch:
        groups = steps(pathlib.Path(scratch), everything, timings)
        results = [result for group in groups for result in run_group(group)]
    return summary(results, time.monotonic() - start)


def steps(scratch, everything, timings):
    """Return the steps as groups; the steps of one group run side by side, each on one core.

    A new kind of test becomes a new group at the end, under ``if everything``.
    """
    python = [sys.executable, "-m"]
    pytest = [*python, "pytest", "-q", "-rs", "-p", "no:cacheprovider", *(["--durations=15"] if timings else [])]
    three_ways = [*pytest, *COMPILED, "--doctest-modules", "-m"]
    chosen = "not browser" if everything else "not browser and not slow"
    again = "not browser and not slow and not once"
    bounds = f"{again} and not own_rule"
    coverage = ["--cov=memcg_lab/mechanism", "--cov-report=term", "--cov-fail-under=95"]
    elsewhere = [
        "tests/once",
        "tests/notebooks",
        "tests/browser",
        "memcg_lab",
        *(f"--ignore={path}" for path in COMPILED),
    ]
    executed = str(scratch / "executed")
    nbval = [*pytest, "-n", str(AT_ONCE), "--dist", "loadfile", "--nbval"]
    solutions = "notebooks/solutions"  # a reader's code, which may compile
    lint = Step(
        "ruff, lint and format",
        [[*python, "ruff", "check", "."], [*python, "ruff", "format", "--check", "."]],
        environment(),
    )
    jit = Step("compiled code, JIT", [[*three_ways, chosen]], unit(scratch, "jit"))
    nojit = Step(
        "compiled code, no JIT, with coverage",
        [[*three_ways, again, *coverage]],
        unit(scratch, "nojit", NUMBA_DISABLE_JIT="1"),
    )
    boundscheck = Step(
        "compiled code, bounds checked",
        [[*three_ways, bounds]],
        unit(scratch, "boundscheck", NUMBA_BOUNDSCHECK="1"),
    )
    # On all cores. The kernels are those that the JIT step left in the cache.
    rest = Step(
        "everything else",
        [[*pytest, *WORKERS, *elsewhere, "--doctest-modules", "-m", chosen]],
        unit(scratch, "jit"),
    )
    warm = environment() | {"NUMBA_CACHE_DIR": str(scratch / "numba-notebooks")}  # what the warm-up puts there, no more
    warm_up = Step("the kernels of the notebooks are compiled", [[sys.executable, *WARM_UP]], warm)
    notebooks = Step(
        "notebooks: every output (nbval), every figure by its pixels",
        [
            [*nbval, "notebooks", f"--ignore={solutions}", "-p", "tools.keep_executed", "--keep-executed", executed],
            [*nbval, solutions],
            [*python, "tools.check", "--executed", executed, *(["--timings"] if timings else [])],
        ],
        warm,
    )
    groups = [[lint], [jit, nojit, boundscheck, warm_up], [rest], [notebooks]]
    if everything:  # by itself: some tests there look at the clock
        browser = Step(
            "in a browser: JupyterLab, the one file, the site",
            [[*pytest, "tests/browser", "-m", "browser"]],
            warm | {"MEMCG_LAB_TEST_MODE": "jit", "MPLBACKEND": "agg"},
        )
        groups.append([browser])
    return groups


def unit(scratch, mode, **flags):
    """Return the environment of one unit run: its mode, and a cache that no run before this one used.

    A warm cache would silently ignore NUMBA_BOUNDSCHECK.
    """
    return environment() | {
        "MEMCG_LAB_TEST_MODE": mode,
        "MPLBACKEND": "agg",
        "NUMBA_CACHE_DIR": str(scratch / f"numba-{mode}"),
        "COVERAGE_FILE": str(scratch / f"coverage-{mode}"),
        **flags,
    }


def run_group(group):
    """Run the steps of one group at once; print their output one after the other. Returns (title, status, seconds)."""

    def work(step, out):
        start = time.monotonic()
        statuses = [
            subprocess.call(command, cwd=ROOT, env=step.environment, stdout=out, stderr=out and subprocess.STDOUT)
            for command in step.commands
        ]
        return step.title, next(filter(None, statuses), 0), time.monotonic() - start

    results = []
    # The first step writes straight to the terminal, the others into files.
    outputs = [None] + [tempfile.TemporaryFile() for _ in group[1:]]
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        futures = [pool.submit(work, step, out) for step, out in zip(group, outputs, strict=True)]
        for step, out, future in zip(group, outputs, futures, strict=True):
            print(f"\n== {step.title} ==", flush=True)
            title, status, seconds = future.result()
            if out:
                out.seek(0)
                encoding = sys.stdout.encoding or "utf-8"  # a Windows console may know fewer letters
                print(out.read().decode("utf-8", "replace").encode(encoding, "replace").decode(encoding))
                out.close()
            print(f"{title}: {'FAILED' if status else 'ok'}, {seconds:.0f} s", flush=True)
            results.append((title, status, seconds))
    return results


def summary(results, seconds):
    """Print one line a step. Returns an exit status."""
    print(f"\n== summary, {seconds:.0f} s in all ==")
    for title, status, taken in results:
        print(f"{'FAILED' if status else 'ok':6} {taken:5.0f} s  {title}")
    failed = [title for title, status, _ in results if status]
    print(f"Failed: {'; '.join(failed)}." if failed else f"All {len(results)} steps passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # what runs has got it too
        sys.exit(130)
