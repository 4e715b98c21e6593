import numpy as np
import pytest

from mlpf import schema
from mlpf.events import concatenate, event_index
from mlpf.io.ntuple import read_ntuple, write_ntuple
from mlpf.schema import ElementType
from mlpf.simulation.calorimeter.calibration import photon_calibration
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.simulate import simulate, with_short_mantissa

CLUSTERS = (ElementType.ECAL, ElementType.HCAL, ElementType.HFEM, ElementType.HFHAD, ElementType.HO)


def run(num_events, seed=1, first_event=0, **config):
    return concatenate(list(simulate(SimulationConfig(**config), num_events, seed, first_event)))


def assert_same_events(a, b):
    for name in schema.NTUPLE.columns:
        assert np.array_equal(a[name], b[name]), name


@pytest.fixture(scope="module")
def ttbar():
    pytest.importorskip("pythia8mc")
    return run(12, process="ttbar")


def test_every_column_of_the_2026_ntuple_is_there_and_finite(ttbar):
    assert set(ttbar.columns) == set(schema.NTUPLE.columns)
    assert ttbar.non_finite() == {}
    ttbar.validate()


def test_events_do_not_depend_on_chunks_or_on_where_a_job_begins():
    gun = GunConfig(particle="pi", number=8)
    whole = run(10, process="gun", gun=gun, events_per_chunk=10)
    assert_same_events(whole, run(10, process="gun", gun=gun, events_per_chunk=3))
    assert_same_events(whole.slice(6, 9), run(3, first_event=6, process="gun", gun=gun))
    assert not np.array_equal(whole["element_pt"], run(10, seed=2, process="gun", gun=gun)["element_pt"])


def test_collisions_do_not_depend_on_chunks_either(ttbar):
    assert_same_events(ttbar.slice(5, 8), run(3, first_event=5, process="ttbar", events_per_chunk=2))


def test_truth_energy_of_every_cluster_adds_up_to_its_energy_but_for_faint_links_and_noise(ttbar):
    for particle in ("caloparticle", "simcluster"):
        event = event_index(ttbar.offsets[f"{particle}_to_element"])
        element = ttbar.offsets["element"][event] + ttbar[f"{particle}_to_element.second"]
        total = np.bincount(element, ttbar[f"{particle}_to_element_cmp"], minlength=ttbar.size("element"))
        is_cluster = np.isin(ttbar["element_type"], CLUSTERS)
        missing = ttbar["element_energy"][is_cluster] - total[is_cluster]
        assert (missing > -2e-5 * total[is_cluster]).all()  # the precision of the columns
        assert np.median(missing) < 0.01  # links below 1 MeV are left out, of up to twenty particles
        assert missing.sum() < 0.01 * total.sum()  # hits of noise alone belong to nobody
        assert not total[np.isin(ttbar["element_type"], (ElementType.TRACK, ElementType.GSF))].any()


def test_columns_keep_sixteen_bits_and_no_azimuth_exceeds_pi():
    values = np.array([np.pi, -np.pi, 0.1, -1e-12, 3e30, 0.0, np.inf])
    short = with_short_mantissa(values)
    assert short[:5] == pytest.approx(values[:5], rel=2.0**-16)
    assert (np.abs(short) <= np.abs(values.astype(np.float32))).all()
    assert short[5:].tolist() == [0.0, np.inf]
    assert not np.any(short.view(np.uint32) % 2**7)


def test_energy_is_lost_only_to_thresholds_and_leakage(ttbar):
    is_cluster = np.isin(ttbar["element_type"], CLUSTERS)
    clustered, deposited = ttbar["element_energy"][is_cluster].sum(), ttbar["caloparticle_simenergy"].sum()
    assert 0.85 < clustered / deposited < 1.0
    assert 0.8 < deposited / ttbar["caloparticle_energy"][np.abs(ttbar["caloparticle_pid"]) != 13].sum() < 1.0


