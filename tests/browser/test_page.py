"""The one file in Chromium, opened from file://: what it shows is what Python computes.

python -m pytest tests/browser -m browser

It needs the extra ``browser`` and a Chromium; ``playwright install chromium`` or Debian's. The kernels are taken from
``build/web`` or built there, which takes some minutes once. Screenshots are left in ``build/screenshots``, to be looked
at.
"""

import json
import pathlib
import random
import re
import statistics

import pytest

from browser_helpers import FRAMES, drawn, expect
from browser_helpers import until as comes
from lab_helpers import GOLDEN, stream_of
from memcg_lab import System, read_golden
from memcg_lab.history import CAP_TEST, History
from memcg_lab.labs import PatchLab, at_once
from memcg_lab.labs.stage import data as stage_data
from memcg_lab.mechanism import records
from memcg_lab.web.page import BYTES_MAX, make_page
from stage_helpers import assert_states_are_those_of, listed, random_traffic

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = pathlib.Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
MACHINES = [machine.policy for machine in PatchLab.machines]
SET_MAX = int(records.SET_MAX)
EMPTY = len(PatchLab.traffic)  # the number of the traffic that the reader makes


@pytest.fixture(scope="module")
def one_file(tmp_path_factory, web_kernels):
    path = tmp_path_factory.mktemp("page") / "memcg-lab.html"
    make_page(path, web_kernels, "PatchLab")
    return path


@pytest.fixture
def opened(watched, one_file):
    """Opens the page at a place; it asks for nothing but itself, and says nothing on its console."""

    def at(place="", **options):
        page = watched(f"{one_file.as_uri()}#{place}", allowed=one_file.as_uri(), quiet=True, **options)
        page.wait_for_selector(".m0 svg[aria-label]")  # visible once the lab stands in the picture's place
        page.evaluate("memcgLab.stage.root.focus()")
        drawn(page)
        return page

    return at


def stage(page, call):
    return page.evaluate(f"(() => {{ const s = memcgLab.stage; return {call}; }})()")


def until(page, call):
    """Wait for something of the stage."""
    comes(page, f"(() => {{ const s = memcgLab.stage; return {call}; }})()")


def says(page, text):
    """Wait until the stage says this."""
    expect(page.locator(".status")).to_have_text(text)


def copied(page, kind):
    """The text that a button gives. What it says of that comes once the browser has, or has not, taken it."""
    page.get_by_role("button", name=f"Copy as {kind}").click()
    says(page, re.compile("^(Copied|The text is below)"))
    return page.get_by_label("Text to copy").input_value()


def test_the_file_opens_by_itself(opened, one_file, measured):
    assert one_file.stat().st_size <= BYTES_MAX
    ready = min(opened("t=0").evaluate("memcgLab.stage.ready") for _ in range(3))
    measured(f"the stage alone, {one_file.stat().st_size:,} bytes: first picture after {ready:.0f} ms")
    page = opened("t=0")
    assert stage(page, "[s.walks.ran, s.walks.disagreements]") == [4 * 2, 0]  # 180 operations are two chunks


FOLLOW = """async ([parents, cpus, policy, ops]) => {
  const { lab } = memcgLab, { data, readState, copyState, sameState, follow, rowsOf } = memcgLab.stage.inner;
  const system = lab.system({ parents, cpus, policy }), state = readState(system), states = [copyState(state)];
  for (const [op, cpu, memcg, nr, ctx] of ops) {
    const { log } = system.stepThrough(lab.ops([{ op, cpu, memcg, nr, ctx }]));
    for (const row of rowsOf(log)) follow(data.forms, 1, state, row);
    if (!sameState(state, readState(system))) throw new Error("the log and the memory do not agree");
    states.push(copyState(state));
  }
  return states;
}"""


@pytest.mark.parametrize("policy", MACHINES, ids=lambda policy: policy.name)
def test_states_followed_along_the_log_are_those_of_history(opened, policy):
    page, compared = opened(), 0
    for seed, (depth, leaves, cpus) in enumerate([(1, 1, 2), (2, 2, 2), (3, 1, 4), (5, 2, 8)]):
        parents = stage_data.parents(depth, leaves)
        ops = random_traffic(seed, depth, leaves, cpus)
        past = History(System(parents, cpus=cpus, policy=policy), ops)
        assert past.failcnt[-1].any()
        states = page.evaluate(FOLLOW, [parents, cpus, policy.name, listed(ops)])
        compared += assert_states_are_those_of(past, states)
    print(f"{compared:,} numbers")


TOLD = """() => {
  const s = memcgLab.stage, { data, sentence, linesOf } = s.inner, { tree, nodes } = s;
  const told = (node, shown) => sentence(data, tree, node, nodes.length - 1, shown);
  const all = [0, 1, 2, 3], { branch } = s;
  const ran = (k, i) => data.lines.map((_, line) => branch.ran(k, i, line));
  return {
    sentences: [[0, 1], [0, 2], [0, 3], [0, 1, 2], all].map((shown) => nodes.map((node) => told(node, shown))),
    lines: all.map((i) => nodes.slice(1).map((node) => linesOf(data, i, node.op, node.m[i].rows))),
    ran: all.map((i) => nodes.slice(1).map((node) => ran(node.k, i))),
    atomics: all.map((i) => nodes.map((node) => node.m[i].state.atomics)),
    kept: all.map((i) => nodes.map((node) => branch.atomics(node.k, i))),
    drained: all.map((i) => nodes.slice(1).map((node) => branch.jumps(node.k, i))),
    alike: nodes.slice(1).map((node) => all.map((i) => all.map((j) => !branch.differs(node.k, [i, j])))),
  };
}"""


@pytest.mark.parametrize("number", range(EMPTY))
def test_sentences_and_lines_of_the_patch_are_those_of_the_library(opened, number):
    told = list(PatchLab.traffic.values())[number]
    depth, leaves = 1 + number % 5, max(told.cgroups, 1 + number)
    page = opened(f"d={depth}&l={leaves}&c=2&t={number}")
    found = page.evaluate(TOLD)
    ops = stream_of(told.ops, first=depth)
    pasts = [History(System(stage_data.parents(depth, leaves), cpus=2, policy=policy), ops) for policy in MACHINES]
    names, labels = stage_data.names(depth, leaves), [machine.name for machine in PatchLab.machines]
    for said, shown in zip(found["sentences"], ([0, 1], [0, 2], [0, 3], [0, 1, 2], [0, 1, 2, 3]), strict=True):
        of, called = [pasts[i] for i in shown], [labels[i] for i in shown]
        assert said == [stage_data.sentence(of, k, names, called) for k in range(len(ops) + 1)]
    for i, past in enumerate(pasts):
        lines = [[-1 if line is None else line for line in past.lines(k)] for k in range(len(ops))]
        assert found["lines"][i] == lines
        capped = [past.cap_test(k) is not None for k in range(len(ops))]
        ran = [[line in lines[k] or (line == CAP_TEST and capped[k]) for line in range(5)] for k in range(len(ops))]
        assert found["ran"][i] == ran
        assert past.total.tolist() == found["atomics"][i] == found["kept"][i]
        assert found["drained"][i] == [k in past.drains for k in range(len(ops))]
    for k in range(len(ops)):
        codes = [[row.step for row in past.steps(k)] for past in pasts]
        assert found["alike"][k] == [[one == other for other in codes] for one in codes]


