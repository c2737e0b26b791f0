"""How much of a notebook is really compared, and why the rest is not."""

import ast
import configparser
import dataclasses
import json
import re

from tools.notebooks import EXEMPT_TAGS, ROOT, WIDGET_VIEW, tags_of

SANITIZER = ROOT / "tests" / "nbval_sanitize.cfg"
FLOOR = 0.80  # share of the cells that are not pure definitions which must really be compared
# nbval never looks at these.
NOT_COMPARED = frozenset({"image/png", "image/jpeg", "text/latex", WIDGET_VIEW})


def sanitizer_patterns(path=SANITIZER):
    rules = configparser.RawConfigParser()
    rules.read_string(path.read_text(encoding="utf-8"))
    return [re.compile(rules[name]["regex"]) for name in rules.sections()]


def is_pure_definition(source):
    """Only imports, functions, classes and constants: nothing that could give an output."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    return all(
        isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        or is_constant_assignment(node)
        for node in body
    )


def is_constant_assignment(node):
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    else:
        return False
    if node.value is None or not all(isinstance(target, ast.Name) for target in targets):
        return False
    try:
        ast.literal_eval(node.value)
    except ValueError:
        return False
    return True


def compared_text(cell, patterns):
    """What nbval compares of a cell's output once everything sanitised is gone."""
    pieces = []
    for output in cell.outputs:
        pieces += [output.get("text", ""), output.get("evalue", "")]
        pieces += [
            value if isinstance(value, str) else json.dumps(value)
            for mime, value in output.get("data", {}).items()
            if mime not in NOT_COMPARED
        ]
    text = "\n".join(pieces)
    for pattern in patterns:
        text = pattern.sub("", text)
    return re.sub(r"<[^<>]*>", "", text)  # markup says nothing by itself


def classify(cell, patterns):
    """'pure', 'ignored', 'unrun', 'silent' or 'compared'."""
    if is_pure_definition(cell.source):
        return "pure"
    if tags_of(cell) & EXEMPT_TAGS:
        return "ignored"
    if cell.execution_count is None:
        return "unrun"  # nbval would run it and compare nothing
    return "compared" if re.search(r"\w", compared_text(cell, patterns)) else "silent"


@dataclasses.dataclass
class Coverage:
    """How many code cells of one notebook are really compared, and why the others are not."""

    cells: int
    kinds: dict
    reasons: list

    @property
    def below_floor(self):
        return self.kinds["compared"] < FLOOR * (self.cells - self.kinds["pure"])


def coverage(nb, patterns):
    kinds = dict.fromkeys(("compared", "ignored", "unrun", "silent", "pure"), 0)
    reasons = []
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    for cell in code:
        kind = classify(cell, patterns)
        kinds[kind] += 1
        if kind == "ignored":
            reasons.append(cell.metadata.get("memcg_lab", {}).get("reason", "no reason given"))
    return Coverage(len(code), kinds, reasons)


def print_report(rows):
    """``rows``: (path, coverage, seconds, bytes) of each notebook."""
    width = max(len(path.stem) for path, *_ in rows)
    print(f"\n{'notebook':{width}}  cells  compared  ignored  unrun  silent  pure definitions  seconds   kB")
    for path, covered, seconds, size in rows:
        kinds = covered.kinds
        print(
            f"{path.stem:{width}}  {covered.cells:5}  {kinds['compared']:8}  {kinds['ignored']:7}"
            f"  {kinds['unrun']:5}  {kinds['silent']:6}  {kinds['pure']:16}"
            f"  {seconds:7.1f}  {size / 1000:3.0f}"
        )
        for reason in covered.reasons:
            print(f"{'':{width}}  ignored: {reason}")
