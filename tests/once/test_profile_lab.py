"""The profile lab adds up what is marked, and says what that allows for at most."""

import re
import time

import pandas as pd
import pytest

from memcg_lab import ProfileLab, data_path
from memcg_lab.labs.profile import _height
from memcg_lab.perf import read_perf

NAMES = ["page_counter_cancel", "__sk_mem_reduce_allocated", "tcp_delack_timer_handler"]


@pytest.fixture
def lab():
    return ProfileLab()


def test_the_sentence_says_share_and_factor():
    assert ProfileLab(marked=NAMES).message == (
        "You marked 3 of 16 rows: 3.95 % of all samples. If their work vanished, the host would get faster by a factor "
        "of 1.041 at most; every other row would grow by that factor."
    )


def test_nothing_marked_is_told(lab):
    assert lab.message == "You marked none of 16 rows. Together they have 13.47 % of all samples."
    lab.marked.boxes[3].value = True
    assert lab.message.startswith("You marked 1 of 16 rows: 0.87 % of all samples. If its work vanished")
    lab.none.click()
    assert lab.message.startswith("You marked none")
    assert not any(box.value for box in lab.marked.boxes)


def test_everything_marked_is_told(lab):
    for box in lab.marked.boxes:
        box.value = True
    assert lab.settings() == {"marked": tuple(range(16))}
    assert lab.message.startswith("You marked 16 of 16 rows: 13.47 % of all samples.")
    assert f"a factor of {1 / (1 - 0.1347):.3f} at most" in lab.message
    assert "That did not work" not in lab.message


def test_boxes_and_value_follow_each_other(lab):
    lab.marked.boxes[0].value = True
    lab.marked.boxes[9].value = True
    assert lab.marked.value == (0, 9)
    lab.set(marked=["< workload >"])
    assert [k for k, box in enumerate(lab.marked.boxes) if box.value] == [6, 11]
    lab.reset.click()
    assert lab.marked.value == ()


def test_marks_lie_over_the_bars_and_leave_the_picture(lab):
    picture = lab.picture.value
    lab.set(marked=[0, 15])
    assert lab.picture.value == picture
    assert lab.cursor.value.count(">marked<") == 2
    tops = [float(y) for y in re.findall(r"top:([\d.]+)px;width", lab.cursor.value)]
    assert 0 < tops[0] < tops[1] < lab.picture_height


def test_the_place_for_the_picture_is_as_high_as_the_picture(lab):
    assert lab.picture_height == pytest.approx(lab.figure().figure.bbox.height, abs=1)
    assert _height(1) == _height(4)


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
    assert len(lab.marked.boxes) == 30
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
    labels = [box.description for box in lab.marked.boxes]
    assert labels == [r"2.00 %  \x1b[31m\u202e_f"]
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
    for box in lab.marked.boxes:
        box.value = True
    assert (time.process_time() - start) / 16 < 0.05
