"""The kernel lab: probes, rows and boots with stand-ins, and one boot of a real kernel."""

import collections
import csv
import lzma
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib

import pytest

from lab_helpers import ROOT
from memcg_lab.__main__ import main
from memcg_lab.host.cgroupfs import read_samples
from memcg_lab.kernel_lab import boot as qemu
from memcg_lab.kernel_lab import recorder
from memcg_lab.kernel_lab.probes import find_probes
from memcg_lab.kernel_lab.recorder import Traffic, convert, losses, missing_here, run_script
from memcg_lab.kernel_lab.vmlinux import text_address, unpack
from memcg_lab.traces.ftrace import Survey, parsed_event, rows_of_events
from memcg_lab.traces.rows import COLUMNS, Row, csv_words, write_rows
from memcg_lab.traces.symbols import Symbols
from memcg_lab.traces.text import read_rows

needs_shell = pytest.mark.skipif(not shutil.which("sh") or os.name == "nt", reason="no POSIX shell here")
needs_gcc = pytest.mark.skipif(not shutil.which("gcc") or sys.platform != "linux", reason="no gcc here, or not Linux")


# --- symbols and probes ----------------------------------------------------------------------------------------------
FUNCTIONS = (
    "_text mem_cgroup_charge_skmem mem_cgroup_uncharge_skmem try_charge_memcg page_counter_try_charge "
    "page_counter_uncharge refill_stock __refill_stock drain_stock uncharge_batch"
).split()


def kallsyms(functions=FUNCTIONS, stock="0000000000002e000 A memcg_stock\n"):
    """A listing with 4 KiB for each function."""
    lines = [f"{0xFFFFFFFF81000000 + 0x1000 * place:x} t {name}\n" for place, name in enumerate(functions)]
    return "".join(lines) + stock + "ffffffffc0000000 t try_charge_memcg\t[other]\n"


# Made up for these tests, in the two shapes that compilers were seen to write.
COMPARED_IN_MEMORY = {
    "try_charge_memcg": [
        (0, "push   %rbp"),
        (7, "mov    %edx,%ebp"),
        (12, "cmp    $0x40,%ebp"),
        (20, "mov    $0x2e000,%rdx"),
        (27, "add    %gs:0x7ecde8f3(%rip),%rdx        # 0x19168"),
        (35, "cmp    (%rdx),%r12"),
    ],
    "__refill_stock": [
        (2, "mov    %esi,%r14d"),
        (5, "mov    $0x2e000,%rbx"),
        (12, "add    %gs:0x7ece26ce(%rip),%rbx"),
        (20, "cmp    %rdi,(%rbx)"),
    ],
}
LOADED_FIRST = {
    "try_charge_memcg": [
        (12, "cmp    $0x40,%ebp"),
        (20, "mov    %gs:0x7ec015dd(%rip),%rdx        # 0x19a18"),
        (28, "mov    0x2e008(%rdx),%esi"),
        (34, "lea    0x2e000(%rdx),%rax"),
        (41, "mov    0x2e000(%rdx),%rdx"),
        (48, "cmp    %rdx,%r12"),
    ],
    "__refill_stock": [
        (2, "mov    %esi,%ebp"),
        (5, "mov    %gs:0x7ec049f3(%rip),%r13"),
        (13, "mov    0x2e000(%r13),%rax"),
        (20, "lea    0x2e000(%r13),%r12"),
        (27, "cmp    %rdi,%rax"),
    ],
}


def inside(code, **changed):
    """(probes, {event: its line}) for a made-up kernel."""
    probes = find_probes(Symbols(kallsyms()), {**code, **changed}.__getitem__)
    return probes, {line.split()[0].rpartition("/")[2]: line for line in probes.lines}


@pytest.mark.parametrize(
    ("code", "cons", "refin"),
    [
        (
            COMPARED_IN_MEMORY,
            "try_charge_memcg+35 memcg=%r12:x64 nr=%bp:u32 cached=+0(%dx):x64 avail=+8(%dx):u32",
            "__refill_stock+20 memcg=%di:x64 nr=%r14:u32 cached=+0(%bx):x64 avail=+8(%bx):u32",
        ),
        (
            LOADED_FIRST,
            "try_charge_memcg+48 memcg=%r12:x64 nr=%bp:u32 cached=+0(%ax):x64 avail=+8(%ax):u32",
            "__refill_stock+27 memcg=%di:x64 nr=%bp:u32 cached=+0(%r12):x64 avail=+8(%r12):u32",
        ),
    ],
    ids=["compared in memory", "loaded first"],
)
def test_the_comparison_with_the_cached_cgroup_is_found(code, cons, refin):
    probes, lines = inside(code)
    assert probes.complete
    assert lines["cons"] == f"p:memcg_lab/cons {cons}"
    assert lines["refin"] == f"p:memcg_lab/refin {refin}"
    assert set(lines) == set("chg unc tryc pctry pctryr pcunc refill refe drain cons refin".split())


def without(code, function, place):
    """The same code without one line."""
    return {**code, function: [line for number, line in enumerate(code[function]) if number != place]}


