import json

import numpy as np
import pytest

from mlpf import schema
from mlpf.events import Events, offsets_from_counts
from mlpf.metrics.summary import Metrics


def candidates_from_targets(events, scale=1.0, pileup=0.0):
    """Candidates equal to the targets, but for a scale of pt and energy."""
    chosen = np.flatnonzero(events["target_class"])
    columns = {
        "mlpfcandidate_pt": events["target_pt"][chosen] * scale,
        "mlpfcandidate_eta": events["target_eta"][chosen],
        "mlpfcandidate_phi": np.arctan2(events["target_sin_phi"], events["target_cos_phi"])[chosen],
        "mlpfcandidate_energy": events["target_energy"][chosen] * scale,
        "mlpfcandidate_pdgid": events["target_class"][chosen],
        "mlpfcandidate_element": events["element_index"][chosen],
        "mlpfcandidate_pileup": np.full(len(chosen), pileup),
    }
    counts = np.diff(np.searchsorted(chosen, events.offsets["element"]))
    return Events(columns, {"mlpfcandidate": offsets_from_counts(counts)}, len(events), layout=schema.CANDIDATES)


def measure(*chunks, **options):
    metrics = Metrics()
    for events in chunks:
        metrics.update(events, candidates_from_targets(events, **options))
    return metrics.results()


@pytest.fixture(scope="module")
def events(random_dataset):
    return random_dataset(40)


def test_a_model_that_says_the_targets_is_perfect_and_equals_the_ceiling(events):
    results = measure(events)
    assert set(results["systems"]) == {"pf", "model", "targets"}
    assert results["elements"]["model"]["efficiency"]["any"]["all"]["value"] == 1.0
    assert results["particles"]["model"]["efficiency"]["photon"]["all"]["value"] == 1.0
    assert results["jets"]["model"] == results["jets"]["targets"]
    assert results["jets"]["model"]["central"]["response"]["all"]["median"]["value"] == pytest.approx(1.0, abs=1e-6)
    assert results["met"]["model"]["residual"]["all"]["iqr"]["value"] == pytest.approx(0.0, abs=1e-4)
    assert results["multiplicity"]["model"]["photon"]["difference"]["mean"]["value"] == 0.0


def test_a_scaled_model_has_the_scale_as_response_everywhere(events):
    results = measure(events, scale=0.9)
    assert results["particles"]["model"]["residuals"]["photon"]["pt_response"]["median"]["value"] == pytest.approx(0.9)
    assert results["jets"]["model"]["central"]["response"]["all"]["median"]["value"] == pytest.approx(0.9, abs=2e-3)
    assert results["met"]["model"]["ratio"]["all"]["median"]["value"] == pytest.approx(0.9, abs=1e-5)


def test_the_numbers_do_not_depend_on_how_events_are_cut_into_chunks(events):
    assert measure(events) == measure(events.slice(0, 7), events.slice(7, 8), events.slice(8, 8), events.slice(8, 40))


def test_rule_based_particle_flow_is_left_out_where_the_dataset_has_none(events):
    names = [name for name in events.columns if not name.startswith("candidate_")]
    bare = Events({name: events[name] for name in names}, events.offsets, len(events), layout=schema.DATASET)
    results = measure(bare)
    assert "pf" not in results["systems"]
    assert set(results["jets"]) == {"model", "targets"}


def test_pileup_adds_systems_without_it(events):
    ispu = np.where(np.arange(events.size("element")) % 3 == 0, 1.0, 0.0)
    results = measure(events.with_columns({"target_ispu": ispu}), pileup=0.9)
    assert results["jets"]["model_hard"]["central"]["matched"]["all"]["value"] == 0.0  # the model calls everything pileup
    assert 0 < results["jets"]["targets_hard"]["central"]["matched"]["all"]["value"] < 1


def test_candidates_that_are_not_finite_are_counted(events):
    candidates = candidates_from_targets(events)
    energy = candidates["mlpfcandidate_energy"].copy()
    energy[[1, 5, 8]] = np.nan, np.inf, -np.inf
    metrics = Metrics()
    metrics.update(events, candidates.with_columns({"mlpfcandidate_energy": energy}))
    assert metrics.results()["num_not_finite"] == 3
    assert measure(events)["num_not_finite"] == 0


def test_the_results_are_strict_json(events):
    results = measure(events.slice(0, 2))
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_no_events_are_no_error(events):
    results = measure(events.slice(0, 0))
    assert results["num_events"] == 0
    assert results["jets"]["model"]["central"]["matched"]["all"]["value"] is None
