"""Every notebook of the course has the same anatomy, and the rules that say so can fail."""

import ast
import json
import pathlib
import re

import nbformat
import pytest

import notebook_samples as sample
from memcg_lab.course.numbers import NUMBERS
from memcg_lab.course.questions import QUESTIONS
from memcg_lab.words import number
from tools import folding, links, navigation, notebooks
from tools import minutes as clock
from tools.faults import faults
from tools.notebooks import ROOT

MAX_FUNCTION_LINES = 12
SITTING = 20, 45  # minutes of the story; the practice may wait for another day
RETIRED = re.compile(r"\b(slack|lags?|lagging|parks|parked|hidden)\b", re.IGNORECASE)
TO_GLOSSARY = re.compile(r"\[(?P<word>[^\]]+)\]\(\.\./docs/glossary\.md(?:#(?P<term>[\w-]+))?\)")
PARTS = (
    "You will be able to",
    "Before you start",
    "Time",
    "Three things to remember",
    "Next",
    "References",
)


# --- reading a notebook


def prose_of(nb):
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


def code_cells(nb):
    return [(i, cell) for i, cell in enumerate(nb.cells) if cell.cell_type == "code"]


def label(part):
    """A part begins with its name as a heading or in bold."""
    return re.compile(rf"^(?:#{{2,6}} |\*\*){part}\b", re.MULTILINE)


def called(source):
    """Dotted names of everything a piece of code calls."""
    calls = [node.func for node in ast.walk(tree_of(source)) if isinstance(node, ast.Call)]
    return [ast.unparse(function) for function in calls]


def tree_of(source):
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module([], [])  # reported by its own rule


def calls_a(name, source):
    return any(name in function.split(".") for function in called(source))


# --- the rules; each yields sentences


def title_and_navigation(nb, path, line):
    lines = nb.cells[0].source.split("\n")
    if not re.fullmatch(rf"# {path.name[:2]} · \S.*", lines[0]):
        yield f"the title is {lines[0]!r}, not '# {path.name[:2]} · Title'"
    if line not in lines[1:4]:
        yield f"no navigation line {line!r}"


def parts_in_order(nb, path, line):
    prose = prose_of(nb)
    places = [match.start() if (match := label(part).search(prose)) else None for part in PARTS]
    for part, place in zip(PARTS, places, strict=True):
        if place is None:
            yield f"no part '{part}'"
    found = [place for place in places if place is not None]
    if found != sorted(found):
        yield "parts are not in order: " + ", ".join(PARTS)


def minutes(nb, path, line):
    story, practice = clock.rounded(nb)
    if not SITTING[0] <= story <= SITTING[1]:
        yield f"takes about {story} min; a notebook takes {SITTING[0]} to {SITTING[1]}"
    if practice > SITTING[1]:
        yield f"its practice takes about {practice} min; more than {SITTING[1]} are another notebook"
    stated = clock.STATED.search(prose_of(nb))
    if not stated:
        yield "no time, written '**Time:** 25 minutes, and 10 for practice.'"
    elif (int(stated[1]), int(stated[2])) != (story, practice):
        yield f"says {stated[1]} and {stated[2]} min, but its words, cells and questions take {story} and {practice}"


def three_things(nb, path, line):
    after = label("Three things to remember").split(prose_of(nb), maxsplit=1)
    part = re.split(r"^#{1,6} |^\*\*Next", after[-1], maxsplit=1, flags=re.MULTILINE)[0] if after[1:] else ""
    bullets = re.findall(r"^(?:[-*]|\d+\.) ", part, re.MULTILINE)
    if len(bullets) != 3:
        yield f"{len(bullets)} bullets under 'Three things to remember'"


def checkpoint(nb, path, line):
    folded = re.compile(r"<details>\s*<summary>.+?</summary>.+?</details>", re.DOTALL)
    asked = [
        cell
        for cell in nb.cells
        if cell.cell_type == "markdown" and "checkpoint" in cell.source.lower() and folded.search(cell.source)
    ]
    if not asked:
        yield "no checkpoint question with a folded answer (<details><summary>…)"
    prose = links.prose(prose_of(nb))
    if prose.count("<details") != prose.count("</details>"):
        yield "a <details> is not closed"


