import numpy as np
import pytest
import torch

from mlpf.nn.partition import partition


def groups_of(part, event):
    return [set(row[exists].tolist()) for row, exists in zip(part.row[event], part.exists[event], strict=True) if exists.any()]


def brute_force(key, size, shifted):
    order = np.argsort(key)
    n = len(key)
    m = max(1, -(-n // size))
    bounds = [(g - (0.5 if shifted else 0.0)) * n / m for g in range(m + 1 + shifted)]
    return [{int(i) for rank, i in enumerate(order) if low <= rank < high} for low, high in zip(bounds, [*bounds[1:-1], n], strict=False)]


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("num_elements", [1, 2, 7, 8, 9, 16, 17, 40, 101])
def test_groups_are_those_of_a_readable_loop(num_elements, shifted):
    rng = np.random.default_rng(num_elements)
    key = rng.permutation(num_elements).astype(np.float32)
    padded = np.concatenate([key, rng.normal(size=11).astype(np.float32)])
    real = torch.arange(num_elements + 11) < num_elements
    part = partition(torch.from_numpy(padded)[None], real[None], 8, shifted)
    assert groups_of(part, 0) == [group for group in brute_force(key, 8, shifted) if group]
    assert part.row.shape == (1, -(-(num_elements + 11) // 8) + shifted, 8)


@pytest.mark.parametrize("shifted", [False, True])
def test_scatter_brings_every_element_back_to_its_row(shifted):
    rng = np.random.default_rng(0)
    counts = (0, 1, 33, 64, 65, 100)
    real = torch.arange(100) < torch.tensor(counts)[:, None]
    key = torch.from_numpy(rng.normal(size=(6, 100)).astype(np.float32))
    values = torch.from_numpy(rng.normal(size=(6, 100, 3)).astype(np.float32))
    part = partition(key, real, 32, shifted)
    assert torch.equal(part.scatter(part.gather(values))[real], values[real])
    assert part.exists.sum(dim=(1, 2)).tolist() == list(counts)


def test_groups_of_an_event_are_of_similar_size():
    sizes = partition(torch.rand(1, 330), torch.ones(1, 330, dtype=torch.bool), 320).exists.sum(dim=2)
    assert sizes.tolist() == [[165, 165]]
