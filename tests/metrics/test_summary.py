import json

import numpy as np
import pytest

from mlpf import schema
from mlpf.candidates import Outputs, Prediction
from mlpf.errors import MlpfError
from mlpf.events import Events, offsets_from_counts
from mlpf.features import consumer_elements
from mlpf.metrics import binning
from mlpf.metrics.definitions import DEFINITIONS
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


def predict(events, **options):
    """Those candidates, and outputs that depend on the elements alone."""
    energy = events["element_energy"][consumer_elements(events["element_type"])]
    binary, pid = np.stack([-energy, energy], axis=1), np.cos(energy[:, None] * np.arange(9))
    outputs = Outputs(*(values.astype(np.float32) for values in (binary, pid, np.zeros((len(energy), 5)), -energy)))
    return Prediction(candidates_from_targets(events, **options), outputs)


def collect(*chunks, models=("model",), **options):
    metrics = Metrics(models)
    for events in chunks:
        metrics.update(events, {name: predict(events, **options) for name in models})
    return metrics


def measure(*chunks, **options):
    return collect(*chunks, **options).results()


@pytest.fixture(scope="module")
def events(random_dataset):
    events = random_dataset(40)
    return events.with_columns({"num_pileup": np.full(40, -1)})


@pytest.fixture(scope="module")
def pileup_events(events):
    """Of several numbers of pileup collisions, with pileup."""
    ispu = np.where(np.arange(events.size("element")) % 3 == 0, 1.0, 0.0)
    return events.with_columns({"target_ispu": ispu, "num_pileup": np.arange(40) * 5 - 5})


def test_a_model_that_says_the_targets_is_perfect_and_equals_the_ceiling(events):
    results = measure(events)
    assert list(results["systems"]) == ["pf", "model", "targets"]
    assert results["elements"]["model"]["efficiency"]["any"]["all"]["value"] == 1.0
    assert results["particles"]["model"]["efficiency"]["photon"]["all"]["value"] == 1.0
    for section in ("jets", "met", "emd"):
        assert results[section]["model"] == results[section]["targets"]
    assert results["jets"]["model"]["central"]["response"]["all"]["median"]["value"] == pytest.approx(1.0, abs=1e-6)
    assert results["met"]["model"]["residual"]["all"]["iqr"]["value"] == pytest.approx(0.0, abs=1e-4)
    assert results["multiplicity"]["model"]["photon"]["difference"]["mean"]["value"] == 0.0


def test_a_scaled_model_has_the_scale_as_response_everywhere(events):
    results = measure(events, scale=0.9)
    assert results["particles"]["model"]["residuals"]["photon"]["pt_response"]["median"]["value"] == pytest.approx(0.9)
    assert results["jets"]["model"]["central"]["response"]["all"]["median"]["value"] == pytest.approx(0.9, abs=2e-3)
    assert results["met"]["model"]["ratio"]["all"]["median"]["value"] == pytest.approx(0.9, abs=1e-5)


def test_several_models_are_measured_side_by_side_as_each_alone(events):
    both = Metrics(["good", "bad"])
    both.update(events, {"bad": predict(events, scale=0.7), "good": predict(events)})
    results, alone = both.results(), measure(events, models=("bad",), scale=0.7)
    assert list(results["systems"]) == ["pf", "good", "bad", "targets"]
    assert results["systems"]["bad"] == "bad"
    for section in ("elements", "particles", "jets", "met", "multiplicity", "emd"):
        assert {name: results[section][name] for name in alone[section]} == alone[section]
    assert set(both.performance()["all"]["any"]) == {"pf", "good", "bad"}


def cut(events):
    return events.slice(0, 7), events.slice(7, 8), events.slice(8, 8), events.slice(8, 40)


def assert_same(a, b):
    """To the last bit, and so all that follows from them."""
    ours, theirs = a._parts(), b._parts()
    assert ours.keys() == theirs.keys()
    for name, part in ours.items():
        expected = theirs[name].arrays()
        for key, array in part.arrays().items():
            np.testing.assert_array_equal(array, expected[key], f"{name}:{key}")


def test_the_numbers_do_not_depend_on_how_events_are_cut_into_chunks_or_ordered(pileup_events):
    once, chunks = collect(pileup_events), collect(*cut(pileup_events))
    assert_same(once, chunks)
    assert_same(once, collect(*reversed(cut(pileup_events))))
    assert once.results() == chunks.results()
    assert once.performance() == chunks.performance()


def test_the_sum_of_parts_is_the_whole(pileup_events):
    parts = [collect(chunk) for chunk in cut(pileup_events)]
    total = parts[2] + parts[0] + parts[3] + parts[1]
    assert_same(total, collect(pileup_events))
    assert parts[0].num_events == 7  # as before


