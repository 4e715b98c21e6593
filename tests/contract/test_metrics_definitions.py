"""Every metric against its definition: answers known by hand, an oracle of loops, and changes of the input that must not matter."""

import copy
import dataclasses
import functools
import itertools
import math
import operator

import metrics_oracle as oracle
import numpy as np
import pytest
from scipy.stats import binom
from toy_particles import (
    BREM,
    CHARGED,
    ECAL,
    ELECTRON,
    GSF,
    HCAL,
    HF_EM,
    HF_HADRON,
    MUON,
    NEUTRAL,
    PHOTON,
    TRACK,
    Element,
    Event,
    Particle,
    build,
    classes,
    f32,
    own,
    random_toys,
    same,
)  # fmt: skip

from mlpf.candidates import Outputs, Prediction
from mlpf.metrics import binning
from mlpf.metrics.emd import compared_events
from mlpf.metrics.summary import Metrics

CLASSES = classes()


def collect(events, **how):
    dataset, predictions = build(events, **how)
    metrics = Metrics(["model"])
    metrics.update(dataset, predictions)
    return metrics


def measure(events, **how):
    return collect(events, **how).results()


def value(estimate):
    return estimate["value"]


def values(estimates):
    return [estimate["value"] for estimate in estimates if estimate["n"]]


def of_class(numbers, name):
    """(efficiency, fake rate, right class) of one class, over all particles."""
    return tuple(value(numbers[kind][name]["all"]) for kind in ("efficiency", "fake_rate", "right_class"))


def scene(num_events=6, **said):
    """Events with particles of all classes, far apart, one hard jet of two particles; generated jets and missing momentum are those of the targets."""
    events = []
    for k in range(num_events):
        central = [Particle(c, 4.0 + 2 * i + 0.5 * k, -1.8 + 0.9 * i, wrap(0.7 * k + i)) for i, c in enumerate((CHARGED, NEUTRAL, PHOTON, ELECTRON, MUON))]
        forward = [Particle(HF_HADRON, 25.0 + k, 3.7, wrap(k)), Particle(HF_EM, 7.0 + k, -4.2, wrap(2 * k))]
        pair = [Particle(CHARGED, 40.0 + 5 * k, 0.2, wrap(k + 2.2)), Particle(PHOTON, 30.0, 0.35, wrap(k + 2.3))]
        targets = [*central, *forward, *pair]
        x, y = (-sum(p.pt * direction(p.phi) for p in targets) for direction in (math.cos, math.sin))
        events.append(Event(own(*targets, **said), oracle.cluster(targets), targets, (math.hypot(x, y), math.atan2(y, x))))
    return events


def wrap(phi):
    return math.remainder(phi, 2 * math.pi)


def test_perfect_candidates_have_perfect_numbers():
    results = measure(scene(model=same, rule_based=same))
    assert results["num_events"] == 6
    for system in ("pf", "model"):
        elements, particles = results["elements"][system], results["particles"][system]
        confusion = np.array(elements["confusion"])
        assert confusion.sum() == np.trace(confusion) == 6 * 9
        for name in CLASSES:
            assert of_class(particles, name) == (1, 0, 1), name
            assert value(elements["efficiency"][name]["all"]) == 1
            assert value(elements["fake_rate"][name]["all"]) == 0
            check_spread(particles["residuals"][name]["pt_response"], 1, 0)
            check_spread(particles["residuals"][name]["energy_response"], 1, 0)
            for angle in ("delta_eta", "delta_phi"):
                check_spread(particles["residuals"][name][angle], 0, 0)
            assert value(results["multiplicity"][system][name]["difference"]["mean"]) == 0
            assert value(results["multiplicity"][system][name]["number"]) == (2 if name in ("charged_hadron", "photon") else 1)
    for system in ("pf", "model", "targets"):
        check_perfect_jets_and_met(results, system, scale=1)


def check_spread(numbers, median, iqr):
    assert value(numbers["median"]) == pytest.approx(median, abs=2e-6)
    assert value(numbers["iqr"]) == pytest.approx(iqr, abs=2e-6)
    if "iqr_over_median" in numbers:
        assert value(numbers["iqr_over_median"]) == pytest.approx(iqr / median, abs=2e-6)


def check_perfect_jets_and_met(results, system, scale):
    for region in ("central", "forward"):
        jets = results["jets"][system][region]
        for name in ("matched", "matched_wide"):
            assert value(jets[name]["all"]) == 1
            assert jets[name]["all"]["n"] == 6
        assert value(jets["purity"]["all"]) == 1
        check_spread(jets["response"]["all"], scale, 0)
        assert sum(jets["response"]["histogram"]) == 6
    mass = results["jets"][system]["central"]["mass_response"]["all"]  # two particles 0.18 apart: 6 GeV
    assert mass["median"]["n"] == 6
    assert value(mass["median"]) == pytest.approx(scale, abs=1e-4)
    met = results["met"][system]
    check_spread(met["ratio"]["all"], scale, 0)
    check_spread(met["ht_ratio"], scale, 0)


