// What is shown, and what happens when the reader does something.

const THEMES = {
  light: { paper: "#ffffff", ink: "#22262c", faint: "#6a7180", grid: "#e6e8ed", detector: "#cfd4dc", ecal: "#5b7fb8", hf: "#8a6fc0", surface: 0.07, jet: "#7d8594", cone: 0.05, chosen: "#d6008f", veil: "rgba(255,255,255,0.62)" },
  dark: { paper: "#12151a", ink: "#e8eaee", faint: "#949cab", grid: "#272d37", detector: "#3c4452", ecal: "#7fa1da", hf: "#a78ce0", surface: 0.08, jet: "#9aa3b2", cone: 0.09, chosen: "#ff5cc4", veil: "rgba(18,21,26,0.62)" },
};
const system = matchMedia("(prefers-color-scheme: dark)");
const state = {
  view: "space", theme: system.matches ? "dark" : "light", ownTheme: false, minPt: page.min_pt, selected: null, camera: "tilted", ownCamera: null,
  shown: new Set(["detector", ...layers.filter((layer) => layer.shown).map((layer) => layer.key)]),
};
const VIEWS = {
  space: { layer: spaceLayer, links: spaceLinks, selection: spaceSelection, layout: spaceLayout, background: detectorTraces, always: [{ trace: NOWHERE }], cache: new Map(), current: {} },
  plane: { layer: planeLayer, links: planeLinks, selection: planeSelection, layout: planeLayout, background: () => [], always: [], cache: new Map(), current: {} },
};
const plot = (name) => document.getElementById(name);
const shownViews = () => (state.view === "both" ? ["space", "plane"] : [state.view]);
const CONFIG = { displayModeBar: false, scrollZoom: true, responsive: true, doubleClick: "reset", plotGlPixelRatio: Math.min(devicePixelRatio, 2) };

// Traces of a part of the picture, made again only if what they depend on has changed: plotly then sees that the others are the same.
function cached(view, name, stamp, make) {
  const { cache } = VIEWS[view];
  if (cache.get(name)?.stamp !== stamp) cache.set(name, { stamp, entries: make() });
  return cache.get(name).entries;
}

// Pairs above the threshold whose elements are shown; particles need not be, their ends show where they are.
function linkedPairs(kind) {
  const visible = (key) => {
    const mask = new Uint8Array(objects[key].size);
    for (const layer of layers) {
      if (layer.objects === key && (key !== "element" || state.shown.has(layer.key))) for (const row of keptRows(layer, state.minPt)) mask[row] = 1;
    }
    return mask;
  };
  const [a, b] = [visible(kind.from), visible(kind.to)], pairs = [];
  kind.first.forEach((row, i) => { if (a[row] && b[kind.second[i]]) pairs.push([row, kind.second[i]]); });
  return pairs;
}

function chosenObjects() {
  if (!state.selected) return [];
  const found = [state.selected], seen = new Set([`${state.selected.key} ${state.selected.row}`]);
  const add = (list) => list.forEach(({ key, row }) => {
    if (!seen.has(`${key} ${row}`) && canBeDrawn(key, row)) { seen.add(`${key} ${row}`); found.push({ key, row }); }
  });
  add(partners(state.selected.key, state.selected.row));
  if (state.selected.key !== "element") [...found].forEach(({ key, row }) => key === "element" && add(partners(key, row)));
  return found;
}

function entriesOf(view, chosen) {
  const tools = VIEWS[view], theme = THEMES[state.theme], entries = [...tools.always];
  if (state.shown.has("detector")) entries.push(...cached(view, "detector", state.theme, () => tools.background(theme)));
  for (const layer of layers) {
    if (!state.shown.has(layer.key)) continue;
    entries.push(...cached(view, layer.key, `${state.theme} ${layer.has_threshold ? state.minPt : ""}`, () => tools.layer(layer, keptRows(layer, state.minPt), theme)));
  }
  links.forEach((kind, i) => {
    if (!state.shown.has(`link_${i}`)) return;
    const stamp = [state.theme, state.minPt, ...state.shown].join(" ");
    entries.push(...cached(view, `link_${i}`, stamp, () => tools.links(kind, linkedPairs(kind), linkColor(kind, theme))));
  });
  if (chosen.length) entries.push(...tools.selection(chosen, theme));
  return entries;
}

