"""Rule-based particle flow on the elements of an ntuple, after CMSSW's PFAlgo; the baseline that a network is measured against.

Order of decisions: muons, electrons, hadron groups (tracks against the calorimeter energy behind them), then what no track has claimed (neutral hadrons,
photons), the forward calorimeter. Every candidate is led by one element. The rules look only along links, so a block's candidates depend on its elements alone.

Energies: photons and electrons have that of their ECAL clusters, in which CMSSW (and the simulation) has the preshower's share; where an ntuple has no
``corr_energy`` they stay uncalibrated. Hadrons are calibrated here (`calibration`) from raw energies. The HF is taken as it is.

Approximations, since an ntuple lacks inputs of the original: links on centroids (`link_rules`); muons by their station hits and type instead of an
identification, and none takes all the energy behind it for its isolation; electrons by E/p and H/E instead of BDTs; no isolated-photon identification; tracks
of conversions and nuclear interactions are charged hadrons or electrons like others, since an ntuple has neither their vertices nor the tracking iteration by
which PFAlgo drops some of them. Several energetic ECAL clusters under one group make one photon instead of several.
"""

from typing import NamedTuple

import numpy as np

from mlpf.candidates import signed_pdgid
from mlpf.classical.calibration import HadronCalibration, default_calibration, hadron_energies
from mlpf.classical.electrons import find_electrons
from mlpf.classical.elements import Elements, elements_of
from mlpf.classical.hadrons import Groups, resolve_groups
from mlpf.classical.links import Links, find_links, nearest_by_type
from mlpf.classical.momenta import neutral_direction
from mlpf.classical.rules import Rules, State
from mlpf.events import Events, offsets_from_counts
from mlpf.kinematics import PION_MASS, delta_r, energy_from_pt_eta_mass, momentum_from_pt_eta_phi
from mlpf.schema import CandidateClass, ElementType

MUON_MASS = 0.10566  # GeV; PDG 2024
GLOBAL_MUON = 2  # bit of reco::Muon::type: a track joined with hits in the muon stations


class Candidates(NamedTuple):
    """Candidates of B events, each led by one element.

    Attributes:
        lead: ``(C,) int64`` flat index of the leading element, growing.
        pid: ``(C,) int64`` CandidateClass.
        charge: ``(C,)`` [e].
        pt, eta, phi, energy: ``(C,) float64`` [GeV, rad].
        element, candidate: ``(K,) int64`` flat indices of elements and of the candidates that they are part of.
    """

    lead: np.ndarray
    pid: np.ndarray
    charge: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    energy: np.ndarray
    element: np.ndarray
    candidate: np.ndarray


def rule_based_particle_flow(events: Events, rules: Rules | None = None, calibration: HadronCalibration | None = None, threads: int = 1) -> Events:
    """Reconstruct candidates from the elements alone; any ``pfcandidate_*``, ``element_to_candidate`` and ``element_distance_*`` are replaced.

    Args:
        rules: parameters; those of CMSSW if None.
        calibration: of hadrons; that of the simulated detector if None.
        threads: how many share the links and the hadron groups; the result does not depend on it.

    Raises:
        NtupleError: a kinematic element column holds a non-finite value.
    """
    elements = elements_of(events)
    links = find_links(elements, threads)
    candidates = reconstruct(elements, links, rules or Rules(), calibration or default_calibration(), threads)
    event_of_element = elements.event()
    event_of_candidate = event_of_element[candidates.lead]
    candidate_offsets = offsets_from_counts(np.bincount(event_of_candidate, minlength=len(events)))
    columns = {f"pfcandidate_{name}": getattr(candidates, name) for name in ("pt", "eta", "phi", "energy")}
    momentum = momentum_from_pt_eta_phi(candidates.pt, candidates.eta, candidates.phi)
    columns.update({f"pfcandidate_{name}": np.asarray(values) for name, values in zip(("px", "py", "pz"), momentum, strict=True)})
    columns["pfcandidate_pdgid"] = signed_pdgid(candidates.pid, candidates.charge)
    event_of_pair, event_of_link = event_of_element[candidates.element], event_of_element[links.i]
    columns["element_to_candidate.first"] = candidates.element - elements.offsets[event_of_pair]
    columns["element_to_candidate.second"] = candidates.candidate - candidate_offsets[event_of_pair]
    columns["element_distance_i"] = links.i - elements.offsets[event_of_link]
    columns["element_distance_j"] = links.j - elements.offsets[event_of_link]
    columns["element_distance_d"] = links.distance
    offsets = {
        "pfcandidate": candidate_offsets,
        "element_to_candidate": offsets_from_counts(np.bincount(event_of_pair, minlength=len(events))),
        "element_distance": offsets_from_counts(np.bincount(event_of_link, minlength=len(events))),
    }
    return events.with_columns(columns, offsets)


