"""The loss of particle flow: a weighted sum of named terms."""

import pydantic
import torch
from torch import Tensor, nn

from mlpf import schema
from mlpf.config import Config
from mlpf.dataset.batch import Batch
from mlpf.errors import nearest
from mlpf.loss.terms import binary_cross_entropy, cross_entropy, focal, huber
from mlpf.nn.heads import ModelOutput

LOG_PT, ETA, SIN_PHI, COS_PHI, LOG_ENERGY = range(len(schema.MOMENTUM_COMPONENTS))

WEIGHTED_PT = (0.1, 1000.0)  # GeV; beyond, an element weighs like one at the limit: superclusters have pt 0

_Weight = pydantic.NonNegativeFloat


class TermWeights(Config):
    """Weight of each term in the total; 0 switches a term off."""

    binary: _Weight = 1.0
    """Particle or not: `focal` over all elements."""
    pid: _Weight = 1.0
    """Class of the particle: `cross_entropy` over true particles."""
    log_pt: _Weight = 1.0
    """log(pt / element pt): `huber` over true particles."""
    eta: _Weight = 1.0
    """Pseudorapidity: `huber` over true particles."""
    sin_phi: _Weight = 1.0
    """Sine of the azimuth: `huber` over true particles."""
    cos_phi: _Weight = 1.0
    """Cosine of the azimuth: `huber` over true particles."""
    log_energy: _Weight = 1.0
    """log(E / element E): `huber` over true particles."""
    charge: _Weight = 1.0
    """Charge -1, 0, +1: `cross_entropy` over true particles."""
    pileup: _Weight = 1.0
    """Energy fraction from pileup: `binary_cross_entropy` over true particles."""


class LossConfig(Config):
    """Parameters of `ParticleFlowLoss`."""

    weights: TermWeights = TermWeights()
    """Weight of each term in the total."""
    focal_gamma: pydantic.NonNegativeFloat = 0.0
    """How much the binary term turns away from easy elements; 0 is plain cross entropy."""
    huber_delta: pydantic.PositiveFloat = 0.5
    """Residual above which the momentum terms grow linearly."""
    pt_weight_power: pydantic.NonNegativeFloat = 0.0
    """Weight of an element in every term: its pt to this power; 0 counts all alike, 0.5 makes one element of 16 GeV count like four of 1 GeV."""
    class_weights: dict[str, pydantic.NonNegativeFloat] = {}
    """Weight of a class (its name in `schema.CLASS_NAMES`) in the pid term; 1 where not given."""

    @pydantic.field_validator("class_weights")
    @classmethod
    def _classes_are_known(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if name not in schema.CLASS_NAMES:
                raise ValueError(f"unknown class '{name}'{nearest(name, schema.CLASS_NAMES)} (known: {', '.join(schema.CLASS_NAMES)})")
        return value


class ParticleFlowLoss(nn.Module):
    """``total = sum over terms of weight * term``; the terms are the fields of `TermWeights`.

    Returns:
        every term unweighted, and ``total``.
    """

    class_weights: Tensor

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        weights = [config.class_weights.get(name, 1.0) for name in schema.CLASS_NAMES]
        self.register_buffer("class_weights", torch.tensor(weights), persistent=False)

    def forward(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """See the class."""
        targets = batch.targets
        weight = self._element_weights(batch)
        particle = weight * (targets.class_position > 0)
        terms = {
            "binary": focal(output.binary, (targets.class_position > 0).long(), weight, self.config.focal_gamma),
            "pid": cross_entropy(output.pid, targets.class_position, particle, self.class_weights),
            **self._momentum_terms(output, batch, weight * targets.has_momentum),
            "charge": cross_entropy(output.charge, targets.charge, particle),
            "pileup": binary_cross_entropy(output.pileup.squeeze(-1), targets.pileup, particle),
        }
        weights = self.config.weights.model_dump()
        terms["total"] = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return terms

    def _element_weights(self, batch: Batch) -> Tensor:
        """``(B, N)`` weight of each element, 0 in padded rows."""
        pt = batch.features[..., schema.FEATURE_INDEX["pt"]].nan_to_num(0.0).clamp(*WEIGHTED_PT)
        return batch.weight * pt**self.config.pt_weight_power

    def _momentum_terms(self, output: ModelOutput, batch: Batch, weight: Tensor) -> dict[str, Tensor]:
        components = {"log_pt": LOG_PT, "eta": ETA, "sin_phi": SIN_PHI, "cos_phi": COS_PHI, "log_energy": LOG_ENERGY}
        return {name: huber(output.momentum[..., i], batch.targets.momentum[..., i], weight, self.config.huber_delta) for name, i in components.items()}