def one_vocabulary(nb, path, line):
    for word in RETIRED.findall(links.prose(prose_of(nb))):
        yield f"'{word}' is not a word of docs/glossary.md; say drift, or pages in a stock"


def glossary(nb, path, line):
    """A word is linked to the glossary where it first stands: after the title's cell, headings aside."""
    told = re.sub(r"^#.*$", "", prose_of(nb).removeprefix(nb.cells[0].source), flags=re.MULTILINE)
    found = list(TO_GLOSSARY.finditer(told))
    if not any(match["term"] for match in found):
        yield "no word is linked to docs/glossary.md"
    terms = [match["term"] for match in found if match["term"]]
    for term in sorted({term for term in terms if terms.count(term) > 1}):
        yield f"{term} is linked to the glossary twice"
    for match in found:
        if match["term"] and re.search(rf"\b{re.escape(match['word'])}\b", told[: match.start()], re.IGNORECASE):
            yield f"'{match['word']}' stands before its link to the glossary"


def prediction_before_run(nb, path, line):
    cells = code_cells(nb)
    predictions = [n for n, (_, cell) in enumerate(cells) if calls_a("predict", cell.source)]
    if not predictions:
        yield "no predict(…) call"
    for n in predictions:
        if not any(cell.outputs and not calls_a("predict", cell.source) for _, cell in cells[n + 1 :]):
            yield f"cell {cells[n][0]}: nothing is run after the prediction"


def asked(nb):
    """(cell, function, question, names) of every call of predict and reveal that names what it asks."""
    for i, cell in code_cells(nb):
        for node in ast.walk(tree_of(cell.source)):
            name = ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
            if name in ("predict", "reveal") and node.args and isinstance(node.args[0], ast.Constant):
                yield i, name, node.args[0].value, [word.arg for word in node.keywords]


def questions_known(nb, path, line):
    revealed = {question for _, function, question, _ in asked(nb) if function == "reveal"}
    for i, function, question, names in asked(nb):
        if question not in QUESTIONS:
            yield f"cell {i}: {question} is not in memcg_lab/course/questions.py"
        elif None not in names and names != list(QUESTIONS[question]):
            yield f"cell {i}: {function} names {', '.join(names)}; {question} asks {', '.join(QUESTIONS[question])}"
        if function == "predict" and question not in revealed:
            yield f"cell {i}: {question} is never revealed"


def answers_folded(nb, path, line):
    for i in folding.telling(nb):
        if not nb.cells[i].metadata.get("jupyter", {}).get(folding.FLAG):
            yield f"cell {i}: its output tells what is asked, and is not folded"
        line = folding.first_line(nb.cells[i])
        if "run says" in line or folding.values_told(nb) & set(re.findall(folding.NUMBER, line)):
            yield f"cell {i}: JupyterLab shows its first line even when it is folded, and that tells: {line[:60]}"


def exercise_with_check(nb, path, line):
    exercises = [cell for _, cell in code_cells(nb) if "exercise" in notebooks.tags_of(cell)]
    if not any(calls_a("check", cell.source) for cell in exercises):
        yield "no cell tagged exercise that calls check"


def no_algorithms(nb, path, line):
    for i, cell in code_cells(nb):
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            yield f"cell {i}: not plain Python: {error.msg}"
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.While):
                yield f"cell {i}: a while loop"
            if isinstance(node, (ast.For, ast.AsyncFor)) and any(
                isinstance(inner, (ast.For, ast.While)) for inner in ast.walk(node) if inner is not node
            ):
                yield f"cell {i}: a loop in a loop"
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    yield f"cell {i}: {node.name} has {length} lines, more than {MAX_FUNCTION_LINES}"
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "numba" for name in imported):
                yield f"cell {i}: imports numba"


def nothing_nbval_cannot_follow(nb, path, line):
    for i, cell in code_cells(nb):
        names = {function.split(".")[-1] for function in called(cell.source)}
        names |= {
            ast.unparse(d) for node in ast.walk(tree_of(cell.source)) for d in getattr(node, "decorator_list", [])
        }
        for name in ("interact", "interactive", "interactive_output", "Output", "clear_output"):
            if any(name == found.split("(")[0].split(".")[-1] for found in names):
                yield f"cell {i}: {name}"
        if cell.source.rstrip().endswith(";"):
            yield f"cell {i}: ends with a semicolon"
        if not cell.source.strip():
            yield f"cell {i}: empty"


