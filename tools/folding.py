"""Which outputs of a notebook tell what the notebook asks before: JupyterLab and the site show them folded.

JupyterLab unfolds an output when its cell is run; the site does when the reader asks for it.
"""

import ast
import re

FLAG = "outputs_hidden"  # in a cell's metadata.jupyter; JupyterLab's own
LOOK = "### Look"  # so begins the text that discusses what a run has shown; readers' copies and the site fold it too
CHECKPOINT = "**Checkpoint.**"  # a question at the end of such a text
TAG = "tells"  # an author's mark for an output that gives an exercise away; predictions are found
SHORT = 3  # a number of fewer figures stands anywhere by chance

NUMBER = r"(?<![\d.,])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\d)"


def calls(source, bare=False):
    """(function, first argument) of every call in a piece of code whose first argument is a constant; with ``bare``
    the others too, as (function, None).
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            constant = node.args and isinstance(node.args[0], ast.Constant)
            if constant or bare:
                found.append((ast.unparse(node.func).split(".")[-1], node.args[0].value if constant else None))
    return found


def discusses(source):
    """True for a text that says what a run has shown, below the heading that says so."""
    return source.startswith(LOOK) and source.strip() != LOOK


def folded(source):
    """A text that says what a run has shown, with that behind a button below its heading; any other as it is."""
    heading, _, said = source.partition("\n")
    said, mark, question = said.partition(CHECKPOINT)
    if not (discusses(source) and said.strip()):
        return source
    opened = '<details class="tells"><summary>Show what there is to see</summary>'
    return "\n\n".join([heading, opened, said.strip(), "</details>", mark + question]).rstrip()


def telling(nb):
    """Positions of the cells whose output answers a question of the notebook.

    Of a prediction: every cell from the one that asks to the one that reveals, the figures and tables that follow at
    once, up to the next text; and each cell that shows a number which is revealed. Of an exercise: the cells that the
    author tagged.
    """
    asks, reveals = {}, {}
    for position, cell in enumerate(nb.cells):
        for function, question in calls(cell.source) if cell.cell_type == "code" else ():
            if function == "predict":
                asks.setdefault(question, position)
            elif function == "reveal":
                reveals[question] = position
    found = {position for position, cell in enumerate(nb.cells) if TAG in cell.metadata.get("tags", [])}
    for question, last in reveals.items():
        first = asks.get(question, last) + 1
        while last + 1 < len(nb.cells) and nb.cells[last + 1].cell_type == "code" and last + 1 not in asks.values():
            last += 1
        found |= set(range(min(first, reveals[question]), last + 1)) - set(asks.values())
    values = values_told(nb)
    for position, cell in enumerate(nb.cells):
        if cell.cell_type != "code" or "timing" in cell.metadata.get("tags", []):
            continue
        if shows(cell, values) and not any(function.endswith("Lab") for function, _ in calls(cell.source, bare=True)):
            found.add(position)  # a lab may show any number: it is the reader's to move
    return sorted(position for position in found if nb.cells[position].cell_type == "code")


def values_told(nb):
    """The numbers that a notebook reveals."""
    cells = [cell for cell in nb.cells if cell.cell_type == "code"]
    return {value for cell in cells if "reveal" in dict(calls(cell.source)) for value in revealed(cell)}


def said(cell):
    """All that a cell's outputs say in words."""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])
    )


def revealed(cell):
    """The numbers that a reveal says, as it writes them."""
    lines = re.findall(r"[Tt]he run says ([^;\n]*)", said(cell))
    return {value for line in lines for value in re.findall(NUMBER, line) if sum(map(str.isdigit, value)) >= SHORT}


def first_line(cell):
    """What JupyterLab shows of a cell's outputs that are folded: the first line of the first one."""
    data = cell.outputs[0].get("data", {}) if cell.get("outputs") else {}
    text = data.get("text/html") or data.get("text/plain") or (cell.outputs[0].get("text", "") if cell.outputs else "")
    return next((line for line in text.split("\n") if line), "")


def shows(cell, values):
    """Whether one of some numbers stands in what a cell says."""
    return not values.isdisjoint(re.findall(NUMBER, said(cell)))


def fold(nb):
    """Set JupyterLab's flag on the cells that tell, and on no other."""
    tells = telling(nb)
    for position, cell in enumerate(nb.cells):
        cell.metadata.pop("jupyter", None)
        if position in tells:
            cell.metadata["jupyter"] = {FLAG: True}
