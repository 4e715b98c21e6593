"""Which numbers of an evaluation stand in which table."""

from collections.abc import Sequence
from itertools import pairwise

from mlpf.plotting.report.estimates import NO_ESTIMATE, Better
from mlpf.plotting.report.rows import GOOD, Group, Results, Row, bin_title, find, fullest, groups, in_bins, row
from mlpf.plotting.style import CLASS_TITLES

MAIN_CLASSES = ("charged_hadron", "photon", "neutral_hadron")
HEADLINE_JET_BINS = 4  # 20-120 GeV
CLASSIFICATION_TITLES = {**CLASS_TITLES, "any": "any particle", "pileup": "pileup"}
_QUANTITIES = {"median": "median", "iqr": "IQR", "iqr_over_median": "IQR / median", "tails": "beyond 3 IQR"}


def headline(entry: Results, classification: Results) -> list[Group]:
    """What to read if one reads one table: jets, missing momentum, particles, classification, EMD, time."""
    widths = in_bins(entry, "jet_pt", "jets", ("central", "response", "pt"), "iqr_over_median", "response IQR / median, {} GeV")
    particles = [
        row(f"{title}, {CLASS_TITLES[name]}", entry.get("particles"), (quantity, name, "all"), GOOD[quantity])
        for quantity, title in (("efficiency", "efficiency"), ("fake_rate", "fake rate"))
        for name in MAIN_CLASSES
    ]
    particles += [
        row(f"response IQR / median, {CLASS_TITLES[name]}", entry.get("particles"), ("residuals", name, "pt_response", "iqr_over_median"), "low")
        for name in MAIN_CLASSES
    ]
    timing = entry.get("timing") or {}
    areas = [row(title, by_model, ("auc",), "high") for title, by_model in _classes(classification, "all").items()]
    return groups(
        Group("Jets against generated jets, |η| < 2.5", widths[:HEADLINE_JET_BINS] + _jets_of_all_pt(entry, "central")),
        Group("Missing transverse momentum and HT against the generator", _met_of_all(entry)),
        Group("Particles against targets", particles),
        Group("Classification of elements: area under the ROC curve", areas),
        Group("Energy mover's distance to the generated particles", _emd(entry)),
        Group("Time", _rates(timing) + fullest(_times(timing))),
    )


def jets(entry: Results) -> list[Group]:
    """All bins of pt, central and forward."""
    found = []
    for region, title in (("central", "|η| < 2.5"), ("forward", "2.5 < |η| < 5")):
        response = ("jets", (region, "response", "pt"))
        rows = in_bins(entry, "jet_pt", *response, "median", "response median, {} GeV")
        rows += in_bins(entry, "jet_pt", *response, "iqr_over_median", "response IQR / median, {} GeV")
        rows += in_bins(entry, "jet_pt", *response, "tails", "beyond 3 IQR, {} GeV")
        rows += in_bins(entry, "jet_pt", "jets", (region,), "matched", "matched generated jets, {} GeV", below=("pt",))
        rows += in_bins(entry, "jet_pt", "jets", (region,), "purity", "purity, {} GeV", below=("pt",))
        found.append(Group(f"Jets, {title}", rows + _jets_of_all_pt(entry, region)))
    return groups(*found)


def met(entry: Results) -> list[Group]:
    """Bins of the true missing momentum."""
    rows = in_bins(entry, "met", "met", ("residual", "genmet"), "iqr", "IQR of px, py residual [GeV], {} GeV")
    rows += in_bins(entry, "met", "met", ("ratio", "genmet"), "median", "median ratio, {} GeV")
    rows += in_bins(entry, "met", "met", ("ratio", "genmet"), "iqr_over_median", "ratio IQR / median, {} GeV")
    return groups(Group("By generated missing transverse momentum", rows), Group("All events", _met_of_all(entry)))


def particles(entry: Results) -> list[Group]:
    """Every class: counting and residuals."""
    section, found = entry.get("particles"), []
    for name, title in CLASSIFICATION_TITLES.items():
        rows = [row(text, section, (quantity, name, "all"), GOOD[quantity]) for quantity, text in _COUNTED.items()]
        for origin, words in (("hard", "hard event"), ("pileup", "pileup")):
            rows.append(row(f"efficiency, {words}", section, ("efficiency", name, origin), "high"))
            rows.append(row(f"fake rate, element of {words}", section, ("fake_rate", name, origin), "low"))
        for residual, text in (("pt_response", "pT response"), ("energy_response", "energy response"), ("delta_eta", "Δη"), ("delta_phi", "Δφ")):
            for quantity, words in _QUANTITIES.items():
                good = "zero" if residual.startswith("delta") and quantity == "median" else GOOD[quantity]
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
            Group(title, [row(CLASSIFICATION_TITLES[name], entry.get("elements"), (quantity, name, "all"), GOOD[quantity]) for name in names])
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
    rows = in_bins(entry, "vertices", "jets", ("central", "response", "vertices"), "median", "median, {} collisions")
    rows += in_bins(entry, "vertices", "jets", ("central", "response", "vertices"), "iqr_over_median", "IQR / median, {} collisions")
    residual = in_bins(entry, "vertices", "met", ("residual", "vertices"), "iqr", "{} collisions")
    found = [Group("Jet response, |η| < 2.5", rows), Group("Missing transverse momentum: IQR of px, py residual [GeV]", residual)]
    for quantity, words in (("efficiency", "Efficiency"), ("fake_rate", "Fake rate")):
        for name in MAIN_CLASSES:
            place = (quantity, name, "vertices")
            found.append(Group(f"{words}, {CLASS_TITLES[name]}", in_bins(entry, "vertices", "particles", place, None, "{} collisions", good=GOOD[quantity])))
    found.append(Group("Energy mover's distance [GeV]", in_bins(entry, "vertices", "emd", ("vertices",), None, "{} collisions", good="low")))
    return groups(*found)


def timing(entry: Results) -> list[Group]:
    """All bins of the number of elements."""
    measured = entry.get("timing") or {}
    return groups(Group("Rate", _rates(measured)), Group("Time", _times(measured)))


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


def _rates(timing: Results) -> list[Row]:
    """Measured once, so without an interval."""
    return [
        Row(title, {model: {**NO_ESTIMATE, "value": measured[key]} for model, measured in timing.items() if measured.get(key) is not None}, "high")
        for key, title in (("events_per_second", "events per second"), ("elements_per_second", "elements per second"))
    ]


def _times(timing: Results) -> list[Row]:
    """Median time of an event in bins of its number of elements."""
    edges: Sequence[float] = next((found for measured in timing.values() if (found := find(measured, "milliseconds_per_event", "elements"))), [])
    return [
        row(f"ms per event of {low:g}–{high:g} elements, median", timing, ("milliseconds_per_event", "median", i), "low")
        for i, (low, high) in enumerate(pairwise(edges))
    ]


def _classes(classification: Results, bin_name: str) -> dict[str, Results]:
    """Results by model of each class, by the title of the class."""
    return {CLASSIFICATION_TITLES.get(name, name.replace("_", " ")): by_model for name, by_model in (classification.get(bin_name) or {}).items()}
