"""Minutes of every notebook, by one rule: written into its Time line and into the README's table.

python -m tools.minutes
"""

import ast
import re
import sys

from tools import notebooks

# What a reader takes. Four notebooks of an earlier version were timed, everything in them done: 60, "60 and more",
# 80 to 90, and 55 minutes. This rule gives 63, 51, 85 and 51 for them.
WORDS_A_MINUTE = 80
A_CELL = 0.2  # run and look
A_NUMBER = 0.05  # printed by a cell: tables and figures are read number by number
A_PREDICTION, AN_EXERCISE, A_LAB = 1, 3, 5
A_QUIZ = 3  # three questions at one end of a notebook

PRACTICE = re.compile(r"## (Exercises?\b|The lab\b|Three questions\b)")
NUMBER = re.compile(r"(?<![\w.])\d[\d,.]*")
REFERENCES = re.compile(r"^## References\b.*", re.MULTILINE | re.DOTALL)
STATED = re.compile(r"^\*\*Time:\*\* (\d+) minutes, and (\d+) for practice\.", re.MULTILINE)
IN_README = r"(\| \[\d\d [^\]]*\]\(notebooks/{}\) \|.*\| )\d+ \+ \d+( \|)"


def words_of(text):
    """Words that a reader reads: no addresses of links, no marks."""
    shown = re.sub(r"\]\([^)]*\)", "]", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
    return len(re.findall(r"\w[\w'’.,-]*", shown))


def calls(source):
    """Names of what a piece of code calls, without the module."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []  # reported by the anatomy
    return [ast.unparse(node.func).split(".")[-1] for node in ast.walk(tree) if isinstance(node, ast.Call)]


def numbers_printed(cell):
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return sum(len(NUMBER.findall(text)) for text in texts)


def minutes(nb):
    """What the story takes, predictions included, and besides it lab, exercises and the questions at both ends."""
    prose = "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    sections = re.split(r"^(?=## )", REFERENCES.sub("", prose), flags=re.MULTILINE)
    spent = [0.0, 0.0]
    for section in sections:
        spent[bool(PRACTICE.match(section))] += words_of(section) / WORDS_A_MINUTE
    for cell in nb.cells:
        if cell.cell_type == "code":
            called = calls(cell.source)
            quizzes = called.count("quiz")
            exercises, labs = called.count("check"), sum(name.endswith("Lab") for name in called)
            looked_at = A_CELL + A_NUMBER * numbers_printed(cell)
            spent[0] += A_PREDICTION * called.count("predict")
            spent[bool(exercises or labs or quizzes)] += (
                looked_at + AN_EXERCISE * exercises + A_LAB * labs + A_QUIZ * quizzes
            )
    return tuple(spent)


def rounded(nb):
    """Both, to five minutes."""
    return tuple(max(5, 5 * round(part / 5)) for part in minutes(nb))


def write(root):
    """Put the minutes where they are stated, if they are stated in the one form."""
    readme = root / "README.md"
    table = readme.read_text(encoding="utf-8")
    for path in notebooks.roster(root):
        nb = notebooks.parse(notebooks.read_raw(path), path)
        story, practice = rounded(nb)
        for cell in nb.cells:
            cell.source = STATED.sub(f"**Time:** {story} minutes, and {practice} for practice.", cell.source)
        table = re.sub(IN_README.format(re.escape(path.name)), rf"\g<1>{story} + {practice}\2", table)
        if notebooks.write_if_changed(path, notebooks.text_of(nb)):
            print(f"minutes written: {path.name}")
    notebooks.write_if_changed(readme, table)
    return 0


def main(argv):
    return notebooks.run(write, notebooks.parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
