// The page's frame: header, player, help, the panes' places; and the bridge between the Selection and the bus.

const SEND_EVERY_MS = 90;

const KEYS = [
  ["← →", "one checkpoint back, on"],
  ["Shift ← →", "previous, next stage boundary, cusp or form"],
  ["Space", "play, pause"],
  ["c  e  v  f  r  n", "circles, evolute, vertices, forms, raw points, random walks (the null)"],
  ["o", "open a run"],
  ["p", "pin this step, to see others beside it; again: unpin"],
  ["s", "colour by stage or by step"],
  ["[  ]", "in the tokens: previous, next token"],
  ["Ctrl z  Ctrl Shift z", "take back, do again"],
  ["m", "the whole page for the pane under the pointer, back"],
  ["t", "light, dark"],
  ["?", "this help"],
  ["Esc", "close help; else all panes again; else unlock the token; else unpin"],
];

const isTyping = node => node?.isContentEditable || ["TEXTAREA", "SELECT"].includes(node?.tagName)
  || (node?.tagName === "INPUT" && node.type !== "range");

function render({model, el}) {
  const bus = openBus(model.bus);
  const start = JSON.parse(model.state);
  delete start.version;

  const theme = h("button", {type: "button", class: "icon", onclick: () => bus.set({theme: bus.state.theme === "dark" ? "light" : "dark"})});
  const chooser = select("Run", [], name => bus.set({run: name}));
  const description = h("p", {class: "description"});
  restWhereSaved(bus, chooser);
  const help = h("dialog", {class: "help", "aria-label": "Keys"},
    h("h2", {}, "Keys"),
    h("dl", {}, ...KEYS.flatMap(([keys, what]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)])),
    h("button", {type: "button", class: "plain", onclick: () => help.close()}, "Close"));
  const ask = h("button", {type: "button", class: "icon", "aria-label": "Keys and help", title: "Keys (?)", onclick: () => help.showModal()}, "?");
  const saved = () => JSON.stringify({version: JSON.parse(model.state).version, ...bus.state}, null, 1);
  const chain = () => lineIcon("M7 9.5a3 3 0 0 0 4.3.2l2.2-2.2a3 3 0 0 0-4.2-4.2L8 4.5M9 6.5a3 3 0 0 0-4.3-.2L2.5 8.5a3 3 0 0 0 4.2 4.2L8 11.5");
  const link = h("button", {type: "button", class: "icon", "aria-label": "Copy the address of this view", title: "Copy the address of this view; with Shift: save it as a file for devexplore explore --select",
    onclick: async event => {
      if (event.shiftKey) { download(new Blob([saved()], {type: "application/json"}), "devexplore-view.json"); return; }
      try { await toClipboard(location.href); link.textContent = "✓"; } catch { link.textContent = "×"; }
      setTimeout(() => link.replaceChildren(chain()), 1200);
    }}, chain());
  const back = h("button", {type: "button", class: "icon", "aria-label": "Take back", title: "Take back (Ctrl z)", onclick: () => bus.takeBack()}, "↶");
  const again = h("button", {type: "button", class: "icon", "aria-label": "Do again", title: "Do again (Ctrl Shift z)", onclick: () => bus.takeBack(false)}, "↷");
  bus.told = () => { back.disabled = !bus.done.length; again.disabled = !bus.undone.length; };
  bus.told();
  const news = buildNews(), opener = buildOpener(model, bus);
  const player = buildPlayer(bus);
  const ALWAYS = ["timeline", "trajectory"];
  const places = ALWAYS.map(name => h("div", {class: `place ${name}`}, model.get_child(name)));
  // All other panes share one place, as tabs.
  const tabs = h("div", {class: "tabs", role: "tablist", "aria-label": "Panes"});
  const panels = new Map();
  const shared = h("div", {class: "place shared"}, tabs);
  places.push(shared);
  const main = h("main", {}, ...places);
  for (const [name, title] of model.tabs) {
    const tab = h("button", {type: "button", role: "tab", "data-pane": name, onclick: () => bus.set({tab: name})}, title);
    const panel = h("div", {class: "panel", role: "tabpanel", "aria-label": title}, model.get_child(name));
    panels.set(name, {tab, panel});
    tabs.append(tab);
    shared.append(panel);
  }
  const divide = buildDividers(bus, main);
  const open = () => panels.has(bus.state.tab) ? bus.state.tab : model.tabs[0][0];
  tabs.addEventListener("keydown", event => {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!by) return;
    const names = [...panels.keys()];
    const next = names[(names.indexOf(open()) + by + names.length) % names.length];
    bus.set({tab: next});
    panels.get(next).tab.focus();
    event.preventDefault();
    event.stopPropagation();
  });
  const arrange = () => {
    for (const [name, {tab, panel}] of panels) {
      const chosen = name === open();
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      panel.hidden = !chosen;
    }
    const large = bus.state.maximised;
    const place = ALWAYS.includes(large) ? large : panels.has(large) ? "shared" : "";
    main.classList.toggle("one", Boolean(place));
    for (const node of places) node.hidden = Boolean(place) && !node.classList.contains(place);
    if (panels.has(large) && large !== open()) bus.set({tab: large}, "itself");
  };
  const root = h("div", {class: "theme page"},
    h("div", {}, h("header", {class: "top"}, h("h1", {}, "devexplore"), chooser, opener.button, description, news.activity, link, back, again, theme, ask), news.banner),
    player.node, main, help, opener.dialog);
  el.replaceChildren(root);

  // Browser → Python: at once when quiet, else every SEND_EVERY_MS the latest values.
  let waiting = {}, timer = 0, sent = 0;
  const send = () => {
    timer = 0;
    sent = performance.now();
    model.send_msg(waiting);
    waiting = {};
  };
  const stop = bus.subscribe(changed => {
    for (const [key, origin] of changed) if (origin !== "server") waiting[key] = bus.state[key];
    if (Object.keys(waiting).length && !timer) timer = setTimeout(send, Math.max(0, sent + SEND_EVERY_MS - performance.now()));
    if (changed.has("theme")) dress();
    if (changed.has("shared")) introduce();
    if (changed.has("tab") || changed.has("maximised")) arrange();
    if (changed.has("columns") || changed.has("rows")) divide();
    if (changed.has("run")) { chooser.value = bus.state.run; bus.forget(); }
    if (bus.ready) player.show(changed);
  });
  // Python → browser
  const hear = patch => { if (!("answer" in patch)) bus.set(patch, "server"); };
  model.on("msg:custom", hear);

  const dress = () => {
    const dark = bus.state.theme === "dark";
    root.dataset.theme = dark ? "dark" : "light";
    theme.textContent = dark ? "☀" : "☾";
    theme.title = dark ? "Light theme (t)" : "Dark theme (t)";
    theme.setAttribute("aria-label", dark ? "Light theme" : "Dark theme");
    document.body.style.background = getComputedStyle(root).getPropertyValue("--page");
  };

  const introduce = () => {
    const {runs, description: words} = bus.shared;
    document.title = `${bus.state.run} · devexplore`;
    chooser.fill(runs.map(run => [run.name, run.label]), bus.state.run);
    description.textContent = words;
    description.title = words;
  };

  const readPayload = () => {
    const payload = JSON.parse(model.payload);
    if (payload.message) { description.textContent = `${payload.message.title}: ${payload.message.text}`; return; }
    payload.loss.step = decode(payload.loss.step);
    payload.loss.value = decode(payload.loss.value);
    bus.share(payload);
  };
  model.on("payload", readPayload);
  const readNews = () => { if (model.news) news.show(JSON.parse(model.news)); };
  model.on("news", readNews);
  watchServer(news.server);
  model.on("query", () => history.replaceState(null, "", location.pathname + model.query));

  const onKey = event => {
    const node = event.composedPath()[0];
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !isTyping(node)) {
      bus.takeBack(!event.shiftKey);
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(node) || help.open || opener.dialog.open || !bus.ready) return;
    const flips = {c: "circles", e: "evolute", v: "vertices", f: "forms", r: "raw", n: "null"};
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const by = event.key === "ArrowLeft" ? -1 : 1;
      if (event.shiftKey) player.jump(by); else bus.goTo(bus.index + by);
    } else if (event.key === " " && node?.tagName !== "BUTTON") player.toggle();
    else if (flips[event.key]) bus.set({[flips[event.key]]: !bus.state[flips[event.key]]});
    else if (event.key === "s") bus.set({colour: bus.state.colour === "stage" ? "step" : "stage"});
    else if (event.key === "t") theme.click();
    else if (event.key === "o") opener.show();
    else if (event.key === "m") bus.set({maximised: bus.state.maximised ? "" : bus.under ?? open()});
    else if (event.key === "?") help.showModal();
    else if (event.key === "p") bus.pin();
    else if (event.key === "Escape") bus.set(bus.state.maximised ? {maximised: ""} : bus.state.token >= 0 ? {token: -1} : {pinned: -1});
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", onKey);
  model.on("remove", () => { document.removeEventListener("keydown", onKey); stop(); player.remove(); });

  // What Python knows already is not sent back. Without a chosen theme Python draws the light one: tell it of dark.
  const chosen = start.theme || "light";
  bus.set({...start, theme: chosen}, "server");
  bus.flush();
  arrange();
  if (!start.theme && matchMedia("(prefers-color-scheme: dark)").matches) bus.set({theme: "dark"}, "itself");
  readPayload();
  readNews();
}

export default {render};
