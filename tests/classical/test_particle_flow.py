"""Rule-based particle flow on events small enough to reconstruct by hand, and its conservation laws and symmetries on random ones."""

import numpy as np
import pytest

from mlpf.classical.calibration import HadronCalibration
from mlpf.classical.elements import elements_of
from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.classical.rules import Rules
from mlpf.errors import NtupleError
from mlpf.events import concatenate
from mlpf.kinematics import PION_MASS, delta_phi
from mlpf.random_ntuple import random_events as random_events_of_size
from mlpf.schema import ElementType as T

ETA, PHI = 0.5, 1.0
COSH = np.cosh(ETA)
ECAL_SCALE = 1.5  # of hadrons in these tests, at any energy; 1 in the HCAL
CALIBRATION = HadronCalibration(np.array([10.0]), 0.0, np.array([0.0, 3.0]), *(np.array([[scale]]) for scale in (ECAL_SCALE, 1.0, 1.0)))


def track(p, eta=ETA, phi=PHI, charge=1, **more):
    """A track of momentum ``p`` [GeV] that reaches both calorimeters straight ahead."""
    surfaces = {f"{name}_{surface}": value for name, value in (("eta", eta), ("phi", phi)) for surface in ("ecal", "hcal")}
    return (
        {"type": T.TRACK, "pt": p / np.cosh(eta), "energy": p, "eta": eta, "phi": phi, "charge": charge, "pterror": 0.01 * p / np.cosh(eta)} | surfaces | more
    )


def cluster(kind, energy, eta=ETA, phi=PHI, **more):
    return {"type": kind, "energy": energy, "pt": energy / np.cosh(eta), "eta": eta, "phi": phi, "num_hits": 4} | more


def reconstruct(make_events, *rows):
    """Candidates of one event as (pdgid, energy), and as the element indices of each."""
    events = rule_based_particle_flow(make_events(list(rows)), calibration=CALIBRATION)
    events.validate()
    pairs = np.column_stack([events["element_to_candidate.first"], events["element_to_candidate.second"]])
    members = [sorted(pairs[pairs[:, 1] == c, 0].tolist()) for c in range(events.size("pfcandidate"))]
    return list(zip(events["pfcandidate_pdgid"].tolist(), events["pfcandidate_energy"].tolist(), strict=True)), members, events


def pion(p):
    return pytest.approx(np.hypot(p, PION_MASS), rel=1e-5)


def test_a_single_track_is_a_charged_hadron_of_pion_mass(make_events):
    candidates, members, events = reconstruct(make_events, track(3.0, charge=-1))
    assert candidates == [(-211, pion(3.0))]
    assert members == [[0]]
    assert events["pfcandidate_pt"] == pytest.approx([3 / COSH])
    assert events["pfcandidate_px"] == pytest.approx([3 / COSH * np.cos(PHI)])
    assert events["pfcandidate_pz"] == pytest.approx([3 * np.tanh(ETA)])


def test_a_track_with_matching_clusters_is_one_charged_hadron(make_events):
    # 10 GeV against 1.5 x 2 + 9: resolution sqrt(1.02^2 / 10 + .065^2) = 33 %, the excess of 2 GeV is far below 1.9 x 3.3 GeV
    candidates, members, _ = reconstruct(make_events, track(10.0), cluster(T.ECAL, 2.0), cluster(T.HCAL, 9.0))
    assert candidates == [(211, pion(10.0))]
    assert members == [[0, 1, 2]]


def test_a_large_excess_becomes_a_photon_of_the_ecal_and_a_neutral_hadron_of_the_rest(make_events):
    # 10 GeV against 1.5 x 5 + 40: excess 37.5 > (1 + exp(-.1)) x 3.30 = 6.3; 7.5 of it are the ECAL's, which as a photon are 5
    candidates, members, _ = reconstruct(make_events, track(10.0), cluster(T.ECAL, 5.0), cluster(T.HCAL, 40.0))
    assert candidates == [(211, pion(10.0)), (22, pytest.approx(5.0)), (130, pytest.approx(30.0))]
    assert members == [[0, 1, 2], [1], [2]]