async function drawView(view, chosen) {
  const entries = entriesOf(view, chosen), div = plot(view), tools = VIEWS[view];
  tools.entries = entries;
  Object.assign(tools.current, tools.layout(THEMES[state.theme], tools.current)); // always the same object: plotly writes into it where the reader turns the camera
  await Plotly.react(div, entries.map((entry) => entry.trace), tools.current, CONFIG);
  if (view === "space") letSurfacesThrough(div);
  if (!tools.listening) { listen(view, div); tools.listening = true; }
}

// plotly's pick of the nearest object counts those without labels, too: the pale surfaces would hide all behind them from the mouse.
function letSurfacesThrough(div) {
  for (const trace of Object.values(div._fullLayout?.scene?._scene?.traces ?? {})) {
    if (trace.data?.hoverinfo === "skip" && trace.mesh) trace.mesh.drawPick = () => {};
  }
}

async function drawUntilDone() {
  do {
    again = false;
    const chosen = chosenObjects();
    fillCounts(layers.map((layer) => [layer.key, [keptRows(layer, state.minPt).length, layer.rows.length]]));
    fillSelection(chosen);
    hideTip();
    for (const view of shownViews()) await drawView(view, chosen);
  } while (again);
}

let drawing = null, again = false;
// Draw what is shown; calls during a drawing are joined into one after it.
function draw() {
  if (drawing) { again = true; return drawing; }
  drawing = drawUntilDone().finally(() => {
    drawing = null;
    plot("busy").hidden = true;
  });
  return drawing;
}

const mouse = { x: 0, y: 0, downX: 0, downY: 0, over: null, pressed: null };

function listen(view, div) {
  div.on("plotly_hover", ({ points }) => {
    const entry = VIEWS[view].entries[points[0].curveNumber];
    const row = entry?.rows?.[Math.floor(points[0].pointNumber / (entry.stride ?? 1))];
    if (row === undefined || row < 0) return hideTip();
    mouse.over = { key: entry.key, row };
    showTip();
  });
  div.on("plotly_unhover", hideTip);
  div.on("plotly_relayout", (change) => { if ("scene.camera" in change && change["scene.camera"] !== state.ownCamera) state.camera = null; });
  div.addEventListener("mouseleave", hideTip);
  div.addEventListener("mousedown", (event) => { mouse.downX = event.clientX; mouse.downY = event.clientY; mouse.pressed = mouse.over; }, true);
}

function showTip() {
  const tip = document.getElementById("tip");
  tip.innerHTML = `<div class="card">${card(mouse.over.key, mouse.over.row, 3)}</div>`;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(mouse.x + 16 + width > innerWidth ? mouse.x - 16 - width : mouse.x + 16, 4)}px`;
  tip.style.top = `${Math.max(Math.min(mouse.y + 12, innerHeight - height - 6), 4)}px`;
}

function hideTip() {
  mouse.over = null;
  document.getElementById("tip").hidden = true;
}

function select(object) {
  const same = state.selected && object && object.key === state.selected.key && object.row === state.selected.row;
  state.selected = same ? null : object;
  return draw();
}

function press(group, attribute, value) {
  for (const button of document.querySelectorAll(`#${group} button`)) button.setAttribute("aria-pressed", String(button.dataset[attribute] === value));
}

