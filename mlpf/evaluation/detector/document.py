"""The measured parts of the simulation's document: tables and figures between markers, the prose around them stays as it is."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlpf.evaluation.document import fill, plus_minus
from mlpf.io.files import atomic_directory, write_text
from mlpf.plotting.detector import draw_validation

DOCUMENT, NUMBERS, IMAGES = "simulation.md", "validation.json", "images/simulation"
FIGURES = {
    "response": ("photons_electrons", "hadrons"),
    "tracks": ("tracks", "tracks_in_collisions"),
    "material": ("material",),
    "closure": ("closure",),
    "jets": ("composition", "jets"),
    "content": ("elements", "candidates"),
    "taus": ("taus_met",),
}
Results = dict[str, Any]
TOPICS = {
    "summary": "",
    "response": "mean response: energy found over true energy, by true energy",
    "resolution": "Gaussian width of the response's core over the formula put in, by true energy",
    "tracks": "tracks",
    "material": "the tracker's material, by abs(eta)",
    "closure": "energy closure: where the energy of the particles goes",
    "jets": "jets, abs(eta) < 2.5, by generated pt [GeV]",
    "met": "missing transverse momentum",
    "content": "ttbar with 55 to 75 pileup collisions, per event",
    "taus": "hadronic tau decays, Z -> tau tau",
}
COLLISIONS = ("ttbar", "ttbar pileup", "qcd", "ztautau")


def blocks(results: Results) -> dict[str, str]:
    """Markdown of every block, by name."""
    tables = {topic: _tables(title, [check for check in results["checks"] if check["topic"] == topic]) for topic, title in TOPICS.items() if title}
    closure = tables["closure"] + "\n" + _itemised(results["curves"]["closure"])
    return {"summary": _summary(results), **tables, "closure": closure}


def frame() -> str:
    """A document of nothing but titles, figures and markers."""
    parts = ["# The simulated detector, measured\n"]
    for topic in TOPICS:
        pictures = "".join(f"![{name.replace('_', ' ')}]({IMAGES}/{name}.png)\n\n" for name in FIGURES.get(topic, ()))
        parts.append(f"## {topic.capitalize()}\n\n{pictures}<!-- measured: {topic} -->\n<!-- end -->\n")
    return "\n".join(parts)


def write(results: Results, folder: str | Path) -> None:
    """Write `validation.json`, the figures, and fill in the document, or start one where there is none.

    Raises:
        MlpfError: the file system refuses, or the document has a marker that nothing belongs to.
    """
    folder = Path(folder)
    path = folder / DOCUMENT
    document = fill(path.read_text(encoding="utf-8") if path.is_file() else frame(), blocks(results), DOCUMENT)
    with atomic_directory(folder / IMAGES, overwrite=True) as images:
        draw_validation(results, images)
    write_text(folder / NUMBERS, to_json(results))
    write_text(path, document)


def to_json(results: Results) -> str:
    """JSON with one line per check and per topic's curves, numbers of five digits: small, and differences show."""
    lines = {key: json.dumps(_rounded(value)) for key, value in results.items() if key not in ("curves", "checks")}
    lines["checks"] = "[\n" + ",\n".join(json.dumps(_rounded(check)) for check in results["checks"]) + "\n]"
    lines["curves"] = "{\n" + ",\n".join(f"{json.dumps(topic)}: {json.dumps(_rounded(curves))}" for topic, curves in results["curves"].items()) + "\n}"
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {value}" for key, value in lines.items()) + "\n}\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _summary(results: Results) -> str:
    checks = results["checks"]
    outside = [check for check in checks if not check["inside"]]
    collisions = {name: number for name, number in results["num_events"].items() if name in COLLISIONS}
    singles = sum(results["num_events"].values()) - sum(collisions.values())
    events = ", ".join(f"{number} of {name}" for name, number in collisions.items())
    lines = [
        f"{len(checks) - len(outside)} of {len(checks)} numbers lie inside what is tolerated (or less than two of their standard deviations outside). "
        f"Events: {events}; {singles} of guns and for the energy closure.",
    ]
    if outside:
        lines += ["", "Outside:", ""]
        lines += [f"- {c['topic']}: {c['quantity']}{', ' + c['where'] if c['where'] else ''}: {_number(c)}, tolerated {_range(c)}" for c in outside]
    return "\n".join(lines) + "\n"


def _tables(title: str, checks: Sequence[dict[str, Any]]) -> str:
    """One table per set of bins: rows are quantities, columns bins."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for check in checks:
        rows.setdefault(check["quantity"], []).append(check)
    by_bins: dict[tuple[str, ...], list[list[dict[str, Any]]]] = {}
    for row in rows.values():
        by_bins.setdefault(tuple(check["where"] for check in row), []).append(row)
    return "\n".join(_table(title, bins, own) for bins, own in by_bins.items())


def _itemised(closure: dict[str, Any]) -> str:
    """Shares of the generated energy in percent: rows are items, columns samples."""
    lines = ["| share of the generated energy [%] | " + " | ".join(closure) + " |", "|---" * (len(closure) + 1) + "|"]
    items = dict.fromkeys(item for shares in closure.values() for item in shares)
    for item in items:
        shares = (shares[item] for shares in closure.values())
        cells = (plus_minus(*(100 * share[key] for key in ("value", "low", "high"))) for share in shares)
        lines.append(f"| {item.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _table(title: str, bins: Sequence[str], rows: Sequence[Sequence[dict[str, Any]]]) -> str:
    columns = [name or "measured" for name in bins]
    lines = [f"| {title} | " + " | ".join(columns) + " | tolerated | source | inside |", "|---" * (len(columns) + 4) + "|"]
    for row in rows:
        cells = [_number(check) if check["inside"] else f"**{_number(check)}**" for check in row]
        limits = list(dict.fromkeys(_range(check) for check in row))
        verdict = "yes" if all(check["inside"] for check in row) else "**no**" if len(row) == 1 else f"**{sum(c['inside'] for c in row)} of {len(row)}**"
        lines.append(f"| {row[0]['quantity']} | " + " | ".join(cells) + f" | {', '.join(limits)} | {row[0]['source']} | {verdict} |")
    return "\n".join(lines) + "\n"


def _number(check: dict[str, Any]) -> str:
    """Value and half of its interval, with two digits of the uncertainty."""
    value, low, high = (check["measured"][key] for key in ("value", "low", "high"))
    return plus_minus(value, low, high)


def _range(check: dict[str, Any]) -> str:
    low, high = check["tolerated"]
    if low is None or high is None:
        return f"at least {low:.4g}" if high is None else f"at most {high:.4g}"
    return f"{low:.3g} to {high:.3g}" if high < 1000 else f"{low:.0f} to {high:.0f}"