def test_an_excess_below_the_ecal_energy_is_a_photon_alone(make_events):
    # 10 GeV against 1.5 x 20 + 5: excess 25 < 30, that is 25 / 30 of the cluster, which as a photon has 21 GeV
    candidates, _, _ = reconstruct(make_events, track(10.0), cluster(T.ECAL, 20.0, corr_energy=21.0), cluster(T.HCAL, 5.0))
    assert candidates == [(211, pion(10.0)), (22, pytest.approx(25 / 30 * 21))]


def test_the_excess_threshold_grows_with_the_resolution(make_events):
    sigma = 10 * np.hypot(np.sqrt(1.02**2 / 10 + 0.065**2), 0.01)
    limit = (1 + np.exp(-0.1)) * sigma
    for excess, neutrals in ((0.99 * limit, []), (1.01 * limit, [(130, pytest.approx(1.01 * limit, rel=1e-5))])):
        assert reconstruct(make_events, track(10.0), cluster(T.HCAL, 10.0 + excess))[0] == [(211, pion(10.0)), *neutrals]


def test_the_excess_threshold_follows_the_endcap_resolution(make_events):
    sigma = 10 * np.hypot(np.sqrt(1.20**2 / 10 + 0.028**2), 0.01)
    limit = (1 + np.exp(-0.1)) * sigma
    for excess, number in ((0.99 * limit, 1), (1.01 * limit, 2)):
        assert len(reconstruct(make_events, track(10.0, eta=2.0), cluster(T.HCAL, 10.0 + excess, eta=2.0))[0]) == number


def test_photons_have_the_corrected_energy_and_hadrons_that_which_particle_flow_calibrates(make_events):
    rows = cluster(T.ECAL, 4.0, corr_energy=5.0), cluster(T.ECAL, 4.0, corr_energy=-1.0, phi=2), cluster(T.HCAL, 3.0, corr_energy=7.0, phi=-1)
    assert reconstruct(make_events, *rows)[0] == [(22, pytest.approx(5.0)), (22, pytest.approx(4.0)), (130, pytest.approx(3.0))]
    candidates = reconstruct(make_events, track(20.0), cluster(T.ECAL, 12.0, corr_energy=100.0), cluster(T.HCAL, 3.0))[0]
    assert candidates == [(211, pion(20.0))]  # 1.5 x 12 + 3 = 21


def test_unlinked_clusters_are_a_photon_and_a_neutral_hadron(make_events):
    candidates, members, events = reconstruct(make_events, cluster(T.ECAL, 4.0), cluster(T.HCAL, 6.0))
    assert candidates == [(22, pytest.approx(4.0)), (130, pytest.approx(6.0))]
    assert members == [[0], [1]]
    assert events["pfcandidate_pt"] == pytest.approx([4 / COSH, 6 / COSH])


def test_beyond_the_tracker_the_ecal_joins_the_hcal_behind_it(make_events):
    candidates, members, _ = reconstruct(make_events, cluster(T.ECAL, 4.0, eta=2.7), cluster(T.HCAL, 6.0, eta=2.75))
    assert candidates == [(130, pytest.approx(1.5 * 4 + 6))]
    assert members == [[0, 1]]


def test_a_muon_takes_its_deposits_out_of_the_clusters(make_events):
    muon = track(30.0, charge=-1, muon_type=2 + 8, muon_dt_hits=20)
    candidates, members, _ = reconstruct(make_events, muon, cluster(T.ECAL, 0.4), cluster(T.HCAL, 3.5))
    assert candidates == [(13, pytest.approx(30.0, rel=1e-4))]
    assert members == [[0, 1, 2]]


def test_a_neutral_hadron_behind_a_muon_is_what_the_muon_does_not_explain(make_events):
    # 40 - 3 GeV, above 2 sigma = 6 GeV
    candidates, _, _ = reconstruct(make_events, track(30.0, charge=1, muon_type=2, muon_csc_hits=9), cluster(T.HCAL, 40.0))
    assert candidates == [(-13, pytest.approx(30.0, rel=1e-4)), (130, pytest.approx(37.0))]


def test_without_muon_types_in_the_ntuple_station_hits_make_a_muon(make_events):
    assert reconstruct(make_events, track(30.0, muon_dt_hits=20))[0][0][0] == -13
    stand_alone_only = track(30.0, muon_dt_hits=20, muon_type=8)
    assert reconstruct(make_events, stand_alone_only, cluster(T.HCAL, 29.0))[0][0][0] == 211


