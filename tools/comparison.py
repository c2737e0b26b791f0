"""Two forms of one notebook, committed and executed, compared: words letter by letter, pictures by their pixels."""

import base64
import difflib
import io
import json
import re

from tools.notebooks import tags_of, text_of

MAX_RMS = 3.0  # of 255; lets another FreeType or CPU pass, not another curve
PNG = re.compile(r"iVBORw0KGgo[A-Za-z0-9+/]*={0,2}")  # base64 of a PNG always starts so


def masked(text):
    """The text with every PNG replaced by its name: what is compared letter by letter."""
    return PNG.sub("PNG", text)


def keep_committed_timings(new, old):
    """Cells tagged ``timing`` keep the output they had, if they had one."""
    for fresh, committed in zip(new.cells, old.cells, strict=True):
        if "timing" in tags_of(fresh) and committed.get("outputs"):
            fresh.outputs = committed.outputs


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
    if len(run.committed.cells) != len(run.notebook.cells):
        return ["refresh would put in or take away cells: the questions at both ends"]
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
