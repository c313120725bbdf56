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

// A titled pane with controls on the right, a body, a foot, and a cover for messages and progress.
function buildPane(el, title) {
  const controls = h("div", {class: "controls"});
  const body = h("div", {class: "body"});
  const foot = h("footer", {class: "foot"});
  const cover = h("div", {class: "cover", role: "status"});
  cover.hidden = true;
  const heading = h("h2", {}, title);
  const head = h("header", {class: "head"}, heading, controls);
  const section = h("section", {class: "pane", "aria-label": title}, head, body, foot, cover);
  el.replaceChildren(section);
  return {section, heading, controls, body, foot, cover};
}

function cover(pane, on) {
  pane.cover.hidden = !on;
  pane.controls.hidden = on;
}

function showMessage(pane, {title, text, command}) {
  const card = h("div", {class: "message"}, h("strong", {}, title));
  if (text) card.append(h("p", {}, text));
  if (command) card.append(h("p", {}, "This would measure it:"), h("code", {}, command));
  pane.cover.replaceChildren(card);
  cover(pane, true);
}

function showProgress(pane, {done, total, text, seconds}) {
  const left = seconds === null ? "" : seconds > 90 ? `about ${Math.ceil(seconds / 60)} min left` : `about ${Math.ceil(seconds)} s left`;
  if (!pane.cover.querySelector("progress")) {
    const bar = h("progress", {"aria-label": "Computing the trajectory"});
    pane.cover.replaceChildren(h("div", {class: "message"},
      h("strong", {}, "Computing the trajectory"), h("p", {class: "doing"}), bar, h("p", {class: "left"})));
  }
  const bar = pane.cover.querySelector("progress");
  if (total) { bar.max = total; bar.value = done; } else bar.removeAttribute("value");
  pane.cover.querySelector(".doing").textContent = total ? `${text}: ${done} of ${total}` : text;
  pane.cover.querySelector(".left").textContent = left || " ";
  cover(pane, true);
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

// Calls draw() now and whenever the bus or one of the model's properties changes; cleans up with the component.
function connect(model, bus, properties, draw) {
  const stop = bus.subscribe(changed => bus.ready && draw(changed));
  for (const name of properties) model.on(name, () => bus.ready && draw(new Map([[name, "server"]])));
  model.on("remove", stop);
  if (bus.ready) draw(new Map([["shared", "server"], ...properties.map(p => [p, "server"])]));
}
