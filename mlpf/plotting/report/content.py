"""What stands on the page, before it becomes HTML."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from mlpf.metrics.systems import RULE_BASED
from mlpf.plotting.report import rows, subjects
from mlpf.plotting.report.estimates import SIGNIFICANT
from mlpf.plotting.report.symbols import intervals
from mlpf.plotting.report.tables import Table, against, conditions, side_by_side, working_points
from mlpf.plotting.report.verdict import Verdict, balance, verdict
from mlpf.plotting.summary.systems import Look, default_reference

Results = Mapping[str, Any]

SECTIONS = {  # title and figures, in the order of the page
    "jets": ("Jets", ("jets", "jets_eta", "jet_matching")),
    "met": ("Missing transverse momentum", ("met",)),
    "emd": ("Energy mover's distance", ("emd",)),
    "particles": ("Particles", ("particles_pt", "particles_eta", "response", "resolution", "resolution_eta")),
    "elements": ("Elements", ("elements_pt", "elements_eta")),
    "confusion": ("Confusion of classes", ("confusion",)),
    "multiplicity": ("Multiplicity", ("multiplicity",)),
    "roc": ("Classification", ("roc",)),
    "calibration": ("Calibration of scores", ("calibration",)),
    "pileup": ("Pileup", ("jets_vertices", "met_vertices", "particles_vertices")),
    "training": ("Training", ("training",)),
    "timing": ("Time", ("timing",)),
}
OTHERS = ("others", "Other figures")  # those that no section names
_TABLES: dict[str, tuple[str, Callable[[Results, Results], list[rows.Group]]]] = {  # all numbers of a section, from metrics and classification
    "jets": ("Jets in all bins", lambda entry, _: subjects.jets(entry)),
    "met": ("Missing transverse momentum in all bins", lambda entry, _: subjects.met(entry)),
    "particles": ("Particles of all classes", lambda entry, _: subjects.particles(entry)),
    "elements": ("Elements of all classes", lambda entry, _: subjects.elements(entry)),
    "multiplicity": ("Candidates per event", lambda entry, _: subjects.multiplicity(entry)),
    "roc": ("Area under the curve in bins of the element's pT", lambda _, classification: subjects.by_element_pt(classification, "auc")),
    "calibration": ("Calibration error in bins of the element's pT", lambda _, classification: subjects.by_element_pt(classification, "calibration_error")),
    "pileup": ("By the number of pileup collisions", lambda entry, _: subjects.pileup(entry)),
    "timing": ("Times of all sizes of events", lambda entry, _: subjects.timing(entry)),
}


@dataclass(frozen=True)
class Figure:
    """A figure on the page; ``pdf`` is base64, empty where the page does not carry it."""

    name: str
    caption: str
    svg: Markup
    pdf: str


@dataclass(frozen=True)
class Section:
    """Figures and tables of one subject."""

    key: str
    title: str
    figures: Sequence[Figure]
    tables: Sequence[Table]


@dataclass(frozen=True)
class Comparison:
    """All systems against one of them, and what the table comes to in words."""

    reference: str
    title: str
    balances: Sequence[str]
    table: Table


@dataclass(frozen=True)
class Dataset:
    """All that the page says of one dataset."""

    name: str
    facts: Mapping[str, str]
    verdict: Markup
    intervals: Markup
    judged: Mapping[str, str]  # systems of the intervals, with their titles
    headline: Table
    comparisons: Sequence[Comparison]
    sections: Sequence[Section]


def dataset_content(
    name: str, entry: Results, classification: Results, figures: Mapping[str, Figure], looks: Mapping[str, Look], reference: str | None
) -> Dataset:
    """The page's part of one dataset.

    Args:
        name: of the dataset.
        entry: its entry in `metrics.json`.
        classification: its entry in `performance.json`.
        figures: by name.
        looks: of the systems.
        reference: system to compare with first, if the dataset has it; else and by default that of the figures' ratios.
    """
    systems = entry["systems"]
    rivals = [key for key in systems if key == RULE_BASED or key in entry["models"]]
    first = reference if reference is not None and reference in systems else default_reference(systems)
    judged = verdict(entry, list(entry["models"]), first)
    headline = subjects.headline(entry, classification)
    references = [first, *(key for key in rivals if key != first)]
    return Dataset(
        name,
        _facts(entry),
        judged.sentence,
        _drawn(judged, looks),
        {key: systems[key] for key in judged.estimates},
        side_by_side("headline", "Side by side on the same events", headline, systems, rivals),
        [_comparison(headline, systems, rivals, key) for key in references if len(rivals) > 1],
        _sections(entry, classification, figures, rivals),
    )


def _drawn(judged: Verdict, looks: Mapping[str, Look]) -> Markup:
    if not judged.estimates:
        return Markup()
    return intervals([(estimate, looks[key]) for key, estimate in judged.estimates.items()], "IQR / median of the jet response with its intervals")


def models_content(metrics: Results) -> dict[str, dict[str, str]]:
    """Description of each model by its name; models of one name that differ between datasets have the dataset's name behind theirs."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for dataset, entry in metrics["datasets"].items():
        for model, about in entry["models"].items():
            found.setdefault((model, tuple((about.get("description") or {}).items())), []).append(dataset)
    names = [model for model, _ in found]
    return {model if names.count(model) == 1 else f"{model} on {' and '.join(datasets)}": dict(description) for (model, description), datasets in found.items()}


