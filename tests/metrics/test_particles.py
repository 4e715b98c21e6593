import numpy as np
import pytest

from mlpf.events import offsets_from_counts
from mlpf.metrics.binning import VERTICES, bin_index
from mlpf.metrics.particles import ParticleSums, match_particles
from mlpf.metrics.systems import Particles
from mlpf.schema import CandidateClass, ElementType

CHARGED, PHOTON, NEUTRAL, ELECTRON = (int(CandidateClass[name]) for name in ("CHARGED_HADRON", "PHOTON", "NEUTRAL_HADRON", "ELECTRON"))
TRACK, ECAL, GSF = int(ElementType.TRACK), int(ElementType.ECAL), int(ElementType.GSF)
TYPES = np.array([TRACK, TRACK, ECAL, ECAL, GSF])  # of the five elements of one event


def particles(*rows, counts=None):
    """Rows of (element, class, pt, eta, phi), massless."""
    element, category, pt, eta, phi = np.array(rows, dtype=float).reshape(-1, 5).T
    energy = pt * np.cosh(eta)
    offsets = offsets_from_counts(np.array([len(pt)] if counts is None else counts))
    return Particles(pt, eta, phi, energy, category.astype(np.int32), element.astype(np.int64), np.zeros(len(pt), dtype=np.float32), offsets)


TRUTH = particles((0, CHARGED, 10, 0.5, 1.0), (1, CHARGED, 2, -0.5, 0.0), (2, PHOTON, 5, 0.5, 1.1), (3, PHOTON, 4, 0.5, 1.3))


def summarise(truth, found, types=TYPES, num_pileup=(0,), variables=("pt", "eta"), has_pileup=False):
    sums = ParticleSums()
    sums.update(truth, found, match_particles(truth, found, types), bin_index(np.array(num_pileup), VERTICES))
    return sums.to_json(variables, has_pileup)


def test_perfect_candidates_have_efficiency_one_no_fakes_and_no_residuals():
    summary = summarise(TRUTH, TRUTH)
    for name in ("charged_hadron", "photon"):
        assert summary["efficiency"][name]["all"]["value"] == 1.0
        assert summary["fake_rate"][name]["all"]["value"] == 0.0
        assert summary["right_class"][name]["all"]["value"] == 1.0
        for quantity, expected in {"pt_response": 1, "energy_response": 1, "delta_eta": 0, "delta_phi": 0}.items():
            residual = summary["residuals"][name][quantity]
            assert residual["median"]["value"] == expected
            assert residual["iqr"]["value"] == 0
            assert residual["tails"]["value"] == 0
    assert summary["efficiency"]["muon"]["all"] == {"value": None, "low": None, "high": None, "n": 0}


def test_a_missing_candidate_lowers_the_efficiency_in_its_bin():
    summary = summarise(TRUTH, TRUTH.select(np.array([False, True, True, True])))
    assert summary["efficiency"]["charged_hadron"]["all"]["value"] == 0.5
    assert summary["efficiency"]["photon"]["all"]["value"] == 1.0
    by_pt = summary["efficiency"]["charged_hadron"]["pt"]
    assert (by_pt[3]["value"], by_pt[5]["value"]) == (1.0, 0.0)  # 2-5 GeV, 10-20 GeV


def test_a_duplicated_candidate_is_a_fake():
    found = particles((0, CHARGED, 10, 0.5, 1.0), (2, PHOTON, 5, 0.5, 1.1), (3, PHOTON, 5, 0.5, 1.1), (4, PHOTON, 5, 0.5, 1.1))
    truth = particles((0, CHARGED, 10, 0.5, 1.0), (2, PHOTON, 5, 0.5, 1.1))
    summary = summarise(truth, found)
    assert summary["fake_rate"]["photon"]["all"]["value"] == pytest.approx(2 / 3)
    assert summary["fake_rate"]["charged_hadron"]["all"]["value"] == 0.0
    assert summary["efficiency"]["photon"]["all"]["value"] == 1.0


