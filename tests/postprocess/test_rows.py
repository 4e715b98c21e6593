import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpf.errors import NtupleError
from mlpf.events import Events, event_index
from mlpf.io.ntuple import read_ntuple
from mlpf.kinematics import momentum_from_pt_eta_phi
from mlpf.postprocess.association import associate_caloparticles
from mlpf.postprocess.policy import CaloParticlePolicy, TrackingParticlePolicy
from mlpf.postprocess.rows import columns_to_read, postprocess_events
from mlpf.testing import random_events

CALO, TRACKING = CaloParticlePolicy(), TrackingParticlePolicy()
EXACT = ("pid", "charge", "particle_number", "class")
CLOSE = ("pt", "eta", "sin_phi", "cos_phi", "energy", "ispu", "cp_to_track", "cp_to_cluster")


def assert_equals_reference(events, policy, reference):
    dataset, _ = postprocess_events(events, policy)
    targets_of = getattr(reference, f"{policy.name}_targets")
    candidates_of = getattr(reference, f"{policy.name}_candidates")
    for i in range(len(events)):
        row, ntuple = dataset.slice(i, i + 1), events.slice(i, i + 1)
        targets, candidate_of = targets_of(events, i), candidates_of(events, i)
        place = f"event {i}"
        assert row["element_index"].tolist() == list(targets), place
        for name in EXACT:
            assert row[f"target_{name}"].tolist() == [target[name] for target in targets.values()], f"{place}: {name}"
        for name in CLOSE:
            expected = np.array([target[name] for target in targets.values()])
            np.testing.assert_allclose(row[f"target_{name}"], expected, rtol=1e-4, atol=1e-5, err_msg=f"{place}: {name}")
        expected_pt = [ntuple["pfcandidate_pt"][candidate_of[e]] if e in candidate_of else 0 for e in targets]
        expected_pdgid = np.array([ntuple["pfcandidate_pdgid"][candidate_of[e]] if e in candidate_of else 0 for e in targets])
        assert row["candidate_pt"].tolist() == expected_pt, place
        assert row["candidate_class"].tolist() == np.abs(expected_pdgid).tolist(), place


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("policy", "version"), [(CALO, "2026"), (TRACKING, "2020"), (TRACKING, "2026")], ids=["caloparticle", "trackingparticle", "trackingparticle on 2026"]
)
def test_kernels_give_what_the_readable_reference_gives(policy, version, ties, reference):
    for seed, num_events, mean_elements in ((1, 900, 12), (2, 100, 40), (3, 4, 400)):
        events = random_events(np.random.default_rng(seed), num_events, mean_elements, version, ties)
        assert_equals_reference(events, policy, reference)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), mean_elements=st.floats(0, 60), ties=st.booleans(), calo=st.booleans())
def test_kernels_give_what_the_reference_gives_for_any_seed(reference, seed, mean_elements, ties, calo):
    events = random_events(np.random.default_rng(seed), 6, mean_elements, "2026", ties)
    assert_equals_reference(events, CALO if calo else TRACKING, reference)


@pytest.mark.parametrize("num_events", [4, pytest.param(105, marks=pytest.mark.slow)])
def test_kernels_give_what_the_reference_gives_on_simulated_events(reference, repository, num_events):
    events = read_ntuple(repository / "data" / "ttbar.root", columns_to_read(CALO), stop=num_events)
    assert_equals_reference(events, CALO, reference)


def without(events, *collections):
    """The events with nothing in some collections."""
    columns = {name: values[:0] if events.layout.collection_of[name] in collections else values for name, values in events.columns.items()}
    offsets = {name: values * (name not in collections) for name, values in events.offsets.items()}
    return Events(columns, offsets, len(events))


def sums_per_event(events, pt, eta, phi, energy, offsets):
    momentum = *momentum_from_pt_eta_phi(*(v.astype(np.float64) for v in (pt, eta, phi))), energy.astype(np.float64)
    return np.stack([np.bincount(event_index(offsets), component, len(events)) for component in momentum])


def test_targets_hold_the_four_momentum_of_all_particles_with_links():
    events = random_events(np.random.default_rng(4), 200)
    dataset, _ = postprocess_events(events, CALO)
    phi = np.arctan2(dataset["target_sin_phi"], dataset["target_cos_phi"])
    targets = sums_per_event(events, dataset["target_pt"], dataset["target_eta"], phi, dataset["target_energy"], dataset.offsets["element"])
    # The links after splitting know which CaloParticles had any: number - 1 is the index in the event.
    association = associate_caloparticles(events, CALO)
    number, element = association.particles.number[association.links.particle], association.links.element
    linked = np.unique(number - 1 + events.offsets["caloparticle"][event_index(events.offsets["element"])[element]])
    mask = np.isin(np.arange(events.size("caloparticle")), linked)
    truth = [events[f"caloparticle_{name}"] for name in ("pt", "eta", "phi", "energy")]
    expected = sums_per_event(events, truth[0] * mask, truth[1], truth[2], truth[3] * mask, events.offsets["caloparticle"])
    assert 0 < mask.sum() < len(mask)
    np.testing.assert_allclose(targets, expected, rtol=1e-4, atol=1e-2)