def test_a_loose_muon_comes_out_only_where_the_calorimeter_lacks_energy(make_events):
    loose = track(30.0, muon_type=4)
    assert reconstruct(make_events, loose, cluster(T.HCAL, 3.0))[0] == [(-13, pytest.approx(30.0, rel=1e-4))]
    assert reconstruct(make_events, loose, cluster(T.HCAL, 29.0))[0] == [(211, pion(30.0))]


def test_a_badly_measured_track_is_rescaled_to_the_calorimeter(make_events):
    # 100 GeV against 20; the uncertainty of pt is 20 GeV
    candidates, _, _ = reconstruct(make_events, track(100.0, pterror=20.0), cluster(T.HCAL, 20.0))
    assert candidates == [(211, pion(20.0))]


def test_a_well_measured_track_is_kept_whatever_the_calorimeter_says(make_events):
    candidates, _, _ = reconstruct(make_events, track(100.0, pterror=0.9), cluster(T.HCAL, 20.0))
    assert candidates == [(211, pion(100.0))]


def test_of_two_tracks_the_worse_is_dropped_where_the_other_explains_the_cluster(make_events):
    candidates, members, _ = reconstruct(make_events, track(80.0, pterror=30.0), track(20.0, phi=PHI + 0.01), cluster(T.HCAL, 19.0))
    assert candidates == [(211, pion(20.0))]
    assert members == [[1, 2]]


def test_two_tracks_on_one_cluster_are_averaged_with_it_by_their_uncertainties(make_events):
    # the normal equations of the fit, solved with numpy
    p, relative = np.array([10.0, 6.0]), np.array([0.3, 0.2])
    calo = 19.0
    resolution = 16.0 * np.sqrt(1.02**2 / 16 + 0.065**2)
    a = np.diag(1 / (relative * p) ** 2) + 1 / resolution**2
    expected = np.linalg.solve(a, p / (relative * p) ** 2 + calo / resolution**2)
    tracks = [track(pi, phi=PHI + 0.01 * i, pterror=ri * pi / COSH) for i, (pi, ri) in enumerate(zip(p, relative, strict=True))]
    candidates, members, _ = reconstruct(make_events, *tracks, cluster(T.HCAL, calo))
    assert candidates == [(211, pion(expected[0])), (211, pion(expected[1]))]
    assert members == [[0, 2], [1, 2]]


def test_one_badly_measured_track_is_enough_to_average_all(make_events):
    p, sigma, calo = np.array([10.0, 6.0]), np.array([3.0, 0.06]), 19.0
    resolution = 16.0 * np.sqrt(1.02**2 / 16 + 0.065**2)
    expected = np.linalg.solve(np.diag(sigma**-2) + resolution**-2, p / sigma**2 + calo / resolution**2)
    tracks = [track(pi, phi=PHI + 0.01 * i, pterror=si / COSH) for i, (pi, si) in enumerate(zip(p, sigma, strict=True))]
    candidates, _, _ = reconstruct(make_events, *tracks, cluster(T.HCAL, calo))
    assert candidates == [(211, pion(expected[0])), (211, pion(expected[1]))]


def test_well_measured_tracks_are_not_averaged(make_events):
    tracks = [track(p, phi=PHI + 0.01 * i, pterror=0.09 * p / COSH) for i, p in enumerate((10.0, 6.0))]
    assert reconstruct(make_events, *tracks, cluster(T.HCAL, 19.0))[0] == [(211, pion(10.0)), (211, pion(6.0))]


def test_a_track_that_would_keep_less_than_50_mev_is_dropped(make_events):
    # 60 + 30 GeV against 30.04: without the worse track 40 MeV remain for it
    worse, better = track(60.0, pterror=30.0), track(30.0, phi=PHI + 0.01)
    assert reconstruct(make_events, worse, better, cluster(T.HCAL, 30.04))[0] == [(211, pion(30.0))]
    assert reconstruct(make_events, worse, better, cluster(T.HCAL, 30.06))[0] == [(211, pion(0.06)), (211, pion(30.0))]


