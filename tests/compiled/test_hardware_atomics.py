"""Atomics of the CPU: what they answer, how they are ordered, what is refused, and that threads lose nothing."""

import re
import threading

import numpy as np
import pytest
from numba.core.errors import TypingError

from lab_helpers import MODE
from memcg_lab import _jit
from memcg_lab.hardware import atomics
from memcg_lab.hardware.atomics import compare_exchange, exchange, fence, fetch_add, fetch_max, load, store, ticks

compiled_only = pytest.mark.skipif(MODE == "nojit", reason="nothing is compiled in this mode")
x86_64_only = pytest.mark.skipif(not atomics.X86_64, reason="instructions of x86-64")
ORDERS = ("relaxed", "acquire", "release", "acq_rel", "seq_cst")

record_dtype = np.dtype(
    {"names": ["count", "share", "odd"], "formats": ["i8", "f8", "i8"], "offsets": [0, 8, 20], "itemsize": 32}
)


def compiled(python):
    """A kernel of this file, never kept on disk."""
    return _jit.kernel("test")(python)


def of_order(operation, order):
    """A kernel that does one operation with one order on ``words[0]``."""
    return compiled(
        {
            "fetch_add": lambda words: fetch_add(words, 0, 1, order),
            "fetch_max": lambda words: fetch_max(words, 0, 1, order),
            "exchange": lambda words: exchange(words, 0, 1, order),
            "compare_exchange": lambda words: compare_exchange(words, 0, 0, 1, order),
            "load": lambda words: load(words, 0, order),
            "store": lambda words: store(words, 0, 1, order),
            "fence": lambda words: fence(order),
        }[operation]
    )


# --- without a compiler ----------------------------------------------------------------------------------------------
def test_called_from_python_they_say_that_they_cannot_be():
    with pytest.raises(NotImplementedError, match="fetch_add.*not usable in pure-python"):
        fetch_add(np.zeros(1, np.int64), 0, 1, "seq_cst")


# --- one thread ------------------------------------------------------------------------------------------------------
@compiled_only
@pytest.mark.parametrize("place", ["array", "record"])
def test_each_operation_answers_the_value_before_and_writes_the_new_one(place):
    def on_array(words, answers):
        answers[0] = fetch_add(words, 1, 5, "seq_cst")
        answers[1] = exchange(words, 1, 9, "acq_rel")
        answers[2] = compare_exchange(words, 1, 8, 1, "acquire")
        answers[3] = compare_exchange(words, 1, 9, -7, "release")
        answers[4] = fetch_max(words, 1, -9, "relaxed")
        answers[5] = fetch_max(words, 1, 3, "relaxed")
        answers[6] = load(words, 1, "acquire")
        store(words, 1, 2**62, "release")

    def on_record(rows, answers):
        row = rows[1]
        answers[0] = fetch_add(row, "count", 5, "seq_cst")
        answers[1] = exchange(row, "count", 9, "acq_rel")
        answers[2] = compare_exchange(row, "count", 8, 1, "acquire")
        answers[3] = compare_exchange(row, "count", 9, -7, "release")
        answers[4] = fetch_max(row, "count", -9, "relaxed")
        answers[5] = fetch_max(row, "count", 3, "relaxed")
        answers[6] = load(row, "count", "acquire")
        store(row, "count", 2**62, "release")

    memory = np.zeros(3, np.int64) if place == "array" else np.zeros(3, record_dtype)
    answers = np.zeros(7, np.int64)
    compiled(on_array if place == "array" else on_record)(memory, answers)
    assert answers.tolist() == [0, 5, 9, 9, -7, -7, 3]
    words = memory if place == "array" else memory["count"]
    assert words.tolist() == [0, 2**62, 0]


@compiled_only
def test_a_strided_view_is_addressed_by_its_strides():
    words = np.zeros(8, np.int64)
    compiled(lambda view: fetch_add(view, 2, 4, "relaxed"))(words[1::3])
    assert words.tolist() == [0, 0, 0, 0, 0, 0, 0, 4]


@compiled_only
def test_the_clock_goes_on():
    def span(n):
        first = ticks()
        for _ in range(n):
            fence("seq_cst")
        return ticks() - first

    assert compiled(span)(1000) > 0


