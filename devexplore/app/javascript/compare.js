// A pinned checkpoint beside the current one, and another run beside this one. All curves come once; the current and
// the pinned step move in the layers above the figures.

function render({model, el}) {
  const bus = openBus(model.bus);
  const pane = buildPane(el, model, bus);
  const chooser = select("The run beside this one", [], other => bus.set({other}));
  const tokens = h("button", {type: "button", class: "tokens", onclick: () => {
    const [from, to] = [bus.pinned, bus.step].sort((a, b) => a - b);
    bus.set({tab: "tokens", token_view: "ranking", change: "custom", change_from: from, change_to: to,
      ...(bus.state.maximised === pane.name ? {maximised: "tokens"} : {})});
  }}, "tokens that changed most");
  const table = buildComparedTable(pane, bus);
  const hint = h("span", {class: "hint"});
  const hosts = Object.fromEntries(["plane", "space", "lines"].map(name => [name, h("div", {class: `host ${name}`})]));
  const state = h("div", {class: "state", role: "status"});
  const sections = {
    joint: h("section", {class: "joint", "aria-label": "Both runs in one function space"}, hosts.plane, hosts.space, state),
    lines: h("section", {class: "lines", "aria-label": "Timelines of both runs"}, hosts.lines),
    table: h("section", {class: "readings", "aria-label": "What is measured"}, h("div", {class: "above"}, hint, tokens), table.node),
  };
  const jumps = h("div", {class: "jumps", role: "group", "aria-label": "Go to"}, ...[["joint", "one space"], ["lines", "timelines"], ["table", "numbers"]]
    .map(([name, text]) => h("button", {type: "button", onclick: () => sections[name].scrollIntoView({block: "start"})}, text)));
  pane.controls.append(h("label", {class: "beside"}, "beside", chooser), jumps);
  pane.body.append(h("div", {class: "sections"}, ...Object.values(sections)));
  const plane = new Figure(hosts.plane, "Both runs in two joint principal components");
  const space = new Figure(hosts.space, "Both runs in three joint principal components");
  const lines = new Figure(hosts.lines, "Loss and local learning coefficient of both runs over training steps, logarithmic");
  pane.figures = [plane, space, lines];
  const pin = svg("g", {class: "pinned"}, svg("circle", {r: 6}), svg("circle", {r: 1.8}));
  const dots = svg("g");
  plane.layer.append(pin, dots);
  const then = svg("line", {class: "then"}), cursor = svg("line", {class: "cursor"}), marks = svg("g"), values = svg("g");
  lines.layer.append(then, cursor, marks, values);
  let data = null, follow = [], rows = [];

  const seen = () => (bus.state.maximised || bus.state.tab) === pane.name;
  const opened = object => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, decode(value)]));
  const put = (node, values) => { for (const [name, value] of Object.entries(values)) node.setAttribute(name, value); };

  plane.place = () => {
    if (!plane.drawn || !bus.ready || !follow.length) return;
    follow.forEach((run, i) => {
      const at = nearest(run.step, bus.step), [cx, cy] = plane.pixel(run.x[at], run.y[at]);
      put(dots.children[i], {cx, cy});
    });
    pin.style.display = bus.pinned === undefined ? "none" : "";
    if (bus.pinned === undefined) return;
    const [own] = follow, at = nearest(own.step, bus.pinned);
    pin.setAttribute("transform", `translate(${plane.pixel(own.x[at], own.y[at]).join(" ")})`);
  };

  lines.place = () => {
    if (!lines.drawn || !bus.ready || !rows.length) return;
    const xa = lines.axis("xaxis"), {t, h: height} = lines.plot._fullLayout._size;
    const across = step => xa._offset + xa.l2p(logStep(step));
    const x = across(bus.step), pinned = bus.pinned;
    put(cursor, {x1: x, x2: x, y1: t, y2: t + height});
    then.style.display = pinned === undefined ? "none" : "";
    if (pinned !== undefined) put(then, {x1: across(pinned), x2: across(pinned), y1: t, y2: t + height});
    rows.forEach((row, i) => {
      const ya = lines.axis(row.axis), at = nearest(row.step, bus.step), value = row.value[at], verdict = row.verdict[at] ?? 0;
      const [dot, text] = [marks.children[i], values.children[i]];
      text.textContent = verdict === NOT_AN_LLC ? "× not an LLC" : Number.isFinite(value) ? `${SIGNS[verdict]}${shortNumber(value)}` : "";
      put(text, {x: xa._offset + xa._length + 6, y: ya._offset + 14 + 13 * row.lines});
      const y = ya._offset + ya.l2p(value), inside = Number.isFinite(y) && y >= ya._offset - 2 && y <= ya._offset + ya._length + 2;
      dot.style.display = inside ? "" : "none";
      if (inside) put(dot, {cx: across(row.step[at]), cy: y});
    });
  };

  const placeInSpace = space.moves(() => {
    if (!follow.length || !hosts.space.offsetHeight) return null;
    const places = follow.map(run => nearest(run.step, bus.step));
    const at = Object.fromEntries(["x", "y", "z"].map(axis => [axis, [follow.map((run, i) => run[axis][places[i]])]]));
    return [at, [space.plot.data.findIndex(trace => trace.meta.layer === "now")]];
  });

  const place = () => { plane.place(); lines.place(); placeInSpace(); };
  const step = () => {
    if (!data || !seen()) return;
    table.follow();
    place();
    explain();
  };

  function explain() {
    const none = bus.pinned === undefined;
    hint.textContent = none ? "Pin a step (p) to see it beside the current one." : "Difference: current less pinned.";
    hint.title = hint.textContent;
    tokens.hidden = !data.tokens;
    tokens.disabled = none || bus.pinned === bus.step;
    tokens.title = none ? "Pin a step first (p)" : `Rank the losses by their change between steps ${wholeNumber(Math.min(bus.pinned, bus.step))} and ${wholeNumber(Math.max(bus.pinned, bus.step))}`;
    tokens.textContent = data.system === "language" ? "tokens that changed most" : "losses that changed most";
    pane.code = (data.code ?? "").replace("STEP_1, STEP_2", none ? bus.step : `${bus.pinned}, ${bus.step}`);
  }

  function offer() {
    const {runs = []} = bus.shared, own = runs.find(run => run.name === bus.state.run);
    const others = runs.filter(run => run !== own && run.system === own?.system);
    chooser.fill([["", others.length ? "no other run" : "none is open"], ...others.map(run => [run.name, run.label])],
      others.some(run => run.name === bus.state.other) ? bus.state.other : "");
    chooser.disabled = !others.length;
    chooser.title = others.length ? "The run beside this one. Here both are in one space; the trajectory is of this run alone." : "To see two runs side by side, open both: devexplore explore RUN OTHER";
  }

  // Both curves in one space; or that they are being computed; or why they cannot be.
  async function drawJoint(joint) {
    const drawn = Boolean(joint?.plane);
    follow = drawn ? joint.follow.map(opened) : [];
    hosts.plane.hidden = hosts.space.hidden = !drawn;
    hosts.space.hidden ||= !joint.space;
    state.hidden = drawn;
    pane.foot.textContent = pane.foot.title = drawn ? joint.caption : "";
    if (!joint) return;
    if (!drawn) {
      state.replaceChildren(...(joint.waiting ? [h("p", {}, joint.waiting), h("progress", {"aria-label": joint.waiting})]
        : [h("strong", {}, "These two cannot be put into one space yet"), h("p", {}, joint.refused), ...(joint.command ? [h("p", {}, "In Python, this makes it possible:"), h("code", {}, joint.command)] : [])]));
      return;
    }
    dots.replaceChildren(...follow.map(run => { const dot = svg("circle", {class: "now", r: 6}); dot.style.stroke = run.colour; return dot; }));
    const first = !plane.drawn;
    joint.plane.layout.annotations = named().annotations;
    await plane.draw(joint.plane, {displayModeBar: false, scrollZoom: true});
    if (first) plane.plot.on("plotly_click", ({points}) => {
      const at = points[0]?.customdata;
      if (at !== undefined) bus.set({step: bus.shared.steps[nearest(bus.shared.steps, at)]});
    });
    await drawSpace();
  }

  // Only where there is room for it: a scene costs memory of the graphics card.
  async function drawSpace() {
    const figure = data?.beside?.joint.space;
    if (!figure || !hosts.space.offsetHeight || space.shown === figure) return;
    space.shown = figure;
    await space.draw(figure, {displayModeBar: false});
    placeInSpace();
  }
  // The names where they cover least in a plane of about this size.
  let called = null;
  function named() {
    const {offsetWidth: width, offsetHeight: height} = hosts.plane;
    const far = ([w, high]) => Math.abs(Math.log(w / (width || w))) + Math.abs(Math.log(high / (height || high)));
    called = [...data.beside.joint.names].sort((a, b) => far(a.size) - far(b.size))[0];
    return called;
  }
  const roomy = new ResizeObserver(() => {
    if (!data?.beside?.joint.plane) return;
    const before = called;
    if (plane.drawn && hosts.plane.offsetHeight && named() !== before) drawer().relayout(plane.plot, {annotations: called.annotations});
    drawSpace();
  });
  roomy.observe(pane.body);

  lines.scrubs(bus);

  const draw = async () => {
    offer();
    const payload = received(model, pane);
    if (!payload) return;
    data = payload;
    const {beside} = data;
    pane.body.classList.toggle("two", Boolean(beside));
    sections.joint.hidden = sections.lines.hidden = jumps.hidden = !beside;
    table.draw(data.mine, beside?.readings, beside?.name ?? "");
    explain();
    rows = beside ? beside.follow.map(row => ({...row, ...opened({step: row.step, value: row.value})})) : [];
    if (beside) {
      marks.replaceChildren(...rows.map(row => { const dot = svg("circle", {class: "now", r: 4}); dot.style.stroke = beside.colours[row.run]; return dot; }));
      values.replaceChildren(...rows.map(() => svg("text", {class: "value"})));
      await lines.draw(beside.timelines, {displayModeBar: false});
    }
    await drawJoint(beside?.joint);
    place();
  };

  model.on("remove", () => { roomy.disconnect(); pane.figures.forEach(figure => figure.remove()); });
  connect(model, bus, ["payload", "progress"], changed => {
    if (changed.has("payload") || changed.has("progress")) { draw(); return; }
    if (changed.has("shared") || changed.has("other") || changed.has("run")) offer();
    if (["step", "pinned", "shared", "tab", "maximised"].some(name => changed.has(name))) step();
  });
}

export default {render};
