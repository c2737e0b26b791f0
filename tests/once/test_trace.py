"""The mechanism follows recordings of real kernels; a trace with one thing wrong in it is found out."""

import bz2
import contextlib
import gzip
import itertools
import lzma
import random
import re
import time

import numpy as np
import pytest

from figure_checks import check_picture, check_words
from memcg_lab import V4_13, V6_1, System, figures, mixed, op
from memcg_lab.__main__ import main
from memcg_lab.files import data_path
from memcg_lab.labs import TraceLab
from memcg_lab.labs.trace import columns
from memcg_lab.mechanism.records import UNCHARGE_SKMEM
from memcg_lab.mechanism.steps import (
    STEP_CONSUME_HIT,
    STEP_CONSUME_MISS,
    STEP_DRAIN,
    STEP_REFILL,
    STEP_TRY_ADD,
    STEP_TRY_UNDO,
)
from memcg_lab.traces import rows as kept
from memcg_lab.traces import what_if as replayed
from memcg_lab.traces.check import KNOWN, check_files, check_trace, digest, trace_policy, walk_trace
from memcg_lab.traces.ftrace import parsed_event
from memcg_lab.traces.rows import EVENTS, Causes, Row, Trace, blocks_of, csv_words
from memcg_lab.traces.text import read_rows
from memcg_lab.traces.what_if import chosen_policies, trace_ops, what_if

COLUMNS = "cpu,t_us,pid,softirq,ev,memcg,nr,cached,avail,cause"


def recording(name):
    return data_path(f"kernel_traces/{name}.csv.xz")


# --- the bundled recordings ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "cap", "events", "wrong"),
    [
        ("ab_pre", False, 2504, 0),
        ("ab_post", True, 3878, 0),
        ("t61b", True, 8447, 0),
        ("t612", True, 3774, 0),
        ("t61e", True, 4659, 1),
        ("oom", True, 2772, 0),
    ],
)
def test_recordings_are_predicted_event_by_event(name, cap, events, wrong):
    verdict = check_trace(read_rows(recording(name)), trace_policy("v6.1", cap=cap))
    assert (verdict.events, verdict.predicted) == (events, events - wrong)
    assert [verdict.count(kind) for kind in ("wrong", "missing", "extra")] == [wrong, 0, 0]


@pytest.mark.parametrize("name", ["t61b", "t612", "t61e", "ab_post", "oom"])
@pytest.mark.parametrize("change", [{"batch": 63}, {"batch": 65}, {"batch": 32}, {"cap": False}])
def test_another_rule_predicts_clearly_less(name, change):
    verdict = check_trace(read_rows(recording(name)), trace_policy("v6.1", **change))
    assert verdict.predicted < 0.985 * verdict.events
    assert not verdict.exact


def test_the_command_s_last_line_and_exit_status(capsys):
    assert check_files([recording("t61b")], "v6.1") == 0
    assert capsys.readouterr().out == "events 8447 predicted 8447 wrong 0 missing 0 extra 0\n"
    assert main(["trace", "check", str(recording("t61e")), "--policy", "v6.1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "line 68: wrong: the stock of CPU 1 holds 37 pages of memcg 1, not 36 of memcg 1" in lines[0]
    assert "a known exception; likely cause: a probe that an interrupt met again was missed" in lines[1]
    assert lines[-1] == "events 4659 predicted 4658 wrong 1 missing 0 extra 0"
    assert digest(recording("t61e")) in KNOWN


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trace", "check", "none.csv", "--policy", "v6.1"], "none.csv: no such file"),
        (["trace", "check", str(recording("t61e")), "--policy", "v9"], 'policy "v9" does not exist; there are v4.13'),
        (["trace", "check", str(recording("t61e")), "--policy", "v6.1", "--batch", "0"], "batch is 0"),
        (["trace", "what-if", str(recording("t61e")), "--policies", ","], "no policy is named"),
        (["trace", "what-if", str(recording("t61e")), "--policies", "v6.1", "--replace"], "say --figure too"),
        (["trace", "what-if", str(recording("t61e")), "--policies", "v6.1", "--figure", ""], "must end in .png"),
        (["trace", "what-if", str(recording("t61e")), "--policies", "v6.1,v6.1"], "two policies are called v6.1"),
        (["trace", "check", str(recording("t61e")), "--policy", "v4.13", "--no-cap"], "v4.13 has no cap"),
        (["trace", "check", str(recording("t61e")), "--policy", "v6.1", "--kallsyms", "x"], "leave kallsyms out"),
        (
            ["trace", "check", "/proc/self/mem", "--policy", "v6.1"],
            "/proc/self/mem: cannot be read (Input/output error)",
        ),
        (["trace", "what-if", str(recording("t61e")), "--policies", "v6.1", "--levels", "0"], "levels is 0"),
        (["trace", "what-if", str(recording("t61e")), "--policies", "v6.1", "--figure", "x.pdf"], "must end in .png"),
    ],
)
def test_what_the_command_cannot_do_is_said_with_status_2(capsys, arguments, message):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("memcg_lab trace: ")


