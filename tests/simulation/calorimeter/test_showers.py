import numpy as np
import pytest

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.calorimeter.readout import deposit
from mlpf.simulation.calorimeter.showers import MOLIERE_RADIUS, hadron_response, shower_spots
from mlpf.simulation.particles import EM, HADRON, INVISIBLE, MUON, available_energy, interaction_kind
from mlpf.simulation.propagation import BARREL, ENDCAP, FORWARD, NOT_REACHED, Impacts

ECAL_SECTIONS = (g.SECTION_EB, g.SECTION_EE)


def showers(kind, charge, energy, number, region=BARREL, eta=0.3, enters_hcal=True, seed=1):
    full = np.full(number, 1.0)
    impacts = Impacts((full * region).astype(int), full * eta, full * 0.5, full * 0.0, np.full(number, enters_hcal), full * eta, full * 0.5)
    return shower_spots(np.full(number, kind), full * charge, full * energy, impacts, np.random.default_rng(seed))


def energy_in(spots, number, *sections):
    chosen = np.isin(spots.section, sections)
    return np.bincount(spots.particle[chosen], spots.energy[chosen], minlength=number)


@pytest.mark.parametrize("energy", [1.0, 20.0, 300.0])
def test_photons_fluctuate_by_the_resolution_without_its_noise_term(energy):
    visible = energy_in(showers(EM, 0, energy, 4000), 4000, *ECAL_SECTIONS) / energy
    width = np.hypot(0.028 / np.sqrt(energy), 0.003)
    assert np.mean(visible) == pytest.approx(1.0, abs=4 * width / np.sqrt(4000))
    assert np.std(visible) == pytest.approx(width, rel=0.06)


@pytest.mark.parametrize(("region", "eta", "rho"), [(BARREL, 0.8, 129.0), (ENDCAP, 2.0, 317.0 / np.sinh(2.0))])
def test_nine_tenths_of_a_photon_lie_within_one_moliere_radius(region, eta, rho):
    spots = showers(EM, 0, 50.0, 300, region=region, eta=eta)
    radius = rho * np.hypot(spots.eta - eta, spots.phi - 0.5)
    assert np.sum(spots.energy[radius < MOLIERE_RADIUS]) / np.sum(spots.energy) == pytest.approx(0.90, abs=0.01)
    assert np.sum(spots.energy[radius < 3.5 * MOLIERE_RADIUS]) / np.sum(spots.energy) == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize("energy", [2.0, 10.0, 100.0])
def test_hadrons_respond_by_the_formula_and_one_third_passes_the_ecal_as_a_mip(energy):
    number = 6000
    spots = showers(HADRON, 0, energy, number)
    visible = energy_in(spots, number, *ECAL_SECTIONS, g.SECTION_HCAL)
    mean, width = energy * (0.82 - 0.47 * energy**-0.7), np.hypot(1.1 / np.sqrt(energy), 0.09)
    assert hadron_response(energy) == pytest.approx(mean / energy)
    assert np.mean(visible) == pytest.approx(mean, rel=4 * width / np.sqrt(number))
    assert np.std(visible / mean) == pytest.approx(width, rel=0.08)
    assert np.mean(energy_in(spots, number, *ECAL_SECTIONS) == 0) == pytest.approx(np.exp(-1.1), abs=0.025)


def test_showers_share_their_energy_between_ecal_and_hcal_in_every_proportion():
    spots = showers(HADRON, 0, 50.0, 4000)
    ecal, hcal = energy_in(spots, 4000, *ECAL_SECTIONS), energy_in(spots, 4000, g.SECTION_HCAL)
    share = (ecal / (ecal + hcal))[ecal > 0]
    assert np.mean(share) == pytest.approx(0.43, abs=0.02)
    assert all(np.mean((share > low) & (share < low + 0.2)) > 0.05 for low in (0.0, 0.2, 0.4, 0.6, 0.8))


def test_response_at_one_gev_and_above_thirty():
    assert hadron_response(1.0) == pytest.approx(0.35)
    assert hadron_response(100.0) == pytest.approx(0.80, abs=0.01)


