"""The ``simulation`` section of a parameter file."""

from typing import Literal, Self

import numpy as np
import pydantic

from mlpf.config import Config
from mlpf.simulation.randomness import MAX_ATTEMPTS

Process = Literal["ttbar", "qcd", "ztautau", "minbias", "gun"]
GunParticle = Literal["pi", "pi0", "gamma", "K0L", "K0S", "K", "p", "n", "e", "mu", "tau"]


def _check_order(config: Config, *quantities: str) -> None:
    """Refuse a ``min_<quantity>`` above its ``max_<quantity>``."""
    for quantity in quantities:
        lowest, highest = getattr(config, f"min_{quantity}"), getattr(config, f"max_{quantity}")
        if lowest is not None and highest is not None and lowest > highest:
            raise ValueError(f"min_{quantity} ({lowest}) must not exceed max_{quantity} ({highest})")


class GunConfig(Config):
    """Single particles of one kind, or of several kinds mixed; pt flat in its logarithm, eta flat, phi flat, charges and sides at random."""

    particle: GunParticle | tuple[GunParticle, ...] = "pi"
    """What is shot; from a list, the kind of every single particle is drawn at random, all equally likely. Charged ones are of either charge; pi0 decays
    into two photons at once; tau (unpolarised) and K0S are decayed by Pythia 8."""
    number: int = pydantic.Field(default=1, ge=0)
    """Particles per event."""
    min_pt: float = pydantic.Field(default=0.5, gt=0)
    """Lowest transverse momentum [GeV]."""
    max_pt: float = pydantic.Field(default=500.0, gt=0)
    """Highest transverse momentum [GeV]."""
    min_abs_eta: float = pydantic.Field(default=0.0, ge=0)
    """Lowest absolute pseudorapidity."""
    max_abs_eta: float = pydantic.Field(default=5.0, ge=0, le=6)
    """Highest absolute pseudorapidity."""

    @pydantic.model_validator(mode="after")
    def _valid(self) -> Self:
        _check_order(self, "pt", "abs_eta")
        if not self.particle:
            raise ValueError("particle must name at least one kind")
        return self

    @property
    def kinds(self) -> tuple[GunParticle, ...]:
        """What is shot, as a list."""
        return (self.particle,) if isinstance(self.particle, str) else self.particle


class PileupConfig(Config):
    """Minimum-bias collisions in the same crossing of the bunches: as many as a Poisson distribution of a mean says, or a number from a flat range."""

    mean: float | None = pydantic.Field(default=None, gt=0)
    """Mean number of collisions per event, Poisson distributed."""
    min_number: int | None = pydantic.Field(default=None, ge=0)
    """Smallest number of collisions, in place of a mean."""
    max_number: int | None = pydantic.Field(default=None, ge=0)
    """Largest number of collisions, itself included."""
    pool_size: int = pydantic.Field(default=5000, ge=100)
    """Different collisions of one seed, from which those of every event are drawn; made when first drawn."""
    pythia_settings: tuple[str, ...] = ()
    """Further Pythia settings of these collisions; those of the hard event do not hold here."""

    @pydantic.model_validator(mode="after")
    def _valid(self) -> Self:
        if self.mean is None and self.min_number is not None and self.max_number is not None:
            _check_order(self, "number")
            largest: float = self.max_number
        elif self.mean is not None and self.min_number is None and self.max_number is None:
            largest = 4 * self.mean  # a Poisson number of a mean of 25 or more, half of that the smallest pool, is never that large
        else:
            raise ValueError("give either mean or both min_number and max_number")
        if largest > self.pool_size:
            raise ValueError(f"pool_size ({self.pool_size}) is too small: no event draws a collision twice; use at least {largest:.0f}, better 5000")
        return self

    def draw_number(self, rng: np.random.Generator) -> int:
        """A random number of collisions."""
        if self.mean is not None:
            return int(rng.poisson(self.mean))
        return int(rng.integers(self.min_number or 0, self.max_number, endpoint=True))


