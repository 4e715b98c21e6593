import numpy as np
import pytest
from scipy import stats

from mlpf.simulation.propagation import NOT_REACHED
from mlpf.simulation.tracker.helix import relative_pt_resolution
from mlpf.simulation.tracker.tracks import reconstruct_tracks
from mlpf.simulation.tracker.transport import transport

NUMBER = 20_000
pytestmark = pytest.mark.usefixtures("sparse")  # beams of thousands of particles


@pytest.fixture
def beam(particles):
    """Many equal particles of one pt and eta, azimuths evenly spread."""

    def make(pdgid, charge, pt, eta, number=NUMBER, mass=0.14):
        phi, eta = np.linspace(-np.pi, np.pi, number, endpoint=False), np.broadcast_to(eta, number)
        return particles(pdgid, charge, np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1), mass=mass)

    return make


@pytest.mark.parametrize(
    ("pdgid", "pt", "eta", "efficiency", "mass"),
    [
        (211, 0.7, (0.0, 1.5), 0.70, 0.14), (-211, 5.0, (0.0, 1.5), 0.95, 0.14), (2212, 5.0, (1.5, 2.5), 0.85, 0.94), (-211, 0.7, (1.5, 2.5), 0.60, 0.14),
        (11, 0.5, (0.0, 1.5), 0.73, 5e-4), (11, 50.0, (0.0, 1.5), 0.95, 5e-4), (-11, 150.0, (0.0, 1.5), 0.99, 5e-4), (11, 50.0, (1.5, 2.5), 0.83, 5e-4),
        (13, 0.5, (0.0, 1.5), 0.75, 0.106), (-13, 20.0, (0.0, 1.5), 0.99, 0.106), (13, 20.0, (1.5, 2.5), 0.98, 0.106),
    ],
)  # fmt: skip
def test_isolated_particles_that_fly_through_the_material_have_the_efficiency_of_the_table(beam, pdgid, pt, eta, efficiency, mass):
    shot = beam(pdgid, -np.sign(pdgid) if abs(pdgid) < 100 else np.sign(pdgid), pt, np.random.default_rng(3).uniform(*eta, 5000), 5000, mass)
    rng = np.random.default_rng(1)
    tracks = reconstruct_tracks(transport(shot, rng), rng)
    found = np.sum((tracks.particle >= 0) & (tracks.particle < 5000))  # those after are secondaries
    assert found / 5000 == pytest.approx(efficiency, abs=0.012 + 3 * np.sqrt(efficiency * (1 - efficiency) / 5000))


@pytest.mark.parametrize(
    ("pdgid", "pt", "eta", "width"),
    [
        (211, 1.0, 0.2, np.hypot(0.01, 1.5e-4)), (211, 100.0, 0.2, np.hypot(0.01, 0.015)), (211, 100.0, 1.0, np.hypot(0.015, 0.025)),
        (211, 100.0, 2.0, np.hypot(0.025, 0.055)),
        (13, 100.0, 0.2, np.hypot(0.01, 0.01)),
        (11, 100.0, 0.2, np.hypot(0.01, 0.015)),  # without radiation an electron is measured like a hadron
    ],
)  # fmt: skip
def test_curvature_is_smeared_by_the_resolution_of_the_table_which_is_also_the_quoted_error(beam, pdgid, pt, eta, width, flights):
    tracks = reconstruct_tracks(flights(beam(pdgid, 1, pt, eta)), np.random.default_rng(2))
    true = tracks.particle >= 0
    measured = tracks.fit.pt[true]
    uncertainty = width / np.sqrt(2 * len(measured))
    assert np.std(pt / measured) == pytest.approx(width, abs=4 * uncertainty)
    assert np.mean(pt / measured) == pytest.approx(1.0, abs=4 * width / np.sqrt(len(measured)))
    assert tracks.fit.pt_error[true] / measured == pytest.approx(width)


def test_angle_and_vertex_pulls_are_unit_gaussians(beam, flights):
    shot = beam(211, 1, 2.0, 1.0)
    tracks = reconstruct_tracks(flights(shot), np.random.default_rng(3))
    true = tracks.particle >= 0
    own, fit = tracks.particle[true], tracks.fit
    theta, phi = np.arctan2(2.0, shot.pz[own]), np.arctan2(shot.py[own], shot.px[own])
    across = fit.x[true] * np.sin(fit.phi[true]) - fit.y[true] * np.cos(fit.phi[true])
    pulls = (
        (fit.theta[true] - theta) / fit.theta_error[true], np.sin(fit.phi[true] - phi) / fit.phi_error[true], across / np.hypot(0.002, 0.01 / 2.0)
    )  # fmt: skip
    for pull in pulls:
        assert np.std(pull) == pytest.approx(1.0, abs=0.03)
        assert np.mean(pull) == pytest.approx(0.0, abs=0.03)


