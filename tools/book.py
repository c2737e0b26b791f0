"""The HTML book in build/book/: notebooks and the pages they link to, without a warning or a foreign request.

python -m tools.book

Its labs are live: the library's kernels stand beside the pages as WebAssembly. Where there is no linker to make them,
the labs are still pictures, and the book says so. The same labs in one file are build/book/memcg-lab.html.
"""

import contextlib
import html
import html.parser
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse

import nbformat

from memcg_lab import labs
from memcg_lab.course import quiz_ask, room
from memcg_lab.course.form import front_end
from memcg_lab.course.guesses import GUESSES
from memcg_lab.course.predictions import told_of
from memcg_lab.course.questions import QUESTIONS
from memcg_lab.labs import base
from memcg_lab.web import build as kernels
from memcg_lab.web import page as one_file
from memcg_lab.web.sections import SECTIONS
from tools import execution, folding, links, notebooks, reference

SETTINGS = notebooks.ROOT / "docs"
PICTURES = "docs/pictures"

# Links are rewritten in the source, so their places in it count; code and comments are passed over.
LINK = r"(?P<open>!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\()(?P<link><[^>\n]*>|[^()\s]+)(?P<title>\s+\"[^\"]*\")?\)"
FENCED = r"^[ >]*(?P<fence>`{3,}|~{3,}).*?(?:^[ >]*(?P=fence)[`~]*[ \t]*$|\Z)"
INLINE = r"(?<!`)(?P<ticks>`+)(?!`)(?:(?!\n\n).)+?(?<!`)(?P=ticks)(?!`)"
LAB = re.compile(r'<figure\b[^>]*data-memcg-lab="(?P<name>\w+)".*?(?P<picture><img\b[^>]*>)', re.DOTALL)
LIVING = {section.lab for section in SECTIONS}  # without Python
SCRIPT, FORMS, ONE_FILE = "memcg-lab.js", "memcg-forms.js", "memcg-lab.html"
FORM = re.compile(r'<div data-memcg-form="(?P<form>[^"]*)"')
UNSAID = re.compile(r"^You said nothing yet\.\nThe run says (?P<told>.*)\.\n?", re.MULTILINE)
LINK_OR_CODE = re.compile(f"{LINK}|{FENCED}|{INLINE}|<!--.*?-->", re.MULTILINE | re.DOTALL)


def book(root):
    """Execute every notebook, then write the book. Returns an exit status."""
    runs, _ = execution.execute(root, notebooks.chosen(root, []))
    stopped = [f"{run.path.name}: {run.error}" for run in runs if run.error]
    if stopped:
        raise notebooks.NotebookFault("\n".join(stopped))
    return build(root, {run.path: run.notebook for run in runs})


def build(root, executed, builder="html", out=None):
    """Write the book of ``executed`` (notebooks by path) to ``out``/book. Returns an exit status.

    ``out`` is ``root``/build if it is not given.
    """
    out = out or root / "build"
    source, target, scratch = (out / name for name in ("book-src", "book", "book-doctrees"))
    for folder in (source, target, scratch):
        shutil.rmtree(folder, ignore_errors=True)
    executed = {path: with_folded_looks(with_judges(with_html_pictures(nb))) for path, nb in executed.items()}
    shown = labs_of(executed)
    script, still = living(root / "build" / "web") if shown else ("", "")
    pages = gather(root, source, executed)
    named = reference.pages() if root == notebooks.ROOT else {}  # of this library, not of a collection for a test
    for name, text in named.items():
        put(source / f"{name}.rst", text)
    put(source / "index.md", index_page(root, executed, pages, shown, still, next(iter(named), "")))
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-b",
        builder,
        "-q",
        "-W",
        "--keep-going",
        "-c",
        str(SETTINGS),
        "-d",
        str(scratch),
        str(source),
        str(target),
    ]
    # Without the compiler a kernel is a function with a docstring, as any other.
    status = subprocess.run(command, check=False, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}).returncode
    if (root / PICTURES).is_dir():  # shown by HTML in the README, which Sphinx does not look into
        shutil.copytree(root / PICTURES, target / PICTURES)
    if not status:
        make_live(target, FORMS, forms_script(), "data-memcg-judge=")
    if script and not status:
        make_live(target, SCRIPT, script, "data-memcg-lab=")
        one_file.make_page(target / ONE_FILE, root / "build" / "web")
    status = status or judged(target)
    if not status:
        print(f"book: {len(executed)} notebooks and {len(pages)} further pages in {target / 'index.html'}")
        if shown:
            print(f"book: {still or f'the labs are live; all of them in one file: {target / ONE_FILE}'}")
    return status


