"""The step log: what a replay writes down for the labs when it is asked to."""

from .._jit import inline


@inline
def step(log, cpu, code, where, before, after):
    """Append one row. With ``log=None`` numba prunes the whole body, so a replay without a log pays nothing."""
    if log is None:
        return
    head = log[0]  # op: the running operation's number; before: rows used; after: rows that found no place
    row = head.before + 1
    if row >= log.size:
        head.after += 1
        return
    head.before = row
    entry = log[row]
    entry.op = head.op
    entry.cpu = cpu
    entry.step = code
    entry.where = where
    entry.before = before
    entry.after = after


@inline
def begin(log, op):
    """Say which operation the following rows belong to."""
    if log is None:
        return
    log[0].op = op
