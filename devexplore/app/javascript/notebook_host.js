// A notebook's stand-in for Panel: one display of the explorer, or of a widget. The properties of its parts come in
// messages from the kernel, and what the parts say goes there: `send(message)` carries it.

const REST_MS = 1500, PICTURE_WIDTH = 1200, PICTURE_BYTES = 300_000;

function openDisplay({el, viewers, sheets, send, id, view, height}) {
  const models = new Map();
  let bus = null, parts = {}, pictured = "", timer = 0, hider = null;
  const place = h("div", {style: `height: ${height}; width: 100%;`, class: "devexplore-display"});
  el.append(place);

  const mount = name => {
    const {viewer, values} = parts[name], model = new PartModel(values);
    model.get_child = mount;
    model.send_msg = message => { if (!bus.lost) send({display: id, part: name, message}); };
    models.set(name, model);
    return mountPart(viewers[viewer], model, sheets[viewer]);
  };

  // All that the frame and its panes are made with.
  const start = told => {
    end();
    parts = told.parts;
    bus = openBus(told.bus);
    bus.gone = {who: "The kernel has ended or was restarted", then: "Run the cell again"};
    const frame = mount(told.frame);
    frame.dataset.lmSuppressShortcuts = "true";  // JupyterLab's own keys rest while the focus is here
    place.replaceChildren(frame);
    // The picture left in the notebook rests while the explorer is alive.
    hider = h("style", {}, `.devexplore-still[data-view="${view}"] { display: none; }`);
    document.head.append(hider);
    pictured = told.picture;
    if (pictured) timer = setTimeout(leavePicture, REST_MS);
  };

  const hear = message => {
    if (message.start) { start(message.start); return; }
    const model = models.get(message.part);
    if (!model) return;
    for (const [name, value] of Object.entries(message.set ?? {})) model.set(name, value);
    if (message.say) model.tell("msg:custom", message.say);
  };

  // A picture of what is drawn, for those who read the notebook without a kernel; once nothing is being drawn.
  async function leavePicture() {
    if (!bus) return;
    const figures = [...bus.panes].find(pane => pane.name === pictured)?.figures.filter(figure => figure.plot.offsetWidth) ?? [];
    if (!figures.length || figures.some(figure => !figure.drawn)) { timer = setTimeout(leavePicture, REST_MS); return; }
    const paper = bus;
    const picture = await pictureOf(place, figures).catch(() => null);
    if (picture && bus === paper && !bus.lost) { send({display: id, want: "picture", picture}); }
  }

  const end = () => {
    clearTimeout(timer);
    for (const model of models.values()) model.tell("remove");
    models.clear();
    hider?.remove();
    if (bus) closeBus(bus);
    bus = null;
    place.replaceChildren();
  };

  return {hear, lose: () => bus?.lose(true), close: () => { end(); place.remove(); }};
}

// The figures where they lie, as a PNG's data address.
async function pictureOf(place, figures) {
  const boxes = figures.map(figure => figure.plot.getBoundingClientRect());
  const left = Math.min(...boxes.map(box => box.left)), top = Math.min(...boxes.map(box => box.top));
  const width = Math.max(...boxes.map(box => box.right)) - left, height = Math.max(...boxes.map(box => box.bottom)) - top;
  const images = [];
  for (const figure of figures) images.push(await figure.image(1.5 * Math.min(1, PICTURE_WIDTH / width)));
  for (let scale = Math.min(1, PICTURE_WIDTH / width); ; scale *= 0.8) {
    const canvas = h("canvas", {width: Math.round(scale * width), height: Math.round(scale * height)}), paper = canvas.getContext("2d");
    paper.fillStyle = getComputedStyle(figures[0].plot.closest(".pane")).backgroundColor;
    paper.fillRect(0, 0, canvas.width, canvas.height);
    images.forEach((image, i) => paper.drawImage(image, scale * (boxes[i].left - left), scale * (boxes[i].top - top), scale * boxes[i].width, scale * boxes[i].height));
    const picture = canvas.toDataURL("image/png");
    if (picture.length < PICTURE_BYTES) return picture;
  }
}
