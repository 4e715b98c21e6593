"""Mean and width of features against the number of events: whether a scaling was measured on enough of them."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.ticker import LogLocator

from mlpf.io.files import atomic_file
from mlpf.plotting.event import check_format
from mlpf.plotting.style import BLUE, GREY, new_grid, style
from mlpf.samples.convergence import Convergence
from mlpf.schema import ElementType

NUM_FEATURES = 4
"""Features with a column of panels each."""


def draw_convergence(features: Sequence[Convergence], path: str | Path) -> None:
    """Draw mean and standard deviation of random parts of the events against those of all: a column per feature.

    Args:
        features: the slowest ones, see `mlpf.samples.convergence.slowest_features`; at least one.
        path: ``.png``, ``.pdf`` or ``.svg``.

    Raises:
        MlpfError: another suffix.
    """
    check_format(path)
    with style(), atomic_file(path) as temporary:
        figure, panels = new_grid(2, len(features))
        for (above, below), feature in zip(panels.T, features, strict=True):
            for axes, values, error in ((above, feature.mean, feature.mean_error), (below, feature.std, feature.std_error)):
                axes.fill_between(feature.num_events, -error, error, color=GREY, alpha=0.4, linewidth=0, label="expected")
                axes.plot(feature.num_events, values, color=BLUE, marker="o", label="part of the events")
                axes.axhline(0.0, color="black", linewidth=0.8)
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(numticks=5))
                axes.set_xlabel("events")
            name = f"log {feature.feature}" if feature.logarithmic else feature.feature
            above.set_title(f"{ElementType(feature.element_type).name} {name}", pad=6)
        panels[0, 0].set_ylabel("(mean of part $-$ mean) / std")
        panels[1, 0].set_ylabel("std of part / std $-$ 1")
        panels[0, 0].legend(loc="best")
        figure.savefig(temporary)
