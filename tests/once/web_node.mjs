// Does what test_web.py asks of kernel.js, in node: one JSON in, one JSON out, arrays as base64.
import fs from "node:fs";

const { kernel, stage, folder, jobs } = JSON.parse(fs.readFileSync(0));
const { open, check } = await import(kernel);
const { readState, copyState, sameState, follow, rowsOf } = await import(stage);
const lab = await open(JSON.parse(fs.readFileSync(`${folder}/kernels.json`)), (file) => fs.readFileSync(`${folder}/${file}`));
const base64 = (table) => Buffer.from(table.bytes).toString("base64");
const all = (tables) => Object.fromEntries(Object.entries(tables).filter(([, table]) => table).map(([name, table]) => [name, base64(table)]));
const stream = (text) => {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  return lab.table("op", bytes.length / 16, bytes.buffer);
};

const does = {
  system: ({ options }) => all(lab.system(options).tables),
  ops: ({ list }) => base64(lab.ops(list)),
  async steps({ options, ops }) {
    const system = lab.system(options);
    await lab.need("steps", system.policy);
    const { log, ...answer } = system.stepThrough(stream(ops));
    const columns = Object.fromEntries(Object.keys(log.form.fields).map((name) => [name, Array.from(log.column(name))]));
    return { answer, log: base64(log), columns, tables: all(system.tables), snapshot: system.snapshot() };
  },
  async follow({ options, ops }) {
    const system = lab.system(options), all = stream(ops), state = readState(system), states = [copyState(state)];
    await lab.need("steps", system.policy);
    for (let k = 0; k < all.length; k++) {
      for (const row of rowsOf(system.stepThrough(all.slice(k, k + 1)).log)) follow(lab.words, 1, state, row);
      if (!sameState(state, readState(system))) throw new Error(`after operation ${k} log and memory do not agree`);
      states.push(copyState(state));
    }
    return states;
  },
  async machine({ options, ops, machine, until, parts }) {
    const system = lab.system(options);
    await lab.need(machine.record ? "events" : "machine", system.policy);
    const made = lab.machine(system, stream(ops), machine);
    const everything = () => ({ ...all(made.tables), ...all(made.system.tables), log: base64(made.log) });
    const before = everything();
    let answer = null;
    if (parts) { // the arrays stay in the kernel; another machine drives them out now and then
      const other = lab.machine(system, stream(ops), machine);
      for (let part = 1; part <= parts; part++) {
        answer = made.run((until * part) / parts, { stay: true });
        if (part % 2) other.run((until * part) / parts, { stay: part % 4 === 1 });
      }
      made.fetch();
      other.leave();
    } else answer = made.run(until);
    const counted = Object.fromEntries(Object.entries(made.counted()).map(([name, values]) => [name, Array.from(values)]));
    const events = machine.record ? base64(made.events()) : null;
    return { before, answer, after: everything(), counted, numbers: made.numbers, lines: made.lines, events };
  },
  async golden({ files, change }) {
    const golden = JSON.parse(fs.readFileSync(`${folder}/golden.json`)).filter(({ file }) => files.includes(file));
    if (change) golden[0].scenarios[0].changes[3][1] += 1;
    return check(lab, golden);
  },
  async fails({ code }) {
    try {
      await new Function("lab", `return (async () => { ${code} })();`)(lab);
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
    return "nothing was thrown";
  },
};
const results = [];
for (const job of jobs) results.push(await does[job.do](job));
process.stdout.write(JSON.stringify(results));
