/* stage.js: one machine or two, one traffic, in a picture that moves. The rules run in compiled kernels; this file shows
 * them. What differs from lab to lab stands in its data (labs/staged.py): machines, settings, traffic, chart, quests.
 *
 *   1 states    what a kernel holds, read from its memory or followed along its step log
 *   2 walks     every operation kept, with branches; kernels of this page or Python run them
 *   3 score     step log -> what moves when: times only, no rules
 *   4 picture   draw(node, time) is a pure function of the score: playing, scrubbing and still pictures are one call
 *   5 chart     what the data says, over operations, and the cursor
 *   6 words     sentences from the templates of the data
 *   7 quests    how each is recognised in a log
 *   8 render    controls, keys, the place (renderStage is an entry of LABS in labs.js)
 */

// ---------------------------------------------------------------------------------------------------- 1 states
/** What of a kernel's memory is shown, under the names that the steps give to the fields they change. */
const FIELDS = [
  "counter.count",
  "counter.watermark",
  "counter.failcnt",
  "counter.limit",
  "memcg.css",
  "sock",
  "stock.memcg",
  "stock.nr_pages",
];
const add = (numbers) => numbers.reduce((a, b) => a + b, 0);

/** The state as it stands in a system's arrays: a list of numbers for each field, and the atomics on counters. */
export function readState(system) {
  const { parents, cpus, tables } = system,
    n = parents.length,
    state = {};
  const column = (array, field) => Array.from(tables[array].column(field, 0, array === "counter" ? n : tables[array].length));
  for (const name of FIELDS) state[name] = column(...name.split("."));
  state.sock = parents.map((_, m) => add(Array.from({ length: cpus }, (_, cpu) => state.sock[cpu * n + m])));
  state.atomics = add(["add", "sub", "xchg"].map((kind) => add(column("counter", kind))));
  return state;
}

/** One step of the log executed on a state: the field that the library says this step changes. */
export function follow(words, slots, state, row) {
  const numbers = state[words.steps[row.step].field],
    at = row.slot < 0 ? row.where : row.where * slots + row.slot;
  if (numbers && at < numbers.length) numbers[at] += row.after - row.before;
  if (words.counter_atomic[row.step]) state.atomics++;
}

export function copyState(state) {
  const copy = { atomics: state.atomics };
  for (const name of FIELDS) copy[name] = state[name].slice();
  return copy;
}
export const sameState = (a, b) => a.atomics === b.atomics && FIELDS.every((name) => a[name].every((x, i) => x === b[name][i]));

/** A log as plain rows. */
export function rowsOf(log) {
  const names = Object.keys(log.form.fields),
    columns = names.map((name) => log.column(name)),
    rows = [];
  for (let k = 0; k < log.length; k++) {
    const row = {};
    for (let i = 0; i < names.length; i++) row[names[i]] = columns[i][k];
    rows.push(row);
  }
  return rows;
}

// ----------------------------------------------------------------------------------------------------- 2 walks
/** Where the tree's parts are, and what limits it begins with. */
function treeOf(data, settings) {
  const { depth, cgroups: leaves, cpus, limit, limit_level: limited } = { ...data.fixed, ...settings };
  const parents = Array.from({ length: depth + leaves }, (_, m) => Math.min(m, depth) - 1);
  const names = parents.map((_, m) => (m === 0 ? "root" : m < depth ? `level ${m}` : data.letters[m - depth]));
  const limits = limited === undefined ? null : parents.map((_, m) => (m === limited ? limit : -1));
  return { parents, names, cpus, depth, leaves, limits, first: depth };
}

/* A source runs operations: source.step(node, ops) -> a promise of {steps, refused}. steps: for each operation, for each
 * machine {rows: its part of the step log, memory: the state as the machine holds it, or null, ...}. refused: what the
 * kernel did not take, {reason, allowed}; the operations before it have run. step(null, []) gives where all begins as
 * `start`. */

/** The compiled kernels in this page. */
class Kernels {
  constructor(lab, data, tree) {
    Object.assign(this, { lab, data, tree });
  }

  async step(node, ops) {
    const { lab, data, tree } = this;
    if (!this.systems) {
      await Promise.all(data.machines.map(({ policy }) => lab.need("steps", policy)));
      this.systems = data.machines.map(({ policy }) => lab.system({ ...tree, limits: tree.limits ?? undefined, policy }));
    }
    if (!node) return { steps: [], start: this.systems.map((system) => ({ saved: system.save(), memory: readState(system) })) };
    const steps = [];
    let before = node.m;
    for (const [op, cpu, memcg, nr, ctx] of ops) {
      const one = lab.ops([{ op, cpu, memcg, nr, ctx }]),
        after = [];
      for (const [i, system] of this.systems.entries()) {
        system.restore(before[i].saved);
        const { reason, allowed, log } = system.stepThrough(one);
        if (reason !== 0) return { steps, refused: { reason, allowed } };
        after.push({ rows: rowsOf(log), saved: system.save(), memory: readState(system) });
      }
      steps.push(after);
      before = after;
    }
    return { steps };
  }
}

/** Python, asked: it runs the whole walk and gives the new part of the log, as records. */
class Asked {
  constructor(ask, data, tree) {
    Object.assign(this, { ask, data, tree });
  }

  async step(node, ops) {
    const past = [];
    for (let at = node; at?.op; at = at.parent) past.push(at.op);
    const { parents, cpus, limits } = this.tree;
    const answer = await this.ask({ ask: "steps", tree: { parents, cpus, limits }, past: past.reverse(), ops });
    if (!node) return { steps: [], start: answer.states.map((memory) => ({ memory })) };
    const form = this.data.forms.records.step,
      done = answer.refused ? answer.refused.at : ops.length,
      steps = Array.from({ length: done }, () => []);
    answer.blobs.forEach((blob, i) => {
      const bytes = blob.buffer.slice(blob.byteOffset, blob.byteOffset + blob.byteLength);
      const rows = rowsOf(new Table(form, [bytes.byteLength / form.size], bytes));
      for (const step of steps) step.push({ rows: [], memory: null });
      for (const row of rows) steps[row.op - past.length][i].rows.push(row);
      if (done) steps[done - 1][i].memory = answer.states[i];
    });
    return { steps, refused: answer.refused };
  }
}

class Walks {
  constructor(source, data, tree, settings) {
    Object.assign(this, { source, data, tree, disagreements: 0, ran: 0 });
    const ops = (given) => (Array.isArray(given) ? given : (given[tree.cpus] ?? []));
    this.branches = Object.entries(data.traffic)
      .map(([name, { cgroups, ops: given }], traffic) => ({
        name,
        traffic,
        cgroups,
        nodes: null,
        fork: 0,
        given: ops(given).map(([code, cpu, leaf, nr, ctx, times = 0]) => [code, cpu, leaf + tree.first, nr + times * (settings.limit ?? 0), ctx]),
      }))
      .filter(({ cgroups }) => cgroups <= tree.leaves);
    this.branches.push({ name: "nothing yet: make your own", traffic: Object.keys(data.traffic).length, nodes: null, given: [], fork: 0 });
  }

  async begin() {
    const { start } = await this.source.step(null, []),
      line = this.tree.parents.map(() => -1);
    this.root = { k: 0, op: null, mine: false, m: start.map((one) => ({ ...one, state: one.memory, rows: [], line })) };
  }

  /** The nodes after some more operations on every machine, as far as the kernel takes them: {nodes, refused}. */
  async grow(parent, ops, mine) {
    const nodes = [],
      key = (op) => `${mine} ${op.join()}`;
    let node = parent;
    for (const op of ops) {
      const known = node.next?.get(key(op));
      if (!known) break;
      nodes.push((node = known));
    }
    if (nodes.length === ops.length) return { nodes };
    const rest = ops.slice(nodes.length),
      { steps, refused } = await this.source.step(node, rest);
    steps.forEach((after, n) => {
      const op = rest[n],
        was = node,
        m = after.map((one, i) => this.reach(was.m[i], one));
      node = { k: was.k + 1, op, mine, m, parent: was };
      (was.next ??= new Map()).set(key(op), node);
      nodes.push(node);
    });
    return { nodes, refused };
  }

  /** What one machine is after its part of the log. */
  reach(was, { rows, memory, ...more }) {
    const { forms } = this.data,
      state = copyState(was.state),
      line = was.line.slice();
    for (const row of rows) {
      follow(forms, 1, state, row);
      if (forms.counter_atomic[row.step]) line[row.where] = row.cpu;
    }
    if (memory) {
      // Two ways of reading one kernel, its log and its memory: they have to agree.
      this.ran++;
      if (!sameState(state, memory)) this.disagreements++;
    }
    return { ...more, rows, state, line };
  }

  async nodes(branch) {
    branch.nodes ??= [this.root, ...(await this.grow(this.root, branch.given, false)).nodes];
    return branch.nodes;
  }

  /** The reader does something after operation k of a branch: {branch, k}, and what was refused. What was there stays. */
  async act(branch, k, ops) {
    const { nodes: grown, refused } = await this.grow((await this.nodes(branch))[k], ops, true);
    for (const node of grown) ({ branch, k } = this.put(branch, k, node));
    return { branch, k, refused };
  }

  /** One operation of the reader's, on the branch that it belongs to. */
  put(branch, k, node) {
    const { nodes } = branch,
      known = this.branches.find((b) => b.mine && b.nodes[k + 1] === node);
    if (known) return { branch: known, k: k + 1 };
    if (branch.mine && k === nodes.length - 1) {
      nodes.push(node);
      return { branch, k: k + 1 };
    }
    const number = this.branches.filter((b) => b.mine).length + 1;
    const grown = { name: `yours ${number}`, mine: true, traffic: branch.traffic, fork: k, nodes: [...nodes.slice(0, k + 1), node] };
    grown.base = branch.mine && k > branch.base ? branch.base : k; // operations shared with the given traffic
    this.branches.push(grown);
    return { branch: grown, k: k + 1 };
  }
}

// ----------------------------------------------------------------------------------------------------- 3 score
// Milliseconds at speed 1. They say in which order things happen; they are not the time that a kernel takes.
const TIME = {
  hit: 400,
  miss: 250,
  hand: 270,
  move: 160,
  flash: 200,
  drop: 520,
  put: 400,
  tip: 400,
  cap: 300,
  own: 110,
  ask: 350,
  gap: 150,
};
const FLYING = 72; // pages that are shown on their way at once
const signed = (n) => (n < 0 ? "\u2212" : "+") + Math.abs(n);

/** The changed line of the patch that each row of a log belongs to, by the library's rules; -1 = none. */
export function linesOf(data, i, op, rows) {
  const c = data.forms.codes,
    here = {
      gives_back: op[0] === c.UNCHARGE_SKMEM,
      refills: rows.some((r) => r.step === c.STEP_REFILL),
      filled: false,
      capped: data.machines[i].capped,
    };
  return rows.map(({ step }) => {
    const rule = data.line_rules.find(
      (r) => r.steps.includes(step) && Object.keys(here).every((name) => r[name] === null || r[name] === here[name]),
    );
    here.filled ||= step === c.STEP_REFILL;
    return rule ? rule.line : -1;
  });
}

const isCharge = (c, code) => code === c.CHARGE_SKMEM || code === c.TRY_CHARGE;
const isReturn = (c, code) => code === c.UNCHARGE_SKMEM || code === c.CANCEL_CHARGE;

/** Pages that the users of each cgroup have: what its counter says, without what lies in stocks. For leaves. */
function inUse(state) {
  const pages = state["counter.count"].slice();
  state["stock.memcg"].forEach((owner, at) => owner >= 0 && (pages[owner] -= state["stock.nr_pages"][at]));
  return pages;
}

