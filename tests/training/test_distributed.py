"""Two processes on the CPU, started by torchrun as a user starts them."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from mlpf.config import load_parameters
from mlpf.dataset.loader import Loader
from mlpf.dataset.sample import select_split
from mlpf.io.shards import ShardedDataset
from mlpf.loss.particle_flow import ParticleFlowLoss
from mlpf.nn.saved import load_model
from mlpf.testing import random_dataset
from mlpf.training.config import run_parameters
from mlpf.training.run import train

SETTINGS = (
    *("model.width=16", "model.num_layers=1", "model.num_neighbors=4"),
    *("training.epochs=3", "training.max_elements=300", "training.device=cpu", "training.figures=false"),
)
KEEPS_WEIGHTS = """
import sys
import torch
from lightning.pytorch.callbacks import Callback

place = sys.argv.pop()

class Keep(Callback):
    def on_train_end(self, trainer, module):
        torch.save(module.state_dict(), f"{place}.{trainer.global_rank}")

import mlpf.training.run
original = mlpf.training.run.train
mlpf.training.run.train = lambda *arguments: original(*arguments, callbacks=[Keep()])
from mlpf.cli.main import main
main()
"""
FAILS_IN_SECOND = """
import torch
from mlpf.loss.particle_flow import ParticleFlowLoss

original = ParticleFlowLoss.forward
calls = []
def forward(self, output, batch):
    terms = original(self, output, batch)
    calls.append(None)
    if torch.distributed.get_rank() == 1 and len(calls) == 3:
        terms["total"] = terms["total"] * torch.nan
    return terms
ParticleFlowLoss.forward = forward
from mlpf.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return random_dataset(tmp_path_factory.mktemp("data"), num_events=160, mean_elements=30.0)


def torchrun(tmp_path, script, *words):
    program = tmp_path / "program.py"
    program.write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, str(program), *map(str, words)], capture_output=True, text=True, timeout=300, env=environment, check=False)


def table(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def parameter_file(repository):
    return repository / "parameters" / "tiny.yaml"


@pytest.mark.slow
def test_two_processes_have_the_same_weights_and_share_the_events(data, tmp_path, parameter_file):
    run = tmp_path / "run"
    done = torchrun(tmp_path, KEEPS_WEIGHTS, "train", "-p", parameter_file, "--data", data, "--output", run, *SETTINGS, tmp_path / "weights")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 3/3") == 1  # one speaks for both
    first, second = (torch.load(tmp_path / f"weights.{rank}", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    steps, validations = table(run / "steps.csv"), table(run / "metrics.csv")
    config = run_parameters(load_parameters(run / "parameters.yaml")).training
    num_training, num_validation = (len(select_split(ShardedDataset(data), split, config.split)) for split in ("train", "validation"))
    for epoch in ("1", "2", "3"):
        events = sum(int(row["events"]) for row in steps if row["epoch"] == epoch)
        assert 0.9 * num_training <= events <= num_training  # a few may be left over where the ranks make different numbers of batches
    assert float(validations[-1]["validation/total"]) < float(validations[0]["validation/total"])
    model, info = load_model(run)
    losses = whole_validation_loss(model, data, run)
    assert info.validation_loss == pytest.approx(losses, rel=1e-5)
    assert num_validation > 2


def whole_validation_loss(model, data, run):
    """Mean over events of the validation batches of both processes, computed in one."""
    parameters = run_parameters(load_parameters(run / "parameters.yaml"))
    sample = select_split(ShardedDataset(data), "validation", parameters.training.split)
    total = count = 0.0
    with torch.no_grad():
        for rank in (0, 1):
            for batch in Loader([sample], parameters.training.max_elements, shuffle=False, rank=rank, world=2):
                total += len(batch.mask) * ParticleFlowLoss(parameters.loss)(model.predict(batch), batch)["total"].item()
                count += len(batch.mask)
    assert count == len(sample)
    return total / count


@pytest.mark.slow
def test_two_processes_learn_as_one_that_accumulates_two_batches(data, tmp_path, parameter_file):
    run = tmp_path / "run"
    done = torchrun(
        tmp_path, "from mlpf.cli.main import main\nmain()", "train", "-p", parameter_file, "--data", data, "--output", run, *SETTINGS, "training.max_steps=18"
    )
    assert done.returncode == 0, done.stderr
    alone = load_parameters(run / "parameters.yaml")
    alone["training"] |= {"accumulate": 2, "dataset": str(data)}
    result = train(run_parameters(alone), tmp_path / "alone")
    both, one = table(run / "steps.csv"), table(result.folder / "steps.csv")
    assert len(both) == len(one) == 18
    last = [np.mean([float(row["total"]) for row in rows[-5:]]) for rows in (both, one)]
    first = float(one[0]["total"])
    assert abs(last[0] - last[1]) < 0.15 * (first - last[1])


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_stops_all_and_is_named_once(data, tmp_path, parameter_file):
    done = torchrun(tmp_path, FAILS_IN_SECOND, "train", "-p", parameter_file, "--data", data, "--output", tmp_path / "run", *SETTINGS)
    assert done.returncode != 0
    assert done.stderr.count("error: epoch 1, batch 2 (run 1, lumi 1, event ") == 1
    assert "loss total = nan" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_resume_as_if_nothing_had_happened(data, tmp_path, parameter_file):
    settings = (*SETTINGS, "model.dropout=0.1", "training.checkpoint_steps=1")
    plain = "from mlpf.cli.main import main\nmain()"
    for name in ("whole", "run"):
        script = plain if name == "whole" else f"import os, mlpf.training.record\n{STOPS}\n{plain}"
        done = torchrun(tmp_path, script, "train", "-p", parameter_file, "--data", data, "--output", tmp_path / name, *settings)
        assert (done.returncode == 0) == (name == "whole"), done.stderr
    done = torchrun(tmp_path, plain, "train", "--resume", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "steps.csv").read_text() == (tmp_path / "whole" / "steps.csv").read_text()
    alone = subprocess.run([sys.executable, "-m", "mlpf.cli.main", "train", "--resume", str(tmp_path / "run")], capture_output=True, text=True, check=False)
    assert "is complete" in alone.stderr
    assert json.loads((tmp_path / "run" / "model.json").read_text()) == json.loads((tmp_path / "whole" / "model.json").read_text())


STOPS = """
original = mlpf.training.record.StepRecord.on_train_batch_end
def stop(self, trainer, *arguments):
    original(self, trainer, *arguments)
    if trainer.global_step == 8:
        os.kill(os.getpid(), 9)
mlpf.training.record.StepRecord.on_train_batch_end = stop
"""
