// What a notebook stores of us: it brings the explorer from the kernel, once a page, and opens displays of it.
// Nothing is fetched from anywhere else.

const ASK_AGAIN_MS = 4000;
const shelf = (globalThis.devexploreCode ??= new Map());

async function unpack(buffer) {
  const bytes = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
  const url = URL.createObjectURL(new Blob([await new Response(bytes).text()], {type: "text/javascript"}));
  try { return await import(url); } finally { URL.revokeObjectURL(url); }
}

// The first kernel that answers brings it for all displays of this version on this page.
function bring(model, version) {
  if (!shelf.has(version)) {
    const held = {};
    held.code = new Promise((resolve, reject) => Object.assign(held, {resolve, reject}));
    shelf.set(version, held);
  }
  const held = shelf.get(version);
  if (!held.came) {
    model.on("msg:custom", (message, buffers) => {
      if (!message.code || held.came) return;
      held.came = true;
      unpack(buffers[0]).then(held.resolve, error => { shelf.delete(version); held.reject(error); });
    });
    const ask = () => { if (!held.came) model.send({want: "code"}); };
    if (held.asked) setTimeout(ask, ASK_AGAIN_MS); else ask();  // one kernel may have ended before it answered
    held.asked = true;
  }
  return held.code;
}

function render({model, el}) {
  const id = Math.random().toString(36).slice(2);
  let display = null, gone = false;
  const hear = message => {
    if (message.display && message.display !== id) return;
    if (message.alive && display) model.send({display: id, want: "alive"});
    else if (message.trouble) el.textContent = `devexplore cannot show this: ${message.trouble}`;
    else display?.hear(message);
  };
  const lose = () => display?.lose();  // the kernel is gone: a new one knows nothing of us
  model.send({want: "here"});
  model.on("msg:custom", hear);
  model.on("comm_live_update", lose);
  model.on("comm:close", lose);
  bring(model, model.get("version")).then(code => {
    if (gone) return;
    display = code.openDisplay({el, id, view: model.get("view"), height: model.get("tall"), send: message => model.send(message)});
    model.send({display: id, want: "open"});
  }, error => {
    el.textContent = `devexplore cannot be shown here: ${error.message}`;
    model.send({want: "failed", why: error.message});
  });
  return () => {
    gone = true;
    model.off("msg:custom", hear);
    model.off("comm_live_update", lose);
    model.off("comm:close", lose);
    display?.close();
    try { model.send({display: id, want: "close"}); } catch { /* nobody is there any more */ }
  };
}

export default {render};
