"""Opening an ONNX model the way the consumer does: one intra-op thread, one execution provider, nothing else changed."""

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from mlpf.errors import ModelError
from mlpf.producer.signature import Tensor

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
LOG_FATAL_ONLY = 4  # ONNX Runtime severity; errors come as exceptions too


def open_session(path: str | Path, device: str = "cpu", threads: int = 1) -> onnxruntime.InferenceSession:
    """Load a model.

    Args:
        path: ONNX file.
        device: ``"cpu"`` or ``"cuda"``.
        threads: intra-op threads; the consumer uses 1.

    Raises:
        ModelError: there is no such file, it is not a model that ONNX Runtime can load, or the device is not to be had.
    """
    if device not in PROVIDERS:
        raise ModelError(f"device '{device}': unknown; choose one of {', '.join(PROVIDERS)}")
    if not Path(path).is_file():
        raise ModelError(f"{path}: {'a folder; mlpf export makes a model (.onnx) of a run' if Path(path).is_dir() else 'no such file'}")
    available = onnxruntime.get_available_providers()
    if PROVIDERS[device] not in available:
        raise ModelError(f"device '{device}': this ONNX Runtime has only {', '.join(available)}; install onnxruntime-gpu or pass --device cpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = LOG_FATAL_ONLY
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[PROVIDERS[device]])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise ModelError(f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load it ({reason(error)})") from error
    if PROVIDERS[device] not in session.get_providers():  # it falls back to the CPU with no more than a line in the log
        raise ModelError(f"device '{device}': ONNX Runtime could not start its {PROVIDERS[device]}; check driver and CUDA libraries, or pass --device cpu")
    return session


def session_tensors(arguments: Sequence[onnxruntime.NodeArg]) -> list[Tensor]:
    """Inputs or outputs of a session; free axes are None."""
    return [Tensor(a.name, _dtype(a.type), tuple(axis if isinstance(axis, int) else None for axis in a.shape)) for a in arguments]


def reason(error: Exception) -> str:
    """First 200 characters of an error of ONNX Runtime, on one line."""
    return " ".join(str(error).split())[:200]


def _dtype(onnxruntime_type: str) -> str:
    name = onnxruntime_type.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)
