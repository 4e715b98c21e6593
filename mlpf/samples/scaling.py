"""The ``scaling`` section, and what a model does to its features: z = (t(x) - shift) / width, limited, with t(x) = x or sign(x) log(1 + abs(x))."""

from typing import Literal, NamedTuple, Self

import numpy as np
import pydantic

from mlpf.config import Config
from mlpf.errors import nearest
from mlpf.features import ANGLE_FEATURES, SCALED_FEATURES
from mlpf.samples.histogram import bin_values
from mlpf.samples.statistics import ALL_TYPES, FeatureStatistics, FeatureSummary

# Spread over decades.
HEAVY_TAILED = (
    "pt", "energy", "px", "py", "pz", "muon_dt_hits", "muon_csc_hits", "muon_type", "deltap", "sigmadeltap", "num_hits", "cluster_flags",
    "corr_energy", "corr_energy_err", "vx", "vy", "vz", "pterror", "time", "timeerror", "sigma_x", "sigma_y", "sigma_z",
)  # fmt: skip
MIN_STD = 1e-6  # below it is the rounding of a constant
_WITHIN_ONE_SIGMA = (0.1586552539314571, 0.5, 0.8413447460685429)

Method = Literal["none", "linear", "normal", "log"]


class FeatureScaling(Config):
    """How one feature is scaled; what is left out is as for all features."""

    method: Method | None = None
    """none: z = x; linear: z = a x + b; normal: z = (x - mean) / std; log: the same of sign(x) log(1 + abs(x))."""
    a: float = pydantic.Field(default=1.0, allow_inf_nan=False)
    """Factor of the method linear."""
    b: float = pydantic.Field(default=0.0, allow_inf_nan=False)
    """Summand of the method linear."""
    low: float | None = pydantic.Field(default=None, allow_inf_nan=False)
    """Smaller z become this."""
    high: float | None = pydantic.Field(default=None, allow_inf_nan=False)
    """Larger z become this."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.method != "linear" and (self.a, self.b) != (1.0, 0.0):
            raise ValueError(f"a and b belong to the method linear, not to {self.method}")
        if self.a == 0.0:
            raise ValueError("a must not be 0")
        return self


class ScalingConfig(Config):
    """How a model's features are scaled."""

    method: Literal["auto", "none", "normal", "log"] = "auto"
    """Of all features without a method of their own; auto: log for energies, momenta, positions, times and counts, which spread over decades, else normal."""
    width: Literal["std", "quantiles"] = "std"
    """What shifts and divides: mean and standard deviation, or the median and half of the interval that holds 68 %, which outliers leave alone."""
    low: float = pydantic.Field(default=-10.0, allow_inf_nan=False)
    """Smaller z become this, so that a value outside the training range does not swamp its element."""
    high: float = pydantic.Field(default=10.0, allow_inf_nan=False)
    """Larger z become this."""
    features: dict[str, FeatureScaling] = {}
    """By name, what differs for single features: ``{pt: {method: log}, charge: {method: none}}``."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.features:
            if name in (*ANGLE_FEATURES, "type"):
                raise ValueError(f"features: '{name}' is not scaled: angles enter as sine and cosine, the type embedded")
            if name not in SCALED_FEATURES:
                raise ValueError(f"features: unknown feature '{name}'{nearest(name, SCALED_FEATURES)}")
        for name in ("", *self.features):
            low, high = self.limits(name)
            if not low < high:
                raise ValueError(f"{f'features: {name}: ' if name else ''}low must be below high (found {low:g} and {high:g})")
        return self

    def method_of(self, name: str) -> Method:
        """Method of a feature."""
        own = self.features.get(name, FeatureScaling()).method
        if own is not None:
            return own
        if self.method == "auto":
            return "log" if name in HEAVY_TAILED else "normal"
        return self.method

    def limits(self, name: str) -> tuple[float, float]:
        """Lowest and highest z of a feature."""
        own = self.features.get(name, FeatureScaling())
        return self.low if own.low is None else own.low, self.high if own.high is None else own.high


class Scaling(NamedTuple):
    """Numbers of z = (t(x) - shift) / width for the F `SCALED_FEATURES` of T element types.

    Attributes:
        logarithmic: ``(F,) bool`` t(x) = sign(x) log(1 + abs(x)), else x.
        shift, width: ``(T, F) float32``.
        low, high: ``(F,) float32`` limits of z.
    """

    logarithmic: np.ndarray
    shift: np.ndarray
    width: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def apply(self, values: np.ndarray, element_type: np.ndarray) -> np.ndarray:
        """Scaled features: ``(N, F)`` clean values of `SCALED_FEATURES` and ``(N,)`` types -> ``(N, F) float32``, as the model computes them."""
        values = values.astype(np.float32)
        transformed = np.where(self.logarithmic, signed_log(values), values)
        return np.clip((transformed - self.shift[element_type]) / self.width[element_type], self.low, self.high)


def signed_log(x: np.ndarray) -> np.ndarray:
    """sign(x) log(1 + abs(x))."""
    return np.sign(x) * np.log1p(np.abs(x))


def make_scaling(statistics: FeatureStatistics, config: ScalingConfig) -> Scaling:
    """Scaling of the features that statistics describe.

    A type without elements is scaled as the elements of all types together; the width of a constant feature is 1. Statistics of no element shift and divide
    nothing.
    """
    summary = statistics.summary()
    quantiles = statistics.quantiles(_WITHIN_ONE_SIGMA) if config.width == "quantiles" else None
    shift, width = np.zeros((2, ALL_TYPES + 1, len(SCALED_FEATURES)))
    width += 1.0
    for i, name in enumerate(SCALED_FEATURES):
        method = config.method_of(name)
        if method == "linear":
            own = config.features[name]
            shift[:, i], width[:, i] = -own.b / own.a, 1.0 / own.a
        elif method != "none":
            shift[:, i], width[:, i] = _center_and_width(summary, None if quantiles is None else quantiles[:, i], i, method == "log")
    empty = summary.num_elements == 0
    shift[empty], width[empty] = shift[ALL_TYPES], width[ALL_TYPES]
    low, high = np.array([config.limits(name) for name in SCALED_FEATURES], dtype=np.float32).T
    return Scaling(
        logarithmic=np.array([config.method_of(name) == "log" for name in SCALED_FEATURES]),
        shift=shift[:ALL_TYPES].astype(np.float32),
        width=width[:ALL_TYPES].astype(np.float32),
        low=low,
        high=high,
    )


def _center_and_width(summary: FeatureSummary, quantiles: np.ndarray | None, feature: int, logarithmic: bool) -> tuple[np.ndarray, np.ndarray]:
    """``(T + 1,)`` each, of one feature; ``quantiles (T + 1, 3)`` take the place of mean and std where more than one value lies within one sigma."""
    mean, std = (summary.log_mean, summary.log_std) if logarithmic else (summary.mean, summary.std)
    center, width = mean[:, feature], std[:, feature]
    if quantiles is not None:
        low, median, high = (signed_log(quantiles) if logarithmic else quantiles).T
        spread = (high - low) / 2 > MIN_STD
        center, width = np.where(spread, median, center), np.where(spread, (high - low) / 2, width)
    return np.nan_to_num(center), np.where(width > MIN_STD, width, 1.0)


def limited_fraction(statistics: FeatureStatistics, scaling: Scaling) -> np.ndarray:
    """``(T, F)`` share of the values whose z is beyond the limits, as far as the bins of the histogram tell; 0 without elements."""
    fraction = np.zeros(scaling.shift.shape)
    for i in range(len(SCALED_FEATURES)):
        low, high = statistics.extremes[i].T
        filled = statistics.counts.any(axis=0)
        x = bin_values(low[filled].astype(float), high[filled].astype(float))
        z = ((signed_log(x) if scaling.logarithmic[i] else x) - scaling.shift[filled, i, None]) / scaling.width[filled, i, None]
        beyond = (z < scaling.low[i]) | (z > scaling.high[i])
        fraction[filled, i] = (statistics.histogram[i, filled] * beyond).sum(axis=1) / statistics.counts.sum(axis=0)[filled]
    return fraction
