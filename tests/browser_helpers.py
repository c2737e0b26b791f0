"""Small things the tests in a browser share."""

import time

PATIENCE = 90  # seconds until a test gives up; on a quiet machine what is waited for comes in a moment

# Two frames later what follows from a size, such as the call of a ResizeObserver, has been done, and what follows from
# an event that is a task of its own.
DRAWN = """async () => {
  const frame = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  await frame();
  await frame();
}"""
FADES = """() => document.getAnimations().some(
  (one) => one.playState === "running" && one.effect.getComputedTiming().endTime < Infinity)"""
# From now on a frame comes when the test says so: frame(ms) draws the next one, so many ms after the one before;
# framesAgain() gives them back to the browser.
FRAMES = """() => {
  const own = [window.requestAnimationFrame, window.cancelAnimationFrame], waiting = new Map();
  let made = 0, now = performance.now();
  window.requestAnimationFrame = (call) => (waiting.set(++made, call), made);
  window.cancelAnimationFrame = (id) => waiting.delete(id);
  window.frame = (ms) => {
    const calls = [...waiting.values()];
    waiting.clear();
    now += ms;
    for (const call of calls) call(now);
  };
  window.framesAgain = () => {
    [window.requestAnimationFrame, window.cancelAnimationFrame] = own;
    for (const call of waiting.values()) requestAnimationFrame(call);
    waiting.clear();
  };
}"""


def expect(*what):
    """Playwright's; it is not installed everywhere."""
    from playwright.sync_api import expect as its_own

    return its_own(*what)


def drawn(page):
    """Wait until the page has been drawn as it is now."""
    page.evaluate(DRAWN)


def faded(page):
    """Wait until the page has been drawn and no colour is on its way to another."""
    drawn(page)
    page.wait_for_function(f"() => !({FADES})()")


def until(page, call, arg=None):
    """Wait until something is true in a page. It is asked from outside: some pages allow no text to be run in them."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(call, arg):
        if time.monotonic() > end:
            raise AssertionError(f"{call} never was true")
        page.wait_for_timeout(50)


def comes_to(page, read, wanted):
    """Wait until what ``read()`` gives is what it has to be."""
    end = time.monotonic() + PATIENCE
    while (found := read()) != wanted:
        if time.monotonic() > end:
            raise AssertionError(f"{found!r} never came to be {wanted!r}")
        page.wait_for_timeout(50)


# Where the focus is: in which lab, on what.
FOCUS = """() => {
  let el = document.activeElement;
  const lab = el.closest("figure")?.dataset.memcgLab ?? el.tagName;
  while (el.shadowRoot?.activeElement) el = el.shadowRoot.activeElement;
  return [lab, el.type || el.tagName];
}"""
PRESSED = {"button": ["Space"], "checkbox": ["Space"]}  # on everything else the arrows


def sentences_by_keyboard(page, figure, wanted=2, stops=12):
    """What a living lab says as the keyboard goes through its controls; the focus never leaves but with Tab.

    How many sentences are wanted says for how long an answer is waited for that may not have come yet.
    """
    name = figure.get_attribute("data-memcg-lab")
    status = figure.locator(".status").first  # what is heard of it comes a moment later
    status.filter(has_text=" ").wait_for()
    said, reached = [status.inner_text()], 0

    def listen(seconds):
        """Until something new is said; many keys change nothing, so that this may be in vain."""
        end = time.monotonic() + seconds
        while (now := status.inner_text()) in said and len(set(said)) < wanted and time.monotonic() < end:
            page.wait_for_timeout(50)
        said.append(now)

    figure.evaluate("(el) => { el.tabIndex = -1; el.focus(); el.removeAttribute('tabindex'); }")
    for _ in range(stops):
        page.keyboard.press("Tab")
        lab, control = page.evaluate(FOCUS)
        if lab != name:
            break
        reached += 1
        for key in PRESSED.get(control, ["ArrowRight", "ArrowUp", "ArrowDown"]):
            page.keyboard.press(key)
            listen(1)
            assert page.evaluate(FOCUS)[0] == name, (control, key)
    listen(PATIENCE)  # Python may not have answered yet
    assert reached > 1
    return said
