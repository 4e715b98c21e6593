import fastjet
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.errors import MlpfError
from mlpf.events import offsets_from_counts
from mlpf.jets import cluster_jets, cluster_momenta

fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)


def particles(counts, seed=0):
    rng = np.random.default_rng(seed)
    size = sum(counts)
    pt, eta, phi = rng.exponential(3, size), rng.normal(0, 2, size), rng.uniform(-np.pi, np.pi, size)
    return pt, eta, phi, pt * np.cosh(eta), offsets_from_counts(np.array(counts))


def momenta(pt, eta, phi, mass=0.0):
    """``(N, 4)`` px, py, pz, energy."""
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), np.hypot(pt * np.cosh(eta), mass)], axis=1)


def fastjets(event, min_pt, radius):
    """Momenta of fastjet's inclusive jets by descending pt, and the jet of every particle (-1 if none)."""
    inputs = []
    for index, momentum in enumerate(event.tolist()):
        inputs.append(fastjet.PseudoJet(*momentum))
        inputs[-1].set_user_index(index)
    sequence = fastjet.ClusterSequence(inputs, fastjet.JetDefinition(fastjet.antikt_algorithm, radius))
    jets = fastjet.sorted_by_pt(sequence.inclusive_jets(min_pt))
    jet_of = np.full(len(event), -1)
    for number, jet in enumerate(jets):
        jet_of[[constituent.user_index() for constituent in jet.constituents()]] = number
    return np.array([[jet.px(), jet.py(), jet.pz(), jet.e()] for jet in jets]).reshape(-1, 4), jet_of


def clustered(event, min_pt=0.0, radius=0.4):
    return cluster_momenta(*event.T, np.array([0, len(event)]), min_pt, radius)


def assert_momenta(jets, expected):
    pt = np.hypot(expected[:, 0], expected[:, 1])
    np.testing.assert_allclose(jets.pt, pt, rtol=1e-6)
    np.testing.assert_allclose(jets.energy, expected[:, 3], rtol=1e-6)
    np.testing.assert_allclose(jets.eta, np.arcsinh(expected[:, 2] / pt), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.sin(jets.phi - np.arctan2(expected[:, 1], expected[:, 0])), 0.0, atol=1e-6)


def assert_as_fastjet(event, min_pt=0.0, radius=0.4):
    jets = clustered(event, min_pt, radius)
    expected, jet_of = fastjets(event, min_pt, radius)
    np.testing.assert_array_equal(jets.constituent_jet, jet_of)
    assert_momenta(jets, expected)


def uniform(rng, size):
    return momenta(rng.exponential(1, size) + 0.05, rng.uniform(-5, 5, size), rng.uniform(-np.pi, np.pi, size), rng.choice([0.0, 0.14, 1.0], size))


def in_clumps(rng, size):
    clump = rng.integers(0, 6, size)
    eta, phi = rng.normal(0, 2, 6)[clump] + rng.normal(0, 0.3, size), rng.uniform(-np.pi, np.pi, 6)[clump] + rng.normal(0, 0.3, size)
    return momenta(rng.exponential(5, size) + 0.01, eta, phi)


def of_many_scales(rng, size):
    return momenta(10 ** rng.uniform(-3, 4, size), rng.normal(0, 1.5, size), rng.uniform(-np.pi, np.pi, size))


def across_the_cut_in_phi(rng, size):
    return momenta(rng.exponential(2, size) + 0.1, rng.normal(0, 1, size), np.pi + rng.normal(0, 0.5, size))


def far_forward(rng, size):
    return momenta(rng.exponential(2, size) + 0.1, rng.uniform(-14, 14, size), rng.uniform(-np.pi, np.pi, size), 0.14)


def at_one_rapidity(rng, size):
    return momenta(rng.exponential(2, size) + 0.1, np.zeros(size), rng.uniform(-np.pi, np.pi, size))


