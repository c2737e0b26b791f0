"""The labs that are charts, and the one file with all labs, in Chromium: what they show is what Python computes.

python -m pytest tests/browser/test_charts.py -m browser

Opened from file:// with the network off. Screenshots are left in ``build/screenshots``, to be looked at.
"""

import json
import math
import re
import statistics

import pytest

from browser_helpers import PATIENCE, drawn, expect, until
from lab_helpers import GOLDEN
from memcg_lab import ContentionLab, CostLab, MeasureLab, ProfileLab, read_golden
from memcg_lab.labs import TraceLab, contention, cost
from memcg_lab.web.page import BYTES_MAX, make_page
from memcg_lab.web.sections import SECTIONS
from memcg_lab.words import number

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHARTS = ("ContentionLab", "ProfileLab", "CostLab", "MeasureLab")
TRAFFICS, LAYOUTS = ContentionLab.traffics, ContentionLab.layouts
ROUNDING = 1e-12  # of what the page adds up in another order; counts of operations are the same to the last bit


@pytest.fixture(scope="module")
def files(tmp_path_factory, web_kernels):
    """The one file, and a page for each chart lab alone."""
    folder = tmp_path_factory.mktemp("page")
    made = {name: folder / f"{name}.html" for name in (None, *CHARTS)}
    for name, path in made.items():
        make_page(path, web_kernels, name)
    return made


@pytest.fixture
def opened(files, watched):
    """Opens the page of a lab at a place, or the one file."""

    def at(name=None, place="", **options):
        page = watched(f"{files[name].as_uri()}#{place}", offline=True, **options)
        if name:
            page.locator(".charts").wait_for()
            drawn(page)
        return page

    return at


def lab(page, call, name=None):
    """What the handle of a lab says, or does."""
    which = f"memcgLab.handles.get({json.dumps(name)})" if name else "memcgLab.stage"
    return page.evaluate(f"(async () => {{ const lab = {which}; return {call}; }})()")


def sentence(page):
    return page.locator(".status").inner_text()


def says(page, text):
    """Wait until a lab says this."""
    expect(page.locator(".status")).to_have_text(text)


def copied(page, kind):
    """The text that a button gives. What it says of that comes once the browser has, or has not, taken it."""
    page.get_by_role("button", name=f"Copy as {kind}").click()
    says(page, re.compile("^(Copied|The text is below)"))
    return page.get_by_label("Text to copy").input_value()


def table_of(page):
    """The table of a lab, unfolded: header and rows of texts."""
    details = page.locator(".charts details")
    if not details.evaluate("(el) => el.open"):
        details.locator("summary").click()
    details.locator("tr").first.wait_for()
    return [row.locator("th, td").all_inner_texts() for row in details.locator("tr").all()]


def expected_table(settings):
    """What the table of the contention lab says, from the simulations in Python."""
    shape = [settings[name] for name in ("depth", "traffic", "counter_layout", "think_ns")]
    here = [contention.point(policy, settings["cpus"], *shape) for policy in contention.POLICIES.values()]
    rows = [
        ["operations in a microsecond", *(number(point.throughput, 4) for point in here)],
        ["waiting for lines, percent of all CPU time", *(f"{point.stalled:.2f}" for point in here)],
        ["CPUs at the busiest line", *(f"{point.busiest[1]:.2f}" for point in here)],
    ]
    shares = [dict(point.shares) for point in here]
    for function in dict.fromkeys([*shares[0], *shares[1]]):
        rows.append([f"{function}, percent", *(f"{share.get(function, 0.0):.2f}" for share in shares)])
    return rows


# --- the contention lab ----------------------------------------------------------------------------------------------
SETTINGS = [
    {"cpus": 1, "depth": 1, "traffic": TRAFFICS[2], "counter_layout": LAYOUTS[0], "think_ns": 500},
    {"cpus": 3, "depth": 8, "traffic": TRAFFICS[0], "counter_layout": LAYOUTS[1], "think_ns": 777},
    {"cpus": 64, "depth": 3, "traffic": TRAFFICS[1], "counter_layout": LAYOUTS[2], "think_ns": 5_000},
    {"cpus": 129, "depth": 2, "traffic": TRAFFICS[3], "counter_layout": LAYOUTS[3], "think_ns": 1_000},
    {"cpus": 256, "depth": 3, "traffic": TRAFFICS[1], "counter_layout": LAYOUTS[0], "think_ns": 100_000},
    ContentionLab().settings(),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: f"{settings['cpus']} CPUs")
def test_points_and_curves_of_the_page_are_those_of_python(opened, settings):
    page, expected = opened("ContentionLab"), ContentionLab(**settings)
    got = lab(page, f"(await lab.set({json.dumps(settings)}), {{ point: lab.point, curve: lab.curve }})")
    for name in ("before", "after"):
        pairs = zip(
            [got["point"][name], *got["curve"][name]],
            [getattr(expected.result, name), *expected.result.curve[name]],
            strict=True,
        )
        for here, there in pairs:
            assert here["throughput"] == there.throughput
            assert here["stalled"] == pytest.approx(there.stalled, rel=ROUNDING)
            assert [share[0] for share in here["shares"]] == [share[0] for share in there.shares]
            assert [share[1] for share in here["shares"]] == pytest.approx(
                [share[1] for share in there.shares], rel=ROUNDING
            )
            assert here["busiest"][0] == there.busiest[0]
            assert here["busiest"][1] == pytest.approx(there.busiest[1], rel=ROUNDING)
    assert sentence(page) == expected.message
    assert page.locator(".chart").get_attribute("aria-label") == expected.figure().sentence
    assert table_of(page)[1:] == expected_table(settings)


