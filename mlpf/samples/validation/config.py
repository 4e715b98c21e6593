"""What the shards of a dataset are compared in."""

from typing import Literal, Self

import numpy as np
import pydantic

from mlpf.config import Config

Grouping = Literal["source", "class", "type", "multiplicity"]
Inside = Literal["pt", "eta"]
COARSE = 5  # bins of a histogram that make one bin of a figure, and one whose error is known


class Binning(Config):
    """Equal bins in a value or its logarithm, and one for all below, one for all above."""

    low: pydantic.FiniteFloat
    """Upper edge of the first bin."""
    high: pydantic.FiniteFloat
    """Lower edge of the last bin."""
    num_bins: int = pydantic.Field(gt=0, le=10_000, multiple_of=COARSE)
    """Bins between them. The more, the smaller the differences that are seen; beyond some hundred nothing is gained."""
    logarithmic: bool = False
    """Equal bins in the logarithm."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high or (self.logarithmic and self.low <= 0):
            raise ValueError(f"low must lie below high, and above 0 where logarithmic; found {self.low:g} and {self.high:g}")
        return self

    @property
    def edges(self) -> np.ndarray:
        """``(num_bins + 1,)`` all finite edges."""
        return (np.geomspace if self.logarithmic else np.linspace)(self.low, self.high, self.num_bins + 1)


class ValidationConfig(Config):
    """Which parts of a dataset are compared, in what, and when they differ."""

    chunks: int | None = pydantic.Field(default=None, ge=2)
    """Compare so many equal stretches of events; None: the shards. Each takes about 0.1 MB of memory, however many events it holds."""
    reference: Literal["rest", "first"] = "rest"
    """Compare each with all others together, or with the first."""
    threshold: float = pydantic.Field(default=0.05, gt=0.0, lt=1.0)
    """p-values below are warnings; the dataset fails if one lies below the threshold divided by the number of tests (Bonferroni)."""
    variables: tuple[Grouping, ...] = pydantic.Field(default=("source", "class", "type", "multiplicity"), min_length=1)
    """What is compared: source of the events, class of the targets, type and number of the elements. Shards of `mlpf postprocess` hold one input file each,
    which is their source: leave it out to compare shards before they are mixed."""
    inside: tuple[Inside, ...] = ("pt", "eta")
    """What is compared inside every bin of the variables: momenta of targets in each class, else of elements."""
    min_events: int = pydantic.Field(default=25, ge=2)
    """Bins that fewer events contribute to on either side are skipped; weighted events count as many as those of equal weight that would fluctuate as much."""
    weighted: bool = False
    """Weigh events with the dataset's column `weight`. Parts that hold the same events do so with weights and without, and weights only add to the errors."""
    pt: Binning = Binning(low=0.02, high=2000.0, num_bins=200, logarithmic=True)
    """Bins in pt [GeV]."""
    eta: Binning = Binning(low=-6.0, high=6.0, num_bins=240)
    """Bins in eta."""
    multiplicity: Binning = Binning(low=10.0, high=100_000.0, num_bins=200, logarithmic=True)
    """Bins in the number of elements."""
    multiplicity_edges: tuple[int, ...] = (100, 200, 400, 800, 1600, 3200, 6400)
    """Edges of the few bins in the number of elements inside which pt and eta are compared; below the first and above the last there is one more."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if list(self.multiplicity_edges) != sorted(set(self.multiplicity_edges)):
            raise ValueError(f"multiplicity_edges must grow, found {list(self.multiplicity_edges)}")
        for name in ("variables", "inside"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name}: each once, found {', '.join(getattr(self, name))}")
        return self
