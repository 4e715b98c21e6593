import numpy as np
import pytest

from mlpf.evaluation.detector.pileup_subtraction import REGION_EDGES, VERTEX_WINDOW, densities, from_other_vertices, primary_vertices, subtracted_jets
from mlpf.events import Events
from mlpf.schema import ElementType


def event_of_particles(pt, eta, phi):
    """One event whose candidates are massless."""
    columns = {"pfcandidate_pt": pt, "pfcandidate_eta": eta, "pfcandidate_phi": phi, "pfcandidate_energy": pt * np.cosh(eta)}
    return Events(columns, {"pfcandidate": np.array([0, len(pt)])}, 1)


def even_background(pt_per_area):
    """Soft particles on a grid: so many GeV per unit of eta and phi everywhere."""
    step = 0.05
    eta, phi = np.meshgrid(np.arange(-5 + step / 2, 5, step), np.arange(-np.pi + np.pi / 126, np.pi, np.pi / 63))
    return np.full(eta.size, pt_per_area * step * np.pi / 63), eta.ravel(), phi.ravel()


def test_the_primary_vertex_is_where_most_pt_squared_comes_from():
    rng = np.random.default_rng(4)
    offsets = np.array([0, 200, 200, 450])
    z, pt = rng.normal(0.0, 5.0, 450), rng.exponential(1.0, 450)
    z[:3], pt[:3] = (2.0, 2.01, 1.99), 30.0
    found = primary_vertices(z, pt, offsets)
    for b in (0, 2):
        own = slice(offsets[b], offsets[b + 1])
        windows = [np.abs(z[own] - place) <= VERTEX_WINDOW for place in z[own]]
        best = windows[np.argmax([np.sum(pt[own][window] ** 2) for window in windows])]
        assert found[b] == pytest.approx(np.sum(z[own][best] * pt[own][best] ** 2) / np.sum(pt[own][best] ** 2))
    assert found[0] == pytest.approx(2.0, abs=0.001)
    assert found[1] == 0.0  # no tracks


def test_an_even_background_has_its_density_in_every_region():
    pt, eta, phi = even_background(20.0)
    assert densities(pt, eta, phi, np.array([0, len(pt)])) == pytest.approx(np.full((1, len(REGION_EDGES) - 1), 20.0), rel=0.1)


def test_a_few_hard_particles_do_not_move_the_density():
    pt, eta, phi = even_background(20.0)
    pt[::5000] += 100.0
    assert densities(pt, eta, phi, np.array([0, len(pt)]))[0, 3] == pytest.approx(20.0, rel=0.1)


def test_a_jet_on_an_even_background_keeps_its_own_pt():
    pt, eta, phi = even_background(20.0)
    event = event_of_particles(np.append(pt, 60.0), np.append(eta, 0.7), np.append(phi, 1.0))
    jets, jet_of = subtracted_jets(event, np.zeros(len(pt) + 1, dtype=bool))
    hard = jet_of[-1]
    assert jets.pt[hard] == pytest.approx(60.0, abs=2.0)  # 70 before
    assert np.sum(jets.pt > 5.0) == 1


def test_candidates_of_tracks_of_other_vertices_are_left_out():
    z, pt = np.array([1.0, 1.01, -4.0, 1.02, 9.0]), np.array([20.0, 10.0, 5.0, 1.0, 2.0])
    displaced = np.array([0.0, 0.0, 0.0, 0.0, 3.0])
    columns = {
        "element_type": np.append(np.full(5, ElementType.TRACK), ElementType.ECAL), "element_pt": np.append(pt, 4.0),
        "element_vz": np.append(z, 0.0), "element_vx": np.append(displaced, 0.0), "element_vy": np.zeros(6),
        "element_to_candidate.first": np.arange(6), "element_to_candidate.second": np.arange(6), "pfcandidate_pt": np.ones(6),
    }  # fmt: skip
    offsets = {name: np.array([0, 6]) for name in ("element", "element_to_candidate", "pfcandidate")}
    assert from_other_vertices(Events(columns, offsets, 1)).tolist() == [False, False, True, False, False, False]
