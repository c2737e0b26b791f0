"""Perf names: what changes from run to run though the code is the same, and what was done about it."""

import re

# (column, what the rule is called, what it finds, what stands there afterwards)
RULES = [
    ("dso", "deleted file", re.compile(r" \(deleted\)$"), ""),
    ("dso", "perf-PID.map", re.compile(r"^perf-\d+\.map$"), "perf-*.map"),
    ("dso", "perf-PID.map", re.compile(r"^\[JIT\] tid \d+$"), "perf-*.map"),
    ("dso", "jitted-PID-N.so", re.compile(r"^jitted-\d+-\d+\.so$"), "jitted-*.so"),
    ("dso", "library version", re.compile(r"^ld-linux[^.]*\.so(?:\.\d+)*$|^ld-\d[\d.]*\.so$"), "ld.so"),
    ("dso", "library version", re.compile(r"\.(?:cpython|pypy)-?\d[\w-]*(?=\.so$)"), ""),
    ("dso", "library version", re.compile(r"^(lib.*?)(?:-\d[\d.]*)?\.so(?:\.\d+)*$"), r"\1.so"),
    ("comm", "kworker/N", re.compile(r"^kworker/u?\d+:\d+.*$"), "kworker/*"),
    ("comm", "thread of one CPU", re.compile(r"^([a-z_]+)/\d+$"), r"\1/*"),
    ("comm", "irq/N", re.compile(r"^irq/\d+-"), "irq/*-"),
    ("symbol", "hash of Rust", re.compile(r"::h[0-9a-f]{16}(?=$|\s|\()"), ""),
    ("symbol", "hash of Rust", re.compile(r"\[[0-9a-f]{8,16}\](?=::)"), ""),
    ("symbol", "hash of Rust", re.compile(r"(?<=17h)[0-9a-f]{16}(?=E)"), "*"),
    ("symbol", "hash of Rust", re.compile(r"^_R\w+"), lambda name: re.sub(r"(?<=C)s[0-9A-Za-z]*_(?=\d)", "", name[0])),
    ("symbol", "number of a clone", re.compile(r"(\.(?:constprop|isra|part|cold|lto_priv|localalias))\.\d+"), r"\1"),
    ("symbol", "number of a clone", re.compile(r"\.(?:llvm|__uniq)\.\d+"), ""),
    ("symbol", "tag of a BPF program", re.compile(r"^bpf_prog_[0-9a-f]{16}"), "bpf_prog_*"),
    ("dso", "tag of a BPF program", re.compile(r"^bpf_prog_[0-9a-f]{16}"), "bpf_prog_*"),
    ("keys", "process number", re.compile(r"\b(Pid|Tgid) \d+"), r"\1 *"),
]


def normalise(column, name):
    """A name without what changes from run to run, and the rules that took it away.

    Parameters
    ----------
    column : {"comm", "dso", "symbol", "keys"}
    name : str

    Returns
    -------
    (str, tuple of str)

    Examples
    --------
    >>> normalise("symbol", "tcp_ack.constprop.3"), normalise("dso", "/lib/libc-2.31.so")
    (('tcp_ack.constprop', ('number of a clone',)), ('libc.so', ('library version',)))
    >>> normalise("comm", "server")
    ('server', ())
    """
    used = []
    if column == "dso":
        name = name.rpartition("/")[2]
    for where, rule, pattern, instead in RULES:
        if where == column:
            short = pattern.sub(instead, name)
            if short != name:
                used.append(rule)
                name = short
    return name, tuple(dict.fromkeys(used))


def without_numbers(name):
    """A name with every number (decimal, or hexadecimal of 4 digits and more) as ``#``: what alike names share.

    Examples
    --------
    >>> without_numbers("worker-12"), without_numbers("f_0a1b2c3d")
    ('worker-#', 'f_#')
    """
    return re.sub(r"(?<![A-Za-z])(?=[0-9a-f]*\d)[0-9a-f]{4,}(?![A-Za-z])|\d+", "#", name)
