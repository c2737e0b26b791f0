"""The library's imports go one way, as the design says, and it stays light to import."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = "memcg_lab"

# Each room may import the rooms before it. Rooms of one line may not import each other.
FLOW = (
    {"layout"},  # mechanism/records.py: record types and constants, known to all
    {"workload"},
    {"mechanism"},
    {"system"},
    {"observed", "hardware", "conformance"},
    {"machine"},
    {"perf"},
    {"sweep", "advise"},
    {"text"},
    {"figures"},
    {"course"},
    {"labs"},
)
RANK = {room: rank for rank, rooms in enumerate(FLOW) for room in rooms}
KNOWS_NUMBA = {f"{PACKAGE}._jit", f"{PACKAGE}.hardware.atomics"}
HEAVY = ("pandas", "matplotlib", "ipywidgets")


# --- reading imports


def module_name(path, root=ROOT):
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def library(root=ROOT):
    """Source of every module of the library, by (name, is it a package)."""
    return {
        (module_name(path, root), path.name == "__init__.py"): path.read_text(encoding="utf-8")
        for path in sorted((root / PACKAGE).rglob("*.py"))
    }


def imports_of(source, module, is_package, modules):
    """(line, imported module) of every import anywhere in ``source``, also in functions; relative ones resolved.

    ``from package import name`` counts as the submodule if there is one, as the package itself otherwise.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + is_package]
                base = ".".join(above + ([base] if base else []))
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                # A room that is not built yet counts by its name.
                planned = base == PACKAGE and alias.name in RANK
                yield node.lineno, inner if inner in modules or planned else base
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                package = module if is_package else module.rpartition(".")[0]
                yield node.lineno, package + first.value if first.value.startswith(".") else first.value


def room_of(module):
    if module == f"{PACKAGE}.mechanism.layout":
        return "layout"
    return (module.split(".") + [""])[1]


def wrong_imports(modules):
    """Imports of the library against the flow, as sentences."""
    names = {name for name, _ in modules}
    found = []
    for (module, is_package), source in modules.items():
        room = room_of(module)
        if room in ("", "__main__"):
            continue  # the vocabulary and the command line gather from everywhere
        if room not in RANK and room != "_jit":
            found.append(
                f"{module}: the room '{room}' has no place in the flow; give it one in {pathlib.Path(__file__).name}"
            )
            continue
        for line, target in imports_of(source, module, is_package, names):
            if target.split(".")[0] != PACKAGE:
                continue
            other = room_of(target)
            if other in ("_jit", room):
                continue
            if room == "_jit" or RANK.get(other, len(FLOW)) >= RANK[room]:
                found.append(f"{module}, line {line}: imports {target}, which comes after it or beside it")
    return found


def numba_imports(modules):
    names = {name for name, _ in modules}
    return [
        f"{module}, line {line}: imports {target}"
        for (module, is_package), source in modules.items()
        for line, target in imports_of(source, module, is_package, names)
        if target.split(".")[0] in ("numba", "llvmlite") and module not in KNOWS_NUMBA
    ]


def without_docstring(modules):
    return [module for (module, _), source in modules.items() if not ast.get_docstring(ast.parse(source))]


# --- the library


def test_imports_go_one_way():
    assert library(), "no library found"
    assert wrong_imports(library()) == []


def test_only_the_jit_room_knows_numba():
    assert numba_imports(library()) == []


def test_every_module_says_what_it_is():
    assert without_docstring(library()) == []
    tools = {(path.stem, False): path.read_text(encoding="utf-8") for path in (ROOT / "tools").glob("*.py")}
    assert tools
    assert without_docstring(tools) == []


def test_importing_the_library_leaves_the_heavy_packages_out():
    assert loaded_by(f"import {PACKAGE}") == []


def loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


# --- the rules can fail


def planted(**sources):
    """A small library; the name ``a__b`` stands for module a.b, ``a_pkg`` for package a."""
    modules = {(PACKAGE, True): '"""Doc."""'}
    for name, source in sources.items():
        inner = name.removesuffix("_pkg")
        inner = inner if inner == "__main__" else inner.replace("__", ".")
        modules[(f"{PACKAGE}.{inner}", name.endswith("_pkg"))] = source
    return modules


