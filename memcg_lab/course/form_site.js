/* form_site.js: the forms of a site without Python. What is said is kept as long as the page is open.
 *
 * An element with data-memcg-form shows the text of one form; data-memcg-judge on it holds what judges: for a prediction
 * {asked, guesses}, for a quiz {solutions}. An element with data-memcg-reveal names a prediction and holds the truth.
 */
const said = new Map(); // prediction -> what note() keeps
const judges = new Map();

function tell(reveal) {
  const { memcgReveal: name, truth } = reveal.dataset,
    { asked, guesses } = judges.get(name) ?? {},
    kept = said.get(name);
  if (asked) reveal.textContent = judged(asked, guesses, kept?.said, kept?.sure ?? null, JSON.parse(truth));
}

for (const el of document.querySelectorAll("[data-memcg-form]")) {
  const form = JSON.parse(el.dataset.memcgForm),
    judge = JSON.parse(el.dataset.memcgJudge ?? "null");
  if (!judge) continue;
  if (form.kind === "quiz") {
    mountForm(el, form, async (texts) => returned(judge.solutions, texts));
    continue;
  }
  judges.set(form.name, judge);
  mountForm(el, form, async (texts) => {
    const kept = note(judge.asked, texts);
    if (kept.said) said.set(form.name, kept);
    for (const reveal of document.querySelectorAll(`[data-memcg-reveal="${form.name}"]`)) tell(reveal);
    return kept.told;
  });
}
