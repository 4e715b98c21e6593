from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlpf.errors import MlpfError
from mlpf.plotting.inference import COLORS, draw_inference, operator_colors
from mlpf.producer.cost import CallCost, InferenceCost, Memory


def cost(name, device="cpu"):
    times = np.array([0.01, 0.011, 0.012])
    kinds = {kind: 0.001 * (20 - i) for i, kind in enumerate("ABCDEFGHIJ")}
    on_cpu = device == "cpu"
    return InferenceCost(
        Path(f"{name}.onnx"),
        device,
        1,
        [500, 5000],
        [CallCost(factor * times, factor * times, times) for factor in (1, 10)],
        [Memory(10**8, 10**7) if on_cpu else None] * 2,
        [kinds, kinds] if on_cpu else [],
    )


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_models_and_devices_are_drawn(tmp_path, suffix):
    draw_inference([cost("first"), cost("second"), cost("first", "cuda")], tmp_path / f"cost.{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == [f"cost.{suffix}"]
    if suffix == "svg":
        text = (tmp_path / "cost.svg").read_text()
        assert all(label in text for label in (">first<", ">second<", ">first, cuda<", ">others<", ">A<"))


def test_an_operator_has_one_color_in_all_models_whatever_its_rank_there():
    matrices = replace(cost("matrices"), operators=[{}, {"MatMul": 3.0, "Add": 1.0}])  # shares 0.75, 0.25
    attention = replace(cost("attention"), operators=[{}, {"Attention": 80.0, "MatMul": 20.0}])  # 0.8, 0.2
    assert operator_colors([matrices, attention]) == {"MatMul": COLORS[0], "Attention": COLORS[1], "Add": COLORS[2]}
    assert len(operator_colors([cost("many kinds")])) == len(COLORS)


def test_a_device_without_operators_has_no_panel_of_them(tmp_path):
    draw_inference([cost("first", "cuda")], tmp_path / "cost.svg")
    assert ">others<" not in (tmp_path / "cost.svg").read_text()


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(MlpfError, match=r"cost.txt"):
        draw_inference([cost("first")], tmp_path / "cost.txt")
