"""Model outputs -> candidates, the way the CMSSW producer makes them; shared by evaluation and producer.

The rules follow `MLPFProducer` (cms-sw/cmssw#50316): the binary head decides, the class head names, the element type corrects.
"""

from typing import NamedTuple

import numpy as np

from mlpf import schema
from mlpf.events import Events, event_index, offsets_from_counts
from mlpf.kinematics import PION_MASS, delta_r, energy_from_pt_eta_mass
from mlpf.schema import FEATURE_INDEX, CandidateClass, ElementType

MUON_FEATURES = ("muon_type", "muon_dt_hits", "muon_csc_hits")
"""Any of them is not 0 where a track belongs to a reconstructed muon."""


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

    def probabilities(self) -> "Probabilities":
        """What the logits mean."""
        binary, pid = (values.astype(np.float64) for values in (self.binary, self.pid))
        weights = np.exp(pid - pid.max(axis=1, keepdims=True, initial=-np.inf))
        return Probabilities(sigmoid(binary[:, 1] - binary[:, 0]), weights / weights.sum(axis=1, keepdims=True), sigmoid(self.pileup.astype(np.float64)))


class Probabilities(NamedTuple):
    """What a model says of N elements, as float64 arrays of values from 0 to 1.

    Attributes:
        particle: ``(N,)`` the element yields a particle; the score of its candidate.
        classes: ``(N, 9)`` of which class it would be, in the order of `schema.CLASSES`; they sum to 1.
        pileup: ``(N,)`` it comes from pileup.
    """

    particle: np.ndarray
    classes: np.ndarray
    pileup: np.ndarray


class Prediction(NamedTuple):
    """What a model says of B events.

    Attributes:
        candidates: events in `schema.CANDIDATES`.
        outputs: of the elements that the model sees, those of `mlpf.features.consumer_elements`, in their order.
    """

    candidates: Events
    outputs: Outputs


def candidate_class(features: np.ndarray, outputs: Outputs) -> np.ndarray:
    """``(N,) int32`` pdgId without sign of each element's candidate, 0 where it yields none."""
    element_type = features[:, FEATURE_INDEX["type"]].astype(np.int32)
    pid = np.asarray(schema.CLASS_IDS, dtype=np.int32)[np.argmax(outputs.pid, axis=1)]
    is_track = element_type == ElementType.TRACK
    pid[np.isin(pid, (CandidateClass.MUON, CandidateClass.CHARGED_HADRON)) & ~is_track] = CandidateClass.NEUTRAL_HADRON
    unknown_muon = (pid == CandidateClass.MUON) & ~has_muon(features)
    pid[is_track & (unknown_muon | (pid == CandidateClass.TAU))] = CandidateClass.CHARGED_HADRON
    particle = (outputs.binary[:, 1] > outputs.binary[:, 0]) & (pid != CandidateClass.NONE)
    pid[element_type == ElementType.HFEM] = CandidateClass.HF_EM
    pid[element_type == ElementType.HFHAD] = CandidateClass.HF_HADRON
    return np.where(particle, pid, 0).astype(np.int32)


def has_muon(features: np.ndarray) -> np.ndarray:
    """``(N,) bool``: the track belongs to a reconstructed muon; its hits tell where an ntuple (version 2020) has no muon type."""
    return (features[:, [FEATURE_INDEX[name] for name in MUON_FEATURES]] != 0).any(axis=1)


def make_candidates(elements: Events, features: np.ndarray, element_index: np.ndarray, offsets: np.ndarray, outputs: Outputs) -> Events:
    """Candidates of B events.

    Args:
        elements: the events the elements come from (for event, run and lumi).
        features: ``(N, 55)`` raw features of the elements the model saw.
        element_index: ``(N,)`` their positions in the ntuple.
        offsets: ``(B + 1,)`` event boundaries of the N elements.
        outputs: what the model said of them.

    Returns:
        events in `schema.CANDIDATES`, in element order. Charged candidates take the sign of their element's charge, -1 where it has none (the consumer also
        gives -1 to every GSF element). A tau on anything but a track gets pdgId 0, the consumer's type X.
    """
    pid = candidate_class(features, outputs)
    kept = np.flatnonzero(pid)
    pid, x = pid[kept], features[kept]
    sign = np.where(x[:, FEATURE_INDEX["charge"]] > 0, 1, -1)
    charge = np.where(np.isin(pid, schema.CHARGED_CLASSES), sign, 0).astype(np.int32)
    columns = {
        **four_momenta(x, outputs.momentum[kept], pid),
        "mlpfcandidate_pdgid": np.where(pid == CandidateClass.TAU, 0, signed_pdgid(pid, charge)),
        "mlpfcandidate_charge": charge,
        "mlpfcandidate_element": element_index[kept],
        "mlpfcandidate_score": sigmoid(outputs.binary[kept, 1].astype(np.float64) - outputs.binary[kept, 0]),
        "mlpfcandidate_pileup": sigmoid(outputs.pileup[kept].astype(np.float64)),
        **{name: elements[name] for name in schema.NTUPLE.names("event")},
    }
    counts = np.bincount(event_index(offsets)[kept], minlength=len(offsets) - 1)
    return Events(columns, {"mlpfcandidate": offsets_from_counts(counts)}, len(elements), elements.source, elements.first_entry, schema.CANDIDATES)


