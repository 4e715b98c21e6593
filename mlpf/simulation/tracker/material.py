"""Material of the tracker: fourteen closed surfaces around the collision, which share what a particle meets on its way to the calorimeters.

A surface is a cylinder with a disc at each end, which stands for the layers of the barrel and for the discs and support at the same depth.
"""

import math

import numba
import numpy as np

from mlpf.simulation.propagation import BARREL

# Cylinders: the 4 + 4 + 6 layers of pixels, inner and outer strips (CMS Phase-1 pixel TDR; JINST 3 S08004). Their discs: ours, in the range of the real ones
# (pixels 29 to 52 cm, inner discs to 105, endcaps to 280); they begin where collisions, 5 cm wide along the beam, do not reach.
LAYER_RADIUS = np.array([2.9, 6.8, 10.9, 16.0, 25.5, 33.9, 41.9, 49.8, 60.8, 69.2, 78.0, 86.8, 96.5, 108.0])  # cm
LAYER_HALF_LENGTH = np.array([28.0, 32.0, 40.0, 50.0, 75.0, 90.0, 105.0, 125.0, 150.0, 175.0, 200.0, 225.0, 250.0, 275.0])  # cm
NUM_LAYERS = len(LAYER_RADIUS)
# Pixels (with the beam pipe) have about a fifth of the material, read off CMS-TRK-11-001 (arXiv:1405.6569), figure 3; the rest is shared evenly
LAYER_SHARE = np.array([0.045] * 4 + [0.082] * 10)

# Budget from the centre to the ECAL by |eta|, linear in between: figure 3 of arXiv:1405.6569 (0.4 radiation lengths at 0, 1.8 to 2.0 at 1.4 to 1.5, 1.2 at
# 2.5; 0.12, 0.5 and 0.35 nuclear ones). At |eta| = 0 and 1.4 it makes electrons radiate 33 % and 86 % of their energy (arXiv:2012.06888). Beyond the tracker,
# |eta| > 2.5, ours: it thins out to the beam pipe, of which its flanges and cone are left out.
BUDGET_ETA = np.array([0.0, 0.5, 0.9, 1.2, 1.4, 1.5, 1.8, 2.1, 2.5, 3.0, 3.2])
RADIATION_LENGTHS = np.array([0.40, 0.50, 0.90, 1.50, 1.97, 1.90, 1.65, 1.40, 1.20, 1.00, 0.10])
NUCLEAR_LENGTHS = np.array([0.12, 0.15, 0.25, 0.40, 0.50, 0.50, 0.45, 0.40, 0.35, 0.30, 0.03])
MAX_SLANT = 3.0  # a grazing particle meets at most this many times what a straight one from the centre meets

ETA_STEP = 0.1
_GRID = ETA_STEP * np.arange(33)  # holds all of BUDGET_ETA
_BUDGET = np.stack([np.interp(_GRID, BUDGET_ETA, RADIATION_LENGTHS), np.interp(_GRID, BUDGET_ETA, NUCLEAR_LENGTHS)])


@numba.njit(cache=True)
def material_budget(abs_eta: float) -> tuple[float, float]:
    """Radiation and nuclear interaction lengths from the centre of the detector to the ECAL along a straight line."""
    place = min(abs_eta / ETA_STEP, _BUDGET.shape[1] - 1.0)
    low = min(int(place), _BUDGET.shape[1] - 2)
    weight = place - low
    return (1.0 - weight) * _BUDGET[0, low] + weight * _BUDGET[0, low + 1], (1.0 - weight) * _BUDGET[1, low] + weight * _BUDGET[1, low + 1]


@numba.njit(cache=True)
def crossed_material(layer: int, region: int, x: float, y: float, z: float, px: float, py: float, pz: float) -> tuple[float, float]:
    """Radiation and nuclear interaction lengths of one crossing of a layer.

    Args:
        layer: its number. region: `BARREL` if the cylinder is crossed, else a disc.
        x, y, z: where [cm]. px, py, pz: momentum there [GeV].
    """
    rho, distance, momentum = math.hypot(x, y), math.sqrt(x**2 + y**2 + z**2), math.sqrt(px**2 + py**2 + pz**2)
    if region == BARREL:
        straight, slanted = rho / distance, abs(x * px + y * py) / (rho * momentum)  # cosines to the surface's normal
    else:
        straight, slanted = abs(z) / distance, abs(pz) / momentum
    slant = MAX_SLANT if straight > MAX_SLANT * slanted else straight / slanted
    radiation, nuclear = material_budget(math.asinh(abs(z) / rho) if rho > 0.0 else math.inf)
    return LAYER_SHARE[layer] * slant * radiation, LAYER_SHARE[layer] * slant * nuclear


@numba.njit(cache=True)
def layers_within(x: float, y: float, z: float) -> int:
    """How many layers lie between the centre of the detector and a point [cm], which is also the number of the next layer on the way out."""
    rho, layer = math.hypot(x, y), 0
    while layer < NUM_LAYERS and (rho >= LAYER_RADIUS[layer] or abs(z) >= LAYER_HALF_LENGTH[layer]):
        layer += 1
    return layer
