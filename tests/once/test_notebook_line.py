"""The one line that every notebook begins with brings what the notebooks use, and opens no lab before it is wanted."""

import ast
import inspect
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest

import memcg_lab.notebook as line
from memcg_lab import labs
from tools.notebooks import ROOT, read_raw, roster

LINE = "from memcg_lab.notebook import *"
LABS = sorted(name for name in line.__all__ if name.endswith("Lab"))


def code_of(path):
    return [cell.source for cell in nbformat.v4.reads_json(read_raw(path)).cells if cell.cell_type == "code"]


def read_names(source):
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def imported(source):
    """Names that a cell imports, but for those of the line itself."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {alias.asname or alias.name for node in nodes for alias in node.names if alias.name != "*"}


@pytest.mark.parametrize("path", roster(ROOT), ids=lambda path: path.stem)
def test_a_notebook_begins_with_the_line_and_imports_nothing_again(path):
    first, *rest = code_of(path)
    assert first.splitlines()[0] == LINE
    assert not imported(first)
    assert all(LINE not in source for source in rest)
    assert not {name for source in rest for name in imported(source)} & set(line.__all__)


def test_what_no_notebook_uses_is_not_brought():
    used = set().union(*(read_names(source) for path in roster(ROOT) for source in code_of(path)))
    own = [name for name in line.__all__ if name not in labs.NAMES]  # every lab is there, also one for the teacher
    assert set(own) - used == set()
    assert own == sorted(set(own))
    assert line.__all__ == [*own, *labs.NAMES]


def test_numpy_and_pandas_come_with_it():
    assert (line.np, line.pd) == (np, pd)


def test_the_line_loads_no_widgets():
    code = f"{LINE}\nimport sys\nprint('ipywidgets' in sys.modules, 'memcg_lab.labs.base' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", LABS)
def test_a_lab_is_its_class_in_all_that_a_reader_does_with_it(name):
    brought, lab = getattr(line, name), getattr(labs, name)
    assert brought.__doc__ == lab.__doc__
    assert inspect.signature(brought) == inspect.signature(lab)
    with pytest.raises(ValueError, match="nonsense"):
        brought(nonsense=1)


def test_a_lab_opens_with_its_settings():
    opened = line.DriftLab(cpus=2)
    assert isinstance(opened, labs.DriftLab)
    assert opened.sentence().startswith("2 CPUs, ")
