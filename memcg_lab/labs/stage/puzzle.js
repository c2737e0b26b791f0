/* puzzle.js: the patch from its lines. It stands after stage.js and takes make, put, count and fill from there.
 *
 * Arranged executes an arrangement as memcg_lab/labs/lines.py does, and judged says what that says; a test holds one
 * against the other. All lines, shapes, words and golden runs come from there.
 */
class Arranged {
  constructor(data, lines, parents = data.parents, cpus = data.cpus) {
    Object.assign(this, { tests: data.tests, lines, parents, crashed: false });
    [this.usage, this.css, this.sock] = [0, 1, 2].map(() => parents.map(() => 0));
    this.owner = Array(cpus).fill(-1);
    this.pages = Array(cpus).fill(0);
  }
  copy() {
    const twin = Object.assign(Object.create(Arranged.prototype), this);
    for (const name of ["usage", "css", "sock", "owner", "pages"]) twin[name] = [...this[name]];
    return twin;
  }
  get state() {
    return JSON.stringify([this.pages, this.owner, this.usage, this.css, this.sock, this.crashed]);
  }
  run([kind, cpu, memcg, pages]) {
    if (this.crashed) return;
    if (kind) this.execute("uncharge", cpu, memcg, pages);
    else this.charge(cpu, memcg, pages);
  }
  charge(cpu, memcg, pages) {
    this.sock[memcg] += pages;
    if (pages <= 32 && this.owner[cpu] === memcg && this.pages[cpu] >= pages) {
      this.pages[cpu] -= pages;
      return;
    }
    const batch = Math.max(32, pages);
    this.counters(memcg, batch);
    this.css[memcg] += batch;
    if (batch > pages) this.refill(cpu, memcg, batch - pages);
  }
  refill(cpu, memcg, pages) {
    if (this.owner[cpu] !== memcg) {
      this.drain(cpu);
      this.owner[cpu] = memcg;
    }
    this.execute("refill", cpu, memcg, pages);
  }
  drain(cpu) {
    const pages = this.pages[cpu],
      owner = this.owner[cpu];
    if (pages) {
      if (owner < 0) {
        this.crashed = true;
        return;
      }
      this.counters(owner, -pages);
      this.css[owner] -= pages;
      this.pages[cpu] = 0;
    }
    this.owner[cpu] = -1;
  }
  counters(memcg, pages) {
    for (; memcg >= 0; memcg = this.parents[memcg]) this.usage[memcg] += pages;
  }
  execute(where, cpu, memcg, pages) {
    let holds = true;
    for (const line of this.lines[where]) {
      if (this.tests.includes(line)) {
        const left = line === "large" ? pages : this.pages[cpu];
        holds &&= line === "full" ? left >= 32 : left > 32;
        continue;
      }
      if (holds && !this.crashed) this.step(line, cpu, memcg, pages);
      holds = true;
    }
  }
  step(line, cpu, memcg, pages) {
    if (line === "add") this.pages[cpu] += pages;
    else if (line === "drain") this.drain(cpu);
    else if (line === "other") this.drain(0);
    else if (line === "cut") this.pages[cpu] = 32;
    else if (line === "surplus") this.counters(memcg, -((this.pages[cpu] - 32) >>> 0)); // unsigned, as in C
    else if (line === "sub") this.sock[memcg] -= pages;
    else if (line === "uncharge") this.counters(memcg, -pages);
    else if (line === "put") this.css[memcg] -= pages;
    else this.refill(cpu, memcg, line === "batch" ? 32 : pages);
  }
}

