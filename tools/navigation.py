"""Title, navigation line and the questions at both ends of every notebook: written from the names of the files.

python -m tools.navigation
"""

import re
import sys

import nbformat

from memcg_lab.course.quiz_draw import TOPICS
from tools import folding, notebooks

TITLE = re.compile(r"^# (?:\d\d · )?(?P<title>.+?)\s*$")
NAV_LINE = re.compile(r"^(?:\[← .*\| )?\[Contents\]\(.*$")

CLOSING = "## Three things to remember"  # in front of it stands the self-test
# What stands above the questions at both ends.
BEFORE = (
    "## Three questions first\n\n"
    "On earlier notebooks. First say how sure you are, then answer, from memory. What the run says is told when you "
    "return all three."
)
AFTER = (
    "## Three questions to close\n\n"
    "On this notebook, from memory. They are the same for everybody, until you give your name: "
    '`quiz("after {number}", name="Ada")`.'
)


def title_of(nb, path):
    """The title without its number; the number comes from the file name."""
    first = nb.cells[0].source.split("\n")[0] if nb.cells and nb.cells[0].cell_type == "markdown" else ""
    match = TITLE.match(first)
    if not match:
        raise notebooks.NotebookFault(f"{path.name}: the first cell must be Markdown and begin with '# Title'")
    return match["title"]


def number_of(path):
    return path.name[:2]


def nav_line(position, names):
    """The navigation line of the notebook at ``position`` of ``names``, a list of (path, title)."""

    def link(label, path):
        return f"[{label}]({path.name})"

    def label(i):
        return f"{number_of(names[i][0])} · {names[i][1]}"

    parts = [link("Contents", names[0][0])]
    if position > 0:
        parts.insert(0, link("← " + label(position - 1), names[position - 1][0]))
    if position + 1 < len(names):
        parts.append(link(label(position + 1) + " →", names[position + 1][0]))
    return " | ".join(parts)


def with_navigation(source, path, title, line):
    """The first cell's text with its title and navigation line as they should be; the rest stays."""
    rest = source.split("\n")[1:]
    while rest and (not rest[0].strip() or NAV_LINE.match(rest[0])):
        rest.pop(0)
    head = [f"# {number_of(path)} · {title}", "", line]
    return "\n".join(head + ([""] + rest if rest else []))


def with_ends(nb, number, first):
    """Put the questions at both ends of a notebook where they belong: after its set-up, and before what to remember.

    Cells of theirs that are there stay, with their outputs. Nothing is asked before the first notebook, nor after one
    that no quiz is about.
    """
    kept = {cell.id: cell for cell in nb.cells if cell.id in ENDS}
    nb.cells = [cell for cell in nb.cells if cell.id not in ENDS]
    code = [(i, cell.source) for i, cell in enumerate(nb.cells) if cell.cell_type == "code"]
    setups = [i for i, source in code if ("setup", None) in folding.calls(source, bare=True)]
    closings = [i for i, cell in enumerate(nb.cells) if cell.source.startswith(CLOSING)]
    places = [("after", AFTER, closings[0])] if closings and number in TOPICS.values() else []
    places += [] if first or not setups else [("before", BEFORE, setups[0] + 1)]
    for end, text, place in places:  # the later place first: the earlier one stays where it is
        cells = []
        for id_, make, source in (
            (f"ends_{end}", nbformat.v4.new_markdown_cell, text.format(number=number)),
            (f"ends_{end}_ask", nbformat.v4.new_code_cell, f'quiz("{end} {number}")'),
        ):
            cell = kept.get(id_) or make(id=id_)
            if cell.source != source:
                cell.source = source
            cells.append(cell)
        nb.cells[place:place] = cells


ENDS = {f"ends_{end}{ask}" for end in ("before", "after") for ask in ("", "_ask")}


def navigated(root, loaded):
    """Put title, navigation line and ends into ``loaded``, notebooks by path. Their neighbours are read from disk."""
    everything = {
        path: loaded.get(path) or notebooks.parse(notebooks.read_raw(path), path) for path in notebooks.roster(root)
    }
    names = [(path, title_of(nb, path)) for path, nb in everything.items()]
    for position, (path, title) in enumerate(names):
        if path in loaded:
            first = loaded[path].cells[0]
            first.source = with_navigation(first.source, path, title, nav_line(position, names))
            with_ends(loaded[path], number_of(path), position == 0)


def write(root):
    """Write title, navigation line and ends into every notebook whose own are out of date."""
    loaded = {path: notebooks.parse(notebooks.read_raw(path), path) for path in notebooks.chosen(root, [])}
    sources = {path: [cell.source for cell in nb.cells] for path, nb in loaded.items()}
    navigated(root, loaded)
    for path, nb in loaded.items():
        if [cell.source for cell in nb.cells] != sources[path]:
            notebooks.write_if_changed(path, notebooks.text_of(notebooks.normalise(nb)))
            print(f"navigation written: {path.name}")
    return 0


def main(argv):
    return notebooks.run(write, notebooks.parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
