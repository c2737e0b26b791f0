"""What a teacher needs, made of the notebooks, in build/teach/: slides, run-sheets, two editions of each notebook.

python -m tools.teach [NOTEBOOK...] [--committed]

A section's cell may say in its metadata, under memcg_lab: "talk", minutes set by hand; "ask", a question for the class;
"board", a sketch as text. What the cells compute is measured; with --committed nothing is executed or measured.
"""

import copy
import html
import os
import pathlib
import re
import shutil
import sys
import urllib.parse

import nbformat
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from memcg_lab.course import room
from memcg_lab.course.guesses import GUESSES
from memcg_lab.course.predictions import worded
from memcg_lab.course.questions import QUESTIONS
from memcg_lab.course.worked import WORKED
from tools import book, execution, folding, links, notebooks

HERE = pathlib.Path(__file__).parent
FOLDER = "build/teach"
TALK = 2  # minutes of a section for which nobody has set any
HEADING = re.compile(r"(#{1,6}) +(.+)")
ASKS = re.compile(r"^(predict|check)\(\s*\"([^\"]+)\"", re.MULTILINE)
REVEALS = re.compile(r"\breveal\(\s*\"([^\"]+)\"")
ANSWERED = {"predict": "No prediction yet", "exercise": "not answered yet"}
FOLDED = re.compile(r"\n*<details>.*?</details>\n*", re.DOTALL)
ASIDE = "hide-input", "remove-cell"


def teach(root, names=(), committed=False, out=None):
    """Write everything to ``out``, by default build/teach. Returns an exit status."""
    paths = sorted(notebooks.chosen(root, names))
    if committed:
        runs = execution.prepared(root, paths)
    else:
        runs, _ = execution.execute(root, paths)
        stopped = [f"{run.path.name}: {run.error}" for run in runs if run.error]
        if stopped:
            raise notebooks.NotebookFault("\n".join(stopped))
    target = out or root / FOLDER
    shutil.rmtree(target, ignore_errors=True)
    script, still = book.living(root / "build" / "web") if any(labs_of(run.notebook) for run in runs) else ("", "")
    made, unset = [], []
    for run in runs:
        stem, parts = run.path.stem, sections(run, measured=not committed)
        unset += [f"{stem}: {part['title']}" for part in parts if not part["set"]]
        book.put(target / "slides" / f"{stem}.html", slides(run.notebook.cells, parts[0]["title"], script))
        book.put(target / "run-sheets" / f"{stem}.html", run_sheet(parts))
        for edition, make in (("student", student), ("teacher", teacher)):
            file = target / edition / run.path.name
            nb = relinked(make(run.notebook), run.path, file, {path.name for path in paths})
            book.put(file, notebooks.text_of(nb))
        made.append((stem, parts))
    book.put(target / "index.html", index(made, still))
    tell(target, made, still, unset)
    return 0


def tell(target, made, still, unset):
    """The list at the end."""
    print(f"{target / 'index.html'} leads to all of it:")
    for stem, parts in made:
        print(f"  slides/{stem}.html, run-sheets/{stem}.html: {minutes(parts)} min in class")
        print(f"  student/{stem}.ipynb without answers, teacher/{stem}.ipynb with them")
    if still:
        print(f"The labs in the slides are still pictures: {still}")
    if unset:
        print(f"Sections without minutes of their own, {TALK} min each: {'; '.join(unset)}")


# --- a notebook in sections


def heading(cell):
    """(level, title) of a cell that begins with a heading, or None."""
    match = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
    return (len(match[1]), plain(match[2])) if match else None


def plain(text):
    return re.sub(r"[`*]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)).strip()


def sections(run, measured=True):
    """The sections down to ``##``: title, minutes, what is asked there, what to say and to draw."""
    found = []
    for position, cell in enumerate(run.notebook.cells):
        head = heading(cell)
        if head and head[0] <= 2 or not found:
            found.append({"title": head[1] if head else "", "cells": [], "seconds": 0.0 if measured else None})
            found[-1] |= {"set": False, "talk": TALK, "ask": [], "board": [], "checkpoints": []}
        part, said = found[-1], cell.metadata.get("memcg_lab", {})
        part["cells"].append(cell)
        if measured:
            part["seconds"] += run.cell_seconds.get(position, 0.0)
        if "talk" in said:
            part["talk"], part["set"] = said["talk"], True
        part["ask"] += [said["ask"]] if "ask" in said else []
        part["board"] += [said["board"]] if "board" in said else []
        if cell.cell_type == "markdown" and folding.CHECKPOINT in cell.source:
            part["checkpoints"].append(cell)
    return found


def asked_in(cells, what):
    """What ``predict`` or ``check`` asks in these cells, with the cell's id."""
    return [
        (name, cell.id)
        for cell in cells
        if cell.cell_type == "code"
        for call, name in ASKS.findall(cell.source)
        if call == what
    ]


def minutes(parts):
    """Minutes in class: the talk, and what is computed, rounded up."""
    return sum(part["talk"] for part in parts) + -int(-sum(part["seconds"] or 0 for part in parts) // 60)


def labs_of(nb):
    return [
        match["name"]
        for cell in nb.cells
        for output in cell.get("outputs", [])
        for match in book.LAB.finditer(output.get("data", {}).get("text/html", ""))
    ]


# --- slides


def cut(cells):
    """The cells as slides: a heading begins one; so does what follows a prediction, and a second output."""
    found, asked = [], False
    for cell in cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type", "")
        if kind in ("skip", "notes") or notebooks.tags_of(cell) & set(ASIDE):
            continue
        full = bool(shown(cell)) and found and any(map(shown, found[-1]))
        if not found or kind in ("slide", "subslide") or asked or full or heading(cell):
            found.append([])
        found[-1].append(cell)
        asked = bool(asked_in([cell], "predict"))
    return found


def shown(cell):
    """The outputs of a cell that a slide shows: not that nobody has answered yet."""
    said = [word for tag, word in ANSWERED.items() if tag in notebooks.tags_of(cell)]
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])]
    return [output for output, text in zip(cell.get("outputs", []), texts) if not any(word in text for word in said)]


