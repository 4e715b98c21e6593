"""Fine-tuning: a new model starts from the weights of a trained one (``mlpf train --init-from``)."""

from pathlib import Path
from typing import NamedTuple

import torch

from mlpf.errors import ModelError
from mlpf.nn.base import Model
from mlpf.nn.saved import load_weights

SHOWN = 6  # names in a line of the report


class InitializationReport(NamedTuple):
    """What a new model took from a trained one; the lists name tensors.

    Attributes:
        source: the trained model, with its epoch and checksum.
        copied: those taken, weights and scaling of the features.
        missing: those the new model has and the trained one has not; they keep their random start.
        unexpected: those the trained model has and the new one has not.
        mismatched: those of both whose shapes differ, with the shapes; they keep their random start.
        num_copied, num_numbers: how many numbers were taken, and how many the new model has.
    """

    source: str
    copied: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]
    num_copied: int
    num_numbers: int

    def __str__(self) -> str:
        share = 100 * self.num_copied / self.num_numbers
        lines = [f"initialised from {self.source}: {len(self.copied)} tensors, {share:.3g} % of the numbers"]
        for what, names in (("new here", self.missing), ("not used", self.unexpected), ("of another shape, new here", self.mismatched)):
            if names:
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                lines.append(f"  {what} ({len(names)}): {', '.join(names[:SHOWN])}{more}")
        return "\n".join(lines)


@torch.no_grad()
def initialize_from(model: Model, source: str | Path) -> InitializationReport:
    """Copy what fits, by name and shape, from the run folder of a trained model, which may have another ``model`` section.

    The scaling of the features comes along, since the weights were trained with it; to be called after `FeaturePreprocessor.set_scaling`.

    Args:
        model: changed in place.
        source: run folder of the trained model, finished or not.

    Raises:
        ModelError: the folder holds no readable model, or none of its weights fits.
    """
    found, info = load_weights(source)
    wanted = model.state_dict()
    shared = [name for name in wanted if name in found]
    copied = [name for name in shared if wanted[name].shape == found[name].shape]
    mismatched = [f"{name} {tuple(found[name].shape)} -> {tuple(wanted[name].shape)}" for name in shared if name not in copied]
    if not set(copied) & {name for name, _ in model.named_parameters()}:
        raise ModelError(f"{source}: none of the weights of its model ({info.model.get('name')}) fits the new one; choose a run of the same model")
    for name in copied:
        wanted[name].copy_(found[name])
    return InitializationReport(
        source=f"{Path(source).resolve().name}, epoch {info.epoch}, weights {info.weights_sha256[:16]}",
        copied=copied,
        missing=[name for name in wanted if name not in found],
        unexpected=[name for name in found if name not in wanted],
        mismatched=mismatched,
        num_copied=sum(wanted[name].numel() for name in copied),
        num_numbers=sum(tensor.numel() for tensor in wanted.values()),
    )
