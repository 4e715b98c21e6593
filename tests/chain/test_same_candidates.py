"""An ntuple through the producer, and through the dataset and the evaluation: the same candidates."""

import numpy as np
import onnx
import pytest
import torch

from mlpf import schema
from mlpf.candidates import compare_candidates
from mlpf.evaluation.predictor import load_predictor
from mlpf.export.exporter import ConsumerModule, to_onnx
from mlpf.io.ntuple import read_ntuple
from mlpf.io.shards import ShardedDataset
from mlpf.nn.model import WindowConfig, build_model
from mlpf.nn.saved import ModelInfo, load_model, save_model
from mlpf.postprocess import CaloParticlePolicy, postprocess_events
from mlpf.producer import Producer, consumer_input
from mlpf.samples.split import SplitConfig

NUM_EVENTS = 24


@pytest.fixture(scope="module")
def ntuple(repository):
    """The first events of the sample ntuple."""
    return read_ntuple(repository / "data" / "ttbar.root").slice(0, NUM_EVENTS)


@pytest.fixture
def make_dataset(ntuple, write_dataset):
    """The same events, postprocessed in some way, written and read again."""
    return lambda **policy: ShardedDataset(write_dataset(postprocess_events(ntuple, CaloParticlePolicy(**policy))[0])).read()


@pytest.fixture(scope="module")
def run(tmp_path_factory, ntuple):
    """A run folder with a window model, in which elements depend on their neighbours and yield candidates of many classes."""
    torch.manual_seed(3)
    config = WindowConfig(width=16, num_layers=1)
    model = build_model(config)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.preprocess.fit(torch.from_numpy(consumer_input(ntuple).features))
    folder = tmp_path_factory.mktemp("run")
    info = ModelInfo(model=config.model_dump(), dataset="", dataset_fingerprint="0", split=SplitConfig(), seed=3, epoch=1, validation_loss=1.0)
    save_model(folder, model.eval(), info)
    return folder


@pytest.fixture(scope="module")
def onnx_file(run, tmp_path_factory):
    """The same model as an ONNX file."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    onnx.save(to_onnx(ConsumerModule(load_model(run)[0])), path)
    return path


def assert_equal(found, expected):
    """To the last bit, links to elements and all."""
    np.testing.assert_array_equal(found.offsets["mlpfcandidate"], expected.offsets["mlpfcandidate"])
    for name in schema.CANDIDATES.columns:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_the_evaluation_of_a_dataset_gives_what_the_producer_makes_of_its_ntuple_to_the_last_bit(ntuple, make_dataset, onnx_file):
    produced = Producer(onnx_file)(ntuple)
    assert produced.size("mlpfcandidate") > 20 * NUM_EVENTS
    assert len(set(produced["mlpfcandidate_pdgid"].tolist())) > 5
    dataset = make_dataset(pt_from_energy_types=())  # by default a dataset has a pt of HO clusters that differs from the ntuple's by rounding
    assert_equal(load_predictor(onnx_file)(dataset).candidates, produced)


def test_one_by_one_or_in_chunks_the_producer_makes_the_same(ntuple, onnx_file):
    producer = Producer(onnx_file)
    produced = producer(ntuple)
    for size in (1, 7):
        for start in range(0, NUM_EVENTS, size):
            stop = min(start + size, NUM_EVENTS)
            assert_equal(producer(ntuple.slice(start, stop)), produced.slice(start, stop))


@pytest.mark.parametrize("batch_elements", [2000, 20_000])
def test_in_batches_the_producer_makes_the_same_but_for_rounding(ntuple, onnx_file, batch_elements):
    alone, batched = Producer(onnx_file), Producer(onnx_file, batch_elements=batch_elements)
    selected = consumer_input(ntuple)
    for name, found, expected in zip(alone.run_events(selected)._fields, batched.run_events(selected), alone.run_events(selected), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4, err_msg=name)
    assert len(batched.call_seconds) < NUM_EVENTS / 2
    comparison = compare_candidates(batched(ntuple), alone(ntuple))
    assert comparison.agree, comparison
    assert comparison.max_relative_pt < 1e-4


def test_the_run_itself_in_batches_gives_the_same_but_for_rounding(ntuple, make_dataset, run, onnx_file):
    comparison = compare_candidates(load_predictor(run)(make_dataset()).candidates, Producer(onnx_file)(ntuple))
    assert comparison.agree, comparison
    assert (comparison.num_events, comparison.max_relative_pt < 1e-4) == (NUM_EVENTS, True)
