"""The reader's own file: predictions, answers, quizzes and quests found, in one JSON beside the reader's notebooks."""

import contextlib
import errno
import itertools
import json
import os
import pathlib

from ..checks import shown
from ..files import TWICE, contents, once, reason, writing
from ..words import listing, printable

FORMAT, VERSION = "memcg-lab notes", 1
KINDS = ("reader", "predictions", "answers", "quizzes", "quests")
NAME = "notes.json"
MARK = ".state.json"  # stands in a folder of a reader's own copies; tools/study.py writes it
LIMIT = 20_000_000  # bytes; a thousand times what a course needs

_memory = {kind: {} for kind in KINDS}
_told = set()  # complaints are made once


def place():
    """Where the notes lie: beside the notebooks, if these are the reader's own copies.

    Returns
    -------
    pathlib.Path or None
        None where nothing is written: the working directory is no folder of copies that ``lab.py`` made. So neither the
        originals in ``notebooks/`` nor a test leave anything behind; what is said there is kept as long as Python runs.

    Examples
    --------
    >>> place() is None
    True
    """
    try:
        folder = pathlib.Path.cwd()
        return folder / NAME if (folder / MARK).is_file() else None
    except OSError:  # the folder is gone
        return None


def remember(kind, name, value):
    """Write something down; what stood under the same name is replaced, all else stays.

    Parameters
    ----------
    kind : str
        "predictions", "answers", "quizzes", "quests", or "reader" for what the reader says of himself or herself.
    name : str
        Such as "04.stock", "04.1" or "StockLab.empty".
    value : dict, list, str, int, float or bool
        As JSON has it.

    Raises
    ------
    ValueError
        If there is no such kind, the name is no text, or the value is none of those.

    Notes
    -----
    Several notebooks may be open: each write reads the file again, changes this one thing, and replaces the file whole,
    one after the other. A file that cannot be understood is never written over: it gets another name, and the reader
    is told. Where nothing can be written, it is said once and kept as long as Python runs.

    Examples
    --------
    >>> remember("answers", "04.1", {"answer": 7, "right": True})
    >>> recall("answers", "04.1")
    {'answer': 7, 'right': True}
    """
    _known(kind)
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f'the name is {shown(name)}; give a text such as "04.1".')
    try:
        value = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"{printable(name)}: {shown(value)} cannot be written as JSON.") from None
    path = place()
    if path is None:
        _memory[kind][name] = value
        return
    try:
        with _locked(path):
            notes = _taken(path)
            notes[kind][name] = value
            text = json.dumps({"format": FORMAT, "version": VERSION, **notes}, ensure_ascii=False, indent=2)
            with writing(path, replace=True) as scratch:
                scratch.write_text(text + "\n", encoding="utf-8", newline="\n", errors="backslashreplace")
        _memory[kind].pop(name, None)
    except (OSError, ValueError) as error:
        _memory[kind][name] = value
        _say(f"{NAME} cannot be written ({reason(error)}). What you say is kept until this notebook's kernel ends.")


def recall(kind, name=None):
    """What was written down last.

    Parameters
    ----------
    kind : str
    name : str, optional
        Without it everything of that kind is given, by name.

    Returns
    -------
    value or None
        None if nothing was written down under that name.

    Raises
    ------
    ValueError
        If there is no such kind.

    Examples
    --------
    >>> recall("quests", "StockLab.nothing") is None
    True
    """
    _known(kind)
    found, path = {}, place()
    if path is not None:
        try:
            found = _understood(path)[kind]
        except FileNotFoundError:
            pass
        except (OSError, _Foreign) as error:
            _say(f"{NAME} cannot be read: {reason(error)}. Nothing of it is used.")
    found = found | _memory[kind]
    return found if name is None else found.get(name)


def read(path):
    """The notes in a reader's file, wherever it lies.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    dict
        By kind, then by name.

    Raises
    ------
    ValueError
        If it cannot be read, or is no such file; the message says why.
    """
    try:
        return _understood(path)
    except (OSError, _Foreign) as error:
        raise ValueError(f"{reason(error)}.") from None


# --- the file --------------------------------------------------------------------------------------------------------
def _taken(path):
    """The notes in a file, by kind. One that cannot be understood is put aside, and there are none."""
    try:
        return _understood(path)
    except FileNotFoundError:
        pass
    except _Foreign as error:
        aside = next(other for n in itertools.count(1) if not (other := path.with_name(f"notes.kept{n}.json")).exists())
        os.rename(path, aside)  # if it cannot be, nothing is written either
        _say(f"{NAME} cannot be understood: {error}. It is kept as {aside.name}, and a new one is begun.")
    return {kind: {} for kind in KINDS}


class _Foreign(Exception):
    """A file that this library did not write, or of which something is gone."""


def _understood(path):
    try:
        told = json.loads(contents(path, LIMIT).decode("utf-8"), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise _Foreign(f"line {error.lineno} is no JSON") from None
    except UnicodeDecodeError as error:
        raise _Foreign(reason(error)) from None
    except (ValueError, RecursionError) as error:
        twice = str(error) == TWICE
        raise _Foreign(TWICE if twice else "it is no JSON that can be read") from None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EFBIG):
            raise _Foreign(reason(error)) from None
        raise
    if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
        raise _Foreign(f'it has no "format": "{FORMAT}"')
    version = told.pop("version", None)
    if type(version) is not int or version != VERSION:
        raise _Foreign(f"its version is {shown(version)}, and this library reads version {VERSION}")
    for kind, notes in told.items():
        if kind not in KINDS:
            raise _Foreign(f"{shown(kind)} is no kind of note; there are {listing(KINDS)}")
        if not isinstance(notes, dict):
            raise _Foreign(f'"{kind}" holds no notes by name')
    return {kind: told.get(kind, {}) for kind in KINDS}


@contextlib.contextmanager
def _locked(path):
    """Nobody else reads or writes meanwhile; a process that dies lets go."""
    with open(path.with_name(".notes.lock"), "a+b") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # waits ten seconds, then OSError
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield  # closing the file lets go


# --- words -----------------------------------------------------------------------------------------------------------
def _known(kind):
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{shown(kind)} is no kind of note; there are {listing(KINDS)}.")


def _say(sentence):
    if sentence not in _told:
        _told.add(sentence)
        print(sentence)