/** When each row of a log happens in the picture, and what moves meanwhile. */
function makeScore(data, node, i) {
  const c = data.forms.codes,
    { steps } = data.forms,
    { rows } = node.m[i],
    before = node.parent.m[i].state;
  const [code, cpu, memcg, nr] = node.op,
    charge = isCharge(c, code),
    back = isReturn(c, code);
  const field = (r) => r && steps[r.step].field;
  const isCount = (r) => field(r) === "counter.count",
    isQuiet = (r) => field(r) === "counter.watermark" || field(r) === "counter.failcnt";
  const s = {
    at: [],
    from: [],
    to: [],
    flights: [],
    tokens: [],
    flashes: [],
    shakes: [],
    tips: [],
    cap: null,
    line: linesOf(data, i, node.op, rows),
  };
  const held = inUse(node.parent.m[i].state)[memcg];
  let t = 60,
    delivered = false;
  const fly = (n, cg, from, to, length) => {
    if (n <= 0) return 0;
    const shown = Math.min(n, FLYING),
      stagger = shown > 1 ? Math.min(14, 240 / shown) : 0;
    s.flights.push({ t0: t, t1: t + length + stagger * (shown - 1), n, shown, cg, from, to, stagger, length });
    return length + stagger * (shown - 1);
  };
  for (let k = 0; k < rows.length; k++) {
    const r = rows[k],
      begin = t;
    s.at[k] = t;
    if (r.step === c.STEP_CONSUME_HIT) {
      t += fly(nr, memcg, { drawer: cpu, i: r.after }, { socket: memcg, i: held }, TIME.hit);
      delivered = true;
    } else if (r.step === c.STEP_CONSUME_MISS) {
      s.shakes.push({ t0: t, t1: t + TIME.miss, cpu });
      t += TIME.miss;
    } else if (isCount(r)) {
      let end = k;
      while (isCount(rows[end]) || isQuiet(rows[end])) end++;
      const drain = rows[rows[end]?.step === c.STEP_CSS_PUT ? end + 1 : end];
      const drains = drain?.step === c.STEP_DRAIN,
        at = drains ? drain.where : cpu,
        label = signed(r.after - r.before);
      if (drains) {
        s.tips.push({ t0: t, until: Infinity, cpu: at, n: drain.before });
        t += fly(drain.before, r.where, { drawer: at, i: 0 }, { port: at }, TIME.tip);
      } else if (back) t += fly(nr, memcg, { socket: memcg, i: held - nr }, { port: cpu }, TIME.hand);
      const way = [{ t, place: { port: at } }];
      for (; k < end; k++) {
        const row = rows[k];
        if (isCount(row)) {
          s.from[k] = way.length > 1 ? t : begin; // what leads to the first level belongs to it
          t += TIME.move;
          way.push({ t, place: { counter: row.where } });
          s.flashes.push({ t, c: row.where, cpu: row.cpu, label: signed(row.after - row.before), refused: row.step === c.STEP_TRY_UNDO });
          s.at[k] = t;
          t += TIME.flash;
          way.push({ t, place: { counter: row.where } });
        } else s.at[k] = t - TIME.flash;
        s.from[k] ??= s.at[k];
        s.to[k] = t;
      }
      k--;
      s.tokens.push({ way, label, cg: drains ? r.where : memcg, pages: drains || back });
      continue;
    } else if (r.step === c.STEP_LIMIT) {
      t += TIME.move;
      s.at[k] = t;
      s.flashes.push({ t, c: r.where, cpu: r.cpu, label: "max" });
      t += TIME.flash;
    } else if (r.step === c.STEP_DRAIN) {
      s.tips.at(-1).until = t;
      t += TIME.own;
    } else if (r.step === c.STEP_REMOTE_DRAIN) {
      s.tokens.push({
        way: [
          { t, place: { port: cpu } },
          { t: t + TIME.ask, place: { port: r.where } },
        ],
        label: "drain!",
        cg: memcg,
      });
      t += TIME.ask;
    } else if (r.step === c.STEP_REFILL) {
      const n = r.after - r.before;
      if (charge) {
        fly(nr, memcg, { counter: memcg }, { socket: memcg, i: held }, TIME.drop);
        delivered = true;
        t += fly(n, memcg, { counter: memcg }, { drawer: cpu, i: r.before }, TIME.drop);
      } else t += fly(n, memcg, { socket: memcg, i: held - nr }, { drawer: cpu, i: r.before }, TIME.put);
      s.at[k] = t;
      if (data.machines[i].capped) {
        s.cap = { t0: t, t1: t + TIME.cap, pages: r.after };
        s.from[k] = begin;
        s.to[k] = t;
        t += TIME.cap;
        continue;
      }
    } else if (r.step === c.STEP_RETURN && charge && !delivered && (code === c.CHARGE_SKMEM || r.after === 0)) {
      t += fly(nr, memcg, { counter: memcg }, { socket: memcg, i: held }, TIME.drop);
    } else if (s.line[k] >= 0 || field(r) === "stock.memcg") t += TIME.own;
    s.from[k] = begin;
    s.to[k] = t;
  }
  s.length = t;
  return s;
}

function scored(data, node) {
  if (!node.score) {
    node.score = node.m.map((_, i) => (node.op ? makeScore(data, node, i) : null));
    node.length = node.op ? Math.max(...node.score.map((s) => s.length)) + TIME.gap : 0;
  }
  return node.score;
}

/** Pages that lie still at a time: what was there, less what has left, plus what has come. */
function resting(state, flights, t) {
  const pages = state["stock.nr_pages"].slice(),
    held = inUse(state);
  for (const f of flights) {
    if (f.t0 <= t && "drawer" in f.from) pages[f.from.drawer] -= f.n;
    if (f.t0 <= t && "socket" in f.from) held[f.from.socket] -= f.n;
    if (f.t1 <= t && "drawer" in f.to) pages[f.to.drawer] += f.n;
    if (f.t1 <= t && "socket" in f.to) held[f.to.socket] += f.n;
  }
  return { pages, held };
}

// --------------------------------------------------------------------------------------------------- 4 picture
const SVG_TAGS = new Set("svg g rect path text line circle title desc".split(" "));
function make(tag, attributes = {}, ...children) {
  const el = SVG_TAGS.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return el;
}

/** Set an attribute (or the text) only if it changed: the browser then has little to do. */
function put(el, name, value) {
  const had = (el.$ ??= {});
  if (had[name] === value) return;
  had[name] = value;
  if (name === "text") el.textContent = value;
  else if (name === "hidden") el.style.display = value ? "none" : "";
  else el.setAttribute(name, value);
}
const puts = (el, values) => Object.entries(values).forEach(([name, value]) => put(el, name, value));

// A page of A is a full square, a page of B one with a hole: the shape tells them apart without the colour.
const PAGE = ["M0 0h10v10h-10z", "M0 0h10v10h-10zM3 3v4h4v-4z"];
const PAGE_SIZE = 10;
const ease = (x) => (x <= 0 ? 0 : x >= 1 ? 1 : x < 0.5 ? 4 * x * x * x : 1 - (-2 * x + 2) ** 3 / 2);
const mix = (a, b, x) => a + (b - a) * x;
const TAG = 50,
  BADGE = 97,
  WIDE_BADGE = 112,
  SHORT = 44; // widths beside a counter
const MARKS = 40;

class Picture {
  constructor(data, tree) {
    Object.assign(this, { data, tree, i: 0, hot: -1 });
    const { parents, cpus, leaves } = tree,
      many = (n, f) => Array.from({ length: n }, (_, k) => f(k));
    this.svg = make("svg", { role: "img", class: "picture" });
    this.wires = make("path", { class: "wires" });
    this.inSockets = make("text", { class: "label", "text-anchor": "middle" }, data.users[leaves > 1 ? 1 : 0]);
    this.svg.append(this.wires, this.inSockets);
    this.counters = parents.map((_, m) => {
      const c = {
        ring: make("rect", { class: "ring", rx: 8 }),
        box: make("rect", { class: "counter", rx: 5 }),
        name: make("text", { class: "label" }, tree.names[m]),
        value: make("text", { class: "value", "text-anchor": "end" }),
        tag: make(
          "g",
          { class: "tag" },
          make("rect", { width: TAG - 2, rx: 4 }),
          make("text", { x: TAG / 2 - 1, "text-anchor": "middle" }),
        ),
        badge: make("g", { class: "badge" }, make("rect", { rx: 4 }), make("text", { "text-anchor": "middle" })),
      };
      c.g = make("g", {}, c.ring, c.box, c.name, c.value, c.tag, c.badge);
      this.svg.append(c.g);
      return c;
    });
    this.cpus = many(cpus, (cpu) => {
      const c = {
        over: make("rect", { class: "over" }),
        grid: make("path", { class: "places" }),
        frame: make("path", { class: "frame" }),
        rim: make("path", { class: "rim" }),
        who: make("text", { class: "label strong", "text-anchor": "middle" }),
        label: make("text", { class: "label", "text-anchor": "middle" }),
        pages: [],
      };
      c.tilt = make("g", {}, c.over, c.grid, c.frame, c.rim);
      c.g = make("g", {}, c.tilt, c.who, c.label);
      this.svg.append(c.g);
      return c;
    });
    this.mark = make("text", { class: "label", "text-anchor": "end" });
    this.word = make("text", { class: "label strong", x: 0 }, "CPU"); // where there is room for the numbers alone
    this.sockets = many(leaves, (leaf) => {
      const c = {
        memcg: tree.first + leaf,
        frame: make("rect", { class: "socket", rx: 5 }),
        label: make("text", { class: "label", "text-anchor": "middle" }),
        pages: [],
      };
      c.g = make("g", {}, c.frame, c.label);
      this.svg.append(c.g);
      return c;
    });
    this.flying = many(2 * FLYING, () => make("path", { class: "flying" }));
    this.tokens = many(4, () =>
      make(
        "g",
        { class: "token" },
        make("rect", { x: -27, y: -10, width: 54, height: 20, rx: 10 }),
        make("path", { transform: "translate(-22 -5)" }),
        make("text", { y: 5, x: 5, "text-anchor": "middle" }),
      ),
    );
    this.chips = many(MARKS, (n) => make("path", { class: "chip", onclick: () => this.onStep?.(this.marks[n]) }, make("title")));
    this.svg.append(this.mark, this.word, ...this.flying, ...this.tokens, ...this.chips);
  }

  kind(memcg) {
    return memcg < this.tree.first ? "" : `page-${this.data.letters[memcg - this.tree.first].toLowerCase()}`;
  }
  shape(memcg) {
    return PAGE[memcg - this.tree.first] ?? "";
  }

