"""Keeps the notebooks true: writes their navigation, executes them, compares the outputs, makes the book.

python tools/notebooks.py nav                       write title and navigation line of every notebook
python tools/notebooks.py refresh [NOTEBOOK...]     execute, normalise, write; a second time no byte changes
                          --timings                 new outputs for the cells tagged "timing" too
python tools/notebooks.py check [NOTEBOOK...]       execute copies; exit 1 if anything committed is stale
                          --timings                 list the slowest cells
python tools/notebooks.py book                      execute all, write the HTML book into build/book/
"""

import argparse
import ast
import asyncio
import base64
import configparser
import dataclasses
import difflib
import hashlib
import html
import io
import json
import os
import pathlib
import platform
import re
import sys
import tempfile
import time

import nbformat

ROOT = pathlib.Path(__file__).resolve().parent.parent
SANITIZER = ROOT / "tests" / "nbval_sanitize.cfg"

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}
KEPT_CELL_METADATA = ("tags", "slideshow", "memcg_lab")
ALLOWED_TAGS = frozenset(
    {
        "timing",
        "nbval-ignore-output",
        "nbval-skip",
        "skip-execution",
        "raises-exception",
        "hide-input",
        "hide-output",
        "remove-cell",
        "predict",
        "exercise",
        "solution",
        "checkpoint",
        "parameters",
    }
)
EXEMPT_TAGS = frozenset({"timing", "nbval-ignore-output", "nbval-skip", "skip-execution"})

AT_ONCE = 2  # notebooks executed at the same time; the collection is meant for two cores
CELL_TIMEOUT = 120  # seconds
TOTAL_SECONDS = 180  # all notebooks together
MAX_BYTES = 400_000  # of one notebook
MAX_RMS = 3.0  # of 255; lets another FreeType or CPU pass, not another curve
FLOOR = 0.80  # share of the cells that are not pure definitions which must really be compared

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# nbval never looks at these.
NOT_COMPARED = frozenset({"image/png", "image/jpeg", "text/latex", WIDGET_VIEW})
PNG = re.compile(r"iVBORw0KGgo[A-Za-z0-9+/]*={0,2}")  # base64 of a PNG always starts so


class NotebookFault(Exception):
    """A notebook that cannot be read, executed or written as it should be; the text says what to mend."""


# --- files


def roster(root):
    """All notebooks of the course, in course order."""
    return sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def chosen(root, names):
    """The notebooks named on the command line by path, file name or stem; all when none is named."""
    everything = roster(root)
    if not everything:
        raise NotebookFault(f"no notebook like 00_name.ipynb in {root / 'notebooks'}")
    picked = []
    for name in names:
        stem = pathlib.Path(name).name.removesuffix(".ipynb")
        found = [path for path in everything if path.stem == stem]
        if not found:
            raise NotebookFault(f"{name}: no such notebook; there are {', '.join(p.stem for p in everything)}")
        picked += found
    return picked or everything


def read_raw(path):
    return path.read_bytes().decode("utf-8")


def parse(raw, path):
    try:
        # Not nbformat.reads: it would mend missing and doubled cell ids with random ones.
        nb = nbformat.v4.reads_json(raw)
        if nb.nbformat != 4:
            raise ValueError(f"format {nb.nbformat}, not 4")
        nb.nbformat_minor = 5
        give_ids(nb)
        nbformat.validate(nb)
    except Exception as error:  # nbformat raises several kinds; each means the same to the author
        raise NotebookFault(f"{path.name}: not a notebook: {(str(error) or repr(error)).splitlines()[0]}") from error
    return nb


def give_ids(nb):
    """Let every cell keep its id; one that has none, or another's, gets one made of place and text."""
    seen = set()
    for position, cell in enumerate(nb.cells):
        if not cell.get("id") or cell.id in seen:
            cell.id = hashlib.sha256(f"{position}\n{cell.source}".encode()).hexdigest()[:8]
        seen.add(cell.id)