def ending(function, *lines):
    """The same code, with other lines after the one that adds the CPU's offset."""
    code = [line for line in COMPARED_IN_MEMORY[function] if not line[1].startswith("cmp    %rdi")]
    return {**COMPARED_IN_MEMORY, function: [*code, *lines]}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (without(COMPARED_IN_MEMORY, "try_charge_memcg", 5), "comparison .* not found in try_charge_memcg"),
        (without(COMPARED_IN_MEMORY, "try_charge_memcg", 3), "comparison .* not found in try_charge_memcg"),
        (without(COMPARED_IN_MEMORY, "try_charge_memcg", 2), "number of pages was not found in try_charge_memcg"),
        (without(COMPARED_IN_MEMORY, "__refill_stock", 3), "comparison .* not found in __refill_stock"),
        (without(COMPARED_IN_MEMORY, "__refill_stock", 0), "number of pages was not found in __refill_stock"),
        (without(LOADED_FIRST, "try_charge_memcg", 3), "comparison .* not found in try_charge_memcg"),
        # The register with the stock's address is overwritten before the comparison.
        (ending("__refill_stock", (17, "mov    %rsi,%rbx"), (20, "cmp    %rdi,(%rbx)")), "comparison .* not found"),
        # Too far from the address to be the same expression.
        (ending("__refill_stock", (99, "cmp    %rdi,(%rbx)")), "comparison .* not found"),
    ],
)
def test_where_it_is_not_found_the_entries_remain_and_it_is_said(code, says):
    probes, lines = inside(code)
    assert not probes.complete
    assert re.search(says, probes.why)
    assert set(lines) == set("chg unc tryc pctry pctryr pcunc refill".split())


def test_a_comparison_with_something_else_is_passed_over():
    code = ending("__refill_stock", (18, "cmp    %rdi,(%rcx)"), (20, "cmp    (%rbx),%rsi"))
    assert "__refill_stock+20 memcg=%si" in inside(code)[1]["refin"]


@pytest.mark.parametrize(
    ("listing", "says"),
    [
        (kallsyms([name for name in FUNCTIONS if name != "drain_stock"]), "drain_stock is inlined"),
        (kallsyms([name for name in FUNCTIONS if name != "refill_stock"]), "refill_stock is inlined"),
        (kallsyms(stock=""), "no symbol memcg_stock"),
        (kallsyms([*FUNCTIONS, "drain_local_memcg_stock"]), "seven cgroups"),
    ],
)
def test_a_kernel_whose_stock_cannot_be_read_is_recorded_at_entries(listing, says):
    probes = find_probes(Symbols(listing), COMPARED_IN_MEMORY.__getitem__)
    assert says in probes.why
    assert not any("+" in line.split()[1] for line in probes.lines)


def test_the_socket_calls_of_6_18_are_probed_by_their_new_names():
    names = [re.sub(r"_(un)?charge_skmem", r"_sk_\1charge", name) for name in FUNCTIONS]
    probes = find_probes(Symbols(kallsyms([*names, "drain_local_memcg_stock"])), COMPARED_IN_MEMORY.__getitem__)
    assert probes.lines[0] == "p:memcg_lab/chg mem_cgroup_sk_charge memcg=sk->sk_memcg:x64 nr=nr_pages:u32"
    assert probes.lines[1] == "p:memcg_lab/unc mem_cgroup_sk_uncharge memcg=sk->sk_memcg:x64 nr=nr_pages:u32"


@pytest.mark.parametrize("name", ["mem_cgroup_charge_skmem", "mem_cgroup_uncharge_skmem"])
def test_a_kernel_without_the_socket_calls_is_refused(name):
    names = [function for function in FUNCTIONS if function != name]
    with pytest.raises(ValueError, match="neither mem_cgroup_charge_skmem"):
        find_probes(Symbols(kallsyms(names)), COMPARED_IN_MEMORY.__getitem__)


@pytest.mark.parametrize(
    ("listing", "says"),
    [
        ("", "no kernel function"),
        ("0000000000000000 t drain_stock\n0000000000000000 T _text\n", "hides its addresses"),
    ],
)
def test_symbols_without_addresses_are_refused(listing, says):
    with pytest.raises(ValueError, match=says):
        Symbols(listing)


def test_symbols_of_modules_are_left_out():
    assert Symbols(kallsyms()).functions["try_charge_memcg"] == 0xFFFFFFFF81003000


# --- the image -------------------------------------------------------------------------------------------------------
ELF = struct.pack("<5s27xQ14xHH6x", b"\x7fELF\x02", 64, 56, 2) + struct.pack(
    "<IIQQ32xIIQQ32x", 4, 0, 0, 0, 1, 5, 0, 0xFFFFFFFF81000000
)


def image(payload, sectors=3):
    """A bootable image as the boot protocol has it, with this payload."""
    start = (sectors + 1) * 512
    head = bytearray(start + 100)
    head[0x1F1] = sectors
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 100, len(payload))
    return bytes(head) + payload + b"what follows"


def gzipped(data):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("pack", [lzma.compress, gzipped], ids=["xz", "gzip"])
def test_an_image_is_unpacked(pack):
    size = struct.pack("<I", len(ELF))  # the kernel's build appends it
    assert unpack(image(pack(ELF) + size)) == ELF
    assert text_address(ELF) == 0xFFFFFFFF81000000