  /** All places, in pixels of this width: text is never smaller than it says. */
  layout(width, height) {
    const { tree, data } = this,
      { depth, leaves, cpus, first } = tree,
      batch = data.machines[0].batch;
    Object.assign(this, { width, height, drawn: null });
    const fits = ([cell, cols, gap, left]) => left + cpus * (cols * cell + 4 + gap) + leaves * Math.max(2 * cell + 8, 28) <= width;
    const [cell, cols, gap, left] = [
      [12, 8, 12, 26],
      [9, 8, 8, 26],
      [9, 4, 6, 32],
      [9, 4, 4, 2],
      [8, 4, 2, 2],
    ].find(fits) ?? [7, 4, 2, 2];
    const rows = batch / cols + 2,
      tall = rows * cell;
    Object.assign(this, { cell, cols, rows, scale: (cell - 2) / PAGE_SIZE, roomy: cols * cell > 70, pitch: cols * cell + 4 + gap });
    const floor = height - tall - 68,
      pitch = Math.min(42, Math.floor(floor / (depth + 1))),
      high = Math.min(30, pitch - 3),
      middle = width / 2;
    this.box = tree.parents.map((_, m) => {
      const y = Math.min(m, first) * pitch + 1;
      if (m < first || leaves === 1) {
        const w = Math.min(170, width - 2 * WIDE_BADGE - 4);
        return { x: middle - w / 2, y, w, h: high, badge: WIDE_BADGE };
      }
      const half = width / leaves,
        badge = half < 220 ? SHORT : BADGE,
        w = Math.min(110, half - TAG - badge - 4);
      return { x: (m - first) * half + (half - TAG - badge - w) / 2 + TAG, y, w, h: high, badge };
    });
    const rail = depth * pitch + high + 8,
      top = rail + 26;
    this.drawer = Array.from({ length: cpus }, (_, cpu) => ({ x: left + 2 + cpu * (cols * cell + 4 + gap), y: top }));
    this.port = this.drawer.map(({ x }) => ({ x: x + (cols * cell) / 2, y: rail }));
    const begin = left + cpus * (cols * cell + 4 + gap),
      room = (width - begin - 2) / leaves;
    this.socketCols = Math.max(1, Math.min(10, Math.floor((room - 8) / cell)));
    const wide = this.socketCols * cell + 4;
    this.socket = Object.fromEntries(this.sockets.map(({ memcg }, n) => [memcg, { x: begin + n * room + (room - wide) / 2 + 2, y: top }]));
    puts(this.svg, { viewBox: `0 0 ${width} ${height}`, width, height });
    puts(this.inSockets, { x: begin + (width - begin) / 2, y: top - 6 });
    this.counters.forEach((c, m) => {
      const { x, y, w, h, badge } = this.box[m],
        base = h / 2 + 5;
      put(c.g, "transform", `translate(${x} ${y})`);
      puts(c.box, { width: w, height: h });
      puts(c.name, { x: 9, y: base });
      puts(c.value, { x: w - 8, y: base + 1 });
      puts(c.tag.children[0], { height: Math.min(20, h), y: (h - Math.min(20, h)) / 2 });
      put(c.tag.children[1], "y", base);
      put(c.badge.children[1], "x", badge / 2);
      puts(c.badge.children[0], { width: badge, height: Math.min(22, h), y: (h - Math.min(22, h)) / 2 });
      put(c.badge.children[1], "y", base);
    });
    const wire = tree.parents.flatMap((p, m) =>
      p < 0
        ? []
        : [
            `M${this.box[m].x + this.box[m].w / 2} ${this.box[m].y}V${this.box[m].y - (pitch - high) / 2}H${this.box[p].x + this.box[p].w / 2}V${this.box[p].y + high}`,
          ],
    );
    const feet = this.sockets.map(({ memcg }) => this.box[memcg]).map((b) => b.x + b.w / 2),
      ends = [...feet, ...this.port.map((p) => p.x)];
    wire.push(
      `M${Math.min(...ends)} ${rail}H${Math.max(...ends)}`,
      ...feet.map((x) => `M${x} ${rail}V${rail - 8}`),
      ...this.port.map((p) => `M${p.x} ${rail}v6`),
    );
    put(this.wires, "d", wire.join(""));
    const w = cols * cell,
      edge = gap > 4 ? 5 : 2;
    this.cpus.forEach((c, cpu) => {
      const { x, y } = this.drawer[cpu],
        brim = y + 2 * cell;
      puts(c.over, { x: x - 2, y: y - 2, width: w + 4, height: 2 * cell + 2 });
      put(c.frame, "d", `M${x - 2} ${brim}V${y + tall + 2}h${w + 4}V${brim}`);
      put(c.rim, "d", `M${x - edge} ${brim}h${w + 2 * edge}`);
      let d = "";
      for (let n = 0; n < batch; n++) {
        const p = this.place({ drawer: cpu }, n);
        d += `M${p.x + 0.5} ${p.y + 0.5}h${cell - 3}v${cell - 3}h${3 - cell}z`;
      }
      put(c.grid, "d", d);
      puts(c.who, { x: x + w / 2, y: y - 6, text: this.roomy ? `CPU ${cpu}` : String(cpu) });
      puts(c.label, { x: x + w / 2, y: y + tall + 17 });
      c.centre = { x: x + w / 2, y: brim + (tall - 2 * cell) / 2 };
    });
    puts(this.mark, { x: left - 8, y: top + 2 * cell + 5, text: String(batch), hidden: left < 20 });
    puts(this.word, { y: top - 6, hidden: this.roomy || left < 20 });
    for (const c of this.sockets) {
      const p = this.socket[c.memcg];
      puts(c.frame, { x: p.x - 2, y: p.y - 2, width: wide, height: tall + 4 });
      puts(c.label, { x: p.x - 2 + wide / 2, y: p.y + tall + 17 });
    }
    const pages = (list, n, before) => {
      while (list.length < n) {
        const el = make("path");
        list.push(el);
        before.before(el);
      }
    };
    this.cpus.forEach((c) => pages(c.pages, cols * rows, c.frame));
    this.sockets.forEach((c) => pages(c.pages, this.socketCols * rows, c.label));
  }

  /** Where a page lies (its upper left corner), or where something passes. */
  place(where, j = 0) {
    const grid = (corner, cols, n) => {
      const i = Math.min(cols * this.rows - 1, n);
      return { x: corner.x + (i % cols) * this.cell + 1, y: corner.y + (this.rows - 1 - Math.floor(i / cols)) * this.cell + 1 };
    };
    if ("drawer" in where) return grid(this.drawer[where.drawer], this.cols, (where.i ?? 0) + j);
    if ("socket" in where) return grid(this.socket[where.socket], this.socketCols, (where.i ?? 0) + j);
    const half = PAGE_SIZE / 2;
    if ("port" in where) return { x: this.port[where.port].x - half, y: this.port[where.port].y - half };
    const b = this.box[where.counter];
    return { x: b.x + b.w / 2 - half, y: b.y + b.h - half };
  }

  /** Show a node at a time of its score; Infinity is its end. */
  draw(node, time) {
    const score = scored(this.data, node)[this.i];
    const t = Math.min(time, score ? score.length + 2000 : 0),
      key = `${this.i} ${this.hot} ${t}`;
    if (this.drawn === node && this.key === key) return;
    Object.assign(this, { drawn: node, key });
    const { data, tree } = this,
      here = node.m[this.i],
      was = node.op ? node.parent.m[this.i] : here,
      done = score && t > score.length;
    const state = copyState(was.state),
      line = was.line.slice();
    if (score)
      here.rows.forEach((row, k) => {
        if (score.at[k] > t) return;
        follow(data.forms, 1, state, row);
        if (data.forms.counter_atomic[row.step]) line[row.where] = row.cpu;
      });
    this.atomics = state.atomics;
    this.shown = state;
    this.drawCounters(score, here, was, state, line, t, done);
    this.still = resting(was.state, score ? score.flights : [], t);
    this.drawPages(score, state, t);
    this.drawMoving(score, t);
    this.drawMarks(score, here, t, done);
    this.litLines(score, here, node, t, done);
  }

  drawCounters(score, here, was, state, line, t, done) {
    const most = this.data.forms.codes.PAGE_COUNTER_MAX;
    this.counters.forEach((c, m) => {
      const { w, h } = this.box[m],
        flashes = score ? score.flashes.filter((f) => f.c === m && f.t <= t) : [],
        last = flashes.at(-1);
      const limit = state["counter.limit"][m],
        count = state["counter.count"][m];
      put(c.value, "text", limit < most ? `${count}/${limit}` : String(count));
      const owner = line[m],
        before = flashes.length > 1 ? flashes.at(-2).cpu : was.line[m];
      put(c.tag, "hidden", owner < 0);
      if (owner >= 0) {
        // a line that changes hands hops over from where the request arrives
        const hop = last && before !== owner ? ease((t - last.t + 60) / 240) : 1;
        put(c.tag, "transform", `translate(${mix(w / 2, -TAG, hop).toFixed(1)} ${(Math.sin(Math.PI * hop) * -16).toFixed(1)})`);
        put(c.tag.children[1], "text", `CPU ${owner}`);
        put(c.tag, "class", `tag${last && before !== owner && before >= 0 ? " moved" : ""}`);
      }
      const age = last ? (t - last.t) / 420 : 9,
        glow = Math.max(0, 1 - age),
        grow = age < 1 ? 2 + 7 * ease(age) : 0;
      put(c.ring, "hidden", glow <= 0);
      if (glow > 0) puts(c.ring, { x: -grow, y: -grow, width: w + 2 * grow, height: h + 2 * grow, opacity: glow.toFixed(2) });
      const hot =
        this.hot >= 0 &&
        here.rows.some(
          (r, k) => score && score.line[k] === this.hot && score.at[k] <= t && this.data.forms.counter_atomic[r.step] && r.where === m,
        );
      const refused = last?.refused && !done;
      put(
        c.box,
        "class",
        `counter${last ? " touched" : ""}${age < 0.6 ? " lit" : ""}${refused ? " refused" : ""}${hot ? " hot" : ""}${count > limit ? " over-limit" : ""}`,
      );
      put(c.badge, "hidden", !last);
      if (last) {
        const undone = flashes.some((f) => f.refused),
          short = this.box[m].badge === SHORT,
          times = flashes.length > 1 ? `\u00d7${flashes.length}` : last.label;
        put(c.badge, "transform", `translate(${w + 2} 0)`);
        put(
          c.badge.children[1],
          "text",
          refused ? (short ? "over" : "over limit") : short ? times : `${undone ? "refused" : "ATOMIC"} ${times}`,
        );
        put(c.badge, "class", `badge${age < 1.2 && !done ? " now" : ""}`);
      }
    });
  }

  drawPages(score, state, t) {
    const { pages, held } = this.still,
      owners = state["stock.memcg"],
      stocks = state["stock.nr_pages"],
      batch = this.data.machines[this.i].batch;
    const show = (el, where, n, memcg, ghost) => {
      const p = this.place(where, n);
      puts(el, {
        d: this.shape(memcg),
        class: `${this.kind(memcg)}${ghost ? " ghost" : ""}`,
        transform: `translate(${p.x} ${p.y}) scale(${this.scale})`,
      });
    };
    this.cpus.forEach((c, cpu) => {
      const owner = owners[cpu],
        tip = score?.tips.find((x) => x.cpu === cpu && x.t0 <= t && t < x.until),
        ghosts = tip ? tip.n : 0;
      c.pages.forEach((el, n) => {
        const there = n < pages[cpu],
          shown = there || n < ghosts;
        put(el, "hidden", !shown);
        if (shown) show(el, { drawer: cpu }, n, owner, !there);
      });
      const shake = score?.shakes.find((x) => x.cpu === cpu && x.t0 <= t && t < x.t1),
        corner = this.roomy ? 48 : 18;
      const aside = cpu * 2 < this.tree.cpus ? 1 : -1;
      let pose = "",
        angle = 0;
      if (shake) pose = `translate(${(4 * Math.sin(((t - shake.t0) / (shake.t1 - shake.t0)) * 4 * Math.PI)).toFixed(1)} 0)`;
      if (tip) {
        angle = aside * 16 * ease((t - tip.t0) / 180) * (tip.until === Infinity ? 1 : 1 - ease((t - tip.until + 160) / 160));
        pose = `rotate(${angle.toFixed(1)} ${c.centre.x + aside * corner} ${c.centre.y})`;
      }
      put(c.tilt, "transform", pose);
      const turn = (angle * Math.PI) / 180;
      c.pose = { x: c.centre.x + aside * corner, y: c.centre.y, angle, cos: Math.cos(turn), sin: Math.sin(turn) };
      put(c.tilt, "class", `${stocks[cpu] > batch ? "full" : ""}${shake ? " missed" : ""}`);
      const letter = this.tree.names[owner];
      put(
        c.label,
        "text",
        owner < 0 ? (this.roomy ? "no owner" : "\u2013") : `${this.pitch > 100 ? "stock: " : ""}${stocks[cpu]} ${this.roomy ? "of " : ""}${letter}`,
      );
    });
    for (const c of this.sockets) {
      c.pages.forEach((el, n) => {
        const shown = n < held[c.memcg];
        put(el, "hidden", !shown);
        if (shown) show(el, { socket: c.memcg }, n, c.memcg, false);
      });
      put(c.label, "text", `${this.tree.names[c.memcg]}${this.socketCols < 4 ? "\u2009" : ": "}${held[c.memcg]}`);
    }
  }

