"""What a quiz question is drawn from: the topics, and integers from a text."""

import hashlib
import json

from ..workload import splitmix

AHEAD = 48  # integers drawn at once; few questions need more

TOPICS = {
    "start": "00",
    "profile": "01",
    "tree": "02",
    "stock": "03",
    "patch": "04",
    "drift": "05",
    "lines": "06",
    "after": "07",
    "contention": "08",
    "published": "09",
    "threads": "10",
    "traces": "11",
    "design": "13",
}

# Which notebooks each one asks to have been read before it, as its first cell says; a test holds both together.
NEEDS = {
    "00": (),
    "01": ("00",),
    "02": ("00",),
    "03": ("02",),
    "04": ("00",),
    "05": ("04",),
    "06": ("04",),
    "07": ("01", "06"),
    "08": ("06", "07"),
    "09": ("08",),
    "10": ("08",),
    "11": ("04", "05"),
    "13": ("04", "05"),
}


def rests_on(notebook):
    """The notebooks that whoever begins with this one has read.

    Examples
    --------
    >>> sorted(rests_on("07"))
    ['00', '01', '04', '06']
    """
    needs = set(NEEDS.get(notebook, ()))
    return needs.union(*map(rests_on, needs))


class Draw:
    """Integers from a text, the same on every machine and with every Python.

    Parameters
    ----------
    *what : str or int
        All that they depend on.

    Notes
    -----
    The seed of :func:`memcg_lab.workload.splitmix` is the first eight bytes of the SHA-256 of ``what`` as JSON.

    Examples
    --------
    >>> draw = Draw("stock", 7)
    >>> draw.between(1, 6), draw.pick("abc"), draw.shuffled(range(5))
    (5, 'a', [3, 4, 0, 1, 2])
    """

    def __init__(self, *what):
        self._seed = int.from_bytes(hashlib.sha256(json.dumps(what).encode("ascii")).digest()[:8], "big")
        self._values, self._at = [], 0

    def between(self, low, high):
        """A whole number from ``low`` to ``high``, both included."""
        if self._at == len(self._values):
            self._values = splitmix(self._seed, len(self._values) + AHEAD).tolist()
        self._at += 1
        return low + self._values[self._at - 1] % (high - low + 1)

    def pick(self, several):
        """One of them."""
        return several[self.between(0, len(several) - 1)]

    def shuffled(self, several):
        """All of them, in another order."""
        several = list(several)
        for last in range(len(several) - 1, 0, -1):
            other = self.between(0, last)
            several[last], several[other] = several[other], several[last]
        return several
