"""Perf listings: the rows of ``perf top`` and ``perf report --stdio``, cut by the header and its dotted ruler."""

import math
import re
from typing import NamedTuple

from ..words import printable
from .source import quote, same_event

KINDS = {"k": "kernel", ".": "user"}  # perf also marks guests [g] [u] and the hypervisor [H]: "other"
SHARES = ("Overhead", "Children", "Self", "Latency", "sys", "usr", "guest sys", "guest usr")
AMOUNTS = ("Samples", "Period", "Weight1", "Weight2", "Weight3", "IPC", "[IPC Coverage]", "IPC [IPC Coverage]")
PID, TGID = "Pid:Command", "Tgid:Command"
NAMED = ("Command", "Shared Object", "Symbol", PID, TGID)
KEYS = (
    *("CPU", "Socket", "Cgroup", "cgroup id (dev/inode)", "Parent symbol", "Source:Line", "Source File", "Time"),
    *("Trace output", "Transaction", "Symbol size", "Dso size", "Code Page Size", "Parallelism", "Simd", "Address"),
)
KNOWN = (*SHARES, *AMOUNTS, *NAMED, *KEYS)
# Columns of other reports, and what those are. Their rows are no shares of time by function.
OTHERS = {
    "perf diff; give the two profiles it was made of": ("Baseline", "Delta", "Delta Abs", "Ratio", "Weighted diff"),
    "perf report of memory accesses (perf mem)": (
        *("Memory access", "Local Weight", "Weight", "Snoop", "TLB access", "Locked", "Blocked", "Local INSTR Latency"),
        *("INSTR Latency", "Data Symbol", "Data Object", "Data Cacheline", "Data Page Size", "Data Physical Address"),
        *("Data Type", "Data Type Offset", "Data Type Cacheline", "Code Symbol", "Retire Latency", "Mem Op", "Cache"),
    ),
    "perf report of branches": (
        *("Source Shared Object", "Target Shared Object", "Source Symbol", "Target Symbol", "From Source:Line"),
        *("To Source:Line", "Branch Mispredicted", "Basic Block Cycles", "Source Address", "Target Address"),
        *("Sampled Cycles%", "Sampled Cycles", "Avg Cycles%", "Avg Cycles", "[Program Block Range]"),
    ),
}

NUMBER = r"[-+]?(?:[0-9][0-9.,]*+|\.[0-9]++|nan|inf)"
SHARE = re.compile(rf"\s*+({NUMBER})\s?%(?=\s|$)", re.IGNORECASE)
BARE = re.compile(rf"\s*+({NUMBER})(?=\s)", re.IGNORECASE)
AMOUNT = re.compile(r"\s*+[0-9][0-9.,]*+[KMGT]?(?=\s|$)")
MARK = re.compile(r"(?:^|(?<=\s))\[([.kguH])\](?=\s|$)")
HEADER = re.compile(
    r"#?\s*+(?:Overhead|Children|Latency|Self)\b[^%]*\b(?:Comm|Shared|Sym|Pid|Tgid|Cgroup|Source|Parent)"
)
RULER = re.compile(r"#?\s*+\.{2,}+(?:\s++\.{2,}+)*+\s*+")
SECTION = re.compile(r"#?\s*Samples:.* of (events?) '?([^']*)")
SCREEN = re.compile(r"(PerfTop:|Samples:|-{5,}\s*$|Mapped keys:|Enter selection|\[[a-zA-Z]{1,2}\]\s{2,}\S)")
CHATTER = re.compile(
    r"(Press '\?'|\(?Tip: |\(?For a higher level overview|\(?Cannot load tips|\[ perf record: "
    r"|(\[?[^\s@]+@[^#$]*)?\]?[$#]( (sudo )?perf (report|top)\b.*)?\s*$"
    r"|Failed to open |no symbols found in |.*Event count \(approx\.\))"
)
LEFT_OUT = re.compile(r"[\[<(]?(\.\.\.|…|snip|-+ ?snip ?-+)[\])>]?", re.IGNORECASE)  # by who copied it
WARNING = re.compile(r"((Warning|WARNING|BFD|\S*addr2line): ?|Couldn't record |Cannot read kernel map)")
DIFF = re.compile(r"#?\s*+(Baseline|Delta)\b")
LOST = re.compile(r"Total Lost Samples: *[1-9]|lost: [0-9]*[1-9]|drop: [0-9]*[1-9]|/[0-9]*[1-9][0-9]* (?:drop:|\[)")
FOLD = re.compile(r"^[+-](?=\s+[0-9.]+%)")  # what the interactive screen puts before a row with a call graph
GRAPH = re.compile(r"\s+(\||--|[+-] )")
GRAPH_SHARE = re.compile(rf"\s*+{NUMBER}%(?: \S.*)?", re.IGNORECASE)
GRAPH_COUNT = re.compile(r"[0-9]+ \S")  # -g folded,count
CUT = re.compile(r"::|[<(]")
PLACEHOLDER = re.compile(r"<.*>")  # a name that was taken away; several functions may have the same
GAP = re.compile(r"\s{2,}")


