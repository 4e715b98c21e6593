"""Hadron groups: the tracks on one HCAL cluster against the energy behind them (PFAlgo's comparison of momentum and calorimeter).

Sources: CMS particle flow, JINST 12 (2017) P10003 (arXiv:1706.04965) section 4.4, and CMSSW's PFAlgo with its default parameters.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from mlpf.schema import CandidateClass

CHARGED_HADRON, NEUTRAL_HADRON = int(CandidateClass.CHARGED_HADRON), int(CandidateClass.NEUTRAL_HADRON)
PHOTON, MUON = int(CandidateClass.PHOTON), int(CandidateClass.MUON)
SMALLEST_MOMENTUM = 0.05  # GeV; what the calorimeter leaves of a track at least (PFAlgo's limit for rescaled tracks)


class Rules(NamedTuple):
    """Parameters of rule-based particle flow; energies in GeV.

    Attributes:
        muon_hcal, muon_ecal, muon_ho: what a muon leaves behind; its spread is as large (PFAlgo muon_HCAL, _ECAL, _HO).
        ecal_plateau, ecal_loss, ecal_power: response plateau - loss E^power of the ECAL, which is calibrated with photons, to hadrons (CMS test beam,
            EPJ C 60 (2009) 359; the HCAL's own calibration is in its clusters).
        barrel_eta: where the resolution changes (PFAlgo::neutralHadronEnergyResolution).
        barrel_stochastic, barrel_constant, endcap_stochastic, endcap_constant: resolution sqrt(a^2 / E + b^2) of hadrons (same).
        deficit_sigma: how many standard deviations of the calorimeter tracks may exceed it before they are doubted (PFAlgo nSigmaTRACK).
        track_error: below this uncertainty of pt a track is trusted whatever the calorimeter says (PFAlgo pt_Error).
        averaged_error: above this relative uncertainty a track's momentum is averaged with the calorimeter (PFAlgo, 10 %).
        min_neutral_hadron: a smaller excess over tracks and photons is not made a neutral hadron (PFAlgo, 1 GeV).
        electron_min_e_over_p, electron_max_e_over_p: ECAL energy of an electron over the momentum of its GSF track, give or take electron_track_sigma
            standard deviations of the momentum. Ours: the original decides by BDTs.
        electron_max_h_over_e: HCAL energy behind an electron over its ECAL energy. Ours.
    """

    muon_hcal: float = 3.0
    muon_ecal: float = 0.5
    muon_ho: float = 0.9
    ecal_plateau: float = 0.82
    ecal_loss: float = 0.47
    ecal_power: float = -0.7
    barrel_eta: float = 1.48
    barrel_stochastic: float = 1.02
    barrel_constant: float = 0.065
    endcap_stochastic: float = 1.20
    endcap_constant: float = 0.028
    deficit_sigma: float = 1.0
    track_error: float = 1.0
    averaged_error: float = 0.1
    min_neutral_hadron: float = 1.0
    electron_min_e_over_p: float = 0.7
    electron_max_e_over_p: float = 1.5
    electron_track_sigma: float = 2.0
    electron_max_h_over_e: float = 0.15


class Groups(NamedTuple):
    """G hadron groups: tracks that share an HCAL cluster (or, without one, an ECAL cluster), with the ECAL clusters nearest to these tracks.

    Attributes:
        hcal: ``(G,) int64`` HCAL cluster, -1 if none.
        track: tracks, group by group, by falling pt uncertainty; flat element indices.
        track_offsets: ``(G + 1,) int64``.
        ecal: ECAL clusters, group by group: first each track's own nearest one, then the others, both by growing distance.
        ecal_offsets: ``(G + 1,) int64``.
        ecal_is_own: ``bool``, the ECAL cluster is the nearest one of its track.
    """

    hcal: np.ndarray
    track: np.ndarray
    track_offsets: np.ndarray
    ecal: np.ndarray
    ecal_offsets: np.ndarray
    ecal_is_own: np.ndarray


class State(NamedTuple):
    """What is known of each of N elements; `resolve_groups` fills in ``pid``, ``energy`` and ``used``.

    Attributes:
        pid: ``int64`` class of the candidate that the element leads, 0 if none; MUON on a track marks an identified muon beforehand.
        energy: calibrated energy of clusters (HO included), momentum of tracks; afterwards that of the candidate.
        used: ``bool``, a cluster whose energy is accounted for.
        error: uncertainty of a track's momentum.
        pt_error: uncertainty of a track's pt.
        eta: for the resolution.
        muon_deposit: energy that this track would leave behind if it were a muon, 0 where it has no cluster.
        loose_muon: ``bool``, a track with some sign of a muon.
    """

    pid: np.ndarray
    energy: np.ndarray
    used: np.ndarray
    error: np.ndarray
    pt_error: np.ndarray
    eta: np.ndarray
    muon_deposit: np.ndarray
    loose_muon: np.ndarray


@numba.njit(cache=True)
def resolution(energy: float, eta: float, rules: Rules) -> float:
    """Expected relative resolution of a hadron of ``energy`` [GeV] in the calorimeters."""
    energy = max(energy, 1.0)
    if abs(eta) < rules.barrel_eta:
        return np.sqrt(rules.barrel_stochastic**2 / energy + rules.barrel_constant**2)
    return np.sqrt(rules.endcap_stochastic**2 / energy + rules.endcap_constant**2)


@numba.njit(cache=True)
def ecal_scale(energy: Any, rules: Rules) -> Any:
    """What ECAL energy is multiplied with if it comes from a hadron of about ``energy`` [GeV], a scalar or an array."""
    return 1.0 / (rules.ecal_plateau - rules.ecal_loss * np.maximum(energy, 1.0) ** rules.ecal_power)


@numba.njit(cache=True)
def excess_threshold(momentum: float) -> float:
    """Number of standard deviations from which more calorimeter energy than track momentum means a neutral particle."""
    return 1.0 + np.exp(-momentum / 100.0)


@numba.njit(cache=True)
def resolve_groups(groups: Groups, state: State, rules: Rules) -> None:
    """Decide each group: which tracks are charged hadrons and of which momentum, and which neutral particles hide under them."""
    for group in range(len(groups.hcal)):
        tracks = groups.track[groups.track_offsets[group] : groups.track_offsets[group + 1]].copy()
        ecals = slice(groups.ecal_offsets[group], groups.ecal_offsets[group + 1])
        hcal = groups.hcal[group]
        hcal_energy = 0.0
        if hcal >= 0:
            hcal_energy = state.energy[hcal]
            state.used[hcal] = True
        momentum = _momentum(tracks, state)
        ecal_energy, photon = _collect_ecal(groups.ecal[ecals], groups.ecal_is_own[ecals], hcal_energy, momentum, state, rules)
        scale = ecal_scale(max(momentum, ecal_energy + hcal_energy), rules)
        eta = state.eta[hcal] if hcal >= 0 else state.eta[tracks[0]]
        calo, momentum = _settle_tracks(tracks, scale * ecal_energy + hcal_energy, eta, state, rules)
        sigma = _total_error(tracks, momentum, eta, state, rules)
        excess = calo - momentum
        if excess > excess_threshold(momentum) * sigma:
            _add_neutrals(excess, ecal_energy, scale, hcal, photon, state, rules)
        elif abs(excess) <= excess_threshold(momentum) * sigma:
            _average(tracks, calo, eta, momentum, state, rules)


@numba.njit(cache=True)
def _momentum(tracks: np.ndarray, state: State) -> float:
    total = 0.0
    for track in tracks:
        if state.pid[track] == CHARGED_HADRON:
            total += state.energy[track]
    return total


@numba.njit(cache=True)
def _collect_ecal(ecals: np.ndarray, is_own: np.ndarray, hcal_energy: float, momentum: float, state: State, rules: Rules) -> tuple[float, int]:
    """Energy of the group's ECAL clusters and the largest of them (-1 if none): the tracks' own, then others while tracks can explain them."""
    total, largest, scale = 0.0, -1, ecal_scale(momentum, rules)
    for position in range(len(ecals)):
        cluster = ecals[position]
        if not is_own[position] and scale * (total + state.energy[cluster]) + hcal_energy > momentum:
            break
        total += state.energy[cluster]
        state.used[cluster] = True
        if largest < 0 or state.energy[cluster] > state.energy[largest]:
            largest = cluster
    return total, largest


@numba.njit(cache=True)
def _settle_tracks(tracks: np.ndarray, calo: float, eta: float, state: State, rules: Rules) -> tuple[float, float]:
    """Subtract muons; if tracks still claim too much, take loose muons out, then drop or rescale badly measured tracks, worst first.

    Returns:
        calorimeter energy without muons, momentum of the remaining charged hadrons.
    """
    for track in tracks:
        if state.pid[track] == MUON:
            calo = max(calo - state.muon_deposit[track], 0.0)
    momentum = _momentum(tracks, state)
    for track in tracks:
        deficit = momentum - calo > rules.deficit_sigma * resolution(momentum, eta, rules) * momentum
        if deficit and state.loose_muon[track] and state.pid[track] == CHARGED_HADRON:
            state.pid[track] = MUON
            momentum -= state.energy[track]
            calo = max(calo - state.muon_deposit[track], 0.0)
    if momentum - calo <= rules.deficit_sigma * resolution(momentum, eta, rules) * momentum:
        return calo, momentum
    for track in tracks:
        if state.pid[track] != CHARGED_HADRON:
            continue
        if state.pt_error[track] < rules.track_error:
            break  # they come by falling uncertainty
        others = momentum - state.energy[track]
        if others < calo:  # without it too little: the track takes what the others leave
            state.energy[track] = max(calo - others, SMALLEST_MOMENTUM)
            return calo, others + state.energy[track]
        state.pid[track] = 0
        momentum = others
    return calo, momentum


@numba.njit(cache=True)
def _total_error(tracks: np.ndarray, momentum: float, eta: float, state: State, rules: Rules) -> float:
    variance = (resolution(momentum, eta, rules) * momentum) ** 2
    for track in tracks:
        if state.pid[track] == CHARGED_HADRON:
            variance += state.error[track] ** 2
        elif state.pid[track] == MUON:
            variance += state.muon_deposit[track] ** 2
    return np.sqrt(variance)


@numba.njit(cache=True)
def _add_neutrals(excess: float, ecal_energy: float, scale: float, hcal: int, photon: int, state: State, rules: Rules) -> None:
    """A photon if the ECAL can hold the excess, else a photon of all its energy and a neutral hadron of the rest; photons need no ``scale``."""
    if photon >= 0 and ecal_energy > 0.0:
        state.pid[photon], state.energy[photon] = PHOTON, min(excess / scale, ecal_energy)
        excess -= scale * ecal_energy
    if hcal >= 0 and excess > rules.min_neutral_hadron:
        state.pid[hcal], state.energy[hcal] = NEUTRAL_HADRON, excess


@numba.njit(cache=True)
def _average(tracks: np.ndarray, calo: float, eta: float, momentum: float, state: State, rules: Rules) -> None:
    """Weighted average of badly measured tracks with the calorimeter.

    Minimises sum (x_i - p_i)^2 / sigma_i^2 + (sum x_i - C)^2 / R^2, C being the energy that well measured tracks leave; its normal equations
    A_ii = 1/sigma_i^2 + 1/R^2, A_ij = 1/R^2, b_i = p_i/sigma_i^2 + C/R^2 have the solution x_i = p_i + sigma_i^2 (C - sum p) / (R^2 + sum sigma^2).
    """
    variance = 0.0
    for track in tracks:
        if state.pid[track] == CHARGED_HADRON and state.error[track] > rules.averaged_error * state.energy[track]:
            variance += state.error[track] ** 2
    if variance == 0.0:
        return
    pull = (calo - momentum) / ((resolution(momentum, eta, rules) * momentum) ** 2 + variance)
    for track in tracks:
        if state.pid[track] == CHARGED_HADRON and state.error[track] > rules.averaged_error * state.energy[track]:
            state.energy[track] = max(state.energy[track] + state.error[track] ** 2 * pull, SMALLEST_MOMENTUM)