SQUARES = """([k]) => {
  const s = memcgLab.stage;
  s.go(k);
  const seen = (list) => list.filter((el) => el.style.display !== "none").length;
  return s.pictures.map((p) => {
    const { state } = s.nodes[k].m[p.i];
    return {
      still: [p.still.pages, p.still.held.slice(s.tree.first)],
      kernel: [state["stock.nr_pages"], state.sock.slice(s.tree.first)],
      drawn: [p.cpus.map((c) => seen(c.pages)), p.sockets.map((c) => seen(c.pages))],
      room: [p.cols * p.rows, p.socketCols * p.socketRows],
    };
  });
}"""


@pytest.mark.parametrize(
    "place",
    [
        "d=2&l=2&c=2&r=0&t=6",
        "d=5&l=2&c=8&r=2&t=6",
        "d=1&l=1&c=3&r=0&t=7",
        "d=2&l=1&c=2&t=4",
        "d=2&l=2&c=2&n=4&t=6",
        "d=5&l=8&c=8&n=3&t=6",
    ],
)
def test_the_squares_at_rest_are_the_pages_in_the_kernels_memory(opened, place):
    page = opened(place)
    for k in range(stage(page, "s.nodes.length")):
        for side in page.evaluate(SQUARES, [k]):
            assert side["still"] == side["kernel"]
            pages, held = side["kernel"]
            assert side["drawn"][0] == [min(n, side["room"][0]) for n in pages]
            assert side["drawn"][1] == [min(n, side["room"][1]) for n in held]


FOCUSED = """() => {
  const el = memcgLab.stage.root.getRootNode().activeElement;
  return el && (el.className.baseVal ?? el.textContent);
}"""


def test_the_keyboard_alone_does_everything_and_finds_the_quests(opened):
    page = opened(f"d=2&l=2&c=2&t={EMPTY}", reduced_motion="reduce")

    def press(*keys):
        for key in keys:
            page.keyboard.press(key)
            assert page.evaluate("document.activeElement !== document.body"), key

    press("q", "a")
    assert stage(page, "s.found")[0].startswith("Here they part: CPU 0 gives back 1 page of A, for 3 atomics before")
    press("z", *["]"] * 30, "q")
    assert stage(page, "s.found")[1].startswith("The last page left the stock of CPU 0; A stays its owner")
    stage(page, "s.go(0)")
    press(*["["] * 30, "q", *["]"] * 39, "q", *["["] * 37, "a", "[", "[", "q")  # charge 1, 40; give back 3; charge 1
    assert stage(page, "s.found")[2] == "After 4 operations: 9 atomics before, 12 after."
    assert stage(page, "s.walks.branches.filter((b) => b.mine).length") == 3
    press("c", "g", "q")
    assert stage(page, "s.nodes.at(-1).op.slice(0, 3)") == [0, 1, 3]
    k = stage(page, "s.position")
    press("Home", "End", "PageUp", "PageDown")  # these move the page, but on the chart
    assert stage(page, "s.position") == k
    stage(page, "s.root.querySelector('.cursor').focus()")
    press("Home", "ArrowRight", "ArrowRight")
    assert stage(page, "s.position") == 2
    press(",")
    assert 1 < stage(page, "s.position") < 2
    press("End", "ArrowLeft")
    assert stage(page, "s.position") == stage(page, "s.nodes.length") - 2
    press("Home", "n")
    assert stage(page, "s.nodes[s.position].m[1].rows.some((r) => r.step === s.inner.data.forms.codes.STEP_DRAIN)")
    seen = []
    stage(page, "s.root.focus()")
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
        if page.evaluate("document.activeElement === document.body"):
            break
    assert {"Play", "Undo", "Set limit", "cursor", "Copy as Python", "Copy as JSON", "Run the self-check"} <= set(seen)


def test_the_mouse_plays_drags_points_and_chooses(opened):
    page = opened("t=0")
    page.get_by_role("button", name="Next drain").click()
    page.get_by_role("slider").wait_for()
    chart = page.locator(".chart").bounding_box()
    page.mouse.move(chart["x"] + 100, chart["y"] + 40)
    page.mouse.down()
    page.mouse.move(chart["x"] + 300, chart["y"] + 40, steps=5)
    page.mouse.up()
    k = stage(page, "s.position")
    assert 0 < k < 180
    assert page.get_by_role("slider").get_attribute("aria-valuenow") == str(k)
    assert page.get_by_label("Operation", exact=True).input_value() == str(k)
    page.get_by_label("Operation", exact=True).fill("76")
    page.get_by_label("Operation", exact=True).press("Enter")
    assert "76 of 180: CPU 1 gives back 1 page of A." in page.locator(".status").inner_text()
    page.locator(".m1 .code").filter(has_text="drain_stock").hover()
    says(page, "After: drain_stock(stock); ran in 1 of 76 operations.")
    page.locator(".unseen", has_text="ran in 1 of 76 operations.").wait_for(
        state="attached"
    )  # who listens hears it too
    assert page.locator(".m1 .chip.hot").count() == 6
    page.locator(".m1 .chip.bar").first.click()
    expect(page.locator(".m1 .code.now")).to_contain_text("drain_stock")
    page.get_by_role("combobox", name="Machine on the right").select_option(label="Hunk 2 alone: the way back")
    assert page.locator(".m3.machine .code:visible").all_inner_texts() == [
        "+\nrefill_stock(memcg, nr_pages);\nstock 33"
    ]
    still = stage(page, "s.position")
    page.get_by_role("button", name="Play").click()
    until(page, f"s.position > {still}")
    page.get_by_role("button", name="Pause").click()
    still = stage(page, "s.position")
    drawn(page)  # what plays moves with every frame
    assert stage(page, "s.position") == still


def test_refusals_are_told_and_drawn(opened):
    page = opened(f"d=2&l=2&c=2&t={EMPTY}", reduced_motion="reduce")
    page.get_by_role("button", name="CPU 0: give back 1 page of A").click()
    assert page.locator(".status").inner_text() == "Refused: A has 0 pages in use."
    limit = page.get_by_label("Limit in pages; empty for none")
    refused = "A limit is a whole number from 0 to 99,999 pages, or nothing: {} is not. It is as it was."
    limit.press_sequentially("ee")
    page.get_by_role("button", name="Set limit").click()
    assert page.locator(".status").inner_text() == refused.format("what stands in the box")
    for wrong in ("-50", "1.5", "100000"):
        limit.fill(wrong)
        limit.press("Enter")
        assert page.locator(".status").inner_text() == refused.format(wrong)
        assert limit.input_value() == ""
    limit.fill("2")
    limit.press("Enter")
    assert "CPU 0 sets the limit of A to 2 pages" in page.locator(".status").inner_text()
    stage(page, "s.root.focus()")
    for _ in range(3):
        page.keyboard.press("q")
    assert "over the limit, so it is forced in" in page.locator(".status").inner_text()
    node = "s.nodes.at(-1)"
    when = f"{node}.k - 1 + ({node}.score[0].flashes.find((f) => f.refused).t + 20) / {node}.length"
    stage(page, f"s.seek({when})")
    assert page.locator(".m0 .counter.refused").count() == 1
    assert page.locator(".m0 .badge.now").text_content() == "over limit"


