"""Title and navigation line of every notebook: written from the names and the order of the files.

python -m tools.navigation
"""

import re
import sys

from tools import notebooks

TITLE = re.compile(r"^# (?:\d\d · )?(?P<title>.+?)\s*$")
NAV_LINE = re.compile(r"^(?:\[← .*\| )?\[Contents\]\(.*$")


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


def navigated(root, loaded):
    """Put title and navigation line into ``loaded``, notebooks by path. Their neighbours are read from disk."""
    everything = {
        path: loaded.get(path) or notebooks.parse(notebooks.read_raw(path), path) for path in notebooks.roster(root)
    }
    names = [(path, title_of(nb, path)) for path, nb in everything.items()]
    for position, (path, title) in enumerate(names):
        if path in loaded:
            first = loaded[path].cells[0]
            first.source = with_navigation(first.source, path, title, nav_line(position, names))


def write(root):
    """Write title and navigation line into every notebook whose own are out of date."""
    loaded = {path: notebooks.parse(notebooks.read_raw(path), path) for path in notebooks.chosen(root, [])}
    sources = {path: nb.cells[0].source for path, nb in loaded.items() if nb.cells}
    navigated(root, loaded)
    for path, nb in loaded.items():
        if nb.cells[0].source != sources[path]:
            notebooks.write_if_changed(path, notebooks.text_of(notebooks.normalise(nb)))
            print(f"navigation written: {path.name}")
    return 0


def main(argv):
    return notebooks.run(write, notebooks.parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
