"""Section ``plot`` of parameter files."""

from typing import Annotated, Literal, Self

import numpy as np
import pydantic

from mlpf.config import Config

Normalise = Literal["entries", "events", "no"]
Log = Literal["auto", "always", "never"]


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], pydantic.BeforeValidator(_as_tuple)]


class SampleConfig(Config):
    """One sample: files or datasets of one kind that are drawn as one."""

    name: str = pydantic.Field(min_length=1)
    """What the legend calls it."""
    path: Texts = pydantic.Field(min_length=1)
    """A file or folder, or several; ``*`` and ``?`` stand for any."""
    cut: Texts = ()
    """Which entries and events to use, see `mlpf.selection`; of several, all hold."""


class BinningConfig(Config):
    """Bins of a column: either their edges, or a range and a number."""

    edges: tuple[float, ...] = ()
    """All edges, in increasing order."""
    low: float | None = None
    """First edge."""
    high: float | None = None
    """Last edge."""
    bins: int = pydantic.Field(50, ge=1, le=10_000)
    """Number of bins between them."""
    log: bool = False
    """Bins of equal ratio instead of equal width."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.edges) == (self.low is not None or self.high is not None):
            raise ValueError("give either edges, or low and high")
        values = self.values()
        if len(values) < 2 or not (np.isfinite(values).all() and (np.diff(values) > 0).all()):
            raise ValueError("edges have to increase, and be two at least")
        if self.log and values[0] <= 0:
            raise ValueError("a logarithmic axis needs all edges above 0")
        return self

    def values(self) -> np.ndarray:
        """``(bins + 1,)`` edges.

        Raises:
            ValueError: one end is missing, or bins of equal ratio do not start above 0.
        """
        if self.edges:
            return np.array(self.edges)
        if self.low is None or self.high is None:
            raise ValueError("give both low and high")
        if not self.log:
            return np.linspace(self.low, self.high, self.bins + 1)
        if min(self.low, self.high) <= 0:
            raise ValueError("bins of equal ratio need low and high above 0")
        return np.geomspace(self.low, self.high, self.bins + 1)


class PlotConfig(Config):
    """What to draw of which samples."""

    samples: tuple[SampleConfig, ...] = ()
    """The first is what the others are divided by."""
    cut: Texts = ()
    """Cuts on all samples."""
    columns: Texts = ("*",)
    """Names of columns, ``*`` and ``?`` stand for any; also ``num_<collection>``, the number of entries per event."""
    pairs: tuple[tuple[str, str], ...] | None = None
    """Columns to draw against each other, horizontal and vertical; by default a few that make sense."""
    binnings: dict[str, BinningConfig] = {}
    """Bins of columns that are not to be chosen by their values."""
    weighted: bool = False
    """Weigh events and their entries by the column ``weight``, as training does; in samples without it, all have the weight 1."""
    normalise: Normalise = "entries"
    """Divide by all finite entries of the sample, by its events, or not at all."""
    log: Log = "auto"
    """Logarithmic axes: where they help, vertical ones always, or never any."""
    events: int | None = pydantic.Field(None, ge=1)
    """Only the first events of every sample."""

    @pydantic.field_validator("samples")
    @classmethod
    def _distinct(cls, samples: tuple[SampleConfig, ...]) -> tuple[SampleConfig, ...]:
        names = [sample.name for sample in samples]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated:
            raise ValueError(f"two samples are called '{repeated}'")
        return samples
