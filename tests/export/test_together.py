import os
import signal
import subprocess
import sys

import pytest

from mlpf.errors import MlpfError
from mlpf.export.together import files_together

NAMES = ("model.onnx", "model.json", "model.md")


def paths(folder):
    return [folder / name for name in NAMES]


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def write(folder, text):
    with files_together(paths(folder)) as temporary:
        for path in temporary:
            path.write_text(f"{text} {path.name}")


def test_all_files_get_their_names_and_nothing_else_is_left(tmp_path):
    write(tmp_path / "deep" / "folder", "new")
    assert contents(tmp_path / "deep" / "folder") == {name: f"new {name}" for name in NAMES}
    assert len(list((tmp_path / "deep" / "folder").iterdir())) == 3


def test_older_files_are_replaced_together(tmp_path):
    write(tmp_path, "old")
    write(tmp_path, "new")
    assert contents(tmp_path) == {name: f"new {name}" for name in NAMES}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_block_changes_nothing(tmp_path, error):
    def fail():
        with files_together(paths(tmp_path)) as temporary:
            temporary[0].write_text("new")
            raise error

    write(tmp_path, "old")
    with pytest.raises(error):
        fail()
    assert contents(tmp_path) == {name: f"old {name}" for name in NAMES}
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("in_the_way", NAMES)
def test_a_name_that_cannot_be_taken_leaves_the_others_as_they_were(tmp_path, in_the_way):
    (tmp_path / in_the_way / "content").mkdir(parents=True)
    others = {name: f"old {name}" for name in NAMES[:2] if name != in_the_way}  # the last, unless in the way, does not exist yet
    for name, text in others.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(MlpfError, match=r"model\.onnx: cannot be written"):
        write(tmp_path, "new")
    assert contents(tmp_path) == others
    assert (tmp_path / in_the_way / "content").is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {in_the_way, *others}


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_process_killed_between_the_names_leaves_the_first_as_it_was_and_every_file_whole(tmp_path, renames):
    write(tmp_path, "old")
    code = f"""
import os, signal
from pathlib import Path
from mlpf.export.together import files_together
left, replace = {renames}, Path.replace
def killed(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return replace(self, target)
Path.replace = killed
with files_together([Path({str(tmp_path)!r}) / name for name in {NAMES!r}]) as temporary:
    for path in temporary:
        path.write_text("new " + path.name)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == -signal.SIGKILL
    found = contents(tmp_path)
    assert found["model.onnx"] == "old model.onnx"
    assert sorted(text.split()[0] for text in found.values()) == ["new"] * renames + ["old"] * (3 - renames)
