"""The datasets that a mixture is made of: found by patterns, checked to fit together."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mlpf import schema
from mlpf.errors import ConfigError, DatasetError, nearest
from mlpf.io.shards import MANIFEST, ShardedDataset
from mlpf.samples.mixing.config import KEPT_COLUMNS, MixConfig, SourceConfig

_SPECIAL = set(".^$*+?{}[]\\|()")  # characters that mean something in a regular expression
_POLICY = ("policy", "policy_options")


@dataclass(frozen=True)
class Source:
    """A sample and its datasets, in the order of their paths."""

    config: SourceConfig
    datasets: tuple[ShardedDataset, ...]


def open_sources(configs: Sequence[SourceConfig]) -> list[Source]:
    """Find and open all datasets.

    Raises:
        ConfigError: a pattern finds nothing, or two sources share a folder.
        DatasetError: a folder is no dataset, or its targets were made otherwise than those of the first.
    """
    owners: dict[Path, str] = {}
    sources = []
    for config in configs:
        folders = find_folders(config)
        for folder in folders:
            owner = owners.setdefault(folder.resolve(), config.name)
            if owner != config.name:
                raise ConfigError(f"{folder}: belongs to the sources '{owner}' and '{config.name}'; name it in one of them")
        sources.append(Source(config, tuple(ShardedDataset(folder) for folder in folders)))
    _check_policies([dataset for source in sources for dataset in source.datasets])
    return sources


def find_folders(config: SourceConfig) -> list[Path]:
    """Folders of the datasets that a source names, sorted, each once."""
    found: dict[Path, Path] = {}
    for pattern in config.datasets:
        folders = sorted(_matches(pattern))
        if not folders:
            raise ConfigError(f"source '{config.name}': '{pattern}' finds no dataset (a folder with {MANIFEST}); correct the path")
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    return sorted(found.values())


def _matches(pattern: str) -> Iterator[Path]:
    if pattern.startswith("re:"):
        expression = pattern[3:]
        yield from (Path(folder) for folder in _datasets_below(_plain_beginning(expression)) if re.fullmatch(expression, folder))
    elif glob.has_magic(pattern):
        matches = map(Path, glob.iglob(pattern, recursive=True))  # noqa: PTH207  Path.glob takes no absolute patterns
        yield from (folder for folder in matches if (folder / MANIFEST).is_file())
    elif Path(pattern).exists():
        yield Path(pattern)


def _plain_beginning(expression: str) -> str:
    """The longest leading folder of a regular expression without special characters, empty if there is none."""
    parts = expression.split("/")[:-1]  # as it is written, with any leading ``./``
    special = (i for i, part in enumerate(parts) if part not in (".", "..") and _SPECIAL & set(part))
    base = "/".join(parts[: next(special, len(parts))])
    return base or "/" * expression.startswith("/")


def _datasets_below(base: str) -> Iterator[str]:
    """Paths of datasets, ``base`` included, written with ``base`` in front; nothing is looked for inside a dataset or a hidden folder."""
    for folder, folders, files in os.walk(base or "."):
        if MANIFEST in files:
            yield folder.removeprefix("./") if not base else folder
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]


def is_mixture(dataset: ShardedDataset) -> bool:
    """Whether a dataset was made by ``mlpf mix``: its sources are samples with names, not files."""
    return any("name" in source for source in dataset.manifest.get("sources", ()))


def _check_policies(datasets: Sequence[ShardedDataset]) -> None:
    first = datasets[0]
    for dataset in datasets[1:]:
        for key in _POLICY:
            if dataset.manifest.get(key) != first.manifest.get(key):
                found, expected = (d.manifest.get("policy") for d in (dataset, first))
                raise DatasetError(
                    f"{dataset.path}: its targets are not made as those of {first.path} ({key} differs; policies {found}, {expected}); "
                    "make one of them again with mlpf postprocess"
                )


def common_columns(datasets: Sequence[ShardedDataset], config: MixConfig) -> tuple[str, ...]:
    """Columns to copy, in the order of the schema: those of every dataset that are not disabled, without those that the mixture has of its own.

    Raises:
        DatasetError: a dataset lacks a column that another one has.
        ConfigError: what is disabled is in none of them.
    """
    held = {dataset.path: set(dataset.read_groups(0, ()).columns) for dataset in datasets if dataset.shards}
    known = set().union(*held.values())
    for pattern in config.disabled_columns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ConfigError(f"mix: disabled_columns: no dataset has a column '{pattern}'{nearest(pattern, known)}")
    disabled = {name for name in known if any(fnmatchcase(name, pattern) for pattern in config.disabled_columns)} - set(KEPT_COLUMNS)
    own = {"source", "weight"} if config.calc_weights else {"source"}
    wanted = [name for name in schema.DATASET.columns if name in known - disabled - own]
    for name in wanted:
        lacking = next((folder for folder, columns in held.items() if name not in columns), None)
        if lacking is not None:
            having = next(folder for folder, columns in held.items() if name in columns)
            raise DatasetError(f"{lacking}: no column '{name}', which {having} has; add it to disabled_columns, or make the dataset again")
    return tuple(wanted)
