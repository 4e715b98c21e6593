"""A production that is killed (SIGKILL) or stopped, and started again: nothing is lost, made twice or taken from another; the file is the undisturbed one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from toy_events import toy_events
from toy_graph import write_toy_model

import mlpf
from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.io.candidates import read_candidates
from mlpf.io.ntuple import write_ntuple
from mlpf.producer import produce_files

NUM_PARTS = 12  # of one event each, which is what a part of 1 byte is
BAD_EVENT = 3
NUM_FILES = 40
# Where the process kills itself: before the n-th call of a function.
POINTS = {
    "reading": ("mlpf.producer.sources.FileSource.read", 6),
    "the model": ("mlpf.producer.producer.Producer.run_events", 5),
    "writing a part": ("mlpf.io.parquet.EventWriter.close", 3),
    "noting the first part": ("mlpf.producer.parts.write_note", 1),
    "noting a part": ("mlpf.producer.parts.write_note", 8),
    "noting the last part": ("mlpf.producer.parts.write_note", NUM_PARTS),
    "putting parts together": ("mlpf.producer.files.table_to_events", 7),
    "the end": ("mlpf.io.resumable.Unfinished.publish_file", 1),
    "forgetting the parts": ("mlpf.io.resumable.Unfinished.discard", 1),
}
# Parts do not depend on the format of the output.
KILLS = [*((point, ".parquet") for point in POINTS), ("putting parts together", ".root"), ("the end", ".root")]
PROGRAM = """
import importlib, json, os, signal, sys
from mlpf.producer import produce_files

def kill_at(place, number):
    *parts, name = place.split(".")
    owner = importlib.import_module(".".join(part for part in parts if part.islower()))
    if not parts[-1].islower():
        owner = getattr(owner, parts[-1])
    function, calls = getattr(owner, name), []

    def counted(*args, **kwargs):
        calls.append(None)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(owner, name, counted)

