"""Links between PF elements: the pairs that the rules of `link_rules` find, with their distances."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import numba
import numpy as np

from mlpf.classical.boxes import points_in_boxes
from mlpf.classical.elements import Elements
from mlpf.classical.link_rules import Keep, LinkRules, Rule
from mlpf.schema import NUM_ELEMENT_TYPES, ElementType


class Links(NamedTuple):
    """Linked pairs of elements, sorted by (i, j).

    Attributes:
        i, j: ``(L,) int64`` flat element indices, ``i < j``, of one event.
        distance: ``(L,) float64``, see the table of `link_rules`.
    """

    i: np.ndarray
    j: np.ndarray
    distance: np.ndarray


def find_links(elements: Elements, threads: int = 1) -> Links:
    """All links of all events; cost grows linearly with the number of elements.

    Args:
        threads: how many search; the result does not depend on it.
    """
    parts = linked_pairs(elements, partial(_pairs, threads=threads), np.asarray)
    first, second, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
    i, j = np.minimum(first, second), np.maximum(first, second)
    _, kept = np.unique(i * len(elements.type) + j, return_index=True)
    kept = kept[i[kept] != j[kept]]
    return Links(i[kept], j[kept], distance[kept])


def nearest_by_type(element_type: np.ndarray, links: Links) -> np.ndarray:
    """``(N, 12) int64``: for every element its nearest linked element of every type (flat index), -1 if none; equal distances: the smaller index."""
    return _nearest_by_type(element_type, links.i, links.j, links.distance)


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
Array = TypeVar("Array")


def linked_pairs(
    elements: Elements, search: Callable[[Rule], tuple[Array, Array, Array]], to_numpy: Callable[[Array], np.ndarray]
) -> list[tuple[Array, Array, Array]]:
    """Pairs of elements and their distances, one entry per rule; some pairs come twice, and elements with themselves.

    Args:
        search: finds the pairs of a rule, on whatever device.
        to_numpy: copies one of its arrays.
    """

    def copied(pairs: tuple[Array, Array, Array]) -> tuple[np.ndarray, np.ndarray]:
        return to_numpy(pairs[0]), to_numpy(pairs[1])

    rules = LinkRules(elements)
    track, brem = search(rules.same_track(ElementType.TRACK)), search(rules.same_track(ElementType.BREM))
    rules = rules.with_points(*copied(track), *copied(brem))
    members = search(rules.supercluster_members())
    return [track, brem, members, search(rules.common_supercluster(*copied(members))), *map(search, rules.others())]


def _pairs(rule: Rule, threads: int) -> Pairs:
    points, boxes = rule.points, rule.boxes
    point, box, squared = points_in_boxes(points, boxes, rule.num_domains, rule.limit, threads)
    if rule.keep is not Keep.ALL:
        kept = _nearest(point, box, squared, len(points.u))
        point, box, squared = point[kept], box[kept], squared[kept]
    if rule.keep is Keep.ONE_TO_ONE:
        kept = _nearest(box, point, squared, len(boxes.u))
        point, box, squared = point[kept], box[kept], squared[kept]
    distance = rule.unit * np.sqrt(squared) if rule.constant is None else np.full(len(point), rule.constant)
    return points.element[point], boxes.element[box], distance


@numba.njit(cache=True)
def _nearest(owner: np.ndarray, partner: np.ndarray, distance: np.ndarray, num_owners: int) -> np.ndarray:
    """Position of every owner's nearest partner among the pairs, ordered by owner; equal distances: the smaller partner."""
    best = np.full(num_owners, -1, dtype=np.int64)
    for pair in range(len(owner)):
        rival = best[owner[pair]]
        if rival < 0 or distance[pair] < distance[rival] or (distance[pair] == distance[rival] and partner[pair] < partner[rival]):
            best[owner[pair]] = pair
    return best[best >= 0]


@numba.njit(cache=True)
def _nearest_by_type(element_type: np.ndarray, i: np.ndarray, j: np.ndarray, distance: np.ndarray) -> np.ndarray:
    nearest = np.full((len(element_type), NUM_ELEMENT_TYPES), -1, dtype=np.int64)
    shortest = np.full((len(element_type), NUM_ELEMENT_TYPES), np.inf)
    for link in range(len(i)):
        for element, partner in ((i[link], j[link]), (j[link], i[link])):
            kind = element_type[partner]
            closer = distance[link] < shortest[element, kind]
            if closer or (distance[link] == shortest[element, kind] and partner < nearest[element, kind]):
                shortest[element, kind], nearest[element, kind] = distance[link], partner
    return nearest
