// Metrics as small panels over log-steps. The current step, its values and the part that stands out are drawn in the
// layer above: neither a step nor a highlight redraws the figure. Pressing or dragging in any panel sets the step.

function render({model, el}) {
  const bus = openBus(model.bus);
  const pane = buildPane(el, model, bus);
  const hint = h("span", {class: "hint"}, "Press to go to a step; hover over a line to see it everywhere");
  const chooser = select("The head or part that stands out", [], part => bus.set({part}));
  pane.controls.append(hint, chooser);
  const host = h("div", {class: "host"});
  pane.body.append(host);
  const figure = new Figure(host, "Metrics over training steps, logarithmic");
  pane.figures = [figure];
  const lines = svg("g"), marks = svg("g");
  figure.layer.append(lines, marks);
  let data = null, hovered = "";

  const axes = number => ["x", "y"].map(letter => figure.axis(`${letter}axis${number === 1 ? "" : number}`));
  const numbers = () => Array.from({length: data.count}, (_, i) => i + 1);

  // Where each panel lies, as Plotly's shares of the figure, for as many columns as there is room for.
  const layout = () => {
    const {cell, count} = data, width = pane.body.clientWidth;
    const columns = Math.max(1, Math.min(cell.most, count, Math.floor(width / cell.wide)));
    const row = cell.above + cell.high + cell.below, height = Math.ceil(count / columns) * row + 8;
    const wide = width / columns, places = {width, height};
    for (const number of numbers()) {
      const i = number - 1, left = (i % columns) * wide + cell.left, top = Math.floor(i / columns) * row + cell.above;
      const name = number === 1 ? "" : number;
      places[`xaxis${name}.domain`] = [left / width, (left + wide - cell.left - cell.right) / width];
      places[`yaxis${name}.domain`] = [1 - (top + cell.high) / height, 1 - top / height];
    }
    return places;
  };

  let laid = 0, waiting = 0;
  figure.resize = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => {
      const width = pane.body.clientWidth;
      if (!data || !width || width === laid) return;
      if (!figure.drawn) { show(); return; }
      laid = width;
      const places = layout();
      host.style.height = `${places.height}px`;
      drawer().relayout(figure.plot, places);
    });
  };

  // The curves that stand out: those of the chosen (or hovered) part; a panel's only curve always tells its value.
  const told = number => {
    const here = data.curves.filter(curve => curve.panel === number);
    const part = hovered || bus.state.part;
    const loud = part ? here.filter(curve => curve.parts.includes(part)) : [];
    return {loud, curve: loud.length === 1 ? loud[0] : here.length === 1 ? here[0] : null, part};
  };

  const highlight = () => {
    if (!figure.drawn || !data) return;
    marks.replaceChildren();
    for (const number of numbers()) {
      const [xa, ya] = axes(number);
      if (!xa || !ya) continue;
      for (const {trace} of told(number).loud) {
        const {x, y} = figure.plot._fullData[trace];
        const path = Array.from(x, (at, i) => Number.isFinite(y[i])
          ? `${i && Number.isFinite(y[i - 1]) ? "L" : "M"}${(xa._offset + xa.l2p(at)).toFixed(1)} ${(ya._offset + ya.l2p(y[i])).toFixed(1)}` : "").join("");
        marks.append(svg("path", {class: "chosen ground", d: path}), svg("path", {class: "chosen", d: path}));
      }
    }
    place();
  };

  const place = () => {
    if (!figure.drawn || !data || !bus.ready) return;
    const at = logStep(bus.step);
    lines.replaceChildren();
    for (const number of numbers()) {
      const [xa, ya] = axes(number);
      if (!xa || !ya) continue;
      const x = xa._offset + xa.l2p(at), {curve, loud} = told(number);
      lines.append(svg("line", {class: "cursor", x1: x, x2: x, y1: ya._offset, y2: ya._offset + ya._length}));
      if (!curve) continue;
      const trace = figure.plot._fullData[curve.trace];
      const value = trace.y[nearest(trace.customdata, bus.step)];
      if (!Number.isFinite(value)) continue;
      const y = ya._offset + ya.l2p(value);
      if (y >= ya._offset && y <= ya._offset + ya._length) lines.append(svg("circle", {class: "dot", r: 3.2, cx: x, cy: y}));
      const words = svg("text", {class: "value", x: xa._offset + xa._length + 12, y: ya._offset - 5});
      words.textContent = shortNumber(value);
      lines.append(words);
    }
  };
  figure.place = highlight;

  const panelAt = event => {
    const box = figure.plot.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    return numbers().find(number => {
      const [xa, ya] = axes(number);
      return x >= xa._offset - 8 && x <= xa._offset + xa._length + 8 && y >= ya._offset - 4 && y <= ya._offset + ya._length + 4;
    });
  };
  figure.scrubs(bus, event => {
    const number = data && panelAt(event);
    if (!number) return "";
    if (hovered) bus.set({part: hovered});
    return axes(number)[0]._name;
  });
  const hover = part => { if (part !== hovered) { hovered = part; highlight(); } };

  const press = () => {
    chooser.hidden = !data?.parts.length;
    chooser.value = data?.parts.includes(bus.state.part) ? bus.state.part : "";
  };

  const show = async () => {
    const places = layout();
    if (!places.width) return;  // not seen yet: drawn once there is room
    laid = places.width;
    host.style.height = `${places.height}px`;
    const {figure: drawing} = data;
    for (const [key, value] of Object.entries(places)) {
      const [outer, inner] = key.split(".");
      if (inner) drawing.layout[outer][inner] = value; else drawing.layout[outer] = value;
    }
    const first = !figure.drawn;
    await figure.draw(drawing, {displayModeBar: false});
    if (first) {
      figure.plot.on("plotly_hover", ({points}) => {
        const curve = data.curves.find(({trace}) => trace === points[0].curveNumber);
        hover(data.parts.includes(curve?.parts[0]) || curve?.parts.length > 1 ? curve.parts[0] : "");
      });
      figure.plot.on("plotly_unhover", () => hover(""));
    }
    highlight();
  };

  const draw = async () => {
    const payload = received(model, pane);
    if (!payload) return;
    data = payload;
    hovered = "";
    chooser.fill([["", "highlight …"], ...data.parts.map(part => [part, part])]);
    hint.hidden = false;
    pane.foot.textContent = [data.intervals ? "Bands: 90 % of a bootstrap over groups of held-out samples." : "",
      data.parts.some(part => /^L\d+ H\d+$/.test(part)) ? "Lx Hy: head y of layer x." : "", data.absent].filter(Boolean).join(" ");
    pane.foot.title = pane.foot.textContent;
    press();
    await show();
  };

  model.on("remove", () => figure.remove());
  connect(model, bus, ["payload", "progress"], changed => {
    if (changed.has("payload") || changed.has("progress")) { draw(); return; }
    if (changed.has("part")) { press(); highlight(); }
    else if (changed.has("step") || changed.has("shared")) place();
  });
}

export default {render};
