"""The loss of particle flow: a weighted sum of named terms."""

from functools import partial
from typing import Literal

import pydantic
import torch
from torch import Tensor, nn

from mlpf import schema
from mlpf.config import Config
from mlpf.dataset.batch import Batch
from mlpf.errors import nearest
from mlpf.loss.critic import Critic, CriticConfig
from mlpf.loss.jets import JetConfig, jet_response
from mlpf.loss.met import MetConfig, missing_momentum
from mlpf.loss.sets import ParticleSet, predicted_set, target_set
from mlpf.loss.sinkhorn import SinkhornConfig, sinkhorn_emd
from mlpf.loss.sliced_wasserstein import SlicedWassersteinConfig, sliced_wasserstein
from mlpf.loss.terms import binary_cross_entropy, cross_entropy, focal, huber, mean_over, pinball
from mlpf.nn.heads import ModelOutput, pt_unit

MOMENTUM_TERMS = ("log_pt", "eta", "sin_phi", "cos_phi", "log_energy")  # in the order of `schema.MOMENTUM_COMPONENTS`
EVENT_TERMS = ("sinkhorn", "sliced_wasserstein", "jets", "met")

WEIGHTED_PT = (0.1, 1000.0)  # GeV; beyond, an element weighs like one at the limit: superclusters have pt 0

MIN_TRUE_PT = 10.0  # GeV; distances between events are relative to the true sum of pt, or to this one if it is less

_Weight = pydantic.NonNegativeFloat


class TermWeights(Config):
    """Weight of each term in the total; 0 switches a term off. Terms that compare whole events cost time, so they are computed only where they count."""

    binary: _Weight = 1.0
    """Particle or not: `focal` over all elements."""
    pid: _Weight = 1.0
    """Class of the particle: `focal` over true particles."""
    log_pt: _Weight = 1.0
    """log(pt / element pt): `huber` or `pinball` over true particles."""
    eta: _Weight = 1.0
    """Pseudorapidity: `huber` or `pinball` over true particles."""
    sin_phi: _Weight = 1.0
    """Sine of the azimuth: `huber` or `pinball` over true particles."""
    cos_phi: _Weight = 1.0
    """Cosine of the azimuth: `huber` or `pinball` over true particles."""
    log_energy: _Weight = 1.0
    """log(E / element E): `huber` or `pinball` over true particles."""
    charge: _Weight = 1.0
    """Charge -1, 0, +1: `cross_entropy` over true particles."""
    pileup: _Weight = 1.0
    """Energy fraction from pileup: `binary_cross_entropy` over true particles."""
    sinkhorn: _Weight = 0.0
    """Work to move the predicted particles onto the true ones over the true sum of pt: `mlpf.loss.sinkhorn.sinkhorn_emd`, a mean over events."""
    sliced_wasserstein: _Weight = 0.0
    """The same along fixed directions: `mlpf.loss.sliced_wasserstein.sliced_wasserstein`, a mean over events."""
    critic: _Weight = 0.0
    """Loss of a network that tells predicted from true events: `mlpf.loss.critic.Critic`, a mean over events; the weight is how strongly the model resists."""
    jets: _Weight = 0.0
    """Response of the true jets: `mlpf.loss.jets.jet_response`, a mean over events."""
    met: _Weight = 0.0
    """Transverse momentum that is missing or too much: `mlpf.loss.met.missing_momentum`, a mean over events."""


class BinaryConfig(Config):
    """Parameters of the term ``binary``."""

    focal_gamma: pydantic.NonNegativeFloat = 0.0
    """How much the term turns away from easy elements; 0 is plain cross entropy."""
    particle_weight: pydantic.PositiveFloat = 1.0
    """Weight of an element that is a particle, against 1 of one that is none."""


