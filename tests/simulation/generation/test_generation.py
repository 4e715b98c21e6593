import sys

import numpy as np
import pytest

from mlpf.errors import ConfigError, MissingDependencyError
from mlpf.simulation.config import GunConfig, SimulationConfig
from mlpf.simulation.generation.generator import PythiaGenerator
from mlpf.simulation.generation.gun import DECAYED_BY_PYTHIA, KINDS, Gun
from mlpf.simulation.generation.pythia import _count_daughters, _trace_decays
from mlpf.simulation.particles import DECAY_IN_FLIGHT, origins
from mlpf.simulation.randomness import MAX_ATTEMPTS, event_rng, pool_seed, pythia_seed


@pytest.fixture(scope="module")
def ttbar():
    pytest.importorskip("pythia8mc")
    return PythiaGenerator(SimulationConfig(process="ttbar"))


@pytest.fixture(scope="module")
def ztautau():
    pytest.importorskip("pythia8mc")
    return PythiaGenerator(SimulationConfig(process="ztautau"))


def shoot(seed=1, event=0, **gun):
    return Gun(SimulationConfig(process="gun", gun=GunConfig(**gun), vertex_spread_z=0.0)).event(seed, event)


def invariant_mass(record, chosen):
    total = [values[chosen].sum() for values in (record.energy, record.px, record.py, record.pz)]
    return np.sqrt(total[0] ** 2 - total[1] ** 2 - total[2] ** 2 - total[3] ** 2)


@pytest.mark.parametrize("particle", list(KINDS))
def test_guns_shoot_inside_their_range_and_on_the_mass_shell(particle):
    if particle in DECAYED_BY_PYTHIA:
        pytest.importorskip("pythia8mc")
    record, particles, _ = shoot(particle=particle, number=500, min_pt=2.0, max_pt=50.0, min_abs_eta=1.0, max_abs_eta=2.0)
    px, py, pz, energy = (values[:500] for values in (record.px, record.py, record.pz, record.energy))
    pt = np.hypot(px, py)
    assert ((pt >= 2.0 * (1 - 1e-9)) & (pt <= 50.0 * (1 + 1e-9))).all()
    eta = np.abs(np.arcsinh(pz / pt))
    assert ((eta > 1.0) & (eta < 2.0)).all()
    assert energy**2 - pt**2 - pz**2 == pytest.approx(KINDS[particle][1] ** 2, abs=1e-6)
    assert np.median(np.log(pt)) == pytest.approx(np.log(10), abs=0.15)  # flat in log pt: the median is the geometric mean
    if KINDS[particle][2]:
        assert 200 < np.sum(record.charge[:500] == 1) < 300
        assert np.array_equal((np.sign(record.pdgid) * np.sign(KINDS[particle][0]))[:500], record.charge[:500])
    assert particle in DECAYED_BY_PYTHIA or (particles.parent == -1).all()


def test_photons_of_a_neutral_pion_add_up_to_it():
    record, particles, _ = shoot(3, 7, particle="pi0", number=50)
    assert record.pdgid.tolist() == [111] * 50 + [22] * 100
    assert record.status.tolist() == [2] * 50 + [1] * 100
    assert particles.pdgid.tolist() == [22] * 100
    for values in (record.px, record.py, record.pz, record.energy):
        assert values[50:100] + values[100:] == pytest.approx(values[:50])
    assert record.energy**2 == pytest.approx(record.px**2 + record.py**2 + record.pz**2 + np.where(record.pdgid == 111, 0.13498**2, 0.0), abs=1e-6, rel=1e-9)


def test_a_gun_of_many_kinds_shoots_all_of_them_alike():
    pytest.importorskip("pythia8mc")
    kinds = tuple(KINDS)
    record, particles, _ = shoot(particle=kinds, number=1100)
    shot = np.isin(np.abs(record.pdgid), [abs(KINDS[kind][0]) for kind in kinds])
    for kind in kinds:
        of_kind = np.abs(record.pdgid) == abs(KINDS[kind][0])
        if kind in ("K0L", "n", "mu", "K0S", "tau", "pi0"):  # the others also come from decays
            assert 60 < of_kind.sum() < 150
    assert shot.sum() >= 1100
    assert (particles.parent < np.arange(len(particles.parent))).all()
    stable, from_collision = record.status == 1, particles.parent < 0
    for name in ("pdgid", "energy", "px"):
        assert np.array_equal(getattr(record, name)[stable], getattr(particles, name)[from_collision])


