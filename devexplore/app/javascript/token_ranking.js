// Most improved and most worsened between the two steps compared.

function buildRanking(pane, bus, open) {
  const columns = h("div", {class: "columns"});
  const note = h("p", {class: "quiet"}, "ranking …");
  const node = h("div", {class: "ranking"}, note, columns);
  const follow = answering(pane, "ranking", columns, show, said => {
    note.textContent = `No ranking: ${said}`;
    note.hidden = false;
    columns.replaceChildren();
  });

  function show(answer, {by}) {
    note.hidden = true;
    const most = Math.max(...[...answer.improved, ...answer.worsened].map(row => Math.abs(row.change)), 1e-12);
    const list = (title, rows, kind) => h("section", {"aria-label": title}, h("h3", {}, h("b", {}, title), ` loss ${kind} by (${answer.unit})`),
      rows.length ? h("ol", {}, ...rows.map(row => h("li", {}, line(row, most, kind, answer, by)))) : h("p", {class: "quiet"}, "none"));
    columns.replaceChildren(list("most improved", answer.improved, "fell"), list("most worsened", answer.worsened, "rose"));
  }

  function line(row, most, kind, answer, by) {
    const label = h("span", {class: "label"});
    if (row.token === undefined) label.append(row.name);
    else {
      const before = h("bdi", {class: "before"}), token = h("bdi", {class: "token"});
      before.textContent = spelled(row.before ?? "");
      token.textContent = spelled(row.token);
      label.append(h("span", {class: "words"}, ...(row.before ? [before] : []), token));
    }
    if (row.count) label.append(h("span", {class: "count"}, `× ${wholeNumber(row.count)}`));
    const bar = h("i", {class: `bar ${kind}`, "aria-hidden": "true"});
    bar.style.width = `${(100 * Math.abs(row.change) / most).toFixed(1)}%`;
    const error = row.se ? ` ± ${shortNumber(row.se, 2)}` : "";
    const parts = [label, h("span", {class: "track"}, bar), h("span", {class: "value"}, shortNumber(Math.abs(row.change)))];
    const said = `${kind} by ${shortNumber(Math.abs(row.change))}${error} ${answer.unit}`;
    if (by === "place") return h("button", {type: "button", class: "row", title: `${said}: open it`, onclick: () => open(row.sequence, row.item)}, ...parts);
    return h("div", {class: "row", title: row.se ? `${said} (one standard error, over ${answer.over})` : said}, ...parts);
  }
  return {node, follow};
}
