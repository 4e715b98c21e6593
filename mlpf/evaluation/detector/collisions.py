"""Reduction of collisions: jets, tracks in jets, numbers of elements and candidates, missing momentum, tau decays."""

import numpy as np

from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.evaluation.detector.pileup_subtraction import from_other_vertices, subtracted_jets
from mlpf.evaluation.detector.samples import join
from mlpf.evaluation.detector.singles import tracking_tables
from mlpf.events import Events, event_index, offsets_from_counts
from mlpf.jets import cluster_jets
from mlpf.kinematics import momentum_from_pt_eta_phi
from mlpf.metrics.jets import JetSet, Table, compare_jets, generated_jets
from mlpf.metrics.matching import nearby_pairs
from mlpf.schema import CHARGED_CLASSES, CandidateClass, ElementType
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.particles import NEUTRINOS
from mlpf.simulation.simulate import simulate

SHARES = {
    "charged_hadron": (CandidateClass.CHARGED_HADRON,),
    "photon": (CandidateClass.PHOTON, CandidateClass.HF_EM),
    "neutral_hadron": (CandidateClass.NEUTRAL_HADRON, CandidateClass.HF_HADRON),
    "lepton": (CandidateClass.ELECTRON, CandidateClass.MUON),
}
MIN_JET_PT = 10.0  # GeV; softer jets are in no table
JET_RADIUS = 0.4
TAU_CONE = 0.2
MIN_PRONG_PT, MIN_TAU_PT = 1.0, 20.0  # GeV
Momenta = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # pt, eta, phi, energy


def collisions(config: SimulationConfig, num_events: int, seed: int, first_event: int) -> Table:
    """All tables of this module and `tracking_tables`."""
    return join([collision_tables(rule_based_particle_flow(chunk)) for chunk in simulate(config, num_events, seed, first_event)])


def taus(config: SimulationConfig, num_events: int, seed: int, first_event: int) -> Table:
    """Table ``tau.*``; see `tau_table`."""
    return join([tau_table(rule_based_particle_flow(chunk)) for chunk in simulate(config, num_events, seed, first_event)])


def collision_tables(events: Events) -> Table:
    """Events with candidates -> columns of several tables.

    Returns:
        ``genjet.*``: ``pt, eta``, ``delta_r`` to its jet of candidates (infinite if none), ``response``, ``share_<class>`` of its energy.
        ``jet.*``: ``pt, eta, delta_r`` to its generated jet, ``share_<class>``.
        ``event.*``: ``num_elements``, ``num_<type>``, ``num_<class>``, ``met_x``, ``met_y`` (candidates less generated), ``sum_pt``, ``num_collisions``.
        ``candidate.*``: ``pid, pt`` of every candidate.
        ``particle.*`` and ``track.*`` of `tracking_tables`, with ``delta_r`` and ``jet_pt`` of the nearest jet.
    """
    return {**_jet_tables(events), **_event_table(events), **_candidate_table(events), **_tracks_in_jets(events)}


def generated_classes(pdgid: np.ndarray, charge: np.ndarray) -> np.ndarray:
    """Class that an ideal detector gives each stable generated particle; 0 for neutrinos."""
    identity = np.abs(pdgid)
    classes = np.where(charge != 0, CandidateClass.CHARGED_HADRON, CandidateClass.NEUTRAL_HADRON)
    return np.where(np.isin(identity, (11, 13, 22)), identity, np.where(np.isin(identity, NEUTRINOS), 0, classes))


def _jet_tables(events: Events) -> Table:
    has_pileup = bool(np.any(events["trackingparticle_ev"] > 0))
    left_out = from_other_vertices(events) if has_pileup else np.zeros(events.size("pfcandidate"), dtype=bool)
    if has_pileup:
        found, jet_of = subtracted_jets(events, left_out)
    else:
        found, jet_of = _jets(momenta(events, "pfcandidate"), events.offsets["pfcandidate"])
    classes = generated_classes(events["gen_pdgid"], events["gen_charge"])
    visible = (events["gen_status"] == 1) & (classes > 0)
    pt, eta, phi, energy = momenta(events, "gen")
    generated, generated_jet_of = _jets((np.where(visible, pt, 0.0), eta, phi, energy), events.offsets["gen"])
    truth_table, found_table = compare_jets(generated, found)
    shares = _shares(generated, generated_jet_of, classes, events["gen_energy"], events.offsets["gen"])
    found_shares = _shares(found, jet_of, np.abs(events["pfcandidate_pdgid"]), events["pfcandidate_energy"], events.offsets["pfcandidate"])
    truth_table["response"] = truth_table.pop("pt_response")
    del truth_table["mass_response"]
    return {**_named("genjet", truth_table | shares, generated.pt > MIN_JET_PT), **_named("jet", found_table | found_shares, found.pt > MIN_JET_PT)}


def momenta(events: Events, collection: str) -> Momenta:
    """pt, eta, phi, energy of a collection."""
    pt, eta, phi, energy = (events[f"{collection}_{name}"] for name in ("pt", "eta", "phi", "energy"))
    return pt, eta, phi, energy


def _jets(particles: Momenta, offsets: np.ndarray) -> tuple[JetSet, np.ndarray]:
    jets = cluster_jets(*particles, offsets)
    return JetSet(jets.pt, jets.eta, jets.phi, np.zeros(len(jets.pt)), jets.offsets), jets.constituent_jet