def test_branches_stay_a_link_restores_them_and_python_gives_the_same(opened, capsys):
    page = opened("d=3&l=2&c=4&t=0&p=20", reduced_motion="reduce")
    page.keyboard.press("q")
    page.keyboard.press("ArrowLeft")
    page.get_by_label("CPU that does it").select_option("3")
    page.get_by_role("button", name="CPU 3: charge 1 page of A").click()
    names = stage(page, "s.walks.branches.filter((b) => b.mine).map((b) => b.name)")
    assert names == ["yours 1", "yours 2"]
    link = stage(page, "s.here()")
    assert len(link) < 2000
    again = opened(link)
    assert stage(again, "s.nodes.map((n) => n.op)") == stage(page, "s.nodes.map((n) => n.op)")
    assert stage(again, "s.here()") == link
    odd = opened("d=1&l=1&c=2&t=8&o=0a.1x3,0b.1&p=3")
    assert odd.locator(".status").inner_text() == (
        "Nothing was run beyond 3 operations: own, operation 4: 0b.1 names leaf 2; this tree has 1 to 1."
    )
    bent = opened("d=9&c=x&t=0&p=500")
    assert bent.locator(".status").inner_text() == (
        "Levels below the root 9 is not possible: 1 to 5; it is 5 now. CPUs x is not possible: 2 to 8; it is 2 now. "
        "Operation 500 is not possible: 0 to 180; it is 180 now."
    )
    exec(copied(page, "Python"), {})
    after = stage(page, "s.nodes.at(-1).m.slice(0, 2).map((m) => m.state.atomics)")
    assert capsys.readouterr().out == f"v4.13 {after[0]} atomics\nv4.14 {after[1]} atomics\n"


def test_the_page_answers_the_golden_files(opened):
    page = opened()
    answer = page.evaluate("memcgLab.stage.check()")
    ops = sum(len(scenario.ops) for path in GOLDEN.glob("*.jsonl.gz") for scenario in read_golden(path))
    assert (answer["ops"], answer["mismatches"]) == (ops, [])
    line = page.locator(".status").inner_text()
    print(line)
    assert f"{ops:,} operations of the golden files" in line
    assert ": 0 mismatches." in line


SIZES = [(1150, 560), (1280, 720), (400, 800)]
SMALL = """() => [...memcgLab.stage.root.querySelectorAll("*:not(title)")]
  .filter((el) => [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
  .filter((el) => parseFloat(getComputedStyle(el).fontSize) < 14).map((el) => el.outerHTML.slice(0, 80))"""
UNNAMED = """() => [
  ...memcgLab.stage.root.querySelectorAll("button, select, input, textarea, [role=slider], [role=img]")]
  .filter((el) => !(el.getAttribute("aria-label") || el.textContent.trim() || el.labels?.length))
  .map((el) => el.outerHTML.slice(0, 80))"""

