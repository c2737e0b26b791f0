/* kernel.js: the library's compiled kernels in a page, or in node. No rule of the mechanism is written here.
 *
 * `python -m memcg_lab web build` makes kernels.json (the description), one .wasm a kernel, and golden.json.
 * This file needs nothing else. Inlined into one <script type="module"> it works from file://; what stands after it in
 * the same script finds open, check, Table, System and Machine.
 *
 *   const lab = await open(description, read)      description: kernels.json, parsed; read(file) -> Uint8Array, or a
 *                                                  promise of one; a kernel is read when it is first asked for
 *   await lab.need("steps", "v4.14")               have a kernel ready (kinds: replay, steps, machine, events);
 *   await lab.needAll()                            all of them. What follows is synchronous and needs its kernel ready.
 *
 *   const system = lab.system({parents: [-1, 0], cpus: 2, policy: "v4.14", limits, highs, mins, lows, root: 0,
 *                              legacy: false, memsw: false, underflow: "refuse"})
 *                                                  as memcg_lab.System, without sockets; parents stand before children,
 *                                                  limits and highs: pages, -1 or null = max; lab.chain(depth, {...})
 *   const ops = lab.ops([{op: "charge_skmem", cpu: 0, memcg: 1, nr: 1, ctx: "softirq"}, ...])
 *   system.run(ops)           -> {done, reason, allowed}; reason 0, or a code named by lab.reason(code); then the state
 *                                is as before, `done` is the number of the wrong operation
 *   system.stepThrough(ops)   -> the same and `log`, a Table of step records (kind "steps"); a log takes 40 bytes a row
 *   system.snapshot()         -> the visible state under the names of the golden files, as System.snapshot()
 *   system.tables.counter     -> the arrays themselves, each a Table: counter, memcg, stock, sock, work, total, ...
 *   system.save() / restore() -> the whole state as one Uint8Array, about 200 bytes a cgroup; copy()
 *
 *   const machine = lab.machine(system, ops, {thinkNs: 1000, think: "exponential", topology: "2x E5-2680 v4",
 *                              layout: "v4.13", lock: "atomic", seed: 1, repeat: true, record: 0})
 *                                                  as memcg_lab.machine.simulate, on a copy of the system, cgroup v2;
 *                                                  topology and layout by name, or as lab.machines describes one
 *   machine.run(untilNs)      -> {reason, cpu}; goes on until that simulated time; reason named by lab.stop(code)
 *   machine.run(untilNs, {stay: true})             the arrays stay in the kernel; machine.fetch() brings them, leave()
 *                                                  gives them up
 *   machine.counted()         -> {finished, booked, traffic}: Float64Arrays, times in ps, rows as in lab.words.functions
 *                                and machine.lines, columns as in lab.words.booked and lab.words.traffic
 *   machine.events()          -> a Table of event records, in order (record: how many may be kept; kind "events");
 *                                                  that an operation begins is one too
 *
 *   await check(lab, golden, tell)  -> {scenarios, ops, fields, mismatches: [{scenario, op, field, expected, got}]}
 *                                golden: golden.json, parsed; tell({scenarios, ...}) is awaited after each scenario
 *
 * A Table is records in a row: length, shape, get(index, field), set(index, field, value), column(field) as numbers,
 * words as a BigInt64Array. Numbers are exact up to 2 ** 53; `words` has all 64 bits. An array of plain int64 has one
 * field called "".
 *
 * The description: records {name: {size, fields: {name: {offset, kind, size, count}}}}; constants {mechanism, machine};
 * words (lists in the order of their codes: ops, steps, work, total, functions, ...); policies {name: {batch, slots,
 * capped, ..., state}}, where state has for each array its record, its shape as [a CPU, a cgroup, always] for each
 * dimension, and the value each field begins with; machines {topologies, layouts, think}; kernels {"kind policy":
 * {file, bytes, gzip, sha256, arguments: [{name, kind, record, ndim}], returns}}.
 */

const FORMAT = "memcg-lab web kernels 1";
const KINDS = {
  int64: [8, (view, at) => view.getInt32(at + 4, true) * 4294967296 + view.getUint32(at, true),
    (view, at, value) => view.setBigInt64(at, BigInt(value), true)],
  int32: [4, (view, at) => view.getInt32(at, true), (view, at, value) => view.setInt32(at, value, true)],
  int16: [2, (view, at) => view.getInt16(at, true), (view, at, value) => view.setInt16(at, value, true)],
  uint16: [2, (view, at) => view.getUint16(at, true), (view, at, value) => view.setUint16(at, value, true)],
  uint8: [1, (view, at) => view.getUint8(at), (view, at, value) => view.setUint8(at, value)],
};
const SMALL = { int32: Int32Array, int16: Int16Array, uint16: Uint16Array, uint8: Uint8Array }; // a field lies at a multiple of its size
const PS = 1000; // picoseconds in a nanosecond

/** What numba passes of an array: owner, parent, items, size of one, where, then the shape and the strides in bytes. */
function words(form, shape) {
  const strides = shape.map((_, d) => form.size * product(shape.slice(d + 1)));
  return { head: [BigInt(product(shape)), BigInt(form.size)], tail: [...shape, ...strides].map(BigInt) };
}

