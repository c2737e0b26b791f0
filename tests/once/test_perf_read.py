"""What perf prints is read as it stands; what makes no sense is refused with its line."""

import math
import pathlib
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memcg_lab.perf import compare, read_perf
from memcg_lab.perf.read import COLUMNS, is_unnamed
from memcg_lab.words import printable

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = pathlib.Path(__file__).parent / "perf_samples"
quick = settings(derandomize=True, deadline=None, max_examples=60, database=None)


def rows(table, *columns):
    return list(table[list(columns)].itertuples(index=False, name=None))


# --- the two listings of the commit


def test_the_listing_before_the_patch_is_read_whole():
    table = read_perf(ROOT / "data" / "perf" / "before.txt")
    assert list(table.columns) == COLUMNS
    assert rows(table, "percent", "dso", "symbol", "kind", "line")[:2] == [
        (2.13, "[kernel]", "page_counter_cancel", "kernel", 1),
        (1.14, "[kernel]", "__sk_mem_reduce_allocated", "kernel", 2),
    ]
    assert rows(table, "percent", "dso", "symbol", "kind", "line")[-1] == (
        0.54,
        "",
        "__memcpy_avx_unaligned",
        "user",
        16,
    )
    assert rows(table[table["symbol"] == "< workload >"], "percent", "kind") == [(0.83, "other"), (0.60, "other")]
    assert table["children"].isna().all()
    assert table.attrs == {"format": "perf top", "lowest": 0.54, "total": 13.47}


def test_the_listing_after_the_patch_has_a_raw_address():
    table = read_perf(str(ROOT / "data" / "perf" / "after.txt"))
    assert rows(table, "percent", "symbol", "kind")[6] == (0.74, "0x000000000061bf24", "user")
    assert (len(table), table.attrs["lowest"], table.attrs["total"]) == (14, 0.57, 10.89)


# --- every form, from made-up files


def test_perf_top_with_its_header():
    table = read_perf(SAMPLES / "top.txt")
    assert rows(table, "percent", "dso", "symbol", "kind", "line") == [
        (5.25, "[kernel]", "page_counter_cancel", "kernel", 4),
        (3.5, "[ixgbe]", "ixgbe_poll", "kernel", 5),
        (1.75, "libc-2.24.so", "__memcpy_avx_unaligned", "user", 6),
        (1.25, "perf", "rb_next", "user", 7),
        (1.25, "perf-4242.map", "0x00007f0000012345", "user", 8),
        (0.5, "[guest.kernel]", "vmx_exit", "other", 9),
    ]
    assert table.attrs == {"format": "perf top", "lowest": 0.5, "total": 13.5}


def test_the_last_screen_of_perf_top_counts():
    table = read_perf(SAMPLES / "top_screens.txt")
    assert rows(table, "percent", "symbol") == [(8.0, "tcp_ack"), (4.0, "serve(int, char const*)")]


def test_an_empty_last_screen_leaves_the_one_before():
    text = (SAMPLES / "top_screens.txt").read_text() + "   PerfTop:       0 irqs/sec\n-------\n"
    assert len(read_perf(text)) == 2


def test_perf_report_without_children():
    table = read_perf(SAMPLES / "report.txt")
    assert rows(table, "percent", "comm", "dso", "symbol", "kind") == [
        (12.5, "swapper", "[kernel.kallsyms]", "menu_select", "kernel"),
        (7.25, "Web Content", "[kernel.kallsyms]", "tcp_ack", "kernel"),
        (4.0, "Web Content", "libxul.so", "ns::List<int, 5>::find(char const*)", "user"),
        (0.25, "server", "[unknown]", "0xffffffffc0001234", "kernel"),
    ]
    assert table.attrs["format"] == "perf report"


def test_perf_report_with_children_keeps_self_as_percent():
    table = read_perf(SAMPLES / "report_children.txt")
    assert rows(table, "percent", "children", "symbol") == [
        (0.0, 75.0, "do_syscall_64"),
        (30.0, 50.0, "tcp_sendmsg"),
        (20.0, 20.0, "tcp_write_xmit"),
        (10.0, 10.0, "main"),
    ]
    assert table.attrs["lowest"] == 10.0  # of children: what perf cut off has less than that of either


