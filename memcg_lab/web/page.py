"""The living labs without Python: one script for a site, and one file that opens by a double click."""

import base64
import contextlib
import functools
import gzip
import hashlib
import html
import io
import json
import pathlib

from PIL import Image

from .. import forms, labs
from ..checks import one_of, shown
from ..files import path_of, writing
from ..labs import base, cost
from . import answers, build
from .sections import SECTIONS

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
GRID = "cost.json"
SCRIPTS = (*base.SCRIPTS[:-1], HERE / "mount.js")  # in the place of what speaks to a notebook
BYTES_MAX = 3_000_000
THUMB = (400, 208)  # pixels of the picture of a lab in the list of contents, twice what is shown


def make_page(out, kernels="build/web", chosen=None):
    """Write the one file; an earlier one in its place is replaced.

    Parameters
    ----------
    out : str or Path
        The file; its folder is there. Refused if something else has that name.
    kernels : str or Path
        The folder that ``build`` has filled, with all kernels.
    chosen : str, optional
        The name of one lab: the page then has that lab and nothing else. By default it has all that live in a page,
        with a text around each, a list of contents and the self-check.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    ValueError
        If the kernels are not there, are those of another version of the library, there is no such lab, or the file
        cannot be written.
    """
    place = path_of(out)
    page = assemble(path_of(kernels), chosen)
    if place.is_file() and not _is_page(place, page):
        raise ValueError(f"{shown(str(place))} is there and is no page of this library; choose another name.")
    with writing(out, replace=True) as at:
        pathlib.Path(at).write_text(page, encoding="utf-8")
    return len(page.encode())


def assemble(folder, chosen=None):
    """The text of the page, with the kernels of a folder."""
    sections = [each for each in SECTIONS if chosen in (None, each.lab)]
    if not sections:
        one_of("chosen", chosen, [each.lab for each in SECTIONS])
    script = bundle(folder, [each.lab for each in sections], golden=True)
    living = [_lab(each.lab) for each in sections]
    page = (HERE / "page.html").read_text(encoding="utf-8")
    if chosen is None:
        parts = {
            "<!--CONTENTS-->": "\n".join(_entry(*each) for each in zip(sections, living, strict=True)),
            "<!--SECTIONS-->": "\n".join(_section(*each) for each in zip(sections, living, strict=True)),
        }
    else:
        begin, end = page.index("<body>") + len("<body>"), page.index("<script>")
        page = f'{page[:begin]}\n<main id="alone">\n{_still(living[0])}\n</main>\n{page[end:]}'
        parts = {}
    for mark, text in {**parts, "/*SCRIPT*/": script}.items():
        if page.count(mark) != 1:
            raise AssertionError(f"the page has {page.count(mark)} places for {mark}.")
        page = page.replace(mark, text)
    if len(page.encode()) > BYTES_MAX:
        raise AssertionError(f"the page has {len(page.encode()):,} bytes; it may have {BYTES_MAX:,}.")
    return page


def bundle(folder, names=None, *, golden=False):
    """One classic script that brings the labs of any page to life: front end, kernels and data are inside.

    When it runs, at the end of a page, every element with ``data-memcg-lab`` whose lab lives without Python becomes
    that lab as soon as it comes near the screen. It asks for nothing from anywhere.

    Parameters
    ----------
    folder : str or Path
        The folder that ``build`` has filled.
    names : sequence of str, optional
        The labs that the page may have; by default all that live in a page.
    golden : bool
        Put the golden files in too, for a self-check.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the kernels are not there, or are those of another version of the library.
    """
    folder = path_of(folder)
    names = [each.lab for each in SECTIONS] if names is None else list(names)
    description = _description(folder)
    told = {name: _data(name, folder) for name in names}
    wanted = [kernel for data in told.values() for kernel in _kernels(data)]
    if golden:
        wanted += [f"replay {policy}" for policy in answers.POLICY.values()]
    missing = [kernel for kernel in wanted if kernel not in description["kernels"]]
    if missing:
        raise ValueError(f"{shown(str(folder))} has no kernel {missing[0]}; {_AGAIN}")
    used = {kernel: description["kernels"][kernel] for kernel in dict.fromkeys(wanted)}
    files = {one["file"]: _wasm(folder, one) for one in used.values()}
    files["kernels.json"] = _json({**description, "kernels": used})
    files |= {f"{name}.json": _json(data) for name, data in told.items()}
    if golden:
        files[build.ANSWERS] = _bytes(folder / build.ANSWERS)
    inside = {name: base64.b64encode(gzip.compress(content, 9, mtime=0)).decode() for name, content in files.items()}
    script = (
        '(() => {\n"use strict";\n'
        f"const INSIDE = {json.dumps(inside, separators=(',', ':'))};\n{base.front_end(SCRIPTS)}\n}})();\n"
    )
    if "</script" in script.lower() or "<!--" in script:
        raise AssertionError("the script cannot stand in a page.")
    return script


