"""A figure says in words and numbers what it shows, looks the same each time, and refuses what it cannot draw."""

import hashlib
import html
import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from figure_checks import check_picture, check_words
from memcg_lab import CAP_ONLY, UNCHARGE_ONLY, V4_13, V4_14, System, bursts, figures, mixed, op, producer_consumer
from memcg_lab.figures import base
from memcg_lab.files import data_path
from memcg_lab.machine import predict_rows
from memcg_lab.perf import read_perf
from two_slots import TWO_SLOTS, three_take_turns

POLICIES = {"before": V4_13, "after": V4_14, "cap hunk alone": CAP_ONLY, "uncharge hunk alone": UNCHARGE_ONLY}


@pytest.fixture(scope="module")
def ops():
    return producer_consumer(200, memcg=2)


@pytest.fixture(scope="module")
def runs(ops):
    return {label: figures.record(System.chain(2, cpus=2, policy=p), ops) for label, p in POLICIES.items()}


@pytest.fixture(scope="module")
def systems(ops):
    pair = [System.chain(2, cpus=2, policy=p) for p in (V4_13, V4_14)]
    for system in pair:
        system.replay(ops)
    return pair


DEPTHS = [1, 2, 3, 4, 5]
CPUS = [1, 2, 4, 8, 16, 32, 64]
MARKED = ["page_counter_cancel", "__sk_mem_reduce_allocated", "tcp_delack_timer_handler"]


def cost_by_depth(policy):
    return [System.chain(d, cpus=2, policy=policy).replay(producer_consumer(200, memcg=d)).atomics for d in DEPTHS]


@pytest.fixture(scope="module")
def profile():
    return read_perf(data_path("perf/before.txt"))


@pytest.fixture(scope="module")
def every(runs, systems, profile):
    sizes = range(1, 65)
    costs = [figures.giving_back(p, sizes) for p in (V4_13, V4_14)]
    return {
        "atomics_by_level": figures.atomics_by_level(*systems),
        "atomics_over_ops": figures.atomics_over_ops(runs),
        "counter_and_stat": figures.counter_and_stat(runs["before"], runs["after"]),
        "atomics_per_page": figures.atomics_per_page(sizes, *costs),
        "stocks_over_ops": figures.stocks_over_ops({k: runs[k] for k in ("uncharge hunk alone", "after")}, bound=64),
        "pages_over_ops": figures.pages_over_ops(
            {"count": [0, 40, 80, 80], "watermark": [0, 40, 80, 120]}, "counted", 100, "limit", cursor=3
        ),
        "atomics_by_depth": figures.atomics_by_depth(DEPTHS, cost_by_depth(V4_13), cost_by_depth(V4_14)),
        "drift_bound": figures.drift_bound(CPUS, {f"depth {d}": [32 * n for n in CPUS] for d in (1, 4)}, batch=32),
        "profile_bars": figures.profile_bars(profile, marked=MARKED),
    }


NAMES = [
    "atomics_by_level",
    "atomics_over_ops",
    "counter_and_stat",
    "atomics_per_page",
    "stocks_over_ops",
    "pages_over_ops",
    "atomics_by_depth",
    "drift_bound",
    "profile_bars",
]


# --- every figure


@pytest.mark.parametrize("name", NAMES)
def test_words_and_picture_have_their_form(every, name):
    check_words(every[name])
    check_picture(every[name], "atomics|pages|percent")


@pytest.mark.parametrize("name", NAMES)
def test_text_is_fixed_and_complete(every, name):
    figure = every[name]
    data = figure._repr_mimebundle_()
    assert data["text/plain"] == f"Figure: {figure.caption}\nIn words: {figure.sentence}"
    assert "0x" not in data["text/plain"]
    assert f'<img alt="{html.escape(figure.sentence)}" src="data:image/png;base64,' in data["text/html"]
    assert f"<figcaption>{html.escape(figure.caption)}</figcaption>" in data["text/html"]


@pytest.mark.parametrize("name", NAMES)
def test_the_table_says_what_its_headers_head(every, name):
    table, shown = every[name].table, every[name].to_html()
    assert shown.count('<th scope="col"') == 1 + len(table.columns)
    assert shown.count('<th scope="row"') == len(table)
    assert "<details><summary>The numbers</summary>" in shown


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_says_nothing_of_who_made_it(every, name):
    assert not any(stamp in every[name].png() for stamp in (b"Software", b"Creation", b"tEXt", b"tIME"))