def judged(target):
    """Say what is wrong with the built pages. Returns an exit status."""
    complaints = page_faults(target)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


# --- labs


def labs_of(executed):
    """Each lab of the notebooks: its name, where it stands, its picture as an ``<img>``."""
    found = {}
    for path, nb in executed.items():
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                for match in LAB.finditer(output.get("data", {}).get("text/html", "")):
                    found.setdefault(match["name"], (path, match["picture"]))
    return found


def living(folder):
    """The script that makes labs live, with kernels of ``folder``; without a linker, the sentence that says so."""
    try:
        kernels.linker()
    except ValueError as none:
        with contextlib.suppress(ValueError):
            return one_file.bundle(folder), ""  # built elsewhere, of this version
        return "", f"The labs of this site are still pictures: {none}"
    kernels.build(folder)
    return one_file.bundle(folder), ""


def make_live(target, name, script, mark):
    """Let every page that has the mark load the script."""
    put(target / "_static" / name, script)
    for page in target.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if mark in text:
            static = os.path.relpath(target / "_static", page.parent).replace(os.sep, "/")
            put(page, text.replace("</body>", f'<script defer src="{static}/{name}"></script>\n</body>'))


def lab_list(root, shown, still):
    """The labs with a picture each, as HTML that leads to them."""
    items = []
    for name, (path, picture) in shown.items():
        said = inspect.getdoc(getattr(labs, name, None)) or name
        items.append(
            f'<li><a href="{page_name(path, root)}.html#{name}">{picture}<strong>{name}</strong></a> '
            f"{html.escape(said.splitlines()[0])}</li>"
        )
    live = (
        f'They are live on this site, without Python. <a href="{ONE_FILE}">All of them in one file</a>, to take along.'
    )
    return [f"<p>{html.escape(still) or live}</p>", f'<ul class="labs">{"".join(items)}</ul>']


# --- forms


def forms_script():
    """What makes the forms of a page live; in a room of its own, since a page may load the labs' script too."""
    return f"{{\n{front_end('judge.js', 'form.js', 'form_site.js')}\n}}\n"


def judge_of(form):
    """What judges a form's answers in a page: the kinds and guesses of a prediction, or the solutions of a quiz."""
    name = form["name"]
    if form["kind"] == "quiz":
        return {"solutions": quiz_ask.solutions_at(name)}
    listed = {key: list(guesses.items()) for key, guesses in GUESSES.get(name, {}).items()}
    return {"asked": QUESTIONS[name], "guesses": listed} if name in QUESTIONS else None


def with_judges(nb):
    """The notebook; beside its forms stands what judges them, and beside what is revealed the truth as data."""

    def judged(match):
        judge = judge_of(json.loads(html.unescape(match["form"])))
        return match[0] + (f' data-memcg-judge="{html.escape(json.dumps(judge))}"' if judge else "")

    for cell in nb.cells:
        if cell.cell_type != "code":
            continue
        asked = [question for function, question in folding.calls(cell.source) if function == "reveal"]
        for output in cell.outputs:
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = FORM.sub(judged, output.data["text/html"])
        if asked:
            cell.outputs = [piece for output in cell.outputs for piece in with_truth(output, asked)]
    return nb


def with_folded_looks(nb):
    """The notebook; what is said of a run stands below its heading, behind a button as the run itself."""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = folding.folded(cell.source)
    return nb


def with_truth(output, asked):
    """An output; a line of it that reveals becomes an output of its own that carries the truth."""
    match = UNSAID.search(output.get("text", ""))
    truths = {question: room.truths()[question] for question in asked if question in room.truths()}
    question = next((name for name, truth in truths.items() if match and told_of(truth) == match["told"]), None)
    if question is None:
        return [output]
    line = match[0].strip()
    data = html.escape(json.dumps(truths[question]))
    shown = f'<p data-memcg-reveal="{question}" data-truth="{data}">{html.escape(line)}</p>'
    made = [nbformat.v4.new_output("display_data", data={"text/plain": line, "text/html": shown})]
    before, after = output.text[: match.start()], output.text[match.end() :]
    if before:
        made.insert(0, nbformat.v4.new_output("stream", name=output.name, text=before))
    if after:
        made += with_truth(nbformat.v4.new_output("stream", name=output.name, text=after), asked)
    return made


