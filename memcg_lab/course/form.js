/* form.js: a small form in the place of a text that asks.
 *
 *   const host = mountForm(el, form, answer)
 *       el      shows the text; the form takes its place
 *       form    {controls: [{name, label, kind: "number" | "choice" | "sure", choices, group}], button, values, status}
 *       answer  answer(values) -> a promise of {told, field}: the text to show, and the control to go on in, if any;
 *               values are texts by name, "" where nothing was said
 */
const FORM_STYLE = `
  :host { display: block; }
  form { display: flex; flex-wrap: wrap; gap: 0.6em 1.4em; align-items: end; margin: 0.4em 0; font: 1em/1.4 system-ui, sans-serif; }
  fieldset, p { flex: 0 0 100%; box-sizing: border-box; }
  fieldset { display: flex; flex-wrap: wrap; gap: 0.5em 1.4em; align-items: end; min-width: 0; margin: 0; padding: 0.5em 0; border: 0; }
  legend { padding: 0 0 0.3em; max-width: 46em; }
  label { display: flex; flex-direction: column; gap: 0.2em; }
  input, select, button { font: inherit; color: inherit; background: transparent; border: 1px solid currentColor; border-radius: 0.3em; padding: 0.35em 0.6em; }
  input { width: 9em; }
  option { color: #000; background: #fff; }
  button { cursor: pointer; padding: 0.35em 1em; font-weight: 600; }
  button[disabled] { cursor: default; opacity: 0.6; }
  :is(input, select, button):focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
  p { margin: 0; white-space: pre-wrap; }
`;

export function buildForm(form, answer) {
  const element = document.createElement("form"),
    status = document.createElement("p"),
    button = document.createElement("button"),
    inputs = new Map();
  element.autocomplete = "off";
  let place = element,
    group = "";
  const option = (select, value, text) => {
    const made = document.createElement("option");
    made.value = value;
    made.textContent = text;
    select.append(made);
  };
  for (const { name, label, kind, choices, group: under } of form.controls) {
    if (under !== group) {
      group = under;
      place = document.createElement("fieldset");
      const legend = document.createElement("legend");
      legend.textContent = under;
      place.append(legend);
      element.append(place);
    }
    const line = document.createElement("label"),
      input = document.createElement(kind === "number" ? "input" : "select");
    line.append(label, input);
    if (kind === "number") {
      input.inputMode = "decimal";
      input.maxLength = 20;
    } else {
      option(input, "", kind === "sure" ? "I do not say" : "choose");
      if (kind === "sure") for (let percent = 0; percent <= 100; percent += 10) option(input, `${percent}`, `${percent} %`);
      else for (const choice of choices) option(input, choice, choice);
    }
    if (form.kind === "quiz" && kind === "choice") option(input, "?", "I do not know");
    if (form.kind === "quiz" && kind === "number") input.placeholder = "number, or ?";
    const said = form.values?.[name] ?? "";
    if (kind === "sure" && said && ![...input.options].some(({ value }) => value === said)) option(input, said, `${said} %`);
    input.name = name;
    input.value = said;
    inputs.set(name, input);
    place.append(line);
  }
  button.textContent = form.button;
  status.setAttribute("role", "status");
  status.textContent = form.status ?? "";
  element.append(button, status);
  element.addEventListener("submit", async (e) => {
    e.preventDefault();
    button.disabled = true;
    let next = button;
    try {
      const { told, field } = await answer(Object.fromEntries([...inputs].map(([name, input]) => [name, input.value])));
      status.textContent = told;
      next = inputs.get(field) ?? button;
    } catch (error) {
      status.textContent = `That did not work: ${error.message}`;
    }
    button.disabled = false;
    next.focus();
  });
  return element;
}

export function mountForm(el, form, answer) {
  const still = [...el.children],
    host = document.createElement("div"),
    sheet = document.createElement("style");
  // A notebook has keys of its own: those with a modifier, such as the one that saves, go on to it.
  host.addEventListener("keydown", (e) => e.ctrlKey || e.metaKey || e.altKey || (e.shiftKey && e.key === "Enter") || e.stopPropagation());
  sheet.textContent = FORM_STYLE;
  host.attachShadow({ mode: "open" }).append(sheet, buildForm(form, answer));
  el.append(host);
  for (const part of still) part.style.display = "none";
  return host;
}
