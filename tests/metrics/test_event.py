import numpy as np
import pytest

from mlpf import schema
from mlpf.events import Events
from mlpf.metrics.event import event_table, summarise_met, summarise_multiplicity
from mlpf.metrics.jets import JetSet
from mlpf.metrics.systems import Particles

EVENTS = Events({"genmet_pt": np.array([50.0, 0.0]), "genmet_phi": np.array([np.pi, 0.0])}, {}, 2, layout=schema.DATASET)
NO_JETS = JetSet(*(np.zeros(0) for _ in range(4)), np.zeros(3, dtype=np.int64))


def particles(pt, phi, category, offsets):
    n = len(pt)
    return Particles(np.array(pt), np.zeros(n), np.array(phi), np.array(pt), np.array(category), np.arange(n), np.zeros(n), np.array(offsets))


FOUND = particles([60.0, 3.0], [0.0, np.pi / 2], [22, 211], [0, 2, 2])


def test_missing_momentum_balances_the_candidates():
    table = event_table(EVENTS, FOUND, NO_JETS, NO_JETS)
    assert table["met"] == pytest.approx([np.hypot(60, 3), 0.0])
    assert table["met_x_residual"] == pytest.approx([-10.0, 0.0])
    assert table["met_y_residual"] == pytest.approx([-3.0, 0.0], abs=1e-5)


def test_the_ratio_is_taken_where_there_is_missing_momentum():
    summary = summarise_met(event_table(EVENTS, FOUND, NO_JETS, NO_JETS))
    assert summary["ratio"]["all"]["median"]["value"] == pytest.approx(np.hypot(60, 3) / 50)
    assert summary["ratio"]["all"]["median"]["n"] == 1
    assert summary["residual"]["all"]["median"]["n"] == 4  # px and py of two events
    assert summary["residual"]["genmet"]["median"][2]["value"] == pytest.approx(-6.5)  # 40-60 GeV: the median of -10 and -3


def test_ht_sums_central_jets_above_30_gev():
    offsets = np.array([0, 4, 4])
    generated = JetSet(np.array([100.0, 50.0, 29.0, 80.0]), np.array([0.0, 2.4, 0.0, 2.6]), np.zeros(4), np.zeros(4), offsets)
    table = event_table(EVENTS, FOUND, generated._replace(pt=generated.pt * 0.9), generated)
    assert table["gen_ht"].tolist() == [150.0, 0.0]
    assert summarise_met(table)["ht_ratio"]["median"]["value"] == pytest.approx(0.9)


def test_candidates_are_counted_per_class_and_compared_with_the_targets():
    truth = particles([60.0, 3.0, 2.0], [0.0, 0.0, 0.0], [22, 22, 22], [0, 2, 3])
    summary = summarise_multiplicity(event_table(EVENTS, FOUND, NO_JETS, NO_JETS), event_table(EVENTS, truth, NO_JETS, NO_JETS))
    assert summary["photon"]["number"]["value"] == 0.5
    assert summary["photon"]["difference"]["mean"]["value"] == -1.0
    assert summary["charged_hadron"]["difference"]["mean"]["value"] == 0.5
