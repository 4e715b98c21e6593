import onnx
import onnxruntime
import torch
from torch import nn

from mlpf.nn.base import LastNorm


class SumThenNorm(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x, y):
        return self.norm(x + y)


def kinds_in_onnx_runtime(module, folder):
    """Operators that are left when ONNX Runtime has rewritten the graph."""
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    example = (torch.randn(2, 5, 8), torch.randn(2, 5, 8))
    program = torch.onnx.export(module.eval(), example, dynamo=True, opset_version=20, dynamic_shapes=(axes, axes), verbose=False)
    program.save(folder / "in.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "out.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(folder / "in.onnx", options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(folder / "out.onnx").graph.node}


def test_the_last_norm_is_a_layer_norm():
    state = torch.randn(3, 7, 8)
    torch.testing.assert_close(LastNorm(8)(state), nn.functional.layer_norm(state, (8,)), rtol=0, atol=0)
    assert LastNorm(8)(state[:, :0]).shape == (3, 0, 8)


def test_the_last_norm_is_not_joined_with_the_sum_before_it(tmp_path):
    assert "LayerNormalization" in kinds_in_onnx_runtime(SumThenNorm(LastNorm(8)), tmp_path)
    assert "SkipLayerNormalization" in kinds_in_onnx_runtime(SumThenNorm(nn.LayerNorm(8)), tmp_path)  # or `LastNorm` is not needed any more