def test_muons_leave_a_mip_in_the_ecal_and_in_every_depth_of_a_tower():
    spots = showers(MUON, 1, 50.0, 2000)
    assert np.median(energy_in(spots, 2000, g.SECTION_EB)) == pytest.approx(0.25, abs=0.03)
    in_hcal = spots.section == g.SECTION_HCAL
    in_ho = in_hcal & (spots.depth > 5.8)
    assert np.sum(in_hcal & ~in_ho) == 4 * 2000
    assert np.median(energy_in(spots, 2000, g.SECTION_HCAL) - spots.energy[in_ho]) == pytest.approx(1.9, abs=0.2)
    assert np.mean(spots.energy[in_ho]) == pytest.approx(0.95, abs=0.1)  # particle flow subtracts 0.9 GeV
    soft = showers(MUON, 1, 1.5, 200)
    assert not np.any((soft.section == g.SECTION_HCAL) & (soft.depth > 5.8))
    assert (energy_in(soft, 200, g.SECTION_EB, g.SECTION_HCAL) <= 1.5 + 1e-9).all()
    assert not np.any(showers(MUON, 1, 1.0, 10, enters_hcal=False).section == g.SECTION_HCAL)


def test_the_hf_tells_photons_from_hadrons_by_its_fibres():
    photons, hadrons = (showers(kind, 0, 200.0, 3000, region=FORWARD, eta=4.0) for kind in (EM, HADRON))
    for spots, share, width in ((photons, 0.94, np.hypot(1.98 / 200**0.5, 0.09)), (hadrons, 0.37, np.hypot(2.8 / 200**0.5, 0.11))):
        long_fibres, short_fibres = energy_in(spots, 3000, g.SECTION_HFEM), energy_in(spots, 3000, g.SECTION_HFHAD)
        total = long_fibres + short_fibres
        assert np.mean(total) == pytest.approx(200.0, rel=0.02)
        assert np.std(total) / 200 == pytest.approx(width, rel=0.06)
        assert np.mean(long_fibres / total) == pytest.approx(share, abs=0.02)


def test_nothing_showers_that_is_invisible_absent_or_too_soft():
    assert len(showers(INVISIBLE, 0, 50.0, 3).energy) == 0
    assert len(showers(EM, 0, 50.0, 3, region=NOT_REACHED).energy) == 0
    assert len(showers(EM, 0, 0.01, 3).energy) == 0
    assert len(showers(MUON, 1, 50.0, 3, region=FORWARD, eta=4.0).energy) == 0


def test_antibaryons_annihilate_and_baryons_keep_their_mass(particles):
    shot = particles([2112, -2112, 211, 22], 0, np.array([[3.0, 0, 4.0]] * 4), mass=0.94)
    energy = np.hypot(5.0, 0.94)
    assert available_energy(shot) == pytest.approx([energy - 0.94, energy + 0.94, energy, energy])


def test_particles_interact_by_what_they_are():
    assert interaction_kind(np.array([22, -11, 13, -14, 211, 2112])).tolist() == [EM, EM, MUON, INVISIBLE, HADRON, HADRON]


def test_cells_hold_what_the_spots_carry_but_for_what_leaks():
    spots = showers(HADRON, 1, 30.0, 200, eta=0.5)
    deposits = deposit(spots)
    lost = 1.0 - np.sum(deposits.energy) / np.sum(spots.energy)
    assert 0.0 <= lost < 0.05  # behind the HCAL
    pairs = np.stack([deposits.particle, deposits.cell])
    assert np.unique(pairs, axis=1).shape[1] == pairs.shape[1]
    assert (np.diff(deposits.particle) >= 0).all()


@pytest.mark.parametrize("energy", [0.3, 1.0, 4.0])
def test_soft_photons_have_fewer_spots_with_the_same_profile(energy):
    spots = showers(EM, 0, energy, 2000)
    assert len(spots.energy) / 2000 == int(min(10 + 25 * energy**0.5, 40 + 10 * energy**0.5))
    radius = 129.0 * np.hypot(spots.eta - 0.3, spots.phi - 0.5)
    assert np.sum(spots.energy[radius < MOLIERE_RADIUS]) / np.sum(spots.energy) == pytest.approx(0.90, abs=0.015)


def test_a_charged_hadron_that_passes_the_ecal_showers_with_what_its_mip_leaves():
    spots = showers(HADRON, 1, 1.0, 20_000)
    passing, mip = np.exp(-1.1), 0.24 + 1.27 * 0.02  # mean of a Moyal distribution: location + 1.27 scale
    mean = passing * (mip + (1 - mip) * hadron_response(1 - mip)) + (1 - passing) * hadron_response(1.0)
    assert np.mean(energy_in(spots, 20_000, *ECAL_SECTIONS, g.SECTION_HCAL)) == pytest.approx(mean, rel=0.03)
