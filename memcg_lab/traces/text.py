"""Trace files as rows: the csv of the kernel lab and of the bpftrace scripts, raw ftrace text, and perf script."""

import bz2
import contextlib
import csv
import gzip
import lzma
import os
import re
import sys
import tempfile
import warnings
import zlib

import numpy as np

from ..files import path_of, reason
from ..mechanism.policy import SLOTS_MAX
from ..mechanism.records import NR_PAGES_MAX
from ..system import CPUS_MAX
from ..words import count, printable
from .ftrace import LOST, Survey, parsed_event, rows_of_events
from .rows import CODES, COLUMNS, EVENTS, NOT_PAGES, Causes, Row, SlotRow, Trace, blocks_of, row_dtype
from .symbols import Callers, Symbols

LIMITS = {
    "cpu": CPUS_MAX - 1,
    "softirq": 1,
    "nr": NR_PAGES_MAX,
    "avail": NR_PAGES_MAX,
    "slot": SLOTS_MAX - 1,
}
LARGEST = 2**53
KINDS = {kind._fields[1:]: kind for kind in (Row, SlotRow)}  # by the header of the csv
PIECE = 1 << 18  # bytes read at a time
LONGEST = 1 << 20  # bytes; a longer line is not of a trace
PROGRESS = 1 << 22  # bytes from which a progress bar is shown

PACKED = ((b"\x1f\x8b", gzip.open), (b"\xfd7zXZ\0", lzma.open), (b"BZh", bz2.open))
BROKEN = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
OVERWRITTEN = re.compile(r"#\s*entries-in-buffer/entries-written:\s*(\d+)/(\d+)")
CHATTER = re.compile(r"Attach(?:ing|ed) (?:to )?\d+ probes?\W*$|@over: 1$|\^C$")  # what bpftrace says else
ROWS = re.compile(r"@rows: (\d{1,18})$")  # what our scripts say in the end: how many rows they printed


def read_rows(path, symbols=None):
    """Read a trace, whatever of the known forms it has.

    Parameters
    ----------
    path : str or Path
        ``.csv`` with the header of the kernel lab (and ``slot``, for kernels with several); text of tracefs ``trace``
        or ``trace_pipe``; or output of ``trace-cmd report`` or ``perf script``. Packed or not (gzip, xz, bzip2).
    symbols : str or Path, optional
        ``/proc/kallsyms`` of the kernel that was traced, for all but the csv, which has names. Without it callers are
        told apart by what they do, not by name.

    Returns
    -------
    list of Row or list of SlotRow

    Raises
    ------
    ValueError
        If the file cannot be read, is empty, has a gap (lost events), or a line makes no sense; the message has its
        number.

    Warns
    -----
    UserWarning
        If the oldest events were overwritten, so that the CPUs begin at different times.

    Examples
    --------
    >>> from memcg_lab import data_path
    >>> rows = read_rows(data_path("kernel_traces/t61b.csv.xz"))
    >>> len(rows), rows[1].ev, rows[1].cached, rows[1].avail
    (19173, 'cons', 2, 62)
    """
    trace = open_trace(path, symbols)
    return [row for block in trace.blocks for row in trace.rows(block)]


def open_trace(path, symbols=None):
    """A trace that is read block by block, so that memory does not grow with the file; else as :func:`read_rows`.

    Returns
    -------
    Trace

    Raises
    ------
    ValueError
        As :func:`read_rows`; what is wrong further down, while the blocks are read.

    Examples
    --------
    >>> from memcg_lab import data_path
    >>> sum(block.size for block in open_trace(data_path("kernel_traces/t61b.csv.xz")).blocks)
    19173
    """
    file = _File(path)
    for first, piece in file.pieces():
        for number, line in enumerate(_lines(piece), first):
            word = line.strip().lstrip("\ufeff")
            if not word or CHATTER.match(word) or ROWS.match(word):
                continue
            file.refuse_lost(number, word)
            if word.split(",")[0].strip() == "cpu":
                if symbols is not None:
                    raise ValueError(f"{file.name}: its callers have names already; leave kallsyms out.")
                return _csv_trace(file, number, word)
            return _kernel_text(file, symbols)
    raise ValueError(f"{file.name}: it is empty.")


