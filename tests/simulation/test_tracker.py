import numpy as np
import pytest
from scipy import stats

from mlpf.simulation.propagation import Impacts
from mlpf.simulation.tracker import leaves_hits, reconstruct_tracks, relative_pt_resolution, tracking_efficiency

NUMBER = 20_000


@pytest.fixture
def beam(particles):
    """Many equal particles of one pt and eta, azimuths at random."""

    def make(pdgid, charge, pt, eta, number=NUMBER):
        phi = np.random.default_rng(5).uniform(-np.pi, np.pi, number)
        return particles(pdgid, charge, np.stack([pt * np.cos(phi), pt * np.sin(phi), np.full(number, pt * np.sinh(eta))], axis=1))

    return make


@pytest.mark.parametrize(
    ("pdgid", "pt", "eta", "efficiency"),
    [
        (211, 0.5, 0.3, 0.70), (-211, 5.0, -1.4, 0.95), (2212, 0.5, 2.0, 0.60), (321, 5.0, -2.4, 0.85),
        (11, 0.5, 1.0, 0.73), (11, 50.0, 1.0, 0.95), (-11, 150.0, 1.0, 0.99), (11, 0.5, 2.0, 0.50), (11, 50.0, 2.0, 0.83), (11, 150.0, 2.0, 0.90),
        (13, 0.5, 0.1, 0.75), (-13, 20.0, 0.1, 0.99), (13, 20.0, 2.1, 0.98),
    ],
)  # fmt: skip
def test_tracks_are_found_with_the_efficiency_of_the_table(beam, pdgid, pt, eta, efficiency, flights):
    tracks = reconstruct_tracks(flights(beam(pdgid, 1, pt, eta)), np.random.default_rng(1))
    found = int(np.sum(~tracks.is_gsf))
    assert stats.binomtest(found, NUMBER, efficiency).pvalue > 1e-4


@pytest.mark.parametrize(
    ("pdgid", "pt", "eta", "width"),
    [
        (211, 1.0, 0.2, np.hypot(0.01, 1.5e-4)), (211, 100.0, 0.2, np.hypot(0.01, 0.015)), (211, 100.0, 1.0, np.hypot(0.015, 0.025)),
        (211, 100.0, 2.0, np.hypot(0.025, 0.055)),
        (13, 100.0, 0.2, np.hypot(0.01, 0.01)), (11, 10.0, 1.0, np.hypot(0.05, 0.017)),
    ],
)  # fmt: skip
def test_curvature_is_smeared_by_the_resolution_of_the_table_which_is_also_the_quoted_error(beam, pdgid, pt, eta, width, flights):
    tracks = reconstruct_tracks(flights(beam(pdgid, 1, pt, eta)), np.random.default_rng(2))
    measured = tracks.pt[~tracks.is_gsf]
    uncertainty = width / np.sqrt(2 * len(measured))
    assert np.std(pt / measured) == pytest.approx(width, abs=4 * uncertainty)
    assert np.mean(pt / measured) == pytest.approx(1.0, abs=4 * width / np.sqrt(len(measured)))
    assert tracks.pt_error[~tracks.is_gsf] / measured == pytest.approx(width)


def test_angle_pulls_are_unit_gaussians(beam, flights):
    shot = beam(211, 1, 2.0, 1.0)
    tracks = reconstruct_tracks(flights(shot), np.random.default_rng(3))
    kept = ~tracks.is_gsf
    own = tracks.particle[kept]
    theta = np.arctan2(2.0, shot.pz[own])
    phi = np.arctan2(shot.py[own], shot.px[own])
    for pull in ((tracks.theta[kept] - theta) / tracks.theta_error[kept], np.sin(tracks.phi[kept] - phi) / tracks.phi_error[kept]):
        assert np.std(pull) == pytest.approx(1.0, abs=0.03)
        assert np.mean(pull) == pytest.approx(0.0, abs=0.03)


def test_only_charged_particles_inside_the_acceptance_leave_hits(particles):
    momentum = np.array([[1.0, 0, 0], [1.0, 0, 0], [0.05, 0, 0], [1.0, 0, np.sinh(2.6)], [1.0, 0, 0]])
    position = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [61.0, 0, 0]])
    assert leaves_hits(particles(211, [1, 0, 1, 1, 1], momentum, position)).tolist() == [True, False, False, False, False]


def test_efficiency_falls_linearly_with_the_production_radius_and_needs_a_long_enough_flight(particles):
    momentum, position = np.tile([5.0, 0.0, 0.0], (4, 1)), np.array([[0.0, 0, 0], [15.0, 0, 0], [0, 45.0, 0], [59.9, 0, 0]])
    shot = particles(211, 1, momentum, position)
    assert tracking_efficiency(shot) == pytest.approx(0.95 * np.array([1.0, 0.75, 0.25, 0.1 / 60]))
    decaying = shot._replace(ends=np.ones(4, dtype=bool), end_x=np.array([29.0, 46.0, 0.0, 80.0]), end_y=np.array([0.0, 0, 45.0, 0]))
    assert (tracking_efficiency(decaying) > 0).tolist() == [False, True, False, False]


def test_resolution_beyond_the_last_bin_is_that_of_the_last_bin():
    assert relative_pt_resolution(np.array([211]), np.array([1.0]), np.array([2.6])) == pytest.approx(np.hypot(0.025, 5.5e-4))


def test_muons_have_stations_and_electrons_a_second_track(beam, flights):
    muons = reconstruct_tracks(flights(beam(13, -1, 20.0, 0.5, 2000)), np.random.default_rng(4))
    assert np.mean(muons.muon_type == 46) == pytest.approx(0.96, abs=0.02)
    assert np.mean(muons.dt_hits[muons.muon_type > 0]) == pytest.approx(36, abs=1)
    assert not muons.csc_hits.any()
    assert not muons.is_gsf.any()
    forward = reconstruct_tracks(flights(beam(13, -1, 20.0, 2.0, 2000)), np.random.default_rng(4))
    assert not forward.dt_hits.any()
    assert np.mean(forward.csc_hits[forward.muon_type > 0]) == pytest.approx(18, abs=1)
    electrons = reconstruct_tracks(flights(beam(11, -1, 20.0, 0.5, 2000)), np.random.default_rng(4))
    assert np.sum(electrons.is_gsf) == np.sum(~electrons.is_gsf)
    assert not electrons.muon_type.any()
    pions = reconstruct_tracks(flights(beam(211, 1, 20.0, 0.5)), np.random.default_rng(4))
    assert np.sum(pions.is_gsf) / np.sum(~pions.is_gsf) == pytest.approx(0.01, abs=0.003)
    assert np.mean(pions.muon_type == 4) == pytest.approx(0.005, abs=0.002)


def test_a_track_points_at_the_calorimeters_where_its_measured_helix_does(beam, flights):
    tracks = reconstruct_tracks(flights(beam(211, 1, 1000.0, 0.5, 500)), np.random.default_rng(6))
    assert isinstance(tracks.impacts, Impacts)
    assert tracks.impacts.eta == pytest.approx(0.5, abs=0.002)
    assert ((tracks.quality > 0) & (tracks.quality <= 1)).all()


def test_no_particles_make_no_tracks(particles, flights):
    assert len(reconstruct_tracks(flights(particles(211, 1, np.zeros((0, 3)))), np.random.default_rng(0)).pt) == 0
