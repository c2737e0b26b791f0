/* parts.js: what the stage, the charts and the recording share. Functions alone, so it may stand anywhere in the module;
 * make, put, puts and fill are those of stage.js.
 *
 *   cursorOf    a cursor on a chart, a slider for the keyboard; draggable: it follows the pointer
 *   spaced      labels in a column, none over another
 *   voiceOf     the sentence of a lab: seen at once, heard once the reader has acted
 *   questList   what is to be found, each with "not yet" or "found"
 *   listBox     a list to choose from, whose label has the name that the list would cut
 *   numberBox   a box for a whole number that refuses in a sentence
 *   rules       what a setting may be, for links, JSON and boxes alike
 *   JSON        one form for every lab: {"lab", "settings", ...}
 */

/** `values`: the lowest and, if it is always the same, the highest; `grip`: how wide it can be taken hold of. */
const cursorOf = (label, [low, high = null], grip = 18) =>
  make(
    "g",
    { class: "cursor", tabindex: 0, role: "slider", "aria-label": label, "aria-valuemin": low, "aria-valuemax": high },
    make("rect", { class: "grip", x: -grip / 2, width: grip, rx: 4 }),
    make("line"),
    make("circle", { r: 7 }),
  );

/** `move(e)` where the pointer goes down and while it stays down, then `end()`. `start(e)` false: it is not meant. */
function draggable(svg, cursor, move, { start = () => true, end = () => {} } = {}) {
  let down = false;
  svg.addEventListener("pointerdown", (e) => {
    if (!start(e)) return;
    svg.setPointerCapture(e.pointerId);
    down = true;
    move(e);
    e.preventDefault();
    cursor.focus({ preventScroll: true });
  });
  svg.addEventListener("pointermove", (e) => down && move(e));
  for (const name of ["pointerup", "pointercancel"])
    svg.addEventListener(name, () => {
      if (!down) return;
      down = false;
      end();
    });
}

/** The places that labels in a column get, for places they would like. */
function spaced(wanted, gap, low, high) {
  const order = wanted.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y);
  order.forEach((l, n) => (l.y = Math.max(l.y, n ? order[n - 1].y + gap : low)));
  order.toReversed().forEach((l, n, all) => (l.y = Math.min(l.y, n ? all[n - 1].y - gap : high)));
  return order.sort((a, b) => a.i - b.i).map(({ y }) => y);
}

/** Two lines: `status` is seen, `live` is heard. A page with nine labs says nothing by itself: a lab speaks once the reader has acted in it. */
function voiceOf() {
  const status = make("p", { class: "status", "aria-hidden": "true" }),
    live = make("p", { class: "unseen", role: "status", "aria-live": "polite" });
  let awake = false,
    spoke = 0,
    waiting = 0;
  return {
    status,
    live,
    wake(root) {
      for (const event of ["pointerdown", "keydown", "input", "change"]) root.addEventListener(event, () => (awake = true), true);
    },
    /** Said once the hand has come to rest; with a `gap`, as when playing, so many ms after what was said last. Then `said` is called. */
    speak(text, gap = 0, said = () => {}) {
      clearTimeout(waiting);
      if (!awake) return said();
      waiting = setTimeout(
        () => {
          spoke = performance.now();
          live.textContent = text;
          said();
        },
        gap ? Math.max(0, spoke + gap - performance.now()) : 300,
      );
    },
    leave: () => clearTimeout(waiting),
  };
}

/** No boxes, nothing to tick: a word in front of each says whether it is found. */
function questList(quests, label) {
  const made = quests.map(({ name, ask }) => {
    const state = make("span", { class: "state" }, "not yet"),
      told = make("span", {}, ask);
    return { name, state, told, li: make("li", {}, state, " ", told), found: "" };
  });
  const tally = made.length ? make("span", { class: "tally" }) : null,
    counted = () => tally && (tally.textContent = `${made.filter(({ found }) => found).length} of ${made.length} found`);
  const mark = (n, text) => {
    const { state, told, li } = made[n];
    made[n].found = text;
    counted();
    li.className = "found";
    state.textContent = "\u2713 found";
    told.textContent = text;
  };
  counted();
  quests.forEach(({ told }, n) => told && mark(n, told)); // the reader's notes have it
  return {
    tally, // for where the list itself is out of sight
    root: quests.length ? make("ol", { class: "quests", "aria-label": label }, ...made.map(({ li }) => li)) : null,
    find(n, text) {
      const { name, li } = made[n];
      mark(n, text);
      li.dispatchEvent(new CustomEvent("memcg-lab-quest", { bubbles: true, composed: true, detail: { name, told: text } })); // a notebook keeps it
    },
    get found() {
      return made.map(({ found }) => found);
    },
  };
}

/** What a setting may be: `read` a text of a link, `fits` a value, `must` in words. */
function wholeRule(low, high) {
  const told = [low, high].map((end) => end.toLocaleString("en")).join(" to ");
  return {
    low,
    high,
    told,
    read: (text) => (/^-?\d{1,9}$/.test(text) ? Number(text) : text),
    fits: (value) => Number.isInteger(value) && value >= low && value <= high,
    must: `a whole number from ${told}`,
  };
}
function oneOfRule(values) {
  const told = values.map((value) => value.toLocaleString("en")).join("; "); // as checks.one_of joins them
  return {
    low: Math.min(...values),
    high: Math.max(...values),
    told,
    read: (text) => values.find((value) => String(value) === text) ?? text,
    fits: (value) => values.includes(value),
    must: `one of: ${told}`,
  };
}
/** `text`: how it stands in a link, where everything is text. */
function refusalOf(name, value, { must }, text = JSON.stringify(value)) {
  const told = value === undefined ? "nothing" : typeof value === "number" ? value.toLocaleString("en") : text || "empty";
  return `${name} is ${told.slice(0, 60)}; it must be ${must}.`;
}

