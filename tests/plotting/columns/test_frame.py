import pytest

from mlpf.plotting.columns.frame import is_crowded
from mlpf.schema import ElementType


@pytest.mark.parametrize(
    ("names", "width", "crowded"),
    [
        ([kind.name for kind in ElementType], 1.0, False),
        (["TRACK", "ECAL", "HCAL", "GSF", "HFEM", "HFHAD", "SC", "HO"], 3.3 / 5.3, True),  # HFEM and HFHAD touch below the panel of a pair
        (["HFEM", "SC", "HFHAD", "HO", "ECAL", "GSF", "HCAL"], 3.3 / 5.3, False),
        (["charged hadron", "neutral hadron"], 1.0, False),
        (["none", "charged hadron", "neutral hadron", "photon", "electron", "muon"], 1.0, True),
        ([r"$\\gamma$", r"$\\pi^+$"] * 10, 1.0, False),
        (["a very long name indeed, but alone"], 1.0, False),
    ],
)
def test_names_are_crowded_where_neighbours_would_touch(names, width, crowded):
    assert is_crowded(names, width) == crowded
