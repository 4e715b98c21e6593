"""Flight through the material of the tracker: where particles convert, radiate, interact or decay on their way to the calorimeters.

Each particle flies from layer to layer of `material` on its exact helix, outwards only: a soft one that turns back before the next layer meets no more
material. Photons convert, electrons radiate, hadrons interact or, pions and kaons, decay; muons pass. Products fly in turn, so that showers build up. Left
out: multiple scattering, ionisation losses, delta rays, elastic interactions, decays of K0L and of muons.
"""

import math

import numba
import numpy as np

from mlpf.simulation.particles import NEUTRINOS, Particles, origins
from mlpf.simulation.propagation import (
    CURVATURE,
    ECAL_BARREL_ETA,
    ECAL_RADIUS,
    ECAL_Z,
    FIELD,
    MAX_TURN,
    NOT_REACHED,
    SPEED_OF_LIGHT,
    advance,
    length_to_surface,
)
from mlpf.simulation.tracker.flights import Emissions, Flights
from mlpf.simulation.tracker.interactions import (
    CONVERSIONS_PER_LENGTH,
    ELECTRON_MASS,
    MAX_PRODUCTS,
    MIN_KINETIC,
    MUON_NEUTRINO,
    PHOTON,
    PRODUCT,
    available,
    convert,
    decay,
    decay_length,
    interact,
    invariant_mass,
    radiated_fraction,
)
from mlpf.simulation.tracker.material import LAYER_HALF_LENGTH, LAYER_RADIUS, NUM_LAYERS, crossed_material, layers_within

MIN_LISTED_LOSS = 0.01  # of the electron's momentum: softer emissions that nothing follows do not show as a change of its track
MAX_DECAY_LENGTH = 800.0  # cm; no path to the ECAL is longer: 600 cm along the beam, and one turn of less than 406 cm
DECAYED = -1  # in place of the region of a surface
# The layers, and the front of the ECAL behind them
SURFACE_RADIUS = np.append(LAYER_RADIUS, ECAL_RADIUS)
SURFACE_HALF_LENGTH = np.append(LAYER_HALF_LENGTH, ECAL_RADIUS * math.sinh(ECAL_BARREL_ETA))
SURFACE_END = np.append(LAYER_HALF_LENGTH, ECAL_Z)

# A row per particle: its `Particles`, where it is now, and what `Flights` tells of it; `turned` is the angle of its helix so far [rad]
STATE = ("x", "y", "z", "time", "px", "py", "pz", "energy")
_INTEGERS = ("pdgid", "parent", "collision", "next_layer", "layers")
_NUMBERS = ("charge", *STATE, "end_x", "end_y", "end_z", *(f"now_{name}" for name in STATE), "turned", "swallowed")
ROW = np.dtype([(name, np.int64) for name in _INTEGERS] + [(name, np.float64) for name in _NUMBERS] + [("ends", np.bool_)])
EMISSION = np.dtype([(name, np.int64) for name in ("electron", "photon", "layer")] + [(name, np.float64) for name in ("x", "y", "z", "lost")])


@numba.njit(cache=True)
def _with_room(rows: np.ndarray, count: int, needed: int) -> np.ndarray:
    """The same rows, or a longer copy if there is no room for ``needed`` more."""
    if count + needed <= len(rows):
        return rows
    grown = np.empty(2 * len(rows) + needed, rows.dtype)
    grown[:count] = rows[:count]
    return grown


@numba.njit(cache=True)
def _rewind(row: np.record) -> None:
    """Put a particle back to its production."""
    row.now_x, row.now_y, row.now_z, row.now_time = row.x, row.y, row.z, row.time
    row.now_px, row.now_py, row.now_pz, row.now_energy = row.px, row.py, row.pz, row.energy
    row.turned = 0.0


@numba.njit(cache=True)
def _move(row: np.record, length: float) -> None:
    """Move a particle along its helix by a transverse length [cm]."""
    charge, px, py, pz, x, y, z = row.charge, row.now_px, row.now_py, row.now_pz, row.now_x, row.now_y, row.now_z
    row.now_x, row.now_y, row.now_z, row.now_px, row.now_py = advance(charge, px, py, pz, x, y, z, length)
    pt = math.sqrt(px**2 + py**2)
    row.now_time += length * row.now_energy / (pt * SPEED_OF_LIGHT)
    row.turned += length * CURVATURE * FIELD * abs(charge) / pt


