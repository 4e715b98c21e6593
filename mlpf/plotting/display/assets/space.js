// The view in space: traces of plotly, and which object each of their points belongs to.

const HARD_PT = 2; // GeV; tracks above are drawn thicker
const EYES = { tilted: [0.52, -0.9, 0.4], beam: [1.3, 0, 0], side: [0, -1.45, 0], whole: [1.6, -2.6, 1.1] }; // in heights of the picture's space

function camera(name, factor) {
  const [x, y, z] = EYES[name].map((value) => factor * value);
  return { up: { x: 0, y: 0, z: 1 }, center: { x: 0, y: 0, z: 0 }, eye: { x, y, z }, projection: { type: "perspective" } };
}

const line3d = (coordinates, color, width, more = {}) => ({ type: "scatter3d", mode: "lines", ...coordinates, connectgaps: false, line: { color, width }, hoverinfo: "none", showlegend: false, ...more });
const points3d = (coordinates, marker, more = {}) => ({ type: "scatter3d", mode: "markers", ...coordinates, marker, hoverinfo: "none", showlegend: false, ...more });

const NOWHERE = points3d({ x: [0], y: [0], z: [0] }, { size: 1, opacity: 0 }, { hoverinfo: "skip" }); // without any trace plotly would draw flat axes

function detectorTraces(theme) {
  const surface = (name, color, opacity) => ({ type: "mesh3d", ...detectorSurface(name), color, opacity, flatshading: false, hoverinfo: "skip", showlegend: false, lighting: { ambient: 1, diffuse: 0, specular: 0, fresnel: 0 } });
  return [
    { trace: line3d(detectorLines(), theme.detector, 2, { hoverinfo: "skip" }) },
    { trace: surface("ECAL", theme.ecal, theme.surface) },
    { trace: surface("HF", theme.hf, theme.surface) },
  ];
}

function spaceLayer(layer, rows, theme) {
  const { look, title, objects: key } = layer, color = look.color === "ink" ? theme.ink : look.color;
  const legend = { name: title, showlegend: true };
  if (look.shape === "tower") {
    const lighting = { ambient: 0.88, diffuse: 0.4, specular: 0.04, roughness: 0.9, fresnel: 0 };
    return [{ key, rows, stride: 8, trace: { type: "mesh3d", ...towers(key, rows, look.size), color, flatshading: true, lighting, lightposition: { x: 600, y: -900, z: 2000 }, hoverinfo: "none", ...legend } }];
  }
  if (look.shape === "track") {
    const { pt } = objects[key].columns;
    return [rows.filter((row) => pt[row] >= HARD_PT), rows.filter((row) => !(pt[row] >= HARD_PT))].map((part, soft) =>
      pathTrace(key, part, color, soft ? 2 : 3.5, { ...(soft ? {} : legend), opacity: soft ? 0.4 : 1 }, look.dashed ? addDashes : addPath));
  }
  if (look.shape === "particle") {
    const size = Float32Array.from(rows, (row) => Math.min(4 + 4.8 * Math.log10(1 + scale(key, row)), 14));
    return [pathTrace(key, rows, color, 2, { opacity: 0.9 }), { key, rows, trace: points3d(anchors(key, rows), { color, size, symbol: look.symbol_3d, line: { width: 0 } }, legend) }];
  }
  if (look.shape === "cone") {
    const lighting = { ambient: 1, diffuse: 0, specular: 0, fresnel: 0 };
    const inside = { type: "mesh3d", ...cones(key, rows), color: theme.jet, opacity: theme.cone, lighting, hoverinfo: "skip", showlegend: false };
    return [pathTrace(key, rows, theme.jet, 2, legend), { trace: inside }];
  }
  return [{ key, rows, trace: points3d(anchors(key, rows), { color, size: Float32Array.from(rows, (row) => Math.min(3 + 2 * Math.log10(1 + scale(key, row)), 9)), symbol: look.symbol_3d, line: { width: 0 } }, legend) }];
}

function pathTrace(key, rows, color, width, more, add = addPath) {
  const stroke = new Stroke();
  for (const row of rows) add(stroke, key, row);
  return { key, rows: stroke.rows, trace: line3d(stroke.coordinates, color, width, more) };
}

function anchors(key, rows) {
  const { position } = objects[key];
  const along = (axis) => Float32Array.from(rows, (row) => position[3 * row + axis]);
  return { x: along(2), y: along(0), z: along(1) };
}

// Texts at the cones; plotly draws them above the picture, which takes it less time than texts in space.
function spaceNotes(theme) {
  const jets = layers.find((layer) => layer.look.shape === "cone" && state.shown.has(layer.key));
  if (!jets) return [];
  return Array.from(keptRows(jets, state.minPt), (row) => {
    const [x, y, z] = middle(jets.objects, row, 1.4);
    return { x: z, y: x, z: y, text: `${number(objects[jets.objects].columns.pt[row])} GeV`, showarrow: false, font: { size: 12, color: theme.ink }, bgcolor: theme.veil, borderpad: 1 };
  });
}

function spaceLinks(kind, pairs, color) {
  const stroke = new Stroke();
  for (const [a, b] of pairs) {
    stroke.point(...objects[kind.from].position.subarray(3 * a, 3 * a + 3));
    stroke.point(...objects[kind.to].position.subarray(3 * b, 3 * b + 3));
    stroke.end();
  }
  return [{ trace: line3d(stroke.coordinates, color, 1.5, { name: kind.title, showlegend: true, hoverinfo: "skip", opacity: 0.7 }) }];
}

function spaceSelection(chosen, theme) {
  const stroke = new Stroke(), x = [], y = [], z = [];
  const first = chosen[0] && objects[chosen[0].key].position.subarray(3 * chosen[0].row, 3 * chosen[0].row + 3);
  for (const { key, row } of chosen) {
    const p = objects[key].position.subarray(3 * row, 3 * row + 3);
    addPath(stroke, key, row);
    stroke.point(...first); stroke.point(...p); stroke.end();
    x.push(p[2]); y.push(p[0]); z.push(p[1]);
  }
  return [
    { trace: line3d(stroke.coordinates, theme.chosen, 5, { hoverinfo: "skip" }) },
    { trace: points3d({ x, y, z }, { size: 12, color: theme.chosen, symbol: "circle-open" }, { hoverinfo: "skip" }) },
  ];
}

function spaceLayout(theme, current) {
  const axis = (half) => ({ visible: false, title: { text: "" }, range: [-half, half], autorange: false, showspikes: false });
  const ratio = HALF_LENGTH / HALF_WIDTH;
  return {
    paper_bgcolor: theme.paper, margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, font: { color: theme.ink },
    scene: { bgcolor: theme.paper, xaxis: axis(HALF_LENGTH), yaxis: axis(HALF_WIDTH), zaxis: axis(HALF_WIDTH), aspectmode: "manual", aspectratio: { x: ratio, y: 1, z: 1 },
      camera: current.scene?.camera ?? camera("tilted", 1), dragmode: "turntable", hovermode: false, annotations: spaceNotes(theme) },
  };
}
