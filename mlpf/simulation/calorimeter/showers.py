"""Showers: every particle that reaches a calorimeter becomes energy spots, which carry the fluctuations of the real thing."""

import math

import numba
import numpy as np

from mlpf.simulation.calorimeter.geometry import HB_DEPTHS, HE_DEPTHS, HO_END, HO_START, SECTION_EB, SECTION_EE, SECTION_HCAL, SECTION_HFEM, SECTION_HFHAD
from mlpf.simulation.calorimeter.spots import Spots
from mlpf.simulation.particles import EM, HADRON, MUON
from mlpf.simulation.propagation import BARREL, ECAL_RADIUS, ECAL_Z, FORWARD, HCAL_BARREL_ETA, HCAL_RADIUS, HCAL_Z, HF_Z, NOT_REACHED, Impacts

MIN_ENERGY = 0.02  # GeV; softer particles are stopped before they are seen

# Electromagnetic showers. Stochastic and constant term of the ECAL (CMS TDR 8.1, test beam); its 12 % / E are the noise of nine crystals, added to cells.
ECAL_STOCHASTIC, ECAL_CONSTANT = 0.028, 0.003
# Radial profile: two terms 2 r R^2 / (r^2 + R^2)^2 (GFlash, hep-ex/0001020) with 90 % inside one Moliere radius, 2.2 cm in PbWO4 (CMS TDR)
MOLIERE_RADIUS = 2.2
CORE_FRACTION, CORE_RADIUS, TAIL_RADIUS = 0.8, 0.22 * MOLIERE_RADIUS, 0.7 * MOLIERE_RADIUS
MIN_RADIUS, MAX_RADIUS = 0.05, 10.0  # of the spots, in units of the tail's radius
# 500 GeV make 260 spots, of which those 10 cm away carry 0.1 GeV: below a seed's threshold, so that no shower's tail is a cluster of its own
MIN_EM_SPOTS, MAX_EM_SPOTS, EM_SPOTS = 40, 400, 10.0  # number: 40 + 10 sqrt(E / GeV), or
MIN_SOFT_SPOTS, SOFT_SPOTS = 10, 25.0  # 10 + 25 sqrt(E / GeV) where that is less: below 4 GeV, where most of pileup is

# Minimum-ionising particles: most probable deposit in 23 cm of PbWO4 (10.2 MeV / cm at minimum, PDG) and in the HCAL on the hadron scale
# (arXiv:1706.04965 subtracts 0.5 and 3 GeV for a muon), with Moyal tails.
MIP_ECAL, MIP_ECAL_WIDTH = 0.24, 0.02
MIP_HCAL, MIP_HCAL_WIDTH = 1.7, 0.25
MIP_HO, MIP_HO_WIDTH = 0.8, 0.12  # GeV, of a muon in the HO: 0.9 on average (particle flow subtracts that)
MUON_HO_ENERGY = 3.0  # GeV, lost by a muon in ECAL, HCAL and coil: 1.5 m of brass and steel at 1.1 GeV / m (PDG), and some
MIP_RADIUS, MIP_SPOTS = 0.5, 6

