"""Energy mover's distance of an event: how far its pt has to be moved in (eta, phi) to become that of the generator's particles."""

from typing import Any

import numpy as np
from scipy.sparse import coo_array

from mlpf.events import Events, event_index
from mlpf.hashes import identity_hash
from mlpf.metrics import binning
from mlpf.metrics.matching import nearby_pairs
from mlpf.metrics.sums import ALL, MeanSums, Sums
from mlpf.metrics.systems import Particles

RADIUS = 0.4  # as jets
ONE_IN = 10  # events are compared: a few milliseconds each and system, with pileup twenty, against two for all other metrics
_MAX_PIVOTS = 10_000_000  # of the network simplex; 10 000 particles take some 100 000


def event_emd(pt_a: np.ndarray, eta_a: np.ndarray, phi_a: np.ndarray, pt_b: np.ndarray, eta_b: np.ndarray, phi_b: np.ndarray) -> float:
    """Energy mover's distance (arXiv:1902.02346 eq. 1) [GeV] of two sets of particles, weighted by pt.

    ``min over f_ij >= 0 of sum f_ij min(d_ij / R, 2) + |sum_i pt_i - sum_j pt_j|``, with ``sum_j f_ij <= pt_i``, ``sum_i f_ij <= pt_j`` and all of the smaller
    sum moved; d is delta R, R = 0.4. The limit 2 keeps it a metric (`mlpf.loss.sinkhorn` has the same): beyond 2 R, removing 1 GeV here and making it there
    costs no more, 1 GeV each. So it is the optimal partial transport between particles closer than 2 R, few pairs of all, and exact by the network simplex of
    POT (jmlr.org/papers/v22/20-451.html) on those and on two more nodes, for what is removed and for what is made.

    Args:
        pt_a, eta_a, phi_a: ``(A,)`` finite; those with pt 0 or below count nothing.
        pt_b, eta_b, phi_b: ``(B,)`` likewise.
    """
    a, b = (_positive(*columns) for columns in ((pt_a, eta_a, phi_a), (pt_b, eta_b, phi_b)))
    sum_a, sum_b = a[0].sum(), b[0].sum()
    offsets_a, offsets_b = (np.array([0, len(side[0])]) for side in (a, b))
    i, j, distance = nearby_pairs(*a[1:], offsets_a, *b[1:], offsets_b, 2.0 * RADIUS)
    if not len(i):
        return float(sum_a + sum_b)
    from ot import emd  # here, since it imports PyTorch where there is one

    last_a, last_b = len(a[0]), len(b[0])
    removed, made = np.arange(last_a), np.arange(last_b)
    rows = np.concatenate([i, removed, np.full(last_b, last_a), [last_a]])
    columns = np.concatenate([j, np.full(last_a, last_b), made, [last_b]])
    cost = coo_array((np.concatenate([distance / RADIUS, np.ones(last_a + last_b), [0.0]]), (rows, columns)), shape=(last_a + 1, last_b + 1))
    scale = sum_a + sum_b
    moved = emd(np.append(a[0], sum_b) / scale, np.append(b[0], sum_a) / scale, cost, numItermax=_MAX_PIVOTS, log=True, center_dual=False)[1]
    assert moved["warning"] is None, moved["warning"]
    return float(moved["cost"] * scale)


def _positive(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Particles with pt above 0."""
    kept = pt > 0
    return pt[kept].astype(np.float64), eta[kept].astype(np.float64), phi[kept].astype(np.float64)


def compared_events(events: Events) -> np.ndarray:
    """Positions of the events of a dataset that are compared: one in ten of those with generated pt, by a hash of run, lumi and event number."""
    numbers = identity_hash(events, seed=ONE_IN)  # any but the 0 of other hashes, so that this choice is independent of theirs
    has_pt = np.zeros(len(events), dtype=np.bool_)
    has_pt[event_index(events.collection_offsets("particle"))[events["particle_pt"] > 0]] = True
    return np.flatnonzero((numbers % np.uint64(ONE_IN) == 0) & has_pt)


class EmdSums:
    """Distance of the particles of one system to those of the generator: stable ones of the hard collision, without neutrinos.

    Only systems without pileup can be near to these where there is any. The targets are a ceiling: what no element shows is in none of them.

    Attributes:
        parts: what adds up.
    """

    def __init__(self) -> None:
        self._means = MeanSums(2, {"vertices": binning.VERTICES})  # [GeV]; as a share of the generated pt
        self.parts: dict[str, Sums] = {"means": self._means}

    def update(self, events: Events, particles: Particles, vertices: np.ndarray, compared: np.ndarray) -> None:
        """Add events.

        Args:
            events: of a dataset, with generator particles.
            particles: of the system in the same events.
            vertices: ``(B,)`` bin of `binning.VERTICES` of each event.
            compared: positions of the events to be used, `compared_events`.
        """
        distance, generated = np.zeros(len(compared)), np.zeros(len(compared))
        offsets = events.collection_offsets("particle")
        for k, event in enumerate(compared):
            true, found = slice(*offsets[event : event + 2]), slice(*particles.offsets[event : event + 2])
            pt, eta, phi = (events[f"particle_{name}"][true] for name in ("pt", "eta", "phi"))
            distance[k] = event_emd(pt, eta, phi, particles.pt[found], particles.eta[found], particles.phi[found])
            generated[k] = pt.sum(dtype=np.float64)
        for category, values in enumerate((distance, distance / np.where(generated > 0, generated, np.nan))):
            self._means.add(values, {"vertices": vertices[compared]}, np.full(len(compared), category))

    def to_json(self, with_vertices: bool) -> dict[str, Any]:
        """Mean distance [GeV], ``all`` and in bins of ``vertices`` if wanted, and mean share of the generated pt, ``normalised``."""
        means, shares = self._means.to_json(("vertices",) if with_vertices else ())
        return {**means, "normalised": shares[ALL]}