def test_gun_events_of_one_kind_are_those_of_a_list_of_it():
    for a, b in zip(shoot(particle="pi", number=4).particles, shoot(particle=("pi",), number=4).particles, strict=True):
        assert np.array_equal(a, b)


def test_taus_of_a_gun_decay_to_their_mass_as_often_to_leptons_and_prongs_as_measured():
    pytest.importorskip("pythia8mc")
    one = shoot(event=2, particle="tau", number=1, min_pt=20.0, max_pt=20.0).record
    assert invariant_mass(one, one.status == 1) == pytest.approx(1.77693, abs=1e-3)
    record = shoot(particle="tau", number=1000, min_pt=20.0, max_abs_eta=2.5).record
    taus = np.abs(record.pdgid) == 15
    assert (record.status[taus] == 2).all()
    assert record.energy[record.status == 1].sum() == pytest.approx(record.energy[taus].sum(), rel=1e-6)
    assert np.mean(record.num_charged_daughters[taus] == 3) == pytest.approx(0.146, abs=0.035)  # less three prongs from eta, omega (PDG 2024: 15.2 %)
    muons = np.abs(record.pdgid) == 13
    assert muons.sum() / 1000 == pytest.approx(0.1739, abs=0.045)  # PDG 2024


@pytest.mark.parametrize(("particle", "c_tau", "number"), [("tau", 0.008703, 1000), ("K0S", 2.6844, 2000)])
def test_what_a_gun_lets_pythia_decay_flies_as_far_as_it_should(particle, c_tau, number):
    """Mean flight path of c tau beta gamma [cm], PDG 2024; taus decay where their products begin."""
    pytest.importorskip("pythia8mc")
    record, particles, _ = shoot(particle=particle, number=number, min_pt=2.0, max_pt=2.0, max_abs_eta=0.5)
    shot = np.abs(record.pdgid) == abs(KINDS[particle][0])
    beta_gamma = np.mean(np.sqrt(record.px**2 + record.py**2 + record.pz**2)[shot]) / KINDS[particle][1]
    if particle == "tau":
        begins = np.abs(particles.pdgid) == 16
        flight = np.sqrt(particles.x**2 + particles.y**2 + particles.z**2)[begins]
        assert np.allclose(particles.time[begins].mean() * 29.979, flight.mean() * np.sqrt(1 + 1 / beta_gamma**2), rtol=0.05)
    else:
        flight = np.sqrt(particles.end_x**2 + particles.end_y**2 + particles.end_z**2)[particles.ends]
        assert len(flight) > 0.99 * number
    assert flight.mean() == pytest.approx(c_tau * beta_gamma, rel=4 / np.sqrt(number))


def test_gun_settings_out_of_order_are_refused():
    with pytest.raises(ValueError, match=r"min_pt \(5.0\) must not exceed max_pt \(1.0\)"):
        GunConfig(min_pt=5.0, max_pt=1.0)
    with pytest.raises(ValueError, match="at least one kind"):
        GunConfig(particle=())


def test_a_gun_shoots_nothing_where_nothing_is_asked_for():
    for kind in ("pi", "pi0"):
        assert len(shoot(particle=kind, number=0).record.pdgid) == 0


def test_events_and_streams_are_independent():
    draws = {float(event_rng(seed, event, stream).random()) for seed in range(3) for event in range(3) for stream in range(2)}
    assert len(draws) == 18
    seeds = [pythia_seed(5, event) for event in range(10_000)]
    assert len(set(seeds)) == 10_000
    assert 1 <= min(seeds) <= max(seeds) < 900_000_000
    repeated = [pythia_seed(5, event, attempt) for event in range(0, 899_999, 9001) for attempt in range(MAX_ATTEMPTS)]
    assert len(set(repeated)) == len(repeated)
    assert not {pool_seed(5, collision) for collision in range(10_000)} & set(seeds)


def test_the_first_attempt_is_the_event_itself():
    assert pythia_seed(5, 3) == pythia_seed(5, 3, 0)
    assert event_rng(1, 2, 0).random() == event_rng(1, 2, 0, attempt=0).random() != event_rng(1, 2, 0, attempt=1).random()