# What of a picture stands outside of it, but for the pages on their way and a badge or tag beside the first counter.
OUTSIDE = """() => [...memcgLab.stage.root.querySelectorAll(".picture")].flatMap((svg) => {
  const all = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("rect.counter, rect.socket, path.frame, text")].filter((el) => {
    const { left, right, top, bottom, width } = el.getBoundingClientRect();
    const out = left < all.left - 3 || right > all.right + 3 || top < all.top - 3 || bottom > all.bottom + 3;
    return width && out && !el.closest(".token, .badge, .tag");
  }).map((el) => el.outerHTML.slice(0, 120));
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
def test_it_fits_is_readable_and_named(opened, size, scheme):
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name, place, at in [
        ("two", "t=0", 75.55),
        ("deep", "d=5&l=2&c=8&r=1&t=6", 100.5),
        ("limit", "d=2&l=1&t=7", 10.4),
        ("four", "d=2&l=2&c=2&n=4&t=6", 100.5),
        ("eight", "d=5&l=8&c=8&n=2&t=6", 100.5),
        ("all", "d=5&l=8&c=8&n=4&t=6", 100.5),
    ]:
        page = opened(place, width=size[0], height=size[1], color_scheme=scheme)
        stage(page, f"s.seek({at})")
        page.screenshot(path=SHOTS / f"{name}_{size[0]}_{scheme}.png", full_page=True)
        assert page.evaluate(SMALL) == []
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        if size[0] > 1000:
            assert (
                stage(
                    page,
                    "s.root.querySelector('.foot').getBoundingClientRect().bottom - s.root.getBoundingClientRect().top",
                )
                <= 560
            )
        assert page.evaluate(OUTSIDE) == []
        label = page.get_by_role("img").first.get_attribute("aria-label")
        assert label.startswith("Before the patch: ")


def test_reduced_motion_jumps(opened):
    page = opened("t=0", reduced_motion="reduce")
    page.keyboard.press("ArrowRight")
    assert stage(page, "s.position") == 1


APART = """([names]) => {
  const s = memcgLab.stage, paper = getComputedStyle(s.root);
  const canvas = Object.assign(document.createElement("canvas"), { width: 20, height: 20 });
  const g = canvas.getContext("2d", { willReadFrequently: true });
  const drawn = (name) => {
    const path = s.root.querySelector(`.radio .page-${name}`);
    g.setTransform(2, 0, 0, 2, 0, 0);
    g.clearRect(0, 0, 10, 10);
    g.fillStyle = "#000";
    g.fill(new Path2D(path.getAttribute("d")), name === "b" ? "evenodd" : "nonzero");
    return Array.from(g.getImageData(0, 0, 20, 20).data).filter((_, n) => n % 4 === 3);
  };
  const rgb = (name) => {
    g.fillStyle = paper.getPropertyValue(`--${name}`);
    return [1, 3, 5].map((at) => parseInt(g.fillStyle.slice(at, at + 2), 16));
  };
  return { shapes: names.map(drawn), colours: names.map(rgb), panel: rgb("panel") };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_eight_cgroups_are_told_apart_without_colour_and_seen_on_the_paper(opened, scheme):
    page = opened("d=2&l=8&c=2&t=6", color_scheme=scheme)
    found = page.evaluate(APART, [list("abcdefgh")])
    for n, one in enumerate(found["shapes"]):
        for other in found["shapes"][:n]:
            assert sum(abs(a - b) > 127 for a, b in zip(one, other, strict=True)) >= 40  # of 400: a tenth of the page

    def light(rgb):
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    paper = light(found["panel"])
    for colour in found["colours"]:
        low, high = sorted((light(colour), paper))
        assert (high + 0.05) / (low + 0.05) >= 3
    assert len({tuple(colour) for colour in found["colours"]}) == 8


def test_three_and_four_machines_move_with_one_cursor_and_change_places(opened):
    page = opened("t=0&p=76", reduced_motion="reduce")
    page.get_by_label("Machines", exact=True).fill("4")
    page.get_by_label("Machines", exact=True).press("Enter")
    until(page, "s.pictures.length === 4")
    assert stage(page, "s.position") == 76  # nothing was run again, nothing was lost
    titles = [page.get_by_role("group", name=machine.title) for machine in PatchLab.machines]
    totals = stage(page, "s.pictures.map((p) => s.branch.node(76).m[p.i].state.atomics)")
    for title, total in zip(titles, totals, strict=True):
        assert title.locator(".sum").inner_text() == f"{total} atomics"
    assert (
        page.locator(".status").inner_text()
        == PatchLab(traffic="ten pages are on their way", pictures=4, position=76).message
    )
    page.get_by_role("combobox", name="Machine 4").select_option(label="After the patch")
    assert stage(page, "s.pictures.map((p) => p.i)") == [0, 3, 2, 1]
    assert stage(page, "s.here()").startswith("d=2&l=2&c=2&n=4&r=2&t=0&p=76")
    page.get_by_label("Machines", exact=True).fill("3")
    page.get_by_label("Machines", exact=True).press("Enter")
    until(page, "s.pictures.length === 3")
    assert page.locator("section.machine:visible, .two > [role=group]:visible").count() == 3


SCRUB = """() => Array.from({ length: 400 }, () => {
  const { stage } = memcgLab, begun = performance.now();
  stage.seek(Math.random() * stage.branch.n);
  return performance.now() - begun;
})"""
ACT = """async () => {
  const { stage } = memcgLab, taken = [];
  for (let n = 0; n < 50; n++) {
    const begun = performance.now();
    await stage.perform([0, n % 8, 5 + n % 2, 1, 1]);
    taken.push(performance.now() - begun);
  }
  return taken;
}"""


def test_every_move_is_made_and_what_it_took_is_told(opened, measured):
    page = opened("d=5&l=2&c=8&t=6")
    scrub, acts = page.evaluate(SCRUB), page.evaluate(ACT)
    page.get_by_label("Speed").select_option("16")
    stage(page, "s.go(0)")
    stage(page, "s.toggle()")
    until(page, "s.stats.frames > 60")
    stats = stage(page, "({ frames: s.stats.frames, worst: s.stats.worst, work: s.stats.work })")
    measured(
        f"scrub: median {statistics.median(scrub):.2f} ms, worst {max(scrub):.1f}; an operation: "
        f"median {statistics.median(acts):.2f}, worst {max(acts):.1f}; played: {stats}"
    )
    assert (len(scrub), len(acts)) == (400, 50)
    assert stats["frames"] > 1


LONG = """async ([own, position]) => {
  const { stage } = memcgLab, begun = performance.now(), told = JSON.parse(stage.asJson());
  Object.assign(told.settings, { traffic: stage.inner.data.empty, fork: 0, own, position });
  await stage.load(JSON.stringify(told));
  return performance.now() - begun;
}"""
TAKES = """async (call) => {
  const begun = performance.now();
  await new Function("s", `return ${call}`)(memcgLab.stage);
  return performance.now() - begun;
}"""
MEMORY = "performance.memory ? performance.memory.usedJSHeapSize / 2 ** 20 : 0"


def test_a_hundred_thousand_operations_are_scrubbed_as_a_hundred_are(opened, measured):
    # A charge and a give-back on two CPUs in turn, of 1 to 3 pages; each thousandth pair is of another cgroup.
    pairs = [(1 + k % 3, "ab"[k % 1000 == 999]) for k in range(50_000)]
    own = ",".join(f"0{leaf}.{pages},1{leaf}-{pages}" for pages, leaf in pairs)
    page = opened("t=0", reduced_motion="reduce")
    short = page.evaluate(SCRUB)
    taken = page.evaluate(LONG, [own, 100_000])
    assert stage(page, "[s.branch.n, s.position, s.walks.disagreements]") == [100_000, 100_000, 0]
    scrub = page.evaluate(SCRUB)
    times = {}
    for key in "nx":
        stage(page, "s.go(50_000)")
        times[key] = page.evaluate(TAKES, f"s.keys.{key}()")
        assert stage(page, "s.position") > 50_000
    stage(page, "s.go(99_999)")
    act = page.evaluate(TAKES, "s.perform([0, 0, 2, 7, 1])")
    memory = page.evaluate(MEMORY)
    measured(
        f"100,000 operations: opened in {taken:.0f} ms; scrub median {statistics.median(scrub):.2f} ms, worst "
        f"{max(scrub):.1f} (180 operations: {statistics.median(short):.2f}, {max(short):.1f}); next drain "
        f"{times['n']:.1f}, next difference {times['x']:.1f}; an operation of one's own {act:.1f}; JavaScript heap "
        f"{memory:.0f} MB"
    )
    assert stage(page, "s.walks.branches.filter((b) => b.mine).map((b) => b.n)") == [100_000, 100_000]
    # The state far inside is what the whole stream leads to.
    rows = stage_data.unpack(own, PatchLab.hand, (2, 2, 2))[:77_777]
    for i, policy in enumerate(MACHINES[:2]):
        system = System(stage_data.parents(2, 2), cpus=2, policy=policy)
        system.replay(stage_data.stream(rows, first=2))
        assert stage(page, f"s.branch.node(77_777).m[{i}].state") == stage_data.memory(system)


# --- one's own traffic stays, is compared, and is taken along
def own(page):
    return stage(page, "s.walks.branches.filter((b) => b.mine).map((b) => [b.name, b.n, b.ops])")


def test_own_branches_go_along_to_another_tree_and_undo_brings_the_old_one_back(opened):
    page = opened(f"d=2&l=2&c=4&t={EMPTY}", reduced_motion="reduce")
    for op in ([0, 0, 2, 5, 1], [0, 3, 3, 5, 1], [1, 0, 2, 1, 1], [SET_MAX, 0, 1, 77, 0]):
        page.evaluate("(op) => memcgLab.stage.perform(op)", op)
    stage(page, "s.go(1)")
    page.evaluate("(op) => memcgLab.stage.perform(op)", [0, 1, 2, 9, 1])
    before = own(page)
    assert [n for _, n, _ in before] == [4, 2]
    depth, cpus = page.get_by_label("Levels below the root"), page.get_by_label("CPUs", exact=True)
    depth.fill("4")
    depth.press("Enter")
    until(page, "s.tree.depth === 4")
    deeper = own(page)  # the same operations, on the leaves and levels that have the same names
    assert [[op[:2] + op[3:] for op in ops] for *_, ops in deeper] == [
        [op[:2] + op[3:] for op in ops] for *_, ops in before
    ]
    assert [op[2] for op in deeper[0][2]] == [4, 5, 4, 1]
    assert stage(page, "s.position") == 2
    assert page.locator(".status").inner_text().startswith("2 of 2: CPU 1 charges 9 pages to A.")
    page.get_by_role("button", name="Undo").click()
    assert page.locator(".status").inner_text() == "The old tree is back, with all that was done in it."
    assert own(page) == before
    stage(page, "s.root.querySelector('select').focus()")
    page.get_by_role("combobox", name="Traffic").select_option(label="yours 1: 4 operations from 0 on")
    cpus.fill("3")
    cpus.press("Enter")
    until(page, "s.tree.cpus === 3")
    assert page.locator(".status").inner_text() == (
        "Operation 2 of yours 1, \u201cCPU 3 charges 5 pages to B\u201d, is not possible in this tree: it ends there. "
        "Undo brings the old tree back."
    )
    assert sorted(n for _, n, _ in own(page)) == [1, 2]
    page.get_by_role("button", name="Undo").click()
    assert own(page) == before
    assert stage(page, "[s.tree.cpus, s.position, s.walks.disagreements]") == [4, 4, 0]


COMPARED = """() => {
  const s = memcgLab.stage, { data, compared, ends } = s.inner, shown = s.pictures.map((p) => p.i), found = [];
  const walks = s.walks.branches.filter((b) => b.opened && b.n);
  for (const a of walks) for (const b of walks) {
    const told = compared(data, s.tree, a, b, shown, ends(a), ends(b));
    found.push({ names: [a.name, b.name], ops: [a.ops, b.ops], told });
  }
  return found;
}"""


def test_two_branches_are_compared_in_curves_numbers_and_a_sentence(opened, shots):
    page = opened("d=3&l=2&c=4&t=0&p=20", reduced_motion="reduce")
    assert not page.get_by_label("Compare with").is_visible()  # there is nothing yet
    for k, op in ((20, [0, 0, 3, 33, 1]), (21, [1, 1, 3, 33, 1]), (20, [0, 2, 4, 5, 1])):
        stage(page, f"s.go({k})")
        page.evaluate("(op) => memcgLab.stage.perform(op)", op)
    page.get_by_label("Compare with").select_option(label="yours 1")
    panel = page.get_by_role("region", name="Two branches compared")
    told = panel.locator("p").inner_text()
    assert told.startswith(
        "\u201cyours 2\u201d and \u201cyours 1\u201d part in operation 21: \u201cCPU 2 charges 5 pages to B\u201d "
        "against \u201cCPU 0 charges 33 pages to A\u201d. Before: "
    )
    page.locator(".unseen[role=status]", has_text="part in operation 21").wait_for(state="attached")
    assert panel.get_by_role("img").count() == 2
    for plot in panel.get_by_role("img").all():  # no line through a title
        grid, title = (plot.locator(of).bounding_box() for of in (".axis", "text.strong"))
        assert title["y"] + title["height"] <= grid["y"] + 4  # descenders
    cells = panel.locator("tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((c) => c.textContent))"
    )
    page.screenshot(path=shots / "compared_1280_light.png", full_page=True)
    names = stage_data.names(3, 2)
    for found in page.evaluate(COMPARED):
        pasts = [
            [History(System(stage_data.parents(3, 2), cpus=4, policy=p), stream_of(ops)) for p in MACHINES[:2]]
            for ops in found["ops"]
        ]
        expected = stage_data.compared(found["names"], names, ["Before", "After"], pasts)
        assert found["told"] == expected
        if found["names"] == ["yours 2", "yours 1"]:
            assert told == expected
            for n, label in enumerate(("Before", "After")):
                ends = [past[n] for past in pasts]
                assert cells[2 * n] == [f"{label}: atomics", *(f"{past.total[-1]:,}" for past in ends)]
                assert cells[2 * n + 1][1:] == [f"{past.stock_pages[-1].sum():,}" for past in ends]


def test_a_lab_is_taken_along_as_json_by_page_and_python(opened, tmp_path):
    page = opened("d=3&l=2&c=4&r=2&n=3&t=0&p=20", reduced_motion="reduce")
    for op in ([0, 0, 3, 33, 1], [1, 1, 3, 33, 1], [SET_MAX, 0, 2, 500, 0]):
        page.evaluate("(op) => memcgLab.stage.perform(op)", op)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    assert download.value.suggested_filename == "PatchLab.json"
    file = tmp_path / "PatchLab.json"
    download.value.save_as(file)
    lab = PatchLab.from_json(file.read_text(encoding="utf-8"))
    assert page.evaluate("memcgLab.stage.go(23)") is None
    assert page.locator(".status").inner_text() == lab.message
    assert lab.settings()["own"] == "0a.33,1a-33,0=2:500"
    again = opened("t=3")
    again.locator("input[type=file]").set_input_files(file)
    until(again, "s.branch.mine")
    assert again.evaluate("JSON.parse(memcgLab.stage.asJson())") == {
        "lab": "PatchLab",
        "settings": lab.settings(),
    }
    text = PatchLab(traffic="a mixture", depth=5, cgroups=8, fork=7, own="1h.3x9", position=12).to_json()
    again.evaluate("(text) => memcgLab.stage.load(text)", text)
    assert again.evaluate("JSON.parse(memcgLab.stage.asJson()).settings") == PatchLab.from_json(text).settings()
    again.get_by_role("button", name="Undo").click()  # what was there comes back
    assert stage(again, "s.tree.depth") == 3


GOOD = json.loads(PatchLab().to_json())
WRONG = [
    ("{", "This is no JSON; it must be what"),
    ("[1]", "This is no lab; it must be"),
    (GOOD | {"lab": "StockLab"}, "This is of a StockLab; it must be of a PatchLab."),
    (GOOD | {"settings": 3}, "This is no lab; it must be"),
    (GOOD | {"wheels": 4}, "wheels is no field of a lab's JSON; there are lab, settings."),
    (GOOD | {"position": 1}, "position is no field of a lab's JSON; there are lab, settings."),
]
SETTINGS = [
    ({"speed": 1}, "speed is no setting of this lab; there are traffic, depth,"),
    ({"position": 401}, "position is 401; it must be a whole number from 0 to 400."),
    ({"depth": 2.5}, "depth is 2.5; it must be a whole number from 1 to 5."),
    ({"depth": "2"}, 'depth is "2"; it must be a whole number'),
    ({"machine": "v6"}, 'machine is "v6"; it must be one of: After; Hunk 1 alone; Hunk 2 alone.'),
    ({"cgroups": 1, "traffic": "a mixture"}, 'traffic is "a mixture"; it must be one of'),
    ({"fork": -1}, "fork is -1; it must be a whole number from 0 to 400."),
    ({"own": None}, "own is null; it must be a text such as 0a.1x3,1a-2."),
    ({"own": "0a.1,bad"}, "own, operation 2: bad is no operation; one reads 0a.1"),
    ({"own": "0a.1x6250"}, "own, operation 1: 0a.1x6250 repeats too often; x999 is the most"),
    ({"own": "7a.1"}, "own, operation 1: 7a.1 names CPU 7; this tree has 0 to 1."),
    ({"own": "0a.1,0a-9"}, "Nothing was run beyond 1 operation: Refused: A has 1 page in use."),
    ({"own": ",".join(["0a.1x999"] * 101)}, "own has more operations than a walk may have here, 100,000."),
]


def test_a_wrong_json_is_refused_with_its_place_and_nothing_changes(opened):
    page = opened("t=2&p=9", reduced_motion="reduce")
    before = stage(page, "[s.here(), s.asJson()]")
    for told, why in [*WRONG, *((GOOD | {"settings": GOOD["settings"] | more}, why) for more, why in SETTINGS)]:
        text = told if isinstance(told, str) else json.dumps(told)
        page.evaluate("(text) => memcgLab.stage.load(text)", text)
        assert page.locator(".status").inner_text().startswith(why)
        assert stage(page, "[s.here(), s.asJson()]") == before
        with pytest.raises(ValueError, match="."):
            PatchLab.from_json(text)


def test_an_empty_number_of_a_link_is_said_to_be_empty(opened):
    assert "(empty) is not possible: " in opened("d=").locator(".status").inner_text()


CLIPBOARD = """(taken) => {
  const answer = new Promise((done, fail) => (window.release = taken ? done : fail));
  Object.defineProperty(navigator, "clipboard", { value: { writeText: () => answer } });
}"""


def test_reading_json_says_what_to_do_and_no_more_that_something_was_copied(opened):
    page = opened()
    copied(page, "JSON")
    page.get_by_role("button", name="Read JSON").click()
    assert page.locator(".status").inner_text() == 'Paste it into the box, then press "Read it".'
    for taken in (True, False):  # the clipboard may answer late, when a browser asks its reader first
        page = opened()
        page.evaluate(CLIPBOARD, taken)
        page.get_by_role("button", name="Copy as JSON").click()
        page.get_by_role("button", name="Read JSON").click()
        page.get_by_label("JSON to read").fill("{}")
        page.evaluate("release()")
        drawn(page)
        assert page.locator(".status").inner_text() == 'Paste it into the box, then press "Read it".'
        assert page.get_by_label("JSON to read").evaluate("(box) => [box.selectionStart, box.value]") == [2, "{}"]


# --- what must hold
LIT = """([parents, states, bounds]) => {
  const { data, lightsOf } = memcgLab.stage.inner, tree = { parents, names: parents.map((_, m) => `${m}`) };
  return states.map((state, n) => lightsOf(data, tree, { bound: bounds[n] }, state).map((wrong) => wrong === ""));
}"""
LIGHTS = [rule["name"] for rule in stage_data.INVARIANTS]
BREAK = {  # an array and a field, by the field of the state
    "counter.count": ("counter", "count"),
    "memcg.css": ("memcg", "css"),
    "memcg.held": ("memcg", "held"),
    "memcg.sock_held": ("memcg", "sock_held"),
    "stock.nr_pages": ("stock", "nr_pages"),
    "stock.memcg": ("stock", "memcg"),
    "sock": ("sock", None),
}


@pytest.mark.parametrize("policy", MACHINES, ids=lambda policy: policy.name)
def test_lights_are_the_invariants_of_the_library_on_good_states_and_on_broken_ones(opened, policy):
    page, chance = opened(), random.Random(3)
    states, bounds, expected, parents = [], [], [], stage_data.parents(3, 3)
    bound = policy.batch if policy.stock_bound is None else policy.stock_bound
    for seed in range(40):
        system = System(parents, cpus=4, policy=policy)
        system.replay(random_traffic(seed, 3, 3, 4)[: 10 + 4 * seed])
        for broken in range(1 + 3 * (seed > 4)):
            other = system.copy()
            if broken:
                array, field = BREAK[chance.choice(list(BREAK))]
                values = getattr(other.mechanism_state(), array)
                values = (values[field] if field else values).reshape(-1)
                at = chance.randrange(min(len(values), len(parents) if array in ("counter", "memcg") else len(values)))
                values[at] = chance.choice([-1, 40, values[at] + 1]) if field != "memcg" else chance.choice([-1, 3, 4])
            states.append(stage_data.memory(other))
            bounds.append(bound)
            found = {one.name: one.holds for one in other.invariants()}
            if policy.stock_bound is None:  # the library has no bound for it; the light shows the patch's
                found["no stock exceeds its bound"] = max(states[-1]["stock.nr_pages"]) <= bound
            expected.append([found[name] for name in LIGHTS])
    lit = page.evaluate(LIT, [parents, states, bounds])
    assert lit == expected
    for n, name in enumerate(LIGHTS):
        assert {True, False} <= {row[n] for row in lit}, name  # each was seen both ways


def test_a_light_that_is_out_shows_the_shortest_way_there(opened, shots):
    page = opened("t=1&p=10&r=2", reduced_motion="reduce")
    page.keyboard.press("ArrowRight")  # who has done something hears what it leads to
    right = page.get_by_role("group", name="Hunk 2 alone")
    assert right.locator(".lights li.false").count() == 0
    assert not right.get_by_role("button", name="How?").is_visible()
    for op in ([0, 0, 2, 40, 1], [1, 0, 2, 40, 1]):
        page.evaluate("(op) => memcgLab.stage.perform(op)", op)
    assert right.locator(".lights li.false").inner_text().split() == ["\u2717bound", "does", "not", "hold"]
    page.locator(".unseen[role=status]", has_text="this does not hold: no stock exceeds its bound.").wait_for(
        state="attached"
    )
    right.get_by_role("button", name="How?").click()
    until(page, "s.branch.n === 2")
    assert stage(page, "s.branch.ops.map((op) => [op[0], op[3]])") == [[0, 33], [1, 33]]
    assert page.locator(".status").inner_text() == (
        "2 operations are the shortest way there. Hunk 2 alone: this does not hold: no stock exceeds its bound."
    )
    page.screenshot(path=shots / "light_out_1280_light.png")


def test_nothing_is_said_before_the_reader_acts(opened):
    page = opened("t=0&p=20")
    page.wait_for_timeout(600)  # nothing is to happen: longer than what is said takes to be heard
    assert page.locator(".unseen[role=status]").inner_text() == ""
    page.keyboard.press("ArrowLeft")
    page.locator(".unseen[role=status]", has_text="19 of 180").wait_for(state="attached")


def test_on_a_phone_picture_and_controls_are_on_the_screen_together(opened, shots):
    page = opened("t=0", width=400, height=800, reduced_motion="reduce")
    box = page.locator(".moves").bounding_box()
    top, bottom = box["y"], box["y"] + box["height"]
    assert 600 < top < bottom <= 800
    heights = []
    for k in (10, 75, 76, 77, 120):
        stage(page, f"s.go({k})")
        heights.append(stage(page, "s.root.scrollHeight"))
    assert len(set(heights)) == 1  # no note shifts the page
    page.screenshot(path=shots / "phone_400_light.png")


# --- what fresh eyes found
def enter(page, label, value):
    page.get_by_label(label, exact=True).fill(value)
    page.get_by_label(label, exact=True).press("Enter")


def test_a_number_box_refuses_what_was_typed_and_shows_what_is(opened):
    page = opened("d=5&l=2&c=2&n=2&t=0", reduced_motion="reduce")
    most = stage(page, "s.inner.data.pages")
    for label, wrong, low, high in [
        ("Levels below the root", "9", 1, 5),
        ("Cgroups", "2.5", 1, 8),
        ("CPUs", "77", 2, 8),
        ("Machines", "0", 2, 4),
        ("Operation", "999", 0, 180),
        (f"Pages a call, 1 to {most}", "-4", 1, most),
    ]:
        box = page.get_by_label(label, exact=True)
        before = box.input_value()
        enter(page, label, wrong)
        assert page.locator(".status").inner_text() == (
            f"{label}: {wrong} is not possible; a whole number from {low} to {high} is."
        )
        assert box.input_value() == before


HIDDEN_PARTS = """() => {
  const s = memcgLab.stage, svg = s.root.querySelector(".foot .chart"), all = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((el) => {
    const { left, right, width } = el.getBoundingClientRect();
    return width && (left < all.left || right > all.right);
  }).map((el) => el.textContent);
}"""


@pytest.mark.parametrize("width", [400, 1150, 1280])
def test_the_chart_shows_six_digits_and_the_box_takes_them(opened, width):
    page = opened("d=5&l=2&c=2&n=4&t=0", width=width, reduced_motion="reduce")
    own = ",".join(["0a.99x999,0a-99x999"] * 25)
    page.evaluate(LONG, [own, 49_000])
    assert stage(page, "s.branch.n") == 49_950
    top = stage(page, "Math.max(...[0, 1, 2, 3].map((i) => s.branch.atomics(s.branch.n, i)))")
    assert top > 99_999
    assert f"{top:,}" in page.locator(".foot .chart").text_content()
    assert page.evaluate(HIDDEN_PARTS) == []
    assert stage(page, "((box) => box.scrollWidth - box.clientWidth)(s.root.querySelector('.where input'))") == 0


def test_the_keys_stay_with_the_stage_when_a_button_goes(opened):
    page = opened(f"d=2&l=2&c=2&r=2&t={EMPTY}", reduced_motion="reduce")
    for op in ([0, 0, 2, 40, 1], [1, 0, 2, 40, 1]):
        page.evaluate("(op) => memcgLab.stage.perform(op)", op)
    way = page.get_by_role("group", name="Hunk 2 alone").get_by_role("button", name="How?")
    way.focus()
    page.keyboard.press("Enter")
    until(page, "s.branch.ops.length === 2 && s.branch.ops[0][3] === 33")
    page.keyboard.press("z")
    assert not way.is_visible()
    assert stage(page, "s.position") == 1
    assert stage(page, "s.root.getRootNode().activeElement === s.root")
    page.keyboard.press("ArrowRight")
    assert stage(page, "s.position") == 2


# Text of a picture that is over another text, or that a frame of a counter cuts.
CROSSED = """() => memcgLab.stage.pictures.flatMap(({ svg }) => {
  const seen = (list) => [...list].map((el) => [el.textContent, el.getBoundingClientRect()]).filter(([, b]) => b.width);
  const texts = seen(svg.querySelectorAll("text:not(.token text)")).filter(([text]) => text.trim());
  const boxes = seen(svg.querySelectorAll("rect.counter"));
  const ink = ({ left, right, top, bottom }) => ({ left, right, top: top + 3, bottom: bottom - 3 });
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const found = [];
  texts.forEach(([text, a], n) => {
    for (const [other, b] of texts.slice(n + 1)) if (meet(ink(a), ink(b))) found.push(`${text} over ${other}`);
    for (const [, b] of boxes) {
      const inside = ink(a).top >= b.top && ink(a).bottom <= b.bottom;
      if (meet(ink(a), b) && !inside) found.push(`${text} is cut`);
    }
  });
  boxes.forEach(([, a], n) => boxes.slice(n + 1).forEach(([, b]) => meet(a, b) && found.push("counters overlap")));
  return found;
})"""
DIGITS = ",".join(f"{cpu}a.99x9,{cpu}a-99x7" for cpu in range(8))


@pytest.mark.parametrize("width", [1150, 1280])
@pytest.mark.parametrize("machines", [2, 3, 4])
def test_the_deepest_tree_with_most_cgroups_and_cpus_is_readable(opened, machines, width, shots):
    for name, place in [
        ("mixture", f"d=5&l=8&c=8&n={machines}&r=2&t=6&p=100"),
        ("digits", f"d=5&l=8&c=8&n={machines}&r=2&t={EMPTY}&f=0&o={DIGITS}&p=128"),
        ("four", f"d=4&l=8&c=8&n={machines}&t=6&p=100"),
        ("few", f"d=5&l=2&c=8&n={machines}&t=6&p=100"),
    ]:
        page = opened(place, width=width)
        page.screenshot(path=shots / f"deepest_{name}_{machines}_{width}.png")
        assert page.evaluate(CROSSED) == [], name
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate(SMALL) == []
        foot = "s.root.querySelector('.foot').getBoundingClientRect().bottom - s.root.getBoundingClientRect().top"
        assert stage(page, foot) <= 560


def test_quests_and_chart_speak_of_the_machines_that_are_shown(opened):
    page = opened(f"d=2&l=2&c=2&r=2&t={EMPTY}", reduced_motion="reduce")
    dearer = [[0, 0, 2, 1, 1], [0, 0, 2, 40, 1], [1, 0, 2, 3, 1], [0, 0, 2, 1, 1]]
    for op in dearer:
        page.evaluate("(op) => memcgLab.stage.perform(op)", op)
    assert stage(page, "[s.found[0], s.found[2]]") == ["", ""]  # After is not there
    labels = page.locator(".foot .chart .label:visible").all_text_contents()
    assert [label.rpartition(" ")[0] for label in labels] == ["before", "hunk 2 alone"]
    page.get_by_role("combobox", name="Machine on the right").select_option(label="After the patch")
    assert stage(page, "s.found[2]") == "After 4 operations: 9 atomics before, 12 after."
    labels = page.locator(".foot .chart .label:visible").all_text_contents()
    assert [label.rpartition(" ")[0] for label in labels] == ["before", "after"]


def test_what_the_lab_shows_is_not_found_by_the_reader(opened):
    page = opened(f"d=2&l=2&c=2&n=3&r=2&t={EMPTY}&f=0&o=0a.40,0a-40&p=0", reduced_motion="reduce")
    stage(page, "s.seek(2)")
    page.get_by_role("group", name="Hunk 2 alone").get_by_role("button", name="How?").click()
    until(page, "s.branch.ops.length === 2 && s.branch.ops[0][3] === 33")
    for k in (0, 1, 2):
        stage(page, f"s.go({k})")
    assert stage(page, "s.found") == ["", "", ""]
    stage(page, "s.go(0)")
    for op in ([0, 0, 2, 1, 1], [1, 0, 2, 1, 1]):
        page.evaluate("(op) => memcgLab.stage.perform(op)", op)
    assert stage(page, "s.found[0]").startswith("Here they part")


def test_a_second_press_ends_the_movement_and_goes_on(opened):
    page = opened("t=0&p=70")
    page.get_by_label("Speed").select_option("0.25")
    stage(page, "s.root.focus()")
    page.evaluate(FRAMES)  # else what moves may not have begun yet, or be over
    page.keyboard.press("ArrowRight")
    page.evaluate("frame(60)")
    assert 70 < stage(page, "s.position") < 71
    assert page.locator(".status").inner_text().startswith("71 of 180: ")
    assert "So far" not in page.locator(".status").inner_text()  # neither the sums nor the sentence are there yet
    for n in (1, 2, 3):
        page.get_by_role("button", name="Step").click()
        page.evaluate("frame(40)")
        assert 70 + n < stage(page, "s.position") < 71 + n
    stage(page, "s.go(0)")
    drains = stage(page, "s.nodes.filter((n) => n.k && s.branch.jumps(n.k, 1)).map((n) => n.k)")
    for k in drains[:3]:
        page.get_by_role("button", name="Next drain").click()
        page.evaluate("frame(40)")
        assert k - 1 < stage(page, "s.position") < k
    stage(page, f"s.go({drains[0]})")
    totals = stage(page, f"s.pictures.map((p) => s.branch.node({drains[0]}).m[p.i].state.atomics)")
    assert page.locator(".status").inner_text().endswith(f"So far {totals[0]} and {totals[1]} atomics.")
    assert page.locator(".sum:visible").all_inner_texts() == [f"{total} atomics" for total in totals]


def test_what_ends_a_movement_ends_no_timer_that_has_the_number_of_its_frame(opened):
    page = opened("t=0&p=70")
    page.evaluate("""() => {
      const timer = setTimeout(() => (window.rang = true), 500), own = requestAnimationFrame;
      window.requestAnimationFrame = () => (own(() => {}), timer);
    }""")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    comes(page, "window.rang")


def test_labels_keep_clear_of_what_is_beside_them(opened, watched, tmp_path, web_kernels):
    page = opened("d=2&l=2&c=2&t=0")
    stage(page, "s.seek(75.95)")
    clear = """() => memcgLab.stage.pictures.flatMap(({ counters }) => counters.map((c) => {
      const text = c.badge.children[1].getBoundingClientRect();
      return text.width ? text.left - c.box.getBoundingClientRect().right : 9;
    }))"""
    assert min(page.evaluate(clear)) >= 2
    gap = "s.root.querySelectorAll('.where label')[1].getBoundingClientRect().left"
    assert stage(page, f"{gap} - s.root.querySelector('.of').getBoundingClientRect().right") >= 14
    path = tmp_path / "drift.html"
    make_page(path, web_kernels, "DriftLab")
    drift = watched(path.as_uri(), allowed=path.as_uri(), quiet=True)
    drift.wait_for_selector(".m0 svg[aria-label]")
    drawn(drift)
    assert drift.evaluate(CROSSED) == []
    word = "s.pictures.every((p) => p.inSockets.getBoundingClientRect().right <= p.svg.getBoundingClientRect().right)"
    assert stage(drift, word)


# --- all CPUs at once: the kernels of the page against the library
ONCE = """async (shown) => {
  const s = memcgLab.stage, { lab } = memcgLab, { data, allAtOnce, onceSentence } = s.inner, { tree } = s;
  const given = { lab, ask: null, data, tree, shown, ops: s.branch.ops };
  const runs = await allAtOnce(given);
  const taken = [];
  for (let n = 0; n < 20; n++) {
    const begun = performance.now();
    await allAtOnce(given);
    taken.push(performance.now() - begun);
  }
  return {
    taken, told: onceSentence(data, tree, runs, 500), agree: runs.every(({ agrees }) => agrees),
    runs: runs.map(({ lanes, begins, over, ends, waits, travel, ops }) =>
      ({ lanes, begins: [...begins], over: [...over], ends, waits, travel, ops })),
  };
}"""


@pytest.mark.parametrize("number", [n for n, name in enumerate(PatchLab.traffic) if name != "a limit is met"])
def test_all_cpus_at_once_are_in_the_page_what_they_are_in_the_library(opened, number, measured):
    name = list(PatchLab.traffic)[number]
    found = opened(f"d=3&l=2&c=2&t={number}").evaluate(ONCE, [0, 1, 2, 3])
    lab = PatchLab(traffic=name, depth=3, pictures=4, at_ns=500)
    assert found["agree"]
    assert found["told"] == lab.message
    for one, got in zip(lab.result.once, found["runs"], strict=True):
        assert got["ops"] == listed(one.history.ops)
        assert got["begins"] == one.begins["time"].tolist()
        assert (got["over"], got["ends"]) == (one.over.tolist(), one.ends.tolist())
        assert (sum(got["ends"]), got["waits"], got["travel"]) == at_once.spent(one)
        for cpu, lane in enumerate(got["lanes"]):
            mine = one.touches[one.touches["cpu"] == cpu]
            for field, here in (("time", "asked"), ("start", "begin"), ("end", "end"), ("line", "line")):
                assert lane[here] == mine[field].tolist()
    taken = found["taken"]
    measured(
        f"all CPUs at once, {len(found['runs'][0]['ops'])} operations on four machines ({name}): "
        f"{min(taken):.1f} ms at best, in the median {statistics.median(taken):.1f}"
    )


def test_two_machines_at_once_and_what_they_take(opened, measured):
    page = opened("d=2&l=2&c=2&t=2")
    found = page.evaluate(ONCE, [0, 1])
    taken = found["taken"]
    measured(
        f"all CPUs at once, 400 operations, before and after: {min(taken):.1f} ms at best, in the median "
        f"{statistics.median(taken):.1f}"
    )
    draws = page.evaluate("""async () => {
      const { stage } = memcgLab, taken = [];
      await stage.set({ at_ns: 0 });
      for (let n = 0; n < 200; n++) {
        const begun = performance.now();
        stage.go(Math.floor(Math.random() * 30000));
        taken.push(performance.now() - begun);
      }
      return taken;
    }""")
    measured(f"a jump in simulated time: {statistics.median(draws):.1f} ms of script, at worst {max(draws):.1f}")


def test_a_link_restores_the_time_and_names_what_it_does_not_know(opened):
    page = opened("d=2&l=2&c=2&t=6&ns=620", reduced_motion="reduce")
    assert page.locator(".status").inner_text() == PatchLab(traffic="a mixture", at_ns=620).message
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    here = stage(page, "s.here()")
    assert here.endswith(f"&ns={stage(page, 's.moment')}")
    again = opened(here, reduced_motion="reduce")
    assert stage(again, "s.moment") == stage(page, "s.moment")
    assert again.locator(".status").inner_text() == page.locator(".status").inner_text()
    late = opened("t=6&ns=99999").locator(".status").inner_text()
    assert late == "Simulated ns 99999 is not possible: 0 to 29,094; it is 29094 now."
    for bad in ("-4", "abc"):
        said = opened(f"t=6&ns={bad}").locator(".status").inner_text()
        assert said == f"Simulated ns {bad} is not possible: 0 to 29,094; it is 0 now."
    assert opened("t=7&ns=5").locator(".status").inner_text().startswith("All CPUs at once: operation 1, ")
    odd = opened("t=6&speed=3&p=2")
    assert odd.locator(".status").inner_text() == (
        "speed is no name in a link of this lab; there are d, l, c, n, r, t, p, f, o, ns."
    )
    assert stage(odd, "s.position") == 2


def test_the_walk_is_where_it_was_left_when_operations_come_one_after_the_other_again(opened):
    page = opened("d=2&l=2&c=2&t=0&p=180", reduced_motion="reduce")
    time, traffic = (page.get_by_role("combobox", name=name) for name in ("Time", "Traffic"))

    def at_once(wanted):
        time.select_option("once" if wanted else "")
        until(page, f"(s.once !== null) === {str(wanted).lower()}")

    at_once(True)
    page.get_by_role("button", name="Play").click()  # moves the clock, not the walk
    page.get_by_role("button", name="Pause").click()
    at_once(False)
    assert stage(page, "s.position") == 180
    at_once(True)
    traffic.select_option(label="a mixture")
    until(page, "s.branch.n === 200 && s.once !== null && s.once.runs[0].ops.length === 200")
    at_once(False)
    assert stage(page, "s.position") == 0
    assert page.locator(".status").inner_text() == PatchLab(traffic="a mixture", position=0).message
    traffic.select_option(str(EMPTY))
    until(page, "s.branch.n === 0")
    at_once(True)
    for op in ([0, 0, 2, 5, 1], [0, 1, 3, 5, 1]):
        page.evaluate("(op) => memcgLab.stage.perform(op)", op)
    at_once(False)
    assert stage(page, "[s.position, s.branch.n]") == [2, 2]
    page.get_by_role("button", name="Undo").click()
    assert stage(page, "s.position") == 1
    at_once(True)
    page.evaluate("(op) => memcgLab.stage.perform(op)", [SET_MAX, 0, 1, 77, 0])  # only one after the other
    until(page, "s.once === null")
    assert page.locator(".status").inner_text().startswith("All CPUs at once: operation ")
    assert stage(page, "s.position === s.branch.n")
