// Values as people read them.

const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

function number(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = size === 0 ? "0" : size < 1e-3 || size >= 1e6 ? value.toExponential(2) : size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : size >= 0.1 ? value.toFixed(2) : value.toFixed(3);
  return `${text.replace("-", "−")}${unit && " " + unit}`;
}

const count = (value) => (value === null ? "–" : String(value));
const charge = (value) => `${value > 0 ? "+" : ""}${value}`.replace("-", "−");
const angle = (value, unit = "") => `${value.toFixed(3).replace("-", "−")}${unit && " " + unit}`;

// What an object is called: "ECAL cluster", "π⁺", "charged hadron +".
function nameOf(key, row) {
  const { layerOf, columns } = objects[key];
  if (key === "element") return layers[layerOf[row]]?.title.replace(/s(?=,|$)/, "") ?? page.names.type[columns.type[row]];
  if (key === "genjet") return "generated jet";
  return page.names[key === "truth" ? "truth" : "candidate"][columns.pdgid[row]];
}

const kindOf = (key) => (key === "element" ? "element" : key === "genjet" ? "" : objects[key].title.replace(/s$/, ""));

// Lines of a card: [what, value], values as HTML.
function describe(key, row) {
  const c = objects[key].columns, lines = [];
  lines.push(["p<sub>T</sub>", number(c.pt[row], "GeV")], ["energy", number(c.energy[row], "GeV")]);
  lines.push(["η, φ", `${angle(c.eta[row])}, ${angle(c.phi[row], "rad")}`]);
  if (c.charge && (c.charge[row] || key !== "element")) lines.push(["charge", charge(c.charge[row])]);
  if (c.pdgid) lines.push(["pdgId", String(c.pdgid[row]).replace("-", "−")]);
  if (c.layer && c.layer[row]) lines.push(["layer", `${page.names.layer[c.layer[row]] ?? c.layer[row]}${c.depth[row] ? `, depth ${number(c.depth[row])}` : ""}`]);
  if (c.type && objects[key].pathOffsets[row] === objects[key].pathOffsets[row + 1]) lines.push(["position", `${[0, 1, 2].map((i) => number(objects[key].position[3 * row + i])).join(", ")} cm`]);
  if (c.score) lines.push(["score", c.score[row].toFixed(3)]);
  if (c.pileup) lines.push(["pileup", `${(100 * c.pileup[row]).toFixed(0)} %`]);
  return lines;
}

// The linked objects in words, per collection: [title, HTML].
function describePartners(key, row, most = 3) {
  const groups = new Map();
  for (const partner of partners(key, row)) {
    const title = key === "element" ? kindOf(partner.key) : "elements";
    if (!groups.has(title)) groups.set(title, []);
    groups.get(title).push(partner);
  }
  return [...groups].map(([title, group]) => {
    const shown = group.slice(0, most).map((p) => {
      const { index, pt, energy } = objects[p.key].columns;
      const size = pt[p.row] > 0 ? `${number(pt[p.row])} GeV` : `E ${number(energy[p.row])} GeV`;
      const weight = p.kind.unit && Number.isFinite(p.weight) ? `, ${number(p.weight)} ${escapeHtml(p.kind.unit)}` : "";
      return `${escapeHtml(nameOf(p.key, p.row))} ${size} <small>#${index[p.row]}${weight}</small>`;
    });
    if (group.length > most) shown.push(`<small>and ${group.length - most} more</small>`);
    return [escapeHtml(title), shown.join("<br>")];
  });
}

// An object in one line.
function line(key, row) {
  const { index, pt, eta, phi } = objects[key].columns;
  return `<div class="what"><b>${escapeHtml(nameOf(key, row))}</b><span>${escapeHtml(kindOf(key))} #${index[row]}</span></div>${number(pt[row], "GeV")} <small>at ${angle(eta[row])}, ${angle(phi[row])}</small>`;
}

function card(key, row, most) {
  const lines = [...describe(key, row), ...(most ? describePartners(key, row, most) : [])];
  const kind = kindOf(key), index = objects[key].columns.index[row];
  const head = `<div class="what"><b>${escapeHtml(nameOf(key, row))}</b><span>${escapeHtml(kind)} #${index}</span></div>`;
  return `${head}<dl>${lines.map(([what, value]) => `<dt>${what}</dt><dd>${value}</dd>`).join("")}</dl>`;
}
