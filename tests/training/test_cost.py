import numpy as np
import pytest
import torch

from mlpf import schema
from mlpf.errors import ConfigError
from mlpf.training.config import run_parameters
from mlpf.training.cost import ModelCost, random_batch

SMALL = {"model": {"name": "gravnet", "width": 8, "num_layers": 1, "num_neighbors": 4}, "training": {"max_elements": 100}}


def test_a_pass_sees_all_events_in_batches_within_the_budget():
    cost = ModelCost(run_parameters(SMALL), num_elements=40, num_events=5)
    seen = []
    predict = cost.model.predict
    cost.model.predict = lambda batch: (seen.append(tuple(batch.mask.shape)), predict(batch))[1]
    cost.forward()
    assert seen == [(2, 40), (2, 40), (1, 40)]
    cost.training()
    assert len(seen) == 6
    assert cost.num_parameters == sum(weight.numel() for weight in cost.model.parameters())


def test_an_event_beyond_the_budget_is_a_batch_alone():
    cost = ModelCost(run_parameters(SMALL), num_elements=300, num_events=2)
    assert [len(batch.mask) for batch in cost._batches] == [1, 1]


def test_the_training_trains():
    cost = ModelCost(run_parameters(SMALL), num_elements=20, num_events=2)
    before = [weight.clone() for weight in cost.model.parameters()]
    cost.forward()
    assert all(torch.equal(a, b) for a, b in zip(before, cost.model.parameters(), strict=True))
    cost.training()
    assert not all(torch.equal(a, b) for a, b in zip(before, cost.model.parameters(), strict=True))


def test_random_batches_are_what_a_loss_may_see():
    batch = random_batch(np.random.default_rng(0), 2, 500)
    assert batch.features.shape == (2, 500, schema.NUM_FEATURES)
    assert 0.4 < batch.targets.has_momentum.float().mean() < 0.6
    assert torch.equal(batch.targets.has_momentum, batch.targets.class_position > 0)
    assert (batch.targets.momentum[~batch.targets.has_momentum] == 0.0).all()


def test_a_model_on_edges_of_a_dataset_is_refused():
    model = {"name": "message_passing", "graph": "dataset", "width": 8, "num_layers": 1}
    with pytest.raises(ConfigError, match="message_passing: reads edges of a dataset"):
        ModelCost(run_parameters({"model": model}), 10, 1)
