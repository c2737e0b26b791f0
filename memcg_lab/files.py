"""Files: where those of the library lie, and how one of the reader's is written, whole or not at all."""

import contextlib
import errno
import os
import pathlib
import secrets
import stat

from .checks import flag, shown
from .words import kind, listing, printable

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
GOLDEN = DATA / "golden"
TWICE = "a field is there twice"


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
        raise ValueError(f"no golden file is called {shown(name)}; there are {listing(known)}.")
    return _inside(GOLDEN, "data/golden", name, ".jsonl.gz")


def _inside(folder, below, name, suffix=""):
    """A file below a folder, or a ValueError that says what is missing."""
    if not isinstance(name, str) or not name:
        what = "empty" if isinstance(name, str) else kind(name)
        raise ValueError(f'the name is {what}; give a text such as "perf/before.txt".')
    parts = pathlib.PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise ValueError(f"{shown(name)} is not below {below}; give a place inside it, with forward slashes.")
    path = folder.joinpath(*parts[:-1], parts[-1] + suffix) if parts else folder
    if not os.path.isfile(path):  # false, not an error, for a name that cannot be one
        raise ValueError(
            f"{below}/{printable(name)}{suffix} is missing; look at the name, or open the notebooks in a full copy of "
            "the repository."
        )
    return path


# --- a reader's files ------------------------------------------------------------------------------------------------
def path_of(path, suffix=""):
    """A reader's path; with the suffix, if it has another or none.

    Raises
    ------
    ValueError
        If it is no path: a number would be taken for a file that is open already.
    """
    try:
        known = isinstance(path, (str, os.PathLike)) and b"\0" not in os.fsencode(pathlib.Path(path))
    except (TypeError, UnicodeError):  # a path of bytes, or half a letter
        known = False
    if not known:
        raise ValueError(f"the path is {shown(path)}; give a text or a pathlib.Path.")
    if path == "":
        raise ValueError("the path is empty; name a file or a folder.")
    path = pathlib.Path(path)
    if suffix and path.name in ("", ".."):
        raise ValueError(f"the path is {shown(str(path))}, a folder; name a file.")
    return path if path.name.endswith(suffix) else path.with_name(path.name + suffix)


def contents(path, limit):
    """The bytes of a regular file; a pipe or a device, which may never end, is not opened for long.

    Raises
    ------
    OSError
        If it cannot be read, is no regular file, or has more than so many bytes; for :func:`reason`.
    """
    # a pipe that nobody writes to would keep open() waiting
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:
        told = os.fstat(handle)
        if not stat.S_ISREG(told.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        raw = file.read(limit + 1)
    if len(raw) > limit:
        size = max(told.st_size, len(raw))
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, and more than {limit:,} bytes are not read")
    return raw


def once(pairs):
    """For ``json``: an object of which no field is there twice; which of the two counted would be a guess."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError(TWICE)
    return made


def reason(error):
    """Why a file cannot be read, in a few words."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start:,} is no text in UTF-8"
    return printable(getattr(error, "strerror", None) or str(error))


@contextlib.contextmanager
def writing(path, *, replace=False):
    """A place to write a file to, which then becomes ``path``, whole; after an error there is nothing of it.

    Parameters
    ----------
    path : str or Path
    replace : bool
        Replace a file that is there; else it is refused.

    Yields
    ------
    pathlib.Path
        In the same folder.

    Raises
    ------
    ValueError
        If the file is there, or cannot be written; the message names it.
    """
    path, replace = path_of(path), flag("replace", replace)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe or a terminal
            yield path
            return
        if path.exists() and not path.is_dir() and not replace:
            raise ValueError(f"{printable(path)}: this file exists; choose another name, or say that it is replaced.")
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "this is a folder")
        path = pathlib.Path(os.path.realpath(path))  # a link stays a link
        scratch = path.parent / f".memcg-lab-{secrets.token_hex(8)}.tmp"
        try:
            yield scratch
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        why = "there is no such folder" if isinstance(error, FileNotFoundError) else error.strerror or error
        raise ValueError(f"{printable(path)}: cannot be written ({why}).") from None


def try_place(path, *, replace=False):
    """Try whether a file could be written, before the work that is to go into it; ValueError if not."""
    try:
        with writing(path, replace=replace) as scratch:
            if scratch != path_of(path):
                scratch.touch()
            raise _Tried
    except _Tried:
        pass


class _Tried(Exception):
    """The place is good; nothing is written."""
