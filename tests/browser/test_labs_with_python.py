"""The labs with Python answering, as in a notebook: what the front end shows is what Python computes.

The page has the front end and no kernel; what it asks goes to the lab in this process. How a real JupyterLab carries
questions and answers is in ``test_notebooks.py``.
"""

import base64
import json
import re
import statistics
import time

import pytest

from browser_helpers import FRAMES, drawn, expect, until
from memcg_lab import ContentionLab, CounterLab, DriftLab, MeasureLab, PatchLab, StockLab, System
from memcg_lab.history import History
from memcg_lab.labs import TraceLab
from memcg_lab.labs import measure as measure_lab
from memcg_lab.labs.base import front_end
from memcg_lab.labs.stage import data as stage_data
from stage_helpers import assert_states_are_those_of, listed, random_traffic

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGE = "<!doctype html><style>body{margin:0}</style><main><figure style='margin:0'><img alt='still'></figure></main>"
MOUNT = """async ([name, data, settings]) => {
  const ask = async (question) => {
    const told = JSON.parse(await askPython(JSON.stringify(question)));
    if (told.error) throw new Error(told.error);
    const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
    return { ...told, blobs: (told.blobs ?? []).map(bytes) };
  };
  window.told = {};
  const change = (settings) => Object.assign(told, settings), figure = document.querySelector("figure");
  window.s = await mountLab(figure, { name, data, settings, lab: null, ask, place: null, change });
  s.root.focus();
}"""


@pytest.fixture
def mounted(watched):
    """Opens a lab in an empty page; its questions go to the lab itself."""

    def at(lab, **options):
        page = watched("about:blank", allowed="about:", **options)

        def answer(question):
            try:
                told = lab.answer(json.loads(question))
            except Exception as error:
                told = {"error": str(error)}
            return json.dumps(told | {"blobs": [base64.b64encode(blob).decode() for blob in told.get("blobs", [])]})

        page.expose_function("askPython", answer)
        page.set_content(PAGE)
        page.add_script_tag(content=front_end())
        page.evaluate(MOUNT, [type(lab).__name__, json.loads(json.dumps(lab.data())), lab.settings()])
        drawn(page)
        return page

    return at


# Python is busy: what is asked is answered once release() is called.
BUSY = """() => {
  const ask = window.askPython, held = new Promise((go) => (window.release = go));
  window.waiting = 0;
  window.askPython = (question) => (window.waiting++, held.then(() => ask(question)));
}"""


MACHINES = [(make, i) for make in (PatchLab, CounterLab, StockLab, DriftLab) for i in range(len(make.machines))]
STATES = """async ([i, ops]) => {
  for (const op of ops) {
    await s.perform(op);
    s.go(s.nodes.length - 1);
  }
  if (s.walks.disagreements) throw new Error("the log and Python's memory do not agree");
  return [s.walks.ran, s.nodes.map((node) => node.m[i].state)];
}"""


@pytest.mark.parametrize(("make", "i"), MACHINES, ids=lambda x: getattr(x, "__name__", x))
def test_states_followed_along_pythons_log_are_those_of_history(mounted, make, i):
    """Random traffic, one operation at a time, from an empty walk."""
    lab = make(**({"limit": 1000} if make is CounterLab else {}))
    depth, cgroups, cpus = lab._sizes(lab.settings())
    page = mounted(lab, reduced_motion="reduce")
    page.get_by_role("combobox", name="Traffic").select_option(label="nothing yet: make your own")
    page.wait_for_function("s.nodes.length === 1")
    ops = random_traffic(7 + i, depth, cgroups, cpus)[:90]
    ran, states = page.evaluate(STATES, [i, listed(ops)])
    limits = lab._limits(lab.settings(), depth + cgroups)
    system = System(stage_data.parents(depth, cgroups), cpus=cpus, policy=lab.machines[i].policy, limits=limits)
    assert assert_states_are_those_of(History(system, ops), states) > 1000
    assert ran == len(lab.machines) * (len(ops) + 1)  # compared with Python's memory: each, and the traffic before


TOLD = """() => {
  const { data, sentence } = s.inner, { nodes, tree, branch } = s, shown = s.pictures.map(({ i }) => i);
  return {
    sentences: nodes.map((node) => sentence(data, tree, node, nodes.length - 1, shown)),
    charted: shown.map((i) => nodes.map((node) => branch.value(node.k, i))),
  };
}"""
LABS = [
    (make, name, more)
    for make, mores in (
        (PatchLab, [{"depth": 1}, {"depth": 3, "machine": "Hunk 2 alone"}]),
        (CounterLab, [{"depth": 4, "limit": 77, "limit_level": 3}]),
        (StockLab, [{"policy": "v4.13"}, {"policy": "v4.14"}]),
        (DriftLab, [{"cpus": 1, "depth": 1}, {"cpus": 8, "cap": False}]),
    )
    for more in mores
    for name in make.traffics
]


@pytest.mark.parametrize(("make", "traffic", "more"), LABS, ids=str)
def test_sentences_and_chart_of_given_traffic_are_pythons(mounted, make, traffic, more):
    lab = make(traffic=traffic, **more)
    page = mounted(lab)
    found = page.evaluate(TOLD)
    pasts, names, first = lab.result.pasts, lab.result.names, lab.result.first
    labels = [lab.machines[i].name for i in lab.shown(lab.settings())]
    assert found["sentences"] == [stage_data.sentence(pasts, k, names, labels) for k in range(len(pasts[0]) + 1)]
    values = {
        "atomics": lambda past: past.total,
        "leaf": lambda past: past.usage[:, first],
        "stock": lambda past: past.stock_pages[:, 0, 0],
        "ahead": lambda past: past.usage[:, first] - past.sock[:, first],
    }[lab.chart["value"]]
    assert found["charted"] == [values(past).tolist() for past in pasts]


