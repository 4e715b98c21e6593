"""Eta-phi images to look at: one panel per channel."""

from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm

from mlpf.graph.images import Content, ImageConfig
from mlpf.io.files import atomic_file
from mlpf.plotting.event import check_format
from mlpf.plotting.style import new_figure, style

COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 4, 3.6, 2.7  # inches, with the space around
DECADES = 4  # of the colour scale, below the largest value


def draw_images(values: np.ndarray, config: ImageConfig, path: str | Path, content: Content = "elements", title: str = "") -> None:
    """Draw the channels of an image into a file, all on one logarithmic colour scale; empty bins stay white.

    Args:
        values: ``(C, num_eta, num_phi)`` of one event, or summed over several.
        config: how the image was made.
        path: ``.png``, ``.pdf`` or ``.svg``.
        content: what the image shows.
        title: which events they are.

    Raises:
        MlpfError: another suffix.
    """
    check_format(path)
    names = [channel.name for channel in config.channels(content)]
    assert values.shape == (len(names), config.num_eta, config.num_phi), f"image of shape {values.shape}, not of the configuration"
    total_unit = "" if config.quantity == "count" else " GeV"
    rows, highest = -(-len(names) // COLUMNS), float(values.max(initial=0.0)) or 1.0
    scale = LogNorm(highest / 10**DECADES, highest, clip=True)
    with style(), atomic_file(path) as temporary:
        figure = new_figure(COLUMNS * PANEL_WIDTH + 1.0, rows * PANEL_HEIGHT + 0.5)
        panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes in panels.flat[len(names) :]:
            axes.set_axis_off()
        for axes in panels.flat[max(len(names) - COLUMNS, 0) : len(names)]:  # the last of every column, which may have an empty place below
            axes.tick_params(labelbottom=True)
        for axes, name, image in zip(panels.flat, names, values, strict=False):
            mesh = axes.pcolormesh(config.eta_edges, config.phi_edges, np.ma.masked_less_equal(image.T, 0.0), norm=scale, cmap="viridis", rasterized=True)
            axes.set_title(f"{name.replace('_', ' ')}: {image.sum():.4g}{total_unit}", fontsize="small")
            axes.set(xlabel=r"$\eta$", ylabel=r"$\phi$")
        figure.colorbar(mesh, ax=panels, label="entries per bin" if config.quantity == "count" else f"{config.quantity} per bin [GeV]")
        figure.suptitle(f"{content} {title}".strip(), fontsize="medium")
        figure.savefig(temporary)
