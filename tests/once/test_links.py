"""Every link that stays in this project leads somewhere, in the Markdown pages and in the notebooks."""

import functools
import json
import pathlib
import urllib.parse

import pytest

from tools import links

ROOT = pathlib.Path(__file__).resolve().parents[2]

NOT_COMMITTED = {"build", ".venv", ".git"}


def pages(root=ROOT):
    """The files whose links are checked."""
    return [
        *sorted(root.glob("*.md")),
        *sorted(root.glob("data/**/*.md")),
        *sorted(root.glob("docs/**/*.md")),
        *sorted(root.glob("notebooks/**/*.ipynb")),
    ]


@functools.cache
def text_of(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def anchors_of(path):
    """Anchors of a page: a notebook's as JupyterLab writes them, and as GitHub does."""
    text = text_of(path)
    found = links.anchors(text)
    seen = {}
    for _, heading in links.headings(text):
        name = links.slug(heading)
        number = seen[name] = seen.get(name, -1) + 1
        found.add(f"{name}-{number}" if number else name)
        if path.suffix == ".ipynb":
            found.add(links.lab_slug(heading))
    return found


def fault_of(page, target, root):
    """What is wrong with one link target, or None."""
    if links.is_absolute(target):
        return fault_of_address(target)
    name, _, anchor = target.partition("#")
    if name.startswith("/"):
        return "starts at the root of a disk"
    path = (page.parent / urllib.parse.unquote(name)).resolve() if name else page
    if not path.is_relative_to(root):
        return "leads out of the project"
    if not path.exists():
        return "no such file"
    if path != root and path.relative_to(root).parts[0] in NOT_COMMITTED:
        return "leads to what is not committed"
    if anchor:
        if path.suffix not in (".md", ".ipynb"):
            return "an anchor in a file without headings"
        if urllib.parse.unquote(anchor) not in anchors_of(path):
            return "no such heading"
    return None


def fault_of_address(target):
    """Form only: nothing is asked over a network."""
    address = urllib.parse.urlsplit(target)
    if address.scheme == "mailto":
        return None if "@" in address.path else "no address"
    if address.scheme not in ("http", "https"):
        return "neither https nor http nor mailto"
    if "." not in (address.hostname or ""):
        return "no host"
    return None


def faults(root=ROOT):
    return [
        f"{page.relative_to(root).as_posix()}: {target}: {fault}"
        for page in pages(root)
        for target in links.targets(text_of(page))
        if (fault := fault_of(page, target, root))
    ]


def test_every_link_leads_somewhere():
    assert pages(), "no page found"
    assert faults() == []


# --- the check can fail


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    for name in ("notebooks", "data", "build"):
        (root / name).mkdir(parents=True)
    (tmp_path / "outside.md").write_text("# Outside\n", encoding="utf-8")
    (root / "build" / "a.txt").write_text("", encoding="utf-8")
    (root / "LICENSE").write_text("MIT\n", encoding="utf-8")
    (root / "data" / "README.md").write_text(
        "# Data\n\n## Its `sha256`, and more\n\n## Twice\n\n## Twice\n", encoding="utf-8"
    )
    cells = [{"cell_type": "markdown", "source": ["# 00 · Start\n", "\n", "## You will Learn"]}]
    (root / "notebooks" / "00_start.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return root


GOOD = [
    "[a](LICENSE)",
    "[a](<LICENSE>)",
    '[a](LICENSE "title")',
    "[`code`](LICENSE)",
    "[![alt](LICENSE)](data/README.md)",
    "[a](data/)",
    "[a](#here)",
    "[a](data/README.md#its-sha256-and-more)",
    "[a](data/README.md#twice-1)",
    "[a](notebooks/00_start.ipynb#You-will-Learn)",
    "[a](notebooks/00_start.ipynb#you-will-learn)",
    "[a](https://example.org/x#y)",
    "[a](mailto:a@example.org)",
    "`[a](nowhere.md)`",
    "```\n[a](nowhere.md)\n```",
    "<!-- [a](nowhere.md) -->",
    "    [a](nowhere.md)",
    r"\[a](nowhere.md)",
]
BAD = [
    ("[a](nowhere.md)", "no such file"),
    ("![a](nowhere.png)", "no such file"),
    ("[`code`](nowhere.md)", "no such file"),
    ("[a]: nowhere.md", "no such file"),
    ('<a href="nowhere.md">a</a>', "no such file"),
    ('<img alt="a" src="nowhere.png">', "no such file"),
    ("| a |\n|---|\n| [a](nowhere.md) |", "no such file"),
    ("> - [a](\n>   nowhere.md)", "no such file"),
    ("[a][b]\n\n[b]: nowhere.md", "no such file"),
    ("[![alt](LICENSE)](nowhere.md)", "no such file"),
    ("[a](#nowhere)", "no such heading"),
    ("[a](data/README.md#nowhere)", "no such heading"),
    ("[a](data/README.md#twice-2)", "no such heading"),
    ("[a](LICENSE#x)", "without headings"),
    ("[a](../outside.md)", "leads out of the project"),
    ("[a](/x/y)", "starts at the root"),
    ("[a](build/a.txt)", "not committed"),
    ("[a](https://)", "no host"),
    ("[a](file:///x/y)", "neither https"),
    ("[a](mailto:nobody)", "no address"),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_good_link_passes(project, text):
    (project / "README.md").write_text(f"# Here\n\n{text}\n", encoding="utf-8")
    assert faults(project) == []


@pytest.mark.parametrize(("text", "words"), BAD)
def test_a_bad_link_is_caught(project, text, words):
    (project / "README.md").write_text(f"# Here\n\n{text}\n", encoding="utf-8")
    found = faults(project)
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize("name", ["data/more.md", "notebooks/01_x.ipynb", "CONTRIBUTING.md"])
def test_a_bad_link_is_caught_in_every_kind_of_page(project, name):
    text = "[a](gone.md)"
    if name.endswith(".ipynb"):
        text = json.dumps({"cells": [{"cell_type": "markdown", "source": [text]}]})
    (project / name).write_text(text, encoding="utf-8")
    assert [fault.partition(":")[0] for fault in faults(project)] == [name]
