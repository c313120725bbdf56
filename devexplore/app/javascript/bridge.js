// Between the Selection in Python and the bus: what the page changes is sent there, what Python changes is heard, and
// the run's frame (steps, stages, loss) is shared. `model` is that of the frame around the panes.

const SEND_EVERY_MS = 90;

// `missing` is told of a run whose frame cannot be read.
function buildBridge(model, bus, missing = () => {}) {
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
    if (changed.has("run")) bus.forget();
  });
  model.on("remove", () => { stop(); clearTimeout(timer); });

  // Python → browser
  model.on("msg:custom", patch => { if (!("answer" in patch)) bus.set(patch, "server"); });
  const readPayload = () => {
    if (!model.payload) return;
    const payload = JSON.parse(model.payload);
    if (payload.message) { missing(payload.message); return; }
    payload.loss.step = decode(payload.loss.step);
    payload.loss.value = decode(payload.loss.value);
    bus.share(payload);
  };
  model.on("payload", readPayload);

  // A notebook's front end may change its dress.
  const followTheme = () => {
    const dressed = new MutationObserver(() => bus.set({theme: prefersDark() ? "dark" : "light"}, "itself"));
    dressed.observe(document.body, {attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"]});
    model.on("remove", () => dressed.disconnect());
  };

  // What Python knows already is not sent back. Without a chosen theme Python draws the light one: tell it of dark.
  return () => {
    const {version, ...start} = JSON.parse(model.state);
    bus.set({...start, theme: start.theme || "light"}, "server");
    bus.flush();
    if (!start.theme) {
      if (prefersDark()) bus.set({theme: "dark"}, "itself");
      if (model.inside) followTheme();
    }
    readPayload();
  };
}
