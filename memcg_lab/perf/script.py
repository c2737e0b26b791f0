"""Perf script: samples with their stacks, as ``perf script`` prints them, whatever fields were asked for."""

import re

from ..words import printable
from .source import quote, same_event
from .stacks import LONG, Tally, is_kernel

PSEUDO = {"[unknown]", "[vdso]", "[vdso32]", "[vsyscall]", "[vvar]", "[vectors]", "[sigpage]", "[uprobes]", "[stack]"}
PSEUDO |= {"[heap]", "[anon]"}  # in brackets, but not the kernel
KERNEL = re.compile(r"\[[\w.-]+\](?:\.[\w.]+)?|(?:.*/)?vmlinux[^/]*|.*\.ko(?:\.(?:xz|zst|gz|debug))?")
BRANCHES = re.compile(r"\s0x[0-9a-f]+/0x|\s\S+/\S+/[PMN-]/[X-]/")  # branch stacks behind a sample of one line
HEX = "0123456789abcdef"
NOTHING = {}

# VM comm tid [cpu] misc time-of-day time: period event: rest. Linux cuts comm to 15 bytes; perf does not, so some are
# longer. The bound and the possessive quantifiers keep the search linear.
SAMPLE = re.compile(
    r"\s*+(?:VM:\s*+\d++ VCPU:\d++\s++)?(?P<comm>\S.{0,63}?)\s++"
    r"(?:(?P<tid>-?\d++(?:/-?\d++)?)(?=\s|$)\s*+)?(?:\[(?P<cpu>\d++)\]\s*+)?(?:[KUHGg]{1,5}\s++)?"
    r"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d++\s++)?(?:(?P<time>\d++\.\d++):(?:\s++|$))?"
    r"(?:(?P<period>\d++)(?=\s|$)\s*+)?(?:(?P<event>[A-Za-z_{]\S*?):(?:\s++(?P<rest>\S.*)?)?)?"
)
AMISS = re.compile(r"\s-?\d+(?:/-?\d+)?\s+\[\d+\](?:\s|$)")  # tid and [cpu] within a comm: what follows is not known
RECORD = re.compile(r"\s*+\S.{0,63}?\s++.*?PERF_RECORD_([A-Z0-9_]+)")
LOST = re.compile(r"lost (\d+)")
# After a frame: srcline (file:line, [dso][address] or dso[address]), srccode, branch stacks, registers.
SRCLINE = re.compile(r"\s{0,2}(?:(?:\S.*)?:(?:\d+|\?)(?: \(.*\))?|\S*\[[0-9a-f]+\]|\S+\+0x[0-9a-f]+)\s*")
BESIDE = re.compile(r"\|\d+\s|\s+0x[0-9a-f]+/0x|\s+\S+/\S+/[PMN-]/|\s*ABI:\d|\s+\[\d+/")


def sample(line):
    """The match of a sample's first line if nothing else is needed to know it: it has a time, or a tid and a period."""
    found = SAMPLE.fullmatch(line)
    sure = found and (found["time"] or found["tid"] and found["period"] and found["event"] and not line[0].isspace())
    return found if sure else None


def frame(line):
    """Address, symbol and object of a line of a stack, or None.

    Examples
    --------
    >>> frame("    1000 find(char const*)+0x4 (/opt/x.so (deleted))")
    ('1000', 'find(char const*)', '/opt/x.so (deleted)')
    """
    address, _, rest = line.strip().partition(" ")
    if not address or len(address) > 16 or address.strip(HEX) or not line[:1].isspace():
        return None
    return address, *_symbol(rest)


def _symbol(rest):
    """Symbol and object of what stands behind the address."""
    rest, dso = rest.strip(), ""
    if rest.endswith(")"):
        begin = _opening(rest)
        if begin == 0 or begin > 0 and rest[begin - 1] == " ":
            rest, dso = rest[:begin].rstrip(), rest[begin + 1 : -1]
    head, plus, offset = rest.rpartition("+0x")
    if plus and not offset.strip(HEX):
        rest = head
    if "+0x" in dso and not dso.rpartition("+0x")[2].strip(HEX):  # the field dsoff
        dso = dso.rpartition("+0x")[0]
    return rest, "" if dso == "inlined" else dso


def _opening(text):
    """Where the bracket opens that closes at the end of a text; -1 if nowhere."""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += (text[place] == ")") - (text[place] == "(")
        if not depth:
            return place
    return -1


