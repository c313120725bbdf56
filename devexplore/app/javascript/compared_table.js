// What is measured, a line a quantity: at the pinned step, at the current one, their difference, and in another run.
// The curves came once; a step only writes numbers and moves dots.

const CURVE = {width: 112, height: 22, air: 4};

function buildComparedTable(pane, bus) {
  const heads = {name: h("td"), pinned: h("th", {scope: "col"}), now: h("th", {scope: "col"}), change: h("th", {scope: "col"}, "difference"),
    other: h("th", {scope: "col"}), curve: h("th", {scope: "col"}, "over training")};
  const body = h("tbody");
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...Object.values(heads))), body);
  let lines = [], errors = null, asked = -1, beside = "";

  const open = row => ({...row, step: decode(row.step), value: decode(row.value), error: decode(row.error)});
  const finite = number => Number.isFinite(number);

  function read(row, step) {
    const at = nearest(row.step, step), verdict = row.verdict[at] ?? 0;
    return {step: row.step[at], value: row.value[at], error: row.error[at], verdict, reason: row.reason[at] ?? ""};
  }
  const words = ({value, error, verdict}) => verdict === NOT_AN_LLC ? "× not an LLC"
    : `${SIGNS[verdict]}${shortNumber(value, 4)}${finite(error) ? ` ± ${shortNumber(error, 2)}` : ""}`;

  // The error of a difference: that of paired chains where they are known; else as if both were measured apart.
  const paired = row => errors !== null && row.verdict.length > 0;
  function errorOf(line, a, b) {
    if (!finite(a.error) || !finite(b.error)) return NaN;
    if (!paired(line)) return Math.hypot(a.error, b.error);
    return errors.error[nearest(errors.step, b.step)];
  }

  function write(cell, text, title = "") {
    if (cell.textContent !== text) cell.textContent = text;
    if (cell.title !== title) cell.title = title;
  }

  function curve(row) {
    const last = logStep(bus.shared.steps.at(-1)) || 1, [low, high] = row.range;
    const x = step => CURVE.air + logStep(step) / last * (CURVE.width - 2 * CURVE.air);
    const y = value => CURVE.height - CURVE.air - Math.max(0, Math.min(1, (value - low) / (high - low || 1))) * (CURVE.height - 2 * CURVE.air);
    let d = "", gap = true;
    row.value.forEach((value, i) => {
      if (finite(value)) d += `${gap ? "M" : "L"}${x(row.step[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      gap = !finite(value);
    });
    const then = svg("circle", {class: "then", r: 3}), now = svg("circle", {class: "here", r: 3});
    const node = svg("svg", {class: "curve", width: CURVE.width, height: CURVE.height, "aria-hidden": "true"}, svg("path", {d}), then, now);
    const move = (dot, at) => {
      dot.style.display = at && finite(at.value) ? "" : "none";
      if (at && finite(at.value)) { dot.setAttribute("cx", x(at.step)); dot.setAttribute("cy", y(at.value)); }
    };
    return {node, move: (a, b) => { move(then, a); move(now, b); }};
  }

  function draw(mine, theirs, name) {
    beside = name;
    const held = new Map((theirs ?? []).map(row => [row.title, open(row)]));
    lines = mine.map(open).map(row => {
      const cells = {pinned: h("td"), now: h("td"), change: h("td"), other: h("td")}, drawn = curve(row);
      const label = h("th", {scope: "row", title: row.title}, h("span", {}, row.title), h("small", {}, row.unit));
      return {row, other: held.get(row.title), cells, drawn, node: h("tr", {}, label, ...Object.values(cells), h("td", {class: "drawn"}, drawn.node))};
    });
    body.replaceChildren(...lines.map(line => line.node));
    asked = -1;
    follow();
  }

  // One question a pin, none a step.
  async function pair(pinned) {
    if (asked === pinned) return;
    asked = pinned;
    errors = null;
    if (pinned === undefined || !lines.some(line => line.row.verdict.length)) return;
    const answer = await pane.ask("llc_errors", {step: pinned}).catch(() => null);
    if (asked !== pinned || !answer) return;
    errors = {step: decode(answer.step), error: decode(answer.error)};
    follow();
  }

  function follow() {
    if (!lines.length) return;
    const pinned = bus.pinned, none = pinned === undefined;
    pair(pinned);
    table.classList.toggle("unpinned", none);
    table.classList.toggle("alone", !beside);
    heads.pinned.textContent = none ? "" : `pinned: ${wholeNumber(pinned)}`;
    heads.now.textContent = `step ${wholeNumber(bus.step)}`;
    heads.other.textContent = beside;
    heads.other.title = beside ? `${beside} at its step nearest to the current one` : "";
    for (const {row, other, cells, drawn} of lines) {
      const a = none ? null : read(row, pinned), b = read(row, bus.step);
      write(cells.now, words(b), b.reason);
      write(cells.pinned, a ? words(a) : "", a?.reason ?? "");
      const change = a ? b.value - a.value : NaN;
      const known = finite(change) && a.verdict !== NOT_AN_LLC && b.verdict !== NOT_AN_LLC;
      const error = known ? errorOf(row, a, b) : NaN;
      const said = finite(error) ? ` ± ${shortNumber(error, 2)}` : "";
      write(cells.change, known ? `${change ? signed(change) : "0"}${change ? said : ""}` : "–",
        said ? paired(row) ? "One standard error, from chains that shared their batches and noise" : "One standard error, as if both were measured apart" : "");
      cells.change.dataset.note = said && change && paired(row) ? "paired" : "";
      const c = other ? read(other, bus.step) : null;
      write(cells.other, c ? words(c) : "–", c ? [`step ${wholeNumber(c.step)}`, c.reason].filter(Boolean).join("; ") : "");
      drawn.move(a, b);
    }
  }
  return {node: table, draw, follow};
}