@pytest.mark.parametrize("program", ["lz4", "zstd"])
def test_an_image_packed_with_another_program_is_unpacked(program, tmp_path):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    (tmp_path / "elf").write_bytes(ELF)
    packed = subprocess.run(
        [program, "-c", "-q", *(["-l"] if program == "lz4" else []), "elf"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert unpack(image(packed.stdout + struct.pack("<I", len(ELF)))) == ELF


def test_an_image_whose_packer_is_missing_says_which(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="vmlinuz-x is packed with zstd, which is not installed"):
        unpack(image(b"\x28\xb5\x2f\xfd1234"), "vmlinuz-x")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a bootable x86 kernel image"),
        (b"MZ" * 600, "not a bootable x86 kernel image"),
        (image(b"BZh91AY"), "not known here .it begins with 42 5a 68"),
        (image(lzma.compress(ELF)[:-20]), "is cut off"),
        (image(lzma.compress(ELF)), "does not say its size"),
        (image(b"\x7fELF"), "not known here"),
        (image(lzma.compress(ELF)[:24] + b"\xff" * 200), "cannot be unpacked"),
        (image(lzma.compress(b"no kernel")), "does not hold an ELF file"),
    ],
)
def test_what_is_no_image_is_refused(content, says):
    with pytest.raises(ValueError, match=says):
        unpack(content, "vmlinuz-x")


# --- rows ------------------------------------------------------------------------------------------------------------
A, B, COUNTER = 0xFFFF888001000000, 0xFFFF888002000000, 0x100
CALLERS = {name: 0xFFFFFFFF81000010 + 0x1000 * place for place, name in enumerate(FUNCTIONS)}


def line(event, micros, cpu=0, pid=40, flags="d....", comm="sender", **fields):
    """A line of tracefs ``trace``."""
    words = " ".join(f"{key}={value:#x}" if value > 999 else f"{key}={value}" for key, value in fields.items())
    seconds, micros = divmod(7_000_000 + micros, 1_000_000)
    return f"{comm:>16}-{pid}     [{cpu:03d}] {flags} {seconds:5d}.{micros:06d}: {event}: (fn+0x0/0x90) {words}\n"


def rows_of(lines, symbols):
    """Rows of lines of tracefs ``trace``."""
    events = [event for number, text in enumerate(lines, 1) if (event := parsed_event(number, text))]
    survey = Survey(symbols)
    for event in events:
        survey.see(event)
    survey.end()
    return list(rows_of_events(events, survey))


def from_lines(*lines):
    """Rows as the csv has them, without their times."""
    rows = map(csv_words, rows_of(lines, Symbols(kallsyms())))
    return [(row[0], *row[2:]) for row in rows]


def test_a_charge_and_its_return_become_rows():
    rows = from_lines(
        line("chg", 0, memcg=A, nr=2),
        line("tryc", 1, memcg=A, nr=2),
        line("cons", 2, memcg=A, nr=2, cached=B, avail=5),
        line("pctry", 3, c=A + COUNTER, nr=64, caller=CALLERS["try_charge_memcg"]),
        line("refill", 4, memcg=A, nr=62, caller=CALLERS["try_charge_memcg"]),
        line("refin", 5, memcg=A, nr=62, cached=B, avail=5),
        line("pcunc", 6, c=B + COUNTER, nr=5, caller=CALLERS["drain_stock"]),
        line("unc", 7, pid=41, memcg=A, nr=1),
        line("refill", 8, pid=41, memcg=A, nr=1, caller=CALLERS["uncharge_batch"]),  # a tail call: the caller's caller
        line("refin", 9, pid=41, memcg=A, nr=1, cached=A, avail=62),
    )
    assert rows == [
        (0, 1, 0, "chg", 1, 2, "", "", ""),
        (0, 1, 0, "try", 1, 2, "", "", "skmem"),
        (0, 1, 0, "cons", 1, 2, 2, 5, ""),
        (0, 1, 0, "pctry", 1, 64, "", "", ""),
        (0, 1, 0, "refill", 1, 62, 2, 5, "surplus"),
        (0, 1, 0, "pcunc", 2, 5, "", "", "stock"),
        (0, 2, 0, "unc", 1, 1, "", "", ""),
        (0, 2, 0, "refill", 1, 1, 1, 62, "skmem"),
    ]


def test_times_are_microseconds_since_the_first_event():
    rows = rows_of([line("unc", 999_999, memcg=A, nr=1), line("unc", 1_000_004, memcg=A, nr=1)], Symbols(kallsyms()))
    assert [row.t_us for row in rows] == [0, 5]
    assert [row.line for row in rows] == [1, 2]


def test_an_interrupt_between_a_refill_and_its_inside_does_not_swap_the_causes():
    rows = from_lines(
        line("refill", 0, memcg=A, nr=3, caller=CALLERS["uncharge_batch"]),
        line("unc", 1, flags="d.s..", memcg=B, nr=1),
        line("refill", 2, flags="d.s..", memcg=B, nr=1, caller=CALLERS["uncharge_batch"]),
        line("refin", 3, flags="d.s..", memcg=B, nr=1, cached=A, avail=0),
        line("refin", 4, memcg=A, nr=3, cached=B, avail=1),
    )
    assert [(row[4], row[-1]) for row in rows if row[3] == "refill"] == [(1, "skmem"), (2, "uncharge_batch")]
    assert [row[2] for row in rows] == [1, 1, 0]


def test_a_refill_whose_entry_was_missed_has_no_known_cause():
    assert from_lines(line("refin", 0, memcg=A, nr=3, cached=0, avail=0))[0][-1] == "unknown"


