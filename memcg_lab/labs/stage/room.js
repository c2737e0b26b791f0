/* room.js: the codes of a room, and the lab that shows them. It stands after charts.js, and takes its frame.
 *
 * `codes` reads and writes what memcg_lab/course/room.py reads and writes, letter for letter; all that both know, the
 * questions, the guesses, what came out and every sentence, is in the lab's data().
 */
const codes = (() => {
  const WHOLE = /^(?:0|-?[1-9][0-9]*)$/,
    NUMBER = /^-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9]$/,
    FOUND = /[0-9A-Za-z]{3,5}(?:[-\u2010-\u2015\u2212][0-9A-Za-z]{1,5}){2,}/g;

  const grouped = (letters) => letters.match(/.{1,4}/g).join("-");
  const count_ = (n, noun) => `${charts.number(n)} ${noun}${n === 1 ? "" : "s"}`;
  const word = (value) => (typeof value === "string" ? `"${value}"` : charts.number(value));

  function sums({ alphabet }, letters) {
    let plain = 0,
      weighed = 0,
      weight = 1;
    for (const letter of [...letters].reverse()) {
      const value = alphabet.indexOf(letter);
      plain += value;
      weighed += weight * value;
      weight = (weight * 3) % alphabet.length;
    }
    return [plain % alphabet.length, weighed % alphabet.length];
  }
  const inverse = (value, base) => Array.from({ length: base }, (_, x) => x).find((x) => (value * x) % base === 1);

  const valueOf = ({ alphabet }, letters) =>
    [...letters].reduce((value, letter) => value * BigInt(alphabet.length) + BigInt(alphabet.indexOf(letter)), 0n);
  function lettersOf({ alphabet }, value, least = 1) {
    let made = "";
    for (; value > 0n || made.length < least; value /= BigInt(alphabet.length)) made = alphabet[Number(value % BigInt(alphabet.length))] + made;
    return made;
  }

  function written(data, value, asked) {
    if (Array.isArray(asked)) return asked.indexOf(value) < 0 ? null : String(asked.indexOf(value));
    if (typeof value !== "number" || !Number.isFinite(value) || Math.abs(value) >= 1e21) return null;
    if (Number.isInteger(value)) return String(value === 0 ? 0 : value);
    if (asked === data.kinds.count) return null;
    const places = Math.max(0, data.digits - 1 - Math.floor(Math.log10(Math.abs(value))));
    return places > 100 ? null : Number(value.toPrecision(data.digits)).toFixed(places).replace(/\.?0+$/, "").replace(/^-0$/, "0");
  }
  function meant(data, text, asked) {
    if (Array.isArray(asked)) return WHOLE.test(text) ? (asked[Number(text)] ?? null) : null;
    return WHOLE.test(text) || (asked !== data.kinds.count && NUMBER.test(text)) ? Number(text) : null;
  }

  /** A prediction as a code, or null if a code cannot hold it. */
  function encode(data, question, values, sure, mark) {
    const { tag, names } = data.questions[question] ?? {};
    if (!tag || !Object.keys(values).length) return null;
    const words = Object.entries(names).map(([name, { asked }]) => (name in values ? written(data, values[name], asked) : ""));
    if (words.includes(null) || Object.keys(values).some((name) => !(name in names))) return null;
    words.push(sure === null || sure === undefined ? "" : String(Math.round(sure)));
    const value = [...words.join(",")].reduce((so, sign) => so * BigInt(data.signs.length) + BigInt(data.signs.indexOf(sign)), 1n),
      body = lettersOf(data, value),
      [, marks, , most] = data.lengths;
    if (body.length > most) return null;
    const letters = tag + lettersOf(data, BigInt(mark), marks) + body,
      base = data.alphabet.length,
      [plain, weighed] = sums(data, letters + data.alphabet[0].repeat(2)),
      one = ((plain - weighed + base) * inverse(2, base)) % base;
    return grouped(letters + data.alphabet[one] + data.alphabet[(2 * base - plain - one) % base]);
  }

  /** What a code says: {question, values, sure}; or {wrong: the sentence}. */
  function decode(data, text) {
    const letters = text.toUpperCase().replace(/[\s\u2010-\u2015\u2212-]/g, ""),
      [tag, mark, check, most] = data.lengths,
      strange = [...letters].findIndex((letter) => !data.alphabet.includes(letter));
    if (strange >= 0) return { wrong: `letter ${strange + 1} is ${letters[strange]}, which no code has.` };
    const low = tag + mark + 1 + check,
      high = tag + mark + most + check;
    if (letters.length < low || letters.length > high) return { wrong: `it has ${count_(letters.length, "letter")}; a code has ${low} to ${high}.` };
    return sums(data, letters).some(Boolean) ? { wrong: mended(data, letters) } : read(data, letters);
  }
  function read(data, letters) {
    const [tag, mark, check] = data.lengths,
      question = Object.keys(data.questions).find((name) => data.questions[name].tag === letters.slice(0, tag));
    if (!question) return { wrong: "its first three letters name no question of this version." };
    const body = letters.slice(tag + mark, -check),
      nothing = { wrong: `it names ${question}, but says nothing that can be said there.` },
      names = Object.entries(data.questions[question].names),
      base = BigInt(data.signs.length);
    let value = valueOf(data, body),
      told = "";
    for (; value >= base; value /= base) told = data.signs[Number(value % base)] + told;
    const words = told.split(","),
      sure = words.pop();
    if (value !== 1n || body[0] === data.alphabet[0] || words.length !== names.length) return nothing;
    const values = Object.fromEntries(names.map(([name, { asked }], i) => [name, words[i] && meant(data, words[i], asked)]).filter(([, said]) => said !== ""));
    if (!Object.keys(values).length || Object.values(values).includes(null)) return nothing;
    if (sure && !(WHOLE.test(sure) && Number(sure) >= 0 && Number(sure) <= 100)) return nothing;
    return { question, values, sure: sure ? Number(sure) : null };
  }
  /** What is wrong, where one change alone makes a code of it. */
  function mended(data, letters) {
    const good = (tried) => !sums(data, tried).some(Boolean) && !read(data, tried).wrong,
      all = [...letters],
      one = all.flatMap((_, k) => [...data.alphabet].filter((letter) => good(all.with(k, letter).join(""))).map((letter) => [k, letter])),
      swaps = all.keys().filter((k) => k + 1 < all.length && good(all.with(k, all[k + 1]).with(k + 1, all[k]).join(""))).toArray();
    if (one.length + swaps.length !== 1) return "the last two letters do not fit the others: something is wrong, missing or too much.";
    if (one.length) return `letter ${one[0][0] + 1} is ${all[one[0][0]]}; with ${one[0][1]} it would be a code.`;
    return `letters ${swaps[0] + 1} and ${swaps[0] + 2}, ${all[swaps[0]]}${all[swaps[0] + 1]}, have changed places.`;
  }

  /** Letters and digits, or the first three are those of a question: no words, and no telephone number. */
  const meantAsCode = ({ questions, lengths }, letters) =>
    (/\d/.test(letters) && /[A-Z]/.test(letters)) || Object.values(questions).some(({ tag }) => tag === letters.slice(0, lengths[0]));

  /** `read_codes` of course/room.py. */
  function readAll(data, text) {
    const found = new Map(),
      refused = [],
      [tag, mark, check] = data.lengths;
    let again = 0;
    text.split("\n").forEach((words, line) => {
      for (const [match] of words.matchAll(FOUND)) {
        const letters = match.toUpperCase().replace(/[^0-9A-Z]/g, "");
        if (letters.length < tag + mark + 1 + check) continue; // such as a date
        const said = decode(data, letters);
        if (said.wrong) meantAsCode(data, letters) && refused.push([line + 1, said.wrong]);
        else {
          again += found.has(letters);
          found.set(letters, said);
        }
      }
    });
    return { said: [...found.values()], again, refused };
  }

  /** `codes_of` of course/room.py, for one file. */
  function ofFile(data, text, mark, name) {
    let told;
    try {
      told = JSON.parse(text);
    } catch {
      return [`${name} is not read: it is no JSON.`];
    }
    const { format, version } = told ?? {};
    if (format !== data.notes[0] || version !== data.notes[1]) return [`${name} is not read: it is no file of a reader, or of another version.`];
    return Object.entries(told.predictions ?? {}).map(([question, noted]) => {
      const code = encode(data, question, noted?.said ?? {}, noted?.sure, mark);
      return `${name}: ${code ?? `what it says to ${question} is nothing that a code can hold.`}`;
    });
  }

  // --- by misconception: `groups` of course/room.py
  function near(data, asked) {
    if (asked === data.kinds.count) return (said, truth) => said === truth;
    if (asked === data.kinds.factor) return (said, truth) => Math.abs(said - truth) <= 0.01;
    return (said, truth) => (said > 0 && truth > 0 ? Math.max(said / truth, truth / said) < 1.1 : truth <= 0 && Math.abs(said - truth) < 1);
  }
  /** Values with how often each was said. */
  function told(said) {
    const order = [...said].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
    return order.map(([value, n]) => word(value) + (n > 1 ? ` (${n})` : "")).join(", ");
  }
  function row(data, label, kind, says, sure) {
    const known = sure.filter((percent) => percent !== null),
      mean = known.length ? Math.floor(known.reduce((a, b) => a + b, 0) / known.length + 0.5) : null;
    return { label, answers: sure.length, sure: known.filter((percent) => percent >= data.sure).length, mean, kind, says };
  }
  const tally = (said) => said.reduce((all, { value }) => all.set(value, (all.get(value) ?? 0) + 1), new Map());
  /** The rows of the lab. */
  function rows(data, settings, said) {
    const [question, name] = settings.asked.split(" "),
      { asked, truth, guesses } = data.questions[question].names[name],
      ours = said.filter((one) => one.question === question && name in one.values).map(({ values, sure }) => ({ value: values[name], sure }));
    const sures = (some) => some.map(({ sure }) => sure);
    if (!settings.told)
      return [...tally(ours)]
        .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
        .map(([value]) => row(data, word(value), "said", "", sures(ours.filter((one) => one.value === value))));
    const same = Array.isArray(asked) ? (a, b) => a === b : near(data, asked),
      right = [],
      other = [],
      met = guesses.map(([guess, sentence]) => ({ guess, sentence, said: [] }));
    for (const one of ours) {
      const likely = met.filter(({ guess }) => same(one.value, guess)),
        nearest = likely.sort((a, b) => Math.abs(a.guess - one.value) - Math.abs(b.guess - one.value))[0];
      (same(one.value, truth) ? right : (nearest?.said ?? other)).push(one);
    }
    const unless = right.some(({ value }) => value !== truth) ? told(tally(right)) : "";
    return [
      row(data, fill(data.words.truth, { truth: word(truth) }), "right", unless, sures(right)),
      ...met.sort((a, b) => b.said.length - a.said.length).map(({ guess, sentence, said: some }) => row(data, word(guess), "guess", sentence, sures(some))),
      row(data, data.words.others, "other", told(tally(other)), sures(other)),
    ];
  }

  /** `sentence` of labs/room.py. */
  function sentenceOf(data, settings, reading, all) {
    const { words } = data,
      { asked } = settings,
      [question, name] = asked.split(" "),
      sum = (key, some) => some.reduce((so, one) => so + one[key], 0),
      answers = count_(sum("answers", all), "answer"),
      parts = [];
    /** The answers that came most often; of many the first, and how many more there are. */
    function first(some) {
      const most = some[0].answers,
        labels = some.filter((one) => one.answers === most).map(({ label }) => label),
        more = labels.length - data.most_shown,
        told = listing(more > 0 ? [...labels.slice(0, data.most_shown), `${charts.number(more)} more`] : labels);
      return most === 1 && labels.length > 1 ? fill(words["each once"], { most: told }) : told;
    }
    if (!sum("answers", all)) parts.push(fill(words.none, { asked }));
    else if (!settings.told) parts.push(fill(words.said, { asked, answers, most: first(all) }));
    else {
      const [right, ...wrong] = all,
        met = wrong.filter(({ kind, answers: n }) => kind === "guess" && n);
      parts.push(fill(words.right, { asked, answers, right: charts.number(right.answers), truth: word(data.questions[question].names[name].truth) }));
      if (met.length) parts.push(fill(words.met, { most: first(met) }));
      if (sum("sure", wrong)) parts.push(fill(words.sure, { sure: charts.number(sum("sure", wrong)), from: data.sure }));
    }
    if (reading.again) parts.push(fill(words.again, { codes: count_(reading.again, "code") }));
    const elsewhere = reading.said.filter((one) => one.question !== question || !(name in one.values)).length;
    if (elsewhere) parts.push(fill(words.elsewhere, { answers: count_(elsewhere, "answer") }));
    if (reading.refused.length) {
      const lines = reading.refused.slice(0, data.refused_shown).map(([line, what]) => fill(words.line, { line, what: what.replace(/\.$/, "") })),
        more = reading.refused.length - lines.length;
      if (more) lines.push(fill(words.more, { more: charts.number(more) }));
      parts.push(fill(words.refused, { codes: count_(reading.refused.length, "code"), told: lines.join("; ") }));
    }
    return parts.join(" ");
  }
  const listing = (words) => (words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words.join(""));

  return { encode, decode, ofFile, readAll, rows, sentenceOf };
})();

