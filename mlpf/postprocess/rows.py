"""Ntuple events -> dataset rows."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.events import Events, concatenate, event_index, offsets_from_counts
from mlpf.jets import Jets, cluster_jets, cluster_momenta
from mlpf.postprocess.association import associate_caloparticles, associate_trackingparticles, is_type
from mlpf.postprocess.edges import event_edges
from mlpf.postprocess.policy import AnyPolicy, CaloParticlePolicy, Policy
from mlpf.postprocess.summary import Summary, summarize
from mlpf.postprocess.target import candidate_columns, matched_candidates, target_columns

NonFinite = Literal["error", "zero"]
BLOCK_ELEMENTS = 40_000  # of events done together: their links then fit the cache of a core

_P4 = ("pt", "eta", "phi", "energy")
_GEN = tuple(f"gen_{name}" for name in _P4)
_COMMON_COLUMNS = (
    *schema.NTUPLE.names("event"),
    *schema.NTUPLE.names("element"),
    *(*_GEN, "gen_pdgid", "gen_status", "genmet_pt", "genmet_phi"),
    *(f"pfcandidate_{name}" for name in (*_P4, "pdgid")),
    *("element_to_candidate.first", "element_to_candidate.second"),
)
_COMPUTED = tuple(name for name in schema.DATASET.columns if not name.startswith("element_"))


def columns_to_read(policy: Policy) -> tuple[str, ...]:
    """Ntuple columns that `postprocess_events` uses."""
    return (*_COMMON_COLUMNS, *policy.required_columns, *policy.optional_columns)


def postprocess_events(events: Events, policy: AnyPolicy, source_index: int = 0, nonfinite: NonFinite = "error") -> tuple[Events, Summary]:
    """Dataset rows of ntuple events, one target and at most one candidate per element.

    Args:
        events: ntuple events; columns beyond `columns_to_read` are ignored.
        policy: which truth makes the targets, and how.
        source_index: value of the column ``source``.
        nonfinite: what to do with non-finite momenta and link weights: an error, or replace them by 0. Other element columns keep theirs.

    Returns:
        events in `schema.DATASET`, and what was read, dropped and matched.

    Raises:
        NtupleError: a truth column of the policy is missing, a link points outside its event, an element type is unknown, an energy is negative, or a value
            is not finite.
    """
    blocks = list(postprocess_blocks(events, policy, source_index, nonfinite))
    return concatenate([dataset for dataset, _ in blocks]), sum((summary for _, summary in blocks), Summary())


def postprocess_blocks(events: Events, policy: AnyPolicy, source_index: int = 0, nonfinite: NonFinite = "error") -> Iterator[tuple[Events, Summary]]:
    """What `postprocess_events` gives, a few events at a time."""
    for name in policy.required_columns:
        if name not in events:
            raise NtupleError(f"{events.source}: branch '{name}' is missing, which the policy {policy.name} needs; choose another with postprocess.policy")
    for block in _blocks(events):
        yield _postprocess_block(block, policy, source_index, nonfinite)


def _blocks(events: Events) -> Iterator[Events]:
    """Events a few at a time, at least one block."""
    block = events.collection_offsets("element")[:-1] // BLOCK_ELEMENTS
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1), len(events)]
    for start, stop in pairwise(edges):
        yield events.slice(int(start), int(stop))


def _postprocess_block(events: Events, policy: AnyPolicy, source_index: int, nonfinite: NonFinite) -> tuple[Events, Summary]:
    columns = columns_to_read(policy)
    events.validate(columns)
    unused = set(schema.NTUPLE.names("element")) - {f"element_{name}" for name in _P4}
    used = [name for name in columns if name in events and name not in unused]
    non_finite = events.non_finite([name for name in columns if name in events])
    clean = _finite(_without_unstable(events, policy), [name for name in used if name in non_finite], nonfinite)
    clean.require_non_negative([name for name in used if name.endswith("_energy")])
    with np.errstate(over="ignore", invalid="ignore"):  # absurd momenta overflow; the check below names what they spoil
        dataset, num_matched = _rows(clean.with_columns({"element_pt": _element_pt(clean, policy)}), policy, source_index)
    return _finite(dataset, _COMPUTED, nonfinite), summarize(events, dataset, non_finite, num_matched)


def _rows(events: Events, policy: AnyPolicy, source_index: int) -> tuple[Events, int]:
    """Dataset of checked events, and the number of candidates that found an element."""
    association = associate_caloparticles(events, policy) if isinstance(policy, CaloParticlePolicy) else associate_trackingparticles(events, policy)
    candidate_of = matched_candidates(events, policy)
    starts = events.collection_offsets("element")
    kept = np.flatnonzero(~is_type(events["element_type"], policy.dropped_types))
    offsets = np.searchsorted(kept, starts)
    columns = {
        "element_index": kept - np.repeat(starts[:-1], np.diff(offsets)),
        **{name: events[name][kept] for name in schema.NTUPLE.names("element")},
        **target_columns(events, association, kept, policy),
        **candidate_columns(events, candidate_of[kept], policy),
    }
    columns |= {name: events[name] for name in schema.NTUPLE.names("event")} | _genmet(events, policy)
    columns |= {"source": np.full(len(events), source_index), "num_pileup": _num_pileup(events, policy)}
    jagged, jagged_offsets = _particles_and_jets(events, columns, offsets, policy)
    edges, edge_offsets = event_edges(events, association.links, kept, policy)
    jagged, jagged_offsets = jagged | edges, jagged_offsets | edge_offsets
    dataset = Events({**columns, **jagged}, {"element": offsets, **jagged_offsets}, len(events), events.source, events.first_entry, schema.DATASET)
    return dataset, int((candidate_of >= 0).sum())


def _without_unstable(events: Events, policy: Policy) -> Events:
    """Zero momentum for generator particles that are not stable: nothing is asked of them, and beam remnants have an infinite eta."""
    stable = events["gen_status"] == policy.stable_status
    return events.with_columns({name: np.where(stable, events[name], 0) for name in _GEN if name in events})


def _finite(events: Events, columns: Sequence[str], nonfinite: NonFinite) -> Events:
    """Check the columns for non-finite values, or replace those by 0."""
    if nonfinite == "zero":
        return events.replace_non_finite(columns)
    events.require_finite(columns)
    return events


def _element_pt(events: Events, policy: Policy) -> np.ndarray:
    pt = events["element_pt"].copy()
    from_energy = np.isin(events["element_type"], policy.pt_from_energy_types)
    pt[from_energy] = events["element_energy"][from_energy] / np.cosh(events["element_eta"][from_energy].astype(np.float64))
    return pt


def _particles_and_jets(
    events: Events, elements: dict[str, np.ndarray], offsets: np.ndarray, policy: Policy
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Columns ``particle_*``, ``genjet_*``, ``targetjet_*`` and ``target_jet_index``, and the offsets of the new collections."""
    stable, particle_offsets = _stable(events, policy)
    particles = {name: events[f"gen_{name}"][stable] for name in (*_P4, "pdgid")}
    genjets = cluster_jets(**{name: particles[name] for name in _P4}, offsets=particle_offsets, min_pt=policy.jet_min_pt, radius=policy.jet_radius)
    pt, eta = elements["target_pt"], elements["target_eta"]
    momenta = pt * elements["target_cos_phi"], pt * elements["target_sin_phi"], pt * np.sinh(eta), elements["target_energy"]
    targetjets = cluster_momenta(*momenta, offsets, policy.jet_min_pt, policy.jet_radius)
    columns = {f"particle_{name}": values for name, values in particles.items()}
    columns |= _jet_columns("genjet", genjets) | _jet_columns("targetjet", targetjets) | {"target_jet_index": targetjets.constituent_jet}
    return columns, {"particle": particle_offsets, "genjet": genjets.offsets, "targetjet": targetjets.offsets}