# --- the parts of the page -------------------------------------------------------------------------------------------
@functools.cache
def _lab(name):
    """A lab as it opens."""
    return getattr(labs, name)()


def _data(name, folder):
    """What the front end of a lab has to know where there is no Python."""
    data = _lab(name).data()
    return data | {"grid": _grid(folder)} if name == "CostLab" else data


def _kernels(data):
    """What the front end of a lab runs: a stage its machines, a chart the machine's kernel on systems in use."""
    on_stage = [f"{kind} {machine['policy']}" for machine in data.get("machines", ()) for kind in ("steps", "events")]
    return on_stage + [
        f"{kind} {policy}" for policy in data.get("policies", {}).values() for kind in ("replay", "machine")
    ]


def _grid(folder):
    """The answers of the cost lab. They take minutes, so they are kept beside the kernels as long as they are good."""
    parts = [*(path for room in ("machine", "mechanism", "perf") for path in sorted((ROOT / room).glob("*.py")))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*parts, pathlib.Path(cost.__file__)])).hexdigest()
    kept = folder / GRID
    with contextlib.suppress(OSError, ValueError, TypeError):
        known = json.loads(kept.read_text(encoding="utf-8"))
        if known.get("made_of") == digest:
            return known["grid"]
    made = cost.grid()
    kept.write_text(json.dumps({"made_of": digest, "grid": made}, separators=(",", ":")), encoding="utf-8")
    return made


def _still(lab):
    """The picture of a lab as a page has it: there is no cell to run."""
    return lab.to_html().replace(base.LIVE, base.STILL)


def _section(section, lab):
    tries = "".join(f"<li>{_text(each)}</li>" for each in section.tries)
    return (
        f'<section id="{section.lab}"><h2>{_text(section.title)}</h2><p>{_text(section.says)}</p>'
        f"<p>Try this:</p><ol>{tries}</ol>\n{_still(lab)}\n"
        '<p><a href="#contents">Back to the contents</a></p></section>'
    )


def _entry(section, lab):
    picture = base64.b64encode(_thumb(lab.figure().png())).decode("ascii")
    return (
        f'<li><a href="#{section.lab}"><img alt="" src="data:image/png;base64,{picture}">'
        f"<b>{_text(section.title)}</b> {_text(section.short)}</a></li>"
    )


def _text(text):
    """Text of ours, with what stands between backticks as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))


def _thumb(picture):
    """A small picture of few colours."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail(THUMB, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.quantize(32, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _is_page(place, page):
    """True if a file begins as our pages do, so that a new one may stand in its place."""
    begin = page[: page.index("<title>")]
    try:
        with place.open(encoding="utf-8") as file:
            return file.read(len(begin)) == begin
    except (OSError, ValueError):
        return False


_AGAIN = "run: python -m memcg_lab web build"


def _description(folder):
    """The description of a build, if it is one of this library."""
    try:
        description = json.loads((folder / build.DESCRIPTION).read_text(encoding="utf-8"))
        kernels = description["kernels"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{shown(str(folder))} holds no kernels for the web; {_AGAIN}") from error
    now = json.loads(_json({"format": build.FORMAT, **forms.description()}))
    if {**description, "kernels": None} != {**now, "kernels": None} or not isinstance(kernels, dict):
        raise ValueError(f"the kernels in {shown(str(folder))} are of another version of the library; {_AGAIN}")
    return description


def _wasm(folder, told):
    code = _bytes(folder / told["file"])
    if hashlib.sha256(code).hexdigest() != told["sha256"]:
        raise ValueError(f"{shown(str(folder / told['file']))} is not the kernel that was built; {_AGAIN}")
    return code


def _bytes(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{shown(str(path))} cannot be read; {_AGAIN}") from error


def _json(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