def test_ten_percent_too_much_of_everything_is_seen_everywhere():
    results = measure(scene(model=lambda p: p.moved(1.1)))
    for name in CLASSES:
        assert of_class(results["particles"]["model"], name) == (1, 0, 1)
        check_spread(results["particles"]["model"]["residuals"][name]["pt_response"], 1.1, 0)
        check_spread(results["particles"]["model"]["residuals"][name]["energy_response"], 1.1, 0)
    check_perfect_jets_and_met(results, "model", scale=1.1)


def test_the_energy_response_is_one_of_energies():
    photons = [Particle(PHOTON, 10.0, 0.2 * i, 0.3 * i) for i in range(6)]
    results = measure([Event(own(*photons, model=lambda p: p.moved(0.8, energy=1.3 * p.energy)))])
    check_spread(results["particles"]["model"]["residuals"]["photon"]["pt_response"], 0.8, 0)
    check_spread(results["particles"]["model"]["residuals"]["photon"]["energy_response"], 1.3, 0)


def test_directions_matter_for_neutral_particles_and_not_for_tracks():
    particles = measure(scene(model=lambda p: p.moved(eta=0.2)))["particles"]["model"]
    for name in ("neutral_hadron", "photon", "hf_hadron", "hf_em"):
        assert of_class(particles, name) == (0, 1, None), name
        assert particles["residuals"][name]["pt_response"]["median"]["value"] is None
    for name in ("charged_hadron", "electron", "muon"):
        assert of_class(particles, name) == (1, 0, 1), name
        check_spread(particles["residuals"][name]["delta_eta"], 0.2, 0)


def test_of_twins_exactly_half_are_fake():
    """The second of the two sits on an element that has no target."""
    events = scene(model=same)
    for event in events:
        event.elements += [Element(element.kind, None, None, element.target) for element in event.elements]
    results = measure(events)
    for name in CLASSES:
        assert of_class(results["particles"]["model"], name) == (1, 0.5, 1)
        assert value(results["elements"]["model"]["fake_rate"][name]["all"]) == 0.5
        assert value(results["elements"]["model"]["efficiency"][name]["all"]) == 1
        difference = results["multiplicity"]["model"][name]["difference"]["mean"]
        assert value(difference) == (2 if name in ("charged_hadron", "photon") else 1)
    check_spread(results["jets"]["model"]["central"]["response"]["all"], 2, 0)
    check_spread(results["met"]["model"]["ratio"]["all"], 2, 0)
    assert value(results["met"]["model"]["ht_ratio"]["median"]) >= 2


def test_missing_candidates_are_counted_with_their_binomial_interval():
    photons = own(*[Particle(PHOTON, 3.0, 0.2 * i, -1.0) for i in range(10)], model=same)
    for lost in photons[:3]:
        lost.model = None
    results = measure([Event(photons)])
    efficiency = results["particles"]["model"]["efficiency"]["photon"]
    for estimate in (efficiency["all"], results["elements"]["model"]["efficiency"]["photon"]["all"]):
        assert (estimate["value"], estimate["n"]) == (0.7, 10)
        tail = (1 - math.erf(math.sqrt(0.5))) / 2
        assert binom.sf(6, 10, estimate["low"]) == pytest.approx(tail, abs=1e-6)  # as many or more are as improbable
        assert binom.cdf(7, 10, estimate["high"]) == pytest.approx(tail, abs=1e-6)
    eta = dict(zip(results["bins"]["particle_eta"], efficiency["eta"], strict=False))
    assert [(eta[low]["value"], eta[low]["n"]) for low in (0.0, 0.5, 1.0, 1.5)] == [(0.0, 3), (1.0, 2), (1.0, 3), (1.0, 2)]
    pt = dict(zip(results["bins"]["particle_pt"], efficiency["pt"], strict=False))
    assert (pt[2.0]["value"], pt[2.0]["n"]) == (0.7, 10)
    assert pt[5.0] == {"value": None, "low": None, "high": None, "n": 0}


@pytest.mark.parametrize("category", [PHOTON, CHARGED, ELECTRON])
@pytest.mark.parametrize(("response", "matches"), [(0.1999, False), (0.2001, True), (1.0, True), (4.999, True), (5.001, False)])
def test_the_response_must_lie_between_a_fifth_and_five(category, response, matches):
    particles = measure([Event(own(Particle(category, 1.0, 0.3, 0.4), model=lambda p: p.moved(response)))])["particles"]["model"]
    name = next(name for name, c in CLASSES.items() if c == category)
    assert of_class(particles, name)[:2] == (float(matches), float(not matches))


