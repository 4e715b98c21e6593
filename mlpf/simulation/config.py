"""The ``simulation`` section of a parameter file."""

from typing import Literal

import pydantic

from mlpf.config import Config

Process = Literal["ttbar", "qcd", "minbias", "gun"]
GunParticle = Literal["pi", "pi0", "gamma", "K0L", "n", "e", "mu"]


class GunConfig(Config):
    """Single particles of one kind, without Pythia; pt flat in its logarithm, eta flat, phi flat, charges and sides at random."""

    particle: GunParticle = "pi"
    """What is shot: pi, e and mu of either charge; pi0 decays into two photons at once."""
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
    def _ordered(self) -> "GunConfig":
        if self.min_pt > self.max_pt or self.min_abs_eta > self.max_abs_eta:
            raise ValueError("min_pt and min_abs_eta must not exceed max_pt and max_abs_eta")
        return self


class SimulationConfig(Config):
    """What is generated and how it is handed on."""

    process: Process = "ttbar"
    """Generator process: ttbar, qcd and minbias need Pythia 8, gun does not."""
    gun: GunConfig = GunConfig()
    """Settings of process gun."""
    center_of_mass_energy: float = pydantic.Field(default=13600.0, gt=0)
    """Energy of the proton-proton collisions [GeV]."""
    min_pt_hat: float = pydantic.Field(default=30.0, ge=0)
    """Lowest transverse momentum of the hard scattering of process qcd [GeV]."""
    pythia_settings: tuple[str, ...] = ()
    """Further Pythia settings, for example "Tune:pp = 21", applied last."""
    vertex_spread_z: float = pydantic.Field(default=5.3, ge=0)
    """Standard deviation of the collision point along the beam [cm]."""
    events_per_chunk: int = pydantic.Field(default=100, ge=1)
    """Events simulated before they are handed on; changes memory and basket size, not results."""