const unknownSetting = (name, known) => `${name.slice(0, 60)} is no setting of this lab; there are ${Object.keys(known).join(", ")}.`;

/** Of what is asked for, what may be, and a sentence for each that may not. `texts`: how it stands in a link. */
function allowedOf(asked, rules, texts = {}) {
  const good = {},
    bad = [];
  for (const [name, value] of Object.entries(asked)) {
    const rule = Object.hasOwn(rules, name) && rules[name];
    if (!rule) bad.push(unknownSetting(name, rules));
    else if (rule.fits(value)) good[name] = value;
    else bad.push(refusalOf(name, value, rule, texts[name]));
  }
  return { good, bad };
}
/** The same for the text of a link. */
function allowedOfLink(text, rules) {
  const texts = Object.fromEntries(new URLSearchParams(text)),
    asked = Object.entries(texts).map(([name, value]) => [name, Object.hasOwn(rules, name) ? rules[name].read(value) : value]);
  return allowedOf(Object.fromEntries(asked), rules, texts);
}

/** `fit()` when there is more room or less: a native list cuts a name that is too long for it. */
function listBox({ label, options, value, act }) {
  const box = make("select", { onchange: () => act(box.value) }, ...options.map((text) => make("option", { value: text }, text))),
    word = make("span", {}, label),
    root = make("label", { class: "list" }, word, box);
  let cut = false;
  const show = (now) => {
    box.value = now;
    put(word, "text", cut ? `${label}: ${now}` : label);
  };
  function fit() {
    root.classList.remove("cut");
    put(word, "text", label);
    const free = box.cloneNode(true); // as wide as its longest name
    free.style.cssText = "position:absolute;visibility:hidden;flex:none;max-width:none;width:max-content";
    root.append(free);
    const wanted = free.offsetWidth;
    free.remove();
    cut = box.offsetWidth > 0 && box.offsetWidth < wanted - 1;
    root.classList.toggle("cut", cut);
    show(box.value);
  }
  box.value = value;
  return { root, show, fit };
}

/** Enter, or leaving the box, applies. What may not be is told through `refuse`, and what was shown before comes back. */
function numberBox({ label, name = label, rule, act, refuse, ...attributes }) {
  const box = make("input", {
    type: "number",
    min: rule.low,
    max: rule.high,
    "aria-label": `${label}: ${rule.told}`,
    ...attributes,
    onchange() {
      const given = box.value === "" ? undefined : Number(box.value);
      if (rule.fits(given)) return act(given);
      box.value = box.shown;
      refuse(refusalOf(name, given, rule));
    },
  });
  return {
    root: box,
    show(value) {
      box.shown = value;
      box.value = value;
    },
  };
}

const toJson = (lab, settings, more = {}) => JSON.stringify({ lab, settings, ...more });
/** What such a text holds, for this lab; an Error says why not. `beside`: what it may hold besides settings. */
function fromJson(text, lab, beside = []) {
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    throw new Error('This is no JSON; it must be what "Copy as JSON" gives.');
  }
  const plain = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  if (!plain(told) || typeof told.lab !== "string" || !plain(told.settings)) throw new Error('This is no lab; it must be {"lab": name, "settings": {...}}.');
  if (told.lab !== lab) throw new Error(`This is of a ${told.lab.slice(0, 40)}; it must be of a ${lab}.`);
  const fields = ["lab", "settings", ...beside],
    odd = Object.keys(told).find((name) => !fields.includes(name));
  if (odd !== undefined) throw new Error(`${odd.slice(0, 60) || '""'} is no field of a lab's JSON; there are ${fields.join(", ")}.`);
  return told;
}

/**
 * Texts that go out and come in, with a box for them: buttons to copy, and one that opens the box for JSON to be read.
 * `copies`: [[label, title, () -> text]]; `take(text)` may throw; `say(sentence)`.
 */
function exchange({ copies, take, say }) {
  const box = make("textarea", { hidden: true, rows: 2, spellcheck: "false", "aria-label": "Text to copy" }),
    read = make("button", { type: "button", hidden: true, onclick: () => taken() }, "Read it");
  let opened = 0;
  const open = (label, readonly, text) => {
    opened++;
    box.hidden = false;
    box.readOnly = readonly;
    box.value = text;
    box.setAttribute("aria-label", label);
    read.hidden = readonly;
  };
  async function copy(text) {
    open("Text to copy", true, text);
    const mine = opened;
    try {
      await navigator.clipboard.writeText(text);
      if (mine === opened) say("Copied.");
    } catch {
      if (mine !== opened) return; // the box shows something else by now
      box.focus();
      box.select();
      say("The text is below, selected: copy it from there.");
    }
  }
  function taken() {
    try {
      take(box.value);
      box.focus();
    } catch (error) {
      say(error.message);
    }
  }
  const button = (label, title, act) => make("button", { type: "button", title, onclick: act }, label);
  return {
    buttons: [
      ...copies.filter(Boolean).map(([label, title, text]) => button(label, title, () => copy(text()))),
      button("Read JSON", 'Paste what "Copy as JSON" gave, here or in a notebook', () => {
        open("JSON to read", false, "");
        say('Paste it into the box, then press "Read it".');
        box.focus();
      }),
      read,
    ],
    box,
    copy,
  };
}
