"""The book is readable, stands alone, and what would spoil it is seen."""

import shutil

import pytest

import notebook_samples as sample
from memcg_lab.labs import base
from tools import book

HARMLESS_SCRIPT = "data:text/javascript,planted"
PICTURE = f'<img alt="Two." src="data:image/png;base64,{sample.png()}">'
LAB = f'<figure data-memcg-lab="PatchLab" data-settings="{{}}">{PICTURE}'


def bound(root, *cells, builder="html"):
    """Build a book of one notebook, already executed, in ``root``."""
    nb = sample.good_notebook()
    nb.cells += cells
    return book.build(root, {root / "notebooks" / "01_a_start.ipynb": nb}, builder)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """Return a project whose book was built without a complaint."""
    root = tmp_path_factory.mktemp("shelf")
    for name, text in (
        ("data/README.md", "# Data\n\n## Where it is from\n\nHere.\n"),
        ("README.md", "# lab\n\nA lead.\n\n## More\n\n[data](data/README.md) [folder](data/) [gone](gone.md)\n"),
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    solved = sample.good_notebook()
    solved.cells = [sample.markdown("# Solved\n\n[Back](../01_a_start.ipynb)")]
    (root / "notebooks" / "solutions").mkdir(parents=True)
    (root / "notebooks" / "solutions" / "01_a_start.ipynb").write_text(book.nbformat.writes(solved), encoding="utf-8")
    more = sample.markdown(
        "[Solved](solutions/01_a_start.ipynb). See [data](../data/README.md#Where-it-is-from) and $$\\frac{n}{32}$$"
    )
    look = sample.markdown("### Look\n\n*Six hundred* it is.")
    script = sample.result({"text/plain": "x", "text/html": f'<script src="{HARMLESS_SCRIPT}"></script>'})
    two_labs = sample.result({"text/plain": "Two.", "text/html": f"{LAB}{base.LIVE}</figure>{LAB}</figure>"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(book, "living", lambda kernels: ("live();", ""))
        patch.setattr(book.one_file, "make_page", lambda out, kernels: out.write_text("<p>one file</p>"))
        assert bound(root, more, look, sample.code("f()", script), sample.code("PatchLab()", two_labs)) == 0
    return root


def test_the_book_is_readable_and_stands_alone(shelf):
    built = shelf / "build" / "book"
    page = (built / "notebooks" / "01_a_start.html").read_text(encoding="utf-8")
    assert 'alt="Bar chart: the root takes 621."' in page
    assert 'alt="A lab: 12 pages in a batch."' in page  # the lab shows its static picture
    assert "<summary>Answer</summary>" in page
    button, fold = "<summary>Show what the run says</summary>", page.index('<details class="tells">')
    assert page[fold:].startswith(f'<details class="tells">{button}')
    assert (
        fold < page.index('alt="Bar chart: the root takes 621."') < page.index("</details>", page.index("<table", fold))
    )
    assert page.count('<details class="tells">') == 4  # the cell that reveals, what follows at once, what is said of it
    said = page.index("<summary>Show what there is to see</summary>")
    assert page.index(">Look<") < said < page.index("<em>Six hundred</em> it is.") < page.index("</details>", said)
    assert "Toggle hidden content" not in page
    assert "<mfrac>" in page  # formulas without a script
    assert "data/README.html#where-it-is-from" in page
    index = (built / "index.html").read_text(encoding="utf-8")
    for words in ("A lead.", "count atomics; say why", "25"):
        assert words in index


def test_solutions_are_a_page_that_stands_in_no_table(shelf):
    built = shelf / "build" / "book"
    assert 'href="solutions/01_a_start.html"' in (built / "notebooks" / "01_a_start.html").read_text(encoding="utf-8")
    assert "Back" in (built / "notebooks" / "solutions" / "01_a_start.html").read_text(encoding="utf-8")
    assert "solutions/" not in (built / "index.html").read_text(encoding="utf-8")


def test_a_page_with_a_lab_makes_it_live_and_the_first_page_leads_there(shelf):
    built = shelf / "build" / "book"
    assert (built / "_static" / "memcg-lab.js").read_text(encoding="utf-8") == "live();"
    page = (built / "notebooks" / "01_a_start.html").read_text(encoding="utf-8")
    assert page.count('<script defer src="../_static/memcg-lab.js"></script>') == 1
    assert page.count('<figure id="PatchLab" data-memcg-lab="PatchLab"') == 1
    assert base.STILL in page
    assert base.LIVE not in page  # a page has no cell to run
    assert page.count('data-memcg-lab="PatchLab"') == 2
    index = (built / "index.html").read_text(encoding="utf-8")
    assert "memcg-lab.js" not in index
    for words in ('<a href="notebooks/01_a_start.html#PatchLab"><img', "One traffic on two machines", "memcg-lab.html"):
        assert words in index


def test_without_a_linker_the_labs_are_still_and_the_book_says_so(monkeypatch, tmp_path):
    def none():
        raise ValueError("there is no linker here.")

    monkeypatch.setattr(book.kernels, "linker", none)
    script, still = book.living(tmp_path)
    assert (script, still) == ("", "The labs of this site are still pictures: there is no linker here.")
    assert f"<p>{still}</p>" in book.lab_list(tmp_path, {}, still)


def test_a_foreign_request_in_the_book_is_caught(shelf, tmp_path, capfd):
    built = shutil.copytree(shelf / "build" / "book", tmp_path / "book")
    page = built / "notebooks" / "01_a_start.html"
    text = page.read_text(encoding="utf-8")
    assert HARMLESS_SCRIPT in text
    page.write_text(text.replace(HARMLESS_SCRIPT, "https://cdn.example.org/a.js"), encoding="utf-8")
    assert book.judged(built) == 1
    assert "01_a_start.html: loads https://cdn.example.org/a.js" in capfd.readouterr().err


def test_a_warning_stops_the_book(tmp_path, capfd):
    assert bound(tmp_path, sample.markdown("```{no-such-directive}\n```"), builder="dummy") != 0
    assert "no-such-directive" in capfd.readouterr().err


FOREIGN = [
    '<script src="https://cdn.example.org/a.js"></script>',
    '<link rel="stylesheet" href="//fonts.example.org/f.css">',
    '<link rel="preconnect" href="https://fonts.example.org">',
    '<img alt="x" src="http://example.org/a.png">',
    '<img alt="x" src="data:," srcset="https://example.org/a.png 2x">',
    '<iframe src="https://example.org"></iframe>',
    '<p style="background: url(https://example.org/a.png)">x</p>',
    '<style>@import "https://example.org/a.css";</style>',
]
HARMLESS = [
    '<a href="https://example.org">a link is followed by a reader only</a>',
    '<link rel="canonical" href="https://example.org/page">',
    '<img alt="" src="data:image/png;base64,AAAA">',
    '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
]


@pytest.mark.parametrize(("markup", "clean"), [(m, False) for m in FOREIGN] + [(m, True) for m in HARMLESS])
def test_what_a_page_loads_is_seen(tmp_path, markup, clean):
    (tmp_path / "page.html").write_text(markup, encoding="utf-8")
    assert (book.page_faults(tmp_path) == []) is clean


@pytest.mark.parametrize(
    "markup",
    ['<a href="gone.html">x</a>', '<img alt="x" src="gone.png">', '<img src="data:,">', '<a href="../x">x</a>'],
)
def test_a_dead_link_or_a_picture_without_alt_is_seen(tmp_path, markup):
    (tmp_path / "page.html").write_text(markup, encoding="utf-8")
    assert len(book.page_faults(tmp_path)) == 1


def test_a_foreign_font_in_a_style_sheet_is_seen(tmp_path):
    (tmp_path / "a.css").write_text("@font-face { src: url('https://example.org/f.woff2') }", encoding="utf-8")
    assert book.page_faults(tmp_path) == ["a.css: loads https://example.org/f.woff2"]
