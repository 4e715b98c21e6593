import numpy as np
import pytest
from scipy import stats

from mlpf.simulation.particles import Particles, available_energy, join_particles
from mlpf.simulation.propagation import SPEED_OF_LIGHT
from mlpf.simulation.tracker.flights import Flights
from mlpf.simulation.tracker.interactions import KAON_CTAU, MIN_KINETIC, PION_CTAU
from mlpf.simulation.tracker.material import LAYER_RADIUS, LAYER_SHARE, NUM_LAYERS, layers_within
from mlpf.simulation.tracker.transport import transport

MASS = {22: 0.0, 11: 0.000511, 13: 0.105658, 211: 0.13957, 321: 0.49368, 130: 0.49761, 2212: 0.93827, 2112: 0.93957}
SORTS = [(22, 0), (11, -1), (-11, 1), (13, -1), (211, 1), (-211, -1), (321, 1), (130, 0), (2212, 1), (-2212, -1), (2112, 0), (-2112, 0), (12, 0)]
STATE = ("x", "y", "z", "time", "px", "py", "pz", "energy")


def momenta(pt, eta, number, seed=5):
    """``(number, 3)`` at random azimuths."""
    phi = np.random.default_rng(seed).uniform(-np.pi, np.pi, number)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), np.broadcast_to(pt * np.sinh(eta), number)], axis=1)


@pytest.fixture
def beam(particles):
    """Many equal particles of one pt and eta, azimuths at random."""

    def make(pdgid, charge, pt, eta, number=20_000):
        return particles(pdgid, charge, momenta(pt, eta, number), mass=MASS[abs(pdgid)])

    return make


@pytest.fixture
def mixture(particles):
    """All sorts of particles, of 0.05 to 20 GeV and 0 < |eta| < 6, from a region about the collision."""

    def make(number_each=400, sorts=SORTS, seed=11):
        rng, parts = np.random.default_rng(seed), []
        for pdgid, charge in sorts:
            momentum = momenta(np.exp(rng.uniform(np.log(0.05), np.log(20.0), number_each)), rng.uniform(-6, 6, number_each), number_each, rng.integers(99))
            position = rng.normal(size=(number_each, 3)) * (0.5, 0.5, 5.0)
            parts.append(particles(pdgid, charge, momentum, position, MASS.get(abs(pdgid), 0.0)))
        return join_particles(parts)

    return make


def fly(particles, seed=1) -> Flights:
    return transport(particles, np.random.default_rng(seed))


def products_of(flights):
    """Indices of what was made on the way, and of the particles that made them."""
    made = np.flatnonzero(flights.particles.parent >= 0)
    return made, flights.particles.parent[made]


@pytest.mark.parametrize(("eta", "radiation_lengths"), [(0.0, 0.4), (1.45, 1.935), (-2.4, 1.25), (4.0, 0.1)])
def test_photons_convert_as_often_as_the_material_says(beam, eta, radiation_lengths):
    converted = fly(beam(22, 0, 10.0, eta)).particles.ends[:20_000]
    assert stats.binomtest(int(converted.sum()), 20_000, 1 - np.exp(-7 / 9 * radiation_lengths)).pvalue > 1e-3