@pytest.mark.parametrize("scale", [0.2, 5.0])
@pytest.mark.parametrize("pt", [1.0, 3.0, 0.7, 10.0])
def test_at_exactly_the_cut_charged_and_neutral_particles_fare_alike(scale, pt):
    efficiencies = set()
    for name in ("photon", "charged_hadron"):
        event = Event(own(Particle(CLASSES[name], pt, 0.3, 0.4), model=lambda p: p.moved(f32(np.float32(pt) * np.float32(scale)) / pt)))
        efficiencies.add(of_class(measure([event])["particles"]["model"], name)[0])
    assert len(efficiencies) == 1


@pytest.mark.parametrize(
    ("eta", "phi", "matches"), [(0.1499, 0, True), (0.1501, 0, False), (0, 0.1499, True), (0, -0.1501, False), (0.11, 0.11, False), (0.1, 0.1, True)]
)
@pytest.mark.parametrize("at", [0.0, 3.1, -3.13])
def test_neutral_particles_match_within_their_cone_at_any_azimuth(eta, phi, matches, at):
    said = own(Particle(NEUTRAL, 4.0, 1.0, at), model=lambda p: p.moved(eta=eta, phi=wrap(at + phi) - at))
    particles = measure([Event(said)])["particles"]["model"]
    assert of_class(particles, "neutral_hadron")[:2] == (float(matches), float(not matches))
    if matches:
        assert value(particles["residuals"]["neutral_hadron"]["delta_phi"]["median"]) == pytest.approx(phi, abs=2e-6)
        assert value(particles["residuals"]["neutral_hadron"]["delta_eta"]["median"]) == pytest.approx(eta, abs=2e-6)


def test_a_wrong_neutral_class_is_found_but_not_right():
    photons = [Particle(PHOTON, 3.0 + i, 0.4 * i, 1.0) for i in range(4)]
    results = measure([Event(own(*photons, model=lambda p: p.moved(category=NEUTRAL)))])
    assert of_class(results["particles"]["model"], "photon") == (1, None, 0)
    assert of_class(results["particles"]["model"], "neutral_hadron") == (None, 0, None)
    elements = results["elements"]["model"]
    assert value(elements["efficiency"]["photon"]["all"]) == 0
    assert value(elements["fake_rate"]["neutral_hadron"]["all"]) == 1
    assert value(elements["efficiency"]["any"]["all"]) == 1
    assert value(elements["fake_rate"]["any"]["all"]) == 0
    row, column = elements["classes"].index("photon"), elements["classes"].index("neutral_hadron")
    assert np.array(elements["confusion"])[row, column] == np.sum(elements["confusion"]) == 4
    assert value(results["multiplicity"]["model"]["neutral_hadron"]["difference"]["mean"]) == 4
    assert value(results["multiplicity"]["model"]["photon"]["difference"]["mean"]) == -4


def test_charged_and_neutral_particles_never_match():
    track, cluster = Particle(CHARGED, 4.0, 0.0, 0.0), Particle(PHOTON, 4.0, 1.0, 0.0)
    elements = [Element(TRACK, track, None, track.moved(category=PHOTON)), Element(ECAL, cluster, None, cluster.moved(category=CHARGED))]
    particles = measure([Event(elements)])["particles"]["model"]
    assert of_class(particles, "charged_hadron") == (0, 1, None)
    assert of_class(particles, "photon") == (0, 1, None)


def test_a_muon_that_is_called_a_hadron_is_found_on_its_track():
    particles = measure([Event(own(Particle(MUON, 9.0, 0.0, 0.0), model=lambda p: p.moved(category=CHARGED)))])["particles"]["model"]
    assert of_class(particles, "muon") == (1, None, 0)
    assert value(particles["fake_rate"]["charged_hadron"]["all"]) == 0


def test_tracks_match_on_themselves_only():
    """Two equal particles on two tracks: the candidate of the one is not that of the other, however near."""
    first, second = Particle(CHARGED, 5.0, 0.5, 0.5), Particle(CHARGED, 5.0, 0.5, 0.501)
    elsewhere = [Element(TRACK, first), Element(TRACK, None, None, first), Element(TRACK, second, None, second)]
    assert of_class(measure([Event(elsewhere)])["particles"]["model"], "charged_hadron") == (0.5, 0.5, 1)
    crossed = [Element(TRACK, first, None, second.moved(3.0)), Element(TRACK, second, None, first)]
    particles = measure([Event(crossed)])["particles"]["model"]
    assert of_class(particles, "charged_hadron") == (1, 0, 1)
    assert value(particles["residuals"]["charged_hadron"]["pt_response"]["median"]) == 2  # of 1 and 3


