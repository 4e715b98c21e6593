"""Ranks as torchrun starts them: processes that find each other."""

import json
import subprocess
import sys

import pytest

from mlpf.testing import random_dataset

WORLD = 2
RANK = """
import json, sys
from pathlib import Path

import torch.distributed as dist

from mlpf.dataset.loader import Loader
from mlpf.dataset.sample import select_split
from mlpf.io.shards import ShardedDataset

data, meeting, rank, world = sys.argv[1:]
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=int(world))
loader = Loader([select_split(ShardedDataset(Path(data)))], max_elements=60, pool_elements=300)
epochs = [[sorted(batch.features[event][batch.mask[event] > 0].sum().item() for event in range(len(batch.mask))) for batch in loader] for _ in range(2)]
print(json.dumps({"rank": loader.rank, "world": loader.plan.world, "epochs": epochs}))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_processes_of_torch_distributed_share_the_events_of_every_epoch(tmp_path):
    data = random_dataset(tmp_path / "data", num_events=200, mean_elements=10.0)
    words = [sys.executable, "-c", RANK, str(data), str(tmp_path / "meeting")]
    ranks = [subprocess.Popen([*words, str(rank), str(WORLD)], stdout=subprocess.PIPE, text=True) for rank in range(WORLD)]
    found = [json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in ranks]
    assert [(rank["rank"], rank["world"]) for rank in found] == [(0, WORLD), (1, WORLD)]
    for epoch in range(2):
        batches = [rank["epochs"][epoch] for rank in found]
        assert len(batches[0]) == len(batches[1])
        events = [{event for batch in own for event in batch} for own in batches]  # told apart by the sum of their features
        assert not events[0] & events[1]
        assert len(events[0] | events[1]) >= 190  # ranks go without what would make their numbers of batches differ
