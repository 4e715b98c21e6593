"""The place of every element on space-filling curves in (eta, phi): neighbours along a curve are neighbours in the detector."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from mlpf import schema
from mlpf.nn.preprocess import Preprocessed, reaches_calorimeter
from mlpf.schema import FEATURE_INDEX

CELL_BITS = 10  # 1024 cells per turn, 0.006 rad each: a third of an ECAL crystal
CELLS = 2**CELL_BITS
STEP_BITS = CELL_BITS // 2  # a cell is looked up in two steps, each in a table of 4 x 1024 entries
STEPS = 2**STEP_BITS
CONTENT_BITS = 30  # for the order inside a cell; with 21 bits of cells exact in float64
CONTENT_UNIT = 2.0**-20  # features (at most 1e6, so 40 bits) are told apart to 1e-6
# Features are weighted with powers of it, modulo 2^16: odd, and by Knuth (The Art of Computer Programming 2, section 3.2.1.2) all different modulo 2^10 too,
# since it is 5 modulo 8; so whole numbers exchanged between two features show in the 30 bits as well.
CONTENT_MULTIPLIER = 25173
# Odd polynomial for the arc tangent on [-1, 1], error below 1e-5: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), section 4.4.
ARCTAN = (0.9998660, -0.3302995, 0.1801410, -0.0851330, 0.0208351)


class CurveKeys(nn.Module):
    """Keys that sort elements along Hilbert curves (Math. Ann. 38 (1891) 459) on the cylinder of eta and phi.

    The cylinder is cut into cells of 1/1024 turn in phi and the same length in eta. A curve runs through two squares of one turn each, from eta = -2 pi to
    2 pi; what lies beyond counts as at the end. It is broken where a square is cut at phi = +-pi, and elements on two sides of a border of large cells may be
    far apart on it. So there are several curves, shifted against each other by equal parts of a turn in both coordinates. The number of parts is odd: halves
    and quarters of a turn would lay borders on borders. With three, 98 % of the 16 nearest elements are among the 64 along at least one of them; it is known
    that d + 1 shifted curves in d dimensions find nearest neighbours up to a constant factor (Chan, Discrete Comput. Geom. 20 (1998) 359).

    Inside a cell, elements are sorted by all their features, so that no two keys are the same unless the elements are. All operations are exact or rounded as
    IEEE 754 prescribes (no sine, no matrix product): the keys have the same bits in any runtime and for any order of the elements.

    Args:
        num_curves: how many.

    Shapes:
        elements: `Preprocessed` of (B, N) -> (num_curves, B, N) float64, not negative
    """

    number: Tensor
    inside: Tensor
    shift: Tensor
    content_weight: Tensor

    def __init__(self, num_curves: int) -> None:
        super().__init__()
        number, inside = hilbert_tables(STEP_BITS)
        parts = num_curves if num_curves % 2 else num_curves + 1
        self.register_buffer("number", torch.from_numpy(number.ravel()).float(), persistent=False)
        self.register_buffer("inside", torch.from_numpy(inside.ravel()).float(), persistent=False)
        self.register_buffer("shift", torch.tensor([float(curve * CELLS // parts) for curve in range(num_curves)]).view(-1, 1, 1), persistent=False)
        self.register_buffer("content_weight", torch.tensor([pow(CONTENT_MULTIPLIER, i, 2**16) for i in range(schema.NUM_FEATURES)]), persistent=False)

    @torch.no_grad()
    def forward(self, elements: Preprocessed) -> Tensor:
        """See the class."""
        x = _cells(elements.position[..., 0] * (0.5 / math.pi) + 1.0, 2 * CELLS) + self.shift  # (C, B, N), all whole numbers
        y = _cells(_fraction(turns(elements)), CELLS) + self.shift
        x, y = x - 2 * CELLS * (x * (0.5 / CELLS)).floor(), y - CELLS * (y * (1.0 / CELLS)).floor()
        return self.index(x, y).double() + self._content(elements.clean)

    def index(self, x: Tensor, y: Tensor) -> Tensor:
        """Number of each cell along the curve, for whole numbers x below 2048 and y below 1024, all float32 (exact below 2^24)."""
        square = (x * (1.0 / CELLS)).floor()
        x = x - CELLS * square
        coarse_x, coarse_y = (x * (1.0 / STEPS)).floor(), (y * (1.0 / STEPS)).floor()
        coarse = (STEPS * coarse_x + coarse_y).long()
        fine = (STEPS * STEPS * self.inside[coarse] + STEPS * (x - STEPS * coarse_x) + (y - STEPS * coarse_y)).long()
        return CELLS * CELLS * square + STEPS * STEPS * self.number[coarse] + self.number[fine]

    def _content(self, clean: Tensor) -> Tensor:
        """``(B, N) float64`` in [0, 1) from all features; sums of integers, which no order of summation can change."""
        whole = (clean.double() * (1.0 / CONTENT_UNIT)).long()
        return ((whole * self.content_weight).sum(dim=-1) & (2**CONTENT_BITS - 1)).double() * 2.0**-CONTENT_BITS


def hilbert_tables(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The Hilbert curve on ``2^bits x 2^bits`` cells in its four orientations, each from a corner to a neighbouring one.

    Orientation 0 runs from (0, 0) to (side - 1, 0), 1 is its mirror image at the diagonal, 2 that at the other diagonal, 3 both. Mirror images commute, and two
    of a kind cancel: orientations combine by exclusive or.

    Returns:
        number: ``(4, side, side) int64`` number of cell (x, y) along the curve.
        inside: ``(side, side) int64`` orientation of the curve inside of each cell, where the curve around it has orientation 0.
    """
    number, inside = np.zeros((1, 1), dtype=np.int64), np.zeros((1, 1), dtype=np.int64)
    for _ in range(bits):
        quarter = number.size
        number = np.block([[number.T, number + quarter], [_mirrored(number) + 3 * quarter, number + 2 * quarter]])
        inside = np.block([[inside.T ^ 1, inside], [_mirrored(inside) ^ 2, inside]])
    return np.stack([number, number.T, _mirrored(number), number[::-1, ::-1]]), inside


