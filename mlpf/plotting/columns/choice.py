"""Which columns and pairs are drawn, in which bins, and under which titles."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from mlpf import schema
from mlpf.errors import ConfigError, MlpfError, nearest
from mlpf.plotting.columns.binning import Binning, choose_binning, explicit
from mlpf.plotting.columns.config import PlotConfig
from mlpf.plotting.columns.figures import Described
from mlpf.plotting.columns.samples import Sample, survey
from mlpf.selection import collection_of, counted_by

DEFAULT_PAIRS = (
    ("element_eta", "element_phi"),
    ("element_eta", "element_pt"),
    ("element_type", "target_class"),
    ("target_class", "candidate_class"),
    ("element_pt", "target_pt"),
    ("caloparticle_eta", "caloparticle_pt"),
    ("particle_eta", "particle_pt"),
    ("genjet_eta", "genjet_pt"),
    ("mlpfcandidate_eta", "mlpfcandidate_pt"),
    ("num_element", "genmet_pt"),
)
"""Drawn where all samples have them, unless a parameter file or the command line names others."""
EVENT_GROUP = "event"


def choose_columns(samples: Sequence[Sample], config: PlotConfig) -> list[str]:
    """Columns of any sample that match the patterns, in the order of the layouts.

    Raises:
        MlpfError: a pattern matches none.
    """
    order = dict.fromkeys(name for layout in (schema.DATASET, schema.NTUPLE, schema.CANDIDATES) for name in _with_multiplicities(layout))
    there = set().union(*(sample.columns for sample in samples))
    for pattern in config.columns:
        if not any(fnmatchcase(name, pattern) for name in there):
            raise MlpfError(f"no sample has a column '{pattern}'{nearest(pattern, there)}")
    for name in config.binnings:
        if name not in order:
            raise ConfigError(f"binnings: no column '{name}'{nearest(name, order)}")
    return [name for name in order if name in there and any(fnmatchcase(name, pattern) for pattern in config.columns)]


def _with_multiplicities(layout: schema.Layout) -> list[str]:
    """All columns; before those of a collection, its number of entries."""
    return [
        name
        for collection in layout.collections
        for name in (f"num_{collection}", *layout.names(collection))
        if name in layout.columns or counted_by(name, layout) is not None
    ]


def choose_pairs(samples: Sequence[Sample], config: PlotConfig, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs that were asked for; else those by default whose columns are drawn.

    Raises:
        MlpfError: no sample has both columns, or they are of different collections.
    """
    if config.pairs is None:
        return [pair for pair in DEFAULT_PAIRS if set(pair) <= set(columns) and any(set(pair) <= sample.columns for sample in samples)]
    for pair in config.pairs:
        there = set().union(*(sample.columns for sample in samples))
        for column in pair:
            if column not in there:
                raise MlpfError(f"pair {':'.join(pair)}: no sample has a column '{column}'{nearest(column, there)}")
        holding = [sample for sample in samples if set(pair) <= sample.columns]
        if not holding:
            raise MlpfError(f"pair {':'.join(pair)}: no sample has both columns")
        collections = {collection_of(column, sample.layout) for sample in holding for column in pair} - {None}
        if len(collections) > 1:
            raise MlpfError(f"pair {':'.join(pair)}: {' and '.join(sorted(map(str, collections)))} have different entries; take two columns of one collection")
    return list(dict.fromkeys(config.pairs))


def choose_binnings(samples: Sequence[Sample], columns: Sequence[str], pairs: Sequence[tuple[str, str]], config: PlotConfig) -> dict[str, Binning]:
    """Bins of all columns that have finite values."""
    wanted = list(dict.fromkeys([*columns, *(name for pair in pairs for name in pair)]))
    unknown = [name for name in wanted if name not in config.binnings]
    found: dict[str, list[np.ndarray]] = {name: [] for name in unknown}
    for sample in samples:
        for name, values in survey(sample, [name for name in unknown if name in sample.columns]).items():
            found[name].append(values)
    binnings = {name: explicit(config.binnings[name]) for name in wanted if name in config.binnings}
    for name, of_samples in found.items():
        binning = choose_binning(name, np.concatenate(of_samples), config.log != "never")
        if binning is not None:
            binnings[name] = binning
    return binnings


def describe(name: str, samples: Sequence[Sample]) -> Described:
    """What is known of a column, from the layout of the first sample that has it."""
    layout = next(sample.layout for sample in samples if name in sample.columns)
    counted = counted_by(name, layout)
    if counted is not None:
        return Described(name, EVENT_GROUP, "", f"number of entries of {counted} per event")
    column, prefix = layout.columns[name], name.partition("_")[0]
    group = prefix if prefix in ("target", "candidate") else layout.collection_of[name]
    meaning = "" if column.meaning == name.removeprefix(f"{prefix}_") else column.meaning
    return Described(name, EVENT_GROUP if collection_of(name, layout) is None else group, column.unit, meaning)
