"""Pythia 8 (arXiv:2203.11601), an optional part of the installation: start it, and read its events."""

from collections.abc import Iterable
from typing import Any

import numba
import numpy as np

from mlpf.errors import ConfigError, MissingDependencyError
from mlpf.simulation.particles import DECAY_IN_FLIGHT, GeneratedEvent, Particles, Record
from mlpf.simulation.propagation import SPEED_OF_LIGHT

COMMON = (
    "Print:quiet = on",
    # K0S, Lambda and the like decay if they do so inside the tracker [mm]: the ECAL begins at r = 1290, |z| = 3170
    "ParticleDecays:limitCylinder = on",
    "ParticleDecays:xyMax = 1100.",
    "ParticleDecays:zMax = 2800.",
    "Random:setSeed = on",
    "Random:seed = 1",  # of the initialisation; each event is seeded on its own
)
UNITS = np.array([0.1, 0.1, 0.1, 0.1 / SPEED_OF_LIGHT])  # Pythia's mm and mm / c in cm and ns
HEAVY = (5, 6, 15, 23, 24, 25)  # kept in the record where they decay or hadronise
PARTONS = (1, 2, 3, 4, 21)  # in the record as part of the hard process only
INCOMING = 21  # status of the partons that begin the hard process
RECORD_FIELDS = ("id", "status", "mother1", "daughter1", "daughter2")


def import_pythia(purpose: str) -> Any:
    """The module.

    Raises:
        MissingDependencyError: it is not installed; the message names the purpose.
    """
    try:
        import pythia8mc
    except ImportError as error:
        raise MissingDependencyError(f"simulation: {purpose} needs Pythia 8; pip install mlpf[simulate], or shoot other particles by process gun") from error
    return pythia8mc


def start_pythia(purpose: str, settings: Iterable[str], hook: Any = None) -> Any:
    """An initialised Pythia with the common settings and then those given.

    Raises:
        MissingDependencyError: Pythia is not installed.
        ConfigError: Pythia does not accept a setting, or cannot start.
    """
    pythia = import_pythia(purpose).Pythia("", False)
    for setting in (*COMMON, *settings):
        if not pythia.readString(setting):
            raise ConfigError(f"simulation: pythia_settings: Pythia does not know '{setting}'")
    if hook is not None:
        pythia.setUserHooksPtr(hook)
    if not pythia.init():
        raise ConfigError(f"simulation: Pythia cannot start {purpose}; check pythia_settings and the limits of the process")
    return pythia


def convert(pythia: Any, entries: Any, vertex: np.ndarray) -> GeneratedEvent:
    """Record and flying particles of one event of `nextBatch`, its collision moved to ``vertex`` ``(3,)`` [cm]."""
    pdgid, status, mother, first_daughter, last_daughter = (np.asarray(entries[name], dtype=np.int64) for name in RECORD_FIELDS)
    momentum = np.stack([np.asarray(entries.p[axis]) for axis in ("px", "py", "pz", "e")])
    position = np.stack([_filled(entries.vProd[axis]) for axis in ("px", "py", "pz", "e")]) * UNITS[:, None]
    position[:3] += vertex[:, None]
    thirds = _charges_in_thirds(pythia, pdgid)
    charge = np.rint(thirds / 3).astype(np.int64)
    flies, parent = _trace_decays(pdgid, status, mother, np.asarray(DECAY_IN_FLIGHT))
    is_primary = flies & (parent < 0)
    copied_on = _is_copied_on(pdgid, first_daughter, last_daughter)
    recorded = is_primary | _is_notable(pdgid, status, copied_on)
    record_status = np.where(flies, 1, np.where(np.abs(status) < 30, np.abs(status), 2))
    is_last = (record_status != INCOMING) & (~copied_on | np.isin(np.abs(pdgid), PARTONS))
    daughters = (np.where(flies, 0, values) for values in _count_daughters(first_daughter, last_daughter, thirds != 0))
    record = Record._make(values[recorded] for values in (pdgid, charge, record_status, *momentum, *daughters, is_last))

    ends = status < 0
    end = np.where(ends, position[:3, first_daughter], 0.0)
    index = np.append(np.cumsum(flies) - 1, -1)  # the last entry serves parent -1
    columns = (pdgid, charge, *momentum, *position, ends, *end, index[parent], np.zeros(len(pdgid), dtype=np.int64))
    return GeneratedEvent(record, Particles._make(values[flies] for values in columns))


def _charges_in_thirds(pythia: Any, pdgid: np.ndarray) -> np.ndarray:
    unique, inverse = np.unique(pdgid, return_inverse=True)
    charges = [pythia.particleData.chargeType(int(identity)) for identity in unique]
    return np.asarray(charges, dtype=np.int64)[inverse]


def _filled(values: Any) -> np.ndarray:
    """Production coordinates; Pythia leaves those at the collision point out."""
    masked = values.to_numpy(allow_missing=True)
    return np.ma.filled(masked, 0.0)


def _is_copied_on(pdgid: np.ndarray, first_daughter: np.ndarray, last_daughter: np.ndarray) -> np.ndarray:
    """Entries that go on as a later entry, after radiation or recoil."""
    return (first_daughter > 0) & (pdgid[first_daughter] == pdgid) | (last_daughter > 0) & (pdgid[last_daughter] == pdgid)


def _is_notable(pdgid: np.ndarray, status: np.ndarray, copied_on: np.ndarray) -> np.ndarray:
    """The hard process, and the last copy of every heavy particle."""
    hard_process = (np.abs(status) > 20) & (np.abs(status) < 30)
    return hard_process | (np.isin(np.abs(pdgid), HEAVY) & ~copied_on & (status < 0))


def _count_daughters(first: np.ndarray, last: np.ndarray, is_charged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of daughters of each entry, and of charged ones; a ``last`` before ``first`` stands for these two alone (Pythia's manual, Particle Properties)."""
    charged_before = np.concatenate([[0], np.cumsum(is_charged)])
    end = np.maximum(last, first) + 1
    in_range = np.where(first > 0, end - first, 0)
    charged_in_range = np.where(first > 0, charged_before[end] - charged_before[first], 0)
    is_pair = (last > 0) & (last < first)
    charged_pair = is_charged[first].astype(np.int64) + is_charged[last]
    return np.where(is_pair, 2, in_range), np.where(is_pair, charged_pair, charged_in_range)


@numba.njit(cache=True)
def _trace_decays(pdgid: np.ndarray, status: np.ndarray, mother: np.ndarray, decay_in_flight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which entries fly through the detector, and the flying entry that each one stems from by decays (-1: from the collision)."""
    flies = np.zeros(len(pdgid), dtype=np.bool_)
    parent = np.full(len(pdgid), -1, dtype=np.int64)
    for i in range(len(pdgid)):
        is_long_lived = False
        for identity in decay_in_flight:
            is_long_lived |= abs(pdgid[i]) == identity
        flies[i] = status[i] > 0 or is_long_lived
        if 90 < abs(status[i]) < 100 and mother[i] > 0:  # mothers come before their daughters
            parent[i] = mother[i] if flies[mother[i]] else parent[mother[i]]
    return flies, parent
