import numpy as np
import onnx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from mlpf.export.triton import triton_config

FIELD = descriptor_pb2.FieldDescriptorProto
KINDS = {"string": FIELD.TYPE_STRING, "int32": FIELD.TYPE_INT32, "int64": FIELD.TYPE_INT64}
# The part of Triton's inference.ModelConfig (model_config.proto) that an ONNX model needs; field numbers play no part in the text format.
MESSAGES = {
    "Tensor": [("name", "string"), ("data_type", "DataType"), ("dims", "int64*")],
    "Value": [("string_value", "string")],
    "Parameter": [("key", "string"), ("value", "Value")],
    "Graph": [("level", "int32")],
    "Optimization": [("graph", "Graph")],
    "ModelConfig": [
        ("name", "string"),
        ("platform", "string"),
        ("backend", "string"),
        ("default_model_filename", "string"),
        ("max_batch_size", "int32"),
        ("input", "Tensor*"),
        ("output", "Tensor*"),
        ("optimization", "Optimization"),
        ("parameters", "Parameter*"),
    ],
}


def message_class():
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    enum = file.enum_type.add(name="DataType")
    for number, name in enumerate(("TYPE_INVALID", "TYPE_FP16", "TYPE_FP32", "TYPE_INT64")):
        enum.value.add(name=name, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, start=1):
            label = FIELD.LABEL_REPEATED if kind.endswith("*") else FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            plain = kind.rstrip("*")
            if plain in KINDS:
                added.type = KINDS[plain]
            else:
                added.type, added.type_name = FIELD.TYPE_ENUM if plain == "DataType" else FIELD.TYPE_MESSAGE, f".inference.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def parsed(text):
    return text_format.Parse(text, message_class()())


def test_the_configuration_is_that_of_the_producers_client():
    config = parsed(triton_config("ttbar.onnx"))
    assert (config.name, config.platform, config.backend, config.max_batch_size) == ("MLPF", "onnxruntime_onnx", "onnxruntime", 8)
    assert config.default_model_filename == "ttbar.onnx"
    assert [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in config.input] == [("mask", 2, [-1]), ("Xfeat_normed", 2, [-1, 55])]
    assert [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in config.output] == [
        ("bid", 2, [-1, 2]),
        ("id", 2, [-1, 9]),
        ("momentum", 2, [-1, 5]),
    ]
    assert config.optimization.graph.level == -1
    assert {parameter.key: parameter.value.string_value for parameter in config.parameters} == {"intra_op_thread_count": "1", "inter_op_thread_count": "1"}


def test_the_configuration_is_of_the_signature_of_an_exported_file(exported_toy):
    graph = onnx.load(exported_toy.path).graph
    in_file = {
        value.name: (
            np.float32 if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT else None,
            [a.dim_value or -1 for a in value.type.tensor_type.shape.dim],
        )
        for value in (*graph.input, *graph.output)
    }
    config = parsed(exported_toy.path.with_suffix(".pbtxt").read_text())
    for tensor in (*config.input, *config.output):
        assert in_file[tensor.name] == (np.float32, [-1, *tensor.dims])  # Triton puts the batch before them
    assert {tensor.name for tensor in config.input} == {value.name for value in graph.input}


def test_the_parser_refuses_what_triton_would():
    with pytest.raises(text_format.ParseError, match='no field named "max_batchsize"'):
        parsed(triton_config("a.onnx").replace("max_batch_size", "max_batchsize"))
    with pytest.raises(text_format.ParseError):
        parsed(triton_config("a.onnx").replace("TYPE_FP32", "TYPE_FLOAT"))
