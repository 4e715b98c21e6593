"""Postprocessing that is killed or stopped, and started again: nothing is lost, and the bytes are those of a run that nobody disturbed."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mlpf.io.ntuple import write_ntuple
from mlpf.io.shards import ShardedDataset
from mlpf.random_ntuple import random_events

psutil = pytest.importorskip("psutil")  # the extra "cluster" brings it
pytest.importorskip("distributed")
pytestmark = pytest.mark.slow
NUM_FILES = 16


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    for i in range(NUM_FILES):
        write_ntuple(folder / f"{i:02d}.root", [random_events(np.random.default_rng(i), 20, 150)])
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    finish(start(inputs, output))
    return content(output)


@pytest.fixture(params=["jobs", "cluster"])
def workers(request, repository):
    """Options for two workers of each kind."""
    return {"jobs": ["--jobs", "2"], "cluster": ["--cluster", str(repository / "parameters" / "cluster_local.yaml")]}[request.param]


def start(inputs, output, *options):
    words = [sys.executable, "-m", "mlpf.cli.main", "postprocess", *map(str, inputs), "--output", str(output), *options]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def finish(process):
    output, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert re.fullmatch(r"(\d+ of \d+ events, .* left\n)*", error)
    return output


def wait_for_shards(output, number):
    end = time.monotonic() + 120
    while len(list(output.parent.glob(f".{output.name}.partial/notes/*.json"))) < number:
        assert time.monotonic() < end
        time.sleep(0.01)


def workers_of(process):
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_bytes_do_not_depend_on_the_workers(inputs, undisturbed, workers, tmp_path):
    finish(start(inputs, tmp_path / "out", *workers))
    assert content(tmp_path / "out") == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_killed_workers_lose_nothing(inputs, undisturbed, workers, tmp_path):
    process = start(inputs, tmp_path / "out", *workers)
    for shards in (3, 8):
        wait_for_shards(tmp_path / "out", shards)
        workers_of(process)[0].kill()
    finish(process)
    assert content(tmp_path / "out") == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_same_command_goes_on_after_it_was_stopped(inputs, undisturbed, workers, tmp_path, number):
    process = start(inputs, tmp_path / "out", *workers)
    wait_for_shards(tmp_path / "out", 4)
    left = workers_of(process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as Ctrl-C does
    else:
        process.send_signal(number)
    stopped = time.monotonic()
    _, error = process.communicate(timeout=60)  # returns when the last process that holds the pipe has ended
    assert time.monotonic() - stopped < 30
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert error == "stopped; nothing half-written was left under a final name\n"
    psutil.wait_procs(left, timeout=30)
    assert not any(worker.is_running() for worker in left)
    assert [path.name for path in tmp_path.iterdir()] == [".out.partial"]
    output = finish(start(inputs, tmp_path / "out", *workers))
    found = int(re.search(r"going on: (\d+) of 16 shards were there", output)[1])
    assert 4 <= found < NUM_FILES
    assert f"{NUM_FILES} ({found} were there)" in output
    assert content(tmp_path / "out") == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_killed_again_and_again_it_still_ends_with_the_same_bytes(inputs, undisturbed, tmp_path):
    for shards in (1, 5, 9):
        process = start(inputs, tmp_path / "out", "--jobs", "2")
        wait_for_shards(tmp_path / "out", shards)
        process.kill()
        process.communicate(timeout=60)
    finish(start(inputs, tmp_path / "out"))
    assert content(tmp_path / "out") == undisturbed


def test_a_second_command_on_the_same_output_is_told_so(inputs, undisturbed, tmp_path):
    first = start(inputs, tmp_path / "out", "--jobs", "2")
    wait_for_shards(tmp_path / "out", 1)
    second = start(inputs, tmp_path / "out")
    _, error = second.communicate(timeout=60)
    assert second.returncode == 1
    assert error == f"error: {tmp_path / 'out'}: another process is making it; wait for its end, or choose another output\n"
    finish(first)
    assert content(tmp_path / "out") == undisturbed


def test_stopped_while_it_grows_the_older_dataset_stays_whole(inputs, tmp_path):
    finish(start(inputs[:4], tmp_path / "out"))
    before = content(tmp_path / "out")
    process = start(inputs, tmp_path / "out", "--jobs", "2")
    wait_for_shards(tmp_path / "out", 8)
    process.kill()
    process.communicate(timeout=60)
    assert content(tmp_path / "out") == before
    assert len(ShardedDataset(tmp_path / "out", verify=True)) == 80
    finish(start(inputs, tmp_path / "out", "--jobs", "2"))
    assert len(ShardedDataset(tmp_path / "out", verify=True)) == 20 * NUM_FILES