model, inputs, runs = json.loads(sys.argv[1])
produce_files(model, inputs[1:], sys.argv[2])  # loads once what every child would load
for output, place, number in runs:
    child = os.fork()
    if not child:
        kill_at(place, number)
        produce_files(model, inputs, output, part_bytes=1, skip_bad=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory, write_failing_model):
    return write_failing_model(tmp_path_factory.mktemp("model") / "toy.onnx")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, events_with_nan):
    """Two ntuples of six events; the model fails on one."""
    folder = tmp_path_factory.mktemp("inputs")
    write_ntuple(folder / "a.root", [events_with_nan(6, [BAD_EVENT])])
    write_ntuple(folder / "b.root", [toy_events([9, 0, 15, 30, 7, 25], first_event=200)])
    return [folder / "a.root", folder / "b.root"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory, model, inputs):
    """Folder with undisturbed outputs, and one for each of the points where the production was killed."""
    folder = tmp_path_factory.mktemp("killed")
    for suffix in (".root", ".parquet"):
        produce_files(model, inputs, folder / f"whole{suffix}", part_bytes=1, skip_bad=True)
    runs = [(str(folder / f"{point}{suffix}" / f"out{suffix}"), *POINTS[point]) for point, suffix in KILLS]
    command = [sys.executable, "-c", PROGRAM, json.dumps([str(model), list(map(str, inputs)), runs]), str(folder / "other.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert [int(code) for code in done.stdout.split()] == [-signal.SIGKILL] * len(KILLS), done.stderr
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def notes_of(output):
    return list(output.parent.glob(f".{output.name}.partial/notes/part_*.json"))


def assert_same(found, whole):
    """The same bytes; ROOT stamps files with the time and a new UUID, so there it is the same content in as many bytes."""
    assert found.stat().st_size == whole.stat().st_size
    if found.suffix == ".parquet":
        assert found.read_bytes() == whole.read_bytes()
    a, b = read_candidates(found), read_candidates(whole)
    for name in schema.CANDIDATES.columns:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    np.testing.assert_array_equal(a.offsets["mlpfcandidate"], b.offsets["mlpfcandidate"])


@pytest.mark.parametrize(("point", "suffix"), KILLS)
def test_the_same_call_after_a_kill_gives_the_undisturbed_file_and_repeats_no_part(killed, model, inputs, point, suffix):
    output, whole = killed / f"{point}{suffix}" / f"out{suffix}", killed / f"whole{suffix}"
    noted = len(notes_of(output))
    assert output.exists() == (point == "forgetting the parts")
    place, number = POINTS[point]
    if place.endswith("write_note"):
        assert noted == number - 1
    report = produce_files(model, inputs, output, part_bytes=1, skip_bad=True)
    assert report.parts_found == noted
    assert sum(work.num_events for work in report.work.values()) == NUM_PARTS - noted
    assert report.counts.num_failed == 1
    assert_same(output, whole)
    assert names(output.parent) == [output.name, f"{output.name}.skipped.txt"]
    assert report.bad_list.read_text() == whole.with_name(f"{whole.name}.skipped.txt").read_text()


@pytest.fixture
def stopped(model, inputs, tmp_path):
    """An output of which seven parts are finished."""

    def stop(progress):
        if progress.events_made == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        produce_files(model, inputs, tmp_path / "out.parquet", part_bytes=1, skip_bad=True, on_progress=stop)
    assert len(notes_of(tmp_path / "out.parquet")) in (7, 8)  # one may be finished ahead
    assert not (tmp_path / "out.parquet").exists()
    return tmp_path / "out.parquet"


def go_on(model, inputs, output, **options):
    return produce_files(model, inputs, output, **{"part_bytes": 1, "skip_bad": True, **options})


def test_finished_parts_are_found_by_any_number_of_processes(stopped, model, inputs):
    assert go_on(model, inputs, stopped, workers=2).parts_found >= 7


@pytest.mark.parametrize("other", ["model", "input", "threads", "batch_elements", "version", "schema", "runtime"])
def test_parts_made_of_anything_else_are_made_again(stopped, model, inputs, tmp_path, monkeypatch, other):
    options = {"threads": {"threads": 2}, "batch_elements": {"batch_elements": 50}}.get(other, {})
    if other == "model":
        model = write_toy_model(tmp_path / "toy.onnx")
    elif other == "input":
        copy = tmp_path / "a.root"
        write_ntuple(copy, [toy_events([20] * 6, seed=9)])
        inputs = [copy, inputs[1]]
    elif other == "version":
        monkeypatch.setattr(mlpf, "__version__", "0.0.0")
    elif other == "schema":
        monkeypatch.setattr(schema, "digest", lambda: "0" * 16)
    elif other == "runtime":
        monkeypatch.setattr("onnxruntime.__version__", "0.0.0")
    of_second_input = len(list(stopped.parent.glob(".*.partial/notes/part_00001_*.json")))
    report = go_on(model, inputs, stopped, **options)
    assert report.parts_found == (of_second_input if other == "input" else 0)
    go_on(model, inputs, tmp_path / "fresh.parquet", **options)
    assert stopped.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()


def test_moved_inputs_are_the_same_inputs(stopped, model, inputs, tmp_path):
    copies = [shutil.copy(path, tmp_path / path.name) for path in inputs]
    assert go_on(model, copies, stopped).parts_found >= 7


@pytest.mark.parametrize("damage", ["part", "note", "no part", "no note"])
def test_a_damaged_part_is_made_again(stopped, model, inputs, tmp_path, damage):
    scratch = stopped.with_name(f".{stopped.name}.partial")
    part, note = scratch / "new" / "part_00000_00002.parquet", scratch / "notes" / "part_00000_00002.json"
    if damage == "part":
        part.write_bytes(part.read_bytes()[:-8] + bytes(8))
    elif damage == "note":
        note.write_text(note.read_text()[:50])
    else:
        (part if damage == "no part" else note).unlink()
    (part.parent / ".whole.1x2y.partial.parquet").touch()
    noted = len(notes_of(stopped))
    assert go_on(model, inputs, stopped).parts_found == noted - (damage != "no note")
    go_on(model, inputs, tmp_path / "fresh.parquet")
    assert stopped.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()
    assert names(tmp_path) == sorted(f"{name}.parquet{suffix}" for name in ("out", "fresh") for suffix in ("", ".skipped.txt"))


def test_an_input_that_is_replaced_in_the_middle_is_an_error(model, inputs, tmp_path):
    path = tmp_path / "a.root"
    shutil.copy(inputs[0], path)

    def replace(_):
        write_ntuple(path, [toy_events([20] * 6, seed=9)])

    with pytest.raises(MlpfError, match=r"a\.root: replaced by another one while it was in use"):
        produce_files(model, [path], tmp_path / "out.root", part_bytes=1, on_survey=replace)


def test_a_second_production_of_the_same_file_is_told_so(model, inputs, tmp_path):
    def second(_):
        with pytest.raises(MlpfError, match="another process is making it"):
            produce_files(model, inputs, tmp_path / "out.root")

    produce_files(model, inputs, tmp_path / "out.root", skip_bad=True, on_survey=second)


@pytest.fixture(scope="module")
def many_inputs(tmp_path_factory):
    """Files that take a while, as each must be opened."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(NUM_FILES):
        write_ntuple(folder / f"{i:02d}.root", [toy_events([200] * 4, seed=i, first_event=10 * i)])
    return sorted(folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "number"), [(1, signal.SIGKILL), (1, signal.SIGINT), (2, signal.SIGKILL), (2, signal.SIGTERM)])
def test_the_same_command_goes_on_after_it_was_stopped(many_inputs, tmp_path, workers, number):
    psutil = pytest.importorskip("psutil")
    model, output = write_toy_model(tmp_path / "toy.onnx"), tmp_path / "out.parquet"
    words = [sys.executable, "-m", "mlpf.cli.main", "produce", str(model), *map(str, many_inputs), "--output", str(output), "--workers", str(workers)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    end = time.monotonic() + 120
    while len(notes_of(output)) < 5:
        assert time.monotonic() < end
        time.sleep(0.01)
    left = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as Ctrl-C does
    else:
        process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert error == "stopped; nothing half-written was left under a final name\n"
    psutil.wait_procs(left, timeout=30)
    assert not any(worker.is_running() for worker in left)
    noted = len(notes_of(output))
    assert not output.exists()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert f"going on: {noted} of {NUM_FILES} parts were there" in done.stdout
    produce_files(model, many_inputs, tmp_path / "whole.parquet")
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert names(tmp_path) == ["out.parquet", "toy.onnx", "whole.parquet"]
