"""All metrics of a stream of events."""

from collections import defaultdict
from typing import Any

import numpy as np

from mlpf.events import Events
from mlpf.features import consumer_elements
from mlpf.metrics import binning, systems
from mlpf.metrics.elements import ElementCounts, count_elements
from mlpf.metrics.event import event_table, summarise_met, summarise_multiplicity
from mlpf.metrics.jets import compare_jets, generated_jets, jets_of, summarise_jets
from mlpf.metrics.particles import Table, compare_particles, match_particles, summarise_particles
from mlpf.metrics.systems import MODEL, MODEL_HARD, RULE_BASED, TARGETS, TARGETS_HARD, Particles, without_pileup

DEFINITIONS = {
    "elements": "Per element: efficiency = elements of a target class whose candidate has the same class; "
    "fake rate = candidates of a class whose target has another one, or none.",
    "particles": "Per particle: candidates matched one to one to the targets (Hungarian on sqrt((dpt/pt)^2 + dR^2), charged and neutral apart) "
    "within dR < 0.15 (charged: the own track) and response 0.2-5. Efficiency = matched targets of a class; fake rate = unmatched candidates of a class; "
    "right class = matched targets whose candidate has their class. Tails: further than 3 IQR from the median.",
    "jets": "Anti-kt 0.4 of the candidates against generated jets without neutrinos, unique matching within dR < 0.1, pt > 20 GeV, |eta| < 2.5 (central) "
    "or 2.5-5 (forward). Response = reconstructed pt / generated pt; matched = share of generated jets, purity = share of reconstructed jets; "
    "the partner may have any pt above 3 GeV.",
    "met": "Missing transverse momentum of the candidates against the generated one: residuals of px and py together; "
    "ratio where the generated one is above 10 GeV. HT: central jets above 30 GeV.",
    "multiplicity": "Candidates per event, and their difference to the number of targets.",
    "systems": "Rule-based PF: candidates of the dataset (those that found no element are not in it). Targets: what a model is trained on, "
    "the truth of elements and particles, the ceiling of jets and missing momentum. "
    "Pileup removed: particles whose pileup probability (targets: energy fraction) is below 0.5.",
    "uncertainties": "68 % intervals: Clopper-Pearson for fractions, bootstrap for medians and IQR (p75 - p25) of at least 5 values, "
    "standard deviation / sqrt(n) for means. Particles and jets of one event are taken as independent.",
}


class Metrics:
    """Collects events, then gives all numbers.

    Memory: counts, and about 100 bytes per target and candidate and 1 kB per event and system.
    """

    def __init__(self) -> None:
        self.num_events = 0
        self.num_elements = 0
        self.num_not_finite = 0  # candidates of the model that are left out
        self._elements: dict[str, ElementCounts] = {}
        self._tables: dict[tuple[str, str], list[Table]] = defaultdict(list)
        self._has_rule_based = False
        self._has_pileup = False

    def update(self, events: Events, candidates: Events) -> None:
        """Add events.

        Args:
            events: of a dataset (`schema.DATASET`), with elements, targets, candidates, genjets.
            candidates: what the model made of them (`schema.CANDIDATES`), the same events in the same order.
        """
        assert len(events) == len(candidates), f"{len(events)} events, candidates of {len(candidates)}"
        truth = systems.targets(events)
        compared = {RULE_BASED: systems.rule_based(events), MODEL: systems.model(candidates, events)}
        kept = consumer_elements(events["element_type"])
        self.num_events += len(events)
        self.num_elements += int(kept.sum())
        self.num_not_finite += candidates.size("mlpfcandidate") - len(compared[MODEL].pt)
        self._has_rule_based |= len(compared[RULE_BASED].pt) > 0
        self._has_pileup |= bool(truth.pileup.any())
        for name, particles in compared.items():
            counts = count_elements(truth, particles, kept)
            self._elements[name] = self._elements[name] + counts if name in self._elements else counts
            tables = compare_particles(truth, particles, match_particles(truth, particles, events["element_type"]))
            self._keep("particles", name, *tables)
        generated = generated_jets(events)
        compared |= {TARGETS: truth, MODEL_HARD: without_pileup(compared[MODEL]), TARGETS_HARD: without_pileup(truth)}
        for name, particles in compared.items():
            self._compare_events(name, events, particles, generated)

    def _compare_events(self, name: str, events: Events, particles: Particles, generated: Any) -> None:
        jets = jets_of(particles)
        self._keep("jets", name, *compare_jets(generated, jets))
        self._tables["events", name].append(event_table(events, particles, jets, generated))

    def _keep(self, what: str, system: str, truth: Table, found: Table) -> None:
        self._tables[f"{what} of truth", system].append(truth)
        self._tables[f"{what} of system", system].append(found)

    def _table(self, what: str, system: str) -> Table:
        chunks = self._tables[what, system]
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def results(self) -> dict[str, Any]:
        """Every number, ready for JSON: ``{value, low, high, n}`` each.

        Rule-based PF is there if any event had candidates of it; the systems without pileup if any target has pileup.
        """
        matched = [RULE_BASED, MODEL] if self._has_rule_based else [MODEL]
        whole = [*matched, TARGETS, *([MODEL_HARD, TARGETS_HARD] if self._has_pileup else [])]
        events = {name: self._table("events", name) for name in whole}
        edges = {name.lower(): getattr(binning, name).tolist() for name in ("PARTICLE_PT", "PARTICLE_ETA", "JET_PT", "MET", "RESPONSE", "RESIDUAL")}
        return {
            "num_events": self.num_events,
            "num_elements": self.num_elements,
            "num_not_finite": self.num_not_finite,
            "systems": {name: systems.TITLES[name] for name in whole},
            "definitions": DEFINITIONS,
            "bins": edges,
            "elements": {name: self._elements[name].to_json() for name in matched},
            "particles": {name: summarise_particles(self._table("particles of truth", name), self._table("particles of system", name)) for name in matched},
            "jets": {name: summarise_jets(self._table("jets of truth", name), self._table("jets of system", name)) for name in whole},
            "met": {name: summarise_met(events[name]) for name in whole},
            "multiplicity": {name: summarise_multiplicity(events[name], events[TARGETS]) for name in [*matched, TARGETS]},
        }