def test_a_direct_call_of_the_inner_refill_names_its_caller():
    rows = from_lines(
        line("refe", 0, memcg=A, nr=3, caller=CALLERS["uncharge_batch"]),
        line("refin", 1, memcg=A, nr=3, cached=0, avail=0),
    )
    assert rows == [(0, 1, 0, "refill", 1, 3, 0, 0, "uncharge_batch")]


def test_a_drain_is_a_row_unless_a_refill_caused_it():
    rows = from_lines(
        line("drain", 0, cached=A, avail=3, caller=CALLERS["__refill_stock"]),
        line("drain", 1, cached=A, avail=4, caller=CALLERS["uncharge_batch"]),
    )
    assert rows == [(0, 1, 0, "drain", "", "", 1, 4, "uncharge_batch")]


def test_a_refused_charge_is_a_row_and_a_granted_one_is_not():
    assert from_lines(line("pctryr", 0, ret=1), line("pctryr", 1, ret=0)) == [
        (0, 1, 0, "pctryfail", "", "", "", "", "")
    ]


def test_with_probes_at_entries_only_a_refill_has_no_state():
    rows = from_lines(
        line("unc", 0, memcg=A, nr=2),
        line("refill", 1, memcg=A, nr=2, caller=CALLERS["uncharge_batch"]),
        line("refill", 2, memcg=A, nr=63, caller=CALLERS["try_charge_memcg"]),
    )
    assert rows[1:] == [(0, 1, 0, "refill", 1, 2, "", "", "skmem"), (0, 1, 0, "refill", 1, 63, "", "", "surplus")]


def test_counters_that_belong_to_no_cgroup_seen_are_left_out():
    swap = 0x180
    rows = from_lines(
        line("tryc", 0, memcg=A, nr=1),
        line("pctry", 1, c=A + COUNTER, nr=64, caller=0),
        line("pctry", 2, c=A + swap, nr=1, caller=0),
        line("pcunc", 3, c=A + COUNTER, nr=1, caller=0),
    )
    assert [row[3:6] for row in rows] == [("try", 1, 1), ("pctry", 1, 64), ("pcunc", 1, 1)]


def test_lines_of_others_are_passed_over():
    assert from_lines("# tracer: nop\n", "\n", line("sched_switch", 0, prev=1), line("dloc", 1)) == []


def test_no_address_no_name_and_no_process_id_is_left():
    rows = from_lines(
        line("unc", 0, pid=31_337, comm="secret-99 [7] x", memcg=A, nr=1), line("unc", 1, pid=31_338, memcg=B, nr=1)
    )
    assert rows == [(0, 1, 0, "unc", 1, 1, "", "", ""), (0, 2, 0, "unc", 2, 1, "", "", "")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (line("unc", 1, memcg=A), "line 2: the probe unc has no field nr"),
        (line("unc", 1, memcg=A, nr=1).replace("nr=1", "nr=many"), "line 2: .* is not a list of name=number"),
        (line("unc", 1, memcg=A, nr=1).replace("nr=1", "(fault)"), "line 2: .* is not a list of name=number"),
    ],
)
def test_a_broken_line_says_where(text, says):
    with pytest.raises(ValueError, match=says):
        from_lines(line("unc", 0, memcg=A, nr=1), text)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.xz"])
def test_written_rows_have_the_columns_and_plain_newlines(tmp_path, name):
    row = Row(2, 0, 1, 2, 0, "unc", 1, 3, -1, -1, "")
    write_rows(tmp_path / name, [row])
    data = (tmp_path / name).read_bytes()
    text = (lzma.decompress(data) if name.endswith("xz") else data).decode()
    assert text == ",".join(COLUMNS) + "\n0,1,2,0,unc,1,3,,,\n"
    assert read_rows(tmp_path / name) == [row]


def test_losses_are_counted(tmp_path):
    (tmp_path / "buffers.txt").write_text("cpu0 entries: 5\ncpu0 overrun: 0\ncpu1 overrun: 12\n")
    (tmp_path / "probes.txt").write_text("  chg   100   0\n  cons   90   3\n  someone_elses   1   9\n")
    assert losses(tmp_path) == ["cpu1: overrun 12", "probe cons: 90 hits, 3 missed"]
    with pytest.raises(
        ValueError, match="lost events .cpu1: overrun 12; probe cons: 90 hits, 3 missed.: a trace with a"
    ):
        convert(tmp_path, tmp_path / "t.csv")


