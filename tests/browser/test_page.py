"""The one file in Chromium, opened from file://: what it shows is what Python computes.

python -m pytest tests/browser -m browser

It needs the extra ``browser`` and a Chromium; ``playwright install chromium`` or Debian's. The kernels are taken from
``build/web`` or built there, which takes some minutes once. Screenshots are left in ``build/screenshots``, to be looked
at.
"""

import pathlib
import statistics

import pytest

from lab_helpers import GOLDEN, stream_of
from memcg_lab import System, read_golden
from memcg_lab.history import History
from memcg_lab.labs import PatchLab
from memcg_lab.labs.stage import data as stage_data
from memcg_lab.web.page import BYTES_MAX, make_page
from stage_helpers import assert_states_are_those_of, listed, random_traffic

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = pathlib.Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
MACHINES = [machine.policy for machine in PatchLab.machines]
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
        return page

    return at


def stage(page, call):
    return page.evaluate(f"(() => {{ const s = memcgLab.stage; return {call}; }})()")


def test_the_file_opens_by_itself(opened, one_file, measured):
    assert one_file.stat().st_size <= BYTES_MAX
    ready = min(opened("t=0").evaluate("memcgLab.stage.ready") for _ in range(3))
    measured(f"the stage alone, {one_file.stat().st_size:,} bytes: first picture after {ready:.0f} ms")
    page = opened("t=0")
    assert stage(page, "[s.walks.ran, s.walks.disagreements]") == [4 * 180, 0]


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
  const told = (node, right) => sentence(data, tree, node, nodes.length - 1, [0, right]);
  return {
    sentences: [1, 2, 3].map((right) => nodes.map((node) => told(node, right))),
    lines: [0, 1, 2, 3].map((i) => nodes.slice(1).map((node) => linesOf(data, i, node.op, node.m[i].rows))),
    atomics: [0, 1, 2, 3].map((i) => nodes.map((node) => node.m[i].state.atomics)),
  };
}"""


@pytest.mark.parametrize("number", range(EMPTY))
def test_sentences_and_lines_of_the_patch_are_those_of_the_library(opened, number):
    told = list(PatchLab.traffic.values())[number]
    depth, leaves = 1 + number % 5, told.cgroups
    page = opened(f"d={depth}&l={leaves}&c=2&t={number}")
    found = page.evaluate(TOLD)
    ops = stream_of(told.ops, first=depth)
    pasts = [History(System(stage_data.parents(depth, leaves), cpus=2, policy=policy), ops) for policy in MACHINES]
    names, labels = stage_data.names(depth, leaves), [machine.name for machine in PatchLab.machines]
    for right in (1, 2, 3):
        expected = [
            stage_data.sentence((pasts[0], pasts[right]), k, names, (labels[0], labels[right]))
            for k in range(len(ops) + 1)
        ]
        assert found["sentences"][right - 1] == expected
    for past, lines, atomics in zip(pasts, found["lines"], found["atomics"], strict=True):
        assert [[-1 if line is None else line for line in past.lines(k)] for k in range(len(ops))] == lines
        assert past.total.tolist() == atomics


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
      room: [p.cols * p.rows, p.socketCols * p.rows],
    };
  });
}"""


