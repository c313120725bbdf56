// The trajectory in space and in three planes. Layers are switched by visibility; the current step and its osculating
// circle live in the layer above each plane, and as one restyled point in space.

const LAYERS = [
  ["circles", "circles", "c", "Osculating circles: where the curve bends as this circle does"],
  ["evolute", "evolute", "e", "Evolute: the centres of the osculating circles"],
  ["vertices", "vertices", "v", "Vertices of the curve, and the evolute's cusps"],
  ["forms", "forms", "f", "Forms (stars): cusps on which all planes agree; squares: turns that random walks like this run do not make"],
  ["raw", "raw", "r", "Scores before smoothing"],
  ["null", "null", "n", "Random walks with the run's step lengths, directions and noise: would they draw this too?"],
];

// Which components are drawn, and how much they are smoothed.
function trajectorySettings(bus) {
  const panel = h("div", {class: "menu settings", role: "dialog", "aria-label": "Components and smoothing"});
  panel.hidden = true;
  const opener = h("button", {type: "button", class: "icon tool", "aria-label": "Components and smoothing", "aria-expanded": "false",
    title: "Components and smoothing", onclick: () => {
      panel.hidden = !panel.hidden;
      opener.setAttribute("aria-expanded", String(!panel.hidden));
    }}, "⚙");
  const axes = ["first", "second", "third"].map((which, i) => select(`The ${which} component`, [], value => {
    const chosen = [...bus.state.components];
    const other = chosen.indexOf(Number(value));
    if (other >= 0) chosen[other] = chosen[i];  // two axes change places
    chosen[i] = Number(value);
    bus.set({components: chosen.sort((a, b) => a - b)});
  }));
  const slider = h("input", {type: "range", min: -1.3, max: 1.3, step: 0.05, "aria-label": "Bandwidth of the smoothing",
    onchange: () => bus.set({bandwidth: Number((chosenByData * 10 ** slider.value).toPrecision(3))})});
  const words = h("output", {});
  const automatic = h("button", {type: "button", onclick: () => bus.set({bandwidth: 0})}, "As the data choose");
  let chosenByData = 1;
  restWhereSaved(bus, opener);
  panel.append(
    h("label", {}, h("span", {}, "components"), ...axes),
    h("label", {}, h("span", {}, "smoothing"), slider, words),
    automatic);
  const node = h("div", {class: "setting"}, opener, panel);
  node.addEventListener("keydown", event => {
    if (event.key === "Escape" && !panel.hidden) { opener.click(); opener.focus(); event.stopPropagation(); }
  });
  const show = data => {
    if (!bus.state.bandwidth) chosenByData = data.bandwidth;
    slider.value = Math.log10(data.bandwidth / chosenByData);
    words.textContent = shortNumber(data.bandwidth, 2);
    automatic.disabled = !bus.state.bandwidth;
    const options = Array.from({length: data.most}, (_, i) => [String(i + 1), `PC${i + 1}`]);
    axes.forEach((axis, i) => axis.fill(options, String(data.components[i])));
  };
  return {node, show};
}

