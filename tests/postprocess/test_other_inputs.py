"""Postprocessing of a real file of another format: the invariants hold, and the physics is what that detector does."""

from pathlib import Path

import numpy as np
import pytest

from mlpf.io.inputs import open_input
from mlpf.kinematics import momentum_from_pt_eta_phi
from mlpf.postprocess.policy import PostprocessConfig
from mlpf.postprocess.rows import columns_to_read, postprocess_events
from mlpf.schema import CandidateClass, ElementType

DELPHES = Path(__file__).parents[3] / "shared" / "data" / "delphes_tracks_eflow.root"
pytestmark = pytest.mark.skipif(not DELPHES.is_file(), reason="the real Delphes file is not here")


def dataset_of(policy_name):
    with open_input(DELPHES) as file:
        policy = PostprocessConfig(policy=policy_name).choose(file.branches)
        (events,) = file.iterate(columns_to_read(policy))
        return events, *postprocess_events(events, policy)


def summed(pt, eta, phi, energy):
    pt, eta, phi, energy = (np.asarray(values, dtype=np.float64) for values in (pt, eta, phi, energy))
    return np.array([*(component.sum() for component in momentum_from_pt_eta_phi(pt, eta, phi)), energy.sum()])


def test_targets_have_the_four_momentum_of_all_particles_that_left_something():
    events, dataset, _ = dataset_of("auto")
    linked = np.zeros(events.size("caloparticle"), dtype=bool)
    event = np.repeat(np.arange(len(events)), events.counts("caloparticle_to_element"))
    linked[events["caloparticle_to_element.first"] + events.collection_offsets("caloparticle")[event]] = True
    for e in range(len(events)):
        one = events.slice(e, e + 1)
        with_track = np.isin(one["caloparticle_idx_trackingparticle"], one["trackingparticle_to_element.first"])
        linked[events.collection_offsets("caloparticle")[e] : events.collection_offsets("caloparticle")[e + 1]] |= with_track
    expected = summed(*(events[f"caloparticle_{name}"][linked] for name in ("pt", "eta", "phi", "energy")))
    found = dataset["target_energy"] > 0
    phi = np.arctan2(dataset["target_sin_phi"], dataset["target_cos_phi"])[found]
    assert linked.sum() > 2000
    assert summed(dataset["target_pt"][found], dataset["target_eta"][found], phi, dataset["target_energy"][found]) == pytest.approx(
        expected, rel=1e-5, abs=0.01
    )


@pytest.mark.parametrize("policy", ["caloparticle", "trackingparticle"])
def test_both_policies_find_the_particle_of_every_track_and_photons_in_the_electromagnetic_calorimeter(policy):
    _, dataset, summary = dataset_of(policy)
    tracks, ecal = (dataset["element_type"] == kind for kind in (ElementType.TRACK, ElementType.ECAL))
    assert (dataset["target_class"][tracks] != CandidateClass.NONE).all()
    assert np.median(np.abs(dataset["target_energy"][tracks] / dataset["element_energy"][tracks] - 1)) < 0.02
    assert (dataset["target_class"][ecal] == CandidateClass.PHOTON).mean() > 0.9
    assert summary.unmatched_candidates < 0.01 * summary.num_candidates