def test_photons_convert_in_each_layer_by_its_share(beam):
    flights = fly(beam(22, 0, 10.0, 0.0))
    converted = flights.particles.ends[:20_000]
    layer = np.searchsorted(LAYER_RADIUS, np.hypot(flights.particles.end_x, flights.particles.end_y)[:20_000][converted] - 1e-6)
    depth = 7 / 9 * 0.4 * np.concatenate([[0.0], np.cumsum(LAYER_SHARE)])
    expected = -np.diff(np.exp(-depth))
    assert stats.chisquare(np.bincount(layer, minlength=NUM_LAYERS), converted.sum() * expected / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize(("eta", "lost"), [(0.0, 0.33), (1.4, 0.86)])
def test_electrons_radiate_the_published_mean_fraction(beam, eta, lost):
    shot = beam(11, -1, 50.0, eta)
    flights = fly(shot)
    left = np.where(flights.particles.ends, 0.0, flights.energy)[:20_000] / shot.energy
    assert np.mean(1 - left) == pytest.approx(lost, abs=0.005 + 4 * np.std(left) / np.sqrt(len(left)))


@pytest.mark.parametrize(("pdgid", "eta", "nuclear_lengths"), [(211, 0.0, 0.12), (-2212, 1.4, 0.5), (130, 2.5, 0.35), (2112, -1.45, 0.5)])
def test_hadrons_interact_as_often_as_the_material_says(beam, pdgid, eta, nuclear_lengths):
    interacted = fly(beam(pdgid, np.sign(pdgid) * (pdgid in (211, -2212)), 200.0, eta)).particles.ends[:20_000]
    assert stats.binomtest(int(interacted.sum()), 20_000, 1 - np.exp(-nuclear_lengths)).pvalue > 1e-3


def test_muons_and_neutrinos_pass_untouched(mixture):
    shot = mixture(sorts=[(13, -1), (-13, 1), (12, 0), (-14, 0)])
    flights = fly(shot)
    assert len(flights.particles.pdgid) == len(shot.pdgid)
    assert not flights.particles.ends.any()
    assert not flights.swallowed.any()
    for name in STATE:
        assert np.array_equal(getattr(flights, name), getattr(shot, name))


def test_what_meets_nothing_keeps_its_state(mixture):
    shot = mixture(sorts=[(22, 0), (211, 1), (-321, -1), (130, 0), (2212, 1)])
    flights = fly(shot)
    number = len(shot.pdgid)
    assert 0.5 < np.mean(~flights.particles.ends) < 0.95
    for name in STATE:
        assert np.array_equal(getattr(flights, name)[:number], getattr(shot, name))
    for name in set(Particles._fields) - {"ends", "end_x", "end_y", "end_z"}:
        assert np.array_equal(getattr(flights.particles, name)[:number], getattr(shot, name))
        assert getattr(flights.particles, name).dtype == getattr(shot, name).dtype


def test_energy_is_conserved_by_every_particle_and_by_every_origin(mixture):
    shot = mixture()
    flights = fly(shot)
    flown, number = flights.particles, len(shot.pdgid)
    at_production = available_energy(flown)
    in_the_end = available_energy(flown._replace(px=flights.px, py=flights.py, pz=flights.pz, energy=flights.energy))
    made, makers = products_of(flights)
    passed_on = np.bincount(makers, weights=at_production[made], minlength=len(flown.pdgid))
    remaining = np.where(flown.ends, 0.0, in_the_end)
    assert passed_on + remaining + flights.swallowed == pytest.approx(at_production, rel=1e-9, abs=1e-9)
    total = np.bincount(flights.origin, weights=remaining + flights.swallowed)
    assert len(total) == number
    assert total == pytest.approx(at_production[:number], rel=1e-9, abs=1e-9)
    assert (flights.swallowed > -1e-12).all()


def test_products_start_where_and_when_their_maker_ends(mixture):
    flights = fly(mixture(sorts=[(22, 0), (211, 1), (321, -1), (2112, 0)]))
    flown = flights.particles
    made, makers = products_of(flights)
    ended = flown.ends[makers]
    for axis in "xyz":
        assert np.array_equal(getattr(flown, axis)[made[ended]], getattr(flown, f"end_{axis}")[makers[ended]])
    assert (makers < made).all()
    assert np.array_equal(flights.origin[made], flights.origin[makers])
    straight = made[ended & (flown.charge[makers] == 0)]
    maker = flown.parent[straight]
    distance = np.sqrt(sum((getattr(flown, axis)[straight] - getattr(flown, axis)[maker]) ** 2 for axis in "xyz"))
    speed = SPEED_OF_LIGHT * np.sqrt(flown.px**2 + flown.py**2 + flown.pz**2)[maker] / flown.energy[maker]
    assert flown.time[straight] - flown.time[maker] == pytest.approx(distance / speed)


def test_products_inherit_the_collision(mixture):
    shot = mixture()
    shot = shot._replace(collision=np.arange(len(shot.pdgid)) % 7)
    flights = fly(shot)
    assert np.array_equal(flights.particles.collision, shot.collision[flights.origin])


@pytest.mark.parametrize(("pdgid", "ctau"), [(211, PION_CTAU), (-321, KAON_CTAU)])
def test_decays_in_flight_are_exponential_along_the_helix(particles, pdgid, ctau):
    # from behind the last layer back through the whole tracker, 593 cm along the beam without material
    number, momentum = 10_000, np.array([0.05, 0.0, 1.2])
    shot = particles(pdgid, np.sign(pdgid), np.tile(momentum, (number, 1)), np.tile([0.0, 1.0, -276.0], (number, 1)), MASS[abs(pdgid)])
    flights = fly(shot)
    decayed = flights.particles.ends[:number]
    stretch, scale = np.linalg.norm(momentum) / momentum[2], ctau * np.linalg.norm(momentum) / MASS[abs(pdgid)]
    length = (flights.particles.end_z[:number][decayed] + 276.0) * stretch
    expected = stats.truncexpon(593.0 * stretch / scale, scale=scale)
    assert stats.binomtest(int(decayed.sum()), number, 1 - np.exp(-593.0 * stretch / scale)).pvalue > 1e-3
    assert stats.kstest(length, expected.cdf).pvalue > 1e-3
    radius = 0.05 / (0.00299792458 * 3.8)
    center = (0.0, 1.0 - np.sign(pdgid) * radius)
    ends = flights.particles.end_x[:number][decayed] - center[0], flights.particles.end_y[:number][decayed] - center[1]
    assert np.hypot(*ends) == pytest.approx(radius)
    turned = -np.sign(pdgid) * length / stretch * 0.05 / momentum[2] / radius - np.arctan2(-np.sign(pdgid) * 1.0, 0.0)
    assert np.cos(np.arctan2(ends[1], ends[0]) - turned) == pytest.approx(1.0)


def test_all_is_the_same_in_every_direction(mixture):
    shot, angle = mixture(), 1.234
    cos, sin = np.cos(angle), np.sin(angle)
    turned = shot._replace(px=cos * shot.px - sin * shot.py, py=sin * shot.px + cos * shot.py, x=cos * shot.x - sin * shot.y, y=sin * shot.x + cos * shot.y)
    reference, other = fly(shot), fly(turned)
    assert np.array_equal(reference.particles.pdgid, other.particles.pdgid)
    assert np.array_equal(reference.layers, other.layers)
    for a, b, u, v in ((reference.x, reference.y, other.x, other.y), (reference.px, reference.py, other.px, other.py)):
        assert u == pytest.approx(cos * a - sin * b, abs=1e-6)
        assert v == pytest.approx(sin * a + cos * b, abs=1e-6)
    assert other.pz == pytest.approx(reference.pz, abs=1e-6)


def test_both_sides_of_the_detector_are_alike(mixture):
    shot = mixture(sorts=[(22, 0), (11, -1), (13, 1)])  # whose products keep their direction
    reference, mirrored = fly(shot), fly(shot._replace(pz=-shot.pz, z=-shot.z))
    assert np.array_equal(reference.particles.pdgid, mirrored.particles.pdgid)
    for name, sign in (("x", 1), ("y", 1), ("z", -1), ("px", 1), ("pz", -1), ("time", 1)):
        assert getattr(mirrored, name) == pytest.approx(sign * getattr(reference, name), abs=1e-9)


def test_positive_and_negative_electrons_bend_oppositely(beam):
    shot = beam(11, -1, 2.0, 0.5, 500)
    reference = fly(shot)
    mirrored = fly(shot._replace(charge=-shot.charge, pdgid=-shot.pdgid, py=-shot.py))
    alone = slice(0, 500)
    assert mirrored.y[alone] == pytest.approx(-reference.y[alone], abs=1e-9)
    assert mirrored.energy[alone] == pytest.approx(reference.energy[alone])


def test_emissions_tell_the_story_of_each_electron(beam):
    shot = beam(-11, 1, 20.0, 1.3, 3000)
    flights = fly(shot)
    emissions, flown = flights.emissions, flights.particles
    assert (np.diff(emissions.electron) >= 0).all()
    assert ((emissions.lost > 0) & (emissions.lost <= 1)).all()
    same = np.diff(emissions.electron) == 0
    assert (np.diff(emissions.layer)[same] > 0).all()
    followed = emissions.photon >= 0
    photon = emissions.photon[followed]
    assert (flown.pdgid[photon] == 22).all()
    assert np.array_equal(flown.parent[photon], emissions.electron[followed])
    assert np.array_equal(flown.x[photon], emissions.x[followed])
    assert set(photon.tolist()) == set(np.flatnonzero((flown.pdgid == 22) & (np.abs(flown.pdgid[flown.parent]) == 11)).tolist())
    # what an electron has left is what the listed emissions leave it, but for many soft ones of at most 20 MeV each
    momentum = np.sqrt(flown.px**2 + flown.py**2 + flown.pz**2)
    left = momentum.copy()
    np.multiply.at(left, emissions.electron, 1 - emissions.lost)
    final = np.sqrt(flights.px**2 + flights.py**2 + flights.pz**2)
    electron = np.abs(flown.pdgid) == 11
    assert (final[electron] <= left[electron] * (1 + 1e-9)).all()
    assert final[electron] == pytest.approx(left[electron], abs=NUM_LAYERS * MIN_KINETIC)
    assert not np.isin(emissions.electron, np.flatnonzero(~electron)).any()


def test_an_electron_bends_more_once_it_has_radiated(beam):
    shot = beam(11, -1, 3.0, 0.0, 2000)
    flights = fly(shot)
    kept = ~flights.particles.ends[:2000] & (np.hypot(flights.x, flights.y)[:2000] > 100)
    pt = np.hypot(flights.px, flights.py)[:2000][kept]
    turned = np.arctan2(flights.py, flights.px)[:2000][kept] - np.arctan2(shot.py, shot.px)[kept]
    turned = np.angle(np.exp(1j * turned))
    unradiated = 2 * np.arcsin(108.0 / 2 / (3.0 / (0.00299792458 * 3.8)))  # chord to the last layer
    assert (turned > 0).all()
    assert turned[pt > 2.99] == pytest.approx(unradiated, rel=0.01)
    assert (turned > 0.999 * unradiated).all()
    assert np.mean(turned[pt < 2.0]) > 1.2 * unradiated


def test_layers_are_counted_from_production_to_the_end(particles, beam):
    straight = fly(beam(13, -1, 20.0, 0.7, 100))
    assert (straight.layers == NUM_LAYERS).all()
    neutral = fly(beam(22, 0, 20.0, 0.7, 1000))
    assert not neutral.layers[:1000].any()
    displaced = fly(particles(13, -1, np.array([[5.0, 0.0, 0.0], [0.0, 9.0, 1.0]]), np.array([[30.0, 0.0, 0.0], [0.0, 109.0, 0.0]])))
    assert displaced.layers.tolist() == [NUM_LAYERS - 5, 0]
    pions = fly(beam(211, 1, 20.0, 0.3))
    ended = np.flatnonzero(pions.particles.ends[:20_000])
    radius = np.hypot(pions.particles.end_x, pions.particles.end_y)[ended]
    assert pions.layers[ended] == pytest.approx(np.searchsorted(LAYER_RADIUS, radius - 1e-6))
    assert (pions.layers[:20_000][~pions.particles.ends[:20_000]] == NUM_LAYERS).all()


def test_a_particle_that_curls_up_crosses_the_layers_inside_its_circle(beam):
    flights = fly(beam(13, 1, 0.2, 0.01, 100))  # circle of 35.1 cm through the beam
    assert (flights.layers == np.count_nonzero(LAYER_RADIUS < 2 * 0.2 / (0.00299792458 * 3.8))).all()


def test_what_the_generator_ends_flies_undisturbed(beam):
    shot = beam(2212, 1, 5.0, 0.5, 1000)
    end = momenta(1.0, 0.5, 1000) * np.linspace(1.0, 100.0, 1000)[:, None]
    shot = shot._replace(ends=np.ones(1000, dtype=bool), end_x=end[:, 0], end_y=end[:, 1], end_z=end[:, 2])
    flights = fly(shot)
    assert len(flights.particles.pdgid) == 1000
    assert np.array_equal(flights.particles.end_x, shot.end_x)
    assert flights.layers.tolist() == [layers_within(*point) for point in end]


def test_soft_products_are_dropped_and_soft_particles_left_alone(mixture, particles):
    flights = fly(mixture())
    made, _ = products_of(flights)
    flown = flights.particles
    mass = np.sqrt(np.maximum(flown.energy**2 - flown.px**2 - flown.py**2 - flown.pz**2, 0))
    is_neutrino = np.isin(np.abs(flown.pdgid), (12, 14, 16))
    assert ((flown.energy - mass)[made] > 0.999 * MIN_KINETIC)[~is_neutrino[made]].all()
    soft = particles(22, 0, np.tile([0.5 * MIN_KINETIC, 0.0, 0.0], (1000, 1)), mass=0.0)
    assert not fly(soft).particles.ends.any()


def test_no_particles_make_none(particles):
    flights = fly(particles(22, 0, np.zeros((0, 3))))
    assert len(flights.particles.pdgid) == len(flights.emissions.lost) == len(flights.layers) == 0


def test_particles_along_the_beam_at_rest_or_outside_of_everything_do_no_harm(particles):
    momentum = np.array([[0, 0, 100.0], [0, 0, 0], [1e-12, 0, 1e3], [5.0, 1.0, 2.0], [0.1, 0.0, -3.0], [1e-3, 0.0, 0.0], [0.0, 0.3, 0.0], [0.5, 0, 0.1]])
    position = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 1], [200.0, 0, 0], [0, 0, 500.0], [0, 0, 0], [0, 0, 0], [128.9, 0, 0]], dtype=float)
    for pdgid, charge in SORTS:
        shot = particles(pdgid, charge, np.tile(momentum, (50, 1)), np.tile(position, (50, 1)), MASS.get(abs(pdgid), 0.0))
        flights = fly(shot)
        for values in (*(getattr(flights, name) for name in STATE), flights.swallowed, flights.particles.end_x, flights.particles.end_z):
            assert np.isfinite(values).all()
        assert not flights.particles.ends[:400].reshape(50, 8)[:, :2].any()


def test_the_same_random_numbers_give_the_same_flights(mixture):
    first, again, other = fly(mixture()), fly(mixture()), fly(mixture(), seed=2)
    for name in ("x", "energy", "layers", "swallowed"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert len(first.x) != len(other.x)


def test_a_crowded_event_flies(mixture):
    flights = fly(mixture(number_each=1600))
    assert len(flights.particles.pdgid) > 20_000
    assert np.isfinite(flights.energy).all()
    assert (flights.particles.parent < np.arange(len(flights.origin))).all()