def test_a_badly_measured_track_without_calorimeter_is_dropped_and_a_good_one_kept(make_events):
    # a fake: 40 GeV +- 2 GeV in pt and nothing, or next to nothing, behind it
    assert reconstruct(make_events, track(40.0, pterror=2.0))[0] == []
    assert reconstruct(make_events, track(40.0, pterror=2.0), cluster(T.ECAL, 3.0))[0] == [(22, pytest.approx(3.0))]
    assert reconstruct(make_events, track(40.0, pterror=0.9))[0] == [(211, pion(40.0))]
    # with 1.5 x 22 GeV in the ECAL it is no fake: the deficit of 7 is less than the resolution, 40 sqrt(1.02^2 / 40 + .065^2) = 7.0
    assert reconstruct(make_events, track(40.0, pterror=2.0), cluster(T.ECAL, 22.1))[0] == [(211, pion(40.0))]


def test_tracks_without_hcal_have_a_photon_under_them_from_half_a_gev_on(make_events):
    # 3 GeV against 1.5 E: an excess of .49 is no photon, one of .51 is .51 / 1.5 of the ECAL
    for excess, photons in ((0.49, []), (0.51, [(22, pytest.approx(0.51 / 1.5, rel=1e-4))])):
        assert reconstruct(make_events, track(3.0), cluster(T.ECAL, (3.0 + excess) / 1.5))[0] == [(211, pion(3.0)), *photons]


def test_all_tracks_on_an_ecal_cluster_follow_the_nearest_of_them_that_reaches_the_hcal(make_events):
    # both others lie nearer to the cluster, but have no HCAL cluster: three tracks of 5 GeV against 1.5 x 4 + 9 = 15
    lost = [track(5.0, phi=PHI + shift, phi_hcal=PHI + 1) for shift in (0.001, 0.002)]
    candidates, members, _ = reconstruct(make_events, *lost, track(5.0, phi=PHI + 0.004), cluster(T.ECAL, 4.0), cluster(T.HCAL, 9.0))
    assert candidates == [(211, pion(5.0))] * 3
    assert members == [[0, 3, 4], [1, 4], [2, 4]]


def test_outer_hadron_clusters_count_as_hcal_of_their_track_or_of_their_hcal_cluster(make_events):
    # 20 GeV against 12 + 9: compatible; 12 alone is no less so, but 12 + 40 is a neutral hadron of 32
    rows = track(20.0), cluster(T.HCAL, 12.0), cluster(T.HO, 9.0)
    assert reconstruct(make_events, *rows)[:2] == ([(211, pion(20.0))], [[0, 1, 2]])
    candidates, members, _ = reconstruct(make_events, track(20.0), cluster(T.HCAL, 12.0), cluster(T.HO, 40.0))
    assert candidates == [(211, pion(20.0)), (130, pytest.approx(32.0))]
    assert members == [[0, 1, 2], [1]]
    candidates, members, _ = reconstruct(make_events, cluster(T.HCAL, 12.0), cluster(T.HO, 9.0, phi=PHI + 0.1))
    assert candidates == [(130, pytest.approx(21.0))]
    assert members == [[0, 1]]


def test_muons_take_their_deposits_out_of_every_calorimeter(make_events):
    # a muon and a pion of 10 GeV on 1.5 (6.5 - .5) + (10 - 3) + (2.9 - .9) = 18: the excess of 8 > 1.9 x hypot(3.3, muon 3.9 + .5)
    muon = track(30.0, phi=PHI + 0.001, charge=-1, muon_type=2, muon_dt_hits=9, pterror=0.01)
    rows = muon, track(10.0, pterror=0.001), cluster(T.ECAL, 6.5), cluster(T.HCAL, 10.0), cluster(T.HO, 2.9)
    sharp = Rules(barrel_stochastic=0.01, barrel_constant=0.001)
    events = rule_based_particle_flow(make_events(list(rows)), sharp, CALIBRATION)
    spread = np.hypot(3.9, 0.5)
    assert (1 + np.exp(-0.1)) * spread < 8.0
    assert events["pfcandidate_pdgid"].tolist() == [13, 211, 22]
    assert events["pfcandidate_energy"][2] == pytest.approx(8 / 1.5, rel=1e-5)  # of the 6 GeV


