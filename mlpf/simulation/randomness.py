"""Random numbers that depend on (seed, event number) only: results are the same for any chunking, order or number of processes."""

import numpy as np

GENERATOR, DETECTOR = 0, 1  # independent streams of one event
PYTHIA_SEEDS = 899_999_999  # Pythia takes seeds from 1 to 900 000 000


def event_rng(seed: int, event: int, stream: int) -> np.random.Generator:
    """Random generator of one event and purpose (`GENERATOR` or `DETECTOR`)."""
    return np.random.default_rng([seed, event, stream])


def pythia_seed(seed: int, event: int) -> int:
    """Seed of Pythia's own generator for one event; no two of the first 9e8 events of one ``seed`` share it."""
    start = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return 1 + (start + event) % PYTHIA_SEEDS
