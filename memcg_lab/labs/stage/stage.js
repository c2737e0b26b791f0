/* stage.js: one machine or up to four, one traffic, in a picture that moves. The rules run in compiled kernels; this file shows
 * them. What differs from lab to lab stands in its data (labs/staged.py): machines, settings, traffic, chart, quests.
 *
 *   1 states    what a kernel holds, read from its memory or followed along its step log
 *   2 walks     operations with branches, a state every so many of them; kernels of this page or Python run them
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
/** What was handed out: no step of the kernel changes it, the answer to the caller does. */
const BOOKS = ["memcg.held", "memcg.sock_held"];
const add = (numbers) => numbers.reduce((a, b) => a + b, 0);

/** The state as it stands in a system's arrays: a list of numbers for each field, and the atomics on counters. */
export function readState(system) {
  const { parents, cpus, tables } = system,
    n = parents.length,
    state = {};
  const column = (array, field) => Array.from(tables[array].column(field, 0, array === "counter" ? n : tables[array].length));
  for (const name of [...FIELDS, ...BOOKS]) state[name] = column(...name.split("."));
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

/** What the caller of an operation got, put into the books. ledger: for each operation {field, sign, answer}. */
export function book(ledger, state, [code, , memcg, nr], answer) {
  const rule = ledger[code];
  if (rule && (rule.answer === null || rule.answer === answer)) state[rule.field][memcg] += rule.sign * nr;
}

export function copyState(state) {
  const copy = { atomics: state.atomics };
  for (const name of FIELDS) copy[name] = state[name].slice();
  for (const name of BOOKS) copy[name] = state[name].slice();
  return copy;
}
const agree = (names, a, b) => names.every((name) => a[name].every((x, i) => x === b[name][i]));
export const sameState = (a, b) => a.atomics === b.atomics && agree(FIELDS, a, b);

/** A log as plain rows; or those from `begin` to `end`. */
export function rowsOf(log, begin = 0, end = log.length) {
  const names = Object.keys(log.form.fields),
    columns = names.map((name) => log.column(name, begin, end)),
    rows = [];
  for (let k = 0; k < end - begin; k++) {
    const row = {};
    for (let i = 0; i < names.length; i++) row[names[i]] = columns[i][k];
    rows.push(row);
  }
  return rows;
}

/** A log read in place: `run(o, state, line)` follows the rows of operation o, and makes no object for any of them. */
class Reader {
  constructor(data, log, ops) {
    const { fields, size } = log.form,
      { offset } = fields.step;
    Object.assign(this, { data, log, ops, low: log.low, high: log.high, width: size / 4 });
    this.place = Object.fromEntries(["op", "cpu", "where", "before", "after"].map((name) => [name, fields[name].offset / 4]));
    const { buffer, byteOffset, length } = log.bytes,
      short = new Int16Array(buffer, byteOffset, length / 2);
    this.step = (k) => short[(k * size + offset) / 2];
    this.edges = new Int32Array(ops.length + 1).fill(log.length);
    const { low, width, place } = this;
    for (let k = log.length - 1; k >= 0; k--) this.edges[low[k * width + place.op]] = k;
    for (let o = ops.length - 1; o >= 0; o--) this.edges[o] = Math.min(this.edges[o], this.edges[o + 1]);
  }
  number(k, name) {
    const at = k * this.width + this.place[name];
    return this.high[at + 1] * 4294967296 + this.low[at];
  }
  run(o, state, line) {
    const { steps, counter_atomic: atomic } = this.data.forms,
      returned = this.data.forms.codes.STEP_RETURN;
    for (let k = this.edges[o]; k < this.edges[o + 1]; k++) {
      const step = this.step(k),
        numbers = state[steps[step].field];
      if (numbers) {
        const where = this.number(k, "where"); // one slot a CPU in every machine of the stage
        if (where < numbers.length) numbers[where] += this.number(k, "after") - this.number(k, "before");
      }
      if (atomic[step]) {
        state.atomics++;
        line[this.number(k, "where")] = this.high[k * this.width + this.place.cpu];
      }
      if (step === returned) book(this.data.ledger, state, this.ops[o], this.number(k, "after"));
    }
  }
  rows(o) {
    return rowsOf(this.log, this.edges[o], this.edges[o + 1]);
  }
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

const CHUNK = 128; // operations between two states that are kept

/* A source runs operations behind an end: source.run(end, ops, past) -> a promise of {logs, ends, done, refused}. An end:
 * for each machine {state, line, saved}. logs, ends: for each machine its step log of the operations done, and {memory: the
 * state as the machine holds it, saved}. refused: what the kernel did not take, {reason, allowed}. source.start() gives an
 * end where all begins; source.most: operations that may be asked at once. */

/** The compiled kernels in this page: what a chunk's log was, they say again in less than a frame. */
class Kernels {
  constructor(lab, data, tree) {
    Object.assign(this, { lab, data, tree, most: CHUNK, longest: data.longest });
  }

  async start() {
    const { lab, data, tree } = this;
    await Promise.all(data.machines.map(({ policy }) => lab.need("steps", policy)));
    this.systems = data.machines.map(({ policy }) => lab.system({ ...tree, limits: tree.limits ?? undefined, policy }));
    return this.systems.map((system) => ({ saved: system.save(), memory: readState(system) }));
  }

  /** Each machine in turn after some operations. */
  *each(end, ops) {
    const stream = this.lab.ops(ops.map(([op, cpu, memcg, nr, ctx]) => ({ op, cpu, memcg, nr, ctx })));
    for (const [i, system] of this.systems.entries()) {
      system.restore(end[i].saved);
      yield { system, ...system.stepThrough(stream) };
    }
  }

  run(end, ops) {
    const logs = [],
      ends = [];
    for (const { system, log, done, reason, allowed } of this.each(end, ops)) {
      if (reason !== 0) return { ...this.run(end, ops.slice(0, done)), refused: { reason, allowed } };
      logs.push(log);
      ends.push({ saved: system.save(), memory: readState(system) });
    }
    return { logs, ends, done: ops.length };
  }

  logsOf({ before, ops }) {
    return Array.from(this.each(before, ops), ({ log }) => log);
  }

  savedAfter({ before, ops }) {
    return Array.from(this.each(before, ops), ({ system }) => system.save());
  }
}

/** Python, asked: it runs the whole walk and gives the new part of the log, as records, which is kept. */
class Asked {
  constructor(ask, data, tree) {
    Object.assign(this, { asks: ask, data, tree, most: Infinity, longest: data.longest_asked });
  }

  ask(past, ops) {
    const { parents, cpus, limits } = this.tree;
    return this.asks({ ask: "steps", tree: { parents, cpus, limits }, past, ops });
  }

  async start() {
    return (await this.ask([], [])).states.map((memory) => ({ memory }));
  }

  async run(end, ops, past) {
    const { states, blobs, refused } = await this.ask(past, ops),
      form = this.data.forms.records.step,
      done = refused ? refused.at : ops.length;
    const logs = blobs.map((blob) => {
      const bytes = blob.buffer.slice(blob.byteOffset, blob.byteOffset + blob.byteLength),
        log = new Table(form, [bytes.byteLength / form.size], bytes);
      for (let k = 0; k < log.length; k++) log.set(k, "op", log.get(k, "op") - past.length);
      return log;
    });
    return { logs, ends: states.map((memory) => ({ memory })), done, refused };
  }
}

/** One operation as it is shown: what each machine did in it, and where it led. Made when it is looked at. */
class Node {
  constructor(data, told) {
    Object.assign(this, { data }, told);
  }
  get score() {
    return (this.scores ??= this.m.map((_, i) => (this.op ? makeScore(this.data, this, i) : null)));
  }
  /** Milliseconds at speed 1. */
  get length() {
    return this.op ? Math.max(...this.score.map((s) => s.length)) + TIME.gap : 0;
  }
}

/** A walk: its operations, the state each CHUNK of them, and of each operation what a chart and a search need. Of a branch
 * the first `base` operations are given traffic, and what the lab itself has shown goes up to `told`: no quest is found there. */
class Branch {
  constructor(walks, told) {
    Object.assign(this, { walks, mine: false, base: 0, told: 0, fork: 0, opened: false, ops: [], chunks: [], end: walks.copy(walks.start), given: [] }, told);
  }
  /** Operations executed at its end. */
  get n() {
    return this.ops.length;
  }
  at(k, column, i) {
    return this.chunks[(k - 1) >> 7][column][i][(k - 1) & 127];
  }
  value(k, i) {
    return k ? this.at(k, "value", i) : this.walks.valueOf(this.walks.start[i].state);
  }
  atomics(k, i) {
    return k ? this.at(k, "atomics", i) : 0;
  }
  /** Whether an operation went where the button of this lab goes. */
  jumps(k, i) {
    return (this.at(k, "bits", i) & 1) > 0;
  }
  /** Whether a line of the patch ran in it. */
  ran(k, i, line) {
    return (this.at(k, "bits", i) & (2 << line)) > 0;
  }
  /** Whether two machines did not do the same in it. */
  differs(k, [a, b]) {
    return this.at(k, "alike", a) !== this.at(k, "alike", b);
  }
  node(k) {
    return this.walks.node(this, k);
  }
}

class Walks {
  constructor(source, data, tree, settings) {
    Object.assign(this, { source, data, tree, settings, disagreements: 0, ran: 0, seen: [], kept: [] });
    const c = data.forms.codes,
      jump = new Set(JUMPS[data.jump].steps.map((name) => c[name]));
    this.jump = Uint8Array.from(data.forms.steps, (_, step) => Number(jump.has(step)));
    this.valueOf = (state) => VALUES[data.chart.value](state, tree);
    // The bits of the lines that a step belongs to, by the library's rules, for each way an operation may go.
    this.lineBits = data.machines.map(({ capped }) =>
      Array.from({ length: 8 }, (_, way) => {
        const here = { gives_back: !!(way & 1), refills: !!(way & 2), filled: !!(way & 4), capped };
        return data.forms.steps.map((_, step) => 2 << ruleOf(data, step, here)); // 2 << -1 is 1 << 31: no line
      }),
    );
  }

  async begin() {
    const { data, tree, settings } = this,
      line = tree.parents.map(() => -1);
    this.start = (await this.source.start()).map(({ memory, ...more }) => ({ ...more, state: memory, line }));
    const ops = (given) => (Array.isArray(given) ? given : (given[tree.cpus] ?? []));
    this.branches = Object.entries(data.traffic)
      .map(([name, { cgroups, ops: given }], traffic) => [cgroups, { name, traffic, given: ops(given).map((row) => placed(row, tree, settings)) }])
      .filter(([cgroups]) => cgroups <= tree.leaves)
      .map(([, told]) => new Branch(this, told));
    this.branches.push(new Branch(this, { name: data.empty, traffic: Object.keys(data.traffic).length }));
    this.root = new Node(data, { k: 0, op: null, mine: false, m: this.start.map((one) => ({ ...one, rows: [] })) });
  }

  copy(end) {
    return end.map(({ saved, state, line }) => ({ saved, state: copyState(state), line: line.slice() }));
  }

  /** Run operations behind a branch, as far as the kernel takes them: what was refused, {reason, allowed}. */
  async run(branch, ops, tell = () => {}) {
    for (let at = 0; at < ops.length; ) {
      const room = CHUNK - (branch.n & (CHUNK - 1)),
        part = ops.slice(at, at + Math.min(this.source.most, this.source.most === Infinity ? Infinity : room));
      const { logs, ends, done, refused } = await this.source.run(branch.end, part, branch.ops);
      this.take(branch, part.slice(0, done), logs, ends);
      if (refused) return refused;
      at += part.length;
      if ((at & 8191) === 0 && at < ops.length) {
        tell(at, ops.length);
        await new Promise((go) => setTimeout(go)); // let the page draw and the reader act
      }
    }
  }

  /** Put operations with their logs behind a branch. */
  take(branch, ops, logs, ends) {
    const { data } = this,
      c = data.forms.codes,
      readers = logs.map((log) => new Reader(data, log, ops)),
      count = data.machines.length;
    ops.forEach((op, o) => {
      let chunk = branch.chunks.at(-1);
      if (!chunk || chunk.ops.length === CHUNK) {
        const column = (make) => Array.from({ length: count }, () => new make(CHUNK));
        chunk = { before: this.copy(branch.end), ops: [], value: column(Float64Array), atomics: column(Float64Array), bits: column(Uint16Array), alike: column(Uint8Array) };
        if (!this.source.logsOf) chunk.rows = Array.from({ length: count }, () => []);
        branch.chunks.push(chunk);
      }
      const at = chunk.ops.push(op) - 1;
      branch.ops.push(op);
      readers.forEach((reader, i) => {
        const { state, line } = branch.end[i],
          from = reader.edges[o],
          to = reader.edges[o + 1];
        reader.run(o, state, line);
        chunk.value[i][at] = this.valueOf(state);
        chunk.atomics[i][at] = state.atomics;
        let way = Number(op[0] === c.UNCHARGE_SKMEM),
          bits = 0;
        for (let k = from; k < to; k++) if (reader.step(k) === c.STEP_REFILL) way |= 2;
        for (let k = from; k < to; k++) {
          const step = reader.step(k);
          bits |= this.jump[step] | this.lineBits[i][way][step];
          if (step === c.STEP_REFILL) {
            way |= 4;
            if (data.machines[i].capped && data.cap_lines[0] >= 0) bits |= 2 << data.cap_lines[0];
          }
        }
        chunk.bits[i][at] = bits;
        chunk.alike[i][at] = readers.findIndex((other) => {
          const begin = other.edges[o];
          if (other.edges[o + 1] - begin !== to - from) return false;
          for (let k = 0; k < to - from; k++) if (other.step(begin + k) !== reader.step(from + k)) return false;
          return true;
        });
        chunk.rows?.[i].push(reader.rows(o));
      });
    });
    ends.forEach(({ memory, saved }, i) => {
      const end = branch.end[i];
      end.saved = saved;
      // Two ways of reading one kernel, its log and its memory: they have to agree.
      this.ran++;
      if (!sameState(end.state, memory) || !agree(BOOKS, end.state, memory)) this.disagreements++;
    });
  }

  /** An operation of a branch as it is shown. */
  node(branch, k) {
    if (!k) return this.root;
    const chunk = branch.chunks[(k - 1) >> 7],
      at = (k - 1) & 127,
      mine = branch.mine && k > Math.max(branch.base, branch.told);
    const known = chunk.nodes?.get(at);
    if (known?.mine === mine) return known;
    if (!chunk.rows && chunk.read?.[0].ops.length !== chunk.ops.length) {
      const ops = chunk.ops.slice();
      chunk.read = this.source.logsOf(chunk).map((log) => new Reader(this.data, log, ops));
      this.kept.push(chunk);
      if (this.kept.length > 8) {
        const old = this.kept.shift();
        if (!this.kept.includes(old)) old.read = null;
      }
    }
    const m = [],
      was = [],
      op = chunk.ops[at];
    chunk.before.forEach((before, i) => {
      const state = copyState(before.state),
        line = before.line.slice(),
        one = (o) => (chunk.rows ? this.along(state, line, chunk.ops[o], chunk.rows[i][o]) : chunk.read[i].run(o, state, line));
      for (let o = 0; o < at; o++) one(o);
      was.push({ state: copyState(state), line: line.slice() });
      one(at);
      m.push({ state, line, rows: chunk.rows ? chunk.rows[i][at] : chunk.read[i].rows(at) });
    });
    const node = new Node(this.data, { k, op, mine, m, parent: { k: k - 1, m: was } });
    (chunk.nodes ??= new Map()).set(at, node);
    this.seen.push([chunk, at]);
    if (this.seen.length > 600) {
      const [old, place] = this.seen.shift();
      old.nodes.delete(place);
    }
    return node;
  }

  along(state, line, op, rows) {
    const { forms, ledger } = this.data;
    for (const row of rows) {
      follow(forms, 1, state, row);
      if (forms.counter_atomic[row.step]) line[row.where] = row.cpu;
      if (row.step === forms.codes.STEP_RETURN) book(ledger, state, op, row.after);
    }
  }

  async open(branch, tell) {
    if (branch.opened) return;
    branch.opened = true;
    await this.run(branch, branch.given, tell);
  }

  /** A branch that shares the first k operations of another. */
  split(branch, k) {
    const { traffic, mine, base } = branch;
    let number = 1;
    while (this.branches.some((b) => b.name === `yours ${number}`)) number++;
    const made = new Branch(this, { name: `yours ${number}`, mine: true, opened: true, traffic, fork: k, base: mine && k > base ? base : k, told: Math.min(k, branch.told) });
    made.ops = branch.ops.slice(0, k);
    made.chunks = branch.chunks.slice(0, k >> 7);
    const more = k & 127;
    if (more) {
      const part = branch.chunks[k >> 7],
        cut = (columns) => columns.map((column) => column.slice());
      const chunk = { before: part.before, ops: part.ops.slice(0, more), value: cut(part.value), atomics: cut(part.atomics), bits: cut(part.bits), alike: cut(part.alike) };
      if (part.rows) chunk.rows = part.rows.map((rows) => rows.slice(0, more));
      made.chunks.push(chunk);
    }
    if (k) {
      const saved = this.source.savedAfter?.(made.chunks.at(-1));
      made.end = this.copy(this.node(branch, k).m.map((one, i) => ({ ...one, saved: saved?.[i] })));
    }
    return made;
  }

  /** The reader does something after operation k of a branch: {branch, k}, and what was refused. What was there stays. */
  async act(branch, k, ops, tell) {
    await this.open(branch);
    const same = (b, at, op) => b.mine && at >= b.base && at < b.n && b.ops[at].join() === op.join();
    const shares = (b) => b !== branch && b.traffic === branch.traffic && b.n > k && !branch.ops.slice(0, k).some((op, n) => op !== b.ops[n] && op.join() !== b.ops[n].join());
    let at = 0;
    for (; at < ops.length; at++, k++) {
      if (same(branch, k, ops[at])) continue;
      const other = this.branches.find((b) => same(b, k, ops[at]) && shares(b));
      if (!other) break;
      branch = other;
    }
    if (at === ops.length) return { branch, k };
    const grows = branch.mine && k === branch.n ? branch : this.split(branch, k),
      refused = await this.run(grows, ops.slice(at), tell);
    if (grows.n === k) return { branch, k, refused };
    if (grows !== branch) this.branches.push(grows);
    return { branch: grows, k: grows.n, refused };
  }
}

/** An operation of given traffic in a tree: its cgroup counted from the leaves, its pages from the limit. */
function placed([code, cpu, leaf, nr, ctx, times = 0], tree, settings) {
  return [code, cpu, leaf + tree.first, nr + times * (settings.limit ?? 0), ctx];
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

/** The changed line of the patch that a step belongs to, by the library's rules; -1 = none. */
function ruleOf(data, step, here) {
  const fits = (rule) => rule.steps.includes(step) && Object.keys(here).every((name) => rule[name] === null || rule[name] === here[name]);
  return data.line_rules.find(fits)?.line ?? -1;
}

/** The same for each row of a log. */
export function linesOf(data, i, op, rows) {
  const c = data.forms.codes,
    here = {
      gives_back: op[0] === c.UNCHARGE_SKMEM,
      refills: rows.some((r) => r.step === c.STEP_REFILL),
      filled: false,
      capped: data.machines[i].capped,
    };
  return rows.map(({ step }) => {
    const line = ruleOf(data, step, here);
    here.filled ||= step === c.STEP_REFILL;
    return line;
  });
}

const isCharge = (c, code) => code === c.CHARGE_SKMEM || code === c.TRY_CHARGE;
const isReturn = (c, code) => code === c.UNCHARGE_SKMEM || code === c.CANCEL_CHARGE;

/** Pages that the users of each cgroup have. */
const inUse = (state) => state["memcg.held"].map((pages, m) => pages + state["memcg.sock_held"][m]);

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

// The shape of a page tells its cgroup without the colour: a square, one with a hole, two bars, a triangle, a cross, a
// diamond, two steps, a ring of corners.
const PAGE = [
  "M0 0h10v10h-10z",
  "M0 0h10v10h-10zM3 3v4h4v-4z",
  "M0 0h10v3.5h-10zM0 6.5h10v3.5h-10z",
  "M0 10h10l-10 -10z",
  "M3.2 0h3.6v3.2h3.2v3.6h-3.2v3.2h-3.6v-3.2h-3.2v-3.6h3.2z",
  "M5 -.6l5.6 5.6l-5.6 5.6l-5.6 -5.6z",
  "M0 0h5v5h5v5h-5v-5h-5z",
  "M0 0h3.5v10h-3.5zM6.5 0h3.5v10h-3.5z",
];
const PAGE_SIZE = 10;
const ease = (x) => (x <= 0 ? 0 : x >= 1 ? 1 : x < 0.5 ? 4 * x * x * x : 1 - (-2 * x + 2) ** 3 / 2);
const mix = (a, b, x) => a + (b - a) * x;
const TAG = 50,
  SMALL_TAG = 20,
  BADGE = 103,
  WIDE_BADGE = 112,
  SHORT = 44; // widths beside a counter
const MARKS = 40;

let ink, family;
/** Pixels that a text takes in a picture. */
function wide(text, svg, weight = 700) {
  ink ??= document.createElement("canvas").getContext("2d");
  family ??= getComputedStyle(svg).fontFamily || "sans-serif";
  ink.font = `${weight} 14px ${family}`;
  return Math.ceil(ink.measureText(text).width);
}

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
        tag: make("g", { class: "tag" }, make("rect", { rx: 4 }), make("text", { "text-anchor": "middle" })),
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

  /** All places, in pixels of this width: text is never smaller than it says. beside: the drawers stand beside the tree. */
  layout(width, height, beside = false, snug = false) {
    const { tree, data } = this,
      { depth, leaves, cpus, first } = tree,
      batch = data.machines[0].batch;
    Object.assign(this, { width, height, drawn: null });
    const shelves = leaves > 4 ? 2 : 1, // the pages in use of many cgroups stand in two rows
      inRow = Math.ceil(leaves / shelves),
      narrowest = (cell) => Math.max(inRow * Math.max(2 * cell + 8, 28), 54), // and the word above them
      rowsOf = (cell, cols) => Math.ceil(batch / cols) + 2;
    const wants = beside ? Math.max(190, width * 0.4) : 0; // pixels of the tree
    const fits = ([cell, cols, gap, left]) =>
      left + cpus * (cols * cell + 4 + gap) + narrowest(cell) + wants <= width && (!beside || rowsOf(cell, cols) * cell <= height - 52);
    const [cell, cols, gap, left] = [
      [12, 8, 12, 26],
      [12, 8, 6, 26],
      [9, 8, 8, 26],
      [9, 4, 6, 32],
      [8, 8, 6, 26],
      [8, 4, 6, 26],
      [9, 4, 4, 2],
      [8, 4, 2, 2],
      [7, 4, 2, 2],
      [6, 4, 2, 2],
    ].find(fits) ?? [5, 4, 2, 2];
    const rows = rowsOf(cell, cols),
      tall = rows * cell,
      pitchOfDrawers = cols * cell + 4 + gap,
      tight = pitchOfDrawers < 34; // no room for "20 A": the letter stands below the number
    Object.assign(this, { cell, cols, rows, scale: (cell - 2) / PAGE_SIZE, roomy: cols * cell > 70, pitch: pitchOfDrawers, tight });
    const block = cpus * pitchOfDrawers + left,
      stage = beside ? width - block - narrowest(cell) - 8 : width, // width of the tree
      foot = tight ? 15 : 0,
      room = beside ? height - 7 : height - tall - 68 - foot; // height of the tree
    // The leaves: one line of text each where there is room, else two lines; in two rows where even so there is not.
    const high2 = beside ? 30 : 32,
      gap2 = beside ? 2 : 5,
      flat = stage / leaves >= 150,
      leafRows = !flat && leaves > 4 && stage / leaves < 50 ? 2 : 1,
      across = Math.ceil(leaves / leafRows),
      below = flat ? 0 : leafRows * (high2 + gap2);
    const levels = flat ? depth + 1 : depth,
      pitch = Math.min(42, Math.floor(((room - below) / levels) * 2) / 2),
      high = Math.min(30, pitch - (pitch < 19 ? 0 : pitch < 20 ? 2 : 3)), // no gaps where the text needs the room
      middle = stage / 2,
      slim = stage < 300;
    this.box = tree.parents.map((_, m) => {
      const y = Math.min(m, first) * pitch + 1,
        tag = slim ? SMALL_TAG + 2 : TAG;
      if (m < first || leaves === 1) {
        const badge = stage < 400 ? SHORT : WIDE_BADGE,
          w = Math.min(170, stage - 2 * Math.max(badge, tag) - 4);
        return { x: middle - w / 2, y, w, h: high, badge, tag };
      }
      const half = stage / across,
        n = m - first;
      if (flat) {
        const badge = half < 220 ? SHORT : BADGE,
          w = Math.min(110, half - tag - badge - 4);
        return { x: n * half + (half - tag - badge - w) / 2 + tag, y, w, h: high, badge, tag };
      }
      const w = Math.min(96, half - 4);
      return { x: (n % across) * half + (half - w) / 2, y: y + Math.floor(n / across) * (high2 + gap2), w, h: high2, badge: 0, tag: SMALL_TAG, tall: true };
    });
    const deepest = this.box.at(-1),
      rail = deepest.y + deepest.h + (beside ? 5 : 7),
      top = beside ? 20 : rail + 26,
      begins = beside ? stage + 6 : 0,
      gate = beside ? 3 : rail;
    this.drawer = Array.from({ length: cpus }, (_, cpu) => ({ x: begins + left + 2 + cpu * pitchOfDrawers, y: top }));
    this.port = this.drawer.map(({ x }) => ({ x: x + (cols * cell) / 2, y: gate }));
    const begin = begins + block,
      each = (width - begin - 2) / inRow;
    const between = 21, // a label
      shelfRows = shelves === 1 ? rows : Math.max(2, Math.floor((tall + (tight ? 15 : 0) - between) / 2 / cell));
    this.socketCols = Math.max(1, Math.min(10, Math.floor((each - 8) / cell)));
    this.socketRows = shelfRows;
    this.shelf = each;
    const wide = this.socketCols * cell + 4,
      deep = shelfRows * cell;
    this.socket = Object.fromEntries(
      this.sockets.map(({ memcg }, n) => [
        memcg,
        { x: begin + (n % inRow) * each + (each - wide) / 2 + 2, y: top + Math.floor(n / inRow) * (deep + between) },
      ]),
    );
    this.bottom = Math.max(top + tall + foot + 24, shelves > 1 ? top + 2 * (deep + between) : 0, beside ? rail + 4 : 0);
    if (snug) this.height = height = Math.min(height, top + tall + foot + 44);
    this.steps = beside ? { from: begins, width: width - begins } : { from: 0, width };
    puts(this.svg, { viewBox: `0 0 ${width} ${height}`, width, height });
    puts(this.inSockets, { x: begin + (width - begin) / 2, y: top - 6 });
    this.counters.forEach((c, m) => {
      const { x, y, w, h, badge, tag, tall: two } = this.box[m],
        base = two ? 13 : h / 2 + 5,
        line = two ? 15 : Math.min(20, h);
      put(c.g, "transform", `translate(${x} ${y})`);
      puts(c.box, { width: w, height: h });
      puts(c.name, { x: two ? 5 : 9, y: base });
      puts(c.value, { x: w - (two ? 4 : 8), y: two ? h - 3 : base + 1 });
      puts(c.tag.children[0], { width: tag - 2, height: line, y: two ? 0 : (h - line) / 2 });
      puts(c.tag.children[1], { x: tag / 2 - 1, y: base });
      put(c.badge.children[1], "x", badge / 2);
      puts(c.badge.children[0], { width: badge, height: Math.min(22, h), y: (h - Math.min(22, h)) / 2 });
      put(c.badge.children[1], "y", base);
    });
    const wire = tree.parents.flatMap((p, m) => {
      if (p < 0 || (m >= first + across && leafRows > 1)) return [];
      const gap = Math.max(2, (pitch - high) / 2);
      return [`M${this.box[m].x + this.box[m].w / 2} ${this.box[m].y}V${this.box[m].y - gap}H${this.box[p].x + this.box[p].w / 2}V${this.box[p].y + high}`];
    });
    const feet = this.sockets.map(({ memcg }) => this.box[memcg]).filter(({ y }) => y === deepest.y).map((b) => b.x + b.w / 2);
    if (beside) {
      const edge = stage + 2;
      wire.push(`M${Math.min(...feet)} ${rail}H${edge}V${gate}H${this.port.at(-1).x}`, ...this.port.map((p) => `M${p.x} ${gate}v3`));
    } else {
      const ends = [...feet, ...this.port.map((p) => p.x)];
      wire.push(`M${Math.min(...ends)} ${rail}H${Math.max(...ends)}`, ...this.port.map((p) => `M${p.x} ${rail}v6`));
    }
    wire.push(...feet.map((x) => `M${x} ${rail}V${deepest.y + deepest.h}`));
    put(this.wires, "d", wire.join(""));
    const w = cols * cell,
      edge = gap > 6 ? 5 : gap > 4 ? 4 : 2;
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
      puts(c.label, { x: x + w / 2, y: y + tall + (tight ? 15 : 17) });
      c.letter ??= c.g.appendChild(make("text", { class: "label", "text-anchor": "middle" }));
      puts(c.letter, { x: x + w / 2, y: y + tall + 29, hidden: !tight });
      c.centre = { x: x + w / 2, y: brim + (tall - 2 * cell) / 2 };
    });
    puts(this.mark, { x: begins + left - 8, y: top + 2 * cell + 5, text: String(batch), hidden: left < 20 });
    puts(this.word, { x: begins, y: top - 6, hidden: this.roomy || left < 32 });
    for (const c of this.sockets) {
      const p = this.socket[c.memcg];
      puts(c.frame, { x: p.x - 2, y: p.y - 2, width: wide, height: deep + 4 });
      puts(c.label, { x: p.x - 2 + wide / 2, y: p.y + deep + (shelves > 1 ? 15 : 17) });
    }
    const pages = (list, n, before) => {
      while (list.length < n) {
        const el = make("path");
        list.push(el);
        before.before(el);
      }
    };
    this.cpus.forEach((c) => pages(c.pages, cols * rows, c.frame));
    this.sockets.forEach((c) => pages(c.pages, this.socketCols * this.socketRows, c.label));
  }

  /** No operation has steps to mark: their row is given up. */
  crop() {
    const height = Math.min(this.height, this.bottom);
    puts(this.svg, { viewBox: `0 0 ${this.width} ${height}`, height });
  }

  /** Where a page lies (its upper left corner), or where something passes. */
  place(where, j = 0) {
    const grid = (corner, cols, rows, n) => {
      const i = Math.min(cols * rows - 1, n);
      return { x: corner.x + (i % cols) * this.cell + 1, y: corner.y + (rows - 1 - Math.floor(i / cols)) * this.cell + 1 };
    };
    if ("drawer" in where) return grid(this.drawer[where.drawer], this.cols, this.rows, (where.i ?? 0) + j);
    if ("socket" in where) return grid(this.socket[where.socket], this.socketCols, this.socketRows, (where.i ?? 0) + j);
    const half = PAGE_SIZE / 2;
    if ("port" in where) return { x: this.port[where.port].x - half, y: this.port[where.port].y - half };
    const b = this.box[where.counter];
    return { x: b.x + b.w / 2 - half, y: b.y + b.h - half };
  }

  /** Show a node at a time of its score; Infinity is its end. */
  draw(node, time) {
    const score = node.score[this.i];
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
    if (!score || t >= score.length) for (const name of BOOKS) state[name] = here.state[name].slice();
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
      const { tag, tall, badge } = this.box[m],
        spaced = count.toLocaleString("en"),
        named = tall ? 0 : wide(this.tree.names[m], this.svg),
        has = named + wide(spaced, this.svg) + 24 > w ? String(count) : spaced, // no room: the digits alone
        full = limit < most ? `${has}/${has === spaced ? limit.toLocaleString("en") : limit}` : has;
      put(c.value, "text", tall && full.length * 8.7 > w - 5 ? `${has}${limit < most ? "/…" : ""}` : full);
      const hopping = here.moment?.hops[m], // all CPUs at once: the line is on its way
        owner = hopping ? hopping.to : line[m],
        before = flashes.length > 1 ? flashes.at(-2).cpu : was.line[m];
      put(c.tag, "hidden", owner < 0);
      if (owner >= 0) {
        // a line that changes hands hops over from where the request arrives
        const hop = hopping ? hopping.way : last && before !== owner ? ease((t - last.t + 60) / 240) : 1;
        const rests = tall ? w - SMALL_TAG : -tag;
        put(c.tag, "transform", `translate(${mix(w / 2, rests, hop).toFixed(1)} ${(Math.sin(Math.PI * hop) * -16).toFixed(1)})`);
        put(c.tag.children[1], "text", tag === TAG ? `CPU ${owner}` : String(owner));
        put(c.tag, "class", `tag${hopping || (last && before !== owner && before >= 0) ? " moved" : ""}`);
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
        `counter${last ? " touched" : ""}${age < 0.6 || here.moment?.busy[m] ? " lit" : ""}${refused ? " refused" : ""}${hot ? " hot" : ""}${count > limit ? " over-limit" : ""}`,
      );
      const crowd = here.moment?.waits[m];
      put(c.badge, "hidden", !badge || !(last || crowd));
      if (crowd && badge) {
        put(c.badge, "transform", `translate(${w + 4} 0)`);
        const told = crowd === 1 && badge !== SHORT ? "1 waits" : `${crowd} wait`,
          across = Math.max(badge, wide(told, this.svg) + 6);
        put(c.badge.children[0], "width", across);
        puts(c.badge.children[1], { text: told, x: across / 2 });
        put(c.badge, "class", "badge now");
      }
      if (last && badge) {
        const undone = flashes.some((f) => f.refused),
          short = badge === SHORT,
          times = flashes.length > 1 ? `\u00d7${flashes.length}` : last.label;
        put(c.badge, "transform", `translate(${w + 4} 0)`);
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
    const caption = (cpu) => {
      const letter = this.tree.names[owners[cpu]];
      if (owners[cpu] < 0) return this.roomy ? "no owner" : "\u2013";
      return this.tight ? String(stocks[cpu]) : `${this.pitch > 100 ? "stock: " : ""}${stocks[cpu]} ${this.roomy ? "of " : ""}${letter}`;
    };
    const captions = this.cpus.map((_, cpu) => caption(cpu)),
      crowded = captions.some((text) => text.length > 2 && wide(text, this.svg, 400) > this.pitch - 1), // then the CPU at work alone
      works = this.drawn.op?.[1];
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
      put(c.label, "text", crowded && cpu !== works ? "" : captions[cpu]);
      if (this.tight) put(c.letter, "text", letter ?? "");
    });
    for (const c of this.sockets) {
      c.pages.forEach((el, n) => {
        const shown = n < held[c.memcg];
        put(el, "hidden", !shown);
        if (shown) show(el, { socket: c.memcg }, n, c.memcg, false);
      });
      const name = this.tree.names[c.memcg],
        full = `${name}${this.shelf < 50 ? "\u2009" : ": "}${held[c.memcg].toLocaleString("en")}`;
      put(c.label, "text", full.length > 4 && wide(full, this.svg, 400) > this.shelf ? `${name}\u2026` : full); // the table has it
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
    const { from, width } = this.steps,
      pitch = Math.min(11, (width - 20) / Math.max(this.marks.length, 1)),
      start = from + width / 2 - (this.marks.length * pitch) / 2,
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
    const limit = (m) => (state["counter.limit"][m] < most ? ` of at most ${state["counter.limit"][m].toLocaleString("en")}` : "");
    const counters = names
      .map((name, m) => `${name} ${state["counter.count"][m].toLocaleString("en")}${limit(m)}${line[m] >= 0 ? `, line at CPU ${line[m]}` : ""}`)
      .join("; ");
    const stocks = state["stock.memcg"]
      .map((owner, cpu) =>
        owner < 0 ? `CPU ${cpu} nothing` : `CPU ${cpu} ${count(state["stock.nr_pages"][cpu], "page")} of ${names[owner]}`,
      )
      .join("; ");
    const used = inUse(state),
      sockets = this.sockets.map(({ memcg }) => `${used[memcg].toLocaleString("en")} of ${names[memcg]}`).join(", ");
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
    this.cursor = cursorOf("Operations executed", [0]);
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
    return this.left + ((this.width - this.left - this.right) * k) / Math.max(this.span, 1);
  }
  unx(px) {
    return ((px - this.left) * this.span) / (this.width - this.left - this.right);
  }
  y(v) {
    return this.height - 20 - ((this.height - 34) * v) / Math.max(this.top, 1);
  }

  layout(width, height) {
    Object.assign(this, { width, height });
    puts(this.svg, { viewBox: `0 0 ${width} ${height}`, width, height });
  }

  /** A line over the operations of a walk; where they are more than pixels, what each pixel's operations reach. */
  path(walk, i, first = 0) {
    const at = (k) => this.x(k).toFixed(1),
      y = (v) => this.y(v).toFixed(1);
    let d = `M${at(first)} ${y(walk.value(first, i))}`;
    if (walk.n - first <= 3 * this.width) {
      for (let k = first + 1; k <= walk.n; k++) d += `H${at(k)}V${y(walk.value(k, i))}`;
      return d;
    }
    for (let k = first + 1; k <= walk.n; ) {
      const x = at(k);
      let low = Infinity,
        high = -Infinity,
        last = 0;
      for (const edge = Math.floor(this.x(k)) + 1; k <= walk.n && this.x(k) < edge; k++) {
        last = walk.value(k, i);
        low = Math.min(low, last);
        high = Math.max(high, last);
      }
      d += `H${x}V${y(low)}V${y(high)}V${y(last)}`;
    }
    return d;
  }

  show({ walk, branches, shown, machines, tree, settings, onBranch, against }) {
    this.n = walk.n;
    this.tree = tree;
    const others = branches.filter((b) => b !== walk && (b === against || (b.traffic === walk.traffic && b.n > b.fork))).slice(-6),
      rising = this.told.value === "atomics",
      told = this.told.bound,
      bound = told && (told.setting ? settings[told.setting] : told.pages * (told.per ? tree[told.per] : 1));
    const peak = (b, i) => {
      if (rising) return b.value(b.n, i);
      let most = 0;
      for (let k = 0; k <= b.n; k++) most = Math.max(most, b.value(k, i));
      return most;
    };
    this.span = Math.max(20, walk.n, ...others.map((b) => b.n));
    this.top = Math.max(10, bound ?? 0, ...[walk, ...others].flatMap((b) => shown.map((i) => peak(b, i))));
    const named = shown.map((i) => `${machines.length > 1 ? machines[i].short : ""} ${rising ? "" : "up to "}${peak(walk, i).toLocaleString("en")}`.trim()),
      boundName = bound === null ? "" : `${told.name} ${bound.toLocaleString("en")}`;
    this.left = Math.max(48, wide(this.top.toLocaleString("en"), this.svg) + 10);
    this.right = Math.max(150, ...[...named, boundName].map((text) => wide(text, this.svg) + 14));
    this.lines.forEach((el, i) => puts(el, { hidden: !shown.includes(i), d: shown.includes(i) ? this.path(walk, i) : "" }));
    put(this.axis, "d", `M${this.left} ${this.y(0)}H${this.x(this.span)}M${this.left} ${this.y(this.top)}H${this.x(this.span)}`);
    const end = this.x(this.span);
    puts(this.ticks[0], { x: this.left - 6, y: this.y(0) + 5, "text-anchor": "end", text: "0" });
    puts(this.ticks[1], { x: this.left - 6, y: this.y(this.top) + 5, "text-anchor": "end", text: this.top.toLocaleString("en") });
    puts(this.ticks[2], { x: end, y: this.height - 4, "text-anchor": "end", text: this.span.toLocaleString("en") });
    puts(this.name, { x: this.left, y: this.height - 4, text: this.width < 500 ? this.told.short : `${this.told.label}, over operations` });
    put(this.bound, "d", bound === null ? "" : `M${this.left} ${this.y(bound)}H${end}`);
    // Labels at the right, each near its line's end, none over another.
    const labels = shown.map((i, n) => ({ el: this.labels[i], at: this.y(walk.value(walk.n, i)) + 5, text: named[n] }));
    if (bound !== null) labels.push({ el: this.boundLabel, at: this.y(bound) + 5, text: boundName });
    const pitch = Math.min(17, (this.height - 16) / Math.max(1, labels.length - 1)),
      places = spaced(labels.map(({ at }) => at), pitch, 12, this.height - 4);
    for (const el of [...this.labels, this.boundLabel]) put(el, "hidden", true);
    labels.forEach(({ el, text }, n) => puts(el, { hidden: false, x: end + 10, y: places[n], text }));
    this.others.replaceChildren(
      ...others.map((b) => {
        const g = make("g", { class: b === against ? "other against" : "other", onclick: () => onBranch(b) }, make("title", {}, `${b.name}: go there`));
        const shared = parting(walk, b) - 1;
        for (const i of shown) g.append(make("path", { d: this.path(b, i, shared), class: `line m${i}` }));
        g.append(make("circle", { cx: this.x(b.n), cy: Math.max(6, this.y(b.value(b.n, shown.at(-1)))), r: 6 }));
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
  mark(walk, hot, drains) {
    const at = (test) => {
      const places = new Set();
      for (let k = 1; k <= walk.n; k++) if (test(k)) places.add(walk.n > this.width ? Math.round(this.x(k)) : this.x(k).toFixed(1));
      return [...places];
    };
    const draw = (places, way) => places.map(way).join("");
    put(this.rug, "d", hot ? draw(at(hot), (x) => `M${x} ${this.y(0) - 9}v9`) : "");
    put(this.drains, "d", hot ? "" : draw(at(drains), (x) => `M${x} ${this.y(0) - 6}l3.5 6h-7z`));
  }

  move(walk, position) {
    const k = Math.floor(position),
      x = this.x(k + (position - k) * 0.999).toFixed(1);
    put(this.cursor, "transform", `translate(${this.x(position).toFixed(1)} 0)`);
    this.dots.forEach((el, i) => {
      put(el, "hidden", !this.shown.includes(i));
      if (this.shown.includes(i)) put(el, "transform", `translate(${x} ${this.y(walk.value(k, i)).toFixed(1)})`);
    });
    put(this.cursor, "aria-valuenow", k);
  }
}

/** The first operation in which two walks are not the same, counted from 1; one more than there are if there is none. */
function parting(a, b) {
  const most = Math.min(a.n, b.n);
  let k = 0;
  while (k < most && (a.ops[k] === b.ops[k] || a.ops[k].join() === b.ops[k].join())) k++;
  return k + 1;
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

/** Names or numbers in a row: "a", "a and b", "a, b and c". */
const listed = (parts) => (parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`);

function sentence(data, tree, node, length, shown) {
  const { words, machines } = data;
  if (!node.op) return words.nothing;
  const deeds = new Map(); // what was done -> who did it
  for (const i of shown) {
    const told = deed(data, tree, node, i);
    deeds.set(told, [...(deeds.get(told) ?? []), machines[i].name]);
  }
  const [[first]] = deeds,
    totals = shown.map((i) => node.m[i].state.atomics);
  const told =
    shown.length === 1
      ? fill(words.one, { deed: capital(first) })
      : deeds.size === 1
        ? fill(words[shown.length === 2 ? "both" : "all"], { deed: first })
        : [...deeds].map(([deed, names]) => fill(words.each, { machines: listed(names), deed })).join(" ");
  return capital(
    fill(words.place, {
      k: node.k.toLocaleString("en"),
      n: length.toLocaleString("en"),
      operation: operationText(data, tree, node.op),
      deeds: told,
      sums:
        shown.length === 1
          ? fill(words.sum, { atomics: count(totals[0], "atomic") })
          : fill(words.sums, { atomics: listed(totals.map((n) => n.toLocaleString("en"))) }),
    }),
  );
}

/** Two walks in a sentence. ends: for each machine that is shown, atomics and pages in stocks at the end of the walk. */
export function compared(data, tree, one, other, shown, left, right) {
  const { words } = data,
    k = parting(one, other),
    names = { one: one.name, other: other.name },
    operation = (b) => (k <= b.n ? operationText(data, tree, b.ops[k - 1]) : words["compare over"]);
  const how = k > one.n && k > other.n ? fill(words["compare same"], { ...names, operations: count(one.n, "operation") }) : fill(words["compare part"], { ...names, k: k.toLocaleString("en"), left: operation(one), right: operation(other) });
  const told = shown.map((i, n) => {
    const [a, b] = [left[n], right[n]].map((end) => end.map((v) => v.toLocaleString("en")));
    return fill(words["compare end"], { machine: data.machines[i].name, a: a[0], b: b[0], c: a[1], d: b[1] });
  });
  return [how, ...told].join(" ");
}

/** Which of the library's invariants hold in a state: for each "" or what is wrong. */
export function lightsOf(data, tree, machine, state) {
  const owners = state["stock.memcg"],
    pages = state["stock.nr_pages"],
    told = (where, here, there) => fill(data.words["light wrong"], { where, here, there });
  return data.invariants.map((rule) => {
    if (rule.sum) {
      const sums = tree.parents.map((_, m) => add(rule.sum.map((field) => state[field][m])));
      if (rule.stocks) owners.forEach((owner, cpu) => owner >= 0 && (sums[owner] += pages[cpu]));
      if (rule.subtree) for (let m = sums.length - 1; m > 0; m--) sums[tree.parents[m]] += sums[m]; // parents stand before their children
      const m = sums.findIndex((sum, n) => sum !== state[rule.fields[0]][n]);
      return m < 0 ? "" : told(tree.names[m], state[rule.fields[0]][m], sums[m]);
    }
    const least = rule.least ?? -Infinity,
      most = rule.bound ? machine.bound : Infinity;
    for (const field of rule.fields) {
      const at = state[field].findIndex((v, n) => v < least || v > most || (rule.owned && owners[n] < 0 && v !== 0));
      if (at >= 0) return told(field.startsWith("stock") ? `CPU ${at}` : tree.names[at], state[field][at], rule.bound ? `at most ${most}` : rule.owned ? "0 without an owner" : `at least ${least}`);
    }
    return "";
  });
}

// ---------------------------------------------------------------------------------------------------- 7 quests
/** Each answers with what its sentence needs, or with null. shown: the numbers of the machines that are looked at. */
const RECOGNISE = {
  part({ data, tree, node, walk, shown }) {
    if (!shown.includes(0) || !shown.includes(1)) return null; // it speaks of before and after
    for (let k = 1; k <= node.k; k++) if (walk.differs(k, [0, 1]) !== (k === node.k)) return null;
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
  dearer({ node, shown }) {
    if (!shown.includes(0) || !shown.includes(1)) return null;
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
  bound({ data, tree, node, shown }) {
    if (!shown.includes(1)) return null; // it speaks of after
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
const NS_A_MS = 0.2; // simulated, at speed 1
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
const WIDE = 700, // pixels from which the machines stand side by side
  ROOMY = 1100, // and from which the reader's hands stand between them
  LINE = 440; // and that a line of the patch takes with its note
let instances = 0;

const OP = /^(\d)(?:([a-h])([-.])([1-9]\d?)|=(\d{1,2}):(-1|\d{1,6}))(?:x([1-9]\d*))?$/;

/** A walk as text and back; what is longer than `most` is not told to its end: 0a.1x3 = CPU 0 charges 1 page to A three times; 1b-2 gives 2 of B back; 0=2:48 limits memcg 2. */
function packOps(data, tree, ops, most = Infinity) {
  const c = data.forms.codes,
    one = ([code, cpu, memcg, nr]) =>
      code === c.SET_MAX ? `${cpu}=${memcg}:${nr}` : `${cpu}${data.letters[memcg - tree.first].toLowerCase()}${isCharge(c, code) ? "." : "-"}${nr}`;
  let text = "";
  for (let k = 0; k < ops.length && text.length <= most; ) {
    const begin = k,
      told = one(ops[k]);
    while (k < ops.length && k - begin < 999 && one(ops[k]) === told) k++;
    text += `${begin ? "," : ""}${told}${k - begin > 1 ? `x${k - begin}` : ""}`;
  }
  return text;
}
/** The operations, up to the first that is not understood or not there in this tree; `wrong` says what it is. */
function unpackOps(data, tree, text) {
  const ops = [],
    { codes: c, ops: names } = data.forms,
    { charge, back, ctx } = data.hand,
    { words } = data;
  for (const one of text === "" ? [] : text.split(",")) {
    const found = OP.exec(one),
      where = fill(words["own where"], { place: (ops.length + 1).toLocaleString("en"), text: one });
    if (!found) return { ops, wrong: fill(words["own form"], { where }) };
    if (+(found[7] ?? 1) > data.times) return { ops, wrong: fill(words["own often"], { where, most: data.times }) };
    const [, cpu, leaf, sign, nr, memcg, limit, times = "1"] = found,
      number = leaf && data.letters.toLowerCase().indexOf(leaf);
    const op = leaf ? [names.indexOf(sign === "." ? charge : back), +cpu, tree.first + number, +nr, ctx] : [c.SET_MAX, +cpu, +memcg, +limit, c.TASK];
    for (const [what, value, low, high] of [
      ["CPU", op[1], 0, tree.cpus - 1],
      leaf ? ["leaf", number + 1, 1, tree.leaves] : ["cgroup", +memcg, 1, tree.parents.length - 1],
    ])
      if (value < low || value > high) return { ops, wrong: fill(words["own there"], { where, what, value, low, high }) };
    for (let n = 0; n < +times; n++) ops.push(op);
  }
  return { ops, wrong: "" };
}
function runsOf(list, text) {
  const runs = [];
  for (const item of list.map(text)) {
    if (runs.at(-1)?.[0] === item && runs.at(-1)[1] < 999) runs.at(-1)[1]++;
    else runs.push([item, 1]);
  }
  return runs;
}

/** The walk as a cell of a notebook, for whoever wants to go on there; `once`: all CPUs at once. */
function asPython(data, tree, ops, shown, once) {
  const told = ([code, cpu, memcg, nr, ctx]) => `op("${data.forms.ops[code]}", cpu=${cpu}, memcg=${memcg}, nr=${nr}, ctx=${ctx})`;
  const lines = runsOf(ops, told).map(([text, times]) => `    ${times > 1 ? `*[${text}] * ${times}` : text},`);
  const policies = shown.map((i) => `"${data.machines[i].policy}"`).join(", ");
  return [
    "import numpy as np",
    `from memcg_lab import POLICIES, System, ${ops.length ? "op" : "op_dtype"}`,
    ...(once ? ["from memcg_lab.machine.run import simulate"] : []),
    "",
    ...(ops.length ? ["ops = np.concatenate([", ...lines, "])"] : ["ops = np.zeros(0, op_dtype)"]),
    `for policy in (${policies}):`,
    `    system = System([${tree.parents.join(", ")}], cpus=${tree.cpus}, policy=POLICIES[policy]${tree.limits ? `, limits=[${tree.limits.join(", ")}]` : ""})`,
    ...(once
      ? [
          `    run = simulate(system, ops, think_ns=${data.once.think_ns}, think="fixed", repeat=False, warm_up=0, duration_ns=${data.once.duration_ns})`,
          "    local, transfer, waiting = run.booked_ns.sum(axis=0)",
          "    share = int(100 * waiting / max(1, local + transfer + waiting) + 0.5)",
          '    print(policy, f"{np.ceil(run.duration_ns):,.0f} ns, waiting for lines {share} % of the time")',
        ]
      : ["    log = system.step_through(ops)", '    print(policy, log.atomics(), "atomics")']),
    "",
  ].join("\n");
}

async function renderStage({ data, settings: given, lab, ask, place, change, el, selfCheck }) {
  const c = data.forms.codes,
    calm = matchMedia("(prefers-reduced-motion: reduce)"),
    id = instances++,
    paired = data.sides.length > 1,
    settings = { ...data.plain, ...given };
  const high = Object.fromEntries(data.numbers.map((number) => [number.name, number.high]));
  for (const { name, label, high: most } of data.numbers)
    if (settings[name] > most) throw new Error(`${label}: the stage shows up to ${most}.`);
  let tree,
    walks,
    pictures,
    branch,
    position = 0; // whole: settled; else on the way to the next operation
  let target = null,
    playing = false,
    speed = 1,
    size = 1,
    leaf = 0,
    hand = 0,
    hot = -1,
    last = 0,
    callOff = null, // while a frame is to come: what calls it off
    notice = "",
    once = null, // all CPUs at once: {runs, times, lanes}; else one operation comes after the other
    moment = 0; // simulated ns, then; whole: at rest
  const stats = { frames: 0, worst: 0, work: 0 };
  // The machines in the order of their pictures; what the last side may show, and does not, stands behind.
  const last_side = data.sides.at(-1),
    firsts = data.sides.slice(0, -1).map(([i]) => i);
  let order = [...firsts, ...last_side];
  const chosen = () => order[firsts.length],
    setChosen = (i) => (order = [...firsts, i, ...last_side.filter((other) => other !== i)]),
    shown = () => order.slice(0, settings.pictures ?? data.sides.length),
    others = () => shown().slice(firsts.length),
    byChoice = () => data.choice && setChosen(last_side[Math.max(0, data.choice.values.indexOf(settings[data.choice.name]))]);

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
        const given = box.value === "" ? NaN : Number(box.value),
          typed = box.value || data.words["no number"], // act puts back what was there
          kept = Math.max(+box.min, Math.min(+box.max, Math.round(given)));
        act(kept === given ? kept : null, box);
        if (kept !== given)
          say(fill(data.words["not whole"], { what: box.ariaLabel ?? box.parentElement.textContent, low: box.min, high: (+box.max).toLocaleString("en"), value: typed }));
      },
    });
    return box;
  };
  const jump = JUMPS[data.jump],
    jumps = (k) => others().some((i) => branch.jumps(k, i)),
    apart = (k) => shown().some((i) => branch.differs(k, [shown()[0], i]));
  const trafficBox = choice([], "", (value) => chosenBranch(walks.branches[+value]));
  trafficBox.setAttribute("aria-label", "Traffic"); // the word beside it is not shown where there is no room
  const speedBox = choice(
    SPEEDS.map((s) => [s, s < 1 ? `\u00d71/${1 / s}` : `\u00d7${s}`]),
    1,
    (value) => (speed = +value),
  );
  const placeBox = whole(0, 0, 0, (k, box) => {
    if (k !== null) go(k);
    box.value = once ? Math.floor(moment) : Math.ceil(position);
  });
  const placeLabel = labelled("Operation", placeBox);
  const ofAll = make("span", { class: "of" }),
    quests = questList(data.quests, "Three things to find with your own traffic"),
    unsaid = []; // what was found, and not yet said
  const difference = button("Next difference", "Go on to the next operation in which the machines do not do the same", "x", () => seek(apart, data.words["no difference"]));
  const playButton = button("Play", "Play or pause", "Space", () => toggle(), "main");
  const bar = make(
    "div",
    { class: paired ? "bar play" : "bar play wide", role: "toolbar", "aria-label": "Moving through the traffic" },
    labelled("Traffic", trafficBox, "first"),
    make(
      "div",
      { class: "moves" },
      button("Back", "One operation back", "ArrowLeft", () => back()),
      playButton,
      button("Step", "Execute the next operation", "ArrowRight", () => step()),
      button(jump.label, jump.title, "n", () => seek(jumps, data.words[jump.none])),
      paired && difference,
      quests.tally,
    ),
    make("div", { class: "where" }, placeLabel, ofAll, labelled("Speed", speedBox)),
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
  const undo = button("Undo", "Take back the last operation, which stays on its branch, or the last change of the tree", "z", () => later(undoLast));
  const limitOf = choice([], "", () => showLimit()),
    limitBox = make("input", {
      type: "number",
      min: 0,
      max: 99999,
      placeholder: "none",
      "aria-label": "Limit in pages; empty for none",
      onkeydown: (e) => e.key === "Enter" && limit(),
    });
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
  const most = high.pictures ?? data.sides.length;
  const sides = Array.from({ length: most }, (_, side) => {
    const machines = side < firsts.length ? [firsts[side]] : last_side,
      chooses = machines.length > 1;
    const title = chooses
      ? choice(
          machines.map((i) => [i, data.machines[i].title]),
          order[side],
          (value) => setSide(side, +value),
        )
      : make("span", {}, data.machines[machines[0]].title);
    if (chooses) title.setAttribute("aria-label", side > 1 ? `Machine ${side + 1}` : paired ? "Machine on the right" : "Machine");
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
        make("div", { class: "code legend keys" }, "Tag: CPU with the line. Keys: space \u2190 \u2192 N X , ."),
      );
    const lamps = data.invariants.map(({ short }) => make("li", {}, make("b", { "aria-hidden": "true" }), make("span", {}, short), make("span", { class: "unseen" })));
    const way = button("How?", "Show the shortest walk that breaks this invariant", "", () => showBreak(order[side]), "way");
    way.setAttribute("aria-label", "How? Show the shortest walk that breaks this invariant");
    const lights = make("div", { class: "lights" }, make("ul", { "aria-label": "What must hold" }, ...lamps), way);
    const holder = make("div"),
      section = make("div", { role: "group" }, make("div", { class: "head" }, title, version, sum), lights, holder, code);
    return { section, holder, title, version, sum, lines, code, lamps, way };
  });
  // With one machine there is room for the steps of the operation, in words.
  const walk = paired ? null : make("ol", { class: "walk", tabindex: 0, "aria-label": "The steps of this operation" });

  // --- below them
  const chart = new Chart(data, (k) => go(k)),
    plot = make("div", { class: "plot" }, chart.svg),
    key = make(
      "p",
      { class: "lane-key" },
      ...["waits", "fetches", "works", "thinks"].map((what) => make("span", {}, make("i", { class: what, "aria-hidden": "true" }), data.words[`once key ${what}`])),
      make("span", {}, fill(data.words["once key name"], { line: data.words["once protocol"] })),
    ),
    note = make("p", { class: "lane-note" }, data.once.note);
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
        if (value !== null) later(() => value !== settings[name] && (name === "pictures" ? setPictures(value) : rebuild({ [name]: value })));
        box.value = settings[name];
      }),
    ),
  );
  const table = make("table"),
    out = exchange({
      copies: [
        ["Copy as JSON", "Settings, your own operations and this place, for another page or for Python", () => asJson()],
        ["Copy as Python", "This traffic as a cell of a notebook", () => asPython(data, tree, branch.ops, shown(), once)],
      ],
      take: (text) => load(text),
      say: (text) => say(text),
    });
  const picker = make("input", {
    type: "file",
    accept: ".json,application/json",
    hidden: true,
    "aria-label": "JSON file to load",
    onchange: async () => {
      const [file] = picker.files;
      picker.value = "";
      if (file) load(await file.text());
    },
  });
  const timeBox = choice(
    [
      ["", data.words["once not"]],
      ["once", data.words.once],
    ],
    "",
    (value) =>
      later(async () => {
        const why = value ? await meet(0) : part();
        if (why) say(why);
      }),
  );
  timeBox.setAttribute("aria-label", "Time");
  const compareBox = choice([], "", (value) => compare(value === "" ? null : walks.branches[+value])),
    compareLabel = labelled("Compare with", compareBox, "compared"),
    panel = make("section", { class: "compare", "aria-label": "Two branches compared", hidden: true });
  const more = make(
    "div",
    { class: "bar more", role: "group", "aria-label": "Settings" },
    labelled("Time", timeBox),
    ...boxes,
    compareLabel,
    place &&
      button("Copy link", "A link to this traffic and this place", "", () =>
        here().length > LINK_MAX ? say(data.words["long link"]) : out.copy(place.link(here())),
      ),
    ...out.buttons,
    button("Save as JSON", "The same as a file", "", () => save()),
    button("Load JSON", "A file that was saved here or by Python", "", () => picker.click()),
    picker,
    selfCheck && button("Run the self-check", "Run the kernel's own answers in this browser", "", () => checkHere()),
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
    panel,
    more,
    out.box,
    numbers,
  );
  el.replaceChildren(root);
  voice.wake(root);

  // --- what moves
  function show() {
    if (once) return showOnce();
    const k = Math.ceil(position),
      node = branch.node(k);
    const time = position === k ? Infinity : (position - k + 1) * node.length;
    pictures.forEach((picture, side) => {
      picture.hot = hot;
      picture.draw(node, time);
      const { lines, sum, lamps, way } = sides[side];
      if (lamps.node !== node || lamps.machine !== picture.i) shine(lamps, way, node, picture.i);
      put(sum, "text", count(picture.atomics, "atomic"));
      lines.forEach(({ row, note }, n) => {
        put(row, "class", `code sign-${data.lines[n].sign === "+" ? "plus" : "minus"} ${picture.lit[n]}${hot === n ? " hot" : ""}`);
        put(note, "text", picture.note[n]);
      });
    });
    if (walk) showWalk(pictures[0], node, time);
    chart.move(branch, position);
    put(status, "text", hot >= 0 ? often() : notice || (position === k ? sentence(data, tree, node, branch.n, shown()) : begun(node)));
    put(playButton, "text", playing ? "Pause" : "Play");
    if (focused() !== placeBox) placeBox.value = k;
  }
  /** A moment of all CPUs at once, as a node that a picture can draw. */
  function nodeOf(ns) {
    const m = [];
    for (const run of once.runs) m[run.i] = run.moment(ns * PS_A_NS);
    return { op: null, k: 0, score: [], m };
  }
  function showOnce() {
    const node = nodeOf(moment),
      resting = moment === Math.floor(moment);
    pictures.forEach((picture, side) => {
      if (!node.m[picture.i]) return; // it comes in a moment
      picture.draw(node, Infinity);
      const { sum, lamps, way } = sides[side],
        { raw } = node.m[picture.i];
      if (lamps.node !== raw || lamps.machine !== picture.i) shine(lamps, way, node, picture.i, raw);
      put(sum, "text", count(picture.atomics, "atomic"));
    });
    if (walk) showDoing(once.runs[0], node.m[once.runs[0].i].cpus);
    once.lanes.move(moment);
    put(status, "text", notice || (resting && !playing ? onceSentence(data, tree, once.runs, moment) : fill(data.words["once at"], { at: Math.floor(moment).toLocaleString("en"), end: once.lanes.end.toLocaleString("en") })));
    put(playButton, "text", playing ? "Pause" : "Play");
    if (focused() !== placeBox) placeBox.value = Math.floor(moment);
  }
  /** With one machine: what each CPU does, in words. */
  function showDoing(run, cpus) {
    const { ops } = run,
      k = run.began(moment * PS_A_NS);
    walk.node = null;
    walk.replaceChildren(
      ...cpus.map((now, cpu) => {
        let n = k - 1;
        while (n >= 0 && ops[n][1] !== cpu) n--;
        const busy = now.what !== "thinks" && now.what !== "done",
          did = n >= 0 && busy && operationText(data, tree, ops[n]);
        return make("li", { class: busy ? "now" : "past" }, make("code", {}, `CPU ${cpu}`), did && make("span", { class: "rule" }, did), make("span", { class: "value" }, doingText(data, tree, now)));
      }),
    );
  }
  /** While an operation moves its result is not told before the pictures and their sums have it. */
  const begun = (node) => fill(data.words.place, { k: node.k.toLocaleString("en"), n: branch.n.toLocaleString("en"), operation: operationText(data, tree, node.op), deeds: "", sums: "" }).trim();
  /** The invariants after this operation, each with a sign and in words. */
  function shine(lamps, way, node, i, known = node) {
    Object.assign(lamps, { node: known, machine: i });
    const wrong = lightsOf(data, tree, data.machines[i], node.m[i].raw ?? node.m[i].state);
    lamps.forEach((lamp, n) => {
      const { name } = data.invariants[n];
      put(lamp, "class", wrong[n] ? "false" : "");
      put(lamp.children[0], "text", wrong[n] ? "\u2717" : "\u2713");
      put(lamp.children[2], "text", wrong[n] ? data.words["light false"] : data.words["light true"]);
      put(lamp, "title", `${name}${data.invariants[n].bound ? `, ${data.machines[i].bound} pages` : ""}: ${wrong[n] || data.words["light true"]}`);
    });
    const held = way === focused();
    way.hidden = once || !wrong.some((text, n) => text && data.machines[i].breaks[n]);
    if (way.hidden && held) root.focus({ preventScroll: true }); // a hidden button would hand the keys to the page
  }
  /** The shortest walk that puts one of the lights out, as a branch of the reader's own. */
  function showBreak(i) {
    const wrong = lightsOf(data, tree, data.machines[i], branch.node(Math.ceil(position)).m[i].state),
      n = wrong.findIndex((text, n) => text && data.machines[i].breaks[n]),
      { ops } = unpackOps(data, tree, data.machines[i].breaks[n]);
    later(async () => {
      const empty = walks.branches.find((b) => !b.mine && b.name === data.empty),
        known = walks.branches.slice(),
        answer = await walks.act(empty, 0, ops);
      branch = answer.branch;
      if (!known.includes(branch)) branch.told = answer.k;
      refresh();
      go(answer.k);
      say(fill(data.words["shortest"], { operations: count(ops.length, "operation"), machine: data.machines[i].name, name: data.invariants[n].name }));
    });
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

  /** In how many operations the line that is pointed at ran so far. */
  function often() {
    const past = Math.ceil(position);
    return shown()
      .filter((i) => hasLine(hot, i))
      .map((i) => {
        let times = 0;
        for (let k = 1; k <= past; k++) times += branch.ran(k, i, hot);
        return fill(data.words.ran, { machine: data.machines[i].name, line: data.lines[hot].text, times, operations: count(past, "operation") });
      })
      .join(" ");
  }
  const hotTest = () => (hot < 0 ? null : (k) => shown().some((i) => hasLine(hot, i) && branch.ran(k, i, hot)));
  const hasLine = (n, i) => (data.lines[n].sign === "+") === data.machines[i].hunks.includes(data.lines[n].hunk);

  const speak = (text) => {
    const { length } = unsaid;
    voice.speak([text, ...unsaid].join(" "), playing ? 4000 : 0, () => unsaid.splice(0, length));
  };

  function say(text) {
    halt();
    notice = text;
    show();
    speak(text);
  }

  /** Which quests an operation of the reader's own finds: known as soon as it is made, before its pages have moved. */
  function recognise(node) {
    data.quests.forEach((quest, n) => {
      const answer = !quests.found[n] && node.mine && RECOGNISE[quest.name]({ data, tree, node, walk: branch, shown: shown() });
      if (!answer) return;
      quests.find(n, fill(quest.found, answer));
      unsaid.push(fill(data.words.found, { found: quests.found[n] }));
    });
  }

  /** Something came to rest at a whole position. */
  function settle() {
    if (once) return settleOnce();
    const node = branch.node(position);
    pictures.forEach((picture) => picture.describe(node, data.machines[picture.i].title));
    put(
      chart.cursor,
      "aria-valuetext",
      `${position} of ${branch.n}: ${shown()
        .map((i) => `${data.machines[i].name} ${count(node.m[i].state.atomics, "atomic")}`)
        .join(", ")}`,
    );
    recognise(node);
    const text = notice || sentence(data, tree, node, branch.n, shown());
    showTable();
    showLimit();
    const broken = pictures
      .map(({ i }) => [i, lightsOf(data, tree, data.machines[i], node.m[i].state).findIndex(Boolean)])
      .filter(([, n]) => n >= 0)
      .map(([i, n]) => fill(data.words["light out"], { machine: data.machines[i].name, name: data.invariants[n].name }));
    speak([text, ...broken].join(" "));
    remember();
  }

  function settleOnce() {
    const node = nodeOf(moment),
      text = onceSentence(data, tree, once.runs, moment);
    for (const picture of pictures) if (node.m[picture.i]) picture.describe(node, data.machines[picture.i].title);
    put(once.lanes.cursor, "aria-valuetext", text);
    put(once.lanes.svg, "aria-label", text);
    settings.at_ns = moment;
    showTable();
    speak(notice || text);
    remember();
  }

  function showTable() {
    if (!numbers.open) return;
    const node = once ? nodeOf(moment) : branch.node(Math.ceil(position)),
      states = shown().map((i) => node.m[i].state),
      most = c.PAGE_COUNTER_MAX;
    const { words } = data,
      row = (field, at, told = (v) => v.toLocaleString("en")) => [fill(words[field], at), ...states.map((s) => told(field === "atomics" ? s.atomics : s[field][at.n]))];
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
      ...(once ? onceRows(data, tree, once.runs, moment) : []),
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
      make("thead", {}, cells("th", [once ? fill(words["once cursor"], { at: moment.toLocaleString("en") }) : fill(words.after, { operations: count(node.k, "operation") }), ...shown().map((i) => data.machines[i].name)])),
      make("tbody", {}, ...rows.map((row) => cells("td", row))),
    );
  }

  // --- the place: where the reader is, as settings and as a link
  let writing = 0;
  const side = data.choice && last_side;
  /** The reader's own part of this walk as text; a link needs no more of it than fits. */
  const packed = (most) => (branch.mine ? packOps(data, tree, branch.ops.slice(branch.base), most) : "");
  function here() {
    const own = packed(LINK_MAX);
    const parts = data.numbers.map(({ name, key }) => `${key}=${settings[name]}`);
    if (side) parts.push(`r=${side.indexOf(chosen())}`);
    parts.push(`t=${branch.traffic}`, `p=${Math.ceil(position)}`);
    if (own) parts.push(`f=${branch.base}`, `o=${own}`);
    if (once) parts.push(`ns=${Math.floor(moment)}`);
    return parts.join("&");
  }
  /** All settings as they are now, the reader's own operations among them. */
  function told() {
    const own = packed(),
      now = Object.fromEntries(Object.keys(data.settings).map((name) => [name, settings[name]]));
    if (side) now[data.choice.name] = data.choice.values[side.indexOf(chosen())];
    const traffic = Object.keys(data.traffic)[branch.traffic] ?? data.empty;
    Object.assign(now, { traffic, fork: own ? branch.base : 0, own });
    if ("position" in now) now.position = Math.ceil(position);
    now.at_ns = once ? Math.floor(moment) : null;
    return now;
  }
  function remember() {
    clearTimeout(writing);
    if (change) writing = setTimeout(() => change(told()), 0);
    if (!place) return;
    const text = here();
    if (text.length <= LINK_MAX) writing = setTimeout(() => place.set(text), playing ? 1500 : 250);
  }
  // A lab whose settings have no place, because its sentence is about the whole, has it beside them.
  const beside = "position" in data.settings ? [] : ["position"];
  const asJson = () => toJson(data.lab, told(), Object.fromEntries(beside.map((name) => [name, Math.ceil(position)])));
  function save() {
    const url = URL.createObjectURL(new Blob([asJson()], { type: "application/json" }));
    make("a", { href: url, download: `${data.lab}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
    say(data.words.saved);
  }
  /** What a JSON of this lab asks for; a sentence is thrown that says what is wrong in it, where, and what is allowed. */
  function asksFor(text) {
    const no = (why) => {
        throw new Error(why);
      },
      { settings: given, position: at = 0 } = fromJson(text, data.lab, beside),
      wanted = { ...data.settings, ...given };
    for (const name of Object.keys(given)) if (!Object.hasOwn(data.settings, name)) no(unknownSetting(name, data.settings));
    const check = (name, rule) => rule.fits(wanted[name]) || no(refusalOf(name, wanted[name], rule)),
      whole = (name, low, most) => check(name, wholeRule(low, most)),
      one = (name, values) => check(name, oneOfRule(values));
    for (const { name, low } of data.numbers) whole(name, low, high[name]);
    if (data.choice) one(data.choice.name, data.choice.values);
    if ("limit_level" in wanted) whole("limit_level", 0, wanted.depth);
    const next = treeOf(data, wanted);
    one("traffic", [...Object.keys(data.traffic).filter((name) => data.traffic[name].cgroups <= next.leaves), data.empty]);
    const { ops = [] } = data.traffic[wanted.traffic] ?? {},
      known = (Array.isArray(ops) ? ops : (ops[next.cpus] ?? [])).length;
    whole("fork", 0, known);
    check("own", { fits: (own) => typeof own === "string", must: "a text such as 0a.1x3,1a-2" });
    const { ops: own, wrong } = unpackOps(data, next, wanted.own);
    if (wrong) no(wrong);
    const most = lab ? data.longest : data.longest_asked,
      length = own.length ? wanted.fork + own.length : known;
    if (length > most) no(fill(data.words["own long"], { most: most.toLocaleString("en") }));
    wanted.position ??= at;
    whole("position", 0, length);
    return { wanted, fork: wanted.fork, own: wanted.own };
  }
  /** Take a JSON over, or say why not; what is there stays until all of it has worked. */
  const load = (text) =>
    later(async () => {
      halt();
      const asked = asksFor(text),
        was = keep();
      await arrive({ ...asked, strict: true });
      walks.before = was;
      notice = data.words.loaded;
      fit();
      settle();
    });
  /** Settings, and the reader's own operations, as a link has them; what it asks for in vain is told. */
  function read(text) {
    const asked = new URLSearchParams(text),
      bent = [];
    const whole = (what, name, low, most, otherwise) => {
      if (!asked.has(name)) return otherwise;
      const given = asked.get(name),
        value = given === "" ? NaN : Number(given),
        kept = Number.isFinite(value) ? Math.max(low, Math.min(most, Math.round(value))) : otherwise;
      if (kept !== value) bent.push(fill(data.words["bent link"], { what, given: given.slice(0, 20) || "(empty)", low, high: most.toLocaleString("en"), kept }));
      return kept;
    };
    const known = [...data.numbers.map(({ key }) => key), ...(side ? ["r"] : []), "t", "p", "f", "o", "ns"];
    for (const name of new Set(asked.keys())) if (!known.includes(name)) bent.push(fill(data.words["link unknown"], { name: name.slice(0, 20) || '""', names: known.join(", ") }));
    const wanted = Object.fromEntries(data.numbers.map(({ name, label, key, low }) => [name, whole(label, key, low, high[name], settings[name])]));
    if (side) wanted[data.choice.name] = data.choice.values[whole("Machine", "r", 0, side.length - 1, side.indexOf(chosen()))];
    const traffics = Object.keys(data.traffic);
    if (asked.has("t")) wanted.traffic = traffics[whole("Traffic", "t", 0, traffics.length, 0)] ?? data.empty;
    const position = asked.has("p") ? whole("Operation", "p", 0, data.longest, 0) : undefined;
    wanted.at_ns = asked.has("ns") ? wholeRule(0, 0).read(asked.get("ns")) : null; // what it may be is known when all has run
    return { wanted: { ...wanted, position: position ?? settings.position }, fork: whole("Operation", "f", 0, data.longest, 0), own: asked.get("o") ?? "", bent };
  }
  /** Machines, traffic and place as they are asked for. What could not be done of the reader's own traffic is answered. */
  async function arrive({ wanted, fork = wanted.fork ?? 0, own = wanted.own ?? "", bent = [], strict = false }) {
    const made = await build(wanted);
    let at = made.branches.find(({ name }) => name === made.settings.traffic) ?? made.branches[0],
      wrong = "";
    await made.open(at, coming);
    if (own) {
      const asks = unpackOps(data, made.tree, own),
        from = Math.min(fork, at.n),
        was = await made.act(at, from, asks.ops, coming);
      at = was.branch;
      if (asks.wrong || was.refused)
        wrong = fill(data.words["bad link"], { operations: count(was.k, "operation"), why: was.refused ? refusal(made.tree, was.refused, asks.ops[was.k - from]) : asks.wrong });
      if (wrong && strict) throw new Error(wrong);
    }
    const last = made.settings.position ?? 0;
    if (last > at.n && !wrong) bent.push(fill(data.words["bent link"], { what: "Operation", given: last, low: 0, high: at.n.toLocaleString("en"), kept: at.n }));
    const was = strict && keep();
    adopt(made, at, last);
    byChoice();
    furnish();
    if (settings.at_ns !== null) {
      const asks = settings.at_ns,
        why = await meet(asks),
        rule = once && wholeRule(0, once.lanes.end),
        late = rule && !rule.fits(asks);
      if (strict && (why || late)) {
        restore(was);
        throw new Error(why || refusalOf("at_ns", asks, rule));
      }
      if (why) bent.push(why);
      if (late) bent.push(fill(data.words["bent link"], { what: "Simulated ns", given: String(asks).slice(0, 20) || "(empty)", low: 0, high: rule.high.toLocaleString("en"), kept: moment }));
    }
    notice = [...bent, wrong].filter(Boolean).join(" ");
  }
  /** From now on the stage shows this walk. */
  function adopt(made, at, last) {
    for (const [name, value] of Object.entries(made.settings)) settings[name] = value;
    walks = made;
    ({ tree } = made);
    branch = at;
    position = Math.max(0, Math.min(at.n, last));
    against = null;
    once = null;
  }
  /** All CPUs at once: this walk, on the machines that are shown; where that cannot be, why, and one comes after the other. */
  async function meet(ns) {
    halt();
    notice = "";
    const wait = setTimeout(() => put(status, "text", data.words["once coming"]), 300); // through Python a kernel may have to be compiled
    try {
      const runs = await allAtOnce({ lab, ask, data, tree, shown: shown(), ops: branch.ops });
      for (const { agrees } of runs) {
        walks.ran++;
        walks.disagreements += !agrees;
      }
      const lanes = new Lanes(data, tree, runs, (to) => (to === null ? settle() : go(to)));
      let times;
      once = { runs, lanes, times: () => (times ??= momentsOf(runs)) };
      moment = Math.max(0, Math.min(lanes.end, Math.round(ns) || 0));
      settings.at_ns = moment;
    } catch (error) {
      part();
      return error.message;
    } finally {
      clearTimeout(wait);
    }
    fit();
    settle();
    return "";
  }
  /** One operation after the other again. */
  function part() {
    halt();
    once = null;
    settings.at_ns = null;
    fit();
    settle();
  }
  /** Why the kernel did not take an operation. */
  function refusal(tree, { reason: code, allowed }, op) {
    const reason = Object.keys(c).find((name) => name.startsWith("BAD_") && c[name] === code),
      { words } = data;
    return fill(words[reason] ?? words.refused, { reason, allowed, cgroup: tree.names[op[2]], pages: count(allowed, "page") });
  }

  // --- the tree is changed, and comes back
  const keep = () => {
    let old = walks;
    for (let n = 0; n < 4 && old.before; n++) old = old.before.walks;
    old.before = null; // five trees back is far enough
    return { settings: { ...settings }, order: order.slice(), tree, walks, branch, position };
  };
  function restore(was) {
    halt();
    for (const name of Object.keys(settings)) delete settings[name];
    Object.assign(settings, was.settings);
    ({ order, tree, walks, branch, position } = was);
    order = order.slice();
    against = null;
    once = null;
    furnish();
    fit();
    settle();
    if (settings.at_ns !== null)
      later(async () => {
        const said = notice;
        await meet(settings.at_ns);
        notice = said;
        show();
      });
  }
  function undoLast() {
    if (!walks.before || walks.acted) return once ? say(data.words["once undo"]) : go(Math.ceil(position) - 1);
    restore(walks.before);
    say(data.words["tree back"]);
  }
  /** An operation of one tree in another, or null where there is no such CPU or cgroup. */
  function moved([code, cpu, memcg, nr, ctx], from, to) {
    const leaf = memcg - from.first,
      there = leaf >= 0 ? leaf < to.leaves : memcg < to.first;
    return there && cpu < to.cpus ? [code, cpu, leaf >= 0 ? to.first + leaf : memcg, nr, ctx] : null;
  }
  /** The reader's own branches on another tree, each as far as it is possible there: {places, lost}. */
  async function carry(was, made) {
    const places = new Map(),
      lost = [];
    for (const b of was.walks.branches.filter(({ mine }) => mine)) {
      const given = made.branches.find((g) => !g.mine && g.traffic === b.traffic),
        at = given ?? made.branches.findLast((g) => !g.mine),
        begin = given ? b.base : 0;
      await made.open(at, coming);
      const from = Math.min(begin, at.n),
        ops = b.ops.slice(begin).map((op) => moved(op, was.tree, made.tree)),
        stop = ops.indexOf(null),
        copy = made.split(at, from),
        refused = await made.run(copy, stop < 0 ? ops : ops.slice(0, stop), coming),
        same = made.branches.find((other) => other.mine && other.n === copy.n && parting(other, copy) > copy.n);
      copy.fork = Math.min(copy.n, b.fork + from - begin);
      copy.told = Math.min(copy.n, b.told);
      if (!same && copy.n > from) {
        if (!made.branches.some(({ name }) => name === b.name)) copy.name = b.name;
        made.branches.push(copy);
      }
      places.set(b, same ?? (copy.n > from ? copy : at));
      const wrong = refused ? begin + copy.n - from : stop < 0 ? -1 : begin + stop;
      if (wrong >= 0) lost.push({ b, wrong, operation: operationText(data, was.tree, b.ops[wrong]) });
    }
    return { places, lost };
  }

  /** A long walk says how far it is. */
  const coming = (done, all) => put(status, "text", fill(data.words.coming, { done: done.toLocaleString("en"), all: all.toLocaleString("en") }));

  // What asks a kernel may take a moment: one after the other.
  let queue = Promise.resolve();
  const later = (work) =>
    (queue = queue.then(work).catch((error) => {
      say(error.message);
    }));

  /** Machines of another size, or with another limit; traffic starts anew on them. */
  async function build(wanted) {
    const next = { ...settings, ...wanted };
    if (next.limit_level > next.depth) next.limit_level = next.depth;
    const grown = treeOf(data, next),
      made = new Walks(lab ? new Kernels(lab, data, grown) : new Asked(ask, data, grown), data, grown, next);
    await made.begin();
    return made;
  }
  /** Pictures and boxes for the tree as it is. */
  function furnish() {
    paint();
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
    leafRow.classList.toggle("crowd", tree.leaves > 2);
    handBox.replaceChildren(...Array.from({ length: tree.cpus }, (_, cpu) => make("option", { value: cpu }, `CPU ${cpu}`)));
    limitOf.replaceChildren(...tree.names.map((name, m) => (m === 0 ? null : make("option", { value: m }, name))).filter(Boolean));
    limitOf.value = tree.first;
    setLeaf(Math.min(leaf, tree.leaves - 1));
    setHand(Math.min(hand, tree.cpus - 1));
  }
  /** A picture for each machine that is shown. */
  function paint() {
    pictures = sides.slice(0, shown().length).map(({ holder }, n) => {
      const picture = new Picture(data, tree);
      picture.onStep = (row) => {
        halt();
        const k = Math.ceil(position);
        const node = branch.node(k);
        position = k - 1 + Math.min(0.999, (node.score[picture.i].at[row] + 1) / node.length);
        show();
      };
      holder.replaceChildren(picture.svg);
      picture.i = shown()[n];
      return picture;
    });
    boxes.forEach((box, n) => (box.querySelector("input").value = settings[data.numbers[n].name]));
  }
  /** Another tree. What the reader did is done there again, as far as it is possible; the old tree can be had back. */
  async function rebuild(wanted) {
    halt();
    const was = keep(),
      made = await build(wanted),
      { places, lost } = await carry(was, made),
      own = places.get(was.branch),
      at = own ?? made.branches.find((b) => !b.mine && b.traffic === was.branch.traffic) ?? made.branches[0];
    await made.open(at, coming);
    made.before = was;
    adopt(made, at, own ? Math.ceil(was.position) : 0);
    furnish();
    notice = "";
    const [first] = [...lost].sort((a, b) => (b.b === was.branch) - (a.b === was.branch));
    const why = settings.at_ns === null ? "" : await meet(0);
    notice = why;
    if (first) notice = fill(data.words["not there"], { branch: first.b.name, k: (first.wrong + 1).toLocaleString("en"), operation: first.operation });
    fit();
    settle();
  }
  /** More machines, or fewer; the walk is the same on all. */
  function setPictures(n) {
    settings.pictures = n;
    paint();
    if (once) return meet(moment);
    fit();
    settle();
  }
  /** Another machine in a picture; if one shows it already, the two change places. */
  function setSide(n, i) {
    const from = order.indexOf(i);
    [order[n], order[from]] = [i, order[n]];
    if (side) settings[data.choice.name] = data.choice.values[side.indexOf(chosen())];
    pictures.forEach((picture, at) => (picture.i = shown()[at]));
    notice = "";
    dress();
    if (once) return later(() => meet(moment));
    refresh();
    if (position === Math.ceil(position)) settle();
    show();
  }
  function dress() {
    sides.forEach(({ section, title, version, lines }, n) => {
      const i = order[n],
        machine = data.machines[i];
      section.hidden = n >= shown().length;
      section.className = `machine m${i}`;
      section.setAttribute("aria-label", machine.title);
      version.textContent = machine.version;
      lines.forEach(({ row }, n) => (row.hidden = !hasLine(n, i)));
      if (title.tagName === "SELECT") title.value = i;
    });
    root.classList.toggle("many", shown().length > 2);
  }

  // --- time
  function tick(now) {
    callOff = null;
    const begun = performance.now(),
      dt = Math.min(100, now - last);
    if (last) {
      stats.frames++;
      stats.worst = Math.max(stats.worst, now - last);
    }
    last = now;
    let left = dt * speed;
    const goal = target ?? (once ? once.lanes.end : branch.n);
    if (once) {
      moment = calm.matches ? nextTime(moment) : moment + left * NS_A_MS;
      if (moment >= goal) moment = goal;
    }
    while (!once && left > 0 && position < goal) {
      const k = Math.floor(position) + 1,
        node = branch.node(k);
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
    if ((once ? moment : position) >= goal) {
      if (!once) position = goal;
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
    if (callOff) return;
    // Timers and frames are numbered apart: the number of a frame may be that of another timer.
    if (calm.matches) {
      const timer = setTimeout(
        () => {
          last = 0;
          tick(performance.now());
        },
        900 / Math.min(speed, 16),
      );
      callOff = () => clearTimeout(timer);
    } else {
      const frame = requestAnimationFrame(tick);
      callOff = () => cancelAnimationFrame(frame);
    }
  }
  function halt() {
    playing = false;
    target = null;
    last = 0;
    callOff?.();
    callOff = null;
  }
  function go(k) {
    halt();
    notice = "";
    if (once) {
      moment = Math.max(0, Math.min(once.lanes.end, k));
      show(); // what is told follows once the hand has come to rest
      if (once.lanes.held === null) settle();
      return;
    }
    position = Math.max(0, Math.min(branch.n, k));
    settle();
    show();
  }
  /** What moves is at its end at once: a second press goes on. */
  const finish = () => (playing || target !== null) && go(once ? (target ?? Math.ceil(moment)) : Math.ceil(position));
  /** The next moment at which anything happens on a machine that is shown, and the one before. */
  const nextTime = (ns) => once.times()[lastUntil(once.times(), ns) + 1] ?? once.lanes.end,
    lastTime = (ns) => once.times()[Math.max(0, lastUntil(once.times(), ns - 0.001))];
  const back = () => (once ? creep(-1) : go(Math.ceil(position) - 1));
  function step() {
    finish();
    if (once) return passTo(nextTime(moment));
    playTo(Math.floor(position) + 1);
  }
  function passTo(ns) {
    halt();
    notice = "";
    if (calm.matches || ns <= moment) return go(ns);
    target = ns;
    want();
  }
  function playTo(k) {
    halt();
    notice = "";
    if (k > branch.n || calm.matches) return go(k);
    position = k - 1;
    target = k;
    show();
    want();
  }
  /** One step of the log forwards or back, on the machine whose step comes next. */
  function creep(way) {
    halt();
    notice = "";
    if (once) return go(way > 0 ? nextTime(moment) : lastTime(Math.ceil(moment)));
    const settled = position === Math.ceil(position),
      k = way > 0 && settled ? position + 1 : Math.ceil(position);
    if (k > branch.n || k < 1) return;
    const node = branch.node(k),
      scores = node.score,
      now = settled ? (way > 0 ? -1 : Infinity) : (position - k + 1) * node.length;
    const times = [...new Set(pictures.flatMap((p) => p.visible(node.m[p.i]).map((row) => scores[p.i].at[row] + 1)))].sort((a, b) => a - b);
    const next = way > 0 ? times.find((t) => t > now + 0.5) : times.findLast((t) => t < now - 0.5);
    position = next === undefined ? (way > 0 ? k : k - 1) : k - 1 + next / node.length;
    if (next === undefined) settle();
    show();
  }
  function toggle() {
    notice = "";
    if (playing || target !== null) {
      halt();
      if (once) return go(Math.ceil(moment));
    } else {
      if (once && moment >= once.lanes.end) moment = 0;
      if (!once && position >= branch.n) position = 0;
      playing = true;
      want();
    }
    show();
  }
  function seek(test, none) {
    finish();
    if (once) {
      const [next] = once.runs.filter(({ i }) => others().includes(i)).flatMap((run) => run.jumps).filter((ns) => ns > moment).sort((a, b) => a - b);
      return next === undefined ? say(none) : go(next);
    }
    let k = Math.floor(position) + 1;
    while (k <= branch.n && !test(k)) k++;
    if (k > branch.n) say(none);
    else playTo(k);
  }

  // --- branches
  /** The reader points at a walk; on another tree that came in between it is the one with the same name. */
  function chosenBranch(b) {
    later(() => {
      const here = walks.branches.includes(b) ? b : walks.branches.find(({ name }) => name === b.name);
      return here && choose(here, null);
    });
  }
  async function choose(next, k) {
    await walks.open(next, coming);
    branch = next;
    if (!branch.mine) settings.traffic = branch.name;
    const there = k ?? (branch.mine ? branch.n : 0);
    if (once) {
      position = there; // where one operation after the other goes on
      const why = await meet(0);
      if (why) say(why);
      return;
    }
    refresh();
    go(there);
  }
  function refresh() {
    const option = (b) =>
      make(
        "option",
        { value: walks.branches.indexOf(b) },
        b.mine ? `${b.name}: ${count(b.n - b.fork, "operation")} from ${b.fork} on` : b.name,
      );
    const mine = walks.branches.filter((b) => b.mine);
    trafficBox.replaceChildren(
      make("optgroup", { label: "Given" }, ...walks.branches.filter((b) => !b.mine).map(option)),
      ...(mine.length ? [make("optgroup", { label: "Yours: all of it is kept" }, ...mine.map(option))] : []),
    );
    trafficBox.value = walks.branches.indexOf(branch);
    placeBox.max = branch.n;
    placeBox.style.width = `${Math.max(62, 30 + 10 * String(branch.n).length)}px`;
    ofAll.textContent = `of ${branch.n.toLocaleString("en")}`;
    chart.show({
      walk: branch,
      branches: walks.branches,
      shown: shown().toSorted(),
      machines: data.machines,
      tree,
      settings,
      onBranch: chosenBranch,
      against,
    });
    showCompared();
    chart.mark(branch, hotTest(), jumps);
    if (once) {
      placeBox.max = once.lanes.end;
      placeBox.style.width = "84px";
      ofAll.textContent = `of ${once.lanes.end.toLocaleString("en")}`;
    }
  }
  // --- two branches
  let against = null;
  function compare(other) {
    against = other;
    refresh();
    if (against) speak(panel.querySelector("p").textContent);
  }
  /** The end of a walk on the machines that are shown: atomics, pages in stocks. */
  const ends = (b) => shown().map((i) => [b.atomics(b.n, i), add(b.node(b.n).m[i].state["stock.nr_pages"])]);
  function showCompared() {
    const others = walks.branches.filter((b) => b !== branch && b.opened && b.n);
    if (!others.includes(against)) against = null;
    compareLabel.hidden = !others.length;
    compareBox.replaceChildren(make("option", { value: "" }, data.words["compare none"]), ...others.map((b) => make("option", { value: walks.branches.indexOf(b) }, b.name)));
    compareBox.value = against ? walks.branches.indexOf(against) : "";
    panel.hidden = !against;
    if (!against) return;
    const both = [branch, against],
      top = Math.max(10, ...both.flatMap((b) => shown().map((i) => b.value(b.n, i)))),
      span = Math.max(20, branch.n, against.n),
      [width, height] = [Math.max(300, Math.min(560, (panel.clientWidth || 1000) / 2 - 12)), 110],
      left = Math.max(48, wide(top.toLocaleString("en"), chart.svg) + 10);
    const plots = both.map((b) => {
      const small = Object.assign(Object.create(Chart.prototype), { width: width + 130, height, span, top, left, right: 150 }),
        k = parting(branch, against) - 1,
        at = small.x(k).toFixed(1);
      return make(
        "svg",
        { class: `chart ${data.chart.value}`, width, height: height + 16, viewBox: `0 -16 ${width} ${height + 16}`, role: "img", "aria-label": `${b.name}: ${data.chart.label}, over ${count(b.n, "operation")}` },
        make("path", { class: "axis", d: `M${left} ${small.y(0)}H${width - 20}M${left} ${small.y(top)}H${width - 20}` }),
        make("path", { class: "bound", d: `M${at} ${small.y(0)}V${small.y(top)}` }),
        ...shown().toReversed().map((i) => make("path", { class: `line m${i}`, d: small.path(b, i) })),
        make("text", { class: "soft", x: left - 6, y: small.y(top) + 5, "text-anchor": "end" }, top.toLocaleString("en")),
        make("text", { class: "soft", x: left - 6, y: small.y(0) + 5, "text-anchor": "end" }, "0"),
        make("text", { class: "label strong", x: left, y: -2 }, b.name),
        make("text", { class: "soft", x: width - 20, y: height - 4, "text-anchor": "end" }, span.toLocaleString("en")),
      );
    });
    const [here, there] = both.map(ends),
      cells = (tag, values) => make("tr", {}, ...values.map((v, n) => make(n ? tag : "th", { scope: tag === "th" ? "col" : n ? null : "row" }, String(v))));
    panel.replaceChildren(
      make("p", {}, compared(data, tree, branch, against, shown(), here, there)),
      make("div", { class: "plots" }, ...plots),
      make(
        "table",
        {},
        make("thead", {}, cells("th", [data.words["compare head"], ...both.map((b) => b.name)])),
        make(
          "tbody",
          {},
          ...shown().flatMap((i, n) => [0, 1].map((what) => cells("td", [fill(data.words[what ? "compare stocks" : "compare atomics"], { machine: data.machines[i].name }), here[n][what].toLocaleString("en"), there[n][what].toLocaleString("en")]))),
        ),
      ),
    );
  }
  const perform = (asked) =>
    later(async () => {
      const op = typeof asked === "function" ? asked() : asked; // in the tree as it is then
      const k = once ? branch.n : Math.ceil(position);
      if (k >= walks.source.longest) return say(fill(data.words["own long"], { most: walks.source.longest.toLocaleString("en") }));
      const answer = await walks.act(branch, k, [op]);
      if (answer.refused) {
        if (!once) position = k;
        return say(refusal(tree, answer.refused, op));
      }
      walks.acted = true;
      branch = answer.branch;
      if (once) {
        position = branch.n;
        const why = await meet(moment);
        if (why) return say(why);
        const [run] = once.runs,
          begins = run.begins.filter((_, n) => run.ops[n][1] === op[1]);
        return go(wholeNs(begins.at(-1))); // where it begins on the first machine
      }
      recognise(branch.node(answer.k));
      refresh();
      playTo(answer.k);
    });
  function act(name) {
    const [cpu, of, pages] = [hand, leaf, size];
    perform(() => [data.forms.ops.indexOf(name), cpu, tree.first + of, pages, data.hand.ctx]);
  }
  function limit() {
    const pages = limitBox.value === "" ? -1 : Number(limitBox.value);
    if (limitBox.validity.badInput || !Number.isInteger(pages) || (limitBox.value !== "" && (pages < 0 || pages > 99999))) {
      const value = limitBox.value;
      showLimit(true);
      return say(fill(data.words["no limit"], { value: value === "" ? data.words["no number"] : value }));
    }
    perform([c.SET_MAX, hand, +limitOf.value, pages, c.TASK]);
  }
  function showLimit(always = false) {
    if (!always && focused() === limitBox) return;
    const pages = branch.node(Math.ceil(position)).m[0].state["counter.limit"][+limitOf.value];
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
    chart.mark(branch, hotTest(), jumps);
    show();
    if (hot >= 0) speak(often());
  }

  // --- to take along, and to check
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
    ArrowRight: step,
    ArrowLeft: () => back(),
    Home: () => go(0),
    End: () => go(once ? once.lanes.end : branch.n),
    PageUp: () => go(once ? Math.ceil(moment) + 100 : Math.ceil(position) + 10),
    PageDown: () => go(once ? Math.ceil(moment) - 100 : Math.ceil(position) - 10),
    n: () => seek(jumps, data.words[jump.none]),
    x: () => paired && !once && seek(apart, data.words["no difference"]),
    q: () => act(data.hand.charge),
    a: () => act(data.hand.back),
    z: () => later(undoLast), // of what was asked for before and has not come yet
    c: () => setHand((hand + 1) % tree.cpus),
    g: () => setLeaf((leaf + 1) % tree.leaves),
    ".": () => creep(1),
    ",": () => creep(-1),
    "[": () => setSize(size - 1),
    "]": () => setSize(size + 1),
  };
  root.addEventListener("keydown", (e) => {
    const call = keys[e.key],
      box = e.target.closest("select, input, textarea, summary"),
      far = /^(Home|End|PageUp|PageDown)$/.test(e.key) && !e.target.closest(".chart"); // elsewhere they move the page
    if (!call || box || far || e.altKey || e.metaKey || e.ctrlKey) return;
    if (e.key === " " && e.target.closest("button")) return;
    e.preventDefault();
    e.stopPropagation(); // a notebook has keys of its own
    call();
  });

  // --- sizes
  function fit() {
    const narrow = root.clientWidth < WIDE,
      roomy = root.clientWidth >= ROOMY,
      small = roomy && shown().length > 2;
    const deep = !narrow && tree.depth + (tree.leaves > 2) > 4; // many levels: the chart gives some of its room
    root.classList.toggle("deep", deep);
    root.classList.toggle("once", once !== null);
    root.classList.toggle("sole", shown().length === 1);
    root.classList.toggle("narrow", narrow);
    root.classList.toggle("row", !narrow && (small || !roomy));
    root.classList.toggle("tight", !narrow && !roomy); // beside a notebook's panels: the bar has two rows
    root.classList.toggle("slim", root.clientWidth < 560);
    dress();
    root.classList.toggle("small-lines", sides[0].holder.clientWidth < LINE);
    pictures.forEach((picture, side) => {
      picture.i = shown()[side];
      const low = !roomy && tree.depth <= 2 && tree.leaves <= 2, // the hands stand above: their row is taken from the picture
        given = small ? 145 : narrow ? (tree.leaves > 4 ? 330 : 280) : low ? 226 : 260,
        height = given + (deep ? (small ? 12 : 24) : 0);
      picture.layout(Math.max(320, sides[side].holder.clientWidth), height, small, !roomy);
      if (once) picture.crop();
    });
    timeBox.value = once ? "once" : "";
    difference.hidden = once !== null;
    placeLabel.firstChild.textContent = once ? "ns" : "Operation";
    if (once) {
      if (once.lanes.svg.parentNode !== plot) plot.replaceChildren(once.lanes.svg, key, note);
      // On a screen of 560 px everything that moves is seen at once; the note below it stays.
      const above = once.lanes.svg.getBoundingClientRect().top - root.getBoundingClientRect().top;
      once.lanes.layout(Math.max(300, plot.clientWidth), narrow ? 0 : Math.max(68, 558 - above));
    } else if (chart.svg.parentNode !== plot) plot.replaceChildren(chart.svg);
    chart.layout(Math.max(300, plot.clientWidth), deep ? 64 : 88);
    refresh();
    show();
  }
  const observer = new ResizeObserver(fit);
  const begin = place?.get();
  await arrive(begin ? read(begin) : { wanted: { ...settings } });
  fit();
  settle();
  observer.observe(root);
  const leave = () => {
    halt();
    clearTimeout(writing);
    voice.leave();
    observer.disconnect();
  };
  /** Whether settings ask for more than another place in this walk. */
  const elsewhere = (wanted) => Object.entries(told()).some(([name, value]) => name !== "position" && name !== "at_ns" && name in wanted && wanted[name] !== value);
  /** Another place in this walk, or in its time. */
  async function turn({ position: k = position, at_ns: ns = null }) {
    if (ns === null) {
      if (once) part();
      return go(k);
    }
    if (once) return go(ns);
    const why = await meet(ns);
    if (why) say(why);
  }
  /** Somebody else has chosen: a link that was followed, or Python. What the reader did before comes along. */
  async function come(asked) {
    halt();
    const was = keep();
    await arrive(asked);
    await carry(was, walks);
    walks.before = was;
    fit();
    settle();
  }
  return {
    load,
    asJson,
    keys,
    root,
    go,
    creep,
    perform,
    playTo,
    toggle,
    come: (text) => later(() => text !== here() && come(read(text))),
    set(wanted) {
      clearTimeout(writing); // what is now is not what was chosen last
      return later(() => (elsewhere(wanted) ? come({ wanted }) : turn(wanted)));
    },
    say,
    leave,
    stats,
    get found() {
      return quests.found;
    },
    here,
    ready: performance.now(),
    inner: { data, readState, copyState, sameState, follow, rowsOf, sentence, linesOf, lightsOf, compared, ends, treeOf, chart, allAtOnce, onceSentence }, // for the tests
    check: checkHere,
    seek: (p) => {
      halt();
      position = Math.max(0, Math.min(branch.n, p));
      show();
    },
    get position() {
      return position;
    },
    get nodes() {
      return Array.from({ length: branch.n + 1 }, (_, k) => branch.node(k));
    },
    get branch() {
      return branch;
    },
    get once() {
      return once;
    },
    get moment() {
      return moment;
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
