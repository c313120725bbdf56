// DOM building blocks of all panes. Text enters the page through textContent only.

function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A small picture of one line.
const lineIcon = path => svg("svg", {viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true"},
  svg("path", {d: path, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round", "stroke-linejoin": "round"}));

// A titled pane with controls and tools on the right, a body, a foot, and a cover for messages and progress.
// `pane.figures` are those that the tools save as pictures; `pane.ask` asks Python.
function buildPane(el, model, bus) {
  const {title, pane: name} = model;
  const controls = h("div", {class: "controls"});
  const body = h("div", {class: "body"});
  const foot = h("footer", {class: "foot"});
  const cover = h("div", {class: "cover", role: "status"});
  cover.hidden = true;
  const heading = h("h2", {}, title);
  const pane = {name, title, heading, controls, body, foot, cover, figures: [], code: "", ask: asker(model, bus), holds: model.holds ?? (() => true)};
  const head = h("header", {class: "head"}, heading, controls, buildTools(pane, bus));
  pane.section = h("section", {class: `pane ${model.tabbed ? "tabbed" : ""}`, "aria-label": title, onpointerenter: () => { bus.under = name; },
    onfocusin: () => { bus.under = name; }}, head, body, foot, cover);
  el.replaceChildren(pane.section);
  bus.panes.add(pane);
  return pane;
}

// Asks Python: ask(question, values) promises the answer, or fails with what Python says.
function asker(model, bus) {
  const open = new Map();
  let last = 0;
  model.on("msg:custom", ({answer, value, error}) => {
    const promise = open.get(answer);
    open.delete(answer);
    if (error) promise?.reject(new Error(error)); else promise?.resolve(JSON.parse(value));
  });
  const gone = () => new Error(`${bus.gone.who}: ${bus.gone.then[0].toLowerCase()}${bus.gone.then.slice(1)}`);
  bus.losers.add(lost => {
    if (!lost) return;
    for (const {reject} of open.values()) reject(gone());
    open.clear();
  });
  return (question, values = {}) => new Promise((resolve, reject) => {
    if (bus.lost) { reject(gone()); return; }
    open.set(++last, {resolve, reject});
    model.send_msg({number: last, question, values});
  });
}

// Take away and enlarge: pictures of the figures, the table behind them, the Python that makes them, the whole page.
function buildTools(pane, bus) {
  const file = ending => `${bus.state.run || "run"}-${pane.name}${ending}`.replace(/[^\w.-]+/g, "_");
  const menu = h("div", {class: "menu", role: "menu"});
  const close = () => { menu.hidden = true; opener.setAttribute("aria-expanded", "false"); };
  const entry = (text, act) => h("button", {type: "button", role: "menuitem", onclick: async event => {
    const button = event.currentTarget;
    try { await act(button); } catch (error) { button.textContent = error.message; return; }
    if (!button.dataset.said) close();
  }}, text);
  const copy = async button => {
    await toClipboard(pane.code);
    button.dataset.said = "yes";
    button.textContent = "Copied";
    setTimeout(close, 700);
  };
  const fill = () => {
    const several = pane.figures.length > 1;
    menu.replaceChildren(...[
      ...(pane.code ? [entry("Copy the Python code", copy)] : []),
      ...(pane.holds("table") ? [entry("Table (CSV)", async () => {
        const text = await pane.ask("table");
        if (!text) throw new Error("no table of this");
        download(new Blob([text], {type: "text/csv"}), file(".csv"));
      })] : []),
      ...pane.figures.filter(figure => figure.drawn).flatMap((figure, i) => ["SVG", "PNG"].map(format =>
        entry(several ? `${figure.label ?? `Figure ${i + 1}`} (${format})` : `Figure (${format})`, () =>
          figure.save(format.toLowerCase(), file(several ? `-${i + 1}` : ""))))),
    ]);
  };
  const opener = h("button", {type: "button", class: "icon tool", title: "Take away: code, table, pictures", "aria-label": `Take ${pane.title} away`,
    "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => {
      if (!menu.hidden) { close(); return; }
      fill();
      menu.hidden = false;
      opener.setAttribute("aria-expanded", "true");
      menu.querySelector("button")?.focus();
    }}, lineIcon("M8 2v8m0 0 3-3m-3 3L5 7M3 13h10"));
  const grow = h("button", {type: "button", class: "icon tool", onclick: () => bus.set({maximised: bus.state.maximised ? "" : pane.name})});
  const dress = () => {
    const large = bus.state.maximised === pane.name;
    grow.replaceChildren(lineIcon(large ? "M7 2v5H2m7 7V9h5M7 7 3 3m6 6 4 4" : "M9 2h5v5M7 14H2V9m12-7L9 7m-7 7 5-5"));
    grow.title = large ? "Back to all panes (m)" : "The whole page for this (m)";
    grow.setAttribute("aria-label", large ? "Back to all panes" : `Enlarge ${pane.title}`);
  };
  bus.subscribe(changed => { if (changed.has("maximised")) dress(); });
  dress();
  menu.hidden = true;
  grow.hidden = bus.alone;
  const node = h("div", {class: "tools"}, opener, grow, menu);
  node.addEventListener("focusout", event => { if (!node.contains(event.relatedTarget)) close(); });
  node.addEventListener("keydown", event => { if (event.key === "Escape" && !menu.hidden) { close(); opener.focus(); event.stopPropagation(); } });
  return node;
}

function download(blob, name) {
  const link = h("a", {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The clipboard wants a secure page; where it is refused, the old way.
async function toClipboard(text) {
  try { await navigator.clipboard.writeText(text); return; } catch { /* below */ }
  const area = h("textarea", {style: "position:fixed;opacity:0"});
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("The browser refuses to copy");
}

// What a viewer does with its payload: its message or progress in the cover, else the data. Null: nothing to draw.
function received(model, pane) {
  if (model.progress) { showProgress(pane, JSON.parse(model.progress)); return null; }
  if (!model.payload) return null;
  const data = JSON.parse(model.payload);
  pane.code = data.code ?? "";
  if (data.message) { showMessage(pane, data.message); return null; }
  cover(pane, false);
  return data;
}

function cover(pane, on) {
  pane.cover.hidden = !on;
  pane.controls.hidden = on;
}

function showMessage(pane, {title, text, command}) {
  const card = h("div", {class: "message"}, h("strong", {}, title));
  if (text) card.append(h("p", {}, text));
  if (command) card.append(h("p", {}, "This would measure it:"), commandLine(command));
  pane.cover.replaceChildren(card);
  cover(pane, true);
}

// A command with a button that copies it.
function commandLine(command) {
  const button = h("button", {type: "button", class: "copy", "aria-label": `Copy the command ${command}`, onclick: async () => {
    try { await toClipboard(command); button.textContent = "Copied"; } catch (error) { button.textContent = error.message; }
    setTimeout(() => { button.textContent = "Copy"; }, 1200);
  }}, "Copy");
  return h("span", {class: "command"}, h("code", {title: command}, command), button);
}

function showProgress(pane, {title, done, total, text, seconds}) {
  const left = seconds === null ? "" : seconds > 90 ? `about ${Math.ceil(seconds / 60)} min left` : `about ${Math.ceil(seconds)} s left`;
  if (!pane.cover.querySelector("progress")) {
    const bar = h("progress", {"aria-label": title});
    pane.cover.replaceChildren(h("div", {class: "message"},
      h("strong", {}, title), h("p", {class: "doing"}), bar, h("p", {class: "left"})));
  }
  const bar = pane.cover.querySelector("progress");
  if (total) { bar.max = total; bar.value = done; } else bar.removeAttribute("value");
  pane.cover.querySelector(".doing").textContent = total ? `${text}: ${done} of ${total}` : text;
  pane.cover.querySelector(".left").textContent = left || " ";
  cover(pane, true);
}

// In a saved page nobody is there to ask: what would change what Python draws rests, and says where it works.
function restWhereSaved(bus, ...controls) {
  if (!bus.still) return;
  for (const control of controls) { control.disabled = true; control.title = bus.still; }
}

// A row of buttons of which one is pressed.
function segmented(label, options, choose) {
  const buttons = options.map(([value, text, hint]) =>
    h("button", {type: "button", "data-value": value, title: hint, onclick: () => choose(value)}, text));
  const group = h("div", {class: "segmented", role: "group", "aria-label": label}, ...buttons);
  group.press = value => buttons.forEach(b => b.setAttribute("aria-pressed", String(b.dataset.value === value)));
  return group;
}

function toggle(text, key, hint, flip) {
  const button = h("button", {type: "button", class: "toggle", title: `${hint} (key ${key})`, onclick: flip},
    h("span", {class: "box"}), text);
  button.press = on => button.setAttribute("aria-pressed", String(on));
  return button;
}

function select(label, options, choose) {
  const node = h("select", {"aria-label": label, title: label, onchange: () => choose(node.value)});
  node.fill = (entries, chosen) => {
    node.replaceChildren(...entries.map(([value, text]) => h("option", {value}, text)));
    if (chosen !== undefined) node.value = chosen;
  };
  node.fill(options);
  return node;
}

// Calls draw() as soon as there is something to draw from, first with all, then whenever the bus or one of the model's
// properties changes; cleans up with the component.
function connect(model, bus, properties, draw) {
  let begun = false;
  const go = changed => {
    if (!bus.ready) return;
    const all = new Map(["shared", ...properties].map(name => [name, "server"]));
    draw(begun ? changed : all);
    begun = true;
  };
  const stop = bus.subscribe(go);
  for (const name of properties) model.on(name, () => go(new Map([[name, "server"]])));
  model.on("remove", stop);
  go(new Map());
}

// As the notebook around us is dressed, else as the browser prefers.
function prefersDark() {
  const {jpThemeLight, vscodeThemeKind} = document.body.dataset;
  if (jpThemeLight !== undefined) return jpThemeLight === "false";
  if (vscodeThemeKind !== undefined) return vscodeThemeKind.includes("dark");
  if (document.documentElement.getAttribute("theme") === "dark") return true;  // Colab
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
