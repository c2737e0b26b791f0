/* form_notebook.js: a form in a notebook; Python answers.
 *
 * In a Jupyter server's notebook the output is the text alone, marked with the form's id. As soon as its model is in the
 * page, the form takes the place of every text with that mark. Elsewhere the output names the widget, and render draws it.
 */
const PATIENCE = 120_000; // ms; a rule may have to be compiled first

function answerOf(model) {
  const waiting = new Map(),
    mine = Math.random().toString(36).slice(2);
  let asked = 0;
  model.on("msg:custom", ({ id, told, field }) => {
    waiting.get(id)?.({ told, field });
    waiting.delete(id);
  });
  return (values) =>
    new Promise((done, fail) => {
      const id = `${mine} ${asked++}`;
      waiting.set(id, done);
      setTimeout(() => waiting.delete(id) && fail(new Error("Python does not answer: its kernel is busy, or gone.")), PATIENCE);
      model.send({ id, values });
    });
}

function initialize({ model }) {
  const answer = answerOf(model),
    mark = `[data-memcg-live="${model.get("live")}"]`,
    done = new WeakSet();
  let waiting = 0;
  const look = () => {
    waiting = 0;
    for (const el of document.querySelectorAll(mark)) {
      if (done.has(el)) continue;
      done.add(el);
      mountForm(el, model.get("form"), answer);
    }
  };
  const observer = new MutationObserver(() => (waiting ||= requestAnimationFrame(look)));
  observer.observe(document.body, { childList: true, subtree: true });
  look();
  return () => observer.disconnect();
}

function render({ model, el }) {
  mountForm(el, model.get("form"), answerOf(model));
}
