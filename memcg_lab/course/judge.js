/* judge.js: what predictions.py and quizzes.py say of an answer, for pages without Python; the tests hold the two together.
 *
 * asked: by name "count", "number", "factor", or the choices. guesses: by name a list of [guess, sentence].
 */

/** A number as a reader sees it: words.number of Python, to the letter. */
export function number(value, digits = 3) {
  if (Number.isInteger(value)) return BigInt(value).toLocaleString("en").replace("-0", "0");
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value)))),
    short = rounded(value, places),
    [whole, part = ""] = short.split("."),
    end = part.replace(/0+$/, "");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (end && `.${end}`);
}
/** Halves go to the even digit, as Python has it; a half is one only if the binary number is one. */
function rounded(value, places) {
  const halves = value * 2 ** (places + 1);
  if (!Number.isInteger(halves) || halves % 2 === 0) return value.toFixed(places);
  const scaled = value * 10 ** places,
    low = Math.floor(scaled);
  if (scaled - low !== 0.5) return value.toFixed(places);
  return ((low % 2 ? low + 1 : low) / 10 ** places).toFixed(places);
}
const word = (value) => (typeof value === "string" ? `"${value}"` : number(value));
const toldOf = (values) => Object.entries(values).map(([name, value]) => `${name} ${word(value)}`).join(", ");
const listing = (words, last = "and") => (words.length > 1 ? `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}` : words[0]);

/** What a reader typed: null, a number, or the text. */
export function typed(text) {
  const bare = text.trim().replace(/%$/, "").replaceAll(",", "").trim();
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(bare) ? Number(bare) : text.trim() || null;
}

/** {said, sure, told}: what is kept of some texts, and what the reader hears. */
export function note(asked, texts) {
  const said = {}, missing = [], refused = [];
  for (const [name, kind] of Object.entries(asked)) {
    const value = typed(texts[name] ?? "");
    if (value === null) missing.push(name);
    else if (Array.isArray(kind)) said[name] = value; // a choice can be no other
    else if (typeof value === "string") refused.push(`${name} is ${word(value)}, a text; give a number`);
    else if (kind === "count" && !Number.isInteger(value))
      refused.push(`${name} is ${word(value)}; here things are counted one by one, so give a whole number`);
    else said[name] = value;
  }
  const sure = typed(texts.sure ?? "");
  if (missing.length === Object.keys(asked).length) return { said: null, sure: null, told: "Nothing is said yet." };
  const told = refused.map((why) => `Not noted: ${why}.`);
  const some = Object.keys(said).length > 0;
  if (some) told.unshift(`Noted: ${toldOf(said)}${sure === null ? "" : `; ${number(sure)} % sure`}.`);
  if (missing.length) told.push(`Still open: ${listing(missing)}.`);
  return { said: some ? said : null, sure, told: told.join("\n") };
}

const nearness = (kind) =>
  kind === "count" ? (said, truth) => said === truth
  : kind === "factor" ? (said, truth) => Math.abs(said - truth) <= 0.01
  : (said, truth) => (said > 0 && truth > 0 ? Math.max(said / truth, truth / said) < 1.1 : truth <= 0 && Math.abs(said - truth) < 1);
const right = (said, truth, kind) => (Array.isArray(kind) ? said === truth : nearness(kind)(said, truth));

function verdict(said, truth, kind) {
  if (Array.isArray(kind)) return said === truth ? "; right" : "; not so";
  if (said === truth) return "; exactly right";
  const apart = number(Math.abs(said - truth)),
    high = said > truth ? "high" : "low",
    good = right(said, truth, kind);
  if (kind === "factor") return good ? "; within a hundredth" : `; you were ${apart} too ${high}`;
  const above = said > 0 && truth > 0,
    off = above ? Math.max(said / truth, truth / said) : Infinity;
  if (kind === "count" && off < 1.1) return `; you were ${apart} too ${high}, and this is counted: near is not enough`;
  if (off < 1.1) return "; within a tenth";
  if (above) return `; you were ${number(off, 2)} times too ${high}`;
  return good ? `; right to within ${apart}` : `; you were ${apart} too ${high}`;
}

function met(said, guesses, kind) {
  if (Array.isArray(kind)) return guesses.find(([guess]) => guess === said)?.[1];
  const same = guesses.filter(([guess]) => nearness(kind)(said, guess));
  return same.reduce((best, one) => (best && Math.abs(best[0] - said) <= Math.abs(one[0] - said) ? best : one), null)?.[1];
}

