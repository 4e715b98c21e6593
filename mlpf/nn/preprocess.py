"""Raw features of the consumer -> clean, scaled inputs, inside the model, since the consumer passes raw values (NaN and infinities included)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mlpf import schema
from mlpf.features import ANGLE_FEATURES, FEATURE_LIMITS, SCALED_FEATURES
from mlpf.samples.scaling import Scaling, ScalingConfig, make_scaling
from mlpf.samples.statistics import FeatureStatistics
from mlpf.schema import FEATURE_INDEX, ElementType


def _runs(columns: list[int]) -> list[tuple[int, int]]:
    """First and last + 1 of ascending columns that follow each other."""
    starts = [column for column in columns if column - 1 not in columns]
    stops = [column + 1 for column in columns if column + 1 not in columns]
    return list(zip(starts, stops, strict=True))


SCALED_COLUMNS = _runs([FEATURE_INDEX[name] for name in SCALED_FEATURES])  # in slices: one by one they take 2 (torch) to 4 (ONNX Runtime) times as long


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

    Scaling (`mlpf.samples.scaling`) is per element type, since a column means different things for tracks and clusters (px: a momentum [GeV] or a position
    [cm]). It lives in buffers, which a saved model and an exported graph carry along. Before `set_scaling`, nothing is
    shifted or divided.

    Shapes:
        features: (B, N, 55), real: (B, N) bool -> `Preprocessed`
    """

    limits: Tensor
    angle_columns: Tensor
    logarithmic: Tensor
    shift: Tensor
    width: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(schema.NUM_ELEMENT_TYPES, embedding_dim)
        self.output_dim = len(SCALED_FEATURES) + 2 * len(ANGLE_FEATURES) + embedding_dim
        self.register_buffer("limits", torch.tensor(FEATURE_LIMITS), persistent=False)
        self.register_buffer("angle_columns", torch.tensor([FEATURE_INDEX[name] for name in ANGLE_FEATURES]), persistent=False)
        for name, values in make_scaling(FeatureStatistics(), ScalingConfig())._asdict().items():
            self.register_buffer(name, torch.from_numpy(values))

    @torch.no_grad()
    def set_scaling(self, scaling: Scaling) -> None:
        """Scale as `mlpf.samples.scaling.make_scaling` says."""
        for name, values in scaling._asdict().items():
            getattr(self, name).copy_(torch.from_numpy(values))

    def fit(self, features: Tensor) -> None:
        """Scale by default, with the statistics of ``(N, 55)`` raw features in memory."""
        statistics = FeatureStatistics()
        statistics.add(features.numpy())
        self.set_scaling(make_scaling(statistics, ScalingConfig()))

    def forward(self, features: Tensor, real: Tensor) -> Preprocessed:
        """See the class."""
        clean = self.clean(features, real)
        element_type = _element_type(clean)
        scaled = (self._transform(clean) - self.shift[element_type]) / self.width[element_type]
        scaled = torch.minimum(torch.maximum(scaled, self.low), self.high)
        angles = clean.index_select(-1, self.angle_columns)
        inputs = torch.cat([scaled, angles.sin(), angles.cos(), self.embedding(element_type)], dim=-1)
        return Preprocessed(clean, element_type, inputs, _position(clean, element_type))

    def clean(self, features: Tensor, real: Tensor) -> Tensor:
        """``(..., 55)``: non-finite values and padded rows -> 0, absurd values -> the limit."""
        usable = torch.isfinite(features) & real.unsqueeze(-1)
        features = torch.where(usable, features, torch.zeros_like(features))  # never multiply by a mask: NaN * 0 = NaN
        return torch.minimum(torch.maximum(features, -self.limits), self.limits)

    def _transform(self, clean: Tensor) -> Tensor:
        values = torch.cat([clean[..., first:stop] for first, stop in SCALED_COLUMNS], dim=-1)
        return torch.where(self.logarithmic, values.sign() * values.abs().log1p(), values)


def _element_type(clean: Tensor) -> Tensor:
    return clean[..., FEATURE_INDEX["type"]].clamp(0, schema.NUM_ELEMENT_TYPES - 1).long()


def reaches_calorimeter(clean: Tensor, element_type: Tensor) -> Tensor:
    """``(...) bool``: tracks with an extrapolation to the ECAL."""
    extrapolated = (clean[..., FEATURE_INDEX["eta_ecal"]] != 0.0) | (clean[..., FEATURE_INDEX["phi_ecal"]] != 0.0)
    return (element_type == int(ElementType.TRACK)) & extrapolated


def _position(clean: Tensor, element_type: Tensor) -> Tensor:
    """``(..., 3)`` eta, sin phi, cos phi: of a track extrapolated to the ECAL where it gets there, of any other element itself."""
    eta, phi = clean[..., FEATURE_INDEX["eta_ecal"]], clean[..., FEATURE_INDEX["phi_ecal"]]
    own = clean[..., FEATURE_INDEX["eta"] : FEATURE_INDEX["cos_phi"] + 1]
    return torch.where(reaches_calorimeter(clean, element_type).unsqueeze(-1), torch.stack([eta, phi.sin(), phi.cos()], dim=-1), own)
