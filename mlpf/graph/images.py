"""Eta-phi images: what lies where, one channel per element type or particle class, as the first networks on such ntuples took it.

The azimuth is periodic: the bin edges are exact, pi is -pi, and any number of turns is the same. Nothing outside the range in eta is counted anywhere.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from mlpf import schema
from mlpf.config import ClassName, Config, TypeName
from mlpf.errors import DatasetError
from mlpf.events import Events
from mlpf.io.files import atomic_file
from mlpf.schema import CLASSES, CandidateClass, ElementType

Content = Literal["elements", "targets", "candidates"]
METADATA = b"mlpf_images"
ROWS_PER_GROUP = 64  # some 10 MB of pixels


class ImageConfig(Config):
    """Which images, and of what size."""

    contents: tuple[Content, ...] = pydantic.Field(default=("elements", "targets"), min_length=1)
    """Images per event: of elements (what a network sees), of targets (what it should answer), of rule-based candidates (what to compare with)."""
    num_eta: int = pydantic.Field(default=104, gt=0)
    """Bins in eta."""
    num_phi: int = pydantic.Field(default=72, gt=0)
    """Bins in phi, from -pi to pi; 72 are the towers of the barrel."""
    eta_range: tuple[pydantic.FiniteFloat, pydantic.FiniteFloat] = (-5.2, 5.2)
    """First and last edge in eta, by default those of the forward calorimeter; what lies outside, or on the last edge, is in no image."""
    quantity: Literal["energy", "pt", "count"] = "energy"
    """What is summed in a bin [GeV], or counted."""
    types: tuple[TypeName, ...] = (
        ElementType.TRACK,
        ElementType.ECAL,
        ElementType.HCAL,
        ElementType.GSF,
        ElementType.HFEM,
        ElementType.HFHAD,
        ElementType.HO,
    )
    """Channels of the elements; other types are in no image."""
    classes: tuple[ClassName, ...] = tuple(c for c in CLASSES if c not in (CandidateClass.NONE, CandidateClass.TAU))
    """Channels of targets and candidates; other classes are in no image."""

    @pydantic.model_validator(mode="after")
    def _check_range(self) -> "ImageConfig":
        if not self.eta_range[0] < self.eta_range[1]:
            raise ValueError(f"eta_range: the first edge must lie below the last, found {self.eta_range}")
        for name, channels in (("types", self.types), ("classes", self.classes)):
            if not channels or len(set(channels)) < len(channels):
                raise ValueError(f"{name}: at least one, each once, found {', '.join(channel.name for channel in channels) or 'none'}")
        return self

    def channels(self, content: Content) -> tuple[ElementType | CandidateClass, ...]:
        """What the channels of an image stand for."""
        return self.types if content == "elements" else self.classes

    @property
    def eta_edges(self) -> np.ndarray:
        """``(num_eta + 1,)`` edges of the bins."""
        return np.linspace(*self.eta_range, self.num_eta + 1)

    @property
    def phi_edges(self) -> np.ndarray:
        """``(num_phi + 1,)`` edges of the bins [rad]."""
        return np.linspace(-np.pi, np.pi, self.num_phi + 1)


class Images(NamedTuple):
    """Images of B events in C channels.

    Attributes:
        values: ``(B, C, num_eta, num_phi) float32`` GeV or counts.
        num_outside: ``(B, C) int64`` entries of the channels that lie outside the range in eta, or whose direction or energy is not finite.
    """

    values: np.ndarray
    num_outside: np.ndarray


def eta_phi_images(events: Events, config: ImageConfig, content: Content = "elements") -> Images:
    """Images of events, in one pass over their elements.

    Args:
        events: of a dataset; for ``elements`` also of an ntuple.
        config: binning, quantity and channels.
        content: what to draw, see `ImageConfig.contents`. Targets and candidates lie where their own momentum points.
    """
    prefix = content.removesuffix("s")
    eta, phi, kind = events[f"{prefix}_eta"].astype(np.float64), _phi(events, prefix), events[f"{prefix}_{'type' if content == 'elements' else 'class'}"]
    weight = np.ones(len(eta)) if config.quantity == "count" else events[f"{prefix}_{config.quantity}"].astype(np.float64)
    channels = config.channels(content)
    channel = np.full(len(kind), -1)
    for number, wanted in enumerate(channels):
        channel[kind == wanted] = number
    return Images(*_fill(events.collection_offsets("element"), channel, eta, phi, weight, config.eta_edges, config.phi_edges, len(channels)))


def _phi(events: Events, prefix: str) -> np.ndarray:
    if prefix == "element":
        return events["element_phi"].astype(np.float64)
    return np.arctan2(events[f"{prefix}_sin_phi"].astype(np.float64), events[f"{prefix}_cos_phi"].astype(np.float64))


@numba.njit(cache=True)
def _fill(
    offsets: np.ndarray,
    channel: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    weight: np.ndarray,
    eta_edges: np.ndarray,
    phi_edges: np.ndarray,
    num_channels: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of ``weight`` and counts of what is outside; entries of channel -1 are in neither."""
    num_events, num_phi = len(offsets) - 1, len(phi_edges) - 1
    values = np.zeros((num_events, num_channels, len(eta_edges) - 1, num_phi), dtype=np.float32)
    num_outside = np.zeros((num_events, num_channels), dtype=np.int64)
    for event in range(num_events):
        for i in range(offsets[event], offsets[event + 1]):
            if channel[i] < 0:
                continue
            if eta_edges[0] <= eta[i] < eta_edges[-1] and np.isfinite(phi[i]) and np.isfinite(weight[i]):
                wrapped = phi[i] - 2.0 * np.pi * np.floor((phi[i] + np.pi) / (2.0 * np.pi))
                # The last edge in phi, reached by rounding only, is the first.
                values[event, channel[i], _bin(eta[i], eta_edges), _bin(wrapped, phi_edges) % num_phi] += weight[i]
            else:
                num_outside[event, channel[i]] += 1
    return values, num_outside


