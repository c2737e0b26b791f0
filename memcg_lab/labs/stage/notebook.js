/* notebook.js: the front end in a notebook. Python answers; the widget carries questions, answers and settings.
 *
 * In a Jupyter server's notebook the output is the still picture alone, marked with the lab's id. As soon as the lab's
 * model is in the page, the living lab takes the place of every picture with that mark. Saved and opened anew without a
 * kernel there is no model, and so the picture stays. Elsewhere the output names the widget, and render draws it.
 */
const PATIENCE = 30_000; // ms

/** What Python knows of a lab: ask(question) -> promise of its answer. */
function connect(model) {
  const waiting = new Map(),
    mine = Math.random().toString(36).slice(2);
  const heard = (told, blobs) => {
    const wait = waiting.get(told.id);
    if (!wait) return;
    waiting.delete(told.id);
    clearTimeout(wait.late);
    if (told.answer.error) wait.fail(new Error(told.answer.error));
    else wait.done({ ...told.answer, blobs });
  };
  model.on("msg:custom", heard);
  let asked = 0;
  return (question, patient = false) =>
    new Promise((done, fail) => {
      const id = `${mine} ${asked++}`,
        late = patient ? 0 : setTimeout(() => fail(new Error("Python does not answer: its kernel is busy, or gone.")), PATIENCE);
      waiting.set(id, { done, fail, late });
      model.send({ id, question });
    });
}

/** A living lab in the place of a still picture. */
async function enliven(figure, model, ask) {
  // Until the lab lives its picture stands there: it may wait as long as cells behind it run.
  let lives = false;
  const data = await ask({ ask: "data" }, true);
  let settings = model.get("chosen"),
    writing = 0;
  const same = (a, b) => Object.keys(a).every((name) => JSON.stringify(a[name]) === JSON.stringify(b[name]));
  const change = (some) => {
    settings = { ...settings, ...some };
    clearTimeout(writing);
    writing = setTimeout(() => {
      if (same(settings, model.get("chosen"))) return;
      model.set("chosen", settings);
      model.save_changes();
    }, 150);
  };
  figure.addEventListener("memcg-lab-quest", ({ detail }) => ask({ ask: "found", ...detail }).catch(() => {}));
  const handle = await mountLab(figure, { name: model.get("lab"), data, settings, lab: null, ask: (question) => ask(question, !lives), place: null, change });
  lives = true;
  const chosen = () => {
    const now = model.get("chosen");
    if (same(now, settings)) return;
    settings = now;
    clearTimeout(writing);
    handle.set?.(now);
  };
  const said = ({ say }) => say && handle.say?.(say);
  model.on("change:chosen", chosen);
  model.on("msg:custom", said);
  chosen(); // what Python has chosen in the meantime
  return () => {
    model.off("change:chosen", chosen);
    model.off("msg:custom", said);
    clearTimeout(writing);
    handle.leave();
  };
}

/** The model is in the page: take the place of its pictures, those there are and those that come. */
function initialize({ model }) {
  const ask = connect(model),
    mark = `[data-memcg-live="${model.get("live")}"]`,
    leaves = new Map();
  let waiting = 0;
  const look = () => {
    waiting = 0;
    for (const figure of document.querySelectorAll(mark)) {
      if (leaves.has(figure)) continue;
      leaves.set(figure, () => {});
      enliven(figure, model, ask).then(
        (leave) => leaves.set(figure, leave),
        (error) => console.warn(`memcg-lab: ${error.message} The still picture stays.`),
      );
    }
  };
  const observer = new MutationObserver(() => (waiting ||= requestAnimationFrame(look)));
  observer.observe(document.body, { childList: true, subtree: true });
  look();
  return () => {
    observer.disconnect();
    for (const leave of leaves.values()) leave();
  };
}

async function render({ model, el }) {
  return enliven(el, model, connect(model));
}
