import numpy as np
import pytest

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.plotting.display.objects import Links, elements_of, jets_of, particles_of, predicted_of, rule_based_of, targets_of
from mlpf.plotting.display.paths import fly, project
from mlpf.plotting.display.truth import truth_of
from mlpf.schema import ElementType
from mlpf.testing import random_events


@pytest.fixture(scope="module")
def ntuple():
    return random_events(np.random.default_rng(3), 8, 60)


def test_tracks_fly_from_their_vertices_and_clusters_are_where_they_are(ntuple):
    event = ntuple.slice(1, 2)
    elements = elements_of(event)
    is_track = np.isin(event["element_type"], (ElementType.TRACK, ElementType.GSF))
    assert 0 < is_track.sum() < len(is_track)
    assert np.array_equal(np.diff(elements.paths.offsets) > 0, is_track & (event["element_pt"] > 0))
    track = int(np.argmax(is_track))
    vertex = np.array([[event[f"element_v{axis}"][track] for axis in "xyz"]])
    alone = fly(*(event[f"element_{name}"][track : track + 1] for name in ("pt", "eta", "phi", "charge")), vertex)
    assert elements.positions[track] == pytest.approx(alone.ends()[0])
    cluster = np.flatnonzero(event["element_type"] == ElementType.ECAL)[0]
    assert elements.positions[cluster] == pytest.approx([event[f"element_p{axis}"][cluster] for axis in "xyz"])


@pytest.mark.parametrize("version", ["2026", "2020"])
def test_true_particles_of_an_ntuple_are_those_that_a_slow_loop_finds(version):
    for event in (random_events(np.random.default_rng(5), 12, 50, version=version).slice(i, i + 1) for i in range(12)):
        expected = set()
        if event.size("caloparticle"):
            names = ("caloparticle",)
            expected |= set(zip(event["caloparticle_to_element.second"].tolist(), event["caloparticle_to_element.first"].tolist(), strict=True))
            for calo, track in enumerate(event["caloparticle_idx_trackingparticle"].tolist()):
                for particle, element in zip(
                    event["trackingparticle_to_element.first"].tolist(), event["trackingparticle_to_element.second"].tolist(), strict=True
                ):
                    if particle == track:
                        expected.add((element, calo))
        else:
            names = ("trackingparticle", "simcluster")
            expected |= set(zip(event["trackingparticle_to_element.second"].tolist(), event["trackingparticle_to_element.first"].tolist(), strict=True))
            for cluster, element in zip(event["simcluster_to_element.first"].tolist(), event["simcluster_to_element.second"].tolist(), strict=True):
                particle = int(event["simcluster_idx_trackingparticle"][cluster])
                expected.add((element, particle if particle >= 0 else event.size("trackingparticle") + cluster))
        truth, links = truth_of(event)
        index = truth.columns["index"]
        assert set(zip(links.first.tolist(), index[links.second].tolist(), strict=True)) == expected
        assert index.tolist() == sorted({particle for _, particle in expected})
        pt = np.concatenate([event[f"{name}_pt"] for name in names])
        assert np.array_equal(truth.columns["pt"], pt[index])


def test_shared_energies_are_those_of_the_file(ntuple):
    event = next(one for one in (ntuple.slice(i, i + 1) for i in range(8)) if one.size("caloparticle_to_element") > 20)
    truth, links = truth_of(event)
    expected = {}
    for particle, element, weight in zip(*(event[f"caloparticle_to_element{part}"].tolist() for part in (".first", ".second", "_cmp")), strict=True):
        expected.setdefault((element, particle), weight)
    index = truth.columns["index"][links.second]
    found = {(e, p): w for e, p, w in zip(links.first.tolist(), index.tolist(), links.weight.tolist(), strict=True) if not np.isnan(w)}
    assert found == pytest.approx(expected)


def test_all_true_particles_are_shown_where_a_file_has_no_links(ntuple):
    event = ntuple.slice(0, 1)
    columns = {name: values for name, values in event.columns.items() if "_to_" not in name}
    without = Events(columns, {name: event.offsets[name] for name in {event.layout.collection_of[c] for c in columns} & set(event.offsets)}, 1)
    truth, links = truth_of(without)
    assert (len(truth), len(links.first)) == (event.size("caloparticle"), 0)


