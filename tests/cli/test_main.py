"""How commands end when they are stopped from outside, or miss what they need."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mlpf.cli import main as main_module
from mlpf.io.ntuple import write_ntuple
from mlpf.random_ntuple import random_events

STOPPED = "stopped; nothing half-written was left under a final name\n"


def start(*words):
    """The command line in a process of its own, where Ctrl-C has its usual meaning."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from mlpf.cli.main import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(found, seconds=60):
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_says_so_and_leaves_nothing(tmp_path, number, status):
    process = start("simulate", "--events", 100_000, "--output", tmp_path / "x.root")
    wait_for(lambda: list(tmp_path.iterdir()))
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (status, STOPPED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_of_several_jobs_end_with_their_parent(tmp_path, number):
    for i in range(40):
        write_ntuple(tmp_path / f"{i}.root", [random_events(np.random.default_rng(i), 50, 500)])
    process = start("postprocess", *tmp_path.glob("*.root"), "--jobs", 2, "--output", tmp_path / "out")
    wait_for(lambda: list(tmp_path.glob(".out.partial/new/shard_00002_000.parquet")))
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=30)  # ends when the last process that holds the pipe does
    assert not (tmp_path / "out").exists()
    if number == signal.SIGTERM:
        assert (process.returncode, error) == (143, STOPPED)
        assert not list(tmp_path.glob(".out.partial/lock*"))


def test_a_signal_that_a_library_wrapped_is_still_one(monkeypatch, capsys):
    def app():
        try:
            signal.raise_signal(signal.SIGTERM)
        except SystemExit as stopped:
            raise ImportError("as compiled modules do") from stopped

    monkeypatch.setattr(main_module, "app", app)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with pytest.raises(SystemExit) as end:
            main_module.main()
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    assert (end.value.code, capsys.readouterr().err) == (143, STOPPED)


def test_a_second_signal_ends_a_command_whatever_its_threads_are_doing():
    code = """
import signal, threading
from mlpf.cli import main

def app():
    threading.Thread(target=threading.Event().wait).start()
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGTERM)

main.app = app
main.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (143, STOPPED)


@pytest.mark.parametrize("missing", ["torch", "torch_geometric.nn"])
def test_a_missing_extra_is_one_line_that_says_what_to_install(monkeypatch, capsys, missing):
    def app():
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(main_module, "app", app)
    with pytest.raises(SystemExit) as end:
        main_module.main()
    assert (end.value.code, capsys.readouterr().err) == (1, f"error: this needs {missing}, which is not installed; pip install 'mlpf[train]'\n")


def test_any_other_missing_module_is_a_bug_with_its_traceback(monkeypatch):
    def app():
        raise ModuleNotFoundError("No module named 'mlpf.nowhere'", name="mlpf.nowhere")

    monkeypatch.setattr(main_module, "app", app)
    with pytest.raises(ModuleNotFoundError):
        main_module.main()
