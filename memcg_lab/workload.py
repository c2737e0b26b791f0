"""Op streams: generated from a seed, saved and loaded, read from golden files.

A stream is a structured array of ``op_dtype``: operation, context, CPU, cgroup, pages. Generators draw from their own
integer generator, so a seed gives the same stream on every machine and with every library version.
"""

import numpy as np

from .checks import shown, unmasked, whole_number, whole_numbers
from .files import path_of, writing
from .mechanism.records import CHARGE_SKMEM, NR_PAGES_MAX, SOFTIRQ, TASK, UNCHARGE_SKMEM, op_dtype
from .words import count, printable

FORMAT = "memcg-lab ops 1"
N_MAX = 2**32  # operations of a stream: 64 GiB

# Pages of one call and how often they occur, of 100. From the call sites of v4.13 and the sizes they pass: a 1500-byte
# frame takes 1 page, a GRO-merged skb about 9, a write of up to 32 KiB takes 1 to 8. The weights are ours.
SIZE_MIXES = {
    "frames": {1: 100},
    "gro": {1: 30, 3: 10, 9: 60},
    "writes": {1: 40, 2: 20, 4: 20, 8: 20},
    "web": {1: 55, 2: 15, 3: 8, 8: 10, 9: 10, 16: 2},
}


def splitmix(seed, n):
    """``n`` random 64-bit integers; the same for a seed everywhere.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    n : int

    Returns
    -------
    ndarray of uint64, shape (n,)

    Examples
    --------
    >>> splitmix(1, 2)
    array([10451216379200822465, 13757245211066428519], dtype=uint64)
    """
    seed, n = whole_number("seed", seed, 0, 2**64 - 1), whole_number("n", n, 0, 2**40)
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def draws(seed, n, bound):
    """``n`` random integers from 0 to ``bound - 1``; int64, shape (n,)."""
    return (splitmix(seed, n) % np.uint64(whole_number("bound", bound, 1, 2**62))).astype(np.int64)


def sizes(seed, n, mix):
    """``n`` page counts drawn from a size mix; int64, shape (n,).

    Parameters
    ----------
    mix : str or dict
        A name in ``SIZE_MIXES``, or ``{pages: weight}`` with whole numbers.

    Raises
    ------
    ValueError
        If the mix is unknown or not made of whole numbers above 0.

    Examples
    --------
    >>> sizes(1, 5, {1: 1, 9: 1})
    array([9, 9, 1, 9, 9])
    """
    if isinstance(mix, str):
        if mix not in SIZE_MIXES:
            raise ValueError(f"size mix {shown(mix)} does not exist; there are {', '.join(SIZE_MIXES)}.")
        mix = SIZE_MIXES[mix]
    if not isinstance(mix, dict):
        raise ValueError(f"size mix is {shown(mix)}; it must be a name or a dict of {{pages: weight}}.")
    pages = np.array([whole_number("pages in a size mix", p, 1, NR_PAGES_MAX) for p in mix], dtype=np.int64)
    weights = np.array([whole_number("weight in a size mix", w, 1, 2**31) for w in mix.values()], dtype=np.int64)
    if not pages.size:
        raise ValueError("the size mix is empty; give at least one {pages: weight}.")
    upper = np.cumsum(weights)
    return pages[np.searchsorted(upper, draws(seed, n, int(upper[-1])), side="right")]


def check_stream(ops):
    """Refuse what is not a stream of operations."""
    if not isinstance(ops, np.ndarray) or ops.dtype != op_dtype or ops.ndim != 1:
        got = f"{ops.dtype}, {ops.ndim}-d" if isinstance(ops, np.ndarray) else type(ops).__name__
        raise ValueError(f"operations must be a 1-d array of memcg_lab.op_dtype; this is {got}.")
    unmasked("the stream", ops)


