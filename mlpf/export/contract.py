"""Whether an ONNX file keeps the contract of its target, found out without torch.

The targets: ``cmssw``, the `MLPFProducer` of CMSSW (cms-sw/cmssw#50316), without CMSSW; ``standalone``, candidates for anyone.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from mlpf.errors import ModelError
from mlpf.export import behaviour
from mlpf.export.decisions import consumer_candidates
from mlpf.export.events import contract_events
from mlpf.export.graph import (
    default_opset,
    external_weights,
    foreign_domains,
    input_tensors,
    output_tensors,
    precision_of,
    reaches_output,
    read_model,
    variant_of,
)
from mlpf.export.report import Check, ContractReport
from mlpf.producer.session import reason
from mlpf.producer.signature import INPUTS, STANDALONE_INPUTS, Tensor, signature_problems, standalone_problems

# ONNX Runtime 1.17.1 (CMSSW 14_1) reads up to these.
MAX_OPSET = 20
MAX_IR_VERSION = 9
DOMAINS = {"", "ai.onnx", "com.microsoft"}  # operator sets that CMSSW's build holds
EMPTY_EVENT_TIMEOUT = 120.0  # s; a start of Python takes 1


@dataclass(frozen=True)
class Target:
    """What is asked of the files of a target.

    Attributes:
        inputs: names of features and mask.
        signature_problems: what is wrong with inputs and outputs.
        checks: of what the model does.
    """

    inputs: tuple[str, ...]
    signature_problems: Callable[[Sequence[Tensor], Sequence[Tensor]], list[str]]
    checks: behaviour.Checks


CONSUMER_CHECKS: behaviour.Checks = {**behaviour.CHECKS, **behaviour.RAW_OUTPUT_CHECKS, "candidates of the consumer": consumer_candidates}
TARGETS = {
    "cmssw": Target(tuple(tensor.name for tensor in INPUTS), signature_problems, CONSUMER_CHECKS),
    "standalone": Target(tuple(tensor.name for tensor in STANDALONE_INPUTS), standalone_problems, behaviour.CHECKS),
}


def target_of(model: onnx.ModelProto) -> str:
    """The target that a file was made for, as the names of its inputs tell: ``standalone`` if they are those, else ``cmssw``."""
    return "standalone" if {tensor.name for tensor in input_tensors(model)} == set(TARGETS["standalone"].inputs) else "cmssw"


def check_contract(path: str | Path, events: Sequence[np.ndarray] | None = None) -> ContractReport:
    """Check every clause that needs nothing but the file.

    The file: ONNX checker, opset and IR, one file, inputs and outputs. What it does, in ONNX Runtime with one thread: any number of elements, none included,
    padding, company in a batch, order of the elements, non-finite features, decisions that the consumer cannot use, the consumer's own steps.

    Args:
        path: ONNX file, whoever made it.
        events: ``(N, 55)`` features each, N ascending, on which it is run, beside random ones; None: `mlpf.export.events.contract_events`.

    Raises:
        ModelError: the file cannot be read as ONNX at all.
    """
    path = Path(path)
    model = read_model(path)
    target = TARGETS[target_of(model)]
    checks = [_checker(path), _opset(model), _ir_version(model), _single_file(model), _signature(model, target), _live_mask(model)]
    if all(check.passed for check in checks):
        checks += _behaviour(path, model, target, contract_events() if events is None else events)
    return ContractReport(path, default_opset(model), model.ir_version, tuple(checks))


def _checker(path: Path) -> Check:
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        return Check("ONNX checker", reason(error))
    return Check("ONNX checker")


def _opset(model: onnx.ModelProto) -> Check:
    name = f"opset <= {MAX_OPSET}"
    foreign = foreign_domains(model, DOMAINS)
    opset = default_opset(model)
    if foreign:
        return Check(name, f"needs operators of {', '.join(foreign)}, which the consumer's runtime lacks")
    return Check(name, "" if 0 < opset <= MAX_OPSET else f"opset {opset}; ONNX Runtime 1.17.1 reads no newer one than {MAX_OPSET}", f"opset {opset}")


def _ir_version(model: onnx.ModelProto) -> Check:
    found = model.ir_version
    problem = f"IR version {found}; ONNX Runtime 1.17.1 reads no newer one than {MAX_IR_VERSION}"
    return Check(f"IR version <= {MAX_IR_VERSION}", "" if found <= MAX_IR_VERSION else problem, f"IR {found}")


def _single_file(model: onnx.ModelProto) -> Check:
    external = external_weights(model)
    return Check("one self-contained file", f"{len(external)} weights lie in another file (first: {external[0]})" if external else "")


def _signature(model: onnx.ModelProto, target: Target) -> Check:
    problems = target.signature_problems(input_tensors(model), output_tensors(model))
    return Check("inputs and outputs", "; ".join(problems))


def _live_mask(model: onnx.ModelProto) -> Check:
    used = reaches_output(model, "mask")
    return Check("mask is used", "" if used else "no output depends on the input mask, so padded elements count as real ones")


def _behaviour(path: Path, graph: onnx.ModelProto, target: Target, events: Sequence[np.ndarray]) -> list[Check]:
    name, kind = "loads in ONNX Runtime", f"{variant_of(graph)} operators, {precision_of(graph)} inside"
    try:
        model = behaviour.Runner(path, target.inputs)
    except ModelError as error:
        return [Check(name, str(error))]
    checks = [Check(name, measured=f"ONNX Runtime {onnxruntime.__version__}; {kind}"), _empty_event(path, target)]
    for name, check in target.checks.items():
        checks.append(_attempt(name, check, model, events))
        if check is behaviour.any_size:
            if not checks[-1].passed:  # the others would only repeat it
                break
            events = [features for features in events if model.has_run(features)]  # not those that take too long or too much memory
    return checks


def _attempt(
    name: str, check: Callable[[behaviour.Runner, Sequence[np.ndarray]], behaviour.Finding], model: behaviour.Runner, events: Sequence[np.ndarray]
) -> Check:
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # broken models give NaN, which is what the checks look for
            finding = check(model, events)
    except Exception as error:  # noqa: BLE001  # ONNX Runtime's errors share no base class
        return Check(name, f"the model fails: {reason(error)}")
    return Check(name, finding.problem, finding.measured)


def _empty_event(path: Path, target: Target) -> Check:
    name = "an event without elements"
    command = [sys.executable, "-m", "mlpf.export.empty_event", str(path), *target.inputs]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=EMPTY_EVENT_TIMEOUT)
    except subprocess.TimeoutExpired:
        return Check(name, f"still running after {EMPTY_EVENT_TIMEOUT:.0f} s")
    if done.returncode < 0:
        return Check(name, f"kills the process (signal {-done.returncode})")
    if done.returncode > 0:
        last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Check(name, f"the model fails: {last_line[:200]}")
    return Check(name, done.stdout.strip())
