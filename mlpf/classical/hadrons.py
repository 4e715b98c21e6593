"""Hadron groups: the tracks on one HCAL cluster against the energy behind them (PFAlgo's comparison of momentum and calorimeter).

Sources: CMS particle flow, JINST 12 (2017) P10003 (arXiv:1706.04965) section 4.4, and CMSSW's PFAlgo with its default parameters. Groups are independent of
each other, so that they may be decided in any order and on any number of threads.
"""

from typing import NamedTuple

import numba
import numpy as np

from mlpf.classical.calibration import HadronCalibration, hadron_scales
from mlpf.classical.rules import Rules, State
from mlpf.classical.threads import in_parts
from mlpf.schema import CandidateClass

CHARGED_HADRON, NEUTRAL_HADRON = int(CandidateClass.CHARGED_HADRON), int(CandidateClass.NEUTRAL_HADRON)
PHOTON, MUON = int(CandidateClass.PHOTON), int(CandidateClass.MUON)
SMALLEST_MOMENTUM = 0.05  # GeV; a track that the calorimeter leaves less than this is dropped (PFAlgo)
PART = 2000  # groups that a thread decides at a time, about a millisecond


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


class Deposit(NamedTuple):
    """The energy behind a group's tracks.

    Attributes:
        ecal, hcal: raw, without what identified muons left.
        as_photon: the ECAL's, calibrated as a photon.
        photon: its most energetic ECAL cluster, -1 if none.
        ecal_scale, hcal_scale: what makes them a hadron's energy.
    """

    ecal: float
    hcal: float
    as_photon: float
    photon: int
    ecal_scale: float
    hcal_scale: float


def resolve_groups(groups: Groups, state: State, rules: Rules, calibration: HadronCalibration, threads: int = 1) -> None:
    """Decide each group: which tracks are charged hadrons and of which momentum, and which neutral particles hide under them.

    Args:
        threads: how many share the groups; the result does not depend on it.
    """
    in_parts(_resolve, len(groups.hcal), PART, threads, groups, state, rules, calibration)


@numba.njit(cache=True)
def resolution(energy: float, eta: float, rules: Rules) -> float:
    """Expected relative resolution of a hadron of ``energy`` [GeV] in the calorimeters."""
    energy = max(energy, 1.0)
    if abs(eta) < rules.barrel_eta:
        return np.sqrt(rules.barrel_stochastic**2 / energy + rules.barrel_constant**2)
    return np.sqrt(rules.endcap_stochastic**2 / energy + rules.endcap_constant**2)


@numba.njit(cache=True)
def excess_threshold(momentum: float) -> float:
    """Number of standard deviations from which more calorimeter energy than track momentum means a neutral particle."""
    return 1.0 + np.exp(-momentum / 100.0)


@numba.njit(cache=True, nogil=True)
def _resolve(first: int, last: int, groups: Groups, state: State, rules: Rules, calibration: HadronCalibration) -> None:
    for group in range(first, last):
        tracks = groups.track[groups.track_offsets[group] : groups.track_offsets[group + 1]]
        ecals = slice(groups.ecal_offsets[group], groups.ecal_offsets[group + 1])
        _resolve_group(tracks, groups.ecal[ecals], groups.ecal_is_own[ecals], groups.hcal[group], state, rules, calibration)


@numba.njit(cache=True)
def _resolve_group(tracks: np.ndarray, ecals: np.ndarray, is_own: np.ndarray, hcal: int, state: State, rules: Rules, calibration: HadronCalibration) -> None:
    if hcal >= 0:
        state.used[hcal] = True
    eta = state.eta[hcal] if hcal >= 0 else state.eta[tracks[0]]
    deposit = _collect(tracks, ecals, is_own, hcal, eta, state, calibration)
    calo, momentum = _settle_tracks(tracks, deposit, eta, hcal >= 0, state, rules)
    excess = calo - momentum
    calo_error = _calo_error(tracks, momentum, eta, state, rules)
    limit = excess_threshold(momentum) * np.hypot(calo_error, _track_error(tracks, state)) if hcal >= 0 else rules.min_photon
    if excess > limit:
        _add_neutrals(excess, deposit, hcal, state, rules)
    elif hcal >= 0 and excess >= -limit:
        _average(tracks, excess, calo_error, state, rules)


@numba.njit(cache=True)
def _momentum(tracks: np.ndarray, state: State) -> float:
    total = 0.0
    for track in tracks:
        if state.pid[track] == CHARGED_HADRON:
            total += state.energy[track]
    return total


@numba.njit(cache=True)
def _track_error(tracks: np.ndarray, state: State) -> float:
    variance = 0.0
    for track in tracks:
        if state.pid[track] == CHARGED_HADRON:
            variance += state.error[track] ** 2
    return np.sqrt(variance)


@numba.njit(cache=True)
def _calo_error(tracks: np.ndarray, momentum: float, eta: float, state: State, rules: Rules) -> float:
    """Of hadrons of that momentum and of the muons among the tracks."""
    variance = (resolution(momentum, eta, rules) * momentum) ** 2
    for track in tracks:
        if state.pid[track] == MUON:
            variance += state.muon_ecal[track] ** 2 + state.muon_hcal[track] ** 2
    return np.sqrt(variance)