# --- traces made by the mechanism itself -----------------------------------------------------------------------------
def made(policy, *, cpus=4, memcgs=(1, 2), ops=1500, limit=None, seed=1):
    """Rows that a kernel with this policy would record: four CPUs, two cgroups, and refusals if there is a limit."""
    system = System.siblings(len(memcgs), cpus=cpus, policy=policy, limits=limit and [-1, *[limit] * len(memcgs)])
    rows, t = [], itertools.count()

    def add(cpu, ev, memcg=-1, nr=-1, cached=-1, avail=-1, cause=""):
        rows.append(Row(len(rows) + 2, cpu, next(t), 100 + cpu, 0, ev, memcg, nr, cached, avail, cause))

    traffic = mixed(ops, cpus=cpus, memcgs=list(memcgs), mix={1: 5, 8: 2, 16: 2, 80: 1}, in_flight=200, seed=seed)
    for row in traffic:
        cpu, memcg, nr = int(row["cpu"]), int(row["memcg"]), int(row["nr"])
        gives_back = row["op"] == UNCHARGE_SKMEM
        add(cpu, "unc" if gives_back else "chg", memcg, nr)
        held = system.stock[cpu]
        one = op("uncharge_skmem" if gives_back else "charge_skmem", cpu=cpu, memcg=memcg, nr=nr)
        log = system.step_through(one).rows
        if gives_back:
            add(cpu, "refill", memcg, nr, max(held.memcg, 0), held.nr_pages, "skmem")
            drains_of(add, cpu, log, held, memcg)
        else:
            charge_of(add, cpu, log, held, memcg, nr, policy.batch)
    return rows


def drains_of(add, cpu, log, held, memcg):
    owner = held.memcg if held.nr_pages else memcg
    for step in log:
        if step["step"] == STEP_DRAIN:
            add(cpu, "pcunc", owner if owner != memcg and owner > 0 else memcg, int(step["before"]), cause="stock")
            owner = memcg


def charge_of(add, cpu, log, held, memcg, nr, batch):
    """The events of a charge from its steps; a refused one is tried twice and then forced, in softirq."""
    stock = [max(held.memcg, 0), held.nr_pages]
    add(cpu, "try", memcg, nr, cause="skmem")
    size, over = None, False
    for step in log:
        code, before, after = (int(step[name]) for name in ("step", "before", "after"))
        if over and code in (STEP_CONSUME_HIT, STEP_CONSUME_MISS, STEP_TRY_ADD):
            add(cpu, "try", memcg, nr, cause="skmem")  # the second attempt of a refused socket charge
            over = False
        if code in (STEP_CONSUME_HIT, STEP_CONSUME_MISS):
            add(cpu, "cons", memcg, nr, *stock)
            stock[1] = after
        elif code == STEP_TRY_ADD and after - before != size:
            size = after - before
            add(cpu, "pctry", memcg, size)
        elif code == STEP_TRY_UNDO:
            add(cpu, "pctryfail")
            size, over = None, size == nr
        elif code == STEP_REFILL:
            add(cpu, "refill", memcg, after - before, *stock, "surplus")
            drains_of(add, cpu, [s for s in log if s["step"] == STEP_DRAIN], held, memcg)
            stock = [memcg, after]


@pytest.mark.parametrize("limit", [None, 300])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_trace_of_four_cpus_and_two_cgroups_is_followed(seed, limit):
    rows = made(V6_1, seed=seed, limit=limit)
    verdict = check_trace(rows, V6_1)
    assert verdict.findings == []
    assert verdict.events > 1500
    assert ("pctryfail" in {row.ev for row in rows}) == bool(limit)