def test_an_electron_may_sit_on_its_track_or_on_its_gsf_element():
    electron = Particle(ELECTRON, 5.0, 0.5, 0.5)
    for kinds in ((TRACK, GSF), (GSF, TRACK)):
        elements = [Element(kinds[0], electron), Element(kinds[1], None, None, electron.moved(1.2, eta=0.01))]
        assert of_class(measure([Event(elements)])["particles"]["model"], "electron") == (1, 0, 1)


def test_the_assignment_serves_as_many_as_possible_where_the_nearest_pair_would_not():
    a, b = Particle(PHOTON, 10.0, 0.0, 0.0), Particle(PHOTON, 10.0, 0.1, 0.0)
    said = [Element(ECAL, a, None, b.moved(eta=-0.01)), Element(ECAL, b, None, b.moved(eta=0.12))]  # b and the first are nearest; a cannot reach the second
    assert of_class(measure([Event(said)])["particles"]["model"], "photon") == (1, 0, 1)


def test_pt_weighs_as_direction_does():
    """Two neutral particles 0.05 apart whose candidates sit crosswise: what fits in pt belongs together."""
    soft, hard = Particle(NEUTRAL, 10.0, 0.0, 0.0), Particle(NEUTRAL, 30.0, 0.05, 0.0)
    said = [Element(HCAL, soft, None, soft.moved(3.0, energy=0.0)), Element(HCAL, hard, None, hard.moved(1 / 3, energy=0.0))]
    residuals = measure([Event(said)])["particles"]["model"]["residuals"]["neutral_hadron"]
    check_spread(residuals["pt_response"], 1, 0)
    assert value(residuals["delta_eta"]["iqr"]) == pytest.approx(0.05, abs=1e-6)


def test_the_assignment_is_the_best_of_all():
    """Against every possible assignment of up to five particles in one spot."""
    rng = np.random.default_rng(3)
    for _ in range(15):
        sides = [[Particle(PHOTON, rng.lognormal(0, 0.8), *rng.uniform(0, 0.25, 2)) for _ in range(rng.integers(1, most))] for most in (6, 5)]
        truths, found = (list(enumerate(side)) for side in sides)

        def allowed(t, c):
            return oracle.delta_r(t, c) < 0.15 and oracle.allowed_response(t, c)

        best = oracle.assignment_by_permutation(truths, found, allowed)
        assert {t: c[0] for t, c in best.items()} == {t: c[0] for t, c in oracle.assignment(truths, found, allowed).items()}
        event = Event([Element(ECAL, t) for t in sides[0]] + [Element(ECAL, None, None, c) for c in sides[1]])
        particles = measure([event])["particles"]["model"]
        assert value(particles["efficiency"]["photon"]["all"]) == len(best) / len(truths)
        assert value(particles["fake_rate"]["photon"]["all"]) == pytest.approx(1 - len(best) / len(found))
        responses = [c.pt / dict(truths)[t].pt for t, (_, c) in best.items()]
        if responses:
            assert value(particles["residuals"]["photon"]["pt_response"]["median"]) == pytest.approx(np.median(responses), rel=0.02)


def test_events_without_anything_are_counted_and_leave_all_numbers_undefined():
    results = measure([Event(), Event()])
    assert results["num_events"] == 2
    assert results["num_elements"] == 0
    assert of_class(results["particles"]["model"], "photon") == (None, None, None)
    assert value(results["multiplicity"]["model"]["photon"]["number"]) == 0
    assert results["jets"]["model"]["central"]["matched"]["all"]["n"] == 0
    assert value(results["met"]["model"]["residual"]["all"]["median"]) == 0
    assert Metrics(["model"]).results()["num_events"] == 0


