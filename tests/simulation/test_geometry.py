import numpy as np
import pytest

from mlpf.simulation import geometry as g
from mlpf.simulation.clusters import distance_across
from mlpf.simulation.geometry import geometry, locate

DETECTOR = geometry()


def section_of(site):
    return np.searchsorted([g.NUM_EB, g.FIRST_TOWER, g.FIRST_HFEM, g.FIRST_HFHAD], site, side="right")


def real_sites():
    """Sites that can hold energy: without the unused numbers of coarse rings and of the endcap squares."""
    site = np.arange(g.NUM_SITES)
    tower = site - g.FIRST_TOWER
    coarse = (section_of(site) == g.SECTION_HCAL) & (np.abs(DETECTOR.eta) > g.HCAL_FINE_ETA) & (tower % g.HCAL_PHI >= g.HCAL_PHI // 2)
    radius = np.hypot(DETECTOR.position[:, 0], DETECTOR.position[:, 1])
    outside = (section_of(site) == g.SECTION_EE) & ((radius < g.EE_MIN_RADIUS) | (radius > g.EE_MAX_RADIUS))
    return site[~coarse & ~outside]


def test_the_centre_of_every_site_is_found_in_that_site():
    site = real_sites()
    cell = locate(section_of(site), DETECTOR.eta[site], DETECTOR.phi[site], np.full(len(site), 0.1))
    assert np.array_equal(DETECTOR.cell_site[cell], site)


@pytest.mark.parametrize(("section", "expected"), [(g.SECTION_EB, 8), (g.SECTION_EE, 8), (g.SECTION_HCAL, 8), (g.SECTION_HFEM, 4)])
def test_inner_sites_have_eight_neighbours_but_four_in_the_hf(section, expected):
    counts = np.sum(DETECTOR.neighbors >= 0, axis=1)[real_sites()]
    assert np.bincount(counts[section_of(real_sites()) == section]).argmax() == expected


def test_neighbourhood_is_mutual_and_never_crosses_from_one_detector_to_another():
    site = real_sites()
    pairs = [(s, n) for s in site for n in DETECTOR.neighbors[s] if n >= 0]
    known = set(pairs)
    real = set(site.tolist())
    assert all((n, s) in known for s, n in pairs if n in real)
    first, second = np.array(pairs).T
    assert np.array_equal(section_of(first), section_of(second))
    assert (DETECTOR.eta[first] * DETECTOR.eta[second] > 0)[np.abs(DETECTOR.eta[first]) > 1.5].all()


def test_neighbours_touch():
    """Centres of neighbours are no further apart than a diagonal of the larger cell, measured across the line of sight."""
    largest = {g.SECTION_EB: 3.3, g.SECTION_EE: 4.1, g.SECTION_HCAL: 60.0, g.SECTION_HFEM: 30.0, g.SECTION_HFHAD: 30.0}
    for s in real_sites()[::37]:
        for n in DETECTOR.neighbors[s]:
            assert n < 0 or distance_across(DETECTOR.position[s], DETECTOR.position[n]) < largest[int(section_of(s))] ** 2


def test_a_ten_degree_tower_sees_both_five_degree_towers_at_its_edge():
    ring = g.HCAL_RINGS // 2 + 20  # first ring above eta 1.74
    site = g.FIRST_TOWER + ring * g.HCAL_PHI + 7
    inner = g.FIRST_TOWER + (ring - 1) * g.HCAL_PHI
    competitors = DETECTOR.neighbors[site, : DETECTOR.num_competitors[site]]
    assert {inner + 14, inner + 15} <= set(competitors.tolist())
    corners = DETECTOR.neighbors[site, DETECTOR.num_competitors[site] :]
    assert {inner + 13, inner + 16} <= set(corners.tolist())


def test_places_outside_of_the_detector_have_no_cell():
    section = np.array([g.SECTION_EB, g.SECTION_EE, g.SECTION_EE, g.SECTION_HCAL, g.SECTION_HCAL, g.SECTION_HCAL, g.SECTION_HFEM, g.SECTION_HFHAD])
    eta = np.array([1.48, 3.01, 1.3, 3.01, 0.5, 2.0, 2.99, -5.2])
    depth = np.array([0.0, 0.0, 0.0, 0.1, 5.81, 10.1, 0.0, 0.0])
    assert (locate(section, eta, np.zeros(8), depth) == -1).all()


def test_azimuth_is_periodic():
    phi = np.array([-3.0, 0.3, 3.1])
    for section, eta in ((g.SECTION_EB, 0.4), (g.SECTION_EE, 2.0), (g.SECTION_HCAL, -1.0), (g.SECTION_HFEM, 4.0)):
        places = (np.full(3, section), np.full(3, eta)), np.full(3, 0.1)
        assert np.array_equal(locate(*places[0], phi, places[1]), locate(*places[0], phi + 4 * np.pi, places[1]))


def test_depths_of_a_tower_follow_each_other_outwards():
    depth = np.array([0.2, 1.0, 2.5, 5.0])
    cell = locate(np.full(4, g.SECTION_HCAL), np.full(4, 0.1), np.full(4, 1.0), depth)
    assert DETECTOR.cell_depth[cell].tolist() == [1, 2, 3, 4]
    assert len(set(DETECTOR.cell_site[cell])) == 1
    assert (np.diff(DETECTOR.cell_scale[cell]) > 0).all()
    assert DETECTOR.cell_scale[cell[0]] == pytest.approx(1 + 0.2 * 19 / 190)


def test_layers_are_those_of_the_consumer():
    section = np.array([g.SECTION_EB, g.SECTION_EE, g.SECTION_HCAL, g.SECTION_HCAL, g.SECTION_HFEM, g.SECTION_HFHAD])
    cell = locate(section, np.array([0.3, 2.0, 1.0, -2.0, 4.0, -4.0]), np.ones(6), np.full(6, 0.1))
    assert DETECTOR.layer[DETECTOR.cell_site[cell]].tolist() == [-1, -2, 1, 3, 11, 12]  # reco::PFLayer
