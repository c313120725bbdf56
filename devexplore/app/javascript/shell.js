// The page's frame: header, player, help, the panes' places. It has a browser's page for itself, or is `inside` a
// notebook's: then it leaves the title, the address and the keys of others alone.

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

// Tells the bus of the connection to the server of this page.
function watchServer(bus, inside) {
  if (inside) return;  // a notebook's Bokeh documents are others'
  for (const page of globalThis.Bokeh?.documents ?? []) {
    page.on_event("connection_lost", () => bus.lose(true));
    page.on_event("client_reconnected", () => bus.lose(false));
  }
}

function render({model, el}) {
  const bus = openBus(model.bus);
  const {version} = JSON.parse(model.state), {inside} = model;
  if (!inside && window !== window.top) bus.gone = {who: "This view was closed, or its kernel has ended", then: "Run its cell again"};

  const theme = h("button", {type: "button", class: "icon", onclick: () => bus.set({theme: bus.state.theme === "dark" ? "light" : "dark"})});
  const chooser = select("Run", [], name => bus.set({run: name}));
  const description = h("p", {class: "description"});
  restWhereSaved(bus, chooser);
  const help = h("dialog", {class: "help", "aria-label": "Keys"},
    h("h2", {}, "Keys"),
    h("dl", {}, ...KEYS.flatMap(([keys, what]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)])),
    h("button", {type: "button", class: "plain", onclick: () => help.close()}, "Close"));
  const ask = h("button", {type: "button", class: "icon", "aria-label": "Keys and help", title: "Keys (?)", onclick: () => help.showModal()}, "?");
  const saved = () => JSON.stringify({version, ...bus.state}, null, 1);
  const chain = () => lineIcon("M7 9.5a3 3 0 0 0 4.3.2l2.2-2.2a3 3 0 0 0-4.2-4.2L8 4.5M9 6.5a3 3 0 0 0-4.3-.2L2.5 8.5a3 3 0 0 0 4.2 4.2L8 11.5");
  const link = h("button", {type: "button", class: "icon", "aria-label": `Copy the ${inside ? "Python" : "address"} of this view`,
    title: `Copy the ${inside ? "Python that opens" : "address of"} this view; with Shift: save it as a file for devexplore explore --select`,
    onclick: async event => {
      if (event.shiftKey) { download(new Blob([saved()], {type: "application/json"}), "devexplore-view.json"); return; }
      const words = inside ? `dx.explore(run, select=${JSON.stringify(model.query || "?")})` : location.href;
      try { await toClipboard(words); link.textContent = "✓"; } catch { link.textContent = "×"; }
      setTimeout(() => link.replaceChildren(chain()), 1200);
    }}, chain());
  const back = h("button", {type: "button", class: "icon", "aria-label": "Take back", title: "Take back (Ctrl z)", onclick: () => bus.takeBack()}, "↶");
  const again = h("button", {type: "button", class: "icon", "aria-label": "Do again", title: "Do again (Ctrl Shift z)", onclick: () => bus.takeBack(false)}, "↷");
  bus.told = () => { back.disabled = !bus.done.length; again.disabled = !bus.undone.length; };
  bus.told();
  const news = buildNews(bus), opener = buildOpener(model, bus, inside ? el : document);
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
  const root = h("div", {class: `theme page ${inside ? "inside" : ""}`},
    h("div", {}, h("header", {class: "top"}, h("h1", {}, "devexplore"), chooser, opener.button, description, news.activity, link, back, again, theme, ask), news.banner),
    player.node, main, help, opener.dialog);
  el.replaceChildren(root);

  const begin = buildBridge(model, bus, ({title, text}) => { description.textContent = `${title}: ${text}`; });
  const stop = bus.subscribe(changed => {
    if (changed.has("theme")) dress();
    if (changed.has("shared")) introduce();
    if (changed.has("tab") || changed.has("maximised")) arrange();
    if (changed.has("columns") || changed.has("rows")) divide();
    if (changed.has("run")) chooser.value = bus.state.run;
    if (bus.ready) player.show(changed);
  });

  const dress = () => {
    const dark = bus.state.theme === "dark";
    root.dataset.theme = dark ? "dark" : "light";
    theme.textContent = dark ? "☀" : "☾";
    theme.title = dark ? "Light theme (t)" : "Dark theme (t)";
    theme.setAttribute("aria-label", dark ? "Light theme" : "Dark theme");
    if (!inside) document.body.style.background = getComputedStyle(root).getPropertyValue("--page");
  };

  const introduce = () => {
    const {runs, description: words} = bus.shared;
    if (!inside) document.title = `${bus.state.run} · devexplore`;
    chooser.fill(runs.map(run => [run.name, run.label]), bus.state.run);
    description.textContent = words;
    description.title = words;
  };

  const readNews = () => { if (model.news) news.show(JSON.parse(model.news)); };
  model.on("news", readNews);
  watchServer(bus, inside);
  model.on("query", () => { if (!inside && window === window.top) history.replaceState(null, "", location.pathname + model.query); });

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
    if (inside) event.stopPropagation();
  };
  // In a notebook the keys are ours while the focus is within.
  const keyed = inside ? root : document;
  keyed.addEventListener("keydown", onKey);
  if (inside) {
    root.tabIndex = -1;
    root.addEventListener("pointerdown", () => setTimeout(() => { if (!root.matches(":focus-within")) root.focus({preventScroll: true}); }));
  }
  model.on("remove", () => { keyed.removeEventListener("keydown", onKey); stop(); player.remove(); });

  dress();
  begin();
  arrange();
  readNews();
}

export default {render};
