import matplotlib.image
import numpy as np
import pytest

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.ntuple import write_ntuple
from mlpf.io.shards import write_parquet
from mlpf.plotting.event import ECAL_RADIUS, draw_event, helix, true_particles
from mlpf.plotting.event_files import find_candidates, read_event
from mlpf.schema import CandidateClass, ElementType
from mlpf.testing import random_events


@pytest.fixture(scope="module")
def ntuple():
    events = random_events(np.random.default_rng(1), 3)
    return events.with_columns({"event": np.arange(3)})


def candidates(events, pt=2.0):
    """One candidate per event, at the place of its first element."""
    n = len(events)
    columns = {"mlpfcandidate_pt": np.full(n, pt), "mlpfcandidate_eta": np.zeros(n), "mlpfcandidate_phi": np.zeros(n)}
    columns |= {name: events[name] for name in ("event", "run", "lumi")}
    columns |= {c: np.zeros(n) for c in schema.CANDIDATES.names("mlpfcandidate") if c not in columns}
    return Events(columns, {"mlpfcandidate": np.arange(n + 1)}, n, layout=schema.CANDIDATES)


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_an_event_is_drawn_in_the_format_of_its_name(ntuple, tmp_path, suffix):
    path = tmp_path / f"event{suffix}"
    draw_event(ntuple.slice(0, 1), path, candidates(ntuple.slice(0, 1)))
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"%PDF-", b"<?xml")
    assert path.stat().st_size > 10000


def test_candidates_and_jets_change_the_picture(random_dataset, tmp_path):
    event = random_dataset(1)
    draw_event(event, tmp_path / "without.png")
    draw_event(event, tmp_path / "with.png", candidates(event))
    without, with_candidate = (matplotlib.image.imread(tmp_path / f"{name}.png") for name in ("without", "with"))
    assert without.shape == with_candidate.shape
    assert not np.array_equal(without, with_candidate)
    assert (without[..., :3].min(axis=2) < 0.9).mean() > 0.02  # ink


def test_an_unknown_format_is_refused_and_nothing_is_left(ntuple, tmp_path):
    with pytest.raises(MlpfError, match=r"unknown format '\.html'; name the picture \.png, \.pdf, \.svg"):
        draw_event(ntuple.slice(0, 1), tmp_path / "event.html")
    assert list(tmp_path.iterdir()) == []