def test_targets_and_rule_based_candidates_of_a_dataset_belong_to_their_elements(random_dataset):
    event = random_dataset(1)
    for prefix, (objects, links) in {"target": targets_of(event), "candidate": rule_based_of(event)}.items():
        own = np.flatnonzero(event[f"{prefix}_class"])
        assert np.array_equal(links.first, own)
        assert np.array_equal(objects.columns["pt"], event[f"{prefix}_pt"][own])
        assert objects.columns["phi"] == pytest.approx(event["element_phi"][own])
        sign = np.where(np.isin(event[f"{prefix}_pid"][own], (11, 13)), -1, 1)
        charged = event[f"{prefix}_charge"][own] != 0
        assert np.array_equal(np.sign(objects.columns["pdgid"])[charged], (sign * event[f"{prefix}_charge"][own])[charged])


def test_a_models_candidates_are_linked_by_the_position_in_the_ntuple(random_dataset, make_candidates):
    event = random_dataset(1)
    event = event.with_columns({"element_index": 2 * event["element_index"] + 3})  # others were dropped
    rows = np.array([4, 0, 7])
    objects, links = predicted_of(make_candidates(event, rows), event, "c.root")
    assert links.first.tolist() == rows.tolist()
    assert links.second.tolist() == [0, 1, 2]
    assert objects.columns["element"].tolist() == [11, 3, 17]


def test_candidates_of_elements_that_are_not_there_are_one_clear_error(random_dataset, make_candidates):
    event = random_dataset(1)
    stranger = make_candidates(event, np.array([0])).with_columns({"mlpfcandidate_element": np.array([9999])})
    with pytest.raises(
        MlpfError, match=r"^c\.root: a candidate is made of element 9999, which the event of .* does not have; were they made of another file\?$"
    ):
        predicted_of(stranger, event, "c.root")


def test_jets_are_the_hard_ones_in_order_of_pt():
    columns = {f"genjet_{name}": [1.0, 2.0, 0.5, 0.1] for name in ("eta", "phi", "energy")} | {"genjet_pt": [30.0, 90.0, 5.0, np.nan]}
    jets = jets_of(Events(columns, {"genjet": [0, 4]}, 1, layout=schema.DATASET), 20.0)
    assert jets.columns["pt"].tolist() == [90.0, 30.0]
    assert jets.columns["index"].tolist() == [1, 0]


def test_an_event_of_nothing_has_no_objects():
    event = Events({"event": [1], "run": [1], "lumi": [1]}, {}, 1)
    assert [len(objects) for objects in (elements_of(event), truth_of(event)[0], rule_based_of(event)[0], jets_of(event, 20.0))] == [0] * 4


@pytest.mark.parametrize("vertex", [500.0, np.nan])
def test_particles_that_fly_nowhere_are_where_they_point_to(vertex):
    columns = {"pt": [0.0, 5.0, 5.0], "eta": [0.0, 0.0, -4.0], "phi": [0.5] * 3, "energy": [5.0, 5.0, 140.0], "charge": [1] * 3}
    columns = {name: np.array(values) for name, values in columns.items()}
    track = Events({"element_type": [ElementType.TRACK] * 3, "element_vx": [0.0, vertex, vertex]}, {"element": [0, 3]}, 1)
    links = Links(np.arange(3), np.arange(3), np.zeros(0))
    found = particles_of(columns, links, track)
    assert found.drawable.all()
    assert found.positions == pytest.approx(project(columns["eta"], columns["phi"], 129.0, 1.479, 317.0) * [[1], [1], [1115 / 317]])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38, -1e38])
def test_absurd_values_are_counted_and_spoil_nothing_else(random_dataset, value):
    event = random_dataset(1)
    eta = event["element_eta"].copy()
    eta[3] = value
    elements = elements_of(event.with_columns({"element_eta": eta}))
    assert np.flatnonzero(~elements.drawable).tolist() == [3]
    assert np.array_equal(np.delete(elements.positions, 3, axis=0), np.delete(elements_of(event).positions, 3, axis=0))
