// All checkpoints over log-steps: their verdicts in three lanes, and below them, where there is room, what the verdicts
// look at. Drawn once; a step moves a line.

const LANE = 12, ROW = 46, STRIP = {left: 98, right: 58, above: 3, below: 17};
const DOUBTFUL_LEVEL = 1;

class ChainStrip {
  constructor(host, bus) {
    this.bus = bus;
    this.host = host;
    this.chart = new Chart(host, "Verdicts of all checkpoints over training steps, logarithmic", STRIP);
    this.chart.svg.classList.add("strip");
    this.moving = svg("g");
    this.chart.redraw = () => this.draw();
    host.addEventListener("pointerdown", event => {
      if (event.button !== 0 || !this.data) return;
      const go = moved => bus.goTo(nearest(bus.shared.steps, this.stepAt(moved.clientX - host.getBoundingClientRect().left)));
      const end = () => { window.removeEventListener("pointermove", go); window.removeEventListener("pointerup", end); };
      go(event);
      window.addEventListener("pointermove", go);
      window.addEventListener("pointerup", end);
    });
  }

  show(data) { this.data = data; this.draw(); }

  // Its height in pixels with so many rows of checks.
  height(rows) { return STRIP.above + STRIP.below + LANE * (this.data?.words.length ?? 3) + rows * ROW + 1; }  // and its border

  get end() { return logStep(this.bus.shared.steps.at(-1)) || 1; }
  x(step) { return this.chart.left + (logStep(step) / this.end + 0.012) / 1.024 * this.chart.plotWidth; }
  stepAt(x) { return 10 ** Math.max(0, ((x - this.chart.left) / this.chart.plotWidth * 1.024 - 0.012) * this.end) - 1; }

  draw() {
    const {chart, data, bus} = this;
    if (!data || !chart.seen || !bus.ready) return;
    const {left, rightEdge, plotWidth} = chart, lanes = data.words.length, below = STRIP.above + lanes * LANE;
    this.rows = data.checks.slice(0, Math.max(0, Math.round((chart.height - this.height(0)) / ROW)));
    const bottom = below + this.rows.length * ROW, xs = Array.from(data.steps, step => this.x(step));
    const drawn = svg("g");
    for (const {start, end, band} of bus.shared.stages) {
      const from = this.x(start), to = this.x(end);
      drawn.append(svg("rect", {x: from, width: Math.max(0, to - from), y: STRIP.above, height: bottom - STRIP.above, fill: band}));
    }
    data.words.forEach((word, level) => {
      const y = this.lane(level), count = data.verdict.filter(one => one === level).length;
      drawn.append(svg("line", {class: "grid", x1: left, x2: rightEdge, y1: y, y2: y}),
        words(`${count} ${word}`, {class: `tick ${count ? "held" : ""}`, x: left - 8, y: y + 3.5, "text-anchor": "end"}));
    });
    data.verdict.forEach((level, i) => { if (level >= 0) drawn.append(verdictMark(level, xs[i], this.lane(level))); });
    this.rows.forEach((row, i) => drawn.append(this.row(row, xs, below + i * ROW)));
    const last = this.x(bus.shared.steps.at(-1));
    for (let step = 0; step <= bus.shared.steps.at(-1); step = step ? step * 10 : 1) {
      if (last - this.x(step) < 60 && step) continue;
      drawn.append(words(stepText(step), {class: "tick", x: this.x(step), y: bottom + 13, "text-anchor": "middle"}));
    }
    drawn.append(words(`${stepText(bus.shared.steps.at(-1))} steps`, {class: "tick", x: rightEdge, y: bottom + 13, "text-anchor": "end"}));
    this.bottom = bottom;
    chart.svg.replaceChildren(drawn, this.moving);
    this.place();
  }

  lane(level) { return STRIP.above + (level + 0.5) * LANE; }

  // One check over training: its curve, the limit where it is near, what lies beyond it marked.
  row({title, hint, value, limit, below, range: [low, high]}, xs, top) {
    const {left, rightEdge} = this.chart, floor = top + ROW - 5, ceiling = top + 7;
    const y = at => floor - (Math.min(high, Math.max(low, at)) - low) / (high - low) * (floor - ceiling);
    const ys = Array.from(value, at => Number.isFinite(at) ? y(at) : NaN);
    const node = svg("g", {}, svg("title"), svg("line", {class: "grid", x1: left, x2: rightEdge, y1: floor + 2, y2: floor + 2}),
      svg("path", {class: "check", d: linePath(xs, ys)}));
    node.firstChild.textContent = hint;
    const near = limit >= low && limit <= high;
    if (near) node.append(svg("line", {class: "limit", x1: left, x2: rightEdge, y1: y(limit), y2: y(limit)}));
    Array.from(value).forEach((at, i) => { if (below ? at < limit : at >= limit) node.append(verdictMark(DOUBTFUL_LEVEL, xs[i], ys[i])); });
    node.append(words(title, {class: "tick held", x: left - 8, y: ceiling + 12, "text-anchor": "end"}),
      words(`limit ${Number(limit.toPrecision(3))}`, {class: "tick", x: left - 8, y: ceiling + 25, "text-anchor": "end"}));
    return node;
  }

  // The current checkpoint, here and in every row.
  place() {
    const {data, chart} = this;
    if (!data || !chart.seen || !this.rows) return;
    const i = nearest(data.steps, this.bus.step), x = this.x(data.steps[i]), level = data.verdict[i];
    this.moving.replaceChildren(svg("line", {class: "cursor", x1: x, x2: x, y1: 0, y2: this.bottom}));
    if (level >= 0) this.moving.append(svg("circle", {class: "ring", cx: x, cy: this.lane(level), r: 5.5}));
    this.rows.forEach(({value}, row) => this.moving.append(words(shortNumber(value[i]), {class: "value", x: chart.rightEdge + 8,
      y: STRIP.above + data.words.length * LANE + row * ROW + 26})));
  }

  remove() { this.chart.remove(); }
}

// As on the timeline: a dot, a hollow one, a cross.
function verdictMark(level, x, y) {
  if (level === 0) return svg("circle", {class: "mark trusted", cx: x, cy: y, r: 2});
  if (level === DOUBTFUL_LEVEL) return svg("circle", {class: "mark doubtful", cx: x, cy: y, r: 3.2});
  return svg("path", {class: "mark none", d: `M${x - 3} ${y - 3}l6 6m0 -6l-6 6`});
}

function stepText(step) {
  for (const [size, unit] of [[1e6, "M"], [1e3, "k"]]) if (step >= size) return `${Number((step / size).toPrecision(3))}${unit}`;
  return String(Math.round(step));
}
