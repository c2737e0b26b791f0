"""Gaps: what a trace must show together and does not, because a line of it is missing or was told wrongly."""

import numpy as np

from .rows import CODES

MOST = 1000  # charges without their try that are kept; where there are so many, the probe is not there at all
CHG, TRY, REFILL, CONS = (CODES[name] for name in ("chg", "try", "refill", "cons"))
BATCH = 64  # MEMCG_CHARGE_BATCH of every kernel that the scripts are for


class Gaps:
    """Finds charges of sockets without their entry into ``try_charge_memcg``.

    A charge's try follows at once in the same task. Others may come in between: of other CPUs, of an interrupt, or of
    another task if this one was moved. A charge is without its try if its task (or CPU, where tasks are not known) has
    begun another one in the same context since.

    Notes
    -----
    Kernel: ``mem_cgroup_charge_skmem``, ``mem_cgroup_sk_charge`` and ``try_charge_memcg`` of ``mm/memcontrol.c``. A
    trace without any try says nothing: on cgroup v1 sockets have none, and some builds cannot be probed there.
    """

    def __init__(self):
        self._waiting = []  # (line, task, memcg, pages, context)
        self._last = {}  # (task, context): line of the last charge
        self._tries, self._before = 0, None

    def see(self, block):
        """Look at the next block."""
        block = block[(block["ev"] == CHG) | (block["ev"] == TRY)]
        if self._before is not None:  # the last row of the block before may be a charge whose try comes first here
            block = np.concatenate((self._before, block))
        tries = block["ev"] == TRY
        follows = ~tries[:-1] & tries[1:]
        for name in ("cpu", "pid", "memcg", "nr"):
            follows &= block[name][:-1] == block[name][1:]
        paired = np.zeros(block.size, bool)
        paired[:-1] |= follows
        paired[1:] |= follows
        self._before = None
        if block.size and not tries[-1]:
            self._before = block[-1:].copy()
            block, tries, paired = block[:-1], tries[:-1], paired[:-1]
        self._tries += int(tries.sum())
        task = 2 * np.where(block["pid"] > 0, block["pid"], -1 - block["cpu"]) + (block["softirq"] > 0)
        charges = np.flatnonzero(~tries)
        _, last = np.unique(task[charges][::-1], return_index=True)
        for k in charges[::-1][last].tolist():
            self._last[int(task[k])] = int(block["line"][k])
        alone = np.flatnonzero(~paired)
        columns = [block[name][alone].tolist() for name in ("line", "ev", "cpu", "memcg", "nr")]
        for line, ev, cpu, memcg, nr, whose in zip(*columns, task[alone].tolist()):
            if ev == CHG:
                if len(self._waiting) < MOST:
                    self._waiting.append((line, cpu, memcg, nr, whose))
            elif self._waiting:
                self._meet(cpu, memcg, nr)

    def _meet(self, cpu, memcg, nr):
        """A try: the last charge of these pages that waits, on this CPU if there is one."""
        same = [k for k, one in enumerate(self._waiting) if one[2:4] == (memcg, nr)]
        here = [k for k in same if self._waiting[k][1] == cpu]
        if same:
            del self._waiting[(here or same)[-1]]

    def found(self):
        """Line, CPU, cgroup and pages of each charge without its try."""
        if not self._tries:
            return []
        if self._before is not None:
            one = self._before[0]
            whose = 2 * (int(one["pid"]) if one["pid"] > 0 else -1 - int(one["cpu"])) + int(one["softirq"] > 0)
            self._last[whose] = int(one["line"])
        return [one[:4] for one in self._waiting if self._last.get(one[4], 0) > one[0]]


def without_try(charge):
    """A charge without its try, in words."""
    _, cpu, memcg, nr = charge
    return f"the try of a charge of {nr} pages of memcg {memcg} on CPU {cpu}"


class Phantoms:
    """Finds rests of a batch that a script took for a give-back of somebody else.

    A script that keeps one charge a CPU forgets a task's charge when an interrupt charges before the task's rest of the
    batch comes; that rest is then "other", and would be replayed as pages given back that nobody charged.

    Notes
    -----
    Only traces of the scripts are looked at: where the stock is seen, callers were told apart by their address.
    """

    def __init__(self):
        self._tries = {}  # cpu: {context: (line, memcg, pages) of the last try}
        self._charged = {}  # cpu: (memcg, pages, context) of the last socket charge
        self._looks_inside = False

    def see(self, block, causes):
        """Look at the next block; ValueError with the line of a give-back that cannot be one."""
        self._looks_inside |= bool((block["ev"] == CONS).any())
        if self._looks_inside or "other" not in causes:
            return
        other, skmem, surplus = (causes.index(name) if name in causes else -1 for name in ("other", "skmem", "surplus"))
        block = block[np.isin(block["ev"], (CHG, TRY, REFILL))]
        columns = (block[name].tolist() for name in ("line", "ev", "cpu", "softirq", "memcg", "nr", "cause"))
        for line, ev, cpu, softirq, memcg, nr, cause in zip(*columns):
            if ev == CHG:
                self._charged[cpu] = (memcg, nr, softirq > 0)
                continue
            tries = self._tries.setdefault(cpu, {})
            if ev == TRY:
                context = softirq > 0
                if cause == skmem and self._charged.get(cpu, ())[:2] == (memcg, nr):
                    context = self._charged.pop(cpu)[2]
                tries.pop(context, None)  # the last one stands last
                tries[context] = (line, memcg, nr)
            elif cause in (surplus, other):
                match = [key for key, one in tries.items() if one[1] == memcg and one[2] + nr == BATCH]
                last = next(reversed(tries), None)
                if cause == other and match and last not in match:
                    at, _, pages = tries[match[-1]]
                    raise ValueError(
                        f"line {line}: {nr} pages of memcg {memcg} go into the stock of CPU {cpu} as somebody else's, "
                        f"but they are the rest of the {BATCH} that the charge of {pages} in line {at} took; an "
                        f"interrupt charged in between (line {tries[last][0]}). The script mixed them up; "
                        "record with the scripts beside this version."
                    )
                if match:
                    del tries[match[-1]]