def _jet_columns(collection: str, jets: Jets) -> dict[str, np.ndarray]:
    return {f"{collection}_pt": jets.pt, f"{collection}_eta": jets.eta, f"{collection}_phi": jets.phi, f"{collection}_energy": jets.energy}


def _stable(events: Events, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of stable, visible generator particles and their offsets."""
    visible = ~np.isin(np.abs(events["gen_pdgid"]), policy.invisible_pids)
    stable = np.flatnonzero((events["gen_status"] == policy.stable_status) & visible)
    event = event_index(events.collection_offsets("gen"))[stable]
    return stable, offsets_from_counts(np.bincount(event, minlength=len(events)))


def _num_pileup(events: Events, policy: Policy) -> np.ndarray:
    """Pileup collisions of the same bunch crossing: they are numbered from 1, the hard one is 0; -1 where the ntuple does not say whose particles are whose."""
    truth = policy.name  # of the particles that make the targets
    if f"{truth}_ev" not in events:
        return np.full(len(events), -1)
    collision = events[f"{truth}_ev"]
    if f"{truth}_bx" in events:
        collision = np.where(events[f"{truth}_bx"] == 0, collision, 0)
    num_pileup = np.zeros(len(events), dtype=np.int64)
    np.maximum.at(num_pileup, event_index(events.collection_offsets(truth)), collision)
    return num_pileup


def _genmet(events: Events, policy: Policy) -> dict[str, np.ndarray]:
    """Generated missing transverse momentum: the ntuple's, or what balances the stable particles where it has none."""
    stable, offsets = _stable(events, policy)
    event = event_index(offsets)
    pt, phi = events["gen_pt"][stable].astype(np.float64), events["gen_phi"][stable].astype(np.float64)
    px = -np.bincount(event, pt * np.cos(phi), len(events))
    py = -np.bincount(event, pt * np.sin(phi), len(events))
    met = {"genmet_pt": np.hypot(px, py), "genmet_phi": np.arctan2(py, px)}
    if events.has("genmet_pt", "genmet_phi"):
        has_one = events.counts("genmet") > 0
        first = events.collection_offsets("genmet")[:-1][has_one]
        for name, values in met.items():
            values[has_one] = events[name][first]
    return met