/** Records in a row, in memory of their own or in a part of some. */
export class Table {
  constructor(form, shape, buffer = null, offset = 0) {
    this.form = form;
    this.shape = shape;
    this.length = product(shape);
    buffer ??= new ArrayBuffer(this.length * form.size);
    this.bytes = new Uint8Array(buffer, offset, this.length * form.size);
    this.words = new BigInt64Array(buffer, offset, this.bytes.length / 8);
    this.view = new DataView(buffer, offset, this.bytes.length);
    this.low = new Uint32Array(buffer, offset, this.bytes.length / 4);
    this.high = new Int32Array(buffer, offset, this.bytes.length / 4);
    Object.assign(this, words(form, shape));
  }

  copyIn(memory, at) {
    memory.set(this.bytes, at);
  }

  copyOut(memory, at) {
    this.bytes.set(memory.subarray(at, at + this.bytes.length));
  }

  field(name) {
    const field = this.form.fields[name];
    if (!field) throw new RangeError(`field "${name}" does not exist; there are ${Object.keys(this.form.fields).join(", ")}.`);
    return field;
  }

  /** One number; `item` is the place within a field that has several. */
  get(index, name = "", item = 0) {
    const { offset, kind } = this.field(name);
    const [size, read] = KINDS[kind];
    return read(this.view, index * this.form.size + offset + item * size);
  }

  set(index, name, value, item = 0) {
    const { offset, kind } = this.field(name);
    const [size, , write] = KINDS[kind];
    write(this.view, index * this.form.size + offset + item * size, value);
  }

  /** A field of all records, or of those from `begin` to `end`, as numbers. */
  column(name = "", begin = 0, end = this.length, item = 0) {
    const { offset, kind } = this.field(name);
    const [size] = KINDS[kind];
    const found = new Float64Array(Math.max(end - begin, 0));
    const first = begin * this.form.size + offset + item * size;
    if (kind === "int64") {
      const { low, high } = this, step = this.form.size / 4;
      for (let i = 0, at = first / 4; i < found.length; i++, at += step) found[i] = high[at + 1] * 4294967296 + low[at];
    } else {
      const values = this.values(kind), step = this.form.size / size;
      for (let i = 0, at = first / size; i < found.length; i++, at += step) found[i] = values[at];
    }
    return found;
  }

  /** Write a field of all records: whole numbers, exact up to 2 ** 53. */
  put(name, numbers) {
    const { offset, kind } = this.field(name);
    const [size] = KINDS[kind];
    if (kind === "int64") {
      const { low, high } = this, step = this.form.size / 4;
      for (let i = 0, at = offset / 4; i < this.length; i++, at += step) {
        high[at + 1] = Math.floor(numbers[i] / 4294967296);
        low[at] = numbers[i] - high[at + 1] * 4294967296;
      }
    } else {
      const values = this.values(kind), step = this.form.size / size;
      for (let i = 0, at = offset / size; i < this.length; i++, at += step) values[at] = numbers[i];
    }
  }

  values(kind) {
    const { buffer, byteOffset, length } = this.bytes;
    return new SMALL[kind](buffer, byteOffset, length / KINDS[kind][0]);
  }

  /** Records from `begin` to `end`, copied. */
  slice(begin, end) {
    const size = this.form.size;
    const buffer = this.bytes.slice(begin * size, end * size).buffer;
    return new Table(this.form, [end - begin], buffer);
  }
}

/** A table with one number in it everywhere, 0 or int64, that costs nothing until someone reads it. */
class Blank {
  constructor(form, shape, value = 0n) {
    Object.assign(this, { form, shape, value, room: product(shape) * form.size, ...words(form, shape) });
  }

  get table() {
    if (!this.made) {
      this.made = new Table(this.form, this.shape);
      this.made.words.fill(this.value);
    }
    return this.made;
  }

  get bytes() {
    return this.table.bytes;
  }

  copyIn(memory, at) {
    if (this.made) this.made.copyIn(memory, at);
    else new BigInt64Array(memory.buffer, at, this.room / 8).fill(this.value);
  }

  copyOut(memory, at) {
    this.table.copyOut(memory, at);
  }
}

/** Room for the log of one call: it begins with nothing in it, and only what was written is copied out, as `table`. */
class Log {
  constructor(form, rows) {
    Object.assign(this, { form, rows, ...words(form, [rows]), bytes: { length: rows * form.size }, shape: [rows] });
  }

  copyIn(memory, at) {
    memory.fill(0, at, at + this.form.size); // row 0: rows used ("before"), rows that found no place ("after")
  }

  copyOut(memory, at) {
    const header = new Table(this.form, [1], memory.slice(at, at + this.form.size).buffer);
    const used = header.get(0, "before");
    this.missing = header.get(0, "after");
    this.table = new Table(this.form, [used], memory.slice(at + this.form.size, at + (1 + used) * this.form.size).buffer);
  }
}

/** One compiled kernel. Arrays are copied in, and copied out again, unless their holder lets them stay between calls. */
class Kernel {
  constructor(told, records, instance) {
    Object.assign(this, { told, records, run: instance.exports.run, memory: instance.exports.memory, holder: null, placed: [] });
    this.heap = (instance.exports.__heap_base.value + 15) & ~15;
  }

