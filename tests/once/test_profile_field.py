"""Profiles as they are met: other versions, other options, copies of screens, letters. Each kind is read or refused."""

import bz2
import gzip
import io
import lzma
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from lab_helpers import ROOT
from memcg_lab.__main__ import main
from memcg_lab.perf import compare, print_comparison, read_perf
from memcg_lab.perf.compare import compare_table
from memcg_lab.perf.names import normalise
from memcg_lab.perf.read import read_sides
from memcg_lab.perf.source import BLOCK, LONGEST, opened
from memcg_lab.words import printable


def rows(text, *columns, **options):
    return list(read_perf(text, **options)[list(columns)].itertuples(index=False, name=None))


def ratios(change):
    columns = [name for name in change.matched.columns if name not in ("before", "after")]
    return [(*row[:-1], round(row[-1], 3)) for row in change.matched[columns].itertuples(index=False, name=None)]


def refused(text, why, **options):
    with pytest.raises(ValueError, match=why):
        read_perf(text, **options)


# --- A: columns


def screen(object_header, *table):
    lines = [
        f"Overhead  {object_header:<8}  Symbol",
        *(f"{p:7.2f}%  {dso:<8}  [{m}] {name}" for p, dso, m, name in table),
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("header", ["Shared Object", "Shared Obj", "Shared O", "Shared", "Sh"])
def test_a_header_that_is_cut_short_names_its_column(header):
    before = screen(header, (30, "[kernel]", "k", "lock"), (9, "libz.so", ".", "crc"), (6, "tool", ".", "crc"))
    after = screen(header, (30, "[kernel]", "k", "lock"), (18, "tool", ".", "crc"), (3, "libz.so", ".", "crc"))
    change = compare(before, after)
    assert ratios(change) == [("[kernel]", "lock", 1.0), ("libz.so", "crc", 0.333), ("tool", "crc", 3.0)]
    assert "crc (libz.so)" in change.text()


def test_cells_are_cut_by_the_dotted_line_so_that_a_blank_one_shifts_nothing():
    head = "# Overhead  CPU  Source:Line  Command  Shared Object  Symbol\n"
    rule = "# ........  ...  ...........  .......  .............  ......\n"
    body = (
        "    30.00%  001  x.c:7        server   libz.so        [.] crc\n"
        "    20.00%  002               server   libz.so        [.] crc\n"
        "    10.00%       x.c:9        server                  [.] inflate\n"
    )
    assert rows(head + rule + body, "comm", "dso", "symbol", "keys") == [
        ("server", "libz.so", "crc", "CPU 001; Source:Line x.c:7"),
        ("server", "libz.so", "crc", "CPU 002"),
        ("server", "", "inflate", "Source:Line x.c:9"),
    ]
    without_rule = head.lstrip("# ").rjust(len(head)) + body  # a screen copy: the cells stand below their headers
    assert rows(without_rule, "comm", "dso", "symbol", "keys") == rows(
        head + rule + body, "comm", "dso", "symbol", "keys"
    )
    refused(
        head.lstrip("# ") + body.replace("002               server", "002  server"), "line 3: .* does not fit the 6"
    )


def test_every_sort_key_is_part_of_a_row():
    head = "# Overhead  CPU  Shared Object  Symbol\n# ........  ...  .............  ......\n"
    before = head + "    30.00%  001  [kernel]       [k] lock\n    20.00%  002  [kernel]       [k] lock\n"
    after = head + "    30.00%  002  [kernel]       [k] lock\n    20.00%  001  [kernel]       [k] lock\n"
    assert ratios(compare(before, after)) == [("CPU 001", "lock", 0.667), ("CPU 002", "lock", 1.5)]
    assert ratios(compare(before, "40.00%  [kernel]  [k] lock\n")) == [("lock", 0.8)]  # which has no CPU: added up


def test_columns_may_stand_in_any_order():
    report = (
        "# Overhead  Symbol              Shared Object  Command\n"
        "# ........  ..................  .............  ...........\n"
        "    30.00%  [k] lock            [kernel]       Web Content\n"
        "    20.00%  [.] f(int, char)    tool           tool\n"
    )
    assert rows(report, "comm", "dso", "symbol", "kind") == [
        ("Web Content", "[kernel]", "lock", "kernel"),
        ("tool", "tool", "f(int, char)", "user"),
    ]
    first_text = (
        "# Command      Overhead  Symbol\n# ...........  ........  ......\n  Web Content    30.00%  [k] lock\n"
        "            |\n            ---start\n"
    )
    assert rows(first_text, "percent", "comm", "symbol") == [(30.0, "Web Content", "lock")]


def test_letters_of_several_bytes_do_not_shift_columns():
    head = "# Overhead  Command  Shared Object  Symbol\n# ........  .......  .............  ......\n"
    for comm in ("Käse   ", "Käse  "):  # padded by characters, and by bytes as perf does
        assert rows(f"{head}    30.00%  {comm}  tool           [.] f\n", "comm", "dso") == [("Käse", "tool")]


def test_verbose_rows_and_narrow_columns():
    verbose = (
        "# Overhead  Command  Shared Object  Symbol\n# ........  .......  .............  ....................\n"
        "    30.00%  tool     /bin/tool      0x1168             B [.] f\n"
        "    20.00%  tool     [kernel]       0xffffffff82000000 k [k] g\n"
    )
    assert rows(verbose, "symbol", "kind") == [("f", "user"), ("g", "kernel")]
    narrow = "# Overhead  Command   Symbol\n# ........  ........  ......\n"
    narrow += "   30.00%   tool      [.] f\n   0.67%    tool      [.] g\n"
    assert rows(narrow, "percent", "comm", "symbol") == [(30.0, "tool", "f"), (0.67, "tool", "g")]


UNKNOWN = {
    "Colour": 'line 1: the column "Colour" is not known',
    "Memory access": r"line 1: perf report of memory accesses \(perf mem\): its column Memory access",
    "Data Symbol": "perf mem",
    "Snoop": "perf mem",
    "Target Symbol": "perf report of branches",
    "Branch Mispredicted": "perf report of branches",
    "Delta": "perf diff; give the two profiles",
}


@pytest.mark.parametrize(("column", "why"), UNKNOWN.items(), ids=UNKNOWN)
def test_a_column_that_is_not_known_is_refused(column, why):
    refused(f"# Overhead  {column}  Symbol\n# ........  {'.' * len(column)}  ......\n    30.00%  x  [.] f\n", why)
    refused(f"Overhead  {column}  Symbol\n    30.00%  x  [.] f\n", why)


def test_reports_without_the_share_or_the_symbol_are_refused():
    refused("# Latency  Symbol\n# .......  ......\n   30.00%  [.] f\n", "no column Overhead or Self")
    refused("# Overhead  Command\n# ........  .......\n    30.00%  tool\n", "no column Symbol")
    refused(
        "#  Overhead  Command / Symbol\n# .........  ................\n    30.00%        tool\n",
        "leave out .*--hierarchy",
    )
    refused("Overhead,Command,Symbol\n30.00%,tool,[.] f\n", "leave out the option -t")


@pytest.mark.parametrize(
    "head",
    [
        "#  Latency  Overhead  Command  Symbol\n# ........  ........  .......  ......\n    12.00%    30.00%",
        "# Overhead   Latency  Command  Symbol\n# ........  ........  .......  ......\n    30.00%    12.00%",
        "# Latency  Overhead  Command  Symbol\n# .......  ........  .......  ......\n    12.00%    30.00%",
        "Overhead   Latency  Command  Symbol\n 30.00%    12.00%",
    ],
)
def test_the_latency_of_perf_6_15_is_not_the_share(head):
    table = read_perf(f"{head}  tool     [.] f\n")
    assert table[["percent", "comm"]].to_numpy().tolist() == [[30.0, "tool"]]
    assert table["children"].isna().all()


def test_children_with_latency():
    text = (
        "# Children   Latency      Self   Latency  Command  Symbol\n"
        "# ........  ........  ........  ........  .......  ......\n"
        "    40.00%    44.00%    30.00%    33.00%  tool     [.] f\n"
    )
    assert rows(text, "percent", "children", "comm") == [(30.0, 40.0, "tool")]
    assert rows(text.replace("    Self", "Overhead"), "percent", "children", "comm") == [(30.0, 40.0, "tool")]


# --- B: two listings, or two measures


def test_the_same_function_twice_in_a_screen_copy_is_a_second_listing():
    one = "  14.00%  [kernel]  [k] cancel\n  12.00%  [kernel]  [k] charge\n"
    two = "  10.00%  [kernel]  [k] charge\n   4.00%  [kernel]  [k] cancel\n"
    for between in ("", "\n", "\n\n\n"):
        refused(one + between + two, rf"line {3 + len(between)}: a second listing begins here")
    refused(
        "  9.00%  tool  [.] f\n  8.00%  tool  [.] g\n  3.00%  tool  [.] f\n", "line 3: a second listing begins here"
    )


def test_a_second_header_is_a_second_listing_unless_nothing_follows():
    header = "Overhead  Command  Symbol\n"
    first, second = header + "  30.00%  tool     [.] f\n", header + "  20.00%  tool     [.] g\n"
    refused(first + second, "line 4: a second listing begins here; give each a file of its own")
    refused(f"Samples: 9 of event 'cycles'\n{first}Samples: 9 of event 'faults'\n{second}", "line 6: .*cycles, faults")
    assert rows(first + header, "symbol") == [("f",)]


def test_perf_may_list_two_functions_of_one_name_and_perf_top_cuts_long_ones():
    report = "# Overhead  Shared Object  Symbol\n# ........  .............  ......\n"
    twice = "    30.00%  tool           [.] init\n    20.00%  tool           [.] init\n"
    change = compare(report + twice, report + "    25.00%  tool           [.] init\n")
    assert ratios(change) == [("init", 0.5)]
    assert change.notes == ("Added up: 2 rows that nothing tells apart became 1 (init).",)
    refused(report + twice + "    40.00%  tool           [.] init\n", "line 5: a second listing")
    assert len(read_perf("  8.00%  x.so  [.] llvm::Spill::\n  2.00%  x.so  [.] llvm::Spill::\n")) == 2


def test_perf_diff_without_a_header_has_signs():
    for line in ("  3.00%     +0.50%  [kernel]  [k] spin\n", "             +1.50%  [kernel]  [k] spin\n"):
        refused(line, r"line 1: .* has a sign, as in perf diff; give the two profiles")
    refused("  3.00%     -0.50%  [kernel]  [k] spin\n", "-0.50 is not a percentage .*perf diff")
    refused("# Event 'cycles'\n#\n# Baseline  Delta Abs  Symbol\n", "line 1: perf diff")
    refused("Baseline  Delta Abs  Symbol\n   3.00%     +0.50%  [k] spin\n", "line 1: perf diff; give the two profiles")


def test_shares_that_rise_are_pointed_out():
    table = read_perf("  20.00%  [kernel]  [k] spin\n   9.00%  [.] copy\n  30.00%  [.] hash\n  40.00%  [.] crc\n")
    assert table.attrs["notes"] == [
        "line 3: 30 percent stands below 9, but perf lists the largest first; is this more than one listing?"
    ]


def test_self_above_children_is_refused():
    refused("   3.00%    30.00%  [kernel]  [k] spin\n", "line 1: .* 30 of its own is more than with children")


def test_deeper_rows_without_a_header_are_refused():
    refused("  40.00%  tool  [.] f\n     30.00% main\n", "line 2: .*deeper than the rows above.*call graph")
    refused("  40.00%  tool  [.] f\n      30.00%        libz.so\n", "line 2: .*deeper than the rows above")
    refused("  9.00%  a  b  c  [k] f\n", "line 1: .*3 columns before the symbol, and no header")


# --- C: kernel or user


@pytest.mark.parametrize(
    ("address", "dso", "kind"),
    [
        ("ffffffffc0000100", "bpf_prog_12ab_f", "kernel"),
        ("ffffffffc0000100", "/lib/modules/6.12.0/kernel/net/a.ko.xz", "kernel"),
        ("ffffffffc0000100", "/lib/modules/6.12.0/kernel/net/a.ko.zst", "kernel"),
        ("ffffffffc0000100", "/usr/lib/debug/lib/modules/6.12.0/a.ko.debug", "kernel"),
        ("ffffffff81000100", "/proc/kcore", "kernel"),
        ("ffffffff81000100", "/usr/lib/debug/boot/vmlinux-6.12.0", "kernel"),
        ("ffffffff81000100", "[unknown]", "kernel"),
        ("ffff800008101234", "[kernel.kallsyms]", "kernel"),  # arm64
        ("c000000000123456", "[kernel.kallsyms]", "kernel"),  # powerpc
        ("c0101234", "[kernel.kallsyms]", "kernel"),  # 32 bits
        ("1168", "a.ko.gz", "kernel"),
        ("7fff12345678", "[vdso]", "user"),
        ("ffffffffff600000", "[vsyscall]", "user"),
        ("7f0012345678", "/tmp/perf-77.map", "user"),
        ("1168", "/opt/vm/tool", "user"),
        ("7f0012345678", "[heap]", "user"),
        ("ffffffff81000100", "[guest.kernel.kallsyms]", "other"),
    ],
)
def test_the_address_tells_kernel_from_user(address, dso, kind):
    stack = f"tool 7 [000] 1.000000:     250000 cycles:\n\t{address:>16} f+0x1 ({dso})\n"
    assert rows(stack, "symbol", "dso", "kind") == [("f", dso, kind)]


# --- E: names that change from run to run


@pytest.mark.parametrize(
    ("column", "one", "other"),
    [
        ("dso", "/tmp/perf-100.map", "/tmp/perf-22222.map"),
        ("dso", "[JIT] tid 100", "perf-7.map"),
        ("dso", "jitted-100-1.so", "jitted-7-12.so"),
        ("dso", "/lib/libc-2.31.so", "/usr/lib/libc.so.6"),
        ("dso", "libstdc++.so.6.0.28", "libstdc++.so.6.0.33"),
        ("dso", "ld-2.31.so", "ld-linux-x86-64.so.2"),
        ("dso", "_json.cpython-311-x86_64-linux-gnu.so", "_json.cpython-312-x86_64-linux-gnu.so"),
        ("dso", "/opt/tool (deleted)", "/opt/tool"),
        ("comm", "kworker/0:1", "kworker/u16:3-events_unbound"),
        ("comm", "ksoftirqd/0", "ksoftirqd/12"),
        ("comm", "irq/24-eth0-rx", "irq/31-eth0-rx"),
        ("symbol", "core::fmt::write::h0123456789abcdef", "core::fmt::write::hfedcba9876543210"),
        ("symbol", "core[846817f741e54dfd]::fmt::write", "core[12aa17f741e54d00]::fmt::write"),
        ("symbol", "_ZN4core3fmt5write17h0123456789abcdefE", "_ZN4core3fmt5write17hfedcba9876543210E"),
        ("symbol", "_RNvCs1234_7mycrate3foo", "_RNvCsaBcD9_7mycrate3foo"),
        ("symbol", "_RINvNtCs1_4core3mem4dropNtCs2_1a3FooE", "_RINvNtCs3_4core3mem4dropNtCs4_1a3FooE"),
        ("symbol", "tcp_ack.constprop.0", "tcp_ack.constprop.13"),
        ("symbol", "tcp_ack.isra.0.part.1", "tcp_ack.isra.2.part.0"),
        ("symbol", "f.llvm.1234567", "f.llvm.76543"),
        ("symbol", "bpf_prog_6deef7357e7b4530_f", "bpf_prog_0deef7357e7b4531_f"),
        ("keys", "Pid 4711", "Pid 4712"),
    ],
)
def test_names_that_change_from_run_to_run_are_one_name_and_the_rule_is_named(column, one, other):
    short, rules = normalise(column, one)
    assert short == normalise(column, other)[0]
    assert rules or normalise(column, other)[1]


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("symbol", "tcp_ack"),
        ("symbol", "x86_64_start"),
        ("comm", "server-12"),
        ("dso", "tool"),
        ("symbol", "h264"),
        ("symbol", "_ZCs1_2ab"),
    ],
)
def test_other_names_stay(column, name):
    assert normalise(column, name) == (name, ())


