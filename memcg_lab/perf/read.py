"""Perf reading: what perf and its helpers print, as one table. Detected by its form, refused by line number."""

import math
import os
import pathlib
import re

import pandas as pd

COLUMNS = ["percent", "children", "comm", "dso", "symbol", "kind", "line"]
KINDS = {"k": "kernel", ".": "user"}  # perf also marks guests [g] [u] and the hypervisor [H]: "other"
SHARES = {"Overhead", "Children", "Self", "sys", "usr", "guest sys", "guest usr"}  # percent columns of perf report
NAMES = re.compile(r"Overhead|Children|Self|Samples|Period|Command|Shared Object|Symbol")
PSEUDO = {"[unknown]", "[vdso]", "[vsyscall]", "[stack]", "[heap]", "[anon]"}  # in brackets, but not the kernel

NUMBER = r"[-+]?(?:[0-9][0-9.,]*|\.[0-9]+|nan|inf)"
SHARE = re.compile(rf"\s*({NUMBER})\s?%(?=\s|$)", re.IGNORECASE)
BARE_SHARE = re.compile(rf"\s*({NUMBER})(?=\s(?:.*\s)?\[[.kguH]\](?:\s|$))", re.IGNORECASE)
MARK = re.compile(r"(?:^|\s)\[([.kguH])\](?:\s+|$)")
HEADER = re.compile(r"#?\s*(Overhead|Children)\b.*(Command|Shared Object|Symbol)")
SECTION = re.compile(r"#\s*Samples:.* of event '?([^']*)")
SCREEN = re.compile(r"\s*(PerfTop:|Samples:|-{5,}\s*$|Mapped keys:|Enter selection|\[[a-zA-Z]{1,2}\]\s{2,}\S)")
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
FOLD = re.compile(r"^[+-](?=\s+[0-9.]+%)")  # what the interactive screen puts before a row with a call graph
GAP = re.compile(r"\s{2,}")

STACK = re.compile(r"(.*\S)\s+([0-9]+(?:\.[0-9]+)?)")
TWO_COUNTS = re.compile(r".*\S\s+[0-9]+\s+[0-9]+")
SAMPLE = re.compile(
    r"\s*(?P<comm>\S.*?)\s+-?[0-9]+(?:/[0-9]+)?\s+(?:\[[0-9]+\]\s+)?(?:(?P<time>[0-9]+\.[0-9]+):\s+)?"
    r"(?:(?P<period>[0-9]+)\s+)?(?P<event>\S+?):(?:\s+(?P<rest>.*))?"
)
FRAME = re.compile(r"\s+([0-9a-f]{1,16})(?:\s+(.*?))?(?:\s+\(((?:[^()]|\([^()]*\))*)\))?\s*")