@numba.njit(cache=True)
def _bin(value: float, edges: np.ndarray) -> int:
    """Bin of a value between equidistant edges, the lower edge inclusive: by division, then by comparing with the edges, as division rounds."""
    last = len(edges) - 2
    guess = min(max(int((value - edges[0]) / (edges[-1] - edges[0]) * (last + 1)), 0), last)
    if value < edges[guess]:
        return guess - 1
    return guess + 1 if value >= edges[guess + 1] else guess


def images_table(events: Events, config: ImageConfig) -> pa.Table:
    """Images of a dataset's events as an Arrow table: one row per event, with event, run and lumi to find it by.

    Per content a column ``image_<content>`` of tensors (channel, eta, phi), and ``outside_<content>`` with the counts of what no image shows. The metadata of
    the schema hold the configuration, and with it the meaning of channels and bins.
    """
    arrays: dict[str, pa.Array] = {name: pa.array(events[name].astype(np.int64)) for name in schema.IDENTITY}
    for content in config.contents:
        images = eta_phi_images(events, config, content)
        shape = images.values.shape[1:]
        kind = pa.fixed_shape_tensor(pa.float32(), shape, dim_names=["channel", "eta", "phi"])
        pixels = pa.FixedSizeListArray.from_arrays(pa.array(images.values.ravel()), int(np.prod(shape)))
        arrays[f"image_{content}"] = pa.ExtensionArray.from_storage(kind, pixels)
        arrays[f"outside_{content}"] = pa.FixedSizeListArray.from_arrays(pa.array(images.num_outside.ravel()), shape[0])
    return pa.table(arrays).replace_schema_metadata({METADATA: config.model_dump_json()})


def write_images(path: str | Path, tables: Iterable[pa.Table]) -> int:
    """Write tables of `images_table`, all of one configuration, into one Parquet file, whole or not at all.

    Returns:
        number of events.
    """
    writer, num_events = None, 0
    with atomic_file(path) as temporary:
        try:
            for table in tables:
                # Nearly all pixels are 0, which makes the file 70 times smaller than they are.
                writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd", compression_level=3, use_dictionary=False)
                writer.write_table(table, row_group_size=ROWS_PER_GROUP)
                num_events += table.num_rows
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise DatasetError(f"{path}: nothing to write, not even an empty table")
    return num_events


class StoredImages(NamedTuple):
    """Images of a file.

    Attributes:
        config: how they were made.
        event, run, lumi: ``(B,) int64`` identity of the events.
        images: content -> `Images`.
    """

    config: ImageConfig
    event: np.ndarray
    run: np.ndarray
    lumi: np.ndarray
    images: dict[Content, Images]


def read_images(path: str | Path) -> StoredImages:
    """Read what `write_images` wrote.

    Raises:
        DatasetError: the file is missing, damaged, or holds no images.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: not readable as Parquet, missing, damaged or truncated? ({' '.join(str(error).split())[:200]})") from error
    metadata = table.schema.metadata or {}
    if METADATA not in metadata:
        raise DatasetError(f"{path}: holds no images; make them with mlpf images")
    config = ImageConfig.model_validate_json(metadata[METADATA])
    images = {}
    for content in config.contents:
        num_channels = len(config.channels(content))
        pixels, outside = (_flat(table, f"{column}_{content}") for column in ("image", "outside"))
        images[content] = Images(pixels.reshape(-1, num_channels, config.num_eta, config.num_phi), outside.reshape(-1, num_channels))
    return StoredImages(config, table["event"].to_numpy(), table["run"].to_numpy(), table["lumi"].to_numpy(), images)


def _flat(table: pa.Table, column: str) -> np.ndarray:
    """Values of a column of lists or tensors of one size, flat."""
    chunks = [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in table[column].chunks]
    return np.concatenate([chunk.flatten().to_numpy() for chunk in chunks]) if chunks else np.zeros(0)
