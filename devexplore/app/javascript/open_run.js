// What there is to say of the run in the page's head, and the dialog that opens another one.

function buildNews(bus) {
  const activity = h("span", {class: "activity", role: "status"});
  const banner = h("div", {class: "banner", role: "alert"});
  let closed = "";
  let said = {}, lost = false;
  bus.losers.add(gone => { lost = gone; show(said); });
  const show = news => {
    said = news;
    const {notice, trouble, activity: doing, updated} = news;
    activity.textContent = doing || (updated && `updated ${updated}`);
    activity.classList.toggle("busy", Boolean(doing));
    const words = lost ? "lost" : trouble || notice;
    banner.hidden = !words || words === closed;
    const close = h("button", {type: "button", class: "icon", "aria-label": "Close this message", onclick: () => { closed = words; banner.hidden = true; }}, "×");
    banner.classList.toggle("wrong", lost || Boolean(trouble));
    banner.replaceChildren(...(lost
      ? [h("strong", {}, bus.gone.who), h("span", {}, `What is shown can still be scrubbed; nothing is saved any more. ${bus.gone.then}.`)]
      : trouble
      ? [h("strong", {}, "This run cannot be read any more"), h("span", {}, `What was read before is still shown. ${trouble}`)]
      : [h("span", {}, notice)]), close);
    banner.title = lost ? "" : words;
    if (!words) closed = "";
  };
  banner.hidden = true;
  return {activity, banner, show};
}

// A button and its dialog: a path typed, pasted or dropped anywhere on the page (`ground`); bundled and recent runs.
function buildOpener(model, bus, ground) {
  const ask = asker(model, bus);
  const field = h("input", {type: "text", name: "path", "aria-label": "Folder of a run", placeholder: "path of a run’s folder", autocomplete: "off", spellcheck: "false"});
  const go = h("button", {type: "submit", class: "go"}, "Open");
  const said = h("p", {class: "said", role: "status"}, "");
  const lists = h("div", {class: "places"});
  const form = h("form", {onsubmit: event => { event.preventDefault(); open(field.value); }}, field, go);
  const dialog = h("dialog", {class: "help opener", "aria-label": "Open a run"}, h("h2", {}, "Open a run"), form, said, lists,
    h("button", {type: "button", class: "plain", onclick: () => dialog.close()}, "Close"));
  const button = h("button", {type: "button", class: "icon opens", "aria-label": "Open a run", title: "Open a run (o)", onclick: () => show()},
    lineIcon("M1.5 12.5v-9h4l1.5 2h6v2M1.5 12.5l2-5h11l-2 5z"));
  button.hidden = Boolean(bus.still);
  let asked = 0;

  const say = (text, wrong = false) => { said.textContent = text; said.classList.toggle("wrong", wrong); };

  async function open(path) {
    const mine = ++asked;
    say("opening …");
    go.disabled = true;
    try {
      const {name} = await ask("open", {path});
      if (mine !== asked) return;
      say("");
      dialog.close();
      bus.set({run: name});
    } catch (error) {
      if (mine === asked) say(error.message, true);
    } finally {
      if (mine === asked) go.disabled = false;
    }
  }

  const entry = ({path, name, open: served, why}) => h("button", {type: "button", class: "place", disabled: Boolean(why), title: path, onclick: () => open(path)},
    h("b", {}, name), served ? h("i", {}, "open") : "", h("span", {}, why || path));

  async function fill() {
    try {
      const places = await ask("places");
      lists.replaceChildren(...[["Bundled", places.bundled], ["Recent", places.recent]].filter(([, runs]) => runs.length)
        .flatMap(([title, runs]) => [h("h3", {}, title), h("div", {class: "runs", role: "group", "aria-label": `${title} runs`}, ...runs.map(entry))]));
    } catch (error) { say(error.message, true); }
  }

  function show(text = "") {
    if (bus.still) return;
    say(text);
    if (!dialog.open) { dialog.showModal(); field.select(); fill(); }
  }

  // A drag that began on the page (a selected word) is none of ours.
  let inside = false;
  const of = event => !inside && !bus.still && [...event.dataTransfer?.types ?? []].some(type => ["Files", "text/uri-list", "text/plain"].includes(type));
  const listeners = {
    dragstart: () => { inside = true; },
    dragend: () => { inside = false; },
    dragover: event => { if (of(event)) { event.preventDefault(); event.dataTransfer.dropEffect = "copy"; } },
    drop: event => {
      if (!of(event)) return;
      event.preventDefault();
      const data = event.dataTransfer, text = (data.getData("text/uri-list") || data.getData("text/plain")).trim();
      const file = data.items[0]?.webkitGetAsEntry?.() ?? data.files[0];
      show(text ? "" : `The browser does not tell where “${file?.name ?? "this"}” lies: type or paste its path.`);
      if (text) { field.value = text.split(/\r?\n/).find(line => line && !line.startsWith("#")) ?? text; open(text); }
    },
  };
  for (const [name, listener] of Object.entries(listeners)) ground.addEventListener(name, listener);
  model.on("remove", () => { for (const [name, listener] of Object.entries(listeners)) ground.removeEventListener(name, listener); });
  return {button, dialog, show};
}
