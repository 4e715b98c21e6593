import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlpf.errors import MlpfError
from mlpf.io.resumable import LOCK, resumable_directory


def make(final, name, text="x", publish=True):
    with resumable_directory(final) as unfinished:
        (unfinished.new / name).write_text(text)
        (unfinished.notes / name).touch()
        if publish:
            unfinished.publish()


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_is_published_has_its_name_and_nothing_else_stays(tmp_path):
    make(tmp_path / "deep" / "d", "a")
    assert names(tmp_path) == ["deep", "deep/d", "deep/d/a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_next_run_finds_what_is_noted(tmp_path, error):
    with pytest.raises(error), resumable_directory(tmp_path / "d") as unfinished:
        (unfinished.new / "a").write_text("x")
        (unfinished.notes / "a").touch()
        raise error
    assert not (tmp_path / "d").exists()
    with resumable_directory(tmp_path / "d") as unfinished:
        assert (unfinished.new / "a").read_text() == "x"
        unfinished.publish()
    assert names(tmp_path) == ["d", "d/a"]


def test_nothing_stays_of_what_is_not_noted(tmp_path):
    with pytest.raises(ValueError, match="early"), resumable_directory(tmp_path / "d") as unfinished:
        (unfinished.new / "half").touch()
        raise ValueError("early")
    assert names(tmp_path) == []


def test_an_older_folder_is_replaced_at_once_where_its_link_leads(tmp_path):
    make(tmp_path / "d", "old")
    (tmp_path / "link").symlink_to("d")
    make(tmp_path / "link", "unfinished", publish=False)
    assert names(tmp_path / "d") == ["old"]
    make(tmp_path / "link", "new")
    assert names(tmp_path / "d") == ["new", "unfinished"]
    assert (tmp_path / "link").is_symlink()


def test_a_kill_between_the_old_and_the_new_name_brings_the_old_folder_back(tmp_path):
    make(tmp_path / "d", "old")
    make(tmp_path / "d", "new", publish=False)
    (tmp_path / "d").replace(tmp_path / ".d.partial" / "old")
    with resumable_directory(tmp_path / "d") as unfinished:
        assert names(tmp_path / "d") == ["old"]
        unfinished.discard()
    assert names(tmp_path) == ["d", "d/old"]


def test_an_end_between_the_old_and_the_new_name_brings_the_old_folder_back(tmp_path, monkeypatch):
    make(tmp_path / "d", "old")
    replace = Path.replace

    def stop(path, target):
        if path.name == "new":
            raise SystemExit
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(SystemExit):
        make(tmp_path / "d", "new")
    assert names(tmp_path / "d") == ["old"]
    monkeypatch.undo()
    make(tmp_path / "d", "newer")
    assert names(tmp_path) == ["d", "d/new", "d/newer"]


def test_two_at_once_are_an_error_for_the_second(tmp_path):
    second = f"from mlpf.io.resumable import LOCK, resumable_directory\nwith resumable_directory({str(tmp_path / 'd')!r}): pass"
    with resumable_directory(tmp_path / "d") as unfinished:
        (unfinished.notes / "a").touch()
        done = subprocess.run([sys.executable, "-c", second], capture_output=True, text=True, check=False)
        assert done.stderr.strip().endswith(f"MlpfError: {tmp_path / 'd'}: another process is making it; wait for its end, or choose another output")
        assert (unfinished.notes / "a").exists()
    assert subprocess.run([sys.executable, "-c", second], check=False).returncode == 0


def test_a_lock_that_its_last_owner_removed_is_no_lock(tmp_path, monkeypatch):
    flock, calls = fcntl.flock, []

    def removed_in_between(stream, operation):
        calls.append(stream)
        if len(calls) == 1:
            (tmp_path / ".d.partial" / LOCK).unlink()
            (tmp_path / ".d.partial").rmdir()
        flock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", removed_in_between)
    make(tmp_path / "d", "a")
    assert len(calls) == 2
    assert names(tmp_path) == ["d", "d/a"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_no_error(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    make(tmp_path / "d", "a")
    assert names(tmp_path) == ["d", "d/a"]


def test_a_place_where_nothing_can_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(MlpfError, match=r"cannot make the folder"), resumable_directory(tmp_path / "f" / "d"):
        pass


def test_a_file_replaces_an_older_one_and_its_parts_go(tmp_path):
    (tmp_path / "f.root").write_text("old")
    with resumable_directory(tmp_path / "f.root") as unfinished:
        (unfinished.notes / "part").touch()
        (unfinished.new / "whole").write_text("new")
        assert (tmp_path / "f.root").read_text() == "old"
        unfinished.publish_file(unfinished.new / "whole")
    assert names(tmp_path) == ["f.root"]
    assert (tmp_path / "f.root").read_text() == "new"
