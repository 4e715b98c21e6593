"""Particles of one event, to be drawn: true ones, rule-based candidates, a model's."""

from typing import NamedTuple

import numpy as np

from mlpf.events import Events
from mlpf.metrics.systems import Particles, rule_based, targets
from mlpf.plotting.display.truth import linked_particles
from mlpf.postprocess.policy import CaloParticlePolicy
from mlpf.postprocess.target import target_class
from mlpf.schema import DATASET, CandidateClass, ElementType
from mlpf.simulation.propagation import MAX_CENTRAL_ETA


class Points(NamedTuple):
    """Particles or jets of one event, ``(P,)`` each.

    Attributes:
        pt, eta, phi: [GeV, rad].
        category: `CandidateClass`; NONE of jets.
        pileup: probability (true ones: energy fraction) of coming from pileup.
    """

    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    category: np.ndarray
    pileup: np.ndarray

    def select(self, kept: np.ndarray) -> "Points":
        """Those with ``kept`` true, or of these indices."""
        return Points(*(values[kept] for values in self))

    def above(self, min_pt: float) -> "Points":
        """Those above a pt [GeV], the hardest first; none whose pt or direction is not finite."""
        order = np.argsort(-self.pt, kind="stable")
        finite = np.isfinite(np.stack([self.pt, self.eta, self.phi])).all(axis=0)
        return self.select(order[(finite & (self.pt > min_pt))[order]])


def true_particles(event: Events) -> Points:
    """Targets of a dataset's event; of an ntuple's what is linked to an element, as `linked_particles` finds it."""
    if event.layout is DATASET:
        return _of_system(targets(event))
    columns, _ = linked_particles(event)
    pt, eta, phi, pdgid, charge, pileup = (columns[name] for name in ("pt", "eta", "phi", "pdgid", "charge", "pileup"))
    return Points(pt, eta, phi, true_class(pdgid, charge, eta), pileup)


def true_class(pid: np.ndarray, charge: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """``(P,) int32`` class of true particles from signed pdgId, charge [e] and pseudorapidity: as in datasets, where elements take nothing away."""
    category = target_class(pid, charge, np.full(len(pid), ElementType.NONE), CaloParticlePolicy())
    electromagnetic = np.isin(category, (CandidateClass.PHOTON, CandidateClass.ELECTRON))
    forward = np.where(electromagnetic, CandidateClass.HF_EM, CandidateClass.HF_HADRON)
    return np.where(np.abs(eta) > MAX_CENTRAL_ETA, forward, category).astype(np.int32)


def rule_based_particles(event: Events) -> Points:
    """Candidates of rule-based particle flow, as far as the file holds them."""
    if event.layout is DATASET:
        return _of_system(rule_based(event))
    pt, eta, phi, pdgid = (event[f"pfcandidate_{name}"] for name in ("pt", "eta", "phi", "pdgid"))
    return Points(pt, eta, phi, np.abs(pdgid), np.zeros(len(pt), dtype=np.float32))


def model_particles(candidates: Events) -> Points:
    """Candidates of a model (`schema.CANDIDATES`)."""
    pt, eta, phi, pdgid, pileup = (candidates[f"mlpfcandidate_{name}"] for name in ("pt", "eta", "phi", "pdgid", "pileup"))
    return Points(pt, eta, phi, np.abs(pdgid), pileup)


def generated_jets(event: Events) -> Points:
    """Generated jets of the hard event."""
    pt, eta, phi = (event[f"genjet_{name}"] for name in ("pt", "eta", "phi"))
    return Points(pt, eta, phi, np.zeros(len(pt), dtype=np.int32), np.zeros(len(pt), dtype=np.float32))


def _of_system(particles: Particles) -> Points:
    return Points(particles.pt, particles.eta, particles.phi, particles.category, particles.pileup)