def test_numbers_are_written_as_python_writes_them(opened):
    page = opened("ProfileLab")
    values = [0, 7, 10313, 2.0, 3 / 33, 1234.56, 0.125, 0.375, 2.5, 62.186, 99.95, 999.5, 1e-7, 0.00123456, 1e6 + 0.5]
    values += [k / 64 for k in range(1, 400, 7)] + [k / 999 for k in range(1, 4000, 37)]
    for digits in (2, 3, 4):
        told = page.evaluate(f"(values) => values.map((value) => memcgLab.charts.number(value, {digits}))", values)
        assert told == [number(value, digits) for value in values]
    told = page.evaluate("(values) => values.map((value) => memcgLab.charts.fixed(value, 2))", values)
    assert told == [f"{value:.2f}" for value in values]


def test_the_cursor_is_dragged_and_everything_follows(opened):
    page = opened("ContentionLab")
    chart = page.locator(".chart").bounding_box()
    ticks = {text.text_content(): text.bounding_box() for text in page.locator(".chart text[text-anchor=middle]").all()}

    def middle(cpus):
        return ticks[str(cpus)]["x"] + ticks[str(cpus)]["width"] / 2

    page.mouse.move(middle(128), chart["y"] + 90)
    page.mouse.down()
    page.mouse.move(middle(32), chart["y"] + 90, steps=8)
    page.mouse.up()
    expect(page.get_by_role("spinbutton", name="CPUs: 1 to 256")).to_have_value("32")
    assert page.locator(".cursor").get_attribute("aria-valuenow") == "32"
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.getAttribute('class')") == "cursor"
    lab(page, "await lab.set({})")
    assert sentence(page) == ContentionLab(cpus=32).message
    cursor, marks = page.locator(".cursor circle").bounding_box(), page.locator(".chosen").all()
    assert cursor["x"] + cursor["width"] / 2 == pytest.approx(middle(32), abs=1.5)
    assert [mark.bounding_box()["x"] + mark.bounding_box()["width"] / 2 for mark in marks] == [
        pytest.approx(middle(32), abs=1.5)
    ] * 2
    page.get_by_label("Traffic").select_option(TRAFFICS[0])
    page.get_by_label("Layout").select_option(LAYOUTS[0])
    box = page.get_by_role("spinbutton", name="Think time, ns: 500 to 100,000")
    box.fill("3333")
    box.press("Enter")
    asked = {"cpus": 32, "depth": 3, "traffic": TRAFFICS[0], "counter_layout": LAYOUTS[0], "think_ns": 3333}
    lab(page, "await lab.set({})")
    assert sentence(page) == ContentionLab(**asked).message
    assert table_of(page)[0] == ["with 32 CPUs", "before", "after"]
    assert table_of(page)[1:] == expected_table(asked)
    assert eval(copied(page, "Python"), {"ContentionLab": ContentionLab}).settings() == asked
    page.get_by_role("button", name="Reset").click()
    lab(page, "await lab.set({})")
    assert sentence(page) == ContentionLab().message


def test_the_picture_has_the_numbers(opened):
    page, result = opened("ContentionLab"), ContentionLab().result
    lab(page, "await lab.set({})")
    scale = page.locator(".chart .grid text").all()
    zero, top = scale[0], scale[-1]
    per_pixel = float(top.text_content()) / (zero.bounding_box()["y"] - top.bounding_box()["y"])
    for side, name in enumerate(("before", "after")):
        path = page.locator(f".chart .line.m{side}").get_attribute("d")
        drawn = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", path)]
        axis = float(zero.get_attribute("y")) - 5
        values = [here.throughput for here in result.curve[name]]
        assert [(axis - y) * per_pixel for y in drawn] == pytest.approx(values, abs=0.3)
        label = page.locator(f".chart .label.m{side}").text_content()
        assert label == f"{name} {number(values[-1])}"
        bars = page.locator(f".profiles .share.m{side}").all()
        widest = float(bars[0].get_attribute("width"))
        shares = dict(getattr(result, name).shares)
        first = page.locator(".profiles .strong").first.text_content()
        told = page.locator(f".profiles .label.m{side}").first.text_content()
        assert told == f"{shares[first]:.2f}"
        assert widest > 0
    assert (
        page.locator(".profiles")
        .get_attribute("aria-label")
        .startswith("Bars, percent of all CPU time with 128 CPUs, before and after: page_counter_cancel ")
    )


FOCUSED = """() => {
  let el = document.activeElement;
  while (el?.shadowRoot?.activeElement) el = el.shadowRoot.activeElement;
  return el === document.body ? "body" : el.getAttribute("aria-label") ?? el.labels?.[0]?.textContent ?? el.textContent;
}"""


def tab_to(page, label):
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        assert focused != "body", f"the focus fell to the body on the way to {label}"
        if focused.startswith(label):
            return
    raise AssertionError(f"no Tab leads to {label}")