function render({model, el}) {
  const bus = openBus(model.bus);
  const pane = buildPane(el, model, bus);
  const colour = segmented("Colour the trajectory by", [["stage", "stage", "Colour by stage"], ["step", "step", "Colour by step"]],
    value => bus.set({colour: value}));
  const scale = h("span", {class: "scale"});
  const toggles = LAYERS.map(([name, text, key, hint]) => {
    const button = toggle(text, key, hint, () => bus.set({[name]: !bus.state[name]}));
    button.dataset.layer = name;
    return button;
  });
  const settings = trajectorySettings(bus);
  pane.controls.append(h("div", {class: "layers"}, ...toggles), colour, settings.node);
  const cells = ["space", "a", "b", "c"].map(name => h("div", {class: "host", "data-cell": name}));
  pane.body.append(...cells);
  const figures = cells.map((cell, i) => new Figure(cell, i ? `Plane ${i}` : "Space"));
  pane.figures = figures;
  let data = null;
  let follow = null;

  let moving = [];
  const placeInSpace = figures[0].moves(() => {
    if (!follow) return null;
    const places = [bus.step, bus.pinned].map(step => step === undefined ? -1 : nearest(follow.step, step));
    return [Object.fromEntries(["x", "y", "z"].map(axis => [axis, places.map(i => [i < 0 ? null : follow[axis][i]])])), moving];
  });

  const marks = [1, 2, 3].map(i => {
    const id = `clip-${model.bus}-${i}`;
    const frame = svg("rect");
    const circle = svg("circle", {class: "osculating"});
    const spoke = svg("line", {class: "spoke"});
    const hub = svg("circle", {class: "hub", r: 3});
    const pin = svg("g", {class: "pinned"}, svg("circle", {r: 6}), svg("circle", {r: 1.8}));
    const dot = svg("circle", {class: "now", r: 6});
    figures[i].layer.append(svg("defs", {}, svg("clipPath", {id}, frame)),
      svg("g", {"clip-path": `url(#${id})`}, circle, spoke, hub, pin, dot));
    return {frame, circle, spoke, hub, pin, dot};
  });

  function placeInPlane(i) {
    const figure = figures[i + 1], plane = follow?.planes[i], mark = marks[i];
    if (!figure.drawn || !plane || !bus.ready) return;
    const xa = figure.axis("xaxis"), ya = figure.axis("yaxis");
    const set = (node, values) => { for (const [name, value] of Object.entries(values)) node.setAttribute(name, value); };
    set(mark.frame, {x: xa._offset, y: ya._offset, width: xa._length, height: ya._length});
    const at = nearest(follow.step, bus.step);
    const [x, y] = figure.pixel(plane.x[at], plane.y[at]);
    set(mark.dot, {cx: x, cy: y});
    const pinned = bus.pinned === undefined ? -1 : nearest(follow.step, bus.pinned);
    mark.pin.style.display = pinned < 0 ? "none" : "";
    if (pinned >= 0) mark.pin.setAttribute("transform", `translate(${figure.pixel(plane.x[pinned], plane.y[pinned]).join(" ")})`);
    const radius = Math.abs(xa.l2p(plane.radius[at]) - xa.l2p(0));
    const round = bus.state.circles && Number.isFinite(radius) && radius < 20000;
    mark.circle.style.display = mark.spoke.style.display = mark.hub.style.display = round ? "" : "none";
    if (round) {
      const [cx, cy] = figure.pixel(plane.center_x[at], plane.center_y[at]);
      set(mark.circle, {cx, cy, r: radius});
      set(mark.spoke, {x1: x, y1: y, x2: cx, y2: cy});
      set(mark.hub, {cx, cy});
    }
  }
  [0, 1, 2].forEach(i => { figures[i + 1].place = () => placeInPlane(i); });

  const place = () => { [0, 1, 2].forEach(placeInPlane); placeInSpace(); };

  const wanted = layer => {
    const coloured = data.has_stages ? bus.state.colour : "step";
    if (layer === "stage" || layer === "step") return layer === coloured;
    return LAYERS.some(([name]) => name === layer) ? bus.state[layer] : undefined;
  };

  const press = () => {
    toggles.forEach(button => button.press(bus.state[button.dataset.layer]));
    toggles.find(button => button.dataset.layer === "forms").disabled = !data?.has_forms;
    colour.press(data?.has_stages ? bus.state.colour : "step");
    colour.hidden = data !== null && !data.has_stages;
  };

  const showLayers = () => {
    press();
    if (data === null) return;
    figures.forEach(figure => figure.drawn && figure.show(wanted));
    place();
    bringWalks();
    say();
  };

  // Random walks are drawn when they are first wanted, and put below the curves.
  async function bringWalks() {
    if (!bus.state.null || !data.ready || data.walks) return;
    const mine = data;
    data.walks = {words: "Drawing random walks …"};
    const walks = await pane.ask("walks", {components: data.components, bandwidth: bus.state.bandwidth, theme: bus.state.theme})
      .catch(error => ({words: `No random walks: ${error.message}`}));
    if (mine !== data) return;
    data.walks = walks;
    say();
    if (!walks.planes) return;
    for (const [i, figure] of [...walks.planes, walks.space].entries()) {
      const drawing = i < 3 ? data.planes[i] : data.space;
      drawing.data = i < 3 ? [figure, ...drawing.data] : [...drawing.data, figure];
      await figures[(i + 1) % 4].draw(drawing, {scrollZoom: true});
      if (mine !== data) return;
    }
    showLayers();
  }

  // In short, where there are other panes; all of it is the title.
  const say = () => {
    const large = bus.state.maximised === pane.name, walks = bus.state.null ? data.walks?.words : "";
    const keys = Object.entries(data.keys).filter(([layer]) => bus.state[layer]).map(([, words]) => words);
    const whole = [data.caption, ...keys, walks].filter(Boolean).join(" ");
    pane.foot.textContent = large ? whole : [data.brief, ...keys, walks, data.conclusion].filter(Boolean).join(" ");
    pane.foot.title = whole;
  };

  const draw = async () => {
    press();
    const payload = received(model, pane);
    if (!payload) return;
    data = payload;
    settings.show(data);
    press();
    const {planes, ...path} = data.follow;
    const open = object => Object.fromEntries(Object.entries(object).map(([k, v]) => [k, decode(v)]));
    follow = {...open(path), planes: planes.map(open)};
    moving = ["now", "pinned"].map(layer => data.space.data.findIndex(trace => trace.meta?.layer === layer));
    say();
    bus.cusps = data.cusps;
    // A click goes to the step; on a form, or a cusp or vertex within its interval, to the form's card as well, and on
    // a turn that is no form to the reasons why.
    const jump = event => {
      const point = event.points?.[0], step = point?.customdata;
      if (step === undefined) return;
      const patch = {step: bus.shared.steps[nearest(bus.shared.steps, step)]}, layer = point.data.meta?.layer;
      const far = i => Math.abs(logStep(step) - logStep(data.forms[i].step));
      const form = ["forms", "vertices"].includes(layer)
        ? data.forms.map((_, i) => i).filter(i => data.forms[i].low <= step && step <= data.forms[i].high).sort((a, b) => far(a) - far(b))[0] : undefined;
      if (form !== undefined) patch.form = form;
      if (form !== undefined || layer === "forms") Object.assign(patch, {tab: "forms"}, bus.state.maximised === pane.name ? {maximised: ""} : {});
      if (form === undefined && layer === "forms") bus.turn = patch.step;
      bus.set(patch);
    };
    for (const i of [1, 2, 3, 0]) {  // space takes longest
      const figure = figures[i], first = !figure.drawn;
      await figure.draw(i ? data.planes[i - 1] : data.space, {scrollZoom: true});
      if (!first) continue;
      figure.plot.on("plotly_click", jump);
      if (!i) continue;
      const dot = marks[i - 1].dot;  // it lies above what Plotly says of a point
      figure.plot.on("plotly_hover", () => { dot.style.visibility = "hidden"; });
      figure.plot.on("plotly_unhover", () => { dot.style.visibility = ""; });
    }
    payload.ready = true;
    showLayers();
  };

  model.on("remove", () => figures.forEach(figure => figure.remove()));
  connect(model, bus, ["payload", "progress"], changed => {
    if (changed.has("payload") || changed.has("progress")) draw();
    else if (["colour", ...LAYERS.map(([name]) => name)].some(name => changed.has(name))) showLayers();
    else if (["step", "pinned", "shared"].some(name => changed.has(name))) place();
    if (changed.has("maximised") && data) say();
  });
}

export default {render};