async function RoomLab(context) {
  const { data } = context;
  let reading = { said: [], again: 0, refused: [] },
    readOf = null,
    shown = [];
  const rules = {
    asked: { read: (text) => text, fits: (value) => data.asked.includes(value), must: "a question and one of the things it asks" },
    codes: {
      read: (text) => text,
      fits: (value) => typeof value === "string" && value.length <= data.most,
      must: `a text of at most ${charts.number(data.most)} letters`,
      secret: true,
    },
    told: { read: (text) => ({ true: true, false: false })[text] ?? text, fits: (value) => typeof value === "boolean", must: "true or false" },
  };
  const box = make("textarea", { "aria-label": "Codes, one a line", rows: 10, spellcheck: "false", maxlength: data.most, oninput: () => paste(box.value) }),
    file = make("input", { type: "file", multiple: true, accept: ".json,application/json", "aria-label": "Files of readers, JSON", onchange: () => readFiles([...file.files]) }),
    tell = make("button", { type: "button", class: "main", onclick: () => board.set({ told: !board.settings.told }) }),
    clear = make("button", { type: "button", onclick: () => board.set({ codes: "" }) }, "Clear"),
    bars = make("ol", { class: "answers", "aria-label": "Answers" }),
    wrong = make("ul", { class: "wrong", hidden: true, tabindex: 0, "aria-label": "Codes that could not be read" });
  const controls = {
    asked: listBox({ label: "Question", options: data.asked, value: context.settings.asked, act: (value) => board.set({ asked: value }) }),
    codes: { show: (codes) => box.value !== codes && (box.value = codes) },
    told: { show: (told) => puts(tell, { text: told ? "Hide what came out" : "Say what came out", "aria-pressed": String(told) }) },
  };
  const board = charts.frame(context, {
    title: "The room's answers",
    rules,
    controls,
    bars: [[controls.asked.root, tell, clear], [make("label", {}, make("span", {}, "Readers' files"), file)]],
    body: make("div", { class: "beside room" }, bars, make("div", {}, make("label", { class: "paste" }, make("span", {}, "Codes, one a line"), box), wrong)),
    move,
    python: (name, { asked, codes: text, told }) => `${name}(asked=${JSON.stringify(asked)}, codes=${JSON.stringify(text)}, told=${told ? "True" : "False"})`,
    table: () => ({ head: data.words.heads, rows: shown.map((one) => [one.label, one.answers, one.sure, one.mean ?? "", one.says]) }),
  });

  /** What most of the codes answer. */
  function busiest() {
    const all = reading.said.flatMap(({ question, values }) => Object.keys(values).map((name) => `${question} ${name}`)),
      times = new Map();
    for (const one of all) times.set(one, (times.get(one) ?? 0) + 1);
    return [...times].sort(([, n], [, m]) => m - n)[0]?.[0];
  }
  /** New codes: where none of them answers what is shown, show what most of them answer. */
  function paste(text) {
    board.set({ codes: text });
    if (!shown.some(({ answers }) => answers) && busiest()) board.set({ asked: busiest() });
  }
  async function readFiles(files) {
    const lines = [];
    for (const [mark, one] of files.sort((a, b) => (a.name < b.name ? -1 : 1)).entries()) lines.push(...codes.ofFile(data, await one.text(), mark, one.name));
    file.value = "";
    const text = [board.settings.codes.trimEnd(), ...lines].filter(Boolean).join("\n");
    if (text.length > data.most) board.refuse(`These files and the codes have ${charts.number(text.length)} letters; the lab takes ${charts.number(data.most)}.`);
    else paste(text);
  }
  function move() {
    const { settings } = board;
    if (readOf !== settings.codes) reading = codes.readAll(data, (readOf = settings.codes));
    shown = codes.rows(data, settings, reading.said);
    const most = Math.max(4, ...shown.map(({ answers }) => answers));
    bars.replaceChildren(
      ...shown.map(({ label, answers, sure, mean, kind, says }) =>
        make(
          "li",
          { class: kind },
          make("b", {}, label),
          make(
            "span",
            { class: "track", "aria-hidden": "true" },
            make("i", { class: "sure", style: `width:${((100 * sure) / most).toFixed(2)}%` }),
            make("i", { class: "rest", style: `width:${((100 * (answers - sure)) / most).toFixed(2)}%` }),
          ),
          make("span", { class: "n" }, `${answers}${answers ? `, ${sure} sure` : ""}${mean === null ? "" : `, mean ${mean} %`}`),
          says && make("span", { class: "says" }, says),
        ),
      ),
    );
    wrong.hidden = reading.refused.length <= data.refused_shown; // else the sentence names them all
    wrong.replaceChildren(...reading.refused.map(([line, what]) => make("li", {}, fill(data.words.line, { line, what }))));
    board.say(codes.sentenceOf(data, settings, reading, shown));
  }
  board.root.classList.add("growing");
  return board.begin({
    get rows() {
      return shown;
    },
  });
}
