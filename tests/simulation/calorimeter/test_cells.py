import numpy as np
import pytest

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.calorimeter.cells import geometry
from mlpf.simulation.calorimeter.geometry import locate
from mlpf.simulation.calorimeter.sharing import distance_across

DETECTOR = geometry()
FIRST_SITES = [g.NUM_EB, g.FIRST_TOWER, g.FIRST_HFEM, g.FIRST_HFHAD, g.FIRST_HO, g.FIRST_PS1, g.FIRST_PS2]
SECTIONS = np.array([g.SECTION_EB, g.SECTION_EE, g.SECTION_HCAL, g.SECTION_HFEM, g.SECTION_HFHAD, g.SECTION_HCAL, g.SECTION_PS1, g.SECTION_PS2])


def detector_of(site):
    return np.searchsorted(FIRST_SITES, site, side="right")


def real_sites():
    return np.unique(DETECTOR.cell_site[DETECTOR.cell_exists])


def middle_depth(cell):
    """Depth of the middle of a cell [nuclear lengths]."""
    depth = np.zeros(len(cell))
    layer = DETECTOR.layer[DETECTOR.cell_site[cell]]
    for value, slices in ((g.LAYER_HB, g.HB_DEPTHS), (g.LAYER_HE, g.HE_DEPTHS)):
        inside = layer == value
        depth[inside] = (0.5 * (slices[1:] + slices[:-1]))[DETECTOR.cell_depth[cell[inside]] - 1]
    depth[layer == g.LAYER_HO] = 8.0
    return depth


def test_the_middle_of_every_cell_is_found_in_that_cell():
    cell = np.flatnonzero(DETECTOR.cell_exists)
    site = DETECTOR.cell_site[cell]
    found = locate(SECTIONS[detector_of(site)], DETECTOR.eta[site], DETECTOR.phi[site], middle_depth(cell))
    assert np.array_equal(found, cell)


def test_no_place_leads_to_a_cell_that_does_not_exist():
    rng = np.random.default_rng(1)
    number = 200_000
    cell = locate(rng.integers(0, 7, number), rng.uniform(-5.3, 5.3, number), rng.uniform(-4, 4, number), rng.uniform(0, 12, number))
    inside = DETECTOR.layer[DETECTOR.cell_site[cell[cell >= 0]]]
    exists = DETECTOR.cell_exists[cell[cell >= 0]]
    on_a_rim = np.isin(inside, (g.LAYER_EE, g.LAYER_PS1, g.LAYER_PS2))  # a cell may be hit at a corner though its centre lies outside of the circle
    assert exists[~on_a_rim].all()
    assert exists[on_a_rim].mean() > 0.98


@pytest.mark.parametrize(("section", "eta", "expected"), [(g.SECTION_EE, 1.3768, 8), (g.SECTION_PS1, 1.6531, 4), (g.SECTION_PS2, 1.6531, 4)])
def test_the_rims_of_the_endcaps_lie_inside_the_borders_of_their_grids(section, eta, expected):
    phi = 0.5 * np.pi * np.arange(4)
    cell = locate(np.full(4, section), np.full(4, eta), phi, np.zeros(4))
    assert (cell >= 0).all()
    assert (np.sum(DETECTOR.neighbors[DETECTOR.cell_site[cell]] >= 0, axis=1) == expected).all()


@pytest.mark.parametrize(("layer", "expected"), [(g.LAYER_EB, 8), (g.LAYER_EE, 8), (g.LAYER_HB, 8), (g.LAYER_HO, 8), (g.LAYER_HFEM, 4), (g.LAYER_PS1, 4)])
def test_inner_sites_have_eight_neighbours_but_four_in_the_hf_and_the_preshower(layer, expected):
    site = real_sites()
    counts = np.sum(DETECTOR.neighbors[site] >= 0, axis=1)
    assert np.bincount(counts[DETECTOR.layer[site] == layer]).argmax() == expected