def read_perf(source):
    r"""Read a profile that perf printed: ``perf top``, ``perf report --stdio``, ``perf script`` or folded stacks.

    Parameters
    ----------
    source : str or Path
        A path, or the text itself. A string with a line break, or with a percent sign and no file of that name, is
        text; any other string is a path.

    Returns
    -------
    DataFrame
        One row a listed row, in its order; for stacks one row a function, the largest first.

        percent : self time, percent of samples (of the period where ``perf script`` prints it).
        children : with everything called, percent of samples; NaN if not printed.
        comm, dso, symbol : empty if not printed. An address without a name stays a symbol, ``0x…``.
        kind : ``"kernel"``, ``"user"``, or ``"other"`` where the file does not say.
        line : line of the source, from 1; for stacks the first that names the function.

        ``attrs`` has ``format``, ``lowest`` (the lowest listed percent: what is not listed has less; of the children
        column if there is one, since perf sorts by it) and ``total`` (the sum of ``percent``).

    Raises
    ------
    ValueError
        If the source is empty, binary, of another tool, or a line makes no sense; the message has its number.

    Notes
    -----
    Columns after the symbol, comments, blank lines and call graphs below a row are passed over. ``perf top --stdio``
    prints its screen again and again; the last one counts.

    Examples
    --------
    >>> table = read_perf('''
    ...   2.13%  [kernel]   [k] page_counter_cancel
    ...   0.83%  < workload >
    ...   0.54%             [.] __memcpy_avx_unaligned
    ... ''')
    >>> print(table[["percent", "symbol", "kind", "line"]].to_string(index=False))
     percent                 symbol   kind  line
        2.13    page_counter_cancel kernel     2
        0.83           < workload >  other     3
        0.54 __memcpy_avx_unaligned   user     4
    >>> table.attrs
    {'format': 'perf top', 'lowest': 0.54, 'total': 3.5}

    Folded stacks and ``perf script`` are counted up:

    >>> print(read_perf("sh;read;copy 3\nsh;read 1\n")[["percent", "children", "symbol"]].to_string(index=False))
     percent  children symbol
        75.0      75.0   copy
        25.0     100.0   read
         0.0     100.0     sh
    """
    name, text = _text(source)
    lines = [FOLD.sub("", ESCAPE.sub("", line)) for line in re.split(r"\r\n?|\n", text.removeprefix("\ufeff"))]
    said = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not said:
        raise ValueError(f"{name}no rows in it.")
    if any(map(_is_row, said)):
        rows, form = _listing(name, lines)
    elif any(map(_is_script, said)):
        rows, form = _count_up(name, _script(name, lines)), "perf script"
    elif any(";" in line and STACK.fullmatch(line.rstrip()) for line in said):
        rows, form = _count_up(name, _folded(name, lines)), "folded"
    else:
        raise ValueError(
            f"{_at(name, lines.index(said[0]) + 1)}{_quote(said[0])} is not of perf top, perf report --stdio, "
            "perf script or folded stacks."
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    listed = table["percent"].where(table["children"].isna(), table["children"])
    table.attrs = {"format": form, "lowest": float(listed.min()), "total": round(float(table["percent"].sum()), 9)}
    if table.attrs["total"] > 100.5 + 0.005 * len(table):  # each row may be rounded up by 0.005
        raise ValueError(
            f"{name}the rows add up to {table.attrs['total']:.2f} percent; are these two listings in one file?"
        )
    return table


def is_unnamed(symbol):
    """Whether a symbol is a place without a name: a raw address, or ``[unknown]``."""
    return symbol == "[unknown]" or re.fullmatch(r"0x[0-9a-f]+|[0-9a-f]{16}", symbol) is not None


# --- the source ------------------------------------------------------------------------------------------------------
def _text(source):
    """Its name as the start of a message, and its text."""
    if isinstance(source, str) and ("\n" in source or "\r" in source or not source):
        return "", source
    if isinstance(source, str) and not os.path.isfile(source):
        if "%" in source:
            return "", source
        raise ValueError(f"{source[:200]}: no such file.")
    if not isinstance(source, (str, pathlib.Path)):
        raise ValueError(f"source is {type(source).__name__}; it must be text or a path.")
    name = f"{source}: "
    try:
        data = pathlib.Path(source).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{name}no such file.") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}cannot be read ({error}).") from None
    if data.startswith(b"PERFILE"):
        raise ValueError(f"{name}the binary file of perf record; give what perf report --stdio prints of it.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{name}not a text file (UTF-8).")
    return name, text


def _at(name, number):
    return f"{name.removesuffix(': ')}, line {number}: " if name else f"line {number}: "


def _quote(line):
    line = line.strip()
    return f'"{line if len(line) <= 100 else line[:99] + "…"}"'


# --- listings: perf top, perf report --stdio -------------------------------------------------------------------------
def _is_row(line):
    return bool(SHARE.match(line) or BARE_SHARE.match(line))


