import numpy as np
import pytest
from scipy import stats

from mlpf.events import event_index
from mlpf.schema import ElementType
from mlpf.simulation.electron_id import COEFFICIENTS, FEATURES, NUM_SCORES

SCORES = tuple(f"element_gsf_electronseed_dnn{k}" for k in range(1, 6))


@pytest.fixture(scope="module")
def electrons(gun):
    return gun(300, particle="e", min_pt=5.0, max_pt=80.0, min_abs_eta=0.0, max_abs_eta=2.3)


@pytest.fixture
def pions(gun, monkeypatch):
    monkeypatch.setattr("mlpf.simulation.tracker.gsf.HADRON_RATE", 1.0)
    return gun(300, particle="pi", min_pt=5.0, max_pt=80.0, min_abs_eta=0.0, max_abs_eta=2.3)


def leading_scores(events):
    """``(5, B)`` scores of the GSF of highest momentum in each event that has one."""
    gsf = np.flatnonzero(events["element_type"] == ElementType.GSF)
    event = event_index(events.offsets["element"])[gsf]
    order = gsf[np.lexsort([-events["element_pt"][gsf], event])]
    leading = order[np.unique(event_index(events.offsets["element"])[order], return_index=True)[1]]
    return np.stack([events[name][leading] for name in SCORES])


def test_scores_sum_to_one_for_electrons_and_are_zero_for_all_else(electrons):
    total = sum(electrons[name].astype(float) for name in SCORES)
    present = total > 0
    assert total[present] == pytest.approx(1.0, abs=2e-5)
    assert np.isin(electrons["element_type"][present], (ElementType.GSF, ElementType.SC)).all()
    assert all((electrons[name] >= 0).all() for name in SCORES)


def test_every_electron_is_a_track_and_a_supercluster_with_the_same_scores(electrons):
    event = event_index(electrons.offsets["element"])
    first = electrons[SCORES[0]]
    of_type = {kind: [set(first[(event == e) & (electrons["element_type"] == kind) & (first > 0)].tolist()) for e in range(300)] for kind in (6, 10)}
    assert all(supercluster <= gsf for gsf, supercluster in zip(of_type[6], of_type[10], strict=True))
    assert np.mean([len(values) > 0 for values in of_type[10]]) > 0.7


def test_electrons_separate_from_pions(electrons, pions):
    signal, background = (leading_scores(events)[:2].sum(axis=0) for events in (electrons, pions))
    assert len(background) > 200
    area = stats.mannwhitneyu(signal, background).statistic / (len(signal) * len(background))
    assert area > 0.95
    found = leading_scores(pions).sum(axis=0) > 0
    assert np.mean(found) < 0.3  # most have too much energy behind the ECAL to be an electron at all
    assert np.mean(signal > 0) > 0.85
    among_found = stats.mannwhitneyu(signal[signal > 0], background[found]).statistic / (np.sum(signal > 0) * found.sum())
    assert among_found > 0.9


def test_guns_make_isolated_electrons(electrons):
    mean = leading_scores(electrons).mean(axis=1)
    assert np.argmax(mean) == 0


def test_the_table_has_a_row_per_score_and_a_column_per_feature():
    assert COEFFICIENTS.shape == (NUM_SCORES, len(FEATURES)) == (len(SCORES), 8)
