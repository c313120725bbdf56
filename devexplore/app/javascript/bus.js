// One page's state in the browser. Viewers subscribe; whoever changes it calls set(). Changes of one animation frame
// arrive together, so fast scrubbing never queues up work.

const BUSES = (globalThis.devexploreBuses ??= new Map());

function openBus(name) {
  if (!BUSES.has(name)) BUSES.set(name, new Bus());
  return BUSES.get(name);
}

function closeBus(bus) {
  for (const [name, one] of BUSES) if (one === bus) BUSES.delete(name);
}

const TOGETHER_MS = 1000, MOST_CHANGES = 200;

class Bus {
  state = {};   // the Selection
  shared = {};  // the run: steps, stages, loss
  listeners = new Set();
  pending = {};
  frame = 0;
  done = [];    // what can be taken back: {undo, redo, keys, at}
  undone = [];
  lost = false;  // nobody in Python hears any more
  gone = {who: "The server has ended", then: "Start devexplore again and reload this page"};
  losers = new Set();
  panes = new Set();
  alone = false;  // one pane without the page around it

  // By the user ("page"): it can be taken back. By Python ("server"): it is not sent there. Else, what the page sets
  // by itself ("itself", "undo"), it is sent and not recorded.
  set(patch, origin = "page") {
    for (const [key, value] of Object.entries(patch)) this.pending[key] = {value, origin};
    this.schedule();
  }

  share(run) {
    this.shared = run;
    this.sharedChanged = true;
    this.schedule();
  }

  schedule() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.flush());
  }

  flush() {
    this.frame = 0;
    const changed = new Map();
    const before = {}, after = {};
    for (const [key, {value, origin}] of Object.entries(this.pending)) {
      if (JSON.stringify(this.state[key]) === JSON.stringify(value)) continue;
      if (origin === "page" && key in this.state) { before[key] = this.state[key]; after[key] = value; }
      this.state[key] = value;
      changed.set(key, origin);
    }
    this.pending = {};
    if (Object.keys(after).length) this.recordChange(before, after);
    if (this.sharedChanged) changed.set("shared", "server");
    this.sharedChanged = false;
    if (changed.size) for (const listener of [...this.listeners]) listener(changed);
  }

  // A change of the Selection that can be taken back. A scrub, or whatever else changes the same values in quick
  // succession, is one change.
  recordChange(before, after) {
    const keys = Object.keys(after).sort().join(), at = performance.now(), last = this.done.at(-1);
    if (last?.keys === keys && at - last.at < TOGETHER_MS) {
      last.redo = () => this.set(after, "undo");
      last.at = at;
      return;
    }
    this.record({undo: () => this.set(before, "undo"), redo: () => this.set(after, "undo"), keys, at});
  }

  record(change) {
    this.done.push(change);
    if (this.done.length > MOST_CHANGES) this.done.shift();
    this.undone = [];
    this.told?.();
  }

  // A change that Python makes, from the moment it is asked to. `work` promises what is needed to take it back, or null
  // where the change failed: then there was none.
  recordWork(work, {undo, redo}) {
    const after = act => async () => { const made = await work; if (made) act(made); };
    const change = {undo: after(undo), redo: after(redo)};
    this.record(change);
    work.then(made => {
      if (made) return;
      for (const list of ["done", "undone"]) this[list] = this[list].filter(one => one.undo !== change.undo);
      this.told?.();
    });
  }

  takeBack(back = true) {
    const change = (back ? this.done : this.undone).pop();
    if (!change) return;
    (back ? this.undone : this.done).push({...change, at: 0});
    if (back) change.undo(); else change.redo();
    this.told?.();
  }

  // Python is gone, or is there again.
  lose(lost) {
    this.lost = lost;
    for (const listener of [...this.losers]) listener(lost);
  }

  forget() { this.done = []; this.undone = []; this.told?.(); }

  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  // Whether a view with these values can be shown: in a saved page only what the file holds.
  holds() { return true; }

  get ready() { return Boolean(this.shared.steps?.length) && "step" in this.state; }

  // The checkpoint shown: the one nearest to the Selection's step, where -1 means the last.
  get index() {
    const {steps} = this.shared;
    return this.state.step < 0 ? steps.length - 1 : nearest(steps, this.state.step);
  }

  get step() { return this.shared.steps[this.index]; }

  // The step that the current one is compared with, as one of the run's; undefined where none is pinned.
  get pinned() {
    const {steps} = this.shared;
    return this.state.pinned < 0 ? undefined : steps[nearest(steps, this.state.pinned)];
  }

  // Pins the current step; where it is pinned already, none.
  pin() { this.set({pinned: this.pinned === this.step ? -1 : this.step}); }

  get stage() { return this.stageAt(this.step); }

  stageAt(step) {
    const {stages} = this.shared;
    return stages.findIndex((s, i) => step >= s.start && (step < s.end || (i === stages.length - 1 && step <= s.end)));
  }

  goTo(index) {
    const {steps} = this.shared;
    this.set({step: steps[Math.max(0, Math.min(steps.length - 1, index))]});
  }
}

// Index of the step nearest to `at` among sorted steps, nearest as the timeline shows them: in log(1 + step).
function nearest(sorted, at) {
  let low = 0, high = sorted.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= at) low = middle; else high = middle;
  }
  const far = i => Math.abs(logStep(sorted[i]) - logStep(Math.max(0, at)));
  return far(high) < far(low) ? high : low;
}

// payload.py's typed arrays
function decode(array) {
  if (!array?.bdata) return array;
  const bytes = Uint8Array.from(atob(array.bdata), c => c.charCodeAt(0));
  return array.dtype === "f4" ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
}

const logStep = step => Math.log10(1 + step);
const wholeNumber = value => Math.round(value).toLocaleString("en-US");

function shortNumber(value, digits = 3) {
  if (value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(1).replaceAll("-", "−");
  return value.toLocaleString("en-US", size >= 1000 ? {maximumSignificantDigits: 4} : {minimumSignificantDigits: digits, maximumSignificantDigits: digits}).replace("-", "−");
}

// How a verdict on an LLC is marked in front of its value.
const SIGNS = ["", "○ ", "× "], NOT_AN_LLC = 2;

const signed = value => (value > 0 ? "+" : value < 0 ? "−" : "±") + shortNumber(Math.abs(value));