def test_a_picture_is_the_same_in_another_process():
    draw = 'figures.atomics_over_ops({"before": range(0, 90, 3), "after": range(30), "cap": [7] * 30}).png()'
    code = f"import hashlib\nfrom memcg_lab import figures\nprint(hashlib.sha256({draw}).hexdigest())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    picture = figures.atomics_over_ops({"before": range(0, 90, 3), "after": range(30), "cap": [7] * 30}).png()
    assert done.stdout.strip() == hashlib.sha256(picture).hexdigest()


def test_drawing_changes_no_global_setting(systems, runs):
    before = dict(matplotlib.rcParams)
    figures.atomics_by_level(*systems).png()
    with pytest.raises(ValueError, match="runs"):
        figures.atomics_over_ops({})
    assert dict(matplotlib.rcParams) == before


def test_figures_do_without_pyplot():
    code = "from memcg_lab import figures\nimport sys\nprint('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_a_readers_own_settings_do_not_change_the_picture(systems):
    wanted = figures.atomics_by_level(*systems).png()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "figure.dpi": 50}):
        assert figures.atomics_by_level(*systems).png() == wanted


def test_text_in_html_is_escaped(runs):
    figure = figures.atomics_over_ops({"<b>&": runs["before"]})
    assert "<b>&" not in figure.to_html()
    assert "&lt;b&gt;&amp;" in figure.to_html()


# --- never colour alone


def test_before_and_after_differ_without_colour():
    before, after = base.LOOKS["before"], base.LOOKS["after"]
    assert before.color == "#D55E00"
    assert after.color == "#0072B2"
    assert before.linestyle != after.linestyle
    assert before.marker != after.marker
    assert before.hatch
    assert not after.hatch


def test_all_lines_differ_without_colour():
    looks = base.looks(["before", "after", "a", "b", "c"]).values()
    assert len({(str(look.linestyle)) for look in looks}) == 5
    assert len({look.marker for look in looks}) == 5


def test_the_pair_keeps_its_looks_under_every_name():
    for labels in (["v4.14", "v4.13"], ["after (v4.14)", "before, depth 2"]):
        after, before = base.looks(labels).values()
        assert (after, before) == (base.LOOKS["after"], base.LOOKS["before"])


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("look", [*base.LOOKS.values(), *base.FURTHER])
def test_every_line_stands_out_from_white(look):
    assert 1.05 / (luminance(look.color) + 0.05) >= 3


def test_bars_are_hatched_before_and_plain_after(every):
    before, after = every["atomics_by_level"].figure.axes[0].containers[:2]
    assert {bar.get_hatch() for bar in before} == {"///"}
    assert not any(bar.get_hatch() for bar in after)


# --- the numbers


def test_the_bars_are_the_systems_counts(every, systems):
    table = every["atomics_by_level"].table
    for name, system in zip(("before", "after"), systems, strict=True):
        assert table[name].tolist() == system.atomics_by_memcg()[[2, 1, 0]].tolist()
        assert f"{table[name].sum():,}" in every["atomics_by_level"].caption
        assert f"{table[name].iloc[-1]:,}" in every["atomics_by_level"].sentence


def test_a_level_chart_of_siblings_takes_the_busiest_leaf():
    pair = [System.siblings(3, cpus=1, policy=p) for p in (V4_13, V4_14)]
    for system in pair:
        system.replay(producer_consumer(40, memcg=2, uncharge_cpu=0))
    assert figures.atomics_by_level(*pair).table["memcg"].tolist() == [2, 0]
    assert figures.atomics_by_level(*pair, leaf=3).table["before"].iloc[0] == 0


def test_lines_end_at_the_last_row_of_the_table(every, runs):
    table = every["atomics_over_ops"].table
    for label, run in runs.items():
        assert table[label].iloc[-1] == run["atomics"].iloc[-1]
        assert f"{label} {table[label].iloc[-1]:,}" in every["atomics_over_ops"].caption
    assert table.index[-1] == 400


def test_gap_and_peak_are_in_the_table(every, runs):
    figure = every["counter_and_stat"]
    for name in ("before", "after"):
        gap = int((runs[name]["usage"] - runs[name]["sock"]).max())
        assert figure.table.loc["peak", f"gap, {name}"] == gap
        assert str(gap) in figure.caption