def test_the_keyboard_alone_does_everything(opened):
    page = opened("ContentionLab")
    asked = ContentionLab().settings()
    tab_to(page, "CPUs")  # the slider
    page.keyboard.press("ArrowLeft")
    tab_to(page, "Levels below the root")
    page.keyboard.press("ArrowRight")
    tab_to(page, "Think time, ns")
    tab_to(page, "Think time, ns: ")
    page.keyboard.press("Control+a")
    page.keyboard.type("4000")
    page.keyboard.press("Enter")
    tab_to(page, "Traffic")
    page.keyboard.press("ArrowUp")
    tab_to(page, "CPUs")  # the cursor
    for key in ("PageDown", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    asked |= {"cpus": 127 // 2 - 2, "depth": 4, "think_ns": 4000, "traffic": TRAFFICS[1]}
    lab(page, "await lab.set({})")
    assert lab(page, "lab.settings") == asked
    assert sentence(page) == ContentionLab(**asked).message
    tab_to(page, "The same as a table")
    page.keyboard.press("Enter")
    assert table_of(page)[1:] == expected_table(asked)


def test_a_link_restores_the_settings(opened):
    page = opened("ContentionLab")
    lab(page, f"await lab.set({json.dumps(SETTINGS[1])})")
    page.get_by_role("button", name="Copy link").click()
    link = page.get_by_label("Text to copy").input_value()
    again = opened("ContentionLab", link.split("#")[1])
    lab(again, "await lab.set({})")
    assert lab(again, "lab.settings") == SETTINGS[1]
    odd = opened("ContentionLab", "cpus=9999&traffic=none&depth=2&wheels=4")
    assert lab(odd, "lab.settings") == ContentionLab(depth=2).settings()
    told = sentence(odd)
    assert told.startswith("The link asks for what cannot be: cpus is 9,999; it must be a whole number from 1 to 256.")
    assert "traffic is none; it must be one of: every CPU charges" in told
    assert "wheels is no setting of this lab; there are cpus, depth," in told
    lab(odd, "await lab.set({ cpus: 4 })")
    assert sentence(odd) == ContentionLab(depth=2, cpus=4).message


# Times each move from the reader's hand (a key, the mouse) until a picture of it, or of a later one, is painted; and
# says whether that was one of a simulation that was not over.
WATCH = """() => {
  const { stage: lab } = memcgLab, open = (window.open_ = []), moves = (window.moves = []), text = JSON.stringify;
  let begun = 0, n = 0, waits = false;
  for (const event of ["keydown", "pointerdown", "pointermove"])
    addEventListener(event, (e) => { begun = e.timeStamp; performance.mark(`begun ${++n}`); }, true);
  const until = () => open.findLastIndex(({ asks }) => lab.last && asks === text(lab.last.of)) + 1;
  new MutationObserver(() => open.slice(0, until()).forEach((move) => {
    if (!move.drawn) performance.mark(`drawn ${move.n}`);
    move.drawn = true;
  })).observe(lab.root.querySelector(".profiles"), { attributes: true, subtree: true });
  const look = () => {
    for (const move of open) move.frames++;
    const there = open.splice(0, until()), rough = !lab.last?.over;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { // the frame is painted
      for (const move of there) {
        if (!move.drawn) performance.mark(`drawn ${move.n}`);
        performance.mark(`painted ${move.n}`);
        moves.push({ n: move.n, ms: performance.now() - move.begun, frames: move.frames, rough });
      }
    };
    if (there.length) port2.postMessage(0);
    waits = open.length > 0;
    if (waits) requestAnimationFrame(look);
  };
  lab.stats.moves.push = () => {
    open.push({ begun, n, frames: 0, asks: text(lab.settings) });
    if (!waits) requestAnimationFrame(look);
    waits = true;
  };
}"""


def cpu_times(trace):
    """CPU time of the page's own thread, in ms, so that what else runs on this machine is not in it.

    Of its longest task, and of each move by its number: until a picture of it is drawn, and until that is painted. In
    between the page goes on with the rest of the curve.
    """
    events = json.loads(trace)["traceEvents"]
    marks = {e["name"]: e for e in events if re.fullmatch(r"(begun|drawn|painted) \d+", e["name"]) and "tts" in e}
    thread = next(iter(marks.values()))["tid"]
    moves = {
        int(name.split()[1]): [
            (marks[name.replace("painted", to)]["tts"] - marks[name.replace("painted", "begun")]["tts"]) / 1000
            for to in ("drawn", "painted")
        ]
        for name in marks
        if name.startswith("painted")
    }
    tasks = [e for e in events if e["tid"] == thread and e["name"].endswith("RunTask") and "tdur" in e]
    return max(task["tdur"] for task in tasks) / 1000, moves


def spread(values):
    ordered = sorted(values)
    return (
        f"median {statistics.median(ordered):.1f}, 95 of 100 under {ordered[int(0.95 * len(ordered))]:.1f}, "
        f"worst {ordered[-1]:.1f}"
    )


def painted(page):
    page.evaluate("new Promise((go) => { const look = () => setTimeout(open_.length ? look : go, 20); look(); })")


def keys(page, control, pressed):
    control.focus()
    for key in pressed:
        page.keyboard.press(key)
        painted(page)


def dragged(page, box, shares, y=0.5):
    """The mouse goes down at the first share of a box's width, and on to the others about every frame."""
    for k, share in enumerate(shares):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + y * box["height"])
        if k == 0:
            page.mouse.down()
        page.wait_for_timeout(12)  # as fast as a hand; nothing has to have happened by then
    page.mouse.up()
    painted(page)


# A page without a lab: the value of a slider is written beside it. What this takes until it is painted is what the
# browser and the machine take; a lab's moves are read beside it.
PLAIN = """<!doctype html><input type="range" min="1" max="256" value="16" style="width: 400px"><output>16</output>
<script>
  const [slider, told] = document.querySelectorAll("input, output"), moves = [], open_ = [];
  let begun = 0;
  for (const event of ["keydown", "pointerdown", "pointermove"])
    addEventListener(event, (e) => { begun = e.timeStamp; }, true);
  slider.addEventListener("input", () => {
    const move = { begun };
    open_.push(move);
    told.value = slider.value;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => { // the frame is painted
        moves.push(performance.now() - move.begun);
        open_.splice(open_.indexOf(move), 1);
      };
      port2.postMessage(0);
    });
  });
</script>"""


def test_what_a_page_takes_that_only_writes_a_number_is_told(chromium, measured):
    page = chromium.new_page()
    page.set_content(PLAIN)
    slider = page.get_by_role("slider")
    across = [0.5 + 0.45 * math.sin(k / 4) for k in range(60)]
    kinds = {
        "keys": lambda: keys(page, slider, [*["ArrowRight"] * 12, "End", "Home", "End", *["ArrowLeft"] * 45]),
        "the mouse": lambda: [dragged(page, slider.bounding_box(), across) for _ in range(3)],
    }
    for kind, act in kinds.items():
        act()
        moves = page.evaluate("moves.splice(0)")
        assert len(moves) > 5
        measured(f"a page with a slider and its value, no lab, {kind}, {len(moves)} moves: ms {spread(moves)}")
    page.close()


@pytest.mark.parametrize("traffic", TRAFFICS)
def test_every_move_is_painted_and_what_it_took_is_told(opened, chromium, measured, traffic):
    page = opened("ContentionLab")
    lab(page, f"await lab.set({json.dumps({'traffic': traffic})})")
    page.evaluate(WATCH)
    sliders = [page.get_by_role("slider", name=name, exact=True) for name in ("CPUs", "Levels below the root")]
    sliders = [sliders[0].first, sliders[1], page.get_by_role("slider", name="Think time, ns", exact=True)]
    across = [0.5 + 0.45 * math.sin(k / 4) for k in range(60)]
    took, kinds = (
        {},
        {
            "keys on the sliders": lambda: [
                keys(page, slider, pressed)
                for slider, pressed in zip(
                    sliders,
                    (
                        [*["ArrowRight"] * 12, "End", "Home", "End", *["ArrowLeft"] * 12],
                        ["ArrowRight", "Home", *["ArrowRight"] * 7, "Home"],
                        ["ArrowLeft", "Home", "End", *["ArrowLeft"] * 31],
                    ),
                    strict=True,
                )
            ],
            "keys on the cursor": lambda: keys(
                page,
                page.locator(".cursor"),
                ["PageDown", *["ArrowLeft"] * 8, "Home", *["PageUp"] * 8, *["ArrowDown"] * 8],
            ),
            "keys on the lists": lambda: keys(
                page, page.get_by_label("Layout"), [*["ArrowUp"] * 3, *["ArrowDown"] * 3]
            ),
            "the mouse on the sliders": lambda: [dragged(page, slider.bounding_box(), across) for slider in sliders],
            "the mouse on the cursor": lambda: dragged(page, page.locator(".chart .grid").bounding_box(), across),
        },
    )
    chromium.start_tracing(page=page, categories=["toplevel", "blink.user_timing"])
    for kind, act in kinds.items():
        act()
        took[kind] = page.evaluate("moves.splice(0)")
    task, cpu = cpu_times(chromium.stop_tracing())
    for kind, moves in took.items():
        assert len(moves) > 5
        frames = [sum(move["frames"] == n for move in moves) for n in (1, 2)]
        measured(
            f"{traffic}, {kind}, {len(moves)} moves until the first picture is painted: "
            f"ms {spread([move['ms'] for move in moves])}; "
            f"in the first frame {frames[0]}, in the second {frames[1]}, later {len(moves) - sum(frames)}; "
            f"CPU ms until it is drawn {spread([cpu[move['n']][0] for move in moves])}, "
            f"until it is painted {spread([cpu[move['n']][1] for move in moves])}; "
            f"{sum(move['rough'] for move in moves)} of a simulation that was not over"
        )
    measured(f"{traffic}: longest task {task:.1f} ms of CPU")
    lab(page, "await lab.set({})")
    assert sentence(page) == ContentionLab(**lab(page, "lab.settings")).message


def test_the_same_front_end_asks_python_where_there_are_no_kernels(opened):
    page, twin = opened("ContentionLab"), ContentionLab()
    page.expose_function("askPython", twin.answer)
    page.evaluate(
        """async ([data, settings]) => {
          const el = document.createElement("div");
          el.id = "twin";
          document.body.append(el);
          window.changed = [];
          const change = (now) => window.changed.push(now);
          window.twin = await memcgLab.charts.labs.ContentionLab({ name: "ContentionLab", el, data, settings, lab: null,
            ask: (question) => window.askPython(question), place: null, change });
          await window.twin.set({ cpus: 16, depth: 2 });
        }""",
        [twin.data(), twin.settings()],
    )
    assert page.locator("#twin .status").inner_text() == ContentionLab(cpus=16, depth=2).message
    box = page.locator("#twin").get_by_role("spinbutton", name="CPUs: 1 to 256")
    box.fill("8")
    box.press("Enter")
    expect(page.locator("#twin .status")).to_have_text(ContentionLab(cpus=8, depth=2).message)
    assert page.evaluate("window.changed") == [twin.settings() | {"cpus": 8, "depth": 2}]


def test_what_is_empty_in_a_link_is_said_to_be_empty(opened):
    assert "cpus is empty; it must be a whole number" in sentence(opened("ContentionLab", "cpus="))


def test_the_trace_lab_plays_anew_from_its_end(opened):
    page = opened(None, "TraceLab:p=2000")
    page.locator("#TraceLab .stage").wait_for()
    page.locator("#TraceLab").get_by_role("button", name="Play").click()
    # An event stands for a moment only: the third or a later one, before it comes to the 2,000th again.
    expect(page.locator("#TraceLab .status")).to_have_text(re.compile(r"^Event ([3-9]|\d{2,3}) of "))
    page.locator("#TraceLab").get_by_role("button", name="Pause").click()


def test_the_sentence_of_the_cost_lab_is_whole_and_names_every_row(opened):
    page = opened("CostLab")
    told = page.locator(".status")
    assert told.inner_text() == CostLab().message
    assert "measured 2.13 %, the model 2.11 %" in told.inner_text()
    assert all(symbol in told.inner_text() for symbol in cost.MODELLED)
    assert told.evaluate("(el) => el.scrollHeight <= el.clientHeight")


def test_the_three_things_are_found(opened):
    page = opened("ContentionLab")
    assert lab(page, "lab.board.found") == []
    gains = {"cpus": 256, "traffic": TRAFFICS[0], "think_ns": 1_000}
    assert ContentionLab(**gains).result.after.throughput > 10 * ContentionLab(**gains).result.before.throughput
    commit = {**gains, "cpus": 16, "counter_layout": LAYOUTS[0]}

    def listed(think_ns):
        here = contention.point(contention.V4_13, 16, 3, TRAFFICS[0], LAYOUTS[0], think_ns)
        return dict(here.shares)[contention.FITTED]

    commit["think_ns"] = next(ns for ns in range(12_000, 15_000, 100) if abs(listed(ns) - contention.PUBLISHED) < 0.04)
    for settings in (gains, {**gains, "counter_layout": LAYOUTS[0]}, commit):
        lab(page, f"await lab.set({json.dumps(settings)})")
    found = lab(page, "lab.board.found")
    assert re.fullmatch(r"[\d.]+ times as many with 256 CPUs\.", found[0])
    assert found[1].startswith("251 CPUs at memory_allocated")
    assert re.match(r"2\.1\d % with 16 CPUs and 1\d,\d00 ns", found[2])
    assert page.locator(".quests .found").count() == 3
    page = opened("ProfileLab")
    for marked in ([0], [2, 3], [*range(16)]):
        lab(page, f"lab.set({{ marked: {marked} }})")
    assert lab(page, "lab.board.found") == [
        "page_counter_cancel alone: a factor of 1.022 at most.",
        "2.01 %. The listing does not say whose locks they are.",
        "With 16 rows: a factor of 1.156 at most.",
    ]
    page = opened("CostLab")
    for settings in (
        {"packages": "one package", "same_ns": 20, "levels": 5, "local_ns": 4},
        {"levels": 2, "walks": CostLab.paths[0]},
        {"packages": "two packages", "same_ns": 20, "cross_ns": 60, "local_ns": 8, "meeting": "mixed"},
    ):
        lab(page, f"await lab.set({json.dumps(settings)})")
    assert [one.split(":")[0] for one in lab(page, "lab.board.found")] == [
        "5 counters on 28 CPUs, in turn",
        "2 counters on 28 CPUs, in turn",
        "None",
    ]


# --- the profile lab -------------------------------------------------------------------------------------------------
def test_rows_are_marked_by_mouse_and_by_keyboard(opened):
    page, expected = opened("ProfileLab"), ProfileLab()
    assert sentence(page) == expected.message
    names = ["page_counter_cancel", "__sk_mem_reduce_allocated", "tcp_delack_timer_handler"]
    for name in names:
        page.get_by_role("checkbox", name=name).click()
    expected.set(marked=names)
    assert sentence(page) == expected.message
    marked = page.locator(".line.on .symbol").all_inner_texts()
    assert marked == names
    assert [row[4] for row in table_of(page)[1:]] == expected.table()["percent without the marked"].tolist()
    page.get_by_role("checkbox", name=names[0]).focus()
    for key in ("Space", "ArrowDown", "ArrowDown", "Space"):
        page.keyboard.press(key)
    expected.set(marked=[1, 2, 9])
    assert sentence(page) == expected.message
    assert eval(copied(page, "Python"), {"ProfileLab": ProfileLab}).settings() == expected.settings()
    assert opened("ProfileLab", "marked=1.2.9").locator(".status").inner_text() == expected.message
    page.get_by_role("button", name="Mark all").click()
    assert sentence(page) == ProfileLab(marked=range(16)).message
    page.get_by_role("button", name="Mark none").click()
    assert sentence(page) == ProfileLab().message


def test_every_pair_of_rows_is_told_as_python_tells_it(opened):
    page, expected = opened("ProfileLab"), ProfileLab()
    for first in range(0, 16, 3):
        for second in range(first, 16, 2):
            marked = sorted({first, second})
            lab(page, f"lab.set({{ marked: {marked} }})")
            expected.set(marked=marked)
            assert sentence(page) == expected.message
            shares = [float(part) for part in re.findall(r"([\d.]+) %", page.locator(".told").inner_text())]
            assert shares[0] == pytest.approx(expected.result.share, abs=0.005)
            assert sum(shares) == pytest.approx(100, abs=0.02)


# --- the cost lab ----------------------------------------------------------------------------------------------------
def test_the_grid_answers_as_python_does(opened):
    page = opened("CostLab")
    assert sentence(page) == CostLab().message
    asked = CostLab().settings() | {"levels": 6, "walks": CostLab.paths[1], "meeting": CostLab.meetings[1]}
    page.get_by_label("After giving back").select_option(CostLab.paths[1])
    page.get_by_label("A CPU charges and gives back").select_option(CostLab.meetings[1])
    page.get_by_role("slider", name="Counters up to the root").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert lab(page, "lab.settings") == asked
    says(page, CostLab(**asked).message)
    rows = {row[0]: row[1:] for row in table_of(page)[1:]}
    there = CostLab(**asked).table()
    for symbol, (_, before, _, after, reading) in rows.items():
        assert (float(before), float(after)) == (there.loc[symbol, "model_before"], there.loc[symbol, "model_after"])
        assert reading == there.loc[symbol, "reading"]
    bars = page.locator(".profiles .label.m0").all_text_contents()
    assert bars == [f"{before} model" for _, before, _, _, _ in rows.values()]
    page.get_by_role("combobox", name="Machine").select_option("one package")
    one = asked | {"packages": "one package", "cross_ns": asked["same_ns"]}
    says(page, CostLab(**one).message)


def test_only_values_that_were_computed_are_offered(opened):
    page = opened("CostLab", "same_ns=57&levels=8&local_ns=1")
    assert lab(page, "lab.settings") == CostLab(levels=8).settings()
    assert "same_ns is 57; it must be one of: 20; 45; 90. local_ns is 1; it must be" in sentence(page)
    for name, values in cost.GRID.items():
        assert {"same_ns": 45, "cross_ns": 128, "local_ns": 8, "levels": 4}[name] in values
    box = page.get_by_role("spinbutton", name="To the other package, ns: 60; 128; 260")
    box.fill("200")
    box.press("Enter")
    assert box.input_value() == "128"
    assert sentence(page) == "To the other package, ns is 200; it must be one of: 60; 128; 260."


def test_with_one_package_the_way_to_the_other_is_put_away_with_a_reason(opened):
    page = opened("CostLab")
    slider = page.get_by_role("slider", name="To the other package, ns")
    assert slider.is_enabled()
    page.get_by_role("combobox", name="Machine").select_option("one package")
    assert page.get_by_text("there is no other package").is_visible()
    assert slider.count() == 0
    page.get_by_role("combobox", name="Machine").select_option("two packages")
    assert slider.is_visible()
    assert not page.get_by_text("there is no other package").is_visible()


# --- the measuring lab -----------------------------------------------------------------------------------------------
def test_a_page_shows_the_bundled_measurement_and_says_what_it_takes(opened):
    page, bundled = opened("MeasureLab"), MeasureLab()
    assert sentence(page) == bundled.message
    assert page.get_by_text("takes Python").is_visible()
    assert page.get_by_role("button", name="Start").count() == 0
    assert [row[0] for row in table_of(page)[1:]] == bundled.table().index.tolist()
    assert page.locator(".profiles").get_attribute("aria-label") == bundled.figure().sentence


def test_start_keeps_the_focus_and_stopping_early_is_no_failure(opened, monkeypatch):
    def measure(*, seconds, progress, stop):
        progress(1, 4)
        assert stop.wait(PATIENCE)
        raise ValueError("stopped within the first round; there is nothing to report.")

    monkeypatch.setattr("memcg_lab.labs.measure.measure", measure)
    page, twin = opened("MeasureLab"), MeasureLab()
    page.expose_function("askPython", twin.answer)
    page.evaluate(
        """async ([data, settings]) => {
          const el = document.createElement("div");
          document.body.replaceChildren(el);
          el.append(document.createElement("p"));
          await memcgLab.charts.labs.MeasureLab({ name: "MeasureLab", el, data, settings, lab: null, change() {},
            ask: (question) => window.askPython(question), place: null });
        }""",
        [twin.data(), twin.settings()],
    )
    page.get_by_role("button", name="Start").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").wait_for()
    assert page.evaluate(FOCUSED) == "Stop"
    assert page.locator(".status").inner_text().startswith("Measuring.")
    until(page, "() => document.querySelector('progress').max === 4")
    assert page.locator("progress").evaluate("(bar) => [bar.value, bar.max]") == [1, 4]
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Start").wait_for()
    assert page.evaluate(FOCUSED) == "Start"
    assert page.locator(".status").inner_text().startswith("Stopped before the first round was over")


# --- all of them -----------------------------------------------------------------------------------------------------
SMALL = """() => [...document.querySelector("figure > div").shadowRoot.querySelectorAll(".stage *:not(title)")]
  .filter((el) => [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
  .filter((el) => parseFloat(getComputedStyle(el).fontSize) < 14).map((el) => el.outerHTML.slice(0, 80))"""
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def violations(page):
    axe = pytest.importorskip("axe_playwright_python.base", reason="the extra `browser` is not installed")
    page.evaluate(axe.AXE_SCRIPT)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [(rule["id"], node["target"][-1]) for rule in found["violations"] for node in rule["nodes"]]


UNBOXED = """(list) => [...list.children].every((item) =>
  !item.querySelector("input, svg") && [...item.querySelectorAll("*")].every((el) => {
    const { borderTopWidth, borderTopStyle } = getComputedStyle(el);
    return borderTopStyle === "none" || borderTopWidth === "0px";
  }))"""


def test_quests_are_words_and_no_boxes(opened):
    page = opened("ProfileLab")
    quests = page.get_by_role("list", name="Three things to find")
    told = quests.get_by_role("listitem").all_inner_texts()
    assert [text.split(" ")[:2] for text in told] == [["not", "yet"]] * 3
    assert quests.evaluate(UNBOXED)
    page.get_by_role("checkbox").first.check()
    told = quests.get_by_role("listitem").all_inner_texts()
    assert told[0].startswith("\u2713 found page_counter_cancel alone")
    assert [text.startswith("not yet") for text in told] == [False, True, True]


def test_a_lab_is_silent_until_the_reader_acts(opened):
    for name in CHARTS:
        page = opened(name)
        page.wait_for_timeout(700)  # nothing is to happen: longer than what is said takes to be heard
        assert page.locator(".unseen").inner_text() == ""
    page = opened("ContentionLab")
    page.get_by_role("slider", name="Levels below the root").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".unseen", has_text="depth 4").wait_for(state="attached")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("ContentionLab", {"cpus": 9, "depth": 2}),
        ("ProfileLab", {"marked": [1, 2]}),
        ("CostLab", {"levels": 8, "packages": "one package"}),
        ("MeasureLab", {"seconds": 7}),
    ],
)
def test_json_goes_out_and_in_and_what_is_wrong_is_refused(opened, name, asked):
    page = opened(name)
    make = {each.__name__: each for each in (ContentionLab, CostLab, MeasureLab, ProfileLab)}[name]
    expected = make(**asked)
    page.get_by_role("button", name="Read JSON").click()
    box, read = page.get_by_label("JSON to read"), page.get_by_role("button", name="Read it")

    def given(text):
        box.fill(text)
        read.click()
        return sentence(page)

    given(expected.to_json())
    page.locator(".status", has_text=expected.message).wait_for()
    still = lab(page, "lab.settings")
    assert still == expected.settings()
    assert given("{") == 'This is no JSON; it must be what "Copy as JSON" gives.'
    assert given("[1]") == 'This is no lab; it must be {"lab": name, "settings": {...}}.'
    other = {"lab": "PatchLab", "settings": {}}
    assert given(json.dumps(other)) == f"This is of a PatchLab; it must be of a {name}."
    known = next(iter(asked))
    assert given(json.dumps({"lab": name, "settings": {**asked, known: 10**9}})).startswith(
        f"{known} is 1,000,000,000; "
    )
    assert given(json.dumps({"lab": name, "settings": {"wheels": 4}})).startswith("wheels is no setting of this lab; ")
    odd = {"lab": name, "settings": {}, "wheels": 4}
    assert given(json.dumps(odd)) == "wheels is no field of a lab's JSON; there are lab, settings."
    assert lab(page, "lab.settings") == still
    assert make.from_json(copied(page, "JSON")).settings() == expected.settings()


