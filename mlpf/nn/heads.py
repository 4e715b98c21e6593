"""Element states -> the outputs of the model contract."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlpf import schema
from mlpf.features import MAX_ABS_ETA
from mlpf.nn.mlp import MLP
from mlpf.nn.preprocess import Preprocessed
from mlpf.schema import FEATURE_INDEX, ElementType

NUM_CHARGES = 3  # -1, 0, +1
CERTAIN_LOGIT = 1e4  # a decision that is not the model's: large, yet finite in float16 too
MAX_ABS_LOG_RATIO = 8.0  # a factor 3000 between element and particle; beyond it exp() only hurts
MASS_AT_START = 5.0  # softplus(-5) = 0.007: of log(E / |p|), whose median is 0.003 for tracks and 0 for clusters (simulated ttbar)


class ModelOutput(NamedTuple):
    """What every model returns for B padded events.

    Attributes:
        binary: ``(B, N, 2)`` logits of no particle, particle.
        pid: ``(B, N, 9)`` logits in the order of `schema.CLASSES`; the first (no particle) never wins: that is decided by ``binary``.
        momentum: ``(B, N, 5)`` in the order of `schema.MOMENTUM_COMPONENTS`: log(pt / element pt), eta, sin phi, cos phi, log(E / element E).
        pileup: ``(B, N, 1)`` logit of coming from pileup.
        charge: ``(B, N, 3)`` logits of charge -1, 0, +1.
    """

    binary: Tensor
    pid: Tensor
    momentum: Tensor
    pileup: Tensor
    charge: Tensor


class Heads(nn.Module):
    """One small network per output, which refines what is known of the element.

    - Padded rows and the types in `schema.NO_CANDIDATE_TYPES` are "no particle".
    - pt starts as the element's own (tracks: measured; GSF: the mode; clusters: E / cosh(eta)), that of an ECAL cluster with its energy calibrated.
    - What the network adds to log(pt) of a track is in units of the fit's own relative uncertainty, where the ntuple has it: a track that is known to a per
      cent is not moved by accident.
    - The direction is that of the element plus a residual; a track keeps its own, as in the consumer.
    - ``E = |p| exp(m)`` with m > 0 from the network: log(E / X.E) = log(pt cosh(eta) / X.E) + m, X.E the element's energy. So E >= |p|, unless a
      ratio is beyond the limit of `MAX_ABS_LOG_RATIO`.
    - The charge comes from the network alone: starting it as the track's helps for 30 steps, after 120 the term is 2 % larger (measured, 3 seeds).

    The networks may compute in half precision; what they are added to is float32, and so are all outputs.

    Shapes:
        state: (B, N, width), elements: `Preprocessed`, real: (B, N) bool -> `ModelOutput`
    """

    no_candidate: Tensor
    no_particle: Tensor

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.binary = MLP(width, width, 2, dropout)
        self.pid = MLP(width, width, schema.NUM_CLASSES - 1, dropout)
        self.momentum = MLP(width, width, len(schema.MOMENTUM_COMPONENTS), dropout).start_at_zero()
        self.pileup = MLP(width, width, 1, dropout)
        self.charge = MLP(width, width, NUM_CHARGES, dropout)
        no_candidate = torch.zeros(schema.NUM_ELEMENT_TYPES, dtype=torch.bool)
        no_candidate[[int(kind) for kind in schema.NO_CANDIDATE_TYPES]] = True
        self.register_buffer("no_candidate", no_candidate, persistent=False)
        self.register_buffer("no_particle", torch.tensor([CERTAIN_LOGIT, -CERTAIN_LOGIT]), persistent=False)

    def forward(self, state: Tensor, elements: Preprocessed, real: Tensor) -> ModelOutput:
        """See the class."""
        impossible = self.no_candidate[elements.element_type] | ~real
        binary = torch.where(impossible.unsqueeze(-1), self.no_particle, self.binary(state).float())
        classes = self.pid(state).float()
        pid = torch.cat([torch.full_like(classes[..., :1], -CERTAIN_LOGIT), classes], dim=-1)
        return ModelOutput(binary, pid, self._momentum(state, elements), self.pileup(state).float(), self.charge(state).float())

    def _momentum(self, state: Tensor, elements: Preprocessed) -> Tensor:
        residual = self.momentum(state).float()
        own = elements.clean[..., FEATURE_INDEX["eta"] : FEATURE_INDEX["cos_phi"] + 1]
        is_track = (elements.element_type == int(ElementType.TRACK)).unsqueeze(-1)
        eta, sin_phi, cos_phi = torch.where(is_track, own, own + residual[..., 1:4]).unbind(-1)
        eta = eta.clamp(-MAX_ABS_ETA, MAX_ABS_ETA)
        log_pt = (_log_calibration(elements) + pt_unit(elements.clean, elements.element_type) * residual[..., 0]).clamp(-MAX_ABS_LOG_RATIO, MAX_ABS_LOG_RATIO)
        mass = functional.softplus(residual[..., 4] - MASS_AT_START)
        log_energy = (log_pt + _log_momentum_over_energy(elements.clean, eta) + mass).clamp(-MAX_ABS_LOG_RATIO, MAX_ABS_LOG_RATIO)
        return torch.stack([log_pt, eta, sin_phi, cos_phi, log_energy], dim=-1)


def _log_calibration(elements: Preprocessed) -> Tensor:
    """``(B, N)`` log(calibrated / raw energy) of ECAL clusters, 0 of all other elements: a supercluster has something else in that column."""
    energy, calibrated = elements.clean[..., FEATURE_INDEX["energy"]], elements.clean[..., FEATURE_INDEX["corr_energy"]]
    known = (elements.element_type == int(ElementType.ECAL)) & (energy > 0.0) & (calibrated > 0.0)
    return torch.where(known, calibrated, 1.0).log() - torch.where(known, energy, 1.0).log()


def pt_unit(features: Tensor, element_type: Tensor) -> Tensor:
    """``(B, N)`` what a network moves log(pt) in: the relative uncertainty of a track's pt, at most 1; 1 of a track without one and of all other elements.

    Shapes:
        features: (B, N, 55) finite, element_type: (B, N) -> (B, N)
    """
    pt, error = features[..., FEATURE_INDEX["pt"]], features[..., FEATURE_INDEX["pterror"]]
    known = (element_type == int(ElementType.TRACK)) & (pt > 0.0) & (error > 0.0)
    return torch.where(known, error / torch.where(known, pt, 1.0), 1.0).clamp(max=1.0)


def _log_momentum_over_energy(clean: Tensor, eta: Tensor) -> Tensor:
    """``(B, N)`` log(X.pt cosh(eta) / X.E) of an element X; 0 where it lacks either."""
    pt, energy = clean[..., FEATURE_INDEX["pt"]], clean[..., FEATURE_INDEX["energy"]]
    known = (pt > 0.0) & (energy > 0.0)
    log_cosh = eta.abs() + torch.log1p(torch.exp(-2.0 * eta.abs())) - math.log(2.0)  # in functions that every runtime has on every device
    return torch.where(known, torch.where(known, pt, 1.0).log() - torch.where(known, energy, 1.0).log() + log_cosh, 0.0)
