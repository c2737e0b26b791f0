"""Perf stacks: what is counted, function by function; folded stacks and the stack maps of bpftrace."""

import math
import re

from .source import quote

ADDRESSES = 20_000  # places without a name that are kept apart; a name of its own would be needed to compare them
ADDRESS = re.compile(r"0x[0-9a-f]+|[0-9a-f]{16}")
COUNT = re.compile(r"[0-9]+(?:\.[0-9]+)?")
MAP = re.compile(r"(@\w*)\[(.*)")
MAP_END = re.compile(r"(.*)\]:\s*(.*)")
OFFSET = re.compile(r"\+(?:0x[0-9a-f]+|[0-9]+)$")
LONG = 18  # digits; more are no count of samples


def is_unnamed(symbol):
    """Whether a symbol is a place without a name: a raw address, or ``[unknown]``."""
    return symbol == "[unknown]" or ADDRESS.fullmatch(symbol) is not None


class Tally:
    """Weights by function: its own, and those of the stacks that it is in.

    ``entries`` maps (keys, comm, dso, symbol, kind) to [own, children, line].
    """

    def __init__(self, source):
        self.source, self.total, self.entries, self.addresses = source, 0, {}, 0

    def entry(self, number, keys, comm, dso, symbol, kind):
        """The entry of a function; the first line that names it is kept."""
        key = (keys, comm, dso, symbol, kind)
        found = self.entries.get(key)
        if found is None:
            if ADDRESS.fullmatch(symbol):
                self.addresses += 1
                if self.addresses > ADDRESSES:
                    return self.entry(number, keys, comm, dso, "[unknown]", kind)
            found = self.entries[key] = [0, 0, number]
        return found

    def rows(self):
        """Rows for the table, the largest own share first."""
        total = self.total
        if not 0 < total < math.inf:
            raise self.source.error(0, f"the samples weigh {total}; there is nothing to take shares of.")
        if self.addresses > ADDRESSES:
            self.source.notes.append(f"Over {ADDRESSES:,} addresses without a name; the others count as [unknown].")
        # A caller that is only an address is mostly a stack walked wrongly.
        kept = [
            (key, own, children, line)
            for key, (own, children, line) in self.entries.items()
            if own or children and not is_unnamed(key[3])
        ]
        kept.sort(key=lambda row: (-row[1], -row[2], row[3], row[0]))
        return [
            (100 * own / total, 100 * children / total, comm, dso, symbol, kind, keys, line)
            for (keys, comm, dso, symbol, kind), own, children, line in kept
        ]


class _Frames(dict):
    """Entries by frame, as it is written in a folded stack; a new one is looked at once."""

    def __init__(self, tally):
        self.tally, self.number, self.shared, self.made = tally, 0, False, set()

    def __missing__(self, written):
        symbol, kind = written.strip(), "other"
        if symbol.endswith(("_[k]", "_[j]", "_[i]")) and len(symbol) > 4:  # stackcollapse-perf.pl --all
            symbol, kind = symbol[:-4].rstrip(), "kernel" if symbol[-2] == "k" else "user"
        entry = self.tally.entry(self.number, "", "", "", symbol or "[unknown]", kind)
        self.shared |= id(entry) in self.made  # written in two ways: a stack may hold both
        self.made.add(id(entry))
        if self.tally.addresses <= ADDRESSES:
            self[written] = entry
        return entry


def folded(source, event):
    """Rows from folded stacks, ``main;read;copy 3``: what the stackcollapse scripts print."""
    if event is not None:
        raise source.error(0, "folded stacks do not name their event; fold one event at a time.")
    tally = Tally(source)
    frames, total, two_counts = _Frames(tally), 0, True
    for number, line in source.lines:
        stack, _, count = line.rstrip().rpartition(" ")
        if not (count.isdigit() and count.isascii() and len(count) < LONG and stack) or line[0] == "#":
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            stack, weight = _stack(source, number, line)
        else:
            weight = int(count)
        parts = stack.split(";")
        frames.number = number
        leaf = parts[-1]
        if ";;" in stack or not leaf or not parts[0]:  # a frame without a name is printed as nothing
            parts = [part for part in parts if part and not part.isspace()] or ["[unknown]"]
            leaf = parts[-1]
        entries = [frames[part] for part in set(parts)]
        if frames.shared:
            entries = {id(entry): entry for entry in entries}.values()
        for entry in entries:
            entry[1] += weight
        frames[leaf][0] += weight
        total += weight
        if two_counts:
            two_counts = stack.rpartition(" ")[2].isdigit()
    if two_counts and total:
        raise source.error(0, "every stack has two counts; give the two profiles one by one.")
    tally.total = total
    return tally.rows()


