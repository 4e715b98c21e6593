"""Each assertion of mlpf.testing lets a sound model pass and catches a model with the one fault it is there for."""

import pytest
import torch
from torch import nn

from mlpf.nn.heads import ModelOutput
from mlpf.testing import (
    assert_batching_independent,
    assert_handles_small_events,
    assert_onnx_parity,
    assert_overfits_one_event,
    assert_padding_invariant,
    assert_permutation_equivariant,
    assert_restart_equals_uninterrupted,
    assert_robust_to_poison,
)


class Sound(nn.Module):
    """Every element alone, through two dense layers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(55, 128), nn.SiLU(), nn.Linear(128, 20))

    def clean(self, features, mask):
        usable = torch.isfinite(features) & (mask > 0.5).unsqueeze(-1)
        return torch.where(usable, features, 0.0).clamp(-10.0, 10.0)

    def mix(self, states, mask):  # noqa: ARG002
        return states

    def forward(self, features, mask):
        states = self.mix(self.layers(self.clean(features, mask)), mask)
        return ModelOutput(*states.split([2, 9, 5, 1, 3], dim=-1))


class KnowsPositionInList(Sound):
    def mix(self, states, mask):  # noqa: ARG002
        return states + 0.01 * torch.arange(states.shape[1]).view(1, -1, 1)


class CountsPaddedRows(Sound):
    def mix(self, states, mask):  # noqa: ARG002
        return states - states.mean(dim=1, keepdim=True)


class MixesEvents(Sound):
    def mix(self, states, mask):
        total = (states * mask.unsqueeze(-1)).sum(dim=(0, 1))
        return states - 0.01 * total


class NeedsTwoElements(Sound):
    def mix(self, states, mask):  # noqa: ARG002
        return states / states.std(dim=1, keepdim=True)


class MasksByMultiplying(Sound):
    def clean(self, features, mask):
        return features * mask.unsqueeze(-1)

    def mix(self, states, mask):
        return states - 0.01 * (states * mask.unsqueeze(-1)).sum(dim=1, keepdim=True)


class DoesNotLook(Sound):
    def clean(self, features, mask):  # noqa: ARG002
        return torch.zeros_like(features)


class TakesAShortCutInExports(Sound):
    def mix(self, states, mask):  # noqa: ARG002
        return states + 0.01 if torch.compiler.is_exporting() else states


class HasRandomNumbersOfItsOwn(Sound):
    def __init__(self):
        super().__init__()
        torch.seed()
        self.directions = torch.randn(20)  # no buffer, so not in the saved state

    def mix(self, states, mask):  # noqa: ARG002
        return states * self.directions


class CountsItsCalls(Sound):
    calls = 0

    def mix(self, states, mask):  # noqa: ARG002
        self.calls += 1
        return states * (1.0 + 0.01 * self.calls)


def restart(model):
    assert_restart_equals_uninterrupted(type(model))


ASSERTIONS = [
    (assert_permutation_equivariant, KnowsPositionInList, "elements permuted: binary differs by up to"),
    (assert_padding_invariant, CountsPaddedRows, "37 padded rows"),
    (assert_padding_invariant, MasksByMultiplying, "37 padded rows of nan"),
    (assert_batching_independent, MixesEvents, "alone and in a batch"),
    (assert_handles_small_events, NeedsTwoElements, "1 elements: outputs are not finite"),
    (assert_robust_to_poison, MasksByMultiplying, "type = nan: outputs are not finite"),
    (assert_overfits_one_event, DoesNotLook, "after 200 steps"),
    (assert_onnx_parity, TakesAShortCutInExports, "ONNX Runtime and torch, 1 events of 1 elements: binary differs"),
    (restart, HasRandomNumbersOfItsOwn, "after a restart"),
    (restart, CountsItsCalls, "after a restart"),
]


@pytest.mark.parametrize("assertion", dict.fromkeys(a for a, _, _ in ASSERTIONS), ids=lambda assertion: assertion.__name__)
def test_a_sound_model_passes(assertion):
    assertion(Sound())


@pytest.mark.filterwarnings("ignore:std\\(\\). degrees of freedom is <= 0")
@pytest.mark.parametrize(("assertion", "broken", "message"), ASSERTIONS, ids=[f"{a.__name__}-{b.__name__}" for a, b, _ in ASSERTIONS])
def test_a_broken_model_is_caught(assertion, broken, message):
    with pytest.raises(AssertionError, match=message):
        assertion(broken())