@pytest.mark.parametrize(
    ("ev", "change", "kind"),
    [
        ("cons", {"avail": 1}, "wrong"),
        ("refill", {"avail": 1}, "wrong"),
        ("refill", {"cached": 1}, "wrong"),
        ("pctry", {"nr": 1}, "wrong"),
        ("pcunc", {"nr": 1}, "wrong"),
        ("pcunc", None, "missing"),
        ("pctry", None, "missing"),
    ],
)
def test_one_thing_wrong_is_found(ev, change, kind):
    rows = made(V6_1)
    places = [k for k, row in enumerate(rows) if row.ev == ev]
    for place in places[len(places) // 4 :: max(1, len(places) // 6)]:
        spoilt = list(rows)
        if change is None:
            del spoilt[place]
        else:
            row = rows[place]
            spoilt[place] = row._replace(**{name: getattr(row, name) + by for name, by in change.items()})
        assert check_trace(spoilt, V6_1).count(kind) >= 1, place


@pytest.mark.parametrize("ev", ["pcunc", "pctry"])
def test_one_thing_too_many_is_found(ev):
    rows = made(V6_1)
    place = [k for k, row in enumerate(rows) if row.ev == ev][5]
    assert check_trace([*rows[: place + 1], rows[place], *rows[place + 1 :]], V6_1).count("extra") == 1


def test_an_interrupt_in_the_middle_of_a_charge_is_followed():
    def row(cpu, ev, *values, cause=""):
        names = {"cons": 4, "refill": 4, "try": 2, "pctry": 2}[ev]
        memcg, nr, cached, avail = (*values, -1, -1)[:4] if names == 2 else values
        return Row(1, cpu, 0, 7, 0, ev, memcg, nr, cached, avail, cause)

    rows = [
        row(0, "cons", 1, 1, 1, 0),  # the stock is seen for the first time, empty: a charge of 64 must follow
        row(0, "try", 1, 2),  # an interrupt charges in between
        row(0, "cons", 1, 2, 1, 0),
        row(0, "pctry", 1, 64),
        row(0, "refill", 1, 62, 1, 0, cause="surplus"),
        row(0, "pctry", 1, 64),  # and the interrupted task goes on
        row(0, "refill", 1, 63, 1, 62, cause="surplus"),
    ]
    verdict = check_trace(rows, V6_1)
    assert [finding.kind for finding in verdict.findings] == ["missing"]  # 125 pages: a drain the rows do not show
    assert "a drain of 125 pages of memcg 1" in verdict.findings[0].text


def test_a_trace_without_stocks_cannot_be_checked_but_replayed(tmp_path):
    path = tmp_path / "entries.csv"
    path.write_text(f"{COLUMNS}\n0,1,0,0,chg,1,3,,,\n0,2,0,0,try,1,3,,,skmem\n1,3,0,0,unc,1,3,,,\n")
    rows = read_rows(path)
    with pytest.raises(ValueError, match="this trace shows no stock"):
        check_trace(rows, V6_1)
    assert trace_ops(rows).counts == {
        "sockets charge": 1,
        "sockets give back": 1,
        "others charge": 0,
        "others give back": 0,
    }
    assert what_if(rows, [V6_1])[0]["charges"].tolist() == [1]


# --- what if ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["t61b", "t612", "t61e", "ab_post"])
def test_replayed_under_its_own_rule_a_trace_charges_as_often_as_recorded(name):
    rows = read_rows(recording(name))
    table, _ = what_if(rows, [V6_1])
    assert int(table["charges"][0]) == sum(row.ev == "pctry" for row in rows)
    drains = sum(row.ev == "pcunc" for row in rows)
    assert drains - 2 <= int(table["drains"][0]) <= drains  # a stock that was full before the recording began


def test_drift_never_exceeds_what_the_rules_allow():
    table, drift = what_if(read_rows(recording("t61b")), [V4_13, V6_1], levels=5)
    assert drift["v6.1"].max() == table["drift_max"][1] == 2 * 64  # looked at after every operation
    assert len(drift) == len(trace_ops(read_rows(recording("t61b"))).ops) + 1
    assert table["atomics"].tolist() == [5 * (c + d) for c, d in zip(table["charges"], table["drains"])]
    assert [p.name for p in chosen_policies("v4.13, v6.1", [16, 64])] == [
        "v4.13, batch 16",
        "v4.13, batch 64",
        "v6.1, batch 16",
        "v6.1",
    ]


def test_the_figure_of_a_what_if_is_written(tmp_path, capsys):
    for name in ("drift.svg", "drift.png"):
        path = tmp_path / name
        assert main(["trace", "what-if", str(recording("t612")), "--policies", "v6.1", "--figure", str(path)]) == 0
        assert path.stat().st_size > 3000
    assert "figure: " in capsys.readouterr().out
    table, drift = what_if(read_rows(recording("t612")), [V6_1])
    figure = figures.what_if(table, drift)
    assert "v6.1 takes 1,518 atomics" in figure.caption
    check_words(figure)
    check_picture(figure, "pages")
    with pytest.raises(ValueError, match="no policies"):
        figures.what_if(table[:0], drift)


# --- reading ---------------------------------------------------------------------------------------------------------
GOOD = "0,5,1,0,cons,1,2,1,60,"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("cpu,t\n", r"line 1: the columns are cpu,t; they must be cpu,t_us"),
        (f"{COLUMNS}\n0,5,1,0,cons\n", "line 2: .* has 5 columns; there must be 10"),
        (f"{COLUMNS}\n0,5,1,0,fly,1,2,,,\n", 'line 2: event "fly" is not known; there are chg'),
        (f"{COLUMNS}\n0,-5,1,0,chg,1,2,,,\n", 'line 2: t_us is "-5"; it must be a whole number from 0'),
        (f"{COLUMNS}\n70000,5,1,0,chg,1,2,,,\n", 'line 2: cpu is "70000"; it must be a whole number from 0 to 65,535'),
        (f"{COLUMNS}\n0,5,1,0,chg,1,x,,,\n", 'line 2: nr is "x"'),
        (f"{COLUMNS}\n0,5,1,0,chg,1,0,,,\n", "line 2: chg of 0 pages"),
        (f"{COLUMNS}\n0,5,1,0,cons,1,2,,,\n", "line 2: cons needs cached, avail"),
        (f"{COLUMNS}\n{GOOD}\n0,4,1,0,chg,1,2,,,\n", "line 3: time goes back on CPU 0, from 5 to 4 us"),
        (f"{COLUMNS}\n{GOOD}\nCPU:0 [LOST 12 EVENTS]\n", "line 3: events were lost"),
        ("hello world\n", "line 1: neither the csv of the kernel lab nor an event of its probes"),
    ],
)
def test_what_is_no_trace_is_named_by_line(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_rows(path)


def test_a_file_that_is_cut_off_or_binary_is_named(tmp_path):
    cut = tmp_path / "cut.csv.xz"
    cut.write_bytes(recording("t612").read_bytes()[:5000])
    with pytest.raises(ValueError, match="cannot be unpacked; is it cut off"):
        read_rows(cut)
    binary = tmp_path / "binary.txt"
    binary.write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match="not text"):
        read_rows(binary)
    with pytest.raises(ValueError, match="cannot be read"):
        read_rows(tmp_path)


