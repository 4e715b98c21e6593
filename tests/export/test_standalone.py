import json

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from mlpf.candidates import Outputs, make_candidates
from mlpf.errors import ModelError
from mlpf.events import Events
from mlpf.export.behaviour import Runner
from mlpf.export.contract import check_contract
from mlpf.export.exporter import OUTPUT_NAMES, export_model, to_onnx
from mlpf.export.standalone import StandaloneModule, check_candidates
from mlpf.nn.heads import ModelOutput
from mlpf.random_elements import random_elements
from mlpf.schema import CLASSES, FEATURE_INDEX, NUM_CLASSES, CandidateClass, ElementType


class LinearModel(nn.Module):
    """Every output a fixed random function of the features, so that all classes occur on all types of elements, also those that a trained model avoids."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.outputs = nn.Linear(55, 2 + NUM_CLASSES + 5 + 1)
        self.outputs.weight.data *= 20.0  # many turns of the sine below: decisions as good as random

    def forward(self, features, mask):
        x = torch.where(torch.isfinite(features), features, 0.0).clamp(-1e6, 1e6)
        binary, pid, momentum, pileup = (3.0 * torch.sin(self.outputs(torch.asinh(x)))).split([2, NUM_CLASSES, 5, 1], dim=-1)
        binary = torch.where(mask[..., None] > 0, binary, torch.tensor([1.0, -1.0]))
        return ModelOutput(binary, pid, momentum, pileup, pid[..., :3])


@pytest.fixture(scope="module")
def exported(few_events, tmp_path_factory):
    model, path = LinearModel(), tmp_path_factory.mktemp("standalone") / "model.onnx"
    report = export_model(model, path, {"epoch": 3}, "standalone", events=few_events)
    return model, path, report


def candidates_of(path, features, mask=None):
    """Outputs by name of a padded batch, with ONNX Runtime alone."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    mask = np.ones(features.shape[:2], dtype=np.float32) if mask is None else mask
    return dict(zip(OUTPUT_NAMES["standalone"], session.run(None, {"features": features, "mask": mask}), strict=True))


def test_candidates_are_those_that_the_producer_makes_of_the_outputs(exported):
    model, path, _ = exported
    features = random_elements(np.random.default_rng(5), 4000)
    features[::2, FEATURE_INDEX["muon_type"]] = 14.0
    found = {name: values[0] for name, values in candidates_of(path, features[None]).items()}
    with torch.no_grad():
        output = model(torch.from_numpy(features)[None], torch.ones(1, len(features)))
    binary, pid, momentum, pileup = (values[0].numpy() for values in (output.binary, output.pid, output.momentum, output.pileup))
    event = Events({name: np.ones(1, dtype=np.int64) for name in ("event", "run", "lumi")}, {}, 1)
    expected = make_candidates(event, features, np.arange(len(features)), np.array([0, len(features)]), Outputs(binary, pid, momentum, pileup[:, 0]))
    kept = expected["mlpfcandidate_element"]
    taus = expected["mlpfcandidate_pdgid"] == 0
    assert 100 < len(kept) < len(features)
    assert taus.any()
    np.testing.assert_array_equal(np.flatnonzero(found["score"]), kept)
    for name in OUTPUT_NAMES["standalone"]:
        np.testing.assert_allclose(found[name][kept], expected[f"mlpfcandidate_{name}"], rtol=2e-5, atol=2e-6)
        assert not found[name][np.setdiff1d(np.arange(len(features)), kept)].any()
    assert {abs(int(pdgid)) for pdgid in found["pdgid"]} == {0, *(int(c) for c in CLASSES if c not in (CandidateClass.NONE, CandidateClass.TAU))}


def test_padding_yields_nothing_and_changes_nothing(exported):
    _, path, _ = exported
    rng = np.random.default_rng(6)
    batch, mask = np.stack([random_elements(rng, 60), random_elements(rng, 60)]), np.ones((2, 60), dtype=np.float32)
    batch[1, 40:], mask[1, 40:] = np.nan, 0.0
    found, alone = candidates_of(path, batch, mask), candidates_of(path, batch[1:, :40])
    for name, values in found.items():
        assert not values[1, 40:].any()
        np.testing.assert_allclose(values[1, :40], alone[name][0], rtol=1e-4, atol=1e-6)


def test_absurd_features_give_finite_candidates(exported):
    _, path, _ = exported
    features = random_elements(np.random.default_rng(7), 55)[None]
    for value in (np.nan, np.inf, 1e30, -1e30):
        poisoned = features.copy()
        poisoned[0, np.arange(55), np.arange(55)] = value
        assert all(np.isfinite(values).all() for values in candidates_of(path, poisoned).values())


def test_an_event_without_elements_gives_empty_outputs(exported):
    _, path, _ = exported
    assert {values.shape for values in candidates_of(path, np.zeros((1, 0, 55), dtype=np.float32)).values()} == {(1, 0)}


def test_card_and_contract_say_what_it_is(exported, few_events):
    _, path, report = exported
    card = json.loads(path.with_suffix(".json").read_text())
    assert report.passed
    assert card["target"] == "standalone"
    assert [line.split()[0] for line in card["inputs"]] == ["features", "mask"]
    assert [line.split()[0] for line in card["outputs"]] == OUTPUT_NAMES["standalone"]
    found = check_contract(path, few_events)
    assert found.passed
    assert "superclusters" not in {check.name for check in found.checks}


def test_a_file_with_other_decisions_fails_the_comparison(exported, tmp_path):
    model, _, _ = exported

    class HadronsOnly(StandaloneModule):
        def forward(self, features, mask):
            pdgid, *others = super().forward(features, mask)
            is_ecal = features[..., FEATURE_INDEX["type"]] == ElementType.ECAL
            return torch.where(is_ecal & (pdgid == 22), 130, pdgid).int(), *others

    path = tmp_path / "wrong.onnx"
    path.write_bytes(to_onnx(HadronsOnly(model).eval(), ("features", "mask"), OUTPUT_NAMES["standalone"]).SerializeToString())
    assert "another pdgId" in check_candidates(model, path).problem


def test_a_decision_on_its_edge_may_turn_and_many_may_not(exported):
    """Rounding alone turns one now and then, which is no reason to refuse a file."""
    _, path, _ = exported
    runner = Runner(path, ("features", "mask"))
    found = runner.alone(random_elements(np.random.default_rng(8), 500))
    turned = [values.copy() for values in found]
    turned[0][0, 7] += 1
    assert runner.difference(turned, found) == 0.0
    turned[1][0, 8] += 1.0  # pt of another element
    assert runner.difference(turned, found) > 0.1
    turned = [values.copy() for values in found]
    turned[0][0, 7:9] += 1
    assert runner.difference(turned, found) == np.inf


def test_missing_outputs_break_the_contract(exported, tmp_path):
    model, _, _ = exported

    class NoPileup(StandaloneModule):
        def forward(self, features, mask):
            return super().forward(features, mask)[:-1]

    path = tmp_path / "short.onnx"
    path.write_bytes(to_onnx(NoPileup(model).eval(), ("features", "mask"), OUTPUT_NAMES["standalone"][:-1]).SerializeToString())
    with pytest.raises(ModelError, match=r"inputs and outputs: outputs are .*expected .*pileup"):
        check_contract(path).require()