PLACES = """() => {
  const root = document.querySelector("figure > div").shadowRoot;
  const edges = (which) =>
    [...root.querySelectorAll(which)].map((el) => el.getBoundingClientRect()).filter(({ height }) => height);
  return [edges(".plot:not(.after) > svg"), edges(".bar:not(.more) :is(input, select)")];
}"""


@pytest.mark.parametrize("name", ["ContentionLab", "CostLab"])
def test_on_a_phone_the_picture_and_what_changes_it_are_on_the_screen_together(opened, name):
    page = opened(name, width=400, height=740)
    pictures, controls = page.evaluate(PLACES)
    top, bottom = (end([box[side] for box in [*pictures, *controls]]) for end, side in ((min, "top"), (max, "bottom")))
    assert len(controls) >= 8
    assert bottom - top <= 740


LISTS = """() => {
  const root = document.querySelector("figure > div").shadowRoot;
  return [...root.querySelectorAll("select")].map((list) => {
    const free = list.cloneNode(true);
    free.style.cssText = "position:absolute;flex:none;max-width:none;width:max-content";
    list.parentElement.append(free);
    const cut = list.offsetWidth < free.offsetWidth - 1;
    free.remove();
    return [cut, list.value, list.parentElement.querySelector("span").textContent];
  });
}"""