def is_script(head, k):
    """Whether line ``k`` of the first lines begins a sample; a doubtful one must have a stack below it."""
    line = head[k][1]
    if sample(line) or RECORD.match(line):
        return True
    following = (later for _, later in head[k + 1 :] if later.strip())
    if line[0] == "\t" and frame(line) and frame(line)[1]:
        return True
    found = SAMPLE.fullmatch(line)
    below = frame(next(following, ""))
    if not below or not below[1]:
        return False
    return bool(found and (found["tid"] or found["event"])) or _only_comm(line)


def _only_comm(line):
    """Whether a line may be the comm of a sample and nothing else: ``perf script -F comm,ip,sym``."""
    return not line[:1].isspace() and 0 < len(line.strip()) <= 15 and line.rstrip()[-1] not in ":;"


class _Reader:
    """The sample that is being read, and the tally of those before it."""

    def __init__(self, source, event):
        self.source, self.wanted = source, event
        self.tally = Tally(source)
        self.event = self.fields = None
        self.events, self.lost, self.addressed = {}, 0, False
        self.open = self.counts = self.closed = False
        self.names = ({}, {})  # user, kernel half: "(object)" -> symbol -> number of the function
        self.functions, self.numbers = [], {}  # (dso, symbol, kind) by number, and back
        self.comms = {}
        self.begin("", 1, 0, False)
        self.open = False

    def begin(self, comm, weight, number, counts):
        """A sample begins; one that is of another event does not count."""
        self.comm, self.weight, self.number, self.counts = comm, weight, number, counts
        self.stack, self.lines, self.open, self.closed = [], [], True, False

    def finish(self):
        """Count the sample."""
        if not self.open or not self.counts:
            self.open = False
            return
        entries = self.comms.get(self.comm)
        if entries is None:
            entries = self.comms[self.comm] = {}
        if not self.stack:
            self.stack, self.lines = [self.function("", "[unknown]", "other")], [self.number]
        weight = self.weight
        for number in set(self.stack):
            entry = entries.get(number)
            if entry is None:
                line = self.lines[self.stack.index(number)]
                entry = entries[number] = self.tally.entry(line, "", self.comm, *self.functions[number])
            entry[1] += weight
        entries[self.stack[0]][0] += weight
        self.tally.total += weight
        self.open = False

    def function(self, dso, symbol, kind):
        """The number of a function."""
        key = dso, symbol, kind
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.functions)
            self.functions.append(key)
        return number

    def push(self, address, rest, number):
        """A line of the stack that is new, or not of the usual form; True if the next like it will be known."""
        symbol, dso = _symbol(rest)
        named = symbol not in ("", "[unknown]")
        if not named:
            symbol = f"0x{address:0>16}"  # as perf report prints it
        known = self.function(dso, symbol, _kind(address, dso))
        if named and "+0x" not in dso:
            written, _, tail = rest.partition("+0x")
            offset, _, place = tail.partition(" ")
            if _symbol(f"{written} {place}" if place else written) == (symbol, dso) and "+0x" not in place:
                self.names[len(address) == 16 and address > "8"].setdefault(place, {})[written] = known
        self.addressed = True
        self.stack.append(known)
        self.lines.append(number)

    def header(self, number, line, found):
        """The first line of a sample."""
        if AMISS.search(found["comm"]):
            raise self.source.error(number, f"{quote(line)}: what stands behind [cpu] is no time, period or event.")
        self.finish()
        name = found["event"] or ""
        if name.startswith("dummy"):
            self.begin("", 0, number, False)  # perf's own event, which counts nothing
            return
        if len(self.events) < 100:
            self.events.setdefault(name)
        if self.wanted is not None and not same_event(self.wanted, name):
            self.begin("", 0, number, False)
            return
        if self.event not in (None, name):
            both = printable(f"{name} after {self.event}")
            raise self.source.error(
                number, f"a second event, {both}; choose one (event=, --event), or give each a file of its own."
            )
        fields = tuple(field for field in ("tid", "cpu", "time", "period", "event") if found[field] is not None)
        if self.fields not in (None, fields):
            missing = sorted({*fields} ^ {*self.fields})
            what = "period" if "period" in missing else missing[0]
            raise self.source.error(number, f"{quote(line)}: some samples have a {what} and some have none.")
        self.event, self.fields = name, fields
        period = found["period"] or "1"
        if len(period) > LONG + 2:
            raise self.source.error(number, f"{quote(line)}: a period of {len(period)} digits.")
        self.begin(found["comm"], int(period), number, True)
        rest = found["rest"]
        self.closed = bool(rest) and self.one_line(rest, number)

    def one_line(self, rest, number):
        """The frame behind the event of ``perf script -G``; False if the text there is something else."""
        branches = BRANCHES.search(rest)
        rest = rest[: branches.start()].rstrip() if branches else rest
        address, _, behind = rest.partition(" ")
        second, _, last = behind.lstrip().partition(" ")
        if last and len(second) > 5 and not second.strip(HEX):  # the field addr stands in front of ip
            address, behind = second, last
        found = frame(f" {address} {behind}")
        if not found or not (found[2] or len(address) > 7 and re.match(r"[\w.$<~?]", found[1])):
            return False
        self.push(address, behind, number)
        return True


