// Lines between the panes, which can be dragged (or moved with the arrow keys) to give one pane more room.

const LEAST = 20, MOST = 80;  // percent of the page that a side keeps

function buildDivider(bus, main, {name, title, upright, usual}) {
  const node = h("div", {class: `divider ${name}`, role: "separator", tabindex: 0, title: `${title}: drag, or arrow keys; double click: as it was`,
    "aria-label": title, "aria-orientation": upright ? "vertical" : "horizontal", "aria-valuemin": LEAST, "aria-valuemax": MOST});
  const within = value => Math.round(10 * Math.max(LEAST, Math.min(MOST, value))) / 10;
  const give = value => bus.set({[name]: within(value)});
  node.addEventListener("pointerdown", event => {
    if (event.button !== 0) return;
    node.setPointerCapture(event.pointerId);
    event.preventDefault();
    const box = main.getBoundingClientRect();
    const move = at => give(100 * (upright ? (at.clientX - box.left) / box.width : (at.clientY - box.top) / box.height));
    node.addEventListener("pointermove", move);
    node.addEventListener("lostpointercapture", () => node.removeEventListener("pointermove", move), {once: true});
  });
  node.addEventListener("dblclick", () => give(usual));
  node.addEventListener("keydown", event => {
    const by = (upright ? {ArrowLeft: -2, ArrowRight: 2} : {ArrowUp: -2, ArrowDown: 2})[event.key];
    if (!by) return;
    give(bus.state[name] + by);
    event.preventDefault();
    event.stopPropagation();
  });
  const show = () => {
    const share = bus.state[name];
    main.style.setProperty(`--${name}`, `${share}fr`);
    main.style.setProperty(`--${name}-rest`, `${100 - share}fr`);
    node.setAttribute("aria-valuenow", share);
  };
  return {node, show};
}

function buildDividers(bus, main) {
  const dividers = [
    buildDivider(bus, main, {name: "columns", title: "Width of the left side", upright: true, usual: 43}),
    buildDivider(bus, main, {name: "rows", title: "Height of the timeline", upright: false, usual: 50}),
  ];
  main.append(...dividers.map(divider => divider.node));
  return () => dividers.forEach(divider => divider.show());
}
