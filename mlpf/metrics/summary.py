"""All metrics of a stream of events."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mlpf.candidates import Prediction
from mlpf.events import Events
from mlpf.features import consumer_elements
from mlpf.hashes import identity_hash, splitmix64
from mlpf.metrics import binning, systems
from mlpf.metrics.elements import ElementCounts, count_elements
from mlpf.metrics.emd import EmdSums, compared_events
from mlpf.metrics.event import MissingMomentumSums, MultiplicitySums, scalar_sum
from mlpf.metrics.jets import JetSums, generated_jets, jets_of
from mlpf.metrics.particles import ParticleSums, match_particles
from mlpf.metrics.scores import DecisionCounts, ScoreCounts, Truth, by_class
from mlpf.metrics.sums import CountSums, Sums
from mlpf.metrics.sums_file import read_sums, restore_parts, write_sums
from mlpf.metrics.systems import HARD, RULE_BASED, TARGETS, Particles, system_titles, without_pileup


class HasParts(Protocol):
    """Sums of one system and section.

    Attributes:
        parts: what adds up.
    """

    @property
    def parts(self) -> dict[str, Sums]:
        """See above."""


class Metrics:
    """Collects events, then gives all numbers; memory is flat, some 100 MB with one model and 50 for each further one.

    Args:
        models: their names; the systems are rule-based PF, these, the targets, and the models and the targets without pileup.
    """

    def __init__(self, models: Sequence[str]) -> None:
        self.models = tuple(models)
        matched = (RULE_BASED, *models)
        everything = tuple(system_titles(models))
        self._totals = CountSums(
            {
                **{name: np.zeros(1, dtype=np.int64) for name in ("events", "elements", "rule_based", "pileup")},
                "digest": np.zeros(1, dtype=np.uint64),
                "not_finite": np.zeros(len(models), dtype=np.int64),
                "vertices": np.zeros(len(binning.VERTICES) + 1, dtype=np.int64),
            }
        )
        self._elements = {name: ElementCounts.nothing() for name in matched}
        self._particles = {name: ParticleSums() for name in matched}
        self._jets = {name: JetSums() for name in everything}
        self._met = {name: MissingMomentumSums() for name in everything}
        self._multiplicity = {name: MultiplicitySums() for name in (*matched, TARGETS)}
        self._emd = {name: EmdSums() for name in everything}
        self._scores = {name: ScoreCounts() for name in models}
        self._decisions = DecisionCounts()

    @property
    def num_events(self) -> int:
        """Events so far."""
        return int(self._totals.counts["events"][0])

    @property
    def num_elements(self) -> int:
        """Their elements that a model sees."""
        return int(self._totals.counts["elements"][0])

    @property
    def events_digest(self) -> str:
        """Fingerprint (hexadecimal) of which events these are, in any order."""
        return f"{int(self._totals.counts['digest'][0]):016x}"

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def update(self, events: Events, predictions: Mapping[str, Prediction]) -> None:
        """Add events.

        Absurd values, such as targets without energy or an infinite momentum, stop nothing: numbers that they make undefined are left out.

        Args:
            events: of a dataset (`schema.DATASET`), with elements, targets, candidates, genjets.
            predictions: what each model made of them, the same events in the same order.
        """
        for name in self.models:
            assert len(events) == len(predictions[name].candidates), f"{len(events)} events, candidates of {len(predictions[name].candidates)} by {name}"
        truth = systems.targets(events)
        matched = {RULE_BASED: systems.rule_based(events)} | {name: systems.model(predictions[name].candidates, events) for name in self.models}
        kept = consumer_elements(events["element_type"])
        num_pileup = events["num_pileup"] if "num_pileup" in events else np.full(len(events), -1)
        vertices = binning.bin_index(num_pileup, binning.VERTICES)
        self._count(events, kept, truth, matched, predictions, vertices)
        for name, particles in matched.items():
            self._elements[name] += count_elements(truth, particles, kept)
            self._particles[name].update(truth, particles, match_particles(truth, particles, events["element_type"]), vertices)
            self._multiplicity[name].update(truth, particles)
        self._multiplicity[TARGETS].update(truth, truth)
        self._compare_events(events, {**matched, TARGETS: truth}, vertices)
        self._score(events, predictions)

    def _count(
        self,
        events: Events,
        kept: np.ndarray,
        truth: Particles,
        matched: Mapping[str, Particles],
        predictions: Mapping[str, Prediction],
        vertices: np.ndarray,
    ) -> None:
        """Add to the totals."""
        not_finite = [predictions[name].candidates.size("mlpfcandidate") - len(matched[name].pt) for name in self.models]
        self._totals += CountSums(
            {
                "events": np.array([len(events)]),
                "elements": np.array([np.count_nonzero(kept)]),
                "rule_based": np.array([len(matched[RULE_BASED].pt)]),
                "pileup": np.array([np.count_nonzero(truth.pileup)]),
                "digest": _event_hashes(events).sum(keepdims=True),
                "not_finite": np.array(not_finite, dtype=np.int64),
                "vertices": np.bincount(vertices, minlength=len(binning.VERTICES) + 1),
            }
        )

    def _compare_events(self, events: Events, compared: Mapping[str, Particles], vertices: np.ndarray) -> None:
        """Jets, missing momentum and distance of every system."""
        generated = generated_jets(events)
        generated_ht = scalar_sum(generated)
        chosen = compared_events(events)

        def add(names: Sequence[str], particles: Particles) -> None:
            jets, distances = jets_of(particles), EmdSums()
            distances.update(events, particles, vertices, chosen)
            for name in names:
                self._jets[name].update(generated, jets, vertices)
                self._met[name].update(events, particles, generated_ht, scalar_sum(jets), vertices)
                self._emd[name].parts["means"] += distances.parts["means"]

        for name, particles in compared.items():
            hard = without_pileup(particles)
            if name == RULE_BASED:
                add([name], particles)
            elif len(hard.pt) == len(particles.pt):
                add([name, f"{name}{HARD}"], particles)
            else:
                add([name], particles)
                add([f"{name}{HARD}"], hard)

    def _score(self, events: Events, predictions: Mapping[str, Prediction]) -> None:
        """Scores of models, decisions of rule-based particle flow."""
        truth = Truth(events)
        self._decisions.update(events, truth)
        for name in self.models:
            self._scores[name].update(truth, predictions[name].outputs)

    def __add__(self, other: "Metrics") -> "Metrics":
        """Of the events of both: parts of one dataset, the same models."""
        assert self.models == other.models, f"sums of {self.models} and of {other.models}"
        total = Metrics(self.models)
        for metrics in (self, other):
            own = metrics._parts()
            for name, part in total._parts().items():
                part += own[name]  # in place
        return total

    def beside(self, later: "Metrics") -> "Metrics":
        """The models of both, which have seen the same events; of a model that is in both, and of what is not of a model, the later sums."""
        assert self.events_digest == later.events_digest, "sums of different events"
        both = Metrics((*self.models, *(name for name in later.models if name not in self.models)))
        parts = self._parts() | later._parts()
        not_finite = dict(zip(self.models, self._totals.counts["not_finite"], strict=True)) | dict(
            zip(later.models, later._totals.counts["not_finite"], strict=True)
        )
        parts["totals"] = CountSums({**later._totals.counts, "not_finite": np.array([not_finite[name] for name in both.models], dtype=np.int64)})
        for name, part in both._parts().items():
            part += parts[name]  # in place
        return both

    def _parts(self) -> dict[str, Sums]:
        """Everything that adds up, by name."""
        parts: dict[str, Sums] = {"totals": self._totals, "decisions": self._decisions, **{f"scores/{name}": scores for name, scores in self._scores.items()}}
        sections: dict[str, Mapping[str, HasParts]] = {
            "elements": self._elements,
            "particles": self._particles,
            "jets": self._jets,
            "met": self._met,
            "multiplicity": self._multiplicity,
            "emd": self._emd,
        }
        for section, of_systems in sections.items():
            for name, sums in of_systems.items():
                parts |= {f"{section}/{name}/{key}": part for key, part in sums.parts.items()}
        return parts

    def save(self, path: str | Path) -> None:
        """Write the sums (.npz), from which `load` goes on."""
        write_sums(path, self.models, self._parts())

    @classmethod
    def load(cls, path: str | Path) -> "Metrics":
        """Read what `save` wrote.

        Raises:
            MlpfError: the file is damaged, of another kind, or of another version of these sums.
        """
        models, arrays = read_sums(path)
        metrics = cls(models)
        restore_parts(metrics._parts(), arrays, path)
        return metrics

    def results(self) -> dict[str, Any]:
        """Every number, ready for JSON: ``{value, low, high, n}`` each.

        Rule-based PF is there if any event had candidates of it; the systems without pileup if any target has pileup; bins of pileup collisions if any event
        is known to have some.
        """
        totals = self._totals.counts
        has_pileup = bool(totals["pileup"][0])
        shown = {
            name: title
            for name, title in system_titles(self.models).items()
            if (name != RULE_BASED or totals["rule_based"][0]) and (has_pileup or not name.endswith(HARD))
        }
        vertices = ("vertices",) if totals["vertices"][2:-1].any() else ()
        names = ("PARTICLE_PT", "PARTICLE_ETA", "JET_PT", "JET_ETA", "MET", "VERTICES", "RESPONSE", "RESIDUAL")
        return {
            "num_events": self.num_events,
            "num_elements": self.num_elements,
            "events_digest": self.events_digest,
            "models": {name: {"num_not_finite": int(number)} for name, number in zip(self.models, totals["not_finite"], strict=True)},
            "systems": shown,
            "bins": {name.lower(): getattr(binning, name).tolist() for name in names},
            "elements": {name: sums.to_json() for name, sums in self._elements.items() if name in shown},
            "particles": {name: sums.to_json(("pt", "eta", *vertices), has_pileup) for name, sums in self._particles.items() if name in shown},
            "jets": {name: sums.to_json(("pt", "eta", *vertices)) for name, sums in self._jets.items() if name in shown},
            "met": {name: sums.to_json(("genmet", *vertices)) for name, sums in self._met.items() if name in shown},
            "multiplicity": {name: sums.to_json() for name, sums in self._multiplicity.items() if name in shown},
            "emd": {name: sums.to_json(bool(vertices)) for name, sums in self._emd.items() if name in shown},
        }

    def performance(self) -> dict[str, Any]:
        """Classification of elements: bin -> class -> model (and what rule-based particle flow decides) -> numbers."""
        return by_class({RULE_BASED: self._decisions, **self._scores})


def _event_hashes(events: Events) -> np.ndarray:
    """``(B,) uint64`` hash of run, lumi, event and number of elements; their sum tells sets of events apart."""
    return splitmix64(identity_hash(events) + events.counts("element").astype(np.uint64))