def test_tracks_that_end_early_have_fewer_hits_and_worse_resolution_like_the_inverse_square_of_their_length(particles, flights):
    number = 4000
    phi = np.linspace(-np.pi, np.pi, number, endpoint=False)
    shot = particles(211, 1, 300.0 * np.stack([np.cos(phi), np.sin(phi), 0 * phi], axis=1))
    half = shot._replace(ends=np.ones(number, dtype=bool), end_x=55.0 * np.cos(phi), end_y=55.0 * np.sin(phi))
    whole_tracks, half_tracks = (reconstruct_tracks(flights(flown), np.random.default_rng(4)) for flown in (shot, half))
    widths = [np.std(300.0 / tracks.fit.pt[tracks.particle >= 0] * tracks.fit.charge[tracks.particle >= 0]) for tracks in (whole_tracks, half_tracks)]
    assert widths[0] == pytest.approx(np.hypot(0.01, 0.045), rel=0.05)
    assert widths[1] == pytest.approx(np.hypot(0.02, 0.18), rel=0.05)
    hits = [np.mean(tracks.num_hits[tracks.particle >= 0]) for tracks in (whole_tracks, half_tracks)]
    assert hits[0] == pytest.approx(16.5, abs=0.2)  # 14 layers, 0.92 hits each, and 4 in pairs
    assert hits[1] == pytest.approx(16.5 * 8 / 14, abs=0.2)  # 8 layers lie within 55 cm


def test_the_charge_turns_where_the_curvature_is_not_measured(beam, flights):
    tracks = reconstruct_tracks(flights(beam(13, -1, 3000.0, 2.2, 5000)), np.random.default_rng(6))
    true = tracks.particle >= 0
    wrong = np.mean(tracks.fit.charge[true] == 1)
    assert wrong == pytest.approx(stats.norm.cdf(-1.0 / np.hypot(0.025, 3.5e-4 * 3000)), abs=0.02)


def test_a_track_of_a_displaced_particle_refers_to_where_its_helix_passes_the_beam(particles, flights):
    number = 2000
    shot = particles(211, -1, np.tile([0.6, 0.8, 0.5], (number, 1)), np.tile([3.0, 6.0, 2.0], (number, 1)))
    tracks = reconstruct_tracks(flights(shot), np.random.default_rng(1))
    fit = tracks.fit
    true = tracks.particle >= 0
    radius = 1.0 / (0.00299792458 * 3.8)  # of pt 1 GeV; a negative particle turns to the left
    center = np.array([3.0 - 0.8 * radius, 6.0 + 0.6 * radius])
    impact = abs(np.hypot(*center) - radius)
    assert np.median(np.hypot(fit.x[true], fit.y[true])) == pytest.approx(impact, abs=0.02)
    along = fit.x[true] * np.cos(fit.phi[true]) + fit.y[true] * np.sin(fit.phi[true])
    assert along == pytest.approx(np.zeros(true.sum()), abs=1e-6)
    direction = np.arctan2(-center[0], center[1])
    turned = np.arctan2(0.8, 0.6) - direction
    assert np.median(fit.phi[true]) == pytest.approx(direction, abs=3e-4)
    assert np.median(fit.z[true]) == pytest.approx(2.0 - 0.5 * radius * turned, abs=0.02)


def test_a_track_points_at_the_calorimeters_where_its_particle_does(beam, flights):
    soft = flights(beam(211, 1, 1.5, 0.3, 4000))
    tracks = reconstruct_tracks(soft, np.random.default_rng(6))
    true = tracks.particle >= 0
    straight = np.arctan2(soft.py, soft.px)[tracks.particle[true]]
    half_turn = np.arcsin(0.5 * 129.0 * 0.00299792458 * 3.8 / 1.5)  # of the chord from the beam to the ECAL
    expected = straight - half_turn
    error = np.angle(np.exp(1j * (tracks.impacts.phi[true] - expected)))
    assert np.median(error) == pytest.approx(0.0, abs=3e-4)
    assert np.std(error) < 0.002  # a ninth of a crystal: only the way from the tracker's end is extrapolated
    assert np.median(tracks.impacts.eta[true]) == pytest.approx(np.arcsinh(np.sinh(0.3) * half_turn / np.sin(half_turn)), abs=5e-4)


