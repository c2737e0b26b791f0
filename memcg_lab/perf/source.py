"""Perf sources: a path or a text as numbered lines, never more than one block of it in memory."""

import bz2
import codecs
import gzip
import io
import itertools
import lzma
import os
import pathlib
import re
import zlib

from ..files import reason
from ..words import printable

BLOCK = 1 << 20  # bytes read at a time
LONGEST = 1 << 20  # characters; a longer line is not of a profile
PEEK = 2000  # lines looked at to find out the form
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # colours and cursor moves
QUOTE = re.compile(r"(?:> ?)+")

PACKED = ((b"\x1f\x8b", gzip.open), (b"\xfd7zXZ\0", lzma.open), (b"BZh", bz2.open))
BROKEN = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)


class Source:
    """The lines of a source, with the words for what is wrong in one of them.

    Attributes
    ----------
    name : str
        As it is printed; empty for a text.
    lines : iterator of (int, str)
        Line numbers, from 1, and lines without their ends.
    notes : list of str
        What a user must be told though the file is read.
    """

    def __init__(self, name, lines):
        self.name = printable(name)
        self.lines = lines
        self.notes = []
        self.lowest = 0.0  # percent; what is not listed may have as much, if the file says that rows are left out
        self.foreign = False  # the first block is not UTF-8

    def error(self, number, what):
        """A ValueError with the place in front; ``number`` 0 is the whole source."""
        place = [self.name] * bool(self.name) + [f"line {number}"] * bool(number)
        return ValueError(f"{', '.join(place)}: {what}" if place else what)

    def peek(self):
        """The first lines; they are still to come."""
        head = list(itertools.islice(self.lines, PEEK))
        self.lines = itertools.chain(head, self.lines)
        return head

    def unquote(self):
        """Take the ``> `` of a mail quote away from every line."""

        def bare(lines):
            for number, line in lines:
                quoted = QUOTE.match(line)
                if not quoted and line.strip():
                    raise self.error(number, f"{quote(line)} has no > in front, but the lines above have.")
                yield number, line[quoted.end() :] if quoted else ""

        self.lines = bare(self.lines)


def quote(line):
    """A line as it is quoted in a message: short, and without control characters.

    Examples
    --------
    >>> quote("  1.21 [kernel] [k]  ")
    '"1.21 [kernel] [k]"'
    """
    line = line.strip()
    return f'"{printable(line if len(line) <= 100 else line[:99] + "…")}"'


def same_event(wanted, name):
    """Whether an event is the one that is wanted; modifiers such as ``:P`` may be left out.

    Examples
    --------
    >>> same_event("cycles", "cycles:P"), same_event("cycles", "cpu-cycles"), same_event("sched", "sched:sched_switch")
    (True, False, False)
    """
    base, _, modifiers = name.partition(":")
    return name == wanted or base == wanted and 0 < len(modifiers) <= 5 and modifiers.isalpha()


def opened(source, progress=None):
    """A :class:`Source` from a path or a text.

    Parameters
    ----------
    source : str or Path
    progress : callable, optional
        Called with the bytes read so far and all of them (as they lie on the disk), once a block.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If there is no such file, or it is not text.
    """
    if isinstance(source, str) and ("\n" in source or "\r" in source or not source):
        return _of_text(source)
    if not isinstance(source, (str, pathlib.Path)):
        raise ValueError(f"source is {type(source).__name__}; it must be text or a path.")
    if isinstance(source, str) and not _is_file(source):
        if "%" in source:
            return _of_text(source)
        raise ValueError(f"{printable(source[:200])}: no such file.")
    found = Source(str(source), iter(()))
    try:
        raw = open(source, "rb")
    except FileNotFoundError:
        raise found.error(0, "no such file.") from None
    except (OSError, ValueError) as error:
        raise found.error(0, f"cannot be read ({reason(error)}).") from None
    found.lines = enumerate(_lines(found, raw, progress), 1)
    return found


def _is_file(text):
    try:
        return os.path.exists(text) and not os.path.isdir(text)
    except (OSError, ValueError):
        return False


def _of_text(text):
    text = io.IncrementalNewlineDecoder(None, True).decode(text.removeprefix("\ufeff"))
    return Source("", enumerate(ESCAPE.sub("", text).split("\n"), 1))


def _lines(source, raw, progress):
    """The lines of a file, block by block."""
    with raw:
        total = os.fstat(raw.fileno()).st_size
        handle = _unpacked(source, raw)
        codec = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        decoder, rest, first, number = io.IncrementalNewlineDecoder(codec, True), "", True, 0
        while True:
            try:
                block = handle.read(BLOCK)
            except BROKEN:
                raise source.error(number, "the packed file is damaged here; pack it again.") from None
            except OSError as error:
                raise source.error(number, f"cannot be read ({reason(error)}).") from None
            if first:
                _check_first(source, block)
            if b"\0" in block:
                raise source.error(number, "not a text file (UTF-8).")
            text = rest + decoder.decode(block, final=not block)
            if first:
                text, first = text.removeprefix("\ufeff"), False
            done, end, rest = text.rpartition("\n") if block else (text, "", "")
            if len(rest) > LONGEST:
                raise source.error(number + done.count("\n") + 1, f"is longer than {LONGEST:,} characters.")
            if progress and raw.seekable():
                progress(raw.tell(), total)
            if end or not block:
                lines = (ESCAPE.sub("", done) if "\x1b" in done else done).split("\n")
                number += len(lines)
                yield from lines
            if not block:
                return


def _unpacked(source, raw):
    try:
        head = raw.peek(8)
    except OSError as error:
        raise source.error(0, f"cannot be read ({reason(error)}).") from None
    for magic, unpack in PACKED:
        if head.startswith(magic):
            return unpack(raw)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        raise source.error(0, "packed with zstd; unpack it first (zstd -d).")
    return raw


def _check_first(source, block):
    if block.startswith(b"PERFILE"):
        raise source.error(0, "the binary file of perf record; give what perf report --stdio prints of it.")
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise source.error(0, "not a text file (UTF-8) but UTF-16; save it as UTF-8.")
    try:
        block.decode()
    except UnicodeDecodeError as error:
        source.foreign = error.end < len(block)  # the last character may be cut by the end of the block