def text_of(nb):
    """The one way a notebook is written to disk."""
    return nbformat.writes(nb).rstrip("\n") + "\n"


def write_if_changed(path, text):
    if path.exists() and path.read_bytes() == text.encode("utf-8"):
        return False
    path.write_text(text, encoding="utf-8", newline="\n")
    return True


def tags_of(cell):
    return set(cell.metadata.get("tags", []))


# --- navigation

TITLE = re.compile(r"^# (?:\d\d · )?(?P<title>.+?)\s*$")
NAV_LINE = re.compile(r"^(?:\[← .*\| )?\[Contents\]\(.*$")


def title_of(nb, path):
    """The title without its number; the number comes from the file name."""
    first = nb.cells[0].source.split("\n")[0] if nb.cells and nb.cells[0].cell_type == "markdown" else ""
    match = TITLE.match(first)
    if not match:
        raise NotebookFault(f"{path.name}: the first cell must be Markdown and begin with '# Title'")
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


def navigated(root, notebooks):
    """Put title and navigation line into ``notebooks``, a dict by path. Neighbours are read from disk."""
    everything = roster(root)
    loaded = {path: notebooks.get(path) or parse(read_raw(path), path) for path in everything}
    names = [(path, title_of(loaded[path], path)) for path in everything]
    for position, (path, title) in enumerate(names):
        if path in notebooks:
            first = notebooks[path].cells[0]
            first.source = with_navigation(first.source, path, title, nav_line(position, names))


# --- normal form


def normalise(nb):
    """Bring a notebook to the one form that is committed. Doing it twice is doing it once."""
    nb.nbformat, nb.nbformat_minor = 4, 5
    # All else goes: widget state (GitHub refuses it half-filled), the interpreter's version, editors' marks.
    nb.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE_INFO})
    give_ids(nb)
    count = 0
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key in KEPT_CELL_METADATA and value}
        )
        if "tags" in cell.metadata:
            cell.metadata.tags = sorted(set(cell.metadata.tags))
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            count += 1
            cell.execution_count = count
        cell.outputs = [normal_output(output, cell.execution_count) for output in joined_streams(cell.outputs)]
    return nb


