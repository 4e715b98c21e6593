"""Proton-proton collisions by Pythia 8."""

from typing import Any

import numpy as np

from mlpf.errors import ConfigError
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.generation.pythia import convert, import_pythia, start_pythia
from mlpf.simulation.particles import BEAM_SPOT_WIDTH, GeneratedEvent
from mlpf.simulation.randomness import GENERATOR, event_rng, pythia_seed

PROCESSES: dict[str, tuple[str, ...]] = {
    "ttbar": ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
    "qcd": ("HardQCD:all = on",),
    # every tau lepton of the event decays without electron or muon
    "ztautau": ("WeakSingleBoson:ffbar2gmZ = on", "23:onMode = off", "23:onIfAny = 15", "15:offIfAny = 11 13"),
    "minbias": ("SoftQCD:inelastic = on",),
}
MAX_FAILURES = 100  # of one event; Pythia gives up on roughly one in 1e4
# d(sigma) / d(pt-hat) of HardQCD:all falls like (1 - x)^10 / (pt-hat + 3 GeV)^5.3, x = 2 pt-hat / sqrt(s); fitted at 13.6 TeV from 15 GeV to 1 TeV
SPECTRUM_SHIFT, SPECTRUM_POWER, SPECTRUM_EDGE = 3.0, 5.3, 10.0


class PythiaGenerator:
    """Events of one process; event ``i`` depends on the seed, on ``i`` and on the attempt alone.

    Raises:
        MissingDependencyError: Pythia is not installed.
        ConfigError: Pythia does not accept a setting.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self._config = config
        purpose = f"process '{config.process}'"
        settings = (*PROCESSES[config.process], f"Beams:eCM = {config.center_of_mass_energy}", *_limits(config), *config.pythia_settings)
        is_flat = config.process == "qcd" and config.pt_hat_spectrum == "flat"
        self._hook = _flat_pt_hat(purpose, config.center_of_mass_energy) if is_flat else None  # Pythia does not keep it alive
        self._pythia: Any = start_pythia(purpose, settings, self._hook)

    def event(self, seed: int, event: int, attempt: int = 0) -> GeneratedEvent:
        """One event, its vertex smeared along the beam."""
        spread = (BEAM_SPOT_WIDTH, BEAM_SPOT_WIDTH, self._config.vertex_spread_z)
        vertex = event_rng(seed, event, GENERATOR, attempt).normal(size=3) * spread
        return convert(self._pythia, self._next(pythia_seed(seed, event, attempt), f"event {event}"), vertex)

    def collision(self, pythia_seed: int) -> GeneratedEvent:
        """One collision at the centre of the detector, which depends on the seed of Pythia alone."""
        return convert(self._pythia, self._next(pythia_seed, f"seed {pythia_seed}"), np.zeros(3))

    def _next(self, seed: int, name: str) -> Any:
        self._pythia.rndm.init(seed)
        for _ in range(MAX_FAILURES):
            batch = self._pythia.nextBatch(1, errorMode="skip")
            if len(batch):
                return batch[0].prt
        raise ConfigError(f"simulation: Pythia failed {MAX_FAILURES} times on {name}; are pythia_settings {list(self._config.pythia_settings)} sane?")


def _limits(config: SimulationConfig) -> tuple[str, ...]:
    if config.process == "qcd":
        return f"PhaseSpace:pTHatMin = {config.min_pt_hat}", f"PhaseSpace:pTHatMax = {config.max_pt_hat}"
    if config.process == "ztautau":
        return f"PhaseSpace:mHatMin = {config.min_mass}", f"PhaseSpace:mHatMax = {config.max_mass}"
    return ()


def _flat_pt_hat(purpose: str, center_of_mass_energy: float) -> Any:
    """What Pythia asks how much more often than in nature a scattering is to be tried: the inverse of the spectrum.

    Pythia's own ``PhaseSpace:bias2Selection`` knows powers of pt-hat only, which leave factors of two to three.
    """

    class Flat(import_pythia(purpose).UserHooks):  # type: ignore[misc]  # the base class is known at run time
        def canBiasSelection(self) -> bool:  # noqa: N802  # Pythia's name
            return True

        def biasSelectionBy(self, _process: Any, phase_space: Any, _in_event: bool) -> float:  # noqa: N802
            pt_hat = phase_space.pTHat()
            scaled = (pt_hat + SPECTRUM_SHIFT) / 100.0
            self.selBias = scaled**SPECTRUM_POWER / (1.0 - 2.0 * pt_hat / center_of_mass_energy) ** SPECTRUM_EDGE
            return float(self.selBias)

    return Flat()