# --- orders ----------------------------------------------------------------------------------------------------------
ALLOWED = {
    **dict.fromkeys(("fetch_add", "fetch_max", "exchange", "compare_exchange", "fence"), ORDERS),
    "load": ("relaxed", "acquire", "seq_cst"),
    "store": ("relaxed", "release", "seq_cst"),
}
# What numba shows is what is left when the code generator is done: on x86-64 a maximum is a loop by then.
LLVM = {"fetch_add": "atomicrmw add", "fetch_max": "cmpxchg", "exchange": "atomicrmw xchg"}
LLVM |= {"compare_exchange": "cmpxchg", "load": "load atomic", "store": "store atomic", "fence": "fence"}


@compiled_only
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("operation", ALLOWED)
def test_an_order_is_the_one_asked_for_or_refused_as_c11_does(operation, order):
    kernel = of_order(operation, order)
    if order not in ALLOWED[operation]:
        allowed = ", ".join(ALLOWED[operation])
        with pytest.raises(TypingError, match=f'{operation}: order is "{order}"; allowed are {allowed}'):
            kernel(np.zeros(1, np.int64))
        return
    kernel(np.zeros(1, np.int64))
    if not atomics.X86_64:
        return  # every operation is a loop by then
    code = "\n".join(kernel.inspect_llvm().values())
    lines = [line for line in code.splitlines() if re.search(rf"^\s*(%\S+ = )?{LLVM[operation]}\b", line)]
    if (operation, order) == ("fence", "relaxed"):
        assert lines == []
    else:
        assert lines
        assert all(re.search(rf"\b{atomics.LLVM_ORDER[order]}\b", line) for line in lines)


@compiled_only
def test_a_failed_compare_exchange_keeps_no_release():
    for order, failure in {"release": "release monotonic", "acq_rel": "acq_rel acquire"}.items():
        kernel = of_order("compare_exchange", order)
        kernel(np.zeros(1, np.int64))
        assert failure in "\n".join(kernel.inspect_llvm().values())


@compiled_only
def test_an_order_that_does_not_exist_or_is_no_text_is_refused():
    with pytest.raises(TypingError, match='order is "consume"; allowed are'):
        of_order("load", "consume")(np.zeros(1, np.int64))
    with pytest.raises(TypingError, match="the order must be written out as text"):
        compiled(lambda words, order: load(words, 0, order))(np.zeros(1, np.int64), 3)


# --- instructions ----------------------------------------------------------------------------------------------------
@compiled_only
@x86_64_only
@pytest.mark.parametrize(
    ("operation", "instruction"),
    [("fetch_add", r"lock\s+xadd"), ("exchange", r"xchg"), ("compare_exchange", r"lock\s+cmpxchg")],
)
def test_the_instruction_is_the_cpus_own(operation, instruction):
    kernel = of_order(operation, "seq_cst")
    kernel(np.zeros(1, np.int64))
    assert re.search(instruction, "\n".join(kernel.inspect_asm().values()))


@pytest.mark.once
@compiled_only
def test_the_same_code_can_be_made_for_arm64():
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError:
        pytest.skip("this llvmlite cannot write code for arm64")

    def everything(words):
        first = fetch_add(words, 0, 1, "seq_cst") + exchange(words, 1, 5, "seq_cst")
        store(words, 2, load(words, 3, "acquire"), "release")
        fence("seq_cst")
        return first + compare_exchange(words, 4, 0, 1, "seq_cst") + fetch_max(words, 5, 3, "seq_cst")

    kernel = compiled(everything)
    kernel(np.zeros(6, np.int64))
    module = llvm.parse_assembly("\n".join(kernel.inspect_llvm().values()))
    machine = target.create_target_machine()
    module.triple, module.data_layout = "aarch64-unknown-linux-gnu", str(machine.target_data)
    code = machine.emit_assembly(module)
    assert {"ldaxr", "stlxr", "dmb"} <= set(re.findall(r"\b(ldaxr|stlxr|dmb)\b", code))
    assert re.search(r"\b(ldar|ldapr)\b", code)
    assert re.search(r"\bstlr\b", code)


# --- places ----------------------------------------------------------------------------------------------------------
def read_only():
    words = np.zeros(1, np.int64)
    words.flags.writeable = False
    return words