WRONG = {
    "a later room, absolute": planted(machine_pkg="", system="import memcg_lab.machine"),
    "a later room, by from": planted(machine_pkg="", system="from memcg_lab import machine"),
    "a later room, relative": planted(machine_pkg="", system="from . import machine"),
    "a later room, its module": planted(machine_pkg="", machine__topology="", system="from .machine.topology import T"),
    "from deep inside": planted(labs_pkg="", machine_pkg="", machine__layouts="from ..labs import Lab"),
    "from a package": planted(labs_pkg="", machine_pkg="from ..labs import Lab"),
    "inside a function": planted(figures_pkg="", system="def f():\n    from .figures import draw"),
    "under TYPE_CHECKING": planted(labs_pkg="", text="if TYPE_CHECKING:\n    from .labs import Lab"),
    "by name at run time": planted(labs_pkg="", text="import importlib\nimportlib.import_module('memcg_lab.labs')"),
    "by relative name at run time": planted(labs_pkg="", text="import_module('.labs', __package__)"),
    "a neighbour": planted(observed_pkg="from .. import hardware", hardware_pkg=""),
    "another neighbour": planted(sweep="from . import advise", advise=""),
    "mechanism beyond layout": planted(mechanism_pkg="", mechanism__stock="", workload="from .mechanism import stock"),
    "the mechanism package": planted(mechanism_pkg="", workload="from .mechanism import PAGE_SIZE"),
    "layout importing mechanism": planted(
        mechanism_pkg="", mechanism__stock="", mechanism__layout="from . import stock"
    ),
    "the vocabulary": planted(system="from memcg_lab import System"),
    "the command line": planted(__main__="", labs_pkg="from ..__main__ import main"),
    "jit importing a room": planted(_jit="from . import system", system=""),
    "a room not built yet": planted(system="from . import labs"),
    "a room without a place": planted(somewhere=""),
}
RIGHT = {
    "an earlier room": planted(
        system="", machine_pkg="from ..system import System", machine__a="from .. import system"
    ),
    "the same room": planted(mechanism_pkg="from .stock import consume", mechanism__stock="from . import layout"),
    "layout from workload": planted(mechanism_pkg="", mechanism__layout="", workload="from .mechanism import layout"),
    "layout by its name": planted(mechanism__layout="", workload="from .mechanism.layout import OP"),
    "jit from anywhere": planted(
        _jit="import numba", mechanism__stock="from .. import _jit", workload="from ._jit import k"
    ),
    "other packages": planted(system="import numpy\nfrom pathlib import Path\nimport memcg_laboratory"),
    "the command line gathers": planted(__main__="from .labs import Lab\nfrom . import system", labs_pkg=""),
}


@pytest.mark.parametrize("modules", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_import_is_caught(modules):
    assert len(wrong_imports(modules)) == 1


@pytest.mark.parametrize("modules", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_import_passes(modules):
    assert wrong_imports(modules) == []


@pytest.mark.parametrize("line", ["import numba", "from numba.core import types", "def f():\n    import llvmlite.ir"])
def test_numba_elsewhere_is_caught(line):
    assert len(numba_imports(planted(system=line))) == 1
    assert numba_imports(planted(_jit=line, hardware__atomics=line)) == []


def test_a_module_without_docstring_is_caught():
    assert without_docstring(planted(system="# only a comment\nx = 1")) == [f"{PACKAGE}.system"]


def test_a_heavy_import_is_caught():
    assert loaded_by("import matplotlib") == ["matplotlib"]


def test_a_planted_file_is_read_from_disk(tmp_path):
    (tmp_path / PACKAGE / "labs").mkdir(parents=True)
    for name in ("__init__.py", "labs/__init__.py"):
        (tmp_path / PACKAGE / name).write_text("", encoding="utf-8")
    (tmp_path / PACKAGE / "system.py").write_text("def f():\n    from .labs import Lab\n", encoding="utf-8")
    assert wrong_imports(library(tmp_path)) == [
        "memcg_lab.system, line 2: imports memcg_lab.labs, which comes after it or beside it"
    ]