@pytest.mark.parametrize("width", [400, 700, 834, 1150])  # 700 and 834: beside a notebook's panels
@pytest.mark.parametrize("name", ["ContentionLab", "CostLab"])
def test_no_list_cuts_a_name_that_stands_nowhere_in_full(opened, name, width):
    page = opened(name, width=width, height=740)
    lists = page.evaluate(LISTS)
    assert len(lists) >= 2
    for cut, value, label in lists:
        assert label.endswith(f": {value}") if cut else ": " not in label
    assert any(cut for cut, *_ in lists) == (width == 400 and name == "ContentionLab")
    if width == 400 and name == "ContentionLab":
        page.get_by_label("Traffic").select_option(TRAFFICS[1])
        assert page.evaluate(LISTS)[0][1:] == [TRAFFICS[1], f"Traffic: {TRAFFICS[1]}"]
    if width > 640:
        moving = page.locator(".plot, .status, .bar:not(.more)").all()
        assert max(box["y"] + box["height"] for box in (part.bounding_box() for part in moving)) <= 560


CUT = """() => {
  const root = document.querySelector("figure > div").shadowRoot,
    texts = [...root.querySelectorAll("svg text")].filter((el) => el.style.display !== "none" && el.textContent.trim()),
    boxes = texts.map((el) => [el.textContent, el.getBoundingClientRect()]),
    wide = document.documentElement.clientWidth,
    meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4;
  return boxes.flatMap(([text, a], i) => [
    ...(a.left < 0 || a.right > wide ? [["cut", text]] : []),
    ...boxes.slice(i + 1).filter(([, b]) => meet(a, b)).map(([other]) => [text, other]),
  ]);
}"""


