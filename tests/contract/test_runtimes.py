"""The ONNX Runtimes of CMSSW 14_1 and 15_0 against the newest one, in numbers and in candidates (`scripts/onnxruntimes.sh` installs them)."""

import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from toy_graph import toy_model

from mlpf.export.behaviour import Runner, difference
from mlpf.export.contract import check_contract
from mlpf.export.decisions import as_outputs, certain, compare, decoded, library_candidates
from mlpf.export.events import contract_events, joined
from mlpf.export.exporter import ConsumerModule, make_graph
from mlpf.export.precision import to_half
from mlpf.nn.model import AttentionConfig, WindowConfig, build_model
from mlpf.random_elements import random_elements

HERE = Path(__file__).parent
RUNTIMES = Path(os.environ.get("MLPF_ONNXRUNTIMES", HERE.parents[1] / ".onnxruntime"))
VERSIONS = ("1.17.1", "1.20.1")
SIZES = (0, 1, 2, 7, 257, 5000, 12_000)
ATTENTION_SIZES = SIZES[:5]  # quadratic
ATTENTION = AttentionConfig(width=32, num_layers=1)
MADE_OF = {"window": WindowConfig(width=32, num_layers=2, num_curves=2), "attention": ATTENTION, "fused attention": ATTENTION}
# To trace a model takes most of the time, so each is traced by one test, which asks it everything.
MODELS = ("toy", "window", "fused attention", pytest.param("attention", marks=pytest.mark.slow))


def graph_of(name):
    """A fresh model that is not the one of the start: there momenta are the element's own."""
    torch.manual_seed(3)
    model = build_model(MADE_OF[name])
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.preprocess.fit(torch.from_numpy(np.concatenate(contract_events())))
    return make_graph(ConsumerModule(model.eval()), "cmssw", "fused" if "fused" in name else "plain")


def write_models(name, folder):
    """The file of a model, and that of the window model in half precision, too."""
    graphs = {name: graph_of(name) if name in MADE_OF else toy_model()}
    if name == "window":
        graphs["window in half precision"] = to_half(graphs[name])
    for title, graph in graphs.items():
        onnx.save(graph, folder / f"{title}.onnx")
    return [folder / f"{title}.onnx" for title in graphs]


def run_in_runtime(python, path, events, folder):
    """Version of the ONNX Runtime of an interpreter, and its outputs for events by name, from a process of its own."""
    np.savez(folder / "in.npz", **events)
    command = [python, HERE / "run_in_runtime.py", path, folder / "in.npz", folder / "out.npz"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-500:]}"
    with np.load(folder / "out.npz") as found:
        return str(found["version"]), {name: [found[f"{name}_{i}"] for i in range(4)] for name in events}


def assert_same(features, found, expected, tolerance, where):
    """Outputs of one event, and the candidates that the consumer makes of them."""
    assert difference(found, expected) <= tolerance, where
    found, expected = as_outputs(found), as_outputs(expected)
    other, momentum = compare(decoded(features, found), library_candidates(features, expected), certain(expected, tolerance))
    assert (other, momentum <= 10 * tolerance) == (0, True), where


@pytest.mark.parametrize("name", MODELS)
def test_models_keep_the_contract_and_older_runtimes_give_the_same_numbers_and_candidates(name, tmp_path):
    everything = joined(contract_events(), max(SIZES))
    events = {str(n): everything[:n] for n in (ATTENTION_SIZES if "attention" in name else SIZES)}
    events["random"] = random_elements(np.random.default_rng(1), 1500)
    few = [event for event in contract_events() if len(event) < 300]
    pythons = {version: RUNTIMES / version / "bin" / "python" for version in VERSIONS}
    missing = [version for version, python in pythons.items() if not python.is_file()]
    for path in write_models(name, tmp_path):
        check_contract(path, few).require()
        model = Runner(path)
        for version in (version for version in VERSIONS if version not in missing):
            used, found = run_in_runtime(pythons[version], path, events, tmp_path)
            assert used == version
            assert [output.shape for output in found["0"]] == [(1, 0, 2), (1, 0, 9), (1, 0, 5), (1, 0, 1)]
            for key, features in events.items():
                if len(features):
                    assert_same(features, found[key], model.alone(features), model.tolerance, f"{path.stem}, {version}, {key} elements")
    if missing:
        pytest.skip(f"newest ONNX Runtime alone: no {', '.join(missing)} in {RUNTIMES}; scripts/onnxruntimes.sh installs them where there is a network")
