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

async function plotly() {
  for (let waited = 0; !window.Plotly; waited += 50) {
    if (waited > 15000) throw new Error("Plotly did not load; reload the page");
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  return window.Plotly;
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

class Figure {
  constructor(host, label) {
    this.label = label;
    this.plot = h("div", {class: "plot", role: "img", "aria-label": label});
    this.layer = svg("svg", {class: "layer", "aria-hidden": "true"});
    host.append(this.plot, this.layer);
    this.place = () => {};
    this.drawn = false;
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(host);
  }

  async draw(figure, config = {}) {
    const Plotly = await plotly();
    figure.layout.autosize = true;
    const react = () => Plotly.react(this.plot, figure.data, figure.layout, {...CONFIG, ...config});
    await (this.drawn ? react() : inTurn(react));
    if (!this.drawn) {
      this.drawn = true;
      this.plot.on("plotly_afterplot", () => this.placed());
      this.plot.on("plotly_relayouting", () => this.place());
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
      if (this.drawn && this.plot.offsetWidth > 0 && this.plot.offsetHeight > 0) window.Plotly.Plots.resize(this.plot);
    });
  }

  // Show the traces whose layer the predicate accepts; traces without a layer stay.
  show(visible) {
    const indices = [], values = [];
    this.plot.data.forEach((trace, i) => {
      const wanted = visible(trace.meta?.layer);
      if (wanted !== undefined && (trace.visible ?? true) !== wanted) { indices.push(i); values.push(wanted); }
    });
    if (indices.length) window.Plotly.restyle(this.plot, {visible: values}, indices);
  }

  axis(name) { return this.plot._fullLayout[name]; }

  // Data to pixels within the pane, for an axis pair.
  pixel(x, y, xName = "xaxis", yName = "yaxis") {
    const xa = this.axis(xName), ya = this.axis(yName);
    return [xa._offset + xa.l2p(x), ya._offset + ya.l2p(y)];
  }

  save(format, filename) {
    const {width, height} = this.plot._fullLayout;
    return window.Plotly.downloadImage(this.plot, {format, filename, width, height, scale: format === "png" ? 3 : 1});
  }

  remove() {
    this.resizing.disconnect();
    if (this.drawn) window.Plotly.purge(this.plot);
  }
}