  /**
   * Call it with a Table, null, a number or a boolean for each argument, by name. With a holder the arrays stay in here
   * until someone else calls; the holder gets them by fetch().
   */
  call(given, holder = null) {
    const { returns, arguments: parameters } = this.told;
    const answer = this.heap, exception = answer + 8 * returns.length;
    let end = (exception + 8 + 15) & ~15;
    const args = [answer, exception];
    const placed = [];
    for (const { name, kind, ndim, record } of parameters) {
      const value = given[name];
      if (kind === "array") {
        const { size } = this.records[record];
        if (!(value instanceof Table || value instanceof Log || value instanceof Blank) || value.form.size !== size || value.shape.length !== ndim) {
          throw new TypeError(`${name} must be a Table of ${record} records in ${ndim} dimensions.`);
        }
        args.push(0, 0, value.head[0], value.head[1], end, ...value.tail);
        placed.push([value, end]);
        end = (end + (value.room ?? value.bytes.length) + 15) & ~15;
      } else if (kind === "none") {
        args.push(0);
      } else {
        args.push(kind === "bool" ? Number(value) : BigInt(value));
      }
    }
    const missing = end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
    const stayed = holder !== null && this.holder === holder;
    if (!stayed) this.fetch(); // whoever was here
    const bytes = new Uint8Array(this.memory.buffer);
    if (!stayed) for (const [array, at] of placed) array.copyIn(bytes, at);
    this.holder = null;
    const status = this.run(...args);
    if (status !== 0) throw new Error(`${this.told.file} stopped with status ${status}.`);
    if (holder) Object.assign(this, { holder, placed });
    else for (const [array, at] of placed) array.copyOut(bytes, at);
    const view = new DataView(this.memory.buffer);
    return Object.fromEntries(returns.map((name, i) => [name, KINDS.int64[1](view, answer + 8 * i)]));
  }

  /** Copy out what stayed: all of it, or some arrays. */
  fetch(wanted = null) {
    if (!this.holder) return;
    const bytes = new Uint8Array(this.memory.buffer);
    for (const [array, at] of this.placed) if (!wanted || wanted.includes(array)) array.copyOut(bytes, at);
  }
}

/** Make the kernels of a build available; `read` gives the bytes of one of its files. */
export async function open(description, read) {
  if (description.format !== FORMAT) throw new Error(`the kernels are "${description.format}"; this reads "${FORMAT}".`);
  return new Lab(description, read);
}

class Lab {
  constructor(description, read) {
    Object.assign(this, description);
    this.read = read;
    this.ready = new Map();
    this.coming = new Map();
  }

  /** A promise of one kernel. */
  need(kind, policy) {
    const name = `${kind} ${policy}`, told = this.kernels[name];
    if (!told) return Promise.reject(new RangeError(`kernel "${name}" does not exist; there are ${Object.keys(this.kernels).join(", ")}.`));
    if (!this.coming.has(name)) {
      const made = Promise.resolve(this.read(told.file)).then((bytes) => WebAssembly.instantiate(bytes, {}));
      this.coming.set(name, made.then(({ instance }) => {
        const kernel = new Kernel(told, this.records, instance);
        this.ready.set(name, kernel);
        return kernel;
      }));
    }
    return this.coming.get(name);
  }

  needAll() {
    return Promise.all(Object.values(this.kernels).map(({ kind, policy }) => this.need(kind, policy)));
  }

  /** A kernel that is ready. */
  kernel(kind, policy) {
    const kernel = this.ready.get(`${kind} ${policy}`);
    if (!kernel) throw new Error(`kernel "${kind} ${policy}" is not ready; await lab.need("${kind}", "${policy}") first.`);
    return kernel;
  }

  table(record, shape, buffer, offset) {
    return new Table(this.records[record], Array.isArray(shape) ? shape : [shape], buffer, offset);
  }

  system(options) {
    return new System(this, options);
  }

  /** A root with `depth` levels below it. */
  chain(depth, options) {
    return this.system({ ...options, parents: Array.from({ length: whole("depth", depth, 1, 65535) + 1 }, (_, m) => m - 1) });
  }

  machine(system, ops, options) {
    return new Machine(this, system, ops, options);
  }

  /** A stream: one record for each {op, cpu, memcg, nr, ctx}. */
  ops(list) {
    const table = this.table("op", list.length), { ops, contexts } = this.words;
    list.forEach(({ op, cpu, memcg = -1, nr = 0, ctx = "softirq" }, k) => {
      const code = typeof op === "string" ? ops.indexOf(op) : op;
      if (!(code >= 0 && code < ops.length)) throw new RangeError(`op ${k}: operation "${op}" does not exist; there are ${ops.join(", ")}.`);
      const flags = typeof ctx === "string" ? contexts[ctx] : ctx;
      table.set(k, "op", code);
      table.set(k, "ctx", whole(`op ${k}: ctx`, flags, 0, 255));
      table.set(k, "cpu", whole(`op ${k}: cpu`, cpu, 0, 65535));
      table.set(k, "memcg", whole(`op ${k}: memcg`, memcg, -1, 2 ** 31 - 1));
      table.set(k, "nr", whole(`op ${k}: nr`, nr, -1, Number.MAX_SAFE_INTEGER));
    });
    return table;
  }

  /** Why a stream stopped: the name of a code, such as "BAD_UNDERFLOW"; "" for 0. */
  reason(code) {
    return code === 0 ? "" : named(this.constants.mechanism, "BAD_", code);
  }

