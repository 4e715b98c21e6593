import numpy as np
import onnx
import pytest

from mlpf.candidates import compare_candidates
from mlpf.errors import ModelError
from mlpf.evaluation.predictor import OnnxPredictor, TorchPredictor, batches_of_similar_size, load_predictor


def test_batches_hold_every_event_once_and_stay_below_the_limit():
    counts = np.array([5, 0, 100, 7, 7, 300, 1])
    batches = list(batches_of_similar_size(counts, 100))
    assert sorted(np.concatenate(batches).tolist()) == [0, 2, 3, 4, 5, 6]  # not the empty one
    for batch in batches:
        assert len(batch) == 1 or counts[batch].max() * len(batch) <= 100


def test_batched_torch_predictions_are_those_of_each_event_alone(run, random_dataset):
    events = random_dataset(6, 20)
    predictor = TorchPredictor(run, "cpu")
    together = predictor(events)
    for i in range(6):
        alone = predictor(events.slice(i, i + 1))
        expected = together.slice(i, i + 1)
        assert np.array_equal(alone["mlpfcandidate_element"], expected["mlpfcandidate_element"])
        assert np.array_equal(alone["mlpfcandidate_pdgid"], expected["mlpfcandidate_pdgid"])
        assert alone["mlpfcandidate_pt"] == pytest.approx(expected["mlpfcandidate_pt"], rel=1e-4)


def test_run_and_onnx_file_give_the_same_candidates(run, onnx_file, random_dataset):
    events = random_dataset(5, 30)
    result = compare_candidates(load_predictor(run)(events), load_predictor(onnx_file)(events))
    assert result.agree, result


def test_no_events_and_empty_events_give_no_candidates(run, random_dataset):
    events = random_dataset(2, 0.0)
    assert TorchPredictor(run, "cpu")(events).size("mlpfcandidate") == 0
    assert len(TorchPredictor(run, "cpu")(events.slice(0, 0))) == 0


def test_a_model_is_evaluated_on_events_that_it_has_not_seen_where_it_knows_them(run, onnx_file, tmp_path):
    for predictor in (TorchPredictor(run, "cpu"), OnnxPredictor(onnx_file, "cpu")):
        assert predictor.default_split == "test"
        assert predictor.split.seed == 5  # of the run, not the default
    model = onnx.load(onnx_file)
    model.ClearField("metadata_props")  # as a file of other origin
    onnx.save(model, tmp_path / "foreign.onnx")
    assert OnnxPredictor(tmp_path / "foreign.onnx", "cpu").default_split == "all"


def test_an_unknown_device_is_one_clear_error(run, onnx_file):
    for path in (run, onnx_file):
        with pytest.raises(ModelError, match="device 'tpu': unknown; choose one of cpu, cuda"):
            load_predictor(path, "tpu")


@pytest.mark.parametrize("name", ["nothing.pt", "nothing.onnx", "."])
def test_what_is_no_model_is_one_clear_error(tmp_path, name):
    with pytest.raises(ModelError):
        load_predictor(tmp_path / name)