@pytest.mark.parametrize(
    "place", ["d=2&l=2&c=2&r=0&t=6", "d=5&l=2&c=8&r=2&t=6", "d=1&l=1&c=3&r=0&t=7", "d=2&l=1&c=2&t=4"]
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
    press(
        "Home", *["["] * 30, "q", *["]"] * 39, "q", *["["] * 37, "a", "[", "[", "q"
    )  # charge 1, 40; give back 3; charge 1
    assert stage(page, "s.found")[2] == "After 4 operations: 9 atomics before, 12 after."
    assert stage(page, "s.walks.branches.filter((b) => b.mine).length") == 3
    press("c", "g", "q")
    assert stage(page, "s.nodes.at(-1).op.slice(0, 3)") == [0, 1, 3]
    press("Home", "ArrowRight", "ArrowRight")
    assert stage(page, "s.position") == 2
    press(",")
    assert 1 < stage(page, "s.position") < 2
    press("End", "ArrowLeft")
    assert stage(page, "s.position") == stage(page, "s.nodes.length") - 2
    press("Home", "n")
    assert stage(page, "s.nodes[s.position].m[1].rows.some((r) => r.step === s.inner.data.forms.codes.STEP_DRAIN)")
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
        if page.evaluate("document.activeElement === document.body"):
            break
    assert {"Play", "Undo", "Set limit", "cursor", "Copy as Python", "Check"} <= set(seen)


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
    assert page.locator(".status").inner_text() == "After: drain_stock(stock); ran in 1 of 76 operations."
    page.locator(".unseen", has_text="ran in 1 of 76 operations.").wait_for(
        state="attached"
    )  # who listens hears it too
    assert page.locator(".m1 .chip.hot").count() == 6
    page.locator(".m1 .chip.bar").first.click()
    assert "drain_stock" in page.locator(".m1 .code.now").inner_text()
    page.get_by_role("combobox", name="Machine on the right").select_option(label="Hunk 2 alone: the way back")
    assert page.locator(".m3.machine .code:visible").all_inner_texts() == [
        "+\nrefill_stock(memcg, nr_pages);\nstock 33"
    ]
    still = stage(page, "s.position")
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(400)
    assert stage(page, "s.position") > still
    page.get_by_role("button", name="Pause").click()
    still = stage(page, "s.position")
    page.wait_for_timeout(100)
    assert stage(page, "s.position") == still


def test_refusals_are_told_and_drawn(opened):
    page = opened(f"d=2&l=2&c=2&t={EMPTY}", reduced_motion="reduce")
    page.get_by_role("button", name="CPU 0: give back 1 page of A").click()
    assert page.locator(".status").inner_text() == "Refused: A has 0 pages in use."
    limit = page.get_by_label("Limit in pages; empty for none")
    limit.press_sequentially("ee")
    page.get_by_role("button", name="Set limit").click()
    assert page.locator(".status").inner_text() == "What stands in the box is no number; the limit is as it was."
    limit.fill("2")
    page.get_by_role("button", name="Set limit").click()
    assert "CPU 0 sets the limit of A to 2 pages" in page.locator(".status").inner_text()
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
    odd = opened("d=1&l=1&c=2&t=8&o=0a.1x3,0b.1")
    assert odd.locator(".status").inner_text() == "The link is not one of this page beyond 3 operations."
    page.get_by_role("button", name="Copy as Python").click()
    text = page.get_by_label("Text to copy").input_value()
    exec(text, {})
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
def test_it_fits_is_readable_and_named(opened, size, scheme):
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name, place, at in [
        ("two", "t=0", 75.55),
        ("deep", "d=5&l=2&c=8&r=1&t=6", 100.5),
        ("limit", "d=2&l=1&t=7", 10.4),
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
        label = page.get_by_role("img").first.get_attribute("aria-label")
        assert label.startswith("Before the patch: ")


def test_reduced_motion_jumps(opened):
    page = opened("t=0", reduced_motion="reduce")
    page.keyboard.press("ArrowRight")
    assert stage(page, "s.position") == 1


SCRUB = """() => Array.from({ length: 400 }, () => {
  const { stage } = memcgLab, begun = performance.now();
  stage.seek(Math.random() * (stage.nodes.length - 1));
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
    page.wait_for_timeout(1500)
    stats = stage(page, "({ frames: s.stats.frames, worst: s.stats.worst, work: s.stats.work })")
    measured(
        f"scrub: median {statistics.median(scrub):.2f} ms, worst {max(scrub):.1f}; an operation: "
        f"median {statistics.median(acts):.2f}, worst {max(acts):.1f}; played: {stats}"
    )
    assert (len(scrub), len(acts)) == (400, 50)
    assert stats["frames"] > 1
