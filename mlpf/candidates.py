"""Model outputs -> candidates, the way the CMSSW producer makes them; shared by evaluation and producer.

The rules follow `MLPFProducer` (cms-sw/cmssw#50316): the binary head decides, the class head names, the element type corrects.
"""

from typing import NamedTuple

import numpy as np

from mlpf import schema
from mlpf.events import Events, event_index, offsets_from_counts
from mlpf.kinematics import PION_MASS, energy_from_pt_eta_mass
from mlpf.schema import FEATURE_INDEX, CandidateClass, ElementType


class Outputs(NamedTuple):
    """Raw outputs of a model for N elements of any number of events, as float32 arrays.

    Attributes:
        binary: ``(N, 2)`` logits of no particle, particle.
        pid: ``(N, 9)`` logits in the order of `schema.CLASSES`.
        momentum: ``(N, 5)`` log(pt / element pt), eta, sin phi, cos phi, log(E / element E).
        pileup: ``(N,)`` logit of coming from pileup.
    """

    binary: np.ndarray
    pid: np.ndarray
    momentum: np.ndarray
    pileup: np.ndarray


def candidate_class(features: np.ndarray, outputs: Outputs) -> np.ndarray:
    """``(N,) int32`` pdgId without sign of each element's candidate, 0 where it yields none."""
    element_type = features[:, FEATURE_INDEX["type"]].astype(np.int32)
    pid = np.asarray(schema.CLASS_IDS, dtype=np.int32)[np.argmax(outputs.pid, axis=1)]
    is_track = element_type == ElementType.TRACK
    pid[np.isin(pid, (CandidateClass.MUON, CandidateClass.CHARGED_HADRON)) & ~is_track] = CandidateClass.NEUTRAL_HADRON
    unknown_muon = (pid == CandidateClass.MUON) & (features[:, FEATURE_INDEX["muon_type"]] == 0)
    pid[is_track & (unknown_muon | (pid == CandidateClass.TAU))] = CandidateClass.CHARGED_HADRON
    particle = (outputs.binary[:, 1] > outputs.binary[:, 0]) & (pid != CandidateClass.NONE)
    pid[element_type == ElementType.HFEM] = CandidateClass.HF_EM
    pid[element_type == ElementType.HFHAD] = CandidateClass.HF_HADRON
    return np.where(particle, pid, 0).astype(np.int32)


def make_candidates(elements: Events, features: np.ndarray, element_index: np.ndarray, offsets: np.ndarray, outputs: Outputs) -> Events:
    """Candidates of B events.

    Args:
        elements: the events the elements come from (for event, run and lumi).
        features: ``(N, 55)`` raw features of the elements the model saw.
        element_index: ``(N,)`` their positions in the ntuple.
        offsets: ``(B + 1,)`` event boundaries of the N elements.
        outputs: what the model said of them.

    Returns:
        events in `schema.CANDIDATES`, in element order. Electrons take the charge of their track or GSF element (the consumer gives a GSF electron -1).
    """
    pid = candidate_class(features, outputs)
    kept = np.flatnonzero(pid)
    pid, x = pid[kept], features[kept]
    momentum = outputs.momentum[kept].astype(np.float64)
    is_track = x[:, FEATURE_INDEX["type"]] == ElementType.TRACK
    pt = np.exp(momentum[:, 0]) * x[:, FEATURE_INDEX["pt"]]
    eta = np.where(is_track, x[:, FEATURE_INDEX["eta"]], momentum[:, 1])
    sin_phi = np.where(is_track, x[:, FEATURE_INDEX["sin_phi"]], momentum[:, 2])
    cos_phi = np.where(is_track, x[:, FEATURE_INDEX["cos_phi"]], momentum[:, 3])
    mass = np.where(pid == CandidateClass.CHARGED_HADRON, PION_MASS, 0.0)
    charge = np.where(np.isin(pid, schema.CHARGED_CLASSES), np.sign(x[:, FEATURE_INDEX["charge"]]), 0).astype(np.int32)
    columns = {
        "mlpfcandidate_pt": pt,
        "mlpfcandidate_eta": eta,
        "mlpfcandidate_phi": np.arctan2(sin_phi, cos_phi),
        "mlpfcandidate_energy": energy_from_pt_eta_mass(pt, eta, mass),
        "mlpfcandidate_pdgid": signed_pdgid(pid, charge),
        "mlpfcandidate_charge": charge,
        "mlpfcandidate_element": element_index[kept],
        "mlpfcandidate_score": sigmoid(outputs.binary[kept, 1].astype(np.float64) - outputs.binary[kept, 0]),
        "mlpfcandidate_pileup": sigmoid(outputs.pileup[kept].astype(np.float64)),
        **{name: elements[name] for name in schema.NTUPLE.names("event")},
    }
    counts = np.bincount(event_index(offsets)[kept], minlength=len(offsets) - 1)
    return Events(columns, {"mlpfcandidate": offsets_from_counts(counts)}, len(elements), elements.source, elements.first_entry, schema.CANDIDATES)


def signed_pdgid(pid: np.ndarray, charge: np.ndarray) -> np.ndarray:
    """Signed pdgId: a positive electron is -11, a negative charged hadron -211."""
    lepton = np.isin(pid, (CandidateClass.ELECTRON, CandidateClass.MUON))
    return np.where(charge < 0, np.where(lepton, pid, -pid), np.where((charge > 0) & lepton, -pid, pid)).astype(np.int32)


def charge_of_pdgid(pdgid: np.ndarray) -> np.ndarray:
    """Charge [e] of a candidate from its signed pdgId; 0 for neutral and forward classes."""
    pid = np.abs(pdgid)
    lepton = np.isin(pid, (CandidateClass.ELECTRON, CandidateClass.MUON))
    return np.where(lepton, -np.sign(pdgid), np.where(pid == CandidateClass.CHARGED_HADRON, np.sign(pdgid), 0)).astype(np.int32)


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logit)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logit))
