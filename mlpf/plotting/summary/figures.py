"""Which figures there are, what they show, and their files."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from mlpf.plotting.recording import save_figure
from mlpf.plotting.style import style
from mlpf.plotting.summary.confusion import draw_confusion
from mlpf.plotting.summary.content import Results, Summary
from mlpf.plotting.summary.event import draw_emd, draw_multiplicity
from mlpf.plotting.summary.jets import draw_jet_matching, draw_jets, draw_jets_eta, draw_jets_vertices
from mlpf.plotting.summary.met import draw_met, draw_met_vertices
from mlpf.plotting.summary.particles import draw_efficiency
from mlpf.plotting.summary.residuals import draw_resolution, draw_response
from mlpf.plotting.summary.scores import draw_calibration, draw_roc
from mlpf.plotting.summary.timing import draw_timing
from mlpf.plotting.summary.training import draw_training


class _Figure(NamedTuple):
    """How a figure is drawn (None where there is nothing to draw), and what is said below it."""

    draw: Callable[[Summary], Figure | None]
    caption: str


_PER_PARTICLE = "Per particle (matched one to one, with cuts): efficiency of each class against the target's {}, fake rate against the candidate's."
_PER_ELEMENT = "Per element (same class or not): efficiency of each class against the target's {}, fake rate against the candidate's."
_RESOLUTION = "Response of matched particles of each class: median in transverse momentum, IQR / median in transverse momentum and energy"
FIGURES = {
    "jets": _Figure(draw_jets, "Jets: median response, its IQR / median, and its distribution, against the generated transverse momentum."),
    "jets_eta": _Figure(draw_jets_eta, "Jets above 20 GeV: median response, its IQR / median, and matched share, against pseudorapidity."),
    "jet_matching": _Figure(draw_jet_matching, "Jets: share of generated jets that are matched, share of reconstructed jets that match one."),
    "jets_vertices": _Figure(draw_jets_vertices, "Jets against the number of pileup collisions."),
    "met": _Figure(draw_met, "Missing transverse momentum: residual of its components, their IQR, median ratio."),
    "met_vertices": _Figure(draw_met_vertices, "Missing transverse momentum against the number of pileup collisions."),
    "emd": _Figure(draw_emd, "Energy mover's distance (EMD) of candidates to generated particles, the work to move one into the other; mean over events."),
    "particles_pt": _Figure(partial(draw_efficiency, per="particles", variable="pt"), _PER_PARTICLE.format("transverse momentum")),
    "particles_eta": _Figure(partial(draw_efficiency, per="particles", variable="eta"), _PER_PARTICLE.format("pseudorapidity")),
    "particles_vertices": _Figure(
        partial(draw_efficiency, per="particles", variable="vertices"),
        "Per particle: efficiency and fake rate of each class against the number of pileup collisions.",
    ),
    "response": _Figure(draw_response, "Distribution of the response of matched particles of each class in transverse momentum."),
    "resolution": _Figure(partial(draw_resolution, variable="pt"), f"{_RESOLUTION}, against transverse momentum."),
    "resolution_eta": _Figure(partial(draw_resolution, variable="eta"), f"{_RESOLUTION}, against pseudorapidity."),
    "elements_pt": _Figure(partial(draw_efficiency, per="elements", variable="pt"), _PER_ELEMENT.format("transverse momentum")),
    "elements_eta": _Figure(partial(draw_efficiency, per="elements", variable="eta"), _PER_ELEMENT.format("pseudorapidity")),
    "confusion": _Figure(draw_confusion, "Candidate class of the elements of each target class."),
    "multiplicity": _Figure(
        draw_multiplicity, "Candidates per event and class, and how far their number is from that of the targets; a class without any has no point."
    ),
    "roc": _Figure(
        draw_roc,
        "Scores of each class: share of other elements that pass a threshold against the share of its own; markers: working points "
        "(on the lower edge: fewer than are shown), "
        "and what rule-based PF decides. Ratios: misidentification at the same efficiency.",
    ),
    "calibration": _Figure(
        draw_calibration, "Calibration of the scores: how often elements are what the score says. On the diagonal the score is a probability."
    ),
    "timing": _Figure(draw_timing, "Median time of the model per event; the time of a batch is shared by its events in proportion to their elements."),
    "training": _Figure(draw_training, "Losses (accuracies: shares of right decisions) in validation (points) and in training (thin) of each model."),
}
CAPTIONS = {name: figure.caption for name, figure in FIGURES.items()}
POINTS = (
    "Points: value and 68 % interval; hollow where there are too few entries for an interval; none in bins without entries; carets: outside of the panel. "
    "Ratios: intervals as if the systems were independent; they see the same events, so that the true ones are mostly smaller."
)


def draw_summary(
    entry: Results,
    classification: Results,
    folder: str | Path,
    reference: str | None = None,
    dataset: str | None = None,
    models: Sequence[str] | None = None,
) -> list[str]:
    """Draw every figure of a dataset as PNG, SVG and PDF.

    Args:
        entry: of `metrics.json`, ``datasets[NAME]``.
        classification: of `performance.json`, ``classification[NAME]``.
        folder: where to; made if missing.
        reference: system of the ratios, see `Summary`.
        dataset: its name; by default that of the folder.
        models: all models of the evaluation, so that each looks the same for all datasets.

    Returns:
        names of the figures (files without suffix), without those that have nothing to show.
    """
    folder = Path(folder)
    summary = Summary(entry, classification, folder.name if dataset is None else dataset, reference, models)
    drawn = []
    with style():
        for name, (draw, _) in FIGURES.items():
            figure = draw(summary)
            if figure is not None:
                save_figure(figure, folder, name)
                drawn.append(name)
    return drawn
