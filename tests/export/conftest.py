from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from mlpf import schema
from mlpf.export.card import ModelCard, read_card
from mlpf.export.exporter import export_model
from mlpf.export.report import ContractReport
from mlpf.nn.heads import ModelOutput
from mlpf.random_elements import random_elements

TRAINING = {"model": {"name": "toy"}, "epoch": 3}


class Toy(nn.Module):
    """Three products after each other, of the cleaned features alone."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(nn.Linear(schema.NUM_FEATURES, 32), nn.SiLU(), nn.LayerNorm(32), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 17))

    def forward(self, features, mask):
        clean = torch.where(torch.isfinite(features) & (mask > 0.5).unsqueeze(-1), features, torch.zeros_like(features)).clamp(-1e3, 1e3)
        binary, pid, momentum, pileup = self.layers(torch.asinh(clean)).split([2, 9, 5, 1], dim=-1)
        never = torch.tensor([-1e4] + [0.0] * 8)
        return ModelOutput(torch.where(clean[..., :1] == 10, torch.tensor([1.0, -1.0]), binary), pid + never, momentum.tanh(), pileup, pileup)


class Exported(NamedTuple):
    model: nn.Module
    path: Path
    card: ModelCard
    report: ContractReport


@pytest.fixture(scope="session")
def few_events():
    """Small events to check an export on, where that is not what a test is about: `contract_events` take half a minute."""
    rng = np.random.default_rng(1)
    return [random_elements(rng, num_elements) for num_elements in (3, 40)]


@pytest.fixture(scope="session")
def toy_model():
    """A model of which an export takes seconds."""
    return Toy()


@pytest.fixture(scope="session")
def exported_toy(toy_model, few_events, tmp_path_factory):
    """A toy model and all files of its export for CMSSW."""
    path = tmp_path_factory.mktemp("toy") / "toy_v1.onnx"
    report = export_model(toy_model, path, TRAINING, events=few_events)
    return Exported(toy_model, path, read_card(path.with_suffix(".json")), report)
