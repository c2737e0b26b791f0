"""Slides in Chromium: keys lead through them, an output waits for its key, a lab lives, nobody is asked for anything.

python -m pytest tests/browser/test_slides.py -m browser
"""

import pytest

from tools import notebooks, teach
from tools.notebooks import ROOT

PATH = ROOT / "notebooks" / "03_the_stock.ipynb"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, web_kernels):
    out = tmp_path_factory.mktemp("teach")
    assert teach.teach(ROOT, ["03_the_stock"], committed=True, out=out) == 0
    return out


@pytest.fixture
def page(folder, watched):
    return watched((folder / "slides" / "03_the_stock.html").as_uri(), offline=True)


def place(page):
    now, _, whole = page.locator("#place").inner_text().split()
    return int(now), int(whole)


def test_arrows_lead_through_all_slides_and_each_output_takes_a_key_of_its_own(page):
    _, whole = place(page)
    outputs, pressed, seen = page.locator("[data-step]").count(), 0, {1}
    while place(page)[0] < whole or page.locator("section.now .later").count():
        page.keyboard.press("ArrowRight")
        pressed += 1
        seen.add(place(page)[0])
    assert seen == set(range(1, whole + 1))
    assert pressed == outputs + whole - 1
    page.keyboard.press("ArrowRight")
    assert place(page) == (whole, whole)
    page.keyboard.press("Home")
    assert place(page)[0] == 1
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert place(page)[0] == whole - 1


def test_an_output_is_not_seen_before_its_key(page):
    while not page.locator("section.now .later").count():
        page.keyboard.press("ArrowRight")
    output = page.locator("section.now .later").first
    assert not output.is_visible()
    at = place(page)
    page.keyboard.press(" ")
    assert place(page) == at
    assert page.locator("section.now [data-step]").first.is_visible()


def test_a_lab_lives_on_its_slide_and_keeps_its_keys(folder, watched, shots):
    cells = teach.cut(notebooks.parse(notebooks.read_raw(PATH), PATH).cells)
    number = next(k for k, group in enumerate(cells, start=1) if any("StockLab()" in cell.source for cell in group))
    page = watched((folder / "slides" / "03_the_stock.html").as_uri() + f"#{number}", offline=True)
    page.keyboard.press("ArrowRight")
    lab = page.locator("section.now .stage")
    lab.wait_for()
    lab.focus()
    at, said = place(page), lab.locator(".status").inner_text()
    page.keyboard.press("ArrowRight")
    lab.locator(".status").filter(has_not_text=said).wait_for()
    assert place(page) == at  # the lab took the key
    page.keyboard.press("Escape")
    page.keyboard.press("PageUp")
    assert place(page)[0] == at[0] - 1
    page.keyboard.press("PageDown")
    page.screenshot(path=shots / "slides-lab.png")


def test_a_slide_can_be_linked_to(folder, watched):
    page = watched((folder / "slides" / "03_the_stock.html").as_uri() + "#5", offline=True)
    assert place(page)[0] == 5
