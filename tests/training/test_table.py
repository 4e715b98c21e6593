from pathlib import Path

import numpy as np
import pytest

from mlpf.errors import MlpfError
from mlpf.training.table import append_rows, cut_rows


def test_rows_are_appended_under_one_header_and_keep_the_digits_of_a_float32(tmp_path):
    values = np.random.default_rng(0).random(20).astype(np.float32)
    for step, value in enumerate(values):
        append_rows(tmp_path / "t.csv", [{"step": step, "loss": float(value)}])
    append_rows(tmp_path / "t.csv", [])
    header, *rows = (tmp_path / "t.csv").read_text().splitlines()
    assert header == "step,loss"
    assert [np.float32(row.split(",")[1]) for row in rows] == list(values)


def test_rows_after_a_step_go_and_so_does_one_that_was_cut_short(tmp_path):
    path = tmp_path / "t.csv"
    append_rows(path, [{"epoch": 1, "step": step, "loss": 0.5} for step in range(1, 6)])
    whole = path.read_text()
    for cut in (0, 1, 4, 12):
        path.write_text(whole[: len(whole) - cut])
        cut_rows(path, 3)
        assert path.read_text().splitlines() == ["epoch,step,loss", "1,1,0.5", "1,2,0.5", "1,3,0.5"]
    cut_rows(tmp_path / "none.csv", 3)
    assert not (tmp_path / "none.csv").exists()


def test_a_table_without_a_whole_header_is_begun_anew(tmp_path):
    for text in ("", "epo"):
        (tmp_path / "t.csv").write_text(text)
        cut_rows(tmp_path / "t.csv", 3)
        append_rows(tmp_path / "t.csv", [{"step": 1}])
        assert (tmp_path / "t.csv").read_text().splitlines() == ["step", "1"]


def test_a_full_disk_is_one_clear_line():
    with pytest.raises(MlpfError, match="/dev/full: cannot be written: No space left on device"):
        append_rows(Path("/dev/full"), [{"step": 1}])