class Columns(NamedTuple):
    """The header: the name of each column, where it begins in its line, and where the ruler says it ends."""

    names: tuple
    starts: tuple
    spans: tuple | None  # (begin, end), where there is a ruler

    @property
    def first_text(self):
        """How many columns of numbers stand in front."""
        return next((k for k, name in enumerate(self.names) if name not in SHARES + AMOUNTS), len(self.names))


def is_row(line):
    """Whether a line begins as a row does."""
    return SHARE.match(line) is not None or BARE.match(line) is not None and MARK.search(line) is not None


def is_listing(line):
    """Whether a line is of a listing: a header or a row."""
    return bool(HEADER.match(line) or is_row(FOLD.sub(" ", line)) or re.match(r"#\s*Baseline\b|\s*PerfTop:", line))


def listing(source, event):
    """Rows, and the tool that printed them."""
    reader = _Listing(source, event)
    for number, line in source.lines:
        reader.line(number, FOLD.sub(" ", line))
    return reader.rows()


class _Listing:
    """A listing line by line: the screen that is being read, and what is known of its columns."""

    def __init__(self, source, event):
        self.source, self.wanted = source, event
        self.columns = self.above = None
        self.screen, self.before = [], []  # perf top prints its screen again and again; the last one counts
        self.seen, self.marked, self.report, self.graph, self.warning = set(), False, False, False, False
        self.events, self.event, self.again, self.top, self.longest = [], None, False, "", 0
        self.percent_end, self.last_share = None, math.inf
        self.rising, self.left_out = False, None  # (line, last share above it), where rows were taken out

    # --- lines
    def line(self, number, line):
        text = line.strip()
        if not text:
            return
        if RULER.fullmatch(line) and self.above is not None and (line[0] == "#" or self.above[2]):
            self.rule(*self.above[:2], line)
        elif HEADER.match(line) or line[0] != "#" and self.is_header_of_others(line):
            self.header(number, line)
            self.above = number, line, True
        elif SECTION.match(line):
            self.section(number, SECTION.match(line))
        elif text.startswith("#") or DIFF.match(line):
            self.comment(number, line, text)
        elif text.startswith("PerfTop:"):
            self.top = text
            if self.screen:
                self.before, self.screen, self.seen, self.longest = self.screen, [], set(), 0
                self.percent_end, self.last_share, self.left_out = None, math.inf, None
            self.again = False
        elif LEFT_OUT.fullmatch(text):
            self.left_out = self.left_out or (number, self.last_share)
        elif SCREEN.match(text) or CHATTER.match(text) or "build id" in text and text.endswith("without symbols"):
            pass
        elif WARNING.match(text):
            self.warning = True
        elif self.is_row(line):
            self.warning = False
            self.row(number, line)
        elif self.warning:
            if "lost" in text:
                self.tell(text)
        elif not self.is_graph(line):
            raise self.source.error(number, f"{quote(line)} is not a row of the listing; put # before a comment.")

    def comment(self, number, line, text):
        self.warning = False
        if DIFF.match(line):
            raise self.source.error(number, "perf diff; give the two profiles it was made of.")
        self.note(text.strip("# "))
        self.above = number, line, False

    def note(self, text):
        """Keep what perf says of lost samples."""
        if LOST.search(text):
            self.tell(text)

    def tell(self, text):
        if len(self.source.notes) < 5:
            self.source.notes.append(f"perf says: {printable(text[:120])}")

    def section(self, number, found):
        group = re.fullmatch(r"(?:anon )?group \{(.*)\}", found[2].strip())
        names = (group[1] if group else found[2]).split(",") if group or found[1] == "events" else [found[2]]
        self.event = [name.strip() for name in names]
        self.events += [name for name in self.event if name not in self.events and not name.startswith("dummy")]
        self.again = True

    # --- the header
    def is_header_of_others(self, line):
        names = GAP.split(line.strip())
        return len(names) > 2 and names[0] in KNOWN and all(_column(name) for name in names)

    def header(self, number, line):
        source, text = self.source, line.strip("# \t")
        if re.match(r"\w+\s*[,;:|]", text):
            raise source.error(number, "written with a field separator; leave out the option -t of perf report.")
        if " / " in text:
            raise source.error(number, "written as a tree; leave out the option --hierarchy of perf report.")
        if GAP.search(text):
            cells = [(m.start(), m[0]) for m in re.finditer(r"\S+(?: \S+)*", line) if m[0] != "#"]
            cells = [(at + 2, cell[2:]) if cell.startswith("# ") else (at, cell) for at, cell in cells]
        else:
            known = sorted(KNOWN, key=len, reverse=True)
            cells = [(0, name) for name in re.findall("|".join(map(re.escape, known)), text)]
            if "".join(name for _, name in cells).replace(" ", "") != text.replace(" ", ""):
                raise source.error(number, f"{quote(line)}: not every column of this header is known.")
        self.set_columns(number, [name for _, name in cells], [at for at, _ in cells], None)
        self.report |= line.startswith("#")
        self.again = True

    def rule(self, number, line, ruler):
        """The dotted line under the header says where each column begins and ends."""
        spans = [(m.start(), m.end()) for m in re.finditer(r"\.+", ruler)]
        spans[-1] = spans[-1][0], max(spans[-1][1], len(line))
        cells = _cut(line.replace("#", " ", 1), spans)
        self.report |= ruler.startswith("#")
        self.above = None
        if cells is None or not all(map(_column, cells)):
            if self.columns is None or self.columns.spans:
                raise self.source.error(number, f"{quote(line)}: the dotted line below does not fit this header.")
            return  # the header was read without the ruler, and the ruler does not fit it
        self.set_columns(number, cells, [begin for begin, _ in spans], tuple(spans))
        self.again = True

    def set_columns(self, number, cells, starts, spans):
        source, names = self.source, []
        if len(cells) > len(KNOWN):
            raise source.error(number, f"{len(cells)} columns; perf has fewer.")
        for cell in cells:
            name = _column(cell)
            if name is None:
                for what, columns in OTHERS.items():
                    if any(cell.casefold() == column.casefold() for column in columns):
                        raise source.error(number, f"{what}: its column {cell} is no share of the time of a function.")
                raise source.error(
                    number, f"the column {quote(cell)} is not known; use perf report --stdio --sort comm,dso,symbol."
                )
            names.append(name)
        if "Symbol" not in names:
            raise source.error(number, "there is no column Symbol; use perf report --stdio --sort comm,dso,symbol.")
        if not {"Overhead", "Self"} & {*names}:
            raise source.error(number, "there is no column Overhead or Self, the share of the samples.")
        self.columns = Columns(tuple(names), tuple(starts), spans)

    # --- rows
    def is_row(self, line):
        columns = self.columns
        if columns and columns.first_text == 0:
            return columns.spans is not None and not self.is_graph(line)
        return is_row(line) and not self.is_graph_share(line)

    def is_graph_share(self, line):
        """Call graphs "flat", "folded" and of the interactive screen: a share, one space, no mark."""
        return self.columns is not None and GRAPH_SHARE.fullmatch(line.rstrip()) and not MARK.search(line)

    def is_graph(self, line):
        """Whether a line belongs to the call graph below a row."""
        if not self.screen and not self.before and not self.skipping():
            return False
        if GRAPH.match(line):
            self.graph = True
            return True
        deep = (self.report or self.graph) and re.match(r"\s{11}", line)
        return bool(deep or self.is_graph_share(line) or self.columns and GRAPH_COUNT.match(line))

    def skipping(self):
        """Whether the rows here are of an event that is not wanted."""
        if self.wanted is None or self.event is None:
            return False
        return not any(same_event(self.wanted, name) for name in self.event)

    def row(self, number, line):
        if self.skipping():
            return
        if self.screen and self.again:
            raise self.second(number)
        self.again = False
        share, end, rest = self.numbers(number, line)
        cells, mark = self.cells(number, line, rest, end)
        row = _row(share, cells, mark, number)
        self.check(number, line, row, mark, share)
        self.screen.append(row)
        self.marked |= mark is not None
        self.report |= row["comm"] != "" or not math.isnan(row["children"])

    def second(self, number):
        choose = f"choose one of {_names(self.events)} (event=, --event), or " if len(self.events) > 1 else ""
        return self.source.error(number, f"a second listing begins here; {choose}give each a file of its own.")

    def check(self, number, line, row, mark, share):
        """What no single listing of perf can hold."""
        if row["percent"] > row["children"] + 0.011:
            raise self.source.error(number, f"{quote(line)}: {row['percent']:g} of its own is more than with children.")
        key = tuple(row[name] for name in ("keys", "comm", "dso", "symbol", "kind"))
        first = next(iter(share.values()))
        self.longest = max(self.longest, len(line.rstrip()))
        if key in self.seen and not PLACEHOLDER.fullmatch(row["symbol"]):
            # perf's own file may list two functions of one name, and perf top cuts long names of C++ at the edge of
            # the screen; anything else that is there twice is of two listings.
            whole = self.columns is not None and self.columns.spans is not None
            cut = row["kind"] != "kernel" and CUT.search(row["symbol"]) and len(line.rstrip()) == self.longest
            if first > self.last_share or not (whole or cut):
                raise self.second(number)
        if first > self.last_share + 0.005 and not self.rising:
            self.rising = True
            self.source.notes.append(
                f"line {number}: {first:g} percent stands below {self.last_share:g}, but perf lists the largest first; "
                "is this more than one listing?"
            )
        self.seen.add(key)
        self.last_share = first

    def numbers(self, number, line):
        """The shares of a row by column, where they end, and what is behind them."""
        source, columns = self.source, self.columns
        if columns and columns.first_text == 0:
            return self.numbers_by_ruler(number, line)
        shares, place = [], 0
        expected = columns.names[: columns.first_text] if columns else ()
        events = len(self.event) if self.event and columns else 1
        for name in expected or ("Overhead",) * 3:
            for _ in range(events if name in SHARES else 1):
                if name in AMOUNTS:
                    found = AMOUNT.match(line, place)
                    if not found:
                        raise source.error(number, f"{quote(line)} has no number in the column {name}.")
                else:
                    found = SHARE.match(line, place) or (not shares and BARE.match(line))
                    if not found:
                        break
                    shares.append(_percent(source, number, line, found[1]))
                place = found.end()
        place = self.beyond(line, place, shares, number)
        due = [name for name in expected if name in SHARES] if columns else ["Children", "Self"][-len(shares) :]
        if len(shares) != len(due) * events:
            raise source.error(
                number, f"{quote(line)} has {len(shares)} percentages where {len(due) * events} are expected."
            )
        return self.by_name(number, due, shares, events), place, line[place:]

    def beyond(self, line, place, shares, number):
        """Shares that the header does not announce; they are counted, so that the row is refused."""
        while found := SHARE.match(line, place):
            shares.append(_percent(self.source, number, line, found[1]))
            place = found.end()
        return place

    def by_name(self, number, due, shares, events):
        """The share of each column; of a group of events, that of the one that is wanted."""
        pick = 0
        if events > 1:
            if self.wanted is None:
                raise self.source.error(
                    number, f"a group of events; choose one of {_names(self.event)} (event=, --event)."
                )
            pick = next(k for k, name in enumerate(self.event) if same_event(self.wanted, name))
        share = {}
        for k, name in enumerate(due):
            share.setdefault(name, shares[k * events + pick])
        return share

    def numbers_by_ruler(self, number, line):
        cells = _cut(line, self.columns.spans)
        share = {}
        for name, cell in zip(self.columns.names, cells or (), strict=False):
            if name in SHARES:
                found = SHARE.fullmatch(cell)
                if not found:
                    raise self.source.error(number, f"{quote(line)} has no share in the column {name}.")
                share.setdefault(name, _percent(self.source, number, line, found[1]))
        if not share:
            raise self.source.error(number, f"{quote(line)} does not fit the dotted line under the header.")
        return share, 0, line

    def cells(self, number, line, rest, end):
        """What stands in each column of text, and the mark such as ``k``."""
        columns = self.columns
        if columns is None:
            return self.cells_without_header(number, line, rest)
        names = columns.names[columns.first_text :]
        cells = None
        if columns.spans:
            cells = _cut(line, columns.spans[columns.first_text :], end)
            if cells and "Symbol" in names and not cells[names.index("Symbol")]:
                cells = None
        if cells is None:
            cells = self.cells_by_gaps(names, line, rest, end)
        if cells is None:
            raise self.source.error(
                number, f"{quote(line)} does not fit the {len(columns.names)} columns of its header."
            )
        named = dict(zip(names, cells, strict=True))
        symbol = named["Symbol"]
        mark = MARK.search(symbol)
        if mark:  # perf report -v prints the address in front of it
            named["Symbol"] = symbol[mark.end() :].strip()
        self.has_symbol(number, line, named["Symbol"], mark)
        return named, mark

    def has_symbol(self, number, line, symbol, mark):
        if not symbol:
            after = f" after [{mark[1]}]" if mark else ""
            raise self.source.error(number, f"{quote(line)} has no symbol{after}.")

    def cells_by_gaps(self, names, line, rest, end):
        """Cells between gaps, if there is one for each column, or if each begins where its header does."""
        found = [(m.start() + end, m[0]) for m in re.finditer(r"\S+(?: \S+)*", rest)]
        if not GAP.search(line.strip()):  # every gap is one space
            mark = MARK.search(rest)
            if not mark or names[-1] != "Symbol":
                return None
            left = rest[: mark.start()].split()
            extra = len(left) - (len(names) - 1)  # a command may be of several words
            if extra and (extra < 0 or names[0] != "Command"):
                return None
            left[: extra + 1] = [" ".join(left[: extra + 1])] if left else []
            return [*left, rest[mark.start() :].strip()]
        found = _with_marks(found)
        if len(found) == len(names):
            return [cell for _, cell in found]
        optional = [k for k, name in enumerate(names) if name in AMOUNTS]
        if len(found) == len(names) - len(optional) and all(k > names.index("Symbol") for k in optional):
            return [cell for _, cell in found] + [""] * len(optional)
        starts = self.columns.starts[self.columns.first_text :]
        if len(found) > len(names) or any(place not in starts for place, _ in found):
            return None
        at = dict(found)
        return [at.get(start, "") for start in starts]

    def cells_without_header(self, number, line, rest):
        """Commands and objects where no header says what the columns are: perf's usual order, or nothing."""
        mark, spaced = MARK.search(rest), GAP.search(line.strip()) is not None
        if mark:
            symbol = GAP.split(rest[mark.end() :].strip())[0]
            left = rest[: mark.start()].strip()
            fields = (GAP.split if spaced else str.split)(left) if left else []
        else:
            *fields, symbol = GAP.split(rest.strip())
            self.not_deeper(number, line)
        self.has_symbol(number, line, symbol, mark)
        self.percent_end = self.percent_end or line.find("%") + 1
        if len(fields) > 1 and fields[0].isdigit():
            fields = fields[1:]  # the samples of perf report -n
        if spaced and len(fields) > 2:
            raise self.source.error(
                number, f"{quote(line)} has {len(fields)} columns before the symbol, and no header says which."
            )
        named = {"Shared Object": fields[-1] if fields else "", "Command": " ".join(fields[:-1]), "Symbol": symbol}
        return named, mark

    def not_deeper(self, number, line):
        """Lines of a call graph or a tree stand deeper than rows."""
        if self.percent_end and line.find("%") + 1 > self.percent_end + 1:
            raise self.source.error(
                number, f"{quote(line)} stands deeper than the rows above: a line of a call graph? use -g none."
            )

    def rows(self):
        """The rows of the last screen, and the tool that printed them."""
        source, rows = self.source, self.screen or self.before
        self.note(self.top)
        if self.wanted is not None and not any(same_event(self.wanted, name) for name in self.events):
            seen = _names(self.events) or "not named in it"
            raise source.error(0, f"no listing of the event {printable(self.wanted)}; the events are: {seen}.")
        if not rows:
            raise source.error(0, "no rows in it.")
        if self.left_out and rows[-1]["line"] > self.left_out[0]:
            source.lowest = min(self.left_out[1], 100.0)
            source.notes.append(
                f"line {self.left_out[0]}: rows were left out here, of up to {source.lowest:g} percent."
            )
        if not self.marked and self.columns is None:
            raise source.error(rows[0]["line"], "no row of this listing says [k] or [.]; is it from perf?")
        return rows, "perf report" if self.report else "perf top"