def test_sums_go_on_from_a_file(pileup_events, tmp_path):
    first, *others = cut(pileup_events)
    collect(first).save(tmp_path / "sums.npz")
    metrics = Metrics.load(tmp_path / "sums.npz")
    assert metrics.models == ("model",)
    for events in others:
        metrics.update(events, {"model": predict(events)})
    assert_same(metrics, collect(pileup_events))


def damaged(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 500] = bytes(500)
    path.write_bytes(content)


def changed(**arrays):
    def change(path):
        with np.load(path) as file:
            kept = dict(file)
        kept |= arrays
        np.savez(path, **{name: values for name, values in kept.items() if values is not None})

    return change


ARRAY_FILE = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n" + bytes(8)
DEFLATED, UNKNOWN = b"PK\x01\x02-\x03-\x00\x00\x00\x08", b"PK\x01\x02-\x03-\x00\x00\x00\x63"  # of one file of the archive
BAD_FILES = {
    "damaged": damaged,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-2000]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("metrics"),
    "another npz": lambda path: np.savez(path, x=np.zeros(3)),
    "a pickle": lambda path: np.savez(path, format=np.array([{}], dtype=object)),
    "a plain array": lambda path: path.write_bytes(ARRAY_FILE),
    "another version": changed(format=np.array(99)),
    "other bins": changed(bins=np.array("0123456789abcdef")),
    "other models": changed(models=np.array(["another"])),
    "a missing array": changed(**{"totals:events": None}),
    "another array": changed(**{"totals/of/nothing:x": np.zeros(1)}),
    "an array of another shape": changed(**{"totals:vertices": np.zeros(3, dtype=np.int64)}),
    "an array of another shape that would fit": changed(**{"totals:vertices": np.zeros(1, dtype=np.int64)}),
    "an unknown compression": lambda path: path.write_bytes(UNKNOWN.join(path.read_bytes().rsplit(DEFLATED, 1))),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_are_no_sums_are_one_clear_error(events, tmp_path, name):
    path = tmp_path / "sums.npz"
    collect(events.slice(0, 2)).save(path)
    BAD_FILES[name](path)
    with pytest.raises(MlpfError, match=r"sums\.npz: .*(evaluate again|pass the folder of one)") as raised:
        Metrics.load(path)
    assert "\n" not in str(raised.value)


def test_sums_of_other_models_do_not_add_up(events):
    with pytest.raises(AssertionError, match=r"one.*another"):
        collect(events, models=("one",)) + collect(events, models=("another",))


def test_rule_based_particle_flow_is_left_out_where_the_dataset_has_none(events):
    names = [name for name in events.columns if not name.startswith("candidate_")]
    bare = Events({name: events[name] for name in names}, events.offsets, len(events), layout=schema.DATASET)
    metrics = collect(bare)
    assert "pf" not in metrics.results()["systems"]
    assert set(metrics.results()["jets"]) == {"model", "targets"}
    assert set(metrics.performance()["all"]["any"]) == {"model"}


def test_pileup_adds_systems_without_it(pileup_events):
    results = measure(pileup_events, pileup=0.9)
    assert list(results["systems"]) == ["pf", "model", "targets", "model_hard", "targets_hard"]
    assert results["jets"]["model_hard"]["central"]["matched"]["all"]["value"] == 0.0  # the model calls everything pileup
    assert 0 < results["jets"]["targets_hard"]["central"]["matched"]["all"]["value"] < 1
    assert results["jets"]["model"] == results["jets"]["targets"]


def test_numbers_of_pileup_collisions_are_bins_where_some_are_known(events, pileup_events):
    def places(results):
        return [
            results["particles"]["model"]["efficiency"]["photon"],
            results["particles"]["model"]["fake_rate"]["photon"],
            results["particles"]["model"]["residuals"]["photon"]["pt_response"],
            results["particles"]["model"]["residuals"]["photon"]["energy_response"],
            results["jets"]["targets"]["central"]["response"],
            results["jets"]["targets"]["forward"]["purity"],
            results["met"]["pf"]["residual"],
            results["met"]["pf"]["ratio"],
            results["emd"]["targets"],
        ]

    without = events.with_columns({"num_pileup": np.zeros(40, dtype=np.int32)})
    names = [name for name in events.columns if name != "num_pileup"]
    old = Events({name: events[name] for name in names}, events.offsets, len(events), layout=schema.DATASET)
    for unknown in (events, without, old):
        assert not any("vertices" in place for place in places(measure(unknown.slice(0, 3))))
    results = measure(pileup_events)
    assert all("vertices" in place for place in places(results))
    residual = results["met"]["pf"]["residual"]
    assert sum(entry["n"] for entry in residual["vertices"]["median"]) == residual["all"]["median"]["n"] - 2  # one event is unknown


def test_candidates_that_are_not_finite_are_counted_for_each_model(events):
    candidates, outputs = predict(events)
    energy = candidates["mlpfcandidate_energy"].copy()
    energy[[1, 5, 8]] = np.nan, np.inf, -np.inf
    metrics = Metrics(["broken", "whole"])
    broken = Prediction(candidates.with_columns({"mlpfcandidate_energy": energy}), outputs)
    metrics.update(events, {"broken": broken, "whole": predict(events)})
    assert metrics.results()["models"] == {"broken": {"num_not_finite": 3}, "whole": {"num_not_finite": 0}}