  drawMoving(score, t) {
    let used = 0;
    for (const f of score ? score.flights : []) {
      if (t < f.t0 || t >= f.t1) continue;
      for (let j = 0; j < f.shown && used < this.flying.length; j++) {
        const x = ease((t - f.t0 - j * f.stagger) / f.length),
          b = this.place(f.to, j),
          el = this.flying[used++];
        let a = this.place(f.from, j),
          spin = "";
        const pose = "drawer" in f.from ? this.cpus[f.from.drawer].pose : null;
        if (pose?.angle) {
          const dx = a.x - pose.x,
            dy = a.y - pose.y;
          a = { x: pose.x + dx * pose.cos - dy * pose.sin, y: pose.y + dx * pose.sin + dy * pose.cos };
          spin = ` rotate(${(pose.angle * (1 - x)).toFixed(1)})`;
        }
        const arc = "counter" in f.from ? 0 : Math.sin(Math.PI * x) * -26;
        puts(el, {
          hidden: false,
          d: this.shape(f.cg),
          class: `flying ${this.kind(f.cg)}`,
          transform: `translate(${mix(a.x, b.x, x).toFixed(1)} ${(mix(a.y, b.y, x) + arc).toFixed(1)})${spin} scale(${this.scale})`,
        });
      }
    }
    for (let n = used; n < (this.flew ?? this.flying.length); n++) put(this.flying[n], "hidden", true);
    this.flew = used;
    const moving = score ? score.tokens.filter(({ way }) => t >= way[0].t && t < way.at(-1).t + 160) : [];
    this.tokens.forEach((el, n) => {
      const token = moving[n];
      put(el, "hidden", !token);
      if (!token) return;
      const { way } = token,
        later = way.findIndex((w) => w.t > t),
        k = later < 0 ? way.length - 1 : later;
      const a = way[Math.max(0, k - 1)],
        b = way[k],
        x = b.t === a.t ? 1 : ease((t - a.t) / (b.t - a.t)),
        p = this.place(a.place),
        q = this.place(b.place);
      const half = PAGE_SIZE / 2,
        fade = Math.max(0, 1 - Math.max(0, t - way.at(-1).t) / 160);
      puts(el, {
        transform: `translate(${(mix(p.x, q.x, x) + half).toFixed(1)} ${(mix(p.y, q.y, x) + half).toFixed(1)})`,
        opacity: fade.toFixed(2),
      });
      puts(el.children[1], { d: token.pages ? this.shape(token.cg) : "", class: this.kind(token.cg) });
      puts(el.children[2], { text: token.label, x: token.pages ? 5 : 0 });
    });
  }

  /** The steps of this operation as marks: a bar is an ATOMIC, a dot touches this CPU's own memory alone. */
  drawMarks(score, here, t, done) {
    this.marks = this.visible(here).slice(0, MARKS);
    const pitch = Math.min(11, (this.width - 20) / Math.max(this.marks.length, 1)),
      start = this.width / 2 - (this.marks.length * pitch) / 2,
      y = this.height - 8;
    this.chips.forEach((el, n) => {
      const k = this.marks[n];
      put(el, "hidden", k === undefined);
      if (k === undefined) return;
      const { atomic } = this.data.forms.steps[here.rows[k].step],
        past = score.at[k] <= t,
        now = !done && score.from[k] <= t && t < score.to[k];
      puts(el, {
        d: atomic ? "M-3 -8h6v14h-6z" : "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0",
        transform: `translate(${(start + n * pitch + pitch / 2).toFixed(1)} ${y})`,
      });
      put(el.firstChild, "text", this.stepText(here.rows[k], k));
      put(
        el,
        "class",
        `chip${atomic ? " bar" : ""}${past ? " past" : ""}${now ? " now" : ""}${this.hot >= 0 && score.line[k] === this.hot ? " hot" : ""}`,
      );
    });
  }

  litLines(score, here, node, t, done) {
    const {
        lines,
        cap_lines: [test, drain],
        machines,
      } = this.data,
      c = this.data.forms.codes;
    this.lit = lines.map(() => "");
    this.note = lines.map(() => "");
    if (!score) return;
    const ran = lines.map(() => []);
    here.rows.forEach((row, k) => {
      const l = score.line[k];
      if (l < 0 || score.from[k] > t) return;
      if (score.at[k] <= t) ran[l].push(row);
      if (!done && t < score.to[k]) this.lit[l] = "now";
      else this.lit[l] ||= "past";
    });
    if (score.cap && score.cap.t0 <= t) {
      this.lit[test] = !done && t < score.cap.t1 ? "now" : "past";
      this.note[test] = `${score.cap.pages} > ${machines[this.i].batch}: ${score.line.includes(drain) ? "yes" : "no"}`;
    }
    ran.forEach((rows, l) => {
      const atomics = rows.filter((r) => this.data.forms.steps[r.step].atomic).length;
      if (atomics) this.note[l] = lines[l].text.length > 40 ? `\u00d7${atomics}` : count(atomics, "atomic");
      else if (rows.some((r) => r.step === c.STEP_CSS_PUT)) this.note[l] = `references ${this.shown["memcg.css"][node.op[2]]}`;
      else if (rows.length) this.note[l] = `stock ${this.shown["stock.nr_pages"][node.op[1]]}`;
    });
  }

  /** Rows of a log that have a mark. */
  visible(here) {
    const { steps } = this.data.forms,
      c = this.data.forms.codes;
    return here.rows
      .map((_, k) => k)
      .filter((k) => here.rows[k].step !== c.STEP_RETURN && steps[here.rows[k].step].field !== "counter.watermark");
  }

  /** What a step touched, and how: "count of A: 0 → 32". */
  changed(row) {
    const step = this.data.forms.steps[row.step],
      owner = step.field === "stock.memcg";
    const where = /( of| memcg)$/.test(step.what)
      ? `${step.what.replace(/ memcg$/, "")} ${this.tree.names[row.where]}`
      : `${step.what} ${row.where}`;
    const value = (v) => (owner ? (this.tree.names[v] ?? "nobody") : v);
    return `${where}: ${value(row.before)} \u2192 ${value(row.after)}`;
  }

  stepText(row, k) {
    const step = this.data.forms.steps[row.step];
    return `Step ${k + 1}, ${step.function}: ${step.rule} (${this.changed(row)})${step.atomic ? ", ATOMIC" : ""}`;
  }

  /** What the picture shows at rest, for whoever does not see it. */
  describe(node, title) {
    const { state, line } = node.m[this.i],
      { names } = this.tree,
      most = this.data.forms.codes.PAGE_COUNTER_MAX;
    const limit = (m) => (state["counter.limit"][m] < most ? ` of at most ${state["counter.limit"][m]}` : "");
    const counters = names
      .map((name, m) => `${name} ${state["counter.count"][m]}${limit(m)}${line[m] >= 0 ? `, line at CPU ${line[m]}` : ""}`)
      .join("; ");
    const stocks = state["stock.memcg"]
      .map((owner, cpu) =>
        owner < 0 ? `CPU ${cpu} nothing` : `CPU ${cpu} ${count(state["stock.nr_pages"][cpu], "page")} of ${names[owner]}`,
      )
      .join("; ");
    const used = inUse(state),
      sockets = this.sockets.map(({ memcg }) => `${used[memcg]} of ${names[memcg]}`).join(", ");
    put(
      this.svg,
      "aria-label",
      `${title}: ${count(state.atomics, "atomic")} so far. Pages in counters: ${counters}. In stocks: ${stocks}. ${capital(this.inSockets.textContent)}: ${sockets}.`,
    );
  }
}

// ----------------------------------------------------------------------------------------------------- 5 chart
/** What a chart may show of one machine's state. */
const VALUES = {
  atomics: (state) => state.atomics,
  leaf: (state, { first }) => state["counter.count"][first],
  stock: (state) => state["stock.nr_pages"][0],
  ahead: (state, { first }) => state["counter.count"][first] - state.sock[first],
};

class Chart {
  constructor(data, onMove) {
    const { machines } = data;
    this.told = data.chart;
    this.bound = make("path", { class: "bound" });
    this.boundLabel = make("text", { class: "label" });
    this.lines = machines.map((_, i) => make("path", { class: `line m${i}` }));
    this.labels = machines.map((_, i) => make("text", { class: `label m${i}` }));
    this.dots = machines.map((_, i) =>
      i === 0 ? make("rect", { class: "dot m0", width: 8, height: 8, x: -4, y: -4 }) : make("circle", { class: `dot m${i}`, r: 4.5 }),
    );
    this.rug = make("path", { class: "rug" });
    this.drains = make("path", { class: "drains" });
    this.others = make("g");
    this.axis = make("path", { class: "axis" });
    this.ticks = [0, 1, 2].map(() => make("text", { class: "soft" }));
    this.name = make("text", { class: "soft" });
    this.cursor = make(
      "g",
      { class: "cursor", tabindex: 0, role: "slider", "aria-label": "Operations executed", "aria-valuemin": 0 },
      make("rect", { class: "grip", x: -9, width: 18, rx: 4 }),
      make("line"),
      make("circle", { r: 7 }),
    );
    this.svg = make(
      "svg",
      { class: `chart ${data.chart.value}` },
      this.axis,
      this.bound,
      this.others,
      this.rug,
      this.drains,
      ...this.lines.toReversed(),
      ...this.ticks,
      this.name,
      this.boundLabel,
      ...this.labels,
      ...this.dots,
      this.cursor,
    );
    const move = (e) => onMove(Math.max(0, Math.min(this.n, Math.round(this.unx(e.clientX - this.svg.getBoundingClientRect().left)))));
    draggable(this.svg, this.cursor, move, { start: (e) => !e.target.closest(".other") });
  }

  x(k) {
    return 48 + ((this.width - 48 - 150) * k) / Math.max(this.span, 1);
  }
  unx(px) {
    return ((px - 48) * this.span) / (this.width - 48 - 150);
  }
  y(v) {
    return this.height - 20 - ((this.height - 34) * v) / Math.max(this.top, 1);
  }

  layout(width, height) {
    Object.assign(this, { width, height });
    puts(this.svg, { viewBox: `0 0 ${width} ${height}`, width, height });
  }

  /** What the chart shows of a machine after an operation. */
  value(node, i) {
    return VALUES[this.told.value](node.m[i].state, this.tree);
  }