def test_all_loose_muons_come_out_where_the_calorimeter_lacks_energy(make_events):
    tracks = [track(30.0, phi=PHI + shift, muon_type=4) for shift in (0.0, 0.01)]
    assert [pdgid for pdgid, _ in reconstruct(make_events, *tracks, cluster(T.HCAL, 9.0))[0]] == [-13, -13]


def test_an_ecal_cluster_counts_for_its_nearest_track_only(make_events):
    # two towers 17 degrees apart: the ECAL cluster lies .002 from the second track, .01 from the first
    a, b = track(10.0), track(10.0, phi=PHI + 0.012, phi_hcal=PHI + 0.3)
    candidates, members, _ = reconstruct(make_events, a, b, cluster(T.ECAL, 8.0, phi=PHI + 0.010), cluster(T.HCAL, 9.0), cluster(T.HCAL, 2.0, phi=PHI + 0.3))
    assert candidates == [(211, pion(10.0)), (211, pion(10.0))]
    assert members == [[0, 3], [1, 2, 4]]


def test_further_ecal_clusters_join_while_the_tracks_can_explain_them(make_events):
    # 10 GeV against 1.5 x (2 nearest + 1 next) + 3 = 7.5 <= 10, + 1.5 x 4 = 13.5 > 10: a photon of its own
    ecal = [cluster(T.ECAL, energy, phi=PHI + shift) for energy, shift in ((2.0, 0.001), (1.0, 0.005), (4.0, 0.010))]
    candidates, members, _ = reconstruct(make_events, track(10.0), *ecal, cluster(T.HCAL, 3.0))
    assert candidates == [(211, pion(10.0)), (22, pytest.approx(4.0))]
    assert members == [[0, 1, 2, 4], [3]]


def test_a_track_that_misses_the_hcal_uses_that_of_the_track_beside_it(make_events):
    a, b = track(10.0), track(5.0, phi=PHI + 0.004, phi_hcal=PHI + 1)
    candidates, _, _ = reconstruct(make_events, a, b, cluster(T.ECAL, 1.0), cluster(T.HCAL, 30.0))
    assert candidates == [(211, pion(10.0)), (211, pion(5.0)), (22, pytest.approx(1.0)), (130, pytest.approx(15.0))]


def gsf(p, **more):
    """A GSF element whose inner and outer directions enclose the straight line to the ECAL."""
    directions = {"eta_ecal": ETA, "phi_ecal": PHI - 0.05, "eta_hcal": ETA, "phi_hcal": PHI + 0.05}
    return track(p, charge=-1, pterror=0.05 * p / COSH) | {"type": T.GSF} | directions | more


def test_a_gsf_track_with_its_energy_in_the_ecal_is_an_electron(make_events):
    rows = [
        gsf(20.0),
        track(19.0, charge=-1),
        cluster(T.ECAL, 16.0),
        cluster(T.ECAL, 5.0, phi=PHI + 0.1),
        cluster(T.SC, 21.0, phierror=0.05),
        cluster(T.HCAL, 1.0),
    ]
    candidates, members, _ = reconstruct(make_events, *rows)
    ecal_error, track_error = np.hypot(0.028 * np.sqrt(21), 0.003 * 21), 1.0
    expected = np.average([20.0, 21.0], weights=[track_error**-2, ecal_error**-2])
    assert candidates == [(11, pytest.approx(expected, rel=1e-5))]
    assert members == [[0, 1, 2, 3, 5]]


def test_an_electron_collects_what_it_radiated_along_its_tangents(make_events):
    # trajectory point 2 lies at the vertex: its tangent is the inner direction, .05 beside the track at the ECAL
    brem = {"type": T.BREM, "pt": 20.0 / COSH, "eta": ETA, "phi": PHI, "energy": 20.0, "charge": -1, "trajpoint": 2}
    rows = gsf(20.0), track(12.0, charge=-1), cluster(T.ECAL, 12.0), cluster(T.ECAL, 8.0, phi=PHI - 0.05), brem
    candidates, members, _ = reconstruct(make_events, *rows)
    assert candidates == [(11, pytest.approx(20.0))]
    assert members == [[0, 1, 2, 3, 4]]
    candidates, _, _ = reconstruct(make_events, *rows[:-1])
    assert (22, pytest.approx(8.0)) in candidates