def test_every_recording_reads_whole():
    for path in sorted(recording("t61b").parent.glob("*.csv.xz")):
        rows = read_rows(path)
        assert len(rows) == lzma.open(path).read().count(b"\n") - 1
        assert {row.ev for row in rows} <= set(EVENTS)


# The same five events as ftrace writes them and as perf script prints them; addresses and names are made up.
FTRACE = """# tracer: nop
 sender-42 [001] d..1. 7.000100: chg: (f+0x0/0x90) memcg=0xffff888 nr=2
 sender-42 [001] d..1. 7.000101: tryc: (try_charge_memcg+0x0/0x9) memcg=0xffff888 nr=2
 sender-42 [001] d..1. 7.000102: cons: (f+0x95/0x9) memcg=0xffff888 nr=2 cached=0xffff888 avail=9
 sender-42 [001] d.s1. 7.000103: unc: (f+0x0/0x90) memcg=0xffff888 nr=2
 sender-42 [001] d.s1. 7.000104: refill: (refill_stock+0x0/0x9) memcg=0xffff888 nr=2 caller=0xf00
 sender-42 [001] d.s1. 7.000105: refin: (f+0x1a/0x9) memcg=0xffff888 nr=2 cached=0xffff888 avail=7
"""


def test_ftrace_and_perf_script_of_the_same_events_are_the_same_rows(tmp_path):
    ftrace, perf = tmp_path / "trace.txt", tmp_path / "perf.txt"
    ftrace.write_text(FTRACE)
    lines = []
    for line in FTRACE.splitlines()[1:]:
        _, cpu, _, time, name, rest = line.split(None, 5)
        lines.append(f"sender    42 {cpu} {time} memcg_lab:{name} (ffffffff81234567) {rest.split(') ', 1)[1]}")
    perf.write_text("\n".join(lines) + "\n")
    rows, same = read_rows(ftrace), read_rows(perf)
    assert [row.ev for row in rows] == ["chg", "try", "cons", "unc", "refill"]
    assert [row.cause for row in rows] == ["", "skmem", "", "", "skmem"]
    assert [row[1:4] + row[5:] for row in rows] == [row[1:4] + row[5:] for row in same]
    assert check_trace(rows, V6_1).exact
    assert not any("ffff" in str(value) or "sender" in str(value) for row in rows for value in row)
    with_symbols = tmp_path / "kallsyms"
    with_symbols.write_text("0000000000000f00 T tcp_something\n")
    assert [row[1:] for row in read_rows(ftrace, with_symbols)] == [row[1:] for row in rows]


HEADER = """# tracer: nop
#
#                                _-------=> irqs-off
#                               / _------=> need-resched
#                              | / _-----=> need-resched-lazy
#                              || / _----=> hardirq/softirq
"""
EVENT = "          app-100     [000] d..1. 100.000010: chg: (f+0x0/0x90) memcg=0xffff888000001000 nr=1"
ELSE = "       bash-7       [001] d..2. 100.000011: sched_switch: prev_comm=bash LOST tryc ==> next_comm=x"


