"""Electron identification: five scores of every electron, a GSF track with a supercluster, from what is reconstructed of it.

The classes are those of the CMS network: isolated and non-isolated electrons, and the backgrounds of jets, taus and photons. In its place stands a softmax of
a few of its inputs (arXiv:2012.06888, section 6), linear in each.
"""

from typing import NamedTuple

import numpy as np

from mlpf.kinematics import delta_phi, delta_r
from mlpf.schema import ElementType
from mlpf.simulation.elements import Columns
from mlpf.simulation.tracker.gsf import GsfTracks
from mlpf.simulation.tracker.material import NUM_LAYERS

# An electron is a GSF track with a supercluster this near to where it enters the ECAL, or would without radiation, with no more hadronic energy around it than
# that (cuts of the CMS electron seeding and preselection, those in angle with a margin)
MAX_DELTA_ETA, MAX_DELTA_PHI, MAX_HADRONIC, HADRONIC_RADIUS = 0.03, 0.2, 0.15, 0.15
ISOLATION_RADIUS = 0.3
NUM_SCORES = 5
FEATURES = ("one", "mismatch", "hadronic", "delta_eta", "width", "brem", "isolation", "missing")
# Rows: isolated electron, other electron, jet, tau, photon. Columns: as FEATURES. Set by hand, so that electrons and pions of guns separate.
COEFFICIENTS = np.array(
    [
        [2.5, -1.5, -15.0, -0.7, -0.3, 1.0, -3.0, -4.0],
        [0.5, -1.5, -15.0, -0.7, -0.3, 1.0, 0.0, -4.0],
        [-0.5, 1.0, 10.0, 0.5, 0.3, -1.0, 0.0, 0.0],
        [0.0, 1.0, 10.0, 0.5, 0.3, -1.0, -3.0, 0.0],
        [-2.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 8.0],
    ]
)


class Pairs(NamedTuple):
    """Electrons, ``(E,)`` each: positions among the GSF tracks and in the elements of their superclusters, hadronic over electromagnetic energy."""

    gsf: np.ndarray
    supercluster: np.ndarray
    hadronic: np.ndarray


def electron_scores(elements: Columns, gsf: GsfTracks) -> Columns:
    """Columns ``element_gsf_electronseed_dnn1`` to 5 of an event, 0 for what is no part of an electron; the five sum to 1 for what is.

    Args:
        elements: all element columns of the event, its GSF tracks in the order of ``gsf``.
    """
    types = elements["element_type"]
    scores = np.zeros((NUM_SCORES, len(types)), dtype=np.float32)
    pairs = find_electrons(elements, gsf)
    logits = COEFFICIENTS @ _features(elements, gsf, pairs)
    weights = np.exp(logits - np.max(logits, axis=0, initial=-np.inf))
    weights /= np.sum(weights, axis=0)
    scores[:, np.flatnonzero(types == ElementType.GSF)[pairs.gsf]] = weights
    first_of, first = np.unique(pairs.supercluster, return_index=True)  # one that two tracks share has the scores of the first
    scores[:, first_of] = weights[:, first]
    return {f"element_gsf_electronseed_dnn{k + 1}": scores[k] for k in range(NUM_SCORES)}


def find_electrons(elements: Columns, gsf: GsfTracks) -> Pairs:
    """GSF tracks with a supercluster of little hadronic energy; each takes the nearest one."""
    types, eta, phi = elements["element_type"], elements["element_eta"], elements["element_phi"]
    superclusters, hcal = np.flatnonzero(types == ElementType.SC), np.flatnonzero(types == ElementType.HCAL)
    if len(superclusters) == 0 or len(gsf.particle) == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(nothing, nothing, np.zeros(0))
    distance = np.full((len(gsf.particle), len(superclusters)), np.inf)
    for impacts in (gsf.impacts, gsf.unradiated_impacts):
        delta_eta = np.abs(eta[superclusters] - impacts.eta[:, None])
        delta_azimuth = np.abs(delta_phi(phi[superclusters].astype(np.float64), impacts.phi[:, None]))
        inside = (delta_eta < MAX_DELTA_ETA) & (delta_azimuth < MAX_DELTA_PHI)
        distance = np.minimum(distance, np.where(inside, np.hypot(delta_eta, delta_azimuth), np.inf))
    nearest = np.argmin(distance, axis=1)
    matched = np.flatnonzero(np.isfinite(distance[np.arange(len(nearest)), nearest]))
    own = superclusters[nearest[matched]]
    near = delta_r(eta[own][:, None], phi[own][:, None], eta[hcal], phi[hcal]) < HADRONIC_RADIUS
    hadronic = near @ elements["element_energy"][hcal] / elements["element_energy"][own]
    kept = hadronic < MAX_HADRONIC
    return Pairs(matched[kept], own[kept], hadronic[kept])


def _features(elements: Columns, gsf: GsfTracks, pairs: Pairs) -> np.ndarray:
    """``(8, E)`` in the order of `FEATURES`, each of order 1 and with an upper limit."""
    own, cluster = pairs.gsf, pairs.supercluster
    tracks = np.flatnonzero(elements["element_type"] == ElementType.TRACK)
    direction = elements["element_eta"][tracks], elements["element_phi"][tracks]
    eta, phi = gsf.inner_eta[own].astype(np.float32), gsf.inner_phi[own].astype(np.float32)
    around = np.asarray(delta_r(eta[:, None], phi[:, None], *direction)) < ISOLATION_RADIUS
    around[np.arange(len(own)), gsf.track[own]] = False
    points = np.bincount(gsf.brems.gsf, minlength=len(gsf.particle))[own]
    eta_at_ecal = np.stack([gsf.impacts.eta[own], gsf.unradiated_impacts.eta[own]])
    features = {
        "one": np.ones(len(own)),
        "mismatch": np.minimum(np.abs(np.log(elements["element_energy"][cluster] / gsf.inner_p[own])), 2.0),
        "hadronic": pairs.hadronic,
        "delta_eta": np.minimum(np.abs(elements["element_eta"][cluster] - eta_at_ecal).min(axis=0) / 0.01, 3.0),
        "width": np.minimum(elements["element_etaerror"][cluster] / 0.01, 3.0),
        "brem": np.clip(1.0 - gsf.outer_p[own] / gsf.inner_p[own], -0.5, 1.0),
        "isolation": np.minimum(around @ elements["element_pt"][tracks] / gsf.fit.pt[own], 3.0),
        "missing": 1.0 - points / NUM_LAYERS,
    }
    return np.stack([features[name] for name in FEATURES])
