import math
import os
import time

from mlpf.tuning import heartbeat
from mlpf.tuning.heartbeat import Heartbeat, file_system_time, last_beat


def silence(path):
    """Seconds since the last beat."""
    return file_system_time(path.parent) - last_beat(path)


def test_a_living_process_keeps_its_file_young(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    beat = Heartbeat(tmp_path / "alive")
    os.utime(beat.path, (0, 0))
    deadline = time.monotonic() + 10.0
    while silence(beat.path) > 1.0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert silence(beat.path) < 1.0
    assert str(os.getpid()) in beat.path.read_text()
    beat.stop()
    assert not list(tmp_path.iterdir())


def test_the_file_of_a_dead_process_ages_and_no_file_is_older_than_all(tmp_path):
    path = tmp_path / "alive"
    assert silence(path) == math.inf
    path.write_text("")
    os.utime(path, (time.time() - 100.0,) * 2)
    assert 99.0 < silence(path) < 110.0


def test_a_process_that_was_taken_for_dead_does_not_mind(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    beat = Heartbeat(tmp_path / "alive")
    beat.path.unlink()
    time.sleep(0.1)
    beat.stop()
