"""The reader's own copies of the notebooks, in study/: what a reader writes there, no update of the originals touches.

python -m tools.study      what ``python3 lab.py`` runs first; standard library only

A copy is a notebook without outputs. It counts as changed by the reader when the text of a cell is another than when it
was copied; that it was run does not count. If the original changes, an unchanged copy is replaced; beside a changed one
the new original is put as NAME.new.ipynb, and a line says so. A copy that the reader deletes is made anew.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import re
import secrets
import sys

from tools.folding import discusses

ROOT = pathlib.Path(__file__).resolve().parent.parent
STATE = ".state.json"  # what was copied; memcg_lab/course/notes.py takes it for the mark of a reader's folder
FORMAT, VERSION = "memcg-lab study", 1


class StudyFault(Exception):
    """There can be no copies; the text says why."""


def update(root):
    """Bring study/ up to date; the sentences to tell.

    Raises
    ------
    StudyFault
        If study/ cannot be written, or there is nothing to copy.
    """
    originals, folder = sorted((root / "notebooks").glob("*.ipynb")), root / "study"
    if not originals:
        raise StudyFault("notebooks/ holds no notebook")
    told = []
    try:
        folder.mkdir(exist_ok=True)
        copied, complaint = known(folder / STATE)
        told += complaint
        if not (folder / STATE).exists():
            keep(folder / STATE, copied)  # a folder that cannot be written shows it here, before anything is copied
        for path in originals:
            try:
                told += follow(path, folder, copied)
            except ValueError as error:
                told.append(f"notebooks/{path.name} {error}; it is left out.")
        told += drop({path.name for path in originals}, folder, copied)
        keep(folder / STATE, copied)
    except OSError as error:
        raise StudyFault(f"study/ cannot be written ({error.strerror or error})") from error
    return told


def follow(path, folder, copied):
    """One original: make or replace its copy, or put the new one beside a changed copy."""
    name = path.name
    new = name.removesuffix(".ipynb") + ".new.ipynb"
    original = moved(read(path))
    now, here, beside = digest(original), standing(folder / name), standing(folder / new)
    if here in (None, now, copied.get(name)):
        if here != now:
            write(folder / name, emptied(original))
        copied[name] = now
        discard(folder / new, copied)
        return []
    if now in (copied.get(name), copied.get(new)):  # nothing is newer, or it was told
        none = f"study/{name} is no notebook, and stays. Delete it, and the next start makes it anew."
        return [none] if here == "" else []
    if beside not in (None, copied.get(new)):
        return [f"study/{name} and study/{new} are changed by you, and stay. There is a newer notebooks/{name}."]
    write(folder / new, emptied(original))
    copied[new] = now
    return [f"study/{name} is changed by you, and stays. There is a newer original; beside yours it is study/{new}."]


def drop(names, folder, copied):
    """Copies whose originals are gone: away with what the reader did not change."""
    told = []
    for name in sorted(copied):
        if name in names or name.endswith(".new.ipynb") and name.replace(".new.ipynb", ".ipynb") in names:
            continue
        if not discard(folder / name, copied):
            copied.pop(name)
            told.append(f"study/{name} is changed by you, and stays. The course has no such notebook any more.")
    return told


def discard(path, copied):
    """Remove a copy that the reader did not change; False if it has to stay."""
    if standing(path) not in (None, copied.get(path.name)):
        return False
    path.unlink(missing_ok=True)
    copied.pop(path.name, None)
    return True


# --- notebooks


def read(path):
    """A notebook as JSON has it; a ValueError says what is wrong with it."""
    try:
        notebook = json.loads(path.read_bytes().decode("utf-8"))
        cells = notebook["cells"]
        for cell in cells:
            if not isinstance(cell["cell_type"], str) or not isinstance(cell.get("metadata", {}), dict):
                raise TypeError
            text_of(cell)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    except (TypeError, KeyError):
        raise ValueError("is no notebook") from None
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror or error})") from None
    return notebook


def moved(notebook):
    """A notebook whose links to the solutions, of which there are no copies, lead to the originals."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = re.sub(r"\]\((?=solutions/)", "](../notebooks/", text_of(cell))
    return notebook


def text_of(cell):
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def digest(notebook):
    """What a notebook says, whatever its outputs, ids and marks are."""
    said = [[cell["cell_type"], text_of(cell)] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(said).encode("ascii")).hexdigest()


def standing(path):
    """The digest of a copy; None if there is none, and "" if it is no notebook any more."""
    try:
        return digest(read(path)) if path.exists() else None
    except ValueError:
        return ""


def emptied(notebook):
    """A notebook as nobody has run it: no outputs, and so none to fold; what is said of a run is folded until asked."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            cell.get("metadata", {}).pop("jupyter", None)
        elif discusses(text_of(cell)):
            cell.setdefault("metadata", {})["jupyter"] = {"source_hidden": True}
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


# --- files


def known(path):
    """(digest of what was copied, by name; what to tell if it is not known)."""
    try:
        state = json.loads(path.read_bytes().decode("utf-8"))
        copied = state["copied"]
        if (state["format"], state["version"]) != (FORMAT, VERSION):
            raise ValueError
        for name, value in copied.items():  # a name here may be removed: only a copy, and never for no digest
            if not name.endswith(".ipynb") or pathlib.PurePath(name).name != name:
                raise ValueError
            if not re.fullmatch("[0-9a-f]{64}", value):
                raise ValueError
        return dict(copied), []
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}, [f"study/{STATE} cannot be understood; every copy that differs from its original counts as yours."]


def keep(path, copied):
    write(path, json.dumps({"format": FORMAT, "version": VERSION, "copied": copied}, indent=1) + "\n")


def write(path, text):
    """A file, whole or not at all."""
    scratch = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        scratch.write_text(text, encoding="utf-8", newline="\n", errors="backslashreplace")
        os.replace(scratch, path)
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the folder that holds notebooks/")
    try:
        for sentence in update(parser.parse_args(argv).root):
            print(sentence)
    except StudyFault as fault:
        print(f"No copies of your own: {fault}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
