"""Anti-kt clustering, compiled: inclusive jets in the E-scheme (arXiv:0802.1189), one event after the other over flat arrays.

Of all pairs the one with the least ``distance^2 / max(pt)^2`` merges; a pseudojet whose distance would exceed R is a jet. The harder of a pair sets the scale,
so each pseudojet needs to know its nearest *softer* neighbour only (the lemma of arXiv:hep-ph/0512210, sharpened). Three things make it fast:

- Pseudojets lie in tiles of side >= R in rapidity and azimuth, row by row, so that tiles side by side are one stretch of memory, and the search for the nearest
  is a loop without branches that becomes vector instructions. The side grows where particles are few: at most twice as many tiles as particles.
- A heap gives the least of all. Who loses its neighbour keeps its key, since the next neighbour can only be further away, and searches again when it comes up:
  most have been absorbed by something harder before.
- The merged pseudojet takes over the place in the heap of its harder parent, usually near the top, and the place in the tiles of a parent. Should its own tile
  have no room, it waits in one of a few spare places, which every search visits; once those are used up, or half of all places are empty, all move.

A pseudojet is known by its label: particles come first, then the merged ones in the order of their birth. Arrays, all scratch that events share:

    pseudojets (labels, 8): px, py, pz, energy, rapidity, azimuth, pt^2, and reach, the squared distance of the nearest softer neighbour (R^2 if none)
    links (labels, 3): place in the tiles (-1 once merged or a jet), label of the nearest softer neighbour (-1 if none), label it merged into (-1: a jet)
    places (4, P): rapidity, azimuth, pt^2 and reach of what lies there; holder (P,): its label, -1 where empty
    first (tiles + 1,): first place of every tile
    heap_key, heap_label (3 M,): binary heap; an entry counts only while its label lives and has that key

The functions of the innermost loop are inlined by force: numba hands over every array as seven or more values, which takes as long as the work in them.
"""

import numba
import numpy as np

PX, PY, PZ, ENERGY, RAPIDITY, PHI, PT2, REACH = range(8)
PLACE, NEAREST, PARENT = range(3)
# Rows of ``places``; unsigned, as are the counters of loops over it: a signed index may be negative, and the test for that would forbid vector instructions.
PLACE_RAPIDITY, PLACE_PHI, PLACE_PT2, PLACE_REACH = (np.uint64(row) for row in range(4))
TWO_PI = 2.0 * np.pi
OUTERMOST = 10.0  # rapidity beyond which the outer tiles are open
MAX_RAPIDITY = 1e5  # of momenta along the beam, as in fastjet
MIN_PT2 = 1e-300  # GeV^2; below, 1 / pt^2 would overflow
FAR = 1e30  # rapidity of an empty place: its squared distance from anything is finite and exceeds any other
NUM_SPARE = 16
LANES = 8  # searches cover a multiple of this many places, one AVX-512 vector: what lies beyond a stretch is a neighbour like any other

Grid = tuple[float, float, int, int]  # lowest rapidity, 1 / side, rows in rapidity, columns in azimuth


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _set_momentum(pseudojet: np.ndarray, px: float, py: float, pz: float, energy: float) -> None:
    """Fill in momentum, rapidity, azimuth in [0, 2 pi) and pt^2; coordinates are finite whatever the momentum."""
    pt2 = px * px + py * py
    phi = np.arctan2(py, px)
    if phi < 0.0:
        phi += TWO_PI
    mass2 = max(0.0, (energy + pz) * (energy - pz) - pt2)
    total = energy + abs(pz)
    rapidity = -0.5 * np.log((pt2 + mass2) / (total * total))
    if not abs(rapidity) <= MAX_RAPIDITY:  # NaN included
        rapidity = MAX_RAPIDITY
    pseudojet[PX], pseudojet[PY], pseudojet[PZ], pseudojet[ENERGY] = px, py, pz, energy
    pseudojet[RAPIDITY] = rapidity if pz > 0.0 else -rapidity
    pseudojet[PHI] = phi if 0.0 <= phi < TWO_PI else 0.0
    pseudojet[PT2] = pt2


@numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _key(label: int, pseudojets: np.ndarray) -> float:
    """``reach / pt^2``: the least of all says what merges next, or what is a jet."""
    pt2 = pseudojets[label, PT2]
    return pseudojets[label, REACH] / (pt2 if pt2 > MIN_PT2 else MIN_PT2)


