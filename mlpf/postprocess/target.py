"""What every element is told: its target with a class, and its standard candidate."""

import numpy as np

from mlpf import schema
from mlpf.candidates import charge_of_pdgid
from mlpf.events import Events
from mlpf.kinematics import eta_from_pt_pz
from mlpf.postprocess.association import Association, descending, is_type, to_chunk
from mlpf.postprocess.kernels import match_candidates, sum_members
from mlpf.postprocess.policy import AnyPolicy, Policy, TrackingParticlePolicy
from mlpf.schema import CandidateClass, ElementType


def target_columns(events: Events, association: Association, kept: np.ndarray, policy: AnyPolicy) -> dict[str, np.ndarray]:
    """Columns ``target_*`` of the elements that stay, but for the jets.

    Args:
        events: ntuple events.
        association: which particle joined which element.
        kept: elements that stay, counted through the chunk.
        policy: the choices.
    """
    members = association.members
    if isinstance(policy, TrackingParticlePolicy):
        members = members.where(association.particles.energy[members.particle] > policy.min_truth_energy)
    particles = association.particles
    row_of = np.full(events.size("element"), -1, dtype=np.int32)
    row_of[kept] = np.arange(len(kept))
    pt, energy = particles.pt, particles.energy
    # A particle along the beam has pt 0 and an eta that is infinite or made up; its pz is of no use to anyone. NumPy's functions are several times faster here
    # than numba's, as they take many values at once.
    pz = pt * np.sinh(np.where(pt == 0, 0.0, particles.eta))
    summed = (pt * np.cos(particles.phi), pt * np.sin(particles.phi), pz, energy, energy * particles.pileup, particles.to_track, particles.to_cluster)
    sums, leading, heaviest = sum_members(members.particle, row_of[members.element], members.weight, np.stack(summed, axis=1), energy, len(kept))
    px, py, pz, energy, pileup_energy, to_track, to_cluster = sums.T.copy()
    pid, types, eta = _of(particles.pid, leading), events["element_type"][kept], events["element_eta"][kept]
    if isinstance(policy, TrackingParticlePolicy):
        pid = np.where(leading >= 0, _signed_pid(pid, types, eta, policy), 0)
        charge = charge_of_pdgid(pid)
    else:
        pid, charge = np.abs(pid), _of(particles.charge, heaviest)
    pt = np.hypot(px, py)
    return {
        "target_pt": pt,
        "target_eta": eta_from_pt_pz(pt, pz),
        "target_sin_phi": py / np.where(pt > 0, pt, 1.0),
        "target_cos_phi": np.where(pt > 0, px / np.where(pt > 0, pt, 1.0), leading >= 0),
        "target_energy": energy,
        "target_pid": pid,
        "target_charge": charge,
        "target_class": target_class(pid, charge, types, policy),
        "target_ispu": pileup_energy / np.where(energy != 0, energy, 1.0),
        "target_cp_to_track": to_track,
        "target_cp_to_cluster": to_cluster,
        "target_particle_number": _of(particles.number, heaviest),
    }


def _of(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``values[index]``, 0 where the index is -1."""
    return np.concatenate([values, np.zeros(1, dtype=values.dtype)])[index]


def _signed_pid(pid: np.ndarray, types: np.ndarray, eta: np.ndarray, policy: TrackingParticlePolicy) -> np.ndarray:
    """Target pid of the policy ``trackingparticle`` from the pid of truth, and the type and eta of the element."""
    mapped = np.zeros_like(pid)
    for group_pid, members in policy.pid_groups.items():
        mapped[np.isin(pid, members)] = group_pid
    electromagnetic = np.isin(np.abs(mapped), policy.electromagnetic_pids)
    forward = np.abs(eta) > policy.forward_eta
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
    element = to_chunk(events["element_to_candidate.first"], events, "element_to_candidate", "element")
    candidate = to_chunk(events["element_to_candidate.second"], events, "element_to_candidate", "pfcandidate")
    on_track = np.isin(pid, policy.candidate_track_pids)[candidate]
    is_track, is_other = (is_type(types, np.setdiff1d(taking, policy.dropped_types)) for taking in (policy.candidate_track_types, policy.candidate_other_types))
    preference = np.zeros(len(types))
    if isinstance(policy, TrackingParticlePolicy):
        preference = np.where(is_track, 0.0, events["element_energy"].astype(np.float64))
    allowed = np.where(on_track, is_track[element], is_other[element])
    return match_candidates(descending(events["pfcandidate_pt"]), candidate, element, allowed, preference)


def candidate_columns(events: Events, candidate_of: np.ndarray, policy: Policy) -> dict[str, np.ndarray]:
    """Columns ``candidate_*`` of elements whose candidates are ``candidate_of``."""
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
