"""Random numbers that depend on (seed, event number) only: results are the same for any chunking, order or number of processes."""

import numpy as np

GENERATOR, DETECTOR, CROSSING = range(3)  # independent streams of one event
PYTHIA_SEEDS = 899_999_999  # Pythia takes seeds from 1 to 900 000 000
MAX_ATTEMPTS = 1000  # of one event
POOL = 1  # starts the seeds of pileup elsewhere than those of hard events


def event_rng(seed: int, event: int, stream: int, attempt: int = 0) -> np.random.Generator:
    """Random generator of one event, purpose (`GENERATOR`, `DETECTOR` or `CROSSING`) and attempt to make it."""
    return np.random.default_rng([seed, event, stream, *([attempt] if attempt else [])])


def pythia_seed(seed: int, event: int, attempt: int = 0) -> int:
    """Seed of Pythia's own generator for one event; no two of the first 899 999 events of one ``seed``, with 1000 attempts each, share it.

    Without attempts none of the first 9e8 do.
    """
    start = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return 1 + (start + event + attempt * (PYTHIA_SEEDS // MAX_ATTEMPTS)) % PYTHIA_SEEDS


def pool_seed(seed: int, collision: int) -> int:
    """Seed of Pythia's own generator for one collision of the pileup pool."""
    start = int(np.random.SeedSequence([seed, POOL]).generate_state(1)[0])
    return 1 + (start + collision) % PYTHIA_SEEDS
