/* charts.js: the labs that are charts. It stands after kernel.js and stage.js in one module, and takes make, put, puts,
 * count and fill from there.
 *
 *   const handle = await charts.ContentionLab({name, el, data, settings, lab, ask, place, change})
 *       el: where to draw; data: what the lab's data() gives; settings: where it opens
 *       lab: what open() of kernel.js gives, or null: then ask(question) -> Promise(answer) asks Python
 *       place: {get() -> text, set(text), link(text)}: where the reader is, or null; change(settings): the reader moved
 *   handle: {root, settings, set(settings), come(text), leave(), stats}
 *
 *   1 numbers    as memcg_lab.words writes them
 *   2 frame      what every chart lab has around its picture
 *   3 machine    the simulations of ContentionLab, in slices that leave the frames alone
 *   4 to 7       ContentionLab, ProfileLab, CostLab, MeasureLab
 */
const charts = (() => {
  // ------------------------------------------------------------------------------------------------- 1 numbers
  /** A number with so many places; a tie goes to the even digit, as Python has it. */
  function fixed(value, places) {
    const short = value.toFixed(places),
      twice = 2 * value * 10 ** places;
    if (Math.abs(twice - Math.round(twice)) > 1e-9 * (1 + Math.abs(twice))) return short; // surely no tie
    const exact = value.toFixed(100),
      end = exact.indexOf(".") + 1 + places;
    if (!/^50*$/.test(exact.slice(end))) return short;
    const down = exact.slice(0, places ? end : end - 1);
    return "02468".includes(down.at(-1)) ? down : short;
  }
  const thousands = (text) => text.replace(/\B(?=(\d{3})+(?!\d))/g, ",");

  /** `number` of memcg_lab.words. */
  function number(value, digits = 3) {
    if (Number.isInteger(value)) return value.toLocaleString("en");
    const power = Number(value.toExponential().split("e")[1]),
      [whole, rest = ""] = fixed(value, Math.max(0, digits - 1 - power)).split("."),
      kept = rest.replace(/0+$/, "");
    return thousands(whole) + (kept && `.${kept}`);
  }

  // --------------------------------------------------------------------------------------------------- 2 frame
  const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
  const MARKS = ["m-4 -4h8v8h-8z", "m0 -4.6a4.6 4.6 0 1 0 .01 0z"]; // before a square, after a circle
  let made = 0;

  /** A slider with a number box beside it; `steps`, if given, are the values that the slider stops at. */
  function slider({ name, label, rule, steps, value, act, refuse, unit = "" }) {
    const stops = steps ?? Array.from({ length: rule.high - rule.low + 1 }, (_, i) => rule.low + i),
      nearest = (given) => stops.reduce((best, stop, i) => (Math.abs(stop - given) < Math.abs(stops[best] - given) ? i : best), 0),
      id = `chart-${name}-${made++}`;
    const range = make("input", {
        type: "range",
        min: 0,
        max: stops.length - 1,
        "aria-label": label,
        oninput: () => act(stops[+range.value]),
      }),
      box = numberBox({ label, rule, act, refuse, id });
    function show(now) {
      const at = nearest(now);
      if (+range.value !== at) range.value = at;
      put(range, "aria-valuetext", `${number(now)}${unit}`);
      box.show(now);
    }
    show(value);
    /** Where it would change nothing, it says why in its place. */
    const why = make("span", { class: "why", hidden: true }),
      root = make("div", { class: "slide" }, make("label", { for: id }, label), range, box.root, why);
    function disable(reason) {
      range.disabled = box.root.disabled = Boolean(reason);
      range.hidden = box.root.hidden = Boolean(reason);
      why.hidden = !reason;
      put(why, "text", reason || "");
    }
    return { root, show, disable };
  }

  /** Controls of settings, as they are made in most labs; `board()` gives what `frame` gave. */
  function controlsOf({ name, settings }, rules, board) {
    const act = (key) => (value) => board().set({ [key]: value });
    return {
      act,
      scale: (key, label, more) => slider({ name, label, rule: rules[key], value: settings[key], act: act(key), refuse: (text) => board().refuse(text), ...more }),
      choice: (key, label, options) => listBox({ label, options, value: settings[key], act: act(key) }),
    };
  }

  /**
   * Controls above, a sentence, the picture, and below it what is to be taken along and what is to be found. `rules` say
   * what each setting may be; `controls` show some of them, and `bars` are those row by row. `move(values)` draws what
   * the settings are now, `fit(narrow)` gives the picture its size. `python(name, settings)` gives the line that makes the
   * lab again; `table()` {head, rows}; `recognise` has a function for each quest of the data: what
   * its sentence is filled with, or nothing.
   */
  function frame({ name, el, data, settings: first, place, change }, told) {
    const { title, rules, controls = {}, bars, body, move, fit, python, table, recognise = {} } = told;
    const settings = structuredClone(first),
      stats = { moves: [], worst: 0 },
      voice = voiceOf(),
      { status } = voice;
    const numbers = make("table"),
      details = make("details", { ontoggle: () => fillTable() }, make("summary", {}, "The same as a table"), numbers);
    const button = (label, title, act) => make("button", { type: "button", title, onclick: act }, label);
    const pack = () => packed(settings, rules);
    const goods = exchange({
      copies: [
        ["Copy as Python", "The line that makes this lab in a notebook", () => (python ?? asPython)(name, settings)],
        place?.link && ["Copy link", "A link to these settings", () => place.link(pack())],
        ["Copy as JSON", "The settings, for another window or a notebook", () => toJson(name, settings)],
      ],
      take(text) {
        const { good, bad } = allowedOf(fromJson(text, name).settings, rules);
        if (bad.length) throw new Error(bad.join(" "));
        set(good);
      },
      say: refuse,
    });
    const foot = make(
      "div",
      { class: "bar more", role: "group", "aria-label": "To take along" },
      button("Reset", "Every control to its first value", () => set(structuredClone(first))),
      ...goods.buttons,
    );
    const quests = questList(data.quests ?? [], "Three things to find"),
      below = make("div", { class: "below" }, make("div", {}, foot, goods.box, details), quests.root);
    const root = make(
      "div",
      { class: "stage charts", tabindex: -1, role: "region", "aria-label": title },
      ...bars.map((row) => make("div", { class: "bar" }, ...row)),
      status,
      voice.live,
      body,
      below,
    );
    el.replaceChildren(root);
    voice.wake(root);

    let written = 0,
      notice = "", // in the place of the sentence, until the next move
      sentence = "";
    function fillTable() {
      if (!details.open) return;
      const { head, rows } = table();
      const cells = (tag, values) =>
        make(
          "tr",
          {},
          ...values.map((value, n) =>
            make(n && tag === "td" ? "td" : "th", { scope: n && tag === "td" ? null : tag === "td" ? "row" : "col" }, String(value)),
          ),
        );
      numbers.replaceChildren(make("thead", {}, cells("th", head)), make("tbody", {}, ...rows.map((row) => cells("td", row))));
    }
    /** What a picture says now; quests that this finds are told with it. */
    function say(text) {
      sentence = text;
      put(status, "text", notice || text);
      let heard = notice || text;
      (data.quests ?? []).forEach((quest, n) => {
        const found = !quests.found[n] && recognise[quest.name]?.();
        if (!found) return;
        quests.find(n, fill(quest.found, found));
        heard += ` Found. ${quests.found[n]}`;
      });
      voice.speak(heard);
      fillTable();
    }
    /** Why something was not done. It stands until the reader moves something. */
    function refuse(text) {
      notice = text;
      put(status, "text", text);
      voice.speak(text);
    }
    /** New settings: by the reader's hand, or `quiet` by Python or a place. */
    function set(values, quiet = false, because = "") {
      const begun = performance.now();
      notice = because;
      if (because) refuse(because);
      Object.assign(settings, values);
      for (const [key, control] of Object.entries(controls)) control.show(settings[key]);
      const done = move(values);
      if (!quiet) {
        change?.(structuredClone(settings));
        clearTimeout(written);
        if (place?.set) written = setTimeout(() => place.set(pack()), 250);
      }
      stats.moves.push(performance.now() - begun);
      if (stats.moves.length > 1000) stats.moves.shift();
      return done;
    }
    /** A link: what it asks for is done where it may be, and told where it may not. */
    function come(text) {
      const { good, bad } = allowedOfLink(text, rules);
      return set(good, true, bad.length ? `The link asks for what cannot be: ${bad.join(" ")}` : "");
    }
    const size = () => {
      const narrow = sized(root);
      for (const control of Object.values(controls)) control.fit?.();
      fit?.(narrow);
    };
    const observer = new ResizeObserver(size);
    return {
      root,
      settings,
      stats,
      say,
      refuse,
      set,
      get found() {
        return quests.found.filter(Boolean);
      },
      get sentence() {
        return sentence;
      },
      /** The handle of a lab that begins to live; `more`: what of its own it shows, `leave` what it has to close. */
      async begin(more = {}, leave = () => {}) {
        size();
        await come(place?.get() ?? "");
        observer.observe(root);
        const handle = {
          root,
          board: this,
          settings,
          stats,
          say,
          come,
          set: (values) => set(values, true),
          leave() {
            observer.disconnect();
            clearTimeout(written);
            voice.leave();
            leave();
          },
        };
        return Object.defineProperties(handle, Object.getOwnPropertyDescriptors(more));
      },
    };
  }

  /** Settings as the text of a place. */
  const packed = (settings, rules = {}) =>
    new URLSearchParams(
      Object.entries(settings)
        .filter(([key]) => !rules[key]?.secret) // what readers said stays in the room
        .map(([key, value]) => [key, rules[key]?.write?.(value) ?? String(value)]),
    ).toString();
  const quoted = (value) => (typeof value === "string" ? JSON.stringify(value) : String(value));
  const asPython = (name, settings) =>
    `${name}(${Object.entries(settings)
      .map(([key, value]) => `${key}=${quoted(value)}`)
      .join(", ")})`;

  function ticksOf(top) {
    const power = 10 ** Math.floor(Math.log10(top / 4)),
      step = power * [1, 2, 5, 10].find((times) => top / (times * power) <= 5);
    return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
  }

  // ------------------------------------------------------------------------------------------------- 3 machine
  const PS = 1000;
  const even = (x) => (x % 1 === 0.5 && Math.floor(x) % 2 === 0 ? Math.floor(x) : Math.round(x)); // as Python rounds
  const SIDES = ["before", "after"];
  const SLICE = 4; // ms of work in a row
  const MOVE = 4; // ms of work in the move itself
  const PART = 2; // ms that one run of the machine's kernel may take; how much it simulates is found by measuring
  const MORE = 3; // ms more, if there is nothing to show yet

  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  /** Put something into a map, which forgets what is oldest. */
  function keep(map, key, value, most) {
    if (map.size >= most) map.delete(map.keys().next().value);
    map.set(key, value);
    return value;
  }

  /** The machine's kernel with the set-up of labs/contention.py, which `data` describes. */
  class Simulations {
    constructor(lab, data) {
      Object.assign(this, { lab, data, roots: new Map(), streams: new Map(), aged: new Map(), points: new Map(), job: null, waiting: null, frame: 0, stats: { worst: 0, slices: 0 } });
      this.lots = Uint8Array.from(atob(data.lots), (letter) => letter.charCodeAt(0));
      const { port1, port2 } = new MessageChannel();
      let coming = false;
      port1.onmessage = () => {
        coming = false;
        this.go(SLICE);
      };
      this.next = () => {
        if (!coming) port2.postMessage(0);
        coming = true;
      };
      this.close = () => {
        port1.close();
        cancelAnimationFrame(this.frame);
      };
    }

    async ready() {
      const { lab, data } = this;
      await Promise.all(SIDES.flatMap((side) => ["replay", "machine"].map((kind) => lab.need(kind, data.policies[side]))));
    }

    key(side, cpus, { depth, traffic, counter_layout, think_ns }) {
      return [side, cpus, depth, traffic, counter_layout, think_ns].join("|");
    }

    /** What each CPU does in its turns: the numbers of kinds, and the kinds as [operation, leaf]. */
    turns({ traffic, cpus }) {
      const { rows, alone } = this.data.traffics[traffic],
        { lots_each } = this.data,
        c = this.lab.constants.mechanism;
      if (!rows) {
        const kinds = [
          [c.UNCHARGE_SKMEM, 0],
          [c.CHARGE_SKMEM, 0],
        ];
        return { kinds, every: lots_each, at: (cpu, turn) => (this.lots[(cpu * lots_each + turn) >> 3] >> (turn & 7)) & 1 };
      }
      const taken = cpus === 1 && alone ? alone : rows,
        first = taken.map((_, i) => taken.slice(0, i).reduce((sum, row) => sum + row.length, 0));
      return { kinds: taken.flat(), every: taken[0].length, at: (cpu, turn) => first[cpu % taken.length] + turn };
    }

    /**
     * What the CPUs go on with, and what they have done before; both kernels get the same. The operations stand CPU by
     * CPU, so those of fewer CPUs are the first of those of all.
     */
    stream(cpus, depth, traffic) {
      const alone = cpus === 1 && this.data.traffics[traffic].alone,
        { every, ops, past, parts } = this.written(alone ? 1 : this.data.most.cpus, depth, traffic),
        first = (table, n) => this.lab.table("op", n, table.bytes.buffer);
      if (!parts.has(cpus)) parts.set(cpus, { ops: first(ops, cpus * every), past: first(past, sum(this.data.ages.slice(0, cpus))) });
      return parts.get(cpus);
    }

    /** The operations of so many CPUs. Those at one depth are those at another with other cgroups. */
    written(cpus, depth, traffic) {
      const key = [cpus, depth, traffic].join("|");
      if (this.streams.has(key)) return this.streams.get(key);
      const deeper = (table) => {
        const made = table.slice(0, table.length);
        made.put("memcg", made.column("memcg").map((leaf) => depth + leaf));
        return made;
      };
      const { every, ops, past } = this.atRoot(cpus, traffic);
      return keep(this.streams, key, { every, ops: deeper(ops), past: deeper(past), parts: new Map() }, 8);
    }

    atRoot(cpus, traffic) {
      const key = [cpus, traffic].join("|");
      if (this.roots.has(key)) return this.roots.get(key);
      const { lab, data } = this,
        { kinds, every, at } = this.turns({ traffic, cpus }),
        each = lab.ops(kinds.map(([op, leaf]) => ({ op, cpu: 0, memcg: leaf, nr: 1 })));
      const table = (turnsOf) => {
        const turns = Array.from({ length: cpus }, (_, cpu) => turnsOf(cpu)),
          made = lab.table("op", sum(turns)),
          of = new Uint16Array(made.length);
        for (let cpu = 0, row = 0; cpu < cpus; cpu++) {
          for (let turn = 0; turn < turns[cpu]; turn++, row++) {
            const from = at(cpu, turn % every) * each.form.size;
            made.bytes.set(each.bytes.subarray(from, from + each.form.size), row * each.form.size);
            of[row] = cpu;
          }
        }
        made.put("cpu", of);
        return made;
      };
      return keep(this.roots, key, { every, ops: table(() => every), past: table((cpu) => data.ages[cpu]) }, 8);
    }

    /** A system in use already, and the stream it goes on with: _aged of labs/contention.py. */
    *age(side, cpus, { depth, traffic }) {
      const key = [side, cpus, depth, traffic].join("|");
      if (this.aged.has(key)) return this.aged.get(key);
      const { lab, data } = this,
        { leaves } = data.traffics[traffic],
        parents = Array.from({ length: depth + leaves }, (_, m) => Math.min(m, depth) - 1),
        system = lab.system({ parents, cpus, policy: data.policies[side] }),
        { ops, past } = this.stream(cpus, depth, traffic);
      for (let leaf = 0; leaf < leaves; leaf++)
        system.run(lab.ops([{ op: "charge_skmem", cpu: 0, memcg: depth + leaf, nr: data.held }]));
      yield;
      const { reason } = system.run(past);
      if (reason) throw new Error(`the traffic is refused: ${lab.reason(reason)}`);
      yield;
      return keep(this.aged, key, { system, ops }, 60);
    }

    /**
     * One point: what `point` of labs/contention.py gives. It stops between parts of the run and then says how to read
     * what it has counted so far: nothing before the warm-up is over.
     */
    *point(side, cpus, settings) {
      const key = this.key(side, cpus, settings);
      if (this.points.has(key)) return this.points.get(key);
      const { lab, data } = this,
        { system, ops } = yield* this.age(side, cpus, settings),
        { like, allocated } = data.layouts[settings.counter_layout],
        crowded = (cpus * data.transfer_ns[cpus] * (1 + allocated)) / 2,
        duration = Math.max(data.rounds, data.ops_wanted / cpus) * (settings.think_ns + crowded),
        begin = even(duration * data.warm_up * PS),
        end = even(duration * PS);
      const machine = lab.machine(system, ops, {
        thinkNs: settings.think_ns,
        topology: data.machine,
        layout: { ...lab.machines.layouts[like], allocated },
      });
      yield;
      let at = 0,
        before = null,
        step = Math.round(end / 64), // how long that takes is found by measuring
        answer;
      const read = () => this.read(machine, before, this.cut(machine, at), (at - begin) / PS);
      try {
        while (at < end) {
          const until = Math.min(at + Math.max(step, 1), at < begin ? begin : end),
            begun = performance.now(),
            { reason } = machine.run(until / PS, { stay: true }),
            took = performance.now() - begun;
          if (reason) throw new Error(`the machine stops: ${lab.stop(reason)}`);
          if (until - at === step) step = Math.round(step * clamp(PART / Math.max(took, 0.05), 0.3, 3));
          at = until;
          if (at === begin) before = this.cut(machine, begin);
          yield at > begin && at < end ? read : undefined;
        }
        answer = read();
      } finally {
        machine.leave();
      }
      return keep(this.points, key, answer, 4000);
    }

    /** The chosen point on both sides, in turn, so that there is something of both to show. */
    *both(settings) {
      const runs = SIDES.map((side) => this.point(side, settings.cpus, settings)),
        last = (this.parts = SIDES.map(() => null));
      try {
        while (runs.some(Boolean)) {
          for (const i of runs.keys()) {
            if (!runs[i]) continue;
            const { done, value } = runs[i].next();
            if (done) runs[i] = null;
            last[i] = done ? () => value : (value ?? last[i]);
            yield;
          }
        }
      } finally {
        for (const run of runs) run?.return();
      }
    }

    /** What was counted until a time: lines are promised until they are free. */
    cut(machine, at) {
      const { words } = this.lab,
        counted = machine.counted(),
        occupied = words.traffic.indexOf("occupied"),
        wide = words.traffic.length;
      machine.tables.line.column("free_at").forEach((free, line) => (counted.traffic[line * wide + occupied] -= Math.max(free - at, 0)));
      return counted;
    }

    read(machine, before, after, duration) {
      const { words } = this.lab,
        minus = (name) => after[name].map((value, i) => value - before[name][i]),
        total = (values) => values.reduce((a, b) => a + b, 0);
      const finished = total(minus("finished")),
        booked = minus("booked"),
        kinds = words.booked.length,
        all = total(booked);
      const shares = [];
      words.functions.forEach((name, f) => {
        const own = booked.slice(f * kinds, (f + 1) * kinds);
        if (own.some((ps) => ps !== 0)) shares.push([name, (100 * total(own)) / all]);
      });
      const traffic = minus("traffic"),
        wide = words.traffic.length,
        [waited, occupied] = ["waited", "occupied"].map((name) => words.traffic.indexOf(name)),
        queues = machine.lines.map((_, line) => (traffic[line * wide + waited] + traffic[line * wide + occupied]) / (duration * PS)),
        most = queues.indexOf(Math.max(...queues));
      const local = words.booked.indexOf("local");
      return {
        throughput: (finished / duration) * 1000,
        stalled: (100 * total(booked.filter((_, i) => i % kinds !== local))) / all,
        shares,
        busiest: queues[most] ? [this.line(machine.lines[most]), queues[most]] : [this.data.words.nothing, 0],
      };
    }

    line(name) {
      const [owner, own] = name.split(": ");
      return own ? fill(this.data.words.line, { owner, word: own.split(" ")[0] }) : owner;
    }

    known(cpus, settings) {
      const found = SIDES.map((side) => this.points.get(this.key(side, cpus, settings)));
      return found.every(Boolean) ? Object.fromEntries(SIDES.map((side, i) => [side, found[i]])) : null;
    }

    *everything(settings, tell) {
      yield* this.both(settings);
      this.seen = true;
      tell.point(this.known(settings.cpus, settings), settings);
      yield;
      const curve = { before: [], after: [] };
      for (const cpus of this.data.curve) for (const side of SIDES) curve[side].push(yield* this.point(side, cpus, settings));
      yield;
      tell.curve(curve, settings);
      const { low, most } = this.data; // while nobody asks: the streams of the other depths
      for (let depth = low.depth; depth <= most.depth; depth++) {
        yield;
        this.written(most.cpus, depth, settings.traffic);
      }
    }

    /**
     * The chosen point first, then the curve. What was asked before is dropped once it has shown something: so there is
     * a picture every now and then also where the hand is faster than the simulation.
     */
    ask(settings, tell) {
      this.waiting = { settings: { ...settings }, tell };
      if (this.job && !this.seen) return;
      this.turn();
      this.go(MOVE);
      if (!this.seen && !this.parts?.every(Boolean)) this.go(MORE);
    }

    turn() {
      const { settings, tell } = this.waiting;
      this.job?.return();
      Object.assign(this, { waiting: null, seen: false, parts: null, sofar: tell.sofar, failed: tell.failed, settings, job: this.everything(settings, tell) });
      this.frame ||= requestAnimationFrame(() => this.painted());
    }

    /** A frame comes: it has what a simulation that is not over has counted so far. */
    painted() {
      this.frame = 0;
      if (this.seen || !this.job) return;
      if (this.parts?.every(Boolean)) {
        this.seen = true;
        this.sofar(Object.fromEntries(SIDES.map((side, i) => [side, this.parts[i]()])), this.settings);
      } else this.frame = requestAnimationFrame(() => this.painted());
    }

    go(budget) {
      const { job } = this,
        begun = performance.now();
      if (!job) return;
      try {
        do {
          if (job.next().done) this.job = null;
        } while (this.job === job && !(this.seen && this.waiting) && performance.now() - begun < budget);
      } catch (error) {
        this.job = null;
        this.failed(new Error(fill(this.data.words.failed, { why: error.message })));
      }
      if (this.waiting && (this.seen || !this.job)) this.turn();
      this.stats.slices++;
      this.stats.worst = Math.max(this.stats.worst, performance.now() - begun);
      if (this.job) this.next();
    }
  }

  /** The same answers from Python: one question at a time, the last one asked is the next; each answer is shown. */
  class Questions {
    constructor(ask) {
      Object.assign(this, { ask_: ask, waiting: null, busy: false, closed: false });
    }
    async ready() {}
    close() {
      this.closed = true;
    }
    ask(settings, tell) {
      this.waiting = { settings: { ...settings }, tell };
      if (!this.busy) this.go();
    }
    async go() {
      this.busy = true;
      while (this.waiting && !this.closed) {
        const { settings, tell } = this.waiting;
        this.waiting = null;
        try {
          for (const part of ["point", "curve"]) {
            const answer = await this.ask_({ part, ...settings });
            if (!this.closed) tell[part](answer, settings);
            if (this.waiting || this.closed) break;
          }
        } catch (error) {
          if (!this.waiting && !this.closed) tell.failed(error);
        }
      }
      this.busy = false;
    }
  }

  // ------------------------------------------------------------------------------------------- 4 ContentionLab
  /** Throughput over CPUs, with a cursor that can be dragged. */
  class Throughput {
    constructor(data, onMove) {
      this.data = data;
      this.top = 0;
      this.paths = SIDES.map((_, i) => make("path", { class: `line m${i}` }));
      this.marks = SIDES.map((_, i) => make("path", { class: `mark m${i}` }));
      this.chosen = SIDES.map((_, i) => make("path", { class: `chosen m${i}`, d: `M0 0${MARKS[i]}` }));
      this.labels = SIDES.map((_, i) => make("text", { class: `label m${i}` }));
      this.grid = make("g", { class: "grid" });
      this.axis = make("path", { class: "axis" });
      this.places = data.curve.map((n) => make("text", { class: "soft", "text-anchor": "middle" }, String(n)));
      this.name = make("text", { class: "soft", "text-anchor": "middle" }, "CPUs (logarithmic)");
      this.unit = make("text", { class: "soft" }, "operations in a microsecond");
      this.old = make("g", {}, ...this.paths, ...this.marks);
      this.cursor = cursorOf("CPUs", [1, data.most.cpus], 22);
      this.svg = make(
        "svg",
        { class: "chart throughput", role: "group", "aria-label": "Throughput over CPUs" },
        this.grid,
        this.axis,
        ...this.places,
        this.name,
        this.unit,
        this.old,
        ...this.labels,
        this.cursor,
        ...this.chosen,
      );
      draggable(this.svg, this.cursor, (e) =>
        onMove(clamp(Math.round(2 ** this.unx(e.clientX - this.svg.getBoundingClientRect().left)), 1, data.most.cpus)),
      );
      const steps = {
        ArrowRight: (n) => n + 1,
        ArrowUp: (n) => n + 1,
        ArrowLeft: (n) => n - 1,
        ArrowDown: (n) => n - 1,
        PageUp: (n) => n * 2,
        PageDown: (n) => Math.floor(n / 2),
        Home: () => 1,
        End: () => data.most.cpus,
      };
      this.cursor.addEventListener("keydown", (e) => {
        if (!steps[e.key] || e.altKey || e.ctrlKey || e.metaKey) return;
        e.preventDefault();
        e.stopPropagation();
        onMove(clamp(steps[e.key](this.cpus), 1, data.most.cpus));
      });
    }

    x(n) {
      return this.left + ((this.right - this.left) * Math.log2(n)) / Math.log2(this.data.most.cpus);
    }
    unx(px) {
      return ((px - this.left) * Math.log2(this.data.most.cpus)) / (this.right - this.left);
    }
    y(value) {
      return this.bottom - ((this.bottom - this.high) * value) / Math.max(this.top, 1e-9);
    }

    layout(width, height) {
      Object.assign(this, { width, height, left: 46, right: width - 108, high: 26, bottom: height - 42 });
      puts(this.svg, { viewBox: `0 0 ${width} ${height}`, width, height });
      const sparse = width < 300 ? 4 : width < 460 ? 2 : 1; // where there is no room for every number
      this.places.forEach((el, i) => puts(el, { x: this.x(this.data.curve[i]).toFixed(1), y: this.bottom + 18, hidden: i % sparse > 0 }));
      puts(this.name, { x: ((this.left + this.right) / 2).toFixed(1), y: this.bottom + 36 });
      puts(this.unit, { x: 4, y: 15 });
      put(this.axis, "d", `M${this.left} ${this.high}V${this.bottom}H${this.right}`);
      puts(this.cursor.children[0], { y: this.high - 8, height: this.bottom - this.high + 14 });
      puts(this.cursor.children[1], { y1: this.high - 4, y2: this.bottom });
      put(this.cursor.children[2], "cy", this.bottom);
    }

    scale(top) {
      if (top === this.top) return;
      this.top = top;
      this.grid.replaceChildren(
        ...ticksOf(top).flatMap((tick) => [
          tick && make("path", { d: `M${this.left} ${this.y(tick).toFixed(1)}H${this.right}` }),
          make("text", { class: "soft", x: this.left - 7, y: (this.y(tick) + 5).toFixed(1), "text-anchor": "end" }, number(tick)),
        ]).filter(Boolean),
      );
    }

    /** The curve and the chosen point, which lies at `at`; or those before, while the new ones are still simulated. */
    show(curve, stale, cpus, point, at, state) {
      this.cpus = cpus;
      const all = SIDES.flatMap((side) => [...(curve ? curve[side] : []), ...(point ? [point[side]] : [])].map((here) => here.throughput));
      if (!stale || Math.max(...all) > this.top) this.scale(Math.max(0.01, ...all) * 1.06);
      put(this.old, "class", stale ? "stale" : "");
      const place = ({ throughput }, n) => `${this.x(n).toFixed(1)} ${this.y(throughput).toFixed(1)}`;
      if (curve) {
        SIDES.forEach((side, i) => {
          const places = curve[side].map((here, k) => place(here, this.data.curve[k]));
          put(this.paths[i], "d", `M${places.join("L")}`);
          put(this.marks[i], "d", places.map((xy) => `M${xy}${MARKS[i]}`).join(""));
        });
        const ends = SIDES.map((side) => curve[side].at(-1).throughput);
        spaced(ends.map((value) => this.y(value) + 5), 18, this.high + 4, this.bottom).forEach((y, i) =>
          puts(this.labels[i], { x: this.right + 10, y: y.toFixed(1), text: `${SIDES[i]} ${number(ends[i])}` }),
        );
      }
      put(this.cursor, "transform", `translate(${this.x(cpus).toFixed(1)} 0)`);
      puts(this.cursor, { "aria-valuenow": cpus, "aria-valuetext": count(cpus, "CPU") });
      this.chosen.forEach((el, i) => {
        put(el, "hidden", !point);
        if (point) puts(el, { class: `chosen m${i} ${state}`, transform: `translate(${place(point[SIDES[i]], at)}) scale(1.6)` });
      });
    }
  }

  /** Bars of both kernels by function, at the chosen number of CPUs. */
  class Profiles {
    constructor(data) {
      const id = `hatch-${made++}`;
      this.data = data;
      this.rows = Array.from({ length: data.functions_shown + 1 }, () => ({
        name: make("text", { class: "strong" }),
        bars: SIDES.map((_, i) => make("rect", { class: `share m${i}`, height: 11, fill: i ? null : `url(#${id})` })),
        values: SIDES.map((_, i) => make("text", { class: `label m${i}` })),
      }));
      this.title = make("text", { class: "soft", x: 0, y: 15 });
      this.svg = make(
        "svg",
        { class: "profiles", role: "img" },
        hatch(id),
        this.title,
        ...this.rows.flatMap(({ name, bars, values }) => [name, ...bars, ...values]),
      );
    }

    layout(width, height) {
      this.width = width;
      puts(this.svg, { viewBox: `0 0 ${width} ${height}`, width, height });
      this.each = (height - 24) / this.rows.length;
    }

    show(cpus, point, state) {
      put(this.svg, "class", `profiles ${state}`);
      const { other, functions_shown: most } = this.data,
        shares = SIDES.map((side) => Object.fromEntries(point[side].shares)),
        share = (i, name) => shares[i][name] ?? 0,
        top = (name) => Math.max(share(0, name), share(1, name));
      const names = [...new Set(shares.flatMap((column) => Object.keys(column)))].filter((name) => name !== other);
      names.sort((a, b) => top(b) - top(a));
      const shown = [...names.slice(0, most), other],
        scale = (this.width - 62) / Math.max(1, ...names.map(top));
      put(this.title, "text", `Percent of all CPU time with ${count(cpus, "CPU")}`);
      this.rows.forEach(({ name, bars, values }, n) => {
        const called = shown[n],
          y = 24 + n * this.each;
        [name, ...bars, ...values].forEach((el) => put(el, "hidden", !called));
        if (!called) return;
        const rest = called === other;
        puts(name, { x: 0, y: (y + 12).toFixed(1), text: rest ? `${called}:` : called });
        SIDES.forEach((_, i) => {
          const wide = rest ? 0 : share(i, called) * scale,
            low = y + 18 + i * 13;
          puts(bars[i], { x: 0, y: low.toFixed(1), width: wide.toFixed(1), hidden: rest || wide < 0.5 });
          const told = fixed(share(i, called), 2);
          puts(
            values[i],
            rest
              ? { x: i * 120, y: (y + 31).toFixed(1), text: `${SIDES[i]} ${told}` }
              : { x: (wide + 6).toFixed(1), y: (low + 10.5).toFixed(1), text: told },
          );
        });
      });
      put(
        this.svg,
        "aria-label",
        `Bars, percent of all CPU time with ${count(cpus, "CPU")}, before and after: ${shown
          .map((called) => `${called} ${fixed(share(0, called), 2)} and ${fixed(share(1, called), 2)}`)
          .join("; ")}.`,
      );
    }
  }

  /** Stripes for what was before: never colour alone. */
  function hatch(id) {
    const pattern = document.createElementNS("http://www.w3.org/2000/svg", "pattern");
    for (const [key, value] of Object.entries({ id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }))
      pattern.setAttribute(key, value);
    pattern.append(make("rect", { width: 6, height: 6, class: "hatch-ground" }), make("rect", { width: 3, height: 6, class: "hatch-line" }));
    return pattern;
  }

  function gain(words, before, after) {
    if (!before) return after ? words["from none"] : words["as many"];
    const ratio = after / before;
    if (Math.abs(ratio - 1) < 0.005) return words["as many"];
    return fill(words.times, { ratio: fixed(ratio, 2).replace(/\.?0+$/, "") });
  }

  /** `contention_words` of labs/contention.py. */
  function contentionWords(words, { cpus, depth }, point) {
    const crowd = ([line, exactly]) => {
      if (!exactly) return line;
      const there = Number(fixed(exactly, 2));
      return fill(there ? words.crowd : words.idle, { line, there: `${number(there)} CPU${there === 1 ? "" : "s"}` });
    };
    return fill(words.told, {
      cpus: count(cpus, "CPU"),
      depth,
      before: number(point.before.throughput),
      after: number(point.after.throughput),
      gain: gain(words, point.before.throughput, point.after.throughput),
      busiest_before: crowd(point.before.busiest),
      busiest_after: crowd(point.after.busiest),
    });
  }

  /** The sentence of `throughput_over` of figures/contention.py: a peak is told if it stands clear of the end. */
  function curveWords({ words, curve: places }, curve) {
    const lines = SIDES.map((label) => {
      const values = curve[label].map(({ throughput }) => throughput),
        last = values.at(-1),
        high = values.indexOf(Math.max(...values));
      const told = fill(words.curve, { label, first: number(values[0]), last: number(last) });
      if (high === 0 || high === values.length - 1 || values[high] <= 1.02 * last) return told;
      return fill(words.peak, { curve: told, high: number(values[high]), place: places[high] });
    });
    return fill(words.picture, { lines: lines.join("; ") });
  }

  async function ContentionLab(context) {
    const { data, lab, ask } = context,
      source = lab ? new Simulations(lab, data) : new Questions(ask);
    await source.ready();
    let point = null, // the last one that was simulated to its end
      pointOf = null,
      last = null, // the last one of which there is something: {answer, of: its settings, over: whether that is all}
      curve = null,
      curveOf = "",
      arrived = () => {};
    const { low, most } = data,
      rules = {
        cpus: wholeRule(low.cpus, most.cpus),
        depth: wholeRule(low.depth, most.depth),
        traffic: oneOfRule(Object.keys(data.traffics)),
        counter_layout: oneOfRule(Object.keys(data.layouts)),
        think_ns: wholeRule(low.think_ns, most.think_ns),
      };
    const { act, scale, choice } = controlsOf(context, rules, () => board);
    const thinks = [1, 10, 100].flatMap((tens) => [500, 600, 700, 800, 1000, 1200, 1500, 2000, 2500, 3000, 4000].map((n) => n * tens));
    const controls = {
      cpus: scale("cpus", "CPUs"),
      depth: scale("depth", "Levels below the root"),
      think_ns: scale("think_ns", "Think time, ns", {
        steps: [...new Set([...thinks, low.think_ns, most.think_ns])].filter((n) => n >= low.think_ns && n <= most.think_ns).sort((a, b) => a - b),
        unit: " ns",
      }),
      traffic: choice("traffic", "Traffic", Object.keys(data.traffics)),
      counter_layout: choice("counter_layout", "Layout", Object.keys(data.layouts)),
    };
    const chart = new Throughput(data, act("cpus")),
      profiles = new Profiles(data);
    const plot = make("div", { class: "plot" }, chart.svg),
      beside = make("div", { class: "plot after" }, profiles.svg),
      body = make("div", { class: "beside" }, plot, beside);
    const board = frame(context, {
      title: "Throughput over CPUs, before and after the patch",
      rules,
      controls,
      bars: [
        [controls.cpus.root, controls.depth.root, controls.think_ns.root],
        [controls.traffic.root, controls.counter_layout.root],
      ],
      body,
      move() {
        const done = compute();
        show();
        return done;
      },
      fit(narrow) {
        chart.top = 0;
        chart.layout(Math.max(240, plot.clientWidth), narrow ? 280 : 322);
        profiles.layout(Math.max(240, beside.clientWidth), narrow ? 344 : 326);
        show();
      },
      recognise: {
        gain() {
          const [before, after] = SIDES.map((side) => point[side].throughput);
          return after > 10 * before && { cpus: count(pointOf.cpus, "CPU"), gain: gain(data.words, before, after) };
        },
        wall() {
          const [line, there] = point.after.busiest;
          return line === "memory_allocated" && there > 100 && { there: number(Math.round(there)) };
        },
        commit() {
          const share = Object.fromEntries(point.before.shares)[data.fitted] ?? 0;
          return Math.abs(share - data.published) < 0.05 && { share: fixed(share, 2), cpus: count(pointOf.cpus, "CPU"), think: number(pointOf.think_ns) };
        },
      },
      table: () => {
        const rows = [
          ["operations in a microsecond", ...SIDES.map((side) => number(point[side].throughput, 4))],
          ["waiting for lines, percent of all CPU time", ...SIDES.map((side) => fixed(point[side].stalled, 2))],
          ["CPUs at the busiest line", ...SIDES.map((side) => fixed(point[side].busiest[1], 2))],
        ];
        const shares = SIDES.map((side) => Object.fromEntries(point[side].shares));
        for (const called of new Set(shares.flatMap((column) => Object.keys(column))))
          rows.push([`${called}, percent`, ...shares.map((column) => fixed(column[called] ?? 0, 2))]);
        return { head: [`with ${count(pointOf.cpus, "CPU")}`, ...SIDES], rows };
      },
    });
    const { settings, stats } = board,
      shape = (of = settings) => packed({ ...of, cpus: "" });
    source.stats = Object.assign(stats, { slices: 0 });

    /** What is known: the chosen point, what of its simulation is done, or the one before; and so the curve. */
    function show() {
      const state = !last?.over ? "rough" : Object.keys(settings).some((key) => last.of[key] !== settings[key]) ? "stale" : "";
      chart.show(curve, curveOf !== shape(), settings.cpus, last?.answer, last?.of.cpus, state);
      if (last) profiles.show(last.of.cpus, last.answer, state);
    }
    /** A promise that is kept when the curve stands, or when another move has taken its place. */
    function compute() {
      arrived();
      return new Promise((done) => {
        arrived = done;
        source.ask(settings, {
          sofar(answer, of) {
            last = { answer, of, over: false };
            show();
          },
          point(answer, of) {
            point = answer;
            pointOf = of;
            last = { answer, of, over: true };
            show();
            board.say(contentionWords(data.words, pointOf, point));
          },
          curve(answer, of) {
            curve = answer;
            curveOf = shape(of);
            put(chart.svg, "aria-label", curveWords(data, curve));
            show();
            done();
          },
          failed(error) {
            board.refuse(error.message);
            done();
          },
        });
      });
    }
    const own = {
      source,
      get point() {
        return point;
      },
      get pointOf() {
        return pointOf;
      },
      get last() {
        return last;
      },
      get curve() {
        return curveOf === shape() ? curve : null;
      },
    };
    return board.begin(own, () => source.close());
  }

  // ---------------------------------------------------------------------------------------------- 5 ProfileLab
  /** `sentence` of labs/profile.py. */
  function profileWords({ words, rows, all }, marked) {
    const counted = count(rows.length, "row"),
      share = sum(marked.map((k) => rows[k][1]));
    if (!marked.length) return fill(words.none, { rows: counted, listed: fixed(sum(rows.map(([, percent]) => percent)), 2) });
    const told = fill(words.marked, { marked: number(marked.length), rows: counted, share: fixed(share, 2) });
    if (share >= all) return `${told} ${words.all}`;
    return `${told} ${fill(words.bound, { whose: marked.length === 1 ? "its" : "their", factor: fixed(100 / (100 - share), 3) })}`;
  }

  /** Rows of a listing: in a link with points between them. */
  function rowsRule(shown) {
    const row = wholeRule(0, shown - 1);
    return {
      read: (text) => (text === "" ? [] : text.split(".").map(row.read)),
      write: (rows) => rows.join("."),
      fits: (rows) => Array.isArray(rows) && rows.every(row.fits) && new Set(rows).size === rows.length,
      must: `rows from 0 to ${shown - 1}, each once`,
    };
  }

  async function ProfileLab(context) {
    const { data } = context,
      { rows, shown, words, all } = data,
      listed = sum(rows.map(([, percent]) => percent)),
      widest = Math.max(0.01, ...rows.slice(0, shown).map(([, percent]) => percent));
    let marked = [];
    const lines = rows.slice(0, shown).map(([symbol, percent], k) => {
      const box = make("input", {
          type: "checkbox",
          onchange: () => board.set({ marked: lines.map(({ box: b }, i) => (b.checked ? i : -1)).filter((i) => i >= 0) }),
          onkeydown: (e) => {
            const to = { ArrowDown: k + 1, ArrowUp: k - 1 }[e.key];
            if (to === undefined || !lines[to]) return;
            e.preventDefault();
            e.stopPropagation();
            lines[to].box.focus();
          },
        }),
        grown = make("span", { class: "grown" }),
        bar = make("i", { style: `width:${((100 * percent) / widest).toFixed(2)}%` });
      const root = make(
        "label",
        { class: "line" },
        box,
        make("span", { class: "symbol" }, symbol),
        make("span", { class: "room", "aria-hidden": "true" }, bar),
        make("span", { class: "percent" }, fixed(percent, 2)),
        grown,
      );
      return { root, box, grown };
    });
    const parts = ["marked", "listed, not marked", "not listed"].map((called, n) => ({
      called,
      bar: make("i", { class: `part${n}` }),
    }));
    const told = make("p", { class: "told" });
    const columns = shown > 18 ? 2 : 1,
      head = () =>
        make("div", { class: "line heads", "aria-hidden": "true" }, make("span", {}, "mark"), make("span", {}, "symbol"), make("span", {}, "percent of all samples"), make("span", {}, "now"), make("span", {}, "without the marked"));
    const each = Math.ceil(shown / columns);
    const body = make(
      "div",
      {},
      make("div", { class: "all", "aria-hidden": "true" }, ...parts.map(({ bar }) => bar)),
      told,
      make(
        "div",
        { class: `listing of${columns}`, role: "group", "aria-label": "Rows of the profile" },
        ...Array.from({ length: columns }, (_, c) =>
          make("div", {}, head(), ...lines.slice(c * each, (c + 1) * each).map(({ root }) => root)),
        ),
      ),
    );
    const button = (label, act) => make("button", { type: "button", onclick: act }, label);
    const board = frame(context, {
      title: "A profile whose rows can be marked",
      rules: { marked: rowsRule(shown) },
      bars: [
        [
          button("Mark none", () => board.set({ marked: [] })),
          button("Mark all", () => board.set({ marked: lines.map((_, k) => k) })),
          make("span", { class: "soft" }, "Tab or the arrow keys go from row to row, the space bar marks."),
        ],
      ],
      body,
      move,
      recognise: {
        bound() {
          const share = sum(marked.map((k) => rows[k][1]));
          return share < all && 100 / (100 - share) >= 1.1 && { rows: count(marked.length, "row"), factor: fixed(100 / (100 - share), 3) };
        },
        one: () => marked.length === 1 && rows[marked[0]][1] === widest && { symbol: rows[marked[0]][0], factor: fixed(100 / (100 - widest), 3) },
        locks() {
          const locks = rows.map(([symbol], k) => (symbol.includes("spin_lock") ? k : -1)).filter((k) => k >= 0);
          return String(marked) === String(locks) && { share: fixed(sum(marked.map((k) => rows[k][1])), 2) };
        },
      },
      python: () => {
        const names = marked.map((k) => (rows.filter(([symbol]) => symbol === rows[k][0]).length === 1 ? `'${rows[k][0]}'` : k));
        return `ProfileLab(${data.own ? "profile=profile, " : ""}marked=[${names.join(", ")}])`;
      },
      table: () => ({
        head: ["row", "symbol", "percent", "marked", "percent without the marked"],
        rows: rows.map(([symbol, percent], k) => [k + 1, symbol, fixed(percent, 2), marked.includes(k) ? "yes" : "no", grownOf(k)]),
      }),
    });
    function grownOf(k) {
      const share = sum(marked.map((m) => rows[m][1]));
      return marked.includes(k) ? words.gone : share >= all ? "-" : fixed((rows[k][1] * 100) / (100 - share), 2);
    }
    function show() {
      const share = sum(marked.map((k) => rows[k][1]));
      lines.forEach(({ root, box, grown }, k) => {
        const on = marked.includes(k);
        if (box.checked !== on) box.checked = on;
        put(root, "class", on ? "line on" : "line");
        put(grown, "text", grownOf(k));
      });
      const shares = [share, Math.max(0, listed - share), Math.max(0, 100 - listed)];
      parts.forEach(({ bar }, n) => put(bar, "style", `width:${shares[n].toFixed(3)}%`));
      put(told, "text", `All samples: ${parts.map(({ called }, n) => `${called} ${fixed(shares[n], 2)} %`).join("; ")}.`);
      board.say(profileWords(data, marked));
    }
    function move() {
      marked = board.settings.marked = [...board.settings.marked].sort((a, b) => a - b);
      show();
    }
    const own = {
      get marked() {
        return marked;
      },
    };
    return board.begin(own);
  }

  // ------------------------------------------------------------------------------------------------- 6 CostLab
  /** The answers of a page without Python: for some values of each setting. */
  class Grid {
    constructor({ values, answers }) {
      Object.assign(this, { values, answers });
    }
    async ask(settings) {
      let at = 0;
      for (const [name, allowed] of Object.entries(this.values)) at = at * allowed.length + allowed.indexOf(settings[name]);
      return this.answers[at];
    }
  }

  /** `cost_words` of labs/cost.py. */
  function costWords({ words, fitted, predicted }, { levels, meeting }, answer) {
    const rows = answer.rows
      .filter(([symbol]) => predicted.includes(symbol))
      .map(([symbol, before, after, reading]) => fill(words.row, { symbol, before, after, reading }));
    const [, model] = answer.rows.find(([symbol]) => symbol === fitted);
    return fill(words.told, { ...answer, fitted, model, counters: count(levels, "counter"), meeting, rows: rows.join("; ") });
  }

  async function CostLab(context) {
    const { data, ask } = context,
      grid = data.grid && new Grid(data.grid),
      { settings: first } = context,
      rules = Object.fromEntries(
        Object.keys(first).map((key) => [
          key,
          data.lists[key] ? oneOfRule(data.lists[key]) : grid ? oneOfRule(grid.values[key]) : wholeRule(data.low[key], data.most[key]),
        ]),
      );
    let answer = null,
      answerOf = null,
      asked = 0;
    const { scale, choice } = controlsOf(context, rules, () => board),
      stops = (key, label, unit = "") => scale(key, label, { steps: grid?.values[key], unit }),
      one = (key, label) => choice(key, label, data.lists[key]);
    const controls = {
      packages: one("packages", "Machine"),
      meeting: one("meeting", "A CPU charges and gives back"),
      walks: one("walks", "After giving back"),
      same_ns: stops("same_ns", "Way of a line in a package, ns", " ns"),
      cross_ns: stops("cross_ns", "To the other package, ns", " ns"),
      local_ns: stops("local_ns", "Atomic on an own line, ns", " ns"),
      levels: stops("levels", "Counters up to the root"),
    };
    const picture = new Listings(data),
      plot = make("div", { class: "plot" }, picture.svg);
    const board = frame(context, {
      title: "The published listing beside that of a machine you choose",
      rules,
      controls,
      bars: [
        [controls.packages.root, controls.meeting.root, controls.walks.root],
        [controls.same_ns.root, controls.cross_ns.root],
        [controls.local_ns.root, controls.levels.root],
      ],
      body: plot,
      move() {
        controls.cross_ns.disable(settings.packages === data.lists.packages[0] && data.words["one package"]);
        return compute();
      },
      fit(narrow) {
        picture.layout(Math.max(240, plot.clientWidth), narrow, board.root.classList.contains("medium"));
        if (answer) picture.show(answer);
      },
      recognise: {
        all: () => answer && readings().every((reading) => /(^|then )explained$/.test(reading)) && told(),
        only: () => answer && readings().every((reading) => reading === "fitted, then explained" || reading === "not explained") && told(),
        refused: () => refused && { why: refused },
      },
      table: () => ({
        head: ["function", "published before", "model before", "published after", "model after", "reading"],
        rows: (answer?.rows ?? []).map(([symbol, before, after, reading]) => {
          const [published, then] = data.published[symbol].map((share) => (share === null ? "not listed" : fixed(share, 2)));
          return [symbol, published, before, then, after, reading];
        }),
      }),
    });
    const { settings } = board;
    board.root.classList.add("long");
    const readings = () => answer.rows.map((row) => row[3]),
      told = () => ({ counters: count(answerOf.levels, "counter"), cpus: answer.cpus, meeting: answerOf.meeting });
    let refused = "";
    async function compute() {
      const mine = ++asked,
        now = { ...settings };
      try {
        const found = await (grid ? grid.ask(now) : ask({ ask: "fit", ...now }));
        if (mine !== asked) return;
        refused = found.refused ?? "";
        if (refused) return board.say(`${refused} The bars still show the last machine that has one.`);
        answer = found;
        answerOf = now;
        picture.show(answer);
        board.say(costWords(data, answerOf, answer));
      } catch (error) {
        if (mine === asked) board.refuse(error.message);
      }
    }
    const own = {
      get answer() {
        return answer;
      },
    };
    return board.begin(own);
  }

  /** Published and simulated shares of the modelled functions, before and after beside each other. */
  class Listings {
    constructor(data) {
      const id = `hatch-${made++}`;
      this.data = data;
      this.symbols = Object.keys(data.published);
      this.heads = SIDES.map((side) => make("text", { class: "soft", y: 15 }, `${side} the patch, percent of samples`));
      this.floors = SIDES.map(() => make("path", { class: "floor" }));
      this.floorNames = SIDES.map(() => make("text", { class: "soft" }));
      this.rows = this.symbols.map((symbol) => ({
        name: make("text", { class: "strong" }, symbol),
        reading: make("text", { class: "soft" }),
        bars: SIDES.flatMap((_, i) => [
          make("rect", { class: "published", height: 13 }),
          make("rect", { class: `share m${i}`, height: 13, fill: i ? null : `url(#${id})` }),
        ]),
        told: SIDES.flatMap((_, i) => [make("text", { class: "soft" }), make("text", { class: `label m${i}` })]),
      }));
      this.svg = make(
        "svg",
        { class: "profiles", role: "img" },
        hatch(id),
        ...this.heads,
        ...this.rows.flatMap(({ name, reading, bars, told }) => [name, reading, ...bars, ...told]),
        ...this.floors,
        ...this.floorNames,
      );
    }

    /** Side by side; on a phone the four bars of a function below each other, before and after. */
    layout(width, narrow, medium) {
      Object.assign(this, { narrow, each: narrow ? 84 : medium ? 54 : 58, wide: narrow ? width : (width - 30) / 2 });
      this.height = 24 + this.rows.length * this.each + 22;
      puts(this.svg, { viewBox: `0 0 ${width} ${this.height}`, width, height: this.height });
    }
    left(i) {
      return this.narrow ? 0 : i * (this.wide + 30);
    }

    show(answer) {
      const { published, floors } = this.data,
        found = Object.fromEntries(answer.rows.map((row) => [row[0], row])),
        scale = (this.wide - 130) / 4.5; // percent; a longer bar is cut, and says so
      const beyond = (i) => (this.narrow ? 18 + 32 * i : 18); // where the bars of a side begin in a row
      this.heads.forEach((el, i) =>
        puts(el, { x: this.left(i), y: 15, hidden: this.narrow && i === 1, text: this.narrow ? "percent of samples; striped before, plain after" : `${SIDES[i]} the patch, percent of samples` }),
      );
      SIDES.forEach((side, i) => {
        const x = this.left(i) + floors[side] * scale,
          pieces = this.rows.map((_, n) => `M${x.toFixed(1)} ${24 + n * this.each + beyond(i) - 2}v${this.narrow ? 32 : 36}`); // not through the names
        put(this.floors[i], "d", pieces.join(""));
        const told = this.narrow ? `lowest listed rows, ${SIDES.map((which) => floors[which]).join(" and ")}` : `lowest listed row, ${floors[side]}`;
        puts(this.floorNames[i], { x: this.narrow ? 0 : (x + 4).toFixed(1), y: this.height - 6, text: told, hidden: this.narrow && i === 1 });
      });
      this.rows.forEach(({ name, reading, bars, told }, n) => {
        const symbol = this.symbols[n],
          row = found[symbol],
          y = 24 + n * this.each;
        puts(name, { x: this.left(0), y: y + 12 });
        puts(reading, {
          x: this.narrow ? this.wide : this.left(1),
          y: y + 12,
          "text-anchor": this.narrow ? "end" : "start",
          text: row ? (this.narrow ? row[3] : `${symbol}: ${row[3]}`) : "",
        });
        SIDES.forEach((side, i) => {
          const says = published[symbol][i],
            model = row ? Number(row[1 + i]) : 0,
            edge = floors[side] * scale;
          [says ?? 0, model].forEach((percent, k) => {
            const long = Math.min(percent, 4.5) * scale,
              low = y + beyond(i) + k * 16;
            puts(bars[2 * i + k], { x: this.left(i), y: low, width: long.toFixed(1), hidden: long < 0.5 });
            const text = k ? `${row ? row[1 + i] : "0.00"} model${percent > 4.5 ? " (bar cut)" : ""}` : says === null ? `< ${floors[side]} published` : `${fixed(says, 2)} published`;
            puts(told[2 * i + k], { x: (this.left(i) + Math.max(long, edge) + 6).toFixed(1), y: low + 12, text });
          });
        });
      });
      const words = answer.rows.map(([symbol, before, after]) => `${symbol} ${before} before and ${after} after`).join("; ");
      put(this.svg, "aria-label", `Two panels of paired bars, published and simulated percent of samples, before and after the patch. The simulation says: ${words}.`);
    }
  }

  // ---------------------------------------------------------------------------------------------- 7 MeasureLab
  const AGAIN = 600; // ms between two questions how far it is: each takes a little of what is measured

  async function MeasureLab(context) {
    const { data, ask } = context,
      rules = { seconds: wholeRule(data.low, data.most) };
    let now = data.now,
      waiting = 0;
    const gains = []; // of the reader's own measurements, in their order
    const seconds = controlsOf(context, rules, () => board).scale("seconds", "Seconds");
    const start = make("button", { type: "button", class: "main", onclick: () => press(now.running ? "stop" : "start") }, "Start"),
      bar = make("progress", { max: 1, value: 0, "aria-label": "How far the measurement is" });
    const picture = new Pairs(),
      plot = make("div", { class: "plot" }, picture.svg);
    const board = frame(ask ? context : { ...context, data: { ...data, quests: [] } }, {
      title: "Measure the CPU this runs on",
      rules,
      controls: { seconds },
      bars: [ask ? [seconds.root, start, bar] : [make("span", {}, data.words["no python"])]],
      body: plot,
      move: () => board.say(now.sentence),
      fit() {
        picture.layout(Math.max(240, plot.clientWidth));
        picture.show(now);
      },
      recognise: {
        own: () => gains.length > 0 && { gain: number(gains.at(-1), 2) },
        levels() {
          const medians = now.bars.filter(([threads]) => threads === 1).map(([, , before]) => before);
          return gains.length > 0 && medians.length > 1 && medians.every((ns, k) => ns !== null && (!k || ns > medians[k - 1])) && { medians: medians.map((ns) => number(ns, 3)).join(", ") };
        },
        again() {
          const [last, then] = [gains.at(-1), gains.at(-2)];
          return gains.length > 1 && Math.abs(last - then) <= 0.1 * Math.max(last, then) && { first: number(then, 3), second: number(last, 3) };
        },
      },
      table: () => ({ head: now.head, rows: now.rows }),
    });
    board.root.classList.add("measuring");
    function show() {
      put(start, "text", now.running ? "Stop" : "Start"); // one button: the focus stays where it is
      puts(bar, { max: Math.max(now.total, 1), value: now.done });
      if (now.mine > gains.length && now.gain !== null) gains[now.mine - 1] = now.gain;
      picture.show(now);
      board.say(now.sentence);
    }
    async function press(what) {
      clearTimeout(waiting);
      try {
        now = { ...now, ...(await ask({ ask: what, seconds: board.settings.seconds })) };
        show();
      } catch (error) {
        board.refuse(error.message);
      }
      if (now.running) waiting = setTimeout(() => press("progress"), AGAIN);
    }
    const handle = await board.begin({}, () => clearTimeout(waiting));
    show();
    if (now.running) press("progress");
    return handle;
  }

  /** Nanoseconds of a pair by depth, before and after, one panel for each number of threads; logarithmic. */
  class Pairs {
    constructor() {
      this.id = `hatch-${made++}`;
      this.svg = make("svg", { class: "profiles", role: "img" });
    }
    layout(width) {
      this.width = width;
    }
    show({ bars, alt }) {
      const threads = [...new Set(bars.map(([n]) => n))],
        narrow = this.width < 600,
        gap = 30,
        wide = narrow ? this.width - 50 : (this.width - 50 - gap * (threads.length - 1)) / threads.length,
        high = 290,
        block = high + (narrow ? 74 : 56);
      const top = Math.max(...bars.flatMap(([, , before, after]) => [before ?? 0, after ?? 0])) * 3,
        low = 0.3,
        y = (ns, n) => n * block + 24 + high * (1 - Math.log(Math.max(ns, low) / low) / Math.log(top / low));
      const total = narrow ? threads.length * block : block;
      puts(this.svg, { viewBox: `0 0 ${this.width} ${total}`, width: this.width, height: total });
      if (alt) put(this.svg, "aria-label", alt);
      const parts = [];
      threads.forEach((n, panel) => {
        const x0 = 50 + (narrow ? 0 : panel * (wide + gap)),
          down = narrow ? panel : 0,
          own = bars.filter(([of]) => of === n),
          each = wide / own.length,
          thick = Math.min(46, each * 0.36);
        for (const tick of [1, 10, 100, 1000, 10000].filter((ns) => ns < top)) {
          parts.push(make("path", { class: "rule", d: `M${x0} ${y(tick, down).toFixed(1)}h${wide.toFixed(1)}` }));
          if (!panel || narrow) parts.push(make("text", { class: "soft", x: x0 - 6, y: (y(tick, down) + 5).toFixed(1), "text-anchor": "end" }, number(tick)));
        }
        parts.push(make("text", { class: "soft", x: narrow ? 0 : x0, y: down * block + 15 }, `ns for a pair (logarithmic), ${count(n, "thread")}`));
        own.forEach(([, depth, ...pair], k) => {
          const middle = x0 + each * (k + 0.5);
          pair.forEach((ns, i) => {
            if (ns === null) return;
            const x = middle + (i ? 2 : -thick - 2),
              up = y(ns, down);
            parts.push(
              make("rect", { class: `share m${i}`, x: x.toFixed(1), y: up.toFixed(1), width: thick.toFixed(1), height: (y(low, down) - up).toFixed(1), fill: i ? null : `url(#${this.id})` }),
              make("text", { class: `label m${i}`, x: (x + thick / 2).toFixed(1), y: (up - 5).toFixed(1), "text-anchor": "middle" }, ns < 10 ? fixed(ns, 2) : fixed(ns, 0)),
            );
          });
          parts.push(make("text", { class: "soft", x: middle.toFixed(1), y: (y(low, down) + 18).toFixed(1), "text-anchor": "middle" }, String(depth)));
        });
        parts.push(make("text", { class: "soft", x: (narrow ? this.width / 2 : x0 + wide / 2).toFixed(1), y: (y(low, down) + 35).toFixed(1), "text-anchor": "middle" }, narrow && this.width < 300 ? "levels; striped before, plain after" : "levels below the root; striped before, plain after"));
      });
      this.svg.replaceChildren(hatch(this.id), ...parts);
    }
  }

/** How wide a lab is, as a class: pictures below each other, or longer lines of text. True below each other. */
  function sized(root) {
    const narrow = root.clientWidth < 640;
    root.classList.toggle("narrow", narrow);
    root.classList.toggle("medium", !narrow && root.clientWidth < 1000);
    return narrow;
  }

  return { labs: { ContentionLab, ProfileLab, CostLab, MeasureLab }, number, fixed, frame, sized };
})();
