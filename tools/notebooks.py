"""The course's notebooks as files: which there are, how one is read, and the one form in which it is committed."""

import argparse
import hashlib
import os
import pathlib
import re
import sys

import nbformat

from tools import folding

ROOT = pathlib.Path(__file__).resolve().parent.parent

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}
KEPT_CELL_METADATA = ("tags", "slideshow", "memcg_lab")
EXEMPT_TAGS = frozenset({"timing", "nbval-ignore-output", "nbval-skip", "skip-execution"})
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
LIVE_MARK = re.compile(r' data-memcg-live="[^"]*"')  # which living lab takes a picture's place, in one session


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
    folding.fold(nb)
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
        if "text/html" in output.data:
            output.data["text/html"] = LIVE_MARK.sub("", output.data["text/html"])
        if "image/png" in output.data:
            output.data["image/png"] = "".join(output.data["image/png"].split())
        output.metadata = nbformat.from_dict({})
    if "execution_count" in output:
        output.execution_count = count
    return output


# --- commands


def parser(doc, names=False):
    """The command line of one tool; ``names`` if it takes notebooks."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--root", type=pathlib.Path, default=ROOT, help="the folder that holds notebooks/")
    if names:
        made.add_argument(
            "names", nargs="*", metavar="NOTEBOOK", help="by path, file name or stem; all if none is named"
        )
    return made


def run(work, options):
    """``work`` with the options of its command line. Returns an exit status: 1 for a fault, 2 for a file's trouble."""
    options.root = options.root.resolve()
    try:
        status = work(**vars(options))
        sys.stdout.flush()
        return status
    except NotebookFault as fault:
        print(fault, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return 130
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try a full output once more at its end, and say so
        print(f"{error.filename or 'the output or a file'}: {error.strerror or error}.", file=sys.stderr)
        return 2
