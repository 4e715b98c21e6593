"""What every element is told: its target with a class, and its standard candidate."""

import numpy as np

from mlpf import schema
from mlpf.candidates import charge_of_pdgid
from mlpf.events import Events
from mlpf.kinematics import eta_from_pt_pz
from mlpf.postprocess.association import Association
from mlpf.postprocess.kernels import match_candidates, sum_members
from mlpf.postprocess.policy import AnyPolicy, Policy, TrackingParticlePolicy
from mlpf.schema import CandidateClass, ElementType


def target_columns(events: Events, association: Association, policy: AnyPolicy) -> dict[str, np.ndarray]:
    """Columns ``target_*`` of all elements, but for the jets."""
    particles, members = association.particles, association.members
    if isinstance(policy, TrackingParticlePolicy):
        members = members.where(particles.energy[members.particle] > policy.min_truth_energy)
    # A particle along the beam has pt 0 and an eta that is infinite or made up; its pz is of no use to anyone.
    pz = particles.pt * np.sinh(np.where(particles.pt == 0, 0.0, particles.eta))
    momentum = np.stack([particles.pt * np.cos(particles.phi), particles.pt * np.sin(particles.phi), pz, particles.energy], axis=1)
    extras = np.stack([particles.energy * particles.pileup, particles.to_track, particles.to_cluster], axis=1)
    sums, extra_sums, leading, heaviest = sum_members(*members, momentum, extras, events.size("element"))
    px, py, pz, energy = sums.T
    pt = np.hypot(px, py)
    found = leading >= 0
    phi = np.arctan2(py, px)
    pid = _of(particles.pid, leading)
    if isinstance(policy, TrackingParticlePolicy):
        pid = np.where(found, _signed_pid(pid, events, policy), 0)
        charge = charge_of_pdgid(pid)
    else:
        pid, charge = np.abs(pid), _of(particles.charge, heaviest)
    return {
        "target_pt": pt,
        "target_eta": eta_from_pt_pz(pt, pz),
        "target_sin_phi": np.where(found, np.sin(phi), 0.0),
        "target_cos_phi": np.where(found, np.cos(phi), 0.0),
        "target_energy": energy,
        "target_pid": pid,
        "target_charge": charge,
        "target_class": target_class(pid, charge, events["element_type"], policy),
        "target_ispu": extra_sums[:, 0] / np.where(energy != 0, energy, 1.0),
        "target_cp_to_track": extra_sums[:, 1],
        "target_cp_to_cluster": extra_sums[:, 2],
        "target_particle_number": _of(particles.number, heaviest),
    }


def _of(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``values[index]``, 0 where the index is -1."""
    return np.concatenate([values, np.zeros(1, dtype=values.dtype)])[index]


def _signed_pid(pid: np.ndarray, events: Events, policy: TrackingParticlePolicy) -> np.ndarray:
    """Target pid of the policy ``trackingparticle`` from the pid of truth and the element."""
    types = events["element_type"]
    mapped = np.zeros_like(pid)
    for group_pid, members in policy.pid_groups.items():
        mapped[np.isin(pid, members)] = group_pid
    electromagnetic = np.isin(np.abs(mapped), policy.electromagnetic_pids)
    forward = np.abs(events["element_eta"]) > policy.forward_eta
    mapped[(types == ElementType.HCAL) & electromagnetic] = CandidateClass.NEUTRAL_HADRON
    mapped[(types == ElementType.HFHAD) & forward] = CandidateClass.HF_HADRON
    hf_em = (types == ElementType.HFEM) & forward
    mapped[hf_em] = np.where(electromagnetic[hf_em], CandidateClass.HF_EM, CandidateClass.HF_HADRON)
    return mapped


def target_class(pid: np.ndarray, charge: np.ndarray, element_type: np.ndarray, policy: Policy) -> np.ndarray:
    """``(N,) int32`` class that a model is trained on.

    Args:
        pid, charge: of the target, 0 where there is none.
        element_type: of its element; what it cannot carry becomes what `Policy.carried_classes` says.
        policy: the choices.
    """
    pid = np.abs(pid)
    neutral_or_hadron = np.where(charge != 0, CandidateClass.CHARGED_HADRON, CandidateClass.NEUTRAL_HADRON)
    own = np.isin(pid, (0, CandidateClass.PHOTON, CandidateClass.ELECTRON, CandidateClass.MUON, CandidateClass.HF_HADRON, CandidateClass.HF_EM))
    classes = np.where(own, pid, neutral_or_hadron).astype(np.int32)
    carried = classes.copy()
    for kind, replacement in policy.carried_classes.items():
        for wrong, right in replacement.items():
            carried[(element_type == kind) & (classes == wrong)] = right
    if policy.supercluster_class == "none":
        carried[element_type == ElementType.SC] = CandidateClass.NONE
    return carried


def matched_candidates(events: Events, policy: Policy) -> np.ndarray:
    """``(N,)`` candidate (counted through the chunk) of every element, -1 where it has none."""
    types, pid = events["element_type"], np.abs(events["pfcandidate_pdgid"])
    link_counts = events.counts("element_to_candidate")
    element = events["element_to_candidate.first"] + np.repeat(events.collection_offsets("element")[:-1], link_counts)
    candidate = events["element_to_candidate.second"] + np.repeat(events.collection_offsets("pfcandidate")[:-1], link_counts)
    on_track = np.isin(pid, policy.candidate_track_pids)[candidate]
    track_types, other_types = (np.setdiff1d(t, policy.dropped_types) for t in (policy.candidate_track_types, policy.candidate_other_types))
    allowed = np.where(on_track, np.isin(types[element], track_types), np.isin(types[element], other_types))
    preference = np.zeros(len(types))
    if isinstance(policy, TrackingParticlePolicy):
        is_track = np.isin(types, policy.candidate_track_types)
        preference = np.where(is_track, 0.0, events["element_energy"].astype(np.float64))
    order = np.argsort(-events["pfcandidate_pt"], kind="stable")
    return match_candidates(order, candidate, element, allowed, preference)


def candidate_columns(events: Events, candidate_of: np.ndarray, policy: Policy) -> dict[str, np.ndarray]:
    """Columns ``candidate_*`` of all elements."""
    pdgid, phi = events["pfcandidate_pdgid"], events["pfcandidate_phi"].astype(np.float64)
    pid = np.abs(pdgid)
    columns = {
        "pt": events["pfcandidate_pt"],
        "eta": events["pfcandidate_eta"],
        "sin_phi": np.sin(phi),
        "cos_phi": np.cos(phi),
        "energy": events["pfcandidate_energy"],
        "pid": pdgid if isinstance(policy, TrackingParticlePolicy) else pid,
        "charge": charge_of_pdgid(pdgid),
        "class": np.where(np.isin(pid, schema.CLASS_IDS), pid, 0),
    }
    return {f"candidate_{name}": _of(values, candidate_of) for name, values in columns.items()}
