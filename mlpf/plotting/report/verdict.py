"""The evaluation in one sentence, and never more than its uncertainty allows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from mlpf.metrics.systems import TARGETS
from mlpf.plotting.report.estimates import Difference, Estimate, difference, has_interval, sigmas, tally, text
from mlpf.plotting.report.rows import Group, Results, find

_PREFERRED_BIN = [30.0, 50.0]  # GeV: where a jet's resolution is that of its particles, and where there are many
_TOO_FEW = Markup("Too few jets for a statement about their resolution.")


@dataclass(frozen=True)
class Verdict:
    """What a dataset says of the jet resolution.

    Attributes:
        sentence: HTML.
        estimates: IQR / median of the jet response of each system that has one with an interval: the reference, models, targets.
    """

    sentence: Markup
    estimates: dict[str, Estimate]


def verdict(entry: Results, models: Sequence[str], reference: str) -> Verdict:
    """IQR / median of the jet response of the reference, the models and the targets, and which of the differences are one.

    Args:
        entry: of a dataset in `metrics.json`.
        models: systems to judge.
        reference: system to judge them by.
    """
    rivals = [reference, *(model for model in models if model != reference)]
    found = _bin(entry, rivals)
    if found is None:
        return Verdict(_TOO_FEW, {})
    where, jets, estimates = found
    titles = entry["systems"]
    numbers = [Markup("<b>{}</b> for {}").format(_number(estimate), titles[key]) for key, estimate in estimates.items()]
    judged = [
        Markup("{} {}").format(titles[model], _judged(estimates[model], estimates[reference]))
        for model in rivals[1:]
        if reference in estimates and model in estimates
    ]
    against = Markup("; against {}, {}").format(titles[reference], _joined(judged)) if judged else ""
    sentence = Markup("Jets of {} ({:,} generated): the IQR / median of their response is {}{}.").format(where, jets, _joined(numbers), against)
    return Verdict(sentence, estimates)


def balance(table: Sequence[Group], model: str, reference: str) -> tuple[int, int, int]:
    """In how many rows a model is better than the reference beyond the uncertainties, worse, and neither."""
    return tally(difference(r.values.get(model), r.values.get(reference), r.better) for group in table for r in group.rows if r.better)


def _bin(entry: Results, rivals: Sequence[str]) -> tuple[str, int, dict[str, Estimate]] | None:
    """Bin of jet pt to speak about, the number of its jets, and the numbers of the systems: that of 30-50 GeV, unless it has fewer systems than another."""
    edges = find(entry, "bins", "jet_pt") or []
    bins = []
    for i, (low, high) in enumerate(pairwise(edges)):
        found = {key: find(entry, "jets", key, "central", "response", "pt", "iqr_over_median", i) for key in (*rivals, TARGETS)}
        known = {key: estimate for key, estimate in found.items() if has_interval(estimate)}
        jets = find(entry, "jets", TARGETS, "central", "matched", "pt", i, "n") or 0
        rank = (len(known.keys() & set(rivals)), [low, high] == _PREFERRED_BIN, jets)
        bins.append((rank, f"{low:g}–{high:g} GeV, |η| < 2.5", jets, known))
    rank, title, jets, known = max(bins, key=lambda found: found[0], default=((0, False, 0), "", 0, {}))
    return (title, jets, known) if rank[0] else None


def _number(estimate: Estimate) -> Markup:
    written = text(estimate)
    assert written is not None
    return written.html()


def _joined(parts: Sequence[Markup]) -> Markup:
    return Markup(" and ").join([Markup(", ").join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _judged(estimate: Estimate, reference: Estimate) -> Markup:
    """``is 9.4 ± 3.1 % narrower (3.0 σ)``, or that nothing can be said."""
    found = difference(estimate, reference, "low")
    assert found is not None
    assert found.significance is not None
    if not found.is_significant:
        return Markup("cannot be told apart ({})").format(sigmas(found.significance))
    size, error = _relative(found, reference)
    digits = max(1 - math.floor(math.log10(error)), 0) if error > 0 else 1
    word = "narrower" if found.significance > 0 else "wider"
    return Markup("is <b>{} ± {} % {}</b> ({})").format(f"{size:.{digits}f}", f"{error:.{digits}f}", word, sigmas(found.significance))


def _relative(found: Difference, reference: Estimate) -> tuple[float, float]:
    """Size of a difference and its uncertainty, in per cent of the reference (whose own uncertainty is in that of the difference)."""
    scale = 100 / abs(reference["value"])
    return abs(found.difference["value"]) * scale, (found.difference["high"] - found.difference["value"]) * scale
