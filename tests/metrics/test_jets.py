import numpy as np
import pytest

from mlpf.events import offsets_from_counts
from mlpf.metrics.jets import JetSet, compare_jets, jets_of, summarise_jets
from mlpf.metrics.systems import Particles


def jets(*rows, counts=None):
    """Rows of (pt, eta, phi, mass)."""
    pt, eta, phi, mass = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return JetSet(pt, eta, phi, mass, offsets_from_counts(np.array([len(pt)] if counts is None else counts)))


TRUTH = jets((100, 0.0, 1.0, 10), (40, 1.0, 3.1, 5), (35, -3.0, 0.0, 5), (10, 0.5, -2.0, 2))


def test_perfect_jets_respond_with_one_and_are_all_matched():
    summary = summarise_jets(*compare_jets(TRUTH, TRUTH))
    assert summary["central"]["matched"]["all"]["value"] == 1.0
    assert summary["central"]["matched"]["all"]["n"] == 2  # above 20 GeV
    assert summary["forward"]["matched"]["all"]["n"] == 1
    assert summary["central"]["purity"]["all"]["value"] == 1.0
    for quantity in ("response", "mass_response"):
        assert summary["central"][quantity]["all"]["median"]["value"] == 1.0
        assert summary["central"][quantity]["all"]["iqr_over_median"]["value"] == 0.0


def test_a_shifted_scale_is_the_median_response_in_every_bin():
    summary = summarise_jets(*compare_jets(TRUTH, TRUTH._replace(pt=TRUTH.pt * 0.9, mass=TRUTH.mass * 1.1)))
    response = summary["central"]["response"]
    assert [bin_["value"] for bin_ in response["pt"]["median"]] == pytest.approx([None, 0.9, None, 0.9, None, None], nan_ok=True)
    assert summary["central"]["mass_response"]["all"]["median"]["value"] == pytest.approx(1.1)
    assert sum(response["histogram"]) == 2


@pytest.mark.parametrize(("shift", "tight", "wide"), [(0.09, 1.0, 1.0), (0.15, 0.0, 1.0), (0.25, 0.0, 0.0)])
def test_jets_match_within_a_distance_across_pi(shift, tight, wide):
    truth = jets((40, 1.0, 3.1, 5))
    found = jets((40, 1.0, 3.1 + shift - 2 * np.pi, 5))
    summary = summarise_jets(*compare_jets(truth, found))["central"]
    assert (summary["matched"]["all"]["value"], summary["matched_wide"]["all"]["value"]) == (tight, wide)
    assert summary["purity"]["all"]["value"] == tight


def test_a_jet_near_the_threshold_keeps_its_low_response():
    truth = jets((21, 0.0, 0.0, 3))
    summary = summarise_jets(*compare_jets(truth, jets((10.5, 0.0, 0.0, 3))))["central"]
    assert summary["response"]["all"]["median"]["value"] == pytest.approx(0.5)
    assert summary["purity"]["all"]["n"] == 0  # no reconstructed jet above 20 GeV


def test_two_candidates_of_one_jet_count_once_and_the_other_is_impure():
    found = jets((50, 0.0, 1.02, 5), (50, 0.0, 1.05, 5))
    summary = summarise_jets(*compare_jets(jets((100, 0.0, 1.0, 10)), found))["central"]
    assert summary["purity"]["all"]["value"] == 0.5
    assert summary["response"]["all"]["median"]["n"] == 1


def test_jets_of_other_events_do_not_match():
    truth, found = jets((100, 0, 1, 10), counts=[1, 0]), jets((100, 0, 1, 10), counts=[0, 1])
    assert summarise_jets(*compare_jets(truth, found))["central"]["matched"]["all"]["value"] == 0.0


def test_jets_of_two_particles_have_their_mass():
    pt, phi = np.array([30.0, 20.0]), np.array([0.0, 0.2])
    pair = Particles(pt, np.zeros(2), phi, pt, np.full(2, 22), np.arange(2), np.zeros(2), np.array([0, 2]))
    jet = jets_of(pair)
    assert jet.mass[0] == pytest.approx(np.sqrt(2 * 30 * 20 * (1 - np.cos(0.2))), rel=1e-3)
    assert jet.pt[0] == pytest.approx(np.hypot(30 + 20 * np.cos(0.2), 20 * np.sin(0.2)), rel=1e-5)
