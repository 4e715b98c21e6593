"""PF blocks on any device: connected components by hooking trees onto each other and pointer jumping."""

import torch
from torch import Tensor

from mlpf.classical.on_device.links import Links


def find_blocks(links: Links, num_elements: int) -> Tensor:
    """As `mlpf.classical.blocks.find_blocks`, on the device of the links: ``(N,) int64`` flat index of the first element of each element's block."""
    return connected_components(links.i, links.j, num_elements)[0]


def connected_components(i: Tensor, j: Tensor, num_elements: int) -> tuple[Tensor, int]:
    """Smallest member of the component of each of N vertices with the edges (i, j), and the number of rounds that took.

    In each round every root that has a neighbouring tree with a smaller root is hooked onto the smallest such tree, and all trees are flattened. A root that
    neither hooks nor is hooked to has neighbours that all go to roots smaller than itself, and so hooks in the next round: two rounds at least halve
    the number of unfinished trees, which bounds the rounds by 2 log2(N) + 1. Flattening takes log2 of a tree's depth.
    """
    parent = torch.arange(num_elements, device=i.device)
    rounds = 0
    while True:
        a, b = parent[i], parent[j]
        if torch.equal(a, b):
            return parent, rounds
        parent.scatter_reduce_(0, torch.maximum(a, b), torch.minimum(a, b), "amin")
        while not torch.equal(grandparent := parent[parent], parent):
            parent = grandparent
        rounds += 1