def sample(comm, address, symbol, dso, period=1):
    return f"{comm}  100 [000] 10.000001:  {period} cycles:\n\t{address} {symbol}+0x1 ({dso})\n\n"


KERNEL, USER = "ffffffff81000010", "    7f0000001234"


def test_runs_of_the_same_load_match_and_what_was_done_is_said():
    before = (
        sample("jvm", USER, "LFoo;::hot", "/tmp/perf-1.map", 4)
        + sample("kworker/0:1", KERNEL, "work", "[kernel.kallsyms]", 3)
        + sample("tool", USER, "a::b::h0123456789abcdef", "/bin/tool", 2)
        + sample("tool", USER, "memcpy", "/lib/libc-2.31.so")
        + sample("tool", KERNEL, "ack.constprop.0", "[kernel.kallsyms]")
    )
    after = (
        sample("jvm", USER, "LFoo;::hot", "/tmp/perf-2.map", 4)
        + sample("kworker/3:0", KERNEL, "work", "[kernel.kallsyms]", 3)
        + sample("tool", USER, "a::b::hfedcba9876543210", "/bin/tool", 2)
        + sample("tool", USER, "memcpy", "/lib/libc.so.6")
        + sample("tool", KERNEL, "ack.constprop.3", "[kernel.kallsyms]")
    )
    change = compare(before, after)
    assert (len(change.matched), len(change.gone), len(change.new)) == (5, 0, 0)
    assert set(change.matched["ratio"]) == {1.0}
    (note,) = change.notes
    assert note.startswith("Names that change from run to run were taken as one: hash of Rust (")
    for rule in ("kworker/N", "library version", "number of a clone", "perf-PID.map"):
        assert f"{rule} (" in note
    assert "ack.constprop.0 = tool ack.constprop.3" in note
    written = compare(before, after, normalised=False)
    assert (len(written.matched), len(written.gone)) == (0, 5)
    assert any("differ only in numbers" in note for note in written.notes)