function* possibleCalls(data, held) {
  const memcgs = held.some(Boolean) ? [1, 2] : [1];
  for (let cpu = 0; cpu < data.cpus; cpu++) {
    for (const memcg of memcgs) {
      for (const pages of data.charges) yield [0, cpu, memcg, pages];
      for (const pages of data.returns) if (pages <= held[memcg]) yield [1, cpu, memcg, pages];
    }
  }
}
function deeper(data, mine, kernel, held, left) {
  for (const call of possibleCalls(data, held)) {
    const [kind, , memcg, pages] = call,
      a = mine.copy(),
      b = kernel.copy();
    a.run(call);
    b.run(call);
    if (a.state !== b.state) return [call];
    if (left > 1) {
      const now = [...held];
      now[memcg] += kind ? -pages : pages;
      const found = deeper(data, a, b, now, left - 1);
      if (found) return [call, ...found];
    }
  }
  return null;
}
/** The tests that each line depends on. */
function guardsOf(data, lines) {
  const found = {};
  let tests = [];
  for (const line of lines) {
    if (data.tests.includes(line)) tests = [...tests, line];
    else {
      found[line] = tests;
      tests = [];
    }
  }
  return found;
}
function fitsShape(data, shape, arrangement) {
  const lines = arrangement[shape.where],
    depends = guardsOf(data, lines);
  return (
    shape.has.every((line) => lines.includes(line)) &&
    !shape.lacks.some((line) => lines.includes(line)) &&
    shape.under.every(([test, line]) => (depends[line] ?? []).includes(test)) &&
    shape.free.every((line) => depends[line]?.length === 0) &&
    shape.order.every(([a, b]) => lines.includes(a) && lines.includes(b) && lines.indexOf(a) < lines.indexOf(b)) &&
    (!shape.ends || data.tests.includes(lines.at(-1)))
  );
}
/** {right, shape: number or -1, calls, run: the golden run that the calls begin, or null} */
function judged(data, arrangement) {
  const shape = data.shapes.findIndex((one) => fitsShape(data, one, arrangement));
  if (shape >= 0 && data.shapes[shape].ends) return { right: false, shape, calls: [], run: null };
  for (let depth = 1; depth <= data.depth; depth++) {
    const calls = deeper(data, new Arranged(data, arrangement), new Arranged(data, data.right), data.parents.map(() => 0), depth);
    if (calls) return { right: false, shape, calls, run: null };
  }
  for (const run of data.golden) {
    const machine = new Arranged(data, arrangement, run.parents, run.cpus);
    for (let k = 0; k < run.calls.length; k++) {
      machine.run(run.calls[k]);
      const { pages, owner, usage, css, sock } = machine;
      if (machine.crashed || JSON.stringify([pages, owner, usage, css, sock]) !== JSON.stringify(run.states[k]))
        return { right: false, shape, calls: run.calls.slice(0, k + 1), run };
    }
  }
  return { right: true, shape: -1, calls: [], run: null };
}

const sameLines = ({ right }, arrangement) => ["refill", "uncharge"].every((where) => String(arrangement[where]) === String(right[where]));

/** The words of the lab for some arrangement; `ran` as in Python. */
function puzzleWords(data, arrangement, ran) {
  const { words } = data,
    told = (n) => n.toLocaleString("en"),
    call = ([kind, cpu, memcg, pages]) => fill(words[kind ? "back" : "charge"], { cpu, memcg, pages: count(pages, "page") });
  const held = (machine, cpu) =>
    fill(words.held, {
      pages: count(machine.pages[cpu], "page"),
      owner: machine.owner[cpu] < 0 ? words.nobody : fill(words.owner, { memcg: machine.owner[cpu] }),
    });
  const stocks = (machine) => machine.pages.map((_, cpu) => held(machine, cpu)).join(", ");
  const cells = (machine) =>
    machine.crashed ? Array(4).fill("crashed") : [stocks(machine), ...["usage", "css", "sock"].map((field) => machine[field].map(told).join(", "))];
  function difference(mine, kernel) {
    if (mine.crashed) return words.crashed;
    for (let cpu = 0; cpu < mine.pages.length; cpu++) {
      const [here, there] = [held(mine, cpu), held(kernel, cpu)];
      if (here !== there) return fill(words.stock, { cpu, mine: here, right: there });
    }
    for (const field of ["usage", "css", "sock"])
      for (let memcg = mine.usage.length - 1; memcg >= 0; memcg--)
        if (mine[field][memcg] !== kernel[field][memcg])
          return fill(words[field], { memcg, mine: told(mine[field][memcg]), right: told(kernel[field][memcg]) });
    return "";
  }
  /** The verdict's sentence, and a row for each call: [call, [here, there] for each column]. */
  function all() {
    const verdict = ran ? judged(data, arrangement) : null,
      placed = arrangement.refill.length + arrangement.uncharge.length;
    const parents = verdict?.run?.parents ?? data.parents,
      cpus = verdict?.run?.cpus ?? data.cpus,
      mine = new Arranged(data, arrangement, parents, cpus),
      kernel = new Arranged(data, data.right, parents, cpus),
      rows = [];
    for (const one of verdict?.calls ?? []) {
      mine.run(one);
      kernel.run(one);
      const [here, there] = [cells(mine), cells(kernel)];
      rows.push([call(one), here.map((cell, k) => [cell, there[k]])]);
    }
    let sentence;
    if (!verdict) sentence = fill(words.open, { placed, all: count(Object.keys(data.lines).length, "line") });
    else if (verdict.right) {
      const { charges } = data;
      sentence = fill(words.right, {
        calls: count(data.golden.reduce((sum, run) => sum + run.calls.length, 0), "golden operation"),
        depth: count(data.depth, "call"),
        sizes: `${charges.slice(0, -1).join(", ")} or ${charges.at(-1)}`,
      });
      if (!sameLines(data, arrangement)) sentence += ` ${words.other}`;
    } else {
      const says = verdict.shape >= 0 ? data.shapes[verdict.shape].says : words.unnamed;
      sentence = verdict.calls.length
        ? fill(words.wrong, { says, traffic: fill(words.shortest, { calls: verdict.calls.map(call).join(", ") }), difference: difference(mine, kernel) })
        : fill(words.hanging, { says });
    }
    return { sentence, rows, verdict, last: verdict?.calls.length ? call(verdict.calls.at(-1)) : "" };
  }
  return all();
}

