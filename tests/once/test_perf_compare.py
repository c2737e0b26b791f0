"""Two profiles compared: what matches, what went, and what can be said about it."""

import dataclasses
import math
import pathlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memcg_lab.perf import compare, print_comparison, read_perf

ROOT = pathlib.Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "data" / "perf" / "before.txt", ROOT / "data" / "perf" / "after.txt"
SAMPLES = pathlib.Path(__file__).parent / "perf_samples"
quick = settings(derandomize=True, deadline=None, max_examples=40, database=None)


def listing(*rows):
    return "".join(f"{percent:.2f}%  {rest}\n" for percent, rest in rows)


# --- the published pair


@pytest.fixture(scope="module")
def published():
    return compare(*PUBLISHED)


def test_twelve_rows_of_the_published_pair_match(published):
    assert published.rows == len(published.matched) == 12
    assert list(published.matched.columns) == ["symbol", "before", "after", "ratio"]
    assert published.matched["before"].sum() == pytest.approx(9.52)
    assert published.matched["after"].sum() == pytest.approx(10.15)


def test_the_published_pair_rescales_by_1_069(published):
    assert round(published.scale, 3) == 1.069
    assert round(published.median, 3) == 1.065
    assert round(published.log_sd, 3) == 0.052
    assert round(published.se, 3) == 0.015
    assert (round(published.removed, 1), round(published.removed_se, 1)) == (6.5, 1.4)
    assert not published.load_matched


def test_the_rescaling_is_what_the_formulas_say(published):
    logs = [math.log(a / b) for b, a in zip(published.matched["before"], published.matched["after"])]
    mean = sum(logs) / 12
    sd = math.sqrt(sum((x - mean) ** 2 for x in logs) / 11)
    assert published.scale == pytest.approx(math.exp(mean))
    assert published.log_sd == pytest.approx(sd)
    assert published.se == pytest.approx(sd / math.sqrt(12))
    assert published.removed == pytest.approx(100 * (1 - math.exp(-mean)))
    low, high = (100 * (1 - math.exp(-(mean + side * sd / math.sqrt(12)))) for side in (-1, 1))
    assert published.removed_se == pytest.approx((high - low) / 2, rel=0.01)


def test_three_symbols_of_the_published_pair_are_gone(published):
    assert published.gone["symbol"].tolist() == [
        "page_counter_cancel",
        "__sk_mem_reduce_allocated",
        "tcp_delack_timer_handler",
    ]
    assert published.gone["after"].tolist() == ["< 0.57"] * 3
    assert published.gone["at_most"].tolist() == [2.13, 1.14, 0.68]
    assert published.gone["at_least"].tolist() == [1.56, 0.57, 0.11]
    assert published.gone_at_most == pytest.approx(3.95)
    assert published.gone_at_least == pytest.approx(2.24)


def test_the_address_of_the_published_pair_is_listed_as_new_and_counted_nowhere(published):
    assert published.new[["symbol", "before", "after", "unnamed"]].to_numpy().tolist() == [
        ["0x000000000061bf24", "< 0.54", 0.74, True]
    ]
    assert published.new_at_least == published.new_at_most == 0


def test_the_text_of_the_published_pair(published):
    assert published.text().splitlines() == [
        "Percent of samples, self time: 13.47 listed before and 10.89 after; 87 % and 89 % of the samples are not "
        "listed.",
        f"before: 16 rows, 13.47 in all, lowest 0.54 ({PUBLISHED[0]})",
        f"after:  14 rows, 10.89 in all, lowest 0.57 ({PUBLISHED[1]})",
        "",
        "symbol                        before     after    ratio",
        "_raw_spin_lock                  1.14      1.21    1.061",
        "_raw_spin_lock_irqsave          0.87      0.92    1.057",
        "tcp_ack                         0.84      0.86    1.024",
        "ixgbe_poll                      0.84      1.01    1.202",
        "< workload >                    1.43      1.44    1.007",
        "enqueue_entity                  0.82      0.90    1.098",
        "__fget                          0.68      0.67    0.985",
        "__schedule                      0.67      0.73    1.090",
        "__inet6_lookup_established      0.59      0.63    1.068",
        "__switch_to                     0.55      0.59    1.073",
        "menu_select                     0.55      0.62    1.127",
        "__memcpy_avx_unaligned          0.54      0.57    1.056",
        "page_counter_cancel             2.13    < 0.57     gone",
        "__sk_mem_reduce_allocated       1.14    < 0.57     gone",
        "tcp_delack_timer_handler        0.68    < 0.57     gone",
        "0x000000000061bf24            < 0.54      0.74  no name",
        "",
        "Rescaling: 12 rows in both; after / before has geometric mean 1.069, median 1.065, log-sd 0.052, "
        "standard error 0.015.",
        "Nothing is said about all samples: 87 % and 89 % of the samples are not listed.",
        "Gone: 3 rows; at least 2.24 and at most 3.95 vanished.",
        "New: no named row. 1 row without a name cannot be matched.",
        "Caution: the common rows do not rescale alike (0.985 to 1.202), so the two loads are not the same to better "
        "than about 5 %; do not read a single row more closely than that.",
        "Added up: 4 rows that nothing tells apart became 2 (< workload >).",
    ]