def test_perf_report_with_more_columns():
    table = read_perf(SAMPLES / "report_samples.txt")
    assert rows(table, "percent", "comm", "dso", "symbol") == [
        (60.0, "server", "[kernel.kallsyms]", "tcp_ack"),
        (40.0, "copy", "libc.so.6", "__memcpy_avx_unaligned"),
    ]


def test_perf_report_without_header():
    text = "\n".join(line for line in (SAMPLES / "report.txt").read_text().splitlines() if not line.startswith("#"))
    assert rows(read_perf(text), *COLUMNS[2:6]) == rows(read_perf(SAMPLES / "report.txt"), *COLUMNS[2:6])


def test_a_count_of_samples_without_header_is_no_command():
    table = read_perf("  9.00%            50  [kernel]  [k] tcp_ack\n  1.00%  6  sh  libc.so  [.] read\n")
    assert rows(table, "comm", "dso") == [("", "[kernel]"), ("sh", "libc.so")]


@pytest.mark.parametrize("graph", ["           5.13%\n                caller\n", "5.13% leaf;caller\n"])
def test_flat_and_folded_call_graphs_are_passed_over(graph):
    header = "# Overhead  Command  Shared Object  Symbol\n"
    table = read_perf(
        f"{header}     6.00%  sh       libc.so        [.] leaf\n{graph}     1.00%  sh       sh  [.] main\n"
    )
    assert rows(table, "percent", "symbol") == [(6.0, "leaf"), (1.0, "main")]


def test_the_interactive_screen_of_perf_top():
    table = read_perf(
        "Samples: 8K of event 'cycles', 4000 Hz, Event count (approx.): 1234 lost: 0/0 drop: 0/0\n"
        "  Children      Self  Shared Object     Symbol\n"
        "+   12.00%     3.00%  [kernel]          [k] tcp_ack\n"
        "-    2.00%     2.00%  server            [.] main\n"
        "   - 1.50% start\n"
        "        0.50% idle\n"
    )
    assert rows(table, "percent", "children", "symbol") == [(3.0, 12.0, "tcp_ack"), (2.0, 2.0, "main")]


def test_perf_script_is_weighed_by_its_periods():
    table = read_perf(SAMPLES / "script.txt")
    assert rows(table, "percent", "children", "comm", "dso", "symbol", "kind", "line") == [
        (40, 40, "Web Content", "/opt/web/libxul.so (deleted)", "ns::List<int>::find(char const*) (const)", "user", 7),
        (20, 20, "server", "[kernel.kallsyms]", "page_counter_cancel", "kernel", 2),
        (20, 20, "server", "/opt/server", "0x000000000000cc4f", "user", 11),
        (20, 20, "server", "[ixgbe]", "ixgbe_poll", "kernel", 14),
        (0, 40, "server", "[kernel.kallsyms]", "tcp_recvmsg", "kernel", 3),
        (0, 20, "server", "/usr/lib/libc.so.6", "__libc_recv", "user", 4),
    ]
    assert table.attrs["format"] == "perf script"


def test_perf_script_of_one_line_a_sample_is_counted():
    table = read_perf(SAMPLES / "script_flat.txt")
    assert rows(table, "percent", "comm", "symbol") == [
        (50, "server", "tcp_ack"),
        (25, "cafe", "0x0000564f8fe78c4f"),  # a command that looks like an address
        (25, "cafe", "main"),
    ]


def test_the_text_of_a_tracepoint_is_no_address():
    table = read_perf(
        "sh 1 [000] 1.0: sched:sched_switch: ad hoc=1 ==> sh\n\tffffffff81000000 __schedule+0x1 ([kernel])\n"
    )
    assert rows(table, "percent", "symbol", "kind") == [(100, "__schedule", "kernel")]


