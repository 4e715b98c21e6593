"""What every model shares: a new one is a file with subclasses of `ModelConfig` and `Model`, entered in `mlpf.nn.model.MODELS`."""

import pydantic
import torch
from torch import Tensor, nn

from mlpf.config import Config
from mlpf.dataset.batch import Batch
from mlpf.nn.heads import ModelOutput
from mlpf.nn.preprocess import FeaturePreprocessor


class ModelConfig(Config):
    """What every model's section holds."""

    name: str
    """Which model, a key of `mlpf.nn.model.MODELS`."""
    width: int = pydantic.Field(default=128, ge=4)
    """Length of an element's state."""
    embedding_dim: int = pydantic.Field(default=8, ge=1)
    """Length of the learned vector that stands for an element type."""
    dropout: float = pydantic.Field(default=0.0, ge=0.0, lt=1.0)
    """Share of hidden values dropped in training."""


class Model(nn.Module):
    """Base of all models: ``forward(features, mask) -> ModelOutput``, from raw features; `FeaturePreprocessor.set_scaling` is called once before the training.

    Attributes:
        preprocess: clean-up and scaling.
        needs_edges: the model reads the edges of the dataset, so it can only be used where there are some.
    """

    preprocess: FeaturePreprocessor
    needs_edges: bool = False

    def predict(self, batch: Batch) -> ModelOutput:
        """What the model says of a batch; all use of a model by training and evaluation goes through here."""
        output: ModelOutput = self(batch.features, batch.mask)
        return output


class LastNorm(nn.LayerNorm):
    """The norm between the last layer and the heads, of rows without their events.

    ONNX Runtime would join a sum of ``(B, N, F)`` and the norm of it to one operator, SkipLayerNormalization, which on a CPU takes six times as long as both
    (2.9 ms for 0.5, 5000 elements of 128 values); other norms follow sums that are used elsewhere, too, and are left alone.

    Shapes:
        state: (B, N, F) -> (B, N, F)
    """

    def forward(self, state: Tensor) -> Tensor:
        """See the class."""
        return super().forward(state.flatten(0, 1)).view_as(state)


def append_padding(features: Tensor, real: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``(B, N, 55)``, ``(B, N) bool`` with ``count`` padded rows more.

    They make k neighbours exist in any event, and keep N = 0 out of the layers: ONNX Runtime 1.31 returns a wrong shape for reductions of empty tensors.
    """
    batch = features.shape[0]
    features = torch.cat([features, features.new_zeros(batch, count, features.shape[2])], dim=1)
    return features, torch.cat([real, real.new_zeros(batch, count)], dim=1)