def test_the_repr_has_one_form(published):
    assert repr(published) == "Comparison(12 matched, 3 gone, 1 new, scale 1.069, log-sd 0.052)"


def test_the_command_prints_the_text_and_succeeds(published, capsys):
    assert print_comparison(str(PUBLISHED[0]), str(PUBLISHED[1])) == 0
    assert capsys.readouterr().out == published.text() + "\n"


def test_the_command_leaves_errors_to_its_caller(tmp_path):
    (tmp_path / "bad.txt").write_text("1.21 [kernel] [k]\n")
    with pytest.raises(ValueError, match=r"bad\.txt, line 1: "):
        print_comparison(PUBLISHED[0], tmp_path / "bad.txt")
    with pytest.raises(ValueError, match=r"^50% \[k\] x: no such file"):
        print_comparison("50% [k] x", PUBLISHED[1])  # the command takes paths, never text


# --- matching


def test_rows_that_nothing_tells_apart_are_added_up_and_never_matched_by_their_order():
    before = listing((5, "< workload >"), (3, "< workload >"), (2, "[.] copy"))
    after = listing((6, "< workload >"), (4, "< workload >"), (2.5, "< workload >"), (2, "[.] copy"))
    change = compare(before, after)
    assert change.matched[["before", "after"]].to_numpy().tolist() == [[8, 12.5], [2, 2]]
    assert change.notes == ("Added up: 5 rows that nothing tells apart became 2 (< workload >).",)


def test_an_address_never_matches_not_even_itself():
    before = listing((5, "server  [.] 0x0000000000001234"), (2, "[kernel]  [k] poll"))
    change = compare(before, before)
    assert change.matched["symbol"].tolist() == ["poll"]
    assert change.gone["unnamed"].tolist() == change.new["unnamed"].tolist() == [True]
    assert change.gone_at_most == change.new_at_most == 0
    assert "1 row without a name cannot be matched" in change.text()


def test_kernel_rows_match_whatever_the_kernel_is_called():
    change = compare(listing((5, "[kernel]  [k] poll")), listing((4, "[kernel.kallsyms]  [k] poll")))
    assert change.matched["symbol"].tolist() == ["poll"]


def test_the_same_name_in_two_programs_does_not_match():
    change = compare(listing((5, "/bin/one  [.] main")), listing((4, "two  [.] main")))
    assert (change.rows, len(change.gone), len(change.new)) == (0, 1, 1)
    assert compare(listing((5, "/bin/one  [.] main")), listing((4, "one  [.] main"))).rows == 1


REPORT = "# Overhead  Command  Shared Object  Symbol\n"


def test_rows_match_by_command_if_both_files_have_one():
    before = REPORT + listing((5, "web  [kernel]  [k] poll"), (3, "db  [kernel]  [k] poll"))
    after = REPORT + listing((6, "db  [kernel]  [k] poll"), (4, "web  [kernel]  [k] poll"))
    change = compare(before, after)
    assert change.matched.to_numpy().tolist() == [
        ["web", "poll", 5, 4, 0.8],
        ["db", "poll", 3, 6, 2],
    ]
    assert "web: poll" in change.text()


