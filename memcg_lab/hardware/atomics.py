"""Atomics of the CPU for compiled code: read-modify-writes, loads, stores and fences, ordered as in C11.

Each works on a place: ``(array, index)`` in a 1-d int64 array, or ``(record, "field")``, an int64 field of a record.
The ordering is the last argument and always written out: ``"relaxed"``, ``"acquire"``, ``"release"``, ``"acq_rel"`` or
``"seq_cst"``, as far as C11 allows it for the operation. A wrong ordering or place is a compile-time error.

They exist in compiled code only; called from Python they raise ``NotImplementedError``. An index is used as it is, a
negative one does not count from the end; it is checked only under ``NUMBA_BOUNDSCHECK=1``, so callers validate. Memory
must be aligned to 8 bytes, as numpy's own arrays are; numba's types do not tell.
"""

import platform

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

LLVM_ORDER = {
    "relaxed": "monotonic",
    "acquire": "acquire",
    "release": "release",
    "acq_rel": "acq_rel",
    "seq_cst": "seq_cst",
}
ANY_ORDER = tuple(LLVM_ORDER)
LOAD_ORDERS = ("relaxed", "acquire", "seq_cst")
STORE_ORDERS = ("relaxed", "release", "seq_cst")

X86_64 = platform.machine().lower() in ("x86_64", "amd64")
ARM64 = platform.machine().lower() in ("aarch64", "arm64")

_WORD = ir.IntType(64)
_BYTES = 8


def _order(operation, order, allowed):
    """The LLVM name of an ordering."""
    if not isinstance(order, types.StringLiteral):
        raise TypingError(f'{operation}: the order must be written out as text, such as "{allowed[-1]}".')
    if order.literal_value not in allowed:
        raise TypingError(f'{operation}: order is "{order.literal_value}"; allowed are {", ".join(allowed)}.')
    return LLVM_ORDER[order.literal_value]


def _place(operation, container, key, *, writes=True):
    """Check the types of a place; return the type to convert the key to."""
    if isinstance(container, types.Record):
        if not isinstance(key, types.StringLiteral) or key.literal_value not in container.fields:
            fields = ", ".join(container.fields)
            raise TypingError(f"{operation}: a place in a record is the name of one of its fields: {fields}.")
        name = key.literal_value
        if container.typeof(name) != types.int64:
            raise TypingError(f'{operation}: field "{name}" is {container.typeof(name)}; it must be int64.')
        if container.offset(name) % _BYTES or container.size % _BYTES:
            raise TypingError(f'{operation}: field "{name}" is not aligned to {_BYTES} bytes.')
        return key
    if not isinstance(container, types.Array) or container.dtype != types.int64 or container.ndim != 1:
        raise TypingError(f"{operation}: a place is in a record or in a 1-d int64 array; this is {container}.")
    if writes and not container.mutable:
        raise TypingError(f"{operation}: the array is read-only.")
    if not isinstance(key, types.Integer):
        raise TypingError(f"{operation}: an index is a whole number; this is {key}.")
    return types.intp


def _pointer(context, builder, signature, args):
    """Address of the place that the first two arguments name."""
    container, key = signature.args[:2]
    if isinstance(container, types.Record):
        return cgutils.get_record_member(builder, args[0], container.offset(key.literal_value), _WORD)
    array = context.make_array(container)(context, builder, args[0])
    return cgutils.get_item_pointer(
        context, builder, container, array, [args[1]], boundscheck=context.enable_boundscheck
    )


def _read_modify_write(operation, container, key, value, order, instruction):
    llvm_order = _order(operation, order, ANY_ORDER)
    place = _place(operation, container, key)
    if not isinstance(value, types.Integer):
        raise TypingError(f"{operation}: the value is {value}; it must be a whole number.")

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw(instruction, _pointer(context, builder, signature, args), args[2], llvm_order)

    return types.int64(container, place, types.int64, order), codegen


@intrinsic(prefer_literal=True)
def fetch_add(context, container, key, value, order):
    """Add atomically: the value before.

    Parameters
    ----------
    container : array of int64, 1-d, or record
    key : int or str
        Index into the array, or name of a field of the record.
    value : int64
    order : str
        Any of the five.

    Returns
    -------
    int64

    Raises
    ------
    numba.core.errors.TypingError
        At compile time, if the place or the order is not allowed.
    NotImplementedError
        Outside compiled code.

    Notes
    -----
    Kernel: ``atomic_long_add_return`` is ``fetch_add(..., n, "seq_cst") + n``. x86-64: ``lock xadd``.

    Examples
    --------
    >>> import numpy as np
    >>> from memcg_lab import _jit
    >>> charge = _jit.kernel("example_add")(lambda count, pages: fetch_add(count, 0, pages, "seq_cst"))
    >>> count = np.zeros(1, np.int64)
    >>> charge(count, 32), charge(count, 1), count
    (0, 32, array([33]))
    """
    return _read_modify_write("fetch_add", container, key, value, order, "add")


@intrinsic(prefer_literal=True)
def fetch_max(context, container, key, value, order):
    """Raise atomically to ``value`` if that is more: the value before. C11 has no such operation, LLVM does.

    Place, orders and errors are those of :func:`fetch_add`. x86-64: a loop around ``lock cmpxchg``.

    Examples
    --------
    >>> import numpy as np
    >>> from memcg_lab import _jit
    >>> watermark = np.array([5])
    >>> _jit.kernel("example_max")(lambda words: fetch_max(words, 0, 9, "relaxed"))(watermark), watermark
    (5, array([9]))
    """
    return _read_modify_write("fetch_max", container, key, value, order, "max")