def test_events_without_truth_have_fakes_alone_and_without_candidates_losses_alone():
    candidates = [Element(element.kind, None, None, element.target) for event in scene(3) for element in event.elements]
    targets = [element for event in scene(3) for element in event.elements]
    for name in CLASSES:
        assert of_class(measure([Event(candidates)])["particles"]["model"], name) == (None, 1, None)
        assert of_class(measure([Event(targets)])["particles"]["model"], name) == (0, None, None)
    fakes = measure([Event(candidates)])["jets"]["model"]["central"]
    assert (fakes["matched"]["all"]["n"], value(fakes["purity"]["all"])) == (0, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_candidates_without_a_finite_momentum_are_left_out_and_counted(bad):
    photons = [Particle(PHOTON, 30.0, 0.0, 0.0), Particle(PHOTON, 10.0, 1.0, 0.0)]
    event = Event(own(*photons, model=lambda p: p.moved(bad, energy=1.0) if p.pt == 10 else p), oracle.cluster(photons), photons, (40.0, np.pi))
    results = measure([event])
    assert results["models"] == {"model": {"num_not_finite": 1}}
    assert of_class(results["particles"]["model"], "photon") == (0.5, 0, 1)
    assert value(results["met"]["model"]["ratio"]["all"]["median"]) == pytest.approx(0.75)
    assert value(results["multiplicity"]["model"]["photon"]["number"]) == 1


def test_efficiency_is_told_apart_by_the_origin_of_the_target():
    targets = [Particle(PHOTON, 4.0, 0.3 * i, 0.0, pileup=float(i >= 6)) for i in range(10)]
    elements = own(*targets, model=lambda p: p.moved(pileup=0.0) if p.eta < 2.2 else None)  # loses two of the four from pileup
    results = measure([Event(elements, num_pileup=30)])
    efficiency = results["particles"]["model"]["efficiency"]["photon"]
    assert [(efficiency[part]["value"], efficiency[part]["n"]) for part in ("hard", "pileup")] == [(1.0, 6), (0.5, 4)]


def test_without_its_pileup_an_event_has_less_momentum():
    hard, pileup = Particle(PHOTON, 40.0, 0.0, 0.0), Particle(PHOTON, 25.0, 1.5, 1.5, pileup=0.9)
    jets = oracle.cluster([hard])
    results = measure([Event(own(hard, pileup, model=lambda p: p.moved(1.2)), jets, [hard], (40.0, np.pi))])
    assert {"model_hard", "targets_hard"} <= results["systems"].keys()
    purity = {system: value(results["jets"][system]["central"]["purity"]["all"]) for system in ("model", "model_hard", "targets", "targets_hard")}
    assert purity == {"model": 0.5, "model_hard": 1.0, "targets": 0.5, "targets_hard": 1.0}
    ratio = {system: value(results["met"][system]["ratio"]["all"]["median"]) for system in purity}
    both = math.hypot(40 + 25 * math.cos(1.5), 25 * math.sin(1.5)) / 40
    assert ratio == pytest.approx({"model": 1.2 * both, "model_hard": 1.2, "targets": both, "targets_hard": 1.0}, rel=1e-5)


def test_collisions_have_bins_and_no_others_where_they_are_unknown():
    def photons(lost):
        return own(*[Particle(PHOTON, 5.0, 0.4 * i, 0.0) for i in range(5)], model=lambda p: None if p.eta < 0.4 * lost - 0.1 else p)

    collisions = (0, 1, 19, 20, 55, 199, -1)
    results = measure([Event(photons(lost), num_pileup=n) for lost, n in zip((0, 1, 2, 3, 4, 5, 5), collisions, strict=True)])
    assert results["bins"]["vertices"] == [0, 1, 20, 40, 60, 80, 100, 140, 200, 300]
    efficiency = results["particles"]["model"]["efficiency"]["photon"]["vertices"]
    assert [(e["value"], e["n"]) for e in efficiency if e["n"]] == [(1.0, 5), (0.7, 10), (0.4, 5), (pytest.approx(0.2), 5), (0.0, 5)]
    assert results["particles"]["model"]["efficiency"]["photon"]["all"]["n"] == 5 * len(collisions)
    for unknown in (None, -1, 0):
        results = measure([Event(photons(0), num_pileup=unknown)])
        assert "vertices" not in results["particles"]["model"]["efficiency"]["photon"]
        assert "vertices" not in results["jets"]["model"]["central"]["matched"]
        assert "vertices" not in results["met"]["model"]["residual"]


def test_missing_momentum_by_hand():
    """Two particles recoil against (-30, -40) GeV; the truth is 50 GeV along +y."""
    particles = [Particle(PHOTON, 30.0, 0.0, 0.0), Particle(CHARGED, 40.0, 1.0, np.pi / 2)]
    results = measure([Event(own(*particles, model=same), [], particles, (50.0, np.pi / 2))])
    residual, ratio = results["met"]["model"]["residual"], results["met"]["model"]["ratio"]
    assert residual["all"]["median"]["n"] == 2
    assert value(residual["all"]["median"]) == pytest.approx((-30 - 90) / 2, abs=1e-4)  # of -30 and -40 - 50
    assert value(residual["all"]["iqr"]) == pytest.approx(30, abs=1e-4)
    assert value(ratio["all"]["median"]) == pytest.approx(1.0, abs=1e-6)
    bins = dict(zip(results["bins"]["met"], ratio["genmet"]["median"], strict=False))
    assert [low for low, estimate in bins.items() if estimate["n"]] == [40.0]
    little = measure([Event(own(*particles, model=same), [], particles, (9.0, 0.0))])["met"]["model"]
    assert little["ratio"]["all"]["median"]["n"] == 0  # below 10 GeV a ratio says nothing
    assert little["residual"]["all"]["median"]["n"] == 2


def test_ht_is_of_central_jets_above_30_gev():
    hard, soft, forward = Particle(PHOTON, 60.0, 0.0, 0.0), Particle(PHOTON, 29.0, 1.0, 2.0), Particle(HF_EM, 90.0, 3.0, 1.0)
    event = Event(own(hard, soft, forward, model=lambda p: p.moved(1.1)), oracle.cluster([hard, soft, forward]))
    results = measure([event])
    assert value(results["met"]["targets"]["ht_ratio"]["median"]) == pytest.approx(1.0, abs=1e-6)
    assert value(results["met"]["model"]["ht_ratio"]["median"]) == pytest.approx(1.1 * (60 + 29) / 60, rel=1e-5)  # the soft one is now above 30


def test_a_jet_matches_one_generated_jet_only():
    """One reconstructed jet between two generated ones: it belongs to the nearer."""
    found = Particle(PHOTON, 50.0, 0.0, 0.0)
    generated = [Particle(0, 60.0, 0.06, 0.0), Particle(0, 40.0, -0.05, 0.0), Particle(0, 25.0, 2.0, 2.0)]
    jets = measure([Event(own(found, model=same), generated)])["jets"]["model"]["central"]
    assert (value(jets["matched"]["all"]), jets["matched"]["all"]["n"]) == (pytest.approx(1 / 3), 3)
    assert value(jets["matched_wide"]["all"]) == pytest.approx(1 / 3)
    assert value(jets["purity"]["all"]) == 1
    assert value(jets["response"]["all"]["median"]) == pytest.approx(50 / 40)


@pytest.mark.parametrize(("distance", "near", "wide"), [(0.09, 1, 1), (0.11, 0, 1), (0.19, 0, 1), (0.21, 0, 0)])
def test_jets_match_within_a_tenth_and_beside_it_two_tenths(distance, near, wide):
    found, generated = Particle(PHOTON, 50.0, 0.0, 3.1), Particle(0, 40.0, 0.0, wrap(3.1 + distance))
    jets = measure([Event(own(found, model=same), [generated])])["jets"]["model"]["central"]
    assert tuple(value(jets[name]["all"]) for name in ("matched", "matched_wide", "purity")) == (near, wide, near)
    assert jets["response"]["all"]["median"]["n"] == near


def test_jets_count_above_20_gev_in_their_own_region_and_bin():
    found = [Particle(PHOTON, 22.0, 0.0, 0.0), Particle(PHOTON, 15.0, 1.0, 2.0), Particle(HF_EM, 60.0, 2.6, -1.0), Particle(HF_EM, 35.0, -4.0, 1.0)]
    generated = [
        Particle(0, 19.0, 0.0, 0.0),
        Particle(0, 25.0, 1.0, 2.0),
        Particle(0, 55.0, 2.45, -1.0),
        Particle(0, 32.0, -4.05, 1.0),
        Particle(0, 90.0, 5.2, 0.0),
    ]
    results = measure([Event(own(*found, model=same), generated)])
    central, forward = (results["jets"]["model"][region] for region in ("central", "forward"))
    assert (value(central["matched"]["all"]), central["matched"]["all"]["n"]) == (0.5, 2)  # that of 25 GeV, by one of 15 GeV; that at 2.45 is 0.15 away
    assert value(central["matched_wide"]["all"]) == 1
    assert (value(central["purity"]["all"]), central["purity"]["all"]["n"]) == (1, 1)  # that of 22 GeV, by one of 19 GeV
    assert (value(forward["matched"]["all"]), forward["matched"]["all"]["n"]) == (1, 1)
    assert (value(forward["purity"]["all"]), forward["purity"]["all"]["n"]) == (0.5, 2)
    assert values(central["response"]["pt"]["median"]) == pytest.approx([15 / 25])
    low = [edge for edge, n in zip(results["bins"]["jet_eta"], [e["n"] for e in central["response"]["eta"]["median"]], strict=False) if n]
    assert low == [1.0]


def test_the_mass_of_a_jet_is_that_of_its_particles():
    pair = [Particle(PHOTON, 50.0, 0.0, 0.1), Particle(PHOTON, 50.0, 0.0, -0.1)]
    generated = oracle.cluster(pair)[0]
    assert oracle.mass(generated) == pytest.approx(100 * math.sin(0.1))  # m = 2 E sin(angle / 2)
    wider = own(*pair, model=lambda p: p.moved(phi=math.copysign(0.05, p.phi)))
    jets = measure([Event(wider, [generated])])["jets"]["model"]["central"]
    assert value(jets["mass_response"]["all"]["median"]) == pytest.approx(math.sin(0.15) / math.sin(0.1), rel=1e-4)
    assert value(jets["response"]["all"]["median"]) == pytest.approx(math.cos(0.15) / math.cos(0.1), rel=1e-5)
    light = measure([Event(own(pair[0], model=same), [pair[0]])])["jets"]["model"]["central"]
    assert (light["response"]["all"]["median"]["n"], light["mass_response"]["all"]["median"]["n"]) == (1, 0)  # no mass to divide by


def fineness(where, entries):
    """How far a quantile of these entries may be off: two fine bins, as wide as where the furthest quartile is; there are none beyond the largest values."""
    grid = binning.FINE_RESPONSE
    if "residual all" in where or "residual genmet" in where or "residual vertices" in where:
        grid = binning.FINE_MOMENTUM
    elif "delta_" in where:
        grid = binning.FINE_ANGLE
    quartiles = np.quantile(entries, (0.25, 0.5, 0.75))
    furthest = max(abs(x - grid.center) for x in quartiles)
    width = grid.step * math.hypot(grid.scale, furthest) if furthest < grid.largest else math.inf
    relative = max(1.0, abs(quartiles[2] - quartiles[0]) / max(abs(quartiles[1]), 1e-9)) / min(max(abs(quartiles[1]), 1e-9), 1.0)  # of the ratio
    return 2 * width * (relative if "response" in where or "ratio" in where else 1.0) + 1e-5 * max(1.0, *np.abs(quartiles))


@pytest.fixture(scope="module", params=[(False, 5), (True, 6)], ids=["without pileup", "with pileup"])
def toys(request):
    pileup, seed = request.param
    return random_toys(40, seed=seed, pileup=pileup)


@pytest.fixture(scope="module")
def toy_results(toys):
    return measure(toys)


ORACLES = {
    "elements": oracle.element_numbers,
    "particles": oracle.particle_numbers,
    "jets": oracle.jet_numbers,
    "met": oracle.met_numbers,
    "multiplicity": lambda events, system, bins: oracle.multiplicity_numbers(events, system),  # noqa: ARG005
}


@pytest.mark.parametrize("part", ORACLES)
def test_every_number_of_random_events_is_that_of_the_loops(toys, toy_results, part):
    numbers = 0
    for system, said in toy_results[part].items():
        numbers += oracle.compare(said, ORACLES[part](toys, system, toy_results["bins"]), f"{part} {system}", fineness)
    assert numbers > 30
    assert {"model", "pf"} <= toy_results[part].keys()


def moved_events(*targets, **said):
    """Forty events of the same particles, of which some are compared."""
    return [Event(own(*targets, **said), particles=list(targets)) for _ in range(40)]


@pytest.mark.parametrize(
    ("change", "distance"),
    [
        ({}, 0.0),
        ({"eta": 0.2}, 10 * 0.2 / 0.4),
        ({"phi": -0.3}, 10 * 0.3 / 0.4),
        ({"eta": 0.12, "phi": 0.16}, 10 * 0.2 / 0.4),
        ({"scale": 1.5}, 5.0),  # what is too much is paid for in full
        ({"scale": 0.5, "eta": 0.1}, 5 * 0.1 / 0.4 + 5),
        ({"eta": 1.5}, 20.0),  # further than twice the radius: removed here, made there
    ],
)
def test_the_energy_movers_distance_of_one_particle_by_hand(change, distance):
    emd = measure(moved_events(Particle(PHOTON, 10.0, 0.5, -3.1), model=lambda p: p.moved(**change)))["emd"]
    assert value(emd["model"]["all"]) == pytest.approx(distance, abs=1e-4)
    assert value(emd["model"]["normalised"]) == pytest.approx(distance / 10, abs=1e-5)
    assert 1 <= emd["model"]["all"]["n"] <= 20
    assert value(emd["targets"]["all"]) == pytest.approx(0, abs=1e-4)


def test_the_energy_movers_distance_is_the_cheapest_transport():
    """Against a linear program over all pairs of particles."""
    toys = random_toys(60, seed=9, mean_groups=2.0)
    results = measure(toys)
    compared = [toys[i] for i in compared_events(build(toys)[0])]
    assert len(compared) > 3
    for system in ("model", "model_hard", "pf", "targets"):
        distances = [oracle.energy_movers_distance([p for _, p in oracle.particles_of(event, system)], event.particles) for event in compared]
        shares = [d / sum(p.pt for p in event.particles) for d, event in zip(distances, compared, strict=True)]
        oracle.compare(results["emd"][system], {"all": oracle.Mean(distances), "normalised": oracle.Mean(shares)}, f"emd {system}", fineness)


def almost_equal(a, b, tolerance, where=""):
    """The same JSON up to a relative difference of numbers."""
    assert type(a) is type(b) or {type(a), type(b)} <= {int, float}, where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for name in a:
            almost_equal(a[name], b[name], tolerance, f"{where} {name}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, (one, other) in enumerate(zip(a, b, strict=True)):
            almost_equal(one, other, tolerance, f"{where} {i}")
    elif isinstance(a, float) and isinstance(b, float):
        assert a == pytest.approx(b, rel=tolerance, abs=tolerance), where
    else:
        assert a == b, where


NUMBERS = (*ORACLES, "emd")


def numbers_of(results):
    return {name: results[name] for name in NUMBERS}


def test_the_order_of_candidates_and_events_changes_nothing(toys, toy_results):
    rng = np.random.default_rng(1)
    shuffled = collect([toys[i] for i in rng.permutation(len(toys))], element_order=rng.permutation)
    almost_equal(numbers_of(shuffled.results()), numbers_of(toy_results), 1e-6)


def test_any_cut_into_chunks_gives_the_same_bits(toys, toy_results):
    dataset, predictions = build(toys)
    candidates, seen = predictions["model"].candidates, dataset.offsets["element"]
    streamed, merged = Metrics(["model"]), []
    for start, stop in itertools.pairwise((0, 1, 18, 18, 40)):
        outputs = Outputs(*(values[seen[start] : seen[stop]] for values in predictions["model"].outputs))
        chunk = dataset.slice(start, stop), {"model": Prediction(candidates.slice(start, stop), outputs)}
        streamed.update(*chunk)
        merged.append(Metrics(["model"]))
        merged[-1].update(*chunk)
    merged = functools.reduce(operator.add, reversed(merged))
    assert streamed.results() == merged.results() == toy_results
    assert streamed.performance() == merged.performance()


def test_sums_of_a_file_go_on_where_they_were(toys, toy_results, tmp_path):
    half = len(toys) // 2
    for name, part in (("first", toys[:half]), ("second", toys[half:])):
        collect(part).save(tmp_path / f"{name}.npz")
    merged = Metrics.load(tmp_path / "first.npz") + Metrics.load(tmp_path / "second.npz")
    assert merged.results() == toy_results


def test_models_are_measured_side_by_side(toys, toy_results):
    """Two that say the same have the same numbers, whatever they are called."""
    dataset, predictions = build(toys, names=("one", "two"))
    metrics = Metrics(["one", "two"])
    metrics.update(dataset, predictions)
    results = metrics.results()
    for name in NUMBERS:
        assert results[name]["one"] == results[name]["two"] == toy_results[name]["model"]
        assert results[name]["pf"] == toy_results[name]["pf"]
    assert [key for key in results["systems"] if not key.endswith("_hard")] == ["pf", "one", "two", "targets"]


def test_turning_events_about_the_beam_changes_only_px_and_py(toys, toy_results):
    """Residuals of px and py are those of other axes; everything else stays, across +-pi too."""
    turned = measure([changed(event, lambda p: p.moved(phi=2.0)) for event in toys])
    for results in (turned := numbers_of(turned), stayed := copy.deepcopy(numbers_of(toy_results))):
        for met in results["met"].values():
            del met["residual"]
    almost_equal(turned, stayed, 5e-3)


def test_a_mirrored_detector_has_mirrored_bins_in_eta(toys, toy_results):
    mirrored = numbers_of(measure([changed(event, lambda p: p.moved(eta=-2 * p.eta, energy=p.energy)) for event in toys]))
    for system, particles in mirrored["particles"].items():
        for kind in ("efficiency", "fake_rate", "right_class"):
            for name in CLASSES:
                assert particles[kind][name]["eta"] == toy_results["particles"][system][kind][name]["eta"][::-1]
                assert particles[kind][name]["all"] == toy_results["particles"][system][kind][name]["all"]
    for system, jets in mirrored["jets"].items():
        for region in jets:
            for kind in ("matched", "purity"):
                assert jets[region][kind]["eta"] == toy_results["jets"][system][region][kind]["eta"][::-1]
            almost_equal(jets[region]["response"]["all"], toy_results["jets"][system][region]["response"]["all"], 1e-5)


def changed(event, change):
    """The event with all its particles changed."""
    elements = [Element(e.kind, *(p and change(p) for p in (e.target, e.rule_based, e.model))) for e in event.elements]
    lists = [[change(p) for p in particles] for particles in (event.genjets, event.particles)]
    met = change(Particle(0, event.met[0], 0.0, event.met[1]))
    return Event(elements, *lists, (met.pt, wrap(met.phi)), event.num_pileup, event.number)


def test_elements_without_any_particle_count_as_such_only(toys, toy_results):
    padded = [dataclasses.replace(event, elements=[*event.elements, *[Element(ECAL)] * 7, *[Element(BREM)] * 3]) for event in toys]
    results = measure(padded)
    assert results["num_elements"] == toy_results["num_elements"] + 7 * len(toys)  # a model does not see bremsstrahlung points
    for system in results["elements"]:
        confusion = np.array(results["elements"][system].pop("confusion"))
        before = np.array(toy_results["elements"][system]["confusion"])
        assert confusion[0, 0] - before[0, 0] == confusion.sum() - before.sum() == 7 * len(toys)
    for name in ("particles", "jets", "met", "multiplicity", "emd"):
        assert results[name] == toy_results[name]
