"""Figures of the validation of the simulated detector, from the content of `validation.json`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mlpf.plotting.detector_collisions import draw_candidates, draw_composition, draw_elements, draw_jets, draw_taus_and_met
from mlpf.plotting.detector_particles import draw_closure, draw_electromagnetic, draw_hadrons, draw_material, draw_tracks, draw_tracks_in_collisions
from mlpf.plotting.style import style

DPI = 120


def draw_validation(results: dict[str, Any], folder: str | Path) -> list[str]:
    """Draw every figure as PNG.

    Args:
        results: content of `validation.json`.
        folder: where to; must exist.

    Returns:
        names of the figures (files without suffix).
    """
    curves = results["curves"]
    figures: dict[str, Callable[[], Figure]] = {
        "photons_electrons": lambda: draw_electromagnetic(curves["calorimeters"]),
        "hadrons": lambda: draw_hadrons(curves["calorimeters"]),
        "tracks": lambda: draw_tracks(curves["tracks"]),
        "tracks_in_collisions": lambda: draw_tracks_in_collisions(curves["tracks"]),
        "material": lambda: draw_material(curves["material"]),
        "closure": lambda: draw_closure(curves["closure"]),
        "composition": lambda: draw_composition(curves["jets"]["composition"]),
        "jets": lambda: draw_jets(curves["jets"]),
        "elements": lambda: draw_elements(curves["content"]["samples"], curves["content"]["public"]),
        "candidates": lambda: draw_candidates(curves["content"]["samples"]),
        "taus_met": lambda: draw_taus_and_met(curves["taus"], curves["jets"]["met"]),
    }
    for name, draw in figures.items():
        with style():
            draw().savefig(Path(folder) / f"{name}.png", dpi=DPI)
    return list(figures)
