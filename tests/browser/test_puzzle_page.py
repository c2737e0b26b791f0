"""The puzzle in Chromium: lines are dragged, or moved by keys alone, and what a page says is what Python says.

python -m pytest tests/browser/test_puzzle_page.py -m browser
"""

import pytest

from browser_helpers import comes_to, drawn
from memcg_lab import PuzzleLab
from memcg_lab.web.page import make_page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
RIGHT = {"refill": ["add", "over", "drain"], "uncharge": ["sub", "refill"]}


@pytest.fixture(scope="module")
def file(tmp_path_factory, web_kernels):
    path = tmp_path_factory.mktemp("page") / "puzzle.html"
    make_page(path, web_kernels, "PuzzleLab")
    return path


@pytest.fixture
def opened(file, watched):
    def at(place="", **options):
        page = watched(f"{file.as_uri()}#{place}", offline=True, **options)
        page.locator(".puzzle").wait_for()
        drawn(page)
        return page

    return at


def line(page, name):
    return page.locator(f'[data-line="{name}"]')


def placed(page, where):
    return page.locator(f'ol[data-where="{where}"] [data-line]').evaluate_all(
        "(all) => all.map((el) => el.dataset.line)"
    )


def below(page, where):
    """Where a function's last line ends, within its board."""
    return {"x": 60, "y": page.locator(f'section[data-where="{where}"]').bounding_box()["height"] - 6}


def said(page):
    return page.locator(".verdict").inner_text()


def test_the_patch_is_put_together_with_the_mouse(opened, shots):
    page = opened()
    assert said(page) == PuzzleLab().message
    for where, names in RIGHT.items():
        for n, name in enumerate(names, 1):
            line(page, name).drag_to(page.locator(f'section[data-where="{where}"]'), target_position=below(page, where))
            comes_to(page, lambda where=where: placed(page, where), names[:n])  # a drop is an event of its own
    assert {where: placed(page, where) for where in RIGHT} == RIGHT
    page.get_by_role("button", name="Run").click()
    assert said(page) == PuzzleLab(**RIGHT, ran=True).message
    page.screenshot(path=shots / "puzzle_right.png")


def test_the_patch_is_put_together_with_the_keyboard_alone(opened):
    page = opened()
    heard = page.locator(".puzzle [role=status]")
    for where, names in RIGHT.items():
        for name in names:
            line(page, name).focus()
            page.keyboard.press("Enter")
            heard.filter(has_text="Taken:").wait_for()
            page.keyboard.press("ArrowRight")
            page.keyboard.press("Enter")
            heard.filter(has_text="Put down.").wait_for()
            assert page.evaluate("() => document.activeElement.closest('figure')?.dataset.memcgLab") == "PuzzleLab"
        assert placed(page, where) == names
    line(page, "add").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert placed(page, "refill") == ["over", "add", "drain"]
    page.keyboard.press("Escape")
    assert placed(page, "refill") == RIGHT["refill"]
    page.get_by_role("button", name="Run").focus()
    page.keyboard.press("Enter")
    heard.filter(has_text="Right: it does all").wait_for()


def test_every_arrow_moves_a_line_or_says_that_it_does_not(opened):
    page = opened()
    heard = page.locator(".puzzle [role=status]")
    line(page, "add").focus()
    page.keyboard.press("Enter")
    for key in ("ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
        heard.filter(has_text=f"Nothing to go to: {key[5:].lower()}. ").wait_for()
        assert placed(page, "refill") == []
    page.keyboard.press("ArrowUp")  # both functions stand above the pool
    heard.filter(has_text="place 1 of 1").wait_for()
    assert placed(page, "refill") == ["add"]
    for key in ("ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
        heard.filter(has_text=f"Nothing to go to: {key[5:].lower()}. ").wait_for()
        assert placed(page, "refill") == ["add"]
    page.keyboard.press("ArrowDown")
    heard.filter(has_text="without a place").wait_for()
    assert placed(page, "refill") == []
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    heard.filter(has_text="Put down.").wait_for()
    page.keyboard.press("ArrowUp")  # nothing is taken, and this is the first of all lines
    heard.filter(has_text="Nothing to go to: up. ").wait_for()
    line(page, "sub").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowUp")
    assert placed(page, "uncharge") == ["sub"]


def test_two_clicks_move_a_line_and_a_mistake_is_shown_with_its_traffic(opened, shots):
    page = opened()
    for where, names in {"refill": ["add", "full", "drain"], "uncharge": ["sub", "refill"]}.items():
        for name in names:
            line(page, name).click()
            page.locator(f'section[data-where="{where}"]').click(position=below(page, where))
        assert placed(page, where) == names
    page.get_by_role("button", name="Run").click()
    wrong = PuzzleLab(refill=["add", "full", "drain"], uncharge=["sub", "refill"], ran=True)
    assert said(page) == wrong.message
    assert page.locator(".calls tbody tr").count() == 2
    assert page.locator(".calls td.differs").count() > 0
    page.screenshot(path=shots / "puzzle_wrong.png", full_page=True)


def test_an_address_brings_an_arrangement_back(opened):
    page = opened("refill=add.over.drain&uncharge=sub.refill&ran=1")
    assert said(page) == PuzzleLab(**RIGHT, ran=True).message
    page = opened("refill=sub.nothing&uncharge=refill")
    assert (placed(page, "refill"), placed(page, "uncharge")) == ([], ["refill"])
    assert said(page).startswith("The link asks for what cannot be: refill is ")
    page = opened("x=1")
    assert said(page) == (
        "The link asks for what cannot be: x is no setting of this lab; there are refill, uncharge, ran."
    )
    page = opened("refill=add&uncharge=sub.refill.sub&ran=2")
    assert (placed(page, "refill"), placed(page, "uncharge")) == (["add"], [])
    assert "uncharge is " in said(page)
    assert "ran is 2; it must be 0 or 1." in said(page)


def test_a_phone_shows_one_function_below_the_other(opened, shots):
    page = opened("refill=add.drain&uncharge=sub&ran=1", width=390, height=800)
    page.screenshot(path=shots / "puzzle_phone.png", full_page=True)
    boxes = [page.locator(f'section[data-where="{where}"]').bounding_box() for where in ("refill", "uncharge")]
    assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def found(page):
    """What the list of things to find says, line by line."""
    return page.get_by_role("list", name="Three things to find").get_by_role("listitem").all_inner_texts()


def test_what_is_to_be_found_is_found_by_running_not_by_a_link(opened, shots):
    page = opened("refill=add.over.drain&uncharge=refill.sub&ran=1")
    assert [text[:7] for text in found(page)] == ["not yet"] * 3
    page.get_by_role("button", name="Run").press("Enter")
    texts = [page.locator(f"[data-line={name}]").inner_text() for name in ("add", "over", "drain", "refill", "sub")]
    told = (
        f"Nothing that is tried tells these lines from the patch's. refill_stock: {' '.join(texts[:3])} "
        f"mem_cgroup_uncharge_skmem: {' '.join(texts[3:])}"
    )
    assert found(page)[2] == f"\u2713 found {told}"
    page.locator(".puzzle [role=status]").filter(has_text=f"Found. {told}").wait_for()
    page = opened("refill=add.large.drain&uncharge=sub.refill")
    page.get_by_role("button", name="Run").press("Enter")
    assert found(page)[1].startswith("\u2713 found It shows after 3 calls, the last of them: CPU ")
    page.screenshot(path=shots / "puzzle_quests.png", full_page=True)