def test_candidates_of_absurd_momentum_are_no_error(events):
    candidates, outputs = predict(events)
    pt, energy = candidates["mlpfcandidate_pt"].copy(), candidates["mlpfcandidate_energy"].copy()
    pt[::7] = energy[::7] = 3e38
    pt[1::7] = energy[1::7] = 1e-38
    metrics = Metrics(["model"])
    metrics.update(events, {"model": Prediction(candidates.with_columns({"mlpfcandidate_pt": pt, "mlpfcandidate_energy": energy}), outputs)})
    json.dumps(metrics.results(), allow_nan=False)


def test_the_digest_tells_which_events_these_are(events):
    digest = collect(events).events_digest
    assert digest == collect(events.slice(9, 40), events.slice(0, 9)).events_digest
    assert len(digest) == 16
    other_number = events["event"].copy()
    other_number[3] += 1
    others = [
        collect(events.slice(0, 39)),
        collect(events.slice(0, 39), events.slice(0, 1)),
        collect(events.with_columns({"event": other_number})),
    ]
    assert len({digest, *(metrics.events_digest for metrics in others)}) == 4


def test_the_results_are_strict_json_with_the_edges_of_all_bins(pileup_events):
    results = measure(pileup_events.slice(0, 12))
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    jets = results["jets"]["model"]["central"]["response"]
    for name, of_bins in {"jet_pt": jets["pt"], "jet_eta": jets["eta"], "vertices": jets["vertices"]}.items():
        assert len(results["bins"][name]) == len(of_bins["median"]) + 1
    assert results["bins"]["vertices"] == binning.VERTICES.tolist()
    assert set(results) >= {"elements", "particles", "jets", "met", "multiplicity", "emd"}
    assert set(DEFINITIONS) >= {"elements", "particles", "jets", "met", "multiplicity", "emd", "vertices", "systems", "uncertainties"}


def test_no_events_are_no_error(events):
    metrics = collect(events.slice(0, 0))
    results = metrics.results()
    assert results["num_events"] == 0
    assert results["jets"]["model"]["central"]["matched"]["all"]["value"] is None
    assert metrics.performance() is not None
    assert Metrics(["model"]).results() == results


def test_events_without_elements_are_no_error(events):
    columns = {name: values if events.layout.is_scalar(name) else values[:0] for name, values in events.columns.items()}
    bare = Events(columns, {name: np.zeros(41) for name in events.offsets}, 40, layout=schema.DATASET)
    results = measure(bare)
    assert (results["num_events"], results["num_elements"]) == (40, 0)
    assert results["met"]["model"]["residual"]["all"]["median"]["n"] == 80


def test_memory_is_flat(events):
    metrics = collect(events)
    before = {name: {key: array.nbytes for key, array in part.arrays().items()} for name, part in metrics._parts().items()}
    metrics.update(events, {"model": predict(events)})  # the same bins again
    assert before == {name: {key: array.nbytes for key, array in part.arrays().items()} for name, part in metrics._parts().items()}


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_an_absurd_truth_costs_its_own_numbers_only(events, value):
    absurd = {}
    for name in ("target_pt", "target_eta", "target_energy", "genjet_pt", "genjet_eta", "genjet_energy", "genmet_pt", "genmet_phi"):
        absurd[name] = events[name].copy()
        absurd[name][::10] = value
    said = predict(events)
    metrics = Metrics(["model"])
    metrics.update(events.with_columns(absurd), {"model": said})
    results = metrics.results()
    json.dumps(results, allow_nan=False)
    assert results["particles"]["model"]["residuals"]["photon"]["pt_response"]["median"]["value"] == 1.0


def test_models_beside_each_other_are_the_later_ones_where_they_are_in_both(events):
    few = events.slice(0, 5)
    earlier, later = collect(few, models=("one", "two")), collect(few, models=("two", "three"), scale=0.9)
    both = earlier.beside(later)
    assert both.models == ("one", "two", "three")
    responses = [both.results()["met"][name]["ratio"]["all"]["median"]["value"] for name in both.models]
    assert responses == pytest.approx([1.0, 0.9, 0.9], abs=1e-5)
    with pytest.raises(AssertionError, match="different events"):
        earlier.beside(collect(events.slice(1, 6)))


def test_the_digest_tells_events_with_fewer_elements(events):
    one = events.slice(0, 1)
    number = one.size("element") - 1
    columns = {name: values[:number] if len(values) == number + 1 else values for name, values in one.columns.items()}
    shorter = Events(columns, one.offsets | {"element": np.array([0, number])}, 1, layout=schema.DATASET)
    assert collect(shorter).events_digest != collect(one).events_digest
