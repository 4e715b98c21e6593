import json

import matplotlib.image
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mlpf import schema
from mlpf.candidates import Outputs, candidate_class
from mlpf.dataset.loader import Loader
from mlpf.dataset.sample import select_split
from mlpf.evaluation.predictor import load_predictor
from mlpf.features import consumer_elements
from mlpf.io.shards import ShardedDataset
from mlpf.metrics import binning, systems
from mlpf.metrics.elements import count_elements
from mlpf.nn.saved import load_model
from mlpf.samples.split import SPLITS, split_index
from mlpf.schema import FEATURE_INDEX
from mlpf.testing import random_dataset
from mlpf.training.config import run_parameters
from mlpf.training.counts import RESPONSE_EDGES, ValidationCounts, count_batch
from mlpf.training.plots import TrainingPlots, read_columns, summary_of
from mlpf.training.run import train

FIGURES = ("confusion", "efficiency_pt", "response", "learning_curves")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return random_dataset(tmp_path_factory.mktemp("data"), num_events=200, mean_elements=30.0)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A training of one epoch, what was counted at its validation, and how often figures were drawn."""
    seen = []
    training = {"dataset": str(data), "epochs": 1, "max_elements": 400, "device": "cpu", "learning_rate": 0.01, "validation_steps": 2}
    parameters = run_parameters({"model": {"name": "gravnet", "width": 16, "num_layers": 1, "num_neighbors": 4}, "training": training})
    original = TrainingPlots._draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingPlots, "_draw", lambda self, counts, trainer: (seen.append(counts), original(self, counts, trainer)))
        return train(parameters, tmp_path_factory.mktemp("runs") / "run").folder, parameters, seen


def validation_batches(folder, parameters):
    model = load_model(folder)[0]
    sample = select_split(ShardedDataset(parameters.training.dataset), "validation", parameters.training.split)
    with torch.no_grad():
        for batch in Loader([sample], 400, shuffle=False):
            yield model.predict(batch), batch


def test_the_last_validation_is_drawn_for_tensorboard_and_as_files(run):
    folder, _, seen = run
    assert len(seen) == 1  # earlier ones would have cost too large a share of the time
    assert {path.name for path in (folder / "plots").iterdir()} == {f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg")}
    for name in FIGURES:
        pixels = matplotlib.image.imread(folder / "plots" / f"{name}.png")
        assert (pixels[..., :3].min(axis=2) < 0.9).mean() > 0.005  # ink
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["images"]) == {f"figures/{name}" for name in FIGURES}
    (image,) = events.Images("figures/confusion")
    assert image.step == read_columns(folder / "metrics.csv")["step"][-1]
    assert (image.height, image.width) == matplotlib.image.imread(folder / "plots" / "confusion.png").shape[:2]


def test_the_counts_are_those_of_an_evaluation_of_the_same_events(run, data):
    folder, parameters, seen = run
    events = ShardedDataset(data).read()
    events = events.select(split_index(events["run"], events["lumi"], events["event"], parameters.training.split) == SPLITS.index("validation"))
    possible = ~np.isin(events["element_type"], schema.NO_CANDIDATE_TYPES)  # these random events have targets on others, which no training sees
    events = events.with_columns({"target_class": events["target_class"] * possible})
    truth, found = systems.targets(events), systems.model(load_predictor(folder)(events).candidates, events)
    expected = count_elements(truth, found, consumer_elements(events["element_type"]))
    batches = list(validation_batches(folder, parameters))
    counts = sum((count_batch(*pair) for pair in batches), start=EMPTY)
    without_momentum = sum(int(((batch.targets.class_position > 0) & ~batch.targets.has_momentum).sum()) for _, batch in batches)
    assert counts.num_events == len(events)
    assert np.array_equal(counts.elements.confusion, expected.confusion)
    for part in ("true", "predicted"):
        for variable in ("pt", "eta"):
            mine, theirs = (getattr(side, part)[variable] for side in (counts.elements, expected))
            left_out = without_momentum if part == "true" else 0
            assert 0 <= theirs.sum() - mine.sum() <= left_out
            assert np.abs(mine - theirs).sum() <= left_out + 2  # one element at the edge of a bin
    if json.loads((folder / "model.json").read_text())["step"] == read_columns(folder / "metrics.csv")["step"][-1]:
        assert np.array_equal(seen[0].elements.confusion, expected.confusion)


EMPTY = ValidationCounts(
    0,
    count_elements(*[systems.Particles(*[np.empty(0)] * 4, np.empty(0, int), np.empty(0, int), np.empty(0), np.array([0, 0]))] * 2, np.ones(0, bool)),
    np.zeros((schema.NUM_CLASSES, len(RESPONSE_EDGES) - 1), dtype=np.int64),
)


def test_the_response_counts_every_element_that_is_a_particle_and_is_found(run):
    folder, parameters, _ = run
    batches = list(validation_batches(folder, parameters))
    counts = sum((count_batch(*pair) for pair in batches), start=EMPTY)
    responses = {c: [] for c in range(schema.NUM_CLASSES)}
    for output, batch in batches:
        for event, element in np.argwhere(batch.mask.numpy() > 0.5):
            features, momentum = batch.features[event, element], output.momentum[event, element]
            outputs = Outputs(*(tensor[None].numpy() for tensor in (output.binary[event, element], output.pid[event, element], momentum, momentum[0])))
            if batch.targets.has_momentum[event, element] and candidate_class(features[None].numpy(), outputs)[0]:
                truth = int(batch.targets.class_position[event, element])
                responses[truth].append(float(torch.exp(momentum[0] - batch.targets.momentum[event, element, 0])))
    assert [row.sum() for row in counts.response] == [len(values) for values in responses.values()]
    quantiles = counts.response_quantiles()
    for c, values in responses.items():
        if len(values) > 100:
            assert quantiles[c] == pytest.approx(np.quantile(values, (0.25, 0.5, 0.75)), rel=0.01)
        elif not values:
            assert np.isnan(quantiles[c]).all()
    assert max(map(len, responses.values())) > 100


def test_a_response_beyond_all_bins_is_counted_in_the_outermost(run):
    output, batch = next(iter(validation_batches(*run[:2])))
    for shift, place in ((20.0, -1), (-20.0, 0)):
        momentum = output.momentum.clone()
        momentum[..., 0] += shift
        counts = count_batch(output._replace(momentum=momentum), batch)
        assert counts.response[:, place].sum() == counts.response.sum() > 0


def test_the_counts_of_half_precision_are_those_of_their_numbers(run):
    output, batch = next(iter(validation_batches(*run[:2])))
    rounded = type(output)(*(tensor.bfloat16() for tensor in output))
    counts = count_batch(rounded, batch)
    again = count_batch(type(output)(*(tensor.float() for tensor in rounded)), batch)
    assert np.array_equal(counts.elements.confusion, again.elements.confusion)
    assert np.array_equal(counts.response, again.response)


def test_padding_is_not_counted(run):
    for output, batch in validation_batches(*run[:2]):
        padding = batch.mask < 0.5
        assert count_batch(output, batch).elements.confusion.sum() == (~padding).sum()
        batch.features[padding] = np.nan
        assert count_batch(output, batch).elements.confusion.sum() == (~padding).sum()
    assert padding.any()


def test_the_summary_gives_the_numbers_of_the_counts(run):
    counts = run[2][0]
    results = summary_of(counts).entry
    photon = schema.CLASS_NAMES.index("photon")
    efficiency = results["elements"]["model"]["efficiency"]["photon"]["all"]
    assert efficiency["n"] == counts.elements.confusion[photon].sum()
    assert efficiency["value"] == pytest.approx(counts.elements.confusion[photon, photon] / efficiency["n"])
    assert results["bins"]["particle_pt"] == binning.PARTICLE_PT.tolist()


def test_without_figures_nothing_is_drawn(run, tmp_path):
    _, parameters, seen = run
    quiet = parameters._replace(training=parameters.training.model_copy(update={"figures": False}))
    folder = train(quiet, tmp_path / "run").folder
    assert not (folder / "plots").exists()
    assert len(seen) == 1


class Clock:
    """A module of a training and its trainer, of 10 steps, whose time can be set."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("mlpf.training.plots.time.perf_counter", lambda: self.now)

    def drawn(self, plots, module, step, now):
        self.now = now
        plots.on_validation_start(type("Trainer", (), {"global_step": step}), module)
        return plots._counting


