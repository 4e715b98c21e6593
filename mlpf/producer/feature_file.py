"""Raw features of events in a file of their own, for programs in other languages; the C++ program in ``mlpf/producer/cpp`` reads it.

Two lines write the file of an ntuple::

    from mlpf.producer.feature_file import ntuple_features, write_feature_file
    write_feature_file("ttbar.features", ntuple_features("data/ttbar.root"))

The file, little-endian throughout: 8 bytes `MAGIC`; uint32 `VERSION`, number of features (55), number of events; then for each event uint32 N and
N * 55 float32, row by row.
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.features import element_features
from mlpf.io.files import atomic_file
from mlpf.io.inputs import open_input

MAGIC = b"MLPFEVTS"
VERSION = 1
_NUMBER = struct.Struct("<I")


def ntuple_features(path: str | Path, max_events: int | None = None) -> Iterator[np.ndarray]:
    """Raw features of the events of a file that `open_input` can read, ``(N, 55) float32`` each.

    All elements are there, in their order, also those that the consumer leaves out (PS1, PS2, BREM): the C++ program leaves them out itself, and its element
    numbers are those of the ntuple.
    """
    with open_input(path) as file:
        for events in file.iterate(schema.NTUPLE.names("element"), stop=max_events):
            features = element_features(events)
            for start, stop in pairwise(events.collection_offsets("element")):
                yield features[start:stop]


def write_feature_file(path: str | Path, events: Iterable[np.ndarray]) -> int:
    """Write events, one at a time; the file appears when it is complete.

    Args:
        path: the file.
        events: ``(N, 55)`` raw features of each, in the order of `schema.FEATURES`; N may be 0.

    Returns:
        number of events.

    Raises:
        MlpfError: features have another shape, or the file cannot be written.
    """
    num_events = 0
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        stream.write(_header(0))
        for features in events:
            if features.ndim != 2 or features.shape[1] != schema.NUM_FEATURES:
                raise MlpfError(f"{path}: event {num_events}: features of shape {features.shape}, expected (N, {schema.NUM_FEATURES})")
            stream.write(_NUMBER.pack(len(features)))
            stream.write(np.ascontiguousarray(features, dtype="<f4").tobytes())
            num_events += 1
        stream.seek(0)
        stream.write(_header(num_events))
    return num_events


def _header(num_events: int) -> bytes:
    return MAGIC + b"".join(map(_NUMBER.pack, (VERSION, schema.NUM_FEATURES, num_events)))