@pytest.mark.parametrize("name", ["CostLab", "MeasureLab"])
def test_on_a_phone_no_label_is_cut_or_meets_another(opened, name):
    page = opened(name, width=400, height=740)
    assert page.evaluate(CUT) == []
    if name == "CostLab":
        names = page.locator(".profiles .strong").all_text_contents()
        assert names == [row[0] for row in table_of(page)[1:]]
        drawn(page)  # the table may have brought a scroll bar
        lab(page, "await lab.set({ levels: 2, same_ns: 90, walks: lab.board.settings.walks })")
        drawn(page)
        assert page.evaluate(CUT) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1150, 560), (1280, 720), (816, 600), (400, 800)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("name", CHARTS)
def test_it_fits_is_readable_and_accessible(opened, shots, name, size, scheme):
    page = opened(name, width=size[0], height=size[1], color_scheme=scheme)
    if name == "ContentionLab":
        lab(page, "await lab.set({})")
    if name == "ProfileLab":
        lab(page, "lab.set({ marked: [0, 1, 9] })")
    page.screenshot(path=shots / f"{name}_{size[0]}_{scheme}.png", full_page=True)
    drawn(page)
    assert page.evaluate(SMALL) == []
    assert page.evaluate(WIDE) <= 0
    if size[0] > 1000:  # 816 is what JupyterLab leaves of 1280 beside its list of files
        assert page.locator(".charts").evaluate("(el) => el.getBoundingClientRect().bottom") <= 560
    # A page of one lab has no heading and no more landmarks: it is not made to be read alone.
    assert [one for one in violations(page) if one[0] not in ("page-has-heading-one", "region")] == []