def _listing(name, lines):
    rows, screen, columns = [], [], None
    spaced = report = marked = False
    section = first_section = 0
    for number, line in enumerate(lines, 1):
        at = _at(name, number)
        if HEADER.match(line):
            columns, spaced = _columns(at, line), GAP.search(line.strip("# ")) is not None
            report |= line.startswith("#")
        elif re.match(r"#\s*(Baseline|Delta)\b", line):
            raise ValueError(f"{at}perf diff; give the two profiles it was made of.")
        elif SECTION.match(line):
            section = number
        elif line.lstrip().startswith("PerfTop:") and screen:
            rows, screen = screen, []
        elif not line.strip() or line.lstrip().startswith("#") or SCREEN.match(line):
            continue
        elif _is_row(line):
            if spaced and re.fullmatch(rf"\s*{NUMBER}%( \S.*)?", line.rstrip()) and not MARK.search(line):
                continue  # call graphs "flat", "folded" and of the interactive screen
            row, mark = _row(at, line, columns)
            if screen and section != first_section:
                raise ValueError(f"{at}a second listing begins here; give each a file of its own.")
            first_section = section
            marked |= mark
            report |= row["comm"] != "" or not math.isnan(row["children"])
            screen.append({**row, "line": number})
        elif not screen or not (re.match(r"\s+(\||--|[+-] )", line) or report and re.match(r"\s{11}", line)):
            raise ValueError(f"{at}{_quote(line)} is not a row of the listing; put # before a comment.")
    rows = screen or rows
    if not rows:
        raise ValueError(f"{name}no rows in it.")
    if not marked and columns is None:
        raise ValueError(f"{_at(name, rows[0]['line'])}no row of this listing says [k] or [.]; is it from perf?")
    return rows, "perf report" if report else "perf top"


def _columns(at, line):
    line = line.strip("# \t")
    if re.match(r"\w+\s*[,;:|]", line):
        raise ValueError(f"{at}written with a field separator; leave out the option -t of perf report.")
    columns = GAP.split(line) if GAP.search(line) else NAMES.findall(line)
    if "Symbol" not in columns:
        raise ValueError(f"{at}there is no column Symbol; use perf report --stdio --sort comm,dso,symbol.")
    return columns


def _row(at, line, columns):
    """One row as a dict, and whether it has a mark such as [k]."""
    shares, rest = [], line
    while found := SHARE.match(rest) or (not shares and BARE_SHARE.match(rest)):
        shares.append(_percent(at, line, found[1]))
        rest = rest[found.end() :]
    shares_due = [column for column in columns or [] if column in SHARES] or ["Children", "Self"][-len(shares) :]
    if len(shares) != len(shares_due):
        raise ValueError(f"{at}{_quote(line)} has {len(shares)} percentages where {len(shares_due)} are expected.")
    share = dict(zip(shares_due, shares))
    mark = MARK.search(rest)
    spaced = GAP.search(line.strip()) is not None
    if mark:
        left, symbol = rest[: mark.start()], GAP.split(rest[mark.end() :].strip())[0]
        if not symbol:
            raise ValueError(f"{at}{_quote(line)} has no symbol after [{mark[1]}].")
        fields = (GAP.split if spaced else str.split)(left.strip()) if left.strip() else []
    else:
        *fields, symbol = GAP.split(rest.strip())
        if not symbol:
            raise ValueError(f"{at}{_quote(line)} has no symbol.")
    if columns:
        named = dict(zip([c for c in columns[: columns.index("Symbol")] if c not in SHARES], fields))
        comm, dso = named.get("Command", ""), named.get("Shared Object", "")
    else:
        if len(fields) > 1 and fields[0].isdigit():
            fields = fields[1:]  # the samples of perf report -n
        dso = fields[-1] if fields else ""
        comm = "" if len(fields) < 2 else fields[-2] if spaced else " ".join(fields[:-1])
    row = {
        "percent": share["Self"] if "Self" in share else shares[0],
        "children": share.get("Children", math.nan),
        "comm": comm,
        "dso": dso,
        "symbol": symbol,
        "kind": KINDS.get(mark[1], "other") if mark else "other",
    }
    return row, mark is not None


def _percent(at, line, number):
    try:
        value = float(number)
    except ValueError:
        raise ValueError(f"{at}{_quote(line)}: {number} is not a number.") from None
    if not 0 <= value <= 100:
        raise ValueError(f"{at}{_quote(line)}: {number} is not a percentage from 0 to 100.")
    return value


