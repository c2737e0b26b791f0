"""Names for callers: from the kernel's own list of symbols, or told apart by what they do."""

import bisect
import collections
import re


class Symbols:
    r"""The functions of the kernel itself, as ``/proc/kallsyms`` lists them.

    Parameters
    ----------
    text : str
        Contents of ``/proc/kallsyms``; modules are left out.

    Attributes
    ----------
    functions, data : dict of str to int
        Addresses by name.

    Raises
    ------
    ValueError
        If there is no function in it, or the kernel hides its addresses.

    Examples
    --------
    >>> symbols = Symbols("ffffffff81000000 T _text\nffffffff81000040 t drain_stock\n")
    >>> symbols.name(0xFFFFFFFF81000044)
    'drain_stock'
    """

    def __init__(self, text):
        self.functions, self.data = {}, {}
        for line in text.splitlines():
            words = line.split()
            if len(words) == 3 and re.fullmatch(r"[0-9a-f]+", words[0]):
                kind = self.functions if words[1] in "tTwW" else self.data
                kind.setdefault(words[2], int(words[0], 16))
        if not self.functions:
            raise ValueError("no kernel function is listed in kallsyms.")
        if not any(self.functions.values()):
            raise ValueError("the kernel hides its addresses (kallsyms shows zeros): root is needed.")
        pairs = sorted((address, name) for name, address in self.functions.items())
        self._starts, self._names = [a for a, _ in pairs], [n for _, n in pairs]

    def name(self, address):
        """The function an address lies in; ``?`` if it lies before all of them."""
        place = bisect.bisect_right(self._starts, address) - 1
        return self._names[place] if place >= 0 else "?"

    def extent(self, function):
        r"""The addresses of a function, as a range; the last function of the kernel is taken to have 4096 bytes.

        Raises
        ------
        ValueError
            If there is no such function.

        Examples
        --------
        >>> symbols = Symbols("ffffffff81000000 T _text\nffffffff81000040 t drain_stock\n")
        >>> len(symbols.extent("_text"))
        64
        """
        if function not in self.functions:
            raise ValueError(f"this kernel has no function {function!r}.")
        start = self.functions[function]
        place = bisect.bisect_right(self._starts, start)
        return range(start, self._starts[place] if place < len(self._starts) else start + 4096)


class Callers:
    """Names for callers without ``/proc/kallsyms``: told apart by what they do.

    Who refills right after the same task charged a counter keeps the rest of a batch. Who uncharges right after the
    stock of this CPU was touched drains it. The most frequent such caller gets the kernel's name. Who enters a refill
    or a drain in the middle of a refill is that refill itself. All others are "other".

    It must see every event first, and then the end.
    """

    def __init__(self):
        self._surplus, self._drains = collections.Counter(), collections.Counter()
        self._names = {}
        self._of_task, self._of_cpu = {}, {}

    def see(self, event):
        """Look at the next event."""
        caller, before = event.fields.get("caller"), self._of_cpu.get(event.cpu)
        if event.name == "refill" and self._of_task.get(event.pid) in ("pctry", "pctryr"):
            self._surplus[caller] += 1
        elif event.name == "pcunc" and before in ("refill", "refe", "refin", "drain"):
            self._drains[caller] += 1
        elif event.name == "refe" and before == "refill":
            self._names[caller] = "refill_stock"
        elif event.name == "drain" and before in ("refe", "refin"):
            self._names.setdefault(caller, "__refill_stock")
        self._of_task[event.pid] = self._of_cpu[event.cpu] = event.name

    def end(self):
        """All events were seen."""
        for counted, name in ((self._surplus, "try_charge_memcg"), (self._drains, "drain_stock")):
            for caller, _ in counted.most_common(1):
                self._names[caller] = name

    def name(self, address):
        """The kernel's name of a caller, or "other"."""
        return self._names.get(address, "other")