@pytest.mark.parametrize(("address", "kind"), [("ffffffff81000000", "kernel"), ("    7f0000000010", "user")])
def test_an_address_of_no_object_tells_kernel_from_user(address, kind):
    for end in ("", " [unknown]", " [unknown] ([unknown])"):
        table = read_perf(f"sh 1 1.0: 1 cycles: \n\t{address}{end}\n")
        assert rows(table, "symbol", "kind") == [(f"0x{address.strip():0>16}", kind)]


def test_a_sample_without_stack_is_counted_as_unknown():
    table = read_perf("sh 1 1.0: 1 cycles: \n\t 10 main (/bin/sh)\n\nsh 1 1.1: 3 cycles: \n\nsh 1 1.1: 9 dummy:u: \n")
    assert rows(table, "percent", "symbol") == [(75, "[unknown]"), (25, "main")]


def test_folded_stacks_count_by_the_last_frame():
    table = read_perf(SAMPLES / "stacks.folded")
    assert rows(table, "percent", "children", "symbol", "kind", "line")[:5] == [
        (60, 60, "tcp_sendmsg", "kernel", 1),
        (30, 30, "page_counter_cancel", "kernel", 2),
        (10, 10, "loop", "other", 3),
        (0, 100, "server", "other", 1),
        (0, 90, "do_syscall_64", "kernel", 1),
    ]
    assert (table.attrs["format"], table.attrs["total"]) == ("folded", 100)
    assert not table[["comm", "dso"]].any(axis=None)


# --- forgiving


def test_spaces_comments_line_ends_and_a_byte_order_mark_change_nothing(tmp_path):
    plain = (ROOT / "data" / "perf" / "before.txt").read_text(encoding="utf-8")
    want = rows(read_perf(plain), "percent", "dso", "symbol", "kind")
    path = tmp_path / "perf.txt"
    for text in (
        plain.replace("\n", "\r\n"),
        "\ufeff" + plain,
        "# before the patch\n\n" + plain.replace("\n", "\n\n  # and so on\n"),
        "\n".join(" ".join(line.split()) for line in plain.splitlines()),
        "\n".join("\t" + "    ".join(line.split("  ")) + "  " for line in plain.splitlines()),
        plain.replace("%  [kernel]", "  [kernel]"),
    ):
        path.write_bytes(text.encode())
        assert rows(read_perf(text), "percent", "dso", "symbol", "kind") == want
        assert rows(read_perf(path), "percent", "dso", "symbol", "kind") == want


def test_one_line_with_a_percent_sign_is_text():
    assert read_perf("5.00% [kernel] [k] tcp_ack")["symbol"].tolist() == ["tcp_ack"]


def test_an_existing_file_is_a_path_even_with_a_percent_sign(tmp_path):
    path = tmp_path / "100% load"
    path.write_text("5.00% [k] tcp_ack\n")
    assert read_perf(str(path))["symbol"].tolist() == ["tcp_ack"]


@pytest.mark.parametrize("symbol", ["0x61bf24", "0x000000000061bf24", "ffffffff81000107", "[unknown]"])
def test_an_address_is_unnamed(symbol):
    assert is_unnamed(symbol)


@pytest.mark.parametrize("symbol", ["tcp_ack", "dead", "< workload >", "0x", "main", "x0x12"])
def test_a_name_is_not_unnamed(symbol):
    assert not is_unnamed(symbol)


# --- strict

