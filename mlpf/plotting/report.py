"""One self-contained page with the numbers and figures of an evaluation; light or dark as the reader's system, no scripts."""

import html
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlpf.io.files import write_text
from mlpf.metrics.systems import RULE_BASED, TARGETS
from mlpf.plotting.style import CLASS_TITLES

Results = dict[str, Any]
Row = tuple[str, tuple[str | int, ...]]  # what it is called, where it is below its system

MAIN_CLASSES = ("charged_hadron", "photon", "neutral_hadron")
CAPTIONS = {
    "jets": "Jets: median response, its IQR / median, and its distribution.",
    "jet_matching": "Jets: share of generated jets that are matched, share of reconstructed jets that match one.",
    "met": "Missing transverse momentum: residual of its components, their IQR, median ratio.",
    "particles_pt": "Per particle (matched one to one, with cuts), against transverse momentum.",
    "particles_eta": "Per particle, against pseudorapidity.",
    "elements_pt": "Per element (same class), against transverse momentum.",
    "elements_eta": "Per element, against pseudorapidity.",
    "response": "Response of matched particles.",
    "resolution": "Median and IQR / median of the response of matched particles.",
    "confusion": "Candidate class of the elements of each target class.",
    "multiplicity": "Candidates per event.",
}
POINTS = "Points: value and 68 % interval; hollow where there are too few entries for an interval. Bins without entries have no point."
STYLE = """
:root { color-scheme: light dark; --line: #d0d4da; --soft: #5c6370; --page: #ffffff; --text: #1b1f24; }
@media (prefers-color-scheme: dark) { :root { --line: #3a3f47; --soft: #a0a7b4; --page: #16181c; --text: #e6e8eb; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; background: var(--page); color: var(--text); }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p, dd, figcaption, small { color: var(--soft); } dt { font-weight: 600; } dd { margin: 0 0 .4rem 1rem; }
.about { display: flex; flex-wrap: wrap; gap: .4rem 2rem; } .about dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th { text-align: left; font-weight: 600; }
td, th { padding: .25rem 1.2rem .25rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; } td small { white-space: nowrap; }
th[colspan] { padding-top: 1rem; color: var(--soft); } .wide { overflow-x: auto; }
figure { margin: 1.2rem 0; } figure svg { max-width: 100%; height: auto; } figure svg text { fill: currentColor; }
figure svg text, figure svg tspan { font-family: 'TeX Gyre Heros', Helvetica, Arial, sans-serif !important; }
"""


def write_report(path: str | Path, results: Results, plots: str | Path, names: Sequence[str]) -> None:
    """Write the page.

    Args:
        path: where to.
        results: content of `metrics.json`.
        plots: folder with ``<name>.svg``.
        names: figures to show, in this order.
    """
    about = {key.replace("_", " "): value for key, value in results.items() if isinstance(value, str)}
    about |= {"events": results["num_events"], "elements": results["num_elements"]}
    if results["num_not_finite"]:
        about["candidates left out, not finite"] = results["num_not_finite"]
    head = "".join(f"<div><dt>{html.escape(key)}</dt><dd>{html.escape(str(value))}</dd></div>" for key, value in about.items())
    definitions = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in results["definitions"].items())
    figures = "".join(f"<figure>{_inline_svg(Path(plots) / f'{name}.svg')}<figcaption>{CAPTIONS[name]}</figcaption></figure>" for name in names)
    body = (
        f"<h1>mlpf evaluation</h1><dl class='about'>{head}</dl>"
        f"<h2>Side by side on the same events</h2><div class='wide'>{_headline_table(results)}</div>"
        f"<h2>Figures</h2><p>{POINTS}</p>{figures}<h2>Definitions</h2><dl>{definitions}</dl>"
    )
    write_text(
        path,
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>mlpf evaluation</title><style>{STYLE}</style></head><body>{body}</body></html>\n",
    )


