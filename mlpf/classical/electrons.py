"""Electrons of rule-based particle flow: GSF tracks whose momentum is found in the ECAL."""

import numpy as np

from mlpf.classical.elements import Elements
from mlpf.classical.rules import Rules, State
from mlpf.schema import CandidateClass, ElementType

ECAL_STOCHASTIC, ECAL_CONSTANT = 0.028, 0.003  # relative resolution of electrons, CMS ECAL test beam, JINST 2 (2007) P04004


def find_electrons(elements: Elements, nearest: np.ndarray, owner: np.ndarray, state: State, rules: Rules) -> None:
    """Accept GSF tracks by E/p and H/E; cluster energy and momentum are averaged, and the track and ECAL clusters taken from the later rules."""
    gsf = elements.of_type(ElementType.GSF)
    ecal, gsf_of_ecal = _clusters(elements, nearest)
    ecal_energy = np.bincount(gsf_of_ecal, state.energy[ecal], minlength=len(elements.type))[gsf]
    track = nearest[gsf, ElementType.TRACK]
    hcal = np.where(track >= 0, nearest[track, ElementType.HCAL], nearest[gsf, ElementType.HCAL])
    behind = np.where(hcal >= 0, state.raw[hcal], 0.0)
    momentum, margin = elements.energy[gsf], rules.electron_track_sigma * state.error[gsf]
    accepted = (ecal_energy > rules.electron_min_e_over_p * momentum - margin) & (ecal_energy < rules.electron_max_e_over_p * momentum + margin)
    accepted &= behind < rules.electron_max_h_over_e * ecal_energy
    accepted &= (track < 0) | (state.pid[track] != CandidateClass.MUON)

    electron, track, hcal = gsf[accepted], track[accepted], hcal[accepted]
    state.pid[electron] = CandidateClass.ELECTRON
    state.energy[electron] = _electron_energy(elements.energy[electron], state.error[electron], ecal_energy[accepted])
    state.pid[track[track >= 0]] = CandidateClass.NONE
    owner[track[track >= 0]] = electron[track >= 0]
    owner[hcal[hcal >= 0]] = electron[hcal >= 0]  # holds unless a hadron group claims the cluster
    taken = state.pid[gsf_of_ecal] == CandidateClass.ELECTRON
    state.used[ecal[taken]] = True
    owner[ecal[taken]] = gsf_of_ecal[taken]
    brem = elements.of_type(ElementType.BREM)
    emitter = nearest[brem, ElementType.GSF]
    taken = (emitter >= 0) & (state.pid[emitter] == CandidateClass.ELECTRON)
    owner[brem[taken]] = emitter[taken]


def _clusters(elements: Elements, nearest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ECAL clusters with the GSF they belong to: the nearest one that points at them, else that which radiated there, else the one in their supercluster."""
    gsf, ecal = elements.of_type(ElementType.GSF), elements.of_type(ElementType.ECAL)
    seed = nearest[gsf, ElementType.ECAL]
    supercluster = np.where(seed >= 0, nearest[seed, ElementType.SC], -1)
    gsf_of_supercluster = np.full(len(elements.type) + 1, -1, dtype=np.int64)  # the last entry serves index -1: no supercluster, no GSF
    gsf_of_supercluster[supercluster[supercluster >= 0]] = gsf[supercluster >= 0]
    pointing, tangent = nearest[ecal, ElementType.GSF], nearest[ecal, ElementType.BREM]
    radiated = np.where(tangent >= 0, nearest[tangent, ElementType.GSF], -1)
    gsf_of_ecal = np.where(pointing >= 0, pointing, np.where(radiated >= 0, radiated, gsf_of_supercluster[nearest[ecal, ElementType.SC]]))
    return ecal[gsf_of_ecal >= 0], gsf_of_ecal[gsf_of_ecal >= 0]


def _electron_energy(momentum: np.ndarray, momentum_error: np.ndarray, ecal_energy: np.ndarray) -> np.ndarray:
    """Average of GSF momentum and ECAL energy, weighted with their uncertainties; the ECAL alone where the momentum has none."""
    ecal_variance = ECAL_STOCHASTIC**2 * ecal_energy + (ECAL_CONSTANT * ecal_energy) ** 2
    weight = np.where(momentum_error > 0.0, ecal_variance / (ecal_variance + momentum_error**2), 0.0)
    return weight * momentum + (1.0 - weight) * ecal_energy
