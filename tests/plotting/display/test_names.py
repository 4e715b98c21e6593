# ruff: noqa: RUF001 (Greek letters are what particles are called)
import numpy as np
import pytest

from mlpf.candidates import charge_of_pdgid
from mlpf.plotting.display.names import candidate_name, charge_of_particle, particle_name


@pytest.mark.parametrize(
    ("pdgid", "name"),
    [(211, "π⁺"), (-211, "π⁻"), (11, "e⁻"), (-13, "μ⁺"), (22, "γ"), (111, "π⁰"), (2212, "p"), (-2212, "p̅"), (-2112, "n̅"), (-3112, "Σ̅⁺"), (990, "990")],
)
def test_particles_are_named_with_their_charge(pdgid, name):
    assert particle_name(pdgid) == name


@pytest.mark.parametrize(
    ("pdgid", "name"),
    [(211, "charged hadron +"), (-211, "charged hadron −"), (11, "electron −"), (-13, "muon +"), (1, "HF hadronic"), (2, "HF electromagnetic"), (7, "7")],
)
def test_candidates_are_named_by_their_class(pdgid, name):
    assert candidate_name(pdgid) == name


def test_charges_follow_from_the_pdgid():
    pdgid = np.array([211, -211, 11, -11, 13, 22, 130, 3112, -3112, 2212, 990])
    assert charge_of_particle(pdgid).tolist() == [1, -1, -1, 1, -1, 0, 0, -1, 1, 1, 0]
    assert np.array_equal(charge_of_particle(pdgid[:7]), charge_of_pdgid(pdgid[:7]))