TOP = "  2.00%  [kernel]  [k] tcp_ack\n"
REPORT = "# Overhead  Command  Shared Object  Symbol\n"
STACK = "sh 1 1.0: 1 cycles: \n\tffffffff81000000 tcp_ack ([kernel.kallsyms])\n\n"
WRONG = {
    "no symbol": (f"{TOP}1.21 [kernel] [k]\n", r'^line 2: "1.21 \[kernel\] \[k\]" has no symbol after \[k\]\.$'),
    "no symbol, percent": (f"{TOP}\n  1.21%\n", 'line 3: "1.21%" has no symbol.'),
    "above 100": (f"{TOP}123.00%  [k] x\n", "line 2: .* 123.00 is not a percentage from 0 to 100"),
    "negative": (f"{TOP} -1.00%  [k] x\n", "line 2: .* -1.00 is not a percentage from 0 to 100"),
    "not a number": (f"{TOP} -nan%  [k] x\n", "line 2: .* -nan is not a percentage from 0 to 100"),
    "nan": ("nan%  [k] x\n", "line 1: .* nan is not a percentage"),
    "infinite": ("inf%  [k] x\n", "line 1: .* inf is not a percentage"),
    "two points": (f"{TOP} 1.2.3%  [k] x\n", "line 2: .*: 1.2.3 is not a number"),
    "a comma": (f"{TOP} 1,21%  [k] x\n", "line 2: .*: 1,21 is not a number"),
    "more than 100 in all": ("60.00%  [k] x\n 60.00%  [k] y\n", "add up to 120.00 percent"),
    "prose": (f"{TOP}And so it went.\n", 'line 2: "And so it went." is not a row of the listing'),
    "prose first": (f"We saw this:\n{TOP}", 'line 1: "We saw this:" is not a row'),
    "a row without percent": (f"{TOP}[kernel]   [k] tcp_ack\n", "line 2: .* is not a row"),
    "deep prose in perf top": (f"{TOP}                tcp_ack\n", "line 2: .* is not a row"),
    "not of perf": ("50% off all shoes\n 20% off hats\n", r"line 1: no row of this listing says \[k\] or \[.\]"),
    "three percentages": (f"{TOP} 1.00% 2.00% 3.00%  [k] x\n", "line 2: .* has 3 percentages where 2 are expected"),
    "one percentage too few": (
        "# Children  Self  Symbol\n 1.00% 1.00%  [k] x\n 1.00%  [k] y\n",
        "line 3: .* has 1 percentages where 2 are expected",
    ),
    "perf diff": (f"# Baseline  Delta  Symbol\n{TOP}", "line 1: perf diff"),
    "separators": ("# Overhead,Command  ,Symbol\n 7.00%  ,sh,[.] x\n 5.00%  sh  [.] y\n", "line 1: .*option -t"),
    "no symbols": ("# Overhead  Command\n# ....  ....\n 7.00%  sh\n", "line 1: there is no column Symbol"),
    "two events": (
        f"# Samples: 1 of event 'cycles'\n{REPORT} 1.00%  sh  sh  [.] x\n"
        f"# Samples: 1 of event 'cache-misses'\n{REPORT} 2.00%  sh  sh  [.] x\n",
        "line 6: a second listing begins here",
    ),
    "nothing": ("\n", "^no rows in it"),
    "empty": ("", "^no rows in it"),
    "comments only": ("# Overhead  Symbol\n#\n", "^no rows in it"),
    "another tool": ("total 12\ndrwxr-xr-x 2 root root 4096 tests\n", 'line 1: "total 12" is not of perf top'),
    "wc": ("  14 after.txt\n  16 before.txt\n", "line 1: .* is not of perf top"),
    "folded: no count": ("a;b 3\na;c\n", 'line 2: "a;c" is not a stack and its count'),
    "folded: nothing counted": ("a;b 0\na;c 0\n", "the samples weigh 0"),
    "folded: too many": (f"a;b {'9' * 400}\na;c 1\n", "line 1: .*: a count of 400 digits"),
    "folded: two counts": ("a;b 3 4\na;c 0 9\n", "every stack has two counts"),
    "script: no stack line": (f"{STACK}sh 1 1.1: 1 cycles: \n\tnot_hex tcp_ack\n", "line 5: .* neither"),
    "script: no sample above": (
        f"{STACK}\tffffffff81000000 tcp_ack ([kernel.kallsyms])\n",
        "line 4: .* no sample above",
    ),
    "script: two events": (f"{STACK}sh 1 1.1: 1 faults: \n", "line 4: a second event, faults after cycles"),
    "script: some periods": (f"{STACK}sh 1 1.1: cycles: \n", "line 4: .* some samples have a period"),
    "script: no addresses": ("sh 1 1.1: 1 cycles: \nsh 1 1.1: 1 cycles: \n", "no sample has an address"),
    "script: no weight": (STACK.replace(": 1 cycles", ": 0 cycles"), "the samples weigh 0"),
}


