import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlpf.simulation.particles import available_energy
from mlpf.simulation.tracker.interactions import (
    ELECTRON_MASS,
    KAON_TO_MUON,
    MAX_PRODUCTS,
    MAX_SECONDARIES,
    MEAN_EXCITATION,
    MEAN_PT,
    MIN_SECONDARIES,
    PRODUCT,
    available,
    convert,
    decay,
    decay_length,
    interact,
    radiated_fraction,
)

MASS = {211: 0.13957, 321: 0.49368, 130: 0.49761, 2212: 0.93827, 2112: 0.93957, 3122: 1.11568}


def momentum_and_energy(pdgid, momentum):
    return (*momentum, float(np.sqrt(np.dot(momentum, momentum) + MASS[abs(pdgid)] ** 2)))


def interactions_of(pdgid, momentum, number, charge=0.0, seed=1):
    """Products (structured arrays) and excitation of each of many equal collisions."""
    rng, products = np.random.default_rng(seed), np.zeros(MAX_PRODUCTS, PRODUCT)
    for _ in range(number):
        count, excitation = interact(rng, pdgid, charge, *momentum_and_energy(pdgid, momentum), products)
        yield products[:count].copy(), excitation


def decays_of(pdgid, momentum, number):
    rng, products = np.random.default_rng(2), np.zeros(MAX_PRODUCTS, PRODUCT)
    for _ in range(number):
        count = decay(rng, pdgid, *momentum_and_energy(pdgid, momentum), products)
        yield products[:count].copy()


def four_momentum(products):
    return np.stack([products["energy"], products["px"], products["py"], products["pz"]], axis=-1)


def in_rest_frame(vectors, parent):
    """Boost four-momenta ``(n, 4)`` by the textbook matrix."""
    mass = np.sqrt(parent[0] ** 2 - parent[1:] @ parent[1:])
    beta, gamma = parent[1:] / parent[0], parent[0] / mass
    boost = np.eye(4)
    boost[0, 0], boost[0, 1:], boost[1:, 0] = gamma, -gamma * beta, -gamma * beta
    boost[1:, 1:] += (gamma - 1) * np.outer(beta, beta) / (beta @ beta)
    return vectors @ boost.T


@pytest.mark.parametrize("thickness", [0.03, 0.5, 2.0])
def test_radiated_fractions_follow_bethe_and_heitler(thickness):
    rng = np.random.default_rng(3)
    lost = np.array([radiated_fraction(rng, thickness) for _ in range(20_000)])
    assert np.mean(lost) == pytest.approx(1 - np.exp(-thickness), abs=4 * np.std(lost) / np.sqrt(len(lost)))
    large = lost[lost > 1e-4]  # below, 1 - lost has too few digits
    expected = stats.gamma(thickness / np.log(2))
    low = expected.cdf(-np.log1p(-1e-4))
    assert stats.kstest(-np.log1p(-large), lambda x: (expected.cdf(x) - low) / (1 - low)).pvalue > 1e-3


def test_conversion_shares_the_energy_as_complete_screening_says():
    rng, products = np.random.default_rng(4), np.zeros(MAX_PRODUCTS, PRODUCT)
    momentum, shares = np.array([3.0, -4.0, 12.0]), []
    for _ in range(5000):
        assert convert(rng, *momentum, 13.0, products) == 2
        pair = products[:2]
        assert pair["pdgid"].tolist() == [11, -11]
        assert pair["charge"].tolist() == [-1.0, 1.0]
        assert pair["energy"].sum() == pytest.approx(13.0, rel=1e-12)
        vectors = four_momentum(pair)
        assert vectors[:, 0] ** 2 - np.sum(vectors[:, 1:] ** 2, axis=1) == pytest.approx(ELECTRON_MASS**2, abs=1e-12)
        assert np.cross(vectors[:, 1:], momentum) == pytest.approx(0.0, abs=1e-9)
        shares.append(pair["energy"][0] / 13.0)
    # the integral of 1 - 4/3 x (1 - x), normalised
    assert stats.kstest(shares, lambda x: (x - 2 / 3 * x**2 + 4 / 9 * x**3) * 9 / 7).pvalue > 1e-3


