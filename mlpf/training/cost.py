"""What a model costs: its passes over random events, as functions to be timed."""

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device

from mlpf import schema
from mlpf.dataset.batch import Batch, Targets
from mlpf.errors import ConfigError
from mlpf.loss.particle_flow import ParticleFlowLoss
from mlpf.nn.model import build_model, num_parameters
from mlpf.random_elements import random_elements
from mlpf.training.config import RunParameters


class ModelCost:
    """A model, its loss, and random events to measure them on.

    Args:
        parameters: model and loss, and the budget of a batch.
        num_elements: of each event.
        num_events: of all batches together; as many of them in a batch as its budget holds, at least one.
        device: where to run.

    Attributes:
        num_parameters: trainable numbers of the model.

    Raises:
        ConfigError: the model reads edges of a dataset, which random events have not.
    """

    def __init__(self, parameters: RunParameters, num_elements: int, num_events: int, device: str = "cpu") -> None:
        torch.manual_seed(1)
        self.device = torch.device(device)
        self.model = build_model(parameters.model).to(self.device)
        if self.model.needs_edges:
            raise ConfigError(f"model {parameters.model.name}: reads edges of a dataset, which the random events of a benchmark have not")
        self.num_parameters = num_parameters(self.model)
        self._loss = ParticleFlowLoss(parameters.loss).to(self.device)
        self._optimizer = torch.optim.AdamW(self.model.parameters())
        rng = np.random.default_rng(1)
        per_batch = max(1, parameters.training.max_elements // num_elements)
        sizes = [min(per_batch, num_events - first) for first in range(0, num_events, per_batch)]
        self._batches = [move_data_to_device(random_batch(rng, size, num_elements), self.device) for size in sizes]

    def forward(self) -> None:
        """All events once, as in inference."""
        with torch.no_grad():
            for batch in self._batches:
                self.model.predict(batch)
        self._wait()

    def training(self) -> None:
        """All events once, as in training: forward, loss, backward, step of the optimiser."""
        for batch in self._batches:
            self._optimizer.zero_grad()
            self._loss(self.model.predict(batch), batch)["total"].backward()
            self._optimizer.step()
        self._wait()

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def random_batch(rng: np.random.Generator, num_events: int, num_elements: int) -> Batch:
    """Events of `random_elements` and random targets: one element in two a particle, close to the element in momentum."""
    shape = (num_events, num_elements)
    features = torch.from_numpy(random_elements(rng, num_events * num_elements).reshape(*shape, schema.NUM_FEATURES))
    class_position = torch.from_numpy(rng.integers(1, schema.NUM_CLASSES, shape) * (rng.random(shape) < 0.5))
    has_momentum = class_position > 0
    momentum = torch.from_numpy(rng.normal(0.0, 0.3, (*shape, len(schema.MOMENTUM_COMPONENTS))).astype(np.float32)) * has_momentum[..., None]
    charge, jet = torch.ones(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    targets = Targets(class_position, momentum, has_momentum, torch.zeros(shape), charge, jet, torch.ones(shape))
    return Batch(features, torch.ones(shape), torch.ones(shape), targets, torch.zeros(num_events, 3, dtype=torch.int64))
