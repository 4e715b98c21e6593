"""Which numbers of an evaluation stand in which table, and where they are in `metrics.json` and `performance.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mlpf.plotting.report.estimates import NO_ESTIMATE, Better, Estimate, has_value
from mlpf.plotting.style import CLASS_TITLES

Results = Mapping[str, Any]

MAIN_CLASSES = ("charged_hadron", "photon", "neutral_hadron")
HEADLINE_JET_BINS = 4  # 20-120 GeV
CLASSIFICATION_TITLES = {**CLASS_TITLES, "any": "any particle", "pileup": "pileup"}
_GOOD: dict[str, Better] = {
    "median": "one",
    "iqr": "low",
    "iqr_over_median": "low",
    "tails": "low",
    "efficiency": "high",
    "right_class": "high",
    "fake_rate": "low",
    "matched": "high",
    "matched_wide": "high",
    "purity": "high",
}
_QUANTITIES = {"median": "median", "iqr": "IQR", "iqr_over_median": "IQR / median", "tails": "beyond 3 IQR"}


@dataclass(frozen=True)
class Row:
    """A line of a table: what it is, the number of each system, what a good one would be."""

    title: str
    values: Mapping[str, Estimate]
    better: Better = None


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    title: str
    rows: Sequence[Row]


def find(results: Any, *place: str | int) -> Any:
    """What is at a place of nested dictionaries and lists; None where anything on the way is missing."""
    for key in place:
        if isinstance(results, Mapping):
            results = results.get(str(key))
        elif isinstance(results, list) and isinstance(key, int) and key < len(results):
            results = results[key]
        else:
            return None
    return results


def row(title: str, section: Results | None, place: Sequence[str | int], better: Better) -> Row:
    """The number at a place below each system of a section."""
    values = {system: found for system in section or {} if (found := find(section, system, *place)) is not None}
    return Row(title, values, better)


def groups(*candidates: Group) -> list[Group]:
    """Groups with those of their rows that have a number anywhere."""
    kept = [Group(group.title, [r for r in group.rows if any(map(has_value, r.values.values()))]) for group in candidates]
    return [group for group in kept if group.rows]


def headline(entry: Results, classification: Results) -> list[Group]:
    """What to read if one reads one table: jets, missing momentum, particles, classification, EMD, time."""
    widths = _in_bins(entry, "jet_pt", "jets", ("central", "response", "pt"), "iqr_over_median", "response IQR / median, {} GeV")
    particles = [
        row(f"{title}, {CLASS_TITLES[name]}", entry.get("particles"), (quantity, name, "all"), _GOOD[quantity])
        for quantity, title in (("efficiency", "efficiency"), ("fake_rate", "fake rate"))
        for name in MAIN_CLASSES
    ]
    particles += [
        row(f"response IQR / median, {CLASS_TITLES[name]}", entry.get("particles"), ("residuals", name, "pt_response", "iqr_over_median"), "low")
        for name in MAIN_CLASSES
    ]
    areas = [row(title, by_model, ("auc",), "high") for title, by_model in _classes(classification, "all").items()]
    return groups(
        Group("Jets against generated jets, |η| < 2.5", widths[:HEADLINE_JET_BINS] + _jets_of_all_pt(entry, "central")),
        Group("Missing transverse momentum and HT against the generator", _met_of_all(entry)),
        Group("Particles against targets", particles),
        Group("Classification of elements: area under the ROC curve", areas),
        Group("Energy mover's distance to the generated particles", _emd(entry)),
        Group("Time", _time(entry)),
    )


def jets(entry: Results) -> list[Group]:
    """All bins of pt, central and forward."""
    found = []
    for region, title in (("central", "|η| < 2.5"), ("forward", "2.5 < |η| < 5")):
        response = ("jets", (region, "response", "pt"))
        rows = _in_bins(entry, "jet_pt", *response, "median", "response median, {} GeV")
        rows += _in_bins(entry, "jet_pt", *response, "iqr_over_median", "response IQR / median, {} GeV")
        rows += _in_bins(entry, "jet_pt", *response, "tails", "beyond 3 IQR, {} GeV")
        rows += _in_bins(entry, "jet_pt", "jets", (region,), "matched", "matched generated jets, {} GeV", below=("pt",))
        rows += _in_bins(entry, "jet_pt", "jets", (region,), "purity", "purity, {} GeV", below=("pt",))
        found.append(Group(f"Jets, {title}", rows + _jets_of_all_pt(entry, region)))
    return groups(*found)


def met(entry: Results) -> list[Group]:
    """Bins of the true missing momentum."""
    rows = _in_bins(entry, "met", "met", ("residual", "genmet"), "iqr", "IQR of px, py residual [GeV], {} GeV")
    rows += _in_bins(entry, "met", "met", ("ratio", "genmet"), "median", "median ratio, {} GeV")
    rows += _in_bins(entry, "met", "met", ("ratio", "genmet"), "iqr_over_median", "ratio IQR / median, {} GeV")
    return groups(Group("By generated missing transverse momentum", rows), Group("All events", _met_of_all(entry)))


def particles(entry: Results) -> list[Group]:
    """Every class: counting and residuals."""
    section, found = entry.get("particles"), []
    for name, title in CLASSIFICATION_TITLES.items():
        rows = [row(text, section, (quantity, name, "all"), _GOOD[quantity]) for quantity, text in _COUNTED.items()]
        rows.append(row("efficiency, hard event", section, ("efficiency", name, "hard"), "high"))
        rows.append(row("efficiency, pileup", section, ("efficiency", name, "pileup"), "high"))
        for residual, text in (("pt_response", "pT response"), ("energy_response", "energy response"), ("delta_eta", "Δη"), ("delta_phi", "Δφ")):
            for quantity, words in _QUANTITIES.items():
                good = "zero" if residual.startswith("delta") and quantity == "median" else _GOOD[quantity]
                if not (residual.endswith("response") and quantity == "iqr"):  # IQR / median says it better
                    rows.append(row(f"{text} {words}", section, ("residuals", name, residual, quantity), good))
        found.append(Group(title, rows))
    return groups(*found)


_COUNTED = {"efficiency": "efficiency", "fake_rate": "fake rate", "right_class": "right class"}


def elements(entry: Results) -> list[Group]:
    """Every class, counted per element."""
    names = ("any", *CLASS_TITLES)
    return groups(
        *(
            Group(title, [row(CLASSIFICATION_TITLES[name], entry.get("elements"), (quantity, name, "all"), _GOOD[quantity]) for name in names])
            for quantity, title in (("efficiency", "Efficiency"), ("fake_rate", "Fake rate"))
        )
    )


def multiplicity(entry: Results) -> list[Group]:
    """Candidates per event of every class."""
    section = entry.get("multiplicity")
    quantities: tuple[tuple[str, tuple[str, ...], Better], ...] = (
        ("Candidates per event", ("number",), None),
        ("Mean difference to the number of targets", ("difference", "mean"), "zero"),
        ("IQR of the difference", ("difference", "iqr"), "low"),
    )
    return groups(*(Group(title, [row(CLASS_TITLES[name], section, (name, *place), good) for name in CLASS_TITLES]) for title, place, good in quantities))


def by_element_pt(classification: Results, quantity: str) -> list[Group]:
    """``auc`` or ``calibration_error`` of every class in bins of the element's pt."""
    good: Better = "high" if quantity == "auc" else "low"
    return groups(
        *(
            Group(bin_title(name), [row(title, by_model, (quantity,), good) for title, by_model in _classes(classification, name).items()])
            for name in classification
        )
    )


