"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  root.classList.add("js");

  // One line for a moment, also for those who listen.
  const status = document.getElementById("status");
  let forget = 0;
  function say(words) {
    status.textContent = words;
    clearTimeout(forget);
    forget = setTimeout(() => { status.textContent = ""; }, 2000);
  }

  // The bar takes as many lines as its systems need; what a link leads to stands below it.
  const bar = document.querySelector(".bar");
  new ResizeObserver(() => root.style.setProperty("--bar", `${bar.offsetHeight}px`)).observe(bar);

  // Systems: one rule hides all that belongs to those unchecked, in figures and tables; not on paper.
  const rule = document.head.appendChild(document.createElement("style"));
  const boxes = all(".systems input");
  const isHidden = (element) => boxes.some((box) => !box.checked && box.value === element.dataset.system);
  function showSystems() {
    const hidden = boxes.filter((box) => !box.checked).map((box) => `[data-system="${CSS.escape(box.value)}"]`);
    rule.textContent = hidden.length ? `@media screen { ${hidden.join(", ")} { display: none !important; } }` : "";
  }
  boxes.forEach((box) => box.addEventListener("change", showSystems));
  showSystems(); // browsers restore the boxes of a page that is loaded again

  // Theme: remembered where the browser allows a file to.
  const theme = document.getElementById("theme");
  function setTheme(name) {
    if (name) root.dataset.theme = name; else delete root.dataset.theme;
    theme.value = name;
  }
  let remembered = "";
  try { remembered = localStorage.getItem("mlpf-theme") || ""; } catch { /* no storage here */ }
  setTheme(remembered);
  theme.addEventListener("change", () => {
    setTheme(theme.value);
    try { localStorage.setItem("mlpf-theme", theme.value); } catch { /* no storage here */ }
  });

  // Datasets: one at a time; the next one opens at the figure or section that was on top of the window.
  const panels = all(".dataset");
  const tabs = all("[role=tab]");
  const top = () => bar.getBoundingClientRect().bottom;
  function showDataset(name) {
    panels.forEach((panel) => { panel.hidden = panel.id !== name; });
    all(".of-dataset").forEach((item) => { item.hidden = item.dataset.of !== name; });
    tabs.forEach((tab) => {
      const chosen = tab.getAttribute("aria-controls") === name;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
    });
  }
  function switchDataset(name) {
    const shown = panels.find((panel) => !panel.hidden);
    if (shown.id === name) return;
    const above = all("[data-place]", shown).filter((place) => place.getBoundingClientRect().top <= top() + 32);
    const heights = above.map((place) => place.getBoundingClientRect().top);
    showDataset(name);
    const panel = document.getElementById(name);
    for (let i = above.length - 1; i >= 0; i--) {
      const same = all("[data-place]", panel).find((place) => place.dataset.place === above[i].dataset.place);
      if (same) { window.scrollBy({ top: same.getBoundingClientRect().top - heights[i], behavior: "instant" }); break; }
    }
    markContents();
  }
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => switchDataset(tab.getAttribute("aria-controls")));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = tabs[(i + step + tabs.length) % tabs.length];
      next.focus({ preventScroll: true });
      next.click();
    });
  });
  function showTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const panel = target && target.closest(".dataset");
    if (panel && panel.hidden) { showDataset(panel.id); target.scrollIntoView(); }
  }
  if (panels.length > 1) showDataset(panels[0].id);
  window.addEventListener("hashchange", showTarget);
  showTarget();

  // Reference of the comparison: one for all datasets that have it.
  const choices = all("[data-reference]");
  function showReference(name) {
    choices.forEach((choice) => {
      if (![...choice.options].some((option) => option.value === name)) return;
      choice.value = name;
      all(".comparison", choice.closest("section")).forEach((part) => { part.hidden = part.dataset.against !== name; });
    });
  }
  choices.forEach((choice) => choice.addEventListener("change", () => showReference(choice.value)));
  choices.forEach((choice) => showReference(choice.options[0].value));

  // Contents: where the reader is.
  const links = all("nav a");
  function markContents() {
    const places = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
    let here = -1;
    places.forEach((place, i) => { if (place.offsetParent !== null && place.getBoundingClientRect().top <= top() + 48) here = i; });
    links.forEach((link, i) => { if (i === here) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current"); });
  }
  let waiting = false;
  window.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; markContents(); });
  }, { passive: true });
  markContents();

  // Downloads: the figure as a file of its own, black on nothing, with the systems that are shown.
  const original = (style) => style.replaceAll("currentColor", "#000000").replaceAll("var(--page)", "#ffffff").replace(/var\(--c([0-9a-f]{6})\)/g, "#$1");
  function standalone(figure) {
    const shown = figure.querySelector("svg");
    const svg = shown.cloneNode(true);
    all("[data-system]", svg).filter(isHidden).forEach((part) => part.remove());
    all("[style]", svg).forEach((part) => part.setAttribute("style", original(part.getAttribute("style"))));
    const style = document.createElementNS("http://www.w3.org/2000/svg", "style");
    style.textContent = "*{stroke-linejoin:round;stroke-linecap:butt} text{font-family:'TeX Gyre Heros',Helvetica,Arial,'Liberation Sans',sans-serif}";
    svg.prepend(style);
    return '<?xml version="1.0" encoding="utf-8"?>\n' + new XMLSerializer().serializeToString(svg);
  }
  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  function savePng(source, figure, name) {
    const { width, height } = figure.querySelector("svg").viewBox.baseVal;
    const image = new Image();
    const address = URL.createObjectURL(new Blob([source], { type: "image/svg+xml" }));
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 3 * width; // 216 dots per inch
      canvas.height = 3 * height;
      const context = canvas.getContext("2d");
      context.fillStyle = "#ffffff";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(address);
      canvas.toBlob((blob) => save(blob, name), "image/png");
    };
    image.src = address;
  }
  all("[data-download]").forEach((button) => button.addEventListener("click", () => {
    const figure = button.closest("figure");
    const source = standalone(figure);
    if (button.dataset.download === "svg") save(new Blob([source], { type: "image/svg+xml" }), `${figure.dataset.file}.svg`);
    else savePng(source, figure, `${figure.dataset.file}.png`);
    button.closest("details").open = false;
  }));
  const menus = all(".menu");
  document.addEventListener("click", (event) => menus.forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; }));
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && menus.find((menu) => menu.open);
    if (open) { open.open = false; open.querySelector("summary").focus(); }
  });

  // Tables as text: the rows and columns that are shown.
  const text = (cells, kind) => cells.map((cell) => cell.dataset[kind] ?? cell.textContent.trim());
  function linesOf(table, kind) {
    return all("tr", table).filter((row) => !isHidden(row)).map((row) => text([...row.cells].filter((cell) => !isHidden(cell)), kind));
  }
  function tsv(table) {
    return linesOf(table, "tsv").map((cells) => cells.join("\t")).join("\n") + "\n";
  }
  function latex(table) {
    const lines = linesOf(table, "latex");
    const columns = lines[0].length;
    const body = lines.map((cells) => cells.length === 1 && columns > 1 ? `\\multicolumn{${columns}}{l}{${cells[0]}} \\\\` : `${cells.join(" & ")} \\\\`);
    return [`\\begin{tabular}{l${"r".repeat(columns - 1)}}`, "\\hline", body[0], "\\hline", ...body.slice(1), "\\hline", "\\end{tabular}"].join("\n") + "\n";
  }
  async function copy(words) {
    try {
      await navigator.clipboard.writeText(words);
    } catch { // pages from a disk in browsers that call them insecure
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = words;
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    say("Copied");
  }
  all("[data-copy]").forEach((button) => button.addEventListener("click", () => {
    const table = button.closest(".table").querySelector("table");
    copy(button.dataset.copy === "tsv" ? tsv(table) : latex(table));
  }));

  // Paper: everything that is folded, too.
  const folded = new Set();
  window.addEventListener("beforeprint", () => all("main details:not(.menu):not([open])").forEach((part) => { folded.add(part); part.open = true; }));
  window.addEventListener("afterprint", () => { folded.forEach((part) => { part.open = false; }); folded.clear(); });
})();