# --- sources


def with_html_pictures(nb):
    """The notebook; a picture of it that has no HTML form gets one, with its sentence as alt text.

    The first of each lab can be linked to by its name.
    """
    named = set()

    def place(match):
        first = match["name"] not in named
        named.add(match["name"])
        return match[0].replace("<figure", f'<figure id="{match["name"]}"', 1) if first else match[0]

    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data and "text/html" not in data:
                alt = html.escape(data.get("text/plain", ""), quote=True)
                data["text/html"] = (
                    f'<figure><img alt="{alt}" src="data:image/png;base64,{data["image/png"]}"></figure>'
                )
            if "text/html" in data:
                data["text/html"] = LAB.sub(place, data["text/html"]).replace(base.LIVE, base.STILL)
    return nb


def gather(root, source, executed):
    """Write the notebooks and what they lead to under ``source``. Returns the Markdown pages among it."""
    pages = {}
    waiting = [root / "README.md"] if (root / "README.md").exists() else []
    for path, nb in executed.items():
        nb.metadata.language_info["pygments_lexer"] = "ipython3"
        for cell in nb.cells:
            if cell.metadata.get("jupyter", {}).get(folding.FLAG):
                cell.metadata["tags"] = [*notebooks.tags_of(cell), "hide-output"]
            if cell.cell_type == "markdown":
                cell.source, wanted = for_the_book(cell.source, path, root)
                waiting += wanted
        put(source / path.relative_to(root), nbformat.writes(nb))
    done = set(executed)
    while waiting:
        path = waiting.pop(0)
        if path in done:
            continue
        done.add(path)
        copy = source / path.relative_to(root)
        if path.suffix == ".md":
            text, wanted = for_the_book(path.read_text(encoding="utf-8"), path, root)
            waiting += wanted
            put(copy, text)
            pages[path] = (links.headings(text) or [(1, path.name)])[0][1]
        elif path.suffix == ".ipynb":  # solutions: a page that a link leads to, in no table
            nb = notebooks.parse(notebooks.read_raw(path), path)
            nb.metadata["orphan"] = True
            for cell in nb.cells:
                if cell.cell_type == "markdown":
                    cell.source, wanted = for_the_book(cell.source, path, root)
                    waiting += wanted
            put(copy, nbformat.writes(nb))
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return pages


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def for_the_book(text, page, root):
    """The Markdown of ``page`` with links the book can keep, and the files these lead to.

    A link to a folder, or to what is no file of this project, becomes plain words. An anchor gets the
    book's spelling: JupyterLab keeps capitals, the book does not.
    """
    wanted = []

    def link(match):
        if not match["link"] or links.is_absolute(match["link"].strip("<>")):
            return match[0]
        name, _, anchor = match["link"].strip("<>").partition("#")
        anchor = "#" + links.slug(urllib.parse.unquote(anchor)) if anchor else ""
        if name:
            file = (page.parent / urllib.parse.unquote(name)).resolve()
            if not file.is_file() or not file.is_relative_to(root):
                return match["open"].lstrip("!")[1:-2]
            wanted.append(file)
        return f"{match['open']}{name}{anchor}{match['title'] or ''})"

    return LINK_OR_CODE.sub(link, text), wanted


