"""Hashes that tell events apart, as good as random."""

import zlib

import numpy as np

from mlpf import schema
from mlpf.events import Events


def splitmix64(x: np.ndarray) -> np.ndarray:
    """Finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, doi:10.1145/2660193.2660195): a bijection of ``uint64`` in which every bit depends on all."""
    x = x + np.uint64(0x9E3779B97F4A7C15)  # wraps, as intended
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def identity_hash(events: Events, seed: int = 0) -> np.ndarray:
    """``(B,) uint64`` hash of run, lumi and event number; those of two seeds are independent."""
    numbers = np.full(len(events), seed, dtype=np.uint64)
    for name in schema.IDENTITY:
        numbers = splitmix64(numbers + events[name].astype(np.int64).view(np.uint64))
    return numbers


def event_marks(events: Events) -> np.ndarray:
    """``(B, 2) uint64``: a hash of run, lumi and event number; a fingerprint of the elements, 0 for events without any."""
    offsets = events.collection_offsets("element")
    energies = np.ascontiguousarray(events["element_energy"], dtype=np.float32).view(np.uint8).data
    checksums = [zlib.crc32(energies[4 * first : 4 * last]) for first, last in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    counts = np.diff(offsets).astype(np.uint64)
    prints = (counts << np.uint64(32)) + np.array(checksums, dtype=np.uint64)
    return np.stack([identity_hash(events), np.where(counts > 0, prints, np.uint64(0))], axis=1)
