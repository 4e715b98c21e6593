import numpy as np

from mlpf.simulation.calorimeter.readout import Deposits
from mlpf.simulation.truth import find_truth


def test_decay_products_belong_to_the_caloparticle_of_their_mother(particles, flights):
    """A K0S decays into two pions, a photon and a pion that reaches nothing are on their own."""
    shot = particles([310, 211, -211, 22, 211], [0, 1, -1, 0, 1], np.array([[5.0, 0, 0], [2.0, 0, 0], [3.0, 0, 0], [4.0, 0, 0], [0.3, 0, 0]]))
    shot = shot._replace(parent=np.array([-1, 0, 0, -1, -1]))
    truth = find_truth(flights(shot), Deposits(np.array([1, 2, 2, 3]), np.array([5, 5, 6, 9]), np.array([1.0, 2.0, 0.5, 4.0])))
    assert truth.tracking_particles.tolist() == [1, 2, 4]
    assert truth.simclusters.tolist() == [1, 2, 3]
    assert truth.caloparticles.tolist() == [0, 3, 4]
    assert truth.simcluster_to_caloparticle.tolist() == [0, 0, 1]
    assert truth.simcluster_to_tracking_particle.tolist() == [0, 1, -1]
    assert truth.caloparticle_to_tracking_particle.tolist() == [-1, -1, 2]  # a K0S leaves no hits itself
    assert truth.caloparticle_deposited.tolist() == [3.5, 4.0, 0.0]
    assert truth.deposited.tolist() == [1.0, 2.5, 4.0]