@pytest.mark.parametrize("radius", [0.1, 0.4, 0.8, 1.5, 2.0])
@pytest.mark.parametrize("kind", [uniform, in_clumps, of_many_scales, across_the_cut_in_phi, far_forward, at_one_rapidity])
def test_jets_and_constituents_are_fastjets(kind, radius):
    rng = np.random.default_rng(round(100 * radius))
    for size in (1, 2, 3, 10, 30, 30, 100, 100, 300, 1000):
        assert_as_fastjet(kind(rng, size), min_pt=rng.choice([0.0, 1.0, 5.0]), radius=radius)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(0.05, 3.0), st.sampled_from([uniform, in_clumps, of_many_scales, across_the_cut_in_phi]))
def test_small_events_are_fastjets(seed, size, radius, kind):
    assert_as_fastjet(kind(np.random.default_rng(seed), size), radius=radius)


def test_a_crowded_event_is_fastjets():
    assert_as_fastjet(uniform(np.random.default_rng(5), 4000), min_pt=3.0)


def test_many_pseudojets_that_leave_their_tiles_are_fastjets():
    rng = np.random.default_rng(6)
    event = momenta(rng.uniform(0.9, 1.1, 600), rng.uniform(-5, 5, 600), rng.uniform(-np.pi, np.pi, 600))  # of equal pt: each merging moves the axis far
    for radius in (0.15, 0.4, 1.0):
        assert_as_fastjet(event, radius=radius)


def test_collinear_particles_make_one_jet():
    rng = np.random.default_rng(7)
    direction = rng.integers(0, 5, 60)
    event = momenta(rng.exponential(2, 60) + 0.1, np.array([-2.0, -1, 0, 1, 2])[direction], np.array([3.1, 0, -3.1, 1, 2])[direction])
    jets = clustered(event)
    assert len(jets.pt) == 5
    assert_momenta(jets, fastjets(event, 0.0, 0.4)[0])


def test_particles_equal_in_everything_make_the_jets_of_fastjet():
    event = np.repeat(in_clumps(np.random.default_rng(8), 40), 3, axis=0)
    assert_momenta(clustered(event), fastjets(event, 0.0, 0.4)[0])


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_order_of_particles_and_rotation_about_the_beam_change_no_jet(seed):
    rng = np.random.default_rng(seed)
    event = in_clumps(rng, 80)
    jets = clustered(event)
    order = rng.permutation(80)
    shuffled = clustered(event[order])
    np.testing.assert_array_equal(shuffled.constituent_jet, jets.constituent_jet[order])
    np.testing.assert_allclose(shuffled.pt, jets.pt, rtol=1e-6)
    c, s = np.cos(1.0), np.sin(1.0)
    rotated = clustered(np.stack([c * event[:, 0] - s * event[:, 1], s * event[:, 0] + c * event[:, 1], event[:, 2], event[:, 3]], axis=1))
    np.testing.assert_array_equal(rotated.constituent_jet, jets.constituent_jet)
    np.testing.assert_allclose(np.sin(rotated.phi - jets.phi - 1.0), 0.0, atol=1e-6)


def test_very_soft_particles_change_no_hard_jet():
    rng = np.random.default_rng(9)
    event = in_clumps(rng, 200)
    soft = momenta(np.full(1000, 1e-9), rng.uniform(-4, 4, 1000), rng.uniform(-np.pi, np.pi, 1000))
    jets, with_soft = clustered(event, min_pt=1.0), clustered(np.concatenate([event, soft]), min_pt=1.0)
    np.testing.assert_array_equal(with_soft.constituent_jet[:200], jets.constituent_jet)
    np.testing.assert_allclose(with_soft.pt, jets.pt, rtol=1e-6)


