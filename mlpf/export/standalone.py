"""The target ``standalone``: the consumer's decisions inside the graph, so that the file gives candidates to whoever has ONNX Runtime."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlpf import schema
from mlpf.export.behaviour import Runner, difference, run_ascending
from mlpf.export.decisions import MOMENTUM_TOLERANCES, as_outputs, certain, library_candidates
from mlpf.export.events import contract_events
from mlpf.export.report import Check
from mlpf.kinematics import PION_MASS
from mlpf.nn.heads import ModelOutput
from mlpf.producer.signature import STANDALONE_INPUTS, STANDALONE_OUTPUTS
from mlpf.schema import FEATURE_INDEX, CandidateClass, ElementType

MAX_FEATURE, MAX_ETA = 1e6, 15.0  # GeV; with these no square of an energy overflows float32


class StandaloneModule(torch.nn.Module):
    """A model that gives candidates, decided as in `mlpf.candidates`: pdgid, pt, eta, phi, energy, charge, score, pileup; 0 where there is none.

    Features that are not finite count as 0, as they do inside the model; momenta and pseudorapidities beyond any collider's are cut off.

    Shapes:
        features: (B, N, 55) raw, mask: (B, N) -> eight times (B, N)
    """

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        output = self.model(features, mask)
        x = torch.where(torch.isfinite(features), features, 0.0).clamp(-MAX_FEATURE, MAX_FEATURE)
        is_particle = (output.binary[..., 1] > output.binary[..., 0]) & (mask > 0)
        pid = torch.where(is_particle, _candidate_class(x, output.pid), 0)
        found = pid != 0
        sign = torch.where(_feature(x, "charge") > 0, 1, -1)
        charge = torch.where(_is_any(pid, *schema.CHARGED_CLASSES), sign, 0)
        lepton = _is_any(pid, CandidateClass.ELECTRON, CandidateClass.MUON)
        pdgid = torch.where(charge == 0, pid, torch.where(lepton, -charge, charge) * pid)
        pdgid = torch.where(pid == CandidateClass.TAU, 0, pdgid)  # on anything but a track: the consumer's type X
        values = (*_four_momenta(x, output.momentum, pid), torch.sigmoid(output.binary[..., 1] - output.binary[..., 0]), torch.sigmoid(output.pileup[..., 0]))
        pt, eta, phi, energy, score, pileup = (torch.where(found, value, 0.0) for value in values)
        return pdgid.int(), pt, eta, phi, energy, charge.int(), score, pileup


def _candidate_class(x: Tensor, logits: Tensor) -> Tensor:
    """``(B, N)`` class of each element if it is a particle, see `mlpf.candidates.candidate_class`."""
    pid, highest = torch.full_like(logits[..., 0], schema.CLASS_IDS[0], dtype=torch.int32), logits[..., 0]
    for c, class_id in enumerate(schema.CLASS_IDS[1:], start=1):  # ONNX Runtime's ArgMax gives another shape where there are no elements
        pid = torch.where(logits[..., c] > highest, class_id, pid)
        highest = torch.maximum(highest, logits[..., c])
    element_type = _feature(x, "type")
    is_track = element_type == ElementType.TRACK
    has_muon = (_feature(x, "muon_type") != 0) | (_feature(x, "muon_dt_hits") != 0) | (_feature(x, "muon_csc_hits") != 0)
    charged_off_track = _is_any(pid, CandidateClass.MUON, CandidateClass.CHARGED_HADRON) & ~is_track
    no_muon = (pid == CandidateClass.MUON) & ~has_muon
    pid = torch.where(charged_off_track, int(CandidateClass.NEUTRAL_HADRON), pid)
    pid = torch.where(is_track & (no_muon | (pid == CandidateClass.TAU)), int(CandidateClass.CHARGED_HADRON), pid)
    kept = pid != CandidateClass.NONE
    pid = torch.where(kept & (element_type == ElementType.HFEM), int(CandidateClass.HF_EM), pid)
    return torch.where(kept & (element_type == ElementType.HFHAD), int(CandidateClass.HF_HADRON), pid)


def _feature(x: Tensor, name: str) -> Tensor:
    return x[..., FEATURE_INDEX[name]]


def _is_any(pid: Tensor, *classes: CandidateClass) -> Tensor:
    return functools.reduce(torch.logical_or, (pid == c for c in classes))


def _four_momenta(x: Tensor, momentum: Tensor, pid: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """pt, eta, phi, energy, see `mlpf.candidates.four_momenta`."""
    is_track = _feature(x, "type") == ElementType.TRACK
    pt = torch.exp(momentum[..., 0]) * _feature(x, "pt")
    eta, sin_phi, cos_phi = (torch.where(is_track, _feature(x, name), momentum[..., i]) for i, name in ((1, "eta"), (2, "sin_phi"), (3, "cos_phi")))
    eta = eta.clamp(-MAX_ETA, MAX_ETA)
    mass = torch.where(pid == CandidateClass.CHARGED_HADRON, PION_MASS, 0.0)
    return pt, eta, torch.atan2(sin_phi, cos_phi), torch.sqrt((pt * torch.cosh(eta)) ** 2 + mass**2)


@torch.no_grad()
def check_candidates(model: torch.nn.Module, path: Path, events: Sequence[np.ndarray] | None = None) -> Check:
    """Compare the candidates of a standalone file with those that `mlpf.candidates` makes of the model's outputs.

    Elements on the edge of a decision, which the file's tolerance may turn, are counted but not compared.

    Args:
        model: in float32.
        path: ONNX file.
        events: ``(N, 55)`` features each, N ascending; None: `contract_events`. Random ones and all joined are added.
    """
    runner = Runner(path, [tensor.name for tensor in STANDALONE_INPUTS])
    allowed = MOMENTUM_TOLERANCES[runner.precision]
    name, largest, num_elements, num_uncertain = "same candidates as from the model's outputs", 0.0, 0, 0
    for features, outputs in run_ascending(runner, contract_events() if events is None else events):
        expected, sure = _expected(features, model(torch.from_numpy(features)[None], torch.ones(1, len(features))), runner.tolerance)
        found = [output[0, sure] for output in outputs]
        other = int(np.count_nonzero(found[0] != expected[0]))
        if other:
            return Check(name, f"{other} of {len(features)} elements have another pdgId")
        largest = max(largest, difference(found, expected))
        num_elements, num_uncertain = num_elements + len(features), num_uncertain + int((~sure).sum())
    summary = f"largest difference {largest:.2g}, {num_uncertain} of {num_elements} elements on the edge of a decision"
    return Check(name, "" if largest <= allowed else f"{summary}, allowed {allowed:g}", summary)


def _expected(features: np.ndarray, output: ModelOutput, tolerance: float) -> tuple[list[np.ndarray], np.ndarray]:
    """The outputs for one event as the producer makes candidates, of the elements whose decisions are certain; and which those are."""
    outputs = as_outputs([values.numpy() for values in output])
    candidates, sure = library_candidates(features, outputs), certain(outputs, tolerance)
    expected = []
    for tensor in STANDALONE_OUTPUTS:
        values = np.zeros(len(features), dtype=tensor.dtype)
        values[candidates["mlpfcandidate_element"]] = candidates[f"mlpfcandidate_{tensor.name}"]
        expected.append(values[sure])
    return expected, sure
