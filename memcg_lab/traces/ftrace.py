"""ftrace text as rows: what the kernel lab's probes wrote, with no address, process name or process id left in it."""

import collections
import re
from collections import namedtuple

from .rows import Row

_LINE = re.compile(r"-(\d+) +\[(\d+)\] +(\S+) +(\d+)\.(\d{6}): (\w+): \(.*?\) ?(.*)$")

Event = namedtuple("Event", "line cpu pid softirq us name fields")
Event.__doc__ = "What one probe wrote: ``line`` of the text, ``us`` in microseconds, ``fields`` a dict of numbers."


def rows_of(trace, symbols):
    """Turn the text of ``trace`` into rows.

    Cgroups and processes become small integers in the order in which they appear; 0 is none.

    Parameters
    ----------
    trace : iterable of str
        Lines of tracefs ``trace``; those of other events are passed over.
    symbols : Symbols
        Of the kernel that ran, to name callers.

    Returns
    -------
    list of Row
        ``line`` is that of the text. With probes at entries only, a ``refill`` does not know what the stock held.

    Raises
    ------
    ValueError
        If a line of ours has a field that is no number, or lacks one.

    Notes
    -----
    ``softirq`` is taken from the latency flags, which a probe inside an interrupts-off section may mask.

    Examples
    --------
    >>> from memcg_lab.traces.symbols import Symbols
    >>> symbols = Symbols("ffffffff81000000 T mem_cgroup_uncharge_skmem")
    >>> line = " sender-42 [001] d.s1. 7.000100: unc: (mem_cgroup_uncharge_skmem+0x0/0x90) memcg=0xffff888 nr=2"
    >>> row = rows_of([line], symbols)[0]
    >>> row.cpu, row.ev, row.memcg, row.nr, row.avail
    (1, 'unc', 1, 2, -1)
    """
    return rows_of_events(list(parsed_events(trace)), symbols)


def parsed_events(trace):
    """The events of our probes among the lines of a trace.

    Parameters
    ----------
    trace : iterable of str

    Yields
    ------
    Event

    Raises
    ------
    ValueError
        If a line of ours has a field that is no number.
    """
    for number, text in enumerate(trace, 1):
        match = _LINE.search(text)
        if not match or match[6] not in PROBES:
            continue
        pid, cpu, flags, seconds, micros, name, arguments = match.groups()
        try:
            fields = {key: int(value, 0) for key, value in (word.split("=") for word in arguments.split())}
        except ValueError:
            raise ValueError(f"trace, line {number}: {arguments!r} is not a list of name=number.") from None
        # Flags: irqs-off, need-resched, hardirq/softirq, depth. "s" softirq, "H" hardirq within one.
        softirq = int(len(flags) > 2 and flags[2] in "sH")
        yield Event(number, int(cpu), int(pid), softirq, int(seconds) * 1_000_000 + int(micros), name, fields)


def rows_of_events(events, symbols):
    """Turn parsed events into rows; some become none, because other events say what they say.

    Parameters
    ----------
    events : list of Event
        Of one whole recording, in its order.
    symbols : Symbols or Callers

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        If an event lacks a field.
    """
    reading, rows = _Reading(events, symbols), []
    for event in events:
        try:
            row = _HANDLERS[event.name](reading, event)
        except KeyError as error:
            raise ValueError(f"trace, line {event.line}: the probe {event.name} has no field {error}.") from None
        if row is not None:
            rows.append(row)
    return rows


class _Reading:
    """What is remembered between the events of one recording; a method for each makes its row, or None."""

    def __init__(self, events, symbols):
        self.symbols, self.owner = symbols, _owner(events)
        self.first = events[0].us if events else 0
        self.looks_inside = any(event.name == "refin" for event in events)
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


def _owner(events):
    """From the address of a counter to that of its cgroup; None for counters that are not ``memcg->memory``.

    Where the counter lies within the cgroup differs from build to build. A charge enters with the cgroup and goes on
    with its counter, so the trace itself tells: it is the most frequent distance between the two.
    """
    asked, distances, known = {}, collections.Counter(), set()
    for event in events:
        known.update(value for key, value in event.fields.items() if key in ("memcg", "cached"))
        if event.name == "tryc":
            asked[event.pid] = event.fields.get("memcg")
        elif event.name == "pctry" and (memcg := asked.pop(event.pid, None)) and "c" in event.fields:
            distances[event.fields["c"] - memcg] += 1
    offset = distances.most_common(1)[0][0] if distances else None

    def owner(counter):
        memcg = counter - offset if offset is not None else None
        return memcg if memcg in known else None

    return owner
