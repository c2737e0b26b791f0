"""ftrace text as rows: what the kernel lab's probes wrote, with no address, process name or process id left in it."""

import collections
import re
from collections import namedtuple

from ..words import printable
from .rows import Row
from .symbols import Callers

# ftrace text and trace-cmd report: comm-pid (tgid) [cpu] flags seconds: event: (place) arguments
_FTRACE = re.compile(
    r"-(\d+) +(?:\( *(?:\d+|-+)\) +)?\[(\d+)\] +(?:(\S+) +)?(\d+)\.(\d{6})\d{0,3}: +(?:memcg_lab:)?(\w+): +"
    r"\(.*?\) ?(.*)$"
)
# perf script: comm pid/tid [cpu] flags seconds: period group:event: (place) arguments. The bound of comm and the
# possessive quantifiers keep the search linear.
_PERF = re.compile(
    r"^\s*+\S.{0,63}?\s++(-?\d+)(?:/\d+)?\s++\[(\d+)\]\s++(?:(\S{4,8})\s++)?(\d+)\.(\d{6})\d{0,3}:\s++(?:\d+\s++)?"
    r"\w+:(\w+):\s++\(.*?\)\s*+(.*)$"
)
_FIELD = re.compile(r"(\w+)=(0[xX][0-9a-fA-F]{1,16}|-?\d{1,20})$")
# What else stands in such a file: other events (they have a time), comments, stacks, what trace-cmd says of itself.
_OTHER = re.compile(
    r"\s*$|\s*#|.*\s\d+\.\d{6,9}: |\s*=> |\s+[0-9a-f]{6,16} \S|\s*<(?:user )?stack trace>|cpus=\d+$|version = |"
    r"(?:CPU|cpu) ?:? ?\d+ is empty|trace-cmd |\s*\S+ +\d+ +\d+\s*$"  # the last is a line of kprobe_profile
)
LOST = re.compile(
    r"\[LOST(?: \d+)? EVENTS\]|\[(?:\d+ )?EVENTS (?:DROPPED|LOST)\]|\b[Ll]ost \d[\d,]* events?\b|^LOST \d+|"
    r"PERF_RECORD_LOST|\blost \d+ (?:chunks?|samples?)\b|\bdropped events: [1-9]|\boverrun: [1-9]|"
    # kprobe_profile, below the trace: what a probe of ours saw, and what it missed
    r"^\s*(?:chg|unc|tryc|cons|refill|refe|refin|drain|pctry|pctryr|pcunc) +\d+ +[1-9]\d*\s*$"
)

Event = namedtuple("Event", "line cpu pid softirq us name fields")
Event.__doc__ = "What one probe wrote: ``line`` of the text, ``us`` in microseconds, ``fields`` a dict of numbers."


def parsed_event(number, text):
    """The event of one of our probes in a line of a trace.

    Parameters
    ----------
    number : int
    text : str

    Returns
    -------
    Event, None or False
        None if the line is another event or no event; False if it is nothing that stands in a trace.

    Raises
    ------
    ValueError
        If the line names one of our probes and does not parse.

    Examples
    --------
    >>> line = " app-100 ( 99) [000] d..1. 5.000010: chg: (f+0x0/0x90) memcg=0x1000 nr=1"
    >>> parsed_event(1, line).fields
    {'memcg': 4096, 'nr': 1}
    """
    match = _FTRACE.search(text) or _PERF.match(text)
    if not match or match[6] not in PROBES:
        if text.lstrip().startswith("#") or LOST.search(text):
            return None
        if named := _NAMED.search(text):
            probe = printable(named[1] or named[2])
            what = f"names our probe {probe}, but is not a whole line of ftrace, trace-cmd or perf script"
            raise ValueError(f"line {number}: {what}; was it cut?")
        return None if _OTHER.match(text) else False
    pid, cpu, flags, seconds, micros, name, arguments = match.groups()
    fields = {}
    for word in arguments.split():
        found = _FIELD.match(word)
        if not found or found[1] in fields:
            told = printable(arguments[:200])
            raise ValueError(f'line {number}: "{told}" is not a list of name=number, each name once.')
        fields[found[1]] = int(found[2], 16 if found[2][:2] in ("0x", "0X") else 10)
    if not FIELDS[name] <= fields.keys():
        lacking = ", ".join(sorted(FIELDS[name] - fields.keys()))
        raise ValueError(f"line {number}: the probe {name} has no field {lacking}.")
    if max(len(cpu), len(seconds), len(pid)) > 12:
        raise ValueError(f"line {number}: a number is too large.")
    # Where the flag for interrupts stands differs (need-resched-lazy has a column of its own in some kernels), but only
    # there may an "s" (softirq) or an "H" (hardirq within one) be. Without flags nobody knows.
    softirq = -1 if flags is None or match.re is _PERF else int("s" in flags or "H" in flags)
    us = int(seconds) * 1_000_000 + int(micros)
    return Event(number, int(cpu), max(int(pid), 0), softirq, us, name, fields)