def stream(n):
    """``n`` empty operations: all ``charge_skmem`` of 0 pages, to be filled in."""
    return np.zeros(whole_number("n", n, 0, N_MAX), op_dtype)


def _cgroups(memcgs):
    """The cgroups that a generator is to take, at least one."""
    memcgs = whole_numbers("memcgs", memcgs, 2**31 - 1)
    if not memcgs.size:
        raise ValueError("memcgs is empty; give at least one cgroup.")
    return memcgs


def pairs(charges, uncharges):
    """Interleave: charge 0, uncharge 0, charge 1, uncharge 1, …"""
    out = stream(2 * len(charges))
    out[0::2], out[1::2] = charges, uncharges
    return out


def skmem(op, n, *, cpu, memcg, nr_pages, ctx=SOFTIRQ):
    """``n`` operations of one kind; every argument is one number or one per operation."""
    out = stream(n)
    out["op"], out["ctx"] = op, ctx
    out["cpu"] = _each("cpu", cpu, len(out), 2**16 - 1)
    out["memcg"] = _each("memcg", memcg, len(out), 2**31 - 1)
    out["nr"] = _each("nr", nr_pages, len(out), NR_PAGES_MAX)
    return out


def _each(what, value, n, top):
    """One whole number, or one for each of ``n`` operations."""
    if not isinstance(value, (list, tuple, range)) and getattr(value, "ndim", 0) == 0:
        return whole_number(what, value, 0, top)
    values = whole_numbers(what, value, top)
    if len(values) != n:
        raise ValueError(f"{what} has {count(len(values), 'value')} for {count(n, 'call')}; give one number, or {n:,}.")
    return values


def pingpong(n, *, memcg=1, cpu=0, nr_pages=1):
    """``n`` times: charge and give back on one CPU.

    Parameters
    ----------
    n : int
        Pairs.
    memcg : int or sequence of int
        The cgroup, or one for each pair.
    cpu : int
    nr_pages : int or sequence of int
        Pages of a call, or one number for each.

    Returns
    -------
    ndarray of ``op_dtype``

    Raises
    ------
    ValueError
        If an argument is not a whole number in its range.

    Examples
    --------
    >>> pingpong(2)["op"]
    array([0, 1, 0, 1], dtype=uint8)
    """
    charge = skmem(CHARGE_SKMEM, n, cpu=cpu, memcg=memcg, nr_pages=nr_pages)
    return pairs(charge, skmem(UNCHARGE_SKMEM, n, cpu=cpu, memcg=memcg, nr_pages=nr_pages))


def producer_consumer(n, *, memcg=1, charge_cpu=0, uncharge_cpu=1, nr_pages=1):
    """``n`` times: charge by a task on one CPU, give back in softirq on another.

    Parameters
    ----------
    n : int
        Pairs.
    memcg : int or sequence of int
        The cgroup, or one for each pair.
    charge_cpu, uncharge_cpu : int
    nr_pages : int or sequence of int
        Pages of a call, or one number for each.

    Returns
    -------
    ndarray of ``op_dtype``

    Raises
    ------
    ValueError
        If an argument is not a whole number in its range.

    Examples
    --------
    >>> producer_consumer(2)["cpu"]
    array([0, 1, 0, 1], dtype=uint16)
    """
    charge = skmem(CHARGE_SKMEM, n, cpu=charge_cpu, memcg=memcg, nr_pages=nr_pages, ctx=TASK)
    return pairs(charge, skmem(UNCHARGE_SKMEM, n, cpu=uncharge_cpu, memcg=memcg, nr_pages=nr_pages))