def reconstruct(elements: Elements, links: Links, rules: Rules, calibration: HadronCalibration, threads: int = 1) -> Candidates:
    """Apply the rules in order; each later one sees only what the earlier ones left."""
    nearest = nearest_by_type(elements.type, links)
    owner = np.full(len(elements.type), -1, dtype=np.int64)  # the element whose candidate an element belongs to besides its own
    state = _start(elements, nearest, owner, rules)
    find_electrons(elements, nearest, owner, state, rules)
    groups = _hadron_groups(elements, nearest, state)
    resolve_groups(groups, state, rules, calibration, threads)
    owner[groups.ecal] = np.where(state.used[groups.ecal], nearest[groups.ecal, ElementType.TRACK], owner[groups.ecal])
    _unclaimed_clusters(elements, nearest, owner, state, calibration)
    _forward(elements, nearest, owner, state)
    element, lead = _members(state.pid, owner, groups)
    return _candidates(elements, state, element, lead)


def muon_candidates(elements: Elements) -> tuple[np.ndarray, np.ndarray]:
    """``(N,) bool`` tracks identified as muons (global, with station hits; by the hits alone in ntuples without muon types), and those with a lesser sign."""
    track = elements.type == ElementType.TRACK
    hits = elements.muon_hits > 0
    types = elements.muon_type.astype(np.int64)
    identified = track & hits & (((types & GLOBAL_MUON) > 0) | (types == 0))  # where types are known, a track with hits has one
    return identified, track & (hits | (types > 0)) & ~identified


def _start(elements: Elements, nearest: np.ndarray, owner: np.ndarray, rules: Rules) -> State:
    """Every track a charged hadron or muon; outer hadron clusters (HO) added to an HCAL cluster."""
    raw = elements.raw_energy.copy()
    outer = elements.of_type(ElementType.HO)
    track = nearest[outer, ElementType.TRACK]
    behind_track = np.where(track >= 0, nearest[track, ElementType.HCAL], -1)  # PFAlgo: the HO belongs to a track if it can
    host = np.where(behind_track >= 0, behind_track, nearest[outer, ElementType.HCAL])
    np.add.at(raw, host[host >= 0], raw[outer[host >= 0]])
    owner[outer] = np.where(behind_track >= 0, track, host)
    muon, loose = muon_candidates(elements)
    pid = np.zeros(len(raw), dtype=np.int64)
    pid[elements.type == ElementType.TRACK] = CandidateClass.CHARGED_HADRON
    pid[muon] = CandidateClass.MUON
    muon_ecal = (nearest[:, ElementType.ECAL] >= 0) * rules.muon_ecal
    muon_hcal = (nearest[:, ElementType.HCAL] >= 0) * (rules.muon_hcal + (nearest[:, ElementType.HO] >= 0) * rules.muon_ho)
    error = elements.pt_error * np.cosh(elements.eta)
    used = np.zeros(len(raw), dtype=np.bool_)
    return State(pid, elements.energy.copy(), raw, used, error, elements.pt_error, elements.eta, muon_ecal, muon_hcal, loose)


def _hadron_groups(elements: Elements, nearest: np.ndarray, state: State) -> Groups:
    """Tracks by their HCAL cluster, else that of a track on the same ECAL cluster, else by that ECAL cluster; ECAL clusters by their nearest track."""
    track = elements.of_type(ElementType.TRACK)
    track = track[state.pid[track] != 0]
    ecal, hcal = nearest[track, ElementType.ECAL], nearest[track, ElementType.HCAL]
    lender = track[(ecal >= 0) & (hcal >= 0)]
    lender = lender[np.lexsort((lender, -_ecal_distance(elements, lender, nearest[lender, ElementType.ECAL])))]  # the nearest is written last
    hcal_of_ecal = np.full(len(elements.type) + 1, -1, dtype=np.int64)  # the last entry serves index -1
    hcal_of_ecal[nearest[lender, ElementType.ECAL]] = nearest[lender, ElementType.HCAL]
    hcal = np.where(hcal >= 0, hcal, hcal_of_ecal[ecal])
    keys, group = np.unique(np.where(hcal >= 0, hcal, np.where(ecal >= 0, ecal, track)), return_inverse=True)
    by_group = np.lexsort((-state.pt_error[track], group))

    group_of_track = np.full(len(elements.type) + 1, -1, dtype=np.int64)  # the last entry serves index -1
    group_of_track[track] = group
    cluster = elements.of_type(ElementType.ECAL)
    cluster = cluster[~state.used[cluster] & (group_of_track[nearest[cluster, ElementType.TRACK]] >= 0)]
    its_track = nearest[cluster, ElementType.TRACK]
    is_own = nearest[its_track, ElementType.ECAL] == cluster
    order = np.lexsort((_ecal_distance(elements, its_track, cluster), ~is_own, group_of_track[its_track]))
    return Groups(
        hcal=np.where(elements.type[keys] == ElementType.HCAL, keys, -1),
        track=track[by_group],
        track_offsets=offsets_from_counts(np.bincount(group, minlength=len(keys))),
        ecal=cluster[order],
        ecal_offsets=offsets_from_counts(np.bincount(group_of_track[its_track], minlength=len(keys))),
        ecal_is_own=is_own[order],
    )