ROWS = """() => Object.fromEntries([...s.root.querySelectorAll("details tbody tr")].map((row) =>
  [row.children[0].textContent, [...row.children].slice(1).map((cell) => cell.textContent)]))"""


def test_the_table_below_the_stage_is_pythons(mounted):
    lab = PatchLab(traffic="a limit is met", position=33)
    page = mounted(lab)
    page.get_by_text("The same as a table").click()
    page.wait_for_function("s.root.querySelector('details tbody tr')")  # it is filled when the browser says it is open
    expected = {name: [str(value) for value in row] for name, *row in lab.table().itertuples()}
    assert page.evaluate(ROWS) == expected


def test_settings_go_both_ways(mounted):
    lab = CounterLab()
    page = mounted(lab, reduced_motion="reduce")
    page.get_by_label("Limit in pages", exact=True).fill("50")
    page.get_by_label("Limit in pages", exact=True).press("Enter")
    page.wait_for_function("told.limit === 50")
    page.keyboard.press("Tab")
    assert page.evaluate("told") == {**lab.settings(), "limit": 50, "position": 0}
    lab.set(**page.evaluate("told"))
    page.evaluate("s.set({ depth: 5, limit_level: 5, position: 3 })")
    page.wait_for_function("s.position === 3 && told.depth === 5")
    lab.set(**page.evaluate("told"))
    assert page.locator(".status").inner_text() == lab.message
    page.get_by_label("Levels below the root").fill("2")
    page.get_by_label("Levels below the root").press("Enter")
    page.wait_for_function("told.depth === 2")
    assert page.evaluate("told.limit_level") == 2  # the limit goes down with the leaf
    page.evaluate("s.say('That did not work.')")
    assert page.locator(".status").inner_text() == "That did not work."


@pytest.mark.parametrize("make", [PatchLab, StockLab, CounterLab, DriftLab], ids=lambda make: make.__name__)
def test_own_traffic_is_a_setting_that_goes_both_ways(mounted, make):
    lab = make(**({} if make is DriftLab else {"position": 7}))
    page = mounted(lab, reduced_motion="reduce")
    page.evaluate("s.go(7)")
    page.keyboard.press("]")
    page.keyboard.press("q")
    page.wait_for_function("told.own && s.position === 8")
    assert page.evaluate("[told.own, told.fork]") == ["0a.2", 7]
    lab.set(**page.evaluate("told"))
    assert len(lab.result.pasts[0]) == 8
    if make is not DriftLab:  # its sentence is about the whole traffic
        assert page.locator(".status").inner_text() == lab.message
    page.evaluate("s.go(3)")
    text = page.evaluate("s.asJson()")
    page.evaluate("s.go(0)")
    page.evaluate("(text) => s.load(text)", text)
    assert page.evaluate("[s.position, s.branch.n, s.asJson()]") == [3, 8, text]
    assert make.from_json(text).settings()["own"] == "0a.2"
    again = mounted(make.from_json(lab.to_json()), reduced_motion="reduce")
    assert again.evaluate("s.branch.ops") == page.evaluate("s.branch.ops")
    again.evaluate("s.set({ own: '0a.3x4', fork: 2, position: 6 })")  # what Python sets
    again.wait_for_function("s.branch.n === 6")
    kept = "s.walks.branches.filter((b) => b.mine).map((b) => b.n)"
    assert sorted(again.evaluate(kept)) == [6, 8]  # and what was there is still there


def test_what_python_cannot_answer_is_said_and_the_walk_stays(mounted):
    lab = PatchLab(position=10)
    page = mounted(lab, reduced_motion="reduce")
    lab.answer = lambda question: 1 / 0
    page.get_by_role("button", name="charge 1").click()
    page.wait_for_function("s.root.querySelector('.status').textContent === 'division by zero'")
    del lab.answer
    page.keyboard.press("q")
    page.wait_for_function("s.nodes.length === 12")


def test_keys_stay_in_the_lab_but_for_those_with_a_modifier(mounted):
    page = mounted(PatchLab(position=10), reduced_motion="reduce")
    page.evaluate("window.heard = []; document.addEventListener('keydown', (e) => heard.push(e.key))")
    for key in ("z", "ArrowRight", "Enter", "m", "Control+s"):
        page.keyboard.press(key)
    assert page.evaluate("heard") == ["Control", "s"]


def test_the_lab_is_dark_where_the_page_around_it_is(mounted):
    page = mounted(PatchLab(), color_scheme="light")
    paper = "getComputedStyle(s.root).getPropertyValue('--paper')"
    light = page.evaluate(paper)
    for name, dark, bright in (("jpThemeLight", "false", "true"), ("theme", "dark", "light")):
        page.evaluate("([name, value]) => (document.body.dataset[name] = value)", [name, dark])
        page.wait_for_function(f"{paper} !== {light!r}")
        page.evaluate("([name, value]) => (document.body.dataset[name] = value)", [name, bright])
        page.wait_for_function(f"{paper} === {light!r}")
        page.evaluate("(name) => delete document.body.dataset[name]", name)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{paper} !== {light!r}")


def press(page, *keys):
    for key in keys:
        if key in "qa":
            before = page.evaluate("s.walks.asked = s.nodes.length + ':' + s.position + s.found.join()")
            page.keyboard.press(key)
            page.wait_for_function("(was) => s.nodes.length + ':' + s.position + s.found.join() !== was", arg=before)
        else:
            page.keyboard.press(key)
        assert page.evaluate("document.activeElement !== document.body && !!s.root.getRootNode().activeElement"), key