# --- stacks: folded, perf script -------------------------------------------------------------------------------------
def _count_up(name, samples):
    """Rows from (weight, frames) samples; a frame is (comm, dso, symbol, kind, line), the running function first."""
    total = sum(weight for weight, _ in samples)
    if not 0 < total < math.inf:
        raise ValueError(f"{name}the samples weigh {total}; there is nothing to take shares of.")
    own, children, line = {}, {}, {}
    for weight, frames in samples:
        own[frames[0][:4]] = own.get(frames[0][:4], 0) + weight
        for frame in frames:
            line.setdefault(frame[:4], frame[4])
        for key in {frame[:4] for frame in frames}:
            children[key] = children.get(key, 0) + weight
    # A caller that is only an address is mostly a stack walked wrongly.
    keys = [key for key in children if own.get(key) or (children[key] and not is_unnamed(key[2]))]
    keys.sort(key=lambda key: (-own.get(key, 0), -children[key], line[key], key))
    return [(100 * own.get(key, 0) / total, 100 * children[key] / total, *key, line[key]) for key in keys]


def _folded(name, lines):
    said = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if all(TWO_COUNTS.fullmatch(line) for line in said):
        raise ValueError(f"{name}every stack has two counts; give the two profiles one by one.")
    samples = []
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = STACK.fullmatch(line)
        if not found:
            raise ValueError(f"{_at(name, number)}{_quote(line)} is not a stack and its count.")
        frames = [frame.strip() for frame in found[1].split(";")]
        if not all(frames):
            raise ValueError(f"{_at(name, number)}{_quote(line)} has an empty frame.")
        samples.append((float(found[2]), [_folded_frame(frame, number) for frame in reversed(frames)]))
    return samples


def _folded_frame(frame, number):
    """``stackcollapse-perf.pl --all`` marks kernel, compiled-at-run-time and inlined frames: _[k] _[j] _[i]."""
    mark = re.fullmatch(r"(.+)_\[([kji])\]", frame)
    symbol, kind = (mark[1], "kernel" if mark[2] == "k" else "user") if mark else (frame, "other")
    return "", "", symbol, kind, number


def _sample(line):
    """The match of a sample's first line: it has a time or, at the left edge, a period."""
    found = SAMPLE.fullmatch(line)
    return found if found and (found["time"] or found["period"] and not line[0].isspace()) else None


def _is_script(line):
    return _sample(line) is not None


def _one_line(found):
    """The frame that ``perf script -G`` puts behind the event."""
    frame = FRAME.fullmatch(f" {found['rest']}") if found["rest"] else None
    return frame if frame and frame[3] else None


def _script(name, lines):
    samples, frames, event, periods = [], None, None, None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            frames = frames if line.strip() else None
            continue
        at = _at(name, number)
        found = _sample(line)
        frame = _one_line(found) if found else FRAME.fullmatch(line)
        if found and not found["event"].startswith("dummy"):
            if event not in (None, found["event"]):
                raise ValueError(f"{at}a second event, {found['event']} after {event}; give each a file of its own.")
            if periods not in (None, bool(found["period"])):
                raise ValueError(f"{at}{_quote(line)}: some samples have a period and some have none.")
            event, periods = found["event"], bool(found["period"])
            samples.append((int(found["period"] or 1), found["comm"], frames := [], number))
        elif found:
            frames = []  # perf's own event, which counts nothing
        elif not frame:
            raise ValueError(f"{at}{_quote(line)} is neither the first line of a sample nor a line of a stack.")
        elif frames is None:
            raise ValueError(f"{at}{_quote(line)} has no sample above it.")
        if frame:
            frames.append(_script_frame(samples[-1][1] if samples else "", frame, number))
    if not any(frames for _, _, frames, _ in samples):
        raise ValueError(f"{name}no sample has an address; use perf script -F +ip,sym.")
    return [(weight, frames or [(comm, "", "[unknown]", "other", line)]) for weight, comm, frames, line in samples]


def _script_frame(comm, frame, number):
    address, symbol, dso = frame[1], frame[2] or "", frame[3] or ""
    dso = "" if dso == "inlined" else dso
    symbol = re.sub(r"\+0x[0-9a-f]+$", "", symbol)
    if dso in ("", "[unknown]"):
        kernel = len(address) == 16 and address.startswith("ffff")
    else:
        kernel = dso.startswith("[") and dso not in PSEUDO or "vmlinux" in dso or dso.endswith(".ko")
    if symbol in ("", "[unknown]"):
        symbol = f"0x{address:0>16}"  # as perf report prints it
    return comm, dso, symbol, "kernel" if kernel else "user", number
