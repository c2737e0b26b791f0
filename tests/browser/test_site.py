"""The site in Chromium, opened from file://: nothing fails, nothing is fetched, it fits a phone, and it is accessible.

python -m pytest tests/browser/test_site.py -m browser

The pages are made of the committed notebooks, as they are. Screenshots are left in ``build/screenshots``.
"""

import re

import pytest

from browser_helpers import PATIENCE, drawn, expect, faded, sentences_by_keyboard
from memcg_lab import labs
from tools import book, notebooks
from tools.notebooks import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NOTEBOOKS = [path.stem for path in notebooks.roster(ROOT)]
PAGES = ["index.html", "README.html", "data/README.html", "docs/glossary.html", "search.html"]
PAGES += [f"notebooks/{name}.html" for name in NOTEBOOKS]
SIZES = {"screen": (1280, 720), "phone": (400, 800)}
AXE = [("screen", "light"), ("phone", "dark")]  # it takes its time

# What axe finds and is not ours: rule, page -> cause.
OF_THE_THEME = {
    ("page-has-heading-one", "search.html"): "Sphinx's page of search results has its headings from level two on",
}


def committed():
    return {path: notebooks.parse(notebooks.read_raw(path), path) for path in notebooks.roster(ROOT)}


@pytest.fixture(scope="module")
def site(tmp_path_factory, web_kernels):
    """The folder of the site, built from the notebooks as they are committed."""
    out = tmp_path_factory.mktemp("site")
    assert book.build(ROOT, committed(), out=out) == 0
    return out / "book"


@pytest.fixture
def opened(site, watched):
    """Opens a page of the site from its file, with the network off."""

    def at(name, size="screen", **options):
        width, height = SIZES[size]
        return watched(f"{site.as_uri()}/{name}", width=width, height=height, offline=True, **options)

    return at


OVERFLOWS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# What is wider than the page and can be reached only by scrolling the page, or not at all.
CUT_OFF = """() => [...document.querySelectorAll("article *")].filter((el) => {
  const { right, width } = el.getBoundingClientRect();
  if (!width || right <= innerWidth + 1 || getComputedStyle(el).visibility === "hidden") return false;
  for (let up = el.parentElement; up; up = up.parentElement)
    if (up.matches("article, .content")) return true;
    else if (["auto", "scroll"].includes(getComputedStyle(up).overflowX) || up.matches(".unseen, svg")) return false;
  return true;
}).map((el) => el.outerHTML.slice(0, 120))"""


