"""The configuration of an exported model for a Triton server, as the client of CMSSW's SONIC producer of MLPF asks for it."""

from mlpf.producer.signature import INPUTS, OUTPUTS, Tensor

MODEL_NAME = "MLPF"  # what the client asks the server for
MAX_BATCH_SIZE = 8  # the client's requests hold one event each; more in one are padded, with mask 0

TEMPLATE = """\
# Triton model configuration of {file}, for CMSSW's MLPFSONICProducer; written by mlpf export.
# Put it at REPOSITORY/{name}/config.pbtxt, the model at REPOSITORY/{name}/1/{file}.
name: "{name}"
platform: "onnxruntime_onnx"
backend: "onnxruntime"
default_model_filename: "{file}"
max_batch_size: {max_batch_size}  # the axis of events is not among the dims below
input [
{inputs}
]
output [
{outputs}
]
optimization {{ graph {{ level: -1 }} }}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
parameters {{ key: "inter_op_thread_count" value {{ string_value: "1" }} }}
"""


def triton_config(file: str) -> str:
    """The text of `config.pbtxt` (protobuf's text format, message `inference.ModelConfig`) for an exported file of this name."""
    return TEMPLATE.format(
        file=file,
        name=MODEL_NAME,
        max_batch_size=MAX_BATCH_SIZE,
        inputs=",\n".join(map(_tensor, reversed(INPUTS))),  # mask first, as in the client's own configuration; names decide
        outputs=",\n".join(map(_tensor, OUTPUTS)),
    )


def _tensor(tensor: Tensor) -> str:
    assert tensor.dtype == "float32"
    assert tensor.shape is not None
    dims = ", ".join("-1" if axis is None else str(axis) for axis in tensor.shape[1:])
    return f'  {{ name: "{tensor.name}" data_type: TYPE_FP32 dims: [ {dims} ] }}'