def test_events_do_not_touch_each_other():
    pt, eta, phi, energy, offsets = particles([300, 0, 1, 5, 200])
    together = cluster_jets(pt, eta, phi, energy, offsets)
    for event in range(5):
        s = slice(offsets[event], offsets[event + 1])
        alone = cluster_jets(pt[s], eta[s], phi[s], energy[s], np.array([0, s.stop - s.start]))
        found = slice(together.offsets[event], together.offsets[event + 1])
        np.testing.assert_array_equal(together.constituent_jet[s], alone.constituent_jet)
        for name in ("pt", "eta", "phi", "energy"):
            np.testing.assert_array_equal(getattr(together, name)[found], getattr(alone, name))


@given(st.integers(0, 1000))
def test_constituents_add_up_to_their_jets(seed):
    pt, eta, phi, energy, offsets = particles([40, 0, 60], seed)
    pt[::7] = 0.0
    jets = cluster_jets(pt, eta, phi, energy, offsets, min_pt=1.0)
    assert (jets.constituent_jet[pt == 0] == -1).all()
    for event in range(3):
        s = slice(offsets[event], offsets[event + 1])
        for j in range(jets.offsets[event + 1] - jets.offsets[event]):
            members = jets.constituent_jet[s] == j
            px, py = (pt[s] * np.cos(phi[s]))[members].sum(), (pt[s] * np.sin(phi[s]))[members].sum()
            assert np.hypot(px, py) == pytest.approx(jets.pt[jets.offsets[event] + j], rel=1e-5)


def test_jets_come_by_descending_pt():
    jets = cluster_jets(*particles([500]))
    assert (np.diff(jets.pt) <= 0).all()


def test_nothing_gives_no_jets():
    empty = np.zeros(0)
    jets = cluster_jets(empty, empty, empty, empty, np.zeros(4, dtype=np.int64))
    assert jets.offsets.tolist() == [0, 0, 0, 0]
    jets = cluster_jets(np.zeros(2), np.zeros(2), np.zeros(2), np.ones(2), np.array([0, 2]))
    assert jets.constituent_jet.tolist() == [-1, -1]


def test_particles_along_the_beam_take_no_part():
    event = np.concatenate([[[0.0, 0.0, 5.0, 5.0], [0.0, 0.0, -5.0, 5.0]], in_clumps(np.random.default_rng(10), 20)])
    jets = clustered(event)
    assert jets.constituent_jet[:2].tolist() == [-1, -1]
    np.testing.assert_array_equal(jets.constituent_jet[2:], clustered(event[2:]).constituent_jet)


def test_opposite_momenta_cancel_in_a_wide_jet():
    jets = clustered(np.array([[1.0, 0.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 1.0]]), radius=4.0)
    assert jets.pt.tolist() == [0.0]
    assert jets.constituent_jet.tolist() == [0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200, 1e308, 1e-200])
@pytest.mark.parametrize("component", range(4))
def test_absurd_momenta_spoil_their_own_jet_at_most(component, value):
    event = in_clumps(np.random.default_rng(11), 50)
    event[::10, component] = value
    with np.errstate(over="ignore", invalid="ignore"):
        jets = clustered(event, min_pt=0.5)
    good = np.isfinite(jets.pt) & np.isfinite(jets.eta) & np.isfinite(jets.energy)
    spoilt = jets.constituent_jet[::10]
    assert set(np.flatnonzero(~good)) <= set(spoilt)


def test_absurd_directions_and_energies_neither_hang_nor_fail():
    pt, eta, phi, energy, offsets = particles([200, 50])
    pt[::5], eta[::3], eta[1::9] = 3e38, 800.0, -800.0
    with np.errstate(over="ignore"):
        jets = cluster_jets(pt, eta, phi, energy, offsets)
    assert jets.offsets[-1] > 0
    assert (jets.constituent_jet[pt > 3] >= 0).all()


@pytest.mark.parametrize("radius", [0.0, -0.4, np.nan, np.inf, 1e31])
def test_a_radius_that_cannot_be_meant_is_refused(radius):
    with pytest.raises(MlpfError, match=rf"jet radius {radius}: must lie above 0".replace("+", r"\+")):
        clustered(in_clumps(np.random.default_rng(12), 20), radius=radius)