def pileup(entry: Results) -> list[Group]:
    """Against the number of pileup collisions."""
    rows = _in_bins(entry, "vertices", "jets", ("central", "response", "vertices"), "median", "median, {} collisions")
    rows += _in_bins(entry, "vertices", "jets", ("central", "response", "vertices"), "iqr_over_median", "IQR / median, {} collisions")
    residual = _in_bins(entry, "vertices", "met", ("residual", "vertices"), "iqr", "{} collisions")
    found = [Group("Jet response, |η| < 2.5", rows), Group("Missing transverse momentum: IQR of px, py residual [GeV]", residual)]
    for quantity, words in (("efficiency", "Efficiency"), ("fake_rate", "Fake rate")):
        for name in MAIN_CLASSES:
            place = (quantity, name, "vertices")
            found.append(Group(f"{words}, {CLASS_TITLES[name]}", _in_bins(entry, "vertices", "particles", place, None, "{} collisions", good=_GOOD[quantity])))
    found.append(Group("Energy mover's distance [GeV]", _in_bins(entry, "vertices", "emd", ("vertices",), None, "{} collisions", good="low")))
    return groups(*found)


def bin_title(name: str) -> str:
    """``pt_1_5`` as people write it."""
    words = name.split("_")
    if len(words) != 3 or words[0] != "pt":
        return "all elements" if name == "all" else name.replace("_", " ")
    return f"elements above {words[1]} GeV" if words[2] == "inf" else f"elements of {words[1]}–{words[2]} GeV"


