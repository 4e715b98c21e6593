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
from mlpf.export.report import Check, ContractReport
from mlpf.producer.session import open_session, reason
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


TARGETS = {
    "cmssw": Target(tuple(tensor.name for tensor in INPUTS), signature_problems, behaviour.CONSUMER_CHECKS),
    "standalone": Target(tuple(tensor.name for tensor in STANDALONE_INPUTS), standalone_problems, behaviour.CHECKS),
}


def target_of(model: onnx.ModelProto) -> str:
    """The target that a file was made for, as the names of its inputs tell: ``standalone`` if they are those, else ``cmssw``."""
    return "standalone" if {tensor.name for tensor in _inputs(model)} == set(TARGETS["standalone"].inputs) else "cmssw"


def check_contract(path: str | Path) -> ContractReport:
    """Check every clause that needs nothing but the file.

    The file: ONNX checker, opset and IR, one file, inputs and outputs. What it does, in ONNX Runtime with one thread: any number of elements, none included,
    padding, company in a batch, order of the elements, non-finite features, decisions that the consumer cannot use.

    Raises:
        ModelError: the file cannot be read as ONNX at all.
    """
    path = Path(path)
    model = read_model(path)
    target = TARGETS[target_of(model)]
    checks = [_checker(path), _opset(model), _ir_version(model), _single_file(model), _signature(model, target), _live_mask(model)]
    if all(check.passed for check in checks):
        checks += _behaviour(path, target)
    return ContractReport(path, default_opset(model), model.ir_version, tuple(checks))


def read_model(path: Path) -> onnx.ModelProto:
    """The graph of a file, without the content of external data.

    Raises:
        ModelError: no such file, or not ONNX.
    """
    try:
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # protobuf's DecodeError, or whatever else damaged bytes lead to
        raise ModelError(f"{path}: not an ONNX file, damaged or truncated? ({reason(error)})") from error


def default_opset(model: onnx.ModelProto) -> int:
    """Version of the default operator set, 0 where the file names none."""
    return max((opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")), default=0)


def _checker(path: Path) -> Check:
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        return Check("ONNX checker", reason(error))
    return Check("ONNX checker")


def _opset(model: onnx.ModelProto) -> Check:
    name = f"opset <= {MAX_OPSET}"
    foreign = sorted({opset.domain for opset in model.opset_import} - DOMAINS)
    opset = default_opset(model)
    if foreign:
        return Check(name, f"needs operators of {', '.join(foreign)}, which the consumer's runtime lacks")
    return Check(name, "" if 0 < opset <= MAX_OPSET else f"opset {opset}; ONNX Runtime 1.17.1 reads no newer one than {MAX_OPSET}", f"opset {opset}")


def _ir_version(model: onnx.ModelProto) -> Check:
    found = model.ir_version
    problem = f"IR version {found}; ONNX Runtime 1.17.1 reads no newer one than {MAX_IR_VERSION}"
    return Check(f"IR version <= {MAX_IR_VERSION}", "" if found <= MAX_IR_VERSION else problem, f"IR {found}")


def _single_file(model: onnx.ModelProto) -> Check:
    external = [weights.name for weights in model.graph.initializer if weights.data_location == onnx.TensorProto.EXTERNAL]
    return Check("one self-contained file", f"{len(external)} weights lie in another file (first: {external[0]})" if external else "")


def _signature(model: onnx.ModelProto, target: Target) -> Check:
    problems = target.signature_problems(_inputs(model), [_tensor(value) for value in model.graph.output])
    return Check("inputs and outputs", "; ".join(problems))


def _inputs(model: onnx.ModelProto) -> list[Tensor]:
    weights = {initializer.name for initializer in model.graph.initializer}
    return [_tensor(value) for value in model.graph.input if value.name not in weights]


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    dtype = "unknown" if kind.elem_type == 0 else str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim) if kind.HasField("shape") else None
    return Tensor(value.name, dtype, shape)


def _live_mask(model: onnx.ModelProto) -> Check:
    used = {name for node in model.graph.node for name in node.input}
    return Check("mask is used", "" if "mask" in used else "no node reads the input mask, so padded elements count as real ones")


def _behaviour(path: Path, target: Target) -> list[Check]:
    try:
        session = open_session(path)
    except ModelError as error:
        return [Check("loads in ONNX Runtime", str(error))]
    checks = [Check("loads in ONNX Runtime", measured=f"ONNX Runtime {onnxruntime.__version__}"), _empty_event(path, target)]
    model = behaviour.Runner(session, target.inputs)
    for name, check in target.checks.items():
        checks.append(_attempt(name, check, model))
        if not checks[-1].passed and check is behaviour.any_size:  # the others would only repeat it
            break
    return checks


def _attempt(name: str, check: Callable[[behaviour.Runner], behaviour.Finding], model: behaviour.Runner) -> Check:
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # broken models give NaN, which is what the checks look for
            finding = check(model)
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