async function setView(view) {
  state.view = view;
  press("view", "view", view);
  for (const name of Object.keys(VIEWS)) plot(name).hidden = !shownViews().includes(name);
  plot("camera").hidden = view === "plane";
  await draw();
  for (const name of shownViews()) await Plotly.Plots.resize(plot(name));
  if (state.camera) await setCamera(state.camera);
}

// Look from one of the given places, from further away if the picture is narrow; nobody's own place is left by itself.
async function setCamera(name) {
  const div = plot("space"), { width, height } = div.getBoundingClientRect();
  if (!width || !div._fullLayout) return;
  const own = camera(name, Math.max(1, (1.6 * height) / width));
  state.camera = name;
  state.ownCamera = own;
  await Plotly.relayout(div, { "scene.camera": own });
}

function setTheme(theme) {
  state.theme = theme;
  document.documentElement.dataset.theme = theme;
  return draw();
}

// The picture as a file, with title and legend.
async function save(format) {
  for (const view of shownViews()) {
    const div = plot(view), { width, height } = div.getBoundingClientRect();
    const layout = { ...div.layout, width, height, showlegend: true, title: { text: `<b>mlpf</b> <i>simulation</i>   ${page.title}`, x: 0.02, y: 0.985, yanchor: "top", font: { size: 15 } } };
    layout.legend = { bgcolor: "rgba(0,0,0,0)", itemsizing: "constant", x: 0.995, xanchor: "right", y: 0.98 };
    if (view === "plane") { layout.margin = { ...layout.margin, t: 60, r: 190 }; layout.legend.x = 1.01; layout.legend.xanchor = "left"; }
    const address = await Plotly.toImage({ data: div.data, layout, config: { plotGlPixelRatio: 3 } }, { format, width, height, scale: format === "png" ? 2 : 1 });
    const anchor = document.createElement("a");
    anchor.href = address;
    anchor.download = `event_${page.title.replace(/[^0-9]+/g, "_").replace(/^_/, "")}_${view === "space" ? "3d" : "eta_phi"}.${format}`;
    anchor.click();
  }
}

function start() {
  document.documentElement.dataset.theme = state.theme;
  fillLayers(state);
  fillFacts();
  const slider = plot("min_pt"), label = plot("min_pt_value");
  const showThreshold = () => { label.textContent = number(state.minPt, "GeV"); };
  slider.value = sliderOf(state.minPt);
  showThreshold();
  slider.addEventListener("input", () => { state.minPt = thresholdOf(Number(slider.value)); showThreshold(); draw(); });
  document.addEventListener("mousemove", (event) => { mouse.x = event.clientX; mouse.y = event.clientY; }, true);
  document.addEventListener("mouseup", (event) => { // plotly lays something over the page while a button is down
    const clicked = mouse.pressed;
    mouse.pressed = null;
    if (clicked && Math.hypot(event.clientX - mouse.downX, event.clientY - mouse.downY) < 4) select(clicked);
  }, true);
  document.getElementById("layers").addEventListener("change", ({ target }) => {
    state.shown[target.checked ? "add" : "delete"](target.dataset.layer);
    draw();
  });
  document.getElementById("view").addEventListener("click", ({ target }) => target.dataset.view && setView(target.dataset.view));
  document.getElementById("camera").addEventListener("click", ({ target }) => target.dataset.camera && setCamera(target.dataset.camera));
  document.getElementById("save").addEventListener("click", ({ target }) => target.dataset.format && save(target.dataset.format));
  document.getElementById("selection").addEventListener("click", ({ target }) => target.id === "clear" && select(null));
  document.addEventListener("keydown", ({ key }) => key === "Escape" && state.selected && select(null));
  document.getElementById("theme").addEventListener("click", () => { state.ownTheme = true; setTheme(state.theme === "dark" ? "light" : "dark"); });
  system.addEventListener("change", () => state.ownTheme || setTheme(system.matches ? "dark" : "light"));
  requestAnimationFrame(() => setTimeout(draw)); // the panel is seen first
}

start();
