import numpy as np
import pytest

from mlpf import schema
from mlpf.events import Events
from mlpf.metrics.binning import VERTICES, bin_index
from mlpf.metrics.event import MissingMomentumSums, MultiplicitySums, missing_momentum, scalar_sum
from mlpf.metrics.jets import JetSet
from mlpf.metrics.systems import Particles

EVENTS = Events({"genmet_pt": np.array([50.0, 0.0]), "genmet_phi": np.array([np.pi, 0.0])}, {}, 2, layout=schema.DATASET)
NO_JETS = JetSet(*(np.zeros(0) for _ in range(4)), np.zeros(3, dtype=np.int64))


def particles(pt, phi, category, offsets):
    n = len(pt)
    return Particles(np.array(pt), np.zeros(n), np.array(phi), np.array(pt), np.array(category), np.arange(n), np.zeros(n), np.array(offsets))


FOUND = particles([60.0, 3.0], [0.0, np.pi / 2], [22, 211], [0, 2, 2])


def summarise_met(found, jets=NO_JETS, generated=NO_JETS, num_pileup=(-1, -1)):
    sums = MissingMomentumSums()
    sums.update(EVENTS, found, scalar_sum(generated), scalar_sum(jets), bin_index(np.array(num_pileup), VERTICES))
    return sums.to_json(("genmet", "vertices"))


def test_missing_momentum_balances_the_candidates():
    x, y = missing_momentum(FOUND)
    assert x == pytest.approx([-60.0, 0.0])
    assert y == pytest.approx([-3.0, 0.0])


def test_the_ratio_is_taken_where_there_is_missing_momentum():
    summary = summarise_met(FOUND)
    assert summary["ratio"]["all"]["median"]["value"] == pytest.approx(np.hypot(60, 3) / 50)
    assert summary["ratio"]["all"]["median"]["n"] == 1


@pytest.mark.parametrize(("genmet", "number"), [(9.9, 0), (10.1, 1)])
def test_little_missing_momentum_has_no_ratio(genmet, number):
    sums = MissingMomentumSums()
    events = EVENTS.with_columns({"genmet_pt": np.array([genmet, 0.0])})
    sums.update(events, FOUND, np.zeros(2), np.zeros(2), np.zeros(2, dtype=np.int64))
    assert sums.to_json(())["ratio"]["all"]["median"]["n"] == number


def test_residuals_are_those_of_both_components():
    residual = summarise_met(FOUND)["residual"]
    assert residual["all"]["median"]["n"] == 4  # px and py of two events
    assert residual["genmet"]["median"][2]["value"] == pytest.approx(-6.5, abs=1e-5)  # 40-60 GeV: the median of -10 and -3
    assert sum(residual["histogram"]) == 4
    assert "iqr_over_median" not in residual["all"]


def test_missing_momentum_is_told_apart_by_pileup_collisions():
    summary = summarise_met(FOUND, num_pileup=(70, 70))
    assert [entry["n"] for entry in summary["residual"]["vertices"]["median"]] == [0, 0, 0, 0, 4, 0, 0, 0, 0]
    assert [entry["n"] for entry in summary["ratio"]["vertices"]["median"]] == [0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_ht_sums_central_jets_above_30_gev():
    offsets = np.array([0, 4, 4])
    generated = JetSet(np.array([100.0, 50.0, 29.0, 80.0]), np.array([0.0, -2.4, 0.0, -2.6]), np.zeros(4), np.zeros(4), offsets)
    assert scalar_sum(generated).tolist() == [150.0, 0.0]
    summary = summarise_met(FOUND, generated._replace(pt=generated.pt * 0.9), generated)
    assert summary["ht_ratio"]["median"] == pytest.approx({"value": 0.9, "low": None, "high": None, "n": 1})


def test_candidates_are_counted_per_class_and_compared_with_the_targets():
    truth = particles([60.0, 3.0, 2.0], [0.0, 0.0, 0.0], [22, 22, 22], [0, 2, 3])
    sums = MultiplicitySums()
    sums.update(truth, FOUND)
    summary = sums.to_json()
    assert summary["photon"]["number"]["value"] == 0.5
    assert summary["photon"]["number"]["high"] == pytest.approx(1.0)  # .5 + sqrt(.5) / sqrt(2)
    assert summary["photon"]["difference"]["mean"]["value"] == -1.0
    assert summary["charged_hadron"]["difference"]["mean"]["value"] == 0.5
    assert summary["charged_hadron"]["difference"]["iqr"]["value"] == pytest.approx(0.5)  # of 1 and 0