def test_rows_are_added_up_over_commands_if_one_file_has_none():
    before = REPORT + listing((5, "web  [kernel]  [k] poll"), (3, "db  [kernel]  [k] poll"))
    change = compare(before, listing((4, "[kernel]  [k] poll")))
    assert change.matched.to_numpy().tolist() == [["poll", 8, 4, 0.5]]


# --- bounds


def test_what_is_not_listed_is_less_than_the_lowest_row_and_never_0():
    change = compare(
        listing((5, "[k] hot"), (0.4, "[k] cold"), (2, "[k] poll")), listing((2, "[k] poll"), (0.7, "[.] x"))
    )
    assert change.gone[["symbol", "after", "at_least", "at_most"]].to_numpy().tolist() == [
        ["hot", "< 0.70", 4.3, 5.0],
        ["cold", "< 0.70", 0.0, 0.4],  # it may have stayed as it was, below the list's end
    ]
    assert change.new[["before", "at_least", "at_most"]].to_numpy().tolist() == [["< 0.40", pytest.approx(0.3), 0.7]]


def test_a_row_of_0_00_percent_still_bounds_by_what_perf_can_print():
    change = compare(listing((5, "[k] hot"), (2, "[k] poll")), listing((2, "[k] poll"), (0, "[k] idle")), floor=0)
    assert change.gone["after"].tolist() == ["< 0.01"]
    assert change.after.rows == 1


def test_rows_below_the_floor_count_as_not_listed():
    before = listing((5, "[k] hot"), (2, "[k] poll"), (0.05, "[k] dust"))
    after = listing((0.09, "[k] hot"), (2, "[k] poll"), (0.05, "[k] dust"))
    change = compare(before, after)
    assert change.matched["symbol"].tolist() == ["poll"]
    assert change.gone[["symbol", "after", "at_least"]].to_numpy().tolist() == [["hot", "< 0.10", 4.9]]
    assert "2 more below 0.1 left out" in change.text()
    assert compare(before, after, floor=0).rows == 3


def test_children_bound_what_a_report_does_not_list():
    before = listing((60, "[kernel.kallsyms]  [k] tcp_rcv"), (10, "server  [.] main"))
    change = compare(before, SAMPLES / "report_children.txt")
    assert change.gone["after"].tolist() == ["< 10.00"]


# --- what is said


ALIKE = [(10, "[k] a"), (20, "[k] b"), (30, "[.] c"), (8, "[.] d"), (8, "[.] e")]


def test_alike_rows_raise_no_caution():
    change = compare(listing(*ALIKE, (9, "[k] hot")), listing(*((percent * 1.1, name) for percent, name in ALIKE)))
    assert change.scale == pytest.approx(1.1)
    assert change.removed == pytest.approx(100 / 11)
    assert change.load_matched
    assert change.unfit == ()
    assert "Caution" not in change.text()
    assert "9.1 % of all samples went away (standard error 0.0)." in change.text()
    assert repr(change).endswith("removed 9.1 +- 0.0 %)")


def test_work_that_came_on_top_is_called_so():
    change = compare(listing(*ALIKE), listing(*((percent / 1.25, name) for percent, name in ALIKE), (9, "[k] more")))
    assert change.removed == pytest.approx(-25)
    assert "25.0 % of all samples came on top" in change.text()
    assert "New: 1 row; at least 1.00 and at most 9.00 appeared." in change.text()


def test_a_removed_share_within_its_error_may_be_none():
    spread = [(percent * (0.9, 1.15, 1.0, 0.95, 1.1)[k], name) for k, (percent, name) in enumerate(ALIKE)]
    assert "so it may be none" in compare(listing(*ALIKE), listing(*spread)).text()
    alike = listing(*((percent * 1.1, name) for percent, name in ALIKE))
    assert "so it may be none" not in compare(listing(*ALIKE), alike).text()


def test_one_common_row_says_nothing_of_the_load():
    change = compare(listing((60, "[k] a")), listing((70, "[k] a")))
    assert (round(change.scale, 3), round(change.removed, 1)) == (1.167, 14.3)
    assert math.isnan(change.se)
    assert not change.load_matched
    assert change.unfit == ("only 1 row is in both files",)
    assert "Nothing is said about all samples: only 1 row is in both files." in change.text()
    assert "nan" not in change.text()


