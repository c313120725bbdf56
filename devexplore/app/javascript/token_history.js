// A locked token: its loss over training as a small chart, and what two checkpoints predict in its place.

const REST_MS = 250;  // how long the steps rest before Python is asked

// Runs only the last of the calls that follow each other quickly.
function whenAtRest(act) {
  let timer = 0;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => act(...values), REST_MS); };
}

// Follows values of a question with Python's answers: asked once they rest, never twice for the same, nothing for
// null. What was shown stays meanwhile (quiet), and an answer that comes late is left.
function answering(pane, question, node, show, failed) {
  let asked = "", number = 0;
  const ask = whenAtRest(async values => {
    const mine = ++number;
    node.classList.add("waiting");
    try {
      const answer = await pane.ask(question, values);
      if (mine === number) show(answer, values);
    } catch (error) {
      if (mine === number) failed(error.message);
    }
    if (mine === number) node.classList.remove("waiting");
  });
  return values => {
    const text = JSON.stringify(values);
    if (text === asked) return;
    asked = text;
    if (values) ask(values);
  };
}

const spelled = text => text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "∅";
const percent = p => p < 0.001 ? "<0.1 %" : p < 0.0995 ? `${(100 * p).toFixed(1)} %` : `${(100 * p).toFixed(0)} %`;

function buildHistory(pane, bus) {
  const host = h("div", {class: "host chart"});
  const guesses = h("div", {class: "guesses", "aria-live": "polite"});
  const node = h("div", {class: "locked-panel"}, host, guesses);
  const figure = new Figure(host, "Loss history");
  const marks = ["end", "end", "here"].map(kind => svg("line", {class: kind}));
  const dot = svg("circle", {class: "now-dot", r: 3.5});
  figure.layer.append(...marks, dot);
  let curve = null, steps = [], shown = [0, 0];

  figure.place = () => {
    if (!figure.drawn || !curve) return;
    const xa = figure.axis("xaxis"), ya = figure.axis("yaxis2");
    const x = step => xa._offset + xa.l2p(logStep(step));
    [...shown, bus.step].forEach((step, i) => {
      for (const [name, value] of [["x1", x(step)], ["x2", x(step)], ["y1", ya._offset], ["y2", ya._offset + ya._length]]) marks[i].setAttribute(name, value);
    });
    const value = curve[nearest(steps, bus.step)];
    dot.style.display = Number.isFinite(value) ? "" : "none";
    if (Number.isFinite(value)) { dot.setAttribute("cx", x(bus.step)); dot.setAttribute("cy", ya._offset + ya.l2p(value)); }
  };
  figure.scrubs(bus);

  // The chart of one prediction: drawn when another is locked, never for a step.
  const draw = (frame, name, at, values) => {
    steps = at;
    curve = values;
    const finite = values.filter(Number.isFinite);
    const high = Math.max(...finite, 1e-12), low = Math.min(...finite, 0);
    const line = {...frame.data.at(-1), x: Array.from(at, logStep), y: values, customdata: Array.from(at)};
    const layout = {...frame.layout, yaxis2: {...frame.layout.yaxis2, range: [low - 0.04 * (high - low), high + 0.08 * (high - low)]}};
    figure.plot.setAttribute("aria-label", `Loss of ${name} over training, from ${shortNumber(values[0])} to ${shortNumber(values.at(-1))}`);
    return figure.draw({data: [...frame.data.slice(0, -1), line], layout}, {displayModeBar: false});
  };

  const follow = (a, b) => { shown = [a, b]; figure.place(); };

  const ask = answering(pane, "top", guesses,
    answer => guesses.replaceChildren(...answer.predictions.map((one, i) => column(answer.steps[i], one, answer.true))),
    said => guesses.replaceChildren(h("p", {class: "quiet"}, `No predictions here: ${said}`)));
  // What the two checkpoints predict in this place; null where nothing is predicted in words.
  const predict = values => { guesses.hidden = !values; ask(values); };

  const guess = (text, p, isTrue, after = "") => {
    const token = h("bdi", {class: `guess ${isTrue ? "true" : ""}`});
    token.textContent = spelled(text);
    token.style.backgroundColor = `color-mix(in srgb, var(--ink) ${(24 * p).toFixed(1)}%, transparent)`;
    return h("li", {class: isTrue ? "is-true" : ""}, token, h("span", {}, percent(p) + after));
  };
  const column = (step, one, truth) => {
    const list = h("ol", {}, ...one.texts.map((text, i) => guess(text, one.probabilities[i], one.is_true[i])));
    if (!one.is_true.includes(true)) list.append(guess(truth, one.probability, true, `, ${wholeNumber(one.rank)}th`.replace(/(\d)th$/, (_, d) => `${d}${ordinal(one.rank)}`)));
    return h("div", {class: "column"}, h("h3", {}, `at step ${wholeNumber(step)}`), list);
  };
  const ordinal = n => [11, 12, 13].includes(n % 100) ? "th" : ({1: "st", 2: "nd", 3: "rd"}[n % 10] ?? "th");

  return {node, figure, draw, follow, predict};
}
