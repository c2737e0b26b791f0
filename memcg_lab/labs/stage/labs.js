/* labs.js: which function draws which lab, and how a living lab takes the place of its still picture.
 *
 *   const handle = await LABS[name](context)
 *       context: {name, el, data, settings, lab, ask, place, change}
 *           name       of the class, such as "PatchLab"
 *           el         where to draw
 *           data       what the lab's data() gives
 *           settings   what it begins with
 *           lab        the compiled kernels: what open() of web/kernel.js gives; null in a notebook
 *           ask        ask(question) -> a promise of Python's answer; null where there is no Python
 *           place      {get() -> text, set(text), link(text)}: the address of a page of its own; null elsewhere
 *           change     change(settings): the reader has chosen; some or all of them
 *       handle: {set(settings): Python has chosen, say(sentence), leave()}, each where there is one
 */
const LABS = {
  CounterLab: renderStage, DriftLab: renderStage, PatchLab: renderStage, StockLab: renderStage, TraceLab: renderTrace, ...charts.labs,
};

/** A living lab inside an element that shows its still picture; the picture stays where that does not work. */
async function mountLab(figure, context) {
  const still = [...figure.children],
    host = document.createElement("div"),
    el = document.createElement("div"),
    sheet = document.createElement("style");
  // A notebook has keys of its own: those with a modifier, such as the one that saves, go on to it.
  host.addEventListener("keydown", (e) => e.ctrlKey || e.metaKey || e.altKey || e.stopPropagation());
  host.style.cssText = "height:0;overflow:hidden;visibility:hidden";
  sheet.textContent = STYLE; // in a shadow: no style of the page around comes in, none of ours goes out
  host.attachShadow({ mode: "open" }).append(sheet, el);
  figure.append(host);
  const unwatch = watchScheme(el);
  try {
    const handle = await LABS[context.name]({ ...context, el });
    for (const part of still) part.style.display = "none";
    host.style.cssText = "";
    figure.style.overflow = "visible"; // nothing in between that scrolls: what sticks to the screen's edge does so
    const { leave } = handle;
    return Object.assign(handle, { host, leave: () => (unwatch(), leave?.()) }); // what it tells of itself stays alive
  } catch (error) {
    unwatch();
    host.remove();
    throw error;
  }
}

/** Keep the class "dark" on an element as the page around it is: by its theme, or by what the reader's system asks for. */
function watchScheme(el) {
  const asks = matchMedia("(prefers-color-scheme: dark)"),
    { body, documentElement } = document;
  const look = () => {
    const { jpThemeLight, theme } = body.dataset; // JupyterLab; the site
    const dark = jpThemeLight !== undefined ? jpThemeLight === "false"
      : theme === "dark" || theme === "light" ? theme === "dark"
      : body.dataset.vscodeThemeKind ? /dark|high-contrast$/.test(body.dataset.vscodeThemeKind)
      : asks.matches;
    el.classList.toggle("dark", dark);
  };
  const observer = new MutationObserver(look);
  for (const node of [body, documentElement]) observer.observe(node, { attributes: true });
  asks.addEventListener("change", look);
  look();
  return () => (observer.disconnect(), asks.removeEventListener("change", look));
}
