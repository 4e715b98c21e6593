"""The file of a trained model as far as it can be read without torch: what it is, and which tensors it holds.

The format is safetensors (huggingface/safetensors): 8 bytes of length, a JSON header of that length, then the numbers. Our description of the model is a text
in the header, so that weights and description always belong together; see `mlpf.nn.saved`.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from mlpf.errors import ModelError

MODEL_FILE = "model.safetensors"  # of a run folder, which is known by it
DESCRIPTION = "mlpf"  # name of our text in the header
FORMER_MODEL_FILE = "model.pt"  # of versions that pickled
MAX_HEADER = 100_000_000  # bytes, the format's own limit


class ModelHeader(NamedTuple):
    """What a file says of itself.

    Attributes:
        description: JSON, see `mlpf.nn.saved.ModelInfo`.
        shapes: shape of each tensor by name.
    """

    description: str
    shapes: dict[str, tuple[int, ...]]


def read_header(folder: str | Path) -> ModelHeader:
    """Read the header of the model in a run folder, whatever the size of the file.

    Raises:
        ModelError: there is none, it is cut short, or not one of ours.
    """
    path = Path(folder) / MODEL_FILE
    if not path.is_file():
        if (path.parent / FORMER_MODEL_FILE).is_file():
            raise ModelError(f"{folder}: holds {FORMER_MODEL_FILE} of an earlier version, which is not read any more; train the model again")
        raise ModelError(f"{folder}: holds no trained model ({MODEL_FILE}); has mlpf train finished an epoch?")
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            text = stream.read(size) if size <= MAX_HEADER else b""
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if not size or len(text) < size:
        raise ModelError(f"{path}: damaged, or no file of tensors: its header would have {size} bytes; train the model again")
    try:
        return _parse(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: damaged, or no model of mlpf: {type(error).__name__} {' '.join(str(error).split())[:200]}") from error


def _parse(header: dict[str, Any]) -> ModelHeader:
    metadata = header.pop("__metadata__")
    return ModelHeader(str(metadata[DESCRIPTION]), {name: tuple(tensor["shape"]) for name, tensor in header.items()})