  /** Why a machine stopped; "" if its time was over. */
  stop(code) {
    const { TOO_MANY_STEPS, GAVE_BACK_TOO_MUCH } = this.constants.machine;
    return { 0: "", [TOO_MANY_STEPS]: "TOO_MANY_STEPS", [GAVE_BACK_TOO_MUCH]: "GAVE_BACK_TOO_MUCH" }[code];
  }
}

const named = (constants, prefix, code) =>
  Object.keys(constants).find((name) => name.startsWith(prefix) && constants[name] === code);

function whole(what, value, low, high) {
  if (!Number.isSafeInteger(value) || value < low || value > high) {
    throw new RangeError(`${what} is ${value}; it must be a whole number from ${low} to ${high}.`);
  }
  return value;
}

const product = (values) => values.reduce((a, b) => a * b, 1);
const sum = (values) => values.reduce((a, b) => a + b, 0);

// --- a cgroup tree, CPUs and a policy --------------------------------------------------------------------------------
export class System {
  constructor(lab, options) {
    const { parents, cpus, policy = "v4.14", limits, highs, mins, lows, root = 0, legacy = false, memsw = false,
      underflow = "refuse" } = options;
    const traits = lab.policies[policy];
    if (!traits) throw new RangeError(`policy "${policy}" does not exist; there are ${Object.keys(lab.policies).join(", ")}.`);
    if (!Array.isArray(parents) || parents.length === 0) throw new RangeError("parents must be a list of at least one cgroup.");
    parents.forEach((parent, m) => whole(`the parent of memcg ${m}`, parent, -1, m - 1));
    whole("cpus", cpus, 1, 65536);
    if (root !== null && parents[whole("root", root, 0, parents.length - 1)] !== -1) throw new RangeError(`root is memcg ${root}, which has a parent.`);
    if (legacy && !traits.legacy) throw new RangeError(`cgroup v1 is not modelled for ${policy}.`);
    if (memsw && !legacy) throw new RangeError("memsw is accounted in cgroup v1 only.");
    if ((mins || lows) && !traits.kernel_pages) throw new RangeError(`mins and lows are not modelled for ${policy}.`);
    Object.assign(this, { lab, policy, traits, parents, cpus, root, legacy, memsw, underflow });
    const n = parents.length;
    const shapes = Object.entries(traits.state).map(([name, form]) => ({
      name, ...form, at: 0, shape: form.shape.map(([aCpu, aMemcg, always]) => aCpu * cpus + aMemcg * n + always),
    }));
    let end = 0;
    for (const array of shapes) {
      array.at = end;
      end = (end + lab.records[array.record].size * product(array.shape) + 15) & ~15;
    }
    this.buffer = new ArrayBuffer(end);
    this.shapes = shapes;
    this.tables = {};
    for (const { name, record, shape, at, fill } of shapes) {
      const table = (this.tables[name] = lab.table(record, shape, this.buffer, at));
      for (const [field, value] of Object.entries(fill)) {
        if (value !== 0) table.put(field, new Float64Array(table.length).fill(value));
      }
    }
    this.state = this.given("state");
    const { counter, memcg, upward } = this.tables;
    const most = lab.constants.mechanism.PAGE_COUNTER_MAX;
    const put = (what, values, table, field, unset) => {
      if (!values) return;
      if (values.length !== n) throw new RangeError(`${what} has ${values.length} values; the tree has ${n} cgroups.`);
      values.forEach((pages, m) => {
        const given = pages === null ? unset : whole(`${what}[${m}]`, pages, -1, most);
        table.set(m, field, given === -1 ? most : given);
      });
    };
    parents.forEach((parent, m) => {
      for (let kind = 0; kind < 3; kind++) counter.set(kind * n + m, "parent", parent < 0 ? -1 : parent + kind * n);
    });
    put("limits", limits, counter, "limit", -1);
    put("highs", highs, memcg, "high", -1);
    put("mins", mins, upward, "memory_min", 0);
    put("lows", lows, upward, "memory_low", 0);
  }

  /** What a kernel takes as its state, but the log. */
  given(prefix) {
    const given = { root: this.root ?? -1, legacy: Number(this.legacy), memsw: Number(this.memsw), ...this.tables };
    return Object.fromEntries(Object.entries(given).map(([name, value]) => [`${prefix}.${name}`, value]));
  }

  run(ops) {
    const before = ops.length > 1 ? this.save() : null; // one operation is refused before it changes anything
    return this.go("replay", ops, null, before);
  }

  stepThrough(ops) {
    const before = this.save();
    for (let rows = 64 + 16 * ops.length; ; ) {
      const log = new Log(this.lab.records.step, rows);
      const answer = this.go("steps", ops, log, before);
      if (log.missing === 0) return { ...answer, log: log.table };
      this.restore(before);
      rows += log.missing + 1;
    }
  }

  go(kind, ops, log, before) {
    const kernel = this.lab.kernel(kind, this.policy);
    const answer = kernel.call({ ...this.state, "state.log": log, ops, refuse: this.underflow === "refuse" });
    if (answer.reason !== 0 && before) this.restore(before);
    return answer;
  }

  save() {
    return new Uint8Array(this.buffer.slice(0));
  }

  restore(saved) {
    new Uint8Array(this.buffer).set(saved);
  }

  copy() {
    const { parents, cpus, policy, root, legacy, memsw, underflow } = this;
    const twin = new System(this.lab, { parents, cpus, policy, root, legacy, memsw, underflow });
    twin.restore(this.save());
    return twin;
  }

