"""The ONNX Runtimes of CMSSW 14_1 and 15_0 against the newest one, in numbers and in candidates (`scripts/onnxruntimes.sh` installs them)."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

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
SIZES = (1, 2, 7, 257, 5000, 12_000)
ATTENTION_SIZES = SIZES[:4]  # quadratic
ATTENTION = AttentionConfig(width=32, num_layers=1)
MADE_OF = {"window": WindowConfig(width=32, num_layers=2, num_curves=2), "attention": ATTENTION, "fused attention": ATTENTION}
MODELS = ("toy", "window", "window in half precision", "fused attention", pytest.param("attention", marks=pytest.mark.slow))


def graph_of(name):
    """A fresh model that is not the one of the start: there momenta are the element's own."""
    torch.manual_seed(3)
    model = build_model(MADE_OF[name])
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.preprocess.fit(torch.from_numpy(np.concatenate(contract_events())))
    return make_graph(ConsumerModule(model.eval()), "cmssw", "fused" if "fused" in name else "plain")


class Case(NamedTuple):
    path: Path
    events: dict[str, np.ndarray]
    expected: dict[str, list[np.ndarray]]  # of the newest runtime
    tolerance: float


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Models by name, each made when first asked for."""
    made, folder = {}, tmp_path_factory.mktemp("models")

    def case(name):
        if name not in made:
            if name == "window in half precision":
                graph = to_half(onnx.load(case("window").path))
            else:
                graph = graph_of(name) if name in MADE_OF else toy_model()
            path = folder / f"{name}.onnx"
            onnx.save(graph, path)
            everything = joined(contract_events(), max(SIZES))
            events = {str(n): everything[:n] for n in (ATTENTION_SIZES if "attention" in name else SIZES)}
            events["random"] = random_elements(np.random.default_rng(1), 1500)
            model = Runner(path)
            made[name] = Case(path, events, {key: model.alone(features) for key, features in events.items()}, model.tolerance)
        return made[name]

    return case


@pytest.fixture(params=VERSIONS)
def runtime(request):
    """Runs a model on events in a process of an older runtime: (path, events) -> outputs."""
    python = RUNTIMES / request.param / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"no ONNX Runtime {request.param} in {RUNTIMES}; scripts/onnxruntimes.sh installs it where there is a network")

    def run(path, events, folder):
        np.savez(folder / "in.npz", **events)
        command = [python, HERE / "run_in_runtime.py", path, folder / "in.npz", folder / "out.npz"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-500:]}"
        with np.load(folder / "out.npz") as found:
            assert str(found["version"]) == request.param
            return {name: [found[f"{name}_{i}"] for i in range(4)] for name in events}

    return run


@pytest.mark.parametrize("name", MODELS)
def test_older_runtimes_give_the_same_numbers_and_candidates(name, cases, runtime, tmp_path):
    case = cases(name)
    found = runtime(case.path, case.events, tmp_path)
    for key, features in case.events.items():
        assert difference(found[key], case.expected[key]) <= case.tolerance, f"{key} elements"
        expected = as_outputs(case.expected[key])
        other, momentum = compare(decoded(features, as_outputs(found[key])), library_candidates(features, expected), certain(expected, case.tolerance))
        assert (other, momentum <= 10 * case.tolerance) == (0, True), f"{key} elements"


@pytest.mark.parametrize("name", MODELS)
def test_an_event_without_elements_works_in_older_runtimes(name, cases, runtime, tmp_path):
    found = runtime(cases(name).path, {"0": np.zeros((0, 55), dtype=np.float32)}, tmp_path)
    assert [output.shape for output in found["0"]] == [(1, 0, 2), (1, 0, 9), (1, 0, 5), (1, 0, 1)]


@pytest.mark.parametrize("name", MODELS)
def test_a_real_model_keeps_the_contract_in_the_newest_runtime(name, cases):
    few = [event for event in contract_events() if len(event) < 300]
    check_contract(cases(name).path, few).require()
