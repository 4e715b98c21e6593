import re
import zlib

import matplotlib.image
import numpy as np
import pytest

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events
from mlpf.io.ntuple import write_ntuple
from mlpf.io.shards import write_parquet
from mlpf.plotting.display.truth import linked_particles
from mlpf.plotting.event import PALE, draw_event
from mlpf.plotting.event_files import find_candidates, read_event
from mlpf.plotting.event_particles import Points, model_particles, rule_based_particles, true_class, true_particles
from mlpf.plotting.event_views import longitudinal_deposits, track_paths, transverse_deposits
from mlpf.plotting.looks import ELEMENT_STYLES, PARTICLE_STYLES
from mlpf.schema import CandidateClass, ElementType
from mlpf.simulation.propagation import ECAL_RADIUS
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
    draw_event(ntuple.slice(0, 1), path, {"model": candidates(ntuple.slice(0, 1))})
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"%PDF-", b"<?xml")
    assert path.stat().st_size > 10000


def test_candidates_change_the_picture(random_dataset, tmp_path):
    event = random_dataset(1)
    for name, pt in (("soft", 1.0), ("hard", 50.0)):
        draw_event(event, tmp_path / f"{name}.png", {"model": candidates(event, pt)})
    soft, hard = (matplotlib.image.imread(tmp_path / f"{name}.png") for name in ("soft", "hard"))
    assert soft.shape == hard.shape
    assert not np.array_equal(soft, hard)
    assert (soft[..., :3].min(axis=2) < 0.9).mean() > 0.02  # ink


@pytest.mark.parametrize("names", [(), ("first",), ("first", "second"), ("first", "second", "third")])
def test_each_set_of_candidates_has_a_panel_beside_the_truth(ntuple, tmp_path, names):
    event = ntuple.slice(0, 1)
    draw_event(event, tmp_path / "event.svg", {name: candidates(event) for name in names}, min_pt=1.5)
    text = (tmp_path / "event.svg").read_text()
    shown = re.findall(r"truth \(open\), ([\w -]+) \(filled\)", text)
    assert shown == list(names or ["rule-based PF"])
    assert " = 1.5 GeV" in text  # what is left out
    assert all(look.title in text for look in ELEMENT_STYLES)
    assert (">other<" in text) == bool(names)  # candidates of pdgId 0, the consumer's type X