def test_the_peak_of_the_stocks_is_in_the_table(every, runs):
    figure = every["stocks_over_ops"]
    assert figure.table.loc["peak", "uncharge hunk alone"] == runs["uncharge hunk alone"]["in_stocks"].max()
    assert f"{figure.table.loc['peak', 'uncharge hunk alone']:,}" in figure.caption


def test_the_break_even_is_where_the_table_stops_saving(every):
    table = every["atomics_per_page"].table
    break_even = int(table.index[~table["saved"]][0])
    assert f"from {break_even} pages a call on it saves nothing" in every["atomics_per_page"].caption
    assert break_even == V4_14.batch + 1
    assert not table["saved"].loc[break_even:].any()


# --- depth, CPUs and profiles


def test_the_lines_over_depth_are_the_runs(every):
    figure = every["atomics_by_depth"]
    assert figure.table["before"].tolist() == [207 * (d + 1) for d in DEPTHS]
    assert figure.table["after"].tolist() == cost_by_depth(V4_14)
    assert figure.caption == (
        "From depth 1 to depth 5 the same traffic goes from 414 to 1,242 atomics before the patch, and from 26 to 78 "
        "after it: each level adds 207 before, 13 after."
    )


def test_what_is_not_straight_has_no_slope():
    assert "each level adds" not in figures.atomics_by_depth([1, 2, 4], [1, 2, 9], [1, 2, 4]).caption
    assert "each level adds 2 before, 0 after." in figures.atomics_by_depth([1, 2, 4], [2, 4, 8], [0, 0, 0]).caption


def test_lines_that_coincide_are_told_apart_and_said_to_coincide(every):
    figure = every["drift_bound"]
    assert "Depth 1 and depth 4 coincide, and lie on the line CPUs × 32" in figure.caption
    assert "depth 1 and depth 4 coincide" in figure.sentence
    lines = [line for line in figure.figure.axes[0].lines if line.get_linestyle() != "None"]
    marks = [line for line in figure.figure.axes[0].lines if line.get_linestyle() == "None"]
    assert len({line.get_linewidth() for line in lines}) == 3  # two depths and the bound
    assert len({(mark.get_marker(), mark.get_markersize()) for mark in marks}) == 2
    assert figure.table["CPUs × 32"].tolist() == [32 * n for n in CPUS]
    assert f"{figure.table['depth 4'].iloc[-1]:,} pages" in figure.caption


def test_a_figure_of_two_slots_shows_the_pages_of_both():
    run = figures.record(System.siblings(3, cpus=2, policy=TWO_SLOTS), three_take_turns(60), memcg=0)
    figure = figures.stocks_over_ops({"two slots": run}, bound=2 * 2 * 32)
    assert 32 < run["in_stocks"].max() <= 128  # more than one slot could hold
    drawn = max(max(line.get_ydata()) for line in figure.figure.axes[0].lines if len(line.get_ydata()) == len(run))
    assert drawn == run["in_stocks"].max()


def test_the_bound_of_several_slots_counts_each():
    figure = figures.drift_bound([1, 4], {"seven slots": [200, 896]}, batch=32, slots=7)
    assert figure.table["CPUs × 7 slots × 32"].tolist() == [224, 896]
    assert figure.caption.endswith("Seven slots ends at 896, never above the line CPUs × 7 slots × 32.")
    assert "CPUs × 7 slots × 32: 896" in [label.get_text() for label in figure.figure.axes[0].texts]


def test_lines_off_the_bound_say_where_they_end():
    worst = {"v4.13": [31, 62], "v4.14": [32, 64], "no cap": [90, 200], "no cap, deeper": [90, 200]}
    caption = figures.drift_bound([1, 2], worst, 32).caption
    assert "v4.13 ends at 62, never above the line CPUs × 32" in caption
    assert "v4.14 lies on the line" in caption
    assert "no cap and no cap, deeper coincide, and end at 200, above the line" in caption
    assert "up to 200 pages ahead" in caption


