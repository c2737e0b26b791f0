"""The pictures of the README, taken from the patch lab: the stage at rest, and a few operations of it in motion.

python -m tools.pictures

It needs the extra ``browser``, a Chromium, and the kernels of ``python -m memcg_lab web build``. The same kernels,
Chromium and fonts give the same pictures, but for a shade at some edges.
"""

import io
import pathlib
import shutil
import sys
import tempfile

from memcg_lab.web.page import make_page
from tools.notebooks import ROOT

FOLDER = ROOT / "docs" / "pictures"
STILL, MOVING = "stage.png", "stage.webp"
BYTES_MAX = 1_000_000  # both together
SIZE = {"width": 1150, "height": 560}
PLACE = "d=2&l=2&c=2&t=0"  # as in the link of the page: depth, leaves, CPUs, traffic
AT = 76  # the still shows this operation
FIRST, LAST = 73, 77  # the animation shows these
FRAME = 80  # milliseconds
REST = 1500  # milliseconds at the end of a round
ROUNDS = 3  # then it stands still: what moves for ever is in a reader's way


def positions(page):
    """Where the stage stands in each frame: an operation takes as long as it takes there."""
    for k in range(FIRST, LAST):
        length = page.evaluate(f"memcgLab.stage.seek({k}.5), memcgLab.stage.nodes[{k + 1}].length")  # in milliseconds
        frames = max(1, round(length / FRAME))
        yield from (k + i / frames for i in range(frames))
    yield LAST


def shot(page, position):
    """The stage at a position, as a Pillow image: what the browser shows once it has come to rest."""
    from PIL import Image

    page.evaluate(f"memcgLab.stage.seek({position})")
    earlier, now = b"", page.screenshot(animations="disabled")
    while now != earlier:
        earlier, now = now, page.screenshot(animations="disabled")
    return Image.open(io.BytesIO(now)).convert("RGB")


def take(browser, url):
    """The still, and the frames of the animation."""
    # What waits in the page is evaluated there, which its policy forbids.
    page = browser.new_page(viewport=SIZE, color_scheme="light", bypass_csp=True)
    page.goto(f"{url}#{PLACE}")
    page.wait_for_function("window.memcgLab?.stage?.nodes.length > 1")
    page.evaluate("document.activeElement.blur()")
    still, frames = shot(page, AT), [shot(page, position) for position in positions(page)]
    page.close()
    return still, frames


def write(folder, still, frames):
    """Write both pictures; returns their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    still.quantize(128, dither=0).save(folder / STILL, optimize=True)
    durations = [FRAME] * (len(frames) - 1) + [REST]
    frames[0].save(
        folder / MOVING,
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=ROUNDS,
        lossless=True,
        method=2,  # more effort takes minutes and saves nothing
        quality=0,
        minimize_size=True,
    )
    return sum((folder / name).stat().st_size for name in (STILL, MOVING))


def main():
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="memcg-lab-") as scratch, sync_playwright() as running:
        page = pathlib.Path(scratch) / "page.html"
        make_page(page, ROOT / "build" / "web", chosen="PatchLab")
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        still, frames = take(browser, page.as_uri())
        browser.close()
    size = write(FOLDER, still, frames)
    print(f"{FOLDER}: {len(frames)} frames, {size:,} bytes together")
    if size > BYTES_MAX:
        print(f"more than {BYTES_MAX:,} bytes", file=sys.stderr)
    return int(size > BYTES_MAX)


if __name__ == "__main__":
    sys.exit(main())