@pytest.mark.parametrize(("text", "why"), WRONG.values(), ids=WRONG.keys())
def test_nonsense_is_refused_with_its_line(text, why):
    with pytest.raises(ValueError, match=why):
        read_perf(text)


def test_the_message_names_file_and_line(tmp_path):
    path = tmp_path / "perf.txt"
    path.write_text("".join(f"  2.00%  [kernel]  [k] f{k}\n" for k in range(11)) + "1.21 [kernel] [k]\n")
    with pytest.raises(ValueError, match=re.escape(f'{path}, line 12: "1.21 [kernel] [k]" has no symbol after [k].')):
        read_perf(path)


@pytest.mark.parametrize("binary", [b"\x7fELF\x00\x01", b"\xff\xfe1\x00%\x00", b"\x80\x81\x82", b"1% [k] x\n\x00"])
def test_a_binary_file_is_refused(tmp_path, binary):
    path = tmp_path / "perf.bin"
    path.write_bytes(binary)
    with pytest.raises(ValueError, match=r"perf\.bin: not a text file"):
        read_perf(path)


def test_perf_data_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "perf.data"
    path.write_bytes(b"PERFILE2" + bytes(16))
    with pytest.raises(ValueError, match="give what perf report --stdio prints"):
        read_perf(path)


@pytest.mark.parametrize("source", ["no_such_file.txt", pathlib.Path("no_such_file.txt"), "a;b 3"])
def test_a_missing_file_is_said(source):
    with pytest.raises(ValueError, match=f"^{source}: no such file"):
        read_perf(source)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_perf(tmp_path)


@pytest.mark.parametrize("source", [None, 5, b"1% [k] x", ["1% [k] x"]])
def test_what_is_neither_text_nor_path_is_refused(source):
    with pytest.raises(ValueError, match="it must be text or a path"):
        read_perf(source)


# --- random tables, written in each form and read back

word = st.text("abcXYZ_019.:<>,()*~@$", min_size=1, max_size=12)
symbol = st.lists(word, min_size=1, max_size=3).map(" ".join).filter(lambda name: not name.split()[-1].isdigit())
place = st.sampled_from(["[kernel]", "[kernel.kallsyms]", "[ixgbe]", "libc.so.6", "/usr/bin/a-b", "/memfd:x (deleted)"])
command = st.sampled_from(["sh", "Web Content", "kworker/0:1", ":256", "cafe", "a 1 b"])
mark = st.sampled_from([".", "k", "g"])
KIND = {".": "user", "k": "kernel", "g": "other"}
share = st.integers(0, 500).map(lambda hundredths: hundredths / 100)
listed = st.lists(
    st.tuples(share, share, command, place, mark, symbol), min_size=1, max_size=15, unique_by=lambda row: row[2:]
)
listed_top = st.lists(
    st.tuples(share, share, command, place, mark, symbol), min_size=1, max_size=15, unique_by=lambda row: row[3:]
)
spoil = st.tuples(st.booleans(), st.booleans(), st.booleans())


def spoiled(lines, how):
    line_ends, comments, mark_in_front = how
    lines = [part for line in lines for part in (("", "# a remark", line) if comments else (line,))]
    return ("\ufeff" if mark_in_front else "") + ("\r\n" if line_ends else "\n").join(lines) + "\n"


def written_top(table):
    return [f"{p:9.2f}%  {dso:<20}  [{m}] {name}" for p, _, _, dso, m, name in table]