OWN = "nothing yet: make your own"
QUESTS = {
    # The limit of level 1 is 100 pages: 40 + 40, then 20, for which a batch of 32 is asked first. One more is refused.
    CounterLab: (
        [*["]"] * 39, "q", "q", *["["] * 20, "q", *["["] * 19, "q"],
        [
            "Level 1 counts 100 pages: one more would be refused.",
            "A saw 132 pages for a moment: the watermark stays.",
            "Refused 1 time by level 1, and yet it fits: it asked for a whole batch first.",
        ],
    ),
    StockLab: (
        ["q", *["]"] * 30, "q", "g", *["["] * 30, "q", "g", "q", *["]"] * 32, "q"],
        [
            "The last page left; A stays the owner until something is drained.",
            "31 pages of B went back to the counters.",
            "33 pages are more than a batch: straight to the counters.",
        ],
    ),
}


@pytest.mark.parametrize("make", QUESTS, ids=lambda make: make.__name__)
def test_quests_are_found_by_keyboard(mounted, make):
    keys, found = QUESTS[make]
    page = mounted(make(), reduced_motion="reduce")
    page.get_by_role("combobox", name="Traffic").select_option(label=OWN)
    page.wait_for_function("s.nodes.length === 1")
    page.evaluate("s.root.focus()")
    press(page, *keys)
    assert [text or None for text in page.evaluate("s.found")] == found


def test_a_quest_is_found_when_its_operation_is_made_not_when_its_pages_have_moved(mounted):
    page = mounted(StockLab(), reduced_motion="no-preference")
    page.get_by_role("spinbutton", name="Pages a call").fill("33")
    page.get_by_role("spinbutton", name="Pages a call").press("Tab")
    page.evaluate("""() => {
      const live = s.root.querySelector("[role=status]");
      window.heard = [];
      new MutationObserver(() => heard.push(live.textContent)).observe(live, { childList: true });
      s.root.focus();
    }""")
    page.evaluate(FRAMES)  # else what moves may not have begun yet, or be over
    page.keyboard.press("q")
    until(page, "s.branch.mine")
    page.evaluate("frame(60)")
    assert page.evaluate("s.position % 1 !== 0")  # on its way
    page.get_by_role("spinbutton", name="Limit in pages").fill("500")
    page.get_by_role("spinbutton", name="Limit in pages").press("Enter")
    until(page, "s.branch.ops.length === 3")
    found = page.evaluate("s.found")
    assert found[2] == "33 pages are more than a batch: straight to the counters."
    assert page.evaluate("s.root.querySelector('.tally').textContent") == "1 of 3 found"
    page.evaluate("framesAgain()")
    page.wait_for_function("s.position === 3")
    page.wait_for_function(
        "(text) => heard.filter((said) => said.includes(text)).length === 1", arg=f"Found. {found[2]}"
    )


def test_the_quests_of_the_drift_lab_are_found(mounted):
    page = mounted(DriftLab(cpus=1, depth=1), reduced_motion="reduce")
    page.get_by_role("combobox", name="Traffic").select_option(label=OWN)
    page.wait_for_function("s.nodes.length === 1")
    page.evaluate("s.root.focus()")
    press(page, "q", "a", *["]"] * 32, "q", "a")
    page.get_by_role("combobox", name="Machine on the right").select_option(label="After, without the cap")
    assert page.evaluate("s.found") == [
        "32 pages ahead after the patch: every stock is full.",
        "65 pages ahead, and nothing stops it.",
        "After 4 operations the counter says what is in use, on the right machine.",
    ]


SMALL = """() => [...s.root.querySelectorAll("*:not(title)")]
  .filter((el) => [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
  .filter((el) => parseFloat(getComputedStyle(el).fontSize) < 14).map((el) => el.outerHTML.slice(0, 80))"""
UNNAMED = """() => [...s.root.querySelectorAll("button, select, input, textarea, [role=slider], [role=img]")]
  .filter((el) => !(el.getAttribute("aria-label") || el.textContent.trim() || el.labels?.length))
  .map((el) => el.outerHTML.slice(0, 80))"""
FITTED = [
    (PatchLab(position=66), 65.6),
    (CounterLab(depth=5, limit_level=4, traffic="a task that may wait, beside the stock of another CPU"), 5.5),
    (StockLab(position=33), 32.6),
    (DriftLab(cpus=8, depth=5, cap=False), 300.5),
    (TraceLab(), 1000),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1150, 560), (400, 800)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize(("lab", "at"), FITTED, ids=lambda x: type(x).__name__)
def test_each_lab_fits_is_readable_and_named(mounted, shots, lab, at, size, scheme):
    page = mounted(lab, width=size[0], height=size[1], color_scheme=scheme)
    page.evaluate("(at) => (s.seek ?? s.go)(at)", at)
    page.screenshot(path=shots / f"{type(lab).__name__}_{size[0]}_{scheme}.png", full_page=True)
    assert page.evaluate(SMALL) == []
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    last = "(s.root.querySelector('.foot') ?? s.root).getBoundingClientRect().bottom"
    assert size[0] < 1000 or page.evaluate(last) <= 560
    if size[0] < 1000 and not isinstance(lab, TraceLab):  # the picture before the controls
        top = "(name) => s.root.querySelector(name).getBoundingClientRect().top"
        assert page.evaluate(top, ".machine") < min(page.evaluate(top, ".moves"), page.evaluate(top, ".spine"))


