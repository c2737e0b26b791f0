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
                if self.addresses >= ADDRESSES:
                    return self.entry(number, keys, comm, dso, "[unknown]", kind)
                self.addresses += 1
            found = self.entries[key] = [0, 0, number]
        return found

    def rows(self):
        """Rows for the table, the largest own share first."""
        total = self.total
        if not 0 < total < math.inf:
            raise self.source.error(0, f"the samples weigh {total}; there is nothing to take shares of.")
        if self.addresses >= ADDRESSES:
            self.source.notes.append(f"{ADDRESSES:,} addresses without a name are kept; more count as [unknown].")
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


def folded(source, event):
    """Rows from folded stacks, ``main;read;copy 3``: what the stackcollapse scripts print."""
    if event is not None:
        raise source.error(0, "folded stacks do not name their event; fold one event at a time.")
    own, children, first, addresses, two_counts = {}, {}, {}, 0, True  # by frame, as it is written
    sum_of = children.get
    for number, line in source.lines:
        stack, _, count = line.rstrip().rpartition(" ")
        if count.isdigit() and count.isascii() and len(count) < LONG and stack and line[0] != "#":
            weight = int(count)
        elif not line.strip() or line.lstrip().startswith("#"):
            continue
        else:
            stack, weight = _stack(source, number, line)
        parts = stack.split(";")
        different = {*parts}
        # One letter is found much faster than two, and lines are long.
        odd = "" in different or " " in stack and re.search(" ;|; ", stack) or "[" in stack and "_[i]" in stack
        if odd or addresses >= ADDRESSES:
            parts = _written_alike(parts, first, addresses >= ADDRESSES)
            different = {*parts}
        for part in different:
            children[part] = sum_of(part, 0) + weight
        leaf = parts[-1]
        own[leaf] = own.get(leaf, 0) + weight
        if len(children) > len(first):
            new = [part for part in parts if part not in first]
            addresses += sum(ADDRESS.fullmatch(part) is not None for part in {*new})
            first.update(dict.fromkeys(new, number))
        if two_counts:
            two_counts = stack.rpartition(" ")[2].isdigit()
    tally = Tally(source)
    tally.total = sum(own.values())
    if two_counts and tally.total:
        raise source.error(0, "every stack has two counts; give the two profiles one by one.")
    for part, number in first.items():
        entry = tally.entry(number, "", "", "", *_folded_frame(part))
        entry[0] += own.get(part, 0)
        entry[1] += children[part]
    tally.addresses = addresses
    return tally.rows()


def _folded_frame(part):
    """``stackcollapse-perf.pl --all`` marks kernel, compiled-at-run-time and inlined frames: _[k] _[j] _[i]."""
    part = part.strip()
    if part.endswith(("_[k]", "_[j]", "_[i]")) and len(part) > 4:
        return part[:-4].rstrip(), "kernel" if part[-2] == "k" else "user"
    return part, "other"


def _written_alike(parts, known, full):
    """The frames of a stack so that no function is there in two ways; one without a name is printed as nothing.

    If there are addresses enough, a new one is only ``[unknown]``.
    """
    parts = [part.strip() for part in parts]
    parts = [f"{part[:-4]}_[j]" if part.endswith("_[i]") else part for part in parts if part] or ["[unknown]"]
    if full:
        parts = [part if part in known or not ADDRESS.fullmatch(part) else "[unknown]" for part in parts]
    return parts


def _stack(source, number, line):
    """A stack and its count that are not written the usual way."""
    parts = line.split()
    if len(parts) < 2 or not COUNT.fullmatch(parts[-1]):
        raise source.error(number, f"{quote(line)} is not a stack and its count.")
    count = parts[-1]
    if len(count.partition(".")[0]) > LONG + 2:
        raise source.error(number, f"{quote(line)}: a count of {len(count):,} digits.")
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
            if not line.strip() or re.match(r"Attach(ing|ed) (to )?\d+ probe|\^C\s*$", line):
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