def written_report(table, children, graph):
    names = ["Children", "Self"] if children else ["Overhead"]
    columns = [*((8, name) for name in names), (15, "Command"), (20, "Shared Object"), (6, "Symbol")]
    head = "  ".join(f"{name:>{width}}" if name in names else f"{name:<{width}}" for width, name in columns)
    out = ["# Samples: 3  of event 'cycles'", "#", f"# {head}"]
    out += [f"# {'  '.join('.' * width for width, _ in columns)}", "#"]
    for own, called, comm, dso, m, name in table:
        first = f"{own + called:9.2f}%" if children else ""
        out.append(f"{first}{own:9.2f}%  {comm:<15}  {dso:<20}  [{m}] {name}")
        out += ["            |", "            |--1.00%--caller", "               other(int, 5.00%)", ""] * graph
    return out


@quick
@given(listed_top, spoil)
def test_random_rows_survive_perf_top(table, how):
    got = read_perf(spoiled(written_top(table), how))
    assert rows(got, "percent", "dso", "symbol", "kind") == [(p, d, s, KIND[m]) for p, _, _, d, m, s in table]
    assert got.attrs["lowest"] == min(row[0] for row in table)


@quick
@given(listed, spoil, st.booleans(), st.booleans())
def test_random_rows_survive_perf_report(table, how, children, graph):
    got = read_perf(spoiled(written_report(table, children, graph), how))
    want = [(p, c, d, s, KIND[m]) for p, _, c, d, m, s in table]
    assert rows(got, "percent", "comm", "dso", "symbol", "kind") == want
    if children:
        assert got["children"].tolist() == [round(own + called, 2) for own, called, *_ in table]
    else:
        assert got["children"].isna().all()


stack = st.lists(st.tuples(place, symbol), min_size=1, max_size=4)
stacks = st.lists(st.tuples(st.integers(1, 1000), command, stack), min_size=1, max_size=12)


def shares(samples):
    """Own and inclusive shares of (weight, frames) samples, counted the long way."""
    total = sum(weight for weight, _ in samples)
    keys = {frame for _, frames in samples for frame in frames}
    return {
        key: (
            sum(weight for weight, frames in samples if frames[0] == key) / total * 100,
            sum(weight for weight, frames in samples if key in frames) / total * 100,
        )
        for key in keys
    }


def check_shares(got, samples, *columns):
    want = shares(samples)
    assert {row[2:]: row[:2] for row in rows(got, "percent", "children", *columns)} == {
        key: (pytest.approx(own), pytest.approx(all_of_it)) for key, (own, all_of_it) in want.items()
    }
    assert got["percent"].is_monotonic_decreasing
    assert math.isclose(got.attrs["total"], 100)


@quick
@given(stacks, spoil)
def test_random_stacks_survive_folding(samples, how):
    lines = [f"main;{';'.join(name for _, name in reversed(frames))} {weight}" for weight, _, frames in samples]
    want = [(weight, [(name,) for _, name in frames] + [("main",)]) for weight, _, frames in samples]
    check_shares(read_perf(spoiled(lines, how)), want, "symbol")


@quick
@given(stacks, spoil, st.booleans(), st.booleans())
def test_random_stacks_survive_perf_script(samples, how, period, cpu):
    lines = []
    for number, (weight, comm, frames) in enumerate(samples):
        lines.append(f"{comm:<16} {number}/7 {'[003] ' * cpu}12.{number:06}: {f'{weight:10} ' * period}cycles:ppp: ")
        lines += [f"\t{number:16x} {name}+0x1f ({dso})" for dso, name in frames]
        lines.append("")
    want = [(weight if period else 1, [(comm, *frame) for frame in frames]) for weight, comm, frames in samples]
    check_shares(read_perf(spoiled(lines, (how[0], False, how[2]))), want, "comm", "dso", "symbol")


# --- anything at all

