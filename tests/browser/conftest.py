"""What the tests in a browser share: one Chromium for all of them, pages that are watched, a folder for screenshots."""

import contextlib
import pathlib
import shutil

import pytest

from browser_helpers import PATIENCE
from memcg_lab.web import build
from memcg_lab.web.page import make_page

MEASURED = []  # lines; what takes how long is told, never asserted
ROOT = pathlib.Path(__file__).parents[2]
KERNELS, SHOTS = ROOT / "build" / "web", ROOT / "build" / "screenshots"
# In a container root has no sandbox; the rest keeps Chromium from talking to anybody by itself.
FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
FLAGS += ["--disable-component-update"]


@pytest.fixture(scope="session")
def chromium():
    """A Chromium: the system's, or the one that ``playwright install chromium`` fetched."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    playwright.expect.set_options(timeout=PATIENCE * 1000)
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as running:
        if not found and not pathlib.Path(running.chromium.executable_path).exists():
            pytest.skip("no Chromium: apt install chromium, or playwright install chromium")
        browser = running.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def web_kernels(tmp_path_factory):
    """The folder with the kernels of this version for the web; what of them is not there is built, in minutes."""
    try:
        build.linker()
    except ValueError as none:
        with contextlib.suppress(ValueError):
            make_page(tmp_path_factory.mktemp("page") / "page.html", KERNELS)  # built elsewhere, of this version
            return KERNELS
        pytest.skip(f"no kernels of this version in build/web, and {none}")
    build.build(KERNELS)
    return KERNELS


@pytest.fixture
def measured():
    """Takes a line about what was measured, which the end of the run prints."""
    return MEASURED.append


@pytest.fixture(scope="session")
def shots():
    """The folder that keeps the screenshots."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS


@pytest.fixture
def watched(chromium):
    """Opens pages; at the end there was no error on one, and no request that is not allowed.

    ``watched(url, allowed="http://127.0.0.1:8888/", ...)``: everything a page asks for must begin with ``allowed``.
    With ``quiet`` it says nothing on its console either, no error and no warning.
    """
    contexts, errors, foreign = [], [], []

    def at(url, *, allowed="file:", quiet=False, width=1280, height=720, **options):
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, **options))
        contexts[-1].set_default_timeout(PATIENCE * 1000)
        page = contexts[-1].new_page()
        own = (allowed, allowed.replace("http:", "ws:", 1), "data:", "blob:", "about:")

        def asked(request):
            if not request.url.startswith(own):
                foreign.append(request.url)

        page.on("pageerror", lambda error: errors.append(str(error)))
        if quiet:
            page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
        contexts[-1].on("request", asked)
        page.on("websocket", asked)
        page.goto(url)
        return page

    yield at
    for context in contexts:
        context.close()
    assert errors == []
    assert foreign == []


def pytest_terminal_summary(terminalreporter):
    for line in MEASURED:
        terminalreporter.line(f"measured: {line}")
    if SHOTS.is_dir():
        terminalreporter.line(f"screenshots: {SHOTS}")