def alternating(n, *, memcgs=(1, 2), cpu=0, nr_pages=1):
    """``n`` charges that take the cgroups in turn on one CPU, then ``n`` uncharges likewise: the stock's worst case.

    Parameters
    ----------
    n : int
        Charges.
    memcgs : sequence of int
        Cgroups that take turns.
    cpu : int
    nr_pages : int or sequence of int
        Pages of a call, or one number for each.

    Returns
    -------
    ndarray of ``op_dtype``

    Raises
    ------
    ValueError
        If an argument is not a whole number in its range.

    Examples
    --------
    >>> alternating(2)["memcg"]
    array([1, 2, 1, 2], dtype=int32)
    """
    owner = np.resize(_cgroups(memcgs), whole_number("n", n, 0, N_MAX))
    charge = skmem(CHARGE_SKMEM, n, cpu=cpu, memcg=owner, nr_pages=nr_pages)
    return np.concatenate([charge, skmem(UNCHARGE_SKMEM, n, cpu=cpu, memcg=owner, nr_pages=nr_pages)])


def bursts(n, *, burst=64, memcg=1, charge_cpu=0, uncharge_cpu=1, mix="frames", seed=1):
    """``n`` bursts: ``burst`` charges in a row on one CPU, then as many uncharges on another.

    Parameters
    ----------
    n : int
        Bursts.
    burst : int
        Charges in one.
    memcg, charge_cpu, uncharge_cpu : int
    mix : str or dict
        See :func:`sizes`.
    seed : int

    Returns
    -------
    ndarray of ``op_dtype``

    Raises
    ------
    ValueError
        If an argument is not a whole number in its range.

    Examples
    --------
    >>> bursts(1, burst=2)["op"]
    array([0, 0, 1, 1], dtype=uint8)
    """
    n, burst = whole_number("n", n, 0, N_MAX), whole_number("burst", burst, 0, N_MAX)
    nr = sizes(seed, n * burst, mix).reshape(n, burst)
    charge = skmem(CHARGE_SKMEM, n * burst, cpu=charge_cpu, memcg=memcg, nr_pages=nr.ravel())
    free = skmem(UNCHARGE_SKMEM, n * burst, cpu=uncharge_cpu, memcg=memcg, nr_pages=nr.ravel())
    return np.stack([charge.reshape(n, burst), free.reshape(n, burst)], axis=1).ravel()


def rpc(n, *, memcg=1, client_cpu=0, server_cpu=1, nr_pages=1):
    """``n`` requests and answers: each side charges what it sends, the other CPU gives it back after reading.

    Parameters
    ----------
    n : int
        Requests with their answers.
    memcg, client_cpu, server_cpu : int
    nr_pages : int
        Pages of a request and of an answer.

    Returns
    -------
    ndarray of ``op_dtype``

    Raises
    ------
    ValueError
        If an argument is not a whole number in its range.

    Examples
    --------
    >>> rpc(1)["cpu"]
    array([0, 1, 1, 0], dtype=uint16)
    """
    request = producer_consumer(n, memcg=memcg, charge_cpu=client_cpu, uncharge_cpu=server_cpu, nr_pages=nr_pages)
    answer = producer_consumer(n, memcg=memcg, charge_cpu=server_cpu, uncharge_cpu=client_cpu, nr_pages=nr_pages)
    return np.concatenate([request.reshape(n, 2), answer.reshape(n, 2)], axis=1).ravel()


