"""Section ``mix`` of a parameter file."""

import re
from collections import Counter
from itertools import pairwise
from typing import Annotated, Literal

import pydantic

from mlpf import schema
from mlpf.config import Config

Variable = Literal["leading_jet_pt", "leading_jet_eta", "ht", "num_elements", "num_consumer_elements"]
Duplicates = Literal["numbers", "elements"]
Parity = Literal["none", "even", "odd"]

KEPT_COLUMNS = (*schema.IDENTITY, "source")
"""Columns that no mixture goes without."""


def _increasing(edges: tuple[float, ...]) -> tuple[float, ...]:
    if len(edges) < 2 or not all(low < high for low, high in pairwise(edges)):
        raise ValueError("expected two or more edges, each larger than the one before")
    return edges


Edges = Annotated[tuple[float, ...], pydantic.AfterValidator(_increasing)]


class SourceConfig(Config):
    """A sample."""

    name: str = pydantic.Field(pattern=r"^\w[\w.-]*$")
    """Its name in the manifest, and with mode per_entry that of its folder."""
    type: str = pydantic.Field(min_length=1)
    """Sources of one type share its bins."""
    datasets: tuple[str, ...] = pydantic.Field(min_length=1)
    """Its datasets: folders, globs of folders (``output/qcd_*``), or ``re:`` and a regular expression, which whole paths match that lie below the plain folder
    it begins with (``re:output/qcd_[0-9]+``)."""
    weight: float = pydantic.Field(default=1.0, ge=1e-100, le=1e100)  # so that their ratios and sums are numbers
    """Its share in a bin's quota, relative to those of the other sources of its type."""

    @pydantic.field_validator("datasets")
    @classmethod
    def _valid_expressions(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if pattern.startswith("re:"):
                try:
                    re.compile(pattern[3:])
                except re.error as error:
                    raise ValueError(f"'{pattern}' is no regular expression: {error}") from error
        return patterns


class MixConfig(Config):
    """What is mixed, and how."""

    sources: tuple[SourceConfig, ...] = pydantic.Field(min_length=1)
    """The samples; the column ``source`` of the mixture is the position in this list."""
    bins: dict[Variable, Edges] = {}
    """Edges of bins in variables of the event (the lower edge belongs to a bin, the upper one does not); events outside of them are left out."""
    max_bin_occupancy: int | None = pydantic.Field(default=None, ge=1)
    """Most events of a bin (one type in one cell of all variables); without it, all that there are."""
    calc_weights: bool = False
    """Write a column ``weight`` with which every bin counts the same, 1 on average over the whole mixture."""
    ensure_uniformity: bool = False
    """Stop with the last event of the bin that runs dry first."""
    mode: Literal["all", "per_entry"] = "all"
    """One dataset of all sources, or one per source, in a folder of its name."""
    disabled_columns: tuple[str, ...] = ()
    """Columns neither read nor copied: names or shell patterns (``candidate_*``)."""
    parity: Parity = "none"
    """Use only events of even or odd number."""
    duplicates: Duplicates = "numbers"
    """What makes an event of a source the duplicate of an earlier one: the same run, lumi and event number, or besides the same elements. A source that is a
    mixture, whose samples may have the same numbers, always takes the elements."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Another seed gives another order."""
    events_per_shard: int = pydantic.Field(default=2048, ge=1)
    """Events of each shard but the last."""

    @pydantic.field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[SourceConfig, ...]) -> tuple[SourceConfig, ...]:
        name, count = Counter(source.name for source in sources).most_common(1)[0]
        if count > 1:
            raise ValueError(f"{count} sources have the name '{name}'; give each its own")
        return sources

    @pydantic.field_validator("disabled_columns")
    @classmethod
    def _keeps_what_is_needed(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        needed = next((name for name in names if name in KEPT_COLUMNS), None)
        if needed:
            raise ValueError(f"'{needed}' tells events apart and cannot be disabled")
        return names