def slides(cells, title, script=""):
    """One page: a slide for each cut, outputs shown at a key press, labs alive."""
    made = []
    for group in cut(cells):
        made.append(f"<section>{''.join(part_of(cell) for cell in group)}</section>")
    return filled(
        "slides.html",
        TITLE=html.escape(title),
        CODE=HtmlFormatter(style="default").get_style_defs(".code"),
        BODY="\n".join(made),
        SCRIPT=f"<script>{script}</script>" if script else "",
    )


def part_of(cell):
    if cell.cell_type == "markdown":
        return f'<div class="text">{in_html(cell.source)}</div>'
    if cell.cell_type != "code":
        return ""
    code = highlight(cell.source, PythonLexer(), HtmlFormatter(cssclass="code"))
    outputs = "".join(output_html(output) for output in shown(cell))
    return code + (f'<div class="output" data-step>{outputs}</div>' if outputs else "")


def output_html(output):
    if output.output_type == "stream":
        return f"<pre>{html.escape(output.text)}</pre>"
    data = output.get("data", {})
    if "text/html" in data:
        return data["text/html"]
    if "image/png" in data:
        return f'<img alt="{html.escape(data.get("text/plain", ""))}" src="data:image/png;base64,{data["image/png"]}">'
    return f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"


def in_html(text):
    """Markdown as HTML; a link to a file becomes plain words, since a slide stands alone."""

    def link(match):
        if not match["link"]:
            return match[0]
        if links.is_absolute(match["link"].strip("<>")):
            return match[0]
        return match["open"].lstrip("!")[1:-2]

    return MARKDOWN.render(book.LINK_OR_CODE.sub(link, text))


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")

# --- run-sheets


def run_sheet(parts):
    """What happens when, what to ask, what will be answered and what that means, what to draw."""
    rows, clock = [], 0.0
    for part in parts:
        ends = clock + part["talk"] + (part["seconds"] or 0) / 60
        seconds = "not measured" if part["seconds"] is None else f"{part['seconds']:.0f} s"
        rows.append(
            f"<h2>{html.escape(part['title'])}</h2>"
            f'<p class="clock">Minute {clock:.0f} to {ends:.0f}: talk {part["talk"]} min, computing {seconds}.</p>'
            + "".join(f"<p><b>Ask:</b> {html.escape(question)}</p>" for question in part["ask"])
            + "".join(bets_html(name, cell) for name, cell in asked_in(part["cells"], "predict"))
            + "".join(f'<div class="checkpoint">{in_html(cell.source)}</div>' for cell in part["checkpoints"])
            + "".join(f"<pre>{html.escape(board)}</pre>" for board in part["board"])
            + exercises_html(asked_in(part["cells"], "check"))
        )
        clock = ends
    body = f"<h1>Run-sheet: {html.escape(parts[0]['title'])}</h1><p>{minutes(parts)} minutes in class.</p>" + "".join(
        rows
    )
    return filled("sheet.html", TITLE=f"Run-sheet: {html.escape(parts[0]['title'])}", BODY=body)


def bets_html(question, cell):
    """A prediction: what is right, and what each usual wrong answer means."""
    rows = []
    for name in QUESTIONS.get(question, {}):
        truth = room.truths()[question][name]
        rows.append(f"<tr><th>{name}</th><td>{html.escape(worded(truth))}</td><td><b>right</b></td></tr>")
        rows += [
            f"<tr><th></th><td>{html.escape(worded(guess))}</td><td>{html.escape(says)}</td></tr>"
            for guess, says in GUESSES.get(question, {}).get(name, {}).items()
        ]
    code = f'room_code("{question}")'
    return (
        f"<p><b>Let them bet:</b> {html.escape(question)}, cell <code>{cell}</code>. For the wall: "
        f"<code>{html.escape(code)}</code>, then RoomLab.</p><table>{''.join(rows)}</table>"
    )