class SelectionConfig(Config):
    """Which generator particles count: the last copy of each; no incoming parton, no pileup. What is not given is not asked for."""

    abs_pdgid: tuple[pydantic.PositiveInt, ...] = ()
    """Absolute pdgIds, any of them; empty: all."""
    status: Literal["any", "stable", "decayed"] = "any"
    """Stable or decayed, as to the generator: K0S, Lambda and the like decay in the detector, and count as stable."""
    min_pt: float | None = pydantic.Field(default=None, ge=0)
    """Lowest transverse momentum [GeV]."""
    max_pt: float | None = pydantic.Field(default=None, ge=0)
    """Highest transverse momentum [GeV]."""
    min_abs_eta: float | None = pydantic.Field(default=None, ge=0)
    """Lowest absolute pseudorapidity."""
    max_abs_eta: float | None = pydantic.Field(default=None, ge=0)
    """Highest absolute pseudorapidity."""
    min_daughters: int | None = pydantic.Field(default=None, ge=0)
    """Fewest particles that it decays to at once."""
    max_daughters: int | None = pydantic.Field(default=None, ge=0)
    """Most particles that it decays to at once."""
    min_charged_daughters: int | None = pydantic.Field(default=None, ge=0)
    """Fewest charged ones among them: 3 selects tau leptons with three prongs or more."""
    max_charged_daughters: int | None = pydantic.Field(default=None, ge=0)
    """Most charged ones among them."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_order(self, "pt", "abs_eta", "daughters", "charged_daughters")
        return self


class PairConfig(Config):
    """Pairs of generator particles by their distance."""

    partner: SelectionConfig | None = None
    """The second particle of a pair; another one of the first selection if left out, and then each pair counts once."""
    min_delta_r: float = pydantic.Field(default=0.0, ge=0)
    """Smallest distance in eta and phi."""
    max_delta_r: float | None = pydantic.Field(default=None, ge=0)
    """Largest distance in eta and phi."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_order(self, "delta_r")
        return self


class FilterConfig(SelectionConfig):
    """A condition on the hard event: how many generator particles, or pairs of them, are selected."""

    pairs: PairConfig | None = None
    """Count pairs, of which the selected particle is the first, in place of particles."""
    min_number: int = pydantic.Field(default=1, ge=0)
    """Fewest selected particles or pairs."""
    max_number: int | None = pydantic.Field(default=None, ge=0)
    """Most selected particles or pairs."""

    @pydantic.model_validator(mode="after")
    def _selective(self) -> Self:
        _check_order(self, "number")
        if self.min_number == 0 and self.max_number is None:
            raise ValueError("min_number 0 without max_number passes every event")
        return self


class SimulationConfig(Config):
    """What is generated and how it is handed on."""

    process: Process = "ttbar"
    """Generator process: ttbar, qcd, ztautau (both tau leptons decay to hadrons) and minbias need Pythia 8; gun does for tau and K0S only."""
    gun: GunConfig = GunConfig()
    """Settings of process gun."""
    center_of_mass_energy: float = pydantic.Field(default=13600.0, gt=0)
    """Energy of the proton-proton collisions [GeV]."""
    min_pt_hat: float = pydantic.Field(default=30.0, ge=0)
    """Lowest transverse momentum of the hard scattering of process qcd [GeV]."""
    max_pt_hat: float = pydantic.Field(default=1000.0, gt=0)
    """Highest transverse momentum of the hard scattering of process qcd [GeV]."""
    pt_hat_spectrum: Literal["flat", "falling"] = "flat"
    """Of process qcd: flat between its limits (within 15 % for limits from 15 GeV to 1 TeV), or falling as it is in nature. The events of a flat spectrum
    have no weights, as the ntuple has no column for them: good for training and for responses, wrong for rates."""
    min_mass: float = pydantic.Field(default=60.0, gt=0)
    """Lowest mass of the tau pair of process ztautau [GeV], which includes the virtual photon."""
    max_mass: float = pydantic.Field(default=120.0, gt=0)
    """Highest mass of the tau pair of process ztautau [GeV]."""
    pythia_settings: tuple[str, ...] = ()
    """Further Pythia settings, for example "Tune:pp = 21", applied last."""
    vertex_spread_z: float = pydantic.Field(default=5.3, ge=0)
    """Standard deviation of the collision points along the beam [cm]."""
    vertex_spread_time: float = pydantic.Field(default=0.18, ge=0)
    """Standard deviation of the times of the collisions [ns]; 0.18 to 0.2 at the LHC (CMS-TDR-020, the MIP timing detector)."""
    pileup: PileupConfig | None = None
    """Further collisions in each event; none by default."""
    filters: tuple[FilterConfig, ...] = ()
    """Conditions on the hard event, all of which must hold; where one does not, the event is generated again, with other random numbers."""
    max_attempts: int = pydantic.Field(default=MAX_ATTEMPTS, ge=1, le=MAX_ATTEMPTS)
    """How often one event is generated before the filters are taken for impossible."""
    events_per_chunk: int = pydantic.Field(default=100, ge=1)
    """Events simulated before they are handed on; changes memory and basket size, not results."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_order(self, "pt_hat", "mass")
        if self.process == "qcd" and 2 * self.max_pt_hat >= self.center_of_mass_energy:
            raise ValueError(f"max_pt_hat ({self.max_pt_hat}) must be below half of center_of_mass_energy ({self.center_of_mass_energy})")
        return self