def test_a_recording_becomes_a_file_of_rows(tmp_path):
    for name, text in (
        ("buffers", ""),
        ("probes", " chg 2 0\n"),
        ("kallsyms", kallsyms()),
        ("trace", "# tracer: nop\n"),
    ):
        (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(ValueError, match="no event of our probes"):
        convert(tmp_path, tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()
    lines = [line("chg", 0, memcg=A, nr=2), line("tryc", 1, memcg=A, nr=2), line("unc", 9, pid=41, memcg=A, nr=1)]
    (tmp_path / "trace.txt").write_text("".join(lines))
    assert convert(tmp_path, tmp_path / "t.csv") == {"chg": 1, "try": 1, "unc": 1}
    assert read_rows(tmp_path / "t.csv") == [
        row._replace(line=row.line + 1) for row in rows_of(lines, Symbols(kallsyms()))
    ]


# --- the workload ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def workload(tmp_path_factory):
    program = tmp_path_factory.mktemp("workload") / "workload"
    recorder.compile_workload(program, static=False)
    return program


@needs_gcc
@pytest.mark.parametrize("mode", recorder.MODES)
def test_the_workload_moves_its_bytes_and_ends(workload, mode):
    command = Traffic(mode, pairs=3, mib=1, chunk=30_000).command(workload).split()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    total = 3 * ((1 << 20) // 30_000) * 30_000
    assert done.stdout == f"workload {mode} pairs 3 chunk 30000 received {total} of {total} bytes\n"


@needs_gcc
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "usage"),
        ("up 1 1 1 0", "up is none of"),
        ("rr 0 1 1 0", "0 is not a number from 1"),
        ("rr 1 1 1k 0", "1k is"),
    ],
)
def test_a_wrong_call_of_the_workload_is_refused(workload, words, says):
    done = subprocess.run([workload, *words.split()], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, says in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"mode": "up"}, "traffic is 'up'; it must be one of: cross; same; rr"),
        ({"pairs": "2"}, "pairs is '2'; it must be a whole number"),
        ({"pairs": 0}, "pairs is 0; it must be a whole number from 1 to 64"),
        ({"mib": 513}, "mib is 513; it must be a whole number from 1 to 512"),
        ({"chunk": 1 << 21}, "chunk is 2097152; it must be a whole number from 1 to 1,048,576"),
    ],
)
def test_traffic_out_of_range_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        Traffic(**arguments)