@numba.njit(cache=True, nogil=True)
def _sink(place: int, key: float, label: int, size: int, heap_key: np.ndarray, heap_label: np.ndarray) -> None:
    """Put an entry into the heap at ``place`` or below, where it belongs."""
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and heap_key[child + 1] < heap_key[child]:
            child += 1
        if heap_key[child] >= key:
            break
        heap_key[place], heap_label[place] = heap_key[child], heap_label[child]
        place = child
    heap_key[place], heap_label[place] = key, label


@numba.njit(cache=True, nogil=True)
def _push(key: float, label: int, size: int, heap_key: np.ndarray, heap_label: np.ndarray) -> None:
    """Add an entry to a heap of ``size``."""
    place = size
    while place > 0:
        above = (place - 1) // 2
        if heap_key[above] <= key:
            break
        heap_key[place], heap_label[place] = heap_key[above], heap_label[above]
        place = above
    heap_key[place], heap_label[place] = key, label


@numba.njit(cache=True, nogil=True)
def _make_heap(live: np.ndarray, pseudojets: np.ndarray, heap_key: np.ndarray, heap_label: np.ndarray) -> None:
    for i in range(len(live)):
        heap_key[i], heap_label[i] = _key(live[i], pseudojets), live[i]
    for i in range(len(live) // 2 - 1, -1, -1):
        _sink(i, heap_key[i], heap_label[i], len(live), heap_key, heap_label)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _tile(grid: Grid, rapidity: float, phi: float) -> int:
    low, per_side, rows, columns = grid
    row = int(min(max((rapidity - low) * per_side, 0.0), rows - 1.0))
    return row * columns + min(int(phi * (columns / TWO_PI)), columns - 1)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _occupy(place: int, label: int, pseudojets: np.ndarray, links: np.ndarray, places: np.ndarray, holder: np.ndarray) -> None:
    for row in range(4):
        places[row, place] = pseudojets[label, RAPIDITY + row]
    holder[place] = label
    links[label, PLACE] = place


@numba.njit(cache=True, nogil=True, forceinline=True)
def _leave(label: int, links: np.ndarray, places: np.ndarray, holder: np.ndarray) -> None:
    place = links[label, PLACE]
    places[0, place] = FAR
    holder[place] = -1
    links[label, PLACE] = -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _arrange(live: np.ndarray, radius: float, pseudojets: np.ndarray, links: np.ndarray, places: np.ndarray, holder: np.ndarray, first: np.ndarray) -> Grid:
    """Sort the living pseudojets into tiles that suit them; all other places are empty."""
    low, high = OUTERMOST, -OUTERMOST
    for label in live:
        low, high = min(low, pseudojets[label, RAPIDITY]), max(high, pseudojets[label, RAPIDITY])
    low, high = min(max(low, -OUTERMOST), OUTERMOST), max(min(high, OUTERMOST), -OUTERMOST)
    side = max(radius, np.sqrt((high - low) * TWO_PI / len(live)), TWO_PI / len(live)) * (1.0 + 1e-9)  # 1e-9: rounding cannot separate what is within R
    rows, columns = int((high - low) / side) + 1, max(1, int(TWO_PI / side))
    grid = (low, 1.0 / side, rows, columns)
    num_tiles = rows * columns
    first[: num_tiles + 1] = 0
    for label in live:
        first[_tile(grid, pseudojets[label, RAPIDITY], pseudojets[label, PHI])] += 1
    for tile in range(num_tiles):
        first[tile + 1] += first[tile]  # ends of the tiles, which the loop below turns into their beginnings
    for label in live[::-1]:
        tile = _tile(grid, pseudojets[label, RAPIDITY], pseudojets[label, PHI])
        first[tile] -= 1
        _occupy(first[tile], label, pseudojets, links, places, holder)
    places[0, len(live) : len(live) + NUM_SPARE + LANES] = FAR
    holder[len(live) : len(live) + NUM_SPARE] = -1
    return grid


@numba.njit(cache=True, nogil=True, forceinline=True)
def _stretches(tile: int, grid: Grid, num_places: int, num_spare: int, first: np.ndarray, stretches: np.ndarray) -> int:
    """Beginnings and ends ``(count, 2)`` of the stretches of places that hold all within R of anything in the tile."""
    rows, columns = grid[2], grid[3]
    row, column = tile // columns, tile % columns
    left, right, around = max(column - 1, 0), min(column + 2, columns), -1
    if columns <= 3:
        left, right = 0, columns
    elif column == 0:
        around = columns - 1
    elif column == columns - 1:
        around = 0
    stretches[0, 0], stretches[0, 1] = num_places, num_places + num_spare
    count = 1 if num_spare > 0 else 0
    for leftmost in range(max(row - 1, 0) * columns, min(row + 2, rows) * columns, columns):
        stretches[count, 0], stretches[count, 1] = first[leftmost + left], first[leftmost + right]
        count += 1
        if around >= 0:
            stretches[count, 0], stretches[count, 1] = first[leftmost + around], first[leftmost + around + 1]
            count += 1
    return count


@numba.njit(cache=True, nogil=True, forceinline=True)
def _squared_distance(place: np.uint64, places: np.ndarray, rapidity: float, phi: float) -> float:
    arc = abs(places[PLACE_PHI, place] - phi)
    arc = TWO_PI - arc if arc > np.pi else arc
    gap = places[PLACE_RAPIDITY, place] - rapidity
    return gap * gap + arc * arc


@numba.njit(cache=True, nogil=True, forceinline=True)
def _least(
    begin: np.uint64, size: np.uint64, own: np.uint64, rapidity: float, phi: float, pt2: float, least: np.int64, places: np.ndarray
) -> tuple[np.int64, bool]:
    """Squared distance of the nearest softer one, if below ``least``, and whether anything harder lies within its reach.

    Squared distances are compared as the integers of the same bits, whose order is the same: only for integers does the compiler take a minimum in vectors.
    """
    within_reach = 0
    own -= begin
    for i in range(size):
        squared = _squared_distance(begin + i, places, rapidity, phi)
        softer = places[PLACE_PT2, begin + i] <= pt2
        bits = np.float64(squared if softer & (i != own) else FAR).view(np.int64)
        least = bits if bits < least else least
        within_reach += (squared < places[PLACE_REACH, begin + i]) & (not softer)
    return least, within_reach > 0


@numba.njit(cache=True, nogil=True, forceinline=True)
def _position(begin: np.uint64, size: np.uint64, own: np.uint64, rapidity: float, phi: float, pt2: float, least: np.int64, places: np.ndarray) -> np.uint64:
    """Place of the softer one at the squared distance ``least``: a second pass, since compilers do not turn a search for minimum and place into vectors."""
    own -= begin
    position = np.uint64(0)
    for i in range(size):
        squared = _squared_distance(begin + i, places, rapidity, phi)
        softer = places[PLACE_PT2, begin + i] <= pt2
        bits = np.float64(squared if softer & (i != own) else FAR).view(np.int64)
        position = np.uint64(i) if bits == least else position
    return begin + position


@numba.njit(cache=True, nogil=True, forceinline=True)
def _search(
    label: int, count: int, radius: float, pseudojets: np.ndarray, links: np.ndarray, places: np.ndarray, holder: np.ndarray, stretches: np.ndarray
) -> bool:
    """Find the nearest softer neighbour in ``count`` stretches; says whether the label lies within the reach of anything harder."""
    rapidity, phi, pt2 = pseudojets[label, RAPIDITY], pseudojets[label, PHI], pseudojets[label, PT2]
    own = np.uint64(links[label, PLACE])
    least, nearest_stretch, within_reach = np.float64(radius * radius).view(np.int64), -1, False
    for stretch in range(count):
        begin = np.uint64(stretches[stretch, 0])
        size = np.uint64((stretches[stretch, 1] - stretches[stretch, 0] + LANES - 1) // LANES * LANES)
        found, within = _least(begin, size, own, rapidity, phi, pt2, least, places)
        within_reach |= within
        if found < least:
            least, nearest_stretch = found, stretch
    reach = np.int64(least).view(np.float64)
    nearest = -1
    if nearest_stretch >= 0:
        begin = np.uint64(stretches[nearest_stretch, 0])
        size = np.uint64((stretches[nearest_stretch, 1] - stretches[nearest_stretch, 0] + LANES - 1) // LANES * LANES)
        nearest = holder[_position(begin, size, own, rapidity, phi, pt2, least, places)]
    pseudojets[label, REACH] = reach
    links[label, NEAREST] = nearest
    return within_reach


@numba.njit(cache=True, nogil=True)
def _offer(
    label: int,
    count: int,
    pseudojets: np.ndarray,
    links: np.ndarray,
    places: np.ndarray,
    holder: np.ndarray,
    stretches: np.ndarray,
    heap: int,
    heap_key: np.ndarray,
    heap_label: np.ndarray,
) -> int:
    """Make the label the neighbour of all that are harder and have none nearer; returns the new size of the heap."""
    for stretch in range(count):
        for place in range(stretches[stretch, 0], stretches[stretch, 1]):
            if places[PLACE_PT2, np.uint64(place)] > pseudojets[label, PT2]:
                squared = _squared_distance(np.uint64(place), places, pseudojets[label, RAPIDITY], pseudojets[label, PHI])
                if squared < places[PLACE_REACH, np.uint64(place)]:
                    harder = holder[place]
                    places[PLACE_REACH, np.uint64(place)] = pseudojets[harder, REACH] = squared
                    links[harder, NEAREST] = label
                    _push(_key(harder, pseudojets), harder, heap, heap_key, heap_label)
                    heap += 1
    return heap


@numba.njit(cache=True, nogil=True, forceinline=True)
def _place_for(parents: tuple[int, int], begin: int, end: int, spare: int, holder: np.ndarray) -> int:
    """An empty place in the tile from ``begin`` to ``end``: that of a parent or any other, or the spare one."""
    for place in parents:
        if begin <= place < end:
            return place
    for place in range(begin, end):
        if holder[place] < 0:
            return place
    return spare


@numba.njit(cache=True, nogil=True)
def _merge(a: int, b: int, label: int, pseudojets: np.ndarray, links: np.ndarray, places: np.ndarray, holder: np.ndarray) -> None:
    _leave(a, links, places, holder)
    _leave(b, links, places, holder)
    links[a, PARENT] = links[b, PARENT] = label
    links[label, PLACE] = -1
    _set_momentum(
        pseudojets[label],
        pseudojets[a, PX] + pseudojets[b, PX],
        pseudojets[a, PY] + pseudojets[b, PY],
        pseudojets[a, PZ] + pseudojets[b, PZ],
        pseudojets[a, ENERGY] + pseudojets[b, ENERGY],
    )


@numba.njit(cache=True, nogil=True)
def _search_all(
    grid: Grid,
    num_places: int,
    radius: float,
    pseudojets: np.ndarray,
    links: np.ndarray,
    places: np.ndarray,
    holder: np.ndarray,
    first: np.ndarray,
    stretches: np.ndarray,
) -> None:
    for tile in range(grid[2] * grid[3]):
        if first[tile] < first[tile + 1]:
            count = _stretches(tile, grid, num_places, 0, first, stretches)
            for place in range(first[tile], first[tile + 1]):
                _search(holder[place], count, radius, pseudojets, links, places, holder, stretches)
    places[PLACE_REACH, :num_places] = pseudojets[holder[:num_places], REACH]


@numba.njit(cache=True, nogil=True)
def _gather(holder: np.ndarray, live: np.ndarray) -> int:
    """Copy the labels out of the places that are not empty; returns their number."""
    count = 0
    for label in holder:
        if label >= 0:
            live[count] = label
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _cluster_event(
    num_particles: int,
    radius: float,
    pseudojets: np.ndarray,
    links: np.ndarray,
    places: np.ndarray,
    holder: np.ndarray,
    first: np.ndarray,
    live: np.ndarray,
    stretches: np.ndarray,
    heap_key: np.ndarray,
    heap_label: np.ndarray,
) -> int:
    """Merge the particles, labels from 0 on, until all are in jets; fills ``links[:, PARENT]`` and returns the number of labels."""
    for label in range(num_particles):
        live[label] = label
    grid = _arrange(live[:num_particles], radius, pseudojets, links, places, holder, first)
    _search_all(grid, num_particles, radius, pseudojets, links, places, holder, first, stretches)
    _make_heap(live[:num_particles], pseudojets, heap_key, heap_label)
    alive = heap = num_places = num_labels = num_particles
    num_spare = 0
    while alive > 0:
        label = heap_label[0]
        neighbour = links[label, NEAREST]
        valid = links[label, PLACE] >= 0 and heap_key[0] == _key(label, pseudojets)
        if not valid or neighbour < 0:
            if valid:  # a jet
                _leave(label, links, places, holder)
                links[label, PARENT] = -1
                alive -= 1
            heap -= 1
            _sink(0, heap_key[heap], heap_label[heap], heap, heap_key, heap_label)
            continue
        old_places = links[label, PLACE], links[neighbour, PLACE]
        if links[neighbour, PLACE] >= 0:
            _merge(label, neighbour, num_labels, pseudojets, links, places, holder)
            label = num_labels
            num_labels += 1
            alive -= 1
        tile = _tile(grid, pseudojets[label, RAPIDITY], pseudojets[label, PHI])
        count = _stretches(tile, grid, num_places, num_spare, first, stretches)
        within_reach = _search(label, count, radius, pseudojets, links, places, holder, stretches)
        _sink(0, _key(label, pseudojets), label, heap, heap_key, heap_label)
        if links[label, PLACE] >= 0:  # only its neighbour had gone
            places[PLACE_REACH, np.uint64(links[label, PLACE])] = pseudojets[label, REACH]
            continue
        place = _place_for(old_places, first[tile], first[tile + 1], num_places + num_spare, holder)
        _occupy(place, label, pseudojets, links, places, holder)
        num_spare += place == num_places + num_spare
        if within_reach:
            heap = _offer(label, count, pseudojets, links, places, holder, stretches, heap, heap_key, heap_label)
        if 2 * alive < num_places or num_spare == NUM_SPARE or heap + alive > len(heap_key):
            num_places, num_spare, heap = _gather(holder[: num_places + num_spare], live), 0, alive
            grid = _arrange(live[:alive], radius, pseudojets, links, places, holder, first)
            _make_heap(live[:alive], pseudojets, heap_key, heap_label)
    return num_labels


@numba.njit(cache=True, nogil=True)
def _keep_jets(num_labels: int, min_pt: float, pseudojets: np.ndarray, links: np.ndarray, jets: np.ndarray) -> int:
    """Jets above the threshold by descending pt into ``jets``, and into ``links[:, PLACE]`` what jet each label ended in, -1 if it was left out."""
    labels = np.flatnonzero((links[:num_labels, PARENT] < 0) & (pseudojets[:num_labels, PT2] >= min_pt * min_pt))
    labels = labels[np.argsort(-pseudojets[labels, PT2], kind="mergesort")]
    for jet in range(len(labels)):
        jets[jet] = pseudojets[labels[jet], : ENERGY + 1]
        links[labels[jet], PLACE] = jet
    for label in range(num_labels - 1, -1, -1):  # jets had place -1; a label's parent was born after it
        if links[label, PARENT] >= 0:
            links[label, PLACE] = links[links[label, PARENT], PLACE]
    return len(labels)


@numba.njit(cache=True, nogil=True)
def cluster(
    px: np.ndarray, py: np.ndarray, pz: np.ndarray, energy: np.ndarray, offsets: np.ndarray, min_pt: float, radius: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Anti-kt jets of B events.

    Args:
        px, py, pz, energy: ``(N,) float64`` momenta [GeV], by event; those without transverse momentum take no part.
        offsets: ``(B + 1,) int64`` event boundaries.
        min_pt: jets below are left out [GeV].
        radius: distance parameter R.

    Returns:
        momenta ``(J, 4)`` of the jets, by descending pt in each event; their number ``(B,)``; every particle's jet inside its event ``(N,) int32``, -1 if none.
    """
    size = 0
    for event in range(len(offsets) - 1):
        size = max(size, offsets[event + 1] - offsets[event])
    pseudojets, links = np.empty((2 * size, 8)), np.empty((2 * size, 3), dtype=np.int64)
    places, holder = np.zeros((4, size + NUM_SPARE + LANES)), np.empty(size + NUM_SPARE, dtype=np.int64)
    first, live, stretches = np.empty(2 * size + 1, dtype=np.int64), np.empty(size, dtype=np.int64), np.empty((7, 2), dtype=np.int64)
    heap_key, heap_label = np.empty(3 * size), np.empty(3 * size, dtype=np.int64)
    jets, counts, jet_of = np.empty((len(px), 4)), np.zeros(len(offsets) - 1, dtype=np.int64), np.full(len(px), -1, dtype=np.int32)
    num_jets = 0
    for event in range(len(offsets) - 1):
        used = offsets[event] + np.flatnonzero(px[offsets[event] : offsets[event + 1]] ** 2 + py[offsets[event] : offsets[event + 1]] ** 2 > 0.0)
        if len(used) == 0:
            continue
        for label, particle in enumerate(used):
            _set_momentum(pseudojets[label], px[particle], py[particle], pz[particle], energy[particle])
        num_labels = _cluster_event(len(used), radius, pseudojets, links, places, holder, first, live, stretches, heap_key, heap_label)
        counts[event] = _keep_jets(num_labels, min_pt, pseudojets, links, jets[num_jets:])
        jet_of[used] = links[: len(used), PLACE]
        num_jets += counts[event]
    return jets[:num_jets], counts, jet_of
