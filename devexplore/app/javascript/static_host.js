// A report's stand-in for Panel and Python: gives each viewer what the file holds, and chooses among it when the
// Selection changes. What the file does not hold is refused, and it is said where that works.

const SAID_MS = 7000, REST_MS = 400;

// The Selection as the part of the address behind #, as in the served page's address; only what differs from `base`.
function writeHash(state, base) {
  const spelled = value => typeof value === "boolean" ? (value ? "on" : "off") : String(value);
  const names = Object.keys(base).filter(name => name !== "run" && JSON.stringify(state[name]) !== JSON.stringify(base[name]));
  return new URLSearchParams(names.map(name => [name, spelled(state[name])])).toString();
}

function readHash(text, base, choices) {
  const state = {...base};
  for (const [name, word] of new URLSearchParams(text.replace(/^#/, ""))) {
    const was = base[name];
    let value = word;
    if (typeof was === "boolean") value = word === "on";
    else if (typeof was === "number") value = Number(word);
    else if (Array.isArray(was)) value = word.split(",").filter(Boolean).map(part => typeof was[0] === "number" ? Number(part) : part);
    const known = was !== undefined && name !== "run" && !Number.isNaN(value) && (choices[name]?.includes(value) ?? true);
    if (known) state[name] = value;
  }
  return state;
}

function openReport(report, viewers, root) {
  const {panes, values, choices} = report;
  const bus = openBus(report.bus);
  bus.still = report.refusal;

  // The drawings of a pane, by the values that it follows.
  const keyOf = (name, state) => JSON.stringify(panes[name].follows.map(key => state[key]));
  const views = new Map(Object.entries(panes).map(([name, {drawings}]) =>
    [name, new Map(drawings.flatMap(({shown, fields}) => shown.map(at => [JSON.stringify(at), fields])))]));
  const whole = fields => typeof fields === "number" ? values[fields]
    : Object.fromEntries(Object.entries(fields).map(([name, one]) => [name, whole(one)]));
  const held = (name, state) => views.get(name).get(keyOf(name, state));

  // As near to the state wanted as the file holds, where `from` is held; and what is not held.
  const heldOf = (wanted, from) => {
    const state = {...wanted}, lacking = [];
    for (const name of Object.keys(panes)) {
      if (held(name, state)) continue;
      for (const key of panes[name].follows) if (JSON.stringify(state[key]) !== JSON.stringify(from[key])) { state[key] = from[key]; lacking.push(key); }
    }
    return {state, lacking};
  };

  const {state: start} = heldOf(readHash(location.hash, report.state, choices), report.state);
  if (!start.theme) start.theme = report.frames.dark && prefersDark() ? "dark" : report.theme;
  const base = {...report.state, theme: start.theme};  // the view that an address without # opens
  const models = {}, filled = new Map();
  const fill = state => {
    for (const name of Object.keys(panes)) {
      const fields = held(name, state);
      if (filled.get(name) === fields) continue;
      if (!panes[name].always && name !== (state.tab || report.tab) && name !== state.maximised) {
        if (filled.delete(name)) models[name].payload = "";  // nothing of another theme when it is opened
        continue;
      }
      filled.set(name, fields);
      models[name].set("payload", JSON.stringify(whole(fields)));
    }
  };

  bus.holds = patch => !heldOf({...bus.state, ...patch}, bus.state).lacking.length;

  const mount = (name, model) => mountPart(viewers[name], model, report.sheets[name].map(at => values[at]));

  // Answers that were kept, in Python's stead.
  const kept = new Map();
  const asked = (name, question, about) => JSON.stringify([name, question, about], (_, value) =>
    value && typeof value === "object" && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort()) : value);
  for (const [name, {answers}] of Object.entries(panes)) for (const [question, about, at] of answers) kept.set(asked(name, question, about), at);
  const paneModel = name => {
    const {title, always, limit} = panes[name];
    const model = new PartModel({payload: "", progress: "", bus: report.bus, pane: name, title, tabbed: !always, limit});
    model.holds = question => kept.has(asked(name, question, {}));
    model.send_msg = ({number, question, values: about}) => {
      const at = kept.get(asked(name, question, about));
      const answer = at === undefined ? {value: "null", error: report.refusal} : {value: JSON.stringify(values[at]), error: ""};
      setTimeout(() => model.tell("msg:custom", {answer: number, ...answer}));
    };
    models[name] = model;
    return model;
  };

  const note = h("p", {class: "refusal", role: "status"});
  note.hidden = true;
  let quiet = 0, resting = 0, last = start, open = false;
  const refuse = (words = report.refusal) => {
    note.textContent = words;
    note.hidden = false;
    clearTimeout(quiet);
    quiet = setTimeout(() => { note.hidden = true; }, SAID_MS);
  };
  const remember = () => {
    const hash = writeHash(bus.state, base);
    history.replaceState(null, "", hash ? `#${hash}` : location.href.split("#")[0]);
  };
  bus.subscribe(changed => {
    if (!open) return;
    const {state, lacking} = heldOf(bus.state, last);
    if (lacking.length) {
      bus.set(Object.fromEntries(lacking.map(key => [key, state[key]])), "server");
      refuse();
    }
    last = state;
    if (changed.has("theme")) shell.set("payload", frame(state.theme));
    fill(state);
    clearTimeout(resting);  // browsers allow few changes of the address
    resting = setTimeout(remember, REST_MS);
  });

  const frame = theme => JSON.stringify(whole(report.frames[theme]));
  const shell = new PartModel({payload: frame(start.theme), state: JSON.stringify({version: report.version, ...start}),
    tabs: report.tabs, query: "", bus: report.bus, get_child: name => mount(name, paneModel(name))});
  shell.send_msg = ({number, question}) => { if (question) setTimeout(() => shell.tell("msg:custom", {answer: number, value: "null", error: report.refusal})); };
  const page = mount("shell", shell);
  root.append(page);
  const top = page.shadowRoot.querySelector(".top");
  top.querySelector(".description").after(h("button", {type: "button", class: "saved", title: report.about, onclick: () => refuse(report.about)}, `saved ${report.saved}`));
  top.parentNode.append(note);
  open = true;
  fill(last);
  window.addEventListener("hashchange", () => bus.set(readHash(location.hash, base, choices)));
}
