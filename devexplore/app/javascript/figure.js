// Plotly (the one that Panel bundles) and a layer of our own above it. A figure is drawn once; the current step moves
// in the layer, which costs no redraw.

const CONFIG = {
  displaylogo: false,
  showSendToCloud: false,
  doubleClick: "reset",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "resetCameraLastSave3d",
    "tableRotation", "hoverClosest3d", "orbitRotation"],
  toImageButtonOptions: {format: "svg", filename: "devexplore"},
};

// In a notebook ours beside whatever Plotly others have.
const drawer = () => globalThis.devexplorePlotly ?? globalThis.Plotly;

async function plotly() {
  for (let waited = 0; !drawer(); waited += 50) {
    if (waited > 15000) throw new Error("Plotly did not load; reload the page");
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  return drawer();
}

// First drawings of a page take their turns, and the browser paints in between: what is drawn first is seen first.
const painted = () => new Promise(resolve => {
  const late = setTimeout(resolve, 300);  // a page in the background paints nothing
  requestAnimationFrame(() => { clearTimeout(late); setTimeout(resolve); });
});

function inTurn(draw) {
  const turn = (globalThis.devexploreTurn ?? Promise.resolve()).then(draw);
  globalThis.devexploreTurn = turn.catch(() => {}).then(painted);
  return turn;
}

// Ranges of axes of one scale. Plotly widens them to fit a new shape, from what they are: without being told what was
// asked for, every change of size would make the curve smaller.
const tiedRanges = layout => Object.fromEntries(Object.entries(layout)
  .filter(([, axis]) => axis?.scaleanchor)
  .flatMap(([name, {scaleanchor}]) => [name, `${scaleanchor[0]}axis${scaleanchor.slice(1)}`])
  .filter(name => layout[name]?.range)
  .map(name => [`${name}.range`, [...layout[name].range]]));

class Figure {
  constructor(host, label) {
    this.label = label;
    this.plot = h("div", {class: "plot", role: "img", "aria-label": label});
    this.layer = svg("svg", {class: "layer", "aria-hidden": "true"});
    host.append(this.plot, this.layer);
    this.place = () => {};
    this.forget = () => {};
    this.drawn = false;
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(host);
  }

  async draw(figure, config = {}) {
    const Plotly = await plotly();
    figure.layout.autosize = true;
    this.ranges = tiedRanges(figure.layout);
    const react = () => Plotly.react(this.plot, figure.data, figure.layout, {...CONFIG, ...config});
    await (this.drawn ? react() : inTurn(react));
    if (!this.drawn) {
      this.drawn = true;
      this.plot.on("plotly_afterplot", () => this.placed());
      this.plot.on("plotly_relayouting", () => this.place());
      this.plot.on("plotly_relayout", changed => {  // the user's own zoom is kept as well
        if (Object.keys(changed).some(key => key.endsWith(".range[0]"))) this.ranges = tiedRanges(this.plot.layout);
      });
    }
    this.placed();
  }

  placed() {
    for (const button of this.plot.querySelectorAll(".modebar-btn")) {
      button.setAttribute("aria-label", button.dataset.title ?? "chart tool");
    }
    this.place();
  }

  resize() {
    cancelAnimationFrame(this.waiting);
    this.waiting = requestAnimationFrame(() => {
      const {offsetWidth: width, offsetHeight: height} = this.plot;
      if (!this.drawn || !width || !height) return;
      const {width: drawnWidth, height: drawnHeight} = this.plot._fullLayout;
      if (width !== drawnWidth || height !== drawnHeight) drawer().relayout(this.plot, {autosize: true, ...this.ranges});
    });
  }

  // Show the traces whose layer the predicate accepts; traces without a layer stay.
  show(visible) {
    const indices = [], values = [];
    this.plot.data.forEach((trace, i) => {
      const wanted = visible(trace.meta?.layer);
      if (wanted !== undefined && (trace.visible ?? true) !== wanted) { indices.push(i); values.push(wanted); }
    });
    if (indices.length) drawer().restyle(this.plot, {visible: values}, indices);
  }

  // Points that move in space: at most one restyle at a time, always of the latest step, never while the camera is being
  // turned. `where()`: the coordinates and the traces that have them; nothing: there is no place now. Gives what moves
  // them.
  moves(where) {
    let turning = false, busy = false, stale = false;
    const place = async () => {
      stale = true;
      if (busy || turning || !this.drawn) return;
      busy = true;
      for (let at; stale && !turning && (at = where());) {
        stale = false;
        await drawer().restyle(this.plot, ...at);
        await new Promise(requestAnimationFrame);
      }
      busy = false;
    };
    const released = () => { if (turning) { turning = false; place(); } };
    this.plot.parentElement.addEventListener("pointerdown", () => { turning = true; });
    window.addEventListener("pointerup", released);
    this.forget = () => window.removeEventListener("pointerup", released);
    return place;
  }

  axis(name) { return this.plot._fullLayout[name]; }

  // The step under the pointer on an axis of log-steps, at most its ends'.
  stepAt(clientX, xName = "xaxis") {
    const xa = this.axis(xName), x = clientX - this.plot.getBoundingClientRect().left - xa._offset;
    return 10 ** xa.p2l(Math.max(0, Math.min(xa._length, x))) - 1;
  }

  // Pressing or dragging in the figure goes to a step. `axisAt(event)` names the axis of log-steps that is pressed; none:
  // the press is not ours.
  scrubs(bus, axisAt = event => this.beside(event, "xaxis")) {
    const host = this.plot.parentElement;
    host.addEventListener("pointerdown", event => {
      if (event.button !== 0 || !this.drawn || this.plot._fullLayout.dragmode) return;
      if (event.composedPath().some(node => node.classList?.contains("modebar"))) return;
      const axis = axisAt(event);
      if (!axis) return;
      const go = at => bus.goTo(nearest(bus.shared.steps, this.stepAt(at.clientX, axis)));
      const stop = () => { window.removeEventListener("pointermove", go); window.removeEventListener("pointerup", stop); };
      go(event);
      window.addEventListener("pointermove", go);
      window.addEventListener("pointerup", stop);
    });
  }

  // The axis, where the pointer is above it or hardly beside.
  beside(event, name) {
    const xa = this.axis(name), x = event.clientX - this.plot.getBoundingClientRect().left - xa._offset;
    return x >= -12 && x <= xa._length + 12 ? name : "";
  }

  // Data to pixels within the pane, for an axis pair.
  pixel(x, y, xName = "xaxis", yName = "yaxis") {
    const xa = this.axis(xName), ya = this.axis(yName);
    return [xa._offset + xa.l2p(x), ya._offset + ya.l2p(y)];
  }

  save(format, filename) {
    const {width, height} = this.plot._fullLayout;
    return drawer().downloadImage(this.plot, {format, filename, width, height, scale: format === "png" ? 3 : 1});
  }

  // As an image, at this many pixels a pixel; the layer above is not in it.
  async image(scale) {
    const {width, height} = this.plot._fullLayout;
    const image = new Image();
    image.src = await drawer().toImage(this.plot, {format: "png", width, height, scale});
    await image.decode();
    return image;
  }

  remove() {
    this.forget();
    this.resizing.disconnect();
    if (this.drawn) drawer().purge(this.plot);
  }
}