def test_simclusters_add_up_to_their_caloparticles(ttbar):
    event = event_index(ttbar.offsets["simcluster"])
    parent = ttbar.offsets["caloparticle"][event] + ttbar["simcluster_idx_caloparticle"]
    same = np.isclose(ttbar["simcluster_energy"], ttbar["caloparticle_energy"][parent]) & (ttbar["simcluster_pid"] == ttbar["caloparticle_pid"][parent])
    assert np.sum(same) > 0.5 * ttbar.size("caloparticle")  # most get through the tracker as they are
    total = np.bincount(parent, ttbar["simcluster_energy"], minlength=ttbar.size("caloparticle"))
    assert np.mean(total <= 1.01 * ttbar["caloparticle_energy"] + 8.0) > 0.99  # nucleons that are knocked out bring their mass


def test_tracks_resemble_their_tracking_particles(ttbar):
    event = event_index(ttbar.offsets["trackingparticle_to_element"])
    particle = ttbar.offsets["trackingparticle"][event] + ttbar["trackingparticle_to_element.first"]
    element = ttbar.offsets["element"][event] + ttbar["trackingparticle_to_element.second"]
    kind = ttbar["element_type"][element]
    assert set(kind.tolist()) == {ElementType.TRACK, ElementType.GSF, ElementType.BREM}
    assert np.all(np.isin(np.abs(ttbar["trackingparticle_pid"][particle[kind != ElementType.TRACK]]), (11, 211, 321, 2212)))
    hadron = (kind == ElementType.TRACK) & (np.abs(ttbar["trackingparticle_pid"][particle]) != 11)
    track, particle = element[hadron], particle[hadron]
    assert np.mean(ttbar["element_charge"][track] == ttbar["trackingparticle_charge"][particle]) > 0.999
    assert np.median(np.abs(ttbar["element_pt"][track] / ttbar["trackingparticle_pt"][particle] - 1)) < 0.02
    assert np.max(np.abs(ttbar["element_eta"][track] - ttbar["trackingparticle_eta"][particle])) < 0.3
    assert ((ttbar["trackingparticle_to_element_cmp"] > 0) & (ttbar["trackingparticle_to_element_cmp"] <= 1)).all()


def test_ttbar_events_look_like_ttbar_events(ttbar):
    types = ttbar["element_type"]
    per_event = {t: np.sum(types == t) / len(ttbar) for t in ElementType}
    assert 50 < per_event[ElementType.TRACK] < 150
    assert 60 < per_event[ElementType.ECAL] < 180
    assert 15 < per_event[ElementType.HCAL] < 60
    tracks = types == ElementType.TRACK
    assert ttbar["element_pt"][tracks].min() > 0.15
    assert np.abs(ttbar["element_eta"][tracks]).max() < 2.6
    assert np.mean(np.diff(ttbar.offsets["genjet"])) > 4
    neutrinos = (ttbar["gen_status"] == 1) & np.isin(np.abs(ttbar["gen_pdgid"]), (12, 14, 16))
    event = event_index(ttbar.offsets["gen"])
    met = np.hypot(*(np.bincount(event[neutrinos], ttbar[f"gen_{axis}"][neutrinos], minlength=len(ttbar)) for axis in ("px", "py")))
    assert met == pytest.approx(ttbar["genmet_pt"], rel=2e-5, abs=1e-3)


def test_superclusters_have_no_pt_and_link_by_fractions(gun):
    events = gun(40, particle="e", pt=30.0, min_abs_eta=0.0, max_abs_eta=1.4)
    sc = events["element_type"] == ElementType.SC
    assert sc.sum() >= 35
    assert not events["element_pt"][sc].any()
    assert events["element_energy"][sc] == pytest.approx(30 * np.cosh(events["element_eta"][sc]), rel=0.1)
    is_sc_link = sc[events.offsets["element"][event_index(events.offsets["caloparticle_to_element"])] + events["caloparticle_to_element.second"]]
    fractions = events["caloparticle_to_element_cmp"][is_sc_link]
    assert fractions == pytest.approx(np.round(fractions), abs=0.2)  # one particle alone: whole cells, but for a share of photons outside of the window
    gsf = np.bincount(event_index(events.offsets["element"])[events["element_type"] == ElementType.GSF], minlength=40)
    assert np.mean(gsf) == pytest.approx(0.95, abs=0.12)