def test_a_shifted_scale_is_the_median_response():
    found = TRUTH._replace(pt=TRUTH.pt * 1.25, energy=TRUTH.energy * 0.8, phi=TRUTH.phi + 2 * np.pi + 0.01)
    residuals = summarise(TRUTH, found)["residuals"]["photon"]
    assert residuals["pt_response"]["median"]["value"] == pytest.approx(1.25)
    assert residuals["energy_response"]["median"]["value"] == pytest.approx(0.8)
    assert residuals["delta_phi"]["median"]["value"] == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize(("shift", "scale", "matched"), [(0.149, 1.0, True), (0.151, 1.0, False), (0.0, 0.21, True), (0.0, 0.19, False), (0.0, 5.1, False)])
def test_neutral_particles_need_to_be_near_in_direction_and_pt(shift, scale, matched):
    partner = match_particles(particles((2, PHOTON, 5, 0.5, 3.1)), particles((3, NEUTRAL, 5 * scale, 0.5, 3.1 + shift)), TYPES)
    assert partner.tolist() == [0 if matched else -1]


def test_a_charged_particle_is_matched_by_its_track_alone():
    truth = particles((0, CHARGED, 10, 0.5, 1.0))
    assert match_particles(truth, particles((0, CHARGED, 9, 1.5, 2.0)), TYPES).tolist() == [0]
    assert match_particles(truth, particles((1, CHARGED, 10, 0.5, 1.0)), TYPES).tolist() == [-1]
    assert match_particles(truth, particles((0, CHARGED, 1, 0.5, 1.0)), TYPES).tolist() == [-1]  # response 0.1
    assert match_particles(truth, particles((0, PHOTON, 10, 0.5, 1.0)), TYPES).tolist() == [-1]  # not charged


def test_an_electron_may_be_reconstructed_on_its_gsf_element_or_on_its_track():
    on_gsf, on_track = particles((4, ELECTRON, 20, 0.5, 1.0)), particles((0, ELECTRON, 19, 0.52, 1.0))
    assert match_particles(on_gsf, on_track, TYPES).tolist() == [0]
    assert match_particles(on_track, on_gsf, TYPES).tolist() == [0]
    assert match_particles(on_gsf, particles((0, ELECTRON, 19, 0.7, 1.0)), TYPES).tolist() == [-1]


def test_a_photon_seen_as_neutral_hadron_is_found_but_of_the_wrong_class():
    summary = summarise(TRUTH, TRUTH._replace(category=np.where(TRUTH.category == PHOTON, NEUTRAL, TRUTH.category)))
    assert summary["efficiency"]["photon"]["all"]["value"] == 1.0
    assert summary["right_class"]["photon"]["all"]["value"] == 0.0
    assert summary["fake_rate"]["neutral_hadron"]["all"]["value"] == 0.0


def test_particles_of_different_events_are_never_matched():
    truth = particles((0, PHOTON, 5, 0.5, 1.0), counts=[1, 0])
    found = particles((1, PHOTON, 5, 0.5, 1.0), counts=[0, 1])
    assert match_particles(truth, found, np.array([ECAL, ECAL])).tolist() == [-1]


def test_no_candidates_and_no_targets_are_no_error():
    nothing = particles()
    assert summarise(TRUTH, nothing)["efficiency"]["photon"]["all"]["value"] == 0.0
    assert summarise(nothing, TRUTH)["fake_rate"]["photon"]["all"]["value"] == 1.0
    assert summarise(nothing, nothing)["fake_rate"]["photon"]["all"]["value"] is None


def test_efficiency_of_pileup_is_told_apart():
    truth = TRUTH._replace(pileup=np.array([0.0, 0.0, 0.0, 0.9], dtype=np.float32))
    efficiency = summarise(truth, TRUTH.select(np.array([True, True, True, False])), has_pileup=True)["efficiency"]["photon"]
    assert (efficiency["hard"]["value"], efficiency["pileup"]["value"]) == (1.0, 0.0)
    assert "pileup" not in summarise(TRUTH, TRUTH)["efficiency"]["photon"]