def four_momenta(x: np.ndarray, momentum: np.ndarray, pid: np.ndarray) -> dict[str, np.ndarray]:
    """pt, eta, phi and energy columns of candidates: tracks keep their direction; the energy follows from pt, eta and the mass, not from the model.

    Args:
        x: ``(C, 55)`` raw features of their elements.
        momentum: ``(C, 5)`` what the model says of those.
        pid: ``(C,)`` classes of the candidates.
    """
    is_track = x[:, FEATURE_INDEX["type"]] == ElementType.TRACK
    with np.errstate(over="ignore"):  # an absurd pt of an element gives an absurd or infinite one of the candidate, as in the consumer
        pt = np.exp(momentum[:, 0].astype(np.float64)) * x[:, FEATURE_INDEX["pt"]]
        eta = np.where(is_track, x[:, FEATURE_INDEX["eta"]], momentum[:, 1])
        sin_phi = np.where(is_track, x[:, FEATURE_INDEX["sin_phi"]], momentum[:, 2])
        cos_phi = np.where(is_track, x[:, FEATURE_INDEX["cos_phi"]], momentum[:, 3])
        energy = energy_from_pt_eta_mass(pt, eta.astype(np.float64), np.where(pid == CandidateClass.CHARGED_HADRON, PION_MASS, 0.0))
        values = {"pt": pt, "eta": eta, "phi": np.arctan2(sin_phi, cos_phi), "energy": energy}
        return {f"mlpfcandidate_{name}": value.astype(np.float32) for name, value in values.items()}


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


class Comparison(NamedTuple):
    """How two sets of candidates of the same events differ.

    Attributes:
        num_events: events that both hold.
        num_shared: candidates on the same element of the same event.
        num_only_one: candidates that only one side has.
        num_other_pdgid: shared candidates with another pdgId.
        max_relative_pt, max_delta_r: largest difference among shared candidates.
    """

    num_events: int
    num_shared: int
    num_only_one: int
    num_other_pdgid: int
    max_relative_pt: float
    max_delta_r: float

    @property
    def agree(self) -> bool:
        """Equal within what float32 arithmetic in another order allows: pt to 0.1 %, directions to 1e-3, one decision in 10 000 on the edge."""
        edge = 1 + self.num_shared // 10_000
        same = self.num_only_one <= edge and self.num_other_pdgid <= edge
        return self.num_events > 0 and same and self.max_relative_pt < 1e-3 and self.max_delta_r < 1e-3

    def __str__(self) -> str:
        counts = f"{self.num_events} events, {self.num_shared} shared candidates, {self.num_only_one} on one side only, {self.num_other_pdgid} of other pdgId"
        largest = f"largest difference {self.max_relative_pt:.1e} in pt (relative), {self.max_delta_r:.1e} in direction"
        return f"{'agree' if self.agree else 'DIFFER'}: {counts}, {largest}"


def compare_candidates(a: Events, b: Events) -> Comparison:
    """Compare candidates (`schema.CANDIDATES`) of the events that are in both, paired by (run, lumi, event)."""
    identity_b = {key: i for i, key in enumerate(_identities(b))}
    pairs = [(i, identity_b[key]) for i, key in enumerate(_identities(a)) if key in identity_b]
    if not pairs:
        return Comparison(0, 0, 0, 0, 0.0, 0.0)
    index_a, index_b = (np.array(side) for side in zip(*pairs, strict=True))
    key_a, rows_a = _candidate_keys(a, index_a)
    key_b, rows_b = _candidate_keys(b, index_b)
    shared, in_a, in_b = np.intersect1d(key_a, key_b, return_indices=True)
    i, j = rows_a[in_a], rows_b[in_b]
    pt_a, pt_b = a["mlpfcandidate_pt"][i].astype(np.float64), b["mlpfcandidate_pt"][j].astype(np.float64)
    distance = delta_r(a["mlpfcandidate_eta"][i], a["mlpfcandidate_phi"][i], b["mlpfcandidate_eta"][j], b["mlpfcandidate_phi"][j])
    return Comparison(
        num_events=len(pairs),
        num_shared=len(shared),
        num_only_one=len(key_a) + len(key_b) - 2 * len(shared),
        num_other_pdgid=int((a["mlpfcandidate_pdgid"][i] != b["mlpfcandidate_pdgid"][j]).sum()),
        max_relative_pt=float(np.max(np.abs(pt_a - pt_b) / np.maximum(pt_a, 1e-9), initial=0.0)),
        max_delta_r=float(np.max(distance, initial=0.0)),
    )


def _identities(events: Events) -> list[tuple[int, int, int]]:
    return list(zip(events["run"].tolist(), events["lumi"].tolist(), events["event"].tolist(), strict=True))


def _candidate_keys(events: Events, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A number for (position in ``chosen``, element) of each candidate of the chosen events, and the candidates' rows."""
    position = np.full(len(events), -1)
    position[chosen] = np.arange(len(chosen))
    event = position[event_index(events.offsets["mlpfcandidate"])]
    rows = np.flatnonzero(event >= 0)
    return event[rows] * 2**32 + events["mlpfcandidate_element"][rows], rows