def test_the_detector_is_the_same_all_around(gun):
    events = gun(60, particle="gamma", number=50, pt=20.0, min_abs_eta=0.0, max_abs_eta=2.8)
    kept = (events["element_type"] == ElementType.ECAL) & (events["element_pt"] > 10)
    counts = np.histogram(events["element_phi"][kept], bins=8, range=(-np.pi, np.pi))[0]
    assert np.sum((counts - counts.mean()) ** 2 / counts.mean()) < 26  # chi2 of 7 degrees of freedom: p = 5e-4


def test_clusters_of_photons_point_back_at_them(gun):
    events = gun(200, particle="gamma", pt=20.0, min_abs_eta=0.0, max_abs_eta=2.8)
    event = event_index(events.offsets["element"])
    leading = (events["element_type"] == ElementType.ECAL) & (events["element_pt"] > 15)
    d_phi = np.angle(np.exp(1j * (events["element_phi"][leading].astype(float) - events["gen_phi"][event[leading]])))
    assert np.std(events["element_eta"][leading] - events["gen_eta"][event[leading]]) < 0.008
    assert np.percentile(np.abs(d_phi), 80) < 0.01  # but for conversions


def test_prompt_clusters_are_on_time(gun):
    events = gun(300, particle="gamma", pt=50.0, abs_eta=0.5)
    ecal = (events["element_type"] == ElementType.ECAL) & (events["element_pt"] > 20)
    pull = events["element_time"][ecal] / events["element_timeerror"][ecal]
    assert np.mean(pull) == pytest.approx(0.0, abs=0.2)
    assert np.std(pull) == pytest.approx(1.0, abs=0.15)


def test_events_without_particles_are_written_and_read_back(tmp_path):
    events = run(3, process="gun", gun=GunConfig(number=0))
    events.validate()
    assert len(events) == 3
    assert np.isin(events["element_type"], CLUSTERS).all()  # of noise
    assert events.size("element") < 10
    assert events.size("caloparticle_to_element") == 0
    assert write_ntuple(tmp_path / "empty.root", [events]) == 3
    assert read_ntuple(tmp_path / "empty.root")["event"].tolist() == [0, 1, 2]


def test_no_events_at_all_are_one_empty_chunk():
    chunks = list(simulate(SimulationConfig(process="gun"), 0, 1))
    assert [len(chunk) for chunk in chunks] == [0]
    assert set(chunks[0].columns) == set(schema.NTUPLE.columns)


def test_the_ntuple_reads_back_as_it_was(tmp_path, ttbar):
    write_ntuple(tmp_path / "ttbar.root", [ttbar])
    assert_same_events(ttbar, read_ntuple(tmp_path / "ttbar.root"))
    assert (tmp_path / "ttbar.root").stat().st_size / len(ttbar) < 130_000


def test_an_event_of_twenty_thousand_elements():
    events = run(1, process="gun", gun=GunConfig(particle="pi", number=60_000, min_pt=0.8, max_pt=5.0, max_abs_eta=5.0))
    events.validate()
    assert events.non_finite() == {}
    assert events.size("element") > 20_000


def test_preshower_and_ho_are_elements_with_links(gun):
    events = gun(30, particle="e", pt=40.0, min_abs_eta=1.8, max_abs_eta=2.4)
    strips = np.isin(events["element_type"], (ElementType.PS1, ElementType.PS2))
    assert set(events["element_layer"][strips].tolist()) == {-11, -12}
    assert 1e-4 < np.median(events["element_energy"][strips]) < 1e-2
    assert (events["element_corr_energy"][strips] == -1).all()
    sc = events["element_type"] == ElementType.SC
    assert (np.median(events["element_corr_energy"][sc]) > 0.0) == photon_calibration().strip_weights.any()  # the preshower's energy
    linked = events.offsets["element"][event_index(events.offsets["caloparticle_to_element"])] + events["caloparticle_to_element.second"]
    assert np.isin(np.flatnonzero(strips), linked).mean() > 0.95
    muons = gun(60, particle="mu", pt=30.0, min_abs_eta=0.1, max_abs_eta=1.2)
    ho = muons["element_type"] == ElementType.HO
    assert ho.sum() > 15
    assert (muons["element_layer"][ho] == 2).all()
