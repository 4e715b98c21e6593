import numpy as np
import pytest

from mlpf.events import offsets_from_counts
from mlpf.metrics.binning import VERTICES, bin_index
from mlpf.metrics.jets import JetSet, JetSums, jets_of
from mlpf.metrics.systems import Particles


def jets(*rows, counts=None):
    """Rows of (pt, eta, phi, mass)."""
    pt, eta, phi, mass = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return JetSet(pt, eta, phi, mass, offsets_from_counts(np.array([len(pt)] if counts is None else counts)))


def summarise(truth, found, num_pileup=None):
    sums = JetSums()
    num_events = len(truth.offsets) - 1
    sums.update(truth, found, bin_index(np.full(num_events, -1) if num_pileup is None else np.array(num_pileup), VERTICES))
    return sums.to_json(("pt", "eta", "vertices"))


TRUTH = jets((100, 0.0, 1.0, 10), (40, 1.0, 3.1, 5), (35, -3.0, 0.0, 5), (10, 0.5, -2.0, 2))


def test_perfect_jets_respond_with_one_and_are_all_matched():
    summary = summarise(TRUTH, TRUTH)
    assert summary["central"]["matched"]["all"]["value"] == 1.0
    assert summary["central"]["matched"]["all"]["n"] == 2  # above 20 GeV
    assert summary["forward"]["matched"]["all"]["n"] == 1
    assert summary["central"]["purity"]["all"]["value"] == 1.0
    for quantity in ("response", "mass_response"):
        assert summary["central"][quantity]["all"]["median"]["value"] == 1.0
        assert summary["central"][quantity]["all"]["iqr_over_median"]["value"] == 0.0


def test_a_shifted_scale_is_the_median_response_in_every_bin():
    summary = summarise(TRUTH, TRUTH._replace(pt=TRUTH.pt * 0.9, mass=TRUTH.mass * 1.1))
    response = summary["central"]["response"]
    assert [bin_["value"] for bin_ in response["pt"]["median"]] == pytest.approx([None, 0.9, None, 0.9, None, None], nan_ok=True)
    assert summary["central"]["mass_response"]["all"]["median"]["value"] == pytest.approx(1.1)
    assert sum(response["histogram"]) == 2


@pytest.mark.parametrize(("shift", "tight", "wide"), [(0.09, 1.0, 1.0), (0.15, 0.0, 1.0), (0.25, 0.0, 0.0)])
def test_jets_match_within_a_distance_across_pi(shift, tight, wide):
    truth = jets((40, 1.0, 3.1, 5))
    found = jets((40, 1.0, 3.1 + shift - 2 * np.pi, 5))
    summary = summarise(truth, found)["central"]
    assert (summary["matched"]["all"]["value"], summary["matched_wide"]["all"]["value"]) == (tight, wide)
    assert summary["purity"]["all"]["value"] == tight


def test_a_jet_near_the_threshold_keeps_its_low_response():
    truth = jets((21, 0.0, 0.0, 3))
    summary = summarise(truth, jets((10.5, 0.0, 0.0, 3)))["central"]
    assert summary["response"]["all"]["median"]["value"] == pytest.approx(0.5)
    assert summary["purity"]["all"]["n"] == 0  # no reconstructed jet above 20 GeV


def test_two_candidates_of_one_jet_count_once_and_the_other_is_impure():
    found = jets((50, 0.0, 1.02, 5), (50, 0.0, 1.05, 5))
    summary = summarise(jets((100, 0.0, 1.0, 10)), found)["central"]
    assert summary["purity"]["all"]["value"] == 0.5
    assert summary["response"]["all"]["median"]["n"] == 1


@pytest.mark.parametrize(("mass", "number"), [(0.9, 0), (1.1, 1)])
def test_jets_almost_without_mass_have_no_mass_response(mass, number):
    truth = jets((40, 1.0, 3.1, mass))
    summary = summarise(truth, truth)["central"]
    assert summary["mass_response"]["all"]["median"]["n"] == number
    assert summary["response"]["all"]["median"]["n"] == 1


