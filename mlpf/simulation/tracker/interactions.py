"""What particles do in the material of the tracker and in flight: products and energy losses, without regard to where.

Everything conserves energy in the sense of `particles.available_energy`. In the field of a nucleus momentum and, for hadrons, charge are not conserved: the
nucleus takes what is missing.
"""

import math

import numba
import numpy as np

MIN_KINETIC = 0.02  # GeV; what is softer is not followed: below the calorimeters' `MIN_ENERGY` and the noise of their cells

# Masses [GeV], c tau [cm] and branching fractions: PDG 2024
ELECTRON_MASS, MUON_MASS, PION_MASS, PI0_MASS, NUCLEON_MASS = 0.000511, 0.105658, 0.139570, 0.134977, 0.938919
PION_CTAU, KAON_CTAU = 780.45, 371.2
KAON_TO_MUON = 0.6356  # the rest, of which 0.2067 are pi pi0, are taken for pi pi0: three pions or pi0 e nu look much the same
PHOTON, MUON_NEUTRINO, PI0, PION, KAON, PROTON, NEUTRON = 22, 14, 111, 211, 321, 2212, 2112

# Photons convert with 7 / 9 per radiation length, the limit of high energies (PDG, passage of particles through matter, 34.4.4). Near 20 MeV this is a
# quarter too much, and Compton scattering is left out.
CONVERSIONS_PER_LENGTH = 7.0 / 9.0

# Nuclear interactions: two to five secondaries; ours, so that a pion of 5 GeV makes about three and a half, of which the hardest takes half the energy
MIN_SECONDARIES, MAX_SECONDARIES, SECONDARIES_SCALE = 2, 5, 5.0  # scale [GeV]
MEAN_EXCITATION = 0.1  # GeV, left to fragments of the nucleus
LEADING_SHAPE = 2.5  # of the gamma distributed share of the leading hadron; 1 for all others
NUCLEON_FRACTION = 0.2  # of the other secondaries, knocked out of the nucleus
MEAN_PT = 0.35  # GeV, transverse to the projectile: the typical one of soft hadronic collisions
KICK = MEAN_PT / math.sqrt(0.5 * math.pi)  # width of each component of a Gaussian kick whose transverse mean is MEAN_PT
MAX_PRODUCTS = 2 * MAX_SECONDARIES  # if all are pi0

PRODUCT = np.dtype([("pdgid", np.int64), ("charge", np.float64), ("px", np.float64), ("py", np.float64), ("pz", np.float64), ("energy", np.float64)])


@numba.njit(cache=True)
def invariant_mass(px: float, py: float, pz: float, energy: float) -> float:
    """Mass [GeV]; 0 if rounding makes its square negative."""
    return math.sqrt(max(energy**2 - px**2 - py**2 - pz**2, 0.0))


@numba.njit(cache=True)
def _rest_energy(pdgid: int, mass: float) -> float:
    """What a particle at rest can give to a shower; see `particles.available_energy`."""
    if 1000 < abs(pdgid) < 10000:
        return 0.0 if pdgid > 0 else 2.0 * mass
    return mass


@numba.njit(cache=True)
def available(pdgid: int, px: float, py: float, pz: float, energy: float) -> float:
    """`particles.available_energy` of one particle [GeV]."""
    mass = invariant_mass(px, py, pz, energy)
    return energy - mass + _rest_energy(pdgid, mass)


@numba.njit(cache=True)
def _charge(pdgid: int) -> float:
    """Charge [e] of what this module makes."""
    if abs(pdgid) in (11, 13):
        return -math.copysign(1.0, pdgid)
    return math.copysign(1.0, pdgid) if abs(pdgid) in (PION, KAON, PROTON) else 0.0


@numba.njit(cache=True)
def _set(products: np.ndarray, k: int, pdgid: int, charge: float, px: float, py: float, pz: float, energy: float) -> None:
    product = products[k]
    product.pdgid, product.charge, product.energy = pdgid, charge, energy
    product.px, product.py, product.pz = px, py, pz