  show({ nodes, branch, branches, shown, machines, tree, settings, onBranch }) {
    this.n = nodes.length - 1;
    this.tree = tree;
    const others = branches.filter((b) => b !== branch && b.traffic === branch.traffic && b.nodes?.length > b.fork + 1).slice(-6),
      lists = [nodes, ...others.map((b) => b.nodes)],
      peaks = machines.map((_, i) => (shown.includes(i) ? Math.max(...nodes.map((node) => this.value(node, i))) : 0)),
      rising = this.told.value === "atomics",
      told = this.told.bound,
      bound = told && (told.setting ? settings[told.setting] : told.pages * (told.per ? tree[told.per] : 1));
    this.span = Math.max(20, ...lists.map((list) => list.at(-1).k));
    this.top = Math.max(10, bound ?? 0, ...lists.flatMap((list) => shown.flatMap((i) => (rising ? [list.at(-1)] : list).map((node) => this.value(node, i)))));
    const y = (node, i) => this.y(this.value(node, i)).toFixed(1);
    const path = (i, list = nodes, first = 0) => {
      let d = `M${this.x(first).toFixed(1)} ${y(list[first], i)}`;
      for (let k = first + 1; k < list.length; k++) d += `H${this.x(k).toFixed(1)}V${y(list[k], i)}`;
      return d;
    };
    this.lines.forEach((el, i) => puts(el, { hidden: !shown.includes(i), d: shown.includes(i) ? path(i) : "" }));
    put(this.axis, "d", `M48 ${this.y(0)}H${this.x(this.span)}M48 ${this.y(this.top)}H${this.x(this.span)}`);
    const end = this.x(this.span);
    puts(this.ticks[0], { x: 42, y: this.y(0) + 5, "text-anchor": "end", text: "0" });
    puts(this.ticks[1], { x: 42, y: this.y(this.top) + 5, "text-anchor": "end", text: this.top.toLocaleString("en") });
    puts(this.ticks[2], { x: end, y: this.height - 4, "text-anchor": "end", text: String(this.span) });
    puts(this.name, { x: 48, y: this.height - 4, text: this.width < 500 ? this.told.short : `${this.told.label}, over operations` });
    put(this.bound, "d", bound === null ? "" : `M48 ${this.y(bound)}H${end}`);
    // Labels at the right, each near its line's end, none over another.
    const labels = shown.map((i) => {
      const now = rising ? nodes.at(-1).m[i].state.atomics : peaks[i],
        name = machines.length > 1 ? machines[i].name.split(",")[0].toLowerCase() : "";
      return { el: this.labels[i], at: this.y(this.value(nodes.at(-1), i)) + 5, text: `${name} ${rising ? "" : "up to "}${now.toLocaleString("en")}`.trim() };
    });
    if (bound !== null) labels.push({ el: this.boundLabel, at: this.y(bound) + 5, text: `${told.name} ${bound.toLocaleString("en")}` });
    labels.sort((a, b) => a.at - b.at);
    labels.forEach((l, n) => (l.at = Math.max(l.at, n ? labels[n - 1].at + 17 : 12)));
    labels.toReversed().forEach((l, n, all) => (l.at = Math.min(l.at, n ? all[n - 1].at - 17 : this.height - 8)));
    for (const el of [...this.labels, this.boundLabel]) put(el, "hidden", true);
    for (const { el, at, text } of labels) puts(el, { hidden: false, x: end + 10, y: at, text });
    this.others.replaceChildren(
      ...others.map((b) => {
        const k = b.nodes.length - 1,
          g = make("g", { class: "other", onclick: () => onBranch(b) }, make("title", {}, `${b.name}: go there`));
        const shared = nodes.findIndex((node, n) => node !== b.nodes[n]),
          fork = Math.max(0, Math.min(k, (shared < 0 ? nodes.length : shared) - 1));
        for (const i of shown) g.append(make("path", { d: path(i, b.nodes, fork), class: `line m${i}` }));
        g.append(make("circle", { cx: this.x(k), cy: Math.max(6, this.y(this.value(b.nodes[k], shown.at(-1)))), r: 6 }));
        return g;
      }),
    );
    puts(this.cursor.children[0], { y: 2, height: this.height - 20 });
    puts(this.cursor.children[1], { y1: 4, y2: this.height - 20 });
    put(this.cursor.children[2], "cy", 8);
    put(this.cursor, "aria-valuemax", this.n);
    this.shown = shown;
  }

  /** Marks below the lines: where a line of the patch ran if one is pointed at, else where a stock was drained. */
  mark(nodes, hot, drains) {
    const at = (test) => nodes.filter((node) => node.op && test(node)).map((node) => this.x(node.k).toFixed(1));
    put(
      this.rug,
      "d",
      hot
        ? at(hot)
            .map((x) => `M${x} ${this.y(0) - 9}v9`)
            .join("")
        : "",
    );
    put(
      this.drains,
      "d",
      hot
        ? ""
        : at(drains)
            .map((x) => `M${x} ${this.y(0) - 6}l3.5 6h-7z`)
            .join(""),
    );
  }

  move(nodes, position) {
    const k = Math.floor(position),
      x = this.x(k + (position - k) * 0.999).toFixed(1);
    put(this.cursor, "transform", `translate(${this.x(position).toFixed(1)} 0)`);
    this.dots.forEach((el, i) => {
      put(el, "hidden", !this.shown.includes(i));
      if (this.shown.includes(i)) put(el, "transform", `translate(${x} ${this.y(this.value(nodes[k], i)).toFixed(1)})`);
    });
    put(this.cursor, "aria-valuenow", k);
  }
}

// ----------------------------------------------------------------------------------------------------- 6 words
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const fill = (template, values) => template.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const capital = (text) => text[0].toUpperCase() + text.slice(1);

function operationText(data, tree, [code, cpu, memcg, nr]) {
  return fill(data.words[data.forms.ops[code]], { cpu, pages: nr < 0 ? "max" : count(nr, "page"), cgroup: tree.names[memcg] });
}

const bill = (node, i) => node.m[i].state.atomics - node.parent.m[i].state.atomics;

/** What one machine did in an operation, told from its log. */
function deed(data, tree, node, i) {
  const c = data.forms.codes,
    { words } = data,
    { rows } = node.m[i],
    [code, cpu] = node.op,
    has = (step) => rows.some((r) => r.step === step);
  const parts = [],
    filled = rows.findIndex((r) => r.step === c.STEP_REFILL),
    back = isReturn(c, code),
    refusals = isCharge(c, code) ? rows.filter((r) => r.step === c.STEP_FAILCNT) : [];
  if (refusals.length)
    parts.push(
      fill(refusals.length === 1 ? words["refused by"] : words["refused often"], { cgroup: tree.names[refusals[0].where], times: refusals.length }),
    );
  else if (isCharge(c, code)) parts.push(has(c.STEP_CONSUME_HIT) ? words.hit : has(c.STEP_CONSUME_MISS) ? words.miss : words.large);
  if (back && filled < 0) parts.push(words.straight);
  const drained = rows.map((_, k) => k).filter((k) => rows[k].step === c.STEP_DRAIN);
  for (const k of drained) {
    const asked = code === c.SET_MAX || rows[k].where !== cpu || refusals.length,
      word = asked ? "asked" : filled >= 0 && k > filled ? "cap" : "other";
    parts.push(
      fill(words[word], {
        cpu: rows[k].where,
        pages: count(rows[k].before, "page"),
        cgroup: tree.names[rows[k + 1].before],
        batch: data.machines[i].batch,
      }),
    );
  }
  if (back && filled >= 0 && !drained.length) parts.push(words.kept);
  if (refusals.length) parts.push(has(c.STEP_FORCE) ? words.forced : fits(c, node, i) ? words.fit : has(c.STEP_OOM) ? words.oom : words["no fit"]);
  const atomics = bill(node, i);
  return [...parts, atomics ? count(atomics, "atomic") : words["no bill"]].join(", ");
}

/** Whether a charge was told that it fits. */
function fits(c, node, i) {
  const answer = node.m[i].rows.findLast((r) => r.step === c.STEP_RETURN);
  return answer.after === (node.op[0] === c.CHARGE_SKMEM ? 1 : 0);
}

function sentence(data, tree, node, length, shown) {
  const { words, machines } = data;
  if (!node.op) return words.nothing;
  const [one, other] = shown.map((i) => deed(data, tree, node, i)),
    [left, right] = shown.map((i) => machines[i].name),
    totals = shown.map((i) => node.m[i].state.atomics);
  return capital(
    fill(words.place, {
      k: node.k.toLocaleString("en"),
      n: length.toLocaleString("en"),
      operation: operationText(data, tree, node.op),
      deeds: fill(shown.length === 1 ? words.one : one === other ? words.both : words.each, {
        deed: shown.length === 1 ? capital(one) : one,
        other,
        left,
        right,
      }),
      sums: fill(shown.length === 1 ? words.sum : words.sums, {
        atomics: count(totals[0], "atomic"),
        left: totals[0].toLocaleString("en"),
        right: totals.at(-1).toLocaleString("en"),
      }),
    }),
  );
}

// ---------------------------------------------------------------------------------------------------- 7 quests
const differs = (node, [a, b]) => node.op && node.m[a].rows.map((r) => r.step).join() !== node.m[b].rows.map((r) => r.step).join();

/** Each answers with what its sentence needs, or with null. shown: the numbers of the machines that are looked at. */
const RECOGNISE = {
  part({ data, tree, node }) {
    if (!differs(node, [0, 1])) return null;
    for (let n = node.parent; n.op; n = n.parent) if (differs(n, [0, 1])) return null;
    return { operation: operationText(data, tree, node.op), before: count(bill(node, 0), "atomic"), after: bill(node, 1) };
  },
  empty({ tree, node, shown }) {
    for (const i of shown.toReversed()) {
      const now = node.m[i].state,
        was = node.parent.m[i].state["stock.nr_pages"];
      const cpu = now["stock.nr_pages"].findIndex((pages, at) => pages === 0 && now["stock.memcg"][at] >= 0 && was[at] > 0);
      if (cpu >= 0) return { cpu, cgroup: tree.names[now["stock.memcg"][cpu]] };
    }
    return null;
  },
  dearer({ node }) {
    const [before, after] = node.m.map(({ state }) => state.atomics);
    return after > before ? { operations: count(node.k, "operation"), before: count(before, "atomic"), after } : null;
  },
  // one machine's counters
  exact({ tree, node, shown: [i] }) {
    const { state } = node.m[i],
      m = state["counter.count"].findIndex((pages, at) => pages > 0 && pages === state["counter.limit"][at]);
    return m < 0 ? null : { cgroup: capital(tree.names[m]), pages: count(state["counter.count"][m], "page") };
  },
  mark({ data, tree, node, shown: [i] }) {
    const c = data.forms.codes,
      raised = node.m[i].rows.find((r) => r.step === c.STEP_TRY_WATERMARK);
    if (!raised || !isCharge(c, node.op[0]) || fits(c, node, i) || node.m[i].state["counter.count"][raised.where] === raised.after) return null;
    return { cgroup: capital(tree.names[raised.where]), pages: count(raised.after, "page") };
  },
  forgiven({ data, tree, node, shown: [i] }) {
    const c = data.forms.codes,
      { rows } = node.m[i],
      refusals = rows.filter((r) => r.step === c.STEP_FAILCNT);
    if (!refusals.length || !isCharge(c, node.op[0]) || !fits(c, node, i)) return null;
    const why = data.words[rows.some((r) => r.step === c.STEP_DRAIN) ? "why drained" : "why smaller"];
    return { times: count(refusals.length, "time"), cgroup: tree.names[refusals[0].where], why };
  },
  // one CPU's stock
  thrown({ data, tree, node, shown: [i] }) {
    const c = data.forms.codes,
      { rows } = node.m[i],
      k = rows.findIndex((r) => r.step === c.STEP_DRAIN);
    if (k < 0 || rows[k + 1].before === node.op[2]) return null;
    return { pages: count(rows[k].before, "page"), cgroup: tree.names[rows[k + 1].before] };
  },
  unasked({ data, node, shown: [i] }) {
    const c = data.forms.codes,
      looked = node.m[i].rows.some((r) => r.step === c.STEP_CONSUME_HIT || r.step === c.STEP_CONSUME_MISS);
    return isCharge(c, node.op[0]) && !looked ? { pages: count(node.op[3], "page") } : null;
  },
  // the drift
  bound({ data, tree, node }) {
    const ahead = VALUES.ahead(node.m[1].state, tree);
    return ahead === tree.cpus * data.machines[1].batch ? { pages: count(ahead, "page") } : null;
  },
  beyond({ data, tree, node, shown }) {
    const i = shown.at(-1),
      ahead = VALUES.ahead(node.m[i].state, tree);
    return ahead > tree.cpus * data.machines[i].batch ? { pages: count(ahead, "page") } : null;
  },
  settled({ tree, node, shown }) {
    const i = shown.at(-1),
      { ahead } = VALUES;
    if (ahead(node.m[i].state, tree) || !ahead(node.parent.m[i].state, tree)) return null;
    return { operations: count(node.k, "operation") };
  },
};

