import numpy as np
import pytest

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.calorimeter.preshower import CRITICAL_ENERGY, MIP_SILICON, charged_particles, cross_preshower
from mlpf.simulation.particles import EM, HADRON, MUON
from mlpf.simulation.propagation import BARREL, ENDCAP, FORWARD, Impacts

ETA = 2.0


def cross(kind, charge, energy, number=2000, region=ENDCAP, eta=ETA, seed=1):
    full = np.ones(number)
    impacts = Impacts((full * region).astype(int), full * eta, full * 0.5, full * 0.0, full > 0, full * eta, full * 0.5)
    return cross_preshower(np.full(number, kind), full * charge, full * energy, impacts, np.random.default_rng(seed))


def mips(spots, section, number=2000):
    chosen = spots.section == section
    return np.bincount(spots.particle[chosen], spots.energy[chosen], minlength=number) / MIP_SILICON * np.tanh(ETA)


@pytest.mark.parametrize("energy", [1.0, 10.0, 100.0])
def test_charged_particles_lose_the_whole_energy_along_a_shower(energy):
    """Every one loses the critical energy in a radiation length: the integral over the depth is the shower's energy."""
    depth = np.arange(0.005, 60.0, 0.01)
    above_one = [number if (number := charged_particles(t, energy)) > 1.0 else 0.0 for t in depth]
    assert np.sum(above_one) * 0.01 * CRITICAL_ENERGY == pytest.approx(energy, rel=0.03)


def test_photons_leave_nothing_where_they_have_not_converted():
    spots, _ = cross(EM, 0, 50.0)
    for section, depth in ((g.SECTION_PS1, 2.0), (g.SECTION_PS2, 3.0)):
        silent = np.mean(mips(spots, section) == 0)
        assert silent == pytest.approx(np.exp(-7 / 9 * depth / np.tanh(ETA)), abs=0.04)


@pytest.mark.parametrize("energy", [5.0, 50.0])
def test_electrons_shower_by_the_profile(energy):
    spots, absorbed = cross(EM, 1, energy)
    obliqueness = 1.0 / np.tanh(ETA)
    for section, depth in ((g.SECTION_PS1, 2.0), (g.SECTION_PS2, 3.0)):
        landau_mean = 1.0 + 1.27 * 6.5 / 81.1  # of the Moyal distribution: location + 1.27 scale
        assert np.mean(mips(spots, section)) == pytest.approx(charged_particles(depth * obliqueness, energy) * landau_mean, rel=0.04)
    depth = np.linspace(0.0, 3.0 * obliqueness, 400)
    lost = np.trapezoid([charged_particles(t, energy) for t in depth], depth) * CRITICAL_ENERGY
    assert np.mean(absorbed) == pytest.approx(lost, rel=0.05)


def test_the_strips_tell_how_much_the_lead_has_taken():
    """What photons lose is correlated with what they leave, plane by plane, so that it can be given back."""
    spots, absorbed = cross(EM, 0, 20.0)
    planes = np.stack([mips(spots, g.SECTION_PS1), mips(spots, g.SECTION_PS2)], axis=1)
    fit = planes @ np.linalg.lstsq(planes, absorbed, rcond=None)[0]
    assert np.std(absorbed - fit) < 0.4 * np.std(absorbed)


def test_charged_hadrons_and_muons_are_one_mip_in_each_plane_and_neutral_hadrons_nothing():
    for kind in (HADRON, MUON):
        spots, absorbed = cross(kind, -1, 10.0)
        assert len(spots.energy) == 4000
        for section in (g.SECTION_PS1, g.SECTION_PS2):
            assert np.median(mips(spots, section)) == pytest.approx(1.06, abs=0.02)  # the median of Moyal's is above its peak by 0.79 scales
        assert absorbed == pytest.approx(0.021 / np.tanh(ETA))
    spots, absorbed = cross(HADRON, 0, 10.0)
    assert len(spots.energy) == 0
    assert not absorbed.any()


def test_only_the_endcaps_between_their_edges_have_a_preshower():
    for region, eta in ((BARREL, 1.0), (ENDCAP, 1.6), (ENDCAP, 2.65), (FORWARD, 4.0)):
        spots, absorbed = cross(EM, 0, 10.0, 20, region=region, eta=eta)
        assert len(spots.energy) == 0
        assert not absorbed.any()


def test_no_particle_loses_more_than_it_has():
    for kind, charge in ((EM, 0), (EM, 1), (MUON, 1)):
        for energy in (0.001, 0.01, 0.1):
            _, absorbed = cross(kind, charge, energy, 500)
            assert ((absorbed >= 0) & (absorbed <= energy)).all()
