"""Raw features of the consumer -> clean, scaled inputs, inside the model, since the consumer passes raw values (NaN and infinities included)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mlpf import schema
from mlpf.schema import FEATURE_INDEX, ElementType

# |value| above these is a mistake upstream: eta 10 is beyond any calorimeter; 1e6 GeV, cm or ns exceed everything a detector reports.
MAX_ABS_ETA = 10.0
MAX_ABS_VALUE = 1e6
MAX_ABS_SCALED = 10.0  # standard deviations; keeps a value outside the training range from swamping its element

_ETAS = ("eta", "eta_ecal", "eta_hcal")
_DIRECTIONS = ("sin_phi", "cos_phi")
_ANGLES = ("phi_ecal", "phi_hcal")  # enter as sine and cosine: an angle jumps at +-pi
_SCALED = tuple(name for name in schema.FEATURES if name != "type" and name not in _ANGLES)
# Spread over decades: enter as sign(x) log(1 + |x|).
_HEAVY_TAILED = (
    "pt", "energy", "px", "py", "pz", "muon_dt_hits", "muon_csc_hits", "muon_type", "deltap", "sigmadeltap", "num_hits", "cluster_flags",
    "corr_energy", "corr_energy_err", "vx", "vy", "vz", "pterror", "time", "timeerror", "sigma_x", "sigma_y", "sigma_z",
)  # fmt: skip


class Preprocessed(NamedTuple):
    """What the other blocks see of an event's elements.

    Attributes:
        clean: ``(B, N, 55)`` raw features, finite and bounded, 0 in padded rows.
        element_type: ``(B, N) int64`` 0 to 11, 0 in padded rows.
        inputs: ``(B, N, F)`` scaled features, angles as sine and cosine, and the type's embedding.
        position: ``(B, N, 3)`` eta, sin phi, cos phi where the element is seen by the calorimeters.
    """

    clean: Tensor
    element_type: Tensor
    inputs: Tensor
    position: Tensor


class FeaturePreprocessor(nn.Module):
    """Clean-up, scaling and type embedding.

    Scaling is per element type, ``z = (t(x) - mean) / std``, since a column means different things for tracks and clusters (px: a momentum [GeV] or a
    position [cm]). Before `fit` mean is 0 and std 1.

    Shapes:
        features: (B, N, 55), real: (B, N) bool -> `Preprocessed`
    """

    limits: Tensor
    heavy_tailed: Tensor
    scaled_columns: Tensor
    angle_columns: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(schema.NUM_ELEMENT_TYPES, embedding_dim)
        self.output_dim = len(_SCALED) + 2 * len(_ANGLES) + embedding_dim
        limits = [MAX_ABS_ETA if name in _ETAS else 1.0 if name in _DIRECTIONS else MAX_ABS_VALUE for name in schema.FEATURES]
        self.register_buffer("limits", torch.tensor(limits), persistent=False)
        self.register_buffer("heavy_tailed", torch.tensor([name in _HEAVY_TAILED for name in _SCALED]), persistent=False)
        self.register_buffer("scaled_columns", torch.tensor([FEATURE_INDEX[name] for name in _SCALED]), persistent=False)
        self.register_buffer("angle_columns", torch.tensor([FEATURE_INDEX[name] for name in _ANGLES]), persistent=False)
        self.register_buffer("mean", torch.zeros(schema.NUM_ELEMENT_TYPES, len(_SCALED)))
        self.register_buffer("std", torch.ones(schema.NUM_ELEMENT_TYPES, len(_SCALED)))

    def forward(self, features: Tensor, real: Tensor) -> Preprocessed:
        """See the class."""
        clean = self.clean(features, real)
        element_type = _element_type(clean)
        scaled = (self._transform(clean) - self.mean[element_type]) / self.std[element_type]
        scaled = scaled.clamp(-MAX_ABS_SCALED, MAX_ABS_SCALED)
        angles = clean.index_select(-1, self.angle_columns)
        inputs = torch.cat([scaled, angles.sin(), angles.cos(), self.embedding(element_type)], dim=-1)
        return Preprocessed(clean, element_type, inputs, _position(clean, element_type))

    def clean(self, features: Tensor, real: Tensor) -> Tensor:
        """``(..., 55)``: non-finite values and padded rows -> 0, absurd values -> the limit."""
        usable = torch.isfinite(features) & real.unsqueeze(-1)
        features = torch.where(usable, features, torch.zeros_like(features))  # never multiply by a mask: NaN * 0 = NaN
        return torch.minimum(torch.maximum(features, -self.limits), self.limits)

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take mean and standard deviation per element type from ``(N, 55)`` raw features of the training events.

        A constant column gets std 1; a type without elements keeps mean 0, std 1.
        """
        clean = self.clean(features, torch.ones(len(features), dtype=torch.bool))
        element_type = _element_type(clean)
        values = self._transform(clean).double()
        for kind in element_type.unique():
            of_kind = values[element_type == kind]
            std = of_kind.std(dim=0, correction=0)
            self.mean[kind] = of_kind.mean(dim=0).float()
            self.std[kind] = torch.where(std > 1e-6, std, torch.ones_like(std)).float()  # 1e-6: rounding of a constant column

    def _transform(self, clean: Tensor) -> Tensor:
        values = clean.index_select(-1, self.scaled_columns)
        return torch.where(self.heavy_tailed, values.sign() * values.abs().log1p(), values)


def _element_type(clean: Tensor) -> Tensor:
    return clean[..., FEATURE_INDEX["type"]].clamp(0, schema.NUM_ELEMENT_TYPES - 1).long()


def _position(clean: Tensor, element_type: Tensor) -> Tensor:
    """``(..., 3)`` eta, sin phi, cos phi: of a track extrapolated to the ECAL where it gets there, of any other element itself."""
    eta, phi = clean[..., FEATURE_INDEX["eta_ecal"]], clean[..., FEATURE_INDEX["phi_ecal"]]
    extrapolated = (element_type == int(ElementType.TRACK)) & ((eta != 0.0) | (phi != 0.0))
    own = clean[..., FEATURE_INDEX["eta"] : FEATURE_INDEX["cos_phi"] + 1]
    return torch.where(extrapolated.unsqueeze(-1), torch.stack([eta, phi.sin(), phi.cos()], dim=-1), own)
