"""Notebooks are executed: all or some, two at a time, each in a kernel of its own."""

import asyncio
import dataclasses
import os
import pathlib
import sys
import time

import nbformat

from tools import navigation
from tools.notebooks import KERNELSPEC, normalise, parse, read_raw, tags_of

AT_ONCE = 2  # notebooks executed at the same time; the collection is meant for two cores
CELL_TIMEOUT = 120  # seconds; nbval has the same in pyproject.toml

# What would change a result, or the form of one. MPLBACKEND would switch the inline figures off.
FLAGS = ("NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK", "MEMCG_LAB_TEST_MODE", "PYTEST_ADDOPTS", "MPLBACKEND")


def environment():
    """The environment in which notebooks are executed."""
    return {name: value for name, value in os.environ.items() if name not in FLAGS} | {
        "IPYTHONDIR": os.path.join(sys.prefix, "ipython"),  # a reader's own start-up files could change an output
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a debugger notice on stderr otherwise
    }


@dataclasses.dataclass
class Execution:
    """One notebook before and after a run."""

    path: pathlib.Path
    committed_raw: str
    committed: nbformat.NotebookNode
    notebook: nbformat.NotebookNode  # executed and normalised
    seconds: float = 0.0
    error: str = ""  # what stopped it
    cell_seconds: dict = dataclasses.field(default_factory=dict)  # by position


def prepared(root, paths):
    """An execution of each notebook, to be filled: navigation as it should be, in the normal form."""
    runs = []
    for path in paths:
        raw = read_raw(path)
        runs.append(Execution(path, raw, parse(raw, path), parse(raw, path)))
    navigation.navigated(root, {run.path: run.notebook for run in runs})
    for run in runs:
        normalise(run.notebook)  # before the run too: the client wants ids and a kernelspec
    return runs


async def execute_one(run, places):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    began = {}

    def starts(cell, cell_index):
        began[cell_index] = time.perf_counter()

    def ends(cell, cell_index, execute_reply):
        run.cell_seconds[cell_index] = time.perf_counter() - began[cell_index]

    async def attempt():
        await NotebookClient(
            run.notebook,
            on_cell_start=starts,
            on_cell_executed=ends,
            timeout=CELL_TIMEOUT,
            kernel_name=KERNELSPEC["name"],
            record_timing=False,
            resources={"metadata": {"path": str(run.path.parent)}},
            # Without this every kernel start prints a warning about plain TCP on loopback.
            config=Config({"KernelManager": {"transport_encryption": "auto"}}),
        ).async_execute(env=environment())

    async with places:
        start = time.perf_counter()
        try:
            try:
                await attempt()
            except DeadKernelError:
                raise
            except RuntimeError as error:
                if began:
                    raise
                # Kernels choose a free port and take it later; now and then another process was faster.
                print(f"  {run.path.name}: {error}; once more", flush=True)
                await attempt()
        except CellExecutionError as error:
            run.error = stopped(run.notebook) or f"{error.ename}: {error.evalue}"
        except (CellTimeoutError, DeadKernelError) as error:
            run.error = str(error).splitlines()[0]
        run.seconds = time.perf_counter() - start
    normalise(run.notebook)
    print(f"  ran {run.path.name} in {run.seconds:.1f} s" + (f": {run.error}" if run.error else ""), flush=True)


def stopped(nb):
    """What error stopped a notebook, and where; empty if none did."""
    for position, cell in enumerate(nb.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error" and "raises-exception" not in tags_of(cell):
                first = cell.source.strip().splitlines()[0]
                return f"{output.ename}: {output.evalue} (cell {position}: {first})"
    return ""


def execute(root, paths):
    """Run notebooks in ``notebooks/``; nothing is written. Returns (executions, wall seconds)."""
    runs = prepared(root, paths)

    async def everything():
        places = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(execute_one(run, places) for run in runs))

    start = time.perf_counter()
    asyncio.run(everything())
    return runs, time.perf_counter() - start
