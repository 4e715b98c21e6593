"""Opening an ONNX model the way the consumer does: one intra-op thread, sequential, providers with default options; no device is replaced in silence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from mlpf.errors import ModelError
from mlpf.io.files import cache_folder, sha256, writing
from mlpf.producer.signature import Tensor

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
# Fastest first: the next one takes the operators that the one before has not. ONNX Runtime itself adds the CPU, where arithmetic on shapes always is.
PROVIDERS = {"cpu": ("CPUExecutionProvider",), "cuda": (CUDA,), "tensorrt": (TENSORRT, CUDA)}
REMEDIES = {
    CUDA: "check the driver, CUDA and cuDNN (pip install 'onnxruntime-gpu[cuda,cudnn]'), or pass --device cpu",
    TENSORRT: "check that TensorRT's libraries are installed and found (LD_LIBRARY_PATH), or pass --device cuda",
}
LOG_FATAL_ONLY = 4  # ONNX Runtime severity; errors come as exceptions too


def available_devices() -> tuple[str, ...]:
    """Devices that the installed ONNX Runtime is built for. Whether driver and libraries are there as well shows when a model is opened."""
    built = onnxruntime.get_available_providers()
    return tuple(device for device, providers in PROVIDERS.items() if set(providers) <= set(built))


def open_session(path: str | Path, device: str = "cpu", threads: int = 1) -> onnxruntime.InferenceSession:
    """Load a model. Several Python threads may run the session at once, as CMSSW's streams do.

    Args:
        path: ONNX file.
        device: ``"cpu"``, ``"cuda"`` or ``"tensorrt"`` (with CUDA for what TensorRT lacks); the first GPU of ``CUDA_VISIBLE_DEVICES``.
        threads: intra-op threads on the CPU; the consumer uses 1.

    Raises:
        ModelError: there is no such file, it is not a model that ONNX Runtime can load, or the device is not to be had.
    """
    if device not in PROVIDERS:
        raise ModelError(f"device '{device}': unknown; choose one of {', '.join(PROVIDERS)}")
    if not Path(path).is_file():
        raise ModelError(f"{path}: {'a folder; mlpf export makes a model (.onnx) of a run' if Path(path).is_dir() else 'no such file'}")
    if device not in available_devices():
        built = ", ".join(onnxruntime.get_available_providers())
        raise ModelError(f"device '{device}': this ONNX Runtime has only {built}; install onnxruntime-gpu in its place or pass --device cpu")
    if device != "cpu" and hasattr(onnxruntime, "preload_dlls"):  # since 1.21: finds CUDA and cuDNN where pip puts them
        onnxruntime.preload_dlls()
    try:
        # Without enable_fallback=0 a provider that fails, now or in any later call, is replaced by the next one with no more than a line on the screen.
        session = onnxruntime.InferenceSession(str(path), session_options(threads), providers=_with_options(path, device), enable_fallback=0)
    except Exception as error:  # ONNX Runtime's errors share no base class
        remedy = "".join(f"; {REMEDIES[provider]}" for provider in PROVIDERS[device][:1] if provider in REMEDIES)
        raise ModelError(f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load it on {device} ({reason(error)}){remedy}") from error
    for provider in PROVIDERS[device]:
        if provider not in session.get_providers():  # libraries that are missing are a line in the log, no exception
            raise ModelError(f"device '{device}': ONNX Runtime could not start its {provider}; {REMEDIES[provider]}")
    return session


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """The consumer's, but for the number of intra-op threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = LOG_FATAL_ONLY
    return options


def _with_options(path: str | Path, device: str) -> list[tuple[str, dict[str, Any]]]:
    """Providers of a device, each with its options. CUDA's defaults are those of the consumer, which changes none (TF32 is among them)."""
    return [(provider, _engine_cache(path) if provider == TENSORRT else {}) for provider in PROVIDERS[device]]


def _engine_cache(path: str | Path) -> dict[str, Any]:
    """Options that keep TensorRT's engines, which take minutes to build. A folder for each model: TensorRT's names for them do not depend on the weights."""
    folder = cache_folder() / "tensorrt" / sha256(path)[:32]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(folder),
    }


def session_tensors(arguments: Sequence[onnxruntime.NodeArg]) -> list[Tensor]:
    """Inputs or outputs of a session; free axes are None."""
    return [Tensor(a.name, _dtype(a.type), tuple(axis if isinstance(axis, int) else None for axis in a.shape)) for a in arguments]


def reason(error: Exception) -> str:
    """First 200 characters of an error of ONNX Runtime, on one line."""
    return " ".join(str(error).split())[:200]


def _dtype(onnxruntime_type: str) -> str:
    name = onnxruntime_type.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)