def test_marked_bars_are_hatched_and_named_the_others_plain(every, profile):
    axes = every["profile_bars"].figure.axes[0]
    marked = profile["symbol"].isin(MARKED).tolist()
    assert [bool(bar.get_hatch()) for bar in axes.patches] == marked
    assert ["marked" in label.get_text() for label in axes.texts] == marked
    assert len({bar.get_facecolor() for bar, filled in zip(axes.patches, marked, strict=True) if not filled}) == 1


def test_the_caption_of_a_profile_is_the_sum_of_the_marked(every, profile):
    table = every["profile_bars"].table
    assert table["percent"].tolist() == profile["percent"].tolist()
    total = table["percent"][table["marked"]].sum()
    assert every["profile_bars"].caption == f"3 of 16 rows are marked: {total:.2f} % of all samples."


def test_every_row_of_one_name_is_marked(profile):
    figure = figures.profile_bars(profile, marked=["< workload >", 0])
    assert figure.caption.startswith("3 of 16 rows are marked: 3.56 %")
    assert "none is marked" in figures.profile_bars(profile).caption
    assert "and 12 more." in figures.profile_bars(profile, marked=range(16)).sentence


def test_a_long_profile_is_cut_and_says_so():
    long = pd.DataFrame(
        {"percent": np.full(100, 0.5), "symbol": [f"a_very_long_name_of_a_symbol_{k}" * 3 for k in range(100)]}
    )
    figure = figures.profile_bars(long, marked=[99])
    assert len(figure.figure.axes[0].patches) == 30
    assert figure.caption == "1 of 100 rows is marked: 0.50 % of all samples. The first 30 are drawn."
    assert len(figure.table) == 100


# --- record


def slow_record(system, ops, memcg):
    """What ``record`` gives, one operation at a time."""
    system = system.copy()
    start = system.work().atomics
    inside = [m for m in range(len(system.parents)) if memcg in path(system.parents, m)]

    def row():
        held = [stock.nr_pages for stock in system.stock]
        usage, sock = system.usage[memcg], system.sock[inside].sum()
        return [usage, sock, sum(held), max(held), system.work().atomics - start]

    rows = [row()]
    for k in range(len(ops)):
        system.replay(ops[k : k + 1])
        rows.append(row())
    return np.array(rows)


def path(parents, m):
    while m >= 0:
        yield m
        m = parents[m]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("memcg", [0, 1, 3])
def test_a_record_is_what_single_operations_give(policy, memcg):
    system = System([-1, 0, 1, 1], cpus=3, policy=policy)
    stream = mixed(400, cpus=3, memcgs=(2, 3), in_flight=30, seed=7)
    system.replay(stream[:100])  # a record may start anywhere
    before = system.snapshot()
    run = figures.record(system, stream[100:], memcg=memcg)
    assert (run.to_numpy() == slow_record(system, stream[100:], memcg)).all()
    assert system.snapshot() == before


def test_a_record_watches_the_cgroup_that_is_charged():
    run = figures.record(System.chain(2, cpus=1), op("charge_skmem", cpu=0, memcg=2, nr=1))
    assert run.attrs["memcg"] == 2


def test_a_record_of_a_limit_counts_its_exchange():
    ops = np.concatenate([op("set_max", cpu=0, memcg=1, nr=5), op("charge_skmem", cpu=0, memcg=1, nr=9)])
    system = System.chain(1, cpus=1)
    assert figures.record(system, ops)["atomics"].iloc[-1] == system.replay(ops).atomics