@numba.njit(cache=True)
def _along(px: float, py: float, pz: float, a: float, b: float, c: float) -> tuple[float, float, float]:
    """Vector with the component c along a momentum, a horizontal (perpendicular to it and to the beam) and b perpendicular to both."""
    pt, momentum = math.hypot(px, py), math.sqrt(px**2 + py**2 + pz**2)
    if pt == 0.0:
        return a, b, math.copysign(c, c * pz)
    ux, uy, uz, hx, hy = px / momentum, py / momentum, pz / momentum, -py / pt, px / pt
    return a * hx - b * uz * hy + c * ux, a * hy + b * uz * hx + c * uy, b * pt / momentum + c * uz


@numba.njit(cache=True)
def _two_body(
    rng: np.random.Generator, px: float, py: float, pz: float, energy: float, pdgid_a: int, mass_a: float, pdgid_b: int, mass_b: float,
    products: np.ndarray, k: int,
) -> None:  # fmt: skip
    """Isotropic decay into products k and k + 1."""
    momentum = math.sqrt(px**2 + py**2 + pz**2)
    mass = max(invariant_mass(px, py, pz, energy), mass_a + mass_b)
    energy_a = (mass**2 + mass_a**2 - mass_b**2) / (2.0 * mass)  # in the rest frame
    momentum_a = math.sqrt(max(energy_a**2 - mass_a**2, 0.0))
    cos_theta, phi = rng.uniform(-1.0, 1.0), rng.uniform(0.0, 2.0 * math.pi)
    transverse, longitudinal = momentum_a * math.sqrt(1.0 - cos_theta**2), momentum_a * cos_theta
    boosted = (energy * longitudinal + momentum * energy_a) / mass
    ax, ay, az = _along(px, py, pz, transverse * math.cos(phi), transverse * math.sin(phi), boosted)
    boosted_energy = (energy * energy_a + momentum * longitudinal) / mass
    _set(products, k, pdgid_a, _charge(pdgid_a), ax, ay, az, boosted_energy)
    _set(products, k + 1, pdgid_b, _charge(pdgid_b), px - ax, py - ay, pz - az, energy - boosted_energy)


@numba.njit(cache=True)
def radiated_fraction(rng: np.random.Generator, radiation_lengths: float) -> float:
    """Fraction of its momentum that an electron radiates: what is left is z, with -ln z gamma distributed (Bethe and Heitler, Proc. R. Soc. A 146 (1934) 83).

    ``f(z) = (-ln z)^(c - 1) / Gamma(c)``, ``c = t / ln 2``; the mean of z is exp(-t).
    """
    return -math.expm1(-rng.gamma(radiation_lengths / math.log(2.0), 1.0))


@numba.njit(cache=True)
def convert(rng: np.random.Generator, px: float, py: float, pz: float, energy: float, products: np.ndarray) -> int:
    """Photon to electron and positron, along its direction: the opening angle, about m / E, moves them by less than 1 mm at the ECAL above 1 GeV, where a
    crystal has 22 mm and the field parts them by far more.

    The electron's share x of the energy follows 1 - 4/3 x (1 - x), the limit of complete screening (PDG, passage of particles through matter, 34.4.4).

    Returns:
        number of products, 2.
    """
    share, low = 0.0, ELECTRON_MASS / energy
    while True:
        share = rng.uniform(low, 1.0 - low)
        if rng.random() < 1.0 - 4.0 / 3.0 * share * (1.0 - share):
            break
    for k in range(2):
        own = energy * share if k == 0 else energy - energy * share
        scale = math.sqrt(max(own**2 - ELECTRON_MASS**2, 0.0)) / energy
        _set(products, k, 11 - 22 * k, 2.0 * k - 1.0, px * scale, py * scale, pz * scale, own)
    return 2


@numba.njit(cache=True)
def decay_length(rng: np.random.Generator, pdgid: int, px: float, py: float, pz: float, energy: float) -> float:
    """Length of the path [cm] after which a charged pion or kaon decays; infinity for everything else."""
    if abs(pdgid) not in (PION, KAON):
        return math.inf
    mass = invariant_mass(px, py, pz, energy)
    ctau = PION_CTAU if abs(pdgid) == PION else KAON_CTAU
    return rng.exponential(ctau * math.sqrt(px**2 + py**2 + pz**2) / mass) if mass > 0.0 else math.inf