# Hadronic showers.
ECAL_NUCLEAR_LENGTHS = 1.1  # of the ECAL in front of the HCAL (CMS TDR): exp(-1.1) of the hadrons pass it as a MIP
# Mean visible energy over true energy: 0.35 at 1 GeV, 0.8 above 30; our formula for what the CMS test beam saw (EPJ C 60 (2009) 359)
RESPONSE_PLATEAU, RESPONSE_LOSS, RESPONSE_POWER = 0.82, 0.47, -0.7
HCAL_STOCHASTIC, HCAL_CONSTANT = 1.10, 0.09  # before corrections (same test beam; with them its abstract quotes 0.847 and 0.074)
# Fraction of the visible energy left in the ECAL by hadrons that interact there: Beta distributed, larger for soft ones
ECAL_SHARE, ECAL_SHARE_SOFT, ECAL_SHARE_SCALE, ECAL_SHARE_SPREAD = 0.43, 0.35, 3.0, 2.8
# Its sub-showers are those of neutral pions and of secondaries that fly along a crystal: as narrow as electromagnetic ones
ECAL_SUBSHOWERS, ECAL_SUBSHOWER_WIDTH = 3, 2.5  # cm
MIN_ECAL_SUBSHOWER_SPOTS, ECAL_SUBSHOWER_SPOTS = 6, 25
# HCAL: sub-showers and spots around them; 95 % within one nuclear length (17 cm) of the axis
HCAL_SUBSHOWERS, HCAL_SUBSHOWER_WIDTH, MIN_HCAL_SUBSHOWER_SPOTS, HCAL_SUBSHOWER_SPOTS = 4, 5.0, 4, 12
HCAL_SPOT_RADIUS = 3.0  # cm
# Longitudinal profile from the first interaction on (Bock et al., NIM 186 (1981) 533): a part 0.4634 of the energy lies at gamma-distributed
# depths of shape 0.6165 + 0.3183 ln E and rate 0.2198 per X0, the rest at the same shape and rate 0.9099 - 0.0237 ln E per nuclear length
PROFILE_EM, PROFILE_SHAPE, PROFILE_SHAPE_LOG = 0.4634, 0.6165, 0.3183
PROFILE_EM_RATE, PROFILE_RATE, PROFILE_RATE_LOG = 0.2198 * 11.0, 0.9099, -0.0237  # per nuclear length; one is 11 X0 in brass (PDG)
SPOT_DEPTH = 0.15  # nuclear lengths: scale of a sub-shower's length; ours

# HF: electromagnetic and hadronic resolution in test beams (EPJ C 53 (2008) 139); ours: photons leave a little in the short fibres, hadrons about a third in
# the long ones
HF_EM_STOCHASTIC, HF_EM_CONSTANT = 1.98, 0.09
HF_HAD_STOCHASTIC, HF_HAD_CONSTANT = 2.80, 0.11
HF_EM_LEAK, HF_HAD_SHARE, HF_SHARE_SPREAD = 0.06, 0.37, 4.0
MIN_HF_SPOTS, HF_SPOTS, HF_EM_RADIUS, HF_HAD_RADIUS = 5, 20, 1.0, 3.0
MAX_SPOTS = max(MAX_EM_SPOTS, ECAL_SUBSHOWERS * ECAL_SUBSHOWER_SPOTS + HCAL_SUBSHOWERS * HCAL_SUBSHOWER_SPOTS + MIP_SPOTS, 2 * HF_SPOTS)


@numba.njit(cache=True)
def hadron_response(energy: float) -> float:
    """Mean visible energy of a hadron over its true energy [GeV], before thresholds."""
    return max(RESPONSE_PLATEAU - RESPONSE_LOSS * energy**RESPONSE_POWER, 0.05)


@numba.njit(cache=True)
def _fluctuation(rng: np.random.Generator, sigma: float) -> float:
    """Positive random factor of mean 1 and the given relative width (gamma distributed)."""
    shape = 1.0 / sigma**2
    return rng.gamma(shape, 1.0 / shape)


@numba.njit(cache=True)
def _share(rng: np.random.Generator, mean: float, spread: float) -> float:
    """Beta-distributed fraction; a larger ``spread`` (sum of both shape parameters) means a narrower distribution."""
    return rng.beta(mean * spread, (1.0 - mean) * spread)


@numba.njit(cache=True)
def _mip_energy(rng: np.random.Generator, most_probable: float, width: float) -> float:
    """Moyal-distributed energy loss, cut at five times the most probable one."""
    return min(most_probable - width * 2.0 * math.log(max(abs(rng.normal()), 1e-12)), 5.0 * most_probable)