/** How each quest is recognised in what the reader has just run; `met` holds the sentences of the mistakes so far. */
const FINDS = {
  five({ data, verdict, met }) {
    const { says } = data.shapes[verdict.shape] ?? {};
    if (says && verdict.calls.length) met.add(says);
    return met.size >= 5 && { says };
  },
  late: ({ verdict, last }) => verdict.calls.length > 2 && { calls: count(verdict.calls.length, "call"), last },
  other({ data, verdict, arrangement }) {
    const [refill, uncharge] = ["refill", "uncharge"].map((where) => arrangement[where].map((name) => data.lines[name].text).join(" "));
    return verdict.right && !sameLines(data, arrangement) && { refill, uncharge };
  },
};

async function renderPuzzle({ data, settings: given, place, change, el }) {
  const { words, lines } = data,
    names = Object.keys(lines),
    wheres = ["refill", "uncharge"];
  let arrangement = { refill: [...given.refill], uncharge: [...given.uncharge] },
    ran = given.ran,
    taken = null, // {name, before: where it was}
    spoken = 0;
  const homeOf = (name) => wheres.find((where) => arrangement[where].includes(name)) ?? null;

  // --- parts
  const buttons = Object.fromEntries(
    names.map((name) => [
      name,
      make(
        "button",
        {
          type: "button",
          class: "line",
          draggable: "true",
          "data-line": name,
          onclick: (e) => (e.stopPropagation(), clicked(name)),
          onkeydown: (e) => keyed(e, name),
          ondragstart: (e) => {
            e.dataTransfer.setData("text/plain", name);
            e.dataTransfer.effectAllowed = "move";
            taken = { name, before: null };
            show();
          },
          ondragend: () => ((taken = null), marked(null), show()),
        },
        lines[name].text,
      ),
    ]),
  );
  const lists = Object.fromEntries([...wheres, "pool"].map((where) => [where, make("ol", { "data-where": where })])),
    verdict = make("p", { class: "status verdict", "aria-hidden": "true" }),
    live = make("p", { class: "unseen", role: "status", "aria-live": "polite" }),
    head = make("tr", {}, ...data.columns.map((name) => make("th", { scope: "col" }, name))),
    body = make("tbody"),
    table = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The calls that show it" }, make("table", { class: "calls" }, make("thead", {}, head), body)),
    run = make("button", { type: "button", class: "main", onclick: () => go() }, "Run"),
    clear = make("button", { type: "button", onclick: () => move(() => (arrangement = { refill: [], uncharge: [] })) }, "Take all out");
  const quests = questList(data.quests, "Three things to find"),
    met = new Set();
  const board = (where) =>
    make("section", { "data-where": where, "aria-label": words[where] }, make("p", { class: "where" }, words[where]), make("p", { class: "soft" }, words[`${where} before`]), lists[where]);
  const pool = make("section", { class: "pool", "data-where": "pool", "aria-label": words.pool }, make("p", { class: "where" }, words.pool), lists.pool);
  const root = make(
    "div",
    { class: "stage puzzle", role: "region", "aria-label": "The patch from its lines" },
    make("div", { class: "bar", role: "toolbar", "aria-label": "Run and clear" }, run, clear, make("span", { class: "soft" }, words.how)),
    verdict,
    live,
    make("div", { class: "boards" }, ...wheres.map(board)),
    pool,
    table,
    quests.root,
    make("p", { class: "soft" }, words.licence),
  );
  el.replaceChildren(root);
  for (const section of root.querySelectorAll("section")) {
    const where = section.dataset.where;
    section.addEventListener("dragover", (e) => {
      if (!taken || !allowed(taken.name, where)) return;
      e.preventDefault();
      marked(where, indexAt(where, e.clientY));
    });
    section.addEventListener("drop", (e) => {
      if (!taken || !allowed(taken.name, where)) return;
      e.preventDefault();
      const { name } = taken,
        at = indexAt(where, e.clientY);
      taken = null;
      move(() => set(name, where, at), name);
    });
    section.addEventListener("click", (e) => taken && allowed(taken.name, where) && drop(where, indexAt(where, e.clientY)));
  }

  // --- moving
  const allowed = (name, where) => where === "pool" || lines[name].where === where;
  /** Which place of a list a height belongs to, the taken line not counted. */
  function indexAt(where, y) {
    if (where === "pool") return 0;
    const items = [...lists[where].children].filter((item) => item.firstChild.dataset.line !== taken?.name);
    const at = items.findIndex((item) => y < item.getBoundingClientRect().top + item.offsetHeight / 2);
    return at < 0 ? items.length : at;
  }
  function marked(where, at = -1) {
    for (const [name, list] of Object.entries(lists)) {
      const items = [...list.children].filter((item) => item.firstChild.dataset.line !== taken?.name);
      items.forEach((item, k) => item.classList.toggle("mark", name === where && name !== "pool" && k === at));
      list.classList.toggle("end", name === where && name !== "pool" && at === items.length);
    }
  }
  function set(name, where, at) {
    for (const one of wheres) arrangement[one] = arrangement[one].filter((other) => other !== name);
    if (where !== "pool") arrangement[where].splice(at, 0, name);
  }
  function move(act, name = null) {
    act();
    ran = false;
    marked(null);
    show();
    change({ ...arrangement, ran });
    place?.set(pack());
    if (name) buttons[name].focus();
  }
  function drop(where, at) {
    const { name } = taken;
    taken = null;
    move(() => set(name, where, at), name);
    speak(fill(words.put, { at: spot(name) }));
  }
  function clicked(name) {
    if (!taken) return take(name);
    if (taken.name === name) return drop(homeOf(name) ?? "pool", arrangement[homeOf(name)]?.indexOf(name) ?? 0);
    const where = homeOf(name) ?? "pool";
    if (!allowed(taken.name, where)) return take(name);
    const others = where === "pool" ? [] : arrangement[where].filter((other) => other !== taken.name);
    drop(where, Math.max(0, others.indexOf(name)));
  }
  function take(name) {
    const where = homeOf(name);
    taken = { name, before: { refill: [...arrangement.refill], uncharge: [...arrangement.uncharge] } };
    show();
    buttons[name].focus();
    speak(`${fill(words.taken, { line: lines[name].text })} ${where ? spot(name) : ""}`);
  }
  function keyed(e, name) {
    const where = homeOf(name),
      own = lines[name].where;
    if (e.key === "Escape" && taken) {
      const { before } = taken;
      taken = null;
      if (before) move(() => (arrangement = before), name);
    } else if (taken?.name === name && e.key.startsWith("Arrow")) {
      const at = where ? arrangement[where].indexOf(name) : -1,
        last = arrangement[own].length - (where ? 1 : 0);
      // The pool lies below both functions: up from it is the place that is nearest, and down from there is the pool.
      const to = {
        ArrowUp: where ? at > 0 && [own, at - 1] : [own, last],
        ArrowDown: where && (at < last ? [own, at + 1] : ["pool", 0]),
        ArrowLeft: where && ["pool", 0],
        ArrowRight: !where && [own, last],
      }[e.key];
      if (!to) speak(nowhere(e.key, name));
      else {
        const before = taken.before;
        move(() => set(name, ...to), name);
        taken = { name, before };
        show();
        speak(spot(name));
      }
    } else if (!taken && e.key.startsWith("Arrow")) {
      const all = [...root.querySelectorAll(".line")],
        next = all[all.indexOf(buttons[name]) + ({ ArrowDown: 1, ArrowRight: 1 }[e.key] ?? -1)];
      if (next) next.focus();
      else speak(nowhere(e.key, name));
    } else return;
    e.preventDefault();
    e.stopPropagation();
  }
  const nowhere = (key, name) => fill(words.nowhere, { way: key.slice("Arrow".length).toLowerCase(), at: spot(name) });
  function spot(name) {
    const where = homeOf(name),
      line = lines[name].text;
    if (!where) return fill(words["in pool"], { line });
    return fill(words.at, { line, where: words[where], place: arrangement[where].indexOf(name) + 1, of: arrangement[where].length });
  }
  function go() {
    taken = null;
    ran = true;
    const shown = show();
    change({ ...arrangement, ran });
    place?.set(pack());
    let text = verdict.textContent;
    data.quests.forEach(({ name, found }, n) => {
      const find = FINDS[name]({ data, arrangement, met, ...shown });
      if (!find || quests.found[n]) return;
      quests.find(n, fill(found, find));
      text += ` Found. ${quests.found[n]}`;
    });
    speak(text);
  }
  function speak(text) {
    clearTimeout(spoken);
    spoken = setTimeout(() => (live.textContent = text), 100);
  }

  // --- showing
  function show() {
    for (const where of [...wheres, "pool"]) {
      const here = where === "pool" ? names.filter((name) => !homeOf(name)) : arrangement[where],
        depends = where === "pool" ? {} : guardsOf(data, here);
      const wanted = here.map((name) => buttons[name]);
      if ([...lists[where].children].map((item) => item.firstChild).some((one, k) => one !== wanted[k]) || lists[where].children.length !== wanted.length)
        lists[where].replaceChildren(...wanted.map((one) => make("li", {}, one)));
      [...lists[where].children].forEach((item, k) => item.classList.toggle("under", Boolean(depends[here[k]]?.length)));
    }
    for (const name of names) {
      buttons[name].classList.toggle("taken", taken?.name === name);
      buttons[name].setAttribute("aria-pressed", String(taken?.name === name));
      buttons[name].setAttribute("aria-label", spot(name));
    }
    const shown = puzzleWords(data, arrangement, ran),
      { sentence, rows, verdict: found } = shown;
    put(verdict, "text", sentence);
    put(verdict, "class", `status verdict ${!found ? "" : found.right ? "right" : "wrong"}`);
    put(table, "hidden", !rows.length);
    body.replaceChildren(
      ...rows.map(([call, cells]) =>
        make("tr", {}, make("th", { scope: "row" }, call), ...cells.map(([here, there]) => make("td", { class: here === there ? "" : "differs" }, here === there ? here : `${here} (kernel: ${there})`))),
      ),
    );
    return shown;
  }
  const pack = () => `refill=${arrangement.refill.join(".")}&uncharge=${arrangement.uncharge.join(".")}${ran ? "&ran=1" : ""}`;
  const linesRule = (where) => {
    const own = names.filter((name) => lines[name].where === where);
    return {
      read: (text) => (text === "" ? [] : text.split(".")),
      fits: (value) => value.every((name) => own.includes(name)) && new Set(value).size === value.length,
      must: `some of ${own.join(", ")}, each once, with points between them`,
    };
  };
  const rules = {
    ...Object.fromEntries(wheres.map((where) => [where, linesRule(where)])),
    ran: { read: (text) => ({ 0: false, 1: true })[text] ?? text, fits: (value) => typeof value === "boolean", must: "0 or 1" },
  };
  /** A link: what it asks for is done where it may be, and told where it may not. */
  function come(text) {
    const { good, bad } = allowedOfLink(text, rules);
    if (good.refill || good.uncharge) {
      arrangement = { refill: good.refill ?? [], uncharge: good.uncharge ?? [] };
      ran = false;
    }
    ran = good.ran ?? ran;
    show();
    if (bad.length) say(`The link asks for what cannot be: ${bad.join(" ")}`);
  }
  const say = (text) => (put(verdict, "text", text), speak(text));
  const observer = new ResizeObserver(() => root.classList.toggle("narrow", root.clientWidth < 760));
  observer.observe(root);
  show();
  come(place?.get() ?? "");
  return {
    root,
    set(now) {
      arrangement = { refill: [...now.refill], uncharge: [...now.uncharge] };
      ran = now.ran;
      taken = null;
      show();
    },
    say,
    come,
    leave: () => (observer.disconnect(), clearTimeout(spoken)),
    get found() {
      return quests.found.filter(Boolean);
    },
    get arrangement() {
      return { ...arrangement, ran };
    },
  };
}
