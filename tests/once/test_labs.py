"""A lab is driven without a browser: its sentence, picture and table follow every control, and no error escapes."""

import re
import time

import ipywidgets as W
import numpy as np
import pandas as pd
import pytest

from memcg_lab import (
    V4_13,
    V4_14,
    ContentionLab,
    CounterLab,
    DriftLab,
    PatchLab,
    ProfileLab,
    StockLab,
    System,
    figures,
    history,
    mixed,
    op,
)
from memcg_lab.course import quotes
from memcg_lab.history import History
from memcg_lab.labs import boxes as base
from memcg_lab.labs import patch, views
from memcg_lab.labs.boxes import Lab
from memcg_lab.mechanism.steps import STEPS

BACK_AND_FORTH = "one CPU charges, another gives back"


@pytest.fixture
def lab():
    return PatchLab()


def plain(text):
    return re.sub(r"<[^>]*>", " ", text)


def every_widget(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every_widget(child)


# --- the machines behind the lab


@pytest.mark.parametrize("policy", [V4_13, V4_14], ids=lambda p: p.name)
def test_every_state_is_what_single_operations_give(policy):
    parents = [-1, 0, 1, 1]
    ops = mixed(300, cpus=2, memcgs=(2, 3), in_flight=25, seed=5)
    past, system = History(System(parents, cpus=2, policy=policy), ops), System(parents, cpus=2, policy=policy)
    for k in range(len(ops) + 1):
        state = past.state(k)
        assert state.usage == tuple(system.usage)
        assert state.sock == tuple(system.sock)
        assert state.css == tuple(system.snapshot()["css"])
        assert state.stock == tuple(tuple(stock) for stock in system.stock)
        assert state.watermark == tuple(system.snapshot()["max"])
        assert state.failcnt == tuple(system.snapshot()["failcnt"])
        assert past.total[k] == system.work().atomics
        if k < len(ops):
            system.replay(ops[k : k + 1])


def test_watermarks_and_failures_of_refused_charges_are_kept():
    ops = np.concatenate(
        [op("try_charge", cpu=0, memcg=2, nr=n, ctx=c) for n in (40, 90, 1) for c in ("softirq", "task")]
    )
    limits = [-1, 100, -1]
    past = History(System.chain(2, cpus=1, limits=limits), ops)
    system = System.chain(2, cpus=1, limits=limits)
    for k in range(len(ops)):
        system.replay(ops[k : k + 1])
        assert past.state(k + 1).watermark == tuple(system.snapshot()["max"])
        assert past.state(k + 1).failcnt == tuple(system.snapshot()["failcnt"])
    assert past.state(len(ops)).failcnt[1] > 0


@pytest.mark.parametrize("traffic", PatchLab.traffics)
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_every_traffic_has_as_many_operations_and_gives_all_back(traffic, depth):
    run = patch.run(traffic, depth)
    for past in (run.before, run.after):
        assert len(past) == patch.OPERATIONS
        assert not past.sock[-1].any()
        assert len(run.names) == len(past.parents)
    assert run.before.sock.tolist() == run.after.sock.tolist()  # the statistic never differs


def test_the_lines_of_the_patch_are_those_of_the_diff():
    changed = [line for _, line in quotes.show_patch().lines if re.match(r"[+-](?![+-])", line)]
    assert [line[0] + line[1:].strip() for line in changed] == list(history.PATCH_LINES)


def test_every_changed_line_is_reached_by_some_step():
    reached = set()
    for traffic in PatchLab.traffics:
        run = patch.run(traffic, 2)
        for past in (run.before, run.after):
            for k in range(len(past)):
                reached.update(past.lines(k))
                tested = past.cap_test(k)
                if tested is not None:
                    reached.add(history.CAP_TEST)
                    assert (tested > 32) == (history.CAP_DRAIN in past.lines(k))
    assert reached == {None, *range(len(history.PATCH_LINES))}


def test_each_machine_runs_only_its_own_lines():
    run = patch.run("two cgroups take turns on one CPU", 2)
    old = {history.OLD_UNCHARGE, history.OLD_PUT}
    new = {history.CAP_DRAIN, history.NEW_REFILL}
    assert {line for k in range(400) for line in run.before.lines(k)} == old | {None}
    assert {line for k in range(400) for line in run.after.lines(k)} <= new | {None}
    assert all(run.before.cap_test(k) is None for k in range(400))


# --- the patch lab


def test_the_sentence_says_operation_cost_and_sums(lab):
    lab.position.value = 66
    assert lab.message == (
        "Operation 66 of 400, uncharge_skmem of 1 page on CPU 1: before 3 atomics, after 3 (the stock passed 32 pages "
        "and was drained). So far 105 before, 9 after."
    )
    assert lab.sentence() == lab.message
    assert lab.message in lab.status.value
    assert 'role="status"' in lab.status.value
    assert 'aria-live="polite"' in lab.status.value


def test_the_table_agrees_with_the_sentence(lab):
    lab.position.value = 130
    table = lab.table()
    so_far = table.loc["atomics so far"]
    assert f"So far {so_far['before']} before, {so_far['after']} after." in lab.message
    assert table.loc["memory.current of root", "before"] == lab.result.run.before.state(130).usage[0]
    assert table.loc["pages in the stock of CPU 1", "after"] == 32


def test_the_table_agrees_with_a_run(lab):
    lab.position.value = 400
    ops = lab.result.run.after.ops
    for name, policy in (("before", V4_13), ("after", V4_14)):
        system = System.chain(2, cpus=2, policy=policy)
        assert lab.table().loc["atomics so far", name] == system.replay(ops).atomics


REASONS = {
    (BACK_AND_FORTH, 1): "the stock could not serve it, so 32 pages were charged",
    (BACK_AND_FORTH, 2): "kept in the stock",
    (BACK_AND_FORTH, 3): "served from the stock",
    (BACK_AND_FORTH, 66): "the stock passed 32 pages and was drained",
    ("33 pages at a time", 1): "more than a batch, so the stock is not asked",
    ("33 pages at a time", 2): "the stock passed 32 pages and was drained",
    ("two cgroups take turns on one CPU", 2): "the stock held another cgroup's pages and was drained",
}


@pytest.mark.parametrize(("where", "why"), REASONS.items(), ids=str)
def test_the_reason_is_the_steps_reason(where, why):
    traffic, position = where
    assert f"({why})" in PatchLab(traffic=traffic, position=position).message


def test_buttons_move_the_cursor_and_stop_at_the_ends(lab):
    def press(button):
        button.click()
        return lab.position.value

    assert press(lab.back) == 0
    assert press(lab.next) == 1
    assert press(lab.next) == 2
    assert press(lab.back) == 1
    assert press(lab.next_landmark) == 66
    assert press(lab.next_landmark) == 132
    assert press(lab.last) == 400
    assert press(lab.next) == 400
    assert press(lab.next_landmark) == 400
    assert lab.message == "After operation 400 no stock is drained any more."
    assert press(lab.first) == 0
    assert lab.message == "Nothing has run yet: 400 operations wait."


def test_steps_show_function_value_and_atomic_in_words(lab):
    lab.position.value = 66
    before, after = lab.screen.value.split("<section")[1:]
    for shown, atomics in ((before, 3), (after, 3)):
        assert shown.count(">ATOMIC<") == atomics
    assert "page_counter_cancel" in before
    assert "memcg 2: 64 → 31" in plain(after)
    assert "33 &gt; 32: yes" in after
    assert re.search(r"<del[^>]*>- page_counter_uncharge\(&amp;memcg-&gt;memory, nr_pages\);</del>", before)
    for line in ("if (stock-&gt;nr_pages &gt; CHARGE_BATCH)", "drain_stock(stock);", "refill_stock(memcg, nr_pages);"):
        assert re.search(r"<ins[^>]*>\+ " + re.escape(line) + "</ins>", after)


def test_every_atomic_of_an_operation_is_shown():
    for traffic in PatchLab.traffics:
        run = patch.run(traffic, 3)
        for past in (run.before, run.after):
            for k in range(1, 401, 7):
                shown = views.machine("after", "t", past, k, run.names, run.rows)
                assert shown.count(">ATOMIC<") == past.atomics[k - 1]
                assert shown.count('class="n"') == len(
                    [s for s in past.steps(k - 1) if STEPS[s.step].function != "return"]
                )


def test_the_view_keeps_its_height():
    for traffic in PatchLab.traffics:
        run = patch.run(traffic, 5)
        for past in (run.before, run.after):
            assert max(views.step_lines(past, k) for k in range(1, 401)) <= run.rows


@pytest.mark.parametrize("traffic", PatchLab.traffics)
@pytest.mark.parametrize("depth", [1, 5])
@pytest.mark.parametrize("position", [0, 1, 400])
def test_the_extremes_of_every_control_work(traffic, depth, position):
    lab = PatchLab()
    lab.set(traffic=traffic, depth=depth, position=position)
    assert "That did not work" not in lab.message
    assert lab.settings() == {"traffic": traffic, "depth": depth, "position": position}
    assert len(lab.table()) == 2 + 3 * len(lab.result.run.names) + 2
    assert lab.figure().sentence.startswith("Line chart")


def test_moving_the_cursor_answers_in_50_ms_of_cpu(lab):
    lab.set(traffic="two cgroups take turns on one CPU", depth=5)
    lab.show_numbers.value = True
    taken = []
    for position in range(100, 120):
        start = time.process_time()
        lab.position.value = position
        taken.append(time.process_time() - start)
    assert np.median(taken) < 0.05


def test_moving_the_cursor_leaves_the_picture(lab):
    picture, cursor = lab.picture.value, lab.cursor.value
    lab.position.value = 200
    assert lab.picture.value == picture
    assert lab.cursor.value != cursor
    lab.depth.value = 4
    assert lab.picture.value != picture


def test_the_cursor_stands_where_the_picture_has_its_axes(lab):
    def left():
        return float(re.search(r"left:([\d.]+)px", lab.cursor.value)[1])

    x0, _, width, _ = lab.figure().figure.axes[0].get_position().bounds
    start = left()
    lab.position.value = 400
    assert start == pytest.approx(720 * x0, abs=1)
    assert left() == pytest.approx(720 * (x0 + width), abs=1)


def test_the_numbers_are_folded_until_asked_for(lab):
    assert lab.numbers.value == ""
    lab.show_numbers.value = True
    assert 'scope="row" style="text-align:left">atomics so far</th>' in lab.numbers.value
    shown = lab.numbers.value
    lab.position.value = 66
    assert lab.numbers.value != shown
    lab.show_numbers.value = False
    assert lab.numbers.value == ""


def test_reset_goes_back_to_the_first_settings():
    lab = PatchLab(depth=3, position=10)
    lab.set(traffic="33 pages at a time", depth=1, position=400)
    lab.reset.click()
    assert lab.settings() == {"traffic": BACK_AND_FORTH, "depth": 3, "position": 10}
    assert "Operation 10 of 400" in lab.message


def test_the_copied_line_makes_the_same_lab(lab):
    lab.set(traffic="33 pages at a time", depth=4, position=17)
    assert lab.code.layout.visibility == "hidden"
    lab.copy_settings.click()
    assert lab.code.layout.visibility == "visible"
    twin = eval(lab.code.value, {"PatchLab": PatchLab})
    assert twin.settings() == lab.settings()
    assert repr(twin) == repr(lab)
    lab.position.value = 18
    assert lab.code.value.endswith("position=18)")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"depth": 0}, "depth is 0; it must be a whole number from 1 to 5"),
        ({"depth": 6}, "1 to 5"),
        ({"depth": 2.0}, "whole number"),
        ({"depth": True}, "whole number"),
        ({"position": -1}, "0 to 400"),
        ({"position": 401}, "0 to 400"),
        ({"traffic": "none"}, "it must be one of: one CPU charges and gives back;"),
        ({"traffic": ["a"]}, "it must be one of"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(settings, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        PatchLab(**settings)


def test_an_unknown_setting_is_refused(lab):
    with pytest.raises(ValueError, match="there are traffic, depth, position"):
        lab.set(speed=1)


# --- every lab


class Doubler(Lab):
    """The smallest lab."""

    def make_controls(self, number):
        return {"number": base.whole_number_box("number", number, 0, 9, "Number to double, 0 to 9:")}

    def compute(self, settings):
        if settings["number"] == 7:
            raise RuntimeError("seven <b>is</b> out of order")
        return 2 * settings["number"]

    def figure(self, result=None):
        return figures.atomics_over_ops({"after": [0, self.result if result is None else result]})

    def sentence(self, result=None):
        return f"The double is {self.result if result is None else result}."

    def table(self, result=None):
        return pd.DataFrame({"double": [result]})


LABS = {
    "PatchLab": lambda: PatchLab(position=66),
    "ProfileLab": lambda: ProfileLab(marked=["page_counter_cancel"]),
    "CounterLab": lambda: CounterLab(),
    "StockLab": lambda: StockLab(position=33),
    "DriftLab": lambda: DriftLab(),
    "ContentionLab": lambda: ContentionLab(),
    "Doubler": lambda: Doubler(number=2),
}


@pytest.fixture(params=LABS.values(), ids=LABS)
def any_lab(request):
    return request.param()


def test_an_error_becomes_a_sentence_and_the_view_stays():
    lab = Doubler(number=2)
    picture = lab.picture.value
    lab.number.value = 7
    assert lab.message == (
        "That did not work: seven <b>is</b> out of order. The lab still shows the last settings that did."
    )
    assert "<b>" not in lab.status.value
    assert lab.picture.value == picture
    assert lab.result == 4
    lab.number.value = 8
    assert lab.message == "The double is 16."


def test_an_error_in_a_button_becomes_a_sentence():
    lab = Doubler(number=2)
    button = lab.button("Break", lambda: 1 / 0)
    button.click()
    assert lab.message.startswith("That did not work: division by zero.")


def test_a_lab_reads_without_a_kernel(any_lab):
    data = any_lab._repr_mimebundle_()
    assert {"text/plain", "text/html", "image/png", "application/vnd.jupyter.widget-view+json"} == set(data)
    assert data["text/plain"] == f"{type(any_lab).__name__}: {any_lab.sentence(any_lab.result)}"
    assert data["image/png"].startswith("iVBOR")
    assert "Run this cell to make it live." in data["text/html"]
    assert re.search(r'<img alt="[^"]{20,}"', data["text/html"])
    assert "<details><summary>The numbers</summary>" in data["text/html"]


def test_a_lab_looks_the_same_twice(any_lab):
    first, again = any_lab._repr_mimebundle_(), any_lab._repr_mimebundle_()
    for mime in ("text/plain", "text/html", "image/png"):
        assert first[mime] == again[mime]
        assert not re.search(r"0x[0-9a-f]{6}|\b[0-9a-f]{32}\b", first[mime] if mime != "image/png" else "")
    assert "0x" not in repr(any_lab)


def test_a_lab_has_no_output_widget_and_no_script(any_lab):
    for widget in every_widget(any_lab):
        assert not isinstance(widget, W.Output)
        assert "<script" not in str(getattr(widget, "value", ""))
        assert "onclick" not in str(getattr(widget, "value", ""))


def test_every_control_is_described_in_full(any_lab):
    for widget in every_widget(any_lab):
        if isinstance(widget, (W.HTML, W.Box)):
            continue
        assert len(widget.description) >= 4
        if not isinstance(widget, (W.Button, W.Checkbox)):
            assert widget.style.description_width == "initial"
            assert widget.description.endswith(":")
    assert not any(isinstance(widget, (W.IntSlider, W.Play, W.Image)) for widget in every_widget(any_lab))


def test_every_picture_has_alternative_text(any_lab):
    for widget in every_widget(any_lab):
        for picture in re.findall(r"<img[^>]*>", str(getattr(widget, "value", ""))):
            assert re.match(r'<img alt="[^"]{20,}"', picture)


def test_every_sketch_has_a_name(any_lab):
    for widget in every_widget(any_lab):
        for sketch in re.findall(r"<svg[^>]*>", str(getattr(widget, "value", ""))):
            assert re.match(r'<svg role="img" aria-label="Line chart, [^"]{20,}"', sketch)


def test_a_table_shows_in_the_lab(any_lab):
    any_lab.show_numbers.value = True
    assert any_lab.numbers.value.count('<th scope="row"') == len(any_lab.table())


def test_the_copied_line_makes_any_lab_again(any_lab):
    if type(any_lab).__name__ == "Doubler":
        pytest.skip("no part of the library")
    any_lab.copy_settings.click()
    twin = eval(any_lab.code.value, {type(any_lab).__name__: type(any_lab)})
    assert twin.settings() == any_lab.settings()
    assert repr(twin) == repr(any_lab)


def test_an_unknown_setting_of_any_lab_is_refused(any_lab):
    with pytest.raises(ValueError, match="is no setting of this lab; there are "):
        any_lab.set(speed=1)


def test_a_base_lab_says_what_is_missing():
    with pytest.raises(NotImplementedError):
        Lab()