def test_no_particle_is_in_two_elements_and_splitting_happens():
    association = associate_caloparticles(random_events(np.random.default_rng(5), 200), CALO)
    assert len(np.unique(association.members.particle)) == len(association.members.particle)
    linked = np.unique(association.links.particle)
    assert set(association.members.particle) == set(linked)
    assert np.bincount(association.particles.number[linked]).max() > 1


def test_results_do_not_depend_on_the_order_of_the_links():
    rng = np.random.default_rng(6)
    events = random_events(rng, 200)
    shuffled = dict(events.columns)
    for truth in ("trackingparticle", "caloparticle", "simcluster"):
        name = f"{truth}_to_element"
        pairs = np.stack([event_index(events.offsets[name]), events[f"{name}.first"], events[f"{name}.second"]])
        _, unique = np.unique(pairs, axis=1, return_index=True)  # of a pair listed twice the last one counts, so list it once
        counts = np.bincount(pairs[0, unique], minlength=len(events))
        events.offsets[name] = np.concatenate([[0], np.cumsum(counts)])
        order = np.lexsort((rng.random(len(unique)), pairs[0, unique]))
        for column in (f"{name}.first", f"{name}.second", f"{name}_cmp"):
            values = events[column][unique] if not column.endswith("_cmp") else events[column][unique] + 1e-3 * np.arange(len(unique))  # no ties
            events.columns[column], shuffled[column] = values.astype(events[column].dtype), values[order].astype(events[column].dtype)
    expected, _ = postprocess_events(events, CALO)
    found, _ = postprocess_events(events.with_columns(shuffled), CALO)
    for name in expected.columns:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("policy", [CALO, TRACKING], ids=["caloparticle", "trackingparticle"])
def test_rotating_an_event_rotates_its_targets(policy):
    angle = 0.7
    events = random_events(np.random.default_rng(7), 100)
    rotated = events.with_columns({name: events[name] + np.float32(angle) for name in events.columns if name.endswith("_phi")})
    expected, _ = postprocess_events(events, policy)
    found, _ = postprocess_events(rotated, policy)
    for name in EXACT:
        np.testing.assert_array_equal(found[f"target_{name}"], expected[f"target_{name}"])
    before, after = (dataset["target_cos_phi"] + 1j * dataset["target_sin_phi"] for dataset in (expected, found))
    clear = expected["target_pt"] > 0.05  # the azimuth of a sum that cancels is noise
    np.testing.assert_allclose(after[clear], before[clear] * np.exp(1j * angle), atol=1e-4)


@pytest.mark.parametrize("policy", [CALO, TRACKING], ids=["caloparticle", "trackingparticle"])
@pytest.mark.parametrize("missing", ["truth", "links", "elements", "candidates", "events"])
def test_events_without_something_pass_through(policy, missing):
    events = random_events(np.random.default_rng(8), 10)
    truth = ("trackingparticle", "simcluster", "caloparticle")
    links = tuple(f"{name}_to_element" for name in truth)
    collections = {
        "truth": (*truth, *links, "caloparticle_to_simcluster"),
        "links": links,
        "elements": ("element", *links, "element_to_candidate", "element_distance"),
        "candidates": ("pfcandidate", "element_to_candidate"),
        "events": (),
    }[missing]
    events = random_events(np.random.default_rng(8), 0) if missing == "events" else without(events, *collections)
    if missing == "links":  # and no track that could be linked to a SimCluster near by
        events = events.with_columns({"element_pt": np.zeros(events.size("element"))})
    dataset, summary = postprocess_events(events, policy)
    assert len(dataset) == len(events) == summary.num_events
    if missing in ("truth", "links"):
        for name in (*EXACT, *CLOSE):
            assert not dataset[f"target_{name}"].any(), name
        assert (dataset["target_jet_index"] == -1).all()
        assert dataset.size("element") > 0
    if missing == "elements":
        assert summary.events_without_elements == len(events)
        assert summary.unmatched_candidates == events.size("pfcandidate") > 0


