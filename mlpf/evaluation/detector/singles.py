"""Reductions of particle guns: what the detector and rule-based particle flow make of one particle, and which tracks are found."""

import numpy as np

from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.evaluation.detector.samples import join
from mlpf.events import Events, event_index
from mlpf.metrics.jets import Table
from mlpf.postprocess.association import to_chunk
from mlpf.schema import CandidateClass, ElementType
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.generation.gun import is_intact
from mlpf.simulation.simulate import simulate

ENERGY_TYPES = {"ecal": (ElementType.ECAL,), "hcal": (ElementType.HCAL,), "ho": (ElementType.HO,), "hf": (ElementType.HFEM, ElementType.HFHAD)}
COUNTED = (ElementType.TRACK, ElementType.GSF, ElementType.BREM, ElementType.ECAL, ElementType.PS1, ElementType.PS2, ElementType.SC)
MIN_OWN_SHARE = 0.25  # of a cluster's energy, from particles and not from noise; ours
CANDIDATE_CLASSES = ("charged_hadron", "neutral_hadron", "photon", "electron", "muon")


def single_particles(config: SimulationConfig, num_events: int, seed: int, first_event: int) -> Table:
    """One row per event: what became of its one particle; see `single_particle_table`."""
    return join([single_particle_table(rule_based_particle_flow(chunk)) for chunk in simulate(config, num_events, seed, first_event)])


def tracked_particles(config: SimulationConfig, num_events: int, seed: int, first_event: int) -> Table:
    """Tables ``particle.*`` and ``track.*`` of guns; see `tracking_tables`."""
    return join([tracking_tables(chunk) for chunk in simulate(config, num_events, seed, first_event)])


def single_particle_table(events: Events) -> Table:
    """Events of one particle -> ``(B,)`` columns.

    Only elements linked to something simulated count, and candidates that hold one: noise is left out, whatever the particle made on its way is not.

    Returns:
        ``pt, eta, energy``: of the particle. ``is_intact``: see `gun.is_intact`.
        ``ecal``, ``hcal``, ``ho``, ``hf``: energy of its clusters, ``ecal_corrected`` their calibrated one [GeV].
        ``pf``: energy of its candidates, ``pf_<class>`` of those of a class [GeV]. ``num_<type>``: its elements.
    """
    own = own_elements(events)
    first = events.offsets["gen"][:-1]
    table = {name: events[f"gen_{name}"][first].astype(np.float64) for name in ("pt", "eta", "energy")}
    kind = events["element_type"]
    for name, types in ENERGY_TYPES.items():
        table[name] = _per_event(events, "element", own & np.isin(kind, types), events["element_energy"])
    table["ecal_corrected"] = _per_event(events, "element", own & (kind == ElementType.ECAL), events["element_corr_energy"])
    for element_type in COUNTED:
        table[f"num_{element_type.name.lower()}"] = _per_event(events, "element", own & (kind == element_type))
    table["is_intact"] = is_intact(events)
    of_particle = np.zeros(events.size("pfcandidate"), dtype=bool)
    member = _chunk_index(events, "element_to_candidate", "first", "element")
    candidate = _chunk_index(events, "element_to_candidate", "second", "pfcandidate")
    of_particle[candidate[own[member]]] = True
    table["pf"] = _per_event(events, "pfcandidate", of_particle, events["pfcandidate_energy"])
    pid = np.abs(events["pfcandidate_pdgid"])
    for name in CANDIDATE_CLASSES:
        table[f"pf_{name}"] = _per_event(events, "pfcandidate", of_particle & (pid == CandidateClass[name.upper()]), events["pfcandidate_energy"])
    return table


def own_elements(events: Events) -> np.ndarray:
    """``(N,) bool``: tracks linked to anything simulated, clusters of which it made a fair part; the others are fakes and noise."""
    own = np.zeros(events.size("element"), dtype=bool)
    own[_chunk_index(events, "trackingparticle_to_element", "second", "element")] = True
    element = _chunk_index(events, "caloparticle_to_element", "second", "element")
    made = np.bincount(element, events["caloparticle_to_element_cmp"], minlength=len(own))
    return own | (made > MIN_OWN_SHARE * events["element_energy"])


def tracking_tables(events: Events) -> Table:
    """What the tracker should have found, and what it found.

    Returns:
        ``particle.*``, a row per charged particle of the hard event that comes from the collision and leaves hits: ``pdgid, pt, eta, phi, event`` (in this
        chunk), ``num_tracks`` and ``num_gsf`` (linked), ``ratio`` and ``gsf_ratio`` (true over measured pt of the last such track, NaN if none),
        ``end_radius`` (where its flight ended in the tracker [cm], 0 if it did not).
        ``track.*``, a row per TRACK: ``pt, eta``, ``is_linked`` (to a TrackingParticle; a fake is not).
    """
    offsets = events.offsets["trackingparticle"]
    own = to_chunk(events["caloparticle_idx_trackingparticle"], events, "caloparticle", "trackingparticle")
    own = own[(own >= 0) & (events["caloparticle_ev"] == 0)]
    particle = _chunk_index(events, "trackingparticle_to_element", "first", "trackingparticle")
    element = _chunk_index(events, "trackingparticle_to_element", "second", "element")
    is_track = events["element_type"] == ElementType.TRACK
    size = offsets[-1]
    num_tracks, num_gsf = (np.bincount(particle[events["element_type"][element] == kind], minlength=size) for kind in (ElementType.TRACK, ElementType.GSF))
    ratios = {"ratio": np.full(size, np.nan), "gsf_ratio": np.full(size, np.nan)}
    for ratio, kind in zip(ratios.values(), (ElementType.TRACK, ElementType.GSF), strict=True):
        chosen = events["element_type"][element] == kind
        ratio[particle[chosen]] = events["trackingparticle_pt"][particle[chosen]] / events["element_pt"][element[chosen]]
    linked = np.zeros(events.size("element"), dtype=bool)
    linked[element] = True
    columns = {name: events[f"trackingparticle_{column}"] for name, column in {"pdgid": "pid", "pt": "pt", "eta": "eta", "phi": "phi"}.items()}
    end_radius = np.hypot(events["trackingparticle_dvx"], events["trackingparticle_dvy"])
    columns |= {"event": event_index(offsets), "num_tracks": num_tracks, "num_gsf": num_gsf, **ratios, "end_radius": end_radius}
    return {
        **{f"particle.{name}": values[own] for name, values in columns.items()},
        "track.pt": events["element_pt"][is_track],
        "track.eta": events["element_eta"][is_track],
        "track.is_linked": linked[is_track],
    }


def _chunk_index(events: Events, links: str, end: str, target: str) -> np.ndarray:
    return to_chunk(events[f"{links}.{end}"], events, links, target)


def _per_event(events: Events, collection: str, chosen: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
    """``(B,)`` number of the chosen entries, or the sum of their values."""
    event = event_index(events.offsets[collection])[chosen]
    weights = np.ones(len(event)) if values is None else values[chosen]
    return np.bincount(event, weights, minlength=len(events)).astype(np.float64)  # of nothing, NumPy would make integers