def test_names_that_no_rule_knows_are_pointed_out_if_only_numbers_differ():
    change = compare(sample("pool-1", USER, "f", "/bin/tool"), sample("pool-22", USER, "f", "/bin/tool"))
    assert change.rows == 0
    assert change.notes == ("1 gone and new differ only in numbers: pool-1: f and pool-22: f. Are they the same?",)


# --- F: no headline from rows that cannot carry it


def test_a_short_list_gives_both_totals_and_no_rescaling():
    before = "  14.00%  [kernel]  [k] cancel\n  12.00%  [kernel]  [k] try\n  11.00%  [kernel]  [k] charge\n"
    after = "  10.00%  [kernel]  [k] try\n   8.00%  [kernel]  [k] charge\n   4.00%  [kernel]  [k] cancel\n"
    text = compare(before, after).text().splitlines()
    assert text[0] == (
        "Percent of samples, self time: 37.00 listed before and 22.00 after; 63 % and 78 % of the samples are not "
        "listed."
    )
    assert (
        "Nothing is said about all samples: only 3 rows are in both files and 63 % and 78 % of the samples are not"
        in text[9]
    )
    assert not any("of all samples came on top" in line or line.startswith("Rescaling") for line in text)


# --- what perf script prints


FLAT = "tool  7 [000] 1.000001:     250000 cycles:P:"
STACK = "\t    1000 hot+0x1 (/bin/tool)\n\t    2000 main+0x2 (/bin/tool)\n"
ONCE = [("hot", 100.0), ("main", 0.0)]