TOKENS = (
    "[k]|[.]|[kernel]|%|1.2|1.2%|100%|nan%|-1%|+1%|;|a;b 3| 3|\n|\n\n|  |\t|sh|12|1.5:|cycles:|ffffffff81000000|(x)|"
    "+0x1|"
    "# Samples: 1 of event 'a'\n|# Samples: 1 of events 'a, b'\n|# Overhead  Symbol\n|# ........  ......\n|"
    "# Children      Self  Command  Symbol\n|Overhead  Shared O  Symbol\n|PerfTop:\n|--|\x1b[H|\x1b]0;x\x07|\x9b|"
    "Overhead|#|sh 1 1.0: 1 cycles: \n\t|sh 1 1.0: cycles:|sh 1 cycles:\n\t|PERF_RECORD_COMM|\r|[unknown]|<| |\x00|"
    "\u2028|é|٣%|> |@[\n|]: 3\n|    f+5\n|perf-profile.self.c.f\n|0.1  +1.0  1.1  |Warning:\n| / |Latency|_[k]|_[i]|..."
).split("|") + ["|"]
token = st.sampled_from(TOKENS)
SAMPLE_TEXTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(SAMPLES.glob("*.[tf]*"))}


@st.composite
def mutated(draw):
    """A sample with lines cut, doubled, moved, quoted, or with a piece of something else in it."""
    lines = draw(st.sampled_from(sorted(SAMPLE_TEXTS.values()))).split("\n")
    for _ in range(draw(st.integers(1, 4))):
        k, n = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, 40))
        how = draw(st.integers(0, 6))
        if how == 0:
            lines[k] = lines[k][:n] + lines[k][n + draw(st.integers(1, 30)) :]
        elif how == 1:
            lines[k] = lines[k][:n] + draw(token) + lines[k][n:]
        elif how == 2:
            lines.insert(draw(st.integers(0, len(lines))), lines[k])
        elif how == 3:
            del lines[k : k + draw(st.integers(1, 5))]
        elif how == 4:
            other = draw(st.sampled_from(sorted(SAMPLE_TEXTS.values()))).split("\n")
            lines[k:k] = other[n : n + 5]
        elif how == 5:
            lines = [f"> {line}" for line in lines]
        else:
            lines[k] = " ".join(lines[k].split())
        lines = lines or [""]
    return "\n".join(lines) + "\n"


def read_or_refuse(source, side=None):
    """What is read makes sense and compares with itself; what is refused is refused in a line that can be printed."""
    try:
        table = read_perf(source, side=side)
    except ValueError as error:
        why = str(error)
    else:
        return check_table(table)
    assert why == printable(why)
    assert len(why) < 700
    if "kernel test robot is two profiles" in why:
        read_or_refuse(source, "before")


def check_table(table):
    assert list(table.columns) == COLUMNS
    assert len(table)
    assert table["percent"].between(0, 100.0000001).all()
    assert (table["symbol"] != "").all()
    assert 0 <= table.attrs["lowest"] <= 100
    change = compare(table, table)
    assert change.matched["ratio"].eq(1).all()
    assert change.text() == "\n".join(map(printable, change.text().split("\n")))


@pytest.fixture(scope="module")
def any_file(tmp_path_factory):
    return tmp_path_factory.mktemp("any") / "file"


@pytest.mark.parametrize("budget", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_any_input_is_read_or_refused(any_file, capsys, budget):
    tried = {}

    def fuzz(kind, examples, strategy, check=read_or_refuse):
        @settings(quick, max_examples=examples * budget, suppress_health_check=list(HealthCheck))
        @given(strategy)
        def one(value):
            tried[kind] = tried.get(kind, 0) + 1
            check(value)

        one()

    def from_file(data):
        any_file.write_bytes(data)
        read_or_refuse(any_file)

    fuzz("texts", 60, st.text().map(lambda text: text + "\n"))
    fuzz("mixtures", 300, st.lists(token, max_size=25).map(lambda parts: "".join(parts) + "\n"))
    fuzz("mutated samples", 300, mutated())
    fuzz("files", 100, st.one_of(st.binary(), st.lists(token).map("".join).map(str.encode)), from_file)
    with capsys.disabled():
        print(f"\nperf text, inputs tried: {', '.join(f'{count:,} {kind}' for kind, count in tried.items())}", end=" ")
    assert sum(tried.values()) >= 600 * budget