def test_neighbourhood_is_mutual_and_never_crosses_from_one_detector_to_another():
    site = real_sites()
    first = np.repeat(site, DETECTOR.neighbors.shape[1])
    second = DETECTOR.neighbors[site].ravel()
    first, second = first[second >= 0], second[second >= 0]
    real = np.isin(second, site)
    pairs = first * g.NUM_SITES + second
    assert np.isin((second * g.NUM_SITES + first)[real], pairs).all()
    assert np.array_equal(detector_of(first), detector_of(second))
    assert (DETECTOR.eta[first] * DETECTOR.eta[second] > 0)[np.abs(DETECTOR.eta[first]) > 1.5].all()


def test_neighbours_touch():
    """Centres of neighbours are no further apart than a diagonal of the larger cell, measured across the line of sight."""
    largest = {g.LAYER_EB: 3.3, g.LAYER_EE: 4.1, g.LAYER_HB: 25.0, g.LAYER_HE: 60.0, g.LAYER_HO: 53.0, g.LAYER_PS1: 6.1, g.LAYER_PS2: 6.1}
    for s in real_sites()[::97]:
        for n in DETECTOR.neighbors[s]:
            limit = largest.get(int(DETECTOR.layer[s]), 30.0)
            assert n < 0 or distance_across(*DETECTOR.position[s], *DETECTOR.position[n]) < limit**2


def test_a_ten_degree_tower_sees_both_five_degree_towers_at_its_edge():
    ring = g.HCAL_RINGS // 2 + 20  # first ring above eta 1.74
    site = g.FIRST_TOWER + ring * g.HCAL_PHI + 7
    inner = g.FIRST_TOWER + (ring - 1) * g.HCAL_PHI
    competitors = DETECTOR.neighbors[site, : DETECTOR.num_competitors[site]]
    assert {inner + 14, inner + 15} <= set(competitors.tolist())
    corners = DETECTOR.neighbors[site, DETECTOR.num_competitors[site] :]
    assert {inner + 13, inner + 16} <= set(corners.tolist())


def test_strips_of_the_first_plane_stand_side_by_side_in_x_those_of_the_second_in_y():
    for layer, across in ((g.LAYER_PS1, 0), (g.LAYER_PS2, 1)):
        site = real_sites()[DETECTOR.layer[real_sites()] == layer][1000]
        steps = [DETECTOR.position[n] - DETECTOR.position[site] for n in DETECTOR.neighbors[site] if n >= 0]
        assert sorted(round(abs(step[across]), 3) for step in steps) == [0, 0, 0.19, 0.19]
        assert sorted(round(abs(step[1 - across]), 3) for step in steps) == [0, 0, 6.08, 6.08]
        assert {round(abs(step[2]), 6) for step in steps} == {0.0}
        assert abs(DETECTOR.position[site, 2]) == pytest.approx(303.2 if across == 0 else 307.1)


def test_depths_of_a_tower_follow_each_other_outwards_and_the_ho_stands_behind_the_coil():
    depth = np.array([0.2, 1.0, 2.5, 5.0, 8.0])
    cell = locate(np.full(5, g.SECTION_HCAL), np.full(5, 0.1), np.full(5, 1.0), depth)
    site = DETECTOR.cell_site[cell]
    assert DETECTOR.cell_depth[cell].tolist() == [1, 2, 3, 4, 4]
    assert len(set(site[:4])) == 1
    assert DETECTOR.cell_scale[cell[0]] == pytest.approx(1 + 0.2 * 19 / 190)
    radius = np.hypot(*DETECTOR.position[site, :2].T) * DETECTOR.cell_scale[cell]
    assert (np.diff(radius) > 0).all()
    assert radius[4] == pytest.approx(407.0)


def test_layers_are_those_of_the_consumer():
    eta = np.array([0.3, 2.0, 1.0, -2.0, 4.0, -4.0, 2.0, -2.0, 0.5])
    section = np.array([0, 1, 2, 2, 3, 4, 5, 6, 2])
    cell = locate(section, eta, np.ones(9), np.array([0.1] * 8 + [8.0]))
    assert DETECTOR.layer[DETECTOR.cell_site[cell]].tolist() == [-1, -2, 1, 3, 11, 12, -11, -12, 2]  # reco::PFLayer
