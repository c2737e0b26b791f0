"""The mechanism follows recordings of real kernels; a trace with one thing wrong in it is found out."""

import itertools
import lzma

import numpy as np
import pytest

from figure_checks import check_picture, check_words
from memcg_lab import V4_13, V6_1, System, figures, mixed, op
from memcg_lab.__main__ import main
from memcg_lab.files import data_path
from memcg_lab.labs import TraceLab
from memcg_lab.mechanism.records import UNCHARGE_SKMEM
from memcg_lab.mechanism.steps import (
    STEP_CONSUME_HIT,
    STEP_CONSUME_MISS,
    STEP_DRAIN,
    STEP_REFILL,
    STEP_TRY_ADD,
    STEP_TRY_UNDO,
)
from memcg_lab.traces.check import KNOWN, check_files, check_trace, digest, trace_policy, walk_trace
from memcg_lab.traces.text import EVENTS, Row, read_rows
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


def test_slack_never_exceeds_what_the_rules_allow():
    table, slack = what_if(read_rows(recording("t61b")), [V4_13, V6_1], levels=5)
    assert slack["v6.1"].max() == table["slack_max"][1] == 2 * 64  # looked at after every operation
    assert len(slack) == len(trace_ops(read_rows(recording("t61b"))).ops) + 1
    assert table["atomics"].tolist() == [5 * (c + d) for c, d in zip(table["charges"], table["drains"])]
    assert [p.name for p in chosen_policies("v4.13, v6.1", [16, 64])] == [
        "v4.13, batch 16",
        "v4.13, batch 64",
        "v6.1, batch 16",
        "v6.1",
    ]


def test_the_figure_of_a_what_if_is_written(tmp_path, capsys):
    for name in ("slack.svg", "slack.png"):
        path = tmp_path / name
        assert main(["trace", "what-if", str(recording("t612")), "--policies", "v6.1", "--figure", str(path)]) == 0
        assert path.stat().st_size > 3000
    assert "figure: " in capsys.readouterr().out
    table, slack = what_if(read_rows(recording("t612")), [V6_1])
    figure = figures.what_if(table, slack)
    assert "v6.1 takes 1,518 atomics" in figure.caption
    check_words(figure)
    check_picture(figure, "pages")
    with pytest.raises(ValueError, match="no policies"):
        figures.what_if(table[:0], slack)


# --- reading ---------------------------------------------------------------------------------------------------------
GOOD = "0,5,1,0,cons,1,2,1,60,"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("cpu,t\n", r"line 1: the columns are cpu,t; they must be cpu,t_us"),
        (f"{COLUMNS}\n0,5,1,0,cons\n", "line 2: 5 columns; there must be 10"),
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
    assert lab.message.startswith("Start of the recording")
    lab.last.click()
    assert lab.message.startswith("Event 2,000 of 2,000")
    lab.first.click()
    lab.next_landmark.click()
    assert "page_counter_uncharge" in lab.message or "no stock is drained" in lab.message
    lab.position.value = 500
    assert len(lab.table()) == 7
    assert "<svg" in lab.picture.value
    check_words(lab.figure())
    check_picture(lab.figure(), "pages")


def test_the_lab_says_where_the_rules_were_wrong():
    lab = TraceLab(recording="6.1: sender and receiver on one CPU", position=67)
    assert "holds 37 pages of cgroup 1; predicted were 36 pages of cgroup 1" in lab.message
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