@contextlib.contextmanager
def notes_printed():
    """Warnings of the reader as plain lines on standard error, for a command."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *rest: print(f"note: {message}", file=sys.stderr)
        yield


class _File:
    """A file in pieces of whole lines; it may be read again from the start."""

    def __init__(self, path):
        path = path_of(path)
        self.name = printable(path)
        try:
            self.raw = open(path, "rb")
            self.raw.peek(1)  # such as a file of /proc that opens and cannot be read
            if not self.raw.seekable():  # a pipe
                kept = tempfile.TemporaryFile()
                while block := self.raw.read(PIECE):
                    kept.write(block)
                self.raw.close()
                self.raw = kept
        except FileNotFoundError:
            raise ValueError(f"{self.name}: no such file.") from None
        except OSError as error:
            raise ValueError(f"{self.name}: cannot be read ({reason(error)}).") from None

    def __del__(self):
        if hasattr(self, "raw"):
            self.raw.close()

    def error(self, number, what):
        """A ValueError with the place in front."""
        return ValueError(f"{self.name}, line {number}: {what}")

    def refuse_lost(self, number, line):
        """Refuse a trace that says it has a gap."""
        if LOST.search(line):
            told = printable(line.strip()[:80])
            raise self.error(number, f"events were lost ({told}); a trace with a gap says nothing.")

    def pieces(self, say=""):
        """Numbers of their first lines, and bytes that end with a line's end; with a progress bar if ``say``."""
        self.raw.seek(0)
        size = os.fstat(self.raw.fileno()).st_size
        if not say or size < PROGRESS:
            yield from self._pieces()
            return
        from tqdm import tqdm

        with tqdm(total=size, unit="B", unit_scale=True, desc=say, leave=False, disable=None) as bar:
            for number, piece in self._pieces():
                yield number, piece
                bar.update(self.raw.tell() - bar.n)

    def _pieces(self):
        handle, number, rest, first = self._unpacked(), 1, b"", True
        while True:
            try:
                block = handle.read(PIECE)
            except BROKEN as error:
                raise ValueError(f"{self.name}: it cannot be unpacked; is it cut off? ({reason(error)})") from None
            except OSError as error:
                raise ValueError(f"{self.name}: cannot be read ({reason(error)}).") from None
            if first and block.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise ValueError(f"{self.name}: not text in UTF-8 but in UTF-16; save it as UTF-8.")
            first = False
            if b"\0" in block:
                raise ValueError(f"{self.name}: not text; expected csv, ftrace text or perf script output.")
            whole, end, rest = (rest + block).rpartition(b"\n") if block else (rest, b"\n" if rest else b"", b"")
            if len(rest) > LONGEST:
                raise self.error(number + whole.count(b"\n") + len(end), f"is longer than {LONGEST:,} bytes.")
            if end:
                piece = (whole + end).replace(b"\r\n", b"\n")
                yield number, piece
                number += piece.count(b"\n")
            if not block:
                return

    def _unpacked(self):
        head = self.raw.read(6)
        self.raw.seek(0)
        for magic, unpack in PACKED:
            if head.startswith(magic):
                return unpack(self.raw)
        if head.startswith(b"\x28\xb5\x2f\xfd"):
            raise ValueError(f"{self.name}: packed with zstd; unpack it first (zstd -d).")
        return self.raw


def _lines(piece):
    """The lines of a piece as text; a process may have a name that is not UTF-8."""
    return piece.decode("utf-8", "backslashreplace").split("\n")[:-1]


# --- csv -------------------------------------------------------------------------------------------------------------
def _csv_trace(file, place, line):
    """A trace from csv whose header stands in line ``place``."""
    header = tuple(name.strip() for name in line.split(","))
    if header not in KINDS:
        told = f"the columns are {printable(','.join(header)[:200])}; they must be {','.join(COLUMNS)}"
        raise file.error(place, f"{told}, and with several slots also slot.")
    causes = Causes()
    return Trace(KINDS[header], _csv_blocks(file, place, KINDS[header], causes), causes)