def joined_streams(outputs):
    """Neighbouring pieces of one stream as one output: where the kernel cut them is chance."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else None
        if output.output_type == "stream" and last is not None and last.get("name") == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def normal_output(output, count):
    if output.output_type == "error":
        # Frames hold paths of this machine; nbval compares name and value only.
        output.traceback = [f"{output.ename}: {output.evalue}"]
    if "data" in output:
        if len(output.data) > 1:
            output.data.pop(WIDGET_VIEW, None)  # the sentence and the picture stay
        if "image/png" in output.data:
            output.data["image/png"] = "".join(output.data["image/png"].split())
        output.metadata = nbformat.from_dict({})
    if "execution_count" in output:
        output.execution_count = count
    return output


def keep_committed_timings(new, old):
    """Cells tagged ``timing`` keep the output they had, if they had one."""
    for fresh, committed in zip(new.cells, old.cells, strict=True):
        if "timing" in tags_of(fresh) and committed.get("outputs"):
            fresh.outputs = committed.outputs


# --- execution


@dataclasses.dataclass
class Execution:
    """One notebook before and after a run."""

    path: pathlib.Path
    committed_raw: str
    committed: nbformat.NotebookNode
    notebook: nbformat.NotebookNode  # executed and normalised
    seconds: float = 0.0
    error: str = ""  # what stopped it
    cell_seconds: dict = dataclasses.field(default_factory=dict)  # by position


async def execute_one(run, places):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    began = {}

    def starts(cell, cell_index):
        began[cell_index] = time.perf_counter()

    def ends(cell, cell_index, execute_reply):
        run.cell_seconds[cell_index] = time.perf_counter() - began[cell_index]

    async def attempt():
        await NotebookClient(
            run.notebook,
            on_cell_start=starts,
            on_cell_executed=ends,
            timeout=CELL_TIMEOUT,
            kernel_name=KERNELSPEC["name"],
            record_timing=False,
            resources={"metadata": {"path": str(run.path.parent)}},
            # Without this every kernel start prints a warning about plain TCP on loopback.
            config=Config({"KernelManager": {"transport_encryption": "auto"}}),
        ).async_execute()

    async with places:
        start = time.perf_counter()
        try:
            try:
                await attempt()
            except DeadKernelError:
                raise
            except RuntimeError as error:
                if began:
                    raise
                # Kernels choose a free port and take it later; now and then another process was faster.
                print(f"  {run.path.name}: {error}; once more", flush=True)
                await attempt()
        except CellExecutionError as error:
            run.error = f"{error.ename}: {error.evalue}" + where_it_failed(run.notebook)
        except (CellTimeoutError, DeadKernelError) as error:
            run.error = str(error).splitlines()[0]
        run.seconds = time.perf_counter() - start
    normalise(run.notebook)
    print(f"  ran {run.path.name} in {run.seconds:.1f} s" + (f": {run.error}" if run.error else ""), flush=True)


def where_it_failed(nb):
    for position, cell in enumerate(nb.cells):
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            if "raises-exception" not in tags_of(cell):
                return f" (cell {position}: {cell.source.strip().splitlines()[0]})"
    return ""


def execute(root, paths):
    """Write navigation, run every notebook in ``notebooks/``. Returns (executions, wall seconds)."""
    runs = []
    for path in paths:
        raw = read_raw(path)
        runs.append(Execution(path, raw, parse(raw, path), parse(raw, path)))
    navigated(root, {run.path: run.notebook for run in runs})
    for run in runs:
        normalise(run.notebook)  # before the run too: the client wants ids and a kernelspec

    async def everything():
        places = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(execute_one(run, places) for run in runs))

    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a debugger notice on stderr otherwise
    start = time.perf_counter()
    asyncio.run(everything())
    return runs, time.perf_counter() - start


# --- faults of a file


def masked(text):
    """The text with every PNG replaced by its name: what is compared letter by letter."""
    return PNG.sub("PNG", text)


def machine_traces():
    """Patterns of what belongs to one machine only: its folders, its name, its addresses."""
    folders = {str(ROOT), str(pathlib.Path.home()), tempfile.gettempdir(), sys.prefix}
    # As JSON writes them, and with something below: a bare "/tmp" in prose is no trace.
    patterns = [rf"(?<![\w.]){re.escape(json.dumps(folder)[1:-1])}(?:/|\\\\)[\w.]" for folder in sorted(folders)]
    patterns += [
        r"(?<![\w.])/(?:home|Users)/\w",
        r"/sys/fs/cgroup/\w",
        r"\b[A-Z]:\\\\Users",
        r"ipykernel_\d+",
        r"/site-packages/",
        r"\blocalhost:\d",
        r"\b127\.0\.0\.1\b",
    ]
    if len(platform.node()) >= 8:
        patterns.append(rf"\b{re.escape(platform.node())}\b")
    return re.compile("|".join(patterns))


def faults(nb, raw):
    """What must not be in a committed notebook, as sentences."""
    found = []
    if len(raw.encode()) >= MAX_BYTES:
        found.append(f"{len(raw.encode()):,} bytes; a notebook stays under {MAX_BYTES:,}")
    if "widgets" in nb.metadata:
        found.append("metadata.widgets is there; refresh removes it")
    trace = machine_traces()
    for position, cell in enumerate(nb.cells):
        at = f"cell {position}: "
        tags = tags_of(cell)
        if tags - ALLOWED_TAGS:
            found.append(f"{at}tags not allowed: {', '.join(sorted(tags - ALLOWED_TAGS))}")
        if tags & EXEMPT_TAGS and not str(cell.metadata.get("memcg_lab", {}).get("reason", "")).strip():
            found.append(f"{at}{', '.join(sorted(tags & EXEMPT_TAGS))} without a reason in metadata.memcg_lab.reason")
        if ("timing" in tags) != ("nbval-ignore-output" in tags):
            found.append(f"{at}timing and nbval-ignore-output go together: only a timing may differ")
        if ("nbval-skip" in tags) != ("skip-execution" in tags):
            found.append(f"{at}nbval-skip and skip-execution go together: each tool knows one of them")
        match = trace.search(masked(json.dumps(cell, ensure_ascii=False)))
        if match:
            found.append(f"{at}a path or name of one machine: {match[0]}")
        for output in cell.get("outputs", []):
            found += [at + fault for fault in output_faults(output, tags)]
    return found


def output_faults(output, tags):
    if output.output_type == "error" and "raises-exception" not in tags:
        yield f"an error: {output.ename}: {output.evalue}"
    if output.output_type == "stream" and output.name == "stderr":
        yield f"stderr: {output.text.strip().splitlines()[0] if output.text.strip() else 'blank'}"
    data = output.get("data", {})
    sentence = data.get("text/plain", "").strip()
    if "image/png" in data and (not sentence or sentence.startswith("<")):
        yield "a picture without a sentence in text/plain"
    for tag in re.findall(r"<img\b[^>]*>", data.get("text/html", "")):
        if not re.search(r"\balt\s*=\s*[\"'][^\"']", tag):
            yield "an <img> without alt text"


# --- staleness


def picture_distance(one, other):
    """RMS difference of two base64 PNGs over all pixels, of 255; infinite when the sizes differ."""
    import numpy as np
    from PIL import Image

    if one == other:
        return 0.0
    a, b = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA"), dtype=float) for png in (one, other)
    )
    if a.shape != b.shape:
        return float("inf")
    return float(np.sqrt(np.mean((a - b) ** 2)))


def stale(run):
    """Where the committed file differs from what its execution gives: one text a cell."""
    old, new = run.committed_raw, text_of(run.notebook)
    found = []
    for position, (before, after) in enumerate(zip(run.committed.cells, run.notebook.cells, strict=True)):
        if before.cell_type == "code" and before.execution_count is None and after.execution_count is not None:
            found.append(f"cell {position}: never executed")
            continue
        before, after = (json.dumps(cell, indent=1, sort_keys=True, ensure_ascii=False) for cell in (before, after))
        what = difference(before, after)
        if what:
            found.append(f"cell {position}: {what}")
    # The cells agree, yet the file does not: metadata or layout of the file.
    if not found and masked(old) != masked(new):
        found = [f"not as refresh writes it: {difference(old, new)}"]
    return found


def difference(before, after):
    """What differs between two texts that may hold pictures; empty if nothing that counts."""
    if masked(before) != masked(after):
        lines = difflib.unified_diff(masked(before).splitlines(), masked(after).splitlines(), lineterm="", n=0)
        changed = [line[:160] for line in lines if not line.startswith(("---", "+++", "@@"))]
        return "\n    ".join(["committed (-), executed (+)", *changed[:8], *(["…"] if len(changed) > 8 else [])])
    distances = [picture_distance(*pair) for pair in zip(PNG.findall(before), PNG.findall(after), strict=True)]
    return "; ".join(
        f"picture {number} differs: RMS {distance:.1f} of 255, allowed {MAX_RMS:g}"
        for number, distance in enumerate(distances, 1)
        if distance > MAX_RMS
    )


# --- what is compared


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


# --- commands


def nav(root):
    loaded = {path: parse(read_raw(path), path) for path in chosen(root, [])}
    sources = {path: nb.cells[0].source for path, nb in loaded.items() if nb.cells}
    navigated(root, loaded)
    for path, nb in loaded.items():
        if nb.cells[0].source != sources[path]:
            write_if_changed(path, text_of(normalise(nb)))
            print(f"navigation written: {path.name}")
    return 0


def refresh(root, names, timings=False):
    paths = chosen(root, names)
    nav(root)
    runs, seconds = execute(root, paths)
    failed = 0
    for run in runs:
        if not timings:
            keep_committed_timings(run.notebook, run.committed)
            normalise(run.notebook)
        text = text_of(run.notebook)
        found = [run.error] if run.error else faults(run.notebook, text)
        if found:
            failed += 1
            print(f"NOT WRITTEN {run.path.name}")
            for fault in found:
                print(f"    {fault}")
        else:
            print(f"{'wrote' if write_if_changed(run.path, text) else 'unchanged'} {run.path.name}")
    print(f"{len(runs) - failed} of {len(runs)} notebooks in {seconds:.1f} s")
    return 1 if failed else 0


def print_slowest(runs, number=10):
    cells = [(seconds, run.path.name, position) for run in runs for position, seconds in run.cell_seconds.items()]
    print("slowest cells:")
    for seconds, name, position in sorted(cells, reverse=True)[:number]:
        print(f"  {seconds:6.2f} s  {name}, cell {position}")


def check(root, names, timings=False):
    runs, seconds = execute(root, chosen(root, names))
    patterns = sanitizer_patterns()
    rows, complaints = [], []
    for run in runs:
        name = run.path.name
        covered = coverage(run.committed, patterns)
        rows.append((run.path, covered, run.seconds, len(run.committed_raw.encode())))
        if run.error:
            complaints.append(f"{name}: stopped: {run.error}")
        else:
            keep_committed_timings(run.notebook, run.committed)
            complaints += [f"{name}: stale: {what}" for what in stale(run)]
        complaints += [f"{name}: {fault}" for fault in faults(run.committed, run.committed_raw)]
        if covered.below_floor:
            complaints.append(
                f"{name}: only {covered.kinds['compared']} of {covered.cells - covered.kinds['pure']} "
                f"cells are compared; at least {FLOOR:.0%} must be"
            )
    print_report(rows)
    print(f"all notebooks: {seconds:.1f} s, allowed {TOTAL_SECONDS} s")
    if timings:
        print_slowest(runs)
    if seconds > TOTAL_SECONDS:
        complaints.append(f"all notebooks together took {seconds:.0f} s, more than {TOTAL_SECONDS} s")
    for complaint in complaints:
        print(complaint)
    print(
        "the notebooks are what they say"
        if not complaints
        else f"{len(complaints)} complaints; stale ones: look at the change, then run refresh"
    )
    return 1 if complaints else 0


def with_html_pictures(nb):
    """For the book: a picture that has no HTML form gets one, with its sentence as alt text."""
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data and "text/html" not in data:
                alt = html.escape(data.get("text/plain", ""), quote=True)
                data["text/html"] = (
                    f'<figure><img alt="{alt}" src="data:image/png;base64,{data["image/png"]}"></figure>'
                )
    return nb


def book(root):
    import book as bookbinding  # tools/book.py: Sphinx is needed only here

    runs, _ = execute(root, chosen(root, []))
    stopped = [f"{run.path.name}: {run.error}" for run in runs if run.error]
    if stopped:
        raise NotebookFault("\n".join(stopped))
    pages = {run.path: with_html_pictures(run.notebook) for run in runs}
    return bookbinding.build(root, pages, ROOT / "docs")


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the folder that holds notebooks/")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("nav")
    commands.add_parser("book")
    for name in ("refresh", "check"):
        command = commands.add_parser(name)
        command.add_argument("notebooks", nargs="*", metavar="NOTEBOOK")
        command.add_argument(
            "--timings",
            action="store_true",
            help={"refresh": "replace the outputs of timing cells too", "check": "list the slowest cells"}[name],
        )
    options = parser.parse_args(argv)
    root = options.root.resolve()
    try:
        if options.command == "nav":
            return nav(root)
        if options.command == "book":
            return book(root)
        if options.command == "refresh":
            return refresh(root, options.notebooks, options.timings)
        return check(root, options.notebooks, options.timings)
    except NotebookFault as fault:
        print(fault, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
