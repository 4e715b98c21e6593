"""What training sees of some events: dense tensors, shorter events padded."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from mlpf.schema import IDENTITY, MOMENTUM_COMPONENTS


class Targets(NamedTuple):
    """What an element should become; every tensor is 0 in padded rows.

    Attributes:
        class_position: ``(B, N) int64`` position in `schema.CLASSES`, 0 = no particle.
        momentum: ``(B, N, 5) float32`` in the order of `schema.MOMENTUM_COMPONENTS`, 0 where there is no particle.
        has_momentum: ``(B, N) bool`` a particle whose ratios to the element exist (both pt and both energies positive).
        pileup: ``(B, N) float32`` energy fraction from pileup.
        charge: ``(B, N) int64`` charge + 1, so 0 to 2.
        jet: ``(B, N) int64`` place of the jet of targets that the particle belongs to, counted from 1 in each event; 0 for none.
        jet_scale: ``(B, N) float32`` pt of the generated jet over that of this jet; 1 where there is none, and in events with pileup.
    """

    class_position: Tensor
    momentum: Tensor
    has_momentum: Tensor
    pileup: Tensor
    charge: Tensor
    jet: Tensor
    jet_scale: Tensor

    @classmethod
    def zeros(cls, *shape: int) -> Self:
        """Those of padded rows; ``(..., )`` elements."""
        return cls(
            class_position=torch.zeros(shape, dtype=torch.int64),
            momentum=torch.zeros(*shape, len(MOMENTUM_COMPONENTS)),
            has_momentum=torch.zeros(shape, dtype=torch.bool),
            pileup=torch.zeros(shape),
            charge=torch.zeros(shape, dtype=torch.int64),
            jet=torch.zeros(shape, dtype=torch.int64),
            jet_scale=torch.zeros(shape),
        )


class Edges(NamedTuple):
    """Edges of a dataset (``edge_*``) between the elements of a batch; both directions are there if the dataset has both.

    Attributes:
        index: ``(2, E) int64`` source and target, rows of the batch's elements flattened to ``(B N)``.
        distance: ``(E,) float32`` as the dataset has it.
        kind: ``(E,) int64`` as the dataset has it.
    """

    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    distance: Tensor
    kind: Tensor


class Batch(NamedTuple):
    """B events of at most N elements.

    Attributes:
        features: ``(B, N, 55) float32`` raw.
        mask: ``(B, N) float32``, 1 = real element, 0 = padding.
        weight: ``(B, N) float32`` weight of the element in the loss: its event's times its own, 0 in padded rows.
        targets: `Targets`.
        event_id: ``(B, 3) int64`` run, luminosity block, event number.
        edges: `Edges`, none unless they were asked for.
    """

    features: Tensor
    mask: Tensor
    weight: Tensor
    targets: Targets
    event_id: Tensor
    edges: Edges | None = None

    @classmethod
    def without_targets(cls, features: Tensor, mask: Tensor, edges: Edges | None = None) -> Self:
        """What a model sees of a batch, and zeros for all else."""
        with mask.device:
            event_id = torch.zeros(len(mask), len(IDENTITY), dtype=torch.int64)
            return cls(features, mask, torch.zeros_like(mask), Targets.zeros(*mask.shape), event_id, edges)