def _csv_blocks(file, place, kind, causes):
    times, told, found = {}, 0, 0
    for number, piece in file.pieces("reading"):
        if number <= place:  # the header, and what stands above it
            lines = piece.split(b"\n")
            head, lines = lines[: place - number + 1], lines[place - number + 1 :]
            for line in head:
                if match := ROWS.match(line.decode("utf-8", "replace").strip()):
                    told = max(told, int(match[1]))
            piece, number = b"\n".join(lines), number + len(head)
            if not piece:
                continue
        block = _plain(piece, number, kind, causes)
        if block is None:
            rows = []
            for line_number, line in enumerate(_lines(piece), number):
                word = line.strip()
                if match := ROWS.match(word):
                    told = max(told, int(match[1]))
                elif word and not CHATTER.match(word):
                    file.refuse_lost(line_number, word)
                    rows.append(_row(file, line_number, line, kind))
            block = next(blocks_of(rows, causes), np.empty(0, row_dtype)) if len(rows) else np.empty(0, row_dtype)
        _check(file, block, times)
        found += block.size
        if block.size:
            yield block
    if told and told != found:  # 0 is what an empty map shows
        raise ValueError(
            f"{file.name}: the script printed {told:,} rows, but {found:,} are here: events were lost; a trace with a "
            "gap says nothing."
        )


def _plain(piece, number, kind, causes):
    """A piece of csv as a block, if each line is as our own writers write it; else None."""
    columns = kind._fields[1:]
    text = np.frombuffer(piece, np.uint8)
    ends = np.flatnonzero((text == ord(",")) | (text == ord("\n")))
    width = len(columns)
    if not ends.size or ends.size % width:
        return None
    feeds = text[ends] == ord("\n")
    if not feeds[width - 1 :: width].all() or feeds.sum() * width != ends.size:
        return None
    starts = np.concatenate(([0], ends[:-1] + 1)).reshape(-1, width)
    lengths = ends.reshape(-1, width) - starts
    block = np.empty(len(starts), row_dtype)
    block["line"] = np.arange(number, number + len(starts))
    block["slot"] = -1
    for k, name in enumerate(columns):
        start, length = starts[:, k], lengths[:, k]
        if name in ("ev", "cause"):
            values = _words_of(text, start, length, CODES.get if name == "ev" else causes.place)
        else:
            values = _numbers_of(text, start, length, LIMITS.get(name, LARGEST))
        if values is None:
            return None
        block[name] = values
    return block


def _numbers_of(text, start, length, largest):
    """Whole numbers at these places, -1 where there is nothing; None if anything else is there, or one too large."""
    longest = int(length.max())
    if longest > len(str(LARGEST)):
        return None
    values = np.zeros(start.size, np.int64)
    for place in range(longest):
        inside = length > place
        digits = text[np.where(inside, start + place, 0)] - np.uint8(ord("0"))  # wraps below "0"
        if (digits[inside] > 9).any():
            return None
        values = np.where(inside, 10 * values + digits, values)
    if (values > largest).any():
        return None
    values[length == 0] = -1
    return values


def _words_of(text, start, length, code):
    """What ``code`` says of the words at these places; None if it does not know one, or it is not a plain word."""
    longest = max(int(length.max()), 1)
    if longest > 64:
        return None
    places = np.arange(longest)
    inside = places < length[:, None]
    letters = np.where(inside, text[np.where(inside, start[:, None] + places, 0)], 0).astype(np.uint8)
    words, which = np.unique(letters.view(f"S{longest}").ravel(), return_inverse=True)
    codes = []
    for word in words.tolist():
        if not re.fullmatch(rb"[\w.?-]*", word):
            return None
        codes.append(code(word.decode("ascii")))
    return None if None in codes else np.array(codes)[which]


def _row(file, number, line, kind):
    """The row of one line, or a ValueError that says what is wrong with it."""
    columns = kind._fields[1:]
    try:
        words = next(csv.reader([line], strict=True), [])
    except csv.Error as error:  # such as a carriage return, or a field of more than 131,072 characters
        raise file.error(number, f"{printable(error)}.") from None
    if len(words) != len(columns):
        told = printable(line.strip()[:80])
        raise file.error(number, f'"{told}" has {count(len(words), "column")}; there must be {len(columns)}.')
    values = [number]
    for name, word in zip(columns, words):
        if name in ("ev", "cause"):
            values.append(word)
        elif word == "":
            values.append(-1)
        elif word.isascii() and word.isdigit() and len(word) <= 20 and int(word) <= LIMITS.get(name, LARGEST):
            values.append(int(word))
        else:
            raise file.error(
                number,
                f'{name} is "{printable(word[:40])}"; it must be a whole number from 0 to '
                f"{LIMITS.get(name, LARGEST):,}, or empty.",
            )
    row = kind(*values)
    if row.ev not in EVENTS:
        known = ", ".join(EVENTS)
        raise file.error(number, f'event "{printable(row.ev[:40])}" is not known; there are {known}.')
    if not row.cause.isprintable() or len(row.cause) > 200:
        raise file.error(number, f'cause is "{printable(row.cause[:40])}"; it must be a name.')
    return row