def _stack(source, number, line):
    """A stack and its count that are not written the usual way."""
    parts = line.split()
    if len(parts) < 2 or not COUNT.fullmatch(parts[-1]):
        raise source.error(number, f"{quote(line)} is not a stack and its count.")
    count = parts[-1]
    return line.rstrip()[: -len(count)].strip(), int(count) if len(count) < LONG and count.isdigit() else float(count)


def is_folded(line):
    """Whether a line is a stack of several frames and its count."""
    parts = line.split()
    return ";" in line and len(parts) > 1 and COUNT.fullmatch(parts[-1]) is not None


def stack_map(source, event):
    """Rows from a map of bpftrace whose keys are stacks: ``@[kstack] = count()``."""
    if event is not None:
        raise source.error(0, "a map of bpftrace does not name its event.")
    tally, name, stack, seen = Tally(source), None, None, set()
    for number, line in source.lines:
        if stack is None:
            if not line.strip() or re.match(r"Attach(ing|ed) \d+ probe", line):
                continue
            begin = MAP.fullmatch(line)
            if not begin or "]" in begin[2]:
                raise source.error(number, f"{quote(line)} is not a map whose keys are stacks; print that map only.")
            if name not in (None, begin[1]):
                raise source.error(number, f"a second map begins here, {begin[1]} after {name}; print one only.")
            name, stack, others = begin[1], [], [begin[2].strip(" ,")]
            continue
        end = MAP_END.fullmatch(line)
        if not end:
            frame = line.strip()
            if line[:1].isspace() and frame:
                stack.append((number, frame))
            elif frame.strip(","):
                raise source.error(number, f"{quote(line)} is not a frame of a stack.")
            continue
        if not COUNT.fullmatch(end[2]) or len(end[2]) > LONG:
            raise source.error(number, f"{quote(line)} does not end in a count; count stacks with count() or sum().")
        others.append(end[1].strip(" ,"))
        keys = ", ".join(filter(None, others))
        place = hash((keys, tuple(frame for _, frame in stack)))
        if place in seen:
            raise source.error(number, "this stack is in the file a second time; print the map once, at the end.")
        seen.add(place)
        _count(tally, keys, stack, float(end[2]) if "." in end[2] else int(end[2]), number)
        stack = None
    if stack is not None:
        raise source.error(number, "the file ends within a stack.")
    return tally.rows()


def _count(tally, keys, stack, weight, number):
    entries = [tally.entry(line, keys, "", "", *_map_frame(frame)) for line, frame in stack]
    entries = entries or [tally.entry(number, keys, "", "", "[unknown]", "other")]
    entries[0][0] += weight
    for entry in {id(entry): entry for entry in entries}.values():
        entry[1] += weight
    tally.total += weight


def _map_frame(frame):
    """Symbol and kind of ``f+5``, ``0x7f12``, or, in perf mode, ``ffffffff81000000 f+5 (dso)``."""
    address, _, rest = frame.partition(" ")
    symbol, kind = frame, "other"
    if rest and len(address) <= 16 and not address.strip("0123456789abcdef"):
        kind = "kernel" if is_kernel(address) else "user"
        symbol = rest.partition(" (")[0]
    elif ADDRESS.fullmatch(frame):
        kind = "kernel" if is_kernel(frame.removeprefix("0x")) else "user"
    return OFFSET.sub("", symbol), kind


def is_kernel(address):
    """Whether a hexadecimal address is in the kernel's half; the page of vsyscall is there too, but runs as user.

    Examples
    --------
    >>> is_kernel("ffffffff81000010"), is_kernel("7f0000001234"), is_kernel("ffffffffff600000")
    (True, False, False)
    """
    return len(address) == 16 and address[0] > "7" and address[:13] != "ffffffffff600"
