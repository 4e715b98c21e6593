"""From generator to ntuple, event by event: the whole chain in one place."""

from collections.abc import Callable, Iterator

import numpy as np

from mlpf import schema
from mlpf.events import Events, offsets_from_counts
from mlpf.jets import cluster_jets
from mlpf.kinematics import eta_from_pt_pz
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.detector import detect
from mlpf.simulation.elements import Columns
from mlpf.simulation.event_columns import event_columns
from mlpf.simulation.generation.filters import filtered
from mlpf.simulation.generation.generator import PythiaGenerator
from mlpf.simulation.generation.gun import Gun
from mlpf.simulation.generation.pileup import PileupPool, draw_crossing, overlay
from mlpf.simulation.particles import NEUTRINOS, GeneratedEvent
from mlpf.simulation.randomness import DETECTOR, event_rng

MANTISSA_BITS = 16  # of 23 in a float32: a relative precision of 1.5e-5, below every resolution; what is random beyond it would be a quarter of a file
GENJET_MIN_PT = 3.0  # GeV, as ak4GenJets in CMS

EventGenerator = Callable[[int, int], GeneratedEvent]  # seed and number -> event


def simulate(config: SimulationConfig, num_events: int, seed: int, first_event: int = 0) -> Iterator[Events]:
    """Simulate events ``first_event`` to ``first_event + num_events - 1``.

    An event depends on the configuration, the seed and its number alone: chunks and processes may divide the work at will.

    Args:
        config: what to generate.
        num_events: how many.
        seed: any integer from 0 on.
        first_event: number of the first one, also its ``event`` number.

    Yields:
        chunks of ``config.events_per_chunk`` events with all 2026 columns of `schema.NTUPLE`, candidates and PF links empty; one empty chunk if there are
        no events.

    Raises:
        MissingDependencyError: the process needs Pythia 8, which is not installed.
        ConfigError: Pythia does not accept the settings.
    """
    generate = event_generator(config)
    stop = first_event + num_events
    for start in range(first_event, max(stop, first_event + 1), config.events_per_chunk):
        yield simulate_chunk(config, generate, seed, range(start, min(start + config.events_per_chunk, stop)))[0]


def simulate_chunk(config: SimulationConfig, generate: EventGenerator, seed: int, numbers: range) -> tuple[Events, int]:
    """Simulate the events of the given numbers; also returns how many events were generated to have as many that pass the filters."""
    columns, attempts = [], 0
    for number in numbers:
        generated = generate(seed, number)
        attempts += generated.attempts
        columns.append(simulate_event(generated, seed, number))
    return assemble(columns, f"simulation of {config.process}"), attempts


def event_generator(config: SimulationConfig, pool: PileupPool | None = None) -> EventGenerator:
    """What makes the particles of the event of a seed and a number, pileup included, before the detector.

    Args:
        config: what to generate.
        pool: from which pileup is drawn; a new one if None.
    """
    generator = Gun(config) if config.process == "gun" else PythiaGenerator(config)
    hard_event = filtered(generator.event, config)
    pileup = pool or PileupPool(config)

    def event(seed: int, number: int) -> GeneratedEvent:
        return overlay(hard_event(seed, number), draw_crossing(config, seed, number), pileup, seed)

    return event


def simulate_event(generated: GeneratedEvent, seed: int, event: int) -> Columns:
    """Detector, clusters and truth of one event: all columns but those of jets."""
    rng = event_rng(seed, event, DETECTOR)
    return event_columns(detect(generated, rng), seed, event, rng)


def assemble(events: list[Columns], source: str) -> Events:
    """Join events into one chunk, add the generator jets, and fill the columns that nothing fills (bx, candidates, PF links) with 0 or leave them empty."""
    columns: Columns = {}
    offsets: dict[str, np.ndarray] = {}
    for name, collection in schema.NTUPLE.collections.items():
        present = [column.name for column in collection.columns if events and column.name in events[0]]
        if not collection.scalar:
            counts = [len(event[present[0]]) if present else 0 for event in events]
            offsets[name] = offsets_from_counts(np.array(counts, dtype=np.int64))
        size = len(events) if collection.scalar else int(offsets[name][-1])
        for column in collection.columns:
            filled = column.name in present
            values = np.concatenate([event[column.name] for event in events]) if filled else np.zeros(size)
            columns[column.name] = with_short_mantissa(values) if column.dtype == "float32" else values
    chunk = Events(columns, offsets, len(events), source, int(columns["event"][0]) if events else 0)
    return _with_genjets(chunk)


def with_short_mantissa(values: np.ndarray) -> np.ndarray:
    """float32 values with the last bits cut off; not rounded, so that no azimuth exceeds pi."""
    unused = 23 - MANTISSA_BITS
    bits = values.astype(np.float32).view(np.uint32)
    return (bits >> unused << unused).view(np.float32)


def _with_genjets(chunk: Events) -> Events:
    """Anti-kt 0.4 jets of the stable particles without neutrinos."""
    visible = (chunk["gen_status"] == 1) & ~np.isin(np.abs(chunk["gen_pdgid"]), NEUTRINOS)
    momentum = [np.where(visible, chunk[f"gen_{axis}"], 0.0) for axis in ("px", "py", "pz")]
    pt = np.hypot(momentum[0], momentum[1])
    eta = np.where(visible, eta_from_pt_pz(pt, momentum[2]), 0.0)
    jets = cluster_jets(np.where(np.isfinite(eta), pt, 0.0), eta, chunk["gen_phi"], chunk["gen_energy"], chunk.offsets["gen"], GENJET_MIN_PT)
    columns = {"genjet_pt": jets.pt, "genjet_eta": jets.eta, "genjet_phi": jets.phi, "genjet_energy": jets.energy}
    return chunk.with_columns(columns, {"genjet": jets.offsets})
