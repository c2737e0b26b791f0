"""The library's imports go one way, as the contracts in pyproject.toml say, and it stays light to import."""

import ast
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = "memcg_lab"
HEAVY = ("pandas", "matplotlib", "ipywidgets")


def lint_imports(folder):
    """Exit status and words of import-linter about the copy of the library in ``folder``."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "pyproject.toml")],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(folder), PYTHONUTF8="1"),
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_imports_go_one_way():
    status, words = lint_imports(ROOT)
    assert status == 0, words


# Each breaks a contract in a way of its own: (module, what is added to it, what import-linter must say).
WRONG = [
    ("system.py", "from memcg_lab import machine", "memcg_lab.system -> memcg_lab.machine (l."),
    ("workload.py", "def f():\n    from .figures import base", "memcg_lab.workload -> memcg_lab.figures.base (l."),
    ("machine/run.py", "from .. import labs", "memcg_lab.machine.run -> memcg_lab.labs (l."),
    ("perf/read.py", "from ..hardware import host", "memcg_lab.perf.read -> memcg_lab.hardware.host (l."),
    ("words.py", "from .mechanism import records", "memcg_lab.words -> memcg_lab.mechanism.records (l."),
    ("traces/text.py", "from ..kernel_lab import boot", "memcg_lab.traces.text -> memcg_lab.kernel_lab.boot (l."),
    ("course/quotes.py", "from ..__main__ import main", "memcg_lab.course.quotes -> memcg_lab.__main__ (l."),
    ("history.py", "from memcg_lab import System", "memcg_lab.history -> memcg_lab (l."),
    ("system.py", "import numba.core", "memcg_lab.system -> numba (l."),
    ("figures/base.py", "import llvmlite.ir", "memcg_lab.figures.base -> llvmlite (l."),
    ("attic.py", "", "attic"),  # a room without a line in the contract
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Return what import-linter says about a copy of the library that holds every wrong import."""
    folder = tmp_path_factory.mktemp("library")
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for module, line, _ in WRONG:
        with open(folder / PACKAGE / module, "a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    return lint_imports(folder)


@pytest.mark.parametrize(("module", "line", "words"), WRONG, ids=[f"{module}: {line}" for module, line, _ in WRONG])
def test_a_wrong_import_is_caught(broken, module, line, words):
    status, said = broken
    assert status == 1
    assert words in said


def sources(folder):
    """Source of every Python file below a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))
    }


def test_only_the_vocabulary_imports_by_a_name_at_run_time():
    found = [name for name, text in sources(ROOT / PACKAGE).items() if "import_module" in text or "__import__" in text]
    assert sorted(found) == ["__init__.py", "labs/__init__.py"]  # the latter its own files, when a lab is first used


def without_docstring(modules):
    return [name for name, source in modules.items() if not ast.get_docstring(ast.parse(source))]


@pytest.mark.parametrize("folder", [PACKAGE, "tools", "tests/reference"])
def test_every_module_says_what_it_is(folder):
    modules = sources(ROOT / folder)
    assert modules
    assert without_docstring(modules) == []


def test_a_module_without_docstring_is_caught():
    assert without_docstring({"a.py": "# only a comment\nx = 1", "b.py": '"""Doc."""'}) == ["a.py"]


def loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


def test_no_two_files_of_tests_share_a_name():
    """They stand in folders that are no packages, so one pytest run could not take both."""
    names = [path.name for path in ROOT.glob("tests/**/test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_importing_the_library_leaves_the_heavy_packages_out():
    assert loaded_by(f"import {PACKAGE}") == []


def test_a_heavy_import_is_caught():
    assert loaded_by("import matplotlib") == ["matplotlib"]
