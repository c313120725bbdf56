// Stages as wells while the number of samples moves: every stop is sent once, a move restyles the wells.

function render({model, el}) {
  const bus = openBus(model.bus);
  const pane = buildPane(el, model, bus);
  const slider = h("input", {type: "range", min: 0, step: 1, "aria-label": "Number of samples, logarithmic",
    oninput: () => bus.set({samples: data.samples[slider.value]})});
  const readout = h("output");
  pane.controls.append(h("label", {class: "number"}, "samples n", slider, readout));
  const hosts = [h("div", {class: "host"}), h("div", {class: "host"})];
  pane.body.append(h("h3", {}, "Free energy of each stage’s end, over λ̂"), h("h3", {}, "Probability of the lowest"), ...hosts);
  const ground = new Figure(hosts[0], "Wells of the stages");
  const odds = new Figure(hosts[1], "Probability of the lowest free energy over the number of samples");
  pane.figures = [ground, odds];
  const line = svg("line", {class: "now"});
  odds.layer.append(line);
  let data = null, busy = false, stale = false;

  const stop = () => {
    if (!bus.state.samples) return data.first;
    let best = 0;
    data.samples.forEach((at, i) => { if (Math.abs(at - bus.state.samples) < Math.abs(data.samples[best] - bus.state.samples)) best = i; });
    return best;
  };

  odds.place = () => {
    if (!odds.drawn || !data) return;
    const xa = odds.axis("xaxis"), ya = odds.axis("yaxis"), x = xa._offset + xa.l2p(data.samples[stop()]);
    for (const [name, value] of Object.entries({x1: x, x2: x, y1: ya._offset, y2: ya._offset + ya._length})) line.setAttribute(name, value);
  };

  // At most one restyle at a time, always of the latest number.
  async function move() {
    if (!data) return;
    const at = stop();
    slider.value = at;
    slider.setAttribute("aria-valuetext", `${data.words[at]} samples`);
    readout.textContent = data.words[at];
    odds.place();
    stale = true;
    if (busy || !ground.drawn) return;
    busy = true;
    while (stale) {
      stale = false;
      await drawer().restyle(ground.plot, data.frames[stop()], data.moving);
      await new Promise(requestAnimationFrame);
    }
    busy = false;
  }

  hosts[1].addEventListener("pointerdown", event => {
    if (event.button !== 0 || !odds.drawn || !data) return;
    const go = moved => {
      const xa = odds.axis("xaxis"), x = moved.clientX - odds.plot.getBoundingClientRect().left - xa._offset;
      bus.set({samples: Math.max(data.samples[0], xa.p2l(Math.max(0, Math.min(xa._length, x))))});
    };
    const end = () => { window.removeEventListener("pointermove", go); window.removeEventListener("pointerup", end); };
    go(event);
    window.addEventListener("pointermove", go);
    window.addEventListener("pointerup", end);
  });

  // All of it where there is room.
  const say = () => {
    pane.foot.textContent = bus.state.maximised === pane.name ? data.foot : data.brief;
    pane.foot.title = data.foot;
  };

  const draw = async () => {
    const payload = received(model, pane);
    if (!payload) return;
    const frames = payload.frames.map(frame => ({...frame, y: frame.y.map(decode)}));
    data = {...payload, frames, samples: Array.from(decode(payload.samples))};
    slider.max = data.samples.length - 1;
    say();
    await ground.draw(data.ground, {displayModeBar: false});
    await odds.draw(data.odds, {displayModeBar: false});
    move();
  };

  model.on("remove", () => { ground.remove(); odds.remove(); });
  connect(model, bus, ["payload", "progress"], changed => {
    if (changed.has("payload") || changed.has("progress")) draw();
    else if (data) {
      if (changed.has("samples")) move();
      if (changed.has("maximised")) say();
    }
  });
}

export default {render};
