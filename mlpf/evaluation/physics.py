"""What a model is claimed to do better than rule-based particle flow, tested on evaluations, and tables of it for a document.

A claim holds where it is three standard deviations clear. Errors of both systems are added as if independent; on the same events that overstates them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from mlpf.evaluation.document import plus_minus
from mlpf.metrics.systems import HARD, RULE_BASED, TARGETS

Entry = Mapping[str, Any]  # a dataset's part of `metrics.json`
Points = Mapping[str, Sequence[Mapping[str, Any]]]  # what `OperatingPoints.results` gives

CLEAR = 3.0  # standard deviations
JET_GAIN = MET_GAIN = 0.15  # of the width
CLOSURE = 0.03  # of the response's median
FRACTION_MARGIN, TRACK_MARGIN = 0.01, 0.02  # what "not worse" leaves: no measurement can show that two numbers are equal
CLAIMED_JET_PT = (30.0, 120.0)  # GeV: the bins that 30 to 100 GeV fall into
MIN_ENTRIES = 100  # of a bin that is compared
CLASSES = {"charged_hadron": "charged hadrons", "photon": "photons", "neutral_hadron": "neutral hadrons", "electron": "electrons", "muon": "muons"}
HF_CLASSES = {"hf_hadron": "HF hadronic", "hf_em": "HF electromagnetic"}
NEUTRAL = ("photon", "neutral_hadron")


class Measured(NamedTuple):
    """A number and its standard deviation, NaN where they are undefined."""

    value: float
    error: float

    @classmethod
    def of(cls, estimate: Mapping[str, Any]) -> "Measured":
        """From ``{value, low, high, n}``; NaN where it is undefined."""
        value, low, high = (math.nan if estimate[key] is None else float(estimate[key]) for key in ("value", "low", "high"))
        return cls(value, 0.5 * (high - low))

    def __str__(self) -> str:
        return plus_minus(self.value, self.value - self.error, self.value + self.error) if math.isfinite(self.error) else "-"


UNDEFINED = Measured(math.nan, math.nan)


class Pair(NamedTuple):
    """The same quantity of both systems."""

    rule_based: Measured
    model: Measured

    @classmethod
    def of(cls, rule_based: Mapping[str, Any] | None, model: Mapping[str, Any] | None) -> "Pair":
        """From estimates; undefined where there is none."""
        return cls(*(UNDEFINED if estimate is None else Measured.of(estimate) for estimate in (rule_based, model)))


class Claim(NamedTuple):
    """A statement on a model, and how clearly it holds.

    Attributes:
        name: what is claimed.
        where: bin.
        pair: the numbers compared.
        gain: what the claim is about: relative reduction of a width, difference of a fraction or, for the closure, what is left of what is tolerated.
        sigmas: by how many standard deviations it is beyond what is claimed.
    """

    name: str
    where: str
    pair: Pair
    gain: Measured
    sigmas: float


def claims(entry: Entry, points: Points, model: str) -> list[Claim]:
    """All claims on a model, in the bins with enough entries; on jets and MET only where there is no pileup, which rule-based particle flow does not remove.

    Args:
        entry: of a dataset in `metrics.json`.
        points: of `mlpf.evaluation.operating` on the same dataset.
        model: its name there.
    """
    of_events = [] if f"{model}{HARD}" in entry["jets"] else [*_jet_claims(entry, model), *_met_claims(entry, model)]
    return [*of_events, *_particle_claims(entry, points, model)]


def narrower(name: str, where: str, pair: Pair, gain: float) -> Claim:
    """A width is smaller, by a share ``gain`` at least; a negative one says how much wider it may be."""
    reference = pair.rule_based.value or math.nan
    ratio = pair.model.value / reference
    error = math.hypot(pair.model.error, ratio * pair.rule_based.error) / reference
    return Claim(name, where, pair, Measured(1.0 - ratio, error), _in_sigmas(1.0 - ratio - gain, error))


def larger(name: str, where: str, pair: Pair, margin: float = 0.0) -> Claim:
    """A fraction is larger, or at most ``margin`` smaller."""
    difference = Measured(pair.model.value - pair.rule_based.value, math.hypot(pair.model.error, pair.rule_based.error))
    return Claim(name, where, pair, difference, _in_sigmas(difference.value + margin, difference.error))


def _in_sigmas(value: float, error: float) -> float:
    """Minus infinity, the worst, for what is undefined."""
    if math.isnan(value) or math.isnan(error):
        return -math.inf
    return value / error if error else math.copysign(math.inf, value) if value else 0.0


def _jet_claims(entry: Entry, model: str) -> Iterator[Claim]:
    theirs, ours = (entry["jets"][system]["central"] for system in (RULE_BASED, model))
    for b, where in bins(entry["bins"]["jet_pt"]):
        if not CLAIMED_JET_PT[0] <= entry["bins"]["jet_pt"][b] < CLAIMED_JET_PT[1] or theirs["response"]["pt"]["median"][b]["n"] < MIN_ENTRIES:
            continue
        width, median = (Pair.of(*(jets["response"]["pt"][key][b] for jets in (theirs, ours))) for key in ("iqr_over_median", "median"))
        yield narrower(f"jet response {100 * JET_GAIN:.0f} % narrower", where, width, JET_GAIN)
        left = Measured(CLOSURE - abs(median.model.value - 1.0), median.model.error)
        yield Claim(f"jet response closes within {100 * CLOSURE:.0f} %", where, median, left, _in_sigmas(*left))
        for key in ("matched", "purity"):
            fractions = Pair.of(*(jets[key]["pt"][b] for jets in (theirs, ours)))
            yield larger(f"jets: {key} not smaller by {FRACTION_MARGIN:g}", where, fractions, FRACTION_MARGIN)


def _met_claims(entry: Entry, model: str) -> Iterator[Claim]:
    widths = Pair.of(*(entry["met"][system]["residual"]["all"]["iqr"] for system in (RULE_BASED, model)))
    yield narrower(f"MET {100 * MET_GAIN:.0f} % narrower", "all", widths, MET_GAIN)


def _particle_claims(entry: Entry, points: Points, model: str) -> Iterator[Claim]:
    for name in NEUTRAL:
        for row in points[name]:
            if min(row[key]["n"] for key in ("efficiency", "fake_rate")) >= MIN_ENTRIES:
                yield larger(f"{CLASSES[name]}: efficiency at the same fake rate", range_of(row["pt"]), Pair.of(row["efficiency"], row["model"]))
    for where, widths in _track_widths(entry, model):
        yield narrower(f"charged hadrons: pt not {100 * TRACK_MARGIN:.0f} % wider than the tracks'", where, widths, -TRACK_MARGIN)


def _track_widths(entry: Entry, model: str) -> Iterator[tuple[str, Pair]]:
    """IQR / median of the pt of charged hadrons in each bin of pt with enough of them; that of rule-based particle flow is the track's."""
    theirs, ours = (entry["particles"][system]["residuals"]["charged_hadron"]["pt_response"]["pt"]["iqr_over_median"] for system in (RULE_BASED, model))
    for b, where in bins(entry["bins"]["particle_pt"]):
        if theirs[b]["n"] >= MIN_ENTRIES:
            yield where, Pair.of(theirs[b], ours[b])


