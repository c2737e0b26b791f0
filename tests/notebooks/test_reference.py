"""The reference in the site has every public name of the library, and its links lead somewhere."""

import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest

import memcg_lab
from tools import book, reference

ROOMS = reference.rooms()


def names():
    return [(module, name) for parts in ROOMS.values() for module, some in parts.items() for name in some]


def test_no_room_is_forgotten():
    inside = pathlib.Path(memcg_lab.__file__).parent
    packages = {path.stem for path in inside.glob("[!_]*.py")} | {
        path.parent.name for path in inside.glob("*/__init__.py")
    }
    assert packages - {"notebook"} <= {room.split(".")[0] for room in ROOMS} | {"__main__"}


def test_every_name_of_a_notebooks_vocabulary_is_listed():
    page = reference.pages()["reference/index"]
    for name in memcg_lab.__all__:
        assert re.search(rf"   \* - (:\w+:\w+:|:doc:)?`+{name}\b", page), name


def test_every_name_of_every_room_has_an_entry():
    pages = reference.pages()
    for room, parts in ROOMS.items():
        for module, some in parts.items():
            for name in some:
                assert re.search(
                    rf"^\.\. \S+:: {re.escape(f'{module}.{name}')}$", pages[f"reference/{room}"], re.MULTILINE
                )
    assert len(names()) > 300


def test_every_function_and_class_of_the_reference_says_what_it_is():
    for module, name in names():
        value = getattr(importlib.import_module(module), name)
        if callable(value):
            assert inspect.getdoc(value), f"{module}.{name}"


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning_and_lead_nowhere_wrong(tmp_path):
    pages = reference.pages()
    for name, text in pages.items():
        book.put(tmp_path / "source" / f"{name}.rst", text)
    book.put(tmp_path / "source" / "index.md", "# x\n\n```{toctree}\nreference/index\n```\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(book.SETTINGS)]
    command += [str(tmp_path / "source"), str(tmp_path / "site")]
    done = subprocess.run(
        command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not book.page_faults(tmp_path / "site")
    for room, parts in ROOMS.items():
        built = (tmp_path / "site" / "reference" / f"{room}.html").read_text(encoding="utf-8")
        for module, some in parts.items():
            assert all(f'id="{module}.{name}"' in built for name in some)
    linked = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    for target, anchor in re.findall(r'href="([\w.]+\.html)#(memcg_lab[\w.]+)"', linked):
        assert f'id="{anchor}"' in (tmp_path / "site" / "reference" / target).read_text(encoding="utf-8")
    assert len(re.findall(r'href="[\w.]+\.html#memcg_lab', linked)) > 35