@pytest.mark.parametrize("clusters", [[(T.ECAL, 5.0)], [(T.ECAL, 60.0)], [(T.ECAL, 16.0), (T.HCAL, 10.0)]])
def test_a_gsf_track_with_too_little_or_too_much_ecal_or_energy_behind_it_is_no_electron(make_events, clusters):
    candidates, _, _ = reconstruct(make_events, gsf(20.0), track(19.0, charge=-1), *(cluster(kind, energy) for kind, energy in clusters))
    assert candidates[0] == (-211, pion(19.0))
    assert 11 not in [pdgid for pdgid, _ in candidates]


def test_hf_clusters_keep_their_energy_alone_or_merged(make_events):
    rows = [cluster(T.HFEM, 10.0, eta=3.5), cluster(T.HFHAD, 20.0, eta=3.5), cluster(T.HFEM, 7.0, eta=-4.0), cluster(T.HFHAD, 9.0, eta=4.0, phi=-2.0)]
    candidates, members, _ = reconstruct(make_events, *rows)
    assert candidates == [(1, pytest.approx(30.0)), (2, pytest.approx(7.0)), (1, pytest.approx(9.0))]
    assert members == [[0, 1], [2], [3]]


def test_neutrals_point_away_from_the_hard_vertex(make_events):
    position = {"px": 130.0, "py": 0.0, "pz": 60.0}
    hard = track(20.0, phi=-2, vz=5.0)
    soft = [track(2.0, phi=-2 + 0.3 * i, vz=-4.0) for i in range(5)]
    _, _, events = reconstruct(make_events, cluster(T.ECAL, 10.0, eta=np.arcsinh(60 / 130), phi=0.0, **position), hard, *soft)
    assert events["pfcandidate_eta"][0] == pytest.approx(np.arcsinh(55 / 130), abs=1e-6)
    assert events["pfcandidate_pt"][0] == pytest.approx(10 * 130 / np.hypot(130, 55), rel=1e-6)


def test_what_does_not_make_candidates(make_events):
    candidates, _, _ = reconstruct(make_events, cluster(T.PS1, 1.0, eta=2.0), cluster(T.SC, 5.0), cluster(T.HO, 2.0, phi=-1), cluster(T.HCAL, 0.0))
    assert candidates == []


def test_events_without_elements_give_no_candidates(make_events):
    for events in (make_events(), make_events([], [])):
        done = rule_based_particle_flow(events)
        assert done.size("pfcandidate") == done.size("element_to_candidate") == done.size("element_distance") == 0
        assert len(done.offsets["pfcandidate"]) == len(events) + 1


def test_a_non_finite_momentum_is_reported_with_its_place(make_events):
    with pytest.raises(NtupleError, match=r"event 1: element_pt: 1 non-finite values \(first at entry 1\)"):
        rule_based_particle_flow(make_events([], [track(3.0), track(3.0, pt=np.nan)]))


def test_collections_are_consistent_on_random_events(random_events):
    events = rule_based_particle_flow(random_events)
    events.validate()
    assert events.num_events == random_events.num_events
    linked = events["element_to_candidate.second"] + np.repeat(events.offsets["pfcandidate"][:-1], events.counts("element_to_candidate"))
    assert set(linked.tolist()) == set(range(events.size("pfcandidate"))), "a candidate without elements"
    pairs = np.column_stack([events["element_to_candidate.first"] + np.repeat(events.offsets["element"][:-1], events.counts("element_to_candidate")), linked])
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    p2 = sum(events[f"pfcandidate_{axis}"].astype(np.float64) ** 2 for axis in ("px", "py", "pz"))
    assert np.all(events["pfcandidate_energy"] ** 2 > p2 * (1 - 1e-5))
    assert np.all(events["pfcandidate_pt"] > 0)


def test_the_energy_of_the_forward_calorimeter_is_conserved(random_events):
    events = rule_based_particle_flow(random_events)
    forward = np.isin(events["element_type"], (T.HFEM, T.HFHAD))
    made = np.isin(events["pfcandidate_pdgid"], (1, 2))
    assert events["pfcandidate_energy"][made].sum() == pytest.approx(events["element_energy"][forward].sum(), rel=1e-5)