def test_an_event_with_pileup_says_what_is_pale_and_stays_small_with_text_as_text(tmp_path):
    event = random_events(np.random.default_rng(1), 1, 6000)
    draw_event(event, tmp_path / "event.svg")
    assert "pale: from pileup" in (tmp_path / "event.svg").read_text()
    draw_event(event, tmp_path / "event.pdf", min_pt=0.0)
    content = (tmp_path / "event.pdf").read_bytes()
    assert len(content) < 3e6
    assert b"/Subtype /Image" in content  # dense layers are pixels
    streams = [zlib.decompress(stream) for stream in re.findall(rb"/FlateDecode >>\r?\nstream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)]
    assert max(stream.count(b" Tj") for stream in streams) > 100  # letters shown as letters
    assert b"/Type3" not in content


def test_no_two_elements_or_particles_differ_in_colour_alone():
    for styles in (ELEMENT_STYLES, PARTICLE_STYLES):
        assert len({look.marker for look in styles}) == len({look.color for look in styles}) == len(styles)
    assert {c for look in PARTICLE_STYLES for c in look.classes} == set(CandidateClass)
    assert 0 < PALE < 0.5


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
            "caloparticle_pid": [22, -11, 22, 22],
            "caloparticle_ev": [0, 7, 0, 0],
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
    found = true_particles(event)
    assert found.pt.tolist() == [1.0, 2.0]  # the first by its deposit, the second by its track
    assert found.category.tolist() == [CandidateClass.PHOTON, CandidateClass.ELECTRON]
    assert found.pileup.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("pid", "charge", "eta", "category"),
    [(211, 1, 1.0, 211), (-321, -1, 2.9, 211), (2112, 0, -2.0, 130), (22, 0, 0.0, 22),
     (-13, 1, 2.0, 13), (11, -1, 0.0, 11), (211, 1, 3.1, 1), (22, 0, -4.0, 2)],
)  # fmt: skip
def test_true_particles_have_the_class_of_their_candidates(pid, charge, eta, category):
    assert true_class(np.array([pid]), np.array([charge]), np.array([eta])).tolist() == [category]


def test_charges_that_ntuples_of_2020_lack_follow_from_the_particle():
    event = random_events(np.random.default_rng(1), 1, 100, "2020")
    assert not event.has("trackingparticle_charge")
    found, pid = true_particles(event), np.abs(linked_particles(event)[0]["pdgid"])
    central = np.abs(found.eta) < 3
    for pids, category in (((211, 321, 2212), CandidateClass.CHARGED_HADRON), ((130, 2112), CandidateClass.NEUTRAL_HADRON)):
        own = np.isin(pid, pids) & central
        assert own.any()
        assert (found.category[own] == category).all()


def test_true_particles_of_a_dataset_are_the_targets(random_dataset):
    event = random_dataset(1)
    found = true_particles(event)
    assert np.array_equal(found.category, event["target_class"][event["target_class"] != CandidateClass.NONE])
    assert len(rule_based_particles(event).pt) == np.count_nonzero(event["candidate_class"])
    assert np.isin(event["element_type"], list(ElementType)).all()


def test_points_come_by_falling_pt_and_without_what_is_not_finite(ntuple):
    found = candidates(ntuple).with_columns({"mlpfcandidate_pt": [1.0, np.inf, 5.0], "mlpfcandidate_pdgid": [-211, 22, -13]})
    kept = model_particles(found).above(0.5)
    assert isinstance(kept, Points)
    assert kept.pt.tolist() == [5.0, 1.0]
    assert kept.category.tolist() == [CandidateClass.MUON, CandidateClass.CHARGED_HADRON]
    assert model_particles(found).above(1.0).pt.tolist() == [5.0]


def test_bars_hold_the_energy_of_the_clusters_in_their_direction():
    event = Events(
        {
            "element_type": [ElementType.ECAL, ElementType.HCAL, ElementType.ECAL, ElementType.HFEM, ElementType.TRACK, ElementType.ECAL],
            "element_pt": [3.0, 5.0, 7.0, 11.0, 100.0, 13.0],
            "element_eta": [0.5, 0.5, 2.0, -4.0, 0.5, -1.0],
            "element_phi": [1.0, 1.0, 1.0, -1.0, 1.0, -2.0],
        },
        {"element": [0, 6]},
        1,
    )
    around = transverse_deposits(event)
    sums = around.energy.sum(axis=0).tolist()
    assert sums == [16.0, 5.0, 0.0]  # of the barrel: ECAL, HCAL, HF
    bar = np.searchsorted(around.angle, 1.0) - 1
    assert around.energy[bar].tolist() == [3.0, 5.0, 0.0]
    above, below = longitudinal_deposits(event)
    assert above.energy.sum(axis=0).tolist() == [10.0, 5.0, 0.0]
    assert below.energy.sum(axis=0).tolist() == [13.0, 0.0, 11.0]
    forward = np.flatnonzero(below.energy[:, 2])[0]
    polar = 2 * np.arctan(np.exp(4.0))
    assert -below.angle[forward] >= polar >= -below.angle[forward + 1]  # below the beam: the angle is negative


def paths_of(pt, eta, phi, charge):
    columns = {f"element_{name}": np.atleast_1d(values) for name, values in (("pt", pt), ("eta", eta), ("phi", phi), ("charge", charge))}
    number = len(columns["element_pt"])
    return track_paths(Events(columns, {"element": [0, number]}, 1), np.arange(number))


@pytest.mark.parametrize(("pt", "charge", "sign"), [(2.0, 1, -1), (2.0, -1, 1), (50.0, 1, -1)])
def test_a_track_meets_the_ecal_where_the_circle_does(pt, charge, sign):
    # chord of a circle through the origin: sin(delta phi) = r / (2 R), R = pt / (0.2998 B) m
    (path,) = paths_of(pt, 0.0, 0.5, charge)
    x, y, _ = path[-1]
    assert np.hypot(x, y) == pytest.approx(ECAL_RADIUS)
    expected = 0.5 + sign * np.arcsin(np.hypot(x, y) / (2 * 100 * pt / (0.2998 * 3.8)))
    assert np.arctan2(y, x) == pytest.approx(expected, abs=1e-4)


def test_a_forward_track_ends_at_the_endcap_and_a_slow_one_turns_back():
    forward, slow = paths_of([5.0, np.nan, 0.3], [2.5, 0.0, 0.0], [0.0] * 3, [1] * 3)  # one cannot fly
    assert np.hypot(*forward[-1, :2]) == pytest.approx(317.0 / np.sinh(2.5), rel=0.03)
    assert forward[-1, 2] == pytest.approx(317.0)
    assert np.hypot(*slow[-1, :2]) == pytest.approx(2 * 100 * 0.3 / (0.2998 * 3.8), rel=1e-3)  # the diameter, after half a turn
    assert not slow[:, 2].any()


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
