"""What must not stand in a committed notebook: rules for its tags, its outputs and its size."""

import json
import pathlib
import platform
import re
import sys
import tempfile

from tools import folding
from tools.comparison import masked
from tools.notebooks import EXEMPT_TAGS, ROOT, tags_of

ALLOWED_TAGS = EXEMPT_TAGS | {
    "raises-exception",
    "hide-input",
    "hide-output",
    "remove-cell",
    "predict",
    "exercise",
    "solution",
    "checkpoint",
    folding.TAG,
    "parameters",
}
MAX_BYTES = 400_000  # of one notebook


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
