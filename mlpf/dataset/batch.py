"""What training sees of some events: dense tensors, shorter events padded."""

from typing import NamedTuple

from torch import Tensor


class Targets(NamedTuple):
    """What an element should become; every tensor is 0 in padded rows.

    Attributes:
        class_position: ``(B, N) int64`` position in `schema.CLASSES`, 0 = no particle.
        momentum: ``(B, N, 5) float32`` in the order of `schema.MOMENTUM_COMPONENTS`, 0 where there is no particle.
        has_momentum: ``(B, N) bool`` a particle whose ratios to the element exist (both pt and both energies positive).
        pileup: ``(B, N) float32`` energy fraction from pileup.
        charge: ``(B, N) int64`` charge + 1, so 0 to 2.
        jet: ``(B, N) int64`` place of the jet of targets that the particle belongs to, counted from 1 in each event; 0 for none.
    """

    class_position: Tensor
    momentum: Tensor
    has_momentum: Tensor
    pileup: Tensor
    charge: Tensor
    jet: Tensor


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
