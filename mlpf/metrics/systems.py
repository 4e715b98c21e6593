"""What is compared, in one form: rule-based particle flow, the models, the targets.

Every report has these side by side on the same events. The targets are what a model is trained on: the truth of per-element and per-particle numbers, and
the ceiling of jets and missing momentum, where the generator is the truth.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlpf.events import Events, event_index, offsets_from_counts
from mlpf.features import class_positions
from mlpf.schema import CHARGED_CLASSES, CLASSES, CandidateClass

RULE_BASED, MODEL, TARGETS = "pf", "model", "targets"  # the second: a model that has no name of its own
TITLES = {RULE_BASED: "rule-based PF", MODEL: "model", TARGETS: "targets"}
HARD = "_hard"  # ends the name of a system without what is (said to be) pileup
MEASURED = {c.name.lower(): int(c) for c in CLASSES if c not in (CandidateClass.NONE, CandidateClass.TAU)}  # name in reports -> class


class Particles(NamedTuple):
    """Particles of B events, at most one per element.

    Attributes:
        pt, eta, phi, energy: ``(P,) float32`` [GeV, rad].
        category: ``(P,) int32`` `CandidateClass`.
        element: ``(P,) int64`` flat position of their elements.
        pileup: ``(P,) float32`` probability (targets: energy fraction) of coming from pileup, 0 where unknown.
        offsets: ``(B + 1,)`` event boundaries.
    """

    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    energy: np.ndarray
    category: np.ndarray
    element: np.ndarray
    pileup: np.ndarray
    offsets: np.ndarray

    def select(self, kept: np.ndarray) -> "Particles":
        """Those with ``kept`` true."""
        counts = np.bincount(event_index(self.offsets)[kept], minlength=len(self.offsets) - 1)
        columns = {name: getattr(self, name)[kept] for name in self._fields if name != "offsets"}
        return Particles(offsets=offsets_from_counts(counts), **columns)


def measured_positions(category: np.ndarray) -> np.ndarray:
    """``(P,) int64`` position of each class in `MEASURED`, -1 where it is not there."""
    return np.array([list(MEASURED.values()).index(c) if c in MEASURED.values() else -1 for c in CLASSES] + [-1])[class_positions(category)]


def system_titles(models: Sequence[str]) -> dict[str, str]:
    """All systems of these models in the order of reports, with what to call them."""
    pileup_removed = {f"{name}{HARD}": f"{name}, pileup removed" for name in (*models, TARGETS)}
    return {RULE_BASED: TITLES[RULE_BASED], **{name: name for name in models}, TARGETS: TITLES[TARGETS], **pileup_removed}


def targets(events: Events) -> Particles:
    """Targets of a dataset's events: elements of any class but NONE."""
    return _of_elements(events, "target", events["target_ispu"])


def rule_based(events: Events) -> Particles:
    """Candidates of rule-based particle flow that the dataset holds; none where its ntuple had none."""
    return _of_elements(events, "candidate", np.zeros(events.size("element"), dtype=np.float32))


def _of_elements(events: Events, prefix: str, pileup: np.ndarray) -> Particles:
    element = np.flatnonzero(events[f"{prefix}_class"])
    counts = np.bincount(event_index(events.collection_offsets("element"))[element], minlength=len(events))
    return Particles(
        events[f"{prefix}_pt"][element],
        events[f"{prefix}_eta"][element],
        np.arctan2(events[f"{prefix}_sin_phi"][element], events[f"{prefix}_cos_phi"][element]),
        events[f"{prefix}_energy"][element],
        events[f"{prefix}_class"][element],
        element,
        pileup[element],
        offsets_from_counts(counts),
    )


def model(candidates: Events, events: Events) -> Particles:
    """A model's candidates (`schema.CANDIDATES`) of the same events of a dataset; those with a four-momentum that is not finite are left out."""
    event = event_index(candidates.collection_offsets("mlpfcandidate"))
    # (event, position in the ntuple) as one sortable number finds the dataset's row of each candidate's element
    span = 1 + max(int(values.max(initial=0)) for values in (events["element_index"], candidates["mlpfcandidate_element"]))
    key = event_index(events.collection_offsets("element")) * span + events["element_index"]
    order = np.argsort(key, kind="stable")
    wanted = event * span + candidates["mlpfcandidate_element"]
    element = order[np.minimum(np.searchsorted(key, wanted, sorter=order), max(len(key) - 1, 0))] if len(wanted) else np.zeros(0, dtype=np.int64)
    assert np.array_equal(key[element], wanted), "candidates of elements that the dataset does not have"
    pt, eta, phi, energy = (candidates[f"mlpfcandidate_{name}"] for name in ("pt", "eta", "phi", "energy"))
    particles = Particles(
        pt,
        eta,
        phi,
        energy,
        np.abs(candidates["mlpfcandidate_pdgid"]),
        element,
        candidates["mlpfcandidate_pileup"],
        candidates.collection_offsets("mlpfcandidate"),
    )
    return particles.select(np.isfinite(np.stack([pt, eta, phi, energy])).all(axis=0))


def is_charged(category: np.ndarray) -> np.ndarray:
    """Whether a class is one of charged particles."""
    return np.isin(category, CHARGED_CLASSES)


def without_pileup(particles: Particles) -> Particles:
    """Those that do not come from pileup more probably than from the hard event."""
    return particles.select(~from_pileup(particles))


def from_pileup(particles: Particles) -> np.ndarray:
    """``(P,) bool``: come from pileup more probably than from the hard event (targets: with more of their energy)."""
    return particles.pileup > 0.5
