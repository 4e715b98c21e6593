"""PF blocks by CLUE on any device: NumPy lays out the points of the layers, linear in the number of elements; the device clusters and joins them."""

import torch
from torch import Tensor

from mlpf.classical.clue_blocks import ClueBlockParameters, Layer, layers
from mlpf.classical.elements import Elements
from mlpf.classical.on_device.blocks import connected_components
from mlpf.classical.on_device.clue import clue


def clue_blocks(elements: Elements, parameters: ClueBlockParameters | None = None, device: str | torch.device = "cpu") -> Tensor:
    """As `mlpf.classical.clue_blocks.clue_blocks`, on a device: ``(N,) int64`` flat index of the first element of each element's block."""
    first, second = zip(*(_members(layer, torch.device(device)) for layer in layers(elements, parameters or ClueBlockParameters())), strict=True)
    return connected_components(torch.cat(first), torch.cat(second), len(elements.type))[0]


def _members(layer: Layer, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pairs (element, first element of its cluster)."""
    element, eta, phi, weight = (torch.from_numpy(values).to(device) for values in layer[:4])
    cluster = clue(eta, phi, weight, layer.offsets, layer.parameters).cluster
    element, cluster = element[cluster >= 0], cluster[cluster >= 0]
    none = torch.iinfo(element.dtype).max
    first = torch.full((len(layer.element),), none, device=device).scatter_reduce_(0, cluster, element, "amin")  # there are no more clusters than points
    return element, first[cluster]
