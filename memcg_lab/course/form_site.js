/* form_site.js: the forms of a site without Python. What is said is kept as long as the page is open.
 *
 * An element with data-memcg-form shows the text of one form; data-memcg-judge on it holds what judges: for a prediction
 * {asked, guesses}, for a quiz {solutions}. An element with data-memcg-reveal names a prediction and holds the truth.
 */
const said = new Map(); // prediction -> what note() keeps
const judges = new Map();
const shown = new Set(); // predictions whose run stood there to be read: what was said of them before stays
const changed = new Set(); // those that were changed afterwards
const afterwards = new Map(); // those of which nothing was said before -> what note() keeps

function tell(reveal) {
  const { memcgReveal: name, truth } = reveal.dataset,
    { asked, guesses } = judges.get(name) ?? {},
    late = afterwards.get(name),
    kept = said.get(name) ?? late;
  if (!asked) return;
  const told = judged(asked, guesses, kept?.said, late ? null : (kept?.sure ?? null), JSON.parse(truth));
  reveal.textContent = [told, changed.has(name) && CHANGED, late && SEEN].filter(Boolean).join("\n");
  if (reveal.closest("details")?.open !== false) shown.add(name);
}
for (const reveal of document.querySelectorAll("[data-memcg-reveal]"))
  reveal.closest("details")?.addEventListener("toggle", () => tell(reveal));

for (const el of document.querySelectorAll("[data-memcg-form]")) {
  const form = JSON.parse(el.dataset.memcgForm),
    judge = JSON.parse(el.dataset.memcgJudge ?? "null");
  if (!judge) continue;
  if (form.kind === "quiz") {
    let first = null;
    mountForm(el, form, async (texts) => {
      const { told, field, given } = returned(judge.solutions, texts, first);
      first ??= given;
      return { told, field };
    });
    continue;
  }
  judges.set(form.name, judge);
  mountForm(el, form, async (texts) => {
    const kept = note(judge.asked, texts);
    const same = (one, other = {}) => JSON.stringify([one.said, one.sure]) === JSON.stringify([other.said, other.sure]),
      late = kept.said && shown.has(form.name) && !same(kept, said.get(form.name));
    const first = late && !said.has(form.name);
    if (first) afterwards.set(form.name, kept);
    else if (late) changed.add(form.name);
    else if (kept.said) said.set(form.name, kept);
    for (const reveal of document.querySelectorAll(`[data-memcg-reveal="${form.name}"]`)) tell(reveal);
    return { told: late ? `${kept.told}\n${first ? SEEN : LATE}` : kept.told };
  });
}
for (const reveal of document.querySelectorAll("[data-memcg-reveal]")) tell(reveal); // some may stand open