def test_every_chunking_gives_the_same_rows():
    events = random_events(np.random.default_rng(9), 30)
    whole, _ = postprocess_events(events, TRACKING)
    for i in range(30):
        alone, _ = postprocess_events(events.slice(i, i + 1), TRACKING)
        for name in whole.columns:
            np.testing.assert_array_equal(alone[name], whole.slice(i, i + 1)[name], err_msg=name)


def test_element_columns_keep_the_values_of_the_ntuple_but_for_the_pt_of_ho():
    events = random_events(np.random.default_rng(10), 20)
    dataset, summary = postprocess_events(events, CALO)
    index = dataset["element_index"] + np.repeat(events.offsets["element"][:-1], dataset.counts("element"))
    for name in events.layout.names("element"):
        if name != "element_pt":
            np.testing.assert_array_equal(dataset[name], events[name][index])
    is_ho = dataset["element_type"] == 11
    np.testing.assert_array_equal(dataset["element_pt"][~is_ho], events["element_pt"][index][~is_ho])
    np.testing.assert_allclose(dataset["element_pt"][is_ho], (events["element_energy"] / np.cosh(events["element_eta"]))[index][is_ho], rtol=1e-6)
    assert is_ho.any()
    assert not np.isin(dataset["element_type"], (2, 3, 7)).any()
    assert sum(summary.dropped_by_type.values()) == events.size("element") - dataset.size("element")


def test_particles_are_the_stable_visible_ones_and_jets_are_made_of_what_they_say():
    events = random_events(np.random.default_rng(11), 50)
    dataset, _ = postprocess_events(events, CALO)
    visible = (events["gen_status"] == 1) & ~np.isin(np.abs(events["gen_pdgid"]), (12, 14, 16))
    np.testing.assert_array_equal(dataset["particle_pt"], events["gen_pt"][visible])
    np.testing.assert_array_equal(dataset["particle_pdgid"], events["gen_pdgid"][visible])
    assert (dataset["genjet_pt"] > 3).all()
    assert dataset.size("genjet") > 0
    jet = dataset["target_jet_index"]
    flat = (jet + np.repeat(dataset.offsets["targetjet"][:-1], dataset.counts("element")))[jet >= 0]
    energy = np.bincount(flat, dataset["target_energy"][jet >= 0], dataset.size("targetjet"))
    np.testing.assert_allclose(dataset["targetjet_energy"], energy, rtol=1e-4)
    assert (jet >= 0).any()