def turns(elements: Preprocessed) -> Tensor:
    """``(B, N)`` phi over 2 pi, where the element is seen by the calorimeters, to 1e-5; of tracks it may be of any size."""
    own = _arctan_turns(elements.clean[..., FEATURE_INDEX["sin_phi"]], elements.clean[..., FEATURE_INDEX["cos_phi"]])
    extrapolated = elements.clean[..., FEATURE_INDEX["phi_ecal"]] * (0.5 / math.pi)
    return torch.where(reaches_calorimeter(elements.clean, elements.element_type), extrapolated, own)


def _arctan_turns(sine: Tensor, cosine: Tensor) -> Tensor:
    """Angle over 2 pi in [-1/2, 1/2], by basic operations only; 0 where both are 0."""
    small, large = torch.minimum(sine.abs(), cosine.abs()), torch.maximum(sine.abs(), cosine.abs())
    tangent = small / torch.where(large > 0.0, large, 1.0)
    square = tangent * tangent
    angle = square * ARCTAN[-1]
    for coefficient in ARCTAN[-2:0:-1]:
        angle = (angle + coefficient) * square
    angle = (angle + ARCTAN[0]) * tangent * (0.5 / math.pi)
    angle = torch.where(sine.abs() > cosine.abs(), 0.25 - angle, angle)
    angle = torch.where(cosine < 0.0, 0.5 - angle, angle)
    return torch.where(sine < 0.0, -angle, angle)


def _cells(turn: Tensor, count: int) -> Tensor:
    """Number of the cell, a whole float32 from 0 to ``count - 1``."""
    return (turn * float(CELLS)).floor().clamp(0.0, count - 1.0)


def _fraction(turn: Tensor) -> Tensor:
    return turn - turn.floor()


def _mirrored(table: np.ndarray) -> np.ndarray:
    """At the other diagonal."""
    return table[::-1, ::-1].T