@numba.njit(cache=True)
def _step(row: np.record, surface: int, decay_in: float) -> tuple[int, float]:
    """Fly to a surface, or to the decay after a transverse length of ``decay_in`` [cm] if that comes first.

    Returns:
        region of the surface, `DECAYED`, or `NOT_REACHED` if it turns back and stays where it was; transverse length of the step [cm].
    """
    charge, px, py, pz, x, y, z = row.charge, row.now_px, row.now_py, row.now_pz, row.now_x, row.now_y, row.now_z
    radius, half_length, end = SURFACE_RADIUS[surface], SURFACE_HALF_LENGTH[surface], SURFACE_END[surface]
    region, length = length_to_surface(charge, px, py, pz, x, y, z, radius, half_length, end)
    longest = (MAX_TURN - row.turned) * math.sqrt(px**2 + py**2) / (CURVATURE * FIELD * abs(charge)) if charge != 0.0 else math.inf
    if region == NOT_REACHED or length > longest:
        region, length = NOT_REACHED, longest
    if decay_in < length:
        region, length = DECAYED, decay_in
    if region != NOT_REACHED:
        _move(row, length)
    return region, length


@numba.njit(cache=True)
def _add(rows: np.ndarray, count: int, parent: int, next_layer: int, product: np.record) -> int:
    """Append a product that is made where its parent is now, unless it is too soft to be followed; neutrinos always are."""
    maker = rows[parent]
    mass = invariant_mass(product.px, product.py, product.pz, product.energy)
    if product.energy - mass < MIN_KINETIC and product.pdgid not in (MUON_NEUTRINO, -MUON_NEUTRINO):
        maker.swallowed += available(product.pdgid, product.px, product.py, product.pz, product.energy)
        return count
    row = rows[count]
    row.pdgid, row.charge, row.px, row.py, row.pz, row.energy = product.pdgid, product.charge, product.px, product.py, product.pz, product.energy
    row.x, row.y, row.z, row.time = maker.now_x, maker.now_y, maker.now_z, maker.now_time
    row.ends, row.end_x, row.end_y, row.end_z = False, 0.0, 0.0, 0.0
    row.parent, row.collision, row.next_layer, row.layers, row.swallowed = parent, maker.collision, next_layer, 0, 0.0
    _rewind(row)
    return count + 1


@numba.njit(cache=True)
def _end(rows: np.ndarray, count: int, i: int, next_layer: int, products: np.ndarray, number: int) -> int:
    """End a flight where the particle is now, in products."""
    for k in range(number):
        count = _add(rows, count, i, next_layer, products[k])
    row = rows[i]
    row.ends, row.end_x, row.end_y, row.end_z = True, row.now_x, row.now_y, row.now_z
    return count


