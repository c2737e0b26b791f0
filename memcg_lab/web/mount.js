/* mount.js: brings the labs of a page to life. It stands last in the one script of a page or of the site.
 *
 * INSIDE holds files by name, packed: kernels.json and its kernels, golden.json where there is a check, and "PatchLab.json",
 * what the data() of a lab gives. Every element with data-memcg-lab is a still picture with its sentence and its table; as
 * soon as it comes near the screen the living lab takes its place. Where that fails, the picture stays.
 */
async function unpack(name) {
  const bytes = Uint8Array.from(atob(INSIDE[name]), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
const parsed = new Map(); // a promise of each JSON file
function json(name) {
  if (!parsed.has(name)) parsed.set(name, unpack(name).then((bytes) => JSON.parse(new TextDecoder().decode(bytes))));
  return parsed.get(name);
}
let opened = null;
const kernels = () => (opened ??= json("kernels.json").then((description) => open(description, unpack)));

/** The golden files, run in this browser; `tell` hears how far it is. */
async function selfCheck(tell) {
  let told = performance.now();
  return check(await kernels(), await json("golden.json"), async (so) => {
    if (performance.now() - told < 200) return;
    told = performance.now();
    tell(so);
    await new Promise((go) => setTimeout(go)); // let the page draw and the reader act
  });
}

// --- the address: "#ContentionLab:cpus=64&..." is a place in one lab; without a name it is one in the first lab
const handles = new Map(); // of the labs that live, by name; of two with one name the first
const figures = [...document.querySelectorAll("[data-memcg-lab]")].filter(({ dataset }) => LABS[dataset.memcgLab] && INSIDE[`${dataset.memcgLab}.json`]);
const firstLab = figures[0]?.dataset.memcgLab;
function asked(hash = location.hash) {
  const [, name = firstLab, text] = /^#(?:(\w+):)?(\w+=.*)$/.exec(hash) ?? [];
  return text === undefined ? null : { name, text };
}
const missed = new Map(); // of a lab that did not live yet, the last link to it: it may have read the address before
let active = null; // the lab whose place the address tells: the one that the reader last touched
function placeOf(name, figure) {
  const full = (text) => `#${name === firstLab ? "" : `${name}:`}${text}`;
  const place = {
    was: "", // what was read
    get: () => (place.was = asked()?.name === name ? asked().text : ""),
    set: (text) => active === figure && history.replaceState(null, "", full(text)),
    link: (text) => location.href.split("#")[0] + full(text),
  };
  return place;
}

async function bring(figure) {
  const name = figure.dataset.memcgLab,
    place = placeOf(name, figure),
    touch = () => (active = figure);
  figure.addEventListener("pointerdown", touch, true);
  figure.addEventListener("focusin", touch, true);
  try {
    const [lab, data] = await Promise.all([kernels(), json(`${name}.json`)]);
    const handle = await mountLab(figure, {
      name,
      data,
      lab,
      settings: JSON.parse(figure.dataset.settings),
      ask: null,
      place,
      change: () => {},
      selfCheck: INSIDE["golden.json"] && selfCheck,
    });
    if (!handles.has(name)) {
      handles.set(name, handle);
      if (missed.has(name) && missed.get(name) !== place.was) handle.come?.(missed.get(name));
    }
    window.memcgLab.lab = lab;
    window.memcgLab.ready ??= performance.now();
    if (figure.closest("#alone")) handle.root.focus({ preventScroll: true }); // the keys work at once
    figure.dispatchEvent(new CustomEvent("memcg-lab-live", { bubbles: true, detail: { name } }));
  } catch (error) {
    console.warn(`memcg-lab: ${name} stays a picture. ${error.message}`);
  }
}

// For the tests, and for whoever looks behind the scenes.
window.memcgLab = {
  handles, charts, readState, follow, rowsOf, sameState, copyState, sentence, linesOf,
  get stage() {
    return handles.get(firstLab);
  },
};

{
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        bring(target);
      }
    },
    { rootMargin: "800px 0px" },
  );
  const wanted = asked(),
    goTo = (figure) => (figure.closest("section") ?? figure).scrollIntoView(); // with its heading
  for (const figure of figures) {
    if (figure.dataset.memcgLab === wanted?.name) goTo(figure); // a link to a place leads to its lab
    near.observe(figure);
  }
  addEventListener("hashchange", ({ newURL }) => {
    const now = asked(new URL(newURL).hash); // a lab may have told its own place since
    if (!now) return;
    const figure = figures.find(({ dataset }) => dataset.memcgLab === now.name);
    if (figure) goTo(figure); // one that is still a picture comes to life there
    if (handles.has(now.name)) handles.get(now.name).come?.(now.text);
    else missed.set(now.name, now.text);
  });
  for (const place of document.querySelectorAll("[data-memcg-check]")) {
    const line = place.querySelector("[role=status]"),
      button = place.querySelector("button"),
      told = (so) => `${so.ops.toLocaleString("en")} operations of the golden files, ${so.fields.toLocaleString("en")} fields: ${count(so.mismatches.length, "mismatch").replace("mismatchs", "mismatches")}`;
    let running = false;
    button.addEventListener("click", async () => {
      if (running) return;
      running = true;
      try {
        const found = await selfCheck((so) => (line.textContent = `${told(so)} so far.`));
        const [first] = found.mismatches;
        line.textContent = `${told(found)}.${first ? ` The first: ${first.scenario}, operation ${first.op}, ${first.field}.` : ""}`;
      } catch (error) {
        line.textContent = `The check cannot run: ${error.message}`;
      }
      running = false;
    });
  }
}

