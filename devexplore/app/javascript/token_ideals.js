// The loss at each example beside that of ideal predictors: the network's curves move in the layer.

function buildIdeals(bus) {
  const node = h("div", {class: "host ideals"});
  const figure = new Figure(node, "Loss at each example beside ridge and zero");
  const then = svg("path", {class: "then"}), now = svg("path", {class: "network"});
  figure.layer.append(then, now);
  let network = [], width = 0, steps = [], from = 0;

  const path = (line, step) => {
    const row = nearest(steps, step) * width;
    line.setAttribute("d", Array.from({length: width}, (_, i) => {
      const [x, y] = figure.pixel(i + 1, network[row + i]);
      return Number.isFinite(y) ? `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}` : "";
    }).join(""));
  };
  figure.place = () => {
    if (!figure.drawn || !width) return;
    path(then, from);
    path(now, bus.step);
  };
  const draw = (data, at) => {
    steps = at;
    network = decode(data.network);
    width = network.length / at.length;
    return figure.draw(structuredClone(data.figure));
  };
  return {node, figure, draw, follow: start => { from = start; figure.place(); }};
}
