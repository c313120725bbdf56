// The frame around one pane, or around the player alone, for layouts of the user's own: the same Selection, no page.

function render({model, el}) {
  const bus = openBus(model.bus);
  bus.alone = true;
  const player = model.shows === "player" ? buildPlayer(bus) : null;
  const root = h("div", {class: "theme single"}, player ? player.node : model.get_child(model.shows));
  el.replaceChildren(root);
  const dress = () => { root.dataset.theme = bus.state.theme === "dark" ? "dark" : "light"; };
  const begin = buildBridge(model, bus);
  const stop = bus.subscribe(changed => {
    if (changed.has("theme")) dress();
    if (player && bus.ready) player.show(changed);
  });
  model.on("remove", () => { stop(); player?.remove(); });
  dress();
  begin();
}

export default {render};
