// Forms: one card a form. The card comes from Python when another form is chosen; a step only moves the line in the
// chart of weights; a text of the user's own is lifted when it is asked for.

const MARKED = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"};
const SLOW_MS = 250;

// A token with its white space in sight, as dark as it is probable; each of a direction of its own.
function tokenNode(text, probability = 0, right = false) {
  const node = h("bdi", {class: `token ${right ? "true" : ""}`});
  for (const character of text) node.append(character in MARKED ? h("i", {}, MARKED[character]) : character);
  if (probability > 0) node.style.background = `color-mix(in srgb, var(--ink) ${(24 * probability).toFixed(1)}%, transparent)`;
  return node;
}

const decimals = (value, digits) => (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "−");
const percent = share => share < 0.01 ? "<1 %" : `${Math.round(100 * share)} %`;
const guessNode = ([text, share, right]) => h("span", {class: "guess"}, tokenNode(text, share, right), h("small", {}, percent(share)));
const gainNode = nats => nats === null ? "" : Math.abs(nats) < 0.005 ? "0.00" : h("span", {class: nats > 0 ? "fell" : "rose"}, `${nats < 0 ? "−" : "+"}${Math.abs(nats).toFixed(2)}`);
const contextCell = (before, last) => h("td", {class: "context"}, h("div", {}, h("span", {}, plain(before), h("b", {}, plain(last)))));
const plain = text => h("bdi", {}, [...text].map(c => MARKED[c] ?? c).join(""));
const heading = ({words, step, hint, name}) => h("th", {scope: "col", title: hint, class: name === "path" ? "lesser" : ""},
  h("b", {}, name === "nearest" ? name : words), step === null ? "" : `step ${wholeNumber(step)}`);