def bulk(n, *, memcg=1, receive_cpu=0, timer_cpu=1, per_reclaim=8, mix="gro", seed=1):
    """``n`` rounds of a bulk receiver: ``per_reclaim`` charges, then one uncharge of all their pages by a timer.

    In v4.13 most TCP uncharges come from timers, which give back at once what piled up since the last one.

    Parameters
    ----------
    n : int
        Rounds.
    memcg, receive_cpu, timer_cpu : int
    per_reclaim : int
        Charges of a round.
    mix : str or dict
        See :func:`sizes`.
    seed : int

    Returns
    -------
    ndarray of ``op_dtype``

    Raises
    ------
    ValueError
        If an argument is not a whole number in its range.

    Examples
    --------
    >>> ops = bulk(1, per_reclaim=2)
    >>> ops["op"], ops["nr"]
    (array([0, 0, 1], dtype=uint8), array([ 9,  1, 10]))
    """
    n, per_reclaim = whole_number("n", n, 0, N_MAX), whole_number("per_reclaim", per_reclaim, 1, N_MAX)
    nr = sizes(seed, n * per_reclaim, mix).reshape(n, per_reclaim)
    out = stream(n * (per_reclaim + 1)).reshape(n, per_reclaim + 1)
    charge = skmem(CHARGE_SKMEM, n * per_reclaim, cpu=receive_cpu, memcg=memcg, nr_pages=nr.ravel())
    out[:, :-1] = charge.reshape(n, per_reclaim)
    out[:, -1] = skmem(UNCHARGE_SKMEM, n, cpu=timer_cpu, memcg=memcg, nr_pages=nr.sum(axis=1))
    return out.ravel()


def mixed(n, *, cpus, memcgs, mix="web", same_cpu_percent=25, in_flight=64, seed=1):
    """``n`` operations, half charges, half uncharges of what was charged ``in_flight`` charges before.

    Parameters
    ----------
    n : int
    cpus : int
        Charges are spread over CPUs 0 to ``cpus - 1``; an uncharge runs on the charging CPU in ``same_cpu_percent``
        of 100 cases and on a random one otherwise.
    memcgs : sequence of int
        Cgroups; each CPU works mostly (7 of 8 charges) for one of them.
    mix : str or dict
        See :func:`sizes`.
    in_flight : int
        Charges that stay open.
    seed : int

    Returns
    -------
    ndarray of ``op_dtype``, shape (2 * (n // 2),)
        It ends with nothing held.

    Examples
    --------
    >>> from memcg_lab import OPS
    >>> ops = mixed(6, cpus=2, memcgs=[1], in_flight=1)
    >>> [OPS[code][:8] for code in ops["op"]]
    ['charge_s', 'charge_s', 'uncharge', 'charge_s', 'uncharge', 'uncharge']
    """
    memcgs = _cgroups(memcgs)
    n, cpus = whole_number("n", n, 0, N_MAX) // 2, whole_number("cpus", cpus, 1, 2**16)
    in_flight = min(whole_number("in_flight", in_flight, 0, 2**31), n)
    seed = whole_number("seed", seed, 0, 2**64 - 6)  # five more are drawn with those that follow
    cpu = draws(seed, n, cpus)
    own = draws(seed + 1, n, 8) != 0
    memcg = memcgs[np.where(own, cpu, draws(seed + 2, n, memcgs.size)) % memcgs.size]
    charge = skmem(CHARGE_SKMEM, n, cpu=cpu, memcg=memcg, nr_pages=sizes(seed + 3, n, mix))
    free = charge.copy()
    free["op"] = UNCHARGE_SKMEM
    away = draws(seed + 4, n, 100) >= whole_number("same_cpu_percent", same_cpu_percent, 0, 100)
    free["cpu"] = np.where(away, draws(seed + 5, n, cpus), cpu)
    middle = pairs(charge[in_flight:], free[: n - in_flight])
    return np.concatenate([charge[:in_flight], middle, free[n - in_flight :]])


# --- callers of the socket layer, one packet at a time ---------------------------------------------------------------
def udp_enqueue(system, *, cpu, sk, nr_bytes):
    """A datagram arrives in softirq: the socket charges once, and drops it if that is refused.

    Parameters
    ----------
    system : System
        Made with ``sockets``.
    cpu, sk : int
        The CPU and the socket.
    nr_bytes : int

    Returns
    -------
    bool
        True if the datagram is queued, False if it is dropped.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    Kernel: ``__udp_enqueue_schedule_skb`` in ``net/ipv4/udp.c``, v4.13, as far as it charges. The limit of the receive
    buffer is left out, and giving back is the caller's.

    Examples
    --------
    >>> from memcg_lab import System
    >>> full = System.chain(depth=1, cpus=1, sockets=[1], limits=[-1, 4])
    >>> [udp_enqueue(full, cpu=0, sk=0, nr_bytes=12288) for _ in range(3)]
    [True, False, True]
    """
    taken = system.socket_op("sk_rmem_schedule", cpu=cpu, sk=sk, nr_bytes=nr_bytes) == 1
    if taken:
        system.socket_op("sk_queue_receive", cpu=cpu, sk=sk, nr_bytes=nr_bytes)
    return taken


