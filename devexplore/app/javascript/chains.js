// The chains behind each estimate of the LLC. All traces come once; a step draws those of its checkpoint, here.

const NOT_THERE = -1, BURN_IN = 24, RUN_COLOURS = 6;
const VERDICT_SIGNS = ["●", "○", "×"];

function render({model, el}) {
  const bus = openBus(model.bus);
  const pane = buildPane(el, model, bus);
  const badge = h("strong", {class: "badge"}), why = h("span", {class: "why"});
  const calibrate = h("button", {type: "button", onclick: () => calibration.scrollIntoView({block: "start"})}, "Calibration");
  const chooser = select("The chain that stands out", [], value => bus.set({chain: Number(value)}));
  pane.controls.append(h("div", {class: "verdict"}, badge, why), calibrate, chooser);

  const [left, right] = ["excess", "running"].map(name => {
    const title = h("h3"), numbers = h("output"), host = h("div", {class: "plotted"});
    return {title, numbers, host, node: h("div", {class: `chart ${name}`}, h("div", {class: "name"}, title, numbers), host)};
  });
  const known = h("strong"), whyNot = h("p"), untraced = h("div", {class: "untraced"}, known, whyNot), charts = h("div", {class: "charts"}, left.node, right.node, untraced);
  const lanes = h("div", {class: "lanes"});
  const view = h("div", {class: "view"}, charts, lanes);
  const sweep = h("div", {class: "sweep"});
  const calibration = h("section", {class: "calibration", "aria-label": "Calibration"}, h("h3", {}, "Calibration of the settings"), sweep);
  pane.body.append(view, calibration);

  const traces = new Chart(left.host, "Excess loss of every chain over SGLD updates", {left: 46, right: 10, above: 5, below: 17});
  const running = new Chart(right.host, "Running estimate of the LLC with its standard error", {left: 46, right: 16, above: 5, below: 17});
  const strip = new ChainStrip(lanes, bus);
  const sweepFigure = new Figure(sweep, "Calibration sweep");
  let data = null;

  const shown = () => bus.state.maximised ? bus.state.maximised === pane.name : bus.state.tab === pane.name;
  const at = () => nearest(data.steps, bus.step);
  const chosen = () => data.traces && bus.state.chain < data.traces.chains ? bus.state.chain : NOT_THERE;

  // One row of a flat array over (step, …): of a checkpoint, or of one of its chains.
  const row = (name, i, chain) => {
    const {traces: held} = data, {length} = held.draws;
    if (name === "excess") return held.excess.subarray((i * held.chains + chain) * length, (i * held.chains + chain + 1) * length);
    const size = name.startsWith("running") ? length : name.endsWith("range") ? 2 : held.chains;
    return held[name].slice(i * size, (i + 1) * size);
  };

  const updateX = chart => {
    const {burn_in: from, draws} = data.traces, to = draws.at(-1), gap = chart === traces && from ? BURN_IN : 0;
    return update => chart.left + gap + (update - from) / (to - from || 1) * (chart.plotWidth - gap);
  };
  const colour = chain => `var(--runs-${chain % RUN_COLOURS})`;
  const standing = chain => chosen() === NOT_THERE ? "" : chosen() === chain ? "loud" : "quiet";

  const drawTraces = () => {
    if (!data?.traces || !traces.seen || !bus.ready) return;
    const i = at(), {burn_in: from, draws, chains, trivial, trivial_name: name} = data.traces;
    const x = updateX(traces), xs = Array.from(draws, x);
    traces.begin(row("excess_range", i));
    const {inside, outside, left: edge, above, bottom, rightEdge} = traces;
    if (from) {
      outside.append(svg("rect", {class: "burn-in", x: edge, y: above, width: BURN_IN, height: traces.plotHeight}));
      if (traces.plotHeight > 62) outside.append(words("burn-in", {class: "tick", "text-anchor": "middle",
        transform: `translate(${edge + BURN_IN / 2 + 4} ${(above + bottom) / 2}) rotate(-90)`}));
    }
    traces.ticksBelow(from, draws.at(-1), x, "updates");
    const order = [...Array(chains).keys()].sort((a, b) => (a === chosen()) - (b === chosen()));
    for (const chain of order) {
      const ys = Array.from(row("excess", i, chain), value => traces.y(value)), loud = standing(chain);
      inside.append(svg("path", {class: `trace ${loud}`, style: `stroke: ${colour(chain)}`, d: linePath(xs, ys)}));
      if (row("diverged", i)[chain]) {
        const last = ys.findLastIndex(Number.isFinite);
        if (last >= 0) inside.append(verdictMark(2, xs[last], Math.min(bottom - 4, Math.max(above + 4, ys[last]))));
      }
    }
    const level = (value, kind, text) => {
      const y = traces.y(value);
      inside.append(svg("line", {class: kind, x1: edge, x2: rightEdge, y1: y, y2: y}));
      if (text) outside.append(words(text, {class: "label", x: rightEdge - 2, y: y - 4 < above + 8 ? y + 12 : y - 4, "text-anchor": "end"}));
    };
    level(0, "zero");
    if (Number.isFinite(data.excess_loss[i])) level(data.excess_loss[i], "mean");
    if (!Number.isFinite(trivial[i])) return;
    if (trivial[i] <= traces.high && trivial[i] >= traces.low) level(trivial[i], "trivial", name);
    else outside.append(words(`${name} ${signed(trivial[i])} ${trivial[i] > 0 ? "↑" : "↓"}`, {class: "label", x: rightEdge - 2,
      y: trivial[i] > 0 ? above + 9 : bottom - 4, "text-anchor": "end"}));
  };

  const drawRunning = () => {
    if (!data?.traces || !running.seen || !bus.ready) return;
    const i = at(), {burn_in: from, draws, chains} = data.traces, mean = row("running_llc", i), error = row("running_se", i);
    const x = updateX(running), xs = Array.from(draws, x), own = row("chain_llc", i);
    running.begin(row("llc_range", i));
    running.ticksBelow(from, draws.at(-1), x, "updates");
    const known = [...xs.keys()].filter(k => Number.isFinite(mean[k] + error[k]));
    const edge = (k, sign) => `${xs[k].toFixed(1)} ${running.y(mean[k] + sign * error[k]).toFixed(1)}`;
    if (known.length > 1) running.inside.append(svg("path", {class: "band",
      d: `M${known.map(k => edge(k, 1)).join("L")}L${known.reverse().map(k => edge(k, -1)).join("L")}Z`}));
    running.inside.append(svg("path", {class: "llc", d: linePath(xs, Array.from(mean, value => running.y(value)))}));
    for (let chain = 0; chain < chains; chain++) {
      if (!Number.isFinite(own[chain])) continue;
      running.outside.append(svg("circle", {class: `end ${standing(chain)}`, style: `fill: ${colour(chain)}`,
        cx: running.rightEdge + 6, cy: running.y(own[chain]), r: chosen() === chain ? 4.5 : 3}));
    }
  };

  // The numbers over the charts, of all chains or of the one that stands out; the verdict in words.
  const say = () => {
    const i = at(), {traces: held, unit = held?.unit ?? ""} = data, level = data.verdict?.[i] ?? NOT_THERE, chain = chosen();
    const step = data.steps[i] === bus.step ? "" : `at step ${wholeNumber(data.steps[i])} `;
    badge.textContent = `${step}${VERDICT_SIGNS[level] ?? "–"} ${data.words[level] ?? "no LLC"}`;
    badge.dataset.level = level;
    why.textContent = why.title = data.reason?.[i] ?? "";
    pane.code = data.code.replace("THE_STEP", String(data.steps[i]));
    const check = name => data.checks?.find(one => one.name === name)?.value[i];
    const join = parts => parts.filter(Boolean).join(" · ");
    const short = value => shortNumber(value);
    const number = (value, text) => Number.isFinite(value) ? text(short(value)) : "";
    const title = (chart, bold, quiet = "") =>
      chart.title.replaceChildren(bold, ...(quiet ? [h("span", {class: quiet.length > 6 ? "long" : "", title: quiet}, quiet)] : []));
    if (chain !== NOT_THERE) {
      const diverged = row("diverged", i)[chain];
      title(left, `Chain ${chain + 1}`, unit);
      title(right, diverged ? "diverged: not counted" : `Its own λ̂ ${short(row("chain_llc", i)[chain])}`);
      left.numbers.textContent = number(row("distance", i)[chain], text => `ends ${text} from w*`);
      right.numbers.textContent = number(data.llc[i], text => `of all ${text}`);
      return;
    }
    const error = Number.isFinite(data.llc_se[i]) ? ` ± ${shortNumber(data.llc_se[i], 2)}` : "";
    title(left, `Excess ${short(data.excess_loss[i])}`, unit);
    title(right, `λ̂ ${number(data.llc[i], text => text + error)}`);
    right.title.prepend(h("i", {class: "wide"}, "Running "));
    left.numbers.textContent = number(data.relative_distance[i], text => `at ${text} ‖w*‖ from w*`);
    right.numbers.textContent = join([number(check("rhat"), text => `R̂ ${text}`), number(check("ess"), text => `ESS ${text}`)]);
    known.textContent = join([number(data.llc[i], text => `λ̂ ${text}${error}`), right.numbers.textContent]);
  };

  const step = () => {
    if (!data || !bus.ready || !shown()) return;
    say();
    drawTraces();
    drawRunning();
    strip.place();
  };
  traces.redraw = drawTraces;
  running.redraw = drawRunning;

  // As many rows of checks below the verdicts as leave the charts their room.
  const share = () => {
    if (!data || !view.clientHeight) return;
    const spare = data.traces ? Math.min(view.clientHeight * 0.5, view.clientHeight - 250) - strip.height(0) : view.clientHeight - strip.height(0) - 60;
    const rows = Math.max(0, Math.min(data.checks?.length ?? 0, Math.floor(spare / ROW)));
    lanes.style.height = `${data.verdict ? strip.height(rows) : 0}px`;
  };
  const sharing = new ResizeObserver(() => { share(); step(); });
  sharing.observe(view);

  // A press on a trace singles its chain out, beside all of them lets it go.
  left.host.addEventListener("click", event => {
    if (!data?.traces) return;
    const box = traces.svg.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    const xs = Array.from(data.traces.draws, updateX(traces)), i = at();
    let best = NOT_THERE, least = 12;
    for (let chain = 0; chain < data.traces.chains; chain++) {
      const values = row("excess", i, chain);
      for (let k = 1; k < xs.length; k++) {
        const [x0, x1, y0, y1] = [xs[k - 1], xs[k], traces.y(values[k - 1]), traces.y(values[k])];
        if (px < x0 - 12 || px > x1 + 12 || !Number.isFinite(y0 + y1)) continue;
        const along = Math.max(0, Math.min(1, ((px - x0) * (x1 - x0) + (py - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)));
        const far = Math.hypot(px - x0 - along * (x1 - x0), py - y0 - along * (y1 - y0));
        if (far < least) { least = far; best = chain; }
      }
    }
    bus.set({chain: best === chosen() ? NOT_THERE : best});
  });

  const read = payload => {
    const {traces: held, checks, ...rest} = payload;
    const decoded = object => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, decode(value)]));
    return {...decoded(rest), traces: held && decoded(held), checks: (checks ?? []).map(decoded)};
  };

  const draw = async () => {
    const payload = received(model, pane);
    if (!payload) return;
    data = read(payload);
    const {traces: held} = data;
    left.node.hidden = right.node.hidden = chooser.hidden = !held;
    untraced.hidden = Boolean(held);
    whyNot.textContent = data.untraced ?? "";
    lanes.hidden = !data.verdict;
    if (held) chooser.fill([["-1", "all chains"], ...Array.from({length: held.chains}, (_, i) => [String(i), `chain ${i + 1}`])], String(chosen()));
    calibrate.hidden = calibration.hidden = !data.calibration;
    const part = (kind, text, ...more) => text ? [h("span", {class: kind, title: text}, text, ...more)] : [];
    pane.foot.replaceChildren(...part("fine", held?.thinned), ...part("fine settings", data.settings && `SGLD ${data.settings}`),
      ...part("make", data.calibration_error && `no calibration: ${data.calibration_error}`),
      ...part("make", data.calibrate && "not calibrated: ", h("code", {title: data.calibrate}, data.calibrate)));
    if (data.verdict) strip.show(data);
    share();
    step();
    if (data.calibration) {
      sweep.style.height = `${data.calibration.layout.height}px`;
      sweep.style.width = `${data.calibration.layout.width}px`;
      await sweepFigure.draw(data.calibration, {displayModeBar: false});
    }
  };

  // The picture is drawn by Python, as its code would.
  pane.figures = [
    {label: "Chains of this step", drawn: true, save: async (format, filename) => {
      const figure = await pane.ask("picture", {step: data.steps[at()], theme: bus.state.theme}), {width, height} = figure.layout;
      await (await plotly()).downloadImage(figure, {format, filename, width, height, scale: format === "png" ? 3 : 1});
    }},
    sweepFigure,
  ];
  sweepFigure.label = "Calibration";

  model.on("remove", () => { sharing.disconnect(); traces.remove(); running.remove(); strip.remove(); sweepFigure.remove(); });
  connect(model, bus, ["payload", "progress"], changed => {
    if (changed.has("payload") || changed.has("progress")) { draw(); return; }
    if (changed.has("chain") && data?.traces) chooser.value = String(chosen());
    if (changed.has("shared") && data?.verdict && shown()) strip.draw();
    if (["step", "chain", "shared", "tab", "maximised"].some(name => changed.has(name))) step();
  });
}

export default {render};