def script(source, event):
    """Rows from the output of ``perf script``."""
    reader = _Reader(source, event)
    head = [line for _, line in source.peek() if line.strip() and not line.lstrip().startswith("#")]
    bare = bool(head) and head[0][0] == "\t" and frame(head[0]) is not None  # -F ip,sym: stacks, nothing else
    found = SAMPLE.fullmatch(head[0]) if head else None
    only_comm = bool(head) and not bare and not (found and any(found.groups()[1:])) and _only_comm(head[0])
    user, kernel = reader.names
    for number, line in source.lines:
        if line[:1] == "\t" and (reader.open and not reader.closed or bare):
            address, _, rest = line.strip().partition(" ")
            if address and len(address) <= 16 and not address.strip(HEX):
                if not reader.open:
                    reader.begin("", 1, number, True)
                symbol, _, tail = rest.partition("+0x")
                offset, _, place = tail.partition(" ")
                known = (kernel if len(address) == 16 and address > "8" else user).get(place, NOTHING).get(symbol)
                if known is None or offset.strip(HEX):
                    reader.push(address, rest, number)
                else:
                    reader.stack.append(known)
                    reader.lines.append(number)
                continue
        if not line.strip():
            if bare:
                reader.finish()
            reader.closed |= bool(reader.stack)  # an empty line may stand between the first line and the stack
        elif not line.lstrip().startswith("#"):
            _other_line(reader, number, line, bare, only_comm)
    reader.finish()
    if bare:
        source.notes.append("These are stacks without a first line, so samples without a stack are not seen.")
    return _rows(reader)


def _other_line(reader, number, line, bare, only_comm):
    """A line that does not begin with a tab and an address."""
    source = reader.source
    if "PERF_RECORD_" in line and (record := RECORD.match(line)):
        lost = LOST.search(line) if record[1].startswith("LOST") else None
        reader.lost += int(lost[1][:LONG]) if lost else 0
        return
    found = None if bare or only_comm else SAMPLE.fullmatch(line)
    if found and (found["time"] or not line[0].isspace() and (found["tid"] or found["event"])):
        return reader.header(number, line, found)
    part = frame(line)
    if part and reader.closed and not bare:
        raise source.error(number, f"{quote(line)} has no sample above it.")
    if part and (reader.open or bare):
        if not reader.open:
            reader.begin("", 1, number, True)
        return reader.push(part[0], line.strip().partition(" ")[2], number)
    if part:
        raise source.error(number, f"{quote(line)} has no sample above it.")
    if only_comm and _only_comm(line):
        reader.finish()
        return reader.begin(line.strip(), 1, number, True)
    if not (reader.open and (reader.stack and SRCLINE.fullmatch(line) or BESIDE.match(line)) or line[:3] == "\t\t["):
        raise source.error(
            number, f"{quote(line)} is neither the first line of a sample nor a line of a stack, of perf script."
        )


def _rows(reader):
    source = reader.source
    if reader.event is None and reader.wanted is not None:
        seen = printable(", ".join(filter(None, reader.events))) or "none"
        raise source.error(0, f"no sample is of the event {printable(reader.wanted)}; the events are: {seen}.")
    if not reader.addressed:
        raise source.error(0, "no sample has an address; use perf script -F +ip,sym.")
    if reader.lost:
        source.notes.append(f"perf lost {reader.lost:,} events while it recorded; the shares are of what is left.")
    return reader.tally.rows()


def _kind(address, dso):
    """Kernel or user: by the address where it tells, by the object where addresses are short (32 bits, s390)."""
    if dso.startswith(("[guest.", "[hypervisor")):
        return "other"
    return "kernel" if is_kernel(address) or dso not in PSEUDO and KERNEL.fullmatch(dso) else "user"