// ---------------------------------------------------------------------------------------------------- 8 render
const SPEEDS = [0.25, 0.5, 1, 2, 4, 16, 64];
const LINK_MAX = 2000;
/** Where the button next to "Step" goes: to the next operation in whose log one of these steps stands. */
const JUMPS = {
  drain: { label: "Next drain", title: "Go on to the next operation in which a stock is emptied", steps: ["STEP_DRAIN"], none: "no drain" },
  refusal: { label: "Next refusal", title: "Go on to the next operation that some level refuses", steps: ["STEP_FAILCNT"], none: "no refusal" },
  trip: {
    label: "Next trip",
    title: "Go on to the next operation that goes to the counters",
    steps: ["STEP_TRY_ADD", "STEP_CHARGE_ADD", "STEP_CANCEL"],
    none: "no trip",
  },
};
const WIDE = 900; // pixels from which the machines stand side by side
let instances = 0;

const OP = /^(\d)(?:([ab])([-.])([1-9]\d?)|=([1-9]):(-1|\d{1,6}))(?:x(\d{1,3}))?$/;

/** A walk as text and back: 0a.1x3 = CPU 0 charges 1 page to A three times; 1b-2 gives 2 of B back; 0=2:48 limits memcg 2. */
function packOps(data, tree, ops) {
  const c = data.forms.codes,
    one = ([code, cpu, memcg, nr]) =>
      code === c.SET_MAX ? `${cpu}=${memcg}:${nr}` : `${cpu}${"ab"[memcg - tree.first]}${isCharge(c, code) ? "." : "-"}${nr}`;
  return runsOf(ops, one)
    .map(([text, times]) => (times > 1 ? `${text}x${times}` : text))
    .join(",");
}
/** The operations, up to the first that is not understood or not there in this tree. */
function unpackOps(data, tree, text) {
  const ops = [],
    { codes: c, ops: names } = data.forms,
    { charge, back, ctx } = data.hand;
  for (const one of text === "" ? [] : text.split(",")) {
    const found = OP.exec(one);
    if (!found) return { ops, understood: false };
    const [, cpu, leaf, sign, nr, memcg, limit, times = "1"] = found;
    const op = leaf
      ? [names.indexOf(sign === "." ? charge : back), +cpu, tree.first + "ab".indexOf(leaf), +nr, ctx]
      : [c.SET_MAX, +cpu, +memcg, +limit, c.TASK];
    if (op[1] >= tree.cpus || op[2] >= tree.parents.length) return { ops, understood: false };
    for (let n = 0; n < +times; n++) ops.push(op);
  }
  return { ops, understood: true };
}
function runsOf(list, text) {
  const runs = [];
  for (const item of list.map(text)) {
    if (runs.at(-1)?.[0] === item && runs.at(-1)[1] < 999) runs.at(-1)[1]++;
    else runs.push([item, 1]);
  }
  return runs;
}

/** The walk as a cell of a notebook, for whoever wants to go on there. */
function asPython(data, tree, ops, shown) {
  const told = ([code, cpu, memcg, nr, ctx]) => `op("${data.forms.ops[code]}", cpu=${cpu}, memcg=${memcg}, nr=${nr}, ctx=${ctx})`;
  const lines = runsOf(ops, told).map(([text, times]) => `    ${times > 1 ? `*[${text}] * ${times}` : text},`);
  const policies = shown.map((i) => `"${data.machines[i].policy}"`).join(", ");
  return [
    "import numpy as np",
    "from memcg_lab import POLICIES, System, op",
    "",
    "ops = np.concatenate([",
    ...lines,
    "])",
    `for policy in (${policies}):`,
    `    system = System([${tree.parents.join(", ")}], cpus=${tree.cpus}, policy=POLICIES[policy]${tree.limits ? `, limits=[${tree.limits.join(", ")}]` : ""})`,
    "    log = system.step_through(ops)",
    '    print(policy, log.atomics(), "atomics")',
    "",
  ].join("\n");
}