def _check(file, block, times):
    """Refuse rows that lack something, and times that go back on a CPU."""
    for name, needs in EVENTS.items():
        mine = block[block["ev"] == CODES[name]]
        for bad in mine[np.any([mine[need] < 0 for need in ("cpu", "t_us", *needs.split())], axis=0)][:1]:
            lacking = [need for need in ("cpu", "t_us", *needs.split()) if bad[need] < 0]
            raise file.error(bad["line"], f"{name} needs {', '.join(lacking)}.")
        if "nr" in needs.split() and name not in NOT_PAGES:
            for bad in mine[mine["nr"] < 1][:1]:
                raise file.error(bad["line"], f"{name} of {bad['nr']} pages; there must be at least 1.")
    order = np.argsort(block["cpu"], kind="stable")
    cpu, t_us = block["cpu"][order], block["t_us"][order]
    first = np.flatnonzero(np.diff(cpu, prepend=-1))
    before = np.roll(t_us, 1)
    before[first] = [times.get(one, 0) for one in cpu[first].tolist()]
    back = order[t_us < before]
    if back.size:
        bad = block[back.min()]
        late = before[np.flatnonzero(order == back.min())[0]]
        raise file.error(
            bad["line"],
            f"time goes back on CPU {bad['cpu']}, from {late:,} to {bad['t_us']:,} us; sort the rows by time.",
        )
    last = np.append(first[1:], cpu.size) - 1 if cpu.size else first
    times.update(zip(cpu[last].tolist(), t_us[last].tolist()))


# --- kernel text -----------------------------------------------------------------------------------------------------
def _kernel_text(file, symbols):
    """A trace from text of the kernel, trace-cmd or perf; it is read twice, first to tell its callers apart."""
    names = Callers() if symbols is None else _symbols_of(symbols)
    survey = Survey(names)
    found = 0
    for event in _events(file, "looking"):
        survey.see(event)
        found += 1
    survey.end()
    if not found:
        raise ValueError(f"{file.name}: no event of our probes; see data/kernel_traces/README.md for the probes.")
    causes = Causes()

    def rows():
        try:
            yield from rows_of_events(_events(file, "reading"), survey)
        except ValueError as error:
            told = str(error)
            raise error if told.startswith(file.name) else ValueError(f"{file.name}, {told}") from None

    def blocks():
        times = {}
        for block in blocks_of(_limited(file, rows()), causes):
            _check(file, block, times)
            yield block

    return Trace(Row, blocks(), causes)


def _limited(file, rows):
    """The rows, if their numbers are such as the csv may hold."""
    for row in rows:
        for name, largest in (*LIMITS.items(), ("t_us", LARGEST)):
            value = getattr(row, name, -1)
            if value > largest:
                raise file.error(row.line, f"{name} is {printable(str(value)[:40])}; it must be at most {largest:,}.")
        yield row


def _symbols_of(path):
    file = _File(path)
    text = b"".join(piece for _, piece in file.pieces()).decode("utf-8", "backslashreplace")
    try:
        return Symbols(text)
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from None


def _events(file, say):
    """The events of our probes; a line that is not an event at all is refused."""
    found = 0
    for first, piece in file.pieces(say):
        for number, line in enumerate(_lines(piece), first):
            try:
                event = parsed_event(number, line)
            except ValueError as error:
                raise ValueError(f"{file.name}, {error}") from None
            if event is None:
                file.refuse_lost(number, line)
                if say == "looking" and (match := OVERWRITTEN.match(line)) and int(match[1]) < int(match[2]):
                    warnings.warn(
                        f"{file.name}, line {number}: entries-in-buffer {match[1]} of {match[2]} written: the oldest "
                        "were overwritten, CPUs begin at different times.",
                        stacklevel=2,
                    )
            elif event is False:
                if not found and "\\x" in line and not piece.isascii():
                    raise ValueError(f"{file.name}: not text; expected csv, ftrace text or perf script output.")
                if not found:
                    raise file.error(
                        number,
                        "neither the csv of the kernel lab nor an event of its probes in ftrace text, trace-cmd report "
                        "or perf script output; see data/kernel_traces/README.md for the probes.",
                    )
                told = printable(line.strip()[:80])
                raise file.error(number, f'"{told}" is neither an event nor a comment; was a line cut?')
            else:
                found += 1
                yield event
