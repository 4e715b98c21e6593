// The event: columns, positions and paths of its objects, and which of them are linked to which.

const page = JSON.parse(document.getElementById("data").textContent);

function decode({ dtype, bdata }) {
  const text = atob(bdata), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return dtype === "f4" ? new Float32Array(bytes.buffer) : new Int32Array(bytes.buffer);
}

const objects = {};
for (const [key, given] of Object.entries(page.objects)) {
  const columns = Object.fromEntries(Object.entries(given.columns).map(([name, values]) => [name, decode(values)]));
  objects[key] = { title: given.title, columns, size: columns.pt.length, position: decode(given.position), path: decode(given.path), pathOffsets: decode(given.path_offsets) };
}

const layers = page.layers.map((layer) => {
  const { pt } = objects[layer.objects].columns;
  const rows = decode(layer.rows).sort((a, b) => pt[b] - pt[a]); // the small ones are drawn over the large ones
  return { ...layer, rows };
});
for (const [key, { size }] of Object.entries(objects)) objects[key].layerOf = new Int16Array(size).fill(-1);
layers.forEach((layer, number) => { for (const row of layer.rows) objects[layer.objects].layerOf[row] = number; });

const links = page.links.map((kind) => ({ ...kind, first: decode(kind.first), second: decode(kind.second), weight: decode(kind.weight) }));

// Transverse momentum [GeV] that decides on sizes; that of the energy where an object has none of its own (superclusters).
function scale(key, row) {
  const { pt, energy, eta } = objects[key].columns;
  return pt[row] > 0 ? pt[row] : Math.max(energy[row] / Math.cosh(eta[row]), 0);
}

const canBeDrawn = (key, row) => Number.isFinite(objects[key].position[3 * row]);

// Rows of a layer above the threshold.
function keptRows(layer, minPt) {
  const { pt } = objects[layer.objects].columns;
  return layer.rows.filter((row) => canBeDrawn(layer.objects, row) && (!layer.has_threshold || pt[row] >= minPt));
}

// Positions of the links of an object in a kind's arrays; `side` is the one that the object is on.
function linksOf(kind, side, row) {
  const index = (kind.index ??= {});
  if (!index[side]) {
    index[side] = new Map();
    kind[side].forEach((object, link) => {
      if (!index[side].has(object)) index[side].set(object, []);
      index[side].get(object).push(link);
    });
  }
  return index[side].get(row) ?? [];
}

// Objects linked to one, strongest link first: [{ key, row, kind, weight }]; elements that are linked to elements are left out.
function partners(key, row) {
  const found = [];
  for (const kind of links) {
    if (kind.from === kind.to) continue;
    for (const [side, other, own, theirs] of [["first", "second", kind.from, kind.to], ["second", "first", kind.to, kind.from]]) {
      if (own !== key) continue;
      const near = linksOf(kind, side, row).map((link) => ({ key: theirs, row: kind[other][link], kind, weight: kind.weight[link] ?? NaN }));
      found.push(...near.sort((a, b) => (b.weight || 0) - (a.weight || 0) || scale(b.key, b.row) - scale(a.key, a.row)));
    }
  }
  return found;
}