def test_an_event_without_anything_is_drawn(tmp_path):
    empty = Events({"event": [1], "element_type": []}, {"element": [0, 0]}, 1)
    draw_event(empty, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").is_file()


def test_true_particles_of_an_ntuple_are_those_linked_to_an_element():
    event = Events(
        {
            "caloparticle_pt": [1.0, 2.0, 3.0, 4.0],
            "caloparticle_idx_trackingparticle": [-1, 1, 0, -1],
            "caloparticle_to_element.first": [0],
            "caloparticle_to_element.second": [0],
            "trackingparticle_to_element.first": [1],
            "trackingparticle_to_element.second": [0],
            "trackingparticle_pt": [3.0, 2.0],
            "element_type": [1],
        },
        {"caloparticle": [0, 4], "trackingparticle": [0, 2], "caloparticle_to_element": [0, 1], "trackingparticle_to_element": [0, 1], "element": [0, 1]},
        1,
    )
    assert true_particles(event).pt.tolist() == [1.0, 2.0]  # the first by its deposit, the second by its track


def test_true_particles_of_a_dataset_are_the_targets(random_dataset):
    event = random_dataset(1)
    assert len(true_particles(event).pt) == np.count_nonzero(event["target_class"] != CandidateClass.NONE)
    assert np.isin(event["element_type"], list(ElementType)).all()


@pytest.mark.parametrize(("pt", "charge", "sign"), [(2.0, 1, -1), (2.0, -1, 1), (50.0, 1, -1)])
def test_a_track_meets_the_ecal_where_the_circle_does(pt, charge, sign):
    # chord of a circle through the origin: sin(delta phi) = r / (2 R), R = pt / (0.2998 B) m
    path = helix(pt, 0.0, 0.5, charge, 0.0, 0.0, 0.0)
    end = path[-1]
    assert np.hypot(*end) == pytest.approx(ECAL_RADIUS, rel=0.02)
    expected = 0.5 + sign * np.arcsin(np.hypot(*end) / (2 * 100 * pt / (0.2998 * 3.8)))
    assert np.arctan2(end[1], end[0]) == pytest.approx(expected, abs=1e-4)


def test_a_forward_track_ends_at_the_endcap_and_a_slow_one_turns_back():
    forward = helix(5.0, 2.5, 0.0, 1, 0.0, 0.0, 0.0)
    assert np.hypot(*forward[-1]) == pytest.approx(317.0 / np.sinh(2.5), rel=0.03)
    slow = helix(0.3, 0.0, 0.0, 1, 0.0, 0.0, 0.0)
    assert np.hypot(*slow[-1]) == pytest.approx(2 * 100 * 0.3 / (0.2998 * 3.8), rel=1e-3)  # the diameter, after half a turn


def test_one_event_is_read_from_an_ntuple_and_from_a_dataset(ntuple, random_dataset, write_dataset, tmp_path):
    write_ntuple(tmp_path / "a.root", [ntuple])
    assert np.array_equal(read_event(tmp_path / "a.root", 2)["element_pt"], ntuple.slice(2, 3)["element_pt"])
    dataset = random_dataset(40)
    folder = write_dataset(dataset)
    assert np.array_equal(read_event(folder, 33)["element_pt"], dataset.slice(33, 34)["element_pt"])
    for path in (tmp_path / "a.root", folder):
        with pytest.raises(MlpfError, match=r"has no event 99; it holds \d+, counted from 0"):
            read_event(path, 99)
    with pytest.raises(MlpfError, match="neither an ntuple"):
        read_event(tmp_path / "a.txt", 0)


def test_candidates_are_found_by_run_lumi_and_event_in_both_formats(ntuple, tmp_path):
    found = candidates(ntuple).with_columns({"mlpfcandidate_pt": np.arange(3.0)})
    write_ntuple(tmp_path / "c.root", [found], tree_path=schema.CANDIDATES_TREE)
    write_parquet(tmp_path / "c.parquet", [found.slice(1, 3)])
    for name in ("c.root", "c.parquet"):
        assert find_candidates(tmp_path / name, ntuple.slice(2, 3))["mlpfcandidate_pt"].tolist() == [2.0]
    with pytest.raises(MlpfError, match=r"c\.parquet: has no candidates of run"):
        find_candidates(tmp_path / "c.parquet", ntuple.slice(0, 1))


def test_candidates_of_two_files_that_number_their_events_alike_are_not_mixed_up(ntuple, tmp_path):
    write_parquet(tmp_path / "c.parquet", [candidates(ntuple), candidates(ntuple)])
    with pytest.raises(MlpfError, match=r"c\.parquet: has 2 events of run .*, from different files; run mlpf produce on the one file"):
        find_candidates(tmp_path / "c.parquet", ntuple.slice(1, 2))


def test_a_dataset_given_as_predictions_is_one_clear_error(random_dataset, ntuple, tmp_path):
    write_parquet(tmp_path / "shard.parquet", [random_dataset(2)])
    with pytest.raises(MlpfError, match=r"shard\.parquet: no predictions, column mlpfcandidate_pt is missing"):
        find_candidates(tmp_path / "shard.parquet", ntuple.slice(0, 1))


@pytest.mark.parametrize(("name", "problem"), [("a.csv", "unknown format"), ("none.parquet", "missing, damaged"), ("bad.parquet", "missing, damaged")])
def test_predictions_that_cannot_be_read_are_one_clear_error(ntuple, tmp_path, name, problem):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(MlpfError, match=problem):
        find_candidates(tmp_path / name, ntuple.slice(0, 1))
