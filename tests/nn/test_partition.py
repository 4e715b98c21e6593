import numpy as np
import onnxruntime
import pytest
import torch

from mlpf.nn.partition import partition


def groups_of(part, event):
    return [set(row[exists].tolist()) for row, exists in zip(part.row[event], part.exists[event], strict=True) if exists.any()]


def brute_force(key, size):
    order = np.argsort(key)
    n = len(key)
    m = max(1, -(-n // size))
    return [{int(i) for rank, i in enumerate(order) if g * n / m <= rank < (g + 1) * n / m} for g in range(m)]


@pytest.mark.parametrize("num_elements", [1, 2, 7, 8, 9, 16, 17, 40, 101])
def test_groups_are_those_of_a_readable_loop(num_elements):
    rng = np.random.default_rng(num_elements)
    key = rng.permutation(num_elements).astype(np.float32)
    padded = np.concatenate([key, rng.normal(size=11).astype(np.float32)])
    real = torch.arange(num_elements + 11) < num_elements
    part = partition(torch.from_numpy(padded)[None], real[None], 8)
    assert groups_of(part, 0) == [group for group in brute_force(key, 8) if group]
    assert part.row.shape == (1, -(-(num_elements + 11) // 8), 8)


def test_scatter_brings_every_element_back_to_its_row():
    rng = np.random.default_rng(0)
    counts = (0, 1, 33, 64, 65, 100)
    real = torch.arange(100) < torch.tensor(counts)[:, None]
    key = torch.from_numpy(rng.normal(size=(6, 100)).astype(np.float32))
    values = torch.from_numpy(rng.normal(size=(6, 100, 3)).astype(np.float32))
    part = partition(key, real, 32)
    assert torch.equal(part.scatter(part.gather(values))[real], values[real])
    assert part.exists.sum(dim=(1, 2)).tolist() == list(counts)


def test_groups_of_an_event_are_of_similar_size():
    sizes = partition(torch.rand(1, 330), torch.ones(1, 330, dtype=torch.bool), 320).exists.sum(dim=2)
    assert sizes.tolist() == [[165, 165]]


class Rows(torch.nn.Module):
    def forward(self, key, real):
        part = partition(key, real, 8)
        return part.row, part.exists, part.slot


def equal_keys(num_elements):
    """Five or so of each, padded rows between them."""
    rng = np.random.default_rng(num_elements)
    key = torch.from_numpy(rng.integers(0, max(1, num_elements // 5), (2, num_elements)).astype(np.float64))
    return key, torch.from_numpy(rng.random((2, num_elements)) < 0.8)


def test_elements_of_one_key_come_in_the_order_of_their_rows():
    key, real = equal_keys(1000)
    for event in range(2):
        rows = np.flatnonzero(real[event])
        part = partition(key, real, 8)
        np.testing.assert_array_equal(part.row[event][part.exists[event]], rows[np.argsort(key[event].numpy()[rows], kind="stable")])


def test_groups_are_the_same_in_onnx_runtime_where_keys_are_equal_too(tmp_path):
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(Rows().eval(), equal_keys(30), dynamo=True, opset_version=20, dynamic_shapes=(axes, axes), verbose=False)
    program.save(tmp_path / "rows.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "rows.onnx", providers=["CPUExecutionProvider"])
    for num_elements in (3, 64, 65, 3000):
        key, real = equal_keys(num_elements)
        row, exists, slot = session.run(None, dict(zip((i.name for i in session.get_inputs()), (key.numpy(), real.numpy()), strict=True)))
        expected = Rows()(key, real)
        np.testing.assert_array_equal(exists, expected[1])
        np.testing.assert_array_equal(row[exists], expected[0][expected[1]])
        np.testing.assert_array_equal(slot[real], expected[2][real])
