"""Axes that draw their frame, ticks and numbers at once.

Matplotlib makes five artists of each tick, which took two thirds of the time of a figure of many panels and most of the size of its SVG file.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, ScalarFormatter
from matplotlib.transforms import IdentityTransform

MAJOR, MINOR, LINE, PAD = 5.0, 2.5, 0.9, 3.5  # length of ticks, width of lines, distance of numbers [points]


class PlainAxes(Axes):
    """Axes with ticks on all sides and numbers at the left and below; locators, formatters, scales and labels are those of matplotlib.

    Attributes:
        has_numbers_below: whether the horizontal axis has numbers and its label.
        has_ticks, has_ticks_on_y: whether x and y have ticks.
        rotation: of the numbers below [degrees].
    """

    has_numbers_below = True
    has_ticks = has_ticks_on_y = True
    rotation = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.set_axis_off()

    def grid(self, *_: Any, **__: Any) -> None:
        """Matplotlib calls this when it sets up axes, and makes ticks for it: there are none."""
        for axis in (self.xaxis, self.yaxis):
            axis.majorTicks, axis.minorTicks = [], []

    def tick_params(self, *_: Any, **__: Any) -> None:
        """There are no ticks to set up."""

    def name_x(self, names: Sequence[str], rotation: float) -> None:
        """Names at 0, 1, 2 ... in place of numbers, without ticks."""
        self.set_xlim(-0.5, len(names) - 0.5)
        self.xaxis.set_major_locator(FixedLocator(range(len(names))))
        self.xaxis.set_major_formatter(FixedFormatter(names))
        self.has_ticks, self.rotation = False, rotation

    def name_y(self, names: Sequence[str]) -> None:
        """Names at 0, 1, 2 ... from the top in place of numbers, without ticks on any side."""
        self.set_ylim(len(names) - 0.5, -0.5)
        self.yaxis.set_major_locator(FixedLocator(range(len(names))))
        self.yaxis.set_major_formatter(FixedFormatter(names))
        self.has_ticks_on_y = False

    def draw(self, renderer: RendererBase) -> None:
        """Draw what is in the axes, then what is around it."""
        super().draw(renderer)
        self._draw_frame(renderer)
        for axis, is_shown in ((self.xaxis, self.has_numbers_below), (self.yaxis, True)):
            if is_shown:
                self._draw_numbers(renderer, axis)
                axis.label.draw(renderer)

    def _draw_frame(self, renderer: RendererBase) -> None:
        """A box and the ticks inside of it, as one path."""
        box, scale = self.bbox, cast(float, renderer.points_to_pixels(1.0))
        starts, ends = [box.corners()[[0, 1, 3, 2]]], [box.corners()[[1, 3, 2, 0]]]
        for axis, along, low, high in ((self.xaxis, 0, box.y0, box.y1), (self.yaxis, 1, box.x0, box.x1)):
            if not (self.has_ticks_on_y if along else self.has_ticks):
                continue
            for places, length in ((axis.get_majorticklocs(), MAJOR), (axis.get_minorticklocs(), MINOR)):
                pixels = self._pixels(axis, places)[1]
                for side, inwards in ((low, length * scale), (high, -length * scale)):
                    pair = [np.stack([pixels, np.full(len(pixels), across)], axis=1) for across in (side, side + inwards)]
                    starts.append(pair[0][:, ::-1] if along else pair[0])
                    ends.append(pair[1][:, ::-1] if along else pair[1])
        vertices = np.stack([np.concatenate(starts), np.concatenate(ends)], axis=1).reshape(-1, 2)
        context = renderer.new_gc()
        context.set_linewidth(LINE)
        context.set_capstyle("projecting")
        context.set_foreground("black")
        context.set_snap(True)
        renderer.draw_path(context, Path(vertices, np.tile([Path.MOVETO, Path.LINETO], len(vertices) // 2)), IdentityTransform())
        context.restore()

    def _pixels(self, axis: Axis, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of the places on an axis are in view, and where those are."""
        low, high = sorted(axis.get_view_interval())
        rounding = 1e-9 * (high - low)
        shown = (np.asarray(places) >= low - rounding) & (np.asarray(places) <= high + rounding)
        along = 0 if axis is self.xaxis else 1
        points = np.zeros((int(shown.sum()), 2))
        points[:, along] = np.asarray(places)[shown]
        points[:, 1 - along] = (self.yaxis if along == 0 else self.xaxis).get_view_interval()[0]
        return shown, self.transData.transform(points)[:, along]

    def _draw_numbers(self, renderer: RendererBase, axis: Axis) -> None:
        places = axis.get_majorticklocs()
        formatter = axis.get_major_formatter()
        if isinstance(formatter, ScalarFormatter):
            formatter.set_useOffset(False)
            formatter.set_scientific(False)
        texts = formatter.format_ticks(places.tolist())
        shown, pixels = self._pixels(axis, places)
        pad = renderer.points_to_pixels(PAD)
        for pixel, text in zip(pixels, np.array(texts, dtype=object)[shown], strict=True):
            if axis is self.xaxis:
                x, y, horizontal, vertical = pixel, self.bbox.y0 - pad, "right" if self.rotation else "center", "top"
            else:
                x, y, horizontal, vertical = self.bbox.x0 - pad, pixel, "right", "center_baseline"
            rotation = self.rotation if axis is self.xaxis else 0.0
            number = Text(x, y, text, fontsize="small", ha=horizontal, va=vertical, rotation=rotation, rotation_mode="anchor" if rotation else None)
            number.set_figure(self.figure)
            number.draw(renderer)