def test_fakes_are_told_apart_by_the_target_of_their_element():
    truth = particles((0, PHOTON, 3, 0.0, 0.0), (1, PHOTON, 3, 1.0, 0.0), (2, PHOTON, 3, 2.0, 0.0), counts=[3])
    truth = truth._replace(pileup=np.array([0.0, 0.9, 0.9], dtype=np.float32))
    found = particles((0, PHOTON, 3, 0.0, 0.0), (1, PHOTON, 3, 1.5, 0.0), (2, PHOTON, 3, 2.0, 0.0), (3, PHOTON, 3, -2.0, 0.0), counts=[4])
    fakes = summarise(truth, found, has_pileup=True)["fake_rate"]["photon"]
    assert [(fakes[part]["value"], fakes[part]["n"]) for part in ("all", "hard", "pileup")] == [(0.5, 4), (0.0, 1), (0.5, 2)]  # the last has no target


def test_residuals_are_told_apart_by_pt_eta_and_pileup_collisions():
    truth = particles((0, PHOTON, 3, -1.2, 0.0), (1, PHOTON, 3, 1.2, 0.0), (2, PHOTON, 7, -1.2, 0.0), (3, PHOTON, 3, 1.2, 0.0), counts=[2, 1, 1])
    scale = np.array([0.9, 1.1, 1.3, 0.7])
    found = truth._replace(pt=truth.pt * scale, energy=truth.energy * scale**2, eta=truth.eta + 0.01 * np.arange(4))
    summary = summarise(truth, found, np.full(4, ECAL), num_pileup=[30, 50, -1], variables=("pt", "eta", "vertices"))
    photons = summary["residuals"]["photon"]

    def medians(quantity, variable):
        return {i: pytest.approx(entry["value"]) for i, entry in enumerate(photons[quantity][variable]["median"]) if entry["n"]}

    assert medians("pt_response", "pt") == {3: 0.9, 4: 1.3}  # 2-5 GeV: .7, .9, 1.1; 5-10 GeV
    assert medians("pt_response", "eta") == {7: 1.1, 12: 0.9}  # -1.5 to -1: .9, 1.3; 1 to 1.5: 1.1, .7
    assert medians("pt_response", "vertices") == {2: 1.0, 3: 1.3}  # 20-40; 40-60; of the last event they are unknown
    assert medians("energy_response", "vertices") == {2: np.mean([0.81, 1.21]), 3: 1.69}
    assert medians("delta_eta", "pt") == {3: 0.01, 4: 0.02}
    assert summary["efficiency"]["photon"]["vertices"][2]["n"] == 2
    assert [entry["n"] for entry in summary["fake_rate"]["photon"]["vertices"]] == [0, 0, 2, 1, 0, 0, 0, 0, 0]


def test_particles_outside_all_bins_count_overall():
    truth = particles((2, PHOTON, 0.1, 0.5, 1.0), (3, PHOTON, 900, 5.5, 1.0))
    photons = summarise(truth, truth)["efficiency"]["photon"]
    assert photons["all"]["n"] == 2
    assert sum(entry["n"] for entry in photons["pt"]) == 0
    assert sum(entry["n"] for entry in photons["eta"]) == 1


def test_a_candidate_of_no_known_class_is_nobodys_fake():
    found = particles((2, 0, 5, 0.5, 1.1))
    summary = summarise(particles((2, PHOTON, 5, 0.5, 1.1)), found)
    assert summary["efficiency"]["photon"]["all"]["value"] == 1.0  # there is one
    assert summary["right_class"]["photon"]["all"]["value"] == 0.0
    assert all(entry["all"]["n"] == 0 for entry in summary["fake_rate"].values())


def test_targets_without_energy_or_direction_have_no_residual_and_stop_nothing():
    truth = TRUTH._replace(energy=TRUTH.energy * np.array([0, 1, 0, 1]), eta=np.where(np.arange(4) == 1, np.nan, TRUTH.eta))
    summary = summarise(truth, TRUTH)
    residuals = summary["residuals"]
    assert residuals["photon"]["energy_response"]["median"] == {"value": 1.0, "low": None, "high": None, "n": 1}
    assert residuals["photon"]["pt_response"]["median"]["n"] == 2
    assert residuals["charged_hadron"]["energy_response"]["median"]["n"] == 1
    assert residuals["charged_hadron"]["delta_eta"]["median"]["n"] == 1
    assert summary["efficiency"]["charged_hadron"]["all"]["n"] == 2