  get lastReturn() {
    return this.tables.total.get(this.lab.constants.mechanism.RET);
  }

  /** The visible state under the names of the golden files, as System.snapshot() of the library has it. */
  snapshot() {
    const { parents, cpus, traits, tables, lab } = this;
    const { counter, memcg, stock, sock, total } = tables;
    const c = lab.constants.mechanism, n = parents.length;
    const memory = (field, kind = 0) => [...counter.column(field, kind * n, (kind + 1) * n)];
    const by = (table, ...fields) => Array.from({ length: table.length }, (_, i) => fields.map((f) => table.get(i, f)));
    const byMemcg = (table) => parents.map((_, m) => Array.from({ length: cpus }, (_, cpu) => table.get(cpu * n + m)));
    const slots = by(stock, "memcg", "nr_pages");
    const sockCpu = byMemcg(sock), added = memory("add"), subtracted = memory("sub");
    const rmw = Object.fromEntries(["add", "sub", "xchg"].map((kind) => [kind, sum(counter.column(kind))]));
    const state = {
      usage: memory("count"),
      max: memory("watermark"),
      failcnt: memory("failcnt"),
      limit: memory("limit"),
      css: [...memcg.column("css")],
      sock: sockCpu.map(sum),
      stock: traits.slots === 1 ? slots : Array.from({ length: cpus }, (_, i) => slots.slice(i * traits.slots, (i + 1) * traits.slots)),
      sock_cpu: sockCpu,
      rmw,
      rmw_by: added.map((count, m) => count + subtracted[m]),
      ev_max: [...memcg.column("ev_max")],
      ev_oom: [...memcg.column("ev_oom")],
      reclaim: total.get(c.RECLAIM),
      oom: total.get(c.OOM),
      remote_works: total.get(c.REMOTE_WORKS),
      over_high: total.get(c.OVER_HIGH),
      high_work: total.get(c.HIGH_WORK),
    };
    if (traits.kernel_pages) {
      const { kmem, obj_stock, objcg, slab, upward } = tables;
      const kmemCpu = byMemcg(kmem);
      const objects = { oadd: c.OBJ_ADD, oxchg: c.OBJ_XCHG, padd: c.PROTECTION_ADD, pxchg: c.PROTECTION_XCHG };
      for (const [name, at] of Object.entries(objects)) rmw[name] = total.get(at);
      Object.assign(state, {
        high: [...memcg.column("high")],
        kmem: kmemCpu.map(sum),
        kmem_cpu: kmemCpu,
        obj_stock: by(obj_stock, "objcg", "nr_bytes"),
        obj_vm: by(obj_stock, "node", "reclaimable", "unreclaimable"),
        slab: parents.map((_, m) => [0, 1].map((node) => [0, 1].map((kind) => slab.get((m * 2 + node) * 2 + kind)))),
        nr_charged_bytes: [...objcg.column("nr_charged_bytes")],
        obj_ref: [...objcg.column("ref")],
        ev_max_h: [...upward.column("ev_max")],
        ev_oom_h: [...upward.column("ev_oom")],
        handle_high: total.get(c.HANDLE_HIGH),
      });
    }
    if (this.legacy) {
      state.tcpmem = memory("count", 2);
      state.tcpmem_failcnt = memory("failcnt", 2);
      state.tcpmem_pressure = [...memcg.column("tcpmem_pressure")];
    }
    if (this.memsw) {
      state.memsw = memory("count", 1);
      state.memsw_failcnt = memory("failcnt", 1);
    }
    if (total.get(c.WARN) !== 0) state.warn = 1;
    return state;
  }
}

// --- many CPUs at the same time --------------------------------------------------------------------------------------
const random = { seed: null, drawn: [] }; // as many as were ever asked for with the last seed
/** The random numbers of memcg_lab.workload.splitmix, n of them at least. */
function splitmix(seed, n) {
  if (random.seed !== seed) Object.assign(random, { seed, drawn: [] });
  const mask = (1n << 64n) - 1n, { drawn } = random;
  for (let i = drawn.length; i < n; i++) {
    let z = (BigInt(seed) + BigInt(i + 1) * 0x9e3779b97f4a7c15n) & mask;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    drawn.push(z ^ (z >> 31n));
  }
  return drawn;
}