@pytest.mark.parametrize(
    "first",
    [
        "tool 7 cycles:",
        "tool 7 [003] cycles:P: ",
        "tool     7     250000 cycles: ",
        "tool  7/8    1.000001:     250000 cpu-clock: ",
        "tool  7/8  [001]    1.000001123:     250000 cpu/event=0x3c,umask=0x0/ppp: ",
        "tool  7   1.000001: ",
        "tool  7   1.000001:     250000 ",
        "tool   1.000001: cycles: ",
        "tool  7 ",
        "tool ",
        "Web Content  7 [003] 1.000001: sched:sched_switch: prev=a ==> next=b",
        ":7  7 1.000001: cycles:",
        "tool  7 [003] U     1.000001: cycles:",  # -F +misc
        "tool  7 KGg   1.000001: cycles:",
        "tool  7 [003] 2026-11-27 10:00:00.123456     1.000001: cycles:",  # -F +tod
        "VM:    12 VCPU:001 tool  7 [003]     1.000001: cycles:",  # -F +machine_pid,vcpu
        "a 1 b  7 1.000001: cycles:",
    ],
)
@pytest.mark.parametrize("blank", ["", "\n"])
def test_perf_script_may_print_fewer_fields(first, blank):
    assert rows(f"{first}\n{blank}{STACK}\n{first}\n{blank}{STACK}\n", "symbol", "percent") == ONCE


@pytest.mark.parametrize("field", ["XYZ 1.000001:", "10:00:00.123456:", "[001] 1.000001:", "a b 1.000001:"])
def test_a_field_that_is_not_known_is_no_part_of_the_command(field):
    refused(f"tool  7 [003] {field} 250000 cycles:\n{STACK}", "line 1: .* behind .cpu. is no time, period or event")


def test_perf_script_may_print_stacks_alone():
    text = f"\n{STACK}\n\n{STACK}\n"
    assert rows(text, "symbol", "percent") == ONCE
    assert "samples without a stack are not seen" in read_perf(text).attrs["notes"][0]


HOT, MAIN = STACK.splitlines(keepends=True)
BESIDE = {
    "srcline": f"{HOT}  hot.c:12\n{MAIN}  main.c:7 (discriminator 2)\n",
    "srcline unknown": f"{HOT}  :0\n{MAIN}  [kernel.kallsyms][ffffffff81000130]\n",
    "srcline of another object": f"{HOT}  tool[1050]\n{MAIN}  ??:0\n",
    "srccode": f"{STACK}\n|12       int hot(void)\n",
    "branches": f"{STACK} 0x7f12/0x7f34/P/-/-/3  0x12/0x34/M/-/-/0 \n",
    "branch symbols": f"{STACK} hot+0x1/main+0x2/P/-/-/3 \n",
    "registers": f"{STACK} ABI:2    AX:0x1    BX:0x2 \n",
    "dsoff": "\t    1000 hot+0x1 (/bin/tool+0x1000)\n\t    2000 main+0x2 (/bin/tool+0x2000)\n",
    "spaces for the tab": STACK.replace("\t", "        "),
}


@pytest.mark.parametrize("stack", BESIDE.values(), ids=BESIDE)
def test_lines_beside_the_stack_are_passed_over(stack):
    text = f"{FLAT}\n{stack}\n" * 2
    assert rows(text, "symbol", "percent") == ONCE
    assert set(read_perf(text)["dso"]) == {"/bin/tool"}


RECORDS = (
    "swapper     0 [000]     0.000000: PERF_RECORD_MMAP -1/0: [0xffffffff81000000(0x1) @ 0]: x [kernel.kallsyms]_text\n"
    "tool  7 [000]  0.900000: PERF_RECORD_COMM exec: tool:7/7\n"
    "tool  7 [000]  0.900000: PERF_RECORD_FORK(8:8):(7:7)\n"
    "Web Content  7 [000]  0.900000: PERF_RECORD_SWITCH OUT preempt\n"
    "tool  7 [000]  0.900000: PERF_RECORD_NAMESPACES 7/7 - nr_namespaces: 2\n"
    "\t\t[0/net: 3/0xf0000098, 1/uts: 3/0xeffffffe]\n"
)


def test_records_between_samples_are_passed_over_and_lost_events_said():
    table = read_perf(
        f"{RECORDS}{FLAT}\n{STACK}\n{RECORDS}{FLAT}\n{STACK}\ntool 7 [000] 2.0: PERF_RECORD_LOST lost 12\n"
    )
    assert table["percent"].tolist() == [100.0, 0.0]
    assert table.attrs["notes"] == ["perf lost 12 events while it recorded; the shares are of what is left."]