function scored(sure, hits) {
  const p = sure / 100,
    good = hits.filter(Boolean).length,
    score = hits.reduce((sum, hit) => sum + (p - hit) ** 2, 0) / hits.length,
    told = hits.length === 1 ? (good ? "that is right" : "that is not so") : `${good} of ${hits.length} ${good === 1 ? "is" : "are"} right`;
  return `Score ${rounded(score, 2)} (0 is best, 1 worst; 50 % sure gets 0.25): you were ${number(sure)} % sure, and ${told}.`;
}

/** What reveal() prints. */
export function judged(asked, guesses, said, sure, truth) {
  if (!said || !Object.keys(truth).some((name) => name in said)) return `You said nothing yet.\nThe run says ${toldOf(truth)}.`;
  const lines = [], hits = [];
  for (const [name, value] of Object.entries(truth)) {
    if (!(name in said)) {
      lines.push(`${name}: you said nothing, the run says ${word(value)}.`);
      continue;
    }
    const kind = asked[name],
      hit = right(said[name], value, kind);
    hits.push(hit);
    lines.push(`${name}: you said ${word(said[name])}, the run says ${word(value)}${verdict(said[name], value, kind)}.`);
    const sentence = hit ? null : met(said[name], guesses[name] ?? [], kind);
    if (sentence) lines.push(sentence);
  }
  if (sure !== null) lines.push(scored(sure, hits));
  return lines.join("\n");
}

/** {told, field, given}: what a quiz prints, the control to go on in, and what was said if each question has an answer.
 *
 * solutions: [{right, exact, wrong: [[answer, sentence]]}] in the order asked. before: what was given first.
 */
export function returned(solutions, texts, before = null) {
  const same = (one, other, exact) =>
    typeof one === "string" || typeof other === "string" ? one === other : Math.abs(one - other) <= (exact ? 0 : 0.0051);
  const said = solutions.map((_, n) => typed(texts[`said${n}`] ?? "")),
    sure = solutions.map((_, n) => typed(texts[`sure${n}`] ?? ""));
  for (const [n, { right }] of solutions.entries())
    if (typeof said[n] === "string" && said[n] !== UNKNOWN && typeof right !== "string")
      return { told: `${n + 1}. Your answer is '${said[n]}'; give a number.`, field: `said${n}` };
  const open = [...said.keys()].filter((n) => said[n] === null),
    still = `${listing(open.map((n) => `${n + 1}`))} ${open.length === 1 ? "is" : "are"} still open.`;
  if (open.length)
    return {
      told:
        open.length === said.length
          ? "Nothing is answered yet. A guess is worth more than none."
          : `${still} Nothing is told before each has an answer; give ${UNKNOWN} where you do not know.`,
      field: `said${open[0]}`,
    };
  const losses = [],
    shown = (value, exact) => (typeof value === "string" ? value : exact ? number(value) : `${rounded(value, 2)}`.replace(/\B(?=(\d{3})+\.)/g, ","));
  const lines = solutions.map(({ right, exact, wrong }, n) => {
    const truth = shown(right, exact);
    if (said[n] === UNKNOWN) return `${n + 1}. You do not know. It is ${truth}.`;
    const hit = same(said[n], right, exact),
      words = `You said ${shown(said[n], true)}${sure[n] === null ? "" : `, ${number(sure[n])} % sure`}`;
    if (sure[n] !== null) losses.push((sure[n] / 100 - hit) ** 2);
    if (hit) return `${n + 1}. ${words}: right.`;
    const why = wrong.find(([guess, , whole]) => same(said[n], guess, whole))?.[1];
    return `${n + 1}. ${[`${words}; it is ${truth}.`, why, sure[n] >= CONFIDENT && MEND].filter(Boolean).join(" ")}`;
  });
  const given = { said, sure },
    again = before && JSON.stringify(before) !== JSON.stringify(given);
  if (again) lines.push(AGAIN);
  else if (losses.length)
    lines.push(`Score ${rounded(losses.reduce((sum, one) => sum + one) / losses.length, 2)} (0 is best, 1 worst; 50 % sure gets 0.25).`);
  return { told: lines.join("\n"), field: null, given: before ?? given };
}
export const SEEN = "The run was shown before you said this: it gets no score.",
  LATE = "The run has been shown already: what you said before it counts.",
  CHANGED = "You changed this after the run was shown; that counts no more.";
const UNKNOWN = "?", // the answer of who does not know
  AGAIN = "The answers had been told already: what you said first stays in your notes and counts.",
  CONFIDENT = 80, // percent
  MEND = "An error made with such confidence is the one best mended: say now why it is not so.";