# Whether every lab near the screen has come to life, and so what stands where keeps its place.
ALIVE = """() => [...document.querySelectorAll("[data-memcg-lab]")].every((figure) => {
  const { top, bottom } = figure.getBoundingClientRect();
  return bottom < -790 || top > innerHeight + 790 || memcgLab.handles.has(figure.dataset.memcgLab);
})"""


def alive(page):
    """Wait until nothing near the screen is still to come to life: one that does may bring the next one near."""
    while True:
        until(page, ALIVE)
        drawn(page)
        if page.evaluate(ALIVE):
            return


def test_the_one_file_has_all_labs_alive(opened, files, shots, measured):
    assert files[None].stat().st_size <= BYTES_MAX
    page = opened()
    page.locator(".stage").first.wait_for()
    ready = page.evaluate("memcgLab.ready")
    measured(f"the one file, {files[None].stat().st_size:,} bytes: first living picture after {ready:.0f} ms")
    links = page.locator("#contents a")
    assert [link.get_attribute("href") for link in links.all()] == [f"#{each.lab}" for each in SECTIONS]
    for picture in page.locator("#contents img").all():
        assert picture.evaluate("(img) => img.complete && img.naturalWidth > 100")
    for each in SECTIONS:
        links.filter(has_text=each.title).click()
        figure = page.locator(f"#{each.lab} figure")
        figure.locator(".stage").wait_for()
        assert page.locator(f"#{each.lab} h2").inner_text() == each.title
        assert figure.locator("> img").is_hidden()
        page.locator(f"#{each.lab}").screenshot(path=shots / f"one_file_{each.lab}.png")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=shots / "one_file.png")
    drawn(page)
    assert page.evaluate(WIDE) <= 0