# --- recording here --------------------------------------------------------------------------------------------------
@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Folders like tracefs and cgroup v2 of a machine that has all."""
    tracefs, cgroup = tmp_path / "tracing", tmp_path / "cgroup"
    tracefs.mkdir()
    cgroup.mkdir()
    (tracefs / "kprobe_events").write_text("")
    (cgroup / "cgroup.controllers").write_text("cpu memory\n")
    (cgroup / "cgroup.subtree_control").write_text("cpu memory\n")
    monkeypatch.setattr(recorder.platform, "system", lambda: "Linux")
    monkeypatch.setattr(recorder.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(recorder.shutil, "which", lambda name: f"/usr/bin/{name}")
    return tracefs, cgroup


def test_a_machine_that_has_all_lacks_nothing(machine):
    assert missing_here(*machine, root=True) == []


def test_what_a_machine_lacks_is_said(machine, monkeypatch):
    tracefs, cgroup = machine
    assert missing_here(tracefs, cgroup, root=False) == ["you are not root; probes need it"]
    (cgroup / "cgroup.subtree_control").write_text("cpu\n")
    assert "does not give the memory controller" in missing_here(tracefs, cgroup, root=True)[0]
    (cgroup / "cgroup.controllers").unlink()
    assert "is not cgroup v2" in missing_here(tracefs, cgroup, root=True)[0]
    (tracefs / "kprobe_events").unlink()
    assert "no kprobe_events" in missing_here(tracefs, cgroup, root=True)[0]
    monkeypatch.setattr(recorder.shutil, "which", lambda name: None)
    assert "the program gcc is missing (package gcc, libc6-dev)" in missing_here(tracefs, cgroup, root=True)
    monkeypatch.setattr(recorder.platform, "machine", lambda: "aarch64")
    assert any("aarch64" in line for line in missing_here(tracefs, cgroup, root=True))
    monkeypatch.setattr(recorder.platform, "system", lambda: "Darwin")
    assert missing_here(tracefs, cgroup, root=True) == ["this is Darwin, not Linux"]


def test_the_command_says_what_is_missing_and_makes_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(recorder.platform, "system", lambda: "Darwin")
    assert main(["kernel-lab", "--native", "--build", str(tmp_path / "b")]) == 2
    assert (
        capsys.readouterr().err == "memcg_lab kernel-lab: this kernel cannot be recorded: this is Darwin, not Linux.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [["--cpus", "4"], ["--cpus", "2"], ["--kernel", "linux-image-amd64"]])
def test_what_a_recording_of_this_kernel_cannot_choose_is_refused(capsys, option):
    assert main(["kernel-lab", "--native", *option]) == 2
    assert "leave out --kernel and --cpus" in capsys.readouterr().err


def record_script(machine, tmp_path, word="record", **more):
    tracefs, cgroup = machine
    settings = {
        "TRACEFS": tracefs,
        "CGROUP": cgroup,
        "TOP": "a",
        "PROBES": tmp_path / "p",
        "OUT": tmp_path,
        "RUN": "true",
    }
    settings = {key: str(value) for key, value in {**settings, "BUFFER_KB": 64, **more}.items()}
    return run_script(["sh", str(recorder.LAB / "record.sh"), word], settings)


@needs_shell
@pytest.mark.parametrize("left", ["tracing/instances/memcg_lab", "tracing/events/memcg_lab", "cgroup/a"])
def test_a_recording_beside_another_is_refused_and_touches_nothing(machine, tmp_path, left):
    (tmp_path / left).mkdir(parents=True)
    status, said = record_script(machine, tmp_path)
    assert status == 3
    assert f"{left} is there already" in said
    assert (tmp_path / left).is_dir()
    assert (tmp_path / "tracing" / "kprobe_events").read_text() == ""


@needs_shell
def test_what_cannot_be_removed_is_named(machine, tmp_path):
    """In a plain folder, unlike in tracefs, the files of an instance keep it from being removed."""
    (tmp_path / "tracing" / "instances" / "memcg_lab").mkdir(parents=True)
    (tmp_path / "tracing" / "instances" / "memcg_lab" / "trace").write_text("")
    status, said = record_script(machine, tmp_path, "clean")
    assert status == 4
    assert "could not be removed: " in said


@needs_shell
def test_a_recording_that_fails_half_way_removes_its_cgroups(machine, tmp_path):
    """There is no folder for instances here, so it ends after the cgroups were made."""
    status, said = record_script(machine, tmp_path)
    assert status == 4
    assert "No such file" in said
    # A plain folder, unlike a cgroup, cannot go while there is a file in it; its child could.
    assert said.endswith(f"could not be removed: {machine[1]}/a")
    assert [path.name for path in (machine[1] / "a").iterdir()] == ["cgroup.subtree_control"]


@needs_shell
def test_a_recording_that_takes_too_long_is_told_to_end():
    script = "trap 'echo cleaned up; exit 1' TERM; echo started; while :; do sleep 0.1; done"
    with pytest.raises(ValueError, match="took more than 0.5 s and was stopped. started cleaned up"):
        run_script(["sh", "-c", script], {}, seconds=0.5)


# --- packages --------------------------------------------------------------------------------------------------------
def test_missing_programs_are_listed_with_one_line_to_install_them(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(recorder.shutil, "which", lambda name: None if name in ("cpio", "gcc") else f"/usr/bin/{name}")
    assert main(["kernel-lab", "--build", str(tmp_path / "b")]) == 2
    said = capsys.readouterr().err
    assert "these programs are missing: gcc, cpio." in said
    assert said.endswith("apt-get install --no-install-recommends gcc libc6-dev cpio\n")
    assert not (tmp_path / "b").exists()


def answers(**by_word):
    """A stand-in for apt: what it answers, by its second word."""

    def run(command, seconds, cwd=None):
        status, out, err, makes = by_word[command[1]]
        if makes:
            (cwd / makes).write_bytes(b"deb")
        return subprocess.CompletedProcess(command, status, out, err)

    return run


DEPENDS = (0, "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-9-cloud-amd64\n", "", None)
DEB = "linux-image-6.1.0-9-cloud-amd64_6.1.9-1_amd64.deb"


def test_the_newest_kernel_behind_the_name_is_downloaded_once(monkeypatch, tmp_path):
    monkeypatch.setattr(qemu, "missing_programs", lambda names: [])
    monkeypatch.setattr(qemu, "_run", answers(depends=DEPENDS, download=(0, "", "", DEB)))
    said = []
    assert qemu.fetched(tmp_path, qemu.KERNEL, said.append) == tmp_path / "packages" / DEB
    assert qemu.fetched(tmp_path, qemu.KERNEL, said.append) == tmp_path / "packages" / DEB
    assert said == ["downloading linux-image-6.1.0-9-cloud-amd64"]


def test_a_kernel_that_cannot_be_had_says_what_apt_said(monkeypatch, tmp_path):
    monkeypatch.setattr(qemu, "missing_programs", lambda names: [])
    monkeypatch.setattr(qemu.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(qemu, "_run", answers(depends=DEPENDS, download=(100, "", "E: no network\n", None)))
    with pytest.raises(ValueError, match="cannot be downloaded.*E: no network"):
        qemu.fetched(tmp_path, qemu.KERNEL, lambda line: None)
    monkeypatch.setattr(qemu, "_run", answers(depends=(100, "", "", None)))
    with pytest.raises(ValueError, match="apt knows no package 'linux-image-x'"):
        qemu.fetched(tmp_path, "linux-image-x", lambda line: None)


def test_a_kernel_file_is_taken_as_it_is(tmp_path):
    (tmp_path / "k.deb").write_bytes(b"")
    assert qemu.fetched(tmp_path, str(tmp_path / "k.deb")) == tmp_path / "k.deb"
    with pytest.raises(ValueError, match="none.deb: no such file"):
        qemu.fetched(tmp_path, str(tmp_path / "none.deb"))


def test_two_recordings_in_one_folder_are_refused(monkeypatch, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(qemu, "missing_packages", lambda: [])
    with open(tmp_path / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another recording works in this folder"):
            qemu.record(tmp_path, "none.deb")
    with pytest.raises(ValueError, match="none.deb: no such file"):
        qemu.record(tmp_path, "none.deb", say=lambda line: None)


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb here")
def test_a_file_that_is_no_kernel_package_is_refused(tmp_path):
    (tmp_path / "k.deb").write_bytes(b"not a package")
    with pytest.raises(ValueError, match="k.deb: cannot be unpacked"):
        qemu.unpacked(tmp_path / "k.deb", tmp_path)
    assert list((tmp_path / "kernels").iterdir()) == []
    (tmp_path / "kernels" / "other").mkdir()
    with pytest.raises(ValueError, match="no boot/vmlinuz in it"):
        qemu.unpacked(tmp_path / "other.deb", tmp_path)


# --- boots, with a shell script for the machine ----------------------------------------------------------------------
def watched(tmp_path, script, **limits):
    """What ``_watch`` says about a machine that runs this script; $1 is its console."""
    console = tmp_path / "console.txt"
    console.write_bytes(b"")
    pid = tmp_path / "pid"
    trouble = qemu._watch(["sh", "-c", f"echo $$ > {pid}; {script}", "sh", str(console)], console, **limits)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)  # nobody is left
    return trouble


@needs_shell
@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("echo MEMCG_LAB BOOTED > $1; echo MEMCG_LAB DONE >> $1", ""),
        ("exec sleep 600", "not up after 1 s"),
        ("echo MEMCG_LAB BOOTED > $1; exec sleep 600", "up, but not done 1 s later"),
        ("echo MEMCG_LAB BOOTED > $1; echo no disk >&2; exit 7", "stopped before it was done (status 7: no disk)"),
    ],
)
def test_a_machine_that_hangs_or_fails_is_noticed_and_ended(tmp_path, script, trouble):
    said = watched(tmp_path, script, boot_limit=1, task_limit=1)
    assert trouble in said
    assert bool(said) == bool(trouble)


def boots(monkeypatch, tmp_path, *troubles):
    """(what ``boot`` returned or raised, what it said) when the boots have these troubles."""
    answered, said = iter(troubles), []
    (tmp_path / "console.txt").write_text("one\ntwo\nKernel panic\n")
    monkeypatch.setattr(qemu, "_pack", lambda *arguments: None)
    monkeypatch.setattr(qemu, "_boot_once", lambda *arguments: next(answered))
    try:
        qemu.boot(tmp_path, None, {}, say=said.append)
    except ValueError as error:
        return str(error), said
    return "", said


def test_a_boot_that_hangs_is_tried_again(monkeypatch, tmp_path):
    assert boots(monkeypatch, tmp_path, "not up", "not up", "") == (
        "",
        ["boot 1 of 3: not up", "boot 2 of 3: not up"],
    )


def test_three_failed_boots_are_an_error_with_the_end_of_the_console(monkeypatch, tmp_path):
    error, said = boots(monkeypatch, tmp_path, "not up", "not up", "crashed")
    assert len(said) == 3
    assert "in 3 boots; the last one: crashed" in error
    assert error.endswith("one / two / Kernel panic")


def test_the_machine_has_no_network_and_ends_by_itself(tmp_path):
    kernel = qemu.Kernel("p", "6.1", tmp_path)
    command = qemu._qemu(tmp_path, kernel, 2, tmp_path / "console.txt", tmp_path / "disk,1.raw")
    assert command[0] == "timeout"
    assert command[command.index("-nic") + 1] == "none"
    assert "-nodefaults" in command
    assert not any(word.startswith(("-netdev", "-net", "-virtfs", "-fsdev")) for word in command)
    assert f"file={tmp_path / 'disk,,1.raw'},format=raw,if=virtio,cache=unsafe" in command


@pytest.mark.parametrize("cpus", [0, 17])
def test_a_number_of_cpus_out_of_range_is_refused(capsys, tmp_path, cpus):
    assert main(["kernel-lab", "--build", str(tmp_path), "--cpus", str(cpus)]) == 2
    assert f"cpus is {cpus}; it must be a whole number from 1 to 16" in capsys.readouterr().err


@needs_shell
def test_ctrl_c_ends_the_command_in_order(monkeypatch, tmp_path):
    def interrupted(*arguments, **named):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(qemu, "record", interrupted)
    with pytest.raises(SystemExit) as stopped:
        qemu.kernel_lab(tmp_path)
    assert stopped.value.code == 130
    assert signal.getsignal(signal.SIGINT) is before


# --- scripts for production kernels ----------------------------------------------------------------------------------
SCRIPTS = sorted((ROOT / "data" / "bpftrace").glob("*.bt"))
CHARGES = [script for script in SCRIPTS if "charges" in script.name]
TOTALS = [script for script in SCRIPTS if "totals" in script.name]
CHECK = ROOT / "data" / "bpftrace" / "check-functions.sh"


def code_of(script):
    return re.sub(r"/\*.*?\*/", "", script.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_there_is_a_script_for_each_generation():
    assert [script.name for script in CHARGES] == [f"socket-charges-6.{minor}.bt" for minor in ("1", "15", "18")]
    assert [script.name for script in TOTALS] == [f"socket-totals-6.{minor}.bt" for minor in ("1", "18")]
    assert code_of(CHARGES[0]) == code_of(CHARGES[1])  # the functions are the same; what they cannot see is not
    for script in CHARGES:
        assert "What it cannot see:" in script.read_text(encoding="utf-8")


@pytest.mark.parametrize("script", CHARGES, ids=lambda script: script.stem)
def test_a_script_lets_no_address_and_no_name_out(script):
    code = code_of(script)
    head, end = code.split("\nEND\n")
    # bpftrace prints what is left when it ends: that it ended, and how many rows there were.
    assert head.count("/!@over/") == 4
    assert set(re.findall(r"@\w+", head)) - set(re.findall(r"clear\((@\w+)\)", end)) == {"@rows", "@over"}
    # Each row is counted. Thread numbers are keys of maps only.
    assert head.count("printf(") - 1 == head.count("@rows = count()")
    who = "$who = tid ? (uint64)tid : 0x100000000 + cpu;", "if (tid && !@task[$who])"
    for words in who:
        head = head.replace(words, "")
    assert not re.search(r"printf[^;]*\$(who|memcg|key|parent)\b(?!->css.cgroup->level|\])", head)
    assert not re.search(
        r"\b(comm|pid|tid|ustack|kstack|ksym|usym)\b|%p|%x|%s\\n\", \$memcg", head.replace('"cpu,t_us,pid', "")
    )
    rows = re.findall(r'printf\("(.*?)\\n"', head)
    assert rows[0] == ",".join(COLUMNS)
    assert {row.count(",") for row in rows} == {9}


@pytest.mark.parametrize("script", TOTALS, ids=lambda script: script.stem)
def test_totals_are_one_line_a_second_and_leave_only_what_is_told(script):
    head, end = code_of(script).split("\nEND\n")
    left = set(re.findall(r"@\w+", head)) - set(re.findall(r"clear\((@\w+)\)", end))
    assert left == {"@charges_of", "@gives_back_of", "@tries_of"}
    assert len(re.findall(r"\\n\"", head)) == 2  # the header, and the line of a second
    assert not re.search(r"\b(comm|pid|tid)\b|%p|%x|%s", head)


@needs_shell
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_functions_are_looked_for_before_they_are_probed(script, tmp_path):
    def ask(*symbols):
        listing = tmp_path / "kallsyms"
        listing.write_text("".join(f"0000000000000000 {kind} {name}\n" for kind, name in symbols))
        done = subprocess.run(["sh", CHECK, script, listing], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    names = re.findall(r"^kprobe:(\w+)", code_of(script), re.MULTILINE)
    whole = [("t", name) for name in names]
    assert ask(*whole, ("t", "refill_stock.cold"), ("D", "refill_stock"))[0] == 0
    for name in names:
        status, said = ask(*[one for one in whole if one[1] != name], ("t", name + "_more"))
        assert (status, f"{name}: is not there: inlined into its callers" in said) == (1, True)
        status, said = ask(*[one for one in whole if one[1] != name], ("t", name + ".constprop.0"))
        assert (status, f"{name}: is there only as a clone: {name}.constprop.0" in said) == (1, True)
        status, said = ask(*whole, ("t", name + ".isra.0"))
        assert (status, f"{name}: is there, and a clone too: {name}.isra.0" in said) == (1, True)
        status, said = ask(*whole, ("t", name))
        assert (status, f"{name}: is there 2 times" in said) == (1, True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_bpftrace_can_parse_the_script(script):
    if not shutil.which("bpftrace"):
        pytest.skip("bpftrace is not installed")
    if os.geteuid() != 0:
        pytest.skip("bpftrace wants root even to parse")
    if "(struct " in code_of(script) and not pathlib.Path("/sys/kernel/btf/vmlinux").exists():
        pytest.skip("this kernel does not bring its types (BTF)")
    done = subprocess.run(["bpftrace", "-d", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


# --- a real kernel ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def booted():
    """One small recording in Debian's kernel; the build folder keeps the package and its symbols."""
    if missing := qemu.missing_packages():
        pytest.skip("not installed: " + ", ".join(package for _, package in missing))
    build = ROOT / "build" / "kernel_lab"
    build.mkdir(parents=True, exist_ok=True)
    try:
        qemu.fetched(build, qemu.KERNEL)
    except ValueError as error:
        pytest.skip(f"the kernel's package cannot be had: {error}")
    try:
        made = qemu.record(build, traffic=Traffic(mib=4))
    except ValueError as error:
        if "the recording lost events" not in str(error):
            raise
        made = qemu.record(build, traffic=Traffic(mib=4))  # a probe met again in an interrupt is missed, now and then
    return build, made