class Survey:
    """What must be known of a whole recording before its first row can be made.

    Parameters
    ----------
    symbols : Symbols or Callers
        To name callers; a `Callers` learns them here.
    """

    def __init__(self, symbols):
        self.symbols = symbols
        self.first, self.looks_inside = 0, False
        self._asked, self._distances, self._known, self._any = {}, collections.Counter(), set(), False

    def see(self, event):
        """Look at the next event."""
        if not self._any:
            self.first, self._any = event.us, True
        self.looks_inside |= event.name == "refin"
        self._known.update(value for key, value in event.fields.items() if key in ("memcg", "cached"))
        if event.name == "tryc":
            self._asked[event.pid] = event.fields["memcg"]
        elif event.name == "pctry" and (memcg := self._asked.pop(event.pid, None)):
            self._distances[event.fields["c"] - memcg] += 1
        if isinstance(self.symbols, Callers):
            self.symbols.see(event)

    def end(self):
        """All events were seen.

        Where a counter lies within its cgroup differs from build to build. A charge enters with the cgroup and goes on
        with its counter, so the trace itself tells: it is the most frequent distance between the two.
        """
        self._offset = self._distances.most_common(1)[0][0] if self._distances else None
        if isinstance(self.symbols, Callers):
            self.symbols.end()

    def owner(self, counter):
        """From the address of a counter to that of its cgroup; None for counters that are not ``memcg->memory``."""
        memcg = counter - self._offset if self._offset is not None else None
        return memcg if memcg in self._known else None


def rows_of_events(events, survey):
    """Turn parsed events into rows; some become none, because other events say what they say.

    Cgroups and processes become small integers in the order in which they appear; 0 is none. With probes at entries
    only, a ``refill`` does not know what the stock held.

    Parameters
    ----------
    events : iterable of Event
        Of one whole recording, in its order.
    survey : Survey
        That saw them all.

    Yields
    ------
    Row
    """
    reading = _Reading(survey)
    for event in events:
        row = _HANDLERS[event.name](reading, event)
        if row is not None:
            yield row