def calm_prose(nb, path, line):
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown":
            if "!" in re.sub(r"\$[^$]*\$", "", links.prose(cell.source)):
                yield f"cell {i}: an exclamation mark"


def pictures_have_alt(nb, path, line):
    prose = prose_of(nb)
    if any(token.type == "image" and not token.content.strip() for token in links.tokens(prose)):
        yield "a picture without alt text"
    for tag in re.findall(r"<img\b[^>]*>", "".join(links.html(prose))):
        if not re.search(r"\balt\s*=\s*[\"'][^\"']", tag):
            yield f"a picture without alt text: {tag}"


def headings_in_steps(nb, path, line):
    levels = [level for level, _ in links.headings(prose_of(nb))]
    if levels.count(1) != 1 or levels[0] != 1:
        yield "there must be one heading of level 1, the title"
    for before, after in zip(levels, levels[1:], strict=False):
        if after > before + 1:
            yield f"a heading of level {after} follows one of level {before}"


def executed(nb, path, line):
    run = [(i, cell) for i, cell in code_cells(nb) if "skip-execution" not in notebooks.tags_of(cell)]
    for i, cell in run:
        if cell.execution_count is None:
            yield f"cell {i}: not executed"
    counts = [cell.execution_count for _, cell in run if cell.execution_count is not None]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}"


def form_of_file(nb, path, line):
    if (nb.nbformat, nb.nbformat_minor) < (4, 5):
        yield f"format {nb.nbformat}.{nb.nbformat_minor}, older than 4.5"
    if nb.metadata != {"kernelspec": notebooks.KERNELSPEC, "language_info": notebooks.LANGUAGE_INFO}:
        yield "metadata are not as refresh writes them"
    ids = [cell.get("id") for cell in nb.cells]
    if None in ids or len(set(ids)) != len(ids):
        yield "cells without an id of their own"


def sound_file(nb, path, line):
    """Errors, stderr, tags, reasons, traces of a machine, size: the rules of tools/faults.py."""
    yield from faults(nb, json.dumps(nb, ensure_ascii=False))


RULES = (
    title_and_navigation,
    parts_in_order,
    minutes,
    three_things,
    checkpoint,
    one_vocabulary,
    glossary,
    prediction_before_run,
    questions_known,
    answers_folded,
    exercise_with_check,
    no_algorithms,
    nothing_nbval_cannot_follow,
    calm_prose,
    pictures_have_alt,
    headings_in_steps,
    executed,
    form_of_file,
    sound_file,
)


def faults_of(nb, path, line, rules=RULES):
    return [f"{path.name}: {fault}" for rule in rules for fault in rule(nb, path, line)]


# --- the course


def course():
    return notebooks.roster(ROOT)


def test_the_course_has_notebooks():
    assert course(), "notebooks/ holds no notebook like 00_start_here.ipynb"
    assert course()[0].name == "00_start_here.ipynb"


