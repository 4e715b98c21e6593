import numpy as np
import pytest

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.ntuple import write_ntuple
from mlpf.io.shards import write_parquet
from mlpf.plotting.event_files import Predicted, find_all_candidates, is_candidates, read_predicted_event
from mlpf.testing import random_events


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An ntuple, and candidates of its events (one each, whose pt is the event's number) in both formats."""
    folder = tmp_path_factory.mktemp("files")
    events = random_events(np.random.default_rng(1), 3).with_columns({"event": np.arange(3)})
    columns = {c: np.zeros(3) for c in schema.CANDIDATES.names("mlpfcandidate")} | {name: events[name] for name in schema.IDENTITY}
    candidates = Events(columns | {"mlpfcandidate_pt": np.arange(3.0)}, {"mlpfcandidate": np.arange(4)}, 3, layout=schema.CANDIDATES)
    write_ntuple(folder / "a.root", [events])
    write_ntuple(folder / "c.root", [candidates], tree_path=schema.CANDIDATES_TREE)
    write_parquet(folder / "c.parquet", [candidates])
    return folder, events


def test_files_of_candidates_are_told_from_files_of_events(files):
    folder, _ = files
    assert [is_candidates(folder / name) for name in ("a.root", "c.root", "c.parquet", "none.root", ".")] == [False, True, True, False, False]


@pytest.mark.parametrize("name", ["c.root", "c.parquet"])
def test_candidates_alone_are_read_by_position(files, name):
    folder, _ = files
    assert read_predicted_event(folder / name, 2)["mlpfcandidate_pt"].tolist() == [2.0]
    with pytest.raises(MlpfError, match=rf"{name}: has no event 3; it holds 3, counted from 0"):
        read_predicted_event(folder / name, 3)


def test_models_are_named_by_their_files_or_as_told(files):
    folder, events = files
    found = find_all_candidates([f"tiny={folder / 'c.root'}", str(folder / "c.parquet")], events.slice(1, 2))
    assert list(found) == ["tiny", "c"]
    assert [(values["mlpfcandidate_pt"].tolist(), path.name) for values, path in found.values()] == [([1.0], "c.root"), ([1.0], "c.parquet")]


def test_a_path_with_an_equals_sign_is_a_path(files, tmp_path):
    folder, events = files
    strange = tmp_path / "a=b.root"
    strange.write_bytes((folder / "c.root").read_bytes())
    assert list(find_all_candidates([str(strange)], events.slice(0, 1))) == ["a=b"]


def test_two_models_of_one_name_are_one_clear_error(files):
    folder, events = files
    known = {"c": Predicted(events, folder / "known.root")}
    for words, before in (([folder / "c.root", folder / "c.parquet"], "c.root"), ([folder / "c.root"], "known.root")):
        with pytest.raises(MlpfError, match=rf"--predictions .*: 'c' is .*{before} already; give another name with NAME=.*"):
            find_all_candidates([str(word) for word in words], events.slice(0, 1), known if before == "known.root" else None)
