import numpy as np
import pytest

from mlpf.postprocess.policy import CaloParticlePolicy
from mlpf.postprocess.target import target_class
from mlpf.schema import ElementType

PARTICLES = {"photon": (22, 0), "electron": (11, -1), "muon": (13, 1), "kaon": (321, 1), "neutron": (2112, 0), "nothing": (0, 0)}
# Read off the specification, one row per element type, in the order of PARTICLES.
CLASSES = {
    "TRACK": (211, 11, 13, 211, 211, 0),
    "GSF": (22, 11, 13, 211, 130, 0),
    "ECAL": (22, 11, 22, 22, 130, 0),
    "HCAL": (22, 130, 130, 130, 130, 0),
    "HFEM": (2, 2, 2, 2, 2, 0),
    "HFHAD": (1, 1, 1, 1, 1, 0),
    "SC": (0, 0, 0, 0, 0, 0),
    "HO": (22, 130, 130, 130, 130, 0),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_class_is_what_the_element_type_can_carry(kind):
    pid, charge = (np.array(values) for values in zip(*PARTICLES.values(), strict=True))
    found = target_class(pid, charge, np.full(len(pid), ElementType[kind]), CaloParticlePolicy())
    assert tuple(found) == CLASSES[kind]


def test_superclusters_can_be_told_to_carry_particles():
    pid, charge = (np.array(values) for values in zip(*PARTICLES.values(), strict=True))
    found = target_class(pid, charge, np.full(len(pid), ElementType.SC), CaloParticlePolicy(supercluster_class="particle"))
    assert tuple(found) == (22, 130, 130, 130, 130, 0)
