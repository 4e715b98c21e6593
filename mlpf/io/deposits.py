"""How the energy of a calorimeter tower or cluster is shared by its particles, in formats that store the particles but not what each left there."""

import numpy as np

# By the cards that come with Delphes (cards/delphes_card_CMS.tcl, EnergyFraction): |pdgId| -> part of a particle's energy that it leaves in the
# electromagnetic calorimeter; the rest, and all of any other particle, is left in the hadronic one. Muons, neutrinos and neutralinos leave none.
EM_FRACTION = {11: 1.0, 22: 1.0, 111: 1.0, 310: 0.3, 3122: 0.3}
NO_DEPOSIT = (12, 13, 14, 16, 1000022, 1000023, 1000025, 1000035, 1000045)


def deposited_fraction(pdgid: np.ndarray, electromagnetic: np.ndarray) -> np.ndarray:
    """Part of a particle's energy that it leaves in the electromagnetic, or else the hadronic calorimeter."""
    pid = np.abs(pdgid)
    fraction = np.select([pid == known for known in EM_FRACTION], list(EM_FRACTION.values()), 0.0)
    return np.where(np.isin(pid, NO_DEPOSIT), 0.0, np.where(electromagnetic, fraction, 1.0 - fraction))


def shares(
    cluster: np.ndarray, energy: np.ndarray, pdgid: np.ndarray, explained: np.ndarray, cluster_energy: np.ndarray, electromagnetic: np.ndarray
) -> np.ndarray:
    """Each particle's part of its cluster's energy [GeV], in proportion to what it leaves there.

    Particles that are ``explained`` by tracks have no part in a cluster where there are others; where no particle should leave anything, all energies count.

    Args:
        cluster: ``(P,)`` row of the cluster of each pair of particle and cluster.
        energy, pdgid, explained: ``(P,)`` of the particle.
        cluster_energy, electromagnetic: ``(N,)`` of the clusters.

    Returns:
        ``(P,)``; the sum over the particles of a cluster is its energy.
    """
    energy = energy.astype(np.float64)
    deposited = energy * deposited_fraction(pdgid, electromagnetic[cluster])
    deposited = _where_any(np.where(explained, 0.0, deposited), deposited, cluster, len(cluster_energy))
    deposited = _where_any(deposited, energy, cluster, len(cluster_energy))
    total = np.bincount(cluster, deposited, len(cluster_energy))[cluster]
    return cluster_energy[cluster] * deposited / np.where(total > 0, total, 1.0)


def _where_any(preferred: np.ndarray, otherwise: np.ndarray, cluster: np.ndarray, num_clusters: int) -> np.ndarray:
    """``(P,)`` preferred weights, but the others in clusters where the preferred ones are all 0."""
    return np.where(np.bincount(cluster, preferred, num_clusters)[cluster] > 0, preferred, otherwise)