@intrinsic(prefer_literal=True)
def exchange(context, container, key, value, order):
    """Write atomically: the value before. Place, orders and errors are those of :func:`fetch_add`. Kernel: ``xchg``.

    Examples
    --------
    >>> import numpy as np
    >>> from memcg_lab import _jit
    >>> limit = np.array([100])
    >>> _jit.kernel("example_exchange")(lambda words: exchange(words, 0, 64, "seq_cst"))(limit), limit
    (100, array([64]))
    """
    return _read_modify_write("exchange", container, key, value, order, "xchg")


@intrinsic(prefer_literal=True)
def compare_exchange(context, container, key, expected, desired, order):
    """Write ``desired`` atomically if ``expected`` stands there: the value before, which equals ``expected`` if it did.

    Place, orders and errors are those of :func:`fetch_add`. A failed attempt is ordered as C++ derives it: like
    ``order`` without its release part. It never fails without a reason (C11: ``strong``). Kernel: ``cmpxchg``.

    Examples
    --------
    >>> import numpy as np
    >>> from memcg_lab import _jit
    >>> swap = _jit.kernel("example_swap")(lambda words, old, new: compare_exchange(words, 0, old, new, "acq_rel"))
    >>> words = np.array([7])
    >>> swap(words, 1, 2), swap(words, 7, 2), words
    (7, 7, array([2]))
    """
    success = _order("compare_exchange", order, ANY_ORDER)
    failure = {"release": "monotonic", "acq_rel": "acquire"}.get(success, success)
    place = _place("compare_exchange", container, key)
    for value in (expected, desired):
        if not isinstance(value, types.Integer):
            raise TypingError(f"compare_exchange: the value is {value}; it must be a whole number.")

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature, args)
        return builder.extract_value(builder.cmpxchg(pointer, args[2], args[3], success, failure), 0)

    return types.int64(container, place, types.int64, types.int64, order), codegen


@intrinsic(prefer_literal=True)
def load(context, container, key, order):
    """Read in one piece, each time anew. Orders: relaxed, acquire, seq_cst. Kernel: ``READ_ONCE`` if relaxed.

    Examples
    --------
    >>> import numpy as np
    >>> from memcg_lab import _jit
    >>> _jit.kernel("example_load")(lambda words, i: load(words, i, "acquire"))(np.array([3, 4]), 1)
    4
    """
    llvm_order = _order("load", order, LOAD_ORDERS)
    place = _place("load", container, key, writes=False)

    def codegen(context, builder, signature, args):
        return builder.load_atomic(_pointer(context, builder, signature, args), llvm_order, _BYTES)

    return types.int64(container, place, order), codegen


@intrinsic(prefer_literal=True)
def store(context, container, key, value, order):
    """Write in one piece, at once. Orders: relaxed, release, seq_cst. Kernel: ``WRITE_ONCE``, ``smp_store_release``.

    Examples
    --------
    >>> import numpy as np
    >>> from memcg_lab import _jit
    >>> words = np.zeros(2, np.int64)
    >>> _jit.kernel("example_store")(lambda words: store(words, 1, 5, "release"))(words), words
    (None, array([0, 5]))
    """
    llvm_order = _order("store", order, STORE_ORDERS)
    place = _place("store", container, key)
    if not isinstance(value, types.Integer):
        raise TypingError(f"store: the value is {value}; it must be a whole number.")

    def codegen(context, builder, signature, args):
        builder.store_atomic(args[2], _pointer(context, builder, signature, args), llvm_order, _BYTES)
        return context.get_dummy_value()

    return types.void(container, place, types.int64, order), codegen


@intrinsic(prefer_literal=True)
def fence(context, order):
    """Order the accesses before and after it. All five orders; ``"relaxed"`` orders nothing, as in C11.

    Kernel: ``smp_mb`` is ``fence("seq_cst")``.

    Examples
    --------
    >>> from memcg_lab import _jit
    >>> _jit.kernel("example_fence")(lambda: fence("seq_cst"))()
    """
    llvm_order = _order("fence", order, ANY_ORDER)

    def codegen(context, builder, signature, args):
        if llvm_order != "monotonic":
            builder.fence(llvm_order)
        return context.get_dummy_value()

    return types.void(order), codegen


# --- beside the atomics ----------------------------------------------------------------------------------------------
# LLVM's intrinsics, not inline assembly: numba loads no assembler, and would end the process.
def _call(builder, name, result, *arguments):
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


@intrinsic
def pause(context):
    """Tell the CPU that this is a loop that waits; nothing on CPUs other than x86-64 and arm64."""

    def codegen(context, builder, signature, args):
        if X86_64:
            _call(builder, "llvm.x86.sse2.pause", ir.VoidType())
        elif ARM64:
            _call(builder, "llvm.aarch64.hint", ir.VoidType(), ir.IntType(32)(1))  # yield
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def serialize(context):
    """Let nothing that follows begin before the CPU is done with what stands before.

    x86-64: ``lfence``. arm64: ``isb``. Elsewhere nothing.
    """

    def codegen(context, builder, signature, args):
        if X86_64:
            _call(builder, "llvm.x86.sse2.lfence", ir.VoidType())
        elif ARM64:
            _call(builder, "llvm.aarch64.isb", ir.VoidType(), ir.IntType(32)(15))
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def ticks(context):
    """Time-stamp counter, in a unit of its own, alike on all cores; ``serialize`` first to time what came before.

    x86-64: ``rdtsc``. arm64: ``cntvct_el0``, because its cycle counter is closed to user programs. Elsewhere a
    compile-time error.
    """
    if not (X86_64 or ARM64):
        raise TypingError(f"ticks: no time-stamp counter is known for {platform.machine()}.")

    def codegen(context, builder, signature, args):
        return _call(builder, "llvm.readcyclecounter" if X86_64 else "llvm.readsteadycounter", _WORD)

    return types.int64(), codegen
