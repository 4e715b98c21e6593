import fastjet
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.events import offsets_from_counts
from mlpf.jets import cluster_jets


def particles(counts, seed=0):
    rng = np.random.default_rng(seed)
    size = sum(counts)
    pt, eta, phi = rng.exponential(3, size), rng.normal(0, 2, size), rng.uniform(-np.pi, np.pi, size)
    return pt, eta, phi, pt * np.cosh(eta), offsets_from_counts(np.array(counts))


def test_jets_equal_fastjets_own_one_event_at_a_time():
    pt, eta, phi, energy, offsets = particles([300, 0, 1, 5, 200])
    jets = cluster_jets(pt, eta, phi, energy, offsets)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 0.4)
    for event in range(5):
        s = slice(offsets[event], offsets[event + 1])
        momenta = np.stack([pt[s] * np.cos(phi[s]), pt[s] * np.sin(phi[s]), pt[s] * np.sinh(eta[s]), energy[s]], axis=1)
        inputs = [fastjet.PseudoJet(*p) for p in momenta.tolist()]
        sequence = fastjet.ClusterSequence(inputs, definition)
        expected = fastjet.sorted_by_pt(sequence.inclusive_jets(3.0))
        found = slice(jets.offsets[event], jets.offsets[event + 1])
        assert jets.pt[found] == pytest.approx([j.pt() for j in expected], rel=1e-5)
        assert jets.eta[found] == pytest.approx([j.eta() for j in expected], abs=1e-5)
        assert jets.phi[found] == pytest.approx([j.phi_std() for j in expected], abs=1e-5)
        assert jets.energy[found] == pytest.approx([j.e() for j in expected], rel=1e-5)


@given(st.integers(0, 1000))
def test_constituents_add_up_to_their_jets(seed):
    pt, eta, phi, energy, offsets = particles([40, 0, 60], seed)
    pt[::7] = 0.0
    jets = cluster_jets(pt, eta, phi, energy, offsets, min_pt=1.0)
    assert (jets.constituent_jet[pt == 0] == -1).all()
    for event in range(3):
        s = slice(offsets[event], offsets[event + 1])
        for j in range(jets.offsets[event + 1] - jets.offsets[event]):
            members = jets.constituent_jet[s] == j
            px, py = (pt[s] * np.cos(phi[s]))[members].sum(), (pt[s] * np.sin(phi[s]))[members].sum()
            assert np.hypot(px, py) == pytest.approx(jets.pt[jets.offsets[event] + j], rel=1e-5)


def test_jets_come_by_descending_pt():
    jets = cluster_jets(*particles([500]))
    assert (np.diff(jets.pt) <= 0).all()


def test_nothing_gives_no_jets():
    empty = np.zeros(0)
    jets = cluster_jets(empty, empty, empty, empty, np.zeros(4, dtype=np.int64))
    assert jets.offsets.tolist() == [0, 0, 0, 0]
    jets = cluster_jets(np.zeros(2), np.zeros(2), np.zeros(2), np.ones(2), np.array([0, 2]))
    assert jets.constituent_jet.tolist() == [-1, -1]
