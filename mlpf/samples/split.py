"""Training, validation and test events by a hash of their identity: the same event lands in the same split in every file, order and dataset."""

from typing import Any, Self

import numpy as np
import pydantic

from mlpf.config import Config
from mlpf.hashes import splitmix64

SPLITS = ("train", "validation", "test")


class SplitConfig(Config):
    """How events are shared between training, validation and test: by fractions, or by k folds of which each model keeps another one for its test."""

    train: float = pydantic.Field(default=0.8, ge=0.0, le=1.0)
    """Fraction of events that a model learns from."""
    validation: float = pydantic.Field(default=0.1, ge=0.0, le=1.0)
    """Fraction that selects the best epoch."""
    test: float = pydantic.Field(default=0.1, ge=0.0, le=1.0)
    """Fraction that no training sees."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Another seed shares the events out differently."""
    folds: int | None = pydantic.Field(default=None, ge=3)
    """Number k of equal parts: test is the part ``fold``, validation the next one, training all others. The fractions then mean nothing and are forgotten."""
    fold: int = pydantic.Field(default=0, ge=0)
    """Part that is the test, 0 to k - 1; k models, one for each, together have a prediction for every event by a model that has not seen it."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _folds_take_the_place_of_fractions(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("folds") is not None:  # a parameter file's fractions, overridden
            return {name: value for name, value in values.items() if name not in SPLITS}
        return values

    @pydantic.model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        if abs(self.train + self.validation + self.test - 1.0) > 1e-6:
            raise ValueError("train, validation and test must sum to 1")
        return self

    @pydantic.model_validator(mode="after")
    def _fold_exists(self) -> Self:
        if self.folds is None and self.fold != 0:
            raise ValueError(f"fold {self.fold} of how many? set folds, too")
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds} does not exist; choose 0 to {self.folds - 1}")
        return self

    @pydantic.model_serializer(mode="wrap")
    def _only_what_applies(self, serialize: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Fractions or folds: what is written down says nothing that does not hold, and without folds the same as before there were any."""
        unused = ("folds", "fold") if self.folds is None else SPLITS
        return {name: value for name, value in serialize(self).items() if name not in unused}


def split_index(run: np.ndarray, lumi: np.ndarray, event: np.ndarray, config: SplitConfig) -> np.ndarray:
    """``(B,) int8`` position in `SPLITS` of each event, from its ``(B,)`` integer run, luminosity block and event number."""
    if config.folds is None:
        edges = np.cumsum([config.train, config.validation])
        return np.searchsorted(edges, uniform_hash(run, lumi, event, config.seed), side="right").astype(np.int8)
    after_test = (fold_index(run, lumi, event, config) - config.fold) % config.folds
    return np.select([after_test == 0, after_test == 1], [SPLITS.index("test"), SPLITS.index("validation")], SPLITS.index("train")).astype(np.int8)


def in_split(run: np.ndarray, lumi: np.ndarray, event: np.ndarray, split: str | None, config: SplitConfig) -> np.ndarray:
    """``(B,) bool``: which events belong to a split, one of `SPLITS`; all do if it is None."""
    if split is None:
        return np.ones(len(event), dtype=bool)
    return split_index(run, lumi, event, config) == SPLITS.index(split)


def fold_index(run: np.ndarray, lumi: np.ndarray, event: np.ndarray, config: SplitConfig) -> np.ndarray:
    """``(B,) int64`` fold of each event, 0 to k - 1, equally probable; it depends on ``config.seed`` and ``config.folds``, not on ``config.fold``."""
    assert config.folds is not None, "no folds, but fractions"
    return (uniform_hash(run, lumi, event, config.seed) * config.folds).astype(np.int64)  # below k: the largest hash is 1 - 2^-53


def uniform_hash(run: np.ndarray, lumi: np.ndarray, event: np.ndarray, seed: int = 0) -> np.ndarray:
    """``(B,) float64`` in [0, 1), a function of (seed, run, lumi, event) only, as good as random."""
    state = np.full(np.shape(event), seed, dtype=np.uint64)
    for value in (run, lumi, event):
        state = splitmix64(state ^ np.asarray(value).astype(np.uint64))
    return (state >> np.uint64(11)) * 2.0**-53  # the 53 bits that a float64 holds
