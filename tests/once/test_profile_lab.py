"""The profile lab adds up what is marked, and says what that allows for at most."""

import re
import time

import pandas as pd
import pytest

from memcg_lab import ProfileLab, data_path
from memcg_lab.perf import read_perf

NAMES = ["page_counter_cancel", "__sk_mem_reduce_allocated", "tcp_delack_timer_handler"]


@pytest.fixture
def lab():
    return ProfileLab()


def test_the_sentence_says_share_and_factor():
    assert ProfileLab(marked=NAMES).message == (
        "You marked 3 of 16 rows: 3.95 % of all samples. If their work vanished, the host would get faster by a factor "
        "of 1.041 at most; every other row would grow by that factor. That is a bound, no prediction; "
        "nothing is fitted."
    )


def test_nothing_marked_is_told(lab):
    assert lab.message == "You marked none of 16 rows. Together they have 13.47 % of all samples."
    lab.set(marked=[3])
    assert lab.message.startswith("You marked 1 of 16 rows: 0.87 % of all samples. If its work vanished")
    lab.set(marked=[])
    assert lab.message.startswith("You marked none")


def test_everything_marked_is_told(lab):
    lab.set(marked=range(16))
    assert lab.settings() == {"marked": list(range(16))}
    assert lab.message.startswith("You marked 16 of 16 rows: 13.47 % of all samples.")
    assert f"a factor of {1 / (1 - 0.1347):.3f} at most" in lab.message
    assert "That did not work" not in lab.message


def test_what_the_reader_marks_in_the_front_end_is_taken(lab):
    lab.chosen = {"marked": [9, 0]}
    assert lab.settings() == {"marked": [0, 9]}
    lab.set(marked=["< workload >"])
    assert lab.chosen == {"marked": [6, 11]}
    lab.chosen = {"marked": [99]}
    assert lab.message.startswith("That did not work: a marked row is 99")
    assert lab.chosen == lab.settings() == {"marked": [6, 11]}


def test_the_front_end_knows_every_row(lab):
    told = lab.data()
    assert [symbol for symbol, _ in told["rows"]] == lab.symbols
    assert [percent for _, percent in told["rows"]] == lab.percents
    assert (told["shown"], told["own"]) == (16, False)


def test_a_profile_of_the_readers_own_is_no_lab_of_a_page(lab):
    assert 'data-memcg-lab="ProfileLab"' in lab.to_html()
    assert "data-memcg-lab" not in ProfileLab(read_perf(data_path("perf/after.txt"))).to_html()


def test_the_table_says_what_the_others_would_have():
    lab = ProfileLab(marked=NAMES)
    table = lab.table().set_index("symbol")
    assert table.loc["tcp_ack", "percent without the marked"] == f"{0.84 / (1 - 0.0395):.2f}"
    assert table.loc["page_counter_cancel", "percent without the marked"] == "gone"
    assert table["marked"].sum() == 3
    assert lab.figure().table["percent"][lab.figure().table["marked"]].sum() == pytest.approx(3.95)


def test_names_come_back_in_the_copied_line():
    lab = ProfileLab(marked=["tcp_ack", 6])
    assert lab.code_line() == "ProfileLab(marked=['tcp_ack', 6])"


def test_a_readers_own_profile_is_shown():
    profile = read_perf(data_path("perf/after.txt"))
    lab = ProfileLab(profile, marked=["tcp_ack"])
    assert f"1 of {len(profile)} rows" in lab.message
    assert lab.code_line() == "ProfileLab(profile=profile, marked=['tcp_ack'])"
    twin = eval(lab.code_line(), {"ProfileLab": ProfileLab, "profile": profile})
    assert repr(twin) == repr(lab)


def test_a_long_profile_shows_its_first_rows():
    profile = pd.DataFrame({"percent": [0.9] * 60, "symbol": [f"f{k:02}" for k in range(60)]})
    lab = ProfileLab(profile)
    assert lab.data()["shown"] == 30
    assert "Together they have 54.00 % of all samples." in lab.message
    assert "The first 30 are drawn." in lab.figure().caption
    with pytest.raises(ValueError, match="row 41 is marked; this lab shows the first 30 rows"):
        ProfileLab(profile, marked=["f40"])


def test_a_profile_of_one_row_that_is_everything():
    lab = ProfileLab(pd.DataFrame({"percent": [100.0], "symbol": ["main"]}), marked=[0])
    assert lab.message == (
        "You marked 1 of 1 row: 100.00 % of all samples. If their work vanished, nothing would be left; this says "
        "nothing about the host."
    )
    assert lab.table().loc[1, "percent without the marked"] == "gone"


def test_a_symbol_that_a_screen_would_obey_is_escaped():
    lab = ProfileLab(pd.DataFrame({"percent": [2.0], "symbol": ["\x1b[31m\u202e_f"]}), marked=[0])
    assert lab.data()["rows"] == [[r"\x1b[31m\u202e_f", 2.0]]
    assert not {"\x1b", "\u202e"} & set(lab.to_html() + lab.code_line() + repr(lab))


def test_symbols_are_escaped():
    lab = ProfileLab(pd.DataFrame({"percent": [2.0], "symbol": ["operator<"]}), marked=[0])
    assert "operator<" not in lab.to_html().replace("operator&lt;", "")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"marked": ["nothing"]}, "no row of the profile has this symbol"),
        ({"marked": "tcp_ack"}, "it must be a list of symbols"),
        ({"marked": 3}, "it must be a list of symbols"),
        ({"marked": [16]}, "0 to 15"),
        ({"marked": [1.5]}, "whole number"),
        ({"profile": [1]}, "not a table of read_perf()"),
        ({"profile": pd.DataFrame({"percent": [], "symbol": []})}, "no rows"),
        ({"profile": pd.DataFrame({"percent": [101.0], "symbol": ["a"]})}, "allowed are 0 to 100"),
        ({"profile": pd.DataFrame({"percent": ["x"], "symbol": ["a"]})}, "must be numbers"),
    ],
)
def test_wrong_arguments_are_refused(arguments, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        ProfileLab(**arguments)


def test_a_mark_answers_in_50_ms_of_cpu(lab):
    start = time.process_time()
    for k in range(16):
        lab.set(marked=range(k + 1))
    assert (time.process_time() - start) / 16 < 0.05