def bins(edges: Sequence[float]) -> list[tuple[int, str]]:
    """Number and range of each bin."""
    return [(b, range_of(pair)) for b, pair in enumerate(pairwise(edges))]


def range_of(edges: Sequence[float]) -> str:
    """``low-high``."""
    return "-".join(f"{edge:g}" for edge in edges)


def tables(metrics: Mapping[str, Entry], points: Mapping[str, Points], model: str) -> dict[str, str]:
    """Markdown of every block of the document, by name.

    Args:
        metrics: the datasets' parts of `metrics.json`, by name.
        points: operating points of the same datasets.
        model: the model's name.
    """
    return {
        "verdict": _verdict({name: claims(entry, points[name], model) for name, entry in metrics.items()}),
        "jets": _jets(metrics, model),
        "met": _met(metrics, model),
        "particles": _particles(metrics, model),
        "operating": _operating(points),
        "charged": _charged(metrics, model),
        "events": _events(metrics, model),
        "pileup": _pileup(metrics, model),
    }


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def _percent(gain: Measured) -> str:
    return f"{100 * gain.value:+.1f} ± {100 * gain.error:.1f} %" if math.isfinite(gain.error) else "-"


def _verdict(found: Mapping[str, Sequence[Claim]]) -> str:
    """Of each claim and dataset: bins in which it is clear, in which the opposite is, and the bin that is worst."""
    names = dict.fromkeys(claim.name for own in found.values() for claim in own)
    rows = [[name, *(_cell([claim for claim in own if claim.name == name]) for own in found.values())] for name in names]
    return table(["claim", *found], rows)


def _cell(own: Sequence[Claim]) -> str:
    """Of one claim in all bins of a sample."""
    if not own:
        return "-"
    clear, against = (sum(claim.sigmas * sign >= CLEAR for claim in own) for sign in (1.0, -1.0))
    worst = min(own, key=lambda claim: claim.sigmas)
    where = f" ({worst.where})" if len(own) > 1 else ""
    opposite = f", {against} against" if against else ""
    bold = "**" if clear == len(own) else ""
    return f"{bold}{clear} of {len(own)}{bold}{opposite}; least {worst.sigmas:+.1f} σ{where}"


def _jets(metrics: Mapping[str, Entry], model: str) -> str:
    rows = []
    for name, entry in metrics.items():
        jets = {system: entry["jets"][system]["central"] for system in (RULE_BASED, model, TARGETS)}
        for b, where in bins(entry["bins"]["jet_pt"]):
            if jets[RULE_BASED]["response"]["pt"]["median"][b]["n"] < MIN_ENTRIES:
                continue
            width = {system: Measured.of(own["response"]["pt"]["iqr_over_median"][b]) for system, own in jets.items()}
            median = [Measured.of(own["response"]["pt"]["median"][b]) for own in jets.values()]
            gain = narrower("", "", Pair(width[RULE_BASED], width[model]), 0.0).gain
            fractions = (Measured.of(jets[system][key]["pt"][b]) for key in ("matched", "purity") for system in (RULE_BASED, model))
            rows.append([name, where, *median, *width.values(), _percent(gain), *fractions])
    of_all = [f"{what}: {name}" for what in ("median", "IQR/median") for name in ("PF", "model", "targets")]
    return table(["sample", "pt [GeV]", *of_all, "narrower", "matched: PF", "model", "purity: PF", "model"], rows)


