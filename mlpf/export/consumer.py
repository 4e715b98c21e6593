"""What CMSSW does with a model, step by step, written after its C++ text and nothing else of this library: the oracle of exports and tests.

`ConsumerSession` is `cms::Ort::ONNXRuntime` (PhysicsTools/ONNXRuntime, 2026), `decode` the loop of `MLPFProducer` (cms-sw/cmssw#50316). Slow and scalar: no
schema, no constants or code of `mlpf.candidates`. Two things an ntuple cannot tell: whether a track is linked to a displaced vertex (211 -> 130 there), and
whether it belongs to a muon, which is read from the features that are filled for muons only.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from mlpf.errors import ModelError
from mlpf.producer.session import open_session

PDGID_ENCODING = (0, 211, 130, 1, 2, 22, 11, 13, 15)
TRACK, PS1, PS2, GSF, BREM, HFEM, HFHAD = 1, 2, 3, 6, 7, 8, 9
PI_MASS = 0.13957
NUM_FEATURES = 55
# Positions in the row of features.
TYPE, PT, ETA, SIN_PHI, COS_PHI, CHARGE, MUON_DT_HITS, MUON_CSC_HITS, MUON_TYPE = 0, 1, 2, 3, 4, 8, 14, 15, 16
WIDTHS = (2, 9, 5)  # of the outputs: binary, pid, p4


class Candidate(NamedTuple):
    """A `reco::PFCandidate`.

    Attributes:
        element: position among the rows given to the model.
        pdgid: signed; 0 for a type X.
        charge: [e].
        pt, eta, phi, energy: [GeV], [rad].
    """

    element: int
    pdgid: int
    charge: int
    pt: float
    eta: float
    phi: float
    energy: float


class ConsumerSession:
    """`cms::Ort::ONNXRuntime` on the CPU, which knows float32 alone and reads outputs as flat arrays.

    Args:
        path: ONNX file.

    Raises:
        ModelError: it does not load, or an output is a scalar or of undeclared rank, at which the constructor throws.
    """

    def __init__(self, path: str | Path) -> None:
        self._session = open_session(path)
        self._inputs = {tensor.name: _dims(tensor) for tensor in self._session.get_inputs()}
        self._outputs = {tensor.name: _dims(tensor) for tensor in self._session.get_outputs()}
        for tensor in self._session.get_outputs():
            if not tensor.shape:
                raise ModelError(f"output {tensor.name} is a scalar or has no declared rank, at which the consumer throws when it loads the model")
            if tensor.type != "tensor(float)":
                raise ModelError(f"output {tensor.name} is {tensor.type}, which the consumer reads as if it were tensor(float)")
            self._outputs[tensor.name][0] = -1  # depends on the size of the batch

    def run_into(self, values: Mapping[str, np.ndarray], shapes: Mapping[str, Sequence[int]], batch_size: int = 1) -> list[np.ndarray]:
        """`runInto` without output names and shapes: all outputs, flat, in the order of the graph.

        Outputs whose declared shape is free in the batch alone are written into buffers of that shape; if any is free elsewhere, ONNX Runtime allocates all.

        Args:
            values: flat input by name; what the model does not ask for is ignored.
            shapes: its shape.
            batch_size: replaced by the first axis of an input whose batch is free.

        Raises:
            ModelError: a missing input, a wrong size, or no size for a buffer. ONNX Runtime raises its own errors.
        """
        feed = {}
        for name, declared in self._inputs.items():
            if name not in values:
                raise ModelError(f"Input {name} is not provided!")
            shape = list(shapes[name])
            if declared and declared[0] == -1:
                batch_size = shape[0]
            if math.prod(shape) != len(values[name]):
                raise ModelError(f"Input array {name} has a wrong size of {len(values[name])}, expected {math.prod(shape)}")
            feed[name] = values[name].reshape(shape)
        if any(-1 in dims[1:] for dims in self._outputs.values()):
            return [output.ravel() for output in self._session.run(None, feed)]
        return self._run_preallocated(feed, batch_size)

    def _run_preallocated(self, feed: Mapping[str, np.ndarray], batch_size: int) -> list[np.ndarray]:
        binding = self._session.io_binding()
        for name, value in feed.items():
            binding.bind_cpu_input(name, value)
        buffers = []
        for name, dims in self._outputs.items():
            shape = [batch_size, *dims[1:]]
            if math.prod(shape) <= 0:
                raise ModelError(f"Output {name} has invalid inferred size {math.prod(shape)}")
            buffers.append(onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype=np.float32)))
            binding.bind_ortvalue_output(name, buffers[-1])
        self._session.run_with_iobinding(binding)
        return [buffer.numpy().ravel() for buffer in buffers]

    def produce(self, rows: np.ndarray) -> list[Candidate]:
        """`MLPFProducer::produce` from the model on: one event, exactly its selected elements, no padding.

        Args:
            rows: ``(N, 55)`` raw features.

        Raises:
            ModelError: outputs of another size than the loop over the elements reads, and whatever `run_into` raises.
        """
        num_elements = len(rows)
        values = {"Xfeat_normed": np.ascontiguousarray(rows, dtype=np.float32).ravel(), "mask": np.ones(num_elements, dtype=np.float32)}
        outputs = self.run_into(values, {"Xfeat_normed": (1, num_elements, NUM_FEATURES), "mask": (1, num_elements)})
        for position, (output, width) in enumerate(zip(outputs, WIDTHS, strict=False)):
            if len(output) != num_elements * width:
                raise ModelError(f"output {position} has {len(output)} values for {num_elements} elements, of which the consumer reads {width} each")
        if len(outputs) < len(WIDTHS):
            raise ModelError(f"{len(outputs)} outputs, of which the consumer reads {len(WIDTHS)}")
        binary, pid, p4 = (output.reshape(num_elements, width).tolist() for output, width in zip(outputs, WIDTHS, strict=False))
        return decode(rows.tolist(), binary, pid, p4)


def _dims(tensor: onnxruntime.NodeArg) -> list[int]:
    return [axis if isinstance(axis, int) else -1 for axis in tensor.shape]


Rows = Sequence[Sequence[float]]


def selected_rows(types: Sequence[int]) -> list[int]:
    """Positions of the elements that become rows of the input."""
    return [i for i, kind in enumerate(types) if kind not in (PS1, PS2, BREM)]


def decode(rows: Rows, binary: Rows, pid_logits: Rows, p4: Rows, gsf_charge: bool = False) -> list[Candidate]:
    """Candidates of one event.

    Args:
        rows: 55 features per element.
        binary, pid_logits, p4: 2, 9 and 5 outputs per element.
        gsf_charge: give electrons of GSF elements their own charge, as this library does; in the C++ they are all negative.
    """
    candidates = []
    for i, row in enumerate(rows):
        if not binary[i][1] > binary[i][0]:
            continue
        pid = PDGID_ENCODING[_arg_max(pid_logits[i])]
        if pid == 0:
            continue
        kind = int(row[TYPE])
        pid = _pid_of_element(pid, kind, row)
        pred_charge = row[CHARGE] if kind == TRACK or (kind == GSF and gsf_charge) else 0.0
        pt = _or_inf(math.exp, p4[i][0]) * row[PT]
        eta, sin_phi, cos_phi = p4[i][1], p4[i][2], p4[i][3]
        if kind == TRACK:
            eta, sin_phi, cos_phi = row[ETA], row[SIN_PHI], row[COS_PHI]
        candidates.append(_make_candidate(i, pid, pred_charge, pt, eta, math.atan2(sin_phi, cos_phi)))
    return candidates


def _arg_max(values: Sequence[float]) -> int:
    """`std::max_element`: the first of the largest."""
    best = 0
    for i in range(1, len(values)):
        if values[i] > values[best]:
            best = i
    return best


def _pid_of_element(pid: int, kind: int, row: Sequence[float]) -> int:
    """What the type of the element corrects."""
    if pid in (13, 211) and kind != TRACK:
        pid = 130
    if kind == TRACK:
        has_muon_ref = row[MUON_TYPE] != 0 or row[MUON_DT_HITS] != 0 or row[MUON_CSC_HITS] != 0
        if pid == 13 and not has_muon_ref:
            pid = 211
        if pid == 15:
            pid = 211
    if kind == HFEM:
        pid = 2
    if kind == HFHAD:
        pid = 1
    return pid


def _make_candidate(element: int, pid: int, pred_charge: float, pt: float, eta: float, phi: float) -> Candidate:
    """`makeCandidate`, with `setMass`, which throws the regressed energy away."""
    charge = 0
    if pid in (11, 13, 211):
        charge = 1 if pred_charge > 0 else -1
    pdgid = {211: 211 * charge, 11: -11 * charge, 13: -13 * charge, 130: 130, 22: 22, 1: 1, 2: 2}.get(pid, 0)
    mass = PI_MASS if pid == 211 else 0.0
    energy = math.hypot(pt * _or_inf(math.cosh, eta), mass)
    return Candidate(element, pdgid, charge, pt, eta, phi, energy)


def _or_inf(function: Callable[[float], float], x: float) -> float:
    """Infinity where C++ gives it and Python raises."""
    try:
        return function(x)
    except OverflowError:
        return math.inf