async function renderStage({ data, settings: given, lab, ask, place, change, el, selfCheck }) {
  const c = data.forms.codes,
    calm = matchMedia("(prefers-reduced-motion: reduce)"),
    id = instances++,
    paired = data.sides.length > 1,
    settings = { ...given };
  const high = Object.fromEntries(data.numbers.map((number) => [number.name, number.high]));
  for (const { name, label, high: most } of data.numbers)
    if (settings[name] > most) throw new Error(`${label}: the stage shows up to ${most}.`);
  let tree,
    walks,
    pictures,
    branch,
    nodes,
    position = 0; // whole: settled; else on the way to the next operation
  let right = data.choice ? data.sides.at(-1)[Math.max(0, data.choice.values.indexOf(settings[data.choice.name]))] : data.sides.at(-1)[0],
    target = null,
    playing = false,
    speed = 1,
    size = 1,
    leaf = 0,
    hand = 0,
    hot = -1,
    last = 0,
    frame = 0,
    notice = "";
  const stats = { frames: 0, worst: 0, work: 0 };
  const shown = () => [...data.sides.slice(0, -1).map(([i]) => i), right];

  // --- controls
  const button = (label, title, key, act, name = "") =>
    make(
      "button",
      { type: "button", title: key ? `${title} (key: ${key})` : title, class: name, onclick: act, "aria-keyshortcuts": key || null },
      label,
    );
  const labelled = (text, box, extra) => make("label", { class: extra }, make("span", {}, text), box);
  const choice = (options, value, act) => {
    const box = make("select", { onchange: () => act(box.value) }, ...options.map(([v, text]) => make("option", { value: v }, text)));
    box.value = value;
    return box;
  };
  const whole = (low, high, value, act) => {
    const box = make("input", {
      type: "number",
      min: low,
      max: high,
      value,
      onchange: () => {
        const given = Math.round(Number(box.value));
        act(box.value === "" || !Number.isFinite(given) ? null : Math.max(+box.min, Math.min(+box.max, given)), box);
      },
    });
    return box;
  };
  const jump = JUMPS[data.jump],
    jumps = (node) => !!node.op && node.m[right].rows.some((r) => jump.steps.some((name) => r.step === c[name]));
  const trafficBox = choice([], "", (value) => later(() => choose(walks.branches[+value], null)));
  const speedBox = choice(
    SPEEDS.map((s) => [s, s < 1 ? `\u00d71/${1 / s}` : `\u00d7${s}`]),
    1,
    (value) => (speed = +value),
  );
  const placeBox = whole(0, 0, 0, (k, box) => {
    if (k !== null) go(k);
    box.value = Math.ceil(position);
  });
  const ofAll = make("span", { class: "of" });
  const playButton = button("Play", "Play or pause", "Space", () => toggle(), "main");
  const bar = make(
    "div",
    { class: paired ? "bar" : "bar wide", role: "toolbar", "aria-label": "Moving through the traffic" },
    labelled("Traffic", trafficBox, "first"),
    button("Back", "One operation back", "ArrowLeft", () => go(Math.ceil(position) - 1)),
    playButton,
    button("Step", "Execute the next operation", "ArrowRight", () => playTo(Math.floor(position) + 1)),
    button(jump.label, jump.title, "n", () => seek(jumps, data.words[jump.none])),
    paired &&
      button("Next difference", "Go on to the next operation in which the machines do not do the same", "x", () =>
        seek((node) => differs(node, shown()), data.words["no difference"]),
      ),
    labelled("Operation", placeBox),
    ofAll,
    labelled("Speed", speedBox),
  );
  const voice = voiceOf(),
    { status } = voice;

  // --- the reader's hands
  const sizeBox = whole(1, data.pages, 1, (n) => setSize(n ?? size));
  sizeBox.setAttribute("aria-label", `Pages a call, 1 to ${data.pages}`);
  const leafRow = make("div", { class: "pick", role: "radiogroup", "aria-label": "Cgroup" });
  const handBox = choice([], "", (value) => setHand(+value));
  const charge = button("", paired ? "Charge on every machine" : "Charge", "q", () => act(data.hand.charge)),
    giveBack = button("", paired ? "Give back on every machine" : "Give back", "a", () => act(data.hand.back));
  const undo = button("Undo", "Take the last operation back; it stays on its branch", "z", () => go(Math.ceil(position) - 1));
  const limitOf = choice([], "", () => showLimit()),
    limitBox = make("input", { type: "number", min: 0, max: 99999, placeholder: "none", "aria-label": "Limit in pages; empty for none" });
  const setLimit = button("Set limit", "Write memory.max of this counter; it is an operation like any other", "", () => limit());
  [
    [charge, "Q"],
    [giveBack, "A"],
    [undo, "Z"],
  ].forEach(([b, key]) => (b.dataset.key = key));
  const spine = make(
    "section",
    { class: "spine", "aria-label": paired ? "Your own traffic, for all machines" : "Your own traffic" },
    make("div", { class: "title" }, "Your traffic"),
    leafRow,
    labelled("on", handBox),
    make(
      "div",
      { class: "pick" },
      button("\u2212", "One page less a call", "[", () => setSize(size - 1), "small"),
      sizeBox,
      button("+", "One page more a call", "]", () => setSize(size + 1), "small"),
    ),
    charge,
    giveBack,
    undo,
    make("fieldset", {}, make("legend", {}, "Limit"), make("div", { class: "pick" }, limitOf, limitBox), setLimit),
  );
  limitOf.setAttribute("aria-label", "Counter whose limit is set");

  // --- the machines, with the lines of the patch
  const sides = data.sides.map((machines, side) => {
    const chooses = machines.length > 1;
    const title = chooses
      ? choice(
          machines.map((i) => [i, data.machines[i].title]),
          right,
          (value) => setRight(+value),
        )
      : make("span", {}, data.machines[machines[0]].title);
    if (chooses) title.setAttribute("aria-label", paired ? "Machine on the right" : "Machine");
    const version = make("span", { class: "soft" }),
      sum = make("span", { class: "sum" }),
      code = make("div", { class: "lines" });
    const lines = data.lines.map(({ sign, text }, n) => {
      const note = make("span", { class: "note" }),
        on = () => setHot(n),
        off = () => setHot(-1);
      const row = make(
        "button",
        { type: "button", class: "code", onmouseenter: on, onmouseleave: off, onfocus: on, onblur: off },
        make("span", { class: "sign" }, sign),
        make(sign === "+" ? "ins" : "del", {}, (data.cap_lines[1] === n ? "    " : "") + text),
        note,
      );
      code.append(row);
      return { row, note };
    });
    if (!side)
      code.append(
        make(
          "div",
          { class: "code legend" },
          make("i", { class: "bar-mark" }),
          "ATOMIC on a shared line",
          make("i", { class: "dot-mark" }),
          "own memory",
        ),
        make("div", { class: "code legend keys" }, "Tag: the CPU that has the line. Keys: space \u2190 \u2192 N X , ."),
      );
    const holder = make("div"),
      section = make("div", { role: "group" }, make("div", { class: "head" }, title, version, sum), holder, code);
    return { section, holder, version, sum, lines, code };
  });
  // With one machine there is room for the steps of the operation, in words.
  const walk = paired ? null : make("ol", { class: "walk", tabindex: 0, "aria-label": "The steps of this operation" });

  // --- below them
  const chart = new Chart(data, (k) => go(k)),
    plot = make("div", { class: "plot" }, chart.svg);
  const quests = questList(data.quests, "Three things to find with your own traffic");
  const foot = make(
    "div",
    { class: "foot" },
    plot,
    quests.root,
  );
  const boxes = data.numbers.map(({ name, label, low, high: most }) =>
    labelled(
      label,
      whole(low, most, settings[name], (value, box) => {
        if (value !== null && value !== settings[name]) later(() => rebuild({ [name]: value }));
        box.value = settings[name];
      }),
    ),
  );
  const table = make("table"),
    copied = make("textarea", { readonly: true, "aria-label": "Text to copy", hidden: true, rows: 6 });
  const more = make(
    "div",
    { class: "bar more", role: "group", "aria-label": "Settings" },
    ...boxes,
    place &&
      button("Copy link", "A link to this traffic and this place", "", () =>
        here().length > LINK_MAX ? say(data.words["long link"]) : copy(place.link(here())),
      ),
    button("Copy as Python", "This traffic as a cell of a notebook", "", () =>
      copy(
        asPython(
          data,
          tree,
          nodes.slice(1).map((n) => n.op),
          shown(),
        ),
      ),
    ),
    selfCheck && button("Check", "Run the kernel's own answers in this browser", "", () => checkHere()),
  );
  const numbers = make("details", { ontoggle: () => showTable() }, make("summary", {}, "The same as a table"), table);
  const root = make(
    "div",
    { class: "stage", tabindex: -1, role: "region", "aria-label": data.title },
    bar,
    status,
    voice.live,
    make("div", { class: paired ? "two" : "two alone" }, spine, ...sides.map(({ section }) => section), walk),
    foot,
    more,
    copied,
    numbers,
  );
  el.replaceChildren(root);
  voice.wake(root);

  // --- what moves
  function show() {
    const k = Math.ceil(position),
      node = nodes[k];
    scored(data, node);
    const time = position === k ? Infinity : (position - k + 1) * node.length;
    pictures.forEach((picture, side) => {
      picture.hot = hot;
      picture.draw(node, time);
      const { lines, sum } = sides[side];
      put(sum, "text", count(picture.atomics, "atomic"));
      lines.forEach(({ row, note }, n) => {
        put(row, "class", `code sign-${data.lines[n].sign === "+" ? "plus" : "minus"} ${picture.lit[n]}${hot === n ? " hot" : ""}`);
        put(note, "text", picture.note[n]);
      });
    });
    if (walk) showWalk(pictures[0], node, time);
    chart.move(nodes, position);
    put(status, "text", hot >= 0 ? often() : notice || sentence(data, tree, node, nodes.length - 1, shown()));
    put(playButton, "text", playing ? "Pause" : "Play");
    if (focused() !== placeBox) placeBox.value = k;
  }
  const focused = () => root.getRootNode().activeElement;

  /** The steps of the operation as a list; the one that runs is marked and in sight. */
  function showWalk(picture, node, time) {
    const { rows } = node.m[picture.i],
      score = node.op && node.score[picture.i];
    if (walk.node !== node || walk.machine !== picture.i) {
      Object.assign(walk, { node, machine: picture.i });
      let called = "";
      walk.replaceChildren(
        ...(node.op ? picture.visible(node.m[picture.i]) : []).map((k) => {
          const step = data.forms.steps[rows[k].step],
            by = step.function === called ? "" : step.function;
          called = step.function;
          const item = make(
            "li",
            { onclick: () => picture.onStep(k) },
            by && make("code", {}, by),
            make("span", { class: "rule" }, step.rule),
            make("span", { class: "value" }, picture.changed(rows[k])),
            step.atomic && make("b", {}, "ATOMIC"),
          );
          item.k = k;
          return item;
        }),
      );
    }
    for (const item of walk.children) {
      const now = score && time < score.length && score.from[item.k] <= time && time < score.to[item.k],
        past = score && score.at[item.k] <= time;
      if (now && !item.classList.contains("now")) walk.scrollTop = item.offsetTop - walk.clientHeight / 2;
      put(item, "class", now ? "now" : past ? "past" : "");
    }
  }

  const ranLine = (n, i) => (node) => {
    const s = scored(data, node)[i];
    return n === data.cap_lines[0] ? !!s.cap : s.line.includes(n);
  };
  /** In how many operations the line that is pointed at ran so far. */
  function often() {
    const past = nodes.slice(1, Math.ceil(position) + 1),
      operations = count(past.length, "operation");
    return shown()
      .filter((i) => hasLine(hot, i))
      .map((i) =>
        fill(data.words.ran, {
          machine: data.machines[i].name,
          line: data.lines[hot].text,
          times: past.filter(ranLine(hot, i)).length,
          operations,
        }),
      )
      .join(" ");
  }
  const hotTest = () => (hot < 0 ? null : (node) => shown().some((i) => hasLine(hot, i) && ranLine(hot, i)(node)));
  const hasLine = (n, i) => (data.lines[n].sign === "+") === data.machines[i].hunks.includes(data.lines[n].hunk);

  const speak = (text) => voice.speak(text, playing ? 4000 : 0);

  function say(text) {
    halt();
    notice = text;
    show();
    speak(text);
  }

  /** Something came to rest at a whole position. */
  function settle() {
    const node = nodes[position];
    pictures.forEach((picture) => picture.describe(node, data.machines[picture.i].title));
    put(
      chart.cursor,
      "aria-valuetext",
      `${position} of ${nodes.length - 1}: ${shown()
        .map((i) => `${data.machines[i].name} ${count(node.m[i].state.atomics, "atomic")}`)
        .join(", ")}`,
    );
    let text = notice || sentence(data, tree, node, nodes.length - 1, shown());
    data.quests.forEach((quest, n) => {
      const answer = !quests.found[n] && node.mine && RECOGNISE[quest.name]({ data, tree, node, shown: shown() });
      if (!answer) return;
      quests.find(n, fill(quest.found, answer));
      text += ` ${fill(data.words.found, { found: quests.found[n] })}`;
    });
    showTable();
    showLimit();
    speak(text);
    remember();
  }

  function showTable() {
    if (!numbers.open) return;
    const node = nodes[Math.ceil(position)],
      states = shown().map((i) => node.m[i].state),
      most = c.PAGE_COUNTER_MAX;
    const { words } = data,
      row = (field, at, told = (v) => v) => [fill(words[field], at), ...states.map((s) => told(field === "atomics" ? s.atomics : s[field][at.n]))];
    const rows = [
      row("atomics", {}),
      ...tree.names.flatMap((cgroup, n) => [
        row("counter.count", { cgroup, n }),
        row("counter.limit", { cgroup, n }, (v) => (v < most ? v.toLocaleString("en") : words.none)),
        row("memcg.css", { cgroup, n }),
        row("counter.watermark", { cgroup, n }),
        row("counter.failcnt", { cgroup, n }),
      ]),
      ...states[0]["stock.memcg"].flatMap((_, cpu) => [
        row("stock.nr_pages", { cpu, n: cpu }),
        row("stock.memcg", { cpu, n: cpu }, (v) => tree.names[v] ?? words.none),
      ]),
      ...tree.names.slice(tree.first).map((cgroup, n) => row("sock", { cgroup, n: tree.first + n })),
    ];
    const cells = (tag, values) =>
      make(
        "tr",
        {},
        ...values.map((v, n) =>
          make(n && tag === "td" ? "td" : "th", { scope: n && tag === "td" ? null : tag === "td" ? "row" : "col" }, String(v)),
        ),
      );
    table.replaceChildren(
      make("thead", {}, cells("th", [fill(words.after, { operations: count(node.k, "operation") }), ...shown().map((i) => data.machines[i].name)])),
      make("tbody", {}, ...rows.map((row) => cells("td", row))),
    );
  }

  // --- the place: where the reader is, as settings and as a link
  let writing = 0;
  const side = data.choice && data.sides.at(-1);
  function here() {
    const own = branch.mine ? nodes.slice(branch.base + 1).map((node) => node.op) : [];
    const parts = data.numbers.map(({ name, key }) => `${key}=${settings[name]}`);
    if (side) parts.push(`r=${side.indexOf(right)}`);
    parts.push(`t=${branch.traffic}`, `p=${Math.ceil(position)}`);
    if (own.length) parts.push(`f=${branch.base}`, `o=${packOps(data, tree, own)}`);
    return parts.join("&");
  }
  function remember() {
    clearTimeout(writing);
    if (change) {
      const told = Object.fromEntries(data.numbers.map(({ name }) => [name, settings[name]]));
      if (side) told[data.choice.name] = data.choice.values[side.indexOf(right)];
      // What is the reader's own has no name that Python knows: its settings stay at what was given.
      if (!branch.mine && branch.given.length) Object.assign(told, { traffic: branch.name, position: Math.ceil(position) });
      change(Object.fromEntries(Object.entries(told).filter(([name]) => name in given)));
    }
    if (!place) return;
    const text = here();
    if (text.length <= LINK_MAX) writing = setTimeout(() => place.set(text), playing ? 1500 : 250);
  }
  /** Settings, and the reader's own operations, as a link has them. */
  function read(text) {
    const asked = new URLSearchParams(text),
      whole = (name, low, most, otherwise) => {
        const value = Math.round(Number(asked.get(name) ?? otherwise));
        return Number.isFinite(value) ? Math.max(low, Math.min(most, value)) : otherwise;
      };
    const wanted = Object.fromEntries(data.numbers.map(({ name, key, low }) => [name, whole(key, low, high[name], settings[name])]));
    if (side) wanted[data.choice.name] = data.choice.values[whole("r", 0, side.length - 1, side.indexOf(right))];
    const traffics = Object.keys(data.traffic);
    if (asked.has("t")) wanted.traffic = traffics[whole("t", 0, traffics.length, 0)] ?? null;
    if (asked.has("p")) wanted.position = whole("p", 0, 1e6, 0);
    return { wanted, fork: whole("f", 0, 1e6, 0), own: asked.get("o") ?? "" };
  }
  async function arrive({ wanted, fork = 0, own = "" }) {
    Object.assign(settings, wanted);
    if (settings.limit_level > settings.depth) settings.limit_level = settings.depth;
    if (side) right = side[Math.max(0, data.choice.values.indexOf(settings[data.choice.name]))];
    await build();
    const at = walks.branches.find(({ name }) => name === settings.traffic) ?? (settings.traffic === null ? walks.branches.at(-1) : walks.branches[0]);
    nodes = await walks.nodes(at);
    branch = at;
    if (own) {
      const asks = unpackOps(data, tree, own),
        was = await walks.act(at, Math.min(fork, nodes.length - 1), asks.ops);
      branch = was.branch;
      nodes = branch.nodes;
      notice = asks.understood && !was.refused ? "" : fill(data.words["bad link"], { operations: count(was.k, "operation") });
    }
    position = Math.max(0, Math.min(nodes.length - 1, settings.position ?? 0));
  }

  // What asks a kernel may take a moment: one after the other.
  let queue = Promise.resolve();
  const later = (work) =>
    (queue = queue.then(work).catch((error) => {
      say(error.message);
    }));

  /** Machines of this size; traffic starts anew on them. */
  async function build() {
    const next = treeOf(data, settings),
      made = new Walks(lab ? new Kernels(lab, data, next) : new Asked(ask, data, next), data, next, settings);
    await made.begin();
    tree = next;
    walks = made;
    pictures = sides.map(({ holder }, n) => {
      const picture = new Picture(data, tree);
      picture.onStep = (row) => {
        halt();
        const k = Math.ceil(position);
        position = k - 1 + Math.min(0.999, (nodes[k].score[picture.i].at[row] + 1) / nodes[k].length);
        show();
      };
      holder.replaceChildren(picture.svg);
      picture.i = shown()[n];
      return picture;
    });
    boxes.forEach((box, n) => (box.querySelector("input").value = settings[data.numbers[n].name]));
    leafRow.replaceChildren(
      ...Array.from({ length: tree.leaves }, (_, n) =>
        make(
          "label",
          { class: "radio" },
          make("input", { type: "radio", name: `stage-cgroup-${id}`, value: n, onchange: () => setLeaf(n) }),
          make(
            "svg",
            { width: 12, height: 12, viewBox: "0 0 10 10", "aria-hidden": "true" },
            make("path", { d: PAGE[n], class: `page-${data.letters[n].toLowerCase()}` }),
          ),
          ` ${data.letters[n]}`,
        ),
      ),
    );
    handBox.replaceChildren(...Array.from({ length: tree.cpus }, (_, cpu) => make("option", { value: cpu }, `CPU ${cpu}`)));
    limitOf.replaceChildren(...tree.names.map((name, m) => (m === 0 ? null : make("option", { value: m }, name))).filter(Boolean));
    limitOf.value = tree.first;
    setLeaf(Math.min(leaf, tree.leaves - 1));
    setHand(Math.min(hand, tree.cpus - 1));
  }
  async function rebuild(wanted) {
    halt();
    notice = "";
    // The reader's own operations name cgroups of the old tree.
    await arrive({ wanted: { ...wanted, traffic: branch.traffic < Object.keys(data.traffic).length ? Object.keys(data.traffic)[branch.traffic] : null, position: 0 } });
    fit();
    settle();
  }
  function setRight(i) {
    right = i;
    if (side) settings[data.choice.name] = data.choice.values[side.indexOf(right)];
    pictures.at(-1).i = i;
    dress();
    refresh();
    notice = "";
    if (position === Math.ceil(position)) settle();
    show();
  }
  function dress() {
    sides.forEach(({ section, version, lines }, n) => {
      const i = shown()[n],
        machine = data.machines[i];
      section.className = `machine m${i}`;
      section.setAttribute("aria-label", machine.title);
      version.textContent = machine.version;
      lines.forEach(({ row }, n) => (row.hidden = !hasLine(n, i)));
    });
    if (side) sides.at(-1).section.querySelector("select").value = right;
  }

  // --- time
  function tick(now) {
    frame = 0;
    const begun = performance.now(),
      dt = Math.min(100, now - last);
    if (last) {
      stats.frames++;
      stats.worst = Math.max(stats.worst, now - last);
    }
    last = now;
    let left = dt * speed;
    const goal = target ?? nodes.length - 1;
    while (left > 0 && position < goal) {
      const k = Math.floor(position) + 1,
        node = nodes[k];
      scored(data, node);
      const rest = (k - position) * node.length;
      if (calm.matches || rest <= left) {
        position = k;
        left = calm.matches ? 0 : left - rest;
        if (k === goal || speed <= 4) settle();
      } else {
        position += left / node.length;
        left = 0;
      }
    }
    if (position >= goal) {
      position = goal;
      playing = false;
      target = null;
      settle();
    }
    show();
    stats.work = Math.max(stats.work, performance.now() - begun);
    if (playing || target !== null) want();
    else last = 0;
  }
  function want() {
    if (frame) return;
    frame = calm.matches
      ? setTimeout(
          () => {
            last = 0;
            tick(performance.now());
          },
          900 / Math.min(speed, 16),
        )
      : requestAnimationFrame(tick);
  }
  function halt() {
    playing = false;
    target = null;
    last = 0;
    cancelAnimationFrame(frame);
    clearTimeout(frame);
    frame = 0;
  }
  function go(k) {
    halt();
    notice = "";
    position = Math.max(0, Math.min(nodes.length - 1, k));
    settle();
    show();
  }
  function playTo(k) {
    halt();
    notice = "";
    if (k >= nodes.length || calm.matches) return go(k);
    position = k - 1;
    target = k;
    show();
    want();
  }
  /** One step of the log forwards or back, on the machine whose step comes next. */
  function creep(way) {
    halt();
    notice = "";
    const settled = position === Math.ceil(position),
      k = way > 0 && settled ? position + 1 : Math.ceil(position);
    if (k >= nodes.length || k < 1) return;
    const node = nodes[k],
      scores = scored(data, node),
      now = settled ? (way > 0 ? -1 : Infinity) : (position - k + 1) * node.length;
    const times = [...new Set(pictures.flatMap((p) => p.visible(node.m[p.i]).map((row) => scores[p.i].at[row] + 1)))].sort((a, b) => a - b);
    const next = way > 0 ? times.find((t) => t > now + 0.5) : times.findLast((t) => t < now - 0.5);
    position = next === undefined ? (way > 0 ? k : k - 1) : k - 1 + next / node.length;
    if (next === undefined) settle();
    show();
  }
  function toggle() {
    notice = "";
    if (playing || target !== null) halt();
    else {
      if (position >= nodes.length - 1) position = 0;
      playing = true;
      want();
    }
    show();
  }
  function seek(test, none) {
    const k = nodes.findIndex((node, n) => n > position && test(node));
    if (k < 0) say(none);
    else playTo(k);
  }

  // --- branches
  async function choose(next, k) {
    nodes = await walks.nodes(next);
    branch = next;
    if (!branch.mine) settings.traffic = branch.given.length ? branch.name : null;
    refresh();
    go(k ?? (branch.mine ? nodes.length - 1 : 0));
  }
  function refresh() {
    const option = (b) =>
      make(
        "option",
        { value: walks.branches.indexOf(b) },
        b.mine ? `${b.name}: ${count(b.nodes.length - 1 - b.fork, "operation")} from ${b.fork} on` : b.name,
      );
    const mine = walks.branches.filter((b) => b.mine);
    trafficBox.replaceChildren(
      make("optgroup", { label: "Given" }, ...walks.branches.filter((b) => !b.mine).map(option)),
      ...(mine.length ? [make("optgroup", { label: "Yours: all of it is kept" }, ...mine.map(option))] : []),
    );
    trafficBox.value = walks.branches.indexOf(branch);
    placeBox.max = nodes.length - 1;
    ofAll.textContent = `of ${(nodes.length - 1).toLocaleString("en")}`;
    chart.show({
      nodes,
      branch,
      branches: walks.branches,
      shown: [...new Set([...shown(), ...(paired ? data.sides.map(([i]) => i) : [])])].sort(),
      machines: data.machines,
      tree,
      settings,
      onBranch: (b) => later(() => choose(b, null)),
    });
    chart.mark(nodes, hotTest(), jumps);
  }
  const perform = (op) =>
    later(async () => {
      const k = Math.ceil(position),
        answer = await walks.act(branch, k, [op]);
      if (answer.refused) {
        position = k;
        const reason = Object.keys(c).find((name) => name.startsWith("BAD_") && c[name] === answer.refused.reason),
          { allowed } = answer.refused,
          { words } = data;
        return say(fill(words[reason] ?? words.refused, { reason, allowed, cgroup: tree.names[op[2]], pages: count(allowed, "page") }));
      }
      branch = answer.branch;
      nodes = branch.nodes;
      refresh();
      playTo(answer.k);
    });
  const act = (name) => perform([data.forms.ops.indexOf(name), hand, tree.first + leaf, size, data.hand.ctx]);
  function limit() {
    if (limitBox.validity.badInput) {
      limitBox.value = "";
      return say(data.words["no number"]);
    }
    const pages = limitBox.value === "" ? -1 : Math.max(0, Math.min(99999, Math.round(Number(limitBox.value))));
    perform([c.SET_MAX, hand, +limitOf.value, pages, c.TASK]);
  }
  function showLimit() {
    if (focused() === limitBox) return;
    const pages = nodes[Math.ceil(position)].m[0].state["counter.limit"][+limitOf.value];
    limitBox.value = pages < c.PAGE_COUNTER_MAX ? pages : "";
  }
  function setSize(n) {
    size = Math.max(1, Math.min(data.pages, n));
    name();
  }
  function setLeaf(n) {
    leaf = n;
    leafRow.querySelectorAll("input").forEach((input, at) => (input.checked = at === n));
    name();
  }
  function setHand(cpu) {
    hand = cpu;
    handBox.value = cpu;
    name();
  }
  function name() {
    const what = `${count(size, "page")} of ${data.letters[leaf]}`;
    sizeBox.value = size;
    charge.textContent = `charge ${size}`;
    giveBack.textContent = `give back ${size}`;
    charge.setAttribute("aria-label", `CPU ${hand}: charge ${what}`);
    giveBack.setAttribute("aria-label", `CPU ${hand}: give back ${what}`);
  }
  handBox.setAttribute("aria-label", "CPU that does it");
  function setHot(n) {
    hot = n;
    chart.mark(nodes, hotTest(), jumps);
    show();
    if (hot >= 0) speak(often());
  }

  // --- to take along, and to check
  async function copy(text) {
    copied.value = text;
    copied.hidden = false;
    try {
      await navigator.clipboard.writeText(text);
      say(data.words.copied);
    } catch {
      copied.focus();
      copied.select();
      say(data.words["to copy"]);
    }
  }
  async function checkHere() {
    const numbers = (so) => ({
      operations: count(so.ops, "operation"),
      fields: so.fields.toLocaleString("en"),
      mismatches: so.mismatches.length,
    });
    const { words } = data;
    const answer = await selfCheck((so) => say(fill(words.checking, numbers(so))));
    const states = { states: walks.ran.toLocaleString("en"), differences: walks.disagreements };
    const wrong = answer.mismatches.slice(0, 1).map((first) => fill(words["first mismatch"], first));
    say([fill(words.checked, { ...numbers(answer), ...states }), ...wrong].join(" "));
    return answer;
  }

  // --- keys
  const keys = {
    " ": toggle,
    ArrowRight: () => playTo(Math.floor(position) + 1),
    ArrowLeft: () => go(Math.ceil(position) - 1),
    Home: () => go(0),
    End: () => go(nodes.length - 1),
    PageUp: () => go(Math.ceil(position) + 10),
    PageDown: () => go(Math.ceil(position) - 10),
    n: () => seek(jumps, data.words[jump.none]),
    x: () => paired && seek((node) => differs(node, shown()), data.words["no difference"]),
    q: () => act(data.hand.charge),
    a: () => act(data.hand.back),
    z: () => go(Math.ceil(position) - 1),
    c: () => setHand((hand + 1) % tree.cpus),
    g: () => setLeaf((leaf + 1) % tree.leaves),
    ".": () => creep(1),
    ",": () => creep(-1),
    "[": () => setSize(size - 1),
    "]": () => setSize(size + 1),
  };
  root.addEventListener("keydown", (e) => {
    const call = keys[e.key],
      box = e.target.closest("select, input, textarea, summary");
    if (!call || box || e.altKey || e.metaKey || e.ctrlKey) return;
    if (e.key === " " && e.target.closest("button")) return;
    e.preventDefault();
    e.stopPropagation(); // a notebook has keys of its own
    call();
  });

  // --- sizes
  function fit() {
    const narrow = root.clientWidth < WIDE;
    root.classList.toggle("narrow", narrow);
    dress();
    pictures.forEach((picture, side) => {
      picture.i = shown()[side];
      picture.layout(Math.max(320, sides[side].holder.clientWidth), narrow ? 280 : 272);
    });
    chart.layout(Math.max(300, plot.clientWidth), 96);
    refresh();
    show();
  }
  const observer = new ResizeObserver(fit);
  const begin = place?.get();
  await arrive(begin ? read(begin) : { wanted: {} });
  fit();
  settle();
  observer.observe(root);
  const leave = () => {
    halt();
    voice.leave();
    observer.disconnect();
  };
  const come = (asked) =>
    later(async () => {
      halt();
      notice = "";
      await arrive(asked);
      fit();
      settle();
    });
  return {
    root,
    go,
    creep,
    perform,
    playTo,
    toggle,
    come: (text) => text !== here() && come(read(text)),
    set: (wanted) => come({ wanted }),
    say,
    leave,
    stats,
    get found() {
      return quests.found;
    },
    here,
    ready: performance.now(),
    inner: { data, readState, copyState, sameState, follow, rowsOf, sentence, linesOf, chart }, // for the tests
    check: checkHere,
    seek: (p) => {
      halt();
      position = Math.max(0, Math.min(nodes.length - 1, p));
      show();
    },
    get position() {
      return position;
    },
    get nodes() {
      return nodes;
    },
    get walks() {
      return walks;
    },
    get tree() {
      return tree;
    },
    get pictures() {
      return pictures;
    },
  };
}