@pytest.mark.parametrize(("eta", "region"), [(2.49, "central"), (2.5, "forward"), (-2.5, "forward"), (-4.99, "forward"), (5.0, None), (-5.0, None)])
def test_regions_end_at_their_edges_on_both_sides(eta, region):
    truth = jets((40, eta, 0.0, 5))
    numbers = {name: of_region["matched"]["all"]["n"] for name, of_region in summarise(truth, truth).items()}
    assert numbers == {name: int(name == region) for name in ("central", "forward")}


def test_jets_of_other_events_do_not_match():
    truth, found = jets((100, 0, 1, 10), counts=[1, 0]), jets((100, 0, 1, 10), counts=[0, 1])
    assert summarise(truth, found)["central"]["matched"]["all"]["value"] == 0.0


def test_jets_of_two_particles_have_their_mass():
    pt, phi = np.array([30.0, 20.0]), np.array([0.0, 0.2])
    pair = Particles(pt, np.zeros(2), phi, pt, np.full(2, 22), np.arange(2), np.zeros(2), np.array([0, 2]))
    jet = jets_of(pair)
    assert jet.mass[0] == pytest.approx(np.sqrt(2 * 30 * 20 * (1 - np.cos(0.2))), rel=1e-3)
    assert jet.pt[0] == pytest.approx(np.hypot(30 + 20 * np.cos(0.2), 20 * np.sin(0.2)), rel=1e-5)


def test_jets_are_told_apart_by_eta_and_pileup_collisions():
    truth = jets((100, -1.2, 1.0, 10), (40, 1.2, 3.1, 5), (50, 1.3, 0.0, 5), (35, 4.5, 0.0, 5), counts=[2, 1, 1])
    scale = np.array([0.9, 1.1, 1.3, 0.8])
    summary = summarise(truth, truth._replace(pt=truth.pt * scale), num_pileup=[30, 50, 50])
    by_eta, by_vertices = (summary["central"]["response"][variable]["median"] for variable in ("eta", "vertices"))
    assert {i: entry["value"] for i, entry in enumerate(by_eta) if entry["n"]} == pytest.approx({5: 0.9, 10: 1.2})
    assert {i: entry["value"] for i, entry in enumerate(by_vertices) if entry["n"]} == pytest.approx({2: 1.0, 3: 1.3})
    assert {i: entry["n"] for i, entry in enumerate(summary["forward"]["matched"]["eta"]) if entry["n"]} == {15: 1}
    assert [entry["n"] for entry in summary["central"]["purity"]["vertices"]] == [0, 0, 2, 1, 0, 0, 0, 0, 0]


def test_jets_of_unknown_pileup_count_overall_only():
    summary = summarise(TRUTH, TRUTH)["central"]["matched"]
    assert summary["all"]["n"] == 2
    assert sum(entry["n"] for entry in summary["vertices"]) == 0


def test_jets_equal_those_of_fastjet():
    fastjet = pytest.importorskip("fastjet")
    rng = np.random.default_rng(4)
    counts = np.array([60, 0, 1, 250])
    n, offsets = counts.sum(), offsets_from_counts(counts)
    pt, eta, phi = rng.exponential(4.0, n) + 0.2, rng.normal(0, 2, n), rng.uniform(-np.pi, np.pi, n)
    energy = np.hypot(pt * np.cosh(eta), 0.14)
    found = jets_of(Particles(pt, eta, phi, energy, np.full(n, 211), np.arange(n), np.zeros(n), offsets))
    for event in range(len(counts)):
        own = slice(offsets[event], offsets[event + 1])
        momenta = [fastjet.PseudoJet(*p) for p in zip((pt * np.cos(phi))[own], (pt * np.sin(phi))[own], (pt * np.sinh(eta))[own], energy[own], strict=True)]
        sequence = fastjet.ClusterSequence(momenta, fastjet.JetDefinition(fastjet.antikt_algorithm, 0.4))
        expected = fastjet.sorted_by_pt(sequence.inclusive_jets(3.0))
        ours = slice(found.offsets[event], found.offsets[event + 1])
        assert found.pt[ours] == pytest.approx([jet.pt() for jet in expected], rel=1e-6)
        assert found.eta[ours] == pytest.approx([jet.eta() for jet in expected], abs=1e-5)
        off = np.abs(found.mass[ours] ** 2 - [jet.m2() for jet in expected])
        assert (off < 1e-6 * np.array([jet.e() for jet in expected]) ** 2).all()  # E^2 - p^2 of float32
