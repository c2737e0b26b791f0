"""The page: everything in one file that opens by a double click, without a network and without Python."""

import base64
import gzip
import hashlib
import json
import pathlib

from .. import forms
from ..checks import shown
from ..files import path_of, writing
from ..labs.stage.data import data
from . import answers, build

HERE = pathlib.Path(__file__).parent
STAGE = HERE.parent / "labs" / "stage"
BYTES_MAX = 3_000_000


def make_page(out, kernels="build/web"):
    """Write the one file; an earlier one in its place is replaced.

    Parameters
    ----------
    out : str or Path
        The file; its folder is there. Refused if something else has that name.
    kernels : str or Path
        The folder that ``build`` has filled, with all kernels.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    ValueError
        If the kernels are not there, are those of another version of the library, or the file cannot be written.
    """
    folder, place = path_of(kernels), path_of(out)
    page = assemble(folder)
    if place.is_file() and not _is_page(place, page):
        raise ValueError(f"{shown(str(place))} is there and is no page of this library; choose another name.")
    with writing(out, replace=True) as at:
        pathlib.Path(at).write_text(page, encoding="utf-8")
    return len(page.encode())


def assemble(folder):
    """The text of the page, with the kernels of a folder."""
    description = _description(folder)
    told = data()
    policies = [machine["policy"] for machine in told["machines"]]
    wanted = [f"steps {policy}" for policy in policies] + [f"replay {policy}" for policy in answers.POLICY.values()]
    missing = [name for name in wanted if name not in description["kernels"]]
    if missing:
        raise ValueError(f"{shown(str(folder))} has no kernel {missing[0]}; {_AGAIN}")
    used = {name: description["kernels"][name] for name in dict.fromkeys(wanted)}
    files = {one["file"]: _wasm(folder, one) for one in used.values()}
    files[build.ANSWERS] = _bytes(folder / build.ANSWERS)
    files["kernels.json"] = _json({**description, "kernels": used})
    files["stage.json"] = _json(told)
    inside = {name: base64.b64encode(gzip.compress(content, 9, mtime=0)).decode() for name, content in files.items()}
    page = (HERE / "page.html").read_text(encoding="utf-8")
    parts = {
        "/*STYLE*/": (STAGE / "stage.css").read_text(encoding="utf-8"),
        "/*DATA*/": json.dumps(inside, separators=(",", ":")),
        "/*KERNEL*/": (HERE / "kernel.js").read_text(encoding="utf-8"),
        "/*STAGE*/": (STAGE / "stage.js").read_text(encoding="utf-8"),
    }
    for mark, text in parts.items():
        if "</script" in text or "</style" in text or page.count(mark) != 1:
            raise AssertionError(f"what stands for {mark} cannot be put into the page.")
        page = page.replace(mark, text)
    if len(page.encode()) > BYTES_MAX:
        raise AssertionError(f"the page has {len(page.encode()):,} bytes; it may have {BYTES_MAX:,}.")
    return page


def _is_page(place, page):
    """True if a file begins as our pages do, so that a new one may stand in its place."""
    begin = page[: page.index("<style>")]
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
