// Coordinates of the pictures. In space plotly's axes are (z, x, y) of the detector [cm]: the beam lies flat and y is up.

const TOWER_LENGTH = 12, MAX_TOWER = 220; // cm per root of GeV
const HALF_LENGTH = 1300, HALF_WIDTH = 330; // cm that are inside the axes in space
const DASH = 12; // cm from one dash to the next
const EDGE = 0.5; // rad that the (eta, phi) plane goes on beyond phi = +-pi

// A line through points, NaN between its parts.
class Stroke {
  constructor() { this.x = []; this.y = []; this.z = []; this.rows = []; }
  point(x, y, z, row = -1) { this.x.push(z); this.y.push(x); this.z.push(y); this.rows.push(row); }
  end() { this.point(NaN, NaN, NaN); }
  get coordinates() { return { x: Float32Array.from(this.x), y: Float32Array.from(this.y), z: Float32Array.from(this.z) }; }
}

function addPath(stroke, key, row) {
  const { path, pathOffsets } = objects[key];
  for (let i = pathOffsets[row]; i < pathOffsets[row + 1]; i++) stroke.point(path[3 * i], path[3 * i + 1], path[3 * i + 2], row);
  if (pathOffsets[row] < pathOffsets[row + 1]) stroke.end();
}

// The same in dashes of our own: those of plotly grow with the length of all paths together, until whole paths fall into a gap.
function addDashes(stroke, key, row) {
  const { path, pathOffsets } = objects[key];
  for (let i = pathOffsets[row] + 1; i < pathOffsets[row + 1]; i++) {
    const from = path.subarray(3 * i - 3, 3 * i), step = [0, 1, 2].map((axis) => path[3 * i + axis] - from[axis]), dashes = Math.ceil(Math.hypot(...step) / DASH);
    for (let dash = 0; dash < dashes; dash++) {
      for (const part of [dash / dashes, (dash + 0.6) / dashes]) stroke.point(...step.map((length, axis) => from[axis] + part * length), row);
      stroke.end();
    }
  }
}

const BOX_FACES = [[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6], [0, 4, 5], [0, 5, 1], [1, 5, 6], [1, 6, 2], [2, 6, 7], [2, 7, 3], [3, 7, 4], [3, 4, 0]];

// Boxes that stand on the clusters' positions and point away from the centre; eight corners each.
function towers(key, rows, width) {
  const { position } = objects[key], n = rows.length;
  const x = new Float32Array(8 * n), y = new Float32Array(8 * n), z = new Float32Array(8 * n);
  const i = new Int32Array(12 * n), j = new Int32Array(12 * n), k = new Int32Array(12 * n);
  rows.forEach((row, box) => {
    const p = position.subarray(3 * row, 3 * row + 3);
    const r = Math.hypot(...p), rho = Math.hypot(p[0], p[1]);
    const out = [p[0] / r, p[1] / r, p[2] / r];
    const along = rho > 0 ? [-p[1] / rho, p[0] / rho, 0] : [1, 0, 0];
    const across = [-out[2] * along[1], out[2] * along[0], out[0] * along[1] - out[1] * along[0]];
    const length = Math.min(TOWER_LENGTH * Math.sqrt(scale(key, row)), MAX_TOWER);
    for (let corner = 0; corner < 8; corner++) {
      const a = (width / 2) * (corner % 4 === 1 || corner % 4 === 2 ? 1 : -1), b = (width / 2) * (corner % 4 < 2 ? -1 : 1), c = corner < 4 ? 0 : length;
      const at = 8 * box + corner;
      y[at] = p[0] + a * along[0] + b * across[0] + c * out[0];
      z[at] = p[1] + a * along[1] + b * across[1] + c * out[1];
      x[at] = p[2] + a * along[2] + b * across[2] + c * out[2];
    }
    BOX_FACES.forEach((face, side) => { [i[12 * box + side], j[12 * box + side], k[12 * box + side]] = face.map((corner) => 8 * box + corner); });
  });
  return { x, y, z, i, j, k };
}

function circle(stroke, radius, z, steps = 72) {
  for (let s = 0; s <= steps; s++) stroke.point(radius * Math.cos((2 * Math.PI * s) / steps), radius * Math.sin((2 * Math.PI * s) / steps), z);
  stroke.end();
}

// Rims of barrels and endcaps, and the beams.
function detectorLines() {
  const stroke = new Stroke();
  for (const { radius, half_length: half } of page.detector.barrels) for (const z of [-half, half]) circle(stroke, radius, z);
  for (const { inner, outer, z } of page.detector.endcaps) for (const side of [-z, z]) for (const radius of [inner, outer]) circle(stroke, radius, side);
  stroke.point(0, 0, -HALF_LENGTH); stroke.point(0, 0, HALF_LENGTH); stroke.end();
  return stroke.coordinates;
}

// Cones from the centre to the rims that are the paths of some objects.
function cones(key, rows) {
  const { path, pathOffsets } = objects[key], x = [], y = [], z = [], i = [], j = [], k = [];
  for (const row of rows) {
    const apex = x.push(0) - 1;
    y.push(0); z.push(0);
    for (let p = pathOffsets[row]; p < pathOffsets[row + 1]; p++) {
      const at = x.push(path[3 * p + 2]) - 1;
      y.push(path[3 * p]); z.push(path[3 * p + 1]);
      if (at > apex + 1) { i.push(apex); j.push(at - 1); k.push(at); }
    }
  }
  return { x, y, z, i, j, k };
}

// Middle of a closed path, further out by a factor.
function middle(key, row, factor) {
  const { path, pathOffsets } = objects[key], from = pathOffsets[row], to = pathOffsets[row + 1] - 1;
  return [0, 1, 2].map((axis) => {
    let sum = 0;
    for (let i = from; i < to; i++) sum += path[3 * i + axis];
    return (factor * sum) / (to - from);
  });
}

// Barrels and endcaps of one part of the detector as a mesh.
function detectorSurface(name, steps = 72) {
  const x = [], y = [], z = [], i = [], j = [], k = [];
  const band = (radius, from, otherRadius, to) => {
    const start = x.length;
    for (let s = 0; s < steps; s++) {
      const [c, d] = [Math.cos((2 * Math.PI * s) / steps), Math.sin((2 * Math.PI * s) / steps)];
      x.push(from, to); y.push(radius * c, otherRadius * c); z.push(radius * d, otherRadius * d);
      const [a, b] = [start + 2 * s, start + 2 * ((s + 1) % steps)];
      i.push(a, b); j.push(a + 1, a + 1); k.push(b, b + 1);
    }
  };
  for (const { radius, half_length: half } of page.detector.barrels.filter((part) => part.name === name)) band(radius, -half, radius, half);
  for (const { inner, outer, z: front } of page.detector.endcaps.filter((part) => part.name === name)) for (const side of [-front, front]) band(inner, side, outer, side);
  return { x, y, z, i, j, k };
}

const wrap = (phi) => phi - 2 * Math.PI * Math.floor((phi + Math.PI) / (2 * Math.PI));

// Whole turns after which an azimuth is in the drawn range again, itself included.
function turns(phi) {
  if (phi > Math.PI - EDGE) return [0, -2 * Math.PI];
  return phi < -Math.PI + EDGE ? [0, 2 * Math.PI] : [0];
}