@numba.njit(cache=True)
def _collect(tracks: np.ndarray, ecals: np.ndarray, is_own: np.ndarray, hcal: int, eta: float, state: State, calibration: HadronCalibration) -> Deposit:
    """The HCAL cluster, the tracks' own ECAL clusters, then further ones while the tracks can explain them; without what muons left."""
    momentum = _momentum(tracks, state)
    muon_ecal = muon_hcal = 0.0
    for track in tracks:
        if state.pid[track] == MUON:
            muon_ecal += state.muon_ecal[track]
            muon_hcal += state.muon_hcal[track]
    hcal_energy = max(state.raw[hcal] - muon_hcal, 0.0) if hcal >= 0 else 0.0
    collected = as_photon = 0.0
    photon = -1
    for position in range(len(ecals)):
        cluster = ecals[position]
        if not is_own[position]:
            ecal_energy = max(collected + state.raw[cluster] - muon_ecal, 0.0)
            ecal_scale, hcal_scale = hadron_scales(max(momentum, ecal_energy + hcal_energy), ecal_energy, eta, calibration)
            if ecal_scale * ecal_energy + hcal_scale * hcal_energy > momentum:
                break
        collected += state.raw[cluster]
        as_photon += state.energy[cluster]
        state.used[cluster] = True
        if photon < 0 or state.energy[cluster] > state.energy[photon]:
            photon = cluster
    ecal_energy = max(collected - muon_ecal, 0.0)
    if collected > 0.0:
        as_photon *= ecal_energy / collected
    ecal_scale, hcal_scale = hadron_scales(max(momentum, ecal_energy + hcal_energy), ecal_energy, eta, calibration)
    return Deposit(ecal_energy, hcal_energy, as_photon, photon, ecal_scale, hcal_scale)


@numba.njit(cache=True)
def _settle_tracks(tracks: np.ndarray, deposit: Deposit, eta: float, with_hcal: bool, state: State, rules: Rules) -> tuple[float, float]:
    """If tracks claim too much, take loose muons out, then drop or rescale badly measured tracks, worst first.

    Without an HCAL cluster they are only dropped: what is missing may have stopped short of the HCAL, so the ECAL does not say how much there was.

    Returns:
        calibrated calorimeter energy without muons, momentum of the remaining charged hadrons.
    """
    calo = deposit.ecal_scale * deposit.ecal + deposit.hcal_scale * deposit.hcal
    momentum = _momentum(tracks, state)
    if momentum - calo <= rules.deficit_sigma * _calo_error(tracks, momentum, eta, state, rules):
        return calo, momentum
    for track in tracks:
        if state.loose_muon[track] and state.pid[track] == CHARGED_HADRON:
            state.pid[track] = MUON
            momentum -= state.energy[track]
            calo = max(calo - deposit.ecal_scale * state.muon_ecal[track] - deposit.hcal_scale * state.muon_hcal[track], 0.0)
    if momentum - calo <= rules.deficit_sigma * _calo_error(tracks, momentum, eta, state, rules):
        return calo, momentum
    for track in tracks:
        if state.pid[track] != CHARGED_HADRON:
            continue
        if state.pt_error[track] < rules.track_error:
            break  # they come by falling uncertainty
        others = momentum - state.energy[track]
        if others < calo and with_hcal and calo - others >= SMALLEST_MOMENTUM:  # without it too little: the track takes what the others leave
            state.energy[track] = calo - others
            return calo, calo
        state.pid[track] = 0
        momentum = others
        if momentum <= calo:
            break
    return calo, momentum


@numba.njit(cache=True)
def _add_neutrals(excess: float, deposit: Deposit, hcal: int, state: State, rules: Rules) -> None:
    """A photon if the ECAL can hold the excess, else a photon of all its energy and a neutral hadron of the rest; what a photon takes is calibrated as one."""
    from_ecal = deposit.ecal_scale * deposit.ecal
    if deposit.photon >= 0 and from_ecal > 0.0:
        state.pid[deposit.photon], state.energy[deposit.photon] = PHOTON, min(excess / from_ecal, 1.0) * deposit.as_photon
        excess -= from_ecal
    if hcal >= 0 and excess > rules.min_neutral_hadron:
        state.pid[hcal], state.energy[hcal] = NEUTRAL_HADRON, excess


@numba.njit(cache=True)
def _average(tracks: np.ndarray, excess: float, calo_error: float, state: State, rules: Rules) -> None:
    """Weighted average of the tracks with the calorimeter, if one of them is measured badly.

    Minimises sum (x_i - p_i)^2 / sigma_i^2 + (sum x_i - C)^2 / R^2, C being the calorimeter's energy; its normal equations
    A_ii = 1/sigma_i^2 + 1/R^2, A_ij = 1/R^2, b_i = p_i/sigma_i^2 + C/R^2 have the solution x_i = p_i + sigma_i^2 (C - sum p) / (R^2 + sum sigma^2).
    """
    worst = 0.0
    for track in tracks:
        if state.pid[track] == CHARGED_HADRON:
            worst = max(worst, state.error[track] / state.energy[track])
    if worst <= rules.averaged_error:
        return
    pull = excess / (calo_error**2 + _track_error(tracks, state) ** 2)
    for track in tracks:
        if state.pid[track] == CHARGED_HADRON:
            state.energy[track] = max(state.energy[track] + state.error[track] ** 2 * pull, SMALLEST_MOMENTUM)
