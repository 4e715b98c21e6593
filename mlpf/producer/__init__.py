"""ONNX model + ntuple -> candidates, event by event as CMSSW does; onnxruntime, never torch.

Three lines on NumPy arrays::

    from mlpf.producer import Producer
    producer = Producer("model.onnx")
    candidates = producer.candidates(features)  # (N, 55) raw features -> candidates["mlpfcandidate_pt"], ...

``producer.run(features).probabilities()`` is what the model says of each element instead, and `produce_files` works on whole files.
"""

from typing import TYPE_CHECKING, Any

from mlpf.producer.producer import ConsumerInput, Producer, consumer_input
from mlpf.producer.session import available_devices

if TYPE_CHECKING:
    from mlpf.producer.files import ProduceReport, produce_files

__all__ = ["ConsumerInput", "ProduceReport", "Producer", "available_devices", "consumer_input", "produce_files"]
_OF_FILES = ("ProduceReport", "produce_files")


def __getattr__(name: str) -> Any:
    """What works on files, imported when asked for: it brings uproot, awkward and pyarrow, which arrays do without."""
    if name not in _OF_FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlpf.producer import files

    return getattr(files, name)
