// What Panel is on the served page, where there is none: models of the parts, and their places in shadow roots.

class PartModel {
  listeners = new Map();
  constructor(attributes) { Object.assign(this, attributes); }
  on(name, listener) { this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]); }
  tell(name, message) { for (const listener of this.listeners.get(name) ?? []) listener(message); }
  set(name, value) { this[name] = value; this.tell(name); }
  send_msg() {}
}

function mountPart(viewer, model, sheets) {
  const node = h("div"), el = h("div");
  node.attachShadow({mode: "open"}).append(...sheets.map(text => h("style", {}, text)), el);
  viewer.render({model, el});
  return node;
}