def _facts(entry: Results) -> dict[str, str]:
    """What was evaluated on, by what is said of it."""
    facts = {
        "path": entry.get("path"),
        "split": entry.get("split"),
        "events": f"{entry['num_events']:,}",
        "elements": f"{entry['num_elements']:,}",
        "events digest": entry.get("events_digest"),
        "schema digest": entry.get("schema_digest"),
        "mlpf": entry.get("mlpf"),
    }
    left_out = [f"{number:,} ({model})" for model, about in entry["models"].items() if (number := about.get("num_not_finite"))]
    return {key: str(value) for key, value in facts.items() if value is not None} | (
        {"candidates left out, not finite": ", ".join(left_out)} if left_out else {}
    )


def _comparison(headline: Sequence[rows.Group], systems: Mapping[str, str], rivals: Sequence[str], reference: str) -> Comparison:
    others = [key for key in rivals if key != reference]
    words = []
    for key in others:
        better, worse, same = balance(headline, key, reference)
        words.append(f"{systems[key]}: better in {better} rows, worse in {worse}, no difference beyond {SIGNIFICANT:g} σ in {same}.")
    table = against(f"against_{reference}", f"Differences to {systems[reference]}", headline, systems, others, reference)
    return Comparison(reference, systems[reference], words, table)


def _sections(entry: Results, classification: Results, figures: Mapping[str, Figure], rivals: Sequence[str]) -> list[Section]:
    """Sections that have anything to show."""
    placed = {name for _, names in SECTIONS.values() for name in names}
    wanted = {key: (title, names) for key, (title, names) in SECTIONS.items()} | {OTHERS[0]: (OTHERS[1], tuple(n for n in figures if n not in placed))}
    sections = [
        Section(key, title, [figures[name] for name in names if name in figures], _tables(key, entry, classification, rivals))
        for key, (title, names) in wanted.items()
    ]
    return [section for section in sections if section.figures or section.tables]


def _tables(section: str, entry: Results, classification: Results, rivals: Sequence[str]) -> list[Table]:
    systems, tables = entry["systems"], []
    if section == "roc":
        tables.append(working_points(classification, systems))
    if section == "timing":
        tables.append(conditions(entry.get("timing") or {}, systems))
    if section in _TABLES:
        caption, groups = _TABLES[section]
        tables.append(side_by_side(f"all_{section}", caption, groups(entry, classification), systems, rivals))
    return [table for table in tables if table.blocks]