/** What lay_out in memcg_lab/machine/run.py makes, array for array. */
export class Machine {
  constructor(lab, system, ops, options = {}) {
    const { thinkNs = 1000, think = "exponential", topology = lab.machines.topology, layout = "v4.13", lock = "atomic",
      seed = 1, repeat = true, record = 0 } = options;
    const place = typeof topology === "string" ? lab.machines.topologies[topology] : topology;
    const lines = typeof layout === "string" ? lab.machines.layouts[layout] : layout, spread = lab.machines.think[think];
    for (const [what, found, known] of [["topology", place, lab.machines.topologies], ["layout", lines, lab.machines.layouts],
      ["think", spread, lab.machines.think]]) {
      if (!found) throw new RangeError(`${what} "${options[what]}" does not exist; there are ${Object.keys(known).join(", ")}.`);
    }
    if (!lab.words.locks.includes(lock)) throw new RangeError(`lock "${lock}" does not exist; there are ${lab.words.locks.join(", ")}.`);
    if (system.legacy) throw new RangeError("the machine runs cgroup v2 systems.");
    const c = { ...lab.constants.mechanism, ...lab.constants.machine };
    const { cpus, parents } = system, n = parents.length;
    whole("CPUs of the system", cpus, 1, c.CPUS_MAX);
    const { sorted, count, first, order, charges } = arranged(lab, system, ops, c);
    Object.assign(this, { lab, kind: record ? "events" : "machine", system: system.copy(), c });
    const unlimited = this.system.tables.counter.column("limit").every((pages) => pages === c.PAGE_COUNTER_MAX);
    if (unlimited) this.putInFlight(charges);
    const counters = unlimited ? levels(parents) * system.traits.slots : n;
    const ownGaps = Array.isArray(thinkNs), gap = ownGaps ? 0 : Math.round(thinkNs * PS);
    const gaps = ownGaps ? lab.table("int64", ops.length) : new Blank(lab.records.int64, [ops.length], BigInt(gap));
    if (ownGaps) thinkNs.forEach((ns, k) => gaps.set(order ? order[k] : k, "", Math.round(ns * PS)));

    const sockets = Math.max(place.sockets, Math.ceil(cpus / (place.cores * place.threads)));
    const seats = seated(cpus, sockets, place, 2 ** c.CPU_BITS);
    const cpu = lab.table("cpu", cpus), size = cpu.form.size / 8, { offset } = cpu.form.fields.rng;
    const drawn = splitmix(seed, cpus), clock = new Float64Array(cpus);
    let started = 0;
    for (let i = 0; i < cpus; i++) {
      const rng = (cpu.words[i * size + offset / 8] = BigInt.asIntN(64, drawn[i]) | 1n);
      if (count[i] === 0) continue;
      const times = spread[Number((rng >> 20n) & BigInt(c.SPREAD_ROWS - 1))];
      clock[i] = Number((BigInt(ownGaps ? gaps.get(first[i]) : gap) * BigInt(times)) >> BigInt(c.SPREAD_BITS));
      started += clock[i];
    }
    const queue = new Float64Array(cpus).fill(-1);
    for (const [field, values] of Object.entries({ ops: count, first, queue, clock, ...seats })) cpu.put(field, values);
    const nrLines = 1 + n * lines.lines, words = 1 + Math.floor((cpus - 1) / 64);
    const line = lab.table("line", nrLines);
    for (let i = 0; i < nrLines; i++) line.set(i, "owner", -1);
    const members = [seats.socket, seats.cache, seats.hops];
    const groups = lab.table("int64", [Math.max(...members.map((rows) => highest(rows))) + 1, words]);
    for (const rows of members) for (let i = 0; i < cpus; i++) if (rows[i] >= 0) groups.low[2 * rows[i] * words + (i >> 5)] |= 1 << (i & 31);
    const booked = lab.table("booked", lab.words.functions.length);
    booked.set(c.FN_OTHER, "local", started);
    const steps = lab.table("touched", lab.words.steps.length);
    steps.bytes.set(Uint8Array.from(atob(lines.steps), (letter) => letter.charCodeAt(0)));
    let power = 1;
    while (power < cpus) power *= 2;
    const word = Object.fromEntries(lab.words.line_words.map((name, i) => [name, lines.words[i]]));
    this.tables = {
      cpu, line, groups, booked, steps, gaps, ops: sorted,
      pending: new Blank(lab.records.int64, [cpus, Math.min(c.PENDING_ROWS * (counters + 1), c.PENDING_MAX) + c.TOUCHES_MAX]),
      copies: lab.table("int64", [nrLines, words]),
      spread: tableOf(lab, spread),
      cost: tableOf(lab, place.cost),
      tree: lab.table("int64", 4 * power),
      events: record ? lab.table("event", whole("record", record, 0, 1 << 24) + 1) : null,
    };
    this.numbers = { lines: lines.lines, count: word.count, parent: word.parent, allocated: lines.allocated, walks: lines.walks,
      lock: lab.words.locks.indexOf(lock), repeat: Number(repeat) };
    this.log = new Blank(lab.records.log, [c.LOG_ROWS]);
    const own = Array.from({ length: lines.lines }, (_, l) => lab.words.line_words.filter((name) => word[name] === l).join(" "));
    this.lines = ["memory_allocated", ...parents.flatMap((_, m) => own.map((names) => `memcg ${m}: ${names}`))];
  }

  /** Let each cgroup that is given back to hold pages already, so that nobody gives back what is not there yet. */
  putInFlight({ used, bySockets, byOthers }) {
    const { system, c } = this, { parents, tables, traits } = system, n = parents.length;
    const below = new Array(n).fill(0);
    const add = (table, index, field, pages) => table.set(index, field, table.get(index, field) + pages);
    for (const m of used) {
      const sockets = bySockets.has(m) ? c.IN_FLIGHT : 0, others = byOthers.has(m) ? c.IN_FLIGHT : 0;
      add(tables.memcg, m, "sock_held", sockets);
      add(tables.memcg, m, "held", others);
      if (traits.css_by_page) add(tables.memcg, m, "css", sockets + others);
      add(tables.sock, m, "", sockets);
      below[m] = sockets + others;
    }
    for (let m = n - 1; m >= 0; m--) {
      if (parents[m] >= 0) below[parents[m]] += below[m];
      if (below[m] === 0) continue;
      add(tables.counter, m, "count", below[m]);
      tables.counter.set(m, "watermark", Math.max(tables.counter.get(m, "watermark"), tables.counter.get(m, "count")));
    }
  }