def _in_bins(
    entry: Results,
    edges: str,
    section: str,
    place: tuple[str, ...],
    quantity: str | None,
    title: str,
    below: tuple[str, ...] = (),
    good: Better = None,
) -> list[Row]:
    """One row for each bin of a quantity; ``title`` takes the bin."""
    where = place + ((quantity,) if quantity else ()) + below
    limits = find(entry, "bins", edges) or []
    return [
        row(title.format(f"{low:g}–{high:g}"), entry.get(section), (*where, i), good or _GOOD[quantity or ""]) for i, (low, high) in enumerate(pairwise(limits))
    ]


def _jets_of_all_pt(entry: Results, region: str) -> list[Row]:
    section = entry.get("jets")
    return [
        row("response median, all", section, (region, "response", "all", "median"), "one"),
        row("response IQR / median, all", section, (region, "response", "all", "iqr_over_median"), "low"),
        row("matched generated jets", section, (region, "matched", "all"), "high"),
        row("purity", section, (region, "purity", "all"), "high"),
        row("mass response median", section, (region, "mass_response", "all", "median"), "one"),
        row("mass response IQR / median", section, (region, "mass_response", "all", "iqr_over_median"), "low"),
    ]


def _met_of_all(entry: Results) -> list[Row]:
    section = entry.get("met")
    return [
        row("IQR of px, py residual [GeV]", section, ("residual", "all", "iqr"), "low"),
        row("median ratio, generated above 10 GeV", section, ("ratio", "all", "median"), "one"),
        row("ratio IQR / median, generated above 10 GeV", section, ("ratio", "all", "iqr_over_median"), "low"),
        row("HT ratio, median", section, ("ht_ratio", "median"), "one"),
        row("HT ratio, IQR / median", section, ("ht_ratio", "iqr_over_median"), "low"),
    ]


def _emd(entry: Results) -> list[Row]:
    return [
        row("mean [GeV]", entry.get("emd"), ("all",), "low"),
        row("mean, relative to the true sum of pT", entry.get("emd"), ("normalised",), "low"),
    ]


def _time(entry: Results) -> list[Row]:
    timing = entry.get("timing") or {}
    plain = {  # measured once, so without an interval
        key: {model: {**NO_ESTIMATE, "value": measured[key]} for model, measured in timing.items() if measured.get(key) is not None}
        for key in ("events_per_second", "elements_per_second")
    }
    rows = [Row("events per second", plain["events_per_second"], "high"), Row("elements per second", plain["elements_per_second"], "high")]
    edges: Sequence[float] = next((found for measured in timing.values() if (found := find(measured, "milliseconds_per_event", "elements"))), [])
    for i, (low, high) in enumerate(pairwise(edges)):
        rows.append(row(f"ms per event of {low:g}–{high:g} elements, median", timing, ("milliseconds_per_event", "median", i), "low"))
    return rows


def _classes(classification: Results, bin_name: str) -> dict[str, Results]:
    """Results by model of each class, by the title of the class."""
    return {CLASSIFICATION_TITLES.get(name, name.replace("_", " ")): by_model for name, by_model in (classification.get(bin_name) or {}).items()}