@pytest.mark.parametrize(
    "rest",
    [
        "  1000 hot+0x1 (/bin/tool)",
        "  ffffffff81000000 hot+0x1",
        "      7f12345678 1000 hot+0x1 (/bin/tool)".replace("1000", "551000"),  # addr, ip
        "  1000 hot+0x1 (/bin/tool) 0x12/0x34/P/-/-/0  0x12/0x34/P/-/-/0 ",
        "  1000 hot+0x1 (/bin/tool) a+0x1/b+0x2/P/-/-/0 ",
    ],
)
def test_samples_of_one_line(rest):
    assert rows(f"            tool  7 1.000001: cycles:{rest}\n" * 2, "symbol", "percent") == [("hot", 100.0)]


def test_memory_samples_are_no_frames():
    refused("tool 7 1.0: 9 mem-loads: 7f0012345678 |OP LOAD|LVL L1 hit\n", "no sample has an address")


def test_one_event_of_several():
    two = f"{FLAT}\n{STACK}\ntool 7 [000] 1.1: 9 page-faults:u:\n\t    3000 fault (/bin/tool)\n\n"
    refused(two, r"line 5: a second event, page-faults:u after cycles:P; choose one \(event=, --event\)")
    assert rows(two, "symbol", event="page-faults") == [("fault",)]
    assert rows(two, "symbol", event="cycles:P") == [("hot",), ("main",)]
    refused(two, "no sample is of the event faults; the events are: cycles:P, page-faults:u", event="faults")
    refused("a;b 3\n", "do not name their event", event="cycles")


def test_one_listing_of_several_and_one_event_of_a_group():
    head = "# Overhead  Command  Symbol\n# ........  .......  ......\n"
    one = f"# Samples: 9 of event 'cycles:P'\n{head}    30.00%  tool     [.] f\n"
    two = one.replace("cycles:P", "faults").replace("] f", "] g")
    refused(
        one + "\n" + two, r"line 9: a second listing begins here; choose one of cycles:P, faults \(event=, --event\)"
    )
    assert rows(one + two, "symbol", event="cycles") == [("f",)]
    assert rows(one + two, "symbol", event="faults") == [("g",)]
    refused(one + two, "no listing of the event x; the events are: cycles:P, faults", event="x")
    refused("  9.00%  [k] f\n", "the events are: not named in it", event="x")
    group = (
        "# Samples: 9 of events 'cycles, faults'\n"
        "#         Overhead  Command  Symbol\n# ................  .......  ......\n"
        "    30.00%   7.00%  tool     [.] f\n"
    )
    refused(group, "line 4: a group of events; choose one of cycles, faults")
    assert rows(group, "percent", event="faults") == [(7.0,)]
    for wrong in ("", 5):
        refused(one, "event is .*; it must be a name", event=wrong)


# --- stacks of other tools


def test_a_frame_without_a_name_is_left_out():
    assert rows("app;a;;b 10\napp;a; 5\n;app; 1\n", "symbol", "percent") == [("b", 62.5), ("a", 31.25), ("app", 6.25)]
    assert rows("a;b 1\n;; 3\n", "symbol", "percent") == [("[unknown]", 75), ("b", 25), ("a", 0)]


def test_frames_written_in_two_ways_count_once_a_stack():
    assert rows("a; b;b 2\na;f_[j];f_[i] 2\n", "symbol", "children") == [("b", 50), ("f", 50), ("a", 100)]


@pytest.mark.parametrize("name", ["@", "@stacks"])
@pytest.mark.parametrize(
    "front", ["", "Attaching 1 probe...\n\n", "Attached 2 probes\n", "Attaching to 2 probes...\n^C\n\n"]
)
def test_stack_maps_of_bpftrace(name, front):
    text = f"{front}\n{name}[\n    spin+5\n    futex+30\n]: 12\n{name}[\n    copy+5\n    copy+7\n]: 36\n\n"
    assert rows(text, "symbol", "percent", "children") == [("copy", 75, 75), ("spin", 25, 25), ("futex", 0, 25)]


def test_other_keys_of_a_map_are_keys():
    text = "@[bash, \n    spin+5\n]: 3\n@[\n    spin+9\n,\n    main+5\n    0x7f0000001234\n, cron]: 1\n"
    assert rows(text, "symbol", "keys", "percent")[:2] == [("spin", "bash", 75), ("spin", "cron", 25)]
    perf_mode = "@[\n\tffffffff81000010 spin+5\n\t7f0000001234 main+2 (/bin/x)\n]: 3\n"
    assert rows(perf_mode, "symbol", "kind") == [("spin", "kernel"), ("main", "user")]


BAD_MAPS = {
    "no count": ("@[\n    a+1\n]: \n[1]  3 |@@@|\n", "line 3: .* does not end in a count"),
    "printed twice": ("@[\n    a+1\n]: 3\n@[\n    a+1\n]: 5\n", "line 6: this stack is in the file a second time"),
    "two maps": ("@a[\n    a+1\n]: 3\n@b[\n    a+1\n]: 5\n", "line 4: a second map begins here, @b after @a"),
    "no stack": ("@[\n    a+1\n]: 3\n@total: 3\n", "line 4: .* is not a map whose keys are stacks"),
    "cut off": ("@[\n    a+1\n", "the file ends within a stack"),
    "no frame": ("@[\na+1\n]: 3\n", "line 2: .* is not a frame"),
}


@pytest.mark.parametrize(("text", "why"), BAD_MAPS.values(), ids=BAD_MAPS)
def test_other_maps_are_refused(text, why):
    refused(text, why)


# --- what stands around a listing