def test_lists_of_less_than_half_the_samples_give_no_headline():
    change = compare(listing(*((percent / 2, name) for percent, name in ALIKE)), listing(*ALIKE))
    assert change.unfit == ("62 % and 24 % of the samples are not listed",)
    assert "of all samples went away" not in change.text()
    assert change.text().startswith("Percent of samples, self time: 38.00 listed before and 76.00 after; 62 % and 24 %")


def test_no_common_row_says_nothing_at_all():
    change = compare(listing((10, "[k] a")), listing((20, "[k] b")))
    assert math.isnan(change.scale)
    assert "No row is in both files" in change.text()
    assert "nan" not in change.text()


def test_a_long_symbol_is_shortened_in_the_text_only():
    change = compare(listing((10, "[.] " + "x" * 200)), listing((20, "[.] " + "x" * 200)))
    assert len(change.matched["symbol"][0]) == 200
    assert max(map(len, change.text().splitlines())) < 120


# --- refusals


@pytest.mark.parametrize("floor", [-1, 101, math.nan, "1", None, True])
def test_a_floor_that_is_no_percentage_is_refused(floor):
    with pytest.raises(ValueError, match="it must be a percentage from 0 to 100"):
        compare(*PUBLISHED, floor=floor)


def test_a_table_of_something_else_is_refused():
    table = read_perf(PUBLISHED[0])
    for wrong in (table[["percent", "symbol"]], table.set_axis([*"abcdefgh"], axis=1)):
        with pytest.raises(ValueError, match="what read_perf returned"):
            compare(wrong, table)
    with pytest.raises(ValueError, match="text or a path"):
        compare(None, table)


def test_tables_text_and_paths_compare_alike():
    one = compare(*PUBLISHED)
    two = compare(*(read_perf(path) for path in PUBLISHED))
    three = compare(*(path.read_text() for path in PUBLISHED))
    for field in dataclasses.fields(one):
        a, b, c = (getattr(change, field.name) for change in (one, two, three))
        if field.name in ("matched", "gone", "new", "groups"):
            assert a.equals(b)
            assert a.equals(c)
        elif field.name not in ("before", "after"):
            assert a == b == c
    assert (one.before.name, two.before.name) == (str(PUBLISHED[0]), "perf top")


def test_comparing_leaves_the_tables_as_they_were():
    table = read_perf(PUBLISHED[0])
    copy = table.copy()
    compare(table, table)
    assert table.equals(copy)
    assert table.attrs == copy.attrs


def test_the_library_does_not_load_this_room():
    code = "import memcg_lab, sys; sys.exit('memcg_lab.perf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- random profiles

entry = st.tuples(
    st.integers(0, 600).map(lambda n: n / 100),
    st.sampled_from(["[k] a", "[k] b", "[.] a", "[.] 0x12", "lib  [.] a", "< w >", "[unknown]  [.] [unknown]"]),
)
profile = st.lists(entry, min_size=1, max_size=15, unique_by=lambda row: row[1]).map(
    lambda rows: listing(*rows, (0.5, "[k] always"))
)


@quick
@given(profile, profile, st.sampled_from([0, 0.1, 2]))
def test_every_share_is_in_exactly_one_table(before, after, floor):
    change = compare(before, after, floor=floor)
    for side, text, others in (("before", before, change.gone), ("after", after, change.new)):
        table = read_perf(text)
        kept = table[(table["percent"] > 0) & (table["percent"] >= floor)]["percent"]
        assert sum([*change.matched[side], *others[side]]) == pytest.approx(sum(kept))
        assert len(change.matched) + len(others) <= len(kept)
    for frame in (change.gone, change.new):
        assert (0 <= frame["at_least"]).all()
        assert (frame["at_least"] <= frame["at_most"]).all()
    assert change.text()
    assert repr(change)


@quick
@given(profile)
def test_a_profile_compared_with_itself_has_changed_in_nothing(text):
    change = compare(text, text)
    assert change.scale == pytest.approx(1)
    assert change.removed == pytest.approx(0)
    assert change.gone["unnamed"].all()
    assert change.new["unnamed"].all()