def test_four_momentum_is_conserved_from_the_record_to_the_detector(ttbar):
    """Stable particles of the record carry the energy of the beams; their decay products fly through the detector with the same."""
    record, particles, _ = ttbar.event(1, 0)
    stable = record.status == 1
    assert record.energy[stable].sum() == pytest.approx(13600.0, rel=1e-4)
    assert record.px[stable].sum() == pytest.approx(0.0, abs=0.1)
    final = ~particles.ends
    assert particles.energy[final].sum() == pytest.approx(13600.0, rel=1e-4)
    assert record.charge[stable].sum() == 2


def test_decay_products_know_their_origin(ttbar):
    for event in range(5):
        record, particles, _ = ttbar.event(2, event)
        secondary = particles.parent >= 0
        assert (particles.parent < np.arange(len(secondary))).all()
        assert np.sum(~secondary) == np.sum(record.status == 1)
        origin = origins(particles.parent)
        assert np.isin(np.abs(particles.pdgid[origin[secondary]]), DECAY_IN_FLIGHT).all()
        for first in np.unique(origin[secondary]):
            children = secondary & (origin == first) & ~particles.ends
            assert particles.energy[children].sum() == pytest.approx(particles.energy[first], rel=1e-6)
        radius = np.hypot(particles.x, particles.y)
        assert np.median(radius[secondary]) > 1.0
        assert radius.max() < 110.1


def test_the_record_holds_top_quarks_and_stable_particles(ttbar):
    record = ttbar.event(3, 0).record
    assert np.sum(np.abs(record.pdgid) == 6) >= 2
    assert {1, 2, 22} <= set(record.status.tolist())
    assert not np.isin(np.abs(record.pdgid[record.status == 1]), (1, 2, 3, 4, 5, 6, 21)).any()


def test_an_event_depends_on_its_seed_and_number_only(ttbar):
    first = ttbar.event(1, 4).record.energy
    assert not np.array_equal(ttbar.event(1, 5).record.energy, first)
    assert np.array_equal(ttbar.event(1, 4).record.energy, first)
    assert np.array_equal(PythiaGenerator(SimulationConfig(process="ttbar")).event(1, 4).record.energy, first)


def test_chains_of_decays_lead_to_their_first_particle():
    # beam, Xi- (decays) -> Lambda (decays) pi-; Lambda -> p pi-; a prompt photon; a pi0 -> photons
    pdgid = np.array([90, 3312, 3122, -211, 2212, -211, 22, 111, 22, 22])
    status = np.array([-11, -83, -91, 91, 91, 91, 62, -83, 91, 91])
    mother = np.array([0, 0, 1, 1, 2, 2, 0, 0, 7, 7])
    flies, parent = _trace_decays(pdgid, status, mother, np.asarray(DECAY_IN_FLIGHT))
    assert flies.tolist() == [False, True, True, True, True, True, True, False, True, True]
    assert parent[flies].tolist() == [-1, 1, 1, 2, 2, -1, -1, -1]


def test_daughters_are_counted_as_pythias_manual_says():
    # nothing; one alone, written twice or once; a range; a pair written backwards
    first, last = np.array([0, 2, 2, 1, 4]), np.array([0, 2, 0, 3, 2])
    is_charged = np.array([False, True, False, True, True])
    number, charged = _count_daughters(first, last, is_charged)
    assert number.tolist() == [0, 1, 1, 3, 2]
    assert charged.tolist() == [0, 0, 0, 2, 1]


def test_top_quarks_and_ws_have_two_daughters_and_count_once(ttbar):
    for event in range(3):
        record = ttbar.event(4, event).record
        top, w = ((np.abs(record.pdgid) == identity) & record.is_last for identity in (6, 24))
        assert record.num_daughters[top].tolist() == [2, 2]
        assert record.num_charged_daughters[top].tolist() == [2, 2]  # W and b
        assert w.sum() >= 2
        assert np.sum(np.abs(record.pdgid) == 6) > 2  # the hard process has them once more
        assert not record.num_daughters[record.status == 1].any()
        assert not record.is_last[record.status == 21].any()


def test_both_taus_of_a_z_decay_to_hadrons_within_the_mass_window(ztautau):
    prongs = []
    for event in range(60):
        record = ztautau.event(1, event).record
        taus = np.flatnonzero((np.abs(record.pdgid) == 15) & record.is_last)
        taus = taus[np.argsort(record.energy[taus])[-2:]]  # a heavy hadron may have made a third one
        assert sorted(record.pdgid[taus].tolist()) == [-15, 15]
        hard = (np.abs(record.pdgid) == 15) & (record.status == 23)
        assert 60.0 < invariant_mass(record, hard) < 120.0
        prongs += record.num_charged_daughters[taus].tolist()
        assert np.sum((np.abs(record.pdgid) == 16) & (record.status == 1)) >= 2
    assert set(prongs) <= {1, 3, 5}
    assert np.mean(np.array(prongs) == 1) == pytest.approx(0.77, abs=0.16)  # of the decays to hadrons, PDG 2024


