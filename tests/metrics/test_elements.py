import numpy as np
import pytest

from mlpf import schema
from mlpf.events import offsets_from_counts
from mlpf.metrics.elements import count_elements
from mlpf.metrics.systems import Particles

CHARGED, PHOTON, NEUTRAL = 211, 22, 130


def particles(element, category, pt):
    n = len(element)
    pt = np.array(pt, dtype=float)
    return Particles(pt, np.full(n, 0.1), np.zeros(n), pt, np.array(category, dtype=np.int32), np.array(element), np.zeros(n), offsets_from_counts([n]))


TRUTH = particles([0, 1, 2, 3], [CHARGED, PHOTON, PHOTON, NEUTRAL], [1.5, 3, 30, 7])
FOUND = particles([0, 1, 3, 4], [CHARGED, PHOTON, PHOTON, PHOTON], [1.5, 3, 8, 0.7])  # 2 missed, 3 misnamed, 4 made up
ALL = np.ones(5, dtype=bool)


def test_efficiency_and_fake_rate_counted_by_hand():
    result = count_elements(TRUTH, FOUND, ALL).to_json()
    assert result["efficiency"]["charged_hadron"]["all"]["value"] == 1.0
    assert result["efficiency"]["photon"]["all"] | {"low": 0, "high": 0} == {"value": 0.5, "low": 0, "high": 0, "n": 2}
    assert result["fake_rate"]["photon"]["all"]["value"] == pytest.approx(2 / 3)
    assert result["efficiency"]["any"]["all"]["value"] == 0.75
    assert result["fake_rate"]["any"]["all"]["value"] == 0.25
    assert [bin_["value"] for bin_ in result["efficiency"]["photon"]["pt"]][3:7] == [1.0, None, None, 0.0]
    assert result["fake_rate"]["photon"]["pt"][4]["value"] == 1.0  # the candidate of 8 GeV


def test_the_confusion_matrix_has_every_element_once():
    confusion = count_elements(TRUTH, FOUND, ALL).confusion
    index = schema.CLASS_IDS.index
    assert confusion.sum() == 5
    assert confusion[index(PHOTON), index(PHOTON)] == 1
    assert confusion[index(PHOTON), 0] == 1
    assert confusion[index(NEUTRAL), index(PHOTON)] == 1
    assert confusion[0, index(PHOTON)] == 1


def test_elements_that_the_model_never_sees_do_not_count():
    kept = np.array([True, True, False, True, False])
    counts = count_elements(TRUTH, FOUND, kept)
    assert counts.confusion.sum() == 3
    assert counts.to_json()["efficiency"]["photon"]["all"]["value"] == 1.0
    assert counts.predicted["pt"].sum() == 3


def test_chunks_add_up():
    once, twice = count_elements(TRUTH, FOUND, ALL), count_elements(TRUTH, FOUND, ALL) + count_elements(TRUTH, FOUND, ALL)
    assert np.array_equal(twice.confusion, 2 * once.confusion)
    assert np.array_equal(twice.true["eta"], 2 * once.true["eta"])
