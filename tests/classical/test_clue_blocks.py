"""Blocks by CLUE: layers and points by hand, and random events against clusters of each layer joined by networkx."""

import networkx as nx
import numpy as np
import pytest

from mlpf.classical.clue import ClueParameters, clue
from mlpf.classical.clue_blocks import ClueBlockParameters, clue_blocks
from mlpf.classical.elements import elements_of
from mlpf.config import parse_section
from mlpf.errors import ConfigError
from mlpf.schema import ElementType

TRACK = {"type": ElementType.TRACK, "pt": 2.0, "charge": 1, "eta": 0.5, "phi": 1.0, "eta_ecal": 0.5, "phi_ecal": 1.2, "eta_hcal": 0.5, "phi_hcal": 1.4}


def at(kind, eta, phi):
    return {"type": kind, "eta": eta, "phi": phi, "pt": 1.0, "energy": 1.0}


def blocks_of(make_events, *rows, **parameters):
    return clue_blocks(elements_of(make_events(list(rows))), ClueBlockParameters(**parameters)).tolist()


def test_a_track_joins_the_clusters_at_its_three_points(make_events):
    rows = (TRACK, at(ElementType.PS1, 0.5, 1.001), at(ElementType.ECAL, 0.5, 1.201), at(ElementType.HCAL, 0.55, 1.4), at(ElementType.HO, 0.5, 1.45))
    assert blocks_of(make_events, *rows) == [0, 0, 0, 0, 0]
    assert blocks_of(make_events, *rows[1:]) == [0, 1, 2, 2]  # without the track only HCAL and HO lie within .125


def test_a_track_that_reaches_nothing_or_nobody_is_its_own_block(make_events):
    alone = TRACK | {"eta_ecal": 0.0, "phi_ecal": 0.0, "eta_hcal": 0.0, "phi_hcal": 0.0}
    assert blocks_of(make_events, alone, at(ElementType.ECAL, 0.0, 0.0), at(ElementType.HCAL, 0.0, 0.0), at(ElementType.HFEM, 0.5, 1.0)) == [0, 1, 2, 3]


def test_a_gsf_goes_on_along_the_helix_between_its_directions(make_events):
    gsf = {"type": ElementType.GSF, "eta": 0.5, "phi": 3.0, "eta_ecal": 0.5, "phi_ecal": 3.0, "eta_hcal": 0.52, "phi_hcal": -3.0, "pt": 5.0}
    between = 3.0 + 0.5 * (2 * np.pi - 6.0) * 129 / 110  # cm of the ECAL and of the last layer
    assert blocks_of(make_events, gsf, at(ElementType.ECAL, 0.5, between - 0.001), at(ElementType.HCAL, 0.5, -between)) == [0, 0, 0]


def test_layers_do_not_mix_and_phi_is_periodic(make_events):
    kinds = (ElementType.ECAL, ElementType.HCAL, ElementType.HFHAD, ElementType.ECAL, ElementType.HCAL, ElementType.HFEM)
    phi = (3.1412, 3.1412, 3.1412, -3.1412, -3.1412, -3.1412)
    assert blocks_of(make_events, *(at(kind, 3.0, angle) for kind, angle in zip(kinds, phi, strict=True))) == [0, 1, 2, 0, 1, 2]


def test_parameters_set_the_reach_and_what_makes_a_block(make_events):
    pair = at(ElementType.HFEM, 3.5, 0.0), at(ElementType.HFHAD, 3.5, 0.3)
    assert blocks_of(make_events, *pair) == [0, 1]
    assert blocks_of(make_events, *pair, hf_dc=0.31) == [0, 0]
    assert blocks_of(make_events, *pair, hf_dc=0.31, hf_rho_c=2.0) == [0, 1]  # too thin for a seed: both are outliers
    tracks = (TRACK, TRACK | {"phi": 2.0, "phi_hcal": 2.4}, TRACK | {"phi": -2.0, "phi_hcal": -1.0})
    assert blocks_of(make_events, *tracks) == [0, 0, 0]  # three weights of .1 meet at the ECAL and reach .2
    assert blocks_of(make_events, *tracks[:2]) == [0, 1]


