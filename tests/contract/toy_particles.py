"""Events of a dataset from plain lists of particles, with what a model says of them; random ones in which particles compete for each other."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlpf import schema
from mlpf.candidates import Outputs, Prediction
from mlpf.events import Events, offsets_from_counts
from mlpf.schema import CandidateClass, ElementType

ELECTRON, MUON, CHARGED, NEUTRAL, PHOTON, HF_HADRON, HF_EM = 11, 13, 211, 130, 22, 1, 2
TRACK, GSF, BREM, ECAL, HCAL, HFEM, HFHAD = (int(ElementType[name]) for name in ("TRACK", "GSF", "BREM", "ECAL", "HCAL", "HFEM", "HFHAD"))
TYPE_OF_CLASS = {ELECTRON: GSF, MUON: TRACK, CHARGED: TRACK, NEUTRAL: HCAL, PHOTON: ECAL, HF_HADRON: HFHAD, HF_EM: HFEM}
CHARGES = {ELECTRON: -1, MUON: -1, CHARGED: 1}


@dataclass
class Particle:
    """A particle [GeV, rad]; without an energy it has no mass."""

    category: int
    pt: float
    eta: float
    phi: float
    energy: float = 0.0
    pileup: float = 0.0

    def __post_init__(self):
        self.energy = self.energy or self.pt * float(np.cosh(self.eta))

    def moved(self, scale=1.0, eta=0.0, phi=0.0, **changed):
        """A copy with another size and direction."""
        values = {"category": self.category, "pt": self.pt * scale, "eta": self.eta + eta, "phi": self.phi + phi, "energy": 0.0, "pileup": self.pileup}
        if not eta:
            values["energy"] = self.energy * scale
        return Particle(**{**values, **changed})


@dataclass
class Element:
    """An element and what truth, rule-based particle flow and the model see in it."""

    kind: int
    target: Particle | None = None
    rule_based: Particle | None = None
    model: Particle | None = None
    logits: tuple[float, ...] | None = None  # 2 of binary, 9 of class; those that agree with the model's candidate if none are given


@dataclass
class Event:
    """Everything of one event that metrics look at."""

    elements: list[Element] = field(default_factory=list)
    genjets: list[Particle] = field(default_factory=list)
    particles: list[Particle] = field(default_factory=list)
    met: tuple[float, float] = (0.0, 0.0)  # pt, phi
    num_pileup: int | None = None
    number: int | None = None  # of the event; its position if None


def own(*particles, **said):
    """Elements, one for each target; ``rule_based`` and ``model``: what becomes of it there, a function of the target (nothing where None)."""
    make = {name: function or (lambda _: None) for name, function in ({"rule_based": None, "model": None} | said).items()}
    return [Element(TYPE_OF_CLASS[p.category], p, **{name: function(p) for name, function in make.items()}) for p in particles]


def same(particle):
    """What a perfect candidate is."""
    return particle.moved()


def build(events, names=("model",), element_order=None):
    """Toys -> events in `schema.DATASET` and the predictions of models, all of which say the same."""
    elements = [element for event in events for element in event.elements]
    counts = [len(event.elements) for event in events]
    columns: dict[str, Any] = {
        "event": [i if event.number is None else event.number for i, event in enumerate(events)],
        **{name: np.ones(len(events)) for name in ("run", "lumi")},
        "genmet_pt": [event.met[0] for event in events],
        "genmet_phi": [event.met[1] for event in events],
        "element_index": [i for count in counts for i in range(count)],
        "element_type": [element.kind for element in elements],
        **_momenta("element", [element.target or element.model or element.rule_based or Particle(0, 1.0, 0.0, 0.0) for element in elements]),
        **_at_elements("target", [element.target for element in elements]),
        **_at_elements("candidate", [element.rule_based for element in elements]),
        "target_ispu": [element.target.pileup if element.target else 0.0 for element in elements],
    }
    offsets = {"element": offsets_from_counts(np.array(counts, dtype=np.int64))}
    for name in ("genjet", "particle"):
        lists = [getattr(event, f"{name}s") for event in events]
        columns |= _momenta(name, [particle for particles in lists for particle in particles])
        offsets[name] = offsets_from_counts(np.array([len(particles) for particles in lists], dtype=np.int64))
    columns["particle_pdgid"] = [particle.category for event in events for particle in event.particles]
    if any(event.num_pileup is not None for event in events):
        columns["num_pileup"] = [-1 if event.num_pileup is None else event.num_pileup for event in events]
    dataset = Events({name: np.asarray(values) for name, values in columns.items()}, offsets, len(events), layout=schema.DATASET)
    candidates = _candidates(dataset, events, element_order)
    return dataset, {name: Prediction(candidates, _outputs(elements)) for name in names}


def _momenta(prefix, particles):
    return {f"{prefix}_{name}": [getattr(p, name) for p in particles] for name in ("pt", "eta", "phi", "energy")}


def _at_elements(prefix, particles):
    none = Particle(0, 0.0, 0.0, 0.0)
    columns = _momenta(prefix, [p or none for p in particles])
    phi = np.array(columns.pop(f"{prefix}_phi"))
    category = np.array([p.category if p else 0 for p in particles], dtype=int)
    there = category != 0
    columns |= {f"{prefix}_sin_phi": np.sin(phi) * there, f"{prefix}_cos_phi": np.cos(phi) * there}
    return columns | {f"{prefix}_class": category, f"{prefix}_pid": category, f"{prefix}_charge": [CHARGES.get(int(c), 0) for c in category]}


def _candidates(dataset, events, order):
    """What the models say as `schema.CANDIDATES`; ``order`` shuffles the candidates of each event, given their number."""
    chosen, counts = [], []
    for event in events:
        of_event = [(i, element.model) for i, element in enumerate(event.elements) if element.model]
        chosen += [of_event[i] for i in order(len(of_event))] if order else of_event
        counts.append(len(of_event))
    particles = [particle for _, particle in chosen]
    columns = {
        **_momenta("mlpfcandidate", particles),
        "mlpfcandidate_pdgid": [particle.category * (-1 if particle.category == CHARGED else 1) for particle in particles],
        "mlpfcandidate_charge": [-1 if particle.category in CHARGES else 0 for particle in particles],
        "mlpfcandidate_element": [element for element, _ in chosen],
        "mlpfcandidate_pileup": [particle.pileup for particle in particles],
        "mlpfcandidate_score": np.ones(len(particles)),
        **{name: dataset[name] for name in ("event", "run", "lumi")},
    }
    offsets = {"mlpfcandidate": offsets_from_counts(np.array(counts, dtype=np.int64))}
    return Events({name: np.asarray(values) for name, values in columns.items()}, offsets, len(events), layout=schema.CANDIDATES)


def _outputs(elements):
    """Outputs of all elements that a model sees, as if it were sure of its candidate."""
    seen = [element for element in elements if element.kind not in tuple(map(int, schema.CONSUMER_DROPPED_TYPES))]
    binary, pid, momentum, pileup = (np.zeros(shape, dtype=np.float32) for shape in ((len(seen), 2), (len(seen), 9), (len(seen), 5), len(seen)))
    for i, element in enumerate(seen):
        category = element.model.category if element.model else 0
        binary[i] = (-3.0, 3.0) if category else (3.0, -3.0)
        pid[i, schema.CLASS_IDS.index(category)] = 5.0
        if element.logits is not None:
            binary[i], pid[i] = element.logits[:2], element.logits[2:]
    return Outputs(binary, pid, momentum, pileup)


def random_toys(num_events=40, seed=0, pileup=True, mean_groups=5.0):
    """Events whose elements come in groups so dense that particles compete for each other; wrong classes, fakes, losses, electrons on two elements.

    Values are rounded to float32, as they are on disk.
    """
    rng = np.random.default_rng(seed)
    return [_random_event(rng, pileup, int(rng.poisson(mean_groups)), number) for number in range(num_events)]


def _random_event(rng, pileup, num_groups, number):
    event = Event(number=number, num_pileup=int(rng.integers(-1, 260)) if pileup else None)
    for _ in range(num_groups):
        axis_eta, axis_phi = rng.uniform(-5, 5), rng.choice([rng.uniform(-np.pi, np.pi), np.pi])
        scale = rng.lognormal(1.5, 1.0)
        for _ in range(int(rng.poisson(12))):
            event.elements.append(_random_element(rng, axis_eta + rng.normal(0, 0.15), axis_phi + rng.normal(0, 0.15), scale, pileup))
        jet = Particle(0, f32(scale * 12 * rng.lognormal(0, 0.3)), f32(axis_eta + rng.normal(0, 0.06)), f32(wrapped(axis_phi + rng.normal(0, 0.06))))
        jet.energy = f32(np.hypot(jet.energy, (0.15 + rng.exponential(0.1)) * jet.pt))  # with its mass
        event.genjets.append(jet)
    event.genjets.sort(key=lambda jet: -jet.pt)
    x, y = (rng.normal(0, 15) - sum(e.target.pt * direction(e.target.phi) for e in event.elements if e.target) for direction in (np.cos, np.sin))
    event.met = (f32(np.hypot(x, y)), f32(np.arctan2(y, x)))
    event.particles = [_rounded(e.target.moved(eta=rng.normal(0, 0.02))) for e in event.elements if e.target]
    return event


def _random_element(rng, eta, phi, scale, pileup):
    kinds = (TRACK, GSF, ECAL, HCAL) if abs(eta) < 3 else (HFEM, HFHAD)
    kind = int(rng.choice(kinds))
    likely = {TRACK: CHARGED, GSF: ELECTRON, ECAL: PHOTON, HCAL: NEUTRAL, HFEM: HF_EM, HFHAD: HF_HADRON}[kind]
    other = {TRACK: (MUON, ELECTRON, PHOTON), GSF: (CHARGED, PHOTON)}.get(kind, (PHOTON, NEUTRAL, HF_EM, HF_HADRON))

    def made(probability, width, response):
        if rng.random() > probability:
            return None
        category = likely if rng.random() < 0.8 else int(rng.choice(other))
        particle = Particle(category, pt * rng.lognormal(0, response), eta + rng.normal(0, width), wrapped(phi + rng.normal(0, width)))
        particle.energy *= rng.lognormal(0, 0.05)
        particle.pileup = float(rng.choice([0.0, 0.2, 0.7, 1.0])) if pileup else 0.0
        return _rounded(particle)

    pt = scale * rng.lognormal(0, 0.8)
    element = Element(kind, made(0.8, 0.03, 0.0), made(0.8, 0.06, 0.7), made(0.8, 0.04, 0.5))
    if element.rule_based:
        element.rule_based.pileup = 0.0
    return element


def _rounded(particle):
    return Particle(particle.category, *(f32(getattr(particle, name)) for name in ("pt", "eta", "phi", "energy", "pileup")))


def f32(value):
    """The nearest float32, as a Python float."""
    return float(np.float32(value))


def wrapped(phi):
    """Azimuth in [-pi, pi]."""
    return float(np.arctan2(np.sin(phi), np.cos(phi)))


def classes():
    """Names of the classes that metrics are about, and their ids."""
    return {c.name.lower(): int(c) for c in CandidateClass if c not in (CandidateClass.NONE, CandidateClass.TAU)}