@pytest.mark.parametrize(("pdgid", "momenta"), [(211, {13: 0.02979}), (-321, {13: 0.23553, 211: 0.20514})])
def test_decays_at_flight_have_the_momenta_of_the_particle_tables_at_rest(pdgid, momenta):
    momentum = np.array([0.7, -0.2, 1.5])
    parent = np.array([momentum_and_energy(pdgid, momentum)[i] for i in (3, 0, 1, 2)])
    cosines = []
    for products in decays_of(pdgid, momentum, 2000):
        vectors = four_momentum(products)
        assert vectors.sum(axis=0) == pytest.approx(parent, abs=1e-12)
        at_rest = in_rest_frame(vectors, parent)
        assert np.linalg.norm(at_rest[0, 1:]) == pytest.approx(momenta[abs(products["pdgid"][0])], abs=2e-5)
        cosines.append(at_rest[0, 1:] @ momentum / np.linalg.norm(at_rest[0, 1:]) / np.linalg.norm(momentum))
        massless = np.isin(np.abs(products["pdgid"]), (14, 22))
        assert vectors[massless, 0] == pytest.approx(np.linalg.norm(vectors[massless, 1:], axis=1), abs=1e-9)
    assert stats.kstest(cosines, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_decays_conserve_charge_and_lepton_number():
    for pdgid in (211, -211, 321, -321):
        sign = np.sign(pdgid)
        for products in decays_of(pdgid, np.array([0.0, 0.1, 2.0]), 50):
            assert products["charge"].sum() == sign
            assert products["pdgid"].tolist() in ([-13 * sign, 14 * sign], [211 * sign, 22, 22])


def test_kaons_decay_to_muons_as_often_as_in_nature():
    to_muon = sum(abs(products["pdgid"][0]) == 13 for products in decays_of(321, np.array([1.0, 0.0, 0.0]), 4000))
    assert stats.binomtest(to_muon, 4000, KAON_TO_MUON).pvalue > 1e-3


@pytest.mark.parametrize(("pdgid", "ctau"), [(211, 780.45), (-321, 371.2)])
def test_the_mean_decay_length_is_that_of_the_boost(pdgid, ctau):
    rng, vector = np.random.default_rng(5), momentum_and_energy(pdgid, np.array([0.3, 0.4, 1.2]))
    lengths = [decay_length(rng, pdgid, *vector) for _ in range(10_000)]
    assert stats.kstest(lengths, stats.expon(scale=1.3 / MASS[abs(pdgid)] * ctau).cdf).pvalue > 1e-3


@pytest.mark.parametrize("pdgid", [22, 11, 13, 130, 2212, 3122])
def test_others_do_not_decay(pdgid):
    assert decay_length(np.random.default_rng(0), pdgid, 1.0, 0.0, 0.0, 2.0) == np.inf


def test_available_energy_is_that_of_the_calorimeters(particles):
    pdgid = np.array([22, 211, 2212, -2112, 130, 3122])
    own = particles(pdgid, 0, np.random.default_rng(6).normal(size=(6, 3)), mass=0.5)
    one_by_one = [available(*values) for values in zip(own.pdgid, own.px, own.py, own.pz, own.energy, strict=True)]
    assert one_by_one == pytest.approx(available_energy(own))


@settings(deadline=None, max_examples=200)
@given(
    pdgid=st.sampled_from([211, -211, 321, -321, 130, 2212, -2212, 2112, -2112, 3122, -3122]),
    momentum=st.tuples(*[st.floats(-3, 3)] * 3).filter(lambda p: sum(abs(q) for q in p) > 0.3),
    scale=st.sampled_from([0.5, 1.0, 10.0, 500.0]),
    seed=st.integers(0, 2**31),
)
def test_nuclear_interactions_conserve_the_available_energy(pdgid, momentum, scale, seed):
    vector = scale * np.array(momentum)
    before = available(pdgid, *momentum_and_energy(pdgid, vector))
    ((products, excitation),) = interactions_of(pdgid, vector, 1, seed=seed)
    columns = [products[name] for name in ("pdgid", "px", "py", "pz", "energy")]
    after = sum(available(*values) for values in zip(*columns, strict=True))
    assert after + excitation == pytest.approx(before, rel=1e-9)
    assert excitation >= 0
    assert (products["energy"] > 0).all()
    photons = np.count_nonzero(products["pdgid"] == 22)
    assert photons % 2 == 0
    assert MIN_SECONDARIES <= len(products) - photons // 2 <= MAX_SECONDARIES


@pytest.mark.parametrize(
    ("pdgid", "kept"), [(2212, (2212, 2112)), (-2212, (-2212, -2112)), (-2112, (-2212, -2112)), (321, (321,)), (130, (130,)), (3122, (3122,))]
)
def test_the_first_secondary_keeps_baryon_number_and_flavour(pdgid, kept):
    assert {int(products["pdgid"][0]) for products, _ in interactions_of(pdgid, np.array([2.0, 1.0, 1.0]), 200)} == set(kept)


def test_secondaries_of_a_fast_pion_go_forward_with_the_transverse_momentum_of_soft_collisions():
    direction = np.array([2.0, -1.0, 2.0]) / 3
    pt, kicks, multiplicity, excitations = [], [], [], []
    for products, excitation in interactions_of(211, 1000 * direction, 1500, charge=1.0):
        hadrons = products[(products["pdgid"] != 22) & (products["energy"] > 10)]
        momentum = four_momentum(hadrons)[:, 1:]
        across = momentum - np.outer(momentum @ direction, direction)
        pt += np.linalg.norm(across, axis=1).tolist()
        kicks += across.tolist()
        multiplicity.append(len(products) - np.count_nonzero(products["pdgid"] == 22) / 2)
        excitations.append(excitation)
    assert np.mean(pt) == pytest.approx(MEAN_PT, rel=0.03)
    assert np.mean(kicks, axis=0) == pytest.approx(0.0, abs=0.03)
    assert np.mean(multiplicity) == pytest.approx(MAX_SECONDARIES, abs=0.05)
    assert np.mean(excitations) == pytest.approx(MEAN_EXCITATION, rel=0.1)


def test_a_pion_of_5_gev_makes_three_and_a_half_secondaries_of_which_the_first_takes_half():
    number, first = [], []
    for products, _ in interactions_of(211, np.array([0.0, 3.0, 4.0]), 2000):
        pairs = np.count_nonzero(products["pdgid"] == 22) // 2
        number.append(len(products) - pairs)
        first.append(products["energy"][: 2 if products["pdgid"][0] == 22 else 1].sum() / 5)
    assert np.mean(number) == pytest.approx(3.5, abs=0.1)
    assert np.mean(first) == pytest.approx(0.5, abs=0.05)


def test_slow_hadrons_scatter_in_all_directions():
    forward = [products["px"][0] > 0 for products, _ in interactions_of(2112, np.array([0.3, 0.0, 0.0]), 1000)]
    assert 0.5 < np.mean(forward) < 0.85