def _shares(jets: JetSet, jet_of: np.ndarray, classes: np.ndarray, energy: np.ndarray, offsets: np.ndarray) -> Table:
    """Shares of classes in the energy of jets."""
    inside = jet_of >= 0
    jet = jet_of[inside] + jets.offsets[event_index(offsets)[inside]]
    total = np.bincount(jet, energy[inside], minlength=len(jets.pt))
    shares = {}
    for name, members in SHARES.items():
        of_class = np.isin(classes[inside], members)
        shares[f"share_{name}"] = np.bincount(jet[of_class], energy[inside][of_class], minlength=len(jets.pt)) / np.maximum(total, 1e-9)
    return shares


def _named(name: str, table: Table, chosen: np.ndarray) -> Table:
    return {f"{name}.{column}": values[chosen] for column, values in table.items()}


def _event_table(events: Events) -> Table:
    element_event, event = event_index(events.offsets["element"]), event_index(events.offsets["pfcandidate"])
    pt, phi, pid = events["pfcandidate_pt"], events["pfcandidate_phi"], np.abs(events["pfcandidate_pdgid"])
    num_events = len(events)
    met = [-np.bincount(event, pt * turn(phi), minlength=num_events) - events["genmet_pt"] * turn(events["genmet_phi"]) for turn in (np.cos, np.sin)]
    last_collision = np.zeros(num_events, dtype=np.int64)
    np.maximum.at(last_collision, event_index(events.offsets["trackingparticle"]), events["trackingparticle_ev"])
    table = {
        "num_elements": events.counts("element"),
        "met_x": met[0],
        "met_y": met[1],
        "sum_pt": np.bincount(event, pt, minlength=num_events),
        "num_collisions": 1 + last_collision,
    }
    for kind in ElementType:
        table[f"num_{kind.name}"] = np.bincount(element_event[events["element_type"] == kind], minlength=num_events)
    for category in CandidateClass:
        table[f"num_{category.name.lower()}"] = np.bincount(event[pid == category], minlength=num_events)
    return {f"event.{name}": values for name, values in table.items()}


def _candidate_table(events: Events) -> Table:
    return {"candidate.pid": np.abs(events["pfcandidate_pdgid"]), "candidate.pt": events["pfcandidate_pt"]}


def _tracks_in_jets(events: Events) -> Table:
    """`tracking_tables` and, of each particle, delta R to the nearest generated jet's axis and the jet's pt (infinite and 0 without one)."""
    table = tracking_tables(events)
    jets = generated_jets(events)
    counts = np.bincount(table["particle.event"], minlength=len(events))
    order = np.argsort(table["particle.event"], kind="stable")
    pairs = nearby_pairs(table["particle.eta"][order], table["particle.phi"][order], offsets_from_counts(counts), jets.eta, jets.phi, jets.offsets, JET_RADIUS)
    by_distance = np.argsort(-pairs[2], kind="stable")  # the last one written is the nearest
    distance, jet_pt = np.full(len(order), np.inf), np.zeros(len(order))
    particle = order[pairs[0][by_distance]]
    distance[particle], jet_pt[particle] = pairs[2][by_distance], jets.pt[pairs[1][by_distance]]
    return {**table, "particle.delta_r": distance, "particle.jet_pt": jet_pt}


def tau_table(events: Events) -> Table:
    """Hadronic tau decays, generated and reconstructed with the same cone around the generated direction.

    Returns:
        ``tau.*``, a row per tau of more than 20 GeV with abs(eta) < 2.3: ``pt`` (visible), ``mass``, ``num_prongs``, ``pf_pt``, ``pf_mass``, ``pf_num_prongs``.
    """
    chosen = (np.abs(events["gen_pdgid"]) == 15) & (events["gen_status"] == 2) & (events["gen_pt"] > MIN_TAU_PT) & (np.abs(events["gen_eta"]) < 2.3)
    offsets = offsets_from_counts(np.bincount(event_index(events.offsets["gen"])[chosen], minlength=len(events)))
    axis = events["gen_eta"][chosen], events["gen_phi"][chosen], offsets
    classes = np.where(events["gen_status"] == 1, generated_classes(events["gen_pdgid"], events["gen_charge"]), 0)
    true = _in_cones(axis, momenta(events, "gen"), classes, events.offsets["gen"])
    pid = np.abs(events["pfcandidate_pdgid"])
    found = _in_cones(axis, momenta(events, "pfcandidate"), pid, events.offsets["pfcandidate"])
    return {**{f"tau.{name}": values for name, values in true.items()}, **{f"tau.pf_{name}": values for name, values in found.items()}}


def _in_cones(axis: tuple[np.ndarray, np.ndarray, np.ndarray], particles: Momenta, classes: np.ndarray, offsets: np.ndarray) -> Table:
    """Sums over what lies in the cone: visible pt and mass [GeV], number of charged particles above 1 GeV."""
    pt, eta, phi, energy = particles
    cone, particle, _ = nearby_pairs(*axis, eta, phi, offsets, TAU_CONE)
    used = classes[particle] > 0
    cone, particle = cone[used], particle[used]
    momentum = momentum_from_pt_eta_phi(pt[particle].astype(np.float64), eta[particle].astype(np.float64), phi[particle].astype(np.float64))
    px, py, pz, total = (np.bincount(cone, values, minlength=len(axis[0])) for values in (*momentum, energy[particle].astype(np.float64)))
    prong = np.isin(classes[particle], CHARGED_CLASSES) & (pt[particle] > MIN_PRONG_PT)
    mass = np.sqrt(np.maximum(total**2 - px**2 - py**2 - pz**2, 0.0))
    return {"pt": np.hypot(px, py), "mass": mass, "num_prongs": np.bincount(cone[prong], minlength=len(axis[0]))}
