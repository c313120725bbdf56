// A small window for a text of the user's own.

function buildOwnText(bus) {
  const area = h("textarea", {"aria-label": "Your text", rows: 5, spellcheck: "false", placeholder: "Type or paste text: its loss is computed at every checkpoint"});
  const said = h("p", {class: "refused", role: "status"});
  const read = () => { bus.set({text: area.value, token: -1, token_view: "text"}); close(); };
  const window = h("div", {class: "own-window", role: "dialog", "aria-label": "Text of your own"}, area, said,
    h("div", {class: "buttons"}, h("button", {type: "button", class: "plain", onclick: () => close()}, "Cancel"),
      h("button", {type: "button", class: "strong", title: "Ctrl Enter", onclick: read}, "Compute its losses")));
  const opener = h("button", {type: "button", class: "own-opener", "aria-haspopup": "dialog", "aria-expanded": "false", title: "Read the losses of a text of your own",
    onclick: () => window.hidden ? open() : close()}, "own text…");
  const back = h("button", {type: "button", class: "icon", "aria-label": "Back to the probe", title: "Back to the probe", onclick: () => bus.set({text: "", token: -1})}, "×");
  const node = h("span", {class: "own"}, opener, back, window);
  restWhereSaved(bus, opener);

  function open() {
    area.value = bus.state.text || area.value;
    window.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    area.focus();
  }
  function close() {
    window.hidden = true;
    opener.setAttribute("aria-expanded", "false");
  }
  window.addEventListener("keydown", event => {
    if (event.key === "Escape") { close(); opener.focus(); }
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && area.value) read();
    event.stopPropagation();
  });
  window.hidden = true;

  // A text that cannot be read stays in the window, with what is the matter.
  const show = data => {
    node.hidden = !data.text_longest;
    area.maxLength = data.text_longest;
    opener.textContent = data.own ? "own text" : "own text…";
    opener.classList.toggle("on", data.own);
    back.hidden = !data.own;
    said.textContent = data.refused;
    if (data.refused) open();
  };
  return {node, show};
}
