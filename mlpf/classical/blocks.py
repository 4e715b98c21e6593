"""PF blocks: elements that are linked, directly or through others."""

import numba
import numpy as np

from mlpf.classical.links import Links


def find_blocks(links: Links, num_elements: int) -> np.ndarray:
    """Connected components of the links.

    Returns:
        ``(N,) int64``: flat index of the first element of the block that each element belongs to; an element without links is its own block.
    """
    return _connected_components(links.i, links.j, num_elements)


@numba.njit(cache=True)
def _connected_components(i: np.ndarray, j: np.ndarray, num_elements: int) -> np.ndarray:
    """Union-find with path halving; the smaller root wins, so that a block is named by its smallest element."""
    parent = np.arange(num_elements)
    for link in range(len(i)):
        a, b = _root(parent, i[link]), _root(parent, j[link])
        parent[max(a, b)] = min(a, b)
    for element in range(num_elements):
        parent[element] = parent[parent[element]]  # parents come first, so theirs is a root already
    return parent


@numba.njit(cache=True)
def _root(parent: np.ndarray, element: int) -> int:
    while parent[element] != element:
        parent[element] = parent[parent[element]]
        element = parent[element]
    return element