def joined_by_networkx(elements, parameters):
    """Elements and the clusters of each layer as a graph, the points gathered one by one."""
    graph = nx.empty_graph(len(elements.type))
    inner = (ElementType.ECAL, ElementType.PS1, ElementType.PS2, ElementType.SC)
    layers = {"ecal": inner, "hcal": (ElementType.HCAL, ElementType.HO), "hf": (ElementType.HFEM, ElementType.HFHAD)}
    for name, kinds in layers.items():
        points = []
        for element, kind in enumerate(elements.type):
            if kind in kinds:
                points.append((element, elements.eta[element], elements.phi[element], 1.0))
            if kind in (ElementType.TRACK, ElementType.GSF, ElementType.BREM) and name == "ecal":
                points.append((element, elements.eta[element], elements.phi[element], parameters.track_weight))
            if kind in (ElementType.TRACK, ElementType.GSF):
                ecal, hcal = ((eta[element], phi[element]) for eta, phi in ((elements.eta_ecal, elements.phi_ecal), (elements.eta_hcal, elements.phi_hcal)))
                middle = (ecal[0], ecal[1] + ((hcal[1] - ecal[1] + np.pi) % (2 * np.pi) - np.pi) / 2 * 129 / 110)
                at_ecal, at_hcal = (middle, middle) if kind == ElementType.GSF else (ecal, hcal)
                if ecal != (0.0, 0.0) and name == "ecal":
                    points.append((element, *at_ecal, parameters.track_weight))
                if hcal != (0.0, 0.0) and name == "hcal":
                    points.append((element, *at_hcal, parameters.track_weight))
        index, eta, phi, weight = np.array(points).reshape(-1, 4).T
        index = index.astype(np.int64)
        rho_c, dc = getattr(parameters, f"{name}_rho_c"), getattr(parameters, f"{name}_dc")
        offsets = np.searchsorted(index, elements.offsets)
        cluster = clue(eta, phi, weight, offsets, ClueParameters(dc=dc, rho_c=rho_c, outlier_factor=parameters.outlier_factor, periodic=True)).cluster
        graph.add_edges_from((element, (name, number)) for element, number in zip(index.tolist(), cluster.tolist(), strict=True) if number >= 0)
    block = np.arange(len(elements.type))
    for members in nx.connected_components(graph):
        found = [member for member in members if isinstance(member, int)]
        block[found] = min(found)
    return block


@pytest.mark.parametrize("parameters", [ClueBlockParameters(), ClueBlockParameters(ecal_dc=0.03, ecal_rho_c=1.5, track_weight=0.5, outlier_factor=1.5)])
def test_blocks_are_elements_joined_by_the_clusters_of_their_points(random_events, parameters):
    elements = elements_of(random_events)
    blocks = clue_blocks(elements, parameters)
    np.testing.assert_array_equal(clue_blocks(elements, parameters, threads=2), blocks)
    np.testing.assert_array_equal(blocks, joined_by_networkx(elements, parameters))
    np.testing.assert_array_equal(elements.event()[blocks], elements.event())
    assert 10 < len(np.unique(blocks)) < len(blocks)


def test_no_elements_are_no_blocks(make_events):
    assert blocks_of(make_events) == []
    assert len(clue_blocks(elements_of(make_events()))) == 0


def test_a_parameter_out_of_range_is_named():
    with pytest.raises(ConfigError, match=r"tune\.yaml: clue: hf_dc: Input should be greater than or equal to 0.000001 \(found 0\)"):
        parse_section({"clue": {"hf_dc": 0}}, "clue", ClueBlockParameters, "tune.yaml")