@numba.njit(cache=True)
def decay(rng: np.random.Generator, pdgid: int, px: float, py: float, pz: float, energy: float, products: np.ndarray) -> int:
    """Charged pion to muon and neutrino; charged kaon the same, or to a pion and the two photons of a pi0.

    Returns:
        number of products, 2 or 3.
    """
    sign = 1 if pdgid > 0 else -1
    if abs(pdgid) == PION or rng.random() < KAON_TO_MUON:
        _two_body(rng, px, py, pz, energy, -13 * sign, MUON_MASS, MUON_NEUTRINO * sign, 0.0, products, 0)
        return 2
    _two_body(rng, px, py, pz, energy, PION * sign, PION_MASS, PI0, PI0_MASS, products, 0)
    _two_body(rng, products[1].px, products[1].py, products[1].pz, products[1].energy, PHOTON, 0.0, PHOTON, 0.0, products, 1)
    return 3


@numba.njit(cache=True)
def _random_pion(rng: np.random.Generator) -> int:
    """Either charge or neutral, one third each."""
    chance = rng.random()
    return PI0 if chance < 1.0 / 3.0 else (PION if chance < 2.0 / 3.0 else -PION)


@numba.njit(cache=True)
def _secondary(rng: np.random.Generator, pdgid: int, mass: float, leading: bool, budget: float) -> tuple[int, float]:
    """Identity and mass [GeV] of a secondary: the leading one keeps baryon number and flavour; others are pions if half the budget can pay one, or nucleons."""
    if leading and abs(pdgid) in (PROTON, NEUTRON):
        return (PROTON if rng.random() < 0.5 else NEUTRON) * (1 if pdgid > 0 else -1), mass
    if leading and abs(pdgid) != PION:
        return pdgid, mass
    if leading or (rng.random() > NUCLEON_FRACTION and 0.5 * budget > PION_MASS):
        identity = _random_pion(rng)
        return identity, (PI0_MASS if identity == PI0 else PION_MASS)
    return (PROTON if rng.random() < 0.5 else NEUTRON), NUCLEON_MASS


@numba.njit(cache=True)
def interact(rng: np.random.Generator, pdgid: int, charge: float, px: float, py: float, pz: float, energy: float, products: np.ndarray) -> tuple[int, float]:
    """Inelastic collision of a hadron with a nucleus: shares its energy among two to five secondaries, pi0 already decayed to photons.

    The secondaries share the kinetic energy that is left at random; each gets a Gaussian kick in all directions, so that fast ones go forward and those slower
    than the kick anywhere.

    Returns:
        number of products; energy left to the fragments of the nucleus [GeV].
    """
    mass = invariant_mass(px, py, pz, energy)
    kinetic = energy - mass
    excitation = min(rng.exponential(MEAN_EXCITATION), 0.5 * kinetic)
    budget = kinetic + _rest_energy(pdgid, mass) - excitation
    number = MIN_SECONDARIES
    for _ in range(MAX_SECONDARIES - MIN_SECONDARIES):
        number += rng.random() < kinetic / (kinetic + SECONDARIES_SCALE)
    identities, masses, shares = np.empty(number, dtype=np.int64), np.empty(number), np.empty(number)
    for k in range(number):
        identities[k], masses[k] = _secondary(rng, pdgid, mass, k == 0, budget)
        budget -= _rest_energy(identities[k], masses[k])
        shares[k] = rng.gamma(LEADING_SHAPE if k == 0 else 1.0, 1.0)
    shares *= max(budget, 0.0) / shares.sum()  # never negative for hadrons of their own mass
    count = 0
    for k in range(number):
        own = math.sqrt(shares[k] * (shares[k] + 2.0 * masses[k]))  # momentum
        a, b, c = KICK * rng.normal(), KICK * rng.normal(), own + KICK * rng.normal()
        scale = own / math.sqrt(a**2 + b**2 + c**2)
        qx, qy, qz = _along(px, py, pz, a * scale, b * scale, c * scale)
        if identities[k] == PI0:
            _two_body(rng, qx, qy, qz, shares[k] + masses[k], PHOTON, 0.0, PHOTON, 0.0, products, count)
            count += 2
        else:
            _set(products, count, identities[k], charge if identities[k] == pdgid else _charge(identities[k]), qx, qy, qz, shares[k] + masses[k])
            count += 1
    return count, excitation
