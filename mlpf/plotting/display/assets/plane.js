// The (eta, phi) plane, which goes on a little beyond phi = +-pi: what is near one edge is seen again, paler, beyond the other.

const PHI_TICKS = [-Math.PI, -Math.PI / 2, 0, Math.PI / 2, Math.PI];
const JET_RADIUS = page.jets.radius;

// Diameter [pixels]; the area goes with pt, with an end on either side so that all can be seen.
const diameter = (pt) => Math.sqrt(Math.min(Math.max(12 * pt, 16), 900));

function planePoints(key, rows) {
  const { eta, phi } = objects[key].columns, x = [], y = [], owners = [];
  for (const row of rows) {
    const at = wrap(phi[row]);
    for (const turn of turns(at)) { x.push(eta[row]); y.push(at + turn); owners.push(row); }
  }
  return { x: Float32Array.from(x), y: Float32Array.from(y), owners };
}

function planeLayer(layer, rows, theme) {
  const { look, title, objects: key } = layer, color = look.color === "ink" ? theme.ink : look.color;
  if (look.shape === "cone") return planeJets(layer, rows, theme);
  const { x, y, owners } = planePoints(key, rows);
  const laidOver = look.shape === "particle";
  const size = Float32Array.from(owners, (row) => laidOver ? Math.min(diameter(scale(key, row)), 18) + 4 : diameter(scale(key, row)));
  const line = look.symbol.endsWith("open") ? { width: laidOver ? 1.5 : 1.2, color } : { width: 0 };
  const trace = { type: "scattergl", mode: "markers", x, y, name: title, marker: { color, size, symbol: look.symbol, opacity: laidOver ? 0.95 : 0.72, line }, hoverinfo: "none" };
  return [{ key, rows: owners, trace }];
}

function planeJets(layer, rows, theme) {
  const { eta, phi, pt } = objects[layer.objects].columns, x = [], y = [], owners = [], texts = { x: [], y: [], text: [], rows: [] };
  for (const row of rows) {
    for (const turn of turns(wrap(phi[row]))) {
      const at = wrap(phi[row]) + turn;
      for (let s = 0; s <= 48; s++) {
        x.push(eta[row] + JET_RADIUS * Math.cos((2 * Math.PI * s) / 48)); y.push(at + JET_RADIUS * Math.sin((2 * Math.PI * s) / 48)); owners.push(row);
      }
      x.push(NaN); y.push(NaN); owners.push(-1);
      texts.x.push(eta[row]); texts.y.push(at + JET_RADIUS + 0.07); texts.text.push(`${number(pt[row])} GeV`); texts.rows.push(row);
    }
  }
  const outline = { type: "scattergl", mode: "lines", x: Float32Array.from(x), y: Float32Array.from(y), name: layer.title, line: { color: theme.jet, width: 1.5 }, hoverinfo: "none", connectgaps: false };
  const labels = { type: "scatter", mode: "text", x: texts.x, y: texts.y, text: texts.text, textfont: { color: theme.faint, size: 11 }, hoverinfo: "skip", showlegend: false };
  return [{ key: layer.objects, rows: owners, trace: outline }, { key: layer.objects, rows: texts.rows, trace: labels }];
}

function planeSegment(x, y, etaA, phiA, etaB, phiB) {
  const a = wrap(phiA), b = a + wrap(phiB - phiA); // the short way round
  for (const turn of new Set([...turns(a), ...turns(wrap(b)).map((t) => t + wrap(b) - b)])) {
    x.push(etaA, etaB, NaN); y.push(a + turn, b + turn, NaN);
  }
}

function planeLinks(kind, pairs, color) {
  const from = objects[kind.from].columns, to = objects[kind.to].columns, x = [], y = [];
  for (const [a, b] of pairs) planeSegment(x, y, from.eta[a], from.phi[a], to.eta[b], to.phi[b]);
  return [{ trace: { type: "scattergl", mode: "lines", x: Float32Array.from(x), y: Float32Array.from(y), name: kind.title, line: { color, width: 1.2 }, opacity: 0.8, hoverinfo: "skip", connectgaps: false } }];
}

function planeSelection(chosen, theme) {
  const x = [], y = [], points = { x: [], y: [] };
  for (const { key, row } of chosen) {
    const { eta, phi } = objects[key].columns, own = objects[chosen[0].key].columns;
    planeSegment(x, y, own.eta[chosen[0].row], own.phi[chosen[0].row], eta[row], phi[row]);
    for (const turn of turns(wrap(phi[row]))) { points.x.push(eta[row]); points.y.push(wrap(phi[row]) + turn); }
  }
  const quiet = { hoverinfo: "skip", showlegend: false };
  return [
    { trace: { type: "scattergl", mode: "lines", x, y, line: { color: theme.chosen, width: 2 }, connectgaps: false, ...quiet } },
    { trace: { type: "scattergl", mode: "markers", ...points, marker: { color: theme.chosen, size: 22, symbol: "circle-open", line: { width: 2.5, color: theme.chosen } }, ...quiet } },
  ];
}

function planeLayout(theme) {
  const axis = { gridcolor: theme.grid, zeroline: false, linecolor: theme.grid, tickfont: { size: 12 }, ticks: "outside", tickcolor: theme.grid, fixedrange: false };
  const edge = (x) => ({ type: "line", x0: x, x1: x, y0: -Math.PI - EDGE, y1: Math.PI + EDGE, line: { color: theme.faint, width: 1, dash: "dot" }, layer: "below" });
  const beyond = (from, to) => ({ type: "rect", x0: -9, x1: 9, y0: from, y1: to, fillcolor: theme.veil, line: { width: 0 }, layer: "above" });
  const { barrel, HF } = page.detector.eta_edges, PI = Math.PI;
  const note = (x, text) => ({ x, y: PI + EDGE, yanchor: "bottom", text, showarrow: false, font: { size: 11, color: theme.faint } });
  return {
    paper_bgcolor: theme.paper, plot_bgcolor: theme.paper, font: { color: theme.ink }, margin: { l: 58, r: 14, t: 26, b: 44 }, uirevision: "kept", showlegend: false, dragmode: "pan", hovermode: "closest", hoverdistance: 12,
    xaxis: { ...axis, range: [-5.3, 5.3], constrain: "domain", title: { text: "η", standoff: 4 }, zeroline: false },
    yaxis: { ...axis, range: [-PI - EDGE, PI + EDGE], scaleanchor: "x", constrain: "domain", title: { text: "φ [rad]", standoff: 2 }, tickvals: PHI_TICKS, ticktext: ["−π", "−π/2", "0", "π/2", "π"] },
    shapes: [beyond(PI, PI + EDGE), beyond(-PI - EDGE, -PI), ...[-HF, -barrel, barrel, HF].map(edge)],
    annotations: [note(0, "barrel"), note((barrel + HF) / 2, "endcap"), note(-(barrel + HF) / 2, "endcap"), note(4.1, "HF"), note(-4.1, "HF")],
  };
}