REPORT = (
    "# Overhead  Command  Shared Object  Symbol\n# ........  .......  .............  ......\n#\n"
    "    40.00%  tool     tool           [.] hot\n"
)
AROUND = {
    "folded, count": REPORT + "30 main;run;hot\n10 main;idle;hot\n",
    "folded": REPORT + "30.00% main;run;hot\n",
    "folded, period": REPORT + "7500000 main\n",
    "tail": REPORT + "     ...\nPress '?' for help on key bindings\n",
    "warning": "Warning:\nProcessed 9 events and lost 1 chunks!\n\nCheck IO/CPU overload!\n\n" + REPORT,
    "warning behind": REPORT + "\nWarning:\nKernel address maps were restricted.\n\nCheck kptr_restrict.\n",
    "record": "[ perf record: Woken up 1 times to write data ]\n[ perf record: Captured and wrote 1 MB perf.data ]\n"
    + REPORT,
    "build id": "[kernel.kallsyms] with build id 12ab not found, continuing without symbols\n" + REPORT,
    "prompt": "user@host:~$ perf report --stdio\n" + REPORT,
    "prompt behind": "[root@host ~]# perf report\n" + REPORT + "[root@host ~]# \n",
    "copied in part": REPORT + "[...]\n",
    "snip": REPORT + "<snip>\n\n",
    "addr2line": "addr2line: DWARF error: offset 12 is out of range\n" + REPORT,
    "symbols": "Couldn't record kernel reference relocation symbol\nSymbol resolution may be skewed.\n" + REPORT,
    "no tips": REPORT + "\n(Cannot load tips.txt file, please install perf!)\n",
    "tip": REPORT + "\n#\n# (Tip: Use --symfs <dir>)\n#\n(Tip: Use --symfs <dir>)\n",
    "quote": "".join(f"> {line}\n" for line in REPORT.splitlines()),
    "quote of a quote": "".join(f">> {line}\n>>\n" for line in REPORT.splitlines()),
    "quote in spaces": "".join(f"> > {line}\n" for line in REPORT.splitlines()),
    "colours": REPORT.replace("40.00%", "\x1b[31m40.00%\x1b[m"),
}


@pytest.mark.parametrize("text", AROUND.values(), ids=AROUND)
def test_what_perf_and_letters_put_around_a_listing_is_passed_over(text):
    assert rows(text, "percent", "comm", "dso", "symbol") == [(40.0, "tool", "tool", "hot")]


def test_lost_samples_are_said():
    assert read_perf(AROUND["warning"]).attrs["notes"] == ["perf says: Processed 9 events and lost 1 chunks!"]
    assert read_perf("# Total Lost Samples: 7\n" + REPORT).attrs["notes"] == ["perf says: Total Lost Samples: 7"]
    assert "notes" not in read_perf("# Total Lost Samples: 0\n" + REPORT).attrs
    change = compare(REPORT, "# Total Lost Samples: 7\n" + REPORT)
    assert change.text().splitlines()[-1] == "Note, after: perf says: Total Lost Samples: 7"


def test_rows_that_were_left_out_may_have_what_the_row_above_them_has():
    row = "    {:5.2f}%  tool     tool           [.] {}\n".format
    table = read_perf(REPORT + row(9, "b") + "     ...\n" + row(2, "z"))
    assert table.attrs["lowest"] == 9
    assert table.attrs["notes"] == ["line 6: rows were left out here, of up to 9 percent."]
    gone = compare(REPORT + row(30, "b"), table).new
    assert gone["at_least"].tolist() == [0]
    assert gone["before"].tolist() == ["< 30.00"]
    change = compare(REPORT + row(12, "c") + row(9, "b"), table)
    assert change.gone[["after", "at_least"]].to_numpy().tolist() == [["< 9.00", 3]]
    assert read_perf(REPORT.replace("    40", "...\n    40") + row(9, "b")).attrs["lowest"] == 100


def test_prose_is_still_refused():
    refused(REPORT + "And so it went.\n", 'line 5: "And so it went." is not a row')
    refused("> a;b 3\n> a;c 4\nwhat I said\n", 'line 3: "what I said" has no > in front')
    refused(AROUND["quote"] + "That is all.\n", "line 5: .* has no > in front")


OTHER_TOOLS = {
    "perf annotate": " Percent |\tSource code & Disassembly of w\n---\n  59.77 :   1168:   mov\n",
    "perf c2c": "=================================================\n            Trace Event Information\n",
    "perf stat": "\n Performance counter stats for './w':\n\n   938.12 msec cpu-clock   #    0.448 CPUs utilized\n",
}


@pytest.mark.parametrize(("tool", "text"), OTHER_TOOLS.items(), ids=OTHER_TOOLS)
def test_output_of_perf_that_is_no_profile_is_named(tool, text):
    refused(text, f"line [12]: {tool}:")


# --- tables of the kernel test robot


TABLE = (
    'commit:\n  0123456789 ("mm: before")\n  abcdefabcd ("mm: after")\n\n'
    "---------------- ---------------------------\n"
    "         %stddev     %change         %stddev\n             \\          |                \\\n"
    "      8.80           +85.5%      16.33        vmstat.cpu.us\n"
    "          1:4            1%           1:4     perf-profile.self.cycles-pp.error_entry\n"  # in how many runs
    "           :4           25%           1:4     perf-profile.children.cycles-pp.charge_memcg\n"
    "      5.00 ±  4%      +9.0       14.00 ±  3%  perf-profile.calltrace.cycles-pp.a.b.c\n"
    "      0.20 ±  4%      +9.0        9.20 ±  3%  perf-profile.children.cycles-pp.charge_memcg\n"
    "      0.20 ±100%      +8.9        9.10 ±  3%  perf-profile.self.cycles-pp.charge_memcg\n"
    "      0.00            +7.5        7.50        perf-profile.self.cycles-pp.counter_charge\n"
)


@pytest.mark.parametrize(
    "spoil", [str, lambda t: "".join(f"> {x}\n" for x in t.splitlines()), lambda t: t.replace("±", "Â±")]
)
def test_a_table_of_the_kernel_test_robot_is_two_profiles(spoil):
    table = spoil(TABLE)
    before, after = read_sides(table)
    assert before[["percent", "symbol"]].to_numpy().tolist() == [[0.2, "charge_memcg"], [0.0, "counter_charge"]]
    assert after["percent"].tolist() == [9.1, 7.5]
    assert after["children"].tolist()[0] == 9.2
    assert read_perf(table, side="after").equals(after)
    change = compare_table(table)
    assert ratios(change) == [("charge_memcg", 45.5)]
    assert change.new["symbol"].tolist() == ["counter_charge"]
    assert change.unfit[0] == "the table lists what changed, not what is largest"
    refused(table, "is two profiles: give side='before' or side='after', or let python -m memcg_lab profile FILE")