def rows_in(path):
    with lzma.open(path, "rt") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames) == COLUMNS
        return list(reader)


@pytest.mark.slow
def test_a_booted_kernel_is_recorded_with_its_stock(booted):
    _, made = booted
    rows = rows_in(made.trace)
    counts = collections.Counter(row["ev"] for row in rows)
    assert made.probes.complete
    assert min(counts[name] for name in "chg unc try cons refill pctry pcunc".split()) > 10
    # Traffic of 8 MiB is 2048 pages; what the sockets charged they gave back, but for what the last second left.
    charged, returned = (sum(int(row["nr"]) for row in rows if row["ev"] == name) for name in ("chg", "unc"))
    assert charged >= returned > 0.9 * charged
    assert {row["cpu"] for row in rows} == {"0", "1"}


@pytest.mark.slow
def test_the_states_read_in_the_kernel_follow_from_one_another(booted):
    """One step ahead, on each CPU: after a served charge the stock holds so much less, after a refill so much more."""
    _, made = booted
    state, right, wrong = {}, 0, 0
    for row in rows_in(made.trace):
        if row["ev"] not in ("cons", "refill", "drain"):
            continue
        seen = row["cached"], int(row["avail"])
        if row["cpu"] in state:
            right, wrong = right + (state[row["cpu"]] == seen), wrong + (state[row["cpu"]] != seen)
        cached, avail = seen
        nr = int(row["nr"] or 0)
        if row["ev"] == "cons":
            after = (cached, avail - nr) if cached == row["memcg"] and avail >= nr else seen
        elif row["ev"] == "drain":
            after = ("0", 0)
        else:
            total = nr + (avail if cached == row["memcg"] else 0)
            after = (row["memcg"], total) if total <= 64 else ("0", 0)
        state[row["cpu"]] = after
    assert right > 500
    assert wrong == 0


@pytest.mark.slow
def test_the_cgroup_files_of_the_booted_kernel_show_the_sockets(booted):
    _, made = booted
    samples = read_samples(made.samples)
    assert max(samples.column("sock")) > 0
    assert samples.column("sock")[-1] == 0


@pytest.mark.slow
def test_a_boot_leaves_no_process_and_no_disk_behind(booted):
    build, _ = booted
    running = [path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(str(build).encode() in line and b"qemu" in line for line in running)
    assert not (build / "disk.raw").exists()
