"""How elements and particles look in every picture: colour and marker, so that no difference hangs on colour alone."""

from typing import NamedTuple

from mlpf.plotting.style import BLUE, GREY, ORANGE, PURPLE, RED, VIOLET
from mlpf.schema import CandidateClass, ElementType

DARK, FAINT = "#22262c", "#5c6370"
MIN_JET_PT = 20.0  # GeV; softer jets are neither drawn nor counted
JET_RADIUS = 0.4  # anti-kt


class ElementStyle(NamedTuple):
    """How elements of some types look."""

    title: str
    types: tuple[ElementType, ...]
    color: str
    marker: str


class ParticleStyle(NamedTuple):
    """How particles of some classes look: like the elements that they mostly make."""

    title: str
    classes: tuple[CandidateClass, ...]
    color: str
    marker: str


ELEMENT_STYLES = (
    ElementStyle("ECAL cluster", (ElementType.ECAL,), ORANGE, "s"),
    ElementStyle("HCAL cluster", (ElementType.HCAL, ElementType.HO), RED, "h"),
    ElementStyle("HF cluster", (ElementType.HFEM, ElementType.HFHAD), VIOLET, "D"),
    ElementStyle("track", (ElementType.TRACK, ElementType.GSF), BLUE, "^"),
)
PARTICLE_STYLES = (
    ParticleStyle("charged hadron", (CandidateClass.CHARGED_HADRON, CandidateClass.TAU), BLUE, "^"),
    ParticleStyle("photon", (CandidateClass.PHOTON,), ORANGE, "s"),
    ParticleStyle("neutral hadron", (CandidateClass.NEUTRAL_HADRON,), RED, "h"),
    ParticleStyle("electron", (CandidateClass.ELECTRON,), PURPLE, "v"),
    ParticleStyle("muon", (CandidateClass.MUON,), DARK, "P"),
    ParticleStyle("HF particle", (CandidateClass.HF_HADRON, CandidateClass.HF_EM), VIOLET, "D"),
    ParticleStyle("other", (CandidateClass.NONE,), GREY, "o"),
)
