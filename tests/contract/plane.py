"""Slow and readable: which points of the (eta, phi) plane are near each other, and random ones to try."""

import itertools

import numpy as np
from hypothesis import strategies as st


def points(rng, *counts, pool=None):
    """Points of events with so many each, uniform or drawn from a pool of places."""
    number, offsets = sum(counts), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    eta, phi = rng.uniform(-5, 5, pool or number), rng.uniform(-np.pi, np.pi, pool or number)
    chosen = rng.integers(0, pool, number) if pool else np.arange(number)
    return eta[chosen], phi[chosen], offsets


def distances(eta_a, phi_a, eta_b, phi_b):
    """Delta R of all a (rows) to all b (columns)."""
    turn = 2 * np.pi
    wrapped_a, wrapped_b = (phi - turn * np.floor((phi + np.pi) / turn) for phi in (phi_a, phi_b))
    dphi = np.abs(wrapped_a[:, None] - wrapped_b)
    return np.sqrt((eta_a[:, None] - eta_b) ** 2 + np.minimum(dphi, turn - dphi) ** 2)


def pairs_within(a, b, radius):
    """Pairs of points of one event up to a radius apart, event by event: position in a, in b, distance."""
    found = []
    for first_a, last_a, first_b, last_b in zip(a[2], a[2][1:], b[2], b[2][1:], strict=False):
        distance = distances(a[0][first_a:last_a], a[1][first_a:last_a], b[0][first_b:last_b], b[1][first_b:last_b])
        found += [(i + first_a, j + first_b, distance[i, j]) for i, j in np.argwhere(distance <= radius)]
    return found


def nearest(eta, phi, offsets, k):
    """The k nearest others of every point, one list for all: source, target, distance."""
    found = []
    for first, last in itertools.pairwise(offsets):
        distance = distances(eta[first:last], phi[first:last], eta[first:last], phi[first:last])
        for i in range(last - first):
            others = np.delete(np.arange(last - first), i)
            best = others[np.lexsort((others, distance[i, others]))][:k]
            found += [(i + first, j + first, distance[i, j]) for j in best]
    return found


# Places on a lattice, so that many coincide or are equally far apart; some in float32, and pi itself, from both sides.
ETAS = st.sampled_from([-7.0, -5.0, -0.25, 0.0, 0.25, 0.5, 0.75, 3.0, 1e6, -1e30])
PHIS = st.sampled_from([-np.pi, np.pi, float(np.float32(np.pi)), float(np.float32(-np.pi)), -3.0, 3.0, 0.0, 0.25, -0.25, 0.5, 7.0])
PLACES = st.tuples(st.one_of(ETAS, st.floats(-6, 6, width=32)), st.one_of(PHIS, st.floats(-10, 10, width=32)))
EVENTS = st.lists(st.lists(PLACES, max_size=12), max_size=4)


def flat(events):
    """Lists of places -> eta, phi, offsets."""
    places = np.array([place for event in events for place in event], dtype=np.float64).reshape(-1, 2)
    return places[:, 0], places[:, 1], np.concatenate([[0], np.cumsum([len(event) for event in events])]).astype(np.int64)