def test_earlier_validations_are_drawn_as_far_as_two_per_cent_of_the_time_allow(monkeypatch, tmp_path):
    from mlpf.loss.particle_flow import ParticleFlowLoss
    from mlpf.nn.model import build_model
    from mlpf.training.module import ParticleFlowModule
    from mlpf.training.schedule import make_schedule

    parameters = run_parameters({"model": {"width": 8, "num_layers": 1}, "training": {"epochs": 2}})
    schedule = make_schedule(parameters.training, 5)
    module = ParticleFlowModule(build_model(parameters.model), ParticleFlowLoss(parameters.loss), parameters.training, schedule)
    clock = Clock(monkeypatch)
    plots = TrainingPlots(tmp_path, tmp_path / "metrics.csv")
    assert not clock.drawn(plots, module, 2, 100.0)  # 5 s are expected, 2 would be allowed
    assert clock.drawn(plots, module, 3, 251.0)
    plots._latest, plots._spent = 4.0, 4.0
    assert not clock.drawn(plots, module, 4, 390.0)
    assert clock.drawn(plots, module, 5, 401.0)
    plots._latest, plots._spent = 4.0, 400.0
    assert not clock.drawn(plots, module, 9, 500.0)
    assert clock.drawn(plots, module, 10, 501.0)  # the last one always


def test_elements_without_a_momentum_to_compare_are_in_the_confusion_alone(run):
    output, batch = next(iter(validation_batches(*run[:2])))
    targets = batch.targets._replace(has_momentum=torch.zeros_like(batch.targets.has_momentum))
    counts = count_batch(output, batch._replace(targets=targets))
    assert np.array_equal(counts.elements.confusion, count_batch(output, batch).elements.confusion)
    assert counts.response.sum() == 0
    assert counts.elements.true["pt"].sum() == 0
    assert (batch.features[..., FEATURE_INDEX["pt"]] > 0).any()
