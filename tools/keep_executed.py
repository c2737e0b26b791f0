"""A pytest plugin that keeps what nbval executes, so that one execution serves every comparison.

A notebook that compiles what the warm-up should have compiled fails the run.

python -m pytest -p tools.keep_executed --keep-executed FOLDER --nbval notebooks
python -m tools.check --executed FOLDER
"""

import json
import os
import pathlib
import time

import pytest
from nbformat import from_dict
from nbformat.v4 import output_from_msg
from nbval.plugin import IPyNbCell

from tools.execution import prepared, stopped
from tools.notebooks import normalise, tags_of

OUTPUTS = ("stream", "display_data", "execute_result", "error")


# --- keeping


def pytest_addoption(parser):
    parser.addoption("--keep-executed", type=pathlib.Path, metavar="FOLDER", help="keep what nbval executes there")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    folder = item.config.option.keep_executed
    if folder is None or not isinstance(item, IPyNbCell):
        return (yield)
    notebook, messages, began = item.parent, [], time.time()
    hear = notebook.get_kernel_message

    def hear_and_keep(timeout=None, stream="iopub"):
        messages.append(hear(timeout, stream))
        return messages[-1]

    notebook.get_kernel_message = hear_and_keep
    try:
        return (yield)
    finally:
        notebook.get_kernel_message = hear
        kept = {"cell": item.cell_num, "began": began, "ended": time.time(), **heard(messages)}
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"{item.path.stem}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(kept) + "\n")


def kernels():
    """The compiled kernels that are kept on disk, where the run has a folder of its own for them."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    return set(pathlib.Path(folder).rglob("*.nbc")) if folder else set()


def pytest_sessionstart(session):
    session.config.warm = kernels()


def pytest_sessionfinish(session):
    """Every kernel that a notebook needs and that is kept must come from the warm-up."""
    config = session.config
    config.late = sorted(path.name for path in kernels() - config.warm)
    if config.option.keep_executed and not hasattr(config, "workerinput") and config.late:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    if config.option.keep_executed and config.late:
        names = ", ".join(config.late)
        terminalreporter.line(f"compiled by a notebook, but not by the warm-up (memcg_lab/warmup.py): {names}")


def heard(messages):
    """A cell's execution count and outputs, as the kernel told them; nbval's own list has its streams put together."""
    inputs = [message for message in messages if message["msg_type"] == "execute_input"]
    if not inputs:
        return {"count": None, "outputs": []}
    own = [m for m in messages if m["parent_header"].get("msg_id") == inputs[-1]["parent_header"]["msg_id"]]
    return {
        "count": inputs[-1]["content"]["execution_count"],
        "outputs": [output_from_msg(message) for message in own if message["msg_type"] in OUTPUTS],
    }


# --- reading


def kept(root, paths, folder):
    """What ``tools.execution.execute`` returns, from a folder that an earlier run of nbval filled."""
    runs, times = prepared(root, paths), [0.0]
    for run in runs:
        file = folder / f"{run.path.stem}.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        found = {line["cell"]: line for line in map(json.loads, lines)}
        code = [(position, cell) for position, cell in enumerate(run.notebook.cells) if cell.cell_type == "code"]
        for number, (position, cell) in enumerate(code):  # nbval counts the code cells
            if "skip-execution" in tags_of(cell):
                continue
            if number not in found:
                run.error = run.error or f"cell {position} was not executed"
                continue
            line = found[number]
            cell.execution_count, cell.outputs = line["count"], from_dict(line["outputs"])
            run.cell_seconds[position] = line["ended"] - line["began"]
            times += [line["began"], line["ended"]]
        run.seconds = sum(run.cell_seconds.values())
        run.error = run.error or stopped(run.notebook)
        normalise(run.notebook)
    return runs, max(times) - min(times[1:], default=0.0)
