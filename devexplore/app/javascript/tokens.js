// Loss change per token, on text or on a grid. Strings arrive once; the block checkpoint × token arrives once a
// sequence; a step only recolours what is there.

function render({model, el}) {
  const bus = openBus(model.bus);
  const pane = buildPane(el, model, bus);
  const mode = segmented("Loss change between", [
    ["stage", "this stage", "From the start to the end of the stage under the cursor"],
    ["start", "start → now", "From the first checkpoint to the current step"],
    ["custom", "two steps", "Between two steps of your choice"],
  ], value => bus.set(value === "custom" && bus.state.change !== "custom"
    ? {change: value, change_from: Math.round(range()[0]), change_to: Math.round(range()[1])} : {change: value}));
  const from = select("From step", [], value => bus.set({change_from: Number(value)}));
  const to = select("To step", [], value => bus.set({change_to: Number(value)}));
  const custom = h("span", {class: "custom"}, "step", from, "→", to);
  const previous = h("button", {type: "button", class: "icon", "aria-label": "Previous sequence", onclick: () => turn(-1)}, "‹");
  const next = h("button", {type: "button", class: "icon", "aria-label": "Next sequence", onclick: () => turn(1)}, "›");
  const chooser = select("Sequence", [], value => bus.set({sequence: Number(value), token: -1}));
  const pager = h("span", {class: "pager"}, previous, chooser, next);
  pane.controls.append(mode, pager);
  const legend = h("div", {class: "legend"});
  const view = h("div", {class: "view", tabindex: "0", role: "group", "aria-label": "Tokens; brackets [ and ] move the locked one"});
  const detail = h("div", {class: "detail"});
  pane.body.append(legend, view, detail);

  let data = null, steps = [], loss = [], width = 0, cells = [], names = [], hovered = -1;

  const turn = by => {
    const sequence = (bus.state.sequence + by + data.sequences) % data.sequences;
    bus.set({sequence, token: -1});
  };

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
    cells.forEach((cell, i) => {
      const change = loss[after + i] - loss[before + i];
      const strength = Math.min(1, Math.abs(change) / limit);
      const hue = change < 0 ? "var(--fell)" : "var(--rose)";
      cell.style.backgroundColor = strength >= 0.02 ? `color-mix(in srgb, ${hue} calc(var(--strength) * ${strength.toFixed(2)}), transparent)` : "transparent";
    });
    const stage = bus.state.change === "stage" && bus.stage >= 0 ? `stage ${bus.shared.stages[bus.stage].name}, ` : "";
    const unit = data.unit.length < 6 ? ` ${data.unit}` : "";
    legend.title = `Colours end at ±${shortNumber(limit)} ${data.unit}`;
    legend.replaceChildren(
      h("span", {}, `loss fell by ${shortNumber(limit)}`), h("i", {class: "ramp", "aria-hidden": "true"}),
      h("span", {}, `rose by ${shortNumber(limit)}${unit}`),
      bus.state.change === "custom" ? custom
        : h("span", {class: "between"}, `${stage}step ${wholeNumber(steps[nearest(steps, a)])} → ${wholeNumber(steps[nearest(steps, b)])}`));
    tell();
  }

  // The detail line: the hovered item, else the locked one, with its history.
  function tell() {
    const item = hovered >= 0 ? hovered : bus.state.token;
    cells.forEach((cell, i) => cell.classList.toggle("locked", i === bus.state.token));
    if (!data || item < 0 || item >= cells.length) {
      detail.replaceChildren(h("span", {class: "hint"}, `${data?.note ?? ""} Hover for values, click to lock one.`));
      return;
    }
    const [a, b] = range();
    const before = at(a, item), after = at(b, item), change = after - before;
    const word = change < 0 ? "fell" : "rose";
    detail.replaceChildren(
      h("div", {class: "facts"},
        h("div", {}, h("span", {class: "name"}, names[item]), h("span", {class: word}, `${word} by ${shortNumber(Math.abs(change))}`)),
        h("div", {class: "quiet"}, `${shortNumber(before)} → ${shortNumber(after)} ${data.unit}, now ${shortNumber(at(bus.step, item))}`)),
      sparkline(item, a, b),
      h("button", {type: "button", class: "icon", "aria-label": "Unlock the token", title: "Unlock (Esc)", onclick: () => bus.set({token: -1})}, "×"));
  }

  function sparkline(item, a, b) {
    const W = 300, H = 44, last = logStep(steps.at(-1));
    const values = Array.from(steps, (_, i) => loss[i * width + item]);
    const finite = values.filter(Number.isFinite);
    const high = Math.max(...finite), low = Math.min(...finite, 0);
    const x = step => 1 + (W - 2) * logStep(step) / last;
    const y = value => H - 3 - (H - 6) * (value - low) / ((high - low) || 1);
    const drawing = svg("svg", {class: "spark", viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `Loss of ${names[item]} over training, from ${shortNumber(values[0])} to ${shortNumber(values.at(-1))}`});
    for (const stage of bus.shared.stages) {
      const rect = svg("rect", {x: x(stage.start), y: 0, width: Math.max(0, x(stage.end) - x(stage.start)), height: H});
      rect.style.fill = stage.band;
      drawing.append(rect);
    }
    const path = values.map((v, i) => Number.isFinite(v) ? `${i && Number.isFinite(values[i - 1]) ? "L" : "M"}${x(steps[i]).toFixed(1)} ${y(v).toFixed(1)}` : "").join("");
    drawing.append(svg("path", {d: path, class: "curve"}));
    for (const [step, kind] of [[a, "end"], [b, "end"], [bus.step, "here"]]) {
      drawing.append(svg("line", {class: kind, x1: x(step), x2: x(step), y1: 0, y2: H}));
    }
    return drawing;
  }

  function write() {
    names = data.form === "text" ? data.items.map(visible) : data.rows.flatMap(row => data.columns.map(column => `${row}, ${data.column_title} ${column}`));
    hovered = -1;
    pane.heading.textContent = data.title;
    pane.section.setAttribute("aria-label", data.title);
    if (data.form === "text") writeText(); else writeGrid();
    view.className = `view ${data.form}`;
    view.scrollTop = 0;
    const many = data.sequences > 1;
    pager.hidden = !many;
    if (many) chooser.fill(Array.from({length: data.sequences}, (_, i) => [String(i), `text ${i + 1} of ${data.sequences}`]), String(data.sequence));
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
      steps = decode(data.step);
      loss = decode(data.loss);
      width = loss.length / steps.length;
      write();
      const options = Array.from(steps, step => [String(step), wholeNumber(step)]);
      from.fill(options);
      to.fill(options);
    }
    if (!data) return;
    mode.press(bus.state.change);
    mode.querySelector("[data-value=stage]").hidden = !bus.shared.stages.length;
    if (!bus.shared.stages.length && bus.state.change === "stage") mode.press("start");
    from.value = String(steps[nearest(steps, bus.state.change_from)]);
    to.value = String(bus.state.change_to < 0 ? steps.at(-1) : steps[nearest(steps, bus.state.change_to)]);
    if (changed.size === 1 && changed.has("token")) tell(); else colour();
  };
  connect(model, bus, ["payload", "progress", "limit"], draw);
}

export default {render};