def exercises_html(asked):
    names = ", ".join(name for name, _ in asked)
    return (
        f"<p><b>Exercises here:</b> {names}; what is answered wrongly is told by <code>check</code>.</p>"
        if asked
        else ""
    )


# --- editions


def student(nb):
    """Without outputs and answers of checkpoints; what is said after a run is folded, so that nobody reads it first."""
    made = copied(nb)
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            before, mark, checkpoint = folding.folded(cell.source).partition(folding.CHECKPOINT)
            cell.source = before + mark + FOLDED.sub("\n\n", checkpoint).rstrip()
        cell.metadata = nbformat.from_dict(
            {k: v for k, v in cell.metadata.items() if k != "memcg_lab" or "reason" in v}
        )
    return made


def teacher(nb):
    """With outputs; below each prediction what is right and what wrong answers mean, below each exercise an answer."""
    made, cells = copied(nb), []
    for cell in made.cells:
        cells.append(cell)
        notes = [bets_text(name) for name, _ in asked_in([cell], "predict")]
        notes += [solution_text(name) for name, _ in asked_in([cell], "check")]
        if cell.cell_type == "markdown":
            said = cell.metadata.get("memcg_lab", {})
            notes += [f"**Ask:** {said['ask']}"] if "ask" in said else []
            notes += [f"```text\n{said['board']}\n```"] if "board" in said else []
        if notes:
            note = nbformat.v4.new_markdown_cell("> " + "\n\n".join(notes).replace("\n", "\n> "))
            note.id = f"teacher-{cell.id}"
            cells.append(note)
    made.cells = cells
    return made


def bets_text(question):
    lines = [f"**For the teacher: {question}**", "", "| asked | answer | what it means |", "|---|---|---|"]
    for name in QUESTIONS.get(question, {}):
        lines.append(f"| {name} | {worded(room.truths()[question][name])} | right |")
        lines += [f"| | {worded(guess)} | {says} |" for guess, says in GUESSES.get(question, {}).get(name, {}).items()]
    return "\n".join(lines)


def solution_text(exercise):
    worked = WORKED[exercise]
    hints = [f"{k}. {hint}" for k, hint in enumerate(worked.hints, start=1)]
    return "\n".join(
        [
            f"**For the teacher: {exercise}**, hints and an answer",
            "",
            *hints,
            "",
            f"```python\n{worked.cell(exercise)}\n```",
        ]
    )


def copied(nb):
    return copy.deepcopy(nb)


def relinked(nb, page, target, beside):
    """Links that lead from ``page`` lead there from ``target`` too; those to a notebook of this edition stay."""

    def link(match):
        if not match["link"] or links.is_absolute(match["link"].strip("<>")):
            return match[0]
        name, hash_, anchor = match["link"].strip("<>").partition("#")
        if name and name not in beside:
            file = (page.parent / urllib.parse.unquote(name)).resolve()
            name = urllib.parse.quote(os.path.relpath(file, target.parent).replace(os.sep, "/"))
        return f"{match['open']}{name}{hash_}{anchor}{match['title'] or ''})"

    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = book.LINK_OR_CODE.sub(link, cell.source)
    return nb


# --- pages


def index(made, still):
    rows = [
        f'<tr><th scope="row">{html.escape(parts[0]["title"])}</th><td>{minutes(parts)} min</td>'
        f'<td><a href="slides/{stem}.html">slides</a></td><td><a href="run-sheets/{stem}.html">run-sheet</a></td>'
        f'<td><a href="student/{stem}.ipynb">student</a></td><td><a href="teacher/{stem}.ipynb">teacher</a></td></tr>'
        for stem, parts in made
    ]
    note = f"<p>The labs in the slides are still pictures: {html.escape(still)}</p>" if still else ""
    table = (
        f"<table><tr><th>Notebook</th><th>In class</th><th></th><th></th><th></th><th></th></tr>{''.join(rows)}</table>"
    )
    return filled("sheet.html", TITLE="memcg-lab: for the teacher", BODY=f"<h1>For the teacher</h1>{note}{table}")


def filled(template, **parts):
    """A page of tools/ with its marks replaced: TITLE, BODY and the like."""
    page = (HERE / template).read_text(encoding="utf-8")
    for name, text in parts.items():
        for mark in (f"<!--{name}-->", f"/*{name}*/"):
            page = page.replace(mark, text)
    return page


def main(argv):
    parser = notebooks.parser(__doc__, names=True)
    parser.add_argument(
        "--committed", action="store_true", help="do not execute: outputs as committed, nothing measured"
    )
    return notebooks.run(teach, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