def _met(metrics: Mapping[str, Entry], model: str) -> str:
    rows = []
    for name, entry in metrics.items():
        met = {system: entry["met"][system] for system in (RULE_BASED, model, TARGETS)}
        for b, where in ((None, "all"), *bins(entry["bins"]["met"])):
            widths = {system: own["residual"]["all"]["iqr"] if b is None else own["residual"]["genmet"]["iqr"][b] for system, own in met.items()}
            if widths[RULE_BASED]["n"] < MIN_ENTRIES:
                continue
            width = {system: Measured.of(own) for system, own in widths.items()}
            gain = narrower("", "", Pair(width[RULE_BASED], width[model]), 0.0).gain
            ratios = (own["ratio"]["all"]["median"] if b is None else own["ratio"]["genmet"]["median"][b] for own in met.values())
            rows.append([name, where, *width.values(), _percent(gain), *(Measured.of(ratio) for ratio in ratios)])
    header = ["sample", "true MET [GeV]", "IQR of px, py [GeV]: PF", "model", "targets", "narrower", "median of MET / true: PF", "model", "targets"]
    return table(header, rows)


def _particles(metrics: Mapping[str, Entry], model: str) -> str:
    rows = []
    for name, entry in metrics.items():
        for category, title in {**CLASSES, **HF_CLASSES}.items():
            numbers = (
                Measured.of(entry["particles"][system][key][category]["all"])
                for key in ("efficiency", "fake_rate", "right_class")
                for system in (RULE_BASED, model)
            )
            widths = (Measured.of(entry["particles"][system]["residuals"][category]["pt_response"]["iqr_over_median"]) for system in (RULE_BASED, model))
            rows.append([name, title, *numbers, *widths])
    header = ["sample", "class", "efficiency: PF", "model", "fake rate: PF", "model", "right class: PF", "model", "IQR/median of pt: PF", "model"]
    return table(header, rows)


def _operating(points: Mapping[str, Points]) -> str:
    rows = []
    for name, own in points.items():
        for category in ("photon", "neutral_hadron", "charged_hadron"):
            for row in own[category]:
                if min(row[key]["n"] for key in ("efficiency", "fake_rate")) < MIN_ENTRIES:
                    continue
                pair = Pair.of(row["efficiency"], row["model"])
                rows.append([name, CLASSES[category], range_of(row["pt"]), Measured.of(row["fake_rate"]), *pair, larger("", "", pair).gain])
    return table(["sample", "class", "pt [GeV]", "fake rate of PF", "efficiency: PF", "model at that fake rate", "difference"], rows)


def _charged(metrics: Mapping[str, Entry], model: str) -> str:
    rows = [
        [name, where, *widths, _percent(narrower("", "", widths, 0.0).gain)] for name, entry in metrics.items() for where, widths in _track_widths(entry, model)
    ]
    return table(["sample", "pt [GeV]", "IQR/median of pt: PF (tracks)", "model", "narrower"], rows)


def _events(metrics: Mapping[str, Entry], model: str) -> str:
    rows = []
    for name, entry in metrics.items():
        for category, title in {**CLASSES, **HF_CLASSES}.items():
            number = Measured.of(entry["multiplicity"][TARGETS][category]["number"])
            differences = (Measured.of(entry["multiplicity"][system][category]["difference"]["mean"]) for system in (RULE_BASED, model))
            rows.append([name, f"{title} per event", number, *differences])
        distances = [Measured.of(entry["emd"][system]["normalised"]) for system in (RULE_BASED, model, TARGETS)]
        rows.append([name, "EMD / sum of pt", distances[2], *distances[:2]])
    return table(["sample", "quantity", "targets", "PF (numbers: minus targets)", "model (numbers: minus targets)"], rows)


def _pileup(metrics: Mapping[str, Entry], model: str) -> str:
    rows = []
    for name, entry in metrics.items():
        if f"{model}{HARD}" not in entry["jets"]:
            continue
        systems = {RULE_BASED: "rule-based PF", model: "model", f"{model}{HARD}": "model, pileup removed", f"{TARGETS}{HARD}": "targets, pileup removed"}
        for system, title in systems.items():
            jets = entry["jets"][system]["central"]
            numbers = (Measured.of(jets["response"]["pt"][key][b]) for b in (1, 2) for key in ("median", "iqr_over_median"))
            rows.append([name, title, *numbers, Measured.of(jets["purity"]["all"]), Measured.of(entry["met"][system]["residual"]["all"]["iqr"])])
    header = ["sample", "system", "jets 30-50 GeV: median", "IQR/median", "50-80 GeV: median", "IQR/median", "purity", "IQR of MET's px, py [GeV]"]
    return table(header, rows)