def read_text(tmp_path, *lines, name="trace.txt"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return read_rows(path)


@pytest.mark.parametrize(
    "line",
    [
        EVENT,
        EVENT.replace("app-100 ", "app-100   (    100)"),  # record-tgid
        EVENT.replace("app-100 ", "app-100   (-------)"),
        EVENT.replace("chg: (", "chg:                  ("),  # trace-cmd report
        EVENT.replace("chg: (", "memcg_lab:chg: ("),
        EVENT.replace("d..1. ", ""),  # without latency flags
        EVENT.replace("000010:", "000010123:"),  # nanoseconds
        EVENT.replace("app-100", "a b: c-d-100"),
        EVENT.replace("app", "<...>"),
        " app   100 [000]   100.000010: memcg_lab:chg: (ffffffff81) memcg=0xffff888000001000 nr=1",
        " app 100/100 [000] d..1.   100.000010123:   1  memcg_lab:chg: (ffffffff81) memcg=0xffff888000001000 nr=1",
    ],
)
def test_an_event_is_read_in_every_form_it_is_printed_in(tmp_path, line):
    rows = read_text(
        tmp_path, "cpus=2", "# a comment", "", line, ELSE, " => caller", "\tffffffff81000000 caller+0x1 (x)"
    )
    assert [row[1:9] for row in rows] == [(0, 0, 1, rows[0].softirq, "chg", 1, 1, -1)]
    assert rows[0].line == 4
    assert rows[0].softirq == (0 if "d..1." in line and "/100" not in line else -1)


@pytest.mark.parametrize(
    ("flags", "softirq"), [("d..s1..", 1), ("d.s1.", 1), ("dNLH1..", 1), ("d...1..", 0), ("d.h1.", 0)]
)
def test_softirq_is_found_where_the_lazy_column_moved_it(tmp_path, flags, softirq):
    assert read_text(tmp_path, HEADER + EVENT.replace("d..1.", flags))[0].softirq == softirq


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (EVENT[:-5], r'line 2: "memcg=0xffff888000001000" is not a list|line 2: the probe chg has no field nr'),
        (EVENT + "x", 'line 2: ".*nr=1x" is not a list of name=number'),
        (EVENT + " nr=2", "each name once"),
        (EVENT.split("(f")[0], "line 2: names our probe chg, but is not a whole line"),
        (EVENT.replace("100.000010", "100.0001"), "line 2: names our probe chg"),
        (EVENT.replace("[000]", ""), "line 2: names our probe chg"),
        (" app 100 100.000010: memcg_lab:chg: (ffffffff81) memcg=0x1 nr=1", "line 2: names our probe chg"),
        ("some text in between", 'line 2: "some text in between" is neither an event nor a comment'),
        ("\x1b]0;owned\x07", r'line 2: "\\x1b\]0;owned\\x07" is neither'),
        (EVENT.replace("[000]", "[70000]"), "cpu is 70000; it must be at most 65,535"),
        (EVENT.replace("nr=1", "nr=4294967295"), "nr is 4294967295"),
        ("CPU:0 [LOST 12 EVENTS]", "line 2: events were lost"),
        ("CPU:1 [LOST EVENTS]", "line 2: events were lost"),
        ("CPU:1 [12 EVENTS DROPPED]", "line 2: events were lost"),
        ("CPU:1 [EVENTS DROPPED]", "line 2: events were lost"),
        ("swapper 0 [001] 123.4: PERF_RECORD_LOST lost 5", "line 2: events were lost"),
        ("Processed 10 events and lost 4 chunks!", "line 2: events were lost"),
        ("overrun: 4", "line 2: events were lost"),
        ("  refill              1234               3", "line 2: events were lost"),
    ],
)
def test_a_line_that_is_no_whole_event_is_refused(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        read_text(tmp_path, EVENT, line, EVENT)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda rows: what_if(None, [V6_1]), "rows is None; it must be a list"),
        (lambda rows: what_if(["chg"], [V6_1]), r"rows\[0\] is 'chg'; it must be a Row"),
        (lambda rows: what_if(rows, []), "policies is empty; give at least one"),
        (lambda rows: what_if(rows, V6_1), "policies is Policy.* it must be a list"),
        (lambda rows: what_if(rows, ["v6.1"]), "the policy is 'v6.1'; it must be a Policy"),
        (lambda rows: check_trace(rows, "v6.1"), "the policy is 'v6.1'; it must be a Policy"),
        (lambda rows: read_rows(3), "the path is 3; give a text or a pathlib.Path"),
        (lambda rows: what_if([rows[0]._replace(ev="cgroup", nr=64), rows[0]], [V6_1]), "level 64; it must be 0 to 63"),
        (lambda rows: trace_policy("v6.1", cap="no"), "cap is 'no'; it must be True or False"),
    ],
)
def test_what_is_of_another_kind_is_refused_in_words(call, says):
    with pytest.raises(ValueError, match=says):
        call([Row(2, 0, 5, 1, 0, "chg", 1, 2, -1, -1, "")])


@pytest.mark.parametrize("letters", ["@" + " " * 50_000, " 1 [0]" * 20_000, "1.000001: " * 20_000, "chg" * 20_000])
def test_a_long_line_takes_linear_time(letters):
    for line in (letters, EVENT + letters, EVENT.replace("app", letters)):
        start = time.process_time()
        with contextlib.suppress(ValueError):
            parsed_event(1, line)
        assert time.process_time() - start < 2.5, letters[:9]  # quadratic ones take minutes


def test_overwritten_events_are_told(tmp_path):
    with pytest.warns(UserWarning, match="line 1: entries-in-buffer 3 of 5000 written: the oldest were overwritten"):
        read_text(tmp_path, "# entries-in-buffer/entries-written: 3/5000   #P:2", EVENT)
    read_text(tmp_path, "# entries-in-buffer/entries-written: 3/3   #P:2", EVENT)


def test_a_profile_of_the_probes_below_a_trace_is_read(tmp_path):
    assert len(read_text(tmp_path, EVENT, "  chg       1234      0", "  someone_elses_probe    12   9")) == 1