def test_taus_never_decay_to_electrons_or_muons_in_the_all_hadronic_process(ztautau):
    for event in range(60):
        record = ztautau.event(2, event).record
        leptons = np.isin(np.abs(record.pdgid), (11, 13)) & (record.status == 1)
        neutrinos = np.isin(np.abs(record.pdgid), (12, 14)) & (record.status == 1)
        # an electron or muon neutrino would be the partner of a lepton from a tau; those of the rest of the collision are soft
        assert np.hypot(record.px, record.py)[leptons | neutrinos].max(initial=0.0) < 10.0


def pt_hats(number, **settings):
    only_hard = tuple(f"{level} = off" for level in ("PartonLevel:MPI", "PartonLevel:ISR", "PartonLevel:FSR", "PartonLevel:Remnants", "HadronLevel:all"))
    config = SimulationConfig(process="qcd", pythia_settings=(*only_hard, "Check:event = off"), **settings)
    generator = PythiaGenerator(config)
    pts = []
    for event in range(number):
        record = generator.event(1, event).record
        outgoing = np.isin(record.status, (1, 23)) & (record.px != 0)
        assert outgoing.sum() == 2
        pts.append(np.hypot(record.px, record.py)[outgoing][0])
    return np.array(pts)


@pytest.mark.parametrize(("number", "bins", "tolerance"), [(1000, 4, 0.27), pytest.param(4000, 7, 0.23, marks=pytest.mark.slow)])
def test_pt_hat_is_flat_within_its_limits(number, bins, tolerance):
    pytest.importorskip("pythia8mc")
    pt = pt_hats(number, min_pt_hat=20.0, max_pt_hat=1000.0)
    assert 20.0 < pt.min() < pt.max() < 1000.0
    assert np.mean(pt) == pytest.approx(510.0, rel=0.05)  # 3 sigma of 1000 events
    assert np.histogram(pt, bins, (20.0, 1000.0))[0] / (number / bins) == pytest.approx(np.ones(bins), abs=tolerance)  # 15 % as said, and 2 sigma


def test_a_falling_pt_hat_falls():
    pytest.importorskip("pythia8mc")
    pt = pt_hats(500, min_pt_hat=30.0, pt_hat_spectrum="falling")
    assert np.median(pt) == pytest.approx(30.0 * 2 ** (1 / 4), rel=0.05)  # d sigma / d pt-hat ~ pt-hat^-5


def test_biased_events_do_not_depend_on_those_before():
    pytest.importorskip("pythia8mc")
    first, second = (PythiaGenerator(SimulationConfig(process="qcd")) for _ in range(2))
    several = [first.event(1, event).record for event in range(4)]
    assert np.array_equal(several[3].energy, second.event(1, 3).record.energy)
    assert all(np.sum(record.status == 1) > 20 for record in several)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"process": "qcd", "min_pt_hat": 50.0, "max_pt_hat": 40.0}, r"min_pt_hat \(50.0\) must not exceed max_pt_hat"),
        ({"process": "qcd", "max_pt_hat": 7000.0}, r"max_pt_hat \(7000.0\) must be below half of center_of_mass_energy"),
        ({"process": "ztautau", "min_mass": 130.0}, "min_mass"),
        ({"max_attempts": 1001}, "less than or equal to 1000"),
    ],
)
def test_impossible_limits_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SimulationConfig(**settings)


def test_settings_that_pythia_does_not_know_are_named():
    pytest.importorskip("pythia8mc")
    with pytest.raises(ConfigError, match="Tune:qq = 1"):
        PythiaGenerator(SimulationConfig(pythia_settings=("Tune:qq = 1",)))


def test_without_pythia_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(MissingDependencyError, match=r"pip install mlpf\[simulate\]"):
        PythiaGenerator(SimulationConfig())
    with pytest.raises(MissingDependencyError, match="a gun of tau needs Pythia 8"):
        shoot(particle=("pi", "tau"))
    assert len(shoot(particle="pi").record.pdgid) == 1