class PidConfig(Config):
    """Parameters of the term ``pid``."""

    focal_gamma: pydantic.NonNegativeFloat = 0.0
    """How much the term turns away from easy particles; 0 is plain cross entropy."""
    class_weights: dict[str, pydantic.NonNegativeFloat] = {}
    """Weight of a class (its name in `schema.CLASS_NAMES`); 1 where not given."""

    @pydantic.field_validator("class_weights")
    @classmethod
    def _classes_are_known(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if name not in schema.CLASS_NAMES:
                raise ValueError(f"unknown class '{name}'{nearest(name, schema.CLASS_NAMES)} (known: {', '.join(schema.CLASS_NAMES)})")
        return value


class MomentumConfig(Config):
    """Parameters of the terms ``log_pt``, ``eta``, ``sin_phi``, ``cos_phi`` and ``log_energy``."""

    regression: Literal["huber", "quantile"] = "huber"
    """`huber` finds something between mean and median, `pinball` (quantile) the quantile that is asked for."""
    huber_delta: pydantic.PositiveFloat = 0.5
    """Residual above which the Huber loss grows linearly."""
    quantile: float = pydantic.Field(default=0.5, gt=0.0, lt=1.0)
    """Quantile of the target that the pinball loss finds; 0.5 is the median."""
    pulls: bool = False
    """In ``log_pt``, a track that is off by its own uncertainty (`mlpf.nn.heads.pt_unit`) counts like another element that is off by huber_delta."""


class LossConfig(Config):
    """Parameters of `ParticleFlowLoss`."""

    weights: TermWeights = TermWeights()
    """Weight of each term in the total."""
    pt_weight_power: pydantic.NonNegativeFloat = 0.0
    """Weight of an element in every term of elements: its pt to this power; 0 counts all alike, 0.5 makes one of 16 GeV count like four of 1 GeV."""
    binary: BinaryConfig = BinaryConfig()
    """Term ``binary``."""
    pid: PidConfig = PidConfig()
    """Term ``pid``."""
    momentum: MomentumConfig = MomentumConfig()
    """Terms of the momentum's components."""
    decided: bool = False
    """Terms that compare whole events see the particles that become candidates, whole, instead of all with their probabilities: `predicted_set`."""
    sinkhorn: SinkhornConfig = SinkhornConfig()
    """Term ``sinkhorn``."""
    sliced_wasserstein: SlicedWassersteinConfig = SlicedWassersteinConfig()
    """Term ``sliced_wasserstein``."""
    critic: CriticConfig = CriticConfig()
    """Term ``critic``."""
    jets: JetConfig = JetConfig()
    """Term ``jets``."""
    met: MetConfig = MetConfig()
    """Term ``met``."""


class ParticleFlowLoss(nn.Module):
    """``total = sum over terms of weight * term``; the terms are the fields of `TermWeights`. All is float32, under autocast too.

    The critic adds its gradient to the total, but not its value: it is large if the critic is bad or the model good, and so no measure of a model.

    Returns:
        every term unweighted, and ``total``; terms that compare whole events only if their weight is above 0, with ``critic`` also ``critic_accuracy``.
    """

    particle_weights: Tensor
    class_weights: Tensor

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        weights = [config.pid.class_weights.get(name, 1.0) for name in schema.CLASS_NAMES]
        self.register_buffer("class_weights", torch.tensor(weights), persistent=False)
        self.register_buffer("particle_weights", torch.tensor([1.0, config.binary.particle_weight]), persistent=False)
        self.critic = Critic(config.critic, config.weights.critic) if config.weights.critic > 0.0 else None

    def forward(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """See the class."""
        with torch.autocast(batch.features.device.type, enabled=False):
            output = ModelOutput(*(values.float() for values in output))
            terms = self._element_terms(output, batch) | self._event_terms(output, batch)
            weights = self.config.weights.model_dump()
            summed = terms if self.critic is None else terms | {"critic": terms["critic"] - terms["critic"].detach()}
            terms["total"] = torch.stack([weights[name] * term for name, term in summed.items() if name in weights]).sum()
        return terms

    def _element_terms(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        config, targets = self.config, batch.targets
        is_particle = targets.class_position > 0
        weight = self._element_weights(batch)
        particle = weight * is_particle
        return {
            "binary": focal(output.binary, is_particle.long(), weight, config.binary.focal_gamma, self.particle_weights),
            "pid": focal(output.pid, targets.class_position, particle, config.pid.focal_gamma, self.class_weights),
            **self._momentum_terms(output, batch, weight * targets.has_momentum),
            "charge": cross_entropy(output.charge, targets.charge, particle),
            "pileup": binary_cross_entropy(output.pileup.squeeze(-1), targets.pileup, particle),
        }

    def _element_weights(self, batch: Batch) -> Tensor:
        """``(B, N)`` weight of each element, 0 in padded rows."""
        pt = batch.features[..., schema.FEATURE_INDEX["pt"]].nan_to_num(0.0).clamp(*WEIGHTED_PT)
        return batch.weight * pt**self.config.pt_weight_power

    def _momentum_terms(self, output: ModelOutput, batch: Batch, weight: Tensor) -> dict[str, Tensor]:
        config = self.config.momentum
        found, wanted = output.momentum, batch.targets.momentum
        if config.pulls:
            features = batch.features.nan_to_num(0.0, 0.0, 0.0)
            unit = pt_unit(features, features[..., schema.FEATURE_INDEX["type"]])
            scale = torch.ones_like(found)
            scale[..., 0] = torch.where(unit < 1.0, config.huber_delta / unit, 1.0)
            found, wanted = scale * found, scale * wanted
        term = partial(huber, delta=config.huber_delta) if config.regression == "huber" else partial(pinball, quantile=config.quantile)
        return {name: term(found[..., i], wanted[..., i], weight) for i, name in enumerate(MOMENTUM_TERMS)}

    def _event_terms(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """Means over events, each with the mean weight of its real elements."""
        weight = batch.weight.sum(dim=1) / batch.mask.sum(dim=1).clamp(min=1.0)
        terms = {}
        wanted = [name for name in EVENT_TERMS if getattr(self.config.weights, name) > 0]
        if wanted:
            predicted, target = predicted_set(output, batch, self.config.decided), target_set(batch)
            terms = {name: mean_over(self._of_events(name, predicted, target, batch), weight) for name in wanted}
        if self.critic is not None:
            loss, accuracy = self.critic(output, batch)
            terms |= {"critic": mean_over(loss, weight), "critic_accuracy": mean_over(accuracy, weight)}
        return terms

    def _of_events(self, name: str, predicted: ParticleSet, target: ParticleSet, batch: Batch) -> Tensor:
        """``(B,)`` one of `EVENT_TERMS`."""
        match name:
            case "sinkhorn":
                return sinkhorn_emd(predicted, target, self.config.sinkhorn) / target.pt.sum(dim=1).clamp(min=MIN_TRUE_PT)
            case "sliced_wasserstein":
                return sliced_wasserstein(predicted, target, self.config.sliced_wasserstein) / target.pt.sum(dim=1).clamp(min=MIN_TRUE_PT)
            case "jets":
                if self.config.jets.truth == "generated":
                    target = target._replace(pt=target.pt * batch.targets.jet_scale)
                return jet_response(predicted, target, batch.targets.jet, self.config.jets)
            case _:
                return missing_momentum(predicted, target, self.config.met)