@compiled_only
@pytest.mark.parametrize(
    ("memory", "says"),
    [
        (np.zeros(1), "in a record or in a 1-d int64 array"),
        (np.zeros(1, np.int32), "in a record or in a 1-d int64 array"),
        (np.zeros((1, 1), np.int64), "in a record or in a 1-d int64 array"),
        (5, "in a record or in a 1-d int64 array"),
        (read_only(), "the array is read-only"),
    ],
    ids=["float64", "int32", "2-d", "a number", "read-only"],
)
def test_a_place_that_is_no_place_is_refused(memory, says):
    with pytest.raises(TypingError, match=says):
        of_order("fetch_add", "seq_cst")(memory)


@compiled_only
def test_a_read_only_array_can_be_loaded_from():
    assert of_order("load", "seq_cst")(read_only()) == 0


@compiled_only
@pytest.mark.parametrize(
    ("field", "says"),
    [("share", "float64; it must be int64"), ("odd", "not aligned to 8"), ("none", "one of its fields: count, share")],
)
def test_a_field_that_is_no_place_is_refused(field, says):
    with pytest.raises(TypingError, match=says):
        compiled(lambda rows: fetch_add(rows[0], field, 1, "seq_cst"))(np.zeros(1, record_dtype))


@compiled_only
def test_an_index_or_a_value_that_is_no_whole_number_is_refused():
    words = np.zeros(1, np.int64)
    with pytest.raises(TypingError, match="an index is a whole number"):
        compiled(lambda words, at: load(words, at, "relaxed"))(words, 0.5)
    for kernel in (
        compiled(lambda words, value: fetch_add(words, 0, value, "relaxed")),
        compiled(lambda words, value: store(words, 0, value, "relaxed")),
        compiled(lambda words, value: compare_exchange(words, 0, 0, value, "relaxed")),
    ):
        with pytest.raises(TypingError, match="must be a whole number"):
            kernel(words, 0.5)


@pytest.mark.skipif(MODE != "boundscheck", reason="indices are checked in this mode only")
@pytest.mark.parametrize("operation", ["load", "store", "fetch_add", "compare_exchange"])
def test_an_index_out_of_range_is_noticed_and_nothing_is_written(operation):
    kernel = compiled(
        {
            "load": lambda words, at: load(words, at, "relaxed"),
            "store": lambda words, at: store(words, at, 1, "relaxed"),
            "fetch_add": lambda words, at: fetch_add(words, at, 1, "relaxed"),
            "compare_exchange": lambda words, at: compare_exchange(words, at, 0, 1, "relaxed"),
        }[operation]
    )
    memory = np.zeros(9, np.int64)
    for at in (3, -1, 1 << 40):
        with pytest.raises(IndexError):
            kernel(memory[3:6], at)
    assert not memory.any()


# --- two threads -----------------------------------------------------------------------------------------------------
def on_two_threads(kernel, *arguments):
    """Call the kernel with ``me`` = 0 and 1 at about the same time."""
    threads = [threading.Thread(target=kernel, args=(*arguments, me)) for me in (0, 1)]
    kernel(*arguments, 2)  # compiles; must do nothing for a third thread
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


N = 200_000


@compiled_only
def test_two_threads_lose_no_addition_and_no_maximum():
    def add(words, me):
        for i in range(N if me < 2 else 0):
            fetch_add(words, 0, 1 + me, "relaxed")
            fetch_max(words, 1, 2 * i + me, "relaxed")

    words = np.zeros(2, np.int64)
    on_two_threads(compiled(add), words)
    assert words.tolist() == [3 * N, 2 * N - 1]


@compiled_only
def test_two_threads_never_get_the_same_value_from_an_exchange():
    def swap(words, got, me):
        for i in range(N if me < 2 else 0):
            got[me] += exchange(words, 0, 2 * i + me, "acq_rel")

    words, got = np.zeros(1, np.int64), np.zeros(3, np.int64)
    on_two_threads(compiled(swap), words, got)
    assert got.sum() + words[0] == (2 * N - 1) * N  # each number was taken out once, or still stands there


@compiled_only
def test_a_lock_made_of_compare_exchange_keeps_two_threads_apart():
    def count(lock, plain, me):
        for _ in range(N // 20 if me < 2 else 0):
            while compare_exchange(lock, 0, 0, 1, "acquire") != 0:
                pass
            plain[0] += 1
            store(lock, 0, 0, "release")

    lock, plain = np.zeros(1, np.int64), np.zeros(1, np.int64)
    on_two_threads(compiled(count), lock, plain)
    assert plain[0] == 2 * (N // 20)