def test_a_track_does_not_follow_an_electron_through_hard_radiation(particles, flights, emissions):
    number = 2000
    phi = np.linspace(-np.pi, np.pi, number, endpoint=False)
    shot = particles(11, -1, 20.0 * np.stack([np.cos(phi), np.sin(phi), 0 * phi], axis=1), mass=5e-4)
    early = reconstruct_tracks(flights(shot, emissions(shot, 11.0, 0.6)), np.random.default_rng(1))
    late = reconstruct_tracks(flights(shot, emissions(shot, 80.0, 0.6)), np.random.default_rng(1))
    kept = [tracks.particle >= 0 for tracks in (early, late)]
    # at a tenth of the arm: the weight behind is 1 - 0.1^3 (10 - 1.5 + 0.06) = 0.99144, times a change of the curvature of 1 / 0.4 - 1
    assert np.median(early.fit.pt[kept[0]]) == pytest.approx(20.0 / (1.0 + 1.5 * 0.99144), rel=0.005)
    assert np.median(late.fit.pt[kept[1]]) == pytest.approx(20.0, rel=0.005)  # the fit ends there
    assert np.mean(late.num_hits[kept[1]]) < 13


def test_fakes_have_no_particle_and_are_about_three_percent_of_the_tracks_of_full_pileup(particles, flights):
    rng = np.random.default_rng(8)
    number, fakes, true = 2400, 0, 0
    for _ in range(10):
        pt, eta, phi = rng.exponential(1.0, number) + 0.3, rng.uniform(-2.4, 2.4, number), rng.uniform(-np.pi, np.pi, number)
        shot = particles(211, 1, np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1))
        tracks = reconstruct_tracks(flights(shot), rng)
        fake = tracks.particle < 0
        assert not tracks.quality[fake].any()
        assert (tracks.quality[~fake] > 0.5).all()
        assert not tracks.muon.type[fake].any()
        fakes, true = fakes + fake.sum(), true + np.sum(~fake)
        if fake.any():
            assert np.mean(tracks.num_hits[fake]) < np.mean(tracks.num_hits[~fake])
            assert (tracks.fit.pt[fake] >= 0.2).all()
    per_event = true / 10
    assert fakes / 10 == pytest.approx(per_event * (0.005 + 1.4e-5 * per_event), abs=4 * np.sqrt(fakes) / 10)
    assert 0.02 < fakes / true < 0.045


def test_charges_and_azimuths_are_treated_alike(beam, flights):
    tracks = [reconstruct_tracks(flights(beam(211, charge, 3.0, 0.7)), np.random.default_rng(9)) for charge in (1, -1)]
    true = [t.particle >= 0 for t in tracks]
    assert abs(true[0].sum() - true[1].sum()) < 4 * np.sqrt(2 * NUMBER * 0.05)
    assert np.mean(tracks[0].fit.pt[true[0]]) == pytest.approx(np.mean(tracks[1].fit.pt[true[1]]), abs=4 * 3.0 * 0.015 * np.sqrt(2 / NUMBER))
    counts = np.histogram(tracks[0].fit.phi[true[0]], bins=8, range=(-np.pi, np.pi))[0]
    assert np.sum((counts - counts.mean()) ** 2 / counts.mean()) < 26  # chi2 of 7 degrees of freedom: p = 5e-4


def test_resolution_beyond_the_last_bin_is_that_of_the_last_bin():
    assert relative_pt_resolution(np.array([211]), np.array([1.0]), np.array([2.6])) == pytest.approx(np.hypot(0.025, 5.5e-4))


def test_particles_that_curl_up_in_the_tracker_do_not_reach_the_ecal(beam, flights):
    tracks = reconstruct_tracks(flights(beam(211, 1, 0.4, 0.01, 200)), np.random.default_rng(6))
    assert np.mean(tracks.impacts.region == NOT_REACHED) > 0.9


def test_no_particles_make_no_tracks(particles, flights):
    assert len(reconstruct_tracks(flights(particles(211, 1, np.zeros((0, 3)))), np.random.default_rng(0)).fit.pt) == 0