def test_a_link_leads_to_its_lab_in_the_one_file(opened):
    page = opened(None, "ContentionLab:cpus=32&depth=2")
    page.locator("#ContentionLab .stage").wait_for()
    lab(page, "await lab.set({})", "ContentionLab")
    assert page.locator("#ContentionLab .status").inner_text() == ContentionLab(cpus=32, depth=2).message
    alive(page)
    assert abs(page.locator("#ContentionLab h2").bounding_box()["y"]) < 100  # the section with its heading
    assert page.locator("#ContentionLab figure").bounding_box()["y"] < 400
    box = page.locator("#ContentionLab").get_by_role("spinbutton", name="CPUs: 1 to 256")
    box.fill("16")
    box.press("Enter")
    expect(page).to_have_url(re.compile("#ContentionLab:cpus=16&depth=2&"))


def test_a_link_followed_in_the_open_file_wakes_its_lab(opened):
    page = opened()
    page.locator(".stage").first.wait_for()
    page.evaluate("location.hash = '#TraceLab:p=7'")
    page.locator("#TraceLab .stage").wait_for()
    status = page.locator("#TraceLab .status")
    assert status.inner_text() == TraceLab(position=7).message
    alive(page)
    assert abs(page.locator("#TraceLab h2").bounding_box()["y"]) < 100
    box = page.locator("#TraceLab").get_by_role("spinbutton", name="Event")
    for typed, told in (("", "nothing"), ("999999", "999,999"), ("-7", "-7"), ("1.5", "1.5")):
        box.fill(typed)
        box.press("Enter")
        assert box.input_value() == "7"
        assert status.inner_text() == f"Event is {told}; it must be a whole number from 0 to 2,000."
    page.evaluate("location.hash = '#TraceLab:r=9&p=8'")
    status.filter(
        has_text="The link asks for what cannot be: r is 9; it must be a whole number from 0 to 3."
    ).wait_for()
    assert box.input_value() == "8"
    page.evaluate("location.hash = '#TraceLab:p=9'")
    status.filter(has_text="Event 9 of").wait_for()


def test_a_link_is_not_lost_to_the_place_that_a_lab_tells(opened):
    page = opened(None, "TraceLab:p=5")
    page.locator("#TraceLab .stage").wait_for()
    # A lab writes its place a moment after a move: that may be between a link and its event.
    page.evaluate("location.hash = '#TraceLab:p=9'; history.replaceState(null, '', '#TraceLab:r=0&p=5')")
    expect(page.locator("#TraceLab .status")).to_have_text(re.compile("^Event 9 of "))


# No message that a lab sends itself arrives before release() is called: its simulations do not go on.
HELD = """() => {
  const Own = MessageChannel, waiting = [];
  let held = true;
  window.MessageChannel = function () {
    const made = new Own(), post = made.port2.postMessage.bind(made.port2);
    made.port2.postMessage = (what) => (held ? waiting.push(() => post(what)) : post(what));
    return made;
  };
  window.release = () => {
    held = false;
    for (const post of waiting) post();
  };
}"""
ASKED_FOR = """(cpus) => [...document.querySelectorAll("figure > div")].some(({ shadowRoot }) =>
  shadowRoot?.querySelector(`.cursor[aria-valuenow="${cpus}"]`))"""


def test_a_link_is_not_lost_that_is_followed_while_its_lab_comes_to_life(files, watched):
    page = watched("about:blank", offline=True)
    page.add_init_script(f"({HELD})()")
    page.goto(files["ContentionLab"].as_uri() + "#cpus=32")
    until(page, ASKED_FOR, 32)  # it has read the address
    page.evaluate("location.hash = '#cpus=16'")
    drawn(page)
    assert not page.evaluate("memcgLab.handles.has('ContentionLab')")
    page.evaluate("release()")
    says(page, ContentionLab(cpus=16).message)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_one_file_fits_and_is_accessible(opened, shots, width, scheme):
    page = opened(width=width, height=800, color_scheme=scheme)
    page.screenshot(path=shots / f"one_file_{width}_{scheme}.png", full_page=True)
    alive(page)
    assert page.evaluate(WIDE) <= 0
    assert violations(page) == []


def test_the_one_file_checks_itself(opened):
    page = opened()
    page.locator("#check button").click()
    line = page.locator("#check [role=status]")
    line.filter(has_text=re.compile(r"fields: \d+ mismatch(es)?\.")).wait_for(timeout=240_000)
    ops = sum(len(scenario.ops) for path in GOLDEN.glob("*.jsonl.gz") for scenario in read_golden(path))
    print(line.inner_text())
    assert line.inner_text().startswith(f"{ops:,} operations of the golden files, ")
    assert line.inner_text().endswith(" fields: 0 mismatches.")


def test_without_javascript_the_page_says_what_it_can_do(files, watched):
    for name in (None, "ContentionLab"):
        page = watched(files[name].as_uri(), offline=True, java_script_enabled=False)
        assert page.get_by_text("Run this cell").count() == 0
        assert page.get_by_text("in a browser with JavaScript; without, this stays.").first.is_visible()
        assert page.locator("figure > img").first.is_visible()


def test_where_a_lab_cannot_live_its_still_picture_stays(opened, files, tmp_path, chromium):
    broken = tmp_path / "broken.html"
    text = files["ContentionLab"].read_text(encoding="utf-8")
    broken.write_text(text.replace('"kernels.json":"', '"kernels.json":"AAAA', 1), encoding="utf-8")
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    with page.expect_console_message(lambda said: "ContentionLab stays a picture." in said.text):
        page.goto(broken.as_uri())
    assert page.locator("figure > img").is_visible()
    assert ContentionLab().message in page.locator("figcaption").inner_text()
    assert page.locator(".stage").count() == 0
    context.close()