def _names(events):
    return printable(", ".join(events[:20]))


def _column(cell):
    """The column that a header cell names; perf top cuts headers, so their beginnings are enough."""
    cell = " ".join(cell.split())
    exact = [name for name in KNOWN if name.casefold() == cell.casefold()]
    starting = [name for name in KNOWN if len(cell) > 1 and name.startswith(cell)]
    others = {name for names in OTHERS.values() for name in names}
    if exact or cell in others:
        return exact[0] if exact else None
    shortest = min(starting, key=len, default=None)
    return shortest if shortest and all(name.startswith(shortest) for name in starting) else None


def _cut(line, spans, begin=0):
    """The cells between the columns' edges, or None if one of them crosses an edge.

    perf counts bytes when it pads, a terminal counts characters; so both are tried where they differ.
    """
    for text in (line, line.encode("utf-8", "replace")):
        if isinstance(text, bytes) and line.isascii():
            break
        edges = [start for start, _ in spans] + [len(text)]
        gaps = [(end, edges[k + 1]) for k, (_, end) in enumerate(spans[:-1])]
        if spans[0][0] < begin or text[begin : spans[0][0]].strip() or any(text[a:b].strip() for a, b in gaps):
            continue
        cells = [text[start:end].strip() for start, end in zip(edges, [end for _, end in spans[:-1]] + [len(text)])]
        return [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in cells]
    return None