def index_page(root, executed, pages, shown, still, named=""):
    """The first page: what this is, the course as a table made from the notebooks, the labs, the reference."""
    rows = []
    for path, nb in executed.items():
        prose = "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
        title = links.headings(prose)[0][1]
        minutes = re.search(r"Time\W+(\d+)", prose)
        aims = "; ".join(aim.rstrip(";,.") for aim in aims_of(prose)).replace("|", "\\|")
        rows.append(f"| [{title}](notebooks/{path.name}) | {aims} | {minutes[1] if minutes else ''} |")
    readme = root / "README.md"
    lead = lead_of(readme.read_text(encoding="utf-8")) if readme.exists() else ""
    lines = [
        "# memcg-lab",
        "",
        for_the_book(lead, readme, root)[0],
        "",
        "## The course",
        "",
        "| Notebook | You will be able to | Minutes |",
        "|---|---|---|",
        *rows,
        "",
        *(["## The labs", "", *lab_list(root, shown, still), ""] if shown else []),
        *(["## The library", "", f"[Every name of it]({named}), room by room.", ""] if named else []),
        *toctree("The course", [page_name(path, root) for path in executed]),
        *(["", *toctree("The library", [named])] if named else []),
    ]
    if pages:
        names = [
            f"{'Set-up and use' if path == readme else title} <{page_name(path, root)}>"
            for path, title in pages.items()
        ]
        lines += ["", *toctree("About this collection", names)]
    return "\n".join(lines) + "\n"


def page_name(path, root):
    return path.relative_to(root).with_suffix("").as_posix()


def toctree(caption, names):
    return ["```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```"]


def lead_of(text):
    """The paragraphs between the title of a page and its first section."""
    sections = re.split(r"^#{1,6} ", text, maxsplit=2, flags=re.MULTILINE)
    return sections[1].partition("\n")[2].strip() if len(sections) > 1 else ""


def aims_of(prose):
    """The bullets under "You will be able to"."""
    after = prose.partition("You will be able to")[2].splitlines()[1:]
    aims = []
    for line in after:
        if re.match(r"[-*] ", line):
            aims.append(line[2:].strip())
        elif line.strip() and aims and line.startswith(" "):
            aims[-1] += " " + line.strip()  # a bullet goes on
        elif line.strip():
            break
    return aims


# --- the built pages


class Loaded(html.parser.HTMLParser):
    """Collects what a page loads by itself, what it links to, and pictures without alt text."""

    def __init__(self):
        super().__init__()
        self.loads, self.leads_to, self.without_alt = [], [], 0

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "a":
            self.leads_to.append(values.get("href") or "")
        elif tag == "link":
            # canonical, next and the like are statements; the others are fetched.
            if {
                "stylesheet",
                "icon",
                "preload",
                "modulepreload",
                "preconnect",
                "dns-prefetch",
                "prefetch",
                "manifest",
            } & set((values.get("rel") or "").lower().split()):
                self.loads.append(values.get("href") or "")
        else:
            self.loads += [values[name] for name in ("src", "data", "poster", "xlink:href") if values.get(name)]
            self.loads += [part.split()[0] for part in (values.get("srcset") or "").split(",") if part.strip()]
        self.loads += loads_of_css(values.get("style") or "")
        if tag == "img" and values.get("alt") is None:
            self.without_alt += 1

    def handle_data(self, data):
        if self.lasttag == "style":
            self.loads += loads_of_css(data)


def loads_of_css(css):
    return [match[1] or match[2] for match in re.finditer(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)", css)]


def page_faults(folder):
    """Foreign requests, dead local links and pictures without alt text of the built pages, as sentences."""
    found = []
    for page in sorted(folder.rglob("*.html")):
        name = page.relative_to(folder).as_posix()
        seen = Loaded()
        seen.feed(page.read_text(encoding="utf-8"))
        found += [f"{name}: loads {address[:120]}" for address in seen.loads if is_foreign(address)]
        if seen.without_alt:
            found.append(f"{name}: {seen.without_alt} pictures without alt text")
        for address in seen.leads_to + seen.loads:
            if address and not links.is_absolute(address) and not reaches(page, folder, address):
                found.append(f"{name}: leads nowhere: {address[:120]}")
    for sheet in sorted(folder.rglob("*.css")):
        found += [
            f"{sheet.relative_to(folder).as_posix()}: loads {address[:120]}"
            for address in loads_of_css(sheet.read_text(encoding="utf-8"))
            if is_foreign(address)
        ]
    return found


def is_foreign(address):
    return links.is_absolute(address) and not address.startswith(("data:", "blob:", "#"))


def reaches(page, folder, address):
    path = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
    target = (page.parent / path).resolve() if path else page
    return target.exists() and target.is_relative_to(folder.resolve())


def main(argv):
    return notebooks.run(book, notebooks.parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