def violations(page):
    """What axe finds, as rule and element."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="the extra `browser` is not installed")
    page.evaluate(axe.AXE_SCRIPT)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        (rule["id"], node["target"][-1], node["failureSummary"])
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def enlivened(page):
    """Go to each lab of the page, and wait until it lives."""
    for figure in page.locator("figure[data-memcg-lab]").all():
        name = figure.get_attribute("data-memcg-lab")
        if name in book.LIVING:
            figure.scroll_into_view_if_needed()
            page.wait_for_function("(name) => memcgLab.handles.has(name)", arg=name)
    drawn(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_is_accessible(opened, shots, name):
    page = opened(name)
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        enlivened(page)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            faded(page)  # the theme does not change them at once
            page.screenshot(path=shots / f"site_{name[:-5].replace('/', '_')}_{size}_{scheme}.png")
            assert page.evaluate(OVERFLOWS) <= 0
            assert page.evaluate(CUT_OFF) == []
            if (size, scheme) in AXE:
                found = [one for one in violations(page) if (one[0], name) not in OF_THE_THEME]
                assert found == [], (size, scheme)


IN_NO_NOTEBOOK = {"RoomLab"}  # for a class; it stands in the one file


def test_the_contents_page_lists_each_lab_with_its_picture(opened, shots):
    page = opened("index.html")
    assert ";;" not in page.locator("article").inner_text()
    listed = page.locator(".labs li")
    assert set(listed.locator("strong").all_inner_texts()) == set(labs.__all__) - {"Lab", *IN_NO_NOTEBOOK}
    for one in listed.all():
        assert one.locator("img").evaluate("(img) => img.complete && img.naturalWidth > 100 && img.alt.length > 20")
        target = one.locator("a").get_attribute("href")
        assert opened(target.split("#")[0]).locator(f"#{target.split('#')[1]}").count() == 1
    page.locator(".labs").screenshot(path=shots / "site_labs.png")


@pytest.mark.parametrize("name", sorted(set(book.LIVING) - IN_NO_NOTEBOOK))
def test_a_lab_of_the_site_lives_without_python_and_answers_to_the_keyboard(opened, shots, name):
    path, _ = book.labs_of(committed())[name]
    page = opened(f"notebooks/{path.stem}.html#{name}", reduced_motion="reduce")
    enlivened(page)
    figure = page.locator(f"figure#{name}")
    assert not figure.get_by_text("Run this cell").is_visible()
    figure.screenshot(path=shots / f"site_live_{name}.png")
    wanted = 2 if name == "PuzzleLab" else 3  # there lines are moved, then run
    assert len(set(sentences_by_keyboard(page, figure, wanted))) >= wanted


def test_a_prediction_is_said_in_a_form_and_judged_where_the_answer_is_unfolded(opened, shots):
    page = opened("notebooks/04_the_patch.html", size="phone")
    form = page.locator("[data-memcg-form*='04.stock']")
    answer = page.locator("details.tells:has([data-memcg-reveal='04.stock'])")
    assert not answer.locator("img").is_visible()
    form.get_by_label("uncharge hunk alone").fill("50")
    form.get_by_label("both").fill("2")
    form.get_by_label("How sure are you?").select_option("70")
    form.get_by_label("both").press("Enter")
    expect(form.get_by_role("status")).to_have_text("Noted: uncharge_hunk_alone 50, both 2; 70 % sure.")
    answer.locator("summary").first.press("Enter")
    expect(answer.locator("[data-memcg-reveal]")).to_contain_text("you said 50")
    told = answer.locator("[data-memcg-reveal]").inner_text().splitlines()
    assert told[0] == "uncharge_hunk_alone: you said 50, the run says 200; you were 4 times too low."
    assert told[-1].startswith("Score 0.29 ")
    assert answer.locator("img").is_visible()
    page.screenshot(path=shots / "site_form.png")


def test_a_prediction_said_first_where_the_answer_is_unfolded_gets_no_score(opened):
    page = opened("notebooks/04_the_patch.html")
    form = page.locator("[data-memcg-form*='04.stock']")
    answer = page.locator("details.tells:has([data-memcg-reveal='04.stock'])")
    answer.locator("summary").first.press("Enter")
    assert answer.locator("[data-memcg-reveal]").inner_text().startswith("You said nothing yet.")
    drawn(page)  # the page hears of it a moment after it is open
    for both in ("3", "2"):
        form.get_by_label("both").fill(both)
        form.get_by_label("How sure are you?").select_option("70")
        form.get_by_label("both").press("Enter")
        seen = "The run was shown before you said this: it gets no score."
        expect(answer.locator("[data-memcg-reveal]")).to_contain_text(f"both: you said {both}")
        told = answer.locator("[data-memcg-reveal]").inner_text().splitlines()
        assert told[1].startswith(f"both: you said {both}, the run says 2; ")
        assert told[-1] == seen
        assert "Score" not in " ".join(told)
        expect(form.get_by_role("status")).to_contain_text(seen)


def test_three_questions_are_returned_before_anything_is_told(opened, shots):
    page = opened("notebooks/04_the_patch.html")
    form = page.locator("[data-memcg-form*='before 04']")
    assert form.get_by_role("status").inner_text() == ""
    form.get_by_label("Your answer").nth(0).fill("7")
    form.get_by_label("How sure are you?").nth(0).select_option("90")
    form.get_by_role("button", name="Return").click()
    expect(form.get_by_role("status")).to_have_text(re.compile("^2 and 3 are still open. Nothing is told before "))
    for n in (1, 2):
        field = form.get_by_label("Your answer").nth(n)
        if field.evaluate("el => el.localName") == "select":
            field.select_option("?")
        else:
            field.fill("?")
    form.get_by_role("button", name="Return").click()
    expect(form.get_by_role("status")).to_contain_text("1. You said 7")
    told = form.get_by_role("status").inner_text().splitlines()
    assert told[0].startswith("1. You said 7, 90 % sure")
    assert told[1].startswith("2. You do not know. It is ")
    form.screenshot(path=shots / "site_quiz.png")


def test_without_javascript_the_questions_stand_there_and_the_answers_unfold(site, chromium):
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto(f"{site.as_uri()}/notebooks/04_the_patch.html")
    assert page.get_by_text("No prediction yet.").first.is_visible()
    assert page.get_by_text("3 questions before 04.").is_visible()
    told = page.locator("[data-memcg-reveal='04.stock']")
    assert not told.is_visible()
    page.locator("details.tells:has([data-memcg-reveal='04.stock']) summary").first.click()
    assert told.inner_text().splitlines() == ["You said nothing yet.", "The run says uncharge_hunk_alone 200, both 2."]
    context.close()