function render({model, el}) {
  const bus = openBus(model.bus);
  const pane = buildPane(el, model, bus);
  const list = h("div", {class: "list", role: "group", "aria-label": "Forms"});
  pane.controls.append(list);
  pane.body.tabIndex = 0;
  pane.body.setAttribute("role", "group");
  pane.body.setAttribute("aria-label", "The form's card");

  const part = (name, ...children) => h("section", {class: `part ${name}`}, ...children);
  const hostOf = () => h("div", {class: "figure host"});
  const hosts = {weights: hostOf(), planes: hostOf(), walks: hostOf(), extra: hostOf()};
  const figures = {
    weights: new Figure(hosts.weights, "Weights of the form over checkpoints"),
    planes: new Figure(hosts.planes, "Agreement of the planes"),
    walks: new Figure(hosts.walks, "Turns beside random walks"),
    extra: new Figure(hosts.extra, "What the form favours"),
  };
  pane.figures = Object.values(figures);
  const line = svg("line", {class: "cursor"});
  figures.weights.layer.append(line);

  const facts = h("div", {}), sureness = h("dl");
  const called = h("input", {type: "text", maxlength: 60, "aria-label": "Name of this form", placeholder: "name it"});
  const noted = h("textarea", {rows: 1, "aria-label": "Note on this form", placeholder: "a note of your own"});
  const own = h("div", {class: "own"}, called, noted);
  if (bus.still) { called.readOnly = noted.readOnly = true; own.title = bus.still; }  // read, not greyed
  const wrong = h("p", {class: "unsaved", role: "status"});
  const prompt = h("textarea", {rows: 1, "aria-label": "A text of your own to lift the form to", spellcheck: "false",
    placeholder: "Lift it to a text of your own (Enter)"});
  const send = h("button", {type: "submit"}, "Lift");
  const ask = h("form", {class: "ask"}, prompt, send);
  restWhereSaved(bus, prompt, send);
  const bar = h("div", {class: "bar"});
  const state = h("div", {class: "state", role: "status"});
  const answer = h("div", {class: "answer"});
  const favoured = h("div");
  const turns = h("div"), ring = h("small");
  const parts = {
    sure: part("sure half", facts, own, wrong, sureness),
    alpha: part("alpha half", h("h3", {}, "α over checkpoints"), hosts.weights),
    text: part("text", h("h3", {}, "What it predicts"), ask, bar, state, answer),
    favours: part("favours", h("h3", {}, "What it favours"), favoured, hosts.extra),
    planes: part("planes", h("h3", {}, "Agreement of the planes",
      ring), hosts.planes),
    walks: part("walks", h("h3", {}, "Beside random walks"), hosts.walks),
    turns: part("turns", turns),
  };
  const sides = [h("div", {class: "side"}, parts.sure, parts.alpha, parts.planes, parts.turns),
    h("div", {class: "side"}, parts.text, parts.favours)];
  const card = h("div", {class: "card"}, ...sides);
  pane.body.append(card);

  let data = null, asked = 0, answered = null;  // answered: {key, table} of the user's own text

  const place = () => {
    const figure = figures.weights;
    if (!figure.drawn || !bus.ready) return;
    const xa = figure.axis("xaxis"), size = figure.plot._fullLayout._size, x = xa._offset + xa.l2p(logStep(bus.step));
    line.style.display = x >= xa._offset - 1 && x <= xa._offset + xa._length + 1 ? "" : "none";
    for (const [name, value] of Object.entries({x1: x, x2: x, y1: size.t, y2: size.t + size.h})) line.setAttribute(name, value);
  };
  figures.weights.place = place;
  figures.weights.scrubs(bus);

  // In the order of their steps; their numbers stay those of the table and of Python.
  const choose = () => list.replaceChildren(...data.forms.map((step, i) => [step, i]).sort(([a], [b]) => a - b).map(([step, i]) => h("button", {type: "button", "aria-pressed": String(i === data.form),
    title: `Form ${i + 1}, at step ${wholeNumber(step)}`, onclick: () => bus.set({form: i})}, h("i", {"aria-hidden": "true"}, "✦"), h("bdi", {}, data.names[i] || `step ${wholeNumber(step)}`))));

  const writeFacts = () => {
    if (data.form === null) {
      facts.replaceChildren(h("div", {class: "when"}, h("strong", {}, "No form in this run")),
        data.sought && h("p", {}, data.sought), h("p", {}, `Found: ${data.conclusion}.`));
      sureness.replaceChildren();
      return;
    }
    facts.replaceChildren(h("div", {class: "when"}, h("strong", {}, `Form ${data.number}`),
      h("button", {type: "button", title: "Go there", "aria-label": `Go to step ${wholeNumber(data.step)}`, onclick: () => bus.goTo(nearest(bus.shared.steps, data.step))}, `step ${wholeNumber(data.step)}`),
      h("span", {class: "quiet", title: "90 % interval of the time about which it turns"}, `90 %: ${wholeNumber(data.step_low)}–${wholeNumber(data.step_high)}`)));
    ring.textContent = `ring: ${data.allowed}, allowed for their root mean square`;
    sureness.replaceChildren(...data.facts.flatMap(([name, words, more]) => [h("dt", {title: more}, name), h("dd", {title: more}, h("span", {class: "less"}, words), h("span", {class: "more"}, more))]),
      h("dt", {title: "Where it lies"}, data.components), h("dd", {}, ...data.coordinates.flatMap(words => [h("span", {class: "whole"}, words), " "])));
  };

  // What the user calls it, and says of it: saved when the field is left; can be taken back.
  const save = async (form, now, left) => {
    try { return await pane.ask("note", {form, ...now, ...(left && {left})}); } catch (error) { complain(error.message); return null; }
  };
  const complain = words => { wrong.textContent = words; wrong.hidden = !words; };
  const rename = () => {
    const form = data.form, name = called.value.trim(), note = noted.value.trim();
    if (form === null || (name === data.names[form] && note === data.note)) return;
    const now = {name, note};
    bus.recordWork(save(form, now), {undo: before => save(form, before, now), redo: before => save(form, now, before)});
  };
  for (const field of [called, noted]) field.addEventListener("change", rename);
  called.addEventListener("keydown", event => { if (event.key === "Enter") called.blur(); });
  noted.addEventListener("keydown", event => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); noted.blur(); } });
  const writeNote = () => {
    own.hidden = data.form === null || (Boolean(bus.still) && !data.names[data.form] && !data.note);
    complain(data.unread ?? "");
    if (data.form === null) return;
    const active = pane.section.getRootNode().activeElement;
    if (active !== called) called.value = data.names[data.form];
    if (active !== noted) noted.value = data.note;
  };

  const writeTurns = () => {
    parts.turns.hidden = !data.turns.length;
    const rare = data.turns.filter(turn => turn.rare).length;
    turns.replaceChildren(h("h3", {}, data.form === null ? "The turns that come nearest" : "Other turns",
      h("small", {}, rare ? `${rare} beat${rare === 1 ? "s" : ""} random walks (p in bold)` : "none beats random walks")),
      h("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "Turns that are no forms"}, h("table", {},
        h("thead", {}, h("tr", {}, ...["step", "turns by", "p", "no form, because"].map((text, i) => h("th", {scope: "col", class: i < 3 ? "number" : ""}, text)))),
        h("tbody", {}, ...data.turns.map(turn => h("tr", {"data-step": turn.step},
          h("td", {class: "number"}, h("button", {type: "button", "aria-label": `Go to step ${wholeNumber(turn.step)}`, title: "Go there",
            onclick: () => bus.goTo(nearest(bus.shared.steps, turn.step))}, wholeNumber(turn.step))),
          h("td", {class: "number"}, `${turn.angle}°`),
          h("td", {class: "number"}, turn.rare ? h("b", {}, turn.p) : turn.p),
          h("td", {}, turn.reason)))))));
    markTurn();
  };

  // The turn at the current step. Who clicked on one elsewhere (`bus.turn`) is shown its row.
  const markTurn = () => {
    const at = step => nearest(bus.shared.steps, step), rows = [...turns.querySelectorAll("[data-step]")];
    for (const row of rows) row.classList.toggle("locked", at(Number(row.dataset.step)) === bus.index);
  };
  const showTurn = () => {
    if (bus.turn === undefined || bus.state.tab !== pane.name) return;
    if (bus.turn === bus.step) requestAnimationFrame(() => {  // the tab has been opened by then
      pane.body.scrollTop = parts.turns.offsetTop - 6;
      turns.querySelector(".locked")?.scrollIntoView({block: "nearest"});
    });
    bus.turn = undefined;
  };

  const say = (words, wrong = false, busy = false) => {
    state.hidden = !words;
    state.className = `state ${wrong ? "wrong" : ""}`;
    state.replaceChildren(...(busy ? [h("progress", {"aria-label": words})] : []), words);
  };

  const writeTable = (table, own) => {
    answer.classList.remove("old");
    const turn = by => bus.set({sequence: (table.sequence + by + table.sequences) % table.sequences, token: -1});
    const step = (text, by, name) => h("button", {type: "button", class: "icon", "aria-label": `${name} ${table.sequence_name}`, onclick: () => turn(by)}, text);
    const what = own ? "your text" : table.sequences > 1 ? `${table.sequence_name} ${table.sequence + 1} of ${wholeNumber(table.sequences)} of the probe` : "the probe";
    const notes = {text: `gain: nats over the ${table.reference}; framed: the true next token`, grids: table.caption};
    bar.replaceChildren(h("span", {class: "what"}, table.kind === "grids" ? notes.grids : `On ${what}${table.kind === "text" ? ` · ${notes.text}` : ""}`),
      h("span", {class: "end"}, ...(own ? [h("button", {type: "button", onclick: () => bus.set({prompt: ""})}, "back to the probe")]
        : table.sequences > 1 ? [step("‹", -1, "Previous"), step("›", 1, "Next")] : [])));
    bar.querySelector(".what").title = bar.querySelector(".what").textContent;
    answer.replaceChildren({text: textTable, values: valuesTable, grids: gridTables}[table.kind](table, own));
    markToken();
  };

  const scrolling = (label, ...children) => h("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": label}, ...children);

  function textTable(table, own) {
    const head = h("tr", {}, h("th", {scope: "col", class: "number lesser"}, "place"), h("th", {scope: "col", class: "context"}, "read so far"),
      h("th", {scope: "col"}, "true next"), h("th", {scope: "col", class: "number", title: `Log-probability of the true next token, lifted less ${table.reference}`}, "gain"),
      ...table.columns.map(column => heading(column)));
    const rows = table.rows.map(row => h("tr", own ? {} : {"data-place": row.place},
      h("td", {class: "number lesser"}, own ? String(row.place + 1) : h("button", {type: "button", title: "Lock this token", "aria-label": `Lock the token at place ${row.place + 1}`,
        onclick: () => bus.set({token: row.place === bus.state.token ? -1 : row.place})}, String(row.place + 1))),
      contextCell(row.before, row.last),
      h("td", {}, row.target === null ? "" : tokenNode(row.target)),
      h("td", {class: "number"}, gainNode(row.gain)),
      ...row.guesses.map((guesses, k) => h("td", {class: table.columns[k].name === "path" ? "lesser" : ""},
        ...guesses.map((guess, i) => { const node = guessNode(guess); if (i) node.classList.add("lesser"); if (i > 1) node.classList.add("third"); return node; })))));
    return scrolling("Predictions of the next token", h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows)));
  }

  function valuesTable(table) {
    return scrolling("Predicted values", h("table", {},
      h("thead", {}, h("tr", {}, h("th", {scope: "col"}, table.row_name), ...table.columns.map(column => { const th = heading(column); th.classList.add("number"); return th; }))),
      h("tbody", {}, ...table.rows.map((name, i) => h("tr", {}, h("th", {scope: "row"}, name),
        ...table.values[i].map((value, k) => h("td", {class: `number ${table.columns[k].name === "path" ? "lesser" : ""}`}, value === null ? "–" : decimals(value, 3))))))));
  }

  function gridTables(table) {
    const size = Math.max(...table.grids.flat(2).map(value => Math.abs(value ?? 0))) || 1;
    const shade = value => `color-mix(in srgb, var(${value < 0 ? "--subtracted" : "--ink"}) ${(42 * Math.abs(value) / size).toFixed(1)}%, transparent)`;
    return h("div", {class: "grids"}, ...table.columns.map((column, k) => h("div", {title: column.hint, class: column.name === "path" ? "lesser" : ""},
      h("h4", {}, column.words, " ", h("small", {}, column.step === null ? "ideal" : `step ${wholeNumber(column.step)}`)),
      h("table", {"aria-label": `Outputs of ${column.words}`}, h("tbody", {}, ...table.grids[k].map((values, i) => h("tr", {}, h("th", {scope: "row"}, table.rows[i]),
        ...values.map(value => { const td = h("td", {class: "number"}, value === null ? "–" : decimals(value, 2)); td.style.background = shade(value ?? 0); return td; }))))))));
  }

  const markToken = () => {
    for (const row of answer.querySelectorAll("[data-place]")) row.classList.toggle("locked", Number(row.dataset.place) === bus.state.token);
  };

  const writeFavours = held => {
    if (held.favours) {
      const {sides, reference} = held.favours;
      favoured.replaceChildren(h("p", {}, held.sentence), h("div", {class: "sides"}, ...sides.map(side => h("div", {},
        h("h4", {}, `Tokens ${side.words}`), h("div", {class: "changes"}, ...(side.tokens.length ? side.tokens.map(([text, change]) =>
          h("span", {}, tokenNode(text), " ", h("small", {}, `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)} points`))) : ["none"])),
        h("h4", {}, `Contexts ${side.words}`),
        side.contexts.length ? scrolling(`Contexts ${side.words}`, h("table", {},
          h("thead", {}, h("tr", {}, ...["read so far", "true next", "gain", "lifted", reference].map((text, i) => h("th", {scope: "col", class: ["context", "", "number", "", "lesser"][i]}, text)))),
          h("tbody", {}, ...side.contexts.map(row => h("tr", {}, contextCell(row.before, row.last), h("td", {}, guessNode(row.target)),
            h("td", {class: "number"}, gainNode(row.gain)), ...row.guesses.map((guess, i) => h("td", {class: i ? "lesser" : ""}, guessNode(guess)))))))) : h("p", {}, "none")))));
      return;
    }
    const {ideals, rows} = held.distances;
    favoured.replaceChildren(scrolling("Distances", h("table", {},
      h("thead", {}, h("tr", {}, h("th", {scope: "col"}, ""), ...ideals.map(name => h("th", {scope: "col", class: "number"}, name)))),
      h("tbody", {}, ...rows.map(row => h("tr", {}, h("th", {scope: "row"}, row.words), ...row.values.map(value => h("td", {class: "number"}, shortNumber(value ?? NaN)))))))));
  };

  // The user's own text where there is one, else the probe's.
  const read = async () => {
    const number = ++asked, text = data.language ? bus.state.prompt : "";
    if (document.activeElement !== prompt && pane.section.getRootNode().activeElement !== prompt) prompt.value = text;
    pane.code = text ? data.code.replace(data.call, () => `${data.call.slice(0, -1)}, prompt=${JSON.stringify(text)})`) : data.code;
    if (!text) {
      const held = data.lifted;
      if (held?.table) { say(""); writeTable(held.table, false); return; }
      bar.replaceChildren();
      if (held) { answer.replaceChildren(); say(`It cannot be lifted: ${held.error}`, true); return; }
      answer.classList.add("old");
      say("lifting it to the probe …", false, true);
      return;
    }
    const key = JSON.stringify([bus.state.run, data.form, text]);
    if (answered?.key !== key) {
      answer.classList.add("old");
      const slow = setTimeout(() => { if (number === asked) say("lifting it to your text …", false, true); }, SLOW_MS);
      try {
        const table = await pane.ask("lift", {form: data.form, prompt: text});
        if (number !== asked) return;
        answered = {key, table};
        pane.body.scrollTop = Math.max(pane.body.scrollTop, parts.text.offsetTop - 6);  // where it lies below
      } catch (error) {
        if (number !== asked) return;
        answer.replaceChildren();
        bar.replaceChildren(h("span", {class: "end"}, h("button", {type: "button", onclick: () => bus.set({prompt: ""})}, "back to the probe")));
        say(error.message, true);
        return;
      } finally { clearTimeout(slow); }
    }
    say("");
    writeTable(answered.table, true);
  };

  const submit = event => {
    event.preventDefault();
    bus.set({prompt: prompt.value});
  };
  ask.addEventListener("submit", submit);
  prompt.addEventListener("keydown", event => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event); });

  const paint = async (name, figure, height) => {
    hosts[name].hidden = !figure;
    if (!figure) return;
    if (height) hosts[name].style.height = `${height}px`;
    await figures[name].draw(figure, {displayModeBar: false});
  };

  const draw = async () => {
    const before = data;
    const payload = received(model, pane);
    if (!payload) { data = null; return; }
    data = payload;
    choose();
    writeFacts();
    writeNote();
    writeTurns();
    const none = data.form === null;
    for (const name of ["alpha", "text", "favours", "planes"]) parts[name].hidden = none;
    parts.walks.hidden = !data.walks;
    card.classList.toggle("none", none);
    sides[Number(none)].append(parts.walks);
    ask.hidden = !data.language;
    parts.text.classList.toggle("asks", data.language);
    parts.favours.querySelector("h3").textContent = data.language ? "What it favours" : "Distance to ideal predictors (mean squared)";
    parts.favours.hidden = none || !data.lifted?.table;
    if (!none) {
      read();
      if (data.lifted?.table) writeFavours(data.lifted);
    }
    if (before && (before.form !== data.form || before.step !== data.step)) pane.body.scrollTop = 0;
    const extra = data.lifted?.figure ?? null;
    await paint("weights", none ? null : data.weights);
    await paint("planes", none ? null : data.planes, Math.min(300, data.planes_height));
    await paint("walks", data.walks, data.walks_height);
    await paint("extra", extra, data.lifted?.figure_height);
    place();
    showTurn();
  };

  model.on("remove", () => pane.figures.forEach(figure => figure.remove()));
  connect(model, bus, ["payload", "progress"], changed => {
    if (changed.has("payload") || changed.has("progress")) draw();
    else if (data) {
      if (changed.has("step") || changed.has("shared")) markTurn();
      if (changed.has("maximised") && bus.state.maximised === pane.name) pane.body.scrollTop = 0;
      if (changed.has("step") || changed.has("tab")) showTurn();
      if (data.form === null) return;
      if (changed.has("prompt")) read();
      if (changed.has("token")) markToken();
      if (changed.has("step") || changed.has("shared")) place();
    }
  });
}

export default {render};
