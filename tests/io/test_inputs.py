"""Whatever holds events is opened by the tree that it holds."""

from pathlib import Path

import numpy as np
import pytest
import uproot

from mlpf.errors import NtupleError
from mlpf.io.delphes import DelphesFile
from mlpf.io.inputs import open_input
from mlpf.io.ntuple import Ntuple

FILES = Path(__file__).with_name("files")
DELPHES = Path(__file__).parents[3] / "shared" / "data" / "delphes_tracks_eflow.root"


@pytest.mark.parametrize("version", ["2020", "2026"])
def test_ntuples_of_all_versions_are_opened_as_ntuples(version):
    with open_input(FILES / f"cpp_{version}.root") as file:
        assert isinstance(file, Ntuple)
        assert file.version == version


@pytest.mark.skipif(not DELPHES.is_file(), reason="the real Delphes file is not here")
def test_a_delphes_file_is_opened_as_one():
    with open_input(str(DELPHES)) as file:
        assert isinstance(file, DelphesFile)
        with uproot.open(DELPHES) as same:
            assert file.uuid == str(same.file.uuid)


def test_a_file_of_something_else_says_what_is_known_and_what_it_holds(tmp_path):
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree("Events", {"nMuon": np.float32}).extend({"nMuon": np.zeros(3)})
    with pytest.raises(
        NtupleError, match=r"other\.root: no tree that is known; known are pfana/pftree \(PFAnalysis .*, Delphes .*, events \(EDM4hep\); the file holds Events$"
    ):
        open_input(tmp_path / "other.root")


def test_a_tree_with_the_name_but_without_the_content_is_refused(tmp_path):
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree("Delphes", {"x": np.float32}).extend({"x": np.zeros(3)})
    with pytest.raises(NtupleError, match=r"other\.root: Delphes: neither tracks \(Track, EFlowTrack\) nor towers \(Tower, "):
        open_input(tmp_path / "other.root")


def test_an_object_in_place_of_the_tree_is_refused_in_one_line(tmp_path):
    with uproot.recreate(tmp_path / "other.root") as file:
        file["Delphes"] = np.histogram([1.0])
    with pytest.raises(NtupleError, match=r"^[^\n]*other\.root: Delphes is a TH1D, not a TTree$"):
        open_input(tmp_path / "other.root")


@pytest.mark.parametrize(("content", "problem"), [(b"", "empty"), (b"not root at all, but longer than a header", "not a ROOT file")])
def test_files_that_are_not_root_are_named(tmp_path, content, problem):
    (tmp_path / "bad.root").write_bytes(content)
    with pytest.raises(NtupleError, match=problem):
        open_input(tmp_path / "bad.root")