@numba.njit(cache=True)
def _radiate(
    rng: np.random.Generator, rows: np.ndarray, count: int, emissions: np.ndarray, num_emissions: int, i: int, layer: int, radiation_lengths: float,
    products: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """An electron's loss in a layer, as one photon along its direction; the electron ends where it becomes too soft to be followed."""
    row, photon = rows[i], products[0]
    lost = radiated_fraction(rng, radiation_lengths)
    px, py, pz, energy = row.now_px, row.now_py, row.now_pz, row.now_energy
    momentum = math.sqrt(px**2 + py**2 + pz**2)
    row.now_px, row.now_py, row.now_pz = px * (1.0 - lost), py * (1.0 - lost), pz * (1.0 - lost)
    row.now_energy = math.hypot(momentum * (1.0 - lost), ELECTRON_MASS)
    photon.pdgid, photon.charge, photon.energy = PHOTON, 0.0, energy - row.now_energy
    photon.px, photon.py, photon.pz = px * photon.energy / momentum, py * photon.energy / momentum, pz * photon.energy / momentum
    before = count
    count = _add(rows, count, i, layer + 1, photon)
    if count > before or lost > MIN_LISTED_LOSS:
        emission = emissions[num_emissions]
        emission.electron, emission.photon, emission.layer = i, (before if count > before else -1), layer
        emission.x, emission.y, emission.z, emission.lost = row.now_x, row.now_y, row.now_z, lost
        num_emissions += 1
    if row.now_energy < MIN_KINETIC:
        row.swallowed += row.now_energy
        count = _end(rows, count, i, layer + 1, products, 0)
    return count, num_emissions


@numba.njit(cache=True)
def _transverse_decay_length(rng: np.random.Generator, row: np.record) -> float:
    """Transverse length of the path [cm] after which a particle decays; infinity if it is sure not to do so before the ECAL."""
    path = decay_length(rng, row.pdgid, row.px, row.py, row.pz, row.energy)
    return path * math.sqrt((row.px**2 + row.py**2) / (row.px**2 + row.py**2 + row.pz**2)) if path < MAX_DECAY_LENGTH else math.inf


@numba.njit(cache=True)
def _fly(rng: np.random.Generator, rows: np.ndarray, count: int, emissions: np.ndarray, num_emissions: int, i: int, products: np.ndarray) -> tuple[int, int]:
    """Fly one particle through the layers until it ends, turns back or is out.

    Returns:
        numbers of rows and of emissions after it.
    """
    row = rows[i]
    is_electron, is_photon = abs(row.pdgid) == 11, row.pdgid == PHOTON
    depth = rng.exponential(1.0) if is_photon or abs(row.pdgid) > 100 else math.inf  # it may cross, in interaction lengths
    decay_in = _transverse_decay_length(rng, row)
    for layer in range(row.next_layer, NUM_LAYERS + 1):
        if layer == NUM_LAYERS and decay_in == math.inf:
            break
        region, length = _step(row, layer, decay_in)
        if region == DECAYED:
            number = decay(rng, row.pdgid, row.now_px, row.now_py, row.now_pz, row.now_energy, products)
            return _end(rows, count, i, layer, products, number), num_emissions
        if region == NOT_REACHED or layer == NUM_LAYERS:
            break
        decay_in -= length
        momentum = (row.now_px, row.now_py, row.now_pz)
        radiation_lengths, nuclear_lengths = crossed_material(layer, region, row.now_x, row.now_y, row.now_z, *momentum)
        if is_electron:
            count, num_emissions = _radiate(rng, rows, count, emissions, num_emissions, i, layer, radiation_lengths, products)
            if row.ends:
                return count, num_emissions
        else:
            depth -= CONVERSIONS_PER_LENGTH * radiation_lengths if is_photon else nuclear_lengths
        if depth < 0.0 and is_photon:
            return _end(rows, count, i, layer + 1, products, convert(rng, *momentum, row.now_energy, products)), num_emissions
        if depth < 0.0:
            number, excitation = interact(rng, row.pdgid, row.charge, *momentum, row.now_energy, products)
            row.swallowed += excitation
            return _end(rows, count, i, layer + 1, products, number), num_emissions
        row.layers += row.charge != 0.0
    return count, num_emissions


@numba.njit(cache=True)
def _fly_all(rng: np.random.Generator, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the particles given and of their products, in the order in which they are made; emissions."""
    count, emissions, num_emissions = len(rows), np.empty(64, EMISSION), 0
    products = np.empty(MAX_PRODUCTS, PRODUCT)
    i = 0
    while i < count:
        rows, emissions = _with_room(rows, count, max(MAX_PRODUCTS, NUM_LAYERS)), _with_room(emissions, num_emissions, NUM_LAYERS)
        row = rows[i]
        _rewind(row)
        row.next_layer = max(row.next_layer, layers_within(row.x, row.y, row.z))
        kinetic = row.energy - invariant_mass(row.px, row.py, row.pz, row.energy)
        if row.ends:
            row.layers = max(layers_within(row.end_x, row.end_y, row.end_z) - row.next_layer, 0) if row.charge != 0.0 else 0
        elif kinetic >= MIN_KINETIC and math.hypot(row.px, row.py) > 0.0 and abs(row.pdgid) not in NEUTRINOS:
            count, num_emissions = _fly(rng, rows, count, emissions, num_emissions, i, products)
            if abs(row.pdgid) != 11:
                _rewind(row)
        i += 1
    return rows[:count], emissions[:num_emissions]


def transport(particles: Particles, rng: np.random.Generator) -> Flights:
    """Fly all particles through the tracker; those that the generator ends fly there undisturbed.

    Args:
        particles: of one event.
        rng: its random numbers, used in particle order.
    """
    rows = np.zeros(len(particles.pdgid), dtype=ROW)
    for name in Particles._fields:
        rows[name] = getattr(particles, name)
    rows, emissions = _fly_all(rng, rows)
    flown = Particles._make(rows[name].astype(getattr(particles, name).dtype) for name in Particles._fields)
    state = (rows[f"now_{name}"].copy() for name in STATE)
    radiated = Emissions._make(emissions[name].copy() for name in Emissions._fields)
    return Flights._make((flown, origins(flown.parent), *state, rows["layers"].copy(), radiated, rows["swallowed"].copy()))