def test_every_notebook_is_named_with_two_digits_and_its_own_number():
    names = [path.name for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert [name for name in names if not re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", name)] == []
    assert len({name[:2] for name in names}) == len(names)


def test_every_question_is_asked():
    everything = [nbformat.v4.reads_json(notebooks.read_raw(path)) for path in course()]
    assert set(QUESTIONS) == {question for nb in everything for _, _, question, _ in asked(nb)}


def test_the_readme_states_the_minutes_that_the_notebooks_state():
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"\| \[\d\d [^\]]*\]\(notebooks/(\w+\.ipynb)\) \|.*\| (\d+) \+ (\d+) \|", readme)
    stated = [
        (path.name, *clock.STATED.search(prose_of(nbformat.v4.reads_json(notebooks.read_raw(path)))).groups())
        for path in course()
    ]
    assert rows == stated


@pytest.mark.parametrize("path", course(), ids=lambda path: path.stem)
def test_a_notebook_has_the_anatomy(path):
    loaded = {p: nbformat.v4.reads_json(notebooks.read_raw(p)) for p in course()}  # ids not mended
    names = [(p, navigation.title_of(nb, p)) for p, nb in loaded.items()]
    line = navigation.nav_line(course().index(path), names)
    assert faults_of(loaded[path], path, line) == []


@pytest.mark.parametrize("path", course(), ids=lambda path: path.stem)
def test_no_open_output_shows_the_answer_of_an_exercise(path):
    """A number of three figures or more; a shorter one stands in many places by chance, and in a lab any may."""
    nb = nbformat.v4.reads_json(notebooks.read_raw(path))
    answers = {number(one.right()): name for name, one in NUMBERS.items() if name[:2] == path.name[:2]}
    answers = {said: name for said, name in answers.items() if len(said.replace(",", "")) >= folding.SHORT}
    shown = [
        (i, answers[value])
        for i, cell in code_cells(nb)
        if not cell.metadata.get("jupyter", {}).get(folding.FLAG) and "Lab(" not in cell.source
        for value in re.findall(folding.NUMBER, folding.said(cell))
        if value in answers
    ]
    assert shown == [], f"tag these cells '{folding.TAG}'"


# --- the rules can fail

PATH = pathlib.Path("01_a_start.ipynb")
LINE = "[Contents](01_a_start.ipynb)"


def replace(old, new):
    """A change of text in whichever cells hold ``old``."""

    def change(nb):
        hit = [cell for cell in nb.cells if old in cell.source]
        assert hit, f"the sample has no {old!r}"
        for cell in hit:
            cell.source = cell.source.replace(old, new)

    return change


def with_code(source, *outputs, **options):
    def change(nb):
        nb.cells.insert(6, sample.code(source, *outputs, **options))
        notebooks.normalise(nb)

    return change


def with_prose(source):
    return lambda nb: nb.cells.insert(3, sample.markdown(source))


def unrun(nb):
    nb.cells[6].execution_count = None


def out_of_order(nb):
    nb.cells[6].execution_count = 9


def prediction_last(nb):
    nb.cells.append(nb.cells.pop(4))


def widgets_kept(nb):
    nb.metadata["widgets"] = {}


def telling_first(nb):
    nb.cells[6].outputs = [sample.printed("621 is what\nThe run says rows 621.\n")]


def unfolded(nb):
    del nb.cells[6].metadata["jupyter"]


def twin_ids(nb):
    nb.cells[2].id = nb.cells[3].id


LONG = "def f():\n" + "    x = 1\n" * 12
ERROR = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
STDERR = nbformat.v4.new_output("stream", name="stderr", text="a warning\n")

DEFECTS = [
    (replace("# 01 · ", "# 02 · "), "the title is"),
    (replace("# 01 · ", "# "), "the title is"),
    (replace(LINE, "[Contents](02_other.ipynb)"), "no navigation line"),
    (replace("You will be able to", "You will learn"), "no part 'You will be able to'"),
    (replace("**Before you start:** nothing.", ""), "no part 'Before you start'"),
    (replace("## References", "## Books"), "no part 'References'"),
    (replace("## Next\n\nThe rest.\n\n## References", "## References\n\n## Next"), "not in order"),
    (replace("25 min", "30 min"), "says 30 and 10 min, but its words, cells and questions take 25 and 10"),
    (replace("and 10 for", "and 5 for"), "says 25 and 5 min, but its words, cells and questions take 25 and 10"),
    (replace("25 min", "some min"), "no time, written"),
    (with_prose("word " * 800), "says 25 and 10 min, but its words, cells and questions take 35 and 10"),
    (with_prose("## The lab\n\n" + "word " * 800 + "\n\n## On"), "its words, cells and questions take 25 and 20"),
    (with_prose("## Exercises\n\n" + "word " * 4000 + "\n\n## On"), "its practice takes about 60 min"),
    (with_prose("word " * 2500), "takes about 55 min; a notebook takes 20 to 45"),
    (replace("word " * 1700, ""), "takes about 5 min; a notebook takes 20 to 45"),
    (with_code("f()", sample.printed("7 " * 200)), "take 35 and 10"),
    (replace("- three\n", ""), "2 bullets"),
    (replace("- three\n", "- three\n- four\n"), "4 bullets"),
    (replace("Checkpoint", "Pause"), "no checkpoint"),
    (replace("<summary>Answer</summary>", ""), "no checkpoint"),
    (replace("</details>", ""), "not closed"),
    (with_prose("The pages are parked."), "'parked' is not a word of docs/glossary.md"),
    (replace("[batch](../docs/glossary.md#batch)", "batch"), "no word is linked to docs/glossary.md"),
    (with_prose("Again a [stock](../docs/glossary.md#batch)."), "batch is linked to the glossary twice"),
    (with_prose("A batch."), "'batch' stands before its link"),
    (replace("predict(", "guess("), "no predict"),
    (prediction_last, "nothing is run after"),
    (replace("reveal('01.rows', rows=3)", "3"), "01.rows is never revealed"),
    (replace("predict('01.rows'", "predict('01.row'"), "01.row is not in memcg_lab/course/questions.py"),
    (replace("predict('01.rows', rows", "predict('01.rows', row"), "predict names row; 01.rows asks rows"),
    (replace("check('01.1', None)", "answer"), "calls check"),
    (with_code("while True:\n    break"), "a while loop"),
    (with_code("for a in x:\n    for b in a:\n        f(b)"), "a loop in a loop"),
    (with_code(LONG), "f has 13 lines"),
    (with_code("import numba"), "imports numba"),
    (with_code("from numba import njit"), "imports numba"),
    (with_code("%timeit f()"), "not plain Python"),
    (with_code("widgets.interact(f, x=1)"), "interact"),
    (with_code("@interact(x=1)\ndef f(x): ..."), "interact"),
    (with_code("with W.Output():\n    f()"), "Output"),
    (with_code("ax.plot(x);"), "semicolon"),
    (with_code(" "), "empty"),
    (with_prose("What a win!"), "an exclamation mark"),
    (with_prose("![](a.png)"), "without alt text"),
    (with_prose('<img src="a.png">'), "without alt text"),
    (with_prose("#### Deep"), "level 4 follows"),
    (with_prose("# Second title"), "one heading of level 1"),
    (unrun, "not executed"),
    (telling_first, "shows its first line even when it is folded"),
    (unfolded, "its output tells what is asked, and is not folded"),
    (out_of_order, "execution counts"),
    (widgets_kept, "metadata"),
    (twin_ids, "id of their own"),
    (with_code("f()", ERROR), "an error: ValueError"),
    (with_code("f()", STDERR), "stderr: a warning"),
    (with_code("f()", tags=["wip"]), "tags not allowed: wip"),
    (with_code("f()", tags=sample.TIMING), "without a reason"),
    (with_code("f()", tags=["nbval-ignore-output"], reason="x"), "go together"),
    (with_code("f()", tags=["nbval-skip"], reason="x"), "go together"),
    (with_code("f()", sample.printed(f"{ROOT}/data/x\n")), "one machine"),
    (with_code("f()", sample.printed("/home/ann/x\n")), "one machine"),
    (with_code("f()", sample.printed("/sys/fs/cgroup/user.slice\n")), "one machine"),
    (
        with_code("f()", sample.result({"text/plain": "<Figure>", "image/png": sample.png()})),
        "a picture without",
    ),
    (with_code("f()", sample.result({"text/plain": "x", "text/html": "<img src='x'>"})), "without alt text"),
    (with_code("f()", sample.printed("x" * 400_000)), "a notebook stays under"),
]


def test_a_good_notebook_has_no_faults(good):
    assert faults_of(good, PATH, LINE) == []


@pytest.mark.parametrize(("change", "words"), DEFECTS, ids=[words for _, words in DEFECTS])
def test_a_defect_is_caught(good, change, words):
    change(good)
    assert any(words in fault for fault in faults_of(good, PATH, LINE))


def test_every_rule_has_a_defect_that_it_alone_can_catch():
    idle = []
    for rule in RULES:
        for change, _ in DEFECTS:
            nb = sample.good_notebook()
            change(nb)
            if faults_of(nb, PATH, LINE, [rule]):
                break
        else:
            idle.append(rule.__name__)
    assert idle == []


@pytest.mark.parametrize("path", notebooks.roster(ROOT), ids=lambda path: path.stem)
def test_what_is_said_of_a_run_is_a_cell_of_its_own(path):
    """It is folded whole, and would take the next question with it."""
    for cell in notebooks.parse(notebooks.read_raw(path), path).cells:
        if cell.cell_type == "markdown" and folding.discusses(cell.source):
            assert not re.search(r"^#", cell.source[len(folding.LOOK) :], re.MULTILINE), cell.id
