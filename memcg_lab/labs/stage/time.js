/* time.js: all CPUs at once, in simulated nanoseconds. It stands after stage.js and takes make, put, puts, fill, count, listed,
 * wide, Reader, copyState, sameState and operationText from there.
 *
 * The machine's kernel says when each operation begins and what each CPU wants of a line: asked for, on its way, here, let
 * go. An operation changes the state when it begins; the states are followed along the step log of the same operations in
 * the order of their beginnings, and the last one is compared with what the machine's kernel has in its own memory.
 */
const PS_A_NS = 1000;
const wholeNs = (ps) => Math.ceil(ps / PS_A_NS);
/** What a system may have from the start, for nobody to give back what is not there: it is left out of what is shown. */
const IN_FLIGHT_FIELDS = ["counter.count", "counter.watermark", "memcg.css", "memcg.held", "memcg.sock_held", "sock"];
const EACH = 16; // operations between two states that are kept

/** The last place of a rising list whose value is not more than x; -1 = none. */
function lastUntil(values, x) {
  let low = 0,
    high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** What one machine did, from its kernel's events: of what each CPU does, and of the state, any moment. */
class AtOnce {
  /** events: that an operation begins stands before what it touches; logOf(ops): the step log of operations in this order. */
  constructor(data, tree, i, ops, { start, end, events, logOf }) {
    const { RMW, STORE, BEGIN } = data.once.kinds,
      [who, at, line, kind, time, from, to] = ["cpu", "op", "line", "kind", "time", "start", "end"].map((name) => events.column(name)),
      programs = Array.from({ length: tree.cpus }, () => []),
      place = programs.map(() => []), // of each CPU's operations, in the order in which all began
      ownTime = [];
    for (const op of ops) programs[op[1]].push(op);
    Object.assign(this, { data, tree, i, start, begins: [], over: [], ops: [], travel: 0 });
    this.lanes = programs.map(() => ({ asked: [], begin: [], here: [], end: [], line: [] }));
    this.lines = tree.parents.map(() => ({ came: [], set: [], cpu: [] })); // of each counter, who takes it from when on
    this.waits = new Array(1 + tree.parents.length).fill(0);
    for (let n = 0; n < events.length; n++) {
      const cpu = who[n];
      if (kind[n] === BEGIN) {
        place[cpu][at[n]] = this.ops.length;
        this.ops.push(programs[cpu][at[n]]);
        this.begins.push(time[n]);
        this.over.push(time[n]);
        ownTime.push(to[n] - from[n]);
        continue;
      }
      const here = to[n] - (kind[n] === RMW ? data.once.local_ps : 0),
        k = place[cpu][at[n]],
        counter = this.lines[line[n] - 1];
      if (to[n] > this.over[k]) this.over[k] = to[n];
      if (counter && kind[n] === RMW) {
        counter.set.push(from[n]);
        counter.came.push(here);
        counter.cpu.push(cpu);
      }
      if (kind[n] === STORE) continue; // its CPU does not wait for it
      const lane = this.lanes[cpu];
      lane.asked.push(time[n]);
      lane.begin.push(from[n]);
      lane.here.push(here);
      lane.end.push(to[n]);
      lane.line.push(line[n]);
      this.waits[line[n]] += from[n] - time[n];
      this.travel += here - from[n];
    }
    this.ends = new Array(tree.cpus).fill(0);
    this.own = programs.map(() => ({ from: [], to: [] })); // steps on lines of this CPU alone come last
    for (let k = 0; k < this.over.length; k++) {
      const last = this.over[k],
        cpu = this.ops[k][1];
      this.over[k] = last + ownTime[k];
      this.own[cpu].from.push(last);
      this.own[cpu].to.push(this.over[k]);
      this.ends[cpu] = this.over[k];
    }
    this.end = Math.max(...this.ends);
    this.sortedOver = Float64Array.from(this.over).sort();
    // The states, one of every so many; then the one after all, which the machine has in its memory as well.
    this.reader = new Reader(data, logOf(this.ops), this.ops);
    const state = copyState(start),
      noLine = tree.parents.map(() => -1);
    this.kept = [];
    this.jumps = []; // when operations began that the button next to "Step" goes to
    const jump = new Set(JUMPS[data.jump].steps.map((name) => data.forms.codes[name]));
    for (let k = 0; k < this.ops.length; k++) {
      if (k % EACH === 0) this.kept.push(copyState(state));
      this.reader.run(k, state, noLine);
      for (let row = this.reader.edges[k]; row < this.reader.edges[k + 1]; row++) {
        if (!jump.has(this.reader.step(row))) continue;
        this.jumps.push(wholeNs(this.begins[k]));
        break;
      }
    }
    this.agrees = sameState(state, end) && BOOKS.every((name) => state[name].join() === end[name].join());
  }

  /** The kernel's state after k operations, and the same without what was in flight from the start. */
  state(k) {
    if (this.known?.k === k) return this.known;
    const from = Math.min(Math.floor(k / EACH), this.kept.length - 1),
      raw = copyState(from < 0 ? this.start : this.kept[from]),
      noLine = this.tree.parents.map(() => -1);
    for (let n = Math.max(0, from) * EACH; n < k; n++) this.reader.run(n, raw, noLine);
    const state = copyState(raw);
    for (const name of IN_FLIGHT_FIELDS) state[name] = raw[name].map((value, n) => value - this.start[name][n]);
    return (this.known = { k, raw, state });
  }

  began(ps) {
    return lastUntil(this.begins, ps) + 1;
  }
  done(ps) {
    return lastUntil(this.sortedOver, ps) + 1;
  }

  /** What a CPU does at a moment: "waits", "fetches", "works" or "thinks", and on which line (0: the protocol's; -1: its own). */
  doing(cpu, ps) {
    const lane = this.lanes[cpu],
      n = lastUntil(lane.asked, ps),
      own = lastUntil(this.own[cpu].from, ps);
    if (n >= 0 && ps < lane.end[n]) return { what: ps < lane.begin[n] ? "waits" : ps < lane.here[n] ? "fetches" : "works", line: lane.line[n] };
    if (own >= 0 && ps < this.own[cpu].to[own]) return { what: "works", line: -1 };
    return { what: ps >= this.ends[cpu] ? "done" : "thinks", line: -1 };
  }

  /** Everything that a picture shows of a moment. */
  moment(ps) {
    const { tree } = this,
      cpus = Array.from({ length: tree.cpus }, (_, cpu) => this.doing(cpu, ps)),
      waits = tree.parents.map((_, m) => add(cpus.map(({ what, line }) => Number(what === "waits" && line === m + 1)))),
      busy = tree.parents.map((_, m) => cpus.some(({ what, line }) => what === "works" && line === m + 1));
    const hops = [],
      line = this.lines.map(({ came, set, cpu }, m) => {
        const n = lastUntil(came, ps),
          owner = n < 0 ? -1 : cpu[n];
        hops[m] = n + 1 < set.length && set[n + 1] <= ps ? { to: cpu[n + 1], way: (ps - set[n + 1]) / (came[n + 1] - set[n + 1] || 1) } : null;
        return owner;
      });
    return { ...this.state(this.began(ps)), line, rows: [], cpus, moment: { waits, busy, hops } };
  }
}

/** All CPUs at once, on some of the machines: an AtOnce for each; an Error says in a sentence why not. */
async function allAtOnce({ lab, ask, data, tree, shown, ops }) {
  const { once, words } = data;
  if (ops.length > once.longest) throw new Error(fill(words["once long"], { n: ops.length.toLocaleString("en"), most: once.longest.toLocaleString("en") }));
  const k = ops.findIndex(([code]) => code > once.last_op);
  if (k >= 0) throw new Error(fill(words["once only"], { k: (k + 1).toLocaleString("en"), operation: operationText(data, tree, ops[k]), allowed: once.ops.join(", ") }));
  const { parents, cpus, limits, names } = tree;
  if (!lab) {
    const told = await ask({ ask: "at once", tree: { parents, cpus, limits }, ops, machines: shown, names });
    const table = (form, blob) => {
      const bytes = blob.buffer.slice(blob.byteOffset, blob.byteOffset + blob.byteLength);
      return new Table(form, [bytes.byteLength / form.size], bytes);
    };
    return shown.map((i, n) => {
      const [events, log] = told.blobs.slice(2 * n, 2 * n + 2);
      return new AtOnce(data, tree, i, ops, { start: told.starts[n], end: told.ends[n], events: table(once.event, events), logOf: () => table(data.forms.records.step, log) });
    });
  }
  await Promise.all(shown.flatMap((i) => ["events", "steps"].map((kind) => lab.need(kind, data.machines[i].policy))));
  return shown.map((i) => simulated({ lab, data, tree, i, ops }));
}

/** The kernels of this page. */
function simulated({ lab, data, tree, i, ops }) {
  const { once, words } = data,
    { policy } = data.machines[i],
    stream = (list) => lab.ops(list.map(([op, cpu, memcg, nr, ctx]) => ({ op, cpu, memcg, nr, ctx }))),
    system = lab.system({ ...tree, limits: tree.limits ?? undefined, policy }),
    given = stream(ops);
  let machine,
    twin,
    start,
    record = 32 * ops.length + 32;
  for (let rows = Infinity; rows > record; ) {
    if (rows < Infinity) record = rows;
    machine = lab.machine(system, given, { thinkNs: once.think_ns, think: "fixed", topology: once.topology, layout: once.layout, repeat: false, record });
    twin = machine.system.copy();
    start = readState(twin);
    const { reason, cpu } = machine.run(once.duration_ns);
    if (reason) {
      const at = machine.tables.cpu.get(cpu, "at"),
        op = ops.filter((row) => row[1] === cpu)[at];
      throw new Error(fill(words[reason === once.underflow ? "once underflow" : "once steps"], { cpu, k: (at + 1).toLocaleString("en"), operation: operationText(data, tree, op) }));
    }
    rows = machine.tables.events.get(0, "op");
  }
  return new AtOnce(data, tree, i, ops, { start, end: readState(machine.system), events: machine.events(), logOf: (order) => twin.stepThrough(stream(order)).log });
}

/** Every whole ns at which something begins or ends on some machine, rising. */
function momentsOf(runs) {
  const all = new Set([0]);
  for (const run of runs) {
    for (const time of run.begins) all.add(wholeNs(time));
    for (const time of run.over) all.add(wholeNs(time));
    for (const { asked, begin, here, end } of run.lanes) for (const times of [asked, begin, here, end]) for (const time of times) all.add(wholeNs(time));
  }
  return Float64Array.from(all).sort();
}

// --- words: those of at_once.py
const lineName = (data, tree, line) => (line === 0 ? data.words["once protocol"] : tree.names[line - 1]);
const percentOf = (part, total) => (total ? Math.floor((200 * part + total) / (2 * total)) : 0);

/** The moment at the cursor, and what the whole run came to. */
function onceSentence(data, tree, runs, ns) {
  const { words, machines } = data,
    n = runs[0].ops.length,
    told = (value) => value.toLocaleString("en");
  if (!n) return words["once nothing"];
  const parts = [fill(words["once at"], { at: told(ns), end: told(wholeNs(Math.max(...runs.map(({ end }) => end)))) })];
  if (runs.length < 3)
    for (const run of runs) {
      const lines = run.moment(ns * PS_A_NS).cpus.filter(({ what }) => what === "waits").map(({ line }) => line),
        names = listed([...new Set(lines)].sort((a, b) => a - b).map((line) => lineName(data, tree, line))),
        wait = lines.length ? fill(words[lines.length === 1 ? "once wait" : "once waits"], { cpus: lines.length, lines: names }) : words["once none"],
        here = fill(words["once here"], { over: told(run.done(ns * PS_A_NS)), n: told(n), wait });
      parts.push(fill(words[runs.length === 1 ? "one" : "each"], { machines: machines[run.i].name, deed: here }));
    }
  const needs = [],
    shares = [];
  for (const run of runs) {
    const when = runs.length === 1 ? "" : ` ${machines[run.i].when}`,
      percent = percentOf(add(run.waits), add(run.ends)),
      most = run.waits.indexOf(Math.max(...run.waits));
    needs.push(fill(words["once need"], { ns: told(wholeNs(run.end)), when }));
    shares.push(fill(words[percent && runs.length < 3 ? "once share" : "once no share"], { percent, of: shares.length ? "" : words["once of"], when, line: lineName(data, tree, most) }));
  }
  return [...parts, fill(words["once whole"], { needs: listed(needs), shares: listed(shares) })].join(" ");
}

/** More rows for the table below: what the run came to. */
function onceRows(data, tree, runs, ns) {
  const { words } = data,
    row = (name, of, at = {}) => [fill(words[name], at), ...runs.map((run) => of(run).toLocaleString("en"))];
  return [
    row("once began", (run) => run.began(ns * PS_A_NS)),
    row("once over", (run) => run.done(ns * PS_A_NS)),
    row("once end", (run) => wholeNs(run.end)),
    row("once waiting", (run) => percentOf(add(run.waits), add(run.ends))),
    ...runs[0].waits.map((_, line) => row("once of line", (run) => percentOf(run.waits[line], add(run.ends)), { line: lineName(data, tree, line) })),
    row("once travel", (run) => percentOf(run.travel, add(run.ends))),
  ];
}

/** What a CPU does, in a few words. */
function doingText(data, tree, { what, line }) {
  return fill(data.words[`once ${what}${line < 0 ? "" : " line"}`], { line: line < 0 ? "" : lineName(data, tree, line) });
}

// --- the lanes
const BLOCKS = 70; // that have a name in them

class Lanes {
  constructor(data, tree, runs, onMove) {
    const { words } = data,
      narrowest = 16; // px between two lanes from which there is room for words
    Object.assign(this, { data, tree, runs, narrowest, end: wholeNs(Math.max(...runs.map(({ end }) => end))), held: null, from: 0 });
    const busy = Array.from({ length: tree.cpus }, (_, cpu) => cpu).filter((cpu) => runs[0].ops.some((op) => op[1] === cpu));
    this.cpus = busy.length ? busy : [0]; // who has nothing to do has no lane
    this.rows = runs.flatMap(() => this.cpus).map((cpu) => ({ cpu, who: make("text", { class: "soft", "text-anchor": "end" }), told: make("text", { class: "soft" }) }));
    this.groups = runs.map((run) => ({
      run,
      name: make("text", { class: `label m${run.i}` }, data.machines.length > 1 ? data.machines[run.i].short : ""),
      base: make("path", { class: "lane-base" }),
      frames: make("path", { class: `lane-fetch m${run.i}` }),
      hatch: make("path", { class: "lane-wait" }),
      work: make("path", { class: `lane-work m${run.i}` }),
      whole: make("path", { class: `line m${run.i}` }),
    }));
    this.names = Array.from({ length: BLOCKS }, () => make("text", { class: "lane-name", "text-anchor": "middle" }));
    this.axis = make("path", { class: "axis" });
    this.ticks = Array.from({ length: 12 }, () => make("text", { class: "soft", "text-anchor": "middle" }));
    this.unit = make("text", { class: "soft" }, words["once unit"]);
    this.whole = make("text", { class: "soft", "text-anchor": "end" });
    this.frame = make("rect", { class: "lane-window" });
    this.cursor = cursorOf(words["once slider"], [0, this.end]);
    const all = (name) => this.groups.map((group) => group[name]);
    this.svg = make(
      "svg",
      { class: "chart lanes" },
      this.axis,
      ...all("base"),
      ...all("frames"),
      ...all("work"),
      ...all("hatch"),
      ...this.names,
      ...all("name"),
      ...this.rows.flatMap(({ who, told }) => [who, told]),
      ...this.ticks,
      this.unit,
      ...all("whole"),
      this.whole,
      this.frame,
      this.cursor,
    );
    const move = (e) => {
      const box = this.svg.getBoundingClientRect(),
        x = e.clientX - box.left;
      if (this.held === null) this.held = e.clientY - box.top > this.top + this.tall + 22 ? "all" : this.from; // where the hand went down
      const ns = this.held === "all" ? ((x - this.left) / this.width) * this.end : this.held + (x - this.left) / this.scale;
      onMove(Math.max(0, Math.min(this.end, Math.round(ns))));
    };
    draggable(this.svg, this.cursor, move, { end: () => ((this.held = null), onMove(null)) });
  }

  /** room: pixels of height there are; 0 = as many as are needed. */
  layout(width, room) {
    const { cpus, runs, svg } = this,
      { window_ns: window } = this.data.once,
      tight = room > 0 && room < 90, // then the time of the whole run has no axis
      below = tight ? 20 : 42,
      several = this.data.machines.length > 1,
      narrow = width < WIDE,
      head = narrow && several ? 18 : 0,
      gap = runs.length > 1 && !tight ? 5 : 0;
    const pitch = room ? Math.max(3, Math.min(22, Math.floor((room - below - gap * (runs.length - 1)) / this.rows.length))) : 18,
      deep = Math.max(12, cpus.length * pitch), // a group has room for its name
      named = Math.max(0, ...this.groups.map(({ name }) => wide(name.textContent, svg)));
    this.words = pitch >= this.narrowest;
    this.left = (head || !several ? 0 : named + 8) + (this.words && !narrow ? 50 : 16);
    const longest = fill(this.data.words["once fetches line"], { line: this.data.words["once protocol"] }),
      right = this.words && !narrow ? wide(longest, svg, 400) + 16 : 8;
    Object.assign(this, { pitch, top: 2 });
    this.width = Math.max(100, width - this.left - right);
    this.scale = Math.max(0.5, this.width / window);
    let y = this.top;
    this.groups.forEach((group, n) => {
      y += head;
      group.y = y;
      puts(group.name, { x: 0, y: head ? y - 4 : y + deep / 2 + 5 });
      cpus.forEach((cpu, k) => {
        const row = this.rows[n * cpus.length + k],
          at = y + k * pitch;
        row.y = at;
        const ends = !this.words && deep > 30 && (k === 0 || k === cpus.length - 1); // the first and the last alone
        puts(row.who, {
          x: this.left - 5,
          y: ends ? (k ? at + pitch : at + 11) : at + pitch / 2 + 5,
          text: this.words && !narrow ? `CPU ${cpu}` : String(cpu),
          hidden: !this.words && !ends,
        });
        puts(row.told, { x: this.left + this.width + 8, y: at + pitch / 2 + 5, hidden: !this.words || narrow });
      });
      y += deep + gap;
    });
    this.tall = y - gap - this.top;
    const bottom = this.top + this.tall,
      height = bottom + below,
      over = bottom + 24;
    puts(svg, { viewBox: `0 0 ${width} ${height}`, width, height });
    put(this.axis, "d", `M${this.left} ${bottom + 1.5}H${this.left + this.width}${tight ? "" : `M${this.left} ${over + 8}H${this.left + this.width}`}`);
    const thin = Math.min(4, 14 / runs.length);
    this.groups.forEach(({ run, whole, base }, n) => {
      put(whole, "d", tight ? "" : `M${this.left} ${over + 2 + n * thin}H${this.left + (this.width * run.end) / PS_A_NS / Math.max(1, this.end)}`);
      put(base, "d", cpus.map((_, k) => `M${this.left} ${this.rows[n * cpus.length + k].y + pitch / 2}h${this.width}`).join(""));
    });
    puts(this.unit, { x: this.left + this.width, y: bottom + 16, "text-anchor": "end" });
    puts(this.whole, { x: this.left + this.width + (right > 100 ? 100 : 0), y: over + 13, text: `${this.end.toLocaleString("en")} ns`, hidden: tight || right < 100 });
    puts(this.frame, { y: over - 1, height: 17, hidden: tight });
    puts(this.cursor.children[0], { y: 0, height: bottom });
    puts(this.cursor.children[1], { y1: 0, y2: bottom });
    puts(this.cursor.children[2], { cy: 5, r: 5 });
  }

  /** Show a moment: the window comes along where the cursor would leave its middle, unless the hand holds it. */
  move(ns) {
    const span = this.width / this.scale,
      most = Math.max(0, this.end - span);
    if (typeof this.held !== "number") this.from = Math.max(0, Math.min(most, Math.max(ns - span * 0.6, Math.min(ns - span * 0.1, this.from))));
    const { from, left, scale, pitch, width } = this,
      to = from + span,
      x = (ps) => left + Math.max(0, Math.min(width, (ps / PS_A_NS - from) * scale)),
      thick = Math.max(2, pitch - (pitch > 8 ? 4 : 1)),
      inset = (pitch - thick) / 2,
      ps = ns * PS_A_NS,
      gaps = pitch > 8 ? 4 : 3;
    let used = 0;
    const name = (line, a, b, y) => {
      const full = line === 0 ? this.data.words["once short"] : this.tree.names[line - 1],
        text = [full, full.replace(/^level /, "")].find((text) => wide(text, this.svg, 400) + 4 <= b - a);
      if (!text || used === BLOCKS) return;
      puts(this.names[used++], { x: ((a + b) / 2).toFixed(1), y: y + thick / 2 + 5, text, hidden: false });
    };
    this.groups.forEach(({ run, frames, hatch, work, base }, g) => {
      let fetch = "",
        wait = "",
        works = "";
      this.cpus.forEach((cpu, k) => {
        const lane = run.lanes[cpu],
          own = run.own[cpu],
          row = this.rows[g * this.cpus.length + k],
          y = row.y + inset,
          box = (a, b) => (b > a ? `M${a.toFixed(1)} ${y}h${(b - a).toFixed(1)}v${thick}h${(a - b).toFixed(1)}z` : "");
        for (let n = Math.max(0, lastUntil(lane.asked, from * PS_A_NS)); n < lane.asked.length && lane.asked[n] < to * PS_A_NS; n++) {
          const [a, b, c, d] = [lane.asked[n], lane.begin[n], lane.here[n], lane.end[n]].map(x);
          if (b > a) {
            wait += box(a, b);
            for (let at = Math.ceil(a / gaps) * gaps; at < b; at += gaps) wait += `M${at} ${y}v${thick}`;
          }
          fetch += box(b, c);
          works += box(c, d);
          if (this.words && b - a > 12) name(lane.line[n], a, b, y);
          if (this.words && c - b > 8) name(lane.line[n], b, c, y);
        }
        for (let n = Math.max(0, lastUntil(own.from, from * PS_A_NS)); n < own.from.length && own.from[n] < to * PS_A_NS; n++) works += box(x(own.from[n]), x(own.to[n]));
        if (this.words) put(row.told, "text", doingText(this.data, this.tree, run.doing(cpu, ps)));
      });
      put(frames, "d", fetch);
      put(hatch, "d", wait);
      put(work, "d", works);
    });
    for (let n = used; n < (this.named ?? BLOCKS); n++) put(this.names[n], "hidden", true);
    this.named = used;
    const step = [50, 100, 200, 500, 1000].find((step) => step * scale >= 70) ?? 1000,
      first = Math.ceil(from / step);
    this.ticks.forEach((el, n) => {
      const at = (first + n) * step,
        place = left + (at - from) * scale,
        text = at.toLocaleString("en");
      const hidden = at > to || place > left + width - 12 - wide(this.unit.textContent, this.svg, 400) - wide(text, this.svg, 400) / 2;
      puts(el, { hidden, x: place.toFixed(1), y: this.top + this.tall + 16, text });
    });
    const all = width / Math.max(1, this.end);
    puts(this.frame, { x: (left + from * all).toFixed(1), width: Math.max(3, Math.min(span, this.end) * all).toFixed(1) });
    put(this.cursor, "transform", `translate(${(left + (ns - from) * scale).toFixed(1)} 0)`);
    put(this.cursor, "aria-valuenow", Math.floor(ns));
  }
}
