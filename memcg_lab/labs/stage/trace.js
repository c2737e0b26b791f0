/* trace.js: a recording of a real kernel, event by event, with what the rules had predicted beside it. It stands after
 * stage.js and takes make, put, puts, count, fill and capital from there; the rest of what labs share is in parts.js.
 */
async function renderTrace({ name, data, settings: given, place, change, el }) {
  const { words, window: wide, lines: tall } = data,
    settings = { ...given },
    names = Object.keys(data.recordings),
    rules = { recording: oneOfRule(names), position: wholeRule(0, data.events) },
    linked = { r: wholeRule(0, names.length - 1), p: rules.position }, // as they stand in a link
    calm = matchMedia("(prefers-reduced-motion: reduce)");
  let playing = 0,
    width = 0,
    held = null, // the first event of the picture while the hand is on the cursor
    notice = "",
    writing = 0,
    drawn = "";
  const recording = () => data.recordings[settings.recording],
    told = (n) => n.toLocaleString("en");

  // --- words
  const cgroup = (number) => (number > 0 ? fill(words.cgroup, { number }) : words["no cgroup"]),
    pages = (n, owner) => fill(words.pages, { pages: count(n, "page"), cgroup: cgroup(owner) });
  function what(k) {
    const r = recording(),
      { what: event, cause } = r.told[r.what[k]];
    return `${event}${r.nr[k] >= 0 ? ` ${pages(r.nr[k], r.memcg[k])}` : ""}${cause ? `, ${cause}` : ""}`;
  }
  /** The events that the picture shows: the first, from 0, and the one after the last. */
  function stretch() {
    const first = held ?? Math.min(Math.max(0, settings.position - Math.floor(wide / 2)), Math.max(0, data.events - wide));
    return [first, Math.min(data.events, first + wide)];
  }
  function sentence() {
    const r = recording(),
      k = settings.position - 1,
      n = told(data.events);
    if (k < 0) return fill(words.start, { n });
    const parts = [fill(words.event, { k: told(k + 1), n, cpu: r.cpu[k], told: what(k) })];
    if (r.avail[k] >= 0) {
      const unseen = r.owner[k] === -2,
        same = r.owner[k] === Math.max(r.cached[k], 0) && r.predicted[k] === r.avail[k],
        told = pages(r.avail[k], r.cached[k]);
      parts.push(fill(words[unseen ? "seen first" : same ? "as predicted" : "otherwise"], { held: told, predicted: pages(r.predicted[k], r.owner[k]) }));
    }
    const [first, last] = stretch();
    parts.push(
      fill(words.sums, {
        drift: count(r.drift[k], "page"),
        above: count(r.counter[k] - Math.min(...r.counter.slice(first, last)), "page"),
        first: told(first + 1),
        last: told(last),
      }),
    );
    return parts.join(" ");
  }

  // --- controls
  const button = (label, title, key, act, name) =>
    make("button", { type: "button", title: `${title} (key: ${key})`, "aria-keyshortcuts": key, class: name, onclick: act }, label);
  const choice = listBox({ label: "Recording", options: names, value: settings.recording, act: (recording) => go(settings.position, recording) }),
    box = numberBox({ label: "Event", rule: rules.position, act: (position) => go(position), refuse: (text) => say(text) }),
    playButton = button("Play", "Play or pause", "Space", () => toggle(), "main");
  const voice = voiceOf(),
    rows = make("tbody"),
    table = make("table", { class: "events" }, make("thead", {}, make("tr", {}, ...data.columns.map((name) => make("th", { scope: "col" }, name)))), rows);
  const looks = ["m0", "m1", "m2", "m3", "drift", "above"],
    paths = looks.map((look) => make("path", { class: `line ${look}` })),
    labels = looks.map((look) => make("text", { class: `label ${look}` })),
    axis = make("path", { class: "axis" }),
    ticks = [0, 1, 2, 3].map(() => make("text", { class: "soft" })),
    cursor = cursorOf("Events walked", [0, data.events]),
    picture = make("svg", { class: "lines-of-events", role: "img" }, axis, ...paths, ...ticks, ...labels),
    chart = make("div", { class: "plot" }, picture, make("svg", { class: "cover chart" }, cursor));
  const over = chart.lastChild,
    quests = questList(data.quests, "Three things to find in the recordings");
  const goods = exchange({
    copies: [
      ["Copy as Python", "The line that makes this lab in a notebook", () => `${name}(recording=${JSON.stringify(settings.recording)}, position=${settings.position})`],
      place && ["Copy link", "A link to this event", () => place.link(here())],
      ["Copy as JSON", "The settings, for another window or a notebook", () => toJson(name, settings)],
    ],
    take(text) {
      const { good, bad } = allowedOf(fromJson(text, name).settings, rules);
      if (bad.length) throw new Error(bad.join(" "));
      go(good.position ?? settings.position, good.recording);
    },
    say,
  });
  const root = make(
    "div",
    { class: "stage trace", tabindex: -1, role: "region", "aria-label": "A recording of a real kernel" },
    make(
      "div",
      { class: "bar wide", role: "toolbar", "aria-label": "Moving through the recording" },
      choice.root,
      button("Back", "One event back", "ArrowLeft", () => go(settings.position - 1)),
      playButton,
      button("Step", "One event on", "ArrowRight", () => go(settings.position + 1)),
      button("Next drain", "Go to the next drain", "n", () => nextDrain()),
      make("label", {}, make("span", {}, "Event"), box.root),
      make("span", { class: "of" }, `of ${told(data.events)}`),
    ),
    voice.status,
    voice.live,
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The last events" }, table),
    chart,
    make("div", { class: "below" }, make("div", {}, make("div", { class: "bar more", role: "group", "aria-label": "To take along" }, ...goods.buttons), goods.box), quests.root),
  );
  el.replaceChildren(root);
  voice.wake(root);

  // --- moving
  function halt() {
    clearTimeout(playing);
    playing = 0;
    put(playButton, "text", "Play");
  }
  function go(position, name = settings.recording) {
    halt();
    move(position, name);
  }
  function move(position, name = settings.recording) {
    notice = "";
    settings.position = Math.max(0, Math.min(data.events, position));
    settings.recording = name;
    show();
  }
  function toggle() {
    if (playing) return halt();
    if (settings.position >= data.events) move(0); // anew, as on the stage
    const on = () => {
      move(settings.position + 1);
      if (settings.position >= data.events) return halt();
      playing = setTimeout(on, calm.matches ? 900 : 150);
    };
    put(playButton, "text", "Pause");
    playing = setTimeout(on, 0);
  }
  function nextDrain() {
    const r = recording(),
      k = r.what.findIndex((code, at) => at >= settings.position && r.told[code].drain);
    if (k >= 0) return go(k + 1);
    halt();
    say(fill(words["no drain"], { k: told(settings.position) }));
  }
  /** In the place of the sentence, until the next move. */
  function say(text) {
    halt();
    notice = text;
    put(voice.status, "text", text);
    voice.speak(text);
  }
  /** How each quest is recognised in the event at the cursor: what its sentence is filled with. */
  const RECOGNISE = {
    wrong: (r, k) => wrongAt(r, k) && { recorded: pages(r.avail[k], r.cached[k]), predicted: pages(r.predicted[k], r.owner[k]) },
    refused: (r, k) => r.told[r.what[k]].refuses && { cpu: r.cpu[k] },
    kept: (r, k) => r.avail[k] === 0 && r.cached[k] > 0 && { cpu: r.cpu[k], cgroup: cgroup(r.cached[k]) },
  };
  const wrongAt = (r, k) => r.avail[k] >= 0 && r.owner[k] !== -2 && (r.owner[k] !== Math.max(r.cached[k], 0) || r.predicted[k] !== r.avail[k]);
  /** The sentence, with what it finds. */
  function tell() {
    let text = sentence();
    put(voice.status, "text", notice || text);
    const k = settings.position - 1;
    data.quests.forEach((quest, n) => {
      const answer = k >= 0 && !quests.found[n] && RECOGNISE[quest.name](recording(), k);
      if (!answer) return;
      quests.find(n, fill(quest.found, { k: told(k + 1), ...answer }));
      text += ` Found. ${quests.found[n]}`;
    });
    voice.speak(notice || text, playing ? 4000 : 0);
  }

  // --- showing
  function series(first, last) {
    const r = recording(),
      counter = r.counter.slice(first, last),
      lowest = Math.min(...counter);
    return [
      ...r.stocks.map((values, cpu) => [cpu, fill(words.stock, { cpu }), values.slice(first, last)]),
      [4, words.drift, r.drift.slice(first, last)],
      [5, words.counter, counter.map((value) => value - lowest)],
    ];
  }
  const LEFT = 48;
  let HEIGHT = 240,
    BASE = 216;
  const x = (at) => LEFT + ((width - LEFT - right()) * at) / (wide - 1),
    right = () => (width < 600 ? 12 : 345);
  function show() {
    const [first, last] = stretch(),
      r = recording();
    choice.show(settings.recording);
    box.show(settings.position);
    tell();
    const begin = Math.max(0, settings.position - tall);
    rows.replaceChildren(
      ...Array.from({ length: tall }, (_, n) => {
        const k = begin + n,
          there = k < settings.position,
          known = there && r.avail[k] >= 0;
        const cells = there
          ? [
              told(k + 1),
              r.cpu[k],
              r.softirq[k] > 0 ? "softirq" : "task",
              `${r.told[r.what[k]].what}${r.told[r.what[k]].cause ? ` (${r.told[r.what[k]].cause})` : ""}`,
              r.nr[k] >= 0 ? told(r.nr[k]) : "",
              known ? `${r.avail[k]} of ${cgroup(r.cached[k])}` : "",
              known && r.owner[k] !== -2 ? `${r.predicted[k]} of ${cgroup(r.owner[k])}` : "",
            ]
          : data.columns.map(() => "\u00a0");
        return make("tr", { class: `${k === settings.position - 1 ? "now" : ""}${there && wrongAt(r, k) ? " wrong" : ""}` }, ...cells.map((text) => make("td", {}, String(text))));
      }),
    );
    const key = `${settings.recording} ${first} ${width}`;
    if (key !== drawn) {
      drawn = key;
      draw(first, last);
    }
    const at = Math.max(0, settings.position - 1 - first);
    put(cursor, "transform", `translate(${x(at).toFixed(1)} 0)`);
    puts(cursor, { "aria-valuenow": settings.position, "aria-valuetext": sentence() });
    change?.({ ...settings });
    clearTimeout(writing);
    if (place) writing = setTimeout(() => place.set(here()), 250);
  }
  function draw(first, last) {
    const lists = series(first, last),
      top = Math.max(1, ...lists.flatMap(([, , values]) => values)),
      y = (value) => BASE - ((BASE - 14) * value) / top;
    for (const el of [...paths, ...labels]) put(el, "hidden", true);
    const ends = lists.map(([n, , values]) => {
      let d = `M${x(0).toFixed(1)} ${y(values[0]).toFixed(1)}`;
      for (let at = 1; at < values.length; at++) d += `H${x(at).toFixed(1)}V${y(values[at]).toFixed(1)}`;
      puts(paths[n], { hidden: false, d });
      return y(values.at(-1)) + 5;
    });
    const beside = width >= 600; // on a phone the labels stand below
    spaced(ends, 18, 14, BASE).forEach((at, i) => {
      const [n, name, values] = lists[i],
        text = `${name}${width < 300 ? "" : ": up to"} ${told(Math.max(...values))}`;
      puts(labels[n], { hidden: false, text, x: beside ? x(wide - 1) + 10 : 4, y: beside ? at : HEIGHT + 18 + 19 * i });
    });
    const high = HEIGHT + (beside ? 0 : 19 * ends.length + 8);
    for (const svg of [picture, over]) puts(svg, { viewBox: `0 0 ${width} ${high}`, width, height: high });
    put(axis, "d", `M${LEFT} ${y(0)}H${x(wide - 1)}M${LEFT} ${y(top)}H${x(wide - 1)}`);
    puts(ticks[0], { x: LEFT - 6, y: y(0) + 5, "text-anchor": "end", text: "0" });
    puts(ticks[1], { x: LEFT - 6, y: y(top) + 5, "text-anchor": "end", text: told(top) });
    puts(ticks[2], { x: LEFT, y: HEIGHT - 5, text: `event ${told(first + 1)}` });
    puts(ticks[3], { x: x(wide - 1), y: HEIGHT - 5, "text-anchor": "end", text: `${told(last)}` });
    puts(cursor.children[0], { y: 2, height: BASE });
    puts(cursor.children[1], { y1: 4, y2: BASE });
    put(cursor.children[2], "cy", 8);
    const peaks = lists.map(([, name, values]) => `${name} ${told(Math.max(...values))}`);
    put(picture, "aria-label", fill(words.window, { first: told(first + 1), last: told(last), told: listing(peaks) }));
  }
  const listing = (parts) => `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;

  // The window stays while the hand is on it, and follows when the hand lets go; sentence and table follow at once.
  draggable(
    over,
    cursor,
    (e) => {
      held ??= stretch()[0];
      const at = Math.round(((e.clientX - over.getBoundingClientRect().left - LEFT) * (wide - 1)) / (width - LEFT - right()));
      go(held + Math.max(0, Math.min(wide - 1, at)) + 1);
    },
    {
      end() {
        held = null;
        show();
      },
    },
  );
  const keys = {
    " ": toggle,
    ArrowRight: () => go(settings.position + 1),
    ArrowLeft: () => go(settings.position - 1),
    n: nextDrain,
  };
  const onCursor = {
    // elsewhere they scroll the page
    ArrowUp: keys.ArrowRight,
    ArrowDown: keys.ArrowLeft,
    PageUp: () => go(settings.position + 100),
    PageDown: () => go(settings.position - 100),
    Home: () => go(0),
    End: () => go(data.events),
  };
  root.addEventListener("keydown", (e) => {
    const call = keys[e.key] ?? (e.target.closest(".cursor") && onCursor[e.key]);
    if (!call || e.target.closest("select, input, textarea") || e.altKey || e.metaKey || e.ctrlKey) return;
    if (e.key === " " && e.target.closest("button")) return;
    e.preventDefault();
    e.stopPropagation();
    call();
  });

  const here = () => `r=${names.indexOf(settings.recording)}&p=${settings.position}`;
  function come(text) {
    const { good, bad } = allowedOfLink(text, linked);
    go(good.p ?? settings.position, names[good.r]);
    if (bad.length) say(`The link asks for what cannot be: ${bad.join(" ")}`);
  }
  function fit() {
    const now = Math.max(240, root.clientWidth - 12);
    if (now === width) return;
    width = now;
    root.classList.toggle("narrow", root.clientWidth < WIDE);
    root.classList.toggle("slim", root.clientWidth < 480);
    choice.fit();
    HEIGHT = width >= 600 && width < 760 ? 214 : 240; // the controls above take more
    BASE = HEIGHT - 24;
    show();
  }
  const observer = new ResizeObserver(fit);
  fit();
  if (place?.get()) come(place.get());
  observer.observe(root);
  return {
    root,
    settings,
    go,
    come,
    sentence,
    say,
    set: ({ position, recording: name }) => go(position, name),
    get found() {
      return quests.found.filter(Boolean);
    },
    leave() {
      halt();
      clearTimeout(writing);
      voice.leave();
      observer.disconnect();
    },
  };
}