def _ecal_distance(elements: Elements, track: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Delta R of tracks at the ECAL and clusters."""
    return np.asarray(delta_r(elements.eta_ecal[track], elements.phi_ecal[track], elements.eta[cluster], elements.phi[cluster]))


def _unclaimed_clusters(elements: Elements, nearest: np.ndarray, owner: np.ndarray, state: State, calibration: HadronCalibration) -> None:
    """HCAL clusters that no track points at, with free ECAL clusters linked to them -> neutral hadrons; other free ECAL clusters -> photons."""
    hcal, ecal = elements.of_type(ElementType.HCAL), elements.of_type(ElementType.ECAL)
    behind_electron = ~state.used[hcal] & (owner[hcal] >= 0)
    state.used[hcal[behind_electron]] = True
    owner[hcal[~behind_electron]] = -1
    neutral = hcal[~state.used[hcal]]
    state.pid[neutral] = CandidateClass.NEUTRAL_HADRON
    free = ecal[~state.used[ecal]]
    host = nearest[free, ElementType.HCAL]
    satellite = (host >= 0) & ~state.used[host]
    in_ecal = np.bincount(host[satellite], state.raw[free[satellite]], minlength=len(state.raw))[neutral]
    state.energy[neutral] = hadron_energies(in_ecal, state.raw[neutral], elements.eta[neutral], calibration)
    owner[free[satellite]] = host[satellite]
    state.pid[free[~satellite]] = CandidateClass.PHOTON


def _forward(elements: Elements, nearest: np.ndarray, owner: np.ndarray, state: State) -> None:
    """HF clusters: a linked pair (each the other's nearest) becomes one hadron, a single one what its depth says."""
    em, had = elements.of_type(ElementType.HFEM), elements.of_type(ElementType.HFHAD)
    state.pid[em], state.pid[had] = CandidateClass.HF_EM, CandidateClass.HF_HADRON
    partner = nearest[em, ElementType.HFHAD]
    paired = (partner >= 0) & (nearest[partner, ElementType.HFEM] == em)
    state.energy[partner[paired]] += state.energy[em[paired]]
    state.pid[em[paired]] = CandidateClass.NONE
    owner[em[paired]] = partner[paired]


def _members(pid: np.ndarray, owner: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """All (element, leading element of its candidate): the leader, the clusters attributed to it, and the HCAL cluster of each track in a group."""
    lead = np.flatnonzero(pid)
    owned = np.flatnonzero(owner >= 0)
    hcal = np.repeat(groups.hcal, np.diff(groups.track_offsets))
    with_hcal = hcal >= 0
    element = np.concatenate([lead, owned, hcal[with_hcal]])
    leader = np.concatenate([lead, owner[owned], groups.track[with_hcal]])
    kept = pid[leader] != 0
    order = np.lexsort((leader[kept], element[kept]))
    return element[kept][order], leader[kept][order]


def _candidates(elements: Elements, state: State, element: np.ndarray, leader: np.ndarray) -> Candidates:
    """Momenta: tracks and GSF keep their direction, clusters point away from the hard vertex; charged hadrons and muons have their mass."""
    lead = np.flatnonzero((state.pid != 0) & (state.energy > 0.0))
    pid = state.pid[lead]
    from_track = np.isin(elements.type[lead], (ElementType.TRACK, ElementType.GSF))
    cluster_eta, cluster_phi = neutral_direction(elements, lead)
    eta = np.where(from_track, elements.eta[lead], cluster_eta)
    phi = np.where(from_track, elements.phi[lead], cluster_phi)
    pt = state.energy[lead] / np.cosh(eta)
    mass = np.where(pid == CandidateClass.CHARGED_HADRON, PION_MASS, np.where(pid == CandidateClass.MUON, MUON_MASS, 0.0))
    charge = np.where(from_track, elements.charge[lead], 0.0)
    kept = np.isin(leader, lead)
    candidate = np.searchsorted(lead, leader[kept])
    energy = np.asarray(energy_from_pt_eta_mass(pt, eta, mass))
    return Candidates(lead, pid, charge, pt, eta, phi, energy, element[kept], candidate)