# --- all CPUs at once
ONCE = [
    PatchLab(traffic="a mixture", at_ns=620),
    PatchLab(traffic="ten pages are on their way", pictures=4, cpus=3, depth=3, at_ns=1500),
    StockLab(at_ns=300),
    CounterLab(at_ns=333),
    CounterLab(traffic="calls of 20 pages, through the stock", limit=1000, at_ns=900),
    DriftLab(cpus=8, depth=5, at_ns=700),
    DriftLab(cpus=8, traffic="bulk, given back by the last CPU in large lumps", at_ns=22252),
    PatchLab(traffic="nothing yet: make your own", at_ns=0),
]
MOMENTS = """(places) => places.map((ns) => {
  s.go(ns);
  return [s.moment, s.root.querySelector(".status").textContent];
})"""


@pytest.mark.parametrize("lab", ONCE, ids=lambda lab: f"{type(lab).__name__} {lab.settings()['traffic']}")
def test_all_cpus_at_once_are_what_python_says_at_any_time(mounted, lab):
    page, settings = mounted(lab, reduced_motion="reduce"), lab.settings()
    assert page.evaluate("s.walks.disagreements") == 0
    assert page.locator(".status").inner_text() == lab.message
    page.get_by_text("The same as a table").click()
    page.wait_for_function("s.root.querySelector('details tbody tr')")  # it is filled when the browser says it is open
    end = max(int(one.ends.max()) for one in lab.result.once) // 1000
    places = sorted({at for at in (0, 100, 333, end // 2, end) if at <= end})
    for at, (moment, said) in zip(places, page.evaluate(MOMENTS, places), strict=True):
        lab.set(at_ns=at)
        assert (moment, said) == (at, lab.message)
    page.evaluate("(ns) => s.go(ns)", end // 2)
    lab.set(at_ns=end // 2)
    assert page.evaluate(ROWS) == {name: row for name, *row in lab.table().itertuples()}
    lab.set(**settings)


@pytest.mark.parametrize("at_ns", [None, 0])
def test_the_copied_cell_runs_even_without_an_operation(mounted, capsys, at_ns):
    page = mounted(PatchLab(traffic=OWN, at_ns=at_ns))
    page.get_by_role("button", name="Copy as Python").click()
    exec(page.get_by_label("Text to copy").input_value(), {})
    said = "0 atomics" if at_ns is None else "0 ns, waiting for lines 0 % of the time"
    assert capsys.readouterr().out == f"v4.13 {said}\nv4.14 {said}\n"


@pytest.mark.parametrize("lab", [PatchLab(traffic="a mixture", at_ns=0), DriftLab(cpus=8, at_ns=0)])
def test_the_copied_cell_says_what_the_sentence_says(mounted, capsys, lab):
    page = mounted(lab)
    page.get_by_role("button", name="Copy as Python").click()
    exec(page.get_by_label("Text to copy").input_value(), {})
    told = [
        re.fullmatch(r"v4.1[34] (.* ns), waiting for lines (\d+ %) of the time", line).groups()
        for line in capsys.readouterr().out.splitlines()
    ]
    (before, waits), (after, waits_after) = told
    status = lab.message
    assert f"Together the CPUs need {before} before the patch and {after} after it." in status
    assert re.search(
        f"They wait for lines {waits} of their time before the patch( .*)? and {waits_after} after it", status
    )


def test_boxes_have_separators_as_the_table_has(mounted):
    lab = DriftLab(cpus=8, traffic="bulk, given back by the last CPU in large lumps", at_ns=22252)
    page = mounted(lab, reduced_motion="reduce")
    counted = lab.table()["After"]["pages in the counter of root"]
    assert counted[:2] == "-2"
    assert counted[2] == ","
    assert page.locator("svg .value", has_text=counted).count() >= 1


def test_time_is_a_setting_that_goes_both_ways(mounted):
    lab = PatchLab(traffic="ten pages are on their way", position=9)
    page = mounted(lab, reduced_motion="reduce")
    page.get_by_label("Time", exact=True).select_option(label="all CPUs at once")
    page.wait_for_function("told.at_ns === 0")
    page.evaluate("s.root.focus()")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("told.at_ns === 100")  # the first CPU has thought
    lab.set(**page.evaluate("told"))
    assert page.locator(".status").inner_text() == lab.message
    text = page.evaluate("s.asJson()")
    assert json.loads(text)["settings"]["at_ns"] == 100
    assert PatchLab.from_json(text).message == lab.message
    page.evaluate("s.set({ at_ns: 600 })")
    page.wait_for_function("s.moment === 600")
    page.evaluate("s.set({ at_ns: null })")
    page.wait_for_function("s.once === null && s.position === 9")
    lab.set(at_ns=None)
    assert page.locator(".status").inner_text() == lab.message
    page.evaluate("(text) => s.load(text)", text)
    page.wait_for_function("s.moment === 100")
    page.evaluate("(text) => s.load(text)", text.replace('"at_ns":100', '"at_ns":99999'))
    refused = """(text) => s.root.querySelector(".status").textContent.startsWith(text)
      && s.once !== null"""  # what was there has come back
    page.wait_for_function(refused, arg="at_ns is 99,999; it must be")
    for bad in ("-4", "1.5", '"4"', "true"):
        page.evaluate("(text) => s.load(text)", text.replace('"at_ns":100', f'"at_ns":{bad}'))
        with pytest.raises(ValueError, match="^at_ns is ") as no:
            lab.set(at_ns=json.loads(bad))
        page.wait_for_function(refused, arg=f"at_ns is {bad};")
        assert page.locator(".status").inner_text().split("; it")[1] == str(no.value).split("; it")[1]
    assert page.evaluate("s.moment") == 100


def test_who_waits_for_all_cpus_at_once_is_told_why(mounted):
    page = mounted(PatchLab(traffic="a mixture"))
    page.evaluate(BUSY)  # as while a kernel is compiled
    page.get_by_label("Time", exact=True).select_option(label="all CPUs at once")
    expect(page.locator(".status")).to_have_text(stage_data.WORDS["once coming"])
    page.evaluate("release()")
    expect(page.locator(".status")).to_have_text(re.compile("^At "))
    assert page.evaluate("s.once !== null")


# --- Python is slow
def test_what_python_sets_twice_ends_as_it_was_set_last(mounted):
    lab = PatchLab()
    page = mounted(lab, reduced_motion="reduce")
    page.evaluate(BUSY)
    page.evaluate("s.set({ depth: 4 }), s.set({ depth: 2, position: 3 }), null")
    page.evaluate("release()")
    page.wait_for_function("s.tree.depth === 2 && told.position === 3")
    assert page.evaluate("[s.tree.depth, told.depth, s.position]") == [2, 2, 3]


def test_what_the_reader_does_while_python_is_busy_is_done_in_its_order(mounted):
    page = mounted(PatchLab(traffic=OWN), reduced_motion="reduce")
    page.evaluate(BUSY)
    for key in "qqz":
        page.keyboard.press(key)
    page.evaluate("release()")
    page.wait_for_function("told.own === '0a.1x2' && told.position === 1")  # Undo goes back from the second one
    assert page.evaluate("[s.branch.n, s.position]") == [2, 1]
    depth = page.get_by_label("Levels below the root")
    page.evaluate(BUSY)
    for _ in range(2):  # the box shows what is, so that one may say it again
        depth.fill("4")
        depth.press("Enter")
    page.evaluate("s.root.focus()")
    page.keyboard.press("a")  # in the tree as it is by then
    page.evaluate("release()")
    page.wait_for_function("told.own === '0a.1,0a-1'")
    assert page.evaluate("[s.tree.depth, told.depth, s.position, s.walks.disagreements]") == [4, 4, 2, 0]
    assert page.evaluate("s.walks.before.walks.before === null")  # the tree was changed once
    page.evaluate(BUSY)
    page.get_by_label("Cgroups").fill("1")
    page.get_by_label("Cgroups").press("Enter")
    page.get_by_role("combobox", name="Traffic").select_option(label="a limit is met")
    page.evaluate("release()")
    page.wait_for_function("told.cgroups === 1 && told.traffic === 'a limit is met'")
    assert page.evaluate("s.walks.branches.includes(s.branch)")


def test_what_cannot_run_at_once_is_said_as_python_says_it(mounted):
    lab = PatchLab(traffic="a limit is met", position=3)
    page = mounted(lab, reduced_motion="reduce")
    box = page.get_by_label("Time", exact=True)
    box.select_option(label="all CPUs at once")
    page.wait_for_function("s.root.querySelector('.status').textContent.startsWith('All CPUs at once: ')")
    said = page.locator(".status").inner_text()
    with pytest.raises(ValueError, match="A simulated CPU can only charge and give back") as no:
        lab.set(at_ns=0)
    assert said == str(no.value)
    assert box.input_value() == ""
    page.wait_for_function("told.at_ns === null && s.position === 3")


def test_own_traffic_runs_at_once_too_and_keeps_on_running(mounted):
    page = mounted(PatchLab(traffic=OWN, at_ns=0), reduced_motion="reduce")
    for n, key in enumerate("qqca", 1):
        page.keyboard.press(key)
        page.wait_for_function("(n) => s.branch.n === n && s.once.runs[0].ops.length === n", arg=n - (n > 2))
    page.wait_for_function("told.own === '0a.1x2,1a-1'")
    lab = PatchLab(**page.evaluate("told"))
    assert page.locator(".status").inner_text() == lab.message
    assert page.evaluate("s.once.runs[0].moment(110e3).state['memcg.sock_held']")[2] == 0  # one charged, one given back
    page.keyboard.press("z")
    page.wait_for_function("s.root.querySelector('.status').textContent.startsWith('Undo goes through')")
    page.get_by_label("Levels below the root").fill("4")
    page.get_by_label("Levels below the root").press("Enter")
    page.wait_for_function("s.tree.depth === 4 && s.once?.runs[0].tree.depth === 4 && s.branch.n === 3")
    assert page.evaluate("s.walks.disagreements") == 0


def test_time_is_walked_played_and_dragged(mounted):
    page = mounted(PatchLab(traffic="a mixture", at_ns=0))
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("s.moment > 30 && s.moment % 1 > 0")
    page.keyboard.press(" ")
    assert page.evaluate("s.moment % 1") == 0
    slider = page.get_by_role("slider", name="Simulated time, ns")
    slider.press("Home")
    assert page.evaluate("s.moment") == 0
    page.keyboard.press(".")
    steps = [page.evaluate("s.moment")]
    for _ in range(5):
        page.keyboard.press(".")
        steps.append(page.evaluate("s.moment"))
    times = page.evaluate("[...s.once.times()]")
    assert steps == times[1:7]
    page.keyboard.press(",")
    assert page.evaluate("s.moment") == times[5]
    page.keyboard.press("n")
    assert page.evaluate("s.once.runs[1].jumps.includes(s.moment)")
    page.keyboard.press("End")
    assert page.evaluate("s.moment === s.once.lanes.end")
    assert page.evaluate("s.once.runs.map((run) => run.done(s.moment * 1000))") == [200, 200]
    box = page.locator(".lanes").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 20)
    page.mouse.down()
    first = page.evaluate("s.moment")
    page.mouse.move(box["x"] + 400, box["y"] + 20)
    assert page.evaluate("s.moment") == pytest.approx(first + 100 / page.evaluate("s.once.lanes.scale"), abs=1)
    page.mouse.up()
    page.mouse.move(box["x"] + 100, box["y"] + 20)
    assert page.evaluate("s.moment") == pytest.approx(first + 100 / page.evaluate("s.once.lanes.scale"), abs=1)
    assert slider.get_attribute("aria-valuenow") == str(page.evaluate("s.moment"))


TAGS = """() => s.pictures.map((picture, n) => picture.counters.map(({ tag }) =>
  tag.style.display === "none" ? null : +tag.children[1].textContent.replace("CPU ", "")))"""


def test_the_tag_stands_at_the_cpu_that_the_model_says(mounted):
    lab = PatchLab(traffic="a mixture", at_ns=0)
    page, compared = mounted(lab), 0
    for at in range(150, 3000, 190):
        page.evaluate("(ns) => s.go(ns)", at)
        for one, tags in zip(lab.result.once, page.evaluate(TAGS), strict=True):
            writes = one.touches[(one.touches["kind"] == 0) & (one.touches["start"] <= 1000 * at)]
            for memcg, tag in enumerate(tags):
                mine = writes["cpu"][writes["line"] == 1 + memcg]
                assert tag == (int(mine[-1]) if mine.size else None)
                compared += mine.size > 0
    assert compared > 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1150, 560), (400, 800)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize(
    "lab",
    [
        PatchLab(traffic="a mixture", at_ns=1030),
        PatchLab(traffic="a mixture", pictures=4, at_ns=1030),
        PatchLab(traffic="a mixture", depth=5, cgroups=8, cpus=8, pictures=4, at_ns=1030),
        DriftLab(cpus=8, at_ns=700),
        DriftLab(cpus=8, depth=5, at_ns=700),
        CounterLab(at_ns=333),
        StockLab(at_ns=333),
    ],
    ids=lambda lab: (
        f"{type(lab).__name__}{lab.settings().get('cpus', '')}{lab.settings().get('pictures', '')}"
        f"{lab.settings().get('depth', '')}"
    ),
)
def test_time_fits_is_readable_and_named(mounted, shots, lab, size, scheme):
    page, told = mounted(lab, width=size[0], height=size[1], color_scheme=scheme), lab.settings()
    name = "_".join(str(told.get(part, "")) for part in ("cpus", "pictures", "depth"))
    page.screenshot(path=shots / f"time_{type(lab).__name__}_{name}_{size[0]}_{scheme}.png", full_page=True)
    assert page.evaluate("s.once !== null")
    assert page.evaluate(SMALL) == []
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert size[0] < 1000 or page.evaluate("s.once.lanes.svg.getBoundingClientRect().bottom") <= 560


# What is cut off, and in a menu whether its longest line has room: it is as wide as that unless something holds it.
CUT = """() => [...s.root.querySelectorAll("*:not(.unseen)")].filter((el) => {
  const { width } = el.getBoundingClientRect();
  if (el.tagName !== "SELECT") return width > 3 && el.clientWidth && el.scrollWidth > el.clientWidth + 1;
  if (!el.closest(".play")) return false;
  const free = el.cloneNode(true);
  free.style.cssText = "position:absolute;max-width:none;width:max-content";
  el.parentElement.append(free);
  const wanted = free.getBoundingClientRect().width;
  free.remove();
  return width && width < wanted - 1;
}).map((el) => el.outerHTML.slice(0, 80))"""
INSIDE = """() => {
  const keys = document.createRange(), line = s.root.querySelector(".keys");
  keys.selectNodeContents(line);
  return line.getBoundingClientRect().right - keys.getBoundingClientRect().right;
}"""


@pytest.mark.parametrize("width", [850, 1000, 1090])
@pytest.mark.parametrize("make", [PatchLab, StockLab, CounterLab, DriftLab], ids=lambda make: make.__name__)
def test_beside_a_notebooks_panels_nothing_is_cut_and_the_quests_are_counted(mounted, shots, make, width):
    page = mounted(make(), width=width, height=600, reduced_motion="reduce")
    page.keyboard.press("q")
    page.wait_for_function("s.branch.mine")
    page.screenshot(path=shots / f"{make.__name__}_{width}.png")
    assert page.evaluate(CUT) == []
    assert page.evaluate(INSIDE) > 20
    assert page.locator(".stage legend").filter(has_text="Limit").is_visible()
    assert page.locator(".tally").inner_text() in ("0 of 3 found", "1 of 3 found")
    assert page.locator(".tally").bounding_box()["y"] < 100
    assert (
        page.locator("select option", has_text="yours 1").first.text_content().startswith("yours 1: 1 operation from")
    )


@pytest.mark.parametrize("width", [850, 1000, 1150, 1280])
def test_a_sentence_of_two_lines_leaves_no_word_alone_and_moves_nothing(mounted, width):
    page = mounted(PatchLab(traffic="one CPU charges, another gives back"), width=width, reduced_motion="reduce")
    lines = """() => {
      const text = document.createRange();
      text.selectNodeContents(s.root.querySelector(".status"));
      const boxes = [...text.getClientRects()].map(({ width }) => width);
      return [boxes, s.root.querySelector(".two").offsetTop];
    }"""
    places = set()
    for k in (0, 1, 65, 66, 67):
        page.evaluate("(k) => s.go(k)", k)
        widths, top = page.evaluate(lines)
        places.add(top)
        assert len(widths) <= 2
        assert min(widths) > max(widths) / 2
    assert len(places) == 1


TRACED = """(places) => places.map(([k, name]) => {
  s.go(k, name);
  return [s.sentence(), s.root.querySelector("svg").getAttribute("aria-label")];
})"""


def test_the_trace_lab_says_what_python_says(mounted):
    lab = TraceLab()
    page = mounted(lab)
    places = [(k, name) for name in lab.recordings for k in (*range(0, 2001, 97), 2000)]
    for (k, name), found in zip(places, page.evaluate(TRACED, places), strict=True):
        lab.set(position=k, recording=name)
        assert found == [lab.sentence(), lab.figure().sentence]
    page.locator(".cursor").focus()
    press(page, "Home", "n", "ArrowRight", "ArrowLeft", "End", "PageDown")
    assert page.evaluate("s.settings.position") == 1900


def test_the_keys_that_scroll_a_page_move_the_recording_on_its_cursor_alone(mounted):
    page = mounted(TraceLab(position=7), width=400, height=400)
    page.evaluate("document.querySelector('main').style.paddingBottom = '900px'")
    page.get_by_role("button", name="Step").focus()
    for key in ("PageDown", "End"):
        page.evaluate("scrollTo(0, 0)")
        page.keyboard.press(key)
        page.wait_for_function("scrollY > 100")
    assert page.evaluate("s.settings.position") == 7
    page.locator(".cursor").focus()
    page.keyboard.press("PageDown")
    page.keyboard.press("End")
    assert page.evaluate("s.settings.position") == 2000


def test_sentence_and_table_follow_the_hand_while_it_drags(mounted):
    page = mounted(TraceLab())
    chart = page.locator(".plot svg").first.bounding_box()
    page.mouse.move(chart["x"] + 100, chart["y"] + 60)
    page.mouse.down()
    seen = []
    for x in (160, 260, 420):
        page.mouse.move(chart["x"] + x, chart["y"] + 60)
        position = page.evaluate("s.settings.position")
        told = page.locator(".status").inner_text()
        assert told.split("; the")[0] == TraceLab(position=position).message.split("; the")[0]
        assert told.endswith("events 951 to 1,050.")
        assert page.locator(".events .now td").first.inner_text() == f"{position:,}"
        assert page.locator(".plot svg text", has_text="event 951").count() == 1  # the picture stays under the hand
        seen.append(position)
    assert sorted(set(seen)) == seen
    page.mouse.up()
    assert page.locator(".status").inner_text() == TraceLab(position=seen[-1]).message


def test_the_recording_has_quests_and_goes_out_as_python_and_json(mounted):
    page = mounted(TraceLab(position=0))
    assert page.evaluate("s.found") == []
    lab = TraceLab(recording=TraceLab.recordings[3], position=629)
    page.get_by_role("button", name="Read JSON").click()
    page.get_by_label("JSON to read").fill(lab.to_json())
    page.get_by_role("button", name="Read it").click()
    assert page.locator(".status").inner_text() == lab.message
    assert page.evaluate("s.found") == ["Event 629, CPU 1: the limit is reached, and the counter refuses."]
    page.get_by_label("JSON to read").fill('{"lab": "TraceLab", "settings": {"position": 2001}}')
    page.get_by_role("button", name="Read it").click()
    assert page.locator(".status").inner_text() == "position is 2,001; it must be a whole number from 0 to 2,000."
    page.get_by_label("JSON to read").fill('{"lab": "TraceLab", "settings": {}, "position": 5}')
    page.get_by_role("button", name="Read it").click()
    assert page.locator(".status").inner_text() == "position is no field of a lab's JSON; there are lab, settings."
    page.get_by_role("button", name="Copy as Python").click()
    copied = page.get_by_label("Text to copy").input_value()
    assert eval(copied, {"TraceLab": TraceLab}).settings() == lab.settings()
    page.get_by_role("button", name="Copy as JSON").click()
    assert TraceLab.from_json(page.get_by_label("Text to copy").input_value()).settings() == lab.settings()
    page.evaluate("(name) => s.go(67, name)", TraceLab.recordings[2])
    page.evaluate("(name) => s.go(230, name)", TraceLab.recordings[0])
    assert [text.split(":")[0].split(",")[0] for text in page.evaluate("s.found")] == [
        "Event 230",
        "Event 629",
        "Event 67",
    ]
    assert page.locator(".quests .found .state").all_inner_texts() == ["\u2713 found"] * 3


def test_the_quests_of_the_measuring_lab_are_found(mounted, monkeypatch):
    bundled = measure_lab.bundled()
    monkeypatch.setattr(measure_lab, "measure", lambda **asked: bundled)
    lab = MeasureLab()
    page = mounted(lab)
    quests = page.locator(".quests li")
    assert [text[:7] for text in quests.all_inner_texts()] == ["not yet"] * 3
    for found in (2, 3):  # the second measurement is the same as the first
        page.get_by_role("button", name="Start").click()
        page.wait_for_function("(n) => s.root.querySelectorAll('.quests .found').length === n", arg=found)
        page.get_by_role("button", name="Start").wait_for()
    assert page.evaluate("s.board.found") == [
        "On this CPU a pair takes 149 times as long before the patch as after it.",
        "Before the patch, level by level: 11.8, 17, 22.4, 27.7 ns.",
        "149 and 149 times as long: what you measure can be measured again.",
    ]


FAKE = """async ([esm, values]) => {
  const module = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  const heard = { "change:chosen": new Set(), "msg:custom": new Set() };
  window.model = {
    get: (name) => values[name],
    set: (name, value) => (values[name] = value),
    save_changes: () => (window.saved = values.chosen),
    on: (event, call) => heard[event].add(call),
    off: (event, call) => heard[event].delete(call),
    async send({ id, question }) {
      const { blobs, ...answer } = JSON.parse(await askPython(JSON.stringify(question)));
      const bytes = blobs.map((text) => new DataView(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer));
      for (const call of heard["msg:custom"]) call({ id, answer }, bytes);
    },
    listeners: () => heard["change:chosen"].size,
  };
  const el = document.createElement("div");
  document.body.append(el);
  window.begun = await module.default.initialize?.({ model });
  window.leave = await module.default.render({ model, el });
  return [Object.keys(module), Object.keys(module.default)];
}"""


@pytest.mark.parametrize("make", [ContentionLab, TraceLab, PatchLab], ids=lambda make: make.__name__)
def test_the_widget_is_an_anywidget_that_needs_nothing_of_jupyterlab(watched, make):
    """As VS Code and others load it: a module with a default export, a model, an element; nothing else is there."""
    lab, page = make(), watched("about:blank", allowed="about:")

    def answer(question):
        asked = json.loads(question)
        told = lab.data() if asked.get("ask") == "data" else lab.answer(asked)
        return json.dumps(told | {"blobs": [base64.b64encode(blob).decode() for blob in told.get("blobs", [])]})

    page.expose_function("askPython", answer)
    values = {"lab": make.__name__, "live": lab.live, "chosen": lab.settings()}
    assert page.evaluate(FAKE, [lab._esm, values]) == [["default"], ["initialize", "render"]]
    page.locator(".status", has_text=lab.message[:30]).wait_for()
    page.get_by_role("button", name="Reset" if make is ContentionLab else "Step").click()
    if make is not ContentionLab:
        page.wait_for_function("window.saved?.position > 0")
    assert page.evaluate("model.listeners()") == 1
    page.evaluate("leave()")
    assert page.evaluate("model.listeners()") == 0


# The same, and nobody waits until it lives.
LATER = FAKE.replace("window.leave = await", "const lives =").replace(
    "  return [", "  lives.catch((error) => (window.failed = error.message));\n  return ["
)


@pytest.mark.parametrize("asked", ["data", "steps"])
def test_a_lab_waits_for_a_busy_kernel_and_shows_what_was_chosen_in_the_meantime(watched, asked):
    """As when all cells are run: what a lab asks is answered when the last of them is over."""
    lab = PatchLab()
    page = watched("about:blank", allowed="about:")
    page.clock.install()

    def answer(question):
        wanted = json.loads(question)
        told = lab.data() if wanted.get("ask") == "data" else lab.answer(wanted)
        return json.dumps(told | {"blobs": [base64.b64encode(blob).decode() for blob in told.get("blobs", [])]})

    page.expose_function("askPython", answer)
    page.evaluate(
        """(asked) => {
      const ask = window.askPython, held = new Promise((go) => (window.release = go));
      window.askPython = async (question) => {
        if (JSON.parse(question).ask === asked) await ((window.held = true), held);
        return ask(question);
      };
    }""",
        asked,
    )
    values = {"lab": "PatchLab", "live": lab.live, "chosen": lab.settings()}
    page.evaluate(LATER, [lab._esm, values])
    page.wait_for_function("window.held", polling=50)
    page.clock.fast_forward("10:00")
    assert page.evaluate("window.failed ?? null") is None
    page.evaluate("(chosen) => model.set('chosen', chosen)", PatchLab(position=7).settings())
    page.evaluate("release()")
    expect(page.locator(".status")).to_have_text(PatchLab(position=7).message)
    page.clock.fast_forward("00:10")
    assert page.evaluate("model.get('chosen').position") == 7


MOVES = """async () => {
  const taken = [];
  for (let n = 0; n < 40; n++) {
    const begun = performance.now();
    await s.perform([n % 3 === 2 ? 1 : 0, n % 2, 2, 1 + (n % 5 === 0), 1]);
    taken.push(performance.now() - begun);
  }
  return taken;
}"""
OPEN = """async (name) => {
  const { source, branches } = s.walks, ask = source.asks;
  let waited = 0;
  source.asks = async (question) => {
    const begun = performance.now(), answer = await ask(question);
    waited = performance.now() - begun;
    return answer;
  };
  const begun = performance.now(), branch = branches.find((branch) => branch.name === name);
  await s.walks.open(branch);
  return [branch.n + 1, waited, performance.now() - begun - waited];
}"""


def test_a_move_through_python_is_answered_and_what_it_took_is_told(mounted, measured):
    """What carries question and answer here is the test's own, so Python's and the page's work are added up."""
    lab = PatchLab(position=400)
    answer, taken = lab.answer, []

    def timed(question):
        begun = time.process_time()
        told = answer(question)
        taken.append((time.process_time() - begun) * 1e3)
        return told

    lab.answer = timed
    page = mounted(lab)
    for name in lab.traffics[1:5]:
        length, waited, work = page.evaluate(OPEN, name)
        measured(f"400 operations at once: Python {taken[-1]:.1f} ms, page {work:.1f} ms, in between {waited:.0f} ms")
        assert length == 401
    moves = page.evaluate(MOVES)
    measured(f"an operation after 400 through Python: median {statistics.median(moves):.1f} ms, worst {max(moves):.1f}")
    assert len(moves) > 10
