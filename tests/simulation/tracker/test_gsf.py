import numpy as np
import pytest

from mlpf.schema import ElementType
from mlpf.simulation.elements import brem_columns, gsf_columns, join_elements, track_columns
from mlpf.simulation.tracker.gsf import reconstruct_gsf
from mlpf.simulation.tracker.tracks import reconstruct_tracks

NUMBER = 2000
PT = 20.0
pytestmark = pytest.mark.usefixtures("sparse")  # beams of thousands of particles


@pytest.fixture
def electrons(particles):
    """Electrons of 20 GeV at eta 0, all around."""
    phi = np.linspace(-np.pi, np.pi, NUMBER, endpoint=False)
    return particles(11, -1, PT * np.stack([np.cos(phi), np.sin(phi), 0 * phi], axis=1), mass=5e-4)


def reconstruct(flown, seed=1):
    rng = np.random.default_rng(seed)
    tracks = reconstruct_tracks(flown, rng)
    return tracks, reconstruct_gsf(flown, tracks, rng)


def test_the_ends_of_an_electron_track_have_the_momenta_before_and_after_radiation(electrons, flights, emissions):
    flown = flights(electrons, emissions(electrons, 55.0, 0.5))
    _, gsf = reconstruct(flown)
    # half way, where half of the path bends twice as much: mean curvature 1.5; the fit misses the power 0.08 of what differs from it
    assert np.median(gsf.inner_p) == pytest.approx(PT / 1.5**0.08, rel=0.003)
    assert np.median(gsf.outer_p) == pytest.approx(0.5 * PT * (2.0 / 1.5) ** 0.08, rel=0.003)
    assert np.median(1.0 - gsf.outer_p / gsf.inner_p) == pytest.approx(0.5, abs=0.03)
    assert np.median(gsf.mean_pt) == pytest.approx(PT / 1.5**0.4, rel=0.003)
    assert np.std(gsf.inner_p) / np.median(gsf.inner_p) == pytest.approx(0.01, rel=0.1)  # without tails: all radiate alike
    assert (gsf.fit.pt_error / gsf.fit.pt).mean() == pytest.approx(np.hypot(0.03, 1.3e-3 * PT), rel=0.02)


def test_the_outer_direction_is_bent_as_far_as_the_electron_is(electrons, flights):
    _, gsf = reconstruct(flights(electrons))
    start = np.arctan2(electrons.py, electrons.px)[gsf.particle]
    turn = np.angle(np.exp(1j * (gsf.outer_phi - start)))
    assert np.median(turn) == pytest.approx(2.0 * np.arcsin(0.5 * 110.0 * 0.00299792458 * 3.8 / PT), abs=1e-4)  # a negative particle turns to the left
    assert np.std(np.angle(np.exp(1j * (gsf.inner_phi - start)))) == pytest.approx(np.hypot(2e-4, 1.5e-3 / PT), rel=0.1)


def test_electrons_have_a_second_track_hadrons_rarely_and_muons_fakes_and_soft_ones_never(particles, electrons, flights):
    tracks, gsf = reconstruct(flights(electrons))
    assert np.array_equal(gsf.particle, tracks.particle[tracks.particle >= 0])
    assert np.array_equal(tracks.particle[gsf.track], gsf.particle)
    many = 40_000
    phi = np.linspace(-np.pi, np.pi, many, endpoint=False)
    momentum = 5.0 * np.stack([np.cos(phi), np.sin(phi), 0 * phi], axis=1)
    tracks, gsf = reconstruct(flights(particles(211, 1, momentum)))
    assert len(gsf.particle) / np.sum(tracks.particle >= 0) == pytest.approx(0.01, abs=0.003)
    assert len(reconstruct(flights(particles(13, 1, momentum[:500])))[1].particle) == 0
    assert len(reconstruct(flights(particles(11, 1, 0.3 * momentum[:500])))[1].particle) == 0