def test_giving_back_costs_what_the_arithmetic_says():
    sizes = np.arange(1, 65)
    levels, batch = 3, 32
    assert figures.giving_back(V4_13, sizes) == pytest.approx(levels / sizes)
    assert figures.giving_back(V4_14, sizes) == pytest.approx(levels / (sizes * (batch // sizes + 1)))
    assert figures.giving_back(UNCHARGE_ONLY, [1, 64]).tolist() == [0, 0]


# --- what is refused


def refused():
    one = System.chain(1, cpus=1)
    other = System.chain(2, cpus=1)
    charged = System.chain(1, cpus=1)
    charged.charge_skmem(cpu=0, memcg=1, nr_pages=2)
    run = figures.record(one, producer_consumer(4, uncharge_cpu=0))
    longer = figures.record(one, producer_consumer(5, uncharge_cpu=0))
    differs = figures.record(one, bursts(1, burst=4, uncharge_cpu=0))
    draw = figures
    return {
        "not a system": (lambda: draw.atomics_by_level(1, one), "before is an int; it must be a System"),
        "two trees": (lambda: draw.atomics_by_level(one, other), "different trees"),
        "other traffic": (lambda: draw.atomics_by_level(one, charged), "memcg 1 has 0 socket pages before and 2"),
        "no leaf": (lambda: draw.atomics_by_level(one, one, leaf=2), "this tree has memcgs 0 to 1"),
        "no runs": (lambda: draw.atomics_over_ops({}), "at least one run"),
        "a list": (lambda: draw.atomics_over_ops([1, 2]), "must be a dict"),
        "too many": (lambda: draw.atomics_over_ops({str(i): run for i in range(7)}), "at most 6"),
        "lengths": (lambda: draw.atomics_over_ops({"a": run, "b": longer}), "a 8 and b 10"),
        "falls": (lambda: draw.atomics_over_ops({"a": [0, 2, 1]}), "falls at operation 2"),
        "not numbers": (lambda: draw.atomics_over_ops({"a": ["x", "y"]}), "must be numbers"),
        "nan": (lambda: draw.atomics_over_ops({"a": [0, float("nan")]}), "finite"),
        "no operation": (lambda: draw.stocks_over_ops({"a": [0]}), "holds no operation"),
        "no column": (lambda: draw.stocks_over_ops({"a": pd.DataFrame({"x": [1, 2]})}), 'no column "in_stocks"'),
        "cursor": (lambda: draw.atomics_over_ops({"a": run}, cursor=9), "0 to 8"),
        "bound": (lambda: draw.stocks_over_ops({"a": run}, bound=-1), "whole number of pages"),
        "not a record": (lambda: draw.counter_and_stat(run, [1]), "after is not a table of record"),
        "two streams": (lambda: draw.counter_and_stat(run, differs), "not of the same stream"),
        "empty record": (lambda: draw.counter_and_stat(run.iloc[:1], run.iloc[:1]), "holds no operation"),
        "sizes fall": (lambda: draw.atomics_per_page([2, 1], [1, 1], [1, 1]), "that rise"),
        "costs missing": (lambda: draw.atomics_per_page([1, 2], [1, 1], [1]), "after has 1 costs"),
        "cost of 0": (lambda: draw.atomics_per_page([1, 2], [1, 1], [1, 0]), "above 0"),
        "limit": (lambda: draw.pages_over_ops({"a": [0, 1]}, "counted", bound=1.5, bound_name="limit"), "limit is 1.5"),
        "pages cursor": (lambda: draw.pages_over_ops({"a": [0, 1]}, "counted", cursor=2), "0 to 1"),
        "a record": (lambda: draw.pages_over_ops({"a": run}, "counted"), 'no column "pages"'),
        "depths fall": (lambda: draw.atomics_by_depth([2, 1], [1, 1], [1, 1]), "that rise, from 1 on"),
        "depth 0": (lambda: draw.atomics_by_depth([0, 1], [1, 1], [1, 1]), "depths is 0"),
        "one depth": (lambda: draw.atomics_by_depth([1], [1], [1]), "two or more"),
        "cost missing": (lambda: draw.atomics_by_depth([1, 2], [1, 1], [1]), "after has 1 values"),
        "cost below 0": (lambda: draw.atomics_by_depth([1, 2], [1, -1], [1, 1]), "before is -1"),
        "no drift": (lambda: draw.drift_bound([1, 2], {}, 32), "one to four lines"),
        "drift a list": (lambda: draw.drift_bound([1, 2], [1, 2], 32), "one to four lines"),
        "drift length": (lambda: draw.drift_bound([1, 2], {"a": [1]}, 32), 'worst["a"] has 1 values'),
        "no slot": (lambda: draw.drift_bound([1, 2], {"a": [1, 2]}, 32, slots=0), "slots is 0"),
        "batch 0": (lambda: draw.drift_bound([1, 2], {"a": [1, 2]}, 0), "batch is 0"),
        "no profile": (lambda: draw.profile_bars([1]), "not a table of read_perf()"),
        "no percent": (lambda: draw.profile_bars(pd.DataFrame({"symbol": ["a"]})), "columns percent and symbol"),
        "empty profile": (lambda: draw.profile_bars(pd.DataFrame({"symbol": [], "percent": []})), "no rows"),
        "percent": (
            lambda: draw.profile_bars(pd.DataFrame({"symbol": ["a"], "percent": [-1]})),
            "allowed are 0 to 100",
        ),
        "not listed": (
            lambda: draw.profile_bars(pd.DataFrame({"symbol": ["a"], "percent": [1]}), ["b"]),
            "'b' is marked",
        ),
        "a name": (lambda: draw.profile_bars(pd.DataFrame({"symbol": ["a"], "percent": [1]}), "a"), "list of symbols"),
        "no row": (lambda: draw.profile_bars(pd.DataFrame({"symbol": ["a"], "percent": [1]}), [1]), "0 to 0"),
        "no policy": (lambda: draw.giving_back("v4.13", [1]), "must be a Policy"),
        "size 0": (lambda: draw.giving_back(V4_13, [0]), "pages in one call"),
        "no memcg": (lambda: draw.record(one, producer_consumer(1, uncharge_cpu=0), memcg=5), "memcg is 5"),
        "no system": (lambda: draw.record(None, None), "must be a System"),
        "no stream": (lambda: draw.record(one, [1, 2]), "operations must be"),
    }


@pytest.mark.parametrize("name", refused().keys())
def test_what_cannot_be_drawn_is_refused_in_a_sentence(name):
    attempt, why = refused()[name]
    with pytest.raises(ValueError, match=re.escape(why)):
        attempt()


# --- names from elsewhere

HOSTILE = [
    "$x_2$",
    "_start",
    "\\frac{1}{2}$",
    "$",
    "\x1b[31mred",
    "two\nlines",
    "\u202egnp.exe",
    "\ud800",
    "猫\U0001f431",
    "<script>alert(1)</script>",
    "n" * 400,
    "",
]


def texts_of(figure):
    """Everything that is written in a picture."""
    figure.png()
    texts = {text.get_text() for text in figure.figure.findobj(Text)}
    assert not any(text.get_parse_math() for text in figure.figure.findobj(Text))
    return texts


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_name_from_elsewhere_is_drawn_as_it_stands_or_escaped(name, tmp_path):
    profile = pd.DataFrame({"percent": [2.0, 1.0], "symbol": [name, "tcp_ack"]})
    series = {name: [0, 1, 3], "after": [0, 1, 2]}
    rows = {"none": (100.0, None), "batch 32": (50.0, {"batch": 32}), "batch 64": (75.0, {"batch": 64})}
    model = predict_rows(rows, baseline="none", fitted="batch 32", clients=8, think_ns=1000)
    told = pd.DataFrame({"policy": [name], "atomics": [3], "drift_max": [2]})
    hosts = pd.DataFrame(
        {"machine": [name], "meeting": ["apart"], "levels": [3], "agrees": [True], "reduce_after": [0.5]}
    )
    every = [
        figures.profile_bars(profile, marked=[name]),
        figures.stocks_over_ops(series, bound=2),
        figures.atomics_over_ops(series),
        figures.drift_bound([1, 2], {name: [32, 64]}, batch=32),
        figures.throughput_over("CPUs", [1, 2], {name: [1.0, 2.0]}),
        figures.measured_beside_models({name or "m": model}, {f"{name} row": 60.0}),
        figures.what_if(told, pd.DataFrame({name: [0, 2]}, index=[0.0, 1.0])),
        figures.host_map(hosts),
        figures.trace_window({name: [1, 2]}, 0, 0),
    ]
    label = base.plain(name)
    assert len(label) <= base.NAME_SHOWN
    assert label == name or not name.isprintable() or len(name) > base.NAME_SHOWN or name.startswith("猫")
    for figure in every:
        assert figure.caption.isprintable()
        assert figure.sentence.isprintable()
        assert "<script" not in figure.to_html()
        assert any(label[:10] in text for text in texts_of(figure))
        figure.save(tmp_path / "one.svg", replace=True)
        ElementTree.parse(tmp_path / "one.svg")


def test_a_legend_keeps_a_name_that_begins_with_an_underscore():
    rows = {"none": (100.0, None), "batch 32": (50.0, {"batch": 32})}
    model = predict_rows(rows, baseline="none", fitted="batch 32", clients=8, think_ns=1000)
    legend = figures.measured_beside_models({"_mine": model}).figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["measured", " _mine"]
