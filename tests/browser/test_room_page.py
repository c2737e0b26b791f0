"""The room lab in Chromium, without Python and without a network: it reads, sorts and says what Python does.

python -m pytest tests/browser/test_room_page.py -m browser
"""

import json
import random

import pytest

from browser_helpers import comes_to, drawn
from memcg_lab import RoomLab
from memcg_lab.course import room
from memcg_lab.course.guesses import GUESSES
from memcg_lab.web.page import make_page
from once.test_room import a_class, some_codes

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def file(tmp_path_factory, web_kernels):
    path = tmp_path_factory.mktemp("room") / "room.html"
    make_page(path, web_kernels, "RoomLab")
    return path


@pytest.fixture
def page(file, watched):
    opened = watched(file.as_uri(), offline=True)
    opened.locator(".charts").wait_for()
    drawn(opened)
    return opened


def of_page(page, **settings):
    """What the lab in the page says and shows."""
    page.evaluate("(settings) => memcgLab.stage.set(settings)", settings)
    rows = page.evaluate("memcgLab.stage.rows")
    return page.locator(".status").inner_text(), [tuple(row.values()) for row in rows]


def of_python(**settings):
    lab = RoomLab(**settings)
    return lab.message, [tuple(row) for row in lab.result.rows]


@pytest.mark.parametrize("told", [False, True])
def test_a_class_is_sorted_as_python_sorts_it(page, told):
    settings = {"asked": "00.atomics before", "codes": a_class(300), "told": told}
    assert of_page(page, **settings) == of_python(**settings)


def test_every_question_is_read_and_sorted_as_python_does(page):
    dice, lines = random.Random(5), list(some_codes(300, seed=8))
    for question, names in GUESSES.items():
        lines += [
            room.code(question, **{name: guess}, sure=dice.randrange(101)) for name in names for guess in names[name]
        ]
    codes = "\n".join(lines)
    for asked in RoomLab.asked:
        settings = {"asked": asked, "codes": codes, "told": True}
        assert of_page(page, **settings) == of_python(**settings), asked


def test_what_is_wrong_with_a_code_is_said_as_python_says_it(page):
    dice, lines = random.Random(6), []
    for made in some_codes(60, seed=9):
        k = dice.randrange(len(made) - 1)
        lines.append(made[:k] + dice.choice("ABCXYZ789O") + made[k + 1 :])
        lines.append(made[:k] + made[k + 1] + made[k] + made[k + 2 :])
    for line in lines:
        settings = {"asked": "03.trips trips", "codes": line, "told": False}
        assert of_page(page, **settings) == of_python(**settings), line


def test_a_readers_files_become_the_codes_that_python_makes(page, tmp_path):
    dice = random.Random(7)
    for k in range(30):
        said = {
            "03.trips": {"said": {"trips": dice.randrange(9)}, "sure": dice.choice([None, 70])},
            "06.way": {"said": {"already_here": dice.random(), "other_package": 123.456789}, "sure": 33.5},
            "03.traffic": {"said": {"most": "turns"}, "sure": 0},
            "no.such": {"said": {"x": 1}, "sure": None},
        }
        kept = {"format": "memcg-lab notes", "version": 1, "predictions": said}
        (tmp_path / f"reader{k:02}.json").write_text(json.dumps(kept), encoding="utf-8")
    page.locator("input[type=file]").set_input_files(sorted(tmp_path.glob("*.json")))
    comes_to(
        page, lambda: page.evaluate("memcgLab.stage.settings.codes"), room.codes_of(tmp_path)
    )  # files are read later
    assert page.evaluate("memcgLab.stage.settings.asked") == "03.trips trips"  # what most of them answer


def test_pasting_leads_to_the_question_and_a_button_tells_what_came_out(page, measured, shots):
    page.get_by_label("Codes, one a line").first.fill(a_class(300))
    page.locator(".answers li").first.wait_for()
    assert "right" not in page.locator(".status").inner_text()
    page.screenshot(path=shots / "room-said.png")
    page.get_by_role("button", name="Say what came out").click()
    assert "the run says 621" in page.locator(".status").inner_text()
    assert page.locator(".answers li.right").inner_text().startswith("right: 621")
    page.screenshot(path=shots / "room-told.png")
    measured(
        f"300 codes pasted: {page.evaluate('Math.max(...memcgLab.stage.stats.moves)'):.1f} ms for the longest move"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 816, 390])
def test_it_fits_and_is_accessible(file, watched, width, scheme):
    page = watched(file.as_uri(), offline=True, width=width, color_scheme=scheme)
    page.locator(".charts").wait_for()
    page.get_by_label("Codes, one a line").first.fill(a_class(60))
    page.get_by_role("button", name="Say what came out").click()
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    axe = pytest.importorskip("axe_playwright_python.base", reason="the extra `browser` is not installed")
    page.evaluate(axe.AXE_SCRIPT)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [one["id"] for one in found if one["id"] not in ("page-has-heading-one", "region")] == []


@pytest.mark.parametrize("width", [1280, 816, 400])
def test_the_sentence_is_whole_and_every_wrong_code_is_listed(file, watched, width):
    page = watched(file.as_uri(), offline=True, width=width)
    page.locator(".charts").wait_for()
    text = a_class(20) + "\n" + "KC42-2239-U62X\nfoo-bar-baz\n" * 5
    assert of_page(page, asked="00.atomics before", codes=text, told=True) == of_python(
        asked="00.atomics before", codes=text, told=True
    )
    drawn(page)
    status = page.locator(".status")
    assert status.evaluate("(el) => el.scrollHeight <= el.clientHeight")
    assert "5 codes could not be read" in status.inner_text()
    assert page.locator(".wrong li").count() == 5
    assert page.locator(".wrong li").last.inner_text() == "line 29, letter 12 is X; with W it would be a code."


def test_the_link_names_the_question_and_no_code(page):
    page.evaluate("(codes) => memcgLab.stage.set({codes})", a_class(3))
    page.locator(".charts select").select_option("03.trips trips")
    page.wait_for_url("**#asked=03.trips*")
    assert page.evaluate("location.hash") == "#asked=03.trips+trips&told=false"