  /** Go on until a time; with `stay` the arrays stay in the kernel, and what is counted is fetched when it is asked for. */
  run(untilNs, { stay = false } = {}) {
    this.given ??= { ...this.system.given("machine.state"), "machine.state.log": this.log,
      ...Object.fromEntries(Object.entries({ ...this.tables, ...this.numbers }).map(([name, value]) => [`machine.${name}`, value])) };
    const kernel = this.kernel = this.lab.kernel(this.kind, this.system.policy);
    const answer = kernel.call({ ...this.given, until: Math.round(untilNs * PS) }, this);
    if (!stay) this.fetch();
    return answer;
  }

  /** What stayed in the kernel: all, or some tables. */
  fetch(wanted) {
    if (this.kernel?.holder === this) this.kernel.fetch(wanted);
  }

  /** Nobody will ask for what stayed. */
  leave() {
    if (this.kernel?.holder === this) this.kernel.holder = null;
  }

  counted() {
    this.fetch([this.tables.cpu, this.tables.booked, this.tables.line]);
    const numbers = (table, fields) => Float64Array.from({ length: table.length * fields.length },
      (_, i) => table.get(Math.floor(i / fields.length), ...fields[i % fields.length]));
    return {
      finished: this.tables.cpu.column("finished"),
      booked: numbers(this.tables.booked, this.lab.words.booked.map((name) => [name])),
      traffic: numbers(this.tables.line, this.lab.words.traffic.map((_, i) => ["traffic", i])),
    };
  }

  events() {
    const { events } = this.tables;
    const rows = events.get(0, "op");
    if (rows >= events.length) throw new RangeError(`${rows} events; record allows ${events.length - 1}.`);
    return events.slice(1, rows + 1);
  }
}

const numbers = new WeakMap(); // lists of the description as tables; the kernel reads them only
function tableOf(lab, values) {
  if (!numbers.has(values)) {
    const made = lab.table("int64", values.length);
    values.forEach((value, i) => made.set(i, "", value));
    numbers.set(values, made);
  }
  return numbers.get(values);
}

const streams = new WeakMap(); // what was arranged of a stream; who changes one afterwards has to copy it first

/** A stream that was checked, sorted by CPU, each CPU's operations in their order. */
function arranged(lab, { cpus, parents, root }, ops, c) {
  const n = parents.length, for_ = `${cpus} ${n} ${root}`;
  if (streams.get(ops)?.for_ === for_) return streams.get(ops);
  const kinds = c.CANCEL_CHARGE + 1, met = new Int32Array(n * kinds).fill(-1), count = new Float64Array(cpus), first = new Float64Array(cpus);
  const { wrong, inOrder } = surveyed(ops, { n, kinds, cpus, most: c.NR_PAGES_MAX }, met, count);
  if (wrong >= 0) {
    whole(`op ${wrong}: memcg`, ops.get(wrong, "memcg"), 0, n - 1);
    whole(`op ${wrong}: operation`, ops.get(wrong, "op"), 0, c.CANCEL_CHARGE);
    whole(`op ${wrong}: cpu`, ops.get(wrong, "cpu"), 0, cpus - 1);
    whole(`op ${wrong}: nr`, ops.get(wrong, "nr"), 1, c.NR_PAGES_MAX);
  }
  const charges = { used: new Set(), bySockets: new Set(), byOthers: new Set() };
  met.forEach((k, which) => {
    if (k < 0) return;
    const m = Math.floor(which / kinds), op = which % kinds;
    if (op <= c.UNCHARGE_SKMEM && m === root) throw new RangeError(`op ${k}: memcg ${m} is the root.`);
    if (op !== c.CHARGE_SKMEM && m !== root) charges.used.add(m);
    (op <= c.UNCHARGE_SKMEM ? charges.bySockets : charges.byOthers).add(m);
  });
  for (let cpu = 1; cpu < cpus; cpu++) first[cpu] = first[cpu - 1] + count[cpu - 1];
  let sorted = ops, order = null;
  if (!inOrder) {
    const next = first.slice(), size = ops.form.size / 4;
    order = ops.column("cpu").map((cpu) => next[cpu]++);
    sorted = lab.table("op", ops.length);
    order.forEach((row, k) => { for (let i = 0; i < size; i++) sorted.low[row * size + i] = ops.low[k * size + i]; });
  }
  const made = { for_, sorted, count, first, order, charges };
  streams.set(ops, made);
  return made;
}

/**
 * Look at each operation once: the first wrong one, or -1; whether the CPUs come in their order; into `met` the first
 * operation of each kind on each cgroup, and into `count` how many each CPU has. A stream has 65,536, so they are read
 * where they lie.
 */
