import errno
import hashlib
import os
import stat

import pytest

from mlpf.errors import MlpfError
from mlpf.io.files import atomic_directory, atomic_file, check_replaceable, sha256


def test_a_file_appears_only_when_the_block_ends(tmp_path):
    final = tmp_path / "new" / "a.txt"
    with atomic_file(final) as temporary:
        temporary.write_text("x")
        assert not final.exists()
        assert temporary.suffix == ".txt"
    assert final.read_text() == "x"
    assert [p.name for p in final.parent.iterdir()] == ["a.txt"]
    assert stat.S_IMODE(final.stat().st_mode) & 0o044  # readable by others, as the umask allows


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_error_leaves_the_older_file_and_nothing_else(tmp_path, error):
    final = tmp_path / "a.txt"
    final.write_text("old")
    with pytest.raises(error), atomic_file(final) as temporary:
        temporary.write_text("half")
        raise error
    assert final.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_directory_appears_only_when_the_block_ends(tmp_path):
    with atomic_directory(tmp_path / "d") as temporary:
        (temporary / "a").write_text("x")
        assert not (tmp_path / "d").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_an_existing_directory_is_kept_unless_told(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").write_text("x")
    with pytest.raises(MlpfError, match="exists already"), atomic_directory(tmp_path / "d"):
        pass
    with pytest.raises(ValueError, match="late"), atomic_directory(tmp_path / "d", overwrite=True):
        raise ValueError("late")
    assert (tmp_path / "d" / "old").exists()
    with atomic_directory(tmp_path / "d", overwrite=True) as temporary:
        (temporary / "new").write_text("y")
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["new"]


def test_a_parent_that_is_a_file_is_a_clear_error(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(MlpfError, match="cannot make the folder"), atomic_file(tmp_path / "f" / "a.txt"):
        pass


def test_a_folder_is_replaced_where_its_link_leads_and_from_inside(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").write_text("x")
    (tmp_path / "link").symlink_to("d")
    with atomic_directory(tmp_path / "link", overwrite=True) as temporary:
        (temporary / "new").write_text("y")
    monkeypatch.chdir(tmp_path / "d")
    with atomic_directory(".", overwrite=True) as temporary:
        (temporary / "newer").write_text("z")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["d", "d/newer", "link"]


def test_a_folder_without_its_marker_is_not_replaceable(tmp_path):
    check_replaceable(tmp_path / "new", "manifest.json")
    with pytest.raises(MlpfError, match=r"holds no manifest.json, so it is not overwritten"):
        check_replaceable(tmp_path, "manifest.json")
    (tmp_path / "manifest.json").touch()
    check_replaceable(tmp_path, "manifest.json")


@pytest.mark.parametrize("atomic", [atomic_file, atomic_directory])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path, atomic):
    with pytest.raises(MlpfError, match=r"out: cannot be written: No space left on device"), atomic(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_file_is_a_clear_error(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(MlpfError, match=r"a: cannot be written: Is a directory"), atomic_file(tmp_path / "a"):
        pass


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
