"""Locality-sensitive hashing into bins of equal size, with weights that fade where an element would change its bin."""

from typing import NamedTuple

import torch
from torch import Tensor

from mlpf.nn.partition import Partition, partition

MIN_SOFTNESS = 1e-2  # in units of the key: how steep a weight may become where many keys are nearly the same


class Bins(NamedTuple):
    """Elements in bins of similar keys.

    Attributes:
        partition: which element is in which bin.
        weight: ``(B, M, K)`` in [0, 1]: 0 in empty slots and at a bound between two bins, 1 further inside.
    """

    partition: Partition
    weight: Tensor


def hash_into_bins(key: Tensor, real: Tensor, size: int, softness: float) -> Bins:
    """Bins of at most ``size`` elements with neighbouring keys, equally filled, for any number of elements.

    A key is a projection on some direction, as in E2LSH (Datar et al., SCG 2004) and HEPT (arXiv:2402.12535), but bins are quantiles, not intervals of one
    length: all are filled alike whatever the keys are. Elements near each other have similar keys, and so share a bin unless a bound lies between them.

    The weight rises linearly with the distance in key to the nearest bound, over the share ``softness`` of the bin's width. Bounds lie halfway between the two
    keys around them, so an element has weight 0 where it moves from one bin to the next, and any sum over bins that counts elements with their weights is a
    continuous function of the keys. The ends of an event are no bounds. Weights have no gradient.

    Shapes:
        key: (B, N), finite, N >= 1; real: (B, N) bool -> `Bins` with M = ceil(N / size) and K = size
    """
    key = key.detach()
    part = partition(key, real, size)
    key = part.gather(key.unsqueeze(-1)).squeeze(-1)  # -> (B, M, K)
    lowest = torch.where(part.exists, key, torch.inf).amin(dim=2)  # (B, M) smallest and largest key of each bin
    highest = torch.where(part.exists, key, -torch.inf).amax(dim=2)
    bound = 0.5 * (highest[:, :-1] + lowest[:, 1:])  # (B, M - 1); infinite where the later bin is empty
    lower = torch.cat([torch.full_like(lowest[:, :1], -torch.inf), bound], dim=1).unsqueeze(2)
    upper = torch.cat([bound, torch.full_like(lowest[:, :1], torch.inf)], dim=1).unsqueeze(2)
    width = torch.where(part.exists.any(dim=2), highest - lowest, 0.0).unsqueeze(2)
    gap = torch.minimum(key - lower, upper - key)
    weight = (gap / (softness * width + MIN_SOFTNESS)).clamp(0.0, 1.0)
    return Bins(part, torch.where(part.exists, weight, 0.0))
