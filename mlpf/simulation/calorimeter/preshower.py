"""The preshower in front of the ECAL endcaps: lead, in which showers start and lose energy, and two planes of silicon strips, which measure how much."""

import math

import numba
import numpy as np

from mlpf.simulation.calorimeter.geometry import PS_MAX_ETA, PS_MIN_ETA, PS_Z, SECTION_PS1, SECTION_PS2
from mlpf.simulation.calorimeter.spots import Spots
from mlpf.simulation.particles import EM, HADRON, MUON
from mlpf.simulation.propagation import ENDCAP, Impacts

# Absorber in front of each plane at normal incidence (CMS TDR 4: 2 X0, then 1 X0 of lead)
PLANE_DEPTH = (2.0, 3.0)
# Longitudinal profile of showers, and critical energy [GeV] and minimum ionisation of lead: gamma distribution of PDG, "Passage of particles through matter",
# section 34.5, b = 0.5; a photon converts after 9/7 X0 on average into two electrons of half its energy
PROFILE_B, CRITICAL_ENERGY, CONVERSION_DEPTH = 0.5, 0.00743, 9.0 / 7.0
MAX_STEP = 0.25  # X0, of the integration of the profile
EARLY_FLUCTUATION = 0.3  # relative, of the number of particles in an early shower beyond Poisson's; ours
MIP_LEAD = 0.021  # GeV, lost by a minimum-ionising particle in 1.7 cm of lead (12.7 MeV / cm, PDG)
# Most probable deposit of a MIP in 320 micrometres of silicon [GeV], as CMS calibrates strips (RecoLocalCalo/EcalRecProducers), and width of its Moyal
# distribution: that of the Landau distribution is 5.7 keV (PDG, xi of 0.075 g / cm^2)
MIP_SILICON, MIP_SILICON_WIDTH = 81.1e-6, 6.5e-6
PLANE_RADIUS = (0.2, 0.3)  # cm; half of a shower's particles are closer to its axis; ours
MAX_RADIUS = 5.0  # cm
MAX_STRIP_SPOTS = 20  # per plane


@numba.njit(cache=True)
def charged_particles(depth: float, energy: float) -> float:
    """Mean number of charged particles in the shower of an electron of some energy [GeV] at a depth in radiation lengths of lead; at least itself."""
    scaled = energy / CRITICAL_ENERGY
    maximum = math.log(scaled) - 0.5
    if depth <= 0.0 or maximum <= 0.0:
        return 1.0
    shape = 1.0 + PROFILE_B * maximum
    x = PROFILE_B * depth
    return max(1.0, scaled * PROFILE_B * math.exp((shape - 1.0) * math.log(x) - x - math.lgamma(shape)))


@numba.njit(cache=True)
def _em_particles(rng: np.random.Generator, is_photon: bool, energy: float, obliqueness: float) -> tuple[float, float, float]:
    """Charged particles that cross the two planes, and energy left in the lead [GeV]."""
    start = rng.exponential(CONVERSION_DEPTH) if is_photon else 0.0
    number, single = (2.0, 0.5 * energy) if is_photon else (1.0, energy)
    length = max(PLANE_DEPTH[1] * obliqueness - start, 0.0)
    steps = math.ceil(length / MAX_STEP)
    lost = 0.0
    for k in range(steps):
        lost += number * charged_particles((k + 0.5) * length / steps, single) * CRITICAL_ENERGY * length / steps
    shape = 1.0 / EARLY_FLUCTUATION**2
    factor = rng.gamma(shape, 1.0 / shape)
    crossing = [0.0, 0.0]
    for plane in range(2):
        reached = PLANE_DEPTH[plane] * obliqueness - start
        if reached > 0.0:
            crossing[plane] = factor * number * charged_particles(reached, single)
    return crossing[0], crossing[1], min(factor * lost, energy)


@numba.njit(cache=True)
def _cross_plane(
    rng: np.random.Generator, spots: np.ndarray, count: int, particle: int, plane: int, eta: float, phi: float, obliqueness: float, number: int, radius: float
) -> int:
    """Deposits of ``number`` minimum-ionising particles around an axis in one plane."""
    rho = PS_Z[plane] / math.sinh(abs(eta))
    num_spots = min(number, MAX_STRIP_SPOTS)
    for _ in range(num_spots):
        mip = MIP_SILICON - MIP_SILICON_WIDTH * 2.0 * math.log(max(abs(rng.normal()), 1e-12))
        uniform, angle = rng.random(), rng.uniform(0.0, 2.0 * math.pi)
        distance = min(radius * math.sqrt(uniform / (1.0 - uniform)), MAX_RADIUS)
        spots[count, 0], spots[count, 1] = particle, SECTION_PS1 if plane == 0 else SECTION_PS2
        spots[count, 2], spots[count, 3] = eta + distance * math.cos(angle) / rho, phi + distance * math.sin(angle) / rho
        spots[count, 4] = mip * obliqueness * number / num_spots
        count += 1
    return count


@numba.njit(cache=True)
def _cross(
    rng: np.random.Generator, kind: np.ndarray, charge: np.ndarray, energy: np.ndarray, region: np.ndarray, eta: np.ndarray, phi: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``(K, 5)`` spots: particle, section, eta, phi, energy; ``(P,)`` energy left in the lead."""
    spots, count, absorbed = np.empty((256, 5)), 0, np.zeros(len(kind))
    for i in range(len(kind)):
        if region[i] != ENDCAP or not PS_MIN_ETA < abs(eta[i]) < PS_MAX_ETA or energy[i] <= 0.0:
            continue
        if count + 2 * MAX_STRIP_SPOTS > len(spots):
            grown = np.empty((2 * len(spots), 5))
            grown[:count] = spots[:count]
            spots = grown
        obliqueness = 1.0 / math.tanh(abs(eta[i]))
        if kind[i] == EM:
            first, second, absorbed[i] = _em_particles(rng, charge[i] == 0.0, energy[i], obliqueness)
            count = _cross_plane(rng, spots, count, i, 0, eta[i], phi[i], obliqueness, rng.poisson(first), PLANE_RADIUS[0])
            count = _cross_plane(rng, spots, count, i, 1, eta[i], phi[i], obliqueness, rng.poisson(second), PLANE_RADIUS[1])
        elif charge[i] != 0.0 and (kind[i] == HADRON or kind[i] == MUON):
            absorbed[i] = min(MIP_LEAD * obliqueness, energy[i])
            for plane in range(2):
                count = _cross_plane(rng, spots, count, i, plane, eta[i], phi[i], obliqueness, 1, 0.0)
    return spots[:count], absorbed


def cross_preshower(kind: np.ndarray, charge: np.ndarray, energy: np.ndarray, impacts: Impacts, rng: np.random.Generator) -> tuple[Spots, np.ndarray]:
    """What particles leave in the preshower: spots in the strips, and ``(P,)`` energy lost before the ECAL [GeV].

    Args:
        kind: ``(P,)`` of `particles.interaction_kind`. charge: ``(P,)`` [e]. energy: ``(P,)`` available to the shower [GeV].
        impacts: where they enter the ECAL; the planes are projected there from the centre of the detector.
    """
    spots, absorbed = _cross(rng, kind, charge.astype(np.float64), energy.astype(np.float64), impacts.region, impacts.eta, impacts.phi)
    columns = [np.ascontiguousarray(spots[:, k]) for k in range(5)]
    return Spots(columns[0].astype(np.int64), columns[1].astype(np.int64), columns[2], columns[3], np.zeros(len(spots)), columns[4]), absorbed