ROBOT = "perf-profile.self.cycles-pp."
BAD_TABLES = {
    "three kernels": (f"0.1  +1.0  1.1  +2.0  2.1  {ROBOT}f\n", "line 1: .*more than two kernels in a row"),
    "no sum": (f"0.1  +1.0  9.1  {ROBOT}f\n", r"line 1: .* 0.1 and \+1 are not 9.1 percent"),
    "no numbers": (f"0.1  +1.0  1.1  {ROBOT}f\nx {ROBOT}g\n", "line 2: .* not a value, a change and a value"),
    "two tables": (f"0.1  +1.0  1.1  {ROBOT}f\n" * 2, "line 2: a second table begins here"),
    "no self": ("0.1  +1.0  1.1  perf-profile.children.cycles-pp.f\n", "no row perf-profile.self"),
    "two events": (f"0.1  +1.0  1.1  {ROBOT}f\n0.1  +1.0  1.1  perf-profile.self.x.f\n", "choose one of cycles-pp, x"),
}


@pytest.mark.parametrize(("text", "why"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_tables_that_make_no_sense_are_refused(text, why):
    with pytest.raises(ValueError, match=why):
        compare_table(text)


def test_sides_are_for_tables_only():
    refused("a;b 3\n", "only a table of the kernel test robot has two sides", side="before")
    refused(TABLE, "side is 'left'; it must be before or after", side="left")
    with pytest.raises(ValueError, match="one profile; give a second one"):
        compare_table("a;b 3\n")


# --- files


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)])
def test_packed_files_are_read_and_damaged_ones_refused(tmp_path, suffix, pack):
    path = tmp_path / f"stacks{suffix}"
    path.write_bytes(pack(b"app;a 10\napp;b 30\n" * 500))
    assert rows(path, "symbol", "percent") == [("b", 75), ("a", 25), ("app", 0)]
    path.write_bytes(path.read_bytes()[:-9])
    refused(path, rf"stacks\{suffix}.*the packed file is damaged")
    path.write_bytes(pack(b"PERFILE2" + bytes(20)))
    refused(path, "the binary file of perf record")