def tcp_data_queue(system, *, cpu, sk, nr_bytes):
    """A segment arrives in order and in softirq: an empty queue takes it in any case, else TCP tries twice.

    Parameters
    ----------
    system : System
        Made with ``sockets``.
    cpu, sk : int
        The CPU and the socket.
    nr_bytes : int

    Returns
    -------
    bool
        True if the segment is queued, False if it is dropped.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    Kernel: ``tcp_data_queue`` and ``tcp_try_rmem_schedule`` in ``net/ipv4/tcp_input.c``, v4.14: try; if refused, prune,
    then try again in the same call. Pruning frees nothing here: no segment is out of order, and the receive buffer has
    no limit of its own.

    Examples
    --------
    >>> from memcg_lab import System
    >>> full = System.chain(depth=1, cpus=1, sockets=[1], limits=[-1, 4])
    >>> [tcp_data_queue(full, cpu=0, sk=0, nr_bytes=12288) for _ in range(3)]
    [True, True, True]
    """
    if system.socket(sk)["rmem_alloc"] == 0:
        system.socket_op("sk_forced_mem_schedule", cpu=cpu, sk=sk, nr_bytes=nr_bytes)
        taken = True
    else:
        tries = (system.socket_op("sk_rmem_schedule", cpu=cpu, sk=sk, nr_bytes=nr_bytes) for _ in range(2))
        taken = any(tries)  # the second try is made only if the first was refused
    if taken:
        system.socket_op("sk_queue_receive", cpu=cpu, sk=sk, nr_bytes=nr_bytes)
    return taken


def save_ops(path, ops, *, replace=False):
    """Write a stream to a file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.npz`` is added to a name without it.
    ops : ndarray of ``op_dtype``
    replace : bool
        Replace a file that is there; else it is refused.

    Raises
    ------
    ValueError
        If it is no stream, the file is there, or it cannot be written.
    """
    check_stream(ops)
    with writing(path_of(path, ".npz"), replace=replace) as scratch, open(scratch, "wb") as file:
        np.savez_compressed(file, format=np.array(FORMAT), **{name: ops[name] for name in op_dtype.names})


def load_ops(path):
    """Read a stream written by :func:`save_ops`; ``.npz`` is added to a name without it.

    Raises
    ------
    ValueError
        If the file is truncated, empty or something else; the message names it.
    """
    given, path = path_of(path), path_of(path, ".npz")
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            if str(file["format"]) != FORMAT:
                raise ValueError(f'format is "{file["format"]}"')
            columns = {name: file[name] for name in op_dtype.names}
    except FileNotFoundError:
        if given.exists():
            raise ValueError(f"{printable(given)}: not written by save_ops, whose files end in .npz.") from None
        raise ValueError(f"{printable(path)}: no such file.") from None
    except Exception as error:  # numpy, zipfile and zlib raise many kinds; each means the same to the reader
        raise ValueError(f"{printable(path)}: not a stream written by save_ops ({printable(error)}).") from None
    ops = np.zeros(columns["op"].size, op_dtype)
    for name, values in columns.items():
        if values.dtype != op_dtype[name] or values.shape != ops.shape:
            raise ValueError(
                f'{printable(path)}: column "{name}" is {values.dtype} {values.shape}; '
                f"it must be {op_dtype[name]} {ops.shape}."
            )
        ops[name] = values
    return ops
