"""Files that come with the library: where a notebook finds them, whatever folder it was started in."""

import pathlib

from .words import kind, listing

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
GOLDEN = DATA / "golden"


def data_path(name):
    """Where a bundled file lies.

    Parameters
    ----------
    name : str
        Its place below ``data/``, with forward slashes.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If there is no such file.

    Examples
    --------
    >>> data_path("perf/before.txt").name
    'before.txt'
    """
    return _inside(DATA, "data", name)


def golden_path(name):
    """Where a golden file lies: what the kernel's own code answered, op by op.

    Parameters
    ----------
    name : str
        Such as "stories_post" (after the patch) or "stories_pre" (before it).

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If there is no such file; the message has those there are.

    Examples
    --------
    >>> golden_path("stories_post").name
    'stories_post.jsonl.gz'
    """
    known = sorted(path.name.removesuffix(".jsonl.gz") for path in GOLDEN.glob("*.jsonl.gz"))
    if isinstance(name, str) and known and name not in known:
        raise ValueError(f"no golden file is called {name!r}; there are {listing(known)}.")
    return _inside(GOLDEN, "data/golden", name, ".jsonl.gz")


def _inside(folder, shown, name, suffix=""):
    """A file below a folder, or a ValueError that says what is missing."""
    if not isinstance(name, str) or not name:
        what = "empty" if name == "" else kind(name)
        raise ValueError(f'the name is {what}; give a text such as "perf/before.txt".')
    parts = pathlib.PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} is not below {shown}; give a place inside it, with forward slashes.")
    path = folder.joinpath(*parts[:-1], parts[-1] + suffix) if parts else folder
    if not path.is_file():
        raise ValueError(
            f"{shown}/{name}{suffix} is missing; look at the name, or open the notebooks in a full copy of the "
            "repository."
        )
    return path
