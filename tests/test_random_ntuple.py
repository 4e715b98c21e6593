import numpy as np
import pytest

from mlpf import schema
from mlpf.testing import random_events


@pytest.mark.parametrize("version", schema.VERSIONS)
@pytest.mark.parametrize("ties", [False, True])
def test_random_events_are_valid_and_hold_all_columns_of_their_version(version, ties):
    events = random_events(np.random.default_rng(1), 100, version=version, ties=ties)
    events.validate()
    assert not events.non_finite(list(events.columns))
    assert set(events.columns) == {column.name for column in schema.NTUPLE.columns.values() if version in column.versions}


def test_random_events_hold_the_awkward_cases():
    events = random_events(np.random.default_rng(2), 300, ties=True)
    for name in ("element", "caloparticle", "simcluster", "trackingparticle", "pfcandidate"):
        assert (events.counts(name) == 0).any(), name
    name = "caloparticle_to_element"
    pairs = np.stack([np.repeat(np.arange(300), events.counts(name)), events[f"{name}.first"], events[f"{name}.second"]])
    assert np.unique(pairs, axis=1).shape[1] < pairs.shape[1]
    assert len(np.unique(events["caloparticle_pt"])) < 100
    assert set(events["element_type"]) == set(range(1, 12))


def test_equal_generators_give_equal_events():
    first, second = (random_events(np.random.default_rng(3), 10) for _ in range(2))
    for name in first.columns:
        np.testing.assert_array_equal(first[name], second[name])
    other = random_events(np.random.default_rng(4), 10)
    assert other.size("element") != first.size("element")