def _with_marks(found):
    """Cells with ``[k]`` and the symbol behind it as one, whatever stands between them."""
    out = []
    for place, cell in found:
        if out and MARK.fullmatch(out[-1][1]):
            out[-1] = out[-1][0], f"{out[-1][1]} {cell}"
        else:
            out.append((place, cell))
    return out


def _row(share, cells, mark, number):
    keys = "; ".join(f"{name} {cell}" for name, cell in cells.items() if name in KEYS and cell)
    comm = cells.get("Command", "")
    for column in (PID, TGID):
        if column in cells:
            process, _, command = cells[column].partition(":")
            keys = f"{column[:-8]} {process.strip()}" + (f"; {keys}" if keys else "")
            comm = comm or command.strip()
    return {
        "percent": share.get("Self", share.get("Overhead")),
        "children": share.get("Children", math.nan),
        "comm": comm,
        "dso": cells.get("Shared Object", ""),
        "symbol": cells["Symbol"],
        "kind": KINDS.get(mark[1], "other") if mark else "other",
        "keys": keys,
        "line": number,
    }


def _percent(source, number, line, text):
    if text[0] == "+":
        raise source.error(number, f"{quote(line)}: {text} has a sign, as in perf diff; give the two profiles.")
    try:
        value = float(text)
        text = text if len(text) <= 40 else text[:39] + "…"
    except ValueError:
        raise source.error(number, f"{quote(line)}: {text} is not a number.") from None
    if not 0 <= value <= 100:
        diff = "; a sign is of perf diff: give the two profiles" if text[0] == "-" else ""
        raise source.error(number, f"{quote(line)}: {text} is not a percentage from 0 to 100{diff}.")
    return value
