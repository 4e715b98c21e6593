"""Jets of an event, differentiable: the particles of each true jet, once as predicted and once as they are."""

from typing import Literal, NamedTuple

import pydantic
import torch
from torch import Tensor
from torch.nn import functional

from mlpf.config import Config
from mlpf.loss.sets import ParticleSet

PT_OFFSET = 1.0  # GeV, added to both momenta of a ratio: the slope of log(pt) stays below 1 / GeV
TINY_PT2 = 1e-12  # GeV^2, under a root whose slope at 0 is infinite


class JetConfig(Config):
    """Parameters of `jet_response`."""

    truth: Literal["targets", "generated"] = "targets"
    """pt of a true jet: that of its targets, or that of the generated jet, with the particles that reach no element (not in events with pileup)."""
    min_pt: pydantic.NonNegativeFloat = 10.0
    """True jets below take no part [GeV]."""
    huber_delta: pydantic.PositiveFloat = 0.3
    """Error of log(pt), eta or phi above which a jet counts linearly; about three times the resolution of log(pt) at 30 GeV."""
    radius: pydantic.NonNegativeFloat = 0.4
    """Elements that are no particle belong to the nearest true jet within this distance in (eta, phi), where they spoil it if they are predicted."""


class JetMomenta(NamedTuple):
    """Momenta of J jets in each of B events, ``(B, J)`` each [GeV]."""

    px: Tensor
    py: Tensor
    pz: Tensor

    @property
    def pt(self) -> Tensor:
        """``(B, J)``; its slope is finite at 0."""
        return torch.sqrt(self.px.square() + self.py.square() + TINY_PT2)


def jet_response(predicted: ParticleSet, target: ParticleSet, jet: Tensor, config: JetConfig) -> Tensor:
    """Huber losses of a true jet's errors in log(pt), eta and phi, summed; mean over an event's jets.

    The predicted jet is the vector sum of all elements whose true particles make the jet, and of elements that are no particle but lie nearer than ``radius``
    to it. Its errors are ``log((pt' + 1 GeV) / (pt + 1 GeV))`` and, to first order, ``eta' - eta`` and ``phi' - phi``, see `_errors`.

    Args:
        predicted, target: ``(B, N)`` particles.
        jet: ``(B, N) int64`` jet of the true particle, counted from 1 in each event; 0 for none.
        config: which jets, and the shape of the loss.

    Returns:
        ``(B,)``, 0 where there is no jet.
    """
    num_jets = int(jet.max()) if jet.numel() else 0
    if num_jets == 0:
        return predicted.pt.sum(dim=1) * 0.0
    true = sum_by_jet(target, jet, num_jets)
    with torch.no_grad():
        counted = (true.pt > config.min_pt).to(true.px.dtype)
        jet = torch.where(target.pt > 0.0, jet, nearest_jet(predicted, true, counted > 0, config.radius))
    error = _errors(sum_by_jet(predicted, jet, num_jets), true)
    loss = functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=config.huber_delta).sum(dim=0)
    return (counted * loss).sum(dim=1) / counted.sum(dim=1).clamp(min=1.0)


def _errors(found: JetMomenta, true: JetMomenta) -> Tensor:
    """``(3, B, J)`` errors of log(pt), eta and phi: the components of the found momentum p' along the unit vectors of eta and phi of the true one, over pt'.

    ``(pz' - pt' sinh(eta)) / (pt' cosh(eta))`` and ``(py' cos(phi) - px' sin(phi)) / pt'``; their slope is finite for a momentum that vanishes.
    """
    scale, pt = found.pt + PT_OFFSET, true.pt
    sinh_eta, cosh_eta = true.pz / pt, torch.sqrt(1.0 + (true.pz / pt).square())
    log_pt = (scale / (pt + PT_OFFSET)).log()
    eta = (found.pz - found.pt * sinh_eta) / (scale * cosh_eta)
    phi = (found.py * true.px - found.px * true.py) / (scale * pt)
    return torch.stack([log_pt, eta, phi])


def sum_by_jet(particles: ParticleSet, jet: Tensor, num_jets: int) -> JetMomenta:
    """Sums over the particles of each of ``num_jets`` jets; those of jet 0 belong to none."""
    components = (particles.pt * particles.cos_phi, particles.pt * particles.sin_phi, particles.pt * particles.eta.sinh())
    empty = particles.pt.new_zeros(len(jet), num_jets + 1)
    return JetMomenta(*(empty.scatter_add(1, jet, component)[:, 1:] for component in components))


def nearest_jet(particles: ParticleSet, jets: JetMomenta, usable: Tensor, radius: float) -> Tensor:
    """``(B, N) int64`` nearest of the ``usable (B, J) bool`` jets, counted from 1; 0 where none is nearer than ``radius``.

    The distance is that of `mlpf.loss.sinkhorn`: ``sqrt(delta eta^2 + (2 sin(delta phi / 2))^2)``.
    """
    place = torch.stack([particles.eta, particles.sin_phi, particles.cos_phi], dim=2)
    axis = torch.stack([torch.asinh(jets.pz / jets.pt), jets.py / jets.pt, jets.px / jets.pt], dim=2)
    distance = torch.cdist(place, axis, compute_mode="donot_use_mm_for_euclid_dist")  # by a product of matrices, small distances would be lost in rounding
    nearest, index = distance.masked_fill_(~usable.unsqueeze(1), torch.inf).min(dim=2)
    return torch.where(nearest < radius, index + 1, 0)