@pytest.mark.parametrize("line", ["Lost 12 events", "WARNING: Lost 1 events", "stdin: Lost 1,234 events"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_lost_is_seen_wherever_bpftrace_says_it(tmp_path, line, place):
    lines = [COLUMNS, "0,5,1,0,chg,1,2,,,"]
    with pytest.raises(ValueError, match=f"line {place + 1}: events were lost"):
        read_text(tmp_path, *lines[:place], line, *lines[place:], name="raw.csv")


def test_what_bpftrace_says_else_is_passed_over_and_its_rows_are_counted(tmp_path):
    lines = [
        "Attaching 6 probes...",
        COLUMNS,
        "0,5,1,0,chg,1,2,,,",
        "0,5,1,0,cgroup,1,2,2,,",
        "@over: 1",
        "@rows: 2",
        "^C",
    ]
    assert [(row.line, row.ev, row.nr) for row in read_text(tmp_path, *lines)] == [(3, "chg", 2), (4, "cgroup", 2)]
    with pytest.raises(ValueError, match="the script printed 2 rows, but 1 are here"):
        read_text(tmp_path, *lines[:3], *lines[4:])
    with pytest.raises(ValueError, match="the script printed 3 rows, but 2 are here"):  # sorted to the top
        read_text(tmp_path, COLUMNS, "@rows: 3", *lines[2:4])
    with pytest.raises(ValueError, match='line 5: "hello" has 1 column; there must be 10'):
        read_text(tmp_path, *lines[:4], "hello")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{COLUMNS}\n".encode("utf-16"), "not text in UTF-8 but in UTF-16"),
        (f"{COLUMNS}\n0,5,1,0,chg,1,2,,,\r0,5,1,0,chg,1,2,,,\n".encode(), "line 2: "),
        (f"{COLUMNS}\n0,5,1,0,chg,1,2,,,{'x' * 140_000}\n".encode(), "line 2: field larger than field limit"),
        (f"{COLUMNS}\n0,5,1,0,chg,1,2,,,{'x' * 3_000_000}".encode(), "line 2: is longer than"),
        (f"{COLUMNS}\n0,5,1,0,chg,1,{'9' * 5000},,,\n".encode(), 'line 2: nr is "999'),
        (f"{COLUMNS}\n0,5,1,0,chg,{2**53 + 1},1,,,\n".encode(), "line 2: memcg is"),
        (f"{COLUMNS}\n0,5,1,0,\x1b]0;owned\x07,1,1,,,\n".encode(), r"event \"\\x1b\]0;owned"),
        (f"{COLUMNS}\n0,5,1,0,chg,1,1,,,\x9b31m\n".encode(), r"cause is \"\\x9b31m"),
        (b"cpu,\x1b]0;owned\x07\n", r"columns are cpu,\\x1b"),
        (b"\0" * 100, "not text"),
        (b"\x28\xb5\x2f\xfd....", "packed with zstd"),
        (gzip.compress(b"\0" * 50_000_000), "not text"),  # a bomb is unpacked no further than it must be
        (gzip.compress(f"{COLUMNS}\n".encode())[:-6], "cannot be unpacked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # some content is long, or holds the time of day
)
def test_what_no_text_editor_would_write_is_refused_in_words(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as told:
        read_rows(path)
    assert str(told.value).isprintable()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, lambda data: data])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_packed_trace_and_other_line_ends_are_read(tmp_path, pack, ends):
    path = tmp_path / "any"
    path.write_bytes(pack(ends.join(["\ufeff" + COLUMNS, "0,5,1,0,chg,1,2,,,", '"0",6,1,0,unc,1,2,,,"a"']).encode()))
    assert [tuple(row) for row in read_rows(path)] == [
        (2, 0, 5, 1, 0, "chg", 1, 2, -1, -1, ""),
        (3, 0, 6, 1, 0, "unc", 1, 2, -1, -1, "a"),
    ]


def test_large_numbers_take_no_room(tmp_path):
    lines = ["65535,5,1,0,cons,9007199254740992,2,7,60,", "65535,6,1,0,chg,9007199254740992,2,,,"]
    rows = read_text(tmp_path, COLUMNS, *lines)
    assert check_trace(rows, V6_1).events == 0
    assert what_if(rows, [V6_1])[0]["charges"].tolist() == [1]
    many = [Row(k + 2, 0, k, 1, 0, "cons", k + 1, 1, 0, 0, "") for k in range(66_000)]
    with pytest.raises(ValueError, match=r"line 65535: one cgroup too many; a trace may name 65,533"):
        check_trace(many, V6_1)
    with pytest.raises(ValueError, match=r"line 65537: memcg 65,536 is one too many"):
        trace_ops([row._replace(ev="chg") for row in many])
    with pytest.raises(ValueError, match="line 2: CPU 65,535; 1,000 rows of 65,536 CPUs are too many"):
        walk_trace([rows[0]] * 1000, V6_1)


# --- what belongs together -------------------------------------------------------------------------------------------
def short(*rows):
    """Rows from ``cpu pid softirq ev memcg nr cause``."""
    found = []
    for k, words in enumerate(rows):
        cpu, pid, softirq, ev, memcg, nr, *cause = words.split()
        found.append(Row(k + 2, int(cpu), k, int(pid), int(softirq), ev, int(memcg), int(nr), -1, -1, "".join(cause)))
    return found


def test_a_charge_without_its_try_is_found():
    pair = ["0 0 0 chg 1 2", "0 0 0 try 1 2 skmem"]
    assert trace_ops(short(*pair, *pair, "0 0 0 chg 1 3")).counts["sockets charge"] == 3  # the end cuts the last one
    assert trace_ops(short("0 0 0 chg 1 3", "0 0 0 chg 1 3")).counts["sockets charge"] == 2  # no try can be seen
    nested = short("0 0 0 chg 1 2", "0 0 1 chg 1 3", "0 0 1 try 1 3 skmem", "0 0 0 try 1 2 skmem", *pair)
    moved = short("0 7 0 chg 1 2", "1 8 0 chg 1 3", "1 7 0 try 1 2 skmem", "0 8 0 try 1 3 skmem", *pair)
    for rows in (nested, moved):
        assert trace_ops(rows).counts["sockets charge"] == 3
    lost = short(*pair, "0 0 0 chg 1 3", *pair)
    with pytest.raises(
        ValueError, match="line 4: the try of a charge of 3 pages of memcg 1 on CPU 0 is not in the trace"
    ):
        trace_ops(lost)
    with pytest.raises(ValueError, match="line 4: the try of a charge"):
        what_if(Trace(Row, iter([next(blocks_of([row], Causes())) for row in lost]), ["", "skmem"]), [V6_1])
    rows = made(V6_1)
    place = [k for k, row in enumerate(rows) if row.ev == "try"][100]
    verdict = check_trace(rows[:place] + rows[place + 1 :], V6_1)
    assert [finding.kind for finding in verdict.findings if "the try of a charge" in finding.text] == ["missing"]


def test_the_rest_of_a_batch_that_a_script_gave_to_somebody_else_is_refused():
    told = "0 0 0 try 1 1 other", "0 0 1 chg 1 2", "0 0 {0} try 1 2 skmem", "0 0 0 refill 1 62 surplus"
    for softirq in "01":  # older scripts did not say the context of a try
        rows = [row.format(softirq) for row in told]
        assert trace_ops(short(*rows, "0 0 0 refill 1 63 surplus")).counts["others give back"] == 0
        assert trace_ops(short(*rows, "0 0 0 refill 1 5 other")).counts["others give back"] == 1
        assert trace_ops(short(*rows, "0 0 0 try 1 9 other", "0 0 0 refill 1 63 other")).counts["others give back"] == 1
    rows = short(*told[:2], told[2].format(0), "0 0 0 refill 1 63 other")
    with pytest.raises(ValueError, match=r"line 5: 63 pages of memcg 1 .* the charge of 1 in line 2 .*\(line 4\)"):
        trace_ops(rows)


def test_a_trace_that_says_levels_needs_none(tmp_path, capsys):
    lines = ["0,1,0,0,cgroup,1,4,2,,", "0,2,0,0,chg,1,3,,,", "0,3,0,0,chg,5,3,,,"]
    rows = read_text(tmp_path, COLUMNS, *lines, name="t.csv")
    assert what_if(rows, [V6_1])[0]["atomics"].tolist() == [
        5 + 3 + 5
    ]  # two charges, and the first one's stock is drained
    assert what_if(rows, [V6_1], levels=2)[0]["atomics"].tolist() == [3 * 2]
    assert main(["trace", "what-if", str(tmp_path / "t.csv"), "--policies", "v6.1"]) == 0
    assert "5 levels, as the trace says; 3 levels (--levels says others) for 1 cgroup" in capsys.readouterr().out


# --- in blocks -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 2, 7])
def test_where_a_block_ends_changes_nothing(size, monkeypatch):
    rows = made(V6_1, limit=300, ops=400)
    spoilt = [
        row._replace(avail=row.avail + 1) if k % 97 == 0 and row.avail >= 0 else row for k, row in enumerate(rows)
    ]
    spoilt = [row for k, row in enumerate(spoilt) if k % 211]
    whole = [check_trace(some, V6_1) for some in (rows, spoilt)]
    table = what_if(rows, [V6_1, V4_13])
    monkeypatch.setattr(kept, "BLOCK_ROWS", size)
    monkeypatch.setattr(replayed, "BLOCK_ROWS", size)
    for some, verdict in zip((rows, spoilt), whole):
        again = check_trace(some, V6_1)
        assert (str(again), again.findings) == (str(verdict), verdict.findings)
    for one, other in zip(table, what_if(rows, [V6_1, V4_13])):
        assert one.equals(other)


def test_more_findings_than_are_kept_are_counted(monkeypatch, capsys):
    monkeypatch.setattr("memcg_lab.traces.check.KEPT", 10)
    assert check_files([recording("t612")], "v6.1", batch=32) == 1
    assert " more\n" in capsys.readouterr().out


# --- text that nobody wrote ------------------------------------------------------------------------------------------
def mutated(draw, text):
    """Text with a few things changed, as a broken disk, an editor or a shell would."""
    data = bytearray(text.encode())
    for _ in range(draw.randrange(1, 5)):
        place, kind = draw.randrange(len(data)), draw.randrange(6)
        if kind == 0:
            data[place] = draw.randrange(256)
        elif kind == 1:
            del data[place : place + draw.randrange(1, 40)]
        elif kind == 2:
            data[place:place] = draw.choice(PIECES)
        elif kind == 3:
            other = draw.randrange(len(data))
            data[place:place] = data[other : other + draw.randrange(1, 80)]
        elif kind == 4:
            data[place:] = b""
        else:
            lines = data.split(b"\n")
            draw.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        data = data or bytearray(b"x")
    return bytes(data)


PIECES = [
    b"\r",
    b"\0",
    b'"',
    b",",
    b"\x1b[2J",
    b"\xff\xfe",
    b"9" * 30,
    b"-1",
    b"1e5",
    b"0x",
    b" ",
    b"\n\n",
    b"=",
    b"[LOST]",
]
PIECES += [b"Lost 5 events\n", b"nan", b"memcg=0x", b": ", b"#", b"\xe2\x80\xae", b"(" * 50, b" " * 500, b"@rows: 7\n"]


def seeds():
    """A text of each form."""
    rows = made(V6_1, ops=30, cpus=2)
    table = "\n".join([COLUMNS, *(",".join(map(str, csv_words(row))) for row in rows)]) + "\n"
    script = "\n".join(
        [COLUMNS, "0,1,0,0,cgroup,1,2,0,,", "0,5,1,1,chg,1,2,,,", "0,5,1,1,try,1,2,,,skmem", "@rows: 3\n"]
    )
    perf = [
        f" a 42 [{k}] 7.00010{k}: memcg_lab:{name} (fff8) memcg=0x8 nr=2" for k, name in enumerate(("chg:", "tryc:"))
    ]
    return {"csv": table, "ftrace": HEADER + FTRACE, "perf": "\n".join(perf) + "\n", "bpftrace": script}


@pytest.mark.parametrize("form", ["csv", "ftrace", "perf", "bpftrace"])
@pytest.mark.parametrize("budget", [150, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:.*overwritten")
def test_a_mutated_trace_is_read_or_refused_in_words(tmp_path, form, budget, capsys):
    draw, path = random.Random(f"{form} {budget}"), tmp_path / "mutated"
    told, also = [], []
    text = seeds()[form]
    for _ in range(budget):
        path.write_bytes(mutated(draw, text))
        try:
            rows = read_rows(path)
        except ValueError as error:
            told.append(str(error))
            continue
        for use in (trace_ops, lambda rows: check_trace(rows, V6_1)):
            try:
                use(rows)
            except ValueError as error:
                also.append(str(error))
    refused = len(told)
    assert all(map(str.isprintable, told + also))
    with capsys.disabled():
        print(f"\n{form}: {budget:,} mutated traces, {refused:,} refused", end=" ")
    assert 0 < refused < budget


# --- the lab ---------------------------------------------------------------------------------------------------------
def test_walking_shows_what_the_recording_shows():
    rows = read_rows(recording("ab_post"))
    stock, counter, predictions = walk_trace(rows, V6_1)
    for row, states, predicted in zip(rows, stock, predictions):
        if row.ev in ("cons", "refill", "drain") and predicted is not None:
            assert predicted == (max(row.cached, 0), row.avail)
        assert states[row.cpu] <= 64 or row.ev == "refill"  # until the next row gives them back
    in_use = counter - np.maximum(stock, 0).sum(axis=1)
    emptied = [k for k, row in enumerate(rows) if row.ev == "pcunc" and row.cause == "stock" and k > 100]
    assert len(emptied) > 200
    assert all(in_use[k] == in_use[k - 1] for k in emptied)
    assert counter[-1] == sum(r.nr for r in rows if r.ev == "pctry") - sum(r.nr for r in rows if r.ev == "pcunc")


@pytest.mark.parametrize("name", TraceLab.recordings)
def test_the_trace_lab_walks_every_recording_to_both_ends(name):
    lab = TraceLab(recording=name, position=0)
    assert lab.message == "Start of the recording: 2,000 events follow."
    lab.set(position=2000)
    assert lab.message.startswith("Event 2,000 of 2,000")
    drains = [k for k, code in enumerate(columns(name)["what"]) if columns(name)["told"][code]["drain"]]
    lab.set(position=drains[0] + 1 if drains else 500)
    assert not drains or "page_counter_uncharge" in lab.message
    lab.set(position=500)
    assert len(lab.table()) == 7
    check_words(lab.figure())
    check_picture(lab.figure(), "pages")


def test_sentence_picture_and_axis_of_the_trace_lab_agree():
    lab = TraceLab(position=1000)
    told = re.search(
        r"(\d+) pages in stocks; the counter is (\d+) pages above its lowest of events 951 to 1,050", lab.message
    )
    figure = lab.figure()
    axes = figure.figure.axes[0]
    assert axes.get_xlim() == (951, 1050)
    assert axes.get_xlabel() == "event of the recording"
    lines = dict(zip(lab.lines(lab.result)[0], axes.lines))
    for name, pages in zip(("drift, all stocks", "counter, above its lowest"), told.groups()):
        assert lines[name].get_ydata()[1000 - 951] == int(pages)
        assert f"{name} {max(lines[name].get_ydata()):,}" in figure.sentence


def test_the_lab_says_where_the_rules_were_wrong():
    lab = TraceLab(recording="6.1: sender and receiver on one CPU", position=67)
    assert "held 37 pages of cgroup 1; predicted were 36 pages of cgroup 1" in lab.message
    with pytest.raises(ValueError, match="nothing to draw"):
        figures.trace_window({}, 0, 0)


def test_v6_1_keeps_one_reference_for_each_stock():
    system = System.siblings(2, cpus=2, policy=V6_1)
    system.charge_skmem(cpu=0, memcg=1, nr_pages=1)
    system.charge_skmem(cpu=1, memcg=1, nr_pages=1)
    assert system.snapshot()["css"] == [0, 2, 0]
    system.charge_skmem(cpu=1, memcg=2, nr_pages=1)
    assert system.snapshot()["css"] == [0, 1, 1]
    assert [i for i in system.invariants() if not i.holds] == []
    system.replay(mixed(3000, cpus=2, memcgs=[1, 2], seed=4))
    assert [i for i in system.invariants() if not i.holds] == []
    assert np.max([slot.nr_pages for slot in system.stock]) <= 64