def large_event(number=20_000):
    """One event of that many elements of every kind, all over the detector."""
    return random_events_of_size(np.random.default_rng(11), 1, number)


def test_an_event_of_20000_elements_is_reconstructed():
    events = rule_based_particle_flow(large_event())
    events.validate()
    assert events.size("pfcandidate") > 5000
    assert set(np.abs(events["pfcandidate_pdgid"]).tolist()) >= {1, 2, 22, 130, 211}


def test_the_number_of_threads_changes_nothing():
    alone, shared = (rule_based_particle_flow(large_event(), threads=threads) for threads in (1, 3))
    for name in alone.columns:
        np.testing.assert_array_equal(alone[name], shared[name], err_msg=name)


def test_events_alone_or_together_give_the_same(random_events):
    together = rule_based_particle_flow(random_events)
    alone = concatenate([rule_based_particle_flow(random_events.slice(i, i + 1)) for i in range(len(random_events))])
    for name in together.columns:
        np.testing.assert_array_equal(together[name], alone[name], err_msg=name)
    for name, offsets in together.offsets.items():
        np.testing.assert_array_equal(offsets, alone.offsets[name])


@pytest.mark.parametrize("turn", [1.0, np.pi])
def test_turning_an_event_around_the_beam_turns_its_candidates(random_events, turn):
    phis = ("element_phi", "element_phi_ecal", "element_phi_hcal")
    turned = rule_based_particle_flow(random_events.with_columns({name: np.where(random_events[name] != 0, random_events[name] + turn, 0) for name in phis}))
    expected = rule_based_particle_flow(random_events)
    np.testing.assert_array_equal(turned["pfcandidate_pdgid"], expected["pfcandidate_pdgid"])
    np.testing.assert_allclose(turned["pfcandidate_energy"], expected["pfcandidate_energy"], rtol=1e-4)
    np.testing.assert_allclose(delta_phi(turned["pfcandidate_phi"], expected["pfcandidate_phi"] + turn), 0, atol=1e-5)


def test_mirroring_an_event_mirrors_its_candidates(random_events):
    mirrored = rule_based_particle_flow(random_events.with_columns({n: -random_events[n] for n in ("element_eta", "element_eta_ecal", "element_eta_hcal")}))
    expected = rule_based_particle_flow(random_events)
    np.testing.assert_array_equal(mirrored["pfcandidate_pdgid"], expected["pfcandidate_pdgid"])
    np.testing.assert_allclose(mirrored["pfcandidate_eta"], -expected["pfcandidate_eta"])


def test_the_order_of_elements_does_not_matter(random_events):
    order = np.concatenate([rng_order + start for start, rng_order in shuffles(random_events)])
    shuffled = random_events.with_columns({name: random_events[name][order] for name in random_events.columns})
    for a, b in zip(per_event(rule_based_particle_flow(random_events)), per_event(rule_based_particle_flow(shuffled)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def shuffles(events):
    rng = np.random.default_rng(1)
    return [(start, rng.permutation(count)) for start, count in zip(events.offsets["element"][:-1], events.counts("element"), strict=True)]


def per_event(events):
    """Sorted (pdgid, energy) of each event."""
    values = np.column_stack([events["pfcandidate_pdgid"], events["pfcandidate_energy"]]).astype(np.float64)
    return [part[np.lexsort(part.T)] for part in np.split(values, events.offsets["pfcandidate"][1:-1])]


def test_rules_can_be_changed(make_events):
    events = make_events([track(10.0), cluster(T.HCAL, 10.9)])
    sharp = Rules(barrel_stochastic=0.01, barrel_constant=0.001, min_neutral_hadron=0.5)
    assert rule_based_particle_flow(events, sharp, CALIBRATION)["pfcandidate_pdgid"].tolist() == [211, 130]
    assert rule_based_particle_flow(events, calibration=CALIBRATION)["pfcandidate_pdgid"].tolist() == [211]


def test_supercluster_energy_is_not_replaced_by_that_of_the_preshower(make_events):
    assert elements_of(make_events([cluster(T.SC, 20.0, corr_energy=1.0)])).energy.tolist() == [20.0]
