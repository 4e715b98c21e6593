"""The table beside the picture: which event it is, and what each system says of it as a whole."""

from typing import NamedTuple

import numpy as np

from mlpf import schema
from mlpf.events import Events
from mlpf.jets import cluster_jets
from mlpf.plotting.display.event import TRUTH, Display
from mlpf.plotting.display.objects import Objects
from mlpf.plotting.looks import JET_RADIUS, MIN_JET_PT

NUM_JETS = 4  # hardest ones that are listed


class Facts(NamedTuple):
    """An event as a system sees it; NaN where it says nothing.

    Attributes:
        title: of the system.
        number: of its particles.
        sum_pt: of them [GeV].
        met, met_phi: missing transverse momentum [GeV, rad].
        num_jets: above `MIN_JET_PT`.
        jet_pt: of the hardest jets [GeV].
    """

    title: str
    number: float
    sum_pt: float
    met: float
    met_phi: float
    num_jets: float
    jet_pt: list[float]


def system_facts(display: Display) -> list[Facts]:
    """What the generator says, then all systems of the event; jets are clustered from its particles."""
    facts = [] if display.event.layout is schema.CANDIDATES else [_generated(display.event)]
    for key in display.systems:
        title = display.titles[key]
        facts.append(_of_particles(f"{title}, with pileup" if _has_pileup(key, display) else title, display.objects[key]))
    return facts


def _has_pileup(key: str, display: Display) -> bool:
    return key == TRUTH and bool((display.objects[key].columns["pileup"] > 0).any())


def _generated(event: Events) -> Facts:
    has_met = "genmet_pt" in event and event.size("genmet") if event.layout is schema.NTUPLE else "genmet_pt" in event
    met, met_phi = (float(event[name][0]) if has_met else np.nan for name in ("genmet_pt", "genmet_phi"))
    num_jets, jet_pt = _hardest(event["genjet_pt"]) if "genjet_pt" in event else (np.nan, [])
    return Facts("generator", np.nan, np.nan, met, met_phi, num_jets, jet_pt)


def _of_particles(title: str, objects: Objects) -> Facts:
    kept = objects.drawable
    pt, eta, phi, energy = (objects.columns[name][kept].astype(np.float64) for name in ("pt", "eta", "phi", "energy"))
    x, y = -(pt * np.cos(phi)).sum(), -(pt * np.sin(phi)).sum()
    jets = cluster_jets(pt, eta, phi, energy, np.array([0, len(pt)]), radius=JET_RADIUS)
    met = float(np.hypot(x, y))
    return Facts(title, len(objects), float(pt.sum()), met, float(np.arctan2(y, x)) if met > 0 else np.nan, *_hardest(jets.pt))


def _hardest(pt: np.ndarray) -> tuple[float, list[float]]:
    pt = pt[np.isfinite(pt)]
    hard = np.sort(pt[pt >= MIN_JET_PT])[::-1]
    return float(len(hard)), [float(value) for value in hard[:NUM_JETS]]