@numba.njit(cache=True)
def _radii(rng: np.random.Generator, number: int, core_fraction: float, core: float, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Radii [cm] of spots, one in each of ``number`` slices that are equal in log(r), and the fractions of the energy they carry (they sum to 1).

    Slices instead of equal spots make the tail of an energetic shower smooth, as it is in nature, without thousands of spots.
    """
    radius, weight = np.empty(number), np.empty(number)
    step = math.log(MAX_RADIUS / MIN_RADIUS) / number
    for k in range(number):
        r = tail * MIN_RADIUS * math.exp(step * (k + rng.random()))
        radius[k] = r
        weight[k] = core_fraction * (r * core / (r**2 + core**2)) ** 2 + (1.0 - core_fraction) * (r * tail / (r**2 + tail**2)) ** 2
    return radius, weight / weight.sum()


@numba.njit(cache=True)
def _spot_number(energy: float, lowest: int, highest: int) -> int:
    """Spots of a sub-shower: the more energy, the more cells can see a part of it above their thresholds."""
    return min(lowest + int(5.0 * math.sqrt(energy)), highest)


@numba.njit(cache=True)
def _add(spots: np.ndarray, count: int, particle: int, section: int, eta: float, phi: float, depth: float, energy: float) -> int:
    spots[count, 0], spots[count, 1], spots[count, 2] = particle, section, eta
    spots[count, 3], spots[count, 4], spots[count, 5] = phi, depth, energy
    return count + 1


@numba.njit(cache=True)
def _disc(
    rng: np.random.Generator, spots: np.ndarray, count: int, particle: int, section: int, eta: float, phi: float,
    rho: float, energy: float, number: int, core_fraction: float, tail: float,
) -> int:  # fmt: skip
    """Spots around an axis; rho is the transverse radius of the axis at the front [cm], so that rho * d eta is a length."""
    radius, weight = _radii(rng, number, core_fraction, CORE_RADIUS, tail)
    for k in range(number):
        angle = rng.uniform(0.0, 2.0 * math.pi)
        spot_eta, spot_phi = eta + radius[k] * math.cos(angle) / rho, phi + radius[k] * math.sin(angle) / rho
        count = _add(spots, count, particle, section, spot_eta, spot_phi, 0.0, energy * weight[k])
    return count


@numba.njit(cache=True)
def _em_shower(rng: np.random.Generator, spots: np.ndarray, count: int, particle: int, section: int, eta: float, phi: float, rho: float, energy: float) -> int:
    """Photon or electron in the ECAL."""
    visible = energy * max(1.0 + rng.normal() * math.sqrt(ECAL_STOCHASTIC**2 / energy + ECAL_CONSTANT**2), 0.0)
    root = math.sqrt(energy)
    number = int(min(MIN_SOFT_SPOTS + SOFT_SPOTS * root, MIN_EM_SPOTS + EM_SPOTS * root, MAX_EM_SPOTS))
    return _disc(rng, spots, count, particle, section, eta, phi, rho, visible, number, CORE_FRACTION, TAIL_RADIUS)


@numba.njit(cache=True)
def _subshower_energies(rng: np.random.Generator, energy: float, number: int) -> np.ndarray:
    """Energy, shared at random among sub-showers."""
    weights = np.empty(number)
    for k in range(number):
        weights[k] = rng.exponential(1.0)
    return weights * (energy / weights.sum())


@numba.njit(cache=True)
def _ecal_hadron(
    rng: np.random.Generator, spots: np.ndarray, count: int, particle: int, section: int, eta: float, phi: float, rho: float, energy: float
) -> int:
    """The part of a hadronic shower in the ECAL: a few electromagnetic-like sub-showers around the axis."""
    weights = _subshower_energies(rng, energy, ECAL_SUBSHOWERS)
    for k in range(ECAL_SUBSHOWERS):
        width = ECAL_SUBSHOWER_WIDTH if k > 0 else 0.2 * ECAL_SUBSHOWER_WIDTH
        sub_eta, sub_phi = eta + width * rng.normal() / rho, phi + width * rng.normal() / rho
        number = _spot_number(weights[k], MIN_ECAL_SUBSHOWER_SPOTS, ECAL_SUBSHOWER_SPOTS)
        count = _disc(rng, spots, count, particle, section, sub_eta, sub_phi, rho, weights[k], number, CORE_FRACTION, TAIL_RADIUS)
    return count


@numba.njit(cache=True)
def _hcal_shower(
    rng: np.random.Generator, spots: np.ndarray, count: int, particle: int, incident: float,
    eta: float, phi: float, rho: float, energy: float, start: float,
) -> int:  # fmt: skip
    """The part of the shower of a hadron of energy ``incident`` in the HCAL and HO; the shower begins ``start`` nuclear lengths behind the HCAL's front."""
    projection = 1.0 / math.cosh(eta) if abs(eta) < HCAL_BARREL_ETA else math.tanh(abs(eta))
    log_energy = math.log(max(incident, 1.0))
    shape, rate = PROFILE_SHAPE + PROFILE_SHAPE_LOG * log_energy, PROFILE_RATE + PROFILE_RATE_LOG * log_energy
    weights = _subshower_energies(rng, energy, HCAL_SUBSHOWERS)
    for k in range(HCAL_SUBSHOWERS):
        width = HCAL_SUBSHOWER_WIDTH if k > 0 else 0.2 * HCAL_SUBSHOWER_WIDTH
        sub_eta, sub_phi = eta + width * rng.normal() / rho, phi + width * rng.normal() / rho
        sub_depth = start + rng.gamma(shape, 1.0 / (PROFILE_EM_RATE if rng.random() < PROFILE_EM else rate))
        number = _spot_number(weights[k], MIN_HCAL_SUBSHOWER_SPOTS, HCAL_SUBSHOWER_SPOTS)
        radius, weight = _radii(rng, number, 0.0, CORE_RADIUS, HCAL_SPOT_RADIUS)
        for j in range(number):
            angle = rng.uniform(0.0, 2.0 * math.pi)
            depth = max(sub_depth, 0.0) + rng.gamma(2.0, SPOT_DEPTH)
            spot_eta, spot_phi = sub_eta + radius[j] * math.cos(angle) / rho, sub_phi + radius[j] * math.sin(angle) / rho
            count = _add(spots, count, particle, SECTION_HCAL, spot_eta, spot_phi, depth * projection, weights[k] * weight[j])
    return count


@numba.njit(cache=True)
def _hadron(
    rng: np.random.Generator, spots: np.ndarray, count: int, particle: int, energy: float, charge: float,
    section: int, eta: float, phi: float, rho: float, hcal_eta: float, hcal_phi: float, hcal_rho: float,
) -> int:  # fmt: skip
    """Hadron in ECAL, HCAL and HO."""
    passes = rng.random() < math.exp(-ECAL_NUCLEAR_LENGTHS)
    if passes and charge != 0.0:
        mip = min(_mip_energy(rng, MIP_ECAL, MIP_ECAL_WIDTH), energy)
        count = _disc(rng, spots, count, particle, section, eta, phi, rho, mip, MIP_SPOTS, 0.0, MIP_RADIUS)
        energy -= mip
        if energy < MIN_ENERGY:
            return count
    visible = energy * hadron_response(energy) * _fluctuation(rng, math.sqrt(HCAL_STOCHASTIC**2 / energy + HCAL_CONSTANT**2))
    if passes:
        return _hcal_shower(rng, spots, count, particle, energy, hcal_eta, hcal_phi, hcal_rho, visible, rng.exponential(1.0))
    share = _share(rng, ECAL_SHARE + ECAL_SHARE_SOFT * math.exp(-energy / ECAL_SHARE_SCALE), ECAL_SHARE_SPREAD)
    count = _ecal_hadron(rng, spots, count, particle, section, eta, phi, rho, visible * share)
    start = -ECAL_NUCLEAR_LENGTHS * rng.random()  # somewhere in the ECAL
    return _hcal_shower(rng, spots, count, particle, energy, hcal_eta, hcal_phi, hcal_rho, visible * (1.0 - share), start)


@numba.njit(cache=True)
def _muon(
    rng: np.random.Generator, spots: np.ndarray, count: int, particle: int, energy: float,
    section: int, eta: float, phi: float, rho: float, enters_hcal: bool, hcal_eta: float, hcal_phi: float,
) -> int:  # fmt: skip
    """Minimum-ionising deposits in the ECAL, in every depth of one HCAL tower and, if there is energy left, in the HO straight behind it."""
    reaches_ho = enters_hcal and energy > MUON_HO_ENERGY
    mip = min(_mip_energy(rng, MIP_ECAL, MIP_ECAL_WIDTH), energy)
    count = _disc(rng, spots, count, particle, section, eta, phi, rho, mip, MIP_SPOTS, 0.0, MIP_RADIUS)
    if enters_hcal:
        is_barrel = abs(hcal_eta) < HCAL_BARREL_ETA
        slices = HB_DEPTHS if is_barrel else HE_DEPTHS
        mip = min(_mip_energy(rng, MIP_HCAL, MIP_HCAL_WIDTH), energy - mip)  # of what the ECAL leaves
        for k in range(len(slices) - 1):
            length = (slices[k + 1] - slices[k]) / (slices[-1] - slices[0])
            count = _add(spots, count, particle, SECTION_HCAL, hcal_eta, hcal_phi, 0.5 * (slices[k] + slices[k + 1]), mip * length)
        if is_barrel and reaches_ho:
            mip = _mip_energy(rng, MIP_HO, MIP_HO_WIDTH)
            count = _add(spots, count, particle, SECTION_HCAL, hcal_eta, hcal_phi, 0.5 * (HO_START + HO_END), mip)
    return count


@numba.njit(cache=True)
def _forward(rng: np.random.Generator, spots: np.ndarray, count: int, particle: int, is_em: bool, eta: float, phi: float, energy: float) -> int:
    """Photon, electron or hadron in the HF: long fibres (EM) and short fibres (HAD)."""
    if is_em:
        stochastic, constant, share, radius = HF_EM_STOCHASTIC, HF_EM_CONSTANT, 1.0 - HF_EM_LEAK, HF_EM_RADIUS
    else:
        stochastic, constant, share, radius = HF_HAD_STOCHASTIC, HF_HAD_CONSTANT, HF_HAD_SHARE, HF_HAD_RADIUS
    visible = energy * _fluctuation(rng, math.sqrt(stochastic**2 / energy + constant**2))
    long_fibres = visible * _share(rng, share, HF_SHARE_SPREAD)
    rho = HF_Z / math.sinh(abs(eta))
    number = _spot_number(visible, MIN_HF_SPOTS, HF_SPOTS)
    count = _disc(rng, spots, count, particle, SECTION_HFEM, eta, phi, rho, long_fibres, number, 0.0, radius)
    return _disc(rng, spots, count, particle, SECTION_HFHAD, eta, phi, rho, visible - long_fibres, number, 0.0, radius)


@numba.njit(cache=True)
def _showers(
    rng: np.random.Generator, kind: np.ndarray, charge: np.ndarray, energy: np.ndarray, region: np.ndarray, eta: np.ndarray, phi: np.ndarray,
    enters_hcal: np.ndarray, hcal_eta: np.ndarray, hcal_phi: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """``(K, 6)`` spots: particle, section, eta, phi, depth, energy."""
    spots, count = np.empty((8 * MAX_SPOTS, 6)), 0
    for i in range(len(kind)):
        if region[i] == NOT_REACHED or energy[i] < MIN_ENERGY or kind[i] not in (EM, MUON, HADRON):
            continue
        if count + MAX_SPOTS > len(spots):
            grown = np.empty((2 * len(spots), 6))
            grown[:count] = spots[:count]
            spots = grown
        if region[i] == FORWARD:
            if kind[i] != MUON:
                count = _forward(rng, spots, count, i, kind[i] == EM, eta[i], phi[i], energy[i])
            continue
        section = SECTION_EB if region[i] == BARREL else SECTION_EE
        rho = ECAL_RADIUS if region[i] == BARREL else ECAL_Z / math.sinh(abs(eta[i]))
        hcal_rho = HCAL_RADIUS if abs(hcal_eta[i]) < HCAL_BARREL_ETA else HCAL_Z / math.sinh(abs(hcal_eta[i]))
        if kind[i] == EM:
            count = _em_shower(rng, spots, count, i, section, eta[i], phi[i], rho, energy[i])
        elif kind[i] == MUON:
            count = _muon(rng, spots, count, i, energy[i], section, eta[i], phi[i], rho, enters_hcal[i], hcal_eta[i], hcal_phi[i])
        else:
            count = _hadron(rng, spots, count, i, energy[i], charge[i], section, eta[i], phi[i], rho, hcal_eta[i], hcal_phi[i], hcal_rho)
    return spots[:count]


def shower_spots(kind: np.ndarray, charge: np.ndarray, energy: np.ndarray, impacts: Impacts, rng: np.random.Generator) -> Spots:
    """Showers of an event's particles.

    Args:
        kind: ``(P,)`` of `particles.interaction_kind`.
        charge: ``(P,)`` [e]. energy: ``(P,)`` available to the shower, behind the preshower [GeV].
        impacts: where they enter the calorimeters.
    """
    place = (impacts.region, impacts.eta, impacts.phi, impacts.enters_hcal, impacts.hcal_eta, impacts.hcal_phi)
    spots = _showers(rng, kind, charge.astype(np.float64), energy.astype(np.float64), *place)
    particle, section = spots[:, 0].astype(np.int64), spots[:, 1].astype(np.int64)
    return Spots(particle, section, *(np.ascontiguousarray(spots[:, k]) for k in range(2, 6)))
