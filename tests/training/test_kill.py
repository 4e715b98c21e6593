"""A run that is killed (SIGKILL) while it writes; every process that trains is a fork of one that has imported all and computed nothing."""

import json
import os
import signal
import subprocess
import sys

import pytest

from mlpf.testing import random_dataset
from mlpf.training.checkpoints import read_checkpoint
from mlpf.training.config import run_parameters
from mlpf.training.run import resume, train

POINTS = ("before", "half", "written", "renamed", "copy of the best", "half a row", "model")
SECTIONS = {
    "model": {"name": "gravnet", "width": 16, "num_layers": 1, "num_neighbors": 4, "dropout": 0.1},
    "training": {"epochs": 3, "max_elements": 400, "learning_rate": 0.01, "device": "cpu", "average_decay": 0.9, "checkpoint_steps": 2, "figures": False},
}
PROGRAM = """
import json, os, shutil, signal, sys
from pathlib import Path
import torch
import mlpf.training.best, mlpf.training.checkpoints, mlpf.training.record
from mlpf.training.config import run_parameters
from mlpf.training.run import train

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def halve(path, data):
    Path(path).write_bytes(data[: len(data) // 2])
    die()

def sabotage(point):
    save, flush, replace, copy, append = torch.save, mlpf.training.checkpoints.flush_to_disk, Path.replace, shutil.copyfile, mlpf.training.record.append_rows
    calls = []

    def on_save(content, buffer):
        calls.append(None)
        if len(calls) == 4 and point == "before":  # the fourth checkpoint
            die()
        save(content, buffer)

    def on_flush(path):
        if len(calls) == 4 and point == "half":
            halve(path, path.read_bytes())
        if len(calls) == 4 and point == "written":
            die()
        flush(path)

    def on_replace(self, target):
        replace(self, target)
        if point == "renamed" and Path(target).name == "last.ckpt" and len(calls) == 4:
            die()

    def on_copy(source, target):
        return halve(target, Path(source).read_bytes()) if point == "copy of the best" else copy(source, target)

    def on_append(path, rows):
        append(path, rows)
        if point == "half a row" and len(calls) == 4:
            halve_last_row(path)

    def halve_last_row(path):
        content = path.read_text()
        path.write_text(content[:-20])
        die()

    def on_model(*arguments):
        die()

    torch.save, Path.replace, shutil.copyfile, mlpf.training.record.append_rows = on_save, on_replace, on_copy, on_append
    mlpf.training.checkpoints.flush_to_disk = on_flush
    if point == "model":
        mlpf.training.best.save_model = on_model

sections, folder, points = json.loads(sys.argv[1])
for number, point in enumerate(points):
    child = os.fork()
    if not child:
        sabotage(point)
        train(run_parameters(sections), f"{folder}/{number}")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Folder with an uninterrupted run, and one killed at each of the points."""
    folder = tmp_path_factory.mktemp("runs")
    data = random_dataset(folder / "data", num_events=60, mean_elements=30.0)
    sections = {**SECTIONS, "training": {**SECTIONS["training"], "dataset": str(data)}}
    train(run_parameters(sections), folder / "whole")
    command = [sys.executable, "-c", PROGRAM, json.dumps([sections, str(folder), POINTS])]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False, timeout=300)
    assert [int(code) for code in done.stdout.split()] == [-signal.SIGKILL] * len(POINTS), done.stderr
    return folder


@pytest.mark.parametrize("number", [i for i, point in enumerate(POINTS) if point != "model"], ids=[point for point in POINTS if point != "model"])
def test_a_kill_while_writing_leaves_a_readable_checkpoint_to_go_on_from(killed, number):
    partial, run = killed / f"{number}.partial", killed / str(number)
    assert read_checkpoint(partial / "checkpoints" / "last.ckpt")["global_step"] > 0
    resume(run)
    assert (run / "steps.csv").read_text() == (killed / "whole" / "steps.csv").read_text()
    assert (run / "model.json").read_text() == (killed / "whole" / "model.json").read_text()
    assert not [path for path in run.rglob("*") if ".partial" in path.name]


def test_a_kill_while_the_first_model_is_written_is_no_obstacle(killed):
    run = killed / str(POINTS.index("model"))
    resume(run)
    assert (run / "model.json").read_text() == (killed / "whole" / "model.json").read_text()
