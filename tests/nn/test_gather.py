import pytest
import torch

from mlpf.nn.gather import gather_rows


@pytest.mark.parametrize("shape", [(), (0,), (7,), (7, 4)])
def test_rows_are_gathered_inside_their_event(shape):
    rows = torch.arange(3 * 40 * 2.0).view(3, 40, 2)
    index = torch.randint(0, 40, (3, *shape), generator=torch.Generator().manual_seed(0))
    expected = torch.stack([event[own] for event, own in zip(rows, index, strict=True)])
    assert torch.equal(gather_rows(rows, index), expected)
