// Loss, LLC and strips over log-steps. Pressing or dragging anywhere in the plot sets the step.

// How each verdict on an LLC is marked in the figure.
const MARKS = ["trusted", "doubtful", "none"];

function render({model, el}) {
  const bus = openBus(model.bus);
  const pane = buildPane(el, model, bus);
  const adder = select("Add a metric as a strip", [["", "+ metric"]], name => {
    if (name) bus.set({strips: [...new Set([...bus.state.strips, name])]});
  });
  const chosen = h("span", {class: "chosen"});
  pane.controls.append(chosen, adder);
  const host = h("div", {class: "host"});
  pane.body.append(host);
  const figure = new Figure(host, "Loss and local learning coefficient over training steps, logarithmic");
  const line = svg("line", {class: "cursor"});
  const pin = svg("g", {class: "pin"}, svg("line"), svg("path"), svg("text"));
  const dots = svg("g"), values = svg("g");
  const why = h("p", {class: "why"});
  const boundaries = editBoundaries(pane, bus, host, figure, text => { why.hidden = false; why.textContent = why.title = text; });
  pane.controls.append(boundaries.button);
  restWhereSaved(bus, adder, boundaries.button);
  pane.figures = [figure];
  figure.layer.append(pin, line, dots, values);
  let rows = [], verdictWords = [];

  const place = () => {
    if (!figure.drawn || !bus.ready || !rows.length) return;
    const size = figure.plot._fullLayout._size;
    const xa = figure.axis("xaxis");
    const x = xa._offset + xa.l2p(logStep(bus.step));
    const inside = x >= xa._offset - 1 && x <= xa._offset + xa._length + 1;
    line.style.display = dots.style.display = inside ? "" : "none";
    line.setAttribute("x1", x); line.setAttribute("x2", x);
    line.setAttribute("y1", size.t - 4); line.setAttribute("y2", size.t + size.h);
    rows.forEach((row, i) => {
      const at = nearest(row.step, bus.step), verdict = row.verdict[at] ?? 0;
      const value = row.value[at], error = row.error[at], ya = figure.axis(row.axis), text = values.children[i];
      if (!ya) return;
      const dot = dots.children[i];
      const unit = Number.isFinite(error) ? `± ${shortNumber(error, 2)}` : row.unit.length < 6 ? row.unit : "";
      text.textContent = verdict === NOT_AN_LLC ? "× not an LLC"
        : Number.isFinite(value) ? `${SIGNS[verdict]}${shortNumber(value)} ${unit}` : "";
      text.setAttribute("x", xa._offset + xa._length + 6);
      text.setAttribute("y", ya._offset + 14 + 13 * row.lines);
      const y = ya._offset + ya.l2p(value);
      const seen = Number.isFinite(y) && y >= ya._offset - 2 && y <= ya._offset + ya._length + 2;
      dot.style.display = seen ? "" : "none";
      if (seen) { dot.setAttribute("cx", x); dot.setAttribute("cy", y); }
      if (row.reason.length) say(row.step[at], verdict, row.reason[at]);
    });
  };
  // The pinned step: a flag with its number.
  const placePin = () => {
    if (!figure.drawn || !bus.ready || !rows.length) return;
    const at = bus.pinned, xa = figure.axis("xaxis"), {t, h: height} = figure.plot._fullLayout._size;
    const x = at === undefined ? NaN : xa._offset + xa.l2p(logStep(at));
    const inside = x >= xa._offset - 1 && x <= xa._offset + xa._length + 1;
    pin.style.display = inside ? "" : "none";
    if (!inside) return;
    const [stem, flag, words] = pin.children, left = x > xa._offset + 0.85 * xa._length, way = left ? -1 : 1;
    for (const [name, value] of Object.entries({x1: x, x2: x, y1: t, y2: t + height})) stem.setAttribute(name, value);
    const y = t + 15;  // below the handles of the boundaries
    flag.setAttribute("d", `M${x} ${y}h${9 * way}l${-3 * way} 4 ${3 * way} 4h${-9 * way}z`);
    words.setAttribute("x", x + 12 * way);
    words.setAttribute("y", y + 8);
    words.setAttribute("text-anchor", left ? "end" : "start");
    words.textContent = wholeNumber(at);
  };
  // Why the LLC at the current step is not to be believed, in the foot, for those who do not hover.
  const say = (step, verdict, reason) => {
    const words = `Step ${Math.round(step).toLocaleString("en")}, ${verdictWords[verdict]}${reason ? `: ${reason}` : ""}`;
    if (why.title !== words) why.textContent = why.title = words;
  };
  figure.place = () => { place(); placePin(); boundaries.place(); };

  figure.scrubs(bus);

  const legend = data => {
    const key = (kind, text) => h("span", {class: "key"}, h("i", {class: kind}), text);
    const keys = [];
    if (data.rows.some(r => r.title === "LLC")) keys.push(key("se", "± 1 SE"));
    if (data.train) keys.push(key("dotted", "train loss"));
    if (data.types.includes("A")) keys.push(key("warm", "A: LLC rises"));
    if (data.types.includes("B")) keys.push(key("cool", "B: falls"));
    if (data.types.includes("undecided")) keys.push(key("hatch", "undecided"));
    if (data.boundaries.includes(false)) keys.push(key("boundary", "boundary, 90 %"));
    if (data.boundaries.includes(true)) keys.push(key("own", data.boundaries.includes(false) ? "by hand" : "boundary, by hand"));
    for (const {level, text} of data.trust.marks) keys.push(key(MARKS[level], text));
    const line = h("span", {class: "keys"}, ...keys);
    line.title = data.trust.note;
    why.hidden = data.trust.marks.every(mark => mark.level === 0);  // where all are trusted there is nothing to say
    const settings = data.settings ? `SGLD ${data.settings}` : "";
    pane.foot.replaceChildren(line, h("div", {class: "last"}, why, h("span", {class: "fine", title: settings}, settings)));
    for (const {message} of data.missing) {
      pane.foot.append(h("span", {class: "missing"}, h("span", {}, message.title),
        ...(message.command ? [commandLine(message.command)] : [])));
    }
  };

  const draw = async () => {
    const data = received(model, pane);
    if (!data) return;
    const added = rows.length > 0 && data.rows.length > rows.length;
    rows = data.rows.map(row => ({...row, step: decode(row.step), value: decode(row.value), error: decode(row.error)}));
    verdictWords = data.trust.words;
    dots.replaceChildren(...rows.map(() => svg("circle", {class: "dot", r: 4})));
    values.replaceChildren(...rows.map(() => svg("text", {class: "value"})));
    const left = Object.entries(data.strips).filter(([name]) => !bus.state.strips.includes(name));
    adder.fill([["", "+ metric"], ...left]);
    adder.hidden = !left.length;
    chosen.replaceChildren(...bus.state.strips.filter(name => name in data.strips).map(name => h("button", {
      type: "button", class: "tag", "aria-label": `Remove the strip ${data.strips[name]}`,
      onclick: () => bus.set({strips: bus.state.strips.filter(other => other !== name)}),
      title: data.strips[name],
    }, h("span", {}, data.strips[name]), h("i", {"aria-hidden": "true"}, "×"))));
    legend(data);
    host.style.minHeight = `${data.height}px`;
    await figure.draw(data.figure, {scrollZoom: false});
    figure.place();
    boundaries.show(data.edit);
    if (added) pane.body.scrollTop = pane.body.scrollHeight;  // where many rows scroll: show the new one
  };

  model.on("remove", () => figure.remove());
  connect(model, bus, ["payload", "progress"], changed => {
    if (changed.has("payload") || changed.has("progress")) draw();
    else {
      if (changed.has("step") || changed.has("shared")) place();
      if (changed.has("pinned") || changed.has("shared")) placePin();
    }
  });
}

export default {render};