def test_genmet_balances_the_stable_particles_only_where_the_ntuple_has_none():
    events = random_events(np.random.default_rng(12), 60)
    dataset, _ = postprocess_events(events, CALO)
    counts = events.counts("genmet")
    assert set(counts) == {0, 1}
    np.testing.assert_array_equal(dataset["genmet_pt"][counts == 1], events["genmet_pt"])
    for i in np.flatnonzero(counts == 0):
        row = dataset.slice(i, i + 1)
        vector = -np.sum(row["particle_pt"] * np.exp(1j * row["particle_phi"].astype(np.float64)))
        assert row["genmet_pt"][0] * np.exp(1j * row["genmet_phi"][0]) == pytest.approx(vector, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("policy", [CALO, TRACKING], ids=["caloparticle", "trackingparticle"])
def test_pileup_collisions_are_those_of_the_same_crossing(policy):
    events = random_events(np.random.default_rng(3), 40)
    dataset, _ = postprocess_events(events, policy)
    expected = []
    for i in range(len(events)):
        event = events.slice(i, i + 1)
        collisions = [int(ev) for ev, bx in zip(event[f"{policy.name}_ev"], event[f"{policy.name}_bx"], strict=True) if bx == 0]
        expected.append(max(collisions, default=0))
    assert dataset["num_pileup"].tolist() == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("policy", [CALO, TRACKING], ids=["caloparticle", "trackingparticle"])
def test_pileup_is_unknown_where_the_ntuple_does_not_number_its_collisions(policy):
    events = random_events(np.random.default_rng(3), 4)
    columns = {name: values for name, values in events.columns.items() if name != f"{policy.name}_ev"}
    dataset, _ = postprocess_events(Events(columns, events.offsets, len(events)), policy)
    assert dataset["num_pileup"].tolist() == [-1] * 4


@pytest.mark.parametrize("policy", [CALO, TRACKING], ids=["caloparticle", "trackingparticle"])
def test_a_missing_truth_branch_is_named(policy):
    events = random_events(np.random.default_rng(13), 5)
    for missing in policy.required_columns:
        kept = Events({name: values for name, values in events.columns.items() if name != missing}, events.offsets, 5, "broken.root")
        with pytest.raises(NtupleError, match=rf"broken.root: branch '{missing}' is missing, which the policy {policy.name} needs"):
            postprocess_events(kept, policy)


@pytest.mark.parametrize("policy", [CALO, TRACKING], ids=["caloparticle", "trackingparticle"])
def test_a_link_that_points_outside_its_event_is_an_error(policy):
    events = random_events(np.random.default_rng(14), 5)
    for name in ("simcluster_to_element.second", "simcluster_idx_trackingparticle", "element_to_candidate.second"):
        values = events[name].copy()
        values[-1] = 10_000
        with pytest.raises(NtupleError, match=r"event \d+: " + name.replace(".", r"\.") + r"\[\d+\] = 10000 points outside"):
            postprocess_events(events.with_columns({name: values}), policy)


@pytest.mark.parametrize("name", ["element_pt", "element_energy", "caloparticle_eta", "caloparticle_to_element_cmp", "pfcandidate_phi"])
def test_non_finite_values_are_an_error_or_zero(name):
    events = random_events(np.random.default_rng(15), 5)
    values = events[name].copy()
    values[3] = np.nan
    broken = events.with_columns({name: values})
    with pytest.raises(NtupleError, match=rf"event 0: {name}: 1 non-finite values \(first at entry 3\); pass --nonfinite zero"):
        postprocess_events(broken, CALO)
    values = values.copy()
    values[3] = 0
    found, summary = postprocess_events(broken, CALO, nonfinite="zero")
    expected, _ = postprocess_events(events.with_columns({name: values}), CALO)
    assert summary.non_finite == {name: 1}
    for column in expected.columns:
        np.testing.assert_array_equal(found[column], expected[column], err_msg=column)


@pytest.mark.parametrize("name", ["element_energy", "caloparticle_energy", "pfcandidate_energy"])
def test_a_negative_energy_is_an_error_that_names_it(name):
    events = random_events(np.random.default_rng(15), 5)
    values = events[name].copy()
    values[3] = -0.5
    for nonfinite in ("error", "zero"):
        with pytest.raises(NtupleError, match=rf"event 0: {name}\[3\] = -0.5 is negative \(1 such values\)"):
            postprocess_events(events.with_columns({name: values}), CALO, nonfinite=nonfinite)


def test_a_negative_energy_of_an_unstable_generator_particle_does_no_harm():
    events = random_events(np.random.default_rng(15), 5)
    energy = np.where(events["gen_status"] == 1, events["gen_energy"], -1)
    postprocess_events(events.with_columns({"gen_energy": energy}), CALO)


def test_non_finite_values_that_nothing_is_computed_from_are_kept_and_counted():
    events = random_events(np.random.default_rng(16), 5)
    time, eta = events["element_time"].copy(), events["gen_eta"].copy()
    time[0] = np.nan
    eta[np.flatnonzero(events["gen_status"] != 1)] = np.inf  # beam remnants
    dataset, summary = postprocess_events(events.with_columns({"element_time": time, "gen_eta": eta}), CALO)
    assert np.isnan(dataset["element_time"]).sum() == 1
    assert summary.non_finite["element_time"] == 1


def test_a_particle_along_the_beam_does_no_harm():
    events = random_events(np.random.default_rng(17), 20)
    pt, eta = events["caloparticle_pt"].copy(), events["caloparticle_eta"].copy()
    pt[::5], eta[::5] = 0, 22756  # ROOT's pseudorapidity of a momentum without pt
    dataset, _ = postprocess_events(events.with_columns({"caloparticle_pt": pt, "caloparticle_eta": eta}), CALO)
    assert np.isfinite(dataset["target_eta"]).all()


@pytest.mark.parametrize(
    ("name", "value", "spoilt"), [("caloparticle_eta", 800, "target_eta"), ("gen_eta", 800, "genjet_eta"), ("caloparticle_pt", 3e38, "targetjet_pt")]
)
def test_absurd_momenta_are_an_error_in_what_they_spoil_or_zero(name, value, spoilt):
    events = random_events(np.random.default_rng(1), 5)
    values = events[name].copy()
    values[::3] = value
    with pytest.raises(NtupleError, match=rf"{spoilt}: \d+ non-finite values"):
        postprocess_events(events.with_columns({name: values}), CALO)
    dataset, _ = postprocess_events(events.with_columns({name: values}), CALO, nonfinite="zero")
    assert not dataset.non_finite()


def test_columns_beyond_those_to_read_are_not_needed():
    events = random_events(np.random.default_rng(18), 10)
    for policy in (CALO, TRACKING):
        names = columns_to_read(policy)
        offsets = {name: values for name, values in events.offsets.items() if any(events.layout.collection_of[column] == name for column in names)}
        few = Events({name: events[name] for name in names}, offsets, 10)
        found, _ = postprocess_events(few, policy)
        expected, _ = postprocess_events(events, policy)
        for name in expected.columns:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
