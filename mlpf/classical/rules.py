"""Parameters of rule-based particle flow, and what it knows of each element while it decides."""

from typing import NamedTuple

import numpy as np


class Rules(NamedTuple):
    """Parameters of rule-based particle flow; energies in GeV.

    Attributes:
        muon_hcal, muon_ecal, muon_ho: what a muon leaves behind; its spread is as large (PFAlgo muon_HCAL, _ECAL, _HO).
        barrel_eta: where the resolution changes (PFAlgo::neutralHadronEnergyResolution).
        barrel_stochastic, barrel_constant, endcap_stochastic, endcap_constant: resolution sqrt(a^2 / E + b^2) of hadrons (same).
        deficit_sigma: how many standard deviations of the calorimeter tracks may exceed it before they are doubted (PFAlgo nSigmaTRACK).
        track_error: below this uncertainty of pt a track is trusted whatever the calorimeter says (PFAlgo pt_Error).
        averaged_error: above this relative uncertainty of any track the momenta are averaged with the calorimeter (PFAlgo, 10 %).
        min_neutral_hadron: a smaller excess over tracks and photons is not made a neutral hadron (PFAlgo, 1 GeV).
        min_photon: where tracks have no HCAL cluster, a smaller excess is not made a photon (PFAlgo, 0.5 GeV).
        electron_min_e_over_p, electron_max_e_over_p: ECAL energy of an electron over the momentum of its GSF track, give or take electron_track_sigma
            standard deviations of the momentum. Ours: the original decides by BDTs.
        electron_max_h_over_e: HCAL energy behind an electron over its ECAL energy. Ours.
    """

    muon_hcal: float = 3.0
    muon_ecal: float = 0.5
    muon_ho: float = 0.9
    barrel_eta: float = 1.48
    barrel_stochastic: float = 1.02
    barrel_constant: float = 0.065
    endcap_stochastic: float = 1.20
    endcap_constant: float = 0.028
    deficit_sigma: float = 1.0
    track_error: float = 1.0
    averaged_error: float = 0.1
    min_neutral_hadron: float = 1.0
    min_photon: float = 0.5
    electron_min_e_over_p: float = 0.7
    electron_max_e_over_p: float = 1.5
    electron_track_sigma: float = 2.0
    electron_max_h_over_e: float = 0.15


class State(NamedTuple):
    """What is known of each of N elements; `hadrons.resolve_groups` fills in ``pid``, ``energy`` and ``used``.

    Attributes:
        pid: ``int64`` class of the candidate that the element leads, 0 if none; MUON on a track marks an identified muon beforehand.
        energy: momentum of tracks, energy of ECAL clusters as that of photons; of what leads a candidate, afterwards, that of the candidate.
        raw: energy of clusters before any calibration; HCAL clusters with the HO behind them.
        used: ``bool``, a cluster whose energy is accounted for.
        error: uncertainty of a track's momentum.
        pt_error: uncertainty of a track's pt.
        eta: of the element.
        muon_ecal, muon_hcal: energy that this track would leave in ECAL and in HCAL and HO if it were a muon, 0 where it has no cluster.
        loose_muon: ``bool``, a track with some sign of a muon.
    """

    pid: np.ndarray
    energy: np.ndarray
    raw: np.ndarray
    used: np.ndarray
    error: np.ndarray
    pt_error: np.ndarray
    eta: np.ndarray
    muon_ecal: np.ndarray
    muon_hcal: np.ndarray
    loose_muon: np.ndarray
