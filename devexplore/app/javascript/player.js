// Play, slider, readout, pin, speed and the stages' chips.

function buildPlayer(bus) {
  const play = h("button", {type: "button", class: "play", onclick: () => toggle()});
  const slider = h("input", {type: "range", min: 0, step: 1, "aria-label": "Training step", oninput: () => bus.goTo(Number(slider.value))});
  const readout = h("output", {class: "readout"});
  const pinned = h("span");
  const pin = h("button", {type: "button", class: "pin", onclick: () => bus.pin()},
    svg("svg", {viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true"}, svg("path", {d: "M4 15V2h9l-2.5 3.5L13 9H4"})), pinned);
  const speed = select("Speed in checkpoints a second", [], value => bus.set({speed: Number(value)}));
  speed.fill([2, 4, 8, 16, 32].map(n => [String(n), `${n}/s`]));
  const chips = h("div", {class: "chips", role: "group", "aria-label": "Stages"});
  const live = h("div", {class: "unseen", role: "status", "aria-live": "polite"});
  const node = h("div", {class: "player"}, play, slider, readout, pin, speed, chips, live);

  let playing = false, frame = 0, before = 0, owed = 0, quiet = 0;

  const icon = () => {
    const shape = playing ? "M4 3h4v14H4zM12 3h4v14h-4z" : "M5 2.5 17 10 5 17.5z";
    play.replaceChildren(svg("svg", {viewBox: "0 0 20 20", width: 16, height: 16, "aria-hidden": "true"}, svg("path", {d: shape, fill: "currentColor"})));
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    play.title = playing ? "Pause (space)" : "Play (space)";
  };

  const tick = now => {
    owed += (now - before) / 1000 * bus.state.speed;
    before = now;
    const whole = Math.floor(owed);
    if (whole) {
      owed -= whole;
      const last = bus.shared.steps.length - 1;
      bus.goTo(bus.index + whole);
      if (bus.index + whole >= last) { toggle(); return; }
    }
    frame = requestAnimationFrame(tick);
  };

  function toggle() {
    playing = !playing;
    cancelAnimationFrame(frame);
    if (playing) {
      if (bus.index === bus.shared.steps.length - 1) bus.goTo(0);
      before = performance.now();
      owed = 0;
      frame = requestAnimationFrame(tick);
    }
    icon();
  }

  function jump(by) {
    const marks = [...bus.shared.stages.flatMap(s => [s.start, s.end]), ...(bus.cusps ?? [])];
    const places = [...new Set(marks.map(step => nearest(bus.shared.steps, step)))].sort((a, b) => a - b);
    const here = bus.index;
    const to = by > 0 ? places.find(i => i > here) : places.findLast(i => i < here);
    if (to !== undefined) bus.goTo(to);
  }

  function build() {
    const {steps, stages, note} = bus.shared;
    slider.max = steps.length - 1;
    const share = step => 100 * nearest(steps, step) / (steps.length - 1 || 1);
    const stops = stages.map(s => `${s.colour} ${share(s.start)}% ${share(s.end)}%`);
    slider.style.setProperty("--track", stops.length ? `linear-gradient(to right, ${stops.join(", ")})` : "var(--line)");
    chips.replaceChildren(...stages.map((stage, i) => {
      const chip = h("button", {type: "button", class: `chip type-${stage.type}`, title: stage.words,
        "aria-label": `Go to ${stage.words}`, onclick: () => bus.goTo(steps.findLastIndex(step => step < stage.start) + 1)},
        h("b", {}, stage.name), h("span", {}, stage.range));
      chip.style.setProperty("--shade", stage.colour);
      chip.dataset.index = i;
      return chip;
    }));
    chips.title = note;
    if (!stages.length) chips.append(h("span", {class: "none"}, note));
  }

  function showPin() {
    const at = bus.pinned, here = at === bus.step, {steps} = bus.shared;
    pinned.textContent = at === undefined ? "" : wholeNumber(at);
    pin.setAttribute("aria-pressed", String(here));
    pin.title = here ? "Unpin this step (p)" : at === undefined ? "Pin this step, to see others beside it (p)"
      : `Step ${wholeNumber(at)} is pinned (Esc: unpin); pin this one instead (p)`;
    pin.setAttribute("aria-label", pin.title);
    const share = at === undefined ? 0 : 100 * steps.indexOf(at) / (steps.length - 1 || 1);
    slider.style.setProperty("--pin", at === undefined ? "none" : `linear-gradient(var(--ink), var(--ink)) ${share}% 0 / 3px 100% no-repeat`);
  }

  function show(changed) {
    if (changed.has("shared")) build();
    if (["shared", "pinned", "step"].some(name => changed.has(name))) showPin();
    if (changed.has("speed") || changed.has("shared")) speed.value = String(bus.state.speed);
    if (!changed.has("step") && !changed.has("shared")) return;
    const {steps, stages, loss} = bus.shared;
    const at = wholeNumber(steps[bus.index]), last = wholeNumber(steps.at(-1)), stage = stages[bus.stage];
    slider.value = bus.index;
    readout.replaceChildren(h("b", {}, at), h("span", {}, ` / ${last}`));
    for (const chip of chips.querySelectorAll(".chip")) {
      if (Number(chip.dataset.index) === bus.stage) chip.setAttribute("aria-current", "step"); else chip.removeAttribute("aria-current");
    }
    const words = [`step ${at} of ${last}`];
    if (stage) words.push(`stage ${stage.name}`);
    if (loss.step.length) words.push(`loss ${shortNumber(loss.value[nearest(loss.step, bus.step)])}`);
    slider.setAttribute("aria-valuetext", words.join(", "));
    clearTimeout(quiet);  // speak only once the cursor rests
    quiet = setTimeout(() => { live.textContent = words.join(", "); }, 500);
  }

  icon();
  return {node, show, toggle, jump, remove: () => { cancelAnimationFrame(frame); clearTimeout(quiet); }};
}
