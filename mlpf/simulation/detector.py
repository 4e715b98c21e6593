"""The detector: tracks and calorimeters of one event, with all that happened on the way."""

from typing import NamedTuple

import numpy as np

from mlpf.simulation.calorimeter.calorimetry import Calorimetry, measure_energies
from mlpf.simulation.particles import GeneratedEvent
from mlpf.simulation.tracker.flights import Flights
from mlpf.simulation.tracker.gsf import GsfTracks, reconstruct_gsf
from mlpf.simulation.tracker.tracks import Tracks, reconstruct_tracks
from mlpf.simulation.tracker.transport import transport


class Detected(NamedTuple):
    """One event in the detector.

    Attributes:
        generated: what was put in.
        flights: what became of it in the tracker's material.
        tracks, gsf: what the tracker found.
        calorimetry: what the calorimeters found.
    """

    generated: GeneratedEvent
    flights: Flights
    tracks: Tracks
    gsf: GsfTracks
    calorimetry: Calorimetry


def detect(generated: GeneratedEvent, rng: np.random.Generator) -> Detected:
    """Send the particles of one event through the detector."""
    flights = transport(generated.particles, rng)
    tracks = reconstruct_tracks(flights, rng)
    gsf = reconstruct_gsf(flights, tracks, rng)
    return Detected(generated, flights, tracks, gsf, measure_energies(flights, rng))
