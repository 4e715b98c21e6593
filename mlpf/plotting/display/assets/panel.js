// What stands beside the pictures: switches, slider, table of the event, cards of what is selected.

const SYMBOL_PATHS = {
  "triangle-up": "M11 3 17 13 5 13Z", "triangle-down": "M11 13 17 3 5 3Z", "triangle-left-open": "M5 8 16 2 16 14Z", square: "M6 3H16V13H6Z", "square-open": "M6 3H16V13H6Z",
  hexagon: "M11 2 16.5 5 16.5 11 11 14 5.5 11 5.5 5Z", "hexagon-open": "M11 2 16.5 5 16.5 11 11 14 5.5 11 5.5 5Z", "diamond-tall": "M11 1 15.5 8 11 15 6.5 8Z",
  "diamond-wide": "M3 8 11 3.5 19 8 11 12.5Z", "x-thin-open": "M6 3 16 13M16 3 6 13", "cross-thin-open": "M11 2V14M5 8H17", "circle-open": "M11 2.5A5.5 5.5 0 1 1 10.99 2.5Z",
  "star-open": "M11 1.5 12.8 6.2 17.8 6.4 13.9 9.5 15.2 14.4 11 11.6 6.8 14.4 8.1 9.5 4.2 6.4 9.2 6.2Z", "bowtie-open": "M5 3 17 13 17 3 5 13Z",
};

function swatch(look) {
  const color = look.shape === "cone" ? "var(--faint)" : look.color === "ink" ? "currentColor" : look.color, open = look.symbol.endsWith("open");
  const dash = look.shape === "cone" ? ' stroke-dasharray="3 2"' : "";
  return `<svg viewBox="0 0 22 16" aria-hidden="true"><path d="${SYMBOL_PATHS[look.symbol]}" fill="${open ? "none" : color}" stroke="${color}" stroke-width="${open ? 1.8 : 0.5}"${dash}/></svg>`;
}

const linkSwatch = (color) => `<svg viewBox="0 0 22 16" aria-hidden="true"><path d="M3 13 19 3" fill="none" stroke="${color}" stroke-width="1.6"/></svg>`;

function switchHtml(name, title, drawing, count, on) {
  return `<label class="layer"><input type="checkbox" data-layer="${name}"${on ? " checked" : ""}>${drawing}<span class="title">${escapeHtml(title)}</span><span class="count" data-count="${name}">${count}</span></label>`;
}

function fillLayers(state) {
  let html = "";
  for (const group of new Set(layers.map((layer) => layer.group))) {
    html += `<h2>${escapeHtml(group)}</h2>`;
    for (const layer of layers.filter((l) => l.group === group)) html += switchHtml(layer.key, layer.title, swatch(layer.look), layer.rows.length, state.shown.has(layer.key));
  }
  if (links.length) html += "<h2>Links</h2>";
  links.forEach((kind, i) => { html += switchHtml(`link_${i}`, kind.title, linkSwatch(linkColor(kind, { ink: "currentColor", faint: "var(--faint)" })), kind.first.length, state.shown.has(`link_${i}`)); });
  html += '<h2>Detector</h2>' + switchHtml("detector", "outline", linkSwatch("var(--faint)"), "", true);
  const undrawn = Object.entries(page.num_undrawn).map(([title, count]) => `${count} ${escapeHtml(title)}`);
  if (undrawn.length) html += `<p class="note" id="undrawn">Not drawn, as their values are not finite or along the beam: ${undrawn.join(", ")}.</p>`;
  html += '<p class="note">Towers are as long as √E<sub>T</sub> (12 cm at 1 GeV); areas of symbols go with p<sub>T</sub>. Click an object to select it with its links.</p>';
  document.getElementById("layers").innerHTML = html;
}

// Links have the colour of the particles at their end.
function linkColor(kind, theme) {
  const color = layers.find((layer) => layer.objects === kind.to && kind.to !== kind.from)?.look.color;
  return color === undefined ? theme.faint : color === "ink" ? theme.ink : color;
}

function fillCounts(counts) {
  for (const [key, [kept, all]] of counts) document.querySelector(`[data-count="${key}"]`).textContent = kept === all ? all : `${kept} of ${all}`;
}

function fillFacts() {
  document.getElementById("identity").textContent = page.title;
  const counts = layers.filter((layer) => layer.group === "Elements").map((layer) => `${layer.rows.length} ${layer.title}`);
  const rows = page.facts.map((f) => {
    const cells = [f.title, count(f.number), number(f.sum_pt, "GeV"), number(f.met, "GeV"), f.met_phi === null ? "–" : angle(f.met_phi), count(f.num_jets), f.jet_pt.map((pt) => number(pt)).join(", ") || "–"];
    return `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`;
  });
  const head = `<tr><th></th><th>particles</th><th>Σp<sub>T</sub></th><th>p<sub>T</sub><sup>miss</sup></th><th>its φ [rad]</th><th>jets &gt; ${page.jets.min_pt} GeV</th><th>hardest [GeV]</th></tr>`;
  const about = [page.source, objects.element ? `${objects.element.size} elements${counts.length ? `: ${counts.join(", ")}` : ""}` : "candidates alone"];
  document.getElementById("facts_table").innerHTML = `<p>${escapeHtml(about.join(" · "))}</p><table><thead>${head}</thead><tbody>${rows.join("")}</tbody></table>`;
}

function fillSelection(chosen, most = 12) {
  const section = document.getElementById("selection");
  section.hidden = !chosen.length;
  if (!chosen.length) return;
  const cards = chosen.slice(0, most).map(({ key, row }, i) => `<div class="card${i ? "" : " first"}">${i ? line(key, row) : card(key, row, 3)}</div>`);
  const more = chosen.length > most ? `<p class="note">and ${chosen.length - most} more</p>` : "";
  section.innerHTML = `<div class="head"><h2>Selected, with its links</h2><button id="clear">clear</button></div>${cards.join("")}${more}`;
}

// The slider is logarithmic from 0.1 to 100 GeV; its left end is no threshold at all.
const thresholdOf = (value) => (value <= 0 ? 0 : 0.1 * 10 ** ((3 * (value - 1)) / 99));
const sliderOf = (pt) => (pt < 0.1 ? 0 : Math.min(Math.round(1 + (99 * Math.log10(pt / 0.1)) / 3), 100));
