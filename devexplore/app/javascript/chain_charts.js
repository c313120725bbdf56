// Small charts of our own in SVG, redrawn whole at every step: a few hundred points, no library, no layout to wait for.

// Round numbers between two ends, about so many.
function roundTicks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1), size = 10 ** Math.floor(Math.log10(rough));
  const by = size * ([1, 2, 5, 10].find(factor => factor * size >= rough) ?? 10);
  const ticks = [];
  for (let i = Math.ceil(low / by); i * by <= high + by * 1e-9; i++) ticks.push(i * by);
  return {ticks, digits: Math.max(0, -Math.floor(Math.log10(by) + 1e-9))};
}

const tickText = (value, digits) => (digits > 5 && value ? value.toExponential(0) : value.toFixed(digits > 5 ? 0 : digits)).replace("-", "−");

function words(text, attributes) {
  const node = svg("text", attributes);
  node.textContent = text;
  return node;
}

// A line through points, broken where one is not a number; of one point alone a dot's worth.
function linePath(xs, ys) {
  let path = "", open = false;
  for (let i = 0; i < xs.length; i++) {
    if (!Number.isFinite(ys[i])) { open = false; continue; }
    path += `${open ? "L" : "M"}${xs[i].toFixed(1)} ${ys[i].toFixed(1)}`;
    open = true;
  }
  return path;
}

class Chart {
  // `margins` are pixels left, right, above and below the plot.
  constructor(host, label, margins) {
    this.svg = svg("svg", {class: "drawn", role: "img", "aria-label": label});
    host.append(this.svg);
    Object.assign(this, margins);
    this.clip = `clip-${Math.random().toString(36).slice(2)}`;
    this.width = this.height = 0;
    this.redraw = () => {};
    this.watching = new ResizeObserver(([{contentRect: {width, height}}]) => {
      this.width = width;
      this.height = height;
      this.redraw();
    });
    this.watching.observe(host);
  }

  get seen() { return this.width > 0 && this.height > 0; }
  get plotWidth() { return Math.max(1, this.width - this.left - this.right); }
  get plotHeight() { return Math.max(1, this.height - this.above - this.below); }
  get bottom() { return this.above + this.plotHeight; }
  get rightEdge() { return this.left + this.plotWidth; }

  // Begins anew: the frame of this range, and what y is in pixels.
  begin([low, high]) {
    this.low = low;
    this.high = high;
    const {left, rightEdge, above, bottom} = this;
    this.inside = svg("g", {"clip-path": `url(#${this.clip})`});
    this.outside = svg("g");
    const frame = svg("g");
    const {ticks, digits} = roundTicks(low, high, this.plotHeight / 34);
    for (const at of ticks) {
      const y = this.y(at);
      frame.append(svg("line", {class: "grid", x1: left, x2: rightEdge, y1: y, y2: y}),
        words(tickText(at, digits), {class: "tick", x: left - 5, y: y + 3.5, "text-anchor": "end"}));
    }
    this.svg.replaceChildren(svg("defs", {}, svg("clipPath", {id: this.clip},
      svg("rect", {x: left, y: above, width: this.plotWidth, height: this.plotHeight}))), frame, this.inside, this.outside);
  }

  y(value) { return this.bottom - (value - this.low) / (this.high - this.low) * this.plotHeight; }

  // Numbers below the plot from `from` to `to`; the last says what they count.
  ticksBelow(from, to, x, what) {
    const last = words(`${wholeNumber(to)} ${what}`, {class: "tick", x: this.rightEdge, y: this.bottom + 13, "text-anchor": "end"});
    const room = this.rightEdge - 6.2 * last.textContent.length - 8;
    for (const at of new Set([from, ...roundTicks(from, to, this.plotWidth / 90).ticks])) {
      const place = x(at);
      if (place > room || (at !== from && place < x(from) + 36)) continue;
      this.outside.append(words(wholeNumber(at), {class: "tick", x: place, y: this.bottom + 13, "text-anchor": "middle"}));
    }
    this.outside.append(last);
  }

  remove() { this.watching.disconnect(); }
}
