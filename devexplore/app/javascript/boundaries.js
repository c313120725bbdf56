// The user's own boundaries: dragged by their handles, or a press names the stages beside, accepts or removes. What is
// saved changes in Python; each change can be taken back.

function editBoundaries(pane, bus, host, figure, complain) {
  const handles = h("div", {class: "handles"});
  const popover = h("div", {class: "menu edit", role: "dialog", "aria-label": "Stages at this boundary"});
  popover.hidden = true;
  host.append(handles, popover);
  const button = h("button", {type: "button", class: "icon tool", title: "A boundary at the current step", "aria-label": "Add a boundary at the current step",
    onclick: () => change({do: "add", step: Math.round(bus.step)})}, "+");
  let edit = null;

  const editing = async values => {
    try { return await pane.ask("edit", values); }
    catch (error) { complain(error.message); return null; }
  };
  const change = values => bus.recordWork(editing(values), {
    undo: ({before, after}) => editing({do: "restore", text: before, left: after}),
    redo: ({before, after}) => editing({do: "restore", text: after, left: before}),
  });
  const stepAt = clientX => Math.max(1, Math.round(figure.stepAt(clientX)));
  const openEdit = i => {
    const close = () => { popover.hidden = true; };
    const stage = (number, where) => {
      const input = h("input", {type: "text", maxlength: 40, "aria-label": `Name of the stage ${where}`, placeholder: `S${number}`,
        onchange: () => { close(); change({do: "name", stage: number, name: input.value}); }});
      const name = edit.names[number - 1];
      input.value = name === `S${number}` ? "" : name;
      return h("label", {}, h("span", {}, where), input);
    };
    const step = edit.steps[i];
    const act = (text, values) => h("button", {type: "button", onclick: () => { close(); change(values); }}, text);
    popover.replaceChildren(h("strong", {}, `Boundary at step ${wholeNumber(step)}`),
      stage(i + 1, "before"), stage(i + 2, "behind"),
      h("div", {class: "row"},
        ...(edit.origins[i] === "candidate" ? [act("Accept", {do: "accept", step})] : []),
        act("Remove", {do: "drop", step}),
        ...(edit.saved ? [act("All as proposed", {do: "reset"})] : [])));
    popover.hidden = false;
    const xa = figure.axis("xaxis");
    popover.style.left = `${Math.max(4, Math.min(host.clientWidth - 236, xa._offset + xa.l2p(logStep(step)) - 110))}px`;
    popover.querySelector("input").focus();
  };
  popover.addEventListener("keydown", event => { if (event.key === "Escape") { popover.hidden = true; event.stopPropagation(); } });
  popover.addEventListener("pointerdown", event => event.stopPropagation());
  const buildHandles = () => {
    handles.replaceChildren(...(bus.still ? [] : edit?.steps ?? []).map((step, i) => {
      const handle = h("button", {type: "button", class: `handle ${edit.origins[i]}`, "aria-label": `Boundary at step ${wholeNumber(step)}: name, move or remove`,
        title: "Drag to move, press to name or remove"});
      let to = null;
      const drag = event => {
        to = stepAt(event.clientX);
        handle.style.left = `${event.clientX - host.getBoundingClientRect().left}px`;
        handle.dataset.step = wholeNumber(to);
      };
      handle.addEventListener("pointerdown", event => {
        event.stopPropagation();
        if (event.button !== 0) return;
        const from = event.clientX;
        const move = e => { if (to !== null || Math.abs(e.clientX - from) > 3) drag(e); };
        const stop = () => {
          window.removeEventListener("pointermove", move);
          window.removeEventListener("pointerup", stop);
          if (to !== null && to !== step) change({do: "move", step, to}); else { to = null; placeHandles(); }
        };
        window.addEventListener("pointermove", move);
        window.addEventListener("pointerup", stop);
      });
      handle.addEventListener("click", () => { if (to === null) openEdit(i); });
      handle.addEventListener("keydown", event => {
        const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
        if (!by) return;
        const {steps} = bus.shared;
        change({do: "move", step, to: Math.round(steps[Math.max(1, Math.min(steps.length - 2, nearest(steps, step) + by))])});
        event.preventDefault();
        event.stopPropagation();
      });
      return handle;
    }));
    placeHandles();
  };
  const placeHandles = () => {
    if (!figure.drawn || !edit) return;
    const xa = figure.axis("xaxis"), size = figure.plot._fullLayout._size;
    [...handles.children].forEach((handle, i) => {
      const x = xa._offset + xa.l2p(logStep(edit.steps[i]));
      handle.style.left = `${x}px`;
      handle.style.top = `${size.t + 6}px`;
      handle.hidden = x < xa._offset || x > xa._offset + xa._length;
    });
  };

  const show = data => {
    edit = data;
    button.hidden = !edit;
    popover.hidden = true;
    buildHandles();
  };
  return {button, show, place: placeHandles};
}