def test_other_encodings(tmp_path):
    path = tmp_path / "p.txt"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    refused(path, "packed with zstd; unpack it first")
    path.write_text("app;a 10\n", encoding="utf-16")
    refused(path, "UTF-16; save it as UTF-8")
    path.write_bytes(b"app;f\xe9e;b 10\n")  # half a letter, as in a comm that was cut
    assert rows(path, "symbol") == [("b",), (r"f\xe9e",), ("app",)] or rows(path, "symbol")[0] == ("b",)
    path.write_bytes(b"app;a 10\n" * (BLOCK // 9 + 5) + b"a\0b\n")
    refused(path, r"line \d+: not a text file")
    path.write_bytes(b"app;a 10\n" + b"a" * (2 * LONGEST + BLOCK))
    refused(path, "line 2: is longer than")


def test_blocks_do_not_show(tmp_path, monkeypatch):
    monkeypatch.setattr("memcg_lab.perf.source.BLOCK", 7)
    path = tmp_path / "p.txt"
    text = "\ufeff# é\r\nmain;é…\u2028;b 3\r\rmain;c 1\n\n  \nlast;line 4"
    path.write_bytes(text.encode())
    assert list(opened(path).lines) == list(enumerate(re.split(r"\r\n|\r|\n", text[1:]), 1))
    assert [number for number, _ in opened(text).lines] == [number for number, _ in opened(path).lines]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_pipe_is_read(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    threading.Thread(target=path.write_text, args=("app;a 10\n",)).start()
    assert rows(str(path), "symbol")[0] == ("a",)


def test_progress_tells_the_bytes(tmp_path):
    path, told = tmp_path / "p.txt", []
    path.write_bytes(b"app;a 10\n" * (BLOCK // 4))
    read_perf(path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (path.stat().st_size,) * 2
    assert len(told) > 2
    assert told == sorted(told)


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "p.folded"
    line = ";".join(f"function_number_{k}" for k in range(40))
    code = (
        "import sys; from memcg_lab.perf import read_perf; read_perf(sys.argv[1]);"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    if sys.platform != "linux":
        pytest.skip("the peak is read from Linux's /proc")
    peaks = []
    for megabytes in (1, 30):
        path.write_text(f"{line} 7\n" * (megabytes * 1_000_000 // len(line)))
        done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < min(150, peaks[0] + 15), peaks


def test_addresses_without_a_name_are_kept_apart_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("memcg_lab.perf.stacks.ADDRESSES", 3)
    table = read_perf("".join(f"a;0x{k:x} 1\n" for k in range(10)))
    assert sorted(table["symbol"]) == ["0x0", "0x1", "0x2", "[unknown]", "a"]
    assert table.set_index("symbol")["percent"]["[unknown]"] == pytest.approx(70)
    assert table.attrs["notes"] == ["3 addresses without a name are kept; more count as [unknown]."]


def test_long_lines_take_linear_time():
    sample_ = "sh 1 1.0: 1 cycles: \n"
    n = 60_000
    texts = [
        "a" + " " * n + "b\n",
        sample_ + "\tffff " + " " * n + "x\n",
        sample_ + "    ffff x" + " (" * n + ")\n",
        sample_ + "\tffff x (lib" + "-1" * n + ")\n",
        "  1.00%  [k] x\n" + "with build id " * (n // 10) + "\n",
        "# Overhead  Symbol\n# " + ".. " * n + "x\n",
        "  1.00%" + " " * n + "[k\n",
        "0.1 " * n + " perf-profile.self.x.y +1 \n",
        "> " * n + "\n",
        "Overhead  " + "Shared  " * n + "\n",
        "@[" + "]" * n + "\n f\n]: 3\n",
        REPORT + " " * n + "b\n",
        REPORT + "a@" * n + "\n",
        REPORT + "-" * n + "snip\n",
    ]
    for text in texts:
        start = time.process_time()
        try:
            read_perf(text)
        except ValueError:
            pass
        assert time.process_time() - start < 2.5, text[:30]  # quadratic ones take 20 s and more


# --- what is printed


EVIL = "\x1b]0;owned\x07\x9b31m\x1bc\u202e"


def test_nothing_printed_moves_a_terminal(tmp_path):
    listing = f"  60.00%  li{EVIL}b  [.] f{EVIL}\n   5.00%  x  [.] g\n"
    change = compare(listing, listing.replace("60.00", "50.00"), groups=[f"f{EVIL}*"])
    assert change.matched["symbol"][0] == f"f{EVIL}"
    assert change.text() == "\n".join(printable(line) for line in change.text().split("\n"))
    assert r"f\x1b]0;owned\x07\x9b31m\x1bc\u202e" in change.text()
    for text in (
        f"{listing}{EVIL} prose\n",
        f"sh{EVIL} 1 1.0: 1 cycles:\n{EVIL}\n",
        f"a;b{EVIL}\na;b 3\n",
        EVIL + "\n",
    ):
        with pytest.raises(ValueError, match="line 1|line 2|line 3|not of perf") as error:
            read_perf(text)
        assert str(error.value) == printable(error.value)
    path = tmp_path / f"na{EVIL}me".replace("/", "")
    with pytest.raises(ValueError, match="no such file") as error:
        read_perf(path)
    assert str(error.value) == printable(error.value)


def test_by_and_groups():
    head = "Overhead  Command  Shared Object  Symbol\n"
    before = head + (
        " 30.00%  web      [kernel]       [k] page_counter_charge\n"
        " 10.00%  db       [kernel]       [k] page_counter_charge\n"
        " 10.00%  web      [kernel]       [k] page_counter_cancel\n 10.00%  web      tool           [.] main\n"
    )
    after = head + (
        " 30.00%  web      tool           [.] main\n 10.00%  db       [kernel]       [k] page_counter_charge\n"
        "  5.00%  web      [kernel]       [k] page_counter_charge\n"
    )
    by_symbol = compare(before, after, by=["symbol"], groups="page_counter_*")
    assert ratios(by_symbol) == [("page_counter_charge", 0.375), ("main", 3.0)]
    assert by_symbol.groups.to_numpy().tolist() == [["page_counter_*", 50.0, 15.0, 3, 2]]
    assert (
        "Group page_counter_*: 50.00 in 3 rows before, 15.00 in 2 rows after; a row that is not listed has less than "
        "10.00 and 5.00." in by_symbol.text()
    )
    assert ratios(compare(before, after, by=("comm",))) == [("web", 0.7), ("db", 1.0)]
    assert ratios(compare(before, after, by=["comm", "symbol"]))[0] == ("web", "page_counter_charge", 0.167)
    assert ratios(compare(before, after, by="dso")) == [("[kernel]", 0.3), ("tool", 3.0)]
    for by in ("cpu", [], ["comm", "comm"], [5]):
        with pytest.raises(ValueError, match="it must be some of comm, dso, symbol, keys"):
            compare(before, after, by=by)
    with pytest.raises(ValueError, match="by comm: the file after does not print it"):
        compare(before, " 9.00%  [k] x\n", by=["comm"])
    for groups in ("", [5]):
        with pytest.raises(ValueError, match="it must be patterns"):
            compare(before, after, groups=groups)
    with pytest.raises(ValueError, match="normalised is 1"):
        compare(before, after, normalised=1)


# --- the command


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / name for name in ("one.txt", "two.txt", "robot.txt")]
    for path, text in zip(paths, ("app;a 10\napp;b 30\n", "app;a 30\napp;b 10\n", TABLE)):
        path.write_text(text, encoding="utf-8")
    return [str(path) for path in paths]


def command(capsys, *arguments):
    status = main(["profile", *arguments])
    out = capsys.readouterr()
    return status, out.out, out.err


def test_the_command_takes_two_files_or_one_table(capsys, files):
    status, out, err = command(capsys, files[0], files[1], "--by", "symbol", "--group", "[ab]", "--group", "b")
    assert (status, err) == (0, "")
    assert "Group [ab]: 100.00 in 2 rows before, 100.00 in 2 rows after" in out
    assert "Group b: 75.00 in 1 row before" in out
    for given in ([files[2]], [files[2], files[2]]):
        status, out, err = command(capsys, *given)
        assert (status, err) == (0, "")
        assert "robot.txt, the second kernel)" in out
        assert "counter_charge    < 0.01      7.50      new" in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([0], "one.txt: one profile; give a second one"),
        ([2, 0], "robot.txt: holds two profiles; give this file alone"),
        ([0, 1, "--by", "x"], "by is ('x',); it must be some of"),
        ([0, 1, "--event", "cycles"], "folded stacks do not name their event"),
        ([0, "n" * 300], ": "),
        ([0, "."], "cannot be read (Is a directory)"),
    ],
)
def test_the_command_refuses_in_one_line(capsys, files, arguments, why):
    status, out, err = command(capsys, *(files[part] if isinstance(part, int) else part for part in arguments))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("memcg_lab profile: ")
    assert why in err


def test_a_closed_pipe_ends_without_a_traceback(files):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "memcg_lab", "profile", *files[:2]], stdout=writer, stderr=subprocess.PIPE, cwd=ROOT
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_terminal_of_ascii_gets_escapes(files, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    long = files[0].replace("one", "long")
    with open(long, "w") as file:
        file.write(f"app;{'f' * 80} 3\n")
    assert print_comparison(long, long) == 0
    assert rb"fff\u2026" in out.buffer.getvalue()


def test_the_command_loads_no_compiler(files):
    code = "import sys; from memcg_lab.__main__ import main; main(sys.argv[1:]); sys.exit('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "profile", *files[:2]], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
