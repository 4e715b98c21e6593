"""Which cells of a calorimeter touch, on stacks of rings and on rectangular grids."""

import numpy as np

MAX_NEIGHBORS = 9  # a 10 degree tower beside the 5 degree ones


def fill_ring_neighbors(neighbors: np.ndarray, num_edges: np.ndarray, num_phi: np.ndarray, stride: int, first: int) -> None:
    """Neighbours on a stack of rings, where the number of cells may double or halve from one ring to the next; sharing an edge first, then a corner.

    Args:
        neighbors: ``(S, 9)``, filled. num_edges: ``(S,)`` how many of a site's neighbours share an edge, filled.
        num_phi: ``(R,)`` cells of each ring. stride: numbers that a ring takes. first: number of the first cell.
    """
    for ring, bins in enumerate(num_phi):
        phi = np.arange(bins)
        sites = first + ring * stride + phi
        own = first + ring * stride
        edges = [own + (phi - 1) % bins, own + (phi + 1) % bins]
        corners = []
        for other in (ring - 1, ring + 1):
            if 0 <= other < len(num_phi):
                touching, diagonal = _facing_bins(phi, bins, num_phi[other])
                edges += [first + other * stride + t % num_phi[other] for t in touching]
                corners += [first + other * stride + d % num_phi[other] for d in diagonal]
        num_edges[sites] = len(edges)
        for slot, values in enumerate(edges + corners):
            neighbors[sites, slot] = values


def _facing_bins(phi: np.ndarray, bins: int, other_bins: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Bins of the next ring that share an edge, and those that share only a corner."""
    if other_bins == bins:
        return [phi], [phi - 1, phi + 1]
    if other_bins > bins:
        return [2 * phi, 2 * phi + 1], [2 * phi - 1, 2 * phi + 2]
    return [phi // 2], [np.where(phi % 2 == 0, phi // 2 - 1, phi // 2 + 1)]


def fill_grid_neighbors(neighbors: np.ndarray, num_edges: np.ndarray, columns: int, rows: int, first: int) -> None:
    """Neighbours on a grid of ``columns * rows`` cells, but for those of its border, which is never hit; edges first, then corners."""
    column, row = (values.ravel() for values in np.meshgrid(np.arange(1, columns - 1), np.arange(1, rows - 1), indexing="ij"))
    steps = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]
    sites = first + column * rows + row
    num_edges[sites] = 4
    for slot, (across, along) in enumerate(steps):
        neighbors[sites, slot] = first + (column + across) * rows + row + along
