"""Trace files as rows: the csv of the kernel lab and of the bpftrace scripts, raw ftrace text, and perf script."""

import csv
import gzip
import io
import lzma
import pathlib
import re
import zlib

from ..mechanism.policy import SLOTS_MAX
from ..mechanism.records import NR_PAGES_MAX
from ..system import CPUS_MAX, MEMCGS_MAX
from .ftrace import parsed_events, rows_of_events
from .rows import COLUMNS, EVENTS, Row, SlotRow, with_progress
from .symbols import Callers, Symbols

LIMITS = {
    "cpu": CPUS_MAX - 1,
    "softirq": 1,
    "memcg": MEMCGS_MAX - 1,
    "nr": NR_PAGES_MAX,
    "cached": MEMCGS_MAX - 1,
    "avail": NR_PAGES_MAX,
    "slot": SLOTS_MAX - 1,
}
LARGEST = 2**53
KINDS = {kind._fields[1:]: kind for kind in (Row, SlotRow)}  # by the header of the csv

_PERF = re.compile(  # comm pid [cpu] (flags) seconds.micros: group:name: (address) arguments
    r"^\s*\S.*?\s+(-?\d+)(?:/\d+)?\s+\[(\d+)\]\s+(?:\S{4,6}\s+)?(\d+\.\d{6})\d*:\s+\w+:(\w+):\s+\(.*?\)\s*(.*)$"
)


def read_rows(path, symbols=None):
    """Read a trace, whatever of the known forms it has.

    Parameters
    ----------
    path : str or Path
        ``.csv`` with the header of the kernel lab (and ``slot``, for kernels with several), also ``.gz`` or ``.xz``;
        text of tracefs ``trace`` or ``trace_pipe``; or output of ``perf script``.
    symbols : str or Path, optional
        ``/proc/kallsyms`` of the kernel that was traced, for the two latter. Without it callers are told apart by what
        they do, not by name.

    Returns
    -------
    list of Row or list of SlotRow

    Raises
    ------
    ValueError
        If the file cannot be read, is empty, has a gap (lost events), or a line makes no sense; the message has its
        number.

    Examples
    --------
    >>> from memcg_lab import data_path
    >>> rows = read_rows(data_path("kernel_traces/t61b.csv.xz"))
    >>> len(rows), rows[1].ev, rows[1].cached, rows[1].avail
    (19173, 'cons', 2, 62)
    """
    text = _text(path)
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"LOST\s+\d+\s+EVENTS|^Lost \d+ events|^LOST \d+", line):
            raise ValueError(
                f"{path}, line {number}: events were lost ({line.strip()}); a trace with a gap says nothing."
            )
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise ValueError(f"{path}: it is empty.")
    if first.strip().lstrip("\ufeff").split(",")[0] == "cpu":
        return list(_csv_rows(path, text))
    return _kernel_text(path, text, symbols)


def _text(path):
    """The file's text, unpacked."""
    try:
        data = pathlib.Path(path).read_bytes()
        if str(path).endswith(".xz") or data[:6] == b"\xfd7zXZ\x00":
            data = lzma.decompress(data)
        elif data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file.") from None
    except (lzma.LZMAError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: it cannot be unpacked; is it cut off? ({error})") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not text; expected csv, ftrace text or perf script output.") from None


def _csv_rows(path, text):
    lines = csv.reader(io.StringIO(text))
    header = tuple(name.strip().lstrip("\ufeff") for name in next(lines))
    if header not in KINDS:
        told = f"the columns are {','.join(header)}; they must be {','.join(COLUMNS)}"
        raise ValueError(f"{path}, line 1: {told}, and with several slots also slot.")
    times = {}
    try:
        for words in with_progress(lines, text.count("\n"), " rows"):
            if words:
                yield _checked(path, _row(path, lines.line_num, words, KINDS[header]), times)
    except csv.Error as error:  # such as a field of more than 131,072 characters
        raise ValueError(f"{path}, line {lines.line_num}: {error}.") from None


def _row(path, number, words, kind):
    columns = kind._fields[1:]
    if len(words) != len(columns):
        raise ValueError(f"{path}, line {number}: {len(words)} columns; there must be {len(columns)}.")
    values = [number]
    for name, word in zip(columns, words):
        if name in ("ev", "cause"):
            values.append(word)
        elif word == "":
            values.append(-1)
        elif word.isascii() and word.isdigit() and int(word) <= LIMITS.get(name, LARGEST):
            values.append(int(word))
        else:
            raise ValueError(
                f'{path}, line {number}: {name} is "{word[:40]}"; it must be a whole number from 0 to '
                f"{LIMITS.get(name, LARGEST):,}, or empty."
            )
    return kind(*values)


def _checked(path, row, times):
    """The row, or a ValueError that says what it lacks."""
    if row.ev not in EVENTS:
        raise ValueError(f'{path}, line {row.line}: event "{row.ev[:40]}" is not known; there are {", ".join(EVENTS)}.')
    lacking = [name for name in ("cpu", "t_us", *EVENTS[row.ev].split()) if getattr(row, name) < 0]
    if lacking:
        raise ValueError(f"{path}, line {row.line}: {row.ev} needs {', '.join(lacking)}.")
    if "nr" in EVENTS[row.ev] and row.nr < 1:
        raise ValueError(f"{path}, line {row.line}: {row.ev} of {row.nr} pages; there must be at least 1.")
    if row.t_us < times.get(row.cpu, 0):
        raise ValueError(
            f"{path}, line {row.line}: time goes back on CPU {row.cpu}, from {times[row.cpu]:,} to {row.t_us:,} us; "
            "sort the rows by time."
        )
    times[row.cpu] = row.t_us
    return row


# --- kernel text -----------------------------------------------------------------------------------------------------
def _kernel_text(path, text, symbols):
    lines = [_as_ftrace(line) for line in text.splitlines()]
    try:
        events = list(parsed_events(lines))
        names = Callers(events) if symbols is None else Symbols(_text(symbols))
        found = rows_of_events(events, names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not found:
        first = next(k for k, line in enumerate(lines, 1) if line.strip())
        raise ValueError(
            f"{path}, line {first}: neither the csv of the kernel lab nor an event of its probes in ftrace text or "
            "perf script output; see data/kernel_traces/README.md for the probes."
        )
    times = {}
    return [_checked(path, row, times) for row in found]


def _as_ftrace(line):
    """A line of perf script in the form of ftrace; any other line as it is."""
    match = _PERF.match(line)
    if not match:
        return line
    pid, cpu, time, name, arguments = match.groups()
    return f" task-{max(int(pid), 0)} [{cpu}] ..... {time}: {name}: (probe) {arguments}"
