"""Small things the tests in a browser share."""

# Where the focus is: in which lab, on what.
FOCUS = """() => {
  let el = document.activeElement;
  const lab = el.closest("figure")?.dataset.memcgLab ?? el.tagName;
  while (el.shadowRoot?.activeElement) el = el.shadowRoot.activeElement;
  return [lab, el.type || el.tagName];
}"""
PRESSED = {"button": ["Space"], "checkbox": ["Space"]}  # on everything else the arrows


def sentences_by_keyboard(page, figure, stops=12):
    """What a living lab says as the keyboard goes through its controls; the focus never leaves but with Tab."""
    name = figure.get_attribute("data-memcg-lab")
    status = figure.locator(".status").first  # what is heard of it comes a moment later
    status.filter(has_text=" ").wait_for()
    said, reached = [status.inner_text()], 0
    figure.evaluate("(el) => { el.tabIndex = -1; el.focus(); el.removeAttribute('tabindex'); }")
    for _ in range(stops):
        page.keyboard.press("Tab")
        lab, control = page.evaluate(FOCUS)
        if lab != name:
            break
        reached += 1
        for key in PRESSED.get(control, ["ArrowRight", "ArrowUp", "ArrowDown"]):
            page.keyboard.press(key)
            page.wait_for_timeout(50)
            assert page.evaluate(FOCUS)[0] == name, (control, key)
            said.append(status.inner_text())
    if len(set(said)) == 1:  # Python has not answered yet; the last answer is not the first
        status.filter(has_not_text=said[0]).wait_for(timeout=15_000)
        said.append(status.inner_text())
    assert reached > 1
    return said
