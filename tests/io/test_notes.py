import pytest

import mlpf
from mlpf.io.notes import key_of, read_note, write_note


def test_a_note_is_found_if_the_file_is_there_and_was_made_of_the_same(tmp_path):
    file, note = tmp_path / "a", tmp_path / "a.json"
    key = key_of({"input": "x"})
    write_note(note, key, {"n": 3})
    assert read_note(note, key, file) is None
    file.touch()
    assert read_note(note, key, file) == {"key": key, "n": 3}
    assert read_note(note, key_of({"input": "y"}), file) is None
    assert read_note(tmp_path / "b.json", key, file) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_note_of_a_power_cut_is_none(tmp_path, content):
    (tmp_path / "a").touch()
    (tmp_path / "a.json").write_bytes(content)
    assert read_note(tmp_path / "a.json", "k", tmp_path / "a") is None


def test_a_key_depends_on_the_version_and_not_on_the_order(monkeypatch):
    key = key_of({"a": 1, "b": [2]})
    assert key == key_of({"b": [2], "a": 1})
    assert key != key_of({"a": 1, "b": [3]})
    monkeypatch.setattr(mlpf, "__version__", "0.0.0")
    assert key != key_of({"a": 1, "b": [2]})