def test_brems_are_the_momenta_at_the_ends_and_the_losses_in_between(electrons, flights, emissions):
    flown = flights(electrons, emissions(electrons, 57.0, 0.5))
    _, gsf = reconstruct(flown)
    brems, number = gsf.brems, len(gsf.particle)
    assert np.array_equal(np.bincount(brems.gsf), np.full(number, 14))  # fourteen layers
    points = brems.point.reshape(number, 14)
    assert (points == np.arange(2, 16)).all()
    lost, error = brems.delta_p.reshape(number, 14), brems.delta_p_error.reshape(number, 14)
    assert lost[:, 0] == pytest.approx(gsf.inner_p)
    assert lost[:, -1] == pytest.approx(gsf.outer_p)
    assert error[:, 0] == pytest.approx(gsf.fit.pt_error / np.sin(gsf.fit.theta))
    medians = np.median(lost[:, 1:-1], axis=0)
    assert medians[6] == pytest.approx(0.92 * 0.5 * PT, rel=0.02)  # 57 of 110 cm: number 6 of 12
    assert np.delete(medians, 6) == pytest.approx(np.zeros(11), abs=0.1)
    pull = np.delete(lost[:, 1:-1], 6, axis=1) / np.delete(error[:, 1:-1], 6, axis=1)
    assert np.std(pull) == pytest.approx(1.0, abs=0.02)


def test_later_emissions_take_their_part_of_what_is_left(electrons, flights, emissions):
    first, second = emissions(electrons, 11.0, 0.5), emissions(electrons, 99.0, 0.4)
    both = type(first)._make(np.stack(pair, axis=1).ravel() for pair in zip(first, second, strict=True))
    _, gsf = reconstruct(flights(electrons, both))
    lost = np.median(gsf.brems.delta_p.reshape(-1, 14), axis=0)
    assert lost[2] == pytest.approx(0.92 * 10.0, rel=0.03)
    assert lost[11] == pytest.approx(0.92 * 4.0, abs=0.1)


def test_elements_of_electron_tracks_have_the_columns_of_the_real_ntuple(electrons, flights, emissions):
    flown = flights(electrons, emissions(electrons, 55.0, 0.5))
    tracks, gsf = reconstruct(flown)
    elements = join_elements(track_columns(tracks), gsf_columns(gsf), brem_columns(gsf))
    types = elements["element_type"]
    is_track, is_gsf, is_brem = (types == kind for kind in (ElementType.TRACK, ElementType.GSF, ElementType.BREM))
    assert elements["element_num_hits"][is_gsf].sum() == is_brem.sum()  # the hits of a GSF are its BREMs
    assert elements["element_eta_ecal"][is_gsf] == pytest.approx(gsf.inner_eta, abs=1e-6)
    assert elements["element_phi_hcal"][is_gsf] == pytest.approx(gsf.outer_phi, abs=1e-6)
    assert (elements["element_gsf_electronseed_trkorecal"][is_gsf | is_brem] == 1).all()
    for name in ("gsf_electronseed_trkorecal", "trajpoint", "deltap", "sigmadeltap"):
        assert not elements[f"element_{name}"][is_track].any()
    for name in ("num_hits", "vx", "vy", "vz", "pterror", "lambda", "theta", "eta_ecal", "phi_hcal"):
        assert not elements[f"element_{name}"][is_brem].any()
    assert elements["element_pt"][is_brem] == pytest.approx(gsf.mean_pt[gsf.brems.gsf], rel=1e-5)
    assert (elements["element_charge"][is_brem] == -1).all()
    momentum = np.sqrt(sum(elements[f"element_p{axis}"].astype(float) ** 2 for axis in "xyz"))
    assert momentum == pytest.approx(elements["element_energy"], rel=1e-5)
    assert elements["element_lambda"][is_gsf] == pytest.approx(0.5 * np.pi - elements["element_theta"][is_gsf], abs=1e-6)


def test_soft_electrons_are_seeded_by_the_tracker(particles, flights):
    _, gsf = reconstruct(flights(particles(11, 1, np.tile([3.0, 0.0, 0.0], (50, 1)), mass=5e-4)))
    assert (gsf_columns(gsf)["element_gsf_electronseed_trkorecal"] == 2).all()


def test_no_electrons_make_no_elements(particles, flights):
    tracks, gsf = reconstruct(flights(particles(211, 1, np.zeros((0, 3)))))
    elements = join_elements(track_columns(tracks), gsf_columns(gsf), brem_columns(gsf))
    assert len(elements["element_type"]) == 0