function surveyed(ops, { n, kinds, cpus, most }, met, count) {
  const [op, cpu, memcg, nr] = ["op", "cpu", "memcg", "nr"].map((name) => ops.field(name)),
    [codes, places, owners] = [op, cpu, memcg].map(({ kind }) => ops.values(kind)),
    [opAt, cpuAt, memcgAt] = [op, cpu, memcg].map(({ offset, size }) => offset / size),
    [opStep, cpuStep, memcgStep] = [op, cpu, memcg].map(({ size }) => ops.form.size / size),
    { low, high, length } = ops, nrAt = nr.offset / 4, nrStep = ops.form.size / 4;
  let inOrder = true, last = 0;
  for (let k = 0; k < length; k++) {
    const code = codes[opAt + k * opStep], at = places[cpuAt + k * cpuStep], m = owners[memcgAt + k * memcgStep];
    const pages = high[nrAt + 1 + k * nrStep] * 4294967296 + low[nrAt + k * nrStep];
    if (m < 0 || m >= n || code >= kinds || at >= cpus || pages < 1 || pages > most) return { wrong: k, inOrder };
    if (met[m * kinds + code] < 0) met[m * kinds + code] = k;
    count[at]++;
    if (at < last) inOrder = false;
    last = at;
  }
  return { wrong: -1, inOrder };
}

/** Where each CPU sits, and the groups it belongs to: its socket, its last-level cache, the sockets one hop away. */
function seated(cpus, sockets, { cores, near_cores, near_sockets }, radix) {
  const [place, socket, cache, hops] = Array.from({ length: 4 }, () => new Float64Array(cpus));
  for (let i = 0; i < cpus; i++) {
    const core = i % (sockets * cores), near = near_cores === null ? core : Math.floor(core / near_cores);
    socket[i] = Math.floor(core / cores);
    place[i] = (socket[i] * radix + near) * radix + core;
    cache[i] = near_cores === null ? socket[i] : near;
  }
  const first = highest(socket) + 1;
  if (near_cores !== null) for (let i = 0; i < cpus; i++) cache[i] += first;
  const next = Math.max(first, highest(cache) + 1);
  for (let i = 0; i < cpus; i++) hops[i] = near_sockets === null ? -1 : next + Math.floor(socket[i] / near_sockets);
  return { place, socket, cache, hops };
}
const highest = (values) => values.reduce((a, b) => Math.max(a, b));

/** Counters that a charge to the deepest cgroup meets. */
function levels(parents) {
  const found = [];
  for (const parent of parents) found.push(1 + (parent >= 0 ? found[parent] : 0));
  return Math.max(...found);
}

// --- the kernel's own answers ----------------------------------------------------------------------------------------
function flat(value, into = []) {
  if (typeof value === "number") into.push(value);
  else for (const part of Array.isArray(value) ? value : Object.values(value)) flat(part, into);
  return into;
}

/** The snapshot with the fields that golden files of this kernel have, their dicts in the order of `template`. */
function answers(system, config, template) {
  const state = system.snapshot();
  if (system.traits.kernel_pages) {
    if (system.traits.slots === 1) state.stock = state.stock.map((slot) => [slot]);
    if (!config.slab) {
      delete state.obj_vm;
      delete state.slab;
    }
  }
  const kinds = Object.keys(template.rmw), more = Object.keys(state.rmw).filter((kind) => !kinds.includes(kind));
  state.rmw = Object.fromEntries([...kinds, ...more].map((kind) => [kind, state.rmw[kind]]));
  return state;
}

/** Run the golden files of a build and compare every field of every operation. */
export async function check(lab, golden, tell = () => {}) {
  const found = { scenarios: 0, ops: 0, fields: 0, mismatches: [] };
  for (const { policy, scenarios } of golden) {
    await lab.need("replay", policy);
    for (const scenario of scenarios) {
      checkScenario(lab, policy, scenario, found);
      await tell(found);
    }
  }
  return found;
}

function checkScenario(lab, policy, { config, start, first, ops, changes }, found) {
  if (config.batch !== lab.policies[policy].batch) throw new Error(`${config.name} has a batch of ${config.batch}; there is no such kernel.`);
  const system = lab.system({
    parents: config.parent, cpus: config.ncpu, policy, limits: config.limit, highs: config.high, mins: config.min,
    lows: config.low, root: config.root, legacy: !config.dfl, memsw: Boolean(config.memsw), underflow: "record",
  });
  const compare = (op, expected, got) => {
    for (const field of new Set([...Object.keys(expected), ...Object.keys(got)])) {
      if (op === "start" && field === "ret") continue;
      const here = field in expected ? expected[field] : null, there = field in got ? flat(got[field]) : null;
      if (here === null || there === null || here.length !== there.length || here.some((x, i) => x !== there[i])) {
        found.mismatches.push({ scenario: config.name, op, field, expected: here, got: there });
      }
    }
    found.fields += Object.keys(expected).length;
  };
  const flattened = (row) => Object.fromEntries(Object.entries(row).map(([field, value]) => [field, flat(value)]));
  compare("start", flattened(start), answers(system, config, start));
  const expected = flattened(first);
  const places = Object.entries(expected).flatMap(([field, values]) => values.map((_, i) => [field, i]));
  ops.forEach(([op, ctx, cpu, memcg, nr], k) => {
    const change = k === 0 ? [] : changes[k - 1];
    for (let i = 0; i < change.length; i += 2) {
      const [field, at] = places[change[i]];
      expected[field][at] += change[i + 1];
    }
    const { reason } = system.run(lab.ops([{ op, ctx, cpu, memcg, nr }]));
    if (reason !== 0) found.mismatches.push({ scenario: config.name, op: k, field: "op", expected: "allowed", got: lab.reason(reason) });
    compare(k, expected, { ret: system.lastReturn, ...answers(system, config, first) });
  });
  found.scenarios += 1;
  found.ops += ops.length;
}
