"""The exercises solved: one executed notebook beside each of the course, made from its exercises and their answers.

python -m tools.solutions [NOTEBOOK...] [--check]
"""

import re
import sys

import nbformat

from memcg_lab.course.worked import WORKED
from tools import execution, navigation, notebooks
from tools.faults import faults

FOLDER = "solutions"
CALL = re.compile(r'check\("([\d.]+)", None\)')


def texts(nb):
    """The exercises of a notebook, in its order: (number, text)."""
    found = []
    for before, cell in zip(nb.cells, nb.cells[1:], strict=False):
        match = CALL.fullmatch(cell.source) if cell.cell_type == "code" else None
        if match:
            number = re.escape(match[1])
            text = re.search(rf"(?:^|\n\n)(\*\*(?:Exercise )?{number}\*\*.*)", before.source, re.DOTALL)
            if not text:
                raise notebooks.NotebookFault(f"exercise {match[1]}: its text is not in the cell above it")
            found.append((match[1], text[1]))
    return found


def made(path, roster):
    """The solutions of one notebook of the course, not executed yet."""
    nb = notebooks.parse(notebooks.read_raw(path), path)
    title = f"{navigation.number_of(path)} · {navigation.title_of(nb, path)}: the exercises solved"
    others = " | ".join(f"[{navigation.number_of(p)}]({p.name})" for p in roster if p != path)
    intro = (
        f"# {title}\n\n[Back to the notebook](../{path.name}), or to the solutions of {others}\n\n"
        "One way to solve each. Yours may be another one: what counts is what `check` says."
    )
    cells = [nbformat.v4.new_markdown_cell(intro), nbformat.v4.new_code_cell("from memcg_lab import check")]
    for number, text in texts(nb):
        text = re.sub(r"\]\(\.\./", "](../../", text)  # one folder deeper
        text = re.sub(r"\]\((?=\d\d_\w+\.ipynb)", "](../", text)
        cells += [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell(WORKED[number].cell(number))]
    for k, cell in enumerate(cells):
        cell.id = f"s{k:02}"
    solved = nbformat.v4.new_notebook(cells=cells)
    return notebooks.normalise(solved)


def place(path):
    """Where the solutions of a notebook lie."""
    return path.parent / FOLDER / path.name


def stale(root, names=()):
    """Solutions that are not what the notebooks and the answers say now, each in a sentence."""
    found = []
    for path in notebooks.chosen(root, names):
        fresh, there = made(path, notebooks.roster(root)), place(path)
        if not there.exists():
            found.append(f"{FOLDER}/{path.name} is missing")
            continue
        kept = notebooks.parse(notebooks.read_raw(there), there)
        if [(cell.cell_type, cell.source) for cell in kept.cells] != [(c.cell_type, c.source) for c in fresh.cells]:
            found.append(f"{FOLDER}/{path.name} says something else than the notebook and the answers; make it anew")
    return found


def solve(root, names=(), check=False):
    """Write the solutions, executed; with ``check`` only say which are out of date."""
    if check:
        old = stale(root, names)
        print("\n".join(old) if old else "all solutions are up to date")
        return 1 if old else 0
    (root / "notebooks" / FOLDER).mkdir(exist_ok=True)
    paths = []
    for path in notebooks.chosen(root, names):
        notebooks.write_if_changed(place(path), notebooks.text_of(made(path, notebooks.roster(root))))
        paths.append(place(path))
    runs, seconds = execution.execute(root, paths)
    failed = 0
    for run in runs:
        text = notebooks.text_of(run.notebook)
        found = [run.error] if run.error else faults(run.notebook, text)
        failed += bool(found)
        for fault in found:
            print(f"{run.path.name}: {fault}")
        notebooks.write_if_changed(run.path, text)
    print(f"{len(runs) - failed} of {len(runs)} solutions in {seconds:.1f} s")
    return 1 if failed else 0


def main(argv):
    parser = notebooks.parser(__doc__, names=True)
    parser.add_argument("--check", action="store_true", help="write nothing; say which are out of date")
    return notebooks.run(solve, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
