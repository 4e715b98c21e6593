"""A figure drawn once and written in three formats.

Most of the time of a figure goes into finding out what there is to draw: ticks, labels, their sizes. A recorder takes that down once; each format then only
repeats the lines and texts. That is 2-3 times as fast as `Figure.savefig` for each format.
"""

import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.image
import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.backends.backend_pdf import PdfFile, RendererPdf
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Transform, TransformedBbox

from mlpf.io.files import atomic_file

POINTS_PER_INCH = 72  # what SVG and PDF count in
PNG_DOTS_PER_INCH = 120
PNG_COMPRESSION = 3  # of 9: two thirds of the time of the usual 6, 5 % larger
_FORMULAS: Any = MathTextParser("path")  # it remembers 50 formulas, each of which takes 5 ms; every renderer would have its own


def save_figure(figure: Figure, folder: Path, name: str) -> None:
    """Write ``folder/name.{png,svg,pdf}``; vector formats without background, so that they suit any page.

    The figure holds lines, texts and areas; images (`Axes.imshow`) are not supported.
    """
    recorder = record(figure)
    pictures = {"png": recorder.as_png(), "svg": recorder.as_svg(), "pdf": recorder.as_pdf()}
    for suffix, content in pictures.items():
        with atomic_file(folder / f"{name}.{suffix}") as temporary:
            temporary.write_bytes(content)


def record(figure: Figure) -> "Recorder":
    """Draw a figure, its backgrounds made transparent, at `POINTS_PER_INCH`."""
    figure.dpi = POINTS_PER_INCH
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    recorder = Recorder(*figure.get_size_inches())
    figure.draw(recorder)
    return recorder


class _Call(NamedTuple):
    """A call of a drawing function of a renderer: its name, and its arguments without the context."""

    name: str
    context: GraphicsContextBase
    arguments: tuple[Any, ...]