def _headline_rows(results: Results) -> dict[str, list[Row]]:
    """The rows of the table, by section (a key of the results)."""
    edges = results["bins"]["jet_pt"]
    jets: list[Row] = [
        (f"{title}, {edges[i]:g}-{edges[i + 1]:g} GeV", ("central", "response", "pt", quantity, i))
        for quantity, title in (("iqr_over_median", "response IQR / median"), ("median", "response median"))
        for i in range(len(edges) - 1)
    ]
    jets += [(f"{title}, |eta| < 2.5", ("central", quantity, "all")) for quantity, title in (("matched", "matched fraction"), ("purity", "purity"))]
    jets.append(("mass response median, |eta| < 2.5", ("central", "mass_response", "all", "median")))
    jets.append(("mass response IQR / median, |eta| < 2.5", ("central", "mass_response", "all", "iqr_over_median")))
    jets.append(("response IQR / median, 2.5 < |eta| < 5", ("forward", "response", "all", "iqr_over_median")))
    met: list[Row] = [
        ("IQR of px, py residual [GeV]", ("residual", "all", "iqr")),
        ("median ratio, generated above 10 GeV", ("ratio", "all", "median")),
        ("median ratio of HT", ("ht_ratio", "median")),
        ("IQR / median of the ratio of HT", ("ht_ratio", "iqr_over_median")),
    ]
    particles: list[Row] = []
    for quantity, title in (("efficiency", "efficiency"), ("fake_rate", "fake rate"), ("right_class", "right class")):
        particles += [(f"{title}, {CLASS_TITLES[name]}", (quantity, name, "all")) for name in MAIN_CLASSES]
    particles += [(f"response IQR / median, {CLASS_TITLES[name]}", ("residuals", name, "pt_response", "iqr_over_median")) for name in MAIN_CLASSES]
    elements: list[Row] = [("efficiency, any particle", ("efficiency", "any", "all")), ("fake rate, any particle", ("fake_rate", "any", "all"))]
    multiplicity: list[Row] = [(f"{CLASS_TITLES[name]}s", (name, "number")) for name in MAIN_CLASSES]
    return {"jets": jets, "met": met, "particles": particles, "elements": elements, "multiplicity": multiplicity}


SECTION_TITLES = {
    "jets": "Jets against generated jets",
    "met": "Missing transverse momentum and HT against the generator",
    "particles": "Particles against targets",
    "elements": "Elements against targets",
    "multiplicity": "Candidates per event",
}


def _headline_table(results: Results) -> str:
    systems = results["systems"]
    head = "".join(f"<th>{html.escape(title)}</th>" for title in systems.values())
    lines = [f"<tr><th></th>{head}</tr>"]
    for section, rows in _headline_rows(results).items():
        lines.append(f"<tr><th colspan='{len(systems) + 1}'>{SECTION_TITLES[section]}</th></tr>")
        for title, place in rows:
            cells = "".join(f"<td>{_cell(results[section], system, place)}</td>" for system in systems)
            lines.append(f"<tr><td>{html.escape(title)}</td>{cells}</tr>")
    note = "" if RULE_BASED in systems else "<p>The dataset holds no candidates of rule-based particle flow.</p>"
    return f"<table>{''.join(lines)}</table>{note}"


def _cell(section: Results, system: str, place: tuple[str | int, ...]) -> str:
    if system not in section:
        return "<small>truth</small>" if system == TARGETS else ""
    value: Any = section[system]
    for key in place:
        value = value[key]
    return format_estimate(value)


def format_estimate(estimate: dict[str, Any]) -> str:
    """``0.912 ±0.004`` with one interval, ``0.998 +0.001 -0.003`` with two; HTML."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "<small>none</small>"
    if low is None or high is None:
        return f"{value:.3g} <small>(n = {estimate['n']})</small>"
    error = max(high - value, value - low)
    decimals = min(max(1 - math.floor(math.log10(error)), 0), 4) if error > 0 else 3
    up, down = f"{max(high - value, 0):.{decimals}f}", f"{max(value - low, 0):.{decimals}f}"
    interval = f"&plusmn;{up}" if up == down else f"+{up} &minus;{down}"
    return f"{value:.{decimals}f} <small>{interval}</small>"


def _inline_svg(path: Path) -> str:
    """A figure as part of the page: without XML header and needless text, its black in the colour of the page's text."""
    svg = path.read_text()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<g id=\"[^\"]*\">", "<g>", svg)
    return re.sub(r"\s*\n\s*", " ", svg)