class _Reading:
    """What is remembered between the events of one recording; a method for each makes its row, or None."""

    def __init__(self, survey):
        self.symbols, self.owner = survey.symbols, survey.owner
        self.first, self.looks_inside = survey.first, survey.looks_inside
        self.cgroups, self.processes = _Numbers(), _Numbers()
        self.socket_calls = {}  # (cpu, pid, event): the socket call last entered, with its arguments
        self.refills = collections.defaultdict(list)  # (cpu, pid): entered and not yet seen inside; interrupts nest

    # --- one event ----------------------------------------------------------------------------------------------------
    def socket_call(self, event):
        """A socket charges or gives back."""
        self.socket_calls[event.cpu, event.pid, event.name] = _asked(event)
        return self.row(event, event.name, *_asked(event))

    def try_charge(self, event):
        """The cause is a socket if the same task has just entered a socket's charge of these pages."""
        cause = "skmem" if self.called_by_socket(event, "chg") else "other"
        return self.row(event, "try", *_asked(event), cause=cause)

    def consume(self, event):
        """What the stock held is shown before anything is taken."""
        return self.row(event, "cons", *_asked(event), *_held(event))

    def refill(self, event):
        """Where the probe inside writes the row, the entry only keeps the cause for it."""
        cause = self.caller(event)
        if cause == "try_charge_memcg":
            cause = "surplus"
        elif self.called_by_socket(event, "unc"):
            cause = "skmem"
        if not self.looks_inside:
            return self.row(event, "refill", *_asked(event), cause=cause)
        return self.enter_refill(event, cause)

    def inner_refill(self, event):
        """``__refill_stock`` entered; its own caller is the cause unless ``refill_stock`` has named one."""
        caller = self.caller(event)
        if caller != "refill_stock":
            self.enter_refill(event, caller)

    def inside_refill(self, event):
        """Inside ``__refill_stock``, where the stock can be read."""
        cause = self.leave_refill(event)
        return self.row(event, "refill", *_asked(event), *_held(event), cause=cause)

    def drain(self, event):
        """A drain by drain work; those of a refill follow from the refill itself."""
        caller = self.caller(event)
        if caller in ("__refill_stock", "refill_stock"):
            return None
        return self.row(event, "drain", None, -1, *_held(event), cause=caller)

    def page_counter_try_charge(self, event):
        """A counter is asked; counters of no cgroup seen are left out."""
        memcg = self.owner(event.fields["c"])
        return None if memcg is None else self.row(event, "pctry", memcg, event.fields["nr"])

    def page_counter_tried(self, event):
        """Only a refusal is told."""
        return self.row(event, "pctryfail") if event.fields["ret"] == 0 else None

    def page_counter_uncharge(self, event):
        """Pages leave a counter: drained from a stock, or given back by the caller."""
        caller, memcg = self.caller(event), self.owner(event.fields["c"])
        if caller == "mem_cgroup_uncharge_skmem":
            self.socket_calls.pop((event.cpu, event.pid, "unc"), None)
        if memcg is None:
            return None
        cause = "stock" if caller == "drain_stock" else caller
        return self.row(event, "pcunc", memcg, event.fields["nr"], cause=cause)

    # --- helpers ------------------------------------------------------------------------------------------------------
    def row(self, event, ev, memcg=None, nr=-1, cached=None, avail=-1, cause=""):
        """A row with small integers in place of addresses and process ids."""
        memcg, cached = (-1 if address is None else self.cgroups[address] for address in (memcg, cached))
        who = event.cpu, event.us - self.first, self.processes[event.pid], event.softirq
        return Row(event.line, *who, ev, memcg, nr, cached, avail, cause)

    def caller(self, event):
        return self.symbols.name(event.fields["caller"])

    def called_by_socket(self, event, call):
        """True if this task's last socket call asked for the same; it counts once."""
        return self.socket_calls.pop((event.cpu, event.pid, call), None) == _asked(event)

    def enter_refill(self, event, cause):
        self.refills[event.cpu, event.pid].append((_asked(event), cause))

    def leave_refill(self, event):
        """Cause of the last refill entered with these pages; what was entered later was never seen inside."""
        entered = self.refills[event.cpu, event.pid]
        for place in range(len(entered) - 1, -1, -1):
            asked, cause = entered[place]
            if asked == _asked(event):
                del entered[place:]
                return cause
        return "unknown"


_HANDLERS = {
    "chg": _Reading.socket_call,
    "unc": _Reading.socket_call,
    "tryc": _Reading.try_charge,
    "cons": _Reading.consume,
    "refill": _Reading.refill,
    "refe": _Reading.inner_refill,
    "refin": _Reading.inside_refill,
    "drain": _Reading.drain,
    "pctry": _Reading.page_counter_try_charge,
    "pctryr": _Reading.page_counter_tried,
    "pcunc": _Reading.page_counter_uncharge,
}
PROBES = frozenset(_HANDLERS)  # names of the events that our probes write
FIELDS = {
    **dict.fromkeys(("chg", "unc", "tryc"), {"memcg", "nr"}),
    **dict.fromkeys(("cons", "refin"), {"memcg", "nr", "cached", "avail"}),
    **dict.fromkeys(("refill", "refe"), {"memcg", "nr", "caller"}),
    "drain": {"cached", "avail", "caller"},
    "pctry": {"c", "nr"},  # its caller is recorded and not used
    "pctryr": {"ret"},
    "pcunc": {"c", "nr", "caller"},
}
_NAMED = re.compile(r"(?:^|[\s:])(" + "|".join(_HANDLERS) + r"):|\bmemcg_lab:(\w+)")


def _asked(event):
    """The cgroup and the pages that a function was called with."""
    return event.fields["memcg"], event.fields["nr"]


def _held(event):
    """The cgroup and the pages that the stock showed."""
    return event.fields["cached"], event.fields["avail"]


class _Numbers(dict):
    """Small integers in order of first appearance; 0 stays 0."""

    def __init__(self):
        super().__init__({0: 0})

    def __missing__(self, key):
        self[key] = len(self)
        return self[key]
