"""The hard vertex against a search over all windows."""

import numpy as np
import pytest

from mlpf.classical.elements import elements_of
from mlpf.classical.momenta import VERTEX_WINDOW, neutral_direction
from mlpf.schema import ElementType as T


def slow_vertex(z, pt):
    """Of all windows that end at a track, the pt^2-weighted mean in the one with the largest sum of pt^2."""
    inside = [(z <= end) & (end - z <= VERTEX_WINDOW) for end in z]
    best = max(inside, key=lambda mask: np.sum(pt[mask] ** 2))
    return np.average(z[best], weights=pt[best] ** 2)


def test_neutrals_come_from_the_window_of_z_with_the_largest_sum_of_pt_squared(make_events):
    rng = np.random.default_rng(2)
    events, expected = [], []
    for _ in range(30):
        z, pt = rng.normal(0, 2, 40).astype(np.float32), rng.lognormal(0, 1, 40).astype(np.float32)
        tracks = [{"type": T.TRACK, "pt": p, "energy": p, "vz": v} for v, p in zip(z, pt, strict=True)]
        events.append([{"type": T.ECAL, "energy": 1, "px": 100, "py": 100, "pz": 50}, *tracks])
        expected.append(np.arcsinh((50 - slow_vertex(z.astype(np.float64), pt.astype(np.float64))) / np.hypot(100, 100)))
    elements = elements_of(make_events(*events))
    eta, phi = neutral_direction(elements, elements.of_type(T.ECAL))
    assert eta == pytest.approx(expected, abs=1e-9)
    assert phi == pytest.approx(np.full(30, np.pi / 4))


def test_without_tracks_the_vertex_is_the_origin_and_without_position_the_cluster_keeps_its_direction(make_events):
    elements = elements_of(make_events([{"type": T.ECAL, "px": 3, "py": 4, "pz": 5, "eta": 9, "phi": 9}, {"type": T.HCAL, "eta": 1.5, "phi": -2}]))
    eta, phi = neutral_direction(elements, np.array([0, 1]))
    assert eta == pytest.approx([np.arcsinh(1), 1.5])
    assert phi == pytest.approx([np.arctan2(4, 3), -2])
