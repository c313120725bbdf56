// Loss change per token, on text or on a grid. Strings arrive once; the block checkpoint × token arrives once a
// sequence; a step only recolours what is there.

const LEAST_SEEN = 0.02;  // share of the full colour that can be told from none

function render({model, el}) {
  const bus = openBus(model.bus);
  const pane = buildPane(el, model, bus);
  const views = segmented("Shown", [
    ["text", "text", "Each token in its place"],
    ["ranking", "ranked", "Most improved and most worsened"],
    ["ideals", "vs ridge", "The loss at each example beside that of ideal predictors"],
  ], value => bus.set({token_view: value}));
  const MODES = [["stage", "over this stage"], ["start", "start → now"], ["custom", "between two steps"]];
  const mode = select("Loss change between", MODES, value => bus.set(value === "custom" && bus.state.change !== "custom"
    ? {change: value, change_from: Math.round(range()[0]), change_to: Math.round(range()[1])} : {change: value}));
  const from = select("From step", [], value => bus.set({change_from: Number(value)}));
  const to = select("To step", [], value => bus.set({change_to: Number(value)}));
  const custom = h("span", {class: "custom"}, "step", from, "→", to);
  const previous = h("button", {type: "button", class: "icon", "aria-label": "Previous sequence", onclick: () => turn(-1)}, "‹");
  const next = h("button", {type: "button", class: "icon", "aria-label": "Next sequence", onclick: () => turn(1)}, "›");
  const chooser = select("Sequence", [], value => bus.set({sequence: Number(value), token: -1}));
  const pager = h("span", {class: "pager"}, previous, chooser, next);
  const own = buildOwnText(bus);
  const ranked = select("Ranked by", [], value => bus.set({ranked_by: value}));
  const by = h("span", {class: "by push"}, "ranked by", ranked);
  pane.controls.append(views, pager, own.node);
  const between = h("span", {class: "between"});
  const unmoved = h("span", {class: "scale push"});
  const ramp = {fell: h("span"), rose: h("span")};
  ramp.node = h("span", {class: "scale push"}, ramp.fell, h("i", {class: "ramp", "aria-hidden": "true"}), ramp.rose);
  const key = {then: h("span"), now: h("span")};
  key.node = h("span", {class: "scale push"}, h("i", {class: "line-then", "aria-hidden": "true"}), key.then, h("i", {class: "line-now", "aria-hidden": "true"}), key.now);
  const legend = h("div", {class: "legend"}, mode, between, custom, unmoved, ramp.node, by, key.node);
  const view = h("div", {class: "view", tabindex: "0", role: "group", "aria-label": "Tokens; brackets [ and ] move the locked one"});
  const detail = h("div", {class: "detail"});
  const history = buildHistory(pane, bus), ideals = buildIdeals(bus);
  const ranking = buildRanking(pane, bus, (sequence, token) => bus.set({sequence: sequenceOf(sequence), token, token_view: "text"}));
  pane.body.append(legend, view, ranking.node, ideals.node, detail, history.node);

  let data = null, steps = [], loss = [], width = 0, cells = [], names = [], hovered = -1;

  const page = () => data.pages.findIndex(([first]) => first === data.sequence);
  const turn = by => bus.set({sequence: data.pages[(page() + by + data.pages.length) % data.pages.length][0], token: -1});
  // Where several windows are one text there is one page.
  const sequenceOf = sequence => data.own ? bus.state.sequence : sequence;
  const shown = () => bus.state.token_view === "ideals" && !data.ideals ? "text" : bus.state.token_view;

  // The two steps compared, and the colour limit that belongs to them.
  function range() {
    const {change, change_from, change_to} = bus.state;
    const stage = bus.stage, stages = bus.shared.stages;
    if (change === "custom") return [change_from, change_to < 0 ? steps.at(-1) : change_to, model.limit];
    if (change === "stage" && stage >= 0) return [stages[stage].start, stages[stage].end, data?.limits.stage[stage] ?? 1];
    return [steps[0], bus.step, data?.limits.start ?? 1];
  }

  const at = (step, item) => loss[nearest(steps, step) * width + item];

  function colour() {
    if (!data) return;
    const [a, b, limit] = range();
    const before = nearest(steps, a) * width, after = nearest(steps, b) * width;
    let seen = false;
    cells.forEach((cell, i) => {
      const change = loss[after + i] - loss[before + i];
      const strength = Math.min(1, Math.abs(change) / limit);
      seen ||= strength >= LEAST_SEEN;
      const hue = change < 0 ? "var(--fell)" : "var(--rose)";
      cell.style.backgroundColor = strength >= LEAST_SEEN ? `color-mix(in srgb, ${hue} calc(var(--strength) * ${strength.toFixed(2)}), transparent)` : "transparent";
    });
    unmoved.hidden = seen || shown() !== "text";
    unmoved.textContent = `no change above ${shortNumber(LEAST_SEEN * limit, 2)}`;
    ramp.node.hidden = shown() !== "text" || !seen;
    tell();
  }

  // What is compared, and what the colours mean. The controls stay where they are, so that they keep the focus.
  function explain() {
    const [a, b, limit] = range(), which = shown(), chosen = bus.state.change === "custom";
    const stage = bus.state.change === "stage" && bus.stage >= 0 ? `${bus.shared.stages[bus.stage].name}, ` : "";
    between.textContent = `${stage}step ${wholeNumber(steps[nearest(steps, a)])} → ${wholeNumber(steps[nearest(steps, b)])}`;
    between.hidden = chosen;
    custom.hidden = !chosen;
    ramp.node.hidden = which !== "text";
    ramp.node.title = `Full colour at a change of ±${shortNumber(limit)} ${data.unit}`;
    ramp.fell.textContent = `fell ${shortNumber(limit)}`;
    ramp.rose.textContent = `rose ${shortNumber(limit)}${data.unit.length < 6 ? ` ${data.unit}` : ""}`;
    by.hidden = which !== "ranking";
    key.node.hidden = which !== "ideals";
    key.then.textContent = `step ${wholeNumber(steps[nearest(steps, a)])}`;
    key.now.textContent = `now, step ${wholeNumber(steps[nearest(steps, bus.step)])}`;
  }

  // Nothing is locked while another sequence is on its way.
  const here = () => data.own || data.pages.findLast(([first]) => first <= bus.state.sequence)[0] === data.sequence;
  const locked = () => data && here() && bus.state.token >= 0 && bus.state.token < cells.length ? bus.state.token : -1;

  // One line of values of the hovered item, else of the locked one, whose history stands below.
  function tell() {
    const item = hovered >= 0 ? hovered : locked();
    cells.forEach((cell, i) => cell.classList.toggle("locked", i === locked()));
    detail.hidden = shown() !== "text";
    if (item < 0 || item >= cells.length) {
      detail.replaceChildren(h("span", {class: "hint"}, `${data?.note ?? ""} Hover for values, click to lock.`));
      detail.title = data?.note ?? "";
      return;
    }
    const [a, b] = range();
    const before = at(a, item), after = at(b, item), change = after - before;
    const word = change < 0 ? "fell" : "rose";
    detail.title = "";
    detail.replaceChildren(h("div", {class: "facts"},
      h("span", {class: "name"}, names[item]), h("span", {class: word}, `${word} by ${shortNumber(Math.abs(change))}`),
      h("span", {class: "quiet"}, `${shortNumber(before)} → ${shortNumber(after)} ${data.unit}, now ${shortNumber(at(bus.step, item))}`)),
      ...(locked() < 0 ? [] : [h("button", {type: "button", class: "icon", "aria-label": "Unlock the token", title: "Unlock (Esc)", onclick: () => bus.set({token: -1})}, "×")]));
  }

  // The locked token's chart and predictions; `anew` where the curve may be another.
  function follow(anew) {
    const item = locked(), [a, b] = range().slice(0, 2).map(step => steps[nearest(steps, step)]);
    const open = item >= 0 && shown() === "text";
    history.node.hidden = !open;
    if (open) {
      if (anew) history.draw(data.history, names[item], steps, Array.from(steps, (_, i) => loss[i * width + item]));
      history.follow(a, b);
      history.predict(data.form === "text" ? {text: data.own ? bus.state.text : "", sequence: data.sequence, token: item, steps: [a, b]} : null);
    }
    if (shown() === "ranking") ranking.follow({text: data.own ? bus.state.text : "", by: rankedBy(), steps: [a, b]});
    if (shown() === "ideals") { if (anew) ideals.draw(data.ideals, steps); ideals.follow(a); }
    pane.figures = [...(open ? [history.figure] : []), ...(shown() === "ideals" ? [ideals.figure] : [])];
    pane.code = (data.code ?? "").replace("STEP_FROM, STEP_TO", `${a}, ${b}`)
      + (shown() === "ranking" ? `\ndx.most_changed(change, by="${rankedBy()}", direction="improved")` : "");
  }
  const rankedBy = () => data.ranked_by.includes(bus.state.ranked_by) ? bus.state.ranked_by : "place";

  function arrange() {
    const which = shown();
    views.press(which);
    view.hidden = which !== "text";
    ranking.node.hidden = which !== "ranking";
    ideals.node.hidden = which !== "ideals";
    pager.hidden = which !== "text" || data.pages.length < 2;
    views.querySelector("[data-value=text]").textContent = data.form === "text" ? "text" : "grid";
    views.querySelector("[data-value=ideals]").hidden = !data.ideals;
    ranked.value = rankedBy();
  }

  function write() {
    names = data.form === "text" ? data.items.map(visible) : data.rows.flatMap(row => data.columns.map(column => `${row}, ${data.column_title} ${column}`));
    hovered = -1;
    pane.heading.textContent = data.title;
    pane.section.setAttribute("aria-label", data.title);
    if (data.form === "text") writeText(); else writeGrid();
    view.className = `view ${data.form}`;
    view.scrollTop = 0;
    cells[bus.state.token]?.scrollIntoView({block: "nearest"});
    chooser.fill(data.pages.map(([first, words]) => [String(first), words]), String(data.sequence));
    ranked.fill(data.ranked_by.map(kind => [kind, kind === "position" ? data.position_name : kind]));
    own.show(data);
  }

  const cell = (tag, text, i) => {
    const node = h(tag, {class: "item", "data-item": i});
    node.textContent = text;
    return node;
  };

  function writeText() {
    const lead = h("span", {class: "lead"});
    lead.textContent = data.lead;
    // A final line break stands outside its token, so that the token's colour stays on one line. Every token is a
    // direction of its own: right-to-left text does not move its neighbours.
    const broken = data.items.map(text => text.endsWith("\n"));
    cells = data.items.map((text, i) => cell("bdi", (broken[i] ? text.slice(0, -1) + "↵" : text).replaceAll("\n", "↵\n"), i));
    const flow = h("div", {class: "flow"});
    flow.append(lead, ...cells.flatMap((node, i) => broken[i] ? [node, "\n"] : [node]));
    view.replaceChildren(flow);
  }

  function writeGrid() {
    cells = [];
    const every = data.columns.length > 10 ? Math.ceil(data.columns.length / 6) : 1; // labels need room
    const head = h("tr", {}, h("td", {}, data.column_title), ...data.columns.map((column, c) => h("th", {scope: "col"}, c % every ? "" : column)));
    const rows = data.rows.map((row, r) => {
      const line = h("tr", {}, h("th", {scope: "row"}, row));
      data.columns.forEach((_, c) => { const td = cell("td", "", r * data.columns.length + c); cells.push(td); line.append(td); });
      return line;
    });
    view.replaceChildren(h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows)));
  }

  const visible = text => `“${text.replaceAll("\n", "↵").replaceAll("\t", "⇥")}”`;
  const itemOf = event => Number(event.target.closest?.("[data-item]")?.dataset.item ?? -1);
  view.addEventListener("pointerover", event => { hovered = itemOf(event); tell(); });
  view.addEventListener("pointerleave", () => { hovered = -1; tell(); });
  view.addEventListener("click", event => {
    const item = itemOf(event);
    if (item >= 0) bus.set({token: item === bus.state.token ? -1 : item});
  });
  view.addEventListener("keydown", event => {
    const by = {"[": -1, "]": 1}[event.key];
    if (!by || !cells.length) return;
    const token = (bus.state.token + by + cells.length) % cells.length;
    bus.set({token});
    cells[token].scrollIntoView({block: "nearest"});
  });

  const draw = changed => {
    if (changed.has("payload") || changed.has("progress")) {
      data = received(model, pane);
      if (!data) return;
      data.pages = data.pages.filter(([sequence]) => bus.holds({sequence}));
      steps = decode(data.step);
      loss = decode(data.loss);
      width = loss.length / steps.length;
      write();
      const options = Array.from(steps, step => [String(step), wholeNumber(step)]);
      from.fill(options);
      to.fill(options);
    }
    if (!data) return;
    const staged = bus.shared.stages.length > 0;
    if (mode.length !== MODES.length - !staged) mode.fill(MODES.filter(([value]) => value !== "stage" || staged));
    mode.value = bus.state.change === "stage" && !staged ? "start" : bus.state.change;
    from.value = String(steps[nearest(steps, bus.state.change_from)]);
    to.value = String(bus.state.change_to < 0 ? steps.at(-1) : steps[nearest(steps, bus.state.change_to)]);
    const anew = ["payload", "progress", "token", "token_view"].some(name => changed.has(name));
    arrange();
    explain();
    if (changed.size === 1 && changed.has("token")) tell(); else colour();
    follow(anew);
    if (changed.has("token_view") || changed.has("token")) cells[locked()]?.scrollIntoView({block: "nearest"});
  };
  model.on("remove", () => { history.figure.remove(); ideals.figure.remove(); });
  connect(model, bus, ["payload", "progress", "limit"], draw);
}

export default {render};