class Recorder(RendererBase):
    """Takes down what a figure of ``width`` x ``height`` inches draws; groups only where they have an id.

    Coordinates: points, upwards.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__()
        _share_formulas(self)
        self.inches = float(width), float(height)
        self._calls: list[_Call | tuple[str, str] | None] = []  # a drawing, the begin of a group, its end
        self._is_kept: list[bool] = []  # of the groups that are open

    def get_canvas_width_height(self) -> tuple[float, float]:
        """Size in points."""
        return self.inches[0] * POINTS_PER_INCH, self.inches[1] * POINTS_PER_INCH

    def flipy(self) -> bool:
        """Whether y counts downwards: no."""
        return False

    def draw_path(self, gc: GraphicsContextBase, path: Outline, transform: Transform, rgbFace: Any = None) -> None:  # matplotlib's name
        """Take down a line or an area."""
        self._keep("draw_path", gc, path, transform.frozen(), rgbFace)

    def draw_markers(  # matplotlib's signature
        self,
        gc: GraphicsContextBase,
        marker_path: Outline,
        marker_trans: Transform,
        path: Outline,
        trans: Transform,
        rgbFace: Any = None,
    ) -> None:
        """Take down a marker at each vertex of a path."""
        self._keep("draw_markers", gc, marker_path, marker_trans.frozen(), path, trans.frozen(), rgbFace)

    def draw_text(  # matplotlib's signature
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: Any,
        angle: float,
        ismath: Any = False,
        mtext: Text | None = None,
    ) -> None:
        """Take down a text."""
        self._keep("draw_text", gc, x, y, s, prop, angle, ismath, mtext)

    def open_group(self, s: str, gid: str | None = None) -> None:
        """Begin a group."""
        self._is_kept.append(gid is not None)
        if gid is not None:
            self._calls.append((s, gid))

    def close_group(self, s: str) -> None:  # noqa: ARG002  # matplotlib's signature
        """End a group."""
        if self._is_kept.pop():
            self._calls.append(None)

    def _keep(self, name: str, context: GraphicsContextBase, *arguments: Any) -> None:
        copy = self.new_gc()
        copy.copy_properties(context)
        self._calls.append(_Call(name, copy, arguments))

    def as_svg(self) -> bytes:
        """The figure as SVG; the same figure gives the same bytes."""
        stream = io.StringIO()
        renderer = RendererSVG(*self.get_canvas_width_height(), stream, image_dpi=POINTS_PER_INCH, metadata={"Date": None})
        self._repeat(renderer)
        renderer.finalize()
        return _compact(stream.getvalue()).encode()

    def as_pdf(self) -> bytes:
        """The figure as PDF; the same figure gives the same bytes."""
        stream = io.BytesIO()
        width, height = self.inches
        file = PdfFile(stream, metadata={"CreationDate": None})
        file.newPage(width, height)
        renderer = RendererPdf(file, POINTS_PER_INCH, height, width)
        self._repeat(renderer)
        renderer.finalize()
        file.finalize()
        file.close()
        return stream.getvalue()

    def as_png(self) -> bytes:
        """The figure as PNG, on white."""
        width, height = (round(size * PNG_DOTS_PER_INCH) for size in self.inches)
        renderer = RendererAgg(width, height, PNG_DOTS_PER_INCH)
        background = renderer.new_gc()
        background.set_linewidth(0.0)
        renderer.draw_path(background, Outline.unit_rectangle(), Affine2D().scale(width, height), (1.0, 1.0, 1.0, 1.0))
        self._repeat(renderer, PNG_DOTS_PER_INCH / POINTS_PER_INCH)
        stream = io.BytesIO()
        matplotlib.image.imsave(stream, np.asarray(renderer.buffer_rgba()), format="png", dpi=PNG_DOTS_PER_INCH, pil_kwargs={"compress_level": PNG_COMPRESSION})
        return stream.getvalue()

    def _repeat(self, renderer: Any, scale: float = 1.0) -> None:
        """Draw all that was taken down, coordinates times ``scale``."""
        _share_formulas(renderer)
        grow = Affine2D().scale(scale)
        height = self.get_canvas_width_height()[1]
        for call in self._calls:
            if call is None:
                renderer.close_group("")
            elif not isinstance(call, _Call):
                renderer.open_group(*call)
            else:
                context = renderer.new_gc()
                context.copy_properties(call.context)
                clip = context.get_clip_rectangle()
                if clip is not None:
                    context.set_clip_rectangle(TransformedBbox(clip, grow))
                arguments = call.arguments
                if call.name == "draw_path":
                    path, transform, face = arguments
                    renderer.draw_path(context, path, transform + grow, face)
                elif call.name == "draw_markers":
                    marker, marker_transform, path, transform, face = arguments
                    renderer.draw_markers(context, marker, marker_transform + grow, path, transform + grow, face)
                else:
                    x, y, *text = arguments
                    renderer.draw_text(context, x * scale, (height - y if renderer.flipy() else y) * scale, *text)
                context.restore()


def _share_formulas(renderer: Any) -> None:
    """Let a renderer use the formulas that others have parsed."""
    renderer._text2path.mathtext_parser = _FORMULAS
    if hasattr(renderer, "mathtext_parser"):
        renderer.mathtext_parser = _FORMULAS


_NUMBERS = re.compile(r' (?:d|x|y|transform)="[^"]*"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_MARKERS = re.compile(r'<g([^>]*)>((?:\s*<use [^>]*?)( style="[^"]*")/>(?:\s*<use [^>]*?\3/>)*)\s*</g>')


def _compact(svg: str) -> str:
    """Hundredths of points, and the style of markers once for all of them: half the size."""
    svg = _MARKERS.sub(lambda found: f"<g{found[1]}{found[3]}>{found[2].replace(found[3], '')}</g>", svg)
    return _NUMBERS.sub(lambda found: _DECIMALS.sub(r"\1", found[0]), svg)
